"""Split-half reliability of the features (method.md section 3).

Gathering failed rollouts is what the method costs up front: this says how many are enough.
"""

import warnings
from numbers import Integral

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from recover_nb.errors import InputError
from recover_nb.labels import Feature

FEATURES = tuple(feature.value for feature in Feature)
DEFAULT_SIZES = (1, 2, 5, 10, 20, None)
#: Coordinate of the size None.
ALL = "all"
# Nothing is stepped up from a correlation this close to -1.
_FLOOR = 1e-8


def feature_reliability(
    rollout_features: ArrayLike,
    failed: ArrayLike,
    sizes: tuple[int | None, ...] = DEFAULT_SIZES,
    *,
    n_splits: int = 100,
    seed: int = 0,
) -> xr.Dataset:
    """Measure how repeatable the features are, against the failed rollouts they are made from.

    Each split draws two disjoint halves of `size` failed rollouts from every problem that has twice
    as many, averages each half, and correlates the two over problems.

    Parameters
    ----------
    rollout_features : array of float, shape (problem, rollout, 3)
        As `recover_nb.features.rollout_features` returns them. Pass one cell's problems at a time:
        differences between cells would count as reliability.
    failed : array of bool, shape (problem, rollout)
        Which rollouts count. One whose features hold NaN is left out.
    sizes : tuple of int or None
        Rollouts in each half, at least 1; None: half of all that the problem has.
    n_splits : int
        Random splits to average the correlation over.
    seed : int
        Of the splits; each size is split alike.

    Returns
    -------
    Dataset
        Dimensions `size` (strings, ``"all"`` for None) and `feature`:

        - `correlation` (size, feature): mean Pearson correlation of the halves, the reliability of
          an average over `size` rollouts;
        - `correlation_sd` (size, feature): its standard deviation over splits;
        - `spearman_brown` (size, feature): 2 r / (1 + r), the reliability of both halves together,
          that is of ``2 * size`` rollouts, or of all;
        - `n_problems` (size): problems with enough failed rollouts.

        NaN with fewer than 3 problems, or where a feature does not vary.

    Raises
    ------
    InputError
        If shapes disagree, or a size or `n_splits` is not a whole number of at least 1.

    Notes
    -----
    Source: method.md section 3.
    """
    values, usable = usable_rollouts(rollout_features, failed)
    if values.ndim != 3:
        raise InputError(f"features of shape {values.shape}; allowed: (problem, rollout, 3)")
    for name, count in [
        ("n_splits", n_splits),
        *(("size", 1 if size is None else size) for size in sizes),
    ]:
        check_whole(name, count, 1)
    available = usable.sum(axis=-1)
    halves = [available // 2 if size is None else np.full_like(available, size) for size in sizes]
    enough = [(available >= 2 * half) & (half >= 1) for half in halves]
    r = np.full((len(sizes), n_splits, len(FEATURES)), np.nan)
    rng = np.random.default_rng(seed)
    clean = np.where(usable[..., None], values, 0.0)
    for split in range(n_splits):
        # Places in a random order of the usable rollouts; the unusable come last.
        order = np.argsort(np.where(usable, rng.random(usable.shape), 2.0), axis=-1)
        place = np.argsort(order, axis=-1)
        for i, (half, rows) in enumerate(zip(halves, enough, strict=True)):
            r[i, split] = _half_correlation(clean[rows], place[rows], half[rows])
    return _reliability_dataset(r, sizes, [int(rows.sum()) for rows in enough])


def _half_correlation(
    values: NDArray[np.float64], place: NDArray[np.int64], half: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Correlate the means of the first and second `half` (P,) rollouts by `place` (P, R)."""
    half = half[:, None]
    first, second = (
        np.einsum("pr,prf->pf", mask, values) / half
        for mask in (place < half, (place >= half) & (place < 2 * half))
    )
    if len(values) < 3:
        return np.full(values.shape[-1], np.nan)
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    scale = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    product = (first * second).sum(axis=0)
    # Sums of equal numbers vary by rounding: that is no variation.
    return np.where(scale > 1e-20, product / np.maximum(scale, 1e-300), np.nan)


def _reliability_dataset(
    r: NDArray[np.float64], sizes: tuple[int | None, ...], n_problems: list[int]
) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a size with no correlation stays NaN
        mean, spread = np.nanmean(r, axis=1), np.nanstd(r, axis=1)
    stepped = np.where(1 + mean > _FLOOR, 2 * mean / np.maximum(1 + mean, _FLOOR), np.nan)
    dims = ("size", "feature")
    return xr.Dataset(
        {
            "correlation": (dims, mean),
            "correlation_sd": (dims, spread),
            "spearman_brown": (dims, stepped),
            "n_problems": ("size", np.asarray(n_problems, dtype=np.int32)),
        },
        coords={
            "size": [ALL if size is None else str(size) for size in sizes],
            "feature": list(FEATURES),
        },
    )


def usable_rollouts(
    values: ArrayLike, failed: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return features as float64 and the mask (..., rollout) of those to use."""
    values, failed = np.asarray(values, dtype=np.float64), np.asarray(failed, dtype=bool)
    if values.ndim < 2 or values.shape[-1] != len(FEATURES) or values.shape[:-1] != failed.shape:
        raise InputError(
            f"features of shape {values.shape} with failed of shape {failed.shape}; allowed: "
            f"(..., rollout, {len(FEATURES)}) and (..., rollout)"
        )
    return values, failed & ~np.isnan(values).any(axis=-1)


def check_whole(name: str, value: int, least: int) -> None:
    """Raise an `InputError` unless `value` is a whole number of at least `least`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} {value!r}; allowed: a whole number of at least {least}")
