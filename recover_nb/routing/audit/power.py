"""How many problems, and attempts on each, would tell an effect from none.

See docs/method.md#18-audit.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from recover_nb.routing.audit.outcomes import Matrix
from recover_nb.stats.resampling import ratio

#: How often an effect is to be told, and at which level (two-sided).
POWER, LEVEL = 0.8, 0.05
#: Standard errors below the effect seen: an effect as seen is flattered as often as not, and a
#: number of problems for it would be too small half of the time.
BELOW = 1.0
#: Attempts on each problem and arm that a number of problems is given for, beside those made.
ATTEMPTS = (1, 2, 5, 10, 20)
#: Effects that a number of problems is given for, beside the one seen.
EFFECTS = (0.01, 0.03, 0.05)
_AWAY = float(ndtri(1 - LEVEL / 2) + ndtri(POWER))


@dataclass(frozen=True)
class Spread:
    """Variance of a gain over problems, in two parts.

    Attributes
    ----------
    between : float
        Of the true gains.
    noise : float
        Of one attempt at each arm, which more attempts divide; NaN where arms were tried once.
    total : float
        Of the gains as measured.
    """

    between: float
    noise: float
    total: float

    def at(self, attempts: int | None) -> float:
        """Return the variance with so many attempts on each arm; None: as measured."""
        return self.total if attempts is None else self.between + self.noise / attempts


def spread_of(matrix: Matrix, gain: np.ndarray, other: np.ndarray) -> Spread:
    """Split the variance of a gain over problems.

    Parameters
    ----------
    matrix : Matrix
        With a choice.
    gain : float64 array, shape (problem,)
        Rate of the chosen arm, less that of the other.
    other : int array, shape (problem,)
        The other arm of each problem.
    """
    total = float(gain.var(ddof=1)) if len(gain) > 1 else np.nan
    if not matrix.repeated.all():
        return Spread(np.nan, np.nan, total)
    rate, trials = matrix.rate, matrix.trials
    # Of one attempt, without bias: p (1 - p) n / (n - 1).
    once = ratio(rate * (1 - rate) * trials, trials - 1.0)
    rows = np.arange(len(gain))
    apart = matrix.chosen != other
    both = [once[rows, np.asarray(arm)] for arm in (matrix.chosen, other)]
    made = [trials[rows, np.asarray(arm)] for arm in (matrix.chosen, other)]
    noise = float(np.where(apart, both[0] + both[1], 0.0).mean())
    held = float(np.where(apart, both[0] / made[0] + both[1] / made[1], 0.0).mean())
    return Spread(max(0.0, total - held), noise, total)


def problems_for(effect: float, variance: float) -> float:
    """Return how many problems tell an effect from none, `POWER` of the time at `LEVEL`.

    Returns
    -------
    float
        A whole number; NaN for no effect, or where the variance is not known.

    Examples
    --------
    Gains of 5 points that differ by 40 from problem to problem: (2.80 x 40 / 5) squared.

    >>> problems_for(0.05, 0.40**2)
    503.0
    """
    if not (effect > 0 and variance >= 0):
        return float("nan")
    return float(np.ceil(_AWAY**2 * variance / effect**2))


def cautious(effect: float, error: float) -> float:
    """Return the size of an effect, `BELOW` standard errors less; NaN where nothing is left."""
    left = abs(effect) - BELOW * error
    return left if left > 0 else float("nan")
