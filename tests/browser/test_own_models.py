"""Notebook 07 in JupyterLab: no torch until a button is pressed, then by mouse and keyboard."""

from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "07_your_own_models.ipynb"


@pytest.mark.parametrize(
    "open_notebook", [{}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_the_live_cells(open_notebook, request):
    notebook = open_notebook(NOTEBOOK)
    notebook.run_all()
    assert notebook.read("'torch' in __import__('sys').modules") is False
    theme = request.node.callspec.id
    if theme == "light":
        notebook.page.get_by_role("button", name="load both models and run the study").click()
        notebook.wait_for("run.done or run.message", True, 180_000)
        # What a press makes is what is shipped, whoever pressed and wherever.
        same = "bool((run.result['token_id'].values == study['token_id'].values).all())"
        assert notebook.read(same) is True
        assert notebook.page.get_by_role("status").filter(has_text="Done.").count() == 1
    button = notebook.page.get_by_role("button", name="load the pair and show the surgeon")
    button.focus()
    button.press("Enter")
    notebook.wait_for("operate.done or operate.message", True, 180_000)
    notebook.page.get_by_role("button", name="run both").first.wait_for(timeout=60_000)
    notebook.screenshot(f"07_your_own_models-live-{theme}")
    assert notebook.heard() == []
    assert notebook.console == []
