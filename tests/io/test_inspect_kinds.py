"""Logs of inspect_ai of every kind: what is read, what is left out, and what is said of it."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError

SHAPES = Path(__file__).parents[1] / "fixtures" / "inspect_shapes"


def sample(name="s1", content="7", value="C", **more):
    """Return a sample with what a reader needs."""
    message = {"role": "assistant", "content": content}
    return {
        "id": name,
        "epoch": 1,
        "input": "3+4=",
        "target": "7",
        "messages": [],
        "output": {"model": "m", "choices": [{"message": message, "stop_reason": "stop"}]},
        "scores": {"match": {"value": value}},
    } | more


def log(path, samples, task="add", model="m", created="2026-01-01", **more):
    about = {"task": task, "model": model, "created": created}
    whole = {"version": 2, "status": "success", "eval": about, "samples": samples} | more
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(whole))
    return path


def read(tmp_path, *samples, **options):
    return rnb.from_inspect(log(tmp_path / "log.json", list(samples)), **options)


def grid(ds, arm="none"):
    return ds["correct"].sel(intervention=arm).values.tolist()


def texts(ds, arm="none"):
    return ds["generated_text"].sel(intervention=arm).values.tolist()


def counts(ds):
    return json.loads(ds.attrs["import_counts_json"])


class Letters:
    """A tokenizer: a letter is a token."""

    def get_vocab(self):
        return {chr(i): i for i in range(256)}

    def encode(self, text, add_special_tokens=False):
        return list(map(ord, text))

    def decode(self, ids, skip_special_tokens=False):
        return "".join(map(chr, ids))


# What the model wrote


PARTS = [
    ([{"type": "reasoning", "reasoning": "3 and 4"}, {"type": "text", "text": "7"}], "3 and 4\n7"),
    ([{"type": "text", "text": "7"}, {"type": "reasoning", "reasoning": "after"}], "after\n7"),
    (
        [
            {"type": "reasoning", "reasoning": "one"},
            {"type": "reasoning", "reasoning": "two"},
            {"type": "text", "text": "7"},
        ],
        "one\ntwo\n7",
    ),
    (
        [{"type": "reasoning", "reasoning": "", "redacted": False}, {"type": "text", "text": "7"}],
        "7",
    ),
    ([{"type": "image", "image": "data:"}, {"type": "text", "text": "7"}], "7"),
    ("7", "7"),
    ("", ""),
    ([], ""),
]


@pytest.mark.parametrize(("content", "expected"), PARTS, ids=str)
def test_text_is_reasoning_then_answer(tmp_path, content, expected):
    ds = read(tmp_path, sample(content=content))
    assert texts(ds) == [[expected]]
    assert grid(ds) == [[1]]


def test_reasoning_beside_the_content(tmp_path):
    """Logs of early 2025 have it as a field of the message."""
    each = sample()
    each["output"]["choices"][0]["message"]["reasoning"] = "3 and 4"
    assert texts(read(tmp_path, each)) == [["3 and 4\n7"]]


@pytest.mark.parametrize("check", ["exact", lambda text, answer: text == answer])
def test_the_answer_alone_is_graded(tmp_path, check):
    content = [{"type": "reasoning", "reasoning": "7"}, {"type": "text", "text": "8"}]
    right = [{"type": "reasoning", "reasoning": "8"}, {"type": "text", "text": "7"}]
    ds = read(tmp_path, sample("a", content), sample("b", right, "I"), is_correct=check)
    assert grid(ds) == [[0], [1]]


def test_hidden_reasoning_makes_no_trace(tmp_path):
    content = [
        {"type": "reasoning", "reasoning": "gAAA", "summary": "adding", "redacted": True},
        {"type": "text", "text": "7"},
    ]
    ds = read(tmp_path, sample("a", content), sample("b", content, "I"))
    assert texts(ds) == [["7"], ["7"]] and counts(ds)["redacted_reasoning"] == 2
    ds = read(tmp_path, sample("a", content), sample("b", "88"), tokenizer=Letters())
    assert ds["problem_id"].values.tolist() == ["b"]
    assert ds["n_tokens"].sel(intervention="none").values.tolist() == [[2]]
    assert "1 completions have reasoning that the log does not show; they have no trace" in str(
        ds.attrs["import_notes"]
    )
    with pytest.raises(InputError, match="no sample can be used; 1 completions have reasoning"):
        read(tmp_path, sample("a", content), tokenizer=Letters())


def test_the_last_of_several_turns(tmp_path):
    messages = [
        {"role": "system", "content": "Add."},
        {"role": "user", "content": "3+4="},
        {"role": "assistant", "content": "", "tool_calls": [{"function": "add"}]},
        {"role": "tool", "content": "7"},
        {"role": "assistant", "content": "It is 7"},
    ]
    ds = read(tmp_path, sample(content="It is 7", messages=messages))
    assert texts(ds) == [["It is 7"]]
    assert ds["prompt"].item() == "Add.\n3+4="
    assert counts(ds)["samples_of_several_turns"] == 1


def test_turns_in_the_input_are_examples(tmp_path):
    given = [
        {"role": "user", "content": "1+1="},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "3+4="},
    ]
    messages = [*given, {"role": "assistant", "content": "7"}]
    for each in (sample(input=given, messages=messages), sample(input=given)):
        ds = read(tmp_path, each)
        assert ds["prompt"].item() == "1+1=\n2\n3+4="
        assert "samples_of_several_turns" not in counts(ds)


def test_choices_that_the_prompt_does_not_show(tmp_path):
    ds = read(tmp_path, sample(choices=["6", "8"], target="B"))
    assert ds["prompt"].item() == "3+4=\nA) 6\nB) 8"
    real = rnb.from_inspect(SHAPES / "choices.eval")
    assert all(text.count("A) ") == 1 for text in real["prompt"].values)


@pytest.mark.parametrize("scheme", ["attachment", "tc"])
@pytest.mark.parametrize("old", [False, True])
def test_attachments_are_put_back(tmp_path, scheme, old):
    name, missing = "0123456789abcdef0123456789abcdef", "f" * 32
    stored = {name: "a long text"}
    each = sample(content=f"{scheme}://{name}", input=f"{scheme}://{missing}")
    each |= {"transcript": {"events": [], "content": stored}} if old else {"attachments": stored}
    ds = read(tmp_path, each)
    assert texts(ds) == [["a long text"]]
    assert ds["prompt"].item() == f"{scheme}://{missing}"
    assert counts(ds)["missing_attachments"] == 1


# How it ended


LIMITS = ["token", "message", "time", "working", "context", "cost", "operator", "custom"]


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("options", [{}, {"is_correct": "exact"}], ids=str)
def test_a_limit_before_any_output(tmp_path, kind, options):
    cut = sample("s2", value="I", limit={"type": kind, "limit": 1.0})
    cut["output"]["choices"] = []
    ds = read(tmp_path, sample(), cut, **options)
    assert grid(ds) == [[1], [0]]
    assert texts(ds) == [["7"], [""]]
    assert ds["ended"].sel(intervention="none").values.tolist() == [[1], [0]]
    assert counts(ds)["samples_without_text"] == counts(ds)["cut_off"] == 1
    traced = read(tmp_path, sample(), cut, tokenizer=Letters(), **options)
    assert traced["token_id"].sel(intervention="none").values.tolist() == [[[55]], [[-1]]]
    assert counts(traced)["empty_rollouts"] == 1


ENDS = {
    "stop": 1,
    "max_tokens": 0,
    "model_length": 0,
    "content_filter": -1,
    "tool_calls": -1,
    "unknown": -1,
}


def test_why_it_stopped(tmp_path):
    samples = []
    for reason in ENDS:
        samples.append(sample(reason))
        samples[-1]["output"]["choices"][0]["stop_reason"] = reason
    samples.append(sample("limit", limit={"type": "token", "limit": 9}))
    ds = read(tmp_path, *samples)
    ended = dict(zip(ds["problem_id"].values.tolist(), ds["ended"].values[:, 0, 0], strict=True))
    assert ended == ENDS | {"limit": 0}


def test_a_call_alone_is_no_text(tmp_path):
    each = sample(content="", value="I")
    each["output"]["choices"][0]["message"]["tool_calls"] = [{"function": "add"}]
    ds = read(tmp_path, sample("a"), each)
    assert grid(ds) == [[1], [0]] and counts(ds)["samples_without_text"] == 1


# How it was scored


VALUES = [
    ("C", 1),
    ("I", 0),
    ("P", 0),
    ("N", 0),
    (1, 1),
    (0, 0),
    (1.0, 1),
    (0.0, 0),
    (0.5, 0),
    (True, 1),
    (False, 0),
    ("yes", 1),
    ("No", 0),
    ("true", 1),
    ("1", 1),
    ("0.0", 0),
    ({"acc": 1}, 1),
    ({"acc": "C"}, 1),
    ({"acc": False}, 0),
    ([1], 1),
    (["I"], 0),
]


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=str)
def test_values(tmp_path, value, expected):
    ds = read(tmp_path, sample(value=value))
    assert grid(ds) == [[expected]]
    assert counts(ds).get("partial_credit") == (1 if value in ("P", 0.5) else None)


REFUSED = ["maybe", 7, -1, 1.5, [], [1, 0], {}, {"a": 1, "b": 0}, "inf", 10**400]


@pytest.mark.parametrize("value", REFUSED, ids=lambda each: str(each)[:20])
def test_values_that_are_no_verdict(tmp_path, value):
    with pytest.raises(InputError, match=r"log.json: sample 1, scores, match"):
        read(tmp_path, sample(value=value))


@pytest.mark.parametrize("value", [float("nan"), "nan", {"acc": float("nan")}], ids=str)
def test_nan_is_not_scored(tmp_path, value):
    ds = read(tmp_path, sample(), sample("s2", value=value))
    assert grid(ds) == [[1]] and counts(ds)["unscored_samples"] == 1
    assert "1 samples have no score and are left out" in ds.attrs["import_notes"]


@pytest.mark.parametrize("more", [{"scores": None}, {"scores": {}}], ids=str)
def test_without_scores(tmp_path, more):
    assert grid(read(tmp_path, sample(), sample("s2", **more))) == [[1]]
    with pytest.raises(InputError, match="no sample has scores; pass is_correct="):
        read(tmp_path, sample(**more))
    assert grid(read(tmp_path, sample(**more), is_correct="exact")) == [[1]]


def test_the_score_of_old_logs(tmp_path):
    each = sample(score={"value": "C"})
    del each["scores"]
    assert grid(read(tmp_path, each)) == [[1]]


def test_several_scorers(tmp_path):
    scores = {
        "match": {"value": "I"},
        "judge": {"value": {"fact": 1, "tone": 0}},
        "a.b": {"value": 1},
    }
    each = sample(scores=scores)
    with pytest.raises(
        InputError, match=r"has scores of match, judge, a.b; pass scorer= to choose"
    ):
        read(tmp_path, each)
    with pytest.raises(InputError, match=r"has the parts fact, tone; pass scorer='judge.fact'"):
        read(tmp_path, each, scorer="judge")
    with pytest.raises(InputError, match=r"has scores of match, judge, a.b, and none that can be"):
        read(tmp_path, each, scorer="other")
    with pytest.raises(InputError, match="has no 'style'; it has fact, tone"):
        read(tmp_path, each, scorer="judge.style")
    found = [
        grid(read(tmp_path, each, scorer=name))
        for name in ("match", "judge.fact", "judge.tone", "a.b")
    ]
    assert found == [[[0]], [[1]], [[0]], [[1]]]


TARGETS = [
    (["7", "seven"], "seven", "7 | seven", 1),
    (["7", "seven"], "8", "7 | seven", 0),
    (["7"], "7", "7", 1),
    ([], "7", "", 0),
    ("7", "7", "7", 1),
    (7, "7", "7", 1),
    ([7, 8], "8", "7 | 8", 1),
    (None, "7", "", 0),
]


@pytest.mark.parametrize(("target", "text", "answer", "expected"), TARGETS, ids=str)
def test_any_target_counts(tmp_path, target, text, answer, expected):
    each = sample(content=text, target=target)
    assert read(tmp_path, each)["answer"].item() == answer
    assert grid(read(tmp_path, each)) == [[1]]  # the scorer's verdict stands
    assert grid(read(tmp_path, each, is_correct="exact")) == [[expected]]


def test_several_letters_are_right_together(tmp_path):
    each = sample(content="A", target=["A", "C"], choices=["x", "y", "z"])
    assert read(tmp_path, each)["answer"].item() == "A, C"
    assert grid(read(tmp_path, each, is_correct="exact")) == [[0]]


# Samples and runs that did not go well


def test_samples_left_out(tmp_path):
    broken = sample("a", error={"message": "no sandbox"})
    taken_back = sample("b", invalidation={"author": "x", "reason": "wrong target"})
    ds = read(tmp_path, broken, taken_back, sample("c", error_retries=[{"message": "once"}]))
    assert ds["problem_id"].values.tolist() == ["c"]
    assert (counts(ds)["failed_samples"], counts(ds)["invalidated_samples"]) == (1, 1)
    with pytest.raises(InputError, match=r"no sample can be used; 1 samples ended in an error"):
        read(tmp_path, broken)


@pytest.mark.parametrize("status", ["started", "cancelled", "error", None])
def test_a_run_that_did_not_finish(tmp_path, status):
    ds = rnb.from_inspect(log(tmp_path / "log.json", [sample()], status=status))
    assert "log.json: the run did not finish; what it has is read" in ds.attrs["import_notes"]
    assert grid(ds) == [[1]]


@pytest.mark.parametrize("samples", [[], None])
def test_a_log_without_samples(tmp_path, samples):
    with pytest.raises(InputError, match=r"the log has no samples; was it made with log_samples"):
        rnb.from_inspect(log(tmp_path / "log.json", samples))


def test_epochs_that_are_not_named(tmp_path):
    samples = [sample(content=text) for text in "789"]
    for each in samples:
        del each["epoch"]
    ds = read(tmp_path, *samples)
    assert texts(ds) == [["7", "8", "9"]] and counts(ds)["no_epoch"] == 3


def test_whole_numbers_and_texts_as_ids_are_paired(tmp_path):
    a = log(tmp_path / "a.json", [sample(1)])
    b = log(tmp_path / "b.json", [sample("1", value="I")])
    ds = rnb.from_inspect({"none": a, "temperature": b})
    assert ds["problem_id"].values.tolist() == ["1"]
    assert (grid(ds), grid(ds, "temperature")) == ([[1]], [[0]])


# Files and folders


def archive(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, value in members:
            file.writestr(name, json.dumps(value))
    return path


HEAD = {"status": "success", "eval": {"task": "add", "model": "m"}}


@pytest.mark.parametrize("head", ["header.json", "_journal/start.json"])
def test_archives_of_either_head(tmp_path, head):
    path = archive(tmp_path / "x.eval", [(head, HEAD), ("samples/s1_epoch_1.json", sample())])
    assert rnb.from_inspect(path)["task"].item() == "add"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_was_written_again(tmp_path):
    """Python's zip writer appends; the last one counts."""
    name = "samples/s1_epoch_1.json"
    members = [("header.json", HEAD), (name, sample(value="I")), (name, sample(value="C"))]
    assert grid(rnb.from_inspect(archive(tmp_path / "x.eval", members))) == [[1]]


def test_an_archive_of_another_name_and_json_of_another_name(tmp_path):
    shutil.copy(SHAPES / "plain.eval", tmp_path / "x.zip")
    shutil.copy(SHAPES / "plain_json.json", tmp_path / "y.eval")
    expected = rnb.from_inspect(SHAPES / "plain.eval")["correct"].values.tolist()
    for name in ("x.zip", "y.eval"):
        assert sorted(rnb.from_inspect(tmp_path / name)["correct"].values.tolist()) == sorted(
            expected
        )


def test_a_folder_of_tasks(tmp_path):
    log(tmp_path / "logs" / "a.json", [sample("q")], task="add")
    log(tmp_path / "logs" / "deep" / "b.json", [sample("q", value="I")], task="times")
    (tmp_path / "logs" / "eval-set.json").write_text('{"eval_set_id": "x"}')
    ds = rnb.from_inspect(tmp_path / "logs")
    assert list(zip(ds["task"].values, ds["problem_id"].values, strict=True)) == [
        ("add", "q"),
        ("times", "q"),
    ]
    assert grid(ds) == [[1], [0]] and counts(ds)["other_files"] == 1
    with pytest.raises(
        InputError, match=r"task='x' names one task, and the logs are of add, times"
    ):
        rnb.from_inspect(tmp_path / "logs", task="x")


def test_a_folder_of_runs(tmp_path):
    """The newest run that finished is read; another model is another arm."""
    folder = tmp_path / "logs"
    log(folder / "1.json", [sample(content="old")], created="2026-01-01")
    log(folder / "2.json", [sample(content="new")], created="2026-01-02")
    log(folder / "3.json", [sample(content="broken")], created="2026-01-03", status="error")
    ds = rnb.from_inspect(folder)
    assert texts(ds) == [["new"]] and counts(ds)["older_logs"] == 2
    log(folder / "4.json", [sample()], model="other")
    with pytest.raises(InputError, match=r"the task 'add' has logs of 2 runs \(m; other\)"):
        rnb.from_inspect(folder)
    other = {"none": folder / "2.json", "temperature": folder / "4.json"}
    assert rnb.from_inspect(other).sizes["problem"] == 1


def test_runs_of_other_settings_are_other_arms(tmp_path):
    for place, hot in enumerate((0.0, 1.0)):
        plan = {"config": {"temperature": hot, "max_connections": place}}
        log(tmp_path / "logs" / f"{place}.json", [sample()], plan=plan)
    with pytest.raises(InputError, match="has logs of 2 runs"):
        rnb.from_inspect(tmp_path / "logs")


@pytest.mark.parametrize("task", [None, "sums"])
def test_arms_of_other_names_share_their_problems(tmp_path, task):
    cold = log(tmp_path / "a.json", [sample(value="I", content="8")], task="add")
    hot = log(tmp_path / "b.json", [sample()], task="add_hot")
    ds = rnb.from_inspect({"none": cold, "temperature": hot}, task=task)
    assert (grid(ds), grid(ds, "temperature")) == ([[0]], [[1]])
    assert ds["task"].values.tolist() == [task or "add"]
    assert ("tasks_paired" in counts(ds)) == (task is None)


def test_arms_of_other_problems_are_refused(tmp_path):
    cold = log(tmp_path / "a.json", [sample(1)], task="add")
    hot = log(tmp_path / "b.json", [sample(1, target="12", input="3*4=")], task="times")
    with pytest.raises(InputError, match=r"the answer of problem 1 is '12', and '7' in .*a.json"):
        rnb.from_inspect({"none": cold, "temperature": hot})
    same = log(tmp_path / "c.json", [sample(1, target="7.0", input="Add 3 and 4")], task="add")
    ds = rnb.from_inspect({"none": cold, "temperature": same})
    assert (ds["answer"].item(), ds["prompt"].item()) == ("7", "3+4=")
    assert (counts(ds)["answers_differ"], counts(ds)["prompts_differ"]) == (1, 1)


def test_epochs_of_other_prompts(tmp_path):
    """Choices may be shuffled anew in every epoch."""
    ds = read(tmp_path, sample(), sample(epoch=2, input="4+3="))
    assert ds["prompt"].item() == "3+4=" and counts(ds)["prompts_differ"] == 1


def test_arms_of_several_tasks(tmp_path):
    for arm in ("cold", "hot"):
        log(tmp_path / arm / "a.json", [sample()], task="add")
    log(tmp_path / "cold" / "b.json", [sample()], task="times")
    ds = rnb.from_inspect({"none": tmp_path / "cold", "temperature": tmp_path / "hot"})
    assert ds["task"].values.tolist() == ["add", "times"]
    assert grid(ds, "temperature") == [[1], [-1]]
    assert "no log of the task times is given for temperature" in ds.attrs["import_notes"]
