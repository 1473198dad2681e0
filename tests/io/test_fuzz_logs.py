"""Logs of evaluation tools with anything in any field: a study, or one sentence.

`RECOVER_NB_FUZZ` is the number of examples for each reader.
"""

import copy
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_io_fuzz import BYTES, VALUES, answers, damage_bytes, damage_fields

import recover_nb as rnb

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXAMPLES = settings(
    max_examples=int(os.environ.get("RECOVER_NB_FUZZ", "60")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
#: What tools really write somewhere, put where it does not belong.
WRITTEN = st.sampled_from(
    [
        "C", "P", "", "NaN", float("nan"), 0.5, 10**400, -1, True, "attachment://0123456789abcdef",
        [], {}, [[]], [{}], [[-1.5, False]], [["-1.5", "False"]], ["['a', 'b']"], "['a', 'b']",
        {"type": "token", "limit": 3}, [{"type": "reasoning", "reasoning": "x", "redacted": True}],
        [{"type": "text", "text": None}], {"value": {"a": 1, "b": 0}}, {"value": [1]},
        [{"role": "assistant", "content": [{"type": "reasoning"}]}], "['" * 300, "\ud83d",
    ]
).map(copy.deepcopy)  # fmt: skip
STEPS = st.lists(st.integers(0, 30), max_size=7)
FIELDS = st.lists(st.tuples(st.integers(0, 50), STEPS, VALUES | WRITTEN), min_size=1, max_size=4)


class Letters:
    """A tokenizer: a letter is a token."""

    def get_vocab(self):
        return {chr(i): i for i in range(256)}

    def encode(self, text, add_special_tokens=False):
        return [min(ord(each), 255) for each in text]

    def decode(self, ids, skip_special_tokens=False):
        return "".join(map(chr, ids))


OPTIONS = st.sampled_from(
    [
        {},
        {"is_correct": "numeric"},
        {"tokenizer": Letters()},
        {"is_correct": lambda text, answer: answer in text, "tokenizer": Letters()},
    ]
)


def written(path, text):
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return path


def small(name):
    """Return a log of inspect_ai without its events, which no reader looks at."""
    log = json.loads((FIXTURES / "inspect_shapes" / name).read_text())
    for each in log["samples"]:
        each |= {"events": [], "events_data": None}
    return log


LOGS = {
    "plain": small("plain_json.json"),
    "long": small("long_prompts_json.json"),
}
LINES = {
    name: (FIXTURES / "lm_eval_shapes" / f"samples_{name}.jsonl").read_text("utf-8").splitlines()
    for name in ("two_filters", "chat", "multiple_choice", "list_targets")
}


def test_fields_of_inspect_logs(tmp_path):
    path = tmp_path / "log.json"

    @EXAMPLES
    @given(st.sampled_from(sorted(LOGS)), FIELDS, st.booleans(), OPTIONS)
    def one(name, damages, in_head, options):
        log = json.loads(json.dumps(LOGS[name]))
        if in_head:
            (log,) = damage_fields([log], damages)
        else:
            log["samples"] = damage_fields(log["samples"], damages)
        written(path, json.dumps(log))
        answers(lambda path: rnb.from_inspect(path, **options), path)

    one()


def test_bytes_of_inspect_archives(tmp_path):
    path = tmp_path / "log.eval"
    content = (FIXTURES / "inspect_shapes" / "value_flags.eval").read_bytes()

    @EXAMPLES
    @given(BYTES)
    def one(damages):
        path.write_bytes(damage_bytes(content, damages))
        answers(rnb.from_inspect, path)

    one()


@pytest.mark.parametrize("arms", [1, 2])
def test_fields_of_harness_logs(tmp_path, arms):
    paths = [tmp_path / f"samples_{i}.jsonl" for i in range(arms)]

    @EXAMPLES
    @given(st.sampled_from(sorted(LINES)), FIELDS, OPTIONS)
    def one(name, damages, options):
        rows = [json.loads(line) for line in LINES[name]]
        for path in paths:
            written(path, "".join(f"{json.dumps(row)}\n" for row in rows))
            rows = damage_fields(rows, damages)
        if arms == 1:
            written(paths[0], "".join(f"{json.dumps(row)}\n" for row in rows))
        given_ = dict(zip(("none", "temperature"), paths, strict=False))
        answers(lambda _: rnb.from_lm_eval(given_, **options), None)

    one()
