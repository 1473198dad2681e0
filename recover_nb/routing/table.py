"""What an evaluation takes out of a study: failed problem units as arrays, with costs and names."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import FEATURES, ROUTED_INTERVENTIONS, Intervention
from recover_nb.core.regimes import is_steerable_hard
from recover_nb.core.schema import cell_names, checkpoint_codes, lacks_hint, text
from recover_nb.features.features import feature_matrix
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy, route_codes
from recover_nb.routing.populations import choose_populations, first_features
from recover_nb.routing.rescue import with_rates, worked_rates
from recover_nb.stats.resampling import Resamples, bootstrap_weights

#: Cost of an attempt: name in reports -> variables of the study that are added up.
COSTS = {
    "generated_tokens": ("n_tokens",),
    "forward_passes": ("forward_specialist", "forward_ancestor"),
}


#: Comparators beside the fixed interventions, in the order of tables.
ROUTED, BEST_FIXED, BEST_IN_SAMPLE = "routed", "best_fixed", "best_fixed_in_sample"


RANDOM, PERMUTED, ORACLE = "random", "permuted", "oracle"


@dataclass(frozen=True)
class Table:
    """Failed problem units as arrays.

    Attributes
    ----------
    arms : tuple of str
        ``retry``, then the `n_regime` interventions regimes and routes are over, then further ones.
    rate : float64 array, shape (problem, arm)
        Rescue rates; NaN only for further interventions that were not run.
    attempts : int array, shape (problem, arm)
    features : float64 array, shape (problem, feature)
        In the order of the policy's features, without NaN.
    cells, clusters, strata : arrays, shape (problem,)
        Cell of a unit (z-scores, permutations and best fixed stay within it); underlying question
        and its task (bootstrap).
    edges : dict
        Keywords of `core.regimes.is_steerable_hard`.
    correct : int8 array, shape (problem, rollout, arm), or None
        Outcome of each attempt, -1 = not run.
    checkpoints : int array, shape (problem,), or None
        The checkpoint each unit was put to; None: one for all.
    routes : int array, shape (problem,), or None
        Arm each unit is routed to where nothing is selected; None: as `decide` says.
    """

    arms: tuple[str, ...]
    n_regime: int
    rate: np.ndarray
    attempts: np.ndarray
    features: np.ndarray
    cells: np.ndarray
    clusters: np.ndarray
    strata: np.ndarray
    policy: RoutingPolicy = PUBLISHED
    edges: dict = field(default_factory=dict)
    correct: np.ndarray | None = None
    checkpoints: np.ndarray | None = None
    routes: np.ndarray | None = None

    @property
    def regime_arms(self) -> slice:
        """Columns of the interventions regimes and routes are over."""
        return slice(1, 1 + self.n_regime)

    @cached_property
    def rows_by_cell(self) -> dict[int, np.ndarray]:
        """Places of the problems of each cell."""
        return {int(cell): np.flatnonzero(self.cells == cell) for cell in np.unique(self.cells)}

    @cached_property
    def spans(self) -> dict[int, np.ndarray | slice]:
        """`rows_by_cell`, as slices where the rows lie together, as they mostly do.

        Taking a slice copies nothing.
        """
        return {
            cell: slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] == len(rows) - 1 else rows
            for cell, rows in self.rows_by_cell.items()
        }

    @property
    def comparators(self) -> tuple[str, ...]:
        """Names of the columns of `Contributions`."""
        return (ROUTED, *self.arms, BEST_FIXED, BEST_IN_SAMPLE, RANDOM, PERMUTED, ORACLE)

    def hard(self, rate: np.ndarray) -> np.ndarray:
        """Where `rate` (..., problem, arm) makes a problem steerable_hard; NaN selects nothing."""
        best = filled(rate[..., self.regime_arms], -1.0).max(axis=-1)
        return is_steerable_hard(rate[..., 0], best, **self.edges)

    @property
    def route_columns(self) -> np.ndarray:
        """Arm (column) of each code that `policy.route_codes` gives."""
        names = [*self.policy.operators.values(), self.policy.fallback]
        return np.array([self.arms.index(name) for name in names])

    def take(self, rows: np.ndarray) -> "Table":
        """Return the problems `rows` alone."""
        names = ("rate", "attempts", "features", "cells", "clusters", "strata")
        names += tuple(
            name for name in ("correct", "checkpoints", "routes") if getattr(self, name) is not None
        )
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def as_kind(self, kind: type["Table"], **more: Any) -> "Table":
        """Return the same problems as another kind of table, with what it has `more`."""
        return kind(**{each.name: getattr(self, each.name) for each in fields(Table)}, **more)

    def decide(self, population: np.ndarray) -> np.ndarray:
        """Arm (column) each problem is routed to, standardised by `population` (..., problem)."""
        codes = route_codes(self.features, self.cells, population=population)
        return self.route_columns[codes]


@dataclass(frozen=True)
class Inputs:
    """What an evaluation needs of a study.

    Attributes
    ----------
    table, costs, labels
        From `tabulate`.
    n_problems : int
        Units of the study, those included that are left out of the table.
    populations : dict of str to int array
        Places along the table of the problems of each population, the headline first.
    first : dict of str to float64 array, shape (problem, feature)
        Features of the first failed rollouts of a population alone, of its problems.
    routes : int array, shape (problem,), or None
        Arm of each problem as the study stores it, where it does and the rule is the published one.
    worked : float64 array, shape (problem, arm), or None
        Rates where a right answer without a step counts as wrong, where the study knows steps.
    upfront : dict of str to float64 array, shape (problem,)
        Cost of all observed rollouts of a problem, by name in reports: the rule reads them first.
    """

    table: Table
    costs: dict[str, np.ndarray]
    labels: np.ndarray
    n_problems: int
    populations: dict[str, np.ndarray]
    first: dict[str, np.ndarray] = field(default_factory=dict)
    routes: np.ndarray | None = None
    worked: np.ndarray | None = None
    upfront: dict[str, np.ndarray] = field(default_factory=dict)

    def decided_by(self, policy: RoutingPolicy, edges: dict) -> "Inputs":
        """Return the same units under another policy and other edges.

        The policy is over the same features in the same order.
        """
        regime = self.table.arms[self.table.regime_arms]
        check_policy(policy, regime)
        table = replace(self.table, policy=policy, edges=dict(edges))
        return replace(self, table=table, routes=self.routes if policy == PUBLISHED else None)

    def of(self, population: str) -> "Inputs":
        """Return the problems of one population, routed as all failed problems are."""
        rows, table = self.populations[population], self.table
        routes = self.routes if len(rows) < len(table.rate) else None
        if routes is None:
            routes = table.decide(np.ones((1, len(table.rate)), bool))[0]
        return replace(
            self,
            table=replace(table, routes=routes).take(rows),
            worked=None if self.worked is None else self.worked[rows],
            costs={name: values[rows] for name, values in self.costs.items()},
            upfront={name: values[rows] for name, values in self.upfront.items()},
        )

    def resamples(self, seed: int, n_bootstrap: int) -> Resamples:
        """Return the bootstrap's weights, which depend on nothing else."""
        return bootstrap_weights(
            self.table.clusters, self.table.strata, n_bootstrap, generator(seed, 5)
        )


def generator(seed: int, stage: int) -> np.random.Generator:
    """Return a stage's generator, so that one stage's size does not change another's numbers."""
    return np.random.default_rng([seed, stage])


def read_inputs(
    ds: xr.Dataset,
    *,
    policy: RoutingPolicy = PUBLISHED,
    interventions: Sequence[str] = ROUTED_INTERVENTIONS,
    edges: dict | None = None,
    populations: Sequence[str] | None = None,
    for_all: bool = True,
) -> Inputs:
    """Take what an evaluation needs out of a study.

    Parameters
    ----------
    ds, policy, interventions, populations
        As in `evaluate_routing`.
    edges : dict, optional
        Keywords of `core.regimes.is_steerable_hard`.
    for_all : bool
        Also read what is only told beside the estimator ``all``: signals of the first answers, and
        which answers have a step.

    Returns
    -------
    Inputs
        Populations without a problem that can be routed are left out, unless there is no other.

    Raises
    ------
    InputError
        As of `tabulate` and `populations.choose_populations`.
    """
    table, costs, labels = tabulate(ds, policy=policy, interventions=interventions, edges=edges)
    keep = routable(with_rates(ds), policy.features, table.arms[: 1 + table.n_regime])
    chosen = choose_populations(ds, populations)
    places = {name: np.flatnonzero(inside[keep]) for name, inside in chosen.items()}
    some = {name: rows for name, rows in places.items() if len(rows)}
    if not some:
        raise InputError(
            f"no problem of {', '.join(places)} has all features and rescue rates; allowed:"
            " populations of the study that have some"
        )
    first = {}
    if for_all and policy.features == FEATURES:
        for name, rows in some.items():
            found = first_features(ds, name, keep[rows])
            if found is not None:
                first[name] = found
    kept = ds.isel(problem=keep)
    routes = _stored_routes(kept, policy, table.arms)
    worked = worked_rates(kept, table.arms) if for_all else None
    upfront = _upfront(kept) if costs else {}
    return Inputs(
        table,
        costs,
        labels,
        ds.sizes["problem"],
        some,
        first=first,
        routes=routes,
        worked=worked,
        upfront=upfront,
    )


def _upfront(ds: xr.Dataset) -> dict[str, np.ndarray]:
    """Return what the observed rollouts of each problem cost, by name in reports."""
    none = Intervention.NONE.value
    if none not in text(ds["intervention"]):
        return {}
    run = (ds["correct"].sel(intervention=none) >= 0).transpose("problem", "rollout").values
    found = {"attempts": run.sum(axis=1).astype(float)}
    for name, variables in COSTS.items():
        if all(each in ds and "rollout" in ds[each].dims for each in variables):
            each = [ds[x].sel(intervention=none).transpose("problem", "rollout") for x in variables]
            found[name] = sum(
                np.where(run, one.values, 0).sum(axis=1).astype(float) for one in each
            )
    return found


def tabulate(
    ds: xr.Dataset,
    *,
    policy: RoutingPolicy = PUBLISHED,
    interventions: Sequence[str] = ROUTED_INTERVENTIONS,
    edges: dict | None = None,
) -> tuple[Table, dict[str, np.ndarray], np.ndarray]:
    """Take the failed problem units of a study out of xarray.

    Parameters
    ----------
    ds, policy, interventions
        As in `evaluate_routing`.
    edges : dict, optional
        Keywords of `core.regimes.is_steerable_hard`.

    Returns
    -------
    table : Table
    costs : dict of str to float64 array, shape (problem, arm)
        Mean cost of an attempt, by variable; what the study does not store is absent.
    labels : array of str
        Name of each cell number of the table.

    Raises
    ------
    InputError
        If a variable, feature or intervention is missing or no failed unit is left.
    """
    features = feature_matrix(ds, policy.features)
    ds = with_rates(ds)
    arms = _arms(ds, policy, interventions)
    used = 1 + len(tuple(interventions))
    rate = ds["rescue_rate"].sel(intervention=arms).transpose("problem", "intervention").to_numpy()
    keep = routable(ds, policy.features, arms[:used])
    if not len(keep):
        raise InputError(
            "the study holds no failed problem unit with all features and the rescue rates of "
            + ", ".join(arms[:used])
            + lacks_hint(ds)
        )
    kept = ds.isel(problem=keep)
    by_arm = kept.sel(intervention=arms)
    names = _coordinates(kept)
    labels, cells = np.unique(names["cell"], return_inverse=True)
    attempts = by_arm["attempts"].transpose("problem", "intervention").to_numpy()
    order = ("problem", "rollout", "intervention")
    correct = by_arm["correct"].transpose(*order).to_numpy() if "correct" in ds else None
    table = Table(
        arms=tuple(arms),
        n_regime=used - 1,
        rate=rate[keep],
        attempts=attempts.astype(np.int64),
        features=features[keep],
        cells=cells,
        clusters=np.unique(names["problem_id"], return_inverse=True)[1],
        strata=np.unique(names["task"], return_inverse=True)[1],
        policy=policy,
        edges=dict(edges or {}),
        correct=correct,
        checkpoints=checkpoint_codes(kept),
    )
    return table, mean_costs(by_arm, correct), labels


def _arms(ds: xr.Dataset, policy: RoutingPolicy, interventions: Sequence[str]) -> list[str]:
    """Order the study's interventions, and check that none is missing.

    Retry comes first, then those regimes are over, then the rest.
    """
    present = [str(name) for name in ds["intervention"].values]
    regime = [str(name) for name in interventions]
    retry, none = Intervention.RETRY.value, Intervention.NONE.value
    missing = [name for name in (retry, *regime) if name not in present]
    if missing:
        raise InputError(
            f"the study has no intervention {', '.join(missing)}; it holds {', '.join(present)}: "
            "run the missing ones or pass interventions="
        )
    check_policy(policy, regime)
    return [retry, *regime, *(x for x in present if x not in (retry, none, *regime))]


def _stored_routes(ds: xr.Dataset, policy: RoutingPolicy, arms: Sequence[str]) -> np.ndarray | None:
    """Return the routes that the study stores, if they are of the published policy."""
    if policy != PUBLISHED or "route" not in ds or ds.attrs.get("source_format") == "profiles":
        return None
    stored = text(ds["route"])
    known = {name: place for place, name in enumerate(arms)}
    return np.array([known[name] for name in stored]) if set(stored) <= set(known) else None


def check_policy(policy: RoutingPolicy, interventions: Sequence[str]) -> None:
    """Raise an `InputError` if a policy routes to something else than `interventions`."""
    outside = [name for name in policy.interventions if name not in interventions]
    if outside:
        raise InputError(
            f"the policy routes to {', '.join(outside)}, which is not among the interventions "
            f"evaluated ({', '.join(interventions)}); name it in interventions="
        )


def routable(ds: xr.Dataset, features: Sequence[str], arms: Sequence[str]) -> np.ndarray:
    """Return the places along `problem` with all of `features` and the rescue rates of `arms`."""
    rate = ds["rescue_rate"].sel(intervention=list(arms)).transpose("problem", "intervention")
    unknown = np.isnan(feature_matrix(ds, features)).any(axis=1)
    return np.flatnonzero(~(unknown | np.isnan(rate.to_numpy()).any(axis=1)))


def _coordinates(ds: xr.Dataset) -> dict[str, np.ndarray]:
    """Return the cell, question and task of each unit.

    Units without a question or task are questions of their own.
    """
    n = ds.sizes["problem"]
    names = {
        name: text(ds[name]) if name in ds.coords else default
        for name, default in (("problem_id", np.arange(n)), ("task", np.zeros(n)))
    }
    return {"cell": cell_names(ds), **names}


def mean_costs(by_arm: xr.Dataset, correct: np.ndarray | None) -> dict[str, np.ndarray]:
    """Mean cost of one attempt (problem, arm) for each cost variable stored."""
    costs = {}
    if correct is None:
        return costs
    run = correct >= 0
    count = np.maximum(run.sum(axis=1), 1)
    for name in (variable for variables in COSTS.values() for variable in variables):
        if name in by_arm:
            values = by_arm[name].transpose("problem", "rollout", "intervention").to_numpy()
            costs[name] = np.where(run, values, 0).sum(axis=1) / count
    return costs


def filled(values: np.ndarray, value: float = 0.0) -> np.ndarray:
    """Return `values` with `value` for NaN; the same array where there is none."""
    unknown = np.isnan(values)
    return np.where(unknown, value, values) if unknown.any() else values
