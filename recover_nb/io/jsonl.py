"""Rollouts as JSON lines: anybody's names of the fields, and whatever of a study there is.

A line is a rollout: ``{"problem_id", "rollout_idx", "generated_text", "output_ids",
"is_correct"}``. Further keys, which other readers pass over: ``intervention`` (``none`` where
absent), ``family``, ``method``, ``task``, ``fired_at``, ``signals``, ``variables``; ``problem`` on
the first line of a problem, and ``study`` on the first line of all.
"""

import json
import sys
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import FEATURES
from recover_nb.core.places import placed
from recover_nb.core.schema import (
    FEATURE,
    INTERVENTION,
    PROBLEM,
    ROLLOUT,
    TEXT,
    TOKEN,
    UNIT_COORDS,
    VARIABLES,
)
from recover_nb.core.validation import validate
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.io import rollout_rows
from recover_nb.io.dense import NONE
from recover_nb.io.fields import NAMES
from recover_nb.io.holding import check_held, computed, plain_attrs
from recover_nb.io.lines import read_jsonl
from recover_nb.io.own_keys import DECIDED, PER_PROBLEM, PER_ROLLOUT, own_problem, read_problem
from recover_nb.io.own_rows import own_or_rows
from recover_nb.io.own_study import Layout, beside, layout_of, said
from recover_nb.io.paths import Source, by_intervention, names_of
from recover_nb.io.problems import problem_rows
from recover_nb.io.records import Collector
from recover_nb.io.rollout_rows import (
    Reading,
    expected_answer,
    find_name,
    read_prompt,
    read_rollouts,
)
from recover_nb.io.row_texts import Found
from recover_nb.io.rows import SIGNALS, Unit
from recover_nb.routing.derive import counted
from recover_nb.tasks.checkers import RULE

WHAT = "rollouts as JSON lines (problem_id, rollout_idx, generated_text or output_ids, is_correct)"
#: Names that tools give the fields, in order of preference.
PROBLEM_ID = NAMES["problem_id"]
PROMPT = NAMES["prompt"]
ROLLOUT_IDX = NAMES["rollout_idx"][:3]
TOKENS = rollout_rows.TOKENS
#: Problems read at a time from a stored study.
BLOCK = 25


@checks.takes(
    tokenizer=checks.TOKENIZER,
    path=checks.PATHS,
    problems=checks.PATH,
    is_correct=RULE,
    unit=checks.UNIT,
    task=checks.TEXT,
    n_observed=checks.COUNT,
    window=checks.DRAWS,
)
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
        One line a rollout: ``problem_id`` (or ``pid``, ``id``; else each prompt is a problem),
        ``rollout_idx`` (``rollout_id``, ``sample_id``; else the order of the lines),
        ``generated_text``, ``output_ids`` (``token_ids``), ``is_correct``. ``intervention`` says
        which arm a line belongs to, else the dict does, else it is ``none``. Other names that tools
        give these are read where only one can be meant (`recover_nb.io.fields.NAMES`), and told. A
        text may be a conversation (``messages``), or what an API returned (``choices``, a line of a
        batch); its reasoning comes before its answer. A line with lists of texts and of verdicts
        holds several rollouts.
    problems : path, optional
        Prompts and answers as JSON lines: ``problem_id``, ``prompt`` (``question``, ``input``),
        ``answer``, or other names of these.
    is_correct : str or callable (text, answer) -> bool, optional
        Grades every text again; needed where lines do not say. See `recover_nb.tasks.make_checker`.
        Rollouts whose expected answer it cannot read keep the verdict of the file, or are left out.
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
        A file or a field that cannot be used: file, line, field, what is allowed. Two fields that
        could both be meant. A function ``is_correct`` that raises, or returns no verdict.

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
    known = set(out.problems)
    asked = problems is not None or is_correct is not None or tokenizer is not None
    alone = len(files) == 1 and not asked and n_observed is None
    study = []
    for name, file in files.items():
        rows = own_or_rows(read_jsonl(file, WHAT, tell=out.tell), str(file), out, alone)
        if isinstance(rows, xr.Dataset):
            return rows
        study.append(read_rollouts(out, rows, name))
    if problems is not None:
        _say_unmatched(out, known)
    # Several files are no longer the study that one of them was.
    return out.study(n_observed=n_observed, window=window, **(study[0] if len(study) == 1 else {}))


def read_problems(out: Collector, path: str | PathLike) -> None:
    """Take prompts and answers from a file of problems."""
    names = Reading(out, NONE)
    for row in problem_rows(path, out.tell):
        stored = own_problem(row)
        name = find_name(row, out)
        if name is None:
            row.text(*PROBLEM_ID, blank=False)
        problem = out.problem((*names.cell(row), str(name)))
        if stored is not None:
            read_problem(problem, stored)
        problem.prompt = read_prompt(row, Found(), out.tell) or problem.prompt
        if not problem.prompt:
            row.text(*PROMPT)
        problem.answer = expected_answer(row, out, has_text=True) or problem.answer


def _say_unmatched(out: Collector, known: set[Unit]) -> None:
    """Tell of problems without rollouts, and of rollouts whose problem is not in the file."""
    used = {row.unit for row in out.rows}
    alone = len(known - used)
    if alone:
        out.tell("problems_without_rollouts", "{n} problems of problems= have no rollout", alone)
    strange = sum(row.unit not in known for row in out.rows)
    if strange:
        out.tell(
            "rollouts_of_other_problems",
            "{n} rollouts are of problems that problems= does not have",
            strange,
        )


@takes_study()
@checks.takes(tokenizer=checks.TOKENIZER, path=checks.PATH, replace=checks.FLAG)
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


def lines_of(ds: xr.Dataset, tokenizer: Any = None, what: str = "JSON") -> Iterator[dict[str, Any]]:
    """Yield a study as plain objects, problem by problem, a rollout each; see `to_jsonl`.

    The first of a problem holds what its rollouts share; without rollouts, it is the only one.
    """
    ds = validate(counted(ds), deep=False)
    if ROLLOUT not in ds.dims:
        raise InputError(
            "the study stores no rollouts (a profile table has rates only), so there is no line to"
            " write"
        )
    if not ds.sizes[PROBLEM]:
        raise InputError("the study has no problem, so there is no line to write")
    check_held(ds[[name for name in ds.variables if PROBLEM not in ds[name].dims]], what, nul=False)
    layout = layout_of(ds, plain_attrs)
    correct = ds["correct"].values >= 0
    header = {
        "attrs": plain_attrs(ds.attrs),
        "interventions": layout.interventions,
        TOKEN: ds.sizes.get(TOKEN, 0),
        "rows": int(np.maximum(correct.sum((1, 2)), 1).sum()),
        "sizes": layout.sizes,
        "variables": layout.variables,
    }
    bar = tqdm(
        total=ds.sizes[PROBLEM],
        desc="writing",
        unit="problem",
        file=sys.stderr,
        delay=2,
        leave=False,
    )
    with bar:
        for start in range(0, ds.sizes[PROBLEM], BLOCK):
            # A stored study is compressed in blocks of problems: reading one problem reads its
            # block.
            block = computed(ds.isel({PROBLEM: slice(start, start + BLOCK)}))
            check_held(block, what, nul=False)
            for p in range(block.sizes[PROBLEM]):
                lines = _lines(block.isel({PROBLEM: p}), tokenizer, layout)
                if start + p == 0:
                    lines[0]["study"] = header
                yield from lines
                bar.update()


def _lines(one: xr.Dataset, tokenizer: Any, layout: Layout) -> list[dict[str, Any]]:
    """Return the lines of one problem; the first carries what they share."""
    unit = {name: str(one[name].values) for name in UNIT_COORDS}
    values = {name: one[name].values for name in layout.variables if PROBLEM in layout.dims(name)}
    correct, lines = one["correct"].transpose(ROLLOUT, INTERVENTION).values, []
    for i, name in enumerate(layout.interventions):
        for r in np.flatnonzero(correct[:, i] >= 0).tolist():
            line = {
                **unit,
                "rollout_idx": r,
                "intervention": name,
                "is_correct": bool(correct[r, i]),
            }
            lines.append(line | _trace(values, r, i, name, tokenizer))
    lines = lines or [unit]
    features = one["features"].sel({FEATURE: list(FEATURES)})
    lines[0]["problem"] = {
        "prompt": str(one["prompt"].values) if "prompt" in one else "",
        "answer": str(one["answer"].values) if "answer" in one else "",
        "split": str(one["split"].values),
        **{name: _plain(values[name]) for name in PER_PROBLEM if name in values},
        # In the order that other readers expect.
        "features": _plain(features.values),
        **{name: str(values[name]) for name in DECIDED if name in values},
    }
    lines[0]["problem"]["beside"] = beside(values, lines, layout)
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
        signals = {each: values[each][r, :n] for each in SIGNALS if each in values}
        if all(np.isfinite(each).all() for each in signals.values()):
            line["signals"] = {each: found.tolist() for each, found in signals.items()}
    return line


def _plain(value: np.ndarray) -> Any:
    """Return JSON's form of an array: null for NaN, texts for infinities."""
    return np.reshape(np.array(said(value), dtype=object), np.shape(value)).tolist()
