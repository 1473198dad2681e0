"""Data frames about reliability.

They arrange what `recover_nb.split_half` computed, and no more.
"""

import pandas as pd
import xarray as xr

from recover_nb.errors import InputError


def needed_rows(needed: xr.Dataset) -> pd.DataFrame:
    """List the reliability of each feature, and the failed rollouts it needs.

    Parameters
    ----------
    needed : Dataset
        From `recover_nb.needed_rollouts`.

    Returns
    -------
    DataFrame
        One row a feature, scope and size: ``feature``, ``scope``, ``size`` (failed rollouts
        averaged), ``problems``, ``reliability`` with ``low`` and ``high``, ``foreseen`` (by
        Spearman-Brown, from the first size), ``needed`` (failed rollouts for ``target``, foreseen
        from this size) with ``needed_low`` and ``needed_high``, ``target``. Sizes with too few
        problems are left out.
    """
    frame = needed.to_dataframe().reset_index().rename(columns={"n_problems": "problems"})
    frame = frame.assign(target=float(needed.attrs["target"])).dropna(subset=["reliability"])
    order = ["feature", "scope", "size"]
    names = [
        "problems",
        "reliability",
        "low",
        "high",
        "foreseen",
        "needed",
        "needed_low",
        "needed_high",
        "target",
    ]
    place = {name: i for i, name in enumerate(needed["feature"].values.tolist())}
    frame = frame.sort_values(
        order, key=lambda each: each.map(place) if each.name == "feature" else each
    )
    return frame[[*order, *names]].reset_index(drop=True)


def needed_by_feature(needed: xr.Dataset, size: int = 5) -> pd.DataFrame:
    """Return the failed rollouts that each feature needs, foreseen from one size.

    Parameters
    ----------
    needed : Dataset
        From `recover_nb.needed_rollouts`.
    size : int
        One that was measured. A larger one foresees more precisely, on fewer problems: those that
        fail more often.

    Returns
    -------
    DataFrame
        One row a feature and scope: ``feature``, ``scope``, ``problems``, ``reliability``,
        ``needed``, ``needed_low``, ``needed_high``.

    Raises
    ------
    InputError
        If that size was not measured.
    """
    frame = needed_rows(needed)
    if size not in set(frame["size"]):
        measured = ", ".join(str(each) for each in sorted(set(frame["size"])))
        raise InputError(
            f"size {size!r} was not measured; allowed:"
            f" {measured or 'none, too few problems failed'}"
        )
    names = ["feature", "scope", "problems", "reliability", "needed", "needed_low", "needed_high"]
    return frame.loc[frame["size"] == size, names].reset_index(drop=True)


def route_rows(routes: xr.Dataset) -> pd.DataFrame:
    """List how often two halves of the failed rollouts lead to the same route.

    Parameters
    ----------
    routes : Dataset
        From `recover_nb.route_reliability`.

    Returns
    -------
    DataFrame
        One row a size: ``size``, ``problems``, then ``agreement``, ``chance`` and ``kappa``, each
        with ``_low`` and ``_high``. Sizes with too few problems are left out.
    """
    frame = routes.to_dataframe().reset_index().rename(columns={"n_problems": "problems"})
    names = [
        name + end for name in ("agreement", "chance", "kappa") for end in ("", "_low", "_high")
    ]
    return frame.dropna(subset=["agreement"])[["size", "problems", *names]].reset_index(drop=True)
