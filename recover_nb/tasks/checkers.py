"""Checkers: does a generated text give the answer? For the shipped tasks and for a user's own."""

import re

from recover_nb.tasks.grading.referee import RULES, Checker, checker_of, grade

#: What stands before the answer in every trace.
ANSWER_MARK = "#"

#: Where one line or sentence ends and another begins.
_SENTENCE_END = re.compile(r"\n+|[.!?:;]\s+(?=\S)")


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


def _named(name: str) -> Checker:
    """Return a checker of a name that looks for what it needs when it first grades."""
    return lambda text, answer: grade(name, text, answer).correct


CHECKERS: dict[str, Checker] = {name: _named(name) for name in RULES}


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
    return rule if callable(rule) else checker_of(rule)
