"""Scores, thresholds and firing positions, by hand and in the loop with three-token models."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from decoding_models import table_pair

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import (
    Calibration,
    Settings,
    calibrate,
    decode,
    firing_score,
    uniforms,
)
from recover_nb.generation.decoding.firing import firing_quantile, firing_warmup

# At T = 1, r = log(p_S / p_A) = (6.397, .668, -4.381) has mean 4.055 and sd 2.911 under p_S: path
# scores (.805, 0, 0). With k_cov = 1 the coverage set is token 2: coverage deformation log(.799 /
# .01) = 4.381 always. The argmax of the path mixture is token 1, of the coverage mixture token 0.
P_S, P_A = [0.6, 0.39, 0.01], [0.001, 0.2, 0.799]
PAIR = table_pair([P_S] * 3, [P_A] * 3)
N = 24
KEYS, ROLLOUTS = np.array([11], dtype=np.uint64), np.arange(6)
BASE = {"temperature": 1.0, "k_cov": 1, "max_new_tokens": N}
BELOW_ALL = (0.0, 100.0)  # coverage score .0438: below every threshold used here
ABOVE_ALL = (0.0, 1.0)  # coverage score 4.381: above the path score


def by_hand(threshold=0.6, coverage=BELOW_ALL, warmup=0, median=12.0, n_problems=1):
    """A calibration with the given numbers and one failed trace of zeros, its junction at 5."""
    one = np.ones(n_problems)
    return Calibration(
        threshold=one * threshold,
        coverage_mean=one * coverage[0],
        coverage_sd=one * coverage[1],
        warmup=np.full(n_problems, warmup),
        median_length=one * median,
        n_failed=np.ones(n_problems, np.int64),
        failed_token_id=np.full((n_problems, 1, N), 2, np.int32),
        junction=np.full((n_problems, 1), 5),
        junction_is_coverage=np.zeros((n_problems, 1), bool),
    )


def run(intervention, calibration=None, **settings):
    settings = Settings(**BASE | settings)
    return decode(PAIR, ["p"], KEYS, ROLLOUTS, intervention, settings, calibration=calibration)


def retry_tokens():
    u = uniforms(0, 0, KEYS, ROLLOUTS, N)[0]
    return np.searchsorted(np.cumsum(P_S), u, side="right")


def first_zero(tokens, warmup=0):
    return np.array([warmup + int(np.flatnonzero(row[warmup:] == 0)[0]) for row in tokens])


def with_changes(tokens, position, token):
    tokens = tokens.copy()
    tokens[np.arange(len(tokens)), position] = token
    return tokens


def test_retry_is_the_inverse_cdf_of_the_documented_uniforms():
    np.testing.assert_array_equal(run("retry").token_id[0], retry_tokens())


@pytest.mark.parametrize(
    ("path", "coverage", "mean", "sd", "score", "is_coverage"),
    [
        (1.5, 2.0, 1.0, 0.5, 2.0, True),
        (2.5, 2.0, 1.0, 0.5, 2.5, False),
        (0.0, 0.0, 1.0, 0.5, 0.0, False),
        (2.0, 2.0, 1.0, 0.5, 2.0, False),
        (0.5, 9.0, 1.0, 0.0, 0.5, False),
    ],
)
def test_score_is_the_larger_of_the_two(path, coverage, mean, sd, score, is_coverage):
    got = firing_score(torch.tensor([path]), torch.tensor([coverage]), mean, sd)
    assert got[0].tolist() == [score]
    assert got[1].tolist() == [is_coverage]


@pytest.mark.parametrize(
    ("median", "quantile", "warmup"),
    [
        (1, 0.0, 0),
        (4, 0.5, 0),
        (20, 0.9, 4),
        (99, 1 - 2 / 99, 19),
        (100, 0.99, 20),
        (500, 0.99, 20),
    ],
)
def test_quantile_and_warmup_follow_the_length(median, quantile, warmup):
    assert firing_quantile(median) == pytest.approx(quantile)
    assert firing_warmup(median) == warmup


def recorded():
    """Return 2 problems, 3 rollouts of at most 4 tokens; the second rollout ends in padding."""
    zeros = np.zeros((2, 3, 4))
    path, coverage, pressure = zeros.copy(), zeros.copy(), zeros.copy()
    path[0, 0], path[0, 1, :3] = [0, 1, 2, 5], [1, 0, 3]
    coverage[0, 0], coverage[0, 1, :3] = [0, 2, 0, 2], [0, 2, 1]
    pressure[0, 0], pressure[0, 1, :3] = [1, 9, 2, 3], [0, 7, 8]
    path[0, 1, 3] = coverage[0, 1, 3] = pressure[0, 1, 3] = 99
    signals = {"path_score": path, "coverage_deformation": coverage, "demotion_pressure": pressure}
    n_tokens = np.array([[4, 3, 4], [4, 4, 4]])
    return SimpleNamespace(
        token_id=np.arange(24).reshape(2, 3, 4), n_tokens=n_tokens, signals=signals
    )


FAILED = np.array([[True, True, False], [False] * 3])


def test_calibration_by_hand():
    found = calibrate(recorded(), FAILED, Settings(quantile=0.5))
    # Coverage of the seven failed tokens 0 2 0 2 0 2 1: mean 1, sd sqrt(6/7) = .926, z = +-1.080.
    assert found.coverage_mean[0] == 1.0
    assert found.coverage_sd[0] == pytest.approx(0.92582)
    # Scores 0 1.08 2 5 | 1 1.08 3 (path 0 1 2 5 | 1 0 3): the median is 1.08.
    assert found.threshold[0] == pytest.approx(1.0801, abs=1e-4)
    assert found.junction[0].tolist() == [1, 2]
    assert found.junction_is_coverage[0].tolist() == [True, False]
    assert found.failed_token_id[0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert (found.median_length[0], found.n_failed[0], found.warmup[0]) == (3.5, 2, 0)


def test_authors_threshold_is_the_quantile_of_raw_pressure():
    # J 1 9 2 3 | 0 7 8 has median 3.
    assert (
        calibrate(recorded(), FAILED, Settings(quantile=0.5, threshold="authors")).threshold[0] == 3
    )


def test_default_quantile_of_short_traces():
    # Median length 3.5: q = 1 - 2/3.5 = 3/7, place 18/7 of the sorted 0 1 1.08 1.08 2 3 5.
    assert calibrate(recorded(), FAILED, Settings()).threshold[0] == pytest.approx(1.0801, abs=1e-4)
    assert calibrate(recorded(), FAILED, Settings(warmup=2)).warmup.tolist() == [2, 0]


def test_a_problem_that_did_not_fail_never_fires():
    found = calibrate(recorded(), FAILED, Settings())
    assert found.threshold[1] == np.inf
    assert found.n_failed[1] == 0
    assert found.take(np.array([1])).threshold.tolist() == [np.inf]


def test_calibrate_leaves_its_inputs_alone():
    given, failed = recorded(), FAILED.copy()
    calibrate(given, failed, Settings())
    for name, values in recorded().signals.items():
        np.testing.assert_array_equal(given.signals[name], values)
    np.testing.assert_array_equal(failed, FAILED)


def test_calibrate_says_what_is_missing():
    bare = SimpleNamespace(token_id=None, n_tokens=np.ones((1, 1)), signals=None)
    with pytest.raises(InputError, match="record=True"):
        calibrate(bare, np.ones((1, 1), bool), Settings())
    with pytest.raises(InputError, match="one bool per rollout"):
        calibrate(recorded(), FAILED[:1], Settings())


@pytest.mark.parametrize("warmup", [0, 7])
def test_path_fires_at_the_first_zero_after_warmup_and_emits_one(warmup):
    tokens = retry_tokens()
    fired_at = first_zero(tokens, warmup)
    found = run("sparse_steer", by_hand(warmup=warmup))
    np.testing.assert_array_equal(found.fired_at[0], fired_at)
    np.testing.assert_array_equal(found.token_id[0], with_changes(tokens, fired_at, 1))


def test_the_opposite_mixture_emits_another_token():
    tokens = retry_tokens()
    fired_at = first_zero(tokens)
    found = run("sparse_steer_wrong", by_hand())
    np.testing.assert_array_equal(found.fired_at[0], fired_at)
    np.testing.assert_array_equal(found.token_id[0], with_changes(tokens, fired_at, 0))


def test_coverage_fires_at_once_and_emits_zero():
    found = run("sparse_steer", by_hand(coverage=ABOVE_ALL))
    assert found.fired_at[0].tolist() == [0] * len(ROLLOUTS)
    np.testing.assert_array_equal(found.token_id[0], with_changes(retry_tokens(), 0, 0))


def test_a_threshold_above_all_scores_never_fires():
    found = run("sparse_steer", by_hand(threshold=0.81))
    assert (found.fired_at == -1).all()
    np.testing.assert_array_equal(found.token_id[0], retry_tokens())


def test_lag_replaces_the_token_after_the_one_that_scored():
    tokens = retry_tokens()
    fired_at = first_zero(tokens) + 1
    found = run("sparse_steer", by_hand(), lag=1)
    np.testing.assert_array_equal(found.fired_at[0], fired_at)
    np.testing.assert_array_equal(found.token_id[0], with_changes(tokens, fired_at, 1))


def test_width_steers_the_next_tokens_too():
    tokens = retry_tokens()
    fired_at = first_zero(tokens)
    expected = tokens
    for offset in range(3):
        expected = with_changes(expected, np.minimum(fired_at + offset, N - 1), 1)
    np.testing.assert_array_equal(run("sparse_steer", by_hand(), width=3).token_id[0], expected)


def test_greedy_continuation_is_the_argmax_after_firing():
    tokens = retry_tokens()
    fired_at = first_zero(tokens)
    after = np.arange(N) > fired_at[:, None]
    expected = np.where(after, 0, with_changes(tokens, fired_at, 1))
    found = run("sparse_steer", by_hand(), continuation="greedy")
    np.testing.assert_array_equal(found.token_id[0], expected)


def test_local_temperature_redraws_one_token_with_the_same_uniform():
    tokens = retry_tokens()
    fired_at = first_zero(tokens)
    hot = np.array(P_S) ** (1 / 5.0)
    u = uniforms(0, 0, KEYS, ROLLOUTS, N)[0][np.arange(len(tokens)), fired_at]
    redrawn = np.searchsorted(np.cumsum(hot / hot.sum()), u, side="right")
    found = run("local_temperature", by_hand(), local_temperature=5.0)
    np.testing.assert_array_equal(found.token_id[0], with_changes(tokens, fired_at, redrawn))
    assert (redrawn != 0).any()


def test_temperature_and_dense_operators_act_from_the_start():
    hot = np.array(P_S) ** (1 / 2.0)
    u = uniforms(0, 0, KEYS, ROLLOUTS, N)[0]
    expected = np.searchsorted(np.cumsum(hot / hot.sum()), u, side="right")
    np.testing.assert_array_equal(run("temperature", hot_temperature=2.0).token_id[0], expected)
    steered = run("dense_steer").token_id[0]
    assert (steered == np.where(ROLLOUTS % 2 == 0, 1, 0)[:, None]).all()
    assert (run("dense_steer").fired_at == 0).all()


def test_dense_sample_draws_from_each_rollouts_mixture():
    path = np.array(P_S) ** 0.7 * np.array(P_A) ** 0.3
    coverage = 0.7 * np.array(P_S) + 0.3 * np.array(P_A)
    u, found = uniforms(0, 0, KEYS, ROLLOUTS, N)[0], run("dense_sample")
    for rollout in ROLLOUTS:
        mixed = coverage if rollout % 2 else path / path.sum()
        expected = np.searchsorted(np.cumsum(mixed), u[rollout], side="right")
        np.testing.assert_array_equal(found.token_id[0, rollout], expected)


def test_random_steer_is_uniform_over_positions_and_types():
    settings, rollouts = Settings(**BASE), np.arange(600)
    found = decode(
        PAIR,
        ["p"],
        KEYS,
        rollouts,
        "sparse_steer_random",
        settings,
        calibration=by_hand(warmup=2, median=6.0),
    )
    assert sorted(set(found.fired_at[0])) == [2, 3, 4, 5]
    assert np.bincount(found.fired_at[0]).min(where=np.arange(6) >= 2, initial=600) > 110
    emitted = found.token_id[0, rollouts, found.fired_at[0]]
    assert set(emitted) == {0, 1}
    assert 0.4 < emitted.mean() < 0.6


def test_replay_keeps_the_failed_prefix_and_acts_at_its_junction():
    fresh = retry_tokens()
    prefix = np.where(np.arange(N) < 5, 2, fresh)
    retried = run("retry", by_hand(), anchoring="replay")
    np.testing.assert_array_equal(retried.token_id[0], prefix)
    assert (retried.fired_at == -1).all()
    steered = run("sparse_steer", by_hand(), anchoring="replay")
    np.testing.assert_array_equal(steered.token_id[0], with_changes(prefix, 5, 1))
    assert (steered.fired_at == 5).all()
    assert (steered.n_tokens == N).all()
    assert (steered.forward_specialist == N - 5).all()
    assert (steered.forward_ancestor == 1).all()


def test_replay_of_random_steer_never_leaves_its_twin_early():
    calibration = by_hand(median=20.0)
    retried = run("retry", calibration, anchoring="replay").token_id
    found = run("sparse_steer_random", calibration, anchoring="replay")
    assert found.fired_at.min() < 5 < found.fired_at.max()
    before = np.arange(N) < found.fired_at[..., None]
    np.testing.assert_array_equal(found.token_id[before], retried[before])
