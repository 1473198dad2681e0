"""Rollouts as JSON lines: the authors' field names, and whatever else of a study there is.

A line is a rollout: ``{"problem_id", "rollout_idx", "generated_text", "output_ids",
"is_correct"}``. Further keys, which other readers pass over: ``intervention`` (``none`` where
absent), ``family``, ``method``, ``task``, ``fired_at``, ``signals``, ``variables``; ``problem`` on
the first line of a problem, and ``study`` on the first line of all.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from recover_nb.core.errors import InputError
from recover_nb.core.places import placed
from recover_nb.core.schema import INTERVENTION, PROBLEM, ROLLOUT, TEXT, TOKEN, VARIABLES, text
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.io.dense import NONE
from recover_nb.io.lines import Row, read_jsonl
from recover_nb.io.paths import Source, by_intervention, names_of
from recover_nb.io.records import Collector
from recover_nb.io.rows import MISSING_MASS, REASON, SIGNALS, RolloutRow, Unit, ended_by

WHAT = "rollouts as JSON lines (problem_id, rollout_idx, generated_text or output_ids, is_correct)"
PROBLEMS = "problems as JSON lines (problem_id, prompt, answer)"
#: Names that other tools give the fields, in order of preference.
PROBLEM_ID = ("problem_id", "pid", "id")
PROMPT = ("prompt", "question", "input")
ROLLOUT_IDX = ("rollout_idx", "rollout_id", "sample_id")
TOKENS = ("output_ids", "token_ids")
#: Variables on (problem, rollout, intervention) and on (problem, ...) that are written as they are.
PER_ROLLOUT = (
    "parseable",
    "ended",
    "worked",
    "first_wrong",
    "wrong_step_start",
    "origin",
    "slip",
    "forward_specialist",
    "forward_ancestor",
    "junction",
    "first_firing",
    "answer_id",
)
PER_PROBLEM = (
    "level",
    "ancestor_pass_at_1",
    "solved_by_majority",
    "value_right",
    "value_n",
    "features",
    "fire_threshold",
    "coverage_mean",
    "coverage_sd",
    "warmup",
    "alternative_token_id",
    "alternative_log_probability",
)
#: What was decided over a population that need not be in the file.
DECIDED = ("regime", "route")
#: Problems read at a time from a stored study.
BLOCK = 25


def from_jsonl(
    path: Source,
    *,
    problems: str | PathLike | None = None,
    is_correct: str | Callable[[str, str], bool] | None = None,
    tokenizer: Any = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str = "imported",
    n_observed: int | None = None,
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read rollouts from JSON lines, or a study that `to_jsonl` wrote.

    Parameters
    ----------
    path : path, or dict of intervention to path
        One line a rollout: ``problem_id`` (or ``pid``, ``id``), ``rollout_idx`` (``rollout_id``,
        ``sample_id``; else the order of the lines), ``generated_text``, ``output_ids``
        (``token_ids``), ``is_correct``. ``intervention`` says which arm a line belongs to, else the
        dict does, else it is ``none``.
    problems : path, optional
        Prompts and answers as JSON lines: ``problem_id``, ``prompt`` (``question``, ``input``),
        ``answer``.
    is_correct : str or callable (text, answer) -> bool, optional
        Grades every text again; needed where lines do not say. See `recover_nb.tasks.make_checker`.
    tokenizer : optional
        Tokenizes texts that come without tokens, and is compared with those that have both;
        mismatches are counted in the attribute ``import_counts_json`` and said in ``import_notes``.
    unit : (family, method)
        Of lines that do not say.
    task : str
    n_observed : int, optional
        Take the first so many rollouts of a problem as observed (``none``), and the others as
        ``retry`` attempts.
    window : int
        Of the junction, in tokens to either side.

    Returns
    -------
    Dataset
        A study (`recover_nb.core.schema`). Interventions without a line are "not run". Without
        tokens there is no ``token`` dimension; texts are kept as ``generated_text``.

    Raises
    ------
    InputError
        A file or a field that cannot be used: file, line, field, what is allowed.

    Notes
    -----
    The fields are those of the authors' toolkit (docs/method.md#sources).

    Examples
    --------
    >>> import recover_nb as rnb
    >>> import json, tempfile
    >>> lines = [
    ...     {"problem_id": "a", "generated_text": "2 + 2 is 4", "is_correct": True},
    ...     {"problem_id": "a", "generated_text": "2 + 2 is 5", "is_correct": False},
    ... ]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open(f"{folder}/log.jsonl", "w") as file:
    ...         for line in lines:
    ...             print(json.dumps(line), file=file)
    ...     ds = rnb.from_jsonl(f"{folder}/log.jsonl")
    >>> ds["correct"].sel(intervention="none").values.tolist()
    [[1, 0]]
    """
    files = by_intervention(path)
    out = Collector(
        names_of(files), "jsonl", unit=unit, task=task, is_correct=is_correct, tokenizer=tokenizer
    )
    if problems is not None:
        read_problems(out, problems)
    study = [read_rollouts(out, read_jsonl(file, WHAT), name) for name, file in files.items()]
    # Several files are no longer the study that one of them was.
    return out.study(n_observed=n_observed, window=window, **(study[0] if len(study) == 1 else {}))


def read_rollouts(out: Collector, rows: Iterable[Row], intervention: str) -> dict[str, Any]:
    """Take rollouts of rows with this format's fields; return what the first says of its study."""
    study: dict[str, Any] = {}
    for place, row in enumerate(rows):
        if not place and row.part("study", needed=False) is not None:
            study = _study(row)
        out.add(_rollout(out, row, intervention, place))
    return study


def read_problems(out: Collector, path: str | PathLike) -> None:
    """Take prompts and answers from a file of problems."""
    for row in read_jsonl(path, PROBLEMS):
        problem = out.problem(_unit(out, row))
        problem.prompt = row.text(*PROMPT) or ""
        problem.answer = row.text("answer", needed=False) or ""


def _unit(out: Collector, row: Row) -> Unit:
    family = row.text("family", needed=False) or out.family
    method = row.text("method", needed=False) or out.method
    task = row.text("task", needed=False) or out.task
    return family, method, task, row.text(*PROBLEM_ID, blank=False)


def _rollout(out: Collector, row: Row, intervention: str, place: int) -> RolloutRow:
    """Make a rollout of a line, and note what the line says of its problem."""
    unit = _unit(out, row)
    about = out.problem(unit)
    about.prompt = about.prompt or row.text(*PROMPT, needed=False) or ""
    # The toolkit writes a generated text under "answer", too; beside one, or beside tokens, it is
    # the expected answer.
    if row.find("generated_text", *TOKENS)[0]:
        about.answer = about.answer or row.text("answer", needed=False) or ""
    stored = row.part("problem", needed=False)
    if stored is not None:
        _read_problem(about, stored)
    tokens = row.ids(*TOKENS, needed=False)
    generated = row.text("generated_text", needed=False)
    if generated is None and tokens is None:
        generated = row.text("answer", "generated_text")
    number = row.whole(*ROLLOUT_IDX, needed=False)
    variables = row.part("variables", needed=False)
    return RolloutRow(
        row.where,
        unit,
        row.text("intervention", needed=False, blank=False) or intervention,
        place if number is None else number,
        row.flag("is_correct", needed=False),
        text=generated,
        token_id=tokens,
        n_tokens=row.whole("n_tokens", needed=False),
        fired_at=row.whole("fired_at", needed=False, least=-1) if row.find("fired_at")[0] else -1,
        signals=_read_signals(row),
        ended=ended_by(row.find(*REASON)[1]),
        extra={} if variables is None else _variables(variables),
    )


def _variables(row: Row) -> dict[str, int | str]:
    """Return what `to_jsonl` stored of a rollout."""
    return {
        name: (
            row.text(name, needed=False) or ""
            if VARIABLES[name].dtype == TEXT
            else row.whole(name, least=-1)
        )
        for name in PER_ROLLOUT
        if name in row.values
    }


def _read_signals(row: Row) -> dict[str, np.ndarray]:
    part = row.part("signals", needed=False)
    if part is None:
        return {}
    unknown = sorted(set(part.values) - set(SIGNALS))
    if unknown:
        raise part.wrong(
            unknown[0], part.values[unknown[0]], f"one of the signals {', '.join(SIGNALS)}"
        )
    names = [name for name in SIGNALS if name not in MISSING_MASS or name in part.values]
    return {name: np.array(part.numbers(name), np.float32) for name in names}


def _read_problem(about: Any, row: Row) -> None:
    """Take what `to_jsonl` stored of a problem."""
    about.prompt = row.text("prompt", needed=False) or about.prompt
    about.answer = row.text("answer", needed=False) or about.answer
    about.split = row.text("split", needed=False) or about.split
    about.decided = {name: row.text(name) for name in DECIDED if name in row.values}
    for name in PER_PROBLEM:
        if name not in row.values:
            continue
        value = row.values[name]
        variable = VARIABLES[name]
        try:
            # null stands for NaN, which JSON does not have.
            array = np.array(value, dtype=np.float64).astype(variable.dtype)
        except (TypeError, ValueError):
            raise row.wrong(name, value, "numbers") from None
        if array.ndim != len(variable.dims) - 1:
            raise row.wrong(name, value, f"numbers on ({', '.join(variable.dims[1:])})")
        about.stored[name] = array


def _study(row: Row) -> dict[str, Any]:
    """Return what the first line says of the whole study."""
    study = row.part("study")
    attrs, names = study.part("attrs"), study.find("interventions", needed=True)[1]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise study.wrong("interventions", names, "a list of names")
    for name, value in attrs.values.items():
        if not isinstance(value, str | int | float | list):
            raise attrs.wrong(name, value, "text, a number, or a list of texts")
    return {"attrs": attrs.values, "interventions": names, "least_tokens": study.whole(TOKEN)}


def to_jsonl(
    ds: xr.Dataset, path: str | PathLike, *, tokenizer: Any = None, replace: bool = False
) -> Path:
    """Write a study as JSON lines, one rollout per line; `from_jsonl` reads it back, equal.

    Parameters
    ----------
    ds : Dataset
        A study with rollouts.
    path : path
        Whole once it is there.
    tokenizer : optional
        With ``decode``: writes the text of rollouts whose study stores tokens only.
    replace : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        The study has no rollouts (a profile table), or `path` exists.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> import tempfile
    >>> ds = rnb.open_study(rnb.example_folder() / "own_study.zarr.zip", load=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = rnb.to_jsonl(ds, f"{folder}/study.jsonl")
    ...     again = rnb.from_jsonl(path)
    >>> again.identical(ds)
    True
    """
    path = Path(path)
    with (
        placed(path, replace=replace, source=ds) as temporary,
        temporary.open("w", encoding="utf-8") as file,
    ):
        for line in lines_of(ds, tokenizer):
            file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def lines_of(ds: xr.Dataset, tokenizer: Any = None) -> Iterator[dict[str, Any]]:
    """Yield the rollouts of a study as plain objects, problem by problem; see `to_jsonl`."""
    if ROLLOUT not in ds.dims:
        raise InputError(
            "the study stores no rollouts (a profile table has rates only), so there is no line to"
            " write"
        )
    blocks = range(0, ds.sizes[PROBLEM], BLOCK)
    bar = tqdm(
        total=ds.sizes[PROBLEM],
        desc="writing",
        unit="problem",
        file=sys.stderr,
        delay=2,
        leave=False,
    )
    with bar:
        for start in blocks:
            # A stored study is compressed in blocks of problems: reading one problem reads its
            # block.
            block = ds.isel({PROBLEM: slice(start, start + BLOCK)}).load()
            for p in range(block.sizes[PROBLEM]):
                yield from _lines(block.isel({PROBLEM: p}), tokenizer, first=start + p == 0)
                bar.update()


def _lines(one: xr.Dataset, tokenizer: Any, first: bool) -> list[dict[str, Any]]:
    """Return the lines of one problem; the first carries what they share."""
    unit = {name: str(one[name].values) for name in ("problem_id", "family", "method", "task")}
    values = {name: one[name].values for name in one.data_vars if name != "prompt"}
    correct, lines = one["correct"].transpose(ROLLOUT, INTERVENTION).values, []
    for i, name in enumerate(text(one[INTERVENTION]).tolist()):
        for r in np.flatnonzero(correct[:, i] >= 0).tolist():
            line = {
                **unit,
                "rollout_idx": r,
                "intervention": name,
                "is_correct": bool(correct[r, i]),
            }
            lines.append(line | _trace(values, r, i, name, tokenizer))
    if lines:
        lines[0]["problem"] = {
            "prompt": str(one["prompt"].values) if "prompt" in one else "",
            "answer": str(one["answer"].values) if "answer" in one else "",
            "split": str(one["split"].values),
            **{name: _plain(values[name]) for name in PER_PROBLEM if name in values},
            **{name: str(values[name]) for name in DECIDED if name in values},
        }
        if first:
            lines[0]["study"] = {
                "attrs": {name: _plain(value) for name, value in one.attrs.items()},
                "interventions": text(one[INTERVENTION]).tolist(),
                TOKEN: one.sizes.get(TOKEN, 0),
            }
    return lines


def _trace(
    values: dict[str, np.ndarray], r: int, i: int, name: str, tokenizer: Any
) -> dict[str, Any]:
    """Return what is stored of one rollout besides its outcome."""
    line: dict[str, Any] = {}
    if "generated_text" in values:
        line["generated_text"] = str(values["generated_text"][r, i])
    n = int(values["n_tokens"][r, i]) if "n_tokens" in values else 0
    if n and values["token_id"][r, i, 0] >= 0:
        line["output_ids"] = values["token_id"][r, i, :n].tolist()
        if tokenizer is not None and "generated_text" not in line:
            line["generated_text"] = tokenizer.decode(line["output_ids"], skip_special_tokens=True)
    elif n:
        line["n_tokens"] = n
    if n and values["fired_at"][r, i] >= 0:
        line["fired_at"] = int(values["fired_at"][r, i])
    kept = {
        each: values[each]
        for each in PER_ROLLOUT
        if each in values and (values[each].ndim == 2 or name == NONE)
    }
    kept = {
        each: str(value) if VARIABLES[each].dtype == TEXT else int(value)
        for each, value in ((each, array[(r, i)[: array.ndim]]) for each, array in kept.items())
    }
    if kept:
        line["variables"] = kept
    if name == NONE and n and "has_signals" in values and values["has_signals"][r]:
        line["signals"] = {each: values[each][r, :n].tolist() for each in SIGNALS if each in values}
    return line


def _plain(value: Any) -> Any:
    """Return JSON's form of an attribute or array; None for NaN."""
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), None, array.astype(object))
    return array.tolist()
