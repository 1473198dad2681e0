"""How many failed rollouts suffice: formulas by hand, planted cases, the shipped companion."""

import numpy as np
import pytest
import xarray as xr
from chart_parts import COMPUTING, parts
from traced_study import traced_study

import recover_nb as rnb
from recover_nb import tables
from recover_nb.charts.features import plot_reliability
from recover_nb.core.errors import InputError
from recover_nb.core.labels import FEATURES
from recover_nb.features.features import failed_rollout_features
from recover_nb.features.reliability import (
    foreseen_rollouts,
    needed_rollouts,
    spearman_brown,
)
from recover_nb.routing.reliability import route_reliability
from recover_nb.stats.agreement import beyond_chance, weighted_correlation


def companion(values, methods=None):
    """Return a study of rollout features (problem, observed, 3) only; methods are cells."""
    n = len(values)
    coords = {
        "family": ["qwen3"] * n,
        "method": ["sft"] * n if methods is None else list(methods),
        "task": ["program"] * n,
        "problem_id": [f"p{i}" for i in range(n)],
    }
    return xr.Dataset(
        {"rollout_features": (("problem", "observed", "feature"), np.asarray(values, np.float32))},
        {name: ("problem", np.array(each, dtype=object)) for name, each in coords.items()}
        | {"feature": list(FEATURES)},
    )


def planted(sd_problem, sd_noise, n, rollouts, offset=None, seed=0):
    """Return values (n, rollouts, 3): means of m rollouts have reliability v / (v + noise / m)."""
    rng = np.random.default_rng(seed)
    values = sd_problem * rng.normal(size=(n, 1, 3)) + sd_noise * rng.normal(size=(n, rollouts, 3))
    return values if offset is None else values + np.asarray(offset)[:, None, None]


def test_spearman_brown_by_hand():
    assert spearman_brown(0.5, 2) == pytest.approx(2 / 3)
    assert spearman_brown(2 / 3, 0.5) == pytest.approx(0.5)
    np.testing.assert_allclose(spearman_brown([0.2, 0.9, 0.0], [16, 1, 7]), [0.8, 0.9, 0.0])
    assert np.isnan(spearman_brown(-0.5, 3))


def test_rollouts_for_a_reliability_by_hand():
    assert foreseen_rollouts(0.5, 1) == pytest.approx(4)
    assert foreseen_rollouts(0.5, 3) == pytest.approx(12)
    assert foreseen_rollouts(0.8, 5) == pytest.approx(5)
    assert foreseen_rollouts(0.9, 1, target=0.5) == pytest.approx(1 / 9)
    assert foreseen_rollouts(1.0, 7) == 0
    assert np.isinf(foreseen_rollouts(0.0, 1)) and np.isinf(foreseen_rollouts(-0.3, 1))
    assert np.isnan(foreseen_rollouts(np.nan, 1))
    # What it foresees is what Spearman-Brown gives there.
    assert spearman_brown(0.3, foreseen_rollouts(0.3, 2) / 2) == pytest.approx(0.8)
    for target in (0, 1, 1.5):
        with pytest.raises(InputError, match="between 0 and 1"):
            foreseen_rollouts(0.5, 1, target=target)


def test_weighted_correlation_is_that_of_repeated_rows():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 9, 2))
    groups, times = np.repeat([0, 1, 2], 3), np.array([1, 0, 2, 1, 1, 1, 3, 1, 0])
    rows = np.repeat(np.arange(9), times)
    got = weighted_correlation(x, y, np.stack([np.ones(9), times]), np.zeros(9, int))
    for k in range(2):
        assert got[0, k] == pytest.approx(np.corrcoef(x[:, k], y[:, k])[0, 1])
        assert got[1, k] == pytest.approx(np.corrcoef(x[rows, k], y[rows, k])[0, 1])
    within = weighted_correlation(x, y, np.ones((1, 9)), groups)[0]
    centred = [
        each - np.stack([each[groups == g].mean(0) for g in range(3)])[groups] for each in (x, y)
    ]
    for k in range(2):
        assert within[k] == pytest.approx(np.corrcoef(centred[0][:, k], centred[1][:, k])[0, 1])
    assert np.isnan(
        weighted_correlation(np.ones((4, 1)), y[:4, :1], np.ones((1, 4)), np.zeros(4, int))
    ).all()


def test_planted_reliability_and_need_are_found():
    # Reliability of one rollout: 1 / (1 + 4) = 0.2, of five 5 / 9; 0.8 takes 16.
    ds = companion(planted(1, 2, 1500, 10))
    got = needed_rollouts(ds, (1, 2, 5), n_splits=10, n_bootstrap=100)
    pooled = got.sel(scope="pooled")
    for size, true in ((1, 1 / 5), (2, 2 / 6), (5, 5 / 9)):
        one = pooled.sel(size=size)
        np.testing.assert_allclose(one["reliability"], true, atol=0.04)
        np.testing.assert_allclose(one["foreseen"], true, atol=0.05)
        assert (one["low"] < true).all() and (true < one["high"]).all()
        assert (one["needed_low"] < 16).all() and (one["needed_high"] > 16).all()
    np.testing.assert_allclose(pooled["needed"].sel(size=5), 16, rtol=0.15)
    # One cell: nothing to take away.
    np.testing.assert_allclose(
        got["reliability"].sel(scope="within"), pooled["reliability"], atol=1e-9
    )


def test_cells_that_differ_inflate_the_pooled_reliability_alone():
    methods = np.repeat(["sft", "grpo"], 400)
    ds = companion(planted(1, 2, 800, 4, offset=np.where(methods == "sft", 6, 0)), methods)
    got = needed_rollouts(ds, (1,), n_splits=10, n_bootstrap=50)["reliability"].sel(size=1)
    # Between cells the variance is 9: (1 + 9) / (1 + 9 + 4).
    np.testing.assert_allclose(got.sel(scope="pooled"), 10 / 14, atol=0.04)
    np.testing.assert_allclose(got.sel(scope="within"), 1 / 5, atol=0.08)


def test_equal_rollouts_agree_and_a_constant_feature_says_nothing():
    values = np.repeat(np.array([[1.0, 5, 0], [2, 5, 0], [4, 5, 1]])[:, None], 4, axis=1)
    got = needed_rollouts(companion(values), (2,), n_splits=3, n_bootstrap=1)
    got = got["reliability"].sel(scope="pooled", size=2)
    np.testing.assert_allclose(got, [1, np.nan, 1])


def test_the_seed_decides():
    ds = companion(planted(1, 1, 30, 8))
    one, same, other = (
        needed_rollouts(ds, (2,), n_splits=3, n_bootstrap=3, seed=seed) for seed in (0, 0, 1)
    )
    xr.testing.assert_identical(one, same)
    assert not one.equals(other)


def test_problems_that_count():
    values = planted(1, 1, 30, 8)
    values[:10, 2:] = np.nan
    values[10:15, 5:] = np.nan
    methods = ["sft"] * 29 + ["grpo"]
    got = needed_rollouts(companion(values, methods), (1, 2, 4), n_bootstrap=5)
    assert got["n_problems"].sel(scope="pooled").values.tolist() == [30, 20, 15]
    # The problem alone in its cell says nothing about differences within cells.
    assert got["n_problems"].sel(scope="within").values.tolist() == [29, 19, 14]
    same = needed_rollouts(companion(values, methods), (1, 2, 4), least=8, n_bootstrap=5)
    assert same["n_problems"].sel(scope="pooled").values.tolist() == [15, 15, 15]
    few = needed_rollouts(companion(values[:2]), (1,), n_bootstrap=5)
    assert np.isnan(few["reliability"]).all() and np.isnan(few["needed"]).all()


def test_signals_and_kept_features_give_the_same():
    ds = traced_study()
    values, usable = failed_rollout_features(ds)
    kept = ds.drop_vars([name for name in ds.data_vars if "rollout" in ds[name].dims])
    rows = np.where(usable[..., None], values, np.nan)
    kept["rollout_features"] = (("problem", "observed", "feature"), rows)
    xr.testing.assert_identical(
        needed_rollouts(ds, (1,), n_bootstrap=10), needed_rollouts(kept, (1,), n_bootstrap=10)
    )


def test_route_is_reliable_where_features_are():
    rng = np.random.default_rng(0)
    stable = np.repeat(rng.normal(size=(60, 1, 3)), 4, axis=1)
    got = route_reliability(companion(stable, ["sft", "grpo"] * 30), (1, 2), n_bootstrap=50)
    assert (
        (got["agreement"] == 1).all() and (got["kappa"] == 1).all() and (got["chance"] < 0.6).all()
    )
    noise = route_reliability(companion(rng.normal(size=(400, 4, 3))), (1, 2), n_bootstrap=100)
    assert (noise["kappa_low"] < 0).all() and (noise["kappa_high"] > 0).all()
    # Three z-scores of either sign: the largest is one of three, or none is above 0 in an eighth of
    # the problems.
    np.testing.assert_allclose(noise["chance"], 3 * (7 / 24) ** 2 + (1 / 8) ** 2, atol=0.02)
    assert noise["n_problems"].values.tolist() == [400, 400]


def test_agreement_beyond_chance_by_hand():
    first, second = np.array(list("aabb")), np.array(list("abbb"))
    # Of 12 pairs of two units 2 * 1 + 2 * 3 - 3 agree.
    agreement, chance, kappa = beyond_chance(
        first, second, np.zeros(4), np.array([[1.0] * 4, [2.0] * 4])
    )
    np.testing.assert_allclose(agreement, 3 / 4)
    np.testing.assert_allclose(chance, 5 / 12)
    np.testing.assert_allclose(kappa, 4 / 7)
    # What strata share is no agreement beyond chance, and a unit alone in its stratum does not
    # count.
    agreement, chance, kappa = beyond_chance(first, first, np.array([0, 0, 1, 1]), np.ones((1, 4)))
    assert agreement[0] == chance[0] == 1 and np.isnan(kappa[0])
    agreement, chance, _ = beyond_chance(first, second, np.array([0, 0, 0, 1]), np.ones((1, 4)))
    np.testing.assert_allclose([agreement[0], chance[0]], [2 / 3, 2 / 6])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda ds: needed_rollouts(ds, ()),
            r"sizes must be a list of whole numbers of at least 1, got \(\)",
        ),
        (lambda ds: needed_rollouts(ds, (0,)), "sizes must be .*, got .0,.; 0 is not a whole"),
        (lambda ds: needed_rollouts(ds, target=2), "target must be .*, got 2"),
        (lambda ds: needed_rollouts(ds, least=-1), "least must be .*, got -1"),
        (lambda ds: needed_rollouts(ds, n_bootstrap=0), "n_bootstrap must be .*, got 0"),
        (lambda ds: route_reliability(ds, n_splits=1.5), r"n_splits must be .*, got 1\.5"),
        (lambda ds: needed_rollouts(ds.drop_vars("rollout_features")), "use a study with signals"),
    ],
)
def test_errors_say_what_is_allowed(call, message):
    with pytest.raises(InputError, match=message):
        call(companion(np.zeros((4, 2, 3))))


def test_tables_and_chart_show_what_was_computed():
    needed = needed_rollouts(companion(planted(1, 1, 50, 4)), (1, 2, 9), n_bootstrap=20)
    frame = tables.needed_rows(needed)
    # Nobody has 18 failed rollouts: that size is left out.
    assert set(frame["size"]) == {1, 2} and len(frame) == 3 * 2 * 2
    one = frame[
        (frame["feature"] == "concentration") & (frame["scope"] == "within") & (frame["size"] == 2)
    ].iloc[0]
    stored = needed.sel(feature="concentration", scope="within", size=2)
    assert (
        one["reliability"] == stored["reliability"] and one["needed_high"] == stored["needed_high"]
    )
    chart = plot_reliability(frame).to_dict()
    assert not [key for key, value in parts(chart) if key in COMPUTING and value is not None]
    drawn = [row for rows in chart["datasets"].values() for row in rows]
    assert {round(row["reliability"], 9) for row in drawn} == set(frame["reliability"].round(9))
    with pytest.raises(InputError, match="needed_low"):
        plot_reliability(frame.drop(columns="needed_low"))


def test_the_prophecy_holds_on_the_same_problems():
    found = needed_rollouts(rnb.load_remapped()[1], least=40, n_bootstrap=10)
    assert set(found["n_problems"].values.ravel()) <= {142, 143}
    # Foreseen from single rollouts, the reliability of twenty is off by less than 0.02.
    assert abs(found["foreseen"] - found["reliability"]).sel(size=20).max() < 0.02
