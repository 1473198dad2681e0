"""Which problems failed, what they are called for people, and how they are found."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.labels import Intervention, Origin, Regime
from recover_nb.core.schema import cell_names, failed_rollouts, text

NONE = Intervention.NONE.value
#: Values that can be filtered by, in the order in which they are offered.
FILTERS = {"regime": tuple(map(str, Regime)), "origin": tuple(map(str, Origin))}


def cell_words(cell: str) -> str:
    """Return the name of a cell in words; one that is not family, method and task as it is.

    Examples
    --------
    >>> cell_words("qwen3|sft|arithmetic")
    'arithmetic, qwen3 trained by sft'
    """
    parts = cell.split("|")
    if len(parts) != 3:
        return cell
    family, method, task = (part.replace("_", " ") for part in parts)
    return f"{task}, {family} trained by {method}"


def problem_list(ds: xr.Dataset) -> pd.DataFrame:
    """List the problems with an observed rollout that failed; every problem where none is stored.

    Returns
    -------
    DataFrame
        ``problem`` (its one number: the place along the study's `problem`), ``prompt``, ``cell``
        (in words), ``regime``, and ``origin`` of the first failed rollout; "" where not known.
    """
    known = "correct" in ds and NONE in ds["intervention"].values
    failed = failed_rollouts(ds) if known else np.ones((ds.sizes["problem"], 1), bool)
    places = np.flatnonzero(failed.any(1))
    blank = np.full(len(places), "")
    origin = blank
    if "origin" in ds and known:
        every = text(ds["origin"].sel(intervention=NONE).transpose("problem", "rollout"))
        origin = every[places, failed[places].argmax(1)]
    return pd.DataFrame(
        {
            "problem": places,
            "prompt": text(ds["prompt"])[places] if "prompt" in ds else blank,
            "cell": [cell_words(name) for name in cell_names(ds)[places]],
            "regime": text(ds["regime"])[places] if "regime" in ds else blank,
            "origin": origin,
        }
    )


def find_problems(
    frame: pd.DataFrame, search: str = "", regimes: Sequence[str] = (), origins: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the problems of a list that fit.

    Parameters
    ----------
    frame : DataFrame
        From `problem_list`.
    search : str
        Words that all occur in the question or in the name of the cell, in any case; a number also
        fits the problem of that number.
    regimes, origins : sequence of str
        Any of these; empty = all.

    Examples
    --------
    >>> frame = pd.DataFrame({"problem": [7, 71], "prompt": ["2+3", "7-1"], "cell": ["sums"] * 2,
    ...                       "regime": ["resample", ""], "origin": ["slip", "slip"]})
    >>> find_problems(frame, "7")["problem"].tolist()
    [7, 71]
    >>> find_problems(frame, "SUM 2+")["problem"].tolist()
    [7]
    >>> find_problems(frame, origins=["slip"], regimes=["resample"])["problem"].tolist()
    [7]
    """
    kept = np.ones(len(frame), bool)
    for name, allowed in (("regime", regimes), ("origin", origins)):
        if allowed:
            kept &= frame[name].isin(list(allowed)).to_numpy()
    # A list of no problem has columns of no type.
    said = (frame["prompt"].astype(str) + "\n" + frame["cell"].astype(str)).str.lower()
    for word in search.lower().split():
        fits = said.str.contains(word, regex=False)
        kept &= (fits | (frame["problem"].astype(str) == word)).to_numpy()
    return frame[kept]


def offered(frame: pd.DataFrame, name: str) -> dict[str, int]:
    """Return how many problems of a list there are of each value of ``regime`` or ``origin``."""
    counts = frame[name].value_counts()
    return {value: int(counts[value]) for value in FILTERS[name] if value in counts}
