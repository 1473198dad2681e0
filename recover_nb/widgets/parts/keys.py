"""Keys that are pressed inside a view stay in it."""

from pathlib import Path

import anywidget


class Keys(anywidget.AnyWidget):
    """Draws nothing; put into a view, it keeps JupyterLab's shortcuts from the view's controls."""

    _esm = Path(__file__).parent / "keys.js"

    def still(self) -> str:
        """Return nothing: there is nothing to see."""
        return ""
