"""An unfinished run on disk: what was asked, and one file per finished block. Needs no torch."""

import fcntl
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.core.schema import TEXT, TOKEN, VARIABLES
from recover_nb.io.store import partial_folder

RUN_FILE = "run.json"
LOCK_FILE = "lock"
#: The Zarr folder that becomes the study, inside the staging folder: a kill leaves no other trace
#: than that.
WHOLE = "whole"

#: Names that a run gives. A folder with any other is somebody else's: nothing in it is touched.
_OWN = re.compile(
    r"run\.json|lock|block_\d{5,}\.npz"
    r"|(run\.json|block_\d{5,}\.npz)\.[0-9a-f]{8}\.tmp|whole(\.zip)?"
)
_BLOCK = re.compile(r"block_\d{5,}\.npz")


def block_file(block: int) -> str:
    """Return the name of a finished block."""
    return f"block_{block:05d}.npz"


def has_tokens(name: str) -> bool:
    """Whether a variable is too large to hold for a whole study."""
    return name in VARIABLES and TOKEN in VARIABLES[name].dims


class Staging:
    """The folder ``STUDY.zarr.partial`` of an unfinished run.

    A block is there whole or not at all: it is written to a temporary file of its own name, flushed
    to disk and renamed. So a kill at any moment costs the block in hand, and two workers at the
    same block do not meet.

    Parameters
    ----------
    out : Path
        The study it will become.
    """

    def __init__(self, out: Path) -> None:
        self.folder = partial_folder(out)

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self._is_there(RUN_FILE)

    def started(self) -> bool:
        """Return whether any block is done.

        A run without one holds no work, and any other may take its place.
        """
        return any(_BLOCK.fullmatch(name) for name in self._names())

    def check(self) -> None:
        """Refuse a folder that no run has made, before anything in it is touched.

        Raises
        ------
        InputError
            Naming what a run does not make.
        """
        strange = next((name for name in self._names() if not _OWN.fullmatch(name)), None)
        if strange is not None or self._is_link():
            what = "is a link" if strange is None else f"holds {strange}, which no run has made"
            raise InputError(
                f"{self.folder} {what}, so it is left alone; choose another --out, or move it away"
            )

    def begin(self, run: dict[str, Any]) -> None:
        """Start a new run: `run` is what `read_run` returns from now on."""
        self._make()
        with self._writing(RUN_FILE) as file:
            file.write(json.dumps(run, sort_keys=True, indent=1).encode())

    def read_run(self) -> dict[str, Any]:
        """Return what `begin` was given."""
        try:
            with self._reading(RUN_FILE) as file:
                return json.loads(file.read())
        except ValueError as error:
            reason = f"{self.folder}/{RUN_FILE} is corrupt ({error})"
            raise InputError(f"{reason}; remove {self.folder} and start anew") from error

    def has(self, block: int) -> bool:
        """Whether a block is done."""
        return self._is_there(block_file(block))

    def write(self, block: int, arrays: dict[str, np.ndarray]) -> None:
        """Store a block."""
        # Pickled objects are no way to keep data: text goes in at fixed width.
        plain = {
            name: each.astype(str) if each.dtype == object else each
            for name, each in arrays.items()
        }
        with self._writing(block_file(block)) as file:
            np.savez_compressed(file, **plain)

    def read(self, block: int, *, tokens: bool | None = None) -> dict[str, np.ndarray]:
        """Return a block as it was given to `write`, or a part of it.

        With `tokens` True it is only the variables with tokens, with False only those without.
        """
        with self._reading(block_file(block)) as file, np.load(file, allow_pickle=False) as stored:
            chosen = [name for name in stored.files if tokens is None or has_tokens(name) == tokens]
            arrays = {name: stored[name] for name in chosen}
        for name, each in arrays.items():
            if name not in VARIABLES or VARIABLES[name].dtype == TEXT:
                arrays[name] = each.astype(object)
        return arrays

    def remove(self) -> None:
        """Forget the run: delete what a run makes, and the folder if nothing else is in it."""
        for name in self._names():
            each = self.folder / name
            if not _OWN.fullmatch(name):
                continue
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process alone; the lock dies with the process.

        Raises
        ------
        InputError
            If another process holds it, no run has made it, or it cannot be written.
        """
        self.check()
        try:
            self._make()
            file = (self.folder / LOCK_FILE).open("w")
        except OSError as error:
            raise InputError(
                f"{self.folder} cannot be written: {error.strerror}; choose another --out"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                reason = f"{self.folder} is in use by another run"
                raise InputError(f"{reason}; wait for it, or choose another --out") from None
            for left in self.folder.glob("*.tmp"):
                left.unlink(missing_ok=True)
            yield

    def _make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def _names(self) -> list[str]:
        """Return the names in the folder."""
        return sorted(each.name for each in self.folder.iterdir()) if self.folder.is_dir() else []

    def _is_link(self) -> bool:
        """Whether the folder, or anything in it, leads elsewhere."""
        return self.folder.is_symlink() or any(
            (self.folder / name).is_symlink() for name in self._names()
        )

    def _is_there(self, name: str) -> bool:
        return (self.folder / name).is_file()

    @contextmanager
    def _reading(self, name: str) -> Iterator[IO[bytes]]:
        with (self.folder / name).open("rb") as file:
            yield file

    @contextmanager
    def _writing(self, name: str) -> Iterator[IO[bytes]]:
        """Give a file to fill; it gets its name only when it is whole and on disk."""
        temporary = self.folder / f"{name}.{uuid.uuid4().hex[:8]}.tmp"
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.folder / name)
        except BaseException:
            # On a full disk the unfinished file would keep the space that the next attempt needs.
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
