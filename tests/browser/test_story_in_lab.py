"""A failure in four steps: in JupyterLab by keys, and as a page of its own, offline."""

import pytest
from chromium import closed_context
from lab_page import ACT
from widget_page import page_of, picture, stretch

import recover_nb as rnb

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CARD = ".story"
NEXT = ".story-gallery [aria-label='next failure']"
SETTLED = "document.querySelector('.story').dataset.settled === 'yes'"
#: Milliseconds until something is seen.
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
CURRENT = "[...document.querySelectorAll('.story-step')].map((one) => one.ariaCurrent)"
LOAD = "import recover_nb as rnb\nrnb.story()"
CHART = "ds = rnb.load_study()\nrnb.plot_regimes(ds)"


@pytest.fixture(scope="module")
def told():
    return rnb.story()


@pytest.fixture(scope="module")
def saved(told, tmp_path_factory):
    return told.save(tmp_path_factory.mktemp("story") / "story.html")


@pytest.fixture
def opened(browser, saved, request):
    """Open the page with no network; what it loads is the page alone."""
    options = {"viewport": {"width": 1024, "height": 700}, **getattr(request, "param", {})}
    context, asked = closed_context(browser, offline=True, **options)
    page, errors, loaded = context.new_page(), [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asks: loaded.append(asks.url))
    page.goto(saved.as_uri(), timeout=ACT)
    yield page
    context.close()
    assert not errors and not asked
    assert set(loaded) == {saved.as_uri()}


def step(page, number):
    """Go to a step, and wait until it has come to its end."""
    page.get_by_role("button", name=f"step {number}").click(timeout=ACT)
    page.wait_for_function(SETTLED, timeout=ACT)


STILL = {"reduced_motion": "reduce"}
PHONE = {**STILL, "viewport": {"width": 400, "height": 800}}


@pytest.mark.parametrize("opened", [STILL], indirect=True)
def test_four_steps_of_every_failure_fit_the_card(opened, told):
    first = told.stories[0]
    painted = opened.wait_for_function(PAINTED, timeout=ACT).json_value()
    print(f"the story is painted after {painted:.0f} ms")
    assert painted < 1000
    assert opened.locator(CARD).get_by_text(f"said {first['said']}").is_visible()
    for number, failure in enumerate(told.stories):
        tokens = opened.locator(".story-answer > .story-trace .story-token")
        assert tokens.count() == len(failure["tokens"])
        assert opened.get_by_text(f"{number + 1} of 6").is_visible()
        assert opened.get_by_text(failure["chosen"]).is_visible()
        for at, note in enumerate(failure["notes"]):
            step(opened, at + 1)
            assert opened.locator(".story-note").text_content() == note
            assert opened.locator(CARD).bounding_box()["height"] == 520
        # The last step: as many dots as attempts, and as many ticks as right ones.
        right = [each for arm in failure["attempts"] for each in arm["right"]]
        assert opened.locator(".story-dot").count() == len(right)
        assert opened.locator(".story-hit").count() == sum(right)
        assert opened.get_by_text(told.overall).is_visible()
        opened.locator(NEXT).click(timeout=ACT)


@pytest.mark.parametrize("opened", [STILL], indirect=True)
def test_where_it_was_lost_and_what_both_models_would_write(opened, told):
    first = told.stories[0]
    step(opened, 2)
    turn = opened.locator(".story-turn")
    assert turn.locator(".story-text").text_content() == first["tokens"][first["turn"]]
    heights = opened.evaluate(
        "[...document.querySelectorAll('.story-fill')].map((one) => parseFloat(one.style.height))"
    )
    assert heights == pytest.approx([100 * value for value in first["value"][1:]])
    assert opened.locator(".story-bars code").count() == len(first["bars"])
    turn.hover(timeout=ACT)
    after = first["value"][first["turn"] + 1]
    assert opened.get_by_text(f"{after:.0%} still end right").is_visible()
    step(opened, 3)
    saved = "".join(first["rescued"]["tokens"]).replace(" ", "\u00b7")
    assert opened.locator(".story-below .story-trace").inner_text().replace("\n", "") == saved


@pytest.mark.parametrize("opened", [PHONE], indirect=True)
def test_nothing_is_cut_on_a_phone(opened, told):
    for _ in told.stories:
        for number in range(1, 5):
            step(opened, number)
            assert opened.evaluate("document.documentElement.scrollWidth") == 400
        opened.locator(NEXT).click(timeout=ACT)


@pytest.mark.parametrize("opened", [STILL], indirect=True)
def test_reduced_motion_shows_each_step_at_once(opened):
    assert opened.evaluate(SETTLED)
    assert opened.locator(".story-hidden").count() == 0


def test_it_plays_and_pauses(opened, told):
    """Token by token; a pause ends the step that has begun, and starts no other."""
    opened.clock.install(time=0)
    opened.reload(timeout=ACT)
    opened.clock.pause_at(3_600_000)
    opened.get_by_role("button", name="step 1").click(timeout=ACT)
    hidden = opened.locator(".story-answer .story-hidden")
    many = len(told.stories[0]["tokens"])
    assert hidden.count() == many
    opened.get_by_role("button", name="play", exact=True).click(timeout=ACT)
    opened.clock.run_for(3 * 70)
    assert hidden.count() == many - 3
    opened.clock.run_for(many * 70 + 600 + 600 + 2600)
    assert opened.locator(CARD).get_attribute("data-step") == "2"
    opened.get_by_role("button", name="pause").click(timeout=ACT)
    opened.clock.run_for(60_000)
    assert opened.locator(CARD).get_attribute("data-step") == "2"
    assert opened.evaluate(SETTLED)
    # It ends with the failure; the next one is for whoever presses again.
    opened.get_by_role("button", name="play", exact=True).click(timeout=ACT)
    opened.clock.run_for(120_000)
    assert opened.locator(CARD).get_attribute("data-step") == "4"
    assert opened.get_by_text("1 of 6").is_visible()
    opened.locator(".story-play").click(timeout=ACT)
    assert opened.get_by_text("2 of 6").is_visible()
    assert opened.locator(CARD).get_attribute("data-step") == "1"


@pytest.fixture(scope="module")
def lab_page(browser, server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("story-in-lab")
    with page_of(browser, server, folder, LOAD, CHART) as notebook:
        yield notebook


def test_keys_turn_steps_and_stay_in_the_card(lab_page):
    page = lab_page.page
    before = lab_page.prompts()
    page.get_by_role("button", name="step 1").focus(timeout=ACT)
    for expected in (1, 2, 3, 3):
        page.keyboard.press("ArrowRight")
        assert page.evaluate(CURRENT).index("step") == expected
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(CURRENT).index("step") == 2
    assert page.evaluate("document.activeElement.textContent") == "3 One token"
    page.keyboard.press("b")
    assert lab_page.prompts() == before
    page.wait_for_function(SETTLED, timeout=ACT)
    assert page.locator(".story-below .story-trace").is_visible()


def test_a_chart_as_the_last_line_is_drawn_offline(lab_page):
    """Nothing is asked of another host: `page_of` fails where something is."""
    place = lab_page.page.locator(".recover-nb-chart[data-live='yes']")
    place.wait_for(timeout=ACT)
    assert place.locator("svg.marks g.role-mark path").count() > 10


def test_it_is_seen_in_both_themes(lab_page):
    stretch(lab_page)
    lab_page.page.locator(CARD).evaluate("(card) => card.classList.add('recover-nb-Story')")
    picture(lab_page, "Story")
