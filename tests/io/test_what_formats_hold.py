"""What each format holds, by hand: the smallest studies that were once read as others."""

import json

import numpy as np
import pytest
import xarray as xr
from studies import assert_same
from test_whole_studies import FORMATS

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.core.labels import FEATURES

ROWS = ("jsonl", "parquet")


def study(outcomes=(((1, 0), (-1, 1)),), names=("none", "retry"), **attrs):
    """Return a study by outcomes, (problem, rollout, intervention)."""
    correct = np.array(outcomes, dtype=np.int8)
    n = len(correct)
    coords = {
        name: ("problem", np.array([f"{name} {i}" for i in range(n)], dtype=object))
        for name in ("family", "method", "task", "problem_id", "split")
    }
    run = correct >= 0
    attempts = run.sum(1).astype(np.int32)
    with np.errstate(invalid="ignore"):
        rates = (correct == 1).sum(1) / np.where(attempts > 0, attempts, np.nan)
    return xr.Dataset(
        {
            "correct": (("problem", "rollout", "intervention"), correct),
            "features": (("problem", "feature"), np.tile([1.0, 2.0, 3.0], (n, 1))),
            "rescue_rate": (("problem", "intervention"), rates),
            "attempts": (("problem", "intervention"), attempts),
        },
        coords | {"intervention": list(names), "feature": list(FEATURES)},
        {"schema_version": "1"} | attrs,
    )


def back(name, ds, folder):
    write, read, suffix = FORMATS[name]
    return read(write(ds, folder / f"x{suffix}"))


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", FORMATS)
def test_places_of_rollouts_are_kept(name, tmp_path):
    """The second retry stays the second, beside the second observed rollout."""
    again = back(name, study([[[1, -1], [0, 1], [-1, -1]]]), tmp_path)
    assert again["correct"].values.tolist() == [[[1, -1], [0, 1], [-1, -1]]]


@pytest.mark.parametrize("name", FORMATS)
def test_problems_without_a_rollout_are_kept(name, tmp_path):
    ds = study([[[-1, -1]], [[0, 1]], [[-1, -1]]])
    again = back(name, ds, tmp_path)
    assert again["problem_id"].values.tolist() == ["problem_id 0", "problem_id 1", "problem_id 2"]
    assert again["correct"].values[:, 0].tolist() == [[-1, -1], [0, 1], [-1, -1]]
    assert np.isnan(again["rescue_rate"].values[[0, 2]]).all()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("word", ["", " ", "NA", "007", "None", "1e5", "a|b", "a\r\nb", '"', "=1"])
def test_names_are_kept_as_they_are_written(name, word, tmp_path):
    ds = study([[[0, 1]], [[1, 1]]])
    for each in ("family", "method", "task", "split", "problem_id"):
        ds[each].values[0] = word
    ds["prompt"] = ds["answer"] = ("problem", np.array([word, "x"], dtype=object))
    again = back(name, ds, tmp_path)
    for each in ("family", "method", "task", "split", "problem_id", "prompt", "answer"):
        assert again[each].values[0] == word, each


@pytest.mark.parametrize("name", FORMATS)
def test_names_of_interventions_are_no_aliases_in_a_study(name, tmp_path):
    """The authors' toolkit says `dense` for dense_steer; a study of ours says what it means."""
    again = back(name, study([[[0, 1, 1]]], ("none", "retry", "dense")), tmp_path)
    assert again["intervention"].values.tolist() == ["none", "retry", "dense"]


@pytest.mark.parametrize("name", FORMATS)
def test_features_are_read_by_their_names(name, tmp_path):
    ds = study().isel(feature=[2, 0, 1])
    again = back(name, ds, tmp_path)
    assert again["features"].sel(feature="spread").values.tolist() == [1.0]
    assert again["feature"].values.tolist() == ["logit_dispersion", "spread", "concentration"]


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_beside_the_schema_is_kept(name, tmp_path):
    ds = study([[[0, 1]], [[1, 1]]])
    ds["weight"] = ("problem", np.array([np.inf, np.nan]))
    ds["big"] = ("problem", np.array([2**62 + 1, -1]))
    ds["hand"] = ("problem", np.array([True, False]))
    ds["mark"] = (("intervention", "problem"), np.array([[1, 2], [3, 4]], dtype=np.int16))
    ds["table"] = (("row",), np.array([0.5, -0.0], dtype=np.float32))
    ds = ds.assign_coords(model=("problem", np.array(["m", "n"], dtype=object)))
    again = back(name, ds, tmp_path)
    assert_same(ds, again)
    assert again["big"].values.tolist() == [4611686018427387905, -1]
    assert again["model"].values.tolist() == ["m", "n"] and "model" in again.coords
    assert again["mark"].dims == ("intervention", "problem")


@pytest.mark.parametrize("name", FORMATS)
def test_thresholds_may_be_infinite(name, tmp_path):
    ds = study([[[0, 1]], [[0, 1]], [[0, 1]]])
    ds["fire_threshold"] = ("problem", np.array([np.inf, -np.inf, np.nan]))
    np.testing.assert_array_equal(
        back(name, ds, tmp_path)["fire_threshold"].values, [np.inf, -np.inf, np.nan]
    )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("chunks", [{"feature": 1}, {"problem": 1}, {"problem": 2, "rollout": 1}])
def test_chunks_of_any_size_are_written(name, chunks, tmp_path):
    ds = study([[[0, 1], [1, 0]], [[1, 1], [1, 0]], [[0, 0], [1, 0]]])
    ds["note"] = ("problem", np.array(["a", "", "é"], dtype=object))
    assert_same(ds, back(name, ds.chunk(chunks), tmp_path))


# What is refused


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"a/b": ("problem", [1.0])}, "named 'a/b'"),
        ({"": ("problem", [1.0])}, "named ''"),
        ({7: ("problem", [1.0])}, "named 7"),
        ({"z": ("problem", [1j])}, "variable 'z' has dtype complex128"),
        ({"z": ("problem", np.array([b"a"]))}, "variable 'z' has dtype |S1"),
        ({"z": ("problem", np.array([3], dtype=object))}, "variable 'z' holds 3, which is no text"),
        (
            {"z": ("problem", np.array([None], dtype=object))},
            "variable 'z' holds None, which is no",
        ),
    ],
    ids=["slash", "blank", "number", "complex", "bytes", "object", "none"],
)
def test_variables_that_would_not_come_back(name, odd, words, tmp_path):
    write, _, suffix = FORMATS[name]
    with pytest.raises(InputError) as error:
        write(study().assign(odd), tmp_path / f"x{suffix}")
    assert words in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("attrs", "words"),
    [
        ({"x": None}, "the attribute 'x' of type NoneType (None)"),
        ({"x": float("nan")}, "the attribute 'x' of type float (nan)"),
        ({"x": 2**70}, "the attribute 'x' of type int (1180591620717411303424)"),
        ({"x": b"b"}, "the attribute 'x' of type bytes"),
        ({"x": {1: 2}}, "the attribute 'x' of type dict"),
        ({"x": "\ud83d"}, "half a character"),
        ({"": 1}, "an attribute named ''"),
    ],
    ids=["none", "nan", "huge", "bytes", "keys", "half", "blank"],
)
def test_attributes_that_would_not_come_back(name, attrs, words, tmp_path):
    write, _, suffix = FORMATS[name]
    with pytest.raises(InputError) as error:
        write(study().assign_attrs(attrs), tmp_path / f"x{suffix}")
    assert words in str(error.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["zarr", "zip", "netcdf"])
@pytest.mark.parametrize(
    ("attribute", "value"),
    [("scale_factor", 0.01), ("_FillValue", 1.0), ("units", "days since 2000-01-01")],
)
def test_attributes_by_which_numbers_would_be_read_as_others(name, attribute, value, tmp_path):
    """A rate of 0.5 with scale_factor 0.01 was read as 0.005."""
    ds = study()
    ds["rescue_rate"].attrs[attribute] = value
    write, _, suffix = FORMATS[name]
    with pytest.raises(InputError) as error:
        write(ds, tmp_path / f"x{suffix}")
    assert f"variable 'rescue_rate' has the attribute '{attribute}' ({value!r})" in str(error.value)
    assert "give the attribute another name" in str(error.value)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("text", ["\ud83d", "a\udc00", "a\0"])
def test_text_that_no_file_holds(name, text, tmp_path):
    ds = study()
    ds["prompt"] = ds["answer"] = ("problem", np.array(["x"], dtype=object))
    ds["prompt"].values[0] = text
    write, read, suffix = FORMATS[name]
    if text == "a\0" and name in ("zarr", "zip"):
        assert read(write(ds, tmp_path / f"x{suffix}"))["prompt"].values.tolist() == ["a\0"]
        return
    with pytest.raises(InputError) as error:
        write(ds, tmp_path / f"x{suffix}")
    what = "the character NUL" if "\0" in text else "half a character (a lone surrogate)"
    assert f"variable 'prompt' holds {what} in {text!r}" in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_half_a_character_in_chunks(name, tmp_path):
    ds = study()
    ds["prompt"] = ds["answer"] = ("problem", np.array(["x"], dtype=object))
    ds["prompt"].values[0] = "a\ud83d"
    write, _, suffix = FORMATS[name]
    with pytest.raises(InputError, match="holds half a character"):
        write(ds.chunk({"problem": 1}), tmp_path / f"x{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ROWS)
def test_rows_need_a_problem(name, tmp_path):
    write, _, suffix = FORMATS[name]
    with pytest.raises(InputError, match="ds holds no problem; choose at least one"):
        write(study().isel(problem=[]), tmp_path / f"x{suffix}")
    assert not list(tmp_path.iterdir())


# A file that is not all that was written


def test_a_file_cut_at_the_end_of_a_line_is_told(tmp_path):
    path = rnb.to_jsonl(study([[[0, 1]], [[1, 1]]]), tmp_path / "x.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    again = rnb.from_jsonl(path)
    assert again["correct"].values.tolist() == [[[0, 1]], [[1, -1]]]
    assert "because it has 3 of 4 rows of a study" in again.attrs["import_notes"][0]
    assert json.loads(again.attrs["import_counts_json"])["not_the_whole_study"] == 1


def test_a_verdict_changed_by_hand_counts(tmp_path):
    path = rnb.to_jsonl(study([[[0, 1], [1, 1]]]), tmp_path / "x.jsonl")
    rows = lines(path)
    assert rows[0]["is_correct"] is False
    rows[0]["is_correct"] = True
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    again = rnb.from_jsonl(path)
    assert again["correct"].values.tolist() == [[[1, 1], [1, 1]]]
    assert again["rescue_rate"].values.tolist() == [[1.0, 1.0]]


def test_grading_a_study_anew_forgets_what_hung_on_the_old_verdicts(tmp_path):
    """One wrong rollout is right by its text: nothing stored of it as a failure may stay."""
    ds = study([[[0, 1]], [[0, 1]]])
    shape = ds["correct"].dims
    ds["prompt"] = ("problem", np.array(["1+1", "2+2"], dtype=object))
    ds["answer"] = ("problem", np.array(["2", "4"], dtype=object))
    ds["generated_text"] = (shape, np.array([[["2", "2"]], [["5", "4"]]], dtype=object))
    ds["origin"] = (shape, np.array([[["guess", ""]], [["guess", ""]]], dtype=object))
    ds["regime"] = ds["route"] = ("problem", np.array(["", ""], dtype=object))
    ds["regime"].values[:] = "resample"
    again = rnb.from_jsonl(rnb.to_jsonl(ds, tmp_path / "x.jsonl"), is_correct="exact")
    assert again["correct"].values[:, 0].tolist() == [[1, 1], [0, 1]]
    assert again["rescue_rate"].values.tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert again["origin"].values[:, 0, 0].tolist() == ["", "guess"]
    assert again["regime"].values.tolist()[0] == ""
    assert again["features"].values[1].tolist() == [1.0, 2.0, 3.0]
    assert np.isnan(again["features"].values[0]).all()
    notes = again.attrs["import_notes"]
    assert "1 of 4 rollouts are graded otherwise than the file says" in notes
    assert "because more is asked of it than to read it" in notes[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sizes", {"problem": 10**9, "rollout": 10**9, "intervention": 2, "feature": 3}),
        ("sizes", {}),
        ("variables", {"correct": {}}),
        ("interventions", [1, 2]),
        ("rows", "many"),
    ],
    ids=["huge", "no sizes", "no dims", "numbers", "word"],
)
def test_a_damaged_header_is_answered(key, value, tmp_path):
    path = rnb.to_jsonl(study(), tmp_path / "x.jsonl")
    rows = lines(path)
    rows[0]["study"][key] = value
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        again = rnb.from_jsonl(path)
    except InputError as error:
        assert str(path) in str(error) or "interventions" in str(error)
    else:
        assert "rows of a study" in again.attrs["import_notes"][0]


# Profile tables


def profiled(**names):
    arms = ["none", "retry", "local_temperature", "sparse_steer", "sparse_steer_random"]
    ds = study([[[0, 1, 0, 1, 0, 1]], [[0, 1, 0, 1, 0, 1]]], (*arms, "dense_steer"))
    for name, values in names.items():
        ds[name].values[:] = values
    return ds


def test_two_models_never_become_one(tmp_path):
    """Family a-b of method c and family a of method b-c would both be a-b-c."""
    ds = profiled(family=["a-b", "a"], method=["c", "b-c"], task="t")
    with pytest.raises(InputError) as error:
        rnb.to_profiles(ds, tmp_path / "x.csv")
    assert "family and method of two units, ('a-b', 'c') and ('a', 'b-c')" in str(error.value)
    assert "one name 'a-b-c'" in str(error.value) and not list(tmp_path.iterdir())


def test_a_blank_name_is_no_name_of_a_profile_table(tmp_path):
    with pytest.raises(InputError, match="column 'task' is blank in line 2"):
        rnb.to_profiles(profiled(task=["", "t"]), tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


def test_family_and_method_are_read_from_our_own_names(tmp_path):
    ds = profiled(family=["qwen3", "neox"], method=["sft", "self_distill"], task="t")
    again = rnb.from_profiles(rnb.to_profiles(ds, tmp_path / "x.csv"))
    assert again["family"].values.tolist() == ["qwen3", "neox"]
    assert again["method"].values.tolist() == ["sft", "self_distill"]
    assert again["cell"].values.tolist() == ["qwen3-sft|t", "neox-self_distill|t"]


def test_failed_units_that_are_left_out_are_told(tmp_path):
    ds = profiled()
    ds["features"].values[0, 0] = np.nan
    with pytest.warns(UserWarning, match="1 of 2 failed problem units have no features"):
        path = rnb.to_profiles(ds, tmp_path / "x.csv")
    assert rnb.from_profiles(path)["problem_id"].values.tolist() == ["problem_id 1"]


def test_cut_off_answers_are_no_failed_rollouts_of_a_profile_table(tmp_path):
    ds = profiled()
    ended = np.ones(ds["correct"].shape, np.int8)
    ended[0, 0, 0] = 0
    ds["ended"] = (ds["correct"].dims, ended)
    again = rnb.from_profiles(rnb.to_profiles(ds, tmp_path / "x.csv"))
    assert again["problem_id"].values.tolist() == ["problem_id 1"]
    assert again["n_failed_rollouts"].values.tolist() == [1]


def test_a_profile_table_needs_counts_of_failures(tmp_path):
    ds = profiled().drop_vars(["correct", "attempts"])
    with pytest.raises(InputError, match="does not say how many rollouts of each problem failed"):
        rnb.to_profiles(ds, tmp_path / "x.csv")
