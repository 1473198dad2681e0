"""Adapter folders as specialists: merged into their base, or refused in a sentence."""

import json
import shutil
import sys

import numpy as np
import peft
import pytest
import torch
from decoding_models import char_tokenizer, tiny_model
from safetensors.torch import load_file, save_file

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import Settings, decode, load_pair

#: What peft asks of transformers in its own way.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
IDS = torch.tensor([[3, 4, 5, 6, 7]])


def adapted(model, **changes):
    """A model with a LoRA adapter that changes what it says."""
    options = {"r": 2, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False}
    torch.manual_seed(5)
    return peft.get_peft_model(
        model, peft.LoraConfig(task_type="CAUSAL_LM", **{**options, **changes})
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A base, an adapter that was trained on it, and a base of another width."""
    root = tmp_path_factory.mktemp("adapters")
    for name, model in {"base": tiny_model(), "wide": tiny_model(hidden_size=64)}.items():
        model.save_pretrained(root / name)
        char_tokenizer().save_pretrained(root / name)
    model = adapted(tiny_model())
    model.peft_config["default"].base_model_name_or_path = str(root / "base")
    model.save_pretrained(root / "lora")
    return root


def named(folders, tmp_path, base):
    """The adapter, with another base in its configuration."""
    shutil.copytree(folders / "lora", tmp_path / "lora")
    path = tmp_path / "lora" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": base}))
    return tmp_path / "lora"


def test_an_adapter_is_merged_into_its_base(folders):
    pair = load_pair(folders / "lora", folders / "base")
    assert type(pair.specialist).__name__ == "LlamaForCausalLM"
    assert pair.specialist_name == str(folders / "lora")
    with torch.inference_mode():
        found, before = (m(IDS).logits for m in (pair.specialist, pair.ancestor))
        wanted = adapted(tiny_model()).eval()(input_ids=IDS).logits
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert (found - before).abs().max() > 0.1


@pytest.mark.parametrize("base", ["org/away", "/no/longer/here", None, 3])
def test_the_ancestor_is_the_base_where_the_named_one_is_not_here(folders, tmp_path, base):
    pair = load_pair(named(folders, tmp_path, base), folders / "base")
    with torch.inference_mode():
        wanted = adapted(tiny_model()).eval()(input_ids=IDS).logits
        torch.testing.assert_close(pair.specialist(IDS).logits, wanted, atol=1e-4, rtol=1e-4)


def test_a_base_that_is_here_goes_before_the_ancestor(folders):
    other = tiny_model(seed=7)
    pair = load_pair(folders / "lora", other, tokenizer=char_tokenizer())
    with torch.inference_mode():
        wanted = adapted(tiny_model()).eval()(input_ids=IDS).logits
        torch.testing.assert_close(pair.specialist(IDS).logits, wanted, atol=1e-4, rtol=1e-4)


def test_an_adapter_in_memory_decodes_as_its_folder(folders):
    arguments = ["1+2=", "3"], np.arange(2).astype(np.uint64), np.arange(3), "dense_sample"
    settings = Settings(max_new_tokens=9)
    memory = load_pair(adapted(tiny_model()), folders / "base", tokenizer=char_tokenizer())
    folder = load_pair(folders / "lora", folders / "base")
    np.testing.assert_array_equal(
        decode(memory, *arguments, settings).token_id, decode(folder, *arguments, settings).token_id
    )


def test_an_ancestor_that_peft_changed_is_refused():
    base = tiny_model()
    with pytest.raises(InputError, match="share their layers: peft put the adapter"):
        load_pair(adapted(base), base, tokenizer=char_tokenizer())


@pytest.mark.parametrize("damage", ["lacks", "cut", "no weights", "no configuration", "a list"])
def test_a_damaged_adapter_is_a_sentence(folders, tmp_path, damage):
    folder = named(folders, tmp_path, None)
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    if damage == "lacks":
        held = load_file(weights)
        save_file({k: v for k, v in held.items() if "layers.1" not in k}, weights)
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "no weights":
        weights.unlink()
    else:
        config.write_text("{" if damage == "no configuration" else "[1]")
    says = {
        "lacks": "missing adapter keys.*layers.1",
        "cut": "cannot be merged into LlamaForCausalLM",
        "no weights": "adapter without adapter_model.safetensors",
    }.get(damage, "adapter_config.json' cannot be read")
    with pytest.raises(InputError, match=says):
        load_pair(folder, folders / "base")


def test_an_adapter_of_another_model_is_a_sentence(folders, tmp_path):
    with pytest.raises(InputError, match=r"cannot be merged into LlamaForCausalLM .*wide"):
        load_pair(named(folders, tmp_path, None), folders / "wide")


def test_an_adapter_that_cannot_be_merged_is_a_sentence(folders, tmp_path):
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    peft.get_peft_model(tiny_model(), config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="of a kind that can be merged, such as LoRA"):
        load_pair(tmp_path, folders / "base")


def test_a_base_that_is_nowhere_is_a_sentence(folders, tmp_path):
    folder = named(folders, tmp_path, "org/away")
    with pytest.raises(InputError, match=r"adapter of 'org/away', which is not here.*merge it"):
        load_pair(folder, tiny_model(), tokenizer=char_tokenizer())


def test_without_peft_it_says_what_to_install(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"needs peft.*pip install 'recover-nb\[peft\]'"):
        load_pair(folders / "lora", folders / "base")
