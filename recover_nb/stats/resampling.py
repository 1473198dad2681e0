"""Resampling on arrays: paired bootstrap (percentile and BCa), permutation within cells, Holm.

Every statistic here is a ratio of sums over problems, so a bootstrap resample is a row of weights
and all resamples of all statistics are one matrix product, in blocks where problems are many; no
Python loop runs over resamples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csc_array
from scipy.special import ndtr, ndtri, stdtrit

from recover_nb.core.errors import InputError

#: Largest number of float64 held at once by a block of resamples (64 MiB).
BLOCK = 1 << 23
#: Statistics that differ by less are equal: the same sum in another order may differ by its last
#: bit.
TIED = 1e-12
#: Numbers of a block of counts that are made floats at once: they stay in a processor's cache.
_CACHED = 1 << 18


@dataclass(frozen=True)
class Resamples:
    """Bootstrap weights of clusters, and the clusters that problems belong to.

    Parameters
    ----------
    counts : uint8 array, shape (resample, cluster)
        How often each cluster occurs in each resample: about once. More than 255 times never
        happens, its chance is below 1 / 256!.
    clusters : int array, shape (problem,)
        Column of `counts`; each has a problem. Those of one cluster are drawn together, and left
        out together by the jackknife.
    """

    counts: np.ndarray
    clusters: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """How often each problem occurs in each resample, float64, shape (resample, problem)."""
        return self.counts[:, self.clusters].astype(float)

    def subset(self, rows: np.ndarray) -> "Resamples":
        """Return the same resamples of the problems `rows` (a bool mask or indices)."""
        kept, clusters = np.unique(self.clusters[rows], return_inverse=True)
        together = kept.size and kept[-1] - kept[0] == len(kept) - 1
        # A slice copies nothing.
        return Resamples(
            self.counts[:, slice(kept[0], kept[-1] + 1) if together else kept], clusters
        )

    def sums(self, added: np.ndarray) -> np.ndarray:
        """Return what `added` (cluster, term) adds up to in each resample, (resample, term)."""
        step = max(1, _CACHED // max(1, len(added)))
        parts = range(0, len(self.counts), step)
        return np.concatenate(
            [self.counts[start : start + step].astype(float) @ added for start in parts]
        )


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
        Label of what is drawn. One question asked of several specialists is one cluster: its units
        are not independent. Distinct labels draw problems one by one.
    strata : array, shape (problem,)
        Label of the stratum of each problem; every resample has as many clusters of a stratum as
        the data.
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
    names, strata = np.unique(strata, return_inverse=True)
    _, clusters = np.unique(clusters, return_inverse=True)
    # A cluster belongs to one stratum: the pair is what is drawn.
    pairs, cluster = np.unique(np.stack([strata, clusters], axis=1), axis=0, return_inverse=True)
    counts = np.zeros((n_bootstrap, len(pairs)), np.uint8)
    # Pairs are sorted: those of a stratum lie together.
    ends = np.searchsorted(pairs[:, 0], np.arange(len(names) + 1))
    for first, last in pairwise(ends):
        size = last - first
        step = max(1, BLOCK // size)
        for start in range(0, n_bootstrap, step):
            block = counts[start : start + step, first:last]
            # The place of each draw in the block, row after row.
            places = rng.integers(size, size=block.shape)
            places += size * np.arange(len(block))[:, None]
            block[:] = np.bincount(places.ravel(), minlength=block.size).reshape(block.shape)
    return Resamples(counts, cluster.ravel())


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
    bca: bool = True,
) -> Intervals:
    """Interval of sum(numerator) / sum(denominator), optionally less a second such ratio.

    Parameters
    ----------
    numerator, denominator : float arrays, shape (problem, column) or (problem, 1)
        Contributions of each problem. Pairing is by construction: one resample weighs every column.
    resamples : Resamples
        From `bootstrap_weights`.
    offset : pair of float arrays, shape (problem, column), optional
        Numerator and denominator of a ratio that is subtracted (the null, for an excess).
    level : float
        Coverage of the intervals.
    bca : bool
        Compute those of BCa, too; otherwise they are NaN.

    Returns
    -------
    Intervals

    Notes
    -----
    docs/method.md#bca-interval. BCa (Efron 1987): bias correction from the share of resamples below
    the observed value (ties count half), acceleration from the jackknife over clusters.
    """
    parts = [numerator, denominator, *(offset or ())]
    ends = np.cumsum([part.shape[1] for part in parts])[:-1]

    def statistic(sums: np.ndarray) -> np.ndarray:
        top, bottom, *other = np.split(sums, ends, axis=-1)
        value = ratio(top, bottom)
        return value - ratio(*other) if other else value

    return bootstrap(np.concatenate(parts, axis=1), statistic, resamples, level=level, bca=bca)


def bootstrap_mean(values: np.ndarray, resamples: Resamples) -> Intervals:
    """Interval of the mean over problems of each column of `values` (problem, column)."""
    return bootstrap_ratio(values, np.ones((len(values), 1)), resamples)


def checkpoint_interval(
    value: np.ndarray,
    weight: np.ndarray,
    checkpoints: np.ndarray,
    *,
    offset: tuple[np.ndarray, np.ndarray] | None = None,
    level: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """Interval of sum(value) / sum(weight) over checkpoints: what another set of them would give.

    Parameters
    ----------
    value, weight : float arrays, shape (problem, column) or (problem, 1)
        Contributions of each problem.
    checkpoints : int array, shape (problem,)
        The checkpoint that each problem was put to.
    offset : pair of float arrays, shape (problem, column), optional
        Value and weight of a ratio that is subtracted.
    level : float
        Coverage of the interval.

    Returns
    -------
    low, high : float64 arrays, shape (column,)
        NaN where there is one checkpoint, or nothing is weighed.

    Notes
    -----
    docs/method.md#checkpoints. Checkpoints are few, and a bootstrap of few clusters is too narrow.
    So: the ratio made linear, its residuals added up within each checkpoint, G / (G - 1), and
    Student's t with G - 1 degrees of freedom, G being the checkpoints that weigh anything.

    Examples
    --------
    Three checkpoints, of 0, 0.5 and 1: mean 0.5, standard error 0.5 / sqrt(3), t = 4.30.

    >>> low, high = checkpoint_interval(
    ...     np.array([[0.0], [0.5], [1.0]]), np.ones((3, 1)), np.arange(3)
    ... )
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([-0.742], [1.742])
    """
    figure, spread, weighs = _linear(value, weight)
    if offset is not None:
        other, apart, also = _linear(*offset)
        figure, spread, weighs = figure - other, spread - apart, weighs + also
    # A checkpoint without weight has told nothing.
    groups = (_by_cluster(weighs, checkpoints) > 0).sum(axis=0)
    square = (_by_cluster(spread, checkpoints) ** 2).sum(axis=0)
    freedom = np.maximum(groups - 1, 1)
    half = stdtrit(freedom, (1 + level) / 2) * np.sqrt(square * groups / freedom)
    half = np.where(groups > 1, half, np.nan)
    return figure - half, figure + half


def _linear(value: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a ratio of sums, what each problem moves it by, and the problem's weight."""
    top, bottom = np.broadcast_arrays(value, weight)
    total = bottom.sum(axis=0)
    figure = ratio(top.sum(axis=0), total)
    return figure, ratio(top - figure * bottom, total), abs(bottom)


def bootstrap(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    resamples: Resamples,
    *,
    level: float = 0.95,
    bca: bool = True,
) -> Intervals:
    """Interval of any statistic of sums over problems.

    Parameters
    ----------
    values : float array, shape (problem, term)
        What each problem adds to each sum. Pairing is by construction: one resample weighs every
        term.
    statistic : callable
        From sums (resample, term) to statistics (resample, column).
    resamples : Resamples
        From `bootstrap_weights`.
    level : float
        Coverage of the intervals.
    bca : bool
        Compute those of BCa, too; otherwise they are NaN.

    Returns
    -------
    Intervals

    Notes
    -----
    As `bootstrap_ratio`, which is this with ratios of sums.
    """
    observed = statistic(np.ones((1, len(values))) @ values)[0]
    # A cluster's problems always weigh the same: what they add up to is all that a resample needs
    # to know.
    added = _by_cluster(values, resamples.clusters)
    draws = statistic(resamples.sums(added))
    levels = np.array(tails(level))
    ordered = np.sort(draws, axis=0)
    percentile = _quantiles(ordered, np.repeat(levels[:, None], draws.shape[1], axis=1))
    if not bca:
        return Intervals(observed, percentile, np.full_like(percentile, np.nan))
    total = added.sum(axis=0)
    left_out = total - added
    # A difference of sums rounds: where only zeros are left, the sum must be 0, or a ratio to it
    # would be defined.
    if ((left_out != 0) & (abs(left_out) <= TIED * abs(total))).any():
        some = _by_cluster((values != 0).astype(float), resamples.clusters)
        left_out[some.sum(axis=0) == some] = 0.0
    return Intervals(observed, percentile, _bca(observed, ordered, statistic(left_out), levels))


def _by_cluster(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Add up the problems of each cluster, shape (cluster, term)."""
    n = len(values)
    shape = (int(clusters.max(initial=-1)) + 1, n)
    return csc_array((np.ones(n), clusters, np.arange(n + 1)), shape=shape) @ values


def _bca(
    observed: np.ndarray, draws: np.ndarray, jackknife: np.ndarray, levels: np.ndarray
) -> np.ndarray:
    """Return the BCa ends, (2, column), or the percentile method's where BCa is undefined.

    `draws` are sorted.
    """
    below = (draws < observed - TIED).sum(axis=0) + 0.5 * (abs(draws - observed) <= TIED).sum(
        axis=0
    )
    known = np.maximum((~np.isnan(draws)).sum(axis=0), 1)
    # Half a draw from either end keeps the correction finite when every resample lies on one side.
    bias = ndtri(np.clip(below / known, 0.5 / known, 1 - 0.5 / known))
    defined = ~np.isnan(jackknife)
    center = ratio(np.where(defined, jackknife, 0.0).sum(axis=0), defined.sum(axis=0))
    deviation = np.where(defined, center - jackknife, 0.0)
    square = deviation**2
    # A product: numpy takes any power above the second by logarithms.
    acceleration = ratio((square * deviation).sum(axis=0), 6 * square.sum(axis=0) ** 1.5)
    acceleration = np.where(np.isnan(acceleration), 0.0, acceleration)
    z = bias + ndtri(levels)[:, None]
    return _quantiles(draws, ndtr(bias + z / (1 - acceleration * z)))


def tails(level: float) -> tuple[float, float]:
    """Return the two quantiles between which `level` of a distribution lies."""
    return (1 - level) / 2, (1 + level) / 2


def percentile_interval(draws: np.ndarray, quantiles: tuple[float, float]) -> np.ndarray:
    """Return the lower and upper ends of draws (resample, ...), shape (2, ...).

    NaN draws are left out; where there is no other, both ends are NaN.
    """
    ends = np.full((2, *draws.shape[1:]), np.nan)
    known = ~np.isnan(draws).all(axis=0)
    if known.any():
        ends[:, known] = np.nanquantile(draws[:, known], quantiles, axis=0)
    return ends


def value_and_interval(draws: np.ndarray, level: float) -> np.ndarray:
    """Return value and percentile ends, (3, ...), of draws (1 + resample, ...).

    The first draw is the data.
    """
    return np.stack([draws[0], *percentile_interval(draws[1:], tails(level))])


def _quantiles(ordered: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quantile of each sorted column at its own levels, (level, column); NaN is left out."""
    known = (~np.isnan(ordered)).sum(axis=0)
    place = levels * np.maximum(known - 1, 0)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, np.maximum(known - 1, 0))
    columns = np.arange(ordered.shape[1])
    value = ordered[low, columns] + (place - low) * (ordered[high, columns] - ordered[low, columns])
    return np.where(known > 0, value, np.nan)


def permuted_sums(
    gain: np.ndarray,
    label: np.ndarray,
    n_permutations: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Sum of gain[s, i, label[s, pi(i)]] over draws s and problems i, for random permutations pi.

    Parameters
    ----------
    gain : float array, shape (draw, n, m)
        What problem i scores under each label.
    label : int array, shape (draw, n)
        The label (a column of `gain`) of each problem, such as the intervention it is routed to, or
        all that was decided for it in many draws.
    n_permutations : int
        Permutations drawn.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    float64 array, shape (n_permutations,)
    """
    n, n_labels = gain.shape[1:]
    totals = np.zeros(n_permutations)
    if n == 0:
        return totals
    step = max(1, BLOCK // n)
    for start in range(0, n_permutations, step):
        stop = min(start + step, n_permutations)
        order = rng.permuted(np.tile(np.arange(n), (stop - start, 1)), axis=1)
        for scored, made in zip(gain, label, strict=True):
            totals[start:stop] += np.take(scored, made[order] + n_labels * np.arange(n)).sum(axis=1)
    return totals


def exceedance(observed: float, draws: np.ndarray) -> float:
    """Return the one-sided p-value (1 + draws at or above `observed`) / (1 + draws).

    A small value means unusually high.

    The added one makes it valid at every level. Draws within `TIED` of the observed value count as
    ties.
    """
    draws = draws[~np.isnan(draws)]
    if np.isnan(observed) or not len(draws):
        return float("nan")
    return float((1 + (draws >= observed - TIED).sum()) / (1 + len(draws)))


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
    docs/method.md#holm-correction (Holm 1979): the i-th smallest of m is multiplied by m - i + 1,
    then made monotone.
    """
    p = np.asarray(p, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    scaled = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
