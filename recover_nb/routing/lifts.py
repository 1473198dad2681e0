"""From contributions of problems to plain dicts of rates, lifts, intervals and p-values.

See docs/method.md#8-estimators.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from recover_nb.core.labels import Regime
from recover_nb.routing.rescue import (
    regimes_from_rates,
)
from recover_nb.routing.table import ORACLE, ROUTED, Table
from recover_nb.stats.resampling import (
    Intervals,
    Resamples,
    bootstrap,
    bootstrap_ratio,
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
        Comparators, one a column.
    value, routed, weight : float64 arrays, shape (problem, column)
        Weighted rescue rate of the comparator, that of routing on the same weight, and the weight
        (the share of draws in which the problem was selected and the comparator was run).
    totals : float64 array, shape (3, draw, column)
        Sums of the same three over problems, draw by draw.
    kernels : dict of int to (float64 array of shape (s, n, m), int array of shape (s, n))
        Per cell, ``gain`` and ``label``: problem i scores the sum over s of ``gain[s, i, label[s,
        j]]`` under the decisions made for problem j. Of few draws, s is a draw and labels are arms;
        of many, which are added up, s is 1 and every problem is a label of its own.
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
    cell_names: np.ndarray,
    resamples: Resamples,
    n_permutations: int,
    rng: np.random.Generator,
    *,
    cell_intervals: bool = True,
) -> dict:
    """Figures of one estimator, over all cells and in each.

    Parameters
    ----------
    item : Contributions
    table : Table
    cell_names : array of str
        Name of each cell number.
    resamples : Resamples
        Bootstrap weights of the table's problems.
    n_permutations : int
        Permutations of the routes within each cell.
    rng : numpy Generator
        Source of the permutations.
    cell_intervals : bool
        Also in each cell; otherwise those are NaN.

    Returns
    -------
    dict
        ``n`` (problems selected; a mean over halvings for split), ``rate`` of routing,
        ``comparators`` (see `compare`), ``p`` of the permutation test, and ``cells``: the same for
        each, with ``p_holm``.
    """
    sums = {
        cell: permuted_sums(gain, label, n_permutations, rng)
        for cell, (gain, label) in item.kernels.items()
    }
    observed = {
        cell: float(np.take_along_axis(gain, label[..., None], axis=-1).sum())
        for cell, (gain, label) in item.kernels.items()
    }
    out = compare(item, resamples, np.arange(len(table.rate)))
    out["p"] = exceedance(sum(observed.values()), sum(sums.values())) if out["n"] else math.nan
    cells = {}
    inside = [np.flatnonzero(table.cells == code) for code in range(len(cell_names))]
    found = _with_intervals(item, resamples, inside) if cell_intervals else _without(item, inside)
    for code, (name, part) in enumerate(zip(cell_names, found, strict=True)):
        part["p"] = exceedance(observed[code], sums[code]) if part["n"] else math.nan
        cells[str(name)] = part
    adjusted = holm(np.array([part["p"] for part in cells.values()]))
    for part, p in zip(cells.values(), adjusted, strict=True):
        part["p_holm"] = float(p)
    return {**out, "cells": cells}


def compare(item: Contributions, resamples: Resamples, rows: np.ndarray) -> dict:
    """Routing against each comparator on the problems `rows`.

    Returns
    -------
    dict
        ``n``, ``rate``, and ``comparators``: for each its ``rate``, the ``lift`` of routing over it
        (points) with ``ci95`` (percentile) and ``ci95_bca``, and the ``relative`` change with
        ``relative_ci95``.
    """
    return _with_intervals(item, resamples, [rows])[0]


def _with_intervals(
    item: Contributions, resamples: Resamples, groups: list[np.ndarray]
) -> list[dict]:
    """Compare on each group of problems."""
    added = _added(item)
    # One call for all three statistics of all comparators: they share the resamples, hence are
    # paired.
    return [
        _figures(item, bootstrap(added[rows], _rates_and_lifts, resamples.subset(rows)), rows)
        for rows in groups
    ]


def _without(item: Contributions, groups: list[np.ndarray]) -> list[dict]:
    """Do the same, all groups at once, with NaN for intervals."""
    added = _added(item)
    # A product, as of resamples: to the last bit what it is beside an interval.
    sums = np.concatenate([np.ones((1, len(rows))) @ added[rows] for rows in groups])
    unknown = np.full((2, added.shape[1]), np.nan)
    return [
        _figures(item, Intervals(known, unknown, unknown), rows)
        for known, rows in zip(_rates_and_lifts(sums), groups, strict=True)
    ]


def _added(item: Contributions) -> np.ndarray:
    """Return what each problem adds to the sums of `_rates_and_lifts`."""
    return np.concatenate([item.value, item.routed - item.value, item.weight], axis=1)


def _figures(item: Contributions, found: Intervals, rows: np.ndarray) -> dict:
    """Name the columns of `_rates_and_lifts`."""
    value, percentile, bca = found.value.tolist(), found.percentile.T.tolist(), found.bca.T.tolist()
    n = len(item.names)
    comparators = {
        name: {
            "rate": value[i],
            "lift": value[n + i],
            "ci95": percentile[n + i],
            "ci95_bca": bca[n + i],
            "relative": value[2 * n + i],
            "relative_ci95": percentile[2 * n + i],
        }
        for i, name in enumerate(item.names)
        if name != ROUTED
    }
    return {"n": float(item.weight[rows, 0].sum()), "rate": value[0], "comparators": comparators}


def _rates_and_lifts(sums: np.ndarray) -> np.ndarray:
    """Return rates, lifts and relative lifts of sums (resample, 3 * comparator).

    The sums are of values, gains and weights.
    """
    value, gain, weight = np.split(sums, 3, axis=-1)
    return np.concatenate([ratio(value, weight), ratio(gain, weight), ratio(gain, value)], axis=-1)


def summarise_null(published: Contributions, null: Contributions, resamples: Resamples) -> dict:
    """Set the published lifts against their distribution when no intervention differs from retry.

    Returns
    -------
    dict
        ``n`` (mean number selected), ``steerable_hard_fraction``, and ``comparators``: for each the
        ``mean`` and ``sd`` of the lift over simulated studies, the ``excess`` (published lift less
        `mean`) with ``ci95`` and ``ci95_bca`` from the paired bootstrap over problems, and its
        one-sided ``p``: the share of simulated lifts at or above the published one.
    """
    lifts = null.lifts()
    found = bootstrap_ratio(
        published.routed - published.value,
        published.weight,
        resamples,
        offset=(null.routed - null.value, null.weight),
    )
    observed = ratio((published.routed - published.value).sum(axis=0), published.weight.sum(axis=0))
    comparators = {}
    for i, name in enumerate(null.names):
        draws = lifts[:, i][~np.isnan(lifts[:, i])]
        if name == ROUTED:
            continue
        mean = float(draws.mean()) if len(draws) else math.nan
        shift = found.value[i] - (observed[i] - mean)
        comparators[name] = {
            "mean": mean,
            "sd": float(draws.std()) if len(draws) else math.nan,
            "excess": observed[i] - mean,
            # The interval is of the pooled ratio; moved by its tiny distance from the mean of
            # ratios.
            "ci95": (found.percentile[:, i] - shift).tolist(),
            "ci95_bca": (found.bca[:, i] - shift).tolist(),
            "p": exceedance(observed[i], draws),
        }
    weight = null.weight[:, 0]
    return {
        "n": float(weight.sum()),
        "steerable_hard_fraction": float(weight.mean()),
        "comparators": comparators,
    }


def rescue_by_cell(
    table: Table, rows: np.ndarray, decision: np.ndarray, oracle: np.ndarray
) -> dict:
    """Return mean rescue rates on `rows`, None where undefined.

    They are those of routing, retry, the per-problem oracle and every arm.
    """

    def mean(values: np.ndarray) -> float | None:
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else None

    rates = {ROUTED: mean(table.rate[rows, decision]), table.arms[0]: mean(table.rate[rows, 0])}
    rates[ORACLE] = mean(oracle[rows])
    rates |= {arm: mean(table.rate[rows, i]) for i, arm in enumerate(table.arms) if i}
    return rates


def _cells(table: Table, labels: np.ndarray) -> dict:
    """Sizes, regimes, routes and rescue rates of each cell, as published."""
    regime = regimes_from_rates(table.rate[:, 0], table.rate[:, table.regime_arms], **table.edges)
    hard = table.hard(table.rate)
    decision = table.decide(hard[None])[0]
    oracle = table.rate[:, table.regime_arms].max(axis=1)
    out = {}
    for code, name in enumerate(labels):
        inside = table.cells == code
        rows = np.flatnonzero(inside & hard)
        made = decision[rows]
        out[str(name)] = {
            "n": int(inside.sum()),
            "regimes": {str(r): int((regime[inside] == r).sum()) for r in Regime},
            "routed_counts": {
                arm: int((made == table.arms.index(arm)).sum())
                for arm in table.arms[table.regime_arms]
            },
            "rescue": rescue_by_cell(table, rows, made, oracle),
        }
    return out
