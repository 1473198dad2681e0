"""The scorer of steps: what it reads, how it learns, and what is chosen on its dev problems.

docs/method.md#19-steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.schema import text
from recover_nb.features.steps import NUMBERS, OWN_NUMBERS, PLACE_NUMBERS, StepLabel
from recover_nb.stats.classification import grouped_folds

LOGISTIC, BOOSTING = "logistic", "boosting"
#: How the scores of an answer's steps become one, and what is done with it.
LEAST, PRODUCT, VOTE = "least", "product", "vote"
#: Where to go on: the step with the lowest score, or the first below the threshold.
LOWEST, FIRST_BELOW = "lowest", "first_below"
#: What a scorer may read.
BOTH, OWN, PLACE = "scorer", "specialist_alone", "place_alone"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    BOTH: NUMBERS,
    OWN: (*OWN_NUMBERS, *PLACE_NUMBERS),
    PLACE: PLACE_NUMBERS,
}
N_FOLDS = 5
#: Thresholds that are tried.
THRESHOLDS = np.linspace(0.02, 0.98, 49)


@dataclass(frozen=True)
class Answers:
    """Steps of some problems' answers.

    Attributes
    ----------
    problem, rollout, step : (row,) int
        Row by row: whose step, and which.
    label : (row,) int
    numbers : (row, number) float
    correct : (problem, rollout) bool
    answer : (problem, rollout) int
        Which answer a rollout gives, -1 none.
    question : (problem,) str
    """

    problem: np.ndarray
    rollout: np.ndarray
    step: np.ndarray
    label: np.ndarray
    numbers: np.ndarray
    correct: np.ndarray
    answer: np.ndarray
    question: np.ndarray

    @property
    def judged(self) -> np.ndarray:
        """Steps that are right or the first wrong one, (row,) bool."""
        return (self.label == StepLabel.RIGHT) | (self.label == StepLabel.FIRST_WRONG)

    @property
    def right(self) -> np.ndarray:
        """Whether a step is right, (row,) bool."""
        return self.label == StepLabel.RIGHT


def answers_of(steps: xr.Dataset, inside: np.ndarray) -> Answers:
    """Return the steps of some problems, (problem,) bool; they are counted anew from 0."""
    places = np.cumsum(inside) - 1
    problem_of = steps["problem_of"].values
    rows = inside[problem_of]
    part = {name: steps[name].values[rows] for name in ("rollout_of", "step", "label", "numbers")}
    return Answers(
        problem=places[problem_of[rows]],
        rollout=part["rollout_of"].astype(int),
        step=part["step"],
        label=part["label"],
        numbers=part["numbers"].astype(float),
        correct=steps["correct"].values[inside] == 1,
        answer=steps["answer_id"].values[inside],
        question=text(steps["problem_id"])[inside],
    )


@dataclass(frozen=True)
class Scorer:
    """A scorer of steps that has learned.

    Attributes
    ----------
    reads : str
        What it reads: a name of `COLUMNS`.
    kind : str
        ``"logistic"`` or ``"boosting"``.
    model : object
        With `predict_proba`.
    threshold : float
        A step below it is called wrong.
    join : str
        ``"least"``, ``"product"`` or ``"vote"``.
    place : str
        ``"lowest"`` or ``"first_below"``.
    """

    reads: str
    kind: str
    model: Any
    threshold: float
    join: str
    place: str

    def p_right(self, numbers: np.ndarray) -> np.ndarray:
        """Return P(step right) of rows of `NUMBERS`, (row,) float."""
        return _p_right(self.model, columns_of(numbers, self.reads))


def columns_of(numbers: np.ndarray, reads: str) -> np.ndarray:
    """Return the columns of `NUMBERS` that a scorer reads."""
    return numbers[:, [NUMBERS.index(name) for name in COLUMNS[reads]]]


def _p_right(model: Any, x: np.ndarray) -> np.ndarray:
    return model.predict_proba(x)[:, list(model.classes_).index(True)] if len(x) else np.zeros(0)


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def _boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # scikit-learn takes "auto" or a flag.
    return HistGradientBoostingClassifier(early_stopping=cast(Any, False), random_state=0)


_MAKERS: Mapping[str, Callable[[], Any]] = {LOGISTIC: _logistic, BOOSTING: _boosting}


def learn(answers: Answers, reads: str = BOTH, *, seed: int = 0) -> Scorer:
    """Learn to tell right steps, and choose on the same problems, out of fold, how to use it.

    Parameters
    ----------
    answers : Answers
    reads : str
        A name of `COLUMNS`.
    seed : int
        Of the folds.

    Raises
    ------
    InputError
        Fewer than five questions, or all steps of one kind.
    """
    from sklearn.metrics import log_loss

    judged = answers.judged
    right = answers.right
    if len(np.unique(right[judged])) < 2:
        raise InputError(
            "the dev steps are all right or all wrong, so nothing can be learned from them; take"
            " more problems"
        )
    fold = _folds(answers, seed)
    x = columns_of(answers.numbers, reads)
    found = {}
    for kind in _MAKERS:
        p = np.zeros(len(x))
        for each in range(N_FOLDS):
            model = _MAKERS[kind]().fit(x[judged & (fold != each)], right[judged & (fold != each)])
            p[fold == each] = _p_right(model, x[fold == each])
        found[kind] = p
    loss = {kind: log_loss(right[judged], p[judged]) for kind, p in found.items()}
    kind = min(loss, key=lambda name: loss[name])
    p = found[kind]
    threshold = _best_threshold(p[judged], right[judged])
    join = max(
        (LEAST, PRODUCT, VOTE), key=lambda name: pick(answers, joined(answers, p, name)).mean()
    )
    hits = {name: _hits(answers, p, threshold, name) for name in (LOWEST, FIRST_BELOW)}
    place = max(hits, key=lambda name: hits[name])
    return Scorer(
        reads, kind, _MAKERS[kind]().fit(x[judged], right[judged]), threshold, join, place
    )


def _folds(answers: Answers, seed: int) -> np.ndarray:
    """Deal questions into folds that hold problems with and without a wrong answer alike."""
    failed = (~answers.correct).any(axis=1).astype(int)
    dealt = grouped_folds(failed, answers.question, N_FOLDS, np.random.default_rng(seed))
    return dealt[answers.problem]


def _best_threshold(p: np.ndarray, right: np.ndarray) -> float:
    scores = [f1_of(*wrong_counts(p < each, right)) for each in THRESHOLDS]
    # Of equals the middle one, furthest from either kind of mistake.
    best = np.flatnonzero(np.array(scores) == max(scores))
    return float(THRESHOLDS[best[len(best) // 2]].round(2))


def wrong_counts(called: np.ndarray, right: np.ndarray) -> tuple[int, int, int]:
    """Return hits, false alarms and misses of "wrong"."""
    return int((called & ~right).sum()), int((called & right).sum()), int((~called & ~right).sum())


def f1_of(hits: float, alarms: float, misses: float) -> float:
    """Return F1 of "wrong"; 0 where nothing was called and nothing was wrong."""
    return 2 * hits / max(2 * hits + alarms + misses, 1)


def joined(answers: Answers, p: np.ndarray, join: str) -> tuple[np.ndarray, bool]:
    """Return a score of each answer, (problem, rollout), and whether answers vote by it.

    An answer without a step has the score -inf; in a vote its weight is 0.
    """
    shape, at = answers.correct.shape, (answers.problem, answers.rollout)
    if join == LEAST:
        least = np.full(shape, np.inf)
        np.minimum.at(least, at, p)
        return np.where(np.isinf(least), -np.inf, least), False
    whole, some = np.zeros(shape), np.zeros(shape, bool)
    np.add.at(whole, at, np.log(np.maximum(p, 1e-9)))
    some[at] = True
    whole = np.where(some, whole, -np.inf)
    return (np.exp(whole), True) if join == VOTE else (whole, False)


def pick(answers: Answers, scored: tuple[np.ndarray, bool]) -> np.ndarray:
    """Return whether the picked answer of each problem is right, (problem,) bool.

    The largest score wins, or the answer with the largest sum of scores; the first of equals.

    Examples
    --------
    Two weak votes for one answer beat a strong one for another; the strongest alone is the other.

    >>> none = np.zeros(0, int)
    >>> one = Answers(*[none] * 5, np.array([[1, 0, 1]]) == 1, np.array([[4, 7, 4]]), none)
    >>> score = np.array([[0.3, 0.5, 0.3]])
    >>> bool(pick(one, (score, True))[0]), bool(pick(one, (score, False))[0])
    (True, False)
    """
    score, votes = scored
    if votes:
        same = (answers.answer[:, :, None] == answers.answer[:, None, :]) & (
            answers.answer[:, None, :] >= 0
        )
        # Equal sums come in another order; what is equal to the last digits is equal.
        score = (same * score[:, None, :]).sum(axis=-1).round(9)
        score = np.where(answers.answer >= 0, score, -np.inf)
    first = score.argmax(axis=1)
    return answers.correct[np.arange(len(first)), first]


def places(p: np.ndarray, trace: np.ndarray, threshold: float, place: str) -> np.ndarray:
    """Return the row to go on from, one for each trace, in the order of `np.unique`.

    Parameters
    ----------
    p : (row,) float
        Rows of a trace lie side by side, first step first.
    trace : (row,) int
    threshold : float
    place : str
        ``"lowest"`` or ``"first_below"`` (the lowest where none is below).
    """
    _, begin = np.unique(trace, return_index=True)
    chosen = []
    for first, stop in zip(begin, [*begin[1:], len(p)], strict=True):
        mine = p[first:stop]
        below = np.flatnonzero(mine < threshold)
        at = below[0] if place == FIRST_BELOW and len(below) else int(mine.argmin())
        chosen.append(first + at)
    return np.array(chosen, dtype=int)


def _hits(answers: Answers, p: np.ndarray, threshold: float, place: str) -> float:
    """Return how often the place is the first wrong step, among answers that have one."""
    trace = answers.problem * answers.correct.shape[1] + answers.rollout
    wrong = np.isin(trace, trace[answers.label == StepLabel.FIRST_WRONG])
    if not wrong.any():
        return 0.0
    chosen = places(p[wrong], trace[wrong], threshold, place)
    return float((answers.label[wrong][chosen] == StepLabel.FIRST_WRONG).mean())
