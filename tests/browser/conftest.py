"""One JupyterLab a test process, one browser a module."""

import pytest
from chromium import chromium, executable
from lab_page import lab
from lab_server import jupyter_server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    executable()
    with jupyter_server(tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def open_notebook(browser, server, request):
    """Return a function that opens a copy of a notebook in JupyterLab.

    Parameters of the fixture are options of the browser context.
    """
    with lab(browser, server, **getattr(request, "param", {})) as opened:
        yield opened
