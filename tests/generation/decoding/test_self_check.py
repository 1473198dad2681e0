"""A model whose cache says something else is refused when loaded; slow ways are exact ways."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from decoding_models import char_tokenizer, near, tiny_model
from tiny_architectures import tiny_model_of

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import (
    Settings,
    calibrate,
    decode,
    load_pair,
    score_traces,
)
from recover_nb.generation.decoding.operators import find_operator
from recover_nb.generation.decoding.plan import plan_batches

PROMPTS = ["12+3=", "a=5;b=a+2;c=b*b;b?", "1", "9-b=x"]
KEYS = np.arange(4, dtype=np.uint64)
#: Two layers of every kind: attention alone, states alone, both side by side, both in one layer.
TYPES = ["mamba", "falcon_mamba", "jamba", "lfm2", "qwen3_next", "bamba", "zamba", "falcon_h1"]


class Wrapped(torch.nn.Module):
    """Passes on what the model in it needs, but for what a fault leaves out."""

    def __init__(self, inner, fault):
        super().__init__()
        self.inner, self.config, self.fault = inner, inner.config, fault

    def get_output_embeddings(self):
        return self.inner.get_output_embeddings()

    def forward(self, input_ids, attention_mask=None, cache=None, use_cache=None):
        if self.fault == "raises" and cache is not None:
            raise KeyError("state")
        if self.fault == "no mask":
            attention_mask = None
        # Without places, a padded row is read as if it began later.
        kept = None if self.fault == "no cache" else cache
        return self.inner(
            input_ids=input_ids, attention_mask=attention_mask, cache=kept, use_cache=use_cache
        )


def wrapped_pair(fault):
    model = tiny_model()
    return load_pair(Wrapped(model, fault), near(model), tokenizer=char_tokenizer())


def test_a_model_that_forgets_its_cache_is_refused():
    says = r"specialist 'Wrapped' \(Wrapped\) says something else with its cache than without"
    with pytest.raises(InputError, match=says):
        wrapped_pair("no cache")


def test_a_model_that_raises_with_a_cache_is_refused():
    with pytest.raises(InputError, match=r"\(Wrapped\) cannot be decoded: .* KeyError \('state'\)"):
        wrapped_pair("raises")


def test_a_model_that_forgets_its_mask_reads_rows_of_one_length():
    pair = wrapped_pair("no mask")
    assert (pair.reads_padded, pair.reads_several) == (False, True)
    settings = Settings(max_new_tokens=8)
    found, wanted = (
        decode(each, PROMPTS, KEYS, np.arange(3), "dense_sample", settings).token_id
        for each in (
            pair,
            load_pair(pair.specialist.inner, pair.ancestor, tokenizer=pair.tokenizer),
        )
    )
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("model_type", ["rwkv", "xlstm", "recurrent_gemma", "openai-gpt"])
def test_states_that_are_no_cache_are_refused(model_type):
    model = tiny_model_of(model_type)
    with pytest.raises(InputError, match=type(model).__name__):
        load_pair(model, model, tokenizer=char_tokenizer())


#: Experts are multiplied in float32 at most.
SINGLE = ["jamba", "qwen3_next"]


@pytest.fixture(scope="module", params=TYPES)
def pair(request):
    """In float64 where that is possible, so that equality is not left to chance."""
    dtype = torch.float32 if request.param in SINGLE else torch.float64
    model = tiny_model_of(request.param, dtype=dtype)
    return load_pair(model, near(model), tokenizer=char_tokenizer())


@pytest.mark.filterwarnings("ignore")
def test_recurrent_rows_do_not_depend_on_the_batch(pair):
    """Rows end, are dropped and repeated, and an ancestor that is asked late catches up."""
    settings = Settings(max_new_tokens=12)
    arguments = pair, PROMPTS, KEYS, np.arange(3)
    observed = decode(*arguments, "none", settings, record=True)
    assert observed.stopped.any() or observed.n_tokens.min() == 12
    learned = calibrate(observed, np.ones((4, 3), dtype=bool), settings)
    # The threshold is a score of these very rows: in float32 rounding can reach it.
    steered = [("sparse_steer", learned)] if pair.dtype == torch.float64 else []
    for name, given in [("retry", None), *steered]:
        found = [
            decode(*arguments, name, replace(settings, batch_size=n), calibration=given)
            for n in (1, 5, 12)
        ]
        for each in found[1:]:
            np.testing.assert_array_equal(each.token_id, found[0].token_id)
            np.testing.assert_array_equal(each.fired_at, found[0].fired_at)


@pytest.mark.filterwarnings("ignore")
def test_recorded_signals_of_recurrent_models_are_those_of_a_plain_pass(pair):
    settings = Settings(max_new_tokens=8)
    found = decode(pair, PROMPTS, KEYS, np.arange(2), "none", settings, record=True)
    again = score_traces(pair, PROMPTS, found.token_id, found.n_tokens, settings)
    for name, values in found.signals.items():
        np.testing.assert_allclose(values, again[name], atol=2e-3, err_msg=name)


def test_batches_of_one_length(monkeypatch):
    """Prompts of 1, 5, 5 and 18 tokens, three rows each, at most seven rows together."""
    model = tiny_model()
    pair = load_pair(model, near(model), tokenizer=char_tokenizer())
    settings = Settings(max_new_tokens=3, batch_size=7)

    def sizes(pair):
        operator = find_operator("retry")
        plan = plan_batches(
            pair, PROMPTS, KEYS, np.arange(3), operator, settings, None, False, None
        )
        return [len(batch) for batch, _, _ in plan]

    assert sizes(pair) == [7, 5]
    assert sizes(replace(pair, reads_padded=False)) == [3, 6, 3]
