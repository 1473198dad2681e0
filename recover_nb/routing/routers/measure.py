"""Figures of a comparison of rules, population by population."""

import numpy as np
import xarray as xr

from recover_nb.routing.routers.ceiling import find_ceilings
from recover_nb.routing.routers.folds import Fold, in_sample
from recover_nb.routing.routers.inputs import Problems
from recover_nb.routing.routers.judge import BEST_FIXED, Sides, choose, score, without_effect
from recover_nb.routing.routers.replay import RETRY, worth
from recover_nb.routing.routers.result import CEILINGS, GAINS, IN_SAMPLE, UPFRONT
from recover_nb.stats.resampling import (
    Resamples,
    bootstrap_mean,
    bootstrap_weights,
    checkpoint_interval,
    exceedance,
)


def _given(problems: Problems, budget: int) -> list[np.ndarray | None]:
    """Return what a problem may cost at each of `BUDGETS`, as `replay.worth` takes it."""
    return [budget * problems.outcomes.cost[:, RETRY], None]


def measure(
    sides: Sides,
    folds: dict[str, list[Fold]],
    budget: int,
    counts: tuple[int, int, int],
    stage: list[int],
) -> xr.Dataset:
    """Return the figures of one population, as `RouterComparison.dataset` has them."""
    n_bootstrap, n_null, n_halvings = counts
    one, known = sides.judged, sides.judged.known
    bootstrap = np.random.default_rng([stage[0], 12])
    ceilings, null = (np.random.default_rng([stage[0], number, stage[1]]) for number in (13, 16))
    resamples = bootstrap_weights(one.table.clusters, one.table.strata, n_bootstrap, bootstrap)
    given = [_given(each, budget) for each in (sides.learned, one)]
    # Judged by what was learned from: of the judged study where there are two.
    own = Sides(one, one, sides.counted, sides.of)
    schemes = {**{name: (sides, each) for name, each in folds.items()}, "": (own, in_sample(known))}
    nulls = _null_gains(schemes, given, n_null, null)
    reached = find_ceilings(one.arms, one.outcomes, given[1], ceilings, n_halvings=n_halvings)
    found: dict[str, xr.Dataset] = {}
    for scheme, (pair, each) in schemes.items():
        columns: list[xr.Dataset] = []
        for at, (mine, theirs) in enumerate(zip(*given, strict=True)):
            value = worth(one.outcomes, theirs)
            learned = worth(pair.learned.outcomes, mine) if pair is sides else value
            choices, thresholds = choose(pair, each, learned)
            rescued = score(choices, value).T
            best = rescued[:, [list(choices).index(BEST_FIXED)]]
            figures = _figures(rescued, best, resamples, known.checkpoint)
            figures |= _against_null(figures["gain"], nulls[scheme][at])
            column = xr.Dataset({name: ("policy", values) for name, values in figures.items()})
            bounds = reached[at].corrected, reached[at].halved, reached[at].in_sample
            for name, bound in zip(CEILINGS, bounds, strict=True):
                column[name] = float((bound - best[:, 0]).mean())
            column["threshold_low"] = "operator", np.min(thresholds, axis=0)
            column["threshold_high"] = "operator", np.max(thresholds, axis=0)
            columns.append(column)
        found[scheme] = xr.concat(columns, "budget")
    flattered = found.pop("")
    data = xr.concat(list(found.values()), "hold_out")
    data = data.assign({name: flattered[of] for name, of in IN_SAMPLE.items()})
    alone = Sides(sides.learned, sides.learned, sides.counted, sides.of)
    every = in_sample(sides.learned.known)
    learned = [choose(alone, every, worth(sides.learned.outcomes, x))[1][0] for x in given[0]]
    data["threshold"] = ("budget", "operator"), np.array(learned)
    means = (one.outcomes.cost[:, RETRY], known.counting, known.upfront)
    return data.assign(
        n=len(known.failed), **dict(zip(UPFRONT, (x.mean() for x in means), strict=True))
    )


def _figures(
    rescued: np.ndarray, best: np.ndarray, resamples: Resamples, checkpoint: np.ndarray
) -> dict[str, np.ndarray]:
    gain = rescued - best
    found = bootstrap_mean(gain, resamples)
    wide = checkpoint_interval(gain, np.ones((len(gain), 1)), checkpoint)
    ends = (*found.percentile, *wide)
    return {
        "rate": rescued.mean(axis=0),
        **dict(zip(GAINS, (found.value, *ends), strict=True)),
    }


def _null_gains(
    schemes: dict[str, tuple[Sides, list[Fold]]],
    given: list[list[np.ndarray | None]],
    n_null: int,
    rng: np.random.Generator,
) -> dict[str, list[np.ndarray]]:
    """Gains in studies without effect, (policy, study), by way of holding out and budget."""
    found: dict[str, list[list[np.ndarray]]] = {name: [[], []] for name in schemes}
    sides = next(iter(schemes.values()))[0]
    for learned, judged_by in without_effect(sides, n_null, rng):
        for at, (mine, theirs) in enumerate(zip(*given, strict=True)):
            value = worth(judged_by, theirs)
            seen = value if judged_by is learned else worth(learned, mine)
            for name, (pair, folds) in schemes.items():
                choices, _ = choose(pair, folds, seen if pair is sides else value)
                rate = score(choices, value).mean(axis=-1)
                found[name][at].append(rate - rate[list(choices).index(BEST_FIXED)])
    return {
        name: [np.concatenate(each, axis=1) if each else np.empty((0, 0)) for each in both]
        for name, both in found.items()
    }


def _against_null(gain: np.ndarray, null: np.ndarray) -> dict[str, np.ndarray]:
    if not null.size:
        return {name: np.full(len(gain), np.nan) for name in ("null_mean", "null_sd", "p")}
    p = [exceedance(mine, draws) for mine, draws in zip(gain, null, strict=True)]
    sd = null.std(axis=1, ddof=min(1, null.shape[1] - 1))
    return {"null_mean": null.mean(axis=1), "null_sd": sd, "p": np.array(p)}
