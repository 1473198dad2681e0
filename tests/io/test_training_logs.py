"""Logs of training: rewards that are no verdicts, steps and folders, names and gold answers."""

import json
from pathlib import Path

import pandas as pd
import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError

NAN = float("nan")
FOUR = {"step": [3] * 4, "prompt": ["Q1", "Q1", "Q2", "Q2"], "completion": list("abcd")}
VERL = {"input": "Q1", "output": "a", "gts": "7", "score": 1.0, "step": 7}


def parquet(path, columns):
    path.parent.mkdir(exist_ok=True)
    pd.DataFrame(columns).to_parquet(path)
    return path


def trl(folder, **columns):
    return parquet(folder / "completions_00003.parquet", FOUR | {"advantage": [0.0] * 4} | columns)


def jsonl(path, *rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def verl(folder, *changes):
    return jsonl(folder / "7.jsonl", *(VERL | each for each in changes))


def grid(ds):
    return ds["correct"].values[:, :, 0].tolist()


def texts(ds):
    return ds["generated_text"].values[:, :, 0].tolist()


def counts(ds):
    return json.loads(ds.attrs["import_counts_json"])


def refused(read, path, **options):
    with pytest.raises(InputError) as caught:
        read(path, **options)
    return str(caught.value)


# Rewards


@pytest.mark.parametrize(
    ("rewards", "correct"),
    [
        ([1.0, 0.0, 0.0, 1.0], [[1, 0], [0, 1]]),
        ([1, 0, 0, 1], [[1, 0], [0, 1]]),
        ([True, False, False, True], [[1, 0], [0, 1]]),
        ([1.0, -1.0, -1.0, 1.0], [[1, 0], [0, 1]]),
        ([-1.0, -1.0, -1.0, -1.0], [[0, 0], [0, 0]]),
        (["1.0", "0", "0.0", "1"], [[1, 0], [0, 1]]),
        (["True", "False", "incorrect", "correct"], [[1, 0], [0, 1]]),
        ([{"score": s, "acc": s > 0.5} for s in (1.0, 0.2, -0.5, 0.8)], [[1, 0], [0, 1]]),
        ([{"score": s} for s in (1.0, 0.0, 0.0, 1.0)], [[1, 0], [0, 1]]),
        ([[1.0], [0.0], [0.0], [1.0]], [[1, 0], [0, 1]]),
    ],
)
def test_rewards_of_trl(rewards, correct, tmp_path):
    ds = rnb.from_trl(trl(tmp_path, accuracy_reward=rewards), reward="accuracy_reward")
    assert (grid(ds), texts(ds)) == (correct, [["a", "b"], ["c", "d"]])
    assert counts(ds).get("rewards_of_minus_one", 0) == sum(each == -1.0 for each in rewards)


@pytest.mark.parametrize(
    ("rewards", "correct", "n"),
    [([1.0, 0.0, NAN, NAN], [[1, 0]], 2), ([None, 0.0, 1.0, None], [[0], [1]], 2)],
)
def test_rewards_that_did_not_apply(rewards, correct, n, tmp_path):
    ds = rnb.from_trl(trl(tmp_path, accuracy_reward=rewards))
    assert grid(ds) == correct and counts(ds)["no_reward"] == n
    assert f"{n} rows have no reward 'accuracy_reward'" in " ".join(ds.attrs["import_notes"])
    rows = [VERL | {"output": str(i), "score": each} for i, each in enumerate(rewards)]
    ds = rnb.from_verl(jsonl(tmp_path / "7.jsonl", *rows))
    assert grid(ds) == [[int(each) for each in rewards if each in (0, 1)]]
    assert counts(ds)["no_reward"] == n


def test_rewards_nowhere(tmp_path):
    for path in (trl(tmp_path, accuracy_reward=[NAN] * 4), trl(tmp_path)):
        assert "has no column with a reward in any row" in refused(rnb.from_trl, path)
    assert "no value in 'score'" in refused(
        rnb.from_trl, trl(tmp_path, score=[None] * 4), reward="score"
    )


@pytest.mark.parametrize("rewards", [[1.0, 0.5, 0.0, 0.0], [1.0, -1.0, 0.0, -1.0], [2, 0, 0, 0]])
def test_rewards_between_need_a_threshold(rewards, tmp_path):
    path = trl(tmp_path, accuracy_reward=rewards)
    assert "pass threshold= to say from which on it is correct" in refused(rnb.from_trl, path)
    ds = rnb.from_trl(path, threshold=0.5)
    assert grid(ds) == [[1, int(rewards[1] == 0.5)], [0, 0]]


def test_several_rewards_are_chosen_by_name(tmp_path):
    path = trl(tmp_path, format_reward=[1.0] * 4, accuracy_reward=[1.0, 0.0, 0.0, 0.0])
    text = refused(rnb.from_trl, path)
    assert "the rewards format_reward, accuracy_reward" in text
    assert "reward='accuracy_reward'" in text
    assert grid(rnb.from_trl(path, reward="accuracy_reward")) == [[1, 0], [0, 0]]
    assert "no column 'acc' for reward=" in refused(rnb.from_trl, path, reward="acc")


@pytest.mark.parametrize(
    "more",
    [
        {"extracted": ["1", "2", "3", "4"]},
        {"judge": [["x"], ["y"], ["z"], ["w"]]},
        {"completion_length": [3, 4, 5, 6]},
        {"image": [None, None, "i.png", "i.png"]},
        {"problem_id": [1, 1, 2, 2]},
        {"solution": ["7", "7", "8", "8"]},
    ],
)
def test_logged_extras_are_no_rewards(more, tmp_path):
    ds = rnb.from_trl(trl(tmp_path, accuracy_reward=[1.0, 0.0, 0.0, 1.0], **more))
    assert grid(ds) == [[1, 0], [0, 1]]
    assert counts(ds).get("images_left_out", 0) == 2 * ("image" in more)


@pytest.mark.parametrize(
    ("changes", "correct", "said"),
    [
        ([{}, {"score": 0.0}], [[1, 0]], ""),
        ([{}, {"score": -1.0}], [[1, 0]], "-1 is read as wrong (1 rows)"),
        ([{"acc": True}, {"score": -0.3, "acc": True}, {"score": -1.3, "acc": False}], [[1, 1, 0]],
         "'acc' says correct"),
        ([{"score": {"score": 0.4, "acc": True}}, {"score": {"score": 0, "acc": False}}], [[1, 0]],
         ""),
        ([{"score": True}, {"score": "0.0"}], [[1, 0]], ""),
        ([{"score": None, "reward": 1.0}, {"score": None, "reward": 0.0}], [[1, 0]],
         "'reward' says correct"),
    ],
)  # fmt: skip
def test_scores_of_verl(changes, correct, said, tmp_path):
    ds = rnb.from_verl(verl(tmp_path, *changes))
    assert (grid(ds), ds["answer"].item()) == (correct, "7")
    assert said in " ".join(ds.attrs["import_notes"])


def test_a_score_of_verl_between(tmp_path):
    path = verl(tmp_path, {}, {"score": 0.5})
    assert "line 2: 'score' is 0.5" in refused(rnb.from_verl, path)
    assert grid(rnb.from_verl(path, threshold=0.5)) == [[1, 1]]
    assert grid(rnb.from_verl(verl(tmp_path, {"acc": 1}, {"score": 0.5, "acc": 0.3}), threshold=1))


# Steps, folders, exports


@pytest.mark.parametrize("written", [int, str])
def test_folders_hold_all_steps(written, tmp_path):
    for step in (2, 12):
        columns = {"step": [written(step)] * 2, "prompt": ["Q"] * 2, "r": [1.0, 0.0]}
        columns["completion"] = [f"a{step}", f"b{step}"]
        parquet(tmp_path / f"c/completions_{step:05d}.parquet", columns)
        rows = [VERL | {"output": each, "step": step} for each in columns["completion"]]
        jsonl(tmp_path / f"v/{step}.jsonl", *rows)
    for read, folder in ((rnb.from_trl, tmp_path / "c"), (rnb.from_verl, tmp_path / "v")):
        ds = read(folder)
        assert texts(ds) == [["a12", "b12"]]
        assert "2 steps of training; read was 12" in ds.attrs["import_notes"][0]
        assert texts(read(folder, step=2)) == [["a2", "b2"]]
        assert "no row is of step 3; it has 2, 12" in refused(read, folder, step=3)


def test_a_step_in_the_name_of_the_file(tmp_path):
    for step in (2, 12):
        row = {name: each for name, each in VERL.items() if name != "step"}
        jsonl(tmp_path / f"{step}.jsonl", row | {"output": str(step)})
    assert texts(rnb.from_verl(tmp_path)) == [["12"]]


def test_exports_of_trl(tmp_path):
    rows = [
        {"step": "3", "prompt": "Q", "completion": text, "r": reward, "advantage": 0.1}
        for text, reward in (("a", 1.0), ("b", None), ("c", 0.0))
    ]
    table = tmp_path / "completions_3_ab12.table.json"
    table.write_text(
        json.dumps({"columns": list(rows[0]), "data": [list(row.values()) for row in rows]})
    )
    for path in (table, jsonl(tmp_path / "completions.jsonl", *rows)):
        ds = rnb.from_trl(path)
        assert (grid(ds), texts(ds)) == ([[1, 0]], [["a", "c"]])
        assert counts(ds)["no_reward"] == 1


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"columns": "x", "data": []}, "'columns' is 'x'; it must be a list of names"),
        ({"columns": ["a"], "data": []}, "'data' is []; it must be a list of rows"),
        ({"columns": ["a"], "data": [[1, 2]]}, "row 1: 'data' is [1, 2]; it must be a list of 1"),
        ({"columns": ["a"], "data": [7]}, "row 1: 'data' is 7; it must be a list of 1"),
        ({"columns": ["step"], "data": [[1]]}, "row 1 has no 'prompt'"),
    ],
)
def test_damaged_exports(table, said, tmp_path):
    path = tmp_path / "completions.table.json"
    path.write_text(json.dumps(table))
    assert said in refused(rnb.from_trl, path, is_correct="numeric")


# Problems and texts


def test_conversations_of_trl(tmp_path):
    asked = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]
    said = [
        [{"role": "assistant", "content": "a", "reasoning_content": "hm"}],
        [{"role": "assistant", "content": "b", "reasoning_content": None}],
    ]
    path = parquet(
        tmp_path / "c.parquet",
        {"step": [1, 1], "prompt": [asked] * 2, "completion": said, "r": [1.0, 0.0]},
    )
    ds = rnb.from_trl(path)
    assert ds["prompt"].values.tolist() == ["S\nQ"] and texts(ds) == [["hm\na", "b"]]
    assert counts(ds)["reasoning_joined"] == 1


def test_images_in_a_conversation_are_told(tmp_path):
    blocks = [{"type": "image", "text": None}, {"type": "text", "text": "Q"}]
    row = {"step": 1, "prompt": [{"role": "user", "content": blocks}], "completion": "a", "r": 1.0}
    ds = rnb.from_trl(parquet(tmp_path / "c.parquet", [row]))
    assert ds["prompt"].item() == "Q" and counts(ds)["images_left_out"] == 1


def test_a_uid_of_verl_names_a_rollout(tmp_path):
    plain = rnb.from_verl(verl(tmp_path, {}))["problem_id"].item()
    assert rnb.from_verl(verl(tmp_path, {"uid": "ab_0_0"}))["problem_id"].item() == plain


def test_one_prompt_with_two_answers_is_two_problems(tmp_path):
    path = trl(tmp_path, r=[1.0, 0.0, 0.0, 1.0], answer=["7", "8", "9", "9"])
    ds = rnb.from_trl(path)
    assert ds["answer"].values.tolist() == ["7", "8", "9"]
    assert ds["prompt"].values.tolist() == ["Q1", "Q1", "Q2"]
    assert grid(ds) == [[1, -1], [0, -1], [0, 1]]
    assert counts(ds)["prompts_of_several_answers"] == 1
    assert len(set(ds["problem_id"].values.tolist())) == 3


@pytest.mark.parametrize("name", ["answer", "solution", "ground_truth", "target"])
def test_gold_answers_of_trl_are_graded(name, tmp_path):
    golds = {name: ["7", "7", "9", "9"]}
    path = trl(tmp_path, completion=["so 7", "so 8", "9", "1"], **golds)
    ds = rnb.from_trl(path, is_correct="numeric")
    assert grid(ds) == [[1, 0], [1, 0]] and ds["answer"].values.tolist() == ["7", "9"]
    text = refused(rnb.from_trl, trl(tmp_path), is_correct="numeric")
    assert "cannot read the expected answer ''" in text


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        ({"problem_id": ["x", "x", "y", "y"]}, ["x", "y"]),
        ({"uid": [1, 1, 2, 2]}, ["1", "2"]),
        ({"id": [1, 2, 3, 4]}, None),  # of rows
        ({"id": ["x"] * 4}, None),  # of the data set
        ({"uid": ["x_0_0", "x_1_0", "y_0_0", "y_1_0"]}, None),  # verl: sample, rollout, output
        ({"id": ["x", None, "y", "y"]}, None),
    ],
)
def test_names_of_problems(ids, names, tmp_path):
    plain = rnb.from_trl(trl(tmp_path, r=[1.0, 0.0, 0.0, 1.0]))["problem_id"].values.tolist()
    ds = rnb.from_trl(trl(tmp_path, r=[1.0, 0.0, 0.0, 1.0], **ids))
    assert ds["problem_id"].values.tolist() == (names or plain)
    told = "problems are named by the column" in " ".join(ds.attrs["import_notes"])
    assert told is (names is not None)


@pytest.mark.parametrize(
    ("gts", "answer"),
    [("7", "7"), (7, "7"), (["7"], "7"), ({"ground_truth": "7"}, "7"), (None, "")],
)
def test_gold_answers_of_verl(gts, answer, tmp_path):
    ds = rnb.from_verl(verl(tmp_path, {"gts": gts, "request_id": "r", "pred": "7"}))
    assert ds["answer"].item() == answer and texts(ds) == [["a"]]


def test_stored_logs_are_read_as_before():
    folder = Path(__file__).parents[1] / "fixtures"
    ds = rnb.from_trl(folder / "trl")
    assert "2 steps of training; read was 2" in ds.attrs["import_notes"][0]
    one = rnb.from_trl(folder / "trl/completions_00002.parquet")
    assert grid(ds) == grid(one) and texts(ds) == texts(one)
    assert grid(rnb.from_verl(folder / "verl")) == grid(rnb.from_verl(folder / "verl/7.jsonl"))
