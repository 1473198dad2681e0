"""How many failed rollouts are enough for a feature, and for the route made from features.

See method.md section 3.

Two disjoint halves of a problem's failed rollouts give two measurements of the same problem. How
far they agree over problems is the reliability of one; the Spearman-Brown prophecy carries it over
to other numbers of rollouts.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from recover_nb.agreement import beyond_chance, weighted_correlation
from recover_nb.errors import InputError
from recover_nb.features import rollout_features
from recover_nb.labels import Intervention, Scope, Signal
from recover_nb.reliability import FEATURES, check_whole, usable_rollouts
from recover_nb.resampling import bootstrap_weights
from recover_nb.routing import PUBLISHED, RoutingPolicy, route
from recover_nb.schema import cell_names, text

DEFAULT_SIZES = (1, 2, 5, 10, 20)
#: Reliability from which a measurement is commonly trusted to order problems.
TARGET = 0.8
LEVEL = 0.95
#: Variable that a companion study keeps in place of signals: (problem, observed, feature).
KEPT_FEATURES = "rollout_features"


def spearman_brown(reliability: ArrayLike, factor: ArrayLike) -> NDArray[np.float64]:
    """Foresee the reliability of a mean over `factor` times as many rollouts.

    Parameters
    ----------
    reliability : array of float
        Of the mean that is known, at most 1.
    factor : array of float
        How many times as many, above 0; broadcast with `reliability`.

    Returns
    -------
    array of float64
        ``factor r / (1 + (factor - 1) r)``; NaN where the denominator is not positive.

    Notes
    -----
    Source: method.md section 3.

    Examples
    --------
    >>> float(spearman_brown(0.5, 2))
    0.6666666666666666
    """
    r, factor = np.asarray(reliability, dtype=np.float64), np.asarray(factor, dtype=np.float64)
    below = 1 + (factor - 1) * r
    return np.where(below > 0, factor * r / np.where(below > 0, below, 1.0), np.nan)


def foreseen_rollouts(
    reliability: ArrayLike, size: ArrayLike, *, target: float = TARGET
) -> NDArray[np.float64]:
    """Foresee how many rollouts give a mean of reliability `target`.

    Parameters
    ----------
    reliability : array of float
        Of a mean over `size` rollouts.
    size : array of int
        Broadcast with `reliability`.
    target : float
        Between 0 and 1, both excluded.

    Returns
    -------
    array of float64
        ``size target (1 - r) / (r (1 - target))``, not rounded; infinity where r is 0 or below, NaN
        where it is NaN.

    Raises
    ------
    InputError
        If `target` is out of range.

    Notes
    -----
    Source: method.md section 3: `spearman_brown` solved for the factor.

    Examples
    --------
    >>> round(float(foreseen_rollouts(0.5, 1)), 6)
    4.0
    """
    if not 0 < target < 1:
        raise InputError(f"target {target!r}; allowed: a number between 0 and 1, such as 0.8")
    r, size = np.broadcast_arrays(np.asarray(reliability, float), np.asarray(size, float))
    needed = size * target * (1 - r) / (np.where(r > 0, r, 1.0) * (1 - target))
    return np.where(np.isnan(r), np.nan, np.where(r > 0, np.maximum(needed, 0), np.inf))


def needed_rollouts(
    ds: xr.Dataset,
    sizes: Sequence[int] = DEFAULT_SIZES,
    *,
    target: float = TARGET,
    least: int = 0,
    n_splits: int = 20,
    n_bootstrap: int = 300,
    seed: int = 0,
) -> xr.Dataset:
    """Measure each feature's reliability, and how many failed rollouts a study needs for `target`.

    Parameters
    ----------
    ds : Dataset
        With `rollout_features` (problem, observed, feature), as companion studies keep them, or
        with signals.
    sizes : sequence of int
        Failed rollouts in each half. A problem counts where it has twice as many.
    target : float
        The reliability sought, between 0 and 1.
    least : int
        Fewest failed rollouts of a problem that counts. With ``2 * max(sizes)`` every size is
        measured on the same problems, which shows whether the prophecy holds; with 0 each is
        measured on all it can be.
    n_splits, n_bootstrap : int
        Random halvings to average over, and resamples of the questions asked.
    seed : int

    Returns
    -------
    Dataset
        Dimensions `scope`, `size` and `feature`. ``"pooled"`` correlates over all problems,
        ``"within"`` after taking each cell's mean away, the reliability that counts where features
        are standardised within cells.

        - `reliability`, `low`, `high`: correlation of the halves, that is of a mean over `size`
          rollouts, and its 95 % interval (percentile bootstrap over questions);
        - `foreseen`: what Spearman-Brown makes of the first size, for this one;
        - `needed`, `needed_low`, `needed_high`: failed rollouts for `target`, foreseen from this
          size; infinity where the reliability is not above 0;
        - `n_problems` (scope, size): problems that counted.

        NaN with fewer than 3 problems, or where a feature does not vary.

    Raises
    ------
    InputError
        If the study has neither variable, or a number is not allowed.

    Notes
    -----
    Source: method.md section 3.
    """
    values, usable = failed_rollout_features(ds)
    _check(sizes, least=least, n_splits=n_splits, n_bootstrap=n_bootstrap)
    foreseen_rollouts(0.5, 1, target=target)
    _, cells = np.unique(cell_names(ds), return_inverse=True)
    found = np.full((3, len(Scope), len(sizes), len(FEATURES)), np.nan)
    counted = np.zeros((len(Scope), len(sizes)), dtype=np.int32)
    for j, size in enumerate(sizes):
        rows = usable.sum(axis=1) >= max(2 * size, least)
        halves = list(_halves(values[rows], usable[rows], size, n_splits, seed))
        weights = _weights(ds, rows, n_bootstrap, seed)
        for i, groups in enumerate((np.zeros(rows.sum(), dtype=int), cells[rows])):
            inside = np.bincount(groups, minlength=1)[groups] > 1
            counted[i, j] = inside.sum()
            if counted[i, j] >= 3:
                found[:, i, j] = _correlation_interval(halves, weights, groups)
    return _needs(found, counted, tuple(sizes), target)


def route_reliability(
    ds: xr.Dataset,
    sizes: Sequence[int] = DEFAULT_SIZES,
    *,
    policy: RoutingPolicy = PUBLISHED,
    least: int = 0,
    n_splits: int = 20,
    n_bootstrap: int = 300,
    seed: int = 0,
) -> xr.Dataset:
    """Measure how often two halves of a problem's failed rollouts lead to the same route.

    Parameters
    ----------
    ds, sizes, least, n_splits, n_bootstrap, seed
        As for `needed_rollouts`.
    policy : RoutingPolicy
        The rule; each half is standardised by itself, within each cell.

    Returns
    -------
    Dataset
        Dimension `size`; each with `_low` and `_high`, its 95 % interval over questions:

        - `agreement`: share of problems that both halves send the same way;
        - `chance`: the same share when a problem's second half is another problem's of its cell;
        - `kappa`: (agreement - chance) / (1 - chance): 1 = always the same, 0 = as chance has it.

        `n_problems` (size) counts problems of cells with at least two.

    Raises
    ------
    InputError
        If the study has neither features of rollouts nor signals, or a number is not allowed.

    Notes
    -----
    Source: method.md sections 3 and 7.
    """
    values, usable = failed_rollout_features(ds)
    _check(sizes, least=least, n_splits=n_splits, n_bootstrap=n_bootstrap)
    cells = cell_names(ds)
    names = ("agreement", "chance", "kappa")
    found = np.full((3, len(names), len(sizes)), np.nan)
    counted = np.zeros(len(sizes), dtype=np.int32)
    for j, size in enumerate(sizes):
        rows = usable.sum(axis=1) >= max(2 * size, least)
        _, place, count = np.unique(cells[rows], return_inverse=True, return_counts=True)
        rows[np.flatnonzero(rows)[count[place] < 2]] = False
        counted[j] = rows.sum()
        if counted[j] < 3:
            continue
        weights = _weights(ds, rows, n_bootstrap, seed)
        draws = np.zeros((len(names), len(weights)))
        for halves in _halves(values[rows], usable[rows], size, n_splits, seed):
            first, second = (route(half, cells[rows], policy) for half in halves)
            draws += np.stack(beyond_chance(first, second, cells[rows], weights))
        found[:, :, j] = _ends(draws / n_splits)
    variables = {
        name + end: ("size", found[k, i])
        for i, name in enumerate(names)
        for k, end in enumerate(("", "_low", "_high"))
    }
    return xr.Dataset({**variables, "n_problems": ("size", counted)}, {"size": list(sizes)})


def failed_rollout_features(ds: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return features (problem, rollout, 3) of observed rollouts, and which failed and are known.

    Raises
    ------
    InputError
        If the study has neither `rollout_features` nor signals.
    """
    if KEPT_FEATURES in ds:
        values = ds[KEPT_FEATURES].transpose("problem", ..., "feature").values.astype(np.float64)
        return usable_rollouts(values, np.ones(values.shape[:2], dtype=bool))
    names = (Signal.DEMOTION_PRESSURE.value, Signal.LOGIT_VARIANCE.value)
    missing = [name for name in (*names, "n_tokens", "correct") if name not in ds]
    if missing:
        raise InputError(
            f"the study stores neither {KEPT_FEATURES} nor {', '.join(missing)}: features of single"
            " rollouts are not known; use a study with signals, or a companion of"
            " rnb.load_remapped()"
        )
    observed = ds[["n_tokens", "correct"]].sel(intervention=Intervention.NONE.value)
    length, correct = (observed[name].transpose("problem", "rollout").values for name in observed)
    kept = correct == 0
    if "has_signals" in ds:
        kept = kept & (ds["has_signals"].transpose("problem", "rollout").values == 1)
    pressure, variance = (
        ds[name].transpose("problem", "rollout", "token").values for name in names
    )
    return usable_rollouts(rollout_features(pressure, variance, np.where(kept, length, 0)), kept)


def _check(sizes: Sequence[int], **counts: int) -> None:
    if not len(sizes):
        raise InputError("sizes is empty; allowed: one or more whole numbers of at least 1")
    for size in sizes:
        check_whole("size", size, 1)
    for name, count in counts.items():
        check_whole(name, count, 0 if name == "least" else 1)


def _halves(
    values: NDArray[np.float64], usable: NDArray[np.bool_], size: int, n_splits: int, seed: int
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Draw two disjoint sets of `size` usable rollouts of each problem and yield their means.

    Each mean is (problem, 3).
    """
    rng = np.random.default_rng([seed, size])
    clean = np.where(usable[..., None], values, 0.0)
    for _ in range(n_splits):
        # Places in a random order of the usable rollouts; the unusable come last.
        order = np.argsort(np.where(usable, rng.random(usable.shape), 2.0), axis=-1)
        place = np.argsort(order, axis=-1)
        masks = (place < size, (place >= size) & (place < 2 * size))
        first, second = (np.einsum("pr,prf->pf", mask, clean) / size for mask in masks)
        yield first, second


def _weights(
    ds: xr.Dataset, rows: NDArray[np.bool_], n_bootstrap: int, seed: int
) -> NDArray[np.float64]:
    """Weigh the data, then resamples of the questions asked.

    One question put to several specialists is one.
    """
    task, question = text(ds["task"])[rows], text(ds["problem_id"])[rows]
    clusters = np.char.add(np.char.add(task, "|"), question) if len(task) else question
    drawn = bootstrap_weights(clusters, task, n_bootstrap, np.random.default_rng(seed)).weights
    return np.concatenate([np.ones((1, rows.sum())), drawn])


def _ends(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return value and interval ends, (3, ...), of draws (..., 1 + resample).

    The first draw is the data.
    """
    tails = np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    ends = np.full((2, *draws.shape[:-1]), np.nan)
    known = ~np.isnan(draws).all(axis=-1)
    ends[:, known] = np.nanquantile(draws[known][..., 1:], tails, axis=-1)
    return np.stack([draws[..., 0], *ends])


def _correlation_interval(
    halves: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
    weights: NDArray[np.float64],
    groups: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Mean correlation over splits, and its interval, (3, feature)."""
    total = sum(weighted_correlation(*half, weights, groups) for half in halves)
    return _ends((total / len(halves)).T)


def _needs(
    found: NDArray[np.float64], counted: NDArray[np.int32], sizes: tuple[int, ...], target: float
) -> xr.Dataset:
    dims = ("scope", "size", "feature")
    size = np.asarray(sizes)[:, None]
    value, low, high = found
    arrays = {
        "reliability": value,
        "low": low,
        "high": high,
        "foreseen": spearman_brown(value[:, :1], size / sizes[0]),
        "needed": foreseen_rollouts(value, size, target=target),
        "needed_low": foreseen_rollouts(high, size, target=target),
        "needed_high": foreseen_rollouts(low, size, target=target),
    }
    return xr.Dataset(
        {
            **{name: (dims, each) for name, each in arrays.items()},
            "n_problems": (dims[:2], counted),
        },
        {"scope": [each.value for each in Scope], "size": list(sizes), "feature": list(FEATURES)},
        {"target": target},
    )
