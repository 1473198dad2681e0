"""Every causal architecture of transformers decodes what `generate` gives, or is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from decoding_models import char_tokenizer
from tiny_architectures import NOT_BUILT, causal_types, tiny_model_of

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import Settings, decode, load_pair

PAGE = Path(__file__).parents[3] / "docs" / "models.md"
#: Ragged on purpose, and two of one length.
PROMPTS = ["12+3=", "a=5;b=a+2;c=b*b;b?", "1", "9-b=x"]
KEYS = np.arange(4, dtype=np.uint64)
N_NEW = 10
#: Models that look far into random weights say it with warnings of many kinds.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def table() -> dict[str, str]:
    """Model type to verdict, as docs/models.md has it between its marks."""
    text = PAGE.read_text("utf-8").split("<!-- architectures -->")[1]
    rows = re.findall(r"^\| ([a-z][^|]*?) \|.*\| (`[^|]*) \|$", text, re.MULTILINE)
    return {name: verdict for verdict, names in rows for name in re.findall(r"`([^`]+)`", names)}


def is_locked() -> bool:
    """Whether this is the version of transformers that the page was written with."""
    return f"transformers {transformers.__version__}" in PAGE.read_text("utf-8")


def verdict(model_type: str) -> str:
    """What becomes of a tiny model of this type; a wrong token is an error."""
    if model_type in NOT_BUILT:
        return "not tried"
    model = tiny_model_of(model_type)
    try:
        pair = load_pair(model, model, tokenizer=char_tokenizer())
    except InputError as error:
        assert type(model).__name__ in str(error)
        assert "; " in str(error)
        return "refused"
    # Three rows of a batch, so that every prompt has rows beside it and in front of it.
    settings = Settings(temperature=0, max_new_tokens=N_NEW, logit_grid=0, batch_size=3)
    found = decode(pair, PROMPTS, KEYS, np.arange(2), "retry", settings)
    for p, prompt in enumerate(PROMPTS):
        ids = pair.tokenizer(prompt, return_tensors="pt")["input_ids"]
        traces = [found.token_id[p, r, : found.n_tokens[p, r]].tolist() for r in range(2)]
        wanted = generated(model, ids, pair.vocab_size)
        assert traces == [wanted, wanted], prompt
        check_plain(model, ids, wanted, pair.vocab_size)
    return "decodes" if pair.reads_padded else "decodes by length"


@torch.inference_mode()
def generated(model, ids, vocab_size) -> list[int]:
    """Greedy tokens of `generate` for one prompt alone."""
    return model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=N_NEW,
        pad_token_id=0,
        eos_token_id=1,
        suppress_tokens=list(range(vocab_size, 40)),
    )[0, ids.shape[1] :].tolist()


@torch.inference_mode()
def check_plain(model, ids, trace, vocab_size) -> None:
    """Each token is the likeliest of a pass without a cache, or ties with it in float32."""
    whole = torch.cat([ids, torch.tensor([trace])], 1)
    logits = model(input_ids=whole, use_cache=False).logits[0, ids.shape[1] - 1 : -1, :vocab_size]
    chosen = logits.gather(1, torch.tensor(trace)[:, None])[:, 0]
    assert bool((logits.amax(-1) - chosen <= 1e-2 * logits.std()).all())


@pytest.mark.parametrize("model_type", causal_types())
def test_an_architecture_decodes_what_generate_gives_or_is_refused(model_type):
    found = verdict(model_type)
    if is_locked():
        assert found == table()[model_type]


def test_the_page_names_every_architecture_once():
    names = re.findall(r"`([^`]+)`", PAGE.read_text("utf-8").split("<!-- architectures -->")[1])
    assert len(names) == len(set(names))
    assert {name for name, found in table().items() if found == "not tried"} == set(NOT_BUILT)
    if is_locked():
        assert sorted(names) == causal_types()
    # All but a few decode.
    assert sum(found.startswith("decodes") for found in table().values()) > 150
