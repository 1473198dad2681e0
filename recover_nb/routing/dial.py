"""How many failed problems each strategy solves as every problem may cost more.

See docs/method.md#cost-dial.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from recover_nb.core.checks import check_whole
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ROUTED_INTERVENTIONS, HoldOut, Intervention, Router
from recover_nb.core.schema import PROBLEM
from recover_nb.routing.populations import first_failed
from recover_nb.routing.routers.beliefs import learn
from recover_nb.routing.routers.folds import make_folds
from recover_nb.routing.routers.inputs import Outcomes, Problems, read_problems
from recover_nb.routing.routers.plans import plan
from recover_nb.routing.routers.replay import NOTHING, RETRY, fixed_order
from recover_nb.routing.routers.scoring import (
    BEST_FIXED,
    PUBLISHED_RULE,
    Curve,
    best_fixed,
    fixed_curves,
    follow,
)

#: Forward passes per problem, of both models together.
BUDGETS = tuple(range(0, 301, 5))
#: Shown beside the strategies, where a study has them: the rule does not choose among these.
OTHERS = (Intervention.ANCESTOR.value, Intervention.CALCULATOR.value)
LOOKALIKE = Router.LOOKALIKE.value


@dataclass(frozen=True)
class Dial:
    """What a budget buys.

    Attributes
    ----------
    budgets : tuple of int
        Forward passes per problem.
    solved : dict of str to float64 array, shape (budget,)
        Share of the problems that each strategy solves. What a strategy reads of a problem before
        it chooses costs nothing here.
    counted : dict of str to float64 array, shape (budget,)
        The same where the answers it reads are paid first. One of them is taken to be right as
        often as a retry, and solves the problem then.
    upfront : dict of str to float
        Forward passes for the answers that a strategy reads, mean over problems; 0 where it reads
        none.
    operators : tuple of str
        What ``best_fixed`` takes for most problems at each budget.
    retry_cost : float
        Forward passes of one retry, mean over problems.
    n, n_first, n_observed : int
        Problems; how many of their first answers were wrong, which is why they are counted; answers
        of each that are read.
    """

    budgets: tuple[int, ...]
    solved: dict[str, np.ndarray]
    counted: dict[str, np.ndarray]
    upfront: dict[str, float]
    operators: tuple[str, ...]
    retry_cost: float
    n: int
    n_first: int
    n_observed: int


def cost_curves(
    ds: xr.Dataset, *, budgets: Sequence[int] = BUDGETS, n_first: int = 1, seed: int = 0
) -> Dial:
    """Return the share of failed problems that strategies solve within rising budgets.

    Parameters
    ----------
    ds : Dataset
        A study with observed rollouts, attempts and their forward passes.
    budgets : sequence of int
        Forward passes per problem, rising.
    n_first : int
        Problems are counted whose first so many observed answers all failed.
    seed : int
        Of the folds of questions: ``best_fixed`` and ``lookalike`` learn from other questions.

    Returns
    -------
    Dial

    Raises
    ------
    InputError
        If a budget is negative or they do not rise, or the study does not store what is needed.

    Notes
    -----
    docs/method.md#cost-dial. An operator whose stored attempts are used up is followed by retries,
    and what is left when those are used up buys nothing.
    """
    check_whole("n_first", n_first, 1)
    given = np.asarray(budgets, dtype=float)
    if not len(given) or given[0] < 0 or (np.diff(given) <= 0).any():
        raise InputError(
            "budgets must be at least 0 and rise; given: " + ", ".join(map(str, given))
        )
    few = ds.isel({PROBLEM: np.flatnonzero(first_failed(ds, n_first))})
    others = [name for name in OTHERS if name in ds["intervention"].values]
    everything = read_problems(few, interventions=[*ROUTED_INTERVENTIONS, *others])
    problems = _without(everything, len(others))
    share = np.broadcast_to(given, (problems.outcomes.wins.shape[0], len(given)))
    curves = dict(
        zip(everything.arms, fixed_curves(everything, everything.outcomes, share), strict=True)
    )
    folds = make_folds(problems, HoldOut.QUESTION, seed=seed)
    operators = [curves[name] for name in ROUTED_INTERVENTIONS]
    best = best_fixed(operators, folds)
    orders = _orders(problems, folds, given[-1], seed)
    known = problems.known
    answers = known.observed - n_first
    # The rule needs what both models make of an answer; a count needs no more than the answer.
    price = {PUBLISHED_RULE: known.upfront / known.observed, LOOKALIKE: known.cost}
    retry = Intervention.RETRY.value
    by_name = {name: follow(order, problems.outcomes, share) for name, order in orders.items()}
    by_name |= {retry: curves[retry], BEST_FIXED: best} | {name: curves[name] for name in others}
    paid = {
        name: follow(*reading_first(orders[name], problems.outcomes, answers, each), share)
        for name, each in price.items()
    }
    names = (retry, PUBLISHED_RULE, BEST_FIXED, LOOKALIKE, *others)
    return Dial(
        budgets=tuple(int(each) for each in budgets),
        solved={name: by_name[name].rescued.mean(axis=0) for name in names},
        counted={name: paid.get(name, by_name[name]).rescued.mean(axis=0) for name in names},
        upfront={
            name: float((price[name] * answers).mean()) if name in price else 0.0 for name in names
        },
        operators=_commonest(best, operators),
        retry_cost=float(problems.outcomes.cost[:, RETRY].mean()),
        n=len(share),
        n_first=n_first,
        n_observed=int(known.observed.max()),
    )


def reading_first(
    order: np.ndarray, outcomes: Outcomes, answers: np.ndarray, price: np.ndarray
) -> tuple[np.ndarray, Outcomes]:
    """Put the answers that are read before an order of attempts, as an arm of their own.

    Parameters
    ----------
    order : int array, shape (problem, step)
    outcomes : Outcomes
    answers : int array, shape (problem,)
        Answers that are read. They take the place of the retries, which are left out of `order`.
    price : float array, shape (problem,)
        Of reading one, in forward passes.

    Returns
    -------
    order : int array, shape (problem, answer + step)
    outcomes : Outcomes
        With one arm more, the last: right as often as a retry.
    """
    arm = outcomes.wins.shape[1]
    place = np.arange(int(answers.max(initial=0)))
    first = np.where(place < answers[:, None], arm, NOTHING)
    after = np.where(order == RETRY, NOTHING, order)
    retry = (outcomes.wins[:, RETRY], outcomes.trials[:, RETRY], price)
    columns = (outcomes.wins, outcomes.trials, outcomes.cost)
    joined = (np.column_stack(pair) for pair in zip(columns, retry, strict=True))
    return np.concatenate([first, after], axis=1), Outcomes(*joined)


def _without(everything: Problems, n_others: int) -> Problems:
    """Return the same problems without the last arms."""
    n = len(everything.arms) - n_others
    outcomes = everything.outcomes
    kept = Outcomes(outcomes.wins[:, :n], outcomes.trials[:, :n], outcomes.cost[:, :n])
    return replace(everything, arms=everything.arms[:n], outcomes=kept)


def _orders(problems: Problems, folds: list, largest: float, seed: int) -> dict[str, np.ndarray]:
    """Return the order of attempts of each strategy that reads answers first."""
    outcomes = problems.outcomes
    beliefs = learn(problems, outcomes, folds, [LOOKALIKE])
    # Half as many again as the largest budget has retries, as `score_routers` has it.
    steps = 2 + int(np.ceil(1.5 * (largest / outcomes.cost[:, RETRY]).max()))
    rng = np.random.default_rng([seed, 18])
    ((order, _),) = plan(LOOKALIKE, beliefs, problems.arms, outcomes.trials, rng, steps=steps)
    return {
        PUBLISHED_RULE: fixed_order(problems.known.route, outcomes.trials),
        LOOKALIKE: order,
    }


def _commonest(best: Curve, operators: list[Curve]) -> tuple[str, ...]:
    """Return which operator's curve is taken for most problems, at each budget."""
    same = np.stack([(curve.rescued == best.rescued).sum(axis=0) for curve in operators])
    return tuple(str(ROUTED_INTERVENTIONS[place]) for place in same.argmax(axis=0))
