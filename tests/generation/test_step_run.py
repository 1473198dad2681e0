"""The companion of steps: what is read, what is gone on from, and that a run goes on."""

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import decode, problem_key, token_numbers
from recover_nb.generation.step_ahead import go_on
from recover_nb.generation.step_study import StepPlan, run_steps

PLAN = StepPlan(n_problems=25, n_rollouts=2, n_ahead=3)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return a small study of one cell of the lineage."""
    config = rnb.StudyConfig(
        families=["neox"],
        methods=["sft"],
        tasks=["arithmetic"],
        n_problems=12,
        n_rollouts=2,
        n_attempts=3,
        interventions=["none"],
        value_problems=0,
    )
    path = tmp_path_factory.mktemp("study") / "small.zarr.zip"
    rnb.run_study(config, path, progress=False)
    return rnb.open_study(path, load=True)


@pytest.fixture(scope="module")
def done(study, tmp_path_factory):
    folder, told = tmp_path_factory.mktemp("steps"), []
    out = run_steps(study, folder / "s.zarr.zip", work=folder / "work", plan=PLAN, tell=told.append)
    assert told == ["dev_neox_sft", "test_neox_sft"]
    return rnb.load_steps(out), folder


@pytest.fixture(scope="module")
def pair():
    return rnb.load_lineage("neox", "sft", device="cpu")


def test_steps_of_the_study_are_there_and_scored(done, study):
    steps, _ = done
    assert steps.sizes["problem"] == 25 + 12
    dev = (steps["split"].values == "dev")[steps["problem_of"].values]
    assert np.isnan(steps["p_right"].values).tolist() == dev.tolist()
    correct = study["correct"].sel(intervention="none").values[:, :2]
    assert (steps["correct"].values[25:] == correct).all()
    # A trace is its steps: tokens add up, and each begins where the one before ends.
    spans = steps.to_dataframe().reset_index()
    spans = spans.drop_duplicates("row")[["problem_of", "rollout_of", "start", "tokens"]]
    for (p, r), part in spans.groupby(["problem_of", "rollout_of"]):
        ends = part["start"] + part["tokens"]
        assert part["start"].tolist() == [0, *ends[:-1]]
        assert ends.iloc[-1] == steps["n_tokens"].values[p, r]


def test_from_the_first_step_it_is_retry(done, study):
    steps, _ = done
    first = (steps["ahead_right"].values[:, 0] >= 0) & (steps["step"].values == 0)
    at = steps["problem_of"].values[first] - 25
    failed = study["correct"].sel(intervention="none").values[:, 0] == 0
    assert at.tolist() == np.flatnonzero(failed).tolist()
    retry = study["correct"].sel(intervention="retry").values[at]
    assert steps["ahead_right"].values[first, 0].tolist() == (retry == 1).sum(1).tolist()


def test_what_is_kept_is_not_drawn_again(pair):
    prompt, text = "((47+85)*4)%100\n", "47+85=32 32*4=28 #28"
    tokens = np.array([pair.tokenizer.encode(text) + list(pair.eos_ids)[:1]])
    keys = np.array([problem_key("neox", "sft", "arithmetic", "x")], np.uint64)
    size = tokens.shape[1]
    # All but the end is kept: what is right stays right, and one token is drawn.
    right, drawn = go_on(
        pair, [prompt], ["28"], keys, tokens, np.array([size - 1]), "retry", rnb.Settings(), 3
    )
    assert (right.tolist(), drawn.tolist()) == ([3], [1])


def test_numbers_are_those_that_were_drawn_with(pair):
    settings = rnb.Settings(max_new_tokens=24)
    prompts, keys = ["(4+5)%100\n"], np.array([5], np.uint64)
    made = decode(pair, prompts, keys, np.arange(2), "none", settings, record=True)
    found = token_numbers(pair, prompts, made.token_id, made.n_tokens, settings.temperature)
    inside = np.arange(24) < made.n_tokens[..., None]
    assert (found.specialist[inside] <= 0).all()
    assert (found.specialist[~inside] == 0).all()
    gap = (found.specialist - found.ancestor)[inside]
    np.testing.assert_allclose(gap, made.signals["path_deformation"][inside], atol=1e-3)


def test_own_traces_are_scored(done, study, pair):
    steps, _ = done
    found = rnb.step_scores(study.isel(problem=slice(4)), pair, steps=steps)
    stored = steps["p_right"].values[np.isin(steps["problem_of"].values, range(25, 29))]
    np.testing.assert_allclose(found["p_right"], stored, atol=0.02)
    assert "".join(found["text"][:2]).rstrip("<eos>").count("=") >= 1
    lines = rnb.step_scores(study.isel(problem=slice(1)), pair, steps=steps, by="line")
    assert (lines["step"] == 0).all()


def test_an_interrupted_run_goes_on(done, study):
    steps, folder = done
    (folder / "work" / "test_neox_sft.npz").unlink()
    out = run_steps(study, folder / "again.zarr.zip", work=folder / "work", plan=PLAN)
    assert rnb.load_steps(out).drop_attrs().identical(steps.drop_attrs())


def test_what_cannot_be_made_is_refused(study, tmp_path, capsys):
    with pytest.raises(InputError, match="ends in"):
        run_steps(study, tmp_path / "a.zip")
    bare = study.drop_attrs()
    with pytest.raises(InputError, match="with which settings it was made"):
        run_steps(bare, tmp_path / "a.zarr.zip", work=tmp_path)
    assert main(["steps", "--out", str(tmp_path / "a.zip")]) == 2
    assert ".zarr.zip" in capsys.readouterr().err


def test_a_state_of_another_plan_or_a_damaged_part_is_named(done, study, tmp_path):
    other = StepPlan(n_problems=25, n_rollouts=2, n_ahead=4)
    with pytest.raises(InputError, match="holds the state of another plan or study; give another"):
        run_steps(study, tmp_path / "a.zarr.zip", work=done[1] / "work", plan=other)
    part = done[1] / "work" / "test_neox_sft.npz"
    whole = part.read_bytes()
    part.write_bytes(whole[:100])
    try:
        with pytest.raises(InputError, match=r"test_neox_sft\.npz is damaged; remove it to make"):
            run_steps(study, tmp_path / "a.zarr.zip", work=done[1] / "work", plan=PLAN)
    finally:
        part.write_bytes(whole)
