"""Keys that are pressed inside a view stay in it, and controls say what they do."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anywidget
import traitlets


class Keys(anywidget.AnyWidget):
    """Draws nothing; put into a view, it keeps JupyterLab's shortcuts from the view's controls.

    It also shows the tooltips of controls: lists and fields of ipywidgets do not show their own.
    Marks of a chart that have no words are kept from screen readers.

    Attributes
    ----------
    tooltips : dict of str to str
        By the description of the control; `tooltips_of` makes them.
    """

    _esm = Path(__file__).parent / "keys.js"

    tooltips = traitlets.Dict().tag(sync=True)

    def still(self) -> str:
        """Return nothing: there is nothing to see."""
        return ""


def tooltips_of(widgets: Iterable[Any]) -> dict[str, str]:
    """Return the tooltip of each control by its description, at any depth."""
    found: dict[str, str] = {}
    for widget in widgets:
        found |= tooltips_of(getattr(widget, "children", ()))
        name, said = (getattr(widget, each, None) for each in ("description", "tooltip"))
        if name and said:
            found[name] = said
    return found
