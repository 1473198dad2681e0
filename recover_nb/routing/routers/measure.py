"""Figures of a comparison of rules, population by population."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recover_nb.routing.routers.ceiling import find_ceilings
from recover_nb.routing.routers.folds import Fold, in_sample
from recover_nb.routing.routers.inputs import Problems
from recover_nb.routing.routers.judge import BEST_FIXED, Sides, choose, score, without_effect
from recover_nb.routing.routers.replay import RETRY, worth
from recover_nb.routing.routers.result import CEILINGS, FIGURES, GAINS, IN_SAMPLE, UPFRONT
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
) -> dict[str, Any]:
    """Figures of one population."""
    n_bootstrap, n_null, n_halvings = counts
    one, known = sides.judged, sides.judged.known
    seed, place = stage
    resamples = bootstrap_weights(
        one.table.clusters, one.table.strata, n_bootstrap, np.random.default_rng([seed, 12])
    )
    given = [_given(each, budget) for each in (sides.learned, one)]
    # Judged by what was learned from: of the judged study where there are two.
    own = Sides(one, one, sides.counted, sides.of)
    schemes = {**{name: (sides, each) for name, each in folds.items()}, "": (own, in_sample(known))}
    nulls = _null_gains(schemes, given, n_null, np.random.default_rng([seed, 16, place]))
    ceilings = find_ceilings(
        one.arms,
        one.outcomes,
        given[1],
        np.random.default_rng([seed, 13, place]),
        n_halvings=n_halvings,
    )
    found: dict[str, Any] = {"hold_outs": {}}
    for scheme, (pair, each) in schemes.items():
        columns = []
        for at, (mine, theirs) in enumerate(zip(*given, strict=True)):
            theirs_worth = worth(one.outcomes, theirs)
            learned = worth(pair.learned.outcomes, mine) if pair is sides else theirs_worth
            choices, thresholds = choose(pair, each, learned)
            rescued = score(choices, theirs_worth).T
            best = rescued[:, [list(choices).index(BEST_FIXED)]]
            figures = _figures(rescued, best, resamples, known.checkpoint)
            figures |= _against_null(figures["gain"], nulls[scheme][at])
            for name, reached in zip(CEILINGS, ("corrected", "halved", "in_sample"), strict=True):
                figures[name] = float((getattr(ceilings[at], reached) - best[:, 0]).mean())
            columns.append(figures | {"threshold": np.array(thresholds)})
        found["hold_outs"][scheme] = columns
    learned = in_sample(sides.learned.known)
    alone = Sides(sides.learned, sides.learned, sides.counted, sides.of)
    found["threshold"] = [
        choose(alone, learned, worth(sides.learned.outcomes, mine))[1][0] for mine in given[0]
    ]
    means = (one.outcomes.cost[:, RETRY], known.counting, known.upfront)
    found |= zip(UPFRONT, (len(known.failed), *(float(x.mean()) for x in means)), strict=True)
    return found


def _figures(
    rescued: np.ndarray, best: np.ndarray, resamples: Resamples, checkpoint: np.ndarray
) -> dict[str, Any]:
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


def gathered(parts: dict[str, dict], schemes: list[str]) -> dict[str, tuple[tuple, Any]]:
    """Lay the figures of all populations out along their dimensions."""
    dims = ("hold_out", "population", "budget", "policy")

    def over(name: str, at: Callable[[Any], Any] = lambda figure: figure) -> np.ndarray:
        return np.array(
            [
                [[at(each[name]) for each in part["hold_outs"][scheme]] for part in parts.values()]
                for scheme in schemes
            ]
        )

    data: dict[str, tuple[tuple, Any]] = {name: (dims, over(name)) for name in FIGURES}
    data |= {name: (dims[:3], over(name)) for name in CEILINGS}
    operators = (*dims[:3], "operator")
    data["threshold_low"] = (operators, over("threshold", lambda found: found.min(axis=0)))
    data["threshold_high"] = (operators, over("threshold", lambda found: found.max(axis=0)))
    own = [part["hold_outs"][""] for part in parts.values()]
    for name, figure in zip(IN_SAMPLE, ("gain", "null_mean", "null_sd"), strict=True):
        data[name] = (dims[1:], np.array([[each[figure] for each in both] for both in own]))
    learned = np.array([part["threshold"] for part in parts.values()])
    data["threshold"] = (("population", "budget", "operator"), learned)
    for name in UPFRONT:
        data[name] = (("population",), np.array([part[name] for part in parts.values()]))
    return data
