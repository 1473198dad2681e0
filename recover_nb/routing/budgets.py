"""Rescue@k against compute: routed and retry at equal tokens and forward passes.

See docs/method.md#rescue-at-k and docs/method.md#budget-curves.
"""

from dataclasses import dataclass

import numpy as np

from recover_nb.core.labels import DETERMINISTIC
from recover_nb.routing.rescue import (
    rescue_at_k,
)
from recover_nb.routing.table import COSTS, Table
from recover_nb.stats.resampling import Resamples, bootstrap_ratio, ratio

#: What budgets are made equal in, whom they are compared on, and what the claim is tested at.
BASES = ("attempts", *COSTS)
POPULATIONS = ("all", "steerable_hard")
CLAIM_BASES = ("attempts", "forward_passes")
_ENDS = ("lift", "low", "high")

#: The claim under test: this many routed rollouts match that many retries.
CLAIM_ROUTED, CLAIM_RETRY = 10, 50


#: How far below retry routing may lie, at the lower end of its interval, and still match it.
CLAIM_MARGIN = 0.02


@dataclass(frozen=True)
class Attempts:
    """What two strategies did on a population of problems.

    Attributes
    ----------
    correct, attempts : int arrays, shape (problem,)
        Correct attempts and attempts.
    exhausted : bool array, shape (problem,)
        The attempts are all there can be (a deterministic intervention): further ones repeat them.
    cost : dict of str to float array, shape (problem,)
        Mean cost of one attempt, by the names of `COSTS` and by variable.
    """

    correct: np.ndarray
    attempts: np.ndarray
    exhausted: np.ndarray
    cost: dict[str, np.ndarray]

    def curve(self, n_max: int) -> np.ndarray:
        """rescue@k of each problem for k = 0 ..

        n_max, shape (problem, n_max + 1); NaN beyond its attempts.
        """
        k = np.arange(1, n_max + 1)
        # Problems are many, pairs of counts are few.
        base = self.attempts.max(initial=0) + 1
        pair, of = np.unique(self.correct * base + self.attempts, return_inverse=True)
        correct, attempts = (each[:, None] for each in np.divmod(pair, base))
        value = rescue_at_k(correct, attempts, np.minimum(k, np.maximum(attempts, 1)))[of]
        value = np.where((k <= self.attempts[:, None]) | self.exhausted[:, None], value, np.nan)
        return np.concatenate([np.zeros((len(value), 1)), value], axis=1)

    def mean_cost(self, name: str) -> float:
        """Mean cost of an attempt over the population; NaN where it is not stored."""
        if name == "attempts":
            return 1.0
        return float(np.mean(self.cost[name])) if name in self.cost else float("nan")


def interpolate(curve: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Value of each problem's curve at real budgets, linear between whole ones.

    Parameters
    ----------
    curve : float array, shape (problem, n_max + 1)
        For k = 0, 1, ...
    k : float array, shape (budget,)
        Budgets in attempts, at least 0.

    Returns
    -------
    float64 array, shape (problem, budget)
        NaN beyond the curve. A budget of 2.3 attempts is 2 attempts and, three times in ten, a
        third.
    """
    low = np.minimum(np.floor(k + 1e-9).astype(int), curve.shape[1] - 1)
    part = np.maximum(k - low, 0.0)
    part = np.where(part < 1e-9, 0.0, part)
    high = np.minimum(low + 1, curve.shape[1] - 1)
    value = curve[:, low]
    value = np.where(part > 0, value + part * (curve[:, high] - curve[:, low]), value)
    return np.where(k <= curve.shape[1] - 1 + 1e-9, value, np.nan)


def budget_curves(
    routed: Attempts, retry: Attempts, resamples: Resamples, n_max: int
) -> dict[str, np.ndarray]:
    """Compare routing with retry attempt for attempt and at equal compute.

    Parameters
    ----------
    routed, retry : Attempts
        The same problems under both.
    resamples : Resamples
        Bootstrap weights of those problems.
    n_max : int
        Retries to go up to.

    Returns
    -------
    dict of str to float64 array
        For each of `BASES` and each number k = 1, 2, ... of retries, shape (basis, k): the
        ``budget`` of a problem, ``k_routed`` (the routed attempts of equal cost), ``n`` (problems
        with that many attempts of both), ``routed``, ``retry`` (rescue), ``lift`` with ``low`` and
        ``high``; NaN beyond the last budget that a problem reaches, and where costs are not stored.
        ``cost`` of an attempt, shape (side, basis). The figures of `compare_claim`, each by its
        name after ``claim_``.
    """
    curves = routed.curve(n_max), retry.curve(n_max)
    k = np.arange(1.0, n_max + 1)
    unknown = np.full(n_max, np.nan)
    names: tuple[str, ...] = ("k_retry", "k_routed", "n", "routed", "retry", *_ENDS)
    empty: dict[str, np.ndarray] = dict.fromkeys(names, unknown)
    rows = []
    for name in BASES:
        # An import may leave costs at 0: then nothing can be compared at equal cost.
        unit, rate = retry.mean_cost(name), _relative_cost(routed, retry, name)
        known = np.isfinite(rate) and rate > 0
        found: dict[str, np.ndarray] = empty
        if known:
            found = _compare(curves, k / rate, k, resamples)
        rows.append({**found, "budget": found["k_retry"] * unit})
    out = {name: np.array([row[name] for row in rows]) for name in rows[0] if name != "k_retry"}
    out["cost"] = np.array(
        [[side.mean_cost(name) for name in BASES] for side in (routed, retry)], float
    )
    claim = compare_claim(routed, retry, curves, resamples)
    return out | {f"claim_{name}": value for name, value in claim.items()}


def _relative_cost(routed: Attempts, retry: Attempts, name: str) -> float:
    """Mean cost of a routed attempt in retries; NaN where costs are not stored."""
    unit = retry.mean_cost(name)
    return routed.mean_cost(name) / unit if unit > 0 else float("nan")


def _compare(
    curves: tuple[np.ndarray, np.ndarray],
    k_routed: np.ndarray,
    k_retry: np.ndarray,
    resamples: Resamples,
) -> dict[str, np.ndarray]:
    """Compare two curves, paired, at given budgets on the problems that reach both.

    Budgets that no problem reaches are NaN.
    """
    routed, retry = interpolate(curves[0], k_routed), interpolate(curves[1], k_retry)
    both = ~(np.isnan(routed) | np.isnan(retry))
    routed, retry = np.where(both, routed, 0.0), np.where(both, retry, 0.0)
    weight = both.astype(float)
    lift = bootstrap_ratio(routed - retry, weight, resamples, bca=False)
    count = weight.sum(axis=0)
    reached = count > 0
    found = {
        "k_retry": k_retry,
        "k_routed": k_routed,
        "n": count,
        "routed": ratio(routed.sum(axis=0), count),
        "retry": ratio(retry.sum(axis=0), count),
        **dict(zip(_ENDS, (lift.value, *lift.percentile), strict=True)),
    }
    return {name: np.where(reached, value, np.nan) for name, value in found.items()}


def compare_claim(
    routed: Attempts, retry: Attempts, curves: tuple[np.ndarray, np.ndarray], resamples: Resamples
) -> dict[str, np.ndarray]:
    """Test "ten routed rollouts match fifty retries", and the same at equal forward passes.

    Returns
    -------
    dict of str to float64 array, shape (2,)
        At as many attempts as were claimed, and at equal forward passes: ``k_routed``, 10 where
        that many were run, else the largest that most problems have with five times as many
        retries; ``k_retry``, ``n``, ``routed``, ``retry``, ``lift``, ``low``, ``high``. NaN where
        not even 1 and 5 were run, or costs are not stored.
    """
    factor = CLAIM_RETRY // CLAIM_ROUTED
    have_retry = int(np.median(retry.attempts)) if len(retry.attempts) else 0
    reach = np.where(routed.exhausted, CLAIM_ROUTED, routed.attempts)
    have_routed = int(np.median(reach)) if len(reach) else 0
    k = min(CLAIM_ROUTED, have_routed, have_retry // factor)
    equal = _relative_cost(routed, retry, "forward_passes")
    k_retry = np.array([factor, equal]) * k
    able = (k >= 1) & np.isfinite(k_retry)
    at = np.where(able, k_retry, 0.0)
    found = _compare(curves, np.full(2, float(max(k, 0))), at, resamples)
    return {name: np.where(able, value, np.nan) for name, value in found.items()}


def population_budgets(
    table: Table, costs: dict[str, np.ndarray], resamples: Resamples
) -> dict[str, np.ndarray]:
    """Return `budget_curves` with a first axis of `POPULATIONS`.

    Each is routed as its own population; figures of an empty one are NaN.
    """
    masks = (np.ones(len(table.rate), dtype=bool), table.hard(table.rate))
    found, n_max = [], int(table.attempts.max(initial=0))
    for mask in masks:
        rows = np.flatnonzero(mask)
        decision = table.decide(mask[None])[0, rows]
        routed = _attempts(table, costs, rows, decision)
        retry = _attempts(table, costs, rows, np.zeros_like(decision))
        drawn = resamples.subset(rows)
        found.append(budget_curves(routed, retry, drawn, n_max) if len(rows) else {})
    return {
        name: np.array([each.get(name, np.full_like(values, np.nan)) for each in found])
        for name, values in found[0].items()
    }


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
