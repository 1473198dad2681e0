"""What `topography` returns: how well a label is predicted, beside all that knows no signal.

See docs/method.md#10-failure-topography.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Verdict
from recover_nb.core.plain import plain
from recover_nb.core.result import labelled
from recover_nb.core.titles import named, p_value
from recover_nb.prediction.baselines import (
    ADDED,
    BASELINES,
    COMMONEST,
    FEATURES_ALONE,
    NO_SIGNAL,
    SCORES,
    SIGNIFICANT,
    WORDS,
    Lead,
    capitalised,
    lead_of,
    mean_over_parts,
    say_lead,
)
from recover_nb.prediction.over_populations import OverPopulations
from recover_nb.prediction.targets import OVERALL, stack_populations
from recover_nb.routing.populations import FAILED
from recover_nb.stats.resampling import exceedance

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


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
    scores : float64 array, shape (2, predictor, repeat, fold)
        AUC and accuracy of every fold, in the order of the result's `predictors`.
    checkpoint : int
        The checkpoint that all units are of; -1 for several.
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
    scores: np.ndarray = field(default_factory=lambda: np.empty((2, 0, 0, 0)))
    checkpoint: int = -1

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
class Topography(OverPopulations):
    """Prediction of a label from the features, overall or within each part.

    Figures are of the first population; `over` gives the same of another.

    Attributes
    ----------
    target, within : str, str or None
    features : tuple of str
    parts : mapping of str to Part
        By name; ``"all"`` alone when nothing is taken apart.
    left_out : mapping of str to str
        Populations, baselines, parts, and classes of parts (``PART: CLASS``), that cannot be used,
        with the reason.
    settings : mapping
        Folds, repeats, permutations, seed.
    population : str
        Which failures the figures are about (docs/method.md#populations).
    predictors : tuple of str
        ``features``, the baselines that know no signal (``level``, ``prompt_length``,
        ``failures``, all of them together as ``no_signal``, and ``commonest``), and
        ``features_added``: the features beside ``no_signal``.
    one_checkpoint : bool
        Each method of each family is one checkpoint.
    others : mapping of str to Topography
        The other populations.

    Examples
    --------
    Of 19 permutations of the labels, seven are ordered as well: p is 8 / 20, and nothing is shown.

    >>> import recover_nb as rnb
    >>> result = rnb.topography(rnb.load_study(), n_repeats=1, n_permutations=19)
    >>> result.population, result.n, result.p_auc, result.verdict.value
    ('failed_first_1', 616, 0.4, 'not shown')
    """

    title = "Do the three features tell the label?"
    chart = "plot_scores"
    following = (
        "rnb.plot_effects(found)  # which feature differs between which classes",
        "rnb.plot_confusion(found)",
        "found.to_dataframe()  # each population and part, with its baselines",
        "rnb.tables.prediction_baselines(found)  # the features' lead over each",
    )

    target: str
    within: str | None
    features: tuple[str, ...]
    parts: Mapping[str, Part]
    left_out: Mapping[str, str]
    settings: Mapping[str, int]
    population: str = FAILED
    predictors: tuple[str, ...] = ()
    one_checkpoint: bool = False
    others: Mapping[str, "Topography"] = field(default_factory=dict)

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

    def scores(self, score: str = "auc", part: str | None = None) -> np.ndarray:
        """Return a score of each predictor in each fold, (predictor, repeat, fold).

        Parameters
        ----------
        score : {"auc", "accuracy"}
        part : str, optional
            Which part; by default the mean over parts, each weighted by its units.

        Raises
        ------
        InputError
            If a name is unknown.
        """
        chosen = self._chosen(score, part)
        place = SCORES.index(score)
        return mean_over_parts([each.scores[place] for each in chosen], [each.n for each in chosen])

    def difference(
        self,
        predictor: str,
        score: str = "auc",
        part: str | None = None,
        *,
        of: str = FEATURES_ALONE,
    ) -> Lead:
        """Return the features' score less a baseline's, paired by fold, with 95 % intervals.

        Parameters
        ----------
        predictor : str
            One of `predictors`.
        score, part
            As in `scores`.
        of : str
            Whose lead it is.

        Returns
        -------
        Lead
            Above 0: the features say more. The interval over checkpoints is NaN unless every part
            is of one checkpoint, as a cell is.

        Raises
        ------
        InputError
            If a name is unknown.

        Examples
        --------
        >>> import recover_nb as rnb
        >>> found = rnb.topography(rnb.load_study(), target="regime", within="cell", n_repeats=1)
        >>> lead = found.difference("failures")
        >>> round(lead.value, 2), lead.high < 0
        (-0.19, True)
        """
        for name in (predictor, of):
            if name not in self.predictors:
                raise InputError(
                    f"no predictor {name!r}; allowed: {', '.join(self.predictors) or 'none'}"
                )
        chosen, place = self._chosen(score, part), SCORES.index(score)
        one, other = (self.predictors.index(name) for name in (of, predictor))
        return lead_of(
            [each.scores[place, one] - each.scores[place, other] for each in chosen],
            [each.n for each in chosen],
            [each.checkpoint for each in chosen],
        )

    def added(self, score: str = "auc", part: str | None = None) -> Lead:
        """Return what the features add to all that knows no signal: with them, less without.

        Parameters
        ----------
        score, part
            As in `scores`.

        Returns
        -------
        Lead
        """
        return self.difference(NO_SIGNAL, score, part, of=ADDED)

    @property
    def verdict(self) -> Verdict:
        """Whether features tell something of the label that is not known without them.

        Supported if they beat permuted labels, and what they add to level, prompt length and number
        of failures (those that are known) lies above 0, by AUC and by both intervals.
        """
        if not len(self.null_auc) or NO_SIGNAL not in self.predictors:
            return Verdict.NOT_TESTABLE
        told = self.p_auc < SIGNIFICANT and self.added().verdict == Verdict.SUPPORTED
        return Verdict.SUPPORTED if told else Verdict.NOT_SHOWN

    @property
    def dataset(self) -> xr.Dataset:
        """Every figure by population and part: scores by repeat, predictor and permutation."""
        return stack_populations(
            {name: each._labelled() for name, each in self.populations.items()}
        )

    def _labelled(self) -> xr.Dataset:
        """Label the figures of this population."""
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
        folds = np.stack([part.scores for part in self.parts.values()])
        for place, name in enumerate(SCORES):
            data[f"fold_{name}"] = (("part", "predictor", "repeat", "fold"), folds[:, place])
        ends = ("", "_low", "_high", "_low_checkpoints", "_high_checkpoints")
        leads = np.array([self.difference(name) for name in self.predictors]).reshape(-1, len(ends))
        for place, end in enumerate(ends):
            data[f"lead{end}"] = (("predictor",), leads[:, place])
        if NO_SIGNAL in self.predictors:
            data |= {
                f"added{end}": ((), value) for end, value in zip(ends, self.added(), strict=True)
            }
        coords = {"part": self.parts, "class": classes, "predicted": classes}
        coords |= {"feature": self.features, "predictor": self.predictors}
        return labelled(data, coords, dict(self.settings))

    @property
    def sentence(self) -> str:
        """The headline in words, with what it is to be compared with, then other populations."""
        where = "" if self.within is None else f" within each {self.within} ({len(self.parts)})"
        head = f"{self.target} from {', '.join(self.features)}{where}, "
        rest = [f"{capitalised(each._figures())}." for each in self.others.values()]
        if self.one_checkpoint and self.target in ("method", "model", "cell"):
            rest.append("One checkpoint per family and method: this is about those checkpoints.")
        return " ".join([f"{head}{self._figures()}; {self._accurate()}.", *rest])

    def _figures(self) -> str:
        """Say how well one population is told, beside its baselines."""
        null = (
            f" (permuted labels {self.null_auc.mean():.3f},"
            f" {p_value(self.p_auc, len(self.null_auc))})"
            if len(self.null_auc)
            else ""
        )
        words = f"{named(self.population)} ({self.n:,}): AUC {self.auc.mean():.3f}{null}"
        scores = dict(zip(self.predictors, self.scores(), strict=True))
        known = [name for name in BASELINES if name in scores and name != COMMONEST]
        if known:
            told = ", ".join(f"{WORDS[name]} {np.nanmean(scores[name]):.3f}" for name in known)
            words += f"; without a signal: {told}; features add {say_lead(self.added())}"
        return words

    def _accurate(self) -> str:
        """Say how often the label is named rightly."""
        accuracy = self.accuracy
        spread = f" +- {100 * accuracy.std(ddof=1):.1f}" if len(accuracy) > 1 else ""
        null = (
            f" and {100 * self.null.mean():.1f} % for permuted labels"
            f" ({p_value(self.p, len(self.null))})"
            if len(self.null)
            else ""
        )
        return (
            f"accuracy {100 * accuracy.mean():.1f}{spread} % against {100 * self.majority:.1f} %"
            f" for the commonest{null}"
        )

    def to_dataframe(self) -> pd.DataFrame:
        """Return how well the label is predicted in each part, with its baselines.

        Returns
        -------
        DataFrame
            One row for each population and part, and ``overall`` where there are several parts:
            ``population``, ``target``, ``part``, ``units``, ``problems``, ``classes``,
            ``accuracy`` and ``accuracy_sd`` (over repeats), ``majority``, ``null_mean``,
            ``null_sd`` and ``p`` (permuted labels), then ``auc``, ``auc_sd``, ``null_auc_mean`` and
            ``p_auc``; ``permutations``; the AUC of what knows no signal, ``auc_level``,
            ``auc_prompt_length``, ``auc_failures`` and ``auc_no_signal`` (all three), what is
            known of them; and ``added``, what features add to it, with its 95 % intervals
            ``added_low``, ``added_high`` (over folds) and ``added_low_checkpoints``,
            ``added_high_checkpoints``. Shares are fractions of 1.

        Examples
        --------
        >>> import recover_nb as rnb
        >>> result = rnb.topography(rnb.load_study(), within="task", n_repeats=1, n_permutations=0)
        >>> frame = result.to_dataframe().query("population == 'failed_first_1'")
        >>> frame[["part", "units", "auc", "auc_no_signal", "added"]].round(2)
                 part  units   auc  auc_no_signal  added
        0  arithmetic    312  0.51           0.54   0.01
        1     program    227  0.57           0.64  -0.01
        2   deduction     77  0.51           0.58   0.03
        3     overall    616  0.53           0.58   0.00
        """
        rows = []
        for found in self.populations.values():
            parts: list[str | None] = list(found.parts)
            rows += [found._row(part) for part in parts + ([None] if len(parts) > 1 else [])]
        return pd.DataFrame(rows)

    def _row(self, part: str | None) -> dict[str, Any]:
        """Return one row: of a part, or of all."""
        head = {"population": self.population}
        one = self if part is None else self.parts[part]
        row = head | _score_row(self.target, part or OVERALL, one)
        scores = dict(zip(self.predictors, self.scores(part=part), strict=True))
        for name in BASELINES:
            if name in scores and name != COMMONEST:
                row[f"auc_{name}"] = float(np.nanmean(scores[name]))
        if NO_SIGNAL in scores:
            lead = self.added(part=part)
            row |= {"added": lead.value}
            row |= {f"added_{key}": getattr(lead, key) for key in lead._fields[1:]}
        return row

    def to_dict(self) -> dict:
        """Return the figures as plain data, NaN as None; those of other populations by name."""
        names = ("accuracy", "auc", "majority", "null", "null_auc", "p", "p_auc")
        parts = {name: _plain_part(part) for name, part in self.parts.items()}
        overall = {name: _listed(getattr(self, name)) for name in names}
        leads = {name: self.difference(name)._asdict() for name in self.predictors[1:]}
        if NO_SIGNAL in self.predictors:
            leads["added"] = self.added()._asdict()
        head = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name not in ("parts", "others")
        }
        others = {name: each.to_dict() for name, each in self.others.items()}
        said = {"verdict": str(self.verdict), "sentence": self.sentence}
        return plain(
            {
                **head,
                "n": self.n,
                **overall,
                "leads": leads,
                "parts": parts,
                "others": others,
                **said,
            }
        )

    def _mean(self, values: list[np.ndarray]) -> np.ndarray:
        sizes = np.array([part.n for part in self.parts.values()], dtype=float)
        return np.tensordot(sizes / sizes.sum(), np.stack(values), axes=1)

    def _chosen(self, score: str, part: str | None) -> list[Part]:
        if score not in SCORES:
            raise InputError(f"score is {score!r}; allowed: {', '.join(SCORES)}")
        if part is not None and part not in self.parts:
            raise InputError(f"no part {part!r}; allowed: {', '.join(self.parts)}")
        return list(self.parts.values()) if part is None else [self.parts[part]]


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


def _plain_part(part: Part) -> dict:
    names = [each.name for each in fields(part)]
    return {name: _listed(getattr(part, name)) for name in (*names, "n", "majority", "p", "p_auc")}


def _listed(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value
