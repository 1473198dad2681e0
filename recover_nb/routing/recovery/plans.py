"""Plans: how many answers more of the specialist, then attempts of one arm, within a budget.

A pass is one answer, written or read by one model. See docs/method.md#21-recovery.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recover_nb.core.labels import FIRING, Intervention
from recover_nb.routing.routers.replay import missed

RETRY = Intervention.RETRY.value


@dataclass(frozen=True)
class Plan:
    """What is done with a problem whose observed answers are all wrong.

    Attributes
    ----------
    arm : str
        What follows; ``retry``: the specialist is asked again until the budget is spent.
    after : int
        Retries before it.
    reads : bool
        Both models read the wrong answers first: an arm that fires needs that, and so does a rule
        that looks at features.
    """

    arm: str = RETRY
    after: int = 0
    reads: bool = False

    def __str__(self) -> str:
        """Say the plan in words."""
        if self.arm == RETRY:
            return RETRY
        return f"{self.after} x {RETRY}, then {self.arm}" if self.after else self.arm


@dataclass(frozen=True)
class Prices:
    """What attempts cost, and how many there are.

    Attributes
    ----------
    passes : dict of str to int
        Models that write an attempt of an arm: 1 or 2.
    most : dict of str to int
        Attempts of an arm that can be made; retries follow.
    n_rollouts : int
        Observed answers, each of which costs one pass more where it is read.
    """

    passes: Mapping[str, int]
    most: Mapping[str, int]
    n_rollouts: int


def stages(plan: Plan, rest: int, prices: Prices) -> list[tuple[str, int]] | None:
    """Return what a plan does: (arm, attempts), in order; None where it does not fit.

    Parameters
    ----------
    plan : Plan
    rest : int
        Passes left after the observed answers.
    prices : Prices

    Examples
    --------
    Seven passes: one retry, three attempts of a mixture of two models.

    >>> prices = Prices({"retry": 1, "dense_sample": 2}, {"retry": 20, "dense_sample": 20}, 1)
    >>> stages(Plan("dense_sample", 1), 7, prices)
    [('retry', 1), ('dense_sample', 3)]
    >>> stages(Plan("dense_sample", 0), 7, prices)
    [('dense_sample', 3), ('retry', 1)]
    """
    left = rest - prices.n_rollouts * plan.reads
    if plan.arm == RETRY:
        return [(RETRY, left)]
    each = prices.passes[plan.arm]
    made = min((left - plan.after) // each, prices.most[plan.arm])
    if made < 1:
        return None
    left -= plan.after + made * each
    return [(arm, k) for arm, k in ((RETRY, plan.after), (plan.arm, made), (RETRY, left)) if k]


def make_plans(arms: Sequence[str], rest: int, prices: Prices) -> list[Plan]:
    """Return every plan that fits, `retry` first; an arm at once before the same arm later."""
    found = [Plan()]
    for arm in arms:
        if arm == RETRY:
            continue
        tries = (Plan(arm, after, arm in FIRING) for after in range(rest))
        found += [plan for plan in tries if stages(plan, rest, prices)]
    return found


def worth(
    plans: Sequence[Plan],
    rest: int,
    prices: Prices,
    arms: Sequence[str],
    wins: np.ndarray,
    trials: np.ndarray,
) -> np.ndarray:
    """Return how likely each plan rescues each problem, over all orders of the stored attempts.

    Parameters
    ----------
    plans, rest, prices
        As for `stages`.
    arms : sequence of str
        The last axis of `wins` and `trials`.
    wins : int array, shape (..., problem, arm)
    trials : int array, shape (problem, arm)

    Returns
    -------
    float64 array, shape (..., problem, plan)
    """
    found = []
    for plan in plans:
        miss = np.ones(wins.shape[:-1])
        for arm, k in _added(stages(plan, rest, prices) or []).items():
            at = list(arms).index(arm)
            miss = miss * missed(wins[..., at], trials[:, at], np.array(float(k)))
        found.append(1.0 - miss)
    return np.stack(found, axis=-1)


def _added(steps: Sequence[tuple[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for arm, k in steps:
        total[arm] = total.get(arm, 0) + k
    return total


def course(
    steps: Sequence[tuple[str, int]],
    prices: Prices,
    arms: Sequence[str],
    wins: np.ndarray,
    trials: np.ndarray,
    cost: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how likely a problem is still wrong before each attempt, and what the attempt costs.

    Parameters
    ----------
    steps : list of (arm, attempts)
        From `stages`.
    prices, arms, wins, trials
        As for `worth`; `wins` (problem, arm).
    cost : float array, shape (problem, arm), optional
        Of an attempt; in passes unless given.

    Returns
    -------
    wrong : float64 array, shape (problem, attempt + 1)
        The last is what the plan leaves wrong.
    price : float64 array, shape (problem, attempt)
    """
    wrong, price = [np.ones(len(wins))], []
    made = dict.fromkeys(arms, 0)
    for arm, k in steps:
        at = list(arms).index(arm)
        for _ in range(k):
            made[arm] += 1
            before, now = (
                missed(wins[:, at], trials[:, at], np.array(float(n)))
                for n in (made[arm] - 1, made[arm])
            )
            share = np.divide(now, before, out=np.zeros_like(now), where=before > 0)
            wrong.append(wrong[-1] * share)
            price.append(
                np.full(len(wins), float(prices.passes[arm])) if cost is None else cost[:, at]
            )
    return np.stack(wrong, axis=1), np.stack(price, axis=1) if price else np.zeros((len(wins), 0))
