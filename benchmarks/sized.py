"""Models of a real size with random weights, and what one would write by hand for them.

Nothing is downloaded and nothing is shipped: the weights are drawn, on the device that runs them.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen3Config
from transformers.cache_utils import DynamicCache

import recover_nb as rnb
from recover_nb.generation.decoding import Pair, Settings
from recover_nb.generation.decoding.cached_model import cache_name

#: Ids of padding and of the end of a trace.
PAD, END = 0, 1
#: Random logits are multiplied by this, so that a few tokens share the mass as in a trained model.
PEAKED = 8.0
#: Logits of the end mark are this many times as wide as the others': some rollouts end early.
ENDS = 2.8
#: How far the ancestor's weights lie from the specialist's, in their standard deviations.
APART = 0.1
INITIAL = 0.02


@dataclass(frozen=True)
class Size:
    """A configuration of Qwen3 with one table for tokens in and out."""

    vocabulary: int
    hidden: int
    layers: int
    inner: int
    heads: int = 10
    key_heads: int = 2
    head: int = 64

    def config(self) -> Qwen3Config:
        """Return it as transformers has it."""
        return Qwen3Config(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            intermediate_size=self.inner,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_heads,
            head_dim=self.head,
            max_position_embeddings=4096,
            tie_word_embeddings=True,
            initializer_range=INITIAL,
            pad_token_id=PAD,
            eos_token_id=END,
            bos_token_id=None,
        )

    def cache_bytes(self, rows: int, positions: int, width: int) -> int:
        """Return what keys and values of one model take."""
        return 2 * self.layers * self.key_heads * self.head * rows * positions * width


#: 244 and 232 million parameters.
SIZES = {
    "262,144": Size(262_144, 640, 13, 2_560),
    "50,000": Size(50_000, 1_024, 15, 3_072, heads=16, key_heads=4),
}
TINY = {"5,000": Size(5_000, 64, 2, 128, heads=4)}


def words(vocabulary: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer of as many words, "w2" to the last, and two marks."""
    names = ["<pad>", "<end>", *(f"w{place}" for place in range(2, vocabulary))]
    core = Tokenizer(WordLevel({name: place for place, name in enumerate(names)}, "<pad>"))
    core.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<end>", padding_side="left"
    )


def make_pair(size: Size, device: str, dtype: torch.dtype, seed: int = 0) -> Pair:
    """Draw a specialist and an ancestor near it; the specialist's end mark comes now and then."""
    torch.manual_seed(seed)
    models = []
    for _ in range(2):
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(size.config(), dtype=torch.float32)
        models.append(model)
    specialist, ancestor = models
    with torch.no_grad():
        noise = dict(ancestor.named_parameters())
        for name, weight in specialist.named_parameters():
            if weight.ndim > 1:
                other = noise[name]
                other.mul_(APART).add_(weight).mul_((1 + APART**2) ** -0.5)
        for model in models:
            model.model.norm.weight.fill_(PEAKED)
            table = model.get_input_embeddings().weight
            table[PAD] = 0.0
            table[END] *= ENDS
    models = [model.to(dtype).eval() for model in models]
    return rnb.load_pair(*models, tokenizer=words(size.vocabulary))


def endless(pair: Pair) -> Pair:
    """Return the pair with an end mark that never comes: the logit of padding is 0."""
    return replace(pair, eos_ids=(PAD,))


def prompts_of(size: Size, n: int, seed: int = 1) -> list[str]:
    """Return prompts of 6 to 12 words."""
    random = np.random.default_rng(seed)
    return [
        " ".join(f"w{place}" for place in random.integers(2, size.vocabulary, length))
        for length in random.integers(6, 13, n)
    ]


def batch_of(pair: Pair, prompts: list[str]) -> dict[str, torch.Tensor]:
    """Return padded ids and mask on the pair's device."""
    found = pair.tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
    return {name: each.to(pair.device) for name, each in found.items()}


@torch.inference_mode()
def generated(pair: Pair, prompts: list[str], settings: Settings) -> float:
    """Sample with `generate`, and return how many rollouts."""
    inputs = batch_of(pair, prompts)
    out = pair.specialist.generate(
        **inputs,
        do_sample=True,
        temperature=settings.temperature,
        top_k=0,
        max_new_tokens=settings.max_new_tokens,
        eos_token_id=list(pair.eos_ids),
        pad_token_id=PAD,
    )
    return float(len(out.cpu()))


@torch.inference_mode()
def steered_by_hand(pair: Pair, prompts: list[str], settings: Settings) -> float:
    """Decode the argmax of both mixtures with two caches, as one writes it without a package.

    Rows of even number take the path mixture, the others the coverage mixture, in float32.
    """
    inputs, t, share = batch_of(pair, prompts), settings.temperature, settings.alpha
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    models = (pair.specialist, pair.ancestor)
    caches = [DynamicCache(config=model.config) for model in models]
    odd = torch.arange(len(ids), device=ids.device) % 2 == 1
    ends = torch.tensor(pair.eos_ids, device=ids.device)
    done, trace = torch.zeros_like(odd), []
    for _ in range(settings.max_new_tokens):
        position = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        logits_s, logits_a = (
            model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=position,
                use_cache=True,
                logits_to_keep=1,
                **{cache_name(model): cache},
            )
            .logits[:, -1]
            .float()
            for model, cache in zip(models, caches, strict=True)
        )
        path = share * logits_s.log_softmax(-1) + (1 - share) * logits_a.log_softmax(-1)
        covered = share * (logits_s / t).softmax(-1) + (1 - share) * (logits_a / t).softmax(-1)
        token = torch.where(odd, covered.argmax(-1), path.argmax(-1))
        trace.append(token)
        done = done | torch.isin(token, ends)
        if bool(done.all()):
            break
        ids, mask = token[:, None], torch.cat([mask, mask.new_ones((len(mask), 1))], 1)
    return float(len(torch.stack(trace, 1).cpu()))
