"""Data frames about remapping.

They arrange what `recover_nb.remap_survival` computed, and no more.
"""

import numpy as np
import pandas as pd

from recover_nb.core.labels import (
    ALL,
    SURVIVAL_COMPANIONS,
    Regime,
)
from recover_nb.routing.remapping import ANY, RemapSurvival
from recover_nb.tables.kit import in_points

#: Columns of a share with its interval.
_ENDS = {"": "share", "_low": "low", "_high": "high"}


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
