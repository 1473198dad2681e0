"""What a view has: a state to read, set and replay, a message, and a way to save what it shows."""

import html
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets
import pandas as pd
import traitlets
from altair.utils.schemapi import debug_mode

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.places import check_free, placed
from recover_nb.widgets.parts.download import Download
from recover_nb.widgets.parts.export import as_bytes, formats_of
from recover_nb.widgets.parts.keys import Keys, tooltips_of
from recover_nb.widgets.parts.lasting import Lasting
from recover_nb.widgets.parts.notes import notes_of
from recover_nb.widgets.parts.selection import SELECTION, Selection, set_state


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

    @checks.takes(selection=SELECTION)
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
            *notes_of(getattr(self, "_ds", None)),
            Keys(tooltips=tooltips_of(panels)),
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
        checks.check("what", what, checks.TEXT, default=None)
        checks.check("replace", replace, checks.FLAG)
        path, shown = Path(checks.check("path", path, checks.PATH)), self._savable()
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


def _held(panels: Iterable[Any], widget: ipywidgets.Widget) -> bool:
    """Whether a widget is one of `panels`, or inside one."""
    return any(each is widget or _held(getattr(each, "children", ()), widget) for each in panels)


def _alert(message: str) -> str:
    if not message:
        return ""
    return f'<p role="alert" class="recover-nb-message">{html.escape(message)}</p>'
