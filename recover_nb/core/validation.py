"""The checks of what a study holds: whole studies (`validate`), and what is there of one.

`core.door` calls the second for every public function that takes a study.
"""

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.agreement import check_agreement
from recover_nb.core.attributes import check_attrs, check_version
from recover_nb.core.labels import Feature, Intervention, Origin, Regime, Signal, Slip
from recover_nb.core.schema import (
    COORDS,
    FEATURE,
    IMPORTED,
    INTERVENTION,
    PROBLEM,
    ROLLOUT,
    TEXT,
    TOKEN,
    UNIT_COORDS,
    VARIABLES,
    SchemaError,
    Variable,
    check_kind,
    joined,
    text,
)

#: Features are at most this large, and at least one over it, so that their squares are numbers.
LARGEST = 1e100


def validate(ds: xr.Dataset, *, deep: bool = True) -> xr.Dataset:
    """Check that `ds` is a study of this schema version, and return it unchanged.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table read into the same (no `rollout`, no `token`).
    deep : bool
        Check every token and signal as well; False looks at what is cheap to load.

    Returns
    -------
    Dataset
        The same object.

    Raises
    ------
    SchemaError
        One sentence: which variable, what was found, what is allowed.
    """
    check_kind(ds, "ds")
    check_version(ds)
    _check_dimensions(ds)
    for variable in VARIABLES.values():
        _check_variable(ds, variable)
    check_what_is_there(ds)
    if "route" in ds:
        _check_text(ds, "route", ["", *text(ds[INTERVENTION])])
    if deep:
        check_words(ds)
    if deep and "token_id" in ds:
        _check_tokens(ds)
        _check_signals(ds)
    return ds


def check_what_is_there(ds: xr.Dataset) -> None:
    """Check names, units, values and attributes of a study or of a part of one."""
    check_attrs(ds)
    for dim in (INTERVENTION, FEATURE):
        if dim in ds.coords:
            check_names(ds, dim)
    if set(UNIT_COORDS) <= set(ds.coords):
        _check_units(ds)
    _check_values(ds)
    check_agreement(ds)


def _check_dimensions(ds: xr.Dataset) -> None:
    for dim in (PROBLEM, INTERVENTION, FEATURE):
        if dim not in ds.dims:
            raise SchemaError(
                f"the study has no dimension {dim!r}; it has"
                f" {', '.join(map(str, ds.dims)) or 'none'}"
            )
    for name in COORDS:
        if name not in ds.coords or ds[name].dims != (PROBLEM,):
            raise SchemaError(
                f"coordinate {name!r} is missing or not on (problem); a study needs"
                f" {', '.join(COORDS)}"
            )
        _check_dtype(name, ds[name], TEXT)
    for dim in (INTERVENTION, FEATURE):
        if dim not in ds.coords:
            raise SchemaError(
                f"dimension {dim!r} has no coordinate; its {dim} names must be stored"
            )
    interventions = text(ds[INTERVENTION]).tolist()
    begins = [Intervention.NONE.value, Intervention.RETRY.value]
    if ROLLOUT in ds.dims and interventions[:2] != begins:
        raise SchemaError(
            f"intervention begins {', '.join(interventions[:2])}; it must begin none, retry"
        )
    if Intervention.RETRY not in interventions:
        raise SchemaError("intervention has no 'retry'; every comparison is with it")
    missing = [name.value for name in Feature if name not in text(ds[FEATURE])]
    if missing:
        raise SchemaError(f"feature has no {', '.join(missing)}; it must hold {', '.join(Feature)}")


def check_names(ds: xr.Dataset, dim: str) -> None:
    """Check that every name along a dimension is there once."""
    names = text(ds[dim]).tolist()
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SchemaError(f"{dim} {twice[0]!r} occurs twice; each may occur once")


def _check_variable(ds: xr.Dataset, variable: Variable) -> None:
    name = variable.name
    if name not in ds:
        if variable.required_with in ds.dims:
            raise SchemaError(
                f"variable {name!r} is missing; a study with dimension {variable.required_with!r}"
                f" needs it on ({', '.join(variable.dims)})"
            )
        return
    if ds[name].dims != variable.dims:
        raise SchemaError(
            f"variable {name!r} is on ({', '.join(map(str, ds[name].dims))}); "
            f"it must be on ({', '.join(variable.dims)})"
        )
    _check_dtype(name, ds[name], variable.dtype)


def _check_dtype(name: str, array: xr.DataArray, wanted: str) -> None:
    found = array.dtype
    # "O", "U" and "T" are numpy's ways to hold text; "S" is bytes, which would not compare equal to
    # str. No text at all has no type: stores give it back as numbers.
    fits = (found.kind in "OUT" or not array.size) if wanted == TEXT else found == np.dtype(wanted)
    if not fits:
        raise SchemaError(f"variable {name!r} has dtype {found}; it must be {wanted}")
    if wanted == TEXT and found.kind == "O" and ROLLOUT not in array.dims:
        text(array)


def _check_units(ds: xr.Dataset) -> None:
    units = list(zip(*(text(ds[name]).tolist() for name in UNIT_COORDS), strict=True))
    if len(set(units)) < len(units):
        seen: set = set()
        twice = next(unit for unit in units if unit in seen or seen.add(unit))
        raise SchemaError(
            f"problem unit {'|'.join(twice)} occurs twice; family, method, task and problem_id"
            " name one: leave one of them out, with ds.isel(problem=...)"
        )
    cells: dict[str, tuple[str, ...]] = {}
    for unit in units:
        other = cells.setdefault(joined(unit[:3]), unit[:3])
        if other != unit[:3]:
            raise SchemaError(
                f"family, method and task {unit[:3]} and {other} would be one cell,"
                f" {joined(other)!r}; rename one of them, without a bar"
            )


def _check_values(ds: xr.Dataset) -> None:
    """Check what costs little to load: nothing with a token dimension."""
    for name in ("correct", "parseable", "ended", "worked"):
        if name in ds:
            _need(ds, name, np.isin(ds[name].values, (-1, 0, 1)), "1, 0 or -1 (not run)")
    if "has_signals" in ds:
        _need(ds, "has_signals", np.isin(ds["has_signals"].values, (0, 1)), "0 or 1")
    for name in ("rescue_rate", "ancestor_pass_at_1"):
        if name in ds:
            rates = ds[name].values
            allowed = "a number in [0, 1], or NaN (not run)"
            _need(ds, name, np.isnan(rates) | ((rates >= 0) & (rates <= 1)), allowed)
    for name in ("attempts", "n_failed_rollouts", "forward_specialist", "forward_ancestor"):
        if name in ds:
            _need(ds, name, ds[name].values >= 0, "0 or more")
    if "features" in ds:
        _check_features(ds)
    if "n_tokens" in ds:
        _check_lengths(ds)
    if "regime" in ds:
        _check_text(ds, "regime", ["", *(each.value for each in Regime)])


def _check_features(ds: xr.Dataset) -> None:
    values = ds["features"].values
    _need(ds, "features", ~np.isinf(values), "a finite number, or NaN (no failed rollout)")
    size = np.abs(values)
    # Squares of other numbers leave what a float can hold, and a z-score would be of nothing.
    fits = np.isnan(size) | (size == 0) | ((size > 1 / LARGEST) & (size < LARGEST))
    _need(
        ds, "features", fits, f"0, or between {1 / LARGEST:.0e} and {LARGEST:.0e}: use another unit"
    )


def _check_lengths(ds: xr.Dataset) -> None:
    length, width = ds["n_tokens"].values, ds.sizes.get(TOKEN)
    if width is None:
        _need(ds, "n_tokens", length >= 0, "0 or more")
    else:
        fits = (length >= 0) & (length <= width)
        _need(ds, "n_tokens", fits, f"0 to {width}, the size of dimension token")
    if "correct" in ds:
        _need(
            ds,
            "n_tokens",
            (length > 0) | (ds["correct"].values == -1),
            "above 0 wherever correct is not -1",
        )
    for name in ("first_wrong", "wrong_step_start"):
        if name in ds:
            place = ds[name].values
            inside = (place >= -1) & (place < np.maximum(length, 0))
            _need(ds, name, inside, "-1, or a position below n_tokens")
    if "fired_at" in ds:
        fired = ds["fired_at"].values
        _need(
            ds,
            "fired_at",
            (fired >= -1) & (fired < np.maximum(length, 0)),
            "-1, or a position below n_tokens",
        )


def _check_text(ds: xr.Dataset, name: str, allowed: list[str]) -> None:
    found = text(ds[name])
    _need(ds, name, np.isin(found, allowed), ", ".join(filter(None, allowed)) + ", or empty")


def check_words(ds: xr.Dataset) -> None:
    """Check the words that rollouts are described by."""
    for name, kind in (("origin", Origin), ("slip", Slip)):
        if name not in ds:
            continue
        allowed = ["", *(each.value for each in kind)]
        found = pd.unique(ds[name].values.astype(object).ravel())
        # A few words, written many times: compared one by one only where one is wrong.
        if not set(found) <= set(allowed):
            _check_text(ds, name, allowed)


def _check_tokens(ds: xr.Dataset) -> None:
    tokens, length = ds["token_id"].values, ds["n_tokens"].values
    # A converter may know how long an attempt was and whether it was right, and not what it said.
    stored = (tokens >= 0).any(-1) if IMPORTED in ds.attrs else length > 0
    inside = (np.arange(ds.sizes[TOKEN], dtype=np.int32) < length[..., None]) & np.asarray(stored)[
        ..., None
    ]
    _need(
        ds, "token_id", (tokens >= 0) == inside, "0 or more before n_tokens, and -1 from there on"
    )
    _need(ds, "token_id", tokens >= -1, "0 or more before n_tokens, and -1 from there on")


def _check_signals(ds: xr.Dataset) -> None:
    for name in (*(each.value for each in Signal), "alternative_log_probability"):
        if name in ds:
            _need(ds, name, np.isfinite(ds[name].values), "finite (0 where none is stored)")


def _need(ds: xr.Dataset, name: str, holds: np.ndarray, allowed: str) -> None:
    """Raise for the first element where `holds` is False, saying where it is and what it is."""
    if holds.all():
        return
    place = np.unravel_index(int(np.argmin(holds)), holds.shape)
    where = ", ".join(f"{dim} {int(i)}" for dim, i in zip(ds[name].dims, place, strict=True))
    value = ds[name].values[place]
    shown = repr(value) if isinstance(value, str) else str(value)
    raise SchemaError(f"variable {name!r} is {shown} at {where}; allowed: {allowed}")
