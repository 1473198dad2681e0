"""The style of all parts, with the colours of the charts in it."""

from functools import cache
from pathlib import Path

from recover_nb.core.theme import colours_css


@cache
def css() -> str:
    """Return the style sheet of the parts, which begins with the colours of `core.theme`."""
    here = Path(__file__)
    sheets = (
        here.with_name(name).read_text("utf-8")
        for name in ("widgets.css", "reading.css", "question.css")
    )
    return colours_css() + "\n".join(sheets)
