"""How far two measurements of the same units agree: kappas for labels, correlations for numbers.

Correlations are around group means.

Array floor: every function takes rows of weights, so that the data and all bootstrap resamples are
one call.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recover_nb.stats.resampling import ratio


def cohen_kappa(table: np.ndarray) -> np.ndarray:
    """Cohen's kappa of square tables of counts.

    Parameters
    ----------
    table : float array, shape (..., label, label)
        Units by the first label and the second.

    Returns
    -------
    float64 array, shape (...)
        (agreement - chance) / (1 - chance), chance from the margins; NaN where it is undefined.
    """
    table = np.asarray(table, dtype=np.float64)
    total = table.sum(axis=(-2, -1))
    observed = ratio(np.trace(table, axis1=-2, axis2=-1), total)
    chance = ratio((table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1), total**2)
    return ratio(observed - chance, 1 - chance)


def beyond_chance(
    first: ArrayLike, second: ArrayLike, strata: ArrayLike, weights: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compare two labellings of the same units with what chance makes agree within strata.

    Parameters
    ----------
    first, second : arrays, shape (unit,)
        Labels.
    strata : array, shape (unit,)
        Chance is the agreement of a unit's first label with the second label of *another* unit of
        its stratum, so that nothing all units of a stratum share counts as agreement. Units alone
        in a stratum are left out.
    weights : array of float, shape (resample, unit)
        How often each unit occurs; a row of ones is the data.

    Returns
    -------
    agreement, chance, kappa : arrays of float64, shape (resample,)
        ``kappa = (agreement - chance) / (1 - chance)``; NaN where that is undefined.

    Notes
    -----
    With one stratum this is Cohen's kappa, but for pairs of a unit with itself, which Cohen's
    chance holds too: here small strata do not bias it downwards.
    """
    _, both = np.unique(np.concatenate([first, second]), return_inverse=True)
    first, second = both[: len(both) // 2], both[len(both) // 2 :]
    _, strata = np.unique(strata, return_inverse=True)
    weights = np.asarray(weights, dtype=np.float64)
    agreed = weights * (first == second)
    total, same, chance = (np.zeros(len(weights)) for _ in range(3))
    for stratum in range(strata.max(initial=-1) + 1):
        rows = strata == stratum
        w = weights[:, rows]
        pairs = w.sum(1) ** 2 - (w**2).sum(1)
        matched = -(w * agreed[:, rows]).sum(1)
        for label in range(both.max() + 1):
            matched += (w @ (first[rows] == label)) * (w @ (second[rows] == label))
        # Where resampling leaves one unit of a stratum, there is no other to agree with by chance.
        size = np.where(pairs > 0, w.sum(1), 0.0)
        total += size
        same += np.where(pairs > 0, agreed[:, rows].sum(1), 0.0)
        chance += size * np.nan_to_num(ratio(matched, pairs))
    agreement, chance = ratio(same, total), ratio(chance, total)
    return agreement, chance, ratio(agreement - chance, 1 - chance)


def weighted_correlation(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    weights: NDArray[np.float64],
    groups: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Correlate columns of x and y (unit, column) around the means of `groups`, by row of weights.

    Returns
    -------
    array of float64, shape (resample, column)
        NaN where a column does not vary within groups.
    """
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    member = (groups[:, None] == np.arange(groups.max() + 1)).astype(np.float64)
    size = weights @ member

    def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = member[:, :, None] * values[:, None, :]
        return (weights @ columns.reshape(len(values), -1)).reshape(*size.shape, -1)

    sx, sy = sums(x), sums(y)
    per = np.where(size > 0, 1 / np.maximum(size, 1e-12), 0.0)[..., None]
    products = [
        weights @ (a * b) - (sa * sb * per).sum(axis=1)
        for a, b, sa, sb in ((x, y, sx, sy), (x, x, sx, sx), (y, y, sy, sy))
    ]
    scale = np.sqrt(np.maximum(products[1], 0) * np.maximum(products[2], 0))
    # Sums of equal numbers vary by rounding: that is no variation.
    return np.where(scale > 1e-12, products[0] / np.maximum(scale, 1e-12), np.nan)
