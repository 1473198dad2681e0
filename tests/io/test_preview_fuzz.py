"""Whatever bytes a file holds, a preview says what they look like or refuses in a sentence."""

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recover_nb as rnb
from recover_nb.core.errors import InputError

FIXTURES = Path(__file__).parent.parent / "fixtures"
EXAMPLES = settings(
    max_examples=int(os.environ.get("RECOVER_NB_FUZZ", 60)), derandomize=True, deadline=None
)
SEEDS = [
    (FIXTURES / "inspect/arithmetic.eval").read_bytes(),
    (FIXTURES / "inspect/arithmetic.json").read_bytes()[:20_000],
    (FIXTURES / "trl/completions_00001.parquet").read_bytes(),
    (FIXTURES / "verl/7.jsonl").read_bytes(),
    (FIXTURES / "logprobs/openai_specialist.jsonl").read_bytes()[:20_000],
    (rnb.example_folder() / "lm_eval/samples_none.jsonl").read_bytes(),
    (rnb.example_folder() / "problems.jsonl").read_bytes(),
    (rnb.example_folder() / "own_study.zarr.zip").read_bytes()[:30_000],
    b"id,is_correct,generated_text\nx,1,yes\ny,0,no\n",
    gzip.compress(b'{"problem_id": "a", "generated_text": "x", "is_correct": true}\n' * 3),
]
NAMES = (
    "problem_id id question prompt input answer gts target generated_text response output score",
    "is_correct correct step resps doc arguments choices logprobs messages study problem samples",
    "eval meta_info prompt_logprobs rollout_idx intervention pid",
)
KEYS = st.sampled_from(" ".join(NAMES).split(" "))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(KEYS, VALUES, max_size=7), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "log.jsonl"


def look_at(path, data):
    """Look, and write down all that is shown."""
    path.write_bytes(data)
    try:
        found = rnb.preview(path)
    except InputError as error:
        assert str(error)
        return
    assert found.sentence and found.to_dataframe() is not None
    (str(found) + found._repr_html_()).encode()


@EXAMPLES
@given(st.binary(max_size=300))
def test_any_bytes(place, data):
    look_at(place, data)


@EXAMPLES
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6)), min_size=1, max_size=5),
    st.floats(0, 1),
    st.booleans(),
)
def test_damaged_logs(place, data, changes, end, cut):
    data = bytearray(data)
    for where, new in changes:
        start = int(where * len(data))
        data[start : start + len(new)] = new
    look_at(place, bytes(data[: int(end * len(data))] if cut else data))


@EXAMPLES
@given(ROWS, st.sampled_from(["lines", "array", "object", "table"]))
def test_rows_of_known_fields_and_any_values(place, rows, layout):
    if layout == "lines":
        data = "".join(json.dumps(row) + "\n" for row in rows)
    elif layout == "table":
        names = list(dict.fromkeys(key for row in rows for key in row))
        body = [",".join(json.dumps(row.get(name)) for name in names) for row in rows]
        data = "\n".join([",".join(names), *body])
    else:
        data = json.dumps(rows if layout == "array" else {"rows": rows})
    look_at(place, data.encode())
