"""What is left of an unfinished run or training, damaged: it is found, and made again or named."""

import json
import os
import signal
import threading
from dataclasses import replace

import every_write
import numpy as np
import pytest
import torch
from same_study import assert_equal

from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.core.sealed import DamagedError, seal, unseal
from recover_nb.generation import ablation_run, companions, provenance, run
from recover_nb.generation.lab.optimise import Optimiser, Progress
from recover_nb.generation.staging import Staging, block_file
from recover_nb.generation.url_staging import UrlStaging
from recover_nb.io import store

SETTINGS = {"progress": False, "device": "cpu"}


def cut(data):
    return data[: len(data) // 2]


def flipped(where):
    def flip(data):
        at = int(where * (len(data) - 1))
        return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]

    return flip


DAMAGES = {
    "cut": cut,
    "cut by one byte": lambda data: data[:-1],
    "nothing": lambda data: b"",
    "no zip": lambda data: b"hello\n",
    "zeros": lambda data: bytes(len(data)),
    "longer": lambda data: data + b"\0",
    "twice": lambda data: data + data,
    **{f"a bit at {where}": flipped(where) for where in (0, 0.01, 0.1, 0.3, 0.5, 0.8, 0.97, 1)},
}
#: For what takes a run each time, a few of them.
FEW = ("cut", "nothing", "no zip", "a bit at 0.5")


# --- seals
# ------------------------------------------------------------------------------------------


def test_every_bit_counts():
    data = seal(b"content", "place")
    assert unseal(data, "place") == b"content"
    for bit in range(8 * len(data)):
        other = bytearray(data)
        other[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedError):
            unseal(bytes(other), "place")
    for end in range(len(data)):
        with pytest.raises(DamagedError):
            unseal(data[:end], "place")


def test_what_was_sealed_for_another_place_is_not_taken():
    with pytest.raises(DamagedError):
        unseal(seal(b"content", "block 1"), "block 0")


# --- blocks
# ------------------------------------------------------------------------------------------


@pytest.fixture
def blocks(tmp_path):
    """Return a staging folder with two blocks of numbers and text."""
    staging = Staging(tmp_path / "s.zarr")
    staging.begin({"attrs": {"seed": 1}})
    for i in range(2):
        staging.write(i, {"n": np.arange(50) + i, "words": np.array(["a", "bc"], dtype=object)})
    return staging


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_block_is_not_done(blocks, damage):
    path = blocks.folder / block_file(0)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    again = Staging(blocks.out)
    assert [again.has(0), again.has(1)] == [False, True]
    with pytest.raises(InputError, match=r"block_00000\.npz is damaged; go on with --resume"):
        again.read(0)
    assert again.read(1)["n"].tolist() == list(range(1, 51))


def test_a_block_in_the_place_of_another_is_not_done(blocks):
    other = blocks.folder / block_file(1)
    (blocks.folder / block_file(0)).write_bytes(other.read_bytes())
    assert not Staging(blocks.out).has(0)


def test_a_block_of_another_run_is_not_done(blocks, tmp_path):
    other = Staging(tmp_path / "other.zarr")
    other.begin({"attrs": {"seed": 2}})
    other.write(0, {"n": np.arange(50)})
    (blocks.folder / block_file(0)).write_bytes((other.folder / block_file(0)).read_bytes())
    assert not Staging(blocks.out).has(0)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_of_the_run_is_named(blocks, damage):
    path = blocks.folder / "run.json"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(InputError, match=r"run\.json is damaged, .* remove .*s\.zarr\.partial"):
        Staging(blocks.out).read_run()


def test_an_unfinished_run_of_an_older_version_is_named(blocks):
    (blocks.folder / "run.json").write_text(json.dumps({"attrs": {"seed": 1}}))
    with pytest.raises(InputError, match=r"another version wrote it; remove .* and start anew"):
        Staging(blocks.out).read_run()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_block_at_a_url_is_not_done(damage):
    staging = UrlStaging(f"memory://damaged-{list(DAMAGES).index(damage)}/s.zarr")
    staging.begin({"attrs": {}})
    staging.write(0, {"n": np.arange(50)})
    assert staging.has(0)
    place = f"{staging._root}/{block_file(0)}"
    staging._fs.pipe_file(place, DAMAGES[damage](staging._fs.cat_file(place)))
    assert not staging.has(0)
    staging.remove()


def test_only_files_are_taken_for_blocks(blocks):
    os.mkfifo(blocks.folder / block_file(7))
    with pytest.raises(InputError, match=r"holds block_00007\.npz, which no run has made"):
        blocks.check()


# --- runs
# ------------------------------------------------------------------------------------------


def whole_and_unfinished(folder, lab, monkeypatch, begin):
    """Return a finished result, and the place of one that stopped at its second block."""
    whole = begin(folder / "whole.zarr")
    out, write = folder / "s.zarr", Staging.write

    def stop(self, block, arrays):
        if block == 1:
            raise KeyboardInterrupt
        write(self, block, arrays)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Staging, "write", stop)
        begin(out)
    return store.open_study(whole, load=True), out


def begun_run(lab, **changes):
    def begin(out, resume=False):
        config = replace(every_write.config(), **changes)
        return run.run_study(config, out, lab=lab, resume=resume, **SETTINGS)

    return begin


@pytest.mark.parametrize("damage", FEW)
def test_a_run_makes_a_damaged_block_again(lab, tmp_path, monkeypatch, damage):
    begin = begun_run(lab)
    whole, out = whole_and_unfinished(tmp_path, lab, monkeypatch, begin)
    path = store.partial_folder(out) / block_file(0)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert_equal(store.open_study(begin(out, resume=True), load=True), whole)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["s.zarr", "whole.zarr"]


def test_a_run_is_not_gone_on_with_under_other_versions(lab, tmp_path, monkeypatch):
    begin = begun_run(lab)
    _, out = whole_and_unfinished(tmp_path, lab, monkeypatch, begin)
    now = provenance.package_versions()
    monkeypatch.setattr(provenance, "package_versions", lambda: {**now, "torch": "1.0"})
    with pytest.raises(InputError, match=r"begun with torch .* and this is 1\.0; install that one"):
        begin(out, resume=True)
    assert (store.partial_folder(out) / block_file(0)).exists()


def test_a_full_disk_in_the_middle_and_then_room(lab, tmp_path, monkeypatch):
    begin, out = begun_run(lab), tmp_path / "s.zarr"
    whole = store.open_study(begin(tmp_path / "whole.zarr"), load=True)

    def full(path, start, arrays):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_tokens", full)
        with pytest.raises(InputError) as found:
            begin(out)
    said = str(found.value)
    assert said.startswith(f"{out} cannot be written: No space left on device (")
    assert said.endswith(
        f"what is done stays in {out}.partial: go on with --resume when that is mended"
    )
    assert_equal(store.open_study(begin(out, resume=True), load=True), whole)


def test_a_full_disk_before_the_first_block_leaves_nothing(lab, tmp_path, monkeypatch):
    def full(self, block, arrays):
        raise OSError(122, "Disk quota exceeded")

    monkeypatch.setattr(Staging, "write", full)
    with pytest.raises(InputError, match="Disk quota exceeded; mend that, or choose another --out"):
        begun_run(lab)(tmp_path / "s.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_clock_that_goes_backwards_changes_nothing(lab, tmp_path, monkeypatch):
    begin = begun_run(lab)
    whole, out = whole_and_unfinished(tmp_path, lab, monkeypatch, begin)
    for each in store.partial_folder(out).iterdir():
        os.utime(each, (4e9, 4e9))
    assert_equal(store.open_study(begin(out, resume=True), load=True), whole)


# --- two at once
# ------------------------------------------------------------------------------------------


def test_two_at_once_make_one(lab, tmp_path):
    begin, out, said = begun_run(lab), tmp_path / "s.zarr", []

    def one():
        try:
            begin(out, resume=True)
            said.append("made")
        except InputError as error:
            said.append(str(error))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert "made" in said
    others = [each for each in said if each != "made"]
    assert all("in use by another run" in each or "exists" in each for each in others)
    store.open_study(out, load=True).close()
    assert [each.name for each in tmp_path.iterdir()] == ["s.zarr"]


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path):
    """One process has opened the lock, another ends its run and removes it, then a third comes."""
    staging = Staging(tmp_path / "s.zarr")
    with staging.locked():
        staging.remove()
        with Staging(tmp_path / "s.zarr").locked():
            assert (staging.folder / "lock").exists()


def test_what_another_process_has_finished_is_not_made_again(lab, tmp_path):
    out = tmp_path / "s.zarr"
    out.mkdir()
    with pytest.raises(InputError, match="exists; choose another --out"), Staging(out).held(True):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["s.zarr"]


# --- companions and ablations
# ------------------------------------------------------------------------------------------


def companion(lab, out, **given):
    config = every_write.small_companion("redrawn")
    return companions.run_companion(config, out, progress=False, lab=lab, **given)


def test_a_companion_that_is_there_is_left_on_resume(lab, tmp_path):
    out = companion(lab, tmp_path / "c.nc")
    before = out.read_bytes()
    assert companion(lab, out, resume=True) == out
    with pytest.raises(InputError, match=r"c\.nc exists and keeps features only; choose another"):
        companion(lab, out, resume=True, attempts=True)
    with pytest.raises(InputError, match="exists; choose another --out"):
        companion(lab, out)
    assert out.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["c.nc"]


@pytest.mark.parametrize("damage", FEW)
def test_a_damaged_cell_of_ablations_is_made_again(tmp_path, damage):
    about = {"study": "x", "n_problems": 1, "n_attempts": 1, "models": {}, "packages": {}}
    out = tmp_path / "a.json"
    with ablation_run._begun(Staging(out), about, resume=False):
        Staging(out).write(0, {"cell": np.array(json.dumps({"k": 1}))})
    path = store.partial_folder(out) / block_file(0)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    staging = Staging(out)
    with ablation_run._begun(staging, about, resume=True):
        assert not staging.has(0)


# --- training
# ------------------------------------------------------------------------------------------


@pytest.fixture
def trained(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    optimiser = Optimiser(torch.nn.Sequential(model), 0.1, 0.1)
    place = Progress(tmp_path / "progress", "recipe")
    place.save(3, model, optimiser, [{"step": 3, "loss": 0.5}])
    return model, optimiser, place


def test_a_state_of_training_comes_back(trained):
    model, optimiser, place = trained
    other = torch.nn.Linear(2, 2)
    assert place.load(other, optimiser) == (3, [{"step": 3, "loss": 0.5}])
    assert torch.equal(other.weight, model.weight)
    assert [each.name for each in place.folder.iterdir()] == ["state"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_of_training_is_named(trained, damage):
    model, optimiser, place = trained
    path = place.folder / "state"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(InputError, match=r"progress/state is damaged, .* to train anew"):
        place.load(model, optimiser)


def test_a_state_that_cannot_be_written_leaves_the_one_before(trained, monkeypatch):
    model, optimiser, place = trained
    before = (place.folder / "state").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(InputError, match=r"no room is left for .*progress/state"):
            place.save(4, model, optimiser, [])
    assert {each.name: each.read_bytes() for each in place.folder.iterdir()} == {"state": before}


# --- signals
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_says_how_to_go_on(lab, tmp_path, monkeypatch, capsys, sent):
    write = Staging.write

    def struck(self, block, arrays):
        write(self, block, arrays)
        os.kill(os.getpid(), sent)

    before = signal.getsignal(signal.SIGTERM)
    out = tmp_path / "s.zarr"
    given = ["--family", "qwen3", "--method", "sft", "--task", "arithmetic", "--problems", "2"]
    command = ["run", "--out", str(out), *given, "--rollouts", "2", "--attempts", "1"]
    command += ["--max-new-tokens", "6", "--device", "cpu"]
    with monkeypatch.context() as patch:
        patch.setattr(Staging, "write", struck)
        assert main(command) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith("recover-nb: interrupted; go on with the same command and --resume")
    assert signal.getsignal(signal.SIGTERM) is before
    assert not out.exists()
    assert main([*command, "--resume"]) == 0
    assert [each.name for each in tmp_path.iterdir()] == ["s.zarr"]


# --- every write
# ------------------------------------------------------------------------------------------

needs_layer = pytest.mark.skipif(every_write.compiler() is None, reason="needs Linux and cc")


def struck(lab, folder, kind, name, stride):
    done = every_write.preloaded([kind, name, lab, folder / "work", stride], folder / "every.so")
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(part.rsplit(" ", 1) for part in done.stdout.strip().split(": ")[1].split(", "))
    return {key: int(value) for key, value in counts.items()}


@needs_layer
@pytest.mark.parametrize(
    ("name", "least"), [("train", 10), pytest.param("ablate", 20, marks=pytest.mark.slow)]
)
def test_a_kill_at_every_write_costs_nothing(lab, tmp_path, name, least):
    found = struck(lab, tmp_path, "kill", name, 3)
    assert found["writes"] >= least
    assert found["kills"] == found["resumed equal"] == len(range(1, found["writes"] + 1, 3))


@needs_layer
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill", "full"])
@pytest.mark.parametrize("name", ["run", "zip", "remap"])
def test_a_run_survives_what_strikes_any_write(lab, tmp_path, kind, name):
    found = struck(lab, tmp_path, kind, name, 151)
    assert found["writes"] > 500
    counted = found["kills" if kind == "kill" else "faults"]
    assert counted == found["resumed equal"] >= 6


@needs_layer
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill", "full"])
@pytest.mark.parametrize("name", every_write.WORKS)
@pytest.mark.skipif("EVERY_WRITE" not in os.environ, reason="an hour: set EVERY_WRITE=1")
def test_all_writes(lab, tmp_path, kind, name):
    found = struck(lab, tmp_path, kind, name, 1)
    assert found["kills" if kind == "kill" else "faults"] == found["resumed equal"]
