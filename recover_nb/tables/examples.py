"""Which problems there are to look at: those of a study, or new ones."""

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb import tasks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Task
from recover_nb.core.schema import UNIT_COORDS, failed_rollouts, text
from recover_nb.features.value import problems_with_value
from recover_nb.tables.traces import choose_example
from recover_nb.tasks import LEVELS, Problem, Style, problems

NONE = Intervention.NONE.value


#: Difference of two rescue rates that shows at a glance.
FAR_ABOVE = 0.5
#: New problems on offer a task: whole periods of the cycle of levels.
N_DEV = 70


def opening(ds: xr.Dataset) -> dict[str, int]:
    """Return the `problem` and `rollout` to open a view with.

    It is an instructive one: of those whose value of the prefix is recorded and which one steered
    token rescues far more often than retry, where there are such. Else the first failed, or the
    first.
    """
    places = _clear(ds) or problems_with_value(ds)
    chosen = choose_example(ds.isel(problem=places)) if places else choose_example(ds)
    if chosen is not None and places:
        chosen["problem"] = places[chosen["problem"]]
    if chosen is None and "correct" in ds:
        failed = np.argwhere(failed_rollouts(ds))
        chosen = (
            dict(zip(("problem", "rollout"), failed[0].tolist(), strict=True))
            if len(failed)
            else None
        )
    chosen = chosen or {"problem": 0, "rollout": 0}
    return {name: chosen[name] for name in ("problem", "rollout")}


def _clear(ds: xr.Dataset) -> list[int]:
    """Return the problems with a value map whose steered rescue rate is far above that of retry."""
    names = (Intervention.SPARSE_STEER.value, Intervention.RETRY.value)
    if "rescue_rate" not in ds or any(name not in ds["intervention"].values for name in names):
        return []
    places = problems_with_value(ds)
    steered, retry = (ds["rescue_rate"].sel(intervention=name).values[places] for name in names)
    return [place for place, gain in zip(places, steered - retry, strict=True) if gain >= FAR_ABOVE]


def dev_problems(task: str, level: int = 0) -> list[Problem]:
    """Return problems of the dev split, which training has not seen; level 0 = every level."""
    _check_level(level)
    found = problems(task, "dev", N_DEV)
    return [each for each in found if level in (0, each.level)]


def places_of(ds: xr.Dataset, family: str, method: str, task: str, level: int = 0) -> np.ndarray:
    """Return the places along `problem` of a cell, of one level or (0) of all.

    Raises
    ------
    InputError
        If there are none.
    """
    _check_level(level)
    wanted = (family, method, task)
    here = np.all(
        [text(ds[name]) == value for name, value in zip(UNIT_COORDS, wanted, strict=False)], axis=0
    )
    if level and "level" not in ds:
        raise InputError(
            "the study does not say how hard its problems are; choose level 0 (every level)"
        )
    if level:
        here &= ds["level"].values == level
    if not here.any():
        cells = sorted(
            {
                "|".join(each)
                for each in zip(*(text(ds[name]) for name in UNIT_COORDS[:3]), strict=True)
            }
        )
        of_level = f" of level {level}" if level else ""
        raise InputError(
            f"the study has no problem{of_level} in {'|'.join(wanted)}; its cells:"
            f" {', '.join(cells)}"
        )
    return np.flatnonzero(here)


def problem_at(ds: xr.Dataset, place: int) -> Problem:
    """Return a problem of a study, without the program it was made from."""
    one = ds.isel(problem=place)
    words = {
        name: str(one[name].values) for name in ("task", "problem_id", "split", "prompt", "answer")
    }
    return Problem(**words, level=int(one["level"].values) if "level" in ds else 0, program=())


def _check_level(level: int) -> None:
    if level not in (0, *LEVELS):
        raise InputError(
            f"level {level} does not exist; allowed: {', '.join(map(str, LEVELS))}, or 0 for every"
            " level"
        )


def example_problems(split: str = "dev", levels: tuple[int, ...] = (1, 3, 5)) -> pd.DataFrame:
    """Return one problem of each task and level: what is asked, and how a reference trace answers.

    Parameters
    ----------
    split : str
        ``train``, ``dev`` or ``test``.
    levels : tuple of int

    Returns
    -------
    DataFrame
        ``task``, ``level``, ``prompt``, ``step`` (the trace step by step), ``terse``, ``answer``.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> problems = rnb.tables.example_problems(levels=(1,)).set_index("task")
    >>> print(problems.loc["program", "prompt"])
    a=2
    b=25
    a+=3
    print(a)
    >>> print(problems.loc["program", "answer"])
    5
    """
    rows = []
    for task in Task:
        drawn = tasks.problems(task, split, 25)
        for level in levels:
            one = next((each for each in drawn if each.level == level), None)
            if one is None:
                known = ", ".join(map(str, sorted({each.level for each in drawn})))
                raise InputError(f"no level {level}; allowed: {known}")
            traces = {style.value: tasks.trace(one, style) for style in Style}
            rows.append(
                {
                    "task": task.value,
                    "level": level,
                    "prompt": one.prompt,
                    **traces,
                    "answer": one.answer,
                }
            )
    return pd.DataFrame(rows)


@takes_study()
def twin_sentence(ds: xr.Dataset, intervention: str = Intervention.SPARSE_STEER.value) -> str:
    """Say how attempts in which an intervention never fired compare with their twins under retry.

    Raises
    ------
    InputError
        If the study stores no tokens, or not this intervention.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> sentence = rnb.tables.twin_sentence(rnb.load_study())
    >>> print(rnb.tables.paragraphs(sentence, width=80))
    sparse_steer fired in 18,699 attempts and never in the other 5,101. Of these,
    5,101 have the same tokens as the same attempt of retry.
    """
    if "token_id" not in ds or intervention not in ds["intervention"].values:
        raise InputError(f"the study stores no tokens of {intervention}")
    one, retry = (
        ds[["token_id", "fired_at", "n_tokens"]].sel(intervention=name)
        for name in (intervention, "retry")
    )
    run = one["n_tokens"].values > 0
    silent = (one["fired_at"].values < 0) & run
    same = (one["token_id"].values == retry["token_id"].values).all(-1)[silent]
    return (
        f"{intervention} fired in {(~silent & run).sum():,} attempts and never in the other"
        f" {silent.sum():,}. Of these, {np.count_nonzero(same):,} have the same tokens as the same"
        " attempt of retry."
    )
