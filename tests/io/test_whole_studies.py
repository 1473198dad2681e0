"""Whatever the study: what a writer writes is read back as it was, or one sentence says why not.

`RECOVER_NB_STUDIES=2000 pytest tests/io/test_whole_studies.py` draws 2,000 studies for each.
"""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from studies import EXAMPLES, TEXTS, WILD, Wish, assert_same, copied, whole_studies

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.io.profiles import ARMS, FEATURES
from recover_nb.io.store import save_study

WITH_ROLLOUTS = ("traces", "outcomes")


def opened(path):
    return rnb.open_study(path, load=True)


FORMATS = {
    "zarr": (save_study, opened, ".zarr"),
    "zip": (rnb.save_zip, opened, ".zarr.zip"),
    "netcdf": (rnb.to_netcdf, opened, ".nc"),
    "jsonl": (rnb.to_jsonl, rnb.from_jsonl, ".jsonl"),
    "parquet": (rnb.to_parquet, rnb.from_table, ".parquet"),
}
ROWS = ("jsonl", "parquet")
#: NetCDF takes no slash in a name, and one sentence says so.
UNHELD = {"netcdf": ("a/b",)}
#: NetCDF has no type for a list of one: attributes come back as it says them.
EXACT_ATTRS = ("zarr", "zip", "jsonl", "parquet")


def held(ds, name):
    """Return a study without the attributes whose names a format refuses."""
    return ds.drop_attrs(deep=False).assign_attrs(
        {each: value for each, value in ds.attrs.items() if each not in UNHELD.get(name, ())}
    )


def kinds(name):
    return WITH_ROLLOUTS if name in ROWS else ("traces", "outcomes", "rates")


@pytest.mark.parametrize("name", FORMATS)
def test_a_study_comes_back_as_it_was(name):
    write, read, suffix = FORMATS[name]

    @EXAMPLES
    @given(whole_studies(Wish(kinds(name))))
    def one(ds):
        with tempfile.TemporaryDirectory() as folder:
            path, second = Path(folder) / f"x{suffix}", Path(folder) / f"y{suffix}"
            ds = held(ds, name)
            write(ds, path)
            again = read(path)
            assert_same(ds, again, attrs=name in EXACT_ATTRS)
            # What was read is written in the same words.
            if name in ROWS:
                write(again, second)
                assert path.read_bytes() == second.read_bytes()

    one()


@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_file_or_one_sentence(name):
    write, read, suffix = FORMATS[name]

    @EXAMPLES
    @given(whole_studies(Wish(text=WILD, odd=True)))
    def one(ds):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"x{suffix}"
            before, encodings = copied(ds)
            try:
                write(ds, path)
            except InputError as error:
                assert str(error).strip() and "\n" not in str(error)
                assert not list(Path(folder).iterdir())
            else:
                assert [each.name for each in Path(folder).iterdir()] == [path.name]
                assert_same(ds, read(path), attrs=name in EXACT_ATTRS)
            assert_same(before, ds)
            assert {k: dict(v.encoding) for k, v in ds.variables.items()} == encodings

    one()


@pytest.mark.parametrize("name", ROWS)
def test_a_part_of_the_rows_is_told(name):
    """Rows taken away are never a whole study; what is left is read, or one sentence."""
    write, read, suffix = FORMATS[name]

    @EXAMPLES
    @given(whole_studies(Wish(WITH_ROLLOUTS), least=1), st.integers(1, 30))
    def one(ds, n):
        with tempfile.TemporaryDirectory() as folder:
            path = write(ds, Path(folder) / f"x{suffix}")
            rows = (
                path.read_bytes().splitlines(keepends=True)
                if name == "jsonl"
                else pd.read_parquet(path)
            )
            if n >= len(rows):
                return
            if name == "jsonl":
                path.write_bytes(b"".join(rows[:n]))
            else:
                path.unlink()
                rows.iloc[:n].to_parquet(path)
            try:
                again = read(path)
            except InputError as error:
                assert "\n" not in str(error)
                return
            assert any(f"{n:,} of {len(rows)} rows" in each for each in again.attrs["import_notes"])
            assert int((again["correct"].values >= 0).sum()) <= n

    one()


# Profile tables


@st.composite
def profiled(draw):
    """Draw a study that has all arms of a profile table."""
    n = draw(st.integers(0, 5))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    names = st.sampled_from(("a", "b", "a-b", "b-sft", "sft", "sft-4b", "a|b")) | TEXTS
    units = draw(
        st.lists(st.tuples(names, names, names, names), min_size=n, max_size=n, unique=True)
    )
    coords = {
        name: ("problem", np.array([each[i] for each in units], dtype=object))
        for i, name in enumerate(("family", "method", "task", "problem_id"))
    }
    arms = ["none", *ARMS.values(), "greedy"][draw(st.integers(0, 1)) :]
    rates = rng.choice([0.0, 1.0, 0.35, 1 / 3, np.nan], (n, len(arms)), p=[0.3, 0.2, 0.2, 0.2, 0.1])
    values = rng.choice([0.0, -1.5, 1e-9, 1e16, 1 / 3, np.nan], (n, 3), p=[0.2] * 4 + [0.15, 0.05])
    ds = xr.Dataset(
        {
            "features": (("problem", "feature"), values),
            "rescue_rate": (("problem", "intervention"), rates),
            "n_failed_rollouts": ("problem", rng.integers(0, 5, n).astype(np.int32)),
        },
        {
            **coords,
            "split": ("problem", np.full(n, "test", dtype=object)),
            "intervention": arms,
            "feature": list(FEATURES),
        },
        {"schema_version": "1"},
    )
    if draw(st.booleans()):
        ds = ds.drop_vars("n_failed_rollouts")
    if draw(st.booleans()):
        ds = ds.assign_coords(model=("problem", np.array(["m", "sft4b"] * 3, dtype=object)[:n]))
    return ds


@EXAMPLES
@given(profiled())
def test_a_profile_table_holds_the_failed_units(ds):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "x.csv"
        try:
            rnb.to_profiles(ds, path)
        except InputError as error:
            assert str(error).strip() and "\n" not in str(error).replace("\\n", "")
            assert not list(Path(folder).iterdir())
            return
        again = rnb.from_profiles(path)
    arms = list(ARMS.values())
    whole = ds["features"].notnull().all("feature") & (ds["n_failed_rollouts"] > 0)
    whole &= ds["rescue_rate"].sel(intervention=arms).notnull().all("intervention")
    kept = ds.isel(problem=np.flatnonzero(whole.values))
    for name in ("task", "problem_id"):
        assert again[name].values.tolist() == kept[name].values.tolist()
    assert again["n_failed_rollouts"].values.tolist() == kept["n_failed_rollouts"].values.tolist()
    for name in ("features", "rescue_rate"):
        wanted = kept[name].sel(intervention=arms) if name == "rescue_rate" else kept[name]
        np.testing.assert_allclose(again[name].values, wanted.values, rtol=1e-15, atol=6e-7)
    # Two cells are never one.
    models = (
        kept["model"].values
        if "model" in kept.coords
        else list(zip(kept["family"].values, kept["method"].values, strict=True))
    )
    cells = set(zip(map(str, models), kept["task"].values, strict=True))
    assert len(set(again["cell"].values)) == len(cells)


# The command line


@EXAMPLES
@given(whole_studies(Wish(WITH_ROLLOUTS), least=1), st.sampled_from(("jsonl", "parquet", "netcdf")))
def test_the_command_line_gives_a_study_back(ds, form):
    suffix = ".nc" if form == "netcdf" else f".{form}"
    with tempfile.TemporaryDirectory() as folder:
        first, file, last = (Path(folder) / each for each in ("a.zarr", f"x{suffix}", "b.zarr"))
        ds = held(ds, form)
        save_study(ds, first)
        assert main(["export", form, str(first), str(file)]) in (0, None)
        assert main(["import", form, str(file), "--out", str(last)]) in (0, None)
        again = opened(last)
        # What made the study is noted where nothing was.
        again.attrs = {name: again.attrs[name] for name in ds.attrs}
        assert_same(ds, again, attrs=form != "netcdf")


# Order and parts


@EXAMPLES
@given(st.integers(0, 999), st.data())
def test_order_changes_no_figure(seed, data):
    ds = rnb.make_study(n_problems=8, seed=seed, cells=[("qwen3", "sft", "program")])
    names = ds["intervention"].values.tolist()
    order = data.draw(st.permutations(range(ds.sizes["problem"])))
    fixed = 2 if names[:2] == ["none", "retry"] else 0
    arms = [*names[:fixed], *data.draw(st.permutations(names[fixed:]))]
    moved = ds.isel(problem=order).sel(intervention=arms)
    rates = [rnb.rescue_rate(each["correct"]) for each in (ds, moved)]
    xr.testing.assert_equal(rates[0].isel(problem=order).sel(intervention=arms), rates[1])
    regimes = [rnb.classify_regimes(each["rescue_rate"]) for each in (ds, moved)]
    assert regimes[0].values[order].tolist() == regimes[1].values.tolist()
    routes = [rnb.route(each["features"], rnb.cell_names(each)) for each in (ds, moved)]
    assert np.asarray(routes[0])[order].tolist() == np.asarray(routes[1]).tolist()


@pytest.mark.parametrize("name", ROWS)
def test_parts_make_the_whole(name):
    write, read, suffix = FORMATS[name]

    @EXAMPLES
    @given(whole_studies(Wish(WITH_ROLLOUTS), least=2), st.data())
    def one(ds, data):
        cut = data.draw(st.integers(1, ds.sizes["problem"] - 1))
        with tempfile.TemporaryDirectory() as folder:
            parts = []
            for i, part in enumerate((slice(0, cut), slice(cut, None))):
                part = ds.isel(problem=part)
                parts.append(read(write(part, Path(folder) / f"{i}{suffix}")))
                assert_same(part, parts[-1])
        with_problem = [name for name, each in ds.variables.items() if "problem" in each.dims]
        for variable in with_problem:
            both = [each[variable].values for each in parts]
            axis = ds[variable].dims.index("problem")
            np.testing.assert_array_equal(np.concatenate(both, axis), ds[variable].values)

    one()
