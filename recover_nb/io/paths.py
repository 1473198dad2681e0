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


def files_of(path: str | PathLike, *suffixes: str) -> list[Path]:
    """Return the files of a log: itself, or those in a folder that end so, in order of their names.

    Parameters
    ----------
    path : path
    suffixes : str
        Such as ``".jsonl"``. Compressed files (``.gz``, ``.zst``) count as what they hold.

    Raises
    ------
    InputError
        A folder without such a file. That a file exists is checked by who opens it.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    found = sorted(
        each
        for each in path.rglob("*")
        if each.is_file()
        and not any(part.startswith(".") for part in each.relative_to(path).parts)
        and _plain_name(each).endswith(suffixes)
    )
    if not found:
        raise InputError(f"{path}: the folder has no file that ends in {' or '.join(suffixes)}")
    return found


def _plain_name(path: Path) -> str:
    """Return the name of a file without the ending of its compression."""
    return path.name.removesuffix(".gz").removesuffix(".zst").lower()
