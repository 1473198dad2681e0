"""Small files that declare much: refused by what they say, before the memory is taken."""

import gzip
import json
import resource
import struct
import zipfile
import zlib
from functools import cache

import h5py
import numcodecs
import numpy as np
import pytest
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb.core import memory
from recover_nb.core.errors import InputError
from recover_nb.io import inflating, layout, store, zarr_metadata

TB = 10**12
#: What is free in these tests: half of it may be taken at once.
FREE = 4 * 10**8


@pytest.fixture(autouse=True)
def little(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: FREE)


@pytest.fixture
def saved(saved):
    # As a store of somebody else, who knows no checksums.
    (saved / ".files").unlink()
    return saved


def change(path, name, **fields):
    """Write other metadata of one array, in both places."""
    for place in (path / ".zmetadata", path / name / ".zarray"):
        found = json.loads(place.read_text())
        (found["metadata"][f"{name}/.zarray"] if "metadata" in found else found).update(fields)
        place.write_text(json.dumps(found))


def packed(folder, method=zipfile.ZIP_STORED):
    archive = folder.with_suffix(".zarr.zip")
    with zipfile.ZipFile(archive, "w", method) as file:
        for each in sorted(folder.rglob("*")):
            if each.is_file():
                file.write(each, each.relative_to(folder).as_posix())
    return archive


def taken():
    """Return the most memory that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def refused(path, **options):
    before = taken()
    with pytest.raises(InputError) as caught:
        store.open_study(path, **options).load()
    assert taken() - before < 200 * 2**20
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


HUGE = {
    "chunk": ("level", {"shape": [10**12], "chunks": [10**12]}, "one chunk of the array level"),
    "line": ("level", {"shape": [10**12], "chunks": [10**7]}, "the array level needs 4.0 TB"),
    "width": ("level", {"dtype": "<U1000000000"}, "one chunk of the array level needs 24.0 GB"),
    "text": ("prompt", {"shape": [10**12], "chunks": [10**12]}, "one chunk of the array prompt"),
    "many": ("entropy", {"shape": [10**6] * 3, "chunks": [1, 1, 1]}, "has 1e+18 chunks"),
    "negative": ("level", {"shape": [-6]}, "has shape [-6]"),
    "zero": ("level", {"chunks": [0]}, "has chunks [0]"),
    "none": ("level", {"shape": None}, "has shape None"),
    "fraction": ("level", {"shape": [6.5]}, "has shape [6.5]"),
    "truth": ("level", {"shape": [True]}, "has shape [True]"),
    "words": ("level", {"chunks": ["6"]}, "has chunks ['6']"),
    "dimensions": ("level", {"shape": [1] * 40, "chunks": [1] * 40}, "has shape"),
    "unlike": ("level", {"chunks": [6, 6]}, "has chunks [6, 6]"),
    "digits": ("level", {"dtype": "<U" + "9" * 60}, "type '<U999"),
}


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("name", HUGE)
def test_an_array_that_no_memory_holds_is_refused(saved, name, form):
    array, fields, words = HUGE[name]
    change(saved, array, **fields)
    path = saved if form == "folder" else packed(saved)
    text = refused(path)
    assert words in text
    assert "allowed: " in text
    assert "write the study again with rnb.save_study" in text


def test_a_large_array_is_refused_when_it_is_read(saved):
    change(saved, "entropy", shape=[10**6, 10**4, 80], chunks=[1000, 100, 80])
    for place in (saved / ".zmetadata", saved / "entropy" / ".zattrs"):
        text = place.read_text()
        assert "_ARRAY_DIMENSIONS" in text
    found = json.loads((saved / ".zmetadata").read_text())
    found["metadata"]["entropy/.zattrs"]["_ARRAY_DIMENSIONS"] = ["a", "b", "c"]
    found["metadata"]["extra/.zarray"] = found["metadata"].pop("entropy/.zarray")
    found["metadata"]["extra/.zattrs"] = found["metadata"].pop("entropy/.zattrs")
    (saved / ".zmetadata").write_text(json.dumps(found))
    with store.open_study(saved) as ds:
        assert ds["extra"].isel(a=0, b=0).values.shape == (80,)
        with pytest.raises(InputError) as caught:
            ds["extra"].load()
        assert "the variable extra needs 3.2 TB of memory; allowed: up to 200.0 MB" in str(
            caught.value
        )
        assert "isel(problem=...), or open the study with chunks={}" in str(caught.value)
    assert "the study needs 3.2 TB" in refused(saved, load=True)


# --- metadata and members
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".zmetadata", "level/.zarray", ".files"])
def test_metadata_that_are_too_long_are_not_read(saved, monkeypatch, name):
    monkeypatch.setattr(zarr_metadata, "MAX_METADATA", 10**6)
    monkeypatch.setattr(layout, "MAX_METADATA", 10**6)
    place = saved / name
    place.write_text((place.read_text() if place.exists() else "") + " " * 2 * 10**6)
    words = f"the file {place.name} of metadata has 2.0 MB; allowed: up to 1.0 MB"
    assert words in refused(saved)
    if name != ".files":
        text = refused(packed(saved, zipfile.ZIP_DEFLATED))
        assert f"the file {name} of metadata has 2.0 MB" in text


@pytest.mark.parametrize("content", ["{" * 10**6, "[" * 10**6, "1" * 10**5, "null", "\ufeff{}"])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_odd_metadata_are_a_sentence(saved, content, form):
    (saved / ".zmetadata").write_text(content)
    path = saved if form == "folder" else packed(saved)
    assert "the file .zmetadata is damaged" in refused(path)


def test_too_many_files_are_not_listed(saved, monkeypatch):
    path = packed(saved)
    monkeypatch.setattr(layout, "MAX_FILES", 50)
    for each in (saved, path):
        assert "holds more than 50 files" in refused(each)


def test_a_member_that_inflates_beyond_memory_is_refused(saved):
    archive = packed(saved, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(archive) as file:
        info = file.getinfo("level/0")
        at = info.header_offset
    # The directory alone says how large it is: nothing has to be written.
    content = bytearray(archive.read_bytes())
    place = content.rfind(b"level/0") - 46
    assert content[place : place + 4] == b"PK\x01\x02"
    assert at < place
    struct.pack_into("<I", content, place + 24, 3 * 10**9)
    archive.write_bytes(content)
    assert "the member 'level/0' needs 3.0 GB of memory" in refused(archive)


# --- chunks that become large
# ------------------------------------------------------------------------------

ZEROS = bytes(10**6)


def zstd_without_size(n_blocks):
    """Return a frame of zstandard that is blocks of one repeated byte, and says no size."""
    blocks = b"".join(
        (((2**17) << 3) | (1 << 1) | (i == n_blocks - 1)).to_bytes(3, "little") + b"\0"
        for i in range(n_blocks)
    )
    return struct.pack("<I", 0xFD2FB528) + b"\x00\x58" + blocks


@pytest.mark.parametrize(
    ("codec", "data", "size"),
    [
        ("blosc", numcodecs.Blosc().encode(ZEROS), 10**6),
        ("lz4", numcodecs.LZ4().encode(ZEROS), 10**6),
        ("zstd", numcodecs.Zstd().encode(ZEROS), 10**6),
        ("zstd", numcodecs.Zstd(checksum=True).encode(ZEROS), 10**6),
        ("zstd", numcodecs.Zstd().encode(ZEROS) * 3, 3 * 10**6),
        ("zstd", struct.pack("<II", 0x184D2A50, 2) + b"xx" + numcodecs.Zstd().encode(b"a"), 1),
        ("zstd", zstd_without_size(5), 5 * 2**17),
        ("zlib", zlib.compress(ZEROS), 10**6),
        ("gzip", gzip.compress(ZEROS), 10**6),
        ("gzip", gzip.compress(ZEROS) * 2, 2 * 10**6),
        ("zlib", b"no zlib" * 500, None),
        ("zstd", struct.pack("<I", 0xFD2FB528), None),
        ("blosc", b"", None),
    ],
)
def test_the_size_of_a_chunk_is_known_before(codec, data, size):
    # A limit that deflate could pass makes it count.
    assert inflating.inflated(codec, data, 2 * 10**6 if size != 10**6 else 10**6) == size


def test_the_size_of_a_deflated_chunk_is_bounded_where_it_is_small():
    data = zlib.compress(ZEROS)
    assert inflating.inflated("zlib", data, 10**9) == len(data) * 1032
    assert inflating.inflated("zlib", zlib.compress(bytes(10**8)), 10**6) < 4 * 10**6


@cache
def bomb(codec):
    """Return a small chunk that becomes more than may be taken."""
    if codec == "blosc":
        head = bytearray(numcodecs.Blosc().encode(ZEROS))
        struct.pack_into("<I", head, 4, 2**31 - 17)
        return bytes(head)
    if codec == "lz4":
        return struct.pack("<I", 2**31 - 17) + numcodecs.LZ4().encode(ZEROS)[4:]
    if codec == "zstd":
        return zstd_without_size(3 * 10**9 // 2**17)
    stream = zlib.compressobj(9, zlib.DEFLATED, 31 if codec == "gzip" else 15)
    block = bytes(2**20)
    return b"".join(stream.compress(block) for _ in range(200)) + stream.flush()


@pytest.mark.parametrize("codec", ["blosc", "lz4", "zstd", "zlib", "gzip"])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_chunk_that_inflates_beyond_memory_is_refused(saved, codec, form):
    settings = {"id": codec} | ({"cname": "zstd"} if codec == "blosc" else {})
    for name, chunk in (("entropy", "0.0.0"), ("prompt", "0")):
        change(saved, name, compressor=settings)
        (saved / name / chunk).write_bytes(bomb(codec))
    path = saved if form == "folder" else packed(saved)
    text = refused(path, load=True)
    assert "decompressed, needs" in text
    assert "the chunk entropy/0.0.0" in text or "the chunk prompt/0" in text


# --- netCDF
# ------------------------------------------------------------------------------


@pytest.fixture
def netcdf(tmp_path):
    return rnb.to_netcdf(tiny_study(), tmp_path / "s.nc")


WIDE = {
    "line": (
        {"shape": (10**12,), "dtype": "f4", "chunks": (10**6,)},
        "the variable level needs 4.0 TB",
    ),
    "chunk": (
        {"shape": (10**9, 10**9), "dtype": "f4", "chunks": (2**15, 2**14)},
        "one chunk of the variable level needs 2.1 GB",
    ),
    "in one piece": ({"shape": (10**12,), "dtype": "f4"}, "the variable level needs 4.0 TB"),
    "width": ({"shape": (10**4,), "dtype": "S1000000"}, "the variable level needs 10.0 GB"),
}


@pytest.mark.parametrize("name", WIDE)
def test_a_large_variable_of_netcdf_is_refused(netcdf, name):
    fields, words = WIDE[name]
    with h5py.File(netcdf, "a") as file:
        del file["level"]
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if "chunks" in fields:
            file.create_dataset("level", **fields)
        else:
            made.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
            space = h5py.h5s.create_simple(fields["shape"])
            kind = h5py.h5t.py_create(np.dtype(fields["dtype"]))
            h5py.h5d.create(file.id, b"level", kind, space, made)
    assert words in refused(netcdf)


def test_too_many_variables_of_netcdf_are_refused(netcdf, monkeypatch):
    monkeypatch.setattr("recover_nb.io.hdf5.MAX_NAMES", 10)
    assert "holds more than 10 variables" in refused(netcdf)


def test_a_chunk_of_netcdf_that_inflates_beyond_memory_is_refused(netcdf):
    with h5py.File(netcdf, "a") as file:
        found = file.create_dataset(
            "bomb", (10**4, 10), "f4", chunks=(10**4, 10), compression="gzip"
        )
        found.id.write_direct_chunk((0, 0), bomb("zlib"))
    assert "a chunk of the variable bomb, decompressed, needs" in refused(netcdf)


# --- what is free
# ------------------------------------------------------------------------------


def test_what_is_free_is_the_least_of_all_limits(monkeypatch):
    monkeypatch.undo()
    free = memory.free_memory()
    assert 0 < free < 10**14
    monkeypatch.setattr(memory, "_free_in_process", lambda: 5)
    assert memory.free_memory() == 5
    assert memory.budget() == memory.ALWAYS
    for name in ("_free_in_process", "_free_in_container", "_free_on_machine"):
        monkeypatch.setattr(memory, name, lambda: None)
    assert memory.free_memory() is None
    assert memory.budget() == 2**32


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (5, "5 bytes"),
        (2_500_000, "2.5 MB"),
        (10**9, "1.0 GB"),
        (4 * TB, "4.0 TB"),
        (10**30, "1e+18 TB"),
    ],
)
def test_bytes_are_shown(n_bytes, words):
    assert memory.shown(n_bytes) == words


def test_what_is_small_always_fits(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 0)
    memory.check_fits(memory.ALWAYS, "x", "y")
    with pytest.raises(InputError, match=r"^x needs 67\.1 MB of memory; allowed: up to 67\.1 MB,"):
        memory.check_fits(memory.ALWAYS + 1, "x", "y")
