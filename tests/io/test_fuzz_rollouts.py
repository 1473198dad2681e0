"""Rows of real logs, damaged: whatever stands in them, the answer is a study or one sentence.

`RECOVER_NB_FUZZ` is the number of examples for each reader.
"""

import json
import os

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.io.fields import NAMES

EXAMPLES = settings(
    max_examples=int(os.environ.get("RECOVER_NB_FUZZ", "60")),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SAID = {"role": "assistant", "content": "so 7", "reasoning_content": "3 + 4"}
ASKED = [{"role": "user", "content": [{"type": "text", "text": "3+4?"}]}]
PARTS = [
    {"type": "thinking", "thinking": "hm", "signature": "x"},
    {"type": "redacted_thinking", "data": "zz"},
    {"type": "text", "text": "7"},
]
ROLLOUTS = [
    {"problem_id": "a", "rollout_idx": 0, "generated_text": "7", "is_correct": True},
    {"problem_id": "a", "rollout_idx": 1, "output_ids": [1, 2], "is_correct": 0, "n_tokens": 2},
    {"qid": 3, "question": "3+4", "gold": "7", "response": "8", "passed": "false", "sample": 1},
    {"id": 4, "messages": [*ASKED, SAID], "score": 1.0, "ended": True, "answer": ["7"]},
    {"custom_id": "b", "response": {"status_code": 200, "body": {"choices": [{"message": SAID}]}}},
    {"pid": 5, "choices": [{"text": "7", "finish_reason": "length"}] * 2, "is_correct": [1, 0]},
    {"pid": "c", "responses": ["7", "8"], "correct": ["C", "I"], "finish_reasons": ["stop", None]},
    {"pid": "d", "output": [{"type": "reasoning", "summary": []}], "status": "incomplete", "ok": 1},
    {"pid": "e", "message": {"role": "assistant", "content": PARTS}, "acc": {"score": 1.0}},
    {"pid": "f", "candidates": [{"content": {"parts": [{"text": "7"}]}}], "success": True},
    {"pid": "g", "n": 8, "c": 3, "usage": {"output_tokens_details": {"reasoning_tokens": 4}}},
    {"pid": "h", "answer": "7", "is_correct": True, "problem": {"prompt": "3+4", "answer": "7"}},
]
TRL = [
    {"step": 3, "prompt": "3+4", "completion": "7", "accuracy_reward": 1.0, "advantage": 0.1},
    {"step": "3", "prompt": ASKED, "completion": [SAID], "accuracy_reward": -1, "solution": "7"},
    {"prompt": "3+5", "completion": "9", "accuracy_reward": {"score": 1.0, "acc": True}, "id": 4},
    {"step": 2, "prompt": "3+5", "completion": "8", "accuracy_reward": None, "images": [{}]},
    {"step": 3, "prompt": "3+5", "completion": "8", "accuracy_reward": "0.0", "answer": "8"},
]
VERL = [
    {"input": "3+4", "output": "7", "gts": "7", "score": 1.0, "step": 7, "acc": True, "pred": "7"},
    {"input": "3+4", "output": "8", "gts": ["7"], "score": -1.0, "step": 7, "acc": False},
    {"input": ASKED, "output": "8", "gts": None, "score": 0.5, "acc": 0, "request_id": "r1"},
    {"input": "3+5", "output": "8", "gts": "8", "score": {"score": 1.0}, "step": 6, "uid": "u"},
]
WORDS = st.sampled_from(
    [
        *("stop", "length", "content_filter", "true", "incorrect", "C", "", " ", "nan", "1e999"),
        *("assistant", "user", "reasoning", "text", "redacted_thinking", "7", "a\nb", "chatcmpl-1"),
    ]
)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | WORDS
)
KEYS = st.sampled_from(
    [
        *(name for names in NAMES.values() for name in names),
        *("choices", "message", "messages", "content", "role", "parts", "type", "text", "thinking"),
        *("responses", "outputs", "finish_reason", "status", "error", "usage", "body", "summary"),
        *("study", "attrs", "variables", "signals", "problem", "custom_id", "intervention", "task"),
        *("ended", "truncated", "n", "c", "reasoning", "refusal", "tool_calls", "step", "images"),
        *("output_ids", "token_ids", "n_tokens", "fired_at", "split", "level", "features"),
    ]
)
VALUES = st.recursive(
    PLAIN | st.sampled_from([SAID, ASKED, PARTS, {"choices": [{"text": "7"}]}]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
#: Row, steps down into it, and what is done there: a value put, a key added or renamed, a loss.
DAMAGE = st.tuples(
    st.integers(0, 7),
    st.lists(st.integers(0, 9), max_size=4),
    st.sampled_from(["put", "add", "rename", "lose", "twice"]),
    KEYS,
    VALUES,
)


def damaged(rows, damages):
    """Return rows after damages."""
    rows = json.loads(json.dumps(rows))
    for number, steps, how, key, new in damages:
        value = json.loads(json.dumps(new))  # its own: the next damage may go into it
        place = row = rows[number % len(rows)]
        for step in steps:
            inner = place.values() if isinstance(place, dict) else place
            inner = [each for each in inner if isinstance(each, dict | list) and each]
            if not inner:
                break
            place = inner[step % len(inner)]
        if how == "twice":
            rows.append(json.loads(json.dumps(row)))
        elif isinstance(place, list):
            place[steps[-1] % len(place)] = value
        elif how == "add" or not place:
            place[key] = value
        else:
            old = list(place)[(steps[-1] if steps else number) % len(place)]
            if how == "put":
                place[old] = value
            elif how == "rename":
                place[key] = place.pop(old)
            else:
                del place[old]
    return rows


def answers(read, path, **options):
    """Read, and take a study or one sentence; anything else that is raised is a fault."""
    try:
        ds = read(path, **options)
    except InputError as error:
        assert str(error).strip()
        return
    # A study that cannot be stored is none.
    assert ds.sizes["problem"] > 0
    json.loads(ds.attrs.get("import_counts_json", "{}"))
    assert all("{n}" not in note for note in ds.attrs.get("import_notes", []))


def write(path, rows):
    """Write rows as JSON lines; a lone surrogate is written as an escape."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


OPTIONS = st.sampled_from([{}, {}, {"is_correct": "numeric"}, {"is_correct": str.__eq__}])
MORE = st.sampled_from([{}, {"threshold": 0.5}, {"step": 3}, {"is_correct": "numeric"}])


@pytest.mark.parametrize("some", ["one", "all"])
def test_json_lines(tmp_path, some):
    path = tmp_path / "log.jsonl"

    @EXAMPLES
    @given(st.integers(0, len(ROLLOUTS) - 1), st.lists(DAMAGE, min_size=1, max_size=4), OPTIONS)
    def one(first, damages, options):
        rows = ROLLOUTS[first : first + (1 if some == "one" else 3)]
        write(path, damaged(rows, damages))
        answers(rnb.from_jsonl, path, **options)

    one()


@pytest.mark.parametrize("form", ["jsonl", "table", "parquet"])
def test_trl(tmp_path, form):
    path = tmp_path / {"jsonl": "c.jsonl", "table": "c.table.json", "parquet": "c.parquet"}[form]

    @EXAMPLES
    @given(st.integers(0, 3), st.lists(DAMAGE, min_size=1, max_size=4), MORE)
    def one(first, damages, options):
        rows = damaged(TRL[first : first + 2], damages)
        names = list(dict.fromkeys(name for row in rows for name in row))
        if form == "jsonl":
            write(path, rows)
        elif form == "table":
            data = [[row.get(name) for name in names] for row in rows]
            path.write_text(json.dumps({"columns": names, "data": data}))
        else:
            try:
                pd.DataFrame(rows).to_parquet(path)
            except Exception:  # what parquet cannot hold is in no file
                return
        answers(rnb.from_trl, path, **options)

    one()


def test_verl(tmp_path):
    path = tmp_path / "7.jsonl"

    @EXAMPLES
    @given(st.integers(0, 3), st.lists(DAMAGE, min_size=1, max_size=4), MORE)
    def one(first, damages, options):
        write(path, damaged(VERL[first : first + 2], damages))
        answers(rnb.from_verl, path, **options)

    one()
