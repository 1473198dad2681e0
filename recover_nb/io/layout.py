"""What a stored study may consist of, checked before anything of it is decoded. Needs no torch.

A store can name other files as its own, and be damaged in any of them. Nothing that leads elsewhere
is read, and every file is held against the checksum that was written with it.
"""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from zarr.abc.store import Store
from zarr.storage import WrapperStore

from recover_nb.core.errors import InputError, first_line
from recover_nb.core.memory import ALWAYS, budget, check_fits
from recover_nb.io.inflating import inflated
from recover_nb.io.sealing import MANIFEST, REMEDY, Manifest, damaged, manifest_of, missing
from recover_nb.io.zarr_metadata import (
    MAX_METADATA,
    NODE,
    Declared,
    check_metadata,
    is_metadata,
    too_long,
)

#: Most files of a store: a study of a million problems has about 300,000.
MAX_FILES = 500_000
#: Small files that are read as soon as a store is opened.
_SMALL = (".zgroup", ".zattrs")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error)
#: The end of a zip archive: its mark, and how many members it has in all.
_END, _END_64 = struct.Struct("<4s4H2IH"), struct.Struct("<4sQ2H2I4Q")


class Checked(WrapperStore):
    """A Zarr store that checks everything as it is read: what was checked is what is used.

    Parameters
    ----------
    store : Store
    place : path or URL
        For sentences.
    manifest : Manifest
        What the store has to hold.
    """

    def __init__(
        self, store: Store, place: object = "the store", manifest: Manifest | None = None
    ) -> None:
        super().__init__(store)
        self.place, self.manifest = place, manifest or Manifest()
        self.declared: dict[str, Declared] = {}

    def _with_store(self, store: Store) -> "Checked":
        return type(self)(store, self.place, self.manifest)

    async def get(self, key: str, *arguments: Any, **options: Any) -> Any:
        """Return what is stored under `key`; what is missing or damaged is refused."""
        try:
            found = await self._store.get(key, *arguments, **options)
        except _DAMAGE as error:
            raise damaged(self.place, key, first_line(error)) from error
        except OSError as error:
            raise unreadable(self.place, error, key) from error
        if found is None:
            if key in self.manifest.files:
                raise missing(self.place, key)
            return None
        whole = len(arguments) < 2 and options.get("byte_range") is None
        if not whole:
            return found
        content = memoryview(found.as_numpy_array())
        if is_metadata(key):
            self.declared |= _checked(self.place, self.manifest, key, bytes(content))
        else:
            self.manifest.check(self.place, key, content)
            self._check_inflated(key, content)
        return found

    def _check_inflated(self, key: str, content: memoryview) -> None:
        """Refuse a chunk that would take more memory than there is, before it is decompressed."""
        declared = self.declared.get(key.partition("/")[0])
        if declared is None or declared.codec is None:
            return
        limit = budget()
        size = inflated(declared.codec, content, limit)
        if size is not None and size > max(declared.chunk or 0, ALWAYS):
            check_fits(size, f"{self.place}: the chunk {key}, decompressed,", REMEDY)


def unreadable(place: object, error: OSError, name: str = "") -> InputError:
    """Return the sentence for an error of the system while a store was read: no damage is said."""
    said = error.strerror or first_line(error)
    what = f"the file {name or error.filename}" if name or error.filename else "it"
    todo = (
        "ask for the right to read it (chmod -R u+rX)"
        if isinstance(error, PermissionError)
        else "check the disk it lies on, or copy it to another one"
    )
    return InputError(f"{place}: {what} cannot be read ({said}); {todo}")


def check_folder(path: Path) -> Manifest:
    """Refuse a Zarr folder that is damaged, could run code, or shows a file that is not its own.

    Of chunks only the sizes are looked at: their checksums are, when they are read.

    Raises
    ------
    InputError
        A link, something that is no file, a file that is missing or damaged, a codec, filter, type
        or size that is not allowed.
    """
    found = {name: each.stat().st_size for name, each in _entries(path)}
    listed = found.pop(MANIFEST, None) is not None
    manifest = manifest_of(path, _content(path / MANIFEST) if listed else None)
    for name in found:
        if is_metadata(name):
            _checked(path, manifest, name, _content(path / name))
        elif name.rpartition("/")[2] in _SMALL and name in manifest.files:
            manifest.check(path, name, _content(path / name))
    manifest.check_sizes(path, found)
    return manifest


def _checked(place: object, manifest: Manifest, name: str, content: bytes) -> dict[str, Declared]:
    """Check metadata: what they ask for, and whether they are what was written."""
    try:
        declared = check_metadata(name, content)
    except InputError as error:
        if manifest.differs(name, content):
            raise InputError(
                f"{place}: {error}; or the file {name} is damaged, for its checksum is not that"
                f" which was written: {REMEDY}"
            ) from error
        raise InputError(f"{place}: {error}") from error
    except ValueError as error:
        raise damaged(place, name, first_line(error)) from error
    manifest.check(place, name, content)
    return declared


def _content(path: Path) -> bytes:
    if (size := path.stat().st_size) > MAX_METADATA:
        raise too_long(path.name, size)
    return path.read_bytes()


def _entries(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder, and of those in it, by their names.

    A link is not followed but refused, unless it stays inside.
    """
    root, n_files = folder.resolve(), 0
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as scan:
            listed = list(islice(scan, MAX_FILES))
        n_files += len(listed)
        if n_files >= MAX_FILES:
            raise _too_many(folder)
        for each in sorted(listed, key=lambda each: each.name):
            path = Path(each.path)
            name = path.relative_to(folder).as_posix()
            if each.is_symlink():
                if not path.resolve().is_relative_to(root):
                    raise InputError(
                        f"{folder}: {name} is a link that leads out of the study, and is not read;"
                        " put the file itself there"
                    )
            elif not (each.is_dir() or stat.S_ISREG(each.stat().st_mode)):
                raise InputError(f"{folder}: {name} is no file, and is not read; remove it")
            if each.is_dir(follow_symlinks=False):
                folders.append(path)
            elif each.is_file():
                yield name, path


def _too_many(path: Path) -> InputError:
    return InputError(
        f"{path} holds more than {MAX_FILES:,} files, which no study has; take out what is not part"
        " of it, or write the study again with rnb.save_study"
    )


def check_zip(path: Path) -> tuple[Manifest, bool]:
    """Refuse a zipped Zarr that is damaged, could run code, or has members that no study has.

    Returns
    -------
    Manifest, bool
        What it has to hold, and whether it is of format 3.

    Raises
    ------
    InputError
        A member that is a link, is there twice, names a place outside, is encrypted, oddly
        compressed or too large; a codec, filter, type or size that is not allowed.
    """
    if _n_members(path) > MAX_FILES:
        raise _too_many(path)
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        _check_members(path, infos)
        sizes = {each.filename: each.file_size for each in infos if not each.is_dir()}
        content = _member(path, archive, MANIFEST) if MANIFEST in sizes else None
        manifest = manifest_of(path, content)
        sizes.pop(MANIFEST, None)
        for name in sizes:
            if is_metadata(name):
                _checked(path, manifest, name, _member(path, archive, name))
        manifest.check_sizes(path, sizes)
    return manifest, NODE in sizes and ".zgroup" not in sizes


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except (*_DAMAGE, OSError) as error:
        raise damaged(path, name, first_line(error)) from error


def _n_members(path: Path) -> int:
    """Return how many members a zip archive says to have, before its directory is read."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _END.size - 2**16, 0))
        tail = file.read()
    at = tail.rfind(b"PK\x06\x06")
    if at >= 0 and at + _END_64.size <= len(tail):
        return _END_64.unpack_from(tail, at)[6]
    at = tail.rfind(b"PK\x05\x06")
    return _END.unpack_from(tail, at)[4] if 0 <= at <= len(tail) - _END.size else 0


def _check_members(path: Path, infos: Iterable[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for info in infos:
        name, reason = info.filename, ""
        if name.startswith(("/", "\\")) or ":" in name or "\\" in name or ".." in name.split("/"):
            reason = "names a place outside it"
        elif name in seen:
            reason = "is there twice"
        elif stat.S_ISLNK(info.external_attr >> 16):
            reason = "is a link"
        elif info.flag_bits & 1:
            reason = "is encrypted"
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            reason = f"is compressed by method {info.compress_type}"
        if reason:
            raise InputError(
                f"{path}: the member {name!r} {reason}, which no study has; zip the .zarr folder"
                " again"
            )
        if is_metadata(name) and info.file_size > MAX_METADATA:
            raise too_long(name, info.file_size)
        check_fits(info.file_size, f"{path}: the member {name!r}", REMEDY)
        seen.add(name)
