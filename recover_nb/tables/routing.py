"""Routing under other thresholds and policies.

It gives regimes, routes and rates problem by problem, and what a test says.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL, ROUTED_INTERVENTIONS, Feature, Regime, Verdict
from recover_nb.core.schema import cell_names, text
from recover_nb.core.titles import meaning, named
from recover_nb.routing.evaluation import NEED_ATTEMPTS
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy, route
from recover_nb.routing.rescue import (
    MIN_FAILURE,
    MIN_GAIN,
    TOLERANCE,
    classify_regimes,
    with_rates,
)
from recover_nb.routing.result import (
    ESTIMATORS,
    MEASURED,
    NULLS,
    OWN,
    RETRY,
    WORKED,
    Evaluation,
)
from recover_nb.routing.table import PERMUTED
from recover_nb.tables.evaluation import null_excess
from recover_nb.tables.kit import span
from recover_nb.tables.study import feature_points

#: Estimators to choose from; the null of twins is shown beside ``null``.
CHOICES = ("published", "null", "split", "all")
#: What a test at a level says; the third word is `Verdict.NOT_TESTABLE`.
SIGNIFICANT, NOT_SIGNIFICANT = "significant", "not significant"
#: Variables of a study that routing is computed from.
INPUTS = (
    "features",
    "rescue_rate",
    "attempts",
    "correct",
    "n_tokens",
    "forward_specialist",
    "forward_ancestor",
    "regime",
    "route",
    "level",
    "n_failed_rollouts",
    "ended",
    "worked",
)
UNIT = ("family", "method", "task", "problem_id")


def routing_inputs(ds: xr.Dataset) -> xr.Dataset:
    """Return what routing needs of a study, in memory, without tokens or signals.

    Rates are counted where they are not stored.

    Raises
    ------
    InputError
        If features, or rescue rates and attempts to count, are missing.
    """
    if "features" not in ds:
        raise InputError(
            "the study has no variable 'features'; compute it with compute_features first"
        )
    kept = ds[[name for name in INPUTS if name in ds.data_vars]].compute()
    return with_rates(kept)


def routed_interventions(ds: xr.Dataset) -> tuple[str, ...]:
    """Return the published interventions that the study ran.

    Regimes and routes are over these unless told.
    """
    run = [str(name) for name in ds["intervention"].values]
    return tuple(name.value for name in ROUTED_INTERVENTIONS if name in run)


def decide(
    ds: xr.Dataset,
    *,
    policy: RoutingPolicy = PUBLISHED,
    interventions: Sequence[str] | None = None,
    min_gain: float = MIN_GAIN,
    min_failure: float = MIN_FAILURE,
) -> xr.Dataset:
    """Return the study with the regimes and routes of these settings.

    What is stored is kept where it is of these settings.

    Parameters
    ----------
    ds : Dataset
        From `routing_inputs`.
    policy : RoutingPolicy
    interventions : sequence of str, optional
        What regimes are over; the published ones that were run by default.
    min_gain, min_failure : float
        Edges of steerable_hard.

    Returns
    -------
    Dataset
        With ``regime`` and ``route``. z-scores are over every failed problem of a cell, as in a
        study, or over its steerable_hard problems, as in a profile table.

    Raises
    ------
    InputError
        If there is no intervention to choose from, or one is missing from the study.
    """
    names = routed_interventions(ds) if interventions is None else tuple(map(str, interventions))
    if not names:
        raise InputError(
            f"the study ran none of {', '.join(ROUTED_INTERVENTIONS)}; name others in"
            " interventions="
        )
    same_edges = (min_gain, min_failure) == (
        MIN_GAIN,
        MIN_FAILURE,
    ) and names == routed_interventions(ds)
    same_rule = policy.fallback == PUBLISHED.fallback and [*policy.operators.items()] == [
        *PUBLISHED.operators.items()
    ]
    if not same_edges or "regime" not in ds:
        edges = {"min_gain": min_gain, "min_failure": min_failure}
        edges["tolerance"] = float(ds.attrs.get("regime_tolerance", TOLERANCE))
        ds = ds.assign(regime=classify_regimes(ds["rescue_rate"], interventions=names, **edges))
    over_hard = ds.attrs.get("source_format") == "profiles"
    if not same_rule or (over_hard and not same_edges) or "route" not in ds:
        population = text(ds["regime"]) == Regime.STEERABLE_HARD.value if over_hard else None
        ds = ds.assign(route=route(ds["features"], cell_names(ds), policy, population=population))
    return ds


def problem_rows(ds: xr.Dataset, *, interventions: Sequence[str] | None = None) -> pd.DataFrame:
    """One row for each failed problem: what it is, its regime and route, and what rescues it.

    Parameters
    ----------
    ds : Dataset
        With ``regime`` and ``route``: see `decide`.
    interventions : sequence of str, optional
        Among which the best operator is sought; the published ones that were run by default.

    Returns
    -------
    DataFrame
        ``problem`` (its place in the study), ``family``, ``method``, ``task``, ``problem_id``,
        ``level`` (NaN = unknown), ``regime``, ``route``, ``retry`` and ``routed`` (rescue rates),
        ``best_operator`` (the first of equals, empty where none rescues), ``best`` (its rate),
        ``tied`` (operators with that rate), the features and ``cell``.
    """
    names = list(routed_interventions(ds) if interventions is None else map(str, interventions))
    frame = feature_points(ds)
    # Not the attempts: copying them would take longer than everything else here.
    kept = ds[[name for name in ("rescue_rate", "level") if name in ds]].isel(
        problem=frame["problem"].to_numpy()
    )
    rates = (
        kept["rescue_rate"].sel(intervention=names).transpose("problem", "intervention").to_numpy()
    )
    score = np.where(np.isnan(rates), -1.0, rates)
    best, first = score.max(axis=1), np.array([*names, ""])[score.argmax(axis=1)]
    level = kept["level"].to_numpy().astype(float) if "level" in kept else np.full(len(frame), -1.0)
    found = {
        **{name: text(kept[name]) if name in kept.coords else "" for name in UNIT},
        "level": np.where(level < 0, np.nan, level),
        "routed": routed_rates(rates, names, frame["route"]),
        "best_operator": np.where(best > 0, first, ""),
        "best": np.where(best < 0, np.nan, best),
        "tied": np.where(best > 0, (score == best[:, None]).sum(axis=1), 0),
    }
    columns = [
        "problem",
        *UNIT,
        "level",
        "regime",
        "route",
        "retry",
        "routed",
        "best_operator",
        "best",
        "tied",
    ]
    return frame.assign(**found)[[*columns, *(name.value for name in Feature), "cell"]]


def decide_again(rows: pd.DataFrame, ds: xr.Dataset, interventions: Sequence[str]) -> pd.DataFrame:
    """Return `problem_rows` of a study that only `decide` has changed since the rows were made.

    This is much faster.

    Parameters
    ----------
    rows : DataFrame
        From `problem_rows`.
    ds : Dataset
        With other ``regime`` and ``route``.
    interventions : sequence of str
        As for the rows.
    """
    place = rows["problem"].to_numpy()
    names = list(map(str, interventions))
    rates = (
        ds["rescue_rate"]
        .sel(intervention=names)
        .transpose("problem", "intervention")
        .to_numpy()[place]
    )
    route = text(ds["route"])[place]
    return rows.assign(
        regime=text(ds["regime"])[place], route=route, routed=routed_rates(rates, names, route)
    )


def routed_rates(rates: np.ndarray, names: Sequence[str], route: Sequence[str]) -> np.ndarray:
    """Return the rescue rate (problem,) of each problem's route, from `rates` (problem, name).

    It is NaN where the route is none of the names.
    """
    found = np.full(len(rates), np.nan)
    for column, name in enumerate(names):
        found = np.where(np.asarray(route) == name, rates[:, column], found)
    return found


def comparators(evaluation: Evaluation, estimator: str = "published") -> pd.DataFrame:
    """Routing against every comparator by one estimator: what `plot_comparators` draws.

    Parameters
    ----------
    evaluation : Evaluation
    estimator : str
        A name of `CHOICES`, or ``null_twins``.

    Returns
    -------
    DataFrame
        ``population``, ``estimator``, ``comparator``, ``kind`` (measured or null), ``n``,
        ``routed``, ``rate``, ``lift_points`` with its 95 % interval ``low_points``,
        ``high_points``, ``low_checkpoints_points``, ``high_checkpoints_points`` over checkpoints,
        and, beside a published figure whose null was computed, the null's ``band_low_points``,
        ``band_high_points`` (else NaN): what the estimator reports without any effect.

    Raises
    ------
    InputError
        For an estimator that does not exist, or that the study does not have.
    """
    if estimator not in ESTIMATORS:
        raise InputError(f"unknown estimator {estimator!r}; allowed: {', '.join(ESTIMATORS)}")
    has = evaluation.estimators
    if estimator not in has:
        needs = (
            " needs the outcome of each attempt, which is not stored"
            if estimator in NEED_ATTEMPTS
            else " was not computed"
        )
        raise InputError(f"estimator {estimator!r}{needs}; there is: {', '.join(has) or 'none'}")
    full = evaluation.to_dataframe()
    frame = full[full["estimator"] == estimator].reset_index(drop=True)
    frame["kind"] = "null" if estimator in NULLS else "measured"
    null = full[full["estimator"] == "null"].set_index("comparator")
    beside = estimator == "published" and len(null)
    frame["population"] = evaluation.populations[0]
    columns = ["population", "estimator", "comparator", "kind", "n", "routed", "rate"]
    columns += ["lift_points"]
    for end in ("low_points", "high_points"):
        bands = null[end].reindex(frame["comparator"]).to_numpy() if beside else np.nan
        frame[f"band_{end}"] = bands
    apart = ["low_checkpoints_points", "high_checkpoints_points"]
    columns += ["low_points", "high_points", *apart, "band_low_points", "band_high_points"]
    return frame[columns]


def significance(
    evaluation: Evaluation, estimator: str = "published", level: float = 0.05
) -> pd.DataFrame:
    """Hold the tests of one estimator against a level.

    Parameters
    ----------
    evaluation : Evaluation
    estimator : str
        A name of `CHOICES`.
    level : float
        Level. A test is significant where its one-sided p is at or below it.

    Returns
    -------
    DataFrame
        ``test``: ``excess over NULL`` (published and null only), or ``routes``: the rule against
        its own choices shuffled within each cell. ``cell`` (``all``, or one, with p
        corrected by Holm over cells), ``points`` (the excess, or routed minus permuted) with its 95
        % interval ``low_points``, ``high_points``, ``p``, ``least_p`` that so many resamples could
        give (corrected likewise), and ``verdict``: significant, not significant, or not testable
        (no problem selected, or too few resamples for the level).
    """
    counts, tests = evaluation.settings, []
    columns = ["test", "cell", "points", "low_points", "high_points", "p"]
    if estimator in ("published", "null"):
        excess = null_excess(evaluation)
        excess = excess[excess["comparator"] == RETRY].rename(columns={"excess_points": "points"})
        excess = excess.assign(test="excess over " + excess["null"], cell=ALL)
        tests.append(excess[columns].assign(least_p=1 / (1 + counts["n_null"])))
    if estimator in MEASURED and estimator in evaluation.estimators:
        full = evaluation.to_dataframe(cell=None)
        full = full[(full["estimator"] == estimator) & (full["comparator"] == PERMUTED)]
        whole = full["cell"] == ALL
        routes = full.rename(columns={"lift_points": "points"}).assign(
            test="routes", p=full["p"].where(whole, full["p_holm"])
        )
        # Holm multiplies the smallest p of the cells by their number.
        cells = max(int((~whole & routes["p"].notna()).sum()), 1)
        least = np.where(whole, 1, cells) / (1 + counts["n_permutations"])
        tests.append(routes[columns].assign(least_p=least))
    none = pd.DataFrame(columns=[*columns, "least_p"])
    frame = pd.concat(tests, ignore_index=True) if tests else none
    known = frame["p"].notna() & (frame["least_p"] <= level)
    said = np.where(frame["p"] <= level, SIGNIFICANT, NOT_SIGNIFICANT)
    return frame.assign(verdict=np.where(known, said, str(Verdict.NOT_TESTABLE)))


_SELECTED = {
    "published": "steerable_hard problems, picked by the attempts that score them",
    "split": (
        "problems (a mean over halvings), picked by one half of the attempts and scored on the"
        " other"
    ),
    "all": "problems, with no selection",
    OWN: "problems, routed by their first failed answers only",
    WORKED: "problems, where a right answer without a step counts as wrong",
}
_NULL_WORDS = {"null": "independent attempts", "null_twins": "attempts twinned as in this study"}


def routing_figures(frame: pd.DataFrame, rows: pd.DataFrame) -> dict[str, str]:
    """Return what a reader follows while settings change, as text.

    Parameters
    ----------
    frame : DataFrame
        From `comparators`.
    rows : DataFrame
        From `problem_rows`.
    """
    retry = frame[frame["comparator"] == RETRY].iloc[0]
    lift, low, high = (retry[f"{name}_points"] for name in ("lift", "low", "high"))
    counts = rows["regime"].value_counts() if "regime" in rows else {}
    return {
        "lift over asking again": "none" if math.isnan(lift) else f"{span(lift, low, high)} points",
        **{meaning(name): f"{counts.get(name.value, 0):,} problems" for name in Regime},
    }


def say_routing(frame: pd.DataFrame, tests: pd.DataFrame, level: float = 0.05) -> list[str]:
    """Put what one estimator says of routing into sentences.

    Parameters
    ----------
    frame : DataFrame
        From `comparators`.
    tests : DataFrame
        From `significance`, of the same estimator.
    level : float
        The level it was held against.

    Returns
    -------
    list of str
    """
    retry = frame[frame["comparator"] == RETRY].iloc[0]
    if math.isnan(retry["lift_points"]):
        return ["No problem is steerable_hard under these thresholds, so nothing is scored."]
    figure = span(retry["lift_points"], retry["low_points"], retry["high_points"])
    if retry["estimator"] in NULLS:
        said = [
            f"When no operator differs from retry, the published estimator still reports {figure}"
            " points over retry."
        ]
    else:
        said = [
            f"Routed minus retry ({named(retry['population'])}): {figure} points on"
            f" {retry['n']:,.0f} {_SELECTED[retry['estimator']]}. The 95 % interval"
            f" {_side(retry['low_points'], retry['high_points'])}"
            + _say_apart(retry["low_checkpoints_points"], retry["high_checkpoints_points"])
        ]
    for row in tests[tests["test"] != "routes"].to_dict("records"):
        kind = _NULL_WORDS[row["test"].removeprefix("excess over ")]
        figure = span(row["points"], row["low_points"], row["high_points"])
        said.append(f"Published less its null ({kind}): {figure} points, {_test(row, level)}.")
    routes = tests[tests["test"] == "routes"].to_dict("records")
    return said + ([_routes(routes, level)] if routes else [])


def _say_apart(low: float, high: float) -> str:
    """Say where the interval over checkpoints lies."""
    if math.isnan(low):
        return "; there is one checkpoint, so none is over checkpoints."
    return f"; over checkpoints [{low:+.1f}, {high:+.1f}] {_side(low, high)}."


def _routes(rows: list[dict], level: float) -> str:
    """Put the permutation test, over all cells and in each, into words."""
    first, cells = rows[0], rows[1:]
    figure = span(first["points"], first["low_points"], first["high_points"])
    said = f"Routed minus the rule's own choices, shuffled: {figure} points, {_test(first, level)}"
    if first["verdict"] == Verdict.NOT_TESTABLE:
        return said + "."
    # The permutation keeps problems and shuffles routes, the bootstrap the reverse: both must speak
    # for it.
    both = first["verdict"] == SIGNIFICANT and first["low_points"] > 0
    carry = "carry" if both else "are not shown to carry"
    below = [row["cell"] for row in cells if row["verdict"] == SIGNIFICANT]
    tested = sum(row["verdict"] != Verdict.NOT_TESTABLE for row in cells)
    said = f"{said}: the routes {carry} information on which problem needs which operator."
    if not tested:
        return f"{said} So few resamples cannot tell a single cell after Holm's correction."
    listed = f" ({', '.join(below)})" if below else ""
    verb = "is" if len(below) == 1 else "are"
    return (
        f"{said} After Holm's correction {len(below)} of {tested} cells {verb} significant{listed}."
    )


def _test(row: dict, level: float) -> str:
    if math.isnan(row["p"]):
        return "which cannot be tested"
    if row["verdict"] == Verdict.NOT_TESTABLE:
        return (
            f"not testable at {level:g}: so few resamples cannot give a p below"
            f" {row['least_p']:.2g}"
        )
    return f"p = {row['p']:.2g}, {row['verdict']} at {level:g}"


def _side(low: float, high: float) -> str:
    return "lies above 0" if low > 0 else "lies below 0" if high < 0 else "includes 0"
