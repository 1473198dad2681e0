"""Failed problems as points: the standardised feature space.

See docs/method.md#z-scores and docs/method.md#feature-space.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.special import ndtri
from scipy.stats import rankdata

from recover_nb.core import checks
from recover_nb.core.checks import check_whole
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Algorithm
from recover_nb.core.schema import cell_names, lacks_hint
from recover_nb.features.features import feature_matrix
from recover_nb.stats.scaling import standardise


@dataclass(frozen=True)
class Space:
    """Problems as points.

    Attributes
    ----------
    points : float64 array, shape (n, d)
        z-scores, population sd; features that do not vary are left out, so d may be below 3.
    rows : int64 array, shape (n,)
        Place of each point in the study's `problem` dimension.
    """

    points: np.ndarray
    rows: np.ndarray


@takes_study()
def feature_space(
    ds: xr.Dataset,
    *,
    cells: Sequence[str] | None = None,
    within_cells: bool = False,
    ranks: bool = False,
) -> Space:
    """Standardise the features of the failed problems.

    Parameters
    ----------
    ds : Dataset
        With ``features`` (problem, feature); a study or a profile table.
    cells : sequence of str, optional
        Use the problems of these cells only (names as `schema.cell_names` gives them); all by
        default.
    within_cells : bool
        z-score each cell by itself, so that no difference between cell means makes a cluster. By
        default the scores are over all problems used.
    ranks : bool
        Replace each feature by the normal score of its rank before z-scoring, which leaves it
        neither skew nor outliers: what is then still clustered is not one tail, or a few problems
        at the floor of a feature.

    Returns
    -------
    Space
        Problems with a NaN feature (no failed rollout) are left out.

    Raises
    ------
    InputError
        If a feature or a cell is missing, a value is infinite, no problem is left, or none differs
        from another.

    Notes
    -----
    A constant feature has z-scores of zero, which move no point; it is left out, so that no
    covariance is singular.
    """
    values = feature_matrix(ds)
    known = ~np.isnan(values).any(axis=1)
    names = np.zeros(len(values)) if cells is None and not within_cells else cell_names(ds)
    if cells is not None:
        known &= np.isin(names, _chosen(cells, names))
    rows = np.flatnonzero(known)
    if not len(rows):
        raise InputError(
            "no problem with features is left; needed: failed problems in the cells to be clustered"
            + lacks_hint(ds)
        )
    points = scores(values[rows], names[rows] if within_cells else None, ranks=ranks)
    points = points[:, varying(points)]
    if not points.shape[1]:
        raise InputError(
            f"no feature varies over the {len(rows)} problems; allowed: at least one that does"
        )
    return Space(points, rows)


def scores(
    values: np.ndarray, groups: np.ndarray | None = None, *, ranks: bool = False
) -> np.ndarray:
    """z-score the columns of (n, d), or take normal scores of ranks; by group if given (n,).

    Constant columns are zeros. Equal values share their mean rank.
    """
    groups = np.zeros(len(values)) if groups is None else groups
    points = np.empty(values.shape)
    for group in np.unique(groups):
        inside = groups == group
        chosen = values[inside]
        if ranks:
            chosen = ndtri((rankdata(chosen, axis=0) - 0.5) / len(chosen))
        points[inside] = standardise(chosen)
    return points


def varying(points: np.ndarray) -> np.ndarray:
    """Which columns of z-scores (n, d) vary, (d,) bool."""
    return (points != 0).any(axis=0)


#: One way to cluster, one number of clusters, and several.
ALGORITHM = checks.one_of(Algorithm)
CLUSTERS = checks.whole(2, 1000)
SEVERAL_CLUSTERS = checks.several(CLUSTERS, "numbers of clusters, each at least 2")


def check_k(k: int, points: np.ndarray) -> None:
    """Raise an `InputError` unless `points` can be cut into `k` clusters and resampled."""
    check_whole("k", k, 2)
    distinct = len(np.unique(points, axis=0))
    # A resample holds about two thirds of the points: with two for each cluster it can still be cut
    # into k.
    if distinct < 2 * k:
        raise InputError(
            f"{distinct} different problems for {k} clusters; allowed: at least {2 * k}, two for"
            " each cluster: choose a smaller k or more cells"
        )


def check_ks(ks: Sequence[int], points: np.ndarray) -> list[int]:
    """Return numbers of clusters as a list without repeats, each checked by `check_k`."""
    numbers = list(dict.fromkeys(ks)) if isinstance(ks, Sequence | range | np.ndarray) else []
    if not numbers:
        raise InputError(f"ks is {ks!r}; allowed: a list of numbers of clusters, each at least 2")
    for k in numbers:
        check_k(k, points)
    return [int(k) for k in numbers]


def _chosen(cells: Sequence[str], names: np.ndarray) -> list[str]:
    chosen, present = [str(name) for name in cells], sorted(set(names.tolist()))
    missing = [name for name in chosen if name not in present]
    if missing or not chosen:
        raise InputError(
            f"no cell {', '.join(missing) or 'chosen'}; the study holds {', '.join(present)}"
        )
    return chosen
