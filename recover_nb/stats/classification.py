"""Predicting a label of failed problems, on arrays.

Grouped folds, softmax regression, scores and permuted labels are here.

`topography` and `reading` share it, so that features and text meet the same targets in the same
folds.
"""

from collections.abc import Iterator

import numpy as np
from scipy.stats import t

from recover_nb.core.errors import InputError
from recover_nb.stats.resampling import BLOCK, percentile_interval, ratio, tails
from recover_nb.stats.scaling import standardise
from recover_nb.stats.ties import first_largest

#: Half this times the sum of squared coefficients is added to the loss; intercepts are free.
#: scikit-learn's C = 1.
PENALTY = 1.0
#: Keeps the one direction that moves no probability (all intercepts together) from making the
#: Hessian singular.
_FLAT = 1e-7
_MAX_STEPS = 60
#: Newton stops where a further step would lower the loss by less than half of this, in nat.
_DECREMENT = 1e-10


def grouped_folds(
    code: np.ndarray, groups: np.ndarray, n_splits: int, rng: np.random.Generator
) -> np.ndarray:
    """Deal whole groups into folds with much the same mixture of classes.

    Parameters
    ----------
    code : int array, shape (n,)
        Class of each unit, from 0.
    groups : array, shape (n,)
        Label of its group: no group is ever in two folds.
    n_splits : int
        Folds, 2 to the number of groups.
    rng : numpy Generator
        Decides between groups that hold the same classes.

    Returns
    -------
    int64 array, shape (n,)
        Fold of each unit.

    Raises
    ------
    InputError
        If there are fewer groups than folds.

    Notes
    -----
    Groups are sorted by how many units of each class they hold, rarest class first, and dealt out
    in turn: systematic sampling. A class that occurs in as many groups as there are folds and is
    the rarest is in every fold.
    """
    _, group = np.unique(groups, return_inverse=True)
    n_groups = int(group.max(initial=-1)) + 1
    if n_groups < n_splits:
        raise InputError(
            f"{n_groups} different problems for {n_splits} folds; allowed: at most one fold a"
            " problem"
        )
    counts = np.zeros((n_groups, int(code.max()) + 1), dtype=np.int64)
    np.add.at(counts, (group, code), 1)
    commonest_first = np.argsort(-counts.sum(axis=0), kind="stable")
    # np.lexsort sorts by its last key first.
    order = np.lexsort((rng.random(n_groups), *counts.T[commonest_first]))
    fold = np.empty(n_groups, dtype=np.int64)
    fold[order] = (np.arange(n_groups) + rng.integers(n_splits)) % n_splits
    return fold[group]


def repeated_folds(
    code: np.ndarray, groups: np.ndarray, *, n_splits: int, n_repeats: int, seed: int
) -> Iterator[np.ndarray]:
    """Yield `grouped_folds` for each repeat.

    They depend on the arguments alone, so that two callers share folds.
    """
    for repeat in range(n_repeats):
        yield grouped_folds(code, groups, n_splits, np.random.default_rng([seed, repeat]))


def permute_labels(code: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute labels and keep what groups make of them.

    Parameters
    ----------
    code : array, shape (n,)
        Labels.
    groups : array, shape (n,)
        Label of the group of each unit.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    array, shape (n,)
        Labels shuffled within each group, and whole sets of labels exchanged between groups of the
        same size. So labels that go together within a problem still do, and a null does not look
        narrower than it is.
    """
    _, group = np.unique(groups, return_inverse=True)
    size = np.bincount(group)
    start = np.cumsum(size) - size
    place = np.argsort(group, kind="stable")
    source = np.lexsort((rng.random(len(code)), group))
    out = np.empty_like(code)
    for n in np.unique(size):
        blocks = start[size == n][:, None] + np.arange(n)
        out[place[blocks]] = code[source[rng.permutation(blocks)]]
    return out


def fit_softmax(
    x: np.ndarray, code: np.ndarray, used: np.ndarray, n_classes: int, *, penalty: float = PENALTY
) -> np.ndarray:
    """Fit multinomial logistic regressions, one for each set of rows, all at once.

    Parameters
    ----------
    x : float array, shape (fit, n, feature)
        Standardised features, as each fit sees them.
    code : int array, shape (n,) or (fit, n)
        Class of each row, from 0.
    used : bool array, shape (fit, n)
        Rows each fit learns from.
    n_classes : int
        Classes.
    penalty : float
        Ridge on the coefficients, not on intercepts; above 0.

    Returns
    -------
    float64 array, shape (fit, class, 1 + feature)
        Intercept and coefficients, summing to 0 over classes.

    Notes
    -----
    scikit-learn's ``LogisticRegression(C=1/penalty)`` for three classes or more (for two it
    penalises the one row of log-odds, so that ``C=2/penalty`` agrees), by Newton's method with
    halved steps: the hundreds of small fits of a permutation test are then a few matrix products
    each.
    """
    # Rows last: sums over the few classes are then sums of whole rows of memory.
    design = np.ones((len(x), 1 + x.shape[-1], x.shape[1]))
    design[:, 1:] = x.swapaxes(-1, -2)
    design = np.where(used[:, None], design, 0.0)
    target = (code[..., None, :] == np.arange(n_classes)[:, None]) & used[:, None]
    ridge = np.full(design.shape[1], penalty)
    ridge[0] = _FLAT
    weights = np.zeros((len(x), n_classes, design.shape[1]))
    loss, probability = _loss(design, target, used, weights, ridge)
    for _ in range(_MAX_STEPS):
        step, decrement = _newton(design, target, probability * used[:, None], weights, ridge)
        if (decrement < _DECREMENT).all():
            break
        scale = np.ones(len(x))
        # With a ridge a full step is nearly always right; where it is not, half of it comes closer.
        while True:
            trial = weights - scale[:, None, None] * step
            after, probability = _loss(design, target, used, trial, ridge)
            worse = after > loss + 1e-9
            if not worse.any() or scale.min() < 1e-6:
                break
            scale[worse] /= 2
        weights, loss = trial, after
    return weights - weights.mean(axis=1, keepdims=True)


def _probability(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn scores (..., class, n) into probabilities, and the logs of their divisors (..., n)."""
    top = score.max(axis=-2, keepdims=True)
    odds = np.exp(score - top)
    total = odds.sum(axis=-2, keepdims=True)
    return odds / total, (top + np.log(total))[..., 0, :]


def _loss(
    design: np.ndarray, target: np.ndarray, used: np.ndarray, weights: np.ndarray, ridge: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return each fit's penalised negative log-likelihood (fit,) and its probabilities.

    The probabilities are (fit, class, n).
    """
    score = weights @ design
    probability, total = _probability(score)
    fit = (used * total).sum(axis=-1) - (target * score).sum(axis=(-2, -1))
    return fit + 0.5 * (ridge * weights**2).sum(axis=(-2, -1)), probability


def _newton(
    design: np.ndarray,
    target: np.ndarray,
    probability: np.ndarray,
    weights: np.ndarray,
    ridge: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Newton step (fit, class, column) and what it promises: gradient times step, (fit,)."""
    n_fits, n_classes, n_columns = weights.shape
    rows = design.swapaxes(-1, -2)
    gradient = (probability - target) @ rows + ridge * weights
    scaled = probability[:, :, None] * design[:, None]
    scaled = scaled.reshape(n_fits, n_classes * n_columns, -1)
    hessian = -(scaled @ scaled.swapaxes(-1, -2))
    own = (scaled @ rows).reshape(n_fits, n_classes, n_columns, n_columns) + np.diag(ridge)
    for each in range(n_classes):
        block = slice(each * n_columns, (each + 1) * n_columns)
        hessian[:, block, block] += own[:, each]
    step = np.linalg.solve(hessian, gradient.reshape(n_fits, -1, 1)).reshape(weights.shape)
    return step, (gradient * step).sum(axis=(-2, -1))


def predict_out_of_fold(
    x: np.ndarray, code: np.ndarray, fold: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Predict each unit from the units of the other folds.

    Parameters
    ----------
    x : float array, shape (n, feature)
        Raw features: each fold is standardised by the mean and sd of the others.
    code, fold : int arrays, shape (n,)
        Class and fold of each unit, from 0.
    n_classes : int
        Classes.

    Returns
    -------
    probability : float64 array, shape (n, class)
    coefficients : float64 array, shape (fold, class, feature)
        For standardised features, without intercepts.
    """
    probability, coefficients = predict_repeats(x, code, fold[None], n_classes)
    return probability[0], coefficients[0]


def predict_repeats(
    x: np.ndarray, code: np.ndarray, folds: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Predict each unit from the units of the other folds, for several deals of them at once.

    Parameters
    ----------
    x : float array, shape (n, feature)
        As in `predict_out_of_fold`.
    code : int array, shape (n,) or (repeat, n)
        Class of each unit; in each repeat, where labels are permuted.
    folds : int array, shape (repeat, n)
        Fold of each unit, from 0.
    n_classes : int
        Classes.

    Returns
    -------
    probability : float64 array, shape (repeat, n, class)
    coefficients : float64 array, shape (repeat, fold, class, feature)
    """
    n_repeats, n = folds.shape
    n_folds = int(folds.max()) + 1
    codes = np.broadcast_to(code, folds.shape)
    size = n_folds * n * n_classes * (1 + x.shape[1])
    step = max(1, BLOCK // (8 * size))
    found = [
        _repeats(x, codes[first : first + step], folds[first : first + step], n_folds, n_classes)
        for first in range(0, n_repeats, step)
    ]
    probability, coefficients = zip(*found, strict=True)
    return np.concatenate(probability), np.concatenate(coefficients)


def _repeats(
    x: np.ndarray, codes: np.ndarray, folds: np.ndarray, n_folds: int, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Predict one block of repeats: see `predict_repeats`."""
    n_repeats, n = folds.shape
    used = (folds[:, None] != np.arange(n_folds)[:, None]).reshape(-1, n)
    z = standardise(x, population=used)
    weights = fit_softmax(z, np.repeat(codes, n_folds, axis=0), used, n_classes)
    # Each unit once, under the fit that has not seen its fold.
    fit = folds + n_folds * np.arange(n_repeats)[:, None]
    own = np.concatenate([np.ones((n_repeats, n, 1)), z[fit, np.arange(n)]], axis=-1)
    score = (weights[fit] @ own[..., None])[..., 0]
    probability = np.swapaxes(_probability(np.swapaxes(score, -1, -2))[0], -1, -2)
    return probability, weights[..., 1:].reshape(n_repeats, n_folds, n_classes, -1)


def fold_scores(
    code: np.ndarray, probability: np.ndarray, fold: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and macro one-vs-rest AUC of each fold.

    AUC is taken within folds: scores of different fits are not on one scale, and pooled they rank
    below chance.

    Returns
    -------
    accuracy, auc : float64 arrays, shape (fold,)
        Higher is better; AUC is 0.5 at chance, NaN for a fold of one class.
    """
    right = first_largest(probability) == code
    folds = range(int(fold.max()) + 1)
    accuracy = np.array([right[fold == each].mean() for each in folds])
    auc = np.array([macro_auc(code[fold == each], probability[fold == each]) for each in folds])
    return accuracy, auc


def macro_auc(code: np.ndarray, probability: np.ndarray) -> float:
    """Mean over classes of the one-vs-rest area under the ROC curve; ties count half.

    Parameters
    ----------
    code : int array, shape (n,)
    probability : float array, shape (n, class)

    Returns
    -------
    float
        Over the classes that some units have and some have not; NaN without any.
    """
    known = []
    # Units of one probability are tied, whatever its last bits are on this machine.
    for each, column in enumerate(probability.T.round(9)):
        mine, rest = column[code == each], np.sort(column[code != each])
        if len(mine) and len(rest):
            # A rank for each side of a tie: their mean counts it half.
            wins = sum(
                int(np.searchsorted(rest, mine, side=side).sum()) for side in ("left", "right")
            )
            known.append(wins / 2 / (len(mine) * len(rest)))
    return float(np.mean(known)) if known else float("nan")


def fold_interval(
    difference: np.ndarray, n_splits: int, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Return the mean of differences paired by fold, with an interval.

    The interval knows that folds share their training data.

    Parameters
    ----------
    difference : float array, shape (repeat, fold)
        NaN is left out.
    n_splits : int
        Folds of a repeat.
    level : float
        Confidence, in (0, 1).

    Returns
    -------
    mean, low, high : float
        NaN ends for fewer than two differences.

    Notes
    -----
    Nadeau and Bengio 2003: the variance of the mean of J differences is taken as (1/J +
    n_test/n_train) times theirs, because repeats and folds are far from J independent experiments;
    t with J - 1 degrees of freedom.
    """
    values = difference[~np.isnan(difference)]
    if not len(values):
        return float("nan"), float("nan"), float("nan")
    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    share = 1 / len(values) + 1 / (n_splits - 1)
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * np.sqrt(share * values.var(ddof=1)))
    return mean, mean - half, mean + half


def cliffs_delta(
    a: np.ndarray, b: np.ndarray, weights: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """Cliff's delta: the share of pairs in which a is larger, less the share in which b is.

    Parameters
    ----------
    a, b : float arrays, shapes (m,) and (n,)
        Values of the two groups, without NaN.
    weights : pair of float arrays, shapes (resample, m) and (resample, n), optional
        How often each value counts in each resample; once by default.

    Returns
    -------
    float64 array, shape (resample,)
        From -1 (every b above every a) by 0 (neither tends to be larger) to 1; one number without
        weights. NaN for an empty group.

    Notes
    -----
    Cliff 1993.
    """
    # Resamples last: sums then run along memory.
    first, second = (each.T for each in weights or (np.ones((1, len(a))), np.ones((1, len(b)))))
    order = np.argsort(b, kind="stable")
    below = np.zeros((len(b) + 1, second.shape[1]))
    np.cumsum(second[order], axis=0, out=below[1:])
    ordered = b[order]
    # Those that are smaller, less those that are larger.
    lead = below[np.searchsorted(ordered, a, side="left")]
    lead += below[np.searchsorted(ordered, a, side="right")]
    lead -= below[-1]
    return ratio((first * lead).sum(axis=0), first.sum(axis=0) * below[-1])


def cliffs_interval(
    values: np.ndarray, a: np.ndarray, b: np.ndarray, weights: np.ndarray, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Return Cliff's delta of the rows `a` against the rows `b`, with its interval.

    The interval is by percentiles over resamples of problems.

    `weights` (resample, row) is how often each row occurs; it is fastest in Fortran order.
    """
    delta = cliffs_delta(values[a], values[b])[0]
    draws = cliffs_delta(values[a], values[b], (weights.T[a].T, weights.T[b].T))
    low, high = percentile_interval(draws, tails(level))
    return float(delta), float(low), float(high)
