"""From contributions of problems to rates, lifts, intervals and p-values, as arrays.

See docs/method.md#8-estimators.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from recover_nb.core.labels import Regime
from recover_nb.core.regimes import regimes_from_rates
from recover_nb.routing.table import ORACLE, ROUTED, Table
from recover_nb.stats.resampling import (
    Resamples,
    bootstrap,
    bootstrap_ratio,
    checkpoint_interval,
    exceedance,
    holm,
    permuted_sums,
    ratio,
)

#: Scores under labels (draw, n, label), and the label of each problem (draw, n): see
#: `Contributions.kernels`.
Kernel = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Contributions:
    """What each problem adds to each comparator, averaged over draws (splits, simulated nulls).

    Attributes
    ----------
    names : tuple of str
        Comparators, one per column.
    value, routed, weight : float64 arrays, shape (problem, column)
        Weighted rescue rate of the comparator, that of routing on the same weight, and the weight
        (the share of draws in which the problem was selected and the comparator was run).
    totals : float64 array, shape (3, draw, column)
        Sums of the same three over problems, draw by draw.
    kernels : dict of int to (float64 array of shape (s, n, m), int array of shape (s, n))
        Per cell, ``gain`` and ``label``: problem i scores the sum over s of ``gain[s, i, label[s,
        j]]`` under the decisions made for problem j. Of few draws, s is a draw and labels are arms;
        of many, which are added up, s is 1 and a label is what was decided in all of them.
    """

    names: tuple[str, ...]
    value: np.ndarray
    routed: np.ndarray
    weight: np.ndarray
    totals: np.ndarray
    kernels: dict[int, Kernel] = field(default_factory=dict)

    def lifts(self) -> np.ndarray:
        """Lift of routing over each comparator in each draw, shape (draw, column)."""
        value, routed, weight = self.totals
        return ratio(routed - value, weight)


def summarise(
    item: Contributions,
    table: Table,
    resamples: Resamples,
    n_permutations: int,
    rng: np.random.Generator,
    *,
    n_cells: int,
    cell_intervals: bool = True,
) -> dict[str, np.ndarray]:
    """Figures of one estimator, over all cells and in each.

    Parameters
    ----------
    item : Contributions
    table : Table
    resamples : Resamples
        Bootstrap weights of the table's problems.
    n_permutations : int
        Permutations of the routes within each cell.
    rng : numpy Generator
        Source of the permutations.
    n_cells : int
        Cells of the study; one without a problem in the table has NaN.
    cell_intervals : bool
        Also in each cell; otherwise those are NaN.

    Returns
    -------
    dict of str to float64 array
        As from `compare`, the first row over all cells and one for each after it, with ``p`` of the
        permutation test and ``p_holm``, corrected over cells (NaN over all), shape (1 + cell,).
    """
    sums = {
        cell: permuted_sums(gain, label, n_permutations, rng)
        for cell, (gain, label) in item.kernels.items()
    }
    observed = {
        cell: float(np.take_along_axis(gain, label[..., None], axis=-1).sum())
        for cell, (gain, label) in item.kernels.items()
    }
    everyone = np.arange(len(table.rate))
    whole = compare(item, resamples, [everyone], checkpoints=table.checkpoints)
    inside = [np.flatnonzero(table.cells == code) for code in range(n_cells)]
    apart = compare(item, resamples, inside, intervals=cell_intervals)
    out = {name: np.concatenate([whole[name], apart[name]]) for name in whole}
    drawn = np.asarray(sum(sums.values()))
    of_all = exceedance(sum(observed.values()), drawn) if out["n"][0] else math.nan
    of_cells = [
        exceedance(observed[code], sums[code]) if n and code in sums else math.nan
        for code, n in enumerate(apart["n"])
    ]
    out["p"] = np.array([of_all, *of_cells])
    out["p_holm"] = np.array([math.nan, *holm(np.array(of_cells))])
    return out


def compare(
    item: Contributions,
    resamples: Resamples,
    groups: list[np.ndarray],
    *,
    checkpoints: np.ndarray | None = None,
    intervals: bool = True,
) -> dict[str, np.ndarray]:
    """Set routing against each comparator on groups of problems.

    Parameters
    ----------
    item : Contributions
    resamples : Resamples
        Bootstrap weights of all problems.
    groups : list of int arrays
        Places of each group's problems.
    checkpoints : int array, shape (problem,), optional
        The checkpoint of each problem.
    intervals : bool
        False: the ends of all intervals are NaN.

    Returns
    -------
    dict of str to float64 array
        ``n`` and ``routed`` (the rate of routing), shape (group,). ``rate``, the ``lift`` of
        routing over the comparator with its 95 % intervals ``lift_low``, ``lift_high``
        (percentile), ``lift_low_bca``, ``lift_high_bca`` and ``lift_low_checkpoints``,
        ``lift_high_checkpoints`` (NaN where there is one checkpoint), the ``relative`` change with
        ``relative_low``, ``relative_high``: shape (group, column), in the order of the names of
        `item`, the first of which is routing itself.
    """
    n = len(item.names)
    # Mostly all comparators were run on all problems: then they weigh alike.
    alike = bool((item.weight == item.weight[:, :1]).all())
    weight = item.weight[:, :1] if alike else item.weight
    added = np.concatenate([item.value, item.routed - item.value, weight], axis=1)

    def rates_and_lifts(sums: np.ndarray) -> np.ndarray:
        value, gain, weight = np.split(sums, [n, 2 * n], axis=-1)
        shares = (ratio(value, weight), ratio(gain, weight), ratio(gain, value))
        return np.concatenate(shares, axis=-1)

    if intervals:
        # One call for all three statistics of all comparators: they share the resamples, hence are
        # paired.
        found = [bootstrap(added[rows], rates_and_lifts, resamples.subset(rows)) for rows in groups]
        value = np.array([each.value for each in found])
        percentile = np.array([each.percentile for each in found])
        bca = np.array([each.bca for each in found])
    else:
        # A product, as of resamples: to the last bit what it is beside an interval.
        sums = [np.ones((1, len(rows))) @ added[rows] for rows in groups]
        value = rates_and_lifts(np.concatenate(sums))
        percentile = bca = np.full((len(groups), 2, 3 * n), np.nan)
    out = {
        "n": np.array([float(item.weight[rows, 0].sum()) for rows in groups]),
        "routed": value[:, 0],
    }
    ends = np.full((2, len(groups), n), np.nan)
    if intervals and checkpoints is not None:
        for place, rows in enumerate(groups):
            ends[:, place] = checkpoint_interval(
                added[rows, n : 2 * n], item.weight[rows], checkpoints[rows]
            )
    out |= dict(zip(("lift_low_checkpoints", "lift_high_checkpoints"), ends, strict=True))
    for place, name in enumerate(("rate", "lift", "relative")):
        columns = slice(place * n, (place + 1) * n)
        out[name] = value[:, columns]
        if name != "rate":
            out |= {
                f"{name}_{end}": percentile[:, i, columns] for i, end in enumerate(("low", "high"))
            }
        if name == "lift":
            out |= {
                f"{name}_{end}_bca": bca[:, i, columns] for i, end in enumerate(("low", "high"))
            }
    return out


def summarise_null(
    published: Contributions,
    null: Contributions,
    resamples: Resamples,
    checkpoints: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Set the published lifts against their distribution when no intervention differs from retry.

    Returns
    -------
    dict of str to float64 array, shape (column,)
        ``n`` (mean number selected) and ``selected`` (its share of problems) of the null; the mean
        ``lift`` and its ``sd`` over simulated studies; the ``excess`` (published lift less that
        mean) with ``excess_low``, ``excess_high`` and ``excess_low_bca``, ``excess_high_bca`` from
        the paired bootstrap over problems, ``excess_low_checkpoints``, ``excess_high_checkpoints``
        over checkpoints, and its one-sided ``excess_p``: the share of simulated
        lifts at or above the published one. ``n`` and ``selected`` are numbers.
    """
    lifts = null.lifts()
    found = bootstrap_ratio(
        published.routed - published.value,
        published.weight,
        resamples,
        offset=(null.routed - null.value, null.weight),
    )
    observed = ratio((published.routed - published.value).sum(axis=0), published.weight.sum(axis=0))
    known = [column[~np.isnan(column)] for column in lifts.T]
    mean = np.array([draws.mean() if len(draws) else math.nan for draws in known])
    # The interval is of the pooled ratio; moved by its tiny distance from the mean of ratios.
    shift = found.value - (observed - mean)
    weight = null.weight[:, 0]
    apart = checkpoint_interval(
        published.routed - published.value,
        published.weight,
        np.zeros(len(weight), int) if checkpoints is None else checkpoints,
        offset=(null.routed - null.value, null.weight),
    )
    ends = {
        "excess_low": found.percentile[0],
        "excess_high": found.percentile[1],
        "excess_low_bca": found.bca[0],
        "excess_high_bca": found.bca[1],
        "excess_low_checkpoints": apart[0],
        "excess_high_checkpoints": apart[1],
    }
    return {
        "n": np.array(weight.sum()),
        "selected": np.array(weight.mean()),
        "lift": mean,
        "sd": np.array([draws.std() if len(draws) else math.nan for draws in known]),
        "excess": observed - mean,
        **{name: end - shift for name, end in ends.items()},
        "excess_p": np.array(
            [exceedance(value, draws) for value, draws in zip(observed, known, strict=True)]
        ),
    }


def rescue_by_cell(
    table: Table, rows: np.ndarray, decision: np.ndarray, oracle: np.ndarray
) -> list[float]:
    """Return mean rescue rates on `rows`, NaN where undefined: see `strategies`."""

    def mean(values: np.ndarray) -> float:
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else math.nan

    arms = [mean(table.rate[rows, i]) for i in range(len(table.arms))]
    return [mean(table.rate[rows, decision]), arms[0], mean(oracle[rows]), *arms[1:]]


def strategies(table: Table) -> list[str]:
    """Return what rescues: routing, retry, the best operator of each problem, every operator."""
    return [ROUTED, table.arms[0], ORACLE, *table.arms[1:]]


def cell_figures(table: Table, n_cells: int) -> dict[str, np.ndarray]:
    """Sizes, regimes, routes and rescue rates of each cell, as published.

    Returns
    -------
    dict of str to array
        ``problems`` (cell,), ``regimes`` (cell, regime), ``routes`` (cell, arm of the rule),
        ``rescue`` (cell, strategy) over its steerable_hard problems, by `strategies`.
    """
    regime = regimes_from_rates(table.rate[:, 0], table.rate[:, table.regime_arms], **table.edges)
    hard = table.hard(table.rate)
    decision = table.decide(hard[None])[0]
    oracle = table.rate[:, table.regime_arms].max(axis=1)
    problems, regimes, routes, rescue = [], [], [], []
    for code in range(n_cells):
        inside = table.cells == code
        rows = np.flatnonzero(inside & hard)
        made = decision[rows]
        problems.append(int(inside.sum()))
        regimes.append([int((regime[inside] == r).sum()) for r in Regime])
        arms = table.arms[table.regime_arms]
        routes.append([int((made == table.arms.index(arm)).sum()) for arm in arms])
        rescue.append(rescue_by_cell(table, rows, made, oracle))
    return {
        "problems": np.array(problems),
        "regimes": np.array(regimes),
        "routes": np.array(routes),
        "rescue": np.array(rescue),
    }
