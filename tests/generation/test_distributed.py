import gc
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace

import cluster_faults
import dask.array
import distributed
import killed_run
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback
from same_study import assert_equal
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Signal
from recover_nb.core.result import Labelled
from recover_nb.generation import run
from recover_nb.io import store


def config():
    """Return a config: two pairs, blocks across chunks, and more problems than a chunk holds."""
    return replace(killed_run.config(), n_problems=14, block_size=4)


@pytest.fixture(scope="module")
def serial(lab, tmp_path_factory):
    out = tmp_path_factory.mktemp("serial") / "s.zarr"
    run.run_study(config(), out, progress=False, lab=lab, device="cpu")
    return store.open_study(out, load=True)


@pytest.fixture(scope="module")
def two_workers():
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
    ) as cluster:
        yield cluster


@pytest.fixture
def client(two_workers):
    with distributed.Client(two_workers, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        yield client
        client.run(cluster_faults.mend)


def run_on(client, out, lab, **keywords):
    return rnb.run_study(
        config(), out, client=client, progress=False, lab=lab, device="cpu", **keywords
    )


def test_equals_the_serial_run_and_loads_each_pair_once_a_worker(client, serial, lab, tmp_path):
    from recover_nb.generation import distributed as cluster

    before = client.run(cluster.loads)
    assert run_on(client, tmp_path / "s.zarr", lab) == tmp_path / "s.zarr"
    found = store.open_study(tmp_path / "s.zarr", load=True)
    assert_equal(found, serial)
    assert found.attrs["config_json"] == serial.attrs["config_json"]
    assert [each.name for each in tmp_path.iterdir()] == ["s.zarr"]
    loaded = {address: n - before[address] for address, n in client.run(cluster.loads).items()}
    assert all(n <= 2 for n in loaded.values())
    assert sum(loaded.values()) >= 2
    with pytest.raises(InputError, match="exists; choose another --out"):
        run_on(client, tmp_path / "s.zarr", lab)
    assert run_on(client, tmp_path / "s.zarr", lab, resume=True) == tmp_path / "s.zarr"


@pytest.mark.slow
def test_worker_killed_in_the_middle_of_a_block_costs_nothing(client, serial, lab, tmp_path):
    trace = tmp_path / "killed"
    victim = sorted(client.nthreads())[0]
    client.run(cluster_faults.die_in_a_block, str(trace), workers=[victim])
    run_on(client, tmp_path / "s.zarr", lab)
    assert int(trace.read_text()) > 0
    assert victim not in client.nthreads()
    assert_equal(store.open_study(tmp_path / "s.zarr", load=True), serial)


@pytest.mark.slow
def test_full_disk_is_one_sentence_and_resume_goes_on(client, serial, lab, tmp_path):
    out = tmp_path / "s.zarr"
    client.run(cluster_faults.fill_disk, workers=[sorted(client.nthreads())[0]])
    with pytest.raises(
        InputError,
        match=r"block \d \(qwen3 .*No space left on device .*block_0.*go on with --resume",
    ):
        run_on(client, out, lab)
    with pytest.raises(InputError, match=r"not finished .*go on with recover-nb run --resume"):
        store.open_study(out)
    client.run(cluster_faults.mend)
    run_on(client, out, lab, resume=True)
    assert_equal(store.open_study(out, load=True), serial)


def test_a_disk_that_is_full_from_the_start_leaves_nothing_to_resume(client, lab, tmp_path):
    out = tmp_path / "s.zarr"
    client.run(cluster_faults.fill_disk, done=0)
    with pytest.raises(InputError, match=r"block \d \(qwen3 .*No space left on device"):
        run_on(client, out, lab)
    assert not list(tmp_path.iterdir())
    client.run(cluster_faults.mend)
    assert run_on(client, out, lab) == out


def test_other_versions_and_other_checkpoints_on_a_worker_are_refused(client, lab, tmp_path):
    client.run(cluster_faults.other_version)
    with pytest.raises(InputError, match=r"tcp://127.0.0.1:\d+ has torch 0.1 and the client 2"):
        run_on(client, tmp_path / "s.zarr", lab)


@pytest.mark.slow
def test_command_line_runs_on_a_scheduler(two_workers, lab, tmp_path, capsys):
    options = [
        "--family",
        "qwen3",
        "--method",
        "sft",
        "--task",
        "arithmetic",
        "--problems",
        "3",
        "--rollouts",
        "3",
        "--attempts",
        "2",
        "--max-new-tokens",
        "24",
        "--intervention",
        "sparse_steer",
    ]
    near, far, own = (tmp_path / f"{name}.zarr" for name in ("near", "far", "own"))
    command = ["run", "--lab", str(lab), "--device", "cpu", *options, "--out"]
    assert main([*command, str(far), "--scheduler", two_workers.scheduler_address]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(far)
    assert "rollout/s" in said.err
    assert main([*command, str(near)]) == 0
    assert_equal(store.open_study(far, load=True), store.open_study(near, load=True))
    assert main([*command, str(own), "--workers", "2"]) == 0
    assert_equal(store.open_study(own, load=True), store.open_study(near, load=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "0"], "--workers must be a whole number of at least 1, got '0'"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "give one of them"),
    ],
)
def test_workers_that_cannot_be(options, said, tmp_path, capsys):
    # An option by itself is refused by the parser, options together by the command.
    with suppress(SystemExit):
        assert main(["run", "--quick", "--out", str(tmp_path / "s.zarr"), *options]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# The transport leaves the socket of a refused connection to the garbage collector (distributed
# 2026.8, 2026-11-21).
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x"])
def test_no_scheduler_is_one_sentence(address, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("recover_nb.generation.distributed.CONNECT_SECONDS", 1)
    assert main(["run", "--quick", "--out", str(tmp_path / "s.zarr"), "--scheduler", address]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"recover-nb: no scheduler answers at {address}")
    assert "\n" not in said
    assert list(tmp_path.iterdir()) == []
    gc.collect()


# --- workers in this process: a scheduler that goes away, and a URL
# --------------------------------------------------


@pytest.fixture
def in_process():
    # Whatever has lost its scheduler looks for it that long.
    quick = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with (
        quick,
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol="tcp",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as cluster,
    ):
        yield cluster


def test_scheduler_that_goes_away_loses_nothing_that_is_done(
    in_process, client, serial, lab, tmp_path, monkeypatch
):
    out = tmp_path / "s.zarr"
    generated, held, gone = run.run_block, threading.Event(), threading.Event()
    calls = []

    def run_block(*arguments, **keywords):
        calls.append(1)
        if len(calls) == 3:
            held.set()
            gone.wait(60)
        return generated(*arguments, **keywords)

    def take_away():
        held.wait(60)
        in_process.sync(in_process.scheduler.close)
        gone.set()

    monkeypatch.setattr(run, "run_block", run_block)
    thief = threading.Thread(target=take_away)
    thief.start()
    refusal = pytest.raises(InputError, match=r"scheduler went away.*go on with --resume")
    with distributed.Client(in_process, set_as_default=False) as lost, refusal:
        run_on(lost, out, lab)
    thief.join()
    monkeypatch.undo()
    assert {"block_00000.npz", "block_00001.npz"} <= {
        each.name for each in store.partial_folder(out).iterdir()
    }
    run_on(client, out, lab, resume=True)
    assert_equal(store.open_study(out, load=True), serial)


def test_a_url_holds_the_same_study(in_process, serial, lab):
    url = "memory://bucket/s.zarr"
    with distributed.Client(in_process, set_as_default=False) as near:
        assert run_on(near, url, lab) == url
        with pytest.raises(InputError, match="exists; choose another --out"):
            run_on(near, url, lab)
        assert run_on(near, url, lab, resume=True) == url
    assert_equal(rnb.open_study(url, load=True), serial)
    with rnb.open_study(url, chunks={}) as ds:
        assert ds["token_id"].chunks[0] == (25, 3)
    import fsspec

    assert not fsspec.filesystem("memory").exists("bucket/s.zarr.partial")


@pytest.mark.parametrize(
    ("out", "said"),
    [
        (
            "memory://bucket/one.zarr",
            "a URL is written by the workers of a cluster; give --scheduler",
        ),
        ("memory://bucket/one.zarr.zip", r"a study at a URL ends in \.zarr"),
        (
            "nosuch://bucket/one.zarr",
            "nosuch://bucket/one.zarr cannot be used: Protocol not known: nosuch",
        ),
    ],
)
def test_urls_that_cannot_be_written(out, said, lab):
    client = None if out.endswith("one.zarr") and out.startswith("memory") else object()
    with pytest.raises(InputError, match=said):
        rnb.run_study(config(), out, client=client, lab=lab, progress=False)


def test_a_url_in_use_for_something_else_is_left_alone(lab):
    import fsspec

    fsspec.filesystem("memory").pipe_file("bucket/mine.zarr/notes.txt", b"mine")
    with pytest.raises(InputError, match="holds something that is no finished study"):
        rnb.run_study(
            config(), "memory://bucket/mine.zarr", client=object(), lab=lab, progress=False
        )
    assert fsspec.filesystem("memory").cat_file("bucket/mine.zarr/notes.txt") == b"mine"


# --- analysis of what does not fit in memory
# -------------------------------------------------------------------------


class Watch(Callback):
    """Gives variables with tokens as dask arrays, and counts the blocks each computation reads."""

    def __init__(self):
        super().__init__(start=self.begin)
        self.now = self.most = self.total = 0

    def begin(self, graph):
        self.now = 0

    def __call__(self, ds):
        large = {
            name: self.lazy(each) for name, each in ds.data_vars.items() if "token" in each.dims
        }
        return ds.chunk({"problem": 2}).assign(large)

    def lazy(self, variable):
        def read(block):
            # Dask tries the function on an array of no size to learn its type.
            if block.size:
                self.now += 1
                self.total += 1
                self.most = max(self.most, self.now)
            return block

        array = dask.array.from_array(variable.values, chunks=(2, *variable.shape[1:]))
        return variable.dims, array.map_blocks(read, dtype=variable.dtype)


@pytest.fixture(scope="module")
def study():
    """Two specialists with 24 problems each, whose features tell them apart."""
    parts = []
    for m, method in enumerate(("sft", "grpo")):
        ds = tiny_study(n=24, rollouts=6, seed=m, solved=())
        pressure = ds[Signal.DEMOTION_PRESSURE.value]
        rise = np.linspace(1, 2 + m, 7, dtype=np.float32)
        ds = ds.assign(
            {pressure.name: pressure * rise, "features": ds["features"] + [3.0 * m, 0, 0]}
        )
        parts.append(ds.assign_coords(method=("problem", np.full(24, method, dtype=object))))
    return rnb.validate(
        xr.concat(parts, "problem", data_vars="minimal", coords="minimal", compat="override")
    )


def plain(value):
    """Return nested plain data, which can be compared."""
    if isinstance(value, xr.DataArray | np.ndarray):
        return np.asarray(value).tolist()
    if isinstance(value, Labelled):
        return plain(value.dataset)
    if isinstance(value, xr.Dataset):
        return {str(name): plain(each) for name, each in value.items()}
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, tuple | list) else value


NEED_NO_TOKENS = {
    # Features of the first answers alone, of the other populations, are computed from signals.
    "evaluate_routing": lambda ds: rnb.evaluate_routing(
        ds, populations=["failed"], n_bootstrap=20, n_permutations=20, n_null=5, n_splits=4
    ),
    "classify_regimes": lambda ds: rnb.classify_regimes(ds["rescue_rate"]),
    "route": lambda ds: rnb.route(ds["features"], rnb.cell_names(ds)),
    "rescue_rate": lambda ds: rnb.rescue_rate(ds["correct"]),
    "topography": lambda ds: rnb.topography(ds, n_repeats=1, n_permutations=2),
    "cluster_stability": lambda ds: rnb.cluster_stability(
        ds, n_resamples=3, n_null=19, agreement=False
    ),
    "transfer": lambda ds: rnb.transfer(ds, by="method", n_null=2, n_splits=2, n_bootstrap=5),
}


@pytest.mark.parametrize("name", NEED_NO_TOKENS)
def test_analysis_reads_no_token_it_does_not_need(name, study):
    with Watch() as watch:
        found = plain(NEED_NO_TOKENS[name](watch(study)))
    np.testing.assert_equal(found, plain(NEED_NO_TOKENS[name](study)))
    assert watch.total == 0


def test_features_read_a_few_problems_at_a_time(study, monkeypatch):
    # A traced problem holds 6 rollouts of 7 tokens; blocks of four of them are two of dask's.
    monkeypatch.setattr("recover_nb.features.features._BLOCK_BYTES", 4 * 8 * 6 * 7)
    with Watch() as watch:
        found = rnb.compute_features(watch(study))
    np.testing.assert_array_equal(found.values, rnb.compute_features(study).values)
    assert watch.total == 2 * 24
    assert watch.most == 2


@pytest.mark.parametrize("suffix", store.SUFFIXES)
def test_study_opened_in_chunks(suffix, study, tmp_path):
    path = store.save_study(study, tmp_path / f"s{suffix}")
    with rnb.open_study(path, chunks={}) as ds:
        assert ds["token_id"].chunks[0] == ((24, 24) if suffix == ".nc" else (25, 23))
        np.testing.assert_array_equal(rnb.compute_features(ds), rnb.compute_features(study))
        assert_equal(ds.compute(), store.open_study(path, load=True))
