"""Signals of one trace from the likeliest tokens that two models list along it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.core.schema import N_ALTERNATIVES
from recover_nb.features.signal_reductions import LOG_FLOOR
from recover_nb.features.signals_topk import signals_from_topk
from recover_nb.io.rows import SIGNALS


class Lists(NamedTuple):
    """What a model listed along a trace, each (token, K): -1 and 0 beyond a list's end."""

    ids: np.ndarray
    values: np.ndarray


#: Nats a token by which a model may be more surprised by its own traces than by what it would draw.
MOST_SURPRISED = 3.0


def check_own(
    surprisal: Sequence[Sequence[float]], entropy: Sequence[Sequence[float]], where: str, ask: str
) -> None:
    """Refuse a specialist that finds its own traces absurd.

    Its lists are one place off, or it is another model.

    Parameters
    ----------
    surprisal, entropy : sequence of sequences of float
        Of each trace, in nat: what the specialist gives its tokens, and what it gives its own
        choice there.
    where : str
        Whose lists these are.
    ask : str
        What to do instead.

    Raises
    ------
    InputError
    """
    if not surprisal:
        return
    said, own = np.concatenate(surprisal), float(np.concatenate(entropy).mean())
    # The floor stands for a probability that no one gave: a few would make any mean absurd.
    known = said[said < -LOG_FLOOR]
    theirs = float((known if 2 * len(known) >= len(said) else said).mean())
    if theirs > own + MOST_SURPRISED:
        raise InputError(
            f"{where} gives the tokens of {len(surprisal)} traces {theirs:.1f} nat on average, and"
            f" what it would draw itself {own:.1f}: that model did not write them, or what may"
            f" follow a token is listed beside it, as llama-cpp-python does; {ask}"
        )


def signals_of_lists(
    specialist: Lists,
    ancestor: Lists,
    token_id: Sequence[int],
    *,
    temperature: float,
    top_k: int,
    k_cov: int | None,
) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Compute signals, missing mass and alternatives of a trace.

    Parameters
    ----------
    specialist, ancestor : Lists
        What the model listed at each token of the trace, in nat at temperature 1; the token itself
        included where the API gives it.
    token_id : sequence of int
    temperature, top_k, k_cov
        See `recover_nb.signals_from_topk`.

    Returns
    -------
    signals : dict of str to (token,) float32
        The six signals, ``missing_mass`` and ``missing_mass_ancestor``.
    alternatives : (token_id, log_probability), each (token, 2, 5)
        As the study stores them: the likeliest first, -1 and 0 where a list is shorter.

    Notes
    -----
    docs/method.md#top-k-lists.
    """
    (ids_s, values_s), (ids_a, values_a) = specialist, ancestor
    found = signals_from_topk(
        values_s,
        ids_s,
        values_a,
        ids_a,
        np.asarray(token_id, np.int64),
        temperature=temperature,
        top_k=top_k,
        k_cov=k_cov,
    )
    both = [_likeliest(*each) for each in ((ids_s, values_s), (ids_a, values_a))]
    alternatives = tuple(np.stack(each, axis=1) for each in zip(*both, strict=True))
    return {name: found[name].astype(np.float32) for name in SIGNALS}, alternatives


def _likeliest(ids: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(np.where(ids >= 0, -values, np.inf), axis=1, kind="stable")[
        :, :N_ALTERNATIVES
    ]
    ids, values = np.take_along_axis(ids, order, 1), np.take_along_axis(values, order, 1)
    room = ((0, 0), (0, N_ALTERNATIVES - ids.shape[1]))
    values = np.where(ids >= 0, values, 0.0)
    return np.pad(ids, room, constant_values=-1).astype(np.int32), np.pad(values, room).astype(
        np.float32
    )
