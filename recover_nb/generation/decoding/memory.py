"""What two checkpoints will take in memory, known before either is read, and what there is."""

import json
import math
import struct
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from recover_nb.core.errors import InputError
from recover_nb.core.memory import free_memory

#: Longest header of a safetensors file that is read; its own library allows as much.
MAX_HEADER = 100_000_000
#: What loading takes beside the weights themselves: buffers, and one tensor at a time on its way.
OVERHEAD = 1.05
#: What one logit of a step takes in all, measured: float32 of both models, their grid, softmax
#: and its sum in float64.
BYTES_PER_LOGIT = 44
#: Share of the free memory that the logits of a batch may take; caches want some as well.
SHARE = 0.5
#: Batches below this many bytes are not worth a look at the memory.
SMALL_BATCH = 2**26


def count_parameters(role: str, source: Any, *, trust_remote_code: bool = False) -> int:
    """Return how many numbers the weights of a checkpoint hold, without reading them.

    Parameters
    ----------
    role : str
        For messages.
    source : str, Path or model
        A folder is counted by the headers of its safetensors files and by its configuration, and
        the larger number counts; a hub id by its configuration.

    Raises
    ------
    InputError
        A header that is no safetensors header.
    """
    if not isinstance(source, str | PathLike):
        return sum(each.numel() for each in source.parameters())
    files = _weight_files(Path(source)) if Path(source).is_dir() else []
    # A configuration can want more than its files hold, and gets it while they are read.
    return max(
        sum(_count_in_file(role, each) for each in files),
        _count_by_config(source, trust_remote_code),
    )


def _weight_files(folder: Path) -> list[Path]:
    """Return the files that transformers reads: those its index names, or the one file.

    Others may lie beside them (``consolidated.safetensors``, the same weights once more).
    """
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_text("utf-8"))
        named = {str(name) for name in index["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        named = set()
    return sorted(each for each in folder.glob("*.safetensors") if not named or each.name in named)


def _count_in_file(role: str, path: Path) -> int:
    """Sum the shapes in the header of one safetensors file: a length in 8 bytes, then JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(file.read(length))
        shapes = [each["shape"] for name, each in header.items() if name != "__metadata__"]
        return sum(math.prod(shape) for shape in shapes)
    except (
        OSError,
        struct.error,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise InputError(
            f"{role} {str(path)!r} is no safetensors file, or is cut short ({error}); copy the"
            " checkpoint again"
        ) from error


def _count_by_config(source: Any, trust_remote_code: bool) -> int:
    """Build the model without memory for its weights and count its parameters.

    The count is 0 where that cannot be done; loading then says why.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(str(source), trust_remote_code=trust_remote_code)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    # Loading says better what is wrong.
    except Exception:
        return 0
    return sum(each.numel() for each in model.parameters())


def free_bytes(device: str | torch.device) -> int | None:
    """Return the free memory where models will lie, in bytes; None where it cannot be told."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu":
        return None
    return free_memory()


def check_memory(
    sources: dict[str, Any],
    device: str | torch.device,
    dtype: str,
    *,
    trust_remote_code: bool = False,
) -> None:
    """Refuse checkpoints that will not fit, before anything is read.

    Parameters
    ----------
    sources : dict of str to source
        Role to what is to be loaded; models in memory cost nothing more. The logits of a batch are
        not in it: `rows_that_fit` cuts batches to what is left.
    device, dtype : str
        Where to, and as what.

    Raises
    ------
    InputError
        How much is needed, how much is free, and what would fit.
    """
    counts = {
        role: count_parameters(role, source, trust_remote_code=trust_remote_code)
        for role, source in sources.items()
        if isinstance(source, str | PathLike)
    }
    width, free = getattr(torch, dtype).itemsize, free_bytes(device)
    needed = sum(counts.values()) * width * OVERHEAD
    if free is None or needed <= free:
        return
    shares = " and ".join(
        f"{role} {count / 1e9:.3g} billion parameters" for role, count in counts.items()
    )
    halved = needed * 2 / width
    advice = (
        f"dtype='bfloat16' takes {_size(halved)}"
        if width > 2
        else "both are in half precision already"
    )
    raise InputError(
        f"{shares} need {_size(needed)} as {dtype}, and {_size(free)} are free on {device};"
        f" {advice}: choose another device or smaller models, or pass check_memory=False"
    )


def _size(n: float) -> str:
    return f"{n / 1e9:.3g} GB" if n >= 1e9 else f"{n / 1e6:.3g} MB"


def rows_that_fit(pair: Any, batch_size: int) -> int:
    """Return how many rows of a pair can be decoded together, `batch_size` at most.

    The logits of both models and what is computed from them are the largest things of a step where
    the vocabulary is large: 256 rows of 262,144 tokens take 3 GB. Results are the same for every
    number of rows.
    """
    needed = batch_size * pair.vocab_size * BYTES_PER_LOGIT
    if needed < SMALL_BATCH:
        return batch_size
    free = free_bytes(pair.device)
    if free is None or needed <= free * SHARE:
        return batch_size
    return max(int(batch_size * free * SHARE / needed), 1)
