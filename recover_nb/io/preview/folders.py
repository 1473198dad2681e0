"""Folders of logs: what their files are, and how they are read together."""

import os
from dataclasses import replace
from pathlib import Path

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.io.preview.head import WHOLE_BYTES
from recover_nb.io.preview.recognise import READABLE, Found, is_store, recognise

#: Files of a folder that are looked into.
MOST_FILES = 50


def logs_in(folder: Path) -> tuple[Found, list[Path]]:
    """Return what the logs of a folder are, and their paths in the order of their names.

    Raises
    ------
    InputError
        No file that can be read, or files of several formats.
    """
    found: dict[str, list[Path]] = {}
    first: dict[str, Found] = {}
    paths = _files(folder)
    for path in paths:
        try:
            each, _ = recognise(path)
        except InputError:
            continue
        # Problems beside logs are no logs; a store is opened by itself.
        if each.format and each.format != "problems":
            found.setdefault(each.format, []).append(path)
            first.setdefault(each.format, each)
    if not found:
        raise InputError(
            f"{folder}: none of its {len(paths)} files is a log; what can be read: {READABLE}"
        )
    if len(found) > 1:
        shown = "; ".join(
            f"{len(names)} of {name} ({names[0].name})" for name, names in found.items()
        )
        raise InputError(f"{folder} has logs of several kinds: {shown}; give one file of them")
    name = next(iter(found))
    return replace(first[name]), found[name]


def _files(folder: Path) -> list[Path]:
    """Return the first files below a folder, hidden ones left out."""
    paths: list[Path] = []
    for place, inside, names in os.walk(folder):
        inside[:] = sorted(each for each in inside if not each.startswith("."))
        stores = [each for each in inside if is_store(Path(place, each))]
        paths += [Path(place, each) for each in stores]
        inside[:] = [each for each in inside if each not in stores]
        paths += [Path(place, each) for each in sorted(names) if not each.startswith(".")]
        if len(paths) >= MOST_FILES:
            break
    return paths[:MOST_FILES]


def arms_of(paths: list[Path]) -> dict[str, str]:
    """Return intervention to path where the names of all files end in one; else nothing."""
    arms = {}
    for path in paths:
        stem = path.name.partition(".")[0]
        ends = [each.value for each in Intervention if stem.endswith(f"_{each.value}")]
        if not ends:
            return {}
        arms[max(ends, key=len)] = str(path)
    order = [each.value for each in Intervention if each.value in arms]
    whole = len(arms) == len(paths) > 1 and Intervention.NONE.value in arms
    return {name: arms[name] for name in order} if whole else {}


def are_small(paths: list[Path]) -> bool:
    """Whether all files together are read as they are."""
    return sum(path.stat().st_size for path in paths if path.is_file()) <= WHOLE_BYTES
