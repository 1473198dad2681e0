"""Pairs from folders and from memory, and the sentences for those that cannot be used."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from decoding_models import char_tokenizer, tiny_model
from safetensors.torch import load_file, save_file

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import Settings, decode, load_pair, memory


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two checkpoints with one tokenizer, and one with another."""
    root = tmp_path_factory.mktemp("checkpoints")
    for seed, (name, numbers) in enumerate({"s": "", "a": "", "other": "47 85"}.items()):
        tokenizer = char_tokenizer(numbers)
        tiny_model(seed=seed, vocab_size=len(tokenizer)).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return root


def test_folders_load(folders):
    pair = load_pair(folders / "s", str(folders / "a"))
    assert (pair.vocab_size, pair.eos_ids, pair.pad_id, pair.max_positions) == (28, (1,), 0, 128)
    assert pair.specialist_name == str(folders / "s")
    assert not pair.specialist.training
    found = decode(
        pair, ["1+2="], np.zeros(1, np.uint64), np.arange(2), "retry", Settings(max_new_tokens=5)
    )
    assert found.n_tokens.min() >= 1


def test_folder_and_memory_give_the_same_tokens(folders):
    loaded = load_pair(folders / "s", folders / "a")
    memory = load_pair(tiny_model(seed=0).train(), loaded.ancestor, tokenizer=char_tokenizer())
    assert not memory.specialist.training
    arguments = (
        ["1+2="],
        np.zeros(1, np.uint64),
        np.arange(4),
        "dense_sample",
        Settings(max_new_tokens=9),
    )
    np.testing.assert_array_equal(
        decode(loaded, *arguments).token_id, decode(memory, *arguments).token_id
    )


def test_a_model_from_a_folder_knows_its_tokenizer(folders):
    loaded = load_pair(folders / "s", folders / "a")
    assert (
        load_pair(loaded.specialist, folders / "a").tokenizer.get_vocab()
        == loaded.tokenizer.get_vocab()
    )


def test_half_precision_loads_and_decodes(folders):
    pair = load_pair(folders / "s", folders / "a", dtype="bfloat16")
    assert pair.dtype == torch.bfloat16
    found = decode(
        pair,
        ["1+2="],
        np.zeros(1, np.uint64),
        np.arange(2),
        "dense_sample",
        Settings(max_new_tokens=5),
    )
    assert found.n_tokens.min() >= 1


def test_different_tokenizers_are_refused(folders):
    with pytest.raises(InputError, match="different tokenizers: 28 and 30 tokens"):
        load_pair(folders / "s", folders / "other")


@pytest.mark.parametrize("name", ["nowhere/at/all", "./nowhere"])
def test_a_missing_folder_is_refused(folders, name):
    with pytest.raises(InputError, match="does not exist"):
        load_pair(name, folders / "a")


def test_a_folder_without_a_checkpoint_is_refused(folders, tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        load_pair(folders / "s", tmp_path)


def test_pickled_weights_are_refused(folders, tmp_path):
    model = tiny_model()
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"ancestor .* cannot be loaded"):
        load_pair(folders / "s", tmp_path)


def test_a_model_narrower_than_the_tokenizer_is_refused():
    with pytest.raises(InputError, match="ancestor has 20 logits for a tokenizer of 28 tokens"):
        load_pair(tiny_model(), tiny_model(vocab_size=20), tokenizer=char_tokenizer())


def test_padding_falls_back_on_the_end_of_sequence():
    tokenizer = char_tokenizer(pad_token=None)
    assert load_pair(tiny_model(), tiny_model(seed=1), tokenizer=tokenizer).pad_id == 1


def test_no_end_of_sequence_and_no_padding_are_refused():
    models = [tiny_model(seed=seed) for seed in (0, 1)]
    with pytest.raises(InputError, match="no padding token"):
        load_pair(*models, tokenizer=char_tokenizer(pad_token=None, eos_token=None))
    for model in models:
        model.generation_config.eos_token_id = model.config.eos_token_id = None
    with pytest.raises(InputError, match="end-of-sequence"):
        load_pair(*models, tokenizer=char_tokenizer(eos_token=None))


def test_models_in_memory_need_a_tokenizer():
    with pytest.raises(InputError, match="tokenizer="):
        load_pair(tiny_model(), tiny_model(seed=1))


def test_what_is_no_model_is_refused(folders):
    with pytest.raises(InputError, match="specialist is a int"):
        load_pair(3, folders / "a")
    with pytest.raises(InputError, match="dtype 'int8'"):
        load_pair(folders / "s", folders / "a", dtype="int8")


def test_nan_logits_are_refused():
    model = tiny_model()
    pair = load_pair(model, tiny_model(seed=1), tokenizer=char_tokenizer())
    with torch.no_grad():
        next(pair.specialist.parameters()).fill_(torch.nan)
    with pytest.raises(InputError, match="NaN"):
        decode(
            replace(pair),
            ["1+2="],
            np.zeros(1, np.uint64),
            np.arange(2),
            "retry",
            Settings(max_new_tokens=5),
        )


@pytest.mark.parametrize("kind", ["a layer", "the head", "all, under another prefix"])
def test_weights_that_a_checkpoint_lacks_are_named(folders, tmp_path, kind):
    shutil.copytree(folders / "s", tmp_path / "s")
    path = tmp_path / "s" / "model.safetensors"
    held = load_file(path)
    if kind == "all, under another prefix":
        held = {f"policy.net.{name}": each for name, each in held.items()}
    else:
        part = {"a layer": "layers.1", "the head": "lm_head"}[kind]
        held = {name: each for name, each in held.items() if part not in name}
    save_file(held, path, metadata={"format": "pt"})
    count = {"a layer": 9, "the head": 1}.get(kind, 21)
    with pytest.raises(InputError, match=rf"weights of a LlamaForCausalLM: {count} are missing"):
        load_pair(tmp_path / "s", folders / "a")


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq", "fp8", "mxfp4", "compressed"])
def test_quantised_checkpoints_are_refused(folders, tmp_path, method):
    shutil.copytree(folders / "s", tmp_path / "s")
    path = tmp_path / "s" / "config.json"
    said = {"quantization_config": {"quant_method": method, "bits": 4}}
    path.write_text(json.dumps(json.loads(path.read_text()) | said))
    with pytest.raises(
        InputError, match=rf"is quantised \({method}\); allowed: weights in float32"
    ):
        load_pair(folders / "s", tmp_path / "s")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", "", 3.5])
def test_a_device_that_is_not_there_is_a_sentence(folders, device):
    with pytest.raises(InputError, match=r"cannot be used here .*allowed: cpu"):
        load_pair(folders / "s", folders / "a", device=device)


@pytest.mark.parametrize("dtype", ["auto", "bf16", "", None, torch.int8, 16])
def test_a_precision_that_is_none_is_a_sentence(folders, dtype):
    with pytest.raises(InputError, match="allowed: float32, float64, float16, bfloat16"):
        load_pair(folders / "s", folders / "a", dtype=dtype)


def test_a_precision_may_be_torchs_own(folders):
    pair = load_pair(folders / "s", folders / "a", dtype=torch.bfloat16)
    assert pair.dtype == pair.ancestor.dtype == torch.bfloat16


def test_a_wrapper_that_shares_rows_out_is_refused():
    model = torch.nn.DataParallel(tiny_model())
    with pytest.raises(InputError, match=r"is a DataParallel; .* give the model in it \(.module\)"):
        load_pair(model, tiny_model(), tokenizer=char_tokenizer())


TEMPLATE = (
    "{% if messages[0].role == 'system' %}{{ messages[0].content }};{% endif %}({{"
    " messages[-1].content }}){% if think is defined %}a{% endif %}{% if add_generation_prompt"
    " %}={% endif %}"
)


def chat_pair(**options):
    tokenizer = char_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return load_pair(tiny_model(), tiny_model(seed=1), tokenizer=tokenizer, **options)


def test_a_chat_template_goes_round_every_prompt():
    plain = char_tokenizer()
    written = plain(["1+2=", "(1+2=)=", "b;(1+2=)=", "(1+2=)a="])["input_ids"]
    options = [
        {},
        {"chat": True},
        {"chat": True, "system": "b"},
        {"chat": True, "chat_options": {"think": 1}},
    ]
    for expected, given in zip(written, options, strict=True):
        assert chat_pair(**given).encode(["1+2="]) == [expected]


def test_what_is_decoded_follows_the_chat_template():
    arguments = np.zeros(1, np.uint64), np.arange(3), "retry", Settings(max_new_tokens=9)
    chat = decode(chat_pair(chat=True), ["1+2="], *arguments).token_id
    np.testing.assert_array_equal(chat, decode(chat_pair(), ["(1+2=)="], *arguments).token_id)
    assert (chat != decode(chat_pair(), ["1+2="], *arguments).token_id).any()


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ raise_exception('no system role') }}", "'1': no system role; leave system out"),
        ("{{ messages[7].content }}", "cannot write prompt '1'"),
        ("{% if %}", "cannot write prompt '1'"),
        ("{{ 1 / 0 }}", "division by zero"),
    ],
)
def test_a_template_that_refuses_is_a_sentence(template, says):
    tokenizer = char_tokenizer()
    tokenizer.chat_template = template
    models = [tiny_model(seed=seed) for seed in (0, 1)]
    with pytest.raises(InputError, match=says):
        load_pair(*models, tokenizer=tokenizer, chat=True, system="x").encode(["1"])


def test_chat_without_a_template_is_refused():
    models = [tiny_model(seed=seed) for seed in (0, 1)]
    with pytest.raises(InputError, match="no chat template"):
        load_pair(*models, tokenizer=char_tokenizer(), chat=True)
    with pytest.raises(InputError, match="system was given without chat=True"):
        load_pair(*models, tokenizer=char_tokenizer(), system="be brief")


def test_every_end_of_sequence_token_ends_a_trace():
    model = tiny_model()
    model.generation_config.eos_token_id = [5, 6, 7, 8, 9, 400]
    pair = load_pair(model, tiny_model(seed=1), tokenizer=char_tokenizer())
    assert pair.eos_ids == (1, 5, 6, 7, 8, 9)
    found = decode(
        pair, ["1+2="], np.zeros(1, np.uint64), np.arange(20), "retry", Settings(max_new_tokens=60)
    )
    last = found.token_id[0, np.arange(20), found.n_tokens[0] - 1]
    np.testing.assert_array_equal(np.isin(last, pair.eos_ids), found.stopped[0])
    assert len(set(last[found.stopped[0]].tolist())) > 1
    before = np.arange(60) < found.n_tokens[0, :, None] - 1
    assert not np.isin(found.token_id[0][before], pair.eos_ids).any()


def test_parameters_are_counted_before_they_are_read(folders):
    expected = sum(each.numel() for each in tiny_model().parameters())
    assert memory.count_parameters("specialist", folders / "s") == expected
    assert memory.count_parameters("specialist", tiny_model()) == expected


def test_only_what_the_index_names_is_counted(folders, tmp_path):
    """Mistral ships all weights once more, in one file beside the shards."""
    expected = memory.count_parameters("specialist", folders / "s")
    tiny_model().save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    shutil.copy(folders / "s" / "model.safetensors", tmp_path / "consolidated.safetensors")
    assert memory.count_parameters("specialist", tmp_path) == expected
    shutil.copy(folders / "s" / "model.safetensors", tmp_path / "model.safetensors")
    assert memory.count_parameters("specialist", tmp_path) == expected


def test_batches_are_cut_to_the_memory_there_is(folders, monkeypatch):
    """44 bytes for each of 256 x 262,144 logits, 2.95 GB, may be half of what is free."""
    large = SimpleNamespace(vocab_size=262_144, device="cpu")
    for free, rows in ((8e9, 256), (2 * 2.953e9, 256), (2.953e9, 128), (1e9, 43), (0, 1)):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: int(free))
        assert memory.rows_that_fit(large, 256) == rows
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    assert memory.rows_that_fit(large, 256) == 256
    # Small ones are not looked at.
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0)
    assert memory.rows_that_fit(load_pair(folders / "s", folders / "a", check_memory=False), 9) == 9


def test_parameters_are_counted_by_the_configuration(folders, tmp_path):
    tiny_model().config.save_pretrained(tmp_path)
    expected = memory.count_parameters("specialist", folders / "s")
    assert memory.count_parameters("specialist", str(tmp_path)) == expected


def test_models_that_do_not_fit_are_refused_before_they_are_read(folders, monkeypatch):
    count = memory.count_parameters("specialist", folders / "s")
    monkeypatch.setattr(memory, "free_bytes", lambda device: int(2 * count * 4 * 1.05) - 1)
    expected = (
        "specialist .* and ancestor .* need .* as float32, and .* free on cpu; dtype='bfloat16'"
        " takes"
    )
    with pytest.raises(InputError, match=expected):
        load_pair(folders / "s", folders / "a")
    assert load_pair(folders / "s", folders / "a", dtype="bfloat16").dtype == torch.bfloat16
    assert load_pair(folders / "s", folders / "a", check_memory=False).vocab_size == 28
    monkeypatch.setattr(memory, "free_bytes", lambda device: int(2 * count * 4 * 1.05) + 1)
    assert load_pair(folders / "s", folders / "a").vocab_size == 28


def test_free_memory_is_less_than_the_machine_has():
    free = memory.free_bytes("cpu")
    assert free is None or 0 < free < 2**50


def test_a_broken_weights_file_is_a_sentence(folders, tmp_path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folders / "s" / name).read_bytes())
    for damage in (b"", b"\xff" * 64, (20).to_bytes(8, "little") + b'{"a": {"shape": [2,'):
        (tmp_path / "model.safetensors").write_bytes(damage)
        with pytest.raises(
            InputError, match=r"specialist .*model\.safetensors' is no safetensors file"
        ):
            load_pair(tmp_path, folders / "a")
