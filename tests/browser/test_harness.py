"""What the other browser tests rely on: a notebook that goes wrong out of sight is found out."""

import nbformat
import pytest
from lab_page import ACT, lab
from shipped_notebooks import errors_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
ELSEWHERE = "http://nowhere.invalid/picture.png"
#: Callbacks that fail where no cell shows it, and a picture on another host.
CELLS = (
    "import ipywidgets\nfrom IPython.display import HTML\nout = ipywidgets.Output()",
    (
        "swallowed = ipywidgets.Button(description='swallowed')\n"
        "swallowed.on_click(out.capture()(lambda _: {}['swallowed']))"
    ),
    "logged = ipywidgets.Button(description='logged')\nlogged.on_click(lambda _: {}['logged'])",
    "ipywidgets.VBox([swallowed, logged, out])",
    f"HTML('<img src=\"{ELSEWHERE}\">')",
)


def write(path, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)
    return path


def test_hidden_errors_and_other_hosts_are_found(browser, server, tmp_path):
    with pytest.raises(AssertionError, match=ELSEWHERE), lab(browser, server) as open_notebook:
        notebook = open_notebook(write(tmp_path / "broken.ipynb", *CELLS))
        notebook.run_all()
        assert not errors_of(notebook.save())
        notebook.page.get_by_role("button", name="swallowed").click(timeout=ACT)
        notebook.wait_for("len(out.outputs)", 1)
        (error,) = errors_of(notebook.save())
        assert error["ename"] == "KeyError"
        notebook.page.get_by_role("button", name="logged").click(timeout=ACT)
        notebook.page.wait_for_function("window.heard.join().includes('logged')", timeout=ACT)


def test_an_error_of_a_cell_ends_the_wait(open_notebook, tmp_path):
    notebook = open_notebook(write(tmp_path / "stops.ipynb", "1 / 0", "2"))
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        notebook.run_all(seconds=120)
