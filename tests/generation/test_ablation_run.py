"""`recover-nb ablate` on a tiny study: its own settings repeat it, others match direct calls."""

import json
from dataclasses import replace

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.core.schema import text
from recover_nb.features.features import problem_features, rollout_features
from recover_nb.generation import ablation_run, run
from recover_nb.generation.config import StudyConfig
from recover_nb.generation.decoding import Settings, decode, problem_key
from recover_nb.generation.lineage import load_lineage
from recover_nb.generation.traces import check_traces
from recover_nb.routing.ablation.stored import (
    ATTEMPT_VARIATIONS,
    OWN,
    SIGNAL_VARIATIONS,
    Variation,
    load_ablations,
    unpack,
)

CELLS = ["qwen3|sft|arithmetic", "qwen3|grpo|arithmetic"]


@pytest.fixture(scope="module")
def study(lab, tmp_path_factory):
    config = StudyConfig(
        families=["qwen3"],
        methods=["sft", "grpo"],
        tasks=["arithmetic"],
        n_problems=4,
        n_rollouts=6,
        n_attempts=4,
        interventions=["local_temperature", "sparse_steer", "sparse_steer_random", "dense_steer"],
        settings={"max_new_tokens": 24},
        signal_rollouts=3,
    )
    return run.run_study(
        config, tmp_path_factory.mktemp("study") / "s.zarr", progress=False, lab=lab, device="cpu"
    )


@pytest.fixture(scope="module")
def ds(study):
    return rnb.open_study(study, load=True)


@pytest.fixture(scope="module")
def path(study, lab, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "ablations.json"
    arguments = [
        "ablate",
        "--out",
        out,
        "--study",
        study,
        "--problems",
        3,
        "--lab",
        lab,
        "--device",
        "cpu",
    ]
    assert main([str(each) for each in arguments]) == 0
    return out


@pytest.fixture(scope="module")
def found(path):
    return load_ablations(path)


def cell_of(ds, cell):
    return ds.isel(problem=text(ds["method"]) == cell.split("|")[1])


def test_the_file_says_where_it_comes_from(found, ds, path):
    about = found["about"]
    assert (about["seed"], about["n_problems"], about["n_attempts"]) == (0, 3, 4)
    assert about["command"] == "recover-nb ablate --problems 3"
    assert about["models"] == json.loads(ds.attrs["provenance_json"])["models"]
    assert "torch" in about["packages"] and about["created_at"]
    assert list(found["cells"]) == CELLS
    assert [each["name"] for each in found["variations"]] == [
        e.name for e in (*SIGNAL_VARIATIONS, *ATTEMPT_VARIATIONS)
    ]
    assert not path.with_name(path.name + ".partial").exists()


@pytest.mark.parametrize("cell", CELLS)
def test_the_studys_own_settings_repeat_the_study(found, ds, cell):
    part, got = cell_of(ds, cell), found["cells"][cell]
    assert got["repeat_check"] == 1.0
    assert got["signal_check"] < 0.01
    for name, counts in got["attempts"][OWN].items():
        stored = part["correct"].sel(intervention=name).values[got["attempted"]]
        count = counts["attempts"] // len(got["attempted"])
        assert unpack(counts["outcomes"], (3, count)).tolist() == (stored[:, :count] == 1).tolist()
        fired = part["fired_at"].sel(intervention=name).values[got["attempted"], :count] >= 0
        assert counts["fired"] == fired.sum()


def test_counts_are_those_of_the_outcomes(found):
    for got in found["cells"].values():
        assert set(got["attempts"]) == {OWN, *(each.name for each in ATTEMPT_VARIATIONS)}
        for each in ATTEMPT_VARIATIONS:
            assert tuple(got["attempts"][each.name]) == each.interventions
            for name, counts in got["attempts"][each.name].items():
                assert counts["attempts"] == 3 * (2 if name == "dense_steer" else 4)
                assert (
                    counts["correct"] == unpack(counts["outcomes"], (1, counts["attempts"])).sum()
                )


def test_features_are_those_of_signals_at_that_setting(found, ds, lab):
    """Another way there: signals of every rollout, features of those whose signals are kept."""
    pair = load_lineage("qwen3", "sft", root=lab, device="cpu")
    part, got = cell_of(ds, CELLS[0]), found["cells"][CELLS[0]]
    used = part["has_signals"].values == 1
    length = part["n_tokens"].sel(intervention="none").values
    base = Settings(**json.loads(ds.attrs["config_json"])["settings"])
    seen = []
    half = got["k_cov"]["k_cov=half"]
    for name, changed in (
        ("temperature=0.3", {"temperature": 0.3}),
        ("k_cov=half", {"k_cov": half}),
    ):
        settings = replace(base, **changed)
        signals = rnb.compute_signals(part, pair, settings=settings)
        values = rollout_features(
            signals["demotion_pressure"].values, signals["logit_variance"].values, length
        )
        expected = problem_features(values, used)
        np.testing.assert_allclose(np.array(got["features"][name]).T, expected, rtol=0, atol=6e-4)
        seen.append(expected)
    assert not np.allclose(seen[0], seen[1])


def test_attempts_are_those_of_decode_at_that_setting(found, ds, lab):
    pair = load_lineage("qwen3", "sft", root=lab, device="cpu")
    got = found["cells"][CELLS[0]]
    part = cell_of(ds, CELLS[0]).isel(problem=got["attempted"])
    settings = Settings(**{**json.loads(ds.attrs["config_json"])["settings"], "alpha": 0.3})
    units = zip(
        *(text(part[name]).tolist() for name in ("family", "method", "task", "problem_id")),
        strict=True,
    )
    keys = np.array([problem_key(*unit) for unit in units], np.uint64)
    decoded = decode(
        pair, text(part["prompt"]).tolist(), keys, np.arange(2), "dense_steer", settings
    )
    rows = zip(decoded.token_id, decoded.n_tokens, text(part["answer"]), strict=True)
    correct = np.stack([check_traces(pair, *row) for row in rows])
    assert (
        unpack(got["attempts"]["alpha=0.3"]["dense_steer"]["outcomes"], (3, 2)).tolist()
        == correct.tolist()
    )
    assert not (
        decoded.token_id == part["token_id"].sel(intervention="dense_steer").values[:, :2]
    ).all()


def test_a_later_warm_up_fires_less(found):
    for got in found["cells"].values():
        fired = {
            name: got["attempts"][name]["sparse_steer"]["fired"]
            for name in ("warmup=0", OWN, "warmup=double")
        }
        assert fired["warmup=0"] >= fired[OWN] >= fired["warmup=double"]


def test_an_unfinished_run_goes_on(study, ds, lab, path, tmp_path, monkeypatch):
    out = tmp_path / "again.json"
    real, calls = load_ablations(path)["cells"], []

    def interrupted(part, *_):
        calls.append("|".join(str(part[name].values[0]) for name in ("family", "method", "task")))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real[calls[-1]]

    monkeypatch.setattr(ablation_run, "ablate_cell", interrupted)
    call = {"n_problems": 3, "lab": lab, "device": "cpu", "progress": False}
    with pytest.raises(KeyboardInterrupt):
        ablation_run.run_ablations(ds, out, **call)
    assert not out.exists()
    with pytest.raises(InputError, match="holds an unfinished run; go on with --resume"):
        ablation_run.run_ablations(ds, out, **call)
    with pytest.raises(InputError, match="is of a run with another n_problems"):
        ablation_run.run_ablations(ds, out, **{**call, "n_problems": 2}, resume=True)
    ablation_run.run_ablations(ds, out, **call, resume=True)
    # The first cell was not done again.
    assert calls == [CELLS[0], CELLS[1], CELLS[1]]
    assert load_ablations(out)["cells"] == real
    with pytest.raises(InputError, match="exists; choose another --out"):
        ablation_run.run_ablations(ds, out, **call)
    assert ablation_run.run_ablations(ds, out, **call, resume=True) == out
    with pytest.raises(InputError, match=r"again\.json is of a run with another n_problems"):
        ablation_run.run_ablations(ds, out, **{**call, "n_problems": 2}, resume=True)


def test_what_cannot_be_ablated(ds, lab, tmp_path):
    out = tmp_path / "a.json"
    with pytest.raises(InputError, match="n_problems must be a whole number of at least 1, got 0"):
        ablation_run.run_ablations(ds, out, n_problems=0, lab=lab)
    few = ds.sel(intervention=["none", "retry", "sparse_steer"])
    with pytest.raises(InputError, match="no intervention dense_steer, local_temperature"):
        ablation_run.run_ablations(few, out, lab=lab)
    other = ds.assign_attrs(
        provenance_json=ds.attrs["provenance_json"].replace('_sha256": "', '_sha256": "0')
    )
    with pytest.raises(InputError, match="not the checkpoint that the study was made with"):
        ablation_run.run_ablations(other, out, lab=lab)
    assert not list(tmp_path.iterdir())


def test_half_and_double_keep_within_half_the_vocabulary(pair):
    sizes = [
        ablation_run.varied(Settings(k_cov=k), Variation("k_cov", each), pair).k_cov
        for k in (1, 20)
        for each in ("half", "double")
    ]
    assert sizes == [1, 2, 10, min(40, pair.vocab_size // 2)]
    assert ablation_run.varied(Settings(), Variation("alpha", 0.3), pair) == Settings(alpha=0.3)
    with pytest.raises(InputError, match="alpha=double: allowed for k_cov only"):
        ablation_run.varied(Settings(), Variation("alpha", "double"), pair)


def test_ablate_takes_the_file_along(ds, found):
    few = {"n_bootstrap": 20, "n_null": 2, "n_splits": 2}
    result = rnb.ablate(ds, stored=found, population="failed", **few)
    assert {each.name for each in (*SIGNAL_VARIATIONS, *ATTEMPT_VARIATIONS)} <= set(result.settings)
    assert result.about["models"] == found["about"]
    assert result.settings["alpha=0.3"].n == 6
    total = sum(
        got["attempts"]["alpha=0.3"]["sparse_steer"]["correct"] for got in found["cells"].values()
    )
    assert result.operators["alpha=0.3"]["sparse_steer"]["rate"] == pytest.approx(total / 24)
    first = rnb.ablate(ds, stored=found, **few)
    assert first.population == "failed_first_1" and 0 < first.settings["alpha=0.3"].n < 6
    # Nothing is shipped for this study.
    assert rnb.ablate(ds, **few).operators == {}
