"""Programs that come with a checkpoint, such as chat templates, end: in time and in memory."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Seconds, and bytes beyond what the process has had, that writing one prompt may take.
SECONDS, BYTES = 5.0, 2**30


class Unbounded(Exception):
    """A program that went on."""


@contextmanager
def bounded(what: str, seconds: float = SECONDS, size: int = BYTES) -> Iterator[None]:
    """Stop what runs in this block, line by line of Python, where it goes on for too long.

    A single call into C is not stopped in its middle.

    Raises
    ------
    Unbounded
        Out of the block.
    """
    end, most = time.monotonic() + seconds, _peak() + size

    def look(frame: Any, event: str, argument: Any) -> Callable[..., Any]:
        if time.monotonic() > end:
            raise Unbounded(f"{what} takes more than {seconds:g} seconds")
        if _peak() > most:
            raise Unbounded(f"{what} takes more than {size / 1e9:.1f} GB")
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        yield
    finally:
        sys.settrace(before)


def _peak() -> int:
    """Return the most memory that the process has had, in bytes; 0 where it cannot be told."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
