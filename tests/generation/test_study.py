import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import killed_run
import numpy as np
import pytest
import torch
import xarray as xr
from same_study import assert_equal
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb import tasks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Signal
from recover_nb.core.schema import SIGNAL_TOLERANCE, VALUE, VARIABLES, SchemaError, failed_rollouts
from recover_nb.features.features import problem_features, rollout_features
from recover_nb.generation import run, staging
from recover_nb.generation.config import StudyConfig, attempts_of
from recover_nb.generation.decoding import Settings, calibrate, decode, problem_key
from recover_nb.generation.generate import generate, round_mantissa
from recover_nb.generation.traces import trace_text
from recover_nb.io import store

SETTINGS = Settings(max_new_tokens=24)
UNIT = ("qwen3", "sft")


@pytest.fixture(scope="module")
def problems():
    return tasks.problems("arithmetic", "test", 3)


@pytest.fixture(scope="module")
def small(pair, problems):
    return generate(
        pair,
        problems,
        interventions=["sparse_steer", "dense_steer"],
        n_rollouts=4,
        n_attempts=3,
        settings=SETTINGS,
        unit=UNIT,
        signal_rollouts=2,
    )


@pytest.fixture(scope="module")
def uninterrupted(lab, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "whole.zarr"
    return run.run_study(killed_run.config(), out, progress=False, lab=lab, device="cpu")


# --- configuration
# ------------------------------------------------------------------------------------------


def test_config_round_trip():
    config = StudyConfig.quick(families="neox", settings={"alpha": 0.5}, seed=3)
    again = StudyConfig.from_json(config.to_json())
    assert again == config
    assert again.settings == Settings(alpha=0.5, seed=3)
    assert json.loads(config.to_json())["families"] == ["neox"]


def test_config_defaults_are_the_shipped_study():
    config = StudyConfig()
    assert len(config.cells) == 18
    assert (config.n_problems, config.n_rollouts, config.n_attempts, config.split) == (
        150,
        50,
        20,
        "test",
    )
    assert config.interventions[:2] == ("none", "retry")
    assert len(config.interventions) == 14
    assert (config.value_problems, config.value_n) == (3, 24)


def test_retry_is_run_whether_asked_for_or_not():
    assert StudyConfig(interventions=["dense_steer"]).interventions == (
        "none",
        "retry",
        "dense_steer",
    )


def test_attempts_of():
    names = ("none", "retry", "dense_steer", "greedy")
    assert [attempts_of(name, 50, 20) for name in names] == [50, 20, 2, 1]
    assert attempts_of("dense_steer", 50, 1) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"families": ["gpt2"]},
            "families must be a list of names among qwen3, neox, got ['gpt2']",
        ),
        (
            {"methods": ["rlhf"]},
            "methods must be a list of names among sft, grpo, self_distill, got ['rlhf']",
        ),
        (
            {"methods": ["ancestor"]},
            "names among sft, grpo, self_distill, got ['ancestor']",
        ),
        (
            {"tasks": ["poetry"]},
            "tasks must be a list of names among arithmetic, program, deduction, got ['poetry']",
        ),
        ({"tasks": []}, "arithmetic, program, deduction, got []; give at least one"),
        ({"split": "exam"}, "split must be one of train, dev, test, got 'exam'"),
        (
            {"interventions": ["prayer"]},
            "greedy, local_temperature, min_p, none, retry, sparse_steer, sparse_steer_random,"
            " sparse_steer_wrong, temperature, got 'prayer'",
        ),
        ({"n_rollouts": 0}, "n_rollouts must be a whole number of at least 1, got 0"),
        ({"n_problems": 2.5}, "n_problems must be a whole number of at least 1, got 2.5"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4294967295, got -1"),
        ({"settings": {"heat": 1}}, "setting must be one of temperature, top_k"),
        ({"settings": {"alpha": 2}}, "alpha must be a weight in [0, 1], got 2"),
    ],
)
def test_config_says_what_is_allowed(changes, said):
    with pytest.raises(InputError) as caught:
        StudyConfig(**changes)
    assert said in str(caught.value)
    with pytest.raises(
        InputError, match=r"field of a study must be one of families, .*, got 'colour'"
    ):
        StudyConfig.from_dict({"colour": 1})


# --- generation
# ------------------------------------------------------------------------------------------


def test_generated_study_is_valid_and_complete(small):
    # Value maps are asked for apart.
    assert set(VARIABLES) - set(VALUE) <= set(small.data_vars)
    sizes = {
        "problem": 3,
        "rollout": 4,
        "intervention": 4,
        "token": 24,
        "feature": 3,
        "role": 2,
        "alternative": 5,
    }
    assert dict(small.sizes) == sizes
    were_run = (small["correct"] >= 0).sum("rollout").values
    failed = small["n_failed_rollouts"].values > 0
    assert (were_run[failed] == [4, 3, 3, 2]).all()
    assert (were_run[~failed] == [4, 0, 0, 0]).all()
    np.testing.assert_array_equal(small["attempts"].values, were_run)


def test_alternatives_are_those_of_the_first_failed_rollout(small, pair, problems):
    failed = failed_rollouts(small)
    for i, problem in enumerate(problems):
        tokens = small["alternative_token_id"].values[i]
        if not failed[i].any():
            assert (tokens == -1).all()
            continue
        first = int(failed[i].argmax())
        n = int(small["n_tokens"].values[i, first, 0])
        assert (tokens[:n] >= 0).all() and (tokens[n:] == -1).all()
        trace = small["token_id"].values[i, first, 0, :n]
        ids = torch.tensor([[*pair.tokenizer([problem.prompt])["input_ids"][0], *trace]])
        for m, model in enumerate((pair.specialist, pair.ancestor)):
            with torch.inference_mode():
                scores = model(ids).logits[0, -n - 1 : -1].log_softmax(-1)
            found = small["alternative_log_probability"].values[i, :n, m]
            np.testing.assert_allclose(found, scores.topk(5).values.numpy(), rtol=2**-10, atol=1e-4)


def test_decodes_checks_features_and_calibration_are_those_of_the_parts(small, pair, problems):
    keys = np.array(
        [problem_key(*UNIT, each.task, each.problem_id) for each in problems], np.uint64
    )
    observed = decode(
        pair, [each.prompt for each in problems], keys, np.arange(4), "none", SETTINGS, record=True
    )
    np.testing.assert_array_equal(small["token_id"].values[:, :, 0], observed.token_id)
    for i, problem in enumerate(problems):
        for r in range(4):
            text = trace_text(pair, observed.token_id[i, r, : observed.n_tokens[i, r]])
            assert "<eos>" not in text
            assert small["correct"].values[i, r, 0] == tasks.is_correct(problem, text)
            answered = observed.stopped[i, r] and tasks.parse_answer(text) is not None
            assert small["parseable"].values[i, r, 0] == answered
    failed = failed_rollouts(small)
    pressure, variance = observed.signals["demotion_pressure"], observed.signals["logit_variance"]
    wanted = problem_features(rollout_features(pressure, variance, observed.n_tokens), failed)
    np.testing.assert_array_equal(small["features"].values, wanted)
    calibration = calibrate(observed, failed, SETTINGS)
    np.testing.assert_array_equal(small["fire_threshold"].values, calibration.threshold)
    np.testing.assert_array_equal(small["warmup"].values, calibration.warmup)


def test_signals_are_rounded_and_of_the_first_failed_rollouts(small, pair, problems):
    keys = np.array(
        [problem_key(*UNIT, each.task, each.problem_id) for each in problems], np.uint64
    )
    observed = decode(
        pair, [each.prompt for each in problems], keys, np.arange(4), "none", SETTINGS, record=True
    )
    has = small["has_signals"].values == 1
    failed = failed_rollouts(small)
    np.testing.assert_array_equal(has, failed & (failed.cumsum(1) <= 2))
    for name in Signal:
        stored, exact = small[name.value].values, observed.signals[name]
        np.testing.assert_allclose(stored[has], exact[has], rtol=SIGNAL_TOLERANCE)
        assert (stored[~has] == 0).all()


def test_round_mantissa():
    values = np.random.default_rng(0).lognormal(sigma=5, size=1000).astype(np.float32) * np.float32(
        -1
    )
    rounded = round_mantissa(values)
    assert (np.abs(rounded / values - 1) <= SIGNAL_TOLERANCE).all()
    assert (rounded.view(np.uint32) & np.uint32((1 << 13) - 1) == 0).all()
    np.testing.assert_array_equal(round_mantissa(rounded), rounded)
    assert round_mantissa(np.array([0, 1.0, 1 + 2**-11, 1 + 3 * 2**-11])).tolist() == [
        0,
        1,
        1,
        1 + 2**-9,
    ]


def test_round_mantissa_is_half_to_even_on_the_bits_of_every_kind_of_float():
    # Zeros, the smallest and largest denormals, the largest finite numbers, infinities and NaN.
    special = [0, 1, 0x7FFFFF, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF]
    drawn = np.random.default_rng(0).integers(2**32, size=100_000, dtype=np.uint32)
    bits = np.concatenate([drawn, np.uint32(special), np.uint32(special) | np.uint32(1 << 31)])
    for kept in (1, 10, 22):
        unit = np.uint32(1 << (23 - kept))
        half_to_even = unit // 2 - 1 + (bits // unit & 1)
        expected = (bits + half_to_even) // unit * unit
        found = round_mantissa(bits.view(np.float32), kept)
        np.testing.assert_array_equal(found.view(np.uint32), expected)


def test_twins_agree_with_retry_until_they_fire(small):
    tokens, retry = small["token_id"].values, small["token_id"].values[:, :, 1]
    fired = small["fired_at"].values[:, :, 2]
    ran = small["correct"].values[:, :, 2] >= 0
    before = np.arange(24) < np.where(fired < 0, 10, fired)[..., None]
    assert ((tokens[:, :, 2] == retry) | ~before)[ran].all()
    assert (fired[ran] >= 0).any()


def test_order_of_problems_changes_no_token(small, pair, problems):
    other = generate(
        pair,
        problems[::-1],
        interventions=["sparse_steer", "dense_steer"],
        n_rollouts=4,
        n_attempts=3,
        settings=replace(SETTINGS, batch_size=7),
        unit=UNIT,
    )
    for name in ("token_id", "fired_at", "correct", "problem_id"):
        np.testing.assert_array_equal(other[name].values[::-1], small[name].values, err_msg=name)
    np.testing.assert_allclose(other["features"].values[::-1], small["features"].values, atol=1e-5)


def test_all_correct_problems_are_no_failed_units(pair, problems):
    routed = ["local_temperature", "sparse_steer", "sparse_steer_random", "dense_steer"]
    ds = generate(
        pair,
        problems[:2],
        interventions=routed,
        n_rollouts=2,
        n_attempts=2,
        settings=SETTINGS,
        checker=lambda text, answer: True,
    )
    assert ds["n_failed_rollouts"].values.tolist() == [0, 0]
    assert (ds["correct"].values[:, :, 1:] == -1).all()
    assert np.isnan(ds["features"].values).all()
    assert ds["regime"].values.tolist() == ds["route"].values.tolist() == ["", ""]
    need = rnb.evaluate_routing(ds).needs[0]
    assert (need["figure"], need["needs"]) == ("rescue", "failed problems")


def test_where_every_wrong_answer_was_cut_off_the_message_says_so(problems):
    # No answer of a trained model is over in two tokens.
    ds = generate(
        rnb.load_lineage("qwen3", "grpo"),
        problems[:2],
        interventions=rnb.PUBLISHED.interventions,
        n_rollouts=3,
        n_attempts=1,
        settings=replace(SETTINGS, max_new_tokens=2),
        unit=("qwen3", "grpo"),
    )
    assert ds["n_failed_rollouts"].values.tolist() == [0, 0]
    said = "; 6 of 6 wrong rollouts were cut off at the length limit"
    need = rnb.evaluate_routing(ds).needs[0]
    assert need["figure"] == "rescue" and need["needs"].startswith("failed problems" + said)
    for statistic in (rnb.cluster_stability, rnb.topography):
        with pytest.raises(InputError, match=said):
            statistic(ds)
    assert rnb.tables.regime_sentence(ds).startswith("No problem failed" + said)


def test_one_failed_rollout_is_enough(pair, problems):
    seen = []

    def first_fails(text, answer):
        seen.append(text)
        return len(seen) > 1

    ds = generate(
        pair,
        problems[:1],
        interventions=["sparse_steer"],
        n_rollouts=3,
        n_attempts=2,
        settings=replace(SETTINGS, seed=1),
        checker=first_fails,
    )
    assert ds["n_failed_rollouts"].values.tolist() == [1]
    assert np.isfinite(ds["features"].values).all()
    assert (ds["correct"].values[0, :2, 1:] == 1).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"problems": []}, "problems must be a list of problems (rnb.tasks.Problem), got []"),
        ({"n_rollouts": 0}, "n_rollouts must be a whole number of at least 1, got 0"),
        ({"n_attempts": 0}, "n_attempts must be a whole number of at least 1, got 0"),
        ({"interventions": ["prayer"]}, "intervention must be one of ancestor, calculator"),
        ({"checker": "vibes"}, "math, regex:PATTERN, or a function, or None, got 'vibes'"),
        ({"settings": Settings(max_new_tokens=1000)}, "lower max_new_tokens"),
    ],
)
def test_generate_says_what_is_wrong(pair, problems, changes, said):
    given = {
        "problems": problems[:1],
        "n_rollouts": 1,
        "n_attempts": 1,
        "settings": SETTINGS,
        **changes,
    }
    with pytest.raises(InputError, match=re.escape(said)):
        generate(pair, given.pop("problems"), **given)


def test_operators_not_run_leave_regimes_and_routes_open(pair, problems):
    ds = generate(
        pair, problems[:1], interventions=[], n_rollouts=1, n_attempts=1, settings=SETTINGS
    )
    assert ds["intervention"].values.tolist() == ["none", "retry"]
    assert ds["regime"].values.tolist() == ds["route"].values.tolist() == [""]


def test_signals_computed_again_are_those_stored(small, pair):
    again = rnb.compute_signals(small, pair)
    has = small["has_signals"].values == 1
    for name in Signal:
        np.testing.assert_allclose(
            again[name.value].values[has], small[name.value].values[has], rtol=2e-3, atol=1e-3
        )
    failed = failed_rollouts(small)
    features = problem_features(
        rollout_features(
            again["demotion_pressure"].values,
            again["logit_variance"].values,
            np.where(failed, small["n_tokens"].values[:, :, 0], 0),
        ),
        failed,
    )
    np.testing.assert_allclose(features, small["features"].values, atol=1e-3)
    retry = rnb.compute_signals(small, pair, intervention="retry", settings=SETTINGS)
    np.testing.assert_array_equal(retry["has_signals"].values[:, 3:], 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ds: ds.drop_vars("token_id"), "no variable token_id"),
        (
            lambda ds: ds.assign_coords(method=("problem", ["sft", "grpo", "sft"])),
            "several specialists",
        ),
        (lambda ds: ds.assign_attrs(config_json="{}"), "pass settings="),
    ],
)
def test_compute_signals_says_what_is_missing(small, pair, change, said):
    with pytest.raises(InputError, match=said):
        rnb.compute_signals(change(small), pair)
    with pytest.raises(InputError, match=r"intervention must be one of .*, got 'prayer'"):
        rnb.compute_signals(small, pair, intervention="prayer")


# --- runs
# ------------------------------------------------------------------------------------------


def test_run_equals_generate(uninterrupted, pair):
    ds = store.open_study(uninterrupted, load=True)
    config = killed_run.config()
    assert StudyConfig.from_json(ds.attrs["config_json"]) == config
    wanted = generate(
        pair,
        tasks.problems("arithmetic", "test", 3),
        interventions=config.interventions,
        n_rollouts=3,
        n_attempts=2,
        settings=config.settings,
        unit=UNIT,
    )
    part = ds.isel(problem=slice(0, 3))
    for name in ("token_id", "correct", "fired_at", "route", "regime", "prompt"):
        np.testing.assert_array_equal(part[name].values, wanted[name].values, err_msg=name)
    models = json.loads(ds.attrs["provenance_json"])["models"]
    assert set(models) == {"qwen3|sft", "qwen3|grpo"}
    assert all(len(each["specialist_sha256"]) == 64 for each in models.values())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_and_resumed_run_equals_an_uninterrupted_one(lab, tmp_path, uninterrupted, seed):
    out = tmp_path / "killed.zarr"
    script = Path(killed_run.__file__)
    done = subprocess.run(
        [sys.executable, script, lab, out, str(seed)],
        capture_output=True,
        text=True,
        timeout=1200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3
    assert_equal(store.open_study(out, load=True), store.open_study(uninterrupted, load=True))
    assert [each.name for each in tmp_path.iterdir()] == ["killed.zarr"]


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_when_killed_25_times(lab, tmp_path, uninterrupted):
    done = subprocess.run(
        [sys.executable, killed_run.__file__, lab, tmp_path, "0", "25"],
        capture_output=True,
        text=True,
        timeout=1200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "25"
    found = sorted(tmp_path.iterdir())
    assert len(found) >= 2
    assert {each.suffix for each in found} == {".zarr"}
    for path in found:
        assert_equal(store.open_study(path, load=True), store.open_study(uninterrupted, load=True))


def test_existing_study_is_refused_and_resume_of_it_changes_nothing(uninterrupted, lab):
    before = sorted((each.name, each.stat().st_mtime_ns) for each in uninterrupted.rglob("*"))
    with pytest.raises(InputError, match="exists; choose another --out"):
        run.run_study(killed_run.config(), uninterrupted, progress=False, lab=lab)
    assert (
        run.run_study(killed_run.config(), uninterrupted, resume=True, progress=False, lab=lab)
        == uninterrupted
    )
    with pytest.raises(InputError, match="has seed=0 and 5 was asked for"):
        run.run_study(
            replace(killed_run.config(), seed=5),
            uninterrupted,
            resume=True,
            progress=False,
            lab=lab,
        )
    assert (
        sorted((each.name, each.stat().st_mtime_ns) for each in uninterrupted.rglob("*")) == before
    )


@pytest.fixture
def unfinished(lab, tmp_path, monkeypatch):
    """Return the path of a run that stopped after its first block."""
    out = tmp_path / "study.zarr"

    def full_disk(self, block, arrays):
        if block == 1:
            raise OSError(28, "No space left on device")
        write(self, block, arrays)

    write = staging.Staging.write
    with monkeypatch.context() as patch:
        patch.setattr(staging.Staging, "write", full_disk)
        with pytest.raises(
            InputError, match=r"study\.zarr cannot be written: No space left .*--resume"
        ):
            run.run_study(killed_run.config(), out, progress=False, lab=lab, device="cpu")
    assert not out.exists()
    return out


def test_unfinished_run_is_not_a_study_and_not_begun_again(unfinished, lab):
    with pytest.raises(InputError, match=r"not finished \(1 blocks are done\)"):
        store.open_study(unfinished)
    with pytest.raises(InputError, match="go on with --resume"):
        run.run_study(killed_run.config(), unfinished, progress=False, lab=lab)


def test_resume_names_the_field_that_differs(unfinished, lab):
    for changes, said in (
        ({"n_attempts": 3}, "n_attempts=2 and 3 was asked for"),
        ({"settings": {"max_new_tokens": 25}}, "max_new_tokens=24 and 25"),
        ({"methods": ("sft",)}, "methods="),
    ):
        with pytest.raises(InputError, match=said):
            run.run_study(
                replace(killed_run.config(), **changes),
                unfinished,
                resume=True,
                progress=False,
                lab=lab,
            )


def test_resume_notices_other_checkpoints(unfinished, lab, tmp_path):
    import shutil

    other = shutil.copytree(lab, tmp_path / "lab")
    with (other / "qwen3" / "grpo" / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match=r"checkpoints of qwen3\|grpo have changed"):
        run.run_study(killed_run.config(), unfinished, resume=True, progress=False, lab=other)


def test_one_process_at_a_time(unfinished, lab):
    with (
        staging.Staging(unfinished).locked(),
        pytest.raises(InputError, match="in use by another run"),
    ):
        run.run_study(killed_run.config(), unfinished, resume=True, progress=False, lab=lab)


def test_missing_checkpoint_names_the_command(tmp_path):
    with pytest.raises(InputError, match="recover-nb train --family qwen3 --method ancestor"):
        run.run_study(killed_run.config(), tmp_path / "s.zarr", progress=False, lab=tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- stores
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", store.SUFFIXES)
def test_store_round_trip(tmp_path, suffix):
    ds, path = tiny_study(), tmp_path / f"s{suffix}"
    store.save_study(ds, path)
    back = store.open_study(path, load=True)
    for name in ds.variables:
        assert back[name].dims == ds[name].dims
        np.testing.assert_array_equal(back[name].values, ds[name].values, err_msg=str(name))
    assert dict(back.attrs) == dict(ds.attrs)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert_equal(rnb.open_study(path).load(), back)
    assert_equal(store.open_study(store.save_study(back, path, replace=True), load=True), back)


def test_open_is_lazy(tmp_path):
    path = store.save_zip(tiny_study(), tmp_path / "s.zarr.zip")
    with store.open_study(path) as ds:
        assert not ds["token_id"]._in_memory
        assert isinstance(ds, xr.Dataset)


def test_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = store.save_study(tiny_study(), tmp_path / "s.zarr")

    def broken(ds, path):
        path.mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(store._WRITERS, ".zarr", broken)
    with pytest.raises(InputError, match=r"no room is left for .*s\.zarr"):
        store.save_study(tiny_study(n=3), path, replace=True)
    assert [each.name for each in tmp_path.iterdir()] == ["s.zarr"]
    assert store.open_study(path).sizes["problem"] == 6


def test_invalid_study_is_not_written(tmp_path):
    with pytest.raises(SchemaError):
        store.save_study(tiny_study().drop_vars("correct"), tmp_path / "s.zarr")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=r"ends in \.zarr\.zip"):
        store.save_zip(tiny_study(), tmp_path / "s.zarr")
    path = store.save_study(tiny_study(), tmp_path / "s.zarr")
    with pytest.raises(InputError, match="exists"):
        store.save_study(tiny_study(), path)


def truncate(path):
    """Cut a file in half, or take a chunk out of a folder."""
    if path.is_dir():
        next(
            each for each in sorted((path / "token_id").iterdir()) if not each.name.startswith(".")
        ).unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def corrupt(path):
    """Overwrite compressed data, leaving names and sizes alone."""
    if path.is_dir():
        chunk = next(
            each for each in sorted((path / "correct").iterdir()) if not each.name.startswith(".")
        )
        chunk.write_bytes(b"\xff" * chunk.stat().st_size)
        return
    data = bytearray(path.read_bytes())
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            place = (
                next(
                    i for i in archive.infolist() if i.filename.startswith("correct/0")
                ).header_offset
                + 60
            )
    else:
        place = 8
    data[place : place + 40] = b"\xff" * 40
    path.write_bytes(data)


#: What is said of each damage; what cannot be opened at all is truncated or corrupt.
SAID_OF_DAMAGE = {
    (truncate, ".zarr"): r"the file token_id/0\.0\.0\.0 is missing; copy the study again",
    (corrupt, ".zarr"): r"the file correct/0\.0\.0 is damaged \(its checksum is another one\)",
    (corrupt, ".zarr.zip"): r"the file correct/0\.0\.0 is damaged \(Bad CRC-32",
    (corrupt, ".nc"): r"the file is damaged \(its checksum is another one\); copy it again",
}


@pytest.mark.parametrize("suffix", store.SUFFIXES)
@pytest.mark.parametrize("damage", [truncate, corrupt])
def test_damaged_store_is_one_sentence(tmp_path, suffix, damage):
    path = store.save_study(tiny_study(), tmp_path / f"s{suffix}")
    damage(path)
    said = SAID_OF_DAMAGE.get((damage, suffix), "truncated or corrupt")
    with pytest.raises(InputError, match=said) as caught:
        store.open_study(path, load=True)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("s.zarr", "no such file"),
        ("s.json", r"a study ends in \.zarr, \.zarr\.zip, \.nc"),
        (".zarr", "a study ends in"),
        ("s.zarr.zip", "no such file"),
    ],
)
def test_open_says_what_is_wrong(tmp_path, name, said):
    with pytest.raises(InputError, match=said):
        store.open_study(tmp_path / name)


def test_file_in_place_of_a_folder_and_empty_folder(tmp_path):
    (tmp_path / "s.zarr").write_text("no")
    with pytest.raises(InputError, match="not a folder"):
        store.open_study(tmp_path / "s.zarr")
    (tmp_path / "e.zarr").mkdir()
    with pytest.raises(InputError, match=r"e\.zarr: it has no \.zmetadata, so it is not finished"):
        store.open_study(tmp_path / "e.zarr")


def test_other_schema_version_names_the_file(tmp_path, monkeypatch):
    path = store.save_study(tiny_study(), tmp_path / "s.zarr.zip")
    monkeypatch.setattr("recover_nb.core.attributes.SCHEMA_VERSION", "2")
    with pytest.raises(SchemaError, match=r"s\.zarr\.zip: the study has schema version '1'"):
        store.open_study(path)


def test_lineage_names():
    with pytest.raises(InputError, match=r"must be .*qwen3, neox"):
        rnb.load_lineage("llama", "sft")
    with pytest.raises(InputError, match="'ancestor' is not a specialist"):
        rnb.load_lineage("qwen3", "ancestor")
