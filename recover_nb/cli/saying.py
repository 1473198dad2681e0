"""The one way in which the command line writes to a terminal: nothing in a text can steer it."""

import io
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recover_nb.core.visible import visible


def say(*texts: object) -> None:
    """Write results on standard output, each on lines of its own."""
    for each in texts:
        print(visible(each, lines=True))


def note(text: object) -> None:
    """Write a line about the work on standard error."""
    print(visible(text), file=sys.stderr)


def say_json(value: Any) -> None:
    """Write one JSON object on standard output: of ASCII, which any reader takes."""
    print(json.dumps(value, allow_nan=False))


@contextmanager
def plainly() -> Iterator[None]:
    """Write out by its code what a terminal's encoding lacks, and warnings as one plain line."""
    for stream in (sys.stdout, sys.stderr):
        # A stream that is no file, as in a notebook, takes every character.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = _warned
        yield


def _warned(message: Warning | str, *_: Any, **__: Any) -> None:
    note(f"recover-nb: warning: {' '.join(str(message).split())}")
