"""What is left of a widget without a kernel: its present state as HTML, escaped, and its chart."""

import re

import altair as alt
import anywidget
import ipywidgets
import pandas as pd
import pytest

import recover_nb.widgets.parts.token_view as token_view
from recover_nb.widgets import TokenView
from recover_nb.widgets.parts import lasting
from recover_nb.widgets.parts.chart_panel import ChartPanel
from recover_nb.widgets.parts.download import Download
from recover_nb.widgets.parts.paired_bars import PairedBars
from recover_nb.widgets.parts.predict import Predict
from recover_nb.widgets.parts.press import Press
from recover_nb.widgets.parts.rollout_grid import RolloutGrid
from recover_nb.widgets.parts.still import still
from recover_nb.widgets.parts.table_view import TableView

VIEW = "application/vnd.jupyter.widget-view+json"
BROKEN = "</span><script>window.broken = true</script>"


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
    assert still(widget) == f'<span class="still-control">{text}</span>'


def test_boxes_titles_and_html():
    tab = ipywidgets.Tab([ipywidgets.HTML("<b>bold</b>")], titles=["<first>"])
    text = still(ipywidgets.VBox([ipywidgets.HBox([ipywidgets.IntText(1)]), tab]))
    assert text.startswith(
        '<div class="still-box"><div class="still-box still-row"><span class="still-control">1<'
    )
    assert "<summary>&lt;first&gt;</summary><div><b>bold</b></div>" in text


@pytest.mark.parametrize(
    "widget",
    [
        ipywidgets.Button(description="Run"),
        ipywidgets.IntProgress(),
        Download(items={"chart": ["svg"]}),
        ipywidgets.HTML("hidden", layout=ipywidgets.Layout(display="none")),
        ipywidgets.HTML("hidden", layout=ipywidgets.Layout(visibility="hidden")),
        ipywidgets.VBox([ipywidgets.Button(description="Run")]),
        ChartPanel(),
        TokenView(),
        RolloutGrid(),
    ],
    ids=lambda widget: type(widget).__name__,
)
def test_what_needs_a_kernel_is_hidden_or_empty_is_left_out(widget):
    assert still(widget) == ""


def test_outputs_are_escaped():
    shown = ipywidgets.Output(
        outputs=(
            {"output_type": "stream", "name": "stdout", "text": "<b>"},
            {"output_type": "display_data", "data": {"text/plain": "<i>"}, "metadata": {}},
            {
                "output_type": "display_data",
                "data": {"text/html": "<u></u>", "text/plain": "u"},
                "metadata": {},
            },
        )
    )
    assert still(shown) == "<pre>&lt;b&gt;</pre><pre>&lt;i&gt;</pre><u></u>"


def test_a_trace_keeps_its_marks_and_its_text_is_text():
    view = TokenView(
        tokens=["a b", BROKEN, "\n"],
        colours=["#ffffff", "#000000", ""],
        notes=["one", '"two"', ""],
        window=(0, 1),
        junction=1,
        differs=[0],
    )
    text = view.still()
    assert '<span class="token window differs" title="one"' in text
    assert '<span class="token window junction" title="&quot;two&quot;"' in text
    assert "background:#ffffff;color:#000000" in text
    assert "background:#000000;color:#ffffff" in text
    assert "a\u00b7b" in text and "<script" not in text
    assert text.endswith(
        '<span class="token" title=""><span class="said">\u21b5</span></span><br></div>'
    )


@pytest.mark.parametrize(
    ("colour", "ink"), [("#777777", "#000000"), ("#757575", "#ffffff"), ("#000080", "#ffffff")]
)
def test_ink_stands_out(colour, ink):
    # Relative luminance: 0.184, 0.178 (of which 0.179 is the middle), and 0.016.
    assert token_view._ink(colour) == ink


def test_a_table_keeps_its_page_its_order_and_the_chosen_row():
    table = TableView(page_size=2)
    table.show(pd.DataFrame({"place": [4, 5, 6], "name": ["x", BROKEN, "z"]}), key="place")
    table.sort, table.descending, table.chosen = "name", True, 6
    text = table.still()
    assert "name \u25bc" in text
    assert '<tr class="chosen"><td>\u25b8</td><td>z</td></tr><tr><td></td><td>x</td></tr>' in text
    assert "page 1 of 2, rows 1 to 2 of 3" in text
    table.page = 1
    assert "&lt;/span&gt;&lt;script&gt;" in table.still() and "<script" not in table.still()


def test_a_chart_is_a_picture_of_what_is_shown_last():
    def plot(frame):
        return alt.Chart(frame, title="<one>").mark_point().encode(x="x:Q")

    panel = ChartPanel()
    panel.draw(plot, pd.DataFrame({"x": [1.0, 2.0]}))
    first = still(panel)
    assert first.startswith('<img alt="&lt;one&gt;" src="data:image/svg+xml;base64,')
    assert still(panel) is first
    panel.draw(plot, pd.DataFrame({"x": [1.0, 9.0]}))
    assert still(panel) != first


def test_a_trace_keeps_the_value_below_its_tokens():
    view = TokenView(tokens=["4", "8"], values=[0.5, 0.0], others=[1.0, 0.25], fatal=1)
    text = view.still()
    assert '<i style="height:50.0%"></i><b style="bottom:100.0%"></b>' in text
    assert '<span class="token fatal" title="">' in text
    assert '<i style="height:0.0%"></i><b style="bottom:25.0%"></b>' in text


def test_bars_keep_the_place_that_is_looked_at():
    row = {"specialist": 0.56, "ancestor": None, "emitted": True}
    saved = {"token": BROKEN, "specialist": 0.001, "ancestor": 0.66, "emitted": False}
    places = [[], [{"token": "3", **row}, {**saved, "rescued": True}]]
    view = PairedBars(places=places, sentences=["first", "<second>"], home=1)
    text = view.still()
    assert "&lt;second&gt;" in text and "<script" not in text
    assert '<tr class="emitted fate"><td class="left"><i style="width:39%"></i><span>56 %' in text
    assert '<td class="right"><i style="width:0%"></i><span>\u2013</span></td></tr>' in text
    assert '<tr class="rescued"><td class="left"><i style="width:0%"></i><span>&lt; 1 %' in text
    view.cursor = 0
    assert "first" in view.still() and "<table" not in view.still()


def test_every_part_that_draws_itself_says_what_it_shows():
    parts = [*anywidget.AnyWidget.__subclasses__()]
    own = [part for part in parts if part.__module__.startswith("recover_nb.")]
    assert len(own) >= 5
    assert [part.__name__ for part in own if not callable(getattr(part, "still", None))] == []


def test_a_widget_leaves_itself_and_a_still_that_takes_its_place():
    ask = Predict("Which <b>?", ["x", "y"], "x it is", right="x", because="so")
    live, kept = ask.outputs()
    assert live[VIEW]["model_id"] == ask.model_id
    assert live["text/html"] == "<div></div>" and live["text/plain"] == "Predict"
    page = kept["text/html"]
    assert "Which &lt;b&gt;?" in page and "<li>x</li><li>y</li>" in page and "You said" not in page
    assert "<script" not in page
    # Hidden while the widget is on the page; the widget's place is hidden while it is not.
    assert f"body:has(.recover-nb-is-{ask.model_id}) .recover-nb-still-{ask.model_id}" in page
    assert f":not(:has(.recover-nb-is-{ask.model_id}))" in page
    ask.guess = "y"
    ask.reveal()
    assert re.search(r"You said <b>y</b>.*x it is", ask.outputs()[1]["text/html"])


def test_the_still_follows_at_the_end_of_a_cell(monkeypatch):
    """With the shell stood in for: what it is asked to show, and what it calls after a cell."""
    shown, called = [], []

    class Events:
        def register(self, _name, act):
            called.append(act)

        def unregister(self, _name, act):
            called.remove(act)

    class Shell:
        events = Events()

    monkeypatch.setattr(lasting, "get_ipython", Shell)
    for name in ("display", "update_display"):
        monkeypatch.setattr(
            lasting, name, lambda data, name=name, **said: shown.append((name, data, said))
        )
    press = Press("add", lambda tell: "1 + 1 is 2")
    press.press()
    assert shown == []
    press._ipython_display_()
    assert [name for name, *_ in shown] == ["display", "display"]
    assert VIEW in shown[0][1] and "1 + 1 is 2" in shown[1][1]["text/html"]
    press._ipython_display_()
    assert len(called) == 1
    called[0](None)
    assert len(shown) == 4
    press.message = "no"
    called[0](None)
    name, data, said = shown[-1]
    assert name == "update_display" and '<p role="alert"' in data["text/html"]
    assert said["display_id"] == shown[1][2]["display_id"]
    called[0](None)
    assert len(shown) == 5
    press.close()
    assert called == []
