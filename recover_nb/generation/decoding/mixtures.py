"""The two ways to mix specialist and ancestor (docs/method.md#mixtures), in one dispatch table.

Both return log-probabilities at temperature T over the vocabulary, so that `dense_steer` takes
their argmax and `dense_sample` draws from them. Source: Amari, information geometry (e- and
m-geodesic).
"""

from collections.abc import Callable

import torch

from recover_nb.core.labels import Mixture
from recover_nb.generation.decoding.sampling import temper

#: Log-probability of an impossible token: -inf would turn a weight of 0 into NaN.
LOG_FLOOR = -1000.0


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
    log_s, log_a = (
        torch.log_softmax(logits.double(), -1).clamp(min=LOG_FLOOR)
        for logits in (logits_s, logits_a)
    )
    return torch.log_softmax((alpha * log_s + (1 - alpha) * log_a) / temperature, -1)


def coverage_mixture(
    logits_s: torch.Tensor, logits_a: torch.Tensor, alpha: float, temperature: float
) -> torch.Tensor:
    """Return log(alpha p_S^T + (1 - alpha) p_A^T): the m-geodesic of the tempered distributions.

    Takes and returns what `path_mixture` does.
    """
    mixed = alpha * temper(logits_s, temperature) + (1 - alpha) * temper(logits_a, temperature)
    return mixed.log()


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
