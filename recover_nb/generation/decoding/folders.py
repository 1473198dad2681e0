"""A checkpoint's folder, looked at before any library reads it.

Folders come from anywhere. What a library would wait for without end, read elsewhere or build
without limit is refused here, by what lies there and by what its small files say.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recover_nb.core.errors import InputError, first_line
from recover_nb.core.files import FILE, NOTHING, check_readable, kind_of

CONFIG, INDEX = "config.json", "model.safetensors.index.json"
#: Files that say something in JSON, where they are there.
SAYING = (
    CONFIG,
    INDEX,
    "generation_config.json",
    "tokenizer_config.json",
    "adapter_config.json",
)
#: Most layers or experts of a model that is built: its parts are made one by one.
MOST_PARTS = 4096
_PARTS = re.compile(r"(?:^|_)(?:n_)?(?:layers?|experts)$")
_ATTENTION = re.compile(r"attn_implementation|experts_implementation")


def check_folder(role: str, source: Any, *, trust_remote_code: bool = False) -> None:
    """Refuse a folder that reads without end, leads elsewhere, or holds what is no JSON.

    Parameters
    ----------
    role : str
        For messages.
    source : str or Path
        A hub id passes.
    trust_remote_code : bool
        Whether a configuration may name code of a hub.

    Raises
    ------
    InputError
        A pipe, a socket, a device or a link to nothing; a file of settings that holds no object; an
        index that names anything but files beside it; weights or an adapter of another place;
        layers without end.
    """
    folder = Path(source)
    if not folder.is_dir():
        return
    try:
        held = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"{role} folder {str(folder)!r} cannot be read ({error.strerror})"
        ) from None
    for each in held:
        _check_entry(role, each)
    told = {each.name: read_object(role, each) for each in held if each.name in SAYING}
    _check_index(role, folder, told.get(INDEX))
    _check_config(role, folder, told.get(CONFIG, {}), trust_remote_code)
    if "adapter_config.json" in told and any(folder.glob("model*.safetensors")):
        raise InputError(
            f"{role} folder {str(folder)!r} holds the weights of a model and an adapter of"
            f" {told['adapter_config.json'].get('base_model_name_or_path')!r}; move one of them"
            " away, adapter_config.json or model.safetensors"
        )


def read_object(role: str, path: Path) -> dict[str, Any]:
    """Return the JSON object in a file of a checkpoint.

    Raises
    ------
    InputError
        It cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        if isinstance(found, dict):
            return found
        why = f"a {type(found).__name__}, not an object"
    except (OSError, ValueError, RecursionError) as error:
        why = first_line(error)[:150]
    raise InputError(f"{role} {str(path)!r} cannot be read ({why}); copy the folder again")


def _check_entry(role: str, path: Path) -> None:
    """Refuse what is neither file nor folder, and a folder or nothing by the name of a file."""
    kind = kind_of(path)
    check_readable(path, kind)
    of_a_file = path.suffix in (".json", ".safetensors", ".jinja")
    if kind == NOTHING or (kind != FILE and of_a_file):
        found = "a link to nothing" if kind == NOTHING else kind
        raise InputError(f"{role}: {path} is {found}; copy the checkpoint again")


def _check_index(role: str, folder: Path, told: dict[str, Any] | None) -> None:
    """Refuse an index whose weights lie anywhere but beside it."""
    if told is None:
        return
    named = told.get("weight_map")
    if not isinstance(named, dict) or not named:
        raise InputError(f"{role}: {folder / INDEX} names no weights; copy the checkpoint again")
    for name in dict.fromkeys(map(str, named.values())):
        _check_weights(role, folder, INDEX, name)


def _check_config(role: str, folder: Path, told: dict[str, Any], trust_remote_code: bool) -> None:
    """Refuse a configuration that names files or code elsewhere, or parts without end."""
    if told.get("transformers_weights") is not None:
        _check_weights(role, folder, CONFIG, str(told["transformers_weights"]))
    for name, value in _settings(told):
        if _ATTENTION.search(name) and "/" in str(value) and not trust_remote_code:
            raise InputError(
                f"{role}: {folder / CONFIG} wants code of {str(value)!r} ({name}); allowed: what"
                " transformers has; delete it there, or pass trust_remote_code=True"
            )
        if _PARTS.search(name) and isinstance(value, int | float) and value > MOST_PARTS:
            raise InputError(
                f"{role}: {folder / CONFIG} says {name} is {value}; allowed: {MOST_PARTS:,} at"
                " most; copy the checkpoint again"
            )


def _settings(told: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every setting, also of the models that a model is made of."""
    for name, value in told.items():
        if isinstance(value, dict):
            yield from _settings(value)
        else:
            yield name, value


def _check_weights(role: str, folder: Path, said_by: str, name: str) -> None:
    """Refuse a name of weights that is none of a safetensors file in the folder."""
    if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
        raise InputError(
            f"{role}: {folder / said_by} says that weights are in {name!r}; allowed: safetensors"
            " files beside it"
        )
    if kind_of(folder / name) != FILE:
        raise InputError(
            f"{role}: {folder / said_by} names {name!r}, which is not there; copy the checkpoint"
            " again"
        )
