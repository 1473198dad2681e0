"""Sample logs of lm-evaluation-harness, made by ``generate_until`` tasks.

Files are named ``samples_{task}_{date}.jsonl``.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.io.lines import Row, read_jsonl
from recover_nb.io.paths import Source, by_intervention, names_of
from recover_nb.io.records import Collector
from recover_nb.io.rows import REASON, RolloutRow, ended_by

WHAT = "a sample log of lm-evaluation-harness (samples_TASK_DATE.jsonl)"
FILE_NAME = re.compile(r"samples_(?P<task>.+?)(_\d{4}-\d\d-\d\dT[\d.:-]+)?\.jsonl")


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

    Parameters
    ----------
    path : path, or dict of intervention to path
        A log, or one a decoding: ``{"none": ..., "retry": ..., "temperature": ...}`` of the same
        task.
    is_correct : str or callable (text, answer) -> bool, optional
        Grades every response against the target. Needed where a document has several responses: the
        harness stores one metric a document, which is that of the filtered response, mostly the
        first.
    filter : str, optional
        Which of the task's filters to read the metric of; the first in the file unless given. Every
        filter has a line of its own with the same responses.
    metric : str, optional
        Which metric says correct (1) or wrong (0); the only one unless given.
    tokenizer, unit, n_observed, window
        See `from_jsonl`.
    task : str, optional
        The file's unless given.

    Returns
    -------
    Dataset
        A study without traces, or with them if a tokenizer is given. Problems are named by
        ``problem_id`` or ``id`` of the document, else by ``doc_id``.

    Raises
    ------
    InputError
        A field that cannot be used, a log of loglikelihood requests, several responses and nothing
        to grade them by.

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
    found = FILE_NAME.fullmatch(next(iter(files.values())).name)
    name = task or (found["task"] if found and len(files) == 1 else "lm_eval")
    out = Collector(
        names_of(files), "lm_eval", unit=unit, task=name, is_correct=is_correct, tokenizer=tokenizer
    )
    for intervention, file in files.items():
        _read(out, file, intervention, filter, metric, is_correct is not None)
    return out.study(n_observed=n_observed, window=window)


def _read(
    out: Collector,
    path: Path,
    intervention: str,
    wanted: str | None,
    metric: str | None,
    grades: bool,
) -> None:
    chosen, seen, taken = wanted, [], 0
    for row in read_jsonl(path, WHAT):
        filtered_by = row.text("filter", needed=False) or "none"
        if filtered_by not in seen:
            seen.append(filtered_by)
        chosen = filtered_by if chosen is None else chosen
        if filtered_by != chosen:
            continue
        taken += 1
        for each in _rollouts(out, row, intervention, metric, grades):
            out.add(each)
    if not taken:
        raise InputError(f"{path}: no line has the filter {wanted!r}; it has {', '.join(seen)}")
    if len(seen) > 1:
        out.notes.append(f"{path.name} has the filters {', '.join(seen)}; read was {chosen}")


def _rollouts(
    out: Collector, row: Row, intervention: str, metric: str | None, grades: bool
) -> list[RolloutRow]:
    unit = (out.family, out.method, out.task, _problem_id(row))
    responses = row.find("resps", needed=True)[1]
    if not isinstance(responses, list) or len(responses) != 1 or not isinstance(responses[0], list):
        raise row.wrong(
            "resps", responses, "one list of responses, as generate_until tasks write it"
        )
    texts = responses[0]
    if not texts or not all(isinstance(each, str) for each in texts):
        raise row.wrong(
            "resps", responses, "texts, as generate_until tasks write them (not log-likelihoods)"
        )
    correct = None
    if not grades:
        if len(texts) > 1:
            raise InputError(
                f"{row.where} has {len(texts)} responses and one metric, which is of the filtered"
                " one; pass is_correct= (exact, numeric, choice, regex:PATTERN, or a function of"
                " text and answer) to grade each"
            )
        correct = _metric(row, metric)
    problem = out.problem(unit)
    problem.prompt, problem.answer = _prompt(row), _target(row)
    return [
        RolloutRow(
            row.where, unit, intervention, number, correct, text=text, ended=ended_by(reason)
        )
        for number, (text, reason) in enumerate(zip(texts, _reasons(row, len(texts)), strict=True))
    ]


def _reasons(row: Row, n: int) -> list[Any]:
    """Return why each response ended, where the log says it: one reason, or one per response."""
    name, value = row.find(*REASON)
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    if not isinstance(value, list):
        return [value] * n
    if len(value) != n:
        raise row.wrong(name, value, f"one reason per response, and there are {n}")
    return value


def _problem_id(row: Row) -> str:
    doc = row.part("doc", needed=False)
    named = doc.text("problem_id", "id", needed=False, blank=False) if doc is not None else None
    return named or row.text("doc_id", blank=False)


def _prompt(row: Row) -> str:
    """Return the text the model was given, from a list or an object.

    Older versions write a list where newer ones write an object.
    """
    value = row.find("arguments", needed=True)[1]
    first = _first(value, "gen_args_0")
    prompt = _first(first, "arg_0")
    if not isinstance(prompt, str):
        raise row.wrong("arguments", value, "an object with gen_args_0.arg_0, the prompt")
    return prompt


def _first(value: Any, name: str) -> Any:
    """Return what a name has in an object, or the first of a list."""
    if isinstance(value, dict):
        return value.get(name)
    return value[0] if isinstance(value, list) and value else None


def _target(row: Row) -> str:
    name, value = row.find("target")
    if isinstance(value, list) and len(value) == 1:
        return Row(row.where, {name: value[0]}).text(name)
    return row.text("target", needed=False) or ""


def _metric(row: Row, metric: str | None) -> bool:
    names = row.values.get("metrics")
    if metric is None:
        known = (
            names
            if isinstance(names, list)
            else [k for k in ("exact_match", "acc") if k in row.values]
        )
        if len(known) != 1:
            shown = ", ".join(map(str, known)) or "none that is known"
            raise InputError(
                f"{row.where} has the metrics {shown}; pass metric= to say which one means correct"
            )
        metric = str(known[0])
    return row.flag(metric)
