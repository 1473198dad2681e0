"""Rules that give each problem a plan, and which of them a study supports.

See docs/method.md#21-recovery.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recover_nb.core.errors import InputError
from recover_nb.core.labels import FEATURES
from recover_nb.routing.policy import PUBLISHED, route_codes
from recover_nb.routing.recovery.plans import RETRY, Plan, course, make_plans, stages, worth
from recover_nb.routing.recovery.reading import Seen, Tried
from recover_nb.routing.routers.folds import N_FOLDS
from recover_nb.routing.routers.rules import learnt, taken
from recover_nb.stats.classification import grouped_folds
from recover_nb.stats.ties import first_largest

#: From the simplest on: of rules that do about as well, the first is taken.
RULES = ("retry", "fixed", "count", "cell", "learnt", "published")
ABOUT = {
    "retry": "ask again until the budget is spent",
    "fixed": "one arm at once, the same for every problem",
    "count": "one arm, after so many wrong answers",
    "cell": "the same, chosen for each family, method and task",
    "learnt": "a ridge regression on level, lengths and agreement picks arm and number",
    "published": "features of the wrong answers pick the operator",
}


@dataclass(frozen=True)
class Options:
    """Plans at one budget, and what they came to on the problems learned from.

    Attributes
    ----------
    tried : Tried
    plans : list of Plan
        Those of `published` last.
    rest : int
        Passes after the observed answers.
    n_free : int
        Plans that need no features.
    routes : tuple of int
        Place of the plan of each feature's operator, then of the fallback; empty without features.
    """

    tried: Tried
    plans: list[Plan]
    rest: int
    n_free: int
    routes: tuple[int, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """Rules that can be followed here."""
        return tuple(name for name in RULES if name != "published" or self.routes)

    def worth(self, tried: Tried | None = None, wins: np.ndarray | None = None) -> np.ndarray:
        """Return how likely each plan rescues each problem, (..., problem, plan).

        Parameters
        ----------
        tried : Tried, optional
            Of other problems. A plan whose arm it does not have is NaN.
        wins : int array, shape (..., problem, arm), optional
            In place of those of `tried`.
        """
        of = tried or self.tried
        won = of.wins if wins is None else wins
        found = np.full((*won.shape[:-1], len(self.plans)), np.nan)
        known = [i for i, plan in enumerate(self.plans) if plan.arm in of.arms]
        some = [self.plans[i] for i in known]
        found[..., known] = worth(some, self.rest, self.tried.prices, of.arms, won, of.trials)
        return found


def options(tried: Tried, budget: int) -> Options:
    """Return the plans that a budget allows.

    Raises
    ------
    InputError
        Nothing is left after the observed answers, or fewer attempts are stored.
    """
    prices, rest = tried.prices, budget - tried.prices.n_rollouts
    if rest < 1:
        raise InputError(
            f"budget must be above the {prices.n_rollouts} observed answer(s), got {budget}; give"
            " more passes, or observe fewer answers"
        )
    if budget > tried.largest_budget:
        raise InputError(
            f"budget must be at most {tried.largest_budget}, which the study's retries reach, got"
            f" {budget}; pass a study with more attempts"
        )
    plans = make_plans(tried.arms, rest, prices)
    n_free, wanted = len(plans), [PUBLISHED.operators[each] for each in FEATURES]
    wanted.append(PUBLISHED.fallback)
    readable = set(wanted) <= set(tried.arms) and not np.isnan(tried.seen.features).all()
    reading = [Plan(arm, 0, reads=True) for arm in wanted]
    if not readable or any(stages(plan, rest, prices) is None for plan in reading):
        return Options(tried, plans, rest, n_free, ())
    plans += [plan for plan in reading if plan not in plans]
    return Options(tried, plans, rest, n_free, tuple(plans.index(plan) for plan in reading))


def follow(
    rule: str, given: Options, value: np.ndarray, rows: np.ndarray, wanted: Seen
) -> np.ndarray:
    """Return the plan that a rule gives each problem, (..., problem) int.

    Parameters
    ----------
    rule : str
    given : Options
    value : float array, shape (..., problem, plan)
        Of the problems that `given` was made of.
    rows : int array
        Those among them that are learned from.
    wanted : Seen
        Of the problems planned for.
    """
    lead, n = value.shape[:-2], len(wanted.cell)
    near = value[..., rows, :]
    if rule == "retry":
        return np.zeros((*lead, n), dtype=np.int64)
    if rule == "published":
        return np.broadcast_to(_routed(given, rows, wanted), (*lead, n))
    free = np.arange(given.n_free)
    if rule == "learnt":
        x = given.tried.seen.x[rows]
        known = ~np.isnan(x)
        middle = np.where(known, x, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        return learnt(_filled(x, middle), near[..., free], _filled(wanted.x, middle))
    if rule == "fixed":
        free = np.array([i for i in free if given.plans[i].after == 0])
    choice = np.broadcast_to(_best(near[..., free])[..., None], (*lead, n)).copy()
    if rule == "cell":
        cells = given.tried.seen.cell[rows]
        for name in np.unique(wanted.cell):
            mine = cells == name
            if mine.any():
                choice[..., wanted.cell == name] = _best(near[..., mine, :][..., free])[..., None]
    return free[choice]


def _filled(x: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return descriptors with what is not known in the middle, where it tells nothing."""
    return np.where(np.isnan(x), middle, x)


def _best(value: np.ndarray) -> np.ndarray:
    return first_largest(value.mean(axis=-2).round(12))


def _routed(given: Options, rows: np.ndarray, wanted: Seen) -> np.ndarray:
    """Return the plan of the operator that the features call for; `retry` where they are unknown.

    Z-scores are those of the problems learned from, in the same cell where there are any.
    """
    near = given.tried.seen.take(rows)
    known = np.isin(wanted.cell, near.cell)
    cells = np.concatenate([near.cell, np.where(known, wanted.cell, "")])
    features = np.concatenate([near.features, wanted.features])
    learned = np.arange(len(cells)) < len(rows)
    codes = route_codes(features, cells, population=learned)
    if not known.all():
        every = route_codes(features, np.full(len(cells), ""), population=learned)
        codes = np.where(np.isin(cells, near.cell), codes, every)
    places = np.array([*given.routes, 0])
    return places[codes[len(rows) :]]


def judge_rules(given: Options, value: np.ndarray, folds: np.ndarray) -> dict[str, np.ndarray]:
    """Return what each rule rescues of each problem, learned on the other folds, (..., problem)."""
    found = {}
    for rule in given.rules:
        choice = np.zeros(value.shape[:-1], dtype=np.int64)
        for fold in np.unique(folds):
            mine, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            choice[..., mine] = follow(rule, given, value, rest, given.tried.seen.take(mine))
        found[rule] = taken(value, choice)
    return found


def question_folds(tried: Tried, seed: int) -> np.ndarray:
    """Return folds of whole questions, (problem,) int."""
    cells = np.unique(tried.seen.cell, return_inverse=True)[1]
    return grouped_folds(cells, tried.question, N_FOLDS, np.random.default_rng([seed, 11]))


def pick(rescued: dict[str, np.ndarray], question: np.ndarray) -> str:
    """Return the simplest rule that is within one standard error of the best.

    Parameters
    ----------
    rescued : dict of str to float array, shape (problem,)
        From `judge_rules`, simplest first.
    question : array, shape (problem,)
        Problems of one question move together.
    """
    means = {name: float(each.mean()) for name, each in rescued.items()}
    best = max(means, key=lambda name: round(means[name], 12))
    groups = np.unique(question, return_inverse=True)[1]
    for name, each in rescued.items():
        lag = rescued[best] - each
        if lag.mean() <= _standard_error(lag, groups) + 1e-12:
            return name
    return best


def _standard_error(values: np.ndarray, groups: np.ndarray) -> float:
    total = np.bincount(groups, weights=values - values.mean())
    n = max(len(total), 2)
    return float(np.sqrt(n / (n - 1) * (total**2).sum()) / len(values))


def choose_rule(
    tried: Tried, budget: int, *, rule: str | None = None, seed: int = 0
) -> tuple[str, Options, np.ndarray]:
    """Return the rule that a study supports at a budget, its plans, and what they are worth.

    Raises
    ------
    InputError
        What `options` refuses, or a `rule` that is asked for cannot be followed.
    """
    given = options(tried, budget)
    value = given.worth()
    if rule is not None:
        if rule not in given.rules:
            raise InputError(
                f"rule must be one of {', '.join(given.rules)}, got {rule!r}; it needs features,"
                " the published operators, and passes to read the observed answers"
            )
        return rule, given, value
    if len(given.plans) == 1:
        return RETRY, given, value
    rescued = judge_rules(given, value, question_folds(tried, seed))
    return pick(rescued, tried.question), given, value


def stop_after(given: Options, plan: Plan, rows: np.ndarray, stop_below: float) -> int:
    """Return after how many attempts a plan no longer pays.

    Parameters
    ----------
    given : Options
    plan : Plan
    rows : int array
        Problems learned from that the expectation is over.
    stop_below : float
        Least rescue for each pass that is worth going on.
    """
    steps = stages(plan, given.rest, given.tried.prices) or []
    some = given.tried.take(rows)
    wrong, price = course(steps, given.tried.prices, some.arms, some.wins, some.trials)
    left, spent = wrong.mean(axis=0), np.concatenate([[0.0], price[0].cumsum()])
    spent[1:] += given.tried.prices.n_rollouts * plan.reads
    for made in range(len(left) - 1):
        rescued = 1.0 - left[made + 1 :] / left[made] if left[made] > 0 else np.zeros(1)
        if (rescued / (spent[made + 1 :] - spent[made])).max() < stop_below:
            return made
    return len(left) - 1


def said_plans(given: Options, choice: np.ndarray) -> str:
    """Say the plans that were chosen, the commonest first."""
    places, counts = np.unique(choice, return_counts=True)
    order: Sequence[int] = places[np.argsort(-counts, kind="stable")].tolist()
    said = [str(given.plans[place]) for place in order[:3]]
    return "; ".join(said) + ("; ..." if len(order) > 3 else "")
