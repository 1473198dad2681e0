"""Plans, what they rescue and spend, and which rule is taken: by hand; only real effects gain."""

from dataclasses import replace

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Verdict
from recover_nb.routing.recovery.choosing import follow, options, pick, stop_after
from recover_nb.routing.recovery.plans import Plan, Prices, course, make_plans, stages, worth
from recover_nb.routing.recovery.reading import Seen, Tried, describe, read_tried
from recover_nb.routing.simulate import make_study

PRICES = Prices(
    {"retry": 1, "ancestor": 1, "dense_sample": 2, "sparse_steer": 2, "dense_steer": 2},
    {"retry": 20, "ancestor": 20, "dense_sample": 20, "sparse_steer": 20, "dense_steer": 2},
    1,
)
FEW = {"n_bootstrap": 50, "n_null": 9}


def tried_of(wins, trials, arms=("retry", "ancestor"), cells=None, features=None):
    """Return problems with these right attempts, one question each."""
    n = len(wins)
    cells = np.array(cells if cells is not None else ["c"] * n)
    nothing = np.full((n, 3), np.nan) if features is None else features
    names = np.array([f"q{i}" for i in range(n)])
    trials = np.full(np.shape(wins), trials)
    return Tried(
        tuple(arms),
        Prices(PRICES.passes, dict.fromkeys(PRICES.most, int(trials.min())), 1),
        Seen(np.zeros((n, 4)), cells, nothing),
        np.array(wins),
        trials,
        np.ones(trials.shape),
        names,
        np.array(["t"] * n),
        np.array(["f"] * n),
        np.zeros(n, int),
    )


# Plans


def test_a_plan_spends_what_the_budget_leaves():
    assert stages(Plan(), 7, PRICES) == [("retry", 7)]
    assert stages(Plan("ancestor", 2), 7, PRICES) == [("retry", 2), ("ancestor", 5)]
    # Two models run: three attempts are six passes, and one is left for a retry.
    assert stages(Plan("dense_sample"), 7, PRICES) == [("dense_sample", 3), ("retry", 1)]
    # Two attempts are all that a deterministic arm has.
    assert stages(Plan("dense_steer"), 7, PRICES) == [("dense_steer", 2), ("retry", 3)]
    # One pass goes to reading the wrong answer.
    assert stages(Plan("sparse_steer", 1, True), 7, PRICES) == [
        ("retry", 1),
        ("sparse_steer", 2),
        ("retry", 1),
    ]
    assert stages(Plan("dense_sample", 6), 7, PRICES) is None
    assert stages(Plan("sparse_steer", 0, True), 2, PRICES) is None


def test_every_plan_that_fits_is_made():
    arms = ("retry", "ancestor", "dense_sample", "sparse_steer")
    assert [(p.arm, p.after, p.reads) for p in make_plans(arms, 3, PRICES)] == [
        ("retry", 0, False),
        ("ancestor", 0, False),
        ("ancestor", 1, False),
        ("ancestor", 2, False),
        ("dense_sample", 0, False),
        ("dense_sample", 1, False),
        ("sparse_steer", 0, True),
    ]


def test_what_a_plan_rescues_is_over_all_orders():
    # Of 4 retries 2 are right, of 4 of the ancestor 1.
    wins, trials = np.array([[2, 1]]), np.array([[4, 4]])
    plans = [Plan(), Plan("ancestor"), Plan("ancestor", 1)]
    found = worth(plans, 2, PRICES, ("retry", "ancestor"), wins, trials)
    # Both miss: 1/6; 3/4 * 2/3; 1/2 * 3/4.
    assert found[0] == pytest.approx([5 / 6, 1 / 2, 5 / 8])


def test_a_course_ends_at_the_first_right_answer():
    steps = [("retry", 1), ("ancestor", 1), ("retry", 1)]
    wins, trials = np.array([[2, 1]]), np.array([[4, 4]])
    wrong, price = course(steps, PRICES, ("retry", "ancestor"), wins, trials)
    # The second retry misses, given that the first did, once in three.
    assert wrong[0] == pytest.approx([1, 1 / 2, 3 / 8, 1 / 8])
    assert price[0].tolist() == [1, 1, 1]


# Rules


def test_rules_learn_what_rescues_most():
    # In cell a the ancestor is always right, in b never; retries are right half of the time.
    tried = tried_of([[2, 4]] * 3 + [[2, 0]], 4, cells=["a"] * 3 + ["b"])
    given, every = options(tried, 3), np.arange(4)
    value = given.worth()
    assert [str(each) for each in given.plans] == ["retry", "ancestor", "1 x retry, then ancestor"]

    def said(rule, seen=tried.seen):
        return [str(given.plans[i]) for i in follow(rule, given, value, every, seen)]

    assert said("retry") == ["retry"] * 4
    assert said("fixed") == ["retry"] * 4  # 5/6 of all, against 3/4.
    assert said("count") == ["1 x retry, then ancestor"] * 4  # 7/8 of all.
    assert said("cell") == ["ancestor"] * 3 + ["retry"]
    stranger = Seen(np.zeros((1, 4)), np.array(["new"]), np.full((1, 3), np.nan))
    assert said("cell", stranger) == ["1 x retry, then ancestor"]
    assert "published" not in given.rules


def test_the_published_rule_reads_first_and_goes_by_the_z_scores_learned():
    arms = (
        "retry",
        "dense_steer",
        "sparse_steer",
        "local_temperature",
        "sparse_steer_random",
    )
    features = np.array([[0.0, 0, 0], [2, 2, 2]])
    tried = tried_of([[1] * 5] * 2, 4, arms, features=features)
    prices = Prices(dict.fromkeys(arms, 2) | {"retry": 1}, dict.fromkeys(arms, 4), 1)
    given = options(replace(tried, prices=prices), 5)
    wanted = Seen(
        np.zeros((4, 4)),
        np.array(["c"] * 4),
        np.array([[3.0, 1, 1], [1, 1, 3], [0] * 3, [np.nan] * 3]),
    )
    choice = follow("published", given, given.worth(), np.arange(2), wanted)
    plans = [given.plans[i] for i in choice]
    assert [each.arm for each in plans] == [
        "dense_steer",
        "local_temperature",
        "sparse_steer_random",
        "retry",
    ]
    assert [each.reads for each in plans] == [True, True, True, False]


def test_the_simplest_rule_within_a_standard_error_is_taken():
    best = np.array([1.0, 1, 1, 1, 0, 0, 0, 0])
    near = best.copy()
    near[0] = 0  # 1/8 behind, standard error 1/8.
    question = np.arange(8)
    assert pick({"retry": np.zeros(8), "fixed": near, "cell": best}, question) == "fixed"
    far = np.zeros(8)  # 1/2 behind, standard error 0.19.
    assert pick({"retry": far, "cell": best}, question) == "cell"
    assert pick({"retry": best, "cell": best}, question) == "retry"


def test_a_plan_ends_where_no_stretch_of_it_pays():
    # Half of the problems are always rescued by the first attempt, the others never.
    tried = tried_of([[4, 0], [0, 0]], 4)
    given = options(tried, 4)
    both = np.arange(2)
    assert stop_after(given, Plan(), both, 0.0) == 3
    assert stop_after(given, Plan(), both, 0.01) == 1
    assert stop_after(given, Plan(), both, 0.5) == 1
    assert stop_after(given, Plan(), both, 0.51) == 0
    # One of four is right: all four attempts rescue a quarter for each.
    one = options(tried_of([[1, 0]], 4), 5)
    assert stop_after(one, Plan(), np.arange(1), 0.25) == 4
    assert stop_after(one, Plan(), np.arange(1), 0.26) == 0


def test_what_is_not_known_is_nan():
    x = describe(np.array([3, -1]), None, np.array([[7], [19]]), np.array([[0], [-1]]))
    assert x[:, 0].tolist() == pytest.approx([3, np.nan], nan_ok=True)
    assert np.isnan(x[:, 1]).all()
    assert x[:, 2] == pytest.approx(np.log([8, 20]))
    assert x[:, 3].tolist() == [1, 0]


# A study


@pytest.fixture(scope="module")
def planted():
    cells = [("qwen3", "sft", "arithmetic"), ("neox", "grpo", "arithmetic")]
    return {
        name: make_study(effect=name, size=0.9, n_problems=60, cells=cells, seed=seed)
        for seed, name in enumerate(("planted", "none"))
    }


def test_only_first_answers_count_and_models_that_run_are_counted(planted):
    ds = planted["planted"]
    tried = read_tried(ds, 2)
    wrong = (ds["correct"].sel(intervention="none").values[:, :2] == 0).all(axis=1)
    assert len(tried.wins) == wrong.sum()
    assert tried.arms[0] == "retry"
    assert tried.prices.passes["retry"] == 1
    assert tried.prices.passes["sparse_steer"] == 2
    assert tried.prices.most["dense_steer"] == 2
    rates = ds["rescue_rate"].sel(intervention="sparse_steer").values[wrong]
    at = tried.arms.index("sparse_steer")
    assert tried.wins[:, at] / tried.trials[:, at] == pytest.approx(rates)


def other(ds):
    return ds.assign_coords(problem_id=("problem", [f"new{i}" for i in range(ds.sizes["problem"])]))


def test_without_an_effect_nothing_is_gained(planted):
    ds = planted["none"]
    found = rnb.recover_gain(ds, other(ds), budgets=[4], **FEW)
    assert found.verdict is not Verdict.SUPPORTED
    assert abs(found.judged_frame()["null_mean"]).max() < 0.02


def test_a_better_arm_is_found_and_judged_on_other_problems(planted):
    ds = planted["planted"]
    found = rnb.recover_gain(ds, other(ds), budgets=[2, 4], **FEW)
    # With one pass left nothing but a retry fits: the other arms run two models.
    assert (found.rule(2), found.plans(2)) == ("retry", "retry")
    assert found.rule(4) != "retry"
    assert found.verdict is Verdict.SUPPORTED
    frame = found.judged_frame().set_index(["policy", "budget"])
    one = frame.loc[("any", 4)]
    assert one["gain"] == pytest.approx(one["rate"] - one["retry"])
    assert one["gain_low"] > 0.1 > one["null_mean"]
    assert frame.loc[("any", 2), ["gain", "passes"]].tolist() == [0, 1]
    assert found.plans(4) in found.sentence
    assert one["gain_other_family"] > 0.1


def test_what_cannot_be_judged_is_refused(planted):
    ds = planted["none"]
    with pytest.raises(InputError, match="asks no question that ds does not ask"):
        rnb.recover_gain(ds, ds, budgets=[4])
    with pytest.raises(InputError, match="budget must be above the 1 observed"):
        rnb.recover_gain(ds, budgets=[1])
    with pytest.raises(InputError, match="budget must be at most 21"):
        rnb.recover_gain(ds, budgets=[22])
    with pytest.raises(InputError, match="budgets must rise"):
        rnb.recover_gain(ds, budgets=[4, 2])
    with pytest.raises(InputError, match="no intervention 'calculator'"):
        rnb.recover_gain(ds, interventions=["calculator"])
    assert rnb.recover_gain(ds, budgets=[3], n_bootstrap=9).verdict is Verdict.NOT_TESTABLE
