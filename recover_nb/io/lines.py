"""Reading rows that others wrote: bounded, checked, and with the line in every message."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

from tqdm import tqdm

from recover_nb.core.errors import InputError
from recover_nb.core.extras import need

#: Longest line of a JSONL file that is read: 100 log-probabilities of each of 5,000 tokens fit.
MAX_LINE_BYTES = 2**26
#: Largest file that is read whole (JSON, members of an archive).
MAX_FILE_BYTES = 2**31
#: Largest number that 32 bits hold: signals and log-probabilities are stored so.
LARGEST = (2 - 2**-23) * 2.0**127

#: Takes a count's name and a sentence with ``{n}``: `records.Collector.tell`.
Tell = Callable[[str, str], None]


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
    """

    where: str
    values: dict[str, Any]

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
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        return InputError(f"{self.where}: {name!r} is {shown}; it must be {allowed}")


def _is_number(value: Any) -> bool:
    """Tell whether a value is a number that a study can hold; NaN and infinity are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def existing(path: str | Path, what: str) -> Path:
    """Return `path` as a Path, or say that there is no such file."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: a folder; give one file, {what}")
    if not path.is_file():
        raise InputError(f"{path}: no such file; give {what}")
    if not path.stat().st_size:
        raise InputError(f"{path}: the file is empty; give {what}")
    return path


def read_jsonl(path: str | Path, what: str, tell: Tell | None = None) -> Iterator[Row]:
    """Read a JSONL file row by row.

    Parameters
    ----------
    path : path
    what : str
        What the file should be, for messages: "rollouts (JSONL)".
    tell : callable, optional
        Hears of what was mended on the way (`Collector.tell`).

    Yields
    ------
    Row
        One for each line that is not blank.

    Raises
    ------
    InputError
        No file, an empty one, a line that is too long, not UTF-8, not JSON, or not an object.
    """
    path, n_rows = existing(path, what), 0
    size = path.stat().st_size
    bar = tqdm(
        total=size, desc=path.name, unit="B", unit_scale=True, file=sys.stderr, delay=2, leave=False
    )
    with path.open("rb") as file, bar:
        for number in range(1, sys.maxsize):
            line = file.readline(MAX_LINE_BYTES + 1)
            if not line:
                break
            bar.update(len(line))
            where = f"{path}: line {number}"
            if len(line) > MAX_LINE_BYTES:
                allowed = f"{MAX_LINE_BYTES / 1e6:.0f} MB"
                raise InputError(
                    f"{where} is longer than {allowed}; a line holds one row of {what}"
                )
            if line.strip():
                n_rows += 1
                yield Row(where, _object(line.removeprefix(b"\xef\xbb\xbf"), where, what))
    if not n_rows:
        raise InputError(f"{path}: the file has only blank lines; give {what}")


def read_json(path: str | Path, what: str, tell: Tell | None = None) -> Row:
    """Read a file that is one JSON object; `tell` as in `read_jsonl`."""
    path = existing(path, what)
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(f"{path} is larger than {MAX_FILE_BYTES / 1e9:.0f} GB; give {what}")
    return Row(str(path), _object(path.read_bytes(), str(path), what))


def parse_object(data: bytes, where: str, what: str, tell: Tell | None = None) -> Row:
    """Return the JSON object in some bytes, such as a member of an archive."""
    return Row(where, _object(data, where, what))


def _object(data: bytes, where: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where} is not UTF-8 text (byte {error.start + 1}); save {what} as UTF-8"
        ) from None
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", str(error).partition("\n")[0])
        cut = (
            "" if data.endswith(b"\n") or data.rstrip().endswith(b"}") else "; it may be cut short"
        )
        raise InputError(f"{where} is not JSON ({reason}){cut}; give {what}") from None
    if not isinstance(value, dict):
        raise InputError(f"{where} is a JSON {type(value).__name__}, not an object; give {what}")
    return value


def read_parquet(
    path: str | Path, what: str, columns: Sequence[str] = (), tell: Tell | None = None
) -> Iterator[Row]:
    """Read a parquet file row by row; `columns` must be there.

    Raises
    ------
    InputError
        No file, no parquet, a missing column, or pyarrow is not installed.
    """
    path = existing(path, what)
    pa, pq = (need(name, "io", f"{path}: parquet") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        with pq.ParquetFile(path) as file:
            found = file.schema_arrow.names
            missing = [name for name in columns if name not in found]
            if missing:
                raise InputError(
                    f"{path}: no column {missing[0]!r}; it has {', '.join(found)}; give {what}"
                )
            place = 0
            for batch in file.iter_batches(batch_size=256):
                for values in batch.to_pylist():
                    place += 1
                    yield Row(f"{path}: row {place}", values)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(
            f"{path}: not a parquet file, or cut short ({reason}); give {what}"
        ) from None
    if not place:
        raise InputError(f"{path}: the table has no rows; give {what}")
