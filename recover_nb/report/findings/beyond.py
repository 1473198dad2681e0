"""What the paper's companions promise: measured and judged.

docs/method.md#17-training-gain.
"""

from collections.abc import Callable, Mapping
from typing import Any

import xarray as xr

from recover_nb.core.titles import named, p_value
from recover_nb.io.onward import load_onward
from recover_nb.prediction.training_gain import training_gain
from recover_nb.prediction.training_gain_result import MIXTURE
from recover_nb.report.findings.judgement import Claim, Judgement
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
    text = (
        f"Of {whole['at_risk']:.0f} failures right less than half of the time, {whole['fixed']:.1%}"
        f" are right at least 80 % of the time after {figures['steps']} steps of grpo more (a"
        f" redraw alone: {whole['fixed_by_redraw']:.1%}; {figures['seeds']} seeds): {fixed}."
        f" AUC within cells of the mixture's rescue rate {_auc(auc[MIXTURE])} (permuted {null:.3f},"
        f" {p_value(p, figures['permutations'], 'permutations')}). Its lead over "
    )
    text += ", ".join(
        f"{name} ({auc[name][0]:.3f}) {lead[0]:+.3f} {interval(lead[1:3], '+.3f')}, over"
        f" checkpoints {interval(lead[3:], '+.3f')}"
        for name, lead in figures["lead"].items()
    )
    others = [name for name in auc if name != MIXTURE and name not in figures["lead"]]
    text += ". Others: " + ", ".join(f"{name} {auc[name][0]:.3f}" for name in others)
    if never.get("forgotten") is not None:
        text += (
            f". Forgotten, of {never['units']:.0f} that never failed: {never['forgotten']:.1%} (in"
            f" a redraw {never['forgotten_by_redraw']:.1%})"
        )
    text += f". {figures['budget']} attempts each save, of all failures: " + ", ".join(
        f"{name} {row['saved_share']:.1%} ({row['alone_share']:.1%} it alone)"
        for name, row in figures["arms"].items()
    )
    return Judgement(figures["verdict"], f"AUC {auc[MIXTURE][0]:.2f}", text + ".")


def _auc(ends: list[float]) -> str:
    return (
        f"{ends[0]:.3f} {interval(ends[1:3], '.3f')}, over checkpoints {interval(ends[3:], '.3f')}"
    )


SECTIONS: dict[str, Callable[[xr.Dataset, int], dict]] = {"training": _training}

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
)
