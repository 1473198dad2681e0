"""What a stored study may consist of, checked before anything of it is decoded. Needs no torch.

A store names the code that decodes it, and can name other files as its own. So only what this
package writes, and what xarray writes in the same formats, is read: a few codecs by name, plain
numbers and text, nothing that leads elsewhere.
"""

import json
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
from zarr.storage import WrapperStore

from recover_nb.core.errors import InputError

METADATA, ARRAY = ".zmetadata", ".zarray"

#: Compressors by their name in the metadata; of blosc, those inside it. None of them runs code that
#: a store brings.
CODECS = ("blosc", "zlib", "gzip", "zstd", "lz4")
BLOSC = ("zstd", "lz4", "lz4hc", "blosclz", "zlib")
#: The one filter: it writes text.
FILTER = "vlen-utf8"
#: Numbers, truth values, times, and text or bytes of fixed width; objects are text, by the filter.
_DTYPE = re.compile(r"[<>|]([iuf][1248]|b1|[SU]\d+|[mM]8\[\w+\])")
_OBJECT = "|O"

#: Filters of HDF5 by their number: they come with the library itself.
HDF5_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_HDF5_KINDS = {h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM}


class Checked(WrapperStore):
    """A Zarr store that checks metadata as they are read: what was checked is what is used."""

    async def get(self, key: str, *arguments: Any, **options: Any) -> Any:
        """Return what is stored under `key`."""
        found = await self._store.get(key, *arguments, **options)
        if found is not None and _is_metadata(key):
            check_metadata(key, found.to_bytes())
        return found


def _is_metadata(key: str) -> bool:
    return key.rpartition("/")[2] in (METADATA, ARRAY)


def check_folder(path: Path) -> None:
    """Refuse a Zarr folder that could run code, or show a file that is not its own.

    Raises
    ------
    InputError
        A link, something that is no file, a codec, filter or type that is not allowed.
    """
    for each in _entries(path):
        if _is_metadata(each.name):
            check_metadata(each.relative_to(path).as_posix(), each.read_bytes())


def _entries(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, and of those in it.

    A link is not followed but refused, unless it stays inside.
    """
    root = folder.resolve()
    for each in sorted(folder.rglob("*")):
        mode = each.lstat().st_mode
        if stat.S_ISLNK(mode):
            if not each.resolve().is_relative_to(root):
                raise InputError(
                    f"{folder}: {each.relative_to(folder)} is a link that leads out of the study,"
                    " and is not read; put the file itself there"
                )
        elif not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise InputError(
                f"{folder}: {each.relative_to(folder)} is no file, and is not read; remove it"
            )
        if each.is_file():
            yield each


def check_zip(path: Path) -> None:
    """Refuse a zipped Zarr that could run code, or has members that no study has.

    Raises
    ------
    InputError
        A member that is a link, is there twice, names a place outside, is encrypted or oddly
        compressed; a codec, filter or type that is not allowed.
    """
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        _check_members(path, infos)
        for info in infos:
            if _is_metadata(info.filename):
                check_metadata(info.filename, archive.read(info))


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
        seen.add(name)


def check_metadata(key: str, content: bytes) -> None:
    """Refuse metadata of Zarr that ask for code, types or places which no study has.

    Parameters
    ----------
    key : str
        ``.zmetadata``, or ``NAME/.zarray``.
    content : bytes
        JSON.

    Raises
    ------
    InputError
        Naming the array and what it asks for.
    ValueError
        If the content is no JSON.
    """
    found = json.loads(content)
    arrays = found.get("metadata") if isinstance(found, dict) else None
    if key.rpartition("/")[2] == ARRAY:
        arrays = {key: found}
    if not isinstance(arrays, dict):
        raise ValueError(f"{key} holds no metadata")
    for place, each in arrays.items():
        name, slash, kind = place.rpartition("/")
        if "/" in name or "\\" in place or name in (".", "..") or (slash and not name):
            raise InputError(
                f"the study names an array {name!r}, a place of its own kind; allowed: a plain name"
            )
        if kind == ARRAY:
            _check_array(name, each)


def _check_array(name: str, array: Any) -> None:
    if not isinstance(array, dict):
        raise ValueError(f"{name}/{ARRAY} holds no metadata")
    _check_compressor(name, array.get("compressor"))
    filters = array.get("filters") or []
    for each in filters if isinstance(filters, list) else [filters]:
        if not isinstance(each, dict) or each.get("id") != FILTER:
            raise _refusal(
                name, "filter", each.get("id") if isinstance(each, dict) else each, [FILTER]
            )
    dtype = array.get("dtype")
    if dtype == _OBJECT and filters:
        return
    if not isinstance(dtype, str) or not _DTYPE.fullmatch(dtype):
        raise _refusal(name, "type", dtype, ["numbers, times and text"])


def _check_compressor(name: str, codec: Any) -> None:
    if codec is None:
        return
    known = codec.get("id") if isinstance(codec, dict) else codec
    if known not in CODECS:
        raise _refusal(name, "codec", known, CODECS)
    if known == "blosc" and codec.get("cname") not in BLOSC:
        raise _refusal(
            name,
            "codec",
            f"blosc with {codec.get('cname')}",
            [f"blosc with {each}" for each in BLOSC],
        )


def _refusal(name: str, what: str, given: Any, allowed: Iterable[str]) -> InputError:
    return InputError(
        f"the array {name} is stored with the {what} {str(given)[:60]!r}, which is not read,"
        f" because it may run code; allowed: {', '.join(allowed)}; write the study again with"
        " rnb.save_study"
    )


def check_netcdf(path: Path) -> None:
    """Refuse a netCDF file that shows other files as its own, or needs outside code to be read.

    Raises
    ------
    InputError
        A soft or external link, a variable that lies in another file or is put together from some,
        a filter or type that is not allowed.
    OSError
        If it is no HDF5 file.
    """
    with h5py.File(path, "r") as file:
        links: list[tuple[str, Any]] = []
        # Yields every name without following any link out of the file.
        file.visititems_links(lambda name, link: links.append((_said(name), link)))
        for name, link in links:
            if not isinstance(link, h5py.HardLink):
                kind = "another file" if isinstance(link, h5py.ExternalLink) else "another place"
                raise _hdf5_refusal(name, f"is a link to {kind}")
            found = file[name]
            if isinstance(found, h5py.Dataset):
                _check_dataset(name, found)


def _said(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name


def _check_dataset(name: str, dataset: h5py.Dataset) -> None:
    made = dataset.id.get_create_plist()
    if made.get_external_count():
        raise _hdf5_refusal(name, "lies in another file")
    if made.get_layout() == h5py.h5d.VIRTUAL:
        raise _hdf5_refusal(name, "is put together from other files")
    for i in range(made.get_nfilters()):
        number, _, _, said = made.get_filter(i)
        if number not in HDF5_FILTERS:
            raise _hdf5_refusal(name, f"needs the filter {_said(said) or number}")
    if dataset.id.get_type().get_class() not in _HDF5_KINDS:
        raise _hdf5_refusal(name, "has a type that is neither number nor text")


def _hdf5_refusal(name: str, why: str) -> InputError:
    return InputError(
        f"the variable {name} {why}, which is not read; allowed: what lies in the file itself,"
        " compressed by deflate; write the study again with rnb.to_netcdf"
    )
