"""See what features say of methods and regimes, what transfers, what reading says; brush errors."""

import time
from itertools import count
from typing import Any, ClassVar

import ipywidgets
import pandas as pd
import traitlets
import xarray as xr

from recover_nb.charts.topography import CELL
from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.prediction.transcripts import ROLLOUTS
from recover_nb.tables.headlines import headline, prediction_figures
from recover_nb.tables.kit import counted
from recover_nb.tables.routing import routed_interventions
from recover_nb.widgets.parts.chart_panel import ChartPanel
from recover_nb.widgets.parts.controls import or_none
from recover_nb.widgets.parts.explorer import LISTING, MAX_SEED, Listing
from recover_nb.widgets.parts.matrix import NO_CELL, MatrixControl
from recover_nb.widgets.parts.selection import SELECTION, Selection, looking_at
from recover_nb.widgets.topography.controls import topography_controls
from recover_nb.widgets.topography.data import (
    DOING,
    OF_ONE,
    PANELS,
    ROUGH,
    Settings,
    TopographyData,
)

#: Seconds of work before a bar follows it.
PATIENCE = 0.2
FIRST = ("problem", "true", "predicted", "agreement", "spread", "concentration")
DIGITS = {"spread": 3, "concentration": 3, "logit_dispersion": 3}


class TopographyExplorer(Listing):
    """What features say of a label, beside baselines, and if it holds elsewhere or could be read.

    A control shows its effect at once, with few resamples; `resample` computes the panel with all
    of them, and what was computed is kept. Choosing a cell of the confusion matrix, by a click or
    in the table beside it, brushes its problems into `selection`, so that linked views show them.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table.
    selection : Selection, optional
        Its problem is followed and set, its brushed problems are set, and are those the lower table
        lists.
    counts : dict of str to dict, optional
        Keywords of `resample`, by ``topography``, ``transfer`` and ``reading``; the functions' own
        otherwise.
    **state
        Initial values of the attributes below.

    Attributes
    ----------
    population : str
        Which failures (docs/method.md#populations); the study's headline at first.
    target : str
        The label: ``method``, ``regime``, ``model``, ``family``, ``task`` or ``cell``, where the
        study holds it.
    within : str
        Predict within each ``cell``, ``family`` and so on; empty = pooled.
    part : str
        Which of them is shown; empty = all together.
    features : tuple of str
        What is predicted from; empty = the three published ones.
    panel : str
        ``fingerprints``, ``effects``, ``scores``, ``confusion`` and ``coefficients`` of the
        prediction; ``clusters`` and ``routing`` of the transfer; ``reading``.
    true, predicted : str
        The chosen cell of the confusion matrix; empty = none.
    by : str
        What is transferred between.
    rollouts : str
        What is read: ``all`` failed rollouts or the ``first``.
    seed : int
    search, sort, descending, page, chosen_columns : str, str, bool, int, tuple of str
        How problems are listed.

    Notes
    -----
    docs/method.md#10-failure-topography to docs/method.md#12-not-by-reading. The matrix is a mean
    over repeats; a problem is listed under the class it is taken for in most of them.

    Examples
    --------
    Failures of ``sft`` that are taken for those of ``grpo``.

    >>> import recover_nb as rnb
    >>> view = rnb.widgets.TopographyExplorer(rnb.load_study(), panel="confusion")
    >>> view.value = {"true": "sft", "predicted": "grpo"}
    >>> len(view.tables()["problems"])
    10
    """

    IN_SIGHT: ClassVar = ("target", "within", "population")
    STATE: ClassVar = (
        "population",
        "target",
        "within",
        "part",
        "features",
        "panel",
        "true",
        "predicted",
        "by",
        "rollouts",
        "seed",
        *LISTING,
    )

    population = traitlets.Unicode("")
    target = traitlets.Unicode("method")
    within = traitlets.Unicode("")
    part = traitlets.Unicode("")
    features = traitlets.Tuple()
    panel = traitlets.Enum(list(PANELS), "confusion")
    true = traitlets.Unicode("")
    predicted = traitlets.Unicode("")
    by = traitlets.Unicode("family")
    rollouts = traitlets.Enum(ROLLOUTS, ROLLOUTS[0])
    seed = traitlets.Int(0, min=0, max=MAX_SEED)

    @takes_study()
    @checks.takes(selection=SELECTION, counts=checks.COUNTS)
    def __init__(
        self,
        ds: xr.Dataset,
        *,
        selection: Selection | None = None,
        counts: dict[str, dict[str, int]] | None = None,
        **state: Any,
    ) -> None:
        self._ds = ds
        self.data = TopographyData(ds, counts=counts)
        self._parts: tuple[str, ...] = ()
        self._drawn = self._brushed_of = None
        self._cell, self._brushed = NO_CELL, ()
        self._frames: dict[str, pd.DataFrame] = {}
        super().__init__(selection=selection, **{"population": self.data.populations[0], **state})
        self.selection.observe(self._brushed_elsewhere, names=["problems"])

    def build(self) -> tuple[ipywidgets.Widget, ...]:
        """Lay out the controls, what is said, the chart with its cells, and the problems."""
        # A place for the matrix, which hears clicks, and one for all others: changing places is
        # slow in the page.
        self._plain, self.matrix = ChartPanel(), MatrixControl()
        self.matrix.observe(
            lambda change: setattr(self, "value", dict(zip(CELL, change["new"], strict=True))),
            names=["cell"],
        )
        problems = self.listing(routed_interventions(self._ds), label="problems")
        controls = topography_controls(self.data)
        self.answering(controls, "this panel, with all repeats, permutations and resamples")
        named = (("part", "by", "rollouts", "seed"), ("features",))
        advanced = [ipywidgets.VBox([controls[name] for name in names]) for names in named]
        matrix = ipywidgets.HBox([self.matrix.chart, self.matrix]).add_class("recover-nb-row")
        return self.laid_out(ipywidgets.VBox([self._plain, matrix]), [problems], advanced)

    @property
    def chart(self) -> ChartPanel:
        """Where the chart of the panel is."""
        return self.matrix.chart if self.panel == "confusion" else self._plain

    @property
    def settings(self) -> Settings:
        """What the results depend on."""
        return Settings(
            self.target,
            self.within,
            self.features,
            self.by,
            self.rollouts,
            self.seed,
            self.population,
        )

    def result(self, kind: str, *, exact: bool = False) -> Any:
        """Return the present `Topography`, `Transfer` or `Reading`; say so while it is computed."""
        data, at, done = self.data, self.settings, count(1)
        if data.known(kind, at) and (data.exact(kind, at) or not exact):
            return data.result(kind, at)
        steps = data.steps(kind, at, exact=exact)
        with self.busy.doing(DOING[kind], steps) as tell:
            began = time.monotonic()

            def progress(_: str) -> None:
                n_done = next(done)
                # Most first looks are over before anyone could read a bar: a message for each step
                # would delay them.
                if n_done == steps or time.monotonic() - began > PATIENCE:
                    tell(n_done)

            return data.result(kind, at, exact=exact, progress=progress)

    def resample(self) -> None:
        """Compute and show the panel with all repeats, permutations and resamples."""
        with self.resampling():
            self.result(PANELS[self.panel].kind, exact=True)

    def refresh(self) -> None:
        """Draw the panel, brush the chosen cell, list the problems."""
        try:
            self.result("topography")
            self._offer_parts()
            self._draw()
            self._brush()
            self._list()
        except InputError:
            self._drawn, self._frames = None, {}
            self.silent()
            self.matrix.clear()
            self._plain.clear()
            raise

    def _offer_parts(self) -> None:
        """Offer the parts there are; a part that went with the others is chosen no more."""
        parts = self.data.parts(self.settings)
        if parts != self._parts:
            part, self._parts = self.part, parts
            self.controls["part"].options = or_none("all together", parts)
            self.part = part if part in parts else ""
        if self.part and self.part not in parts:
            raise InputError(
                f"no part {self.part!r}; allowed:"
                f" {', '.join(parts) or 'none, as nothing is taken apart'}"
            )

    def _draw(self) -> None:
        """Draw the panel, unless it is drawn."""
        kind = PANELS[self.panel].kind
        self.result(kind)
        at = (self.panel, self.part, self.settings, self.data.exact(kind, self.settings))
        if at == self._drawn:
            return
        frame = self.data.frame(self.panel, self.settings, self.part)
        self._frames = {self.panel: frame}
        if self.panel == "confusion":
            self._plain.layout.display = "none"
            self.matrix.show(frame)
        else:
            self.matrix.hide()
            self._plain.layout.display = ""
            self._plain.show(PANELS[self.panel].plot(frame))
        said = self.data.said(self.panel, self.settings)
        if self.panel in OF_ONE and len(self._parts) > 1:
            said.append(f"Shown: {frame['part'].iloc[0]}, one of {len(self._parts)} parts.")
        found = self.result(kind)
        exact = self.data.exact(kind, self.settings)
        self.say(headline(found), said, rough="" if exact else counted(ROUGH[kind]))
        self._drawn = at

    def _brush(self) -> None:
        """Brush the problems of the chosen cell into the selection; drop a cell that is gone."""
        cell, at = (self.true, self.predicted), (self.settings, self.part)
        if (cell, at) == (self._cell, self._brushed_of):
            return
        classes = self.data.classes(self.settings, self.part)
        unknown = [name for name in cell if name and name not in classes]
        if unknown and cell == self._cell:
            # It went with the classes of another target or part.
            self.value = dict.fromkeys(CELL, "")
            return
        if unknown:
            raise InputError(
                f"no class {unknown[0]!r} here; allowed: {', '.join(classes)}, or empty for any"
            )
        had, self._cell, self._brushed_of = self._cell, cell, at
        self.matrix.cell = cell
        if cell != NO_CELL:
            self._select(self.data.problems(self.settings, self.part, cell)["problem"].tolist())
        elif had != NO_CELL:
            self._select([])

    def _select(self, problems: list[int]) -> None:
        """Brush problems, and look at the first of them unless one of them is looked at."""
        self._brushed = tuple(problems)
        first = problems and self.selection.problem not in problems
        self.selection.value = {
            "problems": self._brushed,
            **(looking_at(self.data.ds, problems[0]) if first else {}),
        }

    def _brushed_elsewhere(self, _: Any) -> None:
        """List what another view brushed; it is no cell of this matrix."""
        if self.selection.problems != self._brushed:
            self._brushed, self._cell = self.selection.problems, NO_CELL
            self.value = dict.fromkeys(CELL, "")
            self.matrix.cell = NO_CELL
        self._refreshed()

    def _list(self) -> None:
        """List the problems: those brushed, or all of the part."""
        among = self.selection.problems
        self.list_problems(
            (self.settings, self.part, among),
            lambda: self.data.problems(self.settings, self.part, among=among),
            DIGITS,
            FIRST,
        )

    def figures(self) -> dict[str, str]:
        """Return what the panel's result says in figures, and how many problems are listed."""
        kind = PANELS[self.panel].kind
        if not self._frames or not self.data.known(kind, self.settings):
            return {}
        return prediction_figures(self.data.result(kind, self.settings))

    def charts(self) -> dict[str, Any]:
        """Return the chart of the panel."""
        return {} if self.chart.chart is None else {self.panel: self.chart.chart}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what the panel draws, and the problems listed."""
        return {**self._frames, "problems": self._rows}
