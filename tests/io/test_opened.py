"""Files are opened by their content: compressed in any way, in any Unicode, bounded."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.io import opened as module
from recover_nb.io.opened import beginning, opened

zstandard = pytest.importorskip("zstandard")

LINES = (
    b'{"problem_id": "p", "generated_text": "\xc3\xa9t\xc3\xa9", "is_correct": true}\n'
    b'{"problem_id": "q", "generated_text": "y", "is_correct": false}\n'
)


def zipped(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


PACK = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "zip": lambda data: zipped(log=data),
    "zip of a Mac": lambda data: zipped(**{"log": data, "__MACOSX/._log": b"x"}),
    "two gzip members": lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:]),
    "two zstd frames": lambda data: zstandard.compress(data[:50]) + zstandard.compress(data[50:]),
    "UTF-8 with a mark": lambda data: b"\xef\xbb\xbf" + data,
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "UTF-16 BE with a mark": lambda data: b"\xfe\xff" + data.decode().encode("utf-16-be"),
    "UTF-16 without a mark": lambda data: data.decode().encode("utf-16-le"),
    "UTF-16 BE without a mark": lambda data: data.decode().encode("utf-16-be"),
    "UTF-32": lambda data: data.decode().encode("utf-32"),
    "gzip of UTF-16": lambda data: gzip.compress(data.decode().encode("utf-16")),
}


def said(read, path):
    with pytest.raises(InputError) as caught:
        read(path)
    assert path.name in str(caught.value)
    return str(caught.value)


def whole(path):
    with opened(path, "a log") as stream:
        return stream.read()


@pytest.mark.parametrize("suffix", [".jsonl", ".csv.gz", ""])
@pytest.mark.parametrize("pack", PACK)
def test_the_name_says_nothing(tmp_path, pack, suffix):
    path = tmp_path / f"log{suffix}"
    path.write_bytes(PACK[pack](LINES))
    assert whole(path).removeprefix(b"\xef\xbb\xbf") == LINES
    ds = rnb.from_jsonl(path)
    assert ds["problem_id"].values.tolist() == ["p", "q"]
    assert ds["correct"].values[:, :, 0].tolist() == [[1], [0]]
    assert ds["generated_text"].values[:, :, 0].tolist() == [["été"], ["y"]]


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd", "zip"])
def test_a_compressed_file_cut_short(tmp_path, kind):
    data = PACK[kind](LINES * 50)
    path = tmp_path / "log"
    for size in (len(data) - 4, len(data) // 2, 20):
        path.write_bytes(data[:size])
        assert f"damaged or cut short ({kind}: " in said(rnb.from_jsonl, path)


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_a_compressed_file_damaged(tmp_path, kind):
    data = bytearray(PACK[kind](LINES * 50))
    data[len(data) // 2] ^= 255
    path = tmp_path / "log"
    path.write_bytes(data)
    assert f"damaged or cut short ({kind}: " in said(rnb.from_jsonl, path)


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd", "zip"])
def test_what_unpacks_to_too_much(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 3_000_000)
    path = tmp_path / "bomb"
    path.write_bytes(PACK[kind](b'{"a": 1}\n' * 500_000))
    assert f"bomb unpacks to more than 0.0 GB ({kind})" in said(whole, path)
    # A large file may unpack to as much as files of logs do.
    monkeypatch.setattr(module, "MOST_TIMES", 10**6)
    assert len(whole(path)) == 4_500_000


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (zipped(a=LINES, b=LINES), "is an archive of 2 files; unzip it"),
        (zipped(**{"[Content_Types].xml": b"x", "xl/workbook.xml": b"x"}), "is an Excel book"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Excel book; save its sheet as CSV"),
        (gzip.compress(b""), "the file inside (gzip) is empty"),
        (b"PAR1\x15\x04", "is a parquet table; rnb.from_table reads it"),
        (b"ARROW1\x00\x00", "is an Arrow table; write it as parquet"),
        (b"SQLite format 3\x00", "is an SQLite database"),
        (b"\x80\x04\x95\x10", "is a pickle, which could run code"),
        (b"7z\xbc\xaf\x27\x1c", "is an archive (7z); unpack it"),
        (b"\x04\x22\x4d\x18", "is compressed (lz4)"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run git lfs pull"),
        (b"<!DOCTYPE html><html>", "is a web page; download the file itself"),
        (b"log".ljust(257, b"\x00") + b"ustar\x00", "is an archive (tar); unpack it"),
        (gzip.compress(b"log".ljust(257, b"\x00") + b"ustar\x00"), "is an archive (tar)"),
        ("{}".encode("utf-16") + b"\x00\xd8", "is damaged UTF-16 text"),
    ],
    # Compressed bytes hold the time, and every process must give a test the same name.
    ids=lambda each: each if isinstance(each, str) else "file",
)
@pytest.mark.parametrize("read", [rnb.from_jsonl, rnb.read_problems], ids=["jsonl", "problems"])
def test_files_of_other_kinds(tmp_path, data, expected, read):
    if data.startswith(b"PAR1") and read is rnb.read_problems:
        expected = "not a parquet file, or cut short"
    path = tmp_path / "log"
    path.write_bytes(data)
    assert expected in said(read, path)


def test_an_encrypted_archive(tmp_path):
    data = bytearray(zipped(log=LINES))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    path = tmp_path / "log.zip"
    path.write_bytes(data)
    assert "'log' cannot be unpacked" in said(rnb.from_jsonl, path)


def test_the_beginning_of_a_file(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(b"PAR1 and more"))
    assert beginning(path, "a log", 4) == b"PAR1"


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "log"
    path.write_bytes(LINES)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "open_file", refuse)
    assert "cannot be opened" in said(whole, path)
