"""Tiny random models and a character tokenizer for the decoding tests."""

import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

CHARACTERS = "0123456789+-*=;?abcxyz ()\n"
SIZES = {
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_size": 32,
    "max_position_embeddings": 128,
}


def char_tokenizer(extra: str = "", **special) -> PreTrainedTokenizerFast:
    """A WordLevel tokenizer of single characters, `extra` tokens, and <pad>, <eos>."""
    words = ["<pad>", "<eos>", *CHARACTERS, *extra.split()]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="?"))
    pattern = pre_tokenizers.Split("", "isolated") if not extra else None
    if extra:
        from tokenizers import Regex

        pattern = pre_tokenizers.Split(Regex(r"\d+|."), "isolated")
    tokenizer.pre_tokenizer = pattern
    names = {"pad_token": "<pad>", "eos_token": "<eos>", **special}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, clean_up_tokenization_spaces=False,
        **{name: token for name, token in names.items() if token},
    )  # fmt: skip


def tiny_config(architecture: str, vocab_size: int, **changes):
    """A configuration of two layers whose logits are a few units wide."""
    shared = {
        "vocab_size": vocab_size,
        "bos_token_id": None,
        "eos_token_id": 1,
        "pad_token_id": 0,
        **SIZES,
        **changes,
    }
    if architecture == "gpt2":
        return GPT2Config(initializer_range=0.3, n_positions=shared["max_position_embeddings"], **{
            "vocab_size": vocab_size, "n_layer": 2, "n_head": 2, "n_embd": 32,
            "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0,
        })  # fmt: skip
    shared |= {"intermediate_size": 64, "initializer_range": 0.3}
    if architecture == "neox":
        return GPTNeoXConfig(tie_word_embeddings=False, **shared)
    if architecture == "qwen3":
        return Qwen3Config(head_dim=16, num_key_value_heads=1, **shared)
    return LlamaConfig(num_key_value_heads=2, **shared)


def tiny_model(
    architecture: str = "llama", seed: int = 0, vocab_size: int = 28, dtype=torch.float32, **changes
):
    """A randomly initialised causal language model in evaluation mode."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(tiny_config(architecture, vocab_size, **changes))
    return model.to(dtype).eval()
