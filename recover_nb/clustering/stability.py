"""Stability of a clustering under resampling (docs/method.md#9-clustering-stability).

Arrays only. Labels of resamples are one matrix (resample, problem); with memberships as 0 and 1,
every overlap of every pair of clusters is a matrix product, and no loop runs over pairs of
resamples or of problems.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import adjusted_rand_score

from recover_nb.clustering.algorithms import NOISE, SEEDED, Clusterer, by_size, fit
from recover_nb.core.labels import Algorithm
from recover_nb.stats.resampling import ratio

#: Label of a problem that a resample did not draw.
ABSENT = -2
#: Open interval of consensus that is ambiguous.
AMBIGUOUS = (0.1, 0.9)
#: Fits by other seeds that agreement across seeds is taken over.
N_SEEDS = 5
#: Figures of one clustering -> whether higher is more stable.
FIGURES = {
    "mean_jaccard": True,
    "best_jaccard": True,
    "ari": True,
    "pac": False,
    "seed_ari": True,
    "algorithm_ari": True,
}
#: Figures that must all lie beyond the limits of both nulls before clusters are claimed.
DECIDING = ("mean_jaccard", "ari", "pac")
# Seeds of fits are whole numbers below this.
_SEEDS = 2**31


@dataclass(frozen=True)
class Stability:
    """What resampling says about one clustering.

    Attributes
    ----------
    labels : int16 array, shape (n,)
        Clusters of all points, numbered by size; -1 = noise.
    jaccard : float64 array, shape (cluster,)
        Mean over resamples of the best Jaccard of each cluster.
    figures : dict of str to float
        Those of `FIGURES`; NaN where one does not apply.
    consensus : float64 array, shape (m, m)
        Of the points asked for; NaN for two that no resample drew together.
    agreement : dict of str to float
        ARI with each other algorithm; empty unless asked for.
    """

    labels: np.ndarray
    jaccard: np.ndarray
    figures: dict[str, float]
    consensus: np.ndarray
    agreement: dict[str, float]


def measure(
    points: np.ndarray,
    clusterers: Sequence[Clusterer],
    n_resamples: int,
    shown: np.ndarray,
    rng: np.random.Generator,
    *,
    agreement: bool = True,
) -> list[Stability]:
    """Cluster the points and every resample of them, by each of `clusterers`.

    Parameters
    ----------
    points : float array, shape (n, d)
        Standardised, without NaN and without a constant column.
    clusterers : sequence of Clusterer
        All see the same resamples.
    n_resamples : int
        Bootstrap resamples.
    shown : int array, shape (m,)
        Points that consensus and PAC are over.
    rng : numpy Generator
        Source of randomness.
    agreement : bool
        Cluster by other seeds and other algorithms as well.

    Returns
    -------
    list of Stability
        One for each clusterer.

    Notes
    -----
    docs/method.md#9-clustering-stability.
    """
    every = cluster(points, clusterers, rng)
    drawn = draw(len(points), n_resamples, rng, least=max(each.k for each in clusterers))
    again = np.full((len(clusterers), *drawn.shape), ABSENT, dtype=np.int16)
    for b, inside in enumerate(drawn):
        again[:, b, inside] = fit(points[inside], clusterers, int(rng.integers(_SEEDS)))
    found = []
    for each, labels, resampled in zip(clusterers, every, again, strict=True):
        jaccard = cluster_jaccard(labels, resampled)
        together = consensus(resampled[:, shown], informative=n_clusters(resampled) > 1)
        others = (np.nan, {}) if not agreement else _agreement(points, each, labels, rng)
        figures = {
            "mean_jaccard": float(jaccard.mean()) if len(jaccard) else 0.0,
            "best_jaccard": float(jaccard.max(initial=0.0)),
            "ari": mean_ari(resampled),
            "pac": pac(together),
            "seed_ari": others[0],
            "algorithm_ari": float(np.mean(list(others[1].values()))) if others[1] else np.nan,
        }
        found.append(Stability(labels, jaccard, figures, together, others[1]))
    return found


def cluster(
    points: np.ndarray, clusterers: Sequence[Clusterer], rng: np.random.Generator
) -> list[np.ndarray]:
    """Cluster all points by each of `clusterers`, each (n,), numbered by size; -1 = noise."""
    return [by_size(row) for row in fit(points, clusterers, int(rng.integers(_SEEDS)))]


def _agreement(
    points: np.ndarray, clusterer: Clusterer, labels: np.ndarray, rng: np.random.Generator
) -> tuple[float, dict[str, float]]:
    """Return the ARI over pairs of seeds, and with each other algorithm.

    The first is NaN where labels do not depend on a seed.
    """
    across = float("nan")
    if clusterer.algorithm in SEEDED:
        fits = [fit(points, [clusterer], int(rng.integers(_SEEDS)))[0] for _ in range(N_SEEDS)]
        across = mean_ari(np.stack([labels, *fits]))
    # The others are asked for as many clusters as were found, so that HDBSCAN can be compared.
    k = max(2, int(labels.max()) + 1)
    others = [
        Clusterer(name, k, clusterer.share) for name in Algorithm if name != clusterer.algorithm
    ]
    rows = fit(points, others, int(rng.integers(_SEEDS)))
    pairs = zip(others, rows, strict=True)
    return across, {
        each.algorithm.value: float(adjusted_rand_score(labels, row)) for each, row in pairs
    }


def draw(n: int, n_resamples: int, rng: np.random.Generator, *, least: int) -> np.ndarray:
    """Draw bootstrap resamples of `n` points, (n_resamples, n) bool: which points each one holds.

    A point drawn twice is used once, as Hennig's own software does: copies at distance 0 are
    clusters to any method that looks at density. A draw of fewer than `least` distinct points is
    drawn again.
    """
    drawn = np.zeros((n_resamples, n), dtype=bool)
    short = np.arange(n_resamples)
    while len(short):
        drawn[short] = False
        drawn[short[:, None], rng.integers(n, size=(len(short), n))] = True
        short = short[drawn[short].sum(axis=1) < least]
    return drawn


def memberships(labels: np.ndarray) -> np.ndarray:
    """Return 0 and 1 for labels (..., n), float32 (..., group, n), noise as the last group.

    Clusters come first.
    """
    groups = np.arange(int(labels.max(initial=NOISE)) + 2, dtype=labels.dtype)
    groups[-1] = NOISE
    return (labels[..., None, :] == groups[:, None]).astype(np.float32)


def n_clusters(resampled: np.ndarray) -> np.ndarray:
    """Count the clusters of each row of labels (resample, n); noise is none."""
    return memberships(resampled)[:, :-1].any(axis=-1).sum(axis=-1)


def cluster_jaccard(labels: np.ndarray, resampled: np.ndarray) -> np.ndarray:
    """Mean over resamples of each cluster's Jaccard with the cluster of the resample most like it.

    Parameters
    ----------
    labels : int array, shape (n,)
        Clusters of all points, from 0; -1 = noise, which is not a cluster.
    resampled : int array, shape (resample, n)
        Clusters found in each resample; -1 = noise, -2 = not drawn.

    Returns
    -------
    float64 array, shape (cluster,)
        In [0, 1]; higher is more stable. A resample that drew no point of a cluster says nothing
        about it; one in which everything is noise gives 0.

    Notes
    -----
    Hennig 2007: intersection over union, among the points drawn. docs/method.md#cluster-jaccard.
    """
    cluster = memberships(labels)[:-1]
    groups = memberships(resampled)[:, :-1]
    overlap = groups @ cluster.T
    size = (resampled != ABSENT).astype(np.float32) @ cluster.T
    union = size[:, None] + groups.sum(axis=-1)[..., None] - overlap
    jaccard = ratio(overlap.astype(np.float64), union)
    best = np.nan_to_num(jaccard).max(axis=1, initial=0.0)
    seen = size > 0
    # A cluster no resample has drawn from was never seen again: 0.
    return np.nan_to_num(ratio((best * seen).sum(axis=0), seen.sum(axis=0)))


def pairwise_ari(resampled: np.ndarray) -> np.ndarray:
    """Compare every pair of rows by their adjusted Rand index, over the points in both.

    Parameters
    ----------
    resampled : int array, shape (resample, n)
        Cluster numbers from 0; -1 = noise, one group like any other; -2 = not drawn.

    Returns
    -------
    float64 array, shape (pair,)
        Pairs (0, 1), (0, 2), ... ; 1 = the same partition, 0 = as alike as chance.
    """
    groups = memberships(resampled)
    n_resamples, n_groups, n = groups.shape
    flat = groups.reshape(-1, n)
    found = []
    for row in range(n_resamples - 1):
        counts = (flat[(row + 1) * n_groups :] @ groups[row].T).astype(np.float64)
        counts = counts.reshape(-1, n_groups, n_groups)
        found.append(_adjusted_rand(counts))
    return np.concatenate(found) if found else np.empty(0)


def _adjusted_rand(counts: np.ndarray) -> np.ndarray:
    """Return the ARI of contingency tables (..., a, b); 1 where both partitions are trivial.

    That is what scikit-learn does.
    """

    def pairs(x: np.ndarray) -> np.ndarray:
        return x * (x - 1) / 2

    both = pairs(counts).sum(axis=(-2, -1))
    first, second = (pairs(counts.sum(axis=axis)).sum(axis=-1) for axis in (-1, -2))
    expected = ratio(first * second, pairs(counts.sum(axis=(-2, -1))))
    value = ratio(both - expected, (first + second) / 2 - expected)
    return np.where(np.isnan(value), 1.0, value)


def mean_ari(resampled: np.ndarray) -> float:
    """Mean adjusted Rand index over pairs of resamples.

    Two resamples that both find fewer than two clusters agree on nothing that could be wrong: they
    count 0.
    """
    values = pairwise_ari(resampled)
    if not len(values):
        return float("nan")
    trivial = n_clusters(resampled) < 2
    first, second = np.triu_indices(len(resampled), 1)
    return float(np.where(trivial[first] & trivial[second], 0.0, values).mean())


def consensus(resampled: np.ndarray, *, informative: np.ndarray | None = None) -> np.ndarray:
    """Share of resamples that put two points in one cluster, among those that drew both.

    Parameters
    ----------
    resampled : int array, shape (resample, m)
        Cluster numbers from 0; -1 = noise, together with nothing; -2 = not drawn.
    informative : bool array, shape (resample,), optional
        Resamples with at least two clusters (all by default). Any other says nothing of who belongs
        to whom: it counts one half for every pair.

    Returns
    -------
    float64 array, shape (m, m)
        Symmetric, in [0, 1]; NaN for a pair never drawn together, 1 on the diagonal.
    """
    if informative is None:
        informative = np.ones(len(resampled), dtype=bool)
    groups = memberships(resampled[informative])[:, :-1].reshape(-1, resampled.shape[1])
    present = (resampled != ABSENT).astype(np.float32)
    blank = present[~informative]
    together = groups.T @ groups + 0.5 * (blank.T @ blank)
    found = ratio(together.astype(np.float64), present.T @ present)
    np.fill_diagonal(found, 1.0)
    return found


def pac(matrix: np.ndarray, interval: tuple[float, float] = AMBIGUOUS) -> float:
    """Return PAC: the share of pairs of different points with consensus inside `interval`.

    PAC is the proportion of ambiguous clustering.

    In [0, 1]; lower is more stable. Both ends are outside; pairs never drawn together are left out.
    """
    values = matrix[np.triu_indices(len(matrix), 1)]
    values = values[~np.isnan(values)]
    inside = (values > interval[0]) & (values < interval[1])
    return float(inside.mean()) if len(values) else float("nan")
