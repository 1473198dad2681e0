"""Many clusterings side by side: scores and stability of each number of clusters.

See docs/method.md#9-clustering-stability.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.clustering.algorithms import Clusterer, bic, fit, least_share, silhouette
from recover_nb.clustering.cluster_stability import MAX_CONSENSUS
from recover_nb.clustering.feature_space import ALGORITHM, SEVERAL_CLUSTERS, check_ks, feature_space
from recover_nb.clustering.nulls import (
    JOBS,
    LEVEL,
    NULLS,
    RESAMPLES,
    family_p,
    measure_all,
    null_figures,
    points_shown,
)
from recover_nb.clustering.result import Judged
from recover_nb.clustering.stability import DECIDING, FIGURES, Stability
from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Algorithm, Null, Structure, parse

#: Numbers of clusters tried (docs/method.md#choosing-k).
KS = tuple(range(2, 9))
ALGORITHMS = tuple(each.value for each in Algorithm)
#: Figures of the grid: those that resampling alone gives.
_FIGURES = ("mean_jaccard", "best_jaccard", "ari", "pac")


@takes_study()
@checks.takes(
    algorithm=ALGORITHM,
    ks=SEVERAL_CLUSTERS,
    seed=checks.SEED,
    cells=checks.NAMES,
    within_cells=checks.FLAG,
    ranks=checks.FLAG,
)
def choose_k(
    ds: xr.Dataset,
    *,
    algorithm: str = Algorithm.KMEANS.value,
    ks: Sequence[int] = KS,
    seed: int = 0,
    cells: Sequence[str] | None = None,
    within_cells: bool = False,
    ranks: bool = False,
) -> pd.DataFrame:
    """Score numbers of clusters by silhouette and by BIC.

    Parameters
    ----------
    ds, cells, within_cells, ranks
        As in `cluster_stability`.
    algorithm : {"kmeans", "gaussian_mixture", "ward"}
        Whose clusters the silhouette is of. HDBSCAN chooses for itself.
    ks : sequence of int
        Numbers of clusters, each at least 2.
    seed : int
        Of the fits.

    Returns
    -------
    DataFrame
        One row for k = 1 and each of `ks`: ``k``, ``silhouette`` (-1 to 1, higher is better; NaN
        for one cluster), ``bic`` (lower is better; always of a Gaussian mixture with full
        covariances, the one model here that has a likelihood), ``best_silhouette`` and ``best_bic``
        (bool, True in the row chosen).

    Raises
    ------
    InputError
        If a name or a number is out of range, or there are too few different problems.

    Notes
    -----
    docs/method.md#choosing-k. Some silhouette is always the largest, so it is no evidence of
    clusters; BIC may choose 1.

    Examples
    --------
    The features of this study are one cloud, and BIC leaves them so; some silhouette is always the
    largest.

    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
    >>> scores = rnb.choose_k(ds, ks=[2, 3])
    >>> scores[["k", "best_silhouette", "best_bic"]]
       k  best_silhouette  best_bic
    0  1            False      True
    1  2            False     False
    2  3             True     False
    """
    name = parse(Algorithm, algorithm)
    if name == Algorithm.HDBSCAN:
        allowed = ", ".join(each for each in ALGORITHMS if each != name)
        raise InputError(f"hdbscan finds its own number of clusters; choose_k allows {allowed}")
    points = feature_space(ds, cells=cells, within_cells=within_cells, ranks=ranks).points
    numbers = check_ks(ks, points)
    rows = fit(points, [Clusterer(name, k) for k in numbers], seed)
    widths = np.array([np.nan, *(silhouette(points, row) for row in rows)])
    scores = np.array([bic(points, k, seed) for k in (1, *numbers)])
    place = np.arange(len(scores))
    return pd.DataFrame(
        {
            "k": [1, *numbers],
            "silhouette": widths,
            "bic": scores,
            "best_silhouette": (
                np.isfinite(widths) & (place == np.argmax(np.nan_to_num(widths, nan=-np.inf)))
            ),
            "best_bic": place == np.argmin(scores),
        }
    )


@takes_study()
@checks.takes(
    algorithms=checks.names(Algorithm),
    ks=SEVERAL_CLUSTERS,
    n_resamples=RESAMPLES,
    n_null=NULLS,
    seed=checks.SEED,
    cells=checks.NAMES,
    within_cells=checks.FLAG,
    ranks=checks.FLAG,
    progress=checks.TELL,
    n_jobs=JOBS,
)
def stability_grid(
    ds: xr.Dataset,
    *,
    algorithms: Sequence[str] = ALGORITHMS,
    ks: Sequence[int] = KS,
    n_resamples: int = 50,
    n_null: int = 20,
    seed: int = 0,
    cells: Sequence[str] | None = None,
    within_cells: bool = False,
    ranks: bool = False,
    min_cluster_size: int | None = None,
    progress: Callable[[str], None] | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Measure the stability of every algorithm and number of clusters on the same resamples.

    The nulls are the same too.

    All of it takes minutes for a thousand problems; fewer `n_resamples` take proportionally less.

    Parameters
    ----------
    ds, n_resamples, n_null, seed, cells, within_cells, ranks, min_cluster_size, progress
        As in `cluster_stability`.
    algorithms : sequence of str
        HDBSCAN counts once, with the number of clusters it finds.
    ks : sequence of int
        Numbers of clusters, each at least 2.
    n_jobs : int, optional
        Processes; -1 is one per processor. By default that for work of more than half a minute,
        else 1. The figures are the same.

    Returns
    -------
    DataFrame
        One row for each algorithm, k and figure (``mean_jaccard``, ``best_jaccard``, ``ari``,
        ``pac``):

        - ``algorithm``, ``k``, ``figure``, ``higher`` (bool: higher is more stable), ``value``;
        - for each null ``gaussian_median``, ``gaussian_limit``, ``gaussian_p``, ``box_median``,
          ...;
        - ``beyond`` (bool: past the limits of both);
        - alike in all rows of one clustering, ``verdict`` (as `cluster_stability` has it),
          ``p_family``: the larger of the two nulls' p-values for the three deciding figures
          together, corrected for every clustering of the table, and ``family_verdict``: the verdict
          where ``p_family`` is at most 0.05, otherwise ``not_above_null`` in place of a claim. A
          table of 22 clusterings is 22 chances to be lucky: believe ``family_verdict``.

    Raises
    ------
    InputError
        As `cluster_stability`, or if no algorithm or number is given.

    Notes
    -----
    docs/method.md#family-correction; the correction is `nulls.family_p`.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
    >>> grid = rnb.stability_grid(ds, algorithms=["kmeans"], ks=[2, 3], n_resamples=5, n_null=19)
    >>> grid.loc[grid["figure"] == "ari", ["algorithm", "k", "beyond", "family_verdict"]]
      algorithm  k  beyond  family_verdict
    2    kmeans  2   False  not_above_null
    6    kmeans  3   False  not_above_null
    """
    points = feature_space(ds, cells=cells, within_cells=within_cells, ranks=ranks).points
    numbers = check_ks(ks, points)
    chosen = _choices(algorithms, numbers, least_share(min_cluster_size, len(points)))
    runs = list(
        measure_all(
            points,
            chosen,
            points_shown(len(points), MAX_CONSENSUS, seed),
            n_resamples=n_resamples,
            n_null=n_null,
            seed=seed,
            agreement=False,
            progress=progress,
            n_jobs=n_jobs,
        )
    )
    corrected = _family_p(runs)
    rows = []
    for place, each in enumerate(chosen):
        rows += _rows(each, [(null, found[place]) for null, found in runs], corrected[place])
    return pd.DataFrame(rows)


def _choices(algorithms: Sequence[str], ks: list[int], share: float) -> list[Clusterer]:
    """List every algorithm with every k; HDBSCAN once."""
    names = [parse(Algorithm, name) for name in dict.fromkeys(algorithms)]
    return [
        Clusterer(name, k, share)
        for name in names
        for k in (ks[:1] if name == Algorithm.HDBSCAN else ks)
    ]


def _rows(
    clusterer: Clusterer, runs: list[tuple[Null | None, Stability]], p_family: float
) -> list[dict]:
    """Return the rows of one clustering."""
    data = runs[0][1]
    judged = Judged(data.jaccard, data.figures, null_figures(runs))
    found = len(data.jaccard)
    rows = []
    for name in _FIGURES:
        row = {
            "algorithm": clusterer.algorithm.value,
            "k": found if clusterer.algorithm == Algorithm.HDBSCAN else clusterer.k,
            "figure": name,
            "higher": FIGURES[name],
            "value": data.figures[name],
        }
        for null, figures in judged.nulls.items():
            row[f"{null}_median"] = float(np.median(figures[name]))
            row[f"{null}_limit"] = judged.limit(name, null)
            row[f"{null}_p"] = judged.p(name, null)
        row |= {"beyond": judged.beyond(name), "verdict": judged.verdict.value}
        held = _held_for_all(judged.verdict, p_family).value
        rows.append(row | {"p_family": p_family, "family_verdict": held})
    return rows


def _held_for_all(verdict: Structure, p_family: float) -> Structure:
    """Take back a verdict that does not hold for all clusterings of a table at once."""
    lucky = verdict in (Structure.CLUSTERS, Structure.UNSTABLE) and p_family > 1 - LEVEL + 1e-12
    return Structure.NOT_ABOVE_NULL if lucky else verdict


def _family_p(runs: list[tuple[Null | None, list[Stability]]]) -> np.ndarray:
    """Return the larger of the two nulls' corrected p-values, (clustering,)."""
    signs = np.array([1 if FIGURES[name] else -1 for name in DECIDING])
    values = {
        null: (
            np.array(
                [
                    [[each.figures[name] for name in DECIDING] for each in found]
                    for which, found in runs
                    if which == null
                ]
            )
            * signs
        )
        for null in (None, *Null)
    }
    return np.max([family_p(values[None][0], values[null]) for null in Null], axis=0)
