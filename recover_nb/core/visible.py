"""Text of others: what would steer a terminal, or cannot be seen, is written out."""

import re
import unicodedata

#: Classes of an element whose text is text: pages that typeset formulas (JupyterLab, Voila, saved
#: notebooks) leave ``$...$`` in it alone.
AS_TEXT = "tex2jax_ignore mathjax_ignore"
#: Letters of a script and marks that are printable by their category and yet show nothing.
_UNSEEN = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
    "\ufe00-\ufe0d\U000e0100-\U000e01ef"
)
#: Nearly every text has none of these; what is found is looked at one by one.
_SUSPECT = re.compile(
    "[^ -~\xa1-\xac\xae-\u02ff\u0370-\u058f\u3041-\u312f\u4e00-\u9fff\uac00-\ud7a3]"
)
_HIDDEN = re.compile(f"[{_UNSEEN}]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object, *, lines: bool = False) -> str:
    r"""Return text that can be shown anywhere: it moves no cursor and hides nothing.

    Parameters
    ----------
    text : object
        Written by `str`.
    lines : bool
        Whether line breaks stay.

    Returns
    -------
    str
        Control characters, marks that turn the direction, characters without width and halves of
        characters are written by their code, as Python does in quotes. Everything else stays, also
        spaces of every width.

    Examples
    --------
    >>> from recover_nb.core.visible import visible
    >>> print(visible("a\x1b[2Jb\u202ec"))
    a\x1b[2Jb\u202ec
    """
    return _SUSPECT.sub(_kept if lines else _written, str(text))


def _kept(found: re.Match[str]) -> str:
    return "\n" if found[0] == "\n" else _written(found)


def _written(found: re.Match[str]) -> str:
    char = found[0]
    shown = char.isprintable() and not _HIDDEN.match(char)
    if shown or unicodedata.category(char) == "Zs":
        return char
    if char in _SHORT:
        return _SHORT[char]
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
