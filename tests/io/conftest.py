"""One stored study, copied for every test that damages it."""

import shutil

import pytest
from tiny_study import tiny_study

from recover_nb.io import store


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory):
    """Return a stored study that no test changes: a copy takes a tenth of a write."""
    return store.save_study(tiny_study(), tmp_path_factory.mktemp("tiny") / "s.zarr")


@pytest.fixture
def saved(tiny_store, tmp_path):
    return shutil.copytree(tiny_store, tmp_path / "s.zarr")
