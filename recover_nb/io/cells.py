"""Cells of tables: ids and texts stay as they are written, only numbers and flags are read."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.io.messages import words_of_messages
from recover_nb.io.parsing import Tell, mended

#: How tables write that a rollout is right, or wrong; letters of any size.
RIGHT = ("true", "t", "yes", "y", "correct", "right", "pass", "passed", "success", "solved", "c")
WRONG = ("false", "f", "no", "n", "incorrect", "wrong", "fail", "failed", "failure", "i")
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
#: Where commas may be decimal, this may be a thousand, or one with three decimals.
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")
WHOLE = ("rollout_idx", "n_tokens", "fired_at")
#: Fields that an empty cell says something of: an empty text.
TEXTS = ("prompt", "answer", "generated_text", "problem_id")


def check_names(names: Sequence[Any], where: str) -> None:
    """Raise an `InputError` where two columns have one name."""
    name, times = next(iter(Counter(map(str, names)).most_common(1)), ("", 0))
    if times > 1:
        raise InputError(
            f"{where}: {times} columns are named {name!r}; which one is meant cannot be told:"
            " rename or remove the others"
        )


def plain(value: Any, where: str, tell: Tell | None = None) -> Any:
    """Return what numpy, pandas or Arrow hold as JSON would: texts, numbers, lists, objects, None.

    Raises
    ------
    InputError
        Bytes that are no text.
    """
    if value is None or isinstance(value, bool | int | float):
        # numpy's floats are floats.
        return float(value) if isinstance(value, float) else value
    if isinstance(value, str):
        return mended(str(value), tell)
    if isinstance(value, list | tuple):
        # Most lists are of numbers, and long.
        if all(type(each) in (int, float) for each in value):
            return list(value)
        return [plain(each, where, tell) for each in value]
    if isinstance(value, dict):
        return {mended(str(name), tell): plain(v, where, tell) for name, v in value.items()}
    if isinstance(value, bytes):
        try:
            return mended(value.decode("utf-8"), tell)
        except UnicodeDecodeError:
            raise InputError(
                f"{where}: a cell holds bytes that are no UTF-8 text; write texts and numbers"
            ) from None
    if isinstance(value, Decimal):
        return _of_decimal(value)
    if isinstance(value, date | time | datetime):
        return None if value != value else value.isoformat()
    return _foreign(value, where, tell)


def _of_decimal(value: Decimal) -> int | float:
    if not value.is_finite():
        return float("nan")
    # As a whole number, one with a large exponent would fill the memory.
    whole = value.adjusted() < 40 and value == value.to_integral()
    return int(value) if whole else float(value)


def _foreign(value: Any, where: str, tell: Tell | None) -> Any:
    """Return a value of numpy or pandas in plain Python, else as text."""
    inner = getattr(value, "tolist", None)
    if callable(inner):
        found = inner()
        return str(found) if type(found) is type(value) else plain(found, where, tell)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return str(value) if not isinstance(value, timedelta) else value.total_seconds()


def as_field(name: str, value: Any, comma: bool = False) -> Any:
    """Return a cell as the field that it is; one that cannot be read is left as it is.

    Parameters
    ----------
    name : str
        Of the field: ``"is_correct"``.
    value : object
        As `plain` gives it.
    comma : bool
        Whether numbers have a decimal comma.
    """
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, str):
        return _of_text(name, value, comma)
    if name == "answer" and isinstance(value, bool):
        return str(value)
    if name in ("prompt", "generated_text") and isinstance(value, list) and value:
        return words_of_messages(value) if all(isinstance(m, dict) for m in value) else value
    return value


def _of_text(name: str, text: str, comma: bool) -> Any:
    if name in TEXTS:
        return text
    word = text.strip()
    if not word:
        return None
    if name == "is_correct" and word.lower() in RIGHT + WRONG:
        return word.lower() in RIGHT
    if name in WHOLE and comma and THOUSANDS.fullmatch(word):
        return text
    if name == "is_correct" or name in WHOLE:
        found = number(word, comma)
        whole = found is not None and abs(found) < 2**53 and found.is_integer()
        return (int(found) if whole else found) if found is not None else text
    if name == "output_ids" and word.startswith("["):
        try:
            return json.loads(word)
        except (ValueError, RecursionError):
            return text
    return text


def number(text: str, comma: bool = False) -> float | None:
    """Return the number that a cell holds, and nothing else; None if it is none."""
    text = text.strip()
    text = text.replace(",", ".", 1) if comma and "." not in text else text
    return float(text) if NUMBER.fullmatch(text) else None
