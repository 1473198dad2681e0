"""What a policy gains over asking again at equal passes: chosen on one study, judged on another.

See docs/method.md#21-recovery.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.result import labelled
from recover_nb.routing.best_arm import dealt
from recover_nb.routing.recovery.choosing import (
    RULES,
    Options,
    follow,
    judge_rules,
    options,
    pick,
    question_folds,
    said_plans,
)
from recover_nb.routing.recovery.gain_result import POLICIES, RecoveryGain
from recover_nb.routing.recovery.plans import course, stages
from recover_nb.routing.recovery.reading import ANCESTOR, Tried, read_tried, stored_arms
from recover_nb.routing.routers.rules import taken
from recover_nb.stats.resampling import (
    Resamples,
    bootstrap_ratio,
    bootstrap_weights,
    checkpoint_interval,
    exceedance,
)

#: Passes a problem, the one that is spoken of last.
BUDGETS = (2, 4, 8)
_ENDS = ("low", "high", "low_checkpoints", "high_checkpoints")
#: Studies without effect held at once.
_BLOCK = 50


@takes_study("ds", "test")
@checks.takes(
    budgets=checks.SIZES,
    n_rollouts=checks.ROLLOUTS,
    interventions=checks.NAMES,
    seed=checks.SEED,
    n_bootstrap=checks.COUNT,
    n_null=checks.DRAWS,
)
def recover_gain(
    ds: xr.Dataset,
    test: xr.Dataset | None = None,
    *,
    budgets: Sequence[int] = BUDGETS,
    n_rollouts: int = 1,
    interventions: Sequence[str] | None = None,
    seed: int = 0,
    n_bootstrap: int = 2000,
    n_null: int = 200,
) -> RecoveryGain:
    """Measure what `rnb.recover` gains over asking again, at equal passes.

    Parameters
    ----------
    ds : Dataset
        The study that the rule is chosen on, by folds of questions.
    test : Dataset, optional
        The study that the chosen rule is judged on, once; no question of `ds` counts in it. Arms
        that it does not have are left out on both sides.
    budgets : sequence of int
        Model passes a problem, the observed answers among them; rising.
    n_rollouts : int
        Observed answers. Problems count where all of them were wrong.
    interventions : sequence of str, optional
        What may be done beside asking again; by default what both studies have of
        `recovery.reading.ARMS`.
    seed, n_bootstrap, n_null : int
        Of folds and resamples; resamples of questions; studies in which no arm differs (may be 0).

    Returns
    -------
    RecoveryGain

    Raises
    ------
    InputError
        A budget is not above `n_rollouts` or beyond the stored attempts, or a study lacks outcomes,
        passes or an arm.

    Notes
    -----
    docs/method.md#21-recovery. Nothing is decoded: what a plan rescues is exact over all orders of
    the stored attempts.

    See Also
    --------
    recover : The policy itself.
    compare_routers : Rules that know fifty observed answers.

    Examples
    --------
    What the bundled study says beforehand:

    >>> import recover_nb as rnb
    >>> found = rnb.recover_gain(rnb.load_study(), budgets=[4], n_bootstrap=200, n_null=0)
    >>> found.rule(4), found.plans(4)
    ('fixed', 'ancestor')
    """
    asked = [int(each) for each in budgets]
    if asked != sorted(set(asked)):
        raise InputError(f"budgets must rise, got {asked}; give each number once, the least first")
    studies = [ds] if test is None else [ds, test]
    if interventions is None:
        shared = [stored_arms(each) for each in studies]
        interventions = [name for name in shared[0] if name in shared[-1]]
    read = [read_tried(each, n_rollouts, interventions) for each in studies]
    arms = [name for name in read[0].arms if name in read[-1].arms]
    read = [each.only(arms) for each in read]
    if test is not None:
        new = ~np.isin(read[1].question, read[0].question)
        if not new.any():
            raise InputError(
                "test asks no question that ds does not ask, so nothing can be judged on it; pass"
                " a study of other problems, such as rnb.load_unseen()"
            )
        read[1] = read[1].take(np.flatnonzero(new))
    columns = []
    for policy in POLICIES:
        mine = [each.only(_allowed(arms, policy)) for each in read]
        at = [_at_budget(mine, budget, seed, n_bootstrap, n_null) for budget in asked]
        columns.append(xr.concat(at, "budget"))
    data = xr.concat(columns, "policy")
    settings = {
        "seed": seed,
        "n_rollouts": n_rollouts,
        "n_bootstrap": n_bootstrap,
        "n_null": n_null,
        "arms": arms,
        "n": [len(each.wins) for each in read],
        "questions": [len(np.unique(each.question)) for each in read],
        "judged": test is not None,
    }
    coords = {"policy": POLICIES, "budget": asked, "rule": RULES}
    named = {
        str(name): (tuple(map(str, each.dims)), each.values)
        for name, each in data.variables.items()
    }
    return RecoveryGain(labelled(named, coords, settings))


def _allowed(arms: Sequence[str], policy: str) -> list[str]:
    return [name for name in arms if policy == POLICIES[0] or name != ANCESTOR]


def _at_budget(
    read: Sequence[Tried], budget: int, seed: int, n_bootstrap: int, n_null: int
) -> xr.Dataset:
    """Return the figures of one policy at one budget."""
    dev, judged = read[0], read[-1]
    given = options(dev, budget)
    _check_reach(judged, budget)
    value, folds = given.worth(), question_folds(dev, seed)
    rescued = judge_rules(given, value, folds)
    rule = pick(rescued, dev.question)
    found = _of_rules(rescued, value[:, 0], _resamples(dev, seed, n_bootstrap), dev.checkpoint)
    found |= {"chosen": ((), rule), "dev_retry": ((), float(value[:, 0].mean()))}
    every = np.arange(len(dev.wins))
    found["plans"] = (), said_plans(given, follow(rule, given, value, every, dev.seen))
    if len(read) > 1:
        found |= _on_test(given, value, rule, judged, _resamples(judged, seed, n_bootstrap))
        null = _null_gains(given, judged, folds, n_null, np.random.default_rng([seed, 17]))
        gain = float(found["gain"][1])
        found["null_mean"] = (), float(null.mean()) if len(null) else np.nan
        found["null_sd"] = (), float(null.std(ddof=1)) if len(null) > 1 else np.nan
        found["p"] = (), exceedance(gain, null)
        found["gain_other_family"] = (), _from_other_family(dev, judged, budget, seed)
    return xr.Dataset(found)


def _check_reach(judged: Tried, budget: int) -> None:
    if budget > judged.largest_budget:
        raise InputError(
            f"budget must be at most {judged.largest_budget}, which the retries of test reach, got"
            f" {budget}; pass a study with more attempts"
        )


def _resamples(tried: Tried, seed: int, n_bootstrap: int) -> Resamples:
    rng = np.random.default_rng([seed, 12])
    return bootstrap_weights(tried.question, tried.task, n_bootstrap, rng)


def _of_rules(
    rescued: dict[str, np.ndarray], retry: np.ndarray, resamples: Resamples, checkpoint: np.ndarray
) -> dict:
    """Return share rescued and gain over `retry` of each rule, NaN for one that is not there."""
    columns = {name: [] for name in ("dev_rate", "dev_gain", *(f"dev_gain_{x}" for x in _ENDS))}
    for name in RULES:
        each = rescued.get(name)
        ends = [np.nan] * 5 if each is None else _gain(each - retry, resamples, checkpoint)
        values = (np.nan if each is None else each.mean(), *ends)
        for column, one in zip(columns.values(), values, strict=True):
            column.append(float(one))
    return {name: (("rule",), values) for name, values in columns.items()}


def _gain(gain: np.ndarray, resamples: Resamples, checkpoint: np.ndarray) -> list[float]:
    column, weight = gain[:, None], np.ones((len(gain), 1))
    found = bootstrap_ratio(column, weight, resamples, bca=False)
    wide = checkpoint_interval(column, weight, checkpoint)
    return [float(each[0]) for each in (found.value, *found.percentile, *wide)]


def _on_test(
    given: Options, value: np.ndarray, rule: str, judged: Tried, resamples: Resamples
) -> dict:
    """Return what the chosen rule rescues of problems that it has not seen, and what it spends."""
    learned = np.arange(len(given.tried.wins))
    choice = follow(rule, given, value, learned, judged.seen)
    theirs = given.worth(judged)
    rescued, retry = taken(theirs, choice), theirs[:, 0]
    names = ("gain", *(f"gain_{x}" for x in _ENDS))
    found = dict(zip(names, _gain(rescued - retry, resamples, judged.checkpoint), strict=True))
    found |= {"rate": rescued.mean(), "retry": retry.mean()}
    for name, plans in (("", choice), ("retry_", np.zeros_like(choice))):
        for unit, cost in (("passes", None), ("forward", judged.cost)):
            found[f"{name}{unit}"] = _spent(given, plans, judged, cost)
    return {name: ((), float(each)) for name, each in found.items()}


def _spent(given: Options, choice: np.ndarray, judged: Tried, cost: np.ndarray | None) -> float:
    """Return what is spent on a problem after its observed answers, mean; it ends when right."""
    total = 0.0
    for place in np.unique(choice):
        rows, plan = np.flatnonzero(choice == place), given.plans[place]
        steps = stages(plan, given.rest, given.tried.prices) or []
        some = judged.take(rows)
        own = None if cost is None else cost[rows]
        of = (given.tried.prices, judged.arms, some.wins, some.trials, own)
        wrong, price = course(steps, *of)
        total += float((wrong[:, :-1] * price).sum())
        if plan.reads:
            each = 1.0 if own is None else own[:, 0]
            total += float(np.sum(np.broadcast_to(each, len(rows)))) * judged.prices.n_rollouts
    return total / len(choice)


def _null_gains(
    given: Options, judged: Tried, folds: np.ndarray, n_null: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the gain where each problem's outcomes are dealt out to its arms anew, (study,).

    The rule is chosen again on each.
    """
    dev, gains = given.tried, []
    learned = np.arange(len(dev.wins))
    for start in range(0, n_null, _BLOCK):
        size = min(_BLOCK, n_null - start)
        wins, theirs = (dealt(each.trials, each.wins, size, rng) for each in (dev, judged))
        value, other = given.worth(wins=wins), given.worth(judged, theirs)
        rescued = judge_rules(given, value, folds)
        for i in range(size):
            rule = pick({name: each[i] for name, each in rescued.items()}, dev.question)
            choice = follow(rule, given, value[i], learned, judged.seen)
            gains.append(float((taken(other[i], choice) - other[i][:, 0]).mean()))
    return np.array(gains)


def _from_other_family(dev: Tried, judged: Tried, budget: int, seed: int) -> float:
    """Return the gain where the rule is chosen and learned on another family of models only."""
    families = np.unique(judged.family)
    gains = np.full(len(judged.wins), np.nan)
    for name in families:
        rest, mine = np.flatnonzero(dev.family != name), np.flatnonzero(judged.family == name)
        if not len(rest):
            return np.nan
        some, there = dev.take(rest), judged.take(mine)
        given = options(some, budget)
        value = given.worth()
        rule = pick(judge_rules(given, value, question_folds(some, seed)), some.question)
        choice = follow(rule, given, value, np.arange(len(rest)), there.seen)
        worth = given.worth(there)
        gains[mine] = taken(worth, choice) - worth[:, 0]
    return float(gains.mean())
