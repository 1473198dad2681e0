"""Names of a user's study are text in the Markdown that is written from it."""

import json
from pathlib import Path

import pytest

from recover_nb.pages.escaping import markdown_safe
from recover_nb.report.findings.page import BUNDLED, render_page

#: Text -> what is written.
MARKS = {
    "<script>x</script>": "&#60;script&#62;x&#60;/script&#62;",
    "<img src=x onerror=y>": "&#60;img src=x onerror=y&#62;",
    "[a](javascript:b)": "&#91;a&#93;(javascript:b)",
    "![a](http://b)": "&#33;&#91;a&#93;(http://b)",
    "`{raw} html`": "&#96;&#123;raw&#125; html&#96;",
    "$\\href{javascript:x}{y}$": "&#36;&#92;href&#123;javascript:x&#125;&#123;y&#125;&#36;",
    "**bold** __bold__": "&#42;&#42;bold&#42;&#42; &#95;&#95;bold&#95;&#95;",
    "&lt;b&gt;": "&#38;lt;b&#38;gt;",
    "a\nb\x1b": "a&#92;nb&#92;x1b",
    "~~a~~": "&#126;&#126;a&#126;&#126;",
}


@pytest.mark.parametrize("text", MARKS, ids=range(len(MARKS)))
def test_marks_are_entities(text):
    assert markdown_safe({text: [text]}) == {MARKS[text]: [MARKS[text]]}


@pytest.mark.parametrize("text", ["p < 0.05", "self_distill", "qwen3|sft", "a > b & c", "5 - 3"])
def test_plain_text_and_numbers_stay(text):
    assert markdown_safe([text, 0.5, None, True]) == [text, 0.5, None, True]


def test_the_page_of_findings_shows_names_as_text():
    """Every text of the figures and the name of the source is hostile, as far as it may be."""
    plant = "<img src=x onerror=window.pwned=1>[m](javascript:1)`c`$x$"
    figures = json.loads(Path("data/findings.json").read_text("utf-8"))["sources"][BUNDLED]
    plain = render_page({"x.zarr": figures})
    page = render_page({f"x|{plant}.zarr": _planted(figures, plant)})
    assert "<img" not in page and "](javascript" not in page and "`c`" not in page
    assert "&#60;img src=x onerror=window.pwned=1" in page
    # No cell of a table is cut in two.
    rows = [
        [line.count("|") for line in each.split("\n") if line[:1] == "|"] for each in (page, plain)
    ]
    assert rows[0][:5] == rows[1][:5]


def _planted(value, plant):
    """Return figures in which names of cells are planted; keys that the code reads stay."""
    if isinstance(value, dict):
        return {
            f"{name}{plant}" if "|" in name else name: _planted(each, plant)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_planted(each, plant) for each in value]
    return f"{value}{plant}" if isinstance(value, str) and "|" in value else value
