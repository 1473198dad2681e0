"""Architectures of the two families, and how their weights begin.

Each has under half a million parameters.
"""

import math
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GPTNeoXConfig, PreTrainedModel, Qwen3Config

from recover_nb.core.labels import Family

_WIDTH, _LAYERS, _HEADS, _POSITIONS = 96, 4, 4, 192


#: Strength of the first layer's look-back, in attention logits, and how many of the fastest rotary
#: pairs carry it.
_LOOK_BACK, _LOOK_BACK_PAIRS = 4.0, 4


def make_config(family: str, tokenizer) -> Qwen3Config | GPTNeoXConfig:
    """Return the configuration of a family for a tokenizer."""
    shared: dict[str, Any] = dict(
        vocab_size=len(tokenizer),
        hidden_size=_WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        max_position_embeddings=_POSITIONS,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=False,
        attention_bias=True,
    )
    if Family(family) is Family.QWEN3:
        return Qwen3Config(
            **shared, num_key_value_heads=_HEADS, head_dim=_WIDTH // _HEADS, intermediate_size=256
        )
    return GPTNeoXConfig(
        **shared, intermediate_size=384, rotary_pct=1.0, use_parallel_residual=False
    )


def make_model(family: str, tokenizer, seed: int) -> PreTrainedModel:
    """Return an untrained model of a family, the same for the same seed.

    Weights are random but for the queries and keys that `_look_back` and `_match_alike` set.
    Without those, recalling a fact from the prompt is not learned within this budget: attention
    starts out flat, and a model that attends to everything alike gets almost no gradient towards
    the one place that matters.
    """
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(make_config(family, tokenizer))
    with torch.no_grad():
        first, *later = _attention_of(model)
        _look_back(first, model.config)
        # Normalised queries and keys (Qwen3) are large enough to match alike from the start.
        if Family(family) is Family.NEOX:
            for query_key in later:
                _match_alike(query_key)
    return model


def _attention_of(
    model: PreTrainedModel,
) -> list[tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]]:
    """Return each layer's query and key, both as weight and bias.

    Weights are (heads, head size, width), biases (heads, head size).
    """
    if isinstance(model.config, Qwen3Config):
        return [
            tuple(
                (part.weight.view(_HEADS, -1, _WIDTH), part.bias.view(_HEADS, -1))
                for part in (layer.self_attn.q_proj, layer.self_attn.k_proj)
            )
            for layer in model.model.layers
        ]
    fused = [layer.attention.query_key_value for layer in model.gpt_neox.layers]
    split = [(f.weight.view(_HEADS, 3, -1, _WIDTH), f.bias.view(_HEADS, 3, -1)) for f in fused]
    return [tuple((weight[:, i], bias[:, i]) for i in (0, 1)) for weight, bias in split]


def _look_back(query_key: tuple, config) -> None:
    """Let head h of a layer attend mostly h + 1 tokens back, by its biases alone.

    It does so whatever stands there.

    Rotary embeddings turn a pair of numbers by `frequency * position`; a key turned ahead by
    `frequency * distance` agrees most with a query that many tokens later.
    """
    (_, query), (_, key) = query_key
    half = query.shape[-1] // 2
    frequency = config.rope_parameters["rope_theta"] ** -(torch.arange(_LOOK_BACK_PAIRS) / half)
    amplitude = math.sqrt(_LOOK_BACK * math.sqrt(2 * half) / _LOOK_BACK_PAIRS)
    query.zero_()
    key.zero_()
    query[:, :_LOOK_BACK_PAIRS] = amplitude
    for head in range(_HEADS):
        angle = frequency * (head + 1)
        key[head, :_LOOK_BACK_PAIRS] = amplitude * angle.cos()
        key[head, half : half + _LOOK_BACK_PAIRS] = amplitude * angle.sin()


def _match_alike(query_key: tuple) -> None:
    """Let queries equal keys, orthonormal, so that places with alike content attend to one another.

    The queries' half of Trockman and Kolter, Mimetic Initialization of Self-Attention Layers
    (2023).
    """
    (query, _), (key, _) = query_key
    alike = torch.linalg.qr(torch.randn(_WIDTH, _WIDTH))[0].view_as(query)
    query.copy_(alike)
    key.copy_(alike)
