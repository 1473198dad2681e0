"""`RoutingExplorer`, its `TableView` and a linked `TraceInspector` in JupyterLab."""

import html
import re

import pytest
from lab_page import ACT
from playwright.sync_api import expect
from widget_page import page_of, picture, view

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SOURCES = (
    "import recover_nb as rnb\nds = rnb.load_study()\nselection = rnb.widgets.Selection()",
    "explorer = rnb.widgets.RoutingExplorer(ds, selection=selection)\nexplorer",
    "inspector = rnb.widgets.TraceInspector(ds, selection=selection)\ninspector",
)
#: The figures in words.
SAID = ".recover-nb-fold [role=status] p"


@pytest.fixture(scope="module")
def notebook(browser, server, tmp_path_factory):
    with page_of(browser, server, tmp_path_factory.mktemp("routing"), *SOURCES) as opened:
        opened.published = opened.read("explorer.value")
        for fold in ("all figures, in words", "advanced"):
            view(opened, "RoutingExplorer").get_by_role("button", name=fold).click(timeout=ACT)
        yield opened


@pytest.fixture
def explorer(notebook):
    """The view as it opens."""
    notebook.read(f"setattr(explorer, 'value', {notebook.published!r})")
    place = view(notebook, "RoutingExplorer")
    expect(place.locator("svg.marks")).to_contain_text(
        "each alternative, scored on published", timeout=ACT
    )
    return place


def rows(place):
    return place.get_by_role("grid").locator("tbody tr")


def says_what_python_says(notebook, place):
    """Compare the sentences on the page with those in Python."""
    said = [
        html.unescape(line)
        for line in re.findall("<p>(.*?)</p>", notebook.read("explorer.words.value"))
    ]
    expect(place.locator(SAID)).to_have_text(said, timeout=ACT)
    return said


def test_a_panel_is_chosen_by_mouse(notebook, explorer):
    picture(notebook, "RoutingExplorer")
    for panel, title in (
        ("estimators", "Lift of routing over retry"),
        ("budget", "Rescue at equal budgets"),
        ("regimes", "share of failed problems"),
        ("routes", "share of steerable_hard problems"),
        ("comparators", "Routing minus each alternative"),
    ):
        explorer.get_by_role("button", name=panel).click(timeout=ACT)
        notebook.wait_for("explorer.panel", panel)
        expect(explorer.locator("svg.marks")).to_contain_text(title, timeout=ACT)


def test_a_threshold_is_moved_by_keyboard(notebook, explorer):
    before = says_what_python_says(notebook, explorer)
    explorer.get_by_role("slider", name="min gain").focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.wait_for("round(explorer.min_gain, 2)", 0.06)
    after = says_what_python_says(notebook, explorer)
    assert after[0] != before[0]
    # Fewer problems gain six points than five.
    hard = [
        int(said[0].split(" points on ")[1].split()[0].replace(",", "")) for said in (before, after)
    ]
    assert hard[1] < hard[0]
    assert hard[1] == notebook.read(
        "explorer.tables()['comparators'].query(\"comparator == 'retry'\")['n'].item()"
    )


def test_a_policy_is_changed_by_keyboard_and_an_empty_one_is_refused(notebook, explorer):
    spread = explorer.get_by_role("combobox", name="spread")
    spread.focus()
    notebook.page.keyboard.press("ArrowUp")
    notebook.wait_for("explorer.operators['spread']", "local_temperature")
    # Letters choose in a list; b would add a cell to the notebook.
    notebook.page.keyboard.press("b")
    assert len(notebook.prompts()) == len(SOURCES)
    for left, feature in ((2, "spread"), (1, "concentration"), (0, "logit dispersion")):
        explorer.get_by_role("combobox", name=feature).select_option("not used")
        notebook.wait_for("len(explorer.operators)", left)
    expect(explorer.get_by_role("alert")).to_contain_text(
        "at least one feature and its intervention, got {}", timeout=ACT
    )
    expect(explorer.locator("svg.marks")).to_have_count(0)
    spread.select_option("dense_steer")
    expect(explorer.get_by_role("alert")).to_have_count(0, timeout=ACT)
    expect(explorer.locator("svg.marks")).to_have_count(1, timeout=ACT)
    assert notebook.read("explorer.operators") == {"spread": "dense_steer"}


def test_the_table_is_sorted_by_mouse(notebook, explorer):
    shown = "('problem', 'retry', 'best')"
    notebook.read(f"setattr(explorer, 'chosen_columns', {shown})")
    for descending in (False, True):
        explorer.get_by_role("grid").get_by_role("button", name="asking again").click(timeout=ACT)
        notebook.wait_for(
            "[explorer.sort, explorer.descending, explorer.page]", ["retry", descending, 0]
        )
        expect(explorer.get_by_role("columnheader", name="asking again")).to_have_attribute(
            "aria-sort", "descending" if descending else "ascending", timeout=ACT
        )
        place = notebook.read(
            "[column['name'] for column in explorer.table.columns].index('retry')"
        )
        extreme = notebook.read(
            f"float(explorer.tables()['problems']['retry'].{'max' if descending else 'min'}())"
        )
        expect(rows(explorer).first.locator("td").nth(1 + place)).to_have_text(
            f"{extreme:.2f}", timeout=ACT
        )


def test_a_row_that_is_clicked_opens_its_trace(notebook, explorer):
    rows(explorer).nth(3).click(timeout=ACT)
    opens_the_trace_of(notebook, explorer, notebook.read("explorer.table.row_keys[3]"))


def test_a_row_is_chosen_by_keyboard_on_another_page(notebook, explorer):
    keys = notebook.page.keyboard
    explorer.get_by_role("grid").get_by_role("button", name="problem", exact=True).click(
        timeout=ACT
    )
    notebook.wait_for("[explorer.sort, explorer.page]", ["problem", 0])
    rows(explorer).first.focus()
    keys.press("PageDown")
    notebook.wait_for("explorer.page", 1)
    expect(explorer.locator(".pager [role=status]").last).to_contain_text("page 2 of", timeout=ACT)
    keys.press("Home")
    keys.press("ArrowDown")
    keys.press("Enter")
    opens_the_trace_of(notebook, explorer, notebook.read("explorer.table.row_keys[1]"))
    assert notebook.page.locator(".jp-Notebook.jp-mod-editMode").count() == 0


def opens_the_trace_of(notebook, explorer, problem):
    """Hold both views against the study: the problem's first failed rollout."""
    notebook.read(f"globals().update(one=ds.isel(problem={problem}).sel(intervention='none'))")
    failed = notebook.read("int((one['correct'].values == 0).argmax())")
    notebook.wait_for("[selection.problem, selection.rollout]", [problem, failed])
    inspector = view(notebook, "TraceInspector")
    expect(inspector.get_by_role("heading")).to_contain_text(f"problem {problem}", timeout=ACT)
    expect(inspector).to_contain_text(f"answer {failed};", timeout=ACT)
    n_tokens = notebook.read(f"int(one['n_tokens'].values[{failed}])")
    trace = inspector.locator(".recover-nb-tokens").first
    expect(trace.locator(".token")).to_have_count(n_tokens, timeout=ACT)
    expect(explorer.locator("tr.chosen")).to_have_count(1, timeout=ACT)


def test_resampling_says_so(notebook, explorer):
    notebook.read(
        "explorer.data._counts.update(n_bootstrap=300, n_permutations=300, n_null=12, n_splits=5)"
    )
    assert says_what_python_says(notebook, explorer)[-1].startswith(
        "Rough (press resample): 200 bootstrap"
    )
    explorer.get_by_role("button", name="resample").click(timeout=ACT)
    expect(explorer.locator(SAID).last).to_have_text(
        "Resampled: 300 bootstrap, 300 permutations, 12 null, 5 splits.", timeout=ACT
    )
    assert notebook.read("explorer.data.is_exact(explorer.settings)")
