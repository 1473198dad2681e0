"""An audit of outcomes: figures worked out by hand, forms of tables, error rates, sentences."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Verdict
from recover_nb.routing.audit.error_rates import (
    ALIKE,
    BLIND,
    PLANTED,
    enough,
    false_positives,
    simulate,
)
from recover_nb.routing.audit.measure import best_mix, mixed_rate
from recover_nb.routing.audit.power import cautious, problems_for, spread_of
from recover_nb.routing.audit.reading import matrix_of

FEW = {"n_bootstrap": 100, "n_permutations": 100, "n_null": 40, "n_splits": 4}
#: Rates of two arms on four kinds of problem, 25 problems each: small is right on kinds 0 and 1,
#: large on 0 and 2.
SMALL, LARGE = [1, 1, 0, 0] * 25, [1, 0, 1, 0] * 25


def wide(**more):
    return pd.DataFrame({"problem": range(100), "small": SMALL, "large": LARGE, **more})


def figures(found):
    return found.to_dataframe().set_index("figure")


# --- figures by hand
# ------------------------------------------------------------------------------------------


def test_a_router_that_knows_is_told_from_any_single_arm():
    knows = ["large" if kind == 2 else "small" for kind in [0, 1, 2, 3] * 25]
    found = rnb.audit(wide(), router=knows, **FEW)
    of = figures(found)
    # Right on three kinds of four; either arm alone on two; one of them at random on two.
    assert of.loc["all", "rate"] == 0.75
    for name in ("all", "over_random"):
        assert of.loc[name, "points"] == pytest.approx(25)
    # Which of two equal arms seems better on one half of the problems is worse on the other.
    assert 25 <= of.loc["over_best_fixed", "points"] < 30
    # Shuffled choices: kinds 0 and 3 do not care; kind 1 needs small (3 of 4), kind 2 large (1 of
    # 4): 0.25 + 0.25 * 0.75 + 0.25 * 0.25 = 0.5.
    assert of.loc["over_permuted", "points"] == pytest.approx(25)
    assert of.loc["over_permuted", "p"] == pytest.approx(1 / 101)
    # The default fails and another does better on kind 2 alone: there the router is always right.
    assert (of.loc["published", "n"], of.loc["published", "points"]) == (25, 100)
    assert found.verdict is Verdict.SUPPORTED
    assert found.headline.startswith("The router gains more than choosing the best single arm")
    # Right where either is.
    assert float(found.dataset["ceiling_in_sample"]) == 0.75
    assert np.isnan(float(found.dataset["ceiling_corrected"]))


def test_the_default_for_all_gains_nothing():
    found = rnb.audit(wide(), router=["small"] * 100, **FEW)
    of = figures(found)
    assert of.loc["all", "points"] == 0
    assert of.loc["over_permuted", "points"] == 0
    assert found.verdict is Verdict.NOT_SHOWN


def test_the_worse_arm_for_all_is_contradicted():
    table = pd.DataFrame({"id": range(60), "good": [1, 1, 0] * 20, "bad": [1, 0, 0] * 20})
    found = rnb.audit(table, router=["bad"] * 60, **FEW)
    assert figures(found).loc["over_best_fixed", "points"] == pytest.approx(-100 / 3)
    assert found.verdict is Verdict.CONTRADICTED


def test_the_default_can_be_any_arm():
    found = rnb.audit(wide(), router=["small"] * 100, default="large", **FEW)
    assert found.arms == ("large", "small")
    # Both are right on half; where large fails and small does not (kind 1), small is always right.
    assert figures(found).loc["all", "points"] == 0
    assert figures(found).loc["published", "points"] == 100


def test_the_null_of_published_is_what_alike_arms_show():
    # One of two arms is right on every problem, at random: picking those where the default is wrong
    # shows a gain of 100 points for whoever picked the other, and of 0 for whoever did not.
    rng = np.random.default_rng(0)
    first = rng.random(400) < 0.5
    table = pd.DataFrame({"id": range(400), "a": first.astype(int), "b": (~first).astype(int)})
    choice = np.where(rng.random(400) < 0.5, "a", "b")
    found = rnb.audit(table, router=list(choice), **FEW | {"n_null": 200})
    one = figures(found).loc["published"]
    assert one["null_points"] == pytest.approx(50, abs=3)
    assert one["points"] == pytest.approx(50, abs=12)
    assert one["p"] > 0.01


def test_halves_need_four_attempts_and_say_so():
    found = rnb.audit(wide(), router=["small"] * 100, **FEW)
    assert "split" not in found.figures
    assert any("it needs at least four attempts" in note for note in found.notes)
    found = rnb.audit(wide(), router=["small"] * 100, attempts=8, **FEW)
    of = figures(found)
    # Every attempt agrees with the others, so halves pick and score as all attempts do: the router
    # keeps the default, and knowing every rate would gain kind 2.
    assert of.loc["split", "points"] == 0
    assert 25 <= of.loc["headroom", "points"] < 30
    assert of.loc["headroom", "rate"] == pytest.approx(0.75)


def test_equal_cost_is_a_mix_of_arms():
    costs = {"small_cost": [1.0] * 100, "large_cost": [3.0] * 100}
    table = pd.DataFrame({"id": range(100), "small": [0] * 100, "large": [1, 0] * 50, **costs})
    found = rnb.audit(table, router=["large", "small"] * 50, **FEW)
    of = figures(found)
    # It pays 2 on average and is right on half. A mix that costs 2 is large half of the time: right
    # on a quarter.
    assert of.loc["over_mix", "points"] == pytest.approx(25, abs=4)
    assert found.dataset["arm_cost"].values.tolist() == [1.0, 3.0]
    assert found.dataset["arm_chosen"].values.tolist() == [0.5, 0.5]


def test_trying_again_for_the_same_cost_counts_orders():
    # The default is right once in four attempts; the other arm costs twice as much, so two attempts
    # of the default go against it: wrong both times 3/4 x 2/3 = 1/2 of the time.
    costs = {"a_cost": [1.0] * 40, "b_cost": [2.0] * 40}
    table = pd.DataFrame({"id": range(40), "a": [0.25] * 40, "b": [1.0] * 40, **costs})
    found = rnb.audit(table, router=["b"] * 40, attempts=4, **FEW)
    assert figures(found).loc["over_again", "against"] == pytest.approx(0.5)
    assert figures(found).loc["over_again", "points"] == pytest.approx(50)


def test_the_best_mix_lies_on_the_hull():
    rate, cost = np.array([0.4, 0.5, 0.8]), np.array([1.0, 2.0, 3.0])
    # From the first to the third, 2 buys 0.6, more than the second arm gives.
    assert best_mix(rate, cost, 2.0).tolist() == [0.5, 0.0, 0.5]
    assert best_mix(rate, cost, 9.0).tolist() == [0.0, 0.0, 1.0]
    # Nothing is cheap enough: the cheapest.
    assert best_mix(rate, cost, 0.5).tolist() == [1.0, 0.0, 0.0]


def test_a_mix_is_scored_on_other_problems():
    rate = np.array([[0.0, 1.0]] * 10)
    cost = np.array([[1.0, 3.0]] * 10)
    mixed = mixed_rate(rate, cost, np.full(10, 2.0), np.random.default_rng(0), 3)
    assert mixed == pytest.approx(np.full(10, 0.5))


# --- how many would tell
# ------------------------------------------------------------------------------------------


def test_problems_that_tell_an_effect():
    # (1.960 + 0.842) squared is 7.849.
    assert problems_for(0.05, 0.25) == 785
    assert np.isnan(problems_for(0.0, 0.25))
    assert cautious(0.05, 0.02) == pytest.approx(0.03)
    assert cautious(-0.05, 0.02) == pytest.approx(0.03)
    assert np.isnan(cautious(0.01, 0.02))


def test_the_variance_of_gains_is_split():
    # Four attempts, two right, at both arms of all problems: no gain differs; one attempt's noise
    # is 2 x 0.25 x 4/3.
    table = pd.DataFrame({"id": range(10), "a": [0.5] * 10, "b": [0.5] * 10})
    matrix = matrix_of(table, router=["b"] * 10, attempts=4)
    spread = spread_of(matrix, np.zeros(10), np.zeros(10, int))
    assert spread.total == 0
    assert spread.between == 0
    assert spread.noise == pytest.approx(2 / 3)
    assert spread.at(2) == pytest.approx(1 / 3)
    assert spread.at(None) == 0


def test_more_attempts_need_fewer_problems():
    frame, choice = simulate(PLANTED, 300, rng=np.random.default_rng(0))
    found = rnb.audit(frame, router=choice, **FEW)
    needed = found.needed()
    mine = needed[(needed["comparison"] == "best_fixed") & (needed["effect_points"] == 5)]
    numbers = mine.set_index("attempts")["problems"]
    assert numbers[1] > numbers[2] > numbers[5] > numbers[10] > numbers[20]
    # As measured, with six attempts, between five and ten.
    assert numbers[5] > numbers[0] > numbers[10]


# --- error rates
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [ALIKE, BLIND])
def test_false_finds_are_as_rare_as_said(world):
    """Of 40 simulations 2 are expected; 8 or more come once in 1,500 figures."""
    few = {"n_bootstrap": 100, "n_permutations": 100, "n_null": 40, "n_splits": 2}
    rates = false_positives(world, n_simulations=40, n_problems=150, **few)
    assert (rates["n"] == 40).all()
    assert (rates["found"] <= 7).all(), rates
    if world == ALIKE:
        assert set(rates["figure"]) == {
            "published",
            "split",
            "all",
            "over_best_fixed",
            "over_permuted",
            "over_random",
            "headroom",
        }


def test_the_number_asked_for_is_mostly_enough():
    """Of 25, 20 are expected and more; 14 or fewer come once in 170."""
    few = {"n_bootstrap": 100, "n_permutations": 20, "n_null": 5, "n_splits": 2}
    asked = enough(n_simulations=25, n_problems=300, **few)
    assert asked["asked"] >= 24
    assert asked["told"] >= 0.6
    assert 150 < asked["median"] < 900


def test_a_planted_effect_is_as_large_as_said():
    frame, choice = simulate(PLANTED, 20_000, attempts=4, rng=np.random.default_rng(0))
    matrix = matrix_of(frame, router=choice)
    rate = matrix.rate
    routed = rate[np.arange(len(rate)), matrix.chosen].mean()
    # The standard error of such a mean is about 0.3 points.
    assert routed - rate.mean() == pytest.approx(0.05, abs=0.01)


# --- forms of tables
# ------------------------------------------------------------------------------------------

LONG = pd.DataFrame(
    {
        "problem": ["p", "p", "p", "q", "q", "q"],
        "arm": ["a", "a", "b", "a", "b", "b"],
        "correct": [1, 0, 1, 0, 1, 0],
    }
)


def test_rows_of_attempts():
    matrix = matrix_of(LONG, router={"p": "a", "q": "b"})
    assert matrix.arms == ("a", "b")
    assert matrix.wins.tolist() == [[1, 1], [0, 1]]
    assert matrix.trials.tolist() == [[2, 1], [1, 2]]
    assert matrix.chosen.tolist() == [0, 1]


def test_rows_of_attempts_name_the_choice_themselves():
    frame = LONG.assign(router=["a", "a", "a", "b", "b", "b"], cost=[1, 3, 5, 2, 4, 6])
    matrix = matrix_of(frame)
    assert matrix.chosen.tolist() == [0, 1]
    assert matrix.cost.tolist() == [[2, 5], [2, 5]]


def test_a_matrix_with_costs_counts_cells_and_texts():
    frame = pd.DataFrame(
        {
            "sample_id": ["x.1", "x.2"],
            "prompt": ["how?", "why?"],
            "eval_name": ["gsm", "mmlu"],
            "WizardLM/13B": [1.0, 0.0],
            "WizardLM/13B|model_response": ["text", "text"],
            "WizardLM/13B|total_cost": [0.1, 0.2],
            "gpt-4": [0.0, 1.0],
            "gpt-4|model_response": ["text", "text"],
            "gpt-4|total_cost": [1.0, 2.0],
            "oracle_model_to_route_to": ["WizardLM/13B", "gpt-4"],
        }
    )
    matrix = matrix_of(frame, router=["gpt-4", "gpt-4"], default="gpt-4")
    assert matrix.arms == ("gpt-4", "WizardLM/13B")
    assert matrix.problems.tolist() == ["x.1", "x.2"]
    assert matrix.cells.tolist() == ["gsm", "mmlu"]
    assert matrix.wins.tolist() == [[0, 1], [1, 0]]
    assert matrix.cost.tolist() == [[1.0, 0.1], [2.0, 0.2]]


@pytest.mark.parametrize(
    "words", [("true", "false"), ("yes", "no"), ("1", "0"), (True, False), ("Correct", "Wrong")]
)
def test_words_for_outcomes(words):
    yes, no = words
    matrix = matrix_of(pd.DataFrame({"id": [1, 2], "a": [yes, no], "b": [no, no]}))
    assert matrix.wins.tolist() == [[1, 0], [0, 0]]


def test_counts_of_right_attempts_and_rates_are_the_same():
    rates = pd.DataFrame({"id": [1, 2], "a": [0.25, 1.0], "b": [0.5, 0.0]})
    counts = pd.DataFrame({"id": [1, 2], "a": [1, 4], "b": [2, 0]})
    one, other = (matrix_of(frame, arms=["a", "b"], attempts=4) for frame in (rates, counts))
    assert one.wins.tolist() == other.wins.tolist() == [[1, 2], [4, 0]]


def test_scores_between_right_and_wrong_stay():
    table = wide(small=[0.5, 0.25] * 50)
    found = rnb.audit(table, router=["large"] * 100, **FEW)
    assert "scores between right and wrong are taken as they are" in found.notes
    assert figures(found).loc["all", "points"] == pytest.approx(100 * (0.5 - 0.375))


def test_a_study_is_audited_as_it_is():
    ds = rnb.load_study().isel(problem=slice(0, 300))
    found = rnb.audit(ds, **FEW)
    assert found.arms[0] == "retry"
    failed = ds["route"].values != ""
    rates = ds["rescue_rate"].values[failed]
    names = [str(name) for name in ds["intervention"].values]
    routed = [rates[i, names.index(name)] for i, name in enumerate(ds["route"].values[failed])]
    expected = 100 * (np.mean(routed) - rates[:, names.index("retry")].mean())
    assert figures(found).loc["all", "points"] == pytest.approx(expected)


def test_without_a_router_the_arms_alone_are_told():
    found = rnb.audit(wide(), **FEW)
    assert found.verdict is Verdict.NOT_TESTABLE
    assert found.headline == "No router is given. The best single arm is small."
    assert found.figures == ()
    assert rnb.tables.audit_arms(found)["rate"].tolist() == [0.5, 0.5]


# --- what cannot be read
# ------------------------------------------------------------------------------------------

ONE = pd.DataFrame({"id": [1, 2], "a": [1, 0], "b": [0, 1]})


@pytest.mark.parametrize(
    ("outcomes", "options", "words"),
    [
        (None, {}, "per problem and one column per arm, or a study, got None"),
        ("x.csv", {}, "read the file first, with rnb.read_outcomes"),
        (ONE.iloc[:0], {}, "has no rows"),
        (ONE[["id", "a"]], {}, "1 columns hold outcomes of an arm"),
        (ONE, {"router": "chosen"}, "router 'chosen' is no column"),
        (ONE, {"router": ["a"]}, "router has 1 choices for 2 problems"),
        (ONE, {"router": ["a", "c"]}, "the router chose 'c', which is no arm; allowed: a, b"),
        (
            ONE,
            {"router": 3},
            "or a mapping from problem to arm, got 3",
        ),
        (ONE, {"default": "c"}, "default 'c' is no arm; allowed: a, b"),
        (ONE, {"arms": ["a", "c"]}, "arms: 'c' is no column"),
        (ONE, {"attempts": 0}, "attempts must be a whole number of at least 1, or None, got 0"),
        (ONE, {"n_null": 0}, "n_null must be a whole number of at least 1, got 0"),
        (ONE, {"min_gain": 90}, "min_gain must be a share from 0 to 1, got 90; 90 % is 0.9"),
        (ONE.assign(id=1), {}, "problem '1' is there twice"),
        (ONE.assign(a=["x", 0]), {"arms": ["a", "b"]}, "row 1, column 'a': 'x' is no outcome"),
        (ONE.assign(a=[-1, 0]), {"arms": ["a", "b"]}, "row 1, column 'a': -1 is no outcome"),
        (ONE.assign(a=[7, 0]), {"arms": ["a", "b"]}, "row 1, column 'a': 7 right of 1"),
        (ONE.assign(a_cost=[1, 2]), {}, "cost is given for a and not for 'b'"),
        (ONE.assign(a=[np.nan] * 2), {"arms": ["a", "b"]}, "no problem has an outcome of every"),
        (LONG.assign(correct=2), {}, "row 1, column 'correct': 2 is no outcome"),
        (LONG.drop(columns="problem"), {}, "no column names the problem"),
        (LONG, {"attempts": 3}, "attempts= goes with one column per arm"),
        (LONG.assign(router=list("aabbbb")), {}, "problem 'p' is routed to 'a' and to 'b'"),
        (LONG.assign(cost=[1, 2, -1, 1, 1, 1]), {}, "row 3, column 'cost': -1 is not a cost"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_what_cannot_be_read_is_said(outcomes, options, words):
    with pytest.raises(InputError, match=None) as raised:
        rnb.audit(outcomes, **options)
    assert words in str(raised.value)


# --- files, terminal, page
# ------------------------------------------------------------------------------------------


def test_a_file_of_objects(tmp_path):
    path = tmp_path / "outcomes.jsonl"
    rows = [
        {"id": 1, "scores": {"a": 1, "b": 0}, "costs": {"a": 1, "b": 2}},
        {"id": 2, "scores": {"a": 0, "b": 1}, "costs": {"a": 1, "b": 2}},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    matrix = matrix_of(rnb.read_outcomes(path))
    assert matrix.wins.tolist() == [[1, 0], [0, 1]]
    assert matrix.cost.tolist() == [[1, 2], [1, 2]]


@pytest.fixture
def outcomes(tmp_path):
    path = tmp_path / "outcomes.csv"
    wide(eval_name="<b>cell</b>").to_csv(path, index=False)
    return path


def test_the_command_prints_and_writes_a_page(outcomes, tmp_path, capsys):
    choices = tmp_path / "choices.csv"
    pd.DataFrame({"problem": range(100), "arm": ["small"] * 100}).to_csv(choices, index=False)
    page = tmp_path / "audit.html"
    assert main(["audit", str(outcomes), "--router", str(choices), "--out", str(page)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("NOT SHOWN: the router gains more than the best single arm would\n")
    assert "over its own choices" in out
    text = page.read_text("utf-8")
    assert "What stands of the gain?" in text
    assert "<b>cell" not in text
    assert main(["audit", str(outcomes), "--router", str(choices), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "not shown"
    assert found["arms"]["small"]["rate"] == 0.5
    assert found["rows"][0]["figure"] == "published"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--router", "nobody"], "router 'nobody' is no column of the outcomes"),
        (["--default", "tiny"], "default 'tiny' is no arm"),
        (["--arm", "small"], "1 columns hold outcomes of an arm"),
    ],
)
def test_the_command_says_what_is_wrong(outcomes, capsys, arguments, words):
    assert main(["audit", str(outcomes), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_an_audit_is_kept_as_a_dataset(tmp_path):
    found = rnb.audit(wide(), router=["large"] * 100, **FEW)
    found.dataset.to_netcdf(tmp_path / "audit.nc")
    with xr.open_dataset(tmp_path / "audit.nc") as again:
        xr.testing.assert_equal(again.load(), found.dataset)
