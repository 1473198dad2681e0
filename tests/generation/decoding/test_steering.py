"""Interventions as a logits processor: the tokens of our own loop, by the `generate` of others."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from decoding_models import char_tokenizer, near, table_pair, tiny_model
from transformers import StoppingCriteria

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import (
    REGISTRY,
    Pair,
    Settings,
    calibrate,
    decode,
    load_pair,
    problem_key,
)
from recover_nb.generation.decoding.mixtures import contrast, mix_rows

PROMPTS = ["12+3=", "a=5;b=a+2;b?", "7*8*9=", "1", "(2+3)*4="]
KEYS = np.array([problem_key("tiny", "x", "arithmetic", str(i)) for i in range(5)], dtype=np.uint64)
N = 14
SETTINGS = Settings(max_new_tokens=N)
DRAW_ONLY = ("temperature", "min_p", "local_temperature")
ROLLOUTS = np.arange(4)


def make_pair(architecture, dtype=torch.float32):
    model = tiny_model(architecture, dtype=dtype)
    tokenizer = char_tokenizer()
    tokenizer.padding_side = "left"
    return load_pair(model, near(model, step=0.6), tokenizer=tokenizer)


# float64, so that equality is not left to chance.
@pytest.fixture(scope="module", params=["qwen3", "neox"])
def pair(request):
    return make_pair(request.param, torch.float64)


@pytest.fixture(scope="module")
def calibration(pair):
    observed = decode(pair, PROMPTS, KEYS, ROLLOUTS, "none", SETTINGS, record=True)
    failed = np.ones(observed.n_tokens.shape, bool)
    failed[:, ::3] = False
    return calibrate(observed, failed, SETTINGS)


def generate(pair, processor, prompts=PROMPTS, **arguments):
    """What transformers generates after each prompt, with one processor: (rows, <= N) tokens."""
    inputs = pair.tokenizer(prompts, return_tensors="pt", padding=True)
    arguments = {"do_sample": False, "max_new_tokens": N} | arguments
    out = pair.specialist.generate(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        logits_processor=[processor],
        **arguments,
    )
    return out[:, inputs["input_ids"].shape[1] :].numpy()


def same_tokens(generated, token_id):
    """Count the tokens compared, all of which must agree: those of ours, then padding."""
    length = (token_id >= 0).sum(-1)
    assert generated.shape[1] == min(length.max(), token_id.shape[-1])
    inside = np.arange(generated.shape[1]) < length[:, None]
    np.testing.assert_array_equal(generated, np.where(inside, token_id[:, : inside.shape[1]], 0))
    return int(inside.sum())


@pytest.mark.parametrize("variant", [{}, {"lag": 1}, {"continuation": "greedy", "width": 3}])
@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_drawn_tokens_are_those_of_our_loop(pair, calibration, name, variant):
    settings = replace(SETTINGS, **variant)
    found = decode(pair, PROMPTS, KEYS, ROLLOUTS, name, settings, calibration=calibration)
    compared = 0
    for rollout in (0, 3):
        steer = rnb.steering(
            pair,
            name,
            settings=settings,
            calibration=calibration,
            sample=True,
            rollout=int(rollout),
            keys=KEYS,
        )
        compared += same_tokens(generate(pair, steer), found.token_id[:, rollout])
        np.testing.assert_array_equal(steer.fired_at.numpy(), found.fired_at[:, rollout])
    assert compared > 60


FIRES = ("sparse_steer", "sparse_steer_wrong", "sparse_steer_random")


@pytest.mark.parametrize("name", [*FIRES, "dense_steer", "greedy"])
@pytest.mark.parametrize("width", [1, 3])
def test_likeliest_tokens_are_those_of_our_loop_after_a_greedy_trace(
    pair, calibration, name, width
):
    settings = replace(SETTINGS, continuation="greedy", width=width, alpha=0.2)
    arguments = pair, PROMPTS, KEYS, np.arange(2)
    twins = decode(*arguments, "greedy", settings)
    found = decode(*arguments, name, settings, calibration=calibration, twins=twins)
    for rollout in (0, 1):
        steer = rnb.steering(
            pair, name, settings=settings, calibration=calibration, rollout=rollout, keys=KEYS
        )
        assert same_tokens(generate(pair, steer), found.token_id[:, rollout]) > 30
        np.testing.assert_array_equal(steer.fired_at.numpy(), found.fired_at[:, rollout])
    if name in FIRES:
        assert (found.fired_at >= 0).any() and (found.token_id != twins.token_id).any()


def next_logits(model, tokens):
    """Both raw logits after some tokens, without a cache."""
    return model(input_ids=torch.tensor([tokens])).logits[:, -1].float()


@pytest.mark.parametrize("name", ["ancestor", "contrastive", "dense_sample", "retry"])
def test_likeliest_tokens_of_a_distribution_are_its_argmax_step_by_step(pair, name):
    settings = replace(SETTINGS, logit_grid=0, contrast=3.0)
    rules = {
        "ancestor": lambda s, a: a,
        "contrastive": lambda s, a: contrast(s, a, 3.0, settings.min_p, settings.temperature),
        "dense_sample": lambda s, a: mix_rows(
            s, a, torch.tensor([True]), settings.alpha, settings.temperature
        ),
        "retry": lambda s, a: s,
    }
    steer = rnb.steering(pair, name, settings=settings, rollout=1)
    found = generate(pair, steer)
    differ = 0
    for prompt, row in zip(PROMPTS, found, strict=True):
        tokens = pair.tokenizer(prompt)["input_ids"]
        for token in row[: (row != 0).sum()].tolist():
            with torch.no_grad():
                both = [next_logits(each, tokens) for each in (pair.specialist, pair.ancestor)]
            assert token == int(rules[name](*both).argmax())
            differ += token != int(both[0].argmax())
            tokens.append(token)
    assert (differ > 0) == (name != "retry")


@pytest.mark.parametrize("name", ["sparse_steer", "dense_steer", "ancestor"])
def test_a_batch_gives_what_each_prompt_gives_alone(pair, calibration, name):
    one = rnb.steering(pair, name, calibration=calibration)
    together = generate(pair, one)
    for i, prompt in enumerate(PROMPTS):
        alone = rnb.steering(pair, name, calibration=calibration.take([i]))
        row = generate(pair, alone, [prompt])[0]
        np.testing.assert_array_equal(row, together[i][: len(row)])
        assert (together[i][len(row) :] == 0).all()
        assert int(alone.fired_at) == int(one.fired_at[i])


def test_one_object_serves_one_generation_after_the_other(pair, calibration):
    one = calibration.take([0])
    fresh = [
        generate(pair, rnb.steering(pair, "sparse_steer", calibration=one), prompts)
        for prompts in (PROMPTS[:2], PROMPTS[:2], PROMPTS[2:], PROMPTS[3:4])
    ]
    steer = rnb.steering(pair, "sparse_steer", calibration=one)
    for prompts, expected in zip(
        (PROMPTS[:2], PROMPTS[:2], PROMPTS[2:], PROMPTS[3:4]), fresh, strict=True
    ):
        np.testing.assert_array_equal(generate(pair, steer, prompts), expected)
        assert len(steer.fired_at) == len(prompts)


def test_a_longer_conversation_is_a_generation_of_its_own(pair):
    steer = rnb.steering(pair, "dense_steer")
    first = generate(pair, steer, [PROMPTS[0]], max_new_tokens=4)[0]
    longer = PROMPTS[0] + pair.tokenizer.decode(first) + "1+1="
    expected = generate(pair, rnb.steering(pair, "dense_steer"), [longer])
    np.testing.assert_array_equal(generate(pair, steer, [longer]), expected)
    assert steer.fired_at.tolist() == [0]


def test_draws_are_fresh_in_every_generation_unless_keys_say_which(pair):
    prompts = PROMPTS[:1] * 3
    steer = rnb.steering(pair, "retry", sample=True)
    rows = [tuple(row) for _ in range(2) for row in generate(pair, steer, prompts)]
    assert len(set(rows)) > 4
    steer = rnb.steering(pair, "retry", sample=True, keys=[7, 7, 8])
    first, second = (generate(pair, steer, prompts) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[0], first[1])
    assert (first[0] != first[2]).any()


@pytest.mark.parametrize("do_sample", [False, True])
def test_what_the_loop_would_draw_changes_nothing(pair, do_sample):
    expected = generate(pair, rnb.steering(pair, "dense_steer"))
    steer = rnb.steering(pair, "dense_steer")
    extra = {"temperature": 5.0, "top_k": 3, "top_p": 0.5} if do_sample else {}
    np.testing.assert_array_equal(generate(pair, steer, do_sample=do_sample, **extra), expected)


def test_several_sequences_of_a_prompt_share_its_calibration(pair, calibration):
    steer = rnb.steering(pair, "sparse_steer", calibration=calibration)
    once = generate(pair, steer)
    twice = generate(pair, steer, do_sample=True, num_return_sequences=2)
    np.testing.assert_array_equal(twice, np.repeat(once, 2, axis=0))


def test_a_study_says_when_to_fire():
    pair = rnb.load_lineage("neox", "sft")
    pair.tokenizer.padding_side = "left"
    ds = rnb.load_study()
    ours = (ds["family"] == "neox") & (ds["method"] == "sft") & np.isfinite(ds["fire_threshold"])
    few = ds.isel(problem=np.flatnonzero(ours.values)[:4])
    prompts = few["prompt"].values.tolist()
    steer = rnb.steering(pair, "sparse_steer", calibration=few)
    never = few.assign(fire_threshold=few["fire_threshold"] + np.inf)
    found = generate(pair, steer, prompts)
    plain = generate(pair, rnb.steering(pair, "sparse_steer", calibration=never), prompts)
    np.testing.assert_array_equal(plain, generate(pair, rnb.steering(pair, "greedy"), prompts))
    fired = steer.fired_at.numpy()
    assert (fired >= few["warmup"].values)[fired >= 0].all()
    for row in range(4):
        upto = N if fired[row] < 0 else fired[row]
        np.testing.assert_array_equal(found[row, :upto], plain[row, :upto])


class EndsFirstRow(StoppingCriteria):
    """Ends the first row after three tokens, as a stop string would."""

    def __init__(self, width):
        self.width = width

    def __call__(self, input_ids, scores, **kwargs):
        done = torch.zeros(len(input_ids), dtype=torch.bool)
        done[0] = input_ids.shape[1] >= self.width + 3
        return done


def test_rows_that_the_loop_ends_are_left_alone(pair, calibration):
    plain = generate(pair, rnb.steering(pair, "sparse_steer", calibration=calibration))
    steer = rnb.steering(pair, "sparse_steer", calibration=calibration)
    width = pair.tokenizer(PROMPTS, return_tensors="pt", padding=True)["input_ids"].shape[1]
    found = generate(pair, steer, stopping_criteria=[EndsFirstRow(width)])
    np.testing.assert_array_equal(found[1:], plain[1:])
    np.testing.assert_array_equal(found[0], [*plain[0, :3], *[0] * (found.shape[1] - 3)])
    assert int(steer.fired_at[0]) < 3


def test_what_earlier_processors_forbid_is_not_chosen(pair):
    plain = generate(pair, rnb.steering(pair, "ancestor"))
    banned = [int(token) for token in np.unique(plain) if token > 1][:3]
    found = generate(pair, rnb.steering(pair, "ancestor"), suppress_tokens=banned)
    assert np.isin(plain, banned).any() and not np.isin(found, banned).any()
    mixed = generate(pair, rnb.steering(pair, "dense_steer", rollout=1), suppress_tokens=banned)
    assert not np.isin(mixed, banned).any()


@pytest.mark.parametrize("name", ["dense_steer", "retry"])
@pytest.mark.parametrize("sample", [False, True])
def test_beams_are_refused(pair, name, sample):
    steer = rnb.steering(pair, name, sample=sample)
    with pytest.raises(InputError, match="no beam search"):
        generate(pair, steer, num_beams=3)


def test_assisted_decoding_is_refused(pair):
    steer = rnb.steering(pair, "dense_steer")
    with pytest.raises(InputError, match="assisted"):
        generate(pair, steer, PROMPTS[:1], assistant_model=tiny_model(seed=5, dtype=torch.float64))


def test_a_loop_that_picks_another_token_is_told(pair):
    steer = rnb.steering(pair, "dense_steer")
    ids = torch.tensor([[3, 4, 5]])
    scores = torch.randn(1, 28, generator=torch.Generator().manual_seed(0))
    chosen = int(steer(ids, scores).argmax())
    with pytest.raises(InputError, match=f"row 0 got token .* where steering chose {chosen}"):
        steer(torch.tensor([[3, 4, 5, chosen % 20 + 2]]), scores)
    steer.reset()
    assert (steer(torch.tensor([[3, 4, 5, chosen % 20 + 2]]), scores) == 0).sum() == 1


def test_prompts_padded_on_the_right_are_refused(pair):
    steer = rnb.steering(pair, "dense_steer")
    with pytest.raises(InputError, match="prompt 1 ends in padding"):
        steer(torch.tensor([[3, 4, 5], [3, 0, 0]]), torch.zeros(2, 28))
    with pytest.raises(InputError, match="prompt 1 has nothing but padding"):
        steer(torch.tensor([[3, 4, 5], [0, 0, 0]]), torch.zeros(2, 28))


def test_a_beginning_token_that_also_pads_is_kept():
    """Rows of tokens 0 0 3 and 0 4 5: the longest prompt shows that one 0 begins each text."""
    tokenizer = char_tokenizer(bos_token="<pad>")
    model = tiny_model()
    pair = load_pair(model, near(model), tokenizer=tokenizer)
    together = rnb.steering(pair, "ancestor", settings=Settings(logit_grid=0))
    rows = torch.tensor([[0, 0, 3], [0, 4, 5]])
    both = together(rows, torch.zeros(2, 28)).argmax(-1).tolist()
    with torch.no_grad():
        expected = [int(next_logits(pair.ancestor, each).argmax()) for each in ([0, 3], [0, 4, 5])]
    assert both == expected


def test_a_generation_that_is_too_long_says_what_to_set(pair):
    steer = rnb.steering(pair, "greedy", settings=Settings(max_new_tokens=3))
    with pytest.raises(InputError, match="longer than 3 tokens; pass"):
        generate(pair, steer)
    assert generate(pair, steer, max_new_tokens=3).shape == (5, 3)


P = [0.5, 0.3, 0.2]


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("nothing", {}, "intervention must be one of .*, got 'nothing'"),
        *((name, {}, f"{name}' changes how tokens are drawn") for name in DRAW_ONLY),
        ("sparse_steer", {}, "needs a calibration"),
        ("sparse_steer", {"calibration": {"warmup": 1}}, "no fire_threshold, coverage_mean"),
        ("greedy", {"settings": Settings(anchoring="replay")}, "cannot; allowed: online"),
        ("retry", {"settings": Settings(temperature=0)}, "temperature=0 leaves no signals"),
        ("retry", {"keys": [1, 2]}, "2 keys were given for a batch of 3 rows"),
    ],
)
def test_refusals(name, arguments, says):
    with pytest.raises(InputError, match=says):
        steer = rnb.steering(table_pair([P] * 3, [P] * 3), name, **arguments)
        steer(torch.tensor([[1], [1], [2]]), torch.zeros(3, 3))


def test_calibrations_of_another_number_of_problems_are_refused(pair, calibration):
    steer = rnb.steering(pair, "sparse_steer", calibration=calibration)
    with pytest.raises(InputError, match="of 5 problems for a batch of 3 rows"):
        generate(pair, steer, PROMPTS[:3])


def test_an_ancestor_alone_is_loaded_and_its_tokenizer_compared(tmp_path):
    pair = make_pair("llama")
    pair.ancestor.save_pretrained(tmp_path)
    pair.tokenizer.save_pretrained(tmp_path)
    expected = generate(pair, rnb.steering(pair, "dense_steer"))
    for ancestor in (tmp_path, str(tmp_path), pair.ancestor):
        steer = rnb.steering(ancestor, "dense_steer", tokenizer=pair.tokenizer, device="cpu")
        assert isinstance(steer.pair, Pair) and steer.pair.specialist is None
        np.testing.assert_array_equal(generate(pair, steer), expected)
    with pytest.raises(InputError, match="different tokenizers"):
        rnb.steering(tmp_path, "dense_steer", tokenizer=char_tokenizer("17 18"))
    with pytest.raises(InputError, match="28 logits for a tokenizer of 30 tokens"):
        rnb.steering(pair.ancestor, "dense_steer", tokenizer=char_tokenizer("17 18"))
    with pytest.raises(InputError, match="pass tokenizer="):
        rnb.steering(pair.ancestor, "dense_steer")


def test_models_of_other_widths():
    pair = make_pair("llama")
    steer = rnb.steering(pair, "dense_steer")
    with pytest.raises(InputError, match="has 20 logits, but its tokenizer 28 tokens"):
        steer(torch.tensor([[3]]), torch.zeros(1, 20))
    with pytest.raises(InputError, match="token 29, outside the vocabulary of 28"):
        steer(torch.tensor([[29]]), torch.zeros(1, 40))
    # Rows of the output layer beyond the tokenizer's are padding, and never chosen.
    wide = torch.zeros(1, 40)
    wide[0, 35] = 50.0
    assert int(steer(torch.tensor([[3]]), wide).argmax()) < 28
    with pytest.raises(InputError, match="NaN logits"):
        rnb.steering(pair, "retry")(torch.tensor([[3]]), torch.full((1, 28), torch.nan))
