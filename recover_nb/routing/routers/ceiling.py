"""What a rule that knew every problem's true rates would rescue: two bounds and an estimate.

See docs/method.md#ceiling. The best operator of each problem by the attempts that score it is
flattered; the best by one half of the attempts, scored on the other, is worse than that of somebody
who knows. Between them lies what a fitted population of rates says.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp

from recover_nb.core.labels import DETERMINISTIC
from recover_nb.routing.routers.inputs import Outcomes
from recover_nb.routing.routers.replay import RETRY, missed, worth
from recover_nb.stats.ties import first_largest

#: Log-odds that how easy a problem is may have, in the fitted population.
GRID = np.linspace(-8.0, 8.0, 33)
#: How far an operator strays on a problem, in standard deviations, and how often.
NODES = np.linspace(-3.0, 3.0, 13)
_OFTEN = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
#: Steps of the fit, and draws of each problem's rates.
STEPS, DRAWS = 30, 100


@dataclass(frozen=True)
class Population:
    """A fitted population of problems: how easy they are, and how operators stray from it.

    On a problem of ease z, operator a is right with the log-odds shift + slope z + spread e, where
    e is standard normal, the problem's own, and independent of its other operators.

    Attributes
    ----------
    share : float64 array, shape (grid,)
        How often each ease occurs.
    fitted : float64 array, shape (arm, 3)
        Shift, slope and logarithm of the spread.
    """

    share: np.ndarray
    fitted: np.ndarray

    def draw(
        self, wins: np.ndarray, trials: np.ndarray, n: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw each problem's rates given its attempts, (draw, problem, arm)."""
        seen = [_Seen(wins[:, arm], trials[:, arm]) for arm in range(wins.shape[1])]
        parts = [one.parts(of) for one, of in zip(seen, self.fitted, strict=True)]
        ease = _pick(_posterior(self.share, seen, parts), n, rng)
        rates = np.empty((n, *wins.shape))
        for arm, (one, part, of) in enumerate(zip(seen, parts, self.fitted, strict=True)):
            score = part[one.place, ease]
            node = _pick(np.exp(score - logsumexp(score, axis=-1, keepdims=True)), 0, rng)
            rates[..., arm] = np.exp(log_expit(_odds(of)))[ease, node]
        return rates


class _Seen:
    """Outcomes of one operator: each different one once, and which each problem has."""

    def __init__(self, wins: np.ndarray, trials: np.ndarray) -> None:
        pairs, place = np.unique(np.stack([wins, trials]), axis=1, return_inverse=True)
        self.wins, self.trials, self.place = pairs[0], pairs[1], place.ravel()

    def parts(self, fitted: np.ndarray) -> np.ndarray:
        """Return log-likelihoods but for a constant, (outcome, ease, node)."""
        odds = _odds(fitted)
        wins, trials = self.wins[:, None, None], self.trials[:, None, None]
        return wins * log_expit(odds) + (trials - wins) * log_expit(-odds) + np.log(_OFTEN)


def _odds(fitted: np.ndarray) -> np.ndarray:
    return fitted[0] + fitted[1] * GRID[:, None] + np.exp(fitted[2]) * NODES


def _posterior(share: np.ndarray, seen: list[_Seen], parts: list[np.ndarray]) -> np.ndarray:
    """Return how likely each ease is given a problem's attempts, (problem, ease)."""
    score = np.log(share + 1e-300)
    for one, part in zip(seen, parts, strict=True):
        score = score + np.asarray(logsumexp(part, axis=-1))[one.place]
    return np.exp(score - logsumexp(score, axis=1, keepdims=True))


def _pick(weight: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a place along the last axis by its weight; `n` times, unless that is 0."""
    shape = (n, *weight.shape[:-1], 1) if n else (*weight.shape[:-1], 1)
    place = (rng.random(shape) > weight.cumsum(axis=-1)).sum(axis=-1)
    return place.clip(max=weight.shape[-1] - 1)


def fit_population(wins: np.ndarray, trials: np.ndarray) -> Population:
    """Fit by maximum likelihood, expectation and maximisation in turn.

    Parameters
    ----------
    wins, trials : int arrays, shape (problem, arm)
        Retry first: its shift is 0 and its slope 1, which gives ease its scale. How often each ease
        occurs is free.

    Returns
    -------
    Population
    """
    n_arms = wins.shape[1]
    seen = [_Seen(wins[:, arm], trials[:, arm]) for arm in range(n_arms)]
    fitted = np.tile([0.0, 1.0, -2.0], (n_arms, 1))
    share = np.full(len(GRID), 1.0 / len(GRID))
    for _ in range(STEPS):
        weight = _posterior(
            share, seen, [one.parts(of) for one, of in zip(seen, fitted, strict=True)]
        )
        share = weight.mean(axis=0)
        for arm, one in enumerate(seen):
            often = np.zeros((len(one.wins), len(GRID)))
            np.add.at(often, one.place, weight)
            fitted[arm] = _maximise(one, often, fitted[arm], only_spread=arm == RETRY)
    return Population(share, fitted)


def _maximise(
    seen: _Seen, often: np.ndarray, start: np.ndarray, *, only_spread: bool
) -> np.ndarray:
    first = 2 if only_spread else 0

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        fitted = np.concatenate([start[:first], free])
        parts = seen.parts(fitted)
        likely = np.asarray(logsumexp(parts, axis=-1, keepdims=True))
        # What the log-likelihood gains by each node's odds, weighed by how likely the node is.
        wrong = seen.wins[:, None, None] - seen.trials[:, None, None] * expit(_odds(fitted))
        gain = often[..., None] * np.exp(parts - likely) * wrong
        slopes = (1.0, GRID[:, None], np.exp(fitted[2]) * NODES)
        gradient = np.array([(gain * slope).sum() for slope in slopes])
        return -float((often * likely[..., 0]).sum()), -gradient[first:]

    bounds = [(-6.0, 6.0), (0.0, 3.0), (-5.0, 1.5)][first:]
    # The gradient is given: differences of sums would differ from machine to machine.
    found = minimize(
        loss,
        start[first:],
        method="L-BFGS-B",
        jac=True,
        bounds=bounds,
        options={"ftol": 1e-14, "gtol": 1e-8},
    ).x
    return np.concatenate([start[:first], found])


@dataclass(frozen=True)
class Ceiling:
    """What somebody who knows every rate rescues of each problem, (problem,) each.

    Attributes
    ----------
    halved : float64 array
        The best arm by one half of the attempts, scored on the other: too low on average.
    corrected : float64 array
        By the fitted population.
    in_sample : float64 array
        The best arm by the attempts that score it: too high on average.
    """

    halved: np.ndarray
    corrected: np.ndarray
    in_sample: np.ndarray


def find_ceilings(
    arms: tuple[str, ...],
    outcomes: Outcomes,
    budgets: list[np.ndarray | None],
    rng: np.random.Generator,
    *,
    n_halvings: int = 20,
) -> list[Ceiling]:
    """Return the ceiling at each budget (`replay.worth`).

    Parameters
    ----------
    arms : tuple of str
    outcomes : Outcomes
    budgets : list of float array, shape (problem,), or None
    rng : numpy Generator
    n_halvings : int
        Random halvings that `halved` is averaged over.

    Notes
    -----
    A deterministic operator is neither halved nor fitted: its attempts are all there is to know of
    it. `corrected` takes operators to stray from a problem's ease independently; where some stray
    together it is too high.
    """
    wins, trials = outcomes.wins, outcomes.trials
    whole = np.array([name in DETERMINISTIC for name in arms]) | (trials < 2).any(axis=0)
    rates = np.empty((DRAWS, *wins.shape))
    sampled = wins[:, ~whole], trials[:, ~whole]
    rates[..., ~whole] = fit_population(*sampled).draw(*sampled, DRAWS, rng)
    rates[..., whole] = (wins / np.maximum(trials, 1))[:, whole]
    halves = []
    for _ in range(n_halvings):
        some = np.where(whole, trials, trials // 2)
        drawn = np.where(whole, wins, rng.hypergeometric(wins, trials - wins, some))
        halves.append((some, drawn))
    found = []
    for budget in budgets:
        halved = np.zeros(len(wins))
        for some, drawn in halves:
            choice = first_largest(worth(Outcomes(drawn, some, outcomes.cost), budget))
            rest = np.where(whole, wins, wins - drawn), np.where(whole, trials, trials - some)
            scored = worth(Outcomes(*rest, outcomes.cost), budget)
            halved += scored[np.arange(len(wins)), choice] / n_halvings
        best = known_worth(rates, outcomes, budget, whole).max(axis=-1).mean(axis=0)
        found.append(Ceiling(halved, best, worth(outcomes, budget).max(axis=1)))
    return found


def known_worth(
    rates: np.ndarray, outcomes: Outcomes, budget: np.ndarray | None, whole: np.ndarray
) -> np.ndarray:
    """Return what each arm is worth where rates are known and attempts never used up.

    Parameters
    ----------
    rates : float array, shape (..., problem, arm)
    outcomes : Outcomes
        For costs, and for the attempts of the arms in `whole` (bool), which are used up.
    budget : float array, shape (problem,), or None
        As in `replay.worth`.

    Returns
    -------
    float64 array, shape (..., problem, arm)
    """
    if budget is None:
        return rates
    cost = outcomes.cost
    all_wrong = _all_wrong_at(rates, budget[:, None] / cost)
    for arm in np.flatnonzero(whole):
        won, run = outcomes.wins[:, arm], outcomes.trials[:, arm]
        made = np.minimum(budget / cost[:, arm], run)
        left = (budget - made * cost[:, arm]) / cost[:, RETRY]
        all_wrong[..., arm] = missed(won, run, made) * _all_wrong_at(rates[..., RETRY], left)
    return 1.0 - all_wrong


def _all_wrong_at(rate: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Return the probability that `k` fresh attempts are all wrong, linear between whole ones."""
    whole = np.floor(k + 1e-9)
    return (1.0 - rate) ** whole * (1.0 - np.clip(k - whole, 0.0, 1.0) * rate)
