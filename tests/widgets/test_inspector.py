"""The trace inspector by its traits, without a browser: controls, what it shows and says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.tables.inspection import (
    Trace,
    alternatives,
    differences,
    first_failed,
    read_trace,
    stored_alternatives,
)
from recover_nb.tables.problem_list import cell_words, find_problems, offered
from recover_nb.tables.tokens import Scale, paired, say_token, scale_of
from recover_nb.widgets import Selection, TraceInspector, TraceSurgeon
from recover_nb.widgets.parts.markup import colour_of, scale_html

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
    assert "problem 2<" in view.panel.head.value and "answer 2" in view.panel.head.value
    ds["correct"].values[3, :, 0] = [1, 0, 0, 1, 0]
    selection.value = {"problem": 3, "rollout": -1}
    assert selection.rollout == 1
    assert "problem 3<" in view.panel.head.value and "answer 1" in view.panel.head.value


@pytest.mark.parametrize("kind", [TraceInspector, TraceSurgeon])
def test_a_problem_is_named_by_its_place_in_the_study(ds, kind):
    view = kind(ds, problem=np.int64(2))
    assert view.selection.problem == 2
    assert view.selection.rollout == first_failed(ds, 2)
    assert f"problem 2<small>{cell_words(rnb.cell_names(ds)[2])}" in view.panel.head.value
    shared = Selection(problem=1)
    assert kind(ds, problem=3, selection=shared).selection is shared
    assert shared.problem == 3
    for wrong, said in (
        (6, "problem must be a place from 0 to 5.*, got 6"),
        ("x", "problem must be .*, got 'x'"),
    ):
        with pytest.raises(InputError, match=said):
            kind(ds, problem=wrong)


def test_what_is_said_of_a_trace():
    wrong = Trace(np.arange(3), ["#", "8", "<eos>"], False, {}, -1, own_answer="8")
    assert wrong.said("9") == "wrong: said 8, right is 9"
    assert replace(wrong, correct=True).said("8") == "right: said 8"
    assert replace(wrong, own_answer="").said("9") == "wrong, right is 9"
    assert (
        replace(wrong, own_answer="", origin="format").said("9") == "wrong: no answer, right is 9"
    )
    cut = replace(wrong, origin="cut off")
    assert cut.said("9") == "cut off before it gave an answer; right is 9"


def test_ids_of_unknown_text_are_no_answer(ds):
    other = ds.assign_coords(family=("problem", np.full(6, "other", dtype=object)))
    trace = read_trace(other, 1, first_failed(ds, 1))
    assert trace.tokens[0].startswith("#") and trace.own_answer == ""


def test_differences_by_hand():
    assert differences([5, 6, 7, 8], [5, 7, 8, 9]) == ([1], [3])
    assert differences([1], [1]) == ([], [])
    assert differences([], [1, 2]) == ([], [0, 1])


def test_scales_by_hand():
    assert scale_of(np.array([0.0, 0.5, 2.0]), signed=False) == Scale((0.0, 0.25, 1.0), 0.0, 2.0)
    assert scale_of(np.array([-2.0, 0.0, 1.0]), signed=True) == Scale((-1.0, 0.0, 0.5), -2.0, 2.0)
    assert scale_of(np.zeros(2), signed=False).shares == (0.0, 0.0)
    assert scale_of(np.zeros(0), signed=True) == Scale((), -0.0, 0.0)


def test_zero_is_the_page():
    assert [colour_of(share) for share in (0.0, float("nan"))] == ["", ""]
    assert colour_of(0.25) == "color-mix(in srgb, var(--rnb-heat) 22.5%, transparent)"
    assert colour_of(-1.0) == "color-mix(in srgb, var(--rnb-below) 90.0%, transparent)"


def test_the_scale_is_a_bar_with_numbers():
    drawn = scale_html("entropy (nat)", Scale((0.0, 1.0), 0.0, 1.5))
    assert '<b>entropy (nat)</b> 0 <i class="plus"></i> 1.5' in drawn
    assert '<b>x</b> -2 <i class="both"></i> 2' in scale_html("x", Scale((-1.0, 1.0), -2.0, 2.0))


def test_paired_by_hand():
    trace = Trace(np.array([4]), ["4"], False, {}, -1)
    ids = np.array([[[5, 6, 4], [6, 7, -1]]])
    scores = np.log(np.array([[[0.5, 0.25, 0.1], [0.75, 0.0625, 1.0]]]))
    rows = paired(trace, 0, (ids, scores), {4: "four", 5: "five", 6: "six", 7: "seven"})
    shown = [(row["token"], row["specialist"], row["ancestor"], row["emitted"]) for row in rows]
    assert shown == [
        ("six", pytest.approx(0.25), pytest.approx(0.75), False),
        ("five", pytest.approx(0.5), None, False),
        ("four", pytest.approx(0.1), None, True),
        ("seven", None, pytest.approx(0.0625), False),
    ]
    # What was written is always among them.
    few = paired(trace, 0, (ids, scores), {}, n=2)
    assert [(row["token"], row["emitted"]) for row in few] == [("#6", False), ("#4", True)]
    said = "10 % for the specialist, not among the likeliest for its ancestor"
    assert say_token(0, "four", rows) == (
        f"Token 0 is \u201cfour\u201d: {said}. The specialist would rather say \u201cfive\u201d"
        " (50 %), and the ancestor would rather say \u201csix\u201d (75 %)."
    )


def test_a_sentence_where_both_models_agree():
    rows = [
        {"token": " ", "specialist": 0.9, "ancestor": 0.8, "emitted": False},
        {"token": "3", "specialist": 0.001, "ancestor": 0.1, "emitted": True},
    ]
    said = "Token 2 is \u201c3\u201d: under 1 % for the specialist, 10 % for its ancestor."
    assert say_token(2, "3", rows) == f"{said} Both would rather say a space (90 % and 80 %)."
    rows[1]["specialist"] = rows[1]["ancestor"] = 0.95
    assert say_token(2, "3", rows).endswith("Both find it likeliest.")
    assert "is not stored" in say_token(2, "3", [])


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
    assert "problem 2<" in view.panel.head.value


def test_the_cursor_is_the_selected_token_both_ways(view):
    view.text.cursor = 0
    assert view.selection.token == 0
    view.selection.token = 1
    assert view.text.cursor == 1
    frame = view.tables()["alternatives"]
    assert frame["model"].nunique() == 2
    assert view.bars.sentences[1].startswith("Token 1 is ")
    assert view.bars.places[1][0]["specialist"] == pytest.approx(np.exp(-1.5))


def test_the_bars_open_at_the_fatal_token_or_else_at_the_junction(ds, view):
    assert (view.selection.token, view.bars.home, view.token) == (-1, 1, 1)
    assert "is not recorded for this problem. rnb.value_map measures it" in view.panel.said.value
    assert (view.text.values, view.text.fatal) == ([], -1)
    assert "value" not in view.tables() and "value" not in view.charts()
    valued = valued_study(ds, 1, [24, 3])
    view = TraceInspector(valued, selection=Selection(problem=1))
    n = len(view.trace.tokens)
    assert (view.bars.home, view.text.fatal, view.token) == (0, 0, 0)
    assert view.text.values == [0.125] * n
    assert "from 24 of 24 to 3" in view.panel.said.value
    assert len(view.tables()["value"]) == n + 1
    view.selection.token = 1
    assert view.token == 1
    other = next(r for r in range(5) if r != first_failed(ds, 1) and ds["n_tokens"][1, r, 0] > 0)
    view.selection.rollout = other
    assert f"recorded for rollout {first_failed(ds, 1)}, the first" in view.panel.said.value
    assert view.text.values == []


def valued_study(ds, problem, right):
    """Return a study that records the value of the prefix of one problem, by retry alone."""
    rollout = first_failed(ds, problem)
    n = int(ds["n_tokens"].values[problem, rollout, 0])
    counts = np.full((6, ds.sizes["intervention"], n + 1), -1, np.int16)
    counts[problem, list(ds["intervention"].values).index("retry")] = (right + [right[-1]] * n)[
        : n + 1
    ]
    number = np.where(np.arange(6) == problem, 24, 0).astype(np.int32)
    ds = ds.drop_vars(["value_right", "value_n"], errors="ignore")
    return ds.assign(
        value_right=(("problem", "intervention", "prefix"), counts), value_n=("problem", number)
    )


def test_each_control_changes_what_is_shown(view):
    n = len(view.trace.tokens)
    assert view.text.window == (0, n - 1)
    view.window = 0
    assert view.text.window == (1, 1)
    before = view.text.colours
    view.signal = "entropy"
    assert view.text.colours != before and "entropy" in view.text.notes[0]
    assert "<b>entropy (nat)</b> 0 <i" in view.panel.legend.value
    assert view.charts()["signal"].to_dict()["vconcat"][0]["title"]["text"] == "entropy (nat)"
    view.compare, view.compare_rollout = "retry", 1
    assert view.attempts.rows is not None
    assert view.attempts.count.value == "attempt 2 of 4"
    assert view.tables()["attempt"].equals(view.attempts.rows)
    view.compare = "nothing"
    assert view.attempts.rows is None and view.attempts.drawn.value == ""


def test_the_attempts_are_turned_one_by_one(ds, view):
    view.compare, view.compare_rollout = "sparse_steer", 0
    assert view.attempts.before.disabled and not view.attempts.after.disabled
    for number in (1, 2, 3, 3):
        view.attempts.after.click()
        assert view.compare_rollout == number
    assert view.attempts.after.disabled
    assert view.attempts.count.value == "attempt 4 of 4"
    right = int((ds["correct"].sel(intervention="sparse_steer")[1] == 1).sum())
    retry = int((ds["correct"].sel(intervention="retry")[1] == 1).sum())
    assert f"sparse_steer: {right} of 4 right; retry: {retry} of 4 right." in (
        view.attempts.said.value
    )
    view.attempts.before.click()
    assert view.compare_rollout == 2
    # Another problem begins at the attempt that shows most.
    view.problems.chosen = 2
    assert (view.selection.problem, view.compare_rollout) == (2, -1)
    assert view.selection.rollout == first_failed(ds, 2)


def test_an_attempt_that_the_other_operator_lacks(ds, view):
    view.compare, view.compare_rollout = "sparse_steer", 3
    view.compare = "dense_steer"
    assert (view.compare_rollout, view.message) == (-1, "")
    assert view.attempts.count.value.endswith("of 2")
    view.compare_rollout = 1
    view.compare = "sparse_steer"
    assert view.compare_rollout == 1


def test_an_attempt_that_is_not_there_leaves_none_on_the_screen(view):
    view.compare = "dense_steer"
    assert view.attempts.rows is not None
    view.compare_rollout = 3
    assert (
        view.message
        == "dense_steer has no rollout 3 of this problem: it was not run. Allowed: 0 to 1"
    )
    assert view.attempts.rows is None and view.attempts.drawn.value == ""
    # The trace is still there.
    assert view.text.tokens == view.trace.tokens
    inside = list(parts(view))
    assert inside.count(view.said) == inside.count(view._saver) == 1


def parts(widget):
    """Yield a widget and all that is inside it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)


def test_problems_are_searched_and_filtered(ds, view):
    failed = [place for place in range(6) if first_failed(ds, place) >= 0]
    items = view.problems.items
    assert items.shown == items.places == failed
    assert items.heads[0] == f"problem {failed[0]}"
    assert items.note == f"{len(failed)} problems"
    view.search = str(failed[1])
    assert failed[1] in items.shown
    view.search = "no such words"
    assert (items.shown, items.note) == ([], "No failed problem fits.")
    view.value = {"search": "", "regimes": ("resample",)}
    regimes = ds["regime"].values
    assert items.shown == [place for place in failed if regimes[place] == "resample"]
    assert view.problems.chips["regime"].chosen == ["resample"]
    view.problems.chips["regime"].chosen = []
    assert view.regimes == () and items.shown == failed
    with pytest.raises(InputError, match="unknown regime 'lucky'; allowed: steerable_hard"):
        view.value = {"regimes": ("lucky",)}


def test_problems_are_found_by_hand():
    frame = pd.DataFrame(
        {
            "problem": [7, 71, 460],
            "prompt": ["2+3", "7-1", "A mother"],
            "cell": ["sums, by sft", "sums, by grpo", "kin, by sft"],
            "regime": ["resample", "", "beyond_reach"],
            "origin": ["slip", "lost", "slip"],
        }
    )

    def found(*args, **filters):
        return find_problems(frame, *args, **filters)["problem"].tolist()

    assert found() == [7, 71, 460]
    # A number is that of a problem, or in its question.
    assert found("7") == [7, 71]
    assert found("46") == []
    assert found("460") == [460]
    assert found("SFT mother") == [460]
    assert found(origins=["slip"]) == [7, 460]
    assert found(regimes=["resample", "beyond_reach"], origins=["slip"]) == [7, 460]
    assert offered(frame, "origin") == {"slip": 2, "lost": 1}
    assert offered(frame, "regime") == {"beyond_reach": 1, "resample": 1}


def test_the_surgeon_opens_at_the_token_that_is_looked_at(monkeypatch, view):
    ran = []
    monkeypatch.setattr(TraceSurgeon, "branch", lambda self: ran.append(self.value))
    view.compare = "dense_steer"
    view.operating.button.click()
    surgeon = view.operating.surgeon
    assert surgeon.selection is view.selection
    assert (ran[0]["position"], ran[0]["operator"]) == (view.bars.home, "dense_steer")
    view.selection.token, view.compare = 0, "retry"
    view.operating.button.click()
    assert view.operating.surgeon is surgeon
    assert (ran[1]["position"], ran[1]["operator"]) == (0, "sparse_steer")


def test_state_can_be_read_set_and_replayed(ds, view):
    view.value = {"window": 2, "signal": "entropy", "compare": "retry", "compare_rollout": 1}
    again = TraceInspector(ds, selection=Selection(**view.selection.value), **view.value)
    assert again.value == view.value
    assert again.text.colours == view.text.colours
    assert again.attempts.rows.equals(view.attempts.rows)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"heat": 1}, "the state of TraceInspector must be one of signal, compare.*, got 'heat'"),
        ({"signal": "aura"}, "aura"),
        ({"window": "wide"}, "wide"),
    ],
)
def test_a_state_it_does_not_have(view, state, said):
    with pytest.raises(InputError, match=said):
        view.value = state


def test_what_is_missing_is_said_in_a_sentence_and_goes_away_again(ds, view):
    view.compare = "prayer"
    assert view.message == "the study has no intervention 'prayer'"
    assert 'role="alert"' in view.said.value
    view.compare = "nothing"
    assert view.message == "" and view.said.value == ""
    view.selection.rollout = 77
    assert "rollout 77 is not there" in view.message
    assert view.text.tokens == [] and view.bars.places == []
    view.selection.intervention, view.selection.rollout = "retry", 0
    assert "no signals are stored for this trace" in view.message and view.text.colours == []
    assert TraceInspector(ds.drop_vars("token_id"), problem=1).message.startswith("this study")


def test_text_of_a_study_is_never_markup(ds):
    ds["prompt"].values[1] = HOSTILE
    view = TraceInspector(ds, selection=Selection(problem=1, rollout=first_failed(ds, 1)))
    head = view.panel.head.value
    assert HOSTILE not in head and "&lt;script&gt;" in head


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
        InputError,
        match=r"the state of Selection must be one of problem, rollout.*, got 'question'",
    ):
        Selection(question=1)
    with pytest.raises(InputError, match="problem must be an int of at least -1, got -2"):
        Selection(problem=-2)
