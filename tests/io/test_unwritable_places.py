"""Places where nothing can be written: told before the work, by their own path, leaving nothing."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core import places, writable
from recover_nb.core.errors import InputError
from recover_nb.io import store

WRITERS = {
    ".zarr": store.save_study,
    ".zarr.zip": rnb.save_zip,
    ".nc": rnb.to_netcdf,
    ".jsonl": rnb.to_jsonl,
    ".csv": rnb.to_profiles,
    ".parquet": rnb.to_parquet,
}
ROOT = Path(rnb.__file__).parents[1]


def below_a_file(folder):
    (folder / "file").write_text("mine")
    return folder / "file" / "out", "is no folder"


def below_a_file_in_a_folder(folder):
    (folder / "file").write_text("mine")
    return folder / "file" / "new" / "out", "is no folder"


def below_a_device(folder):
    return Path("/dev/full/out"), "/dev/full is no folder"


def in_proc(folder):
    return Path("/proc/out"), "cannot be written"


def in_a_loop(folder):
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop" / "out", "Too many levels of symbolic links"


def below_a_link_to_nothing(folder):
    (folder / "link").symlink_to(folder / "nothing")
    return folder / "link" / "out", "cannot be written"


def a_long_name(folder):
    return folder / ("x" * 240), "its name is longer than 231 bytes"


def a_long_path(folder):
    return Path(folder, *["x" * 100] * 60, "out"), "File name too long"


def a_nul(folder):
    return folder / "a\0b", "a NUL"


def a_lone_surrogate(folder):
    return folder / "a\ud800b", "holds a character that no file name can have"


PLACES = [
    below_a_file,
    below_a_file_in_a_folder,
    below_a_device,
    in_proc,
    in_a_loop,
    below_a_link_to_nothing,
    a_long_name,
    a_long_path,
    a_nul,
    a_lone_surrogate,
]


def contents(folder):
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("suffix", WRITERS)
def test_every_writer_refuses_the_place(tmp_path, place, suffix):
    path, words = place(tmp_path)
    path = path.with_name(path.name + suffix)
    before = contents(tmp_path)
    for options in ({}, {"replace": True}):
        with pytest.raises(InputError) as caught:
            WRITERS[suffix](tiny_study(), path, **options)
        text = str(caught.value)
        assert words in text
        assert "choose" in text or "give" in text
        whole = str(path)[:60] in text or repr(str(path)) in text
        # What is wrong in one part alone is told of that part.
        assert whole or f"{path.name!r} holds a NUL" in text
        assert "corrupt" not in text
    assert contents(tmp_path) == before
    assert not Path("~").exists()


COMMANDS = {
    "export": lambda study, out: ["export", "jsonl", study, f"{out}.jsonl"],
    "netcdf": lambda study, out: ["export", "netcdf", study, f"{out}.nc"],
    "findings": lambda study, out: ["findings", study, "--out", out],
    "story": lambda study, out: ["story", study, "--out", f"{out}.html"],
    "run": lambda study, out: ["run", "--out", f"{out}.zarr", "--problems", "1"],
    "ablate": lambda study, out: ["ablate", "--study", study, "--out", f"{out}.json"],
    "import": lambda study, out: ["import", "netcdf", study, "--out", f"{out}.zarr"],
}


#: The findings go into a folder, which may have a longer name than a file that is being made.
ASKED = [
    (command, place)
    for command in COMMANDS
    for place in PLACES
    if (command, place) != ("findings", a_long_name)
]


@pytest.mark.parametrize(
    ("command", "place"), ASKED, ids=[f"{command}-{place.__name__}" for command, place in ASKED]
)
def test_every_command_refuses_it_before_the_study_is_read(tmp_path, capsys, command, place):
    study = tmp_path / "s.zarr"
    study.mkdir()
    path, words = place(tmp_path)
    before = contents(tmp_path)
    status = main([str(each) for each in COMMANDS[command](study, path)])
    text = capsys.readouterr().err
    assert status == 2
    # Opening this study would fail, so it was not opened before.
    assert words in text
    assert text.count("\n") == 1
    assert "Traceback" not in text
    assert contents(tmp_path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become another user")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path):
    os.chmod(tmp_path, 0o755)
    ds = tiny_study()
    os.seteuid(65534)
    try:
        with pytest.raises(InputError, match=r"s\.zarr cannot be written: Permission denied"):
            store.save_study(ds, tmp_path / "s.zarr")
    finally:
        os.seteuid(0)


# --- no room
# ------------------------------------------------------------------------------


def test_a_full_disk_is_told_before_the_work(tmp_path, monkeypatch, capsys):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(writable.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    for suffix, writer in WRITERS.items():
        with pytest.raises(InputError) as caught:
            writer(tiny_study(), tmp_path / f"s{suffix}")
        assert str(caught.value) == (
            f"no room is left for {tmp_path / f's{suffix}'}: it takes at least 65536 bytes and 1000"
            f" bytes are free in {tmp_path}; free some, or choose another folder"
        )
    assert main(["run", "--out", str(tmp_path / "r.zarr"), "--problems", "1"]) == 2
    assert f"no room is left for {tmp_path / 'r.zarr'}" in capsys.readouterr().err
    assert contents(tmp_path) == []


def test_what_is_large_asks_for_more_room(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(writable.shutil, "disk_usage", lambda _: usage._replace(free=10**6))
    ds = tiny_study()
    ds["mine"] = ("problem", "wide"), np.broadcast_to(np.float64(0), (6, 10**7))
    with pytest.raises(InputError, match=r"takes at least 1\.2 MB and 1\.0 MB are free"):
        store.save_study(ds, tmp_path / "s.zarr")


def test_a_disk_that_tells_nothing_is_not_refused(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    nothing = usage._replace(total=0, free=0)
    monkeypatch.setattr(writable.shutil, "disk_usage", lambda _: nothing)
    assert store.save_study(tiny_study(), tmp_path / "s.zarr").is_dir()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no room is left for {path}"),
        (errno.EDQUOT, "no room is left for {path}"),
        (errno.EFBIG, "{path} cannot be written: it is larger than"),
        (errno.EROFS, "{path} cannot be written: Read-only file system"),
        (errno.EIO, "{path} cannot be written: Input/output error"),
        (errno.EACCES, "{path} cannot be written: Permission denied"),
    ],
)
def test_what_goes_wrong_on_the_way_is_about_the_target(tmp_path, number, words):
    path = tmp_path / "a.csv"
    for name in (None, str(tmp_path / ".a.csv.tmp")):
        with (
            pytest.raises(InputError) as caught,
            places.placed(path) as temporary,
        ):
            temporary.write_text("half")
            raise OSError(number, os.strerror(number), name)
        assert words.format(path=path) in str(caught.value)
    assert contents(tmp_path) == []


def test_an_error_about_another_file_stays_what_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), places.placed(tmp_path / "a" / "b.csv"):
        Path("/no/such/file").read_text()


LIMITED = """
import resource, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
from test_unwritable_places import WRITERS, big
ds = big()
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for suffix, writer in WRITERS.items():
    try:
        writer(ds, {folder!r} + "/s" + suffix)
        print(suffix, "written")
    except Exception as error:
        print(suffix, type(error).__name__, error)
"""


def big():
    """Return a study that takes more than the limit in every format."""
    ds = tiny_study()
    texts = np.array([os.urandom(20_000).hex() for _ in range(6)], dtype=object)
    numbers = np.random.default_rng(0).random((6, 5, 7)).astype(np.float32)
    ds["entropy"] = ds["entropy"].dims, np.where(ds["entropy"].isnull(), np.nan, numbers)
    ds["entropy"] = ds["entropy"].astype(np.float32)
    ds["prompt"] = xr.Variable(("problem",), texts)
    ds = ds.assign_coords(problem_id=("problem", texts))
    return ds


def test_files_that_may_not_grow_end_in_a_sentence_and_not_in_a_crash(tmp_path):
    code = LIMITED.format(root=str(ROOT), tests=str(Path(__file__).parent), folder=str(tmp_path))
    code = code.replace("sys.path[:0] = [", f"sys.path[:0] = [{str(Path(__file__).parents[1])!r}, ")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(WRITERS)
    for suffix, line in zip(WRITERS, lines, strict=True):
        assert f"InputError {tmp_path / f's{suffix}'} cannot be written: it is larger than" in line
        assert "corrupt" not in line
    assert contents(tmp_path) == []


# --- reading what cannot be read
# ------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become another user")
@pytest.mark.parametrize("name", ["", "entropy", "entropy/0.0.0", ".zattrs", ".files"])
def test_a_study_without_the_right_to_read_is_not_called_damaged(saved, name):
    for folder in saved.parents:
        if folder.stat().st_mode & 0o777 == 0o700:
            os.chmod(folder, 0o755)
    os.chmod(saved / name, 0)
    os.seteuid(65534)
    try:
        with pytest.raises(InputError) as caught:
            store.open_study(saved, load=True)
    finally:
        os.seteuid(0)
    assert "cannot be read (Permission denied); ask for the right" in str(caught.value)
    assert "corrupt" not in str(caught.value)


@pytest.mark.parametrize("suffix", store.SUFFIXES)
@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "file or folder", "loop", "nothing"])
def test_what_is_no_file_is_told_at_once(tmp_path, monkeypatch, suffix, kind):
    path = tmp_path / f"s{suffix}"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "file or folder":
        path.write_text("") if suffix == ".zarr" else path.mkdir()
    with pytest.raises(InputError) as caught:
        store.open_study(path)
    assert str(path) in str(caught.value)
    assert "corrupt" not in str(caught.value)


@pytest.mark.parametrize("name", ["level/1", "level/.zarray", ".zattrs", "extra"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_inside_a_study_is_refused(saved, monkeypatch, name, kind):
    place = saved / name
    place.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place.symlink_to("/dev/zero")
    else:
        monkeypatch.chdir(place.parent)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(place.name)
    with pytest.raises(InputError, match=r"is no file|leads out of the study") as caught:
        store.open_study(saved)
    assert name in str(caught.value)


def test_links_that_stay_inside_and_hard_links_are_read(saved):
    os.rename(saved / "level" / "0", saved / "level" / "00")
    (saved / "level" / "0").symlink_to("00")
    os.link(saved / "warmup" / "0", saved.parent / "elsewhere")
    assert store.open_study(saved, load=True).equals(tiny_study())


@pytest.mark.parametrize("kind", [str, Path])
def test_a_home_folder_is_found(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("HOME", str(tmp_path))
    words = f"{tmp_path}/no.zarr: no such file; give a study that ends in .zarr, .zarr.zip, .nc"
    with pytest.raises(InputError) as caught:
        store.open_study(kind("~/no.zarr"))
    assert str(caught.value) == words
    store.save_study(tiny_study(), kind("~/s.zarr"))
    assert store.open_study(tmp_path / "s.zarr", load=True).equals(tiny_study())
    assert main(["export", "jsonl", "~/s.zarr", "~/s.jsonl"]) == 0
    assert main(["run", "--out=~/s.zarr", "--problems", "1"]) == 2
    assert contents(tmp_path)[0] == "s.jsonl"


@pytest.mark.parametrize("kind", [str, Path])
def test_a_home_of_nobody_is_not_guessed(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^~nobody\.here/no\.zarr: no such file; give a study"):
        store.open_study(kind("~nobody.here/no.zarr"))
    for suffix, writer in WRITERS.items():
        with pytest.raises(InputError) as caught:
            writer(tiny_study(), kind(f"~nobody.here/s{suffix}"))
        assert str(caught.value) == (
            f"~nobody.here/s{suffix} begins with ~nobody.here, and no user of that name has a home"
            " here; give the whole path"
        )
    assert contents(tmp_path) == []
    # A file may be called so.
    store.save_study(tiny_study(), kind("~s.zarr"))
    assert store.open_study(kind("~s.zarr"), load=True).equals(tiny_study())


# --- odd archives
# ------------------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path):
    return rnb.save_zip(tiny_study(), tmp_path / "s.zarr.zip")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_cut_archive_is_refused(archive, share):
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"truncated or corrupt .*; copy the study again"):
        store.open_study(archive)


def test_a_comment_or_something_before_an_archive_changes_nothing(archive):
    with zipfile.ZipFile(archive, "a") as file:
        file.comment = b"mine" * 1000
    archive.write_bytes(b"#!/bin/sh\n" + archive.read_bytes())
    assert store.open_study(archive, load=True).equals(tiny_study())


def test_something_after_an_archive_is_no_harm_or_refused(archive):
    archive.write_bytes(archive.read_bytes() + b"x" * 10**6)
    with pytest.raises(InputError, match="truncated or corrupt"):
        store.open_study(archive)


def test_an_encrypted_or_oddly_compressed_archive_is_refused(archive):
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_LZMA) as file:
        file.writestr("mine/0", "x")
    with pytest.raises(InputError, match=r"'mine/0' is compressed by method 14"):
        store.open_study(archive)
