"""What servers call their tokens: words of a vocabulary, decoded texts, bytes, or ids."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import cache
from itertools import product
from typing import Any, NamedTuple

#: Of names that vLLM gives as ids.
ID_PREFIX = "token_id:"
#: Of names that OpenAI gives to tokens that are no whole characters: ``bytes:\xe2\x80``.
BYTES_PREFIX = "bytes:"
#: Stands for bytes that are no whole character.
TORN = "\N{REPLACEMENT CHARACTER}"
_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")
_ONE_BYTE = re.compile(r"<0x([0-9a-fA-F]{2})>")
#: Names of a byte-level vocabulary that begin or are white space, and SentencePiece's space.
_BYTE_LEVEL, _PIECE_SPACE = ("\u0120", "\u010a"), "\u2581"
#: Most bytes that one torn mark may stand for.
_MOST_TORN = 4

Tell = Callable[[str, str], None]
#: The text, whether blanks before tokens may be taken away, fewest bytes of a nameless token.
_Rules = tuple[bytes, bool, int]


class Style(StrEnum):
    """What the names of one answer are."""

    TEXT = "text"
    BYTE_LEVEL = "byte_level"
    PIECES = "pieces"


class Token(NamedTuple):
    """A token as an answer gives it: by id, by name, or both; `data` are its bytes if given."""

    id: int | None = None
    name: str | None = None
    data: bytes | None = None


def style_of(names: Sequence[str | None]) -> Style:
    """Return what the names of one answer are, by the white space in them."""
    count: Counter[Style] = Counter()
    for name in filter(None, names):
        if name[0] in _BYTE_LEVEL or name[-1] in _BYTE_LEVEL:
            count[Style.BYTE_LEVEL] += 1
        elif _PIECE_SPACE in name:
            count[Style.PIECES] += 1
        elif " " in name or "\n" in name:
            count[Style.TEXT] += 1
    # A text may hold these characters itself; then more of its tokens have a plain blank.
    return max(Style, key=lambda style: count[style])


def id_in(name: str) -> int | None:
    """Return N of a name ``token_id:N``."""
    digits = name.removeprefix(ID_PREFIX)
    good = name.startswith(ID_PREFIX) and digits.isascii() and digits.isdecimal()
    return int(digits) if good and len(digits) < 10 else None


def piece_of(token: Token, style: Style) -> bytes | None:
    """Return the bytes that a token writes; None where its name does not say them all."""
    name = token.name
    if name is None:
        return token.data
    if token.data is not None and (TORN not in name or token.data != name.encode()):
        return token.data
    if name.startswith(BYTES_PREFIX) and _ESCAPED.search(name):
        return _unescaped(name.removeprefix(BYTES_PREFIX))
    if one := _ONE_BYTE.fullmatch(name):
        return bytes([int(one[1], 16)])
    if style == Style.BYTE_LEVEL and all(char in _byte_of() for char in name):
        return bytes(_byte_of()[char] for char in name)
    if not name or TORN in name:
        return None
    shown = name.replace(_PIECE_SPACE, " ") if style == Style.PIECES else name
    return shown.encode("utf-8", "surrogatepass")


def plain_name(token: Token, style: Style) -> str:
    """Return a name that is the same however the server writes it."""
    data = piece_of(token, style)
    if data is None:
        return token.name or ""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return BYTES_PREFIX + "".join(f"\\x{byte:02x}" for byte in data)


def boundaries(
    pieces: Sequence[bytes | None], names: Sequence[str | None], text: bytes, mark: int
) -> set[tuple[int, int]]:
    """Return where tokens write a text from its byte `mark` to its end.

    Parameters
    ----------
    pieces : sequence of bytes or None
        What each token writes; None where its name does not say.
    names : sequence of str or None
    text : bytes
        Prompt and trace. Tokens before it, and one token behind it, are passed over.
    mark : int
        Where the trace begins in it.

    Returns
    -------
    set of (start, stop)
        Every reading: tokens ``start`` to ``stop`` write the text from `mark` on, and those before
        them all that stands before it. More than one: it cannot be told.
    """
    # First as most servers write; a nameless token is a part of a character before it is nothing.
    for stripped, least in product((False, True), (1, 0)):
        rules = text, stripped, least
        found = set()
        for stop in (len(pieces), len(pieces) - 1):
            found |= {(start, stop) for start in _starts(pieces[:stop], names, rules, mark)}
        if found:
            return found
    return set()


def _starts(
    pieces: Sequence[bytes | None],
    names: Sequence[str | None],
    rules: "_Rules",
    mark: int,
) -> Iterator[int]:
    """Yield each place that is reached from the end at `mark`, and from which 0 is reached."""
    # From the end: where each token can begin.
    reach: list[set[int]] = [set() for _ in pieces] + [{len(rules[0])}]
    for place in range(len(pieces) - 1, -1, -1):
        name = names[place]
        for end in reach[place + 1]:
            reach[place] |= _begins(pieces[place], name, end, rules)
        if not reach[place]:
            break
    # From 0 on: which of them continue a reading of the whole text.
    forward: set[int] = set()
    for place, back in enumerate(reach[:-1]):
        here = {each for each in forward if each in back} | ({0} & back)
        if mark in here:
            yield place
        forward = set()
        for end in reach[place + 1]:
            if here & _begins(pieces[place], names[place], end, rules):
                forward.add(end)


def _begins(piece: bytes | None, name: str | None, end: int, rules: _Rules) -> set[int]:
    """Return where a token can begin that ends at `end`."""
    text, stripped, least = rules
    if piece is None:
        return _torn_begins(name or "", text, end, least)
    begin = end - len(piece)
    found = {begin} if begin >= 0 and text[begin:end] == piece else set()
    # SentencePiece puts a blank before a text that has none, and servers take it away where it is.
    if begin == -1 and piece[:1] == b" " and text[:end] == piece[1:]:
        found.add(0)
    blank = begin >= 1 and text[begin - 1 : begin] == b" "
    if found and blank and (stripped or begin == 1):
        found.add(begin - 1)
    return found


def _torn_begins(name: str, text: bytes, end: int, least: int) -> set[int]:
    """As `_begins`, of a token whose name stands for bytes that it does not show."""
    if not name:
        return {*_back_over_torn(text, end, least)}
    ends = {end}
    parts = name.split(TORN)
    for place, part in enumerate(reversed(parts)):
        data = part.encode("utf-8", "surrogatepass")
        ends = {e - len(data) for e in ends if e >= len(data) and text[e - len(data) : e] == data}
        if place < len(parts) - 1:
            ends = {each for e in ends for each in _back_over_torn(text, e, 1)}
    return ends


def _back_over_torn(text: bytes, end: int, least: int) -> Iterator[int]:
    if not least:
        yield end
    for back in range(1, _MOST_TORN + 1):
        # Only bytes of characters beyond ASCII can be torn.
        if back > end or text[end - back] < 0x80:
            return
        yield end - back


class Ids:
    """Ids of tokens: those they are given with, a tokenizer's, or numbers in the order they come.

    Parameters
    ----------
    tokenizer : optional
        With ``get_vocab``, and better ``encode``.
    tell : callable
        Hears of names that may be two tokens (`Collector.tell`).
    """

    def __init__(self, tokenizer: Any, tell: Tell) -> None:
        self.known: dict[str, int] | None = None
        self.numbered: dict[str, int] = {}
        self.given = False
        self._tell, self._tokenizer = tell, tokenizer
        self._found: dict[tuple[str | None, bytes | None, Style], int | None] = {}
        if tokenizer is not None:
            self.known = dict(tokenizer.get_vocab())
            self._special = _special_names(tokenizer)
            self._byte_level = any(name[:1] == _BYTE_LEVEL[0] for name in self.known)
            self._pieces = any(name[:1] == _PIECE_SPACE for name in self.known)

    def of(self, token: Token, style: Style) -> int | None:
        """Return the id of a token; None where the tokenizer has none of that name."""
        if token.id is not None:
            self.given = True
            return token.id
        key = token.name, token.data, style
        if key not in self._found:
            self._found[key] = self._of_name(token, style)
        return self._found[key]

    @property
    def mixed(self) -> bool:
        """Whether some tokens came with ids and others only with names, and no tokenizer."""
        return self.given and bool(self.numbered)

    def of_text(self, text: str) -> list[int] | None:
        """Return a whole text in the tokenizer's ids."""
        encode = getattr(self._tokenizer, "encode", None)
        return None if encode is None else [int(i) for i in encode(text, add_special_tokens=False)]

    def _of_name(self, token: Token, style: Style) -> int | None:
        number = None if token.name is None else id_in(token.name)
        if number is not None:
            self.given = True
            return number
        if self.known is None:
            return self.numbered.setdefault(plain_name(token, style), len(self.numbered))
        return self._look_up(token, style)

    def _look_up(self, token: Token, style: Style) -> int | None:
        known, name = self.known or {}, token.name or ""
        if name in self._special:
            return known.get(name, self._special[name])
        exact, data = known.get(name), piece_of(token, style)
        if style != Style.TEXT and exact is not None:
            return exact
        found = None if data is None else self._of_bytes(data)
        if token.data is None and exact is not None and found not in (None, exact):
            self._tell(
                "ambiguous_token_names",
                "{n} names of tokens are both a text and a word of the vocabulary; they are read as"
                " texts; ask the server for ids (return_tokens_as_token_ids)",
            )
        if found is not None:
            return found
        if exact is not None:
            return exact
        if data is None or TORN in name:
            return None
        alone = self.of_text(name)
        return alone[0] if alone is not None and len(alone) == 1 else None

    def _of_bytes(self, data: bytes) -> int | None:
        known = self.known or {}
        if self._byte_level:
            return known.get("".join(map(_char_of().__getitem__, data)))
        if self._pieces:
            shown = data.decode("utf-8", "replace").replace(" ", _PIECE_SPACE)
            one = known.get(f"<0x{data[0]:02X}>") if len(data) == 1 else None
            return known.get(shown, one)
        return known.get(data.decode("utf-8", "replace"))


def _special_names(tokenizer: Any) -> dict[str, int]:
    added = getattr(tokenizer, "get_added_vocab", None)
    return dict(added()) if added is not None else {}


def _unescaped(name: str) -> bytes:
    parts = _ESCAPED.split(name)
    # Texts and escaped bytes take turns.
    return b"".join(
        bytes([int(part, 16)]) if place % 2 else part.encode("utf-8", "surrogatepass")
        for place, part in enumerate(parts)
    )


@cache
def _byte_of() -> dict[str, int]:
    """Return the characters of byte-level vocabularies; those of printable bytes are themselves."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + i): b for i, b in enumerate(hidden)}


@cache
def _char_of() -> dict[int, str]:
    return {byte: char for char, byte in _byte_of().items()}
