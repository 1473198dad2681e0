"""What tables share: points, means of what is known, intervals as text, arrays of a study."""

import html
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.labels import Feature
from recover_nb.core.titles import p_cell, plain_zero, shown, title

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler


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
    low, high = (plain_zero(f"{end:{form}}") for end in ends)
    return f"[{low}, {high}]"


def span(value: float, low: float, high: float) -> str:
    """Write a difference with its interval."""
    return plain_zero(f"{value:+.1f}") + f" {interval((low, high))}"


def for_people(
    frame: pd.DataFrame, *, draws: int | None = None, decimals: int | None = None
) -> "Styler":
    """Show a frame to be read: titles for its columns, names in words, numbers as they are meant.

    Parameters
    ----------
    frame : DataFrame
        It stays as it is, with the names of the code.
    draws : int, optional
        How many permutations its column ``p`` was counted over: the least that so many can give is
        written as a bound.
    decimals : int, optional
        Digits behind the point of numbers that are no counts, points or shares; three that count
        unless given.

    Returns
    -------
    Styler
        Text is escaped. There is no index unless it has a name.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"intervention": ["retry"], "n": [234.5], "sd_points": [-0.01]})
    >>> page = for_people(frame).to_html()
    >>> [part in page for part in ("asking again (retry)", "about 235", ">0.0<", "sd_points")]
    [True, True, True, False]
    """

    def written(column: str) -> Callable[[Any], str]:
        if column == "p":
            return lambda value: html.escape(p_cell(value, draws))
        return lambda value: html.escape(shown(value, column, decimals))

    styled = frame.style.format({name: written(str(name)) for name in frame.columns})
    styled = styled.format_index(title_of, axis="columns")
    text = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    styled = styled.set_properties(subset=text, **{"text-align": "left"})
    named_index = any(name is not None for name in frame.index.names)
    if not named_index:
        return styled.hide(axis="index")
    return styled.format_index(lambda value: html.escape(shown(value)), axis="index")


def title_of(column: object) -> str:
    """Return the title of a column, escaped."""
    return html.escape(title(column))


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
