"""A verifier of steps on steps made by hand: what it knows, chooses and saves can be counted."""

import numpy as np
import pytest
import xarray as xr

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Verdict
from recover_nb.features.step_table import OPERATORS
from recover_nb.features.steps import NUMBERS
from recover_nb.prediction.step_ahead import at_k
from recover_nb.prediction.step_scorer import Answers, answers_of, joined, learn, pick, places
from recover_nb.prediction.steps import verify_steps

N_AHEAD = 4


def steps_of(n=36, *, told=True, seed=0, ahead=(3, 0)):
    """Return steps of `n` problems, the first third to learn from: three steps, two rollouts.

    The first answer of every other problem is wrong, from its second step on; if `told`, the least
    log-probability says so. Going on from a wrong step is right `ahead[0]` times of four, from any
    other step `ahead[1]` times.
    """
    rng = np.random.default_rng(seed)
    problem, rollout, step = (each.reshape(-1) for each in np.indices((n, 2, 3)))
    bad = (problem % 2 == 0) & (rollout == 0)
    label = np.where(bad & (step == 1), 0, np.where(bad & (step == 2), 2, 1))
    numbers = rng.normal(size=(len(problem), len(NUMBERS)))
    numbers[:, NUMBERS.index("step")] = step
    if told:
        numbers[:, 0] = np.where(label == 0, -3.0, -0.1) + 0.01 * rng.normal(size=len(problem))
    test = problem >= n // 3
    drawn = np.where(label == 0, ahead[0], ahead[1])
    right = np.where(bad & test, drawn, -1)
    correct = np.ones((n, 2), np.int8)
    correct[::2, 0] = 0
    method = np.array(["sft", "grpo", "self_distill"])[np.arange(n) % 6 // 2]
    data = {
        "problem_of": ("row", problem),
        "rollout_of": ("row", rollout),
        "step": ("row", step),
        "start": ("row", 4 * step),
        "tokens": ("row", np.full(len(step), 4)),
        "label": ("row", label.astype(np.int8)),
        "tool": ("row", (label == 0).astype(np.int8)),
        "at_junction": ("row", (step == 0).astype(np.int8)),
        "numbers": (("row", "number"), numbers),
        "ahead_right": (("row", "operator"), np.stack([right, right], 1).astype(np.int8)),
        "ahead_tokens": (("row", "operator"), np.stack([12.0 - 4 * step] * 2, 1)),
        "correct": (("problem", "rollout"), correct),
        "answer_id": (("problem", "rollout"), np.where(correct == 1, 1, 0)),
        "n_tokens": (("problem", "rollout"), np.full((n, 2), 12)),
        "mean_log_probability": (("problem", "rollout"), np.where(correct == 1, -1.0, -0.5)),
    }
    coords = {
        "number": list(NUMBERS),
        "operator": list(OPERATORS),
        "problem_id": ("problem", [f"q{i}" for i in range(n)]),
        "family": ("problem", ["neox"] * n),
        "method": ("problem", method),
        "task": ("problem", ["arithmetic"] * n),
        "split": ("problem", ["dev" if i < n // 3 else "test" for i in range(n)]),
    }
    return xr.Dataset(data, coords, {"n_ahead": N_AHEAD})


@pytest.fixture(scope="module")
def told():
    return verify_steps(steps_of(), n_bootstrap=30, n_permutations=9)


def test_a_number_that_tells_the_step_is_found(told):
    assert told.of("steps", "sci_prm").value == 1
    # 24 problems are judged; of 24 * 6 steps 12 are wrong, and 12 after them are not judged.
    assert told.settings["test_steps"] == 24 * 6 - 12
    assert told.of("steps", "always_right").other == pytest.approx(1 - 12 / 132)
    assert told.of("steps", "place_alone", "f1").value == 1
    assert told.verdicts["steps"] is Verdict.SUPPORTED
    assert told.shuffled.p("f1", 1.0) == 1 / 10
    assert told.settings["place_found"] == 1
    assert told.settings["place_by_chance"] == pytest.approx(1 / 3)
    assert told.settings["tool_could"] == 1


def test_the_best_of_two_beats_a_vote_without_majority(told):
    best = told.of("best_of_8", "majority")
    # The first of two different answers is the wrong one in half of the problems.
    assert (best.value, best.other) == (1, 0.5)
    assert told.of("best_of_8", "log_probability").other == 0.5
    assert told.of("best_of_8", "random_answer").other == 0.75
    assert told.of("best_of_8", "best_in_hindsight").lead.value == 0


def test_going_on_is_charged_for_what_the_ancestor_reads(told):
    ahead = told.of("going_on", "retry")
    # 48 passes less 12 read leave 36: four continuations of 8 tokens, and a third of a retry.
    assert ahead.value == 1
    assert ahead.other == 0
    # From one of three steps all are saved.
    assert told.of("going_on", "random_step").other == pytest.approx(1 / 3)
    assert told.of("going_on", "junction_step").other == 0
    assert told.of("going_on", "first_wrong_step").other == 1
    assert told.of("tool", "calculator").lead == ahead.lead


def test_passes_that_are_left_are_spent_on_whole_retries():
    # One of four is right from the first step, none from the wrong one: of 48 passes 12 are read
    # and 32 written; 4 buy a third of a retry, which is right one time in four.
    found = verify_steps(steps_of(ahead=(0, 1)), n_bootstrap=2, n_permutations=0)
    assert found.of("going_on", "retry").value == pytest.approx(1 / 12)
    assert found.of("going_on", "retry").other == 1


def test_noise_tells_nothing():
    found = verify_steps(steps_of(told=False), n_bootstrap=200, n_permutations=20)
    assert found.verdicts["steps"] is not Verdict.SUPPORTED
    assert found.verdict is not Verdict.SUPPORTED
    assert found.shuffled.p("f1", found.of("steps", "place_alone", "f1").value) > 0.05


def test_nothing_is_learned_or_chosen_on_what_is_judged():
    steps = steps_of(n=48)
    other = steps.copy(deep=True)
    judged = other["problem_of"].values >= 16
    other["label"].values[judged] = 1
    other["numbers"].values[judged] *= -1
    dev = steps["split"].values == "dev"
    mine, theirs = (learn(answers_of(each, dev)) for each in (steps, other))
    x = steps["numbers"].values
    assert mine.p_right(x).tolist() == theirs.p_right(x).tolist()
    assert (mine.threshold, mine.join, mine.place) == (theirs.threshold, theirs.join, theirs.place)


def test_at_k_between_whole_k():
    right = np.array([0, 1, 2, 1])
    assert at_k(right, 4, np.array([4.0, 1.0, 2.0, 2.5])).round(4).tolist() == [
        0,
        0.25,
        0.8333,
        0.625,
    ]


def test_places():
    p = np.array([0.9, 0.4, 0.2, 0.8, 0.7])
    trace = np.array([0, 0, 0, 1, 1])
    assert places(p, trace, 0.5, "lowest").tolist() == [2, 4]
    assert places(p, trace, 0.5, "first_below").tolist() == [1, 4]


def answers(answer, correct, p=()):
    """Return two steps of each of the rollouts of one problem."""
    n = len(answer)
    rows = np.arange(2 * n)
    return Answers(
        problem=0 * rows,
        rollout=rows // 2,
        step=rows % 2,
        label=np.ones(2 * n),
        numbers=np.zeros((2 * n, len(NUMBERS))),
        correct=np.array([correct]) == 1,
        answer=np.array([answer]),
        question=np.array(["q"]),
    )


def test_least_and_product_differ():
    one = answers([0, 1, -1], [1, 0, 0])
    p = np.array([0.5, 0.9, 0.6, 0.6, 0.99, 0.99])
    assert joined(one, p, "least")[0].tolist() == [[0.5, 0.6, 0.99]]
    assert np.exp(joined(one, p, "product")[0]).round(4).tolist() == [[0.45, 0.36, 0.9801]]
    # What gives no answer does not vote.
    assert pick(one, joined(one, p, "vote")).tolist() == [True]


def test_a_vote_of_equals_is_a_majority_vote():
    rng = np.random.default_rng(0)
    given = rng.integers(-1, 3, size=(40, 8))
    right = (given == 1).astype(np.int8)
    one = answers(given[0], right[0])
    ours = [
        pick(
            Answers(*[one.problem] * 5, right[[i]] == 1, given[[i]], one.question),
            (np.ones((1, 8)), True),
        )[0]
        for i in range(len(given))
    ]
    study = xr.Dataset(
        {
            "correct": (("problem", "rollout", "intervention"), right[..., None]),
            "answer_id": (("problem", "rollout"), given),
        },
        {"intervention": ["none"]},
    )
    assert ours == (rnb.majority_vote(study, 8).values == 1).tolist()


def test_result_is_shown(told):
    frame = told.to_dataframe()
    assert set(frame["claim"]) == {"steps", "best_of_8", "going_on", "tool"}
    assert frame["decides"].sum() == 3 + 2 + 2 + 2
    assert "Of 132 steps 12 are the first wrong one: 100.0% are told right" in told.sentence
    assert told.headline.startswith("A verifier of steps picks the right answer of 8 in +50.0")
    assert set(told.to_dict()["verdict"].split()) <= {"supported", "not", "shown", "contradicted"}
    chart = told.plot().to_dict()
    assert len(chart["vconcat"]) == 5
    assert told.dataset["lead"].sizes["comparison"] == len(frame)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ds: ds.drop_vars("label"), "steps holds no label of steps"),
        (lambda ds: ds.isel(problem=slice(0)), "steps holds no problem to learn from"),
        (lambda ds: ds.assign(label=ds["label"] * 0 + 1), "all right or all wrong"),
    ],
)
def test_other_data_are_refused_in_a_sentence(change, said):
    with pytest.raises(InputError, match=said):
        verify_steps(change(steps_of()))
