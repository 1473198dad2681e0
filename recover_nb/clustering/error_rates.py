"""How often clusters are claimed where none are and where some were planted.

See docs/method.md#claim-rates.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.clustering.feature_space import SEVERAL_CLUSTERS
from recover_nb.clustering.grid import stability_grid
from recover_nb.clustering.nulls import NULLS, RESAMPLES
from recover_nb.core import checks
from recover_nb.core.checks import check_whole
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Algorithm, Feature, Planted, Structure, parse

#: Covariance of the z-scores of three features, where none is given: correlations as real features
#: have them.
COVARIANCE = np.array([[1.0, -0.3, 0.4], [-0.3, 1.0, -0.4], [0.4, -0.4, 1.0]])


def make_points(
    kind: str,
    n: int,
    rng: np.random.Generator,
    *,
    separation: float = 4.0,
    covariance: np.ndarray | None = None,
) -> np.ndarray:
    """Draw points whose clusters are known.

    Parameters
    ----------
    kind : {"gaussian", "box", "blobs"}
        One elongated Gaussian; uniform in a box; three round Gaussians of sd 1 at the corners of an
        equilateral triangle, each apart from the others along one feature of its own.
    n : int
        Points, at least 3. Those of blob i are i, i + 3, i + 6, ...
    rng : numpy Generator
    separation : float
        Sides of the triangle, in sd of a blob.
    covariance : float array, shape (3, 3), optional
        Of the Gaussian; `COVARIANCE` by default. The box has sides in the ratio of its standard
        deviations.

    Returns
    -------
    float64 array, shape (n, 3)

    Raises
    ------
    InputError
        For another kind, fewer points, or a separation below 0.
    """
    check_whole("n", n, 3)
    if not separation >= 0:
        raise InputError(f"separation {separation}; allowed: a number of sd, at least 0")
    known = parse(Planted, kind)
    spread = COVARIANCE if covariance is None else np.asarray(covariance, dtype=float)
    if known == Planted.GAUSSIAN:
        return rng.multivariate_normal(np.zeros(3), spread, size=n)
    if known == Planted.BOX:
        return rng.uniform(-0.5, 0.5, size=(n, 3)) * np.sqrt(12 * np.diag(spread))
    corner = np.eye(3) * separation / np.sqrt(2)
    return rng.normal(size=(n, 3)) + corner[np.arange(n) % 3]


@checks.takes(
    kind=checks.one_of(Planted),
    n_sets=checks.COUNT,
    n=checks.whole(3),
    separation=checks.number(0, 1e6, what="a number of sd, at least 0"),
    covariance=checks.ARRAY,
    algorithms=checks.names(Algorithm),
    ks=SEVERAL_CLUSTERS,
    n_resamples=RESAMPLES,
    n_null=NULLS,
    seed=checks.SEED,
    progress=checks.TELL,
)
def claim_rates(
    kind: str,
    *,
    n_sets: int = 100,
    n: int = 60,
    separation: float = 4.0,
    covariance: np.ndarray | None = None,
    algorithms: Sequence[str] = ("ward",),
    ks: Sequence[int] = (2, 3, 4),
    n_resamples: int = 10,
    n_null: int = 19,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Simulate data sets and count how often their clusterings are claimed.

    Parameters
    ----------
    kind, n, separation, covariance
        As in `make_points`.
    n_sets : int
        Data sets.
    algorithms, ks, n_resamples, n_null
        As in `stability_grid`; they are one family.
    seed : int
        Set i has a generator of its own, from (seed, i).
    progress : callable, optional
        Called with the name of each set as it begins.

    Returns
    -------
    DataFrame
        One row for each set and clustering: ``set``, ``algorithm``, ``k``, ``verdict``, ``claimed``
        (bool: the verdict of this clustering alone is ``clusters``), ``p_family`` and
        ``family_claimed`` (bool: it holds for the whole family). Without clusters the share of sets
        with any ``family_claimed`` should be at most 0.05.

    Raises
    ------
    InputError
        As `make_points` and `stability_grid`.

    Notes
    -----
    docs/method.md#claim-rates. The verdict of each row is what `cluster_stability` says of the same
    points.

    Examples
    --------
    Two data sets of one Gaussian: neither is taken for clusters.

    >>> import recover_nb as rnb
    >>> rates = rnb.claim_rates("gaussian", n_sets=2, n=40, ks=[2], n_resamples=5)
    >>> rates[["set", "k", "verdict", "claimed"]]
       set  k         verdict  claimed
    0    0  2  not_above_null    False
    1    1  2  not_above_null    False
    """
    tell = progress or (lambda stage: None)
    parts = []
    for i in range(n_sets):
        tell(f"set {i + 1}/{n_sets}")
        rng = np.random.default_rng([seed, i])
        points = make_points(kind, n, rng, separation=separation, covariance=covariance)
        grid = stability_grid(
            _study(points),
            algorithms=algorithms,
            ks=ks,
            n_resamples=n_resamples,
            n_null=n_null,
            seed=int(rng.integers(2**31)),
        )
        # The verdict is alike in all rows of one clustering: the first of each figure will do.
        parts.append(grid[grid["figure"] == grid["figure"].iloc[0]].assign(set=i))
    frame = pd.concat(parts, ignore_index=True)
    frame["claimed"] = frame["verdict"] == Structure.CLUSTERS
    frame["family_claimed"] = frame["family_verdict"] == Structure.CLUSTERS
    return frame[["set", "algorithm", "k", "verdict", "claimed", "p_family", "family_claimed"]]


def _study(points: np.ndarray) -> xr.Dataset:
    """Return what clustering needs of a study."""
    names = [each.value for each in Feature]
    return xr.Dataset({"features": (("problem", "feature"), points)}, coords={"feature": names})
