"""Orders of attempts, and what comes of them: stored attempts replayed at equal cost.

A policy that stops at the first correct attempt has only ever seen failures before the next one, so
what it does next is known in advance: it is an order of attempts, and replaying it needs no
simulation.
"""

import numpy as np

#: No attempt is left.
NOTHING = -1
#: Column of retry, which follows an operator that has no attempt left.
RETRY = 0


def expected_order(
    alpha: np.ndarray,
    beta: np.ndarray,
    cost: np.ndarray,
    limit: np.ndarray,
    *,
    steps: int | None = None,
    allowed: np.ndarray | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Order attempts by expected gain for its cost, updating each rate after every failure.

    Parameters
    ----------
    alpha, beta : float arrays, shape (problem, arm)
        Beta distribution of each rate before the first attempt.
    cost : float array, shape (problem, arm)
        Cost an attempt is expected to have.
    limit : int array, shape (problem, arm)
        Attempts there are.
    steps : int, optional
        Most attempts of a problem; as many as there are by default.
    allowed : bool array, shape (problem, arm), optional
        Arms that may be used first; the others follow when those have no attempt left, retry before
        all.
    rng : numpy Generator, optional
        Draw a rate from its distribution at every step (Thompson sampling) in place of its mean.

    Returns
    -------
    order : int8 array, shape (problem, step)
        Arm of each attempt, -1 where none is left.
    gain : float64 array, shape (problem, step)
        Probability, before anything is tried, that this attempt is the first correct one, for each
        unit of cost.
    """
    n, n_arms = alpha.shape
    rows = np.arange(n)
    tried = np.zeros((n, n_arms), dtype=np.int64)
    most = int(limit.sum(axis=1).max(initial=0))
    steps = most if steps is None else min(steps, most)
    order = np.full((n, steps), NOTHING, dtype=np.int8)
    gain = np.zeros((n, steps))
    miss = np.ones(n)
    for step in range(steps):
        mean = alpha / (alpha + beta + tried)
        rate = mean if rng is None else rng.beta(alpha, beta + tried)
        index = np.where(tried < limit, rate / cost, -1.0)
        if allowed is not None:
            index = _prefer(index, allowed)
        arm = index.argmax(axis=1)
        left = index[rows, arm] >= 0
        order[:, step] = np.where(left, arm, NOTHING)
        gain[:, step] = np.where(left, miss * mean[rows, arm] / cost[rows, arm], 0.0)
        miss = np.where(left, miss * (1 - mean[rows, arm]), miss)
        tried[rows, arm] += left
    return order, gain


def _prefer(index: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Leave only allowed arms, or retry where those are used up, where any is left."""
    first = np.where(allowed, index, -1.0)
    second = np.full_like(index, -1.0)
    second[:, RETRY] = index[:, RETRY]
    third = np.where((second >= 0).any(axis=1)[:, None], second, index)
    return np.where((first >= 0).any(axis=1)[:, None], first, third)


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


def replay_stored(order: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Replay attempts in the order they are stored in.

    Parameters
    ----------
    order : int array, shape (problem, step)
    correct : int8 array, shape (problem, rollout, arm)
        1 correct, 0 wrong; attempts fill the first places.

    Returns
    -------
    bool array, shape (problem, step + 1)
        Whether one of the first 0, 1, 2, ... attempts is correct.
    """
    rows = np.arange(len(order))
    tried = np.zeros((len(order), correct.shape[2]), dtype=np.int64)
    out = np.zeros((len(order), order.shape[1] + 1), dtype=bool)
    for step in range(order.shape[1]):
        arm = order[:, step]
        made = arm >= 0
        arm = np.where(made, arm, 0)
        hit = correct[rows, np.minimum(tried[rows, arm], correct.shape[1] - 1), arm] == 1
        out[:, step + 1] = out[:, step] | (hit & made)
        tried[rows, arm] += made
    return out


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


def stopped_spending(spent: np.ndarray, rescued: np.ndarray) -> np.ndarray:
    """Return the expected cost of the first 0, 1, 2, ...

    attempts if one stops at the first correct one.
    """
    paid = np.diff(spent, axis=1) * (1.0 - rescued[:, :-1])
    return np.concatenate([np.zeros((len(spent), 1)), paid.cumsum(axis=1)], axis=1)


def share_out(
    gain: np.ndarray, spent: np.ndarray, totals: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Give the budget to the attempts with the largest expected gain, of whichever problem.

    Parameters
    ----------
    gain : float array, shape (problem, step)
        Expected gain per forward pass (`expected_order`).
    spent : float array, shape (problem, step + 1)
        Cost of the first attempts.
    totals : float array, shape (budget,)
        Cost for all problems together, rising.
    rng : numpy Generator
        Breaks ties between problems.

    Returns
    -------
    float64 array, shape (problem, budget)
        Cost each problem is given, a whole number of its attempts. They add up to the total, up to
        part of the one attempt that does not fit, which is given too: nothing is lost between
        budgets.
    """
    n, steps = gain.shape
    cost = np.diff(spent, axis=1)
    # What is expected of later attempts never exceeds what was expected of earlier ones, up to
    # rounding.
    keys = np.minimum.accumulate(gain, axis=1).ravel()
    problem = np.repeat(np.arange(n), steps)
    place = np.lexsort((np.tile(np.arange(steps), n), rng.permutation(n)[problem], -keys))
    place = place[keys[place] > 0]
    running = cost.ravel()[place].cumsum()
    before = running - cost.ravel()[place]
    out = np.zeros((n, len(totals)))
    for column, total in enumerate(totals):
        given = np.clip(total - before, 0.0, cost.ravel()[place])
        out[:, column] = np.bincount(problem[place], given, minlength=n)
    return out
