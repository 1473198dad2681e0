"""The two ways to mix specialist and ancestor (docs/method.md#mixtures), in one dispatch table.

Both return log-probabilities at temperature T over the vocabulary, so that `dense_steer` takes
their argmax and `dense_sample` draws from them. Source: Amari, information geometry (e- and
m-geodesic).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from recover_nb.core.labels import Mixture
from recover_nb.generation.decoding.sampling import (
    BLOCK,
    WIDE,
    by_rows,
    temper,
    to_grid,
)

#: Log-probability of an impossible token: -inf would turn a weight of 0 into NaN.
LOG_FLOOR = -1000.0
#: Half the distance from 1 to the next float32: what one operation in float32 errs by, as a share.
_ROUNDING = 2.0**-24
#: More than what the path mixture of numbers in `_PLAIN_RANGE` errs by in float64.
_EXACT = 1e-11
#: A power of 2 that is no subnormal number in float32.
_LEAST_POWER = -120.0
#: Logits spread less than this meet no floor; at temperatures below this nothing else rounds.
_PLAIN_RANGE, _PLAIN_TEMPERATURE = 900.0, 1e3


def path_mixture(
    logits_s: torch.Tensor, logits_a: torch.Tensor, alpha: float, temperature: float
) -> torch.Tensor:
    """Return log softmax((alpha z_S + (1 - alpha) z_A) / T): the e-geodesic, tempered last.

    Parameters
    ----------
    logits_s, logits_a : (..., V) float
        Raw logits. Each is log-softmaxed first, which shifts a row and changes nothing else.
    alpha : float in [0, 1]
        The specialist's weight.
    temperature : float > 0

    Returns
    -------
    (..., V) float64
    """
    # In place: with a large vocabulary each further copy takes as long as the arithmetic.
    log_s, log_a = (
        torch.log_softmax(logits.double(), -1).clamp_(min=LOG_FLOOR)
        for logits in (logits_s, logits_a)
    )
    mixed = log_s.mul_(alpha).add_(log_a.mul_(1 - alpha))
    return torch.log_softmax(mixed.div_(temperature), -1)


def coverage_mixture(
    logits_s: torch.Tensor, logits_a: torch.Tensor, alpha: float, temperature: float
) -> torch.Tensor:
    """Return log(alpha p_S^T + (1 - alpha) p_A^T): the m-geodesic of the tempered distributions.

    Takes and returns what `path_mixture` does.
    """
    mass_s = temper(logits_s, temperature).mul_(alpha)
    return mass_s.add_(temper(logits_a, temperature).mul_(1 - alpha)).log_()


def plausible(probabilities: torch.Tensor, share: float) -> torch.Tensor:
    """Return which tokens (..., V) bool have at least `share` of the largest probability."""
    return probabilities >= share * probabilities.amax(-1, keepdim=True)


def contrast(
    logits_s: torch.Tensor, logits_a: torch.Tensor, weight: float, share: float, temperature: float
) -> torch.Tensor:
    """Return log softmax(((1 + b) z_S - b z_A) / T) over S's plausible tokens, -inf elsewhere.

    The e-geodesic continued beyond S. With a weight of 0 it is S at T without its unlikely tokens.

    Parameters
    ----------
    logits_s, logits_a : (..., V) float
        Raw logits.
    weight : float of at least 0
        b.
    share : float in [0, 1]
        Which tokens are plausible: see `plausible`; p_S at T decides.
    temperature : float > 0

    Returns
    -------
    (..., V) float64
    """
    pushed = path_mixture(logits_s, logits_a, 1 + weight, temperature)
    kept = plausible(temper(logits_s, temperature), share)
    return torch.log_softmax(pushed.masked_fill(~kept, -torch.inf), -1)


MIXTURES: dict[Mixture, Callable[[torch.Tensor, torch.Tensor, float, float], torch.Tensor]] = {
    Mixture.PATH: path_mixture,
    Mixture.COVERAGE: coverage_mixture,
}


def mix_rows(
    logits_s: torch.Tensor,
    logits_a: torch.Tensor,
    is_coverage: torch.Tensor,
    alpha: float,
    temperature: float,
) -> torch.Tensor:
    """Mix each row (B, V) by its own type: coverage where `is_coverage` (B,) bool, else path."""
    mixed = torch.empty_like(logits_s, dtype=torch.float64)
    for mixture, rows in ((Mixture.PATH, ~is_coverage), (Mixture.COVERAGE, is_coverage)):
        if bool(rows.any()):
            mixed[rows] = MIXTURES[mixture](logits_s[rows], logits_a[rows], alpha, temperature)
    return mixed


def mix_by_rows(
    logits_s: torch.Tensor,
    logits_a: torch.Tensor,
    is_coverage: torch.Tensor,
    alpha: float,
    temperature: float,
    grid: float,
) -> torch.Tensor:
    """Return `mix_rows` of logits rounded to `grid`, (B, V) float64, a few rows at a time."""

    def mix(z_s: torch.Tensor, z_a: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
        return mix_rows(to_grid(z_s, grid), to_grid(z_a, grid), kind, alpha, temperature)

    return by_rows(mix, logits_s, logits_a, is_coverage)


def best_of_rows(
    logits_s: torch.Tensor,
    logits_a: torch.Tensor,
    is_coverage: torch.Tensor,
    alpha: float,
    temperature: float,
    grid: float = 0.0,
) -> torch.Tensor:
    """Return the argmax (B,) int64 of `mix_rows`, most rows of it from float32.

    Float32 has the same argmax wherever no second token comes near the first; a bound on its errors
    says how near. The other rows (about one of ten thousand) are mixed in float64. Logits are
    rounded to `grid` first; 0 leaves them alone.
    """

    def best(z_s: torch.Tensor, z_a: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
        if grid:
            z_s, z_a = to_grid(z_s, grid), to_grid(z_a, grid)
        return _best(z_s, z_a, kind, alpha, temperature)

    return by_rows(best, logits_s, logits_a, is_coverage)


def _best(
    logits_s: torch.Tensor,
    logits_a: torch.Tensor,
    is_coverage: torch.Tensor,
    alpha: float,
    temperature: float,
) -> torch.Tensor:
    """Do as `best_of_rows` for a few rows on the grid."""
    best = torch.empty(len(logits_s), dtype=torch.int64, device=logits_s.device)
    unsure = torch.ones_like(best, dtype=torch.bool)
    if logits_s.dtype == logits_a.dtype == torch.float32 and temperature < _PLAIN_TEMPERATURE:
        for near, rows in ((_near_path, ~is_coverage), (_near_coverage, is_coverage)):
            places = rows.nonzero().squeeze(-1)
            if len(places):
                best[places], unsure[places] = near(
                    logits_s[places], logits_a[places], alpha, temperature
                )
    left = unsure.nonzero().squeeze(-1)
    if len(left):
        mixed = mix_rows(logits_s[left], logits_a[left], is_coverage[left], alpha, temperature)
        best[left] = mixed.argmax(-1)
    return best


def _near_path(
    logits_s: torch.Tensor, logits_a: torch.Tensor, alpha: float, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the argmax of the path mixture in float32, and where it is not sure, each (B,)."""
    ends = _Ends.of(logits_s), _Ends.of(logits_a)
    largest, plain = _extent(*ends)
    # What log-softmax subtracts is the same for all tokens of a row.
    score = (logits_s * alpha).add_(logits_a, alpha=1 - alpha)
    # Weight, product and sum: three roundings of numbers no larger than `largest`, on either side.
    return _sure(score, plain, lambda top: top - 16 * _ROUNDING * largest - _EXACT)


def _near_coverage(
    logits_s: torch.Tensor, logits_a: torch.Tensor, alpha: float, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the argmax of the coverage mixture in float32, and where it is not sure, each (B,)."""
    ends_s, ends_a = _Ends.of(logits_s), _Ends.of(logits_a)
    largest, plain = _extent(ends_s, ends_a)
    score = _weighted(logits_s, ends_s.high, alpha, temperature)
    score.add_(_weighted(logits_a, ends_a.high, 1 - alpha, temperature))
    # An exponential errs by as much, relatively, as its argument does absolutely: the argument is
    # at most 2 largest / T, after three roundings; the sum and the weights err by as much again.
    share = 4 * (8 * largest / temperature + 16) * _ROUNDING
    return _sure(score, plain, lambda top: top * (1 - share))


def _weighted(
    logits: torch.Tensor, high: torch.Tensor, weight: float, temperature: float
) -> torch.Tensor:
    """Return weight times softmax(logits / T), float32, its sum taken in float64."""
    # Powers of 2 take a fraction of the time of those of e.
    power = (logits - high).mul_(math.log2(math.e) / temperature)
    # Subnormal numbers are slow, and far below what the bound allows for.
    mass = power.clamp_(min=_LEAST_POWER).exp2_()
    return mass.mul_((weight / mass.sum(-1, keepdim=True, dtype=torch.float64)).float())


class _Ends(NamedTuple):
    """The smallest and the largest logit of each row, each (B, 1)."""

    low: torch.Tensor
    high: torch.Tensor

    @classmethod
    def of(cls, logits: torch.Tensor) -> "_Ends":
        # Two calls: `aminmax` of rows takes ten times as long.
        return cls(logits.amin(-1, keepdim=True), logits.amax(-1, keepdim=True))


def _extent(*models: _Ends) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest absolute logit of each row (B, 1), and whether no floor is met, (B,)."""
    largest = torch.cat([torch.maximum(high, -low) for low, high in models], -1)
    spread = torch.cat([high - low for low, high in models], -1)
    return largest.amax(-1, keepdim=True), (spread < _PLAIN_RANGE).all(-1)


def _sure(
    score: torch.Tensor, plain: torch.Tensor, edge: Callable[[torch.Tensor], torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the argmax of each row of scores, and where a second token reaches the edge."""
    top, best, second = _two_largest(score)
    return best.squeeze(-1), ~(plain & (second < edge(top)).all(-1))


def _two_largest(score: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the largest of each row, its place and the next largest, each (B, 1).

    A row of one has no next, (B, 0). Wide rows go by blocks: maxima alone take a tenth of the time
    of maxima with their places.
    """
    width = score.shape[-1]
    if width < WIDE:
        values, places = score.topk(min(2, width))
        return values[:, :1], places[:, :1], values[:, 1:]
    whole = width - width % BLOCK
    heads = score[:, :whole].unflatten(-1, (-1, BLOCK)).amax(-1)
    block = heads.argmax(-1, keepdim=True)
    elsewhere = heads.scatter_(-1, block, -torch.inf).amax(-1, keepdim=True)
    inside = block * BLOCK + torch.arange(BLOCK, device=score.device)
    rest = torch.arange(whole, width, device=score.device).expand(len(score), -1)
    place = torch.cat([inside, rest], -1)
    values, found = score.gather(-1, place).topk(2)
    return values[:, :1], place.gather(-1, found[:, :1]), torch.maximum(values[:, 1:], elsewhere)
