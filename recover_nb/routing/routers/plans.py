"""Plans: which intervention comes at each attempt."""

import numpy as np

from recover_nb.core.labels import Router
from recover_nb.routing.routers.beliefs import GATES, LOOKALIKES, SOURCES, Beliefs
from recover_nb.routing.routers.lookalike import lookalike_order
from recover_nb.routing.routers.replay import NOTHING, RETRY, expected_order

#: Orders that a router which draws its rates is averaged over.
N_DRAWS = 4


def plan(
    router: str,
    beliefs: Beliefs,
    arms: tuple[str, ...],
    limit: np.ndarray,
    rng: np.random.Generator,
    *,
    steps: int | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Order the attempts of every problem as a router would make them.

    Parameters
    ----------
    router : str
    beliefs : Beliefs
    arms : tuple of str
    limit : int array, shape (problem, arm)
        Attempts there are.
    rng : numpy Generator
        Used by a router that draws.
    steps : int, optional
        Most attempts of a problem; by default all of one operator, and as many retries.

    Returns
    -------
    list of (order, gain)
        As `replay.expected_order` returns them; more than one where the router draws.
    """
    router = Router(router)
    steps = 2 * int(limit.max(initial=0)) if steps is None else steps
    if SOURCES[router] == LOOKALIKES:
        return [
            _plan_alike(
                beliefs, arms, limit, steps, once=router in GATES, blind=router == Router.BLIND
            )
        ]
    alpha, beta = beliefs.rates[SOURCES[router]]
    if router == Router.THOMPSON:
        return [_plan_drawn(alpha, beta, beliefs, limit, steps, rng) for _ in range(N_DRAWS)]
    if router == Router.RETRY_GATE:
        limit = np.where(np.arange(limit.shape[1]) == RETRY, limit, 0)
    allowed = decide_once(alpha, beta, beliefs.cost) if router in GATES else None
    return [expected_order(alpha, beta, beliefs.cost, limit, steps=steps, allowed=allowed)]


def _plan_drawn(
    alpha: np.ndarray,
    beta: np.ndarray,
    beliefs: Beliefs,
    limit: np.ndarray,
    steps: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    order = np.full((len(limit), steps), NOTHING, dtype=np.int8)
    gain = np.zeros((len(limit), steps))
    # A stream for each fold: what one draws does not depend on what another has learned.
    for test, stream in zip(beliefs.tests, rng.spawn(len(beliefs.tests)), strict=True):
        drawn = expected_order(
            alpha[test], beta[test], beliefs.cost[test], limit[test], steps=steps, rng=stream
        )
        width = drawn[0].shape[1]
        order[test, :width], gain[test, :width] = drawn
    return order, gain


def _plan_alike(
    beliefs: Beliefs,
    arms: tuple[str, ...],
    limit: np.ndarray,
    steps: int,
    *,
    once: bool,
    blind: bool,
) -> tuple[np.ndarray, np.ndarray]:
    order = np.full((len(limit), steps), NOTHING, dtype=np.int8)
    gain = np.zeros((len(limit), steps))
    for test, alike, seen in beliefs.lookalikes:
        weight = np.full_like(alike, 1.0 / alike.shape[1]) if blind else alike
        # Problems that failed as often are planned for alike, but for the length of their attempts.
        cost = beliefs.cost[test] / beliefs.cost[test][:, [RETRY]]
        keys = np.concatenate([weight, limit[test], cost.round(9)], axis=1)
        _, one, same = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        rows = test[one]
        found = lookalike_order(
            weight[one], seen, arms, cost[one], limit[rows], steps=steps, once=once
        )
        order[test] = found[0][same.ravel()]
        gain[test] = found[1][same.ravel()] / beliefs.cost[test][:, [RETRY]]
    return order, gain


def decide_once(alpha: np.ndarray, beta: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Choose the arm with the largest expected gain for its cost, (problem, arm) bool.

    Each problem has one True.
    """
    gain = alpha / (alpha + beta) / cost
    return np.arange(gain.shape[1]) == gain.argmax(axis=1)[:, None]
