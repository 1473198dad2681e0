"""Four ways to cluster behind one call: points in, numbers out (docs/method.md#algorithms)."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import ward
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn import config_context
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture

from recover_nb.core import checks
from recover_nb.core.labels import Algorithm

#: Label of a point that belongs to no cluster; only HDBSCAN has any.
NOISE = -1
#: Restarts of k-means, of which the tightest is kept: few, but enough that a local optimum is
#: rarely mistaken for instability of the data.
N_INIT = 3
#: Least points in a cluster of HDBSCAN, as a share of all, and never fewer than `LEAST_SIZE`.
SHARE, LEAST_SIZE = 0.05, 5
#: Least variance of a mixture's component, in squared z-scores: a tenth of an sd, which is what a
#: feature of reliability 0.99 is off by. Features have ties (a share of few tokens, a floor):
#: without a bound, a component on tied points alone has no limit to its likelihood, and BIC would
#: count a tenth of the points at a floor as a cluster.
REG_COVAR = 1e-2
#: Algorithms that draw random numbers; the others give the same labels for every seed.
SEEDED = (Algorithm.KMEANS, Algorithm.GAUSSIAN_MIXTURE)


@dataclass(frozen=True)
class Clusterer:
    """An algorithm and its one choice.

    Parameters
    ----------
    algorithm : Algorithm
    k : int
        Number of clusters; HDBSCAN finds its own.
    share : float
        HDBSCAN: least points in a cluster, as a share of the points given. A share, so that a
        resample, which has fewer points, is asked the same question.
    """

    algorithm: Algorithm
    k: int
    share: float = SHARE

    def size(self, n: int) -> int:
        """Least points in a cluster of HDBSCAN among `n`."""
        return max(2, round(self.share * n))


def fit(points: np.ndarray, clusterers: Sequence[Clusterer], seed: int) -> np.ndarray:
    """Cluster the same points by each of `clusterers`.

    Parameters
    ----------
    points : float array, shape (n, d)
        Standardised, without NaN and without a constant column.
    clusterers : sequence of Clusterer
        Those of Ward share one tree, cut at each k.
    seed : int
        Of k-means and of the Gaussian mixture.

    Returns
    -------
    int16 array, shape (clusterer, n)
        Cluster numbers from 0; -1 = noise. A mixture may leave a number unused.

    Notes
    -----
    docs/method.md#algorithms. A fit that stops at its limit of iterations is used as it is.
    """
    labels = np.empty((len(clusterers), len(points)), dtype=np.int16)
    tree = None
    with (
        warnings.catch_warnings(),
        config_context(assume_finite=True, skip_parameter_validation=True),
    ):
        warnings.simplefilter("ignore", ConvergenceWarning)
        for row, each in enumerate(clusterers):
            if each.algorithm == Algorithm.WARD:
                tree = ward(points) if tree is None else tree
                labels[row] = cut(tree, each.k)
            else:
                labels[row] = _ESTIMATORS[each.algorithm](each, len(points), seed).fit_predict(
                    points
                )
    return labels


def _kmeans(each: Clusterer, n: int, seed: int) -> KMeans:
    return KMeans(each.k, n_init=N_INIT, random_state=seed)


def _gaussian_mixture(each: Clusterer, n: int, seed: int) -> GaussianMixture:
    return GaussianMixture(each.k, reg_covar=REG_COVAR, random_state=seed)


def _hdbscan(each: Clusterer, n: int, seed: int) -> HDBSCAN:
    # Neighbours that make a point dense cannot be more than there are points.
    return HDBSCAN(min_cluster_size=each.size(n), min_samples=min(each.size(n), n), copy=True)


_ESTIMATORS = {
    Algorithm.KMEANS: _kmeans,
    Algorithm.GAUSSIAN_MIXTURE: _gaussian_mixture,
    Algorithm.HDBSCAN: _hdbscan,
}


def cut(tree: np.ndarray, k: int) -> np.ndarray:
    """Cut a tree of merges where `k` clusters are left, (n,) int numbered from 0.

    `tree` (n - 1, 4) is scipy's linkage matrix: undoing its last k - 1 merges leaves k clusters,
    ties or not.
    """
    n = len(tree) + 1
    merges = np.arange(n - k)
    parents = np.repeat(n + merges, 2)
    children = tree[merges, :2].astype(np.int64).ravel()
    edges = coo_array((np.ones(len(parents)), (parents, children)), shape=(2 * n - 1, 2 * n - 1))
    return by_size(connected_components(edges, directed=False)[1][:n])


def by_size(labels: np.ndarray) -> np.ndarray:
    """Renumber clusters from 0, the largest first; noise stays -1.

    Of equals, the one with the first point comes first.
    """
    known = labels != NOISE
    _, first, inverse, counts = np.unique(
        labels[known], return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(counts), dtype=labels.dtype)
    rank[np.lexsort((first, -counts))] = np.arange(len(counts))
    out = np.full_like(labels, NOISE)
    out[known] = rank[inverse]
    return out


def silhouette(points: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean silhouette of the points in a cluster; NaN where undefined.

    It is in [-1, 1]; higher is better separated.
    """
    known = labels != NOISE
    n_clusters = len(np.unique(labels[known]))
    if not 2 <= n_clusters < known.sum():
        return float("nan")
    return float(silhouette_score(points[known], labels[known]))


def bic(points: np.ndarray, k: int, seed: int) -> float:
    """Return the BIC of a full-covariance Gaussian mixture of `k` components.

    BIC is the Bayesian information criterion; lower is better.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture = GaussianMixture(k, reg_covar=REG_COVAR, n_init=N_INIT, random_state=seed)
        return float(mixture.fit(points).bic(points))


def least_share(min_cluster_size: int | None, n: int) -> float:
    """Return HDBSCAN's least cluster size as a share of `n` points.

    Raises
    ------
    InputError
        If `min_cluster_size` is not a whole number from 2 to n.
    """
    if min_cluster_size is None:
        return max(SHARE, LEAST_SIZE / n)
    known = checks.whole(2, n, what=f"a whole number from 2 to {n}, the problems clustered")
    return checks.check("min_cluster_size", min_cluster_size, known) / n
