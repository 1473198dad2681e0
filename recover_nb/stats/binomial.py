"""Binomial draws at rates of their own: many of few trials, as simulated studies need them."""

import numpy as np

#: Up to so many expected successes numpy's generator inverts the distribution function, with one
#: uniform number a draw.
_INVERTED = 30.0
#: Numbers that stay in a processor's cache.
_CACHED = 1 << 17


def binomial(
    trials: np.ndarray, rate: np.ndarray, n_draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Return what ``rng.binomial(trials, rate, (n_draws, *trials.shape))`` does, sooner.

    The numbers are the same, and the generator ends in the same state: numpy walks up the
    distribution function for each draw by itself, and here all draws go step by step.

    Parameters
    ----------
    trials : int array
        From 0 up.
    rate : float array
        Probability of a success; it broadcasts against `trials`.
    n_draws : int
    rng : numpy Generator

    Returns
    -------
    uint8 or int64 array, shape (n_draws, ``*trials.shape``)

    Raises
    ------
    ValueError
        A rate that is no probability.
    """
    shape = (n_draws, *trials.shape)
    if not ((rate >= 0) & (rate <= 1)).all():
        return rng.binomial(trials, rate, size=shape)  # which says what is wrong
    n, p = (each.ravel() for each in np.broadcast_arrays(trials, rate))
    # numpy takes no number of the generator where the outcome is certain to be 0.
    (drawn,) = np.nonzero((n > 0) & (p > 0))
    turned = p[drawn] > 0.5
    least = np.where(turned, 1.0 - p[drawn], p[drawn])
    if not drawn.size or (least * n[drawn]).max() > _INVERTED or n.max() > np.iinfo(np.uint8).max:
        return rng.binomial(trials, rate, size=shape)
    steps, bound = _steps(n[drawn], least)
    before = rng.bit_generator.state
    out = np.zeros((n_draws, n.size), np.uint8)
    block = max(1, _CACHED // drawn.size)
    for start in range(0, n_draws, block):
        uniform = rng.random((min(block, n_draws - start), drawn.size))
        found = np.zeros(uniform.shape, np.uint8)
        for step in steps:
            found += uniform > step
        if (found > bound).any():
            # So far out in the tail numpy draws again.
            rng.bit_generator.state = before
            return rng.binomial(trials, rate, size=shape)
        np.subtract(n[drawn].astype(np.uint8), found, out=found, where=turned)
        out[start : start + block, drawn] = found
    return out.reshape(shape)


def _steps(n: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distribution function at 0, 1, ... (step, draw), and how far numpy goes up it."""
    q = 1.0 - p
    bound = np.minimum(n, n * p + 10.0 * np.sqrt(n * p * q + 1.0)).astype(np.int64)
    chance = np.exp(n * np.log1p(-p))
    steps = np.empty((1 + bound.max(), n.size))
    steps[0] = chance
    for k in range(1, len(steps)):
        chance = np.maximum(n - k + 1, 0) * p * chance / (k * q)
        steps[k] = steps[k - 1] + chance
    steps[np.arange(len(steps))[:, None] > bound] = np.inf
    return steps, bound
