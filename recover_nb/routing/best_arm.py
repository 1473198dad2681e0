"""Which single intervention rescues most, and what picking the best of several shows by itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.schema import INTERVENTION
from recover_nb.routing.needs import RETRY
from recover_nb.routing.rescue import with_rates

#: Figures by name: their dimensions and values.
Data = dict[str, tuple[tuple[str, ...], Any]]


def counts_of(ds: xr.Dataset, arms: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return attempts, and how many of them were right, both (problem, arm)."""
    chosen = with_rates(ds)[["attempts", "rescue_rate"]].sel({INTERVENTION: list(arms)})
    tried, rate = (chosen[x].transpose("problem", INTERVENTION).values for x in chosen)
    return tried.astype(int), np.rint(np.nan_to_num(rate * tried)).astype(int)


def best_arm(
    ds: xr.Dataset,
    arms: list[str],
    populations: dict[str, np.ndarray],
    seed: int,
    n_null: int,
) -> Data:
    """Pick the arm with the largest lift over retry, and what picking alone would show."""
    names, n = [], len(populations)
    figures = {name: np.full(n, np.nan) for name in ("best_lift", "null_mean", "null_sd", "null_p")}
    tried, right = counts_of(ds, arms)
    for p, mine in enumerate(populations.values()):
        names.append("")
        if RETRY not in arms or len(arms) < 2:
            continue
        retry = arms.index(RETRY)
        # Paired with retry: a problem without both says nothing of the difference.
        mine = mine & (tried[:, retry] > 0)
        lifts = _lifts(tried[mine], right[mine][None], retry)[0]
        if np.isnan(lifts).all():
            continue
        best = int(np.nanargmax(lifts))
        drawn = dealt(tried[mine], right[mine], n_null, np.random.default_rng([seed, 1]))
        null = np.nanmax(_lifts(tried[mine], drawn, retry), axis=1)
        names[-1] = arms[best]
        figures["best_lift"][p] = lifts[best]
        figures["null_mean"][p], figures["null_sd"][p] = null.mean(), null.std()
        # A tie counts for the null.
        figures["null_p"][p] = (1 + (null >= lifts[best] - 1e-12).sum()) / (1 + n_null)
    data: Data = {name: (("population",), values) for name, values in figures.items()}
    return data | {"best": (("population",), np.array(names, object))}


def dealt(
    tried: np.ndarray, right: np.ndarray, n_null: int, rng: np.random.Generator
) -> np.ndarray:
    """Deal each problem's right attempts out among its arms again, (draw, problem, arm)."""
    out = np.zeros((n_null, *tried.shape), int)
    left, good = tried.sum(axis=1), np.repeat(right.sum(axis=1)[None], n_null, axis=0)
    for arm in range(tried.shape[1]):
        out[..., arm] = rng.hypergeometric(good, left - good, tried[:, arm])
        good = good - out[..., arm]
        left = left - tried[:, arm]
    return out


def _lifts(tried: np.ndarray, right: np.ndarray, retry: int) -> np.ndarray:
    """Return the mean lift of each arm over retry, (draw, arm); NaN for retry itself."""
    rate = right / np.maximum(tried, 1)
    known = (tried > 0) & (tried[:, [retry]] > 0)
    known[:, retry] = False
    n = known.sum(axis=0)
    total = ((rate - rate[..., [retry]]) * known).sum(axis=1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)
