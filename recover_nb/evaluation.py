"""Evaluate routing without fooling oneself (method.md section 8): every estimator, every comparator, side by side."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields

import numpy as np
import xarray as xr

from recover_nb import estimators, nulls
from recover_nb.budgets import COSTS, Attempts, budget_curves
from recover_nb.errors import InputError
from recover_nb.estimators import Contributions, Table
from recover_nb.labels import ROUTED_INTERVENTIONS, Intervention, Regime
from recover_nb.nulls import DETERMINISTIC
from recover_nb.recoverability import (
    MIN_FAILURE,
    MIN_GAIN,
    TOLERANCE,
    regimes_from_rates,
    rescue_rate,
)
from recover_nb.resampling import Resamples, bootstrap_weights
from recover_nb.routing import PUBLISHED, RoutingPolicy
from recover_nb.schema import cell_names, text
from recover_nb.summaries import plain, rescue_by_cell, summarise, summarise_null

#: What an evaluation is made of (in this order: it numbers generators), and what needs the outcome of each attempt.
PARTS = ("published", "null", "all", "split", "null_twins", "budgets")
NEED_ATTEMPTS = ("split", "null_twins")


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a routing policy on one study, as plain data.

    Attributes
    ----------
    cells : dict
        Per cell: ``n``, ``regimes``, ``routed_counts`` and ``rescue`` over its steerable_hard problems.
    overall : dict
        ``n``, ``steerable_hard_fraction`` and the headline lift over retry of each estimator.
    estimators : dict
        ``published``, ``null``, ``null_twins``, ``split``, ``all``: every comparator, every cell. An entry is
        None where attempts are not stored, or it was not asked for.
    budgets : dict
        rescue@k and equal-compute curves for ``all`` failed problems and for the ``steerable_hard`` ones
        (the latter selected on the attempts that score them, hence inflated).
    settings : dict
        Seed, resample counts, edges, policy.
    """

    cells: dict
    overall: dict
    estimators: dict
    budgets: dict
    settings: dict

    def to_dict(self) -> dict:
        """Return the object ``recover-nb evaluate --json`` prints; NaN and infinities become None."""
        return plain({each.name: getattr(self, each.name) for each in fields(self)})


def evaluate_routing(
    ds: xr.Dataset,
    *,
    policy: RoutingPolicy = PUBLISHED,
    interventions: Sequence[str] = ROUTED_INTERVENTIONS,
    seed: int = 0,
    n_bootstrap: int = 2000,
    n_permutations: int = 2000,
    n_null: int = 200,
    n_splits: int = 100,
    min_gain: float = MIN_GAIN,
    min_failure: float = MIN_FAILURE,
    tolerance: float | None = None,
    only: Collection[str] = PARTS,
    cell_intervals: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Evaluate a routing policy by the published, null, split and all estimators.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table read by `from_profiles`: ``features`` (problem, feature), ``rescue_rate``
        and ``attempts`` (problem, intervention), and for the split estimator ``correct`` (problem, rollout,
        intervention). ``n_tokens``, ``forward_specialist``, ``forward_ancestor`` (problem, rollout,
        intervention) give costs. Units without features or rates (they did not fail) are left out.
    policy : RoutingPolicy
        The rule; it may choose among `interventions`.
    interventions : sequence of str
        What regimes and routes are over; any others of the study are reported as comparators.
    seed : int
        The result is a function of it and of the data alone.
    n_bootstrap, n_permutations, n_null, n_splits : int
        Resamples of problems, permutations of routes, simulated nulls and halvings of attempts.
    min_gain, min_failure : float
        Edges of steerable_hard (method.md section 6).
    tolerance : float, optional
        Slack of those edges; by default the study's attribute ``regime_tolerance``, else 1e-9.
    only : collection of str
        The parts to compute, of `PARTS`; the others are None. A part's figures do not depend on which others are
        computed; a null brings ``published`` along, which it is compared with.
    cell_intervals : bool
        Bootstrap each cell too; otherwise the intervals of a cell are NaN.
    progress : callable, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        If a variable, feature or intervention is missing, a count or part is not allowed, or no failed unit is left.

    Notes
    -----
    method.md section 8. Lifts are in points (differences of rates), higher is better for routing. Bootstrap
    resamples the underlying questions (task, problem_id), so that one question asked of several specialists
    moves together; selection, routes and z-scores are kept. Permutation p-values are one-sided.
    """
    counts = {"n_bootstrap": n_bootstrap, "n_permutations": n_permutations}
    counts |= {"n_null": n_null, "n_splits": n_splits}
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name} is {count}; it must be at least 1")
    parts = _parts(only)
    if tolerance is None:
        tolerance = float(ds.attrs.get("regime_tolerance", TOLERANCE))
    edges = {"min_gain": min_gain, "min_failure": min_failure, "tolerance": tolerance}
    table, costs, labels = tabulate(ds, policy=policy, interventions=interventions, edges=edges)
    tell = progress or (lambda stage: None)
    found = _estimate(table, seed, counts, parts, tell)
    tell("bootstrap")
    resamples = bootstrap_weights(table.clusters, table.strata, n_bootstrap, _rng(seed, 5))
    summaries = {}
    for index, name in enumerate(("published", "split", "all")):
        item = found[name]
        rng = _rng(seed, 6 + index)
        summaries[name] = item and summarise(
            item, table, labels, resamples, n_permutations, rng, cell_intervals=cell_intervals
        )
    for name in ("null", "null_twins"):
        summaries[name] = found[name] and summarise_null(found["published"], found[name], resamples)
    if "budgets" in parts:
        tell("budgets")
    budgets = _budgets(table, costs, resamples) if "budgets" in parts else None
    return Evaluation(
        cells=_cells(table, labels, edges),
        overall=_overall(table, ds, summaries),
        estimators=summaries,
        budgets=budgets,
        settings={"seed": seed, **counts, **edges, "policy": policy.to_dict()},
    )


def _rng(seed: int, stage: int) -> np.random.Generator:
    """One generator a stage, so that the size of one stage does not change the numbers of another."""
    return np.random.default_rng([seed, stage])


def _parts(only: Collection[str]) -> set[str]:
    """Check the names of parts, and add what they need."""
    unknown = sorted(set(only) - set(PARTS))
    if unknown:
        raise InputError(f"unknown part {unknown[0]!r}; allowed: {', '.join(PARTS)}")
    return {*only, "published"} if {"null", "null_twins"} & set(only) else set(only)


def _estimate(
    table: Table, seed: int, counts: dict, parts: set[str], tell: Callable[[str], None]
) -> dict[str, Contributions | None]:
    """Run the estimators asked for; those that need the outcome of each attempt are None where it is not stored."""
    runs = (estimators.published, nulls.null, estimators.everyone, estimators.split, nulls.null_twins)
    found: dict[str, Contributions | None] = dict.fromkeys(PARTS[: len(runs)])
    for stage, (name, run) in enumerate(zip(found, runs, strict=True)):
        if name in parts and (table.correct is not None or name not in NEED_ATTEMPTS):
            tell(name)
            count = "n_null" if name.startswith("null") else "n_splits"
            found[name] = run(table, _rng(seed, stage), **{count: counts[count]})
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
    """Order the study's interventions: retry, those regimes are over, then the rest; check none is missing."""
    present = [str(name) for name in ds["intervention"].values]
    regime = [str(name) for name in interventions]
    retry, none = Intervention.RETRY.value, Intervention.NONE.value
    missing = [name for name in (retry, *regime) if name not in present]
    if missing:
        raise InputError(
            f"the study has no intervention {', '.join(missing)}; it holds {', '.join(present)}: "
            "run the missing ones or pass interventions="
        )
    outside = [name for name in policy.interventions if name not in regime]
    if outside:
        raise InputError(
            f"the policy routes to {', '.join(outside)}, which is not among the interventions "
            f"evaluated ({', '.join(regime)}); name it in interventions="
        )
    return [retry, *regime, *(x for x in present if x not in (retry, none, *regime))]


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
    """Cell, question and task of each unit; units without a question or task are questions of their own."""
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


def _budgets(table: Table, costs: dict[str, np.ndarray], resamples: Resamples) -> dict:
    """Budget curves of all failed problems and of the steerable_hard ones, each routed as its own population."""
    selected = {
        "all": np.ones(len(table.rate), dtype=bool),
        "steerable_hard": table.hard(table.rate),
    }
    out = {}
    for name, mask in selected.items():
        rows = np.flatnonzero(mask)
        decision = table.decide(mask[None])[0, rows]
        sides = [_attempts(table, costs, rows, arm) for arm in (decision, np.zeros_like(decision))]
        out[name] = budget_curves(*sides, resamples.subset(rows)) if len(rows) else None
    return out


def _attempts(
    table: Table, costs: dict[str, np.ndarray], rows: np.ndarray, arm: np.ndarray
) -> Attempts:
    """Outcomes and costs of problems `rows`, each under its own `arm`."""
    attempts = table.attempts[rows, arm]
    fixed = np.array([name in DETERMINISTIC for name in table.arms])
    cost = {name: values[rows, arm] for name, values in costs.items()}
    for name, variables in COSTS.items():
        if set(variables) <= set(costs):
            cost[name] = sum(cost[variable] for variable in variables)
    correct = np.round(table.rate[rows, arm] * attempts).astype(np.int64)
    return Attempts(correct, attempts, fixed[arm], cost)


def _cells(table: Table, labels: np.ndarray, edges: dict) -> dict:
    """Sizes, regimes, routes and rescue rates of each cell, as published."""
    regime = regimes_from_rates(table.rate[:, 0], table.rate[:, table.regime_arms], **edges)
    hard = table.hard(table.rate)
    decision = table.decide(hard[None])[0]
    oracle = table.rate[:, table.regime_arms].max(axis=1)
    out = {}
    for code, name in enumerate(labels):
        inside = table.cells == code
        rows = np.flatnonzero(inside & hard)
        made = decision[rows]
        out[str(name)] = {
            "n": int(inside.sum()),
            "regimes": {str(r): int((regime[inside] == r).sum()) for r in Regime},
            "routed_counts": {
                arm: int((made == table.arms.index(arm)).sum())
                for arm in table.arms[table.regime_arms]
            },
            "rescue": rescue_by_cell(table, rows, made, oracle),
        }
    return out


def _overall(table: Table, ds: xr.Dataset, summaries: dict) -> dict:
    """Headline figures: the lift over retry by each estimator."""
    retry = Intervention.RETRY.value

    def headline(name: str) -> dict | None:
        item = summaries[name]
        if item is None:
            return None
        lift = item["comparators"][retry]
        keys = ("lift", "ci95", "ci95_bca", "relative", "relative_ci95")
        return {"n": item["n"], **{key: lift[key] for key in keys}, "routes_p": item["p"]}

    out = {
        "n": len(table.rate),
        "n_left_out": int(ds.sizes["problem"] - len(table.rate)),
        "steerable_hard_fraction": float(table.hard(table.rate).mean()),
        "published": headline("published"),
        "split": headline("split"),
        "all": headline("all"),
    }
    for null, excess in (("null", "excess"), ("null_twins", "excess_twins")):
        item = summaries[null]
        out[null] = out[excess] = None
        if item is not None:
            lift = item["comparators"][retry]
            out[null] = {
                "mean": lift["mean"],
                "sd": lift["sd"],
                "steerable_hard_fraction": item["steerable_hard_fraction"],
            }
            out[excess] = {"value": lift["excess"], "p": lift["p"], "ci95": lift["ci95"]}
    return out
