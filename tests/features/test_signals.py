"""Signals: three-token cases by hand, both array libraries, both routes, invariants."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Signal
from recover_nb.features import signals
from recover_nb.features.signal_reductions import (
    PATH_SCORE,
    candidates,
    default_k_cov,
    most_likely,
    most_likely_of,
)
from recover_nb.features.signals import signals_from_logits, signals_in_chunks
from recover_nb.features.signals_topk import signals_from_topk

KEYS = [*(signal.value for signal in Signal), PATH_SCORE]
L2, L3, L4, L6 = np.log([2.0, 3.0, 4.0, 6.0])
# Every case by hand: p_S = (1/2, 1/4, 1/4), p_A = (1/4, 1/4, 1/2), as logarithms of whole numbers.
Z_S, Z_A = np.log([2.0, 1.0, 1.0]), np.log([1.0, 1.0, 2.0])


def by_hand(token: int, **options) -> dict[str, float]:
    options = {"temperature": 1.0, **options}
    got = signals_from_logits(Z_S, Z_A, np.array(token), **options)
    assert list(got) == KEYS
    return {name: float(value) for name, value in got.items()}


def agree(got: dict[str, float], **expected: float) -> None:
    # The 1e-8 in both coverage masses moves a logarithm by about 1e-8.
    for name, value in expected.items():
        assert got[name] == pytest.approx(value, abs=1e-7), name


def log_softmax(z):
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def test_temperature_one():
    # x = 0, K = V = 3, coverage set {2}. Path log(1/2 / 1/4), coverage log(1/2 / 1/4).
    # Variance: z_S is log 2 with weight 1/2, else 0. KL: 1/2 log 2 + 1/4 log 1 + 1/4 log 1/2.
    # Entropy: 1/2 log 2 + 1/2 log 4. r = (1, 0, -1) log 2: mean 1/4, variance 3/4 - 1/16 = 11/16,
    # score (3/4) / sqrt(11/16).
    agree(
        by_hand(0),
        path_deformation=L2,
        coverage_deformation=L2,
        demotion_pressure=2 * L2,
        logit_variance=L2**2 / 4,
        kl_divergence=L2 / 4,
        entropy=1.5 * L2,
        path_score=3 / np.sqrt(11),
    )


def test_temperature_one_half():
    # Squares, renormalised: p_S = (4, 1, 1) / 6, p_A = (1, 1, 4) / 6. Variance of the raw z_S:
    # log 2 with weight 2/3, 2/9 log(2)^2. KL: (2/3 - 1/6) log 4. r = (1, 0, -1) log 4: mean 1/2,
    # variance 5/6 - 1/4 = 7/12, score (1/2) / sqrt(7/12).
    agree(
        by_hand(0, temperature=0.5),
        path_deformation=L4,
        coverage_deformation=L4,
        demotion_pressure=2 * L4,
        logit_variance=L2**2 * 2 / 9,
        kl_divergence=L4 / 2,
        entropy=2 / 3 * np.log(1.5) + 1 / 3 * L6,
        path_score=np.sqrt(3 / 7),
    )


def test_the_temperature_is_0p6_unless_given():
    got = signals_from_logits(Z_S, Z_A, np.array(0))
    assert got["path_deformation"] == pytest.approx(L2 / 0.6)


def test_top_k():
    # Two kept: 0 and, of the tie 1 and 2, the lower. q = (2/3, 1/3); p_A is not renormalised.
    # KL: 2/3 log(2/3 / 1/4) + 1/3 log(1/3 / 1/4). r = (1, 0) log 2: mean 2/3, variance 2/9.
    agree(
        by_hand(0, top_k=2),
        path_deformation=L2,
        coverage_deformation=L2,
        logit_variance=L2**2 * 2 / 9,
        kl_divergence=2 / 3 * np.log(8 / 3) + 1 / 3 * np.log(4 / 3),
        entropy=2 / 3 * np.log(1.5) + 1 / 3 * L3,
        path_score=1 / np.sqrt(2),
    )
    # One kept: a certainty, no spread at all, and r is its own mean.
    agree(by_hand(0, top_k=1), logit_variance=0, kl_divergence=L4, entropy=0, path_score=0)


def test_k_cov():
    # {2} and the lower of the tie, 0: both models give it 3/4.
    agree(by_hand(0, k_cov=2), coverage_deformation=0, demotion_pressure=L2)
    agree(by_hand(0, k_cov=3), coverage_deformation=0)


def test_other_tokens():
    # Path -log 2 presses nothing, and a score below its mean is 0.
    agree(by_hand(2), path_deformation=-L2, demotion_pressure=L2, path_score=0)
    # r = 0 lies 1/4 log 2 below the mean.
    agree(by_hand(1), path_deformation=0, demotion_pressure=L2, path_score=0)
    # Models exchanged: the path turns round, and the set {0} is covered less: log(1/2 / 1/4) again.
    got = signals_from_logits(Z_A, Z_S, np.array(0), temperature=1.0)
    agree(got, path_deformation=-L2, coverage_deformation=L2, demotion_pressure=L2)


def test_an_impossible_token_has_the_floor():
    z_s = np.array([0.0, 0.0, -np.inf])
    got = signals_from_logits(z_s, Z_A, np.array(2), temperature=0.5)
    # log p_S = -1000 / 0.5, log p_A = log(2/3).
    assert got["path_deformation"] == pytest.approx(-2000 - np.log(2 / 3))
    assert got["entropy"] == pytest.approx(L2)
    assert all(np.isfinite(value) for value in got.values())


def test_nothing_is_changed_in_place():
    torch = pytest.importorskip("torch")
    token = np.array(0)
    for convert in (np.asarray, torch.asarray):
        arrays = [convert(x.copy()) for x in (Z_S, Z_A, token)]
        signals_from_logits(*arrays, temperature=0.5, top_k=2)
        signals_in_chunks(*arrays, temperature=0.5, top_k=2)
        for array, before in zip(arrays, (Z_S, Z_A, token), strict=True):
            np.testing.assert_array_equal(np.asarray(array), before)
        lists = [convert(x) for x in (np.log([0.25, 0.5]), np.array([1, 0]))]
        signals_from_topk(*lists, *lists, arrays[2], temperature=0.5, top_k=1)
        np.testing.assert_array_equal(np.asarray(lists[0]), np.log([0.25, 0.5]))
        np.testing.assert_array_equal(np.asarray(lists[1]), [1, 0])


def random_case(shape, vocab_size, seed=0, dtype=np.float32, grid=None):
    rng = np.random.default_rng(seed)
    z_s = rng.normal(size=(*shape, vocab_size)) * 3
    z_a = z_s + rng.normal(size=z_s.shape)
    if grid:
        z_s, z_a = np.round(z_s / grid) * grid, np.round(z_a / grid) * grid
    return z_s.astype(dtype), z_a.astype(dtype), rng.integers(0, vocab_size, shape)


@pytest.mark.parametrize("shape", [(), (7,), (2, 3, 4), (0,)])
@pytest.mark.parametrize("options", [{}, {"top_k": 5, "k_cov": 3, "temperature": 1.3}])
def test_numpy_and_torch_agree(shape, options):
    torch = pytest.importorskip("torch")
    # A coarse grid: ties at the edge of both selections, which the libraries settle differently.
    z_s, z_a, token = random_case(shape, 40, grid=0.5)
    ours = signals_from_logits(z_s, z_a, token, **options)
    theirs = signals_from_logits(*map(torch.asarray, (z_s, z_a, token)), **options)
    for name in KEYS:
        assert isinstance(theirs[name], torch.Tensor)
        assert theirs[name].dtype == torch.float32 and ours[name].dtype == np.float32
        assert tuple(theirs[name].shape) == ours[name].shape == shape
        np.testing.assert_allclose(theirs[name].numpy(), ours[name], rtol=2e-5, atol=2e-5)


def test_float_width():
    torch = pytest.importorskip("torch")
    z_s, z_a, token = random_case((4,), 30, dtype=np.float64)
    exact = signals_from_logits(z_s, z_a, token)
    assert exact["entropy"].dtype == np.float64
    # One float64 model makes both so; half precision is computed in float32.
    assert signals_from_logits(z_s, z_a.astype("f4"), token)["entropy"].dtype == np.float64
    for dtype in (torch.float16, torch.bfloat16):
        half = [torch.asarray(z).to(dtype) for z in (z_s, z_a)]
        got = signals_from_logits(*half, torch.asarray(token))
        wide = signals_from_logits(*(z.to(torch.float32) for z in half), torch.asarray(token))
        assert got["entropy"].dtype == torch.float32
        assert torch.equal(got["kl_divergence"], wide["kl_divergence"])
    single = signals_from_logits(z_s.astype("f4"), z_a.astype("f4"), token)
    for name in KEYS:
        np.testing.assert_allclose(single[name], exact[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("vocab_size", [150, 30_000])
def test_the_selection_is_that_of_a_stable_sort(vocab_size):
    torch = pytest.importorskip("torch")
    z_s, z_a, token = random_case((5,), vocab_size, grid=0.5)
    k, k_cov = 100, default_k_cov(vocab_size)
    # The definition, with nothing clever: full sorts, float64, T = 1.
    log_s, log_a = log_softmax(z_s.astype("f8")), log_softmax(z_a.astype("f8"))
    kept = np.argsort(-z_s, axis=-1, kind="stable")[:, :k]
    cover = np.argsort(-z_a, axis=-1, kind="stable")[:, :k_cov]
    q = np.exp(np.take_along_axis(log_s, kept, -1))
    q /= q.sum(-1, keepdims=True)
    kl = (q * (np.log(q) - np.take_along_axis(log_a, kept, -1))).sum(-1)
    mass_s, mass_a = (np.exp(np.take_along_axis(x, cover, -1)).sum(-1) for x in (log_s, log_a))
    for convert in (np.asarray, torch.asarray):
        got = signals_from_logits(*map(convert, (z_s, z_a, token)), temperature=1.0)
        np.testing.assert_allclose(np.asarray(got["kl_divergence"]), kl, rtol=1e-4)
        expected = np.log((mass_a + 1e-8) / (mass_s + 1e-8))
        np.testing.assert_allclose(np.asarray(got["coverage_deformation"]), expected, atol=1e-5)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("max_bytes", [1, 50_000, 10**9])
def test_chunks_change_nothing(library, max_bytes):
    convert = pytest.importorskip(library).asarray
    case = [convert(x) for x in random_case((3, 11), 200)]
    whole = signals_from_logits(*case, top_k=20)
    parts = signals_in_chunks(*case, top_k=20, max_bytes=max_bytes)
    for name in KEYS:
        assert parts[name].shape == whole[name].shape
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-5, atol=1e-6)


def spoil(values, how, rng):
    """Rows that give the selection in a wide vocabulary few, many or unusual candidates."""
    if how == "grid":  # some ties
        return np.round(values / 0.05) * np.float32(0.05)
    if how == "coarse":  # more ties than candidates are allowed
        return np.round(values / 2) * np.float32(2)
    if how == "sorted":
        return np.sort(values, axis=-1)
    if how == "impossible":  # fewer finite values than K, in one row
        values[0, rng.permutation(values.shape[-1])[5:]] = -np.inf
    return values


@pytest.mark.parametrize("how", ["plain", "grid", "coarse", "sorted", "impossible"])
@pytest.mark.parametrize(("vocab_size", "k"), [(16, 1), (2000, 100), (2047, 20), (12_345, 100)])
def test_wide_numpy_rows_select_as_a_stable_sort(vocab_size, k, how):
    rng = np.random.default_rng(0)
    values = spoil(rng.standard_normal((7, vocab_size), dtype=np.float32), how, rng)
    before, best = values.copy(), np.empty((7, 1), np.float32)
    places, counts = candidates(values, k, best, np.empty_like(values))
    np.testing.assert_array_equal(values, before)
    np.testing.assert_array_equal(best[:, 0], values.max(axis=-1))
    expected = np.sort(np.argsort(-values, axis=-1, kind="stable")[:, :k], axis=-1)
    np.testing.assert_array_equal(most_likely_of(values, places, counts, k), expected)


@pytest.mark.parametrize("how", ["plain", "grid", "coarse", "sorted", "impossible"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_wide_chunks_change_no_bit(how, dtype):
    rng = np.random.default_rng(0)
    z_s, z_a, token = random_case((300,), 2500)
    case = spoil(z_s, how, rng).astype(dtype), spoil(z_a, how, rng).astype(dtype), token
    whole = signals_from_logits(*case)
    narrow = signals_from_logits(*case, k_cov=len(z_s[0]))  # not selected in tiles
    for max_bytes in (1, 10**6, 2**24):
        parts = signals_in_chunks(*case, max_bytes=max_bytes)
        for name in KEYS:
            np.testing.assert_array_equal(parts[name], whole[name])
    np.testing.assert_array_equal(whole["path_deformation"], narrow["path_deformation"])
    for name in ("kl_divergence", "logit_variance", "entropy", "path_score"):
        np.testing.assert_allclose(whole[name], narrow[name], rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("count", [1, 150, 2000])
def test_a_wide_row_is_refused_by_name(value, count):
    z_s, z_a, token = random_case((200,), 2000)
    z_a[150, :count] = value
    with pytest.raises(InputError, match="ancestor at position 150"):
        signals_from_logits(z_s, z_a, token)


@pytest.mark.parametrize("how", ["plain", "grid", "coarse", "sorted", "impossible"])
@pytest.mark.parametrize(("vocab_size", "k"), [(26_000, 100), (30_011, 100), (600, 1)])
def test_wide_torch_rows_select_as_a_stable_sort(vocab_size, k, how):
    torch = pytest.importorskip("torch")
    from array_api_compat import torch as xp  # imports torch

    rng = np.random.default_rng(0)
    values = spoil(rng.standard_normal((5, vocab_size), dtype=np.float32), how, rng)
    values[3, 7::50], values[3, 5] = 9.0, 10.0  # one row ties, whatever the others do
    places = most_likely(xp, torch.asarray(values), k).numpy()
    expected = np.argsort(-values, axis=-1, kind="stable")[:, :k]
    np.testing.assert_array_equal(np.sort(places, axis=-1), np.sort(expected, axis=-1))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_wide_torch_rows_a_few_at_a_time(dtype, temperature, monkeypatch):
    torch = pytest.importorskip("torch")
    z_s, z_a, token = map(torch.asarray, random_case((7,), 26_000))
    case = z_s.to(getattr(torch, dtype)), z_a.to(getattr(torch, dtype)), token
    monkeypatch.setattr(signals, "_TILE", 2 * 4 * 26_000)
    assert signals._how_to_temper(case[0], 100, 20) is signals._temper_rows
    pieces = signals_from_logits(*case, temperature=temperature)
    monkeypatch.setattr(signals, "_TILE", 2**30)
    assert signals._how_to_temper(case[0], 100, 20) is signals._temper
    whole = signals_from_logits(*case, temperature=temperature)
    for name in KEYS:
        assert pieces[name].dtype == whole[name].dtype
        torch.testing.assert_close(pieces[name], whole[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("count", [1, 150, 26_000])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_very_wide_row_is_refused_by_name(library, value, count):
    convert = pytest.importorskip(library).asarray
    z_s, z_a, token = random_case((12,), 26_000)
    z_a[11, :count] = value
    with pytest.raises(InputError, match="ancestor at position 11"):
        signals_from_logits(*map(convert, (z_s, z_a, token)))


def test_chunks_of_nothing():
    parts = signals_in_chunks(*random_case((0, 3), 200))
    assert parts["entropy"].shape == (0, 3)


@pytest.mark.parametrize(("vocab_size", "count"), [(100, 20_000), (1000, 3000), (20_000, 200)])
def test_chunks_keep_to_their_budget(vocab_size, count):
    case = random_case((count,), vocab_size)
    signals_in_chunks(*(x[:2] for x in case))
    tracemalloc.start()
    signals_in_chunks(*case, max_bytes=2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    results = len(KEYS) * count * 4
    assert peak < 2**20 + 3 * results < case[0].nbytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits_a": np.zeros((2, 4))}, r"\(2, 3\).*\(2, 4\).*allowed"),
        ({"token_id": np.zeros(3, int)}, r"token_id of shape \(3,\)"),
        ({"token_id": np.array([0, 3])}, "from 0 to 3; allowed: 0 to 2"),
        ({"token_id": np.array([-1, 0])}, "from -1 to 0; allowed: 0 to 2"),
        ({"token_id": np.array([0.0, 1.0])}, "dtype float64; allowed: a whole-number"),
        ({"logits_s": np.zeros((2, 3), int)}, "dtype int64; allowed: floating"),
        ({"logits_s": [[0.0] * 3] * 2}, "list"),
        ({"temperature": 0.0}, "temperature must be a .*number above 0.*, got 0.0"),
        ({"temperature": -1.0}, "temperature must be a .*number above 0.*, got -1.0"),
        ({"temperature": float("nan")}, "temperature must be a .*number above 0.*, got nan"),
        ({"top_k": 0}, "top_k must be a whole number of at least 1, got 0"),
        ({"top_k": 2.0}, "top_k must be a whole number of at least 1, got 2.0"),
        ({"k_cov": 0}, "k_cov must be a whole number of at least 1(, or None)?, got 0"),
        ({"logits_s": np.array([[0.0, 0, 0], [0, np.nan, 0]])}, "specialist at position 1"),
        ({"logits_a": np.array([[0.0, np.inf, 0], [0, 0, 0]])}, "ancestor at position 0"),
        ({"logits_a": np.full((2, 3), -np.inf)}, "ancestor at position 0"),
    ],
)
@pytest.mark.parametrize("compute", [signals_from_logits, signals_in_chunks])
def test_refusals(compute, change, message):
    case = {
        "logits_s": np.zeros((2, 3)),
        "logits_a": np.zeros((2, 3)),
        "token_id": np.zeros(2, int),
        **change,
    }
    with pytest.raises(InputError, match=message):
        compute(**case)


@pytest.mark.parametrize("edge", [2, 3])
def test_a_nan_is_refused_whatever_is_selected(edge):
    torch = pytest.importorskip("torch")
    z = np.array([[np.nan, 0.0, 0.0, 0.0, -1.0], [2.0, 0.0, 0.0, 0.0, -1.0]])
    for convert in (np.asarray, torch.asarray):
        arrays = [convert(x) for x in (z, np.zeros((2, 5)), np.array([1, 1]))]
        with pytest.raises(InputError, match="position 0"):
            signals_from_logits(*arrays, top_k=edge, k_cov=edge)


def test_default_k_cov():
    sizes = np.arange(1, 1000)
    rule = np.array([default_k_cov(int(size)) for size in sizes])
    assert (np.diff(rule) >= 0).all() and rule.min() == 1 and rule.max() == 20
    assert (rule[1:] <= sizes[1:] / 2).all()
    assert [default_k_cov(size) for size in (3, 20, 150, 200, 151_936)] == [1, 2, 15, 20, 20]
    with pytest.raises(InputError, match="vocab_size must be a whole number of at least 1, got 0"):
        default_k_cov(0)


def test_importing_needs_no_torch():
    code = "import sys, recover_nb.features.signals; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- stored lists


def lists_by_hand(**options):
    # The two most likely of each: S {0: 1/2, 1: 1/4}, A {2: 1/2, 0: 1/4}, unsorted.
    # At T = 1 renormalised: S (2/3, 1/3), A (2/3 on 2, 1/3 on 0).
    return {
        "logprobs_s": np.log([0.25, 0.5]),
        "ids_s": np.array([1, 0]),
        "logprobs_a": np.log([0.25, 0.5]),
        "ids_a": np.array([0, 2]),
        "token_id": np.array(0),
        "temperature": 1.0,
        "k_cov": 1,
        **options,
    }


def test_lists():
    got = signals_from_topk(**lists_by_hand())
    assert list(got) == [*KEYS, "missing_mass", "missing_mass_ancestor"]
    agree(
        got,
        path_deformation=L2,  # log(2/3 / 1/3)
        coverage_deformation=np.log((2 / 3 + 1e-8) / 1e-8),  # S does not list 2
        logit_variance=L2**2 * 2 / 9,
        entropy=2 / 3 * np.log(1.5) + 1 / 3 * L3,
        # 2/3 log(2/3 / 1/3) + 1/3 (log 1/3 - (-1000 - log 3/4)), A not listing 1.
        kl_divergence=2 / 3 * L2 + 1 / 3 * (np.log(1 / 3) + 1000 + np.log(3 / 4)),
        missing_mass=1 / 4,
        missing_mass_ancestor=1 / 4,
    )


def test_lists_tempered():
    # T = 1/2: squares renormalised, S (4/5, 1/5), A 4/5 on 2 and 1/5 on 0; masses missing at T = 1.
    got = signals_from_topk(**lists_by_hand(temperature=0.5))
    agree(got, path_deformation=L4, logit_variance=L2**2 * 4 / 25, missing_mass=1 / 4)


def test_lists_top_k_and_k_cov():
    agree(signals_from_topk(**lists_by_hand(top_k=1)), entropy=0, logit_variance=0)
    # Cover {2, 0}: A all of it, S 2/3.
    agree(signals_from_topk(**lists_by_hand(k_cov=2)), coverage_deformation=np.log(1.5))
    # The default goes by the size of the vocabulary: 1 for the list of 2, 20 (all) for 200 tokens.
    one, all_of_it = (
        signals_from_topk(**lists_by_hand(k_cov=None, vocab_size=size)) for size in (None, 200)
    )
    agree(one, coverage_deformation=np.log((2 / 3 + 1e-8) / 1e-8))
    agree(all_of_it, coverage_deformation=np.log(1.5))


def test_lists_that_miss_the_token():
    # Token 1: S 1/3; A does not list it: -1000 - log 3/4.
    got = signals_from_topk(**lists_by_hand(token_id=np.array(1)))
    agree(got, path_deformation=np.log(1 / 3) + 1000 + np.log(3 / 4))
    # Its own log-probability 1/4 was stored beside the list: 1/4 / 3/4. A listed value comes first.
    stored = {"token_logprob_a": np.log(0.25), "token_logprob_s": np.log(0.01)}
    got = signals_from_topk(**lists_by_hand(token_id=np.array(1), **stored))
    agree(got, path_deformation=0)
    stored = {"token_logprob_a": np.array(np.nan)}
    got = signals_from_topk(**lists_by_hand(token_id=np.array(1), **stored))
    agree(got, path_deformation=np.log(1 / 3) + 1000 + np.log(3 / 4))
    # Neither list has token 5: both floors, log p_S - log p_A = -log 3/4 + log 3/4.
    agree(signals_from_topk(**lists_by_hand(token_id=np.array(5))), path_deformation=0)


@pytest.mark.parametrize("padding", [0.0, -1000.0, np.nan, np.inf, -np.inf])
def test_empty_places_and_repetitions_change_nothing(padding):
    plain = signals_from_topk(**lists_by_hand())
    padded = signals_from_topk(
        **lists_by_hand(
            logprobs_s=np.array([padding, np.log(0.25), np.log(0.5), np.log(0.4), padding]),
            ids_s=np.array([-1, 1, 0, 0, -1]),
            logprobs_a=np.array([np.log(0.5), padding, np.log(0.25), np.log(0.5)]),
            ids_a=np.array([2, -1, 0, 2]),
            top_k=4,
        )
    )
    for name, value in plain.items():
        assert padded[name] == pytest.approx(value), name


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("empty", ["s", "a", "both"])
def test_an_empty_list_is_all_floor(library, empty):
    convert = pytest.importorskip(library).asarray
    case = lists_by_hand(temperature=0.6)
    for side in "sa" if empty == "both" else empty:
        case[f"ids_{side}"] = np.array([-1, -1])
    case = {k: convert(v) if isinstance(v, np.ndarray) else v for k, v in case.items()}
    got = signals_from_topk(**case)
    assert all(np.isfinite(float(value)) for value in got.values())
    assert float(got["missing_mass" if empty == "s" else "missing_mass_ancestor"]) == 1.0


def test_lists_in_half_precision_with_impossible_tokens():
    case = lists_by_hand(
        logprobs_s=np.array([0.0, -np.inf], np.float16),
        logprobs_a=np.array([-1000.0, 0.001], np.float16),
    )
    got = signals_from_topk(**case)
    assert got["entropy"].dtype == np.float32
    assert all(np.isfinite(value) for value in got.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids_s": np.array([1, 0, 2])}, r"lists of the specialist.*\(3,\)"),
        ({"token_id": np.array([0])}, r"token_id of shape \(1,\)"),
        ({"token_id": np.array(-1)}, "token_id from -1 to -1"),
        ({"token_id": np.array(7), "vocab_size": 7}, "allowed: 0 to 6"),
        ({"ids_a": np.array([0, 9]), "vocab_size": 7}, "ids of the ancestor from 0 to 9"),
        ({"logprobs_a": np.array([3.0, 1.0])}, "ancestor hold NaN or a number above 0"),
        ({"logprobs_s": np.array([np.nan, -1.0])}, "specialist hold NaN"),
        ({"token_logprob_s": np.array([-1.0])}, r"of shape \(1,\)"),
        ({"token_logprob_s": np.array(2.0)}, "above 0"),
        ({"temperature": 0}, "temperature must be a .*number above 0.*, got 0"),
        ({"top_k": 0}, "top_k must be a whole number of at least 1, got 0"),
        ({"k_cov": -1}, "k_cov must be a whole number of at least 1, or None, got -1"),
        ({"vocab_size": 0}, "vocab_size must be a whole number of at least 1, or None, got 0"),
    ],
)
def test_refused_lists(change, message):
    with pytest.raises(InputError, match=message):
        signals_from_topk(**lists_by_hand(**change))


# ---- invariants

logit = st.floats(-30, 30, width=32).map(lambda x: round(x, 3))


@st.composite
def cases(draw):
    n, vocab_size = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    z = [draw(hnp.arrays(np.float64, (n, vocab_size), elements=logit)) for _ in range(2)]
    token = draw(hnp.arrays(np.int64, n, elements=st.integers(0, vocab_size - 1)))
    options = {
        "temperature": draw(st.floats(0.1, 3.0)),
        "top_k": draw(st.integers(1, 14)),
        "k_cov": draw(st.one_of(st.none(), st.integers(1, 14))),
    }
    return (*z, token), options


def close(got, expected, names=KEYS, tolerance=1e-7):
    for name in names:
        np.testing.assert_allclose(got[name], expected[name], tolerance, tolerance, err_msg=name)


@settings(deadline=None, max_examples=60)
@given(cases(), st.integers(-500, 500), st.integers(-500, 500))
def test_a_constant_added_to_logits_changes_nothing(case, shift_s, shift_a):
    (z_s, z_a, token), options = case
    moved = signals_from_logits(z_s + shift_s, z_a + shift_a, token, **options)
    names = KEYS[:-1]  # the path score divides by an sd that may be rounding alone
    close(moved, signals_from_logits(z_s, z_a, token, **options), names)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_identical_models_press_nothing(case):
    (z, _, token), options = case
    got = signals_from_logits(z, z.copy(), token, **{**options, "top_k": 12})
    for name in ("path_deformation", "coverage_deformation", "demotion_pressure", "path_score"):
        assert (got[name] == 0).all(), name
    np.testing.assert_allclose(got["kl_divergence"], 0, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_bounds(case):
    (z_s, z_a, token), options = case
    got = signals_from_logits(z_s, z_a, token, **options)
    kept = min(options["top_k"], z_s.shape[-1])
    assert all(np.isfinite(value).all() for value in got.values())
    for name in ("demotion_pressure", "logit_variance", "kl_divergence", "entropy", "path_score"):
        assert (got[name] >= 0).all(), name
    assert (got["entropy"] <= np.log(kept) + 1e-9).all()
    positive = [np.maximum(got[name], 0) for name in KEYS[:2]]
    np.testing.assert_allclose(got["demotion_pressure"], positive[0] + positive[1])


@settings(deadline=None, max_examples=80)
@given(cases(), st.randoms(use_true_random=False))
def test_the_two_routes_agree(case, random):
    (z_s, z_a, token), options = case
    vocab_size = z_s.shape[-1]
    lists = []
    for z in (z_s, z_a):
        order = np.array([random.sample(range(vocab_size), vocab_size) for _ in z])
        lists += [np.take_along_axis(log_softmax(z), order, -1), order]
    got = signals_from_topk(*lists, token, **options)
    # Shuffled and rounded once more: the score of an sd that is rounding alone is not compared.
    close(got, signals_from_logits(z_s, z_a, token, **options), KEYS[:-1], 1e-5)
    np.testing.assert_allclose(got["missing_mass"], 0, atol=1e-9)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("options", [{}, {"top_k": 7, "k_cov": 4, "temperature": 1.5}])
def test_the_two_routes_agree_on_the_path_score_too(library, options):
    convert = pytest.importorskip(library).asarray
    z_s, z_a, token = random_case((3, 4), 50, dtype=np.float64)
    order = np.argsort(-z_a, axis=-1)
    lists = [log_softmax(z_s), np.broadcast_to(np.arange(50), z_s.shape).copy()]
    lists += [np.take_along_axis(log_softmax(z_a), order, -1), order]
    got = signals_from_topk(*map(convert, (*lists, token)), **options)
    full = signals_from_logits(*map(convert, (z_s, z_a, token)), **options)
    close(got, full, KEYS, 1e-9)


def test_lists_of_nothing():
    nothing = np.zeros((0, 3)), np.zeros((0, 3), int)
    got = signals_from_topk(*nothing, *nothing, np.zeros(0, int))
    assert all(value.shape == (0,) for value in got.values())


def test_wide_logits_that_want_a_gradient_have_one():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    logits = torch.randn(64, 40_000, requires_grad=True)
    found = signals_from_logits(logits, logits.detach(), torch.zeros(64, dtype=torch.int64))
    found["entropy"].sum().backward()
    assert logits.grad.isfinite().all() and logits.grad.any()
