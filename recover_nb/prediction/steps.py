"""What a verifier of steps is worth: right calls, the best of eight, going on, a tool.

docs/method.md#19-steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Split
from recover_nb.core.schema import cell_names, checkpoint_codes, text
from recover_nb.features.step_table import check_steps
from recover_nb.features.steps import StepLabel
from recover_nb.prediction.baselines import Lead
from recover_nb.prediction.step_ahead import BUDGET, Ahead, ahead_of
from recover_nb.prediction.step_scorer import (
    BOTH,
    OWN,
    PLACE,
    VOTE,
    Answers,
    Scorer,
    answers_of,
    f1_of,
    joined,
    learn,
    pick,
)
from recover_nb.prediction.steps_result import (
    AHEAD,
    BEST,
    F1,
    PUBLISHED,
    STEPS,
    TOOL,
    Compared,
    Shuffled,
    StepVerifier,
)
from recover_nb.stats.resampling import (
    Resamples,
    bootstrap_ratio,
    bootstrap_weights,
    checkpoint_interval,
)

RETRY, CALCULATOR = Intervention.RETRY.value, Intervention.CALCULATOR.value
#: Sci-PRM's accuracy of calls about steps.
PUBLISHED_ACCURACY = 0.76

#: A ratio of sums over problems: two arrays (problem,).
Ratio = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Units:
    """How problems are resampled: questions within tasks, and checkpoints.

    Attributes
    ----------
    resamples : Resamples
    checkpoint : (problem,) int
    """

    resamples: Resamples
    checkpoint: np.ndarray

    def lead(self, ours: Ratio, theirs: Ratio) -> Lead:
        """Return one ratio of sums less another, with both intervals."""
        (top, bottom), other = _columns(ours), _columns(theirs)
        found = bootstrap_ratio(top, bottom, self.resamples, offset=other, bca=False)
        ends = checkpoint_interval(top, bottom, self.checkpoint, offset=other)
        over = (float(each[0]) for each in (*found.percentile, *ends))
        return Lead(float(found.value[0]), *over)


@checks.takes(n_bootstrap=checks.COUNT, n_permutations=checks.DRAWS, seed=checks.SEED)
def verify_steps(
    steps: xr.Dataset, *, n_bootstrap: int = 1000, n_permutations: int = 200, seed: int = 0
) -> StepVerifier:
    """Learn to tell right steps from the first wrong one, and measure what that is worth.

    Parameters
    ----------
    steps : Dataset
        From `load_steps`. The verifier learns from its problems of the dev split, and everything is
        chosen there; it is judged on the others.
    n_bootstrap : int
        Resamples of the questions within tasks.
    n_permutations : int
        Draws of the null: scores shuffled among steps with the same number in the same cell.
    seed : int
        Of folds, resamples and shuffles.

    Returns
    -------
    StepVerifier

    Raises
    ------
    InputError
        `steps` is something else, or has no problem to learn from or to judge.

    Notes
    -----
    docs/method.md#19-steps.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> found = rnb.verify_steps(rnb.load_steps(), n_bootstrap=20, n_permutations=5)
    >>> found.to_dataframe()["claim"].unique().tolist()
    ['steps', 'best_of_8', 'going_on', 'tool']
    """
    steps = check_steps(steps)
    dev, test = _parts(steps)
    mine, judged = answers_of(steps, dev), answers_of(steps, test)
    scorers = {name: learn(mine, name, seed=seed) for name in (BOTH, OWN, PLACE)}
    p = {name: each.p_right(judged.numbers) for name, each in scorers.items()}
    chosen = steps.isel(problem=np.flatnonzero(test))
    rng = np.random.default_rng([seed, 0])
    everyone = _units(chosen, np.ones(len(judged.correct), bool), n_bootstrap, rng)
    scorer = scorers[BOTH]
    ahead = ahead_of(steps, test)
    failed = _units(chosen, ahead.failed, n_bootstrap, rng)
    compared = (
        *_about_steps(judged, scorers, p, everyone),
        *_about_best(judged, chosen, scorer, p[BOTH], everyone),
        *_about_ahead(ahead, scorer, p[BOTH], failed),
    )
    null = _shuffled(judged, chosen, p[BOTH], scorer.threshold, n_permutations, seed)
    settings = {
        "scorer": scorer.kind,
        "threshold": scorer.threshold,
        "join": scorer.join,
        "place": scorer.place,
        "budget": BUDGET,
        "dev_steps": int(mine.judged.sum()),
        "test_steps": int(judged.judged.sum()),
        "test_problems": len(judged.correct),
        "failed_first": int(ahead.failed.sum()),
        "wrong_steps": int((judged.label == StepLabel.FIRST_WRONG).sum()),
        "tool_could": _tool_share(steps, test),
        "place_found": ahead.found(scorer, p[BOTH]),
        "place_by_chance": ahead.by_chance,
        "n_bootstrap": n_bootstrap,
        "n_permutations": n_permutations,
        "seed": seed,
    }
    return StepVerifier(compared, null, settings)


def scored(steps: xr.Dataset) -> xr.Dataset:
    """Return steps with ``p_right`` (row): NaN for those that the verifier learned from."""
    dev, _ = _parts(steps)
    scorer = learn(answers_of(steps, dev))
    p = scorer.p_right(steps["numbers"].values.astype(float))
    p = np.where(dev[steps["problem_of"].values], np.nan, p).astype(np.float32)
    return steps.assign(p_right=("row", p.round(3)))


def learned_scorer(steps: xr.Dataset) -> Scorer:
    """Return the scorer that learned from the dev problems of `load_steps`."""
    dev, _ = _parts(check_steps(steps))
    return learn(answers_of(steps, dev))


def _parts(steps: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the problems to learn from and those to judge, (problem,) bool each."""
    dev = text(steps["split"]) == Split.DEV
    for words, inside in (("to learn from (split dev)", dev), ("to judge", ~dev)):
        if not inside.any():
            raise InputError(f"steps holds no problem {words}; give what recover-nb steps writes")
    return dev, ~dev


def _units(ds: xr.Dataset, inside: np.ndarray, n_bootstrap: int, rng: np.random.Generator) -> Units:
    question, task = (text(ds[name])[inside] for name in ("problem_id", "task"))
    return Units(bootstrap_weights(question, task, n_bootstrap, rng), checkpoint_codes(ds)[inside])


def _sums(answers: Answers, values: np.ndarray) -> np.ndarray:
    """Add up a number of judged steps by problem, (problem,)."""
    rows = answers.judged
    return np.bincount(
        answers.problem[rows], values[rows].astype(float), minlength=len(answers.correct)
    )


def _accuracy(answers: Answers, called: np.ndarray) -> Ratio:
    """Return right calls and calls; `called` says which steps are called wrong."""
    return _sums(answers, called != answers.right), _sums(answers, np.ones(len(called)))


def _f1(answers: Answers, called: np.ndarray) -> Ratio:
    """Return twice the hits, and that plus false alarms and misses."""
    wrong = ~answers.right
    hits = 2 * _sums(answers, called & wrong)
    return hits, hits + _sums(answers, called != wrong)


def _columns(ratio: Ratio) -> Ratio:
    return ratio[0][:, None].astype(float), ratio[1][:, None].astype(float)


def _value(ratio: Ratio) -> float:
    return float(ratio[0].sum() / max(ratio[1].sum(), 1))


def _compare(
    claim: str,
    figure: str,
    ours: Ratio,
    others: dict[str, Ratio],
    units: Units,
    decide: tuple[str, ...],
) -> Iterator[Compared]:
    for name, theirs in others.items():
        lead = units.lead(ours, theirs)
        yield Compared(claim, figure, _value(ours), name, _value(theirs), lead, name in decide)


def _about_steps(
    answers: Answers, scorers: dict[str, Scorer], p: dict[str, np.ndarray], units: Units
) -> Iterator[Compared]:
    called = {name: p[name] < scorers[name].threshold for name in scorers}
    nothing = np.zeros(len(answers.label), bool)
    calls = _sums(answers, ~nothing)
    accuracy = {
        PUBLISHED: (PUBLISHED_ACCURACY * calls, calls),
        "always_right": _accuracy(answers, nothing),
        PLACE: _accuracy(answers, called[PLACE]),
        OWN: _accuracy(answers, called[OWN]),
    }
    ours = _accuracy(answers, called[BOTH])
    yield from _compare(STEPS, "accuracy", ours, accuracy, units, (PUBLISHED, "always_right"))
    f1 = {name: _f1(answers, called[name]) for name in (PLACE, OWN)}
    yield from _compare(STEPS, F1, _f1(answers, called[BOTH]), f1, units, (PLACE,))


def _about_best(
    answers: Answers, ds: xr.Dataset, scorer: Scorer, p: np.ndarray, units: Units
) -> Iterator[Compared]:
    mean = np.nan_to_num(ds["mean_log_probability"].values.astype(float), nan=-np.inf)
    one = np.ones(len(mean))

    def share(right: Any) -> Ratio:
        return np.asarray(right, float), one

    others: dict[str, Ratio] = {
        "majority": share(pick(answers, (np.ones(mean.shape), True))),
        "log_probability": share(pick(answers, (mean, False))),
        "log_probability_vote": share(pick(answers, (np.exp(mean), True))),
        "product_vote": share(pick(answers, joined(answers, p, VOTE))),
        "random_answer": share(answers.correct.mean(axis=1)),
        "best_in_hindsight": share(answers.correct.any(axis=1)),
    }
    ours = share(pick(answers, joined(answers, p, scorer.join)))
    decide = ("majority", "log_probability")
    yield from _compare(BEST, "right_answers", ours, others, units, decide)


def _about_ahead(ahead: Ahead, scorer: Scorer, p: np.ndarray, units: Units) -> Iterator[Compared]:
    one = np.ones(int(ahead.failed.sum()))
    for claim, operator in ((AHEAD, RETRY), (TOOL, CALCULATOR)):
        arms = {name: (value, one) for name, value in ahead.arms(operator, scorer, p).items()}
        ours = arms.pop("scorer")
        yield from _compare(claim, "rescue", ours, arms, units, (operator, "random_step"))


def _shuffled(
    answers: Answers, ds: xr.Dataset, p: np.ndarray, threshold: float, n: int, seed: int
) -> Shuffled:
    """Shuffle scores among the judged steps with the same number in the same cell."""
    rows = answers.judged
    cell = np.unique(cell_names(ds), return_inverse=True)[1][answers.problem[rows]]
    group = cell * 1000 + answers.step[rows]
    mine, right = p[rows], answers.right[rows]
    order = np.argsort(group, kind="stable")
    rng = np.random.default_rng([seed, 1])
    accuracy, f1 = np.zeros(n), np.zeros(n)
    for draw in range(n):
        # Both are sorted by group; within one, the second order is random.
        other = np.lexsort((rng.random(len(group)), group))
        called = np.zeros(len(group), bool)
        called[order] = mine[other] < threshold
        accuracy[draw] = (called != right).mean()
        hits, missed = (called & ~right).sum(), (called == right).sum()
        f1[draw] = f1_of(hits, missed, 0)
    return Shuffled(accuracy, f1)


def _tool_share(steps: xr.Dataset, test: np.ndarray) -> float:
    """Return the share of first wrong steps that the calculator would have got right."""
    wrong = (steps["label"].values == StepLabel.FIRST_WRONG) & test[steps["problem_of"].values]
    return float(steps["tool"].values[wrong].mean()) if wrong.any() else float("nan")
