"""What `verify_steps` returns: each figure of a verifier of steps beside what it has to beat.

docs/method.md#19-steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.labels import Intervention, Verdict
from recover_nb.core.result import Result, labelled
from recover_nb.core.titles import meaning
from recover_nb.prediction.baselines import Lead

STEPS, BEST, AHEAD, TOOL = "steps", "best_of_8", "going_on", "tool"
CLAIMS = (STEPS, BEST, AHEAD, TOOL)
#: The whole is judged by these.
DECIDING = (STEPS, BEST, AHEAD)
#: Of a lead and its intervals.
ENDS = ("", "_low", "_high", "_low_checkpoints", "_high_checkpoints")
F1, PUBLISHED = "f1", "sci_prm"
RETRY, CALCULATOR = Intervention.RETRY.value, Intervention.CALCULATOR.value


@dataclass(frozen=True)
class Compared:
    """A figure of the verifier beside one of something else.

    Attributes
    ----------
    claim, figure : str
    value : float
        The verifier's.
    against : str
    other : float
        That of `against`.
    lead : Lead
        The difference, with its intervals over questions and over checkpoints.
    decides : bool
        Whether the claim's verdict asks for it.
    """

    claim: str
    figure: str
    value: float
    against: str
    other: float
    lead: Lead
    decides: bool


@dataclass(frozen=True)
class Shuffled:
    """The figures of scores shuffled among steps at the same place, (draw,) each."""

    accuracy: np.ndarray
    f1: np.ndarray

    def p(self, name: str, value: float) -> float:
        """Return how often a shuffle is as good, from 1 / (draws + 1); NaN without a draw."""
        draws = getattr(self, name)
        return float((1 + (draws >= value).sum()) / (1 + len(draws))) if len(draws) else np.nan


@dataclass(frozen=True, repr=False)
class StepVerifier(Result):
    """What a verifier of steps is worth.

    Attributes
    ----------
    compared : tuple of Compared
    shuffled : Shuffled
    settings : mapping
        What was chosen on the dev problems, and how much was judged.
    """

    title = "Which step is the first wrong one, and what does knowing it save?"
    chart = "plot_steps"
    following = (
        "found.to_dataframe()  # each figure beside what it has to beat, with intervals",
        "found.verdicts  # claim by claim",
        "rnb.step_scores(study, pair)  # P(step right) of traces of your own",
    )

    compared: tuple[Compared, ...]
    shuffled: Shuffled
    settings: Mapping[str, Any]

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """What the figures say of each claim; the rule is older than they are."""
        return {
            claim: _agreed(
                [
                    each.lead.verdict
                    for each in self.compared
                    if each.claim == claim and each.decides
                ]
            )
            for claim in CLAIMS
        }

    @property
    def verdict(self) -> Verdict:
        """Whether a verifier of steps helps: steps, best of 8 and going on together.

        Supported: all three are. Contradicted: one of them is.
        """
        verdicts = self.verdicts
        return _agreed([verdicts[claim] for claim in DECIDING])

    @property
    def sentence(self) -> str:
        """What the verifier tells and saves, beside what is cheaper, in words."""
        return " ".join([self._told(), self._picked(), self._went_on(), self._tool()])

    def of(self, claim: str, against: str, figure: str = "") -> Compared:
        """Return one comparison."""
        return next(
            each
            for each in self.compared
            if (each.claim, each.against) == (claim, against) and figure in ("", each.figure)
        )

    def _told(self) -> str:
        known = self.settings
        accuracy, f1 = self.of(STEPS, PUBLISHED), self.of(STEPS, "place_alone", F1)
        always = self.of(STEPS, "always_right")
        return (
            f"Of {known['test_steps']:,} steps {known['wrong_steps']:,} are the first wrong one:"
            f" {accuracy.value:.1%} are told right (always right {always.other:.1%}), F1"
            f" {f1.value:.3f} (place alone {f1.other:.3f}, shuffled"
            f" {_mean(self.shuffled.f1):.3f}, p = {self.shuffled.p('f1', f1.value):.3f})."
        )

    def _picked(self) -> str:
        first = self.of(BEST, "majority")
        return f"One answer of 8: right {first.value:.1%}; {self._over(BEST)}."

    def _went_on(self) -> str:
        known, first = self.settings, self.of(AHEAD, RETRY)
        return (
            f"Going on at the passes of {known['budget']} whole retries saves {first.value:.1%} of"
            f" {known['failed_first']:,} wrong first answers; {self._over(AHEAD)}. Its step is the"
            f" first wrong one in {known['place_found']:.0%} (a random one in"
            f" {known['place_by_chance']:.0%})."
        )

    def _tool(self) -> str:
        first = self.of(TOOL, CALCULATOR)
        return (
            f"A calculator could have done {self.settings['tool_could']:.0%} of the first wrong"
            f" steps; from the step on it saves {first.value:.1%}; {self._over(TOOL)}."
        )

    def _over(self, claim: str) -> str:
        mine = [each for each in self.compared if each.claim == claim]
        return ", ".join(f"over {meaning(each.against)} {_points(each.lead)}" for each in mine)

    def to_dataframe(self) -> pd.DataFrame:
        """Set each figure beside what it has to beat.

        Returns
        -------
        DataFrame
            ``claim``, ``figure``, ``value`` of the verifier, ``against``, ``other`` (its figure),
            ``lead`` with its 95 % intervals ``lead_low``, ``lead_high`` (over questions) and
            ``lead_low_checkpoints``, ``lead_high_checkpoints``; ``verdict`` of "above", and
            ``decides``, whether the claim's verdict asks for it.
        """
        rows = []
        for each in self.compared:
            row: dict[str, Any] = {"claim": each.claim, "figure": each.figure}
            row |= {"value": each.value, "against": each.against, "other": each.other}
            row |= {f"lead{end}": at for end, at in zip(ENDS, each.lead, strict=True)}
            rows.append(row | {"verdict": str(each.lead.verdict), "decides": each.decides})
        return pd.DataFrame(rows)

    @property
    def dataset(self) -> xr.Dataset:
        """Every figure by claim and competitor, and the shuffled ones."""
        frame = self.to_dataframe()
        numbers = ["value", "other", *(f"lead{end}" for end in ENDS)]
        data: dict[str, Any] = {name: (("comparison",), frame[name].to_numpy()) for name in numbers}
        data["shuffled_accuracy"] = (("draw",), self.shuffled.accuracy)
        data["shuffled_f1"] = (("draw",), self.shuffled.f1)
        names = [f"{each.claim}|{each.figure}|{each.against}" for each in self.compared]
        return labelled(data, {"comparison": names}, dict(self.settings))


def _agreed(verdicts: list[Verdict]) -> Verdict:
    """All are supported; or one is contradicted, or not testable; or it is not shown."""
    for each in (Verdict.CONTRADICTED, Verdict.NOT_TESTABLE):
        if each in verdicts:
            return each
    return Verdict.SUPPORTED if set(verdicts) == {Verdict.SUPPORTED} else Verdict.NOT_SHOWN


def _mean(draws: np.ndarray) -> float:
    return float(draws.mean()) if len(draws) else float("nan")


def _points(lead: Lead) -> str:
    return f"{100 * lead.value:+.1f} points [{100 * lead.low:+.1f}, {100 * lead.high:+.1f}]"
