"""A companion that is no study: any Dataset as one zipped Zarr, read."""

import zipfile
from pathlib import Path

import xarray as xr
from zarr.storage import ZipStore

from recover_nb.core.errors import InputError
from recover_nb.io import layout, store

SUFFIX = ".zarr.zip"


def check_name(out: Path) -> None:
    """Refuse a name that is not that of a zipped Zarr."""
    if not out.name.endswith(SUFFIX) or out.name == SUFFIX:
        raise InputError(f"out is {str(out)!r}; allowed: a new file that ends in {SUFFIX}")


def read_zipped(path: Path, command: str) -> xr.Dataset:
    """Return what `store.write_zip` wrote, in memory; `command` is what makes such a file.

    Raises
    ------
    InputError
        Nothing is there, or it is no such file.
    """
    if not path.is_file():
        raise InputError(f"{path} is not there; make it with: {command} --out {path.name}")
    with store.reading(path):
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("File is not a zip file")
        layout.check_zip(path)
        with (
            ZipStore(path, mode="r") as archive,
            xr.open_zarr(archive, zarr_format=2, consolidated=True) as ds,
        ):
            return ds.load()
