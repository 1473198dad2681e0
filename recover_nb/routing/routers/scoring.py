"""What routers and what they are compared with rescue at equal cost, problem by problem."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recover_nb.core.labels import DETERMINISTIC
from recover_nb.routing.routers.beliefs import GATES, learn
from recover_nb.routing.routers.folds import Fold
from recover_nb.routing.routers.inputs import Outcomes, Problems
from recover_nb.routing.routers.plans import plan
from recover_nb.routing.routers.replay import (
    RETRY,
    fixed_order,
    replay,
    share_out,
    stopped_spending,
    within,
)

BEST_FIXED, PUBLISHED_RULE = "best_fixed", "published"
RANDOM, PERMUTED, ORACLE, ORACLE_IN_SAMPLE = "random", "permuted", "oracle", "oracle_in_sample"


@dataclass(frozen=True)
class Curve:
    """What a policy does with rising budgets, problem by problem.

    Attributes
    ----------
    rescued : float64 array, shape (problem, budget)
        Probability that at least one attempt within the budget is correct.
    given : float64 array, shape (problem, budget)
        Cost the problem may have.
    paid : float64 array, shape (problem, budget)
        Cost expected to be paid when one stops at the first correct attempt.
    """

    rescued: np.ndarray
    given: np.ndarray
    paid: np.ndarray


def budgets_of(outcomes: Outcomes, retries: Sequence[int]) -> np.ndarray:
    """Return the cost of so many retries of each problem, (problem, budget)."""
    return outcomes.cost[:, [RETRY]] * np.asarray(retries, dtype=float)


def follow(order: np.ndarray, outcomes: Outcomes, given: np.ndarray) -> Curve:
    """Replay an order of attempts within a given cost (problem, budget)."""
    spent, rescued = replay(order, outcomes.wins, outcomes.trials, outcomes.cost)
    return Curve(
        within(spent, rescued, given), given, within(spent, stopped_spending(spent, rescued), given)
    )


def fixed_curves(problems: Problems, outcomes: Outcomes, given: np.ndarray) -> list[Curve]:
    """Return a curve for each arm: that operator for every problem, then retries.

    Retries follow once the operator has no attempt left.
    """
    n = len(outcomes.wins)
    return [
        follow(fixed_order(np.full(n, arm), outcomes.trials), outcomes, given)
        for arm in range(len(problems.arms))
    ]


def pick(curves: list[Curve], choice: np.ndarray) -> Curve:
    """Follow the curve of each problem's choice (problem,) or (problem, budget)."""
    n, n_budgets = curves[0].rescued.shape
    choice = np.broadcast_to(choice.reshape(n, -1), (n, n_budgets))[None]
    parts = (
        np.stack([getattr(curve, name) for curve in curves])
        for name in ("rescued", "given", "paid")
    )
    return Curve(*(np.take_along_axis(part, choice, axis=0)[0] for part in parts))


def mix(curves: list[Curve], shares: np.ndarray) -> Curve:
    """Average curves with shares (problem, arm)."""
    parts = (
        np.stack([getattr(curve, name) for curve in curves])
        for name in ("rescued", "given", "paid")
    )
    return Curve(*(np.einsum("akb,ka->kb", part, shares) for part in parts))


def best_fixed(fixed: list[Curve], folds: list[Fold]) -> Curve:
    """At each budget the arm, retry among them, that rescues most of the problems learned from."""
    rescued = np.stack([curve.rescued for curve in fixed])
    choice = np.zeros(rescued.shape[1:], dtype=np.int64)
    for fold in folds:
        for test, near in fold.parts:
            choice[test] = rescued[:, near].mean(axis=1).argmax(axis=0)
    return pick(fixed, choice)


def comparators(
    problems: Problems,
    outcomes: Outcomes,
    given: np.ndarray,
    n_halvings: int,
    rng: np.random.Generator,
) -> dict[str, Curve]:
    """Return curves of everything that learns from no other problem.

    These are each arm, the published rule, random and permuted routes, and oracles.

    Parameters
    ----------
    problems : Problems
    outcomes : Outcomes
    given : float array, shape (problem, budget)
        Cost.
    n_halvings : int
        Halvings of the attempts that ``oracle`` is averaged over.
    rng : numpy Generator
        Draws the halvings.

    Returns
    -------
    dict of str to Curve
        ``oracle_in_sample`` takes the arm that rescued most on the very attempts it is scored on,
        and is flattered. ``oracle`` takes the arm that did on one half of them and is scored on the
        other (`_halved_oracle`).
    """
    fixed = fixed_curves(problems, outcomes, given)
    n, n_arms = outcomes.wins.shape
    route = problems.known.route
    shares = np.zeros((n, n_arms))
    for cell in np.unique(problems.known.cells):
        rows = problems.known.cells == cell
        shares[rows] = np.bincount(route[rows], minlength=n_arms) / rows.sum()
    even = np.full((n, n_arms), 1.0 / (n_arms - 1))
    even[:, RETRY] = 0.0
    in_sample = np.stack([curve.rescued for curve in fixed]).argmax(axis=0)
    return {
        **dict(zip(problems.arms, fixed, strict=True)),
        PUBLISHED_RULE: pick(fixed, route),
        RANDOM: mix(fixed, even),
        PERMUTED: mix(fixed, shares),
        ORACLE: _halved_oracle(problems, outcomes, given, n_halvings, rng),
        ORACLE_IN_SAMPLE: pick(fixed, in_sample),
    }


def _halved_oracle(
    problems: Problems,
    outcomes: Outcomes,
    given: np.ndarray,
    n_halvings: int,
    rng: np.random.Generator,
) -> Curve:
    """Follow the arm that rescued most on one half of the attempts, scored on the other half.

    This is done over random halvings.

    A deterministic operator is not halved: its attempts are all that can be known of it. With half
    of the attempts the curve of a large budget runs out of them and is too low.
    """
    whole = np.array([name in DETERMINISTIC for name in problems.arms]) | (outcomes.trials < 2).any(
        axis=0
    )
    trials = np.where(whole, outcomes.trials, outcomes.trials // 2)
    rest = np.where(whole, outcomes.trials, outcomes.trials - trials)
    wrong = outcomes.trials - outcomes.wins
    sums = np.zeros((3, *given.shape))
    for _ in range(n_halvings):
        drawn = rng.hypergeometric(outcomes.wins, wrong, trials)
        wins = np.where(whole, outcomes.wins, drawn)
        left = np.where(whole, outcomes.wins, outcomes.wins - drawn)
        chosen = fixed_curves(problems, Outcomes(wins, trials, outcomes.cost), given)
        choice = np.stack([curve.rescued for curve in chosen]).argmax(axis=0)
        scored = pick(fixed_curves(problems, Outcomes(left, rest, outcomes.cost), given), choice)
        sums += np.stack([scored.rescued, scored.given, scored.paid])
    return Curve(*(sums / n_halvings))


def score_routers(
    problems: Problems,
    outcomes: Outcomes,
    folds: list[Fold],
    routers: Sequence[str],
    given: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, Curve]:
    """Learn, plan and replay every router.

    Parameters
    ----------
    problems : Problems
        What is known; its own outcomes are not looked at.
    outcomes : Outcomes
        Learned from outside a problem's fold, and scored on.
    folds : list of Fold
    routers : sequence of str
    given : float array, shape (problem, budget)
        Cost of each problem. A gate shares out their sum over the problems of a cell.
    rng : numpy Generator
        For routers that draw, and ties of a gate.

    Returns
    -------
    dict of str to Curve
    """
    beliefs = learn(problems, outcomes, folds, routers)
    # Half as many again as the largest budget has retries: attempts are rarely cheaper than a
    # retry.
    enough = 2 + int(np.ceil(1.5 * (given[:, -1] / outcomes.cost[:, RETRY]).max()))
    found = {}
    for router in routers:
        curves = []
        steps = None if router in GATES else enough
        for order, gain in plan(router, beliefs, problems.arms, outcomes.trials, rng, steps=steps):
            share = given
            if router in GATES:
                share = _share_in_cells(problems, outcomes, order, gain, given, rng)
            curves.append(follow(order, outcomes, share))
        found[router] = mix(curves, np.full((len(given), len(curves)), 1.0 / len(curves)))
    return found


def _share_in_cells(
    problems: Problems,
    outcomes: Outcomes,
    order: np.ndarray,
    gain: np.ndarray,
    given: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Share out by expected gain what a cell's problems are given: no cell lives off another."""
    spent, _ = replay(order, outcomes.wins, outcomes.trials, outcomes.cost)
    share = np.zeros_like(given)
    for cell in np.unique(problems.known.cells):
        rows = np.flatnonzero(problems.known.cells == cell)
        share[rows] = share_out(gain[rows], spent[rows], given[rows].sum(axis=0), rng)
    return share
