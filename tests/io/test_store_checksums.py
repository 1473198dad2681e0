"""A bit that flipped, a file that is gone: found, named, and never other numbers in silence."""

import random
import shutil
import zipfile

import numpy as np
import pytest
import xarray as xr
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.io import sealing, store

FORMS = store.SUFFIXES
REMEDY = "copy the study again, or generate it again with recover-nb run"


def flip(path, at, bit=0):
    """Flip one bit of a file, counted from its end where `at` is negative."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(bytes(content))


def files_of(folder):
    return sorted(
        each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()
    )


def said(path, **options):
    with pytest.raises(InputError) as caught:
        store.open_study(path, **options).load()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- one bit
# ------------------------------------------------------------------------------------------


def test_a_flipped_bit_of_any_file_of_a_folder_is_found_and_the_file_is_named(saved):
    names, draw = files_of(saved), random.Random(1)
    assert {".files", ".zattrs", ".zgroup", ".zmetadata", "features/.zarray"} < set(names)
    # One of each kind, and every seventh of the rest.
    for name in [".files", ".zattrs", ".zgroup", ".zmetadata", "features/.zarray", *names[::7]]:
        content = (saved / name).read_bytes()
        flip(saved / name, draw.randrange(len(content)), draw.randrange(8))
        assert f"the file {name} is damaged" in (text := said(saved)), name
        assert str(saved) in text
        assert REMEDY in text
        (saved / name).write_bytes(content)
    assert store.open_study(saved, load=True).equals(tiny_study())


@pytest.mark.parametrize("suffix", FORMS)
def test_sixty_flipped_bits_are_found_or_change_nothing(tmp_path, suffix):
    truth, draw = tiny_study(), random.Random(suffix)
    path = store.save_study(truth, tmp_path / f"s{suffix}")
    whole = store.open_study(path, load=True)
    places = [path / name for name in files_of(path)] if path.is_dir() else [path]
    sizes, found = [each.stat().st_size for each in places], 0
    for _ in range(60):
        place = draw.choices(places, sizes)[0]
        content = place.read_bytes()
        flip(place, draw.randrange(len(content)), draw.randrange(8))
        try:
            xr.testing.assert_identical(store.open_study(path, load=True), whole)
        except InputError:
            found += 1
        place.write_bytes(content)
    # In a zip, what lies between the members (times, local headers) is read by nobody.
    assert found >= (60 if suffix == ".zarr" else 30)


@pytest.mark.parametrize("suffix", [".zarr", ".zarr.zip"])
def test_damage_is_told_when_it_is_read(tmp_path, suffix):
    path = store.save_study(tiny_study(), tmp_path / f"s{suffix}")
    if suffix == ".zarr":
        flip(path / "entropy" / "0.0.0", -1)
    else:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("entropy/0.0.0")
        flip(path, info.header_offset + 30 + len(info.filename) + info.file_size - 1)
    with store.open_study(path) as ds:
        assert ds["correct"].values.shape == (6, 5, 6)
        for part in (ds["entropy"], ds["entropy"].isel(problem=0), ds[["entropy"]].isel(token=1)):
            with pytest.raises(InputError, match=r"the file entropy/0\.0\.0 is damaged"):
                part.load()
        with pytest.raises(InputError, match=r"entropy/0\.0\.0"):
            rnb.to_jsonl(ds, tmp_path / "s.jsonl")
    assert not (tmp_path / "s.jsonl").exists()


def test_dask_tells_damage_too(saved):
    pytest.importorskip("dask")
    flip(saved / "entropy" / "0.0.0", -1)
    ds = store.open_study(saved, chunks={})
    with pytest.raises(InputError, match=r"the file entropy/0\.0\.0 is damaged"):
        ds["entropy"].mean().compute()


@pytest.mark.parametrize("chunks", [{}, "auto", {"problem": -1}])
@pytest.mark.parametrize("suffix", FORMS)
def test_a_study_opens_in_chunks(tmp_path, suffix, chunks):
    pytest.importorskip("dask")
    path = store.save_study(tiny_study(), tmp_path / f"s{suffix}")
    with store.open_study(path, chunks=chunks) as ds:
        assert ds["entropy"].chunks is not None
        assert ds.load().equals(tiny_study())


def test_a_damaged_chunk_without_a_checksum_is_a_sentence(saved):
    (saved / ".files").unlink()
    place = saved / "entropy" / "0.0.0"
    place.write_bytes(place.read_bytes()[:20])
    with store.open_study(saved) as ds, pytest.raises(InputError) as caught:
        ds["entropy"].load()
    assert f"{saved}: the variable entropy cannot be read" in str(caught.value)
    assert REMEDY in str(caught.value)


@pytest.mark.parametrize("at", [3, 2000, -200, -1])
def test_a_flipped_bit_of_netcdf_is_found_or_only_ends_the_check(tmp_path, at):
    path = rnb.to_netcdf(tiny_study(), tmp_path / "s.nc")
    flip(path, at)
    if at == -1:
        # The mark of the checksum itself: nothing is checked, and nothing is wrong.
        assert store.open_study(path, load=True).equals(tiny_study())
    else:
        assert "s.nc: the file is damaged" in (text := said(path))
        assert "copy it again" in text


def test_netcdf_is_read_by_xarray_and_has_checksums_of_its_own(tmp_path):
    path = rnb.to_netcdf(tiny_study(), tmp_path / "s.nc")
    with xr.open_dataset(path, engine="h5netcdf") as ds:
        xr.testing.assert_equal(ds.load(), tiny_study())
        assert ds["entropy"].encoding["fletcher32"] is True


# --- a file that is gone
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["features/0.0", "entropy/0.0.0", "level/.zarray", ".zattrs"])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_missing_file_is_named_and_is_not_zeros(saved, name, form):
    path = saved
    if form == "zip":
        path = saved.with_suffix(".zarr.zip")
        store.zip_folder(saved, path)
        with zipfile.ZipFile(path) as whole, zipfile.ZipFile(path.with_suffix(".n"), "w") as part:
            for each in whole.infolist():
                if each.filename != name:
                    part.writestr(each, whole.read(each))
        path.with_suffix(".n").replace(path)
    else:
        (saved / name).unlink()
    assert f"{path}: the file {name} is missing; {REMEDY}" in said(path)


def test_a_file_that_goes_after_opening_is_missed(saved):
    with store.open_study(saved) as ds:
        (saved / "entropy" / "0.0.0").unlink()
        with pytest.raises(InputError, match=r"the file entropy/0\.0\.0 is missing"):
            ds["entropy"].load()


@pytest.mark.parametrize("change", ["cut", "longer", "empty"])
def test_a_file_of_another_size_is_found_at_opening(saved, change):
    place = saved / "features" / "0.0"
    content = place.read_bytes()
    place.write_bytes({"cut": content[:-1], "longer": content + b"0", "empty": b""}[change])
    with pytest.raises(InputError) as caught:
        store.open_study(saved)
    given = {"cut": len(content) - 1, "longer": len(content) + 1, "empty": 0}[change]
    assert f"it has {given} of {len(content)} bytes" in str(caught.value)


def test_a_count_of_files_as_older_studies_have_it_is_still_held(saved):
    (saved / ".files").unlink()
    n_files = len(files_of(saved))
    (saved / ".files").write_text(str(n_files))
    assert store.open_study(saved, load=True).equals(tiny_study())
    (saved / "features" / "0.0").unlink()
    assert f"{n_files - 1} of {n_files} files are there" in said(saved)


def test_a_study_without_checksums_is_read(saved):
    (saved / ".files").unlink()
    assert store.open_study(saved, load=True).equals(tiny_study())


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_chunks_that_others_leave_out_are_fill_values(tmp_path, zarr_format):
    path = tmp_path / "s.zarr"
    ds = tiny_study()
    ds["features"] = xr.zeros_like(ds["features"])
    # Format 2 knows one fill value, which xarray reads as missing; format 3 has one of its own.
    key, value = ("_FillValue", np.nan) if zarr_format == 2 else ("fill_value", 0.0)
    encoding = {"features": {key: 0.0}}
    ds.to_zarr(path, zarr_format=zarr_format, encoding=encoding, write_empty_chunks=False)
    assert not [name for name in files_of(path) if name in ("features/0.0", "features/c/0/0")]
    np.testing.assert_array_equal(store.open_study(path)["features"], np.full((6, 3), value))


# --- what people do to a folder on purpose
# ------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Object at .files")
def test_a_folder_that_was_changed_on_purpose_says_how_to_go_on(saved):
    ds = xr.Dataset({"mine": ("problem", np.arange(6))}, attrs=tiny_study().attrs)
    ds.to_zarr(saved, mode="a", zarr_format=2)
    text = said(saved)
    assert text.endswith("if it was changed on purpose, remove .files")
    (saved / ".files").unlink()
    assert store.open_study(saved)["mine"].values.tolist() == [0, 1, 2, 3, 4, 5]


def test_copies_keep_their_checksums(tmp_path, saved):
    copy = shutil.copytree(saved, tmp_path / "copy.zarr")
    store.zip_folder(saved, tmp_path / "own.zarr.zip")
    shutil.make_archive(str(tmp_path / "theirs.zarr"), "zip", saved)
    for path in (copy, tmp_path / "own.zarr.zip", tmp_path / "theirs.zarr.zip"):
        assert store.open_study(path, load=True).equals(tiny_study())
    flip(copy / "features" / "0.0", 20)
    assert "the file features/0.0 is damaged" in said(copy)


def test_a_url_is_checked_as_a_folder_is(saved):
    fsspec = pytest.importorskip("fsspec")
    flip(saved / "features" / "0.0", 20)
    files = fsspec.filesystem("memory")
    for name in ("features/0.0", "entropy/0.0.0"):
        place = f"/{saved.parent.name}{len(name)}/s.zarr"
        files.put(str(saved), place, recursive=True)
        if name != "features/0.0":
            files.rm(f"{place}/features/0.0")
        kind = "damaged" if name == "features/0.0" else "missing"
        with pytest.raises(InputError, match=rf"the file features/0\.0 is {kind}"):
            store.open_study(f"memory:/{place}")["features"].load()


def test_names_of_any_kind_are_listed(tmp_path):
    for name in ("a b", "é\n\u2028", "%20"):
        (tmp_path / name).write_text(name)
    sealing.seal(tmp_path)
    found = sealing.manifest_of(tmp_path, (tmp_path / ".files").read_bytes()).files
    assert found == {
        "a b": (3, 0x806C5CD3),
        "é\n\u2028": (6, found["é\n\u2028"][1]),
        "%20": (3, found["%20"][1]),
    }
