"""What models, tasks and files wrote is shown as text by every view, and never read as HTML."""

from html.parser import HTMLParser
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from of_shipped import with_token_text
from traced_study import traced_study

from recover_nb import widgets

SCRIPT, IMAGE = "<script>window.broken=1</script>", "<img src=x onerror=window.broken=2>"
HOSTILE = f"{SCRIPT}{IMAGE}</b>\"'&"
#: Text of every token.
PIECES = {i: f"{i}{HOSTILE}" for i in range(200)}

#: What views are made of themselves.
TAGS = {
    "b",
    "br",
    "caption",
    "code",
    "details",
    "div",
    "em",
    "h3",
    "h4",
    "hr",
    "i",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "small",
    "span",
    "strong",
    "summary",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
}


class Reader(HTMLParser):
    """Collects the tags, handlers and links of a piece of HTML, and the text that it shows."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.bad, self.shown = set(), [], ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.bad += [
            name
            for name, value in attrs
            if name.startswith("on") or "javascript:" in (value or "").lower()
        ]

    def handle_data(self, data):
        self.shown += data


def parts(widget):
    """Yield a widget and all that is inside it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)


@pytest.fixture
def study():
    """Prompts, answers, names of problems and every token are hostile; cells keep their names."""
    ds = traced_study()
    n = ds.sizes["problem"]
    hostile = ("problem", np.full(n, HOSTILE, dtype=object))
    ds = ds.assign(prompt=hostile, answer=hostile)
    names = np.array([f"{i}{HOSTILE}" for i in range(n)], dtype=object)
    shipped = {
        name: ("problem", np.full(n, value, dtype=object))
        for name, value in (("family", "qwen3"), ("method", "sft"), ("task", "arithmetic"))
    }
    ds = ds.drop_vars("cell", errors="ignore").assign_coords(
        problem_id=("problem", names), **shipped
    )
    return with_token_text(ds, PIECES)


@pytest.fixture
def named(study):
    """As `study`; families, methods and tasks are hostile too."""
    n = study.sizes["problem"]
    names = {
        name: ("problem", np.full(n, f"{name}{HOSTILE}", dtype=object))
        for name in ("family", "task")
    }
    methods = np.where(np.arange(n) % 2, f"a{HOSTILE}", f"b{HOSTILE}").astype(object)
    return with_token_text(study.assign_coords(**names, method=("problem", methods)), PIECES)


def inspector(study, named):
    for ds in (study, named):
        view = widgets.TraceInspector(ds)
        view.selection.token = 1
        yield view


def predict(study, named):
    view = widgets.Predict(
        f"which? {HOSTILE}", [HOSTILE, "b"], HOSTILE, right=HOSTILE, because=HOSTILE
    )
    view.guess = "b"
    view.reveal()
    yield view


def score(study, named):
    (ask,) = predict(study, named)
    yield widgets.Score(ask)


def table(study, named):
    view = widgets.TableView()
    view.show(pd.DataFrame({HOSTILE: [HOSTILE]}))
    yield view


VIEWS = {
    "TraceInspector": inspector,
    "Predict": predict,
    "Score": score,
    "TableView": table,
    "TokenView": lambda study, named: [widgets.TokenView(tokens=[HOSTILE], notes=[HOSTILE])],
    "RolloutStepper": lambda study, named: [
        widgets.RolloutStepper(study, shown=3),
        widgets.RolloutStepper(named),
    ],
    "TraceSurgeon": lambda study, named: [widgets.TraceSurgeon(study), widgets.TraceSurgeon(named)],
    "RoutingExplorer": lambda study, named: [widgets.RoutingExplorer(named)],
    "StabilityExplorer": lambda study, named: [widgets.StabilityExplorer(named, n_null=19)],
    "TopographyExplorer": lambda study, named: [widgets.TopographyExplorer(named)],
}
#: Building blocks: drawn by the views above, and no view of a study themselves.
PARTS = {"ChartPanel", "Later", "Press", "RolloutGrid", "Selection", "View"}
#: Views that show text of the study in HTML of their own, not in a chart or by JavaScript.
TELLING = {"TraceInspector", "Score", "RolloutStepper", "TraceSurgeon"}


@pytest.mark.parametrize("name", VIEWS)
def test_hostile_text_is_text(name, study, named):
    shown = ""
    for view in VIEWS[name](study, named):
        for part in parts(view):
            assert not getattr(part, "description_allow_html", False)
            if isinstance(part, ipywidgets.HTML | ipywidgets.HTMLMath):
                read = Reader(part.value)
                assert read.tags <= TAGS, part.value
                assert not read.bad, part.value
                shown += read.shown
    if name in TELLING:
        assert SCRIPT in shown or IMAGE in shown


def test_every_view_is_tried():
    assert {*VIEWS, *PARTS} == set(widgets.__all__)


def test_this_test_can_fail():
    read = Reader(f"<b>{HOSTILE}")
    assert not read.tags <= TAGS
    assert read.bad == ["onerror"]


@pytest.mark.parametrize(
    "name", sorted(path.name for path in (Path(widgets.__file__).parent / "parts").glob("*.js"))
)
def test_javascript_writes_text_only(name):
    source = (Path(widgets.__file__).parent / "parts" / name).read_text()
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "DOMParser",
        "eval(",
        "new Function",
    ):
        assert way not in source
