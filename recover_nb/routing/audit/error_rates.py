"""How often an audit errs: on simulated outcomes whose truth is known.

See docs/method.md#18-audit.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from recover_nb.core.errors import InputError
from recover_nb.routing.audit.claim import COUNTS, Audit, examine
from recover_nb.routing.audit.measure import OVER_BEST, OVER_PERMUTED, OVER_RANDOM
from recover_nb.routing.audit.power import LEVEL
from recover_nb.routing.audit.reading import matrix_of
from recover_nb.routing.rescue import MIN_FAILURE, MIN_GAIN, TOLERANCE

#: What is true of simulated outcomes.
ALIKE, BLIND, PLANTED = "alike", "blind", "planted"
WORLDS = (ALIKE, BLIND, PLANTED)
#: Where the truth of a figure is 0: nowhere does an arm matter, or the router does not know where.
NULL_FIGURES = {
    ALIKE: None,
    BLIND: (OVER_PERMUTED, OVER_RANDOM),
}
#: How much better the blind world's arms are than one another.
_APART = 0.1
#: Problems simulated anew at most: an effect just above 0 asks for more than memory holds.
MOST_PROBLEMS = 50_000


def simulate(
    world: str,
    n_problems: int,
    *,
    n_arms: int = 4,
    attempts: int = 6,
    effect: float = 0.05,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, list[str]]:
    """Simulate outcomes and a router's choices.

    Parameters
    ----------
    world : str
        ``alike``: no arm differs from another on any problem. ``blind``: arms differ, the same on
        every problem, and the router chooses at random. ``planted``: on every problem one arm, at
        random, is better than the others, and the router knows it often enough to gain `effect`
        over any single arm.
    n_problems, n_arms, attempts : int
    effect : float
        Gain of the router, in shares of 1.
    rng : numpy Generator

    Returns
    -------
    outcomes : DataFrame
        ``problem``, ``arm``, ``correct``.
    choices : list of str
        The chosen arm of each problem.
    """
    if world not in WORLDS:
        raise InputError(f"world {world!r}; allowed: {', '.join(WORLDS)}")
    arms = [f"arm_{i}" for i in range(n_arms)]
    ease = rng.beta(1.5, 1.5, size=n_problems)
    p = np.repeat(ease[:, None], n_arms, axis=1)
    choice = rng.integers(n_arms, size=n_problems)
    if world == BLIND:
        p = p * (1 - _APART * np.arange(n_arms))
    if world == PLANTED:
        # The good arm of a problem is 0.2 better. Known with the probability q, else guessed, it
        # gains q (1 - 1 / arms) 0.2 over any single arm.
        p = 0.8 * p
        good = rng.integers(n_arms, size=n_problems)
        p[np.arange(n_problems), good] += 0.2
        known = rng.random(n_problems) < effect / (0.2 * (1 - 1 / n_arms))
        choice = np.where(known, good, choice)
    correct = rng.random((n_problems, attempts, n_arms)) < p[:, None, :]
    problem, _, arm = np.indices(correct.shape)
    frame = pd.DataFrame(
        {
            "problem": problem.ravel(),
            "arm": np.array(arms)[arm.ravel()],
            "correct": correct.ravel().astype(int),
        }
    )
    return frame, [arms[i] for i in choice]


def false_positives(
    world: str = ALIKE,
    *,
    n_simulations: int = 200,
    n_problems: int = 300,
    seed: int = 0,
    advance: Callable[[int], None] | None = None,
    **options: int,
) -> pd.DataFrame:
    """Count how often each figure is told from none where it is none.

    Parameters
    ----------
    world : str
        ``alike`` or ``blind``.
    n_simulations, n_problems, seed : int
    advance : callable, optional
        Called with the number of each simulation that is done.
    **options
        Counts of resamples, as of `audit`.

    Returns
    -------
    DataFrame
        ``figure``, ``n`` (simulations with the figure), ``found`` (p at most 0.05) and ``rate``.
    """
    found: dict[str, list[bool]] = {}
    for each in range(n_simulations):
        rng = np.random.default_rng([seed, each])
        frame, choice = simulate(world, n_problems, rng=rng)
        ds = _audit(frame, choice, each, options).dataset
        wanted = NULL_FIGURES[world] or ds["figure"].values
        for name in map(str, wanted):
            p = float(ds["p"].sel(figure=name))
            if np.isfinite(p):
                found.setdefault(name, []).append(p <= LEVEL)
        if advance is not None:
            advance(each)
    rows = [
        {"figure": name, "n": len(hits), "found": sum(hits), "rate": float(np.mean(hits))}
        for name, hits in found.items()
    ]
    return pd.DataFrame(rows)


def enough(
    effect: float = 0.05,
    *,
    n_simulations: int = 200,
    n_problems: int = 300,
    seed: int = 1,
    advance: Callable[[int], None] | None = None,
    **options: int,
) -> dict[str, float]:
    """Ask how many problems an effect needs, and try so many anew.

    Parameters
    ----------
    effect : float
        Planted gain over the best single arm.
    n_simulations, n_problems, seed : int
        Problems of the audit that is asked.
    advance, **options
        As of `false_positives`.

    Returns
    -------
    dict of str to float
        ``asked``: simulations that named a number; ``told``: the share of them in which fresh
        outcomes of so many problems told the effect (the interval of ``over_best_fixed`` above 0);
        ``median``: the number, in the middle; ``capped``: how many named more than
        `MOST_PROBLEMS`, and were tried with no more than these.
    """
    told, numbers = [], []
    for each in range(n_simulations):
        rng = np.random.default_rng([seed, each])
        frame, choice = simulate(PLANTED, n_problems, effect=effect, rng=rng)
        first = _audit(frame, choice, each, options)
        need = first.dataset["problems_needed"].sel(comparison="best_fixed", attempts=0, effect=0.0)
        if np.isfinite(need):
            n = int(need)
            numbers.append(n)
            tried = min(max(n, 10), MOST_PROBLEMS)
            frame, choice = simulate(PLANTED, tried, effect=effect, rng=rng)
            again = _audit(frame, choice, each, options)
            told.append(float(again.dataset["low"].sel(figure=OVER_BEST)) > 0)
        if advance is not None:
            advance(each)
    return {
        "asked": float(len(told)),
        "told": float(np.mean(told)) if told else float("nan"),
        "median": float(np.median(numbers)) if numbers else float("nan"),
        "capped": float(sum(n > MOST_PROBLEMS for n in numbers)),
    }


def _audit(frame: pd.DataFrame, choice: list[str], seed: int, counts: dict[str, int]) -> Audit:
    edges = {"min_gain": MIN_GAIN, "min_failure": MIN_FAILURE, "tolerance": TOLERANCE}
    return examine(
        matrix_of(frame, router=choice),
        seed=seed,
        counts=COUNTS | counts,
        edges=edges,
        tell=lambda stage: None,
        ceiling=False,
    )
