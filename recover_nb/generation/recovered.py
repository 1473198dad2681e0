"""What `recover` returns: an answer to every problem, and all that was asked on the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import xarray as xr

from recover_nb.core.result import Result

#: How a problem ended: right among the observed answers, by asking again, by another arm; or wrong,
#: because going on did not pay or the budget was spent.
OBSERVED, RETRIED, OPERATED, STOPPED, SPENT = "observed", "retry", "operator", "stopped", "spent"
_SAID = {
    OBSERVED: "by the observed answers",
    RETRIED: "by asking again",
    OPERATED: "by another arm",
}


@dataclass(frozen=True, repr=False)
class Recovery(Result):
    """Answers within a budget.

    Attributes
    ----------
    answers : DataFrame
        One row a problem, in the order given: ``task``, ``problem_id``, ``answer`` (the right one,
        else the first observed; the whole text where a checker of your own judges), ``right``,
        ``how`` (``observed``, ``retry``, ``operator``; wrong: ``stopped``, ``spent``),
        ``intervention`` that gave the answer, ``passes`` of all its answers together, and
        ``forward_passes`` of both models.
    study : Dataset
        All that was asked, as a study: observed rollouts, and attempts at the places of their
        random numbers. Each problem ends at its first right answer, so its rates are of a sample
        that stopped there, and too high.
    rule : str
        That was followed.
    plans : str
        What it did with problems whose observed answers were wrong.
    settings : mapping
    """

    title = "Answers within a budget"
    following = (
        "found.answers  # every problem: the answer, whether it is right, what it took",
        "found.study  # every rollout and attempt, as a study",
        "rnb.recover_gain(rnb.load_study(), rnb.load_unseen())  # what the policy gains",
    )

    answers: pd.DataFrame
    study: xr.Dataset
    rule: str
    plans: str
    settings: Mapping[str, Any]

    @property
    def passes(self) -> int:
        """Answers written or read by one model, of all problems together."""
        return int(self.answers["passes"].sum())

    @property
    def dataset(self) -> xr.Dataset:
        """The answers, by problem."""
        return self.answers.rename_axis("problem").to_xarray()

    @property
    def sentence(self) -> str:
        """How many are right, how, and what it cost."""
        frame, budget = self.answers, self.settings["budget"]
        n, right = len(frame), int(frame["right"].sum())
        ways = frame["how"].value_counts()
        said = [f"{ways[how]} {words}" for how, words in _SAID.items() if how in ways]
        text = f"{right} of {n} problems are right" + (f": {', '.join(said)}." if said else ".")
        text += (
            f" {frame['passes'].mean():.2f} of {budget} passes a problem."
            f" Where the observed answers were wrong, the rule was {self.rule} ({self.plans})"
        )
        if self.rule == self.settings["asked_rule"]:
            return f"{text}, as asked for."
        return f"{text}, chosen on {self.settings['learned_from']}."

    def to_dataframe(self) -> pd.DataFrame:
        """Return the answers, one row a problem."""
        return self.answers
