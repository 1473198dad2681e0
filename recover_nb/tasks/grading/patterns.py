"""The rules "exact" and "regex:PATTERN": words that are the same."""

import re
import unicodedata
from collections import deque
from collections.abc import Callable

from recover_nb.core.errors import InputError
from recover_nb.tasks.grading.numerals import only_number
from recover_nb.tasks.grading.places import Found
from recover_nb.tasks.grading.spelling import plain

#: A number with its signs of currency and per cent, and no unit: 1,000, $5, 3.50.
_NUMERAL = re.compile(r"[-+$€£]*(?!0\d)[\d.,_]+%?")


def spelt(text: str) -> str:
    """Return a text in one Unicode spelling, without white space around it."""
    return unicodedata.normalize("NFC", text).strip()


def read_exact(text: str) -> Found[str]:
    """Return the whole text."""
    return Found(spelt(text), "whole text")


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a user's pattern.

    Raises
    ------
    InputError
        If it does not compile.
    """
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(
            f"the checker's pattern {pattern[:80]!r} does not compile: {error}; write it as"
            " Python's re module takes it"
        ) from None


def reader(pattern: re.Pattern[str]) -> Callable[[str], Found[str] | None]:
    """Return what reads a text by a pattern: the last match's first group, or all of it."""

    def read(text: str) -> Found[str] | None:
        last = deque(pattern.finditer(text), maxlen=1)
        words = last[0][1 if pattern.groups else 0] if last else None
        return None if words is None else Found(spelt(words), "pattern")

    return read


def gold_reader(pattern: re.Pattern[str]) -> Callable[[str], Found[str] | None]:
    """Return what reads a gold answer: by the pattern where it is a whole solution.

    It is one where the pattern matches it with something around the group, such as a mark.
    """

    def read(answer: str) -> Found[str] | None:
        last = deque(pattern.finditer(answer), maxlen=1) if pattern.groups else ()
        if last and last[0][1] is not None and last[0][0].strip() != last[0][1].strip():
            return Found(spelt(last[0][1]), "pattern")
        return Found(spelt(answer), "whole text") if answer.strip() else None

    return read


def same_words(given: str, wanted: str) -> bool:
    """Return whether two texts are the same, or the same numeral but for its spelling."""
    if given == wanted:
        return True
    given, wanted = plain(given), plain(wanted)
    if not (_NUMERAL.fullmatch(given) and _NUMERAL.fullmatch(wanted)):
        return False
    number = only_number(given)
    return number is not None and number == only_number(wanted)
