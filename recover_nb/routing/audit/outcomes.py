"""What a router's claim rests on: outcomes of arms by problem, and the arm that was chosen."""

from dataclasses import dataclass, field

import numpy as np

from recover_nb.routing.estimators import MIN_HALVED
from recover_nb.routing.policy import PUBLISHED
from recover_nb.routing.table import Table
from recover_nb.stats.resampling import ratio

#: Column of the default arm.
DEFAULT = 0


@dataclass(frozen=True)
class Matrix:
    """Outcomes of every arm on every problem.

    Attributes
    ----------
    problems, cells : str arrays, shape (problem,)
        Names, and the group that routes are permuted within.
    arms : tuple of str
        The default first.
    wins : float64 array, shape (problem, arm)
        Right attempts; not whole where scores lie between 0 and 1.
    trials : int64 array, shape (problem, arm)
        Attempts, at least 1.
    chosen : int64 array, shape (problem,), or None
        Arm that the router chose; None where no router is given.
    cost : float64 array, shape (problem, arm), or None
        Mean cost of an attempt.
    notes : tuple of str
        What was left out or taken for something, in sentences.
    """

    problems: np.ndarray
    cells: np.ndarray
    arms: tuple[str, ...]
    wins: np.ndarray
    trials: np.ndarray
    chosen: np.ndarray | None = None
    cost: np.ndarray | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def rate(self) -> np.ndarray:
        """Rate of right attempts, shape (problem, arm)."""
        return ratio(self.wins, self.trials)

    @property
    def is_whole(self) -> bool:
        """Whether every attempt is right or wrong."""
        return bool(np.all(self.wins == np.rint(self.wins)))

    @property
    def repeated(self) -> np.ndarray:
        """Which arms were tried at least twice on every problem, each time right or wrong."""
        return np.asarray((self.trials >= 2).all(axis=0)) & self.is_whole

    @property
    def is_halved(self) -> bool:
        """Whether the default and another arm have attempts to choose by one half of them."""
        enough = np.asarray((self.trials >= MIN_HALVED).all(axis=0))
        return self.is_whole and bool(enough[DEFAULT] and enough.sum() > 1)

    def table(self, rng: np.random.Generator, edges: dict, *, by_cell: bool = False) -> "Routed":
        """Return the problems as the estimators of routing take them.

        Parameters
        ----------
        rng : numpy Generator
            Of the order in which an arm's right and wrong attempts lie; none is known.
        edges : dict
            Keywords of `rescue.is_steerable_hard`.
        by_cell : bool
            Whether the best arm is one for each cell, and routes are permuted within cells.
        """
        n = len(self.problems)
        place = np.zeros(n, np.int64)
        if by_cell:
            place = np.unique(self.cells, return_inverse=True)[1].ravel()
        chosen = np.zeros(n, np.int64) if self.chosen is None else self.chosen
        return Routed(
            arms=self.arms,
            n_regime=len(self.arms) - 1,
            rate=self.rate,
            attempts=self.trials,
            features=np.zeros((n, 0)),
            cells=place,
            clusters=np.arange(n),
            strata=np.zeros(n, int),
            policy=PUBLISHED,
            edges=edges,
            correct=self._attempts(rng) if self.is_halved else None,
            routes=chosen,
        )

    def _attempts(self, rng: np.random.Generator) -> np.ndarray:
        """Return each attempt's outcome (problem, attempt, arm), in random order; -1 = not made."""
        place = np.arange(int(self.trials.max()))[None, :, None]
        wins, trials = self.wins[:, None, :], self.trials[:, None, :]
        out = np.where(place < wins, 1, np.where(place < trials, 0, -1)).astype(np.int8)
        return rng.permuted(out, axis=1)


@dataclass(frozen=True)
class Routed(Table):
    """Problems whose arm is given: nothing is decided by features."""

    @property
    def regime_arms(self) -> slice:
        """All arms: the default is one that a router may choose."""
        return slice(0, len(self.arms))

    def decide(self, population: np.ndarray) -> np.ndarray:
        """Return the given arm of each problem, whatever the population (..., problem)."""
        return np.broadcast_to(np.asarray(self.routes), population.shape)
