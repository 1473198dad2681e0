"""The tour in Voila: results without code."""

import shutil

import nbformat
import pytest
from chromium import closed_context
from lab_page import ACT, OPEN, RUN, SCREENSHOTS
from pages import title
from shipped_notebooks import TOUR

from recover_nb.core.shipped import shipped_folder

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: Voila itself asks other hosts for icons and for the typesetting of formulas; it shows everything
#: without them.
OF_VOILA = ("fontawesome", "mathjax")

ERRORS = "[data-mime-type='application/vnd.jupyter.stderr']"
#: The last of three charts, the score and a trace are drawn, or a cell failed.
DONE = f"""() => document.querySelectorAll(".vega-embed svg.marks").length >= 3
    && document.querySelector(".recover-nb-Score .recover-nb-score")
    && document.querySelector(".recover-nb-tokens .token") || document.querySelector("{ERRORS}")"""


def test_tour(browser, server):
    # As in a checkout: the glossary lies in the folder beside that of the notebooks.
    (server.root / "docs").mkdir(exist_ok=True)
    shutil.copy(shipped_folder("docs") / "glossary.md", server.root / "docs")
    context, asked = closed_context(browser, viewport={"width": 1400, "height": 1000})
    try:
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(
            server.address("voila/render", server.place(TOUR)),
            timeout=RUN * 1000,
            wait_until="commit",
        )
        page.wait_for_selector("#rendered_cells", state="visible", timeout=RUN * 1000)
        page.wait_for_function(DONE, timeout=OPEN)
        tall = page.evaluate("document.querySelector('#rendered_cells').scrollHeight")
        page.set_viewport_size({"width": 1400, "height": min(12_000, tall + 100)})
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{TOUR.stem}-voila.png", full_page=True, timeout=ACT)
        assert page.locator(ERRORS).all_inner_texts() == []
        assert page.locator("h1", has_text=title(nbformat.read(TOUR, as_version=4))).count() == 1
        # The result would answer the question, so it waits.
        result = page.locator(".recover-nb-result").filter(visible=True)
        assert result.count() == 0
        page.get_by_role("button", name="show it anyway").click()
        result.wait_for(timeout=ACT)
        assert page.locator(".recover-nb-story, .story").count() >= 1
        assert page.locator("svg.marks g.role-mark path").count() > 50
        assert page.locator(".jp-InputArea-editor").count() == 0
        # A term opens over the page, and its page answers.
        term = page.locator("a[href*='glossary.md#']").first
        term.click()
        assert page.get_by_role("dialog").is_visible()
        page.keyboard.press("Escape")
        assert page.request.get(term.evaluate("link => link.href")).ok
        assert "Shift" not in page.locator("#rendered_cells").inner_text()
        assert not errors
        assert not [url for url in asked if not any(name in url.lower() for name in OF_VOILA)]
    finally:
        context.close()
        server.stop_kernels()
