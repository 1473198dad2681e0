"""A prediction marks the guess, says why, counts hands, and shows nothing of its answer before."""

import altair as alt
import ipywidgets
import pandas as pd
import pytest
import traitlets

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.widgets import Predict
from recover_nb.widgets.parts.chart_panel import ChartPanel
from recover_nb.widgets.parts.classroom import ANSWERS, CLASSROOM
from recover_nb.widgets.parts.later import as_widget


@pytest.fixture(autouse=True)
def an_empty_classroom():
    CLASSROOM.asks, CLASSROOM.counting = (), False
    yield
    CLASSROOM.asks, CLASSROOM.counting = (), False


def ask_of(answer="So.", *, right="<b>", **options):
    return Predict("Which?", ["a", "<b>"], answer, right=right, because="it is", **options)


def in_the_open(page):
    """Return what a page shows while everything that folds is folded."""
    head, *rest = page.split("<details>")
    return head + "".join(each.partition("</details>")[2] for each in rest)


def test_the_answer_comes_after_the_guess_and_the_guess_stays():
    calls = []
    ask = ask_of(lambda: calls.append(1) or "It is.")
    assert ask.reveal() == "" and not calls and "Choose first" in ask._asked.message
    ask._asked.guess = "<b>"
    assert ask.guess == "<b>"
    assert ask.reveal() == ask.reveal() == "It is." and calls == [1]
    assert ask._asked.said == ["Because it is.", "It is."] and ask.right == "<b>"
    ask.guess = "a"
    ask.hands = [9, 9]
    assert (ask.guess, ask.hands, ask.revealed) == ("<b>", [0, 0], True)


@pytest.mark.parametrize("right", ["<b>", lambda: "<b>"], ids=["text", "call"])
@pytest.mark.parametrize(
    ("guess", "said"),
    [
        ("<b>", '"recover-nb-right">\u2713</span> You said <b>&lt;b&gt;</b>: right.</p>'),
        ("a", '"recover-nb-wrong">\u2717</span> You said <b>a</b>: right is <b>&lt;b&gt;</b>.</p>'),
    ],
)
def test_a_guess_is_marked(right, guess, said):
    ask = ask_of(right=right)
    ask.guess = guess
    assert ask.reveal() == "So."
    assert f"{said}<p>Because it is.</p><p>So.</p>" in ask.still()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda: ask_of(right="c"), "'c' is not a choice; allowed: a, <b>"),
        (lambda: Predict("Q?", ["a", "a"], "A.", right="a", because="b"), "all different"),
        (lambda: Predict("Q?", ["a"], "A.", right="a", because="b"), "two or more"),
        (lambda: Predict("Q?", ["a", "b"], "A.", right="a", because=" "), "'Q\\?' needs because="),
    ],
)
def test_what_is_missing_is_said_at_once(asked, message):
    with pytest.raises(InputError, match=message):
        asked()


def test_a_callable_that_names_no_choice_is_said_on_the_page():
    ask = ask_of(right=lambda: "c")
    ask.guess = "a"
    ask._asked._handle_custom_msg({"reveal": True}, [])
    assert ask._asked.message == "'c' is not a choice; allowed: a, <b>" and not ask.revealed


def test_a_guess_is_one_of_the_choices():
    with pytest.raises(traitlets.TraitError, match="'c' is not a choice; allowed: a, <b>"):
        ask_of().guess = "c"


def test_most_hands_are_the_guess():
    ask = ask_of()
    ask.hands = [3, 4]
    assert ask.guess == "<b>"
    ask.hands = [4, 4]
    assert ask.guess == "a"
    for wrong in ([1], [-1, 2]):
        with pytest.raises(traitlets.TraitError):
            ask.hands = wrong


def test_hands_are_counted_while_presenting_or_where_asked_for():
    before, never = ask_of(), ask_of(hands=False)
    assert not before._asked.counting
    rnb.present()
    assert before._asked.counting and not never._asked.counting and ask_of()._asked.counting
    rnb.present(False)
    assert not before._asked.counting and ask_of(hands=True)._asked.counting


def test_without_a_kernel_the_answer_is_folded_and_what_costs_is_not_worked_out(monkeypatch):
    calls = []

    def cost(what):
        return lambda: calls.append(what) or what

    cheap = ask_of("Nine <i>.")
    assert "a</li>" in in_the_open(cheap.still())
    assert "<summary>The answer</summary>" in cheap.still()
    assert "Right is <b>&lt;b&gt;</b>.</p><p>Because it is.</p><p>Nine &lt;i&gt;." in cheap.still()
    assert "Nine" not in in_the_open(cheap.still())
    assert "Because" not in in_the_open(cheap.still())
    ask = ask_of(cost("slow"), right=cost("<b>"), show=cost("shown"))
    assert "Because it is" in ask.still() and calls == []
    monkeypatch.setenv(ANSWERS, "1")
    for text in ("slow", "Right is <b>&lt;b&gt;", "shown"):
        assert text in ask.still() and text not in in_the_open(ask.still())
    assert sorted(calls) == ["<b>", "shown", "slow"]


def test_what_is_shown_comes_with_the_answer():
    ask = ask_of(show=lambda: pd.DataFrame({"a<b": [1]}))
    ask.guess = "a"
    assert ask._shown.children == ()
    ask.reveal()
    assert "a&lt;b" in ask._shown.children[0].value and "a&lt;b" in ask.still()


def test_a_later_output_waits_for_the_answer():
    calls = []
    ask = ask_of()
    later, text = ask.then(lambda: calls.append(1) or "seven"), ask.then("eight")
    assert not later.opened and calls == [] and later._place.children == ()
    assert "Answer the prediction above first" in later.still() and "seven" not in later.still()
    assert "eight" in text.still() and "eight" not in in_the_open(text.still())
    ask.guess = "a"
    assert not later.opened
    ask.reveal()
    assert later.opened and calls == [1] and "seven" in in_the_open(later.still())
    assert ask.then("nine").opened


def test_who_does_not_want_to_wait_sees_it():
    ask = ask_of()
    one, other = ask.then("seven"), ask.then("eight")
    one._gate.opened = True
    assert "seven" in one._place.children[0].value
    assert not other.opened and not ask.revealed


def test_what_cannot_be_shown_is_a_sentence():
    def fails():
        raise InputError("no <b>; give one")

    later = ask_of().then(fails)
    later.opened = True
    assert later._gate.message == "no <b>; give one" and later._gate.done


def test_anything_is_shown_as_it_is():
    button = ipywidgets.Button()
    assert as_widget(button) is button
    chart = alt.Chart(pd.DataFrame({"x": [1]})).mark_point().encode(x="x:Q")
    assert isinstance(as_widget(chart), ChartPanel) and as_widget(chart).chart is chart
    assert as_widget("<b>").value == "<p>&lt;b&gt;</p>"
    assert as_widget({"<": 1}).value == "<pre>{&#x27;&lt;&#x27;: 1}</pre>"
    result = rnb.evaluate_routing(rnb.make_study(seed=1), n_null=5, n_bootstrap=20, n_splits=2)
    head, panel = as_widget(result).children
    assert "recover-nb-result" in head.value and isinstance(panel, ChartPanel)


def test_a_class_score_follows_and_keeps_the_order():
    score = rnb.class_score()
    assert score.sentence == "No prediction was asked for yet."
    first = Predict("One?", ["a", "b"], "A.", right="a", because="c")
    second = Predict("Two?", ["a", "b", "c", "d"], "A.", right="d", because="c")
    assert score.sentence == "None of 2 predictions is answered yet."
    second.guess = "a"
    second.reveal()
    assert score.sentence == (
        "0 of 1 predictions are right; guessing by chance gives 0.2. 1 not answered yet."
    )
    assert "right is" in score.still() and ">a<" not in score.still().partition("Two?")[0]
    first.hands = [20, 10]
    first.reveal()
    # 1/2 + 1/4; of 30 hands half.
    assert score.sentence == (
        "1 of 2 predictions are right; guessing by chance gives 0.8."
        " Of 30 hands 20 were right; chance gives 15.0."
    )
    assert list(score.score["question"]) == ["One?", "Two?"]
    assert "20 of 30" in score._said.value
    again = Predict("One?", ["a", "b"], "A.", right="a", because="c")
    assert [each is again for each in CLASSROOM.asks] == [True, False]
    assert "1 not answered yet" in score.sentence and "1 not answered yet" in score._said.value


def test_a_score_of_some_looks_at_no_others():
    one = ask_of()
    score = rnb.class_score(one)
    Predict("Other?", ["a", "b"], "A.", right="a", because="c")
    assert len(score.score) == 1
    score.close()
    one.guess = "a"
    one.reveal()
    assert "None of 1" in score._said.value


def test_the_beamer_is_asked_for_and_taken_back():
    page = rnb.present()._repr_mimebundle_()["text/html"]
    assert "previousElementSibling, true)" in page and "http" not in page and "@import" not in page
    assert "previousElementSibling, false)" in rnb.present(False)._repr_mimebundle_()["text/html"]
