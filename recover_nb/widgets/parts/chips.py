"""Filters as a row of buttons that stay pressed."""

from pathlib import Path

import anywidget
import traitlets

from recover_nb.widgets.parts.looks import css


class Chips(anywidget.AnyWidget):
    """One button a choice; any number of them are pressed. Knows no study.

    Attributes
    ----------
    options : list of str
    texts : list of str
        What is written on each.
    chosen : list of str
        The pressed ones, in the order of `options`. Set by the reader or from Python.
    label : str
        What is chosen, before the buttons and for a screen reader.
    """

    _esm = Path(__file__).parent / "chips.js"
    _css = css()

    options = traitlets.List(traitlets.Unicode()).tag(sync=True)
    texts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.List(traitlets.Unicode()).tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)

    def still(self) -> str:
        """Return nothing: without a kernel there is nothing to filter."""
        return ""
