"""Bootstrap, permutation and Holm on arrays, against hand-worked values and scipy."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recover_nb.core.errors import InputError
from recover_nb.stats.resampling import (
    bootstrap_ratio,
    bootstrap_weights,
    exceedance,
    holm,
    permuted_sums,
    ratio,
)


def test_holm_by_hand():
    """0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04; the last rises to 0.06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([0.01, np.nan]).tolist()[0] == 0.01
    assert np.isnan(holm([0.01, np.nan])[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_raw_and_bonferroni(p):
    p = np.array(p)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(p * len(p), 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_exceedance_counts_ties_and_itself():
    assert exceedance(2.0, np.array([1.0, 2.0, 3.0])) == 3 / 4
    assert exceedance(9.0, np.zeros(99)) == 0.01
    assert np.isnan(exceedance(np.nan, np.zeros(3)))


def test_weights_keep_strata_and_clusters():
    clusters = np.array([0, 0, 1, 2, 2, 3])
    strata = np.array(["a", "a", "a", "b", "b", "b"])
    drawn = bootstrap_weights(clusters, strata, 500, np.random.default_rng(0))
    weights = drawn.weights
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 0] + weights[:, 2] == 2).all()
    assert (weights[:, 3] + weights[:, 5] == 2).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(6), abs=0.15)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_agree_with_scipy(method):
    rng = np.random.default_rng(3)
    x = rng.exponential(size=50)
    drawn = bootstrap_weights(np.arange(50), np.zeros(50), 20_000, rng)
    ours = bootstrap_ratio(x[:, None], np.ones((50, 1)), drawn)
    theirs = stats.bootstrap(
        (x,), np.mean, n_resamples=20_000, method=method.replace("bca", "BCa"), rng=rng
    ).confidence_interval
    assert ours.value[0] == pytest.approx(x.mean())
    assert getattr(ours, method)[:, 0] == pytest.approx([theirs.low, theirs.high], abs=0.02)


def test_difference_of_ratios():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 40, 1))
    one = np.ones((40, 1))
    drawn = bootstrap_weights(np.arange(40), np.zeros(40), 300, rng)
    paired = bootstrap_ratio(a, one, drawn, offset=(b, one))
    direct = bootstrap_ratio(a - b, one, drawn)
    for name in ("value", "percentile", "bca"):
        assert getattr(paired, name) == pytest.approx(getattr(direct, name))


def test_undefined_ratio_is_nan_without_a_warning():
    drawn = bootstrap_weights(np.arange(3), np.zeros(3), 10, np.random.default_rng(0))
    found = bootstrap_ratio(np.zeros((3, 1)), np.zeros((3, 1)), drawn)
    assert np.isnan(found.value).all()
    assert np.isnan(found.percentile).all()
    assert np.isnan(ratio(np.array([1.0]), np.array([0.0]))).all()


def test_constant_statistic_has_a_point_interval():
    drawn = bootstrap_weights(np.arange(5), np.zeros(5), 50, np.random.default_rng(0))
    found = bootstrap_ratio(np.full((5, 1), 0.25), np.ones((5, 1)), drawn)
    assert found.bca[:, 0].tolist() == [0.25, 0.25]


def test_permutations_match_enumeration():
    kernel = np.random.default_rng(1).random((4, 4))
    exact = [sum(kernel[i, p[i]] for i in range(4)) for p in permutations(range(4))]
    drawn = permuted_sums(
        kernel[None], np.arange(len(kernel))[None], 20_000, np.random.default_rng(2)
    )
    assert drawn.mean() == pytest.approx(np.mean(exact), abs=0.01)
    assert drawn.std() == pytest.approx(np.std(exact), abs=0.01)
    assert set(np.round(drawn, 9)) == set(np.round(exact, 9))
    assert permuted_sums(
        np.zeros((1, 0, 0)), np.zeros((1, 0), int), 3, np.random.default_rng(0)
    ).tolist() == [0, 0, 0]


def test_permutations_of_draws_are_those_of_their_sum():
    """Three draws with arms as labels, or their sum for each pair of problems: permuted alike."""
    rng = np.random.default_rng(3)
    gain, label = rng.random((3, 5, 2)), rng.integers(2, size=(3, 5))
    kernel = sum(gain[s][:, label[s]] for s in range(3))
    one, two = (
        permuted_sums(*each, 50, np.random.default_rng(4))
        for each in ((gain, label), (kernel[None], np.arange(5)[None]))
    )
    assert one == pytest.approx(two, abs=1e-12) and np.ptp(one) > 0


def test_same_seed_same_numbers():
    one, two = (
        bootstrap_weights(np.arange(9), np.zeros(9), 5, np.random.default_rng(7)) for _ in range(2)
    )
    assert (one.weights == two.weights).all()


def test_no_resamples_is_refused():
    with pytest.raises(InputError, match="n_bootstrap is 0"):
        bootstrap_weights(np.arange(3), np.zeros(3), 0, np.random.default_rng(0))


def test_blocks_of_resamples_are_the_same_resamples(monkeypatch):
    from recover_nb.stats import resampling

    strata = np.repeat([0, 1, 2], [30, 1, 12])
    whole = bootstrap_weights(np.arange(43), strata, 25, np.random.default_rng(0))
    monkeypatch.setattr(resampling, "BLOCK", 64)
    blocks = bootstrap_weights(np.arange(43), strata, 25, np.random.default_rng(0))
    assert blocks.counts.dtype == np.uint8
    np.testing.assert_array_equal(whole.counts, blocks.counts)
    assert (blocks.counts[:, :30].sum(axis=1) == 30).all() and (blocks.counts[:, 30] == 1).all()


def test_sums_of_resamples_by_hand(monkeypatch):
    from recover_nb.stats import resampling

    drawn = resampling.Resamples(np.array([[2, 0, 1], [0, 3, 0]], np.uint8), np.array([0, 1, 2, 2]))
    added = np.array([[1.0, 10.0], [0.5, 0.0], [0.25, 1.0]])
    expected = [[2.25, 21.0], [1.5, 0.0]]
    assert drawn.sums(added).tolist() == expected
    monkeypatch.setattr(resampling, "_CACHED", 1)
    assert drawn.sums(added).tolist() == expected
    assert drawn.weights.tolist() == [[2.0, 0.0, 1.0, 1.0], [0.0, 3.0, 0.0, 0.0]]
    apart = drawn.subset(np.array([3, 0]))
    assert apart.counts.tolist() == [[2, 1], [0, 0]] and apart.clusters.tolist() == [1, 0]
    assert drawn.subset(np.array([1, 3])).weights.tolist() == [[0.0, 1.0], [3.0, 0.0]]
