"""Damaged files: every importer answers every kind of damage in one sentence, and writes nothing.

A case is a format, a damage and what must be said. Damages of bytes are the same for every format
of lines.
"""

import json
import shutil
import zipfile
from functools import partial
from pathlib import Path

import pytest

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Signal
from recover_nb.io import archive, lines

FIXTURES = Path(__file__).parents[1] / "fixtures"
GRADE = {"is_correct": lambda text, answer: answer in text}


def of_both(read, path):
    """Read the damaged file as the specialist's; the ancestor's is whole."""
    name = "vllm" if read is rnb.from_vllm_logprobs else "openai"
    return read(path, FIXTURES / "logprobs" / f"{name}_ancestor.jsonl")


#: Format -> the whole file, and how it is read. JSON lines first.
LINES = {
    "jsonl": (None, rnb.from_jsonl),
    "problems": (None, rnb.read_problems),
    "lm_eval": (
        rnb.example_folder() / "lm_eval/samples_none.jsonl",
        partial(rnb.from_lm_eval, **GRADE),
    ),
    "vllm": ("logprobs/vllm_specialist.jsonl", partial(of_both, rnb.from_vllm_logprobs)),
    "openai": ("logprobs/openai_specialist.jsonl", partial(of_both, rnb.from_openai_logprobs)),
    "verl": ("verl/7.jsonl", rnb.from_verl),
    "repairs": (None, None),
    "table": (None, rnb.from_table),
}
BINARY = {
    "inspect_eval": ("inspect/arithmetic.eval", rnb.from_inspect),
    "inspect_json": ("inspect/arithmetic.json", rnb.from_inspect),
    "trl": ("trl/completions_00002.parquet", rnb.from_trl),
    "shard": (None, None),
    "table_csv": (None, rnb.from_table),
}
ROLLOUTS = [
    {
        "problem_id": "a",
        "rollout_idx": i,
        "generated_text": "x",
        "output_ids": [1, 2],
        "is_correct": False,
        "prompt": "1+1=",
        "answer": "2",
        "signals": {name.value: [0.5, 0.5] for name in Signal},
    }
    for i in range(3)
]
PROBLEMS = [{"problem_id": name, "prompt": "1+1=", "answer": "2"} for name in "ab"]
REPAIRS = [
    {"pid": "a", "k": k, "retry": {"correct": True, "n_tokens": 3, "fired": False}}
    for k in range(3)
]
SHARD = [
    {
        "pid": "a",
        "rollout_idx": i,
        **{
            name: [0.5, 0.5]
            for name in ("Delta_path", "G_cov", "J_approx", "logit_var", "kl_div", "entropy")
        },
    }
    for i in range(3)
]


@pytest.fixture
def whole(tmp_path):
    """Return a writable copy of a format's whole file, and a reader of it."""

    def make(name):
        stored, read = (LINES | BINARY)[name]
        suffix = (
            Path(stored).suffix
            if stored
            else {"table_csv": ".csv", "shard": ".parquet"}.get(name, ".jsonl")
        )
        path = tmp_path / f"given{suffix}"
        if stored:
            shutil.copy(FIXTURES / stored, path)
            return path, read
        rollouts = tmp_path / "rollouts.jsonl"
        write(rollouts, ROLLOUTS)
        if name == "shard":
            table(path, SHARD)
            return path, lambda path: rnb.from_vllm_logits(rollouts, features=path)
        if name == "table_csv":
            path.write_text(
                "problem_id,rollout_idx,is_correct,generated_text\na,0,true,x\na,1,false,y\n"
            )
            return path, read
        rows = {"problems": PROBLEMS, "repairs": REPAIRS}.get(name, ROLLOUTS)
        write(path, rows)
        return path, read or (lambda path: rnb.from_vllm_logits(rollouts, repairs=path))

    return make


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def table(path, rows):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.Table.from_pylist(rows), path)


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def said(read, path):
    """Return what the reader says; anything but one short sentence about the file fails."""
    with pytest.raises(InputError) as caught:
        read(path)
    text = str(caught.value)
    assert len(text.splitlines()) == 1 and len(text) < 600, text
    assert "Traceback" not in text and not text.startswith("'")
    return text


@pytest.mark.parametrize("name", [*LINES, *BINARY])
def test_whole_files_are_read(whole, name):
    path, read = whole(name)
    assert len(read(path)) > 0


# Damage of bytes


def empty(path):
    path.write_bytes(b"")


def missing(path):
    path.unlink()


def folder(path):
    path.unlink()
    path.mkdir()


def blank(path):
    path.write_bytes(b"\n \n\n")


def cut(path):
    data = path.read_bytes().rstrip(b"\n")
    path.write_bytes(data[: len(data) - 9])


def latin(path):
    path.write_bytes(b'{"problem_id": "\xe9t\xe9"}\n' + path.read_bytes())


def not_json(path):
    path.write_bytes(b"PROBLEM: one\n" + path.read_bytes())


def a_list(path):
    path.write_text("[1, 2]\n" + path.read_text())


def deep(path):
    path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000 + "\n" + path.read_text())


def huge(path):
    path.write_bytes(b" " * 2_000_000 + b"{}\n" + path.read_bytes())


BYTES = {
    empty: "the file is empty; give",
    missing: "no such file; give",
    folder: ": a folder",
    blank: "has only blank lines",
    cut: "it may be cut short",
    latin: "line 1 is not UTF-8 text (byte 17)",
    not_json: "line 1 is not JSON",
    a_list: "line 1 is a JSON list, not an object",
    deep: "line 1 is not JSON",
    huge: "line 1 is longer than 1 MB",
}


@pytest.mark.parametrize("damage", BYTES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", LINES)
def test_damaged_lines(whole, monkeypatch, name, damage):
    path, read = whole(name)
    damage(path)
    if damage is huge:
        monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1_000_000)
    text = said(read, path)
    # A folder may be read whole; this one has nothing to read.
    assert ("folder" if damage is folder else BYTES[damage]) in text and path.name in text


# Damage of fields: what one row says


def put(field, value):
    """Return a damage that puts a value at a path such as "a.b.0"."""

    def damage(row):
        *way, end = [
            int(each) if each.lstrip("-").isdecimal() else each for each in field.split(".")
        ]
        for each in way:
            row = row[each]
        if value is None:
            del row[end]
        else:
            row[end] = value

    return damage


NAN = float("nan")
FIELDS = [
    ("jsonl", "problem_id", None, "has no 'problem_id' or 'pid' or 'id' or 'question_id' or"),
    ("jsonl", "problem_id", "", "'problem_id' is ''; it must be text that is not empty"),
    ("jsonl", "problem_id", ["a"], "'problem_id' is ['a']; it must be text"),
    ("jsonl", "rollout_idx", 1.5, "'rollout_idx' is 1.5; it must be a whole number of at least 0"),
    ("jsonl", "rollout_idx", -1, "'rollout_idx' is -1; it must be a whole number of at least 0"),
    ("jsonl", "rollout_idx", True, "'rollout_idx' is True; it must be a whole number"),
    ("jsonl", "rollout_idx", 2, "rollout 2 of problem a under none came before"),
    ("jsonl", "is_correct", "maybe", "'is_correct' is 'maybe'; it must be true, false, 1 or 0"),
    ("jsonl", "is_correct", 0.5, "'is_correct' is 0.5; it must be true, false, 1 or 0"),
    ("jsonl", "is_correct", NAN, "'is_correct' is nan; it must be true"),
    ("jsonl", "is_correct", None, "does not say whether the rollout is correct; pass is_correct="),
    ("jsonl", "output_ids", "1 2", "'output_ids' is '1 2'; it must be a list of token ids"),
    ("jsonl", "output_ids", [1, -2], "'output_ids' is [1, -2]; it must be a list of token ids"),
    ("jsonl", "output_ids", [1, 2.0], "'output_ids' is [1, 2.0]; it must be a list of token ids"),
    ("jsonl", "output_ids", [1, 2**40], "it must be a list of token ids"),
    ("jsonl", "generated_text", NAN, "'generated_text' is nan; it must be text"),
    ("jsonl", "intervention", "", "'intervention' is ''; it must be text that is not empty"),
    ("jsonl", "signals", [1], "'signals' is [1]; it must be an object"),
    (
        "jsonl",
        "signals.entropy",
        [0.5, NAN],
        "'entropy' is [0.5, nan]; it must be a list of finite numbers",
    ),
    (
        "jsonl",
        "signals.entropy",
        [0.5],
        "its signals have coverage_deformation 2, demotion_pressure 2, entropy 1",
    ),
    ("jsonl", "signals.entropy", None, "signals has no 'entropy'"),
    ("jsonl", "signals.magic", [1, 2], "'magic' is [1, 2]; it must be one of the signals"),
    ("problems", "prompt", None, "has no 'prompt' or 'question' or 'problem' or 'input'"),
    ("problems", "prompt", {"text": "x"}, "it must be text that is not empty"),
    ("problems", "answer", None, "has no 'answer'"),
    ("problems", "problem_id", "b", "problem b was given before; each may occur once"),
    ("lm_eval", "resps", None, "has no 'resps'"),
    ("lm_eval", "resps", [[[-3.2, False]]], "it must be texts, as generate_until tasks write them"),
    ("lm_eval", "resps", [["a"], ["b"]], "it must be one list of responses"),
    (
        "lm_eval",
        "arguments",
        {"gen_args_0": {}},
        "it must be an object with gen_args_0.arg_0, the prompt",
    ),
    ("lm_eval", "doc", "x", "'doc' is 'x'; it must be an object"),
    ("vllm", "prompt_logprobs", None, "has no 'prompt_logprobs'"),
    ("vllm", "prompt_logprobs", {}, "it must be a list with one entry per token"),
    ("vllm", "prompt_logprobs", [None], "'prompt_logprobs' has 1 entries for"),
    ("vllm", "prompt_logprobs.-1", "x", "it must be objects of token_id to logprob"),
    (
        "vllm",
        "prompt_logprobs.-1",
        {"x": {"logprob": -1}},
        "it must be objects of token_id to {logprob",
    ),
    ("vllm", "prompt_logprobs.-1", {"1": {}}, "has no 'logprob'"),
    (
        "vllm",
        "prompt_logprobs.-1",
        {"1": {"logprob": NAN}},
        "'logprob' is nan; it must be a finite number",
    ),
    (
        "vllm",
        "prompt_logprobs.-1",
        {"1": {"logprob": 0.5}},
        "'logprob' is 0.5; it must be a log-probability",
    ),
    (
        "vllm",
        "prompt_logprobs.-1",
        {"99": {"logprob": -0.5}},
        "the list of a place lacks its token",
    ),
    ("vllm", "rollout_idx", 7, "rollout 7 of problem"),
    ("vllm", "is_correct", None, "does not say whether the rollout is correct"),
    ("openai", "choices", [], "it must be a list with one completion"),
    ("openai", "choices.0.logprobs", None, "has no 'logprobs'"),
    ("openai", "choices.0.logprobs.tokens.2", 5, "'tokens' is 5; it must be texts"),
    (
        "openai",
        "choices.0.logprobs.token_logprobs",
        [-1],
        "'token_logprobs' is [-1]; it must be a list with one entry",
    ),
    (
        "openai",
        "choices.0.logprobs.top_logprobs.1",
        [1],
        "'top_logprobs' is [1]; it must be objects of token",
    ),
    (
        "openai",
        "choices.0.logprobs.token_logprobs.1",
        3.0,
        "is 3.0; it must be a log-probability, 0 or less",
    ),
    ("openai", "choices.0.logprobs.token_logprobs.1", NAN, "is nan; it must be a finite number"),
    ("verl", "input", None, "has no 'input'"),
    ("verl", "output", 5, "'output' is 5; it must be text, or a list of messages"),
    ("verl", "score", "x", "'score' is 'x'; it must be a finite number"),
    ("verl", "score", [1, 2], "'score' is [1, 2]; it must be a finite number"),
    ("verl", "step", "x", "'step' is 'x'; it must be a whole number"),
    ("repairs", "pid", "zz", "problem zz is not among the rollouts"),
    ("repairs", "retry", None, "has no condition; it must have some of retry, local_temp, rand"),
    ("repairs", "retry", True, "'retry' is True; it must be an object"),
    ("repairs", "retry.correct", None, "retry has no 'correct'"),
    ("repairs", "retry.n_tokens", -3, "'n_tokens' is -3; it must be a whole number of at least 0"),
    ("repairs", "condition", "magic", "'condition' is 'magic'; it must be one of retry"),
    ("table", "is_correct", "maybe", "'is_correct' is 'maybe'; it must be true, false, 1 or 0"),
    ("table", "variables", "{", "'variables' is '{'; it must be JSON"),
]


@pytest.mark.parametrize(
    ("name", "field", "value", "expected"), FIELDS, ids=lambda each: str(each)[:24]
)
def test_damaged_fields(whole, name, field, value, expected):
    path, read = whole(name)
    rows = rows_of(path)
    put(field, value)(rows[0])
    write(path, rows)
    text = said(read, path)
    assert expected in text
    assert f"{path.name}: line" in text


# Archives and tables


def members(path):
    with zipfile.ZipFile(path) as file:
        return {info.filename: file.getinfo(info.filename) for info in file.infolist()}


def rewritten(path, changed):
    """Write the log of inspect_ai again as a plain archive, with some members changed."""
    kept = dict(archive.read_members(path, "a log", "", ".json"))
    with zipfile.ZipFile(path, "w") as file:
        for name, data in (kept | changed).items():
            if data is not None:
                file.writestr(name, data)


def test_a_plain_archive_reads_as_well(tmp_path):
    path = shutil.copy(FIXTURES / "inspect/arithmetic.eval", tmp_path / "log.eval")
    expected = rnb.from_inspect(path)
    rewritten(path, {})
    assert rnb.from_inspect(path).equals(expected)


def sample(path):
    return next(name for name in members(path) if name.startswith("samples/"))


ARCHIVE = {
    "outside": (
        lambda path: {"../../outside.json": b"{}"},
        "holds '../../outside.json', a place outside it",
    ),
    "absolute": (lambda path: {"/etc/outside.json": b"{}"}, "a place outside it"),
    "drive": (lambda path: {"C:/outside.json": b"{}"}, "a place outside it"),
    "no head": (
        lambda path: {"_journal/start.json": None, "header.json": None},
        "has no header.json and no _journal/start.json",
    ),
    "no samples": (
        lambda path: dict.fromkeys([n for n in members(path) if "samples/" in n]),
        "the log has no samples",
    ),
    "not json": (lambda path: {sample(path): b"{"}, "is not JSON"),
    "a list": (lambda path: {sample(path): b"[]"}, "is a JSON list, not an object"),
    "no epoch": (lambda path: {sample(path): b'{"id": "x"}'}, "has no 'input'"),
}


@pytest.mark.parametrize("case", ARCHIVE)
def test_damaged_archives(tmp_path, case):
    path = shutil.copy(FIXTURES / "inspect/arithmetic.eval", tmp_path / "log.eval")
    change, expected = ARCHIVE[case]
    rewritten(path, change(path))
    assert expected in said(rnb.from_inspect, path)


@pytest.mark.parametrize("at", [0, 10, 500, 20_000, -30, -2_000])
def test_flipped_and_cut_archives(tmp_path, at):
    data = bytearray((FIXTURES / "inspect/arithmetic.eval").read_bytes())
    path = tmp_path / "log.eval"
    path.write_bytes(bytes(data[:at]) if at > 0 else b"x" * 40)
    assert "not an archive, or cut short" in said(rnb.from_inspect, path) or at == 0
    for i in range(20_000, 20_040):
        data[i] ^= 0xFF
    path.write_bytes(bytes(data))
    assert "not an archive, or cut short" in said(rnb.from_inspect, path)


def test_members_that_are_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 1_000)
    text = said(rnb.from_inspect, FIXTURES / "inspect/arithmetic.eval")
    assert "is larger than" in text


SAMPLE = [
    ("epoch", 0, "'epoch' is 0; it must be a whole number of at least 1"),
    ("scores", {"a": {"value": "C"}, "b": {"value": "C"}}, "has scores of a, b; pass scorer="),
    ("scores", {"a": {"value": "maybe"}}, "'value' is 'maybe'; it must be C, I, P, N, or a number"),
    ("scores", {"a": {"value": 7}}, "'value' is 7; it must be C, I, P, N, or a number from 0 to 1"),
    ("scores", {"a": {"value": {"x": 1, "y": 0}}}, "has the parts x, y; pass scorer='a.x' or"),
    ("scores", "C", "'scores' is 'C'; it must be an object"),
    ("output", {"choices": {}}, "'choices' is {}; it must be a list of completions"),
    ("output", {"choices": [7]}, "'choices' is [7]; it must be a list of completions"),
    ("id", {"a": 1}, "it must be text that is not empty"),
]


@pytest.mark.parametrize(("field", "value", "expected"), SAMPLE, ids=lambda each: str(each)[:20])
def test_damaged_samples(whole, field, value, expected):
    path, read = whole("inspect_json")
    log = json.loads(path.read_text())
    put(f"samples.1.{field}", value)(log)
    path.write_text(json.dumps(log))
    text = said(read, path)
    assert expected in text and "sample 2" in text


@pytest.mark.parametrize("name", ["trl", "shard"])
@pytest.mark.parametrize(
    "damage", [empty, cut, not_json, missing, folder], ids=lambda damage: damage.__name__
)
def test_damaged_parquet(whole, name, damage):
    path, read = whole(name)
    damage(path)
    text = said(read, path)
    expected = (
        BYTES[damage] if damage in (empty, missing, folder) else "not a parquet file, or cut short"
    )
    # Folders are allowed: this one holds none.
    nothing = {"trl": "folder", "shard": "no shard_*.parquet in it"}[name]
    assert (nothing if damage is folder else expected) in text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"J_approx": None}, "no column 'J_approx'; it has pid, rollout_idx"),
        (
            {"J_approx": [0.5]},
            "its columns have different lengths (Delta_path 2, G_cov 2, J_approx 1",
        ),
        ({"J_approx": [0.5, NAN]}, "'J_approx' is [0.5, nan]; it must be a list of finite numbers"),
        ({"pid": "zz"}, "rollout 0 of problem zz is not among the rollouts"),
        ({"rollout_idx": 1}, "rollout 1 of problem a came before"),
    ],
)
def test_damaged_shards(whole, change, expected):
    path, read = whole("shard")
    rows = [dict(row) for row in SHARD]
    for name, value in change.items():
        if value is None:
            rows = [{k: v for k, v in row.items() if k != name} for row in rows]
        else:
            rows[0][name] = value
    table(path, rows)
    assert expected in said(read, path)


def test_pickled_features_are_not_read(tmp_path):
    write(tmp_path / "r.jsonl", ROLLOUTS)
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "a_r0000.pt").write_bytes(b"\x80\x04")
    text = said(
        lambda path: rnb.from_vllm_logits(path, features=tmp_path / "cell"), tmp_path / "r.jsonl"
    )
    assert "its .pt files are pickled, and not read" in text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"problem_id,is_correct\na,true,9\n", "line 2 has not as many cells as the header"),
        (
            b"problem_id,is_correct,generated_text\na,true\n",
            "line 2 has not as many cells as the header",
        ),
        (b"problem_id,is_correct,generated_text\n", "the table has no rows"),
        (b"problem_id,is_correct,generated_text\na,\xff\x81,x\n", "is not UTF-8 text (byte 40)"),
        (
            b'problem_id,is_correct,generated_text\na,true,"x\n',
            "is no CSV (unexpected end of data)",
        ),
        (b"is_correct,generated_text\ntrue,x\n", "line 2 has no 'problem_id' or 'pid' or 'id'"),
        (b"problem_id,is_correct,generated_text\na,NaN,x\n", "'is_correct' is 'NaN'"),
    ],
)
def test_damaged_csv(whole, content, expected):
    path, read = whole("table_csv")
    path.write_bytes(content)
    assert expected in said(read, path)


def test_other_endings_and_sources(tmp_path):
    assert "no such file; give a table with one row" in said(rnb.from_table, tmp_path / "x.xlsx")
    for read in (rnb.from_jsonl, rnb.from_lm_eval, rnb.from_inspect):
        assert "must be a path, or a dict of paths by intervention, got 7" in said(read, 7)
        assert "must be a path, or a dict of paths by intervention, got {}" in said(read, {})


def test_reordered_rows_change_nothing(whole):
    path, read = whole("jsonl")
    expected = read(path)
    write(path, list(reversed(rows_of(path))))
    assert read(path).equals(expected)


def test_traces_too_long_to_lay_out(tmp_path):
    rows = [ROLLOUTS[0] | {"rollout_idx": i, "output_ids": [1], "signals": None} for i in range(40)]
    rows[7]["output_ids"] = [1] * 60_000
    rows += [rows[0] | {"problem_id": f"p{i}"} for i in range(2_000)]
    write(tmp_path / "long.jsonl", rows)
    assert "padded to 60000 tokens take" in said(rnb.from_jsonl, tmp_path / "long.jsonl")


@pytest.mark.parametrize("name", ["jsonl", "lm_eval", "verl"])
def test_the_command_line_writes_nothing_of_a_damaged_file(whole, name, tmp_path, capsys):
    path, _ = whole(name)
    cut(path)
    out = tmp_path / "study.zarr"
    assert main(["import", name, str(path), "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists() and not list(tmp_path.glob("*.tmp*"))
