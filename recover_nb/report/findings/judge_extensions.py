"""How claims that the paper does not make are judged.

They have to hold for the paper's claims to mean what they say.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recover_nb.core.labels import Companion, Conclusion, Intervention, Regime, Router, Verdict
from recover_nb.core.titles import meaning, named, p_value
from recover_nb.report.findings.judgement import Claim, Judgement
from recover_nb.routing.result import interval_verdict
from recover_nb.routing.routers.result import CONFIRMED_BY, LEVEL
from recover_nb.tables.verdicts import (
    CONTRADICTED,
    NOT_SHOWN,
    NOT_TESTABLE,
    SUPPORTED,
    interval,
)

#: Failed rollouts that one can be asked to gather for a problem.
AFFORDABLE = 10
#: Agreement beyond chance from which two routes are called the same.
SUBSTANTIAL = 0.6
#: Points of survival that new numbers may cost and still be called harmless.
HARMLESS = 5.0


def _reliability(figures: Mapping[str, Any]) -> Judgement:
    features = figures["features"]
    text = (
        "Failed rollouts needed for a reliability of 0.8 within cells (Spearman-Brown, from halves"
        f" of {figures['size']} on {figures['problems']} problems): "
    )
    text += ", ".join(
        f"{name} {x['needed']:.1f} [{x['needed_low']:.1f}, {x['needed_high']:.1f}]"
        for name, x in features.items()
    )
    most = max(features.values(), key=lambda x: x["needed_high"])
    verdict = SUPPORTED if most["needed_high"] <= AFFORDABLE else NOT_SHOWN
    if most["needed_low"] > AFFORDABLE:
        verdict = CONTRADICTED
    return Judgement(verdict, f"{most['needed']:.0f} rollouts", text + ".")


def _route(figures: Mapping[str, Any]) -> Judgement:
    text = "How often two halves of a problem's failed rollouts give the same route: "
    text += "; ".join(
        f"{size} each {x['agreement']:.0%} (chance {x['chance']:.0%}, kappa {x['kappa']:.2f} "
        f"[{x['kappa_low']:.2f}, {x['kappa_high']:.2f}])"
        for size, x in figures["route"].items()
    )
    last = figures["route"][str(figures["size"])]
    verdict = SUPPORTED if last["kappa_low"] >= SUBSTANTIAL else NOT_SHOWN
    if last["kappa_high"] < SUBSTANTIAL:
        verdict = CONTRADICTED
    return Judgement(verdict, f"kappa {last['kappa']:.2f}", text + ".")


def _survives(figures: Mapping[str, Any]) -> Judgement:
    text = "Problems that keep their regime: "
    text += "; ".join(
        f"{name} ({x['n']}) {x['redrawn']:.0%} with new draws, {x['remapped']:.0%} with new"
        f" numbers, which cost {x['loss'][0]:.1f} points {interval(x['loss'][1:])}"
        for name, x in figures["survival"].items()
    )
    loss = next(iter(figures["survival"].values()))["loss"]
    verdict = (
        SUPPORTED if loss[2] <= HARMLESS else CONTRADICTED if loss[1] > HARMLESS else NOT_SHOWN
    )
    return Judgement(verdict, f"{-loss[0]:+.1f} points", text + ".")


def _drop(figures: Mapping[str, Any]) -> Judgement:
    drop = figures.get("drop")
    if not drop:
        return Judgement(NOT_TESTABLE, "", "Cannot be tested here: votes are not known.")
    said = {
        name: f"{drop[name][0]:.1f} {interval(drop[name][1:], '.1f')}"
        for name in drop
        if name != "n"
    }
    text = (
        f"A vote among all observed rollouts solves {drop['n']:,} problems. It then fails"
        f" {said['remapped']} % of them with new numbers and {said['redrawn']} % with new draws:"
        f" new numbers cost {said['difference']} points."
    )
    value, low, high = drop["difference"]
    return Judgement(interval_verdict(low, high), f"{value:+.1f} points", text)


def _program(figures: Mapping[str, Any]) -> Judgement:
    kappa = figures["kappa_within"]
    redrawn, remapped = (kappa[each.value] for each in (Companion.REDRAWN, Companion.REMAPPED))
    text = (
        "How much more a problem's two regimes agree than those of two problems of one cell and"
        " level (kappa): with new draws "
    )
    text += f"{redrawn[0]:.2f} {interval(redrawn[1:], '.2f')}, with new numbers {remapped[0]:.2f} "
    text += f"{interval(remapped[1:], '.2f')}. Of the problems beyond reach: "
    text += ", ".join(f"{count} {name}" for name, count in figures["depth"].items())
    return Judgement(
        SUPPORTED if remapped[1] > 0 else NOT_SHOWN, f"kappa {remapped[0]:.2f}", text + "."
    )


def _out_of_reach(figures: Mapping[str, Any]) -> Judgement:
    text = "Rescue rate with a calculator minus that of retry: "
    text += "; ".join(
        f"{name} {x['lift'][0]:+.1f} points {interval(x['lift'][1:])}, {x['rescued']:.0%} of"
        f" {x['problems']} rescued"
        for name, x in figures.items()
    )
    lift = figures[Regime.BEYOND_REACH.value]["lift"]
    return Judgement(
        CONTRADICTED if lift[1] > 0 else NOT_SHOWN, f"{lift[0]:+.1f} points", text + "."
    )


def _routers(figures: Mapping[str, Any]) -> Judgement:
    steps = [
        f"from {count} of {figures['observed']} failed on {meaning(name)}"
        for name, count in figures["threshold"].items()
        if count <= figures["observed"]
    ]
    text = (
        f"Points over the best single operator at the cost of {figures['budget']} retries, on"
        f" cells that were not learned from. {_say_gains(figures['own'], figures['draws'])}."
        f" Learned from all cells: {', '.join(['asking again', *steps])}."
    )
    one = next(iter(figures["own"]["populations"].values()))["rules"][Router.COUNT.value]
    return Judgement(_judge_gains([one]), f"{one['gain'][0]:+.1f} points", text)


def _fresh(figures: Mapping[str, Any]) -> Judgement:
    found = figures["fresh"]["populations"]
    text = (
        f"Learned from the study and judged on the same problems drawn with another seed, on"
        f" cells that were not learned from. {_say_gains(figures['fresh'], figures['draws'])}."
    )
    rules = [found[name]["rules"][Router.COUNT.value] for name in CONFIRMED_BY if name in found]
    if len(rules) < len(CONFIRMED_BY):
        return Judgement(NOT_TESTABLE, "", "Cannot be tested here: a population is missing.")
    return Judgement(_judge_gains(rules), f"{rules[0]['gain'][0]:+.1f} points", text)


def _judge_gains(rules: Sequence[Mapping[str, Any]]) -> Verdict:
    if all(rule["gain"][1] > 0 and rule["p"] <= LEVEL for rule in rules):
        return SUPPORTED
    return CONTRADICTED if all(rule["gain"][2] < 0 for rule in rules) else NOT_SHOWN


def _say_gains(found: Mapping[str, Any], draws: int) -> str:
    parts = []
    for population, one in found["populations"].items():
        rules = [
            f"{named(name)} {x['gain'][0]:+.1f} {interval(x['gain'][1:3])}"
            for name, x in one["rules"].items()
            if name != Intervention.RETRY
        ]
        count = one["rules"][Router.COUNT.value]
        (mean, sd), (value, *ends) = count["null"], one["ceiling"]
        rules[0] += (
            f" (over checkpoints {interval(count['gain'][3:])}; without an effect {mean:+.1f},"
            f" standard deviation {sd:.1f}, {p_value(count['p'], draws, 'null studies')})"
        )
        parts.append(
            f"{named(population).capitalize()} ({one['n']:,}): {', '.join(rules)}; knowing every"
            f" rate would gain {value:+.1f}, between {ends[0]:+.1f} and {ends[1]:+.1f}"
        )
    return ". ".join(parts)


#: What a change does to a conclusion, in words.
_HOW = {
    "reversed": "reversed by",
    "undecided": "no longer distinguishable from 0 with",
    "decided": "distinguishable from 0 only with",
    "sign": "on the other side of 0, though never distinguishable from it, with",
    "same": "exactly the same figure with",
    "missing": "no problem is left to score with",
}


def _apart(ends: Sequence[float | None]) -> str:
    """Say the ends over checkpoints, where there are several."""
    known = [end for end in ends if end is not None and not math.isnan(end)]
    return f", over checkpoints {interval(known)}" if len(known) == len(ends) else ""


def _robust(*conclusions: Conclusion) -> Callable[[Mapping[str, Any]], Judgement]:
    def ask(figures: Mapping[str, Any]) -> Judgement:
        rows = {name.value: figures[name.value] for name in conclusions if name.value in figures}
        if not rows:
            return Judgement(
                NOT_TESTABLE,
                "",
                "Cannot be tested here: the outcome of each attempt is not stored.",
            )
        first = next(iter(rows.values()))
        text = f"{first['n']:,} problems ({named(first['population'])}): "
        text += "; ".join(
            f"{name.replace('_', ' ')} ({row['reference'][0]:+.1f} points"
            f" {interval(row['reference'][1:])}{_apart(row['checkpoints'])}):"
            f" {row['moved']} of {row['tried']} changes move it"
            + "".join(
                f"; {_HOW[how]} {names.replace('; ', ', ')}"
                for how, names in row["how"].items()
                if names
            )
            for name, row in rows.items()
        )
        moved, tried = (sum(row[each] for row in rows.values()) for each in ("moved", "tried"))
        verdict = NOT_SHOWN if moved else SUPPORTED
        return Judgement(verdict, f"{moved} of {tried} changes move it", text + ".")

    return ask


OWN: tuple[Claim, ...] = (
    Claim(
        "reliability",
        "A few failed rollouts are enough to measure the features.",
        "",
        f"every feature needs at most {AFFORDABLE} for a reliability of 0.8, at the upper end of"
        " its interval",
        "reliability",
        _reliability,
        dated="2026-11-21",
    ),
    Claim(
        "route_stable",
        "A problem's route does not depend on which of its failed rollouts were seen.",
        "",
        f"kappa of two halves lies above {SUBSTANTIAL}",
        "reliability",
        _route,
        dated="2026-11-21",
    ),
    Claim(
        "survives",
        "A regime survives new numbers as well as new draws.",
        "",
        f"new numbers cost at most {HARMLESS:.0f} points, at the upper end of the interval",
        "remapping",
        _survives,
        dated="2026-11-21",
    ),
    Claim(
        "accuracy_drop",
        "With new numbers, a vote gets fewer problems right.",
        "12.2 to 25.8 points on GSM8K (arXiv 2606.03606)",
        "it loses more problems with new numbers than with new draws, by interval",
        "remapping",
        _drop,
        dated="2026-11-26",
    ),
    Claim(
        "program",
        "A regime belongs to the reasoning of a problem, not to its numbers.",
        "",
        "with new numbers, a problem's two regimes agree more than those of two problems of one"
        " cell and level",
        "remapping",
        _program,
        dated="2026-11-21",
    ),
    Claim(
        "out_of_reach",
        "What is beyond reach stays beyond reach with a tool.",
        "",
        "a calculator rescues nothing there (contradicted if its lift over retry lies above 0)",
        "calculator",
        _out_of_reach,
        dated="2026-11-21",
    ),
    Claim(
        "routers",
        "The number of failed answers says which operator a problem needs.",
        "",
        "at equal passes, where the first answer failed, thresholds learned on other cells rescue"
        " more than the best single operator, by interval over questions and by the null (p <="
        " 0.05)",
        "routers",
        _routers,
    ),
    Claim(
        "routers_fresh",
        "The number of failed answers says so again with fresh draws.",
        "",
        "written down on 2026-11-27, before the fresh draws were looked at: the same thresholds,"
        " where the first answer failed and where any did, both by interval over questions and by"
        " the null (p <= 0.05)",
        "routers",
        _fresh,
    ),
    Claim(
        "robust_retry",
        "How routing compares with retry does not depend on any one choice.",
        "",
        "where the first answer failed, no change of one feature, threshold, window, temperature,"
        " strength, warm-up or number of attempts changes its side of 0, or whether its interval"
        " over questions holds 0 (without stored rollouts: over every failure)",
        "ablations",
        _robust(Conclusion.BEATS_RETRY_SPLIT, Conclusion.BEATS_RETRY_ALL),
    ),
    Claim(
        "robust_fixed",
        "How routing compares with one operator for all does not depend on any one choice.",
        "",
        "no such change moves it either",
        "ablations",
        _robust(Conclusion.BEATS_BEST_FIXED_SPLIT, Conclusion.BEATS_BEST_FIXED_ALL),
    ),
    Claim(
        "robust_permuted",
        "Whether the features choose the operator does not depend on any one choice.",
        "",
        "no such change moves it either",
        "ablations",
        _robust(Conclusion.BEATS_PERMUTED_SPLIT, Conclusion.BEATS_PERMUTED_ALL),
    ),
)
