"""A checkpoint read whole or not at all, and a device that is there."""

import re
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from recover_nb.core.errors import InputError, first_line


def check_device(device: str | torch.device) -> None:
    """Refuse a device that torch cannot use here, before anything is written or read.

    Raises
    ------
    InputError
        Naming the devices that are there.
    """
    try:
        # A value that comes back: the device "meta" takes everything and computes nothing.
        torch.zeros(1, device=torch.device(device)).item()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            f"device {str(device)!r} cannot be used here ({plain_reason(error)[:150]}); allowed:"
            f" {', '.join(devices())}"
        ) from error


def devices() -> list[str]:
    """Return the names of the devices that are there."""
    found = [
        "cpu",
        *(
            f"cuda:{i}"
            for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
        ),
    ]
    return [*found, "mps"] if torch.backends.mps.is_available() else found


def load_checkpoint(
    role: str, source: Any, *, dtype: str = "float32", trust_remote_code: bool = False
) -> Any:
    """Load a causal language model, with every one of its weights.

    Parameters
    ----------
    role : str
        For messages.
    source : str or Path
        A folder or a hub id.
    dtype : str
    trust_remote_code : bool

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    InputError
        No safetensors, a file that is cut short or damaged, weights that are missing, of another
        shape, or of more layers than the configuration says.
    """
    _check_format(role, source)
    _check_quantised(role, source, trust_remote_code)
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            str(source),
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            # Both are weights that the file lacks, and are named by `_check_report` in one
            # sentence.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    # Whatever a damaged file or configuration makes transformers raise, it is the checkpoint that
    # cannot be loaded.
    except Exception as error:
        raise InputError(
            f"{role} {str(source)!r} cannot be loaded: {plain_reason(error)}; copy the checkpoint"
            " again, or give another"
        ) from error
    _check_report(role, source, model, report)
    return model


def _check_format(role: str, source: Any) -> None:
    """Say that a folder has no safetensors before transformers looks for them elsewhere."""
    folder = Path(source)
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    other = sorted(
        each.name
        for pattern in ("*.bin", "*.pt", "*.pth", "*.gguf")
        for each in folder.glob(pattern)
    )
    held = (
        f"only {other[0]}, which may run code"
        if other and not other[0].endswith(".gguf")
        else "none"
    )
    raise InputError(
        f"{role} {str(source)!r} cannot be loaded: the folder has no weights in safetensors"
        f" ({held}); allowed: such as model.save_pretrained(...) writes"
    )


def _check_quantised(role: str, source: Any, trust_remote_code: bool) -> None:
    """Refuse weights of a few bits: which library reads them how depends on the machine."""
    try:
        config = AutoConfig.from_pretrained(str(source), trust_remote_code=trust_remote_code)
        inner = [config, config.get_text_config()]
        found = next((q for q in (getattr(c, "quantization_config", None) for c in inner) if q), {})
    # Loading says better what is wrong with the configuration.
    except Exception:
        return
    found = found if isinstance(found, dict) else getattr(found, "__dict__", {"quant_method": ""})
    if found:
        method = getattr(found.get("quant_method"), "value", found.get("quant_method")) or "unnamed"
        raise InputError(
            f"{role} {str(source)!r} is quantised ({method}); allowed: weights in float32, bfloat16"
            " or float16. Give the checkpoint it was made from, or load it with transformers and"
            " pass the model in memory"
        )


def _check_report(role: str, source: Any, model: Any, report: dict[str, Any]) -> None:
    """Refuse a model of which some weights are not those of the checkpoint."""
    mismatched = [
        each[0] if isinstance(each, tuple) else each for each in report["mismatched_keys"]
    ]
    lacking = {"missing": report["missing_keys"], "of another shape": mismatched}
    said = [
        f"{len(names)} are {what} (first {min(names)})" for what, names in lacking.items() if names
    ]
    beyond = _of_more_layers(report["unexpected_keys"], model)
    if beyond:
        said.append(
            f"{len(beyond)} are of layers that its configuration does not have (first {beyond[0]})"
        )
    if said:
        raise InputError(
            f"{role} {str(source)!r} does not hold the weights of a {type(model).__name__}:"
            f" {' and '.join(said)}; give a whole checkpoint, with the configuration it was saved"
            " with"
        )


def _of_more_layers(unexpected: Any, model: Any) -> list[str]:
    """Return those weights without a place whose names differ from used ones in a number alone."""
    used = {re.sub(r"\d+", "#", name) for name in model.state_dict()}
    return sorted(name for name in unexpected if re.sub(r"\d+", "#", name) in used)


def plain_reason(error: BaseException) -> str:
    """Return the first line of an error as a part of a sentence, without the stop at its end."""
    return first_line(error).rstrip(".;")
