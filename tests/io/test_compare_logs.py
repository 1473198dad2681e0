"""Logs that tools really wrote are read with the counts that the tools themselves told."""

import json
import sys
from pathlib import Path

import pytest

import recover_nb as rnb

FIXTURES = Path(__file__).parents[1] / "fixtures"
sys.path.insert(0, str(FIXTURES))
compare = pytest.importorskip("compare_logs")
sys.path.pop(0)


@pytest.fixture(scope="module")
def found():
    return compare.lines()


def test_every_log_counts_as_its_tool_or_says_why(found):
    assert len(found) == 76
    assert {each.log for each in found if not each.equal and not each.reason} == set()
    # A reason for a log that agrees would hide a later difference.
    assert {each.log for each in found if each.equal and each.reason} == set()
    assert sum(each.equal for each in found) == 63


def test_refused_logs_say_why(found):
    refused = {each.log: each.refusal for each in found if each.read is None}
    assert set(refused) == {
        "no_samples.eval",
        "no_output.eval",
        "samples_perplexity.jsonl",
        "samples_v0.4.5_perplexity.jsonl",
    }
    assert "the log has no samples" in refused["no_samples.eval"]
    assert "6 samples ended in an error of the tool" in refused["no_output.eval"]


def test_the_table_of_the_page(found):
    page = compare.PAGE.read_text("utf-8")
    assert compare.page(page, found) == page


def test_the_tool_counts_epochs_and_scores_of_three_decimals():
    told = {"completed": 18, "scores": [{"name": "a", "scored": 6, "unscored": 0, "accuracy": 0.5}]}
    assert compare.counted(told, "x", {}) == (9, 18)
    assert compare.counted({"reward": 0.875, "completions": 8}, "x", {}) == (7, 8)
    assert compare.counted({"metrics": {"acc,none": 2 / 3}, "docs": 6}, "x", {}) == (4, 6)


def is_right(prompt):
    """The stand-in for a model is right at odd sums."""
    a, b = (int(each) for each in prompt.rpartition("\n")[2].split(" ")[-1].strip("=").split("+"))
    return (a + b) % 2


SUMS = [
    each.name
    for each in sorted((FIXTURES / "inspect_shapes").glob("value_*.eval"))
    if each.name != "told.json"
]


@pytest.mark.parametrize("name", [*SUMS, "plain_json.json", "epochs.eval", "reasoning.eval"])
def test_the_right_problems_are_right(name):
    """Counts could agree by chance: each problem is compared with what the stand-in does."""
    ds = rnb.from_inspect(FIXTURES / "inspect_shapes" / name)
    correct = ds["correct"].sel(intervention="none").values
    expected = [is_right(prompt) for prompt in ds["prompt"].values]
    assert len(expected) == 6 - (name in ("value_nan.eval", "value_unscored.eval"))
    assert correct.tolist() == [[each] * correct.shape[1] for each in expected]


@pytest.mark.parametrize("name", ["plain", "named", "number_targets", "v0.4.5_plain"])
def test_the_right_documents_are_right(name):
    ds = rnb.from_lm_eval(FIXTURES / "lm_eval_shapes" / f"samples_{name}.jsonl")
    assert ds["prompt"].values.tolist() == ["3+4=", "2+2=", "5+4=", "6+6=", "8+1=", "7+7="]
    assert ds["correct"].values[:, :, 0].tolist() == [[1], [0], [1], [0], [1], [0]]
    assert ds["answer"].values.tolist() == ["7", "4", "9", "12", "9", "14"]


@pytest.mark.parametrize("name", ["plain", "two_filters", "list_targets"])
def test_logs_of_the_harness_that_are_one_list(name):
    """Version 0.4.2 writes one JSON list and calls it .jsonl."""
    pytest.importorskip("recover_nb.io.opened")
    path = FIXTURES / "lm_eval_arrays" / f"samples_v0.4.2_{name}.jsonl"
    assert isinstance(json.loads(path.read_text()), list)
    ds = rnb.from_lm_eval(path)
    right = [0] * 6 if name == "two_filters" else [1, 0, 1, 0, 1, 0]
    assert ds["correct"].values[:, :, 0].tolist() == [[each] for each in right]
    assert ds.sizes["problem"] == 6
