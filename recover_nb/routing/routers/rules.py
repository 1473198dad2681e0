"""Rules that choose one operator for each problem, learned on other problems.

Each returns an arm for every problem; what the arm rescues is known (`replay.worth`). Leading axes
stand for budgets or simulated studies, all of which are learned from at once.
"""

from dataclasses import dataclass

import numpy as np

from recover_nb.routing.routers.folds import Fold
from recover_nb.routing.routers.replay import RETRY
from recover_nb.stats.ties import first_largest

#: Shares that differ by less are the same.
_SAME = 1e-9
#: Half this times the squared coefficients of standardised columns is added to the loss; a problem
#: weighs 1.
PENALTY = 10.0


@dataclass(frozen=True)
class CountRule:
    """Choose by how many of the observed rollouts failed.

    f failures: retry while f < thresholds[0], then the first operator, from thresholds[1] on the
    second, and so on. An operator whose attempts are used up is followed by retries.

    Attributes
    ----------
    arms : tuple of int
        The arm of each operator.
    thresholds : int array, shape (..., operator)
        Rising. ``of`` + 1: never.
    of : int
        Observed rollouts that the thresholds count. Of another number the same share is meant.
    """

    arms: tuple[int, ...]
    thresholds: np.ndarray
    of: int

    def choose(self, failed: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Return the arm of each problem, (..., problem)."""
        passed = scaled(failed, observed, self.of)[:, None] >= self.thresholds[..., None, :]
        return np.array([RETRY, *self.arms])[passed.sum(axis=-1)]


def scaled(failed: np.ndarray, observed: np.ndarray, of: int) -> np.ndarray:
    """Return failures as if `of` rollouts had been observed, whole numbers rounded down."""
    return np.floor(failed * of / np.maximum(observed, 1) + _SAME).astype(np.int64)


def learn_count(
    value: np.ndarray, failed: np.ndarray, observed: np.ndarray, arms: tuple[int, ...], of: int
) -> CountRule:
    """Return the thresholds that rescue most.

    Parameters
    ----------
    value : float array, shape (..., problem, arm)
        What each arm rescues.
    failed, observed : int arrays, shape (problem,)
    arms : tuple of int
        Arms of the operators, in the order in which failures call for them.
    of : int
        What thresholds count.

    Returns
    -------
    CountRule
        Of thresholds that do as well, the highest: what is not needed is not done.
    """
    count = scaled(failed, observed, of)
    by_count = np.zeros((*value.shape[:-2], of + 2, value.shape[-1]))
    for f in np.unique(count):
        by_count[..., f + 1, :] = value[..., count == f, :].sum(axis=-2)
    below = by_count.cumsum(axis=-2)  # (..., threshold, arm): the sum over fewer failures.
    best, stages = below[..., RETRY], []
    for arm in arms:
        rest = best - below[..., arm]
        stages.append(rest)
        best = below[..., arm] + np.maximum.accumulate(rest, axis=-1)
    place = np.full(value.shape[:-2], of + 1)
    thresholds = np.zeros((*value.shape[:-2], len(arms)), dtype=np.int64)
    for number in reversed(range(len(arms))):
        allowed = np.arange(of + 2) <= place[..., None]
        rest = np.where(allowed, stages[number], -np.inf)
        as_good = rest >= rest.max(axis=-1, keepdims=True) - _SAME
        place = of + 1 - as_good[..., ::-1].argmax(axis=-1)
        thresholds[..., number] = place
    return CountRule(arms, thresholds, of)


def best_fixed(value: np.ndarray, folds: list[Fold], n: int) -> np.ndarray:
    """Return the arm, retry among them, that rescues most of the problems learned from.

    Parameters
    ----------
    value : float array, shape (..., problem learned from, arm)
    folds : list of Fold
    n : int
        Problems planned for.

    Returns
    -------
    int array, shape (..., problem planned for)
        Of arms that do as well, the first.
    """
    choice = np.zeros((*value.shape[:-2], n), dtype=np.int64)
    for fold in folds:
        for test, near in fold.parts:
            mean = value[..., near, :].mean(axis=-2).round(12)
            choice[..., test] = first_largest(mean)[..., None]
    return choice


def learnt(x: np.ndarray, value: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the arm of which most is expected, by ridge regression of what each rescues.

    Parameters
    ----------
    x : float array, shape (problem learned from, descriptor)
    value : float array, shape (..., problem learned from, arm)
    wanted : float array, shape (problem planned for, descriptor)

    Returns
    -------
    int array, shape (..., problem planned for)
    """
    center, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > _SAME, scale, 1.0)
    near, new = ((each - center) / scale for each in (x, wanted))
    # What no problem learned from comes near is not extrapolated; squares let a slope turn.
    near, new = (np.concatenate([z, z**2], axis=1) for z in (near, np.clip(new, -3, 3)))
    middle = near.mean(axis=0)
    near, new = near - middle, new - middle
    mean = value.mean(axis=-2, keepdims=True)
    curvature = near.T @ near + PENALTY * np.eye(near.shape[1])
    weights = np.linalg.solve(curvature, near.T)
    return first_largest(mean + new @ (weights @ (value - mean)))


def taken(value: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Return what each problem's arm rescues, (..., problem)."""
    value = np.broadcast_to(value, (*choice.shape, value.shape[-1]))
    return np.take_along_axis(value, choice[..., None], axis=-1)[..., 0]
