"""What people do to a study without losing anything, undone: order, indexes, types, chunks.

Xarray makes floats of whole numbers where it masks them, text of variable width where it reads
Zarr, an index where one is asked for. The study is the same, and here it looks the same again.
"""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.schema import (
    COORDS,
    FEATURE,
    INTERVENTION,
    PROBLEM,
    ROLE,
    ROLLOUT,
    TEXT,
    TOKEN,
    VARIABLES,
    SchemaError,
    Variable,
    names,
)

#: Variables that are coordinates, whatever a Dataset has made of them.
_COORDS = (*COORDS, "cell", "model", INTERVENTION, FEATURE, ROLE)


def mended(ds: xr.Dataset) -> xr.Dataset:
    """Return a new Dataset as the schema has it; what cannot be mended is left for the checks.

    Raises
    ------
    SchemaError
        A value that no type of its variable can hold.
    """
    ds = _without_indexes(ds.copy(deep=False))
    ds = ds.set_coords([name for name in _COORDS if name in ds.data_vars])
    ds = _plain_names(ds)
    changed = {}
    for name, variable in VARIABLES.items():
        if name in ds.data_vars:
            array = _as_stored(ds[name], variable)
            if array is not ds[name].variable:
                changed[name] = array
    return ds.assign(changed) if changed else ds


def _without_indexes(ds: xr.Dataset) -> xr.Dataset:
    """Take labels off problems, rollouts and tokens: they are told by their places."""
    for dim in (PROBLEM, ROLLOUT, TOKEN):
        if dim not in ds.coords:
            continue
        index = ds.indexes.get(dim)
        if isinstance(index, pd.MultiIndex):
            ds = ds.reset_index(dim)
        elif index is not None and not index.is_unique and dim != PROBLEM:
            twice = index[index.duplicated()][0]
            raise SchemaError(
                f"{dim} {twice!r} occurs twice along {dim!r}; each may occur once: leave one out"
                f" with ds.isel({dim}=...), or the labels with ds.drop_vars({dim!r})"
            )
        if dim in ds.coords:
            ds = ds.drop_vars(dim)
    levels = [name for name in COORDS if name in ds.indexes]
    return ds.reset_index(levels).set_coords(levels) if levels else ds


def _plain_names(ds: xr.Dataset) -> xr.Dataset:
    """Make object arrays of the text of coordinates, and an index of names along a dimension."""
    for name in _COORDS:
        if name not in ds.coords:
            continue
        array = ds.coords[name]
        plain = array.dtype.kind == "O" and array.chunks is None
        if not plain or not all(isinstance(each, str) for each in array.values.ravel()):
            names = _names(name, array)
            ds = ds.assign_coords({name: (array.dims, names, array.attrs)})
        if array.dims == (name,) and name not in ds.indexes:
            ds = ds.set_xindex(name)
    return ds


def _names(name: str, array: xr.DataArray) -> np.ndarray:
    if array.dtype.kind == "S":
        return np.char.decode(array.values, "utf-8", "replace").astype(object)
    if name in (INTERVENTION, FEATURE) and array.dtype.kind in "iufb":
        raise SchemaError(f"coordinate {name!r} holds numbers; it must hold names")
    return names(array)


def _as_stored(array: xr.DataArray, wanted: Variable) -> xr.Variable:
    """Return a variable in the order and type of the schema; the same object where it is so."""
    found = array.variable
    if found.dims != wanted.dims and set(found.dims) == set(wanted.dims):
        found = found.transpose(*wanted.dims)
    if TOKEN not in found.dims and found.chunks is not None:
        found = found.compute()
    if wanted.dtype == TEXT:
        return _as_text(found, wanted)
    if found.dtype == np.dtype(wanted.dtype) or not found.size:
        return found
    if TOKEN in found.dims and np.dtype(wanted.dtype).kind == found.dtype.kind == "f":
        # Wider is as good to compute with, and long.
        return found if found.dtype.itemsize >= 4 else found.astype(wanted.dtype)
    values = _as_number(found.values, wanted)
    return xr.Variable(found.dims, values, found.attrs, found.encoding)


def _as_text(found: xr.Variable, wanted: Variable) -> xr.Variable:
    if found.dtype.kind == "O" and not found._in_memory:
        return found  # As it is stored, and read when it is used.
    values = found.values.astype(object)
    words = pd.unique(values.ravel())
    if found.dtype.kind == "O" and all(isinstance(each, str) for each in words):
        return found
    if any(isinstance(each, bytes) for each in words):
        values = _each(values, lambda x: x.decode("utf-8", "replace"), bytes)
    none = pd.isna(values)
    wrong = [each for each in pd.unique(values[~none]) if not isinstance(each, str)]
    if wrong and found.size:
        raise SchemaError(
            f"variable {wanted.name!r} holds {wrong[0]!r}, a {type(wrong[0]).__name__}; it must"
            " hold text"
        )
    fill: Any = wanted.fill
    return xr.Variable(found.dims, np.where(none, fill, values), found.attrs)


def _each(values: np.ndarray, change: Any, kind: type) -> np.ndarray:
    changed = [change(each) if isinstance(each, kind) else each for each in values.ravel()]
    out = np.empty(len(changed), object)
    out[:] = changed
    return out.reshape(values.shape)


def _as_number(values: np.ndarray, wanted: Variable) -> np.ndarray:
    """Return numbers in the type of the schema, NaN as the code for nothing, without any loss."""
    dtype = np.dtype(wanted.dtype)
    if values.dtype.kind not in "biuf":
        values = _floats(values, wanted)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    fits = np.ones(values.shape, bool)
    if values.dtype.kind == "f":
        fill: Any = wanted.fill
        values = np.where(np.isnan(values), fill, values)
        fits = np.isfinite(values) & (values == np.round(values))
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    fits &= (values >= least) & (values <= most)
    if not fits.all():
        place = np.unravel_index(int(np.argmin(fits)), fits.shape)
        where = ", ".join(f"{dim} {i}" for dim, i in zip(wanted.dims, place, strict=True))
        raise SchemaError(
            f"variable {wanted.name!r} is {values[place]} at {where}; allowed: whole numbers"
            f" ({wanted.meaning})"
        )
    return values.astype(dtype)


def _floats(values: np.ndarray, wanted: Variable) -> np.ndarray:
    """Return numbers that are kept as objects as floats; None is NaN."""
    some = values.ravel()
    if values.dtype.kind == "O" and all(
        each is None or isinstance(each, bool | int | float | np.bool_ | np.number) for each in some
    ):
        return values.astype(float)
    kind = values.dtype.name if values.dtype.kind != "O" else "object"
    raise SchemaError(
        f"variable {wanted.name!r} has dtype {kind} and not numbers alone; it must be"
        f" {wanted.dtype} ({wanted.meaning})"
    )
