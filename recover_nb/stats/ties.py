"""Choosing the best where several are equally good."""

import numpy as np

#: What the last bits of two equal sums may differ by, as machines add in different orders.
SLACK = 1e-9


def first_largest(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the place of the largest along an axis; of several, the first, on every machine.

    Parameters
    ----------
    values : float array
        Without NaN.
    axis : int

    Returns
    -------
    int array
        `values` without the axis.

    Examples
    --------
    >>> import numpy as np
    >>> int(np.argmax([0.3, 0.1 + 0.2])), int(first_largest(np.array([0.3, 0.1 + 0.2])))
    (1, 0)
    """
    return np.argmax(values >= values.max(axis=axis, keepdims=True) - SLACK, axis=axis)
