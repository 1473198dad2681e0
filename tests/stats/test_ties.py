"""Of several that are equally good the first is chosen, whatever the last bits say."""

import numpy as np
import pytest

from recover_nb.stats.ties import first_largest


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.3, 0.1 + 0.2, 0.2], 0),
        ([0.1 + 0.2, 0.3, 0.2], 0),
        ([0.2, 0.3, 0.1 + 0.2], 1),
        ([0.3, 0.3 + 1e-8], 1),
        ([[1.0, 2.0], [2.0, 1.0], [0.5, 0.5]], [1, 0, 0]),
    ],
)
def test_the_first_of_equals(values, expected):
    assert first_largest(np.array(values)).tolist() == expected


def test_along_another_axis():
    assert first_largest(np.array([[0.3, 1.0], [0.1 + 0.2, 2.0]]), axis=0).tolist() == [0, 1]
