"""Whether what is fitted on one family holds on another (docs/method.md#11-transfer).

This covers scaler, clusters and routing standardisation.

Everything is fitted on a source and applied unchanged to a target. Nothing here routes or scores by
itself: that is `routing` and `estimators`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from recover_nb.core import checks
from recover_nb.core.checks import check_whole
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ROUTED_INTERVENTIONS, Intervention
from recover_nb.core.plain import plain
from recover_nb.core.result import labelled
from recover_nb.core.schema import checkpoint_codes
from recover_nb.prediction.targets import (
    over_populations,
    populations_of,
    stack_populations,
    unit_names,
)
from recover_nb.prediction.transfer_result import ESTIMATORS, HELD, Transfer
from recover_nb.routing import estimators, nulls
from recover_nb.routing.lifts import Contributions, compare, summarise_null
from recover_nb.routing.policy import POLICY, PUBLISHED, RoutingPolicy, route_codes
from recover_nb.routing.populations import SOME_POPULATIONS
from recover_nb.routing.rescue import MIN_FAILURE, MIN_GAIN, TOLERANCE, with_rates
from recover_nb.routing.table import PERMUTED, ROUTED, Table, routable, tabulate
from recover_nb.stats.resampling import (
    Resamples,
    bootstrap_ratio,
    bootstrap_weights,
    checkpoint_interval,
    exceedance,
    permuted_sums,
)
from recover_nb.stats.scaling import standardise

#: What sources and targets can be.
ALLOWED = ("family", "method", "task", "model", "cell")
STANDARDISATIONS = ("frozen", "refitted", "by_cell")
#: Figure of `lifts.compare` or `lifts.summarise_null` -> its name here.
_LIFT = {
    "n": "n",
    "routed": "routed",
    "rate": "retry",
    "lift": "lift",
    "lift_low": "low",
    "lift_high": "high",
}
_EXCESS = {
    "lift": "null_mean",
    "sd": "null_sd",
    "excess": "excess",
    "excess_low": "excess_low",
    "excess_high": "excess_high",
    "excess_p": "excess_p",
}
_CHECKPOINTS = ("low_checkpoints", "high_checkpoints")
_N_INIT = 10
#: Halves of the target that say how alike two clusterings of one family come out.
_N_HALVES = 20


@takes_study()
@checks.takes(
    by=checks.TEXT,
    leave_one_out=checks.FLAG,
    k=checks.whole(2),
    policy=POLICY,
    seed=checks.SEED,
    n_null=checks.COUNT,
    n_splits=checks.COUNT,
    n_bootstrap=checks.COUNT,
    n_permutations=checks.COUNT,
    populations=SOME_POPULATIONS,
    progress=checks.TELL,
)
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
    n_permutations: int = 1000,
    populations: Sequence[str] | None = None,
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
    n_null, n_splits, n_bootstrap, n_permutations : int
        Simulated nulls, halvings of attempts, resamples of problems, and permutations of the
        routes within the target's cells; each at least 1.
    populations : sequence of str, optional
        Which failures (`choose_populations`), the headline first; by default those that the study
        allows. One in which a part has too few different problems for `k` clusters is left out,
        with the reason in ``settings["left_out"]``.
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
    >>> moved.dataset["same_routes"].round(2).values.tolist()
    [[0.5, 0.66], [0.54, 0.65], [0.56, 0.77]]
    """
    counts = {
        "n_null": n_null,
        "n_splits": n_splits,
        "n_bootstrap": n_bootstrap,
        "n_permutations": n_permutations,
    }
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
    tell = progress or (lambda target: None)
    settings = {"leave_one_out": out, "k": k, "seed": seed, **counts, "policy": policy.to_dict()}
    settings["by"] = by

    def over(_: str, among: np.ndarray) -> xr.Dataset:
        directions = []
        for pair in pairs:
            parts = [ds.isel(problem=np.flatnonzero(inside[each] & among)) for each in pair]
            tables = [tabulate(each, policy=policy, edges=edges)[0] for each in parts]
            kept = routable(
                with_rates(parts[1]), policy.features, (Intervention.RETRY, *ROUTED_INTERVENTIONS)
            )
            checkpoints = checkpoint_codes(parts[1])[kept]
            directions.append(_direction(pair, tables, checkpoints, k, seed, counts))
            tell(pair[1])
        return _labelled(directions, pairs, policy.features, k, settings)

    found, few = over_populations(populations_of(ds, populations), over)
    both = stack_populations(found)
    ends = {name: both[name].isel(population=0, drop=True) for name in ("source", "target")}
    both = both.assign(ends)
    settings["left_out"] = few
    return Transfer(both.assign_attrs(settings_json=json.dumps(plain(settings))))


def _labelled(
    directions: list[dict[str, Any]],
    pairs: list[tuple[str, str]],
    features: tuple[str, ...],
    k: int,
    settings: dict[str, Any],
) -> xr.Dataset:
    """Stack the figures of each direction."""
    by = ("standardisation", "estimator")
    dims = {
        "shift": ("feature",),
        "scale": ("feature",),
        "ari": ("assigned",),
        "share": ("assignment", "cluster"),
        **dict.fromkeys((*_LIFT.values(), *_CHECKPOINTS, *HELD), by),
        **dict.fromkeys(_EXCESS.values(), by[:1]),
        **dict.fromkeys(("lost", "lost_low", "lost_high"), by[1:]),
    }
    data: dict[str, tuple[tuple[str, ...], Any]] = {
        name: (("direction", *dims.get(name, ())), np.array([each[name] for each in directions]))
        for name in directions[0]
    }
    for place, name in enumerate(("source", "target")):
        data[name] = (("direction",), [pair[place] for pair in pairs])
    coords = {
        "direction": [f"{source} to {target}" for source, target in pairs],
        "feature": features,
        "assigned": ("frozen", "refitted", "halves"),
        "assignment": ("source", "frozen", "refitted", "own"),
        "cluster": range(k),
        "standardisation": STANDARDISATIONS,
        "estimator": ESTIMATORS,
    }
    return labelled(data, coords, settings)


def assignment_entropy(share: np.ndarray) -> float:
    """Entropy of the shares of clusters, in nat: 0 = all units in one, log k = evenly spread."""
    share = share[share > 0]
    return float(-(share * np.log(share)).sum()) + 0.0


def _direction(
    names: tuple[str, str],
    tables: list[Table],
    checkpoints: np.ndarray,
    k: int,
    seed: int,
    counts: dict,
) -> dict[str, Any]:
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
    pooled = target.as_kind(_PooledTable)
    frozen = target.as_kind(_FrozenTable, reference=_reference(source))
    by_name = dict(zip(STANDARDISATIONS, (frozen, pooled, target), strict=True))
    resamples = bootstrap_weights(
        target.clusters, target.strata, counts["n_bootstrap"], np.random.default_rng([seed, 0])
    )
    found = {name: _estimate(table, seed, counts) for name, table in by_name.items()}
    hard = target.hard(target.rate)
    routes = [by_name[name].decide(hard[None])[0, hard] for name in ("frozen", "refitted")]
    figures = [
        _summarise(items, resamples)
        | _against_permuted(items, resamples, checkpoints, counts["n_permutations"], seed)
        for items in found.values()
    ]
    lost = np.array(
        [_lost(found["frozen"][name], found["refitted"][name], resamples) for name in ESTIMATORS]
    )
    return {
        "n_source": len(source.rate),
        "n_target": len(target.rate),
        "shift": (means[1] - means[0]) / np.where(sds[0] > 0, sds[0], np.nan),
        "scale": sds[1] / np.where(sds[0] > 0, sds[0], np.nan),
        **transfer_clusters(source.features, target.features, target.clusters, k=k, seed=seed),
        **{name: np.array([each[name] for each in figures]) for name in figures[0]},
        "same_routes": float((routes[0] == routes[1]).mean()) if hard.any() else float("nan"),
        **dict(zip(("lost", "lost_low", "lost_high"), lost.T, strict=True)),
    }


def transfer_clusters(
    source: np.ndarray, target: np.ndarray, groups: np.ndarray, *, k: int, seed: int
) -> dict[str, np.ndarray]:
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
    dict of str to float64 array
        ``ari`` and ``share``, as in `Transfer`, shapes (3,) and (4, k).

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
    ari = [adjusted_rand_score(ideal.labels_, each) for each in (frozen, refitted)]
    return {
        "ari": np.array([*ari, np.mean(halves) if halves else np.nan]),
        "share": np.array(
            [
                _share(np.asarray(each), k)
                for each in (fitted.labels_, frozen, refitted, ideal.labels_)
            ]
        ),
    }


def _by(reference: np.ndarray, values: np.ndarray) -> np.ndarray:
    """z-score `values` with the mean and sd of `reference`."""
    both = np.concatenate([reference, values])
    return standardise(both, population=np.arange(len(both)) < len(reference))[len(reference) :]


def _kmeans(points: np.ndarray, k: int, seed: int) -> KMeans:
    return KMeans(k, n_init=_N_INIT, random_state=seed).fit(points)


def _share(labels: np.ndarray, k: int) -> np.ndarray:
    return np.bincount(labels, minlength=k) / len(labels)


class _PooledTable(Table):
    """A table whose problems are standardised together, whatever their cell."""

    def decide(self, population: np.ndarray) -> np.ndarray:
        """Arm (column) each problem is routed to, standardised by `population` of all cells."""
        codes = route_codes(self.features, np.zeros(len(self.cells)), population=population)
        return self.route_columns[codes]


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


def _summarise(
    found: dict[str, Contributions | None], resamples: Resamples
) -> dict[str, np.ndarray]:
    """Figures against retry: one for each estimator, and those of the excess."""
    rows = [np.arange(len(resamples.clusters))]
    unknown = dict.fromkeys(_LIFT, np.full((1, 2), np.nan))
    items = [
        unknown if one is None else compare(one, resamples, rows)
        for one in (found[name] for name in ESTIMATORS)
    ]
    # The first column is routing itself, the second retry.
    figures = {
        name: np.array([item[key][0] if item[key].ndim == 1 else item[key][0, 1] for item in items])
        for key, name in _LIFT.items()
    }
    published, simulated = found["published"], found["null"]
    assert published is not None and simulated is not None  # Both need no attempts.
    null = summarise_null(published, simulated, resamples)
    return figures | {name: null[key][1] for key, name in _EXCESS.items()}


def _against_permuted(
    found: dict[str, Contributions | None],
    resamples: Resamples,
    checkpoints: np.ndarray,
    n_permutations: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Hold routing to its own routes permuted within cells; and its lift over checkpoints.

    Permuted routes are dealt out among the problems of a cell that the estimator selects: what is
    left is what the features know of the single problem.
    """
    rows = []
    for place, name in enumerate(ESTIMATORS):
        item = found[name]
        if item is None:
            rows.append([np.nan] * (len(HELD) + len(_CHECKPOINTS)))
            continue
        columns = [item.names.index(each) for each in (PERMUTED, Intervention.RETRY)]
        gain, weight = (item.routed - item.value)[:, columns], item.weight[:, columns]
        lift = bootstrap_ratio(gain[:, :1], weight[:, :1], resamples)
        low, high = checkpoint_interval(gain, weight, checkpoints)
        rate = item.value[:, columns[0]].sum() / max(item.weight[:, columns[0]].sum(), 1e-300)
        rng = np.random.default_rng([seed, 6, place])
        p = _permutation(item, n_permutations, rng)
        ends = [*lift.percentile[:, 0], low[0], high[0]]
        rows.append([rate, lift.value[0], *ends, p, low[1], high[1]])
    return dict(zip((*HELD, *_CHECKPOINTS), np.array(rows, float).T, strict=True))


def _permutation(item: Contributions, n_permutations: int, rng: np.random.Generator) -> float:
    """Share of permutations of the routes within cells that rescue as much as the routes do."""
    drawn, observed = np.zeros(n_permutations), 0.0
    for gain, label in item.kernels.values():
        drawn += permuted_sums(gain, label, n_permutations, rng)
        observed += float(np.take_along_axis(gain, label[..., None], axis=-1).sum())
    return exceedance(observed, drawn) if item.weight[:, 0].any() else float("nan")


def _lost(
    frozen: Contributions | None, refitted: Contributions | None, resamples: Resamples
) -> tuple[float, float, float]:
    """Rescue rate of routing frozen less refitted, on the problems both select, and its ends."""
    if frozen is None or refitted is None:
        return np.nan, np.nan, np.nan
    column = frozen.names.index(ROUTED)
    sums = [(each.value[:, [column]], each.weight[:, [column]]) for each in (frozen, refitted)]
    found = bootstrap_ratio(*sums[0], resamples, offset=sums[1])
    low, high = found.percentile[:, 0]
    return float(found.value[0]), float(low), float(high)
