"""What xarray writes by itself today, Zarr of format 3: read as a study, by the same rules."""

import json
import zipfile

import numpy as np
import pytest
import xarray as xr
import zarr
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.io import store

pytestmark = pytest.mark.filterwarnings(
    "ignore:Consolidated metadata is", "ignore:Numcodecs codecs are not", "ignore:The data type"
)


def written(path, **options):
    tiny_study().to_zarr(path, zarr_format=3, **options)
    return path


def packed(folder):
    archive = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(archive, "w") as file:
        for each in sorted(folder.rglob("*")):
            if each.is_file():
                file.write(each, each.relative_to(folder).as_posix())
    return archive


def change(folder, name, **fields):
    """Write other metadata of one array, in both places."""
    for place in (folder / "zarr.json", folder / name / "zarr.json"):
        found = json.loads(place.read_text())
        below = found.get("consolidated_metadata")
        (below["metadata"][name] if below else found).update(fields)
        place.write_text(json.dumps(found))


def test_what_xarray_writes_by_default_is_read(tmp_path):
    ds = tiny_study()
    ds.to_zarr(tmp_path / "s.zarr")
    assert (tmp_path / "s.zarr" / "zarr.json").is_file()
    for path in (tmp_path / "s.zarr", packed(tmp_path / "s.zarr")):
        found = store.open_study(path, load=True)
        xr.testing.assert_equal(found, ds)
        assert found["origin"].dtype == found["prompt"].dtype == object
        assert found["family"].values.tolist() == ds["family"].values.tolist()
        again = store.save_study(found, tmp_path / f"again{path.suffix}.zarr")
        assert store.open_study(again, load=True).equals(ds)


@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("form", ["folder", "zip", "url"])
def test_every_form_of_it_is_read(tmp_path, consolidated, form):
    place = written(tmp_path / "s.zarr", consolidated=consolidated)
    if form == "zip":
        place = packed(place)
    elif form == "url":
        fsspec = pytest.importorskip("fsspec")
        place = f"memory://{tmp_path.name}/s.zarr"
        fsspec.filesystem("memory").put(
            str(tmp_path / "s.zarr"), place.removeprefix("memory:/"), recursive=True
        )
    assert rnb.open_study(place, load=True).equals(tiny_study())


@pytest.mark.parametrize("command", ["info", "evaluate"])
def test_commands_take_it(tmp_path, capsys, command):
    path = written(tmp_path / "s.zarr")
    own = store.save_study(tiny_study(), tmp_path / "own.zarr")
    printed = []
    for each in (path, own):
        main([command, str(each), "--json"])
        printed.append(capsys.readouterr().out)
    assert {**json.loads(printed[0]), "created_at": 0} == {
        **json.loads(printed[1]),
        "created_at": 0,
    }


CODECS = {
    "none": {"compressors": None},
    "gzip": {"compressors": zarr.codecs.GzipCodec()},
    "blosc": {"compressors": zarr.codecs.BloscCodec(cname="lz4")},
    "checked": {"compressors": (zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec())},
    "shards": {"chunks": (3, 5, 7), "shards": (6, 5, 7)},
    "turned": {"filters": zarr.codecs.TransposeCodec(order=(2, 1, 0))},
    "small": {"chunks": (1, 1, 1)},
}


@pytest.mark.parametrize("name", CODECS)
def test_codecs_that_come_with_zarr_are_read(tmp_path, name):
    path = written(tmp_path / "s.zarr", encoding={"entropy": CODECS[name]})
    for each in (path, packed(path)):
        found = store.open_study(each, load=True)
        np.testing.assert_array_equal(found["entropy"], tiny_study()["entropy"])


def test_text_of_fixed_width_is_text(tmp_path):
    ds = tiny_study()
    ds["prompt"] = ds["prompt"].astype("U20")
    ds.to_zarr(tmp_path / "s.zarr")
    found = store.open_study(tmp_path / "s.zarr", load=True)
    assert found["prompt"].values.tolist() == tiny_study()["prompt"].values.tolist()


REGULAR = {"name": "regular", "configuration": {"chunk_shape": [6]}}
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
HOSTILE = {
    "pickle": ({"codecs": [BYTES, {"name": "numcodecs.pickle"}]}, "codec 'numcodecs.pickle'"),
    "plugin": ({"codecs": [{"name": "some_plugin"}]}, "codec 'some_plugin'"),
    "json": ({"codecs": [{"name": "numcodecs.json2"}]}, "codec 'numcodecs.json2'"),
    "unnamed": ({"codecs": [{"id": "pickle"}]}, "codec 'None'"),
    "list": ({"codecs": [["pickle"]]}, "codec"),
    "text": ({"codecs": "pickle"}, "codecs 'pickle'"),
    "inside": (
        {
            "codecs": [
                {
                    "name": "sharding_indexed",
                    "configuration": {
                        "chunk_shape": [6],
                        "codecs": [{"name": "numcodecs.pickle"}],
                        "index_codecs": [BYTES],
                    },
                }
            ]
        },
        "codec 'numcodecs.pickle'",
    ),
    "blosc": (
        {"codecs": [BYTES, {"name": "blosc", "configuration": {"cname": "other"}}]},
        "blosc with other",
    ),
    "type": ({"data_type": "object"}, "type 'object'"),
    "struct": ({"data_type": {"name": "structured", "configuration": {}}}, "type 'structured'"),
    "transformer": ({"storage_transformers": [{"name": "x"}]}, "storage transformer"),
    "grid": ({"chunk_grid": {"name": "rectilinear"}}, "grid of chunks 'rectilinear'"),
    "keys": ({"chunk_key_encoding": {"name": "script"}}, "names of chunks 'script'"),
    "shape": ({"shape": [-6]}, "has shape"),
    "chunks": (
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0]}}},
        "has chunks",
    ),
    "large": (
        {"shape": [10**15], "chunk_grid": REGULAR | {"configuration": {"chunk_shape": [10**14]}}},
        "one chunk of the array level needs 400.0 TB of memory",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_only_what_xarray_writes_is_decoded(tmp_path, name):
    fields, words = HOSTILE[name]
    path = written(tmp_path / "s.zarr")
    change(path, "level", **fields)
    for each in (path, packed(path)):
        with pytest.raises(InputError) as caught:
            store.open_study(each)
        assert words in str(caught.value)
        assert "level" in str(caught.value)
        assert "allowed: " in str(caught.value)
        assert str(each) in str(caught.value)


def test_an_array_elsewhere_is_refused(tmp_path):
    path = written(tmp_path / "s.zarr")
    place = path / "zarr.json"
    found = json.loads(place.read_text())
    below = found["consolidated_metadata"]["metadata"]
    below["../other"] = below.pop("level")
    place.write_text(json.dumps(found))
    with pytest.raises(InputError, match="a place of its own kind"):
        store.open_study(path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"zarr_format": 4}', "[" * 100_000])
def test_metadata_that_are_none_are_a_sentence(tmp_path, content):
    path = written(tmp_path / "s.zarr")
    (path / "zarr.json").write_text(content)
    with pytest.raises(InputError, match=r"the file zarr\.json is damaged"):
        store.open_study(path)
