"""Ask whether one could tell by reading them.

Text of failed rollouts against the three features (docs/method.md#12-not-by-reading).

The same targets in the same folds as `topography`; every reader is compared with the features fold
by fold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.sparse import csr_matrix

from recover_nb.core.checks import check_whole
from recover_nb.core.errors import InputError
from recover_nb.core.labels import FEATURES
from recover_nb.core.plain import plain
from recover_nb.core.result import Result, labelled
from recover_nb.prediction.ngrams import count_ngrams, predict_wide
from recover_nb.prediction.targets import OVERALL, Units, select_units, split_units
from recover_nb.prediction.transcripts import failed_numbers, failed_text
from recover_nb.stats.classification import (
    fold_interval,
    fold_scores,
    predict_out_of_fold,
    repeated_folds,
)

FEATURE_READER, NGRAMS, EMBEDDING = "features", "ngrams", "embedding"
SCORES = ("auc", "accuracy")
_ABOUT = {
    FEATURE_READER: "features of the study",
    "features_first": "the three features of the first failed rollout alone",
    "failures": "number of failed rollouts: not read, but known as soon as they are",
    "length": "tokens of a failed rollout",
    "entropy": (
        "mean entropy of the specialist, nat: the expected value of minus its tokens'"
        " log-probability"
    ),
    "log_probability": (
        "mean log-probability of the first failed rollout's tokens at temperature 1, nat; of tokens"
        " beyond those stored, an upper bound"
    ),
    EMBEDDING: "the embedder passed",
}


@dataclass(frozen=True)
class ReadingPart:
    """Scores of every reader among some units.

    Attributes
    ----------
    classes : tuple of str
    counts : int64 array, shape (class,)
        Units.
    n_problems : int
    auc, accuracy : float64 arrays, shape (reader, repeat, fold)
        One-vs-rest macro AUC (0.5 at chance; NaN for a fold of one class) and accuracy. Higher is
        better.
    """

    classes: tuple[str, ...]
    counts: np.ndarray
    n_problems: int
    auc: np.ndarray
    accuracy: np.ndarray

    @property
    def n(self) -> int:
        """Units."""
        return int(self.counts.sum())

    @property
    def majority(self) -> float:
        """Accuracy of always saying the commonest class."""
        return float(self.counts.max() / self.n)


@dataclass(frozen=True)
class Reading(Result):
    """Prediction of a label from features and from what can be read.

    Attributes
    ----------
    target, within : str, str or None
    readers : tuple of str
        The features first; the reader axis of the parts.
    about : mapping of str to str
        What each reader goes by.
    parts : mapping of str to ReadingPart
        ``"all"`` alone when nothing is taken apart.
    left_out : mapping of str to str
        Readers, parts and classes that are not used, with the reason.
    settings : mapping
    """

    title = "Could one tell by reading the failed answers?"
    chart = "plot_reading"
    following = (
        "found.to_dataframe()  # every reader beside the features",
        'found.difference("ngrams")  # the features\' lead, with its interval',
    )

    target: str
    within: str | None
    readers: tuple[str, ...]
    about: Mapping[str, str]
    parts: Mapping[str, ReadingPart]
    left_out: Mapping[str, str]
    settings: Mapping[str, object]

    def scores(self, score: str = "auc", part: str | None = None) -> np.ndarray:
        """Return a score of each reader in each fold, (reader, repeat, fold).

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
        if score not in SCORES:
            raise InputError(f"score is {score!r}; allowed: {', '.join(SCORES)}")
        if part is not None and part not in self.parts:
            raise InputError(f"no part {part!r}; allowed: {', '.join(self.parts)}")
        chosen = list(self.parts.values()) if part is None else [self.parts[part]]
        values = np.stack([getattr(each, score) for each in chosen])
        weight = np.where(
            np.isnan(values), 0.0, np.array([each.n for each in chosen])[:, None, None, None]
        )
        total = weight.sum(axis=0)
        mean = (np.nan_to_num(values) * weight).sum(axis=0) / np.maximum(total, 1)
        return np.where(total > 0, mean, np.nan)

    def difference(
        self, reader: str, score: str = "auc", part: str | None = None
    ) -> tuple[float, float, float]:
        """Return the features' score less a reader's, paired by fold, with its 95 % interval.

        Parameters
        ----------
        reader : str
            One of `readers`.
        score, part
            As in `scores`.

        Returns
        -------
        mean, low, high : float
            Above 0: the features say more. See `classification.fold_interval`.

        Raises
        ------
        InputError
            If a name is unknown.

        Examples
        --------
        >>> import recover_nb as rnb
        >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
        >>> texts = [f"it is {regime}" for regime in ds["regime"].values]
        >>> result = rnb.reading(ds, texts=texts, n_repeats=1)
        >>> lead, low, high = result.difference("ngrams")
        >>> round(lead, 2), high < 0
        (-0.34, True)
        """
        if reader not in self.readers:
            raise InputError(f"no reader {reader!r}; allowed: {', '.join(self.readers)}")
        values = self.scores(score, part)
        own = values[self.readers.index(reader)]
        return fold_interval(values[0] - own, values.shape[-1])

    @property
    def dataset(self) -> xr.Dataset:
        """Scores by part, reader, repeat and fold; problems and units of each part."""
        dims = ("part", "reader", "repeat", "fold")
        parts = self.parts.values()
        data: dict[str, Any] = {
            score: (dims, np.stack([getattr(part, score) for part in parts])) for score in SCORES
        }
        for name in ("n", "n_problems", "majority"):
            data[name] = (("part",), np.array([getattr(part, name) for part in parts]))
        data["about"] = (("reader",), [self.about[name] for name in self.readers])
        return labelled(data, {"part": self.parts, "reader": self.readers}, dict(self.settings))

    def to_dataframe(self) -> pd.DataFrame:
        """Set every reader beside the features.

        Returns
        -------
        DataFrame
            One row for each part and reader, and ``overall`` where there are several parts:
            ``target``, ``part``, ``units``, ``reader``, ``about``, ``auc`` and ``accuracy`` (means
            over folds), and for each ``*_lead``: the features' less the reader's, paired by fold,
            with its 95 % interval ``*_low``, ``*_high``; above 0 the features say more. NaN for the
            features themselves.

        Examples
        --------
        >>> import recover_nb as rnb
        >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
        >>> texts = [f"it is {regime}" for regime in ds["regime"].values]
        >>> result = rnb.reading(ds, texts=texts, n_repeats=1)
        >>> result.to_dataframe()[["reader", "auc", "auc_lead"]].round(2)
             reader   auc  auc_lead
        0  features  0.66       NaN
        1    ngrams  1.00     -0.34
        """
        rows = []
        parts: list[str | None] = list(self.parts)
        for part in parts + ([None] if len(parts) > 1 else []):
            chosen = self.parts.values() if part is None else [self.parts[part]]
            units = sum(each.n for each in chosen)
            head = {"target": self.target, "part": part or OVERALL, "units": units}
            scores = {name: self.scores(name, part) for name in ("auc", "accuracy")}
            for place, reader in enumerate(self.readers):
                row = head | {"reader": reader, "about": self.about[reader]}
                for name, values in scores.items():
                    lead = self.difference(reader, name, part) if place else (np.nan,) * 3
                    known = values[place][~np.isnan(values[place])]
                    row[name] = float(known.mean()) if len(known) else np.nan
                    ends = (f"{name}_lead", f"{name}_low", f"{name}_high")
                    row |= dict(zip(ends, lead, strict=True))
                rows.append(row)
        return pd.DataFrame(rows)

    @property
    def sentence(self) -> str:
        """AUC of each reader in words, with its difference from the features."""
        auc = self.scores()
        head = "" if self.within is None else f" within each {self.within} ({len(self.parts)})"
        rest = []
        for place, name in enumerate(self.readers[1:], start=1):
            mean, low, high = self.difference(name)
            rest.append(
                f"{name} {np.nanmean(auc[place]):.3f} ({mean:+.3f} [{low:+.3f}, {high:+.3f}])"
            )
        return (
            f"{self.target}{head}: AUC of the features {np.nanmean(auc[0]):.3f}; of readers, with"
            f" the features' lead over them: {', '.join(rest)}."
        )

    def to_dict(self) -> dict:
        """Return the figures as plain data, NaN as None."""
        parts = {}
        for name, part in self.parts.items():
            stored = {each.name: getattr(part, each.name) for each in fields(part)}
            listed = {
                key: x.tolist() if isinstance(x, np.ndarray) else x for key, x in stored.items()
            }
            parts[name] = {**listed, "n": part.n, "majority": part.majority}
        leads = {
            name: {each: list(self.difference(name, each)) for each in SCORES}
            for name in self.readers[1:]
        }
        head = {
            each.name: getattr(self, each.name) for each in fields(self) if each.name != "parts"
        }
        return plain({**head, "leads": leads, "parts": parts, "sentence": self.sentence})


def reading(
    ds: xr.Dataset,
    *,
    target: str = "regime",
    within: str | None = None,
    embedder: Callable[[list[str]], Any] | None = None,
    rollouts: str = "all",
    prompt: bool = False,
    texts: Sequence[str] | None = None,
    tokenizers: Mapping[str, Any] | None = None,
    features: Sequence[str] | None = None,
    ngrams: tuple[int, int] = (1, 4),
    n_splits: int = 5,
    n_repeats: int = 5,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Reading:
    """Predict a label of failed problems from the text of their failed rollouts and their features.

    Parameters
    ----------
    ds : Dataset
        A study with traces, as `topography` takes it; a profile table needs `texts`.
    target, within, features
        As in `topography`. Pooled over cells, a text is read for its task first: use
        ``within="cell"`` to ask whether it says what one problem of a cell needs and another does
        not.
    embedder : callable, optional
        From a list of texts to an array (text, dimension): any sentence embedder that learned
        nothing from this study.
    rollouts : {"all", "first"}
        Read all failed rollouts of a problem, the evidence that the features are means over, or the
        first alone; then the features of that rollout alone are compared too.
    prompt : bool
        Read the prompt too.
    texts : sequence of str, optional
        Texts to read instead, one a problem of `ds`.
    tokenizers : mapping, optional
        See `transcripts.failed_text`.
    ngrams : pair of int
        Shortest and longest character n-gram.
    n_splits, n_repeats, seed : int
        As in `topography`: the folds are the same.
    progress : callable, optional
        Called with the name of a part for each repeat of it.

    Returns
    -------
    Reading

    Raises
    ------
    InputError
        If there is no text, a name is unknown or not in the study, or `embedder` returns something
        else.

    Notes
    -----
    docs/method.md#12-not-by-reading. n-grams: TF-IDF (sublinear; document frequencies of the
    training folds only) and logistic regression. Numbers (`transcripts.failed_numbers`): the same
    regression as for the features. The text of all failed rollouts also shows how many there are,
    which alone says much about a regime: see the reader ``failures``.

    Examples
    --------
    Texts that give the regime away say more of it than the features do.

    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
    >>> texts = [f"it is {regime}" for regime in ds["regime"].values]
    >>> result = rnb.reading(ds, texts=texts, n_repeats=1)
    >>> print(rnb.tables.paragraphs(result.sentence, width=80))
    regime: AUC of the features 0.658; of readers, with the features' lead over
    them: ngrams 1.000 (-0.342 [-0.666, -0.018]).
    """
    for name, value, least in (
        ("n_splits", n_splits, 2),
        ("n_repeats", n_repeats, 1),
        ("seed", seed, 0),
    ):
        check_whole(name, value, least)
    _check_ngrams(ngrams)
    names = FEATURES if features is None else features
    units = select_units(ds, target=target, features=names, within=within)
    parts, left_out = split_units(units, target, n_splits)
    read = _given(texts, ds.sizes["problem"])
    if read is None:
        read = failed_text(ds, rollouts=rollouts, prompt=prompt, tokenizers=tokenizers)
    inputs, missing = _inputs(units, read, failed_numbers(ds, rollouts), embedder, ngrams)
    folds = {"n_splits": n_splits, "n_repeats": n_repeats, "seed": seed}
    tell, found = progress or (lambda part: None), {}
    for name, part in parts.items():
        rows = np.searchsorted(units.rows, part.rows)
        found[name] = _score(
            part, {each: x[rows] for each, x in inputs.items()}, folds, partial(tell, name)
        )
    about = _ABOUT | {NGRAMS: _say_ngrams(ngrams, rollouts if texts is None else None, prompt)}
    about = {each: about[each] for each in inputs}
    settings = {
        **folds,
        "features": list(names),
        "ngrams": list(ngrams),
        "given": texts is not None,
    }
    settings |= {"rollouts": rollouts, "prompt": prompt}
    return Reading(target, within, tuple(inputs), about, found, missing | left_out, settings)


def _say_ngrams(ngrams: tuple[int, int], rollouts: str | None, prompt: bool) -> str:
    """Say what the n-grams are of."""
    head = f"character n-grams of {ngrams[0]} to {ngrams[1]}"
    if rollouts is None:
        return f"{head} in the texts passed"
    which = "all failed rollouts" if rollouts == "all" else "the first failed rollout"
    return f"{head} in {which}{' and the prompt' if prompt else ''}"


def _inputs(
    units: Units,
    read: np.ndarray,
    numbers: dict[str, np.ndarray],
    embedder: Callable[[list[str]], Any] | None,
    ngrams: tuple[int, int],
) -> tuple[dict[str, np.ndarray | csr_matrix], dict[str, str]]:
    """Return what each reader goes by, one row a unit, and the readers that cannot be used."""
    mine = [str(each) for each in read[units.rows]]
    inputs: dict[str, np.ndarray | csr_matrix] = {
        FEATURE_READER: units.x,
        NGRAMS: count_ngrams(mine, ngrams),
    }
    left_out = {}
    for name, values in numbers.items():
        unknown = int(np.isnan(values[units.rows]).any(axis=1).sum())
        if unknown:
            left_out[name] = f"not known of {unknown} of {len(units.rows)} units"
        else:
            inputs[name] = values[units.rows]
    if embedder is not None:
        inputs[EMBEDDING] = _embed(embedder, mine)
    return inputs, left_out


def _score(
    part: Units,
    inputs: dict[str, np.ndarray | csr_matrix],
    folds: dict[str, int],
    tell: Callable[[], None],
) -> ReadingPart:
    """Score every reader in every fold of one part."""
    classes, code = np.unique(part.label, return_inverse=True)
    accuracy, auc = [], []
    for fold in repeated_folds(code, part.group, **folds):
        pairs = []
        for name, x in inputs.items():
            predict = predict_wide if name in (NGRAMS, EMBEDDING) else _predict
            pairs.append(fold_scores(code, predict(x, code, fold, len(classes)), fold))
        accuracy.append([pair[0] for pair in pairs])
        auc.append([pair[1] for pair in pairs])
        tell()
    return ReadingPart(
        classes=tuple(classes.tolist()),
        counts=np.bincount(code),
        n_problems=len(np.unique(part.group)),
        auc=np.swapaxes(auc, 0, 1),
        accuracy=np.swapaxes(accuracy, 0, 1),
    )


def _predict(x: np.ndarray, code: np.ndarray, fold: np.ndarray, n_classes: int) -> np.ndarray:
    return predict_out_of_fold(x, code, fold, n_classes)[0]


def _embed(embedder: Callable[[list[str]], Any], texts: list[str]) -> np.ndarray:
    """Call the embedder and check what it returns."""
    values = np.asarray(embedder(list(texts)))
    if values.ndim != 2 or len(values) != len(texts) or values.dtype.kind not in "fiub":
        raise InputError(
            f"embedder returned an array of shape {values.shape} and dtype {values.dtype} for"
            f" {len(texts)} texts; allowed: numbers of shape ({len(texts)}, dimension)"
        )
    if not np.isfinite(values.astype(float)).all():
        raise InputError("embedder returned NaN or an infinite number; allowed: finite numbers")
    return values.astype(float)


def _given(texts: Sequence[str] | None, n: int) -> np.ndarray | None:
    if texts is None:
        return None
    if (
        isinstance(texts, str)
        or len(texts) != n
        or not all(isinstance(each, str) for each in texts)
    ):
        shown = "one string" if isinstance(texts, str) else f"{len(texts)} items"
        raise InputError(f"texts is {shown}; allowed: {n} strings, one a problem of the study")
    return np.array(list(texts), dtype=object)


def _check_ngrams(ngrams: tuple[int, int]) -> None:
    whole = len(ngrams) == 2 and all(isinstance(each, int | np.integer) for each in ngrams)
    if not whole or not 1 <= ngrams[0] <= ngrams[1]:
        raise InputError(
            f"ngrams is {ngrams!r}; allowed: two whole numbers, the shortest (at least 1) and the"
            " longest"
        )
