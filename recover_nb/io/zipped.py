"""A small Dataset in one zipped Zarr: how what stands beside the study is written and read."""

import shutil
import zipfile
from pathlib import Path

import xarray as xr
from zarr.storage import ZipStore

from recover_nb.core.errors import InputError
from recover_nb.io import layout, store

SUFFIX = ".zarr.zip"


def write_zipped(ds: xr.Dataset, path: Path) -> None:
    """Write a Dataset as one zipped Zarr."""
    folder = path.with_name(path.name + ".d")
    try:
        store.write_folder(ds, folder)
        store.zip_folder(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_zipped(path: Path, command: str) -> xr.Dataset:
    """Return what `write_zipped` wrote.

    Raises
    ------
    InputError
        Nothing is there (`command` makes it), or it is no such file.
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
