"""Checksums of a stored study: what was written is what is read, or it is told which file is not.

A Zarr folder or zip keeps size and CRC-32 of each of its files in `MANIFEST`, and a netCDF file its
own in a line after its end, which readers of HDF5 do not see. A store without them, older or
written by other means, is read unchecked.
"""

import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from recover_nb.core.errors import InputError

#: The file of a Zarr folder or zip that lists the others.
MANIFEST = ".files"
#: What to do about a damaged store.
REMEDY = "copy the study again, or generate it again with recover-nb run"

_HEAD = "recover-nb files, crc32 of what follows: "
_LINE = re.compile(r"([0-9a-f]{8}) (\d{1,18}) (.+)")
_TRAILER = re.compile(rb"\nrecover-nb, crc32 of what precedes: ([0-9a-f]{8}) (\d{20})\n")
_TRAILER_BYTES = 67
_BLOCK = 2**20


@dataclass(frozen=True)
class Manifest:
    """What a store has to hold: file -> size and CRC-32.

    Older stores know only how many files they are, `count`.
    """

    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    count: int = 0

    def check_sizes(self, place: object, found: dict[str, int]) -> None:
        """Refuse a store in which a file is missing, or has lost or won bytes.

        `found` has the sizes of the files that are there.

        Raises
        ------
        InputError
            Naming the file.
        """
        if self.count and len(found) < self.count:
            raise InputError(
                f"{place}: {len(found)} of {self.count} files are there, so it is damaged; {REMEDY}"
            )
        for name, (size, _) in self.files.items():
            if name not in found:
                raise missing(place, name)
            if found[name] != size:
                raise damaged(place, name, f"it has {found[name]} of {size} bytes")

    def check(self, place: object, name: str, content: bytes | memoryview) -> None:
        """Refuse a file whose bytes are not those that were written.

        Raises
        ------
        InputError
            Naming the file.
        """
        if self.differs(name, content):
            raise damaged(place, name, "its checksum is another one")

    def differs(self, name: str, content: bytes | memoryview) -> bool:
        """Whether the bytes of a file are known, and are other ones."""
        known = self.files.get(name)
        return known is not None and known != (len(content), zlib.crc32(content))


def missing(place: object, name: str) -> InputError:
    """Return the refusal of a store that has lost a file."""
    return InputError(f"{place}: the file {name} is missing; {REMEDY}")


def damaged(place: object, name: str, why: str) -> InputError:
    """Return the refusal of a store with a damaged file."""
    own = (
        "" if str(place).endswith(".zip") else f"; if it was changed on purpose, remove {MANIFEST}"
    )
    return InputError(f"{place}: the file {name} is damaged ({why}); {REMEDY}{own}")


def seal(folder: Path) -> None:
    """Write down the files of a finished Zarr folder, so that a lost or damaged one is noticed."""
    lines = []
    for each in sorted(folder.rglob("*")):
        if each.is_file() and each != folder / MANIFEST:
            content = each.read_bytes()
            name = quote(each.relative_to(folder).as_posix())
            lines.append(f"{zlib.crc32(content):08x} {len(content)} {name}\n")
    body = "".join(lines)
    (folder / MANIFEST).write_text(f"{_HEAD}{zlib.crc32(body.encode()):08x}\n{body}", "utf-8")


def manifest_of(place: object, content: bytes | None) -> Manifest:
    """Read what `seal` wrote; of a store without it, nothing is known.

    Raises
    ------
    InputError
        If it is itself damaged.
    """
    if content is None:
        return Manifest()
    if content.isdigit() and len(content) < 12:
        return Manifest(count=int(content))
    head, _, body = content.partition(b"\n")
    if head != f"{_HEAD}{zlib.crc32(body):08x}".encode():
        raise damaged(place, MANIFEST, "its checksum is another one")
    files = {}
    for line in body.decode("utf-8").split("\n")[:-1]:
        found = _LINE.fullmatch(line)
        if found is None:
            raise damaged(place, MANIFEST, f"it holds {line[:60]!r}")
        files[unquote(found[3])] = int(found[2]), int(found[1], 16)
    return Manifest(files)


def zip_folder(folder: Path, path: Path) -> None:
    """Seal a Zarr folder and pack it into one file; its chunks are compressed already."""
    seal(folder)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for each in sorted(folder.rglob("*")):
            if each.is_file():
                archive.write(each, each.relative_to(folder).as_posix())


def write_sealed(path: Path, content: bytes | memoryview) -> None:
    """Write one file, and its checksum after its end."""
    with path.open("wb") as file:
        file.write(content)
        line = f"\nrecover-nb, crc32 of what precedes: {zlib.crc32(content):08x}"
        file.write(f"{line} {len(content):020d}\n".encode())


def check_sealed(path: Path) -> None:
    """Refuse a file that is not what `write_sealed` wrote; any other file passes.

    Raises
    ------
    InputError
        If its checksum is another one.
    """
    size = path.stat().st_size - _TRAILER_BYTES
    if size <= 0:
        return
    with path.open("rb") as file:
        file.seek(size)
        found = _TRAILER.fullmatch(file.read(_TRAILER_BYTES))
        if found is None:
            return
        file.seek(0)
        checksum = _crc32(iter(lambda: file.read(min(_BLOCK, max(size - file.tell(), 0))), b""))
    if (size, checksum) != (int(found[2]), int(found[1], 16)):
        raise InputError(
            f"{path}: the file is damaged (its checksum is another one); copy it again, or write"
            " it again with rnb.to_netcdf"
        )


def _crc32(blocks: Iterable[bytes]) -> int:
    checksum = 0
    for block in blocks:
        checksum = zlib.crc32(block, checksum)
    return checksum
