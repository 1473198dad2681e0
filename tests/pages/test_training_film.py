"""The film of training: where every dot is, what is said, and that no text runs."""

import re

import pytest
from onward_answers import four_problems

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.pages.film import PITCH, TrainingFilm, counts, places


@pytest.fixture(scope="module")
def told():
    return rnb.tables.training_film(*four_problems())


def test_bands_are_those_of_fixed(told):
    # Mean rates: 0.3 to 0.85, 0 to 0.4, 0.7 to 1, 0.9 to 0.65.
    assert [dot["band"] for dot in told["dots"]] == [[0, 2], [0, 0], [1, 2], [2, 1]]
    assert [dot["rate"] for dot in told["dots"]] == [[30, 85], [0, 40], [70, 100], [90, 65]]
    assert [group["key"] for group in told["groups"]] == [
        "steerable_hard",
        "beyond_reach",
        "resample",
        "never_failed",
    ]
    assert told["dots"][0]["name"] == "neox, sft, program, level 1"
    assert told["dots"][0]["prompt"] == "what is 0?"


def test_one_seed_has_its_own_rates():
    told = rnb.tables.training_film(*four_problems(), seed=0)
    assert [dot["rate"] for dot in told["dots"]] == [[20, 80], [0, 0], [80, 100], [100, 40]]
    assert told["of"] == "seed 0"


def test_sentences_count(told):
    assert told["sentences"] == [
        "Before: of 3 problems that failed at least once, 2 are right less than half of the time.",
        "After 60 steps: 1 of these 2 are right at least 80 % of the time. Of 1 that never failed,"
        " 1 fell below that.",
    ]


def test_an_unknown_seed_is_refused():
    with pytest.raises(InputError, match="seed is 7; allowed: 0, 1, or None"):
        rnb.plot_training_film(*four_problems(), seed=7)


def many(*bands):
    """Return what a film of one group with these bands shows."""
    dots = [
        {"group": 0, "band": list(band), "rate": [0, 0], "name": "n", "prompt": "p"}
        for band in bands
    ]
    return {
        "steps": [0, 60],
        "bands": ["low", "mid", "high"],
        "groups": [{"key": "resample", "name": "asking again helps", "n": len(dots)}],
        "dots": dots,
        "sentences": ["before", "after"],
        "of": "seed 0",
    }


def test_dots_fill_a_band_from_below_and_leave_no_hole():
    told = TrainingFilm(many(*[(0, 2)] * 30)).told
    base, across = told["bases"][0], told["groups"][0]["across"]
    spots = places(told, 0)
    assert across == 22
    assert spots[0] == (3, base)
    assert spots[21] == (3 + 21 * PITCH, base)
    assert spots[22] == (3, base - PITCH)
    assert len(set(spots)) == 30
    assert counts(told, 0) == {(0, 0): 30, (0, 1): 0, (0, 2): 0}
    assert counts(told, 1) == {(0, 0): 0, (0, 1): 0, (0, 2): 30}


def test_the_best_band_is_on_top_and_all_fits():
    told = TrainingFilm(many(*[(0, 2)] * 1000)).told
    assert told["bases"][2] < told["bases"][1] < told["bases"][0] < told["height"]
    for at in (0, 1):
        assert all(0 < x < told["width"] and 0 < y < told["height"] for x, y in places(told, at))


def test_still_is_of_the_last_step_and_says_so(told):
    shown = TrainingFilm(told)._repr_mimebundle_()
    page = shown["text/html"]
    assert shown["text/plain"] == told["sentences"][-1]
    assert page.count("<circle") == 4
    assert f'aria-label="{told["sentences"][-1]}"' in page
    assert re.findall(r'class="film-n"[^>]*>(\d+)<', page) == [
        *("0", "0", "1"),
        *("1", "0", "0"),
        *("0", "0", "1"),
        *("0", "1", "0"),
    ]
    assert "prefers-reduced-motion" in page
    assert not re.search(r"(src|href)=.https?:", page)


@pytest.mark.parametrize(
    "text",
    ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\u2028`${alert(1)}`"],
    ids=["script", "image", "line end"],
)
def test_text_of_a_study_does_not_run(text):
    ds, onward = four_problems()
    ds["prompt"][0] = text
    page = rnb.plot_training_film(ds, onward)._repr_mimebundle_()["text/html"]
    assert "<img" not in page
    assert page.count("<script>") == page.count("</script>") == 1
    assert "\u2028" not in page
