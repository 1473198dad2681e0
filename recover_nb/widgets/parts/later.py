"""What would give an answer away, kept until the answer is out; and any thing as a widget."""

import html
from pathlib import Path
from typing import Any

import altair as alt
import anywidget
import ipywidgets
import pandas as pd
import traitlets
from IPython import get_ipython
from pandas.io.formats.style import Styler

from recover_nb.core.errors import InputError
from recover_nb.core.result import Result
from recover_nb.tables.kit import for_people
from recover_nb.widgets.parts.chart_panel import ChartPanel
from recover_nb.widgets.parts.classroom import answers_wanted
from recover_nb.widgets.parts.keys import Keys
from recover_nb.widgets.parts.lasting import Lasting
from recover_nb.widgets.parts.looks import css
from recover_nb.widgets.parts.still import still


class Gate(anywidget.AnyWidget):
    """The part of `Later` that waits.

    Attributes
    ----------
    question : str
    opened : bool
        Set by the reader, or because the answer is out.
    done : bool
        What waited is there.
    message : str
        What went wrong.
    """

    _esm = Path(__file__).parent / "later.js"
    _css = css()

    question = traitlets.Unicode("").tag(sync=True)
    opened = traitlets.Bool(False).tag(sync=True)
    done = traitlets.Bool(False).tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)

    def still(self) -> str:
        """Return nothing: a still folds what waits."""
        return ""


class Later(Lasting):
    """An output that waits for a prediction: made by `Predict.then`.

    Attributes
    ----------
    opened : bool
        Whether it is shown: the answer is out, or the reader did not want to wait.
    """

    opened = traitlets.Bool(False)

    def __init__(self, ask: Any, thing: Any) -> None:
        self._thing, self._made = thing, None
        self._gate, self._place = Gate(question=ask.question), ipywidgets.VBox()
        super().__init__()
        self.add_class("recover-nb").add_class("recover-nb-Later")
        self.children = (self._gate, self._place, Keys())
        traitlets.link((self, "opened"), (self._gate, "opened"))
        ask.observe(lambda _: self.set_trait("opened", True), names=["revealed"])
        self.opened = ask.revealed

    @traitlets.observe("opened")
    def _open(self, _change: dict[str, Any]) -> None:
        if not self.opened or self._place.children:
            return
        try:
            self._place.children = (self._widget(),)
        except (InputError, ModuleNotFoundError) as error:
            self._gate.message = str(error)
        self._gate.done = True

    def still(self) -> str:
        """Return what is shown, or what waits, folded away."""
        if self.opened:
            return super().still()
        words = "Answer the prediction above first."
        # A widget can be used only with a kernel; a callable may cost much.
        if callable(self._thing) and not answers_wanted():
            return f'<div class="still-box"><p>{words}</p></div>'
        folded = f"<summary>{words} Or see it now.</summary>{still(self._widget())}"
        return f'<div class="still-box"><details>{folded}</details></div>'

    def _widget(self) -> ipywidgets.Widget:
        if self._made is None:
            self._made = as_widget(self._thing() if callable(self._thing) else self._thing)
        return self._made


def as_widget(thing: Any) -> ipywidgets.Widget:
    """Return a chart, frame, result, widget or text as a widget; of others what they show."""
    if isinstance(thing, ipywidgets.Widget):
        return thing
    if isinstance(thing, pd.DataFrame):
        thing = for_people(thing)
    if isinstance(thing, Styler):
        return ipywidgets.HTML(thing.to_html())
    if isinstance(thing, str):
        return ipywidgets.HTML(f"<p>{html.escape(thing)}</p>")
    if isinstance(thing, alt.TopLevelMixin):
        panel = ChartPanel()
        panel.show(thing)
        return panel
    if isinstance(thing, Result):
        return ipywidgets.VBox([ipywidgets.HTML(thing.head_html()), *_chart_of(thing)])
    return _other(thing)


def _chart_of(result: Result) -> list[ipywidgets.Widget]:
    try:
        return [as_widget(result.plot())] if result.chart else []
    except InputError:  # Nothing to draw.
        return []


def _other(thing: Any) -> ipywidgets.Widget:
    shell = get_ipython()
    if shell is None:
        return ipywidgets.HTML(f"<pre>{html.escape(repr(thing))}</pre>")
    data, metadata = shell.display_formatter.format(thing)
    shown = {"output_type": "display_data", "data": data, "metadata": metadata}
    return ipywidgets.Output(outputs=(shown,))
