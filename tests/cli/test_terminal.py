"""No text of others steers a terminal: every command, error and progress bar writes it out."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from of_shipped import with_token_text
from traced_study import traced_study

import recover_nb as rnb
from recover_nb import tables
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.core.visible import visible
from recover_nb.io import store
from recover_nb.routing.evaluation import evaluate_routing

#: What a terminal obeys or hides, and how it is written out.
STEERING = {
    "escape": ("\x1b", r"\x1b"),
    "colour": ("\x1b[31m", r"\x1b[31m"),
    "clear screen": ("\x1b[2J", r"\x1b[2J"),
    "title": ("\x1b]0;t\x07", r"\x1b]0;t\x07"),
    "link": ("\x1b]8;;http://x.example\x1b\\", "\\x1b]8;;http://x.example\\x1b\\"),
    "clipboard": ("\x1b]52;c;eA==\x07", r"\x1b]52;c;eA==\x07"),
    "C1 sequence": ("\x9b31m", r"\x9b31m"),
    "C1 command": ("\x9d0;t\x9c", r"\x9d0;t\x9c"),
    "next line": ("\x85", r"\x85"),
    "bell": ("\x07", r"\x07"),
    "backspace": ("\x08\x08", r"\x08\x08"),
    "carriage return": ("\r", r"\r"),
    "vertical tab": ("\x0b", r"\x0b"),
    "NUL": ("\x00", r"\x00"),
    "delete": ("\x7f", r"\x7f"),
    "right to left": ("\u202e", r"\u202e"),
    "isolate": ("\u2066\u2069", r"\u2066\u2069"),
    "Arabic mark": ("\u061c", r"\u061c"),
    "no width": ("\u200b\u200d\ufeff", r"\u200b\u200d\ufeff"),
    "line separator": ("\u2028", r"\u2028"),
    "tag": ("\U000e0041", r"\U000e0041"),
    "half a character": ("\ud83d", r"\ud83d"),
    "filler": ("\u3164", r"\u3164"),
    "private": ("\ue000", r"\ue000"),
}
ALL = "".join(raw for raw, _ in STEERING.values())
#: What a study can hold: no NUL, no half of a character.
STORED = ALL.replace("\x00", "").replace("\ud83d", "")
FEW = {"n_bootstrap": 50, "n_permutations": 50, "n_null": 10, "n_splits": 4}


def steers(text):
    """Return what in a text a terminal would obey; line breaks are ours."""
    return sorted({char for char in text if visible(char, lines=True) != char})


@pytest.mark.parametrize("kind", STEERING)
def test_every_kind_is_written_out(kind):
    raw, written = STEERING[kind]
    assert visible(f"a{raw}b") == f"a{written}b"


@pytest.mark.parametrize(
    "text", ["", "plain", "été", "日本語\u3000です", "שלום", "a\xa0b", "\U0001f44d"]
)
def test_what_can_be_read_stays(text):
    assert visible(text) == text


def test_line_breaks_stay_only_where_they_are_ours():
    assert visible("a\nb\tc") == r"a\nb\tc"
    assert visible("a\nb\rc", lines=True) == "a\nb\\rc"


@pytest.mark.parametrize("kind", STEERING)
def test_an_error_writes_it_out(kind):
    raw, _ = STEERING[kind]
    said = str(InputError(f"problem {raw} was given before"))
    assert steers(said) == [] and "\n" not in said
    assert said.startswith("problem ") and said.endswith(" was given before")


@pytest.fixture(scope="module")
def hostile():
    """Names, texts, tokens and attributes steer a terminal."""
    ds = traced_study(n_problems=16)
    n = ds.sizes["problem"]
    names = np.array([f"p{i}{STORED}" for i in range(n)], dtype=object)
    texts = ("problem", np.full(n, f"3{STORED}", dtype=object))
    ds = ds.assign(prompt=texts, answer=texts).assign_coords(
        problem_id=("problem", names),
        task=("problem", np.full(n, f"task{STORED}", dtype=object)),
        family=("problem", np.full(n, f"family{STORED}", dtype=object)),
    )
    attrs = {
        "created_at": f"x{STORED}\nnotes on this import:",
        f"own{STORED}": f"own{STORED}",
        "import_notes": [f"note{STORED}\nfake: line"],
        "config_json": json.dumps({"settings": {}, f"k{STORED}": STORED}),
    }
    return with_token_text(ds.assign_attrs(attrs), {i: f"{i}{STORED}" for i in range(100)})


@pytest.fixture(scope="module")
def saved(hostile, tmp_path_factory):
    return store.save_study(hostile, tmp_path_factory.mktemp("hostile") / "s.zarr")


@pytest.fixture
def ran(capfd):
    """Run a command; nothing that it writes steers a terminal."""

    def run(*arguments, status=0):
        try:
            found = main([str(each) for each in arguments])
        except SystemExit as stop:
            found = stop.code
        said = capfd.readouterr()
        assert found == status, said.err
        assert "Traceback" not in said.err
        assert steers(said.out) == []
        # Bars go back to the beginning of their line.
        assert steers(said.err.replace("\r", "")) == []
        return said

    return run


def test_info(ran, saved):
    said = ran("info", saved).out
    assert r"created_at: x\x1b\x1b[31m\x1b[2J" in said
    # A line break in a text begins no line of its own.
    assert said.splitlines().count("notes on this import:") == 1
    assert not any(line.startswith("fake") for line in said.splitlines())
    assert r"family\x1b" in said and r"task\x1b" in said


def test_info_as_json_is_of_ascii_and_exact(ran, saved, hostile):
    said = ran("info", saved, "--json").out
    assert said.isascii()
    found = json.loads(said)
    assert found["created_at"] == hostile.attrs["created_at"]
    assert found["tasks" if "tasks" in found else "task"] == [f"task{STORED}"]


def test_story_and_export(ran, saved, tmp_path):
    ran("story", saved, "--out", tmp_path / "s.html", status=2)
    assert ran("export", "profiles", saved, tmp_path / "t.csv").out == f"{tmp_path}/t.csv\n"


@pytest.mark.parametrize(
    "command",
    [
        ("info", "{}"),
        ("evaluate", "{}"),
        ("story", "{}", "--out", "{}.html"),
        ("findings", "{}", "--out", "{}"),
        ("export", "profiles", "{}", "{}"),
        ("export", "{}", "s.zarr", "t"),
        ("import", "jsonl", "{}.jsonl", "--out", "{}.zarr"),
        ("import", "{}", "a", "--out", "b.zarr"),
        ("import", "{}.jsonl", "--preview"),
        ("import", "jsonl", "a", "--out", "b.zarr", "--option", "{}"),
        ("import", "jsonl", "a", "--out", "b.zarr", "--arm", "{}"),
        ("run", "--out", "{}"),
        ("run", "--out", "a.zarr", "--family", "{}"),
        ("run", "--out", "a.zarr", "--problems", "{}"),
        ("remap", "--out", "a.zarr", "--method", "{}"),
        ("ablate", "--out", "a.json", "--study", "{}.zarr"),
        ("train", "--family", "{}", "--out", "x"),
        ("demo", "{}"),
        ("{}",),
        ("info", "a.zarr", "--{}"),
    ],
    ids=lambda command: " ".join(command),
)
def test_errors_about_what_was_typed(ran, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # No name of a file holds NUL.
    typed = ALL.replace("\x00", "").replace("\ud83d", "\udcff")
    said = ran(*(part.replace("{}", typed) for part in command), status=2)
    assert said.err.startswith("recover-nb: ") and said.out == ""


LINE = {"problem_id": f"p{ALL}", "prompt": ALL, "generated_text": ALL, "answer": ALL}


@pytest.mark.parametrize(
    "row",
    [
        LINE,
        {**LINE, "is_correct": f"yes{ALL}"},
        {**LINE, "rollout_idx": ALL},
        {**LINE, f"other{ALL}": 1, "is_correct": True},
        {f"other{ALL}": 1},
        {"problem_id": {ALL: 1}},
    ],
    ids=["ungraded", "wrong verdict", "wrong number", "unknown field", "no field", "an object"],
)
@pytest.mark.parametrize("how", ["jsonl", "preview"])
def test_errors_about_a_log(ran, tmp_path, row, how):
    path = tmp_path / "log\x1b[2J\u202e.jsonl"
    path.write_text(json.dumps(row) + "\n")
    if how == "preview":
        assert r"log\x1b[2J\u202e.jsonl" in ran("import", path, "--preview").out
        return
    done = row.get("is_correct") is True
    said = ran("import", "jsonl", path, "--out", tmp_path / "o.zarr", status=0 if done else 2)
    assert r"log\x1b[2J\u202e.jsonl" in said.err or done


def test_tables_and_results_of_a_study(hostile):
    evaluation = evaluate_routing(hostile, **FEW)
    text = tables.summary_text(hostile, evaluation)
    assert steers(text) == []
    assert max(map(len, text.splitlines())) <= 100
    assert steers(repr(evaluation)) == []
    assert steers(tables.paragraphs(f"a{ALL}")) == []
    frame = tables.problems_by_cell(hostile)
    assert steers(tables.text.render_text(frame)) == []
    charted = rnb.plot_regimes(tables.regimes_by_cell(hostile))
    assert steers(charted._repr_mimebundle_()["text/plain"]) == []


def test_warnings_are_one_plain_line(monkeypatch, capfd):
    import warnings

    from recover_nb.cli.saying import plainly

    with plainly():
        warnings.simplefilter("always")
        warnings.warn(f"row {STORED}\nsecond", stacklevel=1)
    said = capfd.readouterr().err
    assert steers(said) == [] and said.count("\n") == 1
    assert said.startswith("recover-nb: warning: row \\x1b")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_of_another_encoding(saved, encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "recover_nb.cli", "info", str(saved)]
    found = subprocess.run(command, capture_output=True, env=environment, timeout=120)
    assert found.returncode == 0, found.stderr
    assert b"\x1b" not in found.stdout and rb"created_at: x\x1b" in found.stdout
