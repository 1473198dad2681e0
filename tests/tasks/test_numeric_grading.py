"""The rule "numeric": what people and models write, with the verdict worked out by hand."""

import pytest

from recover_nb.tasks import can_grade, grade, make_checker

numeric = make_checker("numeric")

PLACES = [
    # (text, the number it gives or None, where)
    ("72", "72", "whole text"),
    ("72 apples", "72", "whole text"),
    ("#### 72", "72", "####"),
    ("####72", "72", "####"),
    ("#### $72", "72", "####"),
    ("#### 72 apples", "72", "####"),
    ("#### 72.", "72", "####"),
    ("3*24=<<3*24=72>>72\n#### 72", "72", "####"),
    ("#### 72\n\nI am sure, by 2 checks.", "72", "####"),
    ("#### Step 1: add\n3 + 4 = 7\n#### Step 2: answer\nSo it is 9", "9", "last number"),
    ("#### 1. Add them\nSo there are 12", "12", "last number"),
    ("So 5.\n#### no solution", None, "####"),
    (r"so \boxed{72}", "72", "boxed"),
    (r"so \boxed{72} and 3 more words", "72", "boxed"),
    (r"\boxed{3}, no, \boxed{72}", "72", "boxed"),
    (r"Put it in \boxed{}. It is \boxed{72}. As asked, in \boxed{ }.", "72", "boxed"),
    (r"\boxed{{72}}", "72", "boxed"),
    (r"\boxed{\boxed{72}}", "72", "boxed"),
    (r"\boxed 72", "72", "boxed"),
    (r"$\boxed 72$ of 3", "72", "boxed"),
    (r"\fbox{72} of 3", "72", "boxed"),
    (r"\boxed{\text{72 apples}}", "72", "boxed"),
    (r"\boxed{\textbf{72}}", "72", "boxed"),
    (r"\boxed{x = 72}", "72", "boxed"),
    (r"\boxed{3 + 4 = 7}", "7", "boxed"),
    (r"\boxed{\$72.50}", "145/2", "boxed"),
    (r"\boxed{72", "72", "boxed"),
    (r"\boxed{5, 6}", None, "boxed"),
    (r"\boxed{5 \text{ or } 6}", None, "boxed"),
    (r"\boxed{3+4}", None, "boxed"),
    (r"\boxed{2x}", None, "boxed"),
    (r"\boxed{2x = 10}", None, "boxed"),
    (r"\boxed{3\pi}", None, "boxed"),
    (r"\boxed{\sqrt{2}}", None, "boxed"),
    (r"\boxed{\frac{\sqrt{2}}{2}}", None, "boxed"),
    (r"\boxed{5!}", None, "boxed"),
    (r"\boxed{10-12}", None, "boxed"),
    (r"\boxed{3:30}", None, "boxed"),
    (r"\boxed{12_7}", None, "boxed"),
    (r"\boxed{5i}", None, "boxed"),
    (r"\boxed{\pm 3}", None, "boxed"),
    (r"\boxed{yes}, with 3 reasons", None, "boxed"),
    ("The answer is 72.", "72", "announced"),
    ("The answer is 72 (see step 3).", "72", "announced"),
    ("The answer is: 72, as 3 * 24 shows.", "72", "announced"),
    ("The final answer is $72$. I hope it is correct. 5 stars!", "72", "announced"),
    ("Answer: 72\nExplanation: 3 boxes of 24", "72", "announced"),
    ("**Answer:** 72\nThere were 3 boxes.", "72", "announced"),
    ("**Answer**: 72\nThere were 3 boxes.", "72", "announced"),
    ("**Final Answer**\n\n$72$\n\nwith 3 steps", "72", "announced"),
    ("ANSWER = 72 by 3 steps", "72", "announced"),
    ("The answer to question 3 is 72, not 70.", "72", "announced"),
    ("The answer is therefore about $72 for 3 days.", "72", "announced"),
    ("The answer is x = 72. I used 3 steps.", "72", "announced"),
    ("The answer is 3 + 4 = 7. I used 2 steps.", "7", "announced"),
    ("The answer is that she has 72 apples. It took 3 steps.", "72", "announced"),
    ("The answer is not 70 but 72. It took 3 steps.", "72", "announced"),
    ("The answer is 70. No: the answer is 72. It took 3 steps.", "72", "announced"),
    ("The answer is 72. Is the answer right? Yes, 3 times.", "72", "announced"),
    ("The answer is 5 or 6.", None, "announced"),
    ("The answer is 10-12.", None, "announced"),
    ("The answer is \u221a2.", None, "announced"),
    (r"The answer is $\sqrt{2}$.", None, "announced"),
    ("答案是72。共3步", "72", "announced"),
    ("Answer: we add 3 and 4.\nThen there are 9 more: 16", "16", "last number"),
    ("So she has **72** apples (in 3 boxes).", "72", "bold"),
    ("**72 apples** in 3 boxes", "72", "bold"),
    ("**Step 1:** 3 boxes. So 9", "9", "last number"),
    ("**2 apples** each, so 3 * 2 = 6", "6", "last number"),
    ("**1.** Add.\n**2.** So 9", "9", "last number"),
    ("3 boxes of 24 make 72 apples", "72", "last number"),
    ("So she has 72 apples (see step 3).", "72", "last number"),
    ("none", None, ""),
    ("", None, ""),
    ("\n \t", None, ""),
]


@pytest.mark.parametrize(("text", "given", "place"), PLACES)
def test_the_answer_is_read_where_it_is_announced(text, given, place):
    found = grade("numeric", text, "72")
    assert (found.given, found.place) == (given, place)
    assert found.correct is (given == "72")


RUN_ON = [
    ("#### 72\nQuestion: Tom has 5 apples", "72"),
    ("#### 72\n\nQ: Tom has 5.\nA: The answer is 5. #### 5", "72"),
    ("The answer is 72.\n\nQ: Tom has 5.\nA: The answer is 5.", "72"),
    ("The answer is 72. Q: Tom has 5. A: The answer is 5.", "72"),
    ("She has 72 apples.\n\nQuestion: Tom has 5 apples. #### 5", "72"),
    ("#### 72\nProblem 2: Tom has 5\n#### 5", "72"),
    ("#### 72\n**Question:** Tom has 5\n#### 5", "72"),
    ("#### 72\n### Instruction:\nAdd 5\n#### 5", "72"),
    ("#### 72\nHuman: and 5?\nAssistant: #### 5", "72"),
    ("#### 72\nUser: and 5?\n#### 5", "72"),
    ("#### 72<|im_end|>\n<|im_start|>user\nand 5? #### 5", "72"),
    ("#### 72<|endoftext|>#### 5", "72"),
    ("#### 72</s>#### 5", "72"),
    ("#### 72<\uff5cend\u2581of\u2581sentence\uff5c>#### 5", "72"),
    ("Question: Tom has 5 apples.\nAnswer: 72", "72"),
    ("**Problem:** Tom has 5 apples.\n\n**Solution:** The answer is 72.", "72"),
    ("<think>Is the answer 5? The answer is 5.</think>So 72 it is.", "72"),
    ("<think>The answer is 72.</think>", "72"),
    (
        "<|channel|>analysis<|message|>The answer is 5?<|end|><|start|>assistant"
        "<|channel|>final<|message|>It is 72.<|return|>",
        "72",
    ),
    ("There is a FAQ: 3 of 4. So 72", "72"),
]


@pytest.mark.parametrize(("text", "given"), RUN_ON)
def test_a_new_question_ends_the_answer(text, given):
    assert grade("numeric", text, given).given == given


SPELLINGS = [
    # (as written, the number)
    ("-5", "-5"),
    ("\u22125", "-5"),
    ("\u20135", "-5"),
    ("\uff0d5", "-5"),
    ("\ufe635", "-5"),
    ("- 5", "-5"),
    ("minus 5", "-5"),
    ("negative 5", "-5"),
    ("+5", "5"),
    ("-$5", "-5"),
    ("$-5", "-5"),
    ("\u2212$5.00", "-5"),
    ("$ 5", "5"),
    ("5$", "5"),
    ("\u20ac5", "5"),
    ("5 \u20ac", "5"),
    ("Rs. 500", "500"),
    ("US$5", "5"),
    ("USD 5", "5"),
    ("5 USD", "5"),
    (r"\$5", "5"),
    (r"$\$5$", "5"),
    ("\uff17\uff12", "72"),
    ("\u0667\u0662", "72"),
    ("\u096d\u0968", "72"),
    ("\U0001d7d5\U0001d7d0", "72"),
    ("\uff11\uff0c\uff10\uff10\uff10", "1000"),
    ("1,000", "1000"),
    ("1,000,000", "1000000"),
    ("1,00,000", "100000"),
    ("1{,}000", "1000"),
    (r"1\,000", "1000"),
    (r"1,\!000", "1000"),
    (r"1\ 000", "1000"),
    ("1\u2009000", "1000"),
    ("1\u202f000\u202f000", "1000000"),
    ("1\u00a0000", "1000"),
    ("10 000", "10000"),
    ("1'000", "1000"),
    ("1_000", "1000"),
    ("1,000.5", "1000.5"),
    ("72.0", "72"),
    ("72.", "72"),
    (".5", "0.5"),
    ("-.5", "-0.5"),
    ("2e3", "2000"),
    ("2E+3", "2000"),
    ("2.5e-1", "0.25"),
    (r"2\times10^3", "2000"),
    (r"2 \times 10^{3}", "2000"),
    (r"2 \cdot 10^{-1}", "0.2"),
    ("2*10^3", "2000"),
    ("2 x 10^3", "2000"),
    ("2\u00d710\u00b3", "2000"),
    ("2\u00d710\u207b\u00b9", "0.2"),
    ("2*10**3", "2000"),
    ("2^10", "1024"),
    (r"2^{10}", "1024"),
    ("50%", "50"),
    (r"50\%", "50"),
    ("50 percent", "50"),
    ("50\uff05", "50"),
    ("1/2", "0.5"),
    ("1 / 2", "0.5"),
    ("1\u20442", "0.5"),
    ("\u00bd", "0.5"),
    ("1\u00bd", "1.5"),
    ("1 1/2", "1.5"),
    ("-1 1/2", "-1.5"),
    (r"\frac{1}{2}", "0.5"),
    (r"\dfrac{1}{2}", "0.5"),
    (r"\tfrac12", "0.5"),
    (r"\frac12", "0.5"),
    (r"\frac1{2}", "0.5"),
    (r"-\frac{1}{2}", "-0.5"),
    (r"\frac{-1}{2}", "-0.5"),
    (r"\frac{1}{-2}", "-0.5"),
    (r"\frac{1,000}{3}", "1000/3"),
    (r"1\frac{1}{2}", "1.5"),
    (r"1\dfrac12", "1.5"),
    ("72 kg", "72"),
    ("72kg", "72"),
    ("72 m^2", "72"),
    ("72 m\u00b2", "72"),
    ("72 km/h", "72"),
    (r"72^\circ", "72"),
    (r"72^{\circ}", "72"),
    ("72\u00b0", "72"),
    ("72 \u00b0C", "72"),
    (r"72\text{ cm}", "72"),
    (r"72\ \mathrm{cm}^3", "72"),
    (r"72~\text{cm}", "72"),
    ("72 5-pointed"[:2], "72"),
    ("72 people per day", "72"),
    ("72\u4e2a", "72"),
    ("5 million", "5000000"),
    ("$2.5 thousand", "2500"),
    (r"\(72\)", "72"),
    (r"\[ 72 \]", "72"),
    ("$$72$$", "72"),
    ("`72`", "72"),
    ('"72"', "72"),
    ("(72)", "72"),
    ("about 72", "72"),
    ("x = 72", "72"),
    ("\u224872", "72"),
    (r"x \approx 72", "72"),
    ("72\u200b", "72"),
    ("\ufeff72", "72"),
    ("007", "7"),
]


@pytest.mark.parametrize(("written", "number"), SPELLINGS)
def test_numbers_are_read_in_every_spelling(written, number):
    assert can_grade("numeric", written)
    for text in (written, f"\\boxed{{{written}}}", f"#### {written}", f"The answer is {written}"):
        assert numeric(text, number), text
        assert numeric(number, text), text
        assert not numeric(text, "73")


RUNNING = [
    # Running text: the last number
    ("pages 10-12", "12"),
    ("pages 10\u201312", "12"),
    ("pages 10 - 12", "12"),
    ("COVID-19", "19"),
    ("so it falls to -5", "-5"),
    ("so x = - 5", "-5"),
    ("so x=-5", "-5"),
    ("so (-5)", "-5"),
    ("so 10 - 5", "5"),
    ("we get:\n- 5 apples", "5"),
    ("1, 2, 3", "3"),
    ("we have 1,23", None),
    ("we have 1.000,5", None),
    ("72 apples on 2021-05-03", "72"),
    ("72 apples on 5/3/2021", "72"),
    ("72 apples at 3:30", "72"),
    ("72 apples, version 3.2.1", "72"),
    ("72 in cell B12", "72"),
    ("72 m^2 of x_1", "72"),
    (r"72 in \mathrm{m}^{-2} too", "72"),
    (r"it is \sqrt{72}", None),
    (r"it is 3\sqrt{2}", None),
    (r"it is \frac{3\pi}{4}", None),
    (r"it is 3\pi", None),
    ("it is \u221a72", None),
    ("so 3 and 4, then 3x", None),
    (r"\begin{align*} x &= 72 \end{align*}", "72"),
    (r"so that $3 \cdot 24 = 72$ \quad", "72"),
    (r"so $x=\frac{1}{2}$", "1/2"),
    ("she paid $72!", "72"),
    ("so she has 1,200 pears", "1200"),
    ("5/0", None),
    ("a total of .5", "1/2"),
    ("so 2e3 in all", "2000"),
    ("so 72% of them", "72"),
]


@pytest.mark.parametrize(("text", "given"), RUNNING)
def test_the_last_number_of_running_text(text, given):
    assert grade("numeric", text, "72").given == given


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("0.333", "1/3"),
        ("50%", "0.5"),
        ("1,23", "23"),
        ("1,23", "1.23"),
        ("1.000,5", "1000.5"),
        ("0,5", "0.5"),
        (r"\boxed{\sqrt{2}}", "2"),
        (r"\boxed{2^{10}}", "10"),
        ("\u22125", "5"),
        (r"\boxed{\frac{5}{3}}", r"\frac{2}{3}"),
        ("3:30", "30"),
        ("5 million", "5"),
        ("2.10", "2.01"),
        ("10000000000000001", "10000000000000000"),
        ("0.1000000000000000000001", "0.1"),
    ],
)
def test_what_is_not_equal(text, answer):
    assert not numeric(text, answer)


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("2+1=3\n#### 3", "3"),
        ("He has 1,000*2=<<1000*2=2000>>2000.\n#### 2,000", "2000"),
        ("1,000", "1000"),
        ("$5", "5"),
        ("5%", "5"),
        (r"\frac{2}{3}", "2/3"),
        (r"We see that $\boxed{\frac{2}{3}}$.", "2/3"),
        ("Answer: 12 apples", "12"),
        ("72.0", "72"),
        (72, "72"),
        (0.5, "1/2"),
    ],
)
def test_gold_answers_as_shipped(answer, number):
    assert can_grade("numeric", answer)
    assert grade("numeric", f"The answer is {number}.", answer).wanted == number
    assert numeric(f"so {number}", answer)


@pytest.mark.parametrize(
    "answer",
    ["", " ", "yes", "A", "3 of 4 apples and 5", "10-12", "5 or 6", r"\sqrt{2}", "3:30",
     "2021-05-03", "x^2", "2x", "(3, 4)", "[0, 1]", "1,23", "5/0", r"\boxed{x}",
     "nan", "inf", "9" * 2000],
)  # fmt: skip
def test_gold_answers_that_are_no_number(answer):
    assert not can_grade("numeric", answer)
    assert not numeric(answer, answer)


@pytest.mark.parametrize(
    "text",
    ["9" * 1_000_000, "1," * 500_000, "{" * 1_000_000, r"\boxed{" * 150_000, "1 " * 500_000,
     "x1" * 500_000, "-" * 1_000_000, "answer is " * 100_000, "\n" * 1_000_000, "Q: 1\n" * 200_000,
     "Q:\n" * 300_000, "." * 1_000_000, "**1" * 300_000, "####" * 250_000, r"\frac{" * 160_000,
     "1/" * 500_000, "1e" * 500_000, ". " + " " * 1_000_000, "$" * 1_000_000, "1:" * 500_000,
     r"\text{" * 160_000, "answer to " * 100_000, "</think>" * 120_000, "a" + "1" * 999_999,
     "\u00bd" * 500_000, "(see " * 200_000, "2^" * 500_000, "#### 1\n" * 140_000],
    ids=lambda text: repr(text[:10]),
)  # fmt: skip
def test_a_long_text_of_anything_is_read(text):
    assert grade("numeric", text, "72").correct is False
    assert grade("choice", text, "B").correct is False
    assert can_grade("numeric", text) in (True, False)


MODELS = [
    ("The answer is \\$1,234.50 per month", "2469/2"),
    ("**Answer: $72**", "72"),
    ("The answer is 72 and not 73.", "72"),
    ("So the answer is (72).", "72"),
    ("Answer: $\\frac{1}{2}$ by 3", "1/2"),
    ("x = \\frac{-b}{2a} = 5", "5"),
    ("\\boxed{\\frac{5}{3}\\text{ hours}}", "5/3"),
    ("The answer is approximately 3.14159...", "314159/100000"),
    ("#### -5", "-5"),
    ("#### \u22125", "-5"),
    ("#### 5 %", "5"),
    ("Final answer: 1 1/2 cups of 3", "3/2"),
    ("The answer is:\n\\[\n72\n\\]\nsince 3 of 4", "72"),
    ("The answer is:\n$$\n72\n$$\nsince 3 of 4", "72"),
    ("\\boxed{ 5 \\, \\text{m/s} }", "5"),
    ("\\boxed{5\\text{ m}^2}", "5"),
    ("\\boxed{5^{\\circ}\\text{C}}", "5"),
    ("The answer is therefore 72 (3 of 4).", "72"),
    ("The answer is 3/4 of the 5 pies", "3/4"),
    ("\\boxed{-\\frac{3}{4}}", "-3/4"),
    ("Answer:72", "72"),
    ("the answer is $x = 5$, for 3", "5"),
    ("The answer is 1, because 0 < 2.", "1"),
    ("Total: $1,200.", "1200"),
    ("It is 5.", "5"),
    ("answer: -$1,000.50.", "-2001/2"),
    ("There were 1,000,000 people", "1000000"),
    ("The answer is 5:30 pm", None),
    ("so 100,000km", "100000"),
    ("The answer is $\\$18$.", "18"),
    ("The answer is \\(18\\).", "18"),
    ("### Answer\n18\nby 3 steps", "18"),
    ("The answer is **18**.\n\nWait 3", "18"),
    ("\\boxed{18}\\n<|eot_id|>", "18"),
    ("Therefore, Janet makes **$18 every day**.", "18"),
    ("The answer is 5 because 10 - 5 = 5 and 3", "5"),
    ("The answer is 10 - 7 = 3 apples", "3"),
    ("Therefore $n = \\boxed{018}$", "18"),
    ("the final answer is\n\n18", "18"),
    ('The answer is "18".', "18"),
    ("Answer: 18 (A)", "18"),
    ("- The answer is: -18", "-18"),
    ("The answer is between 3 and 5", "5"),
]


@pytest.mark.parametrize(("text", "given"), MODELS)
def test_how_models_end(text, given):
    assert grade("numeric", text, "1").given == given
