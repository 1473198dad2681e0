"""Published, split and all estimators on arrays; `nulls` holds the null.

See docs/method.md#8-estimators.

Each turns a `Table` into `Contributions`: what every problem adds to the numerator and denominator
of every comparator. Bootstrap, permutation and reporting are done once, on those (`resampling`,
`evaluation`). Leading axes (a split, a simulated null) are carried through and averaged, in blocks
that bound memory.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from recover_nb.routing.lifts import Contributions, Kernel
from recover_nb.routing.table import Table, filled
from recover_nb.stats.resampling import BLOCK, ratio
from recover_nb.stats.ties import SLACK, first_largest

#: An intervention with fewer attempts is never halved: it is scored on all of them and selects
#: nothing.
MIN_HALVED = 4
#: Of up to so many draws, permutations look at each by itself; more are added up for each pair of
#: problems.
FEW_DRAWS = 16


@dataclass(frozen=True)
class Draw:
    """A block of draws: who is selected, where they are routed, and on what they are scored.

    Attributes
    ----------
    hard : bool array, shape (draw, problem)
    decision : int array, shape (draw, problem)
    select, choose, score : float arrays, shape (draw or 1, problem, arm)
        Rates that select problems and the oracle's pick, that choose the best fixed intervention,
        and that everything is scored on.
    """

    hard: np.ndarray
    decision: np.ndarray
    select: np.ndarray
    choose: np.ndarray
    score: np.ndarray


def published(table: Table, rng: np.random.Generator, *, n_splits: int) -> Contributions:
    """Select steerable_hard and score on the same attempts.

    This is the published estimator, prone to the winner's curse.

    `n_splits` halvings of the problems serve only to choose the best fixed intervention on the
    other half.
    """
    return _in_sample(table, table.hard(table.rate), rng, n_splits)


def everyone(table: Table, rng: np.random.Generator, *, n_splits: int) -> Contributions:
    """Score every problem of the table, with no selection, routed as the table's `routes` say."""
    selected = np.ones(len(table.rate), dtype=bool)
    return _in_sample(table, selected, rng, n_splits, table.routes)


def with_features(
    table: Table, features: np.ndarray, rng: np.random.Generator, *, n_splits: int
) -> Contributions:
    """Score every problem whose `features` (problem, feature) are known, routed by them."""
    known = np.asarray(~np.isnan(features).any(axis=1))
    own = replace(table, features=np.where(known[:, None], features, 0.0))
    return _in_sample(own, known, rng, n_splits, None)


def _in_sample(
    table: Table,
    selected: np.ndarray,
    rng: np.random.Generator,
    n_splits: int,
    routes: np.ndarray | None = None,
) -> Contributions:
    """One draw, scored once, except that the best fixed intervention is averaged over halvings."""
    hard = selected[None]
    rate = table.rate[None]
    decision = table.decide(hard) if routes is None else routes[None]
    draw = Draw(hard, decision, rate, rate, rate)
    best = np.zeros(len(selected))
    for size in blocks(n_splits, table.rate.size):
        halves = rng.random((size, len(selected))) < 0.5
        best += score_best_fixed(table, draw, halves).sum(axis=0)
    return gather(table, [(draw, best[None] / n_splits)], kernels=_by_draw)


def split(
    table: Table, rng: np.random.Generator, *, n_splits: int, permuted: bool = True
) -> Contributions:
    """Select steerable_hard on one half of the attempts and score on the other.

    This is done over `n_splits` random halvings. Unless `permuted`, what permutations of the routes
    need is left out.

    Halves are of rollouts, drawn for each problem and shared by its interventions, because rollout
    r of each is a twin; each half selects once and scores once. An intervention with fewer than
    `MIN_HALVED` attempts (`dense_steer` is deterministic: two attempts say all) is scored on all of
    them and never selects, so that no outcome that scores has selected. The problems that only such
    an intervention fixes are then not in the selected population. Needs `Table.correct`; a problem
    with fewer than `MIN_HALVED` retries is left out.
    """

    def draws() -> Iterator[tuple[Draw, np.ndarray]]:
        for size in blocks(n_splits, 2 * table.rate.size):
            select, choose, score = halve(table, size, rng)
            hard = table.hard(select)
            draw = Draw(hard, table.decide(hard), select, choose, score)
            yield draw, score_best_fixed(table, draw, rng.random(hard.shape) < 0.5)

    kernels = _by_draw if 2 * n_splits <= FEW_DRAWS else _added_up
    return gather(table, draws(), kernels=kernels if permuted else None)


def halve(
    table: Table, n_splits: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rates of both halves of the attempts.

    Parameters
    ----------
    table : Table
        With `correct`.
    n_splits : int
        Halvings.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    select, choose, score : float64 arrays, shape (2 * n_splits, problem, arm)
        Rates of the selecting half (NaN for an intervention that is never halved), the same with
        its whole rate filled in, and those of the other half.
    """
    correct = table.correct
    n_problems, n_rollouts, _ = correct.shape
    # Rollouts 2j and 2j + 1 land in different halves, so that any number of attempts is halved
    # evenly.
    coin = rng.random((n_problems, n_splits, (n_rollouts + 1) // 2)) < 0.5
    first = np.stack([coin, ~coin], axis=-1).reshape(n_problems, n_splits, -1)[..., :n_rollouts]
    first = first.astype(np.float32)
    wins, trials = (correct == 1).astype(np.float32), (correct >= 0).astype(np.float32)
    won, tried = (np.moveaxis(first @ x, 1, 0).astype(float) for x in (wins, trials))
    won = np.concatenate([won, wins.sum(axis=1) - won])
    tried = np.concatenate([tried, trials.sum(axis=1) - tried])
    rate = ratio(won, tried)
    whole = trials.sum(axis=1) < MIN_HALVED
    select = np.where(whole, np.nan, rate)
    choose = np.where(whole, table.rate, rate)
    other = np.roll(rate, n_splits, axis=0)
    # Attempts with gaps can leave a half empty: there the problem is not selected, whatever the
    # other arms say.
    empty = (np.isnan(other) & ~whole)[..., : 1 + table.n_regime].any(axis=-1)
    select[..., 0] = np.where(empty, np.nan, select[..., 0])
    return select, choose, np.where(whole, table.rate, other)


def blocks(n: int, size: int) -> list[int]:
    """Sizes of the blocks `n` draws of `size` numbers are computed in."""
    step = max(1, min(n, BLOCK // max(4 * size, 1)))
    return [min(step, n - start) for start in range(0, n, step)]


def score_best_fixed(table: Table, draw: Draw, halves: np.ndarray | None) -> np.ndarray:
    """Score the fixed intervention best on the other half of the cell's selected problems.

    `halves` (draw, problem) assigns problems; rates and `hard` broadcast against it. None chooses
    on the very problems and attempts that score. Shape (draw, problem).
    """
    out = np.zeros(draw.hard.shape if halves is None else halves.shape)
    basis = filled((draw.score if halves is None else draw.choose)[..., table.regime_arms])
    for rows in table.spans.values():
        part = np.ones_like(draw.hard[:, rows]) if halves is None else halves[:, rows]
        score = draw.score[:, rows, table.regime_arms]
        score = np.broadcast_to(score, (*part.shape, basis.shape[-1]))
        picks = []
        for side in (part, part if halves is None else ~part):
            weight = (side & draw.hard[:, rows]).astype(float)[:, None, :]
            totals = (weight @ basis[:, rows])[:, 0]
            picks.append(first_largest(totals))
        pick = np.where(part, picks[1][:, None], picks[0][:, None])
        out[:, rows] = np.take_along_axis(score, pick[..., None], axis=-1)[..., 0]
    return out


def _values(table: Table, draw: Draw, best_fixed: np.ndarray) -> np.ndarray:
    """Rate of every comparator, shape (column, draw, problem)."""
    shape = draw.hard.shape
    score = np.broadcast_to(draw.score, (*shape, len(table.arms)))
    regime = score[..., table.regime_arms]
    # One column after the other in memory, as in `arms_apart`.
    columns = np.empty((len(table.comparators), *shape))
    columns[0] = np.take_along_axis(score, draw.decision[..., None].astype(np.intp), axis=-1)[
        ..., 0
    ]
    fixed, (in_halves, in_sample, random, permuted, oracle) = columns[1:-5], columns[-5:]
    fixed[...] = np.moveaxis(score, -1, 0)
    in_halves[...] = best_fixed
    in_sample[...] = score_best_fixed(table, draw, None)
    random[...] = regime.mean(axis=-1)
    for rows in table.spans.values():
        weight, decision = draw.hard[:, rows], draw.decision[:, rows]
        permuted[:, rows] = 0.0
        total = np.maximum(weight.sum(axis=1), 1)
        for arm in np.unique(decision):
            share = (weight & (decision == arm)).sum(axis=1) / total
            permuted[:, rows] += share[:, None] * score[:, rows, arm]
    select = filled(draw.select[..., table.regime_arms], -1.0)
    tied = select >= select.max(axis=-1, keepdims=True) - SLACK
    oracle[...] = (tied * regime).sum(axis=-1) / tied.sum(axis=-1)
    return columns


def arms_apart(rate: np.ndarray) -> np.ndarray:
    """Return equal rates (..., problem, arm) that hold each arm's numbers together in memory.

    Sums and maxima over a handful of arms then run along the problems, several times as fast.
    """
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(rate, -1, 0)), 0, -1)


def gather(
    table: Table,
    draws: Iterable[tuple[Draw, np.ndarray]],
    *,
    kernels: "Kernels | None" = None,
) -> Contributions:
    """Average the contributions of all draws.

    `kernels` makes what permutations of a cell need.
    """
    n_problems, n_columns = len(table.rate), len(table.comparators)
    sums = np.zeros((3, n_problems, n_columns))
    totals, cells, count = [], {cell: [] for cell in table.rows_by_cell if kernels}, 0
    for draw, best_fixed in draws:
        by_problem, by_draw = _summed(_values(table, draw, best_fixed), draw.hard)
        totals.append(by_draw)
        sums += by_problem
        count += len(draw.hard)
        for cell, parts in cells.items():
            parts.append(_scored(draw, table.spans[cell]))
    sums /= count
    value, routed, weight = sums
    found = Contributions(table.comparators, value, routed, weight, np.concatenate(totals, axis=1))
    if kernels is None:
        return found
    chosen = {}
    for cell, rows in table.rows_by_cell.items():
        gain, label = kernels(cells.pop(cell), sums[2, rows, 0] > 0)
        chosen[cell] = gain / count, label
    return replace(found, kernels=chosen)


def _summed(columns: np.ndarray, hard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up value, routed value and weight: over draws, (3, problem, column), over problems.

    A column is summed while it lies in a processor's cache; where it was run for everyone, its
    weight is that of the first.
    """
    routed, weight = filled(columns[0]), hard.astype(float)
    of_all = [(each.sum(axis=0), each.sum(axis=1)) for each in (routed * weight, weight)]
    found = []
    for column in columns:
        known = ~np.isnan(column)
        if known.all():
            value = column * weight
            found.append([(value.sum(axis=0), value.sum(axis=1)), *of_all])
        else:
            some = weight * known
            parts = (filled(column) * some, routed * some, some)
            found.append([(each.sum(axis=0), each.sum(axis=1)) for each in parts])
    by_problem, by_draw = (
        np.stack([[part[side] for part in column] for column in found], axis=-1) for side in (0, 1)
    )
    return by_problem, by_draw


@dataclass(frozen=True)
class Scored:
    """What problems of one cell score in a block of draws; what is not selected takes no memory.

    Attributes
    ----------
    hard : bool array, shape (draw, problem)
        Who is selected.
    arms : int array
        Arms that are chosen in some draw.
    gain : float64 array, shape (number selected, arm)
        Their scores under `arms`, draw by draw.
    choice : int16 array, shape (draw, problem)
        The arm chosen for every problem of the cell.
    """

    hard: np.ndarray
    arms: np.ndarray
    gain: np.ndarray
    choice: np.ndarray


#: From the blocks of a cell, and whether each of its problems is selected at all.
Kernels = Callable[[list[Scored], np.ndarray], Kernel]


def _scored(draw: Draw, inside: np.ndarray | slice) -> Scored:
    hard, choice = draw.hard[:, inside], draw.decision[:, inside]
    arms = np.flatnonzero(np.bincount(choice.ravel()))
    score = np.broadcast_to(draw.score[:, inside], (*hard.shape, draw.score.shape[-1]))
    return Scored(hard, arms, filled(score[hard][:, arms]), choice.astype(np.int16))


def _by_draw(parts: list[Scored], keep: np.ndarray) -> Kernel:
    """Keep, by draw, the scores of problems under each arm where selected, and their arms."""
    choice = np.concatenate([part.choice[:, keep] for part in parts])
    gain = np.zeros((*choice.shape, 1 + max(part.arms.max(initial=0) for part in parts)))
    first = 0
    for part in parts:
        draw, row = np.nonzero(part.hard[:, keep])
        # One that is not kept is selected only where the arm it is routed to was not run.
        kept = np.broadcast_to(keep, part.hard.shape)[part.hard]
        gain[first + draw[:, None], row[:, None], part.arms] = part.gain[kept]
        first += len(part.hard)
    return gain, choice


def _added_up(parts: list[Scored], keep: np.ndarray) -> Kernel:
    """Add up what problem i scores under the decisions that were made for problem j in all draws.

    It is one product over draws and arms. Problems with the same decisions in every draw share a
    label: most do, so that labels are far fewer than problems.
    """
    gain, choice = _by_draw(parts, keep)
    ways, label = np.unique(choice.T, axis=0, return_inverse=True)
    # Of no problems, numpy could not find the width.
    width = gain.shape[0] * gain.shape[-1]
    made = (ways[..., None] == np.arange(gain.shape[-1])).astype(float).reshape(len(ways), width)
    return (np.moveaxis(gain, 1, 0).reshape(label.size, width) @ made.T)[None], label.reshape(1, -1)
