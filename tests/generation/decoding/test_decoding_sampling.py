"""Random numbers and inverse CDF, by hand."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recover_nb.core.errors import InputError
from recover_nb.generation.decoding import (
    Stream,
    inverse_cdf,
    problem_key,
    temper,
    to_grid,
    uniforms,
)

KEYS = np.array([3, 2**63 + 5], dtype=np.uint64)


def draw(probabilities, u):
    return inverse_cdf(torch.tensor([probabilities] * len(u)), torch.tensor(u)).tolist()


def test_problem_key_is_the_documented_hash():
    digest = hashlib.blake2b(b"qwen3|sft|arithmetic|a-1", digest_size=8).digest()
    assert problem_key("qwen3", "sft", "arithmetic", "a-1") == int.from_bytes(digest, "little")


def test_uniforms_are_philox_at_the_documented_counter():
    drawn = uniforms(7, Stream.OBSERVED, KEYS, np.array([0, 4]), 5)
    key = np.array([7, 1], dtype=np.uint64)
    bits = np.random.Philox(key=key, counter=np.array([0, 4, 2**63 + 5, 0], dtype=np.uint64))
    np.testing.assert_array_equal(drawn[1, 1], np.random.Generator(bits).random(5))
    assert drawn.shape == (2, 2, 5)
    assert drawn.dtype == np.float64


def test_uniforms_depend_on_their_own_indices_only():
    whole = uniforms(0, Stream.ATTEMPTS, KEYS, np.arange(6), 9)
    np.testing.assert_array_equal(
        uniforms(0, 0, KEYS[::-1], np.array([5, 2]), 4), whole[::-1][:, [5, 2], :4]
    )
    for other in (
        uniforms(0, Stream.OBSERVED, KEYS, np.arange(6), 9),
        uniforms(1, 0, KEYS, np.arange(6), 9),
    ):
        assert not np.isin(other, whole).any()


def test_negative_rollouts_are_refused():
    with pytest.raises(InputError, match="rollout -1"):
        uniforms(0, 0, KEYS, np.array([-1]), 1)


def test_inverse_cdf_by_hand():
    # Cumulative 0.25, 0.5, 1: exact in binary, so that the edges can be tested.
    assert draw([0.25, 0.25, 0.5], [0.0, 0.24, 0.25, 0.49, 0.5, 0.99]) == [0, 0, 1, 1, 2, 2]


def test_inverse_cdf_never_returns_an_impossible_token():
    u = [0.0, 0.5, np.nextafter(1.0, 0.0), 1.0]
    assert draw([0.0, 0.5, 0.0, 0.5, 0.0], u) == [1, 3, 3, 3]


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda p: sum(p) > 1e-6),
    st.floats(0, 1),
)
def test_inverse_cdf_stays_within_the_support(probabilities, u):
    assert probabilities[draw(probabilities, [u])[0]] > 0


def test_temper_by_hand():
    logits = torch.tensor([0.0, 2 * np.log(3)])
    torch.testing.assert_close(temper(logits, 2.0), torch.tensor([0.25, 0.75], dtype=torch.float64))
    torch.testing.assert_close(temper(logits, 1.0), torch.tensor([0.1, 0.9], dtype=torch.float64))
    assert temper(torch.tensor([1.0, 5.0, 2.0]), 0).tolist() == [0, 1, 0]


def test_grid_rounds_and_zero_does_not():
    logits = torch.tensor([0.3, -0.3, 0.126])
    assert to_grid(logits, 0.25).tolist() == [0.25, -0.25, 0.25]
    assert torch.equal(to_grid(logits, 0), logits)
    torch.testing.assert_close(
        temper(logits, 1.0, 0.25), torch.softmax(torch.tensor([0.25, -0.25, 0.25]).double(), -1)
    )


@given(
    st.lists(st.integers(-64, 64), min_size=2, max_size=12, unique=True),
    st.floats(0.25, 4),
    st.floats(0.25, 4),
)
def test_temperature_preserves_ranks(sixteenths, one, other):
    logits = torch.tensor(sixteenths) / 16
    assert torch.equal(temper(logits, one).argsort(), temper(logits, other).argsort())
    assert torch.equal(temper(logits, one).argsort(), logits.argsort())
