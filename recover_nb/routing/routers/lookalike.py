"""Orders of attempts by what helped problems that failed alike.

The prior is empirical, over whole rows of rates.

`beta_binomial.population` takes operators to be independent, but a problem that defeats one
operator mostly defeats the next. Here every problem learned from is one possible row of rates. It
counts as much as it explains the observed rollouts, and less after every failure that it does not
explain, so that a failure of one operator says something of all.
"""

import numpy as np

from recover_nb.core.labels import DETERMINISTIC
from recover_nb.routing.routers.inputs import Known, Outcomes
from recover_nb.routing.routers.replay import NOTHING, RETRY

#: Added to correct and to wrong attempts of a problem learned from, so that no rate is 0 or 1.
PSEUDO = 0.5


def likeness(known: Known, wins: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Weigh problems learned from by how well they explain the observed rollouts of others.

    Parameters
    ----------
    known : Known
        Of the problems planned for.
    wins, trials : int arrays, shape (problem learned from,)
        Correct retries and observed rollouts, and how many there were.

    Returns
    -------
    float64 array, shape (problem, problem learned from)
        Binomial likelihoods of ``known.failed`` of ``known.observed``, adding up to 1 along the
        last axis.
    """
    rate = (wins + PSEUDO) / (trials + 2 * PSEUDO)
    right = (known.observed - known.failed)[:, None]
    score = right * np.log(rate) + known.failed[:, None] * np.log1p(-rate)
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)


def lookalike_order(
    weight: np.ndarray,
    outcomes: Outcomes,
    arms: tuple[str, ...],
    cost: np.ndarray,
    limit: np.ndarray,
    *,
    steps: int,
    once: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Order attempts by expected gain for its cost under weighted problems learned from.

    Parameters
    ----------
    weight : float array, shape (problem, problem learned from)
        From `likeness`.
    outcomes : Outcomes
        Of the problems learned from.
    arms : tuple of str
    cost, limit : arrays, shape (problem, arm)
        Cost an attempt is expected to have, and attempts there are.
    steps : int
        Most attempts of a problem.
    once : bool
        Stay with the first arm while it has attempts left, then retry.

    Returns
    -------
    order, gain : arrays, shape (problem, step)
        As `replay.expected_order` returns them.
    """
    n, n_arms = limit.shape
    rows = np.arange(n)
    tables = _rates_after(outcomes, arms)
    # One row an arm and number of its failures; `start` is where an arm's rows begin.
    after = np.concatenate(tables).astype(np.float32)
    start, depth = (
        np.cumsum([0, *map(len, tables)])[:-1],
        np.array([len(table) - 1 for table in tables]),
    )
    weight = weight.astype(np.float32)
    tried = np.zeros((n, n_arms), dtype=np.int64)
    order, gain = np.full((n, steps), NOTHING, dtype=np.int8), np.zeros((n, steps))
    first = None
    for step in range(steps):
        place = start + np.minimum(tried, depth)
        # Weights are not rescaled: their sum is the probability that every attempt so far has
        # failed.
        rate = np.take_along_axis(weight @ after.T, place, axis=1).astype(float)
        index = np.where(tried < limit, rate / cost, -1.0)
        if first is not None:
            index = _stay(index, first)
        arm = index.argmax(axis=1)
        first = arm if first is None and once else first
        left = index[rows, arm] >= 0
        order[:, step] = np.where(left, arm, NOTHING)
        gain[:, step] = np.where(left, index[rows, arm], 0.0)
        # Rows without an attempt left are changed too, and never looked at again.
        weight *= 1.0 - after[place[rows, arm]]
        tried[rows, arm] += left
    return order, gain


def _rates_after(outcomes: Outcomes, arms: tuple[str, ...]) -> list[np.ndarray]:
    """Return the rate of each arm's next attempt after a number of its own failures.

    Each array is (failures, problem learned from).

    A sampled operator's does not depend on them. A deterministic one has only the attempts it has.
    """
    tables = []
    for arm, name in enumerate(arms):
        wins, trials = outcomes.wins[:, arm], outcomes.trials[:, arm]
        if name in DETERMINISTIC:
            failures = np.arange(max(int(trials.max(initial=1)), 1))[:, None]
            left = np.maximum(trials - failures, 1)
            tables.append(np.where(failures < trials, np.minimum(wins, left) / left, 0.0))
        else:
            tables.append(((wins + PSEUDO) / (trials + 2 * PSEUDO))[None])
    return tables


def _stay(index: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Leave only the first arm, or retry where that has no attempt left."""
    rows = np.arange(len(first))
    arm = np.where(index[rows, first] >= 0, first, RETRY)
    out = np.full_like(index, -1.0)
    out[rows, arm] = index[rows, arm]
    return out
