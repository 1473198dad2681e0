"""Every wrong argument of the table is answered by one sentence, before any file is made."""

import json

import numpy as np
import pytest
from wrong_arguments import LINES, WRONG, answer, answer_line, fault, study

import recover_nb as rnb
from recover_nb.core import checks
from recover_nb.core.errors import InputError

#: Public names that take no argument, or a study alone.
WITHOUT = {
    *("InputError", "SchemaError", "SCHEMA_VERSION", "PUBLISHED", "example_folder", "front_door"),
    *("load_fresh", "load_remapped", "load_seeds", "load_study", "terms", "class_score"),
    "load_unseen",
    *("cell_names", "cost_dial", "judge_detectors", "problems_with_value", "validate"),
}


def named(row):
    """Return an id that is the same in every process."""
    return f"{row[0]}-{'-'.join(row[1])}"


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", WRONG, ids=[f"{i}-{named(row)}" for i, row in enumerate(WRONG)])
def test_functions(row, empty):
    name, wrong, *words = row
    assert fault(*answer(name, wrong), words) == ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", LINES, ids=[row[0] for row in LINES])
def test_commands(row, empty):
    line, *words = row
    assert fault(*answer_line(line), words) == ""


def test_every_public_function_is_there():
    assert set(rnb._EXPORTS) - {name for name, *_ in WRONG} - WITHOUT == set()


def test_what_is_right_is_taken_in_plain_form():
    assert type(checks.check("n", np.int64(3), checks.COUNT)) is int
    assert checks.check("share", np.float32(0.5), checks.SHARE) == 0.5
    assert checks.check("flag", np.bool_(True), checks.FLAG) is True
    assert checks.check("names", "sft", checks.names(["sft"])) == ("sft",)
    assert checks.check("names", np.array(["b", "a", "b"]), checks.NAMES) == ("b", "a")
    assert checks.check("sizes", np.array([3, 1]), checks.SIZES) == (3, 1)
    assert checks.check("path", "a b/c.zarr", checks.PATH) == "a b/c.zarr"
    assert checks.check("none", None, checks.COUNT, default=None) is None


def test_a_home_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/home/of me")
    assert checks.check("path", "~/a.zarr", checks.PATH) == "/home/of me/a.zarr"


def test_a_long_value_is_cut():
    with pytest.raises(InputError) as caught:
        checks.check("n", "7" * 1000, checks.COUNT)
    assert len(str(caught.value)) < 150
    assert "n must be a whole number of at least 1, got '777" in str(caught.value)


def test_an_unknown_keyword_is_named_with_the_function():
    with pytest.raises(TypeError, match=r"evaluate_routing\(\) got an unexpected keyword.*'sed'"):
        rnb.evaluate_routing(study(), sed=3)


@pytest.mark.parametrize("said", [None, "yes", 2])
def test_a_checker_says_true_or_false(said):
    with pytest.raises(InputError, match="checker must return True or False"):
        rnb.tasks.make_checker(lambda text, answer: said)("#3", "3")


def test_what_a_checker_raises_is_its_own():
    def broken(text, answer):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        rnb.tasks.make_checker(broken)("#3", "3")


def test_names_of_several_options_add_up():
    from recover_nb.cli.main import build_parser

    line = ["run", "--out", "x.zarr", "--method", "sft", "--method", "grpo"]
    assert build_parser().parse_args(line).method == ["sft", "grpo"]


def test_traits_are_refused_in_the_same_form():
    selection = rnb.widgets.Selection(problem=3)
    with pytest.raises(InputError, match="problem must be an int of at least -1, got '4'"):
        selection.problem = "4"
    assert selection.problem == 3


def test_a_configuration_that_is_no_json_is_refused():
    with pytest.raises(InputError, match=r"a configuration must be the JSON .*, got '{'"):
        rnb.StudyConfig.from_json("{")
    config = rnb.StudyConfig.quick(seed=np.int64(4))
    assert json.loads(config.to_json())["seed"] == 4
