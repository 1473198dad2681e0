"""`TraceInspector`, `TraceSurgeon` in JupyterLab: mouse and keys to Python and back."""

import pytest
from lab_page import ACT
from playwright.sync_api import expect
from widget_page import page_of, picture, token, view

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SOURCES = (
    "import recover_nb as rnb\nds = rnb.load_study()\nselection = rnb.widgets.Selection()",
    "inspector = rnb.widgets.TraceInspector(ds, problem=977, selection=selection)\ninspector",
    "surgeon = rnb.widgets.TraceSurgeon(ds, selection=selection)\nsurgeon",
)


@pytest.fixture(scope="module")
def notebook(browser, server, tmp_path_factory):
    with page_of(browser, server, tmp_path_factory.mktemp("reading"), *SOURCES) as opened:
        yield opened


@pytest.fixture(autouse=True)
def nothing_pinned(notebook):
    notebook.page.mouse.move(0, 0)
    views = "(inspector, surgeon, inspector.operating.surgeon)"
    notebook.read(f"[each.text.set_trait('pinned', -1) for each in {views} if each]")
    notebook.read("selection.set_trait('token', -1)")
    expect(notebook.page.locator(".token.current, .token.pinned")).to_have_count(0, timeout=ACT)


def bars(notebook):
    return view(notebook, "TraceInspector").locator(".recover-nb-bars")


def test_it_opens_where_the_answer_was_lost(notebook):
    place = view(notebook, "TraceInspector")
    expect(place.get_by_role("heading", name="problem 977")).to_be_visible(timeout=ACT)
    expect(place).to_contain_text("wrong: said 80, right is 88")
    fatal = notebook.read("inspector.prefix_value.fatal")
    assert fatal >= 0
    expect(place.locator(".token.fatal")).to_have_attribute("data-place", str(fatal), timeout=ACT)
    expect(bars(notebook)).to_contain_text(f"Token {fatal} is", timeout=ACT)
    n_tokens = notebook.read("len(inspector.trace.tokens)")
    expect(place.locator(".token .value")).to_have_count(n_tokens)
    # What saved the answer is said by a sign and by a name.
    expect(bars(notebook).locator(".rescued .word")).to_have_attribute(
        "aria-label", "4, the attempt below wrote this"
    )


def test_pointing_at_a_token_moves_nothing_on_the_page(notebook):
    place = view(notebook, "TraceInspector")
    height = place.bounding_box()["height"]
    for at in (2, 7, 15, 20):
        token(place, at).hover(timeout=ACT)
        notebook.wait_for("selection.token", at)
        expect(bars(notebook)).to_contain_text(f"Token {at} is", timeout=ACT)
        assert place.bounding_box()["height"] == height
    share = notebook.read("inspector.bars.places[20][0]['specialist']")
    first = bars(notebook).get_by_role("row").nth(1).get_by_role("cell").first
    expect(first).to_have_text(f"{100 * share:.0f} %")
    picture(notebook, "TraceInspector")


def test_zero_has_the_colour_of_the_page(notebook):
    place = view(notebook, "TraceInspector")
    values = notebook.read("inspector.trace.signals['demotion_pressure'].tolist()")
    zero, most = values.index(0.0), values.index(max(values))
    look = "(cell) => getComputedStyle(cell.firstChild).backgroundColor"
    assert token(place, zero).evaluate(look) == "rgba(0, 0, 0, 0)"
    assert token(place, most).evaluate(look) != "rgba(0, 0, 0, 0)"
    scale = place.get_by_role("img", name="demotion pressure (nat): from 0 to")
    expect(scale).to_be_visible(timeout=ACT)


def test_the_colour_is_chosen_by_mouse(notebook):
    place = view(notebook, "TraceInspector")
    look = "(cell) => cell.firstChild.style.background"
    before = token(place, 0).evaluate(look)
    place.get_by_label("colour", exact=True).select_option("entropy (nat)")
    notebook.wait_for("inspector.signal", "entropy")
    value = notebook.read("float(inspector.trace.signals['entropy'][0])")
    right = notebook.read("inspector.prefix_value.after[0]")
    # The token begins the first step, which 0.99 is said of by the shipped scores.
    step = "step 1: right, a calculator could do it, P(right) 0.99"
    expect(token(place, 0)).to_have_attribute(
        "aria-label",
        f"{named(notebook, 0)}. entropy {value:.3f}. {100 * right:.0f} % still end right. {step}",
    )
    assert token(place, 0).evaluate(look) != before
    expect(place.get_by_role("img", name="entropy (nat): from 0 to")).to_be_visible(timeout=ACT)
    place.get_by_label("colour", exact=True).select_option("demotion pressure (nat)")
    notebook.wait_for("inspector.signal", "demotion_pressure")


def named(notebook, at):
    marks = {"trace.junction": ", junction", "prefix_value.fatal": ", fatal token: here the"}
    assert at not in [notebook.read(f"inspector.{name}") for name in marks]
    return f"token {at}: {notebook.read(f'inspector.trace.tokens[{at}]')}"


def test_the_keyboard_moves_through_the_trace(notebook):
    place, keys = view(notebook, "TraceInspector"), notebook.page.keyboard
    token(place, 0).focus()
    keys.press("ArrowRight")
    notebook.wait_for("selection.token", 1)
    expect(bars(notebook)).to_contain_text("Token 1 is", timeout=ACT)
    keys.press("j")
    notebook.wait_for("selection.token", notebook.read("inspector.trace.junction"))


def test_attempts_are_turned_by_keyboard(notebook):
    place, keys = view(notebook, "TraceInspector"), notebook.page.keyboard
    place.get_by_label("what was tried").select_option("retry")
    notebook.wait_for("inspector.compare", "retry")
    notebook.read("setattr(inspector, 'compare_rollout', 3)")
    expect(place).to_contain_text("attempt 4 of 20", timeout=ACT)
    place.get_by_role("button", name="next").focus()
    keys.press("Enter")
    notebook.wait_for("inspector.compare_rollout", 4)
    expect(place).to_contain_text("attempt 5 of 20", timeout=ACT)
    place.get_by_role("button", name="previous").focus()
    keys.press("Space")
    notebook.wait_for("inspector.compare_rollout", 3)
    rows = notebook.read("inspector.attempts.rows['other'].tolist()")
    shown = place.locator(".recover-nb-aligned .other").all_inner_texts()
    assert shown == [row.replace(" ", "\u00b7") or "\u2013" for row in rows]
    notebook.read("setattr(inspector, 'value', {'compare': 'best', 'compare_rollout': -1})")


def test_problems_are_found_filtered_and_chosen_by_keyboard(notebook):
    place, keys = view(notebook, "TraceInspector"), notebook.page.keyboard
    options = place.get_by_role("listbox", name="problems that failed").get_by_role("option")
    chips = place.get_by_role("group", name="regime").get_by_role("button")
    expect(chips.first).to_have_attribute("aria-pressed", "false")
    chips.first.focus()
    keys.press("Enter")
    notebook.wait_for("list(inspector.regimes)", ["steerable_hard"])
    expect(chips.first).to_have_attribute("aria-pressed", "true")
    count = notebook.read("len(inspector.problems.items.shown)")
    expect(options).to_have_count(count, timeout=ACT)
    field = place.get_by_label("search", exact=True)
    field.focus()
    keys.type("deduction neox")
    notebook.wait_for("inspector.search", "deduction neox")
    found = notebook.read("inspector.problems.items.shown")
    assert 2 < len(found) < count
    expect(options).to_have_count(len(found), timeout=ACT)
    options.first.focus()
    keys.press("ArrowDown")
    notebook.wait_for("selection.problem", found[1])
    expect(options.nth(1)).to_be_focused()
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    expect(place.get_by_role("heading", name=f"problem {found[1]}")).to_be_visible(timeout=ACT)
    notebook.read("setattr(inspector, 'value', {'search': '', 'regimes': ()})")
    notebook.read("inspector.problems.set_trait('chosen', 977)")
    expect(place.get_by_role("heading", name="problem 977")).to_be_visible(timeout=ACT)


def test_settings_unfold_by_keyboard(notebook):
    place, keys = view(notebook, "TraceInspector"), notebook.page.keyboard
    expect(place.get_by_label("k_cov")).to_be_hidden()
    heading = place.get_by_role("button", name="advanced")
    heading.focus()
    expect(heading).to_have_attribute("aria-expanded", "false")
    keys.press("Enter")
    expect(place.get_by_label("k_cov")).to_be_visible(timeout=ACT)
    expect(heading).to_have_attribute("aria-expanded", "true")
    expect(place.get_by_role("button", name="compute")).to_be_visible()
    keys.press("Enter")
    expect(place.get_by_label("k_cov")).to_be_hidden(timeout=ACT)


def test_a_token_clicked_in_one_view_is_looked_at_in_the_other_and_pinned_there(notebook):
    inspector, surgeon = view(notebook, "TraceInspector"), view(notebook, "TraceSurgeon")
    token(inspector, 1).click(timeout=ACT)
    expect(surgeon.locator(".token.current")).to_have_attribute("data-place", "1", timeout=ACT)
    token(surgeon, 2).click(timeout=ACT)
    notebook.wait_for("[surgeon.position, selection.token]", [2, 2])
    expect(surgeon.get_by_label("from token", exact=True)).to_have_value("2", timeout=ACT)
    expect(inspector.locator(".token.current")).to_have_attribute("data-place", "2", timeout=ACT)
    expect(bars(notebook)).to_contain_text("Token 2 is", timeout=ACT)


def test_operating_opens_at_that_token_with_retry_beside_it(notebook):
    place = view(notebook, "TraceInspector")
    fatal = notebook.read("inspector.prefix_value.fatal")
    token(place, fatal).hover(timeout=ACT)
    notebook.wait_for("selection.token", fatal)
    place.get_by_role("button", name="operate here").click(timeout=ACT)
    rates = place.locator(".recover-nb-rates")
    expect(rates.locator(".row")).to_have_count(2, timeout=ACT)
    found = notebook.read(
        "[[each.intervention, each.position, each.rescued, each.n] for each in"
        " (inspector.operating.surgeon.control, inspector.operating.surgeon.surgery)]"
    )
    assert [row[:2] for row in found] == [["retry", fatal], ["sparse_steer", fatal]]
    for name, _, rescued, n in found:
        expect(
            place.get_by_role("status").filter(has_text=f"From token {fatal} on")
        ).to_contain_text(f"{name}: {rescued} of {n} right")
    # One interval a row, drawn at its place.
    for row in (0, 1):
        span = rates.locator(".span").nth(row).bounding_box()
        track = rates.locator(".track").nth(row).bounding_box()
        low = notebook.read(
            f"(inspector.operating.surgeon.control, inspector.operating.surgeon.surgery)[{row}]"
            ".interval[0]"
        )
        assert abs((span["x"] - track["x"]) / track["width"] - low) < 0.01
    picture(notebook, "TraceSurgeon")
