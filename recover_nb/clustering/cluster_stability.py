"""One clustering of failed problems, its stability, and whether to believe it.

See docs/method.md#9-clustering-stability.
"""

from collections.abc import Callable, Sequence
from types import MappingProxyType

import numpy as np
import xarray as xr
from sklearn.metrics import adjusted_rand_score

from recover_nb.clustering.algorithms import Clusterer, least_share
from recover_nb.clustering.feature_space import ALGORITHM, CLUSTERS, Space, check_k, feature_space
from recover_nb.clustering.nulls import (
    LEVEL,
    NULLS,
    RESAMPLES,
    measure_all,
    null_figures,
    points_shown,
)
from recover_nb.clustering.result import LEFT_OUT, STABLE, ClusterStability
from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.labels import Algorithm, parse
from recover_nb.core.schema import UNIT_COORDS, cell_names, text

#: Problems that consensus and PAC are over, at most.
MAX_CONSENSUS = 300
#: Names on `problem` that clusters are compared with.
_NAMES = (*UNIT_COORDS[:3], "regime")


@takes_study()
@checks.takes(
    algorithm=ALGORITHM,
    k=CLUSTERS,
    n_resamples=RESAMPLES,
    n_null=NULLS,
    seed=checks.SEED,
    cells=checks.NAMES,
    within_cells=checks.FLAG,
    ranks=checks.FLAG,
    agreement=checks.FLAG,
    max_consensus=checks.whole(2),
    progress=checks.TELL,
)
def cluster_stability(
    ds: xr.Dataset,
    *,
    algorithm: str = Algorithm.KMEANS.value,
    k: int = 3,
    n_resamples: int = 100,
    n_null: int = 20,
    seed: int = 0,
    cells: Sequence[str] | None = None,
    within_cells: bool = False,
    ranks: bool = False,
    min_cluster_size: int | None = None,
    agreement: bool = True,
    max_consensus: int = MAX_CONSENSUS,
    progress: Callable[[str], None] | None = None,
) -> ClusterStability:
    """Cluster failed problems by their features, and compare stability with data without clusters.

    Parameters
    ----------
    ds : Dataset
        With ``features`` (problem, feature); a study or a profile table. Problems without features
        are left out.
    algorithm : {"kmeans", "gaussian_mixture", "ward", "hdbscan"}
        How to cluster.
    k : int
        Clusters, at least 2, with at least two different problems for each. HDBSCAN finds its own
        number.
    n_resamples : int
        Bootstrap resamples of the problems, at least 2; as many of every draw of a null, since
        figures of different numbers of resamples do not compare (PAC above all).
    n_null : int
        Draws of each null, at least 19: the fewest that tell a 95 % limit.
    seed : int
        The result is a function of it and of the data alone.
    cells : sequence of str, optional
        Cluster the problems of these cells only.
    within_cells : bool
        z-score each cell by itself. Without it, clusters of several cells may be the cells over
        again: see ``alignment`` of the result.
    ranks : bool
        z-score the normal scores of ranks instead of the features. The nulls are one Gaussian and
        one box: a single skewed cloud, or a few problems far out at the floor of a feature, is
        neither and can be claimed. Claims that vanish by ranks are of that kind.
    min_cluster_size : int, optional
        Of HDBSCAN, over all problems (a resample is asked for the same share); by default 5 % of
        them, at least 5.
    agreement : bool
        Compare seeds and the other algorithms too, in the nulls as well; ``seed_ari`` and
        ``algorithm_ari`` are NaN without.
    max_consensus : int
        Problems in the consensus matrix and in PAC, at least 2: of more, as many are drawn at
        random without replacement.
    progress : callable, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    ClusterStability
        Its ``verdict`` is ``clusters`` only where mean Jaccard, ARI and PAC all lie beyond the 95 %
        limits of one Gaussian with the data's covariance *and* of a uniform box over the ranges of
        the z-scores (sides along the features), and some cluster reaches a Jaccard of 0.75 and more
        than the nulls' best.

    Raises
    ------
    InputError
        If a name, a count or a variable is missing or out of range, or there are too few different
        problems.

    See Also
    --------
    stability_grid : Every algorithm and number of clusters, corrected for their number.
    rollout_stability : The same clusters from fewer failed rollouts.
    claim_rates : How often data without clusters are claimed.
    plot_stability : Draws the figures over their nulls.

    Notes
    -----
    docs/method.md#9-clustering-stability; Jaccard by Hennig 2007. Problems are resampled one by
    one, and the copies a bootstrap makes are used once.

    References
    ----------
    .. [1] C. Hennig (2007). Cluster-wise assessment of cluster stability. Computational Statistics
       & Data Analysis, 52(1), 258-271.

    Examples
    --------
    The features of this study are one cloud, so that no clusters are claimed.

    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
    >>> result = rnb.cluster_stability(ds, k=2, n_resamples=5, agreement=False)
    >>> result.sizes.tolist(), str(result.verdict)
    ([43, 17], 'not_above_null')
    >>> result.figures["ari"] > result.limit("ari", "gaussian")
    False
    """
    name = parse(Algorithm, algorithm)
    space = feature_space(ds, cells=cells, within_cells=within_cells, ranks=ranks)
    check_k(k, space.points)
    n = len(space.rows)
    clusterer = Clusterer(name, k, least_share(min_cluster_size, n))
    shown = points_shown(n, max_consensus, seed)
    counts = {"n_resamples": n_resamples, "n_null": n_null, "seed": seed}
    runs = [
        (null, found[0])
        for null, found in measure_all(
            space.points, [clusterer], shown, **counts, agreement=agreement, progress=progress
        )
    ]
    data = runs[0][1]
    order = order_shown(data.consensus, data.labels[shown])
    settings = {
        "k": k,
        **counts,
        "cells": None if cells is None else [str(cell) for cell in cells],
        "within_cells": within_cells,
        "ranks": ranks,
        "min_cluster_size": clusterer.size(n) if name == Algorithm.HDBSCAN else None,
        "max_consensus": max_consensus,
        "stable": STABLE,
        "level": LEVEL,
    }
    return ClusterStability(
        algorithm=name.value,
        k=len(data.jaccard),
        labels=spread_labels(ds, space, data.labels),
        sizes=np.bincount(data.labels[data.labels >= 0], minlength=len(data.jaccard)),
        jaccard=data.jaccard,
        figures=MappingProxyType(data.figures),
        nulls=MappingProxyType(null_figures(runs)),
        consensus=data.consensus[np.ix_(order, order)],
        consensus_problem=space.rows[shown[order]],
        agreement=MappingProxyType(data.agreement),
        alignment=MappingProxyType(_alignment(ds, space.rows, data.labels)),
        settings=MappingProxyType(settings),
    )


def order_shown(consensus: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Order points by cluster, and within one by their mean consensus with it, largest first."""
    own = (labels[:, None] == labels) & ~np.isnan(consensus)
    settled = np.where(own, consensus, 0.0).sum(axis=1) / own.sum(axis=1)
    return np.lexsort((-settled, labels))


def spread_labels(ds: xr.Dataset, space: Space, labels: np.ndarray) -> xr.DataArray:
    """Spread labels over every problem of the study."""
    every = np.full(ds.sizes["problem"], LEFT_OUT, dtype=np.int16)
    every[space.rows] = labels
    coords = {name: value for name, value in ds.coords.items() if value.dims == ("problem",)}
    return xr.DataArray(every, dims="problem", coords=coords, name="cluster")


def _alignment(ds: xr.Dataset, rows: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """ARI with each name that the problems carry, where there is more than one of it."""
    names = {name: text(ds[name])[rows] for name in _NAMES if name in ds.variables}
    if "cell" in ds.coords or set(UNIT_COORDS[:3]) <= set(names):
        names = {"cell": cell_names(ds)[rows], **names}
    return {
        name: float(adjusted_rand_score(each, labels))
        for name, each in names.items()
        if len(set(each.tolist())) > 1
    }
