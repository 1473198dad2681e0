"""Per-token signals from stored top-k log-probabilities, which is what serving APIs return."""

import math
from types import ModuleType
from typing import NamedTuple

from array_api_compat import device as device_of

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.features.signal_reductions import (
    DEFAULT_TEMPERATURE,
    DEFAULT_TOP_K,
    LOG_FLOOR,
    Array,
    LogProbabilities,
    check_count,
    check_ids,
    check_temperature,
    default_k_cov,
    most_likely,
    namespace_of,
    one_width,
    reduce_log_probabilities,
)

# Log-probabilities stored in half precision, or rounded to a few digits, may end just above 0.
_ROUNDING = 1e-2


# The id of an empty place: above every token's, so that it sorts last; int64 fits its multiples.
_BEYOND = 2**31


class _List(NamedTuple):
    """One model's lists, each sorted by id: N positions of K places."""

    ids: Array  # (N, K) int64
    raw: Array  # (N, K) log-probability at T = 1, nat, from LOG_FLOOR
    live: Array  # (N, K) bool; False at empty places and at repetitions of an id
    given: Array  # (N, 1) log-probability at T = 1 of the generated token if it is not listed
    shift: Array  # (N, 1) maximum and
    norm: Array  # (N, 1) log-sum-exp of a list: log p^T = (raw - shift) / T - norm
    temperature: float


@checks.takes(
    token_logprob_s=checks.ARRAY,
    token_logprob_a=checks.ARRAY,
    logprobs_s=checks.ARRAY,
    ids_s=checks.ARRAY,
    logprobs_a=checks.ARRAY,
    ids_a=checks.ARRAY,
    temperature=checks.POSITIVE,
    top_k=checks.COUNT,
    k_cov=checks.COUNT,
    vocab_size=checks.COUNT,
)
def signals_from_topk(
    logprobs_s: Array,
    ids_s: Array,
    logprobs_a: Array,
    ids_a: Array,
    token_id: Array,
    token_logprob_s: Array | None = None,
    token_logprob_a: Array | None = None,
    *,
    temperature: float = DEFAULT_TEMPERATURE,
    top_k: int = DEFAULT_TOP_K,
    k_cov: int | None = None,
    vocab_size: int | None = None,
) -> dict[str, Array]:
    """Compute the signals of `signals_from_logits` from both models' stored top-k lists.

    Log-probabilities are divided by T and renormalised over their list. A token missing from a list
    has log-probability -1000 before that, which is also the least any token has. Lists may be in
    any order and of different lengths; a repeated id counts once, at its largest log-probability.

    Parameters
    ----------
    logprobs_s, logprobs_a : array of float, shapes (..., K_s) and (..., K_a)
        Log-probabilities at T = 1, in nat, numpy or torch. Never changed in place.
    ids_s, ids_a : array of int, same shapes
        Their tokens; negative (-1) marks an empty place of a short list.
    token_id : array of int, shape (...)
        The generated token of each position.
    token_logprob_s, token_logprob_a : array of float, shape (...), optional
        The generated token's own log-probability at T = 1, used where the list misses it; NaN where
        it was not stored.
    temperature, top_k
        As in `signals_from_logits`.
    k_cov : int, optional
        Size of the ancestor's coverage set: `default_k_cov` of `vocab_size`, which counts as K_a
        unless given. (The published lists of 100 were read with 20.)
    vocab_size : int, optional
        Size of the models' vocabulary; ids are checked against it.

    Returns
    -------
    dict of str to array, shape (...)
        As `signals_from_logits`, and ``"missing_mass"`` (specialist) and
        ``"missing_mass_ancestor"``: 1 - sum exp(log-probability) of the list, at T = 1, from 0.
        Never NaN: under an empty list every token has the floor.

    Raises
    ------
    InputError
        If shapes disagree, a number is out of range, or a stored log-probability is NaN or above 0.

    Notes
    -----
    Source: docs/method.md#top-k-lists. With lists of the whole vocabulary the two routes agree.
    """
    xp = namespace_of(logprobs_s, logprobs_a)
    temperature, top_k = check_temperature(temperature), check_count("top_k", top_k)
    logprobs_s, logprobs_a = one_width(xp, logprobs_s, logprobs_a)
    token_id = xp.asarray(token_id, device=device_of(logprobs_s))
    known = _BEYOND if vocab_size is None else check_count("vocab_size", vocab_size)
    check_ids(xp, token_id, known)
    lead = tuple(token_id.shape)
    list_s = _read("specialist", logprobs_s, ids_s, token_logprob_s, lead, known, temperature)
    list_a = _read("ancestor", logprobs_a, ids_a, token_logprob_a, lead, known, temperature)
    if k_cov is None:
        k_cov = default_k_cov(logprobs_a.shape[-1] if vocab_size is None else vocab_size)
    token = xp.astype(xp.reshape(token_id, (-1, 1)), xp.int64)
    kept_s, kept_ids, live = _best(xp, list_s, top_k)
    cover_a, cover_ids, cover_live = _best(xp, list_a, check_count("k_cov", k_cov))
    values = LogProbabilities(
        kept_s=kept_s,
        kept_a=_look_up(xp, list_a, kept_ids),
        cover_s=_look_up(xp, list_s, cover_ids),
        cover_a=cover_a,
        token_s=_look_up(xp, list_s, token, list_s.given)[:, 0],
        token_a=_look_up(xp, list_a, token, list_a.given)[:, 0],
        live=live,
        cover_live=cover_live,
    )
    signals = reduce_log_probabilities(xp, values, temperature)
    signals["missing_mass"] = _missing_mass(xp, list_s)
    signals["missing_mass_ancestor"] = _missing_mass(xp, list_a)
    return {name: xp.reshape(value, lead) for name, value in signals.items()}


def _read(
    model: str,
    logprobs: Array,
    ids: Array,
    token_logprob: Array | None,
    lead: tuple[int, ...],
    known: int,
    temperature: float,
) -> _List:
    """Check one model's lists, sort them by id, count a repeated id once, and temper them."""
    xp = namespace_of(logprobs)
    ids = xp.asarray(ids, device=device_of(logprobs))
    _check_list(xp, model, logprobs, ids, lead, known)
    shape = (math.prod(lead), ids.shape[-1])
    ids = xp.astype(xp.reshape(ids, shape), xp.int64)
    raw, live = xp.reshape(logprobs, shape), ids >= 0
    _check_logprobs(xp, f"log-probabilities of the {model}", raw, live)
    ids, raw = _sort_by_id(xp, ids, raw, live)
    live = ids < _BEYOND
    live[:, 1:] &= ids[:, 1:] != ids[:, :-1]
    some = xp.any(live, axis=-1, keepdims=True)
    zero = xp.zeros_like(raw[:, :1])
    shift = xp.where(some, xp.max(raw, axis=-1, keepdims=True), zero)
    mass = xp.sum(xp.exp((raw - shift) / temperature) * live, axis=-1, keepdims=True)
    norm = xp.where(some, xp.log(xp.where(some, mass, zero + 1.0)), zero)
    given = _read_given(xp, model, token_logprob, raw, lead)
    return _List(ids, raw, live, given, shift, norm, temperature)


def _sort_by_id(xp: ModuleType, ids: Array, raw: Array, live: Array) -> tuple[Array, Array]:
    raw = xp.where(live, xp.clip(raw, min=LOG_FLOOR), LOG_FLOOR)
    ids = xp.where(live, ids, _BEYOND)
    # Stable sorts, the larger log-probability first among repetitions of an id.
    order = xp.argsort(raw, axis=-1, descending=True, stable=True)
    by_id = xp.argsort(xp.take_along_axis(ids, order, axis=-1), axis=-1, stable=True)
    order = xp.take_along_axis(order, by_id, axis=-1)
    return xp.take_along_axis(ids, order, axis=-1), xp.take_along_axis(raw, order, axis=-1)


def _read_given(
    xp: ModuleType, model: str, token_logprob: Array | None, like: Array, lead: tuple[int, ...]
) -> Array:
    """Return the generated token's stored log-probability (N, 1), the floor where there is none."""
    if token_logprob is None:
        return xp.full_like(like[:, :1], LOG_FLOOR)
    given = xp.asarray(token_logprob, dtype=like.dtype, device=device_of(like))
    if tuple(given.shape) != lead:
        raise InputError(
            f"token log-probabilities of the {model} of shape {tuple(given.shape)}; allowed: that "
            f"of token_id, {lead}"
        )
    given = xp.reshape(given, (-1, 1))
    stored = ~xp.isnan(given)
    _check_logprobs(xp, f"token log-probabilities of the {model}", given, stored)
    return xp.where(stored, xp.clip(given, min=LOG_FLOOR), LOG_FLOOR)


def _check_list(
    xp: ModuleType,
    model: str,
    logprobs: Array,
    ids: Array,
    lead: tuple[int, ...],
    known: int,
) -> None:
    shape = tuple(logprobs.shape)
    if not shape or not shape[-1] or shape != tuple(ids.shape) or shape[:-1] != lead:
        raise InputError(
            f"lists of the {model}: log-probabilities of shape {shape} and ids of shape "
            f"{tuple(ids.shape)} with token_id of shape {lead}; allowed: (..., K), (..., K) and "
            "(...), K at least 1"
        )
    check_ids(xp, xp.clip(ids, min=0), known, f"ids of the {model}")


def _check_logprobs(xp: ModuleType, what: str, values: Array, stored: Array) -> None:
    # The comparison is False for NaN too.
    if not xp.all((values <= _ROUNDING) | ~stored):
        raise InputError(
            f"{what} hold NaN or a number above 0; allowed: natural logarithms of probabilities "
            "(from logits, use signals_from_logits), and id -1 at empty places"
        )


def _temper(xp: ModuleType, lists: _List, raw: Array) -> Array:
    return (raw - lists.shift) / lists.temperature - lists.norm


def _best(xp: ModuleType, lists: _List, k: int) -> tuple[Array, Array, Array]:
    """Return log p^T, ids and liveness (N, k) of each list's k most likely tokens."""
    index = most_likely(xp, xp.where(lists.live, lists.raw, -math.inf), k)
    arrays = (lists.raw, lists.ids, lists.live)
    if index is not None:
        arrays = tuple(xp.take_along_axis(array, index, axis=-1) for array in arrays)
    raw, ids, live = arrays
    return _temper(xp, lists, raw), ids, live


def _look_up(xp: ModuleType, lists: _List, ids: Array, missing: Array | None = None) -> Array:
    """Return log p^T (N, M) of `ids` (N, M); a token that is not listed has raw value `missing`.

    Rows are told apart by an offset, which makes one sorted sequence of all lists: a search in
    O(N M log) instead of comparing every id with every place.
    """
    offset = xp.arange(ids.shape[0], dtype=xp.int64, device=device_of(ids))[:, None] * (_BEYOND + 1)
    keys = xp.reshape(lists.ids + offset, (-1,))
    wanted = xp.reshape(ids + offset, (-1,))
    if not wanted.shape[0]:
        return xp.zeros_like(lists.raw[:, :1])
    place = xp.clip(xp.searchsorted(keys, wanted), max=keys.shape[0] - 1)
    found = (xp.take(keys, place) == wanted) & xp.take(xp.reshape(lists.live, (-1,)), place)
    raw = xp.reshape(xp.take(xp.reshape(lists.raw, (-1,)), place), ids.shape)
    missing = xp.full_like(raw, LOG_FLOOR) if missing is None else missing
    return _temper(xp, lists, xp.where(xp.reshape(found, ids.shape), raw, missing))


def _missing_mass(xp: ModuleType, lists: _List) -> Array:
    mass = xp.sum(xp.exp(lists.raw) * lists.live, axis=-1)
    return xp.clip(1.0 - mass, min=0.0)
