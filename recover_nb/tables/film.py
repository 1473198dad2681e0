"""How often each problem is right as training goes on: what the film of training shows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Regime
from recover_nb.core.schema import failed_units, text
from recover_nb.core.titles import meaning
from recover_nb.core.visible import visible
from recover_nb.prediction.training_gain import AFTER, BEFORE, NEVER_FAILED, pass_rates

#: From rarely right to nearly always, with the thresholds of *fixed*.
BANDS = (
    "right less than half of the time",
    "in between",
    f"right at least {AFTER:.0%} of the time".replace("%", " %"),
)


def training_film(ds: xr.Dataset, onward: xr.Dataset, *, seed: int | None = None) -> dict[str, Any]:
    """Return the film of training on, as plain data.

    Parameters
    ----------
    ds : Dataset
        The study.
    onward : Dataset
        From `load_onward`.
    seed : int, optional
        One seed of going on; the mean over seeds by default.

    Returns
    -------
    dict
        ``steps``; ``bands``; ``groups`` (regimes at the start, and problems that never failed);
        ``dots``, one a problem: its ``group``, its ``band`` and ``rate`` (percent) at each step,
        and ``name`` and ``prompt``; ``sentences``, one a step.

    Raises
    ------
    InputError
        The two do not belong together, or the seed is unknown.
    """
    rates, seeds = pass_rates(ds, onward), onward["seed"].values.tolist()
    if seed is not None and seed not in seeds:
        raise InputError(f"seed is {seed!r}; allowed: {', '.join(map(str, seeds))}, or None")
    rate = rates.rate.mean(axis=1) if seed is None else rates.rate[:, seeds.index(seed)]
    band = (rate >= BEFORE).astype(int) + (rate >= AFTER)
    regime = np.where(failed_units(rates.study), text(rates.study["regime"]), NEVER_FAILED)
    keys = [name for name in (*(each.value for each in Regime), NEVER_FAILED) if name in regime]
    place = {name: at for at, name in enumerate(keys)}
    about = zip(
        *(text(rates.study[name]).tolist() for name in ("family", "method", "task", "prompt")),
        rates.study["level"].values.tolist(),
        strict=True,
    )
    dots = [
        {
            "group": place[str(group)],
            "band": mine.tolist(),
            "rate": np.rint(100 * share).astype(int).tolist(),
            "name": visible(f"{family}, {method}, {task}, level {level}"),
            "prompt": visible(prompt.strip(), lines=True),
        }
        for group, mine, share, (family, method, task, prompt, level) in zip(
            regime, band, rate, about, strict=True
        )
        if str(group) in place
    ]
    steps = onward["checkpoint"].values.tolist()
    shown = [{"key": key, "name": _name(key)} for key in keys]
    return {
        "steps": steps,
        "bands": list(BANDS),
        "groups": [one | {"n": int((regime == one["key"]).sum())} for one in shown],
        "dots": dots,
        "sentences": [
            _sentence(steps, at, band, regime != NEVER_FAILED) for at in range(len(steps))
        ],
        "of": "mean over seeds" if seed is None else f"seed {seed}",
    }


def _name(key: str) -> str:
    return "never failed" if key == NEVER_FAILED else meaning(key)


def _sentence(steps: Sequence[int], at: int, band: np.ndarray, failed: np.ndarray) -> str:
    """Say where the problems are at one step."""
    low = failed & (band[:, 0] == 0)
    fixed = int((band[low, at] == 2).sum())
    kept = ~failed & (band[:, 0] == 2)
    lost = int((band[kept, at] < 2).sum())
    if not at:
        return (
            f"Before: of {int(failed.sum()):,} problems that failed at least once,"
            f" {int(low.sum()):,} are right less than half of the time."
        )
    said = f"After {steps[at]} steps: {fixed:,} of these {int(low.sum()):,} are right at least 80 %"
    said += " of the time."
    if kept.any():
        said += f" Of {int(kept.sum()):,} that never failed, {lost:,} fell below that."
    return said
