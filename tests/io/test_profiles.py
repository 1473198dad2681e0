"""The authors' profile table: round trip, inferred attempts, every way a file can be wrong."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.validation import validate
from recover_nb.io.profiles import COLUMNS, from_profiles, infer_attempts, to_profiles
from recover_nb.routing.simulate import make_study

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "published_profiles.csv"


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "cell": ["sft4b|gsm8k"] * 3,
            "model": ["sft4b", "grpo1p7b", "other"],
            "task": ["gsm8k"] * 3,
            "problem_id": ["a", "b", "c"],
            "n_failed_rollouts": [3, 50, 1],
            "spread": [0.1, 0.2, 0.3],
            "concentration": [1.0, 2.0, 3.0],
            "logit_dispersion": [-1.0, 0.0, 1.0],
            "retry": [0.333333, 0.0, 0.5],
            "sparse_steer": [0.666667, 0.0, 0.5],
            "sparse_steer_random": [0.333333, 0.0, 0.25],
            "local_temp": [1.0, 0.0, 0.5],
            "dense_steer": [0.9, 0.0, 0.5],
        }
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "profiles.csv"


def refused(path, words):
    with pytest.raises(InputError, match=words) as caught:
        from_profiles(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message


def test_reads_into_the_contract(table, path):
    table.to_csv(path, index=False)
    ds = from_profiles(path)
    validate(ds)
    assert ds["intervention"].values.tolist() == [
        "retry",
        "sparse_steer",
        "sparse_steer_random",
        "local_temperature",
        "dense_steer",
    ]
    assert ds["attempts"].values.tolist() == [[3] * 4 + [20], [1] * 4 + [20], [4] * 4 + [20]]
    assert ds["attempts"].dtype == np.int32
    assert ds["method"].values.tolist() == ["sft", "grpo", "other"]
    assert ds["family"].values.tolist() == ["4b", "1p7b", "other"]
    assert ds["cell"].values.tolist() == ["sft4b|gsm8k"] * 3
    assert ds["regime"].values.tolist() == ["steerable_hard", "beyond_reach", "resample"]


def test_round_trip(table, path, tmp_path):
    table.to_csv(path, index=False)
    again = to_profiles(from_profiles(path), tmp_path / "again.csv")
    pd.testing.assert_frame_equal(pd.read_csv(again), table, check_dtype=False)


def test_round_trip_of_the_published_table(tmp_path):
    if not REFERENCE.exists():
        pytest.skip("the published table is not on this machine")
    ds = from_profiles(REFERENCE)
    assert ds.sizes == {"problem": 721, "intervention": 5, "feature": 3}
    again = from_profiles(to_profiles(ds, tmp_path / "published_profiles.csv"))
    xr.testing.assert_identical(again, ds)


def test_attempts_by_hand():
    rates = np.array([[0.1, 0.3], [0.5, 0.333333], [0.0, 1.0], [0.123456, 0.5]])
    assert infer_attempts(rates).tolist() == [10, 6, 1, 20]


def test_a_study_can_be_written(path):
    ds = make_study(n_problems=20)
    failed = int(np.isfinite(ds["features"]).all("feature").sum())
    again = from_profiles(to_profiles(ds, path))
    assert again.sizes["problem"] == failed
    assert set(again["method"].values) == {"sft", "grpo"} or "cell" in again.coords


def test_missing_column(table, path):
    table.drop(columns="spread").to_csv(path, index=False)
    refused(path, "no column 'spread'; a profile table needs cell, model")


def test_misspelt_column(table, path):
    table.rename(columns={"local_temp": "local_tmp"}).to_csv(path, index=False)
    refused(path, "no column 'local_temp' .is 'local_tmp' a misspelling")


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("retry", 1.2, "'retry' is 1.2 in line 3; it must be a rescue rate between 0 and 1"),
        ("dense_steer", -0.1, "'dense_steer' is -0.1 in line 3"),
        ("spread", "", "'spread' is blank in line 3; it must be a finite number"),
        ("spread", "nan", "'spread' is nan in line 3"),
        ("concentration", "high", "'concentration' is high in line 3"),
        ("logit_dispersion", "inf", "'logit_dispersion' is inf"),
        ("n_failed_rollouts", 0, "whole number of at least 1"),
        ("problem_id", " ", "'problem_id' is blank in line 3"),
    ],
)
def test_bad_value(table, path, column, value, words):
    table[column] = table[column].astype(object)
    table.loc[1, column] = value
    table.to_csv(path, index=False)
    refused(path, words)


def test_duplicate_unit(table, path):
    table.loc[2, "problem_id"] = "a"
    table.to_csv(path, index=False)
    refused(path, "unit sft4b.gsm8k, a occurs again in line 4")


def test_empty_file(path):
    path.write_text("")
    refused(path, "the file is empty")


def test_only_a_header(path):
    path.write_text(",".join(COLUMNS) + "\n")
    refused(path, "the table has no rows")


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n\x00\xff\xfe", b'{"cells": 1}', b'a,b\n1,2,3\n4,"5']
)
def test_not_a_table(path, content):
    path.write_bytes(content)
    refused(path, "is a picture|no column 'cell'")


def test_no_such_file(path):
    refused(path, "no such file")


def test_writing_needs_the_variables(path):
    with pytest.raises(
        InputError, match=r"^ds has no dimension 'problem'; its dimensions are none: "
    ):
        to_profiles(xr.Dataset(), path)
    ds = make_study(n_problems=5)
    with pytest.raises(InputError, match="no variable features, rescue_rate"):
        to_profiles(ds.drop_vars(["features", "rescue_rate"]), path)
    with pytest.raises(InputError, match="no intervention dense_steer"):
        to_profiles(ds.isel(intervention=slice(0, -1)), path)
    with pytest.raises(InputError, match="no failed problem unit"):
        to_profiles(ds.assign(features=ds["features"] * np.nan), path)
    assert not path.exists()
