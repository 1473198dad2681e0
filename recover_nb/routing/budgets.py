"""Rescue against cost: routed and retry at equal attempts, tokens and forward passes.

See docs/method.md#rescue-at-k and docs/method.md#budget-curves.
"""

import numpy as np

from recover_nb.routing.replay import RETRY, fixed_order, replay, within
from recover_nb.routing.table import COSTS, Inputs
from recover_nb.stats.resampling import Resamples, bootstrap_ratio, checkpoint_interval, ratio

#: What budgets are made equal in, and what the claim is tested at.
BASES = ("attempts", *COSTS)
CLAIM_BASES = ("attempts", "forward_passes")
#: The paper's claim: this many routed rollouts match that many retries. Only where so many attempts
#: are stored can it be tested.
CLAIM_ROUTED, CLAIM_RETRY = 10, 50
#: How far below retry routing may lie, at the lower end of its interval, and still match it.
CLAIM_MARGIN = 0.02
#: The budget that is spoken of, in retries: about three steered attempts.
EQUAL_RETRIES = 6
_ENDS = ("lift", "low", "high", "low_checkpoints", "high_checkpoints")
_CURVES = ("budget", "k_routed", "n", "routed", "retry", *_ENDS)


def budget_curves(inputs: Inputs, resamples: Resamples) -> dict[str, np.ndarray]:
    """Compare routing with retry where each problem may cost what so many of its retries do.

    Parameters
    ----------
    inputs : Inputs
        Of one population.
    resamples : Resamples
        Bootstrap weights of its problems.

    Returns
    -------
    dict of str to float64 array
        For each of `BASES` and each number k = 1, 2, ... of retries, shape (basis, k): the mean
        ``budget`` of a problem, ``k_routed`` (routed attempts that it buys, mean), ``n`` (problems
        with so many retries), ``routed`` and ``retry`` (rescue), ``lift`` with ``low``, ``high``
        and ``low_checkpoints``, ``high_checkpoints``; NaN where no problem has so many retries, or
        costs are not stored. ``cost`` of an attempt, shape (side, basis); ``upfront`` (basis,),
        mean cost of the observed rollouts that the rule reads. By `CLAIM_BASES` the figures of the
        claim, each by its name after ``claim_``.

    Notes
    -----
    A plan makes the attempts of the operator that a problem is routed to; when those are used up,
    it goes on with retries. Only attempts that are made are charged. It is replayed over all orders
    of the stored attempts (`replay`), linear between whole attempts.
    """
    table = inputs.table
    n, n_arms = table.rate.shape
    decision = table.decide(np.ones((1, n), bool))[0] if table.routes is None else table.routes
    trials = table.attempts
    wins = np.round(np.nan_to_num(table.rate) * trials).astype(np.int64)
    plans = {
        "routed": fixed_order(decision, trials),
        "retry": fixed_order(np.zeros(n, dtype=int), trials),
    }
    n_max = int(trials[:, RETRY].max(initial=0))
    k = np.arange(1, n_max + 1)
    stored = k <= trials[:, [RETRY]]
    found: dict[str, list] = {name: [] for name in _CURVES}
    cost: list[list[float]] = []
    upfront: list[float] = []
    for basis in BASES:
        price = _price(inputs, basis)
        # An import may leave costs at 0: then nothing can be compared at equal cost.
        known = price is not None and bool(
            ((price[np.arange(n), decision] > 0) & (price[:, RETRY] > 0)).all()
        )
        if not known or price is None:
            price = np.full((n, n_arms), np.nan)
        cost.append([price[np.arange(n), decision].mean(), price[:, RETRY].mean()])
        before = inputs.upfront.get(basis)
        upfront.append(np.nan if before is None else float(before.mean()))
        if not known:
            for values in found.values():
                values.append(np.full(n_max, np.nan))
            continue
        given = price[:, [RETRY]] * k
        spent, rescued = replay(plans["routed"], wins, trials, price)
        routed = within(spent, rescued, given)
        made = within(spent, np.broadcast_to(np.arange(spent.shape[1]), spent.shape), given)
        again = replay(plans["retry"], wins, trials, price)[1][:, 1 : n_max + 1]
        one = _compared(routed, again, stored, table.checkpoints, resamples)
        one |= {"budget": _mean(given, stored), "k_routed": _mean(made, stored)}
        for name, values in found.items():
            values.append(one[name])
    out = {name: np.array(values) for name, values in found.items()}
    out |= {"cost": np.array(cost).T, "upfront": np.array(upfront, float)}
    claimed = _claim(inputs, plans, wins, resamples)
    at = min(EQUAL_RETRIES, n_max) - 1
    equal = {name: out[name][BASES.index("forward_passes"), at] for name in _CURVES}
    equal["k_retry"] = at + 1.0 if np.isfinite(equal["lift"]) else np.nan
    return out | {f"claim_{name}": np.array([claimed[name], equal[name]]) for name in claimed}


def _price(inputs: Inputs, basis: str) -> np.ndarray | None:
    """Mean cost of an attempt (problem, arm); None where it is not stored."""
    if basis == "attempts":
        return np.ones(inputs.table.rate.shape)
    if not set(COSTS[basis]) <= set(inputs.costs):
        return None
    return np.sum([inputs.costs[variable] for variable in COSTS[basis]], axis=0)


def _mean(values: np.ndarray, stored: np.ndarray) -> np.ndarray:
    return ratio(np.where(stored, values, 0.0).sum(axis=0), stored.sum(axis=0))


def _compared(
    routed: np.ndarray,
    retry: np.ndarray,
    stored: np.ndarray,
    checkpoints: np.ndarray | None,
    resamples: Resamples,
) -> dict[str, np.ndarray]:
    """Compare rescue (problem, budget), paired, on the problems that have so many attempts."""
    weight = stored.astype(float)
    gain = np.where(stored, routed - retry, 0.0)
    lift = bootstrap_ratio(gain, weight, resamples, bca=False)
    codes = np.zeros(len(gain), dtype=int) if checkpoints is None else checkpoints
    ends = (lift.value, *lift.percentile, *checkpoint_interval(gain, weight, codes))
    count = weight.sum(axis=0)
    return {
        "n": np.where(count > 0, count, np.nan),
        "routed": _mean(routed, stored),
        "retry": _mean(retry, stored),
        **dict(zip(_ENDS, ends, strict=True)),
    }


def _claim(
    inputs: Inputs, plans: dict[str, np.ndarray], wins: np.ndarray, resamples: Resamples
) -> dict[str, float]:
    """Test "ten routed rollouts match fifty retries" on the problems that have so many of both."""
    trials, names = inputs.table.attempts, ("k_routed", "k_retry", "n", "routed", "retry", *_ENDS)
    enough = (trials[:, RETRY] >= CLAIM_RETRY) & (
        (plans["routed"] >= 0).sum(axis=1) >= CLAIM_ROUTED
    )
    if not enough.any():
        return dict.fromkeys(names, np.nan)
    price = np.ones(trials.shape)
    routed, retry = (
        replay(plans[name][:, :k], wins, trials, price)[1][:, [-1]]
        for name, k in (("routed", CLAIM_ROUTED), ("retry", CLAIM_RETRY))
    )
    one = _compared(routed, retry, enough[:, None], inputs.table.checkpoints, resamples)
    found = {name: float(values[0]) for name, values in one.items()}
    return {"k_routed": float(CLAIM_ROUTED), "k_retry": float(CLAIM_RETRY), **found}
