"""Is a rescue better work, or more of it? Measured and judged.

The rule was written down on 2026-11-27, before the figures that it judges were looked at. Two
things were added after them, and both can only take a verdict back: that the interval over
checkpoints must agree, and that where asking again works out all answers the rule is about their
length.
"""

from collections.abc import Callable, Mapping
from typing import Any

import xarray as xr

from recover_nb.core.schema import INTERVENTION
from recover_nb.core.titles import named, plain_zero
from recover_nb.report.findings.judgement import Claim, Judgement
from recover_nb.routing.changes import ALL_WORKED, BY, FIGURES, LENGTH, WORKED, what_changed
from recover_nb.tables.verdicts import CONTRADICTED, NOT_SHOWN, SUPPORTED, interval

#: Ends of the interval over questions, then of the one over checkpoints.
_ENDS = ("", "_low", "_high", "_low_checkpoints", "_high_checkpoints")


def _changes(ds: xr.Dataset, seed: int) -> dict:
    """Measure how every operator's difference from retry comes about, in points.

    By steps, which the rule is about, and by length, which is told beside it.
    """
    found = {by: what_changed(ds, by=by, seed=seed).dataset for by in BY}
    share = found[WORKED]["share_retry"].min(INTERVENTION)
    return {
        "worked_retry": dict(zip(_names(share["population"]), share.values, strict=True)),
        "populations": _by_arm(found[WORKED]),
        "by_length": _by_arm(found[LENGTH]),
    }


def _by_arm(found: xr.Dataset) -> dict:
    """Every figure with its ends, by population and operator; what is not told is left out."""
    return {
        name: {
            arm: {
                each: [100 * float(found[f"{each}{end}"].sel(at)) for end in _ENDS]
                for each in FIGURES
                if found[each].notnull().any()
            }
            for arm in _names(found[INTERVENTION])
            for at in [{"population": name, INTERVENTION: arm}]
        }
        for name in _names(found["population"])
    }


def _names(labels: xr.DataArray) -> list[str]:
    return [str(name) for name in labels.values]


def _better(figures: Mapping[str, Any]) -> Judgement:
    """Judge the first population, which is the headline."""
    population, arms = next(iter(figures["populations"].items()))
    rescuers = {arm: row for arm, row in arms.items() if row["difference"][1] > 0}
    if not rescuers:
        return Judgement(NOT_SHOWN, "no operator", "No operator rescues more than asking again.")
    share = figures["worked_retry"][population]
    lengths = figures["by_length"][population]
    # Of answers that are all worked out, working out more of them cannot be what rescues.
    judged = lengths if share >= ALL_WORKED else arms
    better = [arm for arm in rescuers if _mainly(judged[arm], "better")]
    more = [arm for arm in rescuers if _mainly(judged[arm], "more")]
    verdict = NOT_SHOWN
    for names, said in ((better, SUPPORTED), (more, CONTRADICTED)):
        if len(names) == len(rescuers):
            verdict = said
    text = (
        f"{named(population).capitalize()}: asking again works out {share:.1%} of its answers."
        " Points gained over that, and where they come from: "
    )
    text += "; ".join(
        f"{arm} {_say(row['difference'])}, better worked answers {_say(row['better'])}"
        f"{_over_checkpoints(row['better'][3:])}, more of them {_say(row['more'])}, better at the"
        f" same length {_say(lengths[arm]['better'])}"
        for arm, row in rescuers.items()
    )
    text += "."
    if share >= ALL_WORKED:
        text += (
            " So working out more answers could not help on these problems, and the claim is"
            " judged by length."
        )
    return Judgement(verdict, f"{len(better)} of {len(rescuers)} operators", text)


def _say(figure: list) -> str:
    """Write a figure with its interval over questions."""
    return f"{plain_zero(f'{figure[0]:+.1f}')} {interval(figure[1:3])}"


def _over_checkpoints(ends: list) -> str:
    return "" if None in ends else f" (over checkpoints {interval(ends)})"


def _mainly(row: Mapping[str, Any], part: str) -> bool:
    """Tell whether a part lies above 0 by both intervals and is larger than each of the others."""
    value, low, _, low_checkpoints, _ = row[part]
    above = low > 0 and (low_checkpoints is None or low_checkpoints > 0)
    others = [row[each][0] for each in FIGURES[1:] if each != part and each in row]
    return above and value > max(others)


SECTIONS: dict[str, Callable[[xr.Dataset, int], dict]] = {"changes": _changes}

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "better_work",
        "Operators rescue by better work, not by more of it.",
        "",
        "for every operator that rescues more than asking again (by interval), the gain from"
        " better worked answers lies above 0 by both intervals and is the largest part;"
        " contradicted if that is true of the gain from more worked answers; where asking again"
        " works out all answers, parts by length are judged instead",
        "changes",
        _better,
    ),
)
