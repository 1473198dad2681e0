"""A row of controls that saves what a view shows, through the browser."""

from pathlib import Path

import anywidget
import traitlets

from recover_nb.widgets.parts.looks import css

_FOLDER = Path(__file__).parent


class Download(anywidget.AnyWidget):
    """Lets the reader choose one of `items` and a format; the browser saves the view's file.

    Attributes
    ----------
    items : dict of str to list of str
        What can be saved, and as what.
    """

    _esm = _FOLDER / "download.js"
    _css = css()

    items = traitlets.Dict().tag(sync=True)

    def still(self) -> str:
        """Return nothing: files come from the kernel."""
        return ""
