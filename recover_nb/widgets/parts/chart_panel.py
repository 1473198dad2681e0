"""A place for a chart that changes, drawn at the width it has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import pandas as pd
import traitlets

from recover_nb.charts.kit import sentence
from recover_nb.charts.showing import library, picture
from recover_nb.core import checks
from recover_nb.widgets.parts.traits import Plain

#: The library that draws charts, sent to the page once a kernel.
_sent: list[ipywidgets.Widget] = []


class Library(ipywidgets.Widget):
    """The script that draws charts, for every chart of the page."""

    code = traitlets.Unicode("").tag(sync=True)


class ChartPanel(Plain, anywidget.AnyWidget):
    """A place for one chart that changes, as wide as there is room.

    Charts that views draw are not held against Vega-Lite's schema each time (`View` switches that
    off while it refreshes): it takes longer than drawing, and the tests of the charts do it once.

    Parameters
    ----------
    choice : str
        Name of a selection that every chart shown here has, to be heard; empty = none.
    heard : callable, optional
        Called with what the reader has selected: for each point, or for the brush, field to value
        or (low, high). Called with ``[]`` when nothing is selected any more.

    Attributes
    ----------
    chart : Chart or None
        What is shown.
    spec : dict
        Its specification; empty = nothing is shown.
    params : dict
        Parameters of the chart that were given since.
    """

    _esm = Path(__file__).parent / "chart_panel.js"
    _css = (
        ".recover-nb-panel { min-width: 0; margin: 2px 0; align-self: stretch; }"
        " .recover-nb-row > .recover-nb-panel { flex: 1 1 420px; max-width: 100%; }"
    )

    spec = traitlets.Dict().tag(sync=True)
    params = traitlets.Dict().tag(sync=True)
    choice = traitlets.Unicode("").tag(sync=True)
    library = traitlets.Instance(ipywidgets.Widget, allow_none=True).tag(
        sync=True, **ipywidgets.widget_serialization
    )

    @checks.takes(heard=checks.calls(1, "a function of one argument, what was picked"))
    def __init__(
        self, *, choice: str = "", heard: Callable[[list[dict[str, Any]]], None] = lambda _: None
    ) -> None:
        super().__init__(choice=choice)
        self.add_class("recover-nb-panel")
        self.chart: Any = None
        self._picture = ""
        self._looks: tuple | None = None
        self.on_msg(lambda _widget, content, _buffers: heard(content["picked"]))

    def draw(
        self,
        plot: Callable[[pd.DataFrame], Any],
        frame: pd.DataFrame,
        says: Callable[[pd.DataFrame], str] = lambda _: "",
    ) -> None:
        """Show ``plot(frame)``, which draws every row, and describes them by ``says(frame)``.

        Its looks depend on names and on what is missing alone.

        Where only numbers differ from the last frame, the chart gets other rows: building one takes
        as long as a third of what is computed for it.
        """
        words = [
            tuple(frame[name])
            for name in frame.columns
            if not pd.api.types.is_numeric_dtype(frame[name])
        ]
        looks = (plot, *words, frame.isna().to_numpy().tobytes())
        if looks != self._looks or not self._renew(frame, says(frame)):
            self.show(plot(frame))
            self._looks = looks

    def _renew(self, frame: pd.DataFrame, said: str) -> bool:
        """Give the chart that is shown other rows, if it has one table of them."""
        if len(self.spec.get("datasets", ())) != 1:
            return False
        self._picture = ""
        ((name, rows),) = self.spec["datasets"].items()
        frame = frame[list(rows[0])].reset_index(drop=True)
        self.chart.data = frame
        self.chart.description = sentence(self.chart.title, said)
        self.spec = {
            **self.spec,
            "description": self.chart.description,
            "datasets": {name: _records(frame)},
        }
        return True

    def show(self, chart: Any) -> None:
        """Show a chart in the place of the last one."""
        self.chart, self._looks, self._picture = chart, None, ""
        if not _sent or _sent[0].comm is None:
            _sent[:] = [Library(code=library())]
        with self.hold_sync():
            self.library, self.params = _sent[0], {}
            self.spec = chart.to_dict(validate=False)

    def give(self, name: str, value: Any) -> None:
        """Set a parameter of the chart that is shown, without drawing it anew."""
        if self.chart is None:
            return
        self.params = {**self.params, name: value}
        # What is saved is what is seen.
        self._picture = ""
        for param in self.chart.params:
            if str(getattr(param.name, "name", param.name)) == name:
                param.value = value

    def still(self) -> str:
        """Return the chart as an image; nothing where none is shown."""
        if self.chart is not None and not self._picture:
            self._picture = picture(self.chart.to_dict(validate=False))
        return self._picture

    def clear(self) -> None:
        """Show nothing."""
        self.chart, self._looks, self._picture = None, None, ""
        with self.hold_sync():
            self.spec = self.params = {}


def _records(frame: pd.DataFrame) -> list[dict]:
    """Return rows of text and numbers as in a chart's specification; what is no number is None."""
    columns = {
        name: [None if value != value else value for value in frame[name].tolist()]
        for name in frame.columns
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
