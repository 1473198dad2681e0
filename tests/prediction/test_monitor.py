"""A monitor of traces: what it sees, where it stops, what that saves and loses, all by hand."""

import numpy as np
import pytest
from cued_traces import TOKENS, cued_study

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Verdict
from recover_nb.prediction.monitor import (
    peaks,
    right_within,
    saved_at,
    stops,
    threshold_for,
    traces_of,
)
from recover_nb.prediction.monitor_features import Traces, features_of, fit_monitor
from recover_nb.prediction.monitor_result import LEVELS
from recover_nb.stats.resampling import Resamples

#: Three traces of 4, 4 and 2 tokens; the second and third are right.
SCORES = np.array([[0.1, 0.9, 0.2, 0.9], [0.1, 0.2, 0.6, 0.9], [0.3, 0.8, 0.0, 0.0]])
LENGTHS = np.array([4, 4, 2])


def made(right, lengths, cue=None, question=None):
    n = len(lengths)
    zeros = np.zeros((n, 4))
    return Traces(
        np.array(right),
        np.array(lengths),
        zeros,
        zeros,
        np.full((n, 4), -1) if cue is None else np.array(cue),
        np.array(["neox|program"] * n),
        np.array(question or [f"q{i}" for i in range(n)]),
    )


@pytest.fixture(scope="module")
def ds():
    return cued_study()


@pytest.fixture(scope="module")
def found(ds):
    return rnb.monitor(ds, n_bootstrap=40, n_shuffles=2)


def test_a_trace_stops_where_the_score_first_exceeds_the_threshold_and_never_at_its_end():
    assert stops(SCORES, LENGTHS, 0.5).tolist() == [2, 3, 2]
    # 0.9 at the last token of the first two saves nothing, 0.8 at that of the third neither.
    assert stops(SCORES, LENGTHS, 0.7).tolist() == [2, 4, 2]
    assert stops(SCORES, LENGTHS, 0.25).tolist() == [2, 3, 1]
    assert peaks(SCORES, LENGTHS).tolist() == [0.9, 0.6, 0.3]


def test_the_threshold_loses_no_more_right_traces_than_allowed():
    traces = made([False, True, True], LENGTHS)
    assert threshold_for(SCORES, traces, 0.0) == 0.6
    assert threshold_for(SCORES, traces, 0.5) == 0.3
    assert threshold_for(SCORES, traces, 0.49) == 0.6


def test_tokens_saved_where_none_of_the_right_is_lost():
    traces = made([False, True, True], LENGTHS)
    resamples = Resamples(np.array([[1.0, 1, 1], [3, 0, 0], [0, 3, 0]]), np.arange(3))
    value, drawn = saved_at(SCORES, traces, np.arange(3), resamples)
    # Above 0.6 only the first stops, after 2 of 4 tokens: 2 of 10.
    assert value.tolist() == [pytest.approx(0.2)] * len(LEVELS)
    assert drawn[0].tolist() == value.tolist()
    # Three times the wrong trace: 6 of 12. Three times a right one: nothing to stop.
    assert drawn[1, 0] == pytest.approx(0.5)
    assert drawn[2, 0] == 0


def test_right_within_a_budget():
    right = np.array([[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool)
    tokens = np.full((3, 4), 10.0)
    # Two of four attempts, one of them right: 1/2. One and a half: between 1/4 and 1/2.
    assert right_within(right, tokens, np.full(3, 20.0)).tolist() == [0.5, 1, 0]
    assert right_within(right, tokens, np.full(3, 15.0))[0] == pytest.approx(0.375)
    # No more attempts than there are.
    assert right_within(right, tokens, np.full(3, 1000.0)).tolist() == [1, 1, 0]


def test_features_know_only_what_came_so_far():
    traces = made([True], [4], cue=[[1, -1, 3, -1]])
    seen = features_of(traces, cues=True)[0]
    assert features_of(traces, cues=False).shape == (1, 4, 8)
    # Cues so far, doubtful ones so far, tokens since the last cue.
    assert seen[:, 8].tolist() == [1, 1, 2, 2]
    assert seen[:, 9].tolist() == [0, 0, 1, 1]
    assert seen[:, 10].tolist() == [0, 1, 0, 1]
    assert seen[:, 11:].sum(axis=0).tolist() == [0, 1, 0, 1]
    later = made([True], [4], cue=[[1, -1, 1, 2]])
    assert (features_of(later, cues=True)[0, :2] == seen[:2]).all()


def test_where_nothing_was_wrong_the_chance_is_none():
    traces = made([True, True], [2, 3])
    assert fit_monitor(traces, cues=True).score(traces).max() == 0


def test_a_cue_that_tells_all_saves_all_that_follows_it(found):
    frame = found.to_dataframe().query("lost == 0").set_index("monitor")
    # Wrong traces stop after 3 of 6 tokens: half of the share that is wrong.
    wrong = 1 - found.traces["right"]
    assert frame.loc["cues", "saved"] == pytest.approx(wrong / 2, abs=0.01)
    assert frame.loc["without_cues", "saved"] < 0.1
    assert found.traces["wrong_if_doubted"] == 1
    assert found.traces["wrong_if_not"] == 0
    assert found.traces["doubted"] == wrong
    assert found.verdict is Verdict.SUPPORTED
    deployed = found.deployed_frame().set_index("monitor")
    assert deployed.loc["cues", "lost"] <= 0.03
    assert deployed.loc["cues", "saved"] == pytest.approx(wrong / 2, abs=0.02)


def test_a_forced_cue_rescues_more_for_the_same_tokens(found):
    frame = found.rescue_frame().set_index("arm")
    assert frame["rate"].round(3).tolist()[0] == 0.333
    # Four attempts are asked for and three are there, one right: always within.
    assert frame.loc[["retry", "redraw", "force_cue"], "rescued"].tolist() == [1, 1, 1]
    assert found.lever_verdict is Verdict.NOT_SHOWN
    assert frame.loc["force_cue", "tokens"] == TOKENS


def test_cues_that_tell_nothing_are_not_supported(ds):
    blind = ds.copy()
    blind["cue"] = ds["cue"].where(ds["cue"] != 3, 1)
    found = rnb.monitor(blind, n_bootstrap=40, n_shuffles=2)
    assert found.verdict is not Verdict.SUPPORTED
    lead = found.curves.lead("without_cues", 0.03)
    assert lead[1] <= 0 <= lead[2]


def test_it_is_said_and_shown(found):
    assert "Tokens saved: with 0 % of right answers lost, cues" in found.sentence
    assert "force_cue over retry +0.0 points [+0.0, +0.0]" in found.sentence
    assert "a monitor that sees cues saves" in found._repr_html_()
    drawn = rnb.plot_monitor(found).to_dict()
    assert [layer["mark"]["type"] for layer in drawn["layer"]] == ["area", "line", "rule"]
    assert found.dataset["saved"].dims == ("group", "monitor", "lost")
    assert found.to_dict()["verdict"] == "supported"


def test_what_is_no_such_file_is_refused(ds, tmp_path):
    with pytest.raises(InputError, match="must be what rnb"):
        rnb.monitor(ds.drop_vars("cue"))
    with pytest.raises(InputError, match="no problems of cued in the dev split"):
        traces_of(ds.isel(problem=ds["method"].values == "sft"), "cued", "dev")
    with pytest.raises(InputError, match="no attempts at failed problems"):
        rnb.monitor(ds.drop_isel(arm=0), n_bootstrap=5, n_shuffles=1)
    with pytest.raises(InputError, match="is not there; make it with: recover-nb train --cued"):
        rnb.load_cued(tmp_path / "none.zarr.zip")


def test_sft_is_counted_on_the_problems_that_failed_alone(ds):
    some = ds.copy(deep=True)
    tested = (some["method"].values == "cued") & (some["split"].values == "test")
    first = np.flatnonzero(tested)[0]
    some["attempt_correct"].values[np.flatnonzero(tested)[1:]] = -1
    same = (some["method"].values == "sft") & (
        some["problem_id"].values == some["problem_id"].values[first]
    )
    some["correct"].values[same] = [[1, 1, 0, 0, 0, 0]]
    found = rnb.monitor(some, n_bootstrap=5, n_shuffles=1)
    assert found.traces["right_sft_failed"] == pytest.approx(1 / 3)
