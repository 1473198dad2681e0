"""Why a text ended, from every reader that can know: a cut-off answer is no failure."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.core.schema import failed_rollouts
from recover_nb.io.rows import ended_by, ending, was_forced

FIXTURES = Path(__file__).parents[1] / "fixtures"


def jsonl(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize(
    ("reason", "ended"),
    [
        ("stop", True),
        ("STOP", True),
        ("eos", True),
        ("end_turn", True),
        ("length", False),
        ("max_tokens", False),
        ("model_length", False),
        ("content_filter", None),
        ("tool_calls", None),
        ("unknown", None),
        ("", None),
        # What vLLM gives as its stop reason: the token or text it stopped at.
        (151645, None),
        (None, None),
    ],
)
def test_reasons(reason, ended):
    assert ended_by(reason) is ended


@pytest.mark.parametrize(
    ("row", "ended"),
    [
        ({"finish_reason": "stop"}, True),  # OpenAI, vLLM, Mistral
        ({"finish_reason": "length"}, False),
        ({"finish_reason": "tool_calls"}, None),
        ({"stop_reason": "end_turn"}, True),  # Anthropic
        ({"stop_reason": "stop_sequence", "stop_sequence": "#"}, True),
        ({"stop_reason": "max_tokens"}, False),
        ({"finishReason": "STOP"}, True),  # Gemini
        ({"finishReason": "MAX_TOKENS"}, False),
        ({"finish_reason": "FinishReason.MAX_TOKENS"}, False),
        ({"finish_reason": "stop", "stop_reason": 151645}, True),  # vLLM
        ({"finish_reason": None, "stop_reason": 151645}, True),
        ({"finish_reason": "length", "stop_reason": None}, False),
        ({"details": {"finish_reason": "eos_token"}}, True),  # TGI
        ({"details": {"finish_reason": "length"}}, False),
        ({"details": {"finish_reason": "stop_sequence"}}, True),
        ({"stop_type": "eos", "truncated": False}, True),  # llama.cpp
        ({"stop_type": "word"}, True),
        ({"stop_type": "limit", "truncated": False}, False),
        ({"stopped_eos": True, "stopped_limit": False}, True),
        ({"stopped_eos": False, "stopped_limit": True}, False),
        ({"meta_info": {"finish_reason": {"type": "stop", "matched": 2}}}, True),  # SGLang
        ({"finish_reason": {"type": "length", "length": 9}}, False),
        ({"finish_reason": {"type": "abort", "message": "x"}}, None),
        ({"done": True, "done_reason": "stop"}, True),  # ollama
        ({"done": True, "done_reason": "length"}, False),
        ({"finish_details": {"type": "stop", "stop": "<|im_end|>"}}, True),
        ({"finish_details": {"type": "max_tokens"}}, False),
        ({"status": "completed", "incomplete_details": None}, True),  # OpenAI, responses
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, False),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, None),
        ({"status": "success"}, None),
        ({"ended": True}, True),
        ({"ended": 0}, False),
        ({"truncated": True}, False),
        ({"truncated": False}, True),
        ({"finish_reason": ["stop"]}, None),
        ({"finish_reason": {"type": {}}}, None),
        ({"finish_reason": 7}, None),
        ({}, None),
    ],
)
def test_ends_of_all_tools(row, ended):
    assert ending(row) is ended


@pytest.mark.parametrize(
    ("reason", "forced"),
    [
        ({"finish_reason": "content_filter"}, True),
        ({"finishReason": "SAFETY"}, True),
        ({"stop_reason": "refusal"}, True),
        ({"finish_reason": "error"}, True),
        ({"finish_reason": {"type": "abort"}}, True),
        ({"status": "failed"}, True),
        ({"finish_reason": "stop"}, False),
        ({"finish_reason": "tool_calls"}, False),
    ],
)
def test_filters_and_faults_are_told(reason, forced, tmp_path):
    assert was_forced(reason) is forced
    row = {"problem_id": "p", "generated_text": "x", "is_correct": False} | reason
    ds = rnb.from_jsonl(jsonl(tmp_path / "x.jsonl", [row]))
    assert json.loads(ds.attrs["import_counts_json"]).get("ended_by_force", 0) == forced


def check(ds, correct=(0, 0, 1, 0)):
    """Four rollouts of one problem: stopped, cut off, stopped right, not said."""
    assert ds["correct"].values[0, :, 0].tolist() == list(correct)
    assert ds["ended"].values[0, :, 0].tolist() == [1, 0, 1, -1]
    assert ds["origin"].values[0, :, 0].tolist() == ["", "cut off", "", ""]
    row = rnb.tables.failures_by_cell(ds).iloc[0]
    assert (row["wrong"], row["cut_off"], row["failures"]) == (3, 1, 2)
    assert ds["n_failed_rollouts"].item() == 2
    assert "1 of 4 rollouts were cut off" in " ".join(ds.attrs["import_notes"])
    assert json.loads(ds.attrs["import_counts_json"])["cut_off"] == 1


TEXTS = ("1+1=3 #3", "1+1=", "1+1=2 #2", "1+1=4 #4")
REASONS = ("stop", "length", "stop", None)


@pytest.mark.parametrize("field", ["finish_reason", "stop_reason"])
def test_json_lines(tmp_path, field):
    rows = [
        {
            "problem_id": "p",
            "prompt": "1+1",
            "answer": "2",
            "rollout_idx": i,
            "generated_text": text,
        }
        | ({field: reason} if reason else {})
        for i, (text, reason) in enumerate(zip(TEXTS, REASONS, strict=True))
    ]
    check(rnb.from_jsonl(jsonl(tmp_path / "x.jsonl", rows), is_correct="regex:#(.+)$"))


def test_harness_logs(tmp_path):
    row = {
        "doc_id": 1,
        "doc": {},
        "target": "2",
        "arguments": [["1+1", {}]],
        "resps": [list(TEXTS)],
        "filtered_resps": [""],
        "exact_match": 0.0,
    }
    for place, reasons in enumerate(([list(REASONS)], list(REASONS))):
        path = jsonl(tmp_path / f"{place}.jsonl", [row | {"finish_reason": reasons}])
        check(rnb.from_lm_eval(path, is_correct="regex:#(.+)$"))
    path = jsonl(tmp_path / "two.jsonl", [row | {"finish_reason": ["stop", "length"]}])
    with pytest.raises(InputError, match="one reason per response, and there are 4"):
        rnb.from_lm_eval(path, is_correct="regex:#(.+)$")
    cut = rnb.from_lm_eval(
        jsonl(tmp_path / "all.jsonl", [row | {"stop_reason": "length"}]), is_correct="regex:#(.+)$"
    )
    assert cut["ended"].values[0, :, 0].tolist() == [0] * 4
    # Three wrong answers, all cut off: nothing failed.
    assert cut["n_failed_rollouts"].item() == 0 and cut["regime"].item() == ""


def test_inspect_logs(tmp_path):
    log = json.loads((FIXTURES / "inspect" / "arithmetic.json").read_text())
    samples = []
    for i, (text, reason) in enumerate(
        zip(TEXTS, ("stop", "max_tokens", "stop", "unknown"), strict=True)
    ):
        sample = json.loads(json.dumps(log["samples"][0]))
        sample |= {"id": "p", "epoch": i + 1, "target": "2"}
        choice = sample["output"]["choices"][0]
        choice["message"]["content"], choice["stop_reason"] = text, reason
        samples.append(sample)
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log | {"samples": samples}))
    check(rnb.from_inspect(path, is_correct="regex:#(.+)$"))


def test_training_logs(tmp_path):
    rows = [
        {"input": "1+1", "output": text, "gts": "2", "score": float("#2" in text), "step": 1}
        | ({"finish_reason": reason} if reason else {})
        for text, reason in zip(TEXTS, REASONS, strict=True)
    ]
    check(rnb.from_verl(jsonl(tmp_path / "1.jsonl", rows)))


def test_a_log_without_reasons_counts_every_wrong_rollout(tmp_path):
    rows = [
        {"problem_id": "p", "answer": "2", "rollout_idx": i, "generated_text": text}
        for i, text in enumerate(TEXTS)
    ]
    ds = rnb.from_jsonl(jsonl(tmp_path / "x.jsonl", rows), is_correct="regex:#(.+)$")
    assert "ended" not in ds
    assert ds["n_failed_rollouts"].item() == 3


def test_answers_alone_are_guesses(tmp_path):
    texts = ("#3", "The answer is 3.", "First add. Then 3.", "#2")
    rows = [
        {"problem_id": "p", "answer": "2", "rollout_idx": i, "generated_text": text}
        for i, text in enumerate(texts)
    ]
    ds = rnb.from_jsonl(jsonl(tmp_path / "x.jsonl", rows), is_correct="numeric")
    assert ds["worked"].values[0, :, 0].tolist() == [0, 0, 1, 0]
    assert ds["origin"].values[0, :, 0].tolist() == ["guess", "guess", "", ""]


def test_facts_survive_json_lines(tmp_path):
    ds = tiny_study()
    shape = ds["correct"].shape
    run = ds["correct"].values >= 0
    rng = np.random.default_rng(0)
    ended = np.where(run, rng.integers(0, 2, shape), -1).astype(np.int8)
    words = np.array(["", "slip", "lost", "cut off"], dtype=object)[rng.integers(0, 4, shape)]
    axes = ds["correct"].dims
    ds = ds.assign(ended=(axes, ended), origin=(axes, np.where(run, words, "")))
    ds = ds.assign(n_failed_rollouts=("problem", failed_rollouts(ds).sum(1)))
    again = rnb.from_jsonl(rnb.to_jsonl(ds, tmp_path / "x.jsonl"))
    for name in ("ended", "origin"):
        np.testing.assert_array_equal(again[name].values, ds[name].values)
