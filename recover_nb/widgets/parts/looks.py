"""The style of all parts, with the colours of the charts in it."""

from functools import cache
from pathlib import Path

from recover_nb.core.theme import colours_css


@cache
def css() -> str:
    """Return the style sheet of the parts: the colours of `charts.theme`, and `widgets.css`."""
    return colours_css() + Path(__file__).with_name("widgets.css").read_text("utf-8")
