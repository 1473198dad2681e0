"""Routers: rates, orders and replays by hand; nothing leaks; only a planted effect is found."""

import dataclasses
from itertools import permutations

import numpy as np
import pytest
import xarray as xr
from chart_parts import check_shown
from sklearn.linear_model import LogisticRegression

import recover_nb as rnb
from recover_nb import tables
from recover_nb.core.errors import InputError
from recover_nb.core.labels import HoldOut, Router
from recover_nb.routing.rescue import rescue_at_k
from recover_nb.routing.routers import checks
from recover_nb.routing.routers.beliefs import SOURCES, learn, shrink
from recover_nb.routing.routers.beta_binomial import (
    beta_parameters,
    fit_correlation,
    fit_regression,
    population,
)
from recover_nb.routing.routers.folds import make_folds
from recover_nb.routing.routers.inputs import Known, Outcomes, modal_share, read_problems
from recover_nb.routing.routers.lookalike import likeness, lookalike_order
from recover_nb.routing.routers.plans import decide_once, plan
from recover_nb.routing.routers.replay import (
    expected_order,
    fixed_order,
    replay,
    replay_stored,
    share_out,
    stopped_spending,
    within,
)
from recover_nb.routing.routers.scoring import best_fixed, budgets_of, comparators, fixed_curves
from recover_nb.routing.simulate import make_study

CELLS = tuple(
    (family, method, "arithmetic") for family in ("qwen3", "neox") for method in ("sft", "grpo")
)
QUICK = {"n_bootstrap": 300, "n_permutations": 500, "n_halvings": 2, "max_budget": 8}


def known_of(failed, observed, **others):
    n = len(failed)
    zeros = np.zeros(n, dtype=int)
    fixed = {
        "x": np.zeros((n, 1)),
        "cost": np.ones(n),
        "upfront": np.ones(n),
        "cells": zeros,
        "families": zeros,
    }
    given = (
        fixed
        | {"route": zeros, "failed": np.array(failed), "observed": np.array(observed)}
        | others
    )
    return Known(("nothing",), **given)


# Rates


def test_a_population_is_fitted_by_moments():
    wins, trials = np.array([[0], [0], [1], [2], [2], [1]]), np.full((6, 1), 2)
    # Mean 1/2; squared deviations from 1 add up to 4, a binomial's to 6 x 2/4 = 3, pairs weigh 3:
    # rho = 1/3.
    assert fit_correlation(wins, trials, np.array([0.5])) == pytest.approx([1 / 3])
    alpha, beta = population(wins, trials)
    assert (alpha, beta) == (pytest.approx([1.0]), pytest.approx([1.0]))


def test_uneven_numbers_of_attempts_are_weighed():
    # Mean 1/2. Deviations 1 - 0.5 and 0 - 2: 0.25 + 4 less 0.25 + 1 is 3; pairs weigh 0 and 3: rho
    # = 1, cut to 0.99.
    rho = fit_correlation(np.array([[1], [0]]), np.array([[1], [4]]), np.array([0.5]))
    assert rho == pytest.approx([0.99])


def test_alpha_and_beta_have_the_mean_and_the_correlation():
    alpha, beta = beta_parameters(np.array([0.25]), np.array([0.2]))
    assert (alpha, beta) == (pytest.approx([1.0]), pytest.approx([3.0]))
    assert 1 / (alpha + beta + 1) == pytest.approx([0.2])


def test_retry_is_shrunk_from_the_observed_rollouts_and_nothing_else_is():
    alpha, beta = shrink(
        known_of([1], [4]), np.array([1.0, 2.0]), np.array([1.0, 2.0]), observed=True
    )
    # Three right and one wrong of four: Beta(1 + 3, 1 + 1), whose mean 2/3 lies between 3/4 and
    # 1/2.
    assert alpha.tolist() == [[4.0, 2.0]]
    assert beta.tolist() == [[2.0, 2.0]]


def test_the_regression_is_scikit_learns():
    rng = np.random.default_rng(0)
    x, wins = rng.normal(size=(60, 2)), rng.integers(0, 11, size=(60, 1))
    fitted = fit_regression(x, wins, np.full((60, 1), 10))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    share = wins[:, 0] / 10
    other = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000)
    other.fit(
        np.concatenate([z, z]),
        np.repeat([1, 0], 60),
        sample_weight=np.concatenate([share, 1 - share]),
    )
    assert fitted.weights[0, 1:] == pytest.approx(other.coef_[0], abs=1e-4)
    assert fitted.weights[0, 0] == pytest.approx(other.intercept_[0], abs=1e-4)


# Orders and replays


def test_expected_gain_for_its_cost_decides_and_failures_count():
    alpha, beta, cost = np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]]), np.array([[1.0, 2.0]])
    order, gain = expected_order(alpha, beta, cost, np.array([[2, 2]]))
    # 1/2 : 3/8 retry; 1/3 : 3/8 the other; 1/3 : 3/10 retry; and the other, 3/10 : nothing left of
    # retry.
    assert order.tolist() == [[0, 1, 0, 1]]
    assert gain[0] == pytest.approx([1 / 2, 1 / 2 * 3 / 8, 1 / 8 * 1 / 3, 1 / 12 * 3 / 10])
    assert decide_once(alpha, beta, cost).tolist() == [[True, False]]
    assert decide_once(alpha, beta, np.array([[1.0, 1.0]])).tolist() == [[False, True]]


def test_who_decides_once_stays_and_goes_on_with_retry():
    alpha, beta, cost = np.full((1, 3), 1.0), np.full((1, 3), 1.0), np.array([[1.0, 1.0, 0.1]])
    only = np.array([[False, True, False]])
    order, _ = expected_order(alpha, beta, cost, np.array([[1, 2, 1]]), allowed=only)
    assert order.tolist() == [[1, 1, 0, 2]]


def test_a_fixed_operator_is_followed_by_retries():
    assert fixed_order(np.array([1, 0]), np.array([[2, 2], [2, 2]])).tolist() == [
        [1, 1, 0, 0],
        [0, 0, -1, -1],
    ]


CORRECT = np.array([[[0, 0], [0, 1], [1, 1]]], dtype=np.int8)
ORDER = np.array([[0, 1, 1, 0]])


def test_a_replay_of_two_operators_by_hand():
    spent, rescued = replay(ORDER, np.array([[1, 2]]), np.array([[3, 3]]), np.array([[1.0, 2.0]]))
    # Misses: 2 of 3 retries; 1 of 3 of the other; none of the 2 left.
    assert rescued[0] == pytest.approx([0, 1 / 3, 7 / 9, 1, 1])
    assert spent[0].tolist() == [0, 1, 3, 5, 6]
    assert within(spent, rescued, np.array([[0.0, 2.0, 3.0, 99.0]]))[0] == pytest.approx(
        [0, 5 / 9, 7 / 9, 1]
    )
    assert stopped_spending(spent, rescued)[0] == pytest.approx(
        [0, 1, 1 + 4 / 3, 1 + 4 / 3 + 4 / 9, 1 + 4 / 3 + 4 / 9]
    )


def test_the_stored_order_and_the_mean_over_all_orders():
    assert replay_stored(ORDER, CORRECT)[0].tolist() == [False, False, False, True, True]
    orders = [
        replay_stored(
            ORDER, np.stack([CORRECT[0, list(a), 0], CORRECT[0, list(b), 1]], axis=1)[None]
        )[0]
        for a in permutations(range(3))
        for b in permutations(range(3))
    ]
    _, rescued = replay(ORDER, np.array([[1, 2]]), np.array([[3, 3]]), np.ones((1, 2)))
    assert np.mean(orders, axis=0) == pytest.approx(rescued[0])


def test_one_budget_goes_to_the_attempts_that_promise_most():
    gain = np.array([[0.5, 0.3], [0.4, 0.1]])
    spent = np.array([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0]])
    given = share_out(gain, spent, np.array([1.0, 2.0, 3.0, 4.0, 9.0]), np.random.default_rng(0))
    # First problem's first (1), second's first (2), first's second (1), second's second (2).
    assert given.T.tolist() == [[1, 0], [1, 1], [1, 2], [2, 2], [2, 4]]


def test_problems_that_failed_alike_say_what_helps():
    seen = Outcomes(np.array([[0, 3], [3, 0]]), np.full((2, 2), 3), np.ones((2, 2)))
    weight = likeness(known_of([4, 0], [4, 4]), seen.wins[:, 0], seen.trials[:, 0])
    # Rates 1/8 and 7/8: four failures are 7^4 times as likely of the first.
    assert weight[0, 0] / weight[0, 1] == pytest.approx(7**4)
    order, gain = lookalike_order(
        weight, seen, ("retry", "x"), np.ones((2, 2)), np.full((2, 2), 3), steps=3
    )
    assert order[:, 0].tolist() == [1, 0]
    assert gain[0, 0] == pytest.approx(weight[0] @ [7 / 8, 1 / 8], abs=1e-6)


def test_a_failure_of_one_operator_says_something_of_another():
    # Either both operators help or none does: after a failure of the first, the second is worth no
    # more than it.
    seen = Outcomes(np.array([[3, 3], [0, 0]]), np.full((2, 2), 3), np.ones((2, 2)))
    order, gain = lookalike_order(
        np.array([[0.5, 0.5]]),
        seen,
        ("retry", "x"),
        np.array([[1.0, 1.1]]),
        np.full((1, 2), 2),
        steps=2,
    )
    assert order[0].tolist() == [0, 0]
    assert gain[0] == pytest.approx([0.5, 0.5 * (7 / 8 * 1 / 8 + 1 / 8 * 7 / 8)], abs=1e-6)


def test_a_deterministic_operator_has_only_the_attempts_it_has():
    seen = Outcomes(np.array([[0, 1]]), np.array([[2, 2]]), np.ones((1, 2)))
    arms, limit = ("retry", "dense_steer"), np.full((1, 2), 2)
    order, gain = lookalike_order(np.ones((1, 1)), seen, arms, np.ones((1, 2)), limit, steps=3)
    # One of its two attempts is right, so after a failure the other one is for certain, and then
    # nothing can be left.
    assert order[0, :2].tolist() == [1, 1]
    assert gain[0] == pytest.approx([0.5, 0.5, 0.0], abs=1e-6)


def test_the_blind_router_has_one_order_for_everyone(study):
    problems = read_problems(study, basis="attempts")
    beliefs = learn(
        problems, problems.outcomes, make_folds(problems, HoldOut.CELL), ["blind", "lookalike"]
    )
    first = problems.known.cells == 0
    orders = {
        name: plan(
            name, beliefs, problems.arms, problems.outcomes.trials, np.random.default_rng(0)
        )[0][0][first]
        for name in ("blind", "lookalike")
    }
    assert (orders["blind"] == orders["blind"][0]).all()
    assert (orders["lookalike"] != orders["lookalike"][0]).any()


def test_agreement_is_of_parsed_answers():
    assert modal_share(["1+4=5 #5", "#5", "#7", "1+4="]) == 0.5
    assert modal_share(["", "no answer"]) == 0.0


# Comparators


@pytest.fixture(scope="module")
def study():
    return make_study(effect="none", n_problems=60, cells=CELLS, seed=3)


@pytest.fixture(scope="module")
def problems(study):
    return read_problems(study)


def test_retry_is_rescue_at_k_and_random_is_the_mean(problems):
    given = budgets_of(problems.outcomes, [1, 3, 7])
    found = comparators(problems, problems.outcomes, given, 1, np.random.default_rng(0))
    wins, trials = problems.outcomes.wins[:, 0], problems.outcomes.trials[:, 0]
    for column, k in enumerate((1, 3, 7)):
        assert found["retry"].rescued[:, column] == pytest.approx(rescue_at_k(wins, trials, k))
    others = np.mean([found[name].rescued for name in problems.arms[1:]], axis=0)
    assert found["random"].rescued == pytest.approx(others)
    assert (found["oracle_in_sample"].rescued >= found["retry"].rescued - 1e-12).all()
    rows = np.arange(len(wins))
    routed = np.stack([found[name].rescued for name in problems.arms])[problems.known.route, rows]
    assert found["published"].rescued == pytest.approx(routed)


def test_the_best_fixed_operator_is_chosen_elsewhere(problems):
    given = np.ones_like(budgets_of(problems.outcomes, [1]))
    n = len(given)
    first = problems.known.cells == 0
    wins = np.zeros((n, 5), dtype=np.int64)
    # Arm 1 is right in the first cell alone, arm 2 everywhere else.
    wins[first, 1], wins[~first, 2] = 20, 20
    outcomes = Outcomes(wins, np.full((n, 5), 20), np.ones((n, 5)))
    fixed = fixed_curves(problems, outcomes, given)
    by_cell = best_fixed(fixed, make_folds(problems, HoldOut.CELL)).rescued[:, 0]
    assert (by_cell[first] == 0).all()
    assert (by_cell[~first] == 1).all()
    assert (best_fixed(fixed, make_folds(problems, HoldOut.QUESTION)).rescued == 1).all()


# Leaks


@pytest.mark.parametrize("hold_out", list(HoldOut))
def test_nothing_leaks(study, hold_out):
    assert checks.find_leaks(study, hold_out=hold_out.value) == []


@pytest.mark.parametrize("hold_out", list(HoldOut))
def test_what_is_held_out_is_not_learned_from(problems, hold_out):
    folds = make_folds(problems, hold_out)
    label = {
        HoldOut.QUESTION: problems.table.clusters,
        HoldOut.CELL: problems.known.cells,
        HoldOut.FAMILY: problems.known.families,
    }[hold_out]
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(label)))
    for fold in folds:
        assert not set(label[fold.test]) & set(label[fold.train])
        assert all(set(near) <= set(fold.train) for _, near in fold.parts)


def test_other_outcomes_in_a_cell_change_no_belief_of_that_cell_but_those_of_others(problems):
    folds = make_folds(problems, HoldOut.CELL)
    fold, routers = folds[0], [name.value for name in Router]
    wins = problems.outcomes.wins.copy()
    wins[fold.test] = problems.outcomes.trials[fold.test] - wins[fold.test]
    before = learn(problems, problems.outcomes, folds, routers)
    after = learn(
        problems, Outcomes(wins, problems.outcomes.trials, problems.outcomes.cost), folds, routers
    )
    for source, (alpha, _) in before.rates.items():
        assert (alpha[fold.test] == after.rates[source][0][fold.test]).all()
        assert (alpha[fold.train] != after.rates[source][0][fold.train]).any()


def test_a_descriptor_made_of_outcomes_is_found(study):
    def peek(ds):
        problems = read_problems(ds)
        rate = problems.outcomes.wins[:, [1]] / problems.outcomes.trials[:, [1]]
        known = problems.known
        known = dataclasses.replace(
            known, names=(*known.names, "peek"), x=np.concatenate([known.x, rate], axis=1)
        )
        return dataclasses.replace(problems, known=known)

    assert checks.find_leaks(study, routers=["sequence"], read=peek) == ["descriptor peek"]


def test_folds_that_learn_from_what_they_are_judged_on_are_found(study):
    def everything(problems, hold_out, *, seed):
        folds = make_folds(problems, hold_out, seed=seed)
        every = np.arange(len(problems.known.cells))
        return [
            dataclasses.replace(fold, train=every, parts=[(fold.test, every)]) for fold in folds
        ]

    found = checks.find_leaks(study, routers=["sequence", "learnt", "retry_gate"], folds=everything)
    assert found[:2] == ["router sequence", "router learnt"]


def lift_of(problems, names=("learnt",)):
    """Return the lift over the best fixed operator, held out by cell, with four attempts."""
    from recover_nb.routing.routers.scoring import score_routers

    folds, given = make_folds(problems, HoldOut.CELL), budgets_of(problems.outcomes, [4])
    rng = np.random.default_rng(0)
    found = score_routers(problems, problems.outcomes, folds, names, given, rng)
    fixed = best_fixed(fixed_curves(problems, problems.outcomes, given), folds)
    return {name: float((curve.rescued - fixed.rescued).mean()) for name, curve in found.items()}


def test_outcomes_dealt_out_anew_within_cells_leave_no_advantage(study):
    problems = read_problems(study, basis="attempts")
    rate = problems.outcomes.wins / problems.outcomes.trials
    leaked = dataclasses.replace(
        problems, known=dataclasses.replace(problems.known, names=tuple("abcde"), x=rate)
    )
    # A leak pays even where cells are held out: it is for `find_leaks` to see.
    assert lift_of(leaked)["learnt"] > 0.02
    rng = np.random.default_rng(1)
    order = np.arange(len(rate))
    for cell in np.unique(problems.known.cells):
        rows = np.flatnonzero(problems.known.cells == cell)
        order[rows] = rng.permutation(rows)
    dealt = dataclasses.replace(leaked, outcomes=problems.outcomes.take(order))
    assert abs(lift_of(dealt)["learnt"]) < 0.02


# Comparison


def compare(ds, **options):
    return rnb.compare_routers(
        ds, **(QUICK | {"hold_out": ["cell"], "budget": 4, "n_null": 0} | options)
    )


@pytest.fixture(scope="module")
def nothing(study):
    return compare(study, n_null=6, basis="attempts", hold_out=[*HoldOut])


@pytest.mark.parametrize("hold_out", list(HoldOut))
def test_without_an_effect_the_excess_covers_nothing(nothing, hold_out):
    frame = tables.router_lifts(nothing, hold_out=hold_out.value)
    routers = frame[frame["kind"] == "router"]
    assert (routers["excess_low_points"] < 0).all()
    assert (routers["excess_high_points"] > 0).all()
    choosing = routers[~routers["router"].str.endswith("gate")]
    assert not choosing["beats"].any()
    # Who shares out gains without any effect: only the null tells this from routing.
    gate = routers.set_index("router").loc["retry_gate"]
    assert gate["null_points"] > 2 * gate["null_sd_points"] / np.sqrt(6)


def test_operators_that_differ_are_found_by_their_populations():
    ds = make_study(effect="planted", size=0.3, n_problems=60, cells=CELLS, seed=5)
    found = compare(ds, routers=["sequence", "shrunken", "thompson", "lookalike"])
    frame = tables.router_lifts(found, against="retry").set_index("router")
    assert (frame.loc[["sequence", "shrunken", "thompson", "lookalike"], "low_points"] > 5).all()


def test_a_link_of_features_with_operators_is_found_and_transfers():
    ds = make_study(
        effect="tied", size=0.5, n_problems=100, cells=CELLS, difficulty=(1.0, 8.0), seed=7
    )
    found = compare(
        ds, routers=["sequence", "learnt_failures", "learnt"], basis="attempts", budget=2
    )
    frame = tables.router_lifts(found).set_index("router")
    assert frame.loc["learnt", "low_points"] > 5
    assert bool(frame.loc["learnt", "beats"])
    # One order for everyone gains by trying two operators; the features gain on top, the number of
    # failures does not.
    frame = tables.router_lifts(found, against="sequence").set_index("router")
    assert frame.loc["learnt", "low_points"] > 5
    assert frame.loc["learnt_failures", "high_points"] < 3


def test_the_comparison_is_a_function_of_the_seed(study):
    options = {"routers": ["thompson", "retry_gate"], "n_null": 1}
    one, two = (compare(study, seed=4, **options).to_dict() for _ in range(2))
    assert one == two
    assert compare(study, seed=5, **options).to_dict() != one


def test_a_study_of_one_cell_is_held_out_by_question():
    found = compare(
        make_study(n_problems=40, cells=CELLS[:1]), routers=["sequence"], hold_out=[*HoldOut]
    )
    assert list(found.hold_outs) == ["question"]
    assert "one cell" in found.left_out["cell"]
    assert "no tokens" in found.left_out["agreement"]


def test_tables_show_what_was_found(nothing):
    data = nothing.to_dict()
    by_cell = data["hold_outs"]["cell"]["policies"]["learnt"]
    curves = tables.router_curves(nothing, "cell", ["retry", "learnt"])
    assert curves[curves["policy"] == "learnt"]["rescue"].tolist() == by_cell["curve"]
    assert curves["retries"].tolist() == [*range(1, 9)] * 2
    rates = nothing.to_dataframe("family")
    assert rates["rate"].is_monotonic_decreasing
    assert rates.set_index("policy").loc["retry", "given"] == pytest.approx(4.0)
    lifts = tables.router_lifts(nothing)
    one = data["hold_outs"]["question"]["lifts"]["learnt"]["best_fixed"]
    row = lifts[(lifts["hold_out"] == "question") & (lifts["router"] == "learnt")].iloc[0]
    assert row["lift_points"] == pytest.approx(100 * one["lift"])
    assert row["lift_points"] - row["null_points"] == pytest.approx(row["excess_points"])
    cells = tables.router_cells(nothing)
    assert np.average(cells["learnt"], weights=cells["n"]) == pytest.approx(by_cell["rate"])
    assert len(nothing.sentences) == 3
    assert "Held out by cell, at the attempts of 4 retries" in nothing.sentences[1]
    assert "No router that spends the same on every problem beats it." in nothing.sentences[1]
    gates = ("gate", "lookalike_gate", "learnt_gate")
    found = data["hold_outs"]["cell"]
    best = max(gates, key=lambda name: found["policies"][name]["rate"])
    lift = found["lifts"][best]["retry_gate"]["lift"]
    assert (
        f"What operators add to sharing out: {best} {100 * lift:+.1f} points"
        in nothing.sentences[1]
    )


def test_the_chart_draws_the_frames_value_for_value(nothing):
    curves, lifts = tables.router_curves(nothing), tables.router_lifts(nothing)
    drawn = list(rnb.plot_routers(curves, lifts).to_dict()["datasets"].values())
    assert sorted(map(len, drawn)) == sorted([len(curves), len(lifts)])
    rows = next(each for each in drawn if "rescue" in each[0])
    assert [row["rescue"] for row in rows] == curves["rescue"].tolist()
    one = rnb.plot_routers(curves, lifts[lifts["hold_out"] == "cell"]).to_dict()
    assert len(one["hconcat"]) == 2
    with pytest.raises(InputError, match="no column rescue"):
        rnb.plot_routers(curves.drop(columns="rescue"), lifts)


def test_a_result_is_drawn_as_its_frames(nothing):
    curves, lifts = tables.router_curves(nothing), tables.router_lifts(nothing)
    assert set(curves["hold_out"]) == {"cell"}
    check_shown(nothing, rnb.plot_routers(curves, lifts))


def test_a_comparison_that_holds_out_no_cell_is_drawn(study):
    found = compare(study, routers=["sequence"], hold_out=["question"])
    curves = tables.router_curves(found)
    assert set(curves["hold_out"]) == {"question"} and "retry" in set(curves["policy"])
    check_shown(found, rnb.plot_routers(curves, tables.router_lifts(found)))


def test_figures_are_labelled(nothing, tmp_path):
    found = nothing.dataset
    assert found["hold_out"].values.tolist() == ["question", "cell", "family"]
    assert found["rate"].dims == ("hold_out", "policy")
    assert found["curve"].dims == ("hold_out", "policy", "budget")
    assert found["budget"].values.tolist() == list(range(1, 9))
    one = found.sel(hold_out="cell", policy="learnt")
    known = nothing.hold_outs["cell"]["policies"]["learnt"]
    assert float(one["rate"]) == known["rate"]
    assert [float(one["low"]), float(one["high"])] == list(known["ci95"])
    assert one["curve"].values.tolist() == known["curve"]
    # A comparator draws nothing from a fold: held out or not, it is the same.
    retry = found["rate"].sel(policy="retry").values
    assert (retry == retry[0]).all()
    frame = nothing.to_dataframe()
    assert len(frame) == int(found["rate"].notnull().sum())
    assert frame["hold_out"].unique().tolist() == ["question", "cell", "family"]
    assert frame.groupby("hold_out", sort=False)["rate"].is_monotonic_decreasing.all()
    with pytest.raises(InputError, match="no hold-out 'week'; allowed: question, cell, family"):
        nothing.to_dataframe("week")
    assert nothing.sentence == " ".join(nothing.sentences)
    found.to_netcdf(tmp_path / "found.nc")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "found.nc"), found)


def test_every_router_has_a_source_and_a_plan(problems):
    folds = make_folds(problems, HoldOut.CELL)
    names = [name.value for name in Router]
    beliefs = learn(problems, problems.outcomes, folds, names)
    limit = problems.outcomes.trials
    assert set(SOURCES) == set(Router)
    for name in names:
        order, gain = plan(name, beliefs, problems.arms, limit, np.random.default_rng(0))[0]
        for arm in range(limit.shape[1]):
            assert ((order == arm).sum(axis=1) <= limit[:, arm]).all()
        assert (gain >= 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"routers": ["magic"]}, "unknown router 'magic'; allowed: sequence"),
        ({"hold_out": ["week"]}, "unknown holdout 'week'; allowed: question, cell, family"),
        ({"routers": []}, "may not be empty"),
        ({"budget": 9}, "budget is 9; it must be at most max_budget, 8"),
        ({"basis": "hours"}, "unknown basis 'hours'; allowed: forward_passes"),
        ({"n_null": -1}, "n_null -1; allowed"),
    ],
)
def test_what_is_not_allowed_is_said(study, options, message):
    with pytest.raises(InputError, match=message):
        compare(study, **options)


def test_what_a_study_lacks_is_said(study):
    with pytest.raises(InputError, match="stores no forward_specialist"):
        compare(study.drop_vars("forward_specialist"))
    with pytest.raises(InputError, match="no intervention 'none'"):
        compare(
            study.sel(
                intervention=[name for name in study["intervention"].values if name != "none"]
            )
        )
    with pytest.raises(InputError, match="is 0 for rollouts that were run"):
        compare(study.assign(forward_specialist=study["forward_specialist"] * 0))
    with pytest.raises(InputError, match=r"against is 'luck'; allowed: .*best_fixed"):
        tables.router_lifts(compare(study, routers="sequence", hold_out="cell"), against="luck")


@pytest.mark.slow
def test_the_bundled_study_has_no_router_of_operators_that_beats_the_best_fixed_one():
    found = rnb.compare_routers(
        rnb.load_study(),
        routers=["lookalike", "learnt", "retry_gate"],
        hold_out=["cell"],
        **QUICK,
        n_null=0,
    )
    frame = tables.router_lifts(found).set_index("router")
    assert frame.loc["published", "high_points"] < -2
    assert found.hold_outs["cell"]["beats"] == ["retry_gate"]
    assert frame.loc["learnt", "high_points"] < 0.5


@pytest.mark.slow
def test_with_more_operators_how_often_a_problem_failed_says_which_helps():
    ds = rnb.load_study()
    operators = [
        name for name in ds["intervention"].values if name not in ("none", "retry", "calculator")
    ]
    options = QUICK | {"interventions": operators, "hold_out": "cell", "n_null": 0}
    found = rnb.compare_routers(ds, routers=["blind", "lookalike"], **options)
    for against in ("best_fixed", "blind"):
        one = tables.router_lifts(found, against=against).set_index("router").loc["lookalike"]
        assert one["low_points"] > 0.4
        assert bool(one["beats"])
