"""Bytes that say themselves whether they are whole, and what they belong to. Needs no torch.

A checksum lies behind the content. It is taken over a key too, so that what is sealed for one place
is not taken for what belongs in another.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

_MARK = b"\nsealed by recover-nb sha256 "
_DIGITS = 64


class DamagedError(ValueError):
    """What was read is not what was sealed, or was not sealed for this place."""


def seal(content: bytes, key: str = "") -> bytes:
    """Return the content with its seal behind it."""
    return content + _MARK + _digest(content, key)


def unseal(data: bytes, key: str = "") -> bytes:
    """Return what `seal` was given.

    Raises
    ------
    DamagedError
        If a single bit is another, something is missing, or the key is another.
    """
    content, end = data[: -len(_MARK) - _DIGITS], data[-len(_MARK) - _DIGITS :]
    if end != _MARK + _digest(content, key):
        raise DamagedError("its checksum is another")
    return content


def replace_file(path: Path, content: bytes, temporary: Path) -> None:
    """Put content in the place of a file: at any moment it is the old one or the new one, whole.

    `temporary` is filled first; where that fails it is removed again.
    """
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        # On a full disk the unfinished file would keep the space that the next attempt needs.
        # What went wrong first is what is told.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _digest(content: bytes, key: str) -> bytes:
    found = hashlib.sha256(key.encode() + b"\0")
    found.update(content)
    return found.hexdigest().encode()
