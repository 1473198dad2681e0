"""What `evaluate_routing` returns: figures by estimator, cell and comparator, and their words."""

import html
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL, Intervention, Verdict
from recover_nb.core.plain import plain
from recover_nb.core.result import Labelled
from recover_nb.core.titles import named
from recover_nb.routing.budgets import EQUAL_RETRIES
from recover_nb.routing.populations import FAILED

#: Estimators with intervals from the bootstrap, and those that are a distribution without effect.
MEASURED, NULLS = ("published", "split", "all"), ("null", "null_twins")
#: As ``all``, with features and routes from the first failed rollouts of a population alone.
OWN = "own_features"
#: As ``all``, where a right answer without a step counts as wrong.
WORKED = "without_guesses"
ESTIMATORS = ("published", *NULLS, "split", "all", OWN, WORKED)
RETRY = Intervention.RETRY.value
#: Two-sided 95 % of a normal distribution: the band of a null of given mean and sd.
NORMAL_95 = 1.959963984540054
_NOTHING = "no problem is selected, so nothing is scored"


class Evaluation(Labelled):
    """The evaluation of a routing policy on one study: made by `evaluate_routing`.

    Attributes
    ----------
    dataset : Dataset
        By ``population`` (the first is the headline), ``estimator``, ``cell`` (the first is
        ``all``) and ``comparator``, in shares of 1: ``n`` (problems scored; a mean over halvings
        for split, over simulated studies for a null), ``routed`` and ``rate`` (rescue), the
        ``lift`` of routing over the comparator with ``lift_low``, ``lift_high`` (95 %, percentile
        bootstrap over questions), ``lift_low_bca``, ``lift_high_bca`` and
        ``lift_low_checkpoints``, ``lift_high_checkpoints`` (over checkpoints), the ``relative``
        change with ``relative_low``, ``relative_high``; ``p`` of the permuted routes, ``p_holm``
        over cells. The lift of a null is its mean over simulated studies, with ``sd``;
        ``selected`` is its share of problems; ``excess`` (published less null) has ends named
        likewise and ``excess_p``. The estimator ``own_features`` is ``all`` with features and
        routes from the first failed rollouts of the population alone; ``without_guesses`` is
        ``all`` where a right answer without a step counts as wrong. By cell: ``problems``,
        ``regimes`` (regime), ``routes`` (intervention) and ``rescue`` (strategy) over the
        steerable_hard problems. By ``mapping`` of features to operators, the policy's own first:
        ``mapping_lift`` over retry of every problem, with its ends. By ``basis`` and ``k`` retries:
        ``budget``, ``budget_k_routed``, ``budget_n``, ``budget_routed``, ``budget_retry``,
        ``budget_lift`` with its ends; ``budget_cost`` of an attempt (side) and ``budget_upfront``,
        of the observed rollouts that the rule reads; and by ``claim_basis`` the figures of "ten
        routed rollouts match fifty retries" and of the same cost. What was not asked for, or needs
        attempts that are not stored, is not there or NaN.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> evaluation = rnb.evaluate_routing(
    ...     rnb.make_study(), only=["published"], n_bootstrap=20, n_permutations=20
    ... )
    >>> int(evaluation.figures["problems"].sel(cell="all")), evaluation.settings["seed"]
    (169, 0)
    >>> round(float(evaluation.lift()["lift"]), 3)
    0.04
    """

    title = "Does routing beat trying again, attempt for attempt?"
    chart = "plot_estimators"
    following = (
        "rnb.plot_budget(evaluation)  # at equal cost",
        "evaluation.to_dataframe()  # every estimator and comparator",
        "evaluation.dataset  # all of it, labelled",
    )

    @property
    def needs(self) -> list[dict[str, str]]:
        """Which figures need more than the study has, and how to get it.

        One ``figure``, ``needs`` and ``how`` each; empty for a complete study.
        """
        return json.loads(self.dataset.attrs.get("needs_json", "[]"))

    def _card(self) -> Iterator[str]:
        head, *rest = super()._card()
        yield head
        if self.needs:
            said = "".join(
                f"<li>{html.escape(each['figure'])}: needs {html.escape(each['needs'])}."
                f" {html.escape(each['how'])}.</li>"
                for each in self.needs
            )
            yield (
                '<details class="recover-nb-needs" style="margin:.3em 0"><summary>what more data'
                f' would tell</summary><ul style="margin:.3em 0">{said}</ul></details>'
            )
        yield from rest

    @property
    def estimators(self) -> tuple[str, ...]:
        """What was computed."""
        return tuple(map(str, self.dataset["estimator"].values))

    @property
    def populations(self) -> tuple[str, ...]:
        """Whom the figures are about, the headline first."""
        return tuple(map(str, self.dataset["population"].values))

    @property
    def figures(self) -> xr.Dataset:
        """The figures of the headline's population."""
        return self.dataset.isel(population=0)

    def of(self, population: str) -> "Evaluation":
        """Return the figures of one population alone.

        Raises
        ------
        InputError
            If it was not evaluated.
        """
        if population not in self.populations:
            raise InputError(
                f"population {population!r} was not evaluated; there is:"
                f" {', '.join(self.populations)}"
            )
        return Evaluation(self.dataset.sel(population=[population]))

    def lift(
        self, estimator: str = "published", comparator: str = RETRY, cell: str = ALL
    ) -> xr.Dataset:
        """Return the headline's figures of routing against one comparator, by one estimator."""
        return self.figures.sel(estimator=estimator, comparator=comparator, cell=cell)

    @property
    def overall(self) -> dict[str, Any]:
        """Lift over retry by each estimator, as ``recover-nb evaluate --json`` prints it.

        Over every failed problem, or the headline's where those were not evaluated: ``n`` problems,
        then ``published``, ``split``, ``all`` and the nulls, each a dict, None where not computed.
        NaN is None.
        """
        whole = self.of(FAILED) if FAILED in self.populations else self
        return plain(whole._lifts())

    @property
    def honest(self) -> str:
        """The estimator that selects nothing, else the one that scores on other attempts."""
        return "all" if "all" in self.estimators else "split"

    @property
    def verdict(self) -> Verdict:
        """Whether routing beats retry where selection cannot flatter it."""
        if self.honest not in self.estimators:
            return Verdict.NOT_TESTABLE
        return both_verdict(self.lift(self.honest))

    @property
    def sentence(self) -> str:
        """What each estimator reports for routing minus retry, in percentage points."""
        if not self.estimators:
            return "No estimator was asked for. The rest is in the dataset."
        said = []
        if "all" in self.estimators:
            head, *rest = self.populations
            said.append(
                f"Where the {self._whom(head)}, routing rescues"
                f" {self._points('all', than=' than trying again')}."
            )
            if rest:
                others = "; ".join(
                    f"where the {self._whom(each)}, {self.of(each)._points('all')}" for each in rest
                )
                said.append(f"For other groups of problems: {others}.")
        if "published" in self.estimators:
            said.append(self._say_published())
        if "split" in self.estimators:
            text = "Picked and scored by different attempts:"
            said.append(f"{text} {self._points('split')}.")
        spent = self.at_equal_cost()
        if spent is not None:
            rates = [f"{float(spent[f'budget_{name}']):.0%}" for name in ("routed", "retry")]
            head = "But at" if float(spent["budget_lift"]) < 0 else "At"
            said.append(
                f"{head} the cost of {int(spent['k'])} retries routing rescues {rates[0]} of the"
                f" problems, and trying again {rates[1]}."
            )
        return " ".join(said)

    def _whom(self, population: str) -> str:
        n = int(self.of(population).figures["problems"].sel(cell=ALL))
        words = named(population)
        words = "problem failed at least once" if population == "failed" else words
        return f"{words} ({n:,} problems)"

    def at_equal_cost(self, basis: str = "forward_passes") -> xr.Dataset | None:
        """Return the headline's budget: `budgets.EQUAL_RETRIES`, or the largest that is stored.

        None where costs are not stored or budgets were not asked for.
        """
        if "budget" not in self.dataset:
            return None
        found = self.figures.sel(basis=basis)
        reached = found["budget_n"].values == found["budget_n"].max().values
        if not reached.any():
            return None
        return found.isel(k=min(EQUAL_RETRIES - 1, int(reached.nonzero()[0][-1])))

    def _say_published(self) -> str:
        if math.isnan(float(self.lift()["lift"])):
            return f"As published, {_NOTHING}."
        text = "On those it marks steerable, as published, routing rescues"
        text += f" {self._points('published')}"
        null = 100 * float(self.lift("null")["lift"]) if "null" in self.estimators else math.nan
        if not math.isnan(null):
            text += f"; where no operator differs from retry, it still reports {null:+.1f}"
        return text + "."

    def _points(self, estimator: str, *, than: str = "") -> str:
        found = self.lift(estimator)
        value, low, high = (100 * float(found[name]) for name in ("lift", "lift_low", "lift_high"))
        if math.isnan(value):
            return _NOTHING
        way = "fewer" if value < 0 else "more"
        low_too, high_too = (
            100 * float(found[f"lift_{end}_checkpoints"]) for end in ("low", "high")
        )
        apart = (
            "" if math.isnan(low_too) else f", over checkpoints [{low_too:+.1f}, {high_too:+.1f}]"
        )
        return f"{abs(value):.1f} points {way}{than} [{low:+.1f}, {high:+.1f}]{apart}"

    def beside(self, other: "Evaluation") -> "Evaluation":
        """Return the estimators and budgets of both; of what both have, the other's."""
        mine = [name for name in self.estimators if name not in other.estimators]
        how: dict[str, Any] = {"data_vars": "minimal", "coords": "minimal"}
        both = xr.concat(
            [other.dataset, self.dataset.sel(estimator=mine)],
            "estimator",
            compat="override",
            join="override",
            combine_attrs="override",
            **how,
        )
        names = [name for name in ESTIMATORS if name in both["estimator"]]
        more = {name: each for name, each in self.dataset.items() if name not in both}
        return Evaluation(both.sel(estimator=names).assign(more))

    def to_dataframe(self, cell: str | None = ALL, population: str | None = "") -> pd.DataFrame:
        """Return routing against every comparator, by every estimator.

        Parameters
        ----------
        cell : str, optional
            A cell, ``all`` of them together, or None for one after the other, ``all`` first.
        population : str, optional
            One that was evaluated, the headline's by default, or None for one after the other.

        Returns
        -------
        DataFrame
            ``population`` and ``cell`` (where several are shown), ``estimator``, ``comparator``,
            ``n`` (problems), ``routed`` and ``rate`` (rescue, shares of 1), ``lift_points`` (routed
            minus comparator) with its 95 % interval ``low_points``, ``high_points``,
            ``low_bca_points``, ``high_bca_points``, and over checkpoints
            ``low_checkpoints_points``, ``high_checkpoints_points``; the ``relative`` change with
            ``relative_low``, ``relative_high``; ``p`` of the permuted routes, ``p_holm``. A null's
            lift is its mean and its interval mean +- 1.96 sd.

        Examples
        --------
        >>> import recover_nb as rnb
        >>> evaluation = rnb.evaluate_routing(
        ...     rnb.make_study(effect="planted"), only=["all"], n_bootstrap=50, n_permutations=20
        ... )
        >>> table = evaluation.to_dataframe()
        >>> table[["comparator", "routed", "rate", "lift_points"]].round(2).head(3)
                    comparator  routed  rate  lift_points
        0                retry     0.5  0.22        27.69
        1         sparse_steer     0.5  0.53        -2.54
        2  sparse_steer_random     0.5  0.53        -3.28
        """
        chosen = self.dataset if cell is None else self.dataset.sel(cell=[cell])
        if population is not None:
            chosen = chosen.sel(population=[population or self.populations[0]])
        order = ("population", "cell", "estimator", "comparator")
        frame = chosen[list(_COLUMNS)].to_dataframe(dim_order=order).reset_index()
        # A null has no cells of its own.
        frame = frame[frame["n"].notna()].rename(columns=_COLUMNS)
        of_points = [name for name in map(str, frame) if name.endswith("_points")]
        frame[of_points] *= 100
        alone = {"cell": cell, "population": population}
        kept = [name for name, value in alone.items() if value is not None]
        return frame.drop(columns=kept).reset_index(drop=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the object that ``recover-nb evaluate --json`` prints.

        Returns
        -------
        dict
            ``cells`` and ``overall`` (routed minus retry by each estimator) of ``failed``, every
            failed problem, or of the headline where that was not evaluated; ``populations``, the
            others; ``rows`` (`to_dataframe` of every population and cell), ``sentence``,
            ``verdict``, ``settings``. NaN and infinities are None.
        """
        whole = self.of(FAILED) if FAILED in self.populations else self
        found = whole.figures
        cells = {
            str(name): {
                "n": int(one["problems"]),
                "regimes": _by(one["regimes"], "regime"),
                "routed_counts": _by(one["routes"], "intervention"),
                "rescue": _by(one["rescue"], "strategy"),
            }
            for name, one in ((name, found.sel(cell=name)) for name in found["cell"].values[1:])
        }
        told: dict[str, Any] = {"cells": cells, "overall": self.overall}
        told["populations"] = {
            name: self.of(name)._population() for name in self.populations if name != FAILED
        }
        told["rows"] = self.to_dataframe(cell=None, population=None).to_dict("records")
        told |= {"sentence": self.sentence, "verdict": str(self.verdict)}
        told["needs"] = self.needs
        return plain(told | {"settings": self.settings})

    def _population(self) -> dict[str, Any]:
        """Figures of a population: those without selection first, then as those over all."""
        out: dict[str, Any] = {"n": int(self.figures["problems"].sel(cell=ALL))}
        for name in ("all", OWN, WORKED):
            found = self.lift(name) if name in self.estimators else None
            head = "" if name == "all" else f"{name}_"
            out[f"lift_{name}" if head else "lift"] = (
                None if found is None else float(found["lift"])
            )
            for end, ends in (("ci95", ""), ("ci95_checkpoints", "_checkpoints")):
                out[head + end] = None if found is None else _ends(found, f"lift_{{}}{ends}")
        return out | {"estimators": self._lifts()}

    def _lifts(self) -> dict[str, Any]:
        """Headline figures: the lift over retry by each estimator, None where not computed."""
        found = self.figures.sel(cell=ALL)
        out: dict[str, Any] = {
            "n": int(found["problems"]),
            "n_left_out": int(found["left_out"]),
            "steerable_hard_fraction": float(found["hard"]),
        }
        for name in MEASURED:
            out[name] = None
            if name in self.estimators:
                lift = self.lift(name)
                out[name] = {"n": float(lift["n"]), "lift": float(lift["lift"])}
                out[name] |= {"relative": float(lift["relative"]), "routes_p": float(lift["p"])}
                out[name] |= {
                    "ci95": _ends(lift, "lift_{}"),
                    "ci95_bca": _ends(lift, "lift_{}_bca"),
                    "ci95_checkpoints": _ends(lift, "lift_{}_checkpoints"),
                    "relative_ci95": _ends(lift, "relative_{}"),
                }
        for name, excess in zip(NULLS, ("excess", "excess_twins"), strict=True):
            out[name] = out[excess] = None
            if name in self.estimators:
                lift = self.lift(name)
                out[name] = {
                    "mean": float(lift["lift"]),
                    "sd": float(lift["sd"]),
                    "steerable_hard_fraction": float(lift["selected"]),
                }
                out[excess] = {"value": float(lift["excess"]), "p": float(lift["excess_p"])}
                out[excess]["ci95"] = _ends(lift, "excess_{}")
                out[excess]["ci95_checkpoints"] = _ends(lift, "excess_{}_checkpoints")
        return out


def with_needs(figures: xr.Dataset, needs: Sequence[dict[str, str]]) -> xr.Dataset:
    """Return the figures of an evaluation, with what the study lacks for others."""
    return figures.assign_attrs(needs_json=json.dumps(list(needs))) if needs else figures


def _ends(found: xr.Dataset, name: str) -> list[float]:
    return [float(found[name.format(end)]) for end in ("low", "high")]


#: Variable of the dataset -> column of `Evaluation.to_dataframe`.
_COLUMNS = {
    "n": "n",
    "routed": "routed",
    "rate": "rate",
    "lift": "lift_points",
    "lift_low": "low_points",
    "lift_high": "high_points",
    "lift_low_bca": "low_bca_points",
    "lift_high_bca": "high_bca_points",
    "lift_low_checkpoints": "low_checkpoints_points",
    "lift_high_checkpoints": "high_checkpoints_points",
    "relative": "relative",
    "relative_low": "relative_low",
    "relative_high": "relative_high",
    "p": "p",
    "p_holm": "p_holm",
}


def _by(values: xr.DataArray, dim: str) -> dict[str, Any]:
    return dict(zip(values[dim].values.tolist(), values.values.tolist(), strict=True))


def interval_verdict(low: float, high: float) -> Verdict:
    """Judge "above 0" by a 95 % interval."""
    if math.isnan(low) or math.isnan(high):
        return Verdict.NOT_TESTABLE
    if low > 0:
        return Verdict.SUPPORTED
    return Verdict.CONTRADICTED if high < 0 else Verdict.NOT_SHOWN


def both_verdict(found: xr.Dataset, figure: str = "lift") -> Verdict:
    """Judge "above 0" by the intervals of a figure over questions and over checkpoints."""
    return agreed_verdict(
        _ends(found, f"{figure}_{{}}"), _ends(found, f"{figure}_{{}}_checkpoints")
    )


def agreed_verdict(
    questions: Sequence[float], checkpoints: Sequence[float], *, above: float = 0.0
) -> Verdict:
    """Judge "above" by two intervals: both must say so, or the opposite.

    The second does not count where there is one checkpoint (NaN).
    """
    first, second = (
        interval_verdict(low - above, high - above) for low, high in (questions, checkpoints)
    )
    if Verdict.NOT_TESTABLE in (first, second):
        return first
    return first if first == second else Verdict.NOT_SHOWN


#: The evaluation that a function asks for.
EVALUATION = checks.instance(
    Evaluation, "an evaluation", "give what rnb.evaluate_routing(study) returns"
)
