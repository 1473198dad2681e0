"""One model's log-probabilities along a trace, in ids: where the trace stands, and the lists."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.features.signal_reductions import LOG_FLOOR
from recover_nb.io.lines import Row
from recover_nb.io.logprobs.shapes import Logged
from recover_nb.io.logprobs.token_names import Ids, boundaries, piece_of, style_of
from recover_nb.io.logprobs.topk import Lists

#: By how much a token's own log-probability and that of its name in a list may differ by rounding.
SAME = 1e-2
#: Padded lists may take so many times the room of what they hold, or this many places.
_SPARE, _PLACES = 8, 2**22

Tell = Callable[[str, str, int], None]


@dataclass
class Scored:
    """A scored sequence in ids.

    Attributes
    ----------
    row : Row
        Where it stands.
    ids : list of int or None
        None where the answer does not say which tokens came, and where the tokenizer has no such.
    own : list of float or None
    generated : int or None
        How many at the end were generated.
    pairs : callable
        Of a place: the tokens listed there with their log-probabilities.
    """

    row: Row
    ids: list[int | None]
    own: list[float | None]
    generated: int | None
    pairs: Callable[[int], Iterable[tuple[int, float]]]

    def settled(self) -> "Scored":
        """Return the same with its lists in little room, free of the file's row."""
        flat, values, ends = array("q"), array("d"), [0]
        for place in range(len(self.ids)):
            for token, value in self.pairs(place):
                flat.append(token)
                values.append(value)
            ends.append(len(flat))

        def pairs(place: int) -> Iterable[tuple[int, float]]:
            kept = slice(ends[place], ends[place + 1])
            return zip(flat[kept], values[kept], strict=True)

        return Scored(Row(self.row.where, {}), self.ids, self.own, self.generated, pairs)


def in_ids(logged: Logged, names: Ids, tell: Tell, texts: Sequence[str | None] = ()) -> Scored:
    """Return a sequence in ids; one of `texts` may be what it writes."""
    style = style_of([None if token is None else token.name for token in logged.tokens])

    def pairs(place: int) -> Iterator[tuple[int, float]]:
        lost = 0
        # The first entry of a prompt is null.
        if place or logged.raw[place] is not None:
            for token, value in logged.listed(place):
                number = names.of(token, style)
                if number is None:
                    lost += 1
                else:
                    yield number, value
        if lost:
            tell(
                "unknown_listed_tokens",
                "{n} listed tokens have names that no token of the tokenizer has; they are left out"
                " of their lists",
                lost,
            )

    # Lists that do not say which token came are lists of ids.
    names.given |= None in logged.tokens
    ids = [None if token is None else names.of(token, style) for token in logged.tokens]
    for text in texts:
        ids = _mended(ids, names, text)
    return Scored(logged.row, ids, logged.own, logged.generated, pairs)


def _mended(ids: list[int | None], names: Ids, text: str | None) -> list[int | None]:
    """Fill in tokens whose names do not say which they are, from the text of all where it fits."""
    known = [each for each in ids if each is not None]
    if not text or names.known is None or len(known) == len(ids):
        return ids
    whole = names.of_text(text)
    if whole is None or len(whole) != len(ids):
        return ids
    fits = all(mine in (None, its) for mine, its in zip(ids, whole, strict=True))
    return [*whole] if fits else ids


def echoed_from(logged: Logged, prompt: str, trace: str) -> tuple[int, int] | None:
    """Return where the trace begins and ends among the tokens of prompt and trace, by text."""
    names = [None if token is None else token.name for token in logged.tokens]
    style = style_of(names)
    pieces = [None if token is None else piece_of(token, style) for token in logged.tokens]
    before = prompt.encode("utf-8", "surrogatepass")
    text = before + trace.encode("utf-8", "surrogatepass")
    found = {each for each in boundaries(pieces, names, text, len(before)) if each[0]}
    return found.pop() if len(found) == 1 else None


def span_of(scored: Scored, wanted: Sequence[int]) -> tuple[int, int] | None:
    """Return where a trace stands: at the end, or before what was generated after it.

    None where it does not, and where it cannot be told: at two places with other values.
    """
    n, size = len(wanted), len(scored.ids)
    known = scored.generated
    ends = [size - known] if known and known < size else []
    found = [
        (end - n, end)
        for end in dict.fromkeys([*ends, size, size - 1])
        if end >= n and scored.ids[end - n : end] == [*wanted]
    ]
    if len(found) > 1 and found[0][1] not in ends:
        one, other = (scored.own[begin:end] for begin, end in found[:2])
        if one != other:
            return None
    return found[0] if found else None


def lists_along(
    scored: Scored, span: tuple[int, int], wanted: Sequence[int], tell: Tell
) -> tuple[Lists, int]:
    """Return the lists along a trace, each with the token itself, and how many were empty.

    Raises
    ------
    InputError
        A list without its token, where nothing else says how likely that was.
    """
    rows, empty, shared, unlisted, never = [], 0, 0, 0, 0
    for place, token in zip(range(*span), wanted, strict=True):
        entries: dict[int, float] = {}
        for each, value in scored.pairs(place):
            shared += each in entries
            if value > entries.get(each, -np.inf):
                entries[each] = value
        empty += not entries
        own = scored.own[place]
        if own == LOG_FLOOR and token in entries:
            own = entries[token]
        if own is not None:
            shared += token in entries and abs(entries[token] - own) > SAME
            entries[token] = own
            never += own <= LOG_FLOOR
        elif entries and token not in entries:
            if scored.ids[place] is None:
                raise InputError(
                    f"{scored.row.where}: the list of a place lacks its token {token};"
                    " prompt_logprobs and output_ids are of different sequences"
                )
            unlisted += 1
        rows.append(entries)
    _say(tell, shared, unlisted, never)
    return padded(rows), empty


def _say(tell: Tell, shared: int, unlisted: int, never: int) -> None:
    if shared:
        tell(
            "listed_tokens_of_one_name",
            "{n} listed tokens have the name of another in their list and are left out of it; ask"
            " the server for ids (return_tokens_as_token_ids)",
            shared,
        )
    if unlisted:
        tell(
            "tokens_without_logprob",
            "{n} tokens have no log-probability and are not in their list; they are taken as"
            f" never likely ({LOG_FLOOR:.0f})",
            unlisted,
        )
    if never:
        tell(
            "tokens_said_never_likely",
            "{n} tokens have a log-probability that stands for none (-9999, -Infinity); they are"
            f" taken at {LOG_FLOOR:.0f}",
            never,
        )


def padded(rows: Sequence[dict[int, float]]) -> Lists:
    """Return lists as arrays, -1 beyond a list's end.

    Raises
    ------
    InputError
        One list is so much longer than the others that the arrays would not fit.
    """
    width = max(map(len, rows), default=0)
    total = sum(map(len, rows))
    if width * len(rows) > max(_SPARE * total, _PLACES):
        raise InputError(
            f"one token has a list of {width:,} and the {len(rows):,} of its trace {total:,}"
            " together; ask for as many at each"
        )
    width = max(width, 1)
    ids, values = np.full((len(rows), width), -1, np.int64), np.zeros((len(rows), width))
    for place, entries in enumerate(rows):
        ids[place, : len(entries)], values[place, : len(entries)] = [*entries], [*entries.values()]
    return Lists(ids, values)
