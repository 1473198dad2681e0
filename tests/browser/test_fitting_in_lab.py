"""Every explorer on a narrow page: nothing is wider than its place, and charts are described."""

import pytest
from lab_page import ACT
from widget_page import page_of, stretch, view

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXPLORERS = ("RoutingExplorer", "StabilityExplorer", "TopographyExplorer")
SOURCES = (
    "import recover_nb as rnb\nds = rnb.load_study()\nviews = {}",
    *(f"views['{name}'] = rnb.widgets.{name}(ds)\nviews['{name}']" for name in EXPLORERS),
)
#: Width and room of the view, then of each chart that is seen, with its words and smallest letters.
MEASURED = """(view) => ({
    view: [view.scrollWidth, view.clientWidth],
    charts: [...view.querySelectorAll("svg.marks")]
        .filter((drawing) => drawing.checkVisibility({ visibilityProperty: true }))
        .map((drawing) => {
            const room = drawing.closest(".recover-nb-panel").getBoundingClientRect();
            const words = [...drawing.querySelectorAll("text")].filter((each) => each.textContent);
            const sizes = words.map((each) => parseFloat(getComputedStyle(each).fontSize));
            const cut = words.map((each) => each.getBoundingClientRect())
                .filter((box) => box.left < room.left - 1 || box.right > room.right + 1);
            return { width: drawing.getBoundingClientRect().width, room: room.width,
                     said: drawing.getAttribute("aria-label"), role: drawing.getAttribute("role"),
                     least: Math.min(...sizes), cut: cut.length };
        }),
})"""
#: Every chart that is seen fits.
FITS = f"""(name) => {{
    const found = ({MEASURED})(document.querySelector(`.recover-nb-${{name}}`));
    return found.charts.length && found.charts.every((each) => each.width <= each.room + 1.5);
}}"""


@pytest.fixture(scope="module")
def notebook(browser, server, tmp_path_factory):
    with page_of(browser, server, tmp_path_factory.mktemp("fitting"), *SOURCES) as opened:
        for name in EXPLORERS:
            view(opened, name).locator("svg.marks").first.wait_for(timeout=ACT)
        opened.page.evaluate("window.jupyterapp.shell.collapseLeft()")
        # Cells are taller on a narrow page, and Lab draws those alone that are in sight.
        for _ in range(3):
            stretch(opened, 400)
            opened.page.wait_for_timeout(1000)
        yield opened


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_panel_fits_a_narrow_page_and_is_described(notebook, name):
    panels = notebook.read(f"list(views['{name}'].controls['panel'].options)")
    for panel in [each[1] if isinstance(each, list) else each for each in panels]:
        notebook.read(f"setattr(views['{name}'], 'panel', '{panel}')")
        said = notebook.read(
            f"[chart.to_dict()['description'] for chart in views['{name}'].charts().values()]"
        )
        notebook.page.wait_for_function(
            f"([name, said]) => JSON.stringify(({MEASURED})(document.querySelector("
            "`.recover-nb-${name}`)).charts.map((each) => each.said)) === JSON.stringify(said)",
            arg=[name, said],
            timeout=ACT,
        )
        notebook.page.wait_for_function(FITS, arg=name, timeout=ACT)
        found = view(notebook, name).evaluate(MEASURED)
        assert found["view"][0] <= found["view"][1], (panel, found)
        for chart in found["charts"]:
            assert chart["role"] == "img" and chart["said"].startswith("Chart: ")
            assert chart["least"] >= 11 and chart["cut"] == 0, (panel, chart)
