"""Predictions, what waits for them, the score and the beamer in JupyterLab, by mouse and keys."""

import nbformat
import pytest
from lab_page import ACT, lab
from playwright.sync_api import expect
from shipped_notebooks import TOUR
from widget_page import page_of, picture, view

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SOURCES = (
    "import recover_nb as rnb\nimport pandas as pd\nimport altair as alt",
    "first = rnb.widgets.Predict('Which is larger?', ['2**10', '10**3'], '2**10 is 1024.',"
    " right='2**10', because='each doubling counts', hands=True)\nfirst",
    "frame = pd.DataFrame({'n': [1, 2], 'twice': [2, 4]})\n"
    "first.then(lambda: alt.Chart(frame, title='waited').mark_line().encode(x='n', y='twice'))",
    "second = rnb.widgets.Predict('And now?', ['3**3', '<b>5**2</b>'], '3**3 is 27.',"
    " right='3**3', because='a third factor counts', show=lambda: frame)\nsecond",
    "second.then('forty-two')",
    "rnb.class_score()",
)
#: Pixels of the smallest text that is seen in the cells, and what it is.
SMALLEST = """() => {
    const cells = document.querySelector(".jp-Notebook"), found = [];
    const walk = document.createTreeWalker(cells, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
        const place = node.parentElement, range = document.createRange();
        range.selectNodeContents(node);
        const box = range.getBoundingClientRect();
        const seen = place.checkVisibility({ visibilityProperty: true }) && box.width >= 1;
        if (!node.textContent.trim() || !seen || place.closest(".jp-cell-menu")) continue;
        const turned = place.closest("svg") && place.getScreenCTM();
        const drawn = turned ? Math.hypot(turned.a, turned.b) : place.currentCSSZoom;
        found.push([parseFloat(getComputedStyle(place).fontSize) * drawn, node.textContent.trim()]);
    }
    return found.sort((a, b) => a[0] - b[0])[0];
}"""
#: How far outputs reach over the right edge of their page.
OVER = """() => {
    const edge = document.querySelector(".jp-Notebook").getBoundingClientRect().right;
    const outputs = [...document.querySelectorAll(".jp-OutputArea-output")];
    return Math.max(...outputs.map((each) => each.getBoundingClientRect().right - edge));
}"""


@pytest.fixture(scope="module")
def notebook(browser, server, tmp_path_factory):
    with page_of(browser, server, tmp_path_factory.mktemp("teaching"), *SOURCES) as opened:
        yield opened


def ask(notebook, at):
    return notebook.page.locator(".recover-nb-Predict").nth(at)


def test_a_class_votes_by_hands(notebook):
    place = ask(notebook, 0)
    expect(place.get_by_role("group", name="Which is larger?")).to_be_visible(timeout=ACT)
    reveal = place.get_by_role("button", name="reveal the answer to: Which is larger?")
    reveal.click()
    assert not notebook.read("first.revealed")
    expect(place.get_by_role("status")).to_contain_text("Choose first", timeout=ACT)
    later = view(notebook, "Later")
    expect(later).to_contain_text("Answer the prediction above first.")
    place.get_by_role("spinbutton", name="hands for: 2**10").fill("11")
    place.get_by_role("spinbutton", name="hands for: 10**3").fill("19")
    notebook.wait_for("first.hands", [11, 19])
    expect(place.get_by_label("10**3", exact=True)).to_be_checked(timeout=ACT)
    picture(notebook, "Predict")
    reveal.click(timeout=ACT)
    status = place.get_by_role("status")
    expect(status).to_contain_text("You said 10**3: right is 2**10.", timeout=ACT)
    expect(status).to_contain_text("Because each doubling counts.2**10 is 1024.")
    expect(status).to_be_focused(timeout=ACT)
    expect(later.locator("svg.marks")).to_be_visible(timeout=ACT)
    score = view(notebook, "Score")
    expect(score).to_contain_text("0 of 1 predictions are right; guessing by chance gives 0.5.")
    expect(score).to_contain_text("Of 30 hands 11 were right; chance gives 15.0.")


def test_a_guess_by_keyboard(notebook):
    place, keys = ask(notebook, 1), notebook.page.keyboard
    place.get_by_role("radio").first.focus()
    keys.press("Space")
    notebook.wait_for("second.guess", "3**3")
    keys.press("ArrowDown")
    notebook.wait_for("second.guess", "<b>5**2</b>")
    keys.press("ArrowUp")
    notebook.wait_for("second.guess", "3**3")
    assert place.get_by_role("spinbutton").count() == 0
    later = notebook.page.locator(".recover-nb-Later").nth(1)
    later.get_by_role("button", name="show it anyway").focus()
    keys.press("Enter")
    expect(later).to_contain_text("forty-two", timeout=ACT)
    assert not notebook.read("second.revealed")
    place.get_by_role("radio").first.focus()
    keys.press("Tab")
    keys.press("Enter")
    expect(place.get_by_role("status")).to_contain_text("You said 3**3: right.", timeout=ACT)
    expect(place.get_by_role("status")).to_be_focused(timeout=ACT)
    expect(place.locator("td").first).to_be_visible(timeout=ACT)
    picture(notebook, "Score")


def test_the_tour_for_the_beamer(browser, server, tmp_path):
    tour = nbformat.read(TOUR, as_version=4)
    at = next(n for n, cell in enumerate(tour.cells) if cell.cell_type == "code")
    tour.cells.insert(at + 1, nbformat.v4.new_code_cell("rnb.present()"))
    tour.cells.append(nbformat.v4.new_code_cell("ask.guess = 'about 0 points'\nask.reveal()\nNone"))
    path = tmp_path / "beamer.ipynb"
    nbformat.write(tour, path)
    with lab(browser, server) as opened:
        notebook = opened(path)
        notebook.page.set_viewport_size({"width": 1280, "height": 720})
        notebook.run_all()
        page = notebook.page
        # What waited for the answer has a chart of its own.
        waited = page.locator(".recover-nb-Later svg.marks")
        expect(waited.first).to_be_visible(timeout=ACT)
        page.wait_for_timeout(3000)
        size, text = page.evaluate(SMALLEST)
        print(f"the smallest text: {size:.1f} px, {text!r}")
        assert round(size, 1) >= 18, text
        assert page.evaluate(OVER) <= 0
        code = page.locator(".jp-CodeCell .jp-InputArea").first
        expect(code).to_be_hidden()
        bar = page.get_by_role("toolbar", name="presentation")
        top = "document.querySelector('.jp-WindowedPanel-outer').scrollTop"
        page.evaluate(f"{top} = 0")
        bar.get_by_role("button", name="next idea").click()
        page.wait_for_function(f"{top} > 300", timeout=ACT)
        bar.get_by_role("button", name="show code").click()
        expect(code).to_be_visible()
        bar.get_by_role("button", name="hide code").click()
        expect(code).to_be_hidden()
        assert notebook.console == [] and notebook.heard() == []
