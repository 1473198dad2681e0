"""The value map: equal to branching at every token and to retry, in any batch; facts."""

from dataclasses import replace

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import Settings, decode, problem_key

#: A sum with its carry forgotten.
TEXT = "47+85=22 22*4=88 #88"
PROMPT, ANSWER = "((47+85)*4)%100\n", "28"
KEY = problem_key("neox", "sft", "arithmetic", "by-hand")
ARMS = ("sparse_steer", "dense_sample", "ancestor", "dense_steer")


@pytest.fixture(scope="module")
def pair():
    return rnb.load_lineage("neox", "sft")


@pytest.fixture(scope="module")
def trace(pair):
    return [*pair.tokenizer.encode(TEXT), *list(pair.eos_ids)[:1]]


@pytest.fixture(scope="module")
def values(pair, trace):
    return rnb.value_map(
        pair, PROMPT, trace, answer=ANSWER, n=6, key=KEY, interventions=ARMS, settings=Settings()
    )


def test_each_prefix_is_branched_as_the_surgeon_does(pair, trace, values):
    for name in ("retry", *ARMS):
        n = 2 if name == "dense_steer" else 6
        for place in range(len(trace)):
            by_hand = rnb.branch(pair, PROMPT, trace, place, name, answer=ANSWER, n=n, key=KEY)
            found = values["right"].sel(intervention=name, prefix=place)
            assert found == by_hand.rescued, (name, place)
    assert (values["right"].sel(prefix=len(trace)) == 0).all()


def test_the_empty_prefix_is_the_attempts_of_retry(pair, values):
    keys = np.array([KEY], np.uint64)
    found = decode(pair, [PROMPT], keys, np.arange(6), "retry", Settings())
    texts = [
        pair.tokenizer.decode(tokens[tokens >= 0].tolist(), skip_special_tokens=True)
        for tokens in found.token_id[0]
    ]
    right = sum(rnb.tasks.parse_answer(text) == ANSWER for text in texts)
    assert values["right"].sel(intervention="retry", prefix=0) == right


@pytest.mark.parametrize("batch_size", [7, 64])
def test_batches_change_nothing(pair, trace, values, batch_size):
    again = rnb.value_map(
        pair,
        PROMPT,
        trace,
        answer=ANSWER,
        n=6,
        key=KEY,
        interventions=ARMS,
        settings=replace(Settings(), batch_size=batch_size),
    )
    assert again.identical(values)


def test_value_is_lost_where_the_wrong_result_is_written(pair, trace):
    right = rnb.value_map(pair, PROMPT, trace, answer=ANSWER, key=KEY)["right"].values[0]
    pieces = [pair.tokenizer.decode([token]) for token in trace]
    # "47+85=" is right as far as it goes, and after 22 nothing can be saved but by luck.
    assert pieces[rnb.fatal_token(right, 24)] == "22"
    assert right[0] >= 12 and (right[5:] <= 2).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 0}, "n must be a whole number of at least 1, got 0"),
        ({"interventions": ["none"]}, "'none' is the failed trace itself"),
        ({"interventions": ["steer"]}, "intervention must be one of .*, got 'steer'"),
        ({"settings": Settings(max_new_tokens=5)}, "max_new_tokens is 5; raise it"),
    ],
)
def test_what_cannot_be_mapped_is_refused(pair, trace, change, message):
    with pytest.raises(InputError, match=message):
        rnb.value_map(pair, PROMPT, trace, **{"answer": ANSWER, **change})


def test_facts_of_a_generated_study(pair):
    problems = rnb.tasks.problems("arithmetic", "dev", 12)
    ds = rnb.generate(
        pair, problems, interventions=["ancestor"], n_rollouts=4, n_attempts=3, unit=("neox", "sft")
    )
    run = ds["correct"].values >= 0
    for name in ("ended", "worked"):
        np.testing.assert_array_equal(ds[name].values >= 0, run)
    wrong, origin = ds["correct"].values == 0, ds["origin"].values.astype(str)
    np.testing.assert_array_equal(origin != "", wrong)
    checked = 0
    for p, r, i in np.argwhere(wrong):
        tokens = ds["token_id"].values[p, r, i]
        text = pair.tokenizer.decode(tokens[tokens >= 0].tolist(), skip_special_tokens=True)
        found = rnb.tasks.find_origin(problems[p], text)
        assert origin[p, r, i] == found.origin
        if found.end >= 0:
            start, end = (
                int(ds[name].values[p, r, i]) for name in ("wrong_step_start", "first_wrong")
            )
            step = pair.tokenizer.decode(tokens[start : end + 1].tolist())
            assert step == text[found.start : found.end]
            checked += 1
    assert checked
    assert ds["ancestor_pass_at_1"].notnull().all()
    failed = rnb.first_failed(ds, 0)
    arm = ds["rescue_rate"].sel(intervention="ancestor").values[failed]
    np.testing.assert_allclose(ds["ancestor_pass_at_1"].values[failed], arm)
    votes = rnb.majority_vote(ds, 4).values
    np.testing.assert_array_equal(ds["solved_by_majority"].values, votes)


def test_an_answer_that_is_cut_off_is_no_failure_of_reasoning(pair):
    problems = rnb.tasks.problems("arithmetic", "dev", 12)
    arguments = {"interventions": [], "n_rollouts": 4, "n_attempts": 2, "unit": ("neox", "sft")}
    whole = rnb.generate(pair, problems, **arguments)
    short = rnb.generate(pair, problems, settings=Settings(max_new_tokens=10), **arguments)
    length = whole["n_tokens"].sel(intervention="none").values
    cut = length > 10
    ended = short["ended"].sel(intervention="none").values
    np.testing.assert_array_equal(ended == 0, cut)
    origins = short["origin"].sel(intervention="none").values
    assert cut.any() and (origins[cut] == "cut off").all()
    # Those that fitted are what they were; of the others none counts as a failure.
    row = rnb.tables.failures_by_cell(short, total=True).iloc[-1]
    assert row["cut_off"] == cut.sum()
    np.testing.assert_array_equal(
        origins[~cut], whole["origin"].sel(intervention="none").values[~cut]
    )
    wrong = (whole["correct"].sel(intervention="none").values == 0) & ~cut
    np.testing.assert_array_equal(short["n_failed_rollouts"].values, wrong.sum(1))


def test_the_ancestors_own_rate_is_from_the_beginning_under_replay_too(pair):
    problems = rnb.tasks.problems("arithmetic", "dev", 4)
    arguments = {"interventions": ["ancestor"], "n_rollouts": 4, "n_attempts": 3}
    rates = [
        rnb.generate(pair, problems, settings=Settings(anchoring=anchoring), **arguments)[
            "ancestor_pass_at_1"
        ].values
        for anchoring in ("online", "replay")
    ]
    np.testing.assert_array_equal(*rates)
