"""What a view has: a state to read, set and replay, a message, and a way to save what it shows."""

import html
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import altair as alt
import ipywidgets
import pandas as pd
import traitlets
from altair.utils.schemapi import debug_mode

from recover_nb.charts.showing import picture
from recover_nb.core.errors import InputError
from recover_nb.core.places import check_free, placed
from recover_nb.widgets.parts.download import Download
from recover_nb.widgets.parts.export import as_bytes, formats_of
from recover_nb.widgets.parts.keys import Keys
from recover_nb.widgets.parts.lasting import Lasting
from recover_nb.widgets.parts.selection import Selection, set_state

#: Milliseconds a brush has not moved for when it is heard.
SETTLED = 120


class View(Lasting):
    """A panel of a notebook.

    A subclass names its public traits in `STATE`, builds its controls in `build` and its picture in
    `refresh`. What it shows is also there as data: `charts` and `tables`.

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
        self.add_class("recover-nb").add_class(f"recover-nb-{type(self).__name__}")
        self.said = ipywidgets.HTML()
        self._saver = Download()
        self._saver.on_msg(self._save_asked)
        ipywidgets.dlink((self, "message"), (self.said, "value"), _alert)
        set_state(self, self.STATE, state)
        panels = self.build()
        # Set once: a page that is told of children twice at once may remove the same one twice.
        self.children = (
            *panels,
            *(each for each in (self.said, self._saver) if not _held(panels, each)),
            Keys(),
        )
        self.observe(lambda _: self._refreshed(), names=list(self.STATE))
        self.selection.observe(self.changed)
        self._refreshed()

    def build(self) -> tuple[ipywidgets.Widget, ...]:
        """Return the controls and panels, from top to bottom: with `said`, or it comes below them.

        Called once.
        """
        raise NotImplementedError

    def refresh(self) -> None:
        """Bring what is shown up to date with the state.

        May raise `InputError`: it becomes the message.
        """
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

    def save(self, path: str | Path, what: str | None = None, *, replace: bool = False) -> Path:
        """Save a shown chart (``.png``, ``.svg``, ``.html``) or table (``.csv``, ``.parquet``).

        Parameters
        ----------
        path : path
            Its ending says the format.
        what : str, optional
            A name of `charts` or `tables`; the first that has the format by default.
        replace : bool
            Whether an existing file may be replaced.

        Raises
        ------
        InputError
            Another ending, nothing of that name, or something at `path` already.
        """
        path, shown = Path(path), self._savable()
        kind = path.suffix.lstrip(".")
        able = [name for name, kinds in shown.items() if kind in kinds]
        name = what or next(iter(able), "")
        if name not in able:
            allowed = (
                ", ".join(f"{each} ({', '.join(kinds)})" for each, kinds in shown.items())
                or "nothing yet"
            )
            what = what or "nothing shown"
            raise InputError(
                f"{path}: {what} cannot be saved as {kind or 'that'}; allowed: {allowed}"
            )
        check_free(path, replace=replace)
        content = as_bytes(shown[name][kind], kind)
        with placed(path, replace=replace) as temporary:
            temporary.write_bytes(content)
        return path

    def savable(self) -> dict[str, list[str]]:
        """Return the endings under which each name of `charts` and `tables` can be saved.

        Asked for with every change: a view that need not make them to know says so here.
        """
        return {name: list(kinds) for name, kinds in self._savable().items()}

    def _savable(self) -> dict[str, dict[str, Any]]:
        """Return what can be saved, by name and ending.

        A chart and the table it draws share a name.
        """
        shown: dict[str, dict[str, Any]] = {}
        for each in (self.charts(), self.tables()):
            for name, it in each.items():
                shown.setdefault(name, {}).update(dict.fromkeys(formats_of(it), it))
        return shown

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
        with self.speaking(), debug_mode(False):
            self.refresh()
        self._saver.items = self.savable()

    def _save_asked(self, _widget: Any, content: dict[str, str], _buffers: Any) -> None:
        name, kind = str(content.get("name", "")), str(content.get("format", ""))
        shown = self._savable().get(name, {})
        with self.speaking():
            if kind not in shown:
                raise InputError(f"{name or 'nothing'} cannot be saved as {kind!r}")
            self._saver.send({"file": f"{name}.{kind}"}, buffers=[as_bytes(shown[kind], kind)])


class ChartPanel(ipywidgets.VBox):
    """A place for one chart that changes: the frame stays, the chart in it is swapped.

    Charts that views draw are not held against Vega-Lite's schema each time (`View` switches that
    off while it refreshes): it takes longer than drawing, and the tests of the charts do it once.

    Parameters
    ----------
    brush : str
        Name of an interval selection that every chart shown here has, to be heard; empty = none.
    heard : callable, optional
        Called with field to (low, high) when the reader has moved the brush, and with ``{}`` once
        it is gone.
    """

    def __init__(
        self,
        *,
        brush: str = "",
        heard: Callable[[dict[str, tuple[float, float]]], None] = lambda _: None,
    ) -> None:
        super().__init__()
        self.chart: Any = None
        self._picture = ""
        self._shown: alt.JupyterChart | None = None
        self._looks: tuple | None = None
        self._names: set[str] = set()
        self._brush, self._heard, self._brushed = brush, heard, False

    def draw(self, plot: Callable[[pd.DataFrame], Any], frame: pd.DataFrame) -> None:
        """Show ``plot(frame)``, which draws every row.

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
        if looks != self._looks or not self._renew(frame):
            self.show(plot(frame))
            self._looks = looks

    def _renew(self, frame: pd.DataFrame) -> bool:
        """Give the chart that is shown other rows, if it has one table of them."""
        if self._shown is None or len(self._shown.spec.get("datasets", ())) != 1:
            return False
        self._picture = ""
        ((name, rows),) = self._shown.spec["datasets"].items()
        frame = frame[list(rows[0])].reset_index(drop=True)
        self.chart.data = frame
        self._shown.spec = {**self._shown.spec, "datasets": {name: _records(frame)}}
        return True

    def show(self, chart: Any) -> None:
        """Show a chart in the place of the last one."""
        self.chart, self._looks, self._picture = chart, None, ""
        spec = chart.to_dict(validate=False)
        names, self._names = self._names, {each["name"] for each in spec.get("params", ())}
        if self._shown is None or names != self._names:
            # Without this the charting library would be asked of a host on the internet.
            if not alt.JupyterChart._is_offline:
                alt.JupyterChart.enable_offline()
            # The view saves what it shows; the chart's own menu would open an editor on the
            # internet. A brush is heard once it rests: while it is dragged, answers would queue up.
            wait = {"debounce_wait": SETTLED, "max_wait": False} if self._brush else {}
            # Charts that were drawn in one place go on hearing of parameters there, and fail at
            # those they lack.
            with _given(chart, spec):
                last, self._shown = (
                    self._shown,
                    alt.JupyterChart(chart, embed_options={"actions": False}, **wait),
                )
            self.children = (self._shown,)
            if last is not None:
                last.close()
        elif names:
            with _given(chart, spec):
                self._shown.chart = chart
        else:
            self._shown.spec = spec
        if self._brush:
            # Each chart has selections of its own, and tells at first that nothing is brushed: no
            # reader's doing.
            self._brushed = False
            self._shown.selections.observe(self._moved, names=[self._brush])

    def _moved(self, change: dict[str, Any]) -> None:
        found = {
            field: (float(low), float(high))
            for field, (low, high) in (change["new"].value or {}).items()
        }
        if found or self._brushed:
            self._brushed = bool(found)
            self._heard(found)

    def give(self, name: str, value: Any) -> None:
        """Set a parameter of the chart that is shown, without drawing it anew."""
        if self._shown is None:
            return
        setattr(self._shown.params, name, value)
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
        self._picture = ""
        self.chart, self._shown, self._looks, self.children = None, None, None, ()


def _held(panels: Iterable[Any], widget: ipywidgets.Widget) -> bool:
    """Whether a widget is one of `panels`, or inside one."""
    return any(each is widget or _held(getattr(each, "children", ()), widget) for each in panels)


def _records(frame: pd.DataFrame) -> list[dict]:
    """Return rows of text and numbers as in a chart's specification; what is no number is None."""
    columns = {
        name: [None if value != value else value for value in frame[name].tolist()]
        for name in frame.columns
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@contextmanager
def _given(chart: Any, spec: dict[str, Any]) -> Iterator[None]:
    """Let a chart be `spec` already.

    The library would otherwise make it once more, and hold it against Vega-Lite's schema.
    """
    object.__setattr__(chart, "to_dict", lambda *_, **__: spec)
    try:
        yield
    finally:
        object.__delattr__(chart, "to_dict")


def _alert(message: str) -> str:
    if not message:
        return ""
    return f'<p role="alert" class="recover-nb-message">{html.escape(message)}</p>'
