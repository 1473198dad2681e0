"""Look for a router that sees what it is judged by.

Outcomes are replaced by noise, and nothing planned may change.
"""

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from recover_nb.core.labels import HoldOut, Intervention, Router
from recover_nb.routing.routers.beliefs import learn
from recover_nb.routing.routers.compare import DEFAULT_ROUTERS
from recover_nb.routing.routers.folds import Fold, make_folds
from recover_nb.routing.routers.inputs import Known, Outcomes, Problems, read_problems
from recover_nb.routing.routers.plans import plan


def scramble(ds: xr.Dataset, *, seed: int = 0) -> xr.Dataset:
    """Replace every attempt's outcome by the toss of a coin; observed rollouts stay as they are.

    Parameters
    ----------
    ds : Dataset
        A study with ``correct``.
    seed : int

    Returns
    -------
    Dataset
        Without rescue rates and what is derived from them.
    """
    order = ("problem", "rollout", "intervention")
    correct = ds["correct"].transpose(*order)
    coin = np.random.default_rng([seed, 21]).integers(2, size=correct.shape, dtype=np.int8)
    tried = (correct >= 0) & (correct["intervention"] != Intervention.NONE.value)
    derived = [name for name in ("rescue_rate", "attempts", "regime", "route") if name in ds]
    return ds.drop_vars(derived).assign(
        correct=xr.where(tried, correct.copy(data=coin), correct).astype(np.int8)
    )


def find_leaks(
    ds: xr.Dataset,
    *,
    routers: Sequence[str] = DEFAULT_ROUTERS,
    hold_out: str = HoldOut.CELL.value,
    read: Callable[[xr.Dataset], Problems] = read_problems,
    folds: Callable[..., list[Fold]] = make_folds,
    seed: int = 0,
) -> list[str]:
    """Name what depends on the outcomes of attempts that it must not know.

    Parameters
    ----------
    ds : Dataset
        A study.
    routers : sequence of str
    hold_out : str
    read, folds : callable
        How problems are described and held out: to check another way than the package's.
    seed : int

    Returns
    -------
    list of str
        Descriptors that change with the outcomes of attempts, and routers whose order of attempts
        on some problem changes when the outcomes of its own fold are noise. Empty: nothing leaks.
    """
    problems, noise = read(ds), read(scramble(ds, seed=seed))
    found = [f"descriptor {name}" for name in _changed(problems.known, noise.known)]
    parts = folds(problems, hold_out, seed=seed)
    leaky: dict[str, None] = {}
    before = _orders(problems, problems.outcomes, parts, routers, seed)
    for fold in parts:
        after = _orders(
            problems, _mixed(problems.outcomes, noise.outcomes, fold.test), parts, routers, seed
        )
        for name in routers:
            if (before[name][fold.test] != after[name][fold.test]).any():
                leaky[f"router {name}"] = None
    return found + list(leaky)


def _changed(one: Known, other: Known) -> list[str]:
    """Names of the descriptors, and of the other things known, that differ."""
    names = [
        name for i, name in enumerate(one.names) if not np.array_equal(one.x[:, i], other.x[:, i])
    ]
    rest = ("failed", "observed", "cost", "upfront", "cells", "families", "route")
    return names + [
        name for name in rest if not np.array_equal(getattr(one, name), getattr(other, name))
    ]


def _mixed(outcomes: Outcomes, noise: Outcomes, rows: np.ndarray) -> Outcomes:
    wins, cost = outcomes.wins.copy(), outcomes.cost.copy()
    wins[rows] = noise.wins[rows]
    # What attempts cost is an outcome as well.
    cost[rows] *= 2.0
    return Outcomes(wins, outcomes.trials, cost)


def _orders(
    problems: Problems, outcomes: Outcomes, folds: list[Fold], routers: Sequence[str], seed: int
) -> dict[str, np.ndarray]:
    beliefs = learn(problems, outcomes, folds, routers)
    found = {}
    for name in routers:
        rng = np.random.default_rng([seed, 22])
        # A gate's share is decided over all problems together; its order and expected gain are each
        # problem's own.
        found[Router(name).value] = plan(name, beliefs, problems.arms, outcomes.trials, rng)[0][0]
    return found
