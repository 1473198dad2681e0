"""What a file can hold of a study, asked before anything is written.

What is written is read back as it was. So what a format would refuse, drop or give back as
something else is one sentence here, and no error of another library.
"""

import re
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.io.parsing import HALVES
from recover_nb.io.rows import shortened

#: Types of variables that every format of studies holds, and gives back as they were.
_DTYPES = re.compile(r"[<>|=]?([iu][1248]|f[248]|b1|[UT]\d*|O|[mM]8(\[\w+\])?)")
#: Attributes of a variable that formats use for themselves: a reader would take numbers for others.
_RESERVED = re.compile(
    r"_FillValue|missing_value|scale_factor|add_offset|_Unsigned|dtype|calendar|coordinates|bounds"
    r"|grid_mapping|_ARRAY_DIMENSIONS|_[nN][cC].*|_Netcdf4.*|CLASS|NAME|REFERENCE_LIST"
    r"|DIMENSION_LIST|DIMENSION_LABELS|_Encoding"
)
#: Units that readers take for times.
_TIMES = re.compile(r".* since .*|(days|hours|minutes|(micro|milli|nano)?seconds)", re.DOTALL)


def check_held(ds: xr.Dataset, what: str, *, nul: bool = True, netcdf: bool = False) -> None:
    """Refuse a study that a format would not give back as it is.

    Parameters
    ----------
    ds : Dataset
    what : str
        The format, for messages: "netCDF".
    nul : bool
        Whether texts may hold NUL.
    netcdf : bool
        Whether attributes are those of netCDF: texts, numbers, and lists of one kind.

    Raises
    ------
    InputError
        A name, type, text or attribute that it cannot hold; what it is, and what to do.
    """
    for name in [*ds.sizes, *ds.variables]:
        _check_name(name, what, nul)
    _check_attrs(ds.attrs, "the study", what, nul, netcdf)
    for name, variable in ds.variables.items():
        mine = f"variable {name!r}"
        _check_attrs(variable.attrs, mine, what, nul, netcdf)
        for each in variable.attrs:
            reserved = _RESERVED.fullmatch(str(each))
            times = each == "units" and _TIMES.fullmatch(str(variable.attrs[each]))
            if reserved or (times and variable.dtype.kind in "iuf"):
                raise InputError(
                    f"{mine} has the attribute {each!r} ({shortened(variable.attrs[each])}), which"
                    " files of studies use for themselves, so its numbers would be read as others;"
                    " give the attribute another name, such as 'unit' or 'note'"
                )
        if not _DTYPES.fullmatch(variable.dtype.str):
            raise InputError(
                f"{mine} has dtype {variable.dtype}, which {what} does not give back; allowed:"
                " numbers, true and false, times and text; convert it, or leave it out with"
                f" ds.drop_vars({name!r})"
            )
    check_texts(ds, what, nul=nul)


def check_texts(ds: xr.Dataset, what: str, *, nul: bool = True) -> None:
    """Refuse texts that a format cannot hold, and objects that are no text.

    Raises
    ------
    InputError
        Which variable, and what is in it.
    """
    for name, variable in ds.variables.items():
        if variable.dtype.kind not in "OUT":
            continue
        values = np.asarray(variable.values, dtype=object).ravel()
        # A few words, written many times.
        strange = next((each for each in values if not isinstance(each, str)), None)
        if strange is not None or any(each is None for each in values):
            raise InputError(
                f"variable {name!r} holds {shortened(strange)}, which is no text; allowed: text"
                f" alone; write ds[{name!r}].astype(str), or leave it out with"
                f" ds.drop_vars({name!r})"
            )
        for each in pd.unique(values):
            _check_text(each, f"variable {name!r}", what, nul)


def _check_name(name: Hashable, what: str, nul: bool) -> None:
    plain = isinstance(name, str) and name and "/" not in name and not name.startswith(".")
    if not plain:
        raise InputError(
            f"the study has a variable or dimension named {name!r}, which {what} cannot hold;"
            " allowed: text that is not empty, without / and not beginning with a dot; rename it"
            " with ds.rename(...)"
        )
    _check_text(str(name), "a name of a variable", what, nul)


def _check_text(text: str, where: str, what: str, nul: bool) -> None:
    if not nul and "\0" in text:
        found, instead = "the character NUL", ""
    elif not text.isascii() and HALVES.search(text):
        found, instead = "half a character (a lone surrogate)", ", such as U+FFFD"
    else:
        return
    raise InputError(
        f"{where} holds {found} in {shortened(text)}, which {what} cannot hold; put another"
        f" character in its place{instead}"
    )


def _check_attrs(attrs: Mapping[Any, Any], where: str, what: str, nul: bool, netcdf: bool) -> None:
    for name, value in attrs.items():
        if not isinstance(name, str) or not name or (netcdf and "/" in name):
            raise InputError(
                f"{where} has an attribute named {name!r}, which {what} cannot hold; allowed: text"
                " that is not empty; rename or delete it"
            )
        for each in (name, *_texts_in(value)):
            _check_text(each, f"the attribute {name!r} of {where}", what, nul)
        good = _is_plain(value) and (not netcdf or _is_flat(value))
        if not good:
            allowed = "text, finite numbers, and lists of one of these"
            if not netcdf:
                allowed = "text, finite numbers, true, false, lists and objects of these"
            raise InputError(
                f"{where} has the attribute {name!r} of type {type(value).__name__}"
                f" ({shortened(value)}), which {what} cannot hold; allowed: {allowed}; delete it,"
                f" or write json.dumps(...) or str(...) of it"
            )


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts_in(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _texts_in(name)
            yield from _texts_in(each)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "OUT":
        yield from _texts_in(value.tolist())


def _is_plain(value: Any) -> bool:
    """Tell whether JSON can say a value, so that it comes back equal."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist() if value.dtype.kind in "biufUOT" else None
    if isinstance(value, str | bool):
        return True
    if isinstance(value, int):
        return abs(value) < 2**63
    if isinstance(value, float):
        return abs(value) < np.inf
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(name, str) for name in value) and all(map(_is_plain, value.values()))
    return False


def _is_flat(value: Any) -> bool:
    """Tell whether a value is one that netCDF has a type for."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        kinds = {str if isinstance(each, str) else type(each) for each in value}
        return len(kinds) == 1 and all(_is_flat(each) for each in value) and not kinds & {list}
    return isinstance(value, str | int | float | np.number) and not isinstance(value, bool)


def plain_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes as JSON says them."""
    return {name: _as_json(value) for name, value in attrs.items()}


def _as_json(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in value]
    if isinstance(value, dict):
        return {name: _as_json(each) for name, each in value.items()}
    return value


def in_memory(ds: xr.Dataset) -> xr.Dataset:
    """Return the study with its texts loaded, which in chunks have no width, and what is empty."""
    lazy = [
        name
        for name, variable in ds.variables.items()
        if variable.chunks is not None and (variable.dtype.kind in "OUT" or not variable.size)
    ]
    found = computed(ds[lazy]).variables if lazy else {}
    coords = {name: found[name] for name in lazy if name in ds.coords}
    variables = {name: found[name] for name in lazy if name not in ds.coords}
    return ds.assign(variables).assign_coords(coords) if lazy else ds


def computed(ds: xr.Dataset) -> xr.Dataset:
    """Return the study in memory.

    Raises
    ------
    InputError
        Chunks with a text that xarray itself cannot take.
    """
    try:
        return ds.compute()
    except UnicodeEncodeError as error:
        raise InputError(
            f"a text in the chunks of the study holds half a character (a lone surrogate) in"
            f" {shortened(error.object)}, which no file can hold; put another character in its"
            " place, such as U+FFFD"
        ) from None
