"""Exports whose writes fail: one sentence, what was there is untouched, nothing half is left."""

from pathlib import Path

import every_write
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(every_write.compiler() is None, reason="needs Linux and cc"),
]

#: Which writes of each are failed: one in so many, so that all take some minutes.
STRIDES = {
    "html": 1,
    "profiles": 1,
    "jsonl": 1,
    "notebooks": 5,
    "parquet": 7,
    "netcdf": 11,
    "folder": 151,
    "zip": 301,
}


@pytest.mark.parametrize("name", STRIDES)
def test_a_write_that_fails_costs_nothing(tmp_path, name):
    stride = STRIDES[name]
    done = every_write.preloaded(["fault", name, tmp_path / "work", stride], tmp_path / "every.so")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [name, f"{name} replaced"][: len(lines)]
    for line in lines:
        counts = dict(part.rsplit(" ", 1) for part in line.split(": ")[1].split(", "))
        assert counts["lost"] == counts["tracebacks"] == counts["leftovers"] == "0"
        tried = len(range(1, int(counts["writes"]) + 1, stride)) * len(every_write.FAULTS)
        assert int(counts["tried"]) == tried == int(counts["told"]) + int(counts["absorbed"])
        assert int(counts["told"]) > 0


def test_the_layer_sees_every_kind_of_write(tmp_path):
    """A short piece of work whose writes are counted by hand."""
    code = """
import sys; sys.path.insert(0, sys.argv[1])
import os, shutil, every_write
layer, folder = every_write.Layer(), sys.argv[2]
layer.arm(folder)
os.mkdir(folder + "/a")
with open(folder + "/a/x", "wb", buffering=0) as file:
    file.write(b"12"); os.fsync(file.fileno()); os.ftruncate(file.fileno(), 1)
os.rename(folder + "/a/x", folder + "/a/y")
os.link(folder + "/a/y", folder + "/a/z"); os.symlink("y", folder + "/a/l")
open(folder + "/a/y").read()
shutil.rmtree(folder + "/a")
print(layer.count)
"""
    done = every_write.preloaded_code(
        code, [Path(__file__).parents[1], tmp_path], tmp_path / "e.so"
    )
    # mkdir, open, write, fsync, truncate, rename, link, symlink; then three unlinks and a rmdir.
    assert (done.stdout, done.stderr) == ("12\n", "")
