"""Hostile and clumsy places, stores and checkpoints: nothing is lost, runs or leaks in."""

import json
import os
import shutil
import zipfile

import h5py
import numpy as np
import pytest
import xarray as xr
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb import widgets
from recover_nb.cli.main import main
from recover_nb.core import places
from recover_nb.core.errors import InputError
from recover_nb.core.shipped import data_folder
from recover_nb.generation.staging import Staging
from recover_nb.io import store

WRITERS = {
    ".zarr": store.save_study,
    ".zarr.zip": rnb.save_zip,
    ".nc": rnb.to_netcdf,
    ".jsonl": rnb.to_jsonl,
    ".csv": rnb.to_profiles,
}


def contents(folder):
    """Return every file below a folder with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def precious(tmp_path):
    folder = tmp_path / "precious.zarr"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "thesis.txt").write_text("x")
    return folder


# --- taken places
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_is_no_study_is_never_replaced(tmp_path, precious, suffix, replace):
    target = precious.rename(tmp_path / f"precious{suffix}")
    with pytest.raises(InputError, match="choose another"):
        WRITERS[suffix](tiny_study(), target, replace=replace)
    assert contents(target) == {"sub/thesis.txt": b"x"}
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("suffix", WRITERS)
def test_an_existing_target_is_replaced_only_when_asked(tmp_path, suffix):
    path = WRITERS[suffix](tiny_study(n=4), tmp_path / f"s{suffix}")
    before = contents(tmp_path)
    with pytest.raises(InputError, match="exists"):
        WRITERS[suffix](tiny_study(), path)
    assert contents(tmp_path) == before
    assert WRITERS[suffix](tiny_study(), path, replace=True) == path
    assert contents(tmp_path) != before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_link_is_never_replaced_nor_what_it_leads_to(tmp_path, suffix):
    (tmp_path / "mine").write_text("mine")
    for name, aim in (("whole", "mine"), ("dangling", "nothing")):
        link = tmp_path / f"{name}{suffix}"
        link.symlink_to(tmp_path / aim)
        for replace in (False, True):
            with pytest.raises(InputError, match=r"is a link|exists"):
                WRITERS[suffix](tiny_study(), link, replace=replace)
        assert link.is_symlink()
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("stranger", ["notes.txt", "correct/notes.txt", "mine/notes.txt"])
def test_a_study_with_something_else_in_it_is_not_replaced(saved, stranger):
    (saved / stranger).parent.mkdir(exist_ok=True)
    (saved / stranger).write_text("mine")
    with pytest.raises(InputError, match="not a study of ours alone"):
        store.save_study(tiny_study(n=3), saved, replace=True)
    assert (saved / stranger).read_text() == "mine"


def test_a_zarr_folder_of_other_data_is_not_replaced(tmp_path):
    path = tmp_path / "weather.zarr"
    xr.Dataset({"t": ("x", [1.0])}).to_zarr(path, zarr_format=2)
    before = contents(path)
    with pytest.raises(InputError, match="not those of a study"):
        store.save_study(tiny_study(), path, replace=True)
    assert contents(path) == before


@pytest.mark.parametrize("suffix", store.SUFFIXES)
def test_a_study_is_not_written_over_what_it_is_read_from(tmp_path, suffix):
    path = store.save_study(tiny_study(), tmp_path / f"s{suffix}")
    with store.open_study(path) as ds:
        for part in (ds, ds.isel(problem=slice(0, 4)), ds.copy()):
            with pytest.raises(InputError, match=r"is not replaced: .* read from it; call \.load"):
                store.save_study(part, path, replace=True)
        other = store.save_study(ds, tmp_path / "other.zarr")
        assert store.save_study(ds.load(), path, replace=True) == path
    xr.testing.assert_identical(
        store.open_study(path, load=True), store.open_study(other, load=True)
    )


@pytest.mark.parametrize("place", [".", "s.zarr", "s.zarr/new.jsonl", "s.zarr/correct/new.jsonl"])
def test_export_to_the_study_itself_its_parent_or_inside_it(tmp_path, saved, capsys, place):
    before = contents(tmp_path)
    assert main(["export", "jsonl", str(saved), str(tmp_path / place)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert contents(tmp_path) == before


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_appears_meanwhile_stays(tmp_path, kind):
    path = tmp_path / "a.zarr"
    with (
        pytest.raises(InputError, match="appeared while the result was made"),
        places.placed(path) as temporary,
    ):
        if kind == "file":
            temporary.write_text("made")
            path.write_text("mine")
        else:
            temporary.mkdir()
            path.mkdir()
            (path / "mine").write_text("mine")
    assert list(contents(tmp_path).values()) == [b"mine"]


def test_what_is_exchanged_meanwhile_stays(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("before")
    with (
        pytest.raises(InputError, match="has changed"),
        places.placed(path, replace=True) as temporary,
    ):
        temporary.write_text("made")
        (tmp_path / "b").write_text("mine")
        os.replace(tmp_path / "b", path)
    assert contents(tmp_path) == {"a.csv": b"mine"}


def test_a_failure_leaves_no_temporary_file(tmp_path):
    with pytest.raises(RuntimeError), places.placed(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


# --- unfinished runs
# ------------------------------------------------------------------------------------------


def test_a_partial_folder_of_somebody_else_is_left_alone(tmp_path):
    staging = Staging(tmp_path / "s.zarr")
    staging.folder.mkdir()
    for name in ("notes.tmp", "lock"):
        (staging.folder / name).write_text("mine")
    with (
        pytest.raises(InputError, match=r"holds notes\.tmp, which no run has made"),
        staging.locked(),
    ):
        pass
    staging.remove()
    assert (staging.folder / "notes.tmp").read_text() == "mine"


def test_a_partial_folder_that_leads_elsewhere_is_left_alone(tmp_path, precious):
    staging = Staging(tmp_path / "s.zarr")
    staging.folder.mkdir()
    (staging.folder / "whole").symlink_to(precious)
    with pytest.raises(InputError, match="is a link"), staging.locked():
        pass
    assert contents(precious) == {"sub/thesis.txt": b"x"}


SMALL = [
    "--family",
    "qwen3",
    "--method",
    "sft",
    "--task",
    "arithmetic",
    "--problems",
    "2",
    "--rollouts",
    "2",
    "--attempts",
    "2",
    "--max-new-tokens",
    "8",
]


@pytest.mark.parametrize("device", ["cuda:77", "banana", "meta", ""])
def test_a_device_that_is_not_there_leaves_nothing(tmp_path, capsys, device):
    for command in (
        ["run", "--out", tmp_path / "q.zarr", *SMALL],
        ["ablate", "--out", tmp_path / "a.json"],
    ):
        assert main([*map(str, command), "--device", device]) == 2
        said = capsys.readouterr().err
        assert f"device {device!r} cannot be used here" in said
        assert "allowed: cpu" in said
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_block_does_not_block_another(tmp_path, capsys):
    out = tmp_path / "q.zarr"
    Staging(out).begin({"attrs": {"config_json": "{}", "provenance_json": "{}"}})
    assert main(["run", "--out", str(out), *SMALL, "--device", "cpu"]) == 0
    assert [each.name for each in tmp_path.iterdir()] == ["q.zarr"]


@pytest.mark.parametrize("name", ["demo.zarr", "demo.json", "demo.html", "demo.zarr.partial"])
def test_the_demo_replaces_only_a_demo(tmp_path, capsys, name):
    path = tmp_path / name
    if path.suffix in (".zarr", ".partial"):
        path.mkdir()
        (path / "mine").write_text("{}")
    else:
        path.write_text("{}")
    before = contents(tmp_path)
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "left alone" in (said := capsys.readouterr().err) or "never replaced" in said
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["findings.json", "findings.md"])
def test_findings_replace_only_findings(tmp_path, saved, capsys, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text('{"mine": 1}')
    assert main(["findings", str(saved), "--out", str(out)]) == 2
    assert "not" in capsys.readouterr().err
    assert contents(out) == {name: b'{"mine": 1}'}


@pytest.mark.parametrize("place", ["neox/ancestor", "neox/sft"])
def test_training_writes_over_nothing_else(tmp_path, capsys, place):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "model.safetensors").write_text("mine")
    assert main(["train", "--family", "neox", "--method", "sft", "--out", str(tmp_path)]) == 2
    assert "recover-nb train did not write" in capsys.readouterr().err
    assert contents(tmp_path) == {f"{place}/model.safetensors": b"mine"}


def test_a_state_of_training_takes_no_folder_of_others(tmp_path):
    from recover_nb.generation.lab.optimise import Progress

    (tmp_path / "progress").mkdir()
    (tmp_path / "progress" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match=r"holds thesis\.txt, so it is no state of training"):
        Progress(tmp_path / "progress").load(None, None)
    assert contents(tmp_path) == {"progress/thesis.txt": b"x"}


def test_a_view_saves_over_nothing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("mine")
    view = widgets.RoutingExplorer(tiny_study())
    with pytest.raises(InputError, match="exists"):
        view.save(path)
    assert path.read_text() == "mine"


# --- stores that ask for more than data
# ------------------------------------------------------------------------------


def change(path, name, **fields):
    """Write other metadata of one array, in both places."""
    for place in (path / ".zmetadata", path / name / ".zarray"):
        found = json.loads(place.read_text())
        (found["metadata"][f"{name}/.zarray"] if "metadata" in found else found).update(fields)
        place.write_text(json.dumps(found))


BLOSC = {"id": "blosc", "cname": "zstd", "clevel": 5, "shuffle": 0, "blocksize": 0}
HOSTILE = [
    ("family", {"compressor": {"id": "pickle", "protocol": 5}}, "codec 'pickle'"),
    ("family", {"filters": [{"id": "pickle"}]}, "filter 'pickle'"),
    ("family", {"filters": [{"id": "json2"}]}, "filter 'json2'"),
    ("family", {"filters": [{"id": "vlen-utf8"}, {"id": "msgpack2"}]}, "filter 'msgpack2'"),
    ("correct", {"compressor": {"id": "some_plugin"}}, "codec 'some_plugin'"),
    ("correct", {"compressor": {"id": ["pickle"]}}, "codec"),
    ("correct", {"compressor": BLOSC | {"cname": "other"}}, "blosc with other"),
    ("correct", {"dtype": "|O"}, r"type '\|O'"),
    ("correct", {"dtype": [["a", "<i4"]]}, "type"),
]


def packed(folder):
    archive = folder.with_suffix(".zarr.zip")
    store.zip_folder(folder, archive)
    return archive


@pytest.mark.parametrize(("name", "fields", "said"), HOSTILE)
@pytest.mark.parametrize("form", ["folder", "zip", "url"])
def test_only_what_we_write_is_decoded(saved, name, fields, said, form):
    change(saved, name, **fields)
    place = saved
    if form == "zip":
        place = packed(saved)
    elif form == "url":
        fsspec = pytest.importorskip("fsspec")
        place = f"memory://{saved.parent.name}/s.zarr"
        fsspec.filesystem("memory").put(str(saved), place.removeprefix("memory:/"), recursive=True)
    with pytest.raises(InputError, match=said) as caught:
        rnb.open_study(place)
    assert name in str(caught.value)
    assert "allowed: " in str(caught.value)


def test_metadata_of_one_array_alone_are_checked_too(saved):
    place = saved / "family" / ".zarray"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"compressor": {"id": "pickle"}}))
    for path in (saved, packed(saved)):
        with pytest.raises(InputError, match="codec 'pickle'"):
            rnb.open_study(path)


def test_an_array_elsewhere_is_refused(saved):
    place = saved / ".zmetadata"
    found = json.loads(place.read_text())
    found["metadata"]["../other/.zarray"] = found["metadata"].pop("level/.zarray")
    place.write_text(json.dumps(found))
    with pytest.raises(InputError, match="a place of its own kind"):
        rnb.open_study(saved)


@pytest.mark.parametrize("what", ["chunk", "array", "metadata"])
def test_a_link_out_of_the_folder_is_refused(tmp_path, saved, what):
    entry = saved / {"chunk": "level/0", "array": "level", "metadata": ".zattrs"}[what]
    outside = tmp_path / "outside"
    entry.rename(outside)
    entry.symlink_to(outside)
    with pytest.raises(InputError, match="leads out of the study"):
        rnb.open_study(saved)


def test_a_pipe_in_the_folder_is_refused(saved):
    os.mkfifo(saved / "level" / "1")
    with pytest.raises(InputError, match="is no file"):
        rnb.open_study(saved)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("../x", "outside"),
        ("/etc/x", "outside"),
        ("a\\..\\x", "outside"),
        ("level/0", "twice"),
        ("link", "is a link"),
    ],
)
def test_an_odd_member_of_a_zip_is_refused(saved, member, said):
    path = packed(saved)
    info = zipfile.ZipInfo(member)
    info.external_attr = (0o120777 if member == "link" else 0o100644) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match=said):
        rnb.open_study(path)


def test_what_xarray_writes_by_itself_is_read(tmp_path):
    ds = tiny_study()
    ds.to_zarr(tmp_path / "x.zarr", zarr_format=2)
    ds.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    for name in ("x.zarr", "x.nc"):
        xr.testing.assert_equal(rnb.open_study(tmp_path / name).load(), ds)


def external(file, secret):
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_external(str(secret).encode(), 0, 24)
    h5py.h5d.create(file.id, b"level", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((6,)), made)


def virtual(file, secret):
    layout = h5py.VirtualLayout((6,), "<i4")
    layout[:] = h5py.VirtualSource(str(secret), "x", (6,))
    file.create_virtual_dataset("level", layout)


def external_link(file, secret):
    file["level"] = h5py.ExternalLink(str(secret), "x")


def soft_link(file, secret):
    file["level"] = h5py.SoftLink("/warmup")


def other_filter(file, secret):
    file.create_dataset("level", data=np.zeros(6, "i4"), chunks=(6,), compression="lzf")


def other_type(file, secret):
    file.create_dataset("level", data=np.zeros(6, [("a", "i4")]))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (external, "lies in another file"),
        (virtual, "put together"),
        (external_link, "a link to another file"),
        (soft_link, "a link to another place"),
        (other_filter, "needs the filter lzf"),
        (other_type, "has a type"),
    ],
)
def test_a_netcdf_file_that_shows_another_is_refused(tmp_path, harm, said):
    path = rnb.to_netcdf(tiny_study(), tmp_path / "s.nc")
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.arange(6, dtype="<i4")
    with h5py.File(path, "a") as file:
        del file["level"]
        harm(file, tmp_path / "secret.h5")
    with pytest.raises(InputError, match=said) as caught:
        rnb.open_study(path)
    assert "level" in str(caught.value)


# --- checkpoints
# ------------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path):
    return shutil.copytree(data_folder() / "lab" / "qwen3" / "sft", tmp_path / "model")


def reweigh(folder, change):
    from safetensors.torch import load_file, save_file

    tensors = change(load_file(folder / "model.safetensors"))
    tensors = {name: each.contiguous() for name, each in tensors.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def reconfigure(folder, **fields):
    place = folder / "config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | fields))


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def renamed(tensors):
    return {name.replace("mlp", "ffn"): each for name, each in tensors.items()}


CHECKPOINTS = {
    "layer": (
        lambda p: reweigh(p, lambda t: {k: v for k, v in t.items() if "layers.1." not in k}),
        "are missing",
    ),
    "one": (
        lambda p: reweigh(p, lambda t: {k: v for k, v in t.items() if k != "model.norm.weight"}),
        r"1 are missing \(first model\.norm\.weight\)",
    ),
    "shape": (
        lambda p: reweigh(p, lambda t: t | {"model.norm.weight": t["model.norm.weight"][:5]}),
        r"1 are of another shape \(first model\.norm\.weight\)",
    ),
    "architecture": (lambda p: reweigh(p, renamed), "are missing"),
    "layers": (
        lambda p: reconfigure(p, num_hidden_layers=1, layer_types=None),
        "its configuration does not have",
    ),
    "kind": (
        lambda p: reconfigure(p, model_type="t5", architectures=["T5Model"]),
        "cannot be loaded",
    ),
    "nonsense": (lambda p: (p / "config.json").write_text("{"), "cannot be read"),
    "half": (
        lambda p: os.truncate(
            p / "model.safetensors", (p / "model.safetensors").stat().st_size // 2
        ),
        "copy",
    ),
    "empty": (lambda p: os.truncate(p / "model.safetensors", 0), "copy the checkpoint again"),
    "bytes": (
        lambda p: (p / "model.safetensors").write_bytes(b"\xff" * 5000),
        "copy the checkpoint again",
    ),
    "bin": (pickled, "no weights in safetensors"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check_memory", [True, False])
@pytest.mark.parametrize("fault", CHECKPOINTS)
def test_a_checkpoint_that_is_not_whole_is_refused(checkpoint, fault, check_memory):
    harm, said = CHECKPOINTS[fault]
    harm(checkpoint)
    ancestor = data_folder() / "lab" / "qwen3" / "ancestor"
    with pytest.raises(InputError, match=said) as caught:
        rnb.load_pair(checkpoint, ancestor, device="cpu", check_memory=check_memory)
    assert str(checkpoint) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tied_weights_that_are_not_stored_are_no_fault(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = data_folder() / "lab" / "qwen3" / "sft"
    config = AutoModelForCausalLM.from_pretrained(source).config
    config.tie_word_embeddings = True
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path)
    assert rnb.load_pair(tmp_path, tmp_path, device="cpu").vocab_size > 0
