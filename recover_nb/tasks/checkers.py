"""Checkers: does a generated text give the answer? For the shipped tasks and for a user's own."""

import re
from dataclasses import dataclass
from numbers import Real
from typing import Any

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.tasks.grading.referee import RULES, WHAT, Checker, checker_of, find_rule, grade

#: What stands before the answer in every trace.
ANSWER_MARK = "#"

#: Where one line or sentence ends and another begins.
_SENTENCE_END = re.compile(r"\n+|[.!?:;]\s+(?=\S)")


@checks.takes(text=checks.TEXT)
def parse_answer(text: str) -> str | None:
    """Return what follows the last `#` of a trace, or None when there is no well-formed answer.

    Well-formed is a whole number or one capital letter, and nothing after it.
    """
    _, mark, tail = text.rpartition("#")
    return tail if mark and re.fullmatch(r"\d{1,3}|[A-D]", tail) else None


@checks.takes(text=checks.TEXT)
def is_worked(text: str) -> bool:
    """Whether a trace of the shipped tasks has at least one step before its answer.

    A trace without an answer counts what it wrote.
    """
    return bool(text.rpartition(ANSWER_MARK)[0].strip() if ANSWER_MARK in text else text.strip())


@checks.takes(text=checks.TEXT)
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


def _named(name: str) -> Checker:
    """Return a checker of a name that looks for what it needs when it first grades."""
    return lambda text, answer: grade(name, text, answer).correct


CHECKERS: dict[str, Checker] = {name: _named(name) for name in RULES}


def _rule(value: Any) -> Any:
    if isinstance(value, str):
        if value not in RULES and not value.startswith("regex:"):
            raise checks.Wrong(checks.near(value, RULES))
        find_rule(value)
        return value
    return _CALLED.read(value)


_CALLED = checks.calls(2, "")
#: The checker that a function asks for.
RULE = checks.Kind(WHAT, _rule)


@checks.takes(rule=RULE)
def make_checker(rule: str | Checker) -> Checker:
    r"""Return a checker `(text, answer) -> bool`.

    docs/graders.md says what each reads; `grade` says why a text is right or wrong.

    Parameters
    ----------
    rule : str or callable
        `"exact"`, `"numeric"` (the number in the last `\boxed{}`, after `####` or "the answer is",
        or the last one), `"choice"` (a letter, found alike), `"math"` (expressions, by
        math-verify), `"regex:PATTERN"` (the last match's first group, or the whole match, is the
        answer), or any callable `(text, answer) -> bool`.

    Raises
    ------
    InputError
        For an unknown rule, a pattern that does not compile, or "math" where math-verify is not
        installed.
    """
    if not callable(rule):
        return checker_of(rule)
    return rule if isinstance(rule, _Judged) else _Judged(rule)


@dataclass(frozen=True)
class _Judged:
    """A checker of somebody's own, held to its word: what is no verdict is refused."""

    rule: Checker

    def __call__(self, text: str, answer: str) -> bool:
        said = self.rule(text, answer)
        if (found := as_verdict(said)) is None:
            raise InputError(f"checker must return True or False, got {checks.shown(said)}")
        return found


def as_verdict(said: Any) -> bool | None:
    """Return what a checker said as True or False, None where it is neither.

    Some return 1 and 0, and NumPy and torch have truths of their own.
    """
    if getattr(said, "ndim", None) == 0 and hasattr(said, "item"):
        said = said.item()
    return bool(said) if isinstance(said, Real) and said in (0, 1) else None
