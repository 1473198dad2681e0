"""What a study holds: dimensions, variables, dtypes and fill codes.

`core.validation` checks them, and `core.door` stands before every function that takes a study.

Arrays are dense; a code stands for what is not there (`Variable.fill`), never NaN in an integer.
Extra variables are allowed, and are not looked at.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from os import PathLike

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature, Intervention, Signal

#: Of the layout, not of the package: it changes when a stored study would be read wrongly.
SCHEMA_VERSION = "1"


PROBLEM, ROLLOUT, INTERVENTION, TOKEN, FEATURE = (
    "problem",
    "rollout",
    "intervention",
    "token",
    "feature",
)


ROLE, ALTERNATIVE = "role", "alternative"


#: Tokens that a failed trace is cut after: 0 to all of them, one more than `token` has places.
PREFIX = "prefix"


#: Names along `role`, and how many of each model's likeliest tokens are stored.
MODELS, N_ALTERNATIVES = ("specialist", "ancestor"), 5


#: Sizes that are the same in every study.
FIXED_SIZES = {ROLE: len(MODELS), ALTERNATIVE: N_ALTERNATIVES}


#: Coordinates on `problem`; together without `split` they name a problem unit.
UNIT_COORDS = ("family", "method", "task", "problem_id")


COORDS = (*UNIT_COORDS, "split")


#: Mantissa bits kept in stored signals, and the relative error that leaves.
SIGNAL_BITS = 10


SIGNAL_TOLERANCE = 2.0 ** -(SIGNAL_BITS + 1)


TEXT = "text"


#: Attribute of studies that a converter made: the format it read.
IMPORTED = "source_format"


_UNIT = (PROBLEM,)


_TABLE = (PROBLEM, INTERVENTION)


_OBSERVED = (PROBLEM, ROLLOUT)


_ATTEMPT = (PROBLEM, ROLLOUT, INTERVENTION)


_ALTERNATIVE = (PROBLEM, TOKEN, ROLE, ALTERNATIVE)


_SIGNAL_MEANING = {
    Signal.PATH_DEFORMATION: (
        "log p_S(x) - log p_A(x), nat; positive: the specialist favours the token more"
    ),
    Signal.COVERAGE_DEFORMATION: (
        "log ratio of mass on the ancestor's likely tokens, nat; positive: S covers them less"
    ),
    Signal.DEMOTION_PRESSURE: "sum of the positive parts of the two deformations, nat",
    Signal.LOGIT_VARIANCE: (
        "variance of the specialist's logits under itself: sensitivity to temperature"
    ),
    Signal.KL_DIVERGENCE: "KL(p_S, p_A), nat",
    Signal.ENTROPY: "entropy of p_S, nat",
}


@dataclass(frozen=True)
class Variable:
    """One variable of a study.

    Attributes
    ----------
    name, dims : str, tuple of str
    dtype : str
        A numpy dtype, or ``"text"`` (object or any string dtype).
    fill : object
        What stands where there is nothing: not run, past the end, not a failed unit.
    required_with : str or None
        The dimension whose presence makes the variable compulsory: ``problem`` (always),
        ``rollout`` (attempts are stored), ``token`` (traces are stored); None: never.
    meaning : str
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    fill: object
    required_with: str | None
    meaning: str


VARIABLES: dict[str, Variable] = {
    each.name: each
    for each in (
        Variable("prompt", _UNIT, TEXT, "", TOKEN, "what the models read"),
        Variable("answer", _UNIT, TEXT, "", TOKEN, "what the checker expects"),
        Variable("level", _UNIT, "int32", -1, None, "difficulty, from 1; -1 = unknown"),
        Variable(
            "token_id", (*_ATTEMPT, TOKEN), "int32", -1, TOKEN, "generated tokens; -1 past the end"
        ),
        Variable(
            "n_tokens",
            _ATTEMPT,
            "int32",
            0,
            TOKEN,
            "length of the trace, end of sequence included; 0 = not run",
        ),
        Variable("correct", _ATTEMPT, "int8", -1, ROLLOUT, "1 = correct, 0 = wrong, -1 = not run"),
        Variable(
            "parseable",
            _ATTEMPT,
            "int8",
            -1,
            None,
            "1 = ended by itself with an answer, 0 = not, -1 = not run",
        ),
        Variable(
            "ended",
            _ATTEMPT,
            "int8",
            -1,
            None,
            "1 = stopped by itself, 0 = cut off at the length limit, -1 = not run",
        ),
        Variable(
            "worked",
            _ATTEMPT,
            "int8",
            -1,
            None,
            "1 = at least one reasoning step before the answer, 0 = answer alone, -1 = not run",
        ),
        Variable(
            "first_wrong",
            _ATTEMPT,
            "int32",
            -1,
            None,
            "token at which the first wrong step of a wrong rollout is complete; -1 = none, or not"
            " known",
        ),
        Variable(
            "wrong_step_start",
            _ATTEMPT,
            "int32",
            -1,
            None,
            "token at which the first wrong step begins; -1 = none, or not known",
        ),
        Variable(
            "origin",
            _ATTEMPT,
            TEXT,
            "",
            None,
            "where a wrong rollout went wrong: guess, slip, misread, lost, format or cut off; empty"
            " = right, not run, or not known",
        ),
        Variable(
            "slip",
            _OBSERVED,
            TEXT,
            "",
            None,
            "kind of the first wrong step of an observed slip; empty = no slip",
        ),
        Variable(
            "fired_at",
            _ATTEMPT,
            "int32",
            -1,
            TOKEN,
            "first changed position; -1 = never fired or not run",
        ),
        Variable(
            "forward_specialist", _ATTEMPT, "int32", 0, None, "positions the specialist evaluated"
        ),
        Variable(
            "forward_ancestor", _ATTEMPT, "int32", 0, None, "positions the ancestor evaluated"
        ),
        *(
            Variable(name.value, (*_OBSERVED, TOKEN), "float32", 0.0, None, meaning)
            for name, meaning in _SIGNAL_MEANING.items()
        ),
        Variable(
            "has_signals",
            _OBSERVED,
            "int8",
            0,
            None,
            "1 = signals of this observed rollout are stored",
        ),
        Variable(
            "alternative_token_id",
            _ALTERNATIVE,
            "int32",
            -1,
            None,
            "each model's likeliest tokens, likeliest first, along the first failed rollout; -1"
            " past its end",
        ),
        Variable(
            "alternative_log_probability",
            _ALTERNATIVE,
            "float32",
            0.0,
            None,
            "their log-probability at temperature 1, nat; 0 past the end",
        ),
        Variable(
            "answer_id",
            _OBSERVED,
            "int32",
            -1,
            None,
            "which of its problem's different answers an observed rollout gives, numbered as they"
            " come; -1 = none, or not known",
        ),
        Variable(
            "solved_by_majority",
            _UNIT,
            "int8",
            -1,
            None,
            "1 = the commonest answer of all observed rollouts is right, 0 = not, -1 = not known",
        ),
        Variable(
            "value_right",
            (PROBLEM, INTERVENTION, PREFIX),
            "int16",
            -1,
            None,
            "right continuations after each prefix of the first failed rollout; -1 = not run, or"
            " past its end",
        ),
        Variable(
            "value_n",
            _UNIT,
            "int32",
            0,
            None,
            "continuations of each prefix; 0 = no value map",
        ),
        Variable(
            "junction",
            _OBSERVED,
            "int32",
            -1,
            None,
            "argmax of demotion pressure; -1 = not a failed rollout",
        ),
        Variable(
            "first_firing",
            _OBSERVED,
            "int32",
            -1,
            None,
            "token of a failed rollout at which the firing rule would first fire; -1 = nowhere, or"
            " not a failed rollout",
        ),
        Variable(
            "n_failed_rollouts",
            _UNIT,
            "int32",
            0,
            None,
            "observed rollouts the checker calls wrong",
        ),
        Variable(
            "ancestor_pass_at_1",
            _UNIT,
            "float64",
            np.nan,
            None,
            "share of the ancestor's own rollouts that is right, failed problem or not",
        ),
        Variable(
            "fire_threshold", _UNIT, "float64", np.nan, None, "score above which an operator fires"
        ),
        Variable(
            "coverage_mean",
            _UNIT,
            "float64",
            np.nan,
            None,
            "mean coverage deformation of failed rollouts",
        ),
        Variable("coverage_sd", _UNIT, "float64", np.nan, None, "its standard deviation"),
        Variable(
            "warmup",
            _UNIT,
            "int32",
            -1,
            None,
            "first position that may fire; -1 = not a failed unit",
        ),
        Variable(
            "features", (PROBLEM, FEATURE), "float64", np.nan, PROBLEM, "means over failed rollouts"
        ),
        Variable(
            "rescue_rate", _TABLE, "float64", np.nan, PROBLEM, "correct / attempts; NaN = not run"
        ),
        Variable("attempts", _TABLE, "int32", 0, ROLLOUT, "attempts run"),
        Variable(
            "regime", _UNIT, TEXT, "", TOKEN, "what the problem needs; empty = not a failed unit"
        ),
        Variable(
            "route",
            _UNIT,
            TEXT,
            "",
            TOKEN,
            "intervention the rule chooses; empty = not a failed unit",
        ),
    )
}


#: Variables that need every problem of a cell, or every attempt; `derive` computes them.
DERIVED = ("rescue_rate", "attempts", "regime", "route")


#: Value maps: a study has both or neither.
VALUE = ("value_right", "value_n")


class SchemaError(InputError):
    """A Dataset that is not a study: which variable, what was found, what is allowed."""


def check_kind(ds: object, name: str) -> None:
    """Raise unless something is a Dataset, saying what it is and how to get a study."""
    if isinstance(ds, xr.Dataset):
        return
    how = "give a study, such as rnb.load_study() or rnb.open_study(path)"
    if isinstance(ds, str | PathLike):
        said = f"{name} is the path {str(ds)!r}; open it first: rnb.open_study(path)"
    elif isinstance(ds, xr.DataArray):
        said = f"{name} is a DataArray, one variable alone; give the Dataset that holds it"
    elif ds is None:
        said = f"{name} is None; {how}"
    else:
        said = f"{name} must be an xarray Dataset, not a {type(ds).__name__}; {how}"
    raise SchemaError(said)


def empty(name: str, sizes: dict[str, int]) -> np.ndarray:
    """Return variable `name` holding only its fill code, for dimensions of the given sizes.

    `prefix` is one more than `token` unless its size is given.
    """
    after = {PREFIX: sizes[TOKEN] + 1} if TOKEN in sizes else {}
    variable, sizes = VARIABLES[name], FIXED_SIZES | after | sizes
    dtype = object if variable.dtype == TEXT else variable.dtype
    return np.full([sizes[dim] for dim in variable.dims], variable.fill, dtype=dtype)


def text(array: xr.DataArray) -> np.ndarray:
    """Return text of any dtype as a numpy array of fixed-width str; whole numbers are written.

    Raises
    ------
    SchemaError
        If it holds something else: NaN would become a name.
    """
    return names(array).astype(str)


def names(array: xr.DataArray) -> np.ndarray:
    """Return text of any dtype as a numpy array of objects, as long as it is.

    A width that is fixed takes off NULs at the end.

    Raises
    ------
    SchemaError
        As `text`.
    """
    # Through object: numpy cannot cast its variable-width strings (what zarr reads) to a width it
    # is not told.
    values = array.values.astype(object)
    if pd.api.types.infer_dtype(values.ravel(), skipna=False) not in _NAMES:
        wrong = next((each for each in values.ravel() if not is_name(each)), None)
        if wrong is not None or not all(map(is_name, values.ravel())):
            raise SchemaError(
                f"{array.name!r} holds {wrong!r}, a {type(wrong).__name__}; it must hold text:"
                f" ds.assign_coords({array.name}=...)"
            )
    written = [each if type(each) is str else str(each) for each in values.ravel()]
    return np.array([*written, None], dtype=object)[:-1].reshape(values.shape)


#: Kinds of `infer_dtype` that are names.
_NAMES = ("string", "integer", "empty")


def is_name(value: object) -> bool:
    """Whether a value is text, or a whole number, which is written without loss."""
    return isinstance(value, str | Integral) and not isinstance(value, bool | np.bool_)


def cell_names(ds: xr.Dataset) -> np.ndarray:
    """Return each problem's cell, (problem,) str.

    It is the `cell` coordinate, else ``family|method|task``; a bar within one of the three is
    written as a broken one (``¦``), so that every name has three parts.

    Raises
    ------
    SchemaError
        If the Dataset has neither.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study().isel(problem=[0, -1])
    >>> rnb.cell_names(ds).tolist()
    ['qwen3|sft|arithmetic', 'neox|self_distill|deduction']
    """
    check_kind(ds, "ds")
    if "cell" in ds.coords:
        return text(ds["cell"])
    parts = []
    for name in UNIT_COORDS[:3]:
        if name not in ds.variables or ds[name].dims != (PROBLEM,):
            raise SchemaError(
                f"the study has no coordinate {name!r} on (problem); a cell is family|method|task"
            )
        parts.append(text(ds[name]).tolist())
    units = [*zip(*parts, strict=True)]
    cells = {each: joined(each) for each in set(units)}
    return np.array([cells[each] for each in units], dtype=str)


def joined(parts: Iterable[str]) -> str:
    """Return the name of what has several names: bars between, none within."""
    return "|".join(part.replace("|", "¦") for part in parts)


def checkpoint_codes(ds: xr.Dataset) -> np.ndarray:
    """Return the number of the checkpoint that each problem was put to, (problem,) int.

    It is told by the `model` coordinate, else by family and method; without either, all problems
    are of one.
    """
    if "model" in ds.coords and ds["model"].dims == (PROBLEM,):
        names = text(ds["model"])
    elif {"family", "method"} <= set(ds.coords):
        names = [
            joined(pair) for pair in zip(*(text(ds[x]) for x in ("family", "method")), strict=True)
        ]
    else:
        names = np.zeros(ds.sizes[PROBLEM])
    return np.unique(names, return_inverse=True)[1]


def assemble(
    arrays: dict[str, np.ndarray], interventions: tuple[str, ...], attrs: dict | None = None
) -> xr.Dataset:
    """Put arrays named as in the schema into a Dataset, without the derived variables."""
    coords = {name: ("problem", arrays[name]) for name in COORDS}
    coords |= {
        "intervention": np.array(interventions, dtype=object),
        "feature": np.array([name.value for name in Feature], dtype=object),
    }
    if any(ROLE in VARIABLES[name].dims for name in arrays if name in VARIABLES):
        coords[ROLE] = np.array(MODELS, dtype=object)
    variables = {
        name: (VARIABLES[name].dims, values, {"long_name": VARIABLES[name].meaning})
        for name, values in arrays.items()
        if name not in COORDS
    }
    return xr.Dataset(variables, coords, attrs or {})


def is_failure(correct: np.ndarray, ended: np.ndarray | None = None) -> np.ndarray:
    """Return which rollouts are failures of reasoning, by the codes of `correct` and `ended`."""
    wrong = correct == 0
    return wrong if ended is None else wrong & (ended != 0)


def failed_rollouts(ds: xr.Dataset) -> np.ndarray:
    """Return which observed rollouts are failures of reasoning, (problem, rollout) bool.

    docs/method.md#cut-off. Wrong, and not cut off at the length limit: an answer that never came
    says nothing about the reasoning. A study that does not know how its rollouts ended counts every
    wrong one.
    """
    none = Intervention.NONE.value
    if "correct" not in ds or INTERVENTION not in ds.coords or none not in text(ds[INTERVENTION]):
        raise SchemaError(
            "the study has no outcomes ('correct') of intervention 'none', so which rollouts failed"
            " is not known; give one that was observed before anything was tried"
        )
    names = ["correct", *(["ended"] if "ended" in ds else [])]
    observed = ds[names].sel({INTERVENTION: none})
    return is_failure(*(observed[name].transpose(PROBLEM, ROLLOUT).values for name in names))


def cut_off_hint(ds: xr.Dataset) -> str:
    """Return what to do about wrong rollouts that were cut off, to end a message with.

    Empty where none was cut off, or where the study does not know.
    """
    if not {"correct", "ended"} <= set(ds.variables) or INTERVENTION not in ds.dims:
        return ""
    if Intervention.NONE not in text(ds[INTERVENTION]):
        return ""
    wrong = int((ds["correct"].sel({INTERVENTION: Intervention.NONE.value}) == 0).sum())
    cut_off = wrong - int(failed_rollouts(ds).sum())
    if not cut_off:
        return ""
    return (
        f"; {cut_off} of {wrong} wrong rollouts were cut off at the length limit, which is no"
        " failure of reasoning: generate with a larger max_new_tokens"
    )


def lacks_hint(ds: xr.Dataset) -> str:
    """Return what to do about failed problems that have no features, to end a message with.

    That is `cut_off_hint` where rollouts were cut off, and empty where features are known.
    """
    hint = cut_off_hint(ds)
    if hint or not {"correct", "features"} <= set(ds.variables) or INTERVENTION not in ds.dims:
        return hint
    if Intervention.NONE not in text(ds[INTERVENTION]):
        return ""
    failed = failed_units(ds)
    known = ~np.isnan(ds["features"].transpose(PROBLEM, FEATURE).values).any(axis=1)
    if not failed.any() or (failed & known).any():
        return ""
    return (
        f"; {int(failed.sum()):,} problems failed and none has features, which come of traces and"
        " both models: read with tokenizer=, then rnb.add_signals(study, pair)"
    )


def failed_units(ds: xr.Dataset) -> np.ndarray:
    """Return which problems failed at least once when observed, (problem,) bool."""
    if "n_failed_rollouts" in ds:
        return ds["n_failed_rollouts"].values > 0
    return np.asarray(failed_rollouts(ds).any(axis=1))
