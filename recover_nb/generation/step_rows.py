"""Steps of a study's observed rollouts: cut, labelled, and read by both models.

docs/method.md#19-steps. Needs torch.
"""

from dataclasses import dataclass, fields

import numpy as np
import xarray as xr

from recover_nb import tasks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Task
from recover_nb.core.schema import ROLLOUT, failed_rollouts, text
from recover_nb.core.stored_json import json_attr
from recover_nb.core.token_text import pieces_at, pieces_of
from recover_nb.features.steps import (
    LINE,
    SPACE,
    TokenNumbers,
    step_labels,
    step_numbers,
    step_starts,
    step_tools,
)
from recover_nb.features.value import fatal_token, problems_with_value, recorded_value
from recover_nb.generation.decoding import Pair, token_numbers
from recover_nb.generation.decoding.threads import threads_for
from recover_nb.tasks.base import Problem

NONE = Intervention.NONE.value
#: Without them there is no trace to cut.
_NEEDED = ("prompt", "token_id", "n_tokens", "correct")


@dataclass(frozen=True)
class StepRows:
    """Steps of many traces, one after the other.

    Attributes
    ----------
    problem, rollout, step, start, tokens : (row,) int
        Where a step is: place of its problem, its number, its first token, how many it has.
    label, tool : (row,) int8
        Codes of `features.steps.StepLabel`, and whether a calculator could do it.
    numbers : (row, number) float32
        `features.steps.NUMBERS`.
    mean_log_probability : (problem, rollout) float32
        Of the trace's tokens under the specialist; NaN where it was not run.
    """

    problem: np.ndarray
    rollout: np.ndarray
    step: np.ndarray
    start: np.ndarray
    tokens: np.ndarray
    label: np.ndarray
    tool: np.ndarray
    numbers: np.ndarray
    mean_log_probability: np.ndarray

    def shifted(self, by: int) -> "StepRows":
        """Return the same steps of problems that stand `by` places later."""
        mine = {each.name: getattr(self, each.name) for each in fields(self)}
        return StepRows(**(mine | {"problem": self.problem + by}))


def together(parts: list[StepRows]) -> StepRows:
    """Put the steps of several specialists one after the other; their problems are counted on."""
    sizes = np.cumsum([0, *(len(each.mean_log_probability) for each in parts)])
    moved = [each.shifted(int(at)) for each, at in zip(parts, sizes, strict=False)]
    names = [each.name for each in fields(StepRows)]
    return StepRows(
        **{name: np.concatenate([getattr(each, name) for each in moved]) for name in names}
    )


def programs_of(ds: xr.Dataset) -> dict[str, Problem]:
    """Return the shipped problems of a study by id, where it says how they were drawn."""
    plan = json_attr(ds.attrs, "config_json")
    known = {each.value for each in Task}
    if not {"tasks", "split", "n_problems", "problem_seed"} <= set(plan) or plan.get("remap_seed"):
        return {}
    drawn = [
        tasks.problems(task, plan["split"], plan["n_problems"], plan["problem_seed"])
        for task in plan["tasks"]
        if task in known
    ]
    return {each.problem_id: each for several in drawn for each in several}


def rows_of(
    ds: xr.Dataset, pair: Pair, *, n_rollouts: int, by: str | None = None, temperature: float
) -> StepRows:
    """Return the steps of a study of one specialist, read by its models.

    Parameters
    ----------
    ds : Dataset
        With tokens.
    pair : Pair
    n_rollouts : int
        The first observed rollouts of each problem.
    by : str, optional
        What ends a step: a name of `STEP_ENDS`; a space for the shipped tasks, the end of a line
        for others.
    temperature : float

    Raises
    ------
    InputError
        The study stores no traces, or their text is not known.
    """
    missing = [name for name in _NEEDED if name not in ds]
    if missing:
        raise InputError(
            f"the study has no {missing[0]}, so there are no steps to cut; read its log with"
            " tokenizer="
        )
    first = _first_wrong(ds)[:, :n_rollouts]
    ds = ds.isel({ROLLOUT: slice(n_rollouts)})
    none = ds.sel(intervention=NONE)
    correct = none["correct"].transpose("problem", "rollout").values == 1
    prompts, ids = text(ds["prompt"]).tolist(), text(ds["problem_id"]).tolist()
    token_id = none["token_id"].transpose("problem", "rollout", "token").values
    n_tokens = none["n_tokens"].transpose("problem", "rollout").values
    said = _said(pair, prompts, token_id, n_tokens, temperature)
    programs = programs_of(ds)
    columns: dict[str, list] = {name: [] for name in ("problem", "rollout", "step", "start")}
    columns |= {name: [] for name in ("tokens", "label", "tool", "numbers")}
    mean = np.full(n_tokens.shape, np.nan, np.float32)
    pieces = pieces_at(ds)
    if not pieces:
        raise InputError(
            "the study does not say what its tokens stand for, so no step can be told from the"
            " next; read its log with tokenizer="
        )
    for p, r in zip(*np.nonzero(n_tokens), strict=True):
        size = n_tokens[p, r]
        words = pieces_of(token_id[p, r, :size], pieces)
        problem = programs.get(ids[p])
        own = by or (SPACE if problem is not None or _shipped(ds, p) else LINE)
        starts = step_starts(words, own)
        right, wrong = bool(correct[p, r]), int(first[p, r])
        if right and problem is not None:
            wrong = _lucky(problem, words)
        label = step_labels(starts, right, wrong)
        tokens = TokenNumbers(*(each[p, r, :size] for each in said))
        mean[p, r] = tokens.specialist.mean()
        row = {"problem": np.full(len(starts), p), "rollout": np.full(len(starts), r)}
        row |= {"step": np.arange(len(starts)), "start": starts, "label": label}
        row |= {"tokens": np.diff([*starts, size]), "numbers": step_numbers(tokens, starts)}
        row["tool"] = step_tools(words, starts, label, prompts[p])
        for name, values in row.items():
            columns[name].append(values)
    if not columns["problem"]:
        raise InputError("the study has no observed rollout with a token; choose other problems")
    found = {name: np.concatenate(each) for name, each in columns.items()}
    return StepRows(**found, mean_log_probability=mean)


def _said(
    pair: Pair,
    prompts: list[str],
    token_id: np.ndarray,
    n_tokens: np.ndarray,
    temperature: float,
) -> TokenNumbers:
    """Return what both models say of every token; equal traces of a problem are read once."""
    same = np.zeros(n_tokens.shape, int)
    for p, traces in enumerate(token_id):
        first: dict[bytes, int] = {}
        same[p] = [first.setdefault(trace.tobytes(), r) for r, trace in enumerate(traces)]
    once = np.where(same == np.arange(token_id.shape[1]), n_tokens, 0)
    with threads_for(pair):
        said = token_numbers(pair, prompts, token_id, once, temperature)
    return TokenNumbers(*(np.take_along_axis(each, same[..., None], 1) for each in said))


def _shipped(ds: xr.Dataset, problem: int) -> bool:
    return str(ds["task"].values[problem]) in {each.value for each in Task}


def _first_wrong(ds: xr.Dataset) -> np.ndarray:
    """Return a token of the first wrong step, (problem, rollout) int; -1 = not known.

    As the study says by the task's program; where it does not, the fatal tokens of its value maps.
    """
    if "wrong_step_start" in ds:
        told = ds["wrong_step_start"].sel(intervention=NONE)
        return told.transpose("problem", "rollout").values
    found, failed = np.full((ds.sizes["problem"], ds.sizes["rollout"]), -1), failed_rollouts(ds)
    for problem in problems_with_value(ds):
        values = recorded_value(ds, problem)
        fatal = fatal_token(values["right"].values[0], int(values.attrs["n"]))
        found[problem, failed[problem].argmax()] = fatal
    return found


def _lucky(problem: Problem, pieces: list[str]) -> int:
    """Return the token at which a wrong step of a right answer begins, -1 without one."""
    begins = np.cumsum([0, *map(len, pieces)])
    wrong = tasks.find_origin(problem, "".join(pieces[:-1]))
    if wrong is None or wrong.start < 0 or (wrong.start == 0 and wrong.end == begins[-2]):
        return -1  # a right answer without a step is no wrong step
    return int(np.searchsorted(begins, wrong.start, side="right")) - 1
