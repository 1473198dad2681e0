"""Any bytes, and any table: a study or one sentence; and whatever a table says is read back.

`RECOVER_NB_FUZZ` is the number of examples for each test; a few by default.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.core.schema import SchemaError

pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
zstandard = pytest.importorskip("zstandard")

EXAMPLES = settings(
    max_examples=int(os.environ.get("RECOVER_NB_FUZZ", "60")),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
NAMES = [
    "problem_id",
    "id",
    "question_id",
    "prompt",
    "problem",
    "answer",
    "generated_text",
    "response",
    "output_ids",
    "is_correct",
    "correct",
    "score",
    "rollout_idx",
    "intervention",
    "n_tokens",
    "fired_at",
    "signals",
    "variables",
    "study",
    "Problem ID",
    "finish_reason",
    "messages",
    "task",
]
NAME = st.sampled_from(NAMES) | st.text(max_size=6)
CELLS = ["a", "b", "true", "False", "1", "0", "1.0", "0,5", "1e999", "NaN", "[1, 2]", "[", "{", "C"]
ODD = ["", " ", '{"prompt": "x"}', "none", "retry", "-1", "9" * 20, "\ufeff", "\x00", "\r", "a\rb"]
WORDS = st.sampled_from([*CELLS, *ODD, '"', "\u2028"])
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([0, 1, 2]) | WORDS
)
VALUES = st.recursive(
    SCALARS | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=6,
)
PACK = (bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress)
PROFILES = (
    "cell,model,task,problem_id,n_failed_rollouts,spread,concentration,logit_dispersion,"
    "retry,sparse_steer,sparse_steer_random,local_temp,dense_steer\n"
    + "".join(f"c,m,t,{i},5,0.{i},1.{i},-0.{i},0.25,0.5,0.25,0.0,1.0\n" for i in range(1, 6))
)
CSV = "problem_id,rollout_idx,is_correct,generated_text,output_ids\n" + "".join(
    f'"p{i}",0,{verdict},"x, ""{i}""","[1, 2]"\n' for i, verdict in enumerate("10")
)
JSONL = "".join(
    json.dumps({"problem_id": f"p{i}", "is_correct": i, "generated_text": "x", "n": [1, {}]}) + "\n"
    for i in range(2)
)
PROBLEMS = "".join(
    json.dumps({"id": f"p{i}", "question": "q", "answer": i}) + "\n" for i in range(2)
)
READERS = {
    "table": rnb.from_table,
    "jsonl": rnb.from_jsonl,
    "problems": rnb.read_problems,
    "profiles": rnb.from_profiles,
}


def answers(read, *args):
    """Read, and take one sentence for an answer; anything else that is raised is a fault."""
    with warnings.catch_warnings():
        # What is guessed of problems.
        warnings.filterwarnings("ignore", category=UserWarning, message=".*(read|value|first)")
        try:
            return read(*args)
        except (InputError, SchemaError) as error:
            assert str(error).strip()
            assert "\n" not in str(error)
            return None


def parquet_bytes():
    out = io.BytesIO()
    table = {"id": ["a", "b"], "ok": [1, 0], "text": ["x", "y"], "output_ids": [[1], [2, 3]]}
    pq.write_table(pa.table(table), out)
    return out.getvalue()


STARTS = [CSV.encode(), JSONL.encode(), PROBLEMS.encode(), PROFILES.encode(), parquet_bytes()]
STARTS += [CSV.encode("utf-16"), json.dumps(json.loads(JSONL.split("\n")[0]), indent=1).encode()]
STARTS += [b"[" + b",".join(JSONL.encode().split(b"\n")[:2]) + b"]", b"PAR1", b"PK\x03\x04", b""]
DAMAGES = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["put", "cut", "write"]), st.binary(max_size=6)),
    max_size=4,
)


@EXAMPLES
@given(st.sampled_from(STARTS), DAMAGES, st.sampled_from(PACK), DAMAGES, st.data())
def test_any_bytes(tmp_path_factory, content, inside, pack, outside, data):
    for where, how, what in inside:
        content = damage(content, where, how, what)
    content = pack(content)
    if data.draw(st.booleans()):
        for where, how, what in outside:
            content = damage(content, where, how, what)
    ending = data.draw(st.sampled_from(["", ".csv", ".jsonl", ".parquet", ".gz"]))
    path = tmp_path_factory.getbasetemp() / f"any{ending}"
    path.write_bytes(content)
    for read in READERS.values():
        answers(read, path)


def damage(content, where, how, what):
    at = int(where * len(content))
    if how == "put":
        return content[:at] + what + content[at:]
    if how == "cut":
        return content[:at] + content[at + 20 * len(what) :]
    return content[:at] + what + content[at + len(what) :]


ROWS = st.lists(st.dictionaries(NAME, VALUES, max_size=6), min_size=1, max_size=4)


@EXAMPLES
@given(ROWS, st.sampled_from(["lines", "list", "object", "indented"]), st.booleans())
def test_any_json(tmp_path_factory, rows, form, right):
    if right:
        rows = [{"problem_id": "p", "is_correct": True, "generated_text": "x"} | r for r in rows]
    text = {
        "lines": "\n".join(map(json.dumps, rows)),
        "list": json.dumps(rows),
        "object": json.dumps({"results": rows}),
        "indented": "\n".join(json.dumps(row, indent=1) for row in rows),
    }[form]
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text(text)
    answers(rnb.from_table, path)
    answers(rnb.read_problems, path)


@EXAMPLES
@given(st.lists(NAME, min_size=1, max_size=6), st.data())
def test_any_frame(names, data):
    n_rows = data.draw(st.integers(0, 3))
    kinds = st.lists(VALUES | st.just(pd.NA) | st.just(pd.NaT), min_size=n_rows, max_size=n_rows)
    columns = [pd.Series(data.draw(kinds), dtype=object) for _ in names]
    frame = pd.concat(columns, axis=1)
    frame.columns = names
    for name in ("problem_id", "is_correct", "generated_text") if data.draw(st.booleans()) else ():
        if name not in names:
            frame[name] = np.array(["1"] * n_rows, object)
    answers(rnb.from_table, frame)
    answers(rnb.from_table, frame.infer_objects())


TYPES = st.sampled_from(
    [
        (pa.string(), st.text(max_size=5)),
        (pa.binary(), st.binary(max_size=5)),
        (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
        (pa.float32(), st.floats(width=32)),
        (pa.bool_(), st.booleans()),
        (pa.timestamp("ns"), st.integers(-(2**63) + 1, 2**63 - 1)),
        (pa.timestamp("s"), st.integers(-(2**50), 2**50)),
        (pa.date32(), st.integers(-(2**31), 2**31 - 1)),
        (pa.duration("us"), st.integers(-(2**60), 2**60)),
        (pa.decimal128(38, 6), st.decimals(-1000, 1000, places=6)),
        (pa.list_(pa.int32()), st.lists(st.integers(-5, 5), max_size=3)),
        (pa.list_(pa.string()), st.lists(st.text(max_size=3), max_size=3)),
        (
            pa.struct([("content", pa.string()), ("x", pa.float64())]),
            st.fixed_dictionaries({"content": st.text(max_size=3), "x": st.floats()}),
        ),
        (pa.list_(pa.struct([("role", pa.string())])), st.just([{"role": "user"}])),
        (pa.map_(pa.string(), pa.int8()), st.just([("a", 1)])),
        (pa.null(), st.none()),
    ]
)


@EXAMPLES
@given(st.lists(NAME, min_size=1, max_size=6), st.data())
def test_any_parquet(tmp_path_factory, names, data):
    n_rows = data.draw(st.integers(0, 3))
    arrays = []
    for _ in names:
        kind, values = data.draw(TYPES)
        cells = data.draw(st.lists(st.none() | values, min_size=n_rows, max_size=n_rows))
        arrays.append(pa.array(cells, kind))
    names = [name.encode("utf-8", "replace").decode() for name in names]
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    pq.write_table(pa.Table.from_arrays(arrays, names=names), path)
    answers(rnb.from_table, path)
    answers(rnb.read_problems, path)


@EXAMPLES
@given(
    st.lists(NAME, min_size=1, max_size=6),
    st.lists(st.lists(WORDS | ANY_TEXT, min_size=1, max_size=6), max_size=4),
    st.sampled_from(",;\t| "),
    st.sampled_from(["utf-8", "cp1252", "utf-16", "utf-8-sig"]),
)
def test_any_csv(tmp_path_factory, names, rows, separator, encoding):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator)
    writer.writerows([names, *(row[: len(names)] for row in rows)])
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(out.getvalue().encode(encoding, errors="replace"))
    answers(rnb.from_table, path)
    answers(rnb.read_problems, path)


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=12)
CELL = TEXT | WORDS.filter(lambda word: "\x00" not in word)


@EXAMPLES
@given(
    st.lists(st.tuples(CELL.filter(bool), CELL, CELL, st.booleans()), min_size=1, max_size=5),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(PACK),
)
def test_what_a_csv_says_is_read_back(
    tmp_path_factory, rows, separator, quoting, end, encoding, pack
):
    rows = list({row[0]: row for row in rows}.values())
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerow(["problem_id", "prompt", "generated_text", "is_correct"])
    writer.writerows(rows)
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(pack(out.getvalue().encode(encoding)))
    ds = rnb.from_table(path)
    assert ds["problem_id"].values.tolist() == [row[0] for row in rows]
    assert ds["prompt"].values.tolist() == [row[1] for row in rows]
    assert ds["generated_text"].values[:, 0, 0].tolist() == [row[2] for row in rows]
    assert ds["correct"].values[:, 0, 0].tolist() == [int(row[3]) for row in rows]


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@EXAMPLES
@given(
    st.lists(st.dictionaries(TEXT, PLAIN, min_size=1, max_size=4), min_size=2, max_size=5),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.sampled_from(["lines", "list"]),
    st.integers(1, 40),
)
def test_what_json_says_is_read_back(tmp_path_factory, rows, indent, ascii, form, chunk):
    from recover_nb.io import json_rows
    from recover_nb.io.lines import read_jsonl

    texts = [json.dumps(row, indent=indent, ensure_ascii=ascii) for row in rows]
    text = "\n".join(texts) if form == "lines" else f"[{', '.join(texts)}]"
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "CHUNK", chunk)
        assert [row.values for row in read_jsonl(path, "rows")] == rows
