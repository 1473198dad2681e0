"""The notes of an import: as a table, in `recover-nb info`, and folded below every view."""

import json
from pathlib import Path

import pytest

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.widgets.parts.notes import Notes, notes_of

FIXTURES = Path(__file__).parent.parent / "fixtures" / "logprobs"
HOSTILE = "3 rows <img src=x onerror=alert(1)> \x1b[2J are left out"
VIEWS = (
    "RoutingExplorer",
    "StabilityExplorer",
    "TopographyExplorer",
    "TraceInspector",
    "TraceSurgeon",
    "RolloutStepper",
)


@pytest.fixture(scope="module")
def imported():
    files = (FIXTURES / f"vllm_{name}.jsonl" for name in ("specialist", "ancestor"))
    ds = rnb.from_vllm_logprobs(*files)
    counts = json.dumps({"no_reward": 3, "rollouts": 1200})
    notes = [HOSTILE, "1,200 rollouts read, 3 of them twice", "a note of nothing"]
    return ds.assign_attrs(import_notes=notes, import_counts_json=counts)


def test_notes_as_a_table(imported):
    found = rnb.tables.notes_of_import(imported)
    assert found["note"].tolist() == list(imported.attrs["import_notes"])
    assert found["count"].isna().tolist() == [False, False, True]
    assert found["count"].tolist()[:2] == [3, 1200]


def test_one_note_that_a_store_gives_back_as_text(imported):
    ds = imported.assign_attrs(import_notes="only one")
    assert rnb.tables.notes_of_import(ds)["note"].tolist() == ["only one"]


@pytest.mark.parametrize("counts", ["{", "[1]", "3"])
def test_counts_that_cannot_be_read(imported, counts):
    ds = imported.assign_attrs(import_counts_json=counts)
    assert rnb.tables.notes_of_import(ds)["count"].isna().all()


def test_no_notes_of_a_study_of_our_own():
    ds = rnb.load_study().isel(problem=slice(0, 2))
    assert len(rnb.tables.notes_of_import(ds)) == 0
    assert notes_of(ds) == notes_of(None) == ()


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_folds_them_in(imported, name):
    view = getattr(rnb.widgets, name)(imported)
    (notes,) = (each for each in view.children if isinstance(each, Notes))
    assert notes.head.title == "3 notes on this import"
    assert not notes.head.unfolded
    assert "&lt;img src=x onerror=alert(1)&gt; \\x1b[2J" in notes.words.value
    assert "<img" not in notes.words.value
    still = view.still()
    assert "<summary>3 notes on this import</summary>" in still and "<img src=x" not in still


def test_one_note():
    assert Notes(["x"]).head.title == "1 note on this import"


def test_no_fold_without_notes():
    view = rnb.widgets.TraceInspector(rnb.load_study(), problem=1081)
    assert not any(isinstance(each, Notes) for each in view.children)


def test_info_prints_them(imported, tmp_path, capsys):
    path = rnb.save_zip(imported, tmp_path / "s.zarr.zip")
    assert main(["info", str(path)]) == 0
    said = capsys.readouterr().out
    assert "notes on this import:\n  3 rows <img" in said and "\x1b" not in said
    assert said.endswith("  a note of nothing\n")
    assert main(["info", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["import_notes"] == list(imported.attrs["import_notes"])
    assert told["import_counts"] == {"no_reward": 3, "rollouts": 1200}
