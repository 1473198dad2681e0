"""JSON of others: lines, lists, objects that hold a list, and what is mended or refused in it."""

import json

import pandas as pd
import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.io import json_rows, lines
from recover_nb.io.lines import read_json, read_jsonl
from recover_nb.io.parsing import Parser

ROWS = [
    {"problem_id": "p", "generated_text": "x", "is_correct": True},
    {"problem_id": "q", "generated_text": "}{][,", "is_correct": False},
    {"problem_id": "p", "generated_text": "é😀", "is_correct": False},
]
FRAME = pd.DataFrame(ROWS)


class Told(dict):
    """Keeps counts and sentences."""

    def tell(self, name, sentence, by=1):
        _, n = self.get(name, ("", 0))
        self[name] = (sentence, n + by)

    @property
    def counts(self):
        return {name: n for name, (_, n) in self.items()}


def in_lines(rows, **more):
    return "".join(json.dumps(row, **more) + "\n" for row in rows)


FORMS = {
    "lines": in_lines(ROWS),
    "lines, not ASCII": in_lines(ROWS, ensure_ascii=False),
    "lines without an end": in_lines(ROWS).rstrip(),
    "blank lines": "\n\n  \n" + in_lines(ROWS).replace("\n", "\n\n \t\n"),
    "CRLF": in_lines(ROWS).replace("\n", "\r\n"),
    "a mark": "\ufeff" + in_lines(ROWS),
    "one list": json.dumps(ROWS),
    "one list after blank lines": "\n \n" + json.dumps(ROWS),
    "one list with a mark": "\ufeff" + json.dumps(ROWS, ensure_ascii=False),
    "one list, indented": json.dumps(ROWS, indent=2),
    "one list, a row on a line": "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
    "one list, a comma at the end": "[" + ",".join(map(json.dumps, ROWS)) + ",]",
    "objects, indented": "\n".join(json.dumps(row, indent=4) for row in ROWS),
    "objects, indented, with commas": ",\n".join(json.dumps(row, indent=1) for row in ROWS),
    "results": json.dumps({"model": "m", "results": ROWS}),
    "data, indented": json.dumps({"model": "m", "data": ROWS, "n": [1, 2]}, indent=2),
    "samples": json.dumps({"samples": ROWS, "date": "x"}),
    "pandas": FRAME.to_json(),
    "pandas, split": FRAME.to_json(orient="split"),
    "pandas, table": FRAME.to_json(orient="table", index=False),
    "pandas, records": FRAME.to_json(orient="records"),
    "pandas, lines": FRAME.to_json(orient="records", lines=True),
    "columns and data": json.dumps({"columns": list(ROWS[0]), "data": FRAME.values.tolist()}),
}


def rows_of(path, told=None):
    return [row.values for row in read_jsonl(path, "rows", told.tell if told is not None else None)]


def said(read, path):
    with pytest.raises(InputError) as caught:
        read(path)
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("chunk", [1, 7, 2**20])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_rows(tmp_path, monkeypatch, form, chunk):
    monkeypatch.setattr(json_rows, "CHUNK", chunk)
    path = tmp_path / "log.jsonl"
    path.write_bytes(FORMS[form].encode("utf-8"))
    assert rows_of(path) == ROWS
    ds = rnb.from_jsonl(path)
    assert ds["correct"].values[:, :, 0].tolist() == [[1, 0], [0, -1]]


def test_an_object_around_the_rows_is_told(tmp_path):
    path, told = tmp_path / "log.json", Told()
    path.write_text(json.dumps({"model": "m", "results": ROWS}))
    assert rows_of(path, told) == ROWS
    sentence = "the file is one object; the rows are its list 'results', and model beside it"
    assert told["rows_in_an_object"] == (f"{sentence} is not read", 1)


@pytest.mark.parametrize(
    "row",
    [
        {"problem_id": "a", "results": [{"x": 1}]},
        {"prompt": "a", "completions": [{"text": "x"}]},
        {"id": 1, "choices": [{"text": "x"}]},
        {"a": 1, "data": []},
        {"a": 1, "data": [1, 2]},
        {"columns": ["a"], "data": [[1, 2]]},
        {"0": {"a": 1}},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_single_row_is_not_taken_apart(tmp_path, row, indent):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(row, indent=indent) + "\n")
    assert rows_of(path) == [row]


def test_places_of_rows(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("\n" + in_lines(ROWS))
    assert [row.where for row in read_jsonl(path, "rows")] == [
        f"{path}: line {number}" for number in (2, 3, 4)
    ]
    path.write_text(json.dumps(ROWS))
    assert [row.where for row in read_jsonl(path, "rows")] == [
        f"{path}: item {number}" for number in (1, 2, 3)
    ]


def test_a_folder_of_files(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a.jsonl").write_text(in_lines(ROWS[:1]))
    (tmp_path / "b" / "c.JSONL").write_text(in_lines(ROWS[1:]))
    (tmp_path / "settings.json").write_text("{}")
    (tmp_path / ".hidden.jsonl").write_text("x")
    told = Told()
    assert rows_of(tmp_path, told) == ROWS
    assert told.counts == {"json_beside_rows": 1}
    ds = rnb.from_jsonl(tmp_path)
    assert ds["correct"].values[:, :, 0].tolist() == [[1, 0], [0, -1]]


def test_a_folder_of_objects(tmp_path):
    for place, row in enumerate(ROWS):
        (tmp_path / f"{place}.json").write_text(json.dumps(row, indent=2))
    assert rows_of(tmp_path) == ROWS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"a": 1}, 2]', "item 2 is a JSON int, not an object"),
        ('[{"a": 1} {"a": 2}]', "item 1 is not followed by a comma or the end of the list;"),
        ('[{"a": 1}', "item 1 is not followed by a comma or the end of the list; it may be cut"),
        ('[{"a": 1}, {"a"', "item 2 is not JSON"),
        ('[{"a": 1}, {"a": "x', "it may be cut short"),
        ('[{"a": 1}]\n[{"a": 2}]', "goes on after the end of its list"),
        ("[]", "is a list without an object"),
        ("[", "item 1 is not JSON"),
        ("[[1]]", "line 1 is a JSON list, not an object"),
        ("\n[1]\n", "line 2 is a JSON list, not an object"),
        ("3\n", "line 1 is a JSON int, not an object"),
        ('"x"\n', "line 1 is a JSON str, not an object"),
        ('{\n "a": 1\n}\n{\n "a": x\n}', "item 2 is not JSON"),
        ('{\n "a": 1\n}\n[1]', "item 2 is a JSON list, not an object"),
        ('{\n "a": 1,', "it may be cut short"),
        ("{'a': 1}\n", "line 1 is not JSON (Expecting property name enclosed in double quotes)"),
        ('{"a": 1} {"b": 2}\n', "line 1 is not JSON (Extra data)"),
        ('{"data": [{"a": 1}], "rows": [{"a": 1}]}', "holds several lists of objects (data, rows)"),
        ('{"a": ' + "9" * 5000 + "}\n", "it has a number of more than 4,300 digits"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "it is nested too deeply"),
        ("[" * 100_000, "line 1 is a JSON list, not an object"),
        ('[{"a": ' + "[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_is_no_file_of_rows(tmp_path, text, expected):
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    assert expected in said(rows_of, path)


@pytest.mark.parametrize(
    "data", [b'{"a": "\xe9"}\n', b'[{"a": "\xe9"}]', b'{\n "a": "\xe9"}', b'[{"a": "\xe2\x82']
)
def test_bytes_that_are_not_utf8(tmp_path, data):
    path = tmp_path / "log.jsonl"
    path.write_bytes(data)
    assert "is not UTF-8 text (byte" in said(rows_of, path)


@pytest.mark.parametrize("form", ["line", "list", "indented"])
def test_rows_that_are_too_long(tmp_path, monkeypatch, form):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1_000_000)
    monkeypatch.setattr(json_rows, "CHUNK", 1000)
    path = tmp_path / "log.jsonl"
    row = {"a": "x" * 3_000_000}
    text = {
        "line": json.dumps(row),
        "list": json.dumps([{"a": 1}, row], indent=1),
        "indented": json.dumps(row, indent=1),
    }
    path.write_text(text[form])
    assert "is longer than 1 MB" in said(rows_of, path)


def test_a_list_longer_than_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    monkeypatch.setattr(json_rows, "CHUNK", 10)
    path = tmp_path / "log.json"
    path.write_text(json.dumps(ROWS * 10))
    assert rows_of(path) == ROWS * 10


@pytest.mark.parametrize(
    ("text", "value", "counts"),
    [
        (r'{"a": "half \ud83d"}', {"a": "half \ufffd"}, {"lone_surrogates": 1}),
        (r'{"a": "\ude00\ud83d"}', {"a": "\ufffd\ufffd"}, {"lone_surrogates": 2}),
        (r'{"a": "\ud83d\ude00"}', {"a": "😀"}, {}),
        (r'{"\ud83d": [{"b": "\uDCFF"}]}', {"\ufffd": [{"b": "\ufffd"}]}, {"lone_surrogates": 2}),
        (
            r'{"a": "x\u0000", "b": "\u0000"}',
            {"a": "x\ufffd", "b": "\ufffd"},
            {"nul_characters": 2},
        ),
        ('{"a": 1, "b": 2, "a": 3}', {"a": 3, "b": 2}, {"repeated_keys": 1}),
        ('{"a": {"b": 1, "b": 2}, "c": {}}', {"a": {"b": 2}, "c": {}}, {"repeated_keys": 1}),
        (r'{"a": "\\ud83d \\u0000"}', {"a": r"\ud83d \u0000"}, {}),
        ('{"a": 1e999}', {"a": float("inf")}, {}),
        ('{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}, {}),
    ],
)
@pytest.mark.parametrize("form", ["line", "list", "object"])
def test_what_is_mended_is_told(tmp_path, text, value, counts, form):
    path, told = tmp_path / "log.jsonl", Told()
    path.write_text(f"[{text}]" if form == "list" else text)
    found = [read_json(path, "x", told.tell).values] if form == "object" else rows_of(path, told)
    assert found == [value]
    assert told.counts == counts


def test_mended_texts_can_be_stored(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(r'{"problem_id": "p\u0000", "generated_text": "x\ud83d", "is_correct": 1}')
    ds = rnb.from_jsonl(path)
    again = rnb.open_study(rnb.save_zip(ds, tmp_path / "s.zarr.zip"), load=True)
    assert again["problem_id"].values.tolist() == ["p\ufffd"]
    assert again["generated_text"].values.ravel().tolist()[0] == "x\ufffd"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400])
@pytest.mark.parametrize("name", ["n_tokens", "rollout_idx"])
def test_numbers_that_are_none(tmp_path, name, value):
    path = tmp_path / "log.jsonl"
    path.write_text(
        f'{{"problem_id": "p", "generated_text": "x", "is_correct": 1, "{name}": {value}}}'
    )
    assert f"'{name}' is" in said(rnb.from_jsonl, path)


def test_a_parser_can_be_used_again_after_an_error():
    told = Told()
    parser = Parser(told.tell)
    with pytest.raises(ValueError, match="Unterminated"):
        parser.value('{"a": 1, "b": {"c": 1, "c": 2}, "x')
    assert parser.value('{"a": 1}') == ({"a": 1}, 8)
    assert told == {}
