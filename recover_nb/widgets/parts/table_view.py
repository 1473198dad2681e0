"""A table of many rows in pages: searched, sorted, with chosen columns, and a row chosen."""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import pandas as pd
import traitlets

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.titles import title
from recover_nb.widgets.parts.looks import css
from recover_nb.widgets.parts.table_rows import TableRows, is_number
from recover_nb.widgets.parts.traits import Plain

_FOLDER = Path(__file__).parent
#: State that says which rows and columns are drawn.
DRAWN = ("search", "sort", "descending", "page", "chosen_columns")


class TableView(Plain, anywidget.AnyWidget):
    """A data frame as a table: searches, sorts, pages, and says which row was chosen.

    Give it a frame with `show`. A field searches all columns; a menu says which columns are shown;
    the headings sort. Arrow keys, Home and End move between rows and scroll a wide table, Page Up
    and Page Down turn pages, Enter or a click chooses a row.

    Parameters
    ----------
    page_size : int
        Rows per page.
    **traits
        Initial values of the attributes below.

    Attributes
    ----------
    chosen : int
        Key of the chosen row; -1 = none. Set by the reader or from Python.
    search : str
        Rows are shown that have all of these words, in any column, shown or not. Capital letters
        make no difference.
    sort : str
        Column that rows are sorted by, shown or not; empty = the order of the frame. One that is
        not there is refused.
    descending : bool
        Missing values come last either way.
    page : int
        From 0. Cut off at the last page when fewer rows are shown.
    pages : int
        How many there are, at least 1.
    chosen_columns : tuple of str
        Columns that are shown; empty = those that `show` calls first. One that is not there is
        refused.
    label : str
        What the table is, for a screen reader.
    offered : list
        Name and heading of each column that can be shown.
    columns, rows, row_keys : list
        What is drawn: name, heading and kind of each column, the text of each cell of the page, the
        key of each row.
    note : str
        Which rows these are, in words.

    Examples
    --------
    >>> table = TableView(page_size=2)
    >>> table.show(pd.DataFrame({"place": [4, 5, 6], "rate": [0.5, 0.25, 1.0]}), key="place")
    >>> table.sort = "rate"
    >>> table.row_keys
    [5, 4]
    >>> table.search = "0.5"
    >>> table.row_keys
    [4]
    """

    _esm = _FOLDER / "table_view.js"
    _css = css()

    offered = traitlets.List(traitlets.Dict()).tag(sync=True)
    columns = traitlets.List(traitlets.Dict()).tag(sync=True)
    rows = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    row_keys = traitlets.List(traitlets.Int()).tag(sync=True)
    chosen = traitlets.Int(-1).tag(sync=True)
    search = traitlets.Unicode("").tag(sync=True)
    sort = traitlets.Unicode("").tag(sync=True)
    descending = traitlets.Bool(False).tag(sync=True)
    page = traitlets.Int(0, min=0).tag(sync=True)
    pages = traitlets.Int(1, min=1).tag(sync=True)
    chosen_columns = traitlets.Tuple().tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)
    label = traitlets.Unicode("table").tag(sync=True)

    @checks.takes(page_size=checks.COUNT)
    def __init__(self, *, page_size: int = 12, **traits: Any) -> None:
        self.page_size = page_size
        self._first: tuple[str, ...] = ()
        self._rows = TableRows(pd.DataFrame(), {}, ())
        self._key: np.ndarray = np.zeros(0, int)
        self._asked: Any = None
        self._arranged = self._rows.frame
        super().__init__(**traits)
        # One for all: those that change together are drawn together.
        self.observe(lambda _: self._draw(), names=list(DRAWN))

    @property
    def frame(self) -> pd.DataFrame:
        """Every row, as it was given."""
        return self._rows.frame

    def show(
        self,
        frame: pd.DataFrame,
        *,
        key: str | None = None,
        digits: dict[str, int] | None = None,
        first: Sequence[str] = (),
    ) -> None:
        """Show a frame in the place of the last one; search, order and page stay where they can.

        Parameters
        ----------
        frame : DataFrame
            Copied. Text and numbers.
        key : str, optional
            Column of whole numbers by which rows are chosen; it is not drawn. Their place in the
            frame by default.
        digits : dict of str to int, optional
            Digits behind the point, by column: 0 for whole numbers and 2 for others unless given.
        first : sequence of str, optional
            Columns that are shown until the reader chooses others; all by default.

        Raises
        ------
        InputError
            If there is no column `key`, or no column of `first`.
        """
        if key is not None and key not in frame.columns:
            raise InputError(
                f"the frame has no column {key!r} for a key; it has"
                f" {', '.join(map(str, frame.columns))}"
            )
        names = [str(name) for name in frame.columns if name != key]
        missing = [name for name in first if name not in names]
        if missing:
            raise InputError(_not_there(missing[0], names, "show first"))
        self._rows = TableRows(
            frame.set_axis([str(name) for name in frame.columns], axis=1), digits or {}, names
        )
        self._key = np.arange(len(frame)) if key is None else self.frame[key].to_numpy(int)
        self._first, self._asked = tuple(first), None
        with self.hold_sync(), self.hold_trait_notifications():
            self.offered = [{"name": name, "title": title(name)} for name in names]
            if self.sort not in names:
                self.sort = ""
            self.chosen_columns = tuple(name for name in self.chosen_columns if name in names)
        self._draw()

    @traitlets.validate("sort")
    def _sortable(self, proposal: Any) -> str:
        self._check([proposal.value] if proposal.value else [], "sort by")
        return proposal.value

    @traitlets.validate("chosen_columns")
    def _choosable(self, proposal: Any) -> tuple[str, ...]:
        self._check(proposal.value, "show")
        return proposal.value

    def _check(self, names: Iterable[str], what: str) -> None:
        there = [column["name"] for column in self.offered]
        missing = [name for name in names if name not in there]
        if there and missing:
            raise traitlets.TraitError(_not_there(missing[0], there, what))

    def still(self) -> str:
        """Return the page of rows as an HTML table, the sorted column and the chosen row marked."""
        arrow = {self.sort: " \u25bc" if self.descending else " \u25b2"} if self.sort else {}
        looks = [' class="number"' if column["number"] else "" for column in self.columns]
        head = "".join(
            f"<th{look}>{html.escape(column['title'])}{arrow.get(column['name'], '')}</th>"
            for column, look in zip(self.columns, looks, strict=True)
        )
        lines = []
        for key, row in zip(self.row_keys, self.rows, strict=True):
            chosen = key == self.chosen
            cells = (f"<td{k}>{html.escape(v)}</td>" for k, v in zip(looks, row, strict=True))
            mark, look = ("\u25b8", ' class="chosen"') if chosen else ("", "")
            lines.append(f"<tr{look}><td>{mark}</td>{''.join(cells)}</tr>")
        note = html.escape(f"page {self.page + 1} of {self.pages}, {self.note}")
        table = f"<table><tr><th></th>{head}</tr>{''.join(lines)}</table>"
        return f'<div class="recover-nb-table">{table}<small>{note}</small></div>'

    def reveal(self, key: int) -> None:
        """Turn to the page that holds a row, if it is among those that are shown."""
        place = np.flatnonzero(self._key[self._arranged.index] == key)
        if len(place):
            self.page = int(place[0]) // self.page_size

    def _draw(self) -> None:
        """Arrange the rows anew where that is asked for, and draw the page."""
        asked = (self.search, self.sort, self.descending)
        if asked != self._asked:
            search, sort, descending = self._asked = asked
            self._arranged = self._rows.arranged(search, sort, descending=descending)
        total = len(self._arranged)
        shown = self.chosen_columns or self._first or self._rows.names
        # In the order of the frame, whichever was chosen first.
        names = [name for name in self._rows.names if name in shown]
        with self.hold_sync():
            self.pages = max(1, -(-total // self.page_size))
            self.page = min(self.page, self.pages - 1)
            start = self.page * self.page_size
            part = self._arranged.iloc[start : start + self.page_size]
            texts = [self._rows.texts(part, name) for name in names]
            self.columns = [
                {"name": name, "title": title(name), "number": is_number(self.frame[name])}
                for name in names
            ]
            self.row_keys = self._key[part.index].tolist()
            self.rows = [list(row) for row in zip(*texts, strict=True)]
            self.note = self._said(start, start + len(part), total, names)

    def _said(self, start: int, end: int, total: int, names: Sequence[str]) -> str:
        """Say which rows these are, and what no heading says of their order."""
        fits = " that fit" if self.search.strip() else ""
        rows = f"rows {start + 1:,} to {end:,} of {total:,}{fits}"
        if not total:
            return "no row fits the search" if fits else "no row"
        hidden = self.sort and self.sort not in names
        return f"{rows}, sorted by {title(self.sort)}, which is not shown" if hidden else rows


def _not_there(name: str, there: Iterable[str], what: str) -> str:
    return f"no column {name!r} to {what}; allowed: {', '.join(there)}"
