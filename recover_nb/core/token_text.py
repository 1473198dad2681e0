"""Token ids as text to show: as the study stores it, or as the shipped lineage has it."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.checkpoints import is_shipped
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Method
from recover_nb.core.shipped import data_folder

#: Attribute of a study: by ``family|method``, the text of each token id that the study holds.
TOKEN_TEXT = "token_text_json"
#: Attribute of a log without a tokenizer: token names in the order of the ids that they were given.
VOCABULARY = "vocabulary_json"


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
    except (InputError, OSError, ValueError, RecursionError):
        return {}
    model = tokenizer.get("model", {})
    if model.get("type") != "WordLevel":
        return {}
    pieces = {index: piece for piece, index in model["vocab"].items()}
    return pieces | {each["id"]: each["content"] for each in tokenizer.get("added_tokens", [])}


def pieces_at(ds: xr.Dataset, problem: int = 0) -> dict[int, str]:
    """Return the text of the tokens of a problem of a study.

    Parameters
    ----------
    ds : Dataset
        A study, or one problem of it without the dimension.
    problem : int
        Place along ``problem``.

    Returns
    -------
    dict of int to str
        As `pieces_in`.
    """
    names = (ds[name].values.reshape(-1) for name in ("family", "method"))
    family, method = (str(each[problem if len(each) > 1 else 0]) for each in names)
    return pieces_in(ds, family, method)


def pieces_in(ds: xr.Dataset, family: str, method: str) -> dict[int, str]:
    """Return the text of the tokens of a unit: as stored, or as shipped with the very models.

    Parameters
    ----------
    ds : Dataset
        A study.
    family, method : str

    Returns
    -------
    dict of int to str
        Empty where the study has neither: a name alone says nothing about a tokenizer.
    """
    stored = _stored(str(ds.attrs.get(TOKEN_TEXT, "")), f"{family}|{method}")
    if stored:
        return stored
    names = _named(str(ds.attrs.get(VOCABULARY, "")))
    if names:
        return names
    return token_pieces(family) if is_shipped(model_of(ds, family, method), family) else {}


def texts_of_tokens(tokenizer: Any, token_id: Iterable[int]) -> dict[int, str]:
    """Return the text of each token as it stands inside a text, by id.

    Parameters
    ----------
    tokenizer : object
        With ``decode``, as those of transformers have it.
    token_id : iterable of int
        In any order, repeated or not; negative ones stand for no token.

    Returns
    -------
    dict of int to str
        A part of a character that takes several tokens is U+FFFD. Empty where the tokenizer does
        not decode.
    """
    decode = getattr(tokenizer, "decode", None)
    if decode is None:
        return {}
    wanted = sorted({int(token) for token in token_id} - {-1})
    return {token: _inside(decode, token) for token in wanted}


def _inside(decode: Callable[..., str], token: int) -> str:
    """Return the text of a token that follows another.

    Some tokenizers drop the space before the first word of a text, so the token is read twice.
    """
    alone, twice = (decode([token] * n, skip_special_tokens=False) for n in (1, 2))
    return twice.removeprefix(alone) if twice.startswith(alone) and twice != alone else alone


def model_of(ds: xr.Dataset, family: str, method: str) -> dict[str, Any]:
    """Return what the study says of the models of a unit: names and hashes; empty if nothing."""
    found = _json(str(ds.attrs.get("provenance_json", "")))
    models = found.get("models", {}) if isinstance(found, dict) else {}
    model = models.get(f"{family}|{method}", {}) if isinstance(models, dict) else {}
    return model if isinstance(model, dict) else {}


def pieces_of(ids: np.ndarray, pieces: Mapping[int, str]) -> list[str]:
    """Text of each token; ``#ID`` for one that is not known."""
    return [pieces.get(int(token), f"#{int(token)}") for token in ids]


@lru_cache(maxsize=16)
def _stored(attribute: str, unit: str) -> dict[int, str]:
    units = _json(attribute)
    texts = units.get(unit) if isinstance(units, dict) else None
    if not isinstance(texts, dict):
        return {}
    return {int(name): str(piece) for name, piece in texts.items() if name.isdecimal()}


@lru_cache(maxsize=16)
def _named(attribute: str) -> dict[int, str]:
    names = _json(attribute)
    return dict(enumerate(map(str, names))) if isinstance(names, list) else {}


@lru_cache(maxsize=16)
def _json(attribute: str) -> Any:
    """Return an attribute that holds JSON; an empty object where it holds none."""
    try:
        return json.loads(attribute) if attribute else {}
    except (ValueError, RecursionError):
        return {}
