"""What the three features say of a failed problem: its post-training method, or its regime.

See docs/method.md#10-failure-topography.

Fingerprinting a method is not predicting what fixes a problem: both are measured here, in the same
way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.labels import FEATURES
from recover_nb.core.schema import checkpoint_codes
from recover_nb.prediction.baselines import (
    ADDED,
    COMMONEST,
    FEATURES_ALONE,
    NO_SIGNAL,
    known_mean,
    known_of,
    no_signal_numbers,
    one_each,
    score_folds,
    score_numbers,
    together,
)
from recover_nb.prediction.targets import (
    TARGETS,
    Units,
    over_populations,
    populations_of,
    select_units,
    split_units,
)
from recover_nb.prediction.topography_result import QUANTILES, Part, Topography
from recover_nb.routing.populations import SOME_POPULATIONS
from recover_nb.stats.classification import (
    cliffs_interval,
    fit_softmax,
    fold_scores,
    permute_labels,
    predict_repeats,
    repeated_folds,
)
from recover_nb.stats.resampling import bootstrap_weights
from recover_nb.stats.scaling import standardise
from recover_nb.stats.ties import first_largest

_N_BOOTSTRAP = 500
#: Permutations that are fitted at once.
_AT_ONCE = 20


@takes_study()
@checks.takes(
    target=checks.one_of(TARGETS),
    features=checks.NAMES,
    n_splits=checks.whole(2),
    n_repeats=checks.COUNT,
    n_permutations=checks.DRAWS,
    seed=checks.SEED,
    within=checks.TEXT,
    populations=SOME_POPULATIONS,
    progress=checks.TELL,
)
def topography(
    ds: xr.Dataset,
    *,
    target: str = "method",
    features: Sequence[str] | None = None,
    n_splits: int = 5,
    n_repeats: int = 10,
    n_permutations: int = 100,
    seed: int = 0,
    within: str | None = None,
    populations: Sequence[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Topography:
    """Predict a label of failed problems from their features, and from what needs no signal.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table: ``features`` (problem, feature), coords ``task`` and
        ``problem_id``, and what `target` and `within` name. Units without features (they did not
        fail) are left out.
    target : {"method", "regime", "model", "family", "task", "cell"}
        What to predict; ``model`` is the coordinate of that name on `problem`, else
        ``family-method``.
    features : sequence of str, optional
        Names along `feature`; the three published ones by default.
    n_splits, n_repeats : int
        Folds, at least 2, and how often they are dealt anew.
    n_permutations : int
        Permutations of the labels, each in folds of its own; 0 for none.
    seed : int
        The result is a function of it and of the data alone.
    within : {"cell", "family", "method", "task", "model"}, optional
        Predict within each, by itself: what a label owes to differences between cells is then not
        counted.
    populations : sequence of str, optional
        Which failures (`choose_populations`), the headline first; by default those that the study
        allows. Those too few to predict are left out, with the reason.
    progress : callable, optional
        Called with the name of a part for each repeat and each permutation of it.

    Returns
    -------
    Topography

    Raises
    ------
    InputError
        If a name is unknown or not in the study, a count is out of range, or nothing is left to
        predict.

    Notes
    -----
    docs/method.md#10-failure-topography. Multinomial logistic regression on features standardised
    inside the fold. Folds never part a problem (task, problem_id), which occurs under every method
    and family. Permutations keep that structure (`classification.permute_labels`). Classes of fewer
    problems than folds are left out. Baselines are the same regression in the same folds
    (docs/method.md#no-signal).

    Examples
    --------
    Which post-training made a failure? The features are right no more often than always naming
    the commonest.

    >>> import recover_nb as rnb
    >>> result = rnb.topography(rnb.load_study(), n_repeats=1, n_permutations=19)
    >>> round(float(result.accuracy.mean()), 2), round(result.majority, 2)
    (0.37, 0.39)
    """
    names = FEATURES if features is None else features
    counts = {"n_splits": n_splits, "n_repeats": n_repeats, "n_permutations": n_permutations}
    numbers, unknown = no_signal_numbers(ds)
    alone = one_each(ds, checkpoint_codes(ds))

    def over(population: str, among: np.ndarray) -> Topography:
        units = select_units(ds, target=target, features=names, within=within, among=among)
        parts, left_out = split_units(units, target, n_splits)
        known, missing = known_of(numbers, units.rows)
        found, rivals = {}, {}
        for place, (name, part) in enumerate(parts.items()):
            tell = partial(progress or (lambda part: None), name)
            mine = np.searchsorted(units.rows, part.rows)
            rivals = _rivals(part, {each: x[mine] for each, x in known.items()})
            found[name] = _predict(part, rivals, seed=seed, place=place, tell=tell, **counts)
        return Topography(
            target,
            within,
            tuple(names),
            found,
            unknown | missing | left_out,
            {**counts, "seed": seed},
            population,
            (FEATURES_ALONE, *rivals),
            alone,
        )

    found, few = over_populations(populations_of(ds, populations), over)
    first, *others = found.values()
    return replace(
        first,
        left_out={**few, **first.left_out},
        others={each.population: each for each in others},
    )


def _rivals(units: Units, known: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | None]:
    """Return what each other predictor goes by: what knows no signal, then features beside it."""
    rivals: dict[str, np.ndarray | None] = dict(known)
    if known:
        all_known = together(known, len(units.rows))
        rivals[NO_SIGNAL] = all_known
        rivals[ADDED] = np.concatenate([all_known, units.x], axis=1)
    return rivals | {COMMONEST: None}


def _predict(
    units: Units,
    rivals: Mapping[str, np.ndarray | None],
    *,
    n_splits: int,
    n_repeats: int,
    n_permutations: int,
    seed: int,
    place: int,
    tell: Callable[[], None],
) -> Part:
    """Predict, permute and describe the units of one part."""
    classes, code = np.unique(units.label, return_inverse=True)
    # Numbers in the order of the names: they are sorted again for every fold and permutation.
    units = replace(units, group=np.unique(units.group, return_inverse=True)[1])
    deals = {"n_splits": n_splits, "n_repeats": n_repeats, "seed": seed}
    folds = np.array(list(repeated_folds(code, units.group, **deals)))
    probability, coefficients = predict_repeats(units.x, code, folds, len(classes))
    predicted = first_largest(probability)
    confusion = np.zeros((len(classes), len(classes)))
    np.add.at(confusion, (np.broadcast_to(code, predicted.shape), predicted), 1 / n_repeats)
    features = score_folds(code, probability, folds)
    scores = [features, *(score_numbers(x, code, folds, len(classes)) for x in rivals.values())]
    for _ in range(n_repeats):
        tell()
    everyone = np.ones((1, len(code)), dtype=bool)
    whole = fit_softmax(standardise(units.x, population=everyone), code, everyone, len(classes))
    rng = np.random.default_rng([seed, 1, place])
    null = _null(units, code, n_splits, n_permutations, rng, tell)
    return Part(
        classes=tuple(classes.tolist()),
        counts=np.bincount(code),
        n_problems=len(np.unique(units.group)),
        accuracy=(predicted == code).mean(axis=1),
        auc=known_mean(features[0]),
        null=null[:, 0],
        null_auc=null[:, 1],
        confusion=confusion,
        coefficients=whole[0, :, 1:],
        coefficients_sd=np.concatenate(coefficients).std(axis=0),
        rows=units.rows,
        code=code,
        predicted=predicted,
        scores=np.stack(scores, axis=1),
        checkpoint=int(units.checkpoint[0]) if np.ptp(units.checkpoint) == 0 else -1,
        # Half as long as the prediction, and only one table reads it.
        delta=partial(_effects, units, code, [seed, 2, place]),
        **_describe(units, classes, code),
    )


def _null(
    units: Units,
    code: np.ndarray,
    n_splits: int,
    n_permutations: int,
    rng: np.random.Generator,
    tell: Callable[[], None],
) -> np.ndarray:
    """Return accuracy and AUC of the whole procedure on permuted labels, (permutation, 2).

    The folds are part of the procedure.
    """
    if not n_permutations:
        return np.empty((0, 2))
    codes, folds = [], []
    for _ in range(n_permutations):
        codes.append(permute_labels(code, units.group, rng))
        deal = {"n_splits": n_splits, "n_repeats": 1, "seed": int(rng.integers(2**32))}
        folds += repeated_folds(codes[-1], units.group, **deal)
    null = np.empty((n_permutations, 2))
    for first in range(0, n_permutations, _AT_ONCE):
        these = slice(first, first + _AT_ONCE)
        labels, deals = np.array(codes[these]), np.array(folds[these])
        probability, _ = predict_repeats(units.x, labels, deals, int(code.max()) + 1)
        null[these, 0] = (first_largest(probability) == labels).mean(axis=1)
        for place, one in enumerate(zip(labels, probability, deals, strict=True), first):
            null[place, 1] = known_mean(fold_scores(*one)[1])
            tell()
    return null


def _describe(units: Units, classes: np.ndarray, code: np.ndarray) -> dict:
    """Distribution of each feature in each class, and the pairs of classes."""
    members = [units.x[code == each] for each in range(len(classes))]
    return {
        "mean": np.array([values.mean(axis=0) for values in members]),
        "quantiles": np.array([np.quantile(values, QUANTILES, axis=0).T for values in members]),
        "pairs": tuple(combinations(classes.tolist(), 2)),
    }


def _effects(units: Units, code: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """How far apart two classes are, (3, pair, feature)."""
    members = [np.flatnonzero(code == each) for each in range(int(code.max()) + 1)]
    rng = np.random.default_rng(seed)
    resamples = bootstrap_weights(units.group, units.task, _N_BOOTSTRAP, rng)
    # What a unit weighs lies together in memory: units of two classes are taken from it for every
    # pair.
    weights = np.asfortranarray(resamples.weights)
    delta = [
        [cliffs_interval(column, a, b, weights) for column in units.x.T]
        for a, b in combinations(members, 2)
    ]
    return np.moveaxis(np.array(delta), -1, 0)
