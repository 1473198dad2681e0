"""Fixtures that several test modules share."""

import hypothesis
import pytest

# A shared machine can be slow: an example that took long is no fault.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Return a folder of tiny random ``qwen3`` checkpoints: ancestor, specialists sft and grpo."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen3Config

    from recover_nb.generation.lab.tokenizers import make_tokenizer

    root = tmp_path_factory.mktemp("lab")
    tokenizer = make_tokenizer("qwen3")
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=16,
        max_position_embeddings=160,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    for seed, method in enumerate(("ancestor", "sft", "grpo")):
        torch.manual_seed(seed)
        folder = root / "qwen3" / method
        model = AutoModelForCausalLM.from_config(config)
        # Random weights give flat logits; sharper ones make operators fire and traces differ.
        model.get_output_embeddings().weight.data *= 20
        # One end of sequence among 60 tokens would seldom come: a sixth of them end a trace.
        model.generation_config.eos_token_id = [tokenizer.eos_token_id, *range(6, 60, 6)]
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return root


@pytest.fixture(scope="session")
def pair(lab):
    from recover_nb.generation.lineage import load_lineage

    return load_lineage("qwen3", "sft", root=lab, device="cpu")
