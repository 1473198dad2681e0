"""How many failed problems each strategy solves as every problem may cost more.

See docs/method.md#cost-dial.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from recover_nb.core.checks import check_whole
from recover_nb.core.errors import InputError
from recover_nb.core.labels import HoldOut, Intervention, Router
from recover_nb.core.schema import PROBLEM
from recover_nb.routing.populations import first_failed
from recover_nb.routing.routers.folds import make_folds
from recover_nb.routing.routers.inputs import (
    COUNTED,
    Outcomes,
    Problems,
    choosable,
    read_problems,
)
from recover_nb.routing.routers.judge import BEST_FIXED, PUBLISHED_RULE, Sides, choose
from recover_nb.routing.routers.replay import RETRY, missed, rescued, worth
from recover_nb.routing.routers.rules import taken

#: Forward passes per problem, of both models together.
BUDGETS = tuple(range(0, 301, 5))
#: Shown beside the strategies, where a study has them: the rule does not choose among these.
OTHERS = (Intervention.ANCESTOR.value, Intervention.CALCULATOR.value)
COUNT = Router.COUNT.value


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
        Of the folds of questions: ``best_fixed`` and ``count`` learn from other questions.

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
    everything = read_problems(few, interventions=[*choosable(ds), *others])
    n_arms = len(everything.arms) - len(others)
    outcomes, known = everything.outcomes, everything.known
    share = np.broadcast_to(given[:, None], (len(given), len(known.failed)))
    value = worth(_repeated(outcomes, len(given)), share)
    choices = _choices(everything, value[..., :n_arms], n_arms, seed)
    by_name = {name: taken(value, choice) for name, choice in choices.items()}
    by_name |= {name: value[..., everything.arms.index(name)] for name in others}
    answers = known.observed - n_first
    # The rule needs what both models make of an answer; a count needs no more than the answer.
    price = {
        name: passes / known.observed
        for name, passes in ((PUBLISHED_RULE, known.upfront), (COUNT, known.counting))
    }
    paid = {
        name: taken(reading_first(outcomes, answers, each, share), choices[name])
        for name, each in price.items()
    }
    return Dial(
        budgets=tuple(int(each) for each in budgets),
        solved={name: each.mean(axis=1) for name, each in by_name.items()},
        counted={name: paid.get(name, each).mean(axis=1) for name, each in by_name.items()},
        upfront={
            name: float((price[name] * answers).mean()) if name in price else 0.0
            for name in by_name
        },
        operators=_commonest(choices[BEST_FIXED], everything.arms),
        retry_cost=float(outcomes.cost[:, RETRY].mean()),
        n=len(known.failed),
        n_first=n_first,
        n_observed=int(known.observed.max()),
    )


def reading_first(
    outcomes: Outcomes, answers: np.ndarray, price: np.ndarray, budget: np.ndarray
) -> np.ndarray:
    """Return what each operator rescues where answers are read, and paid for, before it.

    Parameters
    ----------
    outcomes : Outcomes
    answers : int array, shape (problem,)
        Answers that are read. They take the place of the retries, and one is right as often.
    price : float array, shape (problem,)
        Of reading one, in forward passes.
    budget : float array, shape (budget, problem)

    Returns
    -------
    float64 array, shape (budget, problem, arm)
    """
    wins, trials, cost = outcomes.wins, outcomes.trials, outcomes.cost
    read = np.minimum(budget / price, answers)
    wrong = missed(wins[:, RETRY], trials[:, RETRY], np.minimum(read, trials[:, RETRY]))
    left = budget - read * price
    after = [np.zeros_like(left)]
    after += [rescued([(w, t, c)], left) for w, t, c in zip(wins.T, trials.T, cost.T, strict=True)][
        1:
    ]
    return 1.0 - wrong[..., None] * (1.0 - np.stack(after, axis=-1))


def _repeated(outcomes: Outcomes, n: int) -> Outcomes:
    wins = np.broadcast_to(outcomes.wins, (n, *outcomes.wins.shape))
    return Outcomes(wins, np.broadcast_to(outcomes.trials, wins.shape), outcomes.cost)


def _choices(
    problems: Problems, value: np.ndarray, n_arms: int, seed: int
) -> dict[str, np.ndarray]:
    """Return the arm that each strategy takes, (budget, problem)."""
    arms = problems.arms[:n_arms]
    counted = tuple(arms.index(name) for name in COUNTED if name in arms)
    sides = Sides(problems, problems, counted, int(problems.known.observed.max()))
    folds = make_folds(problems.known, HoldOut.QUESTION, seed=seed)
    found, _ = choose(sides, folds, value)
    return {name: found[name] for name in (arms[RETRY], PUBLISHED_RULE, BEST_FIXED, COUNT)}


def _commonest(choice: np.ndarray, arms: tuple[str, ...]) -> tuple[str, ...]:
    """Return which operator is taken for most problems, at each budget."""
    return tuple(arms[np.bincount(each, minlength=len(arms)).argmax()] for each in choice)
