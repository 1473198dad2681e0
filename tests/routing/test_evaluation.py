"""Evaluation of routing: the published figures, the contract of its JSON, small cases by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.io.profiles import from_profiles
from recover_nb.io.store import open_study, save_study
from recover_nb.routing import estimators
from recover_nb.routing.budgets import (
    BASES,
    CLAIM_BASES,
    CLAIM_MARGIN,
    budget_curves,
)
from recover_nb.routing.estimators import halve, published, split
from recover_nb.routing.evaluation import evaluate_routing
from recover_nb.routing.nulls import repeating, twinning
from recover_nb.routing.policy import RoutingPolicy
from recover_nb.routing.result import Evaluation
from recover_nb.routing.simulate import make_study
from recover_nb.routing.table import Inputs, Table, tabulate
from recover_nb.stats.resampling import bootstrap_weights

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"
QUICK = {"n_bootstrap": 100, "n_permutations": 100, "n_null": 20, "n_splits": 10}
OURS = {"local_temp": "local_temperature"}
MEASURED = ["published", "split", "all"]
#: Figures of the claim, by their names after ``claim_``.
CLAIM = ("k_routed", "k_retry", "n", "routed", "retry", "lift", "low", "high")


@pytest.fixture(scope="module")
def golden():
    if not (REFERENCE / "golden.json").exists():
        pytest.skip("the reference figures are not on this machine")
    return json.loads((REFERENCE / "golden.json").read_text())


@pytest.fixture(scope="module")
def reproduction(golden):
    return evaluate_routing(from_profiles(REFERENCE / "published_profiles.csv"))


@pytest.fixture(scope="module")
def reproduced(reproduction):
    return reproduction.to_dict()


@pytest.fixture(scope="module")
def tied():
    return make_study(effect="tied", n_problems=60, twin=0.5, seed=1)


@pytest.fixture(scope="module")
def evaluation(tied):
    return evaluate_routing(tied, **QUICK)


@pytest.fixture(scope="module")
def evaluated(evaluation):
    return evaluation.to_dict()


@pytest.mark.parametrize(
    "cell", ["grpo1p7b|gpqa", "sft0p6b|gsm8k", "sft1p7b|gpqa", "sft4b|cruxeval"]
)
def test_published_cells(golden, reproduced, cell):
    ours, theirs = reproduced["cells"][cell], golden[cell]
    assert ours["n"] == theirs["n"]
    assert ours["regimes"]["steerable_hard"] == theirs["steerable_hard"]
    assert ours["regimes"]["beyond_reach"] == theirs["beyond_reach"]
    assert sum(ours["regimes"].values()) == ours["n"]
    assert ours["routed_counts"] == {OURS.get(k, k): v for k, v in theirs["routed_counts"].items()}
    # Golden figures have four decimals, so half a unit of the last is their own rounding.
    for name, rate in theirs["rescue"].items():
        assert ours["rescue"][OURS.get(name, name)] == pytest.approx(rate, abs=5.1e-5)


def test_published_overall(golden, reproduction, reproduced):
    ours, theirs = reproduced["overall"], golden["all"]
    assert ours["n"] == theirs["n"]
    assert ours["steerable_hard_fraction"] == pytest.approx(
        theirs["steerable_hard_fraction"], abs=5.1e-5
    )
    assert ours["published"]["lift"] == pytest.approx(theirs["routed_minus_retry"], abs=5.1e-5)
    assert ours["split"] is None
    for name, rate in theirs["mean_rates"].items():
        found = reproduction.lift("all", OURS.get(name, name))
        assert float(found["rate"]) == pytest.approx(rate, abs=5.1e-5)


def test_published_null(golden, reproduced):
    """Within three standard errors of the mean of 200 simulations, on either side."""
    ours, theirs = reproduced["overall"]["null"], golden["all"]
    sd = theirs["null_routed_minus_retry_sd"]
    error = 3 * sd * np.sqrt(2 / 200)
    assert ours["mean"] == pytest.approx(theirs["null_routed_minus_retry_mean"], abs=error)
    assert ours["sd"] == pytest.approx(sd, abs=3 * sd / np.sqrt(200))
    # The fraction varies by 0.0139 from one simulated study to the next.
    assert ours["steerable_hard_fraction"] == pytest.approx(
        theirs["null_steerable_hard_fraction"], abs=3 * 0.0139 * np.sqrt(2 / 200)
    )
    excess = reproduced["overall"]["excess"]
    assert excess["value"] == pytest.approx(
        reproduced["overall"]["published"]["lift"] - ours["mean"]
    )
    assert excess["p"] > 0.05


def test_json_follows_the_contract(evaluated):
    assert json.loads(json.dumps(evaluated, allow_nan=False)) == evaluated
    cell = evaluated["cells"]["qwen3|sft|arithmetic"]
    assert set(cell) == {"n", "regimes", "routed_counts", "rescue"}
    assert set(cell["regimes"]) == {"steerable_hard", "beyond_reach", "resample"}
    assert {"routed", "retry", "oracle", "dense_steer"} <= set(cell["rescue"])
    assert sum(cell["routed_counts"].values()) == cell["regimes"]["steerable_hard"]
    overall = evaluated["overall"]
    assert {"n", "steerable_hard_fraction", "published", "null", "excess", "split", "all"} <= set(
        overall
    )
    low, high = overall["published"]["ci95"]
    assert low < overall["published"]["lift"] < high
    assert set(overall["null"]) >= {"mean", "sd"}
    assert set(overall["excess"]) >= {"value", "p"}
    assert "lift" in overall["split"]
    assert "lift" in overall["all"]


def test_every_estimator_has_every_comparator(evaluation):
    names = {
        *("retry", "sparse_steer", "sparse_steer_random", "local_temperature", "dense_steer"),
        *("best_fixed", "best_fixed_in_sample", "random", "permuted", "oracle"),
    }
    found = evaluation.dataset
    assert evaluation.estimators == ("published", "null", "null_twins", "split", "all")
    assert set(found["comparator"].values) == names
    assert found["lift"].sel(cell="all").notnull().all()
    measured = found.sel(estimator=MEASURED)
    cells = measured.drop_sel(cell="all")
    assert cells.sizes["cell"] == 2
    assert (cells["p"] <= cells["p_holm"]).all() and (cells["p_holm"] <= 1).all()
    whole = measured.sel(cell="all")
    for name in names:
        one = whole.sel(comparator=name)
        routed = one["rate"] + one["lift"]
        assert routed.values == pytest.approx(one["routed"].values)
        assert one["relative"].values == pytest.approx((routed / one["rate"] - 1).values)


def test_figures_are_labelled_by_estimator_cell_and_comparator(evaluation):
    found = evaluation.figures
    by_cell = ("estimator", "cell")
    assert {name: found[name].dims for name in ("n", "routed", "p", "p_holm", "selected")} == {
        name: by_cell for name in ("n", "routed", "p", "p_holm", "selected")
    }
    ends = [f"{name}_{end}" for name in ("lift", "relative", "excess") for end in ("low", "high")]
    for name in ("rate", "lift", "relative", "sd", "excess", "excess_p", *ends):
        assert found[name].dims == (*by_cell, "comparator"), name
    assert found["cell"].values.tolist() == [
        "all",
        "neox|grpo|program",
        "qwen3|sft|arithmetic",
    ]
    assert "routed" not in found["comparator"].values
    assert found["strategy"].values.tolist()[:3] == ["routed", "retry", "oracle"]
    populations = ["failed_first_1", "failed", "failed_first_5"]
    assert evaluation.dataset["population"].values.tolist() == populations
    assert found["mapping"].values.tolist()[0] == "dense_steer, sparse_steer, local_temperature"
    assert found.sizes["mapping"] == 6
    assert found["budget"].dims == ("basis", "k")
    assert found["budget_cost"].dims == ("side", "basis")
    assert found["claim_lift"].dims == ("claim_basis",)
    # A null is of all cells together, and only it has a spread, an excess and a share selected.
    for name in ("sd", "excess", "excess_p", "selected"):
        assert found[name].sel(estimator=MEASURED).isnull().all(), name
        nulls = found[name].sel(estimator=["null", "null_twins"])
        assert nulls.sel(cell="all").notnull().all() and nulls.drop_sel(cell="all").isnull().all()


def test_cells_add_up_to_all(tied, evaluation):
    whole = evaluation.of("failed")
    found = whole.figures
    failed = np.isfinite(tied["features"].values).all(axis=1)
    assert int(found["problems"].sel(cell="all")) == failed.sum() == 119
    assert int(found["left_out"]) == 1
    for name in ("problems", "regimes", "routes"):
        cells = found[name].drop_sel(cell="all").sum("cell")
        assert (cells == found[name].sel(cell="all")).all(), name
    regimes = tied["regime"].values[failed]
    for name in ("steerable_hard", "beyond_reach", "resample"):
        assert int(found["regimes"].sel(cell="all", regime=name)) == (regimes == name).sum()
    hard = found["regimes"].sel(cell="all", regime="steerable_hard")
    assert float(found["hard"]) == pytest.approx(float(hard) / 119)
    assert float(whole.lift("published")["n"]) == float(hard)


def test_an_evaluation_is_stored_and_read_again(evaluation, tmp_path):
    evaluation.dataset.to_netcdf(tmp_path / "evaluation.nc")
    again = Evaluation(xr.load_dataset(tmp_path / "evaluation.nc"))
    xr.testing.assert_identical(again.dataset, evaluation.dataset)
    assert again.to_dict() == evaluation.to_dict()
    assert again.settings == evaluation.settings
    assert again.settings | QUICK == again.settings and again.settings["seed"] == 0
    assert again.settings["policy"]["operators"]["spread"] == "dense_steer"


def test_same_seed_same_figures(tied, evaluation):
    again = evaluate_routing(tied, **QUICK)
    xr.testing.assert_identical(again.dataset, evaluation.dataset)
    assert again.to_dict() == evaluation.to_dict()
    other = evaluate_routing(tied, **QUICK, seed=1)
    assert float(other.lift("published")["lift"]) == float(evaluation.lift("published")["lift"])
    assert other.to_dict()["overall"]["null"] != evaluation.to_dict()["overall"]["null"]


def test_order_of_problems_and_interventions_does_not_matter(tied, evaluated):
    order = np.random.default_rng(0).permutation(tied.sizes["problem"])
    shuffled = tied.isel(problem=order, intervention=slice(None, None, -1))
    found = evaluate_routing(shuffled, **QUICK).to_dict()
    for name, cell in evaluated["cells"].items():
        assert found["cells"][name]["regimes"] == cell["regimes"]
        assert found["cells"][name]["routed_counts"] == cell["routed_counts"]
        assert found["cells"][name]["rescue"] == pytest.approx(cell["rescue"])


def test_the_input_is_not_changed(tied):
    before = tied.copy(deep=True)
    evaluate_routing(tied, **QUICK)
    xr.testing.assert_identical(tied, before)


def test_further_interventions_are_reported_beside(tied):
    extra = tied.isel(intervention=[1]).assign_coords(intervention=["calculator"])
    extra["rescue_rate"] = extra["rescue_rate"].where(extra["attempts"] == 0, 1)
    extra["correct"] = extra["correct"].where(extra["correct"] < 0, 1)
    # Not run on the first ten problems: compared on the others only.
    extra["rescue_rate"][:10], extra["attempts"][:10], extra["correct"][:10] = np.nan, 0, -1
    both = xr.concat([tied, extra], "intervention", data_vars="minimal")
    plain = evaluate_routing(tied, **QUICK).to_dict()
    beside = evaluate_routing(both, **QUICK)
    found = beside.to_dict()
    assert found["overall"]["published"]["lift"] == plain["overall"]["published"]["lift"]
    assert found["overall"]["n"] == plain["overall"]["n"]
    figures = beside.lift("published", "calculator")
    assert figures["rate"] == 1.0
    assert figures["lift"] < 0
    assert found["cells"]["qwen3|sft|arithmetic"]["rescue"]["calculator"] == 1.0


def test_units_that_did_not_fail_are_left_out(tied):
    spoiled = tied.copy(deep=True)
    spoiled["features"][:5] = np.nan
    found = evaluate_routing(spoiled, **QUICK).to_dict()["overall"]
    assert found["n"] + found["n_left_out"] == tied.sizes["problem"]
    assert found["n_left_out"] >= 5


def test_rates_are_counted_where_they_are_missing(tied, evaluated):
    found = evaluate_routing(tied.drop_vars(["rescue_rate", "attempts"]), **QUICK).to_dict()
    assert found["overall"] == evaluated["overall"]


def test_no_steerable_problem_gives_none_not_nan(tied):
    flat = tied.drop_vars("correct").copy(deep=True)
    flat["rescue_rate"][:] = 0.0
    found = evaluate_routing(flat, **QUICK).to_dict()
    assert found["overall"]["published"]["lift"] is None
    assert found["cells"]["qwen3|sft|arithmetic"]["rescue"]["routed"] is None
    assert found["cells"]["qwen3|sft|arithmetic"]["regimes"]["beyond_reach"] > 0
    json.dumps(found, allow_nan=False)


def test_another_policy(tied):
    policy = RoutingPolicy({"spread": "sparse_steer"}, fallback="dense_steer")
    cell = evaluate_routing(tied, policy=policy, **QUICK).to_dict()["cells"]["qwen3|sft|arithmetic"]
    counts = cell["routed_counts"]
    assert counts["local_temperature"] == counts["sparse_steer_random"] == 0
    assert counts["sparse_steer"] > 0 < counts["dense_steer"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ds: ds.drop_vars("features"), "no variable 'features'"),
        (lambda ds: ds.drop_vars(["correct", "rescue_rate"]), "neither rescue_rate"),
        (lambda ds: ds.isel(feature=[0]), "no feature concentration"),
        (lambda ds: ds.isel(problem=[]), "holds no problem; choose at least one"),
    ],
)
def test_unusable_studies(tied, change, words):
    with pytest.raises(InputError, match=words):
        evaluate_routing(change(tied), **QUICK)


def test_unusable_options(tied):
    with pytest.raises(InputError, match="n_null is 0"):
        evaluate_routing(tied, n_null=0)
    with pytest.raises(InputError, match="routes to calculator"):
        evaluate_routing(tied, policy=RoutingPolicy({"spread": "calculator"}))


def test_halves_share_no_attempt_and_lose_none(tied):
    table, _, _ = tabulate(tied)
    select, _, score = halve(table, 5, np.random.default_rng(0))
    sampled = [i for i, name in enumerate(table.arms) if name != Intervention.DENSE_STEER]
    dense = table.arms.index(Intervention.DENSE_STEER)
    assert (select[..., sampled] + score[..., sampled]) / 2 == pytest.approx(
        np.broadcast_to(table.rate[:, sampled], (10, *table.rate[:, sampled].shape))
    )
    # Two attempts are too few to halve: they score whole and select nothing.
    assert np.isnan(select[..., dense]).all()
    assert (score[..., dense] == table.rate[:, dense]).all()


def test_nothing_that_selects_scores(tied):
    """Turn the scoring half's outcomes around: the selection must not move."""
    table, _, _ = tabulate(tied)
    select, _, _ = halve(table, 1, np.random.default_rng(0))
    hard = table.hard(select)
    coin = np.random.default_rng(0).random((len(table.rate), 1, 10)) < 0.5
    first = np.stack([coin, ~coin], axis=-1).reshape(len(table.rate), 20)
    correct = table.correct.copy()
    second = ~first[:, :, None] & (correct >= 0)
    second[..., table.arms.index(Intervention.DENSE_STEER)] = False
    correct[second] = 1 - correct[second]
    changed = type(table)(**{**table.__dict__, "correct": correct})
    again, _, _ = halve(changed, 1, np.random.default_rng(0))
    assert (changed.hard(again)[0] == hard[0]).all()


def test_twinning_and_repeating_find_the_truth():
    study = make_study(n_problems=400, twin=0.6, agreement=0.7, seed=3)
    table, _, _ = tabulate(study)
    assert twinning(table, 1) == pytest.approx(0.6, abs=0.05)
    assert repeating(table, table.arms.index("dense_steer")) == pytest.approx(0.7, abs=0.1)
    assert twinning(table, 0) == 0
    assert repeating(table, 1) == 0
    plain, _, _ = tabulate(make_study(n_problems=400, seed=3))
    assert twinning(plain, 1) < 0.05


@pytest.fixture(scope="module")
def two_problems():
    """Return two problems, routed to sparse steering and to local temperature, in one cell."""
    rates = np.array([[0.0, 0.8, 0.0, 0.2, 0.0], [0.0, 0.4, 0.0, 1.0, 0.0]])
    return xr.Dataset(
        {
            "features": (("problem", "feature"), [[0.0, 1, 0], [0, 0, 1.0]]),
            "rescue_rate": (("problem", "intervention"), rates),
            "attempts": (("problem", "intervention"), np.full((2, 5), 10, dtype=np.int32)),
        },
        coords={
            "cell": ("problem", ["a", "a"]),
            "feature": ["spread", "concentration", "logit_dispersion"],
            "intervention": [
                "retry",
                "sparse_steer",
                "sparse_steer_random",
                "local_temperature",
                "dense_steer",
            ],
        },
    )


def test_permuted_and_random_routing_by_hand(two_problems):
    """The two routes are swapped half of the time."""
    table, _, _ = tabulate(two_problems)
    found = published(table, np.random.default_rng(0), n_splits=1)
    mean = dict(zip(found.names, found.value.mean(axis=0), strict=True))
    assert mean["routed"] == pytest.approx((0.8 + 1.0) / 2)
    assert mean["permuted"] == pytest.approx((0.8 + 0.2 + 0.4 + 1.0) / 4)
    assert mean["random"] == pytest.approx((1.0 / 4 + 1.4 / 4) / 2)
    assert mean["best_fixed_in_sample"] == pytest.approx(0.6)
    assert mean["oracle"] == pytest.approx(0.9)


def test_the_dataset_by_hand(two_problems):
    evaluation = evaluate_routing(two_problems, **QUICK)
    assert evaluation.estimators == ("published", "null", "all")
    assert evaluation.populations == ("failed",)
    found = evaluation.figures
    assert found["cell"].values.tolist() == ["all", "a"]
    for cell in ("all", "a"):
        counts = found.sel(cell=cell)
        assert int(counts["problems"]) == 2
        assert counts["regimes"].to_series().to_dict() == {
            "steerable_hard": 2,
            "beyond_reach": 0,
            "resample": 0,
        }
        assert counts["routes"].to_series().to_dict() == {
            "sparse_steer": 1,
            "sparse_steer_random": 0,
            "local_temperature": 1,
            "dense_steer": 0,
        }
        for estimator in ("published", "all"):
            one = evaluation.lift(estimator, "permuted", cell)
            assert (float(one["n"]), float(one["routed"])) == (2, 0.9)
            assert float(one["rate"]) == pytest.approx(0.6)
            assert float(one["lift"]) == pytest.approx(0.3)
            assert float(one["relative"]) == pytest.approx(0.5)
            assert float(evaluation.lift(estimator, "oracle", cell)["lift"]) == 0
    rescue = found["rescue"].sel(cell="a").to_series().to_dict()
    assert rescue == pytest.approx(
        {
            **{"routed": 0.9, "retry": 0.0, "oracle": 0.9, "sparse_steer": 0.6},
            **{"sparse_steer_random": 0.0, "local_temperature": 0.6, "dense_steer": 0.0},
        }
    )
    assert float(found["hard"]) == 1 and int(found["left_out"]) == 0
    told = evaluation.to_dict()["cells"]["a"]
    assert told["n"] == 2 and told["rescue"] == rescue
    # Of ten routed attempts eight are right on one problem, all on the other.
    assert found["budget_routed"].sel(basis="attempts", k=1) == 0.9
    # Of the six mappings, three send one of the two where it is rescued.
    assert found["mapping_lift"].values.round(2).tolist()[0] == 0.9


def test_split_oracle_is_scored_on_the_other_half():
    """Without effect the best of four on one half is no better than retry on the other."""
    table, _, _ = tabulate(make_study(n_problems=400, seed=5))
    rng = np.random.default_rng(0)
    honest, inflated = split(table, rng, n_splits=20), published(table, rng, n_splits=2)
    rate = {}
    for name, item in (("split", honest), ("published", inflated)):
        means = dict(zip(item.names, item.value.sum(0) / item.weight.sum(0), strict=True))
        rate[name] = means["oracle"] - means["retry"]
    assert abs(rate["split"]) < 0.03
    assert rate["published"] > 0.1


def priced(arms, wins, trials, passes):
    """Return inputs of which every problem is routed to the second arm."""
    n = len(wins)
    table = Table(
        arms=arms,
        n_regime=len(arms) - 1,
        rate=np.array(wins) / np.array(trials),
        attempts=np.array(trials),
        features=np.zeros((n, 1)),
        cells=np.zeros(n, int),
        clusters=np.arange(n),
        strata=np.zeros(n, int),
        policy=RoutingPolicy({"spread": arms[1]}, fallback=arms[1]),
    )
    costs = {} if passes is None else {"forward_specialist": np.array(passes, float)}
    costs |= {"forward_ancestor": np.zeros((n, len(arms)))} if costs else {}
    places = {"failed": np.arange(n)}
    return Inputs(table, costs, np.array(["cell"]), n, places)


def curves(inputs):
    n = len(inputs.table.rate)
    drawn = bootstrap_weights(np.arange(n), np.zeros(n), 50, np.random.default_rng(0))
    return budget_curves(inputs, drawn)


ATTEMPTS, TOKENS, PASSES = map(BASES.index, ("attempts", "generated_tokens", "forward_passes"))


def test_equal_budgets_by_hand():
    """Routing costs twice a retry: 2 retries buy one routed attempt."""
    found = curves(
        priced(("retry", "temperature"), [[1, 5], [1, 0]], [[10, 10]] * 2, [[10, 20]] * 2)
    )
    assert found["routed"].shape == (3, 10)
    assert found["routed"][ATTEMPTS, 0] == pytest.approx(0.25)
    assert found["retry"][ATTEMPTS, 1] == pytest.approx(0.2)
    assert found["k_routed"][PASSES, 1] == 1
    assert found["routed"][PASSES, 1] == pytest.approx(0.25)
    assert found["budget"][PASSES, 1] == 20
    for name in ("budget", "k_routed", "n", "routed", "retry", "lift", "low", "high"):
        assert np.isnan(found[name][TOKENS]).all(), name
    cost = found["cost"]
    assert cost[:, ATTEMPTS].tolist() == [1, 1] and cost[:, PASSES].tolist() == [20, 10]
    assert np.isnan(cost[:, TOKENS]).all()
    # Fewer than the ten and fifty that were claimed: not testable. At equal cost: six retries.
    assert np.isnan(found["claim_lift"][CLAIM_BASES.index("attempts")])
    equal = {name: found[f"claim_{name}"][CLAIM_BASES.index("forward_passes")] for name in CLAIM}
    # Three of ten attempts, five right: 1 - C(5, 3) / C(10, 3) = 110 / 120; six of ten retries, one
    # right: 0.6.
    assert equal["k_retry"] == 6 and equal["k_routed"] == 3
    assert equal["routed"] == pytest.approx(110 / 240) and equal["retry"] == pytest.approx(0.6)


def test_a_plan_is_charged_for_what_it_makes_and_goes_on_with_retries():
    """Two attempts of 30 passes each, both wrong; then retries of 10, 2 of 10 right."""
    found = curves(priced(("retry", "dense_steer"), [[2, 0]], [[10, 2]], [[10, 30]]))
    routed = found["routed"][PASSES]
    assert routed[:6].tolist() == [0] * 6
    assert routed[6] == pytest.approx(0.2)
    assert routed[7] == pytest.approx(1 - 8 / 10 * 7 / 9)
    assert found["k_routed"][PASSES, [5, 6, 7]].tolist() == [2, 3, 4]
    assert found["routed"][ATTEMPTS, 2] == pytest.approx(0.2)
    assert found["budget"][PASSES].tolist() == [10 * k for k in range(1, 11)]


def test_budgets_that_no_problem_reaches_say_nothing():
    """One of two problems has three retries: beyond, it alone is counted."""
    trials = [[2, 4], [3, 4]]
    found = curves(priced(("retry", "temperature"), [[1, 2], [0, 2]], trials, [[10, 20]] * 2))
    assert found["n"][ATTEMPTS].tolist() == [2, 2, 1]
    assert found["retry"][ATTEMPTS].tolist() == [0.25, 0.5, 0.0]
    assert found["budget"][PASSES].tolist() == [10, 20, 30]


def test_the_claim_is_tested_at_ten_and_fifty_where_they_were_run():
    trials = [[50, 50], [50, 2], [20, 50]]
    inputs = priced(("retry", "dense_steer"), [[0, 10], [0, 1], [0, 0]], trials, None)
    found = curves(inputs)
    claim = {name: found[f"claim_{name}"][CLAIM_BASES.index("attempts")] for name in CLAIM}
    assert (claim["k_routed"], claim["k_retry"]) == (10, 50)
    assert claim["low"] > -CLAIM_MARGIN
    # The third has too few retries. The second goes on with eight.
    assert claim["n"] == 2
    ten_of_fifty = 1 - np.prod((40 - np.arange(10)) / (50 - np.arange(10)))
    assert claim["routed"] == pytest.approx((ten_of_fifty + 1) / 2) and claim["retry"] == 0
    for name in CLAIM:
        assert np.isnan(found[f"claim_{name}"][CLAIM_BASES.index("forward_passes")]), name


def test_costs_of_a_study(evaluation, tied):
    cost = evaluation.dataset["budget_cost"].sel(population="failed")
    passes = cost.sel(basis="forward_passes")
    # A retry runs the specialist alone.
    run = tied["correct"].sel(intervention="retry", drop=True) >= 0
    alone = tied["forward_specialist"].sel(intervention="retry", drop=True).where(run)
    assert float(passes.sel(side="retry")) == pytest.approx(float(alone.mean("rollout").mean()))
    assert float(passes.sel(side="routed")) > float(passes.sel(side="retry"))
    tokens = evaluation.dataset.sel(population="failed", basis="generated_tokens")
    for name in ("budget", "budget_routed", "budget_lift", "budget_cost"):
        assert tokens[name].isnull().all(), name
    with_tokens = tied.assign(n_tokens=tied["forward_specialist"])
    again = evaluate_routing(with_tokens, **QUICK).dataset.sel(population="failed")
    assert int(again["budget"].sel(basis="generated_tokens").notnull().sum()) > 1


def test_progress_names_the_stages(tied):
    stages = []
    evaluate_routing(tied, **QUICK, progress=stages.append)
    own = ["published", "null", "all", "split", "null_twins", "bootstrap", "mappings", "budgets"]
    assert stages[: len(own)] == [f"{each} (failed_first_1)" for each in own]
    assert stages[-1] == "budgets (failed_first_5)" and len(stages) == 3 * len(own)
    stages.clear()
    evaluate_routing(tied, **QUICK, populations=["failed"], progress=stages.append)
    assert stages == own


def of_budgets(found):
    """Return what budgets add to the dataset of an evaluation."""
    return found[[name for name in found if str(name).startswith(("budget", "claim"))]]


def of_cells(found):
    """Return what every evaluation says of cells."""
    return found[["problems", "regimes", "routes", "rescue", "left_out", "hard"]]


@pytest.mark.parametrize("only", [("published", "split"), ("null",), ("all", "budgets"), ()])
def test_parts_do_not_depend_on_which_others_are_computed(tied, evaluation, only):
    stages = []
    found = evaluate_routing(tied, **QUICK, only=only, progress=stages.append)
    # A null is compared with the published figure.
    wanted = {*only, "published"} if "null" in only else set(only)
    assert {stage.split()[0] for stage in stages} - {"bootstrap"} == wanted
    assert set(found.estimators) == wanted - {"budgets"}
    figures = [name for name, each in evaluation.dataset.items() if "estimator" in each.dims]
    for name in found.estimators:
        xr.testing.assert_identical(
            found.dataset[figures].sel(estimator=name),
            evaluation.dataset[figures].sel(estimator=name),
        )
    budgets = of_budgets(found.dataset)
    assert bool(budgets) == ("budgets" in wanted)
    if budgets:
        xr.testing.assert_identical(budgets, of_budgets(evaluation.dataset))
    xr.testing.assert_identical(of_cells(found.dataset), of_cells(evaluation.dataset))
    told, whole = found.to_dict(), evaluation.to_dict()
    assert told["cells"] == whole["cells"]
    for name in ("published", "split", "all", "null", "null_twins"):
        assert told["overall"][name] == (whole["overall"][name] if name in wanted else None)


def test_an_unknown_part_is_refused(tied):
    with pytest.raises(
        InputError, match=r"only must be .* among published, null, all, split.*, got .*'best'"
    ):
        evaluate_routing(tied, **QUICK, only=("best",))


def test_without_intervals_of_cells_the_other_figures_are_the_same(tied, evaluation):
    whole = evaluation.dataset
    less = evaluate_routing(tied, **QUICK, cell_intervals=False).dataset
    ends = [f"{name}_{end}" for name in ("lift", "relative") for end in ("low", "high")]
    ends += ["lift_low_bca", "lift_high_bca"]
    of_cells = {"estimator": MEASURED, "cell": whole["cell"].values[1:]}
    for name in ends:
        assert less[name].sel(of_cells).isnull().all(), name
        assert whole[name].sel(of_cells).notnull().all(), name
    ends += ["lift_low_checkpoints", "lift_high_checkpoints"]
    blank = {name: whole[name].where(whole["cell"] == "all") for name in ends}
    xr.testing.assert_identical(less, whole.assign(blank))


def test_many_draws_are_added_up_by_what_was_decided():
    """Three problems, two draws of one and of two blocks; problems 0 and 2 decided alike."""
    hard = np.array([[True, False, True], [True, True, False]])
    score = np.array(
        [[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], [[0.7, 0.8], [0.9, 1.0], [0.0, np.nan]]]
    )
    decision = np.array([[0, 1, 0], [1, 1, 1]])
    # The sum over draws of what problem i scores under what was decided for j, where selected.
    expected = np.array([[0.1 + 0.8, 0.2 + 0.8], [1.0, 1.0], [0.5, 0.6]])
    for parts in ([slice(0, 2)], [slice(0, 1), slice(1, 2)]):
        draws = [estimators.Draw(hard[part], decision[part], *[score[part]] * 3) for part in parts]
        scored = [estimators._scored(draw, slice(0, 3)) for draw in draws]
        gain, label = estimators._added_up(scored, np.array([True, True, True]))
        assert label.tolist() == [[0, 1, 0]]
        np.testing.assert_allclose(gain[0], expected, atol=1e-15)
        gain, label = estimators._added_up(scored, np.array([True, False, True]))
        assert label.tolist() == [[0, 0]]
        np.testing.assert_allclose(gain[0], expected[[0, 2], :1], atol=1e-15)
        gain, label = estimators._by_draw(scored, np.array([False, True, False]))
        assert label.tolist() == [[1], [1]] and gain[..., 1].tolist() == [[0.0], [1.0]]


def test_a_study_read_through_dask_has_the_figures_of_one_in_memory(tmp_path):
    pytest.importorskip("dask")
    made = make_study(effect="tied", n_problems=30, n_attempts=10, seed=2)
    path = save_study(made, tmp_path / "made.zarr")
    few = {"n_bootstrap": 40, "n_permutations": 30, "n_null": 5, "n_splits": 12}
    with open_study(path, chunks={}) as lazy, open_study(path, load=True) as loaded:
        assert lazy["correct"].chunks is not None and loaded["correct"].chunks is None
        found, expected = (evaluate_routing(ds, **few) for ds in (lazy, loaded))
    assert set(found.estimators) >= {"published", "null", "split", "all", "null_twins"}
    xr.testing.assert_identical(found.dataset, expected.dataset)
