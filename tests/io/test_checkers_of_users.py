"""Graders on an import: answers they cannot read, functions that fail, texts that are not there."""

import json
import re

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError

ROWS = [
    {"problem_id": "p", "generated_text": "so 7", "answer": "7"},
    {"problem_id": "q", "generated_text": "so 8", "answer": ""},
]


def read(folder, rows, **options):
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rnb.from_jsonl(path, **options)


def counts(ds):
    return json.loads(ds.attrs["import_counts_json"])


@pytest.mark.parametrize("answer", ["", "seven", "x + y"])
def test_an_answer_that_cannot_be_read_is_no_wrong_rollout(answer, tmp_path):
    rows = [ROWS[0], ROWS[1] | {"answer": answer}]
    ds = read(tmp_path, rows, is_correct="numeric")
    assert ds["correct"].values[:, :, 0].tolist() == [[1], [-1]]
    assert counts(ds)["answers_not_read"] == 1
    assert "cannot read, such as 'q'; they are left out" in " ".join(ds.attrs["import_notes"])
    ds = read(tmp_path, [rows[0], rows[1] | {"is_correct": True}], is_correct="numeric")
    assert ds["correct"].values[:, :, 0].tolist() == [[1], [1]]
    assert counts(ds)["answers_not_read_verdict_kept"] == 1
    with pytest.raises(InputError, match=r"line 1: the checker 'numeric' cannot read the"):
        read(tmp_path, rows[1:], is_correct="numeric")


def raises(text, answer):
    raise ValueError("two\nlines")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (raises, r"raised ValueError ('two\nlines')"),
        (lambda text, answer: None, "returned None"),
        (lambda text, answer: "yes", "returned 'yes'"),
        (lambda text, answer: 0.5, "returned 0.5"),
        (lambda text, answer: float("nan"), "returned nan"),
        (lambda text, answer: [True], "returned [True]"),
        (lambda text, answer: re.search("7", text), "returned <re.Match"),
    ],
)
def test_functions_that_do_not_grade(rule, said, tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, ROWS, is_correct=rule)
    text = str(caught.value)
    assert "line 1: the function is_correct= " in text and said in text and "\n" not in text


@pytest.mark.parametrize("rule", [lambda text: True, lambda: True, lambda text, answer, more: True])
def test_functions_of_another_number_of_arguments(rule, tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, ROWS, is_correct=rule)
    assert str(caught.value) == (
        "is_correct must be exact, numeric, choice, math, regex:PATTERN, or a function, or None,"
        " got the function <lambda>; it must take 2 arguments"
    )


@pytest.mark.parametrize("one", [True, np.True_, 1, 1.0, np.float64(1), np.array(1)])
def test_functions_that_grade(one, tmp_path):
    ds = read(tmp_path, ROWS, is_correct=lambda text, answer: one if "7" in text else 0)
    assert ds["correct"].values[:, :, 0].tolist() == [[1], [0]]


def test_tokens_without_a_tokenizer_have_nothing_to_grade(tmp_path):
    rows = [{"problem_id": "p", "output_ids": [1], "is_correct": True, "answer": "7"}]
    with pytest.raises(InputError, match="no rollout has a text, so is_correct= has nothing"):
        read(tmp_path, rows, is_correct="numeric")
