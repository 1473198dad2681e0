"""What the paper's companions promise: measured and judged.

docs/method.md#17-training-gain and the sections after it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.schema import UNIT_COORDS, text
from recover_nb.core.titles import named, p_value, plain_zero
from recover_nb.generation.companions import load_unseen
from recover_nb.io.cued import load_cued
from recover_nb.io.onward import load_onward
from recover_nb.io.steps import load_steps
from recover_nb.io.store import load_study
from recover_nb.prediction.monitor import monitor
from recover_nb.prediction.monitor_result import JUDGED, TOLD
from recover_nb.prediction.steps import verify_steps
from recover_nb.prediction.training_gain import training_gain
from recover_nb.prediction.training_gain_result import MIXTURE
from recover_nb.report.findings.judgement import Claim, Judgement
from recover_nb.routing.recovery import recover_gain
from recover_nb.routing.recovery.gain_result import POLICIES
from recover_nb.tables.verdicts import interval

_ENDS = ("", "_low", "_high", "_low_checkpoints", "_high_checkpoints")


def _training(ds: xr.Dataset, seed: int) -> dict:
    """Measure section 17: what training on fixes, what tells so, what checkpoints save."""
    found = training_gain(ds, load_onward(), seed=seed)
    told = found.to_dataframe().set_index("predictor")
    shares = found.shares_frame().set_index("group")
    arms = found.arms_frame().set_index("arm")
    groups = ("units", "at_risk", "fixed", "fixed_by_redraw", "forgotten", "forgotten_by_redraw")
    mixture = dict(zip(told.index, zip(told["null"], told["p"], strict=True), strict=True))[MIXTURE]
    return {
        "verdict": str(found.verdict),
        "steps": found.settings["checkpoints"][-1],  # type: ignore[index]
        "seeds": found.shares.fixed.shape[1],
        "permutations": found.readers.null.shape[1],
        "auc": {name: [row[f"auc{end}"] for end in _ENDS] for name, row in told.iterrows()},
        "null": list(mixture),
        "lead": {name: [told.loc[name, f"lead{end}"] for end in _ENDS] for name in found.rivals},
        "shares": {
            name: {each: row[each] for each in groups if row[each] == row[each]}
            for name, row in shares.iterrows()
        },
        "budget": found.settings["budget"],
        "arms": {
            name: {each: row[each] for each in ("saved_share", "alone_share", "tokens")}
            for name, row in arms.iterrows()
        },
    }


def _previews(figures: Mapping[str, Any]) -> Judgement:
    shares, auc = figures["shares"], figures["auc"]
    null, p = figures["null"]
    whole, never = shares["all_failed"], shares.get("never_failed", {})
    fixed = ", ".join(
        f"{named(name)} {row['fixed']:.1%} of {row['at_risk']:.0f}"
        for name, row in shares.items()
        if name != "all_failed" and row.get("at_risk")
    )
    told = (
        f"Of {whole['at_risk']:.0f} failures right less than half of the time, {whole['fixed']:.1%}"
        f" are right at least 80 % of the time after {figures['steps']} steps of grpo more (a"
        f" redraw alone: {whole['fixed_by_redraw']:.1%}; {figures['seeds']} seeds): {fixed}."
        f" AUC within cells of the mixture's rescue rate {_auc(auc[MIXTURE])} (permuted {null:.3f},"
        f" {p_value(p, figures['permutations'], 'permutations')}). Its lead over "
    )
    told += ", ".join(
        f"{name} ({auc[name][0]:.3f}) {lead[0]:+.3f} {interval(lead[1:3], '+.3f')}, over"
        f" checkpoints {interval(lead[3:], '+.3f')}"
        for name, lead in figures["lead"].items()
    )
    others = [name for name in auc if name != MIXTURE and name not in figures["lead"]]
    told += ". Others: " + ", ".join(f"{name} {auc[name][0]:.3f}" for name in others)
    if never.get("forgotten") is not None:
        told += (
            f". Forgotten, of {never['units']:.0f} that never failed: {never['forgotten']:.1%} (in"
            f" a redraw {never['forgotten_by_redraw']:.1%})"
        )
    told += f". {figures['budget']} attempts each save, of all failures: " + ", ".join(
        f"{name} {row['saved_share']:.1%} ({row['alone_share']:.1%} it alone)"
        for name, row in figures["arms"].items()
    )
    return Judgement(figures["verdict"], f"AUC {auc[MIXTURE][0]:.2f}", told + ".")


def _check_shipped(ds: xr.Dataset) -> None:
    """Refuse a study that is not the bundled one: its companions say nothing of another."""
    units = [
        set(zip(*(text(each[name]) for name in UNIT_COORDS), strict=True))
        for each in (ds, load_study())
    ]
    if units[0] != units[1]:
        raise InputError("the companion is of the bundled study; pass rnb.load_study()")


def _steps(ds: xr.Dataset, seed: int) -> dict:
    """Measure section 19: what a verifier of steps tells and saves."""
    _check_shipped(ds)
    found = verify_steps(load_steps(), seed=seed)
    rows = found.to_dataframe()
    return {
        "verdicts": {name: str(verdict) for name, verdict in found.verdicts.items()},
        "leads": {
            claim: {
                f"{row['figure']} over {row['against']}": [100 * row[f"lead{end}"] for end in _ENDS]
                for _, row in group.iterrows()
            }
            for claim, group in rows.groupby("claim", sort=False)
        },
        "value": {
            claim: 100 * group["value"].iloc[0]
            for claim, group in rows.groupby("claim", sort=False)
        },
    }


def _verifies(claim: str) -> Callable[[Mapping[str, Any]], Judgement]:
    def ask(figures: Mapping[str, Any]) -> Judgement:
        leads = figures["leads"][claim]
        told = "Points ahead: " + "; ".join(
            f"{name.replace('_', ' ')} {lead[0]:+.1f} {interval(lead[1:3])}, over checkpoints"
            f" {interval(lead[3:])}"
            for name, lead in leads.items()
        )
        return Judgement(figures["verdicts"][claim], f"{figures['value'][claim]:.1f} %", told + ".")

    return ask


def _cues(ds: xr.Dataset, seed: int) -> dict:
    """Measure section 20: tokens that a monitor saves, failures that a forced cue rescues."""
    _check_shipped(ds)
    found = monitor(load_cued(), seed=seed)
    saved = found.to_dataframe().query("group == 'all'")
    arms = found.rescue_frame().set_index("arm")
    ends = ("", "_low", "_high")
    return {
        "verdicts": {"signal": str(found.verdict), "lever": str(found.lever_verdict)},
        "sentence": found.sentence,
        "saved": {
            f"{lost:g}": {
                row["monitor"]: [100 * row[f"saved{end}"] for end in ends]
                + [100 * row[f"lead{end}"] for end in ends]
                for _, row in group.iterrows()
            }
            for lost, group in saved.groupby("lost")
            if lost in TOLD
        },
        "rescued": {
            name: [100 * row[f"rescued{end}"] for end in ends]
            + [100 * row[f"lead{end}"] for end in ends]
            for name, row in arms.iterrows()
        },
    }


def _signal(figures: Mapping[str, Any]) -> Judgement:
    saved = figures["saved"][f"{JUDGED:g}"]
    return Judgement(
        figures["verdicts"]["signal"], f"{saved['cues'][0]:.1f} % saved", figures["sentence"]
    )


def _lever(figures: Mapping[str, Any]) -> Judgement:
    rescued = figures["rescued"]
    told = "Rescued with the tokens of 4 retries: " + ", ".join(
        f"{name} {row[0]:.1f} % {interval(row[1:3], '.1f')}" for name, row in rescued.items()
    )
    return Judgement(
        figures["verdicts"]["lever"], f"{rescued['force_cue'][3]:+.1f} points", told + "."
    )


def _recovery(ds: xr.Dataset, seed: int) -> dict:
    """Measure section 21: what a chosen policy gains at equal passes, on problems not seen."""
    found = recover_gain(ds, load_unseen(), seed=seed)
    rows = found.judged_frame().set_index("budget")
    ends = ("gain", "gain_low", "gain_high", "gain_low_checkpoints", "gain_high_checkpoints")
    return {
        "n": found.settings["n"][-1],  # type: ignore[index]
        "nulls": found.settings["n_null"],
        "policies": {
            policy: {
                str(budget): {
                    "verdict": row["verdict"],
                    "plans": row["plans"],
                    "retry": row["retry"],
                    "rate": row["rate"],
                    "gain": [100 * row[each] for each in ends],
                    "null": [100 * row["null_mean"], 100 * row["null_sd"]],
                    "p": row["p"],
                    "other_family": 100 * row["gain_other_family"],
                    "forward": [row["forward"], row["retry_forward"]],
                }
                for budget, row in rows[rows["policy"] == policy].iterrows()
            }
            for policy in POLICIES
        },
    }


def _recovers(policy: str) -> Callable[[Mapping[str, Any]], Judgement]:
    """Judge one policy at its largest budget, and tell the others."""

    def ask(figures: Mapping[str, Any]) -> Judgement:
        rows = figures["policies"][policy]
        said = [_say_budget(budget, row, figures["nulls"]) for budget, row in rows.items()]
        told = f"{figures['n']:,} problems not seen before, whose one answer was wrong. "
        last = list(rows.values())[-1]
        return Judgement(
            last["verdict"], f"{last['gain'][0]:+.1f} points", told + ". ".join(said) + "."
        )

    return ask


def _say_budget(budget: str, row: Mapping[str, Any], nulls: int) -> str:
    p, null = p_value(row["p"], nulls, "null studies"), plain_zero(f"{row['null'][0]:+.1f}")
    return (
        f"At {budget} passes all told ({row['plans']}): {row['rate']:.1%} rescued, by asking again"
        f" {row['retry']:.1%}, {row['gain'][0]:+.1f} points {interval(row['gain'][1:3])}, over"
        f" checkpoints {interval(row['gain'][3:])} (without an effect"
        f" {null}, {p}; plan taken from the other family"
        f" {row['other_family']:+.1f}; {row['forward'][0]:.0f} forward passes, asking again"
        f" {row['forward'][1]:.0f})"
    )


def _auc(ends: list[float]) -> str:
    return (
        f"{ends[0]:.3f} {interval(ends[1:3], '.3f')}, over checkpoints {interval(ends[3:], '.3f')}"
    )


#: What these papers say that this lineage cannot show, and why.
UNTESTABLE: tuple[str, ...] = (
    "Which failures reinforcement learning fixes in large models: the models here are small, and"
    " their tasks are made by programs.",
    "That a monitor makes unsafe traces safe (46 to 96 % of them, arXiv 2605.07021): nothing that"
    " these models do is unsafe. What it saves here is wrong answers.",
    "The choice among several tools, and the use of what they return (arXiv 2606.04579): there is"
    " one tool, a calculator, and it is always right.",
    "Temporal sampling over the checkpoints of a long training (arXiv 2505.20196): training goes on"
    " for 60 steps here, from checkpoints that forget little.",
    "That a reader who understands a failure could not tell what would save it: the readers here"
    " count letters.",
)

SECTIONS: dict[str, Callable[[xr.Dataset, int], dict]] = {
    "training": _training,
    "steps": _steps,
    "cues": _cues,
    "recovery": _recovery,
}

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "training_told",
        "What mixing in the ancestor rescues is what training on fixes.",
        "",
        "the rescue rate of dense_sample tells better than chance (p < 0.05) what grpo fixes in 60"
        " steps more, and better than retry, the number of failures, the level, the features and"
        " the text, each by both intervals; contradicted if one of these tells it better by both",
        "training",
        _previews,
    ),
    Claim(
        "steps_told",
        "What two models say of a step tells whether it is the first wrong one.",
        "accuracy 0.76 (arXiv 2606.04579)",
        "by both intervals, its accuracy is above 0.76 and above calling every step right, and its"
        " F1 above that of the step's place alone",
        "steps",
        _verifies("steps"),
        dated="2026-11-28",
    ),
    Claim(
        "steps_pick",
        "A verifier of steps picks one of eight answers better than a vote.",
        "",
        "it picks more right answers than a majority vote and than the mean log-probability,"
        " by both"
        " intervals",
        "steps",
        _verifies("best_of_8"),
        dated="2026-11-28",
    ),
    Claim(
        "steps_ahead",
        "Going on from before the first wrong step rescues more than asking again.",
        "",
        "at equal passes it rescues more than whole retries and than going on from a random"
        " step, by"
        " both intervals; contradicted if it rescues less than one of them by both",
        "steps",
        _verifies("going_on"),
        dated="2026-11-28",
    ),
    Claim(
        "steps_tool",
        "A calculator from the first wrong step on rescues more than one throughout.",
        "",
        "at equal passes it rescues more than a calculator from the start and than one from a"
        " random"
        " step, by both intervals; contradicted if it rescues less than one of them by both",
        "steps",
        _verifies("tool"),
        dated="2026-11-28",
    ),
    Claim(
        "cues_signal",
        "A cue tells a monitor which traces to stop.",
        "up to 50 % of wasted tokens (arXiv 2605.07021)",
        "where 3 % of right answers may be lost, a monitor that sees cues saves more tokens than"
        " one that does not, than one of traces without cues, and than stopping at random, by"
        " interval; contradicted if it saves less than one of the first two",
        "cues",
        _signal,
        dated="2026-11-28",
    ),
    Claim(
        "cues_lever",
        "A forced cue rescues failures.",
        "",
        "with the tokens of 4 retries, it rescues more than they do, and than drawing the cue anew"
        " at the same place, by interval; contradicted if it rescues less than they do",
        "cues",
        _lever,
        dated="2026-11-28",
    ),
    Claim(
        "recovers",
        "A policy chosen on one study rescues more than asking again, at equal passes.",
        "",
        "on problems not seen before, at 8 passes each, its gain lies above 0 by the interval over"
        " questions; any arm may be chosen, the ancestor alone too",
        "recovery",
        _recovers("any"),
        dated="2026-11-28",
    ),
    Claim(
        "recovers_operators",
        "So does a policy that may not ask the ancestor alone.",
        "",
        "the same, of all other arms",
        "recovery",
        _recovers("operators"),
        dated="2026-11-28",
    ),
)
