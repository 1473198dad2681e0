"""The topography explorer in JupyterLab: a cell by mouse and keyboard, in the page and Python."""

import nbformat
import pytest
from lab_page import ACT, lab
from widget_page import wear

from recover_nb.core.titles import named

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SOURCE = """\
import recover_nb as rnb
ds = rnb.load_study()
selection = rnb.widgets.Selection()
view = rnb.widgets.TopographyExplorer(ds, selection=selection)
view"""
LINKED = "trace = rnb.widgets.TraceInspector(ds, selection=selection)\ntrace"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}

#: Problems of a cell, straight from the prediction, and not from the view.
EXPECTED = (
    "(lambda frame: frame[(frame['true'] == '{0}') & (frame['predicted'] =="
    " '{1}')]['problem'].tolist())(rnb.tables.unit_predictions(rnb.topography(ds, n_repeats=2,"
    " n_permutations=9)))"
)
#: The lines around cells; the chosen one's has a width.
FRAMED = """() => [...document.querySelectorAll(".vega-embed path")]
    .filter((path) => Number(path.getAttribute("stroke-width")) === 5)
    .map((path) => [path.__data__.datum.true, path.__data__.datum.predicted])"""
#: The rectangle of a cell.
CELL_OF = """([name, predicted]) =>
    [...document.querySelectorAll(".vega-embed .mark-rect path")].find(({ __data__: drawn }) =>
        drawn?.datum?.true === name && drawn.datum.predicted === predicted)"""


@pytest.fixture(scope="module")
def opened(browser, server, tmp_path_factory):
    path = tmp_path_factory.mktemp("topography") / "topography.ipynb"
    cells = [nbformat.v4.new_code_cell(source) for source in (SOURCE, LINKED)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)
    with lab(browser, server) as open_notebook:
        notebook = open_notebook(path)
        notebook.run_all()
        notebook.page.locator(".vega-embed svg").first.wait_for(timeout=ACT)
        yield notebook


@pytest.fixture
def notebook(opened):
    opened.read(
        "setattr(view, 'value', {'panel': 'confusion', 'target': 'method', 'true': '', 'predicted':"
        " ''})"
    )
    opened.wait_for("list(selection.problems)", [])
    opened.page.wait_for_function(f"({FRAMED})().length === 0", timeout=ACT)
    yield opened
    assert opened.heard() == []
    assert opened.console == []


def in_dark(notebook, name):
    """Take a screenshot under the dark theme."""
    for theme in ("dark", "light"):
        wear(notebook, theme)
        if theme == "dark":
            notebook.screenshot(name)


def click(notebook, true, predicted):
    """Click the middle of a cell of the matrix, where its share is written."""
    mark = notebook.page.evaluate_handle(CELL_OF, [true, predicted]).as_element()
    mark.scroll_into_view_if_needed(timeout=ACT)
    # After a screenshot or a change of theme the page still moves: a click would land on a
    # neighbour.
    box, last = mark.bounding_box(), None
    while box != last:
        notebook.page.wait_for_timeout(300)
        box, last = mark.bounding_box(), box
    notebook.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def row(notebook, true, predicted):
    rows = notebook.page.locator("table[aria-label='cells of the confusion matrix'] tbody tr")
    return rows.filter(has_text=f"{named(true)}{named(predicted)}")


def check(notebook, true, predicted):
    """Check that the cell is chosen and framed, its problems brushed and listed, a trace open.

    It is chosen in Python and framed in the page.
    """
    wanted = notebook.read(EXPECTED.format(true, predicted))
    assert wanted
    notebook.wait_for("list(selection.problems)", wanted)
    assert notebook.read("[view.true, view.predicted, view.message]") == [true, predicted, ""]
    notebook.page.wait_for_function(f"({FRAMED})().length === 1", timeout=ACT)
    assert notebook.page.evaluate(FRAMED) == [[true, predicted]]
    problems = notebook.page.locator("table[aria-label='problems']").locator(
        "xpath=ancestor::*[@class][1]/.."
    )
    note = problems.locator(".pager [role='status']").last
    note.filter(has_text=f"of {len(wanted)}").wait_for(timeout=ACT)
    assert notebook.read("trace.selection.problem") == wanted[0]


def test_a_click_on_a_cell_brushes_its_problems(notebook):
    click(notebook, "sft", "grpo")
    check(notebook, "sft", "grpo")
    assert row(notebook, "sft", "grpo").get_attribute("aria-selected") == "true"
    notebook.screenshot("widget-topography-explorer-light")
    in_dark(notebook, "widget-topography-explorer-dark")
    # Another click moves the brush, and the button takes it away.
    click(notebook, "grpo", "grpo")
    check(notebook, "grpo", "grpo")
    notebook.page.get_by_role("button", name="every problem").click(timeout=ACT)
    notebook.wait_for("[list(selection.problems), view.true]", [[], ""])
    notebook.page.wait_for_function(f"({FRAMED})().length === 0", timeout=ACT)


def test_enter_on_a_row_of_cells_brushes_its_problems(notebook):
    row(notebook, "grpo", "grpo").focus()
    keys = notebook.page.keyboard
    keys.press("End")
    keys.press("ArrowUp")
    keys.press("Enter")
    # The last but one of nine cells.
    check(notebook, "sft", "self_distill")


def test_panels_are_drawn(notebook):
    for panel, words in (
        ("fingerprints", "Features by class"),
        ("scores", "How well the label is predicted"),
        ("coefficients", "What each feature says for a class"),
        ("effects", "How far apart"),
        ("routing", "Routing on the target"),
        ("reading", "Features against reading"),
    ):
        notebook.page.get_by_role("button", name=panel, exact=True).click(timeout=ACT)
        notebook.page.locator(".vega-embed svg", has_text=words).wait_for(timeout=ACT)
        assert notebook.read("[view.panel, view.message]") == [panel, ""]
        notebook.screenshot(f"widget-topography-explorer-{panel}")
    # Back to a chart with parameters, which those before it do not have.
    notebook.page.get_by_role("button", name="confusion", exact=True).click(timeout=ACT)
    row(notebook, "grpo", "grpo").click(timeout=ACT)
    check(notebook, "grpo", "grpo")
