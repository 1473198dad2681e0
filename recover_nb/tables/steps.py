"""Steps of a trace to read: which is the first wrong one, and what the verifier says of each.

docs/method.md#19-steps.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Task
from recover_nb.core.schema import UNIT_COORDS, text
from recover_nb.features.steps import (
    LINE,
    SPACE,
    StepLabel,
    step_labels,
    step_starts,
    step_tools,
)
from recover_nb.io.steps import load_steps
from recover_nb.tables.inspection import Trace

#: How a step is marked, by what is known of it.
MARKS = {StepLabel.RIGHT: "right", StepLabel.FIRST_WRONG: "wrong", StepLabel.AFTER: "after"}
#: Beside the mark of a step that a calculator could do.
TOOL = "tool"


@dataclass(frozen=True)
class StepMarks:
    """What is marked under each token of a trace, and said of it; empty where no step is known.

    Attributes
    ----------
    marks : list of str
        ``right``, ``wrong`` or ``after``, with `` tool`` behind it where a calculator could do the
        step, and `` begins`` at its first token.
    notes : list of str
        The same in words, with P(step right) where the verifier has read the trace.
    """

    marks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def marks_of_trace(
    ds: xr.Dataset, problem: int, rollout: int, intervention: str, trace: Trace
) -> StepMarks:
    """Return the marks of a trace's steps.

    Parameters
    ----------
    ds : Dataset
        A study that says where wrong traces went wrong (`wrong_step_start`).
    problem, rollout : int
    intervention : str
    trace : Trace
        As `read_trace` returns it.

    Returns
    -------
    StepMarks
        Empty for a wrong trace whose first wrong step is not known.
    """
    if "wrong_step_start" not in ds or "prompt" not in ds or not len(trace.tokens):
        return StepMarks()
    one = ds.isel(problem=problem)
    shipped = str(one["task"].values) in {each.value for each in Task}
    starts = step_starts(trace.tokens, SPACE if shipped else LINE)
    wrong = int(one["wrong_step_start"].isel(rollout=rollout).sel(intervention=intervention))
    labels = step_labels(starts, trace.correct, wrong)
    if (labels == StepLabel.UNKNOWN).any():
        return StepMarks()
    tools = step_tools(trace.tokens, starts, labels, str(one["prompt"].values))
    p = _scores(one, rollout, starts) if intervention == Intervention.NONE else None
    marks, notes = [], []
    for at, n in enumerate(np.diff([*starts, len(trace.tokens)]).tolist()):
        label = StepLabel(labels[at])
        mark = MARKS[label] + (f" {TOOL}" if tools[at] else "")
        said = f"step {at + 1}: {label.words}"
        said += ", a calculator could do it" if tools[at] else ""
        said += "" if p is None else f", P(right) {p[at]:.2f}"
        marks += [f"{mark} begins", *[mark] * (n - 1)]
        notes += [said] * n
    return StepMarks(tuple(marks), tuple(notes))


def _scores(one: xr.Dataset, rollout: int, starts: np.ndarray) -> np.ndarray | None:
    """Return P(step right) of a trace of the bundled study; None where it was not read."""
    found = _stored()
    unit = tuple(str(one[name].values) for name in UNIT_COORDS)
    if found is None or unit not in found[1]:
        return None
    steps, place = found[0], found[1][unit]
    first, last = np.searchsorted(steps["problem_of"].values, [place, place + 1])
    rows = first + np.flatnonzero(steps["rollout_of"].values[first:last] == rollout)
    p = steps["p_right"].values[rows]
    same = np.array_equal(steps["start"].values[rows], starts)
    return p if same and not np.isnan(p).any() else None


@lru_cache(maxsize=1)
def _stored() -> tuple[xr.Dataset, dict[tuple[str, ...], int]] | None:
    """Return the shipped steps, and the place of each problem; None without the file."""
    try:
        steps = load_steps()
    except InputError:
        return None
    if "p_right" not in steps:
        return None
    units = zip(*(text(steps[name]).tolist() for name in UNIT_COORDS), strict=True)
    return steps, {unit: place for place, unit in enumerate(units)}
