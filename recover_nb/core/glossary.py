"""The glossary: the one page of terms, read for whoever shows a term beside its word."""

import re
from functools import cache

from recover_nb.core.errors import InputError
from recover_nb.core.shipped import shipped_folder


@cache
def glossary_entries() -> dict[str, str]:
    """Return the entries of docs/glossary.md: term -> its sentences and formula, Markdown.

    Raises
    ------
    InputError
        The installation lacks the page.
    """
    page = shipped_folder("docs") / "glossary.md"
    if not page.is_file():
        raise InputError(f"{page} is missing; reinstall recover-nb, or work in a complete checkout")
    text = page.read_text("utf-8")
    found = re.findall(r"^### ([^\n]+)\n(.+?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    return {term: entry.strip("\n") for term, entry in found}


def anchor(term: str) -> str:
    """Return the place of a term in the page."""
    return term.replace(" ", "-")
