import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from tiny_study import tiny_study

from recover_nb import __version__
from recover_nb.cli import commands
from recover_nb.cli.main import main
from recover_nb.core.labels import ROUTED_INTERVENTIONS, Verdict
from recover_nb.core.shipped import data_folder
from recover_nb.io import store
from recover_nb.io.profiles import from_profiles, to_profiles

SMALL = [
    "--family",
    "qwen3",
    "--method",
    "sft",
    "--task",
    "arithmetic",
    "--problems",
    "2",
    "--rollouts",
    "2",
    "--attempts",
    "2",
    "--max-new-tokens",
    "10",
]


@pytest.fixture
def failed(tmp_path, capsys):
    """Return a function that runs a command which must fail: one line, exit 2, nothing written."""

    def run(*arguments):
        before = snapshot(tmp_path)
        try:
            status = main([str(each) for each in arguments])
        except SystemExit as stop:
            status = stop.code
        said = capsys.readouterr()
        lines = [
            line
            for line in said.err.replace("\r", "\n").splitlines()
            if "stage/s]" not in line and line.strip()
        ]
        assert status == 2
        assert said.out == ""
        assert len(lines) == 1, said.err
        assert lines[0].startswith("recover-nb: ")
        assert "Traceback" not in said.err
        assert snapshot(tmp_path) == before
        return lines[0]

    return run


def snapshot(folder):
    return sorted(
        (str(each.relative_to(folder)), each.stat().st_mtime_ns) for each in folder.rglob("*")
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return store.save_study(
        tiny_study(n=24, rollouts=6, solved=(0, 1)), tmp_path_factory.mktemp("cli") / "s.zarr.zip"
    )


@pytest.fixture
def table(study, tmp_path):
    with store.open_study(study) as ds:
        return to_profiles(ds, tmp_path / "profiles.csv")


# --- what works
# ------------------------------------------------------------------------------------------


def test_evaluate_json_of_a_study(study, capsys):
    assert main(["evaluate", str(study), "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert list(found["cells"]) == ["qwen3|sft|arithmetic"]
    cell = found["cells"]["qwen3|sft|arithmetic"]
    assert set(cell) == {"n", "regimes", "routed_counts", "rescue"}
    assert set(cell["regimes"]) == {"steerable_hard", "beyond_reach", "resample"}
    assert sum(cell["regimes"].values()) == cell["n"]
    assert set(cell["routed_counts"]) == set(ROUTED_INTERVENTIONS)
    assert all(type(count) is int for count in cell["routed_counts"].values())
    assert {"routed", "retry", "oracle", *ROUTED_INTERVENTIONS} <= set(cell["rescue"])
    assert all(0 <= rate <= 1 for rate in cell["rescue"].values())
    overall = found["overall"]
    assert overall["n"] == cell["n"] == 22
    assert 0 < overall["steerable_hard_fraction"] <= 1
    for name in ("published", "split", "all"):
        assert {"lift", "ci95"} <= set(overall[name]), name
        low, high = overall[name]["ci95"]
        assert low <= overall[name]["lift"] <= high
    assert {"mean", "sd"} <= set(overall["null"]) and overall["null"]["sd"] > 0
    assert {"value", "p"} <= set(overall["excess"])
    assert overall["excess"]["value"] == pytest.approx(
        overall["published"]["lift"] - overall["null"]["mean"]
    )
    assert "evaluating" in said.err


def test_evaluate_json_says_what_was_found(study, capsys):
    assert main(["evaluate", str(study), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] in list(Verdict)
    assert "than trying again" in found["sentence"]
    rows = pd.DataFrame(found["rows"])
    names = ["population", "cell", "estimator", "comparator"]
    one = rows.set_index(names).loc[("failed", "all", "split", "retry")]
    assert one["lift_points"] == pytest.approx(100 * found["overall"]["split"]["lift"])
    for name, told in found["populations"].items():
        of_all = rows.set_index(names).loc[(name, "all", "all", "retry")]
        assert of_all["lift_points"] == pytest.approx(100 * told["lift"])
        low, high = told["ci95"]
        assert low <= told["lift"] <= high and told["n"] > 0
        assert "lift_own_features" in told
    assert found["settings"]["seed"] == 0 and found["settings"]["policy"]["fallback"]


def test_evaluate_prints_tables(study, capsys):
    assert main(["evaluate", str(study)]) == 0
    assert "retry" in capsys.readouterr().out


def test_evaluate_a_profile_table_equals_its_import(table, tmp_path, capsys):
    assert main(["evaluate", str(table), "--json"]) == 0
    direct = json.loads(capsys.readouterr().out)
    # The outcomes of single attempts are not stored.
    assert direct["overall"]["split"] is None and direct["overall"]["all"]["lift"] is not None
    assert main(["import", "profiles", str(table), "--out", str(tmp_path / "t.zarr")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "t.zarr")
    assert main(["evaluate", str(tmp_path / "t.zarr"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == direct


def test_export_then_import_keeps_the_numbers(study, tmp_path):
    out = tmp_path / "out.csv"
    assert main(["export", "profiles", str(study), str(out)]) == 0
    before = out.read_bytes()
    assert main(["export", "profiles", str(study), str(out)]) == 2
    assert out.read_bytes() == before
    with store.open_study(study) as ds:
        wanted = ds["features"].values[2:]
    np.testing.assert_allclose(from_profiles(out)["features"].values, wanted, atol=1e-6)
    assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("as_json", [False, True])
def test_info(study, table, capsys, as_json):
    for source in (study, table):
        assert main(["info", str(source), *(["--json"] if as_json else [])]) == 0
        out = capsys.readouterr().out
        if as_json:
            found = json.loads(out)
            assert found["sizes"]["problem"] in (22, 24)
            assert found["cells"]
        else:
            assert "interventions: " in out


def test_info_names_seed_and_provenance(study, capsys):
    assert main(["info", str(study), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seed"] == 0
    assert found["schema_version"] == "1"
    assert found["failed_problems"] == 22
    assert found["provenance"]["packages"]["recover_nb"] == __version__
    assert found["config"] == {"made": "by hand"}


def test_run_writes_a_study(lab, tmp_path, capsys):
    out = tmp_path / "s.zarr.zip"
    assert (
        main(
            ["run", "--out", str(out), "--lab", str(lab), "--device", "cpu", "--seed", "4", *SMALL]
        )
        == 0
    )
    said = capsys.readouterr()
    assert said.out.strip() == str(out)
    assert "rollout/s" in said.err
    with store.open_study(out) as ds:
        assert ds.sizes["problem"] == 2
        assert ds.attrs["seed"] == 4
        assert ds.sizes["intervention"] == 14
    assert [each.name for each in tmp_path.iterdir()] == ["s.zarr.zip"]


@pytest.mark.slow
def test_killed_command_goes_on(lab, tmp_path):
    out = tmp_path / "s.zarr"
    command = [
        sys.executable,
        "-m",
        "recover_nb.cli.main",
        "run",
        "--out",
        out,
        "--lab",
        lab,
        "--device",
        "cpu",
        *SMALL,
    ]
    command[command.index("--method") + 1 : command.index("--method") + 2] = ["sft", "grpo"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    partial = store.partial_folder(out)
    with subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as running:
        while running.poll() is None and not (partial / "block_00000.npz").exists():
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    if running.returncode == -signal.SIGKILL:
        assert not out.exists()
    again = subprocess.run(
        [*command, "--resume"], env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert not partial.exists()
    with store.open_study(out, load=True) as ds:
        assert ds.sizes["problem"] == 4


def test_demo_writes_study_figures_and_report(lab, tmp_path, capsys, monkeypatch):
    quick = commands.StudyConfig.quick
    small = {
        "families": ["qwen3"],
        "methods": ["sft"],
        "tasks": ["arithmetic"],
        "n_problems": 6,
        "n_rollouts": 3,
        "n_attempts": 4,
        "settings": {"max_new_tokens": 16},
    }
    monkeypatch.setattr(commands.StudyConfig, "quick", lambda: quick(**small))
    for _ in range(2):
        assert main(["demo", "--out", str(tmp_path), "--lab", str(lab)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) <= 26 and "asking again" in lines[lines.index("") + 9]
        # The path of this test's folder may be long.
        assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80
    verdicts = lines[lines.index("") + 1 :][:5]
    signs = {
        "supported": "\u2713",
        "contradicted": "\u2717",
        "not shown": "?",
        "not testable": "\u2013",
    }
    assert [signs[line[2:16].strip()] for line in verdicts] == [line[0] for line in verdicts]
    assert lines[-3].startswith(f"Report      {tmp_path / 'demo.html'}")
    assert lines[-2].endswith(f"recover-nb evaluate {tmp_path / 'demo.zarr'}")
    assert lines[-1] == "Next        make lab"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "demo.html",
        "demo.json",
        "demo.zarr",
    ]
    assert "overall" in json.loads((tmp_path / "demo.json").read_text())
    assert "<html" in (tmp_path / "demo.html").read_text()


def test_version_and_help(capsys):
    for option, said in (("--version", __version__), ("--help", "evaluate")):
        with pytest.raises(SystemExit) as stop:
            main([option])
        assert stop.value.code == 0
        assert said in capsys.readouterr().out


# --- bad input
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--task", "poetry"], "among arithmetic, program, deduction, got ['poetry']"),
        (["--family", "gpt2"], "among qwen3, neox, got ['gpt2']"),
        (["--method", "rlhf"], "among sft, grpo, self_distill, got ['rlhf']"),
        (["--intervention", "prayer"], "intervention must be one of ancestor, calculator"),
        (["--rollouts", "0"], "--rollouts must be a whole number of at least 1, got '0'"),
        (["--problems", "many"], "--problems must be a whole number of at least 1, got 'many'"),
        (["--lab", "nowhere"], "no checkpoint in nowhere"),
        (["--speed", "9"], "run has no option --speed"),
    ],
)
def test_run_refuses(failed, tmp_path, arguments, said):
    assert said in failed("run", "--out", tmp_path / "s.zarr", *arguments)


def test_run_refuses_outputs(failed, tmp_path, lab):
    assert "a study ends in .zarr" in failed("run", "--out", tmp_path / "s.parquet")
    assert "a run writes .zarr" in failed("run", "--out", tmp_path / "s.nc", "--lab", lab)
    (tmp_path / "s.zarr").mkdir()
    assert "exists" in failed("run", "--out", tmp_path / "s.zarr", "--lab", lab, *SMALL)
    assert "are required: --out" in failed("run")
    assert "got 'rum'; did you mean 'run'?" in failed("rum")
    (tmp_path / "file").write_text("")
    assert "file" in failed("run", "--out", tmp_path / "file" / "s.zarr", "--lab", lab, *SMALL)


@pytest.mark.parametrize("command", ["evaluate", "info"])
def test_sources_that_are_no_study(failed, tmp_path, command):
    assert "no such file" in failed(command, tmp_path / "s.zarr")
    assert "no such file" in failed(command, tmp_path / "s.csv")
    assert "allowed: a study (.zarr, .zarr.zip, .nc) or a profile table (.csv)" in failed(
        command, tmp_path / "s.xls"
    )
    (tmp_path / "s.zarr.zip").write_bytes(b"PK not really")
    assert "truncated or corrupt" in failed(command, tmp_path / "s.zarr.zip")
    (tmp_path / "s.nc").write_bytes(b"CDF")
    assert "truncated or corrupt" in failed(command, tmp_path / "s.nc")
    (tmp_path / "s.csv").write_bytes(b"")
    assert "empty" in failed(command, tmp_path / "s.csv")


@pytest.mark.parametrize("command", ["evaluate", "info"])
def test_truncated_study(failed, study, tmp_path, command):
    data = study.read_bytes()
    (tmp_path / "cut.zarr.zip").write_bytes(data[: len(data) // 2])
    assert "truncated or corrupt" in failed(command, tmp_path / "cut.zarr.zip")


def test_other_schema_version(failed, study, monkeypatch):
    monkeypatch.setattr("recover_nb.core.attributes.SCHEMA_VERSION", "2")
    assert "schema version '1' and this recover_nb reads '2'; install the version" in failed(
        "evaluate", study
    )


def write(tmp_path, change, **changes):
    """Write a study that would not pass the door, around it."""
    ds = change(tiny_study(n=12, **changes))
    path = tmp_path / "bad.zarr"
    store.write_folder(ds, path)
    return path


def test_nan_in_a_rate_of_an_intervention_is_not_run(tmp_path, capsys):
    """A NaN rate means that nothing was run there: the unit is left out, not counted as 0."""

    def hole(ds):
        ds["rescue_rate"][3, 3] = np.nan
        return ds

    assert main(["evaluate", str(write(tmp_path, hole)), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["overall"]["n"] == 10


@pytest.mark.parametrize(
    ("name", "place", "value", "said"),
    [
        ("features", (3, 0), np.inf, "'features' is inf at problem 3, feature 0"),
        ("rescue_rate", (3, 1), 1.2, "'rescue_rate' is 1.2"),
        ("correct", (3, 0, 0), 5, "'correct' is 5"),
    ],
)
def test_values_out_of_range(failed, tmp_path, name, place, value, said):
    def spoil(ds):
        ds[name][place] = value
        return ds

    assert said in failed("evaluate", write(tmp_path, spoil))


def test_features_nan_everywhere(tmp_path, capsys):
    path = write(tmp_path, lambda ds: ds.assign(features=ds["features"] * np.nan))
    assert main(["evaluate", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["overall"]["published"] is None
    assert said["needs"][0]["needs"] == "features of the failed rollouts"


def test_all_correct_problems(tmp_path, capsys):
    path = write(tmp_path, lambda ds: ds, solved=range(12))
    assert main(["evaluate", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["observed"]["all"]["pass_rate"] == 1.0
    assert said["needs"][0] == {
        "figure": "rescue",
        "needs": "failed problems",
        "how": "more problems, harder ones, or more rollouts of each",
    }


def test_empty_problem_and_rollout_sets(failed, tmp_path):
    line = failed("evaluate", write(tmp_path, lambda ds: ds.isel(problem=slice(0, 0))))
    assert "bad.zarr holds no problem; choose at least one" in line
    assert line.count("bad.zarr") == 1


def test_empty_rollout_set(failed, tmp_path):
    def none_run(ds):
        empty = ds.isel(rollout=slice(0, 0))
        return empty.assign(rescue_rate=ds["rescue_rate"] * np.nan, attempts=ds["attempts"] * 0)

    assert "failed" in failed("evaluate", write(tmp_path, none_run))


def test_constant_feature_and_one_failed_rollout_are_no_error(tmp_path, capsys):
    def constant(ds):
        ds["features"][:, 0] = ds["features"][:, 0] * 0 + 1.5
        return ds

    assert main(["evaluate", str(write(tmp_path, constant, rollouts=4)), "--json"]) == 0
    assert "NaN" not in capsys.readouterr().out


def no_column(frame):
    return frame.drop(columns="spread")


def misspelt(frame):
    return frame.rename(columns={"local_temp": "local_tmp"})


def set_cell(column, value):
    def change(frame):
        frame[column] = frame[column].astype(object)
        frame.loc[2, column] = value
        return frame

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (no_column, "no column 'spread'"),
        (misspelt, "no column 'local_temp' (is 'local_tmp' a misspelling of it?)"),
        (set_cell("retry", 1.5), "column 'retry' is 1.5 in line 4"),
        (set_cell("retry", -0.5), "column 'retry' is -0.5 in line 4"),
        (set_cell("spread", "NaN"), "column 'spread'"),
        (set_cell("spread", ""), "column 'spread' is blank in line 4"),
        (set_cell("task", ""), "column 'task' is blank"),
        (set_cell("n_failed_rollouts", 0), "column 'n_failed_rollouts' is 0"),
        (lambda frame: pd.concat([frame, frame[:1]]), "occurs again"),
        (lambda frame: frame[:0], "no rows"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "import"])
def test_bad_profile_tables(failed, table, tmp_path, command, change, said):
    bad = tmp_path / "bad.csv"
    change(pd.read_csv(table)).to_csv(bad, index=False)
    rest = ["--json"] if command == "evaluate" else ["--out", tmp_path / "s.zarr"]
    arguments = [command, *(["profiles"] if command == "import" else []), bad, *rest]
    line = failed(*arguments)
    assert said in line
    assert str(bad) in line


def test_unknown_formats_and_outputs(failed, study, table, tmp_path):
    assert "format must be one of profiles" in failed(
        "import", "xls", table, "--out", tmp_path / "s.zarr"
    )
    assert "format must be one of profiles" in failed("export", "xls", study, tmp_path / "x")
    assert "a study ends in" in failed("import", "profiles", table, "--out", tmp_path / "s.json")
    (tmp_path / "s.zarr").mkdir()
    assert "exists" in failed("import", "profiles", table, "--out", tmp_path / "s.zarr")
    (tmp_path / "file").write_text("")
    assert "file" in failed("export", "profiles", study, tmp_path / "file" / "x.csv")


def test_train_refuses_unknown_names(failed):
    assert "family must be one of qwen3, neox, got 'gpt2'" in failed("train", "--family", "gpt2")
    assert "method must be one of ancestor, sft, grpo, self_distill, cued, got 'rlhf'" in failed(
        "train", "--method", "rlhf"
    )


def test_bench_without_benchmarks_says_so(failed, tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "checkout_folder", lambda: tmp_path)
    assert "no benchmarks here" in failed("bench")


def test_interrupt(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setitem(commands.COMMANDS, "run", interrupted)
    assert main(["run", "--out", "s.zarr"]) == 130
    assert (
        capsys.readouterr().err
        == "recover-nb: interrupted; go on with the same command and --resume\n"
    )


def test_a_reader_that_stops_reading_is_no_error():
    study = data_folder() / "study.zarr.zip"
    info = f"{sys.executable} -m recover_nb.cli info {study}; echo $? >&2"
    # The reader is gone before the first line is written.
    done = subprocess.run(
        ["bash", "-c", f"({info}) | true"], capture_output=True, text=True, check=False
    )
    assert done.stderr == "141\n"
