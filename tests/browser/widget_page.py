"""A page of JupyterLab with a few widgets: opened once a test module, pictured in both themes."""

from contextlib import contextmanager

import nbformat
from lab_page import ACT, PANEL, SCREENSHOTS, TALL, lab

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LIGHT = "(light) => document.body.dataset.jpThemeLight === String(light)"
#: The last cell is on the page: charts are drawn and widgets have taken their place.
SETTLED = """() => new Promise((done) =>
    requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"""


def write(path, *sources):
    """Write a notebook of code cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)
    return path


@contextmanager
def page_of(browser, server, folder, *sources):
    """Open a notebook of these cells, run it, and make the page tall enough for every widget."""
    with lab(browser, server) as open_notebook:
        notebook = open_notebook(write(folder / "widgets.ipynb", *sources))
        notebook.run_all()
        stretch(notebook)
        yield notebook
        assert notebook.heard() == [], notebook.heard()
        assert notebook.console == [], notebook.console


def stretch(notebook, width=1400):
    """Make the page as tall as its cells."""
    notebook.page.set_viewport_size(
        {"width": width, "height": int(notebook.page.evaluate(TALL)) + 300}
    )
    notebook.page.evaluate(SETTLED)


def view(notebook, name):
    """Return the place of the view of a class; the first, if there are several."""
    return notebook.page.locator(f".recover-nb-{name}").first


def token(place, at):
    """Return a token of the first trace in a place."""
    return place.locator(".recover-nb-tokens").first.locator(f".token[data-place='{at}']")


def wear(notebook, theme):
    """Change to the light or dark theme, and wait until it is there."""
    notebook.page.emulate_media(color_scheme=theme)
    notebook.page.wait_for_function(LIGHT, arg=theme == "light", timeout=ACT)
    # Style sheets of a theme come one by one.
    notebook.page.wait_for_load_state("networkidle", timeout=ACT)
    # With another change before the splash is gone, JupyterLab takes it away twice.
    notebook.page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=ACT)


def picture(notebook, name):
    """Write ``runs/screenshots/widget-NAME-light.png`` and ``-dark.png``, and go back to light."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    stretch(notebook)
    for theme in ("dark", "light"):
        wear(notebook, theme)
        notebook.page.evaluate(SETTLED)
        path = SCREENSHOTS / f"widget-{name}-{theme}.png"
        view(notebook, name).screenshot(path=path, timeout=ACT)
        assert path.stat().st_size > 3_000


def cells_run(notebook):
    """Return how many cells have run, and whether one is being edited.

    Keys that a widget lets through change it.
    """
    editing = notebook.page.evaluate(f"() => {PANEL}.content.mode")
    return notebook.prompts(), editing
