"""Tables about features: where junctions lie, what the window changes, how reliable they are."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature, Intervention, Scope, Signal
from recover_nb.core.schema import cell_names, failed_rollouts
from recover_nb.features.features import compute_features
from recover_nb.features.reliability import needed_rollouts
from recover_nb.routing.policy import route
from recover_nb.tables.kit import per_rollout

NONE = Intervention.NONE.value


def _stored(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return lengths, and which observed rollouts failed and have signals.

    Both are (problem, rollout).
    """
    missing = [
        name for name in (Signal.DEMOTION_PRESSURE.value, "n_tokens", "correct") if name not in ds
    ]
    if missing:
        raise InputError(
            f"the study stores no {', '.join(missing)}: its features are known, but not how they"
            f" came about"
        )
    length = per_rollout(ds, "n_tokens", NONE)
    kept = failed_rollouts(ds)
    if "has_signals" in ds:
        kept = kept & (ds["has_signals"].transpose("problem", "rollout").values == 1)
    if not kept.any():
        raise InputError(
            "no observed rollout of the study both failed and has signals; choose problems that"
            " failed, or add signals with rnb.compute_signals"
        )
    return length, kept


@takes_study()
def junction_sentence(ds: xr.Dataset) -> str:
    """Say where in failed traces the junction lies.

    Raises
    ------
    InputError
        If the study stores no signals.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> sentence = rnb.tables.junction_sentence(rnb.load_study())
    >>> print(rnb.tables.paragraphs(sentence, width=80))
    In 9,062 failed traces the junction is the first token in 3%, the last in 0%, in
    between in 97%. Half of the traces have 27 tokens or fewer.
    """
    length, kept = _stored(ds)
    place, length = ds["junction"].transpose("problem", "rollout").values[kept], length[kept]
    first, last = np.mean(place == 0), np.mean((place == length - 1) & (length > 1))
    middle = 1 - first - last
    return (
        f"In {kept.sum():,} failed traces the junction is the first token in {first:.0%}, the last"
        f" in {last:.0%}, in between in {middle:.0%}. Half of the traces have"
        f" {np.median(length):.0f} tokens or fewer."
    )


@takes_study()
def features_by_window(ds: xr.Dataset, windows: Sequence[int] = (1, 2, 4, 8)) -> pd.DataFrame:
    """Compute the features again with other windows, from the stored signals.

    Returns
    -------
    DataFrame
        Index `window`; the mean of each feature over problems with stored signals, and
        ``rank_correlation``: Spearman's, of logit dispersion with that of the last window.

    Raises
    ------
    InputError
        If the study stores no signals, or a window is not a whole number of at least 0.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study().isel(problem=slice(0, 50))
    >>> rnb.tables.features_by_window(ds, windows=(1, 8)).round(2)
            spread  concentration  logit_dispersion  rank_correlation
    window
    1         0.47           1.26             -1.84              0.69
    8         0.47           1.26             -2.02              1.00
    """
    _stored(ds)
    found = {
        int(window): compute_features(ds, window=int(window)).to_pandas().dropna()
        for window in windows
    }
    last = found[int(windows[-1])][Feature.LOGIT_DISPERSION.value]
    rows = {
        window: {
            **frame.mean().to_dict(),
            "rank_correlation": frame[Feature.LOGIT_DISPERSION.value].corr(last, method="spearman"),
        }
        for window, frame in found.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("window")


@takes_study()
def features_by_floor(
    ds: xr.Dataset, floors: Sequence[float] = (0.0, 1e-6, 1e-4, 1e-3)
) -> pd.DataFrame:
    """Compute `spread` again with other floors, from the stored signals, and the routes from it.

    Regimes come from rescue rates alone, so that no floor changes one.

    Returns
    -------
    DataFrame
        Index `floor`; ``tokens``: share of the tokens of failed rollouts whose pressure is above
        it; ``q05``, ``q50``, ``q95``: of `spread` over problems; ``rank_correlation``: Spearman's,
        of `spread` with that of the first floor; ``routes_changed``: share of problems with another
        route than by the first.

    Raises
    ------
    InputError
        If the study stores no signals, or a floor is negative.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study().isel(problem=slice(0, 100))
    >>> rnb.tables.features_by_floor(ds, floors=(0, 1e-4)).round(2)
            tokens   q05   q50   q95  rank_correlation  routes_changed
    floor
    0.0000    0.50  0.38  0.49  0.58              1.00            0.00
    0.0001    0.16  0.08  0.16  0.22              0.39            0.23
    """
    length, kept = _stored(ds)
    pressure = ds[Signal.DEMOTION_PRESSURE.value].transpose("problem", "rollout", "token").values
    inside = kept[..., None] & (np.arange(pressure.shape[-1]) < length[..., None])
    tokens, cells = pressure[inside], cell_names(ds)
    found = {float(floor): compute_features(ds, floor=floor) for floor in floors}
    first = found[float(floors[0])]
    known = first.notnull().all("feature").values
    spread = {floor: pd.Series(each.values[known, 0]) for floor, each in found.items()}
    routes = {floor: np.asarray(route(each, cells))[known] for floor, each in found.items()}
    start = float(floors[0])
    rows = {
        floor: {
            "tokens": (tokens > floor).mean(),
            **{f"q{100 * q:02.0f}": each.quantile(q) for q in (0.05, 0.5, 0.95)},
            "rank_correlation": _rank_correlation(each, spread[start]),
            "routes_changed": (routes[floor] != routes[start]).mean(),
        }
        for floor, each in spread.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("floor")


def _rank_correlation(one: pd.Series, other: pd.Series) -> float:
    """Return Spearman's correlation, NaN where one of the two does not vary."""
    if one.nunique() < 2 or other.nunique() < 2:
        return np.nan
    return float(one.corr(other, method="spearman"))


@takes_study()
def reliability(
    ds: xr.Dataset, sizes: Sequence[int] = (1, 2, 3, 5), *, seed: int = 0
) -> pd.DataFrame:
    """Return how repeatable the features are within a cell, by the number of failed rollouts.

    Returns
    -------
    DataFrame
        Index `failed_rollouts`: one half's size; for each feature the correlation between halves
        of that many failed rollouts, each around the mean of its cell, and ``problems``: how many
        had enough. Differences between cells do not count as reliability.

    Raises
    ------
    InputError
        If the study stores no signals.

    See Also
    --------
    needed_rollouts : The same with intervals, and the failed rollouts that a feature needs.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study().isel(problem=slice(0, 100))
    >>> rnb.tables.reliability(ds, sizes=(1, 5)).round(2)
    feature          spread  concentration  logit_dispersion  problems
    failed_rollouts
    1                  0.82           0.84              0.76        69
    5                  0.95           0.95              0.97        46
    """
    # The table has no intervals: one resample, which is not looked at.
    found = needed_rollouts(ds, sizes, n_bootstrap=1, seed=seed).sel(scope=Scope.WITHIN.value)
    frame = found["reliability"].to_pandas().rename_axis("failed_rollouts")
    return frame.assign(problems=found["n_problems"].values)


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
