"""`TraceInspector`, `TraceSurgeon`, `Predict` in JupyterLab: mouse and keys to Python and back."""

import pytest
from lab_page import ACT
from playwright.sync_api import expect
from widget_page import page_of, picture, token, view

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SOURCES = (
    "import recover_nb as rnb\nds = rnb.load_study()\nselection = rnb.widgets.Selection()",
    "inspector = rnb.widgets.TraceInspector(ds, selection=selection)\ninspector",
    "surgeon = rnb.widgets.TraceSurgeon(ds, selection=selection)\nsurgeon",
    "first = rnb.widgets.Predict('Which is larger?', ['2**10', '10**3'], '2**10 is 1024.')\nfirst",
    "second = rnb.widgets.Predict('And now?', ['3**3', '<b>5**2</b>'], '3**3 is 27.')\nsecond",
)


@pytest.fixture(scope="module")
def notebook(browser, server, tmp_path_factory):
    with page_of(browser, server, tmp_path_factory.mktemp("reading"), *SOURCES) as opened:
        yield opened


@pytest.fixture(autouse=True)
def nothing_pinned(notebook):
    notebook.page.mouse.move(0, 0)
    notebook.read("[each.set_trait('pinned', -1) for each in (inspector.text, surgeon.text)]")
    notebook.read("selection.set_trait('token', -1)")
    expect(notebook.page.locator(".token.current, .token.pinned")).to_have_count(0, timeout=ACT)


def test_pointing_at_a_token_shows_what_both_models_would_have_said(notebook):
    place = view(notebook, "TraceInspector")
    expect(place).to_contain_text("Point at a token", timeout=ACT)
    token(place, 2).hover(timeout=ACT)
    notebook.wait_for("selection.token", 2)
    table = place.get_by_role("table")
    expect(table).to_contain_text("token 2, likeliest tokens", timeout=ACT)
    likeliest = notebook.read(
        "inspector.tables()['alternatives'].query(\"model == 'specialist' and rank =="
        " 1\")['probability'].item()"
    )
    expect(table.get_by_role("row").nth(1).get_by_role("cell").nth(1)).to_have_text(
        f"{likeliest:.3f}"
    )
    picture(notebook, "TraceInspector")


def test_the_colour_is_chosen_by_mouse(notebook):
    place = view(notebook, "TraceInspector")
    before = token(place, 0).evaluate("(cell) => cell.style.background")
    place.get_by_label("colour").select_option("entropy (nat)")
    notebook.wait_for("inspector.signal", "entropy")
    value = notebook.read("float(inspector.trace.signals['entropy'][0])")
    expect(token(place, 0)).to_have_attribute(
        "aria-label", f"{place_and_text(notebook, 0)}. entropy {value:.3f}"
    )
    assert token(place, 0).evaluate("(cell) => cell.style.background") != before
    expect(place.locator("svg")).to_contain_text("entropy (nat)", timeout=ACT)
    place.get_by_label("colour").select_option("demotion pressure (nat)")
    notebook.wait_for("inspector.signal", "demotion_pressure")


def place_and_text(notebook, at):
    junction = ", junction" if notebook.read("inspector.trace.junction") == at else ""
    return f"token {at}: {notebook.read(f'inspector.trace.tokens[{at}]')}{junction}"


def test_the_keyboard_moves_through_the_trace_and_narrows_the_window(notebook):
    place, keys = view(notebook, "TraceInspector"), notebook.page.keyboard
    token(place, 0).focus()
    keys.press("ArrowRight")
    notebook.wait_for("selection.token", 1)
    expect(place.get_by_role("table")).to_contain_text("token 1,", timeout=ACT)
    keys.press("j")
    notebook.wait_for("selection.token", notebook.read("inspector.trace.junction"))
    place.locator(".noUi-handle").first.focus()
    for width in range(7, -1, -1):
        keys.press("ArrowLeft")
        notebook.wait_for("inspector.window", width)
    # A window of nothing to either side is the junction alone.
    expect(place.locator(".token.window")).to_have_count(1, timeout=ACT)
    notebook.read("inspector.set_trait('window', 8)")


def test_what_cannot_be_shown_is_said(notebook):
    place = view(notebook, "TraceInspector")
    place.get_by_label("beside it").select_option("ancestor")
    said = "the ancestor's own answer is not stored; press compute"
    expect(place.get_by_role("alert")).to_have_text(said, timeout=ACT)
    assert notebook.read("inspector.message") == said
    place.get_by_label("beside it").select_option("nothing")
    expect(place.get_by_role("alert")).to_have_count(0, timeout=ACT)


def test_a_token_clicked_in_one_view_is_looked_at_in_the_other_and_pinned_there(notebook):
    inspector, surgeon = view(notebook, "TraceInspector"), view(notebook, "TraceSurgeon")
    token(inspector, 1).click(timeout=ACT)
    expect(surgeon.locator(".token.current")).to_have_attribute("data-place", "1", timeout=ACT)
    token(surgeon, 2).click(timeout=ACT)
    notebook.wait_for("[surgeon.position, selection.token]", [2, 2])
    expect(surgeon.get_by_label("token", exact=True)).to_have_value("2", timeout=ACT)
    expect(inspector.locator(".token.current")).to_have_attribute("data-place", "2", timeout=ACT)
    expect(inspector.get_by_role("table")).to_contain_text("token 2,", timeout=ACT)


def test_a_guess_by_mouse(notebook):
    place = view(notebook, "Predict")
    reveal = place.get_by_role("button", name="reveal")
    expect(reveal).to_be_disabled()
    place.get_by_label("10**3").check(timeout=ACT)
    notebook.wait_for("first.guess", "10**3")
    assert not notebook.read("first.revealed")
    reveal.click(timeout=ACT)
    expect(place).to_contain_text("You said 10**3. 2**10 is 1024.", timeout=ACT)
    assert notebook.read("[first.revealed, first.guess]") == [True, "10**3"]
    picture(notebook, "Predict")


def test_a_guess_by_keyboard(notebook):
    place, keys = notebook.page.locator(".recover-nb-Predict").nth(1), notebook.page.keyboard
    place.get_by_role("radio").first.focus()
    keys.press("Space")
    notebook.wait_for("second.guess", "3**3")
    keys.press("ArrowDown")
    notebook.wait_for("second.guess", "<b>5**2</b>")
    place.get_by_role("button", name="reveal").focus()
    keys.press("Enter")
    expect(place).to_contain_text("You said <b>5**2</b>. 3**3 is 27.", timeout=ACT)
    assert notebook.read("second.revealed")
