"""The stability explorer in JupyterLab: brush and cluster reach Python, and Python the page."""

import pytest
from lab_page import ACT
from widget_page import cells_run, page_of, picture, view

pytestmark = [pytest.mark.browser, pytest.mark.slow]

N = 45
SOURCE = f"""\
import numpy as np
import xarray as xr
from recover_nb.clustering.error_rates import make_points
from recover_nb.core.labels import Feature
from recover_nb.widgets import StabilityExplorer

points = make_points("blobs", {N}, np.random.default_rng(0), separation=12.0)
ds = xr.Dataset({{"features": (("problem", "feature"), points)}},
                coords={{"feature": [each.value for each in Feature],
                         "cell": ("problem", ["a"] * {N})}})
explorer = StabilityExplorer(ds, n_null=19, n_resamples=8)
explorer"""
#: Marks of the scatter as the page draws them: middle on the screen, and opacity. They are in the
#: order of problems.
DRAWN = """() => {
    const chart = document.querySelector(".recover-nb-StabilityExplorer .vega-embed");
    const points = "svg .mark-symbol.role-mark path";
    return [...chart.querySelectorAll(points)].map((each) => {
        const box = each.getBoundingClientRect();
        const opacity = Number(each.getAttribute("opacity"));
        return [box.x + box.width / 2, box.y + box.height / 2, opacity];
    });
}"""
#: Which problems stand out in the page are those of a list.
STAND_OUT = f"""(problems) => JSON.stringify(
    ({DRAWN})().flatMap(([x, y, opacity], place) => opacity > 0.5 ? [place] : [])
) === JSON.stringify(problems)"""
PICKED = "list(explorer.selection.problems)"


@pytest.fixture(scope="module")
def opened(browser, server, tmp_path_factory):
    with page_of(
        browser, server, tmp_path_factory.mktemp("stability"), SOURCE, "1 + 1"
    ) as notebook:
        view(notebook, "StabilityExplorer").locator(".vega-embed svg").nth(1).wait_for(timeout=ACT)
        yield notebook


@pytest.fixture
def notebook(opened):
    """The same page for every test, with nothing brushed."""
    opened.read("[explorer._clear()]")
    opened.page.wait_for_function(STAND_OUT, arg=list(range(N)), timeout=ACT)
    return opened


def test_a_dragged_brush_is_heard(notebook):
    marks = notebook.page.evaluate(DRAWN)
    assert len(marks) == N
    # From above and left of the three leftmost marks to below and right of them.
    xs = sorted(x for x, _, _ in marks)
    edge = (xs[9] + xs[10]) / 2
    top, bottom = (f(y for _, y, _ in marks) for f in (min, max))
    inside = [place for place, (x, _, _) in enumerate(marks) if x < edge]
    mouse = notebook.page.mouse
    mouse.move(edge, top - 4)
    mouse.down()
    mouse.move(xs[0], (top + bottom) / 2, steps=4)
    mouse.move(xs[0] - 4, bottom + 4, steps=4)
    mouse.up()
    notebook.wait_for(PICKED, inside)
    notebook.page.wait_for_function(STAND_OUT, arg=inside, timeout=ACT)
    assert (
        f"{len(inside)} of {N} problems are brushed."
        in view(notebook, "StabilityExplorer").inner_text()
    )
    assert notebook.read("sorted(explorer.brush)") == ["logit_dispersion", "spread"]
    picture(notebook, "StabilityExplorer")
    # A click beside the rectangle takes it away.
    marks = notebook.page.evaluate(DRAWN)
    xs = [x for x, _, _ in marks]
    mouse.click(max(xs) + 2, (min(y for _, y, _ in marks) + max(y for _, y, _ in marks)) / 2)
    notebook.wait_for(PICKED, [])
    notebook.page.wait_for_function(STAND_OUT, arg=list(range(N)), timeout=ACT)


def test_the_keyboard_brushes_a_cluster(notebook):
    rows = view(notebook, "StabilityExplorer").locator("tbody tr")
    rows.first.focus()
    notebook.page.keyboard.press("ArrowDown")
    notebook.page.keyboard.press("Enter")
    notebook.wait_for("explorer.cluster", "1")
    members = notebook.read(
        "explorer.tables()['problems'].query('cluster == \"1\"')['problem'].tolist()"
    )
    assert len(members) == N // 3
    notebook.wait_for(PICKED, members)
    notebook.page.wait_for_function(STAND_OUT, arg=members, timeout=ACT)
    assert (
        f"{len(members)} of {N} problems are brushed."
        in view(notebook, "StabilityExplorer").inner_text()
    )
    assert cells_run(notebook) == (["[1]:", "[2]:"], "command")


def test_python_brushes_the_page(notebook):
    notebook.read("[setattr(explorer.selection, 'problems', (2, 5, 44))]")
    notebook.page.wait_for_function(STAND_OUT, arg=[2, 5, 44], timeout=ACT)
    notebook.read(
        "[setattr(explorer, 'brush', {'spread': (-1.0, 3.0), 'logit_dispersion': (-9.0, 9.0)})]"
    )
    inside = notebook.read(PICKED)
    assert 3 < len(inside) < N
    notebook.page.wait_for_function(STAND_OUT, arg=inside, timeout=ACT)
    # The page draws the rectangle, and does not answer with another one.
    notebook.page.wait_for_function(
        "document.querySelector('.recover-nb-StabilityExplorer .brush_brush"
        " path')?.getBoundingClientRect().width > 20",
        timeout=ACT,
    )
    assert notebook.read("explorer.brush") == {
        "spread": [-1.0, 3.0],
        "logit_dispersion": [-9.0, 9.0],
    }


def test_a_verdict_by_the_button(notebook):
    place = view(notebook, "StabilityExplorer")
    place.get_by_role("button", name="all figures, in words").click(timeout=ACT)
    place.get_by_text("Not judged yet").wait_for(timeout=ACT)
    place.get_by_role("button", name="resample").click(timeout=ACT)
    notebook.wait_for("type(explorer.found).__name__", "ClusterStability")
    place.get_by_text("3 of 3 clusters are claimed: ").wait_for(timeout=ACT)
    assert notebook.read("explorer.found.verdict") == "clusters"
