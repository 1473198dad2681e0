"""The trace inspector by its traits, without a browser: controls, what it shows and says."""

import numpy as np
import pytest
import xarray as xr
from tiny_study import tiny_study

from recover_nb.charts.theme import BELOW, HEAT, shade
from recover_nb.core.errors import InputError
from recover_nb.tables.inspection import (
    alternatives,
    differences,
    first_failed,
    read_trace,
    stored_alternatives,
)
from recover_nb.widgets import Selection, TraceInspector

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def ds():
    """Return six problems; pressure peaks at token 1 of problem 1's first failed rollout."""
    study = tiny_study()
    rollout = first_failed(study, 1)
    study["demotion_pressure"].values[1, rollout, 1] = 3.0
    return study


@pytest.fixture
def view(ds):
    return TraceInspector(ds, selection=Selection(problem=1, rollout=first_failed(ds, 1)))


def test_a_trace_is_read_token_for_token(ds):
    rollout = first_failed(ds, 1)
    trace = read_trace(ds, 1, rollout)
    n = int(ds["n_tokens"].values[1, rollout, 0])
    assert trace.token_id.tolist() == ds["token_id"].values[1, rollout, 0, :n].tolist()
    assert not trace.correct
    assert trace.junction == 1
    assert trace.window(0) == (1, 1)
    assert trace.window(8) == (0, n - 1)


@pytest.mark.parametrize(
    ("problem", "rollout", "intervention", "said"),
    [
        (9, 0, "none", "problem 9 is not there; allowed: 0 to 5"),
        (0, 9, "none", "rollout 9 is not there; allowed: 0 to 4"),
        (0, 0, "prayer", "no intervention 'prayer'; it holds none, retry"),
        (0, 0, "retry", "retry has no rollout 0 of problem 0: it was not run"),
    ],
)
def test_a_trace_that_is_not_there(ds, problem, rollout, intervention, said):
    with pytest.raises(InputError, match=said):
        read_trace(ds, problem, rollout, intervention)


def test_a_problem_alone_opens_its_first_failed_rollout(ds):
    ds["correct"].values[2, :, 0] = [1, 1, 0, 1, 0]
    selection = Selection(problem=2)
    view = TraceInspector(ds, selection=selection)
    assert selection.rollout == 2
    assert "problem 2, none rollout 2: <b>wrong</b>" in view._title.value
    ds["correct"].values[3, :, 0] = [1, 0, 0, 1, 0]
    selection.value = {"problem": 3, "rollout": -1}
    assert selection.rollout == 1
    assert "problem 3, none rollout 1: <b>wrong</b>" in view._title.value


def test_differences_by_hand():
    assert differences([5, 6, 7, 8], [5, 7, 8, 9]) == ([1], [3])
    assert differences([1], [1]) == ([], [])
    assert differences([], [1, 2]) == ([], [0, 1])


def test_shades_by_hand():
    # Nothing at zero, the full colour at the larger of the two sides, half as much at half of it:
    # 0xe6 is 230, and half of it 115, which is 0x73.
    assert shade([-2.0, 0.0, 1.0], diverging=True) == [f"{BELOW}e6", f"{HEAT}00", f"{HEAT}73"]
    assert shade([0.0, 1.0, np.nan, -1.0]) == [f"{HEAT}00", f"{HEAT}e6", "", f"{BELOW}00"]
    assert shade([2.0, 2.0]) == [f"{HEAT}e6"] * 2
    assert shade([0.0, 0.0]) == [f"{HEAT}00"] * 2
    assert shade([np.nan]) == [""]


def test_alternatives_are_of_the_first_failed_rollout(ds):
    rollout = first_failed(ds, 1)
    found = stored_alternatives(ds, 1, rollout)
    frame = alternatives(read_trace(ds, 1, rollout), 0, found, {})
    assert frame["model"].tolist() == ["specialist"] * 5 + ["ancestor"] * 5
    assert frame["rank"].tolist() == [1, 2, 3, 4, 5] * 2
    np.testing.assert_allclose(frame["probability"], np.exp(-1.5))
    assert frame["emitted"].all()
    assert stored_alternatives(ds, 1, rollout + 1) is None
    assert stored_alternatives(ds.drop_vars("alternative_token_id"), 1, rollout) is None


def test_a_cut_off_rollout_is_not_the_first_that_failed(ds):
    rollout = first_failed(ds, 1)
    ended = xr.ones_like(ds["correct"])
    ended[{"problem": 1, "rollout": rollout}] = 0
    later = first_failed(ds.assign(ended=ended), 1)
    assert later == -1 or later > rollout
    wrong = ds["correct"].sel(intervention="none").values[1] == 0
    assert later == next((r for r in range(rollout + 1, len(wrong)) if wrong[r]), -1)


def test_it_opens_on_the_selection_and_follows_it(ds, view):
    assert view.message == ""
    assert view.text.junction == 1
    assert view.text.tokens == view.trace.tokens
    view.selection.problem, view.selection.rollout = 2, first_failed(ds, 2)
    assert view.trace.token_id.tolist() == read_trace(ds, 2, first_failed(ds, 2)).token_id.tolist()
    assert "problem 2" in view._title.value


def test_the_cursor_is_the_selected_token_both_ways(view):
    view.text.cursor = 1
    assert view.selection.token == 1
    view.selection.token = 0
    assert view.text.cursor == 0
    assert view.tables()["alternatives"]["model"].nunique() == 2
    assert "token 0, likeliest tokens" in view._alternatives.value


def test_each_control_changes_what_is_shown(view):
    n = len(view.trace.tokens)
    assert view.text.window == (0, n - 1)
    view.window = 0
    assert view.text.window == (1, 1)
    before = view.text.colours
    view.signal = "entropy"
    assert view.text.colours != before and "entropy" in view.text.notes[0]
    assert view.charts()["signal"].to_dict()["vconcat"][0]["title"]["text"] == "entropy (nat)"
    view.compare, view.compare_rollout = "retry", 1
    assert view.other.tokens and view.text.differs
    view.compare = "nothing"
    assert view.other.tokens == [] and view.text.differs == []


def test_a_rollout_that_the_other_operator_lacks_becomes_its_first(ds, view):
    view.compare, view.compare_rollout = "sparse_steer", 3
    view.compare = "dense_steer"
    assert (view.compare_rollout, view.message) == (0, "")
    assert view.other.tokens == read_trace(ds, 1, 0, "dense_steer").tokens
    assert "dense_steer rollout 0" in view._other_title.value
    view.compare_rollout = 1
    view.compare = "sparse_steer"
    assert view.compare_rollout == 1
    n = ds["n_tokens"].values
    n[1, 0, list(ds["intervention"].values).index("retry")] = 0
    view = TraceInspector(ds, selection=view.selection)
    view.compare = "retry"
    assert view.compare_rollout == 1


def test_a_second_trace_that_is_not_there_leaves_none_on_the_screen(view):
    view.compare = "dense_steer"
    assert view.other.tokens
    view.compare_rollout = 3
    assert (
        view.message
        == "dense_steer has no rollout 3 of this problem: it was not run. Allowed: 0 to 1"
    )
    assert (view.other.tokens, view._other_title.value, view.text.differs) == ([], "", [])
    assert view.children[2] is view.said
    assert view.children.count(view.said) == 1


def test_state_can_be_read_set_and_replayed(ds, view):
    view.value = {"window": 2, "signal": "entropy", "compare": "retry"}
    again = TraceInspector(ds, selection=Selection(**view.selection.value), **view.value)
    assert again.value == view.value
    assert again.text.colours == view.text.colours and again.other.tokens == view.other.tokens


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"heat": 1}, "TraceInspector has no state 'heat'; allowed: signal, window"),
        ({"signal": "aura"}, "aura"),
        ({"window": "wide"}, "wide"),
    ],
)
def test_a_state_it_does_not_have(view, state, said):
    with pytest.raises(InputError, match=said):
        view.value = state


def test_what_is_missing_is_said_in_a_sentence_and_goes_away_again(view):
    view.compare = "ancestor"
    assert view.message == "the ancestor's own answer is not stored; press compute"
    assert 'role="alert"' in view.said.value
    view.compare = "nothing"
    assert view.message == "" and view.said.value == ""
    view.selection.rollout = 77
    assert "rollout 77 is not there" in view.message
    view.selection.intervention, view.selection.rollout = "retry", 0
    assert "no signals are stored for this trace" in view.message and view.text.colours == []


def test_text_of_a_study_is_never_markup(ds):
    ds["prompt"].values[1] = HOSTILE
    view = TraceInspector(ds, selection=Selection(problem=1, rollout=first_failed(ds, 1)))
    assert HOSTILE not in view._title.value and "&lt;script&gt;" in view._title.value


def test_what_is_shown_can_be_saved(view, tmp_path):
    assert view.save(tmp_path / "s.csv").read_text().startswith("signal,position,token_id")
    assert view.save(tmp_path / "c.svg").read_text().startswith("<svg")
    with pytest.raises(
        InputError, match=r"cannot be saved as pdf; allowed: signal \(png, svg, html\)"
    ):
        view.save(tmp_path / "c.pdf")
    assert view._saver.items["signals"] == ["csv", "parquet"]
    sent = []
    view._saver.send = lambda content, buffers=None: sent.append((content, buffers))
    view._save_asked(None, {"name": "signals", "format": "csv"}, None)
    assert sent[0][0] == {"file": "signals.csv"} and sent[0][1][0].startswith(b"signal,")
    view._save_asked(None, {"name": "../x", "format": "csv"}, None)
    assert view.message == "../x cannot be saved as 'csv'"


def test_selection_refuses_what_it_does_not_have():
    with pytest.raises(
        InputError, match="Selection has no state 'question'; allowed: problem, rollout"
    ):
        Selection(question=1)
    with pytest.raises(InputError, match="should not be less than -1"):
        Selection(problem=-2)
