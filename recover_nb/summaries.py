"""From contributions of problems to plain dicts of figures: rates, lifts, intervals, p-values (method.md section 8)."""

import math

import numpy as np

from recover_nb.estimators import ORACLE, ROUTED, Contributions, Table
from recover_nb.resampling import (
    Intervals,
    Resamples,
    bootstrap_ratio,
    exceedance,
    holm,
    permute_kernel,
    ratio,
)


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
        ``n`` (problems selected; a mean over halvings for split), ``rate`` of routing, ``comparators`` (see
        `compare`), ``p`` of the permutation test, and ``cells``: the same for each, with ``p_holm``.
    """
    sums = {
        cell: permute_kernel(kernel, n_permutations, rng)
        for cell, (_, kernel) in item.kernels.items()
    }
    observed = {cell: float(np.trace(kernel)) for cell, (_, kernel) in item.kernels.items()}
    out = compare(item, resamples, np.arange(len(table.rate)))
    out["p"] = exceedance(sum(observed.values()), sum(sums.values())) if out["n"] else math.nan
    cells = {}
    for code, name in enumerate(cell_names):
        part = compare(item, resamples if cell_intervals else None, np.flatnonzero(table.cells == code))
        part["p"] = exceedance(observed[code], sums[code]) if part["n"] else math.nan
        cells[str(name)] = part
    adjusted = holm(np.array([part["p"] for part in cells.values()]))
    for part, p in zip(cells.values(), adjusted, strict=True):
        part["p_holm"] = float(p)
    return {**out, "cells": cells}


def compare(item: Contributions, resamples: Resamples | None, rows: np.ndarray) -> dict:
    """Routing against each comparator on the problems `rows`; without resamples, intervals are NaN.

    Returns
    -------
    dict
        ``n``, ``rate``, and ``comparators``: for each its ``rate``, the ``lift`` of routing over it (points)
        with ``ci95`` (percentile) and ``ci95_bca``, and the ``relative`` change with ``relative_ci95``.
    """
    value, routed, weight = item.value[rows], item.routed[rows], item.weight[rows]
    # One call for all three statistics of all comparators: they share the resamples, hence are paired.
    ratios = (
        np.concatenate([value, routed - value, routed - value], axis=1),
        np.concatenate([weight, weight, value], axis=1),
    )
    if resamples is None:
        unknown = np.full((2, ratios[0].shape[1]), np.nan)
        # A product, as of resamples: to the last bit what it is beside an interval.
        found = Intervals(ratio(*(np.ones((1, len(rows))) @ each for each in ratios))[0], unknown, unknown)
    else:
        found = bootstrap_ratio(*ratios, resamples.subset(rows))
    rate, lift, relative = np.split(np.arange(len(found.value)), 3)
    comparators = {
        name: {
            "rate": found.value[rate[i]],
            "lift": found.value[lift[i]],
            "ci95": found.percentile[:, lift[i]].tolist(),
            "ci95_bca": found.bca[:, lift[i]].tolist(),
            "relative": found.value[relative[i]],
            "relative_ci95": found.percentile[:, relative[i]].tolist(),
        }
        for i, name in enumerate(item.names)
        if name != ROUTED
    }
    return {"n": float(weight[:, 0].sum()), "rate": found.value[0], "comparators": comparators}


def summarise_null(published: Contributions, null: Contributions, resamples: Resamples) -> dict:
    """Set the published lifts against their distribution when no intervention differs from retry.

    Returns
    -------
    dict
        ``n`` (mean number selected), ``steerable_hard_fraction``, and ``comparators``: for each the ``mean``
        and ``sd`` of the lift over simulated studies, the ``excess`` (published lift less `mean`) with
        ``ci95`` and ``ci95_bca`` from the paired bootstrap over problems, and its one-sided ``p``: the share
        of simulated lifts at or above the published one.
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
            # The interval is of the pooled ratio; moved by its tiny distance from the mean of ratios.
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
    """Mean rescue rate of routing, retry, the per-problem oracle and every arm on `rows`; None where undefined."""

    def mean(values: np.ndarray) -> float | None:
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else None

    rates = {ROUTED: mean(table.rate[rows, decision]), table.arms[0]: mean(table.rate[rows, 0])}
    rates[ORACLE] = mean(oracle[rows])
    rates |= {arm: mean(table.rate[rows, i]) for i, arm in enumerate(table.arms) if i}
    return rates


def plain(value: object) -> object:
    """Turn numpy scalars into Python's and NaN or infinity into None, all the way down, for strict JSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
