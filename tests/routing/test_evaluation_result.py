"""What an evaluation says: its sentence and verdict, at equal cost, and beside another."""

import math

import numpy as np
import pytest
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Verdict
from recover_nb.core.result import labelled
from recover_nb.routing.evaluation import evaluate_routing
from recover_nb.routing.result import Evaluation, interval_verdict
from recover_nb.routing.simulate import make_study

QUICK = {"n_bootstrap": 100, "n_permutations": 50, "n_null": 20, "n_splits": 10}
ENDS = ("lift", "lift_low", "lift_high")
#: Lift and ends, in shares of 1; a null has none.
LIFTS = {
    "published": (0.123, 0.05, 0.2),
    "null": (0.101, math.nan, math.nan),
    "split": (-0.01, -0.05, 0.03),
    "all": (0.02, 0.01, 0.031),
}


APART = ("lift_low_checkpoints", "lift_high_checkpoints")
WHOM = ("failed_first_1", "failed", "failed_first_5")


def by_hand(population="failed_first_1", problems=1234, apart=(math.nan, math.nan), **lifts):
    """Return an evaluation of two cells against retry, with these lifts over both together."""
    values = np.array([[[[found], [(math.nan,) * 3]] for found in lifts.values()]])
    dims = ("population", "estimator", "cell", "comparator")
    data = {name: (dims, values[..., i]) for i, name in enumerate(ENDS)}
    for name, end in zip(APART, apart, strict=True):
        data[name] = (dims, np.full(values.shape[:-1], end))
    data["problems"] = (("population", "cell"), [[problems, problems]])
    coords = {"population": [population], "estimator": list(lifts), "cell": ["all", "a|b|c"]}
    return Evaluation(labelled(data, coords | {"comparator": ["retry"]}))


def with_budgets(evaluation, *, n, routed, retry):
    """Add budgets at equal forward passes: problems that reach each, and what they rescue."""
    dims, shape = ("population", "basis", "k"), (1, 1, len(n))
    figures = {
        "budget": np.arange(1.0, 1 + len(n)),
        "budget_n": n,
        "budget_routed": routed,
        "budget_retry": retry,
        "budget_lift": np.subtract(routed, retry),
    }
    return Evaluation(
        evaluation.dataset.assign(
            {name: (dims, np.reshape(each, shape)) for name, each in figures.items()}
        ).assign_coords(basis=["forward_passes"], k=range(1, 1 + len(n)))
    )


def test_every_estimator_is_said_in_points():
    assert by_hand(**LIFTS).sentence == (
        "Where the first answer failed (1,234 problems), routing rescues 2.0 points more"
        " than trying again [+1.0, +3.1]."
        " On those it marks steerable, as published, routing rescues 12.3 points more"
        " [+5.0, +20.0]; where no operator differs from retry, it still reports +10.1."
        " Picked and scored by different attempts: 1.0 points fewer"
        " [-5.0, +3.0]."
    )
    only = by_hand(published=LIFTS["published"])
    assert only.sentence == (
        "On those it marks steerable, as published, routing rescues 12.3 points more [+5.0, +20.0]."
    )


def test_other_populations_and_checkpoints_stand_beside():
    parts = [
        by_hand("failed_first_1", 616, apart=(0.015, 0.046), all=(0.031, 0.018, 0.046)),
        by_hand("failed", 1190, apart=(0.021, 0.045), all=(0.033, 0.024, 0.042)),
        by_hand("failed_first_5", 414, apart=(-0.01, 0.02), all=(-0.014, -0.027, -0.003)),
    ]
    found = Evaluation(xr.concat([each.dataset for each in parts], "population"))
    assert found.populations == WHOM
    assert found.sentence == (
        "Where the first answer failed (616 problems), routing rescues 3.1 points more"
        " than trying again [+1.8, +4.6], over checkpoints [+1.5, +4.6]. For other groups of"
        " problems: where the problem failed at least once (1,190 problems), 3.3 points more"
        " [+2.4, +4.2], over checkpoints [+2.1, +4.5]; where the first five answers failed (414"
        " problems), 1.4 points fewer [-2.7, -0.3], over checkpoints [-1.0, +2.0]."
    )
    # Below 0 over questions, not over checkpoints.
    assert [found.of(name).verdict for name in WHOM] == [
        Verdict.SUPPORTED,
        Verdict.SUPPORTED,
        Verdict.NOT_SHOWN,
    ]
    with pytest.raises(InputError, match="'failed_first_2' was not evaluated; there is: failed_"):
        found.of("failed_first_2")


def test_where_nothing_is_selected_that_is_said():
    none = (math.nan,) * 3
    said = by_hand(published=none, null=none, split=none, all=(0.0, 0.0, 0.0)).sentence
    assert said == (
        "Where the first answer failed (1,234 problems), routing rescues 0.0 points more"
        " than trying again [+0.0, +0.0]. As published, no problem is selected, so nothing is"
        " scored. Picked and scored by different attempts: no problem is selected,"
        " so nothing is scored."
    )


@pytest.mark.parametrize(
    ("lifts", "verdict"),
    [
        (LIFTS, Verdict.SUPPORTED),
        ({"split": LIFTS["split"]}, Verdict.NOT_SHOWN),
        ({"published": LIFTS["published"], "all": LIFTS["all"]}, Verdict.SUPPORTED),
        ({"all": (-0.1, -0.2, -0.01)}, Verdict.CONTRADICTED),
        ({"split": (0.1, 0.01, 0.2), "all": (-0.1, -0.2, -0.01)}, Verdict.CONTRADICTED),
        ({"all": (0.1, 0.0, 0.2)}, Verdict.NOT_SHOWN),
        ({"all": (math.nan,) * 3, "split": LIFTS["published"]}, Verdict.NOT_TESTABLE),
        # What selection flatters says nothing.
        ({"published": LIFTS["published"], "null": LIFTS["null"]}, Verdict.NOT_TESTABLE),
    ],
)
def test_the_verdict_is_of_the_honest_estimator(lifts, verdict):
    assert by_hand(**lifts).verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, Verdict.SUPPORTED),
        (-0.1, 0.2, Verdict.NOT_SHOWN),
        (-0.2, -0.01, Verdict.CONTRADICTED),
        (0, 0.1, Verdict.NOT_SHOWN),
        (-0.1, 0, Verdict.NOT_SHOWN),
        (math.nan, 0.1, Verdict.NOT_TESTABLE),
        (0.1, math.nan, Verdict.NOT_TESTABLE),
    ],
)
def test_verdict_of_an_interval(low, high, verdict):
    assert interval_verdict(low, high) == verdict


def test_at_equal_cost_every_problem_counts():
    lifts = {"all": LIFTS["all"]}
    less = with_budgets(
        by_hand(**lifts), n=[9, 9, 5], routed=[0.2, 0.41, 0.9], retry=[0.3, 0.62, 0.1]
    )
    # Of the third budget only five problems have as many attempts.
    assert int(less.at_equal_cost()["k"]) == 2
    assert less.sentence.endswith(
        " But at the cost of 2 retries routing rescues 41% of the problems, and trying again 62%."
    )
    more = with_budgets(by_hand(**lifts), n=[9, 9], routed=[0.2, 0.62], retry=[0.3, 0.41])
    assert more.sentence.endswith(
        " At the cost of 2 retries routing rescues 62% of the problems, and trying again 41%."
    )
    unknown = [math.nan] * 2
    unstored = with_budgets(by_hand(**lifts), n=unknown, routed=unknown, retry=unknown)
    assert unstored.at_equal_cost() is None and "cost" not in unstored.sentence
    assert by_hand(**lifts).at_equal_cost() is None


@pytest.fixture(scope="module")
def planted():
    return make_study(effect="planted", size=0.3, n_problems=60, seed=2)


def test_a_planted_effect_is_supported(planted):
    found = evaluate_routing(planted, **QUICK)
    assert found.honest == "all"
    for name in ("all", "split"):
        assert float(found.lift(name)["lift_low"]) > 0
    # Two checkpoints, 12.7 standard errors: those of one study alone say little of others.
    low = float(found.lift("all")["lift_low_checkpoints"])
    assert found.verdict == (Verdict.SUPPORTED if low > 0 else Verdict.NOT_SHOWN)
    value = 100 * float(found.lift("split")["lift"])
    assert value > 15
    assert f"by different attempts: {value:.1f} points more [+" in found.sentence
    assert "fewer" not in found.sentence
    assert found.to_dict()["verdict"] == str(found.verdict)
    assert found.to_dict()["sentence"] == found.sentence


def test_without_effect_nothing_is_shown_whatever_is_published():
    found = evaluate_routing(make_study(effect="none", n_problems=120, seed=2), **QUICK)
    published, split = found.lift("published"), found.lift("split")
    assert float(published["lift_low"]) > 0
    assert float(split["lift_low"]) < 0 < float(split["lift_high"])
    assert found.verdict == Verdict.NOT_SHOWN
    null = 100 * float(found.lift("null")["lift"])
    assert null > 2 and f"it still reports {null:+.1f}" in found.sentence


def test_a_profile_table_is_judged_over_every_failed_problem(planted):
    found = evaluate_routing(planted.drop_dims("rollout"), **QUICK)
    assert found.estimators == ("published", "null", "all") and found.honest == "all"
    assert found.populations == ("failed",) and found.to_dict()["populations"] == {}
    assert (
        float(found.lift("all")["lift_low"]) > 0 and "by different attempts" not in found.sentence
    )
    told = found.to_dict()["overall"]
    assert told["split"] is told["null_twins"] is told["excess_twins"] is None


def test_budgets_alone_are_shown(planted):
    found = evaluate_routing(planted, only=("budgets",), **QUICK)
    assert found.estimators == () and found.verdict == Verdict.NOT_TESTABLE
    assert len(found.to_dataframe()) == 0
    assert "No estimator was asked for" in found._repr_html_()


def test_figures_against_a_comparator_in_a_cell(planted):
    found = evaluate_routing(planted, only=("all",), populations=["failed"], **QUICK)
    cell = "qwen3|sft|arithmetic"
    one = found.lift("all", "dense_steer", cell)
    names = np.array(["|".join(each) for each in zip(*_cell(planted), strict=True)])
    failed = np.isfinite(planted["features"].values).all(axis=1)
    rate = planted["rescue_rate"].sel(intervention="dense_steer").values
    assert float(one["rate"]) == pytest.approx(rate[(names == cell) & failed].mean())
    assert float(one["lift"]) == pytest.approx(float(one["routed"]) - float(one["rate"]))
    assert float(one["n"]) == ((names == cell) & failed).sum()


def _cell(ds):
    return [ds[name].values.astype(str) for name in ("family", "method", "task")]


def test_beside_another_both_have_their_estimators(planted):
    whole = evaluate_routing(planted, **QUICK)
    parts = [
        evaluate_routing(planted, only=only, **QUICK)
        for only in (
            ("all",),
            ("published", "null"),
            ("budgets", "mappings"),
            ("split", "null_twins"),
        )
    ]
    found = parts[0]
    for other in parts[1:]:
        found = found.beside(other)
    assert found.estimators == whole.estimators
    # Whatever was computed together, or in which order: nothing but names of dimensions moves.
    assert set(found.dataset) == set(whole.dataset)
    for name, each in whole.dataset.items():
        assert found.dataset[name].dims == each.dims
        np.testing.assert_array_equal(found.dataset[name].values, each.values, err_msg=name)
    for name in whole.dataset.coords:
        assert found.dataset[name].values.tolist() == whole.dataset[name].values.tolist()
    assert found.to_dict() == whole.to_dict()


def test_of_what_both_have_the_others_is_taken(planted):
    mine = evaluate_routing(planted, only=("published", "all", "budgets"), **QUICK)
    theirs = evaluate_routing(planted, only=("all", "budgets"), **QUICK | {"n_bootstrap": 50})
    low = [float(each.lift("all")["lift_low"]) for each in (mine, theirs)]
    assert low[0] != low[1]
    found = mine.beside(theirs)
    assert found.estimators == ("published", "all")
    assert float(found.lift("all")["lift_low"]) == low[1]
    assert float(found.lift()["lift_low"]) == float(mine.lift()["lift_low"])
    for name in ("budget_low", "claim_low"):
        xr.testing.assert_equal(found.dataset[name], theirs.dataset[name])
        assert not found.dataset[name].equals(mine.dataset[name])
    assert found.settings["n_bootstrap"] == 50
    # Neither is changed.
    assert mine.estimators == ("published", "all") and theirs.estimators == ("all",)
    assert float(mine.lift("all")["lift_low"]) == low[0]
