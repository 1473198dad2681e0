"""The first bytes and rows of a file, however large it is or compressed."""

import csv
import io
import json
import re
import zipfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.files import open_file
from recover_nb.io.archive import read_members
from recover_nb.io.lines import MAX_LINE_BYTES
from recover_nb.io.opened import beginning, existing, packed_as
from recover_nb.io.paths import unpacked_name

#: Files up to this many bytes are read whole; of larger ones this many rows.
WHOLE_BYTES, ROWS = 2**23, 200
#: First bytes of a file that are looked at, and most of it that is kept of the first rows.
HEAD_BYTES, SAMPLE_BYTES = 2**20, 2**26
#: What is asked for where there is no such thing.
WHAT = "a log, a table or a study"


@dataclass(frozen=True)
class Head:
    """What the beginning of a file holds.

    Attributes
    ----------
    path : Path
        As it was given.
    data : bytes
        The first bytes, decompressed.
    compression : str
        Its name; empty where there is none.
    whole : bool
        Whether `data` is all of the file.
    """

    path: Path
    data: bytes
    compression: str
    whole: bool

    @property
    def name(self) -> str:
        """The file's name without the ending of its compression."""
        return unpacked_name(self.path) if self.compression else self.path.name

    @property
    def is_small(self) -> bool:
        """Whether a reader takes the file as it is, rather than its first rows."""
        return self.path.stat().st_size <= (WHOLE_BYTES if not self.compression else 0)


def head_of(path: Path) -> Head:
    """Return the beginning of a file.

    Raises
    ------
    InputError
        No file, one that cannot be read, an empty one, or a damaged compressed one.
    """
    kind = packed_as(existing(path, WHAT)) or ""
    # An archive is looked into by who knows what it may hold.
    packed = "" if kind == "zip" else kind
    data = read_first(path, packed, HEAD_BYTES + 1)
    if not data:
        raise InputError(f"{path}: the compressed file holds nothing; compress it again")
    return Head(path, data[:HEAD_BYTES], packed, len(data) <= HEAD_BYTES)


def read_first(path: Path, compression: str, size: int) -> bytes:
    """Return at most `size` bytes from the beginning of a file, decompressed.

    Raises
    ------
    InputError
        The compressed data are damaged, or zstandard is not installed.
    """
    if compression:
        return beginning(path, WHAT, size)
    with io.BufferedReader(open_file(path)) as file:
        return file.read(size)


def sample(head: Head, layout: str, folder: Path) -> Path:
    """Write the first rows of a file into a folder, under the name of the file.

    Parameters
    ----------
    head : Head
    layout : str
        How its rows lie: ``lines``, ``csv``, ``json``, ``zip`` or ``parquet``.
    folder : Path

    Returns
    -------
    Path
        What a reader takes in place of the file.
    """
    path = folder / head.name
    if layout == "zip":
        _first_members(head.path, path)
    elif layout == "parquet":
        _first_of_parquet(head.path, path)
    elif layout == "json":
        path.write_bytes(_first_of_list(read_first(head.path, head.compression, SAMPLE_BYTES)))
    else:
        cut = _first_of_csv if layout == "csv" else _first_lines
        # Rows are short as a rule: the most is read only where they are not.
        for size in (HEAD_BYTES, 8 * HEAD_BYTES, SAMPLE_BYTES):
            data = read_first(head.path, head.compression, size)
            whole = len(data) < size
            if whole or size == SAMPLE_BYTES or _has_rows(data, layout):
                break
        path.write_bytes(cut(data, whole))
    return path


def _has_rows(data: bytes, layout: str) -> bool:
    """Whether some bytes hold all of the first rows, and the beginning of one more."""
    if layout != "csv":
        return data.count(b"\n") > ROWS
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(io.StringIO(data.decode("utf-8-sig", "replace"), newline=""))
    try:
        return len(list(islice(reader, ROWS + 2))) == ROWS + 2
    except csv.Error:
        return False


def _first_lines(data: bytes, whole: bool) -> bytes:
    lines = data.split(b"\n", ROWS)
    # The last line of what was read may be cut, but a single one is all there is.
    kept = lines[:ROWS] if whole or len(lines) > ROWS else lines[:-1] or lines
    return b"\n".join(kept) + b"\n"


def _first_of_csv(data: bytes, whole: bool) -> bytes:
    """Return the header and the first rows; a cell in quotes may hold line breaks."""
    text = data.decode("utf-8-sig", "replace")
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""))
    # The last line of what was read may be cut, unless more follow it.
    cut = 0
    try:
        for _ in range(ROWS + 1):
            next(reader)
    except StopIteration:
        if whole:
            return data
        cut = 1
    except csv.Error:
        return data
    # Lines as the reader counts them: a separator of lines within a cell is none.
    lines = io.StringIO(text, newline="").readlines()
    return "".join(lines[: reader.line_num - cut]).encode()


def _first_of_list(data: bytes) -> bytes:
    """Return JSON with the first items of its list: the whole, or that under ``samples``."""
    text = data.decode("utf-8-sig", "replace")
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        pass
    else:
        return data
    start = re.match(r"\s*\[", text) or re.search(r'"samples"\s*:\s*\[', text)
    if start is None:
        return data
    items, place, decoder = [], start.end(), json.JSONDecoder()
    while len(items) < ROWS:
        place = _past(text, place)
        try:
            item, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            break
        items.append(json.dumps(item))
    close = "]" if text.lstrip().startswith("[") else "]}"
    return f"{text[: start.end()]}{','.join(items)}{close}".encode()


def _past(text: str, place: int) -> int:
    while place < len(text) and text[place] in ", \t\r\n":
        place += 1
    return place


def _first_members(source: Path, path: Path) -> None:
    """Write an archive of the head of another and its first samples."""
    n = 0
    with zipfile.ZipFile(path, "w") as out:
        for name, data in read_members(source, "a log", "", ".json"):
            n += name.startswith("samples/")
            if n > ROWS:
                break
            out.writestr(name, data)


def _first_of_parquet(source: Path, path: Path) -> None:
    pa, pq = (need(name, "io", f"{source}: parquet") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        with pq.ParquetFile(source) as file:
            batch = next(file.iter_batches(batch_size=ROWS), None)
            rows = [] if batch is None else [batch]
            pq.write_table(pa.Table.from_batches(rows, schema=file.schema_arrow), path)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no table"
        raise InputError(f"{source}: not a parquet file, or cut short ({reason})") from None


def rows_of(head: Head, layout: str, limit: int = 20) -> list[dict[str, Any]]:
    """Return the first rows that are objects; none where the text cannot be parsed."""
    found = _parsed(head.data, layout, limit)
    if not found and not head.whole:
        # A row may be longer than what was looked at.
        found = _parsed(read_first(head.path, head.compression, SAMPLE_BYTES), layout, limit)
    return found


def _parsed(data: bytes, layout: str, limit: int) -> list[dict[str, Any]]:
    if layout == "json":
        found = _value(_first_of_list(data).decode("utf-8-sig", "replace"))
        rows = found if isinstance(found, list) else [found]
    else:
        lines = data.decode("utf-8-sig", "replace").split("\n", 2 * limit)
        rows = [_value(line) for line in lines[: 2 * limit]]
    return [row for row in rows if isinstance(row, dict)][:limit]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
