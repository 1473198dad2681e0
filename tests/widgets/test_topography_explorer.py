"""The topography explorer by its traits, against direct calls of what it shows."""

import html

import numpy as np
import pandas as pd
import pytest
from traced_study import traced_study

from recover_nb import charts, tables
from recover_nb.core.errors import InputError
from recover_nb.core.schema import cell_names
from recover_nb.io.profiles import from_profiles, to_profiles
from recover_nb.prediction.reading import reading
from recover_nb.prediction.topography import topography
from recover_nb.prediction.transfer import Transfer, transfer
from recover_nb.routing.simulate import make_study
from recover_nb.widgets import RoutingExplorer, Selection, TopographyExplorer, TraceInspector
from recover_nb.widgets.topography.data import KEPT, ROUGH, Settings, TopographyData

CELLS = tuple(
    (family, method, "arithmetic") for family in ("qwen3", "neox") for method in ("sft", "grpo")
)
CELL = "neox|grpo|arithmetic"
#: Few enough for a test, and other than the rough ones.
FEW = {
    "topography": {"n_repeats": 3, "n_permutations": 4},
    "transfer": {"n_null": 8, "n_splits": 3, "n_bootstrap": 30},
    "reading": {"n_repeats": 2},
}
#: The population of most tests here.
ALONE = {"populations": ["failed"]}
ALL_PANELS = (
    "fingerprints",
    "effects",
    "scores",
    "confusion",
    "coefficients",
    "clusters",
    "routing",
    "reading",
)


@pytest.fixture(scope="module")
def study():
    """Four cells, in which the spread of grpo is 1.2 sd above that of sft."""
    ds = traced_study(n_problems=30, cells=CELLS, effect="tied", seed=3)
    features = ds["features"].values
    features[ds["method"].values == "grpo", 0] += 1.2 * np.nanstd(features[:, 0])
    # The smaller of the two vocabularies has 59 tokens; the first three are no text.
    token = ds["token_id"]
    return ds.assign(
        features=(("problem", "feature"), features), token_id=token.where(token < 0, 3 + token % 56)
    )


@pytest.fixture
def view(study):
    return TopographyExplorer(study, counts=FEW, population="failed")


def rough(study, **kwargs):
    return topography(study, **ROUGH["topography"], **ALONE, **kwargs)


def shown(view, panel=None):
    return view.tables()[panel or view.panel]


def test_opens_on_the_confusion_of_methods(view, study):
    assert view.message == "" and set(view.charts()) == {"confusion"}
    wanted = rough(study)
    pd.testing.assert_frame_equal(shown(view), tables.confusion_cells(wanted))
    assert view.matrix.table.frame["share"].tolist() == shown(view)["share"].tolist()
    # 1.2 sd apart: Phi(0.6) is 0.73.
    assert wanted.accuracy.mean() > 0.65
    assert wanted.sentence in html.unescape(view.words.value)
    assert "Rough (press resample): 2 repeats, 9 permutations." in view.words.value
    assert len(shown(view, "problems")) == wanted.n


@pytest.mark.parametrize("panel", ALL_PANELS)
def test_every_panel_draws_its_frame(view, panel):
    view.panel = panel
    assert view.message == "" and set(view.charts()) == {panel}
    assert len(shown(view)) and view.chart.chart.to_dict()["title"]
    assert view.matrix.layout.display == ("" if panel == "confusion" else "none")


def test_panels_hold_what_the_functions_give(view, study):
    found = rough(study)
    for panel, arrange in (
        ("fingerprints", tables.feature_quantiles),
        ("effects", tables.effect_sizes),
        ("scores", tables.score_lines),
        ("coefficients", tables.coefficient_spans),
    ):
        view.panel = panel
        pd.testing.assert_frame_equal(shown(view), arrange(found))
    moved = transfer(study, **ROUGH["transfer"], **ALONE)
    for panel, arrange in (
        ("clusters", tables.transfer_agreement),
        ("routing", Transfer.to_dataframe),
    ):
        view.panel = panel
        pd.testing.assert_frame_equal(shown(view), arrange(moved))
        assert "qwen3 to neox: routed by the source&#x27;s scale" in view.words.value
    view.panel = "reading"
    read = reading(study, target="method", **ROUGH["reading"], **ALONE)
    pd.testing.assert_frame_equal(shown(view), read.to_dataframe())
    assert view.busy.said == ["Predicting from the features", "Transferring", "Reading"]


CHANGED = {
    "population": "failed_first_5",
    "target": "regime",
    "within": "family",
    "features": ("spread",),
    "panel": "effects",
    "by": "method",
    "rollouts": "first",
    "seed": 5,
}


def test_every_control_sets_its_trait_and_follows_it(view):
    assert set(view.controls) == {*CHANGED, "part"}
    there = list(descend(view))
    for name, value in CHANGED.items():
        control = view.controls[name]
        assert control in there
        before = getattr(view, name)
        assert control.value == before, name
        control.value = value
        assert getattr(view, name) == value and view.message == "", name
        setattr(view, name, before)
        assert control.value == before, name


def descend(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from descend(child)


@pytest.mark.parametrize("target", ["regime", "family", "model", "cell"])
def test_target(view, study, target):
    view.target = target
    pd.testing.assert_frame_equal(shown(view), tables.confusion_cells(rough(study, target=target)))


def test_features_and_seed_change_the_values(view, study):
    everything = shown(view)["share"].tolist()
    view.features = ("concentration", "logit_dispersion")
    alone = rough(study, features=view.features)
    assert (
        shown(view)["share"].tolist()
        == tables.confusion_cells(alone)["share"].tolist()
        != everything
    )
    # Without the one feature that was moved there is nothing to tell.
    assert alone.accuracy.mean() < 0.6
    view.value = {"features": (), "seed": 3}
    assert (
        shown(view)["count"].tolist()
        == tables.confusion_cells(rough(study, seed=3))["count"].tolist()
    )


def test_within_and_part(view, study):
    view.value = {"target": "regime", "within": "cell"}
    found = rough(study, target="regime", within="cell")
    total = sum(part.counts.sum() for part in found.parts.values())
    assert shown(view)["count"].sum() == pytest.approx(total)
    assert [value for _, value in view.controls["part"].options] == ["", *found.parts]
    view.controls["part"].value = CELL
    cells = tables.confusion_cells(found)
    assert shown(view)["count"].tolist() == cells[cells["part"] == CELL]["count"].tolist()
    inside = np.flatnonzero(cell_names(study) == CELL)
    assert set(shown(view, "problems")["problem"]) <= set(inside.tolist())
    view.panel = "effects"
    assert set(shown(view)["part"]) == {CELL}
    # Pooled again, there is no such part to be in.
    view.within = ""
    assert (view.part, view.message) == ("", "") and view.controls["part"].options == (
        ("all together", ""),
    )


def test_a_population_is_chosen_and_the_headline_is_shown_first(study):
    view = TopographyExplorer(study, counts=FEW)
    assert view.population == "failed_first_1"
    assert view.controls["population"].options == (
        ("first answer failed", "failed_first_1"),
        ("failed at least once", "failed"),
        ("first five answers failed", "failed_first_5"),
    )
    for name in ("failed_first_1", "failed"):
        view.population = name
        wanted = topography(study, **ROUGH["topography"], populations=[name])
        pd.testing.assert_frame_equal(shown(view), tables.confusion_cells(wanted))
        view.panel = "scores"
        pd.testing.assert_frame_equal(shown(view), tables.score_lines(wanted))
        view.panel = "confusion"
    assert len(shown(view, "problems")) == wanted.n > 100
    view.population = "half"
    assert "'half' is not failed, or failed_first_M for a whole number M" in view.message


def test_panels_of_one_part_say_which(view, study):
    view.value = {"target": "regime", "within": "cell", "panel": "fingerprints"}
    first, *rest = rough(study, target="regime", within="cell").parts
    assert set(shown(view)["part"]) == {first}
    assert f"Shown: {first}, one of {1 + len(rest)} parts." in view.words.value


def expected(study, true, predicted, **kwargs):
    """Places of the problems of a cell of the matrix, straight from the votes of the repeats."""
    (part,) = rough(study, **kwargs).parts.values()
    said = np.array(part.classes)[
        [np.bincount(votes, minlength=9).argmax() for votes in part.predicted.T]
    ]
    kept = np.array(part.classes)[part.code] == true
    return part.rows[kept & (said == predicted)].tolist()


def test_a_cell_brushes_its_problems(view, study):
    cells = view.matrix.table.frame
    row = cells.index[(cells["true"] == "sft") & (cells["predicted"] == "grpo")][0]
    view.matrix.table.chosen = int(row)
    wanted = expected(study, "sft", "grpo")
    assert (view.true, view.predicted) == ("sft", "grpo") and wanted
    assert list(view.selection.problems) == wanted == shown(view, "problems")["problem"].tolist()
    assert view.selection.problem == wanted[0] and view.table.chosen == wanted[0]
    outcome = study["correct"].isel(problem=wanted[0]).sel(intervention="none").values
    assert view.selection.rollout == (outcome == 0).argmax()
    assert view.chart.params["chosen_true"] == "sft"
    assert view.chart.params["chosen_predicted"] == "grpo"
    view.matrix.every.click()
    assert view.selection.problems == () and view.matrix.table.chosen == -1
    assert view.chart.params["chosen_true"] == ""


def test_a_click_in_the_chart_chooses_a_cell_and_a_click_beside_it_none(view, study):
    def click(*picked):
        view.chart._handle_custom_msg({"picked": list(picked)}, [])

    drawn = view.chart.chart
    click({"true": "grpo", "predicted": "sft"})
    assert (view.true, view.predicted, view.message) == ("grpo", "sft", "")
    assert list(view.selection.problems) == expected(study, "grpo", "sft")
    # The same chart: only a parameter of it changed.
    assert view.chart.chart is drawn
    click()
    assert view.true == view.predicted == "" and view.selection.problems == ()
    # The chart of another target listens too.
    view.target = "regime"
    click({"true": "resample", "predicted": "resample"})
    assert list(view.selection.problems) == expected(study, "resample", "resample", target="regime")


def test_a_row_of_the_matrix_is_a_class_whatever_it_is_taken_for(view, study):
    view.true = "sft"
    failed = ~np.isnan(study["features"].values).any(axis=1)
    assert (
        list(view.selection.problems)
        == np.flatnonzero((study["method"].values == "sft") & failed).tolist()
    )


def test_a_cell_goes_with_its_classes_and_stays_with_its_seed(view, study):
    view.value = {"true": "sft", "predicted": "grpo"}
    view.seed = 8
    assert list(view.selection.problems) == expected(study, "sft", "grpo", seed=8)
    view.target = "regime"
    assert (view.true, view.predicted, view.message) == (
        "",
        "",
        "",
    ) and view.selection.problems == ()
    view.value = {"target": "method", "true": "sft", "predicted": "sft"}
    assert list(view.selection.problems) == expected(study, "sft", "sft", seed=8)


def test_problems_brushed_elsewhere_are_listed_and_are_no_cell(view):
    view.value = {"true": "sft", "predicted": "grpo"}
    some = (*sorted(view.selection.problems)[:2], 119)
    view.selection.problems = some
    assert view.true == view.predicted == "" and view.selection.problems == some
    assert set(shown(view, "problems")["problem"]) <= set(some)
    assert view.matrix.table.chosen == -1


def test_opening_leaves_a_selection_alone(study):
    selection = Selection(problem=7, problems=(7, 8))
    view = TopographyExplorer(study, selection=selection, population="failed")
    assert selection.problems == (7, 8) and view.table.chosen == 7
    assert shown(view, "problems")["problem"].tolist() == [7, 8]


def test_linked_views_show_the_brushed_problems(study):
    selection = Selection()
    view = TopographyExplorer(study, selection=selection, population="failed")
    other = RoutingExplorer(study, selection=selection, population="failed")
    trace = TraceInspector(study, selection=selection)
    view.value = {"true": "sft", "predicted": "grpo"}
    brushed = list(selection.problems)
    assert (
        other.tables()["problems"]["problem"].tolist() == brushed == expected(study, "sft", "grpo")
    )
    assert trace.selection.problem == brushed[0] and trace.message == ""
    view.table.chosen = brushed[-1]
    assert selection.problem == brushed[-1] == other.table.chosen


def test_problem_rows(view, study):
    frame = shown(view, "problems")
    rows = frame["problem"].to_numpy()
    assert frame["true"].tolist() == study["method"].values[rows].tolist()
    assert frame["spread"].tolist() == study["features"].values[rows, 0].tolist()
    assert set(frame["agreement"]) <= {0.5, 1.0}


def test_resampling_is_the_function_itself(view, study):
    view.panel = "scores"
    view.button.click()
    exact = topography(study, **FEW["topography"], **ALONE)
    pd.testing.assert_frame_equal(shown(view), tables.score_lines(exact))
    assert "Rough" not in view.words.value and not view.button.disabled
    assert view.busy.layout.display == "none" and view.busy._bar.max == 7 == view.busy._bar.value
    view.panel = "routing"
    assert "Rough" in view.words.value
    view.resample()
    pd.testing.assert_frame_equal(
        shown(view), transfer(study, **FEW["transfer"], **ALONE).to_dataframe()
    )
    assert view.busy._bar.max == 2 == view.busy._bar.value
    view.panel = "reading"
    view.resample()
    read = reading(study, target="method", **FEW["reading"], **ALONE)
    pd.testing.assert_frame_equal(shown(view), read.to_dataframe())
    view.panel = "scores"
    pd.testing.assert_frame_equal(shown(view), tables.score_lines(exact))


def test_what_was_computed_is_kept(study, monkeypatch):
    calls = []

    def counted(ds, **kwargs):
        calls.append(kwargs["target"])
        return topography(ds, **kwargs)

    monkeypatch.setattr("recover_nb.widgets.topography.data.topography", counted)
    view = TopographyExplorer(study)
    for state in (
        {"target": "regime"},
        {"target": "method"},
        {"panel": "effects"},
        {"by": "method"},
        {"true": "sft"},
        {"target": "regime"},
    ):
        view.value = state
    assert calls == ["method", "regime"]


def test_old_results_are_forgotten(study):
    data = TopographyData(study)
    for seed in range(KEPT + 3):
        data._held[("topography", seed)] = None, False
    data.result("topography", Settings())
    assert len(data._held) == KEPT
    assert data.known("topography", Settings())


def test_state_is_read_and_replayed(view, study):
    state = {
        "population": "failed",
        "target": "regime",
        "within": "cell",
        "part": CELL,
        "features": ("spread", "concentration"),
        "panel": "confusion",
        "true": "resample",
        "predicted": "resample",
        "by": "method",
        "rollouts": "first",
        "seed": 2,
        "search": "a",
        "sort": "spread",
        "descending": True,
        "page": 0,
        "chosen_columns": ("problem", "spread"),
    }
    view.value = state
    assert view.value == state and view.message == ""
    again = TopographyExplorer(study, **state)
    assert again.value == state and again.selection.problems == view.selection.problems != ()
    for name, frame in view.tables().items():
        pd.testing.assert_frame_equal(again.tables()[name], frame)


def test_what_is_wrong_is_said(view):
    for state, words in (
        (
            {"target": "level"},
            "target must be one of method, regime, model, family, task, cell, got 'level'",
        ),
        ({"within": "method"}, "target and within are both 'method'"),
        ({"target": "task"}, "nothing to predict (all: every unit has task arithmetic)"),
        ({"features": ("depth",)}, "no feature depth; the study holds spread"),
        ({"part": "nowhere"}, "no part 'nowhere'; allowed: none, as nothing is taken apart"),
        ({"true": "dpo"}, "no class 'dpo' here; allowed: grpo, sft, or empty for any"),
        (
            {"by": "task", "panel": "routing"},
            "the study has one task, arithmetic; transfer needs two or more",
        ),
        ({"sort": "price"}, "no column 'price' to sort by; allowed: problem, true, predicted"),
    ):
        before = view.value
        view.value = state
        assert words in view.message, state
        view.value = before
        assert view.message == "", state
        assert view.charts()


@pytest.mark.parametrize(
    "state", [{"magic": 1}, {"panel": "pie"}, {"rollouts": "last"}, {"seed": -1}, {"target": 3}]
)
def test_unknown_state_is_refused(view, study, state):
    before = view.value
    with pytest.raises(InputError):
        view.value = state
    assert view.value == before
    with pytest.raises(InputError):
        TopographyExplorer(study, **state)


def test_a_profile_table_has_no_text_to_read(tmp_path):
    path = to_profiles(
        make_study(effect="tied", n_problems=40, cells=CELLS, seed=2), tmp_path / "table.csv"
    )
    view = TopographyExplorer(from_profiles(path))
    assert view.message == "" and "method" in view.data.targets
    view.panel = "reading"
    assert "the study stores no token_id (a profile table holds no traces)" in view.message
    assert view.charts() == {}
    view.value = {"panel": "confusion"}
    assert view.message == "" and view.charts()
    view.matrix.table.chosen = 0
    assert view.selection.rollout == -1 and view.selection.problem == view.selection.problems[0]


def test_a_study_without_features_is_refused(study):
    with pytest.raises(InputError, match="no variable 'features'"):
        TopographyExplorer(study.drop_vars("features"))


def test_the_study_is_not_changed(study):
    before = study.copy(deep=True)
    view = TopographyExplorer(study, panel="reading")
    view.value = {"panel": "confusion", "true": "sft"}
    assert before.identical(study)


def test_charts_and_tables_can_be_saved(view, tmp_path):
    assert "sft" in view.save(tmp_path / "confusion.svg").read_text()
    saved = pd.read_csv(view.save(tmp_path / "cells.csv", "confusion"))
    assert saved["count"].tolist() == shown(view)["count"].tolist()


def test_the_matrix_can_be_chosen_from_only_when_asked(study):
    frame = tables.confusion_cells(rough(study))
    assert "params" not in charts.plot_confusion(frame).to_dict()
    spec = charts.plot_confusion(frame, chosen=("sft", "grpo")).to_dict()
    assert [(each["name"], each.get("value")) for each in spec["params"]] == [
        ("cell", None),
        ("chosen_true", "sft"),
        ("chosen_predicted", "grpo"),
    ]
