"""Grade a text by a rule, and say why: what was read, where, and what was wanted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.tasks.grading import expressions, letters, numerals, patterns
from recover_nb.tasks.grading.places import Found

Checker = Callable[[str, str], bool]
#: A gold answer: logs have numbers, too.
GOLD = checks.either(checks.TEXT, checks.number(), "a text or a number")


@dataclass(frozen=True)
class Grade:
    """A verdict, and why.

    Attributes
    ----------
    correct : bool
    given, wanted : str or None
        What was read in the text and in the gold answer; None where nothing could be read, and for
        a rule that is a function.
    place : str
        Where the text gives its answer: "boxed", "####", "announced", "bold", "last number", ...
    """

    correct: bool
    given: str | None
    wanted: str | None
    place: str

    @property
    def why(self) -> str:
        """One sentence that says what was compared."""
        given, wanted = (
            None if each is None else _short(each) for each in (self.given, self.wanted)
        )
        if self.place == "function":
            return "a function of text and answer decided"
        if wanted is None:
            return "the gold answer cannot be read by this rule"
        if given is None:
            where = f" ({self.place})" if self.place else ""
            return f"no answer that this rule can read{where}; wanted {wanted}"
        relation = "is" if self.correct else "is not"
        return f"{given} ({self.place}) {relation} {wanted}"


@dataclass(frozen=True)
class Rule:
    """How a rule reads a text and a gold answer, and what it takes for the same."""

    read: Callable[[str], Found[Any] | None]
    gold: Callable[[str], Found[Any] | None]
    same: Callable[[Any, Any], bool]
    #: Whether a text that is the gold answer to the letter is right without being read.
    verbatim: bool = False


def _equal(given: object, wanted: object) -> bool:
    return given == wanted


RULES = {
    "exact": Rule(patterns.read_exact, patterns.read_exact, _equal),
    "numeric": Rule(numerals.read_number, numerals.read_gold_number, _equal),
    "choice": Rule(letters.read_letter, letters.read_gold_letter, _equal),
    "math": Rule(
        expressions.read_expression,
        expressions.read_gold_expression,
        expressions.equal_expressions,
        verbatim=True,
    ),
}
#: The checkers that have a name, as a message lists them.
NAMES = ", ".join([*RULES, "regex:PATTERN"])
#: What a rule may be, as a message says it.
WHAT = f"{NAMES}, or a function"


@cache
def _patterned(pattern: str) -> Rule:
    compiled = patterns.compiled(pattern)
    return Rule(patterns.reader(compiled), patterns.gold_reader(compiled), patterns.same_words)


def find_rule(name: str) -> Rule:
    """Return the rule of a name.

    Raises
    ------
    InputError
        For an unknown rule, a pattern that does not compile, or "math" without math-verify.
    """
    if isinstance(name, str) and name.startswith("regex:"):
        return _patterned(name.removeprefix("regex:"))
    if not isinstance(name, str) or name not in RULES:
        near = f"; {checks.near(name, RULES)}" if checks.near(name, RULES) else ""
        raise InputError(f"checker must be {WHAT}, got {checks.shown(name)}{near}")
    if name == "math":
        expressions.math_verify()
    return RULES[name]


@checks.takes(text=checks.TEXT, answer=GOLD)
def grade(rule: str | Checker, text: str, answer: str) -> Grade:
    r"""Grade a text against a gold answer, and say why.

    docs/graders.md says what each rule reads.

    Parameters
    ----------
    rule : str or callable
        As for `make_checker`.
    text : str
        What the model wrote.
    answer : str
        The gold answer: alone, or as data sets ship it, such as GSM8K's whole solution.

    Raises
    ------
    InputError
        For a rule that `make_checker` refuses, or a text or an answer that is not text.

    Examples
    --------
    >>> grade("numeric", r"so \boxed{\frac{1}{2}}", "0.5")
    Grade(correct=True, given='1/2', wanted='1/2', place='boxed')
    >>> grade("choice", "The answer is (B).", "c").why
    'B (announced) is not C'
    """
    if callable(rule):
        return Grade(bool(rule(text, answer)), None, None, "function")
    return _judge(find_rule(rule), text, answer)


@checks.takes(answer=GOLD)
def can_grade(rule: str | Checker, answer: str) -> bool:
    """Return whether a rule can read a gold answer; where it cannot, every text would be wrong.

    A rule that is a function is not asked.

    Examples
    --------
    >>> can_grade("numeric", "72 apples"), can_grade("numeric", "blue")
    (True, False)
    """
    if callable(rule):
        return True
    found = find_rule(rule).gold(_as_text(answer, "answer")) if str(answer).strip() else None
    return found is not None and found.value is not None


def _judge(rule: Rule, text: str, answer: str) -> Grade:
    """Grade by a rule that is known."""
    text, answer = _as_text(text, "text"), _as_text(answer, "answer")
    wanted = rule.gold(answer)
    given = wanted if rule.verbatim and text == answer else rule.read(text)
    left = None if given is None else given.value
    right = None if wanted is None else wanted.value
    correct = left is not None and right is not None and bool(rule.same(left, right))
    return Grade(correct, _said(left), _said(right), given.place if given else "")


def _said(value: object) -> str | None:
    return None if value is None else str(value)


def _short(words: str) -> str:
    """Return words on one line, cut where they are long."""
    line = " ".join(words.split())
    return line if len(line) <= 80 else line[:79] + "\u2026"


def _as_text(value: object, name: str) -> str:
    """Return a text; a gold answer may be a number."""
    if isinstance(value, str):
        return value
    if name == "answer" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise InputError(
        f"a checker takes text, and {name} is {type(value).__name__} ({str(value)[:60]!r}); pass a"
        " str"
    )


def checker_of(rule: str) -> Checker:
    """Return a rule of a name as a function `(text, answer) -> bool`."""
    found = find_rule(rule)

    def check(text: str, answer: str) -> bool:
        return _judge(found, text, answer).correct

    return check
