"""What every view has: a state that can be read, set and replayed, a message, and a way to save what it shows."""

import html
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import altair as alt
import ipywidgets
import pandas as pd
import traitlets

from recover_nb.errors import InputError
from recover_nb.widgets.download import Download
from recover_nb.widgets.export import as_bytes, formats_of
from recover_nb.widgets.selection import Selection, set_state


class View(ipywidgets.VBox):
    """A panel of a notebook.

    A subclass names its public traits in `STATE`, builds its controls in `build` and its picture in `refresh`. What
    it shows is also there as data: `charts` and `tables`.

    Parameters
    ----------
    selection : Selection, optional
        Shared with other views; one of its own otherwise.
    **state
        Initial values of the traits in `STATE`.

    Attributes
    ----------
    message : str
        What is wrong with the present state, in a sentence; empty when nothing is.

    Raises
    ------
    InputError
        For a state that the view does not have.
    """

    STATE: ClassVar[tuple[str, ...]] = ()

    selection = traitlets.Instance(Selection)
    message = traitlets.Unicode("")

    def __init__(self, *, selection: Selection | None = None, **state: Any) -> None:
        super().__init__(selection=selection or Selection())
        self.add_class("recover-nb")
        self._said = ipywidgets.HTML()
        self._saver = Download()
        self._saver.on_msg(self._save_asked)
        ipywidgets.dlink((self, "message"), (self._said, "value"), _alert)
        set_state(self, self.STATE, state)
        self.children = (*self.build(), self._said, self._saver)
        self.observe(lambda _: self._refreshed(), names=list(self.STATE))
        self._refreshed()

    def build(self) -> tuple[ipywidgets.Widget, ...]:
        """Return the controls and panels, from top to bottom. Called once."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Bring what is shown up to date with the state. May raise `InputError`: it becomes the message."""
        raise NotImplementedError

    def charts(self) -> dict[str, Any]:
        """Return the charts that are shown, by name."""
        return {}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the data that are shown, by name."""
        return {}

    @property
    def value(self) -> dict[str, Any]:
        """The state of the screen: every trait of `STATE`. Set some or all of it at once."""
        return {name: getattr(self, name) for name in self.STATE}

    @value.setter
    def value(self, state: dict[str, Any]) -> None:
        set_state(self, self.STATE, state)

    def save(self, path: str | Path, what: str | None = None) -> Path:
        """Save a chart (``.png``, ``.svg``, ``.html``) or a table (``.csv``, ``.parquet``) that is shown.

        Parameters
        ----------
        path : path
            Its ending says the format.
        what : str, optional
            A name of `charts` or `tables`; the first that has the format by default.

        Raises
        ------
        InputError
            Another ending, or nothing of that name.
        """
        path = Path(path)
        shown = {**self.charts(), **self.tables()}
        kind = path.suffix.lstrip(".")
        able = [name for name, each in shown.items() if kind in formats_of(each)]
        name = what or next(iter(able), "")
        if name not in able:
            allowed = ", ".join(f"{each} ({', '.join(formats_of(it))})" for each, it in shown.items()) or "nothing yet"
            what = what or "nothing shown"
            raise InputError(f"{path}: {what} cannot be saved as {kind or 'that'}; allowed: {allowed}")
        path.write_bytes(as_bytes(shown[name], kind))
        return path

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Turn an `InputError` into the message; clear the message when there is none."""
        try:
            yield
        except InputError as error:
            self.message = str(error)
        else:
            self.message = ""

    def _refreshed(self) -> None:
        with self.speaking():
            self.refresh()
        self._saver.items = {
            name: formats_of(each) for name, each in {**self.charts(), **self.tables()}.items()
        }

    def _save_asked(self, _widget: Any, content: dict[str, str], _buffers: Any) -> None:
        name, kind = str(content.get("name", "")), str(content.get("format", ""))
        shown = {**self.charts(), **self.tables()}
        with self.speaking():
            if name not in shown or kind not in formats_of(shown[name]):
                raise InputError(f"{name or 'nothing'} cannot be saved as {kind!r}")
            self._saver.send({"file": f"{name}.{kind}"}, buffers=[as_bytes(shown[name], kind)])


class ChartPanel(ipywidgets.VBox):
    """A place for one chart that changes: the frame stays, the chart in it is swapped."""

    def __init__(self) -> None:
        super().__init__()
        self.chart: Any = None
        self._shown: alt.JupyterChart | None = None

    def show(self, chart: Any) -> None:
        """Show a chart in the place of the last one."""
        self.chart = chart
        if self._shown is None:
            # Without this the charting library would be asked of a host on the internet.
            if not alt.JupyterChart._is_offline:
                alt.JupyterChart.enable_offline()
            self._shown = alt.JupyterChart(chart)
            self.children = (self._shown,)
        else:
            self._shown.chart = chart

    def clear(self) -> None:
        """Show nothing."""
        self.chart, self._shown, self.children = None, None, ()


def _alert(message: str) -> str:
    if not message:
        return ""
    return f'<p role="alert" class="recover-nb-message">{html.escape(message)}</p>'
