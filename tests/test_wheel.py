"""The package as users have it: a wheel, installed without the repository, used elsewhere."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow

#: What an installation without the extra `models` lacks.
NO_MODELS = "import sys; sys.modules.update(torch=None, transformers=None)\n"


def call(*command, cwd, check=True):
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=600
    )
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return the wheel of what git would commit: nothing ignored, and no file left over."""
    listed = call(
        "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT
    ).stdout
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in filter(None, listed.split("\0")):
        # A file that was deleted is still listed until that is committed.
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-index")
    call(*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", out, copy, cwd=out)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Return the programs' folder of an environment of the wheel and all else installed here."""
    place = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", "--without-pip", place, cwd=place)
    programs = place / ("Scripts" if sys.platform == "win32" else "bin")
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        programs / "python",
    )
    call(*pip, "install", "--no-index", "--no-deps", wheel, cwd=place)
    paths = sysconfig.get_paths(vars={"base": str(place), "platbase": str(place)})
    # The path alone: the links of editable packages in that folder are not followed.
    Path(paths["purelib"], "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return programs


@pytest.fixture
def python(installed, tmp_path):
    def run(code):
        return call(installed / "python", "-c", code, cwd=tmp_path).stdout

    return run


@pytest.fixture
def recover_nb(installed, tmp_path):
    def run(*arguments, check=True):
        return call(installed / "recover-nb", *arguments, cwd=tmp_path, check=check)

    return run


def test_the_wheel_holds_what_is_shipped_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "recover_nb",
        wheel.name.partition("-py3")[0] + ".dist-info",
    }
    notebooks = {
        f"recover_nb/notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")
    }
    assert notebooks and notebooks <= set(names)
    assert {
        "recover_nb/docs/glossary.md",
        "recover_nb/data/README.md",
        "recover_nb/data/study.zarr.zip",
    } <= set(names)
    assert {Path(name).suffix for name in names if name.startswith("recover_nb/docs/")} <= {
        ".md",
        ".png",
        ".svg",
        ".webp",
    }
    assert not [name for name in names if re.search(r"__pycache__|/\.|\.pyc$", name)]


def test_the_bundled_study_is_evaluated_without_models(python, installed):
    lines = python(
        NO_MODELS + "import recover_nb as rnb\n"
        "print(rnb.__file__)\n"
        "ds = rnb.load_study()\n"
        "evaluation = rnb.evaluate_routing(ds.isel(problem=slice(0, 200)))\n"
        "print(sorted(evaluation.to_dict()['cells']))\n"
    ).splitlines()
    # Not the checkout, which is where the tests themselves run.
    assert Path(lines[0]).is_relative_to(installed.parent)
    assert "qwen3|sft|arithmetic" in lines[1]


def test_the_checkpoints_run(recover_nb, tmp_path):
    recover_nb(
        "run",
        "--out",
        "mine.zarr",
        "--quick",
        "--family",
        "neox",
        "--method",
        "sft",
        "--task",
        "program",
        "--problems",
        "2",
        "--rollouts",
        "2",
        "--attempts",
        "2",
        "--max-new-tokens",
        "8",
    )
    found = json.loads(recover_nb("info", "mine.zarr", "--json").stdout)
    assert found["sizes"]["problem"] == 2


def test_the_notebooks_are_copied_out(recover_nb, tmp_path):
    printed = recover_nb("notebooks", "mine").stdout.split()
    names = [path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    assert printed == [str(Path("mine", name)) for name in names]
    assert (tmp_path / "mine" / "docs" / "glossary.md").read_text() == (
        ROOT / "docs" / "glossary.md"
    ).read_text()
    (tmp_path / "mine" / names[0]).write_text("changed")
    refused = recover_nb("notebooks", "mine", check=False)
    assert refused.returncode == 2 and names[0] in refused.stderr
    assert (tmp_path / "mine" / names[0]).read_text() == "changed"


@pytest.mark.parametrize("command", [["findings"], ["bench"], ["train", "--family", "neox"]])
def test_what_needs_a_checkout_says_so(recover_nb, command):
    refused = recover_nb(*command, check=False)
    assert refused.returncode == 2
    assert "checkout" in refused.stderr and len(refused.stderr.splitlines()) == 1
