"""CSV as others write it: separator, encoding and quoting are found, every cell stays text."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.io.cells import check_names
from recover_nb.io.lines import MAX_LINE_BYTES
from recover_nb.io.opened import CHUNK, opened
from recover_nb.io.parsing import Tell, mended

SEPARATORS = (",", ";", "\t", "|")
#: Lines that the separator is found from.
SAMPLE = 20
#: A text in another encoding has none of these characters; what is no text soon does.
CONTROL = bytes(set(range(32)) - set(b"\t\n\r\x0c"))
#: Bytes that Windows' encoding does not use.
UNUSED = b"\x81\x8d\x8f\x90\x9d"
#: pandas writes a carriage return in a cell without quotes, and Python's reader would end the row
#: there. Half a character, which no file holds, stands for it while rows are read.
BARE_RETURN = re.compile(r"\r(?!\n)")
RETURN = "\udc0d"


@dataclass(frozen=True)
class Written:
    """How the text of a table is stored."""

    encoding: str
    line_end: str


@dataclass(frozen=True)
class Sheet:
    """A table of texts.

    Attributes
    ----------
    columns : list of str
        Names, each once; those without a name are left out.
    rows : callable
        Returns an iterator of (file and line, column to cell).
    comma : bool
        Whether numbers may have a decimal comma.
    """

    columns: list[str]
    rows: Callable[[], Iterator[tuple[str, dict[str, str]]]]
    comma: bool


def read_csv(
    path: str | Path, what: str, is_known: Callable[[str], bool], tell: Tell | None = None
) -> Sheet:
    """Open a table of texts.

    Parameters
    ----------
    path : path
        Separated by commas, semicolons, tabs or bars, with a header; UTF-8, else the encoding of
        Windows (told); compressed or not.
    what : str
        What the file should be, for messages.
    is_known : callable
        Whether a name is that of a column: the separator that finds most of them is right.
    tell : callable, optional
        `Collector.tell`.

    Returns
    -------
    Sheet

    Raises
    ------
    InputError
        No table: at once, or where the rows are read (a row that has not as many cells as the
        header, a quote that does not end, a line longer than `MAX_LINE_BYTES`).
    """
    path = Path(path)
    encoding = _encoding(path, what, tell)
    written = Written(encoding, _line_end(path, what, encoding))
    with opened(path, what, quiet=True) as stream:
        sample = _sample(_lines(stream, written, path, what))
    separator, skip = _declared(sample)
    separator = separator or _separator(sample[skip:], is_known)
    header = _header(sample[skip:], separator, spaced=False)
    if not header:
        raise InputError(f"{path}: the table has no rows; give {what}")
    # A blank after every separator is no part of a name or of a cell.
    spaced = len(header) > 1 and all(name[:1] == " " for name in header[1:])
    names = [name.strip() for name in _header(sample[skip:], separator, spaced)]
    check_names([name for name in names if name], str(path))
    form = _Form(path, what, written, separator, spaced, skip, names, tell)
    return Sheet([name for name in names if name], form.rows, separator != ",")


@dataclass(frozen=True)
class _Form:
    """How a table is written."""

    path: Path
    what: str
    written: Written
    separator: str
    spaced: bool
    skip: int
    names: list[str]
    tell: Tell | None

    def rows(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield place and cells of every row that is not blank."""
        empty = True
        with opened(self.path, self.what) as stream:
            lines = islice(_lines(stream, self.written, self.path, self.what), self.skip, None)
            # A field may be as long as a line.
            csv.field_size_limit(MAX_LINE_BYTES)
            reader = csv.reader(
                lines, delimiter=self.separator, strict=True, skipinitialspace=self.spaced
            )
            for line, cells in self._records(reader):
                empty = False
                where = f"{self.path}: line {line}"
                if len(cells) != len(self.names):
                    raise InputError(
                        f"{where} has not as many cells as the header ({len(cells)}, not"
                        f" {len(self.names)}); every row needs one per column"
                    )
                pairs = zip(self.names, cells, strict=True)
                yield (
                    where,
                    {
                        name: mended(cell.replace(RETURN, "\r"), self.tell)
                        for name, cell in pairs
                        if name
                    },
                )
        if empty:
            raise InputError(f"{self.path}: the table has no rows; give {self.what}")

    def _records(self, reader: Any) -> Iterator[tuple[int, list[str]]]:
        """Yield the first line and the cells of the records after the header."""
        line, header = 0, False
        while True:
            line = reader.line_num + self.skip + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise InputError(
                    f"{self.path}: line {line} is no CSV ({error}); give {self.what}"
                ) from None
            if cells is None:
                return
            # Sheets are often saved with blank rows at their end.
            if any(cells):
                if header:
                    yield line, cells
                header = True


def _encoding(path: Path, what: str, tell: Tell | None) -> str:
    """Return the encoding of the whole file: UTF-8, or that of Windows where it can be."""
    place = _first_not_utf8(path, what)
    if not place:
        return "utf-8-sig"
    with opened(path, what, quiet=True) as stream:
        while data := stream.read(CHUNK):
            if len(data.translate(None, UNUSED + CONTROL)) < len(data):
                raise InputError(f"{path} is not UTF-8 text (byte {place}); save {what} as UTF-8")
    if tell is not None:
        tell(
            "not_utf8",
            f"{path.name} is not UTF-8 text (byte {place}) and is read as Windows-1252; if letters"
            " with accents look wrong, save it as UTF-8",
        )
    return "cp1252"


def _first_not_utf8(path: Path, what: str) -> int:
    """Return the place of the first byte that is not UTF-8, from 1; 0 if all are."""
    decoder, done, data = codecs.getincrementaldecoder("utf-8")(), 0, b"."
    with opened(path, what, quiet=True) as stream:
        while data:
            data = stream.read(CHUNK)
            kept = len(decoder.getstate()[0])
            try:
                decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                return done - kept + error.start + 1
            done += len(data)
    return 0


def _line_end(path: Path, what: str, encoding: str) -> str:
    """Return what ends a line: a line feed, or "" for any end, as in files of old."""
    with opened(path, what, quiet=True) as stream:
        text = io.TextIOWrapper(stream, encoding=encoding, newline="", errors="replace")
        return "\n" if text.readline(MAX_LINE_BYTES).endswith("\n") else ""


def _lines(stream: io.BufferedReader, form: Written, path: Path, what: str) -> Iterator[str]:
    """Yield lines with their ends; a bounded one is all that is held."""
    text = io.TextIOWrapper(stream, encoding=form.encoding, newline=form.line_end, errors="replace")
    number = 0
    while line := text.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise InputError(
                f"{path}: line {number} is longer than {MAX_LINE_BYTES / 1e6:.0f} MB; give {what}"
            )
        yield BARE_RETURN.sub(RETURN, line) if form.line_end and "\r" in line else line


def _sample(lines: Iterator[str]) -> list[str]:
    """Return the first lines, as many as the separator is found from."""
    sample, size = [], 0
    for line in islice(lines, SAMPLE):
        sample.append(line)
        size += len(line)
        if size > CHUNK:
            break
    return sample


def _declared(sample: list[str]) -> tuple[str, int]:
    """Return the separator that Excel's first line declares, and how many lines that takes."""
    first = sample[0].strip().strip('"') if sample else ""
    if first[:4].lower() == "sep=" and len(first) == 5:
        return first[4], 1
    return ("\t", 1) if first.lower() == "sep=" else ("", 0)


def _separator(sample: list[str], is_known: Callable[[str], bool]) -> str:
    """Return the separator under which the header has most known names, then most columns."""

    def score(separator: str) -> tuple[int, int, int]:
        records = [each for each in _parsed(sample, separator, spaced=True) if any(each)]
        header = records[0] if records else []
        # The last record of the sample may be cut.
        same = sum(len(each) == len(header) for each in records[1:-1])
        return sum(is_known(name.strip()) for name in header), same, len(header)

    return max(SEPARATORS, key=score)


def _header(sample: list[str], separator: str, spaced: bool) -> list[str]:
    return next((each for each in _parsed(sample, separator, spaced) if any(each)), [])


def _parsed(sample: list[str], separator: str, spaced: bool) -> list[list[str]]:
    found: list[list[str]] = []
    # What is wrong is said where rows are read.
    with suppress(csv.Error):
        found.extend(csv.reader(sample, delimiter=separator, skipinitialspace=spaced))
    return found
