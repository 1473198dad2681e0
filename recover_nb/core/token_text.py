"""Token ids as text to show."""

import json
from pathlib import Path

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Method
from recover_nb.core.shipped import data_folder


def token_pieces(family: str, *, root: str | Path | None = None) -> dict[int, str]:
    """Read what each token id of a shipped family stands for, without torch or a tokenizer library.

    Parameters
    ----------
    family : str
    root : path, optional
        Folder with FAMILY/ancestor/tokenizer.json; the shipped ``data/lab`` by default.

    Returns
    -------
    dict of int to str
        Empty for a family that is not shipped, or whose tokens are not plain pieces of text
        (byte-level BPE): ids are then shown instead.
    """
    try:
        folder = data_folder() / "lab" if root is None else Path(root)
        # A family's name comes from a file: only a plain name may become part of a path.
        if Path(family).name != family:
            return {}
        text = (folder / family / Method.ANCESTOR.value / "tokenizer.json").read_text("utf-8")
        tokenizer = json.loads(text)
    except (InputError, OSError, ValueError):
        return {}
    model = tokenizer.get("model", {})
    if model.get("type") != "WordLevel":
        return {}
    pieces = {index: piece for piece, index in model["vocab"].items()}
    return pieces | {each["id"]: each["content"] for each in tokenizer.get("added_tokens", [])}


def pieces_of(ids: np.ndarray, pieces: dict[int, str]) -> list[str]:
    """Text of each token; ``#ID`` for one that is not known."""
    return [pieces.get(int(token), f"#{int(token)}") for token in ids]
