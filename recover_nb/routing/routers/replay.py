"""What stored attempts rescue within a budget, in closed form.

Attempts of one operator until the budget or the operator is used up, then those of the next. A rule
that stops at the first right attempt has seen failures alone before the next one, so what it does
is known in advance and a replay needs no simulation.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

from recover_nb.routing.replay import RETRY
from recover_nb.routing.routers.inputs import Outcomes

#: Rounding of a share of an attempt: a budget of three attempts is three attempts.
_WHOLE = 1e-9


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
