"""Which problems there are to look at: those of a study, or new ones."""

import numpy as np
import xarray as xr

from recover_nb.errors import InputError
from recover_nb.labels import Intervention
from recover_nb.schema import UNIT_COORDS, text
from recover_nb.tables.traces import choose_example
from recover_nb.tasks import LEVELS, Problem, problems

NONE = Intervention.NONE.value
#: New problems on offer a task: whole periods of the cycle of levels.
N_DEV = 70


def opening(ds: xr.Dataset) -> dict[str, int]:
    """Return the `problem` and `rollout` to open a view with.

    It is an instructive one, or else the first failed, or the first.
    """
    chosen = choose_example(ds)
    if chosen is None and "correct" in ds:
        failed = np.argwhere(
            (ds["correct"].sel(intervention=NONE) == 0).transpose("problem", "rollout").values
        )
        chosen = (
            dict(zip(("problem", "rollout"), failed[0].tolist(), strict=True))
            if len(failed)
            else None
        )
    chosen = chosen or {"problem": 0, "rollout": 0}
    return {name: chosen[name] for name in ("problem", "rollout")}


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
