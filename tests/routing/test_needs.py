"""What an evaluation says of a study that cannot be routed, and what it says is needed."""

import json

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.routing.best_arm import _lifts, dealt
from recover_nb.routing.needs import check_routable, more_problems, needs_of
from recover_nb.routing.partly import PartEvaluation

QUICK = {"n_bootstrap": 100, "n_permutations": 20, "n_null": 200, "n_splits": 4}
#: Outcomes by intervention and problem, in the order of the rollouts.
NONE = {"p": "10", "q": "00", "r": "11", "s": "01"}
RETRY = {"p": "1100", "q": "0000", "s": "1111"}
HOT = {"p": "1111", "q": "1100", "s": "1111"}
ROUTED = ("sparse_steer", "sparse_steer_random", "local_temperature", "dense_steer")


@pytest.fixture
def study(tmp_path):
    """Make a study of outcomes: intervention -> problem -> one digit a rollout."""

    def make(arms, **more):
        path = tmp_path / "log.jsonl"
        with path.open("w") as file:
            for arm, problems in arms.items():
                for problem, outcomes in problems.items():
                    for number, each in enumerate(outcomes):
                        row = {"problem_id": problem, "prompt": problem, "intervention": arm}
                        row |= {"rollout_idx": number, "generated_text": "1+1=2 so 2"}
                        row |= {"is_correct": each == "1", **more}
                        file.write(json.dumps(row) + "\n")
        return rnb.from_jsonl(path)

    return make


def needed(evaluation):
    return [each["figure"] for each in evaluation.needs]


def test_observed_rollouts_alone(study):
    found = rnb.evaluate_routing(study({"none": NONE}), **QUICK)
    assert isinstance(found, PartEvaluation)
    one = found.dataset.sel(cell="all")
    assert (int(one["right"]), int(one["rollouts"])) == (4, 8)
    assert (int(one["problems"]), int(one["failed"])) == (4, 3)
    assert float(one["pass_rate"]) == 0.5
    assert np.isnan(float(one["cut_off"]))
    assert needed(found) == [
        "rescue by trying again",
        "rescue by other interventions",
        "routes and their lift over retry",
        "routes and their lift over retry",
        "rollouts cut off",
    ]
    assert found.sentence.startswith(
        "4 of 8 observed rollouts are right (50% of a problem's, on average); 3 of 4 problems"
        " failed at least once. Not computed: rescue by trying again: needs attempts of retry;"
    )
    assert found.to_dataframe(cell="all")["figure"].tolist() == ["pass_rate"]


def test_rollouts_cut_off_are_no_failures(study):
    found = rnb.evaluate_routing(study({"none": NONE}, finish_reason="length"), **QUICK)
    one = found.dataset.sel(cell="all")
    assert (int(one["cut_off"]), int(one["failed"])) == (4, 0)
    assert "rollouts cut off" not in needed(found)
    assert found.needs[0]["figure"] == "rescue"
    assert "4 of 4 wrong rollouts were cut off" in found.needs[0]["needs"]


def test_trying_again(study):
    found = rnb.evaluate_routing(study({"none": NONE, "retry": RETRY}), **QUICK)
    assert found.populations == ("failed_first_1", "failed")
    rescue = found.dataset["rescue"].sel(cell="all", intervention="retry")
    # First answer failed: q (0 of 4) and s (4 of 4); at least once: p (2 of 4) too.
    assert rescue.values.tolist() == [0.5, 0.5]
    assert found.dataset["n"].sel(cell="all").values.ravel().tolist() == [2, 3]
    assert "rescue by trying again" not in needed(found)
    assert found.dataset["best"].values.tolist() == ["", ""]


def test_other_interventions_against_retry(study):
    ds = study({"none": NONE, "retry": RETRY, "hot": HOT})
    found = rnb.evaluate_routing(ds, **QUICK)
    whole = found.dataset.sel(cell="all", population="failed")
    assert float(whole["rescue"].sel(intervention="hot")) == pytest.approx((1 + 0.5 + 1) / 3)
    assert float(whole["lift"].sel(intervention="hot")) == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert np.isnan(float(whole["lift"].sel(intervention="retry")))
    assert str(whole["best"].values) == "hot"
    assert float(whole["best_lift"]) == pytest.approx(1 / 3)
    assert float(whole["null_mean"]) == pytest.approx(0, abs=0.05)
    assert needed(found)[0] == "routes and their lift over retry"
    assert "The best single intervention, hot, is" in found.sentence


def test_an_intervention_without_retry_has_no_lift(study):
    found = rnb.evaluate_routing(study({"none": NONE, "hot": HOT}), **QUICK)
    whole = found.dataset.sel(cell="all", population="failed", intervention="hot")
    assert float(whole["rescue"]) == pytest.approx(2.5 / 3)
    assert np.isnan(float(whole["lift"]))
    assert "rescue by trying again" in needed(found)


def test_all_that_the_rule_chooses_from_and_no_features(study):
    arms = {"none": NONE, "retry": RETRY, **dict.fromkeys(ROUTED, HOT)}
    found = rnb.evaluate_routing(study(arms), **QUICK)
    assert found.needs[0]["needs"] == "features of the failed rollouts"
    assert "rnb.add_signals" in found.needs[0]["how"]


def test_everybody_is_right(study):
    found = rnb.evaluate_routing(study({"none": {"p": "11", "q": "1"}}), **QUICK)
    assert needed(found)[0] == "rescue"
    assert float(found.dataset["pass_rate"].sel(cell="all")) == 1.0


def test_the_object_of_the_command_line_keeps_its_keys(study):
    ds = study({"none": NONE, "retry": RETRY, "hot": HOT})
    told = rnb.evaluate_routing(ds, **QUICK).to_dict()
    json.dumps(told, allow_nan=False)
    whole = rnb.evaluate_routing(rnb.make_study(n_problems=40), **QUICK).to_dict()
    assert set(whole) <= set(told)
    assert set(whole["overall"]) == set(told["overall"])
    (cell,) = told["cells"].values()
    assert cell["n"] == 3
    assert cell["regimes"] is cell["routed_counts"] is cell["rescue"]["routed"] is None
    assert cell["rescue"]["retry"] == 0.5
    assert told["overall"]["published"] is told["overall"]["null"] is None
    assert told["populations"]["failed_first_1"]["n"] == 2
    assert told["best_intervention"]["failed"]["best"] == "hot"
    assert told["verdict"] == "not testable"


def test_the_command_line_says_what_is_needed(study, tmp_path, capsys):
    path = rnb.save_zip(study({"none": NONE}), tmp_path / "s.zarr.zip")
    assert main(["evaluate", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["needs"][0]["figure"] == "rescue by trying again"
    assert told["observed"]["all"]["pass_rate"] == 0.5
    assert main(["evaluate", str(path)]) == 0
    words = capsys.readouterr().out
    assert "- rescue by trying again: needs attempts of retry." in words
    assert max(map(len, words.splitlines())) <= 100


def test_tables_count_failures_without_retry(study):
    counts = rnb.tables.problems_by_cell if hasattr(rnb.tables, "problems_by_cell") else None
    ds = study({"none": NONE})
    assert counts is None or counts(ds)["failed"].tolist() == [3]
    # A log that tries all problems again: those that never failed are no part of rescue.
    again = study({"none": NONE, "retry": {**RETRY, "r": "1111"}})
    rescue = rnb.tables.rescue_by_intervention(again, population="failed")
    assert rescue["problems"].tolist() == [3]
    assert rescue["rate"].tolist() == [0.5]


def test_a_complete_study_needs_nothing():
    ds = rnb.load_study().isel(problem=slice(0, 2700, 60))
    assert needs_of(ds) == []
    check_routable(ds)


def test_a_profile_table_is_evaluated_as_before(tmp_path):
    path = tmp_path / "t.csv"
    rnb.to_profiles(rnb.make_study(n_problems=60), path)
    found = rnb.evaluate_routing(rnb.from_profiles(path), **QUICK)
    assert not isinstance(found, PartEvaluation)
    whose, how_many = needed(found)
    assert whose == "split halves, twinned null and budgets"
    # Sixty problems are too few to tell 3 points.
    assert how_many == "whether routing beats retry"


def test_needs_are_stored_with_the_evaluation(study):
    found = rnb.evaluate_routing(study({"none": NONE}), **QUICK)
    assert PartEvaluation(found.dataset).needs == found.needs


def test_no_problem_and_no_rollout(study):
    ds = study({"none": NONE})
    with pytest.raises(InputError, match="holds no problem; choose at least one"):
        rnb.evaluate_routing(ds.isel(problem=[]))
    counted = ("rescue_rate", "attempts", "n_failed_rollouts", "regime", "route")
    empty = ds.assign(correct=ds["correct"] * 0 - 1).drop_vars(counted, errors="ignore")
    with pytest.raises(InputError, match="no observed rollout"):
        rnb.evaluate_routing(empty)


def test_a_rule_of_ones_own_must_fit(study):
    with pytest.raises(InputError, match="no intervention sparse_steer"):
        rnb.evaluate_routing(study({"none": NONE}), interventions=["sparse_steer"])


def test_the_null_deals_out_all_right_attempts():
    tried, right = np.array([[4, 4, 0], [2, 4, 4]]), np.array([[1, 3, 0], [0, 2, 1]])
    drawn = dealt(tried, right, 500, np.random.default_rng(0))
    assert (drawn.sum(axis=2) == right.sum(axis=1)).all()
    assert (drawn <= tried).all() and (drawn[:, 0, 2] == 0).all()
    assert drawn[:, 0].mean(axis=0) == pytest.approx([2, 2, 0], abs=0.1)
    lifts = _lifts(tried, right[None], 0)[0]
    assert np.isnan(lifts[0])
    assert lifts[1:].tolist() == [pytest.approx((0.5 + 0.5) / 2), 0.25]


def test_what_needs_routes_says_what_is_lacking(study):
    ds = study({"none": NONE, "retry": RETRY})
    found = rnb.evaluate_routing(ds, **QUICK)
    for draw in (rnb.plot_estimators, rnb.plot_routes, rnb.tables.lift_over_retry):
        with pytest.raises(InputError, match="nothing is routed in this study; rescue by other"):
            draw(found)
    with pytest.raises(InputError, match="it lacks attempts of sparse_steer"):
        check_routable(ds)
    assert "what next" in found._repr_html_()


PLOTS = sorted(name for name in rnb.__all__ if name.startswith("plot_"))


@pytest.mark.parametrize("name", PLOTS)
def test_a_chart_of_texts_only_is_drawn_or_refused_in_a_sentence(study, name):
    try:
        getattr(rnb, name)(study({"none": NONE, "retry": RETRY, "hot": HOT}))
    except InputError as error:
        assert len(str(error)) > 20


VIEWS = (
    "RoutingExplorer",
    "StabilityExplorer",
    "TopographyExplorer",
    "TraceInspector",
    "TraceSurgeon",
    "RolloutStepper",
)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_of_texts_only_says_what_is_missing(study, name):
    ds = study({"none": NONE, "retry": RETRY})
    try:
        said = getattr(rnb.widgets, name)(ds).message
    except InputError as error:
        said = str(error)
    assert "tokenizer=" in said


@pytest.mark.parametrize(
    ("n", "low", "high", "expected"),
    [
        # Half of 0.48 is 8 times 0.03, which takes 64 times the problems: 768.
        (12, -0.24, 0.24, "about 770 such problems (12 now) to tell 3 points from none: the"),
        # 4.5 points are 1.5 times 3: 2.25 times 100.
        (100, -0.05, 0.04, "about 230 such problems (100 now)"),
        (2000, -0.04, 0.04, "about 3,600 such problems (2,000 now)"),
        # Half of it is 3 points: enough.
        (100, -0.03, 0.03, None),
        # It leaves 0 out: told already, however wide.
        (12, 0.01, 0.4, None),
        (12, -0.4, -0.01, None),
        (12, 0.0, 0.0, None),
        (0, float("nan"), float("nan"), None),
        (12, float("nan"), float("nan"), None),
    ],
)
def test_a_small_study_says_how_many_problems_it_needs(n, low, high, expected):
    found = [each["needs"] for each in more_problems(n, low, high)]
    assert (found == []) if expected is None else found[0].startswith(expected)


def test_an_evaluation_of_few_problems_says_so():
    ds = rnb.make_study(n_problems=16, seed=3)
    found = rnb.evaluate_routing(ds, n_bootstrap=50, n_permutations=20, n_null=5, n_splits=2)
    lift, n = found.lift("all"), int(found.figures["problems"].sel(cell="all"))
    need = found.needs[-1]
    assert need["figure"] == "whether routing beats retry"
    half = (float(lift["lift_high"]) - float(lift["lift_low"])) / 2
    assert f"({n} now)" in need["needs"] and f"{100 * half:.0f} points either way" in need["needs"]
    assert "what more data would tell" in found._repr_html_()
    assert need["needs"] in found._repr_html_()
