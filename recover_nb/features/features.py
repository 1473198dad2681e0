"""Junction, the three problem-level features, and their reliability (docs/method.md#3-features)."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from recover_nb.core import checks
from recover_nb.core.checks import check_whole
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import FEATURES, Intervention, Signal
from recover_nb.core.schema import failed_rollouts

#: A demotion pressure in nat: 0 is the published definition.
PRESSURE = checks.number(0, what="a demotion pressure in nat: 0, or a number above it such as 1e-4")

__all__ = [
    "compute_features",
    "junction",
    "junction_window",
    "problem_features",
    "rollout_features",
]


#: Least denominator and least argument of a logarithm.
FLOOR = 1e-8


DEFAULT_WINDOW = 8


# Problems are read and reduced a block at a time, so that a stored study need not fit in memory.
_BLOCK_BYTES = 2**26


#: Variable that a companion study keeps in place of signals: (problem, observed, feature).
KEPT_FEATURES = "rollout_features"


def junction(demotion_pressure: ArrayLike, n_tokens: ArrayLike) -> NDArray[np.int64]:
    """Return the position of the largest demotion pressure of each trace, the first on ties.

    Parameters
    ----------
    demotion_pressure : array of float, shape (..., token)
        J_t in nat; anything past the end of a trace.
    n_tokens : array of int, shape (...)
        Length of each trace.

    Returns
    -------
    array of int64, shape (...)
        From 0; -1 for a trace with no token, or with a NaN among its tokens.

    Raises
    ------
    InputError
        If shapes disagree or a trace is longer than the token dimension.

    Notes
    -----
    Source: docs/method.md#junction.
    """
    pressure, n_tokens, inside = _traces(demotion_pressure, n_tokens)
    if not pressure.shape[-1]:
        return np.full(n_tokens.shape, -1, dtype=np.int64)
    place = np.argmax(np.where(inside, pressure, -np.inf), axis=-1)
    usable = (n_tokens > 0) & ~np.any(inside & np.isnan(pressure), axis=-1)
    return np.where(usable, place, -1)


def junction_window(
    position: ArrayLike, n_tokens: ArrayLike, *, window: int = DEFAULT_WINDOW
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return start and stop (exclusive) of the window around each junction, clipped to the trace.

    Parameters
    ----------
    position : array of int, shape (...)
        As `junction` returns it.
    n_tokens : array of int, shape (...)
        Length of each trace.
    window : int
        w, in tokens to either side, at least 0.

    Returns
    -------
    start, stop : arrays of int64, shape (...)
        Both 0 where `position` is -1.

    Raises
    ------
    InputError
        If `window` is not a whole number of at least 0.

    Notes
    -----
    Source: docs/method.md#junction-window.
    """
    check_whole("window", window, 0)
    position, n_tokens = np.asarray(position, np.int64), np.asarray(n_tokens, np.int64)
    start = np.maximum(position - window, 0)
    stop = np.minimum(position + window + 1, n_tokens)
    known = position >= 0
    return np.where(known, start, 0), np.where(known, stop, 0)


def rollout_features(
    demotion_pressure: ArrayLike,
    logit_variance: ArrayLike,
    n_tokens: ArrayLike,
    *,
    window: int = DEFAULT_WINDOW,
    floor: float = 0.0,
) -> NDArray[np.float64]:
    """Compute the three features of each trace.

    Parameters
    ----------
    demotion_pressure : array of float, shape (..., token)
        J_t >= 0 in nat; anything past the end of a trace.
    logit_variance : array of float, shape (..., token)
        V_t >= 0 in squared logits.
    n_tokens : array of int, shape (...)
        Length of each trace.
    window : int
        Tokens to either side of the junction.
    floor : float
        `spread` counts tokens whose pressure is above it; 0 is the published definition. Above 0,
        pressure that is no more than rounding does not count.

    Returns
    -------
    array of float64, shape (..., 3)
        `spread` (a fraction), `concentration` and `logit_dispersion` (log10), in that order; higher
        is broader, more of a spike, more sensitive to temperature. NaN for a trace with no token or
        with NaN among its tokens. A trace without demotion pressure has concentration -8: the ratio
        0 is floored at 1e-8.

    Raises
    ------
    InputError
        If shapes disagree, a trace is longer than the token dimension, `window` is negative, or
        `floor` is negative or infinite.

    Notes
    -----
    Source: docs/method.md#three-features.
    """
    checks.check("floor", floor, PRESSURE)
    pressure, n_tokens, inside = _traces(demotion_pressure, n_tokens)
    variance = np.asarray(logit_variance)
    if variance.shape != pressure.shape:
        raise InputError(
            f"logit_variance of shape {variance.shape} beside demotion_pressure of shape "
            f"{pressure.shape}; allowed: the same shape"
        )
    start, stop = junction_window(junction(pressure, n_tokens), n_tokens, window=window)
    token = np.arange(pressure.shape[-1])
    near = (token >= start[..., None]) & (token < stop[..., None])
    pressure = np.where(inside, pressure, 0.0).astype(np.float64)
    length = np.maximum(n_tokens, 1)
    peak = pressure.max(axis=-1, initial=0.0)
    ratio = peak / np.maximum(pressure.sum(axis=-1) / length, FLOOR)
    # NaN variance outside the window does not matter; inside it, it comes through.
    local = np.where(near, variance, 0.0).sum(axis=-1, dtype=np.float64)
    local = local / np.maximum(stop - start, 1)
    features = np.stack(
        [
            (pressure > floor).sum(axis=-1) / length,
            np.log10(np.maximum(ratio, FLOOR)),
            np.log10(np.maximum(local, FLOOR)),
        ],
        axis=-1,
    )
    features[stop == start] = np.nan
    return features


def problem_features(rollout_features: ArrayLike, failed: ArrayLike) -> NDArray[np.float64]:
    """Average features over the failed rollouts of each problem.

    Parameters
    ----------
    rollout_features : array of float, shape (..., rollout, 3)
        As `recover_nb.features.features.rollout_features` returns them.
    failed : array of bool, shape (..., rollout)
        Which rollouts count. One whose features hold NaN is left out.

    Returns
    -------
    array of float64, shape (..., 3)
        NaN where no rollout counts.

    Raises
    ------
    InputError
        If shapes disagree.

    Notes
    -----
    Source: docs/method.md#three-features.
    """
    values, usable = usable_rollouts(rollout_features, failed)
    count = usable.sum(axis=-1)[..., None]
    total = np.where(usable[..., None], values, 0.0).sum(axis=-2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@takes_study()
@checks.takes(window=checks.DRAWS, floor=PRESSURE)
def compute_features(
    ds: xr.Dataset,
    *,
    window: int = DEFAULT_WINDOW,
    floor: float = 0.0,
    has_signals: ArrayLike | None = None,
) -> xr.DataArray:
    """Compute the features of each problem of a study.

    Parameters
    ----------
    ds : Dataset
        With `demotion_pressure` and `logit_variance` (problem, rollout, token), `n_tokens` and
        `correct` (problem, rollout, intervention); intervention ``"none"`` is used. It may be
        stored out of memory: it is read a block of problems at a time.
    window : int
        Tokens to either side of the junction.
    floor : float
        `spread` counts tokens whose pressure is above it, in nat. 0 is the published definition;
        docs/method.md#three-features says what a higher one changes.
    has_signals : array of bool, shape (problem, rollout), optional
        Which rollouts have signals; unless given, the study's variable of that name, if any. One
        with NaN among its tokens never counts.

    Returns
    -------
    DataArray
        ``features`` (problem, feature) float64, with the coordinates of `problem`; NaN for a
        problem with no failed rollout that has signals.

    Raises
    ------
    InputError
        If a variable, a dimension or the intervention is missing, shapes disagree, or `floor` is
        negative or infinite.

    See Also
    --------
    signals_from_logits : Signals of each token, from the logits of both models.
    needed_rollouts : How repeatable features are, by the number of failed rollouts.
    route : The step that features are made for.

    Notes
    -----
    Source: docs/method.md#three-features.

    References
    ----------
    .. [1] arXiv 2606.05145, which defines the three features.

    Examples
    --------
    Signals of every token become three numbers per problem.

    >>> import recover_nb as rnb
    >>> ds = rnb.load_study().isel(problem=[1, 2])
    >>> rnb.compute_features(ds, window=2).round(2).to_pandas()
    feature  spread  concentration  logit_dispersion
    problem
    0          0.43           1.27             -1.48
    1          0.44           1.31             -2.22
    """
    checks.check("floor", floor, PRESSURE)
    pressure, variance, n_tokens = _variables(ds)
    if has_signals is None:
        has_signals = ds.get("has_signals")
    usable = True if has_signals is None else _mask(has_signals, n_tokens)
    n_problems = n_tokens.shape[0]
    step = max(1, _BLOCK_BYTES // max(1, 8 * int(np.prod(pressure.shape[1:]))))
    features = np.full((n_problems, len(FEATURES)), np.nan)
    failed = failed_rollouts(ds) & (n_tokens > 0) & usable
    for start in range(0, n_problems, step):
        block = slice(start, start + step)
        rows = rollout_features(
            pressure.isel(problem=block).to_numpy(),
            variance.isel(problem=block).to_numpy(),
            np.where(failed[block], n_tokens[block], 0),
            window=window,
            floor=floor,
        )
        features[block] = problem_features(rows, failed[block])
    coords = {name: value for name, value in ds.coords.items() if value.dims == ("problem",)}
    return xr.DataArray(
        features,
        dims=("problem", "feature"),
        coords={**coords, "feature": list(FEATURES)},
        name="features",
        attrs={"window": window} | ({"floor": float(floor)} if floor else {}),
    )


def _traces(
    pressure: ArrayLike, n_tokens: ArrayLike
) -> tuple[NDArray[np.floating], NDArray[np.int64], NDArray[np.bool_]]:
    """Check the two arrays; return them with the mask (..., token) of what lies in the trace."""
    pressure, n_tokens = np.asarray(pressure), np.asarray(n_tokens)
    if not pressure.ndim or pressure.shape[:-1] != n_tokens.shape:
        raise InputError(
            f"demotion_pressure of shape {pressure.shape} with n_tokens of shape {n_tokens.shape}; "
            "allowed: (..., token) and (...)"
        )
    length = pressure.shape[-1]
    if n_tokens.size and (n_tokens.min() < 0 or n_tokens.max() > length):
        raise InputError(
            f"n_tokens from {n_tokens.min()} to {n_tokens.max()}; allowed: 0 to {length}, the size "
            "of the token dimension"
        )
    return pressure, n_tokens.astype(np.int64), np.arange(length) < n_tokens[..., None]


def _variables(
    ds: xr.Dataset,
) -> tuple[xr.DataArray, xr.DataArray, NDArray[np.int64]]:
    """Return pressure, variance and lengths, in the order of dimensions that features need."""
    names = (Signal.DEMOTION_PRESSURE.value, Signal.LOGIT_VARIANCE.value, "n_tokens", "correct")
    missing = [name for name in names if name not in ds]
    if missing:
        raise InputError(
            f"no variable {', '.join(missing)} in the study; needed: {', '.join(names)}"
        )
    none = Intervention.NONE.value
    if "intervention" not in ds.coords or none not in ds["intervention"].values:
        raise InputError(f"no intervention {none!r} in the study: features come from its rollouts")
    observed = ds[["n_tokens", "correct"]].sel(intervention=none)
    try:
        signals = [ds[name].transpose("problem", "rollout", "token") for name in names[:2]]
        counts = [observed[name].transpose("problem", "rollout").to_numpy() for name in names[2:]]
    except ValueError as error:
        raise InputError(f"dimensions of {', '.join(names)}: {error}") from None
    return signals[0], signals[1], counts[0]


def _mask(has_signals: ArrayLike, n_tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    if isinstance(has_signals, xr.DataArray):
        has_signals = has_signals.transpose("problem", "rollout")
    mask = np.asarray(has_signals, dtype=bool)
    if mask.shape != n_tokens.shape:
        raise InputError(
            f"has_signals of shape {mask.shape}; allowed: (problem, rollout) = {n_tokens.shape}"
        )
    return mask


def feature_matrix(ds: xr.Dataset, names: Sequence[str] = FEATURES) -> NDArray[np.float64]:
    """Return the named features, (problem, feature), NaN where a problem did not fail.

    Raises
    ------
    InputError
        If a feature is missing or infinite.
    """
    if isinstance(names, str) or not len(names):
        raise InputError(f"features is {names!r}; allowed: a list of feature names")
    if "features" not in ds:
        raise InputError("the study has no variable 'features'; compute it with compute_features")
    present = [str(name) for name in ds["feature"].values] if "feature" in ds.coords else []
    missing = [str(name) for name in names if name not in present]
    if missing:
        raise InputError(
            f"no feature {', '.join(missing)}; the study holds {', '.join(present) or 'none'}"
        )
    chosen = ds["features"].sel(feature=list(names)).transpose("problem", "feature")
    values = chosen.to_numpy().astype(np.float64)
    if np.isinf(values).any():
        raise InputError(
            "features hold an infinite value; allowed: finite numbers, or NaN (no failed rollout)"
        )
    return values


def window_of(ds: xr.Dataset) -> int:
    """Return the window that a study's features were made with, the usual one if it is not said."""
    return int(ds["features"].attrs.get("window", DEFAULT_WINDOW))


def floor_of(ds: xr.Dataset) -> float:
    """Return the floor that a study's `spread` was made with, 0 if it is not said."""
    return float(ds["features"].attrs.get("floor", 0.0)) if "features" in ds else 0.0


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


def failed_rollout_features(ds: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return features (problem, rollout, 3) of observed rollouts, and which failed and are known.

    Raises
    ------
    InputError
        If the study has neither `rollout_features` nor signals.
    """
    if KEPT_FEATURES in ds:
        values = ds[KEPT_FEATURES].transpose("problem", ..., "feature").values.astype(np.float64)
        return usable_rollouts(values, np.ones(values.shape[:2], dtype=bool))
    names = (Signal.DEMOTION_PRESSURE.value, Signal.LOGIT_VARIANCE.value)
    missing = [name for name in (*names, "n_tokens", "correct") if name not in ds]
    if missing:
        raise InputError(
            f"the study stores neither {KEPT_FEATURES} nor {', '.join(missing)}: features of single"
            " rollouts are not known; use a study with signals, or a companion of"
            " rnb.load_remapped()"
        )
    observed = ds["n_tokens"].sel(intervention=Intervention.NONE.value)
    length = observed.transpose("problem", "rollout").values
    kept = failed_rollouts(ds)
    if "has_signals" in ds:
        kept = kept & (ds["has_signals"].transpose("problem", "rollout").values == 1)
    pressure, variance = (
        ds[name].transpose("problem", "rollout", "token").values for name in names
    )
    values = rollout_features(pressure, variance, np.where(kept, length, 0), floor=floor_of(ds))
    return usable_rollouts(values, kept)
