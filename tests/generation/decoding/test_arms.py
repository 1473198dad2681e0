"""The arms beside steering: greedy, min-p, the ancestor alone, and away from it. Three tokens by
hand, then token for token against transformers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from decoding_models import char_tokenizer, near, table_pair, tiny_model
from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import Settings, Stream, decode, load_pair, uniforms
from recover_nb.generation.decoding.mixtures import contrast, plausible
from recover_nb.generation.decoding.sampling import inverse_cdf

KEY = np.array([5], np.uint64)
ROLLOUTS = np.arange(200)
#: Every token is followed by the same three: at temperature 1 these are the probabilities.
SPECIALIST, ANCESTOR = [0.5, 0.3, 0.2], [0.25, 0.5, 0.25]
ONE = Settings(temperature=1.0, max_new_tokens=1, logit_grid=0.0)


def rows(probabilities):
    return torch.tensor([probabilities] * 3).log()


def first_tokens(name, settings):
    pair = table_pair([SPECIALIST] * 3, [ANCESTOR] * 3)
    found = decode(pair, ["x"], KEY, ROLLOUTS, name, settings)
    return found


def drawn(probabilities):
    """Tokens by hand: where the attempt's own random number falls."""
    u = uniforms(0, Stream.ATTEMPTS, KEY, ROLLOUTS, 1)[0, :, 0]
    return np.searchsorted(np.cumsum(probabilities) / np.sum(probabilities), u, side="right")


@pytest.mark.parametrize(
    ("name", "settings", "by_hand"),
    [
        ("retry", {}, SPECIALIST),
        ("ancestor", {}, ANCESTOR),
        ("greedy", {}, [1, 0, 0]),
        # 0.2 < 0.5 * 0.5: the third token is out.
        ("min_p", {"min_p": 0.5}, [0.625, 0.375, 0]),
        ("min_p", {"min_p": 0.0}, SPECIALIST),
        # p_S ** 1.5 / p_A ** 0.5 = 0.7071, 0.2324, 0.1789, which sum to 1.1184.
        ("contrastive", {"min_p": 0.0}, [0.63227, 0.20778, 0.15995]),
        ("contrastive", {"min_p": 0.5}, [0.75265, 0.24735, 0]),
        # p_S ** 2 / p_A = 1, 0.18, 0.16.
        ("contrastive", {"min_p": 0.0, "contrast": 1.0}, [1 / 1.34, 0.18 / 1.34, 0.16 / 1.34]),
        ("contrastive", {"min_p": 0.5, "contrast": 0.0}, [0.625, 0.375, 0]),
    ],
)
def test_three_tokens_by_hand(name, settings, by_hand):
    found = first_tokens(name, replace(ONE, **settings))
    np.testing.assert_array_equal(found.token_id[0, :, 0], drawn(by_hand))


def test_temperature_sharpens_before_tokens_are_removed():
    # At T = 0.5 probabilities go as their squares: 0.25, 0.09, 0.04; half of 0.25 leaves the first.
    settings = replace(ONE, temperature=0.5)
    only = first_tokens("min_p", replace(settings, min_p=0.5))
    assert (only.token_id[0, :, 0] == 0).all()
    kept = first_tokens("min_p", replace(settings, min_p=0.3))
    np.testing.assert_array_equal(kept.token_id[0, :, 0], drawn([0.25, 0.09, 0]))


def test_plausible_and_contrast_by_hand():
    p = torch.tensor([SPECIALIST])
    assert plausible(p, 0.4).tolist() == [[True, True, True]]
    assert plausible(p, 0.5).tolist() == [[True, True, False]]
    mixed = contrast(rows(SPECIALIST)[:1], rows(ANCESTOR)[:1], 0.5, 0.5, 1.0)
    np.testing.assert_allclose(mixed.exp()[0], [0.75265, 0.24735, 0], atol=1e-5)


def test_who_runs_is_who_is_charged():
    alone = first_tokens("ancestor", replace(ONE, max_new_tokens=3))
    assert (alone.forward_specialist == 0).all()
    assert (alone.forward_ancestor == alone.n_tokens).all()
    for name in ("greedy", "min_p"):
        found = first_tokens(name, replace(ONE, max_new_tokens=3))
        assert (found.forward_ancestor == 0).all()
        assert (found.forward_specialist == found.n_tokens).all()
    both = first_tokens("contrastive", replace(ONE, max_new_tokens=3))
    assert (both.forward_ancestor == both.forward_specialist).all()


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("min_p", 1.5, "a share from 0 to 1"),
        ("min_p", -0.1, "a share from 0 to 1"),
        ("contrast", -1.0, "0 or a positive number"),
        ("contrast", float("nan"), "0 or a positive number"),
    ],
)
def test_settings_of_the_arms_are_checked(setting, value, allowed):
    with pytest.raises(InputError, match=f"{setting} must be {allowed}, got {value}"):
        Settings(**{setting: value})


class Draw(LogitsProcessor):
    """The last processor: all mass on the token that our own random number draws."""

    def __init__(self, u):
        self.u, self.step = torch.as_tensor(u), 0

    def __call__(self, input_ids, scores):
        token = inverse_cdf(scores.double().softmax(-1), self.u[:, self.step])
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter(-1, token[:, None], 0.0)


class Plausible(LogitsProcessor):
    """What the contrast is confined to: transformers' own min-p of the specialist at T."""

    def __init__(self, settings):
        self.rules = TemperatureLogitsWarper(settings.temperature), MinPLogitsWarper(settings.min_p)

    def __call__(self, input_ids, scores):
        warm, keep = self.rules
        self.kept = torch.isfinite(keep(input_ids, warm(input_ids, scores)))
        return scores


class Confine(LogitsProcessor):
    def __init__(self, plausible):
        self.plausible = plausible

    def __call__(self, input_ids, scores):
        return scores.masked_fill(~self.plausible.kept, -torch.inf)


def processors(name, settings, pair, ids, u):
    warm = TemperatureLogitsWarper(settings.temperature)
    if name == "min_p":
        return [warm, MinPLogitsWarper(settings.min_p), Draw(u)]
    if name == "ancestor":
        return [warm, Draw(u)]
    if name == "greedy":
        return []
    # Guidance by the ancestor, on the same text: (1 + b) log p_S - b log p_A.
    guide = UnbatchedClassifierFreeGuidanceLogitsProcessor(
        1 + settings.contrast, pair.ancestor, ids, torch.ones_like(ids), use_cache=False
    )
    kept = Plausible(settings)
    return [kept, guide, Confine(kept), warm, Draw(u)]


@pytest.mark.parametrize("architecture", ["llama", "neox", "qwen3"])
@pytest.mark.parametrize("name", ["greedy", "min_p", "ancestor", "contrastive"])
def test_token_for_token_with_transformers(name, architecture):
    model = tiny_model(architecture, dtype=torch.float64)
    pair = load_pair(model, near(model), tokenizer=char_tokenizer())
    settings = Settings(max_new_tokens=12, logit_grid=0.0, min_p=0.02, seed=3)
    rollouts = np.arange(1 if name == "greedy" else 6)
    found = decode(pair, ["12+3="], KEY, rollouts, name, settings)
    u = uniforms(3, Stream.ATTEMPTS, KEY, rollouts, 12)[0]
    (prompt,) = pair.encode(["12+3="])
    for r in rollouts:
        ids = torch.tensor([prompt])
        out = (pair.ancestor if name == "ancestor" else pair.specialist).generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=12,
            eos_token_id=list(pair.eos_ids),
            pad_token_id=pair.pad_id,
            logits_processor=LogitsProcessorList(
                processors(name, settings, pair, ids, u[r : r + 1])
            ),
        )
        tokens = found.token_id[0, r, : found.n_tokens[0, r]].tolist()
        assert out[0, len(prompt) :].tolist() == tokens
