"""How many failed rollouts are enough for a feature, and for the route made from features.

See docs/method.md#feature-reliability.

Two disjoint halves of a problem's failed rollouts give two measurements of the same problem. How
far they agree over problems is the reliability of one; the Spearman-Brown prophecy carries it over
to other numbers of rollouts.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import FEATURES, Scope
from recover_nb.core.schema import cell_names, text
from recover_nb.features.features import failed_rollout_features
from recover_nb.stats.agreement import weighted_correlation
from recover_nb.stats.resampling import bootstrap_weights, value_and_interval

#: The reliability that is wanted.
TARGETED = checks.number(above=0, below=1, what="a number between 0 and 1, such as 0.8")

#: Rollouts in each half.
DEFAULT_SIZES = (1, 2, 5, 10, 20)


#: Reliability from which a measurement is commonly trusted to order problems.
TARGET = 0.8


LEVEL = 0.95


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
    Source: docs/method.md#feature-reliability.

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
    Source: docs/method.md#feature-reliability: `spearman_brown` solved for the factor.

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


@takes_study()
@checks.takes(
    sizes=checks.SIZES,
    target=TARGETED,
    least=checks.DRAWS,
    n_splits=checks.COUNT,
    n_bootstrap=checks.COUNT,
    seed=checks.SEED,
)
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
    Source: docs/method.md#feature-reliability.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study().isel(problem=slice(0, 100))
    >>> needed = rnb.needed_rollouts(ds, (1, 5), n_bootstrap=10)
    >>> needed["reliability"].sel(scope="within", feature="spread").values.round(2).tolist()
    [0.82, 0.95]
    """
    values, usable = failed_rollout_features(ds)
    foreseen_rollouts(0.5, 1, target=target)
    _, cells = np.unique(cell_names(ds), return_inverse=True)
    found = np.full((3, len(Scope), len(sizes), len(FEATURES)), np.nan)
    counted = np.zeros((len(Scope), len(sizes)), dtype=np.int32)
    for j, size in enumerate(sizes):
        rows = usable.sum(axis=1) >= max(2 * size, least)
        halves = list(halves_of_rollouts(values[rows], usable[rows], size, n_splits, seed))
        weights = question_weights(ds, rows, n_bootstrap, seed)
        for i, groups in enumerate((np.zeros(rows.sum(), dtype=int), cells[rows])):
            inside = np.bincount(groups, minlength=1)[groups] > 1
            counted[i, j] = inside.sum()
            if counted[i, j] >= 3:
                found[:, i, j] = _correlation_interval(halves, weights, groups)
    return _needs(found, counted, tuple(sizes), target)


def halves_of_rollouts(
    values: NDArray[np.float64], usable: NDArray[np.bool_], size: int, n_splits: int, seed: int
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Draw two disjoint sets of `size` usable rollouts of each problem and yield their means.

    Each mean is (problem, 3).
    """
    rng = np.random.default_rng([seed, size])
    clean = np.where(usable[..., None], values, 0.0)
    for _ in range(n_splits):
        yield _half_means(clean, random_places(usable, rng), size)


def random_places(usable: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Put usable rollouts (problem, rollout) in a random order; the unusable come last."""
    order = np.argsort(np.where(usable, rng.random(usable.shape), 2.0), axis=-1)
    return np.argsort(order, axis=-1)


def _half_means(
    values: NDArray[np.float64], place: NDArray[np.int64], half: int | NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means (problem, 3) of the first and the second `half` rollouts by `place`.

    `half` is one number, or one per problem (problem, 1).
    """
    masks = (place < half, (place >= half) & (place < 2 * half))
    first, second = (np.einsum("pr,prf->pf", mask, values) / half for mask in masks)
    return first, second


def question_weights(
    ds: xr.Dataset, rows: NDArray[np.bool_], n_bootstrap: int, seed: int
) -> NDArray[np.float64]:
    """Weigh the data, then resamples of the questions asked.

    One question put to several specialists is one.
    """
    task, question = text(ds["task"])[rows], text(ds["problem_id"])[rows]
    drawn = bootstrap_weights(question, task, n_bootstrap, np.random.default_rng(seed)).weights
    return np.concatenate([np.ones((1, rows.sum())), drawn])


def _correlation_interval(
    halves: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
    weights: NDArray[np.float64],
    groups: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Mean correlation over splits, and its interval, (3, feature)."""
    total = sum(weighted_correlation(*half, weights, groups) for half in halves)
    return value_and_interval(total / len(halves), LEVEL)


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
