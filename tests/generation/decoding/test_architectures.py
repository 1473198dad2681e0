"""Any pair: eleven architectures decode what `generate` gives, and record a plain forward pass."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from decoding_models import char_tokenizer, near
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from recover_nb.features.signals import signals_from_logits
from recover_nb.generation.decoding import Settings, calibrate, decode, load_pair, problem_key

#: Ragged on purpose: the longest prompt is past the sliding window, the shortest within it.
PROMPTS = ["12+3=", "a=5;b=a+2;c=b*b;b?", "1"]
KEYS = np.array([problem_key("any", "x", "arithmetic", str(i)) for i in range(3)], dtype=np.uint64)
WINDOW, N_NEW = 6, 16
SHARED = {
    "vocab_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
ARCHITECTURES = {
    "llama": ("llama", {"num_key_value_heads": 2}),
    "qwen2": ("qwen2", {"num_key_value_heads": 1}),
    "qwen3": ("qwen3", {"num_key_value_heads": 1, "head_dim": 16}),
    "gpt_neox": ("gpt_neox", {}),
    "gpt2": ("gpt2", {"n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 2}),
    "phi3": ("phi3", {"num_key_value_heads": 2}),
    "phi3 window": ("phi3", {"num_key_value_heads": 2, "sliding_window": WINDOW}),
    "mistral": ("mistral", {"num_key_value_heads": 1, "sliding_window": WINDOW}),
    "olmo2": ("olmo2", {"num_key_value_heads": 2}),
    "gemma": ("gemma", {"num_key_value_heads": 1, "head_dim": 16}),
    "gemma2": ("gemma2", {"num_key_value_heads": 1, "head_dim": 16, "sliding_window": WINDOW}),
    "gemma3": ("gemma3_text", {"num_key_value_heads": 1, "head_dim": 16, "sliding_window": WINDOW}),
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def pair(request):
    """A random pair whose logits are wider than the tokenizer.

    In float64, so that equality is not left to chance, where that is possible: eager attention
    (gemma2) takes its softmax in float32, in which float64's mask is -inf.
    """
    model_type, changes = ARCHITECTURES[request.param]
    config = CONFIG_MAPPING[model_type](**{**SHARED, **changes})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).to(
        torch.float32 if request.param == "gemma2" else torch.float64
    )
    return load_pair(model.eval(), near(model), tokenizer=char_tokenizer())


def test_greedy_decoding_is_what_generate_gives(pair):
    assert pair.vocab_size == 28 < pair.specialist.get_output_embeddings().weight.shape[0]
    settings = Settings(temperature=0, max_new_tokens=N_NEW, logit_grid=0, batch_size=7)
    found = decode(pair, PROMPTS, KEYS, np.arange(2), "retry", settings)
    unused = list(range(pair.vocab_size, 40))
    for p, prompt in enumerate(PROMPTS):
        # One prompt at a time: no padding, so that the expectation cannot share a mistake with the
        # batch.
        inputs = pair.tokenizer(prompt, return_tensors="pt")
        expected = pair.specialist.generate(
            inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            do_sample=False,
            max_new_tokens=N_NEW,
            suppress_tokens=unused,
        )[0, inputs["input_ids"].shape[1] :].tolist()
        for row in range(2):
            assert found.token_id[p, row, : found.n_tokens[p, row]].tolist() == expected, prompt


def test_recorded_signals_are_a_plain_teacher_forced_pass(pair):
    settings = Settings(max_new_tokens=N_NEW, batch_size=7)
    found = decode(pair, PROMPTS, KEYS, np.arange(2), "none", settings, record=True)
    assert found.n_tokens.max() > WINDOW
    for p, prompt in enumerate(PROMPTS):
        context = pair.tokenizer(prompt)["input_ids"]
        for r in range(2):
            trace = found.token_id[p, r, : found.n_tokens[p, r]].tolist()
            ids = torch.tensor([context + trace])
            with torch.inference_mode():
                both = [
                    model(input_ids=ids).logits[0, len(context) - 1 : -1, : pair.vocab_size].float()
                    for model in (pair.specialist, pair.ancestor)
                ]
            expected = signals_from_logits(*both, torch.tensor(trace), temperature=0.6)
            for name, values in expected.items():
                np.testing.assert_allclose(
                    found.signals[name][p, r, : len(trace)],
                    values,
                    atol=1e-4,
                    err_msg=f"{name} of {prompt}",
                )


def test_replayed_prefixes_of_any_length_go_together(pair):
    """Alone, a row reads its prefix at once; beside rows that begin earlier, token by token."""
    settings = Settings(max_new_tokens=N_NEW, anchoring="replay")
    arguments = pair, PROMPTS, KEYS, np.arange(3)
    observed = decode(*arguments, "none", settings, record=True)
    learned = calibrate(observed, np.ones((3, 3), dtype=bool), settings)
    learned.junction[:] = np.minimum([[0, 9, 3], [12, 2, 5], [7, 7, 1]], observed.n_tokens - 1)
    together, alone = (
        decode(*arguments, "sparse_steer", replace(settings, batch_size=n), calibration=learned)
        for n in (9, 1)
    )
    np.testing.assert_array_equal(together.fired_at, learned.junction)
    for field in (
        "token_id",
        "n_tokens",
        "stopped",
        "fired_at",
        "forward_specialist",
        "forward_ancestor",
    ):
        np.testing.assert_array_equal(
            getattr(together, field), getattr(alone, field), err_msg=field
        )
