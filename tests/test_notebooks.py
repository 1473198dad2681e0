"""Notebooks run without error, carry no output, have thin cells, and show all without a kernel.

What they teach by: one sentence and a picture first, predictions that give nothing away, exercises
whose solutions run.
"""

import json
import re
import statistics
from collections import namedtuple
from html.parser import HTMLParser

import nbformat
import pytest
from chromium import chromium, closed_context
from pages import execute, stilled
from shipped_notebooks import (
    NOTEBOOKS,
    NUMBERED,
    PROBE,
    TOUR,
    code_of,
    errors_of,
    exercises,
    gives_away,
    in_the_open,
    predictions,
    read,
    set_late,
    words_of,
)

#: Every notebook; the tour alone is run every day.
RUN = [
    pytest.param(path, marks=() if path == TOUR else pytest.mark.slow, id=path.stem)
    for path in NOTEBOOKS
]
#: `asks` are the predictions as data, `solutions` the cells that ran after the notebook.
RunThrough = namedtuple("RunThrough", "path notebook asks solutions")


def numbered(test):
    """Try every numbered notebook."""
    return pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)(test)


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
def run_through(request):
    """Run a notebook, then look at its predictions, then run the solutions of its exercises."""
    path, whole = request.param, read(request.param)
    solutions = [code_of(each.solution) for each in exercises(whole)]
    notebook = execute(path, more=[PROBE, *solutions])
    probe, *after = notebook.cells[len(whole.cells) :]
    notebook.cells = notebook.cells[: len(whole.cells)]
    return RunThrough(path, notebook, json.loads(probe.outputs[0].text), after)


@pytest.fixture
def executed(run_through):
    return run_through.notebook


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
    notebook = read(TOUR)
    # Without what is folded.
    words = re.sub(r"<details>.*?</details>", "", words_of(notebook), flags=re.DOTALL)
    assert len(words.split()) <= 500
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert "rnb.story()" in first.source
    heads = re.findall(r"^## (..)", words, re.MULTILINE)
    assert heads == ["1.", "2.", "3.", "4.", "Wh", "Ex", "So"]


def test_there_are_nine_numbered_notebooks():
    assert [path.stem[:2] for path in NUMBERED] == [f"0{n}" for n in range(9)]


@numbered
def test_cells_are_short(path):
    lines = [len(c.source.splitlines()) for c in read(path).cells if c.cell_type == "code"]
    assert statistics.median(lines) <= 2 and max(lines) <= 8, sorted(lines)


@numbered
def test_it_opens_with_one_sentence_and_ends_with_so_what(path):
    text = words_of(read(path))
    assert re.match(r"# .+\n\n\*\*In one sentence\.\*\* \S", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[-1] == "So what"


@numbered
def test_no_cell_sets_a_widget_of_an_earlier_section(path):
    assert set_late(read(path)) == []


@numbered
def test_every_prediction_says_what_is_right_and_why(path):
    asks = list(predictions(read(path)))
    assert asks
    for ask in asks:
        assert {"right", "because"} <= {each.arg for each in ask.keywords}


@numbered
def test_every_exercise_has_a_hint_and_a_solution_with_code(path):
    found = exercises(read(path))
    assert [each.number for each in found] == [*range(1, len(found) + 1)] and found
    for each in found:
        assert each.text and each.hint and code_of(each.solution), each.text
        words = re.sub(r"^```.*?^```", "", each.solution, flags=re.DOTALL | re.MULTILINE)
        assert words.strip(), f"{each.number}. does not say what its solution shows"


def notebook_of(*cells):
    """Return a notebook of texts: Markdown where it begins with ``#`` or a digit, else code."""
    make = nbformat.v4
    kinds = {True: make.new_markdown_cell, False: make.new_code_cell}
    return make.new_notebook(cells=[kinds[each[0] in "#1"](each) for each in cells])


def test_a_widget_of_an_earlier_section_is_found():
    same = ("# T\n\n## A", "view = make()", "view.k = 3\nview.value = {}")
    assert set_late(notebook_of(*same)) == []
    for late in (
        "view.k = 3",
        "view.value['k'] = 3",
        "view.set_trait('k', 3)",
        "setattr(view, 'k', 3)",
    ):
        (found,) = set_late(notebook_of(*same, "## B", late))
        assert found.name == "view"
    assert set_late(notebook_of(*same, "## B", "view = make()\nview.k = 1", "view.value")) == []


def test_exercises_are_found_with_what_they_lack():
    fold = "<details><summary>{}</summary>\n\n{}\n\n</details>"
    whole = f"1. Do.\n\n{fold.format('Hint', 'try')}\n\n"
    whole += fold.format("Solution", "```python\n1 + 1\n```\n\nIt is two.")
    one, two = exercises(notebook_of(f"# T\n\n## Exercises\n\n{whole}\n\n2. Then.\n\n## So what"))
    assert (one.text, one.hint, code_of(one.solution)) == ("Do.", "try", "1 + 1\n")
    assert (two.number, two.text, two.hint, two.solution) == (2, "Then.", None, None)


def test_an_answer_in_the_open_is_found():
    ask = {"answer": "It is 4.8, not 10.3.", "because": "Because luck."}
    assert gives_away("so: It is 4.8, not 10.3.", ask) and gives_away("Because luck.", ask)
    assert gives_away("10.3 and 4.8", ask) and not gives_away("only 4.8", ask)
    page = "<p>a</p><details><p>b</p><details>c</details></details><i>&lt;d</i><style>e</style>"
    output = nbformat.v4.new_output("display_data", {"text/html": page, "text/plain": "f"})
    assert in_the_open(output) == "a <d"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # jupyter_client and zmq, 2026-11-20
@pytest.mark.parametrize("run_through", RUN, indirect=True)
class TestExecuted:
    def test_no_error_anywhere(self, executed):
        assert not errors_of(executed)
        assert any(cell.get("outputs") for cell in executed.cells)

    def test_nothing_of_an_answer_is_in_the_open(self, run_through):
        asks = run_through.asks
        assert not any(ask["revealed"] for ask in asks)
        shown = [
            (cell.id, in_the_open(output))
            for cell in run_through.notebook.cells
            for output in cell.get("outputs", [])
        ]
        told = [
            (cell, ask["question"]) for cell, text in shown for ask in asks if gives_away(text, ask)
        ]
        assert told == []

    def test_solutions_run_and_show_something(self, run_through):
        for cell in run_through.solutions:
            assert not errors_of(nbformat.v4.new_notebook(cells=[cell])), cell.source
            assert cell.outputs, f"shows nothing: {cell.source}"

    def test_a_picture_is_in_the_first_two_cells(self, run_through):
        first = [cell for cell in run_through.notebook.cells if cell.cell_type == "code"][:2]
        pages = "".join(o.get("data", {}).get("text/html", "") for c in first for o in c.outputs)
        # A page of our own draws itself by its script.
        assert re.search(r"<img|<svg|recover-nb-(?:story|door|tokens|film)", pages)

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
