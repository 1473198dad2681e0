"""`RolloutStepper`, its `RolloutGrid` and `TraceSurgeon` in JupyterLab, recorded and live."""

import time

import pytest
from lab_page import ACT
from playwright.sync_api import expect
from widget_page import page_of, picture, token, view

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SOURCES = (
    (
        "import sys\nimport recover_nb as rnb\nds = rnb.load_study()\nselection ="
        " rnb.widgets.Selection(problem=977, rollout=0)"
    ),
    "stepper = rnb.widgets.RolloutStepper(ds, selection=selection)\nstepper",
    "surgeon = rnb.widgets.TraceSurgeon(ds, selection=selection, twins=12)\nsurgeon",
)


@pytest.fixture(scope="module")
def notebook(browser, server, tmp_path_factory):
    with page_of(browser, server, tmp_path_factory.mktemp("live"), *SOURCES) as opened:
        yield opened
        assert opened.read("[stepper.message, surgeon.message]") == ["", ""]


@pytest.fixture
def stepper(notebook):
    """The recorded rollout that the study opens on, whole."""
    stepper, until = view(notebook, "RolloutStepper"), time.monotonic() + ACT / 1000
    # The page may still be sending a key of the test before, which then arrives after this.
    while True:
        notebook.read("selection.set_trait('rollout', 0)")
        notebook.read("setattr(stepper, 'value', {'source': 'recorded', 'shown': -1})")
        try:
            expect(stepper).to_contain_text("rollout 0:", timeout=ACT / 6)
        except AssertionError:
            if time.monotonic() > until:
                raise
        else:
            return stepper


def radio(place, rollout):
    return place.get_by_role("radio").nth(rollout)


def test_a_rollout_is_chosen_by_mouse(notebook, stepper):
    correct = notebook.read(
        "int(stepper.rollout_frame.query(\"outcome == 'correct'\")['rollout'].iloc[0])"
    )
    stepper.locator(".recover-nb-rollouts label").nth(correct).click(timeout=ACT)
    notebook.wait_for("selection.rollout", correct)
    expect(stepper).to_contain_text(f"rollout {correct}: \u2713 correct", timeout=ACT)
    expect(radio(stepper, correct)).to_be_checked()
    assert stepper.locator(".token").all_inner_texts() == shown(notebook)
    picture(notebook, "RolloutStepper")


def test_a_rollout_is_chosen_by_keyboard(notebook, stepper):
    radio(stepper, 0).focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.wait_for("selection.rollout", 1)
    notebook.page.keyboard.press("ArrowRight")
    notebook.wait_for("selection.rollout", 2)
    expect(stepper).to_contain_text("rollout 2:", timeout=ACT)
    expect(radio(stepper, 2)).to_be_checked()


def shown(notebook):
    """Return the tokens that Python shows, with what cannot be seen made visible."""
    return notebook.read(
        "[each.replace(' ', '\u00b7').replace('\\n', '\u21b5') for each in stepper.text.tokens]"
    )


def test_stepping_by_mouse_and_by_keyboard(notebook, stepper):
    stepper.get_by_role("button", name="reset").click(timeout=ACT)
    expect(stepper.locator(".token")).to_have_count(0, timeout=ACT)
    assert notebook.read("stepper.shown") == 0
    stepper.get_by_role("button", name="step").click(timeout=ACT)
    expect(stepper.locator(".token")).to_have_count(1, timeout=ACT)
    # Enter on a button is Lab's shortcut for editing a cell, b on a list adds one: neither gets
    # that far.
    stepper.get_by_role("button", name="step").focus()
    notebook.page.keyboard.press("Enter")
    expect(stepper.locator(".token")).to_have_count(2, timeout=ACT)
    notebook.page.keyboard.press("b")
    assert notebook.read("len(stepper.text.tokens)") == 2
    assert len(notebook.prompts()) == len(SOURCES)
    assert notebook.page.locator(".jp-Notebook.jp-mod-editMode").count() == 0
    assert stepper.locator(".token").all_inner_texts() == shown(notebook)


def test_live_steps_repeat_the_recorded_rollout(notebook, stepper):
    recorded = notebook.read("stepper.text.tokens")
    stepper.get_by_label("source").focus()
    notebook.page.keyboard.press("ArrowDown")
    notebook.wait_for("stepper.source", "live")
    expect(stepper.locator(".token")).to_have_count(0, timeout=ACT)
    assert not notebook.read("'torch' in sys.modules")
    stepper.get_by_role("button", name="step").click(timeout=ACT)
    expect(stepper.locator(".token")).to_have_count(1, timeout=ACT)
    assert notebook.read("'torch' in sys.modules")
    stepper.get_by_role("button", name="run").click(timeout=ACT)
    expect(stepper.locator(".token")).to_have_count(len(recorded), timeout=ACT)
    assert notebook.read("stepper.text.tokens") == recorded
    stepper.get_by_role("button", name="fill").click(timeout=ACT)
    expect(stepper.get_by_role("radio")).to_have_count(20, timeout=ACT)
    # The grid repeats the study as well.
    live = notebook.read("stepper.rollout_frame['outcome'].astype(str).tolist()")
    notebook.read("setattr(stepper, 'source', 'recorded')")
    assert live == notebook.read("stepper.rollout_frame['outcome'].astype(str).tolist()[:20]")


def test_a_branch_by_mouse_and_by_keyboard(notebook, stepper):
    surgeon, keys = view(notebook, "TraceSurgeon"), notebook.page.keyboard
    token(surgeon, 0).click(timeout=ACT)
    notebook.wait_for("surgeon.position", 0)
    surgeon.get_by_role("button", name="run both").click(timeout=ACT)
    notebook.wait_for("len(surgeon.history)", 2)
    said_of_branch(notebook, surgeon, 0, ["retry", "sparse_steer"])
    surgeon.get_by_label("retry and").select_option("dense_sample")
    token(surgeon, 0).focus()
    keys.press("ArrowRight")
    keys.press("Enter")
    notebook.wait_for("[surgeon.position, surgeon.operator]", [1, "dense_sample"])
    surgeon.get_by_role("button", name="run both").focus()
    keys.press("Enter")
    notebook.wait_for("len(surgeon.history)", 4)
    said_of_branch(notebook, surgeon, 1, ["retry", "dense_sample"])
    # Every view that looks at problems of one family and method shares its two models.
    shared = "__import__('recover_nb.widgets.models').widgets.models.shipped_pair"
    names = (
        "str(ds['family'].values[selection.problem]), str(ds['method'].values[selection.problem])"
    )
    assert notebook.read(f"{shared}({names}) is surgeon._models._held[1]")
    picture(notebook, "TraceSurgeon")


def said_of_branch(notebook, surgeon, position, operators):
    """Hold what the page says of a branching against the twins it was made of."""
    said = surgeon.get_by_role("status").filter(has_text=f"From token {position} on")
    for name in operators:
        outcomes = notebook.read(
            f"next(each for each in (surgeon.control, surgeon.surgery) if each.intervention =="
            f" {name!r}).correct.astype(int).tolist()"
        )
        assert len(outcomes) == 12
        expect(said).to_contain_text(f"{name}: {sum(outcomes)} of 12 right", timeout=ACT)
        rates = notebook.read("surgeon.history[['operator', 'rate']].values.tolist()")
        assert rates[-2:][operators.index(name)] == [
            name,
            pytest.approx(sum(outcomes) / len(outcomes)),
        ]
    # The newest branching is on top.
    surgeon.locator(".recover-nb-past summary").click(timeout=ACT)
    newest = surgeon.locator(".recover-nb-history tr").nth(1)
    expect(newest).to_contain_text(operators[-1], timeout=ACT)


def test_what_cannot_be_done_is_said(notebook):
    surgeon = view(notebook, "TraceSurgeon")
    notebook.read("setattr(surgeon, 'position', -1)")
    surgeon.get_by_role("button", name="run both").click(timeout=ACT)
    alert = surgeon.get_by_role("alert")
    expect(alert).to_contain_text("choose the token to branch at", timeout=ACT)
    surgeon.get_by_role("button", name="advanced").click(timeout=ACT)
    field = surgeon.get_by_label("rollout", exact=True)
    right = notebook.read(
        "int(stepper.rollout_frame.query(\"outcome == 'correct'\")['rollout'].iloc[0])"
    )
    field.fill(str(right))
    field.press("Enter")
    expect(alert).to_contain_text(f"none rollout {right} of problem", timeout=ACT)
    expect(alert).to_contain_text("is correct, so there is nothing to rescue", timeout=ACT)
    field.fill("0")
    field.press("Enter")
    expect(alert).to_have_count(0, timeout=ACT)
