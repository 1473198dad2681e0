"""Data without clusters, and what a figure must exceed to stand out.

See docs/method.md#cluster-nulls.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from recover_nb.clustering.algorithms import Clusterer
from recover_nb.clustering.stability import FIGURES, Stability, measure
from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Null

#: Level of the nulls' limits, and the fewest draws that tell it.
LEVEL, LEAST_DRAWS = 0.95, 19
#: Points fitted (points x clusterings x resamples x data sets) from which more than one process
#: pays: half a minute of one core. To start the processes takes some seconds.
LARGE = 10_000_000


def gaussian_null(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw as many points from one Gaussian with the mean and covariance of `points`, (n, d)."""
    return rng.multivariate_normal(
        points.mean(axis=0),
        np.cov(points, rowvar=False, ddof=0).reshape(points.shape[1], -1),
        size=len(points),
    )


def box_null(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw as many points, uniform in the box of the columns' ranges, (n, d).

    The sides lie along the columns (the features), not along principal axes.
    """
    return rng.uniform(points.min(axis=0), points.max(axis=0), size=points.shape)


#: Null -> how to draw from it.
DRAWS: dict[Null, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    Null.GAUSSIAN: gaussian_null,
    Null.BOX: box_null,
}


def null_limit(draws: np.ndarray, *, higher: bool = True, level: float = LEVEL) -> float:
    """Return the value that `level` of the null's figures stay within.

    It is their 95 % quantile, or 5 % where lower is more stable.

    The order statistic of rank ceil(level (n + 1)): with it a figure from the null itself lies
    beyond the limit in at most one of 20 cases, however few draws there are. An interpolated
    quantile of 20 draws would let two in 21.

    Raises
    ------
    InputError
        If there are too few draws for `level`: 19 is the fewest for 0.95.
    """
    ordered = np.sort(draws if higher else -draws)
    rank = int(np.ceil(np.round(level * (len(draws) + 1), 9)))
    if rank > len(draws):
        raise InputError(
            f"{len(draws)} draws of the null; allowed: enough for a {level:.0%} quantile, 19 for"
            " 95 %"
        )
    return float(ordered[rank - 1] if higher else -ordered[rank - 1])


def family_p(observed: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return p-values that hold for all rows at once (Westfall and Young's largest statistic).

    Parameters
    ----------
    observed : float array, shape (row, figure)
        Figures that are higher where more stable.
    draws : float array, shape (draw, row, figure)
        The same figures of data without clusters, every row of a draw on the same data.

    Returns
    -------
    float64 array, shape (row,)
        Small means that no row of the null's clusterings stands out as much. Each figure is taken
        in standard deviations of its own row and each row by its weakest figure; data and draws are
        treated alike, which makes the p-values exact where they are exchangeable.
    """
    every = np.concatenate([observed[None], draws])
    spread = every.std(axis=0)
    z = (every - every.mean(axis=0)) / np.where(spread > 1e-12, spread, np.inf)
    weakest = z.min(axis=-1)
    largest = weakest[1:].max(axis=1)
    return (1 + (largest[:, None] >= weakest[0] - 1e-12).sum(axis=0)) / (1 + len(draws))


def measure_all(
    points: np.ndarray,
    clusterers: Sequence[Clusterer],
    shown: np.ndarray,
    *,
    n_resamples: int,
    n_null: int,
    seed: int,
    agreement: bool,
    progress: Callable[[str], None] | None = None,
    n_jobs: int | None = 1,
) -> Iterator[tuple[Null | None, list[Stability]]]:
    """Measure the data (given with null None), then each draw of each null.

    The consensus of the draws is not kept.

    Parameters are those of `stability.measure`, with `n_null` draws of each null. Each has a
    generator of its own, so that more draws add to the others and change none. `n_jobs` processes
    (-1: one per processor; None: that where the work is `LARGE`, else 1) share the data sets, and
    change no figure.
    """
    tell = progress or (lambda stage: None)
    draws: list[tuple[Null | None, int]] = [(None, 0)]
    draws += [(null, draw) for null in Null for draw in range(n_null)]
    if n_jobs is None:
        fitted = len(points) * len(clusterers) * n_resamples * len(draws)
        n_jobs = -1 if fitted >= LARGE else 1
    found = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_measure_one)(points, clusterers, n_resamples, shown, null, draw, seed, agreement)
        for null, draw in draws
    )
    for null, draw in draws:
        tell("data" if null is None else f"{null.value} {draw + 1}/{n_null}")
        yield null, next(found)


def _measure_one(
    points: np.ndarray,
    clusterers: Sequence[Clusterer],
    n_resamples: int,
    shown: np.ndarray,
    null: Null | None,
    draw: int,
    seed: int,
    agreement: bool,
) -> list[Stability]:
    """Measure the data, or one draw of a null."""
    if null is None:
        rng = np.random.default_rng([seed, 0])
        return measure(points, clusterers, n_resamples, shown, rng, agreement=agreement)
    rng = np.random.default_rng([seed, 1 + list(Null).index(null), draw])
    drawn = DRAWS[null](points, rng)
    found = measure(drawn, clusterers, n_resamples, shown, rng, agreement=agreement)
    # Nobody looks at them, and those of a whole grid would take most of a gigabyte.
    return [replace(each, consensus=np.empty((0, 0))) for each in found]


def null_figures(
    runs: Sequence[tuple[Null | None, Stability]],
) -> dict[str, dict[str, np.ndarray]]:
    """Gather the figures of one clustering by null, each (n_null,)."""
    return {
        null.value: {
            name: np.array([found.figures[name] for which, found in runs if which == null])
            for name in FIGURES
        }
        for null in Null
    }


def points_shown(n: int, most: int, seed: int) -> np.ndarray:
    """Choose the points for consensus and PAC: all, or `most` of them at random, in order."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng([seed, len(Null) + 1]).choice(n, most, replace=False))


#: How many resamples, how many draws of a null, how many processes.
RESAMPLES, NULLS = checks.whole(2), checks.whole(LEAST_DRAWS)
JOBS = checks.Kind(
    "a whole number from 1 to 1024, or -1, one per processor",
    lambda value: value if value == -1 else checks.whole(1, 1024).read(value),
)
