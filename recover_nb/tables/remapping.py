"""Data frames about remapping.

They arrange what `recover_nb.remap_survival` computed, and no more.
"""

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.labels import (
    ALL,
    SURVIVAL_COMPANIONS,
    Companion,
    Depth,
    Intervention,
    Regime,
)
from recover_nb.core.schema import text
from recover_nb.routing.remapping import ANY, OUTCOMES, RemapSurvival, align_to
from recover_nb.tables.kit import in_points

#: Columns of a share with its interval.
_ENDS = {"": "share", "_low": "low", "_high": "high"}


def transition_cells(result: RemapSurvival) -> pd.DataFrame:
    """List what became of the problems of each original outcome.

    Parameters
    ----------
    result : RemapSurvival

    Returns
    -------
    DataFrame
        ``companion``, ``original``, ``outcome``, ``count``, ``share`` (of the original outcome) and
        ``label``, both as text.
    """
    rows = []
    for companion, table in zip(result.outcomes, result.transitions, strict=True):
        for i, original in enumerate(OUTCOMES):
            total = table[i].sum()
            for j, outcome in enumerate(OUTCOMES):
                count = int(table[i, j])
                share = count / total if total else np.nan
                label = f"{count} ({share:.0%})" if total else ""
                named = {"companion": companion.value, "original": original, "outcome": outcome}
                rows.append({**named, "count": count, "share": share, "label": label})
    return pd.DataFrame(rows)


def survival_rows(result: RemapSurvival, by: str = ALL, *, solved: bool = False) -> pd.DataFrame:
    """List how often each regime is the same again, over other numbers and drawn again.

    Parameters
    ----------
    result : RemapSurvival
    by : str
        ``"all"``, ``"task"``, ``"method"`` or ``"family"``.
    solved : bool
        Have rows for problems that had not failed.

    Returns
    -------
    DataFrame
        One row a group, original outcome and companion: ``group``, ``outcome``, ``n``,
        ``companion``, ``share``, ``low``, ``high``; and of both companions together
        ``difference_points`` (redrawn less remapped: what new numbers take away) with
        ``difference_low_points`` and ``difference_high_points``.
    """
    rows = []
    found = result.survival.isel(group=np.flatnonzero(result.survival["by"].values == by))
    kept = [name for name in found["outcome"].values if solved or name in (*Regime, ANY)]
    for group in found["group"].values:
        for outcome in kept:
            one = found.sel(group=group, outcome=outcome)
            named = {"group": str(group), "outcome": str(outcome), "n": int(one["n"])}
            value, *ends = (float(one["difference" + end]) for end in _ENDS)
            lost = in_points(value, ends, "difference_")
            for companion in SURVIVAL_COMPANIONS:
                shares = {
                    column: float(one[companion.value + end]) for end, column in _ENDS.items()
                }
                rows.append({**named, "companion": companion.value, **shares, **lost})
    return pd.DataFrame(rows)


def agreement_rows(result: RemapSurvival) -> pd.DataFrame:
    """List agreement of outcomes beyond chance, for each group and companion.

    Parameters
    ----------
    result : RemapSurvival

    Returns
    -------
    DataFrame
        ``by``, ``group``, ``n``, ``companion``, then ``agreement``, ``kappa`` (Cohen's),
        ``chance_within`` and ``kappa_within`` (chance is another problem of the same cell and
        level), each with ``_low`` and ``_high``.
    """
    frame = result.agreement.to_dataframe().reset_index()
    names = [
        name + end
        for name in ("agreement", "kappa", "chance_within", "kappa_within")
        for end in _ENDS
    ]
    return frame[["by", "group", "n", "companion", *names]]


def beyond_reach_problems(result: RemapSurvival, ds: xr.Dataset) -> pd.DataFrame:
    """List every problem beyond reach, with what became of it and whether a calculator rescues it.

    Parameters
    ----------
    result : RemapSurvival
    ds : Dataset
        The study that was compared.

    Returns
    -------
    DataFrame
        ``family``, ``method``, ``task``, ``level``, ``problem_id``, ``prompt``, ``redrawn`` and
        ``remapped`` (what became of it), ``depth`` (a `labels.Depth`), and ``calculator``, its
        rescue rate in the study (NaN where it was not run).
    """
    ds = align_to(ds, result.units)
    names = text(ds["intervention"]).tolist()
    tool = Intervention.CALCULATOR.value
    rate = (
        ds["rescue_rate"].sel(intervention=tool).values
        if tool in names
        else np.full(ds.sizes["problem"], np.nan)
    )
    frame = pd.DataFrame(
        {
            **{
                name: result.units[name]
                for name in ("family", "method", "task", "level", "problem_id")
            },
            "prompt": text(ds["prompt"]) if "prompt" in ds else "",
            **{
                name.value: result.outcomes[name]
                for name in (Companion.REDRAWN, Companion.REMAPPED)
            },
            "depth": result.depth,
            "calculator": rate,
        }
    )
    return frame[frame["depth"] != ""].reset_index(drop=True)


def depths(frame: pd.DataFrame, by: str = "task") -> pd.DataFrame:
    """Count kinds of failure beyond reach, and those that a calculator rescues at least once.

    Parameters
    ----------
    frame : DataFrame
        From `beyond_reach_problems`.
    by : str
        One of its columns, such as ``"task"`` or ``"level"``.

    Returns
    -------
    DataFrame
        One row a value of `by` and depth: that value, ``depth``, ``problems``, ``rescued`` (by the
        calculator).
    """
    rows = []
    for value in sorted(set(frame[by])):
        for depth in Depth:
            inside = frame[(frame[by] == value) & (frame["depth"] == depth)]
            counts = {"problems": len(inside), "rescued": int((inside["calculator"] > 0).sum())}
            rows.append({by: value, "depth": depth.value, **counts})
    return pd.DataFrame(rows)
