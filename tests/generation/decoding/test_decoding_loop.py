"""The loop on tiny Hugging Face models: twins, batches, greedy, recording, replay, errors."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from decoding_models import char_tokenizer, near, table_pair, tiny_model

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import (
    REGISTRY,
    Operator,
    Settings,
    calibrate,
    decode,
    load_pair,
    problem_key,
    register,
    score_traces,
    steps,
    top_alternatives,
)

PROMPTS = ["12+3=", "a=5;b=a+2;b?", "7*8*9=", "1", "(2+3)*4="]
KEYS = np.array([problem_key("tiny", "x", "arithmetic", str(i)) for i in range(5)], dtype=np.uint64)
ROLLOUTS = np.arange(4)
SETTINGS = Settings(max_new_tokens=14)
OPERATORS = sorted(set(REGISTRY) - {"none"})
VARIANTS = [
    {},
    {"lag": 1},
    {"anchoring": "replay"},
    {"continuation": "greedy", "width": 3},
    {"continuation": "greedy", "anchoring": "replay"},
]


def make_pair(architecture, dtype=torch.float32):
    model = tiny_model(architecture, dtype=dtype)
    return load_pair(model, near(model), tokenizer=char_tokenizer())


# float64, so that equality is not left to chance: what rounding to the grid leaves of float32 noise
# is measured apart.
@pytest.fixture(scope="module", params=["llama", "neox"])
def pair(request):
    return make_pair(request.param, torch.float64)


@pytest.fixture(scope="module")
def observed(pair):
    return decode(pair, PROMPTS, KEYS, ROLLOUTS, "none", SETTINGS, record=True)


@pytest.fixture(scope="module")
def calibration(observed):
    failed = np.ones(observed.n_tokens.shape, bool)
    failed[:, ::3] = False
    return calibrate(observed, failed, SETTINGS)


def assert_same(left, right):
    for field in fields(left):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if field.name == "signals":
            assert (one or {}).keys() == (other or {}).keys()
            for name in one or {}:
                np.testing.assert_allclose(one[name], other[name], atol=1e-4)
        else:
            np.testing.assert_array_equal(one, other, err_msg=field.name)


def before(found):
    never = found.fired_at[..., None] < 0
    return never | (np.arange(found.token_id.shape[-1]) < found.fired_at[..., None])


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("name", OPERATORS)
def test_twins_agree_until_the_operator_acts(pair, calibration, name, variant):
    settings = replace(SETTINGS, **variant)
    arguments = pair, PROMPTS, KEYS, ROLLOUTS
    retried = decode(*arguments, "retry", settings, calibration=calibration)
    found = decode(*arguments, name, settings, calibration=calibration)
    np.testing.assert_array_equal(found.token_id[before(found)], retried.token_id[before(found)])
    never = found.fired_at < 0
    np.testing.assert_array_equal(found.n_tokens[never], retried.n_tokens[never])
    inside = np.arange(found.token_id.shape[-1]) < found.n_tokens[..., None]
    np.testing.assert_array_equal(found.token_id >= 0, inside)
    # Told what its twin emitted, it repeats that and comes to the same end.
    assert_same(found, decode(*arguments, name, settings, calibration=calibration, twins=retried))


def test_every_operator_acts_somewhere(pair, calibration):
    for name in set(OPERATORS) - {"retry", "calculator"}:
        found = decode(pair, PROMPTS, KEYS, ROLLOUTS, name, SETTINGS, calibration=calibration)
        assert (found.fired_at >= 0).mean() > 0.2, name


@pytest.mark.parametrize("name", sorted(REGISTRY))
@pytest.mark.parametrize("anchoring", ["online", "replay"])
def test_batch_size_and_order_change_nothing(pair, calibration, name, anchoring):
    settings = replace(SETTINGS, anchoring=anchoring)
    whole = decode(pair, PROMPTS, KEYS, ROLLOUTS, name, settings, calibration=calibration)
    for batch_size in (1, 7, 64):
        sized = replace(settings, batch_size=batch_size)
        assert_same(
            whole, decode(pair, PROMPTS, KEYS, ROLLOUTS, name, sized, calibration=calibration)
        )
    order = np.array([3, 0, 4])
    part = decode(
        pair,
        [PROMPTS[i] for i in order],
        KEYS[order],
        ROLLOUTS[::-2],
        name,
        settings,
        calibration=calibration.take(order),
    )
    for field in set(f.name for f in fields(whole)) - {"signals"}:
        np.testing.assert_array_equal(
            getattr(part, field), getattr(whole, field)[order][:, ::-2], err_msg=field
        )


def test_recording_changes_no_token_and_not_with_the_batch(pair, observed):
    plain = decode(pair, PROMPTS, KEYS, ROLLOUTS, "none", SETTINGS)
    np.testing.assert_array_equal(plain.token_id, observed.token_id)
    assert plain.signals is None
    small = replace(SETTINGS, batch_size=7)
    assert_same(observed, decode(pair, PROMPTS, KEYS, ROLLOUTS, "none", small, record=True))


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "neox", "gpt2"])
def test_greedy_is_what_transformers_generates(architecture):
    pair = make_pair(architecture)
    tokenizer = pair.tokenizer
    tokenizer.padding_side = "left"
    inputs = tokenizer(PROMPTS, return_tensors="pt", padding=True)
    width = inputs["input_ids"].shape[1]
    expected = pair.specialist.generate(
        inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        do_sample=False,
        max_new_tokens=40,
    )[:, width:].numpy()
    settings = Settings(temperature=0, max_new_tokens=40, logit_grid=0)
    found = decode(pair, PROMPTS, KEYS, np.arange(2), "retry", settings)
    for row in range(2):
        inside = np.arange(expected.shape[1]) < found.n_tokens[:, row, None]
        np.testing.assert_array_equal(
            found.token_id[:, row, : expected.shape[1]][inside], expected[inside]
        )
    assert (found.stopped == (found.token_id == 1).any(-1)).all()


@pytest.mark.parametrize("architecture", ["llama", "qwen3", "neox", "gpt2"])
def test_recorded_signals_equal_a_teacher_forced_pass(architecture):
    pair = make_pair(architecture)
    found = decode(pair, PROMPTS, KEYS, ROLLOUTS, "none", SETTINGS, record=True)
    for max_bytes in (2**28, 2**16):
        again = score_traces(
            pair, PROMPTS, found.token_id, found.n_tokens, SETTINGS, max_bytes=max_bytes
        )
        assert again.keys() == found.signals.keys()
        for name, values in again.items():
            assert values.dtype == np.float32
            np.testing.assert_allclose(values, found.signals[name], atol=1e-4, err_msg=name)


def test_alternatives_by_hand():
    # After token 0 the specialist prefers 2 to 1, the ancestor 1 to 2; the trace is 2, then 0.
    specialist = [[0.1, 0.3, 0.6], [0.2, 0.3, 0.5], [0.7, 0.2, 0.1]]
    ancestor = [[0.1, 0.8, 0.1], [0.2, 0.3, 0.5], [0.25, 0.35, 0.4]]
    token, score = top_alternatives(
        table_pair(specialist, ancestor),
        ["x", "y"],
        np.array([[2, 0, -1], [-1, -1, -1]]),
        np.array([2, 0]),
        k=2,
    )
    assert token[0].tolist() == [[[2, 1], [1, 0]], [[0, 1], [2, 1]], [[-1, -1], [-1, -1]]]
    np.testing.assert_allclose(
        np.exp(score[0, :2]), [[[0.6, 0.3], [0.8, 0.1]], [[0.7, 0.2], [0.4, 0.35]]], rtol=1e-6
    )
    assert (token[1] == -1).all() and (score[1] == 0).all()
    token, score = top_alternatives(
        table_pair(specialist, ancestor), ["x"], np.array([[2]]), np.array([1]), k=5
    )
    assert (token[0, 0, :, 3:] == -1).all() and (token[0, 0, :, :3] >= 0).all()


def test_float32_tokens_hardly_depend_on_the_batch():
    pair = make_pair("qwen3")
    arguments = pair, PROMPTS, KEYS, np.arange(40), "retry"
    found = [decode(*arguments, replace(SETTINGS, batch_size=n)).token_id for n in (200, 9)]
    assert (found[0] != found[1]).any(-1).mean() <= 0.01


def test_observed_rollouts_have_their_own_random_numbers(pair, observed):
    retried = decode(pair, PROMPTS, KEYS, ROLLOUTS, "retry", SETTINGS)
    assert (retried.token_id != observed.token_id).any(-1).mean() > 0.9


def test_the_ancestor_never_runs_for_the_specialists_own_operators(calibration):
    pair = make_pair("llama")

    def refuse(*_, **__):
        raise AssertionError("the ancestor ran")

    blind = replace(pair, ancestor=refuse_model(pair.ancestor, refuse))
    for name in ("none", "retry", "temperature", "calculator"):
        found = decode(blind, PROMPTS, KEYS, ROLLOUTS, name, SETTINGS)
        assert (found.forward_ancestor == 0).all()
        np.testing.assert_array_equal(found.forward_specialist, found.n_tokens)
    with pytest.raises(AssertionError, match="the ancestor ran"):
        decode(blind, PROMPTS, KEYS, ROLLOUTS, "dense_steer", SETTINGS)


def refuse_model(model, forward):
    class Refusing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.config = model.config

        def forward(self, input_ids, attention_mask, past_key_values, use_cache):
            return forward()

    return Refusing()


def test_costs_count_the_ancestor_up_to_the_firing(pair, calibration):
    found = decode(pair, PROMPTS, KEYS, ROLLOUTS, "sparse_steer", SETTINGS, calibration=calibration)
    fired = found.fired_at >= 0
    np.testing.assert_array_equal(found.forward_ancestor[fired], found.fired_at[fired] + 1)
    dense = decode(pair, PROMPTS, KEYS, ROLLOUTS, "dense_sample", SETTINGS)
    np.testing.assert_array_equal(dense.forward_ancestor, dense.n_tokens)


def test_replay_keeps_failed_prefixes(pair, observed, calibration):
    settings = replace(SETTINGS, anchoring="replay")
    found = decode(pair, PROMPTS, KEYS, ROLLOUTS, "sparse_steer", settings, calibration=calibration)
    for p in range(len(PROMPTS)):
        failed = np.flatnonzero(ROLLOUTS % 3 != 0)
        for r in ROLLOUTS:
            source = failed[r % len(failed)]
            pressure = observed.signals["demotion_pressure"][
                p, source, : observed.n_tokens[p, source]
            ]
            assert found.fired_at[p, r] == pressure.argmax()
            kept = slice(0, found.fired_at[p, r])
            np.testing.assert_array_equal(
                found.token_id[p, r, kept], observed.token_id[p, source, kept]
            )


def test_nothing_given_is_changed(pair, calibration):
    prompts, keys, rollouts = list(PROMPTS), KEYS.copy(), ROLLOUTS.copy()
    arrays = {field.name: getattr(calibration, field.name).copy() for field in fields(calibration)}
    weights = {name: value.clone() for name, value in pair.specialist.state_dict().items()}
    for anchoring in ("online", "replay"):
        settings = replace(SETTINGS, anchoring=anchoring)
        decode(pair, prompts, keys, rollouts, "sparse_steer", settings, calibration=calibration)
    assert prompts == PROMPTS
    np.testing.assert_array_equal(keys, KEYS)
    np.testing.assert_array_equal(rollouts, ROLLOUTS)
    for name, values in arrays.items():
        np.testing.assert_array_equal(getattr(calibration, name), values)
    for name, value in pair.specialist.state_dict().items():
        assert torch.equal(value, weights[name])


def test_a_user_adds_an_intervention_in_ten_lines(pair):
    @register("no_fives")
    class NoFives(Operator):
        def act(self, step):
            acted = step.candidate == 5
            return torch.where(acted, 7, step.candidate), acted

    try:
        found = decode(pair, PROMPTS, KEYS, ROLLOUTS, "no_fives", SETTINGS)
        retried = decode(pair, PROMPTS, KEYS, ROLLOUTS, "retry", SETTINGS)
        assert not (found.token_id == 5).any()
        np.testing.assert_array_equal(found.fired_at >= 0, (retried.token_id == 5).any(-1))
        with pytest.raises(InputError, match="already registered"):
            register("no_fives")(type("Other", (Operator,), {}))
    finally:
        del REGISTRY["no_fives"]


def test_steps_yield_what_decode_gathers(pair, observed):
    seen = list(steps(pair, PROMPTS, KEYS, ROLLOUTS, "none", SETTINGS, record=True))
    assert [int(step.position[0]) for step in seen] == list(range(len(seen)))
    for step in seen:
        at = step.problem.numpy(), step.rollout.numpy(), step.position.numpy()
        np.testing.assert_array_equal(observed.token_id[at], step.token_id)
        np.testing.assert_array_equal(observed.signals["entropy"][at], step.signals["entropy"])
        assert step.logits.shape == (len(step.rows), pair.vocab_size)


def test_progress_counts_finished_rows(pair):
    seen = []
    decode(
        pair,
        PROMPTS,
        KEYS,
        ROLLOUTS,
        "retry",
        replace(SETTINGS, batch_size=7),
        progress=seen.append,
    )
    assert seen == sorted(set(seen))
    assert seen[-1] == len(PROMPTS) * len(ROLLOUTS)


def test_logits_wider_than_the_tokenizer_are_trimmed():
    wide = tiny_model(vocab_size=40)
    pair = load_pair(wide, tiny_model(seed=1, vocab_size=64), tokenizer=char_tokenizer())
    found = decode(pair, PROMPTS, KEYS, ROLLOUTS, "dense_sample", SETTINGS)
    assert found.token_id.max() < pair.vocab_size == 28


def test_no_problem_or_rollout_gives_empty_arrays(pair):
    assert decode(pair, [], KEYS[:0], ROLLOUTS, "retry", SETTINGS).token_id.shape == (0, 4, 14)
    assert decode(pair, PROMPTS, KEYS, ROLLOUTS[:0], "retry", SETTINGS).token_id.shape == (5, 0, 14)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("sparse", {}, "intervention must be one of ancestor, calculator.*, got 'sparse'"),
        ("sparse_steer", {}, "'sparse_steer' needs a calibration"),
        ("retry", {"anchoring": "replay"}, "anchoring='replay' needs a calibration"),
        ("retry", {"max_new_tokens": 120}, "at most 128 positions; lower max_new_tokens to 116"),
        ("dense_steer", {"temperature": 0}, "greedy"),
    ],
)
def test_what_cannot_be_decoded_is_refused(pair, name, settings, message):
    with pytest.raises(InputError, match=message):
        decode(pair, PROMPTS, KEYS, ROLLOUTS, name, replace(SETTINGS, **settings))


def test_shapes_that_do_not_match_are_refused(pair, calibration, observed):
    with pytest.raises(InputError, match="one key per prompt"):
        decode(pair, PROMPTS, KEYS[:2], ROLLOUTS, "retry", SETTINGS)
    with pytest.raises(InputError, match="no token"):
        decode(pair, [""], KEYS[:1], ROLLOUTS, "retry", SETTINGS)
    with pytest.raises(InputError, match="calibration is of 5 problems"):
        decode(pair, PROMPTS[:2], KEYS[:2], ROLLOUTS, "retry", SETTINGS, calibration=calibration)
    with pytest.raises(InputError, match="twins have shape"):
        decode(pair, PROMPTS, KEYS, ROLLOUTS[:2], "retry", SETTINGS, twins=observed)
    with pytest.raises(InputError, match="numbers of its own"):
        decode(pair, PROMPTS, KEYS, ROLLOUTS, "none", SETTINGS, twins=observed)
    unfailed = replace(calibration, n_failed=np.array([5, 5, 0, 5, 5]))
    replaying = replace(SETTINGS, anchoring="replay")
    with pytest.raises(InputError, match="problem 2 has no failed rollout"):
        decode(pair, PROMPTS, KEYS, ROLLOUTS, "retry", replaying, calibration=unfailed)
    with pytest.raises(InputError, match="traces have tokens"):
        score_traces(pair, PROMPTS, observed.token_id + 90, observed.n_tokens, SETTINGS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"alpha": 1.5},
        {"width": 0},
        {"lag": 2},
        {"threshold": "mean"},
        {"quantile": 2},
        {"continuation": "beam"},
        {"anchoring": "online "},
        {"batch_size": 2.5},
        {"warmup": -1},
        {"k_cov": 0},
        {"local_temperature": 0},
        {"logit_grid": -1},
        {"modulus": 0},
        {"seed": -1},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=f"^{next(iter(wrong))} must be .*, got"):
        Settings(**wrong)
