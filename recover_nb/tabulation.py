"""What an evaluation takes out of a study: failed problem units as arrays, with costs and names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from recover_nb.budgets import COSTS
from recover_nb.errors import InputError
from recover_nb.estimators import Table
from recover_nb.labels import ROUTED_INTERVENTIONS, Intervention
from recover_nb.recoverability import rescue_rate
from recover_nb.resampling import Resamples, bootstrap_weights
from recover_nb.routing import PUBLISHED, RoutingPolicy
from recover_nb.schema import cell_names, text


@dataclass(frozen=True)
class Inputs:
    """What an evaluation needs of a study.

    Attributes
    ----------
    table, costs, labels
        From `tabulate`.
    n_problems : int
        Units of the study, those included that are left out of the table.
    """

    table: Table
    costs: dict[str, np.ndarray]
    labels: np.ndarray
    n_problems: int

    def decided_by(self, policy: RoutingPolicy, edges: dict) -> "Inputs":
        """Return the same units under another policy and other edges.

        The policy is over the same features in the same order.
        """
        regime = self.table.arms[self.table.regime_arms]
        check_policy(policy, regime)
        return replace(self, table=replace(self.table, policy=policy, edges=dict(edges)))

    def resamples(self, seed: int, n_bootstrap: int) -> Resamples:
        """Return the bootstrap's weights, which depend on nothing else."""
        return bootstrap_weights(
            self.table.clusters, self.table.strata, n_bootstrap, generator(seed, 5)
        )


def generator(seed: int, stage: int) -> np.random.Generator:
    """Return a stage's generator, so that one stage's size does not change another's numbers."""
    return np.random.default_rng([seed, stage])


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
        Keywords of `recoverability.is_steerable_hard`.

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
    ds = _with_rates(ds)
    arms = _arms(ds, policy, interventions)
    rate = ds["rescue_rate"].sel(intervention=arms).transpose("problem", "intervention").to_numpy()
    features = _features(ds, policy)
    used = 1 + len(tuple(interventions))
    keep = np.flatnonzero(~(np.isnan(features).any(axis=1) | np.isnan(rate[:, :used]).any(axis=1)))
    if not len(keep):
        raise InputError(
            "the study holds no failed problem unit with all features and the rescue rates of "
            + ", ".join(arms[:used])
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
    )
    return table, _costs(by_arm, correct), labels


def _with_rates(ds: xr.Dataset) -> xr.Dataset:
    """Return a study with rescue rates, counting them from `correct` where they are missing."""
    if "features" not in ds:
        raise InputError(
            "the study has no variable 'features'; compute it with compute_features first"
        )
    if {"rescue_rate", "attempts"} <= set(ds.data_vars):
        return ds
    if "correct" not in ds:
        raise InputError(
            "the study has neither rescue_rate and attempts nor correct; one of them is needed"
        )
    return ds.merge(rescue_rate(ds["correct"]), compat="override")


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


def check_policy(policy: RoutingPolicy, interventions: Sequence[str]) -> None:
    """Raise an `InputError` if a policy routes to something else than `interventions`."""
    outside = [name for name in policy.interventions if name not in interventions]
    if outside:
        raise InputError(
            f"the policy routes to {', '.join(outside)}, which is not among the interventions "
            f"evaluated ({', '.join(interventions)}); name it in interventions="
        )


def _features(ds: xr.Dataset, policy: RoutingPolicy) -> np.ndarray:
    """Feature columns in the order of the policy."""
    present = [str(name) for name in ds["feature"].values]
    missing = [name for name in policy.features if name not in present]
    if missing:
        raise InputError(
            f"the study has no feature {', '.join(missing)}; it holds {', '.join(present)}"
        )
    chosen = ds["features"].sel(feature=list(policy.features))
    return chosen.transpose("problem", "feature").to_numpy().astype(float)


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


def _costs(by_arm: xr.Dataset, correct: np.ndarray | None) -> dict[str, np.ndarray]:
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
