"""What tells a label without any signal, and what features add to it.

See docs/method.md#no-signal.

Whatever features are said to tell stands beside the level of the problem, the length of its prompt,
how many of its observed rollouts failed, all of these together, and the commonest label.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from recover_nb.core.labels import Verdict
from recover_nb.core.schema import failed_rollouts, text
from recover_nb.routing.result import agreed_verdict
from recover_nb.stats.classification import fold_interval, fold_scores, predict_repeats
from recover_nb.stats.resampling import checkpoint_interval, ratio

FEATURES_ALONE = "features"
LEVEL, PROMPT_LENGTH, FAILURES = "level", "prompt_length", "failures"
#: All numbers that a study knows, together; and the features added to them.
NO_SIGNAL, ADDED = "no_signal", "features_added"
#: The shares of the training folds' labels: no order (AUC 0.5), and the commonest label.
COMMONEST = "commonest"
#: What knows no signal.
BASELINES = (LEVEL, PROMPT_LENGTH, FAILURES, NO_SIGNAL, COMMONEST)
#: In words.
ABOUT: Mapping[str, str] = {
    LEVEL: "level of the problem",
    PROMPT_LENGTH: "characters of the prompt",
    FAILURES: "failed rollouts among those observed: counted, not read",
    NO_SIGNAL: "level, prompt length and failed rollouts together, those that are known",
    COMMONEST: "the commonest label of the training folds",
    ADDED: "the features together with everything known without a signal",
}
#: In a sentence.
WORDS: Mapping[str, str] = {
    LEVEL: "level",
    PROMPT_LENGTH: "prompt length",
    FAILURES: "failed rollouts",
    NO_SIGNAL: "all together",
    COMMONEST: "commonest label",
}
#: A p-value below it is a sign.
SIGNIFICANT = 0.05
SCORES = ("auc", "accuracy")


class Lead(NamedTuple):
    """A difference of scores paired by fold, with two 95 % intervals.

    Attributes
    ----------
    value, low, high : float
        Over folds (`classification.fold_interval`).
    low_checkpoints, high_checkpoints : float
        Over checkpoints; NaN unless every part is of one checkpoint, and there are two.
    """

    value: float
    low: float
    high: float
    low_checkpoints: float = float("nan")
    high_checkpoints: float = float("nan")

    @property
    def verdict(self) -> Verdict:
        """Judge "above 0" by both intervals; that over checkpoints where there is one."""
        return agreed_verdict((self.low, self.high), self[3:])


def no_signal_numbers(ds: xr.Dataset) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return what is known of each problem without looking at any signal.

    Parameters
    ----------
    ds : Dataset

    Returns
    -------
    numbers : dict of str to float64 array, shape (problem, 1)
        ``level``, ``prompt_length`` (characters) and ``failures`` (failed rollouts among those
        observed), where the study knows them; NaN where it does not know one problem's.
    left_out : dict of str to str
        The others, with the reason.
    """
    found, left_out = {}, {}
    if "level" in ds:
        level = ds["level"].to_numpy().astype(float)
        found[LEVEL] = np.where(level < 0, np.nan, level)
    else:
        left_out[LEVEL] = "the study stores no level"
    if "prompt" in ds:
        found[PROMPT_LENGTH] = np.array([len(each) for each in text(ds["prompt"])], dtype=float)
    else:
        left_out[PROMPT_LENGTH] = "the study stores no prompt"
    if "n_failed_rollouts" in ds:
        found[FAILURES] = ds["n_failed_rollouts"].to_numpy().astype(float)
    elif "correct" in ds:
        found[FAILURES] = failed_rollouts(ds).sum(axis=1).astype(float)
    else:
        left_out[FAILURES] = "the study does not say how many rollouts failed"
    return {name: values[:, None] for name, values in found.items()}, left_out


def known_of(
    numbers: Mapping[str, np.ndarray], rows: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the numbers of some problems, and those left out because one of these has none."""
    known, left_out = {}, {}
    for name, values in numbers.items():
        unknown = int(np.isnan(values[rows]).any(axis=1).sum())
        if unknown:
            left_out[name] = f"not known of {unknown} of {len(rows)} units"
        else:
            known[name] = values[rows]
    return known, left_out


def together(known: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """Return all baselines of `NO_SIGNAL` that are known, (n, column); none makes no column."""
    chosen = [known[name] for name in (LEVEL, PROMPT_LENGTH, FAILURES) if name in known]
    return np.concatenate([np.empty((n, 0)), *chosen], axis=1)


def training_shares(code: np.ndarray, fold: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the share of each class in the folds that each unit is not in, (n, class)."""
    counts = np.zeros((int(fold.max()) + 1, n_classes))
    np.add.at(counts, (fold, code), 1)
    others = counts.sum(axis=0) - counts
    return (others / others.sum(axis=1, keepdims=True))[fold]


def score_numbers(
    x: np.ndarray | None, code: np.ndarray, folds: np.ndarray, n_classes: int
) -> np.ndarray:
    """AUC and accuracy of each fold from some numbers, (2, repeat, fold).

    Parameters
    ----------
    x : float array, shape (n, column), optional
        None or no column: the shares of classes in the training folds.
    code : int array, shape (n,)
        Class of each unit.
    folds : int array, shape (repeat, n)
        Fold of each unit.
    n_classes : int
        Classes.
    """
    if x is None or not x.shape[1]:
        said = np.array([training_shares(code, fold, n_classes) for fold in folds])
    else:
        said = predict_repeats(x, code, folds, n_classes)[0]
    return score_folds(code, said, folds)


def score_folds(code: np.ndarray, probability: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """AUC and accuracy of each fold, (2, repeat, fold), of probabilities (repeat, n, class)."""
    pairs = [fold_scores(code, *each) for each in zip(probability, folds, strict=True)]
    accuracy, auc = np.swapaxes(pairs, 0, 1)
    return np.stack([auc, accuracy])


def known_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def mean_over_parts(values: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """Mean over parts (part, ...), each weighted by its units; NaN is left out."""
    stacked = np.stack(values)
    shape = (-1,) + (1,) * (stacked.ndim - 1)
    weight = np.where(np.isnan(stacked), 0.0, np.array(sizes, dtype=float).reshape(shape))
    total = weight.sum(axis=0)
    mean = (np.nan_to_num(stacked) * weight).sum(axis=0) / np.maximum(total, 1)
    return np.where(total > 0, mean, np.nan)


def lead_of(
    differences: Sequence[np.ndarray], sizes: Sequence[int], checkpoints: Sequence[int]
) -> Lead:
    """Return the mean of differences paired by fold, with both intervals.

    Parameters
    ----------
    differences : sequence of float arrays, shape (repeat, fold)
        One for each part.
    sizes : sequence of int
        Units of each part.
    checkpoints : sequence of int
        The checkpoint each part is of, -1 for several.

    Returns
    -------
    Lead

    Examples
    --------
    One part, two folds: the mean, and no checkpoints to speak of.

    >>> lead_of([np.array([[0.1, 0.3]])], [10], [-1])[:1]
    (0.2,)
    """
    mean = mean_over_parts(differences, sizes)
    found = fold_interval(mean, mean.shape[-1])
    if min(checkpoints, default=-1) < 0:
        return Lead(*found)
    known = [each[~np.isnan(each)] for each in differences]
    own = np.array([each.mean() if len(each) else 0.0 for each in known])
    weight = np.array([n if len(each) else 0 for n, each in zip(sizes, known, strict=True)], float)
    ends = checkpoint_interval(
        (own * weight)[:, None], weight[:, None], np.unique(checkpoints, return_inverse=True)[1]
    )
    # Of the mean of parts; moved to the mean of folds, which differs where a fold has one class.
    shift = found[0] - float((own * weight).sum() / weight.sum())
    return Lead(*found, *(float(end[0]) + shift for end in ends))


def say_lead(lead: Lead, *, brief: bool = False) -> str:
    """Write a lead with its intervals; if `brief`, with the one over folds alone."""
    words = f"{lead.value:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}]"
    if brief or np.isnan(lead.low_checkpoints):
        return words
    return f"{words}, over checkpoints [{lead.low_checkpoints:+.3f}, {lead.high_checkpoints:+.3f}]"


def capitalised(words: str) -> str:
    """Begin with a capital letter."""
    return words[:1].upper() + words[1:]


def one_each(ds: xr.Dataset, checkpoints: np.ndarray) -> bool:
    """Say whether each method of each family is one checkpoint: then a method is that checkpoint.

    Parameters
    ----------
    ds : Dataset
    checkpoints : (problem,) int
        From `checkpoint_codes`.
    """
    if not {"family", "method"} <= set(ds.coords):
        return False
    pairs = list(zip(*(text(ds[name]).tolist() for name in ("family", "method")), strict=True))
    found = set(zip(pairs, checkpoints.tolist(), strict=True))
    return len({pair for pair, _ in found}) == len(found)
