"""An unfinished run on disk: what was asked, and one file per finished block. Needs no torch."""

import fcntl
import hashlib
import io
import json
import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.core.places import move_new, remove_folder, taken
from recover_nb.core.schema import TEXT, TOKEN, VARIABLES
from recover_nb.core.sealed import DamagedError, replace_file, seal, unseal
from recover_nb.core.writable import cannot_write, is_about
from recover_nb.io.store import partial_folder

RUN_FILE = "run.json"
LOCK_FILE = "lock"
#: The folder, inside the staging folder, in which the result is made: a kill leaves no other trace
#: than that.
WHOLE = "whole"

#: Names that a run gives. A folder with any other is somebody else's: nothing in it is touched.
_OWN = re.compile(
    r"run\.json|lock|block_\d{5,}\.npz"
    r"|(run\.json|block_\d{5,}\.npz)\.[0-9a-f]{8}\.tmp|whole"
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
    same block do not meet. It is sealed with the run it belongs to and its number: one that is
    damaged, or of another run, counts as not done.

    Parameters
    ----------
    out : Path
        The study it will become.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.folder = out, partial_folder(out)
        self._key: str | None = None

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
        strange = next((name for name in self._names() if not self._is_own(name)), None)
        if strange is not None or self._is_link():
            what = "is a link" if strange is None else f"holds {strange}, which no run has made"
            raise InputError(
                f"{self.folder} {what}, so it is left alone; choose another --out, or move it away"
            )

    def begin(self, run: dict[str, Any]) -> None:
        """Start a new run: `run` is what `read_run` returns from now on."""
        self._make()
        content = json.dumps(run, sort_keys=True, indent=1).encode()
        self._write(RUN_FILE, seal(content))
        self._key = hashlib.sha256(content).hexdigest()

    def read_run(self) -> dict[str, Any]:
        """Return what `begin` was given."""
        return json.loads(self._run())

    def _run(self) -> bytes:
        try:
            return unseal(self._read(RUN_FILE))
        except DamagedError as error:
            raise InputError(
                f"{self.folder}/{RUN_FILE} is damaged, or another version wrote it; remove"
                f" {self.folder} and start anew"
            ) from error

    def _sealed_for(self, block: int) -> str:
        """Return what a block is sealed with: its run, and its number."""
        if self._key is None:
            self._key = hashlib.sha256(self._run()).hexdigest()
        return f"{self._key} {block}"

    def has(self, block: int) -> bool:
        """Whether a block is done, and as it was written."""
        name = block_file(block)
        try:
            unseal(self._read(name), self._sealed_for(block))
        except (FileNotFoundError, DamagedError):
            return False
        return True

    def write(self, block: int, arrays: dict[str, np.ndarray]) -> None:
        """Store a block."""
        # Pickled objects are no way to keep data: text goes in at fixed width.
        plain: dict[str, Any] = {
            name: each.astype(str) if each.dtype == object else each
            for name, each in arrays.items()
        }
        content = io.BytesIO()
        np.savez_compressed(content, **plain)
        self._write(block_file(block), seal(content.getvalue(), self._sealed_for(block)))

    def read(self, block: int, *, tokens: bool | None = None) -> dict[str, np.ndarray]:
        """Return a block as it was given to `write`, or a part of it.

        With `tokens` True it is only the variables with tokens, with False only those without.

        Raises
        ------
        InputError
            If the block is damaged.
        """
        name = block_file(block)
        try:
            content = unseal(self._read(name), self._sealed_for(block))
        except DamagedError as error:
            raise InputError(
                f"{self.folder}/{name} is damaged; go on with --resume, which makes it again"
            ) from error
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            chosen = [name for name in stored.files if tokens is None or has_tokens(name) == tokens]
            arrays = {name: stored[name] for name in chosen}
        for name, each in arrays.items():
            if name not in VARIABLES or VARIABLES[name].dtype == TEXT:
                arrays[name] = each.astype(object)
        return arrays

    def place(self, make: Callable[[Path], Path]) -> None:
        """Make the result and give it its name, at once; then forget the run.

        Parameters
        ----------
        make : callable (folder) -> Path
            Makes the result in a new folder of this run, and returns where it is.

        Raises
        ------
        InputError
            If something took the place of the result meanwhile, or what is left of the run cannot
            be removed.
        """
        folder = self.folder / WHOLE
        if folder.is_dir():
            remove_folder(folder)
        folder.mkdir()
        made = make(folder)
        move_new(made, self.out)
        self.finish()

    def finish(self) -> None:
        """Forget the run when its result is there.

        Raises
        ------
        InputError
            If it cannot be removed.
        """
        try:
            self.remove()
        except OSError as error:
            raise InputError(
                f"{self.out} is written, but {self.folder} cannot be removed: {error.strerror};"
                " remove it"
            ) from error

    def remove(self) -> None:
        """Forget the run: delete what a run makes, and the folder if nothing else is in it.

        All that can be removed is; then the first error is raised.
        """
        first: OSError | None = None
        for name in self._names():
            each = self.folder / name
            if not _OWN.fullmatch(name):
                continue
            try:
                if each.is_dir() and not each.is_symlink():
                    remove_folder(each)
                else:
                    each.unlink(missing_ok=True)
            except OSError as error:
                first = first or error
        self._key = None
        try:
            if self.folder.is_dir() and not self._names():
                self.folder.rmdir()
        except OSError as error:
            first = first or error
        if first is not None:
            raise first

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process alone; the lock dies with the process.

        Raises
        ------
        InputError
            If another process holds it, no run has made it, or it cannot be written.
        """
        self.check()
        with self._lock():
            for left in self.folder.glob("*.tmp"):
                left.unlink(missing_ok=True)
            yield

    @contextmanager
    def held(self, resume: bool) -> Iterator[None]:
        """Hold the folder for a run: one that may be begun, or with `resume` gone on with.

        Raises
        ------
        InputError
            As for `locked` and `telling`; or the result is there, or an unfinished run and `resume`
            is False.
        """
        with self.telling(), self.locked():
            # Asked when the lock is held: another process may have come and gone meanwhile.
            if isinstance(self.out, Path) and os.path.lexists(self.out):
                if not self.started():
                    self.finish()
                raise taken(self.out)
            if self.started() and not resume:
                raise InputError(
                    f"{self.folder} holds an unfinished run; go on with --resume, or remove it"
                )
            try:
                yield
            except InputError:
                # A run that was refused before its first block leaves nothing behind.
                with suppress(OSError):
                    if not self.started():
                        self.remove()
                raise

    def _lock(self) -> IO[str]:
        """Return the open file by which the folder is held."""
        while True:
            try:
                self._make()
                file = (self.folder / LOCK_FILE).open("w")
            except OSError as error:
                raise cannot_write(self.folder, error) from error
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever held it may have removed it when done, between our opening and locking.
                if os.path.samestat(os.fstat(file.fileno()), os.stat(self.folder / LOCK_FILE)):
                    return file
                file.close()
            except FileNotFoundError:
                file.close()
            except BlockingIOError:
                file.close()
                reason = f"{self.folder} is in use by another run"
                raise InputError(f"{reason}; wait for it, or choose another --out") from None
            except OSError as error:
                file.close()
                raise InputError(
                    f"{self.folder} cannot be locked: {error.strerror}; choose another --out"
                ) from error

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Turn an error of the system at the place of the run into one sentence.

        Raises
        ------
        InputError
            What cannot be written, and how to go on.
        """
        try:
            yield
        except OSError as error:
            if not self._is_mine(error):
                raise
            where = f" ({error.filename})" if error.filename else ""
            reason = f"{self.out} cannot be written: {error.strerror or error}{where}"
            raise InputError(f"{reason}; {self._onward()}") from error

    def _is_mine(self, error: OSError) -> bool:
        return is_about(error, self.out.parent)

    def _onward(self) -> str:
        """Say how to go on after an error; a run without a block is forgotten."""
        with suppress(OSError):
            if not self.started():
                self.remove()
                return "mend that, or choose another --out"
        return f"what is done stays in {self.folder}: go on with --resume when that is mended"

    def _make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def _is_own(self, name: str) -> bool:
        """Whether a name in the folder is what a run makes, and of its kind."""
        each = self.folder / name
        kind = each.is_dir() if name == WHOLE else each.is_file()
        return bool(_OWN.fullmatch(name)) and (kind or each.is_symlink())

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

    def _read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def _write(self, name: str, content: bytes) -> None:
        """Write a file that gets its name only when it is whole and on disk."""
        temporary = self.folder / f"{name}.{uuid.uuid4().hex[:8]}.tmp"
        replace_file(self.folder / name, content, temporary)
