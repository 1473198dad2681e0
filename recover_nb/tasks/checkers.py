"""Checkers: does a generated text give the answer? For the shipped tasks and for a user's own."""

import re
from collections.abc import Callable
from fractions import Fraction

from recover_nb.core.errors import InputError

#: What stands before the answer in every trace.
ANSWER_MARK = "#"

Checker = Callable[[str, str], bool]

_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?")
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
#: Where one line or sentence ends and another begins.
_SENTENCE_END = re.compile(r"\n+|[.!?:;]\s+(?=\S)")
_CHOICE = re.compile(r"(?<![A-Za-z])\(?([A-J])\)?(?![A-Za-z])")


def parse_answer(text: str) -> str | None:
    """Return what follows the last `#` of a trace, or None when there is no well-formed answer.

    Well-formed is a whole number or one capital letter, and nothing after it.
    """
    _, mark, tail = text.rpartition("#")
    return tail if mark and re.fullmatch(r"\d{1,3}|[A-D]", tail) else None


def is_worked(text: str) -> bool:
    """Whether a trace of the shipped tasks has at least one step before its answer.

    A trace without an answer counts what it wrote.
    """
    return bool(text.rpartition(ANSWER_MARK)[0].strip() if ANSWER_MARK in text else text.strip())


def has_step(text: str) -> bool:
    """Whether a text of any kind holds a reasoning step before its answer.

    It does if it has an equation, or more than one line or sentence. Give a function of your own to
    `generate` where that is not what a step looks like.

    Examples
    --------
    >>> has_step("The answer is 12.")
    False
    >>> has_step("Three boxes of four: 3 * 4 = 12. The answer is 12.")
    True
    """
    return "=" in text or len(_SENTENCE_END.findall(text.strip())) > 0


def exact(text: str, answer: str) -> bool:
    """Whether the texts are equal up to surrounding white space."""
    return text.strip() == answer.strip()


def _number(text: str) -> Fraction | None:
    boxed = _BOXED.findall(text)
    found = _NUMBER.findall(boxed[-1] if boxed else text)
    if not found:
        return None
    try:
        return Fraction(found[-1].replace(",", ""))
    except (ValueError, ZeroDivisionError):
        return None


def numeric(text: str, answer: str) -> bool:
    r"""Whether the last number (or the last `\boxed{}`) equals the answer as a number."""
    given, wanted = _number(text), _number(answer)
    return given is not None and given == wanted


def choice(text: str, answer: str) -> bool:
    """Whether the last free-standing letter A to J is the answer's."""
    found = _CHOICE.findall(text)
    return bool(found) and found[-1] == answer.strip().strip("()").upper()


CHECKERS: dict[str, Checker] = {"exact": exact, "numeric": numeric, "choice": choice}


def make_checker(rule: str | Checker) -> Checker:
    """Return a checker `(text, answer) -> bool`.

    Parameters
    ----------
    rule : str or callable
        `"exact"`, `"numeric"` (last number or boxed), `"choice"` (last letter), `"regex:PATTERN"`
        (the last match's first group, or the whole match, equals the answer), or any callable
        `(text, answer) -> bool`.

    Raises
    ------
    InputError
        For an unknown rule or a pattern that does not compile.
    """
    if callable(rule):
        return rule
    if rule in CHECKERS:
        return CHECKERS[rule]
    if not rule.startswith("regex:"):
        allowed = ", ".join([*CHECKERS, "regex:PATTERN"])
        raise InputError(f"unknown checker {rule!r}; allowed: {allowed}, or a callable")
    try:
        pattern = re.compile(rule.removeprefix("regex:"))
    except re.error as error:
        raise InputError(f"the checker's pattern does not compile: {error}") from None

    def matches(text: str, answer: str) -> bool:
        found = list(pattern.finditer(text))
        return bool(found) and (found[-1][1] if pattern.groups else found[-1][0]) == answer

    return matches
