"""What a path leads to, asked before it is opened: a pipe or a device would never end."""

import io
import os
import stat
from pathlib import Path

from recover_nb.core.errors import InputError

FILE, FOLDER, NOTHING = "a file", "a folder", ""
#: What has no end, or is read once.
_OTHERS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def kind_of(path: Path) -> str:
    """Return what a path leads to: `FILE`, `FOLDER`, `NOTHING`, or the name of something else.

    Raises
    ------
    InputError
        It cannot be asked: a loop of links, a folder that may not be read, a name too long.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be opened ({why}); give another path") from None
    if stat.S_ISDIR(mode):
        return FOLDER
    return next((name for is_kind, name in _OTHERS if is_kind(mode)), FILE)


def is_folder(path: Path) -> bool:
    """Tell whether a path leads to a folder; an `InputError` where that cannot be asked."""
    return kind_of(path) == FOLDER


def check_file(path: Path, what: str) -> Path:
    """Return a path that leads to a file.

    Parameters
    ----------
    path : Path
    what : str
        What the file should be, for messages.

    Raises
    ------
    InputError
        Nothing there, a folder, a pipe, a socket or a device.
    """
    kind = kind_of(path)
    if kind == FOLDER:
        raise InputError(f"{path}: a folder; give one file, {what}")
    if kind == NOTHING:
        link = ": it is a link to nothing" if path.is_symlink() else ": no such file"
        raise InputError(f"{path}{link}; give {what}")
    check_readable(path, kind)
    return path


def check_readable(path: Path, kind: str | None = None) -> None:
    """Refuse a pipe, a socket and a device; files, folders and nothing at all pass."""
    kind = kind_of(path) if kind is None else kind
    if kind not in (FILE, FOLDER, NOTHING):
        raise InputError(f"{path} is {kind}, not a file; write what it gives to a file first")


def open_file(path: Path) -> io.FileIO:
    """Open a file for reading, without a buffer and without waiting for anything.

    Raises
    ------
    OSError
        It cannot be opened.
    InputError
        It has become something else than a file.
    """
    file = io.FileIO(path, opener=_at_once)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        check_readable(path)
        raise InputError(f"{path} changed while it was opened; try again")
    return file


def _at_once(path: str, flags: int) -> int:
    # Opening a pipe waits for its other end. Windows has no such flag, and no such pipes.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
