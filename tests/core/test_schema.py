import numpy as np
import pytest
import xarray as xr
from tiny_study import tiny_study

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature, Signal
from recover_nb.core.schema import (
    SCHEMA_VERSION,
    VARIABLES,
    SchemaError,
    cell_names,
    empty,
)
from recover_nb.core.validation import validate


def changed(name, place, value):
    """Return a valid study with one element of one variable changed."""
    ds = tiny_study()
    values = ds[name].values.copy()
    values[place] = value
    return ds.assign({name: (ds[name].dims, values)})


def test_valid_study_comes_back_itself():
    ds = tiny_study()
    assert validate(ds) is ds


def test_extra_variables_are_allowed():
    ds = tiny_study().assign(mine=("problem", np.arange(6)), other=("somewhere", np.zeros(2)))
    assert validate(ds) is ds


@pytest.mark.parametrize(
    ("name", "place", "value", "said"),
    [
        ("correct", (1, 0, 1), 2, "'correct' is 2 at problem 1, rollout 0, intervention 1"),
        ("correct", (1, 0, 1), -2, "allowed: 1, 0 or -1"),
        ("parseable", (0, 0, 0), 7, "'parseable' is 7"),
        ("n_tokens", (1, 0, 1), 8, "allowed: 0 to 7"),
        ("n_tokens", (1, 0, 1), -1, "'n_tokens' is -1"),
        ("n_tokens", (1, 0, 1), 0, "above 0 wherever correct is not -1"),
        ("fired_at", (1, 0, 2), 7, "a position below n_tokens"),
        ("fired_at", (1, 0, 2), -2, "'fired_at' is -2"),
        ("fired_at", (0, 0, 2), 0, "a position below n_tokens"),
        ("rescue_rate", (1, 1), 1.5, "'rescue_rate' is 1.5 at problem 1, intervention 1"),
        ("rescue_rate", (1, 1), -0.1, "a number in [0, 1]"),
        ("attempts", (1, 1), -1, "0 or more"),
        ("features", (1, 1), np.inf, "'features' is inf"),
        ("regime", 1, "hopeless", "'regime' is 'hopeless' at problem 1"),
        ("route", 1, "pray", "'route' is 'pray'"),
        ("has_signals", (0, 0), 3, "0 or 1"),
        ("n_failed_rollouts", 0, -1, "0 or more"),
        ("token_id", (1, 0, 0, 6), -5, "-1 from there on"),
        ("token_id", (1, 0, 0, 0), -1, "0 or more before n_tokens"),
        ("token_id", (0, 0, 1, 0), 4, "0 or more before n_tokens, and -1 from there on"),
        ("entropy", (1, 0, 0), np.nan, "'entropy' is nan"),
        ("demotion_pressure", (1, 0, 0), np.inf, "finite"),
    ],
)
def test_wrong_value_is_named_with_its_place_and_what_is_allowed(name, place, value, said):
    with pytest.raises(SchemaError, match=r"allowed: ") as caught:
        validate(changed(name, place, value))
    assert said in str(caught.value)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shallow_check_reads_no_variable_with_tokens():
    ds = changed("token_id", (1, 0, 0, 0), -1)
    assert validate(ds, deep=False) is ds


@pytest.mark.parametrize("name", [each.name for each in VARIABLES.values()])
def test_wrong_dtype_and_wrong_dims_are_named(name):
    ds = tiny_study()
    wrong = np.zeros(ds[name].shape, np.complex64)
    with pytest.raises(
        SchemaError, match=rf"'{name}' has dtype complex64; it must be {VARIABLES[name].dtype}"
    ):
        validate(ds.assign({name: (ds[name].dims, wrong)}))
    with pytest.raises(SchemaError, match=rf"'{name}' is on \(elsewhere\); it must be on"):
        validate(ds.assign({name: ("elsewhere", np.zeros(2))}))


@pytest.mark.parametrize("name", [each.name for each in VARIABLES.values()])
def test_missing_variable_is_named_if_a_study_needs_it(name):
    ds = tiny_study().drop_vars(name)
    if VARIABLES[name].required_with is None:
        assert validate(ds) is ds
        return
    with pytest.raises(SchemaError, match=f"'{name}' is missing"):
        validate(ds)


@pytest.mark.parametrize("name", ["family", "method", "task", "problem_id", "split"])
def test_missing_coordinate(name):
    with pytest.raises(SchemaError, match=f"'{name}' is missing"):
        validate(tiny_study().drop_vars(name))


def test_other_schema_version_says_what_to_do():
    ds = tiny_study().assign_attrs(schema_version="99")
    with pytest.raises(
        SchemaError, match=f"schema version '99' .* reads '{SCHEMA_VERSION}'; install the version"
    ):
        validate(ds)
    del ds.attrs["schema_version"]
    with pytest.raises(SchemaError, match="no attribute schema_version"):
        validate(ds)


def test_interventions_begin_with_none_and_retry():
    ds = tiny_study()
    with pytest.raises(SchemaError, match="must begin none, retry"):
        validate(ds.isel(intervention=[1, 0, 2, 3, 4, 5]))
    with pytest.raises(SchemaError, match="'retry' occurs twice"):
        validate(ds.isel(intervention=[0, 1, 1, 3, 4, 5]))


def test_duplicate_unit_is_named():
    with pytest.raises(SchemaError, match=r"qwen3\|sft\|arithmetic\|p1 occurs twice"):
        validate(tiny_study().isel(problem=[0, 1, 1]))


def test_missing_feature_and_missing_dimension():
    ds = tiny_study()
    with pytest.raises(SchemaError, match=f"feature has no {Feature.SPREAD.value}"):
        validate(ds.isel(feature=[1, 2]))
    with pytest.raises(SchemaError, match="no dimension 'feature'"):
        validate(ds.drop_dims("feature"))


def test_anything_but_a_dataset_is_refused():
    with pytest.raises(SchemaError, match="not a list"):
        validate([1, 2])
    assert issubclass(SchemaError, InputError)


def test_table_without_attempts_needs_only_features_and_rates():
    ds = (
        tiny_study()
        .drop_dims(["rollout", "token"])
        .drop_vars(["prompt", "answer", "regime", "route"])
    )
    assert validate(ds.isel(intervention=[1, 3])) is not None


def test_cell_names():
    ds = tiny_study(n=2)
    assert cell_names(ds).tolist() == ["qwen3|sft|arithmetic"] * 2
    assert cell_names(ds.assign_coords(cell=("problem", ["a", "b"]))).tolist() == ["a", "b"]
    with pytest.raises(SchemaError, match="no coordinate 'method'"):
        cell_names(ds.drop_vars("method"))


def test_fill_codes():
    sizes = {"problem": 1, "rollout": 2, "intervention": 3, "token": 4, "feature": 3}
    assert empty("token_id", sizes).tolist() == np.full((1, 2, 3, 4), -1).tolist()
    assert empty("correct", sizes).dtype == np.int8
    assert empty("prompt", sizes).tolist() == [""]
    assert np.isnan(empty("features", sizes)).all()
    assert {name.value for name in Signal} <= set(VARIABLES)


def test_empty_study_of_no_problem_is_valid():
    ds = tiny_study().isel(problem=slice(0, 0))
    assert isinstance(validate(ds), xr.Dataset)
