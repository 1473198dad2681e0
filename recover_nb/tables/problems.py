"""Tables of the shipped problems, and what a study shows of twins."""

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb import tasks
from recover_nb.errors import InputError
from recover_nb.labels import Intervention, Task
from recover_nb.tasks import Style


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


def twin_sentence(ds: xr.Dataset, intervention: str = Intervention.SPARSE_STEER.value) -> str:
    """Say how attempts in which an intervention never fired compare with their twins under retry.

    Raises
    ------
    InputError
        If the study stores no tokens, or not this intervention.
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
        f"{intervention} never fired in {silent.sum()} attempts. In {np.count_nonzero(same)} of"
        " them every token equals that of the same attempt of retry. In the other"
        f" {(~silent & run).sum()} attempts it fired."
    )
