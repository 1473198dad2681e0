"""Routers: replays, thresholds and choices by hand; no leaks; only planted effects are found."""

from dataclasses import replace
from itertools import permutations
from math import comb

import numpy as np
import pytest
import xarray as xr
from chart_parts import check_shown

import recover_nb as rnb
from recover_nb import tables
from recover_nb.core.errors import InputError
from recover_nb.core.labels import HoldOut, Verdict
from recover_nb.routing.replay import fixed_order, replay, within
from recover_nb.routing.routers.ceiling import find_ceilings, fit_population, known_worth
from recover_nb.routing.routers.folds import in_sample, make_folds
from recover_nb.routing.routers.inputs import Outcomes, agreement, read_problems
from recover_nb.routing.routers.judge import Sides, choose
from recover_nb.routing.routers.replay import missed, rescued, worth
from recover_nb.routing.routers.result import CONFIRMED_BY, judged
from recover_nb.routing.routers.rules import CountRule, best_fixed, learn_count, learnt, taken
from recover_nb.routing.simulate import make_study

CELLS = tuple(
    (family, method, "arithmetic") for family in ("qwen3", "neox") for method in ("sft", "grpo")
)
QUICK = {"n_bootstrap": 300, "n_null": 19, "n_halvings": 2}
#: A study without the two operators of the count rule counts with these.
OPERATORS = ("local_temperature", "sparse_steer")


# Replays


def test_two_of_four_attempts_by_hand():
    k = np.array([0.0, 1.0, 1.5, 2.0, 3.0])
    # A pair of four is wrong once in six; of three, one is right.
    assert missed(np.array(2), np.array(4), k) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 6, 0])


def test_an_operator_is_followed_by_retries():
    # Retry: 1 of 3 right at cost 1. The other: 2 of 3 at cost 2, so 6 of 7 passes, then one retry.
    outcomes = Outcomes(np.array([[1, 1]]), np.array([[3, 2]]), np.array([[1.0, 2.0]]))
    budget = np.array([7.0])
    # Two attempts hold the right one for certain; of a budget of 3 one and a half are made.
    assert worth(outcomes, budget)[0] == pytest.approx([1, 1])
    assert worth(outcomes, np.array([3.0]))[0] == pytest.approx([1, 3 / 4])
    # Never right: four passes are lost, and three retries left.
    never = Outcomes(np.array([[1, 0]]), np.array([[3, 2]]), np.array([[1.0, 2.0]]))
    assert worth(never, np.array([5.0]))[0] == pytest.approx([1, 1 / 3])
    assert worth(never, None)[0] == pytest.approx([1 / 3, 0])


def test_the_closed_form_is_the_replay_of_an_order():
    rng = np.random.default_rng(0)
    trials = np.tile([6, 4, 2], (30, 1))
    wins, cost = rng.integers(0, trials + 1), rng.uniform(1, 3, size=trials.shape)
    budget = rng.uniform(0, 14, size=30)
    for arm in range(3):
        order = fixed_order(np.full(30, arm), trials)
        one = within(*replay(order, wins, trials, cost), budget[:, None])[:, 0]
        assert worth(Outcomes(wins, trials, cost), budget)[:, arm] == pytest.approx(one)


def test_retries_are_rescue_at_k():
    wins, trials = np.arange(21), np.full(21, 20)
    for k in (1, 6, 20):
        found = rescued([(wins, trials, np.ones(21))], np.full(21, float(k)))
        by_hand = [1 - comb(20 - c, k) / comb(20, k) for c in wins.tolist()]
        assert found == pytest.approx(by_hand)


def test_a_replay_is_the_mean_over_all_orders():
    order = np.array([[0, 1, 1, 0]])
    spent, found = replay(order, np.array([[1, 2]]), np.array([[3, 3]]), np.array([[1.0, 2.0]]))
    # Misses: 2 of 3 retries; 1 of 3 of the other; none of the 2 left.
    assert found[0] == pytest.approx([0, 1 / 3, 7 / 9, 1, 1])
    assert spent[0].tolist() == [0, 1, 3, 5, 6]
    first = [any((a[0], b[0])) for a in permutations([0, 0, 1]) for b in permutations([0, 1, 1])]
    assert np.mean(first) == pytest.approx(found[0, 2])


# Rules


def test_thresholds_are_those_that_rescue_most():
    failed = np.array([1, 2, 3, 4])
    # Retry is best of the first, arm 1 of the second and third, arm 2 of the last.
    value = np.array([[0.9, 0.1, 0.1], [0.2, 0.5, 0.1], [0.1, 0.4, 0.3], [0.0, 0.1, 0.6]])
    rule = learn_count(value, failed, np.full(4, 5), (1, 2), 5)
    assert rule.thresholds.tolist() == [2, 4]
    assert rule.choose(failed, np.full(4, 5)).tolist() == [0, 1, 1, 2]
    # Every other pair rescues less.
    best = taken(value, rule.choose(failed, np.full(4, 5))).sum()
    for first in range(7):
        for second in range(first, 7):
            other = CountRule((1, 2), np.array([first, second]), 5)
            assert taken(value, other.choose(failed, np.full(4, 5))).sum() <= best + 1e-12


def test_what_is_not_needed_is_not_done():
    value = np.full((4, 3), 0.5)
    rule = learn_count(value, np.arange(1, 5), np.full(4, 5), (1, 2), 5)
    assert rule.thresholds.tolist() == [6, 6]
    assert (rule.choose(np.array([5]), np.array([5])) == 0).all()


def test_thresholds_are_learned_at_many_budgets_at_once():
    rng = np.random.default_rng(1)
    value, failed = rng.random((3, 40, 3)), rng.integers(1, 11, 40)
    together = learn_count(value, failed, np.full(40, 10), (1, 2), 10).thresholds
    each = [learn_count(one, failed, np.full(40, 10), (1, 2), 10).thresholds for one in value]
    assert together.tolist() == [one.tolist() for one in each]


def test_of_another_number_of_rollouts_the_same_share_is_meant():
    rule = CountRule((1, 2), np.array([35, 48]), 50)
    # 7 of 10 is 35 of 50; 9 of 10 is 45, 10 of 10 is 50.
    assert rule.choose(np.array([6, 7, 9, 10]), np.full(4, 10)).tolist() == [0, 1, 1, 2]


def test_the_best_single_operator_is_chosen_on_other_problems(problems):
    known, n = problems.known, len(problems.known.cell)
    first = known.cell == known.cell[0]
    value = np.zeros((n, 3))
    # Arm 1 is right in the first cell alone, arm 2 everywhere else.
    value[first, 1], value[~first, 2] = 1, 1
    by_cell = taken(value, best_fixed(value, make_folds(known, "cell"), n))
    assert (by_cell[first] == 0).all() and (by_cell[~first] == 1).all()
    assert (taken(value, best_fixed(value, make_folds(known, "question"), n)) == 1).all()


def test_what_is_learned_from_descriptors_is_applied():
    x = np.random.default_rng(0).normal(size=(200, 2))
    value = np.stack([np.full(200, 0.5), 0.5 + 0.2 * x[:, 0]], axis=1)
    wanted = np.array([[1.0, 0.0], [-1.0, 0.0]])
    assert learnt(x, value, wanted).tolist() == [1, 0]


def test_agreement_is_of_failed_answers():
    given, failed = np.array([[7, 7, 3, -1, 7]]), np.array([[True, False, True, True, True]])
    assert agreement(given, failed).tolist() == [0.5]


# The ceiling


def test_somebody_who_knows_is_never_out_of_attempts():
    outcomes = Outcomes(np.array([[1, 1]]), np.array([[2, 2]]), np.array([[1.0, 2.0]]))
    rates, whole = np.array([[0.5, 0.25]]), np.array([False, False])
    # Five retries, or two and a half attempts: the third is made half of the time.
    found = known_worth(rates, outcomes, np.array([5.0]), whole)
    assert found[0] == pytest.approx([1 - 0.5**5, 1 - 0.75**2 * (1 - 0.5 * 0.25)])
    # A deterministic one has its two attempts, one of them right; then a retry.
    found = known_worth(rates, outcomes, np.array([5.0]), np.array([False, True]))
    assert found[0, 1] == pytest.approx(1)
    found = known_worth(rates, outcomes, np.array([3.0]), np.array([False, True]))
    assert found[0, 1] == pytest.approx(1 - 0.25)


def simulated(spread, rng, n=600):
    """Return true rates, attempts and costs: as easy as a normal, each operator straying."""
    odds = -2 + 2 * rng.normal(size=(n, 1)) + spread * rng.normal(size=(n, 5))
    rates = 1 / (1 + np.exp(-(odds + np.linspace(-0.2, 0.3, 5))))
    cost = np.tile([1.0, 1.6, 1.0, 2.0, 2.0], (n, 1))
    trials = np.full(rates.shape, 20)
    return rates, Outcomes(rng.binomial(trials, rates), trials, cost)


@pytest.mark.parametrize("spread", [0.4, 1.2])
def test_the_corrected_ceiling_is_near_the_truth(spread):
    error, flattered, low = [], [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        rates, outcomes = simulated(spread, rng)
        budget = 6 * outcomes.cost[:, 0]
        known = known_worth(rates, outcomes, budget, np.zeros(5, bool)).max(axis=1).mean()
        (found,) = find_ceilings(tuple("abcde"), outcomes, [budget], rng, n_halvings=5)
        error.append(found.corrected.mean() - known)
        flattered.append(found.in_sample.mean() - known)
        low.append(found.halved.mean() - known)
    # The best by the attempts that score it is points too high, by halves it is points too low.
    assert min(flattered) > 0.02 and max(low) < -0.02
    assert abs(np.mean(error)) < 0.008


def test_where_operators_do_not_differ_the_fit_says_so():
    rng = np.random.default_rng(0)
    rates = np.repeat(rng.beta(0.8, 2.0, size=(800, 1)), 4, axis=1)
    fitted = fit_population(rng.binomial(20, rates), np.full(rates.shape, 20)).fitted
    assert np.exp(fitted[:, 2]).max() < 0.3
    assert fitted[:, 0] == pytest.approx(np.zeros(4), abs=0.1)


# Leaks


@pytest.fixture(scope="module")
def study():
    return make_study(effect="none", n_problems=60, cells=CELLS, seed=3)


@pytest.fixture(scope="module")
def problems(study):
    return read_problems(study)


@pytest.mark.parametrize("hold_out", list(HoldOut))
def test_what_is_held_out_is_not_learned_from(problems, hold_out):
    known = problems.known
    folds = make_folds(known, hold_out)
    label = {"question": known.question, "cell": known.cell, "family": known.family}[hold_out]
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(label)))
    for fold in folds:
        assert not set(label[fold.test]) & set(label[fold.train])
        assert all(set(near) <= set(fold.train) for _, near in fold.parts)


def test_what_is_held_out_of_another_study_is_not_learned_from_here(problems):
    some = problems.known.take(np.arange(5, 150))
    for hold_out in HoldOut:
        for fold in make_folds(problems.known, hold_out, judged=some):
            test, train = some.take(fold.test), problems.known.take(fold.train)
            name = "question" if hold_out == HoldOut.QUESTION else hold_out.value
            assert not set(getattr(test, name)) & set(getattr(train, name))


@pytest.mark.parametrize("hold_out", list(HoldOut))
def test_no_choice_changes_with_the_outcomes_of_its_own_fold(problems, hold_out):
    sides = Sides(problems, problems, (1, 3), 20)
    folds = make_folds(problems.known, hold_out)
    value = worth(problems.outcomes, None)
    before, _ = choose(sides, folds, value)
    moved = set()
    for fold in folds:
        noise = value.copy()
        noise[fold.test] = 1 - noise[fold.test, ::-1]
        after, _ = choose(sides, folds, noise)
        for name, choice in before.items():
            assert (choice[fold.test] == after[name][fold.test]).all(), name
            moved |= {name} if (choice != after[name]).any() else set()
    # Other folds do learn from it.
    assert {"count", "learnt"} <= moved


def test_what_is_known_does_not_change_with_the_outcomes_of_attempts(study, problems):
    tried = study["intervention"] != "none"
    other = xr.where((study["correct"] >= 0) & tried, 1 - study["correct"], study["correct"])
    derived = ["rescue_rate", "attempts", "regime", "route"]
    noise = read_problems(study.drop_vars(derived).assign(correct=other.astype(np.int8)))
    assert (noise.known.x == problems.known.x).all()
    assert (noise.known.failed == problems.known.failed).all()
    assert (noise.known.route == problems.known.route).all()
    assert (noise.outcomes.wins != problems.outcomes.wins).any()


def test_a_rule_that_sees_what_it_is_judged_by_gains(problems):
    rate = worth(problems.outcomes, None)
    seen = replace(problems, known=replace(problems.known, names=tuple("abcde"), x=rate))
    sides, folds = Sides(seen, seen, (1, 3), 20), make_folds(problems.known, "cell")
    choices, _ = choose(sides, folds, rate)
    gain = (taken(rate, choices["learnt"]) - taken(rate, choices["best_fixed"])).mean()
    assert gain > 0.02
    honest, _ = choose(Sides(problems, problems, (1, 3), 20), folds, rate)
    assert (taken(rate, honest["learnt"]) - taken(rate, honest["best_fixed"])).mean() < 0.01


# Comparison


def compare(ds, **options):
    return rnb.compare_routers(ds, **(QUICK | {"operators": OPERATORS} | options))


@pytest.fixture(scope="module")
def nothing(study):
    return compare(study, populations=["failed_first_1", "failed"])


def test_without_an_effect_nothing_is_claimed(nothing):
    assert nothing.verdict == Verdict.NOT_SHOWN and nothing.confirmed is False
    found = nothing.dataset.sel(policy="count", budget="one_attempt")
    assert (found["gain_low"] < 0).all() and (found["p"] > 0.05).all()
    # Learned and judged on the same problems, a rule gains where nothing differs.
    own = nothing.dataset.sel(population="failed", budget="one_attempt", policy="learnt")
    assert float(own["in_sample_null_mean"]) > 0.01
    held = own["null_mean"].sel(hold_out="question")
    assert abs(float(held)) < float(own["in_sample_null_mean"]) / 2


def test_an_operator_that_helps_hard_problems_is_found(study):
    ds = planted(study)
    found = compare(ds, hold_out=["cell", "family"], populations=["failed_first_1", "failed"])
    assert found.verdict == Verdict.SUPPORTED and found.confirmed
    one = found.judged_by
    assert float(one["gain_low"]) > 0.02 and float(one["p"]) == 1 / 20
    assert float(one["gain"]) <= float(one["ceiling_high"])
    # sparse_steer is right where at least 15 of 20 failed, and never elsewhere.
    threshold = found.dataset["threshold"].sel(operator="sparse_steer", budget="one_attempt")
    assert threshold.values.tolist() == [15, 15]
    assert "failures of 20 on one token steered" in found.sentence


def planted(study):
    """Return a study in which sparse_steer is right just where at least 15 of 20 failed."""
    correct = study["correct"].copy()
    failed = (correct.sel(intervention="none") == 0).sum("rollout").values
    names = study["intervention"].values.tolist()
    arm = correct.dims.index("intervention")
    values = np.moveaxis(correct.values.copy(), arm, -1)
    right = np.broadcast_to((failed >= 15)[:, None], values.shape[:2])
    column = values[..., names.index("sparse_steer")]
    values[..., names.index("sparse_steer")] = np.where(column >= 0, right, column)
    derived = ["rescue_rate", "attempts", "regime", "route"]
    return study.drop_vars(derived).assign(correct=(correct.dims, np.moveaxis(values, -1, arm)))


def test_what_was_learned_is_judged_on_a_fresh_study(study):
    ds = planted(study)
    again = planted(make_study(effect="none", n_problems=60, cells=CELLS, seed=4))
    found = compare(ds, fresh=again, hold_out="cell", populations=["failed"])
    own = compare(ds, hold_out="cell", populations=["failed"])
    xr.testing.assert_equal(found.dataset["threshold"], own.dataset["threshold"])
    assert found.settings["fresh"] and not own.settings["fresh"]
    assert float(found.judged_by["gain_low"]) > 0.02
    # It is judged on the fresh study's failed problems.
    failed = (again["correct"].sel(intervention="none") == 0).any("rollout")
    assert int(found.dataset["n"][0]) == int(failed.sum()) != int(own.dataset["n"][0])


@pytest.mark.parametrize(
    ("low", "high", "p", "verdict"),
    [
        (0.01, 0.02, 0.01, Verdict.SUPPORTED),
        (0.01, 0.02, 0.2, Verdict.NOT_SHOWN),
        (-0.01, 0.02, 0.01, Verdict.NOT_SHOWN),
        (-0.02, -0.01, 1.0, Verdict.CONTRADICTED),
    ],
)
def test_a_verdict_needs_the_interval_and_the_null(low, high, p, verdict):
    assert judged(xr.Dataset({"gain_low": low, "gain_high": high, "p": p})) == verdict


def test_figures_are_labelled(nothing, tmp_path):
    found = nothing.dataset
    assert found["hold_out"].values.tolist() == ["question", "cell", "family"]
    assert found["rate"].dims == ("hold_out", "population", "budget", "policy")
    assert found["population"].values.tolist() == list(CONFIRMED_BY)
    best = found.sel(policy="best_fixed")
    assert (best["gain"] == 0).all()
    gain = found["rate"] - best["rate"]
    np.testing.assert_allclose(gain, found["gain"], atol=1e-12)
    # What learns nothing is the same however things are held out.
    for name in ("retry", "published"):
        rate = found["rate"].sel(policy=name).values
        assert (rate == rate[0]).all()
    assert (found["ceiling_low"] <= found["ceiling_high"]).all()
    # A simulated study has no signals, so that features cost no more than counting.
    assert (found["counting"] == found["upfront"]).all()
    frame = nothing.to_dataframe()
    assert len(frame) == 3 * 2 * 2 * 9
    found.to_netcdf(tmp_path / "found.nc")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "found.nc"), found)


def test_the_comparison_is_a_function_of_the_seed(study):
    options = {"hold_out": "cell", "populations": ["failed"]}
    one, two, other = (compare(study, seed=seed, **options).dataset for seed in (4, 4, 5))
    xr.testing.assert_identical(one, two)
    assert not one["gain_low"].equals(other["gain_low"])


def test_a_study_of_one_cell_is_held_out_by_question():
    found = compare(make_study(n_problems=40, cells=CELLS[:1]), populations=["failed"])
    assert found.dataset["hold_out"].values.tolist() == ["question"]
    assert "one cell" in found.settings["left_out"]["cell"]
    assert "no answer_id" in found.settings["left_out"]["agreement"]
    # One checkpoint says nothing of others.
    assert np.isnan(found.dataset["gain_low_checkpoints"]).all()


def test_folds_of_nothing_hold_nothing_out(problems):
    (fold,) = in_sample(problems.known)
    assert fold.test.tolist() == fold.train.tolist() == list(range(len(problems.known.cell)))


def test_the_table_has_the_figures_in_points(nothing):
    lifts = tables.router_lifts(nothing, hold_out="cell", budget="one_attempt")
    assert lifts["router"].tolist() == ["count", "learnt", "published", "retry"] * 2
    row = lifts[(lifts["population"] == "failed") & (lifts["router"] == "learnt")].iloc[0]
    one = nothing.dataset.sel(
        hold_out="cell", budget="one_attempt", population="failed", policy="learnt"
    )
    assert row["lift_points"] == pytest.approx(100 * float(one["gain"]))
    assert row["high_checkpoints_points"] == 100 * float(one["gain_high_checkpoints"])
    assert row["ceiling_points"] == 100 * float(one["ceiling"])
    assert row["p"] == float(one["p"])
    with pytest.raises(InputError, match="population is 'all'; allowed: failed_first_1, failed"):
        tables.router_lifts(nothing, population="all")
    with pytest.raises(InputError, match="policy is 'luck'; allowed: retry"):
        tables.router_lifts(nothing, policies=["luck"])


def test_the_chart_draws_the_frame_value_for_value(nothing):
    lifts = tables.router_lifts(nothing)
    (drawn,) = rnb.plot_routers(lifts).to_dict()["datasets"].values()
    shown = lifts[lifts["budget"] == "equal_passes"]
    assert [row["lift_points"] for row in drawn] == shown["lift_points"].tolist()
    check_shown(nothing, rnb.plot_routers(lifts))
    with pytest.raises(InputError, match="no column p"):
        rnb.plot_routers(lifts.drop(columns="p"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"hold_out": ["week"]},
            r"hold_out must be .* among question, cell, family, got \['week'\]",
        ),
        ({"hold_out": []}, r"hold_out must be .*, got \[\]; give at least one"),
        ({"budget": 0}, "budget must be a whole number of at least 1, got 0"),
        ({"n_null": -1}, "n_null must be a whole number of at least 0, got -1"),
        (
            {"populations": ["everyone"]},
            r"populations must be .*failed_first_M.*, got \['everyone'\]",
        ),
    ],
)
def test_what_is_not_allowed_is_said(study, options, message):
    with pytest.raises(InputError, match=message):
        compare(study, **options)


def test_what_a_study_lacks_is_said(study):
    with pytest.raises(InputError, match="stores no forward_specialist"):
        compare(study.drop_vars("forward_specialist"))
    names = [name for name in study["intervention"].values if name != "none"]
    with pytest.raises(InputError, match="no intervention 'none'"):
        compare(study.sel(intervention=names))
    with pytest.raises(InputError, match="is 0 for attempts that were run"):
        compare(study.assign(forward_specialist=study["forward_specialist"] * 0))


@pytest.mark.slow
def test_the_bundled_study_gains_no_more_than_its_ceiling():
    found = rnb.compare_routers(rnb.load_study(), hold_out="cell", n_null=99)
    one = found.judged_by
    assert int(one["n"]) == 616 and found.settings["observed"] == 50
    assert float(one["gain_high"]) < float(one["ceiling"]) < float(one["ceiling_high"])
    rule = found.dataset.sel(policy="published", budget="equal_passes")
    assert (rule["gain_high"] < 0).all()
