"""Traces scored by two servers, several at a time: whole, or in parts where one is too long."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.features.signal_reductions import default_k_cov
from recover_nb.features.signals_topk import signals_from_topk
from recover_nb.io.rows import SIGNALS
from recover_nb.io.served.caller import Caller, TooLong, Unanswered
from recover_nb.io.served.completions import Retokenised, Scored, Sent, Unlisted, read, request

#: What becomes of a trace that is not scored.
UNANSWERED, RETOKENISED, UNLISTED = "unanswered", "retokenised", "unlisted"
TOO_LONG = "too_long"
#: Kept of each trace beside the signals: how unlikely the specialist finds its tokens, in nats.
SURPRISAL = "surprisal"
#: Traces without an answer, one after the other, after which the server is left alone.
GIVE_UP = 3
#: Fewest tokens of a part that is tried where a server refuses longer ones.
LEAST_PART = 64


def answers(
    score: Callable[[str], Any], todo: Sequence[str], concurrent: int, callers: Sequence[Caller]
) -> Iterator[tuple[str, Any]]:
    """Yield (key, result) as traces are scored; stop asking a server that no longer answers.

    The threads are daemons, and no one waits for them: an error or Ctrl-C ends the call at once.
    """
    asked: queue.SimpleQueue = queue.SimpleQueue()
    done: queue.SimpleQueue = queue.SimpleQueue()

    def work() -> None:
        while (key := asked.get()) is not None:
            try:
                done.put((key, score(key), None))
            except BaseException as error:
                done.put((key, None, error))

    n = min(concurrent, len(todo))
    for _ in range(n):
        threading.Thread(target=work, daemon=True, name="recover-nb-scoring").start()
    ahead, in_a_row = iter(todo), 0
    try:
        # No more than are under way: after an error nothing else is asked.
        for key in islice(ahead, n):
            asked.put(key)
        for _ in todo:
            key, result, error = done.get()
            if error is not None:
                raise error
            in_a_row = in_a_row + 1 if result == UNANSWERED else 0
            yield key, result
            if in_a_row >= GIVE_UP:
                raise InputError(_gave_up(callers))
            for following in islice(ahead, 1):
                asked.put(following)
    finally:
        for caller in callers:
            caller.stop()
        for _ in range(n):
            asked.put(None)


def _gave_up(callers: Sequence[Caller]) -> str:
    reasons = [
        f"{caller.endpoint.url}: {', '.join(f'{n} times {why}' for why, n in faults.items())}"
        for caller in callers
        if (faults := caller.faults)
    ]
    return (
        f"{GIVE_UP} traces in a row got no answer in all their tries"
        f" ({'; '.join(dict.fromkeys(reasons))}); what is scored is kept where partial= names a"
        " file: call again when the server is back"
    )


def score_trace(
    callers: Sequence[Caller], sent: Sent, constants: dict[str, Any]
) -> dict[str, list[float]] | str:
    """Return the signals of one trace, or why there are none."""
    try:
        s, a = (_lists_of(caller, sent) for caller in callers)
    except Retokenised:
        return RETOKENISED
    except Unlisted:
        return UNLISTED
    except Unanswered:
        return UNANSWERED
    except TooLong:
        return TOO_LONG
    if not np.array_equal(s.token_id, a.token_id):
        return RETOKENISED
    # In the width that studies are made in: where both models are sure of a token its pressure is 0
    # but for the last bit, and `spread` counts every bit above 0.
    numbers = (
        each.astype(np.float32)
        for each in (s.logprobs, a.logprobs, s.token_logprob, a.token_logprob)
    )
    logprobs_s, logprobs_a, own_s, own_a = numbers
    values = signals_from_topk(
        logprobs_s,
        s.ids,
        logprobs_a,
        a.ids,
        s.token_id,
        own_s,
        own_a,
        temperature=constants["temperature"],
        top_k=constants["top_k"],
        k_cov=_k_cov(constants, a),
    )
    return {
        SURPRISAL: (-s.token_logprob).tolist(),
        **{name: values[name].tolist() for name in SIGNALS},
    }


def _k_cov(constants: dict[str, Any], ancestor: Scored) -> int:
    if constants["k_cov"] is not None:
        return constants["k_cov"]
    if constants["vocab_size"] is not None:
        return default_k_cov(constants["vocab_size"])
    # A served model has a vocabulary of tens of thousands: the rule for tiny ones does not apply to
    # a short list.
    return min(20, ancestor.ids.shape[1])


def _lists_of(caller: Caller, sent: Sent) -> Scored:
    """Return what a server says of a trace, asked in parts where it must be."""
    n, part = len(sent.trace), caller.endpoint.part
    cuttable = not isinstance(sent.trace, str)
    if part is not None and cuttable and n > part:
        return _in_parts(caller, sent, part)
    try:
        return _ask(caller, sent)
    except TooLong:
        if not cuttable or part is not None:
            raise
    while (n := -(-n // 2)) >= LEAST_PART:
        # The last part has the longest sequence: where that is refused, so is the trace.
        with suppress(TooLong):
            return _in_parts(caller, sent, n)
    raise TooLong(f"{caller.endpoint.url} refuses a trace of {len(sent.trace)} tokens")


def _in_parts(caller: Caller, sent: Sent, part: int) -> Scored:
    """Ask for the lists of so many tokens at a time, the last first, and join them."""
    begins = range(0, len(sent.trace), part)
    found = [_ask_part(caller, sent, begin, part) for begin in reversed(begins)]
    found.reverse()
    width = max(each.ids.shape[1] for each in found)
    room = [((0, 0), (0, width - each.ids.shape[1])) for each in found]
    return Scored(
        np.concatenate([each.token_id for each in found]),
        np.concatenate([each.token_logprob for each in found]),
        np.concatenate(
            [np.pad(each.ids, r, constant_values=-1) for each, r in zip(found, room, strict=True)]
        ),
        np.concatenate([np.pad(each.logprobs, r) for each, r in zip(found, room, strict=True)]),
    )


def _ask_part(caller: Caller, sent: Sent, begin: int, part: int) -> Scored:
    prompt = [*sent.prompt, *sent.trace[:begin]]
    # One token before the part: the first of all that are asked for has no log-probability.
    since = max(len(prompt) - 1, 0)
    return _ask(caller, Sent(prompt, [*sent.trace[begin : begin + part]]), since)  # pyright: ignore[reportArgumentType]


def _ask(caller: Caller, sent: Sent, since: int = 0) -> Scored:
    endpoint = caller.endpoint
    body = request(endpoint, sent, since)
    return caller.ask(body, lambda answer: read(endpoint, sent, answer, since))
