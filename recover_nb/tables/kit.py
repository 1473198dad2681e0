"""What tables share: points, means of what is known, intervals as text, arrays of a study."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.labels import Feature


def points(share: float | None) -> float:
    """Return a share of 1 in percentage points, NaN for JSON's None."""
    return float("nan") if share is None else 100 * share


def in_points(
    share: float | None,
    ends: Sequence[float | None],
    prefix: str = "",
    *,
    name: str = "points",
) -> dict[str, float]:
    """Return a share and the ends of its interval as columns in percentage points.

    Parameters
    ----------
    share : float or None
    ends : (low, high)
    prefix : str
        Of every column.
    name : str
        Column of the share itself; those of the ends are ``low_points`` and ``high_points``.
    """
    low, high = ends
    return {
        f"{prefix}{name}": points(share),
        f"{prefix}low_points": points(low),
        f"{prefix}high_points": points(high),
    }


def mean(values: np.ndarray) -> float:
    """Mean of what is known; NaN of nothing, without a warning."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def interval(ends: Sequence[float], form: str = "+.1f") -> str:
    """Write the ends of an interval."""
    return f"[{ends[0]:{form}}, {ends[1]:{form}}]"


def span(value: float, low: float, high: float) -> str:
    """Write a difference with its interval."""
    return f"{value:+.1f} {interval((low, high))}"


def counted(counts: Mapping[str, int]) -> str:
    """Write the numbers of resamples, which are given by keyword."""
    return ", ".join(f"{value:,} {name.removeprefix('n_')}" for name, value in counts.items())


def pivot(
    frame: pd.DataFrame,
    rows: str,
    columns: str,
    value: str,
    order: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Spread one column over columns of its own; names come as they first occur, or by `order`."""
    names = list(dict.fromkeys(frame[columns]))
    order = list(dict.fromkeys(frame[rows]) if order is None else order)
    return frame.pivot(index=rows, columns=columns, values=value).loc[order, names]


def matching(frame: pd.DataFrame, among: Sequence[int] = (), **wanted: str) -> pd.DataFrame:
    """Return rows of the wanted values (empty = any), of some problems (empty = all)."""
    kept = np.ones(len(frame), bool)
    for name, value in wanted.items():
        kept &= (frame[name] == value).to_numpy() if value else True
    if len(among):
        kept &= frame["problem"].isin(among).to_numpy()
    return frame[kept]


def per_rollout(ds: xr.Dataset, name: str, intervention: str) -> np.ndarray:
    """Return a variable of one intervention's rollouts, (problem, rollout)."""
    return ds[name].sel(intervention=intervention).transpose("problem", "rollout").to_numpy()


def feature_columns(ds: xr.Dataset, problems: np.ndarray) -> dict[str, np.ndarray]:
    """Return each feature of some problems, by its name."""
    features = ds["features"].transpose("problem", "feature")
    return {name.value: features.sel(feature=name.value).to_numpy()[problems] for name in Feature}
