"""What identifies a checkpoint folder: its weights file and their hash. Needs no torch."""

import hashlib
from pathlib import Path

WEIGHTS = "model.safetensors"


def checkpoint_hash(folder: str | Path) -> str:
    """Return the SHA-256 of a checkpoint's weights, as hexadecimal digits."""
    with (Path(folder) / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
