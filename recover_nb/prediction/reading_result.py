"""What `reading` returns: features against the text, and against what knows no signal.

See docs/method.md#12-not-by-reading.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Verdict
from recover_nb.core.plain import plain
from recover_nb.core.result import labelled
from recover_nb.core.titles import named
from recover_nb.prediction.baselines import (
    ABOUT as NO_SIGNAL_ABOUT,
)
from recover_nb.prediction.baselines import (
    BASELINES,
    COMMONEST,
    FEATURES_ALONE,
    NO_SIGNAL,
    SCORES,
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

NGRAMS, EMBEDDING = "ngrams", "embedding"
#: Readers of many columns, which have a regression of their own.
WIDE = (NGRAMS, EMBEDDING)
ABOUT: Mapping[str, str] = {
    **NO_SIGNAL_ABOUT,
    FEATURES_ALONE: "features of the study",
    "features_first": "the three features of the first failed rollout alone",
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
    checkpoint : int
        The checkpoint that all units are of; -1 for several.
    """

    classes: tuple[str, ...]
    counts: np.ndarray
    n_problems: int
    auc: np.ndarray
    accuracy: np.ndarray
    checkpoint: int = -1

    @property
    def n(self) -> int:
        """Units."""
        return int(self.counts.sum())

    @property
    def majority(self) -> float:
        """Accuracy of always saying the commonest class."""
        return float(self.counts.max() / self.n)


@dataclass(frozen=True)
class Reading(OverPopulations):
    """Prediction of a label from features and from what can be read.

    Figures are of the first population; `over` gives the same of another.

    Attributes
    ----------
    target, within : str, str or None
    readers : tuple of str
        The features first; the reader axis of the parts. Those that neither read nor see a signal
        are ``level``, ``prompt_length``, ``failures``, all of them together as ``no_signal``, and
        ``commonest``.
    about : mapping of str to str
        What each reader goes by.
    parts : mapping of str to ReadingPart
        ``"all"`` alone when nothing is taken apart.
    left_out : mapping of str to str
        Populations, readers, parts and classes that are not used, with the reason.
    settings : mapping
    population : str
        Which failures the figures are about (docs/method.md#populations).
    one_checkpoint : bool
        Each method of each family is one checkpoint.
    others : mapping of str to Reading
        The other populations.
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
    population: str = FAILED
    one_checkpoint: bool = False
    others: Mapping[str, "Reading"] = field(default_factory=dict)

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
        return mean_over_parts(
            [getattr(each, score) for each in chosen], [each.n for each in chosen]
        )

    def difference(self, reader: str, score: str = "auc", part: str | None = None) -> Lead:
        """Return the features' score less a reader's, paired by fold, with 95 % intervals.

        Parameters
        ----------
        reader : str
            One of `readers`.
        score, part
            As in `scores`.

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
        >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
        >>> texts = [f"it is {regime}" for regime in ds["regime"].values]
        >>> result = rnb.reading(ds, texts=texts, n_repeats=1)
        >>> lead = result.difference("ngrams")
        >>> round(lead.value, 2), lead.high < 0
        (-0.48, True)
        """
        if reader not in self.readers:
            raise InputError(f"no reader {reader!r}; allowed: {', '.join(self.readers)}")
        self.scores(score, part)  # Names are checked there.
        place = self.readers.index(reader)
        chosen = list(self.parts.values()) if part is None else [self.parts[part]]
        scores = [getattr(each, score) for each in chosen]
        return lead_of(
            [each[0] - each[place] for each in scores],
            [each.n for each in chosen],
            [each.checkpoint for each in chosen],
        )

    @property
    def rivals(self) -> tuple[str, ...]:
        """What the features must beat for the verdict: the text, and all that knows no signal."""
        return tuple(name for name in (NGRAMS, *BASELINES) if name in self.readers)

    @property
    def verdict(self) -> Verdict:
        """Whether features tell more than the text does, and than what knows no signal.

        Supported if the lead in AUC over each of `rivals` lies above 0, by both intervals;
        contradicted if one lies below 0.
        """
        found = {self.difference(name).verdict for name in self.rivals}
        if NO_SIGNAL not in self.readers or Verdict.NOT_TESTABLE in found:
            return Verdict.NOT_TESTABLE
        if Verdict.CONTRADICTED in found:
            return Verdict.CONTRADICTED
        return Verdict.SUPPORTED if found == {Verdict.SUPPORTED} else Verdict.NOT_SHOWN

    @property
    def dataset(self) -> xr.Dataset:
        """Scores by population, part, reader, repeat and fold; problems and units of each part."""
        return stack_populations(
            {name: each._labelled() for name, each in self.populations.items()}
        )

    def _labelled(self) -> xr.Dataset:
        """Label the figures of this population."""
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
            One row for each population, part and reader, and ``overall`` where there are several
            parts: ``population``, ``target``, ``part``, ``units``, ``reader``, ``about``, ``auc``
            and ``accuracy`` (means over folds), and for each ``*_lead``: the features' less the
            reader's, paired by fold, with its 95 % intervals ``*_low``, ``*_high`` (over folds) and
            ``*_low_checkpoints``, ``*_high_checkpoints``; above 0 the features say more. NaN for
            the features themselves.

        Examples
        --------
        >>> import recover_nb as rnb
        >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
        >>> texts = [f"it is {regime}" for regime in ds["regime"].values]
        >>> result = rnb.reading(ds, texts=texts, n_repeats=1)
        >>> frame = result.to_dataframe().query("population == 'failed_first_1'")
        >>> frame[["reader", "auc", "auc_lead"]].round(2)
              reader   auc  auc_lead
        0   features  0.52       NaN
        1     ngrams  1.00     -0.48
        2   failures  0.70     -0.19
        3  no_signal  0.70     -0.19
        4  commonest  0.50      0.02
        """
        rows = []
        for found in self.populations.values():
            parts: list[str | None] = list(found.parts)
            for part in parts + ([None] if len(parts) > 1 else []):
                rows += found._rows(part)
        return pd.DataFrame(rows)

    def _rows(self, part: str | None) -> list[dict[str, Any]]:
        """Return one row for each reader: of a part, or of all."""
        chosen = self.parts.values() if part is None else [self.parts[part]]
        units = sum(each.n for each in chosen)
        head = {"population": self.population, "target": self.target}
        head |= {"part": part or OVERALL, "units": units}
        scores = {name: self.scores(name, part) for name in SCORES}
        rows = []
        for place, reader in enumerate(self.readers):
            row: dict[str, Any] = {**head, "reader": reader, "about": self.about[reader]}
            for name, values in scores.items():
                lead = self.difference(reader, name, part) if place else Lead(*[np.nan] * 3)
                known = values[place][~np.isnan(values[place])]
                row[name] = float(known.mean()) if len(known) else np.nan
                ends = ("lead", *Lead._fields[1:])
                row |= {f"{name}_{end}": value for end, value in zip(ends, lead, strict=True)}
            rows.append(row)
        return rows

    @property
    def sentence(self) -> str:
        """AUC of each reader in words, with its difference from the features."""
        head = "" if self.within is None else f" within each {self.within} ({len(self.parts)})"
        said = [f"{self.target}{head}, {self._figures(self.readers[1:])}."]
        said += [
            f"{capitalised(each._figures(each.rivals, brief=True))}."
            for each in self.others.values()
        ]
        if self.one_checkpoint and self.target in ("method", "model", "cell"):
            said.append("One checkpoint per family and method: this is about those checkpoints.")
        return " ".join(said)

    def _figures(self, readers: Sequence[str], *, brief: bool = False) -> str:
        """Say how the features do beside some readers, over one population."""
        auc = dict(zip(self.readers, self.scores(), strict=True))
        n = sum(part.n for part in self.parts.values())
        rest = ", ".join(
            f"{WORDS.get(name, name)} {np.nanmean(auc[name]):.3f}"
            f" ({say_lead(self.difference(name), brief=brief)})"
            for name in readers
            if name != COMMONEST
        )
        return (
            f"{named(self.population)} ({n:,}): AUC of the features"
            f" {np.nanmean(auc[FEATURES_ALONE]):.3f}; of each reader, with the features' lead"
            f" over it: {rest}"
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
            name: {each: self.difference(name, each)._asdict() for each in SCORES}
            for name in self.readers[1:]
        }
        head = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name not in ("parts", "others")
        }
        others = {name: each.to_dict() for name, each in self.others.items()}
        said = {"verdict": str(self.verdict), "sentence": self.sentence}
        return plain({**head, "leads": leads, "parts": parts, "others": others, **said})
