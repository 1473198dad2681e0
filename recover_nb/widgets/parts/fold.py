"""Controls that most readers do without, folded away."""

from pathlib import Path

import anywidget
import ipywidgets
import traitlets

from recover_nb.widgets.parts.looks import css


class FoldHead(anywidget.AnyWidget):
    """A button that says whether what is below it is open.

    Attributes
    ----------
    title : str
    unfolded : bool
        Set by the reader or from Python.
    """

    _esm = Path(__file__).parent / "fold.js"
    _css = css()

    title = traitlets.Unicode("").tag(sync=True)
    unfolded = traitlets.Bool(False).tag(sync=True)

    def still(self) -> str:
        """Return nothing: without a kernel nothing opens."""
        return ""


class Fold(ipywidgets.VBox):
    """A heading that opens and closes what is below it; closed at first.

    Parameters
    ----------
    title : str
    *children : Widget

    Attributes
    ----------
    head : FoldHead
    """

    def __init__(self, title: str, *children: ipywidgets.Widget) -> None:
        self.head, self._inside = FoldHead(title=title), ipywidgets.VBox(children)
        super().__init__([self.head, self._inside])
        self.add_class("recover-nb-fold")
        self.head.observe(self._show, names=["unfolded"])
        self._show()

    def still(self) -> str:
        """Return nothing: without a kernel the controls do nothing."""
        return ""

    def _show(self, _change: object = None) -> None:
        self._inside.layout.display = "" if self.head.unfolded else "none"
