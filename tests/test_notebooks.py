"""Notebooks run without error, carry no output, have thin cells, and show all without a kernel."""

import re
from html.parser import HTMLParser

import nbformat
import pytest
from chromium import chromium, closed_context
from pages import execute, stilled
from shipped_notebooks import NOTEBOOKS, TOUR, errors_of


class Sources(HTMLParser):
    """What HTML loads by its tags, and its styles."""

    def __init__(self):
        super().__init__()
        self.urls, self.styles, self._in_style = [], "", False

    def handle_starttag(self, tag, attrs):
        names = {"a": (), "link": ("href",)}.get(
            tag, ("src", "srcset", "data", "poster", "background")
        )
        self.urls += [value for name, value in attrs if name in names and value]
        self.styles += dict(attrs).get("style") or ""
        self._in_style = tag == "style"

    def handle_endtag(self, tag):
        self._in_style = False

    def handle_data(self, data):
        self.styles += data if self._in_style else ""


def outputs_of(notebook):
    """Return the HTML outputs of a notebook, widgets made to need no kernel, as a page's body."""
    outputs = [output for cell in stilled(notebook).cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("data", {}).get("text/html", "") for output in outputs)


def test_sources_are_found():
    sources = Sources()
    sources.feed('<a href="x"><script src="s"></script><img src="m">')
    sources.feed('<style>@import "i"</style><p style="color: url(u)">')
    assert sources.urls == ["s", "m"]
    assert sources.styles == '@import "i"color: url(u)'


@pytest.fixture(scope="module")
def executed(request):
    return execute(request.param)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_thin_and_without_output(path):
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
            assert len(cell.source.splitlines()) <= 15


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_formulas_are_plain_text(path):
    # The site carries no typesetting; a formula is code, or words.
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"```.*?```|`[^`]*`", "", cell.source, flags=re.DOTALL)
            assert not re.search(r"\$[^$]+\$|\\\(|\\\[", text), cell.source


def test_the_tour_begins_with_the_story_and_is_short():
    cells = nbformat.read(TOUR, as_version=4).cells
    words = [cell.source.split() for cell in cells if cell.cell_type == "markdown"]
    assert sum(map(len, words)) <= 500
    first = next(cell for cell in cells if cell.cell_type == "code")
    assert "rnb.story()" in first.source
    heads = [line for cell in cells for line in cell.source.splitlines() if line.startswith("## ")]
    assert [head[3:5] for head in heads] == ["1.", "2.", "3.", "4.", "Wh"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # jupyter_client and zmq, 2026-11-20
@pytest.mark.parametrize("executed", NOTEBOOKS, indirect=True, ids=lambda path: path.stem)
class TestExecuted:
    def test_no_error_anywhere(self, executed):
        assert not errors_of(executed)
        assert any(cell.get("outputs") for cell in executed.cells)

    def test_outputs_name_nothing_to_load(self, executed):
        sources = Sources()
        sources.feed(outputs_of(executed))
        assert not [url for url in sources.urls if not url.startswith("data:")]
        assert not re.search(r"@import|url\((?!\s*[\"']?(?:data:|#))", sources.styles)

    @pytest.mark.browser
    def test_outputs_are_drawn_offline(self, executed, tmp_path):
        path = tmp_path / "page.html"
        path.write_text(f'<!DOCTYPE html><meta charset="utf-8">{outputs_of(executed)}', "utf-8")
        with chromium() as browser:
            context, asked = closed_context(browser, offline=True)
            opened, errors, loaded = context.new_page(), [], []
            opened.on(
                "console", lambda said: errors.append(said.text) if said.type == "error" else None
            )
            opened.on("pageerror", lambda error: errors.append(str(error)))
            opened.on("request", lambda asks: loaded.append(asks.url))
            opened.goto(path.as_uri(), timeout=60_000)
            opened.wait_for_function(
                "!document.querySelector('.recover-nb-chart:not([data-live])')", timeout=120_000
            )
            assert not errors
            assert not asked
            assert [url for url in loaded if not url.startswith("blob:")] == [path.as_uri()]
