"""Folds in which routers learn from some problems and are judged on others."""

from dataclasses import dataclass

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.core.labels import HoldOut
from recover_nb.routing.routers.inputs import Problems
from recover_nb.stats.classification import grouped_folds

#: Folds of questions.
N_FOLDS = 5


@dataclass(frozen=True)
class Fold:
    """Problems to plan for, and problems to learn from.

    Attributes
    ----------
    test, train : int arrays
        Places of the problems planned for, and of all that may be learned from.
    parts : list of (int array, int array)
        Problems planned for, and those that are their population: of the same cell where it may be
        learned from.
    """

    test: np.ndarray
    train: np.ndarray
    parts: list[tuple[np.ndarray, np.ndarray]]


def make_folds(problems: Problems, hold_out: str, *, seed: int = 0) -> list[Fold]:
    """Say what is learned from for whom.

    Parameters
    ----------
    problems : Problems
    hold_out : str
        ``question``: five folds of whole questions, so that no question is learned from and planned
        for; the cell of a problem is known. ``cell``, ``family``: one at a time, and nothing of it
        is learned from.
    seed : int
        Of the folds of questions.

    Returns
    -------
    list of Fold

    Raises
    ------
    InputError
        If there is only one cell or family, or there are fewer questions than folds.
    """
    known = problems.known
    if hold_out == HoldOut.QUESTION:
        question = np.unique(
            np.stack([problems.table.strata, problems.table.clusters]), axis=1, return_inverse=True
        )[1]
        rng = np.random.default_rng([seed, 11])
        fold = grouped_folds(known.cells, question.ravel(), N_FOLDS, rng)
        return [_by_cell(known.cells, fold == each) for each in range(N_FOLDS)]
    label = known.cells if hold_out == HoldOut.CELL else known.families
    found = []
    for each in np.unique(label):
        test, train = np.flatnonzero(label == each), np.flatnonzero(label != each)
        if not len(train):
            raise InputError(
                f"the study has one {hold_out}, so none can be left out; allowed:"
                " hold_out='question'"
            )
        found.append(Fold(test, train, [(test, train)]))
    return found


def _by_cell(cells: np.ndarray, inside: np.ndarray) -> Fold:
    parts = []
    for cell in np.unique(cells[inside]):
        near = np.flatnonzero(~inside & (cells == cell))
        # A cell that the fold holds all of has no population of its own.
        parts.append(
            (
                np.flatnonzero(inside & (cells == cell)),
                near if len(near) else np.flatnonzero(~inside),
            )
        )
    return Fold(np.flatnonzero(inside), np.flatnonzero(~inside), parts)
