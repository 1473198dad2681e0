"""A table of many rows in pages, to sort and choose from, under every view that lists problems."""

import html
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import pandas as pd
import traitlets

from recover_nb.core.errors import InputError
from recover_nb.core.titles import plain_zero, shown, title
from recover_nb.widgets.parts.looks import css

_FOLDER = Path(__file__).parent
#: What stands in a cell where there is no number.
MISSING = "\u2013"


class TableView(anywidget.AnyWidget):
    """A data frame as a table. Sorts, pages, and says which row was chosen; it knows no study.

    Give it a frame with `show`. Arrow keys, Home and End move between rows, Page Up and Page Down
    turn pages, Enter or a click chooses a row; the headings sort.

    Parameters
    ----------
    page_size : int
        Rows of a page.
    **traits
        Initial values of the attributes below.

    Attributes
    ----------
    chosen : int
        Key of the chosen row; -1 = none. Set by the reader or from Python.
    sort : str
        Column that rows are sorted by; empty = the order of the frame. One that is not there is
        refused.
    descending : bool
        Missing values come last either way.
    page : int
        From 0. Cut off at the last page when a shorter frame is shown.
    pages : int
        How many there are, at least 1.
    label : str
        What the table is, for a screen reader.
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
    """

    _esm = _FOLDER / "table_view.js"
    _css = css()

    columns = traitlets.List(traitlets.Dict()).tag(sync=True)
    rows = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    row_keys = traitlets.List(traitlets.Int()).tag(sync=True)
    chosen = traitlets.Int(-1).tag(sync=True)
    sort = traitlets.Unicode("").tag(sync=True)
    descending = traitlets.Bool(False).tag(sync=True)
    page = traitlets.Int(0, min=0).tag(sync=True)
    pages = traitlets.Int(1, min=1).tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)
    label = traitlets.Unicode("table").tag(sync=True)

    def __init__(self, *, page_size: int = 25, **traits: Any) -> None:
        if page_size < 1:
            raise InputError(f"page_size is {page_size}; it must be at least 1")
        self.page_size = page_size
        self._digits: dict[str, int] = {}
        self._frame = self._ordered = pd.DataFrame()
        self._key: np.ndarray = np.zeros(0, int)
        super().__init__(**traits)
        self.observe(lambda _: self._sorted(), names=["sort", "descending"])
        self.observe(lambda _: self._turned(), names=["page"])

    @property
    def frame(self) -> pd.DataFrame:
        """Every row, as it was given."""
        return self._frame

    def show(
        self, frame: pd.DataFrame, *, key: str | None = None, digits: dict[str, int] | None = None
    ) -> None:
        """Show a frame in the place of the last one; sorting and page stay where they can.

        Parameters
        ----------
        frame : DataFrame
            Copied. Text and numbers.
        key : str, optional
            Column of whole numbers by which rows are chosen; it is not drawn. Their place in the
            frame by default.
        digits : dict of str to int, optional
            Digits behind the point, by column: 0 for whole numbers and 2 for others unless given.

        Raises
        ------
        InputError
            If there is no column `key`.
        """
        if key is not None and key not in frame.columns:
            raise InputError(
                f"the frame has no column {key!r} for a key; it has"
                f" {', '.join(map(str, frame.columns))}"
            )
        self._frame, self._digits = frame.reset_index(drop=True), dict(digits or {})
        self._key = np.arange(len(frame)) if key is None else self._frame[key].to_numpy(int)
        drawn = [name for name in self._frame.columns if name != key]
        columns = [
            {
                "name": str(name),
                "title": title(name),
                "number": _is_number(self._frame[name]),
            }
            for name in drawn
        ]
        with self.hold_sync():
            self.columns = columns
            if self.sort not in drawn:
                self.sort = ""
            self._sorted()

    @traitlets.validate("sort")
    def _sortable(self, proposal: Any) -> str:
        names = [column["name"] for column in self.columns]
        if proposal.value and names and proposal.value not in names:
            raise traitlets.TraitError(
                f"no column {proposal.value!r} to sort by; allowed: {', '.join(names)}"
            )
        return proposal.value

    @traitlets.validate("page")
    def _there(self, proposal: Any) -> int:
        return min(proposal.value, self.pages - 1)

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
        """Turn to the page that holds a row, if there is such a row."""
        place = np.flatnonzero(self._key[self._ordered.index] == key)
        if len(place):
            self.page = int(place[0]) // self.page_size

    def _sorted(self) -> None:
        """Order the rows, then draw the page."""
        self._ordered = self._frame
        if self.sort:
            # Equals keep the order of the frame, whichever way the column runs.
            self._ordered = self._frame.sort_values(
                self.sort, ascending=not self.descending, kind="stable", na_position="last"
            )
        self._turned()

    def _turned(self) -> None:
        total = len(self._ordered)
        with self.hold_sync():
            self.pages = max(1, -(-total // self.page_size))
            self.page = min(self.page, self.pages - 1)
            first = self.page * self.page_size
            part = self._ordered.iloc[first : first + self.page_size]
            texts = [self._texts(part[column["name"]]) for column in self.columns]
            self.row_keys = self._key[part.index].tolist()
            self.rows = [list(row) for row in zip(*texts, strict=True)]
            last = first + len(part)
            self.note = f"rows {first + 1:,} to {last:,} of {total:,}" if total else "no row"

    def _texts(self, column: pd.Series) -> list[str]:
        if not _is_number(column):
            return [shown(value, str(column.name)) for value in column]
        whole = pd.api.types.is_integer_dtype(column)
        digits = self._digits.get(str(column.name), 0 if whole else 2)
        return [
            MISSING if np.isnan(value) else plain_zero(f"{value:.{digits}f}")
            for value in column.astype(float)
        ]


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
