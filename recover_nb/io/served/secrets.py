"""Texts of others without a key in them: whole, encoded, or cut in pieces."""

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from recover_nb.core.visible import visible

#: Stands for what is blotted out.
BLOT = "***"
#: Shortest piece of a key that is blotted out; of encoded keys the longer one.
LEAST, LEAST_ENCODED = 5, 8
#: What is looked through: an excerpt is far shorter.
MOST_CHARACTERS = 2**14


def excerpt(content: bytes, key: str | None, length: int = 300) -> str:
    """Return the beginning of an answer on one line, without the key or any piece of it.

    Parameters
    ----------
    content : bytes
    key : str or None
    length : int
        Most characters.
    """
    text = content[: 4 * MOST_CHARACTERS].decode("utf-8", "replace")[:MOST_CHARACTERS]
    shown = visible(" ".join(text.split()))
    # Before it is cut, or what is left of the key would be no key any more.
    return blotted(shown, key)[:length]


def blotted(text: str, key: str | None) -> str:
    """Return a text in which nothing of a key is left: as it is, encoded, or in pieces."""
    if not key:
        return text
    for form in sorted(_forms(key), key=len, reverse=True):
        text = re.sub(re.escape(form), BLOT, text, flags=re.IGNORECASE)
    text = _without_pieces(text, key, LEAST)
    for form in _encoded(key):
        text = _without_pieces(text, form, LEAST_ENCODED)
    return re.sub(rf"(?:{re.escape(BLOT)})+", BLOT, text)


def _forms(key: str) -> set[str]:
    escaped = json.dumps(key)[1:-1]
    slashes = escaped.replace("/", "\\/")
    return {key, key[::-1], quote(key, safe=""), quote(key), quote_plus(key), escaped, slashes}


def _encoded(key: str) -> Iterator[str]:
    """Yield base64 and hexadecimal of a key, wherever in a longer text it begins."""
    data = key.encode()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        # What comes before and behind shares a character with it.
        inner = whole[(0, 2, 3)[before] : len(whole) - 1]
        yield from (inner, inner.replace("+", "-").replace("/", "_"))
    yield data.hex()
    yield "".join(f"%{byte:02x}" for byte in data)


def _without_pieces(text: str, key: str, least: int) -> str:
    """Blot out every run of `least` characters or more that is in the key too."""
    small, within = text.lower(), key.lower()
    least = min(least, len(within))
    kept, place = [], 0
    while place < len(text):
        size = 0
        if len(text) - place >= least and small[place : place + least] in within:
            size = least
            while place + size < len(text) and small[place : place + size + 1] in within:
                size += 1
        kept.append(BLOT if size else text[place])
        place += size or 1
    return "".join(kept)
