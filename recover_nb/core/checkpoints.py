"""What identifies a checkpoint: its weights file and their hash. Needs no torch."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Method
from recover_nb.core.shipped import data_folder

WEIGHTS = "model.safetensors"


def checkpoint_hash(folder: str | Path) -> str:
    """Return the SHA-256 of a checkpoint's weights, as hexadecimal digits."""
    with (Path(folder) / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_shipped(model: Mapping[str, Any], family: str, method: str = Method.ANCESTOR.value) -> bool:
    """Return whether a study's models are the shipped ones, by the hash of a checkpoint.

    Parameters
    ----------
    model : mapping
        What the study says of the models of a unit: ``ancestor_sha256``, ``specialist_sha256``.
    family : str
    method : str
        Of the checkpoint to compare: the ancestor's, or a specialist's.
    """
    role = "ancestor" if method == Method.ANCESTOR.value else "specialist"
    stated = model.get(f"{role}_sha256")
    return bool(stated) and stated == _shipped_hash(family, method)


@lru_cache(maxsize=32)
def _shipped_hash(family: str, method: str) -> str:
    """Return the hash of a shipped checkpoint, "" where none of that name is shipped."""
    if any(Path(name).name != name for name in (family, method)):
        return ""
    try:
        return checkpoint_hash(data_folder() / "lab" / family / method)
    except (InputError, OSError):
        return ""
