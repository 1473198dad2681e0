"""What routers expect of each operator on a problem, learned on other problems.

See docs/method.md#7-routing-rule and docs/method.md#routers.

Every router is a Beta distribution of each operator's rate on each problem before the first
attempt, and a way to order attempts by it (`replay`). The distributions are learned here, on
problems that are not the ones planned for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from recover_nb.core.labels import Router
from recover_nb.routing.routers.beta_binomial import (
    beta_parameters,
    fit_correlation,
    fit_regression,
    population,
)
from recover_nb.routing.routers.folds import Fold
from recover_nb.routing.routers.inputs import FAILURES, Known, Outcomes, Problems
from recover_nb.routing.routers.lookalike import likeness
from recover_nb.routing.routers.replay import RETRY

#: What each router's rates come from.
POPULATION, OBSERVED, LOOKALIKES = "population", "observed", "lookalikes"
FAILURE_RATE, DESCRIPTORS, TREES = "failures", "descriptors", "trees"
SOURCES = {
    Router.SEQUENCE: POPULATION,
    Router.SHRUNKEN: OBSERVED,
    Router.THOMPSON: OBSERVED,
    Router.BLIND: LOOKALIKES,
    Router.LOOKALIKE: LOOKALIKES,
    Router.LEARNT_FAILURES: FAILURE_RATE,
    Router.LEARNT: DESCRIPTORS,
    Router.BOOSTED: TREES,
    Router.RETRY_GATE: OBSERVED,
    Router.GATE: OBSERVED,
    Router.LOOKALIKE_GATE: LOOKALIKES,
    Router.LEARNT_GATE: DESCRIPTORS,
}
#: Decide once between retry, one operator and nothing, and share one budget over the problems of a
#: cell.
GATES = (
    Router.RETRY_GATE,
    Router.GATE,
    Router.LOOKALIKE_GATE,
    Router.LEARNT_GATE,
)
ABOUT = {
    Router.SEQUENCE: "one order of operators for every problem, from their populations of rates",
    Router.SHRUNKEN: "the same, with retry's rate shrunk from the problem's own observed rollouts",
    Router.THOMPSON: "as shrunken, with rates drawn from their distributions at every step",
    Router.BLIND: (
        "as lookalike, without a look at the problem: what helped where the same attempts had"
        " failed"
    ),
    Router.LOOKALIKE: "what helped problems that failed as often, updated by every failure",
    Router.LEARNT_FAILURES: (
        "rates by logistic regression on how often the observed rollouts failed"
    ),
    Router.LEARNT: "rates by logistic regression on all descriptors",
    Router.BOOSTED: "rates by boosted trees on all descriptors",
    Router.RETRY_GATE: "retry, or stop and leave the budget to other problems; rates as shrunken",
    Router.GATE: (
        "decides once: retry, one operator, or stop and leave the budget to others; rates as"
        " shrunken"
    ),
    Router.LOOKALIKE_GATE: "decides once, with rates as lookalike",
    Router.LEARNT_GATE: "decides once, with rates as learnt",
}


@dataclass(frozen=True)
class Beliefs:
    """What is expected of every operator on every problem, by routers that have not seen it.

    Attributes
    ----------
    rates : dict of str to (alpha, beta), float64 arrays of shape (problem, arm)
        By what they come from.
    cost : float64 array, shape (problem, arm)
        Cost that an attempt is expected to have.
    lookalikes : list of (int array, float64 array, Outcomes)
        Problems planned for, how alike they are to the problems learned from, and what those came
        to.
    tests : list of int array
        Problems planned for, fold by fold.
    """

    rates: dict[str, tuple[np.ndarray, np.ndarray]]
    cost: np.ndarray
    lookalikes: list[tuple[np.ndarray, np.ndarray, Outcomes]]
    tests: list[np.ndarray]


def learn(
    problems: Problems, outcomes: Outcomes, folds: list[Fold], routers: Sequence[str]
) -> Beliefs:
    """Learn what to expect of every operator on every problem from problems outside its fold.

    Parameters
    ----------
    problems : Problems
        What is known; its own outcomes are not looked at.
    outcomes : Outcomes
        What attempts came to, of which only the rows in ``fold.train`` are seen.
    folds : list of Fold
    routers : sequence of str

    Returns
    -------
    Beliefs
    """
    shape = outcomes.wins.shape
    sources = dict.fromkeys(SOURCES[Router(name)] for name in routers)
    rates = {
        source: (np.zeros(shape), np.zeros(shape)) for source in sources if source != LOOKALIKES
    }
    cost, lookalikes = np.zeros(shape), []
    for fold in folds:
        train = outcomes.take(fold.train)
        for test, near in fold.parts:
            seen, known = outcomes.take(near), problems.known.take(near)
            cost[test] = (
                problems.known.cost[test][:, None] * seen.cost.sum(axis=0) / known.cost.sum()
            )
        for source, (alpha, beta) in rates.items():
            for rows, a, b in _expect(source, problems.known, outcomes, train, fold):
                alpha[rows], beta[rows] = a, b
        if LOOKALIKES in sources:
            lookalikes += [_compare(problems.known, outcomes, *part) for part in fold.parts]
    return Beliefs(rates, cost, lookalikes, [fold.test for fold in folds])


def _compare(
    known: Known, outcomes: Outcomes, test: np.ndarray, near: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Outcomes]:
    """Weigh the problems learned from for those planned for."""
    seen, other = outcomes.take(near), known.take(near)
    wins = seen.wins[:, RETRY] + other.observed - other.failed
    return test, likeness(known.take(test), wins, seen.trials[:, RETRY] + other.observed), seen


def _expect(
    source: str, known: Known, outcomes: Outcomes, train: Outcomes, fold: Fold
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield problems of a fold with the Beta distributions of their rates."""
    if source in (POPULATION, OBSERVED):
        for test, near in fold.parts:
            seen = outcomes.take(near)
            yield (
                test,
                *shrink(
                    known.take(test),
                    *population(seen.wins, seen.trials),
                    observed=source == OBSERVED,
                ),
            )
        return
    x = _columns(known, source, fold)
    if source == TREES:
        yield fold.test, *_grow(x[fold.train], train, x[fold.test])
        return
    fitted = fit_regression(x[fold.train], train.wins, train.trials)
    yield fold.test, *beta_parameters(fitted.rates(x[fold.test]), fitted.rho)


def shrink(
    known: Known, alpha: np.ndarray, beta: np.ndarray, *, observed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Give each problem its population's distributions, retry's updated by the observed rollouts.

    Observed rollouts and retries are drawn alike, so r right and w wrong ones make Beta(alpha + r,
    beta + w).

    Parameters
    ----------
    known : Known
    alpha, beta : float arrays, shape (arm,)
    observed : bool
        Whether to update at all.

    Returns
    -------
    alpha, beta : float64 arrays, shape (problem, arm)
    """
    shape = (len(known.failed), len(alpha))
    a, b = np.broadcast_to(alpha, shape).copy(), np.broadcast_to(beta, shape).copy()
    if observed:
        a[:, RETRY] += known.observed - known.failed
        b[:, RETRY] += known.failed
    return a, b


def _columns(known: Known, source: str, fold: Fold) -> np.ndarray:
    """Return the descriptors that a regression sees.

    Where the cells planned for are learned from, it sees which cell it is as well.
    """
    chosen = [i for i, name in enumerate(known.names) if source != FAILURE_RATE or name in FAILURES]
    x = known.x[:, chosen]
    shared = np.intersect1d(known.cells[fold.test], known.cells[fold.train])
    if not len(shared):
        return x
    return np.concatenate([x, (known.cells[:, None] == shared).astype(float)], axis=1)


def _grow(x: np.ndarray, train: Outcomes, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit boosted trees to the rate of every arm."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    target = train.wins / np.maximum(train.trials, 1)
    fitted, found = np.zeros(target.shape), np.zeros((len(wanted), target.shape[1]))
    for arm in range(target.shape[1]):
        trees = HistGradientBoostingRegressor(
            max_iter=60,
            learning_rate=0.08,
            max_leaf_nodes=8,
            min_samples_leaf=30,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=0,
        ).fit(x, target[:, arm])
        fitted[:, arm], found[:, arm] = trees.predict(x), trees.predict(wanted)
    return beta_parameters(found, fit_correlation(train.wins, train.trials, fitted))
