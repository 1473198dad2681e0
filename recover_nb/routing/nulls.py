"""The published estimator on studies without effect: what the winner's curse alone reports.

See docs/method.md#null-studies.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from recover_nb.core.labels import DETERMINISTIC
from recover_nb.routing.estimators import Draw, arms_apart, blocks, gather, score_best_fixed
from recover_nb.routing.lifts import Contributions
from recover_nb.routing.table import Table
from recover_nb.stats.binomial import binomial
from recover_nb.stats.resampling import ratio
from recover_nb.stats.ties import SLACK


def null(table: Table, rng: np.random.Generator, *, n_null: int) -> Contributions:
    """Repeat `published` on studies where every intervention is exactly as good as retry.

    Attempts are binomial with the problem's pooled rate (over retry and the interventions regimes
    are over, weighted by attempts) and as many attempts as were run; those of a deterministic
    intervention repeat one another as often as they do in the data (`repeating`).
    """

    def draws() -> Iterator[tuple[Draw, np.ndarray]]:
        for size in blocks(n_null, table.rate.size):
            yield _simulated(table, _binomial(table, range(len(table.arms)), size, rng), rng)

    return gather(table, draws())


def null_twins(table: Table, rng: np.random.Generator, *, n_null: int) -> Contributions:
    """Repeat `published` on studies without effect whose attempts are as twinned as the data's.

    Attempts of one (problem, rollout) share their random numbers, so the outcomes of an
    intervention and of retry agree more often than independent ones, and the winner's curse is
    smaller than `null` says. Here each attempt is, with the probability `twinning` finds, its
    retry's outcome over again, and otherwise drawn afresh at the pooled rate. Deterministic
    interventions are no twins: they are drawn as in `null`. Needs `Table.correct`.
    """
    shares = [twinning(table, arm) for arm in range(len(table.arms))]
    pooled = _pooled(table)
    retries = table.attempts[:, 0]

    def draws() -> Iterator[tuple[Draw, np.ndarray]]:
        for size in blocks(n_null, table.rate.size):
            rate = _binomial(table, range(len(table.arms)), size, rng)
            won = np.round(rate[..., 0] * retries).astype(np.int64)
            for arm in (arm for arm, share in enumerate(shares) if share > 0):
                trials = table.attempts[:, arm]
                # Which of the retries are repeated is a sample without replacement: rollouts are
                # exchangeable.
                same = rng.binomial(np.minimum(trials, retries), shares[arm], size=won.shape)
                wins = rng.hypergeometric(won, retries - won, same)
                rate[..., arm] = ratio(wins + rng.binomial(trials - same, pooled), trials)
            yield _simulated(table, rate, rng)

    return gather(table, draws())


def null_exchanged(table: Table, rng: np.random.Generator, *, n_null: int) -> Contributions:
    """Repeat `published` with each problem's outcomes dealt out to its arms anew.

    Where no arm differs from another, problem by problem, what was seen is one of these deals: the
    test is exact, whatever the problems are like. Attempts are dealt where each is right or wrong;
    else the arms of a problem change places.
    """
    wins = table.rate * table.attempts
    whole = bool(np.all(abs(wins - np.rint(wins)) < SLACK))

    def draws() -> Iterator[tuple[Draw, np.ndarray]]:
        for size in blocks(n_null, table.rate.size):
            if whole:
                rate = _dealt(np.rint(wins).astype(np.int64), table.attempts, size, rng)
            else:
                rate = rng.permuted(np.broadcast_to(table.rate, (size, *wins.shape)), axis=-1)
            yield _simulated(table, rate, rng)

    return gather(table, draws())


def _dealt(wins: np.ndarray, trials: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Deal the right attempts of each problem to its arms, (size, problem, arm), as rates."""
    rate = np.empty((size, *wins.shape))
    good = np.broadcast_to(wins.sum(axis=1), (size, len(wins)))
    left = trials.sum(axis=1)
    for arm in range(wins.shape[1]):
        drawn = rng.hypergeometric(good, left - good, trials[:, arm])
        rate[..., arm] = drawn / trials[:, arm]
        good, left = good - drawn, left - trials[:, arm]
    return rate


def twinning(table: Table, arm: int) -> float:
    """Share of an intervention's attempts that repeat the outcome of their retry.

    One less the rate at which the two disagree over the rate expected of independent attempts at
    one success probability, pooled over problems and cut to [0, 1]; 0 for retry itself and for
    deterministic interventions.
    """
    if arm == 0 or table.arms[arm] in DETERMINISTIC or table.correct is None:
        return 0.0
    mine, retry = table.correct[:, :, arm], table.correct[:, :, 0]
    both = (mine >= 0) & (retry >= 0)
    n = both.sum(axis=1)
    a, b = ((x == 1) & both for x in (mine, retry))
    apart = (a != b).sum(axis=1)
    # Pairs of different rollouts are independent: their disagreements tell what to expect of the
    # same rollout.
    wins_a, wins_b = a.sum(axis=1), b.sum(axis=1)
    crossed = wins_a * (n - wins_b) + wins_b * (n - wins_a) - apart
    expected = ratio(crossed, n - 1.0)
    known = ~np.isnan(expected)
    if expected[known].sum() == 0:
        return 0.0
    return float(np.clip(1 - apart[known].sum() / expected[known].sum(), 0.0, 1.0))


def _pooled(table: Table) -> np.ndarray:
    """Return each problem's rate pooled over retry and the interventions regimes are over.

    Rates are weighted by attempts.
    """
    used = slice(0, 1 + table.n_regime)
    attempts = table.attempts[:, used]
    return np.clip((table.rate[:, used] * attempts).sum(axis=1) / attempts.sum(axis=1), 0.0, 1.0)


def _binomial(table: Table, arms: Sequence[int], size: int, rng: np.random.Generator) -> np.ndarray:
    """Rates of `arms` in `size` studies without effect, shape (size, problem, len(arms))."""
    pooled = _pooled(table)[:, None]
    trials = table.attempts[:, list(arms)]
    rate = ratio(binomial(trials, pooled, size, rng), trials)
    for column, arm in enumerate(arms):
        share = repeating(table, arm)
        if share > 0:
            shape = (size, len(pooled))
            once = (rng.random(shape) < pooled[:, 0]).astype(float)
            rate[..., column] = np.where(rng.random(shape) < share, once, rate[..., column])
    return rate


def repeating(table: Table, arm: int) -> float:
    """Return the share of problems where a deterministic intervention repeats a single outcome.

    Two mixtures of the same two models mostly agree, so two attempts are worth little more than
    one, and independent draws would understate how far such a rate strays from the problem's own.
    Estimated as one less the rate of disagreeing pairs of attempts over the rate expected of
    independent ones; 0 for a sampled intervention, or where outcomes are not stored.
    """
    if table.arms[arm] not in DETERMINISTIC or table.correct is None:
        return 0.0
    others = [i for i in range(1 + table.n_regime) if table.arms[i] not in DETERMINISTIC]

    def disagreement(arms: list[int]) -> np.ndarray:
        attempts = table.attempts[:, arms].sum(axis=1)
        wins = (table.rate[:, arms] * table.attempts[:, arms]).sum(axis=1)
        return ratio(wins * (attempts - wins), attempts * (attempts - 1))

    own, expected = disagreement([arm]), disagreement(others)
    both = ~(np.isnan(own) | np.isnan(expected))
    if expected[both].sum() == 0:
        return 0.0
    return float(np.clip(1 - own[both].sum() / expected[both].sum(), 0.0, 1.0))


def _simulated(table: Table, rate: np.ndarray, rng: np.random.Generator) -> tuple[Draw, np.ndarray]:
    """Select, route and score a block of simulated rates, shape (draw, problem, arm)."""
    rate = arms_apart(rate)
    hard = table.hard(rate)
    draw = Draw(hard, table.decide(hard), rate, rate, rate)
    return draw, score_best_fixed(table, draw, rng.random(hard.shape) < 0.5)
