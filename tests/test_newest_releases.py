"""The `make latest` plugin: which warnings are errors, in workers too, and its note of versions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from newest_releases import report

HERE = Path(__file__).parent
WARNS = """
import warnings

import pytest

@pytest.mark.parametrize(
    "module", ["numpy.core", "recover_nbx", "recover_nb", "recover_nb.io.jsonl"]
)
def test_warns(module):
    warnings.warn_explicit("old", FutureWarning, "file.py", 1, module=module)
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_only_what_our_own_lines_cause_is_an_error(tmp_path, workers):
    (tmp_path / "test_warns.py").write_text(WARNS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-p", "newest_releases", "-n", workers, "-rfP", "."]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "2 failed, 2 passed, 2 warnings" in done.stdout, done.stdout + done.stderr
    assert "FAILED test_warns.py::test_warns[recover_nb] " in done.stdout
    assert "FAILED test_warns.py::test_warns[recover_nb.io.jsonl] " in done.stdout
    assert "warnings summary" in done.stdout and "FutureWarning: old" in done.stdout
    # Versions stand before the last line, which is pytest's.
    lines = done.stdout.splitlines()
    assert any(line.startswith("numpy ") for line in lines) and "2 failed" in lines[-1]


def test_what_is_asked_for_is_listed_and_what_differs_from_the_lock():
    installed = {"numpy": "2.5", "torch": "2.13.0+cpu", "idna": "3", "click": "9", "new": "1"}
    locked = {"numpy": "2.4", "torch": "2.13.0", "idna": "3", "click": "8"}
    assert report(installed, locked, {"numpy", "torch", "absent"}) == [
        "click 9   (locked: 8)",
        "new 1   (locked: nothing)",
        "numpy 2.5   (locked: 2.4)",
        "torch 2.13.0+cpu",
        "3 of 5 differ from the lock",
    ]
