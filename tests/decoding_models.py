"""Tiny random models and a character tokenizer for the decoding tests."""

from types import SimpleNamespace

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from recover_nb.generation.decoding import Pair

CHARACTERS = "0123456789+-*=;?abcxyz ()\n"
SIZES = {
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_size": 32,
    "max_position_embeddings": 128,
}


def char_tokenizer(numbers: str = "", **special) -> PreTrainedTokenizerFast:
    """A WordLevel tokenizer of <pad>, <eos>, single characters, and whole `numbers` (in words)."""
    words = ["<pad>", "<eos>", *CHARACTERS, *numbers.split()]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="?"))
    pattern = Regex(r"\d+|.") if numbers else ""
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
    names = {"pad_token": "<pad>", "eos_token": "<eos>", **special}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        clean_up_tokenization_spaces=False,
        **{name: token for name, token in names.items() if token},
    )


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
        return GPT2Config(
            initializer_range=0.3,
            n_positions=shared["max_position_embeddings"],
            **{
                "vocab_size": vocab_size,
                "n_layer": 2,
                "n_head": 2,
                "n_embd": 32,
                "bos_token_id": None,
                "eos_token_id": 1,
                "pad_token_id": 0,
            },
        )
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


def near(model, seed: int = 1, step: float = 0.1):
    """An ancestor for `model`: its weights moved a little towards another random model's."""
    config = model.config
    torch.manual_seed(seed)
    other = AutoModelForCausalLM.from_config(config).to(model.dtype).eval()
    with torch.no_grad():
        for theirs, ours in zip(other.parameters(), model.parameters(), strict=True):
            theirs.lerp_(ours, 1 - step)
    return other


class TableModel(torch.nn.Module):
    """A language model whose logits depend on the last token only: row `token` of table (V, V)."""

    def __init__(self, probabilities) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.tensor(np.log(probabilities), dtype=torch.float32))
        self.config = LlamaConfig(vocab_size=len(self.table), num_hidden_layers=1)

    def forward(self, input_ids, attention_mask=None, past_key_values=None, use_cache=False):
        return SimpleNamespace(logits=self.table[input_ids])


def table_pair(specialist, ancestor, tokenizer=None, eos_ids=(99,), names=("S", "A")) -> Pair:
    """A pair of `TableModel`s; the default end-of-sequence token is outside the vocabulary."""
    models = TableModel(specialist), TableModel(ancestor)
    return Pair(
        *models,
        tokenizer=tokenizer or (lambda prompts: {"input_ids": [[0] for _ in prompts]}),
        device=torch.device("cpu"),
        dtype=torch.float32,
        eos_ids=eos_ids,
        pad_id=0,
        vocab_size=len(specialist),
        specialist_name=names[0],
        ancestor_name=names[1],
    )
