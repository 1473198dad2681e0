"""What the three features say of a failed problem: its post-training method, or its regime.

See docs/method.md#10-failure-topography.

Fingerprinting a method is not predicting what fixes a problem: both are measured here, in the same
way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.checks import check_whole
from recover_nb.core.labels import FEATURES
from recover_nb.core.plain import plain
from recover_nb.core.result import Result, labelled
from recover_nb.prediction.targets import OVERALL, Units, select_units, split_units
from recover_nb.stats.classification import (
    cliffs_interval,
    fit_softmax,
    fold_scores,
    permute_labels,
    predict_out_of_fold,
    repeated_folds,
)
from recover_nb.stats.resampling import bootstrap_weights, exceedance
from recover_nb.stats.scaling import standardise

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_N_BOOTSTRAP = 500


class _Later:
    """A field that may be given as a function: it is called when the field is first read."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, instance: object, value: object) -> None:
        instance.__dict__[self._name] = value

    def __get__(self, instance: object, owner: type | None = None) -> np.ndarray:
        if instance is None:
            # To `dataclass`: there is no default.
            raise AttributeError(self._name)
        value = instance.__dict__[self._name]
        if callable(value):
            value = instance.__dict__[self._name] = value()
        return value


@dataclass(frozen=True)
class Part:
    """How well a label is predicted among some units, and how its classes differ.

    Attributes
    ----------
    classes : tuple of str
        In the order of every class axis below.
    counts : int64 array, shape (class,)
        Units.
    n_problems : int
        Underlying problems: what folds are made of.
    accuracy, auc : float64 arrays, shape (repeat,)
        Out of fold. AUC is one-vs-rest, macro, mean over folds.
    null, null_auc : float64 arrays, shape (permutation,)
        The same with permuted labels, one repeat each.
    confusion : float64 array, shape (class, class)
        Units by true class (row) and predicted class (column), mean over repeats.
    coefficients, coefficients_sd : float64 arrays, shape (class, feature)
        Log-odds per sd of the feature, summing to 0 over classes, fitted on all units; sd over the
        folds' own fits.
    mean : float64 array, shape (class, feature)
    quantiles : float64 array, shape (class, feature, len(QUANTILES))
    pairs : tuple of (str, str)
        Pairs of classes.
    delta : float64 array, shape (3, pair, feature)
        Cliff's delta of the first class against the second, and the ends of its 95 % interval.
    rows, code : int64 arrays, shape (unit,)
        Place of each unit along the study's `problem`, and its class.
    predicted : int64 array, shape (repeat, unit)
        The class each is taken for, out of fold.
    """

    classes: tuple[str, ...]
    counts: np.ndarray
    n_problems: int
    accuracy: np.ndarray
    auc: np.ndarray
    null: np.ndarray
    null_auc: np.ndarray
    confusion: np.ndarray
    coefficients: np.ndarray
    coefficients_sd: np.ndarray
    mean: np.ndarray
    quantiles: np.ndarray
    pairs: tuple[tuple[str, str], ...]
    delta: np.ndarray = _Later()
    rows: np.ndarray
    code: np.ndarray
    predicted: np.ndarray

    @property
    def n(self) -> int:
        """Units."""
        return int(self.counts.sum())

    @property
    def majority(self) -> float:
        """Accuracy of always saying the commonest class."""
        return float(self.counts.max() / self.n)

    @property
    def p(self) -> float:
        """Share of permutations as accurate; NaN without any.

        The mean over repeats is set against single repeats, which scatter more: the p-value errs on
        the safe side.
        """
        return exceedance(float(self.accuracy.mean()), self.null)

    @property
    def p_auc(self) -> float:
        """The same of AUC, which sees what accuracy cannot where one class is most of the units."""
        return exceedance(float(self.auc.mean()), self.null_auc)


@dataclass(frozen=True)
class Topography(Result):
    """Prediction of a label from the features, overall or within each part.

    Attributes
    ----------
    target, within : str, str or None
    features : tuple of str
    parts : mapping of str to Part
        By name; ``"all"`` alone when nothing is taken apart.
    left_out : mapping of str to str
        Parts, and classes of parts (``PART: CLASS``), that cannot be predicted, with the reason.
    settings : mapping
        Folds, repeats, permutations, seed.

    Examples
    --------
    Of 19 permutations of the labels, four are predicted as well: p is 5 / 20.

    >>> import recover_nb as rnb
    >>> result = rnb.topography(rnb.load_study(), n_repeats=1, n_permutations=19)
    >>> result.n, round(float(result.null.max()), 2), result.p
    (1190, 0.4, 0.25)
    """

    title = "Do the three features tell the label?"
    chart = "plot_scores"
    following = (
        "rnb.plot_effects(found)  # which feature differs between which classes",
        "rnb.plot_confusion(found)",
        "found.to_dataframe()  # each part, with its baselines",
    )

    target: str
    within: str | None
    features: tuple[str, ...]
    parts: Mapping[str, Part]
    left_out: Mapping[str, str]
    settings: Mapping[str, int]

    @property
    def n(self) -> int:
        """Units in all parts."""
        return sum(part.n for part in self.parts.values())

    @property
    def accuracy(self) -> np.ndarray:
        """Share of all units predicted rightly, each within its part, (repeat,)."""
        return self._mean([part.accuracy for part in self.parts.values()])

    @property
    def auc(self) -> np.ndarray:
        """AUC, mean over units of that of their part, (repeat,)."""
        return self._mean([part.auc for part in self.parts.values()])

    @property
    def majority(self) -> float:
        """Accuracy of always saying the commonest class of the part."""
        return float(self._mean([np.array(part.majority) for part in self.parts.values()]))

    @property
    def null(self) -> np.ndarray:
        """Accuracy with labels permuted within each part, (permutation,)."""
        return self._mean([part.null for part in self.parts.values()])

    @property
    def null_auc(self) -> np.ndarray:
        """AUC with labels permuted within each part, (permutation,)."""
        return self._mean([part.null_auc for part in self.parts.values()])

    @property
    def p(self) -> float:
        """Share of permutations as accurate over all parts; NaN without any. See `Part.p`."""
        return exceedance(float(self.accuracy.mean()), self.null)

    @property
    def p_auc(self) -> float:
        """The same of AUC."""
        return exceedance(float(self.auc.mean()), self.null_auc)

    @property
    def dataset(self) -> xr.Dataset:
        """Every figure by part: scores by repeat and permutation, the rest by class and feature."""
        classes = list(dict.fromkeys(name for part in self.parts.values() for name in part.classes))
        by = {
            "counts": ("class",),
            "confusion": ("class", "predicted"),
            "coefficients": ("class", "feature"),
            "mean": ("class", "feature"),
        }
        data: dict[str, Any] = {}
        for name in ("n", "n_problems", "majority", "p", "p_auc", "accuracy", "auc"):
            dims = ("repeat",) if name in ("accuracy", "auc") else ()
            values = [getattr(part, name) for part in self.parts.values()]
            data[name] = (("part", *dims), np.array(values))
        for name in ("null", "null_auc"):
            values = [getattr(part, name) for part in self.parts.values()]
            data[name] = (("part", "permutation"), np.array(values))
        for name, dims in by.items():
            sizes = [len(self.features) if dim == "feature" else len(classes) for dim in dims]
            values = np.full((len(self.parts), *sizes), np.nan)
            for place, part in enumerate(self.parts.values()):
                at = [classes.index(each) for each in part.classes]
                found = getattr(part, name)
                where = [range(len(self.features)) if dim == "feature" else at for dim in dims]
                values[(place, *np.ix_(*where))] = found
            data[name] = (("part", *dims), values)
        coords = {"part": self.parts, "class": classes, "predicted": classes}
        return labelled(data, coords | {"feature": self.features}, dict(self.settings))

    @property
    def sentence(self) -> str:
        """The headline in words, with what it is to be compared with."""
        where = "" if self.within is None else f" within each {self.within} ({len(self.parts)})"
        accuracy, n = self.accuracy, len(self.null)
        spread = f" +- {100 * accuracy.std(ddof=1):.1f}" if len(accuracy) > 1 else ""
        null = (
            f" and {100 * self.null.mean():.1f} % for permuted labels (p = {self.p:.3f})"
            if n
            else ""
        )
        null_auc = (
            f" against {self.null_auc.mean():.3f} (p = {self.p_auc:.3f}), {n} permutations"
            if n
            else ""
        )
        return (
            f"{self.target} from {', '.join(self.features)}{where}: accuracy"
            f" {100 * accuracy.mean():.1f}{spread} % against {100 * self.majority:.1f} % for the"
            f" commonest{null}; AUC {self.auc.mean():.3f}{null_auc}; {self.n} failed problem units."
        )

    def to_dataframe(self) -> pd.DataFrame:
        """Return how well the label is predicted in each part, with its baselines.

        Returns
        -------
        DataFrame
            One row for each part, and ``overall`` where there are several: ``target``, ``part``,
            ``units``, ``problems``, ``classes``, ``accuracy`` and ``accuracy_sd`` (over repeats),
            ``majority``, ``null_mean``, ``null_sd`` and ``p`` (permuted labels), then ``auc``,
            ``auc_sd``, ``null_auc_mean`` and ``p_auc``; ``permutations``. Shares are fractions
            of 1.

        Examples
        --------
        >>> import recover_nb as rnb
        >>> result = rnb.topography(rnb.load_study(), within="task", n_repeats=1, n_permutations=0)
        >>> result.to_dataframe()[["part", "units", "accuracy", "majority"]].round(2)
                 part  units  accuracy  majority
        0  arithmetic    596      0.41      0.40
        1     program    425      0.44      0.45
        2   deduction    169      0.44      0.42
        3     overall   1190      0.43      0.42
        """
        rows = [_score_row(self.target, name, part) for name, part in self.parts.items()]
        if len(rows) > 1:
            rows.append(_score_row(self.target, OVERALL, self))
        return pd.DataFrame(rows)

    def to_dict(self) -> dict:
        """Return the figures as plain data, NaN as None."""
        names = ("accuracy", "auc", "majority", "null", "null_auc", "p", "p_auc")
        parts = {name: _plain_part(part) for name, part in self.parts.items()}
        overall = {name: _listed(getattr(self, name)) for name in names}
        head = {
            each.name: getattr(self, each.name) for each in fields(self) if each.name != "parts"
        }
        return plain({**head, "n": self.n, **overall, "parts": parts, "sentence": self.sentence})

    def _mean(self, values: list[np.ndarray]) -> np.ndarray:
        sizes = np.array([part.n for part in self.parts.values()], dtype=float)
        return np.tensordot(sizes / sizes.sum(), np.stack(values), axes=1)


def _sd(values: np.ndarray) -> float:
    """Sample standard deviation; NaN for fewer than two."""
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _score_row(target: str, name: str, found: Part | Topography) -> dict[str, Any]:
    """Return one row; a `Topography` has no number of problems or classes of its own."""
    part = isinstance(found, Part)
    unknown = np.array([np.nan])
    null, null_auc = (each if len(each) else unknown for each in (found.null, found.null_auc))
    return {
        "target": target,
        "part": name,
        "units": found.n,
        "problems": found.n_problems if part else np.nan,
        "classes": len(found.classes) if part else np.nan,
        "accuracy": found.accuracy.mean(),
        "accuracy_sd": _sd(found.accuracy),
        "majority": found.majority,
        "null_mean": null.mean(),
        "null_sd": _sd(found.null),
        "p": found.p,
        "auc": found.auc.mean(),
        "auc_sd": _sd(found.auc),
        "null_auc_mean": null_auc.mean(),
        "p_auc": found.p_auc,
        "permutations": len(found.null),
    }


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
    progress: Callable[[str], None] | None = None,
) -> Topography:
    """Predict a label of failed problems from their features, with its baselines.

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
    problems than folds are left out.

    Examples
    --------
    Which post-training made a failure? The features say so no oftener than the commonest does.

    >>> import recover_nb as rnb
    >>> result = rnb.topography(rnb.load_study(), n_repeats=1, n_permutations=19)
    >>> round(float(result.accuracy.mean()), 2), round(result.majority, 2), result.p
    (0.39, 0.39, 0.25)
    """
    check_whole("n_splits", n_splits, 2)
    check_whole("n_repeats", n_repeats, 1)
    check_whole("n_permutations", n_permutations, 0)
    check_whole("seed", seed, 0)
    names = FEATURES if features is None else features
    units = select_units(ds, target=target, features=names, within=within)
    parts, left_out = split_units(units, target, n_splits)
    counts = {"n_splits": n_splits, "n_repeats": n_repeats, "n_permutations": n_permutations}
    tell = progress or (lambda part: None)
    found = {
        name: _predict(part, seed=seed, place=place, tell=partial(tell, name), **counts)
        for place, (name, part) in enumerate(parts.items())
    }
    return Topography(target, within, tuple(names), found, left_out, {**counts, "seed": seed})


def _predict(
    units: Units,
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
    score, coefficients, predicted = [], [], []
    confusion = np.zeros((len(classes), len(classes)))
    folds = {"n_splits": n_splits, "n_repeats": n_repeats, "seed": seed}
    for fold in repeated_folds(code, units.group, **folds):
        probability, weights = predict_out_of_fold(units.x, code, fold, len(classes))
        said = probability.argmax(axis=1)
        np.add.at(confusion, (code, said), 1 / n_repeats)
        score.append(_scores(code, probability, fold))
        coefficients.append(weights)
        predicted.append(said)
        tell()
    accuracy, auc = np.array(score).T
    everyone = np.ones((1, len(code)), dtype=bool)
    whole = fit_softmax(standardise(units.x, population=everyone), code, everyone, len(classes))
    rng = np.random.default_rng([seed, 1, place])
    null = _null(units, code, n_splits, n_permutations, rng, tell)
    return Part(
        classes=tuple(classes.tolist()),
        counts=np.bincount(code),
        n_problems=len(np.unique(units.group)),
        accuracy=accuracy,
        auc=auc,
        null=null[:, 0],
        null_auc=null[:, 1],
        confusion=confusion,
        coefficients=whole[0, :, 1:],
        coefficients_sd=np.concatenate(coefficients).std(axis=0),
        rows=units.rows,
        code=code,
        predicted=np.array(predicted),
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
    null = np.empty((n_permutations, 2))
    for draw in range(n_permutations):
        permuted = permute_labels(code, units.group, rng)
        folds = {"n_splits": n_splits, "n_repeats": 1, "seed": int(rng.integers(2**32))}
        for fold in repeated_folds(permuted, units.group, **folds):
            probability, _ = predict_out_of_fold(units.x, permuted, fold, int(code.max()) + 1)
            null[draw] = _scores(permuted, probability, fold)
        tell()
    return null


def _scores(code: np.ndarray, probability: np.ndarray, fold: np.ndarray) -> tuple[float, float]:
    """Accuracy over all units, and AUC as a mean over folds."""
    _, auc = fold_scores(code, probability, fold)
    known = auc[~np.isnan(auc)]
    right = probability.argmax(axis=1) == code
    return float(right.mean()), float(known.mean()) if len(known) else float("nan")


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


def _plain_part(part: Part) -> dict:
    names = [each.name for each in fields(part)]
    return {name: _listed(getattr(part, name)) for name in (*names, "n", "majority", "p", "p_auc")}


def _listed(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value
