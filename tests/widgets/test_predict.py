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


def test_a_guess_is_one_of_the_choices():
    with pytest.raises(traitlets.TraitError, match="'c' is not a choice; allowed: a, b"):
        Predict("Which?", ["a", "b"], "a").guess = "c"
