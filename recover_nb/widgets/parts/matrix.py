"""Choose a cell of a confusion matrix: by a click in its chart, or in a table of its cells."""

from typing import Any

import ipywidgets
import pandas as pd
import traitlets

from recover_nb.charts.topography import CELL, plot_confusion
from recover_nb.widgets.parts.chart_panel import ChartPanel
from recover_nb.widgets.parts.table_view import TableView

NO_CELL = ("", "")


class MatrixControl(ipywidgets.VBox):
    """The cells of a matrix as a table, beside the chart in which one is clicked.

    Attributes
    ----------
    chart : ChartPanel
        Where the matrix is drawn.
    cell : tuple of (str, str)
        True and predicted class; empty = none, or any.
    """

    cell = traitlets.Tuple(traitlets.Unicode(), traitlets.Unicode(), default_value=NO_CELL)

    def __init__(self) -> None:
        self.chart = ChartPanel(choice="cell", heard=self._clicked)
        self._frame = pd.DataFrame(columns=CELL)
        self._drawn: pd.DataFrame | None = None
        self.table = TableView(label="cells of the confusion matrix")
        self.every = ipywidgets.Button(
            description="every problem", tooltip="choose no cell", layout={"width": "max-content"}
        )
        super().__init__([self.table, self.every])
        self.table.observe(lambda change: self._take(change["new"]), names=["chosen"])
        self.every.on_click(lambda _: self.set_trait("cell", NO_CELL))
        self.observe(lambda _: self._mark(), names=["cell"])

    def show(self, frame: pd.DataFrame) -> None:
        """Draw a matrix's cells (`tables.topography.confusion_cells`), the chosen one framed."""
        self._frame = frame
        if self._drawn is None or not frame.equals(self._drawn):
            self._drawn = frame
            self.chart.show(plot_confusion(frame, chosen=self.cell))
            self.table.show(frame[[*CELL, "share", "count"]], digits={"count": 1})
        self._mark()
        self.layout.display = self.chart.layout.display = ""

    def hide(self) -> None:
        """Step aside for another chart."""
        self._frame = self._frame[:0]
        self.layout.display = self.chart.layout.display = "none"

    def clear(self) -> None:
        """Show no matrix."""
        self._drawn = None
        self.chart.clear()

    def _mark(self) -> None:
        """Frame the chosen cell in the chart, and mark its row."""
        here = self._frame.index[(self._frame[list(CELL)] == list(self.cell)).all(axis=1)]
        if len(self._frame):
            for name, value in zip(CELL, self.cell, strict=True):
                self.chart.give(f"chosen_{name}", value)
        self.table.chosen = int(here[0]) if len(here) else -1

    def _clicked(self, picked: list[dict[str, Any]]) -> None:
        """Take the cell that was clicked; a click beside the cells chooses none."""
        self.cell = tuple(str(picked[0][name]) if picked else "" for name in CELL)

    def _take(self, row: int) -> None:
        if row >= 0:
            self.cell = tuple(str(self._frame[name][row]) for name in CELL)
