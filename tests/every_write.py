"""Strike at every write of a small piece of work: a kill, a full disk, a fault, a short write.

``python every_write.py kill WORK LAB FOLDER [STRIDE [START]]`` kills before each write,
goes on with the same call, and holds the result to an uninterrupted one. ``full`` instead of
``kill`` fills the disk, fails one write, or cuts it short. ``python every_write.py fault TARGET
FOLDER [STRIDE]`` fails writes of an export.

Each prints one line of counts, and a line for whatever went wrong. What a process does to files is
counted by ``every_write.c``, which needs Linux and a C compiler: build it with ``cc -shared -fPIC
-o every.so every_write.c -ldl``, and start this script with ``LD_PRELOAD=every.so``.
"""

import ctypes
import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path

COUNT, KILL_BEFORE, KILL_AFTER, FAIL_ONCE, FAIL_FROM, SHORT, SIGNAL = range(7)

#: Longest that one attempt may take, in seconds: a hang is a fault too.
LIMIT = 120


def compiler():
    """Return a C compiler that can make the layer; None where there is none, or no preloading."""
    return shutil.which("cc") if sys.platform == "linux" else None


def preloaded(arguments, library):
    """Run this script with the layer in place, and return what came of it."""
    return _preloaded([__file__, *arguments], library)


def preloaded_code(code, arguments, library):
    """Run other code so."""
    return _preloaded(["-c", code, *arguments], library)


def _preloaded(arguments, library):
    source = Path(__file__).with_suffix(".c")
    made = [compiler(), "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]
    subprocess.run(made, check=True)
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"},
    )


class Layer:
    """The layer that this process was started with."""

    def __init__(self):
        self._library = ctypes.CDLL(None)
        self._library.every_count.restype = ctypes.c_long
        self._library.every_struck.restype = ctypes.c_long
        self._library.every_last.restype = ctypes.c_char_p

    def arm(self, under, mode=COUNT, at=0, error=0):
        self._library.every_arm(os.fsencode(under), mode, ctypes.c_long(at), error)

    def disarm(self):
        self._library.every_disarm()

    @property
    def count(self):
        return self._library.every_count()

    @property
    def struck(self):
        """How many operations failed."""
        return self._library.every_struck()

    @property
    def last(self):
        return self._library.every_last().decode()


def in_fork(function, said):
    """Call in a fork of its own; return its exit status, negative for a signal, and what it said.

    The function returns the status. A traceback is status 99.
    """
    child = os.fork()
    if child == 0:
        signal.alarm(LIMIT)
        status = 99
        with said.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout = sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8")
        try:
            status = function() or 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.read_text()


# --- kills and signals
# ------------------------------------------------------------------------------------------


def config():
    from recover_nb.generation.config import StudyConfig

    return StudyConfig(
        families=["qwen3"],
        methods=["sft"],
        tasks=["arithmetic"],
        n_problems=2,
        n_rollouts=2,
        n_attempts=1,
        interventions=["sparse_steer"],
        settings={"max_new_tokens": 6},
        value_problems=0,
        block_size=1,
    )


def digest(path):
    """Return the hash of every variable of a study: names, dims, dtypes and values."""
    from recover_nb.io import store

    found = hashlib.sha256()
    with store.open_study(path, load=True) as ds:
        for name in sorted(map(str, ds.variables)):
            each = ds[name]
            values = each.values
            plain = repr(values.tolist()).encode() if values.dtype == object else values.tobytes()
            found.update(f"{name} {each.dims} {values.dtype.kind} {values.shape}".encode() + plain)
        attrs = {name: value for name, value in ds.attrs.items() if name == "config_json"}
        found.update(json.dumps(attrs).encode())
    return found.hexdigest()


def run_work(ending):
    def work(lab, folder):
        from recover_nb.generation import run

        out = folder / f"study{ending}"
        run.run_study(config(), out, resume=True, progress=False, lab=lab, device="cpu")
        return digest(out)

    return work


def small_companion(kind):
    """Return the configuration of a companion of two problems."""
    from recover_nb.generation import companions

    return companions.companion_config(
        kind,
        n_problems=2,
        families=["qwen3"],
        methods=["sft"],
        tasks=["arithmetic"],
        n_rollouts=2,
        n_attempts=1,
        settings={"max_new_tokens": 6},
        block_size=1,
    )


def remap_work(lab, folder):
    from recover_nb.generation import companions

    out = folder / "companion.zarr.zip"
    made = small_companion("remapped")
    companions.run_companion(made, out, resume=True, progress=False, lab=lab)
    return digest(out)


def ablate_work(lab, folder):
    from recover_nb.generation import ablation_run, run
    from recover_nb.io import store

    source = folder.parent / "source.zarr"
    if not source.exists():
        given = ["local_temperature", "sparse_steer", "sparse_steer_random", "dense_steer"]
        more = replace(config(), interventions=given, tasks=["arithmetic", "program"])
        run.run_study(more, source, progress=False, lab=lab, device="cpu")
    # What is computed does not matter here: what is written does.
    ablation_run.ablate_cell = lambda part, *_: {"features": part["features"].values.tolist()}
    out = folder / "ablations.json"
    ds = store.open_study(source, load=True)
    ablation_run.run_ablations(ds, out, n_problems=1, resume=True, progress=False, lab=lab)
    found = json.loads(out.read_text())
    del found["about"]["created_at"], found["about"]["git_commit"]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def train_work(lab, folder):
    import torch

    from recover_nb.generation.lab.optimise import Optimiser, Progress, fit

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))

    def loss_of(step):
        generator = torch.Generator().manual_seed(step)
        loss = model(torch.randn(5, 3, generator=generator)).square().mean()
        loss.backward()
        return float(loss)

    curve = fit(
        model,
        Optimiser(model, 0.01, 0.01),
        loss_of,
        6,
        progress=Progress(folder / "progress", "recipe"),
        every=2,
    )
    weights = {name: value.tolist() for name, value in model.state_dict().items()}
    return hashlib.sha256(json.dumps([weights, curve]).encode()).hexdigest()


WORKS = {
    "run": run_work(".zarr"),
    "zip": run_work(".zarr.zip"),
    "remap": remap_work,
    "ablate": ablate_work,
    "train": train_work,
}
#: What each leaves in its folder.
LEAVES = {
    "run": ["study.zarr"],
    "zip": ["study.zarr.zip"],
    "remap": ["companion.zarr.zip"],
    "ablate": ["ablations.json"],
    "train": ["progress"],
}


def warm(lab):
    """Import and load what every fork needs, once."""
    import dask.array  # noqa: F401
    import torch
    import xarray.backends.zarr  # noqa: F401

    from recover_nb.generation import ablation_run, companions, run  # noqa: F401

    torch.set_num_threads(1)
    from recover_nb.generation.lineage import load_lineage

    load_lineage("qwen3", "sft", root=lab, device="cpu")


def strike_all(name, lab, folder, stride, strikes, start=1):
    """Strike at each `stride`-th write from `start`; return writes, strikes, equal, and faults."""
    warm(lab)
    layer, said, work = Layer(), folder / "said.txt", WORKS[name]
    place = folder / "place"

    def fresh():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()

    def finished():
        (folder / "digest.txt").write_text(work(lab, place))
        return 0

    def armed(mode, at, error):
        def function():
            layer.arm(place, mode, at, error)
            status = guarded(lambda: work(lab, place))
            layer.disarm()
            return status

        return function

    fresh()
    layer.arm(place)
    status, told = in_fork(armed(COUNT, 0, 0), said)
    assert status == 0, told
    writes = layer.count
    fresh()
    status, told = in_fork(finished, said)
    assert status == 0, told
    wanted, struck, equal, faults = (folder / "digest.txt").read_text(), 0, 0, []
    for at in range(start, writes + 1, stride):
        (folder / "at.txt").write_text(f"{at} of {writes}, equal {equal}, faults {len(faults)}")
        for mode, error, right in strikes:
            fresh()
            status, told = in_fork(armed(mode, at, error), said)
            layer.disarm()
            where = f"{at} {mode} {error}: {layer.last.replace(str(place), '')}"
            if mode == FAIL_FROM and not layer.struck:
                right = [
                    0
                ]  # A full disk fails nothing that frees room, and no more was to be made.
            if status not in right:
                faults.append(f"{where}: ended with {status}: {told[-600:]}")
                continue
            struck += 1
            status, told = in_fork(finished, said)
            left = sorted(each.name for each in place.iterdir())
            if status:
                faults.append(f"{where}: not gone on with: {told[-600:]}")
            elif (folder / "digest.txt").read_text() != wanted:
                faults.append(f"{where}: another result")
            elif left != LEAVES[name]:
                faults.append(f"{where}: left {left}")
            else:
                equal += 1
    return writes, struck, equal, faults


def guarded(function):
    """Call as the command line does, and return its exit status."""
    from recover_nb.core.errors import InputError

    try:
        function()
    except InputError as error:
        print(f"recover-nb: {error}")
        return 2
    return 0


#: After one write is before the next.
KILLS = [(KILL_BEFORE, 0, [-signal.SIGKILL])]
#: What is told of a disk that fills and stays full, and of one write that fails or is cut.
FULL = [(FAIL_FROM, errno.ENOSPC, [2]), (FAIL_ONCE, errno.EIO, [0, 2]), (SHORT, 0, [0])]


# --- faults while something is exported
# ------------------------------------------------------------------------------------------


def exports():
    """Return what writes an export: its file, and the call."""
    import dask.array  # noqa: F401
    import h5netcdf  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    from tiny_study import tiny_study

    import recover_nb as rnb
    from recover_nb.cli.notebooks import copy_notebooks
    from recover_nb.core.errors import InputError
    from recover_nb.io import store
    from recover_nb.report import write

    ds = tiny_study(n=3)
    evaluation = rnb.evaluate_routing(ds)
    write.vega_bundle = lambda: ""
    write.build_page, write.page_html = lambda *_, **__: None, lambda *_: "<p>" + "x" * 9000

    def copies(path, replace):
        if path.exists():
            raise InputError(f"{path} exists")
        copy_notebooks(path)

    writers = {
        "folder": ("s.zarr", lambda path, replace: store.save_study(ds, path, replace=replace)),
        "zip": ("s.zarr.zip", lambda path, replace: rnb.save_zip(ds, path, replace=replace)),
        "netcdf": ("s.nc", lambda path, replace: rnb.to_netcdf(ds, path, replace=replace)),
        "jsonl": ("s.jsonl", lambda path, replace: rnb.to_jsonl(ds, path, replace=replace)),
        "parquet": ("s.parquet", lambda path, replace: rnb.to_parquet(ds, path, replace=replace)),
        "profiles": ("s.csv", lambda path, replace: rnb.to_profiles(ds, path, replace=replace)),
        "html": (
            "s.html",
            lambda path, replace: rnb.write_html(ds, evaluation, path, replace=replace),
        ),
        "notebooks": ("copies", copies),
    }
    return writers


FAULTS = [
    *((FAIL_ONCE, each) for each in (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EINTR)),
    *((FAIL_FROM, each) for each in (errno.ENOSPC, errno.EDQUOT, errno.EIO)),
    (SHORT, 0),
]


def contents(folder):
    return {
        str(each.relative_to(folder)): each.read_bytes() if each.is_file() else None
        for each in sorted(folder.rglob("*"))
    }


def fault_all(name, writer, folder, stride, replace):
    """Fail each `stride`-th write in every way; return counts and what went wrong."""
    layer, said, place = Layer(), folder / "said.txt", folder / "place"
    file, write = writer
    path = place / file
    count = dict.fromkeys(("tried", "told", "absorbed", "lost", "tracebacks", "leftovers"), 0)
    faults = []

    kept = folder / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    if replace:
        assert in_fork(lambda: write(kept / file, False) and None, said)[0] == 0

    def armed(mode, at, error):
        def function():
            layer.arm(place, mode, at, error)
            status = guarded(lambda: write(path, replace))
            layer.disarm()
            return status

        return function

    def prepared():
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(kept, place)
        return contents(place)

    prepared()
    layer.arm(place)
    status, told = in_fork(armed(COUNT, 0, 0), said)
    assert status == 0, told
    whole, writes = list(contents(place)), layer.count
    for at in range(1, writes + 1, stride):
        for mode, error in FAULTS:
            before = prepared()
            status, told = in_fork(armed(mode, at, error), said)
            layer.disarm()
            after = contents(place)
            count["tried"] += 1
            where = f"{name} {at} {mode} {errno.errorcode.get(error)} {layer.last}"
            left = [each for each in after if each not in (before if status else whole)]
            # Where every operation fails from then on, nothing can be cleaned up.
            stuck = left and mode == FAIL_FROM and error == errno.EIO
            if left and not stuck:
                count["leftovers"] += 1
                faults.append(f"{where}: left {left[:4]} with {status}: {told[-200:]}")
            if status == 0:
                count["absorbed"] += 1
                if list(after) != whole and not left:
                    count["lost"] += 1
                    faults.append(f"{where}: lost {set(whole) - set(after)}")
                continue
            if status != 2 or len(told.splitlines()) != 1 or str(path) not in told:
                count["tracebacks"] += 1
                faults.append(f"{where}: status {status}: {told[-700:]}")
            else:
                count["told"] += 1
            if any(after.get(each) != content for each, content in before.items()):
                count["lost"] += 1
                faults.append(f"{where}: what was there is another: {told[-200:]}")
                continue
            # Copies are many files: what could not be removed is in the way, and is named.
            if stuck and name == "notebooks":
                continue
            status, told = in_fork(lambda: guarded(lambda: write(path, replace)), said)
            if status:
                count["lost"] += 1
                faults.append(f"{where}: the second call: {told[-300:]}")
    return {"writes": writes, **count}, faults


def main(kind, name, *rest):
    if kind == "fault":
        place, stride, writer = rest[0], int(rest[1]) if rest[1:] else 1, exports()[name]
        folder = Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        faults = []
        for replace in (False, True)[: 1 if name == "notebooks" else 2]:
            found, wrong = fault_all(name, writer, folder, stride, replace)
            told = ", ".join(f"{key} {value}" for key, value in found.items())
            print(f"{name}{' replaced' * replace}: {told}", flush=True)
            faults += wrong
    else:
        lab, folder, stride = Path(rest[0]), Path(rest[1]), int(rest[2]) if rest[2:] else 1
        folder.mkdir(parents=True, exist_ok=True)
        strikes = {"kill": KILLS, "full": FULL}[kind]
        start = int(rest[3]) if rest[3:] else 1
        writes, struck, equal, faults = strike_all(name, lab, folder, stride, strikes, start)
        word = {"kill": "kills", "full": "faults"}[kind]
        print(f"{name}: writes {writes}, {word} {struck}, resumed equal {equal}")
    for each in faults[:20]:
        print(" ", each)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
