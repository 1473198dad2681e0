"""Every causal architecture of transformers, as small as it can be built."""

import inspect
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

VOCAB = 40
#: What a configuration may call a size, and how small it is made.
SMALL: dict[str, Any] = {
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), VOCAB),
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "dim_model", "embedding_size"), 32),
    **dict.fromkeys(("word_embed_proj_dim", "emb_dim", "lru_width", "embedding_dim"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 4),
    **dict.fromkeys(("decoder_layers", "encoder_layers", "num_blocks", "depth"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads"), 2),
    **dict.fromkeys(("head_dim", "attention_head_dim", "v_head_dim", "kv_channels"), 16),
    **dict.fromkeys(("rotary_dim", "hidden_size_per_layer_input"), 8),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "d_inner"), 64),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim", "dim_ff", "dff", "mamba_d_ssm"), 64),
    **dict.fromkeys(("moe_intermediate_size", "expert_dim", "shared_expert_intermediate_size"), 16),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk", "moe_k", "num_experts_per_token"), 2),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "n_groups"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim"), 8),
    **dict.fromkeys(("linear_num_value_heads", "linear_num_key_heads", "linear_num_heads"), 2),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "linear_head_dim"), 8),
    **dict.fromkeys(("state_size", "ssm_state_size", "mamba_d_state"), 8),
    **dict.fromkeys(("chunk_size", "mamba_chunk_size"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 128),
    **dict.fromkeys(("sliding_window", "window_size"), 6),
    **dict.fromkeys(("initializer_range", "init_std"), 0.3),
    **dict.fromkeys(("bos_token_id", "decoder_start_token_id"), 2),
    "mamba_n_heads": 4,
    "num_kv_shared_layers": 0,
    "use_mamba_kernels": False,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "forced_eos_token_id": None,
    "is_decoder": True,
}
HYBRID = ["linear_attention", "full_attention"] * 2
INKLING = {"unpadded_vocab_size": VOCAB, "swa_num_attention_heads": 4, "swa_head_dim": 16}
INKLING |= {"swa_num_key_value_heads": 2, "sliding_window_size": 6, "rel_extent": 16}
QWEN4 = {"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 16, "hc_lowrank": 8}
QWEN4 |= {"indexer_budget": 16, "indexer_compress_ratio": 4, "ngram_vocab_size_base": 64}
#: What single architectures need beside.
CHANGES: dict[str, dict[str, Any]] = {
    "bailing_hybrid": {"layer_group_size": 2},
    "bamba": {"attn_layer_indices": [1, 3]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 2},
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "rope_parameters": {
            name: {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]}
            for name in ("sliding_attention", "full_attention")
        },
    },
    "helium": {"head_dim": 8},
    # Narrow weights: rounding grows to other tokens in wide ones.
    "hrm_text": {"initializer_range": 0.1},
    "nemotron_h": {"initializer_range": 0.1},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "inkling2_text": INKLING,
    "inkling2_loop_text": INKLING,
    "kimi_linear": {"layer_types": HYBRID},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "qwen4_exp_text": QWEN4,
    "reformer": {"axial_pos_embds": False, "attn_layers": ["local", "lsh"]},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    "zamba": {"layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"]},
    "zamba2": {"layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"], "num_mem_blocks": 1},
    "zaya": {"num_experts_per_tok": 1},
    "mamba2": {"num_heads": 2, "head_dim": 32},
}


#: What is not tried here, and why.
NOT_BUILT = {
    "blt": "its patcher is a model of its own, of fixed size",
    "dbrx": "its configuration cannot be made small",
    "dots3_note": "reads images and sound; its text model has fixed sizes",
    "dots3_note_text": "has fixed sizes",
    "fuyu": "reads images; its vision model has fixed sizes",
    "gemma3": "reads images; its vision model has fixed sizes (gemma3_text is tried)",
    "gemma3n": "needs timm",
    "gemma4_assistant": "drafts for another model and has no cache of its own",
    "gemma4_unified": "reads images and sound (gemma4_unified_text is tried)",
    "gemma4_unified_assistant": "drafts for another model and has no cache of its own",
    "got_ocr2": "reads images; its vision model has fixed sizes",
    "moshi": "speaks: reads codes of sound beside text",
    "moss_transcribe_diarize": "reads sound",
    "musicgen": "writes codes of sound",
    "musicgen_melody": "writes codes of sound",
    "qwen4_exp": "reads images (qwen4_exp_text is tried)",
}


def causal_types() -> list[str]:
    """The model types that transformers has causal language models for."""
    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_config(model_type: str) -> Any:
    """The configuration of a tiny model of this type."""
    kind = CONFIG_MAPPING[model_type]
    return kind(**{**_small(kind), **CHANGES.get(model_type, {})})


def _small(kind: Any) -> dict[str, Any]:
    """What shrinks a configuration of this class, and those in it."""
    known = set(inspect.signature(kind.__init__).parameters)
    known |= {name for each in kind.__mro__ for name in getattr(each, "__annotations__", {})}
    known |= set(getattr(kind, "attribute_map", {}))
    given = {name: size for name, size in SMALL.items() if name in known}
    if "kv_lora_rank" in given:
        # Latent attention: every head has keys of its own, turned in part.
        given |= {"num_key_value_heads": 4} if "num_key_value_heads" in given else {}
        given |= {"head_dim": 8} if "head_dim" in given else {}
    for name, inner in getattr(kind, "sub_configs", {}).items():
        if inspect.isclass(inner) and name in known and hasattr(inner, "model_type"):
            given[name] = _small(inner)
    return given


def tiny_model_of(model_type: str, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    """A random model of this type, in evaluation mode."""
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(tiny_config(model_type)).to(dtype).eval()
