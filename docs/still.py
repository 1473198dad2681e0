"""Widgets of a notebook that has run, as HTML that needs no kernel.

A widget with a module of its own (a chart, a token view) runs that module in the page, alone: it
can be read, hovered and walked through, but nothing answers it. Every other widget, a slider or a
list, is written as its present value.
"""

import html
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

VIEW, STATE = (
    "application/vnd.jupyter.widget-view+json",
    "application/vnd.jupyter.widget-state+json",
)
RUNTIME = Path(__file__).with_name("still.js")

#: Stands for what only works with a kernel behind it.
NOTHING = ""
BOXES = {"BoxModel", "VBoxModel", "HBoxModel", "GridBoxModel", "StackModel"}
TITLED = {"TabModel", "AccordionModel"}
#: Do something only with a kernel, or are gone when the work is done.
LIVE = {
    "ButtonModel",
    "IntProgressModel",
    "FloatProgressModel",
    "PlayModel",
    "FileUploadModel",
    "ControllerModel",
}
LIVE_MODULES = {"Download"}
#: Show all that can be chosen, also while nothing is.
OPEN_CHOICES = {"RadioButtonsModel", "ToggleButtonsModel"}

Model = dict[str, Any]


class Still:
    """The widgets of one notebook that has run.

    Parameters
    ----------
    models : dict of str to dict
        Widget state as a notebook stores it: model id -> ``{"model_name", "state", ...}``.
    """

    def __init__(self, models: dict[str, Model]) -> None:
        self.models = models
        self._shown: dict[str, Model] = {}
        self._modules: dict[str, int] = {}
        self._styles: dict[str, None] = {}

    def html(self, reference: str) -> str:
        """Return what a widget shows; `reference` is its id, with or without ``IPY_MODEL_``."""
        name = reference.removeprefix("IPY_MODEL_")
        model = self.models.get(name)
        if model is None or self._hidden(model["state"]):
            return NOTHING
        kind, state = model["model_name"], model["state"]
        if kind == "AnyModel":
            return self._module(name, model)
        if kind in LIVE:
            return NOTHING
        if kind in BOXES:
            row = " still-row" if kind == "HBoxModel" else ""
            return f'<div class="still-box{row}">{"".join(map(self.html, state["children"]))}</div>'
        if kind in TITLED:
            return "".join(map(self._titled, _titles(state), state["children"]))
        if kind == "OutputModel":
            return "".join(map(output_html, state["outputs"]))
        if kind in ("HTMLModel", "HTMLMathModel"):
            return f"<div>{state['value']}</div>"
        return control_html(state)

    def styles(self) -> str:
        """Return the styles of the widgets that `html` was asked for."""
        return "\n".join(self._styles)

    def scripts(self) -> str:
        """Return the scripts of the widgets that `html` was asked for, each module once."""
        if not self._shown:
            return NOTHING
        # Nothing in the data can end the script, or open a comment in it.
        data = json.dumps({"modules": list(self._modules), "models": self._shown}).replace(
            "<", r"\u003c"
        )
        runtime = RUNTIME.read_text("utf-8")
        return (
            '<script type="application/json"'
            f' id="still-data">{data}</script>\n<script>{runtime}</script>'
        )

    def _module(self, name: str, model: Model) -> str:
        state = model["state"]
        if str(state.get("_anywidget_id", "")).rpartition(".")[2] in LIVE_MODULES:
            return NOTHING
        place = self._modules.setdefault(state["_esm"], len(self._modules))
        self._styles[state.get("_css") or ""] = None
        traits = {
            key: value for key, value in state.items() if key not in ("_esm", "_css", "layout")
        }
        self._shown[name] = {"module": place, "state": traits, "buffers": model.get("buffers", [])}
        classes = html.escape(" ".join(["still-module", *state.get("_dom_classes", [])]))
        return f'<div class="{classes}" data-model="{html.escape(name)}"></div>'

    def _titled(self, title: str, reference: str) -> str:
        return (
            f"<details open><summary>{html.escape(title)}</summary>{self.html(reference)}</details>"
        )

    def _hidden(self, state: Model) -> bool:
        layout = self.models.get(str(state.get("layout", "")).removeprefix("IPY_MODEL_"), {}).get(
            "state", {}
        )
        return layout.get("display") == "none" or layout.get("visibility") == "hidden"


def control_html(state: Model) -> str:
    """Return a control as its description and its present value."""
    said = [
        str(each) for each in (state.get("description"), _value(state)) if each not in (None, "")
    ]
    return f'<span class="still-control">{html.escape(" ".join(said))}</span>' if said else NOTHING


def _value(state: Model) -> Any:
    labels, index = state.get("_options_labels"), state.get("index")
    if labels is not None:
        chosen = index if isinstance(index, list | tuple) else [index]
        if chosen == [None] and state.get("_model_name") in OPEN_CHOICES:
            return " / ".join(labels)
        return ", ".join(str(labels[each]) for each in chosen if each is not None)
    value = state.get("value")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " to ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _titles(state: Model) -> list[str]:
    titles = list(state.get("titles") or [])
    return titles + [""] * (len(state["children"]) - len(titles))


def output_html(output: dict[str, Any]) -> str:
    """Return one output of an `Output` widget."""
    if output["output_type"] == "stream":
        return f"<pre>{html.escape(output['text'])}</pre>"
    data = output.get("data", {})
    return data.get("text/html") or f"<pre>{html.escape(data.get('text/plain', ''))}</pre>"


def still_outputs(cells: Iterable[Any], still: Callable[[str], str]) -> None:
    """Replace the widget views among the outputs of `cells` by HTML, in place."""
    for cell in cells:
        for output in cell.get("outputs", []):
            view = output.get("data", {}).pop(VIEW, None)
            if view is not None:
                output["data"] = {"text/html": still(view["model_id"])}
