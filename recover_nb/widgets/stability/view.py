"""Cluster the failed problems, brush them, and compare the clusters with data that have none."""

import html
from itertools import count
from typing import Any, ClassVar

import ipywidgets
import numpy as np
import pandas as pd
import traitlets
import xarray as xr

from recover_nb import charts, tables
from recover_nb.charts.clustering import say_stability
from recover_nb.clustering import ClusterStability, Glance
from recover_nb.clustering.grid import ALGORITHMS, KS
from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.tables.headlines import headline, stability_figures
from recover_nb.widgets.parts.chart_panel import ChartPanel
from recover_nb.widgets.parts.controls import tie
from recover_nb.widgets.parts.explorer import MAX_SEED, Cells, Explorer
from recover_nb.widgets.parts.selection import SELECTION, Selection
from recover_nb.widgets.parts.table_view import TableView
from recover_nb.widgets.stability.controls import (
    FEATURES,
    MAX_RESAMPLES,
    several_cells,
    stability_controls,
)
from recover_nb.widgets.stability.data import ROUGH, Settings, StabilityData

#: Panel -> how its frame is drawn.
PLOTS = {
    "figures": charts.plot_stability,
    "consensus": charts.plot_consensus,
    "grid": charts.plot_stability_grid,
}
DIGITS = {"share": 2, "jaccard": 2}


class StabilityExplorer(Explorer):
    """Clusters of failed problems, and whether data without clusters are as stable.

    A control shows its clusters at once, with a stability of few resamples that settles nothing;
    `resample` sets them beside one Gaussian and a uniform box. Drag in the scatter, or choose a row
    of the table, to brush: the problems are those of `selection`, which linked views follow.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table.
    selection : Selection, optional
        Its brushed problems are set, and stand out here whoever brushed them.
    n_null : int
        Draws of each null, at least 19.
    **state
        Initial values of the attributes below.

    Attributes
    ----------
    cells : tuple of str
        Whose problems; empty = all.
    algorithm : str
        ``kmeans``, ``gaussian_mixture``, ``ward`` or ``hdbscan``, which finds its own number of
        clusters.
    k : int
        Clusters, 2 to 8.
    within_cells, ranks : bool
        Standardise each cell by itself; use ranks in place of values.
    n_resamples : int
        Of `resample`, for the data and for each draw of a null.
    seed : int
    x, y : str
        Features of the scatter.
    brush : dict of str to (low, high)
        Ranges of features; empty = no rectangle.
    cluster : str
        Brushed cluster, or ``noise``; empty = any. With a brush: what lies in both.
    panel : str
        ``figures`` (each beside both nulls), ``consensus`` or ``grid`` (every algorithm and k).

    Notes
    -----
    docs/method.md#9-clustering-stability.

    Examples
    --------
    A brushed cluster is brushed in every view that shares the selection.

    >>> import recover_nb as rnb
    >>> selection = rnb.widgets.Selection()
    >>> view = rnb.widgets.StabilityExplorer(
    ...     rnb.load_study(), selection=selection, cells=("neox|sft|program",), k=2
    ... )
    >>> view.value = {"cluster": "1"}
    >>> len(selection.problems)
    29
    """

    IN_SIGHT: ClassVar = ("cells", "algorithm", "k")
    STATE: ClassVar = (
        "cells",
        "algorithm",
        "k",
        "within_cells",
        "ranks",
        "n_resamples",
        "seed",
        "x",
        "y",
        "brush",
        "cluster",
        "panel",
    )

    cells = Cells()
    algorithm = traitlets.Enum(ALGORITHMS, ALGORITHMS[0])
    k = traitlets.Int(3, min=KS[0], max=KS[-1])
    within_cells = traitlets.Bool(False)
    ranks = traitlets.Bool(False)
    n_resamples = traitlets.Int(20, min=2, max=MAX_RESAMPLES)
    seed = traitlets.Int(0, min=0, max=MAX_SEED)
    x = traitlets.Enum(FEATURES, FEATURES[0])
    y = traitlets.Enum(FEATURES, FEATURES[2])
    brush = traitlets.Dict(key_trait=traitlets.Enum(FEATURES))
    cluster = traitlets.Unicode("")
    panel = traitlets.Enum(list(PLOTS), "figures")

    @takes_study()
    @checks.takes(selection=SELECTION, n_null=checks.COUNT)
    def __init__(
        self, ds: xr.Dataset, *, selection: Selection | None = None, n_null: int = 20, **state: Any
    ) -> None:
        self._ds = ds
        self.data = StabilityData(ds, n_null=n_null)
        self._settings = self._scattered = self._panelled = None
        self._asked: tuple = ({}, "", None)
        self._rectangle: dict[str, tuple[float, float]] = {}
        self._points = pd.DataFrame()
        self._frames: dict[str, pd.DataFrame] = {}
        super().__init__(selection=selection, **state)
        self.selection.observe(self._follow, names=["problems"])
        self._highlight()

    @traitlets.validate("brush")
    def _ranges(self, proposal: Any) -> dict[str, tuple[float, float]]:
        try:
            ends = {
                name: sorted((float(low), float(high)))
                for name, (low, high) in proposal.value.items()
            }
        except (TypeError, ValueError):
            raise traitlets.TraitError(
                f"brush is {proposal.value!r}; allowed: feature to (low, high)"
            ) from None
        return {name: (low, high) for name, (low, high) in ends.items()}

    def build(self) -> tuple[ipywidgets.Widget, ...]:
        """Lay out the controls, the scatter with its clusters, what is said, and the panel."""
        self.scatter = ChartPanel(choice="brush", heard=self._heard)
        self.table, self.chart = TableView(label="clusters", page_size=10), ChartPanel()
        self.table.observe(lambda change: self._choose(change["new"]), names=["chosen"])
        self.picked, controls = ipywidgets.HTML(), stability_controls(self.data.cells)
        self.answering(controls, "set the clusters beside data that have none")
        self.clear = ipywidgets.Button(
            description="clear brush", icon="eraser", tooltip="look at every problem again"
        )
        self.clear.on_click(lambda _: self._clear())
        several = several_cells(self.data.cells)
        tie(self, "cells", several)
        named = (("x", "y", "n_resamples", "seed"), ("within_cells", "ranks"))
        columns = [ipywidgets.VBox([controls[name] for name in names]) for names in named]
        brushed = ipywidgets.HBox([self.picked, self.clear]).add_class("recover-nb-row")
        picture = ipywidgets.GridBox([self.scatter, self.chart]).add_class("recover-nb-pair")
        return self.laid_out(picture, [brushed, self.table], [*columns, several])

    @property
    def settings(self) -> Settings:
        """What the clustering depends on."""
        return Settings(
            self.cells, self.algorithm, self.k, self.within_cells, self.ranks, self.seed
        )

    @property
    def found(self) -> ClusterStability | Glance:
        """The clustering shown: judged once resampled."""
        return self.data.found(self.settings)

    def resample(self) -> None:
        """Set this clustering, or the panel's whole grid, beside data without clusters."""
        grid = self.panel == "grid"
        what = (
            "Resampling every algorithm and k"
            if grid
            else "Resampling beside data without clusters"
        )
        work, done = self.data.compare if grid else self.data.judge, count(1)
        with self.resampling(), self.busy.doing(what, self.data.n_stages) as tell:
            work(self.settings, self.n_resamples, progress=lambda _: tell(next(done)))

    def refresh(self) -> None:
        """Say what is known of the clusters, then draw them.

        The page draws the one while the other is on its way.
        """
        settings, before = self.settings, self._settings
        if settings != before:
            self._settings, self._points = None, pd.DataFrame()
            try:
                self._points = self.data.points(self.data.found(settings))
            except InputError:
                self._blank()
                raise
            self._settings = settings
            if before is not None and self.cluster not in self._points["cluster"].to_numpy():
                # The cluster that was looked at is gone with its clustering, which is no mistake of
                # the reader's.
                self.cluster = ""
        self._brush()
        try:
            self._judge()
        finally:
            self._scatter()
            self._highlight()

    def _blank(self) -> None:
        """Show nothing, where there are no clusters to show."""
        self._scattered = self._panelled = None
        self._frames, self.picked.value = {}, ""
        self.silent()
        for panel in (self.scatter, self.chart):
            panel.clear()
        self.table.show(pd.DataFrame())

    def _brush(self) -> None:
        """Let every linked view look at what is brushed; leave what another view has brushed."""
        asked, before = (dict(self.brush), self.cluster, self._settings), self._asked
        if asked == before:
            return
        if self.brush or self.cluster:
            self._asked = asked
            self.selection.problems = self.data.inside(self._points, self.brush, self.cluster)
        elif before[0] or before[1]:
            self._asked = asked
            self.selection.problems = ()

    def _scatter(self) -> None:
        wanted = (self._settings, self.x, self.y)
        rectangle = self.brush if set(self.brush) == {self.x, self.y} else {}
        if wanted == self._scattered and rectangle == self._rectangle:
            return
        self._scattered, self._rectangle = wanted, rectangle
        problems = self.selection.problems
        self.scatter.show(
            charts.plot_cluster_brush(
                self._points, self.x, self.y, picked=problems, brush=rectangle
            )
        )

    def _judge(self) -> None:
        """Say what is known of the clusters, and draw the panel."""
        found, said = self.found, []
        self._frames = {"clusters": self.data.clusters(found)}
        self.table.show(self._frames["clusters"], key="place", digits=DIGITS)
        self._choose_row()
        try:
            if isinstance(found, ClusterStability):
                counts = "{n_resamples} resamples, of the data and of {n_null} draws of each null."
                said += [
                    found.sentence,
                    tables.say_alignment(found),
                    counts.format(**found.settings),
                ]
            else:
                said.append(tables.say_glance(found))
            source, frame = self.data.panel(self.panel, found, self.settings)
            said += [tables.say_grid(source)] if self.panel == "grid" else []
        except InputError:
            self._panelled = None
            self.chart.clear()
            raise
        finally:
            judged = isinstance(found, ClusterStability)
            self.say(headline(found), said, rough="" if judged else f"{ROUGH} resamples")
        self._frames[self.panel] = frame
        if (
            self._panelled is None
            or self._panelled[0] != self.panel
            or self._panelled[1] is not source
        ):
            # Figures of another clustering are other numbers in the same chart.
            if self.panel == "figures":
                self.chart.draw(PLOTS["figures"], frame, say_stability)
            else:
                self.chart.show(PLOTS[self.panel](frame))
            self._panelled = (self.panel, source)

    def _heard(self, picked: list[dict[str, list[float]]]) -> None:
        """Take the rectangle that was drawn in the page; none takes it away."""
        brush = {name: (low, high) for each in picked for name, (low, high) in each.items()}
        spans = {name: np.ptp(self._points[name]) for name in brush}
        # A rectangle set from here comes back through pixels: it is not another one.
        same = set(brush) == set(self._rectangle) and all(
            np.allclose(brush[name], self._rectangle[name], rtol=0, atol=1e-6 * spans[name])
            for name in brush
        )
        if not same:
            self._rectangle = self.brush = brush

    def _choose(self, place: int) -> None:
        if place >= 0:
            self.cluster = str(self._frames["clusters"]["cluster"].iloc[place])

    def _choose_row(self) -> None:
        names = self._frames["clusters"]["cluster"].tolist()
        self.table.chosen = names.index(self.cluster) if self.cluster in names else -1

    def _clear(self) -> None:
        self.value = {"brush": {}, "cluster": ""}
        self.selection.problems = ()

    def _follow(self, _: Any) -> None:
        """Show what is brushed; if another view brushed it, drop this view's own brush."""
        mine = (
            self.data.inside(self._points, self.brush, self.cluster)
            if self.brush or self.cluster
            else None
        )
        if mine is not None and mine != self.selection.problems:
            self._asked = ({}, "", self._settings)
            self.value = {"brush": {}, "cluster": ""}
        self._highlight()

    def _highlight(self) -> None:
        problems = self.selection.problems
        self.scatter.give("picked", list(problems))
        n = int(self._points["problem"].isin(problems).sum()) if len(self._points) else 0
        none = (
            "The brush holds no problem, so all are shown."
            if self.brush or self.cluster
            else "Nothing is brushed."
        )
        said = f"{n} of {len(self._points)} problems are brushed." if problems else none
        if self.brush and self.cluster:
            said += (
                f" Both count: the rectangle, and cluster {html.escape(self.cluster)} of the table."
            )
        self.picked.value = f'<span role="status">{said}</span>'

    def figures(self) -> dict[str, str]:
        """Return what the clusters are worth, as far as it is known."""
        return stability_figures(self.found, self._frames.get("clusters")) if self._frames else {}

    def charts(self) -> dict[str, Any]:
        """Return the scatter and the chart of the panel."""
        shown = {"scatter": self.scatter.chart, self.panel: self.chart.chart}
        return {name: chart for name, chart in shown.items() if chart is not None}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the problems with ``cluster`` and ``brushed``, the clusters, the panel's frame."""
        if not len(self._points):
            return {}
        brushed = self._points["problem"].isin(self.selection.problems)
        return {"problems": self._points.assign(brushed=brushed), **self._frames}
