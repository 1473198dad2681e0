"""Every notebook runs in JupyterLab, with no error anywhere and nothing asked of another host.

Saved, closed, and opened again where no kernel knows of it, it shows every output; and so does the
page that nbconvert makes of it.
"""

import pytest
from lab_page import OPEN
from pictures import outputs_of, seen, seen_in_html, without_state
from shipped_notebooks import NOTEBOOKS, TOUR, errors_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_all(open_notebook, browser, server, path, record_property):
    notebook = open_notebook(path)
    notebook.run_all()
    notebook.screenshot(path.stem)
    record_property("peak_mb", notebook.peak_memory())
    print(f"{path.stem}: the kernel had at most {notebook.peak_memory():.0f} MB")
    saved = notebook.save()
    assert not errors_of(saved)
    assert any(cell.get("outputs") for cell in saved.cells)
    assert notebook.heard() == []
    assert notebook.console == []
    page = notebook.page
    copy = without_state(notebook.path, server)
    server.stop_kernels()
    page.goto(f"{server.address('lab/tree', copy)}&reset", timeout=OPEN)
    expected, shown = seen(page, saved)
    in_html = seen_in_html(browser, copy, saved)
    size = sum(len(str(output)) for output in outputs_of(saved))
    print(f"{path.stem}: {expected} outputs, {size / 1e6:.1f} MB; seen {shown}, in HTML {in_html}")
    assert (expected, expected) == (shown, in_html)


@pytest.mark.parametrize("open_notebook", [{"color_scheme": "dark"}], indirect=True, ids=["dark"])
def test_tour_in_the_dark_theme(open_notebook):
    notebook = open_notebook(TOUR)
    notebook.run_all()
    path = notebook.screenshot(f"{TOUR.stem}-dark")
    assert path.stat().st_size > 50_000
    assert notebook.page.evaluate("document.body.dataset.jpThemeLight") == "false"
