r"""The rules "exact" and "regex:PATTERN", functions, and what a grade says."""

import re

import pytest

from recover_nb.core.errors import InputError
from recover_nb.tasks import CHECKERS, Grade, can_grade, grade, make_checker

HASHED = r"regex:####\s*(\S+)"


@pytest.mark.parametrize(
    ("pattern", "text", "answer", "right"),
    [
        (HASHED, "#### 3", "3", True),
        (HASHED, "#### 3", "2+1=3\n#### 3", True),
        (HASHED, "#### 4", "2+1=3\n#### 3", False),
        (HASHED, "#### 1,000", "1000", True),
        (HASHED, "#### 1000", "so\n#### 1,000", True),
        (HASHED, "#### $5", "5", True),
        (HASHED, "#### 3.", "3", True),
        (HASHED, "#### 3.50", "3.5", True),
        (HASHED, "#### \u22125", "-5", True),
        (HASHED, "#### 1,23", "123", False),
        (HASHED, "#### 5kg", "5", False),
        (HASHED, "#### 1\n#### 2", "2", True),
        (HASHED, "3", "3", False),
        (r"regex:#(.+)$", "1 2 #12", "12", True),
        (r"regex:#(.+)$", "1 2 #12 ", "12", True),
        (r"regex:#(.+)$", "1 2 #012", "12", False),
        (r"regex:#(.+)$", "1 2 #B", "B", True),
        (r"regex:#(.+)$", "1 2 #b", "B", False),
        (r"regex:(\d+)", "7.5", "12.5", False),
        (r"regex:\d+", "1 22 333", "333", True),
        (r"regex:\d+", "1", "1 22 333", False),
        (r"regex:a(x)?", "a", "a", False),
        (r"regex:answer: (.+)", "answer: e\u0301", "\u00e9", True),
    ],
)
def test_patterns(pattern, text, answer, right):
    assert make_checker(pattern)(text, answer) is right
    assert can_grade(pattern, answer)


@pytest.mark.parametrize(
    ("text", "answer", "right"),
    [
        (" 12\n", "12", True),
        ("12.0", "12", False),
        ("1,000", "1000", False),
        ("cafe\u0301", "caf\u00e9", True),
        ("Cafe", "cafe", False),
    ],
)
def test_exact(text, answer, right):
    assert make_checker("exact")(text, answer) is right


@pytest.mark.parametrize("rule", ["exact", "numeric", "choice", "math", HASHED])
def test_a_blank_gold_answer_cannot_be_graded(rule):
    assert not can_grade(rule, "")
    assert not can_grade(rule, " \n")


def test_a_grade_says_why():
    assert grade("numeric", r"so \boxed{1{,}000}", "999") == Grade(False, "1000", "999", "boxed")
    assert grade("numeric", "72", "72").why == "72 (whole text) is 72"
    assert grade("numeric", "I think 72", "73").why == "72 (last number) is not 73"
    assert grade("numeric", "blue", "73").why == "no answer that this rule can read; wanted 73"
    assert grade("numeric", r"\boxed{x}", "73").why == (
        "no answer that this rule can read (boxed); wanted 73"
    )
    assert grade("numeric", "72", "blue").why == "the gold answer cannot be read by this rule"
    by_hand = grade(str.startswith, "72", "7")
    assert (by_hand.correct, by_hand.why) == (True, "a function of text and answer decided")


def test_a_function_decides_alone():
    assert can_grade(str.startswith, "")
    made = make_checker(str.startswith)
    assert (made("12", "1"), made("12", "2"), make_checker(made) is made) == (True, False, True)
    assert grade(lambda text, answer: 0, "1", "1").correct is False  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["fuzzy", "", "Numeric", 7, None, ["numeric"]])
def test_an_unknown_rule_is_refused(rule):
    allowed = "must be exact, numeric, choice, math, regex:PATTERN, or a function, got "
    allowed = re.escape(allowed + repr(rule))
    for ask in (lambda: make_checker(rule), lambda: grade(rule, "1", "1")):
        with pytest.raises(InputError, match=allowed):
            ask()
    with pytest.raises(InputError, match=allowed):
        can_grade(rule, "1")


@pytest.mark.parametrize("pattern", ["(", "*", "[", "(?P<a>x)(?P<a>y)", "a{99999999999}", "\\"])
def test_a_pattern_that_does_not_compile_is_refused(pattern):
    with pytest.raises(InputError, match="does not compile"):
        make_checker(f"regex:{pattern}")


@pytest.mark.parametrize(
    ("text", "answer"), [(None, "1"), ("1", None), (b"1", "1"), ("1", True), (1, "1")]
)
def test_what_is_no_text_is_refused(text, answer):
    with pytest.raises(InputError, match="a checker takes text"):
        make_checker("numeric")(text, answer)


def test_the_table_of_checkers_grades():
    assert list(CHECKERS) == ["exact", "numeric", "choice", "math"]
    assert CHECKERS["math"](r"\boxed{2\sqrt2}", r"\sqrt8") is True
    assert CHECKERS["choice"]("(B)", "b") is True
