"""Write and read studies: a Zarr folder, one zipped Zarr, or netCDF. Needs no torch.

Every writer fills a temporary sibling and moves it into place, so that a path holds a whole study
or nothing.
"""

import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from numcodecs import Blosc
from xarray.backends import BackendArray
from xarray.core import indexing

from recover_nb.core.errors import InputError, first_line
from recover_nb.core.extras import need
from recover_nb.core.places import check_free, placed
from recover_nb.core.schema import PROBLEM, ROLLOUT, TEXT, TOKEN, VARIABLES, SchemaError, validate
from recover_nb.core.shipped import data_folder
from recover_nb.io import layout

SUFFIXES = (".zarr", ".zarr.zip", ".nc")


BUNDLED = "study.zarr.zip"


#: Problems in one chunk of a variable with tokens: about 3 MB raw, a few hundredths of a second to
#: read.
CHUNK_PROBLEMS = 25


#: Number of files of a Zarr folder, kept beside its arrays: a missing chunk would otherwise read as
#: zeros.
COUNT_FILE = ".files"


# Format 2: format 3 has no standard for text and warns on it (zarr 3.1, xarray 2026.9; 2026-11-20).
_FORMAT = {"zarr_format": 2, "consolidated": True}


_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


_READ_ERRORS = (
    OSError,
    KeyError,
    ValueError,
    RuntimeError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
)


def _open_folder(path: Path, chunks: dict | str | None) -> xr.Dataset:
    if not path.is_dir():
        raise InputError(
            f"{path}: not a folder; a .zarr study is one (a zipped one ends in .zarr.zip)"
        )
    layout.check_folder(path)
    _check_count(path)
    return xr.open_zarr(path, chunks=chunks, **_FORMAT)


def _open_zip(path: Path, chunks: dict | str | None) -> xr.Dataset:
    # Asked first, because a store that fails to open complains once more when it is collected.
    if not zipfile.is_zipfile(path):
        raise zipfile.BadZipFile("File is not a zip file")
    layout.check_zip(path)
    store = zarr.storage.ZipStore(path, mode="r")
    try:
        ds = xr.open_zarr(store, chunks=chunks, **_FORMAT)
    except BaseException:
        store.close()
        raise
    ds.set_close(store.close)
    return ds


def _open_netcdf(path: Path, chunks: dict | str | None) -> xr.Dataset:
    layout.check_netcdf(path)
    return xr.open_dataset(path, engine="h5netcdf", chunks=chunks)


_OPENERS: dict[str, Callable[[Path, dict | str | None], xr.Dataset]] = {
    ".zarr": _open_folder,
    ".zarr.zip": _open_zip,
    ".nc": _open_netcdf,
}


def _write_folder(ds: xr.Dataset, path: Path) -> None:
    write_folder(ds, path)
    seal(path)


def _write_zip(ds: xr.Dataset, path: Path) -> None:
    folder = path.with_name(path.name + ".d")
    try:
        write_folder(ds, folder)
        zip_folder(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_netcdf(ds: xr.Dataset, path: Path) -> None:
    ds = ds.drop_encoding()
    numbers = [name for name in ds.variables if ds[name].dtype.kind in "iuf" and ds[name].ndim]
    ds.to_netcdf(
        path, engine="h5netcdf", encoding={name: {"zlib": True, "complevel": 4} for name in numbers}
    )


_WRITERS: dict[str, Callable[[xr.Dataset, Path], None]] = {
    ".zarr": _write_folder,
    ".zarr.zip": _write_zip,
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


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn every way in which a store can be unreadable into one sentence."""
    try:
        yield
    except SchemaError as error:
        if str(error).startswith(str(path)):
            raise
        raise SchemaError(f"{path}: {error}") from error
    except InputError:
        raise
    except _READ_ERRORS as error:
        reason = first_line(error)
        raise InputError(
            f"{path}: the study cannot be read, it is truncated or corrupt ({reason}); copy it"
            " again, or generate it again with recover-nb run"
        ) from error


def open_study(
    path: str | Path, *, load: bool = False, chunks: "dict | str | None" = None
) -> xr.Dataset:
    """Open a study.

    Parameters
    ----------
    path : path or URL
        A ``.zarr`` folder, a ``.zarr.zip`` or a ``.nc`` file; a URL that fsspec understands ends in
        ``.zarr``.
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
        Another suffix, nothing there, a run that is not finished, a truncated or corrupt store.
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
        if not path.exists():
            raise InputError(_absent(path))
    with reading(path):
        ds = opener(path, chunks)
        try:
            ds = _sourced(_plain_text(ds), path)
            if load:
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


class _Text(BackendArray):
    """Text that is read when it is used, and then is an object array like all other text.

    It is one chunk of few different words: kept as numbers, so that a problem's own are there at
    once when the next problem is looked at.
    """

    def __init__(self, stored: xr.Variable) -> None:
        self.stored, self.shape, self.dtype = stored, stored.shape, np.dtype(object)
        self._kept: tuple[xr.Variable, np.ndarray] | None = None

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        support = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        if self._kept is None:
            codes, words = pd.factorize(self.stored.values.astype(object).ravel())
            small = codes.astype(np.min_scalar_type(max(len(words) - 1, 0))).reshape(self.shape)
            self._kept = xr.Variable(self.stored.dims, small), words
        codes, words = self._kept
        return words[codes[key].values]


def _plain_text(ds: xr.Dataset) -> xr.Dataset:
    """Make object arrays of text; that of rollouts, of which there is much, when it is used.

    Numpy's variable-width strings, as zarr gives them, lack most conversions.
    """
    found = [name for name, variable in ds.variables.items() if variable.dtype.kind == "T"]
    close = ds._close
    plain = {name: _as_objects(ds[name].variable) for name in found}
    coords = {name: plain.pop(name) for name in found if name in ds.coords}
    ds = ds.assign(plain).assign_coords(coords)
    ds.set_close(close)
    return ds


def _as_objects(stored: xr.Variable) -> xr.Variable:
    if ROLLOUT not in stored.dims:
        return xr.Variable(stored.dims, stored.values.astype(object), stored.attrs)
    if stored.chunks is not None:
        return stored.astype(object)
    return xr.Variable(stored.dims, indexing.LazilyIndexedArray(_Text(stored)), stored.attrs)


def _sourced(ds: xr.Dataset, path: Path | str) -> xr.Dataset:
    """Note on every variable where it is read from.

    Derived datasets keep the note, so their store is not replaced.
    """
    for variable in ds.variables.values():
        variable.encoding["source"] = str(path)
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
        found = zarr.storage.FsspecStore.from_url(url, read_only=True)
    except ImportError as error:
        raise InputError(f"{url} cannot be used: {error}") from None
    return xr.open_zarr(layout.Checked(found), chunks=chunks, **_FORMAT)


def _check_count(path: Path) -> None:
    """Refuse a folder that has lost files. One written by other means has no count, and passes."""
    stored = path / COUNT_FILE
    if stored.is_file():
        expected, found = int(stored.read_text()), _count_files(path)
        if found < expected:
            raise OSError(f"{found} of {expected} files are there")


def _count_files(path: Path) -> int:
    return sum(each.is_file() for each in path.rglob("*")) - (path / COUNT_FILE).is_file()


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
    SchemaError
        If `ds` is not a study.
    """
    path = Path(path)
    writer = _WRITERS[suffix_of(path)]
    check_free(path, replace=replace, source=ds)
    validate(ds)
    with placed(path, replace=replace, source=ds) as temporary:
        writer(ds, temporary)
    return path


def save_zip(ds: xr.Dataset, path: str | Path, *, replace: bool = False) -> Path:
    """Write a study as one zipped Zarr; see `save_study`."""
    if suffix_of(path) != ".zarr.zip":
        raise InputError(f"{path}: a zipped study ends in .zarr.zip")
    return save_study(ds, path, replace=replace)


def write_folder(ds: xr.Dataset, path: Path) -> None:
    """Write `ds` as a compressed Zarr folder, without moving it into place."""
    ds = ds.drop_encoding()
    with zarr.config.set({"array.write_empty_chunks": True}):
        ds.to_zarr(path, mode="w", encoding=encodings(ds), **_FORMAT)


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


def seal(path: Path) -> None:
    """Count the files of a finished Zarr folder, so that a lost one is noticed."""
    (path / COUNT_FILE).write_text(str(_count_files(path)))


def zip_folder(folder: Path, path: Path) -> None:
    """Pack a Zarr folder into one file; its chunks are compressed already."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for each in sorted(folder.rglob("*")):
            if each.is_file() and each.name != COUNT_FILE:
                archive.write(each, each.relative_to(folder).as_posix())


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
