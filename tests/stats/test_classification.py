"""Predictions against theory, scikit-learn and scipy, and the frames and charts of one."""

import numpy as np
import pandas as pd
import pytest
from chart_parts import COMPUTING, parts
from scipy.stats import mannwhitneyu, multivariate_normal, norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from units_study import units_study

from recover_nb import charts, tables
from recover_nb.core.errors import InputError
from recover_nb.prediction.topography import Part, Topography, topography
from recover_nb.stats.classification import cliffs_delta, predict_out_of_fold, repeated_folds
from recover_nb.tables.topography import confusion_cells

METHODS = ("grpo", "self_distill", "sft")


def gaussians(means, counts, seed=0, questions=False):
    """Return a study whose methods are unit Gaussians about `means` (method, 3).

    With `questions` the methods share their questions; otherwise each unit has its own.
    """
    rng = np.random.default_rng(seed)
    method = np.repeat(METHODS[: len(counts)], counts)
    features = rng.normal(size=(len(method), 3)) + np.repeat(
        np.asarray(means, float), counts, axis=0
    )
    ids = np.concatenate([np.arange(n) for n in counts]) if questions else np.arange(len(method))
    return units_study(features, method=method, problem_id=[f"p{i}" for i in ids])


@pytest.mark.parametrize("distance", [1.0, 2.0])
def test_three_gaussians_at_equal_distances_reach_the_accuracy_of_bayes(distance):
    """A unit is right where its own mean is nearest: two projections that correlate by 1/2."""
    corner = distance * np.array([[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0]])
    bayes = multivariate_normal(cov=[[1, 0.5], [0.5, 1]]).cdf([distance / 2, distance / 2])
    found = topography(gaussians(corner, [1000] * 3), n_repeats=2, n_permutations=0)
    # 3,000 units: one standard error is at most 0.9 points.
    assert found.accuracy.mean() == pytest.approx(bayes, abs=0.025)
    assert found.majority == pytest.approx(1 / 3)


@pytest.mark.parametrize(("first", "distance"), [(0.75, 1.5), (0.9, 1.0)])
def test_two_gaussians_of_unequal_counts_reach_the_accuracy_of_bayes(first, distance):
    """The border lies where the odds of the densities undo the odds of the counts."""
    border = distance / 2 + np.log(first / (1 - first)) / distance
    bayes = first * norm.cdf(border) + (1 - first) * norm.sf(border - distance)
    counts = [round(3000 * first), round(3000 * (1 - first))]
    found = topography(
        gaussians([[0, 0, 0], [distance, 0, 0]], counts), n_repeats=2, n_permutations=0
    )
    assert found.majority == pytest.approx(first)
    assert found.accuracy.mean() == pytest.approx(bayes, abs=0.015)
    # Whatever the counts, the AUC is that of the two Gaussians.
    assert found.auc.mean() == pytest.approx(norm.cdf(distance / np.sqrt(2)), abs=0.035)


@pytest.mark.parametrize("counts", [(300, 300, 300), (600, 200, 100)])
def test_shuffled_labels_of_three_methods_give_the_majority_rate(counts):
    ds = gaussians(np.zeros((3, 3)), counts, seed=1)
    found = topography(ds, n_repeats=3, n_permutations=30)
    # Guesses among equal classes scatter by sqrt(2/9 / 900) = 1.6 points.
    assert found.accuracy.mean() == pytest.approx(max(counts) / 900, abs=0.05)
    assert found.null.mean() == pytest.approx(max(counts) / 900, abs=0.02)
    assert found.auc.mean() == pytest.approx(0.5, abs=0.06)
    assert found.null_auc.mean() == pytest.approx(0.5, abs=0.02)
    assert found.p > 0.05 and found.p_auc > 0.05


def test_prediction_is_scikit_learns():
    """Same folds and regression: probabilities to 1e-5, matrices and scores but for rounding."""
    means = [[0, 0, 0], [0.8, 0, 0.3], [0, -0.9, 0]]
    ds = gaussians(means, (150, 110, 90), questions=True)
    (part,) = topography(ds, n_repeats=1, n_permutations=0, seed=3).parts.values()
    group = np.array([f"t\0{each}" for each in ds["problem_id"].values])
    (fold,) = repeated_folds(part.code, group, n_splits=5, n_repeats=1, seed=3)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, tol=1e-9, max_iter=2000))
    theirs = cross_val_predict(
        model, ds["features"].values, part.code, cv=PredefinedSplit(fold), method="predict_proba"
    )
    mine, _ = predict_out_of_fold(ds["features"].values, part.code, fold, 3)
    assert mine == pytest.approx(theirs, abs=1e-5)
    said = theirs.argmax(axis=1)
    assert part.predicted[0].tolist() == said.tolist()
    assert part.confusion.tolist() == confusion_matrix(part.code, said).tolist()
    assert part.accuracy[0] == accuracy_score(part.code, said)
    by_fold = [
        roc_auc_score(
            part.code[fold == each], theirs[fold == each], multi_class="ovr", average="macro"
        )
        for each in range(5)
    ]
    assert part.auc[0] == pytest.approx(np.mean(by_fold), abs=1e-5)


def test_cliffs_delta_is_scipys_mann_whitney():
    rng = np.random.default_rng(2)
    # Whole numbers, so that there are ties.
    a, b = rng.integers(0, 9, size=37).astype(float), rng.integers(2, 12, size=52).astype(float)
    wins = mannwhitneyu(a, b).statistic
    assert cliffs_delta(a, b)[0] == pytest.approx(2 * wins / (37 * 52) - 1, abs=1e-12)


def by_hand():
    """Two parts of four and two units, two repeats."""

    def part(classes, rows, code, predicted, **kwargs):
        empty = np.zeros((len(classes), 1))
        confusion = np.zeros((len(classes), len(classes)))
        for said in predicted:
            np.add.at(confusion, (code, said), 1 / len(predicted))
        given = {
            "accuracy": (np.array(predicted) == code).mean(axis=1),
            "auc": np.array([0.5, 0.7]),
        }
        given |= {"null": np.array([0.25, 0.5, 0.75]), "null_auc": np.array([0.4, 0.5, np.nan])}
        return Part(
            classes=classes,
            counts=np.bincount(code),
            n_problems=len(rows),
            confusion=confusion,
            mean=empty,
            coefficients=empty + 0.5,
            coefficients_sd=empty + 0.2,
            quantiles=np.zeros((len(classes), 1, 5)),
            pairs=(),
            delta=np.zeros((3, 0, 1)),
            rows=np.array(rows),
            code=np.array(code),
            predicted=np.array(predicted),
            **given,
        )

    first = part(("x", "y"), [0, 2, 3, 5], [0, 0, 1, 0], [[0, 1, 1, 0], [0, 1, 0, 0]])
    second = part(("y", "z"), [1, 4], [0, 1], [[0, 0], [0, 1]])
    return Topography("method", "task", ("spread",), {"a": first, "b": second}, {}, {})


def test_units_by_hand():
    frame = tables.unit_predictions(by_hand())
    assert frame["problem"].tolist() == [0, 1, 2, 3, 4, 5]
    assert frame["part"].tolist() == ["a", "b", "a", "a", "b", "a"]
    assert frame["true"].tolist() == ["x", "y", "x", "y", "z", "x"]
    # Units 3 and 4 are taken for either class once: the first of the two is named.
    assert frame["predicted"].tolist() == ["x", "y", "y", "x", "y", "x"]
    assert frame["agreement"].tolist() == [1, 1, 1, 0.5, 0.5, 1]


def test_matrices_add_up_by_hand():
    frame = tables.confusion_total(by_hand()).set_index(["true", "predicted"])
    assert frame["count"].to_dict() == {
        ("x", "x"): 2.0,
        ("x", "y"): 1.0,
        ("x", "z"): 0.0,
        ("y", "x"): 0.5,
        ("y", "y"): 1.5,
        ("y", "z"): 0.0,
        ("z", "x"): 0.0,
        ("z", "y"): 0.5,
        ("z", "z"): 0.5,
    }
    assert (
        frame.loc[("x", "x"), "share"] == pytest.approx(2 / 3)
        and frame.loc[("x", "x"), "label"] == "67 %"
    )
    assert set(frame["part"]) == {"overall"}


def test_scores_and_baselines_by_hand():
    frame = tables.score_lines(by_hand()).set_index(["score", "part"])
    assert frame.index.tolist() == [
        (score, part) for score in ("accuracy", "auc") for part in ("a", "b", "overall")
    ]
    # Three of four units right, then two; one of two, then both; 3 x, 1 y.
    assert frame["value"]["accuracy"].tolist() == pytest.approx(
        [0.625, 0.75, (4 * 0.625 + 2 * 0.75) / 6]
    )
    assert frame["baseline"]["accuracy"].tolist() == pytest.approx([0.75, 0.5, 4 / 6])
    assert frame["baseline"]["auc"].tolist() == [0.5] * 3 and frame["value"][
        "auc"
    ].tolist() == pytest.approx([0.6] * 3)
    one = frame.loc[("accuracy", "a")]
    # Between 0.25 and 0.75, 2.5 % of the way in from either end.
    assert (one["null_low"], one["null_mean"], one["null_high"]) == pytest.approx(
        (0.2625, 0.5, 0.7375)
    )
    # One of three permutations is at least as accurate as 0.625: (1 + 1) / (3 + 1).
    assert one["p"] == 0.5 and one["permutations"] == 3
    assert frame.loc[("auc", "a"), "permutations"] == 2


def test_spans_by_hand():
    frame = tables.coefficient_spans(by_hand())
    assert frame["low"].tolist() == pytest.approx([0.3] * 4) and frame[
        "high"
    ].tolist() == pytest.approx([0.7] * 4)


def test_without_permutations_there_is_no_null():
    found = topography(gaussians(np.zeros((2, 3)), (40, 40)), n_repeats=1, n_permutations=0)
    frame = tables.score_lines(found)
    assert frame[["null_low", "null_high", "p"]].isna().all(axis=None) and frame[
        "permutations"
    ].tolist() == [0, 0]
    assert charts.plot_scores(frame).to_dict()


@pytest.fixture(scope="module")
def found():
    return topography(
        gaussians([[0, 0, 0], [2, 0, 0]], (60, 60), questions=True), n_repeats=2, n_permutations=5
    )


def test_votes_and_matrix_agree(found):
    units, cells = tables.unit_predictions(found), confusion_cells(found)
    sure = units[units["agreement"] == 1].groupby(["true", "predicted"]).size()
    counts = cells.set_index(["true", "predicted"])["count"]
    # What every repeat says is a part of the mean over repeats; all units are somewhere.
    assert (sure <= counts.loc[sure.index] + 1e-9).all()
    assert counts.sum() == pytest.approx(len(units)) == 120


def test_progress_tells_every_repeat_and_permutation():
    told = []
    ds = gaussians(np.zeros((2, 3)), (40, 40)).assign_coords(task=("problem", ["a", "b"] * 40))
    topography(ds, within="task", n_repeats=2, n_permutations=3, progress=told.append)
    assert told == ["a"] * 5 + ["b"] * 5


FRAMES = {
    "scores": (charts.plot_scores, tables.score_lines),
    "coefficients": (charts.plot_coefficients, tables.coefficient_spans),
}


@pytest.mark.parametrize("name", FRAMES)
def test_charts_compute_nothing(found, name):
    plot, arrange = FRAMES[name]
    frame = arrange(found)
    before = frame.copy()
    spec = plot(frame).to_dict()
    for key, value in parts(spec):
        assert key not in COMPUTING or value is None, (key, value)
    assert {value for key, value in parts(spec) if key == "field"} <= set(frame.columns)
    assert {len(rows) for rows in spec["datasets"].values()} == {len(frame)}
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_is_not_the_charts_own_is_refused(name):
    with pytest.raises(InputError, match="no column"):
        FRAMES[name][0](pd.DataFrame({"part": ["a"]}))
