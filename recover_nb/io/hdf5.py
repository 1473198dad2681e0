"""What a netCDF file may consist of, checked before any of it is decoded. Needs no torch."""

import math
from pathlib import Path
from typing import Any

import h5py

from recover_nb.core.errors import InputError
from recover_nb.core.memory import budget, check_fits
from recover_nb.io.inflating import DEFLATE, inflated
from recover_nb.io.sealing import check_sealed

#: Filters of HDF5 by their number: they come with the library itself.
HDF5_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
#: Most names in a file; a study has about fifty.
MAX_NAMES = 10_000
_HDF5_KINDS = {h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM}


def check_netcdf(path: Path) -> None:
    """Refuse a netCDF file that is damaged, shows other files as its own, or needs outside code.

    Raises
    ------
    InputError
        Another checksum than was written with it; a soft or external link, a variable that lies in
        another file or is put together from some, a filter, type or size that is not allowed.
    OSError
        If it is no HDF5 file.
    """
    check_sealed(path)
    with h5py.File(path, "r") as file:
        for name, link in _links(file):
            if not isinstance(link, h5py.HardLink):
                kind = "another file" if isinstance(link, h5py.ExternalLink) else "another place"
                raise _hdf5_refusal(name, f"is a link to {kind}")
            found = file[name]
            if isinstance(found, h5py.Dataset):
                _check_dataset(name, found)


def _links(file: h5py.File) -> list[tuple[str, Any]]:
    """Return every name with what it leads to, without following any link out of the file."""
    links: list[tuple[str, Any]] = []

    def add(name: str | bytes, link: Any) -> bool | None:
        links.append((_said(name), link))
        return True if len(links) > MAX_NAMES else None

    if file.visititems_links(add):
        raise InputError(
            f"the file holds more than {MAX_NAMES:,} variables; write the study again with"
            " rnb.to_netcdf"
        )
    return links


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
    _check_size(name, dataset)


def _check_size(name: str, dataset: h5py.Dataset) -> None:
    """Refuse a variable of which a part would not fit in memory."""
    each, again = max(dataset.dtype.itemsize, 1), "write the study again with rnb.to_netcdf"
    if dataset.chunks is not None:
        chunk = math.prod(dataset.chunks) * each
        check_fits(chunk, f"one chunk of the variable {name}", again)
        _check_chunks(name, dataset, chunk, again)
    if dataset.ndim < 2:
        check_fits((dataset.size or 0) * each, f"the variable {name}", again)


def _check_chunks(name: str, dataset: h5py.Dataset, chunk: int, again: str) -> None:
    """Refuse chunks that deflate shrank so much that they would fill the memory."""
    limit = max(budget(), chunk)
    if dataset.compression != "gzip" or dataset.id.get_storage_size() * DEFLATE <= limit:
        return
    for i in range(dataset.id.get_num_chunks()):
        info = dataset.id.get_chunk_info(i)
        if info.size * DEFLATE > limit:
            _, stored = dataset.id.read_direct_chunk(info.chunk_offset)
            # A checksum of 4 bytes may follow the stream.
            size = inflated("zlib", stored, limit)
            check_fits(size or 0, f"a chunk of the variable {name}, decompressed,", again)


def _hdf5_refusal(name: str, why: str) -> InputError:
    return InputError(
        f"the variable {name} {why}, which is not read; allowed: what lies in the file itself,"
        " compressed by deflate; write the study again with rnb.to_netcdf"
    )
