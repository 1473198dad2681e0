"""What a reader is given: one file, or one file per intervention."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.io.dense import NONE

#: What readers accept: a path, or paths by intervention.
Source = str | PathLike | Mapping[str, str | PathLike]


def by_intervention(source: Any, default: str = NONE) -> dict[str, Path]:
    """Return the files to read by intervention; a single one holds `default`.

    Raises
    ------
    InputError
        Neither a path nor a mapping of intervention to path.
    """
    if isinstance(source, str | PathLike):
        return {default: Path(source)}
    if (
        not isinstance(source, Mapping)
        or not source
        or not all(isinstance(p, str | PathLike) for p in source.values())
    ):
        raise InputError(
            f"{type(source).__name__} cannot be imported; give a path, or a dict of intervention to"
            ' path such as {"none": "first.jsonl", "retry": "second.jsonl"}'
        )
    return {str(name): Path(path) for name, path in source.items()}


def names_of(files: Mapping[str, Path]) -> str:
    """Return the names of the files, for the attribute `source`."""
    return ", ".join(dict.fromkeys(path.name for path in files.values()))
