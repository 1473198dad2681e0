"""Standardise features over a cell."""

import numpy as np
from numpy.typing import ArrayLike

#: A column whose standard deviation is below this share of its largest magnitude is constant: what
#: is left of it is the rounding of the mean, and dividing by it would turn noise into z-scores of
#: +-1.
CONSTANT_SHARE = 1e-12


def standardise(features: ArrayLike, *, population: ArrayLike | None = None) -> np.ndarray:
    """Z-score feature columns with the mean and population sd of the rows being routed.

    Parameters
    ----------
    features : float array, shape (problem, feature)
        Raw features. A row with a NaN is left out of the mean and sd.
    population : bool array, shape (..., problem), optional
        Rows whose mean and sd are used (all by default). Leading axes give one standardisation
        each.

    Returns
    -------
    float64 array, shape (..., problem, feature)
        z-scores; a column constant over the population is all zeros; a row with a NaN is all NaN.

    Notes
    -----
    docs/method.md#z-scores: sd divides by n, not n - 1.
    """
    values = np.asarray(features, dtype=float)
    known = ~np.isnan(values).any(axis=-1)
    used = known if population is None else np.asarray(population, dtype=bool) & known
    # Features before problems: sums then run along the problems, which are many.
    filled = np.where(known, np.moveaxis(values, -1, 0), 0.0)
    # By a power of two, which changes no digit: squares of a unit far too large or too small would
    # leave what a float holds.
    exponent = np.frexp(np.abs(filled).max(axis=1, initial=0.0))[1]
    filled = np.ldexp(filled, -exponent[:, None])
    weight = used.astype(float)
    total = np.maximum(weight.sum(axis=-1), 1.0)[..., None]
    mean = weight @ filled.T / total
    deviation = filled - mean[..., None]
    # Two passes (deviations, then their squares): one pass cancels badly when the mean is large.
    variance = np.einsum("...p,...fp->...f", weight, deviation**2) / total
    sd = np.sqrt(variance)
    constant = sd <= CONSTANT_SHARE * np.abs(filled).max(axis=1, initial=0.0)
    scale = np.where(constant, np.inf, sd)[..., None]
    return np.swapaxes(np.where(known, deviation / scale, np.nan), -1, -2)
