"""Resampling on arrays: paired bootstrap (percentile and BCa), permutation within cells, Holm.

Every statistic here is a ratio of sums over problems, so a bootstrap resample is a row of weights and all
resamples of all statistics are one matrix product; no Python loop runs over resamples.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from recover_nb.errors import InputError

#: Largest number of float64 held at once by a block of resamples (64 MiB).
BLOCK = 1 << 23


@dataclass(frozen=True)
class Resamples:
    """Bootstrap weights of problems, and the clusters they came from.

    Parameters
    ----------
    weights : float64 array, shape (resample, problem)
        How often each problem occurs in each resample.
    clusters : int array, shape (problem,)
        Problems with the same number are drawn together (and left out together by the jackknife).
    """

    weights: np.ndarray
    clusters: np.ndarray

    def subset(self, rows: np.ndarray) -> "Resamples":
        """Return the same resamples of the problems `rows` (a bool mask or indices)."""
        _, clusters = np.unique(self.clusters[rows], return_inverse=True)
        return Resamples(self.weights[:, rows], clusters)


def bootstrap_weights(
    clusters: np.ndarray,
    strata: np.ndarray,
    n_bootstrap: int,
    rng: np.random.Generator,
) -> Resamples:
    """Draw whole clusters with replacement within strata.

    Parameters
    ----------
    clusters : array, shape (problem,)
        Label of what is drawn. One question asked of several specialists is one cluster: its units are not
        independent. Distinct labels draw problems one by one.
    strata : array, shape (problem,)
        Label of the stratum of each problem; every resample has as many clusters of a stratum as the data.
    n_bootstrap : int
        Resamples, at least 1.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    Resamples

    Raises
    ------
    InputError
        If `n_bootstrap` is below 1.
    """
    if n_bootstrap < 1:
        raise InputError(f"n_bootstrap is {n_bootstrap}; it must be at least 1")
    _, strata = np.unique(strata, return_inverse=True)
    _, clusters = np.unique(clusters, return_inverse=True)
    # A cluster belongs to one stratum: the pair is what is drawn.
    pairs, cluster = np.unique(np.stack([strata, clusters], axis=1), axis=0, return_inverse=True)
    counts = np.zeros((n_bootstrap, len(pairs)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(pairs[:, 0] == stratum)
        size = len(members)
        draws = rng.integers(size, size=(n_bootstrap, size))
        flat = draws + size * np.arange(n_bootstrap)[:, None]
        counts[:, members] = np.bincount(flat.ravel(), minlength=n_bootstrap * size).reshape(
            -1, size
        )
    return Resamples(counts[:, cluster.ravel()], cluster.ravel())


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide, giving NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    out = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


@dataclass(frozen=True)
class Intervals:
    """A ratio of sums and its 95 % intervals (or other `level`), one for each column.

    Attributes
    ----------
    value : float64 array, shape (column,)
    percentile, bca : float64 arrays, shape (2, column)
        Lower and upper ends; NaN where the statistic is undefined.
    """

    value: np.ndarray
    percentile: np.ndarray
    bca: np.ndarray


def bootstrap_ratio(
    numerator: np.ndarray,
    denominator: np.ndarray,
    resamples: Resamples,
    *,
    offset: tuple[np.ndarray, np.ndarray] | None = None,
    level: float = 0.95,
) -> Intervals:
    """Interval of sum(numerator) / sum(denominator), optionally less a second such ratio.

    Parameters
    ----------
    numerator, denominator : float arrays, shape (problem, column)
        Contributions of each problem. Pairing is by construction: one resample weighs every column.
    resamples : Resamples
        From `bootstrap_weights`.
    offset : pair of float arrays, shape (problem, column), optional
        Numerator and denominator of a ratio that is subtracted (the null, for an excess).
    level : float
        Coverage of the intervals.

    Returns
    -------
    Intervals

    Notes
    -----
    method.md section 8. BCa (Efron 1987): bias correction from the share of resamples below the observed value
    (ties count half), acceleration from the jackknife over clusters.
    """

    def statistic(weights: np.ndarray) -> np.ndarray:
        value = ratio(weights @ numerator, weights @ denominator)
        if offset is not None:
            value = value - ratio(weights @ offset[0], weights @ offset[1])
        return value

    observed = statistic(np.ones((1, len(numerator))))[0]
    draws = statistic(resamples.weights)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    percentile = _quantiles(draws, np.repeat(tails[:, None], draws.shape[1], axis=1))
    n_clusters = int(resamples.clusters.max(initial=-1)) + 1
    left_out = (resamples.clusters != np.arange(n_clusters)[:, None]).astype(float)
    bca = _bca(observed, draws, statistic(left_out), tails)
    return Intervals(observed, percentile, bca)


def _bca(
    observed: np.ndarray, draws: np.ndarray, jackknife: np.ndarray, tails: np.ndarray
) -> np.ndarray:
    """Return the BCa ends, shape (2, column); those of the percentile method where BCa is undefined."""
    below = (draws < observed).sum(axis=0) + 0.5 * (draws == observed).sum(axis=0)
    known = np.maximum((~np.isnan(draws)).sum(axis=0), 1)
    # Half a draw from either end keeps the correction finite when every resample lies on one side.
    bias = ndtri(np.clip(below / known, 0.5 / known, 1 - 0.5 / known))
    defined = ~np.isnan(jackknife)
    center = ratio(np.where(defined, jackknife, 0.0).sum(axis=0), defined.sum(axis=0))
    deviation = np.where(defined, center - jackknife, 0.0)
    acceleration = ratio((deviation**3).sum(axis=0), 6 * (deviation**2).sum(axis=0) ** 1.5)
    acceleration = np.where(np.isnan(acceleration), 0.0, acceleration)
    z = bias + ndtri(tails)[:, None]
    return _quantiles(draws, ndtr(bias + z / (1 - acceleration * z)))


def _quantiles(draws: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quantile of each column at its own levels, shape (level, column); NaN draws are left out."""
    ordered = np.sort(draws, axis=0)
    known = (~np.isnan(draws)).sum(axis=0)
    place = levels * np.maximum(known - 1, 0)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, np.maximum(known - 1, 0))
    columns = np.arange(draws.shape[1])
    value = ordered[low, columns] + (place - low) * (ordered[high, columns] - ordered[low, columns])
    return np.where(known > 0, value, np.nan)


def permute_kernel(
    kernel: np.ndarray,
    n_permutations: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Sum of kernel[i, pi(i)] over random permutations pi.

    Parameters
    ----------
    kernel : float array, shape (n, n)
        What problem i scores under the decision made for problem j.
    n_permutations : int
        Permutations drawn.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    float64 array, shape (n_permutations,)
    """
    n = len(kernel)
    totals = np.zeros(n_permutations)
    if n == 0:
        return totals
    step = max(1, BLOCK // n)
    for start in range(0, n_permutations, step):
        stop = min(start + step, n_permutations)
        order = rng.permuted(np.tile(np.arange(n), (stop - start, 1)), axis=1)
        totals[start:stop] = kernel[np.arange(n), order].sum(axis=1)
    return totals


def exceedance(observed: float, draws: np.ndarray) -> float:
    """One-sided p-value (1 + draws at or above `observed`) / (1 + draws); small means unusually high.

    The added one makes it valid at every level. Draws within 1e-12 of the observed value count as ties.
    """
    draws = draws[~np.isnan(draws)]
    if np.isnan(observed) or not len(draws):
        return float("nan")
    return float((1 + (draws >= observed - 1e-12).sum()) / (1 + len(draws)))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment.

    Parameters
    ----------
    p : float array, shape (test,)
        Raw p-values; NaN is left out and stays NaN.

    Returns
    -------
    float64 array, shape (test,)
        Adjusted p-values, at most 1: reject where they are at or below the family-wise level.

    Notes
    -----
    method.md section 8 (Holm 1979): the i-th smallest of m is multiplied by m - i + 1, then made monotone.
    """
    p = np.asarray(p, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    scaled = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
