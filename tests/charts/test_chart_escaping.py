"""A text that ends a script, in a chart's data or title, runs nowhere the chart becomes HTML."""

import ast
import json
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import altair as alt
import numpy as np
import pytest
from traced_study import traced_study

import recover_nb as rnb
from recover_nb import tables
from recover_nb.charts.escaping import Escaped, ScriptSafe, escaped, script_safe
from recover_nb.widgets.parts.export import as_bytes

HOSTILE = "t</script><script>window.broken=1</script><!--<script>\u2028&amp;"
#: As a chart has it: what would end a line of an expression is written out.
DRAWN = HOSTILE.replace("\u2028", r"\u2028")


class Scripts(HTMLParser):
    """Collects the scripts of a page as a browser parses them, and its elements."""

    def __init__(self, page):
        super().__init__()
        self.scripts, self.elements, self.inside = [], [], False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "script"

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data


def harmless(page, wanted=True):
    """Whether the hostile text stands in the page, but runs nowhere."""
    found = Scripts(page)
    alone = not any(script.startswith("window.broken") for script in found.scripts)
    return (
        alone
        and "<!--<script>" not in page
        and "\u2028" not in page
        and (script_safe(json.dumps(DRAWN)[1:-1]) in page) == wanted
    )


@pytest.fixture(scope="module")
def frames():
    ds = traced_study()
    names = np.full(ds.sizes["problem"], HOSTILE, dtype=object)
    ds = ds.assign_coords(task=("problem", names))
    chosen = tables.choose_example(ds)
    signals = tables.trace_signals(ds, chosen["problem"], chosen["rollout"])
    return {
        "regimes": (rnb.plot_regimes, tables.regimes_by_cell(ds)),
        "rescue": (rnb.plot_rescue, tables.rescue_by_intervention(ds)),
        "features": (rnb.plot_features, tables.feature_points(ds)),
        "signals": (rnb.plot_signals, signals.assign(token=HOSTILE)),
    }


@pytest.fixture(scope="module", params=["regimes", "rescue", "features", "signals"])
def chart(request, frames):
    plot, frame = frames[request.param]
    return plot(frame)


def shown(chart):
    """Return the HTML of a chart in a notebook."""
    bundle = chart._repr_mimebundle_()
    return (bundle[0] if isinstance(bundle, tuple) else bundle)["text/html"]


def test_shown_in_a_notebook(chart):
    for renderer in ("default", "html", "colab"):
        with alt.renderers.enable(renderer):
            assert harmless(shown(chart))


def test_a_renderer_of_somebody_else(chart):
    page = "<script>let spec = {}</script>"
    alt.renderers.register(
        "mine", lambda spec, **options: {"text/html": page.replace("{}", json.dumps(spec))}
    )
    try:
        with alt.renderers.enable("mine"):
            assert harmless(shown(chart))
    finally:
        alt.renderers.register("mine", None)


def test_saved_as_a_page(chart, tmp_path):
    assert harmless(chart.to_html())
    assert harmless(chart.to_html(fullhtml=False, inline=False))
    chart.save(tmp_path / "a.html")
    assert harmless((tmp_path / "a.html").read_text("utf-8"))
    buffer = StringIO()
    chart.save(buffer, format="html", inline=True)
    assert "window.broken=1</script>" not in buffer.getvalue()
    assert "window.broken=1</script>" not in as_bytes(chart, "html").decode()


def test_the_text_itself_is_unchanged(chart, tmp_path):
    spec = json.dumps(chart.to_dict())
    assert json.dumps(DRAWN)[1:-1] in spec
    chart.save(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == chart.to_dict()
    assert chart.to_dict() == json.loads(json.dumps(chart.to_dict(), cls=ScriptSafe))


def test_a_title_and_a_copy(frames):
    plot, frame = frames["rescue"]
    for made in (
        plot(frame).properties(title=HOSTILE),
        plot(frame).copy(),
        plot(frame).configure_axis(grid=False),
    ):
        assert isinstance(made, Escaped)
        assert harmless(made.to_html())


def bare(chart):
    """Return a chart without its theme: Altair puts no others together."""
    chart = chart.copy()
    chart.config = alt.Undefined
    return chart


def test_charts_put_together(frames):
    one, other = (bare(plot(frame)) for plot, frame in (frames["regimes"], frames["features"]))
    plain = alt.Chart(frames["regimes"][1]).mark_bar().encode(x="cell:N")
    for made in (
        one | other,
        one & other,
        one | other | one,
        one & plain,
        (one | plain) & other,
        one + one,
    ):
        assert isinstance(made, Escaped)
        assert harmless(made.to_html())
        assert harmless(shown(made))


def test_charts_put_together_by_altair(frames):
    made = [
        bare(plot(frame))
        for plot, frame in (frames["regimes"], frames["rescue"], frames["features"])
    ]
    for whole in (
        alt.hconcat(*made),
        alt.vconcat(*made),
        alt.concat(*made),
        alt.hconcat(made[0] | made[1], made[2]),
        # Data that are the same in both.
        alt.hconcat(made[0], made[0]),
        alt.vconcat(made[1], made[1].copy()),
        alt.hconcat(made[2], made[2]),
        alt.layer(made[0], made[0]),
    ):
        for page in (whole.to_html(), shown(whole)):
            assert not any(script.startswith("window.broken") for script in Scripts(page).scripts)
            assert "t<\u2060/script>" in json.dumps(whole.to_dict(), ensure_ascii=False)


def test_every_chart_is_finished_so():
    """Whatever a plotting function returns comes from a call of `escaped`, at last."""
    folder = Path(rnb.__file__).parent
    functions = {}
    for path in (folder / "charts").glob("*.py"):
        for each in ast.parse(path.read_text()).body:
            if isinstance(each, ast.FunctionDef):
                functions[each.name] = each
    # The film is a page and no chart of Altair: it is held to the same in test_training_film.
    plots = [
        name
        for name in functions
        if name.startswith("plot_") and ast.unparse(functions[name].returns) != "TrainingFilm"
    ]
    assert len(plots) > 25
    for name in plots:
        assert finished(functions, name), name


def finished(functions, name):
    if name == "escaped":
        return True
    if name not in functions:
        return False
    own = [each for each in functions[name].body if not isinstance(each, ast.FunctionDef)]
    returned = [
        node.value for each in own for node in ast.walk(each) if isinstance(node, ast.Return)
    ]
    return bool(returned) and all(
        isinstance(value, ast.Call) and finished(functions, ast.unparse(value.func))
        for value in returned
    )


def test_what_is_no_chart_stays_what_it_is():
    assert escaped("text") == "text"
    assert "".join(ScriptSafe().iterencode({"a": "</b>"})) == r'{"a": "\u003c/b\u003e"}'
    assert script_safe("<\u2029") == r"\u003c\u2029"


#: The converter to pictures ends the whole process over a control character.
UNDRAWN = {
    "escape": ("\x1b[2J", r"\x1b[2J"),
    "NUL": ("\x00", r"\x00"),
    "bell": ("\x07", r"\x07"),
    "form feed": ("\x0c", r"\x0c"),
    "no character": ("\uffff", r"\uffff"),
    "line separator": ("\u2028", r"\u2028"),
}


@pytest.mark.parametrize("kind", UNDRAWN)
@pytest.mark.parametrize("made", ["shown", "svg", "png", "concat"])
def test_what_cannot_be_drawn_is_written_out(frames, kind, made):
    raw, written = UNDRAWN[kind]
    plot, frame = frames["regimes"]
    chart = plot(frame.assign(cell=f"a{raw}b")).properties(title=f"t{raw}")
    if made == "concat":
        chart = alt.hconcat(bare(chart), bare(chart))
        page = json.dumps(chart.to_dict(), ensure_ascii=False)
        assert raw not in page and json.dumps(f"a{written}b")[1:-1] in page
    elif made == "shown":
        assert script_safe(json.dumps(f"a{written}b")[1:-1]) in shown(chart)
    elif made == "svg":
        assert f"t{written}".encode() in as_bytes(chart, "svg")
    else:
        assert as_bytes(chart, "png").startswith(b"\x89PNG")
