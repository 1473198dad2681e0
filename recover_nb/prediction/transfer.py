"""Whether what is fitted on one family holds on another (docs/method.md#11-transfer).

This covers scaler, clusters and routing standardisation.

Everything is fitted on a source and applied unchanged to a target. Nothing here routes or scores by
itself: that is `routing` and `estimators`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import xarray as xr
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from recover_nb.core.checks import check_whole
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.core.plain import plain
from recover_nb.prediction.targets import unit_names
from recover_nb.routing import estimators, nulls
from recover_nb.routing.lifts import Contributions, compare, summarise_null
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy, route_codes
from recover_nb.routing.rescue import MIN_FAILURE, MIN_GAIN, TOLERANCE
from recover_nb.routing.table import ROUTED, Table, tabulate
from recover_nb.stats.resampling import Resamples, bootstrap_ratio, bootstrap_weights
from recover_nb.stats.scaling import standardise

#: What sources and targets can be.
ALLOWED = ("family", "method", "task", "model", "cell")
ESTIMATORS = ("published", "split", "all")
RETRY = Intervention.RETRY.value
_N_INIT = 10
#: Halves of the target that say how alike two clusterings of one family come out.
_N_HALVES = 20


@dataclass(frozen=True)
class Clusters:
    """The source's clusters on the target.

    Attributes
    ----------
    ari_frozen, ari_refitted : float
        Adjusted Rand index with the target's own clusters, of the source's centroids under the
        source's scaler and under the target's; 1 = the same clusters, 0 = as alike as chance.
    ari_halves : float
        The same for clusters fitted on a random half of the target's problems, a mean over halves:
        what a perfect transfer can be expected to reach.
    share_source, share_frozen, share_refitted, share_own : float64 arrays, shape (k,)
        Share of units in each cluster: the source's own, the two assignments of the target, its
        own.
    """

    ari_frozen: float
    ari_refitted: float
    ari_halves: float
    share_source: np.ndarray
    share_frozen: np.ndarray
    share_refitted: np.ndarray
    share_own: np.ndarray


@dataclass(frozen=True)
class Routing:
    """Routing on the target under one standardisation.

    Attributes
    ----------
    routed : mapping of str to dict
        By estimator (``published``, ``split`` where attempts are stored, ``all``): ``n``, ``rate``,
        ``retry``, and the ``lift`` over retry with ``ci95``. Fractions; higher is better.
    excess : dict
        Of ``published`` over its null: ``mean`` and ``sd`` of the null, ``value``, ``ci95`` and
        one-sided ``p``.
    """

    routed: Mapping[str, dict]
    excess: Mapping[str, object]


@dataclass(frozen=True)
class Direction:
    """From one source to one target.

    Attributes
    ----------
    source, target : str
        ``not TARGET`` is every unit but the target's.
    n_source, n_target : int
        Failed problem units.
    shift, scale : float64 arrays, shape (feature,)
        Mean of the target in sd of the source from its mean, and ratio of the sds (target over
        source).
    clusters : Clusters
    routing : mapping of str to Routing
        By whose mean and sd the target's features are routed: the source's (``frozen``), the
        target's own (``refitted``), or its cells' own (``by_cell``, published).
    same_routes : float
        Share of the target's steerable_hard problems routed alike under frozen and refitted
        standardisation.
    lost : mapping of str to dict
        By estimator: ``value`` and ``ci95`` of routing frozen less refitted, on the same problems.
    """

    source: str
    target: str
    n_source: int
    n_target: int
    shift: np.ndarray
    scale: np.ndarray
    clusters: Clusters
    routing: Mapping[str, Routing]
    same_routes: float
    lost: Mapping[str, dict]


@dataclass(frozen=True)
class Transfer:
    """Every direction, and how it was computed.

    Attributes
    ----------
    by : str
    features : tuple of str
    directions : tuple of Direction
    settings : mapping

    Examples
    --------
    >>> import recover_nb as rnb
    >>> moved = rnb.transfer(rnb.load_study(), n_null=1, n_splits=1, n_bootstrap=10)
    >>> [(each.source, each.target) for each in moved.directions]
    [('qwen3', 'neox'), ('neox', 'qwen3')]
    """

    by: str
    features: tuple[str, ...]
    directions: tuple[Direction, ...]
    settings: Mapping[str, object]

    def to_dict(self) -> dict:
        """Return the figures as plain data, NaN as None."""
        return plain(_unarray(asdict(self)))


def transfer(
    ds: xr.Dataset,
    *,
    by: str = "family",
    leave_one_out: bool | None = None,
    k: int = 3,
    policy: RoutingPolicy = PUBLISHED,
    seed: int = 0,
    n_null: int = 200,
    n_splits: int = 50,
    n_bootstrap: int = 1000,
    progress: Callable[[str], None] | None = None,
) -> Transfer:
    """Fit scaler, clusters and routing standardisation on part of a study; apply them to another.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table, as `evaluate_routing` takes it.
    by : {"family", "method", "task", "model", "cell"}
        What parts are. For a profile table take ``"cell"``.
    leave_one_out : bool, optional
        True: from all other parts together to each one. False: from each part to each other. By
        default True for ``by="cell"``, else False.
    k : int
        Clusters of k-means, at least 2.
    policy : RoutingPolicy
        The rule; its features are those clustered too.
    seed : int
        The result is a function of it and of the data alone.
    n_null, n_splits, n_bootstrap : int
        Simulated nulls, halvings of attempts and resamples of problems, each at least 1.
    progress : callable, optional
        Called with the name of the target once each direction is done.

    Returns
    -------
    Transfer

    Raises
    ------
    InputError
        If `by` is unknown or has one value, a count is out of range, a part has too few different
        problems for `k` clusters, or what `evaluate_routing` needs is missing.

    Notes
    -----
    docs/method.md#11-transfer. Features are standardised over all units of a part for clustering,
    and by the mean and sd of its steerable_hard problems for routing, as published. ``frozen`` and
    ``refitted`` pool the cells of a part; ``by_cell`` standardises in each cell, as
    `evaluate_routing` does.

    Examples
    --------
    Does routing standardised on one family choose alike in the other?

    >>> import recover_nb as rnb
    >>> moved = rnb.transfer(rnb.load_study(), n_null=2, n_splits=2, n_bootstrap=20)
    >>> losses = rnb.tables.transfer_losses(moved).query("estimator == 'published'")
    >>> losses[["source", "target", "same_routes"]].round(2)
      source target  same_routes
    0  qwen3   neox         0.54
    3   neox  qwen3         0.65
    """
    counts = {"n_null": n_null, "n_splits": n_splits, "n_bootstrap": n_bootstrap}
    for name, count in counts.items():
        check_whole(name, count, 1)
    check_whole("k", k, 2)
    check_whole("seed", seed, 0)
    edges = {"min_gain": MIN_GAIN, "min_failure": MIN_FAILURE}
    edges["tolerance"] = float(ds.attrs.get("regime_tolerance", TOLERANCE))
    names = unit_names(ds, by, "by", ALLOWED)
    values = list(dict.fromkeys(names.tolist()))
    if len(values) < 2:
        raise InputError(
            f"the study has one {by}, {values[0]}; transfer needs two or more: choose another by="
        )
    out = by == "cell" if leave_one_out is None else leave_one_out
    pairs = (
        [(f"not {b}", b) for b in values]
        if out
        else [(a, b) for a in values for b in values if a != b]
    )
    inside = {name: names == name for name in values} | {
        f"not {name}": names != name for name in values
    }
    tell, directions = progress or (lambda target: None), []
    for source, target in pairs:
        tables = [
            tabulate(ds.isel(problem=np.flatnonzero(inside[each])), policy=policy, edges=edges)[0]
            for each in (source, target)
        ]
        directions.append(_direction((source, target), tables, k, seed, counts))
        tell(target)
    settings = {"leave_one_out": out, "k": k, "seed": seed, **counts, "policy": policy.to_dict()}
    return Transfer(by, policy.features, tuple(directions), settings)


def assignment_entropy(share: np.ndarray) -> float:
    """Entropy of the shares of clusters, in nat: 0 = all units in one, log k = evenly spread."""
    share = share[share > 0]
    return float(-(share * np.log(share)).sum()) + 0.0


def _direction(
    names: tuple[str, str], tables: list[Table], k: int, seed: int, counts: dict
) -> Direction:
    """Measure one direction."""
    source, target = tables
    means, sds = zip(
        *((each.features.mean(axis=0), each.features.std(axis=0)) for each in tables), strict=True
    )
    for name, table in zip(names, tables, strict=True):
        distinct = len(np.unique(table.features, axis=0))
        # Half of the target is clustered too.
        if distinct < 2 * k:
            raise InputError(
                f"{name} has {distinct} different failed problems for {k} clusters; allowed: at"
                f" least {2 * k}"
            )
    # Pooling makes one cell of the target; only the z-scores depend on it.
    pooled = replace(target, cells=np.zeros(len(target.cells), dtype=int))
    frozen = pooled.as_kind(_FrozenTable, reference=_reference(source))
    by_name = {"frozen": frozen, "refitted": pooled, "by_cell": target}
    resamples = bootstrap_weights(
        target.clusters, target.strata, counts["n_bootstrap"], np.random.default_rng([seed, 0])
    )
    found = {name: _estimate(table, seed, counts) for name, table in by_name.items()}
    hard = target.hard(target.rate)
    routes = [by_name[name].decide(hard[None])[0, hard] for name in ("frozen", "refitted")]
    return Direction(
        *names,
        n_source=len(source.rate),
        n_target=len(target.rate),
        shift=(means[1] - means[0]) / np.where(sds[0] > 0, sds[0], np.nan),
        scale=sds[1] / np.where(sds[0] > 0, sds[0], np.nan),
        clusters=transfer_clusters(
            source.features, target.features, target.clusters, k=k, seed=seed
        ),
        routing={name: _summarise(items, resamples) for name, items in found.items()},
        same_routes=float((routes[0] == routes[1]).mean()) if hard.any() else float("nan"),
        lost={
            name: _lost(found["frozen"][name], found["refitted"][name], resamples)
            for name in ESTIMATORS
            if found["frozen"][name] is not None
        },
    )


def transfer_clusters(
    source: np.ndarray, target: np.ndarray, groups: np.ndarray, *, k: int, seed: int
) -> Clusters:
    """Cluster one set of features by k-means and assign another to the clusters.

    Parameters
    ----------
    source, target : float64 arrays, shapes (m, feature) and (n, feature)
        Features, not standardised.
    groups : array, shape (n,)
        Underlying problem of each row of the target: halves never part one.
    k, seed : int

    Returns
    -------
    Clusters

    Notes
    -----
    docs/method.md#11-transfer.
    """
    mine, other = standardise(source), _by(source, target)
    own = standardise(target)
    fitted, ideal = (_kmeans(points, k, seed) for points in (mine, own))
    frozen, refitted = fitted.predict(other), fitted.predict(own)
    rng = np.random.default_rng([seed, 1])
    names = np.unique(groups)
    halves = []
    for _ in range(_N_HALVES):
        half = np.isin(groups, rng.permutation(names)[: (len(names) + 1) // 2])
        if len(np.unique(target[half], axis=0)) < k:
            continue
        part = _kmeans(standardise(target[half]), k, seed)
        halves.append(adjusted_rand_score(ideal.labels_, part.predict(_by(target[half], target))))
    return Clusters(
        ari_frozen=float(adjusted_rand_score(ideal.labels_, frozen)),
        ari_refitted=float(adjusted_rand_score(ideal.labels_, refitted)),
        ari_halves=float(np.mean(halves)) if halves else float("nan"),
        share_source=_share(fitted.labels_, k),
        share_frozen=_share(frozen, k),
        share_refitted=_share(refitted, k),
        share_own=_share(ideal.labels_, k),
    )


def _by(reference: np.ndarray, values: np.ndarray) -> np.ndarray:
    """z-score `values` with the mean and sd of `reference`."""
    both = np.concatenate([reference, values])
    return standardise(both, population=np.arange(len(both)) < len(reference))[len(reference) :]


def _kmeans(points: np.ndarray, k: int, seed: int) -> KMeans:
    return KMeans(k, n_init=_N_INIT, random_state=seed).fit(points)


def _share(labels: np.ndarray, k: int) -> np.ndarray:
    return np.bincount(labels, minlength=k) / len(labels)


@dataclass(frozen=True)
class _FrozenTable(Table):
    """A table whose problems are routed by other problems' mean and sd, whoever is selected."""

    reference: np.ndarray | None = None

    def decide(self, population: np.ndarray) -> np.ndarray:
        """Arm (column) each problem is routed to; `population` gives only the shape."""
        both = np.concatenate([self.reference, self.features])
        known = np.arange(len(both)) < len(self.reference)
        codes = route_codes(both, np.zeros(len(both)), population=known)[len(self.reference) :]
        return np.broadcast_to(self.route_columns[codes], population.shape)


def _reference(table: Table) -> np.ndarray:
    """Return the features that standardise, as published.

    They are the steerable_hard problems', or all problems' where there is none.
    """
    hard = table.hard(table.rate)
    return table.features[hard] if hard.any() else table.features


def _estimate(table: Table, seed: int, counts: dict) -> dict[str, Contributions | None]:
    """Run the estimators with the same draws for every standardisation.

    Differences are therefore paired.
    """
    rngs = iter([np.random.default_rng([seed, stage]) for stage in range(2, 6)])
    # Halvings of problems only choose the best fixed intervention, which is not reported here.
    return {
        "published": estimators.published(table, next(rngs), n_splits=1),
        "all": estimators.everyone(table, next(rngs), n_splits=1),
        "null": nulls.null(table, next(rngs), n_null=counts["n_null"]),
        "split": (
            None
            if table.correct is None
            else estimators.split(table, next(rngs), n_splits=counts["n_splits"])
        ),
    }


def _summarise(found: dict[str, Contributions | None], resamples: Resamples) -> Routing:
    """Figures against retry."""
    rows = np.arange(len(resamples.clusters))
    routed = {}
    for name in ESTIMATORS:
        if found[name] is None:
            continue
        item = compare(found[name], resamples, rows)
        retry = item["comparators"][RETRY]
        routed[name] = {"n": item["n"], "rate": item["rate"], "retry": retry["rate"]}
        routed[name] |= {"lift": retry["lift"], "ci95": retry["ci95"]}
    null = summarise_null(found["published"], found["null"], resamples)["comparators"][RETRY]
    excess = {"mean": null["mean"], "sd": null["sd"], "value": null["excess"], "ci95": null["ci95"]}
    return Routing(routed, excess | {"p": null["p"]})


def _lost(frozen: Contributions, refitted: Contributions, resamples: Resamples) -> dict:
    """Rescue rate of routing frozen less refitted, on the problems both select."""
    column = frozen.names.index(ROUTED)
    sums = [(each.value[:, [column]], each.weight[:, [column]]) for each in (frozen, refitted)]
    found = bootstrap_ratio(*sums[0], resamples, offset=sums[1])
    return {"value": float(found.value[0]), "ci95": found.percentile[:, 0].tolist()}


def _unarray(value: object) -> object:
    """Arrays to lists, all the way down."""
    if isinstance(value, Mapping):
        return {key: _unarray(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_unarray(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
