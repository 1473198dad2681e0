"""One short sentence for each result: what a reader should know first."""

import math
from functools import singledispatch
from typing import Any

import numpy as np
import pandas as pd

from recover_nb.clustering import ClusterStability, Glance
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Structure, Verdict
from recover_nb.core.titles import meaning, named
from recover_nb.prediction.baselines import SIGNIFICANT
from recover_nb.prediction.gain_readers import TOGETHER
from recover_nb.prediction.monitor_result import CUES, JUDGED, WITHOUT, MonitorResult
from recover_nb.prediction.reading_result import Reading
from recover_nb.prediction.steps_result import StepVerifier
from recover_nb.prediction.topography_result import Topography
from recover_nb.prediction.training_gain_result import MIXTURE, TrainingGain
from recover_nb.prediction.transfer_result import Transfer
from recover_nb.routing.result import NULLS, Evaluation
from recover_nb.tables.kit import interval
from recover_nb.tables.routing import comparators

RETRY = "retry"
#: Directions of a transfer that one sentence can name.
MOST_DIRECTIONS = 2
#: What each estimator scores routing on.
_SCORED = {
    "published": "scored on the attempts that picked these problems",
    "split": "scored on other attempts than those that picked these problems",
    "all": "over every problem, nothing picked",
}


@singledispatch
def headline(result: Any) -> str:
    """Say in one short sentence what a result comes to.

    Parameters
    ----------
    result : Evaluation, ClusterStability, Glance, Topography, Transfer, Reading, TrainingGain or
        StepVerifier

    Returns
    -------
    str
        Of the first population. All figures are in the result's own ``sentence``.

    Raises
    ------
    InputError
        For anything else.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=40, cells=[("qwen3", "sft", "program")])
    >>> rnb.tables.headline(rnb.cluster_stability(ds, k=2, n_resamples=5, agreement=False))
    'No clusters are claimed: data without clusters are as stable.'
    """
    raise InputError(
        f"no headline for {type(result).__name__}; allowed: results of evaluate_routing,"
        " cluster_stability, topography, transfer, reading, training_gain, monitor and verify_steps"
    )


@headline.register
def _evaluation(result: Evaluation) -> str:
    return routing_headline(comparators(result))


def routing_headline(frame: pd.DataFrame) -> str:
    """Say what routing is worth by one estimator.

    Parameters
    ----------
    frame : DataFrame
        From `comparators`.
    """
    retry = frame[frame["comparator"] == RETRY].iloc[0]
    lift, low, high = (retry[f"{name}_points"] for name in ("lift", "low", "high"))
    if math.isnan(lift):
        return "No problem is steerable_hard under these thresholds, so nothing is scored."
    if retry["estimator"] in NULLS:
        return (
            f"If no operator differed from asking again, the published estimator would report"
            f" {lift:+.1f} points."
        )
    than = "more" if lift >= 0 else "less"
    return (
        f"Routed answers end right {abs(lift):.1f} points {than} often than asking again"
        f" {interval((low, high))}, {_SCORED[retry['estimator']]}."
    )


@headline.register
def _clusters(result: ClusterStability) -> str:
    if result.verdict == Structure.CLUSTERS:
        claimed = int(np.sum(result.claimed))
        return (
            f"{claimed} of {result.k} clusters {'is' if claimed == 1 else 'are'} claimed: data"
            " without clusters are not as stable."
        )
    return "No clusters are claimed: data without clusters are as stable."


@headline.register
def _glance(result: Glance) -> str:
    if not result.k:
        return f"{meaning(result.algorithm)} finds no cluster: every problem is noise."
    return (
        f"{meaning(result.algorithm)} cuts {result.n:,} problems into {result.k} clusters. Any data"
        " can be cut like this."
    )


@headline.register
def _topography(result: Topography) -> str:
    if result.accuracy.size == 0:
        return f"Nothing can be said of the {result.target} here."
    right, commonest = 100 * result.accuracy.mean(), 100 * result.majority
    if result.verdict == Verdict.SUPPORTED:
        shown = "their order is better than chance, and more is told than is known without them"
    elif result.p_auc < SIGNIFICANT:
        shown = (
            "their order is better than chance, but nothing more is told than is known without them"
        )
    else:
        shown = "an order better than chance is not shown"
    where = f" within each {result.within}" if result.within else ""
    return (
        f"The features name the {result.target} of {right:.0f} % of failed problems{where}; always"
        f" saying the commonest names {commonest:.0f} %. By AUC, {shown}."
    )


@headline.register
def _transfer(result: Transfer) -> str:
    rows = _whole(result)
    if len(rows) > MOST_DIRECTIONS:
        better = sum(row.permuted_low_points > 0 for row in rows)
        return (
            f"In {better} of {len(rows)} directions, a rule fitted on one rescues more on the other"
            " than its own routes shuffled."
        )
    each = "; ".join(
        f"from {row.source} to {row.target} {row.permuted_lift_points:+.1f} points"
        f" {interval((row.permuted_low_points, row.permuted_high_points))}"
        for row in rows
    )
    return f"What a rule fitted on one is worth on the other, above its routes shuffled: {each}."


def _whole(result: Transfer) -> list[Any]:
    """Return the rows of the first population that are over all its problems, one a direction."""
    rows = result.to_dataframe()
    first = rows["population"] == rows["population"].iloc[0]
    chosen = first & (rows["standardisation"] == "frozen") & (rows["estimator"] == "all")
    return list(rows[chosen].itertuples())


@headline.register
def _reading(result: Reading) -> str:
    scores = _by_reader(result)
    if "features" not in scores:
        return f"Nothing can be said of the {result.target} here."
    best = str(scores.drop("features").idxmax())
    return (
        f"The features tell the {result.target} with an AUC of {scores['features']:.2f}; the best"
        f" reader, {named(best)}, with {scores[best]:.2f}. 0.5 knows nothing."
    )


@headline.register
def _training_gain(result: TrainingGain) -> str:
    shares = result.shares_frame().set_index("group").loc["all_failed"]
    auc = result.to_dataframe().set_index("predictor")["auc"].drop(TOGETHER, errors="ignore")
    best = str(auc.idxmax())
    mixture = f", {named(MIXTURE)} with {auc[MIXTURE]:.2f}" if MIXTURE in auc.drop(best) else ""
    return (
        f"Training on fixes {100 * shares['fixed']:.0f} % of {shares['at_risk']:.0f} failures. Of"
        f" single predictors, {named(best)} tells best which, with an AUC of"
        f" {auc[best]:.2f}{mixture}."
    )


@headline.register
def _monitor(result: MonitorResult) -> str:
    with_cues, without = (result.curves.saved(name, JUDGED)[0] for name in (CUES, WITHOUT))
    return (
        f"Where {100 * JUDGED:g} % of right answers may be lost, a monitor that sees cues saves"
        f" {100 * with_cues:.0f} % of the tokens; without them, {100 * without:.0f} %."
    )


@headline.register
def _steps(result: StepVerifier) -> str:
    best, ahead = result.of("best_of_8", "majority"), result.of("going_on", "retry")
    return (
        f"A verifier of steps picks the right answer of 8 in {100 * best.lead.value:+.1f} points"
        f" more problems than a majority vote; going on from the step it points at saves"
        f" {100 * ahead.lead.value:+.1f} points more than asking again at equal passes."
    )


def _by_reader(result: Reading) -> "pd.Series[float]":
    """Return the AUC of each reader in the first population, over all its parts."""
    scores = result.to_dataframe()
    scores = scores[scores["population"] == scores["population"].iloc[0]]
    # The row over all parts, where there are several, comes last.
    scores = scores.drop_duplicates("reader", keep="last")
    return scores.set_index("reader")["auc"].dropna()


def stability_figures(
    result: ClusterStability | Glance, rows: pd.DataFrame | None
) -> dict[str, str]:
    """Return what a reader follows while a clustering changes, as text.

    Parameters
    ----------
    result : ClusterStability or Glance
    rows : DataFrame, optional
        From `cluster_rows`.
    """
    sizes = ", ".join(f"{n:,}" for n in rows["problems"]) if rows is not None else ""
    found = {"problems": f"{result.n:,}", "sizes of clusters": sizes or "none"}
    if isinstance(result, ClusterStability):
        claimed = int(np.sum(result.claimed)) if result.verdict == Structure.CLUSTERS else 0
        return {**found, "claimed": f"{claimed} of {result.k}"}
    return {**found, "claimed": "not judged"}


def prediction_figures(result: Topography | Transfer | Reading) -> dict[str, str]:
    """Return what a reader follows while a prediction's settings change, as text."""
    if isinstance(result, Topography):
        return {
            "problems": f"{result.n:,}",
            "named rightly": f"{100 * result.accuracy.mean():.1f} %",
            "by the commonest": f"{100 * result.majority:.1f} %",
            "AUC": f"{result.auc.mean():.3f}",
        }
    if isinstance(result, Transfer):
        return {row.direction: f"{row.permuted_lift_points:+.1f} points" for row in _whole(result)}
    scores = _by_reader(result)
    return {f"AUC of {named(name)}": f"{value:.3f}" for name, value in scores.items()}
