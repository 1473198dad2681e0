import json

import pandas as pd
import pytest
from chart_parts import COMPUTING, check_shown, drawing, parts, plain
from traced_study import traced_study

from recover_nb import charts, tables
from recover_nb.core.errors import InputError
from recover_nb.core.theme import theme
from recover_nb.routing.changes import what_changed
from recover_nb.routing.evaluation import evaluate_routing


@pytest.fixture(scope="module")
def ds():
    return traced_study()


@pytest.fixture(scope="module")
def evaluation(ds):
    return evaluate_routing(ds, n_bootstrap=100, n_permutations=100, n_null=20, n_splits=10)


@pytest.fixture(scope="module")
def changes(ds):
    return what_changed(ds, by="length", n_bootstrap=50)


@pytest.fixture(scope="module")
def frames(ds, evaluation, changes):
    chosen = tables.choose_example(ds)
    rescue = tables.rescue_by_intervention(ds, total=True)
    return {
        "regimes": (charts.plot_regimes, tables.regimes_by_cell(ds)),
        "rescue": (charts.plot_rescue, rescue[rescue["cell"] == "all"]),
        "rescue by cell": (charts.plot_rescue, rescue[rescue["cell"] != "all"]),
        "estimators": (charts.plot_estimators, tables.lift_over_retry(evaluation)),
        "comparators": (charts.plot_comparators, tables.comparators(evaluation)),
        "budget": (charts.plot_budget, tables.budget_lines(evaluation)),
        "features": (charts.plot_features, tables.feature_points(ds)),
        "signals": (
            charts.plot_signals,
            tables.trace_signals(ds, chosen["problem"], chosen["rollout"]),
        ),
        "routes": (charts.plot_routes, tables.routes_by_cell(evaluation)),
        "changes": (charts.plot_what_changed, tables.changes_by_part(changes)),
    }


NAMES = (
    "regimes",
    "rescue",
    "rescue by cell",
    "estimators",
    "budget",
    "features",
    "signals",
    "routes",
    "comparators",
    "changes",
)


@pytest.mark.parametrize("name", NAMES)
def test_charts_compute_nothing(frames, name):
    plot, frame = frames[name]
    # to_dict checks the specification against Vega-Lite's schema too.
    for key, value in parts(plot(frame).to_dict()):
        assert key not in COMPUTING or value is None, (key, value)


@pytest.mark.parametrize("name", NAMES)
def test_encodings_name_columns_and_values_pass_unchanged(frames, name):
    plot, frame = frames[name]
    before = frame.copy()
    spec = plot(frame).to_dict()
    fields = {value for key, value in parts(spec) if key == "field"} - {"zero"}
    assert fields and fields <= set(frame.columns)
    # What JSON makes of the frame itself: every row drawn must be one of them, number for number.
    rows = {json.dumps(row, sort_keys=True) for row in plain(frame)}
    drawn = [row for rows in spec["datasets"].values() for row in rows if "zero" not in row]
    assert drawn
    shared = list(drawn[0])
    rows = {json.dumps(row, sort_keys=True) for row in plain(frame[shared])}
    assert {json.dumps(row, sort_keys=True) for row in drawn} <= rows
    pd.testing.assert_frame_equal(frame, before)


def test_every_row_is_drawn(frames):
    for name in (
        "regimes",
        "estimators",
        "comparators",
        "features",
        "signals",
        "routes",
        "changes",
    ):
        plot, frame = frames[name]
        most = sum(len(rows) for rows in plot(frame).to_dict()["datasets"].values())
        assert most >= len(frame), name


@pytest.mark.parametrize("name", NAMES)
def test_charts_have_tooltip_title_and_theme(frames, name):
    plot, frame = frames[name]
    spec = plot(frame).to_dict()
    assert spec["title"] and "tooltip" in dict(parts(spec))
    config = spec["config"]
    # Altair adds its own defaults to view.
    assert all(config[key] == value for key, value in theme().items() if key != "view")
    assert config["background"] == "transparent" and config["view"]["stroke"] is None
    sizes = [value for key, value in parts(spec) if key == "width"]
    assert sizes and all(isinstance(size, int) for size in sizes)


def test_colour_has_a_second_channel(frames):
    for name, channel in (
        ("estimators", "shape"),
        ("features", "shape"),
        ("budget", "strokeDash"),
        ("regimes", "text"),
        ("routes", "text"),
        ("comparators", "shape"),
    ):
        plot, frame = frames[name]
        assert channel in dict(parts(plot(frame).to_dict())), name


def test_rescue_by_cell_has_a_panel_for_each(frames):
    plot, frame = frames["rescue by cell"]
    assert dict(parts(plot(frame).to_dict()))["facet"]["field"] == "cell"


def test_signals_can_be_chosen(frames):
    plot, frame = frames["signals"]
    assert len(plot(frame, signals=["entropy"]).to_dict()["vconcat"]) == 1
    with pytest.raises(InputError, match="no signal surprisal"):
        plot(frame, signals=["surprisal"])


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_frame_is_refused(frames, name):
    plot, frame = frames[name]
    with pytest.raises(InputError, match="no column"):
        plot(frame.drop(columns=frame.columns[0]))
    with pytest.raises(InputError, match="no row"):
        plot(frame.iloc[:0])


def test_too_many_rows_are_refused(frames):
    plot, frame = frames["features"]
    with pytest.raises(InputError, match="5000"):
        plot(pd.concat([frame] * (5001 // len(frame) + 1)))


@pytest.mark.parametrize("name", ["estimators", "comparators", "budget", "routes"])
def test_a_result_is_drawn_as_its_frame(frames, evaluation, name):
    plot, frame = frames[name]
    assert drawing(plot(evaluation)) == drawing(plot(frame))
    assert drawing(plot(evaluation, width=200)) != drawing(plot(frame))


def test_an_evaluation_shows_itself(frames, evaluation):
    check_shown(evaluation, charts.plot_estimators(frames["estimators"][1]))


def test_what_changed_shows_itself_of_any_population(changes, frames):
    plot, frame = frames["changes"]
    check_shown(changes, plot(frame))
    parts_of = dict(parts(plot(frame).to_dict()))["facet"]["column"]["sort"]
    assert parts_of == list(dict.fromkeys(frame["part"]))
    failed = tables.changes_by_part(changes, population="failed")
    assert drawing(plot(changes, population="failed")) == drawing(plot(failed))
    with pytest.raises(InputError, match="no population 'none'; allowed: failed_first_1"):
        plot(changes, population="none")
