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
from recover_nb.stats.resampling import Resamples, bootstrap_ratio

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
        """Mean cost of an attempt over the population."""
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


def budget_curves(routed: Attempts, retry: Attempts, resamples: Resamples) -> dict:
    """Compare routing with retry attempt for attempt and at equal compute.

    Parameters
    ----------
    routed, retry : Attempts
        The same problems under both.
    resamples : Resamples
        Bootstrap weights of those problems.

    Returns
    -------
    dict
        ``attempts``: lists over k = 1, 2, ... of ``k``, ``n`` (problems with that many attempts of
        both), ``routed``, ``retry``, ``lift``, ``ci95``. ``equal_cost``: the same lists for each
        name of `COSTS`, over retry attempts ``k`` and the routed attempts ``k_routed`` of equal
        cost, or None where costs are not stored. ``cost_per_attempt``, and ``claim``: see
        `compare_claim`.
    """
    n_max = int(max(routed.attempts.max(initial=0), retry.attempts.max(initial=0)))
    curves = routed.curve(n_max), retry.curve(n_max)
    k = np.arange(1.0, n_max + 1)
    equal = {}
    for name in COSTS:
        # An import may leave costs at 0: then nothing can be compared at equal cost.
        unit = retry.mean_cost(name) if name in routed.cost else 0.0
        rate = routed.mean_cost(name) / unit if unit > 0 else np.nan
        equal[name] = None
        if np.isfinite(rate) and rate > 0:
            equal[name] = _compare(curves, k / rate, k, resamples)
            equal[name]["cost"] = (k * retry.mean_cost(name)).tolist()[: len(equal[name]["k"])]
    return {
        "attempts": _compare(curves, k, k, resamples),
        "equal_cost": equal,
        "cost_per_attempt": {
            label: {name: side.mean_cost(name) for name in side.cost}
            for label, side in (("routed", routed), ("retry", retry))
        },
        "claim": compare_claim(routed, retry, curves, resamples),
    }


def _compare(
    curves: tuple[np.ndarray, np.ndarray],
    k_routed: np.ndarray,
    k_retry: np.ndarray,
    resamples: Resamples,
) -> dict:
    """Compare two curves, paired, at given budgets on the problems that reach both; as lists."""
    routed, retry = interpolate(curves[0], k_routed), interpolate(curves[1], k_retry)
    both = ~(np.isnan(routed) | np.isnan(retry))
    # Budgets no problem reaches say nothing; they are all at the end.
    reached = both.any(axis=0)
    routed, retry, both = (x[:, reached] for x in (routed, retry, both))
    routed, retry = np.where(both, routed, 0.0), np.where(both, retry, 0.0)
    weight = both.astype(float)
    lift = bootstrap_ratio(routed - retry, weight, resamples, bca=False)
    count = weight.sum(axis=0)
    return {
        "k": k_retry[reached].tolist(),
        "k_routed": k_routed[reached].tolist(),
        "n": count.astype(int).tolist(),
        "routed": (routed.sum(axis=0) / count).tolist(),
        "retry": (retry.sum(axis=0) / count).tolist(),
        "lift": lift.value.tolist(),
        "ci95": lift.percentile.T.tolist(),
    }


def compare_claim(
    routed: Attempts, retry: Attempts, curves: tuple[np.ndarray, np.ndarray], resamples: Resamples
) -> dict | None:
    """Test "ten routed rollouts match fifty retries", and the same at equal forward passes.

    Returns
    -------
    dict or None
        ``routed_attempts`` and ``retry_attempts`` are 10 and 50 where that many were run; else the
        largest pair in the same ratio that most problems have, and ``scaled`` is True; None where
        not even 1 and 5 were. ``attempts`` and ``forward_passes`` (None without costs) each hold
        ``retry_attempts``, ``routed``, ``retry``, ``lift``, ``ci95``, ``n`` and ``matched``: the
        interval lies above -`CLAIM_MARGIN`.
    """
    factor = CLAIM_RETRY // CLAIM_ROUTED
    have_retry = int(np.median(retry.attempts)) if len(retry.attempts) else 0
    reach = np.where(routed.exhausted, CLAIM_ROUTED, routed.attempts)
    have_routed = int(np.median(reach)) if len(reach) else 0
    k = min(CLAIM_ROUTED, have_routed, have_retry // factor)
    if k < 1:
        return None
    out = {"routed_attempts": k, "retry_attempts": factor * k, "scaled": k < CLAIM_ROUTED}
    out["attempts"] = _claim_at(curves, k, factor * k, resamples)
    ratio = routed.mean_cost("forward_passes") / retry.mean_cost("forward_passes")
    out["forward_passes"] = (
        _claim_at(curves, k, k * ratio, resamples) if np.isfinite(ratio) else None
    )
    return out


def _claim_at(
    curves: tuple[np.ndarray, np.ndarray], k_routed: float, k_retry: float, resamples: Resamples
) -> dict | None:
    """Compare routed at one budget with retry at another; None where no problem reaches both."""
    lists = _compare(curves, np.array([float(k_routed)]), np.array([float(k_retry)]), resamples)
    if not lists["k"]:
        return None
    out = {name: lists[name][0] for name in ("n", "routed", "retry", "lift", "ci95")}
    return {"retry_attempts": float(k_retry), **out, "matched": out["ci95"][0] > -CLAIM_MARGIN}


def _budgets(table: Table, costs: dict[str, np.ndarray], resamples: Resamples) -> dict:
    """Return budget curves of all failed problems and of the steerable_hard ones.

    Each is routed as its own population.
    """
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
