"""Tables of others: columns under other names, DataFrames and parquet of any types, problems."""

import datetime
import decimal
import gzip
import json

import numpy as np
import pandas as pd
import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.io.columns import Mapper, plain_name
from recover_nb.io.fields import NAMES

pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")


def grid(ds):
    return ds["correct"].values[:, :, 0].tolist()


def texts(ds):
    return ds["generated_text"].values[:, :, 0].tolist()


def notes(ds):
    return ds.attrs.get("import_notes", [])


def said(read, *args, **more):
    with pytest.raises(InputError) as caught:
        read(*args, **more)
    return str(caught.value)


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def parquet(path, columns):
    pq.write_table(pa.table(columns), path)
    return path


def written(kind, path, columns):
    """Return the columns as a table of a kind."""
    frame = pd.DataFrame(columns)
    if kind == "frame":
        return frame
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "indexed csv":
        frame.to_csv(path)
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "json":
        frame.to_json(path, orient="records")
    else:
        jsonl(path, frame.to_dict("records"))
    return path


KINDS = ["frame", "csv", "indexed csv", "parquet", "json", "jsonl"]
WHOLE = {
    "problem_id": ["a", "a", "b"],
    "prompt": ["1+1?", "1+1?", "2+2?"],
    "answer": ["2", "2", "4"],
    "generated_text": ["so 2", "so 3", "4"],
    "is_correct": [True, False, True],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("field", "name"), [(field, name) for field in WHOLE for name in NAMES[field]]
)
def test_a_column_by_any_of_its_names(tmp_path, field, name, kind):
    columns = {name if each == field else each: values for each, values in WHOLE.items()}
    ds = rnb.from_table(written(kind, tmp_path / "t", columns))
    assert ds["problem_id"].values.tolist() == ["a", "b"]
    assert ds["prompt"].values.tolist() == ["1+1?", "2+2?"]
    assert ds["answer"].values.tolist() == ["2", "4"]
    assert texts(ds) == [["so 2", "so 3"], ["4", ""]]
    assert grid(ds) == [[1, 0], [1, -1]]
    guessed = f"{field} is read from {name!r} (in 3 rows)"
    promised = ("pid", "id", "question", "input")
    assert (guessed in notes(ds)) == (name not in (field, *promised))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["response", "output"], "both 'response' and 'output' could be generated_text"),
        (["question_id", "doc_id"], "both 'question_id' and 'doc_id' could be problem_id"),
        (["question", "instruction"], "both 'question' and 'instruction' could be prompt"),
        (["gold", "target"], "both 'gold' and 'target' could be answer"),
    ],
)
def test_two_columns_that_could_be_a_field(tmp_path, names, expected):
    field = expected.rpartition(" ")[-1]
    columns = {each: values for each, values in WHOLE.items() if each != field}
    columns |= {name: WHOLE[field] for name in names}
    text = said(rnb.from_table, pd.DataFrame(columns))
    assert expected in text and f'columns={{"{field}": "{names[0]}"}}' in text
    ds = rnb.from_table(pd.DataFrame(columns), {field: names[1]})
    assert ds["problem_id"].values.tolist() == ["a", "b"] and grid(ds) == [[1, 0], [1, -1]]
    # The field's own name wins.
    ds = rnb.from_table(pd.DataFrame(columns | {field: WHOLE[field]}))
    assert not [note for note in notes(ds) if "is read from" in note]


def test_verdicts_that_contradict_one_another():
    frame = pd.DataFrame({"id": ["a", "b"], "text": ["x", "y"], "correct": ["yes", "no"]})
    ds = rnb.from_table(frame.assign(acc=[1.0, 0.0], passed=[True, None], score=[0.3, 0.9]))
    assert grid(ds) == [[1], [0]]
    text = said(rnb.from_table, frame.assign(acc=[1, 1]))
    assert text.startswith("DataFrame: row 2: both 'correct' and 'acc' could be is_correct")
    assert grid(rnb.from_table(frame.assign(acc=[1, 1]), {"is_correct": "acc"})) == [[1], [1]]
    assert grid(rnb.from_table(frame.assign(acc=[1, 1], is_correct=[0, 1]))) == [[0], [1]]


def test_two_ways_to_write_a_name():
    frame = pd.DataFrame([["a", "b", 1, "x"]], columns=["Problem ID", "ProblemId", "ok", "text"])
    text = said(rnb.from_table, frame)
    assert "both 'Problem ID' and 'ProblemId' could be problem_id; rename one of them" in text
    ds = rnb.from_table(frame.rename(columns={"ProblemId": "problem_id"}))
    assert ds["problem_id"].values.tolist() == ["b"]


def test_a_number_that_is_none_of_a_rollout(tmp_path):
    rows = [{"id": "a", "epoch": 1, "text": text, "ok": 1} for text in "xyz"]
    ds = rnb.from_table(jsonl(tmp_path / "t.jsonl", rows))
    assert texts(ds) == [["x", "y", "z"]]


def test_a_number_of_rows_is_not_the_problem(tmp_path):
    rows = [{"id": i, "question_id": "a", "text": "x", "ok": i} for i in range(2)]
    ds = rnb.from_table(jsonl(tmp_path / "t.jsonl", rows))
    assert ds["problem_id"].values.tolist() == ["a"] and grid(ds) == [[0, 1]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_named_problem_is_the_prompt(tmp_path, kind):
    columns = {"id": ["m1"], "problem": ["Add 3 and 4."], "text": ["it is 7"], "ok": [1]}
    for given in (None, {"prompt": "problem"}, {"problem_id": "id", "generated_text": "text"}):
        ds = rnb.from_table(written(kind, tmp_path / "t", columns), given)
        assert ds["prompt"].values.tolist() == ["Add 3 and 4."] and grid(ds) == [[1]]
    ds = rnb.from_table(written(kind, tmp_path / "t", columns), {"problem_id": "problem"})
    assert ds["problem_id"].values.tolist() == ["Add 3 and 4."]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_others_with_our_words(tmp_path, kind):
    columns = WHOLE | {"study": ["s1"] * 3, "variables": ["x=1"] * 3, "signals": ["none"] * 3}
    ds = rnb.from_table(written(kind, tmp_path / "t", columns))
    assert grid(ds) == [[1, 0], [1, -1]]


def test_a_written_study_is_read_from_any_of_its_rows(tmp_path):
    ds = rnb.from_table(pd.DataFrame(WHOLE))
    path = rnb.to_parquet(ds, tmp_path / "s.parquet")
    frame = pd.read_parquet(path)
    assert rnb.from_table(path).identical(ds)
    part = rnb.from_table(frame.iloc[::-1])
    assert part["prompt"].values.tolist() == ["2+2?", "1+1?"]
    assert part["answer"].values.tolist() == ["4", "2"]
    frame.to_csv(tmp_path / "s.csv", index=False)
    again = rnb.from_table(tmp_path / "s.csv")
    assert grid(again) == grid(ds) and texts(again) == texts(ds)
    assert again["prompt"].values.tolist() == ["1+1?", "2+2?"]


def test_the_columns_that_are_there_are_said():
    text = said(rnb.from_table, pd.DataFrame({"name": ["a"], "ok": [1]}))
    assert "has no 'problem_id' or 'pid' or 'id' or 'question_id'" in text
    assert "it has name, ok; say which it is with columns={'problem_id': ...}" in text
    frame = pd.DataFrame({"ok": [1]}, index=pd.Index(["a"], name="problem_id"))
    assert "reset_index() makes columns of its index (problem_id)" in said(rnb.from_table, frame)
    assert "no column 'x'; it has name" in said(
        rnb.from_table, pd.DataFrame({"name": ["a"]}), {"problem_id": "x"}
    )


def test_names_of_columns():
    names = ["Problem ID", "isCorrect", "n.tokens", " a-b ", "ID", "rolloutIdx2", "x__y"]
    assert list(map(plain_name, names)) == [
        "problem_id",
        "is_correct",
        "n_tokens",
        "a_b",
        "id",
        "rollout_idx2",
        "x__y",
    ]
    with pytest.raises(InputError, match="unknown field 'right'; allowed: problem_id"):
        Mapper({"right": "x"}, print)


OTHER = decimal.Decimal
FRAMES = {
    "whole numbers": ([1, 2], [1, 0], ["1", "2"]),
    "large numbers": ([2**70, 2**70 + 1], [1, 0], [str(2**70), str(2**70 + 1)]),
    # pandas makes floats of whole numbers beside a missing one.
    "floats": ([1.5, 2.0], [1.0, 0.0], ["1.5", "2"]),
    "objects": (np.array([7, "b"], object), np.array([np.True_, "no"], object), ["7", "b"]),
    "numpy": (np.array(["a", "b"]), np.array([True, False]), ["a", "b"]),
    "small types": (np.array([1, 2], np.uint8), np.array([1, 0], np.float16), ["1", "2"]),
    "pandas' own": (
        pd.array(["a", "b"], dtype="string"),
        pd.array([True, False], dtype="boolean"),
        ["a", "b"],
    ),
    "pandas' numbers": (
        pd.array([1, 2], dtype="Int64"),
        pd.array([1.0, 0.0], dtype="Float32"),
        ["1", "2"],
    ),
    "categories": (pd.Categorical(["b", "a"]), pd.Categorical([1, 0]), ["b", "a"]),
    "categories of words": (pd.Categorical([3, 4]), pd.Categorical(["yes", "no"]), ["3", "4"]),
    "times": (pd.to_datetime(["2024-01-02", "2024-01-03"]), [1, 0], None),
    "dates": ([datetime.date(2024, 1, 2), datetime.date(2024, 1, 3)], [1, 0], None),
    "decimals": ([OTHER("1"), OTHER("2.5")], [OTHER("1.0"), OTHER("0E+5")], ["1", "2.5"]),
    "arrow": (
        pd.array(["a", "b"], dtype=pd.ArrowDtype(pa.string())),
        pd.array([1, 0], dtype=pd.ArrowDtype(pa.int8())),
        ["a", "b"],
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_types_of_pandas(name):
    ids, verdicts, expected = FRAMES[name]
    ds = rnb.from_table(pd.DataFrame({"id": ids, "ok": verdicts, "text": ["x", "y"]}))
    found = ds["problem_id"].values.tolist()
    if expected is None:
        assert [each[:10] for each in found] == ["2024-01-02", "2024-01-03"]
    else:
        assert found == expected
    assert grid(ds) == [[1], [0]]


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA, pd.NaT, float("nan")], ids=repr)
def test_cells_that_are_missing(nothing):
    verdict = np.array([True, nothing], object)
    frame = pd.DataFrame({"id": ["a", "b"], "ok": verdict, "text": ["x", "y"]})
    assert "row 2 does not say whether" in said(rnb.from_table, frame)
    frame = pd.DataFrame({"id": np.array(["a", nothing], object), "ok": [1, 0], "text": ["x", "y"]})
    assert "row 2 has no 'problem_id'" in said(rnb.from_table, frame)
    frame = pd.DataFrame(
        {
            "id": ["a", "b"],
            "ok": [1, 0],
            "text": ["x", "y"],
            "rollout_idx": np.array([5, nothing], object),
        }
    )
    assert texts(rnb.from_table(frame)) == [["x"], ["y"]]


def test_a_number_of_too_many_digits():
    frame = pd.DataFrame({"id": pd.Series([10**5000], dtype=object), "ok": [1], "text": ["x"]})
    assert "'id' is a large int; it must be text" in said(rnb.from_table, frame)


def test_a_frame_that_is_no_table():
    frame = pd.DataFrame([["a", 1, 1]], columns=["id", "ok", "ok"])
    assert "2 columns are named 'ok'" in said(rnb.from_table, frame)
    assert "has no rows" in said(rnb.from_table, pd.DataFrame())
    assert "has no rows" in said(rnb.from_table, pd.DataFrame({"id": []}))
    for other in (7, None, [{"id": 1}], b"x"):
        assert "table must be a path or a DataFrame, got " in said(rnb.from_table, other)
    assert "call its .to_pandas()" in said(rnb.from_table, pa.table({"id": ["a"]}))
    wide = pd.DataFrame([["a", 1]], columns=pd.MultiIndex.from_tuples([("x", "id"), ("y", "ok")]))
    assert "has no 'problem_id'" in said(rnb.from_table, wide)


def test_texts_that_cannot_be_stored():
    cells = {"id": ["a\x00"], "ok": [1], "text": ["\ud83dx\udc00"]}
    frame = pd.DataFrame({name: pd.Series(each, dtype=object) for name, each in cells.items()})
    ds = rnb.from_table(frame)
    assert ds["problem_id"].values.tolist() == ["a\ufffd"] and texts(ds) == [["\ufffdx\ufffd"]]
    counts = json.loads(ds.attrs["import_counts_json"])
    assert (counts["lone_surrogates"], counts["nul_characters"]) == (2, 1)


def test_conversations_and_lists():
    said_by = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"}]
    frame = pd.DataFrame(
        {
            "id": ["a"],
            "ok": [1],
            "prompt": [np.array(said_by, object)],
            "text": [[{"role": "assistant", "content": "2"}]],
            "output_ids": [np.array([4, 5])],
        }
    )
    ds = rnb.from_table(frame)
    assert ds["prompt"].values.tolist() == ["Be brief.\n1+1?"] and texts(ds) == [["2"]]
    assert ds["token_id"].values[0, 0, 0].tolist() == [4, 5]


PARQUET = {
    "decimals": ({"id": ["a", "b"], "ok": [OTHER("1.00"), OTHER("0.00")]}, ["a", "b"]),
    "bytes": ({"id": [b"a", "é".encode()], "ok": [1, 0]}, ["a", "é"]),
    "dictionary": ({"id": pa.array(["b", "a"]).dictionary_encode(), "ok": [1, 0]}, ["b", "a"]),
    "large": ({"id": pa.array(["a", "b"], pa.large_string()), "ok": [True, False]}, ["a", "b"]),
    "numbers": ({"id": pa.array([2**63, 1], pa.uint64()), "ok": ["T", "F"]}, [str(2**63), "1"]),
    "nested": ({"id": ["a", "b"], "ok": [1, 0], "meta": [{"x": [{"y": 1}]}, None]}, ["a", "b"]),
    "map": (
        {
            "id": ["a", "b"],
            "ok": [1, 0],
            "m": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int8())),
        },
        ["a", "b"],
    ),
    "times": (
        {"id": ["a", "b"], "ok": [1, 0], "t": pa.array([1, None], pa.timestamp("ns", "UTC"))},
        ["a", "b"],
    ),
    "years": ({"id": ["a", "b"], "ok": [1, 0], "t": pa.array([0, 1], pa.date32())}, ["a", "b"]),
}


@pytest.mark.parametrize("name", PARQUET)
def test_types_of_parquet(tmp_path, name):
    columns, ids = PARQUET[name]
    path = parquet(tmp_path / "t.data", columns | {"text": ["x", "y"]})
    ds = rnb.from_table(path)
    assert ds["problem_id"].values.tolist() == ids and grid(ds) == [[1], [0]]


def test_parquet_that_is_no_table(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 2, names=["id", "id"]), path)
    assert "2 columns are named 'id'" in said(rnb.from_table, path)
    parquet(path, {"id": pa.array([], pa.string())})
    assert "the table has no rows" in said(rnb.from_table, path)
    parquet(path, {"id": [b"\xff\xfe"], "ok": [1]})
    assert "row 1: a cell holds bytes that are no UTF-8 text" in said(rnb.from_table, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert "not a parquet file, or cut short" in said(rnb.from_table, path)
    path.write_bytes(gzip.compress(whole))
    assert "is compressed (gzip); parquet is packed by itself" in said(rnb.from_table, path)


def test_a_folder_of_tables(tmp_path):
    pd.DataFrame({"id": ["a"], "ok": [1], "text": ["x"]}).to_csv(tmp_path / "1.csv", index=False)
    parquet(tmp_path / "2.parquet", {"id": ["a"], "ok": [0], "text": ["y"]})
    jsonl(tmp_path / "3.jsonl", [{"id": "b", "passed": 1, "response": "z"}])
    (tmp_path / "dataset_info.json").write_text('{"features": {}}')
    ds = rnb.from_table(tmp_path)
    assert grid(ds) == [[1, 0], [1, -1]] and texts(ds) == [["x", "y"], ["z", ""]]
    assert "1 files that end in .json, beside others in the folder, are not read" in notes(ds)


# Problems


PROBLEMS = {
    "lines": '{"unique_id": "a", "problem": "1+1?", "answer": 2}\n'
    '{"unique_id": "b", "problem": "2+2?", "answer": "4.0"}\n',
    "list": '[{"id": "a", "question": "1+1?", "target": ["2", "two"]},'
    ' {"id": "b", "question": "2+2?", "target": "4.0"}]',
    "csv": "Problem ID;Question;Gold\na;1+1?;2\nb;2+2?;4.0\n",
    "tabs": "qid\tquery\texpected_answer\na\t1+1?\t2\nb\t2+2?\t4.0\n",
    "object": '{"problems": [{"pid": "a", "input": "1+1?", "gt": 2},'
    ' {"pid": "b", "input": "2+2?", "gt": "4.0"}]}',
    "beside replies": "id,prompt,answer,response,output\na,1+1?,2,x,y\nb,2+2?,4.0,x,y\n",
}


@pytest.mark.parametrize("form", PROBLEMS)
@pytest.mark.filterwarnings("ignore:.*is read from:UserWarning")
@pytest.mark.filterwarnings("ignore:.*several answers:UserWarning")
@pytest.mark.filterwarnings("ignore:.*the file is one object:UserWarning")
def test_problems_in_any_form(tmp_path, form):
    path = tmp_path / "problems"
    path.write_text(PROBLEMS[form])
    found = [(p.problem_id, p.prompt, p.answer) for p in rnb.read_problems(path)]
    assert found == [("a", "1+1?", "2"), ("b", "2+2?", "4.0")]


def test_problems_of_parquet(tmp_path):
    path = parquet(tmp_path / "p.data", {"id": [1, 2], "question": ["q", "r"], "answer": [0.5, 2]})
    found = [(p.problem_id, p.prompt, p.answer) for p in rnb.read_problems(path)]
    assert found == [("1", "q", "0.5"), ("2", "r", "2.0")]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ('{"id": "a", "question": "q", "gold": "1"}', "answer is read from 'gold' .in 1 rows."),
        (r'{"id": "a", "question": "q\ud83d", "answer": "1"}', "1 halves of characters"),
        ('{"id": "a", "question": "q", "answer": ["1", "2"]}', "1 problems list several answers"),
        ('{"id": "a", "id": "a", "question": "q", "answer": "1"}', "1 objects have a key twice"),
    ],
)
def test_what_is_guessed_of_problems_is_a_warning(tmp_path, text, warning):
    path = tmp_path / "p.jsonl"
    path.write_text(text)
    with pytest.warns(UserWarning, match=warning):
        (problem,) = rnb.read_problems(path)
    assert (problem.problem_id, problem.answer) == ("a", "1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"question": "q", "answer": "1"}', "line 1 has no 'problem_id' or 'pid' or 'id'"),
        ('{"id": "a", "answer": "1"}', "has no 'prompt' or 'question' or 'problem'"),
        ('{"id": "a", "prompt": "q"}', "has no 'answer' or 'gold'"),
        ('{"id": "a", "prompt": "q", "answer": null}', "has no 'answer'"),
        ('{"id": "a", "prompt": "", "answer": 1}', "'prompt' is ''; it must be text that is not"),
        ('{"id": "a", "prompt": "q", "answer": {"x": 1}}', "'answer' is {'x': 1}; it must be text"),
        ('{"id": "a", "question": "q", "query": "r", "answer": 1}', "both 'question' and 'query'"),
        ("id,prompt,answer\na,q,1\na,q,1\n", "line 3: problem a was given before"),
    ],
)
def test_problems_that_cannot_be_read(tmp_path, text, expected):
    path = tmp_path / "p"
    path.write_text(text)
    assert expected in said(rnb.read_problems, path)
    assert "is no file; give problems" in said(rnb.read_problems, 7)
