"""The token view in JupyterLab: mouse and keys change traits in Python, and tokens stay text."""

import nbformat
import pytest
from lab_page import ACT, lab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOKENS = ["12", "+", " ", "<script>window.broken = true</script>", "=", "\n", "19"]
SOURCE = f"""\
from recover_nb.widgets import TokenView
view = TokenView(tokens={TOKENS!r}, junction=3, window=(2, 5), notes=["a number"])
view"""


KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


@pytest.fixture(scope="module")
def opened(browser, server, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokens") / "tokens.ipynb"
    cells = [nbformat.v4.new_code_cell(SOURCE), nbformat.v4.new_code_cell("1 + 1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)
    with lab(browser, server) as open_notebook:
        notebook = open_notebook(path)
        notebook.run_all()
        notebook.page.locator(".recover-nb-tokens .token").last.wait_for(timeout=ACT)
        yield notebook


@pytest.fixture
def notebook(opened):
    """The same page for every test, with the mouse away and nothing pinned."""
    opened.page.mouse.move(0, 0)
    opened.read(
        f"[view.set_trait('pinned', -1), view.set_trait('tokens', {TOKENS!r}),"
        " view.set_trait('cursor', -1)]"
    )
    opened.page.wait_for_function(UNTOUCHED, arg=len(TOKENS), timeout=ACT)
    yield opened
    assert opened.heard() == []
    assert opened.console == []


#: The page shows all tokens and none is looked at.
UNTOUCHED = """(n) => document.querySelectorAll(".recover-nb-tokens .token").length === n
    && !document.querySelector(".recover-nb-tokens .current, .recover-nb-tokens .pinned")"""


def token(notebook, place):
    return notebook.page.locator(f".recover-nb-tokens .token[data-place='{place}']")


def focused(notebook):
    """Return the place of the token that has the focus."""
    place = notebook.page.evaluate("document.activeElement.dataset.place ?? null")
    return None if place is None else int(place)


def test_a_click_pins(notebook):
    token(notebook, 1).click(timeout=ACT)
    notebook.wait_for("[view.pinned, view.cursor]", [1, 1])
    assert "pinned" in token(notebook, 1).get_attribute("class").split()
    # While a token is pinned, hovering moves nothing.
    token(notebook, 4).hover(timeout=ACT)
    assert notebook.read("view.cursor") == 1
    token(notebook, 1).click(timeout=ACT)
    notebook.wait_for("view.pinned", -1)
    token(notebook, 4).hover(timeout=ACT)
    notebook.wait_for("view.cursor", 4)


def test_the_keyboard_moves_and_pins(notebook):
    token(notebook, 0).focus()
    keys = notebook.page.keyboard
    for key, place in (
        ("ArrowRight", 1),
        ("End", 6),
        ("ArrowRight", 6),
        ("Home", 0),
        ("j", 3),
        ("ArrowLeft", 2),
    ):
        keys.press(key)
        notebook.wait_for("view.cursor", place)
        assert focused(notebook) == place, key
    keys.press("Shift+J")
    notebook.wait_for("view.cursor", 3)
    keys.press("Enter")
    notebook.wait_for("[view.pinned, view.cursor]", [3, 3])
    keys.press("Enter")
    notebook.wait_for("view.pinned", -1)
    assert focused(notebook) == 3
    # None of these keys reached JupyterLab: the same cells, none in edit mode, nothing run again.
    assert notebook.prompts() == ["[1]:", "[2]:"]
    assert notebook.page.locator(".jp-Notebook.jp-mod-editMode").count() == 0


def test_one_token_is_in_the_tab_order(notebook):
    stops = notebook.page.locator(".recover-nb-tokens .token[tabindex='0']")
    assert stops.count() == 1
    token(notebook, 0).focus()
    notebook.page.keyboard.press("End")
    notebook.wait_for("view.cursor", 6)
    assert stops.count() == 1
    assert stops.first.get_attribute("data-place") == "6"


def test_markup_stays_text(notebook):
    # Spaces are drawn as dots.
    assert token(notebook, 3).inner_text() == TOKENS[3].replace(" ", "\u00b7")
    assert notebook.page.locator(".recover-nb-tokens script").count() == 0
    assert notebook.page.evaluate("window.broken") is None
    assert token(notebook, 3).get_attribute("aria-label") == f"token 3: {TOKENS[3]}, junction"
    assert token(notebook, 0).get_attribute("aria-label") == "token 0: 12. a number"
    assert token(notebook, 2).get_attribute("aria-label") == "token 2: space"


def test_python_moves_the_page(notebook):
    notebook.read(
        "[setattr(view, 'cursor', 5), setattr(view, 'tokens', ['a', 'b']), setattr(view,"
        " 'cursor', 1)]"
    )
    notebook.page.wait_for_function(
        "document.querySelectorAll('.recover-nb-tokens .token').length === 2", timeout=ACT
    )
    notebook.page.locator(".recover-nb-tokens .token.current[data-place='1']").wait_for(timeout=ACT)
