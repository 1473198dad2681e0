"""Rescue rates and regimes (docs/method.md#5-rescue-rate and docs/method.md#6-regimes).

Array floor first (`count_rates`, `core.regimes`), then the labelled functions on (problem,
intervention) DataArrays.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from recover_nb.core import checks
from recover_nb.core.arrays import floats, labelled_array
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ROUTED_INTERVENTIONS, Intervention
from recover_nb.core.regimes import (
    MIN_FAILURE,
    MIN_GAIN,
    TOLERANCE,
    regimes_from_rates,
)


def count_rates(correct: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Count attempts and the share of them that is correct.

    Parameters
    ----------
    correct : array of int, shape (..., rollout, intervention)
        1 = correct, 0 = wrong, -1 = not run.

    Returns
    -------
    rate : float64 array, shape (..., intervention)
        Correct attempts divided by attempts, in [0, 1]; NaN where nothing was run.
    attempts : int32 array, shape (..., intervention)
        Attempts run.

    Raises
    ------
    InputError
        If a code other than 1, 0 or -1 is found, or the array has fewer than two dimensions.

    Notes
    -----
    docs/method.md#5-rescue-rate.
    """
    correct = np.asarray(correct)
    if correct.ndim < 2:
        raise InputError(
            f"correct has shape {correct.shape}; it must end in (rollout, intervention)"
        )
    if correct.dtype.kind == "O":
        correct = floats(correct, "correct")
    if correct.dtype.kind not in "biuf":
        raise InputError(f"correct has dtype {correct.dtype}; allowed: whole numbers")
    if correct.dtype.kind == "f":
        correct = np.where(np.isnan(correct), -1, correct)  # As xarray masks what was not run.
    run = correct >= 0
    if not np.isin(correct, (-1, 0, 1)).all():
        raise InputError("correct may hold only 1 (correct), 0 (wrong) and -1 (not run)")
    attempts = run.sum(axis=-2).astype(np.int32)
    successes = (correct == 1).sum(axis=-2)
    with np.errstate(invalid="ignore"):
        return successes / np.where(attempts > 0, attempts, np.nan), attempts


@checks.takes(correct=checks.LABELLED)
def rescue_rate(correct: xr.DataArray) -> xr.Dataset:
    """Rescue rate and attempts of each problem under each intervention.

    Parameters
    ----------
    correct : DataArray of int8 with dims (problem, rollout, intervention)
        1 = correct, 0 = wrong, -1 = not run. Plain arrays go to `count_rates`.

    Returns
    -------
    Dataset
        ``rescue_rate`` (problem, intervention) float64, NaN where nothing was run, and ``attempts``
        (problem, intervention) int32.

    Raises
    ------
    InputError
        If a dimension is missing or a code other than 1, 0 or -1 is found.

    Notes
    -----
    docs/method.md#5-rescue-rate.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=5, cells=[("qwen3", "sft", "program")])
    >>> rates = rnb.rescue_rate(ds["correct"])
    >>> rates["attempts"].sel(intervention="retry").values.tolist()
    [20, 20, 20, 20, 20]
    >>> rates["rescue_rate"].sel(intervention="retry").values.tolist()
    [0.0, 0.05, 0.15, 0.0, 0.05]
    """
    correct = labelled_array(correct, "correct")
    missing = {"rollout", "intervention"} - set(correct.dims)
    if missing:
        raise InputError(
            f"correct has dims {tuple(map(str, correct.dims))}; it needs rollout and intervention"
        )
    rate, attempts = xr.apply_ufunc(
        count_rates,
        correct.compute(),
        input_core_dims=[["rollout", "intervention"]],
        output_core_dims=[["intervention"], ["intervention"]],
    )
    return xr.Dataset({"rescue_rate": rate, "attempts": attempts})


def proportion_interval(
    n_correct: int, n_attempts: int, *, level: float = 0.95
) -> tuple[float, float]:
    """Wilson's score interval for a rescue rate.

    Parameters
    ----------
    n_correct, n_attempts : int
        Of independent attempts.
    level : float
        Confidence, in (0, 1).

    Returns
    -------
    low, high : float
        In [0, 1]; NaN for no attempt.

    Raises
    ------
    InputError
        If n_correct is not between 0 and n_attempts, or a count is not whole.
    """
    from scipy.stats import binomtest

    c, n = (int(_whole(each)) for each in (n_correct, n_attempts))
    if not 0 <= c <= n:
        raise InputError(
            f"{c} of {n} attempts cannot be correct; the number must lie between 0 and the attempts"
        )
    if n == 0:
        return float("nan"), float("nan")
    found = binomtest(c, n).proportion_ci(confidence_level=level, method="wilson")
    return float(found.low), float(found.high)


def _whole(values: ArrayLike) -> np.ndarray:
    """Return `values` as int64, refusing what is not a whole number."""
    array = np.asarray(values)
    # Casting would turn 2.5 into 2 without a word.
    if (
        array.dtype.kind not in "iub"
        and not (np.isfinite(array) & (array == np.round(array))).all()
    ):
        raise InputError("counts must be whole numbers")
    return array.astype(np.int64)


@checks.takes(
    rescue_rate=checks.ARRAY,
    interventions=checks.NAMES,
    min_gain=checks.SHARE,
    min_failure=checks.SHARE,
    tolerance=checks.SHARE,
)
def classify_regimes(
    rescue_rate: xr.DataArray | ArrayLike,
    *,
    interventions: Sequence[str] = ROUTED_INTERVENTIONS,
    min_gain: float = MIN_GAIN,
    min_failure: float = MIN_FAILURE,
    tolerance: float = TOLERANCE,
) -> xr.DataArray | np.ndarray:
    """Regime of each problem from its rescue rates.

    Parameters
    ----------
    rescue_rate : DataArray with dims (problem, intervention), or float array (problem, 1 + n)
        A DataArray names its interventions, in any order, and may hold more than are used. A plain
        array has retry in column 0 and `interventions` in the others.
    interventions : sequence of str
        The interventions that may make a problem steerable: the published four by default.
    min_gain, min_failure, tolerance : float
        See `core.regimes.regimes_from_rates`.

    Returns
    -------
    DataArray (problem) or array of str
        A `labels.Regime` value, or "" where a rate is NaN (the problem was not a failed unit).

    Raises
    ------
    InputError
        If an intervention is missing, a plain array has the wrong width, or a rate lies outside [0,
        1].

    Notes
    -----
    docs/method.md#6-regimes: exactly one label for each problem.

    Examples
    --------
    A problem that retrying solves, one that steering alone solves, one that nothing solves.

    >>> import recover_nb as rnb
    >>> rates = [[0.8, 0.8], [0.1, 0.6], [0.0, 0.0]]  # retry, sparse_steer
    >>> rnb.classify_regimes(rates, interventions=["sparse_steer"]).tolist()
    ['resample', 'steerable_hard', 'beyond_reach']
    """
    edges = {"min_gain": min_gain, "min_failure": min_failure, "tolerance": tolerance}
    names = [str(name) for name in interventions]
    if not isinstance(rescue_rate, xr.DataArray):
        rates = floats(rescue_rate, "rescue_rate")
        if rates.ndim < 1 or rates.shape[-1] != 1 + len(names):
            raise InputError(
                f"rescue_rate has shape {rates.shape}; a plain array needs {1 + len(names)}"
                f" columns: retry, {', '.join(names)}"
            )
        return regimes_from_rates(rates[..., 0], rates[..., 1:], **edges)
    rescue_rate = labelled_array(rescue_rate, "rescue_rate")
    wanted = [Intervention.RETRY.value, *names]
    named = "intervention" in rescue_rate.coords and "intervention" in rescue_rate.dims
    present = [str(name) for name in rescue_rate["intervention"].values] if named else []
    missing = [name for name in wanted if name not in present]
    if missing:
        raise InputError(
            f"rescue_rate has no intervention {', '.join(missing)}; it holds {', '.join(present)}: "
            "run the missing ones or pass interventions="
        )
    regime = xr.apply_ufunc(
        lambda rates: regimes_from_rates(rates[..., 0], rates[..., 1:], **edges),
        rescue_rate.sel(intervention=wanted).compute(),
        input_core_dims=[["intervention"]],
    )
    return regime.rename("regime")


def with_rates(ds: xr.Dataset) -> xr.Dataset:
    """Return a study with rescue rates, counting them from `correct` where they are missing.

    Raises
    ------
    InputError
        If there is nothing to count them from.
    """
    if {"rescue_rate", "attempts"} <= set(ds.data_vars):
        return ds
    if "correct" not in ds:
        raise InputError(
            "the study has neither rescue_rate and attempts nor correct; one of them is needed"
        )
    return ds.merge(rescue_rate(ds["correct"]), compat="override")


def worked_rates(ds: xr.Dataset, arms: Sequence[str]) -> np.ndarray | None:
    """Return rescue rates where a right answer without a step counts as wrong.

    Parameters
    ----------
    ds : Dataset
    arms : sequence of str
        Interventions.

    Returns
    -------
    (problem, arm) float64, or None
        NaN where no attempt is known to have a step or none. None where the study knows no steps.
    """
    if not {"correct", "worked"} <= set(ds.data_vars):
        return None
    some = ds[["correct", "worked"]].sel(intervention=list(arms))
    right = ((some["correct"] == 1) & (some["worked"] == 1)).sum("rollout")
    run = (some["correct"] >= 0).sum("rollout")
    known = (some["worked"] >= 0).any("rollout") & (run > 0)
    rate = right / run.where(known)
    return rate.transpose("problem", "intervention").values
