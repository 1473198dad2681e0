"""What `training_gain` returns: what training fixed, what told so before, what checkpoints save.

docs/method.md#17-training-gain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.labels import Intervention, Verdict
from recover_nb.core.result import Result, labelled
from recover_nb.prediction.baselines import FAILURES, LEVEL, SIGNIFICANT
from recover_nb.prediction.gain_readers import FEATURES_READER, TEXT_ALL, TEXT_FIRST, Readers

#: The predictor that the claim is about, and what it has to beat.
MIXTURE = Intervention.DENSE_SAMPLE.value
RIVALS = (
    Intervention.RETRY.value,
    FAILURES,
    LEVEL,
    FEATURES_READER,
    TEXT_FIRST,
    TEXT_ALL,
)


@dataclass(frozen=True)
class Shares:
    """What changed, by regime: every array is (group, seed) unless said otherwise.

    Attributes
    ----------
    groups : tuple of str
    units, at_risk : (group,) int
        Problems, and those right less than half of the time before.
    fixed, fixed_by_redraw : float
        Share of those at risk that are right at least 80 % of the time after; and of those right
        less than half of the time in the study, the share that a redraw alone brings there.
    forgotten, forgotten_by_redraw : float
        Of those right at least 80 % of the time when redrawn: the share right less than half of the
        time after, and in another redraw (NaN with one seed).
    observed, redrawn, after, change : float
        Mean pass rate in the study, redrawn, and after; after less redrawn.
    change_ends : (group, 2) float
        95 % interval of the mean change over questions.
    """

    groups: tuple[str, ...]
    units: np.ndarray
    at_risk: np.ndarray
    fixed: np.ndarray
    fixed_by_redraw: np.ndarray
    forgotten: np.ndarray
    forgotten_by_redraw: np.ndarray
    observed: np.ndarray
    redrawn: np.ndarray
    after: np.ndarray
    change: np.ndarray
    change_ends: np.ndarray

    def of(self, name: str, group: str) -> np.ndarray:
        """Return a figure of one group, by seed."""
        return getattr(self, name)[self.groups.index(group)]


@dataclass(frozen=True)
class Arms:
    """Which failures each arm saves with the same number of attempts.

    Attributes
    ----------
    names : tuple of str
    saved : (arm, failure, seed) bool
        At least one attempt is right.
    tokens : (arm,) float
        Mean length of an attempt: forward passes of one model.
    units : (failure,) str
        ``family|method|task|problem_id``.
    """

    names: tuple[str, ...]
    saved: np.ndarray
    tokens: np.ndarray
    units: np.ndarray

    @property
    def alone(self) -> np.ndarray:
        """What an arm saves and no other does, (arm, failure, seed) bool."""
        return self.saved & (self.saved.sum(axis=0) == 1)

    def units_alone(self, name: str) -> list[str]:
        """Return the failures that one arm alone saves with every seed."""
        return self.units[self.alone[self.names.index(name)].all(axis=1)].tolist()


@dataclass(frozen=True, repr=False)
class TrainingGain(Result):
    """Which failures further training fixes, and what tells so beforehand.

    Attributes
    ----------
    shares : Shares
    readers : Readers
    arms : Arms
    settings : mapping
    """

    title = "Which failures does training on fix?"
    chart = "plot_training_gain"
    following = (
        "found.to_dataframe()  # everything that predicts, side by side",
        "found.shares_frame()  # what was fixed and forgotten, by regime, beside a redraw",
        "found.arms_frame()  # what each arm saves, and what it alone saves",
    )

    shares: Shares
    readers: Readers
    arms: Arms
    settings: Mapping[str, object]

    @property
    def rivals(self) -> tuple[str, ...]:
        """What the mixture's rescue rate has to beat for the verdict."""
        return tuple(name for name in RIVALS if name in self.readers.names)

    @property
    def verdict(self) -> Verdict:
        """Whether the rescue rate of the sampled mixture tells more than all that is cheaper.

        The rule was written before the run. Supported: its AUC is above that of permuted labels
        (p below 0.05), and its lead over each of `rivals` lies above 0 by both intervals.
        Contradicted: one lead lies below 0 by both.
        """
        names = self.readers.names
        if MIXTURE not in names or not set(RIVALS) <= set(names):
            return Verdict.NOT_TESTABLE
        found = {self.readers.lead(MIXTURE, name).verdict for name in self.rivals}
        p = self.readers.p(MIXTURE)
        if Verdict.NOT_TESTABLE in found or np.isnan(p):
            return Verdict.NOT_TESTABLE
        if Verdict.CONTRADICTED in found:
            return Verdict.CONTRADICTED
        sure = found == {Verdict.SUPPORTED} and p < SIGNIFICANT
        return Verdict.SUPPORTED if sure else Verdict.NOT_SHOWN

    @property
    def sentence(self) -> str:
        """What was fixed, what told so, what was forgotten and what checkpoints save, in words."""
        said = (self._fixed(), self._told(), self._forgot(), self._saved())
        return " ".join(each for each in said if each)

    def _fixed(self) -> str:
        shares, whole = self.shares, "all_failed"
        return (
            f"Of {shares.of('at_risk', whole)} failures right less than half of the time,"
            f" {_percent(shares.of('fixed', whole))} are right at least 80 % of the time after"
            f" {self.settings['checkpoints'][-1]} steps more"  # type: ignore[index]
            f" (a redraw alone: {_percent(shares.of('fixed_by_redraw', whole))})."
        )

    def _told(self) -> str:
        """Say how well the mixture tells which, beside what is cheaper, the best first."""
        readers = self.readers
        known = [name for name in (MIXTURE, *self.rivals) if name in readers.names]
        means = {name: readers.score(name).value for name in known}
        best = sorted(known, key=lambda name: -means[name])
        said = ", ".join(f"{name} {means[name]:.3f}" for name in best)
        return f"What tells which, beforehand, by AUC within cells: {said}." if said else ""

    def _forgot(self) -> str:
        shares, name = self.shares, "never_failed"
        if not shares.of("units", name):
            return "No problem that never failed was asked."
        return (
            f"Of {shares.of('units', name)} problems that never failed,"
            f" {_percent(shares.of('forgotten', name))} are forgotten (in a redraw:"
            f" {_percent(shares.of('forgotten_by_redraw', name))})."
        )

    def _saved(self) -> str:
        whole = 100 * self.arms.saved.mean(axis=(1, 2))
        said = ", ".join(f"{name} {whole[at]:.1f} %" for at, name in enumerate(self.arms.names))
        return f"{self.settings['budget']} attempts each save: {said} of {len(self.arms.units):,}."

    def to_dataframe(self) -> pd.DataFrame:
        """Set everything that predicts side by side, the best first.

        Returns
        -------
        DataFrame
            One row for each: ``predictor``, ``about``, ``auc`` within cells with its 95 % intervals
            ``auc_low``, ``auc_high`` (over folds) and ``auc_low_checkpoints``,
            ``auc_high_checkpoints``; ``auc_least``, ``auc_most`` over seeds; ``null``, the mean AUC
            of permuted labels, and ``p``; ``rank``, the rank correlation with the change; ``lead``,
            the mixture's AUC less this one's, with its intervals.
        """
        readers, rows = self.readers, []
        for at, name in enumerate(readers.names):
            own, seeds = readers.score(name), readers.by_seed[at]
            row: dict[str, Any] = {"predictor": name, "about": readers.about[name]}
            row |= _columns("auc", own)
            row |= {"auc_least": np.nanmin(seeds), "auc_most": np.nanmax(seeds)}
            row |= {"null": _known_mean(readers.null[at]), "p": readers.p(name)}
            row["rank"] = _known_mean(readers.rank[at])
            if MIXTURE in readers.names:
                row |= _columns("lead", readers.lead(MIXTURE, name))
            rows.append(row)
        frame = pd.DataFrame(rows).sort_values("auc", ascending=False, kind="stable")
        return frame.reset_index(drop=True)

    def shares_frame(self) -> pd.DataFrame:
        """Say what was fixed and forgotten by regime: means over seeds, and their least and most.

        Returns
        -------
        DataFrame
            ``group``, ``units``, ``at_risk``, and each figure of `Shares`; ``fixed_least`` and
            ``fixed_most`` over seeds, ``change_low`` and ``change_high`` over questions.
        """
        shares, rows = self.shares, []
        names = ("fixed", "fixed_by_redraw", "forgotten", "forgotten_by_redraw")
        for at, group in enumerate(shares.groups):
            row: dict[str, Any] = {"group": group}
            row |= {"units": int(shares.units[at]), "at_risk": int(shares.at_risk[at])}
            for name in (*names, "observed", "redrawn", "after", "change"):
                row[name] = _known_mean(getattr(shares, name)[at])
            row["fixed_least"], row["fixed_most"] = _range(shares.fixed[at])
            row["change_low"], row["change_high"] = shares.change_ends[at]
            rows.append(row)
        return pd.DataFrame(rows)

    def arms_frame(self) -> pd.DataFrame:
        """Say what each arm saves at the budget.

        Returns
        -------
        DataFrame
            ``arm``, ``saved`` and ``alone`` (mean numbers of failures over seeds), their shares,
            ``alone_every_seed`` (number), ``tokens`` of an attempt.
        """
        arms, rows = self.arms, []
        for at, name in enumerate(arms.names):
            saved, alone = (each[at].sum(axis=0).mean() for each in (arms.saved, arms.alone))
            n = len(arms.units)
            rows.append(
                {
                    "arm": name,
                    "saved": saved,
                    "saved_share": saved / n,
                    "alone": alone,
                    "alone_share": alone / n,
                    "alone_every_seed": len(arms.units_alone(name)),
                    "tokens": arms.tokens[at],
                }
            )
        return pd.DataFrame(rows)

    @property
    def dataset(self) -> xr.Dataset:
        """Every figure by group, predictor and arm; ``saved`` by arm, failure and seed."""
        shares, readers, arms = self.shares, self.readers, self.arms
        data: dict[str, Any] = {
            name: (("group", "seed"), getattr(shares, name))
            for name in ("fixed", "fixed_by_redraw", "forgotten", "forgotten_by_redraw", "change")
        }
        data |= {name: (("group",), getattr(shares, name)) for name in ("units", "at_risk")}
        data["auc"] = (("predictor", "repeat", "fold"), readers.auc)
        data["auc_by_seed"] = (("predictor", "seed"), readers.by_seed)
        data["rank"] = (("predictor", "repeat", "fold"), readers.rank)
        data["null"] = (("predictor", "permutation"), readers.null)
        data["saved"] = (("arm", "failure", "seed"), arms.saved)
        data["tokens"] = (("arm",), arms.tokens)
        coords = {"group": shares.groups, "predictor": readers.names, "arm": arms.names}
        coords |= {"failure": arms.units}
        return labelled(data, coords, dict(self.settings))


def _columns(name: str, lead: Any) -> dict[str, float]:
    ends = ("", "_low", "_high", "_low_checkpoints", "_high_checkpoints")
    return {f"{name}{end}": value for end, value in zip(ends, lead, strict=True)}


def _known_mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _range(values: np.ndarray) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    return (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)


def _percent(values: np.ndarray) -> str:
    mean = _known_mean(values)
    return "none known" if np.isnan(mean) else f"{100 * mean:.1f} %"
