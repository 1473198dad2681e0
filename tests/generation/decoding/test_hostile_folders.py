"""Folders that somebody made to do harm: a pair or one sentence, and no code runs.

``python tests/generation/decoding/hostile_folders.py`` tries all of them, each in its own process.
"""

import os

import pytest
from hostile_folders import FOLDERS, LOADS, PAIR, made, outcome

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import bounded as parts
from recover_nb.generation.decoding.bounded import Unbounded, bounded
from recover_nb.generation.decoding.folders import check_folder

#: What would wait, read elsewhere, build or run without end, and what would run code.
REFUSED = {
    "a pipe: model.safetensors": "is a pipe, not a file",
    "a socket: tokenizer.json": "is a socket, not a file",
    "an endless device: model.safetensors.index.json": "is a device, not a file",
    "a pipe: vocab.json": "is a pipe, not a file",
    "a folder: model.safetensors": "is a folder; copy the checkpoint again",
    "a link to nothing: generation_config.json": "is a link to nothing",
    "a link to itself: model.safetensors": "cannot be opened",
    "nothing in it: generation_config.json": "generation_config.json' cannot be read",
    "deep lists: config.json": "maximum recursion depth",
    "a list: tokenizer_config.json": "a list, not an object",
    "pickled weights in an index": "says that weights are in 'evil.bin'",
    "an index that leads out": "weights are in '../a/model.safetensors'; allowed: safetensors",
    "an index that names nothing": "names 'no.safetensors', which is not there",
    "weights named by the configuration": "weights are in '../a/model.safetensors'",
    "a base of a hub beside": "an adapter of 'evil/base'; move one of them away",
    "attention of a hub, within": "wants code of 'evil/kernel'",
    "num_hidden_layers is 1000000000000": "num_hidden_layers is 1000000000000; allowed: 4,096",
    "text_config is {'num_hidden_layers': 10000000}": "num_hidden_layers is 10000000",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_harm_is_refused_before_it_is_read(name, tmp_path):
    made(name, tmp_path)
    with pytest.raises(InputError) as caught:
        check_folder("specialist", tmp_path / "s")
    assert REFUSED[name] in str(caught.value)


@pytest.mark.parametrize("name", [name for name, (wanted, _) in FOLDERS.items() if wanted == LOADS])
def test_what_does_no_harm_passes(name, tmp_path):
    check_folder("specialist", made(name, tmp_path) / "s")


def test_tokens_of_any_text_load(tmp_path):
    assert outcome("escapes in a token", made("escapes in a token", tmp_path)) == (PAIR, "")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a header of deep JSON", "is no safetensors file"),
        ("hidden_size is 100000000", "billion parameters"),
        ("generation: eos_token_id is 'x'", "ends answers with 'x'"),
        # Without its middle.
        ("a token of 10 MB in one", "  ...  "),
    ],
)
def test_what_is_seen_later_is_a_sentence(name, says, tmp_path):
    kind, said = outcome(name, made(name, tmp_path))
    assert (kind, says in said) == ("sentence", True), said


def test_code_beside_a_checkpoint_is_not_run(tmp_path):
    kind, _ = outcome("code of a tokenizer", made("code of a tokenizer", tmp_path))
    assert kind == PAIR


def test_a_template_that_goes_on_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded.__wrapped__, "__defaults__", (0.2, parts.BYTES))
    kind, said = outcome("a template that loops", made("a template that loops", tmp_path))
    assert kind == "sentence"
    assert "the template takes more than 0.2 seconds" in said


def test_memory_is_bounded_too():
    # Of what the process has not had before: a gigabyte would be much for a test.
    with pytest.raises(Unbounded, match=r"takes more than 0\.0 GB"), bounded("it", 60, 2**20):
        held = [bytearray(os.urandom(2**20)) * 16 for _ in range(400)]
        assert held


def test_what_ends_is_left_alone():
    with bounded("it"):
        found = sum(range(1000))
    assert found == 499_500
