"""The figures of an audit: gains of the router over what costs no skill.

See docs/method.md#18-audit. Every figure is a mean of gains over problems, with weights: the
estimators of routing (`routing.estimators`) give both.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recover_nb.routing import estimators, nulls
from recover_nb.routing.audit.outcomes import DEFAULT, Matrix, Routed
from recover_nb.routing.lifts import Contributions
from recover_nb.routing.routers.ceiling import DRAWS, fit_population
from recover_nb.routing.routers.replay import missed
from recover_nb.routing.table import BEST_FIXED, ORACLE, PERMUTED, RANDOM, generator
from recover_nb.stats.resampling import (
    Resamples,
    bootstrap_weights,
    exceedance,
    percentile_interval,
    permuted_sums,
    ratio,
    tails,
)

#: Figures in the order of tables.
PUBLISHED, SPLIT, ALL_PROBLEMS = "published", "split", "all"
OVER_BEST, OVER_PERMUTED, OVER_RANDOM = "over_best_fixed", "over_permuted", "over_random"
OVER_BEST_OF_CELL = "over_best_of_cell"
OVER_MIX, OVER_AGAIN, HEADROOM = "over_mix", "over_again", "headroom"
FIGURES = (
    PUBLISHED,
    SPLIT,
    ALL_PROBLEMS,
    OVER_BEST,
    OVER_BEST_OF_CELL,
    OVER_PERMUTED,
    OVER_RANDOM,
    OVER_MIX,
    OVER_AGAIN,
    HEADROOM,
)
#: Figures that need more than one attempt at each arm, or costs, or a router.
NEED_ATTEMPTS = (SPLIT, HEADROOM)
NEED_COSTS = (OVER_MIX, OVER_AGAIN)
#: Numbers that a fit of the ceiling may hold at once.
_HELD = 4_000_000
#: Most attempts of the default whose orders are counted.
_MOST_AGAIN = 200


@dataclass(frozen=True)
class Figure:
    """A mean gain over problems.

    Attributes
    ----------
    gain, weight : float64 arrays, shape (problem,)
        Gain times weight, and weight.
    rate, against : float
        The router's rate, and that of what it is compared with, over the same problems.
    null_mean, null_sd, p_null : float
        Of the same figure where all arms are as good, problem by problem; NaN unless computed.
    """

    gain: np.ndarray
    weight: np.ndarray
    rate: float
    against: float
    null_mean: float = np.nan
    null_sd: float = np.nan
    p_null: float = np.nan


def measure(
    matrix: Matrix,
    *,
    seed: int,
    counts: dict[str, int],
    edges: dict,
    tell: Callable[[str], None],
) -> dict[str, Figure]:
    """Return every figure that the outcomes allow, by name.

    Parameters
    ----------
    matrix : Matrix
    seed : int
    counts : dict of str to int
        ``n_permutations``, ``n_null`` and ``n_splits``.
    edges : dict
        Keywords of `rescue.is_steerable_hard`.
    tell : callable
        Hears of each stage.
    """
    table = matrix.table(generator(seed, 0), edges)
    found: dict[str, Figure] = {}
    if matrix.chosen is not None:
        tell("published and its null")
        found[PUBLISHED] = _published(table, seed, counts)
        tell("every problem")
        celled = matrix.table(generator(seed, 0), edges, by_cell=True)
        found |= _everyone(table, celled, seed, counts)
        if table.correct is not None:
            tell("split halves")
            item = estimators.split(
                table, generator(seed, 3), n_splits=counts["n_splits"], permuted=False
            )
            found[SPLIT] = _over(item, matrix.arms[DEFAULT])
        if matrix.cost is not None:
            tell("equal cost")
            found |= _equal_cost(matrix, table, seed, counts["n_splits"])
    if table.correct is not None:
        tell("headroom")
        found[HEADROOM] = _headroom(table, seed, counts["n_splits"])
    return {name: found[name] for name in FIGURES if name in found}


def _over(item: Contributions, column: str) -> Figure:
    """Set routing against one comparator."""
    at = item.names.index(column, 1)
    weight = item.weight[:, at]
    value, routed = item.value[:, at], item.routed[:, at]
    rates = ratio(np.array([routed.sum(), value.sum()]), weight.sum())
    return Figure(routed - value, weight, *map(float, rates))


def _published(table: Routed, seed: int, counts: dict[str, int]) -> Figure:
    item = estimators.published(table, generator(seed, 1), n_splits=1)
    found = _over(item, table.arms[DEFAULT])
    if not found.weight.sum():
        return found
    drawn = nulls.null_exchanged(table, generator(seed, 2), n_null=counts["n_null"])
    lifts = drawn.lifts()[:, 1 + DEFAULT]
    lifts = lifts[~np.isnan(lifts)]
    value = float(found.gain.sum() / found.weight.sum())
    spread = float(lifts.std(ddof=1)) if len(lifts) > 1 else np.nan
    mean = float(lifts.mean()) if len(lifts) else np.nan
    p = exceedance(value, lifts)
    return Figure(found.gain, found.weight, found.rate, found.against, mean, spread, p)


def _everyone(
    table: Routed, celled: Routed, seed: int, counts: dict[str, int]
) -> dict[str, Figure]:
    """Compare over every problem: with one arm for all, and within the cells."""
    item = estimators.everyone(table, generator(seed, 4), n_splits=counts["n_splits"])
    columns = {ALL_PROBLEMS: table.arms[DEFAULT], OVER_BEST: BEST_FIXED, OVER_RANDOM: RANDOM}
    found = {name: _over(item, column) for name, column in columns.items()}
    if len(celled.rows_by_cell) > 1:
        item = estimators.everyone(celled, generator(seed, 4), n_splits=counts["n_splits"])
        found[OVER_BEST_OF_CELL] = _over(item, BEST_FIXED)
    sums = np.zeros(counts["n_permutations"])
    observed, rng = 0.0, generator(seed, 5)
    for gain, label in item.kernels.values():
        observed += float(np.take_along_axis(gain, label[..., None], axis=-1).sum())
        sums += permuted_sums(gain, label, counts["n_permutations"], rng)
    one = _over(item, PERMUTED)
    spread = float(sums.std(ddof=1) / len(table.rate)) if len(sums) > 1 else np.nan
    found[OVER_PERMUTED] = Figure(
        one.gain, one.weight, one.rate, one.against, 0.0, spread, exceedance(observed, sums)
    )
    return found


def _headroom(table: Routed, seed: int, n_splits: int) -> Figure:
    """Set the best arm of each problem by half of the attempts against the best for all.

    Both are scored on the other half: less than knowing every rate would gain, and 0 where no arm
    suits a problem better than others do.
    """
    rng = generator(seed, 6)

    def draws():
        for size in estimators.blocks(n_splits, 2 * table.rate.size):
            select, choose, score = estimators.halve(table, size, rng)
            everyone = np.ones(select.shape[:-1], dtype=bool)
            draw = estimators.Draw(everyone, table.decide(everyone), select, choose, score)
            yield draw, estimators.score_best_fixed(table, draw, rng.random(everyone.shape) < 0.5)

    item = estimators.gather(table, draws())
    best, oracle = item.names.index(BEST_FIXED), item.names.index(ORACLE)
    weight = item.weight[:, oracle]
    gain = item.value[:, oracle] - item.value[:, best]
    rates = ratio(item.value[:, [oracle, best]].sum(axis=0), weight.sum())
    return Figure(gain, weight, *map(float, rates))


def ceilings(matrix: Matrix, seed: int) -> dict[str, float]:
    """Return what knowing every rate would rescue.

    Returns
    -------
    dict of str to float
        ``in_sample``, by the attempts that score it, which is too high; ``corrected`` by a fitted
        population, NaN where the default, or every other arm, was tried once.
    """
    rate, repeated = matrix.rate, matrix.repeated
    found = {"in_sample": float(rate.max(axis=1).mean()), "corrected": np.nan}
    if repeated[DEFAULT] and repeated.sum() > 1:
        # Of an arm that was tried once, its outcome is all there is to know.
        seen = matrix.wins[:, repeated].astype(np.int64), matrix.trials[:, repeated]
        n = int(np.clip(_HELD // matrix.wins.size, 1, DRAWS))
        rates = np.broadcast_to(rate, (n, *rate.shape)).copy()
        rates[..., repeated] = fit_population(*seen).draw(*seen, n, generator(seed, 7))
        found["corrected"] = float(rates.max(axis=-1).mean())
    return found


def _equal_cost(matrix: Matrix, table: Routed, seed: int, n_splits: int) -> dict[str, Figure]:
    cost = np.asarray(matrix.cost)
    rows = np.arange(len(cost))
    chosen = np.asarray(matrix.chosen)
    rate = table.rate
    own = rate[rows, chosen]
    ones = np.ones(len(own))
    mixed = mixed_rate(rate, cost, cost[rows, chosen], generator(seed, 8), n_splits)
    found = {OVER_MIX: Figure(own - mixed, ones, float(own.mean()), float(mixed.mean()))}
    trials, base = matrix.trials[:, DEFAULT], cost[:, DEFAULT]
    if matrix.is_whole and trials.max() <= _MOST_AGAIN and (base > 0).all():
        bought = cost[rows, chosen] / base
        # A problem whose default was not tried so often says nothing of so many attempts.
        known = (bought <= trials).astype(float)
        wins = matrix.wins[:, DEFAULT].astype(np.int64)
        again = 1.0 - missed(wins, trials, np.minimum(bought, trials))
        rates = ratio(np.array([(own * known).sum(), (again * known).sum()]), known.sum())
        found[OVER_AGAIN] = Figure((own - again) * known, known, *map(float, rates))
    return found


def mixed_rate(
    rate: np.ndarray, cost: np.ndarray, spent: np.ndarray, rng: np.random.Generator, n_splits: int
) -> np.ndarray:
    """Return the rate of the best random mix of arms that costs what the router does.

    Parameters
    ----------
    rate, cost : float64 arrays, shape (problem, arm)
    spent : float64 array, shape (problem,)
        What the router's choices cost.
    rng : numpy Generator
    n_splits : int
        The mix is chosen on one half of the problems and scored on the other, so often.

    Returns
    -------
    float64 array, shape (problem,)
    """
    out = np.zeros(len(rate))
    for _ in range(n_splits):
        half = rng.random(len(rate)) < 0.5
        for mine in (half, ~half):
            other = ~mine if mine.any() and (~mine).any() else np.ones(len(rate), bool)
            weight = best_mix(
                rate[other].mean(axis=0), cost[other].mean(axis=0), float(spent[other].mean())
            )
            out[mine] += rate[mine] @ weight
    return out / n_splits


def best_mix(rate: np.ndarray, cost: np.ndarray, budget: float) -> np.ndarray:
    """Return the shares of arms, one or two of them, that get most right within a mean cost.

    Parameters
    ----------
    rate, cost : float64 arrays, shape (arm,)
    budget : float

    Returns
    -------
    float64 array, shape (arm,)
        Adds up to 1; the cheapest arm alone where none is cheap enough.

    Examples
    --------
    Half of the way from an arm that costs 1 to one that costs 3:

    >>> best_mix(np.array([0.4, 0.8]), np.array([1.0, 3.0]), 2.0).tolist()
    [0.5, 0.5]
    """
    n = len(rate)
    best, shares = -1.0, np.zeros(n)
    slack = 1e-12 * max(1.0, abs(budget))
    for low in range(n):
        if cost[low] > budget + slack:
            continue
        for high in range(n):
            share = 0.0
            if cost[high] > budget + slack:
                share = (budget - cost[low]) / (cost[high] - cost[low])
            elif high != low:
                continue
            value = rate[low] + share * (rate[high] - rate[low])
            if value > best + 1e-15:
                best, shares = value, np.zeros(n)
                shares[low] += 1.0 - share
                shares[high] += share
    if best < 0:
        shares[int(np.argmin(cost))] = 1.0
    return shares


def intervals(
    found: dict[str, Figure], seed: int, n_bootstrap: int
) -> dict[str, tuple[float, float, float, float, float]]:
    """Return value, standard error, both ends of the 95 % interval and p of each figure.

    Notes
    -----
    Problems are drawn with replacement. p is two-sided, the share of resamples on the other side
    of 0; that of ``published`` and ``over_permuted`` is their null's.
    """
    names = list(found)
    if not names:
        return {}
    gain = np.stack([found[name].gain for name in names], axis=1)
    weight = np.stack([found[name].weight for name in names], axis=1)
    drawn = _resampled(gain, weight, seed, n_bootstrap)
    value = ratio(gain.sum(axis=0), weight.sum(axis=0))
    ends = percentile_interval(drawn, tails(0.95))
    out = {}
    for place, name in enumerate(names):
        one = drawn[:, place]
        one = one[~np.isnan(one)]
        error = float(one.std(ddof=1)) if len(one) > 1 else np.nan
        # Either side counts draws at 0, and the added one keeps p valid at every level.
        sides = [(1 + (sign * one <= 0).sum()) / (1 + len(one)) for sign in (1, -1)]
        p = float(min(1.0, 2 * min(sides))) if len(one) else np.nan
        if name in (PUBLISHED, OVER_PERMUTED):
            p = found[name].p_null
        out[name] = (float(value[place]), error, float(ends[0, place]), float(ends[1, place]), p)
    return out


def _resampled(gain: np.ndarray, weight: np.ndarray, seed: int, n_bootstrap: int) -> np.ndarray:
    """Return resampled ratios of sums (resample, column), a bounded block at a time."""
    n, rng, out = len(gain), generator(seed, 9), []
    for size in estimators.blocks(n_bootstrap, n):
        drawn: Resamples = bootstrap_weights(np.arange(n), np.zeros(n, int), size, rng)
        out.append(ratio(drawn.weights @ gain, drawn.weights @ weight))
    return np.concatenate(out)
