"""What a study holds: dimensions, variables, dtypes and fill codes, and the door that checks them.

Arrays are dense; a code stands for what is not there (`Variable.fill`), never NaN in an integer.
Extra variables are allowed, and are not looked at.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature, Intervention, Origin, Regime, Signal, Slip

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


def empty(name: str, sizes: dict[str, int]) -> np.ndarray:
    """Return variable `name` holding only its fill code, for dimensions of the given sizes.

    `prefix` is one more than `token` unless its size is given.
    """
    after = {PREFIX: sizes[TOKEN] + 1} if TOKEN in sizes else {}
    variable, sizes = VARIABLES[name], FIXED_SIZES | after | sizes
    dtype = object if variable.dtype == TEXT else variable.dtype
    return np.full([sizes[dim] for dim in variable.dims], variable.fill, dtype=dtype)


def text(array: xr.DataArray) -> np.ndarray:
    """Return text of any dtype as a numpy array of fixed-width str."""
    # Through object: numpy cannot cast its variable-width strings (what zarr reads) to a width it
    # is not told.
    return array.values.astype(object).astype(str)


def cell_names(ds: xr.Dataset) -> np.ndarray:
    """Return each problem's cell, (problem,) str.

    It is the `cell` coordinate, else ``family|method|task``.

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
    if "cell" in ds.coords:
        return text(ds["cell"])
    parts = []
    for name in UNIT_COORDS[:3]:
        if name not in ds.coords:
            raise SchemaError(f"the study has no coordinate {name!r}; a cell is family|method|task")
        parts.append(text(ds[name]).tolist())
    return np.array(["|".join(each) for each in zip(*parts, strict=True)], dtype=str)


def checkpoint_codes(ds: xr.Dataset) -> np.ndarray:
    """Return the number of the checkpoint that each problem was put to, (problem,) int.

    It is told by the `model` coordinate, else by family and method; without either, all problems
    are of one.
    """
    if "model" in ds.coords and ds["model"].dims == (PROBLEM,):
        names = text(ds["model"])
    elif {"family", "method"} <= set(ds.coords):
        names = [
            "\0".join(pair)
            for pair in zip(*(text(ds[x]) for x in ("family", "method")), strict=True)
        ]
    else:
        names = np.zeros(ds.sizes[PROBLEM])
    return np.unique(names, return_inverse=True)[1]


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
    if not isinstance(ds, xr.Dataset):
        raise SchemaError(
            f"a study is an xarray Dataset, not a {type(ds).__name__}; open one with"
            " open_study(path)"
        )
    _check_version(ds)
    _check_dimensions(ds)
    for variable in VARIABLES.values():
        _check_variable(ds, variable)
    _check_units(ds)
    _check_values(ds)
    if deep:
        _check_words(ds)
    if deep and "token_id" in ds:
        _check_tokens(ds)
        _check_signals(ds)
    return ds


def _check_version(ds: xr.Dataset) -> None:
    found = ds.attrs.get("schema_version")
    if found is None:
        raise SchemaError(
            "the Dataset has no attribute schema_version, so it is no study; allowed:"
            f" {SCHEMA_VERSION!r}, as written by recover-nb run or import"
        )
    if str(found) != SCHEMA_VERSION:
        raise SchemaError(
            f"the study has schema version {str(found)!r} and this recover_nb reads"
            f" {SCHEMA_VERSION!r}; install the version that wrote it, or generate it again with"
            " recover-nb run"
        )


def _check_dimensions(ds: xr.Dataset) -> None:
    for dim in (PROBLEM, INTERVENTION, FEATURE):
        if dim not in ds.dims:
            raise SchemaError(
                f"the study has no dimension {dim!r}; it has"
                f" {', '.join(map(str, ds.dims)) or 'none'}"
            )
    for name in COORDS:
        if name not in ds.coords or ds[name].dims != _UNIT:
            raise SchemaError(
                f"coordinate {name!r} is missing or not on (problem); a study needs"
                f" {', '.join(COORDS)}"
            )
        _check_dtype(name, ds[name], TEXT)
    _check_names(ds, INTERVENTION)
    _check_names(ds, FEATURE)
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


def _check_names(ds: xr.Dataset, dim: str) -> None:
    if dim not in ds.coords:
        raise SchemaError(f"dimension {dim!r} has no coordinate; its {dim} names must be stored")
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


def _check_units(ds: xr.Dataset) -> None:
    units = list(zip(*(text(ds[name]).tolist() for name in UNIT_COORDS), strict=True))
    if len(set(units)) < len(units):
        seen: set = set()
        twice = next(unit for unit in units if unit in seen or seen.add(unit))
        raise SchemaError(
            f"problem unit {'|'.join(twice)} occurs twice; family, method, task and problem_id"
            " name one"
        )


def _check_values(ds: xr.Dataset) -> None:
    """Check what costs little to load: nothing with a token dimension."""
    for name in ("correct", "parseable", "ended", "worked"):
        if name in ds:
            _need(ds, name, np.isin(ds[name].values, (-1, 0, 1)), "1, 0 or -1 (not run)")
    if "has_signals" in ds:
        _need(ds, "has_signals", np.isin(ds["has_signals"].values, (0, 1)), "0 or 1")
    rates = ds["rescue_rate"].values
    _need(
        ds,
        "rescue_rate",
        np.isnan(rates) | ((rates >= 0) & (rates <= 1)),
        "a number in [0, 1], or NaN (not run)",
    )
    for name in ("attempts", "n_failed_rollouts", "forward_specialist", "forward_ancestor"):
        if name in ds:
            _need(ds, name, ds[name].values >= 0, "0 or more")
    features = ds["features"].values
    _need(ds, "features", ~np.isinf(features), "a finite number, or NaN (no failed rollout)")
    if "n_tokens" in ds:
        _check_lengths(ds)
    if "regime" in ds:
        _check_text(ds, "regime", ["", *(each.value for each in Regime)])
    if "route" in ds:
        _check_text(ds, "route", ["", *text(ds[INTERVENTION])])


def _check_lengths(ds: xr.Dataset) -> None:
    length, width = ds["n_tokens"].values, ds.sizes.get(TOKEN, 0)
    _need(
        ds,
        "n_tokens",
        (length >= 0) & (length <= width),
        f"0 to {width}, the size of dimension token",
    )
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


def _check_words(ds: xr.Dataset) -> None:
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
    inside = (np.arange(ds.sizes[TOKEN], dtype=np.int32) < length[..., None]) & stored[..., None]
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
    names = ["correct", *(["ended"] if "ended" in ds else [])]
    observed = ds[names].sel({INTERVENTION: Intervention.NONE.value})
    return is_failure(*(observed[name].transpose(PROBLEM, ROLLOUT).values for name in names))


def cut_off_hint(ds: xr.Dataset) -> str:
    """Return what to do about wrong rollouts that were cut off, to end a message with.

    Empty where none was cut off, or where the study does not know.
    """
    if not {"correct", "ended"} <= set(ds.variables) or INTERVENTION not in ds.dims:
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
