"""An unfinished run on disk: what was asked, and one file a finished block. Needs no torch."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from recover_nb.errors import InputError
from recover_nb.schema import TEXT, VARIABLES
from recover_nb.study.store import partial_folder

RUN_FILE = "run.json"
LOCK_FILE = "lock"


class Staging:
    """The folder ``STUDY.zarr.partial`` of an unfinished run.

    A block is there whole or not at all: it is written to a temporary file, flushed to disk and renamed. So a kill at
    any moment costs the block in hand, and nothing else.

    Parameters
    ----------
    out : Path
        The study it will become.
    """

    def __init__(self, out: Path) -> None:
        self.folder = partial_folder(out)

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.folder / RUN_FILE).is_file()

    def begin(self, run: dict[str, Any]) -> None:
        """Start a new run: `run` is what `read_run` returns from now on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._replace(RUN_FILE, json.dumps(run, sort_keys=True, indent=1).encode())

    def read_run(self) -> dict[str, Any]:
        """Return what `begin` was given."""
        try:
            return json.loads((self.folder / RUN_FILE).read_text())
        except ValueError as error:
            reason = f"{self.folder / RUN_FILE} is corrupt ({error})"
            raise InputError(f"{reason}; remove {self.folder} and start anew") from error

    def has(self, block: int) -> bool:
        """Whether a block is done."""
        return self._block(block).is_file()

    def write(self, block: int, arrays: dict[str, np.ndarray]) -> None:
        """Store a block."""
        # Pickled objects are no way to keep data: text goes in at fixed width.
        plain = {name: each.astype(str) if each.dtype == object else each for name, each in arrays.items()}
        temporary = self._block(block).with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez_compressed(file, **plain)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._block(block))

    def read(self, block: int) -> dict[str, np.ndarray]:
        """Return a block as it was given to `write`."""
        with np.load(self._block(block)) as stored:
            arrays = {name: stored[name] for name in stored.files}
        for name, each in arrays.items():
            if name not in VARIABLES or VARIABLES[name].dtype == TEXT:
                arrays[name] = each.astype(object)
        return arrays

    def remove(self) -> None:
        """Forget the run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process alone; the lock dies with the process.

        Raises
        ------
        InputError
            If another process holds it, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / LOCK_FILE).open("w")
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written: {error.strerror}; choose another --out") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                reason = f"{self.folder} is in use by another run"
                raise InputError(f"{reason}; wait for it, or choose another --out") from None
            yield

    def _block(self, block: int) -> Path:
        return self.folder / f"block_{block:05d}.npz"

    def _replace(self, name: str, content: bytes) -> None:
        temporary = self.folder / (name + ".tmp")
        temporary.write_bytes(content)
        os.replace(temporary, self.folder / name)
