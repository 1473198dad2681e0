"""What the figures of features, transfer, reading and controls amount to.

The verdict is over the first population, the headline; the others stand beside it.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from recover_nb.core.titles import named, p_value
from recover_nb.prediction.baselines import COMMONEST, NO_SIGNAL, WORDS
from recover_nb.report.findings.judgement import Judgement
from recover_nb.routing.result import agreed_verdict
from recover_nb.tables.verdicts import NOT_SHOWN, NOT_TESTABLE, SUPPORTED, interval

Figures = Mapping[str, Any]
#: How far below the agreement of two halves of the target a transferred clustering may lie.
SLACK = 0.1


def headline(figures: Figures) -> Figures:
    """Return the figures of the first population."""
    return next(iter(figures["populations"].values()))


def over(figures: Figures, say: Callable[[Figures], str]) -> str:
    """Say the same of every population, the headline first."""
    found = (f"{named(name)}, {say(one)}" for name, one in figures["populations"].items())
    text = ". ".join(each[:1].upper() + each[1:] for each in found)
    return f"{text}."


def both(lead: Mapping[str, Any], form: str = "+.3f") -> str:
    """Write a lead with its intervals over folds and, where known, over checkpoints."""
    text = f"{lead['value']:+.3f} {interval([lead['low'], lead['high']], form)}"
    if lead["low_checkpoints"] is None:
        return text
    ends = [lead["low_checkpoints"], lead["high_checkpoints"]]
    return f"{text}, over checkpoints {interval(ends, form)}"


def _say_prediction(figures: Figures) -> str:
    permuted = (
        f"{figures['auc_permuted']:.3f}, {p_value(figures['p_auc'], figures['permutations'])}"
    )
    text = f"{figures['n']:,} problems: AUC {figures['auc']:.3f}, permuted labels {permuted};"
    text += " AUC without a signal: "
    text += ", ".join(
        f"{WORDS[name]} {x['auc']:.3f}"
        for name, x in figures["baselines"].items()
        if name in WORDS and name != COMMONEST
    )
    if figures["added"] is not None:
        text += f"; features add {both(figures['added'])}"
    return (
        f"{text}; accuracy {figures['accuracy']:.1%} +- {figures['accuracy_sd']:.1%}, commonest"
        f" label {figures['majority']:.1%}, permuted labels {figures['permuted']:.1%}"
    )


def fingerprint(figures: Figures) -> Judgement:
    """Judge whether features tell the method."""
    pooled, task = figures["pooled"], figures["task"]
    first = headline(pooled)
    text = f"Which of {first['classes']} methods, from the three features. "
    text += over(pooled, _say_prediction)
    within = task["missing"] + "." if "missing" in task else over(task, _say_prediction)
    text += f" Within each task: {within[:1].lower()}{within[1:]}"
    if pooled["one_checkpoint"]:
        text += " One checkpoint per family and method: this is about those checkpoints."
    return Judgement(first["verdict"], f"AUC {first['auc']:.2f}{_added(first)}", text)


def _added(figures: Figures) -> str:
    return "" if figures["added"] is None else f", adds {figures['added']['value']:+.2f}"


def tells(figures: Figures) -> Judgement:
    """Judge whether features tell something of the regime within a cell."""
    first = headline(figures)
    text = "The regime within each cell, from the three features. "
    text += over(figures, _say_prediction)
    return Judgement(first["verdict"], f"AUC {first['auc']:.2f}{_added(first)}", text)


def predicts(figures: Figures) -> Judgement:
    """Judge whether features beat always saying the commonest regime of the cell."""

    def say(one: Figures) -> str:
        lead = one["baselines"][COMMONEST]["accuracy_lead"]
        ends = [100 * lead[end] for end in ("low", "high")]
        text = f"{100 * lead['value']:+.1f} points {interval(ends)}"
        if lead["low_checkpoints"] is not None:
            ends = [100 * lead[f"{end}_checkpoints"] for end in ("low", "high")]
            text += f", over checkpoints {interval(ends)},"
        return f"{text} of accuracy over always naming the cell's commonest regime"

    lead = headline(figures)["baselines"][COMMONEST]["accuracy_lead"]
    ends = [
        [math.nan if lead[f"{end}{of}"] is None else lead[f"{end}{of}"] for end in ("low", "high")]
        for of in ("", "_checkpoints")
    ]
    verdict = SUPPORTED if agreed_verdict(*ends) == SUPPORTED else NOT_SHOWN
    return Judgement(verdict, f"{100 * lead['value']:+.1f} points", over(figures, say))


def say_difference(found: Figures, words: str) -> str:
    """Write a difference of two operators with both intervals."""
    text = f"{words} {found['points']:+.1f} points {interval(found['interval'])}"
    if found["checkpoints"][0] is not None:
        text += f", over checkpoints {interval(found['checkpoints'])}"
    return text


def _compared(figures: Figures, words: Mapping[str, str]) -> str:
    def say(one: Figures) -> str:
        found = one["comparisons"]
        return "; ".join(
            say_difference(found[name], said)
            for name, said in words.items()
            if name in found and found[name]["points"] is not None
        )

    return over(figures, say)


def _untested(figures: Figures, name: str) -> Judgement | None:
    if name in headline(figures)["comparisons"]:
        return None
    return Judgement(
        NOT_TESTABLE, "", "Cannot be tested here: one of the two operators was not run."
    )


def mixture(figures: Figures) -> Judgement:
    """Judge whether it matters which of the two mixtures steers."""
    missing = _untested(figures, "mixture")
    if missing:
        return missing
    text = "sparse_steer minus sparse_steer_wrong: " + _compared(
        figures,
        {"mixture_differs": "where their tokens differ", "mixture": "over every attempt"},
    )
    found = headline(figures)["comparisons"]
    one = found.get("mixture_differs", found["mixture"])
    tasks = [
        f"{task} {each['points']:+.1f} {interval(each['interval'])}"
        for task, each in one["tasks"].items()
        if each["points"] is not None
    ]
    if tasks:
        text += f" By task: {', '.join(tasks)}."
    return Judgement(figures["verdicts"]["mixture"], f"{one['points']:+.1f} points", text)


def place(figures: Figures) -> Judgement:
    """Judge whether it matters where one steers."""
    missing = _untested(figures, "place")
    if missing:
        return missing
    found = headline(figures)
    if "place_elsewhere" not in found["comparisons"]:
        text = "sparse_steer minus sparse_steer_random. "
        text += _compared(figures, {"place": "over every attempt"})
        text += " Where each acted is not stored, so places cannot be matched."
        return Judgement(figures["verdicts"]["place"], "", text)
    text = "sparse_steer minus sparse_steer_random. " + _compared(
        figures,
        {
            "place_elsewhere": "at another token",
            "place_same": "at the same token",
            "place_gap": "the first minus the second",
            "place_changed": "per changed token, each compared with its twin under retry,",
        },
    )
    changed = ", ".join(f"{name} {share:.0%}" for name, share in found["changed"].items())
    text += f" Attempts whose token was changed: {changed}."
    points = found["comparisons"]["place_elsewhere"]["points"]
    return Judgement(figures["verdicts"]["place"], f"{points:+.1f} points", text)


def more_than_ancestor(figures: Figures) -> Judgement:
    """Judge whether mixing both models rescues more than the ancestor alone."""
    missing = _untested(figures, "alone")
    if missing:
        return missing
    text = "Rescue rate minus that of the ancestor alone. " + _compared(
        figures, {"alone": "dense_sample", "steer_alone": "sparse_steer"}
    )
    one = headline(figures)["comparisons"]["alone"]
    apart = [math.nan if end is None else end for end in one["checkpoints"]]
    return Judgement(agreed_verdict(one["interval"], apart), f"{one['points']:+.1f} points", text)


def clusters_transfer(figures: Figures) -> Judgement:
    """Judge whether the source's clusters are the target's."""
    rows = headline(figures)["directions"]
    text = (
        f"k-means with k = {figures['k']}; ARI with the target's own clusters, beside two halves of"
        " the target. "
    )

    def say(one: Figures) -> str:
        return "; ".join(
            f"{x['source']} to {x['target']} {x['frozen']:.2f} ({x['refitted']:.2f} with the"
            f" target's scale; halves {x['halves']:.2f})"
            for x in one["directions"]
        )

    good = all(x["frozen"] >= x["halves"] - SLACK for x in rows)
    low, high = min(x["frozen"] for x in rows), max(x["frozen"] for x in rows)
    return Judgement(
        SUPPORTED if good else NOT_SHOWN, f"ARI {low:.2f} to {high:.2f}", text + over(figures, say)
    )


def routing_transfers(figures: Figures) -> Judgement:
    """Judge whether frozen routes beat the target's permuted routes."""

    def say(one: Figures) -> str:
        return "; ".join(_direction(x, figures["permutations"]) for x in one["directions"])

    text = (
        "Routing under the source's standardisation, less the same routes permuted within the"
        f" target's cells ({figures['estimator']}). "
    )
    text += over(figures, say)
    excess = "; ".join(
        f"{x['source']} to {x['target']} {100 * x['excess']['value']:+.1f} points"
        for x in headline(figures)["directions"]
    )
    text += f" The published lift over retry, less its null: {excess}."
    values = [100 * x["permuted"]["lift"] for x in headline(figures)["directions"]]
    return Judgement(figures["verdict"], f"{min(values):+.1f} to {max(values):+.1f} points", text)


def _direction(one: Figures, permutations: int) -> str:
    found = one["permuted"]
    text = (
        f"{one['source']} to {one['target']} {100 * found['lift']:+.1f} points"
        f" {interval([100 * end for end in found['ci95']])}"
    )
    if found["checkpoints"][0] is not None:
        text += f", over checkpoints {interval([100 * end for end in found['checkpoints']])}"
    return f"{text} ({p_value(found['p'], permutations)})"


def not_by_reading(where: str) -> Callable[[Figures], Judgement]:
    """Judge whether features tell more than the text, and than what knows no signal."""

    def say(one: Figures) -> str:
        readers = one["readers"]
        text = f"features {readers['features']['auc']:.3f}; others, with the features' lead: "
        return text + ", ".join(
            f"{WORDS.get(name, name)} {x['auc']:.3f} ({both(x['lead'])})"
            for name, x in readers.items()
            if name not in ("features", COMMONEST)
        )

    def ask(figures: Figures) -> Judgement:
        found = figures[where]
        readers = headline(found)["readers"]
        text = f"AUC for the regime. {over(found, say)}"
        leads = [
            f"lead over {'text' if name == 'ngrams' else WORDS[name]}"
            f" {readers[name]['lead']['value']:+.2f}"
            for name in ("ngrams", NO_SIGNAL)
            if name in readers
        ]
        return Judgement(found["verdict"], f"{', '.join(leads)} AUC", text)

    return ask
