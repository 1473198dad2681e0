"""What the figures amount to: a sentence and a verdict for each claim of the paper.

It is also said what each claim is judged against.
"""

from collections.abc import Callable, Mapping
from typing import Any

from recover_nb.core.labels import Intervention
from recover_nb.core.titles import named, p_value
from recover_nb.report.findings.beyond import CLAIMS as BEYOND
from recover_nb.report.findings.changes import CLAIMS as CHANGES
from recover_nb.report.findings.judge_extensions import OWN
from recover_nb.report.findings.judge_prediction import (
    SLACK,
    clusters_transfer,
    fingerprint,
    mixture,
    more_than_ancestor,
    not_by_reading,
    place,
    predicts,
    routing_transfers,
    tells,
)
from recover_nb.report.findings.judgement import Claim, Judgement
from recover_nb.report.findings.specimen import CLAIMS as SPECIMEN
from recover_nb.tables import say
from recover_nb.tables.verdicts import (
    CONTRADICTED,
    LEVEL,
    NOT_SHOWN,
    NOT_TESTABLE,
    SUPPORTED,
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
        least = p_value(figures["least_p"], figures["draws"], "data sets without clusters")
        verb, which = "is" if len(claimed) == 1 else "are", f": {_listed(claimed)}"
        text = (
            f"{words} ({named(figures['population'])}): {len(claimed)} of {total} clusterings (four"
            f" algorithms, k from 2 to 8) {verb} more stable than one Gaussian and a uniform box,"
            f" corrected for all {total}{which if claimed else ''} (least corrected {least})."
        )
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
    text += "regimes permuted within cells); with names that the problems already have: "
    text += ", ".join(f"{name} {value:.3f}" for name, value in others.items()) + "."
    good = ari >= ALIKE and p < LEVEL
    return Judgement(SUPPORTED if good else NOT_SHOWN, f"ARI {ari:.2f}", text)


def _routing(name: str) -> Callable[[Mapping[str, Any]], Judgement]:
    def ask(figures: Mapping[str, Any]) -> Judgement:
        finding = figures[name]
        if finding["verdict"] == NOT_TESTABLE:
            return Judgement(NOT_TESTABLE, "", say(finding))
        lift = finding["figure"].get("lift_points")
        text = say(finding)
        whom = named(finding["population"])
        return Judgement(
            finding["verdict"],
            "" if lift is None else f"{lift:+.1f} points",
            f"{whom[:1].upper()}{whom[1:]}: {text}",
        )

    return ask


def _mapping(figures: Mapping[str, Any]) -> Judgement:
    finding = figures["mapping"]
    if finding["verdict"] == NOT_TESTABLE:
        return Judgement(NOT_TESTABLE, "", say(finding))
    found = finding["figure"]
    return Judgement(
        finding["verdict"], f"ranks {found['rank']} of {found['mappings']}", say(finding)
    )


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


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "clusters",
        "Failures fall into stable clusters.",
        "stable regimes",
        "some clustering is more stable than both nulls, corrected for the number of clusterings",
        "grid_pooled",
        _grid("All cells pooled"),
        dated="2026-11-21",
    ),
    Claim(
        "clusters_robust",
        "The clusters are also there within cells and by ranks, so they are more than cells or"
        " skew.",
        "",
        "the same holds when features are replaced by the normal scores of their ranks in each"
        " cell",
        "grid_ranks",
        _grid("Within cells, by ranks"),
        words="within cells and by ranks",
        dated="2026-11-21",
    ),
    Claim(
        "aligned",
        "The clusters are the regimes.",
        "clusters called by what rescues them",
        f"their ARI with the regimes is at least {ALIKE} and above that of permuted regimes",
        "clusters",
        _aligned,
        words="clusters are the regimes",
        dated="2026-11-21",
    ),
    Claim(
        "fingerprint",
        "The features fingerprint the post-training method.",
        "84.3 +- 4.3 %, +20 points over majority",
        "the AUC is above that of permuted labels, and features add to level, prompt length and"
        " number of failures: the interval of what they add lies above 0",
        "fingerprint",
        fingerprint,
    ),
    Claim(
        "tells",
        "Within a cell, the features say something about a failure's regime.",
        "",
        "the AUC is above that of permuted labels, and features add to level, prompt length and"
        " number of failures: the interval of what they add lies above 0",
        "regime",
        tells,
        words="features tell the regime",
    ),
    Claim(
        "predicts",
        "Within a cell, they predict the regime better than always naming the commonest.",
        "",
        "the interval of the accuracy's lead over the commonest regime, paired by fold, lies above"
        " 0",
        "regime",
        predicts,
        words="better than the commonest regime",
    ),
    Claim(
        "steering",
        "Steering towards the ancestor rescues more than retrying.",
        "",
        "an operator that mixes in the ancestor rescues more than retry, by both intervals,"
        " corrected for all comparisons",
        "routing",
        _steering,
        words="steering rescues",
    ),
    Claim(
        "more_than_ancestor",
        "Mixing the two models rescues more than the ancestor alone.",
        "",
        "both intervals of the paired difference (dense_sample less ancestor) lie above 0",
        "controls",
        more_than_ancestor,
        words="more than the ancestor alone",
    ),
    Claim(
        "mixture",
        "It matters which mixture steers: the one that fired beats the other.",
        "",
        "where the two mixtures emit different tokens, the interval of the paired difference lies"
        " above 0",
        "controls",
        mixture,
        words="the kind of mixture matters",
    ),
    Claim(
        "place",
        "It matters where one steers: the junction beats a random place.",
        "",
        "the junction beats a random place at another token, and by more than where both act at"
        " the same token: both intervals lie above 0",
        "controls",
        place,
        words="the place matters",
    ),
    Claim(
        "published",
        "Routing lifts rescue on steerable-hard failures.",
        "+12.2 points",
        "the published lift exceeds its nulls, by both intervals and by p-value",
        "routing",
        _routing("published"),
    ),
    Claim(
        "split",
        "Routing also helps when problems are picked and scored by different attempts.",
        "",
        "both intervals lie above 0",
        "routing",
        _routing("split"),
        words="scored on other attempts",
    ),
    Claim(
        "all",
        "Routing also helps over every problem, with no selection.",
        "",
        "both intervals lie above 0",
        "routing",
        _routing("all"),
        words="over every problem",
    ),
    Claim(
        "choice",
        "Choosing for each problem beats the best single operator.",
        "",
        "both intervals lie above 0, the operator being chosen on other problems",
        "routing",
        _routing("choice"),
        words="better than the best single operator",
    ),
    Claim(
        "permutation",
        "The features, not luck, choose the operator.",
        "",
        "the rule does better than its own choices shuffled within cells, by both intervals and"
        " by p-value",
        "routing",
        _routing("permutation"),
        words="features choose, not luck",
    ),
    Claim(
        "mapping",
        "The published choice of operator for each feature is the best one.",
        "",
        "of all ways to assign operators to features, the published one rescues most",
        "routing",
        _mapping,
        words="the published mapping is the best",
    ),
    Claim(
        "budget_attempts",
        "Ten routed rollouts match fifty retries.",
        "10 match 50",
        "both intervals lie above -2 points, where ten and fifty are stored",
        "routing",
        _routing("budget_attempts"),
        words="ten match fifty",
    ),
    Claim(
        "budget_forward_passes",
        "Routed rollouts match retries at equal compute.",
        "",
        "both intervals lie above -2 points at the cost of six retries",
        "routing",
        _routing("budget_forward_passes"),
        words="matches retries at equal cost",
    ),
    Claim(
        "clusters_transfer",
        "Clusters transfer across families.",
        "two cross-family probes",
        f"the ARI is within {SLACK} of what two halves of the target reach, in every direction",
        "transfer",
        clusters_transfer,
        words="clusters transfer",
    ),
    Claim(
        "routing_transfers",
        "Routing transfers across families.",
        "two cross-family probes",
        "routes by the source's scale rescue more than the same routes permuted within the target's"
        " cells, by interval and by permutation, in every direction",
        "transfer",
        routing_transfers,
    ),
    Claim(
        "not_by_reading",
        "The features beat the text of the failed answers, all cells pooled.",
        "the title",
        "the features' lead over character n-grams, and over level, prompt length, number of"
        " failures and these together, lies above 0",
        "reading",
        not_by_reading("pooled"),
    ),
    Claim(
        "not_by_reading_cell",
        "The features beat the text within a cell.",
        "",
        "the same holds within each cell",
        "reading",
        not_by_reading("cell"),
        words="within a cell",
    ),
    Claim(
        "not_by_reading_first",
        "The features beat the text of one failed trace, within a cell.",
        "",
        "the same holds for the first failed rollout alone, which does not tell how many failed",
        "reading",
        not_by_reading("first"),
        words="from one trace",
    ),
    *OWN,
    *CHANGES,
    *SPECIMEN,
    *BEYOND,
)
