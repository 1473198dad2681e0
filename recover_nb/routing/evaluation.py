"""Evaluate routing without fooling oneself: every estimator and comparator, side by side.

See docs/method.md#8-estimators.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL, ROUTED_INTERVENTIONS, Regime
from recover_nb.core.result import labelled
from recover_nb.routing import estimators, nulls
from recover_nb.routing.budgets import BASES, CLAIM_BASES, POPULATIONS, population_budgets
from recover_nb.routing.lifts import (
    Contributions,
    cell_figures,
    strategies,
    summarise,
    summarise_null,
)
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy
from recover_nb.routing.rescue import MIN_FAILURE, MIN_GAIN, TOLERANCE
from recover_nb.routing.result import ESTIMATORS, NORMAL_95, NULLS, RETRY, Evaluation
from recover_nb.routing.table import Inputs, Table, generator, tabulate
from recover_nb.stats.resampling import Resamples

#: What an evaluation is made of (in this order: it numbers generators), and what needs the outcome
#: of each attempt.
PARTS = ("published", "null", "all", "split", "null_twins", "budgets")
NEED_ATTEMPTS = ("split", "null_twins")
#: Figures by estimator, cell and, but for some, comparator.
_BY_CELL = ("n", "routed", "p", "p_holm", "selected")
_FIGURES = (
    *_BY_CELL,
    "rate",
    "lift",
    "lift_low",
    "lift_high",
    "lift_low_bca",
    "lift_high_bca",
    "relative",
    "relative_low",
    "relative_high",
    "sd",
    "excess",
    "excess_low",
    "excess_high",
    "excess_low_bca",
    "excess_high_bca",
    "excess_p",
)
#: Resamples of problems, permutations of routes, simulated nulls and halvings of attempts, unless
#: told.
COUNTS = {"n_bootstrap": 2000, "n_permutations": 2000, "n_null": 200, "n_splits": 100}


def evaluate_routing(
    ds: xr.Dataset,
    *,
    policy: RoutingPolicy = PUBLISHED,
    interventions: Sequence[str] = ROUTED_INTERVENTIONS,
    seed: int = 0,
    n_bootstrap: int = COUNTS["n_bootstrap"],
    n_permutations: int = COUNTS["n_permutations"],
    n_null: int = COUNTS["n_null"],
    n_splits: int = COUNTS["n_splits"],
    min_gain: float = MIN_GAIN,
    min_failure: float = MIN_FAILURE,
    tolerance: float | None = None,
    only: Collection[str] = PARTS,
    cell_intervals: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Evaluate a routing policy by the published, null, split and all estimators.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table read by `from_profiles`: ``features`` (problem, feature),
        ``rescue_rate`` and ``attempts`` (problem, intervention), and for the split estimator
        ``correct`` (problem, rollout, intervention). ``n_tokens``, ``forward_specialist``,
        ``forward_ancestor`` (problem, rollout, intervention) give costs. Units without features or
        rates (they did not fail) are left out.
    policy : RoutingPolicy
        The rule; it may choose among `interventions`.
    interventions : sequence of str
        What regimes and routes are over; any others of the study are reported as comparators.
    seed : int
        The result is a function of it and of the data alone.
    n_bootstrap, n_permutations, n_null, n_splits : int
        Resamples of problems, permutations of routes, simulated nulls and halvings of attempts.
    min_gain, min_failure : float
        Edges of steerable_hard (docs/method.md#6-regimes).
    tolerance : float, optional
        Slack of those edges; by default the study's attribute ``regime_tolerance``, else 1e-9.
    only : collection of str
        The parts to compute, of `PARTS`; the others are None. A part's figures do not depend on
        which others are computed; a null brings ``published`` along, which it is compared with.
    cell_intervals : bool
        Bootstrap each cell too; otherwise the intervals of a cell are NaN.
    progress : callable, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        If a variable, feature or intervention is missing, a count or part is not allowed, or no
        failed unit is left.

    See Also
    --------
    route : The rule by itself.
    make_study : Simulated studies, whose true lift is known.
    ablate : The same with one choice changed.
    tables.lift_over_retry : Routed minus retry, by estimator.
    plot_estimators : Draws that table.

    Notes
    -----
    docs/method.md#8-estimators. Lifts are in points (differences of rates), higher is better for
    routing. Bootstrap resamples the underlying questions (task, problem_id), so that one question
    asked of several specialists moves together; selection, routes and z-scores are kept.
    Permutation p-values are one-sided.

    References
    ----------
    .. [1] arXiv 2606.05145, whose estimator is ``published``.
    .. [2] B. Efron (1987). Better bootstrap confidence intervals. Journal of the American
       Statistical Association, 82(397), 171-185.

    Examples
    --------
    Every intervention of this study is exactly as good as retrying. The published estimator reports
    a gain nonetheless, no larger than what its null reports without any effect.

    >>> import recover_nb as rnb
    >>> evaluation = rnb.evaluate_routing(
    ...     rnb.make_study(effect="none"),
    ...     only=["published", "null", "split"],
    ...     n_bootstrap=50,
    ...     n_permutations=50,
    ...     n_null=50,
    ...     n_splits=10,
    ... )
    >>> lifts = rnb.tables.lift_over_retry(evaluation)
    >>> lifts[["estimator", "kind", "lift_points"]].round(1)
                 estimator      kind  lift_points
    0            published  measured          4.1
    1                 null      null          5.2
    2                split  measured         -0.7
    3  published less null    excess         -1.1
    """
    counts = {"n_bootstrap": n_bootstrap, "n_permutations": n_permutations}
    counts = _counted(counts | {"n_null": n_null, "n_splits": n_splits})
    if tolerance is None:
        tolerance = float(ds.attrs.get("regime_tolerance", TOLERANCE))
    edges = {"min_gain": min_gain, "min_failure": min_failure, "tolerance": tolerance}
    parts = _parts(only)
    taken = tabulate(ds, policy=policy, interventions=interventions, edges=edges)
    return evaluate_inputs(
        Inputs(*taken, ds.sizes["problem"]),
        parts,
        seed=seed,
        counts=counts,
        cell_intervals=cell_intervals,
        progress=progress,
    )


def evaluate_inputs(
    inputs: Inputs,
    parts: Collection[str],
    *,
    seed: int,
    counts: dict[str, int],
    cell_intervals: bool = True,
    resamples: Resamples | None = None,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Do what `evaluate_routing` does, with a study's inputs and bootstrap draws at hand.

    Parameters
    ----------
    inputs : Inputs
    parts, seed, cell_intervals, progress
        As ``only`` and others of `evaluate_routing`.
    counts : dict of str to int
        Any of `COUNTS`, the others as they are there.
    resamples : Resamples, optional
        ``inputs.resamples(seed, counts["n_bootstrap"])``, computed unless given.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        If a count or part is not allowed.
    """
    table = inputs.table
    counts, parts = _counted(counts), _parts(parts)
    tell = progress or (lambda stage: None)
    found = run_estimators(table, seed, counts, parts, tell)
    tell("bootstrap")
    if resamples is None:
        resamples = inputs.resamples(seed, counts["n_bootstrap"])
    figures = {}
    for index, name in enumerate(("published", "split", "all")):
        one = found[name]
        if one is not None:
            figures[name] = summarise(
                one,
                table,
                resamples,
                counts["n_permutations"],
                generator(seed, 6 + index),
                cell_intervals=cell_intervals,
            )
    for name in NULLS:
        one, published = found[name], found["published"]
        if one is not None and published is not None:
            figures[name] = summarise_null(published, one, resamples)
    data, coords = _estimated(table, inputs.labels, figures)
    more, labels = _counted_cells(inputs)
    data, coords = data | more, coords | labels
    if "budgets" in parts:
        tell("budgets")
        more, labels = _budgeted(population_budgets(table, inputs.costs, resamples))
        data, coords = data | more, coords | labels
    settings = {"seed": seed, **counts, **table.edges, "policy": table.policy.to_dict()}
    return Evaluation(labelled(data, coords, settings))


#: Figures and the labels they are by.
_Labelled = tuple[dict[str, tuple[tuple[str, ...], Any]], dict[str, Any]]


def _estimated(
    table: Table, labels: np.ndarray, figures: dict[str, dict[str, np.ndarray]]
) -> _Labelled:
    """Stack the figures of each estimator; NaN where one has none."""
    names = [name for name in ESTIMATORS if name in figures]
    by_cell, by_column = ("estimator", "cell"), ("estimator", "cell", "comparator")
    n_cells, columns = 1 + len(labels), table.comparators[1:]
    data: dict[str, tuple[tuple[str, ...], Any]] = {}
    for figure in _FIGURES:
        whole = figure in _BY_CELL
        shape = (len(names), n_cells) + (() if whole else (len(columns),))
        values = np.full(shape, np.nan)
        for place, name in enumerate(names):
            if figure in figures[name]:
                value = figures[name][figure]
                # A null is of all cells together.
                at = (place, 0) if name in NULLS else place
                values[at] = value if whole else value[..., 1:]
        data[figure] = (by_cell if whole else by_column, values)
    sd = data["sd"][1]
    for end, sign in (("low", -1), ("high", 1)):
        of_null = data["lift"][1] + sign * NORMAL_95 * sd
        lifts = data[f"lift_{end}"][1]
        lifts[~np.isnan(sd)] = of_null[~np.isnan(sd)]
    return data, {"estimator": names, "cell": [ALL, *labels], "comparator": columns}


def _counted_cells(inputs: Inputs) -> _Labelled:
    """Count each cell's problems, regimes and routes, over all cells first."""
    table = inputs.table
    found = cell_figures(table, len(inputs.labels))
    counts = ("problems", "regimes", "routes")
    data = {name: np.concatenate([[found[name].sum(axis=0)], found[name]]) for name in counts}
    by = {"regimes": ("regime",), "routes": ("intervention",)}
    rescue = np.concatenate([np.full((1, found["rescue"].shape[1]), np.nan), found["rescue"]])
    return {
        **{name: (("cell", *by.get(name, ())), values) for name, values in data.items()},
        "rescue": (("cell", "strategy"), rescue),
        "left_out": ((), inputs.n_problems - len(table.rate)),
        "hard": ((), float(table.hard(table.rate).mean())),
    }, {
        "regime": [regime.value for regime in Regime],
        "intervention": table.arms[table.regime_arms],
        "strategy": strategies(table),
    }


def _budgeted(found: dict[str, np.ndarray]) -> _Labelled:
    """Name the axes of `population_budgets`."""
    data = {}
    for name, values in found.items():
        if name == "cost":
            data["budget_cost"] = (("population", "side", "basis"), values)
        elif name.startswith("claim_"):
            data[name] = (("population", "claim_basis"), values)
        else:
            named = name if name == "budget" else f"budget_{name}"
            data[named] = (("population", "basis", "k"), values)
    return data, {
        "population": POPULATIONS,
        "side": ("routed", RETRY),
        "basis": BASES,
        "claim_basis": CLAIM_BASES,
        "k": range(1, found["budget"].shape[-1] + 1),
    }


def _counted(counts: dict[str, int]) -> dict[str, int]:
    """Check numbers of resamples, and fill in those not given."""
    for name, count in counts.items():
        if name not in COUNTS:
            raise InputError(f"unknown count {name!r}; allowed: {', '.join(COUNTS)}")
        if count < 1:
            raise InputError(f"{name} is {count}; it must be at least 1")
    return COUNTS | counts


def _parts(only: Collection[str]) -> set[str]:
    """Check the names of parts, and add what they need."""
    unknown = sorted(set(only) - set(PARTS))
    if unknown:
        raise InputError(f"unknown part {unknown[0]!r}; allowed: {', '.join(PARTS)}")
    return {*only, "published"} if {"null", "null_twins"} & set(only) else set(only)


def run_estimators(
    table: Table,
    seed: int,
    counts: dict[str, int],
    parts: Collection[str],
    tell: Callable[[str], None],
) -> dict[str, Contributions | None]:
    """Run the estimators asked for; None where each attempt's outcome is needed but not stored."""
    runs = (
        estimators.published,
        nulls.null,
        estimators.everyone,
        estimators.split,
        nulls.null_twins,
    )
    found: dict[str, Contributions | None] = dict.fromkeys(PARTS[: len(runs)])
    for stage, (name, run) in enumerate(zip(found, runs, strict=True)):
        if name in parts and (table.correct is not None or name not in NEED_ATTEMPTS):
            tell(name)
            count = "n_null" if name.startswith("null") else "n_splits"
            found[name] = run(table, generator(seed, stage), **{count: counts[count]})
    return found
