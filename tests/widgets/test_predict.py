import pytest
import traitlets

from recover_nb.widgets import Predict


def test_the_answer_comes_after_the_guess_and_the_guess_stays():
    calls = []
    ask = Predict("Which?", ["a", "<b>"], lambda: calls.append(1) or "It is <i>a</i>.")
    assert ask.reveal() == "" and not calls and "Choose first" in ask._said.value
    ask._choices.value = "<b>"
    assert ask.guess == "<b>" and not ask._button.disabled
    assert ask.reveal() == "It is <i>a</i>."
    assert "&lt;b&gt;" in ask._said.value and "&lt;i&gt;" in ask._said.value
    ask.guess = "a"
    assert ask.guess == "<b>" and ask.revealed


@pytest.mark.parametrize("right", ["<b>", lambda: "<b>"], ids=["text", "call"])
def test_the_right_choice_is_named(right):
    for guess, said in (
        ("<b>", "You said <b>&lt;b&gt;</b>, and that is right. So."),
        ("a", "You said <b>a</b>; right is <b>&lt;b&gt;</b>. So."),
    ):
        ask = Predict("Which?", ["a", "<b>"], "So.", right=right)
        ask.guess = guess
        assert ask.reveal() == "So."
        assert ask._said.value == said


def test_what_is_right_is_one_of_the_choices():
    ask = Predict("Which?", ["a", "b"], "So.", right="c")
    ask.guess = "a"
    with pytest.raises(traitlets.TraitError, match="'c' is not a choice; allowed: a, b"):
        ask.reveal()


def test_a_guess_is_one_of_the_choices():
    with pytest.raises(traitlets.TraitError, match="'c' is not a choice; allowed: a, b"):
        Predict("Which?", ["a", "b"], "a").guess = "c"
