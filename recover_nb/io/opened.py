"""Opening a file of text whatever its compression, with a bound on what it unpacks to."""

import bz2
import codecs
import gzip
import io
import lzma
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from tqdm import tqdm

from recover_nb.core.errors import InputError, first_line
from recover_nb.core.extras import need
from recover_nb.core.files import check_file, open_file
from recover_nb.core.visible import visible

#: Largest file that is read whole (JSON, members of an archive), and most that is unpacked of a
#: small one.
MAX_FILE_BYTES = 2**31
#: A large file may unpack to so many times its size: logs shrink to a tenth, seldom to a fiftieth.
MOST_TIMES = 50
CHUNK = 2**20
#: A block of zstandard can unpack to 32,000 times its size, so it is fed little at a time.
ZSTD_CHUNK = 2**11

#: How a compressed file begins. The name says nothing.
PACKED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    **{b"BZh%d1AY&SY" % level: "bzip2" for level in range(1, 10)},
}
PARQUET = b"PAR1"
#: How other kinds of files begin, what they are, and what to do.
OTHERS = {
    PARQUET: ("a parquet table", "rnb.from_table reads it"),
    b"\xd0\xcf\x11\xe0\xa1\xb1": ("an Excel book", "save its sheet as CSV (UTF-8)"),
    b"ARROW1": ("an Arrow table", "write it as parquet"),
    b"SQLite format 3\x00": ("an SQLite database", "write its table as CSV"),
    b"\x89HDF": ("an HDF5 file", "rnb.open_study opens a study"),
    b"\x89PNG": ("a picture", "give the file behind it"),
    b"<!DOCTYPE": ("a web page", "download the file itself"),
    b"<!doctype": ("a web page", "download the file itself"),
    b"<html": ("a web page", "download the file itself"),
    b"%PDF-": ("a PDF", "give the file behind it"),
    b"version https://git-lfs": ("only a pointer of Git LFS", "run git lfs pull"),
    b"7z\xbc\xaf\x27\x1c": ("an archive (7z)", "unpack it"),
    b"Rar!\x1a": ("an archive (rar)", "unpack it"),
    b"\x04\x22\x4d\x18": ("compressed (lz4)", "unpack it, or compress it with gzip"),
    b"\x1f\x9d": ("compressed (compress)", "unpack it, or compress it with gzip"),
    b"\x80\x03": ("a pickle, which could run code", "write it as JSON lines"),
    b"\x80\x04": ("a pickle, which could run code", "write it as JSON lines"),
    b"\x80\x05": ("a pickle, which could run code", "write it as JSON lines"),
}
#: Members of a zip archive that is an office document.
OFFICE = ("[Content_Types].xml", "mimetype")
#: Marks at the start of a text that is not UTF-8. That of UTF-32 begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def existing(path: str | Path, what: str) -> Path:
    """Return `path` as a Path, or say that there is no such file."""
    path = check_file(Path(path), what)
    try:
        if path.stat().st_size:
            return path
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({first_line(error)}); give {what}") from None
    raise InputError(f"{path}: the file is empty; give {what}")


def beginning(path: str | Path, what: str, size: int = 512) -> bytes:
    """Return the first bytes of a file, unpacked where it is compressed, whatever it is."""
    with _unpacked(existing(path, what), what, quiet=True) as stream:
        return stream.read(size)


def packed_as(path: Path) -> str | None:
    """Return how a file is compressed, if it is, by its first bytes."""
    try:
        with open_file(path) as file:
            start = file.read(16)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({first_line(error)})") from None
    return _kind(start)


def _kind(start: bytes) -> str | None:
    return next((each for mark, each in PACKED.items() if start.startswith(mark)), None)


@contextmanager
def opened(path: str | Path, what: str, *, quiet: bool = False) -> Iterator[io.BufferedReader]:
    """Open a file of text, unpacked and in UTF-8, with a progress bar over its own bytes.

    Parameters
    ----------
    path : path
        Plain, or compressed (gzip, zstd, bzip2, xz, or a zip of one file); UTF-8, or UTF-16 or
        UTF-32 that says so in its first bytes. Whether a text is UTF-8 is not checked.
    what : str
        What the file should be, for messages.
    quiet : bool
        No progress bar.

    Yields
    ------
    binary stream

    Raises
    ------
    InputError
        When it is opened or while it is read: no such file, a file of another kind, damaged or cut
        short, unpacks to more than `MAX_FILE_BYTES` and `MOST_TIMES` its size.
    """
    path = existing(path, what)
    with _unpacked(path, what, quiet) as stream:
        start = stream.peek(64)[:64]
        for mark, (kind, advice) in OTHERS.items():
            if start.startswith(mark):
                raise InputError(f"{path} is {kind}; {advice}; or give {what}")
        if stream.peek(512)[257:262] == b"ustar":
            raise InputError(f"{path} is an archive (tar); unpack it and give {what}")
        encoding = _encoding(start)
        yield stream if encoding is None else _stream(_in_utf8(stream, encoding, path, what))


def _encoding(start: bytes) -> str | None:
    """Return the encoding of a text that is not UTF-8 for sure, by its first bytes."""
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return encoding
    # Every text that is read begins with a letter, a quote or a bracket of ASCII.
    pairs = {start[place : place + 2].count(0) for place in range(0, min(len(start) - 1, 8), 2)}
    if pairs == {1} and start[:2].strip(b"\x00"):
        return "utf-16-le" if start[1] == 0 else "utf-16-be"
    return None


@contextmanager
def _unpacked(path: Path, what: str, quiet: bool) -> Iterator[io.BufferedReader]:
    try:
        file = open_file(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be opened ({first_line(error)}); give {what} that you may read"
        ) from None
    size = os.fstat(file.fileno()).st_size
    bar = tqdm(
        total=size,
        desc=visible(path.name),
        unit="B",
        unit_scale=True,
        file=sys.stderr,
        delay=2,
        leave=False,
        disable=quiet,
    )
    with file, bar:
        source = _stream(_counted(file, bar.update, path, what))
        kind = _kind(source.peek(16))
        if kind is None:
            yield source
        else:
            most = max(MAX_FILE_BYTES, MOST_TIMES * size)
            yield _stream(_checked(_chunks_of(kind, source, path, what), most, path, kind, what))


def _counted(
    file: IO[bytes], update: Callable[[int], Any], path: Path, what: str
) -> Iterator[bytes]:
    try:
        while data := file.read(CHUNK):
            update(len(data))
            yield data
    except OSError as error:
        raise InputError(
            f"{path} cannot be read to its end ({first_line(error)}); give {what}, whole"
        ) from None


def _chunks_of(kind: str, source: io.BufferedReader, path: Path, what: str) -> Iterator[bytes]:
    """Yield what a compressed stream unpacks to, a bounded piece at a time."""
    if kind == "zstd":
        yield from _zstd(source, path)
        return
    if kind == "zip":
        yield from _zip(path, what)
        return
    reader = {"gzip": gzip.GzipFile, "bzip2": bz2.BZ2File, "xz": lzma.LZMAFile}[kind]
    # The first argument of gzip's reader is a name.
    with reader(fileobj=source) if reader is gzip.GzipFile else reader(source) as stream:
        while data := cast("bytes", stream.read(CHUNK)):
            yield data


def _zstd(source: io.BufferedReader, path: Path) -> Iterator[bytes]:
    """Yield the content of every frame; zstandard's own reader passes over a last one cut short."""
    zstd = need("zstandard", "io", f"{path}: zstd")
    frame = None
    try:
        while data := source.read(ZSTD_CHUNK):
            while data:
                frame = frame or zstd.ZstdDecompressor().decompressobj()
                yield frame.decompress(data)
                data, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
    except zstd.ZstdError as error:
        raise OSError(str(error)) from None
    if frame is not None:
        raise EOFError("it ends within a frame")


def _zip(path: Path, what: str) -> Iterator[bytes]:
    with zipfile.ZipFile(path) as archive:
        names = [
            info.filename
            for info in archive.infolist()
            if not info.is_dir() and not info.filename.startswith("__MACOSX/")
        ]
        if set(OFFICE) & set(names):
            raise InputError(
                f"{path} is an Excel book or another office document; save its sheet as CSV (UTF-8)"
            )
        if len(names) != 1:
            raise InputError(f"{path} is an archive of {len(names)} files; unzip it; give {what}")
        try:
            with archive.open(names[0]) as stream:
                while data := stream.read(CHUNK):
                    yield data
        except (RuntimeError, NotImplementedError) as error:
            raise InputError(
                f"{path}: {names[0]!r} cannot be unpacked ({first_line(error)}); unzip it"
            ) from None


def _checked(
    chunks: Iterator[bytes], most: int, path: Path, kind: str, what: str
) -> Iterator[bytes]:
    """Pass on what is unpacked, and turn every way that it can fail into one sentence."""
    total = 0
    try:
        for data in chunks:
            total += len(data)
            if total > most:
                raise InputError(
                    f"{path} unpacks to more than {most / 1e9:.1f} GB ({kind}), the most that is"
                    " read of a compressed file of this size; unpack it if you trust it"
                )
            yield data
    except InputError:
        raise
    except (
        OSError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
        NotImplementedError,
        ValueError,
        MemoryError,
    ) as error:
        raise InputError(
            f"{path}: damaged or cut short ({kind}: {first_line(error)}); give {what}, whole"
        ) from None
    if not total:
        raise InputError(f"{path}: the file inside ({kind}) is empty; give {what}")


def _in_utf8(stream: io.BufferedReader, encoding: str, path: Path, what: str) -> Iterator[bytes]:
    decoder, done = codecs.getincrementaldecoder(encoding)(), False
    try:
        while not done:
            data = stream.read(CHUNK)
            done = not data
            yield decoder.decode(data, final=done).encode("utf-8")
    except UnicodeError as error:
        raise InputError(
            f"{path} is damaged {encoding.upper()} text ({first_line(error)}); save {what} as UTF-8"
        ) from None


class _Chunks(io.RawIOBase):
    """A stream over chunks of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        """Tell that the stream can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next."""
        while not self._rest:
            data = next(self._chunks, None)
            if data is None:
                return 0
            self._rest = memoryview(data)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _stream(chunks: Iterator[bytes]) -> io.BufferedReader:
    return io.BufferedReader(cast("io.RawIOBase", _Chunks(chunks)), CHUNK)
