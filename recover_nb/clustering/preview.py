"""A clustering before it is judged: labels at once, a few resamples, and no verdict.

See docs/method.md#9-clustering-stability.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import xarray as xr

from recover_nb.clustering.algorithms import Clusterer, least_share
from recover_nb.clustering.cluster_stability import MAX_CONSENSUS, order_shown, spread_labels
from recover_nb.clustering.feature_space import check_k, feature_space
from recover_nb.clustering.nulls import points_shown
from recover_nb.clustering.result import LEFT_OUT
from recover_nb.clustering.stability import cluster, measure
from recover_nb.core.checks import check_whole
from recover_nb.core.door import takes_study
from recover_nb.core.labels import Algorithm, parse


@dataclass(frozen=True)
class Glance:
    """Labels and figures without the nulls that would say what they are worth.

    Attributes
    ----------
    algorithm, k, labels, sizes, jaccard, figures, consensus, consensus_problem
        As in `result.ClusterStability`. Without resamples `jaccard` is NaN, and `figures` and
        `consensus` are empty.
    n_resamples : int
    nulls : mapping
        Empty: there is nothing to hold the figures against, and so no verdict.
    """

    algorithm: str
    k: int
    labels: xr.DataArray
    sizes: np.ndarray
    jaccard: np.ndarray
    figures: Mapping[str, float]
    consensus: np.ndarray
    consensus_problem: np.ndarray
    n_resamples: int
    nulls: Mapping[str, Mapping[str, np.ndarray]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    @property
    def n(self) -> int:
        """Problems that were clustered."""
        return int((self.labels != LEFT_OUT).sum())


@takes_study()
def glance(
    ds: xr.Dataset,
    *,
    algorithm: str = Algorithm.KMEANS.value,
    k: int = 3,
    n_resamples: int = 0,
    seed: int = 0,
    cells: Sequence[str] | None = None,
    within_cells: bool = False,
    ranks: bool = False,
    min_cluster_size: int | None = None,
    max_consensus: int = MAX_CONSENSUS,
) -> Glance:
    """Cluster failed problems, and resample them a few times, without a verdict.

    Takes a fortieth of the time of `cluster_stability`, which clusters as many resamples of every
    draw of its nulls.

    Parameters
    ----------
    ds, algorithm, k, seed, cells, within_cells, ranks, min_cluster_size, max_consensus
        As in `cluster_stability`: labels are the same, and figures too where `n_resamples` is.
    n_resamples : int
        0 = labels alone.

    Returns
    -------
    Glance

    Raises
    ------
    InputError
        As `cluster_stability`.

    Notes
    -----
    docs/method.md#9-clustering-stability.
    """
    name = parse(Algorithm, algorithm)
    for word, value, least in (
        ("n_resamples", n_resamples, 0),
        ("seed", seed, 0),
        ("max_consensus", max_consensus, 2),
    ):
        check_whole(word, value, least)
    space = feature_space(ds, cells=cells, within_cells=within_cells, ranks=ranks)
    check_k(k, space.points)
    n = len(space.rows)
    clusterer = Clusterer(name, k, least_share(min_cluster_size, n))
    rng = np.random.default_rng([seed, 0])
    if n_resamples:
        shown = points_shown(n, max_consensus, seed)
        found = measure(space.points, [clusterer], n_resamples, shown, rng, agreement=False)[0]
        labels, jaccard, figures = found.labels, found.jaccard, found.figures
        order = order_shown(found.consensus, labels[shown])
        consensus, shown = found.consensus[np.ix_(order, order)], shown[order]
    else:
        labels = cluster(space.points, [clusterer], rng)[0]
        jaccard, figures = np.full(labels.max(initial=-1) + 1, np.nan), {}
        consensus, shown = np.empty((0, 0)), np.empty(0, dtype=int)
    return Glance(
        algorithm=name.value,
        k=len(jaccard),
        labels=spread_labels(ds, space, labels),
        sizes=np.bincount(labels[labels >= 0], minlength=len(jaccard)),
        jaccard=jaccard,
        figures=MappingProxyType(figures),
        consensus=consensus,
        consensus_problem=space.rows[shown],
        n_resamples=n_resamples,
    )
