"""The Binder folder says what pyproject.toml says, and repo2docker makes of it what is meant."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import badges
import pin
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
BINDER = ROOT / "binder"
REQUIREMENTS = BINDER / "requirements.txt"


def declared():
    """Return name -> requirement of the package, its models, the lab and its file formats."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = project["dependencies"] + extras["models"] + extras["lab"] + extras["io"]
    return {canonicalize_name(each.name): each for each in map(Requirement, lines)}


def pinned():
    """Return name -> requirement of Binder's file."""
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith(("#", "--"))]
    return {canonicalize_name(each.name): each for each in map(Requirement, lines)}


def test_every_dependency_is_pinned_and_nothing_else():
    assert sorted(pinned()) == sorted(declared())


@pytest.mark.parametrize("name", sorted(declared()))
def test_pin_is_one_version_that_the_package_allows(name):
    exact, allowed = pinned()[name], declared()[name]
    (only,) = exact.specifier
    assert only.operator == "==" and "*" not in only.version
    assert allowed.specifier.contains(only.version)
    assert exact.extras == allowed.extras


def test_torch_is_the_build_without_cuda():
    (only,) = pinned()["torch"].specifier
    assert only.version == "2.13.0+cpu"
    options = [line for line in REQUIREMENTS.read_text().splitlines() if line.startswith("-")]
    assert len(options) == 1
    assert re.fullmatch(r"--extra-index-url https://\S+/whl/cpu", options[0])


def test_no_local_line():
    # A local line would make the cached layer of dependencies depend on every change of the code.
    lines = REQUIREMENTS.read_text().splitlines()
    assert not [line for line in lines if line.startswith((".", "-e", "--editable")) or "file:" in line]


def test_file_is_what_the_script_writes():
    text = REQUIREMENTS.read_text()
    requirements = pin.wanted((ROOT / "pyproject.toml").read_text())
    assert pin.render(requirements, *pin.read_pins(text)) == text, "run: make binder"


def test_a_pin_outside_its_range_is_replaced(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", {"numpy": "2.4", "torch": "2.13.0"}.get)
    wanted = [Requirement("numpy>=2"), Requirement("torch==2.13.*")]
    kept, replaced = {"numpy": "2.1", "torch": "2.13.0+cpu"}, {"numpy": "1.9"}
    assert pin.render(wanted, ["# top"], kept) == "# top\nnumpy==2.1\ntorch==2.13.0+cpu\n"
    assert pin.render(wanted, ["# top"], replaced) == "# top\nnumpy==2.4\ntorch==2.13.0+cpu\n"


@pytest.mark.parametrize("script", ["postBuild", "start"])
def test_scripts_are_executable_shell(script):
    path = BINDER / script
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", path], check=True)


def test_start_runs_what_it_is_given():
    path = BINDER / "start"
    assert path.read_text().splitlines()[-1] == 'exec "$@"'
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    command = [path, sys.executable, "-c", "import os; print(os.environ['OMP_NUM_THREADS'])"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_post_build_installs_the_package_and_no_dependency():
    assert "pip install --no-deps -e ." in (BINDER / "postBuild").read_text().splitlines()


def test_repo2docker_makes_of_it_what_is_meant():
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Building conda environment for python=3.11" in done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert 'RUN ${KERNEL_PYTHON_PREFIX}/bin/pip install --no-cache-dir -r "binder/requirements.txt"' in lines
    assert "RUN ./binder/postBuild" in lines
    assert 'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in lines
    # Dependencies first, then the code: a change of the code builds no dependency again.
    text = done.stdout
    assert text.index("pip install --no-cache-dir") < text.index("COPY --chown=0:0 src/ ${REPO_DIR}/")


@pytest.mark.parametrize(
    "address", ["https://github.com/some-one/a.b.git", "git@github.com:some-one/a.b", "some-one/a.b\n"]
)
def test_badges_lead_to_the_tour_in_lab_and_in_voila(address):
    lab, voila = badges.badges(badges.github_name(address)).splitlines()
    head = "(https://mybinder.org/v2/gh/some-one/a.b/HEAD?urlpath="
    assert f"{head}lab%2Ftree%2Fnotebooks%2F00_tour.ipynb)" in lab
    assert f"{head}voila%2Frender%2Fnotebooks%2F00_tour.ipynb)" in voila
    assert (ROOT / badges.TOUR).exists()


def test_no_badge_leads_elsewhere():
    with pytest.raises(ValueError, match="allowed is a GitHub address"):
        badges.github_name("https://example.org/some/where/else")


def test_badges_replace_what_stands_between_the_marks():
    readme = badges.README.read_text()
    once = badges.with_badges(readme, "a/b")
    assert once.count("mybinder.org/v2") == 2
    assert badges.with_badges(once, "c/d") == once.replace("/a/b/", "/c/d/")
    assert badges.with_badges(once, "a/b").partition(badges.END)[2] == readme.partition(badges.END)[2]
