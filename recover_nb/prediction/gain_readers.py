"""Everything that may tell beforehand which failures training fixes, scored in the same folds.

Only problems of one cell are compared with one another, so that what tells cells apart tells
nothing here. docs/method.md#17-training-gain.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.sparse import csr_matrix, issparse
from scipy.stats import rankdata

from recover_nb.core.labels import Intervention, Regime
from recover_nb.core.schema import INTERVENTION, PROBLEM, text
from recover_nb.features.features import feature_matrix
from recover_nb.prediction.baselines import FAILURES, LEVEL, Lead, no_signal_numbers
from recover_nb.prediction.ngrams import count_ngrams, predict_wide
from recover_nb.prediction.transcripts import failed_text
from recover_nb.stats.classification import fold_interval, predict_repeats
from recover_nb.stats.resampling import checkpoint_interval, exceedance, ratio
from recover_nb.stats.scaling import standardise

FEATURES_READER, REGIME_READER, TOGETHER = "features", "regime", "together"
TEXT_FIRST, TEXT_ALL = "text_first", "text_all"
NGRAMS = (1, 4)
#: Half this times the squared coefficients is added to the loss of a regression on the change.
_RIDGE = 1.0


@dataclass(frozen=True)
class Readers:
    """Scores of everything that predicts which failures are fixed.

    Attributes
    ----------
    names : tuple of str
    about : mapping of str to str
    n, n_fixed : int
        Failures at risk, and those fixed in most seeds.
    wins : (reader, repeat, fold, checkpoint) float
        Pairs of a fixed and another failure of one cell and fold in which the fixed one got the
        higher score; ties count half.
    pairs : (repeat, fold, checkpoint) float
    by_seed : (reader, seed) float
        AUC against the labels of one seed.
    rank : (reader, repeat, fold) float
        Rank correlation with the change in pass rate, within cells; NaN for text.
    null : (reader, permutation) float
        AUC with labels permuted within cells; NaN for text.
    """

    names: tuple[str, ...]
    about: Mapping[str, str]
    n: int
    n_fixed: int
    wins: np.ndarray
    pairs: np.ndarray
    by_seed: np.ndarray
    rank: np.ndarray
    null: np.ndarray

    @property
    def auc(self) -> np.ndarray:
        """AUC within cells, (reader, repeat, fold)."""
        return ratio(self.wins.sum(axis=-1), self.pairs.sum(axis=-1))

    def score(self, name: str) -> Lead:
        """Return a reader's AUC with its intervals over folds and over checkpoints."""
        return self._lead(self.wins[self.names.index(name)])

    def lead(self, name: str, over: str) -> Lead:
        """Return the AUC of one reader less that of another, paired by fold."""
        one, other = (self.wins[self.names.index(each)] for each in (name, over))
        return self._lead(one - other)

    def _lead(self, wins: np.ndarray) -> Lead:
        found = fold_interval(ratio(wins.sum(-1), self.pairs.sum(-1)), self.pairs.shape[1])
        top, bottom = (each.sum(axis=(0, 1)) for each in (wins, self.pairs))
        if (bottom > 0).sum() < 2:
            return Lead(*found)
        ends = checkpoint_interval(top[:, None], bottom[:, None], np.arange(len(top)))
        # Of all pairs; moved to the mean of folds.
        shift = found[0] - float(top.sum() / bottom.sum())
        return Lead(*found, *(float(end[0]) + shift for end in ends))

    def p(self, name: str) -> float:
        """Share of permutations whose AUC is as high; NaN for text."""
        at = self.names.index(name)
        return exceedance(float(np.nanmean(self.auc[at])), self.null[at])


def numbers_of(ds: xr.Dataset) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return what predicts as numbers, by name, (problem, column), and what each is."""
    known, _ = no_signal_numbers(ds)
    inputs = {FEATURES_READER: feature_matrix(ds)}
    regime = text(ds["regime"])
    inputs[REGIME_READER] = np.stack([regime == each.value for each in Regime], axis=1).astype(
        float
    )
    inputs |= {name: known[name] for name in (FAILURES, LEVEL) if name in known}
    about = {
        FEATURES_READER: "the three features",
        REGIME_READER: "the regime",
        FAILURES: "failed rollouts among those observed",
        LEVEL: "level of the problem",
    }
    rescue = ds["rescue_rate"].transpose(PROBLEM, INTERVENTION).values
    attempts = ds["attempts"].transpose(PROBLEM, INTERVENTION).values
    for at, name in enumerate(text(ds[INTERVENTION]).tolist()):
        if name != Intervention.NONE and (attempts[:, at] > 0).any():
            inputs[name] = np.where(attempts[:, at] > 0, rescue[:, at], np.nan)[:, None]
            about[name] = f"rescue rate of {name}"
    inputs[TOGETHER] = np.concatenate(list(inputs.values()), axis=1)
    about[TOGETHER] = "all numbers above together"
    return inputs, {name: about[name] for name in inputs}


def texts_of(ds: xr.Dataset) -> tuple[dict[str, csr_matrix], dict[str, str]]:
    """Return n-grams of the first failed rollout and of all of them."""
    found = {}
    for name, rollouts in ((TEXT_FIRST, "first"), (TEXT_ALL, "all")):
        found[name] = count_ngrams(failed_text(ds, rollouts=rollouts).tolist(), NGRAMS)
    return found, {
        TEXT_FIRST: "character n-grams of the first failed rollout",
        TEXT_ALL: "character n-grams of all failed rollouts",
    }


def centred(x: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Return numbers less their cell's mean; what is not known becomes that mean."""
    known = ~np.isnan(x)
    total, count = np.zeros((2, int(cell.max()) + 1, x.shape[1]))
    np.add.at(total, cell, np.where(known, x, 0.0))
    np.add.at(count, cell, known)
    return np.where(known, x - (total / np.maximum(count, 1))[cell], 0.0)


def pairs_won(
    score: np.ndarray, label: np.ndarray, group: np.ndarray, n_groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Count pairs of a fixed and another problem within groups, and those the fixed one wins.

    Parameters
    ----------
    score : (n,) float
    label : (n,) bool
    group : (n,) int

    Returns
    -------
    wins, pairs : (group,) float
        Ties count half.
    """
    wins, pairs = np.zeros(n_groups), np.zeros(n_groups)
    # Equal but for the last bits is equal.
    rounded = score.round(9)
    for each in np.unique(group[label]):
        inside = group == each
        mine, rest = rounded[inside & label], np.sort(rounded[inside & ~label])
        below = [np.searchsorted(rest, mine, side=side).sum() for side in ("left", "right")]
        wins[each], pairs[each] = sum(below) / 2, len(mine) * len(rest)
    return wins, pairs


def score_readers(
    inputs: Mapping[str, np.ndarray | csr_matrix],
    about: Mapping[str, str],
    *,
    fixed: np.ndarray,
    fixed_by_seed: np.ndarray,
    change: np.ndarray,
    cell: np.ndarray,
    checkpoint: np.ndarray,
    folds: np.ndarray,
    n_permutations: int,
    seed: int,
) -> Readers:
    """Score every reader in every fold.

    Parameters
    ----------
    inputs : mapping of str to (n, column) array or sparse counts
    about : mapping of str to str
    fixed : (n,) bool
        Fixed in most seeds: what is learned.
    fixed_by_seed : (n, seed) bool
    change : (n,) float
        Of the pass rate, mean over seeds.
    cell, checkpoint : (n,) int
    folds : (repeat, n) int
    n_permutations, seed : int
    """
    n_cells, n_checkpoints = int(cell.max()) + 1, int(checkpoint.max()) + 1
    shape = (*folds.shape[:1], int(folds.max()) + 1)
    of_cell = np.zeros(n_cells, dtype=int)
    of_cell[cell] = checkpoint

    def won(score: np.ndarray, label: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, ...]:
        """Wins and pairs by fold and checkpoint, of one deal of folds."""
        counts = pairs_won(score, label, fold * n_cells + cell, shape[1] * n_cells)
        found = np.zeros((2, shape[1], n_checkpoints))
        for out, each in zip(found, counts, strict=True):
            np.add.at(out.T, of_cell, each.reshape(shape[1], n_cells).T)
        return found[0], found[1]

    code = fixed.astype(int)
    permuted = permuted_labels(code, cell, n_permutations, seed)
    deals = folds[np.arange(n_permutations) % len(folds)]
    rows = []
    pairs = np.array([won(np.zeros(len(code)), fixed, fold)[1] for fold in folds])
    for x in inputs.values():
        if issparse(x):
            said = np.array([predict_wide(x, code, fold, 2)[:, 1] for fold in folds])
            rank, null = np.full(shape, np.nan), np.full(n_permutations, np.nan)
        else:
            numbers = centred(np.asarray(x), cell)
            said = predict_repeats(numbers, code, folds, 2)[0][..., 1]
            rank = np.array([rank_of_change(numbers, change, cell, fold) for fold in folds])
            null = np.zeros(n_permutations)
            if n_permutations:
                guesses = predict_repeats(numbers, permuted, deals, 2)[0][..., 1]
                for i, guess in enumerate(guesses):
                    top, bottom = won(guess, permuted[i] == 1, deals[i])
                    null[i] = float(np.nanmean(ratio(top.sum(-1), bottom.sum(-1))))
        wins = np.array([won(one, fixed, fold)[0] for one, fold in zip(said, folds, strict=True)])
        seeds = []
        for label in fixed_by_seed.T:
            counts = [won(one, label, fold) for one, fold in zip(said, folds, strict=True)]
            top, bottom = np.sum(counts, axis=(0, 2, 3))
            seeds.append(top / bottom if bottom else np.nan)
        rows.append((wins, np.array(seeds), rank, null))
    wins, by_seed, rank, null = (np.array(part) for part in zip(*rows, strict=True))
    return Readers(
        tuple(inputs), dict(about), len(fixed), int(fixed.sum()), wins, pairs, by_seed, rank, null
    )


def permuted_labels(code: np.ndarray, cell: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return labels shuffled within cells, (n, problem)."""
    rng = np.random.default_rng([seed, 1])
    out = np.tile(code, (n, 1))
    for each in np.unique(cell):
        inside = np.flatnonzero(cell == each)
        out[:, inside] = rng.permuted(np.tile(code[inside], (n, 1)), axis=1)
    return out


def rank_of_change(
    x: np.ndarray, change: np.ndarray, cell: np.ndarray, fold: np.ndarray
) -> np.ndarray:
    """Return the rank correlation of predicted and measured change within cells, (fold,).

    A ridge regression is learned on the other folds; change is less its cell's mean.
    """
    y = centred(change[:, None], cell)[:, 0]
    out = []
    for each in range(int(fold.max()) + 1):
        train = fold != each
        z = standardise(x, population=train)
        slope = np.linalg.solve(
            z[train].T @ z[train] + _RIDGE * np.eye(x.shape[1]), z[train].T @ y[train]
        )
        out.append(_rank_correlation((z @ slope)[~train], y[~train]))
    return np.array(out)


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    one, other = (rankdata(each.round(9)) for each in (a, b))
    one, other = one - one.mean(), other - other.mean()
    spread = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / spread) if spread > 0 else 0.0
