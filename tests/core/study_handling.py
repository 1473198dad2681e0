"""What people do to a study, crossed with every public function that takes one.

``python tests/core/study_handling.py`` prints how many pairs were tried and what came of each kind:
figures, a sentence, a traceback, or figures that are silently wrong.
"""

import hashlib
import json
import sys
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

import recover_nb as rnb
from recover_nb.core.plain import plain
from recover_nb.core.schema import VARIABLES

#: Functions that say whether a study is as it is stored, and mend nothing.
STRICT = ("validate",)
#: What a manipulation allows: the figures of the study as it was, a sentence alone, or either.
SAME, REFUSED, ANY = "same", "refused", "any"
FIGURES, SENTENCE, TRACEBACK, WRONG = "figures", "sentence", "traceback", "silently wrong"

FEW = {"n_bootstrap": 20, "n_permutations": 20, "n_null": 2, "n_splits": 2}


@cache
def study():
    """Return a few problems of two specialists in two tasks, in memory."""
    ds = rnb.load_study()
    cells = rnb.cell_names(ds)
    wanted = ("qwen3|sft|arithmetic", "qwen3|grpo|arithmetic", "neox|sft|program")
    failed = rnb.first_failed(ds, 1)
    # Ten of each cell that failed at first, and two that never failed.
    places = [
        np.sort(
            np.concatenate(
                [
                    np.flatnonzero((cells == cell) & failed)[:10],
                    np.flatnonzero((cells == cell) & (ds["n_failed_rollouts"].values == 0))[:2],
                ]
            )
        )
        for cell in (*wanted, "neox|grpo|program")
    ]
    few = ds.isel(problem=np.concatenate(places)).load()
    return few.drop_encoding()


# ------------------------------------------------------------------ what people do


def _codes(ds, name, change):
    return ds.assign({name: (ds[name].dims, change(ds[name].values.copy()), ds[name].attrs)})


def _at(value, place=0):
    def change(values):
        values = (
            values.astype(np.result_type(values, type(value)))
            if not isinstance(value, str)
            else values.astype(object)
        )
        values.flat[place] = value
        return values

    return change


def _coord(ds, name, change):
    values = np.array([change(i, v) for i, v in enumerate(ds[name].values)], dtype=object)
    return ds.assign_coords({name: ("problem", values)})


def _attr(name, value):
    return lambda ds: ds.assign_attrs({name: value})


def _feature_attr(**attrs):
    def change(ds):
        return ds.assign(features=ds["features"].assign_attrs(attrs))

    return change


def _twice(ds, dim):
    return xr.concat([ds, ds], dim, data_vars="all", compat="equals", join="outer")


def _reversed_rows(ds):
    """Features and routes stay with their problems."""
    return ds.isel(problem=slice(None, None, -1))


def _regraded(ds):
    flipped = np.where(ds["correct"].values >= 0, 1 - ds["correct"].values, -1).astype(np.int8)
    return _codes(ds, "correct", lambda _: flipped)


def _on_disk(suffix):
    def change(ds):
        path = Path(tempfile.mkdtemp(dir=_folder())) / f"study{suffix}"
        if suffix == ".nc":
            rnb.to_netcdf(ds, path)
            return xr.open_dataset(path)
        if suffix == "v3":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ds.to_zarr(path.with_suffix(".zarr"), zarr_format=3, consolidated=False)
                return xr.open_zarr(path.with_suffix(".zarr"), consolidated=False, chunks=None)
        return rnb.open_study(rnb.save_zip(ds, path))

    return change


@cache
def _holder():
    return tempfile.TemporaryDirectory(prefix="handling_")


def _folder():
    return _holder().name


def _barred(ds):
    """Two families whose cells would have one name."""
    family = ["a|b" if i % 2 else "a¦b" for i in range(ds.sizes["problem"])]
    ids = [f"q{i}" for i in range(ds.sizes["problem"])]
    return ds.assign_coords(family=("problem", family), problem_id=("problem", ids))


def _strings(ds):
    """Text as numpy's variable-width strings, as Zarr gives it."""
    kind = np.dtypes.StringDType()
    names = [n for n, v in ds.variables.items() if v.dtype.kind == "O" and v.dims == ("problem",)]
    coords = {n: (ds[n].dims, ds[n].values.astype(kind)) for n in names if n in ds.coords}
    data = {n: (ds[n].dims, ds[n].values.astype(kind)) for n in names if n not in ds.coords}
    return ds.assign_coords(coords).assign(data)


def _unfailed(ds):
    return ds.isel(problem=np.flatnonzero(ds["n_failed_rollouts"].values == 0))


def _masked(ds):
    failed = ds["n_failed_rollouts"].values > 2
    return ds.where(xr.DataArray(failed, dims="problem"))


def _deep(levels):
    return "[" * levels + "]" * levels


DONE = {
    # nothing changes: the figures of the study as it was
    "transposed": (SAME, lambda ds: ds.transpose(*reversed(list(ds.dims)))),
    "one variable transposed": (
        SAME,
        lambda ds: ds.assign(correct=ds["correct"].transpose("intervention", "problem", "rollout")),
    ),
    "variables in another order": (SAME, lambda ds: ds[sorted(ds.data_vars, reverse=True)]),
    "chunked": (SAME, lambda ds: ds.chunk({"problem": 5})),
    "chunked along rollouts": (SAME, lambda ds: ds.chunk({"rollout": 7, "intervention": 3})),
    "netCDF and back": (SAME, _on_disk(".nc")),
    "zip and back": (SAME, _on_disk(".zarr.zip")),
    "Zarr 3 and back": (SAME, _on_disk("v3")),
    "deep copy": (SAME, lambda ds: ds.copy(deep=True)),
    "through a dict": (SAME, lambda ds: xr.Dataset.from_dict(ds[list(ds)].to_dict(data="array"))),
    "coordinates made variables": (SAME, lambda ds: ds.reset_coords()),
    "MultiIndex of units": (
        SAME,
        lambda ds: ds.set_index(problem=["family", "method", "task", "problem_id"]),
    ),
    "numbered problems": (
        SAME,
        lambda ds: ds.assign_coords(problem=np.arange(100, 100 + ds.sizes["problem"])),
    ),
    "numbered rollouts": (SAME, lambda ds: ds.assign_coords(rollout=np.arange(50))),
    "an index of ids beside": (SAME, lambda ds: ds.set_xindex("problem_id")),
    "no index of interventions": (SAME, lambda ds: ds.reset_index("intervention")),
    "int64 outcomes": (SAME, lambda ds: ds.assign(correct=ds["correct"].astype("int64"))),
    "float outcomes": (SAME, lambda ds: ds.assign(correct=ds["correct"].astype(float))),
    "NaN for not run": (
        SAME,
        lambda ds: ds.assign(correct=ds["correct"].where(ds["correct"] >= 0)),
    ),
    "object outcomes": (SAME, lambda ds: ds.assign(correct=ds["correct"].astype(object))),
    "float lengths": (SAME, lambda ds: ds.assign(n_tokens=ds["n_tokens"].astype("float32"))),
    "int64 everywhere": (
        SAME,
        lambda ds: ds.assign({n: v.astype("int64") for n, v in ds.items() if v.dtype.kind == "i"}),
    ),
    "bool has_signals": (SAME, lambda ds: ds.assign(has_signals=ds["has_signals"] == 1)),
    "masked where all is true": (SAME, lambda ds: ds.where(xr.ones_like(ds["level"], dtype=bool))),
    "fixed-width text": (
        SAME,
        lambda ds: ds.assign_coords({n: ds[n].astype(str) for n in ("family", "task")}),
    ),
    "variable-width text": (SAME, _strings),
    "a variable of one's own": (
        SAME,
        lambda ds: ds.assign(mine=("problem", np.arange(float(ds.sizes["problem"])))),
    ),
    "a scalar coordinate": (SAME, lambda ds: ds.assign_coords(run=3)),
    "encodings of another store": (SAME, lambda ds: _encoded(ds)),
    "percent features": (ANY, lambda ds: ds.assign(features=ds["features"] * 100)),
    # what is there
    "problems reversed": (ANY, _reversed_rows),
    "one problem": (ANY, lambda ds: ds.isel(problem=[0])),
    "one cell": (ANY, lambda ds: ds.isel(problem=slice(12))),
    "no failed problem": (ANY, _unfailed),
    "problems that failed": (ANY, lambda ds: ds.isel(problem=ds["n_failed_rollouts"].values > 0)),
    "masked problems": (ANY, _masked),
    "masked problems dropped": (
        ANY,
        lambda ds: ds.where(ds["n_failed_rollouts"] > 2, drop=True),
    ),
    "retry alone": (ANY, lambda ds: ds.sel(intervention=["retry"])),
    "none and retry": (ANY, lambda ds: ds.sel(intervention=["none", "retry"])),
    "no rollout of none": (ANY, lambda ds: ds.drop_sel(intervention="none")),
    "interventions reversed": (ANY, lambda ds: ds.isel(intervention=slice(None, None, -1))),
    "one feature": (ANY, lambda ds: ds.isel(feature=[0])),
    "no rates": (
        ANY,
        lambda ds: ds.drop_vars(["rescue_rate", "attempts", "regime", "route"]),
    ),
    "no signals": (ANY, lambda ds: ds.drop_dims("token")),
    "no features": (ANY, lambda ds: ds.drop_vars("features")),
    "no outcomes": (ANY, lambda ds: ds.drop_vars("correct")),
    "no rollouts": (ANY, lambda ds: ds.drop_dims("rollout")),
    "no texts": (ANY, lambda ds: ds.drop_vars(["prompt", "answer"])),
    "no family": (ANY, lambda ds: ds.drop_vars("family")),
    "no coordinates": (ANY, lambda ds: ds.reset_coords(drop=True)),
    "no names of interventions": (ANY, lambda ds: ds.drop_vars("intervention")),
    "no schema version": (ANY, lambda ds: ds.assign_attrs(mine=1).drop_attrs(deep=False)),
    "no attributes": (ANY, lambda ds: ds.drop_attrs()),
    "features alone": (ANY, lambda ds: ds[["features"]]),
    "slashes in names": (ANY, lambda ds: _coord(ds, "task", lambda _, v: f"{v}/a b/é")),
    "bars in names": (ANY, lambda ds: _coord(ds, "task", lambda _, v: f"{v}|x")),
    "two cells of one name": (REFUSED, _barred),
    "float32 features": (ANY, lambda ds: ds.assign(features=ds["features"].astype("float32"))),
    "constant features": (ANY, lambda ds: ds.assign(features=ds["features"] * 0 + 1)),
    "float16 signals": (
        ANY,
        lambda ds: ds.assign(
            {
                n: v.astype("float16")
                for n, v in ds.items()
                if "token" in v.dims and v.dtype.kind == "f"
            }
        ),
    ),
    # what contradicts itself
    "None": (REFUSED, lambda ds: None),
    "a path": (REFUSED, lambda ds: "study.zarr"),
    "a pathlib path": (REFUSED, lambda ds: Path("study.zarr")),
    "a DataFrame": (REFUSED, lambda ds: ds["features"].to_pandas()),
    "a dict": (REFUSED, lambda ds: {"correct": ds["correct"].values}),
    "a DataArray": (REFUSED, lambda ds: ds["correct"]),
    "an array": (REFUSED, lambda ds: ds["correct"].values),
    "a result": (REFUSED, lambda ds: evaluation()),
    "a number": (REFUSED, lambda ds: 3),
    "one problem by number": (REFUSED, lambda ds: ds.isel(problem=0)),
    "no problem": (REFUSED, lambda ds: ds.isel(problem=slice(0))),
    "an empty Dataset": (REFUSED, lambda ds: xr.Dataset()),
    "problem renamed": (REFUSED, lambda ds: ds.rename(problem="example")),
    "problem swapped for ids": (REFUSED, lambda ds: ds.swap_dims(problem="problem_id")),
    "rollout renamed": (REFUSED, lambda ds: ds.rename_dims(rollout="sample")),
    "features renamed": (ANY, lambda ds: ds.rename(features="x")),
    "correct renamed": (ANY, lambda ds: ds.rename(correct="is_correct")),
    "family renamed": (ANY, lambda ds: ds.rename(family="model_family")),
    "intervention renamed": (REFUSED, lambda ds: ds.rename(intervention="arm")),
    "another dimension": (REFUSED, lambda ds: ds.expand_dims(run=2)),
    "with itself": (REFUSED, lambda ds: xr.concat([ds, ds], "problem")),
    "with a part of itself": (
        REFUSED,
        lambda ds: xr.concat([ds, ds.isel(problem=[3])], "problem"),
    ),
    "interventions twice": (REFUSED, lambda ds: _twice(ds, "intervention")),
    "rollouts twice": (
        REFUSED,
        lambda ds: _twice(ds.assign_coords(rollout=np.arange(50)), "rollout"),
    ),
    "fewer rollouts": (REFUSED, lambda ds: ds.isel(rollout=slice(10))),
    "shorter traces": (REFUSED, lambda ds: ds.isel(token=slice(3))),
    "regraded": (REFUSED, _regraded),
    "one outcome regraded": (
        REFUSED,
        lambda ds: _codes(
            ds,
            "correct",
            lambda v: np.where(np.arange(v.size).reshape(v.shape) == 1, 1 - np.abs(v), v).astype(
                np.int8
            ),
        ),
    ),
    "half the outcomes masked": (
        REFUSED,
        lambda ds: ds.assign(correct=ds["correct"].where(ds["rollout"] < 25)),
    ),
    "rates of another study": (
        REFUSED,
        lambda ds: ds.assign(rescue_rate=1 - ds["rescue_rate"]),
    ),
    "attempts off by one": (REFUSED, lambda ds: ds.assign(attempts=ds["attempts"] + 1)),
    "rates in percent": (REFUSED, lambda ds: ds.assign(rescue_rate=ds["rescue_rate"] * 100)),
    "correct is 2": (REFUSED, lambda ds: _codes(ds, "correct", _at(2))),
    "correct is half": (REFUSED, lambda ds: _codes(ds, "correct", _at(0.5))),
    "correct is infinite": (REFUSED, lambda ds: _codes(ds, "correct", _at(np.inf))),
    "correct is bool": (REFUSED, lambda ds: ds.assign(correct=ds["correct"] == 1)),
    "correct is text": (REFUSED, lambda ds: ds.assign(correct=ds["correct"].astype(str))),
    "correct is complex": (REFUSED, lambda ds: ds.assign(correct=ds["correct"] + 0j)),
    "correct is a time": (
        REFUSED,
        lambda ds: ds.assign(correct=ds["correct"].astype("timedelta64[ns]")),
    ),
    "negative length": (REFUSED, lambda ds: _codes(ds, "n_tokens", _at(-4))),
    "negative attempts": (REFUSED, lambda ds: _codes(ds, "attempts", _at(-1))),
    "rate of 1.3": (REFUSED, lambda ds: _codes(ds, "rescue_rate", _at(1.3, 1))),
    "fired beyond the trace": (REFUSED, lambda ds: _codes(ds, "fired_at", _at(4000, 1))),
    "infinite feature": (REFUSED, lambda ds: _codes(ds, "features", _at(np.inf))),
    "features times 1e300": (REFUSED, lambda ds: ds.assign(features=ds["features"] * 1e300)),
    "features times 1e-300": (REFUSED, lambda ds: ds.assign(features=ds["features"] * 1e-300)),
    "features of text": (REFUSED, lambda ds: ds.assign(features=ds["features"].astype(str))),
    "another regime": (REFUSED, lambda ds: _codes(ds, "regime", _at("hopeless"))),
    "half for a family": (
        REFUSED,
        lambda ds: _coord(ds, "family", lambda i, v: v if i else 7.5),
    ),
    "NaN for a task": (
        REFUSED,
        lambda ds: _coord(ds, "task", lambda i, v: v if i else np.nan),
    ),
    "numbers for ids": (
        ANY,
        lambda ds: ds.assign_coords(problem_id=("problem", np.arange(ds.sizes["problem"]))),
    ),
    "numbers for interventions": (REFUSED, lambda ds: ds.assign_coords(intervention=range(14))),
    "a newer schema": (REFUSED, _attr("schema_version", "2")),
    "config is no JSON": (REFUSED, _attr("config_json", "{")),
    "config is a number": (REFUSED, _attr("config_json", 3)),
    "config is a list": (REFUSED, _attr("config_json", "[1]")),
    "config is deep": (REFUSED, _attr("config_json", _deep(100_000))),
    "settings are a text": (REFUSED, _attr("config_json", '{"settings": "none"}')),
    "window is NaN": (REFUSED, _attr("config_json", '{"settings": {"window": NaN}}')),
    "window is huge": (REFUSED, _attr("config_json", '{"settings": {"window": 1e300}}')),
    "provenance is a list": (REFUSED, _attr("provenance_json", "[]")),
    "models are a text": (REFUSED, _attr("provenance_json", '{"models": "all"}')),
    "tolerance is a text": (REFUSED, _attr("regime_tolerance", "some")),
    "tolerance is NaN": (REFUSED, _attr("regime_tolerance", np.nan)),
    "tolerance is huge": (REFUSED, _attr("regime_tolerance", 1e9)),
    "seed is a text": (REFUSED, _attr("seed", "zero")),
    "token text is a list": (REFUSED, _attr("token_text_json", [1, 2])),
    "notes are numbers": (REFUSED, _attr("import_notes", [1, 2])),
    "feature window is a text": (REFUSED, _feature_attr(window="wide")),
    "feature floor is NaN": (REFUSED, _feature_attr(floor=np.nan)),
}


def _encoded(ds):
    ds = ds.copy()
    for variable in ds.variables.values():
        variable.encoding = {"chunks": (7,) * variable.ndim, "compressor": None, "dtype": "float16"}
    return ds


# ------------------------------------------------------------------ every function


@cache
def evaluation():
    return rnb.evaluate_routing(study(), **FEW)


@cache
def _pairs():
    return rnb.load_remapped()


def _figures_of(ds):
    """Return a study without what somebody added: it comes back, too, and is no figure of it."""
    return ds[[name for name in ds.data_vars if name in VARIABLES]]


def _written(write, suffix):
    def call(ds):
        folder = Path(tempfile.mkdtemp(dir=_folder()))
        path = folder / f"out{suffix}"
        write(ds, path)
        if suffix in (".nc", ".zarr.zip"):
            return _figures_of(rnb.open_study(path, load=True))
        if suffix in (".parquet", ".jsonl"):
            again = (rnb.from_table if suffix == ".parquet" else rnb.from_jsonl)(path)
            return _figures_of(again).drop_attrs()
        return path.read_bytes() if path.is_file() else sorted(p.name for p in path.iterdir())

    return call


def _widget(name, **options):
    def call(ds):
        made = getattr(rnb.widgets, name)(ds, **options)
        said = [str(made.value)]
        made.close()
        return said

    return call


def _variable(ds, name):
    return ds[name] if isinstance(ds, xr.Dataset) and name in ds else ds


FUNCTIONS = {
    "validate": lambda ds: rnb.validate(ds) is ds,
    "cell_names": rnb.cell_names,
    "evaluate_routing": lambda ds: rnb.evaluate_routing(ds, **FEW),
    "what_changed": lambda ds: rnb.what_changed(ds, n_bootstrap=20),
    "ablate": lambda ds: rnb.ablate(ds, n_bootstrap=5, n_null=2, n_splits=2),
    "cluster_stability": lambda ds: rnb.cluster_stability(ds, k=2, n_resamples=2, n_null=19),
    "choose_k": lambda ds: rnb.choose_k(ds, ks=(2, 3)),
    "rollout_stability": lambda ds: rnb.rollout_stability(
        ds, k=2, sizes=(1, 2), n_splits=2, n_null=19
    ),
    "stability_grid": lambda ds: rnb.stability_grid(
        ds, algorithms=("ward",), ks=(2,), n_resamples=2, n_null=19
    ),
    "compute_features": rnb.compute_features,
    "needed_rollouts": lambda ds: rnb.needed_rollouts(ds, (1, 2), n_splits=2, n_bootstrap=5),
    "route_reliability": lambda ds: rnb.route_reliability(ds, (1, 2), n_splits=2, n_bootstrap=5),
    "topography": lambda ds: rnb.topography(ds, n_splits=2, n_repeats=1, n_permutations=2),
    "transfer": lambda ds: rnb.transfer(
        ds, k=2, n_null=2, n_splits=2, n_bootstrap=5, n_permutations=5
    ),
    "controls": lambda ds: rnb.controls(ds, n_bootstrap=20),
    "reading": lambda ds: rnb.reading(ds, n_splits=2, n_repeats=1, ngrams=(1, 1)),
    "failed_text": rnb.failed_text,
    "compare_routers": lambda ds: rnb.compare_routers(
        ds, hold_out="question", n_bootstrap=5, n_null=2, n_halvings=2
    ),
    "recover_gain": lambda ds: rnb.recover_gain(ds, budgets=[4], n_bootstrap=5, n_null=2),
    "recorded_value": lambda ds: rnb.recorded_value(ds, 0),
    "problems_with_value": rnb.problems_with_value,
    "judge_detectors": rnb.judge_detectors,
    "first_failed": lambda ds: rnb.first_failed(ds, 1),
    "majority_vote": lambda ds: rnb.majority_vote(ds, 5, draws=3),
    "story": rnb.story,
    "cost_dial": rnb.cost_dial,
    "seed_spread": lambda ds: rnb.seed_spread({0: ds, 1: study()}),
    "fingerprint_across_seeds": lambda ds: rnb.fingerprint_across_seeds(
        {0: ds, 1: study()}, n_bootstrap=5
    ),
    "remap_survival": lambda ds: rnb.remap_survival(ds, *_pairs(), n_bootstrap=5),
    "summary_text": lambda ds: rnb.summary_text(ds, evaluation()),
    "read_problems": rnb.read_problems,
    "rescue_rate": lambda ds: rnb.rescue_rate(_variable(ds, "correct")),
    "classify_regimes": lambda ds: rnb.classify_regimes(_variable(ds, "rescue_rate")),
    "route": lambda ds: rnb.route(_variable(ds, "features")),
    "to_profiles": _written(rnb.to_profiles, ".csv"),
    "to_jsonl": _written(rnb.to_jsonl, ".jsonl"),
    "to_parquet": _written(rnb.to_parquet, ".parquet"),
    "to_netcdf": _written(rnb.to_netcdf, ".nc"),
    "save_zip": _written(rnb.save_zip, ".zarr.zip"),
    "TraceInspector": _widget("TraceInspector"),
    "RolloutStepper": _widget("RolloutStepper"),
    "RoutingExplorer": _widget("RoutingExplorer", counts=FEW),
    "StabilityExplorer": _widget("StabilityExplorer", n_null=19),
    "TopographyExplorer": _widget("TopographyExplorer"),
    "TraceSurgeon": _widget("TraceSurgeon"),
    **{
        name: getattr(rnb, name)
        for name in (
            "plot_what_changed",
            "plot_ablations",
            "plot_routers",
            "plot_clusters",
            "plot_consensus",
            "plot_stability",
            "plot_stability_grid",
            "plot_calculator",
            "plot_reliability",
            "plot_remapping",
            "plot_confusion",
            "plot_controls",
            "plot_effects",
            "plot_feature_quantiles",
            "plot_mappings",
            "plot_reading",
            "plot_scores",
            "plot_transfer_clusters",
            "plot_transfer_routing",
            "plot_budget",
            "plot_estimators",
            "plot_features",
            "plot_regimes",
            "plot_rescue",
            "plot_routes",
            "plot_value",
        )
    },
    **{
        f"tables.{name}": getattr(rnb.tables, name)
        for name in (
            "best_arms",
            "calculator_by_regime",
            "choose_example",
            "costs",
            "failures_by_cell",
            "feature_points",
            "features_by_floor",
            "features_by_window",
            "firing",
            "junction_sentence",
            "notes_of_import",
            "regime_sentence",
            "regimes_by_cell",
            "rescue_by_intervention",
        )
    },
}


# ------------------------------------------------------------------ what comes of it


@dataclass
class Outcome:
    """What came of one pair."""

    kind: str
    said: str


def digest(found):
    """Return something that is equal where figures are."""
    if hasattr(found, "to_dict") and not isinstance(
        found, pd.DataFrame | xr.Dataset | xr.DataArray
    ):
        return json.dumps(plain(found.to_dict()), sort_keys=True, default=str)
    if isinstance(found, xr.Dataset):
        parts = {str(n): digest(found[n]) for n in sorted(map(str, found.data_vars))}
        return json.dumps(parts, sort_keys=True)
    if isinstance(found, xr.DataArray):
        values = found.transpose(*sorted(map(str, found.dims))).values
        return f"{sorted(map(str, found.dims))} {digest(np.asarray(values))}"
    if isinstance(found, np.ndarray):
        values = found.astype(str) if found.dtype.kind in "OUT" else found.astype(float)
        return hashlib.sha256(repr((values.shape, values.tolist())).encode()).hexdigest()
    if isinstance(found, pd.DataFrame):
        return found.to_json(double_precision=15)
    if hasattr(found, "html"):
        return found.html()
    return repr(found)


def outcome(call, ds):
    """Return the kind of what a function does with something, and its digest or message."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return Outcome(FIGURES, digest(call(ds)))
        except rnb.InputError as error:
            said = str(error)
            return Outcome(SENTENCE if "\n" not in said else TRACEBACK, said)
        except Exception as error:
            return Outcome(TRACEBACK, f"{type(error).__name__}: {error}")


@cache
def handled():
    """Return every manipulated study by its name."""
    return {name: change(study()) for name, (_, change) in DONE.items()}


def judged(name, does):
    """Return what came of one function and one manipulation, told by what is right."""
    found = outcome(FUNCTIONS[name], handled()[does])
    expected = DONE[does][0]
    if name in STRICT and expected == SAME:
        expected = ANY
    if found.kind == FIGURES:
        if expected == REFUSED and not _blind(name, does):
            return Outcome(WRONG, "figures where a sentence was right")
        if expected == SAME and found.said != _plainly(name).said:
            return Outcome(WRONG, "other figures than those of the study as it was")
    elif found.kind == SENTENCE and expected == SAME and _plainly(name).kind == FIGURES:
        return Outcome(WRONG, f"refused, though nothing was changed: {found.said}")
    return found


@cache
def _plainly(name):
    return outcome(FUNCTIONS[name], study())


def _blind(name, does):
    """Whether a function does not look at what was changed."""
    if name in STRICT:
        return does == "no problem"  # It is none that contradicts itself.
    if name in OPTIONAL and does == "None":
        return True
    if name in DRAWS_RESULT and does == "a result":
        return True
    return name in ABOUT and does not in ABOUT[name]


#: Functions that show the bundled study where none is given.
OPTIONAL = ("story", "cost_dial", "RolloutStepper", "TraceSurgeon")
#: Charts of the very result that is tried, an evaluation.
DRAWS_RESULT = ("plot_budget", "plot_estimators", "plot_mappings", "plot_routes")
_KINDS = {
    "None",
    "a path",
    "a pathlib path",
    "a DataFrame",
    "a dict",
    "an array",
    "a result",
    "a number",
    "an empty Dataset",
}
_NAMES = {"half for a family", "NaN for a task", "one problem by number"}
#: What functions must refuse that are not about a whole study, but about one variable of it.
ABOUT = {
    "cell_names": _KINDS | _NAMES | {"a DataArray"},
    "rescue_rate": {
        "None",
        "a path",
        "a DataFrame",
        "an array",
        "a result",
        "an empty Dataset",
        "correct is 2",
        "correct is half",
        "correct is infinite",
        "correct is text",
        "correct is complex",
        "correct is a time",
        "intervention renamed",
        "rollout renamed",
    },
    "classify_regimes": {
        "None",
        "a path",
        "a result",
        "an empty Dataset",
        "rates in percent",
        "rate of 1.3",
        "intervention renamed",
        "numbers for interventions",
    },
    "route": {
        "None",
        "a path",
        "a result",
        "an empty Dataset",
        "infinite feature",
        "features of text",
    },
}


def main(names=None):
    """Try every pair, and print what came of them."""
    counts, told = Counter(), []
    for name in names or FUNCTIONS:
        for does in DONE:
            found = judged(name, does)
            counts[found.kind] += 1
            if found.kind in (TRACEBACK, WRONG):
                told.append(name)
                print(f"{found.kind}: {name} x {does}: {found.said[:200]}", flush=True)
    kinds = ", ".join(f"{kind} {counts[kind]:,}" for kind in (FIGURES, SENTENCE, TRACEBACK, WRONG))
    tried = f"{len(names or FUNCTIONS)} functions x {len(DONE)} manipulations"
    print(f"{tried} = {counts.total():,}: {kinds}")
    return bool(told)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
