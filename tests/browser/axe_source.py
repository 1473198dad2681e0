"""The script of axe-core, which finds what keeps people out of a page."""

import os
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from chromium import absent


def axe_source():
    """Return the text of axe.min.js: of the file that RECOVER_NB_AXE names, or as installed."""
    named = os.environ.get("RECOVER_NB_AXE")
    if named:
        return Path(named).read_text("utf-8")
    if find_spec("axe_playwright_python") is None:
        absent("axe-core is not installed: pip install axe-playwright-python")
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
