"""What stored attempts rescue within a budget, in closed form.

Attempts of one operator until the budget or the operator is used up, then those of the next. A rule
that stops at the first right attempt has seen failures alone before the next one, so what it does
is known in advance and a replay needs no simulation.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

from recover_nb.routing.routers.inputs import Outcomes

#: Column of retry, which follows an operator that has no attempt left.
RETRY = 0
#: Rounding of a share of an attempt: a budget of three attempts is three attempts.
_WHOLE = 1e-9
#: No attempt is left.
NOTHING = -1


@cache
def _all_wrong(most: int) -> np.ndarray:
    """Return C(n - c, k) / C(n, k), the probability that k of n attempts all miss, c being right.

    Shape (n + 1, c + 1, k + 1) for up to `most` attempts; 0 where it is not defined.
    """
    n, c, k = np.ogrid[: most + 1, : most + 1, : most + 1]
    out = np.zeros((most + 1,) * 3)
    out[..., 0] = 1.0
    for tried in range(most):
        left = np.maximum(n - c - tried, 0) / np.maximum(n - tried, 1)
        out[..., tried + 1] = out[..., tried] * left[..., 0]
    return np.where((c <= n) & (k <= n), out, 0.0)


def missed(wins: np.ndarray, trials: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Return the probability that `k` of some attempts, in random order, are all wrong.

    Parameters
    ----------
    wins, trials : int arrays
    k : float array
        At most `trials`. Linear between whole attempts: of 2.3 attempts the third is made three
        times in ten.

    Returns
    -------
    float64 array
        Their shapes are broadcast.

    Examples
    --------
    Two of four are right: a pair of them is wrong once in six.

    >>> missed(np.array(2), np.array(4), np.array([1.0, 1.5, 2.0])).round(3).tolist()
    [0.5, 0.333, 0.167]
    """
    table = _all_wrong(int(trials.max(initial=1)))
    whole = np.floor(k + _WHOLE).astype(np.int64)
    part = np.clip(k - whole, 0.0, 1.0)
    low, high = table[trials, wins, whole], table[trials, wins, np.minimum(whole + 1, trials)]
    return low + part * (high - low)


def rescued(
    stages: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], budget: np.ndarray
) -> np.ndarray:
    """Return the probability that one of the attempts within a budget is right.

    Parameters
    ----------
    stages : sequence of (wins, trials, cost)
        Attempts in the order in which they are made, and what one costs.
    budget : float array

    Returns
    -------
    float64 array
        Their shapes are broadcast. What is left when no attempt is left buys nothing.
    """
    left, miss = np.asarray(budget, dtype=float), np.ones(())
    for wins, trials, cost in stages:
        made = np.minimum(left / cost, trials)
        miss = miss * missed(wins, trials, made)
        left = left - made * cost
    return 1.0 - miss


def worth(outcomes: Outcomes, budget: np.ndarray | None) -> np.ndarray:
    """Return what each operator rescues of each problem within a budget, then going on by retries.

    Parameters
    ----------
    outcomes : Outcomes
        `wins` may have leading axes: (..., problem, arm).
    budget : float array, shape (problem,) or (..., problem), or None
        None: one attempt, whatever it costs, so that an operator is worth its rate.

    Returns
    -------
    float64 array, shape (..., problem, arm)
    """
    wins, trials, cost = outcomes.wins, outcomes.trials, outcomes.cost
    if budget is None:
        return wins / np.maximum(trials, 1)
    arms = []
    for arm in range(trials.shape[-1]):
        stages = [(wins[..., each], trials[..., each], cost[..., each]) for each in (arm, RETRY)]
        arms.append(rescued(stages if arm != RETRY else stages[:1], budget))
    return np.stack(np.broadcast_arrays(*arms), axis=-1)


def fixed_order(arm: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Order of one arm's attempts until none is left, then retries.

    Parameters
    ----------
    arm : int array, shape (problem,)
    limit : int array, shape (problem, arm)

    Returns
    -------
    int8 array, shape (problem, step)
    """
    own = limit[np.arange(len(arm)), arm]
    retries = np.where(arm == RETRY, 0, limit[:, RETRY])
    place = np.arange(int((own + retries).max(initial=0)))
    order = np.where(place < own[:, None], arm[:, None], RETRY)
    return np.where(place < (own + retries)[:, None], order, NOTHING).astype(np.int8)


def replay(
    order: np.ndarray, wins: np.ndarray, trials: np.ndarray, cost: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Replay stored attempts in the order of a policy, each operator's own in random order.

    Parameters
    ----------
    order : int array, shape (problem, step)
        Arm of each attempt, -1 for none.
    wins, trials : int arrays, shape (problem, arm)
        Correct attempts, and attempts.
    cost : float array, shape (problem, arm)
        Cost of an attempt.

    Returns
    -------
    spent : float64 array, shape (problem, step + 1)
        Cost of the first 0, 1, 2, ... attempts.
    rescued : float64 array, shape (problem, step + 1)
        Probability that at least one of them is correct.

    Notes
    -----
    Exact over all random orders: k of an arm's n attempts, c of them correct, all miss with
    probability C(n - c, k) / C(n, k), the estimator of rescue@k (docs/method.md#rescue-at-k), and
    arms multiply.
    """
    n, steps = order.shape
    rows = np.arange(n)
    tried = np.zeros_like(trials)
    spent, missed = np.zeros((n, steps + 1)), np.ones((n, steps + 1))
    for step in range(steps):
        arm = order[:, step]
        made = arm >= 0
        arm = np.where(made, arm, 0)
        left = trials[rows, arm] - tried[rows, arm]
        wrong = np.maximum(left - wins[rows, arm], 0)
        share = np.where(made & (left > 0), wrong / np.maximum(left, 1), 1.0)
        missed[:, step + 1] = missed[:, step] * share
        spent[:, step + 1] = spent[:, step] + np.where(made, cost[rows, arm], 0.0)
        tried[rows, arm] += made
    return spent, 1.0 - missed


def within(spent: np.ndarray, value: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """Value of each problem's sequence within a given cost.

    Parameters
    ----------
    spent, value : float arrays, shape (problem, step + 1)
        As `replay` returns them.
    budgets : float array, shape (problem, budget)
        Cost.

    Returns
    -------
    float64 array, shape (problem, budget)
        Linear between whole attempts: a budget of 2.3 attempts is 2 attempts and, three times in
        ten, a third. What is left when no attempt is left buys nothing.
    """
    out = np.empty(budgets.shape)
    rows = np.arange(len(spent))
    last = spent.shape[1] - 1
    for column in range(budgets.shape[1]):
        budget = budgets[:, column]
        low = (spent <= budget[:, None] + 1e-9).sum(axis=1) - 1
        high = np.minimum(low + 1, last)
        width = spent[rows, high] - spent[rows, low]
        part = np.divide(budget - spent[rows, low], width, out=np.zeros(len(rows)), where=width > 0)
        out[:, column] = value[rows, low] + np.clip(part, 0.0, 1.0) * (
            value[rows, high] - value[rows, low]
        )
    return out
