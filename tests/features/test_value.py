"""The value of a prefix: fatal tokens, detectors and their chance, worked out by hand."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb import tables
from recover_nb.core.errors import InputError
from recover_nb.features.detectors import _judge, fatal_in_step, judge_detectors, value_traces
from recover_nb.features.value import (
    fatal_token,
    problems_with_value,
    recorded_value,
    recoverable_until,
    value_dataset,
)


@pytest.mark.parametrize(
    ("right", "fatal", "until"),
    [
        ([20, 21, 18, 3, 2, 0], 2, 2),
        # 7 of 24 are lost twice: the earlier.
        ([20, 14, 13, 6, 0], 0, 2),
        # 8 are lost at the third token, 7 at the first: within one of 24, so the first.
        ([20, 13, 13, 5, 0], 0, 2),
        # 9 and 7 are further apart.
        ([20, 13, 13, 4, 0], 2, 2),
        # Exactly half of the start is not above it.
        ([20, 10, 0], 0, 0),
        # Nothing to lose, and nothing lost.
        ([0, 0, 0], -1, -1),
        ([3, 3, 4], -1, 2),
        # A problem that had no value gained some, and lost it.
        ([0, 7, 7, 0], 2, -1),
    ],
)
def test_fatal_token_and_recoverable_until(right, fatal, until):
    assert fatal_token(np.array(right), 24) == fatal
    assert recoverable_until(np.array(right)) == until


@pytest.mark.parametrize(("right", "n"), [([3], 24), ([[1, 2]], 24)])
def test_what_is_no_value_map_is_refused(right, n):
    with pytest.raises(InputError, match="allowed: one count per prefix"):
        fatal_token(np.array(right), n)


def test_a_value_map_has_draws():
    with pytest.raises(InputError, match="n must be a whole number of at least 1, got 0"):
        fatal_token(np.array([3, 2]), 0)


def with_value(n=6):
    """Return a study whose problem 1 has a value map, with a wrong step and signals by hand."""
    ds = tiny_study(n).copy(deep=True)
    first = int((ds["correct"].values[1, :, 0] == 0).argmax())
    ds["n_tokens"].values[1, first, 0] = 6
    ds["token_id"].values[1, first, 0] = [5, 5, 5, 5, 5, 5, -1]
    ds["value_n"].values[1] = 24
    ds["value_right"].values[1, 1, :7] = [20, 21, 18, 3, 2, 1, 0]
    ds["value_right"].values[1, 3, :7] = [20, 21, 20, 20, 8, 1, 0]
    ds["origin"].values[1, first, 0] = "slip"
    ds["first_wrong"].values[1, first, 0] = 3
    ds["wrong_step_start"].values[1, first, 0] = 1
    ds["junction"].values[1, first] = 1
    ds["first_firing"].values[1, first] = 4
    peaks = {"path_deformation": 2, "kl_divergence": 5, "entropy": 0, "logit_variance": 3}
    for name, place in peaks.items():
        ds[name].values[1, first, :6] = 0.1
        ds[name].values[1, first, place] = 1.0
    ds["alternative_token_id"].values[1, :6, :, 0] = [
        [7, 7],
        [7, 7],
        [7, 8],
        [7, 8],
        [7, 7],
        [7, 7],
    ]
    return ds


def test_a_recorded_map_comes_back_as_it_was_measured():
    ds = with_value()
    assert problems_with_value(ds) == [1]
    values = recorded_value(ds, 1)
    assert values["intervention"].values.tolist() == ["retry", "sparse_steer"]
    assert values["right"].values[0].tolist() == [20, 21, 18, 3, 2, 1, 0]
    assert values["token"].values[0] == "" and len(values["token"]) == 7
    assert values.attrs["n"] == 24
    with pytest.raises(
        InputError, match=r"no value map of problem 2; it has one of 1 problems \(1\)"
    ):
        recorded_value(ds, 2)
    assert problems_with_value(ds.drop_vars("value_n")) == []


def test_who_points_where_by_hand():
    row = value_traces(with_value()).iloc[0]
    assert row["fatal"] == 2 and row["n_tokens"] == 6
    # 5 % of 24 is 1.2: after four tokens two are right, after five one is.
    assert row["lost_from"] == 5
    places = {"junction": 1, "first_firing": 4, "path_deformation": 2, "kl_divergence": 5}
    places |= {"entropy": 0, "logit_variance": 3, "first_disagreement": 2, "first_wrong": 3}
    assert row[list(places)].to_dict() == places


def test_detectors_beside_chance_by_hand():
    rows = judge_detectors(with_value()).set_index("detector")
    near = rows["near"] == 1
    assert near[near].index.tolist() == [
        "junction",
        "path_deformation",
        "logit_variance",
        "first_disagreement",
        "first_wrong",
    ]
    # Three of six tokens are within one of the fatal one, three of six are in the wrong step.
    assert (rows["near_chance"] == 0.5).all() and (rows["in_step_chance"] == 0.5).all()
    assert rows["distance"].tolist() == [-1, 2, 0, 3, -2, 1, 0, 1]
    assert rows["too_late"].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    assert rows["in_step"].tolist() == [1, 0, 1, 0, 0, 1, 1, 1]
    assert fatal_in_step(with_value()) == {"slips": 1, "inside": 1, "share": 1.0, "without": 0}


def test_near_an_end_chance_is_smaller_and_nowhere_is_not_near():
    frame = pd.DataFrame(
        {
            "fatal": [0, 4],
            "n_tokens": [5, 5],
            "lost_from": [1, 5],
            "step_start": [0, 4],
            "step_end": [0, 4],
            "who": [-1, 4],
        }
    )
    row = _judge(frame, frame, "who")
    assert row["near_chance"] == pytest.approx(2 / 5)
    assert (row["points"], row["near"], row["in_step"]) == (0.5, 0.5, 0.5)
    assert row["distance"] == 0


def test_a_study_without_maps_says_how_to_get_one():
    with pytest.raises(InputError, match="stores no value map; run it with value_problems"):
        value_traces(tiny_study())


def test_rows_and_sentence_of_a_map():
    counts = np.array([[20, 21, 18, 3, 0], [20, 22, 22, 20, 9]])
    values = value_dataset(counts, ["retry", "x"], 24, ["4", "7", "=", "9"])
    frame = tables.value_rows(values)
    assert frame["intervention"].tolist() == ["retry"] * 5 + ["x"] * 5
    assert frame["token"].tolist() == ["", "4", "7", "=", "9"] * 2
    assert frame.loc[frame["is_fatal"], "tokens"].tolist() == [3, 3]
    first = frame.iloc[0]
    # Wilson's interval of 20 in 24.
    assert (first["low"], first["high"]) == pytest.approx((0.6415, 0.9332), abs=1e-4)
    said = tables.value_sentence(values)
    assert said == 'Right in 20 of 24 tries at first; lost at token 2 ("="): from 18 of 24 to 3.'
    flat = value_dataset(np.array([[2, 2, 2]]), ["retry"], 24)
    assert tables.value_sentence(flat).endswith("no token loses anything.")


def test_the_chart_draws_a_staircase_for_each_arm():
    values = value_dataset(np.array([[20, 21, 3, 0], [20, 22, 20, 9]]), ["retry", "ancestor"], 24)
    chart = rnb.plot_value(tables.value_rows(values)).to_dict()
    marks = [layer["mark"]["type"] for layer in chart["layer"]]
    assert marks == ["area", "rule", "line", "point"]
    drawn = [row for rows in chart["datasets"].values() for row in rows]
    assert {row["intervention"] for row in drawn} == {"retry", "ancestor"}


def test_value_dataset_is_counts_on_intervention_and_prefix():
    values = value_dataset(np.array([[1, 0]]), ["retry"], 3)
    assert isinstance(values, xr.Dataset)
    assert values["right"].dims == ("intervention", "prefix")
    assert values["right"].dtype == np.int32
