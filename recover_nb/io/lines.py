"""Reading rows that others wrote: bounded, checked, and with the line in every message."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, overload

from recover_nb.core.errors import InputError, first_line
from recover_nb.core.extras import need
from recover_nb.io.cells import check_names, plain
from recover_nb.io.json_rows import json_rows
from recover_nb.io.opened import MAX_FILE_BYTES, existing, opened, packed_as
from recover_nb.io.parsing import Parser, Tell
from recover_nb.io.paths import files_of_rows

__all__ = ["MAX_FILE_BYTES", "MAX_LINE_BYTES", "Row", "Tell", "existing", "parse_object"]

#: Longest row that is read: 100 log-probabilities of each of 16,000 tokens take 150 MB.
MAX_LINE_BYTES = 2**28
#: Largest number that 32 bits hold: signals and log-probabilities are stored so.
LARGEST = (2 - 2**-23) * 2.0**127


@dataclass(frozen=True)
class Row:
    """One row of a file, with accessors that check types.

    Every accessor takes names in order of preference, uses the first that is there and not null,
    and raises an `InputError` with file, place, name, value and what is allowed.

    Attributes
    ----------
    where : str
        File and place, such as ``"log.jsonl: line 3"``.
    values : dict
    called : dict
        What the file calls a field, where it is not the field's own name; for messages.
    """

    where: str
    values: dict[str, Any]
    called: Mapping[str, str] = field(default_factory=dict)

    def find(self, *names: str, needed: bool = False) -> tuple[str, Any]:
        """Return the first name that has a value, and the value; None for both if there is none."""
        for name in names:
            value = self.values.get(name)
            if value is not None:
                return name, value
        if needed:
            known = ", ".join(map(str, list(self.values)[:12])) or "nothing"
            raise InputError(f"{self.where} has no {' or '.join(map(repr, names))}; it has {known}")
        return "", None

    @overload
    def text(self, *names: str, needed: Literal[True] = ..., blank: bool = ...) -> str: ...
    @overload
    def text(self, *names: str, needed: Literal[False], blank: bool = ...) -> str | None: ...
    def text(self, *names: str, needed: bool = True, blank: bool = True) -> str | None:
        """Return text; numbers are written out, because ids and answers often are numbers."""
        name, value = self.find(*names, needed=needed)
        if value is None or (isinstance(value, str) and (value or blank)):
            return value
        if _is_number(value):
            return str(value)
        raise self.wrong(name, value, "text" if blank else "text that is not empty")

    @overload
    def whole(self, *names: str, needed: Literal[True] = ..., least: int = ...) -> int: ...
    @overload
    def whole(self, *names: str, needed: Literal[False], least: int = ...) -> int | None: ...
    def whole(self, *names: str, needed: bool = True, least: int = 0) -> int | None:
        """Return a whole number."""
        name, value = self.find(*names, needed=needed)
        if value is None:
            return None
        exact = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if not exact or isinstance(value, bool) or not least <= value < 2**31:
            raise self.wrong(name, value, f"a whole number of at least {least} and below 2**31")
        return int(value)

    @overload
    def number(self, *names: str, needed: Literal[True] = ...) -> float: ...
    @overload
    def number(self, *names: str, needed: Literal[False]) -> float | None: ...
    def number(self, *names: str, needed: bool = True) -> float | None:
        """Return a finite number."""
        name, value = self.find(*names, needed=needed)
        if value is None:
            return None
        if not _is_number(value):
            raise self.wrong(name, value, "a finite number")
        return float(value)

    @overload
    def flag(self, *names: str, needed: Literal[True] = ...) -> bool: ...
    @overload
    def flag(self, *names: str, needed: Literal[False]) -> bool | None: ...
    def flag(self, *names: str, needed: bool = True) -> bool | None:
        """Return true or false; 1 and 0 count."""
        name, value = self.find(*names, needed=needed)
        if value is None:
            return None
        if isinstance(value, str) or value not in (0, 1):
            raise self.wrong(name, value, "true, false, 1 or 0")
        return bool(value)

    @overload
    def ids(self, *names: str, needed: Literal[True] = ...) -> list[int]: ...
    @overload
    def ids(self, *names: str, needed: Literal[False]) -> list[int] | None: ...
    def ids(self, *names: str, needed: bool = True) -> list[int] | None:
        """Return a list of token ids."""
        name, value = self.find(*names, needed=needed)
        if value is None:
            return None
        good = isinstance(value, list) and all(
            isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 2**31
            for each in value
        )
        if not good:
            raise self.wrong(name, value, "a list of token ids, whole numbers from 0")
        return value

    @overload
    def numbers(self, *names: str, needed: Literal[True] = ...) -> list[float]: ...
    @overload
    def numbers(self, *names: str, needed: Literal[False]) -> list[float] | None: ...
    def numbers(self, *names: str, needed: bool = True) -> list[float] | None:
        """Return a list of finite numbers."""
        name, value = self.find(*names, needed=needed)
        if value is None:
            return None
        if not isinstance(value, list) or not all(_is_number(each) for each in value):
            raise self.wrong(name, value, "a list of finite numbers")
        return value

    @overload
    def part(self, name: str, *, needed: Literal[True] = ...) -> "Row": ...
    @overload
    def part(self, name: str, *, needed: Literal[False]) -> "Row | None": ...
    def part(self, name: str, *, needed: bool = True) -> "Row | None":
        """Return an object inside this one as a row of its own."""
        _, value = self.find(name, needed=needed)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, value, "an object")
        return Row(f"{self.where}, {name}", value)

    def wrong(self, name: str, value: Any, allowed: str) -> InputError:
        """Return the error for a value of the wrong kind."""
        name = self.called.get(name, name)
        return InputError(f"{self.where}: {name!r} is {_shown(value)}; it must be {allowed}")


def _shown(value: Any) -> str:
    try:
        # Of a long text the beginning says it; a long list is not written out to be cut.
        text = repr(value[:60] if isinstance(value, str | list) else value)
    except (RecursionError, ValueError):  # nested deeply, or a number of too many digits
        return f"a large {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_number(value: Any) -> bool:
    """Tell whether a value is a number that a study can hold; NaN and infinity are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def read_jsonl(path: str | Path, what: str, tell: Tell | None = None) -> Iterator[Row]:
    """Read the rows of a file of JSON, or of a folder of such files.

    Parameters
    ----------
    path : path
        JSON lines; or one list of objects, an object that holds that list (``{"results": [...]}``),
        or objects over several lines. Compressed or not. Of a folder, the files that end in
        ``.jsonl`` or ``.ndjson``, else in ``.json``, in order of their names.
    what : str
        What the file should be, for messages: "rollouts (JSONL)".
    tell : callable, optional
        Hears of what was mended on the way (`Collector.tell`).

    Yields
    ------
    Row
        One for each object.

    Raises
    ------
    InputError
        No file, an empty one, a row that is longer than `MAX_LINE_BYTES`, not UTF-8, not JSON, or
        not an object.
    """
    for file in files_of_rows(path, (".jsonl", ".ndjson", ".json"), tell):
        empty = True
        with opened(file, what) as stream:
            for where, values in json_rows(stream, str(file), what, MAX_LINE_BYTES, tell):
                empty = False
                yield Row(where, values)
        if empty:
            raise InputError(f"{file}: the file has only blank lines; give {what}")


def read_json(path: str | Path, what: str, tell: Tell | None = None) -> Row:
    """Read a file that is one JSON object; `tell` as in `read_jsonl`."""
    with opened(path, what) as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{path} is larger than {MAX_FILE_BYTES / 1e9:.0f} GB; give {what}")
    return parse_object(data, str(path), what, tell)


def parse_object(data: bytes, where: str, what: str, tell: Tell | None = None) -> Row:
    """Return the JSON object in some bytes, such as a member of an archive."""
    return Row(where, Parser(tell).object(data, where, what))


def read_parquet(
    path: str | Path, what: str, columns: Sequence[str] = (), tell: Tell | None = None
) -> Iterator[Row]:
    """Read a parquet file row by row; `columns` must be there.

    Values are those of JSON: times are texts, decimals numbers, and NaN stays.

    Raises
    ------
    InputError
        No file, no parquet, a missing column, one that is there twice, or pyarrow is not installed.
    """
    path = existing(path, what)
    kind = packed_as(path)
    if kind:
        raise InputError(f"{path} is compressed ({kind}); parquet is packed by itself: unpack it")
    pa, pq = (need(name, "io", f"{path}: parquet") for name in ("pyarrow", "pyarrow.parquet"))
    place = 0
    try:
        with pq.ParquetFile(path) as file:
            found = file.schema_arrow.names
            missing = [name for name in columns if name not in found]
            if missing:
                raise InputError(
                    f"{path}: no column {missing[0]!r}; it has {', '.join(found)}; give {what}"
                )
            check_names(found, str(path))
            for batch in file.iter_batches(batch_size=256):
                for values in batch.to_pylist():
                    place += 1
                    where = f"{path}: row {place}"
                    yield Row(where, {name: plain(v, where, tell) for name, v in values.items()})
    except InputError:
        raise
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        OverflowError,
        RecursionError,
        MemoryError,
    ) as error:
        raise InputError(
            f"{path}: not a parquet file, or cut short ({first_line(error).rstrip('.')}); give"
            f" {what}"
        ) from None
    if not place:
        raise InputError(f"{path}: the table has no rows; give {what}")
