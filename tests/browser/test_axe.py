"""Every view and page, in light and dark, held against the rules of WCAG 2.2 by axe-core."""

import pytest
from axe import OF_THE_PAGE, violations
from chromium import closed_context
from lab_page import ACT
from playwright.sync_api import expect
from widget_page import page_of, stretch, wear

import recover_nb as rnb

pytestmark = [pytest.mark.browser, pytest.mark.slow]

THEMES = ("light", "dark")
GRAVE = ("critical", "serious")
SOURCES = (
    "import recover_nb as rnb\nds = rnb.load_study()\nshow = rnb.widgets",
    "routing = show.RoutingExplorer(ds)\nrouting",
    "stability = show.StabilityExplorer(ds)\nstability",
    "topography = show.TopographyExplorer(ds)\ntopography",
    "inspector = show.TraceInspector(ds, problem=977)\ninspector",
    "surgeon = show.TraceSurgeon(ds)\nsurgeon",
    "stepper = show.RolloutStepper(ds)\nstepper",
    "show.Predict('Which is larger?', ['2**10', '10**3'], '2**10 is 1024.', right='2**10',"
    " because='a kilobyte is more than a thousand')",
    "show.Press('add', lambda tell: '1 + 1 is 2')",
    "rnb.story()",
    "rnb.front_door()",
)
#: Where each is on the page.
VIEWS = {
    **{
        name: f".recover-nb-{name}"
        for name in (
            "RoutingExplorer",
            "StabilityExplorer",
            "TopographyExplorer",
            "TraceInspector",
            "TraceSurgeon",
            "RolloutStepper",
            "Predict",
            "Press",
        )
    },
    "story": ".story",
    "front_door": ".recover-nb-door",
}


@pytest.fixture(scope="module")
def notebook(browser, server, tmp_path_factory):
    with page_of(browser, server, tmp_path_factory.mktemp("axe"), *SOURCES) as opened:
        ready(opened)
        yield opened


def ready(notebook):
    """Wait for every chart, open what is folded, and put everything on the screen."""
    for name, place in VIEWS.items():
        notebook.page.locator(place).first.wait_for(timeout=ACT)
        if name.endswith("Explorer"):
            notebook.page.locator(f"{place} .vega-embed svg").first.wait_for(timeout=ACT)
    folded = notebook.page.locator(".recover-nb-unfold[aria-expanded=false]")
    for left in range(folded.count() - 1, -1, -1):
        folded.first.click(timeout=ACT)
        expect(folded).to_have_count(left, timeout=ACT)
    stretch(notebook)


@pytest.fixture(scope="module", params=THEMES)
def worn(notebook, request):
    wear(notebook, request.param)
    stretch(notebook)
    return notebook


@pytest.mark.parametrize("name", VIEWS)
def test_nothing_grave_in_a_view(worn, name):
    found = violations(worn.page, VIEWS[name], without=OF_THE_PAGE)
    assert [each for each in found if each[0] in GRAVE] == []


#: Controls within a place that have no name, or nothing to read when one points at them.
UNSAID = """(place) => {
    // What a radio button stands for is all there is to say of it.
    const controls = "button, input:not([type=radio]), select, textarea, [role=slider]";
    const shown = (each) => each.checkVisibility({ visibilityProperty: true });
    const said = (each) => {
        const labels = [...(each.labels || [])];
        const name = each.getAttribute("aria-label")
            || labels.map((one) => one.textContent).join("")
            || (each.matches("button") ? each.textContent : "");
        const around = each.closest(".jupyter-widgets, label");
        const titles = [each, ...labels, around, around?.querySelector(".widget-label")];
        const tooltip = titles.map((one) => one?.title).find((title) => title && title !== "null");
        return [name.trim(), tooltip];
    };
    return [...document.querySelectorAll(place)]
        .flatMap((view) => [...view.querySelectorAll(controls)])
        .filter(shown).filter((each) => !said(each).every(Boolean))
        .map((each) => `${each.tagName}: ${said(each)}`);
}"""
WIDGETS = [name for name, place in VIEWS.items() if place == f".recover-nb-{name}"]


@pytest.mark.parametrize("name", WIDGETS)
def test_every_control_has_a_name_and_a_tooltip(notebook, name):
    place = notebook.page.locator(VIEWS[name]).first
    assert place.locator("button").count()
    assert notebook.page.evaluate(UNSAID, VIEWS[name]) == []


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {
        "story": rnb.story().save(folder / "story.html"),
        "front_door": rnb.front_door().save(folder / "index.html"),
    }


@pytest.mark.parametrize("scheme", THEMES)
@pytest.mark.parametrize("name", ["story", "front_door"])
def test_nothing_grave_in_a_page(browser, pages, name, scheme):
    context, _ = closed_context(browser, offline=True, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(pages[name].as_uri(), timeout=ACT)
    found = violations(page)
    context.close()
    assert [each for each in found if each[0] in GRAVE] == []
