"""Is the specimen upright, and do its signals point where answers are lost? Measured and judged.

The thresholds were written down on 2026-11-26, before the study that they judge was made.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import SPECIALISTS, Intervention, Regime
from recover_nb.core.schema import failed_units, text
from recover_nb.core.shipped import data_folder
from recover_nb.features.detectors import detector_rows, slips_in_step, value_traces
from recover_nb.generation.companions import load_seeds
from recover_nb.prediction.seeds import fingerprint_across_seeds, seed_spread
from recover_nb.report.findings.judgement import Claim, Judgement
from recover_nb.routing.remapping import align
from recover_nb.routing.rescue import proportion_interval
from recover_nb.routing.result import interval_verdict
from recover_nb.tables.specimen import best_arms, failures_by_cell
from recover_nb.tables.study import firing
from recover_nb.tables.verdicts import (
    CONTRADICTED,
    SUPPORTED,
    interval,
)

#: When the thresholds below were fixed.
FIXED_ON = "2026-11-26"
#: Least gain of a specialist over its ancestor, in points of pass@1, on dev and on test.
LEAST_GAIN = 10.0
#: Between these lies the ancestor's pass@1.
ANCESTOR_RANGE = (0.40, 0.65)
#: Least share of failed rollouts of more than 12 tokens: over all, and in every cell.
LONG_OVERALL, LONG_IN_CELL = 0.80, 0.50
#: Least share of each regime over all failed problems, and least number of those.
LEAST_REGIME, LEAST_FAILED = 0.10, 1000
#: Least share of attempts in which `sparse_steer` fires.
LEAST_FIRING = 0.80
#: Least number of different best interventions over the cells, and most cells, as a share, in which
#: the ancestor alone is best.
LEAST_BEST, MOST_ANCESTOR = 3, 1 / 3
#: Least share of slips whose fatal token lies in the first wrong step.
LEAST_IN_STEP = 0.90


def _specimen(ds: xr.Dataset, seed: int) -> dict:
    """Measure who fails and how, cell by cell."""
    if "ancestor_pass_at_1" not in ds or "origin" not in ds:
        return {"missing": "the study does not store how the ancestor does, and how it failed"}
    cells = failures_by_cell(ds, total=True).set_index("cell")
    every: dict[Any, Any] = cells.loc["all"].to_dict()
    used = failed_units(ds)
    regimes = text(ds["regime"])[used]
    fired = firing(ds, total=True)
    fired = fired[(fired["cell"] == "all") & (fired["intervention"] == Intervention.SPARSE_STEER)]
    best = best_arms(ds, seed=seed)
    origins = ("guess", "slip", "misread", "lost", "format", "not_known")
    return {
        "methods": _gains(ds, cells),
        "failed": int(used.sum()),
        "regimes": {each.value: float((regimes == each.value).mean()) for each in Regime},
        "long": float(every["long"]),
        "long_in_cells": {cell: float(row["long"]) for cell, row in _each(cells)},
        "tokens": float(every["tokens"]),
        "cut_off": int(every["cut_off"]),
        "origins": {name: float(every[name]) for name in origins},
        "fires": float(fired["fired"].iloc[0]) if len(fired) else None,
        "best": {row["cell"]: row["best_operator"] for row in best.to_dict("records")},
    }


def _each(cells: pd.DataFrame):
    return ((cell, row) for cell, row in cells.iterrows() if cell != "all" and row["failures"])


def _gains(ds: xr.Dataset, cells: pd.DataFrame) -> dict:
    """Return pass@1 of each specialist and its ancestor, mean over tasks: test, and dev."""
    found = {}
    pairs = dict.fromkeys(
        zip(text(ds["family"]).tolist(), text(ds["method"]).tolist(), strict=True)
    )
    for family, method in pairs:
        mine = cells.loc[[cell for cell in cells.index if cell.startswith(f"{family}|{method}|")]]
        own, other = (
            100 * float(mine[name].mean()) for name in ("pass_at_1", "ancestor_pass_at_1")
        )
        found[f"{family}|{method}"] = {"test": [own, other]} | _on_dev(family, method)
    return found


def _on_dev(family: str, method: str) -> dict:
    """Return the same on dev, from the cards of the shipped checkpoints; nothing where not ours."""
    try:
        folder = data_folder() / "lab" / family
        rates = [
            100 * json.loads((folder / each / "training.json").read_text())["dev"]["mean_pass_at_1"]
            for each in (method, "ancestor")
        ]
    except (InputError, OSError, ValueError, KeyError):
        return {}
    return {"dev": rates} if method in SPECIALISTS else {}


def _value(ds: xr.Dataset, seed: int) -> dict:
    """Measure where answers are lost, and who points there."""
    try:
        frame = value_traces(ds)
    except InputError as error:
        return {"missing": str(error)}
    fatal = slips_in_step(frame)
    rows = detector_rows(frame).set_index("detector")
    detectors = {}
    for name, row in rows.to_dict("index").items():
        near = round(row["near"] * row["traces"])
        detectors[name] = {
            **{each: _number(row[each]) for each in row},
            "near_interval": list(proportion_interval(near, int(row["traces"]))),
        }
    return {
        "traces": len(frame),
        "nothing_lost": int((frame["fatal"] < 0).sum()),
        "fatal_in_step": {
            **fatal,
            "interval": list(proportion_interval(fatal["inside"], fatal["slips"])),
        },
        "detectors": detectors,
    }


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _seeds(ds: xr.Dataset, seed: int) -> dict:
    """Measure how far checkpoints of one method differ, and whether a fingerprint carries over."""
    studies = load_seeds()
    align(ds, studies[0])  # of this lineage, or there is nothing to say
    found = fingerprint_across_seeds(studies, seed=seed).to_dict("records")
    spread = seed_spread(studies)
    by_method = spread.drop(columns=["seed", "problems"]).groupby("method", sort=False)
    reach = (by_method.max() - by_method.min()).max()
    return {
        "seeds": len(studies),
        "across": {row.pop("task"): {k: _number(v) for k, v in row.items()} for row in found},
        "spread": {name: 100 * float(reach[name]) for name in reach.index},
    }


SECTIONS: dict[str, Callable[[xr.Dataset, int], dict]] = {
    "specimen": _specimen,
    "value": _value,
    "seeds": _seeds,
}


def _verdict(holds: bool) -> str:
    return SUPPORTED if holds else CONTRADICTED


def _gain(figures: Mapping[str, Any]) -> Judgement:
    gains, ancestors, said = [], [], []
    for name, rates in figures["methods"].items():
        parts = []
        for split, (own, other) in rates.items():
            gains.append(own - other)
            ancestors.append(other)
            parts.append(f"{split} {own:.1f} against {other:.1f}")
        said.append(f"{name} {', '.join(parts)}")
    low, high = (100 * each for each in ANCESTOR_RANGE)
    holds = min(gains) >= LEAST_GAIN and low <= min(ancestors) and max(ancestors) <= high
    return Judgement(
        _verdict(holds),
        f"{min(gains):+.1f} to {max(gains):+.1f} points",
        f"Mean pass@1 over tasks, specialist against ancestor, in percent: {'; '.join(said)}.",
    )


def _worked(figures: Mapping[str, Any]) -> Judgement:
    least = min(figures["long_in_cells"], key=figures["long_in_cells"].get)
    share = figures["long_in_cells"][least]
    origins = ", ".join(
        f"{name.replace('_', ' ')} {value:.0%}" for name, value in figures["origins"].items()
    )
    return Judgement(
        _verdict(figures["long"] >= LONG_OVERALL and share > LONG_IN_CELL),
        f"{figures['long']:.0%} of failed rollouts",
        f"More than 12 tokens: {figures['long']:.1%} of failed rollouts (median"
        f" {figures['tokens']:.0f} tokens), least in {least}: {share:.1%}. Where they went wrong:"
        f" {origins}; {figures['cut_off']} wrong rollouts were cut off and do not count.",
    )


def _regimes(figures: Mapping[str, Any]) -> Judgement:
    shares = ", ".join(f"{name} {share:.1%}" for name, share in figures["regimes"].items())
    holds = min(figures["regimes"].values()) >= LEAST_REGIME and figures["failed"] >= LEAST_FAILED
    return Judgement(
        _verdict(holds),
        f"least {min(figures['regimes'].values()):.0%}",
        f"Of {figures['failed']:,} failed problems: {shares}.",
    )


def _fires(figures: Mapping[str, Any]) -> Judgement:
    share = figures["fires"]
    return Judgement(
        _verdict(share >= LEAST_FIRING),
        f"{share:.0%} of attempts",
        f"`sparse_steer` fires in {share:.1%} of its attempts.",
    )


def _best(figures: Mapping[str, Any]) -> Judgement:
    names, counts = np.unique(list(figures["best"].values()), return_counts=True)
    listed = sorted(zip(names.tolist(), counts.tolist(), strict=True), key=lambda each: -each[1])
    alone = dict(listed).get(Intervention.ANCESTOR.value, 0)
    holds = len(names) >= LEAST_BEST and alone <= MOST_ANCESTOR * len(figures["best"])
    said = ", ".join(f"{name} in {count}" for name, count in listed)
    return Judgement(
        _verdict(holds),
        f"{len(names)} arms, ancestor in {alone}",
        f"Best by split halves, of {len(figures['best'])} cells: {said}.",
    )


def _in_step(figures: Mapping[str, Any]) -> Judgement:
    found = figures["fatal_in_step"]
    low, high = found["interval"]
    return Judgement(
        _verdict(found["share"] >= LEAST_IN_STEP),
        f"{found['share']:.0%} of {found['slips']} slips",
        f"The fatal token lies in the first wrong step in {found['inside']} of {found['slips']}"
        f" slips: {found['share']:.1%} [{100 * low:.0f}, {100 * high:.0f}]. In {found['without']}"
        " more slips no token loses anything: the value was 0 from the start.",
    )


def _junction(figures: Mapping[str, Any]) -> Judgement:
    said, near = [], figures["detectors"]["junction"]
    for name, row in figures["detectors"].items():
        low, high = row["near_interval"]
        said.append(f"{name} {row['near']:.0%} [{100 * low:.0f}, {100 * high:.0f}]")
    low, high = near["near_interval"]
    chance = near["near_chance"]
    return Judgement(
        interval_verdict(low - chance, high - chance),
        f"{near['near']:.0%}, chance {near['near_chance']:.0%}",
        f"How often each lies within one token of the fatal token, in {near['traces']:.0f} failed"
        f" traces: {', '.join(said)}; a random token {near['near_chance']:.0%}. In"
        f" {near['too_late']:.0%} the junction comes too late: the value is lost already.",
    )


def _carries_over(figures: Mapping[str, Any]) -> Judgement:
    every = figures["across"]["all"]
    low, high = every["lead_low_points"], every["lead_high_points"]
    spread = ", ".join(
        f"{name.replace('_', ' ')} {points:.0f}" for name, points in figures["spread"].items()
    )
    return Judgement(
        interval_verdict(low, high),
        f"{every['lead_points']:+.0f} points over the commonest",
        f"Predicting the method of a failed problem from checkpoints of other seeds: accuracy"
        f" {every['accuracy']:.1%}, against {every['majority']:.1%} for always naming the"
        f" commonest: a lead of {every['lead_points']:+.1f} points {interval((low, high))} on"
        f" {every['units']:.0f} failed problems of {figures['seeds']} seeds. Between seeds of one"
        f" method, these differ by up to so many points: {spread}.",
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "upright",
        "The specialists are better than the ancestor that they were trained from.",
        "",
        f"each gains at least {LEAST_GAIN:.0f} points of pass@1 on dev and on test, over an"
        f" ancestor between {ANCESTOR_RANGE[0]:.0%} and {ANCESTOR_RANGE[1]:.0%}",
        "specimen",
        _gain,
        dated=FIXED_ON,
    ),
    Claim(
        "worked_out",
        "Failed answers are worked out.",
        "",
        f"at least {LONG_OVERALL:.0%} of failed rollouts have more than 12 tokens, and more than"
        f" {LONG_IN_CELL:.0%} in every cell",
        "specimen",
        _worked,
        dated=FIXED_ON,
    ),
    Claim(
        "regimes_held",
        "There are enough failures of every regime.",
        "",
        f"each regime holds at least {LEAST_REGIME:.0%} of {LEAST_FAILED:,} failed problems or"
        " more",
        "specimen",
        _regimes,
        dated=FIXED_ON,
    ),
    Claim(
        "fires",
        "Steering at one token acts often enough.",
        "",
        f"`sparse_steer` fires in at least {LEAST_FIRING:.0%} of its attempts",
        "specimen",
        _fires,
        dated=FIXED_ON,
    ),
    Claim(
        "best_differs",
        "The best operator differs between cells, and is seldom the ancestor alone.",
        "",
        f"at least {LEAST_BEST} interventions are best in some cell, and the ancestor in at most a"
        " third of them",
        "specimen",
        _best,
        dated=FIXED_ON,
    ),
    Claim(
        "carries_over",
        "The fingerprint is that of the method, not of one checkpoint.",
        "",
        "checkpoints of other seeds predict the method better than always naming the commonest,"
        " by interval",
        "seeds",
        _carries_over,
        dated=FIXED_ON,
    ),
    Claim(
        "fatal_in_step",
        "An answer is lost where the first wrong step is written.",
        "",
        f"the fatal token lies in that step in at least {LEAST_IN_STEP:.0%} of slips",
        "value",
        _in_step,
        dated=FIXED_ON,
    ),
    Claim(
        "junction_is_fatal",
        "The junction is where the answer is lost.",
        "the place where intervening pays",
        "it lies within one token of the fatal token more often than a token drawn at random from"
        " the same trace, by interval",
        "value",
        _junction,
        dated=FIXED_ON,
    ),
)
