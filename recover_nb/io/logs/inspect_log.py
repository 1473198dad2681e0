"""Logs of inspect_ai: ``.eval`` archives and ``.json`` files.

inspect_ai itself is not needed to read them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.io.archive import read_members
from recover_nb.io.lines import Row, existing, parse_object, read_json
from recover_nb.io.paths import Source, by_intervention, names_of
from recover_nb.io.records import Collector
from recover_nb.io.rows import RolloutRow, ended_by

WHAT = "a log of inspect_ai (.eval or .json)"
#: How scorers say correct and wrong. Partial credit and no answer are wrong.
VERDICTS = {"C": True, "I": False, "P": False, "N": False}


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

    Parameters
    ----------
    path : path, or dict of intervention to path
        ``.eval`` or ``.json``.
    is_correct : str or callable (text, answer) -> bool, optional
        Grades every completion against the target, in place of the scores.
    scorer : str, optional
        Whose score says correct ("C", or 1) or wrong; the only one unless given.
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
        No log, an unfinished sample without a score, several scorers and no choice, a score that is
        no verdict.
    """
    files = by_intervention(path)
    out = Collector(
        names_of(files),
        "inspect",
        unit=unit,
        task="inspect",
        is_correct=is_correct,
        tokenizer=tokenizer,
    )
    for intervention, file in files.items():
        name, samples = _open(file)
        out.task = task or name or out.task
        for sample in samples:
            error = sample.find("error")[1]
            if error is not None:
                out.count("failed_samples")
                continue
            out.add(_rollout(out, sample, intervention, scorer, is_correct is not None))
    other = out.counts.get("logged_tokens_of_another_text")
    if other:
        out.notes.append(
            f"the tokens that the log has for {other} of {len(out.rows)} completions are not those"
            " of their text; the texts were tokenized instead"
        )
    if out.counts.get("failed_samples"):
        out.notes.append(
            f"{out.counts['failed_samples']} samples ended in an error of the tool and are left out"
        )
    return out.study(n_observed=n_observed, window=window)


def _open(path: Path) -> tuple[str, Iterator[Row]]:
    """Return the task's name and the samples of a log."""
    path = existing(path, WHAT)
    with path.open("rb") as file:
        is_archive = file.read(2) == b"PK"
    if is_archive or path.suffix == ".eval":
        start = next(read_members(path, WHAT, "_journal/start", ".json"), None)
        if start is None:
            raise InputError(f"{path}: the archive has no _journal/start.json; give {WHAT}")
        head = parse_object(start[1], f"{path}: {start[0]}", WHAT)
        members = read_members(path, WHAT, "samples/", ".json")
        return _task(head), _some(
            (parse_object(data, f"{path}: {name}", WHAT) for name, data in members), path
        )
    log = read_json(path, WHAT)
    samples = log.find("samples", needed=True)[1]
    if not isinstance(samples, list) or not all(isinstance(each, dict) for each in samples):
        raise log.wrong("samples", samples, "a list of samples")
    return _task(log), _some(
        (Row(f"{path}: sample {i + 1}", each) for i, each in enumerate(samples)), path
    )


def _some(rows: Iterator[Row], path: Path) -> Iterator[Row]:
    n = 0
    for n, row in enumerate(rows, 1):  # noqa: B007
        yield row
    if not n:
        raise InputError(f"{path}: the log has no samples; was it made with log_samples=False?")


def _task(log: Row) -> str:
    about = log.part("eval")
    return about.text("task", needed=False) or ""


def _rollout(
    out: Collector, row: Row, intervention: str, scorer: str | None, grades: bool
) -> RolloutRow:
    unit = (out.family, out.method, out.task, row.text("id", blank=False))
    problem = out.problem(unit)
    problem.prompt, problem.answer = _prompt(row), _target(row)
    choice = _choice(row)
    return RolloutRow(
        row.where,
        unit,
        intervention,
        row.whole("epoch", least=1) - 1,
        None if grades else _score(row, scorer),
        text=_completion(choice),
        token_id=_tokens(out, choice),
        ended=ended_by(choice.values.get("stop_reason")),
    )


def _prompt(row: Row) -> str:
    value = row.find("input", needed=True)[1]
    if isinstance(value, list):
        texts = [each.get("content") for each in value if isinstance(each, dict)]
        return "\n".join(map(_content, texts))
    return row.text("input")


def _target(row: Row) -> str:
    value = row.find("target")[1]
    if isinstance(value, list) and value and isinstance(value[0], str):
        return value[0]
    return row.text("target", needed=False) or ""


def _choice(row: Row) -> Row:
    output = row.part("output")
    choices = output.find("choices", needed=True)[1]
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise output.wrong("choices", choices, "a list with one completion")
    return Row(f"{output.where}, choices", choices[0])


def _completion(choice: Row) -> str:
    return _content(choice.part("message").values.get("content"))


def _content(value: Any) -> str:
    """Return the text of a message: plain, or that of its parts."""
    if isinstance(value, list):
        return "".join(str(part.get("text", "")) for part in value if isinstance(part, dict))
    return value if isinstance(value, str) else ""


def _tokens(out: Collector, choice: Row) -> list[int] | None:
    """Return token ids by the names in `logprobs`; None where they are not those of the text."""
    logged = choice.part("logprobs", needed=False)
    if logged is None or out.tokenizer is None:
        return None
    content = logged.find("content", needed=True)[1]
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        raise logged.wrong("content", content, "a list of tokens")
    vocabulary = out.tokenizer.get_vocab()
    names = [each.get("token") for each in content]
    tokens = [vocabulary[name] for name in names if name in vocabulary]
    written = out.tokenizer.decode(tokens, skip_special_tokens=True)
    # Some providers log other tokens than they return, or go on past the end: the text is what was
    # graded.
    if len(tokens) < len(names) or written.strip() != _completion(choice).strip():
        out.count("logged_tokens_of_another_text")
        return None
    return tokens


def _score(row: Row, scorer: str | None) -> bool:
    scores = row.part("scores")
    name = scorer or (next(iter(scores.values)) if len(scores.values) == 1 else None)
    if name is None:
        found = ", ".join(scores.values) or "no scorer"
        raise InputError(f"{row.where} has scores of {found}; pass scorer= to choose one")
    score = scores.part(name)
    value = score.find("value", needed=True)[1]
    if isinstance(value, str) and value in VERDICTS:
        return VERDICTS[value]
    if isinstance(value, str):
        raise score.wrong("value", value, f"{', '.join(VERDICTS)}, or 1 or 0")
    return score.flag("value")
