"""Adapters (LoRA and its kin) as checkpoints: merged into their base in memory."""

import warnings
from os import PathLike
from pathlib import Path
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.generation.decoding.folders import read_object

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(source: Any) -> bool:
    """Return whether `source` is a folder with an adapter and no model of its own."""
    if not isinstance(source, str | PathLike) or not (Path(source) / CONFIG).is_file():
        return False
    return not any(Path(source).glob("model*.safetensors"))


def has_own_tokenizer(folder: Any) -> bool:
    """Return whether a folder holds a tokenizer."""
    names = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")
    return any((Path(folder) / name).is_file() for name in names)


def base_of(role: str, source: Any, ancestor: Any) -> Any:
    """Return what an adapter is to be merged into.

    It is the folder that its configuration names, where that is here. It is the hub id that it
    names, where the ancestor is another hub id. Else it is the ancestor: folders move.

    Parameters
    ----------
    role : str
        For messages.
    source : str or Path
        A folder for which `is_adapter` holds.
    ancestor : str, Path or model
        The other model of the pair.

    Raises
    ------
    InputError
        A configuration that is no adapter's, weights that are pickled, a base that is not here.
    """
    where = Path(source)
    named = read_object(role, where / CONFIG).get("base_model_name_or_path")
    if not (where / WEIGHTS).is_file():
        raise InputError(
            f"{role} folder {str(source)!r} has an adapter without {WEIGHTS}; allowed: what"
            " model.save_pretrained(...) of peft writes, in safetensors"
        )
    if isinstance(named, str) and (Path(named) / "config.json").is_file():
        return named
    if isinstance(ancestor, str | PathLike) and not is_adapter(ancestor):
        is_hub_id = not Path(ancestor).is_dir()
        return named if is_hub_id and isinstance(named, str) and named else ancestor
    raise InputError(
        f"{role} {str(source)!r} is an adapter of {named!r}, which is not here; give the folder of"
        " that model as the other of the pair, or merge it first:"
        " PeftModel.from_pretrained(base, folder).merge_and_unload().save_pretrained(...)"
    )


def merge_adapter(role: str, source: Any, base: Any) -> Any:
    """Return the model `base` with the adapter in the folder `source` merged into its weights.

    Parameters
    ----------
    role : str
        For messages.
    source : str or Path
    base : torch.nn.Module
        In memory; changed in place.

    Raises
    ------
    InputError
        peft is not installed, the adapter does not fit the base, lacks weights, or is of a kind
        that cannot be merged.
    """
    peft = need("peft", "peft", f"{role} {str(source)!r} is an adapter, not a whole model, and")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            adapted = peft.PeftModel.from_pretrained(base, str(source))
            merged = adapted.merge_and_unload(safe_merge=True)
        lacks = [str(each.message) for each in said if "adapter keys" in str(each.message)]
        if lacks:
            raise ValueError(lacks[0])
    # Whatever a damaged or foreign adapter makes peft raise.
    except Exception as error:
        raise InputError(
            f"{role} {str(source)!r} cannot be merged into {type(base).__name__}"
            f" {getattr(base.config, '_name_or_path', '')!r}: {' '.join(str(error).split())[:300]};"
            " allowed: a whole adapter of that model, of a kind that can be merged, such as LoRA"
        ) from error
    for parameter in merged.parameters():
        parameter.requires_grad_(True)
    merged.config._name_or_path = str(source)
    return merged


def check_not_adapted(specialist: Any, ancestor: Any) -> None:
    """Refuse an ancestor that peft has changed: adapters go into the layers of the model given.

    Raises
    ------
    InputError
        What to give instead.
    """
    if specialist is ancestor:
        return
    shared = {id(each) for each in specialist.parameters()}
    adapted = any(
        kind.__name__ == "BaseTunerLayer"
        for module in ancestor.modules()
        for kind in type(module).__mro__
    )
    if adapted and any(id(each) in shared for each in ancestor.parameters()):
        raise InputError(
            "specialist and ancestor share their layers: peft put the adapter into the ancestor as"
            " well, and both would say the same; load the ancestor again, or give its folder"
        )
