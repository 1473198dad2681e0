"""The rule "choice": letters as models give them, with the verdict worked out by hand."""

import pytest

from recover_nb.tasks import can_grade, grade, make_checker

TEXTS = [
    # (text, the letter or None, where)
    ("B", "B", "whole text"),
    ("(B)", "B", "whole text"),
    ("B.", "B", "whole text"),
    ("**B**", "B", "whole text"),
    ("b", "B", "whole text"),
    ("(b)", "B", "whole text"),
    (" B\n", "B", "whole text"),
    ("\uff22", "B", "whole text"),
    ("\uff08B\uff09", "B", "whole text"),
    ("Option B", "B", "whole text"),
    (r"$\text{B}$", "B", "whole text"),
    ("I", "I", "whole text"),
    ("A", "A", "whole text"),
    ("J", "J", "whole text"),
    (r"So \boxed{B}", "B", "boxed"),
    (r"So \boxed{\text{B}}, not A", "B", "boxed"),
    (r"So \boxed{\textbf{(B)}}, not A", "B", "boxed"),
    (r"So \boxed{\textbf{(B)}\ 5}, not A", "B", "boxed"),
    (r"So \boxed{\mathrm{b}}", "B", "boxed"),
    (r"So \boxed{B. Paris}", "B", "boxed"),
    (r"So \boxed{5} and B", None, "boxed"),
    (r"So \boxed{A, C}", None, "boxed"),
    (r"\boxed{A}, no: \boxed{B}", "B", "boxed"),
    ("Paris.\n#### B", "B", "####"),
    ("Paris.\n#### (b)", "B", "####"),
    ("The answer is B.", "B", "announced"),
    ("The answer is (B).", "B", "announced"),
    ("The answer is (B) because A is wrong.", "B", "announced"),
    ("The answer is **B**, not A.", "B", "announced"),
    ("The answer is **(B)**, not A.", "B", "announced"),
    ("The answer is option B, not A.", "B", "announced"),
    ("The answer is: B. Paris, and C is London.", "B", "announced"),
    ("The best answer is B since A fails.", "B", "announced"),
    ("answer: b", "B", "whole text"),
    ("The answer is b.", "B", "announced"),
    ("The answer is (b) by rule A.", "B", "announced"),
    ("Answer: B\nA is wrong.", "B", "announced"),
    ("**Answer:** B) Paris\nA is wrong.", "B", "announced"),
    ("**Answer: B**\nA is wrong.", "B", "announced"),
    ("ANSWER: B", "B", "whole text"),
    ("So, ANSWER: B", "B", "announced"),
    ("So, answer: b", "B", "announced"),
    ("Final answer\nB", "B", "announced"),
    ("The correct option is B, as A fails.", "B", "announced"),
    ("The correct choice is (B): A fails.", "B", "announced"),
    ("The answer to question C is B.", "B", "announced"),
    ("The answer is $\\textbf{(B)}$, not A.", "B", "announced"),
    ("The answer is A because B is wrong.", "A", "announced"),
    ("The answer is I, since J is wrong.", "I", "announced"),
    ("The answer is A. No, the answer is B. A was wrong.", "B", "announced"),
    ("The answer is A or B.", None, "announced"),
    ("The answer is A and C.", None, "announced"),
    ("Answer: A, B", None, "announced"),
    ("I choose B over A here", "B", "announced"),
    ("I would go with (B), not A", "B", "announced"),
    ("So option B is correct, and A is not.", "B", "announced"),
    ("B) because A is wrong", "B", "first"),
    ("B. Paris is the capital, and A is not.", "B", "first"),
    ("(B) Paris, not A", "B", "first"),
    ("B: Paris. Not A.", "B", "first"),
    ("Look at all: **B. Paris** it is", "B", "bold"),
    ("It must be **(B)** (A fails)", "B", "bold"),
    ("A) 3\nB) 4\nSo it is B", "B", "last letter"),
    ("A is wrong, so C", "C", "last letter"),
    ("I think C", "C", "last letter"),
    ("A dog has it, so C", "C", "last letter"),
    ("Choice A fails, B holds", "B", "last letter"),
    ("So (C). I am sure of it.", "C", "last letter"),
    ("So C. A dog is no cat.", "C", "last letter"),
    ("So C. I'd say so.", "C", "last letter"),
    ("A dog", None, ""),
    ("I think so", None, ""),
    ("I'm sure", None, ""),
    ("The answer is a dog", None, ""),
    ("The answer is A dog", None, ""),
    ("The answer is I think unknown", None, ""),
    ("Because", None, ""),
    ("B12 and the U.S.A.", None, ""),
    ("abcdefghij", None, ""),
    ("K", None, ""),
    ("", None, ""),
    ("1", None, ""),
]


@pytest.mark.parametrize(("text", "given", "place"), TEXTS)
def test_the_letter_is_read_where_it_is_announced(text, given, place):
    found = grade("choice", text, "B")
    assert (found.given, found.place) == (given, place)
    assert found.correct is (given == "B")


@pytest.mark.parametrize(
    "text",
    [
        "B\n\nQuestion: Which is red?\nAnswer: C",
        "The answer is (B).\n\nQ: Which is red?\nA: The answer is (C).",
        "Answer: B<|im_end|>\n<|im_start|>user\nAnswer: C",
        "B</s>C",
        "<think>The answer is C?</think>\nB",
        "Question: Which?\nAnswer: B",
    ],
)
def test_a_new_question_ends_the_answer(text):
    assert grade("choice", text, "B").given == "B"


@pytest.mark.parametrize(
    "answer",
    ["B", "(B)", "b", " b ", "B.", "B)", "B. Paris", "B) Paris", "(B) Paris", "**B**", "[B]",
     r"\text{B}", r"\boxed{B}", "Answer: B", "The answer is B.", "#### B", "\uff22", "Option B"],
)  # fmt: skip
def test_gold_answers_as_shipped(answer):
    assert can_grade("choice", answer)
    check = make_checker("choice")
    assert check("The answer is (B).", answer)
    assert check(answer, answer)
    assert not check("The answer is (C).", answer)


@pytest.mark.parametrize(
    "answer", ["", " ", "1", "0", "K", "Paris", "A dog", "A or B", "I think so"]
)
def test_gold_answers_that_are_no_letter(answer):
    assert not can_grade("choice", answer)
    assert not make_checker("choice")(answer, answer)


MODELS = [
    ("The answer is therefore C, not A.", "C"),
    ("C is the correct answer, not A", "C"),
    ("The correct answer is option (C), not A", "C"),
    ("Answer: **C. 5** not A", "C"),
    ("answer is\n\nC\nA fails", "C"),
    ("The answer is most likely (C), not (A)", "C"),
    ("(C) is right, not (A)", "C"),
    ("**C** is correct, not A", "C"),
    ("Thus, a is the right one, so C", "C"),
    ("The answer is: C.\n\nA: no\nB: no", "C"),
    ("My answer: C; A was close", "C"),
    ("So the answer must be C, not A", "C"),
    ("$\\boxed{\\textbf{(C)}~12}$", "C"),
    ("\\boxed{\\mathrm{(C)}}", "C"),
    ("Answer: C) 5\nB) 4", "C"),
    ("Answer: A", "A"),
    ("Answer: A.", "A"),
    ("The answer is A", "A"),
    ("The answer is I.", "I"),
    ("So, A.", "A"),
    ("The correct answer is (a).", "A"),
    ("Correct answer: d", "D"),
    ("Answer: C, D", None),
    ("C", "C"),
    ("The answer is C: because A is not", "C"),
]


@pytest.mark.parametrize(("text", "given"), MODELS)
def test_how_models_end(text, given):
    assert grade("choice", text, "B").given == given
