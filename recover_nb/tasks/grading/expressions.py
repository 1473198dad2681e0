r"""The rule "math": two expressions that are equal, by `math-verify`.

`math-verify` stops what takes too long by a signal, which works in the main thread alone and makes
a verdict depend on the machine. Here its clock is off. Long or steep expressions are not read, and
a comparison that takes too many calls counts as unequal.
"""

import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any, TypeVar

from recover_nb.core.extras import need
from recover_nb.tasks.grading.numerals import only_number
from recover_nb.tasks.grading.places import Found, announced, boxed, hashed, parts
from recover_nb.tasks.grading.spelling import plain, unlatex

T = TypeVar("T")

#: Longer expressions are not read.
_LONGEST = 240
#: Calls of Python functions that a comparison may take: a second or two.
_MOST_CALLS = 1_500_000

_SPAN = re.compile(
    r"(?<!\\)\$\$?((?:\\\$|[^$\n]){1,300})(?<!\\)\$\$?|\\\(([^\n]{1,300}?)\\\)|\\\[(.{1,300}?)\\\]",
    re.DOTALL,
)
_JOINED = re.compile(r"[\s,;]*(?:and|or)?[\s,;]*")
#: What may take sympy without end, whatever its length.
_ENDLESS = re.compile(
    r"\\(?:sum|prod|int|iint|oint|lim|limsup|liminf)(?![A-Za-z])|\d{100}|\d{4,}\s*!|[)}\]!]\s*!"
    r"|\\binom\s*\{?\s*\d{5}|(?:\\(?:a?sin|a?cos|a?tan|cot|sec|csc|log|ln|exp|sqrt)\b.*){7}",
    re.DOTALL,
)
_RAISED = re.compile(r"(?P<base>.?)\s*(?:\^|\*\*)\s*", re.DOTALL)
_BRACKET = re.compile(r"[()\[\]{}]")
#: Brackets within brackets: deeper ones are not read.
_DEEPEST = 12
_WORDS = re.compile(r"[^\W\d_]{2,}(?:[\s,.'-]+[^\W\d_]+)*")
#: Words that mean something to math-verify.
_MEANT = re.compile(r"\b(?:or|and|pi|infinity|inf|sqrt|sin|cos|tan|log|ln|exp|in|deg)\b")

_LOCK = threading.Lock()


class _TooLong(BaseException):
    """More calls than allowed; no `Exception`, which math-verify and sympy pass over."""


@contextmanager
def _bounded() -> Iterator[None]:
    """Stop what runs inside after so many calls; the same number on any machine."""
    left = _MOST_CALLS

    def count(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _TooLong

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)


def _guarded(compute: Callable[[ModuleType], T], otherwise: T) -> T:
    """Return what math-verify computes; `otherwise` where it fails or takes too long."""
    module = math_verify()
    with _LOCK:
        try:
            with _bounded():
                return compute(module)
        except (Exception, _TooLong):
            return otherwise


def math_verify() -> ModuleType:
    """Return `math_verify`.

    Raises
    ------
    InputError
        Where it is not installed.
    """
    module = need("math_verify", "math", 'the checker "math"')
    for name in ("parser", "grader"):  # it warns once that its clock is off, as is meant
        sys.modules[f"math_verify.{name}"].__dict__["TIMEOUT_WARNING_SHOWN"] = True
    return module


def _is_bounded(expression: str) -> bool:
    """Whether an expression is short and flat enough for sympy to end."""
    if len(expression) > _LONGEST or _ENDLESS.search(expression):
        return False
    depth = 0
    for bracket in _BRACKET.findall(expression):
        depth += 1 if bracket in "([{" else -1
        if depth > _DEEPEST:
            return False
    return all(_is_low(expression, power) for power in _RAISED.finditer(expression))


def _is_low(expression: str, power: re.Match[str]) -> bool:
    """Whether a power stays small: 2^{2021} and e^{x^2} do, 9^{9^9} and (x+1)^{99} do not."""
    exponent, end = _exponent(expression, power.end())
    if exponent is None or re.match(r"\s*(?:\^|\*\*)", expression[end:]):
        return False
    runs = re.findall(r"\d+", exponent)
    if re.search(r"\^|\*|!", exponent):
        return exponent.count("^") < 2 and all(each in "01234" for each in runs)
    largest = max((int(each) if len(each) < 9 else 10**9 for each in runs), default=0)
    return largest <= (12 if power["base"] in set(")}]") else 9999)


def _exponent(expression: str, start: int) -> tuple[str | None, int]:
    """Return what a base is raised to and where it ends; None where its bracket never closes."""
    if expression[start : start + 1] not in {"{", "("}:
        match = re.compile(r"-?\d+|\\[A-Za-z]+|.?", re.DOTALL).match(expression, start)
        return (match[0], match.end()) if match else (None, start)
    depth = 0
    for bracket in _BRACKET.finditer(expression, start):
        depth += 1 if bracket[0] in "([{" else -1
        if depth == 0:
            return expression[start + 1 : bracket.start()], bracket.end()
    return None, start


def _tidy(text: str) -> str:
    """Return the expression of a statement, without what wraps it."""
    text = text.strip().strip("*_`").strip()
    spans = list(_SPAN.finditer(text))
    if spans:
        chosen, end = [spans[0]], spans[0].end()
        for span in spans[1:]:
            if not _JOINED.fullmatch(text, end, span.start()):
                break
            chosen.append(span)
            end = span.end()
        text = ", ".join(next(each for each in span.groups() if each) for span in chosen)
    text = re.sub(r"\\text(?:bf|it|rm)?\s*\{\s*(and|or)\s*\}", r" \\text{ \1 } ", text)
    return text.strip().strip("*_`$").removesuffix(".").strip()


def _located(text: str) -> Found[str] | None:
    """Return the words at the place where a part of a text gives its answer."""
    if (inside := boxed(text)) is not None:
        return Found(_tidy(inside), "boxed")
    for line, _ in hashed(text):
        return Found(_tidy(line), "####")
    for each in announced(text):
        said = each.sentence if each.said else each.line
        if said and len(said) <= _LONGEST:
            return Found(_tidy(said), "announced")
    if len(text) <= 60 and "\n" not in text:
        return Found(_tidy(text), "whole text")
    return None


def _last(text: str) -> Found[str] | None:
    """Return the last formula or number of a running text."""
    if spans := deque(_SPAN.finditer(text), maxlen=1):
        return Found(_tidy(spans[0][0]), "last formula")
    if numbers := deque(
        re.finditer(r"(?<![\w.])-?\d[\d,]{0,80}(?:\.\d{1,80})?(?:/\d{1,40})?", text), maxlen=1
    ):
        return Found(numbers[0][0].rstrip(","), "last number")
    return None


def read_expression(text: str) -> Found[str] | None:
    """Return the expression that a text gives as its answer, as written, and where."""
    for part in parts(plain(text)):
        found = _located(part) or _last(part)
        if found and found.value:
            return found if len(found.value) <= _LONGEST else Found(None, found.place)
    return None


def read_gold_expression(answer: str) -> Found[str] | None:
    """Return the expression that a gold answer is, if math-verify or a reader of words reads it."""
    found = read_expression(answer)
    if found is None or found.value is None or found.place.startswith("last"):
        whole = _tidy(plain(answer))
        found = Found(whole, "whole text") if 0 < len(whole) <= _LONGEST else None
    if found is None or found.value is None:
        return None
    if _words(found.value) or only_number(found.value) is not None:
        return found
    return found if _parsed(found.value) else None


def _words(expression: str) -> str | None:
    """Return an answer in words, in one spelling; None for anything with mathematics in it."""
    words = " ".join(unlatex(expression).split()).strip(" .")
    if _WORDS.fullmatch(words) and not _MEANT.search(words.casefold()):
        return words.casefold()
    return None


def _parsed(expression: str) -> list[Any]:
    """Return what math-verify makes of an expression; nothing where it is too much to read."""
    if not _is_bounded(expression):
        return []

    bare = expression.replace(r"\$", "").replace("$", "")

    def parse(module: ModuleType) -> list[Any]:
        config = module.LatexExtractionConfig(boxed_match_priority=0)
        return module.parse(f"${bare}$", [config], "no_fallback", parsing_timeout=None)

    return _guarded(parse, [])


def equal_expressions(given: str, wanted: str) -> bool:
    """Return whether two expressions are equal, as text, as numbers or by math-verify."""
    if given == wanted:
        return True
    words = _words(given), _words(wanted)
    if any(words):
        return words[0] == words[1]
    numbers = only_number(given), only_number(wanted)
    if None not in numbers and numbers[0] == numbers[1]:
        return True
    one, other = _parsed(wanted), _parsed(given)
    if not one or not other:
        return False
    return _guarded(
        lambda module: bool(
            module.verify(one, other, allow_set_relation_comp=True, timeout_seconds=None)
        ),
        False,
    )
