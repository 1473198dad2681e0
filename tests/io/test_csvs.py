"""CSV of others: separators, encodings, quotes and headers; ids and texts stay as written."""

import gzip

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.io import csvs, lines
from recover_nb.io.cells import as_field, number

HEADER = "problem_id,is_correct,generated_text\n"


def read(tmp_path, text, columns=None, name="t.csv", **more):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return rnb.from_table(path, columns, **more)


def said(tmp_path, text, columns=None, name="t.csv"):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, columns, name)
    assert name in str(caught.value)
    return str(caught.value)


def grid(ds):
    return ds["correct"].values[:, :, 0].tolist()


def texts(ds):
    return ds["generated_text"].values[:, :, 0].tolist()


def notes(ds):
    return ds.attrs.get("import_notes", [])


WORDS = ["2.1", "2.10", "3e2", "300.0", "007", "7", "1_000", "TRUE", "true", "null", "NaN", "None"]
WORDS += ["[1]", "{}", "1.0", "1", "+1", "0x10", "1e999", "inf", "-0", " a", "a ", "é", "'", "#b"]


def test_ids_stay_as_they_are_written(tmp_path):
    ds = read(tmp_path, HEADER + "".join(f"{word},1,x\n" for word in WORDS))
    assert ds["problem_id"].values.tolist() == WORDS
    assert grid(ds) == [[1]] * len(WORDS)


def test_texts_and_answers_stay_as_they_are_written(tmp_path):
    ds = read(
        tmp_path,
        "problem_id,is_correct,generated_text,answer,prompt,task\n"
        + "".join(f"p{i},0,{word},{word},{word},{word}\n" for i, word in enumerate(WORDS)),
    )
    assert [text for (text,) in texts(ds)] == WORDS
    for name in ("answer", "prompt", "task"):
        assert ds[name].values.tolist() == WORDS


@pytest.mark.parametrize(
    "word",
    "true TRUE True t yes Yes Y 1 1.0 1.00 1e0 +1 correct CORRECT right pass Passed C".split(),  # noqa: SIM905
)
def test_what_says_right(tmp_path, word):
    assert grid(read(tmp_path, f"{HEADER}a, {word} ,x\n")) == [[1]]


@pytest.mark.parametrize(
    "word",
    "false FALSE f no NO n 0 0.0 -0 0e5 incorrect Incorrect wrong fail FAILED failure I".split(),  # noqa: SIM905
)
def test_what_says_wrong(tmp_path, word):
    assert grid(read(tmp_path, f"{HEADER}a,{word},x\n")) == [[0]]


@pytest.mark.parametrize("word", ["maybe", "2", "0.5", "-1", "1/3", "NaN", "nan", "[1]", "1,0"])
def test_what_says_neither(tmp_path, word):
    assert "'is_correct' is " in said(tmp_path, f'{HEADER}a,"{word}",x\n')
    assert "'Passed?' is " in said(
        tmp_path, f'id,Passed?,text\na,"{word}",x\n', {"is_correct": "Passed?"}
    )


def test_numbers(tmp_path):
    ds = read(
        tmp_path,
        "problem_id,rollout_idx,is_correct,n_tokens,fired_at,generated_text\n"
        "a,1,1,5.0,,x\na,0.0,0,6,-1,y\na,2,0,1e1,3,z\na,3,0,0,3,no token\n",
    )
    assert texts(ds) == [["y", "x", "z"]] and grid(ds) == [[0, 1, 0]]
    assert [as_field("n_tokens", text) for text in (" 5.0", "1e1", "-0", "7")] == [5, 10, 0, 7]
    assert [as_field("n_tokens", text) for text in ("1.5", "x", "", " ")] == [1.5, "x", None, None]
    assert as_field("n_tokens", "5,0", comma=True) == 5 and as_field("n_tokens", "5,0") == "5,0"


@pytest.mark.parametrize("value", ["x", "1_0", "1.5", "-2", "1e999", "inf", "9" * 5000])
@pytest.mark.parametrize("name", ["rollout_idx", "n_tokens"])
def test_numbers_that_are_none(tmp_path, name, value):
    text = f"problem_id,is_correct,generated_text,{name}\na,1,x,{value}\n"
    assert f"line 2: {name!r} is" in said(tmp_path, text)


def test_lists_of_token_ids(tmp_path):
    ds = read(tmp_path, 'problem_id,is_correct,output_ids\na,1,"[1, 2]"\na,0, [3] \n')
    assert ds["token_id"].values[0].tolist()[:2][0][0][:2] == [1, 2]
    for value in ("1 2", "[1 2]", "[1.5]", '"{}"', "[" * 3000):
        text = f"problem_id,is_correct,output_ids\na,1,{value}\n"
        assert "it must be a list of token ids" in said(tmp_path, text)


ROWS = [("a b", "1", 'x, "y"; z|\t.'), ("c", "0", "two\nlines\r\nand\rmore"), ("d", "1", "")]


def table(separator, end="\n", quote_all=False, spaced=""):
    def cell(text):
        bare = not quote_all and not set(text) & set(',;|\t"\r\n')
        return text if bare else '"{}"'.format(text.replace('"', '""'))

    rows = [("problem_id", "is_correct", "generated_text"), *ROWS]
    return end.join((separator + spaced).join(map(cell, row)) for row in rows) + end


@pytest.mark.parametrize("quote_all", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|", ", ", "; "])
def test_separators_ends_and_quotes(tmp_path, separator, end, quote_all):
    text = table(separator[0], end, quote_all, separator[1:])
    ds = read(tmp_path, text, name="t.txt")
    assert ds["problem_id"].values.tolist() == ["a b", "c", "d"]
    assert grid(ds) == [[1], [0], [1]]
    assert texts(ds) == [[row[2]] for row in ROWS]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t", "t.csv.gz", "t.dat"])
def test_endings_do_not_matter(tmp_path, name):
    text = table(";").encode()
    ds = read(tmp_path, gzip.compress(text) if name.endswith(".gz") else text, name=name)
    assert texts(ds) == [[row[2]] for row in ROWS]


def test_a_separator_that_the_header_holds_in_quotes(tmp_path):
    ds = read(tmp_path, 'id;"a,b,c,d";is_correct;text\n1;2;1;x\n')
    assert texts(ds) == [["x"]]
    ds = read(tmp_path, "sep=|\nid|is_correct|text\n1|1|x,y;z\n")
    assert texts(ds) == [["x,y;z"]]
    ds = read(
        tmp_path,
        "which one;it was,in,fact\na;1\n",
        {"problem_id": "which one", "is_correct": "it was,in,fact", "generated_text": "which one"},
    )
    assert grid(ds) == [[1]]


def test_decimal_commas(tmp_path):
    ds = read(tmp_path, "id;n_tokens;is_correct;answer;text\na;5,0;1,0;2,5;x\nb;6;0,0;7;2,50\n")
    assert grid(ds) == [[1], [0]] and texts(ds) == [["x"], ["2,50"]]
    assert ds["answer"].values.tolist() == ["2,5", "7"]
    assert [number("1,5", comma=True), number("1,5"), number("1.5", comma=True)] == [1.5, None, 1.5]
    assert number("1,000.5", comma=True) is None
    assert as_field("n_tokens", "1,000", comma=True) == "1,000"
    assert as_field("is_correct", "1,000", comma=True) == 1
    assert grid(read(tmp_path, "id\tis_correct\ttext\na\t1,0\tx\n")) == [[1]]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_encodings(tmp_path, encoding):
    ds = read(tmp_path, f"{HEADER}é,1,日本\n".encode(encoding))
    assert ds["problem_id"].values.tolist() == ["é"] and texts(ds) == [["日本"]]
    assert not [note for note in notes(ds) if "UTF-8" in note]


def test_the_encoding_of_windows_is_told(tmp_path):
    ds = read(tmp_path, f"{HEADER}é,1,“5 €”\n".encode("cp1252"))
    assert ds["problem_id"].values.tolist() == ["é"] and texts(ds) == [["“5 €”"]]
    assert notes(ds)[0].startswith("t.csv is not UTF-8 text (byte 38) and is read as Windows-1252")


@pytest.mark.parametrize("at", [0, 2**20 - 40, 2**20 - 39, 3 * 2**20])
def test_the_first_byte_that_is_not_utf8(tmp_path, at):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a" * at + "é".encode() + b"\xe9" + b"b" * 100)
    assert csvs._first_not_utf8(path, "x") == at + 3
    path.write_bytes(b"a" * at + b"\xe2\x82")
    assert csvs._first_not_utf8(path, "x") == at + 1


@pytest.mark.parametrize(
    "header",
    [
        "Problem ID,Is Correct,Generated Text",
        "PROBLEM_ID,IS_CORRECT,GENERATED_TEXT",
        "problemId,isCorrect,generatedText",
        "ProblemID,IsCorrect,GeneratedText",
        "problem-id,is-correct,generated.text",
        " problem_id , is_correct , generated_text ",
        '"Problem id","is correct",generated/text',
    ],
)
def test_headers(tmp_path, header):
    ds = read(tmp_path, f"{header}\na,1,x\n")
    assert ds["problem_id"].values.tolist() == ["a"] and texts(ds) == [["x"]] and grid(ds) == [[1]]


def test_columns_that_say_nothing(tmp_path):
    ds = read(tmp_path, f",{HEADER.strip()},,\n0,a,1,x,,\n1,b,0,y,,\n,,,,,\n\n")
    assert ds["problem_id"].values.tolist() == ["a", "b"] and texts(ds) == [["x"], ["y"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("problem_id,is_correct,is_correct\na,1,1\n", "2 columns are named 'is_correct'"),
        ("a,is_correct, is_correct\na,1,1\n", "2 columns are named 'is_correct'"),
        (HEADER + "a,1\n", "line 2 has not as many cells as the header (2, not 3)"),
        (HEADER + 'a,1,"x\ny"\nb,1,"2",4\n', "line 4 has not as many cells"),
        (HEADER + 'a,1,"x\ny"\nb,maybe,"2\n3"\n', "line 4: 'is_correct' is 'maybe'"),
        (HEADER + '\n\na,1,"x"y\n', "line 4 is no CSV"),
        (HEADER + 'a,1,"x\n', "line 2 is no CSV (unexpected end of data)"),
        (HEADER, "the table has no rows"),
        (HEADER + "\n,,\n", "the table has no rows"),
        ("\n\n", "the table has no rows"),
        (HEADER + ",1,x\n", "'problem_id' is ''; it must be text that is not empty"),
        (HEADER + "a,,x\n", "does not say whether the rollout is correct"),
        ("a,b\n1,2\n", "line 2 has no 'problem_id' or 'pid' or 'id'"),
        (b"\x00\x01\x02\xff\xfe", "is not UTF-8 text (byte 4)"),
        (HEADER.encode() + b"a,1,\xe9\x81\n", "is not UTF-8 text (byte 42)"),
    ],
)
def test_what_is_no_table(tmp_path, text, expected):
    assert expected in said(tmp_path, text)


def test_a_line_that_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(csvs, "MAX_LINE_BYTES", 1_000_000)
    assert "line 2 is longer than 1 MB" in said(tmp_path, HEADER + "a,1," + "x" * 1_000_001)
    assert lines.MAX_LINE_BYTES == 2**28


def test_nul_characters(tmp_path):
    ds = read(tmp_path, HEADER + "a\x00,1,x\x00y\x00\n")
    assert ds["problem_id"].values.tolist() == ["a\ufffd"] and texts(ds) == [["x\ufffdy\ufffd"]]
    assert "3 NUL characters in the texts are read as U+FFFD" in notes(ds)


def test_a_carriage_return_without_quotes(tmp_path):
    # As pandas writes it, where lines end in a line feed.
    ds = read(tmp_path, HEADER + 'a\rb,1,x\r\r\nc,0,"y\r\nz\r"\r\n')
    assert ds["problem_id"].values.tolist() == ["a\rb", "c"]
    assert texts(ds) == [["x\r"], ["y\r\nz\r"]]
    assert notes(ds)[0].startswith("no rollout has tokens")


def test_a_large_cell(tmp_path):
    text = "x" * 300_000
    assert texts(read(tmp_path, f'{HEADER}a,1,"{text}"\n')) == [[text]]


def test_a_profile_table_is_read_by_the_same_reader(tmp_path):
    head = "cell,model,task,problem_id,n_failed_rollouts,spread,concentration,logit_dispersion,"
    head += "retry,sparse_steer,sparse_steer_random,local_temp,dense_steer"
    row = "c,sft4b,t,{},5,0.5,1.25,-0.5,0.25,0.5,0.25,0.0,1.0"
    plain = "\n".join([head, *(row.format(name) for name in ("2.10", "2.1", "007", "NaN"))])
    path = tmp_path / "p.csv"
    path.write_text(plain)
    ds = rnb.from_profiles(path)
    assert ds["problem_id"].values.tolist() == ["2.10", "2.1", "007", "NaN"]
    for data in (
        gzip.compress(plain.encode()),
        plain.encode("utf-16"),
        plain.replace(",", "\t").encode(),
        plain.replace(",", ";").replace("0.", "0,").replace("1.2", "1,2").encode(),
        b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode(),
    ):
        path.write_bytes(data.replace(b"2.1", b"2.1"))
        again = rnb.from_profiles(path)
        np.testing.assert_array_equal(again["features"], ds["features"])
        np.testing.assert_array_equal(again["rescue_rate"], ds["rescue_rate"])
    path.write_text(
        f"{head}\n\n" + row.format('"a\nb"') + "\n" + row.format("c").replace("5,0", "x,0")
    )
    with pytest.raises(InputError, match="'n_failed_rollouts' is x in line 5"):
        rnb.from_profiles(path)
