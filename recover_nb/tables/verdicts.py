"""What the data support and what they do not: figures to verdicts, then verdicts to sentences."""

import json
import math
from collections.abc import Callable

import pandas as pd
import xarray as xr

from recover_nb.core.labels import ALL, Intervention, Verdict
from recover_nb.core.titles import about, p_value, plain_zero
from recover_nb.routing.budgets import CLAIM_BASES, CLAIM_MARGIN, CLAIM_RETRY, CLAIM_ROUTED
from recover_nb.routing.result import NULLS, RETRY, Evaluation, interval_verdict
from recover_nb.tables.evaluation import null_excess
from recover_nb.tables.kit import interval

#: The four things a figure can say about a claim.
VERDICTS = tuple(Verdict)
SUPPORTED, NOT_SHOWN, CONTRADICTED, NOT_TESTABLE = VERDICTS

#: Level of every test here.
LEVEL = 0.05
#: Share of attempts in which an operator must act before its rescue rate says something about it.
MIN_FIRED = 0.80


def find(evaluation: Evaluation, rescue: pd.DataFrame, firing: pd.DataFrame) -> list[dict]:
    """Judge each claim a reader might take away.

    Parameters
    ----------
    evaluation : Evaluation
    rescue : DataFrame
        From `rescue_by_intervention` with ``total=True``.
    firing : DataFrame
        From `firing`; may be empty.

    Returns
    -------
    list of dict
        ``name``, ``claim`` (in words), ``figure`` (dict of numbers; lifts in points), ``verdict``:
        one of `VERDICTS`.
    """
    table, excess = evaluation.to_dataframe(), null_excess(evaluation)
    found = [
        _interventions(rescue),
        _published(table, excess, evaluation.dataset),
        _lift(
            "split", table, "routing beats retry when selection and scoring use different attempts"
        ),
        _lift("all", table, "routing beats retry over every failed problem, with no selection"),
        _choice(table),
        _permutation(evaluation, table),
        *(_budget(evaluation.dataset, basis) for basis in CLAIM_BASES),
    ]
    return [*found, _fires(firing)] if len(firing) else found


def _interventions(rescue: pd.DataFrame) -> dict:
    """Judge which interventions differ from retry over every failed problem.

    All comparisons hold together.
    """
    cells = list(rescue["cell"])
    rows = rescue[
        (rescue["cell"] == (ALL if ALL in cells else cells[0])) & (rescue["intervention"] != RETRY)
    ]
    groups: dict[str, list] = {verdict: [] for verdict in VERDICTS}
    for row in rows.to_dict("records"):
        low, high = row["lift_low_all_points"], row["lift_high_all_points"]
        entry = {
            "intervention": row["intervention"],
            "lift_points": row["lift_points"],
            "interval": [low, high],
        }
        groups[interval_verdict(low, high)].append(entry)
    tested = len(rows) - len(groups[NOT_TESTABLE])
    better, worse, undecided = (groups[verdict] for verdict in (SUPPORTED, CONTRADICTED, NOT_SHOWN))
    verdict = SUPPORTED if better else NOT_SHOWN if undecided else CONTRADICTED
    figure = {"better": better, "worse": worse, "undecided": undecided, "compared": tested}
    return _finding(
        "interventions",
        "some intervention rescues more than retry, over every failed problem",
        figure,
        verdict if tested else NOT_TESTABLE,
    )


def _published(table: pd.DataFrame, excess: pd.DataFrame, found: xr.Dataset) -> dict:
    """Judge the published lift against both nulls: it must exceed each."""
    figure = _row(table, "published", RETRY)
    figure["nulls"] = {}
    verdicts = []
    for name in NULLS:
        rows = excess[(excess["null"] == name) & (excess["comparator"] == RETRY)]
        for row in rows.to_dict("records"):
            keys = ("mean_points", "sd_points", "excess_points", "p")
            figure["nulls"][name] = {key: row[key] for key in keys}
            figure["nulls"][name]["interval"] = [row["low_points"], row["high_points"]]
            share = float(found["selected"].sel(estimator=name, cell=ALL))
            figure["nulls"][name]["steerable_hard_fraction"] = share
            figure["nulls"][name]["draws"] = json.loads(found.attrs["settings_json"])["n_null"]
            verdict = interval_verdict(row["low_points"], row["high_points"])
            # Both the bootstrap of the problems and the distribution without effect must speak for
            # it.
            verdicts.append(NOT_SHOWN if verdict == SUPPORTED and not row["p"] < LEVEL else verdict)
    figure["steerable_hard_fraction"] = float(found["hard"])
    return _finding(
        "published",
        "routing's published lift on steerable_hard problems exceeds what selection alone gives",
        figure,
        # The verdict is the weakest of the nulls'.
        max(
            verdicts,
            key=(SUPPORTED, CONTRADICTED, NOT_SHOWN, NOT_TESTABLE).index,
            default=NOT_TESTABLE,
        ),
    )


def _lift(estimator: str, table: pd.DataFrame, claim: str) -> dict:
    figure = _row(table, estimator, RETRY)
    return _finding(estimator, claim, figure, interval_verdict(*figure["interval"]))


def _choice(table: pd.DataFrame) -> dict:
    """Judge routing against always doing the one thing that did best elsewhere."""
    estimator = _honest(table)
    figure = {"estimator": estimator, **_row(table, estimator, "best_fixed")}
    claim = (
        "choosing for each problem beats the best single operator of its cell (chosen on other"
        " problems)"
    )
    return _finding("choice", claim, figure, interval_verdict(*figure["interval"]))


def _permutation(evaluation: Evaluation, table: pd.DataFrame) -> dict:
    """Judge whether routes carry information: the rule against its choices dealt out at random."""
    estimator = _honest(table)
    p = float(evaluation.lift(estimator)["p"])
    row = _row(table, estimator, "permuted")
    corrected = evaluation.dataset["p_holm"].sel(estimator=estimator)
    below = corrected["cell"].values[corrected.values < LEVEL]
    figure = {
        "estimator": estimator,
        "lift_points": row["lift_points"],
        "interval": row["interval"],
        "p": p,
        "permutations": evaluation.settings["n_permutations"],
        "cells": int(corrected.notnull().sum()),
        "cells_below": below.tolist(),
    }
    verdict = NOT_TESTABLE if math.isnan(p) else interval_verdict(*row["interval"])
    # The permutation keeps problems and shuffles routes, the bootstrap the reverse: both must speak
    # for it.
    verdict = NOT_SHOWN if verdict == SUPPORTED and p >= LEVEL else verdict
    return _finding(
        "permutation", "the features tell which problem needs which operator", figure, verdict
    )


def _budget(found: xr.Dataset, basis: str) -> dict:
    """Judge "ten routed rollouts match fifty retries", over every failed problem."""
    names = ("k_routed", "k_retry", "n", "routed", "retry", "lift", "low", "high")
    claim = dict.fromkeys(names, math.nan)
    first = (math.nan, math.nan)
    if "claim_low" in found:
        of_all = found.sel(population=ALL)
        one = of_all.sel(claim_basis=basis)
        claim = {name: float(one[f"claim_{name}"]) for name in names}
        at = of_all.sel(claim_basis="attempts")
        first = float(at["claim_k_routed"]), float(at["claim_k_retry"])
    stated = (CLAIM_ROUTED, CLAIM_RETRY)
    k, retries = stated if math.isnan(first[0]) else map(int, first)
    words = f"{k} routed rollout{'s' * (k != 1)} match"
    words += (
        f" {retries} retries"
        if basis == "attempts"
        else " the retries that cost as many forward passes"
    )
    low, high = (100 * claim[end] for end in ("low", "high"))
    if math.isnan(low):
        return _finding(f"budget_{basis}", words, {}, NOT_TESTABLE)
    margin = 100 * CLAIM_MARGIN
    figure = {
        "routed_attempts": int(claim["k_routed"]),
        "retry_attempts": claim["k_retry"],
        "scaled": claim["k_routed"] < CLAIM_ROUTED,
        "n": int(claim["n"]),
        "routed": claim["routed"],
        "retry": claim["retry"],
        "lift_points": 100 * claim["lift"],
        "interval": [low, high],
        "margin_points": margin,
    }
    missed = CONTRADICTED if high < -margin else NOT_SHOWN
    return _finding(f"budget_{basis}", words, figure, SUPPORTED if low > -margin else missed)


def _fires(firing: pd.DataFrame) -> dict:
    """Judge whether sparse steering acted often enough for its rescue rate to be its own."""
    rows = firing[
        (firing["intervention"] == Intervention.SPARSE_STEER.value) & firing["fired"].notna()
    ]
    below = rows[rows["fired"] < MIN_FIRED]
    figure = {
        "least": float(rows["fired"].min()) if len(rows) else float("nan"),
        "min_fired": MIN_FIRED,
        "cells": int((rows["cell"] != ALL).sum()),
        "cells_below": [name for name in below["cell"] if name != ALL],
    }
    verdict = NOT_TESTABLE if not len(rows) else NOT_SHOWN if figure["cells_below"] else SUPPORTED
    return _finding(
        "firing", "sparse steering acts often enough to differ from retry", figure, verdict
    )


def _finding(name: str, claim: str, figure: dict, verdict: str) -> dict:
    return {"name": name, "claim": claim, "figure": figure, "verdict": verdict}


def _honest(table: pd.DataFrame) -> str:
    """Name the estimator without a winner's curse that the data allow."""
    return "split" if (table["estimator"] == "split").any() else "all"


def _row(table: pd.DataFrame, estimator: str, comparator: str) -> dict:
    """Figures of routing against one comparator; NaN where they were not computed."""
    rows = table[(table["estimator"] == estimator) & (table["comparator"] == comparator)]
    keys = ("n", "routed", "rate", "lift_points", "relative")
    if not len(rows):
        return {**dict.fromkeys(keys, float("nan")), "interval": [float("nan")] * 2}
    row = rows.iloc[0]
    return {
        **{key: float(row[key]) for key in keys},
        "interval": [float(row["low_points"]), float(row["high_points"])],
    }


def say(finding: dict) -> str:
    """Put a finding of `find` into words: its figures, then what they amount to."""
    return _SENTENCES[finding["name"]](finding["figure"], finding["verdict"])


def findings(evaluation: Evaluation, rescue: pd.DataFrame, firing: pd.DataFrame) -> pd.DataFrame:
    """Return what `find` judges, a row a claim: ``claim``, ``verdict`` and ``sentence``.

    Examples
    --------
    Nothing helps in this study, and no claim that something does is supported.

    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(effect="none")
    >>> evaluation = rnb.evaluate_routing(
    ...     ds, n_bootstrap=100, n_permutations=50, n_null=50, n_splits=10, cell_intervals=False
    ... )
    >>> rescue = rnb.tables.rescue_by_intervention(ds, total=True, by_cell=False, n_bootstrap=100)
    >>> found = rnb.tables.findings(evaluation, rescue, rnb.tables.firing(ds, total=True))
    >>> found["claim"][0], found["verdict"][0]
    ('some intervention rescues more than retry, over every failed problem', 'not shown')
    """
    found = find(evaluation, rescue, firing)
    rows = [
        {"claim": each["claim"], "verdict": each["verdict"], "sentence": say(each)}
        for each in found
    ]
    return pd.DataFrame(rows, columns=["claim", "verdict", "sentence"])


_SCORED = {"split": "attempts that did not select", "all": "every failed problem"}


def _signed(value: float) -> str:
    return plain_zero(f"{value:+.1f}")


def _say_interventions(figure: dict, verdict: str) -> str:
    if verdict == NOT_TESTABLE:
        return "Nothing beside retry was run, so nothing can be compared."
    text = (
        f"Points above retry (95 % intervals that hold together for all {figure['compared']}"
        " comparisons): "
    )
    parts = []
    for key, words in (
        ("better", "better"),
        ("worse", "worse"),
        ("undecided", "not distinguishable from retry"),
    ):
        items = [
            f"{x['intervention']} {_signed(x['lift_points'])} {interval(x['interval'])}"
            for x in figure[key]
        ]
        parts.append(f"{words}: {', '.join(items) or 'none'}")
    return text + "; ".join(parts) + "."


def _say_published(figure: dict, verdict: str) -> str:
    if math.isnan(figure["lift_points"]):
        return "No problem is steerable_hard, so there is no lift to report."
    text = (
        f"On {about(figure['n'])} steerable_hard problems ({figure['steerable_hard_fraction']:.0%} "
    )
    text += (
        f"of failed ones) routing rescues {_signed(figure['lift_points'])} points more than retry "
    )
    text += f"{interval(figure['interval'])}"
    for name, null in figure["nulls"].items():
        kind = "independent attempts" if name == "null" else "attempts twinned as here"
        text += f"; when no operator differs from retry ({kind}) the same estimator marks "
        text += (
            f"{null['steerable_hard_fraction']:.0%} and reports {_signed(null['mean_points'])} +- "
        )
        text += (
            f"{null['sd_points']:.1f}, excess {_signed(null['excess_points'])}"
            f" {interval(null['interval'])}, "
        )
        text += p_value(null["p"], null.get("draws"), "simulated data sets")
    endings: dict[str, str] = {
        SUPPORTED: "distinguishable from no effect",
        NOT_SHOWN: "not distinguishable from no effect",
        CONTRADICTED: "below what no effect would give",
        NOT_TESTABLE: "no null to compare with",
    }
    return f"{text}: {endings[verdict]}."


def _lift_words(head: str, n_what: str) -> Callable[[dict, str], str]:
    endings: dict[str, str] = {
        SUPPORTED: "routing rescues more than retry",
        NOT_SHOWN: "not distinguishable from no difference",
        CONTRADICTED: "routing rescues less than retry",
    }

    def words(figure: dict, verdict: str) -> str:
        if verdict == NOT_TESTABLE:
            return (
                "Cannot be computed here: it needs the outcome of each attempt, and problems to"
                " select."
            )
        text = (
            f"{head}{_signed(figure['lift_points'])} points over retry"
            f" {interval(figure['interval'])} on "
        )
        return f"{text}{about(figure['n'])} {n_what}: {endings[verdict]}."

    return words


def _say_choice(figure: dict, verdict: str) -> str:
    if verdict == NOT_TESTABLE:
        return "Cannot be computed here."
    endings: dict[str, str] = {
        SUPPORTED: "choosing for each problem pays",
        NOT_SHOWN: "choosing for each problem is not shown to beat one operator for all",
        CONTRADICTED: "one operator for all does better than the rule",
    }
    text = f"Scored on {_SCORED[figure['estimator']]}: "
    return (
        f"{text}{_signed(figure['lift_points'])} points {interval(figure['interval'])}:"
        f" {endings[verdict]}."
    )


def _say_permutation(figure: dict, verdict: str) -> str:
    if verdict == NOT_TESTABLE:
        return "Cannot be computed here."
    ending = "the routes carry" if verdict == SUPPORTED else "the routes are not shown to carry"
    text = "Against a random permutation of its own choices within each cell, scored on "
    text += (
        f"{_SCORED[figure['estimator']]}: {_signed(figure['lift_points'])} points"
        f" {interval(figure['interval'])}, "
    )
    text += f"{p_value(figure['p'], figure.get('permutations'))}; after Holm's correction "
    text += f"{len(figure['cells_below'])} of {figure['cells']} cells lie below {LEVEL}: {ending} "
    return text + "information on which problem needs which operator."


def _say_budget(figure: dict, verdict: str, basis: str) -> str:
    if verdict == NOT_TESTABLE:
        return f"Cannot be computed here: the {basis} it needs were not stored or not run."
    k, retries = figure["routed_attempts"], figure["retry_attempts"]
    spent = (
        f"{retries:.0f} retries"
        if basis == "attempts"
        else f"{retries:.1f} retries, as many {basis}"
    )
    text = f"Over every failed problem {k} routed rescue {figure['routed']:.1%} and {spent}, "
    text += (
        f"{figure['retry']:.1%}: {_signed(figure['lift_points'])} points"
        f" {interval(figure['interval'])}"
    )
    if figure["scaled"]:
        text += (
            f" (the paper's claim is {CLAIM_ROUTED} against {CLAIM_RETRY}; this study has too few"
            " attempts for it)"
        )
    endings: dict[str, str] = {
        SUPPORTED: f"matched, to within {figure['margin_points']:.0f} points",
        NOT_SHOWN: "not shown to match",
        CONTRADICTED: "not matched: retries rescue more",
    }
    return f"{text}: {endings[verdict]}."


def _say_firing(figure: dict, verdict: str) -> str:
    if verdict == NOT_TESTABLE:
        return "Firing: sparse_steer was not run."
    low = f"{figure['min_fired']:.0%}"
    if verdict == SUPPORTED:
        return f"sparse_steer fires in at least {figure['least']:.0%} of attempts in every cell."
    text = (
        f"sparse_steer fires in fewer than {low} of attempts in {len(figure['cells_below'])} of"
        f" {figure['cells']} "
    )
    text += (
        f"cells ({', '.join(figure['cells_below'])}; least {figure['least']:.0%}): there its rescue"
        " rate is partly "
    )
    return text + "that of retry under another name."


_SENTENCES: dict[str, Callable[[dict, str], str]] = {
    "interventions": _say_interventions,
    "published": _say_published,
    "split": _lift_words(
        "Selected on one half of the attempts and scored on the other: ",
        "problems (mean over halvings)",
    ),
    "all": _lift_words("", "problems"),
    "choice": _say_choice,
    "permutation": _say_permutation,
    "budget_attempts": lambda figure, verdict: _say_budget(figure, verdict, "attempts"),
    "budget_forward_passes": lambda figure, verdict: _say_budget(figure, verdict, "forward passes"),
    "firing": _say_firing,
}
