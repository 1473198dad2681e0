"""`recover-nb import`: a format told or recognised, a preview, and refusals that write nothing."""

import json
import shutil
from pathlib import Path

import pytest

import recover_nb as rnb
from recover_nb.cli.main import main

FIXTURES = Path(__file__).parent.parent / "fixtures"
EXAMPLES = rnb.example_folder()
ROWS = [
    {"problem_id": "a", "generated_text": "it is 4", "is_correct": True},
    {"problem_id": "a", "generated_text": "it is 5", "is_correct": False},
    {"problem_id": "b", "generated_text": "it is 6", "is_correct": True},
]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "study.zarr"


def run(*arguments):
    """Return the exit status, also where the parser exits itself."""
    try:
        return main(["import", *map(str, arguments)])
    except SystemExit as error:
        return error.code


def refused(capsys, out, *arguments):
    """Return the one line that refuses; nothing is written."""
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err
    assert not out.exists() and not list(out.parent.glob("*.partial*"))
    return said.err


@pytest.mark.parametrize(
    "order",
    [
        lambda log, out: ("jsonl", log, "--out", out),
        lambda log, out: (log, "--out", out),
        lambda log, out: ("--out", out, log),
        lambda log, out: ("jsonl", "--out", out, log),
        lambda log, out: ("--out", out, "jsonl", log),
    ],
)
def test_the_format_may_be_left_out(log, out, order, capsys):
    assert run(*order(log, out)) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(out)
    ds = rnb.open_study(out, load=True)
    assert ds["correct"].sel(intervention="none").values.tolist() == [[1, 0], [1, -1]]
    assert ds.attrs["source_format"] == "jsonl"


def test_a_recognised_format_is_said(log, out, capsys):
    assert run(log, "--out", out) == 0
    assert capsys.readouterr().err.startswith("note: read as format jsonl\n")


@pytest.mark.parametrize(
    ("path", "name", "options", "right"),
    [
        (FIXTURES / "inspect/arithmetic.eval", "inspect", (), 5),
        (FIXTURES / "trl/completions_00001.parquet", "trl", (), 1),
        (FIXTURES / "verl/7.jsonl", "verl", (), 3),
        (FIXTURES / "logprobs/vllm_specialist.jsonl", "vllm_logprobs", (), 0),
        (EXAMPLES / "lm_eval", "lm_eval", ("is_correct=regex:#(.+)$",), 28),
    ],
)
def test_logs_of_tools(path, name, options, right, out, capsys):
    given = [part for each in options for part in ("--option", each)]
    assert run(path, *given, "--out", out) == 0
    assert f"note: read as format {name}\n" in capsys.readouterr().err
    ds = rnb.open_study(out, load=True)
    assert int((ds["correct"].sel(intervention="none") == 1).sum()) == right


def test_a_folder_of_interventions_has_arms(out, capsys):
    assert run(EXAMPLES / "lm_eval", "--option", "is_correct=regex:#(.+)$", "--out", out) == 0
    assert rnb.open_study(out)["intervention"].values.tolist() == ["none", "retry", "temperature"]


def test_a_preview_is_printed_and_nothing_written(log, out, capsys):
    assert run(log, "--preview") == 0
    assert run(log, "--preview", "--out", out) == 0
    assert run("jsonl", log, "--preview") == 0
    said = capsys.readouterr().out
    assert said.count("none: 2 of 3 right (67%)") == 3
    assert f"recover-nb import jsonl {log} --out study.zarr" in said
    assert sorted(each.name for each in log.parent.iterdir()) == ["log.jsonl"]


def test_the_command_that_a_preview_shows_runs(tmp_path, out, capsys):
    path = tmp_path / "it's a log.jsonl"
    rows = [{"qid": "q", "question": "2+2", "gold": "4", "response": "it is 4"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import shlex

    words = shlex.split(rnb.preview(path).command)
    assert words[:2] == ["recover-nb", "import"]
    assert main([*words[1:-1], str(out)]) == 0
    assert rnb.open_study(out, load=True)["correct"].values[0, :, 0].tolist() == [1]


def test_refusals(log, out, tmp_path, capsys):
    page = tmp_path / "page.jsonl"
    page.write_text("<html>404</html>")
    cases = [
        ((page, "--out", out), "looks like a web page"),
        ((tmp_path / "none.jsonl", "--out", out), "no such file; give a log"),
        ((EXAMPLES / "problems.jsonl", "--out", out), "problems and no rollouts"),
        ((EXAMPLES / "own_study.zarr.zip", "--out", out), "is a stored study already"),
        (("pdf", log, "--out", out), "format must be one of profiles, jsonl"),
        ((log,), "--out is needed"),
        ((log, "--out", tmp_path / "study.txt"), "a study ends in .zarr"),
        ((log, "--option", "colour=red", "--out", out), "takes NAME=VALUE with problems"),
        ((log, "--option", "colour", "--out", out), "allowed: NAME=VALUE"),
        ((log, "--option", "colour=red", "--preview"), "has no option 'colour'"),
        ((log, "--preview", "--arm", f"retry={log}"), "--preview shows one file"),
        ((page, "--preview", "--option", "x"), "allowed: NAME=VALUE"),
        (("--preview",), "PATH"),
        (("a", "b", "c", "--preview"), "import takes no further argument, got 'c'"),
    ]
    for arguments, words in cases:
        line = refused(capsys, out, *arguments)
        assert words in line and line.count("\n") == 1, (arguments, line)


def test_a_reader_that_refuses_points_to_the_preview(tmp_path, out, capsys):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({**ROWS[0], "is_correct": None}) + "\n")
    line = refused(capsys, out, path, "--out", out)
    assert "pass is_correct=" in line
    assert line.rstrip().endswith(f"see recover-nb import {path} --preview")


def test_two_kinds_in_a_folder(log, out, capsys):
    (log.parent / "t.csv").write_text("id,is_correct,generated_text\nx,1,yes\n")
    line = refused(capsys, out, log.parent, "--out", out)
    assert "logs of several kinds: 1 of jsonl (log.jsonl); 1 of table (t.csv)" in line


def test_one_model_of_two(tmp_path, out, capsys):
    path = shutil.copy(FIXTURES / "logprobs/openai_specialist.jsonl", tmp_path)
    line = refused(capsys, out, path, "--out", out)
    assert "of one model; signals need both" in line
    assert "--option ancestor=ANCESTOR.jsonl" in line
