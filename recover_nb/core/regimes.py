"""The rule of regimes, on arrays (docs/method.md#6-regimes)."""

import numpy as np
from numpy.typing import ArrayLike

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Regime

#: Smallest gain of the best intervention over retry that makes a problem steerable
#: (docs/method.md#6-regimes).
MIN_GAIN = 0.05


#: Smallest failure rate under retry that makes a problem hard (docs/method.md#6-regimes).
MIN_FAILURE = 0.50


#: Slack of both comparisons. Rates are ratios of small integers, so two thresholds that differ at
#: all differ by far more than this, while 0.35 - 0.30 falls short of 0.05 by 5e-17 in binary
#: floating point.
TOLERANCE = 1e-9


def is_steerable_hard(
    retry: np.ndarray,
    best: np.ndarray,
    *,
    min_gain: float = MIN_GAIN,
    min_failure: float = MIN_FAILURE,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    """Tell where best - retry >= min_gain and 1 - retry >= min_failure, both up to `tolerance`.

    Shapes broadcast; NaN is never steerable_hard. docs/method.md#6-regimes.
    """
    return (best - retry >= min_gain - tolerance) & (1.0 - retry >= min_failure - tolerance)


def regimes_from_rates(
    retry: ArrayLike,
    others: ArrayLike,
    *,
    min_gain: float = MIN_GAIN,
    min_failure: float = MIN_FAILURE,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    """Label each problem steerable_hard, beyond_reach or resample.

    Parameters
    ----------
    retry : float array, shape (...)
        Rescue rate under retry, in [0, 1].
    others : float array, shape (..., intervention)
        Rescue rates under the interventions that may make a problem steerable (not retry).
    min_gain, min_failure : float
        Edges, inclusive: best - retry >= `min_gain`, 1 - retry >= `min_failure`.
    tolerance : float
        Slack of both comparisons against floating-point noise; 0 compares plain floats.

    Returns
    -------
    str array, shape (...)
        A `labels.Regime` value, or "" where a rate is NaN.

    Raises
    ------
    InputError
        If a rate lies outside [0, 1] or no intervention is given.

    Notes
    -----
    docs/method.md#6-regimes.
    """
    retry, others = np.asarray(retry, dtype=float), np.asarray(others, dtype=float)
    if others.ndim == 0 or others.shape[-1] == 0:
        raise InputError("regimes need at least one intervention beside retry")
    for rates in (retry, others):
        if ((rates < 0) | (rates > 1)).any():
            raise InputError("rescue rates must lie between 0 and 1 (NaN = not run)")
    best = others.max(axis=-1)
    hard = is_steerable_hard(
        retry, best, min_gain=min_gain, min_failure=min_failure, tolerance=tolerance
    )
    return np.select(
        [np.isnan(retry) | np.isnan(best), hard, best == 0],
        ["", Regime.STEERABLE_HARD.value, Regime.BEYOND_REACH.value],
        default=Regime.RESAMPLE.value,
    )
