"""The routing explorer by its traits, against direct calls of what it shows."""

import json

import numpy as np
import pandas as pd
import pytest
import traitlets
from tiny_study import tiny_study

from recover_nb import tables
from recover_nb.core.errors import InputError
from recover_nb.core.schema import cell_names
from recover_nb.io.profiles import from_profiles, to_profiles
from recover_nb.routing.evaluation import evaluate_inputs, evaluate_routing
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy, route
from recover_nb.routing.populations import first_failed
from recover_nb.routing.rescue import classify_regimes
from recover_nb.routing.simulate import make_study
from recover_nb.widgets import RoutingExplorer, Selection
from recover_nb.widgets.routing.data import KEPT, ROUGH, RoutingData, Settings, rough_counts
from recover_nb.widgets.routing.view import NUMBERS_ONLY, PLOTS

CELL = "qwen3|sft|arithmetic"
#: Few enough for a test; another seed of the generator than the default is not needed.
FEW = {"n_bootstrap": 40, "n_permutations": 60, "n_null": 20, "n_splits": 6}
OTHER = {
    "spread": "local_temperature",
    "concentration": "dense_steer",
    "logit_dispersion": "sparse_steer",
}


@pytest.fixture(scope="module")
def study():
    return make_study(effect="tied", n_problems=50, twin=0.3, seed=4)


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    path = tmp_path_factory.mktemp("profiles") / "table.csv"
    return from_profiles(to_profiles(make_study(effect="tied", n_problems=40, seed=2), path))


@pytest.fixture
def view(study):
    return RoutingExplorer(study, counts=FEW)


def lifts(view):
    frame = view.tables()["comparators"]
    return frame.set_index("comparator")["lift_points"]


def direct(study, estimator, **kwargs):
    """Lifts over every comparator, straight from `evaluate_routing` with the rough counts."""
    found = evaluate_routing(study, **ROUGH, **kwargs)
    return tables.comparators(found, estimator).set_index("comparator")["lift_points"]


def test_opens_on_the_published_settings(view, study):
    assert view.message == ""
    assert view.operators == dict(PUBLISHED.operators) and view.fallback == PUBLISHED.fallback
    pd.testing.assert_series_equal(lifts(view), direct(study, "published"))
    assert set(view.charts()) == {"comparators"}
    problems = view.tables()["problems"]
    rows = problems["problem"].to_numpy()
    assert problems["regime"].tolist() == study["regime"].values[rows].tolist()
    assert problems["route"].tolist() == study["route"].values[rows].tolist()


@pytest.mark.parametrize("estimator", ["published", "split", "all", "null"])
def test_estimator(view, study, estimator):
    view.estimator = estimator
    pd.testing.assert_series_equal(lifts(view), direct(study, estimator))


def test_estimators_differ_in_value_and_not_only_in_name(view):
    found = {}
    for estimator in ("published", "split", "all", "null"):
        view.estimator = estimator
        found[estimator] = lifts(view)["retry"]
    assert len({round(value, 6) for value in found.values()}) == 4
    # The winner's curse: selecting on what scores can only help.
    assert found["published"] > found["split"]


def test_thresholds_change_regimes_and_lifts(view, study):
    before = lifts(view)
    view.value = {"min_gain": 0.3, "min_failure": 0.7}
    wanted = classify_regimes(study["rescue_rate"], min_gain=0.3, min_failure=0.7).values
    problems = view.tables()["problems"]
    assert problems["regime"].tolist() == wanted[problems["problem"]].tolist()
    assert (wanted != study["regime"].values).any()
    pd.testing.assert_series_equal(
        lifts(view), direct(study, "published", min_gain=0.3, min_failure=0.7)
    )
    assert not np.allclose(lifts(view), before)
    view.panel = "regimes"
    counts = view.tables()["regimes"].groupby("regime")["count"].sum()
    hard = (wanted == "steerable_hard") & first_failed(study, 1)
    assert counts["steerable_hard"] == hard.sum()


def test_population(view, study):
    """The figures and the list are of the same problems."""
    for name, m in (("failed", 0), ("failed_first_5", 5), ("failed_first_1", 1)):
        view.population = name
        inside = np.flatnonzero(first_failed(study, m))
        assert view.tables()["problems"]["problem"].tolist() == inside.tolist()
        one = evaluate_routing(study, populations=[name], **ROUGH).to_dataframe()
        wanted = one[one["estimator"] == "published"].set_index("comparator")["lift_points"]
        pd.testing.assert_series_equal(lifts(view), wanted)
    view.population = "failed_first_99"
    assert "m=99 rollouts were not observed; allowed: at most 20" in view.message


@pytest.mark.parametrize(
    ("state", "policy"),
    [
        ({"operators": OTHER}, RoutingPolicy(OTHER)),
        ({"fallback": "dense_steer"}, RoutingPolicy(fallback="dense_steer")),
        ({"operators": {"spread": "dense_steer"}}, RoutingPolicy({"spread": "dense_steer"})),
    ],
)
def test_policy_changes_routes_and_lifts(view, study, state, policy):
    view.value = state
    wanted = route(study["features"], cell_names(study), policy).values
    problems = view.tables()["problems"]
    assert problems["route"].tolist() == wanted[problems["problem"]].tolist()
    assert (wanted != study["route"].values).any()
    assert problems["regime"].tolist() == study["regime"].values[problems["problem"]].tolist()
    pd.testing.assert_series_equal(lifts(view), direct(study, "published", policy=policy))


CHANGED = {
    "cells": (CELL,),
    "population": "failed_first_5",
    "min_gain": 0.25,
    "min_failure": 0.75,
    "level": 0.1,
    "seed": 5,
    "operators": OTHER,
    "fallback": "dense_steer",
    "estimator": "all",
    "basis": "forward_passes",
    "panel": "regimes",
    "regime": "resample",
    "route": "sparse_steer",
}


def test_every_control_sets_its_trait_and_follows_it(view):
    assert set(view.controls) == set(CHANGED)
    shown = list(descend(view))
    for name, value in CHANGED.items():
        control = view.controls[name]
        assert control in shown
        before = getattr(view, name)
        assert control.value == before, name
        control.value = value
        assert getattr(view, name) == value and view.message == "", name
        setattr(view, name, before)
        assert control.value == before, name


def test_the_button_resamples(view):
    assert not view.data.is_exact(view.settings)
    view.button.click()
    assert view.data.is_exact(view.settings) and not view.button.disabled


def test_controls_of_the_policy(view):
    control = view.controls["operators"]
    control.choices["spread"].value = "local_temperature"
    assert view.operators == {**PUBLISHED.operators, "spread": "local_temperature"}
    control.choices["concentration"].value = ""
    assert view.operators == {
        "spread": "local_temperature",
        "logit_dispersion": "local_temperature",
    }
    view.operators = OTHER
    assert {name: each.value for name, each in control.choices.items()} == OTHER
    assert view.operators == OTHER and view.message == ""


def descend(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from descend(child)


def test_cells(view, study):
    view.cells = (CELL,)
    inside = cell_names(study) == CELL
    pd.testing.assert_series_equal(lifts(view), direct(study.isel(problem=inside), "published"))
    assert set(view.tables()["problems"]["cell"]) == {CELL}
    view.panel = "routes"
    assert set(view.tables()["routes"]["cell"]) == {CELL}


def test_problems_keep_their_place_in_the_study(view, study):
    last = cell_names(study)[-1]
    view.cells = (last,)
    problems = view.tables()["problems"]
    assert problems["problem"].min() >= np.flatnonzero(cell_names(study) == last)[0]
    assert (
        problems["problem_id"].tolist() == study["problem_id"].values[problems["problem"]].tolist()
    )


def test_level_is_that_of_the_words_and_verdicts(view):
    view.estimator = "all"
    p = view.tables()["tests"]["p"].iloc[0]
    view.level = 0.2
    assert f"p = {p:.2g}, significant at 0.2" in view.words.value
    assert view.tables()["tests"]["verdict"].iloc[0] == "significant"
    view.level = 0.001
    # 200 permutations cannot give so small a p: it is not called insignificant.
    assert "not testable at 0.001" in view.words.value
    assert set(view.tables()["tests"]["verdict"]) == {"not testable"}


def test_no_effect_is_not_called_significant():
    view = RoutingExplorer(make_study(effect="none", n_problems=60, seed=1), estimator="all")
    tests = view.tables()["tests"]
    assert tests["verdict"].iloc[0] == "not significant"
    assert (
        "not significant at 0.05" in view.words.value
        and "are not shown to carry" in view.words.value
    )


def test_null_band_is_beside_the_published_figures_only(view):
    frame = view.tables()["comparators"]
    assert (frame["band_low_points"] < frame["band_high_points"]).all()
    view.estimator = "split"
    assert view.tables()["comparators"]["band_low_points"].isna().all()


def test_basis_and_budgets(view, study):
    view.panel = "budget"
    wanted = tables.budget_lines(evaluate_routing(study, **ROUGH))
    for basis in ("attempts", "forward_passes"):
        view.basis = basis
        rows = wanted[wanted["basis"] == basis].reset_index(drop=True)
        pd.testing.assert_frame_equal(view.tables()["budget"], rows)
    view.basis = "generated_tokens"
    assert "cannot be made equal in generated_tokens" in view.message
    assert "there is: attempts, forward_passes" in view.message
    assert view.charts() == {}
    view.basis = "attempts"
    assert view.message == "" and set(view.charts()) == {"budget"}


def test_seed(view, study):
    before = view.tables()["comparators"]
    view.seed = 7
    after = view.tables()["comparators"]
    assert after["low_points"].tolist() != before["low_points"].tolist()
    pd.testing.assert_series_equal(lifts(view), direct(study, "published", seed=7))


@pytest.mark.parametrize("panel", ["comparators", "estimators", "budget", "regimes", "routes"])
def test_every_panel_draws_its_frame(view, panel):
    view.panel = panel
    assert view.message == ""
    assert set(view.charts()) == {panel}
    assert len(view.tables()[panel])
    assert view.chart.chart.to_dict()["title"]


@pytest.mark.parametrize("panel", list(PLOTS))
def test_other_numbers_in_the_same_chart_are_the_chart_drawn_anew(study, panel):
    view = RoutingExplorer(study, counts=FEW, panel=panel)
    moved = []
    for state in (
        {"seed": 1},
        {"min_gain": 0.3},
        {"estimator": "split"},
        {"min_failure": 0.7},
        {"cells": (CELL,)},
    ):
        before, drawn = view.chart.chart, view._drawn
        view.value = state
        moved.append(view.chart.chart is before and view._drawn != drawn)
        wanted = PLOTS[panel](view.tables()[panel]).to_dict()
        for shown in (view.chart.spec, view.charts()[panel].to_dict()):
            assert unnamed(shown) == unnamed(wanted)
    # Another estimator is another title, and the same budgets. One cell is of one checkpoint, and
    # has no interval over checkpoints.
    numbers = [True, True, False, True, panel == "budget"]
    assert moved == (numbers if panel in NUMBERS_ONLY else [False] * 5)


def unnamed(spec):
    """Return a specification without the names of its rows, and the rows.

    A chart makes the names of the rows' content.
    """
    text = json.dumps({name: it for name, it in spec.items() if name != "datasets"}, sort_keys=True)
    for place, name in enumerate(spec["datasets"]):
        text = text.replace(name, f"rows {place}")
    return text, list(spec["datasets"].values())


def test_resampling_is_the_evaluation_itself(view, study):
    assert "Rough" in view.words.value
    view.value = {"min_gain": 0.1, "seed": 3, "estimator": "split"}
    view.resample()
    assert view.message == "" and "Resampled: 40 bootstrap" in view.words.value
    wanted = evaluate_routing(study, min_gain=0.1, seed=3, **FEW)
    for estimator in ("split", "published", "all", "null"):
        view.estimator = estimator
        pd.testing.assert_frame_equal(
            view.tables()["comparators"], tables.comparators(wanted, estimator)
        )
        assert "Resampled" in view.words.value
    assert view.busy.said == ["Resampling every estimator"] and view.busy.layout.display == "none"
    view.seed = 4
    assert "Rough" in view.words.value


def test_slow_work_is_announced(study, monkeypatch):
    monkeypatch.setattr("recover_nb.widgets.routing.view.PATIENCE", -1.0)
    view = RoutingExplorer(study)
    view.seed = 1
    assert view.busy.said and set(view.busy.said) == {"Evaluating"}


def test_filters(view):
    everything = view.tables()["problems"]
    view.regime = "steerable_hard"
    hard = everything[everything["regime"] == "steerable_hard"]
    assert view.tables()["problems"]["problem"].tolist() == hard["problem"].tolist()
    view.route = "dense_steer"
    both = hard[hard["route"] == "dense_steer"]
    assert view.tables()["problems"]["problem"].tolist() == both["problem"].tolist()
    assert 0 < len(both) < len(hard) < len(everything)
    view.value = {"regime": "", "route": ""}
    assert len(view.tables()["problems"]) == len(everything)


def test_brushed_problems_are_listed(view):
    view.selection.problems = (3, 5)
    assert set(view.tables()["problems"]["problem"]) <= {3, 5}
    view.selection.problems = ()
    assert len(view.tables()["problems"]) > 2


def test_sorting_and_paging_from_either_side(view):
    view.value = {"sort": "retry", "descending": True, "page": 1}
    frame = view.tables()["problems"].sort_values("retry", ascending=False, kind="stable")
    assert view.table.row_keys == frame["problem"].tolist()[10:20]
    view.table.set_state({"sort": "best", "descending": False, "page": 0})
    assert (view.sort, view.descending, view.page) == ("best", False, 0)
    view.page = 99
    assert view.page == view.table.page == view.table.pages - 1
    view.sort = "price"
    assert view.message.startswith("no column 'price' to sort by; allowed: problem, ")
    view.sort = ""
    assert view.message == ""


def test_problem_rows_say_what_rescues(view, study):
    problems = view.tables()["problems"]
    names = list(view.data.interventions)
    for row in problems.head(10).to_dict("records"):
        rates = study["rescue_rate"].isel(problem=row["problem"]).sel(intervention=names).values
        assert row["best"] == rates.max()
        assert row["best_operator"] == (names[rates.argmax()] if row["best"] else "")
        assert row["tied"] == ((rates == rates.max()).sum() if row["best"] else 0)
        assert row["routed"] == rates[names.index(row["route"])]
        assert row["spread"] == float(
            study["features"].isel(problem=row["problem"]).sel(feature="spread")
        )


def test_choosing_a_row_moves_the_selection_to_its_first_failed_rollout(study):
    selection = Selection(rollout=3, token=2, intervention="retry")
    view = RoutingExplorer(study, selection=selection)
    problem = view.table.row_keys[2]
    view.table.chosen = problem
    wrong = study["correct"].isel(problem=problem).sel(intervention="none").values == 0
    assert selection.value == {
        "problem": problem,
        "rollout": int(wrong.argmax()),
        "intervention": "none",
        "token": -1,
        "problems": (),
    }


def test_the_table_follows_the_selection(view):
    problem = int(view.tables()["problems"]["problem"].iloc[-1])
    view.selection.problem = problem
    assert view.table.chosen == problem and problem in view.table.row_keys
    assert view.page == view.table.page == view.table.pages - 1
    view.selection.problem = -1
    assert view.table.chosen == -1


def test_a_selection_made_before_is_shown(study):
    view = RoutingExplorer(study, selection=Selection(problem=7))
    assert view.table.chosen == 7


def test_state_is_read_and_replayed(view, study):
    state = {
        "cells": (CELL,),
        "population": "failed",
        "min_gain": 0.1,
        "min_failure": 0.6,
        "operators": OTHER,
        "fallback": "dense_steer",
        "estimator": "all",
        "level": 0.01,
        "basis": "forward_passes",
        "seed": 2,
        "panel": "budget",
        "regime": "resample",
        "route": "",
        "sort": "spread",
        "descending": True,
        "page": 0,
        "search": "helps",
        "chosen_columns": ("problem", "route"),
    }
    view.value = state
    assert view.value == state
    again = RoutingExplorer(study, **state)
    assert again.value == state
    for name, frame in view.tables().items():
        pd.testing.assert_frame_equal(again.tables()[name], frame)


def test_what_is_wrong_is_said(view):
    for state, words in (
        ({"cells": ("nowhere",)}, f"unknown cell 'nowhere'; allowed: {CELL}"),
        ({"fallback": "retry"}, "the policy routes to retry"),
        ({"operators": {"spread": "magic"}}, "the policy routes to magic"),
        ({"operators": {"mood": "dense_steer"}}, "no feature mood"),
        ({"operators": {}}, "operators must be a dict of at least one feature"),
        ({"route": "retry"}, "no route 'retry'; allowed: sparse_steer"),
    ):
        before = view.value
        view.value = state
        assert words in view.message, state
        view.value = before
        assert view.message == "", state
        assert view.charts()


@pytest.mark.parametrize(
    "state",
    [
        {"magic": 1},
        {"estimator": "mine"},
        {"min_gain": 2.0},
        {"panel": "pie"},
        {"level": "x"},
        {"cells": (["x"],)},
        {"operators": {"spread": 3}},
    ],
)
def test_unknown_state_is_refused(view, study, state):
    before = view.value
    with pytest.raises(InputError):
        view.value = state
    assert view.value == before
    with pytest.raises(InputError):
        RoutingExplorer(study, **state)


def test_nothing_steerable():
    view = RoutingExplorer(make_study(n_problems=12, difficulty=(5.0, 5.0)), min_gain=1.0)
    assert view.message == ""
    assert "No problem is steerable_hard" in view.headline.value
    view.panel = "routes"
    assert view.message == ""


def test_a_profile_table_works_without_attempts(profiles):
    view = RoutingExplorer(profiles)
    assert view.message == ""
    said = " ".join(each.value for each in descend(view) if type(each).__name__ == "HTML")
    assert "no split estimator" in said and "published, null, all" in said
    pd.testing.assert_series_equal(lifts(view), direct(profiles, "published"))
    assert view.tables()["problems"]["route"].tolist() == profiles["route"].values.tolist()
    view.estimator = "split"
    assert (
        "'split' needs the outcome of each attempt" in view.message
        and "there is: published, null" in view.message
    )
    assert len(view.tables()["problems"]) == profiles.sizes["problem"] and view.charts() == {}
    view.value = {"estimator": "all", "panel": "budget"}
    assert view.message == "" and len(view.tables()["budget"])
    view.basis = "forward_passes"
    assert "there is: attempts" in view.message
    view.table.chosen = view.table.row_keys[0]
    assert (view.selection.problem, view.selection.rollout) == (view.table.row_keys[0], -1)


def test_a_profile_table_keeps_its_population(profiles):
    view = RoutingExplorer(profiles, min_gain=0.2)
    regime = classify_regimes(profiles["rescue_rate"], min_gain=0.2, tolerance=0.0)
    wanted = route(
        profiles["features"], cell_names(profiles), population=(regime == "steerable_hard").values
    )
    assert view.tables()["problems"]["route"].tolist() == wanted.values.tolist()


def test_a_study_with_problems_that_never_failed():
    ds = tiny_study(n=8)
    view = RoutingExplorer(ds, counts=FEW)
    assert view.message == ""
    assert 0 not in view.tables()["problems"]["problem"].tolist()
    assert view.table.chosen == -1


def test_the_study_is_not_changed(study):
    before = study.copy(deep=True)
    view = RoutingExplorer(study, min_gain=0.3, operators=OTHER)
    view.cells = (CELL,)
    assert before.identical(study)


def test_a_table_can_be_saved(view, tmp_path):
    path = view.save(tmp_path / "problems.csv", "problems")
    assert pd.read_csv(path)["problem"].tolist() == view.tables()["problems"]["problem"].tolist()


def test_parts_are_computed_once(study, monkeypatch):
    calls = []

    def counted(inputs, parts, **kwargs):
        calls.append(set(parts))
        return evaluate_inputs(inputs, parts, **kwargs)

    monkeypatch.setattr("recover_nb.widgets.routing.data.evaluate_inputs", counted)
    data = RoutingData(study)
    settings = Settings()
    data.evaluation(settings, {"published", "null"})
    data.evaluation(settings, {"published"})
    found = data.evaluation(settings, {"split", "budgets"})
    assert calls == [{"published", "null"}, {"split", "budgets"}]
    assert found.estimators == ("published", "null", "split")
    assert len(tables.budgets(found)) and not data.is_exact(settings)
    # A figure does not depend on what was computed with it.
    whole = evaluate_routing(study, **ROUGH)
    pd.testing.assert_frame_equal(
        tables.comparators(found, "split"), tables.comparators(whole, "split")
    )
    pd.testing.assert_frame_equal(tables.comparators(found), tables.comparators(whole))


def test_old_settings_are_forgotten(study):
    data = RoutingData(study)
    for seed in range(KEPT + 3):
        data.evaluation(Settings(seed=seed), {"all"})
    assert len(data._held) == len(data._parts) == KEPT


def test_traits_refuse_what_they_cannot_hold(view):
    with pytest.raises(traitlets.TraitError):
        view.seed = -1


def test_missing_inputs_are_said(study):
    with pytest.raises(InputError, match="no variable 'features'"):
        RoutingExplorer(study.drop_vars("features"))
    with pytest.raises(InputError, match="neither rescue_rate"):
        RoutingExplorer(study.drop_vars(["rescue_rate", "attempts", "correct"]))
    counted = RoutingExplorer(study.drop_vars(["rescue_rate", "attempts", "regime", "route"]))
    assert counted.message == ""
    problems = counted.tables()["problems"]
    assert problems["route"].tolist() == study["route"].values[problems["problem"]].tolist()


@pytest.mark.parametrize(
    ("problems", "counts"),
    [(0, (200, 10, 4)), (10_000, (200, 10, 4)), (12_500, (160, 8, 3)), (50_000, (100, 5, 2))],
)
def test_a_large_study_draws_fewer_down_to_half(problems, counts):
    found = rough_counts(problems)
    assert found.pop("n_bootstrap") == found["n_permutations"]
    assert tuple(found.values()) == counts
