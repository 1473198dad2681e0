"""Folds in which rules learn from some problems and are judged on others."""

from dataclasses import dataclass

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.core.labels import HoldOut
from recover_nb.routing.routers.inputs import Known
from recover_nb.stats.classification import grouped_folds

#: Folds of questions.
N_FOLDS = 5


@dataclass(frozen=True)
class Fold:
    """Problems to plan for, and problems to learn from.

    Attributes
    ----------
    name : str
        What is held out.
    test, train : int arrays
        Places of the problems planned for, among those that are judged, and of all that may be
        learned from, among those that are learned from.
    parts : list of (int array, int array)
        Problems planned for, and those among which their best operator is chosen: of the same cell
        where it may be learned from.
    """

    name: str
    test: np.ndarray
    train: np.ndarray
    parts: list[tuple[np.ndarray, np.ndarray]]


def make_folds(
    learned: Known, hold_out: str, *, judged: Known | None = None, seed: int = 0
) -> list[Fold]:
    """Say what is learned from for whom.

    Parameters
    ----------
    learned : Known
        Of the problems that may be learned from.
    hold_out : str
        ``question``: five folds of whole questions, so that no question is learned from and planned
        for; the cell of a problem is known. ``cell``, ``family``: one at a time, and nothing of it
        is learned from.
    judged : Known, optional
        Of the problems planned for, where those are of another study: what is held out there is not
        learned from here.
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
    judged = judged or learned
    mine, theirs = (_label(each, hold_out, learned, seed) for each in (learned, judged))
    folds = []
    for each in np.unique(theirs):
        test, train = np.flatnonzero(theirs == each), np.flatnonzero(mine != each)
        if not len(train):
            raise InputError(
                f"the study has one {hold_out}, so none can be left out; allowed:"
                " hold_out='question'"
            )
        parts = [(test, train)]
        if hold_out == HoldOut.QUESTION:
            parts = list(_by_cell(judged.cell, test, learned.cell, train))
        folds.append(Fold(str(each), test, train, parts))
    return folds


def in_sample(known: Known) -> list[Fold]:
    """Return the one fold that learns from the very problems it is judged on."""
    every = np.arange(len(known.cell))
    return [Fold("nothing", every, every, [(every, every)])]


def _label(known: Known, hold_out: str, learned: Known, seed: int) -> np.ndarray:
    """Return what is held out with each problem."""
    if hold_out != HoldOut.QUESTION:
        return known.cell if hold_out == HoldOut.CELL else known.family
    cells = np.unique(learned.cell, return_inverse=True)[1]
    rng = np.random.default_rng([seed, 11])
    fold = grouped_folds(cells, learned.question, N_FOLDS, rng)
    of = dict(zip(learned.question.tolist(), fold.tolist(), strict=True))
    # Nobody learns from a question that is not there.
    return np.array([of.get(question, 0) for question in known.question.tolist()])


def _by_cell(cell: np.ndarray, test: np.ndarray, other: np.ndarray, train: np.ndarray):
    for name in np.unique(cell[test]):
        near = train[other[train] == name]
        # A cell that the fold holds all of has no population of its own.
        yield test[cell[test] == name], near if len(near) else train
