"""What knows no signal: numbers by hand, and studies in which features know something of their own.

Features that only copy what is known without them must not be said to add anything.
"""

import numpy as np
import pytest
import xarray as xr
from units_study import units_study

from recover_nb import tables
from recover_nb.core.labels import Verdict
from recover_nb.prediction.baselines import (
    lead_of,
    mean_over_parts,
    no_signal_numbers,
    one_each,
    score_numbers,
    training_shares,
)
from recover_nb.prediction.topography import topography

FEW = {"target": "regime", "n_repeats": 3, "n_permutations": 39}


def studied(kind, n=600, seed=0):
    """A regime that depends on the level, and for `own` on a number of its own as well."""
    rng = np.random.default_rng(seed)
    level = rng.integers(1, 6, size=n)
    own = rng.normal(size=n)
    score = level - 3.0 + (2 * own if kind == "own" else 0)
    easy = rng.random(n) < 1 / (1 + np.exp(-score))
    features = rng.normal(size=(n, 3))
    features[:, 0] = level if kind == "copy" else own
    ds = units_study(features, regime=np.where(easy, "resample", "beyond_reach"))
    ds["level"] = ("problem", level)
    ds["prompt"] = ("problem", np.array(["?" * int(k) for k in rng.integers(9, 30, n)], object))
    ds["n_failed_rollouts"] = ("problem", rng.integers(1, 50, n))
    return ds


def test_features_that_copy_the_level_tell_the_label_and_add_nothing():
    found = topography(studied("copy"), **FEW)
    assert found.p_auc == 1 / 40 and found.auc.mean() > 0.7
    added = found.added()
    assert added.low < 0 < added.high and abs(added.value) < 0.01
    assert abs(found.difference("level").value) < 0.01
    assert found.verdict == Verdict.NOT_SHOWN


def test_features_that_know_something_of_their_own_add_it():
    found = topography(studied("own"), **FEW)
    added = found.added()
    assert added.value > 0.1 and added.low > 0
    assert found.verdict == Verdict.SUPPORTED
    assert (
        f"features add {added.value:+.3f} [{added.low:+.3f}, {added.high:+.3f}]" in found.sentence
    )


def test_features_without_meaning_are_no_better_than_permuted_labels():
    found = topography(studied("none"), **FEW)
    assert found.p_auc > 0.05 and found.verdict == Verdict.NOT_SHOWN


def test_without_permutations_or_baselines_nothing_can_be_said():
    ds = studied("own", n=100)
    asked = {"target": "regime", "n_repeats": 1}
    assert topography(ds, n_permutations=0, **asked).verdict == Verdict.NOT_TESTABLE
    bare = ds.drop_vars(["level", "prompt", "n_failed_rollouts"])
    found = topography(bare, n_permutations=3, **asked)
    assert found.predictors == ("features", "commonest")
    assert found.verdict == Verdict.NOT_TESTABLE
    assert found.left_out["level"] == "the study stores no level"


def test_a_number_unknown_of_one_unit_is_left_out_with_the_reason():
    ds = studied("own", n=100)
    ds["level"][4] = -1
    found = topography(ds, target="regime", n_repeats=1, n_permutations=0)
    assert found.left_out == {"level": "not known of 1 of 100 units"}
    assert "level" not in found.predictors and "no_signal" in found.predictors


def test_numbers_by_hand():
    ds = xr.Dataset(
        {
            "level": ("problem", [2, -1]),
            "prompt": ("problem", np.array(["1+1", "three"], object)),
            "correct": (
                ("problem", "rollout", "intervention"),
                np.array([[[0], [1], [0]], [[1], [1], [-1]]]),
            ),
        },
        {"intervention": ["none"]},
    )
    numbers, left_out = no_signal_numbers(ds)
    assert numbers["level"][0, 0] == 2 and np.isnan(numbers["level"][1, 0])
    assert numbers["prompt_length"].ravel().tolist() == [3, 5]
    assert numbers["failures"].ravel().tolist() == [2, 0]
    assert left_out == {}


def test_the_commonest_label_by_hand():
    """Fold 0 learns from 1, 1, 0 and says 1; fold 1 from 0, 0, 1 and says 0."""
    code, fold = np.array([0, 0, 1, 1, 1, 0]), np.array([0, 0, 0, 1, 1, 1])
    shares = training_shares(code, fold, 2)
    assert shares[0].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert shares[3].tolist() == pytest.approx([2 / 3, 1 / 3])
    auc, accuracy = score_numbers(None, code, fold[None], 2)
    assert auc.tolist() == [[0.5, 0.5]]
    assert accuracy[0].tolist() == pytest.approx([1 / 3, 1 / 3])


def test_leads_by_hand():
    """Parts of 30 and 10 units that lead by 0.1 and 0.5: (3 + 5) / 40 = 0.2 in every fold."""
    parts = [np.full((1, 2), 0.1), np.full((1, 2), 0.5)]
    assert mean_over_parts(parts, [30, 10]).tolist() == [[0.2, 0.2]]
    lead = lead_of(parts, [30, 10], [4, 7])
    assert (lead.value, lead.low, lead.high) == pytest.approx((0.2, 0.2, 0.2))
    # Residuals 30 (0.1 - 0.2) / 40 = -0.075 and 0.075; G / (G - 1) = 2: sd 0.15; t(1) = 12.7062.
    assert lead.high_checkpoints - 0.2 == pytest.approx(12.7062 * 0.15, rel=1e-4)
    assert 0.2 - lead.low_checkpoints == pytest.approx(12.7062 * 0.15, rel=1e-4)
    assert np.isnan(lead_of(parts, [30, 10], [4, -1]).low_checkpoints)
    assert np.isnan(lead_of(parts, [30, 10], [4, 4]).low_checkpoints)


def test_one_checkpoint_for_each_method_is_said():
    ds = units_study(np.zeros((4, 3)), method=["sft", "sft", "grpo", "grpo"])
    assert one_each(ds, np.array([0, 0, 1, 1]))
    assert not one_each(ds, np.array([0, 2, 1, 1]))
    rng = np.random.default_rng(0)
    method = np.tile(["sft", "grpo"], 60)
    alone = units_study(rng.normal(size=(120, 3)), method=method)
    several = alone.assign_coords(model=("problem", [f"{m}{i % 3}" for i, m in enumerate(method)]))
    words = "One checkpoint per family and method: this is about those checkpoints."
    few = {"n_repeats": 1, "n_permutations": 0}
    assert words in topography(alone, **few).sentence
    assert words not in topography(several, **few).sentence


def test_every_population_has_its_own_figures():
    ds = studied("own", n=200)
    rng = np.random.default_rng(1)
    correct = rng.integers(0, 2, size=(200, 6, 1)).astype(np.int8)
    correct[:, 4:] = [[1], [0]]
    ds["correct"] = (("problem", "rollout", "intervention"), correct)
    ds["n_failed_rollouts"] = ("problem", 6 - correct.sum(axis=(1, 2), dtype=np.int32))
    ds = ds.assign_coords(intervention=["none"])
    found = topography(ds, target="regime", n_repeats=1, n_permutations=2)
    # The fifth rollout is always right: no problem failed five times in a row.
    assert list(found.populations) == ["failed_first_1", "failed"]
    assert "failed_first_5" in found.left_out
    assert found.n == (correct[:, 0, 0] == 0).sum() and found.over("failed").n == 200
    frame = found.to_dataframe()
    assert frame["population"].tolist() == ["failed_first_1", "failed"]
    assert frame["added"].tolist() == [each.added().value for each in found.populations.values()]
    assert found.dataset["n"].values.tolist() == [[found.n], [200]]
    rows = tables.prediction_baselines(found).set_index(["population", "predictor"])
    assert (
        rows.loc[("failed", "level"), "auc_lead"] == found.over("failed").difference("level").value
    )
    assert rows.loc[("failed", "features_added"), "auc_lead"] == found.over("failed").added().value
    lines = tables.score_lines(found)
    assert lines["line"].tolist() == ["first answer failed", "failed at least once"] * 2
