"""The rollout stepper by its traits, no browser: controls, live against `decode`, what it says."""

import subprocess
import sys

import numpy as np
import pytest
from of_shipped import of_shipped
from tiny_study import tiny_study

from recover_nb.charts.traces import plot_rollout_grid
from recover_nb.core.errors import InputError
from recover_nb.core.labels import OUTCOME_SIGNS, Source
from recover_nb.core.theme import OUTCOME_COLOURS
from recover_nb.tables.examples import dev_problems, opening, places_of, problem_at
from recover_nb.tables.inspection import first_failed
from recover_nb.tables.rollouts import emitted, outcome_grid, recorded_walk, study_grid
from recover_nb.widgets import RolloutStepper, Selection

HOSTILE = "<script>alert(1)</script>"
N_ROLLOUTS = 6


def by_length(text, _answer):
    """A checker under which some rollouts of random models are correct."""
    return len(text) % 2 == 0


@pytest.fixture
def ds():
    return tiny_study()


@pytest.fixture
def view(ds):
    return RolloutStepper(ds, selection=Selection(problem=1, rollout=first_failed(ds, 1)))


@pytest.fixture(scope="module")
def live_study(pair):
    """Three problems decoded by the tiny pair, with what its settings were."""
    from recover_nb.generation.decoding import Settings
    from recover_nb.generation.generate import generate

    settings = Settings(max_new_tokens=12, seed=3, temperature=0.8)
    problems = dev_problems("arithmetic")[:3]
    return generate(
        pair,
        problems,
        interventions=("none", "retry"),
        n_rollouts=N_ROLLOUTS,
        n_attempts=2,
        settings=settings,
        unit=("qwen3", "sft"),
        checker=by_length,
    )


@pytest.fixture
def live(live_study, pair):
    view = RolloutStepper(
        live_study,
        pair=pair,
        checker=by_length,
        source="live",
        problem=0,
        selection=Selection(rollout=0),
    )
    view.rollouts = N_ROLLOUTS
    return view


def tokens_of(ds, problem, rollout):
    n = int(ds["n_tokens"].values[problem, rollout, 0])
    return ds["token_id"].values[problem, rollout, 0, :n].tolist()


def shown_ids(view):
    return view.tables()["tokens"]["token_id"].tolist()


# --- data


def test_grid_by_hand():
    frame = outcome_grid(np.array([1, 0, -1]), [4, 5, 0], columns=2)
    assert frame["row"].tolist() == [0, 0, 1]
    assert frame["column"].tolist() == [0, 1, 0]
    assert frame["outcome"].tolist() == ["correct", "wrong", "not run"]
    assert frame["sign"].tolist() == ["\u2713", "\u2717", "\u2013"]
    assert frame["n_tokens"].tolist() == [4, 5, 0]


def test_grid_of_a_study_and_of_a_profile_table(ds):
    frame = study_grid(ds, 1)
    right = ds["correct"].values[1, :, 0] == 1
    assert (frame["outcome"] == "correct").tolist() == right.tolist()
    with pytest.raises(InputError, match="stores no rollouts"):
        study_grid(ds.drop_vars("correct"), 1)


def test_ranks_of_recorded_tokens_by_hand(view):
    trace = view.walk.trace
    ids = np.full((len(trace.tokens), 2, 3), 99)
    scores = np.log(np.tile([0.5, 0.25, 0.125], (len(trace.tokens), 2, 1)))
    ids[0, 0, 1] = ids[1, 1, 0] = -2
    ids[0, 0, 1], ids[1, 1, 0] = trace.token_id[0], trace.token_id[1]
    frame = emitted(recorded_walk(trace, (ids, scores)))
    assert frame["specialist_rank"].fillna(-1).tolist()[:2] == [2, -1]
    assert frame["ancestor_rank"].fillna(-1).tolist()[:2] == [-1, 1]
    assert frame["specialist_probability"][0] == pytest.approx(0.25)
    assert frame["ancestor_probability"][1] == pytest.approx(0.5)
    assert np.isnan(frame["ancestor_probability"][0])


def test_chart_draws_the_frame():
    frame = outcome_grid(np.array([1, 0]), [4, 5])
    layers = plot_rollout_grid(frame).to_dict()["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["rect", "text", "text"]
    scale = layers[0]["encoding"]["color"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == {
        str(k): v for k, v in OUTCOME_COLOURS.items()
    }
    with pytest.raises(InputError, match="no column sign"):
        plot_rollout_grid(frame.drop(columns="sign"))


def test_places_and_problems(ds):
    ds["level"].values[:] = [1, 2, 1, 2, 1, 2]
    assert places_of(ds, "qwen3", "sft", "arithmetic").tolist() == [0, 1, 2, 3, 4, 5]
    assert places_of(ds, "qwen3", "sft", "arithmetic", 2).tolist() == [1, 3, 5]
    assert problem_at(ds, 3).problem_id == "p3"
    assert opening(ds) == {"problem": 1, "rollout": first_failed(ds, 1)}
    with pytest.raises(
        InputError, match=r"no problem of level 4 in qwen3\|sft\|arithmetic; its cells: qwen3"
    ):
        places_of(ds, "qwen3", "sft", "arithmetic", 4)
    with pytest.raises(InputError, match="does not say how hard"):
        places_of(ds.drop_vars("level"), "qwen3", "sft", "arithmetic", 4)
    with pytest.raises(InputError, match="level 9 does not exist"):
        dev_problems("arithmetic", 9)


def test_dev_problems_are_of_the_dev_split():
    found = dev_problems("program", 2)
    assert found
    assert {(each.split, each.level) for each in found} == {("dev", 2)}
    assert len(dev_problems("program")) > len(found)


# --- recorded


def test_opens_without_torch():
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from tiny_study import tiny_study\n"
        "from recover_nb.widgets import RolloutStepper, TraceSurgeon\n"
        "view = RolloutStepper(tiny_study()); view.reset(); view.step(); view.run()\n"
        "TraceSurgeon(tiny_study())\n"
        "RolloutStepper(source='live_dev')\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_opens_on_a_failed_rollout(ds):
    view = RolloutStepper(ds)
    assert view.selection.value["problem"] == 1
    assert view.selection.rollout == first_failed(ds, 1)
    assert not view.message


def test_recorded_rollout_is_stepped_through(view, ds):
    rollout = int(ds["n_tokens"].values[1, :, 0].argmax())
    view.selection.rollout = rollout
    ids = tokens_of(ds, 1, rollout)
    assert len(ids) > 2
    assert shown_ids(view) == ids
    view.reset()
    assert view.text.tokens == []
    assert "tokens" not in view.tables()
    view.step()
    view.step()
    assert view.shown == 2
    assert shown_ids(view) == ids[:2]
    assert view.selection.token == view.text.cursor == 1
    view.run()
    assert view.shown == -1
    assert shown_ids(view) == ids
    view.step()
    assert (
        view.message == f"the rollout has ended after {len(ids)} tokens; press reset to begin again"
    )


def test_buttons_do_what_the_methods_do(view):
    view.buttons["reset"].click()
    assert view.shown == 0
    view.buttons["step"].click()
    assert view.shown == 1
    view.buttons["run"].click()
    assert view.shown == -1
    view.fill()
    assert "recorded rollouts are all there" in view.message
    assert view.buttons["fill"].disabled


def test_alternatives_are_those_of_the_study(view, ds):
    rollout = first_failed(ds, 1)
    ids = tokens_of(ds, 1, rollout)
    ds["alternative_token_id"].values[1, 0, 0, :] = [91, ids[0], 92, 93, 94]
    ds["alternative_log_probability"].values[1, 0, 0, :] = np.log([0.6, 0.3, 0.05, 0.03, 0.02])
    view = RolloutStepper(ds, selection=Selection(problem=1, rollout=rollout, token=0))
    frame = view.tables()["alternatives"]
    mine = frame[frame["model"] == "specialist"]
    assert mine["probability"].tolist() == pytest.approx([0.6, 0.3, 0.05, 0.03, 0.02])
    assert mine["emitted"].tolist() == [False, True, False, False, False]
    assert "specialist 0.300, rank 2" in view._alternatives.value
    assert "\u25c0" in view._alternatives.value
    view.selection.token = 1
    assert "token 1, emitted" in view._alternatives.value


def test_a_study_without_alternatives_says_so(ds):
    bare = ds.drop_vars(["alternative_token_id", "alternative_log_probability"])
    view = RolloutStepper(bare)
    assert view.message.startswith(
        "this study does not store what the models would rather have said"
    )
    assert view.text.tokens
    view.step()
    assert "has ended" in view.message


def test_alternatives_of_another_rollout_are_not_stored(view, ds):
    first = first_failed(ds, 1)
    view.grid.chosen = other = (first + 1) % ds.sizes["rollout"]
    assert view.selection.rollout == other
    assert (
        view.message
        == f"alternatives are stored for rollout {first} only, the first that failed; choose it, or"
        " a live source"
    )
    assert shown_ids(view) == tokens_of(ds, 1, other)
    view.problem = 0
    assert view.message.startswith("no rollout of this problem failed")


def test_grid_has_colour_and_sign(view, ds):
    right = ds["correct"].values[1, :, 0] == 1
    assert right.any()
    assert not right.all()
    for i, correct in enumerate(right):
        outcome = "correct" if correct else "wrong"
        assert view.grid.colours[i] == OUTCOME_COLOURS[outcome]
        assert view.grid.texts[i] == f"{OUTCOME_SIGNS[outcome]} {i}"
        assert view.grid.notes[i].startswith(f"rollout {i}: {outcome}, ")
    assert view.grid.chosen == view.selection.rollout


def test_selection_is_followed_and_set(ds):
    selection = Selection(problem=2, rollout=0)
    view = RolloutStepper(ds, selection=selection)
    assert view.problem == 2
    selection.value = {"problem": 4, "rollout": 1}
    assert view.problem == 4
    assert shown_ids(view) == tokens_of(ds, 4, 1)
    view.problem = 3
    assert selection.problem == 3
    view.text.cursor = 1
    assert selection.token == 1
    view.grid.chosen = 0
    assert selection.value == {
        "problem": 3,
        "rollout": 0,
        "intervention": "none",
        "token": -1,
        "problems": (),
    }
    selection.problem = 0
    assert view.problem == 0
    assert view.message.startswith("no rollout of this problem failed")
    selection.problem = 60
    assert view.message == "problem 60 is not there; allowed: 0 to 5"


def test_selection_reaches_a_problem_of_another_level(ds):
    ds["level"].values[:] = [1, 2, 1, 2, 1, 2]
    view = RolloutStepper(ds, selection=Selection(problem=1, rollout=0), level=2)
    assert view.selection.problem == view.problem == 1
    view.problem = 5
    assert (view.level, view.selection.problem) == (2, 5)
    view.selection.problem = 0
    assert (view.level, view.problem) == (0, 0)
    view.level = 1
    assert view.selection.problem == 0
    view.level = 2
    assert view.selection.problem == 1
    view.value = {"level": 2, "problem": 4}
    assert view.message == ("problem 4 is not one of qwen3|sft|arithmetic; the first of them is 1")


@pytest.mark.parametrize(
    ("name", "other"), [("family", "neox"), ("method", "grpo"), ("task", "program"), ("level", 2)]
)
def test_other_problems_begin_at_their_first(name, other):
    ds = tiny_study()
    ds["level"].values[:] = [1, 1, 1, 1, 2, 2]
    if name != "level":
        ds[name].values[4:] = other
    view = RolloutStepper(ds, selection=Selection(problem=3, rollout=0))
    assert view.problem == 3
    setattr(view, name, other)
    assert (view.problem, view.selection.problem, view.message) == (4, 4, "")
    assert '<b title="p4">problem 4</b>' in view._headline.value


def test_another_method_has_the_same_question():
    ds = tiny_study()
    ds["method"].values[3:] = "grpo"
    ds["problem_id"].values[:] = ["a", "b", "c", "c", "a", "d"]
    view = RolloutStepper(ds, selection=Selection(problem=2, rollout=0))
    view.method = "grpo"
    assert (view.problem, view.selection.problem) == (3, 3)
    view.value = {"method": "sft"}
    assert view.selection.problem == 2
    # Whatever the state names is kept, and so is what another view has chosen.
    view.value = {"method": "grpo", "problem": 5}
    assert view.selection.problem == 5
    view.selection.problem = 1
    assert (view.method, view.problem) == ("sft", 1)


@pytest.mark.parametrize("named", [False, True])
def test_a_number_alone_names_a_problem_wherever_it_is(named):
    ds = tiny_study()
    ds["task"].values[3:] = "program"
    view = RolloutStepper(ds, problem=4) if named else RolloutStepper(ds)
    if not named:
        view.value = {"problem": 4}
    assert (view.task, view.selection.problem, view.message) == ("program", 4, "")
    view.problem = 1
    assert (view.task, view.selection.problem, view.message) == ("arithmetic", 1, "")


def test_the_message_stands_below_the_controls(view):
    assert view.children[1] is view.said
    assert view.children.count(view.said) == 1


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (
            {"miracle": 1},
            "the state of RolloutStepper must be one of source, family.*, got 'miracle'",
        ),
        ({"family": "llama"}, "unknown family 'llama'; allowed: qwen3, neox"),
        ({"method": "ancestor"}, "unknown method 'ancestor'; allowed: sft"),
        ({"source": "dream"}, "recorded"),
        ({"level": 6}, "level"),
        ({"temperature": 0}, "temperature"),
        ({"shown": -2}, "shown"),
        ({"rollouts": 0}, "rollouts"),
    ],
)
def test_state_that_there_is_not(view, state, said):
    before = view.value
    with pytest.raises(InputError, match=said):
        view.value = state
    assert view.value == before
    with pytest.raises(InputError, match=said):
        RolloutStepper(tiny_study(), **state)


def test_a_cell_that_the_study_does_not_have(view):
    view.family = "neox"
    assert (
        view.message
        == "the study has no problem in neox|sft|arithmetic; its cells: qwen3|sft|arithmetic"
    )
    view.family = "qwen3"
    assert not view.message


def test_a_rollout_that_is_not_there(view):
    view.selection.rollout = 40
    assert view.message == "rollout 40 is not there; allowed: 0 to 4"


def test_state_is_replayed(view, ds):
    view.value = {"problem": 4, "shown": 1}
    other = RolloutStepper(ds)
    other.value = view.value
    assert other.value == view.value
    assert other.text.tokens == view.text.tokens


def test_markup_is_escaped(ds):
    ds["prompt"].values[1], ds["answer"].values[1] = HOSTILE, HOSTILE
    ds["problem_id"].values[1] = HOSTILE
    view = RolloutStepper(ds, selection=Selection(problem=1, rollout=first_failed(ds, 1)))
    view.walk.trace.tokens[0] = HOSTILE
    view.selection.token = 0
    for drawn in (view._headline.value, view._alternatives.value):
        assert "<script" not in drawn
        assert "&lt;script&gt;" in drawn


def test_what_is_shown_can_be_saved(view, tmp_path):
    assert set(view.tables()) == {"tokens", "alternatives", "rollouts"}
    assert (
        view.save(tmp_path / "t.csv", "tokens")
        .read_text()
        .startswith("position,token_id,token,specialist_")
    )
    assert view.save(tmp_path / "g.svg").read_text().startswith("<svg")
    assert view._saver.items == {
        "rollout_grid": ["png", "svg", "html"],
        **{name: ["csv", "parquet"] for name in ("tokens", "alternatives", "rollouts")},
    }


# --- live


def test_live_rollout_is_the_recorded_one(live, live_study):
    """The stepper takes what `steps` yields, so the study's rollouts come again to the letter."""
    assert (live.temperature, live.seed) == (0.8, 3)
    longer = np.flatnonzero(live_study["n_tokens"].values[0, :, 0] > 1)
    assert len(longer) >= 2
    for rollout in longer[[0, -1]].tolist():
        live.selection.rollout = rollout
        live.step()
        assert shown_ids(live) == tokens_of(live_study, 0, rollout)[:1]
        live.run()
        assert shown_ids(live) == tokens_of(live_study, 0, rollout)
        assert live.walk.trace.correct == (live_study["correct"].values[0, rollout, 0] == 1)
        assert not live.message
    live.run()
    assert "has ended" in live.message


def test_live_alternatives_agree_with_a_pass_over_the_trace(live, live_study, pair):
    from recover_nb.generation.decoding import top_alternatives

    live.run()
    ids = np.array([shown_ids(live)])
    tokens, scores = top_alternatives(
        pair, [str(live_study["prompt"].values[0])], ids, np.array([ids.shape[1]])
    )
    assert np.array_equal(live.walk.found[0], tokens[0])
    assert np.allclose(live.walk.found[1], scores[0], atol=1e-4)
    frame = live.tables()["tokens"]
    whole, every = top_alternatives(
        pair,
        [str(live_study["prompt"].values[0])],
        ids,
        np.array([ids.shape[1]]),
        k=pair.vocab_size,
    )
    for m, model in enumerate(("specialist", "ancestor")):
        place = (whole[0, :, m] == ids[0][:, None]).argmax(-1)
        assert frame[f"{model}_rank"].tolist() == (place + 1).tolist()
        expected = np.exp(every[0, np.arange(len(place)), m, place])
        assert np.allclose(frame[f"{model}_probability"], expected, atol=1e-5)


def test_live_grid_is_what_decode_makes(live, live_study):
    assert live.rollout_frame is None
    assert live.grid.texts == []
    live.fill()
    frame = live.tables()["rollouts"]
    assert (frame["outcome"] == "correct").tolist() == (
        live_study["correct"].values[0, :, 0] == 1
    ).tolist()
    assert frame["n_tokens"].tolist() == live_study["n_tokens"].values[0, :, 0].tolist()
    assert f"decoding {N_ROLLOUTS} rollouts" in live.busy.said
    live.grid.chosen = 2
    assert live.selection.rollout == 2
    live.rollouts = 3
    assert live.grid.texts == []


def test_controls_of_live_rollouts(live):
    live.run()
    first = shown_ids(live)
    live.seed = 4
    assert live.text.tokens == []
    live.run()
    other = shown_ids(live)
    assert other != first
    live.seed = 3
    assert shown_ids(live) == first
    live.temperature = 3.0
    live.run()
    assert shown_ids(live) != first
    live.problem = 1
    assert live.selection.problem == 1
    assert live.text.tokens == []
    live.source = Source.RECORDED.value
    assert live.text.tokens
    assert live._live_controls[0].disabled


def test_live_rollout_can_be_replayed_and_begun_again(live):
    live.step()
    live.step()
    live.shown = 1
    assert len(live.text.tokens) == 1
    live.step()
    assert len(live.text.tokens) == 2
    live.shown = 1
    live.run()
    whole = shown_ids(live)
    assert live.walk.ended
    assert len(whole) > 2
    live.reset()
    assert live.text.tokens == []
    live.run()
    assert shown_ids(live) == whole


def test_new_problems_have_no_place_in_a_study(pair):
    view = RolloutStepper(
        pair=pair, source="live_dev", task="arithmetic", level=2, problem=3, seed=1
    )
    wanted = dev_problems("arithmetic", 2)[3]
    assert f'<b title="{wanted.problem_id}">new problem 3</b>' in view._headline.value
    assert view.selection.value["problem"] == -1
    view.step()
    assert len(view.text.tokens) == 1
    assert not view._problems.is_open
    view.selection.value = {"problem": 5}
    assert wanted.problem_id in view._headline.value
    view.problem = 1000
    assert "problem 1000 is not there; allowed for this choice: 0 to" in view.message


def test_models_are_loaded_when_a_button_is_pressed_and_once(monkeypatch, ds, pair):
    calls = []
    monkeypatch.setattr(
        "recover_nb.widgets.models.load_lineage", lambda *unit: calls.append(unit) or pair
    )
    view = RolloutStepper(of_shipped(ds), source="live", selection=Selection(problem=1, rollout=0))
    assert not calls
    view.step()
    view.step()
    assert calls == [("qwen3", "sft")]
    assert any("loading torch, qwen3 sft" in said for said in view.busy.said)
    assert view.busy.layout.display == "none"


def test_a_checkpoint_that_is_missing_becomes_the_message(monkeypatch, ds):
    def absent(*_unit):
        raise InputError("no checkpoint in there")

    monkeypatch.setattr("recover_nb.widgets.models.load_lineage", absent)
    view = RolloutStepper(of_shipped(ds), source="live", selection=Selection(problem=1, rollout=0))
    view.buttons["step"].click()
    assert view.message == "no checkpoint in there"
    assert view.busy.layout.display == "none"
    view.fill()
    assert view.message == "no checkpoint in there"
