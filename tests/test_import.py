import json
import subprocess
import sys
from pathlib import Path

import pytest
import stub

import recover_nb as rnb

HEAVY = ("torch", "transformers", "xarray", "pandas", "sklearn", "altair", "zarr", "numpy")


def loaded_after(code):
    """Return which heavy packages a fresh interpreter has loaded after `code`."""
    report = (
        f"import json, sys; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_import_is_light():
    assert loaded_after("import recover_nb") == []


@pytest.mark.parametrize(
    "code",
    [
        (
            "import recover_nb as rnb; rnb.open_study, rnb.load_study, rnb.load_lineage,"
            " rnb.StudyConfig"
        ),
        (
            "import recover_nb as rnb; rnb.compute_features, rnb.classify_regimes, rnb.route,"
            " rnb.evaluate_routing"
        ),
        "import recover_nb as rnb; rnb.signals_from_logits, rnb.from_profiles, rnb.validate",
        (
            "import recover_nb.cli.main, recover_nb.cli.commands, recover_nb.tables,"
            " recover_nb.report, recover_nb.routing.simulate"
        ),
    ],
)
def test_analysis_needs_no_torch(code):
    assert not {"torch", "transformers"} & set(loaded_after(code))


def test_opening_a_study_needs_no_torch(tmp_path):
    from tiny_study import tiny_study

    path = rnb.save_zip(tiny_study(), tmp_path / "s.zarr.zip")
    code = (
        f"import recover_nb as rnb; ds = rnb.open_study({str(path)!r}, load=True);"
        " rnb.cell_names(ds)"
    )
    assert not {"torch", "transformers"} & set(loaded_after(code))


def test_views_leave_what_is_loaded_out_of_collections():
    """Going through 300,000 objects takes a fifth of a second, in the middle of a reader's drag."""
    code = "import gc, recover_nb.widgets; print(gc.get_freeze_count(), len(gc.get_objects()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    frozen, left = map(int, done.stdout.split())
    assert frozen > 100_000 and left < frozen / 10


def test_every_public_name_is_there():
    for name in rnb.__all__:
        assert getattr(rnb, name) is not None
        assert name in dir(rnb)


def test_the_stub_says_what_the_package_hands_on():
    assert stub.STUB.read_text("utf-8") == stub.render(), "run: make stub"
    assert "from recover_nb.io.store import load_study as load_study" in stub.render()


def test_short_names_are_the_modules_themselves():
    code = """
import recover_nb.decoding.sampling
from recover_nb.decoding import Settings, memory
from recover_nb.signals import signals_from_logits
import recover_nb as rnb, recover_nb.generation.decoding.sampling as real
from recover_nb.generation import decoding
assert recover_nb.decoding is decoding is rnb.decoding
assert recover_nb.decoding.sampling is real
assert decoding.__name__ == decoding.__spec__.name == "recover_nb.generation.decoding"
assert memory.__name__ == memory.__spec__.name == "recover_nb.generation.decoding.memory"
assert signals_from_logits is rnb.signals_from_logits
try:
    import recover_nb.no_such_module
except ModuleNotFoundError as error:
    assert error.name == "recover_nb.no_such_module"
else:
    raise SystemExit("found a module that is not there")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_public_name_is_lost():
    """A name leaves `public_names.txt` only with a line in the changelog.

    Somebody's notebook may call it. What stands there is what the documentation names.
    """
    names = Path(__file__).with_name("public_names.txt").read_text().split()
    assert len(names) > 150
    lost = [name for name in names if not _reached(name)]
    assert not lost, f"these names are gone: {', '.join(lost)}"
    assert not _reached("tables.no_such_table")


def _reached(name):
    whole = rnb
    for part in name.split("."):
        whole = getattr(whole, part, None)
    return whole is not None


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'miracle'"):
        rnb.miracle  # noqa: B018


def test_without_torch_the_extra_is_named():
    code = """
import sys
sys.modules["torch"] = None
import recover_nb as rnb
try:
    rnb.load_pair
except ModuleNotFoundError as error:
    assert "pip install 'recover-nb[models]'" in str(error), error
else:
    raise SystemExit("torch was found")
from recover_nb.cli.main import main
raise SystemExit(main(["run", "--out", "x.zarr", "--quick"]) != 2)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "recover-nb[models]" in done.stderr
    assert done.stderr.count("\n") == 1
