"""Rows that share what is held of their prompts: attention by parts is attention of the whole."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention as of_torch
from transformers import LlamaConfig, LlamaForCausalLM

from recover_nb.generation.decoding.attention import Cached, Shared
from recover_nb.generation.decoding.caches import GROWTH, GrowingLayer, new_cache

HEADS, SIZE, PROMPT, OWN = 2, 3, 4, 5
#: Rows of each of three prompts: together and even, uneven, mixed, one prompt without a row.
OWNERS = {
    "even": [0, 0, 1, 1, 2, 2],
    "uneven": [0, 0, 0, 1, 2, 2],
    "mixed": [2, 0, 1, 0, 2, 0],
    "unread": [0, 0, 2, 2, 2, 2],
}


@pytest.fixture(autouse=True)
def _inference():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def both(owner: torch.Tensor, dtype=torch.float64) -> tuple[Cached, Cached]:
    """Return keys and values of which the first part is shared."""
    shared = Shared(owner, 3)
    prompts = torch.randn(2, 3, HEADS, PROMPT, SIZE, dtype=dtype)
    room = torch.randn(2, len(owner), HEADS, OWN + 2, SIZE, dtype=dtype)
    room[..., OWN:, :] = 0
    return Cached(room[0], OWN, prompts[0], shared), Cached(room[1], OWN, prompts[1], shared)


@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
@pytest.mark.parametrize("heads", [HEADS, 3 * HEADS])
@pytest.mark.parametrize("masked", ["", "bool", "float"])
def test_parts_attend_as_the_whole_does(owner, heads, masked):
    owner = torch.tensor(owner)
    key, value = both(owner)
    query = torch.randn(len(owner), heads, 1, SIZE, dtype=torch.float64)
    mask = None
    if masked:
        mask = torch.rand(len(owner), 1, 1, PROMPT + OWN) < 0.6
        mask[..., -1] = True
        if masked == "float":
            mask = torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, -1e30)
    found = of_torch(query, key, value, attn_mask=mask, scale=0.7, enable_gqa=heads != HEADS)
    wanted = of_torch(
        query, key.whole(), value.whole(), attn_mask=mask, scale=0.7, enable_gqa=heads != HEADS
    )
    assert type(found) is torch.Tensor
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_a_prompt_without_a_row_may_be_the_last():
    layer = GrowingLayer(0)
    layer.update(states(10, 20, 30), states(11, 21, 31))
    layer.share(Shared(torch.tensor([0, 0, 1, 1, 1]), 3))
    keys, values = layer.update(states(1, 2, 3, 4, 5), states(1, 2, 3, 4, 5))
    query = torch.ones(5, 1, 1, 1)
    found = of_torch(query, keys, values)
    torch.testing.assert_close(found, of_torch(query, keys.whole(), values.whole()))


def test_half_precision_is_left_to_torch():
    owner = torch.tensor(OWNERS["even"])
    key, value = both(owner, torch.bfloat16)
    query = 8 * torch.randn(6, HEADS, 1, SIZE, dtype=torch.bfloat16)
    assert torch.equal(of_torch(query, key, value), of_torch(query, key.whole(), value.whole()))


def test_the_whole_is_the_prompt_of_each_row_and_then_its_own():
    prompt = torch.tensor([10.0, 20.0]).view(2, 1, 1, 1)
    own = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    held = Cached(own, 1, prompt, Shared(torch.tensor([1, 0, 1]), 2))
    assert held.shape == (3, 1, 2, 1)
    assert held.whole().flatten().tolist() == [20, 1, 10, 2, 20, 3]
    # Whatever is not attention has the whole, too.
    assert (held + 0.5).flatten().tolist() == [20.5, 1.5, 10.5, 2.5, 20.5, 3.5]
    assert torch.cat([held, held], -2).shape == (3, 1, 4, 1)


@pytest.mark.parametrize("change", [{"is_causal": True}, {"dropout_p": 0.0}, {}])
def test_several_tokens_at_once_see_what_they_should(change):
    owner = torch.tensor(OWNERS["even"])
    key, value = both(owner)
    query = torch.randn(len(owner), HEADS, PROMPT + OWN, SIZE, dtype=torch.float64)
    found = of_torch(query, key, value, **change)
    torch.testing.assert_close(found, of_torch(query, key.whole(), value.whole(), **change))


def test_a_row_of_padding_that_sees_nothing_is_a_number():
    key, value = both(torch.tensor(OWNERS["even"]), torch.float32)
    query = torch.randn(6, HEADS, 1, SIZE)
    nothing = torch.zeros(6, 1, 1, PROMPT + OWN, dtype=torch.bool)
    assert of_torch(query, key, value, attn_mask=nothing).isfinite().all()


def states(*values: float) -> torch.Tensor:
    """Return one position of as many rows, with one number each."""
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)


def test_rows_are_picked_by_row_and_prompts_without_a_row_go():
    layer = GrowingLayer(0)
    layer.update(states(10, 20, 30), states(11, 21, 31))
    layer.share(Shared(torch.tensor([0, 0, 1, 2, 2]), 3))
    assert layer.get_seq_length() == 1
    layer.update(states(1, 2, 3, 4, 5), states(1, 2, 3, 4, 5))
    layer.reorder_cache(torch.tensor([4, 0, 3]))
    keys, values = layer.update(states(6, 7, 8), states(6, 7, 8))
    assert keys.whole()[:, 0, :, 0].tolist() == [[30, 5, 6], [10, 1, 7], [30, 4, 8]]
    assert values.whole()[:, 0, :, 0].tolist() == [[31, 5, 6], [11, 1, 7], [31, 4, 8]]
    # The prompt of 20 is held no longer.
    assert keys.prompt.flatten().tolist() == [10, 30]
    assert layer.get_seq_length() == 3


def test_more_positions_than_there_is_room_for():
    layer = GrowingLayer(0)
    layer.update(states(10), states(10))
    layer.share(Shared(torch.tensor([0, 0]), 1))
    for step in range(2 * GROWTH + 2):
        keys, _ = layer.update(states(step, -step), states(step, -step))
    wanted = [10, *range(2 * GROWTH + 2)]
    assert keys.whole()[0, 0, :, 0].tolist() == wanted
    assert keys.whole()[1, 0, :, 0].tolist() == [10, *(-each for each in wanted[1:])]


def test_few_rows_of_a_prompt_hold_it_each():
    layer = GrowingLayer(0)
    layer.update(states(10, 20, 30), states(11, 21, 31))
    layer.share(Shared(torch.tensor([2, 0, 1, 1]), 3))
    keys, _ = layer.update(states(1, 2, 3, 4), states(1, 2, 3, 4))
    assert keys.prompt is None
    assert keys.whole()[:, 0, :, 0].tolist() == [[30, 1], [10, 2], [20, 3], [20, 4]]


def test_a_small_cache_is_one_plain_tensor():
    layer = GrowingLayer(small=9)
    layer.update(states(10, 20), states(11, 21))
    layer.share(Shared(torch.tensor([0, 0, 1, 1]), 2))
    keys, _ = layer.update(states(1, 2, 3, 4), states(1, 2, 3, 4))
    # Four rows of two numbers.
    assert type(keys) is torch.Tensor
    assert keys[:, 0, :, 0].tolist() == [[10, 1], [10, 2], [20, 3], [20, 4]]
    # Four rows of three.
    keys, _ = layer.update(states(1, 2, 3, 4), states(1, 2, 3, 4))
    assert type(keys) is Cached


def test_a_compiled_model_is_given_plain_tensors():
    tiny = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=8,
            hidden_size=4,
            intermediate_size=4,
            num_hidden_layers=1,
            num_attention_heads=2,
        )
    )
    for model, kind in ((tiny, Cached), (torch.compile(tiny, backend="eager"), torch.Tensor)):
        (layer,) = new_cache(model, small=0).layers
        keys, _ = layer.update(states(1), states(1))
        assert type(keys) is kind
