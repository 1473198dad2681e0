"""Features by hand, the labelled floor, and the reliability of known mixtures."""

import numpy as np
import pytest
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.features.features import (
    compute_features,
    failed_rollout_features,
    floor_of,
    junction,
    junction_window,
    problem_features,
    rollout_features,
)

NAN = np.nan


def test_junction():
    pressure = [[0.0, 2.0, 2.0, 9.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, NAN, 0, 0]]
    # First of the tie; what lies past the end does not count, be it 9 or NaN; no token, NaN: -1.
    assert junction(pressure, [3, 4, 4, 1]).tolist() == [1, 0, 0, 0]
    assert junction(pressure, [0, 1, 2, 2]).tolist() == [-1, 0, 0, -1]
    assert junction(np.zeros((2, 0)), [0, 0]).tolist() == [-1, -1]


def test_window_is_clipped_to_the_trace():
    start, stop = junction_window([0, 5, 9, -1], [10, 10, 10, 0], window=2)
    assert start.tolist() == [0, 3, 7, 0]
    assert stop.tolist() == [3, 8, 10, 0]
    start, stop = junction_window([20], [100])
    assert (start[0], stop[0]) == (12, 29)


def test_rollout_features_by_hand():
    pressure = np.array([0.0, 1.0, 0.0, 3.0, 0.0, 7.0])
    variance = np.array([9.0, 2.0, 4.0, 6.0, 8.0, 100.0])
    # Five tokens. Spread 2/5; concentration log10(3 / (4/5)); window 2..4: (4+6+8)/3 = 6.
    got = rollout_features(pressure, variance, 5, window=1)
    np.testing.assert_allclose(got, [0.4, np.log10(3.75), np.log10(6.0)])
    assert got.dtype == np.float64
    # Window 0: V at the junction. The default 8 reaches both ends: (9+2+4+6+8)/5.
    assert rollout_features(pressure, variance, 5, window=0)[2] == pytest.approx(np.log10(6.0))
    assert rollout_features(pressure, variance, 5)[2] == pytest.approx(np.log10(29 / 5))
    # Six tokens: the junction moves to 5, window 4..5.
    got = rollout_features(pressure, variance, 6, window=1)
    np.testing.assert_allclose(got, [0.5, np.log10(7 / (11 / 6)), np.log10(54.0)])


def test_guards():
    # Nothing presses: ratio 0 / 1e-8, floored at 1e-8; no variance: floored at 1e-8.
    assert rollout_features([0.0, 0.0], [0.0, 0.0], 2).tolist() == [0.0, -8.0, -8.0]
    assert np.isnan(rollout_features([1.0, 1.0], [1.0, 1.0], 0)).all()
    assert np.isnan(rollout_features([NAN, NAN], [NAN, NAN], 2)).all()
    assert np.isnan(rollout_features(np.zeros((3, 0)), np.zeros((3, 0)), [0, 0, 0])).all()
    # NaN past the end is padding.
    assert np.isfinite(rollout_features([1.0, NAN], [1.0, NAN], 1)).all()


def test_rollout_features_are_vectorised_and_change_nothing():
    rng = np.random.default_rng(0)
    pressure = np.maximum(rng.normal(size=(4, 5, 30)), 0).astype("f4")
    variance = rng.random((4, 5, 30), dtype="f4")
    n_tokens = rng.integers(0, 31, (4, 5))
    before = pressure.copy(), variance.copy(), n_tokens.copy()
    got = rollout_features(pressure, variance, n_tokens, window=3)
    assert got.shape == (4, 5, 3)
    for place in np.ndindex(4, 5):
        n = n_tokens[place]
        one = rollout_features(pressure[place][:n], variance[place][:n], n, window=3)
        np.testing.assert_allclose(got[place], one, rtol=1e-12)
    for array, copy in zip((pressure, variance, n_tokens), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_problem_features():
    values = np.array([[1.0, 2, 3], [3, 4, 5], [NAN, NAN, NAN], [100, 100, 100]])
    assert problem_features(values, [True, True, True, False]).tolist() == [2, 3, 4]
    assert np.isnan(problem_features(values, [False, False, True, False])).all()
    stacked = problem_features(np.stack([values, values]), [[1, 0, 0, 0], [0, 0, 0, 0]])
    assert stacked[0].tolist() == [1, 2, 3] and np.isnan(stacked[1]).all()


def study() -> xr.Dataset:
    # Problem a: rollouts 0 and 1 failed, 2 right. Problem b: all right. c: failed, nothing stored.
    pressure = np.zeros((3, 3, 4), "f4")
    pressure[0, 0] = [0, 4, 0, 0]
    pressure[0, 1] = [1, 1, 2, NAN]
    pressure[0, 2] = [9, 9, 9, 9]
    pressure[2] = NAN
    variance = np.ones_like(pressure)
    variance[0, 1] = [10, 10, 10, NAN]
    n_tokens = np.array([[4, 3, 4], [4, 4, 4], [2, 2, 0]], np.int32)
    correct = np.array([[0, 0, 1], [1, 1, 1], [0, 0, -1]], np.int8)
    dims = ("problem", "rollout", "intervention")
    return xr.Dataset(
        {
            "demotion_pressure": ((*dims[:2], "token"), pressure),
            "logit_variance": ((*dims[:2], "token"), variance),
            "n_tokens": (dims, np.stack([n_tokens, np.ones_like(n_tokens)], -1)),
            "correct": (dims, np.stack([correct, np.zeros_like(correct)], -1)),
        },
        coords={
            "intervention": ["none", "retry"],
            "problem_id": ("problem", ["a", "b", "c"]),
            "token": np.arange(4),
        },
    )


def test_compute_features():
    got = compute_features(study())
    assert got.dims == ("problem", "feature") and got.dtype == np.float64
    assert got.feature.values.tolist() == ["spread", "concentration", "logit_dispersion"]
    assert got.problem_id.values.tolist() == ["a", "b", "c"]
    # Rollout 0: 1/4, log10(4 / 1), log10(1). Rollout 1: 3/3, log10(2 / (4/3)), log10(10).
    expected = [(1 / 4 + 1) / 2, (np.log10(4) + np.log10(1.5)) / 2, 0.5]
    np.testing.assert_allclose(got.values[0], expected, rtol=1e-6)
    assert np.isnan(got.values[1:]).all()


def test_compute_features_of_stored_signals_only():
    mask = np.array([[True, False, True], [True] * 3, [False] * 3])
    got = compute_features(study(), has_signals=mask)
    np.testing.assert_allclose(got.values[0], [1 / 4, np.log10(4), 0], atol=1e-7)
    labelled = xr.DataArray(mask.T, dims=("rollout", "problem"))
    xr.testing.assert_identical(compute_features(study(), has_signals=labelled), got)
    # A study says so itself, in a variable of that name.
    stored = study().assign(has_signals=labelled.astype("int8"))
    xr.testing.assert_identical(compute_features(stored), got)
    # Without the mask, unstored signals written as 0 would count; with it they do not.
    zeros = study().fillna(0.0)
    assert compute_features(zeros).values[2].tolist() == [0, -8, 0]
    assert np.isnan(compute_features(zeros, has_signals=mask).values[2]).all()


def test_compute_features_any_order_of_dimensions_and_any_block(monkeypatch):
    plain = compute_features(study(), window=1)
    turned = study().transpose("token", "intervention", "rollout", "problem")
    xr.testing.assert_identical(compute_features(turned, window=1), plain)
    monkeypatch.setattr("recover_nb.features.features._BLOCK_BYTES", 1)
    xr.testing.assert_identical(compute_features(study(), window=1), plain)


def test_a_floor_changes_which_tokens_spread_counts():
    pressure = np.array([0.0, 1e-7, 1e-4, 0.5, 2.0, 9.0])
    variance = np.array([1.0, 1.0, 10.0, 100.0, 10.0, 1.0])
    for floor, counted in ((0, 4), (0.0, 4), (1e-7, 3), (1e-6, 3), (1e-4, 2), (0.5, 1), (2.0, 0)):
        got = rollout_features(pressure, variance, 5, floor=floor)
        assert got[0] == counted / 5
        np.testing.assert_array_equal(got[1:], rollout_features(pressure, variance, 5)[1:])


def test_a_study_says_its_floor_and_what_follows_keeps_it():
    plain, floored = compute_features(study()), compute_features(study(), floor=1.0)
    assert "floor" not in plain.attrs and floored.attrs == {"window": 8, "floor": 1.0}
    # Rollout 0 has one token of four above 1; rollout 1 one of three: 2, not the two of exactly 1.
    np.testing.assert_allclose(plain.values[0, 0], (1 / 4 + 3 / 3) / 2)
    np.testing.assert_allclose(floored.values[0, 0], (1 / 4 + 1 / 3) / 2)
    np.testing.assert_array_equal(floored.values[:, 1:], plain.values[:, 1:])
    assert floor_of(study()) == floor_of(study().assign(features=plain)) == 0
    ds = study().assign(features=floored)
    assert floor_of(ds.isel(problem=[0])) == 1
    values, used = failed_rollout_features(ds)
    np.testing.assert_allclose(values[0, :2, 0], [1 / 4, 1 / 3])
    assert used[0].tolist() == [True, True, False]


def test_window_matters():
    ds = study()
    ds["logit_variance"][0, 0] = [1, 1, 1000, 1]
    wide, narrow = (compute_features(ds, window=window).values[0, 2] for window in (8, 0))
    assert wide != pytest.approx(narrow)


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: junction(np.zeros((2, 3)), [1, 2, 3]), r"\(2, 3\).*allowed"),
        (lambda: junction(np.zeros((2, 3)), [1, 4]), "from 1 to 4; allowed: 0 to 3"),
        (lambda: junction(np.zeros((2, 3)), [-1, 2]), "from -1 to 2"),
        (
            lambda: junction_window([1], [2], window=-1),
            "window must be a whole number of at least 0, got -1",
        ),
        (
            lambda: rollout_features([1.0], [1.0], 1, floor=-1e-9),
            "floor must be a demot.*, got -1e-09",
        ),
        (lambda: compute_features(study(), floor=np.inf), "floor must be a demot.*, got inf"),
        (lambda: compute_features(study(), floor=np.nan), "floor must be a demot.*, got nan"),
        (lambda: compute_features(study(), floor="small"), "floor must be a demot.*, got 'small'"),
        (lambda: compute_features(study(), floor=True), "floor must be a demot.*, got True"),
        (lambda: rollout_features([1.0, 2.0], [1.0], 2), "same shape"),
        (lambda: problem_features(np.zeros((2, 4)), [True, True]), r"\(2, 4\)"),
        (lambda: problem_features(np.zeros((2, 3)), [True]), r"failed of shape \(1,\)"),
        (lambda: compute_features(study().drop_vars("correct")), "no variable correct"),
        (lambda: compute_features(study().isel(intervention=[1])), "no intervention 'none'"),
        (
            lambda: compute_features(study().isel(token=0)),
            r"'demotion_pressure' is on \(problem, rollout\); it must be on \(.*, token\)",
        ),
        (lambda: compute_features(study(), has_signals=[True]), r"has_signals of shape \(1,\)"),
    ],
)
def test_refusals(compute, message):
    with pytest.raises(InputError, match=message):
        compute()
