"""A long list to choose one thing from, of which a part is shown."""

from pathlib import Path

import anywidget
import traitlets

from recover_nb.widgets.parts.looks import css


class PickList(anywidget.AnyWidget):
    """Items in a list that scrolls; arrow keys, Home, End and Page Up and Down move, and choose.

    Attributes
    ----------
    places : list of int
        What each item is chosen by.
    heads, abouts, texts : list of str
        What each is called and, behind it, says; and its second line.
    shown : list of int
        Keys of the items that are shown, in order.
    chosen : int
        Key; -1 = none. Set by the reader or from Python.
    note : str
        Which items these are, below them.
    label : str
        What the list is, for a screen reader.
    """

    _esm = Path(__file__).parent / "pick_list.js"
    _css = css()

    places = traitlets.List(traitlets.Int()).tag(sync=True)
    heads = traitlets.List(traitlets.Unicode()).tag(sync=True)
    abouts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    texts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shown = traitlets.List(traitlets.Int()).tag(sync=True)
    chosen = traitlets.Int(-1).tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)
    label = traitlets.Unicode("list").tag(sync=True)

    def still(self) -> str:
        """Return nothing: without a kernel there is nothing to choose."""
        return ""
