"""What both routes to the signals share: the reduction, the selection of tokens, and the checks.

Everything here takes the array namespace `xp` of its arrays (numpy or torch) as its first argument.
"""

import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_torch_array
from array_api_compat import device as device_of

from recover_nb.core.checks import check, number, whole
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Signal

#: Key of the firing score (docs/method.md#firing-score) beside the six `Signal` names.
PATH_SCORE = "path_score"
#: Log-probability of a token that is missing or impossible, before tempering.
LOG_FLOOR = -1000.0
#: Added to both masses of the coverage ratio.
MASS_EPSILON = 1e-8
#: Least standard deviation of the path score.
SD_FLOOR = 1e-8
#: Temperature of the published rollouts.
DEFAULT_TEMPERATURE = 0.6
#: K of docs/method.md#2-signals.
DEFAULT_TOP_K = 100
#: Below this a float32 could overflow; greedy decoding has no signals at a temperature.
LEAST_TEMPERATURE = 1e-6
# Groups of columns, times k, whose maxima bound the k-th largest value: fewer groups let more
# candidates through.
_GROUPS = 8
# Columns of a group of torch's: its maxima cost one pass, and then 1/32 of the row is sorted.
_COLUMNS = 32

Array = Any


class LogProbabilities(NamedTuple):
    """Tempered log-probabilities that every signal is a function of; N positions, in nat.

    The two `kept` fields are on the specialist's top-K (N, K), the two `cover` fields on the
    ancestor's top-k_cov (N, k_cov), the two `token` fields at the generated token (N,). The masks
    `live` (N, K) and `cover_live` (N, k_cov) are False at empty places; None says there are none.
    """

    kept_s: Array
    kept_a: Array
    cover_s: Array
    cover_a: Array
    token_s: Array
    token_a: Array
    live: Array | None = None
    cover_live: Array | None = None


def default_k_cov(vocab_size: int) -> int:
    """Return how many of the ancestor's tokens make the coverage set.

    The rule is ``min(20, max(1, vocab_size // 10))``: 20 from 200 tokens upwards, a tenth (rounded
    down) below, 1 below 20. It never falls as the vocabulary grows, and is never over half of it
    (but for a vocabulary of one).

    Parameters
    ----------
    vocab_size : int
        Number of tokens, at least 1.

    Raises
    ------
    InputError
        If `vocab_size` is not a whole number of at least 1.

    Notes
    -----
    Source: docs/method.md#coverage-size.
    """
    return min(20, max(1, check_count("vocab_size", vocab_size) // 10))


def reduce_log_probabilities(
    xp: ModuleType, values: LogProbabilities, temperature: float
) -> dict[str, Array]:
    """Reduce tempered log-probabilities to the signals: docs/method.md#2-signals, line by line.

    Parameters
    ----------
    xp : module
        Array namespace of the arrays in `values`.
    values : LogProbabilities
        Finite everywhere, in nat.
    temperature : float
        T, to turn the variance of z / T into that of z.

    Returns
    -------
    dict of str to array, shape (N,)
    """
    probability = _masses(xp, values.kept_s, values.live)
    mass = xp.sum(probability, axis=-1, keepdims=True)
    mass = xp.clip(mass, min=xp.finfo(mass.dtype).smallest_normal)  # an empty list has none
    weight = probability / mass
    log_weight = values.kept_s - xp.log(mass)

    def mean(x: Array) -> Array:
        return xp.sum(weight * x, axis=-1, keepdims=True)

    def variance(x: Array) -> Array:
        return mean((x - mean(x)) ** 2)[:, 0]

    ratio = values.kept_s - values.kept_a
    path = values.token_s - values.token_a
    spread = xp.clip(xp.sqrt(variance(ratio)), min=SD_FLOOR)
    cover_a = xp.sum(_masses(xp, values.cover_a, values.cover_live), axis=-1) + MASS_EPSILON
    cover_s = xp.sum(_masses(xp, values.cover_s, values.cover_live), axis=-1) + MASS_EPSILON
    coverage = xp.log(cover_a / cover_s)
    return {
        Signal.PATH_DEFORMATION.value: path,
        Signal.COVERAGE_DEFORMATION.value: coverage,
        Signal.DEMOTION_PRESSURE.value: xp.clip(path, min=0.0) + xp.clip(coverage, min=0.0),
        Signal.LOGIT_VARIANCE.value: variance(values.kept_s) * temperature**2,
        Signal.KL_DIVERGENCE.value: xp.clip(mean(log_weight - values.kept_a)[:, 0], min=0.0),
        Signal.ENTROPY.value: xp.clip(-mean(log_weight)[:, 0], min=0.0),
        PATH_SCORE: xp.clip((path - mean(ratio)[:, 0]) / spread, min=0.0),
    }


def _masses(xp: ModuleType, log_probability: Array, live: Array | None) -> Array:
    mass = xp.exp(log_probability)
    return mass if live is None else mass * xp.astype(live, mass.dtype)


def most_likely(xp: ModuleType, values: Array, k: int) -> Array | None:
    """Return the places (N, k) of each row's k largest values (N, V), in no order; None: k >= V.

    A tie at the edge goes to the lowest places: the libraries settle it differently, and logits
    on a grid or in half precision tie often.
    """
    if k >= values.shape[-1]:
        return None
    select = _select_torch if is_torch_array(values) else _select
    index, least, beyond = select(xp, values, k)
    tied = least[:, 0] == beyond[:, 0]
    if not xp.any(tied):
        return index
    if is_torch_array(values):
        index[tied, :] = _break_ties_torch(xp, values, least, tied, k)
    else:
        index[tied, :] = _break_ties(xp, values[tied, :], least[tied, :], k)
    return index


def _select(xp: ModuleType, values: Array, k: int) -> tuple[Array, Array, Array]:
    """Return places (N, k) of the k largest, the least of them, and the largest left out (N, 1)."""
    edge = values.shape[-1] - k - 1
    index = xp.argpartition(values, edge, axis=-1)[:, edge:]
    index = xp.asarray(index, copy=True)  # a view would keep all V places alive
    top = xp.take_along_axis(values, index, axis=-1)
    return index[:, 1:], xp.min(top[:, 1:], axis=-1, keepdims=True), top[:, :1]


def _select_torch(xp: ModuleType, values: Array, k: int) -> tuple[Array, Array, Array]:
    """Do as `_select` for torch: it has no partition, and sorting would double the cost."""
    top, index = _topk_torch(xp, values, k + 1)
    out = xp.argmin(top, axis=-1, keepdims=True)
    beyond = xp.take_along_axis(top, out, axis=-1)
    # The last takes the place of the one left out and is then cut off. (The clone: torch refuses
    # to write a tensor from a view of itself.)
    top.scatter_(-1, out, top[:, k:].clone())
    index.scatter_(-1, out, index[:, k:].clone())
    return index[:, :k], xp.min(top[:, :k], axis=-1, keepdims=True), beyond


def _topk_torch(xp: ModuleType, values: Array, k: int) -> tuple[Array, Array]:
    """Return each row's k largest values (N, k) and their places, in no order.

    In wide rows they are looked for in the k groups of columns with the largest maxima. Any value
    elsewhere has k others that are no smaller: those maxima.
    """
    n, vocab_size = values.shape
    groups = vocab_size // _COLUMNS
    if groups < _GROUPS * k:
        return xp.topk(values, k, dim=-1, sorted=False)
    heads, column = _maxima_of_groups(xp, values)
    chosen = xp.topk(heads, k, dim=-1, sorted=False)[1]
    place = xp.reshape(chosen[:, :, None] + column, (n, k * _COLUMNS))
    rest = xp.arange(groups * _COLUMNS, vocab_size, device=device_of(values))
    place = xp.concat([place, xp.broadcast_to(rest, (n, len(rest)))], axis=-1)
    top, found = xp.topk(xp.take_along_axis(values, place, axis=-1), k, dim=-1, sorted=False)
    return top, xp.take_along_axis(place, found, axis=-1)


def _maxima_of_groups(xp: ModuleType, values: Array) -> tuple[Array, Array]:
    """Return the largest of every group of columns (N, groups), and places of the first's columns.

    Group g holds the places g + those; what is left over of a row is in no group.
    """
    groups = values.shape[-1] // _COLUMNS
    whole = values[:, : groups * _COLUMNS]
    heads = xp.max(xp.reshape(whole, (-1, _COLUMNS, groups)), axis=1)
    return heads, groups * xp.arange(_COLUMNS, device=device_of(values))


def _break_ties(xp: ModuleType, values: Array, least: Array, k: int) -> Array:
    """Return the places (N, k) above `least` (N, 1), filled up with the first that equal it."""
    above = ~(values <= least)  # so written that a NaN counts: it is refused later, by name
    equal = values == least
    room = k - xp.sum(above, axis=-1, keepdims=True, dtype=xp.int32)
    chosen = above | (equal & (xp.cumulative_sum(equal, axis=-1, dtype=xp.int32) <= room))
    return xp.reshape(xp.nonzero(chosen)[1], (values.shape[0], k))


def _break_ties_torch(xp: ModuleType, values: Array, least: Array, tied: Array, k: int) -> Array:
    """Do as `_break_ties` for the rows that are `tied` (N,), without copies of wide rows.

    Logits of bfloat16 tie in most rows; the few tokens that reach `least` are all that is sorted.
    """
    edge = xp.where(tied[:, None], least, math.inf)
    row, place = _reaching(xp, values, edge)
    wanted = tied[row]
    row, place = row[wanted], place[wanted]
    equal = values[row, place] == least[row, 0]
    room = k - xp.bincount(row[~equal], minlength=len(values))
    ties = xp.bincount(row[equal], minlength=len(values))
    before = xp.cumulative_sum(ties, axis=0) - ties
    rank = xp.cumulative_sum(equal, axis=0, dtype=xp.int64) - before[row]
    return xp.reshape(place[~equal | (rank <= room[row])], (-1, k))


def _reaching(xp: ModuleType, values: Array, edge: Array) -> tuple[Array, Array]:
    """Return rows and places of the values (N, V) that reach `edge` (N, 1), in their order.

    So written that a NaN reaches any edge. Wide rows are looked through by the maxima of groups of
    columns, as in `_topk_torch`.
    """
    vocab_size = values.shape[1]
    groups = vocab_size // _COLUMNS
    if groups < least_width(1):
        return xp.nonzero(~(values < edge))
    whole = groups * _COLUMNS
    heads, column = _maxima_of_groups(xp, values)
    row, group = xp.nonzero(~(heads < edge))
    at = xp.reshape((row * vocab_size + group)[:, None] + column, (-1,))
    rest_row, rest = xp.nonzero(~(values[:, whole:] < edge))
    at = xp.concat([at, rest_row * vocab_size + whole + rest])
    row, place = at // vocab_size, at % vocab_size
    reached = ~(values[row, place] < edge[row, 0])
    at = xp.sort(at[reached])
    return at // vocab_size, at % vocab_size


def most_candidates(k: int) -> int:
    """Return how many places of a row `candidates` returns at most."""
    return max(2 * k, 256)


def least_width(k: int) -> int:
    """Return how wide rows must be for `candidates`."""
    return 2 * _GROUPS * k


def candidates(
    values: np.ndarray, k: int, best: np.ndarray, spare: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return places among which are each row's k largest values (N, V), and counts (N,).

    The places come row after row, and the counts say how many are of each row.

    The places of a row ascend, and a value that ties with the k-th largest is left out only if its
    place is higher than those taken. Writes each row's maximum to `best` (N, 1); `spare` (N, V) is
    for scratch. V is at least `least_width(k)`.

    The k-th largest of the maxima of groups of columns is no larger than the k-th largest value,
    and in most rows few values more than k reach it. Halves are laid over each other until the
    groups are few, which costs one pass.
    """
    n, vocab_size = values.shape
    heads = values
    while (half := heads.shape[-1] // 2) >= _GROUPS * k:
        odd = heads[:, 2 * half :]
        heads = np.maximum(heads[:, :half], heads[:, half : 2 * half], out=spare[:, :half])
        if odd.size:
            np.maximum(heads[:, :1], odd, out=heads[:, :1])
    edge = heads.shape[-1] - k
    heads.partition(edge, axis=-1)
    np.max(heads[:, edge:], axis=-1, keepdims=True, out=best)
    places = np.flatnonzero(values >= heads[:, edge : edge + 1])
    counts = np.diff(np.searchsorted(places, vocab_size * np.arange(n + 1)))
    if ((counts >= k) & (counts <= most_candidates(k))).all():
        return places % vocab_size, counts
    # Many ties, NaN, or large values in few groups.
    return np.sort(most_likely(np, values, k), axis=-1).reshape(-1), np.full(n, k)


def most_likely_of(
    values: np.ndarray, places: np.ndarray, counts: np.ndarray, k: int
) -> np.ndarray:
    """Do as `most_likely`, places ascending, given all rows' `candidates`; no value is NaN."""
    if (counts == k).all():
        return places.reshape(len(values), k)
    live = np.arange(counts.max()) < counts[:, None]
    place = np.zeros(live.shape, np.int64)
    place[live] = places
    value = np.where(live, np.take_along_axis(values, place, axis=-1), -math.inf)
    edge = live.shape[-1] - k
    least = np.partition(value, edge, axis=-1)[:, edge : edge + 1]
    return np.take_along_axis(place, _break_ties(np, value, least, k), axis=-1)


def namespace_of(*arrays: Array) -> ModuleType:
    """Return the array namespace of `arrays`; an `InputError` if they have not just one."""
    try:
        return array_namespace(*arrays)
    except TypeError:
        kinds = ", ".join(type(array).__name__ for array in arrays)
        raise InputError(f"arrays of types {kinds}; allowed: all numpy or all torch") from None


def width_of(xp: ModuleType, *arrays: Array) -> Any:
    """Return the dtype float64 if any of `arrays` has it, else float32.

    It raises an `InputError` unless all are floating.
    """
    for array in arrays:
        if not xp.isdtype(array.dtype, "real floating"):
            raise InputError(
                f"logits or log-probabilities of dtype {array.dtype}; allowed: floating point"
            )
    return xp.float64 if any(array.dtype == xp.float64 for array in arrays) else xp.float32


def one_width(xp: ModuleType, *arrays: Array) -> tuple[Array, ...]:
    """Return `arrays` as float64 if any of them is, else as float32 (half precision is widened)."""
    dtype = width_of(xp, *arrays)
    return tuple(xp.astype(array, dtype, copy=False) for array in arrays)


def check_ids(xp: ModuleType, ids: Array, vocab_size: int, name: str = "token_id") -> None:
    """Raise an `InputError` unless `ids` are whole numbers from 0 and below `vocab_size`."""
    if not xp.isdtype(ids.dtype, "integral"):
        raise InputError(f"{name} of dtype {ids.dtype}; allowed: a whole-number dtype")
    if not math.prod(ids.shape):
        return
    low, high = int(xp.min(ids)), int(xp.max(ids))
    if low < 0 or high >= vocab_size:
        raise InputError(
            f"{name} from {low} to {high}; allowed: 0 to {vocab_size - 1}; leave positions past "
            "the end of a trace out"
        )


def check_temperature(temperature: float) -> float:
    """Return `temperature` as a float; an `InputError` unless it is finite and positive."""
    what = f"a finite number above 0, from {LEAST_TEMPERATURE:g} upwards"
    check("temperature", temperature, number(LEAST_TEMPERATURE, what=what))
    return float(temperature)


def check_count(name: str, value: int) -> int:
    """Return `value` as an int; an `InputError` unless it is a whole number of at least 1."""
    return check(name, value, whole(1, 2**62))
