"""What `monitor` returns: tokens saved beside right answers lost, and what a forced cue rescues.

docs/method.md#20-cues.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.labels import Verdict
from recover_nb.core.result import Result, labelled

ALL = "all"
#: Monitors: with cues; the same traces, cues not looked at; traces of `sft`, which has no cues; and
#: the first one's stops dealt to other traces.
CUES, WITHOUT, WITHOUT_TRAINING, RANDOM = "cues", "without_cues", "untrained", "random"
#: Arms: again; again, stopped by the monitor; drawn anew where the monitor doubts; a cue forced.
RETRY, STOPPED, REDRAW, FORCED = "retry", "stop_retry", "redraw", "force_cue"
#: Shares of right answers lost at which a curve is given, and those that are told.
LEVELS = tuple(np.round(np.arange(0, 0.1001, 0.005), 3).tolist())
TOLD = (0.0, 0.01, 0.03)
#: Where the verdict is read off.
JUDGED = 0.03


@dataclass(frozen=True)
class Curves:
    """Share of tokens saved, by group, monitor and share of right answers lost.

    Attributes
    ----------
    groups, names : tuple of str
    value : (group, monitor, level) float
    drawn : (group, monitor, resample, level) float
    """

    groups: tuple[str, ...]
    names: tuple[str, ...]
    value: np.ndarray
    drawn: np.ndarray

    def saved(self, name: str, level: float, group: str = ALL) -> tuple[float, float, float]:
        """Return the share saved and its 95 % interval."""
        at = self.groups.index(group), self.names.index(name)
        return _ends(self.value[at][LEVELS.index(level)], self.drawn[at][:, LEVELS.index(level)])

    def lead(self, name: str, level: float, group: str = ALL) -> tuple[float, float, float]:
        """Return how much more the monitor with cues saves than another, and its 95 % interval."""
        g, level_at = self.groups.index(group), LEVELS.index(level)
        one, other = self.names.index(CUES), self.names.index(name)
        value = self.value[g, one, level_at] - self.value[g, other, level_at]
        return _ends(value, self.drawn[g, one, :, level_at] - self.drawn[g, other, :, level_at])


@dataclass(frozen=True)
class Deployed:
    """What the threshold that was chosen on dev does on test: arrays by monitor.

    Attributes
    ----------
    names : tuple of str
    threshold, saved, lost : (monitor,) float
    """

    names: tuple[str, ...]
    threshold: np.ndarray
    saved: np.ndarray
    lost: np.ndarray


@dataclass(frozen=True)
class Rescues:
    """What each arm rescues of the failed problems for the same tokens.

    Attributes
    ----------
    names : tuple of str
    rate, tokens : (arm,) float
        Share of right attempts, and tokens of an attempt.
    rescued : (arm, problem) float
        Chance of one right attempt within the budget.
    drawn : (resample, arm) float
        Its mean in each resample.
    family : (problem,) str
    """

    names: tuple[str, ...]
    rate: np.ndarray
    tokens: np.ndarray
    rescued: np.ndarray
    drawn: np.ndarray
    family: np.ndarray

    def lead(self, name: str, over: str) -> tuple[float, float, float]:
        """Return how much more one arm rescues than another, and its 95 % interval."""
        one, other = self.names.index(name), self.names.index(over)
        value = float((self.rescued[one] - self.rescued[other]).mean())
        return _ends(value, self.drawn[:, one] - self.drawn[:, other])


def _ends(value: float, drawn: np.ndarray) -> tuple[float, float, float]:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(value), float(low), float(high)


@dataclass(frozen=True, repr=False)
class MonitorResult(Result):
    """What a monitor of cues saves, and what a forced cue rescues.

    Attributes
    ----------
    curves : Curves
    deployed : Deployed
    rescues : Rescues
    traces : mapping of str to float
        Of the test traces: shares right and mean lengths of `cued` and `sft`, how many had a
        doubtful cue, and how many of those, and of the others, were wrong; and how often `sft` is
        right on the problems that `cued` failed.
    settings : mapping
    """

    title = "Do cues tell which traces to stop?"
    chart = "plot_monitor"
    following = (
        "found.to_dataframe()  # tokens saved at each share of right answers lost",
        "found.rescue_frame()  # what forcing a cue rescues, beside asking again",
        "found.deployed_frame()  # the threshold chosen on dev, judged on test",
    )

    curves: Curves
    deployed: Deployed
    rescues: Rescues
    traces: Mapping[str, float]
    settings: Mapping[str, object]

    @property
    def verdict(self) -> Verdict:
        """Whether cues tell a monitor which traces to stop.

        The rule was written before test was looked at. At 3 % of right answers lost, the monitor
        with cues saves more than the same monitor without, than that of `sft`, and than stops dealt
        at random: supported if every lead lies above 0, contradicted if one of the first two lies
        below 0.
        """
        leads = [self.curves.lead(name, JUDGED) for name in (WITHOUT, WITHOUT_TRAINING, RANDOM)]
        if any(high < 0 for _, _, high in leads[:2]):
            return Verdict.CONTRADICTED
        return Verdict.SUPPORTED if all(low > 0 for _, low, _ in leads) else Verdict.NOT_SHOWN

    @property
    def lever_verdict(self) -> Verdict:
        """Whether forcing a cue rescues more than asking again with the same tokens.

        Supported if the lead over `retry` and over `redraw` lies above 0; contradicted if the
        former lies below 0.
        """
        leads = [self.rescues.lead(FORCED, name) for name in (RETRY, REDRAW)]
        if leads[0][2] < 0:
            return Verdict.CONTRADICTED
        return Verdict.SUPPORTED if all(low > 0 for _, low, _ in leads) else Verdict.NOT_SHOWN

    @property
    def sentence(self) -> str:
        """What is saved and lost, beside what, and what a forced cue rescues, in words."""
        return " ".join([self._saved(), self._doubted(), self._rescued()])

    def _saved(self) -> str:
        said = []
        for level in TOLD:
            each = (f"{name} {_span(self.curves.saved(name, level))}" for name in self.curves.names)
            said.append(f"with {100 * level:g} % of right answers lost, {', '.join(each)}")
        leads = ", ".join(
            f"{name} {_points(self.curves.lead(name, JUDGED))}"
            for name in (WITHOUT, WITHOUT_TRAINING, RANDOM)
        )
        return (
            f"Tokens saved: {'; '.join(said)}. Lead of cues at {100 * JUDGED:g} % lost over"
            f" {leads}."
        )

    def _doubted(self) -> str:
        traces = self.traces
        return (
            f"{100 * traces['doubted']:.0f} % of traces have a doubtful cue;"
            f" {100 * traces['wrong_if_doubted']:.0f} % of those are wrong, and"
            f" {100 * traces['wrong_if_not']:.0f} % of the others. A trace has"
            f" {traces['tokens']:.1f} tokens and is right {100 * traces['right']:.1f} % of the time"
            f" (sft: {traces['tokens_sft']:.1f} and {100 * traces['right_sft']:.1f} %)."
        )

    def _rescued(self) -> str:
        rescues = self.rescues
        rates = dict(zip(rescues.names, rescues.rate, strict=True))
        whole = ", ".join(
            f"{name} {100 * rescues.rescued[at].mean():.1f} %"
            for at, name in enumerate(rescues.names)
        )
        over = ", ".join(
            f"{name} {_points(rescues.lead(FORCED, name))}" for name in (RETRY, REDRAW)
        )
        return (
            f"Of {rescues.rescued.shape[1]:,} failed problems, rescued with the tokens of"
            f" {self.settings['budget']} retries: {whole}; share of single attempts that are right:"
            f" {RETRY} {100 * rates[RETRY]:.1f} %, {FORCED} {100 * rates[FORCED]:.1f} % (sft on the"
            f" same problems: {100 * self.traces['right_sft_failed']:.1f} %). Lead of {FORCED} over"
            f" {over}: {self.lever_verdict.value}."
        )

    def to_dataframe(self) -> pd.DataFrame:
        """Return the curves as a table.

        Returns
        -------
        DataFrame
            One row for each group, share of right answers `lost` and `monitor`: ``saved`` with its
            95 % interval ``saved_low``, ``saved_high``, and the ``lead`` of cues over it with
            ``lead_low``, ``lead_high``.
        """
        rows = []
        for group in self.curves.groups:
            for level in LEVELS:
                for name in self.curves.names:
                    row: dict[str, Any] = {"group": group, "lost": level, "monitor": name}
                    row |= _columns("saved", self.curves.saved(name, level, group))
                    rows.append(row | _columns("lead", self.curves.lead(name, level, group)))
        return pd.DataFrame(rows)

    def deployed_frame(self) -> pd.DataFrame:
        """Return what the threshold chosen on dev saves and loses on test.

        Returns
        -------
        DataFrame
            ``monitor``, ``threshold``, ``saved``, ``lost``.
        """
        found = self.deployed
        return pd.DataFrame(
            {
                "monitor": found.names,
                "threshold": found.threshold,
                "saved": found.saved,
                "lost": found.lost,
            }
        )

    def rescue_frame(self) -> pd.DataFrame:
        """Return what each arm rescues for the same tokens.

        Returns
        -------
        DataFrame
            ``arm``, ``rate`` of right attempts, ``tokens`` of an attempt, ``rescued`` within the
            budget with ``rescued_low``, ``rescued_high``, the same by family, and the ``lead`` over
            retry with its ends.
        """
        rescues, rows = self.rescues, []
        for at, name in enumerate(rescues.names):
            row: dict[str, Any] = {"arm": name, "rate": rescues.rate[at]}
            row["tokens"] = rescues.tokens[at]
            mean = rescues.rescued[at].mean()
            row |= _columns("rescued", _ends(mean, rescues.drawn[:, at]))
            for family in dict.fromkeys(rescues.family.tolist()):
                row[f"rescued_{family}"] = rescues.rescued[at, rescues.family == family].mean()
            rows.append(row | _columns("lead", rescues.lead(name, RETRY)))
        return pd.DataFrame(rows)

    @property
    def dataset(self) -> xr.Dataset:
        """``saved`` by group, monitor and share lost; ``rescued`` by arm and problem."""
        low, high = np.percentile(self.curves.drawn, [2.5, 97.5], axis=2)
        dims = ("group", "monitor", "lost")
        data = {"saved": (dims, self.curves.value), "saved_low": (dims, low)}
        data |= {"saved_high": (dims, high), "rate": (("arm",), self.rescues.rate)}
        data |= {"rescued": (("arm", "problem"), self.rescues.rescued)}
        coords = {"group": self.curves.groups, "monitor": self.curves.names, "lost": LEVELS}
        return labelled(data, coords | {"arm": self.rescues.names}, dict(self.settings))


def _columns(name: str, ends: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def _span(ends: tuple[float, float, float]) -> str:
    value, low, high = (100 * each for each in ends)
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"


def _points(ends: tuple[float, float, float]) -> str:
    value, low, high = (100 * each for each in ends)
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"
