"""The pages of notebooks: widgets without a kernel, links, glossary, index."""

import re

import ipywidgets
import nbformat
import pytest
from chromium import chromium, closed_context
from ipywidgets.embed import dependency_state
from pages import GLOSSARY, glossary_page, index_page, page, relink
from still import STATE, VIEW, Still, control_html, output_html

from recover_nb.widgets import TokenView
from recover_nb.widgets.download import Download

TOKENS = ["a", "</script><script>window.broken = true</script>", "b"]


def state_of(*widgets):
    """Return the state of widgets, and of what they hold, as a notebook that has run stores it."""
    return dependency_state(widgets, drop_defaults=False)


def shown(widget):
    """Return what a page shows of a widget."""
    return Still(state_of(widget)).html(widget.model_id)


def notebook_of(*widgets):
    """Return a notebook that has run and shown each widget."""
    outputs = [nbformat.v4.new_output("display_data", {VIEW: {"model_id": each.model_id}}) for each in widgets]
    cells = [nbformat.v4.new_markdown_cell("# Widgets"), nbformat.v4.new_code_cell("show()", outputs=outputs)]
    state = {STATE: {"version_major": 2, "version_minor": 0, "state": state_of(*widgets)}}
    return nbformat.v4.new_notebook(cells=cells, metadata={"widgets": state})


@pytest.mark.parametrize(
    ("widget", "text"),
    [
        (ipywidgets.IntSlider(3, description="k"), "k 3"),
        (ipywidgets.FloatRangeSlider(value=(0.25, 0.5), min=0, max=1), "0.25 to 0.5"),
        (ipywidgets.Checkbox(True, description="all"), "all yes"),
        (ipywidgets.Checkbox(False, description="all"), "all no"),
        (ipywidgets.Dropdown(options=["x", "y"], value="y", description="cell"), "cell y"),
        (ipywidgets.Dropdown(options=["x"], value=None, description="cell"), "cell"),
        (ipywidgets.SelectMultiple(options=["x", "y", "z"], value=["x", "z"]), "x, z"),
        (ipywidgets.RadioButtons(options=["x", "y"], value=None), "x / y"),
        (ipywidgets.RadioButtons(options=["x", "y"], value="y"), "y"),
        (ipywidgets.Text("<b>", description="find"), "find &lt;b&gt;"),
    ],
)
def test_a_control_is_its_value(widget, text):
    assert shown(widget) == f'<span class="still-control">{text}</span>'


def test_a_control_with_nothing_to_say_is_nothing():
    assert control_html({"value": None, "description": ""}) == ""


def test_boxes_titles_and_html():
    inner = ipywidgets.HTML("<b>bold</b>")
    tab = ipywidgets.Tab([inner], titles=["<first>"])
    text = shown(ipywidgets.VBox([ipywidgets.HBox([ipywidgets.IntText(1)]), tab]))
    assert text.startswith('<div class="still-box"><div class="still-box still-row"><span class="still-control">1<')
    assert "<summary>&lt;first&gt;</summary><div><b>bold</b></div>" in text


@pytest.mark.parametrize(
    "widget",
    [
        ipywidgets.Button(description="Run"),
        ipywidgets.IntProgress(),
        Download(items={"chart": ["svg"]}),
        ipywidgets.HTML("hidden", layout=ipywidgets.Layout(display="none")),
        ipywidgets.HTML("hidden", layout=ipywidgets.Layout(visibility="hidden")),
    ],
)
def test_what_needs_a_kernel_or_is_hidden_is_left_out(widget):
    assert shown(widget) == ""


def test_an_unknown_widget_is_left_out():
    assert Still({}).html("IPY_MODEL_gone") == ""


def test_outputs_are_escaped():
    assert output_html({"output_type": "stream", "text": "<b>"}) == "<pre>&lt;b&gt;</pre>"
    assert output_html({"output_type": "display_data", "data": {"text/plain": "<b>"}}) == "<pre>&lt;b&gt;</pre>"
    both = {"text/html": "<b></b>", "text/plain": "b"}
    assert output_html({"output_type": "display_data", "data": both}) == "<b></b>"


def test_a_module_is_there_once():
    first, second = TokenView(tokens=["a"]), TokenView(tokens=["b"])
    still = Still(state_of(first, second))
    assert f'data-model="{first.model_id}"' in still.html(first.model_id)
    still.html(second.model_id)
    assert still.scripts().count("recover-nb-tokens") == 1
    assert still.styles().count(".recover-nb-tokens {") == 1


def test_a_page_without_modules_has_no_script():
    text = page(notebook_of(ipywidgets.IntSlider(3)))
    assert "<script" not in text
    assert "Content-Security-Policy" in text and "default-src 'none'" in text


def test_links_to_notebooks_and_glossary_lead_to_pages():
    assert relink('<a href="01_next.ipynb">') == '<a href="01_next.html">'
    assert relink('<a href="./01_next.ipynb#cell">') == '<a href="01_next.html#cell">'
    assert relink('<a href="../docs/glossary.md#null-mean">') == '<a href="glossary.html#null-mean">'
    assert relink('<a href="x.md">') == '<a href="x.md">'


def test_glossary_page_has_every_anchor_that_it_links_to():
    text = glossary_page(GLOSSARY.read_text("utf-8"))
    anchors = set(re.findall(r'id="([^"]+)"', text))
    linked = set(re.findall(r'href="#([^"]+)"', text))
    assert len(linked) > 40
    assert linked <= anchors
    assert "://" not in text


def test_index_names_every_page():
    text = index_page({"00_tour": "A <first> look"})
    assert '<a href="00_tour.html">A &lt;first&gt; look</a>' in text
    assert '<a href="glossary.html">' in text


@pytest.mark.browser
def test_a_token_view_lives_in_a_page(tmp_path):
    view = TokenView(tokens=TOKENS, junction=1)
    path = tmp_path / "page.html"
    path.write_text(page(notebook_of(view, view)), "utf-8")
    with chromium() as browser:
        context, asked = closed_context(browser, offline=True)
        opened, errors = context.new_page(), []
        opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(path.as_uri(), timeout=60_000)
        opened.wait_for_function("document.querySelectorAll('.still-module[data-shown]').length === 2", timeout=60_000)
        first, second = opened.locator(".still-module").all()
        assert first.locator(".token").nth(1).text_content() == TOKENS[1].replace(" ", "\u00b7")
        first.locator(".token").first.focus()
        opened.keyboard.press("ArrowRight")
        assert opened.evaluate("document.activeElement.dataset.place") == "1"
        # Two views of one widget share its state, as they do in a notebook.
        assert "current" in second.locator(".token").nth(1).get_attribute("class").split()
        opened.keyboard.press("Enter")
        assert "pinned" in first.locator(".token").nth(1).get_attribute("class").split()
        assert opened.evaluate("window.broken") is None
        assert not errors
        assert not asked
