"""Whether a place can be written, told before the work; and what is said when a disk fills."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

from recover_nb.core.errors import InputError
from recover_nb.core.memory import shown

#: Bytes that a name is longer while its file is made: a dot before it, ``.12345678.old.zarr`` after
#: it.
MARGIN = 24
#: Longest name that file systems take, in bytes.
LONGEST = 255
#: Bytes that have to be free for anything at all.
LEAST_ROOM = 64 * 1024

_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_writable(path: Path, room: int = 0) -> None:
    """Refuse a path where nothing can be made: a file is made in its folder, and removed again.

    Folders that are still missing are no fault.

    Parameters
    ----------
    path : Path
    room : int
        Bytes that what is made will take at least.

    Raises
    ------
    InputError
        Naming the path, what is in the way and what to do.
    """
    check_name(path)
    folder = nearest_folder(path)
    if not folder.is_dir():
        raise InputError(f"{path} cannot be written: {folder} is no folder; choose another folder")
    try:
        # It has no name where the system allows that: then not even a kill leaves anything behind.
        with tempfile.TemporaryFile(dir=folder):
            pass
        disk = shutil.disk_usage(folder)
    except OSError as error:
        raise cannot_write(path, error) from error
    # Some file systems tell nothing.
    if disk.total and disk.free < max(room, LEAST_ROOM):
        raise InputError(
            f"no room is left for {path}: it takes at least {shown(max(room, LEAST_ROOM))} and"
            f" {shown(disk.free)} are free in {folder}; free some, or choose another folder"
        )


def check_name(path: Path) -> None:
    """Refuse a path that no file can have, or that means another one to a shell.

    Raises
    ------
    InputError
        Naming the path.
    """
    text = str(path)
    try:
        os.fsencode(text)
        long = len(os.fsencode(path.name)) > LONGEST - MARGIN
    except UnicodeEncodeError:
        raise InputError(
            f"{text!r} holds a character that no file name can have; choose another name"
        ) from None
    if "\0" in text:
        raise InputError(f"{text!r} holds a NUL, which no file name can have; choose another name")
    if long:
        raise InputError(
            f"{text[:80]}... cannot be written: its name is longer than {LONGEST - MARGIN} bytes;"
            " choose a shorter one"
        )
    # Homes were found before; a file may have such a name, a new folder is a slip.
    first = path.parts[0] if path.parts else ""
    if first.startswith("~") and len(path.parts) > 1 and not os.path.lexists(first):
        raise InputError(
            f"{text} begins with {first}, and no user of that name has a home here; give the whole"
            " path"
        )


def nearest_folder(path: Path) -> Path:
    """Return the first of a path's parents that is there."""
    for folder in path.absolute().parents:
        try:
            folder.stat()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR) and not folder.is_symlink():
                continue
            raise cannot_write(path, error) from error
        return folder
    return Path("/")


def cannot_write(path: Path | str, error: OSError) -> InputError:
    """Return the sentence for an error of the system while something was written at `path`."""
    if error.errno in _FULL:
        return InputError(
            f"no room is left for {path} ({error.strerror}); free some, or choose another folder;"
            " nothing was left behind"
        )
    if error.errno == errno.EFBIG:
        return InputError(
            f"{path} cannot be written: it is larger than this file system or `ulimit -f` allows;"
            " choose another folder"
        )
    return InputError(f"{path} cannot be written: {error.strerror or error}; choose another folder")


def is_about(error: OSError, folder: Path) -> bool:
    """Whether an error is about a place in `folder`, or names none: then it is about writing."""
    if error.filename is None:
        return True
    return Path(os.fsdecode(error.filename)).absolute().is_relative_to(folder.absolute())
