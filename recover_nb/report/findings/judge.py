"""What the figures amount to: a sentence and a verdict for each claim of the paper.

It is also said what each claim is judged against.
"""

from collections.abc import Callable, Mapping
from typing import Any

from recover_nb.core.labels import Intervention
from recover_nb.report.findings.changes import CLAIMS as CHANGES
from recover_nb.report.findings.judge_extensions import OWN
from recover_nb.report.findings.judgement import Claim, Judgement
from recover_nb.report.findings.specimen import CLAIMS as SPECIMEN
from recover_nb.routing.result import interval_verdict
from recover_nb.tables import say
from recover_nb.tables.verdicts import (
    CONTRADICTED,
    LEVEL,
    NOT_SHOWN,
    NOT_TESTABLE,
    SUPPORTED,
    interval,
)

#: Interventions that mix specialist and ancestor.
STEERS = (
    Intervention.SPARSE_STEER,
    Intervention.SPARSE_STEER_WRONG,
    Intervention.SPARSE_STEER_RANDOM,
    Intervention.DENSE_STEER,
    Intervention.DENSE_SAMPLE,
)
#: Least adjusted Rand index at which two clusterings are called alike.
ALIKE = 0.5
#: How far below the agreement of two halves of the target a transferred clustering may lie.
SLACK = 0.1


def judge(figures: Mapping[str, Any]) -> dict[str, Judgement]:
    """Judge every claim by the figures of one source.

    Parameters
    ----------
    figures : mapping
        From `measure.measure`; sections may be missing.

    Returns
    -------
    dict of str to Judgement
        By name of the claim.
    """
    return {claim.name: _judged(claim, figures) for claim in CLAIMS}


def _judged(claim: Claim, figures: Mapping[str, Any]) -> Judgement:
    section = figures.get(claim.section, {"missing": "it was not computed"})
    if "missing" in section:
        return Judgement(NOT_TESTABLE, "", f"Cannot be tested here: {section['missing']}.")
    return claim.ask(section)


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _p(value: float) -> str:
    return f"p = {value:.2g}"


def _grid(words: str) -> Callable[[Mapping[str, Any]], Judgement]:
    def ask(figures: Mapping[str, Any]) -> Judgement:
        claimed, total = figures["claimed"], figures["clusterings"]
        text = (
            f"{words}: of {total} clusterings (four algorithms, k from 2 to 8) {len(claimed)} are"
            " more stable than "
        )
        text += f"one Gaussian and a uniform box, corrected for all {total}: {_listed(claimed)} "
        text += f"(least corrected {_p(figures['least_p'])})."
        return Judgement(
            SUPPORTED if claimed else NOT_SHOWN, f"{len(claimed)} of {total} clusterings", text
        )

    return ask


def _aligned(figures: Mapping[str, Any]) -> Judgement:
    view = figures["views"]["pooled"]
    ari, p = view["alignment"]["regime"], figures["regime_p"]
    others = {
        name: value
        for name, value in view["alignment"].items()
        if name != "regime" and value is not None
    }
    text = (
        f"k-means with k = {figures['k']} (chosen by silhouette): ARI with the regimes {ari:.3f}"
        f" ({_p(p)} by "
    )
    text += "regimes permuted within cells); with names that were there already: "
    text += ", ".join(f"{name} {value:.3f}" for name, value in others.items()) + "."
    good = ari >= ALIKE and p < LEVEL
    return Judgement(SUPPORTED if good else NOT_SHOWN, f"ARI {ari:.2f}", text)


def _say_prediction(figures: Mapping[str, Any]) -> str:
    return (
        f"accuracy {figures['accuracy']:.1%} +- {figures['accuracy_sd']:.1%}, commonest label"
        f" {figures['majority']:.1%}, permuted labels {figures['permuted']:.1%}"
        f" ({_p(figures['p'])}); AUC {figures['auc']:.3f}, permuted {figures['auc_permuted']:.3f}"
        f" ({_p(figures['p_auc'])}); {figures['n']} failed problems"
    )


def _fingerprint(figures: Mapping[str, Any]) -> Judgement:
    pooled, task = figures["pooled"], figures["task"]
    text = (
        f"Which of {pooled['classes']} methods, from the three features:"
        f" {_say_prediction(pooled)}. "
    )
    text += (
        "Within each task: "
        + (task["missing"] if "missing" in task else _say_prediction(task))
        + "."
    )
    good = pooled["accuracy"] > pooled["majority"] and pooled["p"] < LEVEL
    lead = 100 * (pooled["accuracy"] - pooled["majority"])
    return Judgement(
        SUPPORTED if good else NOT_SHOWN, f"{pooled['accuracy']:.1%}, {lead:+.0f} points", text
    )


def _tells(figures: Mapping[str, Any]) -> Judgement:
    text = f"The regime within each cell, from the three features: {_say_prediction(figures)}."
    good = figures["p_auc"] < LEVEL and figures["auc"] > 0.5
    return Judgement(SUPPORTED if good else NOT_SHOWN, f"AUC {figures['auc']:.2f}", text)


def _predicts(figures: Mapping[str, Any]) -> Judgement:
    lead = figures["accuracy"] - figures["majority"]
    text = (
        f"{100 * lead:+.1f} points over always saying the cell's commonest regime (sd over repeats "
    )
    text += f"{100 * figures['accuracy_sd']:.1f})."
    good = lead > 2 * figures["accuracy_sd"]
    return Judgement(SUPPORTED if good else NOT_SHOWN, f"{100 * lead:+.1f} points", text)


def _routing(name: str) -> Callable[[Mapping[str, Any]], Judgement]:
    def ask(figures: Mapping[str, Any]) -> Judgement:
        finding = figures[name]
        if finding["verdict"] == NOT_TESTABLE:
            return Judgement(
                NOT_TESTABLE,
                "",
                "Cannot be tested here: the outcome of each attempt is not stored.",
            )
        lift = finding["figure"].get("lift_points")
        return Judgement(
            finding["verdict"], "" if lift is None else f"{lift:+.1f} points", say(finding)
        )

    return ask


def _steering(figures: Mapping[str, Any]) -> Judgement:
    finding = figures["interventions"]
    # Only what mixes in the ancestor: a tool or a vote is no steering.
    groups = {
        key: [x for x in finding["figure"][key] if x["intervention"] in STEERS]
        for key in ("better", "undecided", "worse")
    }
    found = [x for each in groups.values() for x in each]
    if not found:
        return Judgement(NOT_TESTABLE, "", "Cannot be tested here: no steering was run.")
    best = max(found, key=lambda x: x["lift_points"])
    verdict = SUPPORTED if groups["better"] else NOT_SHOWN if groups["undecided"] else CONTRADICTED
    return Judgement(
        verdict, f"{best['intervention']} {best['lift_points']:+.1f} points", say(finding)
    )


def _control(thing: str) -> Callable[[Mapping[str, Any]], Judgement]:
    def ask(figures: Mapping[str, Any]) -> Judgement:
        if thing not in figures:
            return Judgement(
                NOT_TESTABLE, "", "Cannot be tested here: one of the two operators was not run."
            )
        found = figures[thing]
        one, other = found["pair"]
        text = f"{one} {found['rates'][0]:.1%}, {other} {found['rates'][1]:.1%} of attempts: "
        text += (
            f"{found['points']:+.1f} points {interval(found['interval'])} over {found['n']} failed"
            " problems."
        )
        return Judgement(
            interval_verdict(*found["interval"]), f"{found['points']:+.1f} points", text
        )

    return ask


def _clusters_transfer(figures: Mapping[str, Any]) -> Judgement:
    rows = figures["directions"]
    text = (
        f"k-means with k = {figures['k']}; ARI with the target's own clusters, beside two halves of"
        " the target: "
    )
    text += "; ".join(
        f"{x['source']} to {x['target']} {x['frozen']:.2f} ({x['refitted']:.2f} with the target's"
        f" scale; halves {x['halves']:.2f})"
        for x in rows
    )
    good = all(x["frozen"] >= x["halves"] - SLACK for x in rows)
    low, high = min(x["frozen"] for x in rows), max(x["frozen"] for x in rows)
    return Judgement(SUPPORTED if good else NOT_SHOWN, f"ARI {low:.2f} to {high:.2f}", text + ".")


def _routing_transfers(figures: Mapping[str, Any]) -> Judgement:
    rows = figures["directions"]
    text = "Published lift under the source's standardisation, less its null: "
    text += "; ".join(
        f"{x['source']} to {x['target']} {100 * x['excess']['value']:+.1f} points "
        f"{interval([100 * end for end in x['excess']['ci95']])}, {_p(x['excess']['p'])}"
        for x in rows
    )
    verdicts = [
        interval_verdict(*x["excess"]["ci95"]) if x["excess"]["p"] < LEVEL else NOT_SHOWN
        for x in rows
    ]
    verdict = SUPPORTED if set(verdicts) == {SUPPORTED} else NOT_SHOWN
    if set(verdicts) == {CONTRADICTED}:
        verdict = CONTRADICTED
    values = [100 * x["excess"]["value"] for x in rows]
    return Judgement(verdict, f"{min(values):+.1f} to {max(values):+.1f} points", text + ".")


def _not_by_reading(where: str) -> Callable[[Mapping[str, Any]], Judgement]:
    def ask(figures: Mapping[str, Any]) -> Judgement:
        readers = figures[where]
        features = readers["features"]["auc"]
        text = (
            f"AUC for the regime: the three features {features:.3f}; what can be read, with the"
            " features' lead: "
        )
        text += ", ".join(
            f"{name} {x['auc']:.3f} ({x['lead'][0]:+.3f} {interval(x['lead'][1:], '+.3f')})"
            for name, x in readers.items()
            if name != "features"
        )
        lead = readers["ngrams"]["lead"]
        return Judgement(
            interval_verdict(*lead[1:]), f"lead over text {lead[0]:+.2f} AUC", text + "."
        )

    return ask


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "clusters",
        "Failures fall into stable clusters.",
        "stable regimes",
        "some clustering is more stable than both nulls, corrected for the number of clusterings",
        "grid_pooled",
        _grid("All cells pooled"),
    ),
    Claim(
        "clusters_robust",
        "The clusters are there within cells and by ranks too: no skew, no cell over again.",
        "",
        "the same holds of the normal scores of the features' ranks in each cell",
        "grid_ranks",
        _grid("Within cells, by ranks"),
    ),
    Claim(
        "aligned",
        "The clusters are the regimes.",
        "clusters called by what rescues them",
        f"their ARI with the regimes is at least {ALIKE} and above that of permuted regimes",
        "clusters",
        _aligned,
    ),
    Claim(
        "fingerprint",
        "The features fingerprint the post-training method.",
        "84.3 +- 4.3 %, +20 points over majority",
        "out-of-fold accuracy is above the commonest method's share and above permuted labels",
        "fingerprint",
        _fingerprint,
    ),
    Claim(
        "tells",
        "Within a cell, the features say something about a failure's regime.",
        "",
        "the AUC is above that of permuted labels",
        "regime",
        _tells,
    ),
    Claim(
        "predicts",
        "Within a cell, they say enough to beat the commonest regime.",
        "",
        "accuracy is above the commonest regime's share by more than two sd over repeats",
        "regime",
        _predicts,
    ),
    Claim(
        "steering",
        "Steering back to the ancestor rescues what retrying does not.",
        "",
        "the difference from retry of an operator that mixes in the ancestor lies above 0, all"
        " comparisons together",
        "routing",
        _steering,
    ),
    Claim(
        "mixture",
        "Which mixture steers matters: the one that fired, not the other.",
        "",
        "the interval of the paired difference lies above 0",
        "controls",
        _control("mixture"),
    ),
    Claim(
        "place",
        "Where it steers matters: the junction, not a random place.",
        "",
        "the interval of the paired difference lies above 0",
        "controls",
        _control("place"),
    ),
    Claim(
        "published",
        "Routing lifts rescue on steerable-hard failures.",
        "+12.2 points",
        "the published lift exceeds its nulls, by interval and by p-value",
        "routing",
        _routing("published"),
    ),
    Claim(
        "split",
        "It does when attempts that select do not score.",
        "",
        "the interval lies above 0",
        "routing",
        _routing("split"),
    ),
    Claim(
        "all",
        "It does over every failed problem.",
        "",
        "the interval lies above 0",
        "routing",
        _routing("all"),
    ),
    Claim(
        "choice",
        "Choosing for each problem beats the best single operator.",
        "",
        "the interval lies above 0, the operator being chosen on other data",
        "routing",
        _routing("choice"),
    ),
    Claim(
        "permutation",
        "The features, not luck, choose the operator.",
        "",
        "the rule does better than its own choices dealt out at random within cells",
        "routing",
        _routing("permutation"),
    ),
    Claim(
        "budget_attempts",
        "Ten routed rollouts match fifty retries.",
        "10 match 50",
        "the interval lies above -2 points",
        "routing",
        _routing("budget_attempts"),
    ),
    Claim(
        "budget_forward_passes",
        "Routed rollouts match retries at equal compute.",
        "",
        "the same holds at equal forward passes",
        "routing",
        _routing("budget_forward_passes"),
    ),
    Claim(
        "clusters_transfer",
        "Clusters transfer across families.",
        "two cross-family probes",
        f"the ARI is within {SLACK} of what two halves of the target reach, in every direction",
        "transfer",
        _clusters_transfer,
    ),
    Claim(
        "routing_transfers",
        "Routing transfers across families.",
        "two cross-family probes",
        "the excess over the null lies above 0 in every direction",
        "transfer",
        _routing_transfers,
    ),
    Claim(
        "not_by_reading",
        "None of it comes from reading: features beat the text, all cells pooled.",
        "the title",
        "the features' lead over character n-grams lies above 0",
        "reading",
        _not_by_reading("pooled"),
    ),
    Claim(
        "not_by_reading_cell",
        "The features beat the text within a cell.",
        "",
        "the same holds within each cell",
        "reading",
        _not_by_reading("cell"),
    ),
    Claim(
        "not_by_reading_first",
        "The features beat the text of one failed trace, within a cell.",
        "",
        "the same holds for the first failed rollout alone, which does not tell how many failed",
        "reading",
        _not_by_reading("first"),
    ),
    *OWN,
    *CHANGES,
    *SPECIMEN,
)
