"""Replies as every API writes them: the text with its reasoning, and what the log keeps back."""

import json

import pytest

import recover_nb as rnb
from recover_nb.io.messages import (
    hides_reasoning,
    words_of_content,
    words_of_message,
    words_of_messages,
)
from recover_nb.io.replies import replies_of

BOTH = "3 + 4\nso 7"
SAID = {"role": "assistant", "content": "so 7"}


def message(**more):
    return SAID | more


#: What stands in a row, and (text, hidden) of the reply.
SHAPES = {
    "text": ("so 7", "so 7", False),
    "message": (SAID, "so 7", False),
    "messages": ([SAID], "so 7", False),
    "vllm, deepseek": (message(reasoning_content="3 + 4"), BOTH, False),
    "openrouter": (message(reasoning="3 + 4"), BOTH, False),
    "openrouter details": (
        message(reasoning_details=[{"type": "reasoning.text", "text": "3 + 4"}]),
        BOTH,
        False,
    ),
    "openrouter cipher": (
        message(reasoning_details=[{"type": "reasoning.encrypted", "data": "zz"}]),
        "so 7",
        True,
    ),
    "both names": (message(reasoning="3 + 4", reasoning_content="3 + 4"), BOTH, False),
    "in the content as well": (message(content=BOTH, reasoning="3 + 4"), BOTH, False),
    "chat": ({"choices": [{"message": SAID, "finish_reason": "stop"}]}, "so 7", False),
    "chat, hidden": (
        {
            "choices": [{"message": SAID}],
            "usage": {"completion_tokens_details": {"reasoning_tokens": 64}},
        },
        "so 7",
        True,
    ),
    "chat, counted and shown": (
        {
            "choices": [{"message": message(reasoning_content="3 + 4")}],
            "usage": {"completion_tokens_details": {"reasoning_tokens": 3}},
        },
        BOTH,
        False,
    ),
    "completions": ({"object": "text_completion", "choices": [{"text": "so 7"}]}, "so 7", False),
    "batch": (
        {"status_code": 200, "body": {"id": "chatcmpl-1", "choices": [{"message": SAID}]}},
        "so 7",
        False,
    ),
    "responses": (
        {
            "object": "response",
            "output": [
                {"type": "reasoning", "summary": [], "encrypted_content": "zz"},
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "so 7"}],
                },
            ],
        },
        "so 7",
        True,
    ),
    "anthropic": (
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "3 + 4", "signature": "x"},
                {"type": "text", "text": "so 7"},
            ],
        },
        BOTH,
        False,
    ),
    "anthropic, redacted": (
        message(
            content=[
                {"type": "thinking", "thinking": "3 + 4"},
                {"type": "redacted_thinking", "data": "zz"},
                {"type": "text", "text": "so 7"},
            ]
        ),
        BOTH,
        True,
    ),
    "anthropic, left out": (
        message(content=[{"type": "thinking", "thinking": ""}, {"type": "text", "text": "so 7"}]),
        "so 7",
        True,
    ),
    "inspect": (
        message(
            content=[{"type": "reasoning", "reasoning": "3 + 4"}, {"type": "text", "text": "so 7"}]
        ),
        BOTH,
        False,
    ),
    "inspect, redacted": (
        message(
            content=[
                {"type": "reasoning", "reasoning": "cipher", "redacted": True},
                {"type": "text", "text": "so 7"},
            ]
        ),
        "so 7",
        True,
    ),
    "mistral": (
        message(
            content=[
                {"type": "thinking", "thinking": [{"type": "text", "text": "3 + 4"}]},
                {"type": "text", "text": "so 7"},
            ]
        ),
        BOTH,
        False,
    ),
    "gemini": (
        {
            "candidates": [
                {
                    "content": {
                        "role": "model",
                        "parts": [{"text": "3 + 4", "thought": True}, {"text": "so 7"}],
                    }
                }
            ]
        },
        BOTH,
        False,
    ),
    "gemini, hidden": (
        {
            "candidates": [{"content": {"role": "model", "parts": [{"text": "so 7"}]}}],
            "usageMetadata": {"thoughtsTokenCount": 9},
        },
        "so 7",
        True,
    ),
    "ollama chat": ({"message": message(thinking="3 + 4"), "done_reason": "stop"}, BOTH, False),
    "ollama": ({"response": "so 7", "thinking": "3 + 4"}, BOTH, False),
    "tgi": ({"generated_text": "so 7", "details": {"finish_reason": "length"}}, "so 7", False),
    "llama.cpp": ({"content": "so 7", "stop_type": "eos"}, "so 7", False),
    "sglang": ({"text": "so 7", "meta_info": {}}, "so 7", False),
    "vllm": ({"outputs": [{"text": "so 7", "token_ids": [1]}]}, "so 7", False),
    "refusal": (message(content=None, refusal="I cannot"), "I cannot", False),
    "call of a tool": (message(content=None, tool_calls=[{"id": "1"}]), "", False),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name, tmp_path):
    value, text, hidden = SHAPES[name]
    (reply,) = replies_of(value) or []
    assert (reply.text, reply.hidden) == (text, hidden)
    row = {"problem_id": "p", "response": value, "is_correct": True}
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(row))
    ds = rnb.from_jsonl(path)
    assert ds["generated_text"].values[0, :, 0].tolist() == [text]
    counts = json.loads(ds.attrs["import_counts_json"])
    assert counts.get("reasoning_hidden", 0) == hidden
    assert counts.get("reasoning_joined", 0) == (text == BOTH)
    assert counts.get("refusals", 0) == (name == "refusal")
    assert counts.get("calls_of_tools", 0) == (name == "call of a tool")


@pytest.mark.parametrize("value", [None, 7, True, [], {}, [1], [{"a": 1}], {"choices": [1]}])
def test_what_is_no_reply(value):
    assert replies_of(value) is None


def test_several_choices_and_their_ends(tmp_path):
    choices = [
        {"index": 0, "message": SAID, "finish_reason": "stop"},
        {"index": 1, "message": message(content="no"), "finish_reason": "length"},
    ]
    row = {"id": "chatcmpl-9", "problem_id": "p", "choices": choices, "is_correct": [True, False]}
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(row))
    ds = rnb.from_jsonl(path)
    assert ds["generated_text"].values[0, :, 0].tolist() == ["so 7", "no"]
    assert ds["correct"].values[0, :, 0].tolist() == [1, 0]
    assert ds["ended"].values[0, :, 0].tolist() == [1, 0]


def test_a_batch_is_named_by_its_custom_id(tmp_path):
    def line(name, response, error=None):
        return {"id": "batch_req_1", "custom_id": name, "response": response, "error": error}

    body = {"id": "chatcmpl-1", "choices": [{"message": SAID, "finish_reason": "length"}]}
    lines = [
        line("q1", {"status_code": 200, "body": body}),
        line("q2", {"status_code": 429, "body": {"error": {"message": "slow down"}}}),
        line("q3", None, {"code": "expired"}),
    ]
    path = tmp_path / "batch.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    ds = rnb.from_jsonl(path, is_correct=lambda text, answer: text == "so 7")
    assert ds["problem_id"].values.tolist() == ["q1"] and ds["correct"].values[
        0, :, 0
    ].tolist() == [1]
    assert ds["ended"].values[0, :, 0].tolist() == [0]
    counts = json.loads(ds.attrs["import_counts_json"])
    assert (counts["failed_requests"], counts["problems_named_by_custom_id"]) == (2, 1)


ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "3+4?"}]


@pytest.mark.parametrize(
    ("row", "prompt", "text"),
    [
        ({"messages": [*ASKED, SAID]}, "Be brief.\n3+4?", "so 7"),
        ({"messages": ASKED, "response": "so 7"}, "Be brief.\n3+4?", "so 7"),
        ({"messages": [*ASKED, SAID], "response": "so 7"}, "Be brief.\n3+4?", "so 7"),
        ({"messages": ASKED, "choices": [{"message": SAID}]}, "Be brief.\n3+4?", "so 7"),
        ({"prompt": ASKED, "response": "so 7"}, "Be brief.\n3+4?", "so 7"),
        ({"prompt": "3+4?", "messages": [*ASKED, SAID]}, "3+4?", "so 7"),
        (
            {"conversations": [{"from": "human", "value": "3+4?"}, {"from": "gpt", "value": "7"}]},
            "3+4?",
            "7",
        ),
        (
            {"messages": [*ASKED, message(content="hm"), ASKED[1], SAID]},
            "Be brief.\n3+4?\nhm\n3+4?",
            "so 7",
        ),
    ],
)
def test_conversations(row, prompt, text, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"problem_id": "p", "is_correct": True} | row))
    ds = rnb.from_jsonl(path)
    assert (ds["prompt"].item(), ds["generated_text"].values[0, 0, 0]) == (prompt, text)


def test_reasoning_beside_a_text_in_the_row(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [
        {"problem_id": "p", "reasoning": "3 + 4", "response": "so 7", "is_correct": True},
        {"problem_id": "p", "reasoning": "3 + 4", "response": BOTH, "is_correct": True},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    ds = rnb.from_jsonl(path)
    assert ds["generated_text"].values[0, :, 0].tolist() == [BOTH, BOTH]
    assert json.loads(ds.attrs["import_counts_json"])["reasoning_joined"] == 1


class Letters:
    """A tokenizer of letters."""

    def encode(self, text, add_special_tokens=False):
        return [ord(letter) for letter in text]

    def decode(self, ids, skip_special_tokens=False):
        return "".join(map(chr, ids))


def test_a_text_whose_reasoning_is_hidden_makes_no_trace(tmp_path):
    path = tmp_path / "log.jsonl"
    parts = [{"type": "redacted_thinking", "data": "zz"}, {"type": "text", "text": "7"}]
    row = {"problem_id": "p", "response": message(content=parts), "is_correct": False}
    path.write_text(json.dumps(row))
    ds = rnb.from_jsonl(path, tokenizer=Letters())
    assert "token_id" not in ds and ds["generated_text"].values[0, 0, 0] == "7"
    assert "texts_tokenized" not in json.loads(ds.attrs["import_counts_json"])
    path.write_text(json.dumps(row | {"output_ids": [1, 2]}))
    assert rnb.from_jsonl(path, tokenizer=Letters())["token_id"].values[0, 0, 0].tolist() == [1, 2]


def test_words_of_messages():
    assert words_of_content(None) == words_of_content(7) == words_of_content({"text": "x"}) == ""
    assert words_of_content(["a", {"text": "b"}, {"type": "image"}]) == "a\nb"
    assert words_of_message({"content": [{"type": "refusal", "refusal": "no"}]}) == "no"
    assert words_of_messages([ASKED[0], message(thinking="hm")]) == "Be brief.\nhm\nso 7"
    assert not hides_reasoning(SAID) and not hides_reasoning(message(reasoning="x"))
    deep: dict = {"type": "thinking"}
    part = deep
    for _ in range(50):
        part["thinking"] = [{"type": "thinking"}]
        part = part["thinking"][0]
    assert words_of_content([deep]) == ""
