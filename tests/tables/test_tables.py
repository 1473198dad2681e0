import json
import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from traced_study import traced_study

from recover_nb import tables
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Regime
from recover_nb.routing.evaluation import evaluate_routing
from recover_nb.routing.result import Evaluation
from recover_nb.routing.simulate import make_study
from recover_nb.tables.text import WIDTH, render_text
from recover_nb.tables.verdicts import (
    CONTRADICTED,
    NOT_SHOWN,
    NOT_TESTABLE,
    SUPPORTED,
    VERDICTS,
)

FEW = {"n_bootstrap": 200, "n_permutations": 200, "n_null": 40, "n_splits": 20}


@pytest.fixture(scope="module")
def ds():
    return traced_study()


@pytest.fixture(scope="module")
def evaluation(ds):
    return evaluate_routing(ds, **FEW)


def by_hand():
    """Two cells, three problems, three rollouts; the third problem never failed."""
    correct = np.full((3, 3, 3), -1, dtype=np.int8)
    correct[0] = [[1, 0, 1], [0, 0, 1], [0, 1, 1]]
    correct[1] = [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
    correct[2, :, 0] = 1
    run = correct >= 0
    axes = ("problem", "rollout", "intervention")
    rate = np.array([[1 / 3, 1 / 3, 1.0], [0, 0, 1 / 3], [1, np.nan, np.nan]])
    return xr.Dataset(
        {
            "correct": (axes, correct),
            "parseable": (axes, np.where(run, 1, -1).astype(np.int8)),
            "n_tokens": (axes, np.where(run, 10, 0).astype(np.int32)),
            "forward_specialist": (axes, np.where(run, 12, 0).astype(np.int32)),
            "forward_ancestor": (axes, (np.where(run, 12, 0) * [0, 0, 1]).astype(np.int32)),
            "fired_at": (axes, np.where(run, [-1, -1, 4], -1).astype(np.int32)),
            "rescue_rate": (("problem", "intervention"), rate),
            "attempts": (("problem", "intervention"), run.sum(axis=1).astype(np.int32)),
            "features": (("problem", "feature"), np.zeros((3, 3))),
            "regime": ("problem", ["steerable_hard", "steerable_hard", ""]),
            "route": ("problem", ["sparse_steer", "sparse_steer", ""]),
        },
        coords={
            "intervention": ["none", "retry", "sparse_steer"],
            "feature": ["spread", "concentration", "logit_dispersion"],
            "family": ("problem", ["a", "a", "b"]),
            "method": ("problem", ["sft"] * 3),
            "task": ("problem", ["t"] * 3),
            "problem_id": ("problem", ["1", "2", "1"]),
            "split": ("problem", ["test"] * 3),
        },
    )


def test_problems_and_pass_at_1_by_hand():
    frame = tables.problems_by_cell(by_hand(), total=True).set_index("cell")
    assert list(frame.index) == ["a|sft|t", "b|sft|t", "all"]
    assert frame.loc["a|sft|t", "pass_at_1"] == pytest.approx((1 / 3 + 0) / 2)
    assert frame.loc["all", "pass_at_1"] == pytest.approx((1 / 3 + 0 + 1) / 3)
    assert frame["failed"].tolist() == [2, 0, 2]
    assert frame["rollouts"].tolist() == [6, 3, 9]
    assert frame["parseable"].tolist() == [1.0, 1.0, 1.0]


def test_parseable_leaves_out_what_was_not_run():
    ds = by_hand()
    ds["parseable"][0, 0, 0] = 0
    assert tables.problems_by_cell(ds)["parseable"].tolist() == pytest.approx([5 / 6, 1.0])


def test_regimes_lie_end_to_end():
    frame = tables.regimes_by_cell(by_hand(), total=True)
    first = frame[frame["cell"] == "a|sft|t"]
    assert first["count"].tolist() == [2, 0, 0]
    assert first["end"].tolist() == [1.0, 1.0, 1.0] and first["start"].tolist() == [0.0, 1.0, 1.0]
    assert first["middle"].tolist() == [0.5, 1.0, 1.0]
    assert frame[frame["cell"] == "b|sft|t"]["share"].isna().all()
    assert set(frame["regime"]) == {each.value for each in Regime}


def test_rescue_is_paired_with_retry_on_the_same_problems():
    every = {"population": "failed", "total": True}
    frame = tables.rescue_by_intervention(by_hand(), **every).set_index(["cell", "intervention"])
    row = frame.loc[("all", "sparse_steer")]
    assert row["rate"] == pytest.approx(2 / 3)
    assert row["retry_rate"] == pytest.approx(1 / 6)
    assert row["lift_points"] == pytest.approx(50)
    assert row["problems"] == 2 and row["attempts"] == 6
    assert row["low"] <= row["rate"] <= row["high"]
    ends = ["lift_low_all_points", "lift_low_points", "lift_high_points", "lift_high_all_points"]
    assert row[ends].is_monotonic_increasing
    assert math.isnan(frame.loc[("all", "retry"), "lift_points"])
    assert math.isnan(frame.loc[("b|sft|t", "retry"), "rate"])
    assert frame.loc[("b|sft|t", "retry"), "attempts"] == 0


def test_rescue_leaves_out_problems_an_intervention_was_not_run_on():
    ds = by_hand()
    ds["rescue_rate"][1, 2] = np.nan
    every = {"population": "failed", "total": True}
    frame = tables.rescue_by_intervention(ds, **every).set_index(["cell", "intervention"])
    row = frame.loc[("all", "sparse_steer")]
    assert (row["problems"], row["attempts"]) == (1, 3)
    assert row["retry_rate"] == pytest.approx(1 / 3) and row["lift_points"] == pytest.approx(
        100 * 2 / 3
    )


def test_rescue_intervals_widen_with_the_number_of_comparisons(ds):
    frame = tables.rescue_by_intervention(ds, total=True, by_cell=False)
    frame = frame[frame["intervention"] != "retry"]
    wide = frame["lift_high_all_points"] - frame["lift_low_all_points"]
    assert (wide > frame["lift_high_points"] - frame["lift_low_points"]).all()


def test_firing_by_hand():
    ds = by_hand()
    ds["fired_at"][0, 0, 2] = -1
    frame = tables.firing(ds).set_index(["cell", "intervention"])
    assert frame.loc[("a|sft|t", "sparse_steer"), "fired"] == pytest.approx(5 / 6)
    assert frame.loc[("a|sft|t", "sparse_steer"), "median_position"] == 4
    assert math.isnan(frame.loc[("b|sft|t", "sparse_steer"), "fired"])


def test_costs_by_hand():
    frame = tables.costs(by_hand(), total=True).set_index(["cell", "intervention"])
    steer = frame.loc[("all", "sparse_steer")]
    assert (steer["tokens"], steer["forward_specialist"], steer["forward_ancestor"]) == (10, 12, 12)
    assert steer["forward_per_rescue"] == pytest.approx(24 * 6 / 4)
    assert math.isnan(frame.loc[("b|sft|t", "retry"), "tokens"])


def test_costs_without_token_counts_keep_the_columns():
    frame = tables.costs(by_hand().drop_vars("n_tokens"))
    assert frame["tokens"].isna().all() and frame["forward_specialist"].notna().any()


def test_feature_points_have_failed_problems_only():
    frame = tables.feature_points(by_hand())
    assert frame["problem"].tolist() == [0, 1]
    assert frame["retry"].tolist() == pytest.approx([1 / 3, 0])
    assert frame["best"].tolist() == pytest.approx([1, 1 / 3])


def test_evaluation_tables_are_the_evaluation_in_points(evaluation):
    frame = evaluation.to_dataframe().set_index(["estimator", "comparator"])
    published = evaluation.lift("published")
    row = frame.loc[("published", "retry")]
    assert row["lift_points"] == pytest.approx(100 * float(published["lift"]))
    assert [row["low_points"], row["high_points"]] == pytest.approx(
        [100 * float(published[end]) for end in ("lift_low", "lift_high")]
    )
    assert row["relative_high"] == pytest.approx(float(published["relative_high"]))
    null = evaluation.lift("null")
    row = frame.loc[("null", "retry")]
    assert row["high_points"] - row["lift_points"] == pytest.approx(
        1.96 * 100 * float(null["sd"]), rel=1e-4
    )
    assert math.isnan(row["rate"])
    excess = tables.null_excess(evaluation).set_index(["null", "comparator"]).loc[("null", "retry")]
    told = evaluation.to_dict()["populations"]["failed_first_1"]["estimators"]
    assert excess["excess_points"] == pytest.approx(100 * told["excess"]["value"])
    assert excess["excess_points"] == pytest.approx(
        100 * (told["published"]["lift"] - told["null"]["mean"])
    )
    assert set(frame.index.get_level_values(0)) == {
        "published",
        "null",
        "null_twins",
        "split",
        "all",
        "own_features",
    }


def test_rows_of_every_cell_are_those_of_each(evaluation):
    frame = evaluation.to_dataframe(cell=None)
    cells = evaluation.dataset["cell"].values.tolist()
    assert list(dict.fromkeys(frame["cell"])) == cells and cells[0] == "all"
    for cell in cells:
        one = frame[frame["cell"] == cell].drop(columns="cell").reset_index(drop=True)
        pd.testing.assert_frame_equal(one, evaluation.to_dataframe(cell=cell))
    # A null has no cells of its own.
    assert set(frame.loc[frame["estimator"].str.startswith("null"), "cell"]) == {"all"}
    inside = frame[(frame["cell"] == cells[1]) & (frame["comparator"] == "retry")]
    assert inside["estimator"].tolist() == ["published", "split", "all", "own_features"]
    first = inside.set_index("estimator").loc["split"]
    known = evaluation.lift("split", cell=cells[1])
    assert first["lift_points"] == pytest.approx(100 * float(known["lift"]))
    assert (first["p"], first["p_holm"]) == (float(known["p"]), float(known["p_holm"]))


def test_budget_lines_hold_both_sides_of_budgets(evaluation):
    wide, long = tables.budgets(evaluation), tables.budget_lines(evaluation)
    assert len(long) == 2 * len(wide)
    for name in ("routed", "retry"):
        assert long[long["strategy"] == name]["rescue"].tolist() == wide[name].tolist()
    assert set(wide["basis"]) == {"attempts", "generated_tokens", "forward_passes"}


def test_routes_add_up(evaluation):
    frame = tables.routes_by_cell(evaluation, total=True)
    counts = frame.groupby("cell")["count"].sum()
    assert counts["all"] == counts.drop("all").sum()
    assert frame.groupby("cell")["end"].last().tolist() == pytest.approx([1.0] * len(counts))


def test_routes_come_in_the_order_of_the_study():
    names = [
        "z|y|x",
        "neox|sft|program",
        "a|b|c",
        "qwen3|grpo|program",
        "qwen3|sft|deduction",
        "qwen3|sft|program",
    ]
    routes = xr.Dataset(
        {
            "routes": (
                ("population", "cell", "intervention"),
                np.array([[[len(names)], *([1],) * len(names)]]),
            )
        },
        {"population": ["failed"], "cell": ["all", *names], "intervention": ["retry"]},
    )
    frame = tables.routes_by_cell(Evaluation(routes), total=True)
    assert frame["cell"].tolist() == [*reversed(names[3:]), names[1], names[0], names[2], "all"]


def judged(ds, **kwargs):
    evaluation = evaluate_routing(ds, **{**FEW, **kwargs})
    found = tables.find(
        evaluation, tables.rescue_by_intervention(ds, total=True), tables.firing(ds, total=True)
    )
    return {each["name"]: each for each in found}


def test_findings_see_a_planted_effect_and_no_choice():
    found = judged(traced_study(n_problems=60, size=0.3))
    for name in ("interventions", "published", "split", "all"):
        assert found[name]["verdict"] == SUPPORTED, name
    # Every operator gains the same: there is nothing to choose.
    assert found["choice"]["verdict"] == NOT_SHOWN
    assert "distinguishable from no effect" in tables.say(found["published"])


def test_findings_without_effect_say_so():
    found = judged(traced_study(n_problems=60, effect="none", seed=3))
    for name in ("interventions", "published", "split", "all", "permutation"):
        assert found[name]["verdict"] == NOT_SHOWN, name
    assert found["published"]["figure"]["lift_points"] > 0
    assert "not distinguishable from no effect" in tables.say(found["published"])
    assert found["firing"]["verdict"] == SUPPORTED


def test_published_needs_every_null():
    ds = traced_study(n_problems=60)
    evaluation = evaluate_routing(ds, **FEW)
    rescue, fired = tables.rescue_by_intervention(ds, total=True), tables.firing(ds)
    found = {each["name"]: each for each in tables.find(evaluation, rescue, fired)}
    assert found["published"]["verdict"] == SUPPORTED
    of_twins = {"estimator": "null_twins", "comparator": "retry", "cell": "all"}
    changed = evaluation.dataset.copy(deep=True)
    changed["excess_p"].loc[of_twins] = 0.4
    found = {each["name"]: each for each in tables.find(Evaluation(changed), rescue, fired)}
    assert found["published"]["verdict"] == NOT_SHOWN


def claimed(evaluation, ds, basis, **figures):
    """Return the finding of the claim, with some of its figures replaced."""
    changed = evaluation.dataset.copy(deep=True)
    for name, value in figures.items():
        changed[f"claim_{name}"].loc[{"claim_basis": basis}] = value
    found = tables.find(
        Evaluation(changed), tables.rescue_by_intervention(ds, total=True), tables.firing(ds)
    )
    return next(each for each in found if each["name"] == f"budget_{basis}")


def test_the_claim_is_matched_to_within_two_points(ds, evaluation):
    unknown = {"low_checkpoints": math.nan, "high_checkpoints": math.nan}
    for low, high, verdict in (
        (-0.019, 0.01, SUPPORTED),
        (-0.021, 0.01, NOT_SHOWN),
        (-0.2, -0.021, CONTRADICTED),
        (-0.2, -0.019, NOT_SHOWN),
        (math.nan, math.nan, NOT_TESTABLE),
    ):
        found = claimed(evaluation, ds, "forward_passes", low=low, high=high, **unknown)
        assert found["verdict"] == verdict, (low, high)
    # Both intervals must say so.
    apart = {"low_checkpoints": -0.03, "high_checkpoints": 0.02}
    found = claimed(evaluation, ds, "forward_passes", low=-0.01, high=0.01, **apart)
    assert found["verdict"] == NOT_SHOWN


def test_ten_and_fifty_are_tested_only_where_they_are_stored(ds, evaluation):
    """Twenty retries of each problem are not fifty: nothing is scaled."""
    ran = claimed(evaluation, ds, "attempts")
    assert ran["verdict"] == NOT_TESTABLE and ran["figure"].get("lift_points") is None
    assert ran["claim"] == "10 routed rollouts match 50 retries"
    said = "Not testable here: no problem has 10 routed attempts and 50 retries stored."
    assert tables.say(ran) == said


def test_every_finding_has_its_rule_and_date(ds, evaluation):
    rescue, fired = tables.rescue_by_intervention(ds, total=True), tables.firing(ds)
    for each in tables.find(evaluation, rescue, fired):
        assert each["rule"] and each["date"] == "2026-11-27", each["name"]
        assert each["population"] == "failed_first_1"
        assert set(each["figure"].get("beside", {})) <= {"failed", "failed_first_5"}


def test_firing_below_the_mark_names_the_cells():
    ds = traced_study()
    inside = (ds["family"] == "neox").values
    ds["fired_at"][inside] = -1
    found = judged(ds)["firing"]
    assert found["verdict"] == NOT_SHOWN
    assert found["figure"]["cells_below"] == ["neox|grpo|program"]
    assert "it is just retry" in tables.say(found)


def test_what_was_not_stored_is_not_testable(ds):
    table = ds.drop_dims("rollout")
    found = judged(table)
    assert found["split"]["verdict"] == found["budget_forward_passes"]["verdict"] == NOT_TESTABLE
    assert all(each["verdict"] in VERDICTS and tables.say(each) for each in found.values())
    assert "cannot be computed here" in tables.say(found["split"]).lower()


def test_summary_text_fits_a_terminal(ds, evaluation):
    text = tables.summary_text(ds, evaluation)
    assert max(map(len, text.splitlines())) <= WIDTH
    for heading in (
        "pass@1",
        "Regimes",
        "Rescue rate",
        "fired",
        "comparator",
        "null",
        "budgets",
        "Cost",
        "support",
    ):
        assert heading in text, heading
    assert "nan" not in text.lower()


def test_summary_text_of_a_profile_table(ds):
    table = ds.drop_dims("rollout")
    text = tables.summary_text(table, evaluate_routing(table, **FEW))
    assert "NOT TESTABLE" in text and "Cost" not in text


def test_summary_text_where_nothing_is_steerable(ds):
    even = ds.copy()
    even["rescue_rate"] = xr.full_like(ds["rescue_rate"], 0.75)
    even = even.drop_vars(["correct", "regime"])
    text = tables.summary_text(even, evaluate_routing(even, **FEW))
    assert "No problem is steerable_hard" in text and "nan" not in text.lower()


def test_render_text_shortens_the_first_column_and_breaks_headings():
    frame = pd.DataFrame({"cell": ["a" * 80 + "b" * 60], "sparse_steer_random": [1.25]})
    lines = render_text(frame, width=60).splitlines()
    assert max(map(len, lines)) <= 60
    assert [line.split()[-1] for line in lines[:3]] == ["sparse", "steer", "random"]
    assert ".." in lines[-1] and lines[-1].startswith("aaa") and "bbb" in lines[-1]
    assert lines[-1].endswith(" 1.2")


def test_paragraphs_break_at_spaces_alone():
    text = tables.paragraphs("one -2.5 of self-made", "x" * 12, width=10)
    assert text.split("\n") == ["one -2.5", "of", "self-made", "", "x" * 12]


def test_render_text_of_nothing():
    assert render_text(pd.DataFrame({"a": []})) == "(none)"


def test_control_characters_never_reach_the_terminal(ds):
    renamed = ds.assign_coords(
        family=("problem", np.array(["\x1b[31mred"] * ds.sizes["problem"], dtype=object))
    )
    text = tables.summary_text(renamed, evaluate_routing(renamed, **FEW))
    assert "\x1b" not in text and "\\x1b[31mred" in text


def test_trace_signals_and_junction(ds):
    chosen = tables.choose_example(ds)
    frame = tables.trace_signals(ds, chosen["problem"], chosen["rollout"], pieces={5: "five"})
    one = ds.isel(problem=chosen["problem"], rollout=chosen["rollout"])
    assert frame.groupby("signal").size().unique().tolist() == [
        int(one["n_tokens"].sel(intervention="none"))
    ]
    marked = frame[frame["is_junction"]]
    assert set(marked["position"]) == {int(one["junction"])}
    assert frame[~frame["is_junction"]]["junction"].isna().all()
    assert set(frame["token"]) <= {"five", *(f"#{i}" for i in range(100))}


def test_trace_signals_that_are_not_stored(ds):
    problem, rollout = np.argwhere(ds["has_signals"].values == 0)[0]
    with pytest.raises(InputError, match="stored"):
        tables.trace_signals(ds, int(problem), int(rollout))


def test_example_shows_a_rescue(ds):
    chosen = tables.choose_example(ds)
    frame = tables.twins(ds, chosen["problem"], chosen["twin"]).set_index("intervention")
    assert not frame.loc["retry", "correct"] and frame.loc["sparse_steer", "correct"]
    for name, row in frame.iterrows():
        if name != "retry" and row["fired_at"] >= 0:
            assert row["shared"] >= row["fired_at"]
    assert "none" not in frame.index


def test_no_example_without_signals(ds):
    assert tables.choose_example(ds.drop_vars("has_signals")) is None
    assert tables.choose_example(ds.assign(has_signals=xr.zeros_like(ds["has_signals"]))) is None


def test_token_pieces(tmp_path):
    folder = tmp_path / "qwen3" / "ancestor"
    folder.mkdir(parents=True)
    tokenizer = {"model": {"type": "WordLevel", "vocab": {"a": 3, "\n": 4}}}
    tokenizer["added_tokens"] = [{"id": 1, "content": "<eos>"}]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert tables.token_pieces("qwen3", root=tmp_path) == {3: "a", 4: "\n", 1: "<eos>"}
    assert tables.token_pieces("other", root=tmp_path) == {}
    assert tables.token_pieces("../qwen3", root=tmp_path) == {}
    tokenizer["model"]["type"] = "BPE"
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert tables.token_pieces("qwen3", root=tmp_path) == {}


def test_regimes_in_a_sentence():
    said = "Of 2 failed problems: steerable_hard 2 (100%), beyond_reach 0 (0%), resample 0 (0%)."
    assert tables.regime_sentence(by_hand()) == said


def test_findings_as_a_frame_are_find_and_say(ds, evaluation):
    rescue = tables.rescue_by_intervention(ds, total=True, by_cell=False)
    firing = tables.firing(ds, total=True)
    frame = tables.findings(evaluation, rescue, firing)
    found = tables.find(evaluation, rescue, firing)
    assert frame["sentence"].tolist() == [tables.say(each) for each in found]
    assert frame["verdict"].tolist() == [each["verdict"] for each in found]


def test_null_in_a_sentence(evaluation):
    one = tables.null_excess(evaluation).query("null == 'null' and comparator == 'retry'").iloc[0]
    said = tables.null_sentence(evaluation)
    assert f"reports {one.mean_points:+.1f} \u00b1 {one.sd_points:.1f} points" in said
    assert said.endswith(f"it reports {one.published_points:+.1f}.")


def test_a_null_of_twins_has_no_test_of_its_own(evaluation):
    rows = tables.significance(evaluation, "null_twins")
    assert len(rows) == 0 and {"test", "p", "least_p", "verdict"} <= set(rows)


def test_so_few_permutations_cannot_tell_a_cell_after_holm():
    cells = (("qwen3", "sft", "arithmetic"), ("qwen3", "sft", "program"))
    counts = {"n_bootstrap": 20, "n_permutations": 9, "n_null": 5, "n_splits": 2}
    found = evaluate_routing(make_study(effect="tied", n_problems=40, cells=cells), **counts)
    rows = tables.routing.significance(found, "all", level=0.15).set_index("cell")
    # One in ten for both cells together; a single cell's p is doubled.
    assert rows["least_p"].to_dict() == pytest.approx(
        {"all": 0.1, **{"|".join(cell): 0.2 for cell in cells}}
    )
    assert [rows["verdict"]["|".join(cell)] for cell in cells] == ["not testable"] * 2
    assert rows["verdict"]["all"] != "not testable"
    frame = tables.routing.comparators(found, "all")
    said = tables.routing.say_routing(frame, rows.reset_index(), 0.15)
    assert said[-1].endswith("So few resamples cannot tell a single cell after Holm's correction.")
