"""The two locks are what pyproject asks for, on every Python and platform, and what is installed.

No network.
"""

import re
from importlib import metadata

import pytest
from locked import (
    ENVIRONMENTS,
    LAB,
    OF_GPUS,
    ROOT,
    TEST,
    TORCH,
    complaints,
    declared,
    default_environment,
    installed_closure,
    read_lock,
    versions,
)
from packaging.requirements import Requirement
from packaging.version import Version

WANTED = {
    "lab": (LAB, declared(extras=("models", "lab", "io"), groups=("build",))),
    # The extra gym is left to who wants it: a part of it must be compiled.
    "test": (TEST, declared(extras=("models", "test"))),
}
HASH = f"--hash=sha256:{'0' * 64}"
#: A lock without fault of `ASKED`.
SOUND = f"""# Made by hand.
alpha==1.5 \\
    {HASH} \\
    {HASH}
    # via
    #   -c other.txt
    #   beta
    #   recover-nb (pyproject.toml)
beta==2.0 ; python_full_version < '3.13' \\
    {HASH}
    # via recover-nb (pyproject.toml)
beta==2.1 ; python_full_version >= '3.13' \\
    {HASH}
    # via recover-nb (pyproject.toml:dev)
gamma==1 ; sys_platform == 'win32' \\
    {HASH}
    # via alpha
"""
ASKED = [Requirement("alpha>=1,<2"), Requirement("beta>=2"), Requirement("torch>=2")]


@pytest.mark.parametrize("which", WANTED)
def test_lock_is_current(which):
    path, wanted = WANTED[which]
    assert not complaints(path.read_text(), wanted), "run: make lock"


@pytest.mark.parametrize("which", WANTED)
def test_lock_is_what_is_installed_and_no_more(which):
    path, wanted = WANTED[which]
    pinned = versions(read_lock(path.read_text()), default_environment())
    installed = installed_closure(wanted)
    torch = Version(installed.pop("torch"))
    assert TORCH.read_text() == f"torch=={torch.public}\n"
    assert installed == pinned, "install the lock with: make test"


def test_both_locks_agree():
    lab, test = (read_lock(path.read_text()) for path in (LAB, TEST))
    for where, environment in ENVIRONMENTS.items():
        ours, theirs = versions(lab, environment), versions(test, environment)
        assert ours.items() <= theirs.items(), where
    hashes = {(pin.name, pin.version): pin.hashes for pin in test}
    assert all(hashes[pin.name, pin.version] == pin.hashes for pin in lab)


def test_torch_has_one_version_in_one_place():
    exact = Requirement(TORCH.read_text().strip())
    (only,) = exact.specifier
    assert only.operator == "=="
    (allowed,) = (each for each in declared(extras=("models",), groups=()) if each.name == "torch")
    assert allowed.specifier.contains(only.version)
    elsewhere = [
        "Makefile",
        "pyproject.toml",
        ".ci/run",
        "binder/postBuild",
        ".github/workflows/tests.yml",
    ]
    assert not [name for name in elsewhere if only.version in (ROOT / name).read_text()]


def test_nothing_for_gpus_comes_with_a_torch_without():
    if Version(metadata.version("torch")).local != "cpu":
        pytest.skip("the torch that is installed here is not the build for processors alone")
    assert not [
        each.name for each in metadata.distributions() if OF_GPUS.fullmatch(each.name or "")
    ]


def test_a_pin_is_read_with_its_hashes_and_who_needs_it():
    alpha, beta, *_ = read_lock(SOUND)
    assert (alpha.name, alpha.version, len(alpha.hashes)) == ("alpha", "1.5", 2)
    assert alpha.needed_by == {"beta", "recover-nb"}
    assert beta.holds(ENVIRONMENTS["Python 3.12 on Darwin"]) and not beta.holds(
        ENVIRONMENTS["Python 3.13 on Darwin"]
    )
    assert versions(read_lock(SOUND), ENVIRONMENTS["Python 3.14 on Windows"]) == {
        "alpha": "1.5",
        "beta": "2.1",
        "gamma": "1",
    }


def test_a_sound_lock_has_no_complaints():
    assert complaints(SOUND, ASKED) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("alpha==1.5", "alpha==2.5", "alpha: 2.5 is outside <2,>=1"),
        ("alpha==1.5", "alpha>=1.5", "alpha: >=1.5 is not one version"),
        (
            "beta==2.1 ; python_full_version >= '3.13'",
            "beta==2.1",
            "beta: 2 pins for Python 3.11 on Linux",
        ),
        (">= '3.13'", ">= '3.14'", "beta: 0 pins for Python 3.13 on Windows"),
        (f"    {HASH}\n    # via alpha", "    # via alpha", "gamma: no hashes"),
        ("# via alpha", "", "gamma: nothing needs it"),
        ("# via alpha", "# via gamma", "gamma: nothing needs it"),
        (
            "# via alpha",
            "# via recover-nb (pyproject.toml)",
            "gamma: pyproject no longer asks for it",
        ),
        ("gamma==1", "nvidia-cufft==1", "nvidia-cufft: is for GPUs"),
        ("gamma==1", "torch==2", "torch: its version is in torch.txt"),
        ("# Made by hand.", "--extra-index-url https://example.org", "the lock names a host"),
        (
            "gamma==1 ; sys_platform == 'win32'",
            "alpha==1.6",
            "alpha: pinned twice for Python 3.12 on Linux",
        ),
    ],
)
def test_a_fault_is_named(old, new, says):
    assert re.search(re.escape(old), SOUND)
    assert says in complaints(SOUND.replace(old, new), ASKED)


def test_a_requirement_that_the_lock_lacks_is_named():
    assert "delta: 0 pins for Python 3.11 on Linux" in complaints(
        SOUND, [*ASKED, Requirement("delta")]
    )
    only_windows = Requirement("delta; sys_platform == 'win32'")
    assert "delta: 0 pins for Python 3.14 on Windows" in complaints(SOUND, [*ASKED, only_windows])
    assert not [each for each in complaints(SOUND, [*ASKED, only_windows]) if "Linux" in each]


def test_a_version_that_is_not_the_locked_one_is_seen():
    doctored = re.sub(r"^numpy==\S+", "numpy==1.0", TEST.read_text(), flags=re.MULTILINE)
    assert "numpy: 1.0 is outside >=2" in complaints(doctored, WANTED["test"][1])
    pinned = versions(read_lock(doctored), default_environment())
    assert pinned["numpy"] != installed_closure([Requirement("numpy")])["numpy"]
