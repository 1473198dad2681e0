"""JSON that others wrote: what cannot be stored is mended and told, what is wrong is a sentence."""

import json
import re
from collections.abc import Callable
from typing import Any

from recover_nb.core.errors import InputError

#: Takes a count's name, a sentence with ``{n}``, and by how much (1): `records.Collector.tell`.
Tell = Callable[..., None]
#: In JSON: what may stand for half a character, or for NUL. Only then texts are looked at.
SUSPECT = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")
HALVES = re.compile("[\ud800-\udfff]")
#: What is put in their place.
UNKNOWN = "\ufffd"
HALVES_TOLD = "{n} halves of characters (lone surrogates) in the texts are read as U+FFFD"
NULS_TOLD = "{n} NUL characters in the texts are read as U+FFFD"
REPEATED_TOLD = "{n} objects have a key twice; the last value is read"
#: Message of JSON's errors where a text goes on after the end of what is there.
OPEN_TEXT = "Unterminated string"


def quiet(name: str, sentence: str, by: int = 1) -> None:
    """Tell nobody."""


class Parser:
    """Reads JSON texts, and tells of what it mends.

    Parameters
    ----------
    tell : callable, optional
        `Collector.tell`.

    Attributes
    ----------
    tell : callable
    """

    def __init__(self, tell: Tell | None = None) -> None:
        self.tell = tell or quiet
        self._repeated = 0
        self._decoder = json.JSONDecoder(object_pairs_hook=self._pairs)

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        self._repeated += len(found) != len(pairs)
        return found

    def value(self, text: str, start: int = 0) -> tuple[Any, int]:
        """Return the JSON value that begins at `start`, and where it ends.

        Raises
        ------
        ValueError
            No JSON, or nested too deeply. `json.JSONDecodeError` has the place.
        """
        self._repeated = 0
        try:
            value, end = self._decoder.raw_decode(text, start)
            if SUSPECT.search(text, start, end):
                value = mended(value, self.tell)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except json.JSONDecodeError:
            raise
        except ValueError:
            # Python reads no longer ones, since that takes the square of the time.
            raise ValueError("it has a number of more than 4,300 digits") from None
        if self._repeated:
            self.tell("repeated_keys", REPEATED_TOLD, self._repeated)
        return value, end

    def object(self, data: bytes, where: str, what: str) -> dict[str, Any]:
        """Return the one JSON object in some bytes, or raise an `InputError` that says `where`."""
        text = decoded(data, where, what).strip()
        try:
            value, end = self.value(text)
            if end < len(text):
                raise json.JSONDecodeError("Extra data", text, end)
        except ValueError as error:
            cut = not data.endswith(b"\n") and not text.endswith("}")
            raise not_json(error, where, what, cut) from None
        return as_object(value, where, what)


def decoded(data: bytes, where: str, what: str) -> str:
    """Return UTF-8 bytes as text, without the mark that some tools put first."""
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where} is not UTF-8 text (byte {error.start + 1}); save {what} as UTF-8"
        ) from None


def as_object(value: Any, where: str, what: str) -> dict[str, Any]:
    """Return a value of JSON if it is an object."""
    if not isinstance(value, dict):
        raise InputError(f"{where} is a JSON {type(value).__name__}, not an object; give {what}")
    return value


def not_json(error: ValueError, where: str, what: str, cut: bool) -> InputError:
    """Return the error for a text that is not JSON; `cut` where it may be the end that lacks."""
    reason = getattr(error, "msg", str(error).partition("\n")[0])
    hint = "; it may be cut short" if cut else ""
    return InputError(f"{where} is not JSON ({reason}){hint}; give {what}")


def is_open(error: ValueError, text: str) -> bool:
    """Tell whether a text may be the beginning of JSON, by the error that it gave."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    # Near the end a number, or a word such as null, can be cut.
    return error.msg.startswith(OPEN_TEXT) or error.pos + 16 > len(text)


def mended(value: Any, tell: Tell | None) -> Any:
    """Return a value whose texts can be stored: no lone surrogates, and no NUL.

    Files of studies hold UTF-8, which has no halves of characters, and arrays of texts, which drop
    a NUL at the end.
    """
    if isinstance(value, str):
        return _mended_text(value, tell or quiet)
    if isinstance(value, list):
        return [mended(each, tell) for each in value]
    if isinstance(value, dict):
        return {mended(name, tell): mended(each, tell) for name, each in value.items()}
    return value


def _mended_text(text: str, tell: Tell) -> str:
    if "\x00" in text:
        tell("nul_characters", NULS_TOLD, text.count("\x00"))
        text = text.replace("\x00", UNKNOWN)
    if text.isascii():
        return text
    text, n = HALVES.subn(UNKNOWN, text)
    if n:
        tell("lone_surrogates", HALVES_TOLD, n)
    return text
