"""The film of training in a browser: keys, the button, reduced motion, and without scripts."""

import pytest
from axe import violations
from chromium import closed_context
from lab_page import OPEN
from onward_answers import four_problems

import recover_nb as rnb

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SAID = rnb.tables.training_film(*four_problems())["sentences"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    film = rnb.plot_training_film(*four_problems())
    return film.save(tmp_path_factory.mktemp("film") / "film.html")


@pytest.fixture
def opened(browser, path, request):
    """Return the page, opened from a file without a network."""
    options = {"viewport": {"width": 1200, "height": 900}, **getattr(request, "param", {})}
    context, asked = closed_context(browser, offline=True, **options)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri(), timeout=OPEN)
    yield page
    assert not errors
    assert not asked
    context.close()


def numbers(page):
    return page.locator(".film-n").all_text_contents()


FIRST = ["1", "0", "0", "1", "0", "0", "0", "1", "0", "0", "0", "1"]
LAST = ["0", "0", "1", "1", "0", "0", "0", "0", "1", "0", "1", "0"]


def test_keys_move_the_film(opened):
    slider = opened.get_by_role("slider", name="step of training")
    assert (numbers(opened), opened.locator(".film-said").inner_text()) == (LAST, SAID[1])
    slider.focus()
    opened.keyboard.press("ArrowLeft")
    assert (numbers(opened), opened.locator(".film-said").inner_text()) == (FIRST, SAID[0])
    assert slider.get_attribute("aria-valuetext") == "after 0 steps"
    assert opened.locator(".film-drawing").get_attribute("aria-label") == SAID[0]
    opened.keyboard.press("End")
    assert numbers(opened) == LAST


def test_the_button_plays_from_the_start_and_stops_at_the_end(opened):
    button = opened.locator(".film-play")
    button.focus()
    opened.keyboard.press("Enter")
    assert (numbers(opened), button.inner_text()) == (FIRST, "Pause")
    opened.wait_for_function("document.querySelector('.film-play').textContent === 'Play'")
    assert numbers(opened) == LAST


def test_a_second_press_pauses(opened):
    button = opened.locator(".film-play")
    # At once: a slow machine would come to the end between two clicks.
    opened.evaluate("const one = document.querySelector('.film-play'); one.click(); one.click()")
    assert button.inner_text() == "Play"
    opened.wait_for_timeout(1800)
    assert numbers(opened) == FIRST


def test_pointing_at_a_dot_names_its_problem(opened):
    opened.locator("circle").first.hover()
    assert opened.locator(".film-one").inner_text() == (
        "neox, sft, program, level 1: what is 0? (right: 30 %, 85 %)"
    )


@pytest.mark.parametrize(
    ("opened", "moves"),
    [({"reduced_motion": "reduce"}, "0s"), ({"reduced_motion": "no-preference"}, "0.9s")],
    indirect=["opened"],
    ids=["reduced", "as it is"],
)
def test_motion_is_reduced_where_asked(opened, moves):
    style = "getComputedStyle(document.querySelector('circle')).transitionDuration"
    assert opened.evaluate(style) == moves


@pytest.mark.parametrize("opened", [{"java_script_enabled": False}], indirect=True, ids=["none"])
def test_without_scripts_the_last_step_is_seen(opened):
    assert numbers(opened) == LAST
    assert opened.locator(".film-said").inner_text() == SAID[1]
    assert not opened.locator(".film-controls").is_visible()


@pytest.mark.parametrize(
    "opened", [{}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_axe_finds_nothing(opened):
    assert violations(opened) == []


@pytest.mark.parametrize(
    "opened", [{"viewport": {"width": 400, "height": 800}}], indirect=True, ids=["narrow"]
)
def test_it_fits_a_narrow_page(opened):
    assert opened.evaluate("document.documentElement.scrollWidth") <= 400
