"""Whether what is fitted on one family holds on another (docs/method.md#11-transfer).

This covers scaler, clusters and routing standardisation.

Everything is fitted on a source and applied unchanged to a target. Nothing here routes or scores by
itself: that is `routing` and `estimators`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from recover_nb.core.checks import check_whole
from recover_nb.core.errors import InputError
from recover_nb.core.result import Labelled, labelled
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
_N_INIT = 10
#: Halves of the target that say how alike two clusterings of one family come out.
_N_HALVES = 20


class Transfer(Labelled):
    """Every direction from one part of a study to another: made by `transfer`.

    Attributes
    ----------
    dataset : Dataset
        By ``direction``: ``source`` and ``target`` (``not TARGET`` is every unit but the target's),
        ``n_source`` and ``n_target`` (failed units); ``shift`` and ``scale`` (feature): mean of the
        target in sd of the source from its mean, and ratio of the sds (target over source); ``ari``
        (assigned), the adjusted Rand index with the target's own clusters of the source's centroids
        under the source's scaler (``frozen``) and under the target's (``refitted``), and of
        clusters fitted on a random half of the target's problems (``halves``, a mean), what a
        perfect transfer can be expected to reach; ``share`` (assignment, cluster) of the units in
        each cluster. Routing by whose mean and sd the target's features are standardised, the
        source's (``frozen``), the target's own (``refitted``) or its cells' own (``by_cell``, as
        published), shape (direction, standardisation, estimator): ``n``, ``routed``, ``retry``
        (rates) and the ``lift`` over retry with ``low`` and ``high``. ``excess`` of the published
        estimator over its null: ``excess_low``, ``excess_high``, one-sided ``excess_p``,
        ``null_mean``, ``null_sd``. ``lost`` (direction, estimator): routing frozen less refitted on
        the same problems, with ``lost_low`` and ``lost_high``; ``same_routes``, the share of the
        target's steerable_hard problems routed alike by both. ``split`` is NaN where attempts are
        not stored.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> moved = rnb.transfer(rnb.load_study(), n_null=1, n_splits=1, n_bootstrap=10)
    >>> moved.dataset["direction"].values.tolist()
    ['qwen3 to neox', 'neox to qwen3']
    """

    title = "Does what is fitted on one part hold on another?"
    chart = "plot_transfer_routing"
    following = (
        "rnb.plot_transfer_clusters(moved)",
        "moved.to_dataframe()  # routing under each standardisation",
        "moved.dataset  # all of it, labelled",
    )

    @property
    def sentence(self) -> str:
        """What each direction loses by freezing, and how alike its clusters are."""
        return " ".join(self._say(place) for place in range(self.dataset.sizes["direction"]))

    def _say(self, place: int) -> str:
        one = self.dataset.isel(direction=place)
        lost = one.sel(estimator="all")
        value, low, high = (100 * float(lost[name]) for name in ("lost", "lost_low", "lost_high"))
        ari = {name: float(one["ari"].sel(assigned=name)) for name in ("frozen", "halves")}
        return (
            f"{one['direction'].item()}: routing by the source's scale rescues {value:+.1f} points"
            f" [{low:+.1f}, {high:+.1f}] against the target's own, and the source's clusters agree"
            f" with the target's by an ARI of {ari['frozen']:.2f}, where half of the target reaches"
            f" {ari['halves']:.2f}."
        )

    def to_dataframe(self) -> pd.DataFrame:
        """Return what routing gains on the target under each standardisation.

        Returns
        -------
        DataFrame
            One row for each direction, standardisation and estimator: ``direction``,
            ``standardisation``, ``estimator``, ``source``, ``target``, ``n`` (problems), ``routed``
            and ``retry`` (rescue rates; NaN for excess), ``points`` (routed minus retry, or the
            excess: published less its null) with its 95 % interval ``low_points``,
            ``high_points``, and the excess's one-sided ``p``. ``split`` is missing where attempts
            are not stored.

        Examples
        --------
        >>> import recover_nb as rnb
        >>> moved = rnb.transfer(rnb.load_study(), n_null=1, n_splits=1, n_bootstrap=20)
        >>> table = moved.to_dataframe().query("estimator == 'all'")
        >>> table[["direction", "standardisation", "routed", "retry"]].round(2)
                direction standardisation  routed  retry
        3   qwen3 to neox          frozen    0.49   0.49
        7   qwen3 to neox        refitted    0.52   0.49
        11  qwen3 to neox         by_cell    0.53   0.49
        15  neox to qwen3          frozen    0.53   0.48
        19  neox to qwen3        refitted    0.52   0.48
        23  neox to qwen3         by_cell    0.51   0.48
        """
        found = self.dataset
        names = {"lift": "points", "low": "low_points", "high": "high_points"}
        excess = {"excess": "points", "excess_low": "low_points", "excess_high": "high_points"}
        excess["excess_p"] = "p"
        measured = found[["n", "routed", "retry", *names]].rename(names)
        taken = found[list(excess)].rename(excess)
        taken["n"] = found["n"].sel(estimator="published", drop=True)
        taken = taken.expand_dims(estimator=["excess"])
        order = ["published", "excess", *ESTIMATORS[1:]]
        both = xr.concat([measured, taken], "estimator", join="outer", data_vars="all")
        both = both.sel(estimator=order)
        both = both.assign(source=found["source"], target=found["target"])
        dims = ("direction", "standardisation", "estimator")
        frame = both.to_dataframe(dim_order=dims).reset_index()
        frame = frame[frame["n"].notna()].copy()
        frame[["points", "low_points", "high_points"]] *= 100
        columns = ["direction", "source", "target", "standardisation", "estimator", "n", "routed"]
        columns += ["retry", "points", "low_points", "high_points", "p"]
        return frame[columns].reset_index(drop=True)


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
    >>> moved.dataset["same_routes"].round(2).values.tolist()
    [0.54, 0.65]
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
    settings["by"] = by
    return Transfer(_labelled(directions, pairs, policy.features, k, settings))


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
        **dict.fromkeys(("n", "routed", "retry", "lift", "low", "high"), by),
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
    names: tuple[str, str], tables: list[Table], k: int, seed: int, counts: dict
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
    # Pooling makes one cell of the target; only the z-scores depend on it.
    pooled = replace(target, cells=np.zeros(len(target.cells), dtype=int))
    frozen = pooled.as_kind(_FrozenTable, reference=_reference(source))
    by_name = dict(zip(STANDARDISATIONS, (frozen, pooled, target), strict=True))
    resamples = bootstrap_weights(
        target.clusters, target.strata, counts["n_bootstrap"], np.random.default_rng([seed, 0])
    )
    found = {name: _estimate(table, seed, counts) for name, table in by_name.items()}
    hard = target.hard(target.rate)
    routes = [by_name[name].decide(hard[None])[0, hard] for name in ("frozen", "refitted")]
    figures = [_summarise(items, resamples) for items in found.values()]
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
