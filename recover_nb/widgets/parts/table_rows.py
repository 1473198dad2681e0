"""The rows of a table as text: in which order, and which of them hold some words."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from recover_nb.core.titles import plain_zero, shown

#: What stands in a cell where there is no number.
MISSING = "\u2013"


class TableRows:
    """A frame, written as a table shows it.

    Parameters
    ----------
    frame : DataFrame
    digits : dict of str to int
        Digits behind the point, by column: 0 for whole numbers and 2 for others unless given.
    names : sequence of str
        Columns that are shown, or can be.
    """

    def __init__(self, frame: pd.DataFrame, digits: dict[str, int], names: Sequence[str]) -> None:
        self.frame, self.names, self._digits = frame.reset_index(drop=True), tuple(names), digits
        self._lines: list[str] | None = None

    def arranged(self, search: str, sort: str, *, descending: bool) -> pd.DataFrame:
        """Return the rows with all words of `search` in any column, in order.

        Missing values come last either way, and equals keep the order of the frame.
        """
        frame = self.frame
        words = search.casefold().split()
        if words:
            frame = frame[[all(word in line for word in words) for line in self._searched()]]
        if not sort:
            return frame
        return frame.sort_values(sort, ascending=not descending, kind="stable", na_position="last")

    def texts(self, part: pd.DataFrame, name: str) -> list[str]:
        """Return a column of some rows as text."""
        column = part[name]
        if not is_number(column):
            return [shown(value, name) for value in column]
        whole = pd.api.types.is_integer_dtype(column)
        digits = self._digits.get(name, 0 if whole else 2)
        return [
            MISSING if np.isnan(value) else plain_zero(f"{value:.{digits}f}")
            for value in column.astype(float)
        ]

    def _searched(self) -> list[str]:
        """Return the text of each row; a line break keeps words of two cells apart."""
        if self._lines is None:
            columns = [self.texts(self.frame, name) for name in self.names]
            self._lines = ["\n".join(row).casefold() for row in zip(*columns, strict=True)]
        return self._lines


def is_number(column: pd.Series) -> bool:
    """Whether a column is written with digits, to the right."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
