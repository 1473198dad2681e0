"""JSON lines that others wrote: which value is the text, the verdict, the problem, the number."""

import json

import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.core.schema import IMPORTED
from recover_nb.io.fields import NAMES, find_fields

P = {"problem_id": "p"}


def jsonl(folder, *rows):
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def grid(ds):
    return ds["correct"].values[:, :, 0].tolist()


def texts(ds):
    return ds["generated_text"].values[:, :, 0].tolist()


def counts(ds):
    return json.loads(ds.attrs["import_counts_json"])


def notes(ds):
    return " | ".join(ds.attrs["import_notes"])


def refused(folder, *rows, **options):
    with pytest.raises(InputError) as caught:
        rnb.from_jsonl(jsonl(folder, *rows), **options)
    return str(caught.value)


# Names


@pytest.mark.parametrize(
    ("field", "name"), [(field, name) for field, names in NAMES.items() for name in names]
)
def test_every_known_name_is_read_and_a_guess_is_told(field, name, tmp_path):
    values = {
        "problem_id": "x1",
        "prompt": "3+4",
        "answer": "7",
        "generated_text": "so 7",
        "is_correct": True,
        "rollout_idx": 4,
    }
    row = {(name if each == field else each): value for each, value in values.items()}
    ds = rnb.from_jsonl(jsonl(tmp_path, row))
    assert ds["problem_id"].values.tolist() == ["x1"]
    assert (ds["prompt"].item(), ds["answer"].item()) == ("3+4", "7")
    assert (grid(ds), texts(ds)) == ([[1]], [["so 7"]])
    told = f"{field} is read from {name!r} (in 1 rows)" in notes(ds)
    promised = ("pid", "id", "question", "input", "rollout_id", "sample_id")
    assert told is (name not in (NAMES[field][0], *promised))


def test_a_fields_own_name_wins_and_what_is_not_read_is_told(tmp_path):
    row = P | {"generated_text": "a", "response": "b", "text": "a", "is_correct": 1, "score": 0}
    ds = rnb.from_jsonl(jsonl(tmp_path, row))
    assert (texts(ds), grid(ds)) == ([["a"]], [[1]])
    assert counts(ds)["response_not_read"] == 1 and "text_not_read" not in counts(ds)
    assert "'response' looks like the text of a rollout, too" in notes(ds)


@pytest.mark.parametrize(
    ("field", "row"),
    [
        ("generated_text", {"output": "a", "response": "b"}),
        ("generated_text", {"text": "a", "choices": [{"text": "b"}]}),
        ("generated_text", {"prediction": "7", "completion": "so 7"}),
        ("prompt", {"instruction": "Add.", "input": "3 4", "response": "7"}),
        ("answer", {"gold": "7", "target": "8", "response": "7"}),
        ("problem_id", {"question_id": "a", "task_id": "b", "response": "7", "problem_id": None}),
        ("is_correct", {"correct": True, "passed": False, "is_correct": None, "response": "7"}),
    ],
)
def test_two_names_with_two_values_are_refused(field, row, tmp_path):
    text = refused(tmp_path, P | {"is_correct": True} | row)
    first, second = [name for name in row if row[name] is not None][:2]
    assert f"could be {field}" in text and repr(first) in text and repr(second) in text
    assert f'from_table(..., columns={{"{field}": ' in text


def test_two_names_with_one_value_are_one(tmp_path):
    row = P | {"output": "a", "response": "a", "gold": "7", "target": "7", "acc": 1, "score": 0.3}
    ds = rnb.from_jsonl(jsonl(tmp_path, row))
    assert (texts(ds), ds["answer"].item(), grid(ds)) == ([["a"]], "7", [[1]])
    empty = P | {"output": "a", "response": "", "is_correct": 0}
    assert texts(rnb.from_jsonl(jsonl(tmp_path, empty))) == [["a"]]


def test_columns_of_a_table():
    assert find_fields(["id", "question_id", "text", "score", "idx", "problem"]) == {
        "problem_id": "question_id",
        "prompt": "problem",
        "generated_text": "text",
        "is_correct": "score",
        "rollout_idx": "idx",
    }
    with pytest.raises(InputError, match=r"t\.csv: both 'response' and 'output' could be"):
        find_fields(["output", "response"], "t.csv")


# What the answer is


def test_a_gold_answer_is_not_a_rollout(tmp_path):
    rows = [
        P | {"question": "Add 3 and 4.", "answer": "7", "response": text, "is_correct": correct}
        for text, correct in (("it is 7", True), ("it is 8", False), ("perhaps 9", False))
    ]
    for rule in (None, "numeric"):
        ds = rnb.from_jsonl(jsonl(tmp_path, *rows), is_correct=rule)
        assert (grid(ds), ds["answer"].item()) == ([[1, 0, 0]], "7")
        assert texts(ds) == [["it is 7", "it is 8", "perhaps 9"]]


def test_an_answer_alone_that_is_always_the_same_is_the_expected_one(tmp_path):
    rows = [P | {"answer": "7", "is_correct": correct} for correct in (True, False)]
    ds = rnb.from_jsonl(jsonl(tmp_path, *rows))
    assert (grid(ds), ds["answer"].item(), "generated_text" in ds) == ([[1, 0]], "7", False)
    assert counts(ds)["answers_are_expected"] == 2 and "(or response)" in notes(ds)
    assert "no rollout has a text" in refused(tmp_path, *rows, is_correct="numeric")


@pytest.mark.parametrize(
    "rows",
    [
        [{"answer": "so 7"}, {"answer": "so 8"}],
        [{"answer": "so 7", "gold": "7"}, {"answer": "so 8", "gold": "7"}],
        [{"answer": "so 7", "problem": {"prompt": "q", "answer": "7"}}, {"answer": "so 8"}],
    ],
)
def test_an_answer_alone_that_differs_is_what_the_rollout_says(rows, tmp_path):
    rows = [P | row | {"is_correct": "7" in row["answer"]} for row in rows]
    ds = rnb.from_jsonl(jsonl(tmp_path, *rows))
    assert (grid(ds), texts(ds)) == ([[1, 0]], [["so 7", "so 8"]])
    assert counts(ds)["answers_are_texts"] == 2


def test_an_answer_that_a_problem_contradicts(tmp_path):
    rows = [P | {"response": each, "answer": each[-1], "is_correct": 1} for each in ("so 7", "a 8")]
    assert "was '7' before" in refused(tmp_path, *rows, is_correct="numeric")
    assert counts(rnb.from_jsonl(jsonl(tmp_path, *rows)))["other_answers"] == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [(7, "7"), (0.5, "0.5"), (["7"], "7"), (["7", "seven"], "7"), ({"value": "7"}, "7")],
)
def test_expected_answers_of_any_shape(given, kept, tmp_path):
    ds = rnb.from_jsonl(jsonl(tmp_path, P | {"response": "x", "answer": given, "correct": 1}))
    assert ds["answer"].item() == kept
    assert counts(ds).get("several_answers", 0) == (given == ["7", "seven"])


def test_a_problem_is_a_text_or_our_own_object(tmp_path):
    row = {"id": "m", "problem": "Add 3 and 4.", "answer": "7", "text": "it is 7", "ok": True}
    ds = rnb.from_jsonl(jsonl(tmp_path, row))
    assert (ds["prompt"].item(), grid(ds), texts(ds)) == ("Add 3 and 4.", [[1]], [["it is 7"]])
    row = row | {"problem": {"prompt": "Add.", "answer": "7", "level": "Level 3"}}
    assert rnb.from_jsonl(jsonl(tmp_path, row))["prompt"].item() == "Add."


@pytest.mark.parametrize(
    "more",
    [{"study": "my study"}, {"study": {"name": "x"}}, {"variables": {"x": 3}}, {"variables": [1]}],
)
def test_words_of_our_own_that_others_use(more, tmp_path):
    ds = rnb.from_jsonl(jsonl(tmp_path, P | {"response": "7", "correct": True} | more))
    assert (grid(ds), ds.attrs[IMPORTED]) == ([[1]], "jsonl")


# Verdicts


@pytest.mark.parametrize(
    ("value", "correct"),
    [
        (True, 1),
        (False, 0),
        (1, 1),
        (0, 0),
        (1.0, 1),
        (0.0, 0),
        ("true", 1),
        ("False", 0),
        ("correct", 1),
        ("Incorrect", 0),
        ("C", 1),
        ("I", 0),
        ("1", 1),
        ("0.0", 0),
        ({"value": "C"}, 1),
        ({"score": 0.0}, 0),
    ],
)
def test_verdicts(value, correct, tmp_path):
    ds = rnb.from_jsonl(jsonl(tmp_path, P | {"response": "x", "score": value}))
    assert grid(ds) == [[correct]]


@pytest.mark.parametrize("value", [1 / 3, 0.5, -1, 2, 100])
def test_a_share_is_no_verdict(value, tmp_path):
    for name in ("is_correct", "score"):
        text = refused(tmp_path, P | {"response": "x", name: value})
        assert (
            f"{name!r} is {value}" in text and "from a threshold on, such as score >= 0.5" in text
        )
    row = P | {"response": "7", "answer": "7", "score": value}
    ds = rnb.from_jsonl(jsonl(tmp_path, row), is_correct="numeric")
    assert grid(ds) == [[1]] and counts(ds)["verdicts_not_read"] == 1


@pytest.mark.parametrize("row", [{"n": 8, "c": 3}, {"total": 4, "correct": 1}])
def test_counts_of_passes_are_refused(row, tmp_path):
    assert "holds counts only" in refused(tmp_path, P | row)


# Problems


@pytest.mark.parametrize("value", [True, "", [1], {"a": 1}])
def test_ids_that_name_nothing(value, tmp_path):
    text = refused(tmp_path, {"problem_id": value, "response": "x", "correct": 1})
    assert f"'problem_id' is {value!r}; it must be text" in text


def test_a_null_id_with_a_name_beside_it(tmp_path):
    row = {"problem_id": None, "qid": 3, "response": "x", "correct": 1}
    assert rnb.from_jsonl(jsonl(tmp_path, row))["problem_id"].values.tolist() == ["3"]


def test_an_id_as_number_and_as_text(tmp_path):
    rows = [{"id": each, "response": "x", "correct": 1} for each in (1, "1", "1", 2, 1.0)]
    ds = rnb.from_jsonl(jsonl(tmp_path, *rows))
    assert ds["problem_id"].values.tolist() == ["1", "2"] and grid(ds) == [[1] * 4, [1] + [-1] * 3]
    assert counts(ds)["ids_written_two_ways"] == 3


def test_no_id_at_all_names_problems_by_their_prompts(tmp_path):
    rows = [
        {"question": q, "response": r, "correct": c}
        for q, r, c in (("3+4", "7", 1), ("3+5", "9", 0), ("3+4", "8", 0))
    ]
    ds = rnb.from_jsonl(jsonl(tmp_path, *rows))
    assert ds["prompt"].values.tolist() == ["3+4", "3+5"] and grid(ds) == [[1, 0], [0, -1]]
    assert counts(ds)["problems_named_by_prompt"] == 3
    text = refused(tmp_path, *rows, P | rows[0])
    assert "line 1 has no 'problem_id' or 'pid' or 'id'" in text
    assert "has no 'problem_id'" in refused(tmp_path, {"response": "7", "correct": 1})


def test_ids_of_rows_are_told(tmp_path):
    rows = [{"id": i, "question": "3+4", "response": "7", "correct": 1} for i in range(2)]
    assert counts(rnb.from_jsonl(jsonl(tmp_path, *rows)))["prompts_under_several_names"] == 1


def test_other_prompts_of_a_problem_are_told(tmp_path):
    rows = [P | {"prompt": each, "response": "7", "correct": 1} for each in ("a", "b", "a")]
    ds = rnb.from_jsonl(jsonl(tmp_path, *rows))
    assert ds["prompt"].item() == "a" and counts(ds)["other_prompts"] == 1


def test_problems_that_do_not_meet_rollouts_are_told(tmp_path):
    problems = tmp_path / "problems.jsonl"
    problems.write_text('{"qid": "p", "problem": "3+4", "target": 7}\n{"id": "z", "input": "?"}\n')
    rows = [P | {"response": "7", "correct": 0}, {"id": "q", "response": "7", "correct": 0}]
    ds = rnb.from_jsonl(jsonl(tmp_path, *rows), problems=problems, is_correct="numeric")
    at = ds["problem_id"].values.tolist().index
    assert (grid(ds)[at("p")], grid(ds)[at("q")]) == ([1], [0])
    assert ds["prompt"].values[at("p")] == "3+4"
    found = counts(ds)
    assert (found["problems_without_rollouts"], found["rollouts_of_other_problems"]) == (1, 1)
    assert found["answers_not_read_verdict_kept"] == 1


# Order


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_from_0_or_1(first, tmp_path):
    rows = [P | {"epoch": first + i, "response": r, "correct": 1} for i, r in ((1, "b"), (0, "a"))]
    assert texts(rnb.from_jsonl(jsonl(tmp_path, *rows))) == [["a", "b"]]


def test_no_numbers_is_the_order_within_a_problem(tmp_path):
    rows = [{"id": p, "response": r, "correct": 1} for p, r in zip("abab", "1234", strict=True)]
    assert texts(rnb.from_jsonl(jsonl(tmp_path, *rows))) == [["1", "3"], ["2", "4"]]
    rows = [P | {"response": "x", "correct": 1}, P | {"rollout_idx": 0, "text": "y", "correct": 0}]
    assert texts(rnb.from_jsonl(jsonl(tmp_path, *rows))) == [["y", "x"]]


def test_a_number_that_comes_twice(tmp_path):
    rows = [P | {"index": 5, "response": r, "correct": 1} for r in "ab"]
    ds = rnb.from_jsonl(jsonl(tmp_path, *rows))
    assert texts(ds) == [["a", "b"]] and counts(ds)["order_of_rows"] == 2
    rows = [P | {"rollout_idx": 5, "response": r, "correct": 1} for r in "ab"]
    assert "rollout 5 of problem p under none came before" in refused(tmp_path, *rows)
    rows = [P | {"sample": r, "generated_text": r, "correct": 1} for r in "ab"]
    assert texts(rnb.from_jsonl(jsonl(tmp_path, *rows))) == [["a", "b"]]


# Several rollouts in a row


LISTS = ("generated_text", "response", "responses", "completions", "samples", "outputs")


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_texts(name, tmp_path):
    row = P | {name: ["7", "8"], "is_correct": [True, False], "finish_reason": ["stop", "length"]}
    ds = rnb.from_jsonl(jsonl(tmp_path, row, {"id": "q", name: ["9"], "is_correct": True}))
    assert (texts(ds), grid(ds)) == ([["7", "8"], ["9", ""]], [[1, 0], [1, -1]])
    assert ds["ended"].values[:, :, 0].tolist() == [[1, 0], [-1, -1]]


def test_lists_of_verdicts_beside_one_answer(tmp_path):
    # As evaluations of mathematics write it: `answer` is the whole solution.
    row = {"idx": 0, "question": "3+4", "gt": "7", "answer": "3+4=7 #### 7", "score": [True, False]}
    ds = rnb.from_jsonl(jsonl(tmp_path, row | {"code": ["so 7", "so 8"], "pred": ["7", "8"]}))
    assert (texts(ds), grid(ds)) == ([["so 7", "so 8"]], [[1, 0]])
    assert ds["answer"].item() == row["answer"] and counts(ds)["other_answers_not_read"] == 1
    ds = rnb.from_jsonl(jsonl(tmp_path, row | {"pred": ["7", "8"]}))
    assert grid(ds) == [[1, 0]] and "generated_text" not in ds
    assert ds["answer"].item() == row["answer"] and "not read: 'pred'" in notes(ds)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"is_correct": [True]}, "one value for each of the 2 texts in 'responses'"),
        ({"is_correct": True}, "a list with one verdict for each of the 2 texts"),
        ({"is_correct": [1, 0], "output_ids": [1, 2]}, "one list for each of the 2 texts"),
    ],
)
def test_lists_that_do_not_fit(row, said, tmp_path):
    assert said in refused(tmp_path, P | {"responses": ["7", "8"]} | row)


def test_texts_with_their_own_verdicts_or_tokens(tmp_path):
    samples = [{"response": "7", "correct": True}, {"response": "8", "correct": False}]
    ds = rnb.from_jsonl(jsonl(tmp_path, P | {"samples": samples, "answer": "7"}))
    assert (texts(ds), grid(ds), ds["answer"].item()) == ([["7", "8"]], [[1, 0]], "7")
    outputs = [{"text": t, "token_ids": i, "finish_reason": "stop"} for t, i in (("7", [1, 2]),)]
    ds = rnb.from_jsonl(jsonl(tmp_path, P | {"outputs": outputs, "is_correct": 1}))
    assert ds["token_id"].values[0, 0, 0].tolist() == [1, 2]
    ds = rnb.from_jsonl(jsonl(tmp_path, P | {"is_correct": [True, False, True]}))
    assert grid(ds) == [[1, 0, 1]] and counts(ds)["without_text"] == 3


# Rows without a text


def test_rows_without_a_text_are_told(tmp_path):
    rows = [P | {"response": "7", "correct": 1}, P | {"correct": 0, "full_log": "long"}]
    ds = rnb.from_jsonl(jsonl(tmp_path, *rows))
    assert (grid(ds), texts(ds)) == ([[1, 0]], [["7", ""]])
    assert counts(ds)["without_text"] == 1 and "not read: 'full_log'" in notes(ds)
    ds = rnb.from_jsonl(jsonl(tmp_path, rows[0] | {"answer": "7"}, rows[1]), is_correct="numeric")
    assert grid(ds) == [[1, 0]] and counts(ds)["not_graded"] == 1
    text = refused(tmp_path, rows[1], is_correct="numeric")
    assert "no rollout has a text, so is_correct= has nothing to grade" in text


@pytest.mark.parametrize(
    ("more", "unread"),
    [
        ({"full_output": "so it is 7"}, "full_output"),
        ({"raw_responses": ["a", "b"]}, "raw_responses"),
        ({"generated_solution": "7"}, None),  # the same text
        ({"completion": 12}, None),  # tokens, mostly
        ({"samples": 8}, None),
        ({"choices": ["3", "7"]}, None),  # what the problem offers
        ({"message": "ok"}, None),
        ({"output_tokens": 12, "model": "m", "subject": "algebra"}, None),
    ],
)
def test_what_looks_like_a_text_and_is_not_read_is_told(more, unread, tmp_path):
    for name in ("generated_text", "response"):
        ds = rnb.from_jsonl(jsonl(tmp_path, P | {name: "7", "correct": 1} | more))
        assert (texts(ds), grid(ds)) == ([["7"]], [[1]])
        told = [each for each in counts(ds) if each.endswith("_not_read")]
        if name == "response" or "completion" not in more:
            assert told == ([f"{unread}_not_read"] if unread else [])


def test_reasoning_without_an_answer(tmp_path):
    row = P | {"response": None, "reasoning_content": "first", "finish_reason": "length"}
    assert texts(rnb.from_jsonl(jsonl(tmp_path, row | {"correct": 0}))) == [["first"]]
    rows = [P | {"reasoning": "hm", "answer": each, "correct": 0} for each in ("so 7", "so 8")]
    assert texts(rnb.from_jsonl(jsonl(tmp_path, *rows))) == [["hm\nso 7", "hm\nso 8"]]
    ds = rnb.from_jsonl(jsonl(tmp_path, *rows[:1]))
    assert counts(ds)["answers_are_expected"] == 1 and "not read: 'reasoning'" in notes(ds)


@pytest.mark.parametrize("name", ["is_correct", "finish_reason"])
def test_an_empty_list_holds_no_rollout(name, tmp_path):
    assert "one value for each rollout" in refused(tmp_path, P | {name: []})


def test_a_text_of_unknown_shape_is_refused(tmp_path):
    for value in ({"a": 1}, [1, 2], [{"b": "x"}]):
        text = refused(tmp_path, P | {"response": value, "correct": 1})
        assert "'response' is" in text and "a reply of an API" in text


def test_requests_that_failed_are_left_out(tmp_path):
    rows = [P | {"response": "7", "correct": 1}, P | {"response": None, "error": "timeout"}]
    ds = rnb.from_jsonl(jsonl(tmp_path, *rows))
    assert grid(ds) == [[1]] and counts(ds)["failed_requests"] == 1
