"""Going on from a step at equal passes: what each arm saves.

docs/method.md#19-steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from recover_nb.features.step_table import OPERATORS
from recover_nb.features.steps import StepLabel
from recover_nb.prediction.step_scorer import Scorer, places
from recover_nb.routing.routers.replay import missed

#: Passes of a plan, in whole retries.
BUDGET = 4


def at_k(right: np.ndarray, n: int, k: np.ndarray) -> np.ndarray:
    """Return the chance that one of `k` of `n` attempts is right, linear between whole `k`.

    Parameters
    ----------
    right : int array
        Right ones among `n`.
    n : int
    k : float array
        From 0; more than `n` counts as `n`.

    Examples
    --------
    One of two is right: one attempt finds it half of the time, one and a half in three of four.

    >>> at_k(np.array([1, 1, 1]), 2, np.array([1.0, 1.5, 9.0])).tolist()
    [0.5, 0.75, 1.0]
    """
    return 1 - missed(right, np.array(n), np.clip(k, 0, n))


@dataclass(frozen=True)
class Ahead:
    """Steps of first answers that are wrong, and what going on from each gave.

    Attributes
    ----------
    failed : (problem,) bool
        Problems whose first answer is wrong.
    rows : (row,) int
        Their rows among the judged steps, trace by trace, first step first.
    trace : (row,) int
        From 0.
    label, junction : (row,) int
    right : (row, operator) int
    tokens : (row, operator) float
    read : (trace,) float
        Tokens of the answer.
    n : int
        Continuations of each.
    """

    failed: np.ndarray
    rows: np.ndarray
    trace: np.ndarray
    label: np.ndarray
    junction: np.ndarray
    right: np.ndarray
    tokens: np.ndarray
    read: np.ndarray
    n: int

    @property
    def first(self) -> np.ndarray:
        """The row of each trace's first step, (trace,) int."""
        return np.unique(self.trace, return_index=True)[1]

    @property
    def by_chance(self) -> float:
        """How often a random step is the first wrong one, where there is one."""
        share = self._mean(self.label == StepLabel.FIRST_WRONG)
        return float(share[share > 0].mean()) if (share > 0).any() else float("nan")

    def found(self, scorer: Scorer, p: np.ndarray) -> float:
        """How often the scorer's step is the first wrong one, where there is one."""
        hit = self.label == StepLabel.FIRST_WRONG
        known = self._mean(hit) > 0
        return float(hit[self._chosen(scorer, p)][known].mean()) if known.any() else float("nan")

    def arms(self, operator: str, scorer: Scorer, p: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return what each arm saves of every trace at equal passes, (trace,) float by name.

        The operator alone is the arm that begins anew.

        Parameters
        ----------
        operator : str
            What goes on.
        scorer : Scorer
        p : (judged row,) float
        """
        first, wrong = self.first, self.label == StepLabel.FIRST_WRONG
        everywhere = self.saved(operator, np.zeros(len(self.read)))
        looked = self.saved(operator, self.read)
        known = self._mean(wrong) > 0
        # Where the program knows no wrong step, as in an answer without a form, it says nothing.
        exact = np.where(known, self._at(wrong), first)
        junction = np.where(self._mean(self.junction == 1) > 0, self._at(self.junction == 1), first)
        return {
            "scorer": looked[self._chosen(scorer, p)],
            operator: everywhere[first],
            "random_step": self._mean(everywhere),
            "junction_step": looked[junction],
            "first_wrong_step": everywhere[exact],
        }

    def saved(self, operator: str, read: np.ndarray) -> np.ndarray:
        """Return the chance to save the answer from each step, (row,), after reading `read`."""
        at, again = OPERATORS.index(operator), 0
        whole = self.tokens[self.first, again][self.trace]
        passes = np.maximum(BUDGET * whole - read[self.trace], 0)
        k = passes / np.maximum(self.tokens[:, at], 1)
        left = np.maximum(passes - self.n * self.tokens[:, at], 0) / whole
        retried = at_k(self.right[self.first, again][self.trace], self.n, left)
        return 1 - (1 - at_k(self.right[:, at], self.n, k)) * (1 - retried)

    def _chosen(self, scorer: Scorer, p: np.ndarray) -> np.ndarray:
        return places(p[self.rows], self.trace, scorer.threshold, scorer.place)

    def _at(self, mark: np.ndarray) -> np.ndarray:
        """Return the first marked row of each trace; its first row where none is marked."""
        out = self.first.copy()
        rows = np.flatnonzero(mark)[::-1]
        out[self.trace[rows]] = rows
        return out

    def _mean(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.trace, values) / np.bincount(self.trace)


def ahead_of(steps: xr.Dataset, inside: np.ndarray) -> Ahead:
    """Return what going on gave, of some problems, (problem,) bool.

    Raises
    ------
    InputError
        No step was gone on from.
    """
    problem_of = steps["problem_of"].values
    mine = inside[problem_of]
    right = steps["ahead_right"].values[mine]
    rows = np.flatnonzero((right >= 0).all(axis=1))
    problem = (np.cumsum(inside) - 1)[problem_of[mine]][rows]
    units, trace = np.unique(problem, return_inverse=True)
    failed = np.zeros(int(inside.sum()), bool)
    failed[units] = True
    part = {
        name: steps[name].values[mine][rows] for name in ("label", "at_junction", "ahead_tokens")
    }
    return Ahead(
        failed=failed,
        rows=rows,
        trace=trace,
        label=part["label"],
        junction=part["at_junction"],
        right=right[rows],
        tokens=part["ahead_tokens"].astype(float),
        read=steps["n_tokens"].values[inside][units, 0].astype(float),
        n=int(steps.attrs["n_ahead"]),
    )
