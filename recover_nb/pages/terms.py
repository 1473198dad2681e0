"""Terms that open where they stand: the glossary's entry, over the page."""

import html
import re
from typing import Any

from recover_nb.core.glossary import anchor, glossary_entries
from recover_nb.pages.page import look, part, script


class Terms:
    """What makes the links to the glossary open over the page, wherever they stand in it.

    Shown by a cell, it holds the glossary and needs no kernel, host or other file.

    Attributes
    ----------
    entries : dict of str to str
        Term -> its entry, in Markdown.
    """

    def __init__(self) -> None:
        self.entries = glossary_entries()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": terms_html(), "text/plain": f"{len(self.entries)} terms"}


def terms() -> Terms:
    """Let the terms of this page open where they stand, with their entries in the glossary.

    Returns
    -------
    Terms

    Examples
    --------
    >>> import recover_nb as rnb
    >>> rnb.terms().entries["retry"].partition(",")[0]
    'Asking the [specialist](#specialist) again'
    """
    return Terms()


def term(name: str, words: str) -> str:
    """Return words that open an entry of the glossary.

    Raises
    ------
    KeyError
        The glossary has no such entry.
    """
    glossary_entries()[name]
    return (
        f'<a role="button" tabindex="0" aria-haspopup="dialog" data-term="{anchor(name)}">'
        f"{html.escape(words)}</a>"
    )


def terms_html() -> str:
    """Return the script that opens terms, with every entry in it."""
    told = {anchor(name): [name, entry_html(entry)] for name, entry in glossary_entries().items()}
    # Its place is empty: the card is put where it is needed.
    return f"<style>{look()}{part('terms.css')}</style><span></span>{script('terms', told)}"


def entry_html(entry: str) -> str:
    """Return an entry as HTML: paragraphs, code, a formula, and links to other entries."""
    blocks = []
    for block in entry.split("\n\n"):
        if block.startswith("    "):
            lines = "\n".join(line.removeprefix("    ") for line in block.splitlines())
            blocks.append(f"<pre>{html.escape(lines)}</pre>")
        elif block.strip():
            blocks.append(f"<p>{_inline(' '.join(block.split()))}</p>")
    return "".join(blocks)


def _inline(text: str) -> str:
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    link = r'<a role="button" tabindex="0" data-term="\2">\1</a>'
    return re.sub(r"\[([^\]]+)\]\(#([\w-]+)\)", link, text)
