"""Is a rescue better work, or more of it? Measured and judged.

The rule was written down on 2026-11-27, before the figures that it judges were looked at.
"""

from collections.abc import Callable, Mapping
from typing import Any

import xarray as xr

from recover_nb.core.titles import named
from recover_nb.report.findings.judgement import Claim, Judgement
from recover_nb.routing.changes import FIGURES, what_changed
from recover_nb.tables.verdicts import CONTRADICTED, NOT_SHOWN, SUPPORTED, interval

#: Ends of the interval over questions, then of the one over checkpoints.
_ENDS = ("", "_low", "_high", "_low_checkpoints", "_high_checkpoints")


def _changes(ds: xr.Dataset, seed: int) -> dict:
    """Measure how every operator's difference from retry comes about, in points."""
    found = what_changed(ds, by="worked", seed=seed)
    populations = {}
    for name in found.dataset["population"].values:
        of = found.dataset.sel(population=name)
        populations[str(name)] = {
            str(arm): {
                each: [100 * float(of[f"{each}{end}"].sel(intervention=arm)) for end in _ENDS]
                for each in FIGURES
            }
            for arm in of["intervention"].values
        }
    return {"populations": populations}


def _better(figures: Mapping[str, Any]) -> Judgement:
    """Judge the first population, which is the headline."""
    population, arms = next(iter(figures["populations"].items()))
    rescuers = {arm: row for arm, row in arms.items() if row["difference"][1] > 0}
    if not rescuers:
        return Judgement(NOT_SHOWN, "no operator", "No operator rescues more than asking again.")
    better = [arm for arm, row in rescuers.items() if _mainly(row, "better")]
    more = [arm for arm, row in rescuers.items() if _mainly(row, "more")]
    verdict = NOT_SHOWN
    for names, said in ((better, SUPPORTED), (more, CONTRADICTED)):
        if len(names) == len(rescuers):
            verdict = said
    text = f"Points over asking again ({named(population)}), and how they come about: "
    text += "; ".join(
        f"{arm} {row['difference'][0]:+.1f} {interval(row['difference'][1:3])}, of which more"
        f" worked answers {row['more'][0]:+.1f} {interval(row['more'][1:3])}, better ones"
        f" {row['better'][0]:+.1f} {interval(row['better'][1:3])}"
        + _over_checkpoints(row["better"][3:])
        for arm, row in rescuers.items()
    )
    return Judgement(verdict, f"{len(better)} of {len(rescuers)} operators", text + ".")


def _mainly(row: Mapping[str, Any], part: str) -> bool:
    """Tell whether a part lies above 0 by interval and is larger than each of the others."""
    others = [row[each][0] for each in FIGURES[1:] if each != part and row[each][0] is not None]
    return row[part][1] > 0 and row[part][0] > max(others)


def _over_checkpoints(ends: list) -> str:
    return "" if None in ends else f" (over checkpoints {interval(ends)})"


SECTIONS: dict[str, Callable[[xr.Dataset, int], dict]] = {"changes": _changes}

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "better_work",
        "What rescues is better work, not more of it.",
        "",
        "for every operator that rescues more than asking again by interval, the part that worked"
        " answers are right more often lies above 0 by interval and is the largest (contradicted"
        " if for every one of them that is so of the part that more answers are worked out)",
        "changes",
        _better,
    ),
)
