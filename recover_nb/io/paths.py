"""What a reader is given: one file, or one file per intervention."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.core.files import is_folder
from recover_nb.io.dense import NONE

#: What readers accept: a path, or paths by intervention.
Source = str | PathLike | Mapping[str, str | PathLike]

#: Endings of compressed files.
PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip")


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
        Such as ``".jsonl"``. Compressed files (``.gz``, ``.zst``, ...) count as what they hold.

    Raises
    ------
    InputError
        A folder without such a file. That a file exists is checked by who opens it.
    """
    path = Path(path)
    if not is_folder(path):
        return [path]
    found = sorted(
        each
        for each in path.rglob("*")
        if each.is_file()
        and not any(part.startswith(".") for part in each.relative_to(path).parts)
        and unpacked_name(each).lower().endswith(suffixes)
    )
    if not found:
        raise InputError(f"{path}: a folder without a file that ends in {' or '.join(suffixes)}")
    return found


def files_of_rows(
    path: str | PathLike, suffixes: Sequence[str], tell: Callable[..., None] | None = None
) -> list[Path]:
    """Return the files of a log as `files_of`, but for JSON beside other files, which is settings.

    Parameters
    ----------
    path, suffixes
        See `files_of`.
    tell : callable, optional
        `Collector.tell`: hears of the files that are passed over.
    """
    found = files_of(path, *suffixes)
    rows = [each for each in found if not unpacked_name(each).lower().endswith(".json")]
    if rows and len(rows) < len(found) and tell is not None:
        sentence = "{n} files that end in .json, beside others in the folder, are not read"
        tell("json_beside_rows", sentence, len(found) - len(rows))
    return rows or found


def unpacked_name(path: Path) -> str:
    """Return the name of a file without the ending of its compression."""
    return path.name.removesuffix(path.suffix) if path.suffix.lower() in PACKED else path.name
