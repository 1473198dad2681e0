"""What `evaluate_routing` returns: figures by estimator, cell and comparator, and their words."""

import math
from typing import Any

import pandas as pd
import xarray as xr

from recover_nb.core.labels import ALL, Intervention, Verdict
from recover_nb.core.plain import plain
from recover_nb.core.result import Labelled

#: Estimators with intervals from the bootstrap, and those that are a distribution without effect.
MEASURED, NULLS = ("published", "split", "all"), ("null", "null_twins")
ESTIMATORS = ("published", *NULLS, "split", "all")
RETRY = Intervention.RETRY.value
#: Two-sided 95 % of a normal distribution: the band of a null of given mean and sd.
NORMAL_95 = 1.959963984540054
_NOTHING = "no problem is selected, so nothing is scored"


class Evaluation(Labelled):
    """The evaluation of a routing policy on one study: made by `evaluate_routing`.

    Attributes
    ----------
    dataset : Dataset
        By ``estimator``, ``cell`` (the first is ``all``) and ``comparator``, in shares of 1: ``n``
        (problems scored; a mean over halvings for split, over simulated studies for a null),
        ``routed`` and ``rate`` (rescue), the ``lift`` of routing over the comparator with
        ``lift_low``, ``lift_high`` (95 %, percentile bootstrap) and ``lift_low_bca``,
        ``lift_high_bca``, the ``relative`` change with ``relative_low``, ``relative_high``; ``p``
        of the permuted routes, ``p_holm`` over cells. The lift of a null is its mean over simulated
        studies, with ``sd``; ``selected`` is its share of problems; ``excess`` (published less
        null) has ``excess_low``, ``excess_high``, ``excess_low_bca``, ``excess_high_bca`` and
        ``excess_p``. By cell: ``problems``, ``regimes`` (regime), ``routes`` (intervention) and
        ``rescue`` (strategy) over the steerable_hard problems. Where budgets were asked for, by
        ``population``, ``basis`` and ``k`` retries: ``budget``, ``budget_k_routed``,
        ``budget_n``, ``budget_routed``, ``budget_retry``, ``budget_lift``, ``budget_low``,
        ``budget_high``; ``budget_cost`` of an attempt (side); and by ``claim_basis`` the figures
        of "ten routed rollouts match fifty retries", ``claim_k_routed`` and so on. An estimator
        that was not asked for, or needs attempts that are not stored, is not there.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> evaluation = rnb.evaluate_routing(
    ...     rnb.make_study(), only=["published"], n_bootstrap=20, n_permutations=20
    ... )
    >>> int(evaluation.dataset["problems"].sel(cell="all")), evaluation.settings["seed"]
    (240, 0)
    >>> round(float(evaluation.lift()["lift"]), 3)
    0.041
    """

    title = "Does routing beat trying again, attempt for attempt?"
    chart = "plot_estimators"
    following = (
        "rnb.plot_budget(evaluation)  # at equal cost",
        "evaluation.to_dataframe()  # every estimator and comparator",
        "evaluation.dataset  # all of it, labelled",
    )

    @property
    def estimators(self) -> tuple[str, ...]:
        """What was computed."""
        return tuple(map(str, self.dataset["estimator"].values))

    def lift(
        self, estimator: str = "published", comparator: str = RETRY, cell: str = ALL
    ) -> xr.Dataset:
        """Return the figures of routing against one comparator, by one estimator."""
        return self.dataset.sel(estimator=estimator, comparator=comparator, cell=cell)

    @property
    def honest(self) -> str:
        """The estimator without a winner's curse that the data allow."""
        return "split" if "split" in self.estimators else "all"

    @property
    def verdict(self) -> Verdict:
        """Whether routing beats retry where selection cannot flatter it."""
        if self.honest not in self.estimators:
            return Verdict.NOT_TESTABLE
        found = self.lift(self.honest)
        return interval_verdict(float(found["lift_low"]), float(found["lift_high"]))

    @property
    def sentence(self) -> str:
        """What each estimator reports for routing minus retry, in percentage points."""
        if not self.estimators:
            return "No estimator was asked for; the budgets are in the dataset."
        said = []
        if "published" in self.estimators:
            said.append(self._say_published())
        if "split" in self.estimators:
            text = "Scored on attempts that did not choose the problems:"
            said.append(f"{text} {self._points('split')}.")
        if "all" in self.estimators:
            said.append(f"Over every failed problem: {self._points('all')}.")
        spent = self.at_equal_cost()
        if spent is not None:
            rates = [f"{float(spent[f'budget_{name}']):.0%}" for name in ("routed", "retry")]
            head = "But at" if float(spent["budget_lift"]) < 0 else "At"
            said.append(
                f"{head} the cost of {int(spent['k'])} retries routing rescues {rates[0]} of the"
                f" failed problems, and trying again {rates[1]}."
            )
        return " ".join(said)

    def at_equal_cost(self, basis: str = "forward_passes") -> xr.Dataset | None:
        """Return the largest budget that every failed problem reaches.

        None where costs are not stored or budgets were not asked for.
        """
        if "budget" not in self.dataset:
            return None
        found = self.dataset.sel(population=ALL, basis=basis)
        reached = found["budget_n"].values == found["budget_n"].max().values
        return found.isel(k=int(reached.nonzero()[0][-1])) if reached.any() else None

    def _say_published(self) -> str:
        if math.isnan(float(self.lift()["lift"])):
            return f"As published, {_NOTHING}."
        text = f"As published, routing rescues {self._points('published')} than trying again"
        null = 100 * float(self.lift("null")["lift"]) if "null" in self.estimators else math.nan
        if not math.isnan(null):
            text += f"; where no operator differs from it, it still reports {null:+.1f}"
        return text + "."

    def _points(self, estimator: str) -> str:
        found = self.lift(estimator)
        value, low, high = (100 * float(found[name]) for name in ("lift", "lift_low", "lift_high"))
        if math.isnan(value):
            return _NOTHING
        way = "fewer" if value < 0 else "more"
        return f"{abs(value):.1f} points {way} [{low:+.1f}, {high:+.1f}]"

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

    def to_dataframe(self, cell: str | None = ALL) -> pd.DataFrame:
        """Return routing against every comparator, by every estimator.

        Parameters
        ----------
        cell : str, optional
            A cell, ``all`` of them together, or None for one after the other, ``all`` first.

        Returns
        -------
        DataFrame
            ``cell`` (where several are shown), ``estimator``, ``comparator``, ``n`` (problems),
            ``routed`` and ``rate`` (rescue, shares of 1), ``lift_points`` (routed minus comparator)
            with its 95 % interval ``low_points``, ``high_points``, and ``low_bca_points``,
            ``high_bca_points``; the ``relative`` change with ``relative_low``, ``relative_high``;
            ``p`` of the permuted routes, ``p_holm``. A null's lift is its mean and its interval
            mean +- 1.96 sd.

        Examples
        --------
        >>> import recover_nb as rnb
        >>> evaluation = rnb.evaluate_routing(
        ...     rnb.make_study(effect="planted"), only=["all"], n_bootstrap=50, n_permutations=20
        ... )
        >>> table = evaluation.to_dataframe()
        >>> table[["comparator", "routed", "rate", "lift_points"]].round(2).head(3)
                    comparator  routed  rate  lift_points
        0                retry    0.56  0.29        27.00
        1         sparse_steer    0.56  0.59        -3.06
        2  sparse_steer_random    0.56  0.60        -3.65
        """
        chosen = self.dataset if cell is None else self.dataset.sel(cell=[cell])
        order = ("cell", "estimator", "comparator")
        frame = chosen[list(_COLUMNS)].to_dataframe(dim_order=order).reset_index()
        # A null has no cells of its own.
        frame = frame[frame["n"].notna()].rename(columns=_COLUMNS)
        of_points = [name for name in map(str, frame) if name.endswith("_points")]
        frame[of_points] *= 100
        return frame.drop(columns=[] if cell is None else "cell").reset_index(drop=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the object that ``recover-nb evaluate --json`` prints.

        Returns
        -------
        dict
            ``cells`` and ``overall`` (the headline: routed minus retry by each estimator),
            ``rows`` (`to_dataframe` of every cell), ``sentence``, ``verdict``, ``settings``. NaN
            and infinities are None.
        """
        found = self.dataset
        cells = {
            str(name): {
                "n": int(one["problems"]),
                "regimes": _by(one["regimes"], "regime"),
                "routed_counts": _by(one["routes"], "intervention"),
                "rescue": _by(one["rescue"], "strategy"),
            }
            for name, one in ((name, found.sel(cell=name)) for name in found["cell"].values[1:])
        }
        rows = self.to_dataframe(cell=None).to_dict("records")
        told = {"cells": cells, "overall": self._overall(), "rows": rows}
        told |= {"sentence": self.sentence, "verdict": str(self.verdict)}
        return plain(told | {"settings": self.settings})

    def _overall(self) -> dict[str, Any]:
        """Headline figures: the lift over retry by each estimator, None where not computed."""
        found = self.dataset.sel(cell=ALL)
        out: dict[str, Any] = {
            "n": int(found["problems"]),
            "n_left_out": int(found["left_out"]),
            "steerable_hard_fraction": float(found["hard"]),
        }
        for name in MEASURED:
            out[name] = None
            if name in self.estimators:
                lift = self.lift(name)
                ends = {
                    "ci95": ("lift_low", "lift_high"),
                    "ci95_bca": ("lift_low_bca", "lift_high_bca"),
                    "relative_ci95": ("relative_low", "relative_high"),
                }
                out[name] = {"n": float(lift["n"]), "lift": float(lift["lift"])}
                out[name] |= {"relative": float(lift["relative"]), "routes_p": float(lift["p"])}
                out[name] |= {key: [float(lift[end]) for end in pair] for key, pair in ends.items()}
        for name, excess in zip(NULLS, ("excess", "excess_twins"), strict=True):
            out[name] = out[excess] = None
            if name in self.estimators:
                lift = self.lift(name)
                out[name] = {
                    "mean": float(lift["lift"]),
                    "sd": float(lift["sd"]),
                    "steerable_hard_fraction": float(lift["selected"]),
                }
                ends = [float(lift[f"excess_{end}"]) for end in ("low", "high")]
                out[excess] = {"value": float(lift["excess"]), "p": float(lift["excess_p"])}
                out[excess]["ci95"] = ends
        return out


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
