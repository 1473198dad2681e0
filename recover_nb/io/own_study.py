"""What makes rows of rollouts a whole study again: what each row says, and what goes along beside.

The writer makes every problem again from its own rows, and what differs goes along as it is
(`beside`): so a study comes back as it was, whatever it holds. Rows that were added, taken away or
changed in kind are no whole study, and are read as rows of anybody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.schema import (
    COORDS,
    INTERVENTION,
    PROBLEM,
    ROLE,
    ROLLOUT,
    TEXT,
    UNIT_COORDS,
    VARIABLES,
    is_failure,
)
from recover_nb.core.validation import validate
from recover_nb.io.dense import MAX_BYTES
from recover_nb.io.own_keys import DECIDED, PER_PROBLEM
from recover_nb.io.records import BESIDE
from recover_nb.routing.rescue import count_rates

#: What a damaged or edited file can raise on the way; it is then read as rows of anybody.
UNFIT = (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError)


@dataclass(frozen=True)
class Layout:
    """Which variables a study has, and how large it is.

    Attributes
    ----------
    sizes : dict of dimension to int
    interventions : list of str
    variables : dict of name to dict
        ``dims``, ``type`` (of numpy, or ``"text"``), and where they are not as in the schema
        ``attrs`` and ``coordinate``; ``values`` where no problem has its own.
    """

    sizes: Mapping[str, int]
    interventions: Sequence[str]
    variables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def dims(self, name: str) -> tuple[str, ...]:
        """Return the dimensions of a variable."""
        return tuple(self.variables[name]["dims"])

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one problem's part of a variable."""
        return tuple(self.sizes[dim] for dim in self.dims(name) if dim != PROBLEM)

    def dtype(self, name: str) -> Any:
        """Return the type of a variable; that of text is object."""
        return object if self.variables[name]["type"] == TEXT else self.variables[name]["type"]


def said(values: np.ndarray) -> list:
    """Return values as a flat list of JSON: null for NaN, texts for infinities."""
    flat = np.asarray(values).ravel()
    if flat.dtype.kind in "mM":
        return flat.astype(np.int64).tolist()
    if flat.dtype.kind == "f":
        return [
            None if each != each else str(each) if abs(each) == np.inf else each
            for each in flat.tolist()
        ]
    return flat.tolist()


def read_said(values: Any, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the array of which `said` made a list, or a nested one."""
    if dtype is object:
        found = np.empty(len(values), dtype=object)
        found[:] = values
        if not all(isinstance(each, str) for each in values):
            raise TypeError("text is needed")
        return found.reshape(shape)
    kind = np.dtype(dtype).kind
    if kind == "f":
        return np.array(values, dtype=np.float64).astype(dtype).reshape(shape)
    if kind in "mM":
        return np.array(values, dtype=np.int64).astype(dtype).reshape(shape)
    found = np.array(values, dtype=None if len(values) else dtype)
    if found.size and found.dtype.kind not in "iub":
        raise TypeError("whole numbers are needed")
    return found.astype(dtype).reshape(shape)


def same(left: np.ndarray, right: np.ndarray) -> bool:
    """Tell whether two arrays are equal to the last bit, but for which NaN it is."""
    if left.shape != right.shape:
        return False
    if left.dtype == object or left.dtype.kind in "UT":
        return left.astype(object).tolist() == right.astype(object).tolist()
    if left.dtype.kind != "f":
        return bool((left == right).all())
    with np.errstate(invalid="ignore"):
        equal = (left == right) & (np.signbit(left) == np.signbit(right))
    return bool((equal | (np.isnan(left) & np.isnan(right))).all())


def rebuilt(rows: Iterable[Mapping[str, Any]], layout: Layout) -> dict[str, np.ndarray]:
    """Make the variables of one problem of its rows.

    Returns
    -------
    dict of name to array
        Without the dimension `problem`; those of `layout` that rows can say.
    """
    arrays = {name: _empty(name, layout) for name in layout.variables if _in_rows(name, layout)}
    place = {name: i for i, name in enumerate(layout.interventions)}
    for row in rows:
        about = row.get("problem")
        if about is not None:
            arrays |= {name: np.array(row[name], dtype=object) for name in UNIT_COORDS}
            arrays |= _about(about, layout)
        if row.get("rollout_idx") is not None:
            _put(arrays, row, int(row["rollout_idx"]), place[row["intervention"]])
    return {
        name: values
        for name, values in (arrays | _derived(arrays)).items()
        if name in layout.variables
    }


def _in_rows(name: str, layout: Layout) -> bool:
    """Tell whether rows say a variable: one of rollouts, on the dimensions of the schema."""
    dims = VARIABLES[name].dims if name in VARIABLES else BESIDE.get(name, ((),))[0]
    return dims[:2] == (PROBLEM, ROLLOUT) and layout.dims(name) == dims


def _empty(name: str, layout: Layout) -> np.ndarray:
    known = VARIABLES.get(name)
    fill = known.fill if known else "" if layout.dtype(name) is object else 0
    return np.full(layout.shape(name), fill, dtype=layout.dtype(name))


def _about(about: Mapping[str, Any], layout: Layout) -> dict[str, np.ndarray]:
    """Return what is stored of a problem itself."""
    found = {
        name: np.array(about[name], dtype=object)
        for name in ("prompt", "answer", "split", *DECIDED)
        if name in about
    }
    for name in PER_PROBLEM:
        if name in about and name in layout.variables:
            values = np.array(about[name], dtype=np.float64)
            found[name] = values.astype(layout.dtype(name))
    return found


def _put(arrays: dict[str, np.ndarray], row: Mapping[str, Any], r: int, i: int) -> None:
    """Put a rollout in its place."""

    def put(name: str, value: Any) -> None:
        if name in arrays and value is not None:
            arrays[name][(r, i)[: arrays[name].ndim]] = value

    put("correct", int(row["is_correct"]))
    for name in ("generated_text", "n_tokens", "fired_at"):
        put(name, row.get(name))
    ids = row.get("output_ids")
    if ids is not None:
        put("n_tokens", len(ids))
        arrays["token_id"][r, i, : len(ids)] = ids
    for name, value in (row.get("variables") or {}).items():
        put(name, value)
    signals = row.get("signals")
    if signals:
        put("has_signals", 1)
        for name, values in signals.items():
            arrays[name][r, : len(values)] = values


def _derived(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what follows from the outcomes of one problem."""
    correct = arrays["correct"]
    rates, attempts = count_rates(correct)
    ended = arrays["ended"][:, 0] if "ended" in arrays else None
    failed = is_failure(correct[:, 0], ended).sum()
    return {
        "rescue_rate": rates,
        "attempts": attempts,
        "n_failed_rollouts": np.array(failed, dtype=np.int32),
    }


def beside(
    one: Mapping[str, np.ndarray], rows: Sequence[Mapping[str, Any]], layout: Layout
) -> dict[str, list]:
    """Return what of one problem its rows do not say, or say otherwise."""
    try:
        found = rebuilt(rows, layout)
    except UNFIT:
        found = {}
    return {
        name: said(values)
        for name, values in one.items()
        if name not in found or not same(np.asarray(values), found[name])
    }


def layout_of(ds: xr.Dataset, attrs: Any) -> Layout:
    """Return the layout of a study; `attrs` makes attributes JSON."""
    variables: dict[str, dict[str, Any]] = {}
    # In the order in which reading gives them, so that what was read is written in the same words.
    for name in (*ds.data_vars, *ds.coords):
        variable = ds.variables[name]
        is_text = variable.dtype.kind in "OUT"
        about: dict[str, Any] = {
            "dims": list(variable.dims),
            "type": TEXT if is_text else variable.dtype.str,
        }
        if variable.attrs != _usual(str(name)):
            about["attrs"] = attrs(variable.attrs)
        if (name in ds.coords) != (name in (*COORDS, *variable.dims, ROLE)):
            about["coordinate"] = name in ds.coords
        if PROBLEM not in variable.dims:
            about["values"] = said(variable.values)
        variables[str(name)] = about
    sizes = {str(dim): size for dim, size in ds.sizes.items()}
    return Layout(sizes, ds[INTERVENTION].values.astype(object).tolist(), variables)


def _usual(name: str) -> dict[str, str]:
    """Return the attributes that a variable mostly has."""
    if name in VARIABLES:
        return {"long_name": VARIABLES[name].meaning}
    return {"long_name": BESIDE[name][1]} if name in BESIDE else {}


def whole_study(rows: Sequence[Mapping[str, Any]], source: str) -> xr.Dataset | None:
    """Return the study that `to_jsonl` or `to_parquet` wrote; None where rows are not all of it.

    Parameters
    ----------
    rows : sequence of dict
        As the writer made them; absent or None where there is nothing.
    source : str
        For messages.

    Raises
    ------
    InputError
        More than memory should take.
    """
    try:
        header = rows[0]["study"]
        if len(rows) != header["rows"]:
            return None
        layout = Layout(header["sizes"], header["interventions"], header["variables"])
        _check_size(layout, source)
        return validate(_assembled(rows, header["attrs"], layout))
    except InputError as error:
        if isinstance(error, _TooLarge):
            raise
        return None
    except UNFIT:
        return None


class _TooLarge(InputError):
    """More than memory should take."""


def _check_size(layout: Layout, source: str) -> None:
    needed = sum(
        prod(int(layout.sizes[dim]) for dim in layout.dims(name))
        * np.dtype(layout.dtype(name)).itemsize
        for name in layout.variables
    )
    if needed > MAX_BYTES:
        raise _TooLarge(
            f"{source}: the study in it takes {needed / 1e9:.0f} GB; write parts of it,"
            " ds.isel(problem=slice(...)), or save it with rnb.save_zip"
        )


def _assembled(rows: Sequence[Mapping[str, Any]], attrs: dict, layout: Layout) -> xr.Dataset:
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in UNIT_COORDS), []).append(row)
    if len(groups) != layout.sizes[PROBLEM]:
        raise ValueError("problems are missing")
    columns: dict[str, list] = {name: [] for name in layout.variables if _of_problem(name, layout)}
    for group in groups.values():
        found = rebuilt(group, layout)
        kept = next(row["problem"]["beside"] for row in group if row.get("problem") is not None)
        for name, values in kept.items():
            found[name] = read_said(values, layout.dtype(name), layout.shape(name))
        for name, column in columns.items():
            column.append(found[name])
    arrays = {name: _stacked(column, name, layout) for name, column in columns.items()}
    return _dataset(arrays, attrs, layout)


def _of_problem(name: str, layout: Layout) -> bool:
    return PROBLEM in layout.dims(name)


def _stacked(column: list[np.ndarray], name: str, layout: Layout) -> np.ndarray:
    axis = layout.dims(name).index(PROBLEM)
    return np.stack(column, axis=axis).astype(layout.dtype(name), copy=False)


def _dataset(arrays: dict[str, np.ndarray], attrs: dict, layout: Layout) -> xr.Dataset:
    variables, coords = {}, {}
    for name, about in layout.variables.items():
        dims = layout.dims(name)
        values = arrays.get(name)
        if values is None:
            values = read_said(about["values"], layout.dtype(name), layout.shape(name))
        usual = name in (*COORDS, *dims, ROLE)
        place = coords if about.get("coordinate", usual) else variables
        place[name] = (dims, values, about.get("attrs", _usual(name)))
    return xr.Dataset(variables, coords, attrs)
