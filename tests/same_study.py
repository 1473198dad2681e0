"""Two studies held to one another, to the last bit."""

import numpy as np


def assert_equal(left, right):
    """Assert equality variable for variable: names, dims, dtype, values, no tolerance."""
    assert set(left.variables) == set(right.variables)
    assert dict(left.sizes) == dict(right.sizes)
    for name in left.variables:
        a, b = left[name], right[name]
        assert a.dims == b.dims, name
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a.values, b.values, err_msg=str(name))
