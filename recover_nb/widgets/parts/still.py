"""What a widget shows, as HTML that needs no kernel and no script.

A part that draws itself in the browser says by a method `still` what it shows; of every other
widget the present value is written. What only works with a kernel, such as a button, is left out.
"""

import html
from typing import Any

import ipywidgets

#: Does something only with a kernel, or is gone when the work is done.
LIVE = (ipywidgets.Button, ipywidgets.IntProgress, ipywidgets.FloatProgress, ipywidgets.Play)
#: Shows all that can be chosen, also while nothing is.
OPEN = (ipywidgets.RadioButtons, ipywidgets.ToggleButtons)
WRITTEN = (ipywidgets.HTML, ipywidgets.HTMLMath)


def still(widget: ipywidgets.Widget) -> str:
    """Return what a widget shows now as HTML; empty where nothing is left of it without a kernel.

    Text is escaped, but for that of an `ipywidgets.HTML`, which is HTML already.
    """
    layout = getattr(widget, "layout", None)
    if layout is not None and (layout.display == "none" or layout.visibility == "hidden"):
        return ""
    own = getattr(widget, "still", None)
    if own is not None:
        return own()
    if isinstance(widget, LIVE):
        return ""
    if isinstance(widget, WRITTEN):
        return f"<div>{widget.value}</div>" if widget.value else ""
    if isinstance(widget, ipywidgets.Output):
        return "".join(map(_output, widget.outputs))
    if isinstance(widget, ipywidgets.Tab | ipywidgets.Accordion):
        return "".join(map(_titled, widget.titles, widget.children))
    if isinstance(widget, ipywidgets.Box):
        inside = " ".join(filter(None, map(still, widget.children)))
        row = " still-row" if isinstance(widget, ipywidgets.HBox) else ""
        return f'<div class="still-box{row}">{inside}</div>' if inside else ""
    said = [getattr(widget, "description", ""), _value(widget)]
    text = " ".join(str(each) for each in said if each not in (None, ""))
    return f'<span class="still-control">{html.escape(text)}</span>' if text else ""


def _titled(title: str, widget: ipywidgets.Widget) -> str:
    inside = f"<summary>{html.escape(title)}</summary>{still(widget)}"
    return f"<details open>{inside}</details>"


def _value(widget: Any) -> Any:
    labels, index = getattr(widget, "_options_labels", None), getattr(widget, "index", None)
    if labels is not None:
        chosen = index if isinstance(index, list | tuple) else [index]
        if chosen == [None] and isinstance(widget, OPEN):
            return " / ".join(labels)
        return ", ".join(str(labels[each]) for each in chosen if each is not None)
    value = getattr(widget, "value", None)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " to ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _output(output: dict[str, Any]) -> str:
    if output["output_type"] == "stream":
        return f"<pre>{html.escape(output['text'])}</pre>"
    data = output.get("data", {})
    return data.get("text/html") or f"<pre>{html.escape(data.get('text/plain', ''))}</pre>"
