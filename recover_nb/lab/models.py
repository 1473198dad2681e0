"""Architectures of the two families: under half a million parameters each."""

import torch
from transformers import AutoModelForCausalLM, GPTNeoXConfig, PreTrainedModel, Qwen3Config

from recover_nb.labels import Family

_WIDTH, _LAYERS, _HEADS, _POSITIONS = 96, 4, 4, 192


def make_config(family: str, tokenizer) -> Qwen3Config | GPTNeoXConfig:
    """Return the configuration of a family for a tokenizer."""
    shared = dict(
        vocab_size=len(tokenizer),
        hidden_size=_WIDTH,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        max_position_embeddings=_POSITIONS,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=False,
    )
    if Family(family) is Family.QWEN3:
        return Qwen3Config(
            **shared, num_key_value_heads=_HEADS, head_dim=_WIDTH // _HEADS, intermediate_size=256
        )
    return GPTNeoXConfig(**shared, intermediate_size=384, rotary_pct=1.0)


def make_model(family: str, tokenizer, seed: int) -> PreTrainedModel:
    """Return a randomly initialised model of a family, the same for the same seed."""
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(make_config(family, tokenizer))
