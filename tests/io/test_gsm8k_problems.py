"""GSM8K's own files as problems: the answer is what follows #### in the worked solution."""

import json

import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError

CLIPS = {
    "question": "Natalia sold clips to 48 of her friends in April, and then she sold half as many"
    " clips in May. How many clips did Natalia sell altogether in April and May?",
    "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 ="
    " <<48+24=72>>72 clips altogether in April and May.\n#### 72",
}


def read(tmp_path, *rows):
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), "utf-8")
    return rnb.read_problems(path, task="gsm8k")


def test_the_answer_is_what_follows_the_mark(tmp_path):
    first, second = read(tmp_path, CLIPS, {"question": "Q", "answer": "So.\n#### 1,080 \n"})
    assert first == rnb.tasks.Problem("gsm8k", "0", "test", -1, CLIPS["question"], "72", ())
    assert (second.problem_id, second.prompt, second.answer) == ("1", "Q", "1,080")
    numeric = rnb.tasks.make_checker("numeric")
    assert numeric("She made 1080 in all.", second.answer)
    assert not numeric("She made 72 in all.", second.answer)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("#### 5", "5"),
        ("####5", "5"),
        ("a #### b\n#### -3", "-3"),
        ("x\r\n#### $12.50\r\n", "$12.50"),
        ("x\n#### 1\n#### 2", "2"),
        ("#### 1\nand on", "#### 1\nand on"),
        ("in a line #### 4", "in a line #### 4"),
        ("####", "####"),
        ("72", "72"),
    ],
)
def test_marks_at_the_end_of_a_solution_only(tmp_path, answer, expected):
    (problem,) = read(tmp_path, {"id": "a", "question": "Q", "answer": answer})
    assert (problem.problem_id, problem.answer) == ("a", expected)


def test_a_file_without_ids_that_is_not_of_that_layout_is_refused(tmp_path):
    with pytest.raises(InputError, match="line 1 has no 'problem_id'"):
        read(tmp_path, {"question": "Q", "answer": "72"})


def test_an_id_that_is_given_stays_and_may_occur_once(tmp_path):
    with pytest.raises(InputError, match="problem 7 was given before"):
        read(tmp_path, CLIPS | {"id": 7}, CLIPS | {"id": 7})
