"""Charts taken apart, and results that show them, for tests of every room that draws."""

import html
import json
import re

from recover_nb.core.visible import AS_TEXT

#: Keys by which Vega-Lite would compute something: none may occur anywhere in a specification.
COMPUTING = (
    "aggregate",
    "bin",
    "calculate",
    "fold",
    "impute",
    "joinaggregate",
    "stack",
    "timeUnit",
    "transform",
    "window",
)


def parts(value, key=None):
    """Every (key, value) of a specification, data left out."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name != "datasets":
                yield name, item
                yield from parts(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from parts(item, key)


def plain(frame):
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [
        {key: getattr(value, "item", lambda value=value: value)() for key, value in row.items()}
        for row in records
    ]


def drawing(chart):
    """Return the specification of a chart, without the numbers by which Altair counts charts."""
    return json.loads(re.sub(r"\b(view|param)_\d+", r"\1", json.dumps(chart.to_dict())))


def check_shown(result, chart):
    """Check that a result draws itself as this chart, and shows it beside title and sentence."""
    assert drawing(result.plot()) == drawing(chart)
    shown = result._repr_html_()
    for words in (result.title, result.sentence):
        assert words and html.escape(words) in shown
    assert shown.count(f'class="recover-nb-chart {AS_TEXT}"') == 1
    assert all(html.escape(call) in shown for call in result.following) and result.following
