"""Rows of a file of JSON: one on a line, one list of them, or objects one after another."""

import codecs
import io
from collections.abc import Iterator
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.io.parsing import Parser, Tell, as_object, is_open, not_json, quiet

CHUNK = 2**20
#: What holds the rows where a file is one object, and what only a row has.
HOLDERS = (
    "results",
    "data",
    "samples",
    "rows",
    "rollouts",
    "records",
    "items",
    "examples",
    "predictions",
    "responses",
    "outputs",
    "generations",
    "completions",
    "problems",
    "questions",
    "instances",
    "entries",
    "logs",
)
OF_A_ROW = frozenset(
    [
        "problem_id",
        "pid",
        "rollout_idx",
        "prompt",
        "question",
        "generated_text",
        "output_ids",
        "is_correct",
        "response",
        "completion",
        "choices",
        "messages",
        "resps",
        "doc",
        "custom_id",
        "output",
        "input",
    ]
)

#: A row: where it is, and what it says.
Found = tuple[str, dict[str, Any]]


def json_rows(
    file: io.BufferedReader, path: str, what: str, longest: int, tell: Tell | None = None
) -> Iterator[Found]:
    """Yield place and content of the rows of a file of JSON.

    Parameters
    ----------
    file : binary stream
        JSON lines; one list of objects; one object that holds the list; or objects over several
        lines, one after another.
    path, what : str
        For messages.
    longest : int
        Bytes of a row, and of a line.
    tell : callable, optional
        `Collector.tell`.

    Raises
    ------
    InputError
        Not UTF-8, not JSON, not an object, or longer than `longest`; with line or item.
    """
    parser, lines = Parser(tell), _lines(file, longest)
    number, first = next(lines, (0, b""))
    if first.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
        yield from _Scan(first, file, path, what, longest, parser).items(number)
        return
    if not first:
        return
    _check_length(first, f"{path}: line {number}", what, longest)
    after, second = next(lines, (0, b""))
    if _goes_on(first, second):
        yield from _Scan(first + second, file, path, what, longest, parser).objects()
        return
    row = parser.object(first, f"{path}: line {number}", what)
    if not second:
        yield from rows_within(row, f"{path}: line {number}", path, tell or quiet)
        return
    yield f"{path}: line {number}", row
    yield from _others(after, second, lines, (path, what, longest, parser))


def _others(
    number: int,
    line: bytes,
    lines: Iterator[tuple[int, bytes]],
    about: tuple[str, str, int, Parser],
) -> Iterator[Found]:
    """Yield the rows of the second line and of those after it."""
    path, what, longest, parser = about
    while line:
        where = f"{path}: line {number}"
        _check_length(line, where, what, longest)
        yield where, parser.object(line, where, what)
        number, line = next(lines, (0, b""))


def _lines(file: io.BufferedReader, longest: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of lines that are not blank; one too long is a byte too long."""
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        if line.strip() or len(line) > longest:
            yield number, line


def _check_length(line: bytes, where: str, what: str, longest: int) -> None:
    if len(line) > longest:
        raise InputError(
            f"{where} is longer than {longest / 1e6:.0f} MB; a line holds one row of {what}"
        )


def _goes_on(first: bytes, second: bytes) -> bool:
    """Tell whether the first line is only the beginning of an object, as when it is indented."""
    text = first.decode("utf-8", errors="replace").removeprefix("\ufeff").strip()
    if not second or second.startswith((b"{", b"[")) or not text.startswith("{"):
        return False
    try:
        Parser().value(text)
    except ValueError as error:
        return is_open(error, text)
    return False


def rows_within(row: dict[str, Any], where: str, path: str, tell: Tell) -> Iterator[Found]:
    """Yield the rows that the only object of a file holds: those of its list, else itself."""
    columns, cells = row.get("columns"), row.get("data")
    if isinstance(columns, list) and isinstance(cells, list) and _is_split(columns, cells):
        # pandas' orient="split", and tables of Weights & Biases.
        for place, values in enumerate(cells, 1):
            yield f"{path}: item {place}", dict(zip(columns, values, strict=True))
        return
    if _is_by_column(row):
        # pandas' to_json as it comes: every column an object of row number to value.
        for place, number in enumerate(next(iter(row.values())), 1):
            yield (
                f"{path}: item {place}",
                {name: cells[number] for name, cells in row.items()},
            )
        return
    lists = [
        name
        for name in HOLDERS
        if isinstance(row.get(name), list)
        and row[name]
        and all(isinstance(each, dict) for each in row[name])
    ]
    if OF_A_ROW & set(row) or not lists:
        yield where, row
        return
    if len(lists) > 1:
        raise InputError(
            f"{path} is one object that holds several lists of objects ({', '.join(lists)}); save"
            " the rows alone, as JSON lines or as one list"
        )
    beside = ", ".join(name for name in list(row)[:12] if name != lists[0])
    tell(
        "rows_in_an_object",
        f"the file is one object; the rows are its list {lists[0]!r}"
        + (f", and {beside} beside it is not read" if beside else ""),
    )
    for place, each in enumerate(row[lists[0]], 1):
        yield f"{path}: item {place} of {lists[0]!r}", each


def _is_split(columns: list, cells: list) -> bool:
    return (
        all(isinstance(name, str) for name in columns)
        and len(set(columns)) == len(columns)
        and bool(cells)
        and all(isinstance(each, list) and len(each) == len(columns) for each in cells)
    )


def _is_by_column(row: dict[str, Any]) -> bool:
    columns = list(row.values())
    return (
        len(columns) > 1
        and all(isinstance(each, dict) and each for each in columns)
        and all(name.isdecimal() for name in columns[0])
        and all(each.keys() == columns[0].keys() for each in columns)
    )


class _Scan:
    """Reads values of JSON one by one from a stream, without holding more than one and a chunk."""

    def __init__(
        self,
        head: bytes,
        file: io.BufferedReader,
        path: str,
        what: str,
        longest: int,
        parser: Parser,
    ) -> None:
        self._file, self._path, self._what, self._longest = file, path, what, longest
        self._parser = parser
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text, self._at, self._ended, self._n_bytes = "", 0, False, 0
        self._take(head.removeprefix(codecs.BOM_UTF8))

    def items(self, line: int) -> Iterator[Found]:
        """Yield the objects of one list, which begins in a line."""
        self._at, place = self._text.index("[") + 1, 0
        mark = self._mark()
        if mark not in ("{", "]", ""):
            raise InputError(
                f"{self._path}: line {line} is a JSON list, not an object, and not one of objects;"
                f" give {self._what}"
            )
        while mark != "]":
            place += 1
            where = f"{self._path}: item {place}"
            yield where, as_object(self._value(where), where, self._what)
            mark = self._mark()
            if mark not in (",", "]"):
                cut = "" if mark else "; it may be cut short"
                raise InputError(
                    f"{where} is not followed by a comma or the end of the list{cut}; give"
                    f" {self._what}"
                )
            if mark == ",":
                self._at += 1
                mark = self._mark()
        self._at += 1
        if not place:
            raise InputError(f"{self._path} is a list without an object; give {self._what}")
        if self._mark():
            raise InputError(
                f"{self._path} goes on after the end of its list; give {self._what}, as one list"
                " or as one object per line"
            )

    def objects(self) -> Iterator[Found]:
        """Yield objects one after another."""
        place = 0
        last: Found | None = None
        while self._mark():
            place += 1
            where = f"{self._path}: item {place}"
            if last is not None:
                yield last
            last = (where, as_object(self._value(where), where, self._what))
            if self._mark() == ",":
                self._at += 1
        if last is not None and place == 1:
            yield from rows_within(last[1], last[0], self._path, self._parser.tell)
        elif last is not None:
            yield last

    def _mark(self) -> str:
        """Return the next character that is not white space, without taking it; "" at the end."""
        while True:
            while self._at < len(self._text):
                if not self._text[self._at].isspace():
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def _value(self, where: str) -> Any:
        """Return the next value; what is read of it doubles until it is whole."""
        while True:
            try:
                value, end = self._parser.value(self._text, self._at)
            except ValueError as error:
                size = len(self._text) - self._at
                if size > self._longest:
                    raise InputError(
                        f"{where} is longer than {self._longest / 1e6:.0f} MB; an item holds one"
                        f" row of {self._what}"
                    ) from None
                if is_open(error, self._text) and self._more(size):
                    continue
                cut = is_open(error, self._text)
                raise not_json(error, where, self._what, cut) from None
            self._at = end
            return value

    def _more(self, least: int = 0) -> bool:
        """Read on by at least a chunk; return whether there was more."""
        if self._ended:
            return False
        self._take(self._file.read(max(CHUNK, least)))
        return True

    def _take(self, data: bytes) -> None:
        self._ended = not data
        try:
            new = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self._path} is not UTF-8 text (byte {self._n_bytes + error.start + 1}); save"
                f" {self._what} as UTF-8"
            ) from None
        self._n_bytes += len(data)
        self._text, self._at = self._text[self._at :] + new, 0
