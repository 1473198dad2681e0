"""No CSV that is written runs in a spreadsheet, and our own reader gets every text back."""

import csv
import io
import itertools

import numpy as np
import pandas as pd
import pytest
from tiny_study import tiny_study

from recover_nb.io.formulas import csv_bytes, guarded, unguarded
from recover_nb.io.profiles import from_profiles, to_profiles
from recover_nb.widgets.parts.export import as_bytes

#: Text -> what is written.
FORMULAS = {
    "=1+1": "'=1+1",
    "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
    '=HYPERLINK("http://x.example","y")': '\'=HYPERLINK("http://x.example","y")',
    "+1": "'+1",
    "-1": "'-1",
    "@SUM(A1)": "'@SUM(A1)",
    "\t=1": "'\t'=1",
    "\r=1": "'\r'=1",
    "\n=1": "'\n'=1",
    ' "=1': " \"'=1",
    '"=1"': '"\'=1"',
    "\uff1d1+1": "'\uff1d1+1",
    "a;=1": "a;'=1",
    "a\n=1": "a\n'=1",
    "a\t@x": "a\t'@x",
    "'=1": "''=1",
    "''-1": "'''-1",
}
PLAIN = ["", "a", "a=1", "1", "a-b", "qwen3|sft", "'quoted'", "it's", "a, b", "x@y", "[0.1]"]
NAMES = [*FORMULAS, *PLAIN[1:]]


@pytest.mark.parametrize("text", FORMULAS, ids=range(len(FORMULAS)))
def test_a_formula_is_written_behind_an_apostrophe(text):
    assert guarded(text) == FORMULAS[text]
    assert unguarded(FORMULAS[text]) == text


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_are_written_as_they_are(text):
    assert guarded(text) == text and unguarded(text) == text


def test_every_short_text_comes_back_and_starts_no_formula():
    seen = set()
    for length in range(5):
        for letters in itertools.product("=-@\t\n;'\" a", repeat=length):
            text = "".join(letters)
            written = guarded(text)
            assert unguarded(written) == text
            seen.add(written)
            # However the spreadsheet cuts it.
            for cell in io.StringIO(written.replace("\t", "\n").replace(";", "\n")):
                assert cell.strip('" \n')[:1] not in {"=", "-", "@"}, text
    assert len(seen) == sum(10**length for length in range(5))


def test_numbers_stay_numbers_and_names_of_columns_are_texts():
    frame = pd.DataFrame({"=a": ["-x", None], "n": [-1, 2], "f": [-0.5, np.nan]})
    assert csv_bytes(frame) == b"'=a,n,f\n'-x,-1,-0.5\n,2,\n"
    # What a view saves is written by the same function.
    assert as_bytes(frame, "csv") == csv_bytes(frame)


def test_halves_of_characters_can_be_written():
    assert csv_bytes(pd.DataFrame({"a": ["x\ud83d"]}, dtype=object)) == "a\nx\ufffd\n".encode()


@pytest.mark.parametrize("name", ["problem_id", "task", "model", "cell"])
def test_a_profile_table_comes_back_as_it_was(tmp_path, name):
    # A blank around a name is no part of it, and a lone return is kept.
    names = [each for each in NAMES if each == each.strip()]
    ds = tiny_study(n=len(names) + 1, solved=(0,))
    values = np.array(["solved", *names], dtype=object)
    ds = ds.assign_coords(
        {
            "cell": ("problem", np.array([f"c{i}" for i in range(len(values))], dtype=object)),
            "model": ("problem", np.full(len(values), "sft4b", dtype=object)),
        }
    ).assign_coords({name: ("problem", values)})
    path = to_profiles(ds, tmp_path / "t.csv")
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert row[name][:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}
            # Signals can be negative, and are numbers.
            assert float(row["retry"]) >= 0
    back = from_profiles(path)
    written = ds.dropna("problem", subset=["rescue_rate"]) if "rescue_rate" in ds else ds
    assert back[name].values.tolist() == written[name].values.tolist()[-back.sizes["problem"] :]


def test_a_table_of_others_is_not_changed(tmp_path):
    from recover_nb.io.table import from_table

    path = tmp_path / "t.csv"
    path.write_text("problem_id,prompt,generated_text,is_correct\n'=p,'=q,'=r,1\n")
    ds = from_table(path)
    assert ds["problem_id"].values.tolist() == ["'=p"]
    assert ds["prompt"].values.tolist() == ["'=q"]
