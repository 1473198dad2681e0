"""What is no file is refused at once by every reader, in a sentence: pipes, devices, loops."""

import gzip
import json
import os
import signal
import socket
import tempfile

import pytest
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb.cli.commands import open_source
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.core.files import check_file, kind_of, open_file
from recover_nb.core.visible import visible
from recover_nb.io.store import write_folder
from recover_nb.report.findings.record import read_figures

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such paths")
#: Reader -> the ending that it takes.
READERS = {
    "jsonl": (rnb.from_jsonl, ".jsonl"),
    "list": (rnb.from_jsonl, ".json"),
    "lm_eval": (rnb.from_lm_eval, ".jsonl"),
    "inspect": (rnb.from_inspect, ".eval"),
    "vllm": (lambda path: rnb.from_vllm_logprobs(path, path), ".jsonl"),
    "openai": (lambda path: rnb.from_openai_logprobs(path, path), ".jsonl"),
    "shards": (rnb.from_vllm_logits, ".parquet"),
    "trl": (rnb.from_trl, ".parquet"),
    "verl": (rnb.from_verl, ".jsonl"),
    "table": (rnb.from_table, ".csv"),
    "parquet": (rnb.from_table, ".parquet"),
    "profiles": (rnb.from_profiles, ".csv"),
    "problems": (rnb.read_problems, ".jsonl"),
    "preview": (rnb.preview, ".jsonl"),
    "store": (rnb.open_study, ".zarr"),
    "zip": (rnb.open_study, ".zarr.zip"),
    "netcdf": (rnb.open_study, ".nc"),
    "source": (open_source, ".zarr.zip"),
    "ablations": (rnb.load_ablations, ".json"),
    "figures": (read_figures, ".json"),
}
READ = pytest.mark.parametrize("reader", READERS)


@pytest.fixture(autouse=True)
def at_once():
    """A reader that waits is ended by an alarm."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits"))
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path):
    os.mkfifo(path)


def listening(path):
    # A name of a socket is short.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"{folder}/s")
        server.close()
        os.rename(f"{folder}/s", path)


def device(name):
    return lambda path: os.symlink(f"/dev/{name}", path)


def loop(path):
    os.symlink(path, path.with_name("back"))
    os.symlink(path.with_name("back"), path)


ODD = {
    "pipe": (pipe, "is a pipe, not a file"),
    "socket": (listening, "is a socket, not a file"),
    "zero": (device("zero"), "is a device, not a file"),
    "urandom": (device("urandom"), "is a device, not a file"),
    "full": (device("full"), "is a device, not a file"),
    "null": (device("null"), "is a device, not a file"),
    "loop": (loop, "cannot be opened (Too many levels of symbolic links)"),
}


@READ
@pytest.mark.parametrize("kind", ODD)
def test_what_has_no_end_is_refused(tmp_path, reader, kind):
    read, ending = READERS[reader]
    make, words = ODD[kind]
    path = tmp_path / f"log{ending}"
    make(path)
    with pytest.raises(InputError) as caught:
        read(path)
    assert words in str(caught.value) and str(path) in str(caught.value)


@READ
def test_a_name_that_is_too_long(tmp_path, reader):
    read, ending = READERS[reader]
    with pytest.raises(InputError, match=r"cannot be opened \(File name too long\)"):
        read(tmp_path / f"{'x' * 300}{ending}")


@pytest.mark.parametrize("reader", sorted({*READERS} - {"figures", "shards"}))
def test_a_link_to_nothing(tmp_path, reader):
    read, ending = READERS[reader]
    path = tmp_path / f"log{ending}"
    os.symlink(tmp_path / "nowhere", path)
    with pytest.raises(InputError, match=r"a link to nothing|no such file|nothing there"):
        read(path)


@READ
def test_a_name_with_escapes_is_written_out(tmp_path, reader):
    read, ending = READERS[reader]
    path = tmp_path / f"a\x1b[2J\nb\u202e{ending}"
    path.write_text("{")
    try:
        said = str(read(path))
    except InputError as error:
        said = str(error)
    assert visible(said, lines=True) == said
    assert r"a\x1b[2J" in said


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("reader", sorted({*READERS} - {"preview", "store"}))
def test_deep_json_is_a_sentence(tmp_path, reader, text, packed):
    read, ending = READERS[reader]
    path = tmp_path / f"log{ending}"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with pytest.raises(InputError, match=str(path)):
        read(path)


@pytest.mark.parametrize("command", ["info", "evaluate", "story", "export", "import"])
@pytest.mark.parametrize("kind", ["pipe", "zero"])
def test_every_command(tmp_path, capsys, command, kind):
    path = tmp_path / "s.zarr.zip"
    ODD[kind][0](path)
    more = {
        "story": ["--out", str(tmp_path / "s.html")],
        "export": [str(tmp_path / "t.csv")],
        "import": ["--out", str(tmp_path / "o.zarr")],
    }.get(command, [])
    first = {"export": ["profiles"], "import": ["jsonl"]}.get(command, [])
    assert main([command, *first, str(path), *more]) == 2
    assert ODD[kind][1] in capsys.readouterr().err


def test_kinds(tmp_path):
    (tmp_path / "file").write_text("x")
    assert kind_of(tmp_path / "file") == "a file"
    assert kind_of(tmp_path) == "a folder"
    assert kind_of(tmp_path / "file" / "inside") == kind_of(tmp_path / "none") == ""
    with open_file(tmp_path / "file") as file:
        assert file.read() == b"x"
    with pytest.raises(InputError, match=r"log: a folder; give one file, a log"):
        (tmp_path / "log").mkdir()
        check_file(tmp_path / "log", "a log")
    with pytest.raises(InputError, match="embedded null byte"):
        kind_of(tmp_path / "a\0b")


def test_a_file_that_becomes_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "log")
    with pytest.raises(InputError, match="is a pipe, not a file"):
        open_file(tmp_path / "log")


HARMS = {
    "deep": ("[" * 100_000, "is nested too deeply"),
    "huge number": ('{"seed": ' + "9" * 5000 + "}", "is not JSON (a huge number)"),
    "cut": ('{"seed": 1', "is not JSON (Expecting ',' delimiter"),
    "list": ("[1]", "is of type list"),
    "text": ('"x"', "is of type str"),
    "number": (7, "is of type int"),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["config_json", "provenance_json", "import_counts_json"])
def test_attributes_that_are_no_json(tmp_path, capsys, harm, name):
    value, words = HARMS[harm]
    # Nothing of ours writes such an attribute.
    path = tmp_path / "s.zarr"
    write_folder(tiny_study().assign_attrs({name: value}), path)
    assert main(["info", str(path)]) == 2
    said = capsys.readouterr()
    assert f"attribute {name} of the study {words}" in said.err
    assert said.err.count("\n") == 1 and said.out == ""


@pytest.mark.parametrize("settings", [[], "x", 3], ids=["list", "text", "number"])
def test_settings_that_are_no_object(settings):
    from recover_nb.widgets.models import stored_settings

    ds = tiny_study().assign_attrs(config_json=json.dumps({"settings": settings}))
    with pytest.raises(InputError, match=r"config_json of the study has of type \w+ as 'settings'"):
        stored_settings(ds)


def test_info_of_attributes_of_any_kind(tmp_path, capsys):
    odd = {"megabytes": -1, "numbers": [1, 2], "nan": float("nan"), "sizes": "mine"}
    path = tmp_path / "s.zarr"
    write_folder(tiny_study().assign_attrs(odd), path)
    assert main(["info", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["attribute megabytes"] == -1 and found["megabytes"] == 0.0
    assert found["attribute sizes"] == "mine" and found["sizes"]["problem"] == 6
    assert found["numbers"] == [1, 2] and found["nan"] is None
