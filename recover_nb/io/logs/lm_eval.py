"""Sample logs of lm-evaluation-harness.

Files are named ``samples_{task}_{date}.jsonl``.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.io.lines import MAX_LINE_BYTES, Row, read_jsonl
from recover_nb.io.logs.arms import Answers, Log, Problems, choose_logs
from recover_nb.io.logs.lm_eval_line import (
    metric_of,
    names_of_problem,
    prompt_of,
    reasons_of,
    responses_of,
    score_of,
    targets_of,
)
from recover_nb.io.paths import Source, by_intervention, files_of, names_of
from recover_nb.io.records import Collector
from recover_nb.io.rows import RolloutRow, ended_by
from recover_nb.tasks import CHECKERS
from recover_nb.tasks.checkers import RULE

WHAT = "a sample log of lm-evaluation-harness (samples_TASK_DATE.jsonl)"
FILE_NAME = re.compile(
    r"samples_(?P<task>.+?)(_(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+))?\.jsonl(\.gz|\.zst)?"
)


@checks.takes(
    tokenizer=checks.TOKENIZER,
    path=checks.PATHS,
    is_correct=RULE,
    filter=checks.TEXT,
    metric=checks.TEXT,
    unit=checks.UNIT,
    task=checks.TEXT,
    n_observed=checks.COUNT,
    window=checks.DRAWS,
)
def from_lm_eval(
    path: Source,
    *,
    is_correct: str | Callable[[str, str], bool] | None = None,
    filter: str | None = None,
    metric: str | None = None,
    tokenizer: Any = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str | None = None,
    n_observed: int | None = None,
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read sample logs of lm-evaluation-harness.

    Logs of log-likelihoods (multiple choice) are read as outcomes without a text.

    Parameters
    ----------
    path : path, or dict of intervention to path
        A log, a folder of logs of several tasks, or one a decoding: ``{"none": ..., "retry": ...,
        "temperature": ...}`` of the same task. Of several logs of a task in a folder the newest is
        read.
    is_correct : str or callable (text, answer) -> bool, optional
        Grades every response against the target; any of several targets counts. Needed where a
        document has several responses: the harness stores one metric a document, which is that of
        the filtered response, mostly the first.
    filter : str, optional
        Which of the task's filters to read the metric of; the first in the file unless given. Every
        filter has a line of its own with the same responses. Versions 0.4.3 to 0.4.6 name no
        filters: the first line of each document is read.
    metric : str, optional
        Which metric says correct (1) or wrong (0); the only one unless given. Partial credit counts
        as wrong.
    tokenizer, unit, n_observed, window
        See `from_jsonl`.
    task : str, optional
        The file's unless given.

    Returns
    -------
    Dataset
        A study without traces, or with them if a tokenizer is given. Problems are named by
        ``problem_id`` or ``id`` of the document where those are unique, else by ``doc_id``.

    Raises
    ------
    InputError
        A field that cannot be used, several responses and nothing to grade them by, several metrics
        and no choice, the summary (``results_DATE.json``) in place of the samples.

    Examples
    --------
    The harness keeps one grade for all responses to a document, so each is graded again.

    >>> import recover_nb as rnb
    >>> folder = rnb.example_folder() / "lm_eval"
    >>> logs = {arm: folder / f"samples_{arm}.jsonl" for arm in ("none", "retry")}
    >>> ds = rnb.from_lm_eval(logs, is_correct="regex:#(.+)$")
    >>> ds.sizes["problem"], round(float(ds["rescue_rate"].sel(intervention="retry").mean()), 2)
    (8, 0.75)
    """
    files = by_intervention(path)
    answers = Answers(is_correct)
    out = Collector(
        names_of(files),
        "lm_eval",
        unit=unit,
        task="lm_eval",
        is_correct=answers.checker,
        tokenizer=tokenizer,
    )
    found = {arm: _logs(file, tuple(files)) for arm, file in files.items()}
    read = [
        (arm, log, _lines(out, log.path, filter))
        for arm, log in choose_logs(out, found, task, "lm_eval")
    ]
    reader = _Reader(out, answers, metric, _own_names(out, [rows for _, _, rows in read]))
    for arm, log, rows in read:
        reader.take(rows, log, arm)
    return out.study(n_observed=n_observed, window=window)


def _logs(path: Path, arms: tuple[str, ...]) -> list[Log]:
    """Return the logs of a path: one, or the sample logs of a folder."""
    files = files_of(path, ".jsonl")
    if path.is_dir():
        files = [each for each in files if FILE_NAME.fullmatch(each.name)]
    if not files:
        raise InputError(f"{path}: the folder has no samples_*.jsonl; give {WHAT}")
    found = []
    for each in files:
        _check_no_summary(each)
        name = FILE_NAME.fullmatch(each.name)
        task, date = (name["task"], name["date"] or "") if name else ("", "")
        # Named after its arm: that is no task.
        task = "" if task in arms else task
        found.append(Log(each, task, _run(each, date) if path.is_dir() else "", date))
    return found


def _run(path: Path, date: str) -> str:
    """Return the folder of a log, and the model that the summary beside it names."""
    summary = path.with_name(f"results_{date}.json")
    try:
        small = summary.is_file() and summary.stat().st_size <= MAX_LINE_BYTES
        values = json.loads(summary.read_bytes()) if small else {}
    except (ValueError, RecursionError, OSError):
        values = {}
    model = values.get("model_name") if isinstance(values, dict) else None
    return f"{path.parent.name} {model}" if isinstance(model, str) else path.parent.name


def _check_no_summary(path: Path) -> None:
    """Refuse the harness's own summary, and name the samples beside it."""
    if path.suffix != ".json" or not path.is_file() or path.stat().st_size > MAX_LINE_BYTES:
        return
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError):  # The reader of the rows says what is wrong.
        return
    if isinstance(values, dict) and isinstance(values.get("eval"), dict):
        raise InputError(f"{path}: a log of inspect_ai; read it with from_inspect")
    if isinstance(values, dict) and isinstance(values.get("results"), dict):
        beside = sorted(path.parent.glob("samples_*.jsonl"))
        shown = f", such as {beside[0]}" if beside else "; run the harness with --log_samples"
        raise InputError(f"{path}: the summary of a run, without its responses; give {WHAT}{shown}")


def _lines(out: Collector, path: Path, wanted: str | None) -> list[Row]:
    """Return the lines of one filter."""
    chosen, seen, taken = wanted, [], []
    unnamed: dict[str, Any] = {}
    for row in read_jsonl(path, WHAT, out.tell):
        named = row.text("filter", needed=False)
        filtered_by = named or "none"
        if filtered_by not in seen:
            seen.append(filtered_by)
        chosen = filtered_by if chosen is None else chosen
        if filtered_by != chosen:
            continue
        if named is None and _came_before(unnamed, row):
            out.tell(
                "lines_of_unnamed_filters",
                "{n} lines are of further filters that the log does not name; the first line of"
                " each document was read",
            )
            continue
        taken.append(row)
    if not taken:
        raise InputError(f"{path}: no line has the filter {wanted!r}; it has {', '.join(seen)}")
    if len(seen) > 1:
        out.notes.append(f"{path.name} has the filters {', '.join(seen)}; read was {chosen}")
    return taken


def _came_before(known: dict[str, Any], row: Row) -> bool:
    """Whether the same responses to the same document came before, under another filter."""
    place = str(row.values.get("doc_id"))
    responses = row.values.get("resps")
    if place not in known:
        known[place] = responses
        return False
    return responses is not None and known[place] == responses


def _own_names(out: Collector, logs: list[list[Row]]) -> bool:
    """Whether documents can be called by their own names: each of one document alone."""
    for rows in logs:
        names: dict[str, str] = {}
        for row in rows:
            named, number = names_of_problem(row)
            if named is None:
                return False
            if names.setdefault(named, number) != number:
                out.notes.append(
                    f"{row.where.partition(': line')[0]}: several documents are named {named!r};"
                    " problems are named by doc_id"
                )
                return False
    return True


class _Reader:
    """Takes the lines of logs as rollouts."""

    def __init__(
        self, out: Collector, answers: Answers, metric: str | None, own_names: bool
    ) -> None:
        self.out, self.answers, self.metric, self.own_names = out, answers, metric, own_names
        self.problems = Problems(out)

    def take(self, rows: list[Row], log: Log, arm: str) -> None:
        """Take all lines of a log."""
        for row in rows:
            for each in self._rollouts(row, log, arm):
                self.out.add(each)

    def _rollouts(self, row: Row, log: Log, arm: str) -> list[RolloutRow]:
        named, number = names_of_problem(row)
        problem_id = named if self.own_names and named is not None else number
        unit = (self.out.family, self.out.method, log.name, problem_id)
        graded = self.answers.checker is not None
        texts = responses_of(row, graded=graded)
        correct = False if graded else self._verdict(row, len(texts))
        if correct is None:
            self.out.tell("unscored", "{n} lines have no score (NaN) and are left out")
            return []
        self._tell(texts)
        answer = self.answers.any_of(targets_of(row, self.out))
        self.problems.take(unit, log, row.where, prompt_of(row), answer)
        return [
            RolloutRow(
                row.where,
                unit,
                arm,
                number,
                correct if text is None or not graded else None,
                text=text,
                ended=ended_by(reason),
            )
            for number, (text, reason) in enumerate(
                zip(texts, reasons_of(row, len(texts)), strict=True)
            )
        ]

    def _verdict(self, row: Row, n: int) -> bool | None:
        if n > 1:
            raise InputError(
                f"{row.where} has {n} responses and one metric, which is of the filtered one; pass"
                f" is_correct= ({', '.join(CHECKERS)}, regex:PATTERN, or a function of text and"
                " answer) to grade each"
            )
        return score_of(row, metric_of(row, self.metric, self.out), self.out)

    def _tell(self, texts: list[str | None]) -> None:
        if None in texts:
            self.out.tell(
                "likelihoods",
                "{n} lines are log-likelihoods of choices; they are outcomes without a text",
            )
