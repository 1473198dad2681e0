"""Names and titles for people."""

import math

import pandas as pd
import pytest

from recover_nb import tables
from recover_nb.core.labels import FEATURES, Intervention, Method, Regime
from recover_nb.core.titles import about, named, p_cell, p_value, shown, title


@pytest.mark.parametrize("name", [*Intervention, *Regime, *Method])
def test_a_name_of_the_code_can_be_found_again(name):
    assert name in named(name)
    if name != Method.ANCESTOR:
        assert named(name).endswith(f" ({name})") and "_" not in named(name).split(" (")[0]


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_words(name):
    assert "_" not in named(name)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("sd_points", "standard deviation, points"),
        ("excess_points", "excess, points"),
        ("change_low_points", "change, 95 % from, points"),
        ("pass_at_1", "right at the first try"),
        ("n", "problems"),
        ("p_holm", "p (Holm)"),
        ("own column", "own column"),
    ],
)
def test_titles_by_hand(column, said):
    assert title(column) == said


def test_the_least_p_value_is_a_bound():
    assert p_value(1 / 21, 20) == "p <= 0.048 (20 permutations)"
    assert p_value(2 / 21, 20) == "p = 0.095"
    assert p_value(1 / 21, 40) == "p = 0.048"
    assert p_value(1 / 201, 200, "simulated data sets") == "p <= 0.005 (200 simulated data sets)"
    assert (p_cell(1 / 21, 20), p_cell(1 / 21), p_cell(math.nan, 20)) == (
        "<= 0.048",
        "0.048",
        "\u2013",
    )


def test_no_half_problem_and_no_sign_of_zero():
    assert (about(234.5), about(234.0), about(0.4)) == ("about 235", "234", "about 0")
    assert shown(-0.04, "lift_points") == "0.0" and shown(-0.06, "lift_points") == "-0.1"
    assert shown(234.5, "n") == "about 235"
    assert shown(0.125, "rate") == "12.5 %" and shown(1, "retry") == "1"
    assert shown(True) == "yes"


def test_what_people_wrote_is_no_name():
    assert shown("retry", "answer") == "retry"
    assert shown("retry", "intervention") == "asking again (retry)"


def test_a_frame_to_read():
    frame = pd.DataFrame(
        {"regime": ["resample", "<b>"], "sd_points": [-0.01, 2.04], "p": [1 / 21, 0.5]},
        index=[7, 9],
    )
    page = tables.for_people(frame, draws=20).to_html()
    for said in ("asking again helps (resample)", "&lt;b&gt;", ">0.0<", ">+2.0<", "&lt;= 0.048"):
        assert said in page
    assert "sd_points" not in page and "standard deviation, points" in page
    assert ">7<" not in page and "<b>" not in page
    assert list(frame.columns) == ["regime", "sd_points", "p"]


def test_an_index_with_a_name_is_shown():
    frame = pd.DataFrame({"n": [3]}, index=pd.Index(["retry"], name="comparator"))
    assert "asking again (retry)" in tables.for_people(frame).to_html()
