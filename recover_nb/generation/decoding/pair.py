"""A specialist, its ancestor and their shared tokenizer, checked before any token is generated."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding.loading import check_device, load_checkpoint, plain_reason
from recover_nb.generation.decoding.memory import check_memory as check_memory_of

PROBE = "Solve: 47 + 85 = 132; (a) x > y, then B?\n"
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

    def encode(self, prompts: Sequence[str]) -> list[list[int]]:
        """Return the tokens that the models read for each prompt."""
        if not self.chat:
            return (
                [list(each) for each in self.tokenizer(list(prompts))["input_ids"]]
                if len(prompts)
                else []
            )
        return [self._encode_chat(prompt) for prompt in prompts]

    def _encode_chat(self, prompt: str) -> list[int]:
        messages = [{"role": "system", "content": self.system}] if self.system else []
        messages.append({"role": "user", "content": prompt})
        # The template writes its own beginning of sequence: tokenizing its text again would double
        # it.
        found = self.tokenizer.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            **self.chat_options,
        )
        return list(found["input_ids"])

    @property
    def max_positions(self) -> int | None:
        """Longest prompt plus trace that both models can read; None where neither says."""
        configs = (model.config.get_text_config() for model in (self.specialist, self.ancestor))
        limits = [getattr(config, "max_position_embeddings", None) for config in configs]
        return min((limit for limit in limits if limit), default=None)


def load_pair(
    specialist: Any,
    ancestor: Any,
    *,
    device: str | torch.device | None = None,
    dtype: str = "float32",
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
        it is; moved only if `device` is given). Weights are read from safetensors only.
    device : str, optional
        ``None``: an accelerator if there is one for loaded folders, else the CPU.
    dtype : str
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
        is of another architecture than it says, different tokenizers, a vocabulary larger than the
        model's, no end-of-sequence token, no padding token and nothing to stand in for it, models
        on different devices or too large for the memory there is, no chat template with
        ``chat=True``.

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
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} cannot be used; allowed: {', '.join(DTYPES)}")
    if device is not None:
        check_device(device)
    sources = {"specialist": specialist, "ancestor": ancestor}
    for role, source in sources.items():
        _check_source(role, source)
    if check_memory:
        check_memory_of(
            sources, device or _default_device(), dtype, trust_remote_code=trust_remote_code
        )
    models = {
        role: _load_model(role, source, device, dtype, trust_remote_code)
        for role, source in sources.items()
    }
    if tokenizer is None:
        tokenizer = _shared_tokenizer(sources, trust_remote_code)
    _check_chat(tokenizer, chat, system, chat_options)
    vocab_size = _shared_vocabulary(tokenizer, models)
    eos_ids = _eos_ids(tokenizer, models["specialist"], vocab_size)
    devices = [next(model.parameters()).device for model in models.values()]
    if devices[0] != devices[1]:
        raise InputError(
            f"specialist is on {devices[0]} and ancestor on {devices[1]}; give load_pair a device"
        )
    return Pair(
        **models,
        tokenizer=tokenizer,
        device=devices[0],
        dtype=next(models["specialist"].parameters()).dtype,
        eos_ids=eos_ids,
        pad_id=_pad_id(tokenizer),
        vocab_size=vocab_size,
        specialist_name=_name(specialist),
        ancestor_name=_name(ancestor),
        chat=chat,
        system=system,
        chat_options=dict(chat_options or {}),
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


def _load_model(role: str, source: Any, device: Any, dtype: str, trust_remote_code: bool) -> Any:
    if not _is_path(source):
        return (source if device is None else source.to(device)).eval()
    model = load_checkpoint(role, source, dtype=dtype, trust_remote_code=trust_remote_code)
    return model.to(device or _default_device()).eval()


def _check_source(role: str, source: Any) -> None:
    """Say that a folder is missing before transformers goes looking for it on the network."""
    if not _is_path(source):
        if not hasattr(source, "config"):
            raise InputError(
                f"{role} is a {type(source).__name__}; allowed: a folder, a hub id or a Hugging"
                " Face causal LM"
            )
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


def _shared_tokenizer(sources: dict[str, Any], trust_remote_code: bool) -> Any:
    loaded = {}
    for role, source in sources.items():
        name = str(source) if _is_path(source) else getattr(source.config, "_name_or_path", "")
        if not name:
            continue
        try:
            loaded[role] = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
        except (OSError, ValueError, KeyError) as error:
            if _is_path(source):
                raise InputError(
                    f"tokenizer of {role} {name!r} cannot be loaded: {plain_reason(error)}"
                ) from error
    if not loaded:
        raise InputError(
            "models in memory do not say where their tokenizer is; pass load_pair(...,"
            " tokenizer=...)"
        )
    if len(loaded) == 2:
        _check_same(loaded["specialist"], loaded["ancestor"])
    return next(iter(loaded.values()))


def _check_same(specialist: Any, ancestor: Any) -> None:
    left, right = specialist.get_vocab(), ancestor.get_vocab()
    if left != right:
        differ = sorted({token for token, _ in set(left.items()) ^ set(right.items())})
        raise InputError(
            f"specialist and ancestor have different tokenizers: {len(left)} and {len(right)}"
            f" tokens, {len(differ)} of them unlike (first {differ[0]!r}); they must share one"
            " (where only special tokens are named differently, pass load_pair(...,"
            " tokenizer=...))"
        )
    if specialist.encode(PROBE) != ancestor.encode(PROBE):
        raise InputError(
            f"specialist and ancestor tokenize {PROBE!r} differently with the same vocabulary; they"
            " must share one"
        )


def _shared_vocabulary(tokenizer: Any, models: dict[str, Any]) -> int:
    vocab_size = max(tokenizer.get_vocab().values()) + 1
    for role, model in models.items():
        width = model.get_output_embeddings().weight.shape[0]
        if width < vocab_size:
            raise InputError(
                f"{role} has {width} logits for a tokenizer of {vocab_size} tokens; it needs at"
                " least as many"
            )
    return vocab_size


def _eos_ids(tokenizer: Any, model: Any, vocab_size: int) -> tuple[int, ...]:
    """Return every token that ends a trace, of the generation config and the tokenizer.

    `generate` obeys the former.
    """
    generation = getattr(model, "generation_config", None)
    given = [getattr(generation, "eos_token_id", None), getattr(tokenizer, "eos_token_id", None)]
    if given == [None, None]:
        given = [getattr(model.config, "eos_token_id", None)]
    flat = {
        one
        for item in given
        if item is not None
        for one in (item if isinstance(item, list) else [item])
    }
    eos_ids = tuple(sorted(one for one in flat if 0 <= one < vocab_size))
    if not eos_ids:
        raise InputError(
            "neither tokenizer nor generation config names an end-of-sequence token inside the"
            " vocabulary; set tokenizer.eos_token, or traces would never end"
        )
    return eos_ids


def _pad_id(tokenizer: Any) -> int:
    for name in ("pad_token_id", "eos_token_id"):
        if getattr(tokenizer, name, None) is not None:
            return getattr(tokenizer, name)
    raise InputError(
        "the tokenizer has no padding token and no end-of-sequence token to stand in; set pad_token"
    )
