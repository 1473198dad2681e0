"""Training that goes on: what is asked, what is kept, and that it goes on where it was stopped."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.generation.lab import onward as lab
from recover_nb.generation.lab.onward import RECIPE, OnwardPlan, measured_file, runs_of
from recover_nb.generation.onward_study import choose_units, plan_of, run_onward

PLAN = OnwardPlan(
    checkpoints=(1, 2), n_ends=3, n_between=2, recipe=replace(RECIPE, n_problems=2, n_samples=2)
)
#: Places in the bundled study: three problems of `neox` `sft` arithmetic, of which two failed.
CELL = ("neox", "sft", "arithmetic")


@pytest.fixture(scope="module")
def few():
    """Return two failed problems and one that never failed, of one cell of the bundled study."""
    ds = rnb.load_study()
    mine = np.flatnonzero(rnb.cell_names(ds) == "|".join(CELL))
    failed = ds["n_failed_rollouts"].values[mine] > 0
    return ds.isel(problem=[*mine[failed][:2], mine[~failed][0]])


@pytest.fixture(scope="module")
def done(few, tmp_path_factory):
    """Return a finished run: its file, and the folder of its work."""
    folder, told = tmp_path_factory.mktemp("onward"), []
    out = run_onward(
        few,
        folder / "onward.zarr.zip",
        work=folder / "work",
        seeds=(0, 1),
        plan=PLAN,
        tell=told.append,
    )
    assert told == ["neox-sft-0", "neox-sft-1"]
    return out, folder / "work"


def test_every_failed_problem_is_asked_and_some_that_never_failed():
    ds = rnb.load_study()
    rows = choose_units(ds, n_solved=3)
    failed = ds["n_failed_rollouts"].values > 0
    assert set(np.flatnonzero(failed)) <= set(rows)
    cells, n = np.unique(rnb.cell_names(ds)[rows[~failed[rows]]], return_counts=True)
    assert len(cells) == 18
    assert n.tolist() == [3] * 18
    assert (np.diff(rows) > 0).all()


def test_answers_lie_where_they_were_asked(few, done):
    found = rnb.load_onward(done[0])
    assert found["problem_id"].values.tolist() == few["problem_id"].values.tolist()
    assert found["checkpoint"].values.tolist() == [0, 1, 2]
    assert found["correct"].shape == (3, 2, 3, 3)
    # Two rollouts in between, three at either end.
    asked = (found["correct"].values >= 0).sum(axis=-1)
    assert (asked == [3, 2, 3]).all()
    assert (found["n_tokens"].values > 1).all()
    # What never failed in 50 rollouts is right before and two small steps later.
    assert (found["correct"].values[2, :, 0] == 1).all()
    config = json.loads(found.attrs["config_json"])
    assert config["checkpoints"] == [1, 2]
    assert config["recipe"]["levels"] == [20.0, 24.0, 24.0, 20.0, 12.0]
    assert "recover_nb" in json.loads(found.attrs["provenance_json"])["packages"]


def test_every_seed_and_step_draws_anew_and_no_draw_is_one_of_the_study(few, monkeypatch):
    seen = []

    class Seen(Exception):
        """Enough was seen."""

    def decode(pair, prompts, keys, rollouts, intervention, settings):
        seen.append(settings.seed)
        raise Seen

    monkeypatch.setattr(lab, "decode", decode)
    monkeypatch.setattr(lab, "load_pair", lambda *given, **options: None)
    for run in runs_of(plan_of(few, PLAN)["asked"], (0, 1, 2)):
        for step in OnwardPlan().steps:
            with pytest.raises(Seen):
                lab.ask(None, None, run, PLAN, step)
    assert len(set(seen)) == 15
    # The study and its companions have 0, 1 and 2.
    assert min(seen) > 2


def test_checkpoints_differ_from_one_another_and_stay_in_the_work(done):
    from recover_nb.generation.lab.optimise import load_weights

    states = done[1] / "training" / "neox-sft-0" / "states"
    one, two = (load_weights(states / f"{step}.sealed") for step in (1, 2))
    assert any(not np.array_equal(one[name], two[name]) for name in one)
    assert done[0].stat().st_size < 50_000


def test_a_run_goes_on_where_it_was_stopped(few, done, monkeypatch):
    out, work = done
    run = runs_of(plan_of(few, PLAN, seeds=(0, 1))["asked"], (0,))[0]
    lost = measured_file(work, run, 1)
    before = lost.read_bytes()
    lost.unlink()
    trained = []
    monkeypatch.setattr(lab, "grpo_loss", lambda *given: lambda step: trained.append(step) or 0.0)
    asked, ask = [], lab.ask
    monkeypatch.setattr(lab, "ask", lambda *given: asked.append(given[-1]) or ask(*given))
    again = run_onward(few, out.with_name("again.zarr.zip"), work=work, seeds=(0, 1), plan=PLAN)
    assert (trained, asked) == ([], [1])
    with np.load(lost) as found:
        assert found["correct"].shape == (3, 2)
    assert len(lost.read_bytes()) == len(before)
    assert rnb.load_onward(again)["correct"].equals(rnb.load_onward(out)["correct"])


def test_a_state_of_another_plan_is_not_gone_on_with(few, done, tmp_path):
    with pytest.raises(InputError, match="holds the state of another plan or study; give another"):
        run_onward(few, tmp_path / "a.zarr.zip", work=done[1], plan=replace(PLAN, n_ends=4))


def test_one_seed_of_those_begun_can_be_had_first(few, done, tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "load_checkpoint", None)  # Nothing is left to do.
    out = run_onward(few, tmp_path / "a.zarr.zip", work=done[1], seeds=(1,), plan=PLAN)
    both = rnb.load_onward(done[0])["correct"]
    assert rnb.load_onward(out)["correct"].equals(both.sel(seed=[1]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"out": "a.zarr"}, "allowed: a new file that ends in .zarr.zip"),
        ({"workers": 0}, "workers must be a whole number of at least 1, got 0"),
        ({"n_solved": -1}, "n_solved must be a whole number of at least 0, got -1"),
        ({"seeds": ()}, "seeds is (); allowed: different whole numbers"),
        ({"seeds": (1, 1)}, "seeds is (1, 1); allowed: different whole numbers"),
        ({"seeds": (-1,)}, "a seed must be a whole number of at least 0, got -1"),
    ],
    ids=["suffix", "workers", "solved", "no seed", "twice", "negative"],
)
def test_what_cannot_be_run_is_refused_before_it_begins(few, tmp_path, options, said):
    out = tmp_path / options.pop("out", "a.zarr.zip")
    with pytest.raises(InputError) as raised:
        run_onward(few, out, work=tmp_path / "work", plan=PLAN, **options)
    assert said in str(raised.value)
    assert not (tmp_path / "work").exists()


def test_a_study_without_problems_to_ask_is_refused(few, tmp_path):
    with pytest.raises(InputError, match="the study has no prompt, so its problems cannot be put"):
        run_onward(few.drop_vars("prompt"), tmp_path / "a.zarr.zip", work=tmp_path, plan=PLAN)


@pytest.mark.parametrize("kind", ["empty", "cut short", "other rollouts"])
def test_a_damaged_measurement_is_named(few, done, tmp_path, kind):
    work = shutil.copytree(done[1], tmp_path / "work")
    path = work / "measured" / "neox-sft-1-2.npz"
    if kind == "other rollouts":
        shutil.copy(work / "measured" / "neox-sft-1-1.npz", path)
    else:
        path.write_bytes(b"" if kind == "empty" else path.read_bytes()[:200])
    with pytest.raises(InputError) as raised:
        run_onward(few, tmp_path / "a.zarr.zip", work=work, seeds=(0, 1), plan=PLAN)
    assert str(raised.value) == (
        f"{path} is damaged, or of other problems than the plan's; remove it to measure anew"
    )


def test_what_is_there_is_left_alone(few, done, tmp_path):
    (tmp_path / "a.zarr.zip").write_text("mine")
    with pytest.raises(InputError, match=r"a\.zarr\.zip exists"):
        run_onward(few, tmp_path / "a.zarr.zip", work=done[1], seeds=(0, 1), plan=PLAN)
    assert (tmp_path / "a.zarr.zip").read_text() == "mine"


@pytest.mark.parametrize("kind", ["absent", "text", "cut short", "a study"])
def test_what_is_no_such_file_is_said_in_a_sentence(done, tmp_path, kind):
    path = tmp_path / "x.zarr.zip"
    if kind == "text":
        path.write_text("hello")
    elif kind == "cut short":
        path.write_bytes(done[0].read_bytes()[:2000])
    elif kind == "a study":
        path = rnb.example_folder() / "own_study.zarr.zip"
    with pytest.raises(InputError) as raised:
        rnb.load_onward(path)
    wanted = {
        "absent": "is not there; make it with: recover-nb train --onward --out x.zarr.zip",
        "a study": "is not what recover-nb train --onward writes",
    }
    assert path.name in str(raised.value)
    assert wanted.get(kind, "truncated or corrupt") in str(raised.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "--onward needs --out: a new file that ends in .zarr.zip"),
        (["--family", "neox"], "--family does not go with --onward"),
        (["--method", "sft"], "--method does not go with --onward"),
        (["--seed", "1"], "--seed does not go with --onward"),
        (["--ancestors", "lab"], "--ancestors does not go with --onward"),
        (["--out", "a.zarr"], "out is 'a.zarr'; allowed: a new file that ends in .zarr.zip"),
    ],
    ids=["nothing", "family", "method", "seed", "ancestors", "suffix"],
)
def test_command_refuses_what_does_not_go_with_it(given, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code = main(["train", "--onward", *given])
    assert code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
