"""A study as one netCDF file, for programs that read no Zarr."""

from os import PathLike
from pathlib import Path

import xarray as xr

from recover_nb.errors import InputError
from recover_nb.study.store import save_study, suffix_of


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
