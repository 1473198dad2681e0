"""Whole studies for property tests: every shape and code that the schema allows, small.

What makes a case readable is drawn by hypothesis (sizes, which variables, names, texts, special
values); the many numbers in between come of one seed, so that an example is small and quick.
"""

import os
from dataclasses import dataclass

import numpy as np
import xarray as xr
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

from recover_nb.core.errors import InputError
from recover_nb.core.labels import FEATURES, Intervention, Origin, Signal, Slip, Split
from recover_nb.core.schema import (
    IMPORTED,
    SCHEMA_VERSION,
    VARIABLES,
    assemble,
    empty,
    failed_rollouts,
)
from recover_nb.core.validation import validate
from recover_nb.routing.derive import derive

#: `RECOVER_NB_STUDIES=2000 pytest tests/io/test_whole_studies.py` draws so many, other ones each
#: time.
N_EXAMPLES = int(os.environ.get("RECOVER_NB_STUDIES", "0"))
EXAMPLES = settings(
    max_examples=N_EXAMPLES or 12,
    deadline=None,
    derandomize=not N_EXAMPLES,
    database=None,
    suppress_health_check=list(HealthCheck),
)

#: Words that tools take for nothing, for a number or for a truth, and texts that break formats.
WORDS = (
    "",
    " ",
    "NA",
    "nan",
    "null",
    "None",
    "True",
    "1e5",
    "007",
    "1.10",
    "-1",
    "=1+1",
    "@x",
    '"',
    "'",
    "a,b",
    "a;b",
    "a|b",
    "a/b",
    "a\tb",
    "a\nb",
    "a\r\nb",
    "a\rb",
    " a ",
    "é",
    "e\u0301",
    "\U0001f600",
    "\u202eabc",
    "\ufeff",
    "\u2028",
    "[1]",
    '{"a": 1}',
    "<think>a</think>b",
    "chatcmpl-1",
    "\x1b[31m",
    "\x85",
)
PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
#: Text that any file can hold.
TEXTS = st.sampled_from(WORDS) | PLAIN
#: And text that some cannot.
WILD = st.integers(0, 9).flatmap(
    lambda one: TEXTS if one else st.sampled_from(("\0", "a\0", "\0b"))
)
NAMES = st.sampled_from([name.value for name in Intervention][2:]) | st.sampled_from(
    ("dense", "rand", "local_temp", "my own", "a|b", "a/b", "none ", "007", "é", "")
)
FLOATS = (0.0, -0.0, np.nan, 5e-324, 2.2e-308, 1e-9, -1.5, 1 / 3, 1e16, 1.7e308, -1e300)
#: Optional variables of rollouts: what their values may be where there is one.
FACTS = {
    "parseable": (0, 1),
    "ended": (0, 1),
    "worked": (0, 1),
    "origin": ("", *(each.value for each in Origin)),
    "slip": ("", *(each.value for each in Slip)),
    "forward_specialist": (0, 3, 2**31 - 1),
    "forward_ancestor": (0, 3, 2**31 - 1),
    "answer_id": (-1, 0, 1, 7),
    "junction": (-1, 0, 1),
    "first_firing": (-1, 0, 1),
    "first_wrong": (-1,),
    "wrong_step_start": (-1,),
}
#: Optional variables of problems.
ABOUT = {
    "level": (-1, 0, 1, 2**31 - 1),
    "solved_by_majority": (-1, 0, 1),
    "warmup": (-1, 0, 5),
    "value_n": (0, 3),
    "ancestor_pass_at_1": (np.nan, 0.0, 1 / 3),
    "fire_threshold": (*FLOATS, np.inf, -np.inf),
    "coverage_mean": (*FLOATS, np.inf),
    "coverage_sd": (*FLOATS, np.inf),
}
ATTRS = st.dictionaries(
    st.sampled_from(("source", "config_json", "note", "é", "a b", "a/b", "token_text")),
    TEXTS
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.lists(st.sampled_from(("a", "é", "007")), min_size=2, max_size=3),
    max_size=3,
)
ODD_ATTRS = st.dictionaries(
    st.sampled_from(("x", "", "_FillValue", "units", "a/b", ".")),
    st.sampled_from(
        (
            None,
            True,
            float("nan"),
            float("inf"),
            2**70,
            b"bytes",
            {"a": [1, None]},
            {1: 2},
            [],
            ["one"],
            (1, 2),
            np.int8(3),
            np.arange(3),
            np.array(["a", "b"]),
            complex(1, 2),
            {1, 2},
            object,
            "\0",
            "\ud83d",
            "days since 2000-01-01",
            "seconds",
            np.datetime64("2020-01-01"),
            [1, "a"],
            [[1, 2], [3, 4]],
        )
    ),
    max_size=2,
)


@dataclass(frozen=True)
class Wish:
    """What studies are wanted.

    Attributes
    ----------
    kinds : tuple of str
        Of ``traces``, ``outcomes`` and ``rates``.
    text : strategy
        Of prompts, answers, ids, names, generated texts.
    odd : bool
        Whether attributes, names and types may be such as few files hold.
    """

    kinds: tuple[str, ...] = ("traces", "outcomes", "rates")
    text: st.SearchStrategy = TEXTS
    odd: bool = False


ANY = Wish()


@st.composite
def whole_studies(draw, wish=ANY, least=1, most=6):
    """Draw a study that `validate` takes."""
    kind = draw(st.sampled_from(wish.kinds))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    n = draw(st.integers(least, most))
    names = ["none", "retry", *draw(st.lists(NAMES, unique=True, max_size=3))]
    units = draw_units(draw, wish, n)
    if kind == "rates":
        ds = _rates(draw, rng, names[draw(st.integers(0, 1)) :], units)
    else:
        ds = _rollouts(draw, rng, names, units, wish, kind == "traces")
    return _held(draw, _dressed(draw, rng, ds, wish))


def draw_units(draw, wish, n):
    """Return the coordinates of `n` problems, each unit once."""
    names = st.tuples(*[st.sampled_from(("qwen3", "a|b", "a-b")) | wish.text] * 3)
    cells = draw(st.lists(names, min_size=1, max_size=2))
    units = draw(
        st.lists(
            st.tuples(st.sampled_from(cells), st.sampled_from(("p", "q", "r")) | wish.text),
            min_size=n,
            max_size=n,
            unique=True,
        )
    )
    columns = [[*cell, name] for cell, name in units]
    assume(len({"\x01".join(each) for each in columns}) == n)
    found = (
        dict(
            zip(("family", "method", "task", "problem_id"), zip(*columns, strict=True), strict=True)
        )
        if n
        else dict.fromkeys(("family", "method", "task", "problem_id"), ())
    )
    found["split"] = [draw(st.sampled_from([*(each.value for each in Split), ""])) for _ in columns]
    return {name: np.array(list(values), dtype=object) for name, values in found.items()}


def _pick(rng, values, shape, dtype):
    chosen = np.array(values, dtype=object)[rng.integers(0, len(values), shape)]
    return chosen if dtype == "text" else chosen.astype(dtype)


def _features(rng, n):
    values = np.where(rng.random((n, 3)) < 0.6, rng.normal(size=(n, 3)), 0.0)
    odd = rng.random((n, 3)) < 0.3
    # What another unit would do to them is refused.
    near = [each for each in FLOATS if not 0 < abs(each) < 1e-100 and not abs(each) > 1e100]
    values[odd] = np.array(near)[rng.integers(0, len(near), odd.sum())]
    values[rng.random(n) < 0.3] = np.nan
    return values


def _rates(draw, rng, names, units):
    """Return a study without rollouts."""
    n = len(units["family"])
    ds = assemble({**units, "features": _features(rng, n)}, tuple(names))
    rates = rng.choice([np.nan, 0.0, 1.0, 1 / 3, 0.35, 5e-324], (n, len(names)))
    ds["rescue_rate"] = (("problem", "intervention"), rates)
    if draw(st.booleans()):
        attempts = rng.choice([0, 1, 20, 2**31 - 1], (n, len(names))).astype(np.int32)
        ds["attempts"] = (("problem", "intervention"), attempts)
    if draw(st.booleans()):
        ds["n_failed_rollouts"] = ("problem", rng.integers(0, 50, n).astype(np.int32))
    return ds


def _rollouts(draw, rng, names, units, wish, traced):
    """Return a study with rollouts, and with traces where `traced`."""
    n, r = len(units["family"]), draw(st.integers(0, 4))
    sizes = {
        "problem": n,
        "rollout": r,
        "intervention": len(names),
        "token": draw(st.integers(0, 5)) if traced else 0,
        "feature": 3,
    }
    traced = traced and sizes["token"] > 0
    shape = (n, r, len(names))
    gaps = draw(st.sampled_from((0.0, 0.3, 1.0)))
    run = rng.random(shape) >= gaps
    arrays = dict(units)
    arrays["correct"] = np.where(run, rng.random(shape) < 0.5, -1).astype(np.int8)
    arrays["features"] = _features(rng, n)
    texts = [draw(wish.text) for _ in range(3)]
    if traced:
        arrays |= _traces(draw, rng, sizes, run)
    if traced or draw(st.booleans()):
        for name in ("prompt", "answer"):
            arrays[name] = _pick(rng, texts, (n,), "text")
    for name in draw(st.sets(st.sampled_from(sorted(FACTS)), max_size=4)):
        where = run if len(VARIABLES[name].dims) == 3 else run[:, :, 0]
        values = _pick(rng, FACTS[name], where.shape, VARIABLES[name].dtype)
        fill = empty(name, sizes)
        everywhere = draw(st.integers(0, 5)) == 0 and name in ("ended", "junction", "answer_id")
        arrays[name] = values if everywhere else np.where(where, values, fill).astype(fill.dtype)
    for name in draw(st.sets(st.sampled_from(sorted(ABOUT)), max_size=4)):
        arrays[name] = _pick(rng, ABOUT[name], (n,), VARIABLES[name].dtype)
    if draw(st.booleans()):
        prefix = draw(st.sampled_from((sizes["token"] + 1, 1, 3)))
        arrays["value_right"] = rng.integers(-1, 4, (n, len(names), prefix)).astype(np.int16)
        arrays["value_n"] = rng.integers(0, 4, n).astype(np.int32)
    ds = assemble(arrays, tuple(names))
    if draw(st.booleans()):
        chosen = _pick(rng, texts, shape, "text")
        ds["generated_text"] = (ds["correct"].dims, np.where(run, chosen, ""))
    if draw(st.booleans()):
        failed = failed_rollouts(ds).sum(1) if r else np.zeros(n)
        ds["n_failed_rollouts"] = ("problem", np.asarray(failed, dtype=np.int32))
    ds = derive(ds)
    for name in ("regime", "route"):
        if draw(st.integers(0, 3)) == 0:
            # A regime is that of the outcomes, or none.
            kept = np.where(rng.random(n) < 0.5, ds["regime"].values, "").astype(object)
            values = kept if name == "regime" else _pick(rng, ["", *names], (n,), "text")
            ds[name] = ("problem", values)
    if not traced and draw(st.booleans()):
        ds = ds.drop_vars(["regime", "route"])
    return ds


def _traces(draw, rng, sizes, run):
    """Return ragged traces, firings and signals."""
    shape, width = run.shape, sizes["token"]
    unread = draw(st.integers(0, 4)) == 0
    length = np.where(run, rng.integers(1, width + 1, shape), 0).astype(np.int32)
    if unread:  # made, and not graded
        length[~run & (rng.random(shape) < 0.5)] = 1
    inside = np.arange(width) < length[..., None]
    ids = rng.choice([0, 1, 7, 2**31 - 1], inside.shape)
    arrays = {
        "n_tokens": length,
        "token_id": np.where(inside, ids, -1).astype(np.int32),
        "fired_at": np.where(rng.random(shape) < 0.5, length - 1, -1).astype(np.int32),
    }
    if draw(st.booleans()):
        kept = rng.random(shape[:2]) < 0.6
        kept &= (length[:, :, 0] > 0) if len(shape) == 3 else kept
        arrays["has_signals"] = kept.astype(np.int8)
        everywhere = draw(st.integers(0, 4)) == 0
        where = np.ones_like(inside[:, :, 0]) if everywhere else kept[..., None] & inside[:, :, 0]
        for name in draw(st.sets(st.sampled_from([each.value for each in Signal]))) | {
            Signal.DEMOTION_PRESSURE.value
        }:
            values = rng.choice(
                np.array([0, -0.0, 1e-45, 0.1, 3.4e38, -2.5], np.float32), where.shape
            )
            arrays[name] = np.where(where, values, np.float32(0)).astype(np.float32)
    if draw(st.booleans()):
        for name in ("alternative_token_id", "alternative_log_probability"):
            arrays[name] = empty(name, sizes)
            arrays[name][rng.random(arrays[name].shape) < 0.5] = 1
    return arrays


def _dressed(draw, rng, ds, wish):
    """Add attributes, variables and coordinates of one's own."""
    ds.attrs = {"schema_version": SCHEMA_VERSION, **draw(ATTRS)}
    if draw(st.booleans()):
        ds.attrs[IMPORTED] = "jsonl"
    n = ds.sizes["problem"]
    extra = {
        "weight": ("problem", rng.choice(np.array(FLOATS), n)),
        "hand": ("problem", rng.integers(0, 2, n).astype(bool)),
        "seconds": (("problem", "intervention"), rng.random((n, ds.sizes["intervention"]))),
        "big": ("problem", np.full(n, 2**62 + 1)),
        "note": ("problem", np.array([draw(wish.text)] * n, dtype=object)),
        "table": (("row", "column"), rng.integers(0, 9, (2, 3)).astype(np.int16)),
        "scalar": ((), 0.5),
    }
    for name in draw(st.sets(st.sampled_from(sorted(extra)), max_size=2)):
        ds[name] = extra[name]
    if "rollout" in ds.dims and draw(st.booleans()):
        ds["mark"] = (ds["correct"].dims, rng.integers(-3, 3, ds["correct"].shape))
    coords = {
        "model": ("problem", np.array([draw(st.sampled_from(("m", "a|b")))] * n, dtype=object)),
        "cell": ("problem", np.array(["c", "d", "e", "f", "g", "h"][:n], dtype=object)),
        "rollout": ("rollout", np.arange(ds.sizes.get("rollout", 0)) + 5),
    }
    for name in draw(st.sets(st.sampled_from(sorted(coords)), max_size=1)):
        if coords[name][0] in ds.dims:
            ds = ds.assign_coords({name: coords[name]})
    if draw(st.integers(0, 4)) == 0:
        order = draw(st.permutations(FEATURES))
        ds = ds.sel(feature=list(order))
    if wish.odd:
        ds = _odd(draw, ds)
    return ds


def _odd(draw, ds):
    """Make one thing of a study such as few files can hold."""
    n = ds.sizes["problem"]
    which = draw(st.sampled_from(("attrs", "of a variable", "text", "variable", "encoding")))
    if which == "attrs":
        ds.attrs |= draw(ODD_ATTRS)
    elif which == "of a variable":
        chosen = draw(st.sampled_from([name for name in ds.data_vars if isinstance(name, str)]))
        ds[chosen].attrs |= draw(ODD_ATTRS)
    elif which == "text":
        for name in ("prompt", "generated_text", "note"):
            if name in ds and ds[name].size:
                # In place: as a whole, such texts do not get into a Dataset of today's xarray.
                odd = draw(st.sampled_from(("\ud83d", "a\udc00b", None, 3, "a\0")))
                ds[name].values.flat[0] = odd
    elif which == "variable":
        variables = odd_variables(n)
        name = draw(st.sampled_from(list(variables)))
        ds[name] = variables[name]
    else:
        ds["rescue_rate"].encoding = {"dtype": "int16", "scale_factor": 0.01, "_FillValue": -1}
        ds["features"].encoding = {"chunks": (1, 1), "preferred_chunks": {"problem": 1}}
    return ds


def odd_variables(n):
    """Return variables of `n` problems by names and of types that few files hold."""
    return {
        "a/b": ("problem", np.zeros(n)),
        "": ("problem", np.zeros(n)),
        ".": ("problem", np.zeros(n)),
        7: ("problem", np.zeros(n)),
        ("a", "b"): ("problem", np.zeros(n)),
        "complex": ("problem", np.zeros(n, complex)),
        "mixed": ("problem", np.array([None, 1, "a", [2], {}, 3.5][:n], dtype=object)),
        "objects": ("problem", np.array([1, 2, 3, 4, 5, 6][:n], dtype=object)),
        "bytes": ("problem", np.array([b"a"] * n, dtype="S3")),
        "fixed": ("problem", np.array(["ab"] * n, dtype="U3")),
        "when": ("problem", np.array(["2020-01-01"] * n, dtype="datetime64[ns]")),
        "long": ("problem", np.array([3] * n, dtype="timedelta64[s]")),
        "half": ("problem", np.zeros(n, np.float16)),
        "huge": ("problem", np.full(n, 2**64 - 1, np.uint64)),
        "swapped": ("problem", np.arange(n, dtype=">i4")),
        "longdouble": ("problem", np.zeros(n, np.longdouble)),
        "record": ("problem", np.zeros(n, dtype=[("a", "i4")])),
    }


def _held(draw, ds):
    """Return the study as people hold it: plain, in chunks, as views, in another memory order."""
    how = draw(st.sampled_from(("plain", "plain", "dask", "views", "fortran", "text")))
    if how == "dask" and ds.sizes["problem"]:
        ds = ds.chunk({"problem": draw(st.integers(1, 3))})
    elif how == "views":
        ds = ds.isel(problem=slice(None, None, -1))
    elif how == "fortran":
        for variable in ds.data_vars.values():
            if variable.dtype.kind in "if" and variable.ndim > 1:
                variable.variable.values = np.asfortranarray(variable.values)
    elif how == "text":
        for name in ("problem_id", "family"):
            width = max([1, *(len(each) for each in ds[name].values)])
            fixed = ds[name].values.astype(f"U{width}")
            if fixed.tolist() == ds[name].values.tolist():
                ds = ds.assign_coords({name: ("problem", fixed)})
    try:
        return validate(ds)
    except InputError:
        assume(False)


def assert_same(left, right, *, attrs=True):
    """Assert two studies equal: names, dims, kinds, values to the last bit, NaN as NaN; attributes.

    Texts may be any type of text. Problems, rollouts and tokens are told by their places, so labels
    along them are not of the study.
    """
    left, right = (
        each.drop_vars(["problem", "rollout", "token"], errors="ignore") for each in (left, right)
    )
    assert set(map(str, left.variables)) == set(map(str, right.variables))
    assert set(left.coords) == set(right.coords)
    assert dict(left.sizes) == dict(right.sizes)
    for name in left.variables:
        a, b = left[name].variable, right[name].variable
        assert a.dims == b.dims, name
        if a.dtype.kind in "OUT":
            assert b.dtype.kind in "OUT" or not b.size, (name, b.dtype)
            assert a.values.astype(object).tolist() == b.values.astype(object).tolist(), name
        else:
            # The order of bytes is the machine's.
            assert a.dtype.newbyteorder("=") == b.dtype.newbyteorder("="), (name, a.dtype, b.dtype)
            np.testing.assert_array_equal(a.values, b.values, err_msg=str(name))
            if a.dtype.kind == "f":
                np.testing.assert_array_equal(np.signbit(a.values), np.signbit(b.values), str(name))
    if attrs:
        xr.testing.assert_identical(
            xr.Dataset(attrs=dict(left.attrs)), xr.Dataset(attrs=dict(right.attrs))
        )


def copied(ds):
    """Return what a writer must leave as it is, as a copy: the study, and its encodings."""
    return ds.copy(deep=True), {
        name: dict(variable.encoding) for name, variable in ds.variables.items()
    }
