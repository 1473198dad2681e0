"""Do the clusters survive when features use fewer failed rollouts.

See docs/method.md#three-features and docs/method.md#fewer-rollouts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from sklearn.metrics import adjusted_rand_score

from recover_nb.clustering.algorithms import Clusterer, fit, least_share
from recover_nb.clustering.feature_space import (
    ALGORITHM,
    CLUSTERS,
    Space,
    check_k,
    feature_space,
    scores,
    varying,
)
from recover_nb.clustering.nulls import DRAWS, NULLS, null_limit
from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL, FEATURES, Algorithm, Intervention, Null, Signal, parse
from recover_nb.core.schema import cell_names, failed_rollouts
from recover_nb.features.features import (
    feature_matrix,
    floor_of,
    problem_features,
    rollout_features,
    window_of,
)
from recover_nb.features.reliability import DEFAULT_SIZES, random_places

# Problems are read and reduced this many at a time, so that a stored study need not fit in memory.
_BLOCK = 256


@takes_study()
@checks.takes(
    algorithm=ALGORITHM,
    k=CLUSTERS,
    sizes=checks.several(checks.COUNT, "whole numbers of at least 1", none=True),
    n_splits=checks.COUNT,
    n_null=NULLS,
    seed=checks.SEED,
    cells=checks.NAMES,
    within_cells=checks.FLAG,
    progress=checks.TELL,
)
def rollout_stability(
    ds: xr.Dataset,
    *,
    algorithm: str = Algorithm.KMEANS.value,
    k: int = 3,
    sizes: Sequence[int | None] = (*DEFAULT_SIZES, None),
    n_splits: int = 20,
    n_null: int = 20,
    seed: int = 0,
    cells: Sequence[str] | None = None,
    within_cells: bool = False,
    min_cluster_size: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> xr.Dataset:
    """Compare clusters from a few failed rollouts per problem with those from all of them.

    Parameters
    ----------
    ds : Dataset
        With ``features``, and to make features of fewer rollouts ``demotion_pressure`` and
        ``logit_variance`` (problem, rollout, token), ``n_tokens`` and ``correct`` (problem,
        rollout, intervention), and ``has_signals`` where signals of some rollouts only are stored.
    algorithm, k, seed, cells, within_cells, min_cluster_size, progress
        As in `cluster_stability`.
    sizes : sequence of int or None
        Failed rollouts to use, at least 1; None: every one whose signals are stored.
    n_splits : int
        Random choices of rollouts to average over.
    n_null : int
        Draws of each null, at least 19.

    Returns
    -------
    Dataset
        Dimensions `size` (strings, ``"all"`` for None), `null` and `draw`:

        - `ari` (size): mean over splits of the ARI between both clusterings of the same problems,
          those with enough stored rollouts; `ari_sd` (size) its standard deviation;
        - `n_problems` (size), `n_rollouts` (size): problems compared, and rollouts used of each, on
          average;
        - `null_ari` (null, size, draw) and `null_limit` (null, size): the same of points without
          clusters, each moved by what fewer rollouts moved a problem of the data, drawn at random;
          the limit is its 95 % quantile.

        NaN where too few problems have that many rollouts stored: signals are kept of the first few
        failed rollouts only (the attribute ``stored`` says of how many at most), while the
        reference, ``features``, is of all.

    Raises
    ------
    InputError
        If a variable, a dimension, a name or a count is missing or out of range.

    Notes
    -----
    docs/method.md#fewer-rollouts. The rollouts chosen are among those of the reference, so
    agreement is a little higher than with rollouts that are not; both clusterings use one seed, so
    that only features differ.

    Examples
    --------
    One failed rollout a problem against all of them, in one cell.

    >>> import recover_nb as rnb
    >>> ds = rnb.load_study()
    >>> fewer = rnb.rollout_stability(
    ...     ds, cells=["neox|sft|program"], k=2, sizes=[1, 5], n_splits=2, n_null=19
    ... )
    >>> fewer["ari"].round(2).to_series().to_dict()
    {'1': 0.38, '5': 0.79}
    """
    name = parse(Algorithm, algorithm)
    space = feature_space(ds, cells=cells, within_cells=within_cells)
    check_k(k, space.points)
    values, usable = _stored(ds, space)
    groups = cell_names(ds)[space.rows] if within_cells else np.zeros(len(space.rows))
    clusterer = Clusterer(name, k, least_share(min_cluster_size, len(space.rows)))
    study = _Study(feature_matrix(ds)[space.rows], values, usable, groups, clusterer)
    tell = progress or (lambda stage: None)
    found = []
    for size in sizes:
        tell(f"{ALL if size is None else size} rollouts")
        rng = np.random.default_rng([seed, size or 0])
        found.append(_compare(study, size, n_splits, n_null, rng))
    return _dataset(found, sizes, int(usable.sum(axis=1).max(initial=0)))


@dataclass(frozen=True)
class _Study:
    """Problems to cluster.

    Attributes
    ----------
    features : float64 array, shape (n, 3)
        From every failed rollout.
    values : float64 array, shape (n, rollout, 3)
        Of each rollout.
    usable : bool array, shape (n, rollout)
        Failed, with signals stored.
    groups : array, shape (n,)
        Within which features are standardised.
    clusterer : Clusterer
    """

    features: np.ndarray
    values: np.ndarray
    usable: np.ndarray
    groups: np.ndarray
    clusterer: Clusterer

    def subset(self, rows: np.ndarray) -> "_Study":
        arrays = (self.features, self.values, self.usable, self.groups)
        return _Study(*(array[rows] for array in arrays), self.clusterer)


def _compare(
    study: _Study, size: int | None, n_splits: int, n_null: int, rng: np.random.Generator
) -> dict:
    """Compare clusters of `size` rollouts with those of all, in the data and in both nulls."""
    available = study.usable.sum(axis=1)
    study = study.subset(available >= (1 if size is None else size))
    used = study.usable.sum(axis=1) if size is None else np.full(len(study.usable), size)
    null_ari = np.full((len(Null), n_null), np.nan)
    row = {"ari": np.array([np.nan]), "null_ari": null_ari, "n_problems": len(used)}
    row["n_rollouts"] = float(used.mean()) if len(used) else np.nan
    points = scores(study.features, study.groups)
    kept = varying(points)
    points = points[:, kept]
    if not kept.any() or len(np.unique(points, axis=0)) < 2 * study.clusterer.k:
        return row
    # All that is stored can be chosen in one way only.
    few = [_fewer(study, used, rng) for _ in range(1 if size is None else n_splits)]
    fit_seed = int(rng.integers(2**31))
    again = [scores(each, study.groups)[:, kept] for each in few]
    row["ari"] = _agree(points, again, study.clusterer, fit_seed)
    moves = [_moved(study, each)[:, kept] for each in few]
    for place, null in enumerate(Null):
        for draw in range(n_null):
            drawn = DRAWS[null](points, rng)
            again = [scores(drawn + rng.permutation(move)) for move in moves]
            null_ari[place, draw] = _agree(drawn, again, study.clusterer, fit_seed).mean()
    return row


def _fewer(study: _Study, used: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return features (n, 3) of `used` (n,) usable rollouts chosen at random."""
    return problem_features(study.values, random_places(study.usable, rng) < used[:, None])


def _moved(study: _Study, few: np.ndarray) -> np.ndarray:
    """How far each problem moves when features use fewer rollouts, (n, 3), in sd of its group."""
    move = np.zeros(study.features.shape)
    for group in np.unique(study.groups):
        inside = study.groups == group
        sd = study.features[inside].std(axis=0)
        move[inside] = (few[inside] - study.features[inside]) / np.where(sd > 0, sd, np.inf)
    return move


def _agree(
    points: np.ndarray, others: list[np.ndarray], clusterer: Clusterer, seed: int
) -> np.ndarray:
    """ARI of the clusters of `points` with those of each of `others`, by one seed."""
    labels = fit(points, [clusterer], seed)[0]
    rows = [fit(each, [clusterer], seed)[0] for each in others]
    return np.array([adjusted_rand_score(labels, row) for row in rows])


def _stored(ds: xr.Dataset, space: Space) -> tuple[np.ndarray, np.ndarray]:
    """Return features (n, rollout, 3) of stored failed rollouts of `space`, and which those are."""
    names = (Signal.DEMOTION_PRESSURE.value, Signal.LOGIT_VARIANCE.value)
    missing = [name for name in (*names, "n_tokens", "correct") if name not in ds]
    if missing:
        raise InputError(
            f"no variable {', '.join(missing)} in the study; features of fewer rollouts are made"
            " from the signals of each: choose a study that stores them"
        )
    ds = ds.isel(problem=space.rows)
    observed = ds["n_tokens"].sel(intervention=Intervention.NONE.value)
    n_tokens = observed.transpose("problem", "rollout").to_numpy()
    usable = failed_rollouts(ds) & (n_tokens > 0)
    if "has_signals" in ds:
        usable &= ds["has_signals"].transpose("problem", "rollout").to_numpy() == 1
    window, floor = window_of(ds), floor_of(ds)
    values = np.full((*usable.shape, len(FEATURES)), np.nan)
    for start in range(0, len(usable), _BLOCK):
        block = slice(start, start + _BLOCK)
        part = ds[list(names)].isel(problem=block).transpose("problem", "rollout", "token")
        signals = (part[name].to_numpy() for name in names)
        length = np.where(usable[block], n_tokens[block], 0)
        values[block] = rollout_features(*signals, length, window=window, floor=floor)
    return values, usable


def _dataset(rows: list[dict], sizes: Sequence[int | None], stored: int) -> xr.Dataset:
    null_ari = np.stack([row["null_ari"] for row in rows], axis=1)
    limit = [[null_limit(draws) for draws in each] for each in null_ari]
    return xr.Dataset(
        {
            "ari": ("size", [row["ari"].mean() for row in rows]),
            "ari_sd": ("size", [row["ari"].std() for row in rows]),
            "n_problems": ("size", np.array([row["n_problems"] for row in rows], dtype=np.int32)),
            "n_rollouts": ("size", [row["n_rollouts"] for row in rows]),
            "null_ari": (("null", "size", "draw"), null_ari),
            "null_limit": (("null", "size"), limit),
        },
        coords={
            "size": [ALL if size is None else str(size) for size in sizes],
            "null": [null.value for null in Null],
        },
        attrs={"stored": stored, "reference": "features of every failed rollout"},
    )
