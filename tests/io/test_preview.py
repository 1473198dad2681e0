"""What `rnb.preview` says of a file: its format by content, its first problem, the call to make."""

import bz2
import gzip
import json
import lzma
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zstandard

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.io.preview import head

FIXTURES = Path(__file__).parent.parent / "fixtures"
EXAMPLES = rnb.example_folder()
OURS = [
    {
        "problem_id": "a",
        "prompt": "2+2",
        "answer": "4",
        "generated_text": "it is 4",
        "is_correct": True,
    },
    {
        "problem_id": "a",
        "prompt": "2+2",
        "answer": "4",
        "generated_text": "it is 5",
        "is_correct": False,
    },
    {
        "problem_id": "b",
        "prompt": "3+3",
        "answer": "6",
        "generated_text": "it is 6",
        "is_correct": True,
    },
]
OTHER = [
    {"question_id": "q1", "question": "2+2", "gold": "4", "response": "it is 4", "correct": 1},
    {"question_id": "q2", "question": "3+3", "gold": "6", "response": "it is 5", "correct": 0},
]
CSV = "id,is_correct,generated_text\nx,1,yes\ny,0,no\nz,0,no\n"
PROFILE = (
    "cell,model,task,problem_id,n_failed_rollouts,spread,concentration,logit_dispersion,retry,"
    "sparse_steer,sparse_steer_random,local_temp,dense_steer\n"
    "m|t,m,t,p,3,0.1,0.2,0.3,0.5,0.5,0.5,0.5,0\n"
)


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def put(folder, name, data):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def parquet(folder, name, rows):
    path = folder / name
    pd.DataFrame(rows).to_parquet(path)
    return path


def study(folder, suffix):
    """The example study's first problems, stored in each way."""
    ds = rnb.open_study(EXAMPLES / "own_study.zarr.zip", load=True).isel(problem=slice(0, 3))
    path = folder / f"s{suffix}"
    if suffix == ".zarr.zip":
        return rnb.save_zip(ds, path)
    if suffix == ".nc":
        return rnb.to_netcdf(ds, path)
    if suffix == ".parquet":
        return rnb.to_parquet(ds, path)
    if suffix == ".jsonl":
        return rnb.to_jsonl(ds, path)
    from recover_nb.io.store import save_study

    return save_study(ds, path)


TRL = [
    {
        "step": 3,
        "prompt": f"q{i // 2}",
        "completion": "x",
        "acc_reward": float(i % 2),
        "advantage": 0.0,
    }
    for i in range(4)
]
SGLANG = [
    {
        "problem_id": "a",
        "rollout_idx": 0,
        "text": "7",
        "is_correct": False,
        "meta_info": {"output_token_logprobs": [[-0.1, 5, None]]},
    }
]
SHARD = [
    {"pid": "a", "rollout_idx": 0}
    | {
        name: [0.1]
        for name in ("Delta_path", "G_cov", "J_approx", "logit_var", "kl_div", "entropy")
    }
]
REPAIR = [
    {"pid": "a", "k": 0, "retry": {"correct": True, "n_tokens": 3}, "rand": {"correct": False}}
]

#: Name -> what makes the file, its format, and what is right of it by intervention where it is read
#: by the readers of this version: (right, of).
KINDS = {
    "inspect archive": (
        lambda _: FIXTURES / "inspect/arithmetic.eval",
        "inspect",
        {"none": (5, 12)},
    ),
    "inspect json": (lambda _: FIXTURES / "inspect/arithmetic.json", "inspect", {"none": (6, 12)}),
    "lm_eval": (lambda _: EXAMPLES / "lm_eval/samples_none.jsonl", "lm_eval", None),
    "trl fixture": (lambda _: FIXTURES / "trl/completions_00001.parquet", "trl", {"none": (1, 8)}),
    "trl": (lambda f: parquet(f, "c.parquet", TRL), "trl", {"none": (2, 4)}),
    "verl": (lambda _: FIXTURES / "verl/7.jsonl", "verl", {"none": (3, 12)}),
    "vllm": (
        lambda _: FIXTURES / "logprobs/vllm_specialist.jsonl",
        "vllm_logprobs",
        {"none": (0, 6)},
    ),
    "openai": (
        lambda _: FIXTURES / "logprobs/openai_specialist.jsonl",
        "openai_logprobs",
        {"none": (0, 6)},
    ),
    "profiles": (lambda f: put(f, "t.csv", PROFILE), "profiles", None),
    "our lines": (lambda f: put(f, "o.jsonl", lines(OURS)), "jsonl", {"none": (2, 3)}),
    "lines with another ending": (
        lambda f: put(f, "o.txt", lines(OURS)),
        "jsonl",
        {"none": (2, 3)},
    ),
    "one line": (lambda f: put(f, "o.json", lines(OURS[:1])), "jsonl", {"none": (1, 1)}),
    "byte order mark": (
        lambda f: put(f, "o.jsonl", b"\xef\xbb\xbf" + lines(OURS)),
        "jsonl",
        {"none": (2, 3)},
    ),
    "a study as lines": (lambda f: study(f, ".jsonl"), "jsonl", None),
    "a study as parquet": (lambda f: study(f, ".parquet"), "parquet", None),
    "a study as netcdf": (lambda f: study(f, ".nc"), "netcdf", None),
    "a zarr folder": (lambda f: study(f, ".zarr"), "study", None),
    "a zipped zarr": (lambda f: study(f, ".zarr.zip"), "study", None),
    "csv": (lambda f: put(f, "t.csv", CSV), "table", {"none": (1, 3)}),
    "columns of others": (lambda f: put(f, "t.jsonl", lines(OTHER)), "table", {"none": (1, 2)}),
    "parquet": (lambda f: parquet(f, "t.parquet", OURS), "table", {"none": (2, 3)}),
    "problems": (lambda _: EXAMPLES / "problems.jsonl", "problems", {}),
}
#: Recognised; whether they are read is up to their readers.
OTHERS = {
    "json array": (lambda f: put(f, "o.json", json.dumps(OURS)), "jsonl"),
    "gzip": (lambda f: put(f, "o.jsonl.gz", gzip.compress(lines(OURS))), "jsonl"),
    "bzip2": (lambda f: put(f, "o.jsonl.bz2", bz2.compress(lines(OURS))), "jsonl"),
    "xz": (lambda f: put(f, "o.jsonl.xz", lzma.compress(lines(OURS))), "jsonl"),
    "zstandard": (
        lambda f: put(f, "o.jsonl.zst", zstandard.ZstdCompressor().compress(lines(OURS))),
        "jsonl",
    ),
    "gzipped table": (lambda f: put(f, "t.csv.gz", gzip.compress(CSV.encode())), "table"),
    "tsv": (lambda f: put(f, "t.tsv", CSV.replace(",", "\t")), "table"),
    "semicolons": (lambda f: put(f, "t.csv", CSV.replace(",", ";")), "table"),
    "an object of rows": (lambda f: put(f, "o.json", json.dumps({"rows": OURS})), "jsonl"),
    "sglang": (lambda f: put(f, "s.jsonl", lines(SGLANG)), "openai_logprobs"),
    "vllm in choices": (
        lambda f: put(
            f, "v.jsonl", lines([{"choices": [{"text": "x", "prompt_logprobs": [None]}]}])
        ),
        "vllm_logprobs",
    ),
    "chat log-probabilities": (
        lambda f: put(f, "c.jsonl", lines([{"choices": [{"logprobs": {"content": [{}]}}]}])),
        "openai_logprobs",
    ),
    "shard": (lambda f: parquet(f, "shard_0000.parquet", SHARD), "vllm_logits"),
    "repairs": (lambda f: put(f, "r.jsonl", lines(REPAIR)), "vllm_logits"),
}
#: Name -> bytes, and a word of what they look like.
NOTHING = {
    "a web page": (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "an xml": (b"<?xml version='1.0'?><a/>", "web page or other markup"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "picture"),
    "a pickle": (b"\x80\x04\x95\x01", "pickled"),
    "bytes": (bytes(range(256)) * 9, "binary"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
    "words": (b"hello world\nnothing here\n", "text that is no table"),
    "numbers": (b"alpha,beta\n1,2\n", "no column of alpha, beta is known"),
    "results of lm_eval": (b'{"results": {}, "configs": {}}', "--log_samples"),
    "unknown rows": (b'{"alpha": 1}\n{"alpha": 2}\n', "no field is known; they have alpha"),
    "one object": (b'{"seed": 1, "sources": {}}', "one JSON object with seed, sources"),
    "json cut short": (b'{"problem_id": "a", "generated_te', "damaged or cut short"),
    "array of numbers": (b"[1, 2, 3]", "holds no objects"),
    "utf-16": ("problem_id,is_correct\n".encode("utf-16"), "UTF-16"),
    "chats": (b'{"messages": [{"role": "user", "content": "x"}]}\n', "without a verdict"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_recognised_by_content_and_read(tmp_path, kind):
    make, name, right = KINDS[kind]
    look = rnb.preview(make(tmp_path))
    assert look.format == name
    rows = look.accuracy.itertuples()
    if right is not None:
        assert {row.intervention: (row.right, row.rollouts) for row in rows} == right
    assert look.call
    # The line runs as it stands, and gives what was shown.
    read = eval(look.call, {"rnb": rnb})
    if isinstance(read, xr.Dataset) and "correct" in read:
        run = read["correct"].values >= 0
        assert int(run.sum()) == int(look.accuracy["rollouts"].sum())
        read.close()


@pytest.mark.parametrize("kind", OTHERS)
def test_recognised(tmp_path, kind):
    make, name = OTHERS[kind]
    look = rnb.preview(make(tmp_path))
    assert look.format == name
    assert look.call or look.refusal


@pytest.mark.parametrize("kind", NOTHING)
def test_what_is_no_log_is_said_to_be_none(tmp_path, kind):
    data, word = NOTHING[kind]
    look = rnb.preview(put(tmp_path, "log.jsonl", data))
    assert (look.format, look.call, look.command) == ("", "", "")
    assert word in look.sentence
    assert "What can be read: logs of inspect_ai" in look.sentence
    assert "log.jsonl looks like" in str(look)


def test_a_name_does_not_decide(tmp_path):
    path = shutil.copy(FIXTURES / "inspect/arithmetic.eval", tmp_path / "samples_x.jsonl")
    assert rnb.preview(path).format == "inspect"


def test_first_problem_fields_and_call(tmp_path):
    path = put(tmp_path, "t.jsonl", lines(OTHER))
    look = rnb.preview(path)
    assert look.problem == {
        "prompt": "2+2",
        "answer": "4",
        "rollout": "it is 4",
        "verdict": "right",
    }
    guessed = look.to_dataframe().query("found == 'guessed'")
    assert dict(zip(guessed["field"], guessed["column"], strict=True)) == {
        "problem_id": "question_id",
        "prompt": "question",
        "answer": "gold",
        "generated_text": "response",
        "is_correct": "correct",
    }
    assert look.call.startswith(f"rnb.from_table({str(path)!r}")
    assert look.command.startswith(f"recover-nb import table {path} ")
    assert look.sentence.startswith(f"{path} is a table with one row per rollout.")


def test_missing_fields_are_named(tmp_path):
    rows = [{"problem_id": "a", "generated_text": "x", "is_correct": True}]
    look = rnb.preview(put(tmp_path, "t.jsonl", lines(rows)))
    missing = look.to_dataframe().query("found == 'missing'")
    assert missing["field"].tolist() == ["prompt", "answer"]


def test_the_option_that_a_reader_asks_for_is_guessed_and_said(tmp_path):
    rows = [{**row, "is_correct": None} for row in OURS]
    look = rnb.preview(put(tmp_path, "t.jsonl", lines(rows)))
    assert "pass is_correct=" in look.refusal
    assert "is_correct='numeric'" in look.call
    assert "--option is_correct=numeric" in look.command
    assert "is_correct= is a guess ('numeric'): check it" in look.notes
    assert look.accuracy["right"].tolist() == [2]


@pytest.mark.parametrize(
    ("answers", "checker"),
    [
        (["4", "1,000"], "numeric"),
        (["2+1=3\n#### 3"], "numeric"),
        (["B", "(c)"], "choice"),
        (["Paris"], "exact"),
    ],
)
def test_the_checker_fits_the_answers(tmp_path, answers, checker):
    rows = [
        {"problem_id": str(i), "prompt": "q", "answer": each, "generated_text": "x"}
        for i, each in enumerate(answers)
    ]
    look = rnb.preview(put(tmp_path, "t.jsonl", lines(rows)))
    assert f"is_correct={checker!r}" in look.call


def test_several_rewards_and_a_threshold(tmp_path):
    rows = [
        {"step": 1, "prompt": "q", "completion": "x", "length": 9.0, "acc": value, "advantage": 0.0}
        for value in (0.2, 0.9)
    ]
    look = rnb.preview(parquet(tmp_path, "c.parquet", rows))
    assert "pass reward=" in look.refusal
    assert look.call.endswith("reward='acc', threshold=0.5)")
    assert look.accuracy["right"].tolist() == [1]


def test_several_scorers_and_metrics(tmp_path):
    log = json.loads((FIXTURES / "inspect/arithmetic.json").read_text())
    for each in log["samples"]:
        (name,) = each["scores"]
        each["scores"] = {"judge": {"value": "I"}, "exact": each["scores"][name]}
    look = rnb.preview(put(tmp_path, "l.json", json.dumps(log)))
    assert "scorer='exact'" in look.call
    row = {"doc_id": 0, "doc": {}, "target": "4", "arguments": [["q"]], "resps": [["4"]]}
    row |= {"metrics": ["f1", "acc"], "f1": 0.5, "acc": 1.0}
    look = rnb.preview(put(tmp_path, "samples_x.jsonl", lines([row])))
    assert "metric='acc'" in look.call
    assert look.accuracy["right"].tolist() == [1]


def test_a_metric_that_is_no_verdict_is_not_guessed(tmp_path):
    row = {"doc_id": 0, "doc": {}, "target": "Paris", "arguments": [["q"]], "resps": [["x"]]}
    row |= {"metrics": ["perplexity", "bytes"], "perplexity": [-3.0, 1], "bytes": [1, 2]}
    look = rnb.preview(put(tmp_path, "samples_x.jsonl", lines([row])))
    assert "metric=" in look.refusal
    assert "metric='" not in look.call


def test_own_options_are_taken_and_unknown_ones_refused(tmp_path):
    path = put(tmp_path, "t.jsonl", lines([{**row, "is_correct": None} for row in OURS]))
    look = rnb.preview(path, is_correct="exact")
    assert look.refusal == ""
    assert look.accuracy["right"].tolist() == [0]
    with pytest.raises(InputError, match="from_jsonl has no option 'colour'"):
        rnb.preview(path, colour="red")
    with pytest.raises(InputError, match="unknown format 'pdf'"):
        rnb.preview(path, format="pdf")
    assert rnb.preview(path, format="table", is_correct="exact").call.startswith("rnb.from_table")


def test_the_ancestors_file_beside_and_missing(tmp_path):
    mine = shutil.copy(FIXTURES / "logprobs/vllm_specialist.jsonl", tmp_path)
    look = rnb.preview(mine)
    assert look.call.endswith("ancestor='ANCESTOR.jsonl')")
    assert "put its file for ANCESTOR.jsonl" in " ".join(look.notes)
    assert look.accuracy["rollouts"].tolist() == [6]
    other = shutil.copy(FIXTURES / "logprobs/vllm_ancestor.jsonl", tmp_path)
    assert rnb.preview(mine).call.endswith(f"ancestor={str(other)!r})")


def test_only_the_first_rows_of_a_large_file(tmp_path, monkeypatch):
    monkeypatch.setattr(head, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(head, "HEAD_BYTES", 5000)
    rows = [{**OURS[0], "problem_id": str(i), "is_correct": i % 4 == 0} for i in range(900)]
    for path in (
        put(tmp_path, "big.jsonl", lines(rows)),
        put(tmp_path, "big.csv", pd.DataFrame(rows).to_csv(index=False)),
        parquet(tmp_path, "big.parquet", rows),
    ):
        look = rnb.preview(path)
        assert look.part == "first 200 rows", path
        assert look.accuracy[["rollouts", "right"]].values.tolist() == [[200, 50]]
        assert str(path) in look.call and "recover-nb-preview-" not in str(look)
    log = json.loads((FIXTURES / "inspect/arithmetic.json").read_text())
    monkeypatch.setattr(head, "ROWS", 5)
    look = rnb.preview(put(tmp_path, "big.json", json.dumps(log)))
    assert look.format == "inspect" and look.part == "first 200 samples"


def test_the_first_samples_of_a_large_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(head, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(head, "HEAD_BYTES", 5000)
    monkeypatch.setattr(head, "ROWS", 4)
    look = rnb.preview(FIXTURES / "inspect/arithmetic.eval")
    assert look.accuracy["rollouts"].tolist() == [4]


def test_names_in_messages_are_those_given(tmp_path, monkeypatch):
    monkeypatch.setattr(head, "WHOLE_BYTES", 10)
    monkeypatch.setattr(head, "HEAD_BYTES", 200)
    path = put(tmp_path, "t.jsonl", lines([{**row, "rollout_idx": 0} for row in OURS]))
    look = rnb.preview(path)
    assert look.refusal.startswith(str(path))


def test_a_row_longer_than_the_first_look(tmp_path):
    long = {**OURS[0], "generated_text": "y" * 3_000_000}
    look = rnb.preview(put(tmp_path, "t.jsonl", lines([long])))
    assert (look.format, look.accuracy["right"].tolist()) == ("jsonl", [1])
    assert len(look.problem["rollout"]) < 400


def test_folders_of_logs(tmp_path):
    for name in ("a", "b"):
        put(tmp_path, f"{name}.jsonl", lines(OURS))
    put(tmp_path, "notes.md", "# about")
    put(tmp_path, ".hidden.csv", CSV)
    look = rnb.preview(tmp_path)
    assert look.format == "jsonl"
    assert look.what == "a folder of 2 files, each rollouts as JSON lines"
    assert look.call
    put(tmp_path, "t.csv", CSV)
    with pytest.raises(InputError, match=r"several kinds: 2 of jsonl .a.jsonl.; 1 of table"):
        rnb.preview(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="none of its 0 files is a log"):
        rnb.preview(tmp_path / "empty")


def test_a_folder_with_a_file_for_each_intervention():
    look = rnb.preview(EXAMPLES / "lm_eval", is_correct="regex:#(.+)$")
    assert look.accuracy["intervention"].tolist() == ["none", "retry", "temperature"]
    assert look.accuracy["rollouts"].tolist() == [40, 40, 40]
    assert "--arm retry=" in look.command
    assert eval(look.call, {"rnb": rnb}).sizes["problem"] == 8


@pytest.mark.parametrize("data", [b"", b"   \n\n"])
def test_nothing_in_it(tmp_path, data):
    with pytest.raises(InputError, match=r"empty|only blank lines"):
        rnb.preview(put(tmp_path, "t.jsonl", data))


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="no such file; give a log"):
        rnb.preview(tmp_path / "x.jsonl")


@pytest.mark.parametrize("cut", [11, 40])
@pytest.mark.parametrize(
    "how", [("gzip", gzip), ("bzip2", bz2), ("xz", lzma)], ids=["gzip", "bzip2", "xz"]
)
def test_damaged_compression(tmp_path, how, cut):
    name, module = how
    path = put(tmp_path, "o.jsonl.gz", module.compress(lines(OURS))[:cut])
    with pytest.raises(InputError, match=rf"damaged or cut short \({name}: "):
        rnb.preview(path)


def test_a_damaged_archive(tmp_path):
    data = (FIXTURES / "inspect/arithmetic.eval").read_bytes()
    look = rnb.preview(put(tmp_path, "l.eval", data[: len(data) // 2]))
    assert "damaged or cut short" in look.sentence
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "x")
    assert "an archive of 1 files" in rnb.preview(tmp_path / "x.zip").sentence
    np.savez(tmp_path / "x.npz", a=np.zeros(2))
    assert "arrays of numpy" in rnb.preview(tmp_path / "x.npz").sentence


HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e\ud83d"


def test_text_of_a_file_does_nothing(tmp_path):
    rows = [{**OURS[0], "prompt": HOSTILE, "generated_text": HOSTILE, HOSTILE: 1}]
    look = rnb.preview(put(tmp_path, "<b>.jsonl", lines(rows)))
    page, words = look._repr_html_(), str(look)
    assert "<script" not in page and "<b>.jsonl" not in page
    assert "\x1b" not in page + words and "\u202e" not in words
    (page + words).encode()


def test_what_it_shows_in_a_notebook(tmp_path):
    look = rnb.preview(put(tmp_path, "t.jsonl", lines(OURS)))
    page = look._repr_html_()
    assert "2 of 3 right (67%)" in page
    assert "<code" in page and "rnb.from_jsonl(" in page
    assert repr(look) == str(look)


@pytest.mark.parametrize("layout", ["csv", "lines"])
def test_only_the_head_of_a_large_file_is_read(layout, tmp_path, monkeypatch):
    path = tmp_path / f"x.{'csv' if layout == 'csv' else 'jsonl'}"
    row = ",".join("abcd") if layout == "csv" else json.dumps({"problem_id": "a"})
    path.write_text(f"{row}\n" * (9 * head.HEAD_BYTES // len(row)))
    read = []
    monkeypatch.setattr(
        head, "read_first", lambda path, packed, size: read.append(size) or path.read_bytes()[:size]
    )
    found = head.sample(head.head_of(path), layout, _folder(tmp_path))
    assert len(found.read_text().splitlines()) == head.ROWS + (layout == "csv")
    assert sum(read) == 2 * head.HEAD_BYTES + 1


def _folder(tmp_path):
    folder = tmp_path / "first"
    folder.mkdir()
    return folder
