"""The scripts of the Binder folder, and what repo2docker makes of it (its lock: test_lock.py)."""

import os
import subprocess
import sys
from pathlib import Path

import badges
import pytest

ROOT = Path(__file__).parent.parent
BINDER = ROOT / "binder"
REQUIREMENTS = BINDER / "requirements.txt"


def test_no_local_line():
    # A local line would make the cached layer of dependencies depend on every change of the code.
    lines = REQUIREMENTS.read_text().splitlines()
    assert not [line for line in lines if line.startswith((".", "-")) or "file:" in line]


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


def test_post_build_installs_torch_without_cuda_and_then_the_package_alone():
    lines = [
        line
        for line in (BINDER / "postBuild").read_text().splitlines()
        if line.startswith("pip install")
    ]
    assert lines == [
        (
            "pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu -r"
            " binder/torch.txt"
        ),
        "pip install --no-deps --no-build-isolation -e .",
    ]


def test_repo2docker_makes_of_it_what_is_meant():
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Building conda environment for python=3.11" in done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert (
        'RUN ${KERNEL_PYTHON_PREFIX}/bin/pip install --no-cache-dir -r "binder/requirements.txt"'
        in lines
    )
    assert "RUN ./binder/postBuild" in lines
    assert 'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in lines
    # Dependencies first, then the code: a change of the code builds no dependency again.
    text = done.stdout
    assert text.index("pip install --no-cache-dir") < text.index(
        "COPY --chown=0:0 src/ ${REPO_DIR}/"
    )


@pytest.mark.parametrize(
    "address",
    ["https://github.com/some-one/a.b.git", "git@github.com:some-one/a.b", "some-one/a.b\n"],
)
def test_badges_lead_to_the_front_door_in_voila_and_in_lab(address):
    voila, lab = badges.badges(badges.github_name(address)).splitlines()
    head = "(https://mybinder.org/v2/gh/some-one/a.b/HEAD?urlpath="
    assert f"{head}lab%2Ftree%2Fruns%2Fstart.ipynb)" in lab
    assert f"{head}voila%2Frender%2Fnotebooks%2Fstart.ipynb)" in voila
    assert (ROOT / badges.DOOR).exists()
    assert (BINDER / "postBuild").read_text().splitlines()[-1] == "python docs/door.py"


def test_no_badge_leads_elsewhere():
    with pytest.raises(ValueError, match="allowed is a GitHub address"):
        badges.github_name("https://example.org/some/where/else")


def test_badges_replace_what_stands_between_the_marks():
    readme = badges.README.read_text()
    once = badges.with_badges(readme, "a/b")
    assert once.count("mybinder.org/v2") == 2
    assert badges.with_badges(once, "c/d") == once.replace("/a/b/", "/c/d/")
    assert (
        badges.with_badges(once, "a/b").partition(badges.END)[2] == readme.partition(badges.END)[2]
    )
