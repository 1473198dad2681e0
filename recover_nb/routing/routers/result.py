"""What a comparison of rules returns."""

import pandas as pd
import xarray as xr

from recover_nb.core.labels import HoldOut, Verdict
from recover_nb.core.result import Labelled
from recover_nb.core.titles import meaning, named, p_value, plain_zero
from recover_nb.routing.routers.judge import BEST_FIXED, COUNT

#: The budgets, the headline first: what `BUDGET` retries of a problem cost, and one attempt.
EQUAL_PASSES, ONE_ATTEMPT = "equal_passes", "one_attempt"
BUDGETS = (EQUAL_PASSES, ONE_ATTEMPT)
#: Retries: about three steered attempts, each of which runs two models.
BUDGET = 6
#: The count rule was written down on 2026-11-27, before the fresh study was looked at. Confirmed if
#: the lower end over questions of the gain over best fixed at equal passes, failed_first_1 and
#: failed, held out by cell, is above 0, and its null is about 0 (p <= 0.05).
CONFIRMED_BY = ("failed_first_1", "failed")
#: Largest p-value of a supported claim.
LEVEL = 0.05
#: Figures with dimensions hold_out, population, budget, policy.
ENDS = ("low", "high", "low_checkpoints", "high_checkpoints")
GAINS = ("gain", *(f"gain_{end}" for end in ENDS))
FIGURES = ("rate", *GAINS, "null_mean", "null_sd", "p")
IN_SAMPLE = {
    "in_sample": "gain",
    "in_sample_null_mean": "null_mean",
    "in_sample_null_sd": "null_sd",
}
CEILINGS = ("ceiling", "ceiling_low", "ceiling_high")
UPFRONT = ("retry_cost", "counting", "upfront")


class RouterComparison(Labelled):
    """Rules that choose an operator, against one operator for all.

    Attributes
    ----------
    dataset : Dataset
        Dimensions ``hold_out`` (what was not learned from), ``population``, ``budget``
        (``equal_passes``, ``one_attempt``) and ``policy``: each operator for all, ``best_fixed``,
        ``published``, ``count``, ``learnt``. ``rate``: share rescued. ``gain`` over ``best_fixed``
        with two intervals: ``gain_low``, ``gain_high`` over questions, ``gain_low_checkpoints``,
        ``gain_high_checkpoints`` over checkpoints. ``null_mean``, ``null_sd``: the gain in studies
        in which no operator differs from retry; ``p``: how often it is as large there.
        ``ceiling``: what knowing every rate would gain, between ``ceiling_low`` and
        ``ceiling_high``. ``in_sample``, ``in_sample_null_mean``, ``in_sample_null_sd``: the gain
        where rules are judged by what they learned from. ``threshold`` (population, budget,
        operator): failures from which the count rule takes an operator, learned from all problems;
        ``threshold_low``, ``threshold_high``: least and most over what is held out. ``n``,
        ``retry_cost``, ``counting``, ``upfront`` (population): problems, and forward passes per
        problem of a retry, of the observed rollouts by the specialist (which counting needs), and
        of those with their signals (which features need); those of reading prompts are in none.
    """

    title = "Does a router beat always doing one thing?"
    chart = "plot_routers"
    following = (
        "rnb.tables.router_lifts(found)  # each rule over the best single operator",
        "found.dataset.threshold  # failures from which the count rule acts",
    )

    @property
    def judged_by(self) -> xr.Dataset:
        """The count rule at equal passes in the first population, on cells not learned from."""
        names = self.dataset["hold_out"].values.tolist()
        scheme = HoldOut.CELL.value if HoldOut.CELL in names else names[0]
        return self.dataset.sel(hold_out=scheme, budget=EQUAL_PASSES, policy=COUNT).isel(
            population=0
        )

    @property
    def verdict(self) -> Verdict:
        """Whether the count rule is better than one operator for all."""
        return judged(self.judged_by)

    @property
    def confirmed(self) -> bool | None:
        """Whether the count rule passes what was written down before: `CONFIRMED_BY`."""
        found = self.dataset.sel(budget=EQUAL_PASSES, policy=COUNT)
        if HoldOut.CELL not in found["hold_out"] or any(
            name not in found["population"] for name in CONFIRMED_BY
        ):
            return None
        each = (found.sel(hold_out=HoldOut.CELL.value, population=name) for name in CONFIRMED_BY)
        return all(judged(one) == Verdict.SUPPORTED for one in each)

    @property
    def sentence(self) -> str:
        """What was found of the count rule, and what there is to gain."""
        one, draws = self.judged_by, self.settings["n_null"]
        scheme, population = str(one["hold_out"].values), str(one["population"].values)
        every = self.dataset.sel(hold_out=scheme, budget=EQUAL_PASSES)
        best = float(every["rate"].sel(policy=BEST_FIXED).isel(population=0))
        each = {"family": "families"}.get(scheme, f"{scheme}s")
        text = (
            f"{named(population).capitalize()} ({int(one['n']):,} problems): at the forward passes"
            f" of {self.settings['budget']} retries, on {each} that were not learned from, the"
            f" best single operator rescues {best:.1%}, and the count rule gains {_gain(one)}"
            f" over it."
        )
        if draws:
            p = p_value(float(one["p"]), draws, "null studies")
            text += f" Without an effect it gains {_null(one)}; {p}."
        ceiling, low, high = (plain_zero(f"{100 * float(one[x]):.1f}") for x in CEILINGS)
        text += (
            f" Knowing every rate would gain about {ceiling} points, between {low} and {high}."
            f" {self._rule(one)}"
        )
        for name in every["population"].values[1:]:
            other = every.sel(population=name, policy=COUNT)
            text += f" {named(name).capitalize()} ({int(other['n']):,}): {_gain(other)}."
        return text

    def _rule(self, one: xr.Dataset) -> str:
        """Say the thresholds that are learned from all problems of a population."""
        of = self.settings["observed"]
        found = self.dataset["threshold"].sel(population=one["population"], budget=one["budget"])
        steps = [
            f"from {int(found.sel(operator=name))} failures of {of} on {meaning(name)}"
            for name in found["operator"].values
            if int(found.sel(operator=name)) <= of
        ]
        return f"Learned from all problems, the rule is: {', '.join(['asking again', *steps])}."

    def to_dataframe(self) -> pd.DataFrame:
        """Return every policy at every budget, in every population, shares of 1.

        Returns
        -------
        DataFrame
            ``hold_out``, ``population``, ``budget``, ``policy``, the figures of `dataset` that have
            these, and ``ceiling``, ``ceiling_low``, ``ceiling_high``.
        """
        keys = ["hold_out", "population", "budget", "policy"]
        data = self.dataset[[*FIGURES, *CEILINGS]]
        return data.to_dataframe(dim_order=keys).reset_index()


def judged(one: xr.Dataset) -> Verdict:
    """Say what a gain, its interval over questions and its null allow to be said."""
    if float(one["gain_high"]) < 0:
        return Verdict.CONTRADICTED
    better = float(one["gain_low"]) > 0 and float(one["p"]) <= LEVEL
    return Verdict.SUPPORTED if better else Verdict.NOT_SHOWN


def _gain(one: xr.Dataset) -> str:
    gain, *ends = (_points(one[name]) for name in GAINS)
    return "{} points [{}, {}] (over checkpoints [{}, {}])".format(gain, *ends)


def _null(one: xr.Dataset) -> str:
    sd = 100 * float(one["null_sd"])
    return f"{_points(one['null_mean'])} points (standard deviation {sd:.1f})"


def _points(share: xr.DataArray) -> str:
    return plain_zero(f"{100 * float(share):+.1f}")
