"""Binomial draws are those of numpy's generator, number by number."""

import numpy as np
import pytest

from recover_nb.stats.binomial import binomial

TRIALS = np.array([[20, 20, 2], [10, 0, 2], [1, 255, 7]])


@pytest.mark.parametrize(
    "rate",
    [
        [[0.3], [0.5], [0.1]],
        [[0.0], [1.0], [0.9]],
        [[1e-12], [1 - 1e-12], [0.05]],
        [[0.4], [0.6], [0.4]],  # 255 trials at 0.4 are too many to go up step by step.
    ],
)
def test_draws_and_what_follows_are_numpys(rate):
    one, two = np.random.default_rng(3), np.random.default_rng(3)
    found = binomial(TRIALS, np.array(rate), 500, one)
    expected = two.binomial(TRIALS, np.array(rate), size=(500, 3, 3))
    np.testing.assert_array_equal(found, expected)
    assert one.random() == two.random()


class Given:
    """A generator whose uniform numbers are given; binomial draws are told apart by a 99."""

    def __init__(self, *uniform):
        self.uniform = list(uniform)
        self.bit_generator = type("State", (), {"state": "as before"})()

    def random(self, shape):
        assert shape == (1, len(self.uniform))
        return np.array([self.uniform])

    def binomial(self, trials, rate, size):
        assert self.bit_generator.state == "as before"
        return np.full(size, 99)


def test_by_hand_and_far_out_in_the_tail():
    # Two trials at 0.5: 0 up to 0.25, 1 up to 0.75; at 0.9, of which 2 less the failures is told.
    trials, rate = np.array([2, 2, 2, 2]), np.array([0.5, 0.5, 0.5, 0.9])
    assert binomial(trials, rate, 1, Given(0.2, 0.3, 0.8, 0.1)).tolist() == [[0, 1, 2, 2]]
    # Of 200 trials at 1e-9 numpy looks at 10 successes, and draws again beyond them.
    rare = np.array([200]), np.array([1e-9])
    assert binomial(*rare, 1, Given(1 - 1e-7)).tolist() == [[1]]
    assert binomial(*rare, 1, Given(2.0)).tolist() == [[99]]


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="p"):
        binomial(np.array([5, 5]), np.array([0.5, wrong]), 2, np.random.default_rng(0))
