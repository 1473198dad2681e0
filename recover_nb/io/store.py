"""Write and read studies: a Zarr folder, one zipped Zarr, or netCDF. Needs no torch.

Every writer fills a temporary sibling and moves it into place, so that a path holds a whole study
or nothing.
"""

import json
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numcodecs import Blosc
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, ZipStore

from recover_nb.core import checks
from recover_nb.core.door import admit, takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.files import NOTHING, check_readable, kind_of
from recover_nb.core.memory import check_fits
from recover_nb.core.places import check_free, placed, remove_folder
from recover_nb.core.schema import PROBLEM, TEXT, TOKEN, VARIABLES
from recover_nb.core.shipped import data_folder
from recover_nb.core.validation import validate
from recover_nb.io import layout
from recover_nb.io.guarded import LESS, guard, reading
from recover_nb.io.hdf5 import check_netcdf
from recover_nb.io.holding import check_held, in_memory
from recover_nb.io.sealing import MANIFEST, manifest_of, seal, write_sealed, zip_folder
from recover_nb.io.zarr_metadata import METADATA, NODE
from recover_nb.routing.derive import counted

SUFFIXES = (".zarr", ".zarr.zip", ".nc")


BUNDLED = "study.zarr.zip"


#: Problems in one chunk of a variable with tokens: about 3 MB raw, a few hundredths of a second to
#: read.
CHUNK_PROBLEMS = 25


# Format 2: format 3 has no standard for text and warns on it (zarr 3.1, xarray 2026.9; 2026-11-20).
_FORMAT = {"zarr_format": 2, "consolidated": True}


_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


#: Bytes of a study to one that it takes on disk, at most (the bundled one has 160): so much room
#: has to be there before it is written.
SHRUNK = 400


def _open_folder(path: Path, chunks: dict | str | None) -> xr.Dataset:
    if not path.is_dir():
        raise InputError(
            f"{path}: not a folder; a .zarr study is one (a zipped one ends in .zarr.zip)"
        )
    manifest = layout.check_folder(path)
    stored = layout.Checked(LocalStore(path, read_only=True), path, manifest)
    newer = (path / NODE).is_file() and not (path / ".zgroup").is_file()
    return _open_zarr(stored, chunks, 3 if newer else 2)


def _open_zip(path: Path, chunks: dict | str | None) -> xr.Dataset:
    _check_file(path)
    # Asked first, because a store that fails to open complains once more when it is collected.
    if not zipfile.is_zipfile(path):
        raise zipfile.BadZipFile("File is not a zip file")
    manifest, newer = layout.check_zip(path)
    archive = ZipStore(path, mode="r")
    try:
        ds = _open_zarr(layout.Checked(archive, path, manifest), chunks, 3 if newer else 2)
    except BaseException:
        archive.close()
        raise
    ds.set_close(archive.close)
    return ds


def _open_zarr(stored: layout.Checked, chunks: Any, form: int) -> xr.Dataset:
    """Open a store of format 2 or 3; one of format 3 need not list its arrays in one place."""
    listed = True
    if form == 3:
        root = json.loads(_get(stored, NODE) or b"{}")
        listed = root.get("consolidated_metadata") is not None
    elif _get(stored, METADATA) is None:
        raise InputError(
            f"{stored.place}: it has no {METADATA}, so it is not finished; go on with what wrote"
            " it, or list what is there with zarr.consolidate_metadata"
        )
    return xr.open_zarr(stored, chunks=chunks, zarr_format=form, consolidated=listed)


def _get(stored: Any, key: str) -> bytes | None:
    """Return a file of a store; None if it is not there."""

    async def get() -> bytes | None:
        await stored._ensure_open()
        found = await stored.get(key, default_buffer_prototype())
        return None if found is None else found.to_bytes()

    return sync(get())


def _open_netcdf(path: Path, chunks: dict | str | None) -> xr.Dataset:
    _check_file(path)
    check_netcdf(path)
    return xr.open_dataset(path, engine="h5netcdf", chunks=chunks)


def _check_file(path: Path) -> None:
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no regular file"
        raise InputError(
            f"{path}: it is {what}; allowed: a file (a folder is a study if it ends in .zarr)"
        )


_OPENERS: dict[str, Callable[[Path, dict | str | None], xr.Dataset]] = {
    ".zarr": _open_folder,
    ".zarr.zip": _open_zip,
    ".nc": _open_netcdf,
}


def _write_folder(ds: xr.Dataset, path: Path) -> None:
    write_folder(ds, path)
    seal(path)


def write_zip(ds: xr.Dataset, path: Path) -> None:
    """Write `ds` as one zipped Zarr, without moving it into place."""
    folder = path.with_name(path.name + ".d")
    try:
        write_folder(ds, folder)
        zip_folder(folder, path)
    finally:
        with suppress(OSError):
            remove_folder(folder)


def _write_netcdf(ds: xr.Dataset, path: Path) -> None:
    ds = ds.drop_encoding()
    form = {"zlib": True, "complevel": 4, "fletcher32": True}
    numbers = [
        name
        for name in ds.variables
        if ds[name].dtype.kind in "iuf" and ds[name].size and ds[name].ndim
    ]
    # In memory first: the library of HDF5 ends the process when a disk is full.
    made = ds.to_netcdf(engine="h5netcdf", encoding=dict.fromkeys(numbers, form))
    write_sealed(path, made)


_WRITERS: dict[str, Callable[[xr.Dataset, Path], None]] = {
    ".zarr": _write_folder,
    ".zarr.zip": write_zip,
    ".nc": _write_netcdf,
}


def suffix_of(path: str | Path) -> str:
    """Return which of `SUFFIXES` a path ends in.

    Raises
    ------
    InputError
        For any other ending.
    """
    name = Path(path).name
    found = [suffix for suffix in SUFFIXES if name.endswith(suffix) and name != suffix]
    if not found:
        raise InputError(f"{path}: a study ends in {', '.join(SUFFIXES)}")
    return found[-1]


def place_of(path: str | Path) -> Path | str:
    """Return a local path as a Path (``file://`` taken off), and any other URL as it is.

    A URL is what fsspec understands, such as ``s3://bucket/study.zarr``; its driver is the user's
    to install.
    """
    if isinstance(path, str) and _URL.match(path):
        return (
            Path(path.removeprefix("file://")) if path.startswith("file://") else path.rstrip("/")
        )
    return Path(path)


def partial_folder(path: str | Path) -> Path:
    """Return where an unfinished run keeps its blocks: beside the study it will become."""
    path = Path(path)
    return path.with_name(path.name + ".partial")


@checks.takes(path=checks.PATH, load=checks.FLAG)
def open_study(
    path: str | Path, *, load: bool = False, chunks: "dict | str | None" = None
) -> xr.Dataset:
    """Open a study.

    Parameters
    ----------
    path : path or URL
        A ``.zarr`` folder, a ``.zarr.zip`` or a ``.nc`` file; a URL that fsspec understands ends in
        ``.zarr``. Zarr of format 2, as this package writes it, or 3, as ``Dataset.to_zarr`` does.
    load : bool
        Read everything into memory, check every token, and close the file. Otherwise variables are
        read when used.
    chunks : dict or "auto", optional
        Make variables dask arrays of these chunks (``{}``: those on disk). Needs the extra
        ``cluster``.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        Another suffix, nothing there, a run that is not finished; a store that is truncated or
        damaged (the file is named), or needs more memory than half of what is free. Variables that
        are read later raise it then.
    SchemaError
        What is stored is not a study of this schema version.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.open_study(rnb.example_folder() / "own_study.zarr.zip", load=True)
    >>> dict(ds["correct"].sizes)
    {'problem': 24, 'rollout': 20, 'intervention': 6}
    """
    path, suffix = place_of(path), suffix_of(path)
    if chunks is not None:
        need("dask.array", "cluster", "opening a study in chunks")
    if isinstance(path, str):
        opener = _open_url
        if suffix != ".zarr":
            raise InputError(f"{path}: a study at a URL ends in .zarr; copy it here first")
    else:
        opener = _OPENERS[suffix]
        if kind_of(path) == NOTHING:
            raise InputError(_absent(path))
        check_readable(path)
    with reading(path):
        ds = opener(path, {} if chunks == "auto" else chunks)
        try:
            ds = guard(ds, str(path))
            if chunks == "auto":
                ds = _numbers_rechunked(ds)
            if load:
                check_fits(ds.nbytes, f"{path}: the study", LESS)
                ds.load()
            validate(ds, deep=load)
        except BaseException:
            ds.close()
            raise
    if load:
        ds.close()
    return ds


def load_study() -> xr.Dataset:
    """Open the bundled study of the miniature lineage. Variables are read when used.

    Raises
    ------
    InputError
        If the installation is incomplete.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study()
    >>> ds.sizes["problem"], sorted(set(ds["method"].values.tolist()))
    (2700, ['grpo', 'self_distill', 'sft'])
    >>> round(float(ds["rescue_rate"].sel(intervention="retry").mean()), 2)
    0.49
    """
    return open_study(data_folder() / BUNDLED)


def _numbers_rechunked(ds: xr.Dataset) -> xr.Dataset:
    """Cut numbers as dask thinks best; text, whose size it cannot tell, stays as it is stored."""
    close = ds._close
    made = {
        name: each.variable.chunk("auto")
        for name, each in ds.data_vars.items()
        if each.chunks is not None and each.dtype.kind != "O"
    }
    ds = ds.assign(made)
    ds.set_close(close)
    return ds


def _absent(path: Path) -> str:
    partial = partial_folder(path)
    if partial.is_dir():
        done = len(list(partial.glob("block_*.npz")))
        return (
            f"{path}: the run is not finished ({done} blocks are done); go on with recover-nb run"
            " --resume"
        )
    return f"{path}: no such file; give a study that ends in {', '.join(SUFFIXES)}"


def _open_url(url: str, chunks: dict | str | None) -> xr.Dataset:
    need("fsspec", "cluster", "opening a URL")
    try:
        found = FsspecStore.from_url(url, read_only=True)
    except ImportError as error:
        raise InputError(f"{url} cannot be used: {error}") from None
    stored = layout.Checked(found, url)
    stored.manifest = manifest_of(url, _get(stored, MANIFEST))
    newer = _get(stored, ".zgroup") is None and _get(stored, NODE) is not None
    return _open_zarr(stored, chunks, 3 if newer else 2)


@checks.takes(path=checks.PATH, replace=checks.FLAG)
def save_study(ds: xr.Dataset, path: str | Path, *, replace: bool = False) -> Path:
    """Write a study, in the form that the suffix of `path` says, after checking all of it.

    Parameters
    ----------
    ds : Dataset
    path : path
        Ends in ``.zarr``, ``.zarr.zip`` or ``.nc``.
    replace : bool
        Whether an existing file, or ``.zarr`` folder of a study, may be replaced. No other folder
        is, no link, and not the store that `ds` still reads from.

    Raises
    ------
    InputError
        Another suffix, an existing path that may not be replaced, or a folder that cannot be
        written.
        A name, type, text or attribute that the format does not give back as it is.
    SchemaError
        If `ds` is not a study.
    """
    path = Path(path)
    suffix = suffix_of(path)
    writer = _WRITERS[suffix]
    ds = admit(ds)
    check_free(path, replace=replace, source=ds, room=ds.nbytes // SHRUNK)
    ds = in_memory(validate(counted(ds)))
    netcdf = suffix == ".nc"
    check_held(ds, "netCDF" if netcdf else "Zarr", nul=not netcdf, netcdf=netcdf)
    with placed(path, replace=replace, source=ds) as temporary:
        writer(ds, temporary)
    return path


@takes_study()
@checks.takes(path=checks.PATH, replace=checks.FLAG)
def save_zip(ds: xr.Dataset, path: str | Path, *, replace: bool = False) -> Path:
    """Write a study as one zipped Zarr; see `save_study`."""
    if suffix_of(path) != ".zarr.zip":
        raise InputError(f"{path}: a zipped study ends in .zarr.zip")
    return save_study(ds, path, replace=replace)


def write_folder(ds: xr.Dataset, path: Path) -> None:
    """Write `ds` as a compressed Zarr folder, without moving it into place."""
    ds = ds.drop_encoding()
    encoding = encodings(ds)
    with zarr.config.set({"array.write_empty_chunks": True}):
        _in_chunks(ds, encoding).to_zarr(path, mode="w", encoding=encoding, **_FORMAT)


def _in_chunks(ds: xr.Dataset, encoding: dict[str, dict]) -> xr.Dataset:
    """Return the study with its dask variables in the chunks that are stored, whatever theirs."""
    found = {}
    for name, variable in ds.variables.items():
        chunks = encoding[str(name)].get("chunks")
        if variable.chunks is not None and chunks is not None:
            found[name] = variable.chunk(dict(zip(variable.dims, chunks, strict=True)))
    coords = {name: found.pop(name) for name in list(found) if name in ds.coords}
    return ds.assign(found).assign_coords(coords)


def write_frame(ds: xr.Dataset, place: Path | str) -> None:
    """Write all of `ds`, but only shape and chunks of its dask variables.

    `write_tokens` fills them.

    The store at a path or URL cannot be opened as a study before `consolidate`.
    """
    ds = ds.drop_encoding()
    form = {**_FORMAT, "consolidated": False}
    with zarr.config.set({"array.write_empty_chunks": True}):
        ds.to_zarr(place, mode="w", encoding=encodings(ds), compute=False, **form)


def consolidate(place: Path | str) -> None:
    """Make a store that `write_frame` began readable, by what is read first and written last."""
    zarr.consolidate_metadata(place, zarr_format=2)


def encodings(ds: xr.Dataset) -> dict[str, dict]:
    """Return chunks and compression of every variable.

    Variables with tokens are cut every `CHUNK_PROBLEMS` problems; the others are one chunk each.
    Shuffling bytes helps small whole numbers, shuffling bits helps rounded floats.
    """
    encoding = {}
    for name, variable in ds.variables.items():
        known = VARIABLES.get(str(name))
        is_text = variable.dtype.kind in "OUT" or (known is not None and known.dtype == TEXT)
        shuffle = Blosc.BITSHUFFLE if variable.dtype.kind == "f" else Blosc.SHUFFLE
        codec = Blosc(cname="zstd", clevel=5, shuffle=Blosc.NOSHUFFLE if is_text else shuffle)
        encoding[name] = {"compressors": (codec,)}
        if variable.ndim and variable.size:
            chunks = list(variable.shape)
            if TOKEN in variable.dims and PROBLEM in variable.dims:
                chunks[variable.dims.index(PROBLEM)] = min(
                    CHUNK_PROBLEMS, chunks[variable.dims.index(PROBLEM)]
                )
            encoding[name]["chunks"] = tuple(chunks)
    return encoding


def write_tokens(path: Path | str, start: int, arrays: dict[str, np.ndarray]) -> None:
    """Fill problems `start` onwards of variables in an existing Zarr folder, or at a URL."""
    group = zarr.open_group(path, mode="r+", zarr_format=2, use_consolidated=False)
    with zarr.config.set({"array.write_empty_chunks": True}):
        for name, values in arrays.items():
            group[name][start : start + len(values)] = values


@takes_study()
@checks.takes(path=checks.PATH, replace=checks.FLAG)
def to_netcdf(ds: xr.Dataset, path: str | PathLike, *, replace: bool = False) -> Path:
    """Write a study as netCDF; `open_study` reads it back.

    Parameters
    ----------
    ds : Dataset
    path : path
        Ends in ``.nc``.
    replace : bool
        Whether an existing file may be replaced, unless `ds` still reads from it.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        Another suffix, an existing path, or a folder that cannot be written.
    SchemaError
        If `ds` is not a study.
    """
    if suffix_of(path) != ".nc":
        raise InputError(f"{path}: a netCDF study ends in .nc")
    return save_study(ds, path, replace=replace)
