"""What the data support and what they do not: figures to verdicts, then verdicts to sentences."""

import math
from collections.abc import Callable

import pandas as pd

from recover_nb.core.labels import ALL, Intervention, Verdict
from recover_nb.core.titles import about, named, p_value, plain_zero
from recover_nb.routing.budgets import CLAIM_BASES, CLAIM_MARGIN, CLAIM_RETRY, CLAIM_ROUTED
from recover_nb.routing.result import NULLS, RETRY, Evaluation, agreed_verdict
from recover_nb.tables.evaluation import mapping_ranks, null_excess
from recover_nb.tables.kit import interval

#: The four things a figure can say about a claim.
VERDICTS = tuple(Verdict)
SUPPORTED, NOT_SHOWN, CONTRADICTED, NOT_TESTABLE = VERDICTS

#: Level of every test here.
LEVEL = 0.05
#: Share of attempts in which an operator must act before its rescue rate says something about it.
MIN_FIRED = 0.80
#: When the rules below were written down.
RULED = "2026-11-27"
_BOTH = "both intervals (over questions, over checkpoints) lie above 0"
#: Finding -> what has to hold for ``supported``.
RULES = {
    "interventions": f"for some intervention {_BOTH}, corrected for all comparisons",
    "published": f"over each null {_BOTH}, and p < {LEVEL}",
    "split": _BOTH,
    "all": _BOTH,
    "choice": _BOTH,
    "permutation": f"{_BOTH}, and p < {LEVEL}",
    "mapping": "the published mapping ranks first of all",
    "budget_attempts": f"both intervals lie above -{100 * CLAIM_MARGIN:.0f} points",
    "budget_forward_passes": f"both intervals lie above -{100 * CLAIM_MARGIN:.0f} points",
    "firing": f"it acts in at least {MIN_FIRED:.0%} of attempts in every cell",
}


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
        ``name``, ``claim`` (in words), ``figure`` (dict of numbers of the headline's population;
        lifts in points; ``beside``: the same of the other populations), ``rule`` and ``date`` (what
        has to hold, and when that was written down), ``population``, ``verdict``: one of
        `VERDICTS`.
    """
    found = _found(evaluation, rescue)
    for name in evaluation.populations[1:]:
        for finding, other in zip(found, _found(evaluation.of(name), rescue), strict=True):
            if finding["name"] != "interventions":
                finding["figure"].setdefault("beside", {})[name] = other["figure"]
    found += [_fires(firing)] if len(firing) else []
    for each in found:
        each |= {"rule": RULES[each["name"]], "date": RULED}
        each["population"] = evaluation.populations[0]
    return found


def _found(evaluation: Evaluation, rescue: pd.DataFrame) -> list[dict]:
    """Judge what the figures of one population say."""
    table, excess = evaluation.to_dataframe(), null_excess(evaluation)
    return [
        _interventions(rescue),
        _published(table, excess, evaluation),
        _lift(
            "split", table, "routing beats retry when selection and scoring use different attempts"
        ),
        _lift("all", table, "routing beats retry over every problem, with no selection"),
        _choice(table),
        _permutation(evaluation, table),
        _mapping(evaluation),
        *(_budget(evaluation, basis) for basis in CLAIM_BASES),
    ]


def _interventions(rescue: pd.DataFrame) -> dict:
    """Judge which interventions differ from retry over every problem.

    All comparisons hold together.
    """
    cells = list(rescue["cell"])
    rows = rescue[
        (rescue["cell"] == (ALL if ALL in cells else cells[0])) & (rescue["intervention"] != RETRY)
    ]
    groups: dict[str, list] = {verdict: [] for verdict in VERDICTS}
    for row in rows.to_dict("records"):
        ends = [row["lift_low_all_points"], row["lift_high_all_points"]]
        apart = [row[f"lift_{end}_checkpoints_points"] for end in ("low", "high")]
        entry = {
            "intervention": row["intervention"],
            "lift_points": row["lift_points"],
            "interval": ends,
            "checkpoints": apart,
        }
        groups[agreed_verdict(ends, apart)].append(entry)
    tested = len(rows) - len(groups[NOT_TESTABLE])
    better, worse, undecided = (groups[verdict] for verdict in (SUPPORTED, CONTRADICTED, NOT_SHOWN))
    verdict = SUPPORTED if better else NOT_SHOWN if undecided else CONTRADICTED
    figure = {"better": better, "worse": worse, "undecided": undecided, "compared": tested}
    return _finding(
        "interventions",
        "some intervention rescues more than retry, with no selection",
        figure,
        verdict if tested else NOT_TESTABLE,
    )


def _published(table: pd.DataFrame, excess: pd.DataFrame, evaluation: Evaluation) -> dict:
    """Judge the published lift against both nulls: it must exceed each."""
    found = evaluation.figures
    figure = _row(table, "published", RETRY)
    figure["nulls"] = {}
    verdicts = []
    for name in NULLS:
        rows = excess[(excess["null"] == name) & (excess["comparator"] == RETRY)]
        for row in rows.to_dict("records"):
            keys = ("mean_points", "sd_points", "excess_points", "p")
            figure["nulls"][name] = {key: row[key] for key in keys}
            ends = [row["low_points"], row["high_points"]]
            apart = [row[f"{end}_checkpoints_points"] for end in ("low", "high")]
            figure["nulls"][name] |= {"interval": ends, "checkpoints": apart}
            share = float(found["selected"].sel(estimator=name, cell=ALL))
            figure["nulls"][name]["steerable_hard_fraction"] = share
            figure["nulls"][name]["draws"] = evaluation.settings["n_null"]
            verdict = agreed_verdict(ends, apart)
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
    return _finding(estimator, claim, figure, _judged(figure))


def _judged(figure: dict) -> Verdict:
    return agreed_verdict(figure["interval"], figure["checkpoints"])


def _choice(table: pd.DataFrame) -> dict:
    """Judge routing against always doing the one thing that did best elsewhere."""
    estimator = _honest(table)
    figure = {"estimator": estimator, **_row(table, estimator, "best_fixed")}
    claim = (
        "choosing for each problem beats the best single operator of its cell (chosen on other"
        " problems)"
    )
    return _finding("choice", claim, figure, _judged(figure))


def _permutation(evaluation: Evaluation, table: pd.DataFrame) -> dict:
    """Judge whether routes carry information: the rule against its own choices, shuffled."""
    estimator = _honest(table)
    p = float(evaluation.lift(estimator)["p"])
    row = _row(table, estimator, "permuted")
    corrected = evaluation.figures["p_holm"].sel(estimator=estimator)
    below = corrected["cell"].values[corrected.values < LEVEL]
    figure = {
        "estimator": estimator,
        **{name: row[name] for name in ("lift_points", "interval", "checkpoints")},
        "p": p,
        "permutations": evaluation.settings["n_permutations"],
        "cells": int(corrected.notnull().sum()),
        "cells_below": below.tolist(),
    }
    verdict = NOT_TESTABLE if math.isnan(p) else _judged(row)
    # The permutation keeps problems and shuffles routes, the bootstrap the reverse: both must speak
    # for it.
    verdict = NOT_SHOWN if verdict == SUPPORTED and p >= LEVEL else verdict
    return _finding(
        "permutation", "the features tell which problem needs which operator", figure, verdict
    )


def _mapping(evaluation: Evaluation) -> dict:
    """Judge whether the published mapping of features to operators is the best of all."""
    ranks = mapping_ranks(evaluation)
    own = ranks[ranks["published"]]
    claim = "which feature calls for which operator is as published"
    if not len(own) or own["lift_points"].isna().any():
        return _finding("mapping", claim, {}, NOT_TESTABLE)
    first, row = ranks.iloc[0], own.iloc[0]
    figure = {
        "rank": int(row["rank"]),
        "mappings": len(ranks),
        "lift_points": float(row["lift_points"]),
        "best": str(first["mapping"]),
        "best_points": float(first["lift_points"]),
        "worst_points": float(ranks["lift_points"].iloc[-1]),
    }
    return _finding("mapping", claim, figure, SUPPORTED if figure["rank"] == 1 else NOT_SHOWN)


def _budget(evaluation: Evaluation, basis: str) -> dict:
    """Judge "ten routed rollouts match fifty retries", and the same at equal cost."""
    found = evaluation.figures
    names = ("k_routed", "k_retry", "n", "routed", "retry", "lift")
    k, retries = CLAIM_ROUTED, CLAIM_RETRY
    words = f"{k} routed rollouts match {retries} retries"
    if basis != "attempts":
        words = "routed rollouts match the retries that cost as many forward passes"
    if "claim_low" not in found or math.isnan(float(found["claim_low"].sel(claim_basis=basis))):
        return _finding(f"budget_{basis}", words, {}, NOT_TESTABLE)
    one = found.sel(claim_basis=basis)
    claim = {name: float(one[f"claim_{name}"]) for name in names}
    ends, apart = (
        [100 * float(one[f"claim_{end}{which}"]) for end in ("low", "high")]
        for which in ("", "_checkpoints")
    )
    margin = 100 * CLAIM_MARGIN
    figure = {
        "routed_attempts": claim["k_routed"],
        "retry_attempts": claim["k_retry"],
        "n": int(claim["n"]),
        "routed": claim["routed"],
        "retry": claim["retry"],
        "lift_points": 100 * claim["lift"],
        "interval": ends,
        "checkpoints": apart,
        "margin_points": margin,
        "upfront": float(found["budget_upfront"].sel(basis=basis)),
    }
    return _finding(f"budget_{basis}", words, figure, agreed_verdict(ends, apart, above=-margin))


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
    return "all" if (table["estimator"] == "all").any() else "split"


def _row(table: pd.DataFrame, estimator: str, comparator: str) -> dict:
    """Figures of routing against one comparator; NaN where they were not computed."""
    rows = table[(table["estimator"] == estimator) & (table["comparator"] == comparator)]
    keys = ("n", "routed", "rate", "lift_points", "relative")
    if not len(rows):
        unknown = [float("nan")] * 2
        return {**dict.fromkeys(keys, float("nan")), "interval": unknown, "checkpoints": unknown}
    row = rows.iloc[0]
    return {
        **{key: float(row[key]) for key in keys},
        "interval": [float(row["low_points"]), float(row["high_points"])],
        "checkpoints": [float(row[f"{end}_checkpoints_points"]) for end in ("low", "high")],
    }


def say(finding: dict) -> str:
    """Put a finding of `find` into words: its figures, then what they amount to."""
    return _SENTENCES[finding["name"]](finding["figure"], finding["verdict"])


def findings(evaluation: Evaluation, rescue: pd.DataFrame, firing: pd.DataFrame) -> pd.DataFrame:
    """Return what `find` judges, one row per claim: ``claim``, ``verdict`` and ``sentence``.

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
    ('some intervention rescues more than retry, with no selection', 'not shown')
    """
    found = find(evaluation, rescue, firing)
    rows = [
        {"claim": each["claim"], "verdict": each["verdict"], "sentence": say(each)}
        for each in found
    ]
    return pd.DataFrame(rows, columns=["claim", "verdict", "sentence"])


_SCORED = {"split": "attempts that did not pick the problems", "all": "every problem"}


def _signed(value: float) -> str:
    return plain_zero(f"{value:+.1f}")


def _unknown(value: float | None) -> bool:
    """Tell whether a figure is missing: None where it was stored as plain data."""
    return value is None or math.isnan(value)


def _both(figure: dict) -> str:
    """Write the intervals over questions and over checkpoints."""
    apart = figure.get("checkpoints", [None])
    more = "" if _unknown(apart[0]) else f", over checkpoints {interval(apart)}"
    return f"{interval(figure['interval'])}{more}"


def _beside(figure: dict) -> str:
    """Write the same figure of the other populations."""
    parts = [
        f"{named(name)} {_signed(other['lift_points'])} {_both(other)}"
        for name, other in figure.get("beside", {}).items()
        if not _unknown(other.get("lift_points"))
    ]
    return f" For other groups of problems: {'; '.join(parts)}." if parts else ""


def _say_interventions(figure: dict, verdict: str) -> str:
    if verdict == NOT_TESTABLE:
        return "Only retry was run, so nothing can be compared."
    text = (
        f"Points above retry (95 % intervals, corrected for all {figure['compared']} comparisons;"
        f" then over checkpoints): "
    )
    parts = []
    for key, words in (
        ("better", "better"),
        ("worse", "worse"),
        ("undecided", "not distinguishable from retry"),
    ):
        items = [
            f"{x['intervention']} {_signed(x['lift_points'])} {interval(x['interval'])}"
            + ("" if _unknown(x["checkpoints"][0]) else f" {interval(x['checkpoints'])}")
            for x in figure[key]
        ]
        parts.append(f"{words}: {', '.join(items) or 'none'}")
    return text + "; ".join(parts) + "."


def _say_published(figure: dict, verdict: str) -> str:
    if _unknown(figure["lift_points"]):
        return "No problem is steerable_hard, so there is no lift to report."
    text = (
        f"On {about(figure['n'])} steerable_hard problems ({figure['steerable_hard_fraction']:.0%} "
    )
    text += (
        f"of all) routing rescues {_signed(figure['lift_points'])} points more than retry "
        f"{_both(figure)}"
    )
    for name, null in figure["nulls"].items():
        kind = "independent attempts" if name == "null" else "attempts twinned as in this study"
        text += f"; when no operator differs from retry ({kind}) the same estimator marks "
        text += (
            f"{null['steerable_hard_fraction']:.0%} and reports {_signed(null['mean_points'])} +- "
        )
        text += f"{null['sd_points']:.1f}, excess {_signed(null['excess_points'])} {_both(null)}, "
        text += p_value(null["p"], null.get("draws"), "simulated data sets")
    endings: dict[str, str] = {
        SUPPORTED: "distinguishable from no effect",
        NOT_SHOWN: "not distinguishable from no effect",
        CONTRADICTED: "below what no effect would give",
        NOT_TESTABLE: "no null to compare with",
    }
    return f"{text}: {endings[verdict]}.{_beside_excess(figure)}"


def _beside_excess(figure: dict) -> str:
    parts = []
    for population, other in figure.get("beside", {}).items():
        null = next(iter(other["nulls"].values()), None)
        if null is not None and not _unknown(null["excess_points"]):
            parts.append(
                f"{named(population)} {_signed(other['lift_points'])}, excess"
                f" {_signed(null['excess_points'])} {_both(null)}"
            )
    return f" For other groups of problems: {'; '.join(parts)}." if parts else ""


def _lift_words(head: str, n_what: str) -> Callable[[dict, str], str]:
    endings: dict[str, str] = {
        SUPPORTED: "routing rescues more than retry",
        NOT_SHOWN: "no difference shown",
        CONTRADICTED: "routing rescues less than retry",
    }

    def words(figure: dict, verdict: str) -> str:
        if verdict == NOT_TESTABLE:
            return (
                "Cannot be computed here: this needs the outcome of each attempt, and problems to"
                " select."
            )
        text = f"{head}{_signed(figure['lift_points'])} points over retry {_both(figure)} on "
        text += f"{about(figure['n'])} {n_what}: {endings[verdict]}."
        return text + _beside(figure)

    return words


def _say_choice(figure: dict, verdict: str) -> str:
    if verdict == NOT_TESTABLE:
        return "Cannot be computed here."
    endings: dict[str, str] = {
        SUPPORTED: "choosing for each problem pays",
        NOT_SHOWN: "choosing for each problem is not shown to beat one operator for all",
        CONTRADICTED: "one operator for all does better than the rule",
    }
    text = f"Scored on {_SCORED[figure['estimator']]}: {_signed(figure['lift_points'])} points"
    return f"{text} {_both(figure)}: {endings[verdict]}.{_beside(figure)}"


def _say_permutation(figure: dict, verdict: str) -> str:
    if verdict == NOT_TESTABLE:
        return "Cannot be computed here."
    ending = "the routes carry" if verdict == SUPPORTED else "the routes are not shown to carry"
    text = "Compared with its own choices shuffled within each cell, scored on "
    text += (
        f"{_SCORED[figure['estimator']]}: {_signed(figure['lift_points'])} points {_both(figure)}, "
    )
    text += f"{p_value(figure['p'], figure.get('permutations'))}; after Holm's correction "
    text += f"{len(figure['cells_below'])} of {figure['cells']} cells lie below {LEVEL}: {ending} "
    return text + f"information on which problem needs which operator.{_beside(figure)}"


def _say_mapping(figure: dict, verdict: str) -> str:
    if verdict == NOT_TESTABLE:
        return "Cannot be computed here: mappings were not compared."
    return (
        f"Of {figure['mappings']} ways to assign operators to features, the published one ranks"
        f" {figure['rank']}: {_signed(figure['lift_points'])} points over retry on every"
        f" problem; the best ({figure['best']}) {_signed(figure['best_points'])}, the worst"
        f" {_signed(figure['worst_points'])}."
    )


def _say_budget(figure: dict, verdict: str, basis: str) -> str:
    if verdict == NOT_TESTABLE:
        if basis == "attempts":
            return (
                f"Not testable here: no problem has {CLAIM_ROUTED} routed attempts and"
                f" {CLAIM_RETRY} retries stored."
            )
        return f"Cannot be computed here: the {basis} it needs were not stored or not run."
    k, retries = figure["routed_attempts"], figure["retry_attempts"]
    made = f"{k:.0f} routed" if basis == "attempts" else f"Routed attempts, {k:.1f} on average,"
    spent = f"{retries:.0f} retries" + ("" if basis == "attempts" else f", as many {basis},")
    text = f"{made} rescue {figure['routed']:.1%} and {spent} {figure['retry']:.1%}: "
    text += f"{_signed(figure['lift_points'])} points {_both(figure)}"
    endings: dict[str, str] = {
        SUPPORTED: f"matched, to within {figure['margin_points']:.0f} points",
        NOT_SHOWN: "not shown to match",
        CONTRADICTED: "not matched: retries rescue more",
    }
    text = f"{text}: {endings[verdict]}."
    if not _unknown(figure["upfront"]):
        text += " Not counted: the observed answers that the rule reads first,"
        text += f" {figure['upfront']:,.0f}"
        text += f" {'rollouts' if basis == 'attempts' else basis} per problem."
    return text + _beside(figure)


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
        f"cells ({', '.join(figure['cells_below'])}; least {figure['least']:.0%}). Where it does"
        f" not fire, it is just "
    )
    return text + "retry."


_SENTENCES: dict[str, Callable[[dict, str], str]] = {
    "interventions": _say_interventions,
    "published": _say_published,
    "split": _lift_words(
        "Picked by one half of the attempts and scored on the other: ",
        "problems (mean over halvings)",
    ),
    "all": _lift_words("", "problems"),
    "mapping": _say_mapping,
    "choice": _say_choice,
    "permutation": _say_permutation,
    "budget_attempts": lambda figure, verdict: _say_budget(figure, verdict, "attempts"),
    "budget_forward_passes": lambda figure, verdict: _say_budget(figure, verdict, "forward passes"),
    "firing": _say_firing,
}
