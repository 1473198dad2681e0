"""Evaluate routing without fooling oneself: every estimator and comparator, side by side.

See docs/method.md#8-estimators.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL, ROUTED_INTERVENTIONS, Regime
from recover_nb.core.result import labelled
from recover_nb.routing import estimators, nulls
from recover_nb.routing.budgets import BASES, CLAIM_BASES, budget_curves
from recover_nb.routing.lifts import (
    Contributions,
    cell_figures,
    compare,
    strategies,
    summarise,
    summarise_null,
)
from recover_nb.routing.needs import more_problems, needs_of
from recover_nb.routing.partly import evaluate_partly, is_partial
from recover_nb.routing.policy import POLICY, PUBLISHED, RoutingPolicy, route_codes
from recover_nb.routing.populations import SOME_POPULATIONS
from recover_nb.routing.rescue import MIN_FAILURE, MIN_GAIN, TOLERANCE
from recover_nb.routing.result import (
    ESTIMATORS,
    MEASURED,
    NORMAL_95,
    NULLS,
    OWN,
    RETRY,
    WORKED,
    Evaluation,
    with_needs,
)
from recover_nb.routing.table import Inputs, Table, generator, read_inputs
from recover_nb.stats.resampling import Resamples

#: What an evaluation is made of (in this order: it numbers generators), and what needs the outcome
#: of each attempt.
PARTS = ("published", "null", "all", "split", "null_twins", "budgets", "mappings")
NEED_ATTEMPTS = ("split", "null_twins")
#: Figures by estimator, cell and, but for some, comparator.
_BY_CELL = ("n", "routed", "p", "p_holm", "selected")
_ENDS = ("low", "high", "low_bca", "high_bca", "low_checkpoints", "high_checkpoints")
_FIGURES = (
    *_BY_CELL,
    "rate",
    "lift",
    *(f"lift_{end}" for end in _ENDS),
    "relative",
    "relative_low",
    "relative_high",
    "sd",
    "excess",
    *(f"excess_{end}" for end in _ENDS),
    "excess_p",
)
#: Figures of each mapping of features to operators: routed minus retry.
_MAPPED = ("lift", *(f"lift_{end}" for end in _ENDS if "bca" not in end))
#: Resamples of problems, permutations of routes, simulated nulls and halvings of attempts, unless
#: told.
COUNTS = {"n_bootstrap": 2000, "n_permutations": 2000, "n_null": 200, "n_splits": 100}


@takes_study()
@checks.takes(
    policy=POLICY,
    interventions=checks.NAMES,
    seed=checks.SEED,
    n_bootstrap=checks.COUNT,
    n_permutations=checks.COUNT,
    n_null=checks.DRAWS,
    n_splits=checks.COUNT,
    min_gain=checks.SHARE,
    min_failure=checks.SHARE,
    tolerance=checks.SHARE,
    populations=SOME_POPULATIONS,
    only=checks.names(PARTS, empty=True),
    cell_intervals=checks.FLAG,
    progress=checks.TELL,
)
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
    populations: Sequence[str] | None = None,
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
    populations : sequence of str, optional
        Which failures: ``failed_first_1`` (the first observed answer failed, the headline),
        ``failed`` (at least one of all observed did), ``failed_first_5``, or ``failed_first_M`` for
        any M. By default those three, as far as the study stores rollouts.
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
        Or, of a study without features or without the routed interventions, such as an imported
        log, a `PartEvaluation`: pass rates, rescue by what was run, the best single intervention
        with its null. Both have ``needs``: which figures need more, and what would give it.

    Raises
    ------
    InputError
        If a variable is missing, a rule of your own does not fit the study, a count, part or
        population is not allowed, or no problem or rollout is there.

    See Also
    --------
    route : The rule by itself.
    make_study : Simulated studies, whose true lift is known.
    ablate : The same with one choice changed.
    tables.lift_over_retry : Routed minus retry, by estimator.
    plot_estimators : Draws that table.

    Notes
    -----
    docs/method.md#8-estimators and docs/method.md#populations. Lifts are in points (differences of
    rates), higher is better for routing. Without selection the problems of every population are
    routed as the study stores it, that is, among all failed problems of a cell. Bootstrap resamples
    the underlying questions (task, problem_id), so that one question asked of several specialists
    moves together; selection, routes and z-scores are kept. Intervals over checkpoints stand
    beside. Permutation p-values are one-sided.

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
    ...     populations=["failed"],
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
    if is_partial(ds, policy, interventions):
        return evaluate_partly(ds, seed=seed, counts=counts, populations=populations)
    inputs = read_inputs(
        ds,
        policy=policy,
        interventions=interventions,
        edges=edges,
        populations=populations,
        for_all="all" in parts,
    )
    found = evaluate_inputs(
        inputs,
        parts,
        seed=seed,
        counts=counts,
        cell_intervals=cell_intervals,
        progress=progress,
    )
    lacking = needs_of(ds, interventions=interventions, features=policy.features)
    if found.honest in found.estimators:
        lift = found.lift(found.honest)
        n = int(found.figures["problems"].sel(cell=ALL))
        lacking += more_problems(n, float(lift["lift_low"]), float(lift["lift_high"]))
    return Evaluation(with_needs(found.dataset, lacking))


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
    counts, parts = _counted(counts), _parts(parts)
    tell = progress or (lambda stage: None)
    if resamples is None:
        resamples = inputs.resamples(seed, counts["n_bootstrap"])
    found = []
    for name, rows in inputs.populations.items():
        drawn = resamples.subset(rows)
        say = _named(tell, name, inputs)
        found.append(
            _evaluate_population(
                inputs, name, parts, seed, counts, drawn, say, cell_intervals=cell_intervals
            )
        )
    coords = found[0][1]
    data = {
        name: (
            ("population", *dims),
            np.stack([np.asarray(each[0][name][1]) for each in found]),
        )
        for name, (dims, _) in found[0][0].items()
    }
    settings = {"seed": seed, **counts, **inputs.table.edges}
    settings["policy"] = inputs.table.policy.to_dict()
    return Evaluation(labelled(data, {"population": inputs.populations, **coords}, settings))


def _named(tell: Callable[[str], None], population: str, inputs: Inputs) -> Callable[[str], None]:
    """Name the population with each stage, where there are several."""
    if len(inputs.populations) == 1:
        return tell
    return lambda stage: tell(f"{stage} ({population})")


def _evaluate_population(
    whole: Inputs,
    population: str,
    parts: set[str],
    seed: int,
    counts: dict[str, int],
    resamples: Resamples,
    tell: Callable[[str], None],
    *,
    cell_intervals: bool,
) -> "_Labelled":
    """Figures of one population, by their names, with the labels of their axes."""
    inputs = whole.of(population)
    table = inputs.table
    found = run_estimators(table, seed, counts, parts, tell)
    if "all" in parts:
        found |= _all_again(whole, inputs, population, seed, counts)
    tell("bootstrap")
    figures = {}
    for index, name in enumerate((*MEASURED, OWN, WORKED)):
        one = found.get(name)
        if one is not None:
            figures[name] = summarise(
                one,
                table,
                resamples,
                counts["n_permutations"],
                generator(seed, 6 + index),
                n_cells=len(inputs.labels),
                cell_intervals=cell_intervals,
            )
    for name in NULLS:
        one, published = found[name], found["published"]
        if one is not None and published is not None:
            figures[name] = summarise_null(published, one, resamples, table.checkpoints)
    names = set(figures) | ({OWN} if whole.first and "all" in parts else set())
    data, coords = _estimated(table, inputs.labels, figures, names)
    more, labels = _counted_cells(inputs)
    data, coords = data | more, coords | labels
    if "mappings" in parts:
        tell("mappings")
        more, labels = _mapped(whole, population, resamples)
        data, coords = data | more, coords | labels
    if "budgets" in parts:
        tell("budgets")
        more, labels = _budgeted(budget_curves(inputs, resamples), whole)
        data, coords = data | more, coords | labels
    return data, coords


def _all_again(
    whole: Inputs, inputs: Inputs, population: str, seed: int, counts: dict[str, int]
) -> dict[str, Contributions]:
    """Return ``all`` with other features, and with guesses counted as wrong, where they are known.

    The draws are those of ``all``.
    """
    found, n_splits = {}, counts["n_splits"]
    if population in whole.first:
        own, rng = whole.first[population], generator(seed, 2)
        found[OWN] = estimators.with_features(inputs.table, own, rng, n_splits=n_splits)
    if inputs.worked is not None:
        table = replace(inputs.table, rate=inputs.worked)
        found[WORKED] = estimators.everyone(table, generator(seed, 2), n_splits=n_splits)
    return found


#: Figures and the labels they are by.
_Labelled = tuple[dict[str, tuple[tuple[str, ...], Any]], dict[str, Any]]


def _estimated(
    table: Table,
    labels: np.ndarray,
    figures: dict[str, dict[str, np.ndarray]],
    among: Collection[str],
) -> _Labelled:
    """Stack the figures of each estimator `among` those there are; NaN where one has none."""
    names = [name for name in ESTIMATORS if name in among]
    by_cell, by_column = ("estimator", "cell"), ("estimator", "cell", "comparator")
    n_cells, columns = 1 + len(labels), table.comparators[1:]
    data: dict[str, tuple[tuple[str, ...], Any]] = {}
    for figure in _FIGURES:
        whole = figure in _BY_CELL
        shape = (len(names), n_cells) + (() if whole else (len(columns),))
        values = np.full(shape, np.nan)
        for place, name in enumerate(names):
            if figure in figures.get(name, ()):
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


def mappings(policy: RoutingPolicy) -> dict[str, RoutingPolicy]:
    """Return every way to give a policy's operators to its features, the policy's own first.

    Returns
    -------
    dict of str to RoutingPolicy
        By its operators, in the order of the features: ``dense_steer, sparse_steer, ...``.
    """
    features, own = policy.features, tuple(policy.operators.values())
    ways = dict.fromkeys([own, *permutations(own)])
    return {
        ", ".join(way): RoutingPolicy(dict(zip(features, way, strict=True)), policy.fallback)
        for way in ways
    }


def _mapped(whole: Inputs, population: str, resamples: Resamples) -> _Labelled:
    """Routed minus retry, over every problem, under each mapping of features to operators.

    The same feature leads as in `Inputs.of`, among all failed problems; what it calls for differs.
    """
    rows, table = whole.populations[population], whole.table
    codes = route_codes(table.features, table.cells)[rows]
    few, everyone = table.take(rows), [np.arange(len(rows))]
    ways, found = mappings(table.policy), []
    for policy in ways.values():
        one = replace(few, policy=policy)
        one = replace(one, routes=one.route_columns[codes])
        item = estimators.everyone(one, np.random.default_rng(0), n_splits=1)
        figures = compare(item, resamples, everyone, checkpoints=one.checkpoints)
        found.append([figures[name][0, 1] for name in _MAPPED])
    return {
        f"mapping_{name}": (("mapping",), each)
        for name, each in zip(_MAPPED, np.array(found).T, strict=True)
    }, {"mapping": list(ways)}


def _budgeted(found: dict[str, np.ndarray], whole: Inputs) -> _Labelled:
    """Name the axes of `budget_curves`, as long as the longest of all populations."""
    longest = int(whole.table.attempts[:, 0].max(initial=0))
    data: dict[str, tuple[tuple[str, ...], Any]] = {}
    for name, values in found.items():
        if name in ("cost", "upfront"):
            dims = ("side", "basis") if name == "cost" else ("basis",)
            data[f"budget_{name}"] = (dims, values)
        elif name.startswith("claim_"):
            data[name] = (("claim_basis",), values)
        else:
            named = name if name == "budget" else f"budget_{name}"
            more = np.full((len(values), longest - values.shape[1]), np.nan)
            data[named] = (("basis", "k"), np.concatenate([values, more], axis=1))
    return data, {
        "side": ("routed", RETRY),
        "basis": BASES,
        "claim_basis": CLAIM_BASES,
        "k": range(1, longest + 1),
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
    runs: list[Callable[..., Contributions]] = [
        estimators.published,
        nulls.null,
        estimators.everyone,
        estimators.split,
        nulls.null_twins,
    ]
    found: dict[str, Contributions | None] = dict.fromkeys(PARTS[: len(runs)])
    for stage, (name, run) in enumerate(zip(found, runs, strict=True)):
        if name in parts and (table.correct is not None or name not in NEED_ATTEMPTS):
            tell(name)
            count = "n_null" if name.startswith("null") else "n_splits"
            found[name] = run(table, generator(seed, stage), **{count: counts[count]})
    return found
