"""Logs of inspect_ai: ``.eval`` archives, ``.json`` files, and folders of them.

inspect_ai itself is not needed to read them.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.io.archive import read_members
from recover_nb.io.lines import Row, existing, parse_object, read_json
from recover_nb.io.logs.arms import Answers, Log, Problems, choose_logs
from recover_nb.io.logs.inspect_sample import (
    Completion,
    prompt_of,
    score_of,
    targets_of,
    unusable,
    with_attachments,
)
from recover_nb.io.logs.logged_tokens import logged_tokens
from recover_nb.io.paths import Source, by_intervention, files_of, names_of
from recover_nb.io.records import Collector
from recover_nb.io.rows import RolloutRow, Unit
from recover_nb.tasks.checkers import RULE

WHAT = "a log of inspect_ai (.eval or .json)"
#: What makes two runs of a task two decodings, beside the model.
SETTINGS = ("task_args", "model_args", "model_generate_config", "model_roles")
SPEED = ("max_connections", "max_retries", "timeout", "attempt_timeout", "cache", "batch")


@checks.takes(
    tokenizer=checks.TOKENIZER,
    path=checks.PATHS,
    is_correct=RULE,
    scorer=checks.TEXT,
    unit=checks.UNIT,
    task=checks.TEXT,
    n_observed=checks.COUNT,
    window=checks.DRAWS,
)
def from_inspect(
    path: Source,
    *,
    is_correct: str | Callable[[str, str], bool] | None = None,
    scorer: str | None = None,
    tokenizer: Any = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str | None = None,
    n_observed: int | None = None,
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read logs of inspect_ai. An epoch is a rollout.

    The text of a rollout is what the model wrote in its last turn: its reasoning, then its answer.
    The prompt is everything that it was given before its first turn. Samples that broke, were
    invalidated or have no score are left out; a sample that a limit stopped is a rollout that did
    not end. ``import_notes`` says how many there are of each.

    Parameters
    ----------
    path : path, or dict of intervention to path
        ``.eval`` or ``.json``, or a folder of logs of several tasks. Arms of one task each share
        their problems, also where their tasks have other names.
    is_correct : str or callable (text, answer) -> bool, optional
        Grades every answer against the target, in place of the scores: the text without its
        reasoning, and any of several targets counts.
    scorer : str, optional
        Whose score says correct ("C", or 1) or wrong; the only one unless given. ``"scorer.part"``
        takes a part of a score that is an object. Partial credit counts as wrong.
    tokenizer
        See `from_jsonl`. Where the log has the tokens of a completion (``logprobs``) and they make
        its text, those are taken, by name.
    unit, n_observed, window
        See `from_jsonl`.
    task : str, optional
        The log's unless given.

    Returns
    -------
    Dataset
        A study. The log-probabilities in such a log are of one model, so there are no signals:
        compute them from the traces with both models (`recover_nb.add_signals`).

    Raises
    ------
    InputError
        No log, one without samples or scores, several scorers and no choice, a score that is no
        verdict, several runs of a task under one intervention.
    """
    files = by_intervention(path)
    answers = Answers(is_correct)
    out = Collector(
        names_of(files),
        "inspect",
        unit=unit,
        task="inspect",
        is_correct=answers.checker,
        tokenizer=tokenizer,
    )
    found = {arm: _logs(file, out) for arm, file in files.items()}
    reader = _Reader(out, answers, scorer)
    chosen = choose_logs(out, found, task, "inspect")
    for arm, log in chosen:
        reader.take(log, arm, alone=len(chosen) == 1)
    if not out.rows:
        raise InputError(f"{out.source}: no sample can be used; {'; '.join(out.said())}")
    other = out.counts.get("logged_tokens_of_another_text")
    if other:
        out.notes.append(
            f"the tokens that the log has for {other} of {len(out.rows)} completions are not those"
            " of their text; the texts were tokenized instead"
        )
    return out.study(n_observed=n_observed, window=window)


def _logs(path: Path, out: Collector) -> list[Log]:
    """Return the logs of a path: one, or those of a folder."""
    found = []
    for each in files_of(path, ".eval", ".json"):
        head = _head(each)
        if each != path and "eval" not in head.values:
            out.tell("other_files", "{n} files of the folder are no logs of inspect_ai")
            continue
        found.append(_log(each, head))
    if not found:
        raise InputError(f"{path}: the folder has no log of inspect_ai; give {WHAT}")
    return found


def _log(path: Path, head: Row) -> Log:
    if "eval" not in head.values:
        shown = ", ".join(map(str, list(head.values)[:5])) or "nothing"
        raise InputError(f"{path} has no 'eval'; it has {shown}; give {WHAT}")
    about = head.part("eval")
    plan = head.values.get("plan")
    settings = {name: about.values.get(name) for name in SETTINGS}
    settings["config"] = plan.get("config") if isinstance(plan, dict) else None
    kept = {name: _without_speed(value) for name, value in settings.items() if value}
    run = about.text("model", needed=False) or "a model without a name"
    told = json.dumps(kept, sort_keys=True) if any(kept.values()) else ""
    return Log(
        path,
        about.text("task", needed=False) or "",
        f"{run} {told}".strip(),
        about.text("created", needed=False) or "",
        head.text("status", needed=False) == "success",
    )


def _without_speed(settings: Any) -> Any:
    """Return settings without those that change no text."""
    if not isinstance(settings, dict):
        return settings
    return {name: value for name, value in settings.items() if name not in SPEED}


def _is_archive(path: Path) -> bool:
    with existing(path, WHAT).open("rb") as file:
        start = file.read(2)
    return start == b"PK" or (path.suffix == ".eval" and start[:1] != b"{")


def _head(path: Path) -> Row:
    """Return all but the samples of a log."""
    if not _is_archive(path):
        return read_json(path, WHAT)
    for name in ("header", "_journal/start"):
        found = next(read_members(path, WHAT, name, ".json"), None)
        if found is not None:
            return parse_object(found[1], f"{path}: {found[0]}", WHAT)
    raise InputError(
        f"{path}: the archive has no header.json and no _journal/start.json; give {WHAT}"
    )


def _samples(log: Log, out: Collector) -> Iterator[Row]:
    path = log.path
    if _is_archive(path):
        for name, data in read_members(path, WHAT, "samples/", ".json"):
            yield parse_object(data, f"{path}: {name}", WHAT, out.tell)
    else:
        whole = read_json(path, WHAT, out.tell)
        samples = whole.find("samples")[1] or []
        if not isinstance(samples, list) or not all(isinstance(each, dict) for each in samples):
            raise whole.wrong("samples", samples, "a list of samples")
        for n, each in enumerate(samples, 1):
            yield Row(f"{path}: sample {n}", each)


class _Reader:
    """Takes the samples of logs as rollouts."""

    def __init__(self, out: Collector, answers: Answers, scorer: str | None) -> None:
        self.out, self.answers, self.scorer = out, answers, scorer
        self.problems = Problems(out)
        self._numbered: Counter[tuple[Unit, str]] = Counter()

    def take(self, log: Log, arm: str, *, alone: bool) -> None:
        """Take all samples of a log that are of use; one of many may have none."""
        if not log.finished:
            self.out.notes.append(f"{log.path.name}: the run did not finish; what it has is read")
        scorers: dict[str, None] = {}
        taken = unscored = seen = 0
        for row in _samples(log, self.out):
            seen += 1
            if unusable(row, self.out):
                continue
            row.find("input", needed=True)
            correct = None
            if self.answers.checker is None:
                correct = score_of(row, self.scorer, self.out)
                if correct is None:
                    unscored += 1
                    scores = row.values.get("scores")
                    scorers |= dict.fromkeys(map(str, scores)) if isinstance(scores, dict) else {}
                    continue
            rollout = self._rollout(with_attachments(row, self.out), log, arm, correct)
            if rollout is not None:
                self.out.add(rollout)
            taken += 1
        if not seen and alone:
            raise InputError(
                f"{log.path}: the log has no samples; was it made with log_samples=False, or read"
                " with header_only=True?"
            )
        if not seen:
            self.out.tell("logs_without_samples", "{n} logs have no samples and are left out")
        if unscored and not taken:
            raise _no_scores(log, list(scorers))
        if unscored:
            self.out.tell(
                "unscored_samples", "{n} samples have no score and are left out", unscored
            )

    def _rollout(self, row: Row, log: Log, arm: str, correct: bool | None) -> RolloutRow | None:
        """Return a sample as a rollout; None where its tokens are asked for and not known."""
        unit = (self.out.family, self.out.method, log.name, row.text("id", blank=False))
        prompt, answer = prompt_of(row), self.answers.any_of(targets_of(row))
        number = self._number(row, unit, arm)
        written = Completion(row, self.out)
        if written.redacted and self.out.tokenizer is not None:
            return None
        self.problems.take(unit, log, row.where, prompt, answer)
        text, tokens = written.text, None
        if text is None:
            # The tokens of nothing are left out; without a tokenizer it is an outcome.
            correct, text = bool(correct), None if self.out.tokenizer is None else ""
        else:
            text = self.answers.graded_by(text, written.answer or "")
            if written.choice is not None:
                tokens = logged_tokens(self.out, written.choice, text)
        return RolloutRow(
            row.where, unit, arm, number, correct, text=text, token_id=tokens, ended=written.ended
        )

    def _number(self, row: Row, unit: Unit, arm: str) -> int:
        """Return the place of an epoch among the rollouts of its problem."""
        epoch = row.whole("epoch", needed=False, least=1)
        if epoch is not None:
            return epoch - 1
        self.out.tell("no_epoch", "{n} samples name no epoch; they are numbered in their order")
        self._numbered[unit, arm] += 1
        return self._numbered[unit, arm] - 1


def _no_scores(log: Log, scorers: list[str]) -> InputError:
    if scorers:
        return InputError(
            f"{log.path} has scores of {', '.join(scorers)}, and none that can be used; pass"
            " scorer= or is_correct="
        )
    return InputError(f"{log.path}: no sample has scores; pass is_correct= to grade them")
