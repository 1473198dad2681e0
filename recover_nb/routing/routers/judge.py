"""What every policy rescues, problem by problem, in a study and in studies without effect."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recover_nb.core.labels import Router
from recover_nb.routing.nulls import _binomial
from recover_nb.routing.routers.folds import Fold
from recover_nb.routing.routers.inputs import Outcomes, Problems
from recover_nb.routing.routers.rules import best_fixed, learn_count, learnt, taken

BEST_FIXED, PUBLISHED_RULE = "best_fixed", "published"
COUNT, LEARNT = Router.COUNT.value, Router.LEARNT.value
#: Policies that look at the problem.
ROUTERS = (PUBLISHED_RULE, COUNT, LEARNT)
#: Simulated studies held at once.
BLOCK = 50


@dataclass(frozen=True)
class Sides:
    """Problems that are learned from and problems that are judged, mostly the same.

    Attributes
    ----------
    learned, judged : Problems
        Of the same arms.
    counted : tuple of int
        Arms that the count rule chooses among, beside retry.
    of : int
        Observed rollouts that its thresholds count.
    """

    learned: Problems
    judged: Problems
    counted: tuple[int, ...]
    of: int

    @property
    def alone(self) -> bool:
        """Whether one study is learned from and judged."""
        return self.learned is self.judged

    def shared(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the descriptors that both studies have, (problem, descriptor) each."""
        mine, theirs = self.learned.known, self.judged.known
        names = [name for name in mine.names if name in theirs.names]
        x, new = (one.x[:, [one.names.index(name) for name in names]] for one in (mine, theirs))
        return x, new


def choose(sides: Sides, folds: list[Fold], value: np.ndarray) -> tuple[dict, list[np.ndarray]]:
    """Return the arm that each policy gives each judged problem, and the thresholds of each fold.

    Parameters
    ----------
    sides : Sides
    folds : list of Fold
    value : float array, shape (..., problem learned from, arm)
        What each arm rescues; only the rows that a fold learns from are seen.

    Returns
    -------
    choices : dict of str to int array, shape (..., problem judged)
    thresholds : list of int array, shape (..., operator)
    """
    known, wanted = sides.learned.known, sides.judged.known
    n, lead = len(wanted.failed), value.shape[:-2]
    count, by_all = (np.zeros((*lead, n), dtype=np.int64) for _ in range(2))
    x, new = sides.shared()
    thresholds = []
    for fold in folds:
        near = value[..., fold.train, :]
        seen = known.failed[fold.train], known.observed[fold.train]
        rule = learn_count(near, *seen, sides.counted, sides.of)
        count[..., fold.test] = rule.choose(wanted.failed[fold.test], wanted.observed[fold.test])
        by_all[..., fold.test] = learnt(x[fold.train], near, new[fold.test])
        thresholds.append(rule.thresholds)
    fixed = {
        name: np.full((*lead, n), arm, dtype=np.int64) for arm, name in enumerate(sides.judged.arms)
    }
    route = np.broadcast_to(wanted.route, (*lead, n))
    best = best_fixed(value, folds, n)
    chosen = {**fixed, BEST_FIXED: best, PUBLISHED_RULE: route, COUNT: count, LEARNT: by_all}
    return chosen, thresholds


def score(choices: dict[str, np.ndarray], value: np.ndarray) -> np.ndarray:
    """Return what each policy rescues of each judged problem, (policy, ..., problem)."""
    return np.stack([taken(value, choice) for choice in choices.values()])


def without_effect(
    sides: Sides, n_null: int, rng: np.random.Generator
) -> Iterator[tuple[Outcomes, Outcomes]]:
    """Yield blocks of simulated studies in which no operator differs from retry.

    Yields
    ------
    learned, judged : Outcomes
        `wins` have a leading axis, one place a simulated study.
    """
    for start in range(0, n_null, BLOCK):
        size = min(BLOCK, n_null - start)
        learned = _simulated(sides.learned, size, rng)
        yield learned, learned if sides.alone else _simulated(sides.judged, size, rng)


def _simulated(problems: Problems, size: int, rng: np.random.Generator) -> Outcomes:
    rate = _binomial(problems.table, range(len(problems.arms)), size, rng)
    trials = problems.outcomes.trials
    wins = np.round(np.nan_to_num(rate) * trials).astype(np.int64)
    return Outcomes(wins, np.broadcast_to(trials, wins.shape), problems.outcomes.cost)
