"""The front door in a browser: as a file without a network, and in Voila."""

import time

import pytest
from chromium import closed_context
from lab_page import ACT, OPEN, SCREENSHOTS
from shipped_notebooks import NOTEBOOKS

import recover_nb as rnb
from recover_nb.pages.front_door import TITLE, recorded

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: Voila itself asks other hosts for icons and for the typesetting of formulas; it shows everything
#: without them.
OF_VOILA = ("fontawesome", "mathjax")
DIAL = recorded()["dial"]
#: Seconds. On two idle cores the title is there after 2.1 and the door after 3.0; others may be
#: at work, and it must only be far from the time that all cells of a notebook take.
FIRST, WHOLE = 12, 20


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return rnb.front_door().save(tmp_path_factory.mktemp("door") / "index.html")


@pytest.fixture
def opened(browser, path, request):
    """Return the page, opened from a file without a network; it may load nothing else."""
    options = {"viewport": {"width": 1440, "height": 1000}, **getattr(request, "param", {})}
    context, asked = closed_context(browser, offline=True, **options)
    page, errors, loaded = context.new_page(), [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asks: loaded.append(asks.url))
    page.goto(path.as_uri(), timeout=OPEN)
    yield page
    assert not errors
    assert not asked
    assert [url for url in loaded if not url.startswith("data:")] == [path.as_uri()]
    context.close()


def filled(page):
    """Return how many of each square's hundred are filled."""
    squares = page.locator(".dial-square").all()
    return [square.locator("i.on").count() for square in squares]


def expected(at, way="solved"):
    return [strategy[way][at] for strategy in DIAL["strategies"]]


def test_the_dial_moves_by_keys(opened):
    slider = opened.get_by_role("slider", name="forward passes per problem")
    at = DIAL["budgets"].index(100)
    assert filled(opened) == expected(at)
    assert opened.locator(".dial-said").inner_text() == DIAL["sentences"][at]
    slider.focus()
    opened.keyboard.press("ArrowRight")
    assert opened.locator(".dial-budget b").inner_text() == "105"
    assert filled(opened) == expected(at + 1)
    assert opened.locator(".dial-said").inner_text() == DIAL["sentences"][at + 1]
    assert slider.get_attribute("aria-valuetext").startswith(
        "105 forward passes per problem, about"
    )
    opened.keyboard.press("Home")
    assert filled(opened) == [0] * 6
    assert opened.locator(".dial-said").inner_text() == DIAL["sentences"][0]
    opened.keyboard.press("End")
    assert filled(opened) == expected(-1)


def test_what_is_read_first_can_be_paid(opened):
    at = DIAL["budgets"].index(100)
    opened.get_by_label("also pay for the answers").check()
    assert filled(opened) == expected(at, "counted") != expected(at)
    assert opened.locator(".dial-said").inner_text() == DIAL["counted_sentences"][at]
    rule = opened.locator(".dial-one").nth(1)
    assert "still reading" in rule.inner_text()


def test_a_term_opens_and_closes_by_keys(opened):
    word = opened.locator(".dial-one [data-term='retry']")
    word.focus()
    opened.keyboard.press("Enter")
    card = opened.get_by_role("dialog", name="retry")
    assert card.inner_text().startswith("retry\n\nAsking the specialist again")
    # Terms within a term open in its place.
    opened.keyboard.press("Tab")
    opened.keyboard.press("Enter")
    assert opened.get_by_role("dialog", name="specialist").count() == 1
    assert card.count() == 0
    opened.keyboard.press("Escape")
    assert opened.get_by_role("dialog").count() == 0
    assert opened.evaluate("document.activeElement.dataset.term") == "retry"
    word.click()
    opened.mouse.click(5, 5)
    assert opened.get_by_role("dialog").count() == 0


def test_one_door_is_open_at_a_time(opened):
    doors, panels = opened.locator(".door"), opened.locator(".door-panel")
    assert [panel.is_visible() for panel in panels.all()] == [False] * 3
    doors.nth(1).focus()
    opened.keyboard.press("Enter")
    assert [panel.is_visible() for panel in panels.all()] == [False, True, False]
    assert opened.locator(".door-view:visible").count() == 12
    doors.nth(0).click()
    assert [panel.is_visible() for panel in panels.all()] == [True, False, False]
    # The story plays: nobody has to find a button first.
    assert opened.locator(".story [aria-label='pause']").count() == 1
    doors.nth(0).click()
    assert [panel.is_visible() for panel in panels.all()] == [False] * 3


@pytest.mark.parametrize("opened", [{"reduced_motion": "reduce"}], indirect=True)
def test_nothing_moves_by_itself_where_that_is_not_wanted(opened):
    opened.locator(".door").nth(0).click()
    assert opened.locator(".story [aria-label='play']").count() == 1
    assert opened.evaluate("document.getAnimations().length") == 0


@pytest.mark.parametrize(
    "opened",
    [
        {"viewport": {"width": width, "height": 1000}, "color_scheme": scheme}
        for width in (400, 1024, 1440)
        for scheme in ("light", "dark")
    ],
    indirect=True,
    ids=lambda given: f"{given['viewport']['width']}-{given['color_scheme']}",
)
def test_it_fits(opened, request):
    opened.locator(".door").nth(1).click()
    assert opened.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    name = request.node.callspec.id
    opened.screenshot(path=SCREENSHOTS / f"front-door-{name}.png", full_page=True, timeout=ACT)


@pytest.mark.parametrize("opened", [{"java_script_enabled": False}], indirect=True)
def test_without_scripts_everything_is_there(opened):
    assert [panel.is_visible() for panel in opened.locator(".door-panel").all()] == [True] * 3
    assert filled(opened) == expected(DIAL["budgets"].index(100))


def test_voila_shows_it_at_once(browser, server):
    folder = server.place(next(path for path in NOTEBOOKS if path.stem == "start"))
    context, asked = closed_context(browser, viewport={"width": 1440, "height": 1000})
    try:
        errors, refused, seconds = [], [], []
        # A server that has just started, and a browser that has never been there, are slower.
        for _ in range(2):
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("response", lambda got: refused.append(got.url) if got.status >= 400 else None)
            start = time.monotonic()
            page.goto(server.address("voila/render", folder), timeout=OPEN, wait_until="commit")
            page.locator("h1", has_text=TITLE).wait_for(timeout=OPEN)
            first = time.monotonic() - start
            page.locator(".dial-live").wait_for(timeout=OPEN)
            seconds.append((first, time.monotonic() - start))
        print(f"seconds to first content, and to the door: {seconds}")
        assert seconds[1][0] < FIRST and seconds[1][1] < WHOLE
        page.locator(".door").nth(1).click()
        assert page.locator(".door-view").first.get_attribute("href").startswith("00_tour.ipynb#")
        page.screenshot(path=SCREENSHOTS / "front-door-voila.png", timeout=ACT)
        assert not errors
        assert not refused
        assert not [url for url in asked if not any(name in url.lower() for name in OF_VOILA)]
    finally:
        context.close()
        server.stop_kernels()
