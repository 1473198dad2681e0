"""Prediction of methods and regimes: against closed forms, scikit-learn and cases by hand."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from chart_parts import COMPUTING, check_shown, parts
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from units_study import THREE, units_study

import recover_nb as rnb
from recover_nb import charts, tables
from recover_nb.core.errors import InputError
from recover_nb.prediction.targets import select_units, split_units
from recover_nb.prediction.topography import topography
from recover_nb.stats.classification import (
    cliffs_delta,
    fit_softmax,
    fold_interval,
    fold_scores,
    grouped_folds,
    macro_auc,
    permute_labels,
    predict_out_of_fold,
    repeated_folds,
)

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "reference" / "published_profiles.csv"
FEW = {"n_repeats": 2, "n_permutations": 10}
#: Of a study that is nothing but features and labels.
NOTHING_KNOWN = {
    "level": "the study stores no level",
    "prompt_length": "the study stores no prompt",
    "failures": "the study does not say how many rollouts failed",
}


def two_methods(distance, n=1500, seed=0):
    """Every problem under two methods, whose spread is `distance` sd apart."""
    rng = np.random.default_rng(seed)
    method = np.tile(["sft", "grpo"], n)
    features = rng.normal(size=(2 * n, 3))
    features[method == "grpo", 0] += distance
    return units_study(
        features, method=method, problem_id=np.repeat([f"p{i}" for i in range(n)], 2)
    )


@pytest.mark.parametrize("distance", [1.0, 2.0])
def test_gaussians_apart_give_the_accuracy_and_auc_of_theory(distance):
    found = topography(two_methods(distance), **FEW)
    # 3000 units: a standard error of 0.8 points at most.
    assert found.accuracy.mean() == pytest.approx(norm.cdf(distance / 2), abs=0.025)
    assert found.auc.mean() == pytest.approx(norm.cdf(distance / np.sqrt(2)), abs=0.025)
    assert found.majority == 0.5
    assert found.p == found.p_auc == 1 / 11
    # Cliff's delta of two Gaussians is 2 Phi(d / sqrt 2) - 1; classes are in the order of their
    # names.
    assert found.parts["all"].pairs == (("grpo", "sft"),)
    delta, low, high = found.parts["all"].delta[:, 0]
    assert delta[0] == pytest.approx(2 * norm.cdf(distance / np.sqrt(2)) - 1, abs=0.05)
    assert low[0] < delta[0] < high[0] and low[0] > 0
    assert low[1] < 0 < high[1] or abs(delta[1]) < 0.06


def test_labels_without_meaning_give_the_majority_rate():
    rng = np.random.default_rng(1)
    method = rng.permutation(np.repeat(["sft", "grpo"], [700, 300]))
    found = topography(
        units_study(rng.normal(size=(1000, 3)), method=method), n_permutations=19, n_repeats=3
    )
    assert found.majority == 0.7
    assert found.accuracy.mean() == pytest.approx(0.7, abs=0.01)
    assert found.null.mean() == pytest.approx(0.7, abs=0.01)
    assert found.auc.mean() == pytest.approx(0.5, abs=0.06)
    assert found.p > 0.05 and found.p_auc > 0.05


def leaking(seed=0, n_problems=40, each=10):
    """Features name the problem and nothing else; a problem's units have one regime."""
    rng = np.random.default_rng(seed)
    problem = np.repeat(np.arange(n_problems), each)
    regime = rng.permutation(np.repeat(["resample", "beyond_reach"], n_problems // 2))[problem]
    names = [f"is_{i}" for i in range(n_problems)]
    labels = {"problem_id": [f"p{i}" for i in problem], "family": families(n_problems, each)}
    return (
        units_study(np.eye(n_problems)[problem], names=names, regime=regime, **labels),
        names,
    )


def families(n_problems, each):
    """Name the family of every unit, of `each` that have the same problem."""
    return [f"f{i}" for i in range(each)] * n_problems


def test_a_feature_that_names_the_problem_is_caught_by_grouped_folds():
    ds, names = leaking()
    grouped = topography(ds, target="regime", features=names, **FEW)
    assert grouped.accuracy.mean() < 0.6
    # The same units with a problem each: folds part what belongs together, and the leak looks like
    # skill.
    apart = ds.assign_coords(problem_id=("problem", [f"p{i}" for i in range(ds.sizes["problem"])]))
    assert topography(apart, target="regime", features=names, **FEW).accuracy.mean() == 1.0


def test_within_a_cell_differences_between_cells_count_for_nothing():
    """Features and regimes differ between cells; within a cell there is nothing to tell."""
    rng = np.random.default_rng(2)
    n = 600
    task = np.repeat(["arithmetic", "program"], n // 2)
    first = rng.random(n) < np.where(task == "program", 0.8, 0.2)
    features = rng.normal(size=(n, 3)) + 4 * (task == "program")[:, None]
    ds = units_study(features, task=task, regime=np.where(first, "resample", "beyond_reach"))
    pooled = topography(ds, target="regime", **FEW)
    assert pooled.accuracy.mean() == pytest.approx(0.8, abs=0.04)
    assert pooled.majority < 0.55
    inside = topography(ds, target="regime", within="cell", **FEW)
    assert set(inside.parts) == {"qwen3|sft|arithmetic", "qwen3|sft|program"}
    assert inside.accuracy.mean() == pytest.approx(inside.majority, abs=0.02)
    assert inside.majority == pytest.approx(
        np.mean([part.majority for part in inside.parts.values()])
    )
    assert "within each cell (2)" in inside.sentence
    assert inside.auc.mean() == pytest.approx(0.5, abs=0.06)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.integers(6, 40), st.integers(0, 10**6))
def test_folds_never_part_a_group(n_splits, n_groups, seed):
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(n_groups), rng.integers(n_groups, size=2 * n_groups)])
    code = rng.integers(3, size=len(groups))
    fold = grouped_folds(code, groups, n_splits, rng)
    assert set(fold) == set(range(n_splits))
    for group in range(n_groups):
        assert len(set(fold[groups == group])) == 1
    sizes = [len(set(groups[fold == each])) for each in range(n_splits)]
    assert max(sizes) - min(sizes) <= 1


def test_the_rarest_class_is_in_every_fold():
    code = np.array([0] * 60 + [1] * 35 + [2] * 5)
    for seed in range(20):
        fold = grouped_folds(code, np.arange(100), 5, np.random.default_rng(seed))
        counts = np.array([np.bincount(code[fold == each], minlength=3) for each in range(5)])
        assert (counts == [12, 7, 1]).all()


def test_folds_are_a_function_of_the_seed_and_differ_between_repeats():
    code, groups = np.arange(60) % 3, np.arange(60) // 2
    settings = {"n_splits": 5, "n_repeats": 3, "seed": 4}
    one, two = (list(repeated_folds(code, groups, **settings)) for _ in range(2))
    assert np.array_equal(one, two)
    assert all((a != b).any() for a, b in pairwise(one))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_permuted_labels_keep_the_label_sets_of_groups(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(12, size=40)
    code = rng.integers(3, size=40)
    permuted = permute_labels(code, groups, rng)

    def sets(labels):
        return sorted(
            (int((groups == g).sum()), *sorted(labels[groups == g].tolist()))
            for g in np.unique(groups)
        )

    assert sets(permuted) == sets(code)


def test_permuting_moves_labels_within_and_between_groups():
    groups, code = np.repeat([0, 1], 2), np.array([0, 1, 2, 3])
    seen = {
        tuple(permute_labels(code, groups, np.random.default_rng(seed)).tolist())
        for seed in range(200)
    }
    pairs = [(0, 1), (1, 0)], [(2, 3), (3, 2)]
    assert seen == {a + b for a in pairs[0] for b in pairs[1]} | {
        b + a for a in pairs[0] for b in pairs[1]
    }


def test_units_of_a_problem_that_share_label_and_features_widen_the_null():
    """Ten units a problem are not ten observations: a null that forgot it would be too narrow."""
    rng = np.random.default_rng(3)
    problem = np.repeat(np.arange(40), 10)
    features = rng.normal(size=(40, 3))[problem]
    regime = rng.permutation(np.repeat(["resample", "beyond_reach"], 20))[problem]
    many = {"target": "regime", "n_repeats": 1, "n_permutations": 60}
    labels = {"problem_id": [f"p{i}" for i in problem], "family": families(40, 10)}
    ds = units_study(features, regime=regime, **labels)
    forgetful = ds.assign_coords(problem_id=("problem", [f"p{i}" for i in range(400)]))
    assert topography(ds, **many).null.std() > 2 * topography(forgetful, **many).null.std()


@pytest.mark.parametrize(("n_classes", "c"), [(2, 2.0), (3, 1.0), (5, 1.0)])
def test_softmax_agrees_with_scikit_learn(n_classes, c):
    rng = np.random.default_rng(n_classes)
    code = rng.integers(n_classes, size=300)
    x = rng.normal(size=(300, 3)) + code[:, None] * [1.0, 0.3, 0.0]
    fold = np.arange(300) % 4
    probability, coefficients = predict_out_of_fold(x, code, fold, n_classes)
    for each in range(4):
        train = fold != each
        z = (x - x[train].mean(0)) / x[train].std(0)
        model = LogisticRegression(C=c, tol=1e-10, max_iter=5000).fit(z[train], code[train])
        assert probability[~train] == pytest.approx(model.predict_proba(z[~train]), abs=1e-5)
        if n_classes > 2:
            assert coefficients[each] == pytest.approx(model.coef_, abs=1e-4)
    assert coefficients.sum(axis=1) == pytest.approx(np.zeros((4, 3)), abs=1e-9)


def test_softmax_survives_separable_classes_an_absent_class_and_a_constant_feature():
    code = np.repeat([0, 1], 20)
    x = np.stack([code * 100.0, np.ones(40)], axis=1)[None]
    found = fit_softmax(x, code, np.ones((1, 40), bool), 3)
    assert np.isfinite(found).all()
    probability, _ = predict_out_of_fold(x[0], code, np.arange(40) % 4, 3)
    assert (probability.argmax(1) == code).all()
    assert probability[:, 2].max() < 0.01


def test_auc_by_hand_and_against_scikit_learn():
    # Class 1 scores 0.8 and 0.4, class 0 scores 0.4 and 0.1: 3 pairs in order and one tie of 4.
    score = np.array([0.8, 0.4, 0.4, 0.1])
    assert macro_auc(np.array([1, 1, 0, 0]), np.stack([1 - score, score], axis=1)) == 3.5 / 4
    assert np.isnan(macro_auc(np.zeros(3, int), np.full((3, 2), 0.5)))
    rng = np.random.default_rng(0)
    code, probability = rng.integers(3, size=90), rng.dirichlet(np.ones(3), size=90)
    assert macro_auc(code, probability) == pytest.approx(
        roc_auc_score(code, probability, multi_class="ovr")
    )


def test_auc_is_taken_within_folds():
    """Two folds, each ranked rightly; pooled, the first fold's scores lie above the second's."""
    code, fold = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    score = np.array([0.8, 0.9, 0.1, 0.2])
    accuracy, auc = fold_scores(code, np.stack([1 - score, score], axis=1), fold)
    assert auc.tolist() == [1.0, 1.0]
    assert accuracy.tolist() == [0.5, 0.5]


def test_cliffs_delta_by_hand():
    # Of the six pairs, 3 > 1, 3 > 2, 2 > 1 count for, nothing against, and 2 = 2, 3 = 3, 2 < 3: 3 -
    # 1 of 6.
    assert cliffs_delta(np.array([2.0, 3.0]), np.array([1.0, 2.0, 3.0])).tolist() == [2 / 6]
    assert cliffs_delta(np.array([1.0, 2.0]), np.array([3.0])).tolist() == [-1.0]
    assert cliffs_delta(np.array([5.0]), np.array([5.0])).tolist() == [0.0]
    assert np.isnan(cliffs_delta(np.empty(0), np.array([1.0]))).all()
    a, b = np.array([1.0, 4.0]), np.array([2.0, 3.0, 5.0])
    weights = np.array([[2.0, 1.0]]), np.array([[0.0, 3.0, 1.0]])
    repeated = cliffs_delta(np.array([1.0, 1.0, 4.0]), np.array([3.0, 3.0, 3.0, 5.0]))
    assert cliffs_delta(a, b, weights) == pytest.approx(repeated)


def test_fold_interval_by_hand():
    """Differences 0.1 and 0.3: mean 0.2, variance 0.02, and (1/2 + 1/4) 0.02 = 0.015.

    The quantile of t(1) at 97.5 % is 12.7062.
    """
    mean, low, high = fold_interval(np.array([[0.1, 0.3]]), 5)
    assert mean == pytest.approx(0.2)
    assert (high - low) / 2 == pytest.approx(12.7062 * np.sqrt(0.015), rel=1e-4)
    assert np.isnan(fold_interval(np.array([[0.1, np.nan]]), 5)[1:]).all()
    assert np.isnan(fold_interval(np.full((1, 2), np.nan), 5)).all()


def test_parts_and_classes_that_cannot_be_predicted_are_named():
    rng = np.random.default_rng(0)
    task = np.repeat(["a", "b", "c"], 30)
    regime = np.array(
        (["resample"] * 15 + ["beyond_reach"] * 12 + ["steerable_hard"] * 3)
        + ["resample"] * 30
        + ["resample"] * 27
        + ["beyond_reach"] * 3
    )
    ds = units_study(rng.normal(size=(90, 3)), task=task, regime=regime)
    found = topography(ds, target="regime", within="task", **FEW)
    assert list(found.parts) == ["a"]
    assert found.parts["a"].classes == ("beyond_reach", "resample")
    assert found.n == 27
    assert found.left_out == NOTHING_KNOWN | {
        "a: steerable_hard": "too few problems (3) for 5 folds",
        "c: beyond_reach": "too few problems (3) for 5 folds",
        "b": "every unit has regime resample",
        "c": "1 regime with enough problems for 5 folds",
    }


def test_units_that_did_not_fail_are_left_out():
    features = np.random.default_rng(0).normal(size=(20, 3))
    features[3, 1] = np.nan
    regime = np.array(["resample", "beyond_reach"] * 10, dtype=object)
    regime[5] = ""
    units = select_units(units_study(features, regime=regime), target="regime")
    assert units.rows.tolist() == [i for i in range(20) if i not in (3, 5)]
    parts, left_out = split_units(units, "regime", 5)
    assert list(parts) == ["all"] and not left_out


def test_one_problem_under_two_tasks_is_two_problems():
    ds = units_study(np.zeros((4, 3)), task=["a", "a", "b", "b"], problem_id=["1", "2", "1", "2"])
    assert len(set(select_units(ds, target="task").group)) == 4


def test_model_is_family_and_method_where_the_study_has_no_such_coordinate():
    ds = units_study(np.zeros((2, 3)), family=["qwen3", "neox"], method=["sft", "grpo"])
    assert select_units(ds, target="model").label.tolist() == ["qwen3-sft", "neox-grpo"]
    named = ds.assign_coords(model=("problem", ["x", "y"]))
    assert select_units(named, target="model").label.tolist() == ["x", "y"]
    # A dimension of that name says nothing about problems.
    dimension = ds.assign_coords(model=("model", ["specialist", "ancestor"]))
    assert select_units(dimension, target="model").label.tolist() == ["qwen3-sft", "neox-grpo"]


@pytest.fixture(scope="module")
def found():
    return topography(two_methods(1.0, n=120), **FEW)


def test_figures_hang_together(found):
    part = found.parts["all"]
    assert part.counts.tolist() == [120, 120] and part.n_problems == 120
    assert part.confusion.sum(axis=1) == pytest.approx(part.counts)
    assert np.trace(part.confusion) / part.n == pytest.approx(found.accuracy.mean())
    assert part.coefficients.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)
    assert part.coefficients[0, 0] > abs(part.coefficients[0, 1:]).max()
    assert (np.diff(part.quantiles, axis=-1) >= 0).all()
    assert part.quantiles.shape == (2, 3, 5)


def test_the_seed_decides(found):
    again = topography(two_methods(1.0, n=120), **FEW)
    assert again.to_dict() == found.to_dict()
    other = topography(two_methods(1.0, n=120), seed=1, **FEW)
    assert (other.null != found.null).any()


def test_input_is_not_changed():
    ds = two_methods(1.0, n=20)
    before = ds.copy(deep=True)
    topography(ds, **FEW)
    xr.testing.assert_identical(ds, before)


def test_plain_data(found):
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["parts"]["all"]["classes"] == ["grpo", "sft"]
    assert data["sentence"] == found.sentence
    assert topography(two_methods(1.0, n=20), n_repeats=1, n_permutations=0).to_dict()["p"] is None


def test_sentence_without_permutations_or_repeats():
    text = topography(two_methods(1.0, n=20), n_repeats=1, n_permutations=0).sentence
    assert "permut" not in text and "+-" not in text and "nan" not in text


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"target": "level"},
            "target must be one of method, regime, model, family, task, cell, got 'level'",
        ),
        (
            {"within": "regime"},
            "within is 'regime' (unknown); allowed here: cell, family, method, task, model",
        ),
        ({"target": "method", "within": "method"}, "target and within are both 'method'"),
        ({"target": "family"}, "nothing to predict (all: every unit has family qwen3)"),
        (
            {"features": ["spread", "depth"]},
            "no feature depth; the study holds spread, concentration",
        ),
        ({"features": "depth"}, "no feature depth; the study holds spread, concentration"),
        ({"features": []}, "features must be a list of names, or None, got []; give at least one"),
        ({"n_splits": 1}, "n_splits"),
        ({"n_repeats": 0}, "n_repeats"),
        ({"n_permutations": -1}, "n_permutations"),
        ({"seed": 0.5}, "seed"),
        ({"n_splits": 50}, "nothing to predict (all: 0 method with enough problems for 50 folds)"),
    ],
)
def test_bad_input_is_one_clear_sentence(kwargs, message):
    with pytest.raises(InputError) as caught:
        topography(two_methods(1.0, n=20), **kwargs)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ds: ds.drop_vars("regime"), "(this study does not hold it); allowed here: method"),
        (lambda ds: ds.drop_vars("problem_id"), "no coordinate 'problem_id'"),
        (lambda ds: ds.drop_vars("features"), "no variable 'features'"),
        (
            lambda ds: ds.assign(features=ds["features"] * np.nan),
            "no unit with features and a regime is left",
        ),
        (
            lambda ds: ds.assign(features=ds["features"] / 0),
            "'features' is inf at problem 0, feature 0; allowed: a finite number",
        ),
    ],
)
def test_bad_studies_are_named(change, message):
    with pytest.raises(InputError) as caught, np.errstate(divide="ignore"):
        topography(change(two_methods(1.0, n=20)), target="regime")
    assert message in str(caught.value)


def test_more_folds_than_problems():
    with pytest.raises(InputError, match="3 different problems for 5 folds"):
        grouped_folds(np.array([0, 1, 0]), np.arange(3), 5, np.random.default_rng(0))


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the authors' table is not here")
def test_authors_rows_fingerprint_the_method_and_not_the_regime():
    """docs/method.md#10-failure-topography, on the half of the table at hand."""
    ds = rnb.from_profiles(PUBLISHED)
    method = topography(ds, **FEW)
    assert method.accuracy.mean() > 0.99 and method.majority == pytest.approx(524 / 721)
    model = topography(ds, target="model", **FEW)
    assert model.accuracy.mean() > 0.8 and model.majority == pytest.approx(197 / 721)
    regime = topography(ds, target="regime", within="cell", **FEW)
    assert regime.accuracy.mean() == pytest.approx(regime.majority, abs=0.03)


FRAMES = {
    "confusion": (charts.plot_confusion, tables.confusion_cells),
    "quantiles": (charts.plot_feature_quantiles, tables.feature_quantiles),
    "effects": (charts.plot_effects, tables.effect_sizes),
}


@pytest.fixture(scope="module")
def by_task():
    ds = two_methods(1.0, n=60)
    ds = ds.assign_coords(task=("problem", np.repeat(["a", "b"], 60).astype(object)))
    return topography(ds, within="task", **FEW)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("several", [False, True])
def test_charts_compute_nothing(found, by_task, name, several):
    plot, arrange = FRAMES[name]
    frame = arrange(by_task if several else found)
    before = frame.copy()
    spec = plot(frame).to_dict()
    for key, value in parts(spec):
        assert key not in COMPUTING or value is None, (key, value)
    assert {value for key, value in parts(spec) if key == "field"} <= set(frame.columns)
    drawn = {len(rows) for rows in spec["datasets"].values()}
    assert sum(len(rows) for rows in spec["datasets"].values()) >= len(frame), drawn
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_is_not_the_charts_own_is_refused(name):
    with pytest.raises(InputError, match="no column"):
        FRAMES[name][0](pd.DataFrame({"part": ["a"]}))


def test_tables_hold_the_figures(found, by_task):
    one = found.to_dataframe()
    assert one["part"].tolist() == ["all"]
    assert one.loc[0, "accuracy"] == found.accuracy.mean()
    assert one.loc[0, "accuracy_sd"] == pytest.approx(np.std(found.accuracy, ddof=1))
    several = by_task.to_dataframe()
    assert several["part"].tolist() == ["a", "b", "overall"]
    assert several.loc[2, "units"] == 120
    assert several.loc[2, "accuracy"] == pytest.approx(several.loc[:1, "accuracy"].mean())
    cells = tables.confusion_cells(found)
    assert cells.groupby("true")["share"].sum().tolist() == pytest.approx([1, 1])
    effects = tables.effect_sizes(found)
    assert effects["feature"].tolist() == list(THREE)
    assert effects.loc[0, "pair"] == "grpo against sft"
    assert len(tables.coefficients(found)) == 6
    quantiles = tables.feature_quantiles(found)
    assert list(quantiles.columns[5:]) == ["q05", "q25", "q50", "q75", "q95"]


@pytest.mark.parametrize(
    "code",
    [
        (
            "from recover_nb.prediction.reading import Reading;"
            " import recover_nb.prediction.transfer, recover_nb as rnb"
        ),
        (
            "import recover_nb as rnb; rnb.reading; import recover_nb.prediction.transfer,"
            " recover_nb.tables.topography"
        ),
    ],
)
def test_functions_called_like_their_modules_stay_functions(code):
    """Importing a module sets it as its package's attribute, over the function of that name."""
    check = (
        "assert all(type(f).__name__ == 'function' for f in (rnb.topography, rnb.transfer,"
        " rnb.reading))"
    )
    light = "import sys; assert not {'torch', 'transformers'} & set(sys.modules)"
    command = [sys.executable, "-c", f"{code}\n{check}\n{light}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_result_is_drawn_as_its_frame(found, by_task):
    for each in (found, by_task):
        check_shown(each, charts.plot_scores(tables.score_lines(each)))


def test_figures_are_labelled(by_task, tmp_path):
    whole = by_task.dataset
    assert whole["accuracy"].dims == ("population", "part", "repeat")
    assert whole["population"].values.tolist() == ["failed"]
    figures = whole.isel(population=0, drop=True)
    assert figures["part"].values.tolist() == ["a", "b"]
    assert figures["class"].values.tolist() == figures["predicted"].values.tolist()
    assert figures["class"].values.tolist() == ["grpo", "sft"]
    assert figures["feature"].values.tolist() == list(THREE)
    assert figures["null"].dims == ("part", "permutation")
    assert figures["confusion"].dims == ("part", "class", "predicted")
    assert figures["coefficients"].dims == ("part", "class", "feature")
    # Sixty of a method in each half.
    assert figures["n"].values.tolist() == [60, 60]
    assert figures["counts"].sum("class").values.tolist() == [60, 60]
    for name, part in by_task.parts.items():
        one = figures.sel(part=name)
        assert one["accuracy"].values.tolist() == part.accuracy.tolist()
        assert float(one["p"]) == part.p
        right = sum(float(one["confusion"].sel({"class": x, "predicted": x})) for x in part.classes)
        assert right / 60 == pytest.approx(part.accuracy.mean())
    whole.to_netcdf(tmp_path / "found.nc")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "found.nc"), whole)


def test_a_class_that_a_part_lacks_has_no_figures():
    ds = two_methods(1.0, n=60)
    task = np.repeat(["a", "b"], 60).astype(object)
    method = ds["method"].values.copy()
    method[(task == "b") & (method == "sft")] = "self_distill"
    ds = ds.assign_coords(task=("problem", task), method=("problem", method))
    figures = topography(ds, within="task", n_repeats=1, n_permutations=0).dataset
    figures = figures.isel(population=0)
    assert figures["class"].values.tolist() == ["grpo", "sft", "self_distill"]
    known = figures["counts"].notnull()
    assert known.sel(part="a").values.tolist() == [True, True, False]
    assert known.sel(part="b").values.tolist() == [True, False, True]
    assert figures["mean"].sel(part="b", **{"class": "sft"}).isnull().all()
    assert figures["confusion"].sel(part="a", predicted="self_distill").isnull().all()
    assert figures.sizes["permutation"] == 0
