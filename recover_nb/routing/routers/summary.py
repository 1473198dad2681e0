"""From problem curves to rates, paired lifts with intervals, sign-flip tests, the null's share."""

import numpy as np

from recover_nb.core.labels import Router
from recover_nb.routing.routers.scoring import (
    BEST_FIXED,
    ORACLE,
    ORACLE_IN_SAMPLE,
    PUBLISHED_RULE,
    Curve,
)
from recover_nb.stats.resampling import Resamples, bootstrap_mean, exceedance, holm

#: Two-sided 95 % of a normal distribution.
NORMAL_95 = 1.959963984540054
#: Routers that do the same with every problem, but for how much they spend on it.
UNROUTED = (Router.SEQUENCE, Router.BLIND, Router.RETRY_GATE)
#: What is set against the comparators beside the routers: the rule to beat, and what there is to
#: gain.
BESIDE = (PUBLISHED_RULE, ORACLE, ORACLE_IN_SAMPLE)


def comparator_names(curves: dict[str, Curve], routers: list[str]) -> list[str]:
    """Return the names of what routers are compared with.

    That is what is no router, and what chooses no operator by the problem.
    """
    return [name for name in curves if name not in routers or name in UNROUTED]


def summarise_policies(
    curves: dict[str, Curve], routers: list[str], at: int, resamples: Resamples
) -> dict:
    """Rates of every policy, and every router's lift over the best fixed operator at every budget.

    Parameters
    ----------
    curves : dict of str to Curve
    routers : list of str
        Which of them are routers.
    at : int
        Place of the headline budget.
    resamples : Resamples
        Of the problems.

    Returns
    -------
    dict
        ``policies``: for each its ``kind``, ``rate`` with ``ci95``, the forward passes ``given``
        and, if one stops at the first correct attempt, ``paid``, and its ``curve`` with
        ``curve_ci95``. ``curves``: ``lift`` and ``ci95``.
    """
    n_budgets = next(iter(curves.values())).given.shape[1]
    best = curves[BEST_FIXED]
    lift = [
        np.stack([_paired(curves[name], best, k) for k in range(n_budgets)], axis=1)
        for name in routers
    ]
    columns = np.concatenate([*(curve.rescued for curve in curves.values()), *lift], axis=1)
    found = bootstrap_mean(columns, resamples)
    blocks = np.arange(columns.shape[1]).reshape(-1, n_budgets)
    policies, lifted = {}, {}
    for (name, curve), block in zip(curves.items(), blocks, strict=False):
        policies[name] = {
            "kind": "router" if name in routers else "comparator",
            "rate": float(found.value[block[at]]),
            "ci95": found.percentile[:, block[at]].tolist(),
            "given": float(curve.given[:, at].mean()),
            "paid": float(curve.paid[:, at].mean()),
            "curve": found.value[block].tolist(),
            "curve_ci95": found.percentile[:, block].T.tolist(),
        }
    for name, block in zip(routers, blocks[len(curves) :], strict=True):
        lifted[name] = {
            "lift": found.value[block].tolist(),
            "ci95": found.percentile[:, block].T.tolist(),
        }
    return {"policies": policies, "curves": lifted}


def _paired(router: Curve, other: Curve, at: int) -> np.ndarray:
    """Return each problem's difference in rescue at a budget, less the worth of its unequal share.

    A gate gives some problems more than others. The sums agree, so the mean is the plain one; in a
    resample they do not, and what the surplus bought at the margin is taken off.
    """
    surplus = (router.given - other.given)[:, at]
    return (
        router.rescued[:, at]
        - other.rescued[:, at]
        - _slope(router.rescued, router.given, at) * surplus
    )


def _slope(rescued: np.ndarray, cost: np.ndarray, at: int) -> float:
    """Rescue per forward pass around a budget, over all problems."""
    low, high = max(at - 1, 0), min(at + 1, rescued.shape[1] - 1)
    width = (cost[:, high] - cost[:, low]).mean()
    return float((rescued[:, high] - rescued[:, low]).mean() / width) if width > 0 else 0.0


def headline(
    curves: dict[str, Curve],
    routers: list[str],
    at: int,
    resamples: Resamples,
    n_permutations: int,
    rng: np.random.Generator,
) -> dict:
    """Lift of every router over every comparator at one budget.

    Parameters
    ----------
    curves, routers, at, resamples
        As in `summarise_policies`.
    n_permutations : int
        Sign flips of whole questions.
    rng : numpy Generator
        Draws them.

    Returns
    -------
    dict
        By router (and `BESIDE`) and comparator: ``lift``, ``ci95`` (percentile) and ``ci95_bca`` of
        the paired bootstrap, one-sided ``p`` of a sign-flip test, ``p_holm`` over routers (NaN
        beside them); and at equal *paid* cost, where everyone stops at the first correct attempt,
        ``paid_lift`` with ``paid_ci95`` (NaN where the comparator's curve ends before).
    """
    others = comparator_names(curves, routers)
    cluster = resamples.clusters
    signs = rng.choice([-1.0, 1.0], size=(n_permutations, int(cluster.max()) + 1))
    out: dict = {name: {} for name in (*routers, *BESIDE)}
    for other in others:
        mine = [name for name in out if name != other]
        lift = np.stack([_paired(curves[name], curves[other], at) for name in mine], axis=1)
        paid = np.stack([_paired_paid(curves[name], curves[other], at) for name in mine], axis=1)
        found = bootstrap_mean(lift, resamples)
        known = ~np.isnan(paid).any(axis=0)
        found_paid = bootstrap_mean(np.where(known, paid, 0.0), resamples)
        sums = np.stack([np.bincount(cluster, lift[:, i]) for i in range(len(mine))], axis=1)
        flipped = signs @ sums
        p = np.array([exceedance(sums[:, i].sum(), flipped[:, i]) for i in range(len(mine))])
        adjusted = holm(np.where([name in routers for name in mine], p, np.nan))
        for i, name in enumerate(mine):
            ends = found_paid.percentile[:, i] if known[i] else np.array([np.nan, np.nan])
            out[name][other] = {
                "lift": float(found.value[i]),
                "ci95": found.percentile[:, i].tolist(),
                "ci95_bca": found.bca[:, i].tolist(),
                "p": float(p[i]),
                "p_holm": float(adjusted[i]),
                "paid_lift": float(found_paid.value[i]) if known[i] else float("nan"),
                "paid_ci95": ends.tolist(),
            }
    return out


def _paired_paid(router: Curve, other: Curve, at: int) -> np.ndarray:
    """Difference in rescue of each problem where both pay the same on average.

    Everyone stops at the first correct attempt.
    """
    level = router.paid[:, at].mean()
    means = other.paid.mean(axis=0)
    if not means[0] <= level <= means[-1]:
        return np.full(len(router.paid), np.nan)
    high = max(int(np.searchsorted(means, level)), 1)
    width = means[high] - means[high - 1]
    part = (level - means[high - 1]) / width if width > 0 else 0.0
    rescued = other.rescued[:, high - 1] + part * (
        other.rescued[:, high] - other.rescued[:, high - 1]
    )
    paid = other.paid[:, high - 1] + part * (other.paid[:, high] - other.paid[:, high - 1])
    worth = _slope(other.rescued, other.paid, high)
    return router.rescued[:, at] - rescued - worth * (router.paid[:, at] - paid)


def null_lifts(curves: dict[str, Curve], routers: list[str]) -> dict[str, dict[str, float]]:
    """Lift of each router over each comparator in one simulated study, at its only budget."""
    rates = {name: float(curve.rescued[:, 0].mean()) for name, curve in curves.items()}
    others = comparator_names(curves, routers)
    return {
        name: {other: rates[name] - rates[other] for other in others if other != name}
        for name in (*routers, *BESIDE)
    }


def summarise_null_lifts(lifts: dict, draws: list[dict[str, dict[str, float]]]) -> None:
    """Add to each lift what it is when no operator differs from retry, and what is left.

    Parameters
    ----------
    lifts : dict
        From `headline`; gains ``null_mean``, ``null_sd``, ``excess`` and ``excess_ci95``.
    draws : list of dict
        From `null_lifts`, one a simulated study.

    Notes
    -----
    The interval of the excess is that of the lift, wider by the error of the null's mean at both
    ends.
    """
    for name, found in lifts.items():
        for other, item in found.items():
            values = np.array([draw[name][other] for draw in draws])
            mean, sd = (
                float(values.mean()),
                float(values.std(ddof=1)) if len(values) > 1 else float("nan"),
            )
            error = NORMAL_95 * sd / np.sqrt(len(values)) if len(values) > 1 else 0.0
            low, high = item["ci95"]
            item |= {"null_mean": mean, "null_sd": sd, "excess": item["lift"] - mean}
            item["excess_ci95"] = [low - mean - error, high - mean + error]
