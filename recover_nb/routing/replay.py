"""Orders of attempts, and what comes of them: stored attempts replayed, one after the other."""

import numpy as np

#: Column of retry, which follows an operator that has no attempt left.
RETRY = 0
#: No attempt is left.
NOTHING = -1


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
