"""Under which name a model takes its cache: asked of its forward, never guessed."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from decoding_models import TableModel, table_pair, tiny_model

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import Settings, decode, score_traces
from recover_nb.generation.decoding.cached_model import (
    Forward,
    cache_name,
    forward_arguments,
    new_cache,
)

#: Token 0 is followed by 1, 1 by 2, 2 by 0.
CHAIN = [[0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.8, 0.1, 0.1]]
KEYS = np.array([1], dtype=np.uint64)


class Chain(TableModel):
    """Remembers what it was given."""

    def __init__(self):
        super().__init__(CHAIN)
        self.given = []

    def answer(self, input_ids, **caches):
        self.given.append(caches)
        return SimpleNamespace(logits=self.table[input_ids])


class TakesCache(Chain):
    def forward(self, input_ids, attention_mask=None, cache=None, use_cache=False):
        return self.answer(input_ids, cache=cache)


class TakesPast(Chain):
    def forward(self, input_ids, attention_mask=None, past_key_values=None, use_cache=False):
        return self.answer(input_ids, past_key_values=past_key_values)


class TakesBoth(Chain):
    def forward(
        self, input_ids, attention_mask=None, past_key_values=None, cache=None, use_cache=False
    ):
        return self.answer(input_ids, cache=cache, past_key_values=past_key_values)


class TakesAnything(Chain):
    def forward(self, input_ids, attention_mask=None, **kwargs):
        return self.answer(input_ids, **kwargs)


class TakesNothing(Chain):
    def forward(self, input_ids, attention_mask=None, use_cache=False):
        return self.answer(input_ids)


class Adapted(torch.nn.Module):
    """As PEFT wraps a model: arguments it does not know go on in ``**kwargs``."""

    def __init__(self, base):
        super().__init__()
        self.base, self.config = base, base.config

    def get_base_model(self):
        return self.base

    def forward(self, input_ids=None, attention_mask=None, labels=None, **kwargs):
        return self.base(input_ids=input_ids, attention_mask=attention_mask, **kwargs)


class Sealed(Adapted):
    """Passes nothing on."""

    def forward(self, input_ids=None, attention_mask=None, use_cache=False):
        return self.base(input_ids=input_ids, attention_mask=attention_mask)


def compiled(model):
    return torch.compile(model, backend="eager")


def chain_pair(specialist):
    return replace(table_pair(CHAIN, CHAIN), specialist=specialist)


@pytest.mark.parametrize(
    ("model", "name"),
    [(TakesCache(), "cache"), (TakesPast(), "past_key_values"), (TakesBoth(), "cache")],
)
def test_the_cache_goes_under_the_name_of_the_signature(model, name):
    settings = Settings(temperature=0, max_new_tokens=4, logit_grid=0)
    found = decode(chain_pair(model), ["any"], KEYS, np.arange(1), "retry", settings)
    assert found.token_id[0, 0].tolist() == [1, 2, 0, 1]
    assert len(model.given) == 4
    caches = [given[name] for given in model.given]
    assert caches[0] is not None
    # One cache, step after step; the other name stays empty.
    assert len({id(cache) for cache in caches}) == 1
    assert all(
        cache is None for given in model.given for other, cache in given.items() if other != name
    )


@pytest.mark.parametrize("model", [TakesAnything(), TakesNothing(), Sealed(TakesCache())])
def test_a_model_that_names_no_cache_is_refused(model):
    settings = Settings(max_new_tokens=4)
    says = f"{type(model).__name__}: .*allowed is an argument named cache or past_key_values"
    with pytest.raises(InputError, match=says):
        decode(chain_pair(model), ["any"], KEYS, np.arange(1), "retry", settings)
    with pytest.raises(InputError, match=says):
        score_traces(chain_pair(model), ["any"], np.array([[[1, 2]]]), np.array([[2]]), settings)


@pytest.mark.parametrize("base", [TakesCache, TakesPast, TakesBoth])
@pytest.mark.parametrize(
    "wrap", [Adapted, compiled, torch.nn.DataParallel, lambda base: compiled(Adapted(base))]
)
def test_wrappers_are_looked_through(base, wrap):
    assert cache_name(wrap(base())) == cache_name(base())
    with pytest.raises(InputError):
        cache_name(wrap(TakesAnything()))


def test_what_a_wrapper_takes_itself_counts_too():
    assert forward_arguments(Adapted(TakesCache())) == {
        "input_ids",
        "attention_mask",
        "labels",
        "cache",
        "use_cache",
    }
    assert forward_arguments(Sealed(TakesCache())) == {"input_ids", "attention_mask", "use_cache"}
    assert forward_arguments(TakesAnything()) == {"input_ids", "attention_mask"}


@pytest.mark.parametrize("architecture", ["neox", "qwen3", "llama", "gpt2"])
def test_a_wrapped_model_of_transformers_goes_on_from_its_cache(architecture):
    model = tiny_model(architecture)
    ids, positions = torch.tensor([[3, 4, 5, 6]]), torch.arange(4)[None]
    pair = SimpleNamespace(vocab_size=28)
    for each in (model, Adapted(model)):
        forward, cache = Forward(each, pair), new_cache(model)
        with torch.inference_mode():
            whole = forward(ids, None, positions, keep=4)
            first = forward(ids[:, :3], None, positions[:, :3], cache, keep=3)
            last = forward(ids[:, 3:], None, positions[:, 3:], cache)
        assert cache.get_seq_length() == 4
        torch.testing.assert_close(torch.cat([first, last], 1), whole, rtol=1e-4, atol=1e-4)
        # Without the cache the last token is the first of a text: another answer.
        assert not torch.allclose(
            forward(ids[:, 3:], None, positions[:, 3:]), whole[:, 3:], atol=1e-2
        )
