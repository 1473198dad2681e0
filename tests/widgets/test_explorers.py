"""What the three explorers share: order, controls in sight, what changed, and the detail."""

import html
import re

import ipywidgets
import pytest

from recover_nb.io.store import load_study
from recover_nb.routing.rescue import proportion_interval
from recover_nb.routing.simulate import make_study
from recover_nb.widgets import RoutingExplorer, StabilityExplorer, TopographyExplorer
from recover_nb.widgets.parts.detail import ProblemDetail
from recover_nb.widgets.parts.explorer import in_words
from recover_nb.widgets.parts.fold import Fold
from recover_nb.widgets.parts.markup import changes_html

EXPLORERS = (RoutingExplorer, StabilityExplorer, TopographyExplorer)


@pytest.fixture(scope="module")
def study():
    return make_study(effect="tied", n_problems=50, twin=0.3, seed=4)


def words(text):
    return html.unescape(re.sub("<[^>]*>", "", text))


def inside(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from inside(child)


@pytest.mark.parametrize("kind", EXPLORERS)
def test_the_picture_is_first_and_three_controls_are_in_sight(study, kind):
    view = kind(study)
    folds = [each for each in inside(view) if isinstance(each, Fold)]
    folded = {id(each) for fold in folds for each in inside(fold)}
    in_sight = [name for name, it in view.controls.items() if id(it) not in folded]
    table = {"panel", "regime", "route"}
    assert [name for name in in_sight if name not in table] == list(kind.IN_SIGHT)
    assert len(kind.IN_SIGHT) == 3
    order = list(map(id, inside(view)))
    first = view.chart if kind is not StabilityExplorer else view.scatter
    places = [order.index(id(each)) for each in (view.headline, view.controls["panel"], first)]
    places.append(order.index(id(view.controls[kind.IN_SIGHT[0]])))
    places.append(order.index(id(view.table)))
    assert places == sorted(places)
    assert [fold.head.unfolded for fold in folds] == [False] * len(folds)
    assert view._saver in list(inside(folds[-1]))


def test_what_a_control_changed_is_told(study):
    view = RoutingExplorer(study)
    assert view.effect.value == ""
    before = view.figures()
    view.min_gain = 0.3
    now = view.figures()
    assert before["lift over asking again"] != now["lift over asking again"]
    said = words(view.effect.value)
    assert said.startswith("Changed min gain 0.05 \u2192 0.3: lift over asking again ")
    assert f"{before['an operator helps']} \u2192 {now['an operator helps']}" in said
    # What changes no figure and no setting leaves it.
    view.sort = "retry"
    assert words(view.effect.value) == said
    view.level = 0.1
    assert words(view.effect.value) == "Changed level 0.05 \u2192 0.1: no figure changed."


def test_a_control_that_is_moved_on_tells_of_the_whole_way(study):
    view = RoutingExplorer(study)
    before = view.figures()["lift over asking again"]
    view.min_gain = 0.3
    # Twenty attempts know no gain between 0.30 and 0.31.
    view.min_gain = 0.301
    said = words(view.effect.value)
    assert said.startswith("Changed min gain 0.05 \u2192 0.301: lift over asking again ")
    assert before in said


def test_resampling_tells_what_it_changed(study):
    few = {"n_bootstrap": 40, "n_permutations": 60, "n_null": 20, "n_splits": 6}
    view = RoutingExplorer(study, counts=few, estimator="split")
    assert "press resample" in view.headline.value
    view.resample()
    assert "press resample" not in view.headline.value
    assert words(view.effect.value).startswith("Changed lift over asking again ")


def test_clusters_changed(study):
    view = StabilityExplorer(study, k=2)
    view.k = 4
    said = words(view.effect.value)
    sizes = [str(n) for n in view.tables()["clusters"]["problems"]]
    assert said.startswith("Changed k 2 \u2192 4: sizes of clusters ")
    assert said.endswith(f" \u2192 {', '.join(sizes)}.") and len(sizes) == 4


def test_a_prediction_changed(study):
    view = TopographyExplorer(study, panel="scores")
    view.target = "task"
    assert words(view.effect.value).startswith("Changed target method \u2192 task: ")


def test_changes_are_escaped_and_few():
    settings = ({"<b>": "1"}, {"<b>": "<i>"})
    before = {f"figure {i}": "1" for i in range(9)}
    now = {name: "2" for name in before} | {"new": "3"}
    said = changes_html(settings, (before, now))
    assert "&lt;b&gt; <s>1</s> \u2192 <b>&lt;i&gt;</b>: " in said
    assert said.count("figure ") == 5 and "new" not in said


def test_settings_in_words():
    assert in_words(True) == "yes" and in_words(0.30000000000000004) == "0.3"
    assert in_words(()) == "all" and in_words("") == "any"
    assert in_words(("a_b", "c")) == "a b, c"
    assert in_words({"spread": "dense_steer"}) == "spread to dense steer"


def test_the_detail_beside_the_table_is_of_the_chosen_row():
    ds = load_study()
    detail = ProblemDetail(ds, ["retry", "sparse_steer"])
    assert "Choose a row" in detail.value
    detail.show(1081)
    said = words(detail.value)
    assert "problem 1081" in said and "wrong: said 9, right is 6" in said
    one = ds.isel(problem=1081).sel(intervention="sparse_steer")
    n_right, n = int((one["correct"] == 1).sum()), int((one["correct"] >= 0).sum())
    assert n == 20 and f"one token steered (sparse_steer){n_right} of 20 right" in said
    low, high = proportion_interval(n_right, n)
    assert f"left:{low:.1%};width:{high - low:.1%}" in detail.value
    detail.show(ds.sizes["problem"])
    assert "Choose a row" in detail.value


@pytest.mark.parametrize("kind", [RoutingExplorer, TopographyExplorer])
def test_choosing_a_row_fills_the_detail(study, kind):
    view = kind(study)
    problem = int(view.tables()["problems"]["problem"].iloc[0])
    view.table.chosen = problem
    assert f"problem {problem}" in words(view.detail.value)
    assert isinstance(view.detail, ipywidgets.HTML)
