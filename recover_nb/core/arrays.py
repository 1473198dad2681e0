"""Arrays that a function takes beside whole studies, checked before anything is computed."""

from contextlib import suppress
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.schema import FEATURE, INTERVENTION


def labelled_array(value: Any, name: str) -> xr.DataArray:
    """Return a DataArray, or raise an `InputError` that says where one is."""
    if not isinstance(value, xr.DataArray):
        raise InputError(
            f"{name} must be a DataArray, not a {type(value).__name__}; give ds[{name!r}] of a"
            " study"
        )
    for dim in (INTERVENTION, FEATURE):
        index = value.indexes.get(dim)
        if index is not None and not index.is_unique:
            raise InputError(
                f"{dim} {index[index.duplicated()][0]!r} occurs twice in {name}; each may occur"
                f" once: leave one out with .isel({dim}=...)"
            )
    return value


def floats(value: Any, name: str) -> np.ndarray:
    """Return numbers as a float array, or raise an `InputError` for anything else."""
    found = None
    if not isinstance(value, xr.Dataset | str | bytes | dict) and value is not None:
        with suppress(TypeError, ValueError):
            found = np.asarray(value)
    if found is None or found.dtype.kind not in "biufO":
        given = type(value).__name__ if found is None or not found.ndim else f"{found.dtype} array"
        raise InputError(
            f"{name} must be an array of numbers, not a {given}; give ds[{name!r}] of a study"
        )
    try:
        return found.astype(float)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be an array of numbers, and some are none") from None
