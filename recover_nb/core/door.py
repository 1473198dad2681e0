"""The one door for a study: every public function that takes one has it checked here first.

People do things to a Dataset: they transpose it, load it elsewhere, mask it, regrade it. What can
be put right without loss is (`core.mended`); what contradicts itself is refused in one sentence.
"""

import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import xarray as xr

from recover_nb.core.labels import Intervention
from recover_nb.core.mended import mended
from recover_nb.core.schema import (
    COORDS,
    FEATURE,
    INTERVENTION,
    PROBLEM,
    ROLLOUT,
    TOKEN,
    VARIABLES,
    SchemaError,
    check_kind,
    text,
)
from recover_nb.core.validation import check_names, check_what_is_there

P = ParamSpec("P")
R = TypeVar("R")

#: Whether a public function is running: what it hands on to others has been checked.
_INSIDE: ContextVar[bool] = ContextVar("inside the door", default=False)
#: Studies that came through the door, by id. Nobody else holds them, so they stay as they are.
_ADMITTED: dict[int, weakref.ref] = {}


def takes_study(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have the studies that a function is given checked, and what can be mended mended.

    Parameters
    ----------
    *names : str
        Parameters that are studies, or mappings to studies; ``ds`` unless given. None is allowed
        where it is the default.
    """
    parameters = names or ("ds",)

    def around(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if _INSIDE.get():
                return function(*args, **kwargs)
            try:
                given = signature.bind(*args, **kwargs)
            except TypeError:
                return function(*args, **kwargs)  # It says itself what it lacks.
            for name in parameters:
                if name in given.arguments and not (
                    given.arguments[name] is None and signature.parameters[name].default is None
                ):
                    given.arguments[name] = _admit_all(given.arguments[name], name)
            token = _INSIDE.set(True)
            try:
                return function(*given.args, **given.kwargs)
            except KeyError as error:
                lacks = _lacking(error, [*_each(given.arguments, parameters)])
                if not lacks:
                    raise
                called = function.__qualname__.removesuffix(".__init__")
                raise SchemaError(f"{called} needs {lacks}") from error
            finally:
                _INSIDE.reset(token)

        return checked

    return around


def _admit_all(value: Any, name: str) -> Any:
    if name != "studies":
        return admit(value, name)
    if not isinstance(value, Mapping) or isinstance(value, xr.Dataset):
        raise SchemaError(
            f"studies must be a dict of seed to study, not a {type(value).__name__}; such as"
            " rnb.load_seeds()"
        )
    return {key: admit(each, f"studies[{key!r}]") for key, each in value.items()}


def admit(ds: Any, name: str = "ds") -> xr.Dataset:
    """Return a study with what can be mended mended, in memory but for what is as long as a trace.

    Parameters
    ----------
    ds : Dataset
        A study or a part of one. It stays as it is.
    name : str
        What the argument is called.

    Raises
    ------
    SchemaError
        Something else than a Dataset, one without problems, or one that contradicts the schema or
        itself.
    """
    known = _ADMITTED.get(id(ds))
    if known is None or known() is not ds:
        check_kind(ds, name)
        _check_problems(ds, name)
        ds = mended(ds)
        _check_dims(ds)
        check_what_is_there(ds)
        place = id(ds)
        _ADMITTED[place] = weakref.ref(ds, lambda _: _ADMITTED.pop(place, None))
    return ds


def _check_problems(ds: xr.Dataset, name: str) -> None:
    if PROBLEM not in ds.dims:
        has = ", ".join(map(str, ds.dims)) or "none"
        how = (
            "one problem is kept as a study by a list, ds.isel(problem=[0])"
            if {"family", "correct"} & set(ds.variables) and ROLLOUT in ds.dims
            else "give a study, such as rnb.open_study(path), or rename its dimension"
        )
        raise SchemaError(f"{name} has no dimension 'problem'; its dimensions are {has}: {how}")
    if not ds.sizes[PROBLEM]:
        raise SchemaError(f"{name} holds no problem; choose at least one")


def _check_dims(ds: xr.Dataset) -> None:
    for dim in (INTERVENTION, FEATURE):
        if dim in ds.dims and dim not in ds.coords:
            raise SchemaError(
                f"dimension {dim!r} has no coordinate, so nothing says which is which; name them"
                f" with ds.assign_coords({dim}=...)"
            )
        if dim in ds.coords:
            check_names(ds, dim)
    for name, variable in VARIABLES.items():
        if name in ds and ds[name].dims != variable.dims:
            found = ", ".join(map(str, ds[name].dims))
            raise SchemaError(
                f"variable {name!r} is on ({found}); it must be on ({', '.join(variable.dims)})"
            )


def _each(arguments: Mapping[str, Any], names: Sequence[str]) -> Iterator[Any]:
    """Yield the studies among arguments, those of mappings included."""
    for name in names:
        value = arguments.get(name)
        yield from value.values() if isinstance(value, dict) else (value,)


def _lacking(error: KeyError, studies: Sequence[Any]) -> str:
    """Return what a study was looked into for and does not hold; empty for any other error."""
    said = str(error).split(". Variables on")[0]
    for ds in studies:
        if ds is None:
            continue
        known = (*VARIABLES, *COORDS, INTERVENTION, FEATURE, ROLLOUT, TOKEN)
        for name in known:
            if repr(name) in said and name not in ds.variables and name not in ds.dims:
                return f"{name!r}, which the study does not hold; give one that does"
        there = text(ds[INTERVENTION]).tolist() if INTERVENTION in ds.coords else []
        arms = [each.value for each in Intervention]
        missing = [name for name in arms if repr(name) in said and name not in there]
        if repr(FEATURE) in said:
            there = text(ds[FEATURE]).tolist()
            return f"more features, and the study holds {', '.join(there)}; give one with all three"
        if missing or repr(INTERVENTION) in said:
            which = ", ".join(missing) or "more interventions"
            return f"{which}, and the study holds {', '.join(there)}; give one that ran it"
    return ""
