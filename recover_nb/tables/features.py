"""Tables about features: where junctions lie, what the window changes, how reliable they are."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature, Intervention, Signal
from recover_nb.core.schema import cell_names, failed_rollouts
from recover_nb.features.features import compute_features, rollout_features
from recover_nb.features.reliability import feature_reliability
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
            f"the study stores no {', '.join(missing)}: its features are known, their making is not"
        )
    length = per_rollout(ds, "n_tokens", NONE)
    kept = failed_rollouts(ds)
    if "has_signals" in ds:
        kept = kept & (ds["has_signals"].transpose("problem", "rollout").values == 1)
    return length, kept


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
    In 9062 failed traces the junction is the first token in 3%, the last in 0%, in
    between in 97%; half of the traces have 27 tokens or fewer.
    """
    length, kept = _stored(ds)
    place, length = ds["junction"].transpose("problem", "rollout").values[kept], length[kept]
    first, last = np.mean(place == 0), np.mean((place == length - 1) & (length > 1))
    middle = 1 - first - last
    return (
        f"In {kept.sum()} failed traces the junction is the first token in {first:.0%}, the last in"
        f" {last:.0%}, in between in {middle:.0%}; half of the traces have {np.median(length):.0f}"
        " tokens or fewer."
    )


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


def reliability(
    ds: xr.Dataset, sizes: Sequence[int] = (1, 2, 3, 5), *, seed: int = 0
) -> pd.DataFrame:
    """Return how repeatable the features are within a cell, by the number of failed rollouts.

    Returns
    -------
    DataFrame
        Index `failed_rollouts`: one half's size; for each feature the median over cells of the
        correlation between halves of that many failed rollouts, and ``cells``: how many cells had
        enough. Differences between cells do not count as reliability.

    Raises
    ------
    InputError
        If the study stores no signals.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study().isel(problem=slice(0, 100))
    >>> rnb.tables.reliability(ds, sizes=(1, 5)).round(2)
                     spread  concentration  logit_dispersion  cells
    failed_rollouts
    1                  0.81           0.85              0.75      1
    5                  0.95           0.95              0.97      1
    """
    length, kept = _stored(ds)
    pressure, variance = (
        ds[name.value].transpose("problem", "rollout", "token").values
        for name in (Signal.DEMOTION_PRESSURE, Signal.LOGIT_VARIANCE)
    )
    values = rollout_features(pressure, variance, np.where(kept, length, 0))
    cells = cell_names(ds)
    by_cell = [
        feature_reliability(
            values[cells == cell], kept[cells == cell], tuple(sizes), n_splits=20, seed=seed
        )
        for cell in dict.fromkeys(cells)
    ]
    found = np.stack([each["correlation"].values for each in by_cell])
    # A feature that does not vary in a cell has no reliability there: it is left out, not counted
    # as 0.
    median = np.stack([pd.DataFrame(found[:, i]).median().to_numpy() for i in range(len(sizes))])
    known = ~np.isnan(found).all(-1)
    frame = pd.DataFrame(median, index=list(sizes), columns=[name.value for name in Feature])
    return frame.assign(cells=known.sum(0)).rename_axis("failed_rollouts")


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
