"""What a completions server says of a sent sequence: log-probabilities of its last tokens."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Reply
from recover_nb.io.lines import Row
from recover_nb.io.logprobs.shapes import log_probability
from recover_nb.io.logprobs.token_names import Token, boundaries, id_in, piece_of, style_of
from recover_nb.io.served.endpoint import Endpoint


class Retokenised(Exception):
    """The server reads the sequence as other tokens than were sent, or it cannot be told which."""


class Unlisted(Exception):
    """A token of the trace is not in the list that says what may come there."""


def number_of(name: str) -> int:
    """Return a number for a token's name, the same whatever was read before.

    ``token_id:N`` (vLLM's ``return_tokens_as_token_ids``) is N. Of other names it is a hash of 31
    bits: in two of a million positions, two of a hundred alternatives share one.
    """
    number = id_in(name)
    if number is not None:
        return number
    data = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=4).digest()) >> 1


@dataclass(frozen=True)
class Scored:
    """Lists of one model along a trace.

    Attributes
    ----------
    token_id : (token,) int64
        The trace, in the numbers of the lists.
    token_logprob : (token,) float64
    ids, logprobs : (token, K)
        Alternatives; -1 where a list is shorter.
    """

    token_id: np.ndarray
    token_logprob: np.ndarray
    ids: np.ndarray
    logprobs: np.ndarray


@dataclass(frozen=True)
class Sent:
    """A prompt with a trace: as token ids, or both as text.

    Attributes
    ----------
    prompt, trace : list of int, or str
    """

    prompt: list[int] | str
    trace: list[int] | str


def request(endpoint: Endpoint, sequence: Sent, since: int = 0) -> dict[str, Any]:
    """Return the body that asks for the log-probabilities of a sequence, or from `since` on."""
    form: dict[str, Any] = {"max_tokens": 0, "echo": True, "logprobs": endpoint.top}
    if endpoint.reply == Reply.PROMPT_LOGPROBS:
        form = {"max_tokens": 1, "prompt_logprobs": endpoint.top}
    if since:
        form["logprob_start_len"] = since
    return {
        "prompt": sequence.prompt + sequence.trace,  # pyright: ignore[reportOperatorIssue]
        "temperature": 1.0,
        **form,
        **endpoint.extra,
    }


def read(endpoint: Endpoint, sequence: Sent, answer: dict, since: int = 0) -> Scored:
    """Return what the answer says of the trace.

    Parameters
    ----------
    endpoint : Endpoint
    sequence : Sent
    answer : dict
    since : int
        The token from which on log-probabilities were asked for; the answer may have all.

    Raises
    ------
    Retokenised
        Other tokens than were sent, one that is partly prompt and partly trace, or an answer that
        fits in two ways.
    Unlisted
        `labels.Reply.ECHO_LATE`, and a list too short to hold what came next; a token without a
        log-probability.
    InputError
        No log-probabilities in the answer, or no lists: the server does not offer them.
    """
    try:
        choice = answer["choices"][0]
        if endpoint.reply == Reply.PROMPT_LOGPROBS:
            given = choice.get("prompt_logprobs") or answer["prompt_logprobs"]
            rows, token_id, own = _read_prompt_logprobs(endpoint, sequence, given, since)
        else:
            rows, token_id, own = _read_echo(endpoint, sequence, answer, since)
    except InputError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError):
        raise InputError(
            f"{endpoint.url} gives model {endpoint.model!r} no log-probabilities of the prompt in"
            f" the form {endpoint.reply!r}; allowed: {', '.join(Reply)}, and a server that offers"
            " them"
        ) from None
    empty = sum(not row for row in rows)
    if empty:
        raise InputError(
            f"{endpoint.url} lists nothing for model {endpoint.model!r} at {empty} of"
            f" {len(rows)} tokens, where {endpoint.top} alternatives were asked for; take a server"
            " that lists the likeliest tokens, or a smaller top"
        )
    return Scored(
        np.array(token_id, np.int64),
        np.array(own, float),
        *_dense([list(row) for row in rows], [list(row.values()) for row in rows]),
    )


_Read = tuple[list[dict[int, float]], list[int], list[float]]


def _read_prompt_logprobs(endpoint: Endpoint, sequence: Sent, given: list, since: int) -> _Read:
    if isinstance(sequence.prompt, str) or isinstance(sequence.trace, str):
        raise InputError(
            "prompt_logprobs does not say which of its tokens was sent; pass tokenizer=, or ask for"
            " echo"
        )
    whole = [*sequence.prompt, *sequence.trace]
    # A server may put a token before the others, and may leave those before `since` out.
    if not isinstance(given, list) or len(given) not in _sizes(whole, since, ends=1):
        raise Retokenised
    n = len(sequence.trace)
    where = Row(endpoint.url, {})
    rows = [
        {int(name): log_probability(where, name, each["logprob"]) for name, each in row.items()}
        for row in given[len(given) - n :]
    ]
    sent = whole[len(whole) - n :]
    # The first of all has no list.
    before = given[max(1, len(given) - len(whole)) : len(given) - n]
    known = whole[len(whole) - n - len(before) : len(whole) - n]
    if any(str(token) not in row for token, row in zip(known, before, strict=True) if row):
        raise Retokenised
    if any(token not in row for token, row in zip(sent, rows, strict=True) if row):
        raise Retokenised
    own = [row.get(token, 0.0) for token, row in zip(sent, rows, strict=True)]
    return rows, sent, own


def _sizes(whole: Sequence[int], since: int, *, ends: int) -> set[int]:
    """Return how many tokens an answer may have: one before all, and some behind."""
    sizes = {len(whole) + lead for lead in (0, 1)} | ({len(whole) - since} if since else set())
    return {size + end for size, end in product(sizes, range(ends))}


def _read_echo(endpoint: Endpoint, sequence: Sent, answer: dict, since: int) -> _Read:
    late, given = endpoint.reply == Reply.ECHO_LATE, answer["choices"][0]["logprobs"]
    names, own, tops = given["tokens"], given["token_logprobs"], given["top_logprobs"]
    if not len(names) == len(own) == len(tops) or not all(isinstance(n, str) for n in names):
        raise TypeError
    # Whether a token was asked for behind the sequence.
    more = bool(request(endpoint, sequence).get("max_tokens"))
    if isinstance(sequence.prompt, str) or isinstance(sequence.trace, str):
        start, stop = _by_text(f"{sequence.prompt}", f"{sequence.trace}", given, answer, more)
    else:
        start, stop = _by_ids(sequence.prompt, sequence.trace, given, answer, more, since)
    if start - late < 0 or (not start and own[0] is None):
        raise Unlisted
    where = Row(endpoint.url, {})
    listed = [
        {name: log_probability(where, name, value) for name, value in (row or {}).items()}
        for row in tops[start - late : stop - late]
    ]
    # What stands beside a token of a late server is its log-probability after itself.
    said = [
        row.get(name) if late or value is None else log_probability(where, name, value)
        for row, name, value in zip(listed, names[start:stop], own[start:stop], strict=True)
    ]
    if any(listed) and None in said:
        raise Unlisted
    rows = [{number_of(name): value for name, value in row.items()} for row in listed]
    return rows, [number_of(name) for name in names[start:stop]], [v or 0.0 for v in said]


def _prompt_tokens(answer: dict) -> int | None:
    """Return how many tokens the server counts in what was sent."""
    usage = answer.get("usage")
    n = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return n if type(n) is int else None


def _one(found: set[tuple[int, int]], own: list) -> tuple[int, int]:
    """Return the only reading; several that say the same are one."""
    if not found:
        raise Retokenised
    first, *others = sorted(found)
    if any(own[slice(*each)] != own[slice(*first)] for each in others):
        raise Retokenised
    return first


def _by_text(prompt: str, trace: str, given: dict, answer: dict, more: bool) -> tuple[int, int]:
    """Return where the trace begins and ends among the server's tokens, by what they write."""
    names, own = given["tokens"], given["token_logprobs"]
    style = style_of(names)
    pieces = [piece_of(Token(name=name), style) for name in names]
    before = prompt.encode("utf-8", "surrogatepass")
    text = before + trace.encode("utf-8", "surrogatepass")
    found = boundaries(pieces, names, text, len(before))
    # The first token of all has no log-probability; it may be written like the first of a trace.
    found = {each for each in found if own[each[0]] is not None} or found
    for stop in (_prompt_tokens(answer), len(names) - more):
        if len(found) > 1:
            found = {each for each in found if each[1] == stop} or found
    return _one(found, own)


def _by_ids(
    prompt: list[int], trace: list[int], given: dict, answer: dict, more: bool, since: int
) -> tuple[int, int]:
    """Return where the trace begins and ends among the server's tokens, of a sequence of ids."""
    names, own = given["tokens"], given["token_logprobs"]
    whole, counted = [*prompt, *trace], _prompt_tokens(answer)
    fits: dict[tuple[int, int], int] = {}
    for skipped, lead, extra in product({0, since}, (0, 1), (0, 1)):
        if len(names) == len(whole) - skipped + lead + extra:
            stop = len(names) - extra
            fits[stop - len(trace), stop] = _strangers(names[lead:stop], whole[skipped:])
    named = set(fits)
    if counted is not None and len(named) > 1:
        told = {each for each in named if each[1] == counted}
        named = told or named
    least = min((fits[each] for each in named), default=0)
    named = {each for each in named if fits[each] == least}
    if len(named) > 1 and more:
        named = {each for each in named if each[1] == len(names) - 1} or named
    if all(id_in(name) is not None for name in names) and least:
        raise Retokenised
    return _one(named, own)


def _strangers(names: Sequence[str], sent: Sequence[int]) -> int:
    """Return how many tokens have another name than the same id had before, or another id."""
    known: dict[int, str] = {}
    count = 0
    for name, token in zip(names, sent, strict=True):
        number = id_in(name)
        if number is not None:
            count += number != token
        else:
            count += known.setdefault(token, name) != name
    return count


def _dense(ids: list[list[int]], values: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    width = max((len(row) for row in ids), default=1)
    shape = len(ids), max(width, 1)
    dense_ids, dense_values = np.full(shape, -1, np.int64), np.zeros(shape)
    for i, (row, row_values) in enumerate(zip(ids, values, strict=True)):
        dense_ids[i, : len(row)], dense_values[i, : len(row)] = row, row_values
    return dense_ids, dense_values
