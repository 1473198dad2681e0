"""Tokenizers and models whose vocabularies differ at their ends."""

import json
import shutil

import numpy as np
import pytest
import torch
from decoding_models import char_tokenizer, tiny_model

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import Settings, decode, load_pair

CHAT = ["<|im_start|>", "<|im_end|>"]
ARGUMENTS = np.zeros(1, np.uint64), np.arange(2), "retry", Settings(max_new_tokens=5)
TEMPLATE = "<|im_start|>{{ messages[-1].content }}<|im_end|>"


def longer(*tokens, special=True):
    tokenizer = char_tokenizer()
    tokenizer.add_tokens(list(tokens), special_tokens=special)
    return tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """An ancestor of 28 tokens, and a specialist with two chat tokens more."""
    root = tmp_path_factory.mktemp("ends")
    tokenizers = {"ancestor": char_tokenizer(), "chat": longer(*CHAT)}
    tokenizers["chat"].chat_template = TEMPLATE
    for name, tokenizer in tokenizers.items():
        tiny_model(vocab_size=len(tokenizer)).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return root


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("rows", [(28, 28), (29, 28), (28, 40), (64, 64)])
def test_a_tokenizer_may_end_beyond_the_models(rows, special):
    tokenizer = longer("<image>", special=special)
    models = [tiny_model(seed=seed, vocab_size=n) for seed, n in enumerate(rows)]
    pair = load_pair(*models, tokenizer=tokenizer)
    assert pair.vocab_size == min(*rows, 29)
    assert decode(pair, ["1+2="], *ARGUMENTS).token_id.max() < pair.vocab_size


def test_a_prompt_beyond_the_models_is_refused_by_name():
    pair = load_pair(tiny_model(), tiny_model(seed=1), tokenizer=longer("<image>"))
    says = r"prompt '1<image>' has token '<image>' \(28\), outside the vocabulary of 28"
    with pytest.raises(InputError, match=says):
        decode(pair, ["1<image>"], *ARGUMENTS)


@pytest.mark.parametrize("order", [("chat", "ancestor"), ("ancestor", "chat")])
def test_chat_tokens_added_to_one_model_are_left_out(folders, order):
    pair = load_pair(*(folders / name for name in order))
    assert (pair.vocab_size, pair.eos_ids) == (28, (1,))
    assert decode(pair, ["1+2="], *ARGUMENTS).token_id.max() < 28


def test_a_chat_template_of_such_tokens_is_refused_by_name(folders):
    pair = load_pair(folders / "chat", folders / "ancestor", chat=True)
    says = r"token '<\|im_start\|>' \(28\), .* the chat template writes it: leave chat out"
    with pytest.raises(InputError, match=says):
        decode(pair, ["1"], *ARGUMENTS)


def test_a_tokenizer_of_ones_own_takes_part_in_the_rows_that_are_there(folders):
    """Both models may have rows for tokens that only one tokenizer knows."""
    wide = tiny_model(vocab_size=30, seed=3)
    tokenizer = longer(*CHAT)
    assert load_pair(folders / "chat", wide, tokenizer=tokenizer).vocab_size == 30


def test_an_end_that_only_the_specialist_has_is_refused(folders):
    specialist = tiny_model(vocab_size=30)
    specialist.generation_config.eos_token_id = [1, 29]
    says = r"ends its answers with token '<\|im_end\|>' \(29\), .*vocabulary of 28"
    with pytest.raises(InputError, match=says):
        load_pair(specialist, tiny_model(), tokenizer=longer(*CHAT))
    specialist.generation_config.eos_token_id = 1
    assert load_pair(specialist, tiny_model(), tokenizer=longer(*CHAT)).eos_ids == (1,)


def test_padding_beyond_the_models_is_replaced():
    tokenizer = longer("<fill>")
    tokenizer.pad_token = "<fill>"
    pair = load_pair(tiny_model(), tiny_model(seed=1), tokenizer=tokenizer)
    assert pair.pad_id == 1
    together = decode(pair, ["1+2=", "3"], np.arange(2).astype(np.uint64), *ARGUMENTS[1:])
    plain = load_pair(tiny_model(), tiny_model(seed=1), tokenizer=char_tokenizer())
    wanted = decode(plain, ["1+2=", "3"], np.arange(2).astype(np.uint64), *ARGUMENTS[1:])
    np.testing.assert_array_equal(together.token_id, wanted.token_id)


def test_ordinary_tokens_that_a_model_has_no_row_for_are_refused():
    with pytest.raises(InputError, match="ancestor has 27 logits for a tokenizer of 28 tokens"):
        load_pair(tiny_model(), tiny_model(vocab_size=27), tokenizer=char_tokenizer())


def test_tokenizers_that_differ_before_their_ends_are_refused(folders, tmp_path):
    shutil.copytree(folders / "chat", tmp_path / "chat")
    path = tmp_path / "chat" / "tokenizer.json"
    held = json.loads(path.read_text())
    words = held["model"]["vocab"]
    words["7"], words["8"] = words["8"], words["7"]
    path.write_text(json.dumps(held))
    with pytest.raises(InputError, match="2 of them unlike \\(first '7'\\)"):
        load_pair(tmp_path / "chat", folders / "ancestor")


def test_what_is_no_tokenizer_is_refused():
    with pytest.raises(InputError, match="tokenizer is a str; allowed: a tokenizer"):
        load_pair(tiny_model(), tiny_model(seed=1), tokenizer="char")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_refused(value):
    specialist = tiny_model()
    with torch.no_grad():
        specialist.model.layers[1].mlp.up_proj.weight[0, 0] = value
    with pytest.raises(
        InputError, match=r"specialist 'LlamaForCausalLM' gives logits .* no finite"
    ):
        load_pair(specialist, tiny_model(seed=1), tokenizer=char_tokenizer())


@pytest.mark.parametrize("temperature", [0, 0.6])
def test_logits_that_break_after_the_prompt_are_a_sentence(temperature):
    """Weights of one token are broken: the first time it is read, nothing follows from it."""
    pair = load_pair(tiny_model(), tiny_model(seed=1), tokenizer=char_tokenizer())
    settings = Settings(temperature=temperature, max_new_tokens=5)
    arguments = ["1+2="], np.zeros(1, np.uint64), np.arange(2), "retry", settings
    token = decode(pair, *arguments).token_id[0, 0, 0]
    assert token not in pair.encode(["1+2="])[0]
    with torch.no_grad():
        pair.specialist.get_input_embeddings().weight[token] = torch.nan
    with pytest.raises(InputError, match=r"specialist .* gives logits on a trace of 1 tokens"):
        decode(pair, *arguments)
