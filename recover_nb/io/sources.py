"""Rows of any file that holds one row per something: its content says how it is read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import pandas as pd

from recover_nb.core.errors import InputError
from recover_nb.io.cells import check_names, plain
from recover_nb.io.csvs import read_csv
from recover_nb.io.lines import Row, read_jsonl, read_parquet
from recover_nb.io.opened import OTHERS, PARQUET, beginning
from recover_nb.io.parsing import Tell
from recover_nb.io.paths import PACKED, files_of_rows

#: Endings of the files of a folder that are tables, and those that say what is inside.
ENDINGS = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".json")
JSON = (".jsonl", ".ndjson", ".json")
TEXT = (".csv", ".tsv")
#: What may come before the first character, in any encoding.
MARKS_AND_BLANKS = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
#: Rows of a DataFrame that are plain Python at a time.
BLOCK = 4096


@dataclass(frozen=True)
class Rows:
    """Rows of a file or of a DataFrame.

    Attributes
    ----------
    rows : iterator of Row
    comma : bool
        Whether numbers may have a decimal comma.
    texts : bool
        Whether all cells are texts, an empty one included.
    hint : str
        What to do where a column is not found, for messages.
    """

    rows: Iterator[Row]
    comma: bool = False
    texts: bool = False
    hint: str = ""


def read_rows(
    path: str | PathLike, what: str, is_known: Callable[[str], bool], tell: Tell | None = None
) -> Iterator[Rows]:
    """Yield the rows of a file by its content, or of each file of a folder.

    Parameters
    ----------
    path : path
        CSV, parquet or JSON (`read_jsonl`), whatever its name and compression.
    what : str
        What the file should be, for messages.
    is_known : callable
        Whether a name is that of a column; see `read_csv`.
    tell : callable, optional
        `Collector.tell`.

    Raises
    ------
    InputError
        No such file, or none that is a table; see the readers.
    """
    for file in files_of_rows(path, ENDINGS, tell):
        yield _rows_of(file, what, is_known, tell)


def _ending(path: Path) -> str:
    endings = [each.lower() for each in path.suffixes if each.lower() not in PACKED]
    return endings[-1] if endings else ""


def _rows_of(path: Path, what: str, is_known: Callable[[str], bool], tell: Tell | None) -> Rows:
    start, ending = beginning(path, what), _ending(path)
    if start.startswith(PARQUET) or (ending == ".parquet" and not start.startswith(tuple(OTHERS))):
        return Rows(read_parquet(path, what, tell=tell))
    first = start.lstrip(MARKS_AND_BLANKS)[:1]
    if ending in JSON or (ending not in TEXT and first in (b"{", b"[")):
        return Rows(read_jsonl(path, what, tell))
    sheet = read_csv(path, what, is_known, tell)
    return Rows((Row(*each) for each in sheet.rows()), sheet.comma, True)


def frame_rows(table: pd.DataFrame, tell: Tell | None = None) -> Rows:
    """Return the rows of a DataFrame, whose index is not read.

    Raises
    ------
    InputError
        No rows, or two columns of one name.
    """
    if table.empty:
        raise InputError("the DataFrame has no rows; give one row per rollout")
    check_names(list(table.columns), "DataFrame")
    names = [str(name) for name in table.index.names if name is not None]
    hint = f"; reset_index() makes columns of its index ({', '.join(names)})" if names else ""
    return Rows(_frame_rows(table, tell), hint=hint)


def _frame_rows(table: pd.DataFrame, tell: Tell | None) -> Iterator[Row]:
    for start in range(0, len(table), BLOCK):
        # Column by column: a row as a whole would take one type for all of its cells.
        names = list(map(str, table.columns))
        columns = [table.iloc[start : start + BLOCK, i].tolist() for i in range(len(names))]
        for place, cells in enumerate(zip(*columns, strict=True), start + 1):
            where = f"DataFrame: row {place}"
            values = {n: plain(cell, where, tell) for n, cell in zip(names, cells, strict=True)}
            yield Row(where, values)
