"""A specialist, its ancestor and their shared tokenizer, checked before any token is generated."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.generation.decoding.adapters import (
    base_of,
    check_not_adapted,
    has_own_tokenizer,
    is_adapter,
    merge_adapter,
)
from recover_nb.generation.decoding.folders import check_folder
from recover_nb.generation.decoding.loading import check_device, load_checkpoint
from recover_nb.generation.decoding.memory import check_memory as check_memory_of
from recover_nb.generation.decoding.vocabulary import (
    check_same,
    end_tokens,
    entries,
    own_tokenizer,
    padding_token,
    shared_tokenizer,
    shared_vocabulary,
    write_chat,
)

HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
DTYPES = ("float32", "float64", "float16", "bfloat16")


@dataclass(frozen=True)
class Pair:
    """Two causal language models with one tokenizer. Made by `load_pair`.

    See docs/method.md#1-objects.

    Attributes
    ----------
    specialist, ancestor : torch.nn.Module
        In evaluation mode, on one device.
    tokenizer : transformers tokenizer
        Used for both; prompts are padded on the left.
    device, dtype : torch.device, torch.dtype
    eos_ids : tuple of int
        Tokens that end a trace.
    pad_id : int
    vocab_size : int
        The shared vocabulary: logits beyond it are trimmed.
    specialist_name, ancestor_name : str
    chat : bool
        Prompts are user messages: the tokenizer's chat template is put round each.
    system : str
        A system message before it; "" for none.
    chat_options : dict
        Further arguments of the template, such as ``{"enable_thinking": False}``.
    reads_padded : bool
        Rows of unequal length may be read together, padded. Where False (recurrent models in which
        padding would leave a trace), only rows of one length are.
    reads_several : bool
        Several tokens may go on from a cache at once. Where False, they are fed one by one.
    """

    specialist: Any = field(repr=False)
    ancestor: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    device: torch.device
    dtype: torch.dtype
    eos_ids: tuple[int, ...]
    pad_id: int
    vocab_size: int
    specialist_name: str
    ancestor_name: str
    chat: bool = False
    system: str = ""
    chat_options: Mapping[str, Any] = field(default_factory=dict)
    reads_padded: bool = True
    reads_several: bool = True

    def name_of(self, model: Any) -> str:
        """Return the role and the name of one of both models, for messages."""
        role = "specialist" if model is self.specialist else "ancestor"
        return f"{role} {getattr(self, f'{role}_name')!r}"

    def encode(self, prompts: Sequence[str]) -> list[list[int]]:
        """Return the tokens that the models read for each prompt."""
        if not self.chat:
            return (
                [list(each) for each in self.tokenizer(list(prompts))["input_ids"]]
                if len(prompts)
                else []
            )
        return [
            write_chat(self.tokenizer, prompt, self.system, self.chat_options) for prompt in prompts
        ]

    @property
    def max_positions(self) -> int | None:
        """Longest prompt plus trace that both models can read; None where neither says."""
        models = [each for each in (self.specialist, self.ancestor) if each is not None]
        configs = (model.config.get_text_config() for model in models)
        limits = [getattr(config, "max_position_embeddings", None) for config in configs]
        return min((limit for limit in limits if limit and limit > 0), default=None)


@checks.takes(
    trust_remote_code=checks.FLAG,
    chat=checks.FLAG,
    system=checks.TEXT,
    chat_options=checks.MAPPING,
    check_memory=checks.FLAG,
)
def load_pair(
    specialist: Any,
    ancestor: Any,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype = "float32",
    trust_remote_code: bool = False,
    tokenizer: Any = None,
    chat: bool = False,
    system: str = "",
    chat_options: Mapping[str, Any] | None = None,
    check_memory: bool = True,
) -> Pair:
    """Load any two Hugging Face causal language models that share a tokenizer.

    Parameters
    ----------
    specialist, ancestor : str, Path or model
        A folder, a hub id, or a model already in memory (put in evaluation mode, otherwise used as
        it is; moved only if `device` is given). Weights are read from safetensors only. The folder
        of an adapter (LoRA) is merged in memory into the base that it names, or the ancestor; it
        needs the extra `peft`.
    device : str, optional
        ``None``: an accelerator if there is one for loaded folders, else the CPU.
    dtype : str or torch.dtype
        Of models loaded here: float32, float64, float16 or bfloat16.
    trust_remote_code : bool
        Passed to transformers; runs code that comes with the checkpoint.
    tokenizer : optional
        Used for both models in place of their own; needed where a model in memory does not know its
        folder, or where the two name some special tokens differently.
    chat : bool
        Put the tokenizer's chat template round every prompt, as one user message.
    system : str
        A system message before it (chat only).
    chat_options : dict, optional
        Further arguments of the chat template, such as ``{"enable_thinking": False}``.
    check_memory : bool
        Estimate, before anything is read, what both models take (headers of the safetensors files;
        the configuration of a hub id), and refuse what does not fit.

    Returns
    -------
    Pair

    Raises
    ------
    InputError
        Missing folder, a device that is not there, a checkpoint that is cut short, lacks weights or
        is of another architecture than it says or quantised, an adapter that does not fit its base,
        tokenizers that differ before their ends, ordinary tokens that a model has no row for, no
        end-of-sequence token that both have, no padding token and nothing to stand in for it,
        models on different devices or too large for the memory there is, no chat template with
        ``chat=True``, a model that says something else with its cache than without.

    Examples
    --------
    A specialist and the model that it was trained from share a tokenizer.

    >>> import recover_nb as rnb
    >>> lab = rnb.example_folder().parent / "lab" / "neox"
    >>> pair = rnb.load_pair(lab / "sft", lab / "ancestor")
    >>> ids = pair.tokenizer.encode("2+3=")
    >>> len(ids), pair.tokenizer.decode(ids)
    (4, '2+3=')
    """
    dtype = str(dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} cannot be used; allowed: {', '.join(DTYPES)}")
    if device is not None:
        check_device(device)
    sources = {"specialist": specialist, "ancestor": ancestor}
    for role, source in sources.items():
        _check_source(role, source, trust_remote_code)
    # What is read first, and what an adapter is merged into.
    bases = {
        role: base_of(role, source, ancestor if role == "specialist" else None)
        if is_adapter(source)
        else source
        for role, source in sources.items()
    }
    for role, base in bases.items():
        if base is not sources[role]:
            _check_source(role, base, trust_remote_code)
    if check_memory:
        check_memory_of(
            bases, device or _default_device(), dtype, trust_remote_code=trust_remote_code
        )
    models = {
        role: _load_model(role, source, bases[role], device, dtype, trust_remote_code)
        for role, source in sources.items()
    }
    check_not_adapted(**models)
    if tokenizer is None:
        named = {
            role: source if source is bases[role] or has_own_tokenizer(source) else bases[role]
            for role, source in sources.items()
        }
        tokenizer, size = shared_tokenizer(named, trust_remote_code)
    else:
        size = entries(tokenizer)
    _check_chat(tokenizer, chat, system, chat_options)
    vocab_size = shared_vocabulary(tokenizer, size, models)
    devices = [next(model.parameters()).device for model in models.values()]
    if devices[0] != devices[1]:
        raise InputError(
            f"specialist is on {devices[0]} and ancestor on {devices[1]}; give load_pair a device"
        )
    pair = Pair(
        **models,
        tokenizer=tokenizer,
        device=devices[0],
        dtype=next(models["specialist"].parameters()).dtype,
        eos_ids=end_tokens(tokenizer, models["specialist"], vocab_size),
        pad_id=padding_token(tokenizer, vocab_size),
        vocab_size=vocab_size,
        specialist_name=_name(specialist),
        ancestor_name=_name(ancestor),
        chat=chat,
        system=system,
        chat_options=dict(chat_options or {}),
    )
    # The loop that is checked works on pairs.
    from recover_nb.generation.decoding.self_check import check_reading

    return check_reading(pair)


def load_ancestor(
    ancestor: Any,
    *,
    tokenizer: Any,
    device: str | torch.device | None = None,
    dtype: str = "float32",
    trust_remote_code: bool = False,
) -> Pair:
    """Load an ancestor for a specialist that runs elsewhere, in a loop of another library.

    Parameters
    ----------
    ancestor : str, Path or model
        As in `load_pair`.
    tokenizer : transformers tokenizer
        The specialist's.
    device, dtype, trust_remote_code
        As in `load_pair`.

    Returns
    -------
    Pair
        Its specialist is None.

    Raises
    ------
    InputError
        As `load_pair`; another tokenizer than the ancestor's own, where it has one.
    """
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} cannot be used; allowed: {', '.join(DTYPES)}")
    if device is not None:
        check_device(device)
    _check_source("ancestor", ancestor, trust_remote_code)
    model = _load_model("ancestor", ancestor, ancestor, device, dtype, trust_remote_code)
    own = own_tokenizer("ancestor", ancestor, trust_remote_code)
    size = entries(tokenizer)
    if own is not None:
        check_same(tokenizer, own)
        size = min(size, entries(own))
    vocab_size = shared_vocabulary(tokenizer, size, {"ancestor": model})
    return Pair(
        specialist=None,
        ancestor=model,
        tokenizer=tokenizer,
        device=next(model.parameters()).device,
        dtype=next(model.parameters()).dtype,
        eos_ids=end_tokens(tokenizer, model, vocab_size),
        pad_id=padding_token(tokenizer, vocab_size),
        vocab_size=vocab_size,
        specialist_name="",
        ancestor_name=_name(ancestor),
    )


def _default_device() -> str | torch.device:
    return torch.accelerator.current_accelerator() if torch.cuda.is_available() else "cpu"


def _check_chat(
    tokenizer: Any, chat: bool, system: str, chat_options: Mapping[str, Any] | None
) -> None:
    if chat and not getattr(tokenizer, "chat_template", None):
        raise InputError(
            "chat=True, but the tokenizer has no chat template; leave chat out, or set"
            " tokenizer.chat_template and pass tokenizer="
        )
    if not chat and (system or chat_options):
        given = "system" if system else "chat_options"
        raise InputError(f"{given} was given without chat=True; a plain prompt has no place for it")


def _is_path(source: Any) -> bool:
    return isinstance(source, str | PathLike)


def _name(source: Any) -> str:
    if _is_path(source):
        return str(source)
    return getattr(source.config, "_name_or_path", "") or type(source).__name__


def _load_model(
    role: str, source: Any, base: Any, device: Any, dtype: str, trust_remote_code: bool
) -> Any:
    if not _is_path(source):
        return (source if device is None else source.to(device)).eval()
    model = load_checkpoint(role, base, dtype=dtype, trust_remote_code=trust_remote_code)
    if base is not source:
        model = merge_adapter(role, source, model)
    return model.to(device or _default_device()).eval()


def _check_source(role: str, source: Any, trust_remote_code: bool) -> None:
    """Say that a folder is missing before transformers goes looking for it on the network."""
    if _is_path(source):
        check_folder(role, source, trust_remote_code=trust_remote_code)
    if not _is_path(source):
        if not hasattr(source, "config") or not hasattr(source, "parameters"):
            inner = isinstance(getattr(source, "module", None), torch.nn.Module)
            raise InputError(
                f"{role} is a {type(source).__name__}; allowed: a folder, a hub id or a Hugging"
                f" Face causal LM{': give the model in it (.module)' if inner else ''}"
            )
    elif is_adapter(source):
        return
    elif Path(source).is_dir():
        if not (Path(source) / "config.json").is_file():
            raise InputError(
                f"{role} folder {str(source)!r} has no config.json; allowed: a Hugging Face"
                " checkpoint"
            )
    elif not isinstance(source, str) or not HUB_ID.fullmatch(source):
        raise InputError(
            f"{role} folder {str(source)!r} does not exist; give a checkpoint folder or a hub id"
        )
