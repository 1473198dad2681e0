"""Per-token signals of specialist against ancestor (docs/method.md#2-signals), on array floor.

Arrays are numpy's or torch's and stay what they are: the array API finds the library in the
argument, so that importing this module imports no torch.
"""

import math
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np
from array_api_compat import device as device_of
from array_api_compat import is_torch_array

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.features.signal_reductions import (
    DEFAULT_TEMPERATURE,
    DEFAULT_TOP_K,
    LOG_FLOOR,
    PATH_SCORE,
    Array,
    LogProbabilities,
    candidates,
    check_count,
    check_ids,
    check_temperature,
    default_k_cov,
    least_width,
    most_candidates,
    most_likely,
    most_likely_of,
    namespace_of,
    reduce_log_probabilities,
    width_of,
)
from recover_nb.features.signals_topk import signals_from_topk

__all__ = [
    "PATH_SCORE",
    "default_k_cov",
    "signals_from_logits",
    "signals_from_topk",
    "signals_in_chunks",
]

#: Small enough that a block stays in a processor's cache from one pass to the next: with torch, 256
#: MiB takes up to twice as long, and so does 1 MiB. (Wide numpy arrays go by tiles within a block.)
DEFAULT_MAX_BYTES = 2**24

# Numbers alive together at the worst moment, a position: of the vocabulary (two centred copies, an
# exponential, the 8-byte places of a selection) and of the specialist's top-K; bytes of a candidate
# of a selection.
_WIDE, _KEPT, _CANDIDATE = 6, 12, 32

# The exponential of this is no subnormal number, and vanishes in a sum of at least 1.
_NOTHING = -80.0

# Bytes of logits that numpy passes over several times before it goes on: they stay in the cache of
# one core, and are enough that calling numpy costs little.
_TILE = 2**20


class _Tempered(NamedTuple):
    """One model's log p^T (N, V), to be read at few places: (values - best) / T - norm.

    `best` and `norm` are (N, 1). Without `best`, `values` are (z - max z) / T already.
    """

    values: Array
    best: Array | None
    norm: Array


@checks.takes(
    logits_s=checks.ARRAY,
    logits_a=checks.ARRAY,
    temperature=checks.POSITIVE,
    top_k=checks.COUNT,
    k_cov=checks.COUNT,
)
def signals_from_logits(
    logits_s: Array,
    logits_a: Array,
    token_id: Array,
    *,
    temperature: float = DEFAULT_TEMPERATURE,
    top_k: int = DEFAULT_TOP_K,
    k_cov: int | None = None,
) -> dict[str, Array]:
    """Compute the six signals and the path score of each position from both models' full logits.

    Parameters
    ----------
    logits_s, logits_a : array of float, shape (..., V)
        Raw logits of specialist and ancestor, numpy or torch, over one and the same vocabulary.
        -inf marks an impossible token. No log p^T is taken below -1000 / T. Never changed in place.
    token_id : array of int, shape (...)
        The generated token of each position.
    temperature : float
        T > 0 at which the rollout was sampled.
    top_k : int
        K: how many of the specialist's most likely tokens carry the variance, the divergence, the
        entropy and the path score; the whole vocabulary if smaller. A tie at the edge goes to the
        lowest id.
    k_cov : int, optional
        Size of the ancestor's coverage set, `default_k_cov` of V unless given.

    Returns
    -------
    dict of str to array, shape (...)
        The names of `recover_nb.core.labels.Signal` and ``"path_score"``; same library and device,
        float64 if either input is, else float32. `path_deformation`, `coverage_deformation`
        (positive: the specialist favours the token more, covers the ancestor's set less),
        `demotion_pressure`, `kl_divergence` and `entropy` in nat, `logit_variance` in squared
        logits, `path_score` in standard deviations.

    Raises
    ------
    InputError
        If shapes disagree, a number is out of range, or a position has a NaN or +inf logit, or no
        finite one.

    Notes
    -----
    Source: docs/method.md#2-signals; the path score, docs/method.md#firing-score.
    """
    xp = namespace_of(logits_s, logits_a)
    temperature = check_temperature(temperature)
    z_s, z_a, token, lead = _flatten(xp, logits_s, logits_a, token_id)
    vocab_size = z_s.shape[-1]
    top_k = check_count("top_k", top_k)
    k_cov = default_k_cov(vocab_size) if k_cov is None else check_count("k_cov", k_cov)
    dtype = width_of(xp, z_s, z_a)
    temper = _temper if _wants_gradient(z_s, z_a) else _how_to_temper(z_s, top_k, k_cov)
    model_s, kept = temper(xp, z_s, dtype, top_k, temperature, "specialist")
    model_a, cover = temper(xp, z_a, dtype, k_cov, temperature, "ancestor")
    floor = LOG_FLOOR / temperature

    def pick(model: _Tempered, index: Array | None) -> Array:
        chosen = model.values if index is None else xp.take_along_axis(model.values, index, axis=-1)
        if model.best is not None:
            with np.errstate(over="ignore"):
                chosen = (xp.astype(chosen, dtype, copy=False) - model.best) * (1.0 / temperature)
        return xp.clip(chosen - model.norm, min=floor)

    values = LogProbabilities(
        kept_s=pick(model_s, kept),
        kept_a=pick(model_a, kept),
        cover_s=pick(model_s, cover),
        cover_a=pick(model_a, cover),
        token_s=pick(model_s, token)[:, 0],
        token_a=pick(model_a, token)[:, 0],
    )
    signals = reduce_log_probabilities(xp, values, temperature)
    return {name: xp.reshape(value, lead) for name, value in signals.items()}


def signals_in_chunks(
    logits_s: Array,
    logits_a: Array,
    token_id: Array,
    *,
    temperature: float = DEFAULT_TEMPERATURE,
    top_k: int = DEFAULT_TOP_K,
    k_cov: int | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> dict[str, Array]:
    """Compute `signals_from_logits` a block of positions at a time, in bounded memory.

    Parameters
    ----------
    logits_s, logits_a, token_id, temperature, top_k, k_cov
        As in `signals_from_logits`. Contiguous (or memory-mapped) logits are never copied whole.
    max_bytes : int
        Budget of temporaries; a block is as many positions as fit in it, at least one.

    Returns
    -------
    dict of str to array, shape (...)
        As `signals_from_logits`: a position's values do not depend on the block it falls in.

    Raises
    ------
    InputError
        As `signals_from_logits`, or if `max_bytes` is not a whole number of at least 1. A position
        named in a message is counted within its block.
    """
    xp = namespace_of(logits_s, logits_a)
    check_count("max_bytes", max_bytes)
    token_id = xp.asarray(token_id, device=device_of(logits_s))
    _check_shapes(logits_s, logits_a, token_id)
    vocab_size, lead = logits_s.shape[-1], tuple(token_id.shape)
    count = math.prod(lead)
    check_ids(xp, token_id, vocab_size)
    itemsize = 8 if xp.float64 in (logits_s.dtype, logits_a.dtype) else 4
    top_k = check_count("top_k", top_k)
    k_cov = default_k_cov(vocab_size) if k_cov is None else check_count("k_cov", k_cov)
    wide = _WIDE * vocab_size * itemsize
    narrow = _KEPT * min(top_k, vocab_size) * itemsize
    step = max(1, max_bytes // (wide + narrow))
    rows = _tile_rows(vocab_size, itemsize)
    if step > rows and _in_tiles(
        logits_s, top_k, k_cov
    ):  # wide temporaries of one tile, whatever the block
        narrow += _CANDIDATE * most_candidates(max(top_k, k_cov))
        step = max(rows, (max_bytes - rows * wide) // narrow)
    flat_s = xp.reshape(logits_s, (count, vocab_size))
    flat_a = xp.reshape(logits_a, (count, vocab_size))
    flat_token = xp.reshape(token_id, (count,))
    blocks = [
        signals_from_logits(
            flat_s[start : start + step, :],
            flat_a[start : start + step, :],
            flat_token[start : start + step],
            temperature=temperature,
            top_k=top_k,
            k_cov=k_cov,
        )
        for start in range(0, max(count, 1), step)
    ]
    return {
        name: xp.reshape(xp.concat([block[name] for block in blocks], axis=0), lead)
        for name in blocks[0]
    }


def _temper(
    xp: ModuleType, logits: Array, dtype: object, k: int, temperature: float, model: str
) -> tuple[_Tempered, Array | None]:
    """Return log p^T and the places of the k most likely tokens.

    This takes one operation after another on whole arrays.
    """
    logits = xp.astype(logits, dtype, copy=False)
    top = most_likely(xp, logits, k)
    # The maximum is among the tokens already selected, which saves a pass over a wide vocabulary.
    best = logits if top is None else xp.take_along_axis(logits, top, axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):  # refused below, in words
        scaled = logits - xp.max(best, axis=-1, keepdims=True)
        if temperature != 1.0:
            scaled *= 1.0 / temperature
        norm = xp.log(xp.sum(xp.exp(scaled), axis=-1, keepdims=True))
    _check_norm(xp, norm, model)
    return _Tempered(scaled, None, norm), top


def _temper_rows(
    xp: ModuleType, logits: Array, dtype: object, k: int, temperature: float, model: str
) -> tuple[_Tempered, Array | None]:
    """Do as `_temper` for wide torch arrays, with the exponentials of a few rows at a time.

    Nothing as large as the logits is made, which would take longer to allocate than to fill.
    """
    top = most_likely(xp, logits, k)
    best = logits if top is None else xp.take_along_axis(logits, top, axis=-1)
    best = xp.astype(xp.max(best, axis=-1, keepdims=True), dtype)
    rows = _tile_rows(logits.shape[-1], best.dtype.itemsize)
    totals = []
    for start in range(0, len(logits), rows):
        part = slice(start, start + rows)
        scaled = xp.astype(logits[part, :], dtype, copy=False) - best[part, :]
        scaled *= 1.0 / temperature
        # Beside the 1 of the largest, what lies below adds nothing; subnormal numbers are slow.
        scaled.clamp_(min=_NOTHING)
        totals.append(xp.sum(xp.exp(scaled, out=scaled), axis=-1, keepdims=True))
    norm = xp.log(xp.concat(totals))
    _check_norm(xp, norm, model)
    return _Tempered(logits, best, norm), top


def _temper_tiles(
    xp: ModuleType, logits: np.ndarray, dtype: np.dtype, k: int, temperature: float, model: str
) -> tuple[_Tempered, np.ndarray]:
    """Do as `_temper` for wide numpy arrays, with all passes over one tile of rows before the next.

    The tile is read from memory once, and what is as wide as the vocabulary is never kept.
    """
    n, vocab_size = logits.shape
    rows = _tile_rows(vocab_size, np.dtype(dtype).itemsize)
    spare = np.empty((min(rows, n), vocab_size), dtype)
    best, total = np.empty((n, 1), dtype), np.empty((n, 1), dtype)
    found = []
    with np.errstate(over="ignore", invalid="ignore"):  # refused below, in words
        for start in range(0, max(n, 1), rows):
            part = slice(start, start + rows)
            tile = logits[part].astype(dtype, copy=False)
            found.append(candidates(tile, k, best[part], spare[: len(tile)]))
            _sum_exponentials(tile, best[part], temperature, spare[: len(tile)], total[part])
        norm = np.log(total)
    _check_norm(xp, norm, model)
    places, counts = map(np.concatenate, zip(*found, strict=True))
    return _Tempered(logits, best, norm), most_likely_of(logits, places, counts, k)


def _sum_exponentials(
    logits: np.ndarray, best: np.ndarray, temperature: float, spare: np.ndarray, out: np.ndarray
) -> None:
    np.subtract(logits, best, out=spare)
    if temperature != 1.0:
        spare *= 1.0 / temperature
    np.sum(np.exp(spare, out=spare), axis=-1, keepdims=True, out=out)


def _in_tiles(logits: Array, top_k: int, k_cov: int) -> bool:
    """Say whether `_temper_tiles` can be used and pays."""
    return not is_torch_array(logits) and logits.shape[-1] >= least_width(max(top_k, k_cov))


def _wants_gradient(*logits: Array) -> bool:
    """Say whether a gradient is wanted, which what works in place has not."""
    return any(is_torch_array(each) and each.requires_grad for each in logits)


def _how_to_temper(logits: Array, top_k: int, k_cov: int) -> Callable[..., tuple]:
    """Return the fastest of the three ways."""
    if _in_tiles(logits, top_k, k_cov):
        return _temper_tiles
    if not is_torch_array(logits) or logits.device.type != "cpu":
        return _temper
    return _temper_rows if len(logits) > _tile_rows(logits.shape[-1], 4) else _temper


def _tile_rows(vocab_size: int, itemsize: int) -> int:
    return max(1, _TILE // (vocab_size * itemsize))


def _check_norm(xp: ModuleType, norm: Array, model: str) -> None:
    # One NaN or +inf in a row, or nothing finite, ends in its sum: no pass of its own.
    bad = ~xp.isfinite(norm[:, 0])
    if xp.any(bad):
        row = int(xp.nonzero(bad)[0][0])
        raise InputError(
            f"logits of the {model} at position {row} (leading dimensions flattened) hold NaN or "
            "+inf, or nothing finite; allowed: finite numbers and -inf"
        )


def _flatten(
    xp: ModuleType, logits_s: Array, logits_a: Array, token_id: Array
) -> tuple[Array, Array, Array, tuple[int, ...]]:
    """Check the arrays; return logits (N, V), ids (N, 1) and the leading shape."""
    token_id = xp.asarray(token_id, device=device_of(logits_s))
    _check_shapes(logits_s, logits_a, token_id)
    vocab_size, lead = logits_s.shape[-1], tuple(token_id.shape)
    count = math.prod(lead)
    check_ids(xp, token_id, vocab_size)
    return (
        xp.reshape(logits_s, (count, vocab_size)),
        xp.reshape(logits_a, (count, vocab_size)),
        xp.astype(xp.reshape(token_id, (count, 1)), xp.int64),
        lead,
    )


def _check_shapes(logits_s: Array, logits_a: Array, token_id: Array) -> None:
    shape_s, shape_a, shape_x = map(tuple, (logits_s.shape, logits_a.shape, token_id.shape))
    if shape_s != shape_a or not shape_s or not shape_s[-1] or shape_s[:-1] != shape_x:
        raise InputError(
            f"logits of shape {shape_s} (specialist) and {shape_a} (ancestor) with token_id of "
            f"shape {shape_x}; allowed: (..., V), (..., V) and (...), V at least 1; trim both "
            "models to the vocabulary they share"
        )
