"""Change regime thresholds and policy, and see at once what routing is worth by each estimator."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import count
from typing import Any, ClassVar

import ipywidgets
import pandas as pd
import traitlets
import xarray as xr

from recover_nb import charts, tables
from recover_nb.charts.routing import say_budget, say_comparators, say_estimators
from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature, Regime
from recover_nb.routing.budgets import BASES
from recover_nb.routing.evaluation import PARTS
from recover_nb.routing.policy import PUBLISHED
from recover_nb.routing.rescue import MIN_FAILURE, MIN_GAIN
from recover_nb.routing.result import Evaluation
from recover_nb.tables.headlines import routing_headline
from recover_nb.tables.kit import counted
from recover_nb.tables.routing import CHOICES, routing_figures
from recover_nb.widgets.parts.chart_panel import ChartPanel
from recover_nb.widgets.parts.explorer import LISTING, MAX_SEED, Cells, Listing
from recover_nb.widgets.parts.selection import SELECTION, Selection
from recover_nb.widgets.routing.controls import routing_controls
from recover_nb.widgets.routing.data import ESTIMATED, ROUGH, RoutingData, Settings

#: Seconds a reader waits without a word. Longer work says what it is doing and how far it is.
PATIENCE = 2.0
PLOTS = {
    "comparators": charts.plot_comparators,
    "estimators": charts.plot_estimators,
    "budget": charts.plot_budget,
    "regimes": charts.plot_regimes,
    "routes": charts.plot_routes,
}
#: Charts that draw every row, and whose looks no number changes, with what says the numbers.
NUMBERS_ONLY = {
    "comparators": say_comparators,
    "estimators": say_estimators,
    "budget": say_budget,
}
DIGITS = {"level": 0, **dict.fromkeys((name.value for name in Feature), 3)}
#: Columns of the table in sight: what the rule reads, and what it makes of it.
FIRST = ("problem", *(name.value for name in Feature), "route", "regime")
_ROUTES_NOTE = (
    "These routes standardise the features over steerable_hard problems, as the published figures"
    " do; those in a study's table, over every failed problem of a cell."
)


class RoutingExplorer(Listing):
    """What routing is worth, under thresholds and a policy of your own.

    A control shows its effect at once, with few resamples; `resample` computes every estimator with
    all of them. The rows of the table are the failed problems: choosing one sets `selection`, so
    that a linked view opens its trace.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table.
    selection : Selection, optional
        Its problem is followed and set; its brushed problems, if any, are those the table lists.
    interventions : sequence of str, optional
        What regimes and routes are over; the published ones that were run by default.
    counts : dict of str to int, optional
        Resamples of `resample`, by keyword of `evaluate_routing`; its own defaults otherwise.
    **state
        Initial values of the attributes below.

    Attributes
    ----------
    cells : tuple of str
        Which cells; empty = all.
    population : str
        Whose failures: ``failed_first_1``, ``failed`` or ``failed_first_5``; empty = the first of
        them that the study allows.
    min_gain, min_failure : float
        Thresholds of the regimes.
    operators, fallback : dict of str to str, str
        The policy: feature to operator, and the operator where no z-score is above 0.
    estimator : str
        ``published``, ``null``, ``split`` or ``all``.
    level : float
        Level the p-values are held against. Intervals are at 95 % whatever it is.
    basis : str
        What budgets are made equal in: ``attempts``, ``generated_tokens`` or ``forward_passes``.
    seed : int
        Of every resample.
    panel : str
        The chart: ``comparators``, ``estimators``, ``budget``, ``regimes`` or ``routes``.
    regime, route : str
        Which problems the table lists; empty = all.
    search, sort, descending, page, chosen_columns : str, str, bool, int, tuple of str
        How it lists them.

    Notes
    -----
    docs/method.md#6-regimes to docs/method.md#8-estimators. Routes in the table are a study's:
    z-scores over every failed problem of a cell. The published and split estimators, and the panel
    ``routes``, standardise over the problems they select.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> cell = ("neox|sft|program",)
    >>> view = rnb.widgets.RoutingExplorer(rnb.load_study(), cells=cell, panel="regimes")
    >>> view.tables()["problems"]["regime"].value_counts().to_dict()
    {'beyond_reach': 22, 'steerable_hard': 15, 'resample': 12}
    >>> view.value = {"min_gain": 0.2}
    >>> view.tables()["problems"]["regime"].value_counts().to_dict()
    {'beyond_reach': 22, 'resample': 19, 'steerable_hard': 8}
    """

    IN_SIGHT: ClassVar = ("population", "estimator", "min_gain")
    STATE: ClassVar = (
        "cells",
        "population",
        "min_gain",
        "min_failure",
        "operators",
        "fallback",
        "estimator",
        "level",
        "basis",
        "seed",
        "panel",
        "regime",
        "route",
        *LISTING,
    )

    cells = Cells()
    population = traitlets.Unicode("")
    min_gain = traitlets.Float(MIN_GAIN, min=0.0, max=1.0)
    min_failure = traitlets.Float(MIN_FAILURE, min=0.0, max=1.0)
    operators = traitlets.Dict(
        traitlets.Unicode(), key_trait=traitlets.Unicode(), default_value=dict(PUBLISHED.operators)
    )
    fallback = traitlets.Unicode(PUBLISHED.fallback)
    estimator = traitlets.Enum(CHOICES, CHOICES[0])
    level = traitlets.Float(0.05, min=0.0, max=1.0)
    basis = traitlets.Enum(BASES, BASES[0])
    seed = traitlets.Int(0, min=0, max=MAX_SEED)
    panel = traitlets.Enum(list(PLOTS), "comparators")
    regime = traitlets.Enum(["", *(each.value for each in Regime)], "")
    route = traitlets.Unicode("")

    @takes_study()
    @checks.takes(selection=SELECTION, interventions=checks.NAMES, counts=checks.COUNTS)
    def __init__(
        self,
        ds: xr.Dataset,
        *,
        selection: Selection | None = None,
        interventions: Sequence[str] | None = None,
        counts: dict[str, int] | None = None,
        **state: Any,
    ) -> None:
        self._ds = ds
        self.data = RoutingData(ds, interventions=interventions, counts=counts)
        self._slow = False
        self._said_of = self._drawn = None
        self._frames: dict[str, pd.DataFrame] = {}
        state = {"population": self.data.populations[0], **state}
        super().__init__(selection=selection, **state)
        self.selection.observe(lambda _: self._refreshed(), names=["problems"])

    def build(self) -> tuple[ipywidgets.Widget, ...]:
        """Lay out the controls, what is said, the chart and the table."""
        self.chart, controls = ChartPanel(), routing_controls(self.data)
        self.answering(controls, "every estimator of these settings, with all resamples")
        problems = self.listing(self.data.interventions, label="failed problems")
        filters = ipywidgets.HBox([controls["regime"], controls["route"]])
        filters.add_class("recover-nb-row")
        policy = ipywidgets.VBox([controls["operators"], controls["fallback"], controls["basis"]])
        others = [controls[name] for name in ("min_failure", "level", "seed")]
        advanced = (policy, ipywidgets.VBox(others), controls["cells"])
        return self.laid_out(self.chart, [filters, problems], advanced, self.data.lacks)

    @property
    def settings(self) -> Settings:
        """What the evaluation depends on."""
        operators = tuple(self.operators.items())
        return Settings(
            self.cells,
            self.min_gain,
            self.min_failure,
            operators,
            self.fallback,
            self.seed,
            self.population,
        )

    @property
    def evaluation(self) -> Evaluation:
        """What `evaluate_routing` gives for these settings, with few resamples until asked."""
        drawn = {"budget": {"budgets"}, "estimators": set(ESTIMATED)}.get(self.panel, set())
        return self._evaluated(self._said_parts | drawn)

    @property
    def _said_parts(self) -> set[str]:
        """What the sentences are of."""
        return (
            {"published", "null"} if self.estimator in ("published", "null") else {self.estimator}
        )

    def _evaluated(self, parts: set[str]) -> Evaluation:
        began = time.monotonic()
        with self._telling("Evaluating", self._slow) as tell:
            found = self.data.evaluation(self.settings, parts, progress=tell)
        self._slow = self._slow or time.monotonic() - began > PATIENCE
        return found

    def resample(self) -> None:
        """Compute and show every estimator and the budgets of the settings with all resamples."""
        with self.resampling(), self._telling("Resampling every estimator", True) as tell:
            self.data.resample(self.settings, progress=tell)

    @contextmanager
    def _telling(self, what: str, slow: bool) -> Iterator[Callable[[str], None]]:
        """Yield what `evaluate_routing` calls at each stage; a bar follows where work is slow."""
        done = count(1)
        with self.busy.doing(what, len(PARTS) + 1) if slow else nullcontext(lambda _: None) as tell:
            yield lambda stage: tell(next(done))

    def refresh(self) -> None:
        """List the problems, then score the policy: what is quick to compute is shown first."""
        try:
            self._list()
        finally:
            try:
                self._score()
            except InputError:
                self._said_of, self._drawn, self._frames = None, None, {}
                self.silent()
                self.chart.clear()
                raise

    def _score(self) -> None:
        """Say what the chosen estimator says, then draw the panel; leave what is there already."""
        data = self._evaluated(self._said_parts)
        at = (self.settings, self.data.is_exact(self.settings), self.panel)
        said_of = (*at, self.estimator, self.basis, self.level)
        if said_of == self._said_of:
            return
        frames = {"comparators": tables.comparators(data, self.estimator)}
        frames["tests"] = tables.significance(data, self.estimator, self.level)
        self._frames = frames
        self._say(data)
        if self.panel not in frames:
            frames[self.panel] = self._frame(self.evaluation)
        drawn = (*at, {"comparators": self.estimator, "budget": self.basis}.get(self.panel))
        if drawn != self._drawn:
            plot, frame = PLOTS[self.panel], frames[self.panel]
            if self.panel in NUMBERS_ONLY:
                self.chart.draw(plot, frame, NUMBERS_ONLY[self.panel])
            else:
                self.chart.show(plot(frame))
        self._said_of, self._drawn = said_of, drawn

    def _say(self, data: Evaluation) -> None:
        frame = self._frames["comparators"]
        said = tables.say_routing(frame, self._frames["tests"], self.level)
        counts = counted({name: it for name, it in data.settings.items() if name in ROUGH})
        exact = self.data.is_exact(self.settings)
        said += [f"Resampled: {counts}."] if exact else []
        said += [_ROUTES_NOTE] if self.panel == "routes" else []
        self.say(routing_headline(frame), said, rough="" if exact else counts)

    def _frame(self, data: Evaluation) -> pd.DataFrame:
        """Return what a panel other than the comparators draws."""
        if self.panel == "budget":
            return self.data.budget(data, self.basis)
        if self.panel == "regimes":
            return tables.regimes_by_cell(self.data.decided(self.settings)[0])
        return {"estimators": tables.lift_over_retry, "routes": tables.routes_by_cell}[self.panel](
            data
        )

    def _list(self) -> None:
        """Show the problems that the filters let through."""
        among = self.selection.problems
        wanted = {"regime": self.regime, "route": self.route, "among": among}
        self.list_problems(
            (self.settings, *wanted.values()),
            lambda: self.data.problems(self.settings, **wanted),
            DIGITS,
            FIRST,
        )

    def figures(self) -> dict[str, str]:
        """Return the lift, how sure it is, and of how many problems."""
        if not self._frames:
            return {}
        return routing_figures(self._frames["comparators"], self._rows)

    def charts(self) -> dict[str, Any]:
        """Return the chart of the panel."""
        return {} if self.chart.chart is None else {self.panel: self.chart.chart}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return routing against every comparator, the tests, the panel's data and the problems."""
        return {**self._frames, "problems": self._rows}
