"""Members of a zip archive, read into memory and never extracted."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from recover_nb.core.errors import InputError
from recover_nb.io.lines import MAX_FILE_BYTES, existing

#: Compression method of zstandard, which the zipfile module knows from Python 3.14 on.
ZSTANDARD = 93
#: The fixed part of a member's local header; lengths of name and extra field are its last two
#: numbers.
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")


def read_members(
    path: str | Path, what: str, prefix: str, suffix: str
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of archive members with this prefix and suffix, in order of name.

    Raises
    ------
    InputError
        No archive, a member that names a place outside it, is too large, damaged, or compressed in
        an unknown way.
    """
    path = existing(path, what)
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                _check_name(path, info.filename)
            # A member that was written again stands there twice; the last one counts.
            members = {info.filename: info for info in archive.infolist()}
            for _, info in sorted(members.items()):
                if info.filename.startswith(prefix) and info.filename.endswith(suffix):
                    yield info.filename, _read(path, archive, info, what)
    # NotImplementedError: the directory asks for a version of the format that nobody writes.
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        struct.error,
        NotImplementedError,
    ) as error:
        raise InputError(f"{path}: not an archive, or cut short ({error}); give {what}") from None


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in name:
        raise InputError(
            f"{path}: the archive holds {name!r}, a place outside it; no log has such a member"
        )


def _read(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, what: str) -> bytes:
    if info.file_size > MAX_FILE_BYTES:
        raise InputError(
            f"{path}: {info.filename} is larger than {MAX_FILE_BYTES / 1e9:.0f} GB; give {what}"
        )
    if info.compress_type != ZSTANDARD:
        try:
            return archive.read(info)
        except (NotImplementedError, RuntimeError) as error:
            raise InputError(
                f"{path}: {info.filename} cannot be read ({error}); give {what}"
            ) from None
    data = _decompress(path, _raw(path, info), info.file_size)
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise zipfile.BadZipFile(f"{info.filename} is damaged")
    return data


def _raw(path: Path, info: zipfile.ZipInfo) -> bytes:
    """Return a member's bytes as they lie in the file."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        *_, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        file.seek(name + extra, 1)
        return file.read(info.compress_size)


def _decompress(path: Path, data: bytes, size: int) -> bytes:
    try:
        import zstandard
    except ModuleNotFoundError:
        raise InputError(
            f"{path}: it is compressed with zstandard, which is not installed; run: pip install"
            " 'recover-nb[io]'"
        ) from None
    try:
        with zstandard.ZstdDecompressor().stream_reader(
            io.BytesIO(data), read_across_frames=True
        ) as stream:
            return stream.read(size + 1)
    except zstandard.ZstdError as error:
        raise zipfile.BadZipFile(str(error)) from None
