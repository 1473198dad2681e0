"""What a completions server says of a sent sequence: log-probabilities of its last tokens."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Reply
from recover_nb.io.served.endpoint import Endpoint

#: Of names that vLLM gives as ids.
ID_PREFIX = "token_id:"


class Retokenised(Exception):
    """The server reads the sequence as other tokens than were sent."""


class Unlisted(Exception):
    """A token of the trace is not in the list that says what may come there."""


def number_of(name: str) -> int:
    """Return a number for a token's name, the same whatever was read before.

    ``token_id:N`` (vLLM's ``return_tokens_as_token_ids``) is N. Of other names it is a hash of 31
    bits: in two of a million positions, two of a hundred alternatives share one.
    """
    if name.startswith(ID_PREFIX) and name[len(ID_PREFIX) :].isdecimal():
        return int(name[len(ID_PREFIX) :])
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest()) >> 1


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


def request(endpoint: Endpoint, sequence: Sent) -> dict[str, Any]:
    """Return the body that asks for the log-probabilities of a sequence."""
    form = {"max_tokens": 0, "echo": True, "logprobs": endpoint.top}
    if endpoint.reply == Reply.PROMPT_LOGPROBS:
        form = {"max_tokens": 1, "prompt_logprobs": endpoint.top}
    return {
        "prompt": sequence.prompt + sequence.trace,
        "temperature": 1.0,
        **form,
        **endpoint.extra,
    }


def read(endpoint: Endpoint, sequence: Sent, answer: dict) -> Scored:
    """Return what the answer says of the trace.

    Raises
    ------
    Retokenised
        Other tokens than were sent, or one that is partly prompt and partly trace.
    Unlisted
        `labels.Reply.ECHO_LATE`, and a list too short to hold what came next.
    InputError
        No log-probabilities in the answer: the server does not offer them.
    """
    try:
        choice = answer["choices"][0]
        if endpoint.reply == Reply.PROMPT_LOGPROBS:
            return _read_prompt_logprobs(
                sequence, choice.get("prompt_logprobs") or answer["prompt_logprobs"]
            )
        return _read_echo(sequence, choice["logprobs"], late=endpoint.reply == Reply.ECHO_LATE)
    except InputError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise InputError(
            f"{endpoint.url} gives model {endpoint.model!r} no log-probabilities of the prompt in"
            f" the form {endpoint.reply!r}; allowed: {', '.join(Reply)}, and a server that offers"
            " them"
        ) from None


def _read_prompt_logprobs(sequence: Sent, given: list) -> Scored:
    if isinstance(sequence.prompt, str):
        raise InputError(
            "prompt_logprobs does not say which of its tokens was sent; pass tokenizer=, or ask for"
            " echo"
        )
    start, token_id = len(sequence.prompt), np.array(sequence.trace, np.int64)
    if len(given) != start + len(token_id):
        raise Retokenised
    rows = [
        {int(name): float(each["logprob"]) for name, each in row.items()} for row in given[start:]
    ]
    if any(token not in row for token, row in zip(sequence.trace, rows, strict=True)):
        raise Retokenised
    own = np.array([row[token] for token, row in zip(sequence.trace, rows, strict=True)], float)
    return Scored(
        token_id, own, *_dense([list(row) for row in rows], [list(row.values()) for row in rows])
    )


def _read_echo(sequence: Sent, given: dict, *, late: bool) -> Scored:
    names, own, tops = given["tokens"], given["token_logprobs"], given["top_logprobs"]
    if isinstance(sequence.prompt, str):
        start, stop = _by_text(sequence, names)
    else:
        start = len(sequence.prompt)
        stop = start + len(sequence.trace)
        # One more where a server cannot but generate a token.
        if len(names) not in (stop, stop + 1):
            raise Retokenised
    listed = tops[start - late : stop - late]
    own = own[start:stop]
    if late:
        # What stands beside a token is its log-probability after itself.
        own = [row.get(name) for row, name in zip(listed, names[start:stop], strict=True)]
        if None in own:
            raise Unlisted
    rows = [{number_of(name): float(value) for name, value in row.items()} for row in listed]
    token_id = np.array([number_of(name) for name in names[start:stop]], np.int64)
    return Scored(
        token_id,
        np.array(own, float),
        *_dense([list(row) for row in rows], [list(row.values()) for row in rows]),
    )


def _by_text(sequence: Sent, names: Sequence[str]) -> tuple[int, int]:
    """Return where the trace begins and ends among the server's tokens."""
    ends = np.cumsum([len(name) for name in names]).tolist()
    whole = len(sequence.prompt) + len(sequence.trace)
    if len(sequence.prompt) not in ends or whole not in ends:
        raise Retokenised
    return ends.index(len(sequence.prompt)) + 1, ends.index(whole) + 1


def _dense(ids: list[list[int]], values: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    width = max((len(row) for row in ids), default=1)
    shape = len(ids), max(width, 1)
    dense_ids, dense_values = np.full(shape, -1, np.int64), np.zeros(shape)
    for i, (row, row_values) in enumerate(zip(ids, values, strict=True)):
        dense_ids[i, : len(row)], dense_values[i, : len(row)] = row, row_values
    return dense_ids, dense_values
