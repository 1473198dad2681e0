"""The attributes of a study that change a figure, checked before anything reads them."""

import math
from numbers import Integral, Real
from typing import Any

import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.kind import shown
from recover_nb.core.schema import IMPORTED, SCHEMA_VERSION, SchemaError
from recover_nb.core.stored_json import json_part
from recover_nb.core.token_text import TOKEN_TEXT, VOCABULARY

#: Attributes that hold a JSON object as text, and what in them is an object again.
_OBJECTS = {"config_json": "settings", "provenance_json": "models"}
#: More tokens to either side of a junction than any trace has.
_LARGEST_WINDOW = 1_000_000


def check_attrs(ds: xr.Dataset) -> None:
    """Raise a `SchemaError` for an attribute of another type or value than is allowed.

    One that is not there is left to who needs it.
    """
    if "schema_version" in ds.attrs:
        check_version(ds)
    tolerance = ds.attrs.get("regime_tolerance", 0.0)
    if not _is_number(tolerance) or not 0 <= tolerance <= 1:
        raise _wrong("regime_tolerance", tolerance, "a number from 0 to 1")
    for name in (IMPORTED, TOKEN_TEXT, VOCABULARY):
        if not isinstance(ds.attrs.get(name, ""), str):
            raise _wrong(name, ds.attrs[name], "a text")
    if not _is_whole(ds.attrs.get("seed", 0)):
        raise _wrong("seed", ds.attrs["seed"], "a whole number")
    notes = ds.attrs.get("import_notes", "")
    listed = isinstance(notes, str) or (
        hasattr(notes, "__iter__") and all(isinstance(each, str) for each in notes)
    )
    if not listed:
        raise _wrong("import_notes", notes, "a list of sentences")
    for name, within in _OBJECTS.items():
        if name in ds.attrs:
            _check_object(name, ds.attrs[name], within)
    if "features" in ds:
        _check_feature_attrs(ds["features"].attrs)


def check_version(ds: xr.Dataset) -> None:
    """Raise a `SchemaError` unless the study says that it has this schema version."""
    found = ds.attrs.get("schema_version")
    if found is None:
        raise SchemaError(
            "the Dataset has no attribute schema_version, so it is no study; allowed:"
            f" {SCHEMA_VERSION!r}, as written by recover-nb run or import"
        )
    if str(found) != SCHEMA_VERSION:
        raise SchemaError(
            f"the study has schema version {shown(found)} and this recover_nb reads"
            f" {SCHEMA_VERSION!r}; install the version that wrote it, or generate it again with"
            " recover-nb run"
        )


def _check_object(name: str, value: Any, within: str) -> None:
    try:
        inner = json_part({name: value}, name, within)
    except InputError as error:
        raise SchemaError(str(error)) from None
    if name == "config_json" and "window" in inner:
        _check_window(f"{name}, settings.window", inner["window"])


def _check_feature_attrs(attrs: dict[Any, Any]) -> None:
    if "window" in attrs:
        _check_window("window of features", attrs["window"])
    floor = attrs.get("floor", 0.0)
    if not _is_number(floor) or floor < 0:
        raise _wrong("floor of features", floor, "0 or a positive number, in nat")


def _check_window(name: str, value: Any) -> None:
    if not _is_whole(value) or not 0 <= value <= _LARGEST_WINDOW:
        raise _wrong(name, value, f"a whole number of tokens from 0 to {_LARGEST_WINDOW:,}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _wrong(name: str, value: Any, allowed: str) -> SchemaError:
    return SchemaError(f"attribute {name} of the study is {shown(value)}; allowed: {allowed}")
