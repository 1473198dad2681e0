"""Any text and any answer: a verdict, never an error; the same value in another spelling is equal.

`RECOVER_NB_FUZZ=10000` for a long run.
"""

import os
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recover_nb.tasks import can_grade, grade

RUNS = int(os.environ.get("RECOVER_NB_FUZZ", "60"))
fuzzed = settings(
    max_examples=RUNS,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

_PIECES = r"""
\boxed{ } { #### ** $ $$ \( \) \[ \] \frac \dfrac \sqrt \pi \text{ \times ^ _ = + - * /
, . % ! ( ) 1 2 3 72 1,000 1{,}000 0.5 .5 2e3 10^3 1/2 x y A B C I a answer is: Answer:
Question: Q: </s> <|im_end|> </think> and or million minus \pm \infty \cup < > : ; ' "
\\ & | [ ] ½ ² √ \begin{pmatrix} \end{pmatrix} \{ \} \le \in \log \sin MINUS FIVE
"""
PIECES = st.sampled_from(_PIECES.replace("MINUS", "\u2212").replace("FIVE", "\uff15").split())
SPACES = st.sampled_from(["", "", " ", "\n", "\u2009"])
WRITTEN = st.lists(st.tuples(PIECES, SPACES), max_size=14).map(
    lambda drawn: "".join(piece + space for piece, space in drawn)
)
TEXTS = st.one_of(WRITTEN, st.text(max_size=60), st.characters().map(lambda each: each * 3))
NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9).map(Fraction),
    st.tuples(st.integers(-(10**7), 10**7), st.integers(1, 4)).map(
        lambda drawn: Fraction(drawn[0], 10 ** drawn[1])
    ),
)


def spellings(value: Fraction) -> dict[str, str]:
    """Return one number in many spellings; every one is a decimal number without an end."""
    size, sign = abs(value), "-" if value < 0 else ""
    digits = next(n for n in range(5) if (size * 10**n).denominator == 1)
    plain = f"{size.numerator // size.denominator}"
    if digits:
        plain += "." + str(size * 10**digits % 10**digits).rjust(digits, "0")
    whole, _, decimals = plain.partition(".")
    grouped = f"{int(whole):,}" + ("." + decimals if decimals else "")
    top, bottom = size.numerator, size.denominator
    return {
        "plain": sign + plain,
        "minus": sign.replace("-", "\u2212") + plain,
        "grouped": sign + grouped,
        "latex groups": sign + grouped.replace(",", "{,}"),
        "thin": sign + grouped.replace(",", "\u2009"),
        "dollars": f"{sign}${grouped}",
        "math": f"${sign}{plain}$",
        "fullwidth": sign + plain.translate({48 + n: 0xFF10 + n for n in range(10)}),
        "fraction": f"{sign}{top}/{bottom}",
        "latex": f"{sign}\\frac{{{top}}}{{{bottom}}}",
        "power": f"{sign}{top} \\times 10^{{0}}" if bottom == 1 else sign + plain,
        "units": f"{sign}{plain} \\text{{ cm}}",
        "percent": f"{sign}{plain}\\%",
        "boxed": f"so $x = \\boxed{{{sign}{plain}}}$.",
        "hashed": f"1+1=2\n#### {sign}{grouped}",
        "announced": f"The answer is {sign}{grouped}. It took 3 steps.",
    }


@fuzzed
@given(st.sampled_from(["exact", "numeric", "choice", r"regex:#+\s*(\S+)"]), TEXTS, TEXTS)
def test_any_text_gets_a_verdict(rule, text, answer):
    found = grade(rule, text, answer)
    assert type(found.correct) is bool
    assert "\n" not in found.why
    if found.correct and rule in {"numeric", "choice"}:
        assert can_grade(rule, answer)


@fuzzed
@given(WRITTEN, WRITTEN)
def test_any_expression_gets_a_verdict(text, answer):
    assert type(grade("math", text, answer).correct) is bool
    assert type(can_grade("math", answer)) is bool


@fuzzed
@given(st.sampled_from(["exact", "numeric", "choice"]), TEXTS)
def test_a_gold_answer_that_can_be_graded_is_right(rule, answer):
    if can_grade(rule, answer):
        assert grade(rule, answer, answer).correct


@fuzzed
@given(WRITTEN)
def test_a_gold_expression_that_can_be_graded_is_right(answer):
    if can_grade("math", answer):
        assert grade("math", answer, answer).correct


@fuzzed
@given(NUMBERS, st.data())
def test_the_same_number_is_equal_in_any_spelling(value, data):
    ways = spellings(value)
    one = data.draw(st.sampled_from(sorted(ways)))
    other = data.draw(st.sampled_from(sorted(ways)))
    for text, gold in ((ways[one], ways[other]), (ways[other], ways[one])):
        assert grade("numeric", text, gold).correct, (text, gold)
    for another in (spellings(value + 1)[other], spellings(-value)[other] if value else "1"):
        assert not grade("numeric", ways[one], another).correct, (ways[one], another)


@fuzzed
@given(st.sampled_from("ABCDEFGHIJ"), st.sampled_from("ABCDEFGHIJ"), st.data())
def test_the_same_letter_is_equal_in_any_spelling(letter, other, data):
    way = data.draw(
        st.sampled_from(
            ["{}", "({})", "**{}**", "{}.", r"\boxed{{{}}}", r"so \boxed{{\text{{{}}}}}", "#### {}",
             "The answer is {}.", "I think A dog is no choice. Answer: ({})",
             "{}) because B is not"]
        )
    )  # fmt: skip
    assert grade("choice", way.format(letter), other).correct is (letter == other)
