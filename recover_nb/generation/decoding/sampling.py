"""Shared random numbers: one Philox uniform a (seed, stream, problem, rollout, step).

Tokens are drawn from it by inverse CDF.

Because rollout r of every intervention reads the same uniforms, twins agree token for token until
an operator acts (docs/method.md#counterfactual-twins).
"""

from collections.abc import Callable
from enum import IntEnum
from hashlib import blake2b

import numpy as np
import torch

from recover_nb.core.errors import InputError

#: From this vocabulary on, a token is found by the sums of blocks of as many.
WIDE, BLOCK = 2**14, 2**9
#: How many numbers a processor's core works on at once: what is made of them stays in its cache.
_AT_ONCE = 2**18


class Stream(IntEnum):
    """Disjoint sequences of random numbers."""

    ATTEMPTS = 0
    OBSERVED = 1
    OPERATOR = 2


def problem_key(family: str, method: str, task: str, problem_id: str) -> int:
    """Return the 64-bit hash that stands for a problem in the random numbers.

    Returns
    -------
    int
        First 8 bytes (little endian) of blake2b over ``family|method|task|problem_id``. It depends
        on nothing else, so order and sharding of a study change no token.
    """
    text = "|".join((family, method, task, problem_id))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def uniforms(
    seed: int, stream: int, keys: np.ndarray, rollouts: np.ndarray, n_steps: int
) -> np.ndarray:
    """Draw the uniforms of every (problem, rollout, step).

    Parameters
    ----------
    seed, stream : int
        The Philox key.
    keys : (P,) uint64
        `problem_key` of each problem: third word of the counter.
    rollouts : (R,) int
        Rollout numbers: second word of the counter. The first counts steps.
    n_steps : int
        A longer draw begins with the shorter one.

    Returns
    -------
    (P, R, n_steps) float64 in [0, 1)
    """
    keys = np.asarray(keys, dtype=np.uint64)
    rollouts = np.asarray(rollouts)
    if rollouts.size and rollouts.min() < 0:
        raise InputError(f"rollout {int(rollouts.min())} is negative; rollouts are numbered from 0")
    draws = np.empty((len(keys), len(rollouts), n_steps))
    philox_key = np.array([seed, stream], dtype=np.uint64)
    for p, key in enumerate(keys):
        for r, rollout in enumerate(rollouts):
            counter = np.array([0, rollout, key, 0], dtype=np.uint64)
            bits = np.random.Philox(key=philox_key, counter=counter)
            draws[p, r] = np.random.Generator(bits).random(n_steps)
    return draws


def by_rows(function: Callable[..., torch.Tensor], *tensors: torch.Tensor) -> torch.Tensor:
    """Return `function` of tensors (B, ...), on a processor computed a few rows at a time.

    With a wide vocabulary, temporaries of the whole batch take far longer to get from the operating
    system than to fill. `function` treats each row by itself and returns a row for each. The first
    tensor, (B, V), says how many rows make one piece; an accelerator takes them all at once.

    Returns
    -------
    (B, ...) tensor
    """
    count, width = tensors[0].shape
    step = max(1, torch.get_num_threads() * _AT_ONCE // width)
    if count <= step or tensors[0].device.type != "cpu":
        return function(*tensors)
    return torch.cat(
        [function(*part) for part in zip(*(each.split(step) for each in tensors), strict=True)]
    )


def to_grid(logits: torch.Tensor, grid: float) -> torch.Tensor:
    """Round logits (..., V) to multiples of `grid` in float32; 0 leaves their values alone.

    Batches of another shape change the last bits of a logit. Rounding makes nearly all of them the
    same number again.
    """
    logits = logits.float()
    return (logits / grid).round_().mul_(grid) if grid else logits


def temper(logits: torch.Tensor, temperature: float, grid: float = 0.0) -> torch.Tensor:
    """Return softmax(logits / temperature) as float64 (..., V), of logits rounded to `grid`.

    Temperature 0 puts all mass on the (first) largest logit.
    """
    rounded = to_grid(logits, grid).double()
    if temperature == 0:
        best = rounded.argmax(-1, keepdim=True)
        return torch.zeros_like(rounded).scatter_(-1, best, 1.0)
    return torch.softmax(rounded.div_(temperature), -1)


def draw_tempered(
    logits: torch.Tensor, temperature: float, u: torch.Tensor, grid: float = 0.0
) -> torch.Tensor:
    """Return ``inverse_cdf(temper(logits, temperature, grid), u)``, (B,) int64, a few rows at once.

    Takes logits (B, V) and u (B,) in [0, 1].
    """
    return by_rows(lambda z, v: inverse_cdf(temper(z, temperature, grid), v), logits, u)


def inverse_cdf(probabilities: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Return the token whose share of the cumulative distribution holds `u`.

    Parameters
    ----------
    probabilities : (B, V) float
        Non-negative; a row need not sum to 1.
    u : (B,) float in [0, 1]

    Returns
    -------
    (B,) int64
        Never a token of probability 0, also where `u` is 1 or rounds to it.
    """
    mass = probabilities.double()
    if mass.shape[-1] >= WIDE:
        return _inverse_cdf_of_blocks(mass, u.to(mass))
    cdf = mass.cumsum(-1)
    total = cdf[:, -1:].contiguous()
    found = torch.searchsorted(cdf, u.to(cdf)[:, None] * total, right=True)
    # The last token with any mass is the first to reach the total; beyond it lie only zeros.
    return torch.minimum(found, torch.searchsorted(cdf, total)).squeeze(-1)


def _inverse_cdf_of_blocks(mass: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Find the block of tokens that holds `u` by the blocks' sums, then the token in it.

    A sum is taken by many cores at once, a running sum over a large vocabulary is not.
    """
    vocabulary = mass.shape[-1]
    whole = vocabulary - vocabulary % BLOCK
    sums = mass[:, :whole].unflatten(-1, (-1, BLOCK)).sum(-1)
    if whole < vocabulary:
        sums = torch.cat([sums, mass[:, whole:].sum(-1, keepdim=True)], -1)
    cdf = sums.cumsum(-1)
    target = u[:, None] * cdf[:, -1:]
    block = _first_beyond(sums, cdf, target)
    before = (cdf - sums).gather(-1, block)
    place = block * BLOCK + torch.arange(BLOCK, device=mass.device)
    inside = mass.gather(-1, place.clamp(max=vocabulary - 1))
    inside = inside.masked_fill_(place >= vocabulary, 0.0)
    token = _first_beyond(inside, inside.cumsum(-1), target - before)
    return (block * BLOCK + token).squeeze(-1)


def _first_beyond(mass: torch.Tensor, cdf: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the first place (B, 1) with mass whose `cdf` (B, n) lies beyond `target` (B, 1).

    The last place with mass where none does, as by rounding.
    """
    some = mass > 0
    beyond = some & (cdf > target)
    last = some.shape[-1] - 1 - some.flip(-1).int().argmax(-1, keepdim=True)
    first = beyond.int().argmax(-1, keepdim=True)
    return torch.where(beyond.any(-1, keepdim=True), first, last)
