"""The card of a story: one failure in four steps, from its plain data."""

import html
from importlib import resources
from typing import Any

from recover_nb.core.theme import colours_css
from recover_nb.core.visible import AS_TEXT
from recover_nb.pages.page import call


def story_card(stories: list[dict[str, Any]], overall: str, picture: str = "") -> str:
    """Return the card as HTML; readers without scripts see its words and a picture."""
    first = stories[0]
    words = " ".join([first["headline"], *first["notes"], overall])
    told = {"stories": stories, "overall": overall}
    return (
        f"<style>{colours_css()}{_part('story.css')}</style>"
        f'<div class="recover-nb-story {AS_TEXT}"><p>{html.escape(words)}</p>{picture}</div>'
        f"{call(_part('story.js'), 'tell', told)}"
    )


def _part(name: str) -> str:
    return resources.files("recover_nb").joinpath("charts", name).read_text("utf-8")
