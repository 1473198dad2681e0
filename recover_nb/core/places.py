"""Where results go: a place that is taken is left alone, and a new one appears whole or not at all.

Only what a call made itself is ever moved or deleted. A study that is to be replaced has to look
like one of ours, to the last file in it.
"""

import errno
import json
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.core.files import check_file
from recover_nb.core.writable import cannot_write, check_name, check_writable, is_about

#: Files at the root of a Zarr folder; the last one has the checksums of the others.
ROOT_FILES = {".zgroup", ".zattrs", ".zmetadata", ".files"}
#: Files of one array of it, beside its chunks.
ARRAY_FILES = {".zarray", ".zattrs"}
#: Attributes by which the root of a study is known.
OURS = ("schema_version", "config_json")

_CHUNK = re.compile(r"\d+(\.\d+)*")

#: Seconds between attempts to remove a folder.
_WAITS = (0.01, 0.05, 0.2)


def taken(path: Path | str, what: str = "--out") -> InputError:
    """Return the refusal of a place where something is already.

    `what` is how the caller names places.
    """
    return InputError(f"{path} exists; choose another {what}, or remove it first")


@contextmanager
def placed(path: Path, *, replace: bool = False, source: Any = None) -> Iterator[Path]:
    """Give a temporary sibling of `path` to fill; move it into place only if nothing went wrong.

    Parameters
    ----------
    path : Path
    replace : bool
        Whether a file, or the folder of a study, may be replaced; see `check_free`.
    source : Dataset, optional
        What the result is made from: the store it still reads from is not replaced.

    Raises
    ------
    InputError
        If `path` is taken, also when it was taken meanwhile, the folder cannot be written, or no
        room is left in it.
    """
    before = check_free(path, replace=replace, source=source)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        _make_parents(path)
        yield temporary
        if before is None:
            move_new(temporary, path)
        else:
            _exchange(temporary, path, before)
    except OSError as error:
        if not is_about(error, path.parent):
            raise
        raise cannot_write(path, error) from error
    finally:
        _remove(temporary)


def _remove(temporary: Path) -> None:
    """Remove what was made, as far as the system lets it: why it failed is said already."""
    with suppress(OSError):
        if temporary.is_dir() and not temporary.is_symlink():
            remove_folder(temporary)
        else:
            temporary.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder of ours, also where a removal fails once, or a thread still writes into it.

    Zarr writes in threads; one that was at work when another failed ends a moment later.

    Raises
    ------
    OSError
        It cannot be removed; a part may be left.
    """
    for wait in _WAITS:
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return
        time.sleep(wait)
    shutil.rmtree(folder)


def check_free(
    path: Path, *, replace: bool = False, source: Any = None, room: int = 0
) -> os.stat_result | None:
    """Refuse a place where nothing may or can be written, before the work.

    It returns what may be replaced there, None if nothing.

    Parameters
    ----------
    path : Path
    replace : bool
        Whether a regular file, or a ``.zarr`` folder that is a study of ours, may be there. Any
        other folder, a link and everything else is refused all the same.
    source : Dataset, optional
        As for `placed`.
    room : int
        Bytes that the result will take at least.

    Raises
    ------
    InputError
        If the place is taken, lies inside a study, or cannot be written: no folder, no permission,
        no room, a name that no file can have.
    """
    check_name(path)
    try:
        _check_outside_studies(path)
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        found = None
    except OSError as error:
        raise cannot_write(path, error) from error
    if found is not None:
        _check_replaceable(path, found, replace, source)
    check_writable(path, room)
    return found


def _check_replaceable(path: Path, found: os.stat_result, replace: bool, source: Any) -> None:
    if not replace:
        raise InputError(
            f"{path} exists; choose another path, or remove it first (in Python: replace=True)"
        )
    if stat.S_ISLNK(found.st_mode):
        raise InputError(
            f"{path} is a link, which is never replaced; give the path that it leads to, or"
            " another one"
        )
    if stat.S_ISDIR(found.st_mode):
        check_study_folder(path)
    elif not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is no regular file, so it is never replaced; choose another path")
    if source is not None:
        _check_not_source(source, path)


def _check_not_source(ds: Any, path: Path) -> None:
    """Refuse to replace the store that variables of `ds` are yet to be read from, or may be."""
    target = path.resolve()
    for name, variable in ds.variables.items():
        if not variable._in_memory:
            source = variable.encoding.get("source", ds.encoding.get("source"))
            if source is None or Path(source).resolve() == target:
                why = (
                    "may be read from it, for it is not in memory"
                    if source is None
                    else "is yet to be read from it"
                )
                raise InputError(
                    f"{path} is not replaced: {name} {why}; call .load() first, or choose another"
                    " path"
                )


def _check_outside_studies(path: Path) -> None:
    """Refuse a place inside the folder of a study: its files are counted, and removed with it."""
    for folder in path.absolute().parents:
        if (folder / ".zgroup").exists() or (folder / "zarr.json").exists():
            raise InputError(
                f"{path} lies inside the Zarr folder {folder}; choose a path outside it"
            )


def check_study_folder(path: Path) -> None:
    """Refuse a folder that is not, in all its files, a study that this package wrote.

    Raises
    ------
    InputError
        Naming what does not belong to a study.
    """
    stranger = stranger_in(path)
    if stranger is not None:
        raise InputError(
            f"{path} is a folder that is never replaced or removed, because it is not a study of"
            f" ours alone ({stranger}); choose another path"
        )


def stranger_in(path: Path) -> str | None:
    """Return what keeps a folder from being a study of ours and nothing else; None if it is one."""
    if path.is_symlink() or not path.is_dir():
        return "it is no folder"
    if not path.name.endswith(".zarr"):
        return "its name does not end in .zarr"
    if not (path / ".zgroup").is_file():
        return "it has no .zgroup"
    try:
        attrs = json.loads(check_file(path / ".zattrs", "attributes").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return "its .zattrs cannot be read"
    if not isinstance(attrs, dict) or not all(name in attrs for name in OURS):
        return "its .zattrs are not those of a study"
    return next((found for each in sorted(path.iterdir()) if (found := _stranger(each))), None)


def _stranger(entry: Path) -> str | None:
    """Return what is wrong with an entry of the root of a study."""
    if entry.is_symlink():
        return f"{entry.name} is a link"
    if entry.is_file():
        return None if entry.name in ROOT_FILES else f"it holds {entry.name}"
    if not (entry / ".zarray").is_file():
        return f"it holds {entry.name}"
    for each in entry.iterdir():
        known = each.name in ARRAY_FILES or _CHUNK.fullmatch(each.name)
        if each.is_symlink() or not each.is_file() or not known:
            return f"it holds {entry.name}/{each.name}"
    return None


def remove_study(path: Path) -> None:
    """Remove the Zarr folder of a study of ours; do nothing where nothing is.

    Raises
    ------
    InputError
        If anything else is there, or in it.
    """
    if os.path.lexists(path):
        check_study_folder(path)
        remove_folder(path)


def move_new(made: Path, path: Path) -> None:
    """Give a finished file or folder its name, only if nothing has that name.

    Something that came this very moment counts too.

    Raises
    ------
    InputError
        If something is there.
    """
    try:
        if made.is_dir():
            _move_folder(made, path)
        else:
            _move_file(made, path)
    except FileExistsError as error:
        raise InputError(
            f"{path} exists: it appeared while the result was made, and is left as it is; choose"
            " another path"
        ) from error


def _move_folder(made: Path, path: Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "something is there", str(path))
    try:
        # Renaming gives the place to a folder only if nothing, or at most an empty folder, came
        # there meanwhile.
        made.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, "something is there", str(path)) from error
        raise


def _move_file(made: Path, path: Path) -> None:
    try:
        os.link(made, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: claim the name, then put the file there.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(made, path)
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
    else:
        # The result has its name; its other one goes with what it was made in.
        with suppress(OSError):
            made.unlink()


def _exchange(made: Path, path: Path, before: os.stat_result) -> None:
    """Put what was made in the place of what was there at first, if that is still what is there."""
    now = path.lstat() if os.path.lexists(path) else None
    if now is None:
        move_new(made, path)
        return
    if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
        raise InputError(
            f"{path} has changed while the result was made, and is left as it is; choose another"
            " path"
        )
    if made.is_dir() != path.is_dir():
        kinds = ("a file", "a folder")
        raise InputError(
            f"{path} is {kinds[path.is_dir()]} and the result is {kinds[made.is_dir()]}; choose"
            " another path"
        )
    if made.is_dir():
        _exchange_folder(made, path)
    else:
        os.replace(made, path)


def _exchange_folder(made: Path, path: Path) -> None:
    check_study_folder(path)
    old = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old.zarr")
    path.rename(old)
    try:
        move_new(made, path)
    except BaseException:
        # The new one could not take the place, so the old one keeps it.
        with suppress(OSError):
            old.rename(path)
        raise
    try:
        remove_study(old)
    except OSError as error:
        raise InputError(
            f"{path} is written, but what it replaced cannot be removed ({error.strerror}); remove"
            f" {old}"
        ) from error


def _make_parents(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"{path} cannot be written: {path.parent} is no folder; choose another folder"
        ) from error
