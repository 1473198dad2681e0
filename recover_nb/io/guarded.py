"""Variables that are read when they are used: then, too, what is damaged or too large is told."""

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from recover_nb.core.errors import InputError, first_line
from recover_nb.core.memory import check_fits
from recover_nb.core.schema import ROLLOUT, SchemaError
from recover_nb.io.layout import unreadable
from recover_nb.io.sealing import REMEDY

#: What the libraries below raise at bytes that are not what they expect.
READ_ERRORS = (
    OSError,
    LookupError,
    ValueError,
    RuntimeError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)
#: Of a variable that does not fit.
LESS = "take fewer problems with isel(problem=...), or open the study with chunks={}"


@contextmanager
def reading(path: str | Path, what: str = "the study") -> Iterator[None]:
    """Turn every way in which a store can be unreadable into one sentence."""
    try:
        yield
    except SchemaError as error:
        if str(error).startswith(str(path)):
            raise
        raise SchemaError(f"{path}: {error}") from error
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error
    except MemoryError as error:
        raise InputError(f"{path}: {what} needs more memory than is free; {LESS}") from error
    except READ_ERRORS as error:
        # The system says what is wrong with the disk; without a number it is the content.
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(path, error) from error
        why = first_line(error)[:200]
        raise InputError(
            f"{path}: {what} cannot be read, it is truncated or corrupt ({why}); {REMEDY}"
        ) from error


class _Guarded(BackendArray):
    """What is stored, read through `reading`, and held against the free memory first."""

    def __init__(self, stored: xr.Variable, name: str, place: str) -> None:
        self.stored, self.shape, self.dtype = stored, stored.shape, stored.dtype
        self.name, self.place = name, place

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        support = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        with reading(self.place, f"the variable {self.name}"):
            chosen = self.stored[key]
            needed = math.prod(chosen.shape) * chosen.dtype.itemsize
            check_fits(needed, f"{self.place}: the variable {self.name}", LESS)
            return chosen.values


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


def guard(ds: xr.Dataset, place: str) -> xr.Dataset:
    """Guard all variables of a dataset that are yet to be read from `place`, a path or URL.

    Those that are dask arrays are read by dask. Text becomes object arrays: numpy's variable-width
    strings, as zarr gives them, lack most conversions. Every variable notes where it is read from;
    derived datasets keep the note, so their store is not replaced.
    """
    close = ds._close
    made = {name: _guarded(str(name), ds[name].variable, place) for name in ds.variables}
    found = {name: each for name, each in made.items() if each is not None}
    coords = {name: found.pop(name) for name in list(found) if name in ds.coords}
    ds = ds.assign(found).assign_coords(coords)
    ds.set_close(close)
    for variable in ds.variables.values():
        variable.encoding["source"] = place
    return ds


def _guarded(name: str, stored: xr.Variable, place: str) -> xr.Variable | None:
    """Return what takes the place of a variable; None if it stays as it is."""
    is_text = stored.dtype.kind == "T"
    if stored.chunks is not None:
        return stored.astype(object) if is_text else None
    made = stored
    if not stored._in_memory:
        lazy = indexing.LazilyIndexedArray(_Guarded(stored, name, place))
        kept = indexing.MemoryCachedArray(indexing.CopyOnWriteArray(lazy))  # pyright: ignore[reportArgumentType]
        made = xr.Variable(stored.dims, kept, stored.attrs, stored.encoding)
    if not is_text:
        return None if made is stored else made
    if ROLLOUT in stored.dims:
        text = indexing.LazilyIndexedArray(_Text(made))
        return xr.Variable(stored.dims, text, stored.attrs)
    return xr.Variable(stored.dims, made.values.astype(object), stored.attrs)
