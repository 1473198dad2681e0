"""Rates of operators learned on other problems.

Beta-binomial populations, shrinkage and a logistic regression give them.
"""

from dataclasses import dataclass

import numpy as np

#: Bounds of the correlation of two attempts on one problem: at 0 or 1 a Beta distribution has no
#: parameters.
MIN_CORRELATION, MAX_CORRELATION = 0.01, 0.99
#: Bounds of a population's rate, for the same reason.
MIN_RATE = 0.005
#: Half this times the squared coefficients of standardised columns is added to the loss; a problem
#: weighs 1.
PENALTY = 1.0
_MAX_STEPS, _ENOUGH = 50, 1e-9


def fit_correlation(wins: np.ndarray, trials: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Estimate by moments how alike two attempts on a problem are, beyond what their mean explains.

    Parameters
    ----------
    wins, trials : int arrays, shape (problem, arm)
    mean : float array, shape (problem, arm) or (arm,)
        Rate expected of each.

    Returns
    -------
    float64 array, shape (arm,)
        rho in [0.01, 0.99]: under a beta-binomial with mean m, E (w - n m)^2 = n m (1 - m) (1 + (n
        - 1) rho), summed over problems and solved for rho. An arm without a pair of attempts has
        0.5.
    """
    mean = np.broadcast_to(np.clip(mean, MIN_RATE, 1 - MIN_RATE), wins.shape)
    binomial = trials * mean * (1 - mean)
    pairs = (binomial * (trials - 1)).sum(axis=0)
    excess = ((wins - trials * mean) ** 2 - binomial).sum(axis=0)
    rho = np.divide(excess, pairs, out=np.full(len(pairs), 0.5), where=pairs > 0)
    return np.clip(rho, MIN_CORRELATION, MAX_CORRELATION)


def beta_parameters(mean: np.ndarray, rho: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return alpha and beta of Beta distributions of given mean and correlation.

    Their sum, alpha + beta, is 1 / rho - 1.
    """
    mean = np.clip(mean, MIN_RATE, 1 - MIN_RATE)
    size = 1.0 / rho - 1.0
    return mean * size, (1.0 - mean) * size


def population(wins: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit each arm's population of rates by moments.

    Parameters
    ----------
    wins, trials : int arrays, shape (problem, arm)
        Of the problems learned from.

    Returns
    -------
    alpha, beta : float64 arrays, shape (arm,)
        A problem with w correct of n attempts then has the rate (alpha + w) / (alpha + beta + n):
        its own, shrunk toward the population's.
    """
    mean = wins.sum(axis=0) / np.maximum(trials.sum(axis=0), 1)
    return beta_parameters(mean, fit_correlation(wins, trials, mean))


@dataclass(frozen=True)
class Regression:
    """A logistic regression of every arm's rate on the same columns.

    Attributes
    ----------
    center, scale : float64 arrays, shape (column,)
        Of the problems learned from.
    weights : float64 array, shape (arm, 1 + column)
    rho : float64 array, shape (arm,)
        Correlation that is left between attempts on one problem.
    """

    center: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    rho: np.ndarray

    def rates(self, x: np.ndarray) -> np.ndarray:
        """Return the rates of problems with columns `x` (problem, column), shape (problem, arm)."""
        z = (x - self.center) / self.scale
        return _logistic(self.weights[:, 0] + z @ self.weights[:, 1:].T)


def fit_regression(x: np.ndarray, wins: np.ndarray, trials: np.ndarray) -> Regression:
    """Fit every arm's rescue rate to the columns, each problem weighing the same.

    Parameters
    ----------
    x : float array, shape (problem, column)
    wins, trials : int arrays, shape (problem, arm)

    Returns
    -------
    Regression

    Notes
    -----
    Ridge on standardised columns, none on the intercept, by Newton's method. A problem weighs 1 and
    not its number of attempts, because attempts on one problem are far from independent.
    """
    center, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    z = (x - center) / scale
    design = np.concatenate([np.ones((len(z), 1)), z], axis=1)
    target = wins / np.maximum(trials, 1)
    weights = np.stack(
        [_newton(design, target[:, arm], trials[:, arm] > 0) for arm in range(wins.shape[1])]
    )
    rho = fit_correlation(wins, trials, _logistic(design @ weights.T))
    return Regression(center, scale, weights, rho)


def _newton(design: np.ndarray, target: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Coefficients of one ridge logistic regression of shares."""
    ridge = np.full(design.shape[1], PENALTY)
    ridge[0] = 1e-6
    weights = np.zeros(design.shape[1])
    loss = _loss(design, target, used, weights, ridge)
    for _ in range(_MAX_STEPS):
        rate = _logistic(design @ weights)
        slope = design.T @ (used * (rate - target)) + ridge * weights
        curvature = (design * (used * rate * (1 - rate))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curvature, slope)
        if slope @ step < _ENOUGH:
            break
        scale = 1.0
        while (
            after := _loss(design, target, used, weights - scale * step, ridge)
        ) > loss + 1e-12 and scale > 1e-6:
            scale /= 2
        weights, loss = weights - scale * step, after
    return weights


def _loss(
    design: np.ndarray, target: np.ndarray, used: np.ndarray, weights: np.ndarray, ridge: np.ndarray
) -> float:
    score = design @ weights
    return float(
        (used * (np.logaddexp(0.0, score) - target * score)).sum()
        + 0.5 * (ridge * weights**2).sum()
    )


def _logistic(score: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * score))
