"""Which failures training on fixes, and what tells so beforehand.

docs/method.md#17-training-gain.

Everything that predicts is taken from the study, and everything predicted from the answers that
`load_onward` holds: the two share no random number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Regime
from recover_nb.core.schema import (
    INTERVENTION,
    PROBLEM,
    ROLLOUT,
    UNIT_COORDS,
    cell_names,
    checkpoint_codes,
    failed_units,
    text,
)
from recover_nb.prediction.gain_readers import Readers, numbers_of, score_readers, texts_of
from recover_nb.prediction.training_gain_result import Arms, Shares, TrainingGain
from recover_nb.stats.classification import grouped_folds
from recover_nb.stats.resampling import bootstrap_mean, bootstrap_weights

#: A failure is fixed if it was right less often than the first before, and at least as often as the
#: second after.
BEFORE, AFTER = 0.5, 0.8
NEVER_FAILED, ALL_FAILED = "never_failed", "all_failed"
#: Arms at one budget.
TEMPORAL, RETRY, ANCESTOR = "temporal", Intervention.RETRY.value, Intervention.ANCESTOR.value


@dataclass(frozen=True)
class Rates:
    """Pass rates of the problems asked, and what the study knows of them.

    Attributes
    ----------
    study : Dataset
        The study's problems, in the order of `correct`.
    correct : (problem, seed, checkpoint, rollout) int8
    rate : (problem, seed, checkpoint) float
    """

    study: xr.Dataset
    correct: np.ndarray
    rate: np.ndarray

    @property
    def before(self) -> np.ndarray:
        """Pass rate before, (problem,): every redraw together, as they are of one model."""
        return self.rate[:, :, 0].mean(axis=1)

    @property
    def after(self) -> np.ndarray:
        """Pass rate at the last checkpoint, (problem, seed)."""
        return self.rate[:, :, -1]


def pass_rates(ds: xr.Dataset, onward: xr.Dataset) -> Rates:
    """Return the pass rates of what was asked, with the study's own problems beside them.

    Raises
    ------
    InputError
        The answers are of problems that the study does not have, or not the answers of such a run.
    """
    if not isinstance(onward, xr.Dataset) or "correct" not in onward or "seed" not in onward.dims:
        raise InputError(
            "onward must be what rnb.load_onward() returns, with answers by seed and checkpoint,"
            f" got {checks.shown(onward)}"
        )
    _check_study(ds)
    missing = [name for name in (*UNIT_COORDS, "checkpoint") if name not in onward.coords]
    if missing:
        raise InputError(f"onward has no {missing[0]}; pass what rnb.load_onward() returns")
    rows = _rows_of(ds, onward)
    correct = onward["correct"].transpose(PROBLEM, "seed", "checkpoint", ROLLOUT).values
    drawn = (correct >= 0).sum(axis=-1)
    if (drawn == 0).any() or correct.shape[2] < 2:
        raise InputError(
            "onward has problems that were not asked at some checkpoint, or one checkpoint only; a"
            " run that is complete has both"
        )
    return Rates(ds.isel({PROBLEM: rows}), correct, (correct == 1).sum(axis=-1) / drawn)


def _check_study(ds: xr.Dataset) -> None:
    """Refuse what is no study, or stores too little for it."""
    if not isinstance(ds, xr.Dataset):
        raise InputError(
            f"a study is an xarray Dataset, not a {type(ds).__name__}; pass rnb.load_study()"
        )
    needed = (*UNIT_COORDS, "correct", "regime", "n_failed_rollouts", "rescue_rate", "attempts")
    missing = [name for name in needed if name not in ds]
    if missing:
        raise InputError(
            f"the study has no {missing[0]}; pass the study whose problems were asked, such as"
            " rnb.load_study()"
        )


def _rows_of(ds: xr.Dataset, onward: xr.Dataset) -> np.ndarray:
    """Return the place in the study of each problem that was asked."""
    units = zip(*(text(ds[name]).tolist() for name in UNIT_COORDS), strict=True)
    place = {unit: row for row, unit in enumerate(units)}
    asked = list(zip(*(text(onward[name]).tolist() for name in UNIT_COORDS), strict=True))
    unknown = [unit for unit in asked if unit not in place]
    if unknown:
        raise InputError(
            f"onward asks {'|'.join(unknown[0])} and {len(unknown) - 1} other problems that the"
            " study does not have; pass the study that it was made from"
        )
    return np.array([place[unit] for unit in asked], dtype=int)


@checks.takes(
    budget=checks.COUNT,
    read=checks.FLAG,
    n_splits=checks.whole(2),
    n_repeats=checks.COUNT,
    n_permutations=checks.DRAWS,
    n_bootstrap=checks.COUNT,
    seed=checks.SEED,
)
def training_gain(
    ds: xr.Dataset,
    onward: xr.Dataset,
    *,
    budget: int = 20,
    read: bool = True,
    n_splits: int = 5,
    n_repeats: int = 5,
    n_permutations: int = 100,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> TrainingGain:
    """Ask which failures further reinforcement learning fixes, and what tells so beforehand.

    Parameters
    ----------
    ds : Dataset
        The study.
    onward : Dataset
        From `load_onward`: its problems put to each specialist again as training goes on.
    budget : int
        Attempts of each arm, dealt out in turn over the checkpoints by ``temporal``.
    read : bool
        Let text predict, too; that takes most of the time.
    n_splits, n_repeats : int
        Folds, and how often they are dealt.
    n_permutations : int
        Permutations of the labels within cells, for the null.
    n_bootstrap : int
        Resamples of the problems within cells.
    seed : int

    Returns
    -------
    TrainingGain

    Raises
    ------
    InputError
        The two do not belong together, or too few failures were fixed, or left, to predict which.

    Notes
    -----
    docs/method.md#17-training-gain.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> few = {"read": False, "n_repeats": 1, "n_permutations": 2, "n_bootstrap": 20}
    >>> gain = rnb.training_gain(rnb.load_study(), rnb.load_onward(), **few)
    >>> int(gain.shares_frame().loc[0, "at_risk"])
    587
    """
    rates = pass_rates(ds, onward)
    settings = {
        "before": BEFORE,
        "after": AFTER,
        "budget": budget,
        "n_splits": n_splits,
        "n_repeats": n_repeats,
        "n_permutations": n_permutations,
        "seed": seed,
        "checkpoints": onward["checkpoint"].values.tolist(),
    }
    return TrainingGain(
        shares=shares_of(rates, n_bootstrap, seed),
        readers=_readers(rates, read, n_splits, n_repeats, n_permutations, seed),
        arms=arms_of(rates, onward, budget),
        settings=settings,
    )


def shares_of(rates: Rates, n_bootstrap: int = 1000, seed: int = 0) -> Shares:
    """Return, by regime and for problems that never failed, what changed and what a redraw gives.

    A redraw alone moves rates, too: what was rarely right in the study is right more often when
    drawn again. So every share stands beside that of a redraw.
    """
    ds, before, after = rates.study, rates.before, rates.after
    failed, regime = failed_units(ds), text(ds["regime"])
    groups = {ALL_FAILED: failed}
    groups |= {each.value: failed & (regime == each.value) for each in Regime}
    groups[NEVER_FAILED] = ~failed
    once = _observed_rate(ds)
    redraw = rates.rate[:, :, 0]
    low = before < BEFORE
    # With one seed there is no other redraw to compare with.
    others = np.roll(redraw, 1, axis=1) if redraw.shape[1] > 1 else None
    rows = []
    for inside in groups.values():
        at_risk, was_low = inside & low, inside & (once < BEFORE)
        sure = inside[:, None] & (redraw >= AFTER)
        rows.append(
            {
                "units": int(inside.sum()),
                "at_risk": int(at_risk.sum()),
                "fixed": _mean(after[at_risk] >= AFTER),
                "fixed_by_redraw": _mean(redraw[was_low] >= AFTER),
                "forgotten": _share(after < BEFORE, sure),
                "forgotten_by_redraw": (
                    np.full(1, np.nan) if others is None else _share(others < BEFORE, sure)
                ),
                "observed": _mean(once[inside, None] + np.zeros(redraw.shape[1])),
                "redrawn": _mean(redraw[inside]),
                "after": _mean(after[inside]),
                "change": _mean(after[inside] - before[inside, None]),
                "change_ends": _ends(ds, (after.mean(axis=1) - before), inside, n_bootstrap, seed),
            }
        )
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return Shares(tuple(groups), **columns)


def _observed_rate(ds: xr.Dataset) -> np.ndarray:
    observed = ds["correct"].sel({INTERVENTION: Intervention.NONE.value})
    observed = observed.transpose(PROBLEM, ROLLOUT).values
    return (observed == 1).sum(axis=1) / np.maximum((observed >= 0).sum(axis=1), 1)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over problems, (seed,); NaN without any."""
    return values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan)


def _share(what: np.ndarray, among: np.ndarray) -> np.ndarray:
    n = among.sum(axis=0)
    return np.where(n > 0, (what & among).sum(axis=0) / np.maximum(n, 1), np.nan)


def _ends(
    ds: xr.Dataset, change: np.ndarray, inside: np.ndarray, n_bootstrap: int, seed: int
) -> np.ndarray:
    """Return the ends of the mean change, (2,): questions are drawn within tasks, whole."""
    if not inside.any():
        return np.full(2, np.nan)
    resamples = bootstrap_weights(
        text(ds["problem_id"])[inside],
        text(ds["task"])[inside],
        n_bootstrap,
        np.random.default_rng(seed),
    )
    return bootstrap_mean(change[inside, None], resamples).percentile[:, 0]


def _readers(
    rates: Rates, read: bool, n_splits: int, n_repeats: int, n_permutations: int, seed: int
) -> Readers:
    """Score everything that predicts which failures are fixed, in the same folds."""
    rows = np.flatnonzero(failed_units(rates.study) & (rates.before < BEFORE))
    among = rates.study.isel({PROBLEM: rows})
    each = rates.after[rows] >= AFTER
    fixed = each.mean(axis=1) > 0.5
    question = text(among["problem_id"])
    for words, inside in (("were fixed", fixed), ("were not fixed", ~fixed)):
        n = len(np.unique(question[inside]))
        if n < n_splits:
            raise InputError(
                f"{n} of {len(rows)} failures {words}, too few for n_splits={n_splits}; allowed:"
                " that many different problems or more of either kind"
            )
    folds = np.array(
        [
            grouped_folds(fixed.astype(int), question, n_splits, np.random.default_rng([seed, i]))
            for i in range(n_repeats)
        ]
    )
    inputs, about = numbers_of(among)
    if read:
        texts, said = texts_of(among)
        inputs, about = inputs | texts, about | said
    return score_readers(
        inputs,
        about,
        fixed=fixed,
        fixed_by_seed=each,
        change=rates.after[rows].mean(axis=1) - rates.before[rows],
        cell=np.unique(cell_names(among), return_inverse=True)[1],
        checkpoint=checkpoint_codes(among),
        folds=folds,
        n_permutations=n_permutations,
        seed=seed,
    )


def arms_of(rates: Rates, onward: xr.Dataset, budget: int) -> Arms:
    """Return which failures each arm saves with as many attempts, and which it alone saves.

    ``temporal`` deals its attempts out in turn over the checkpoints (temporal sampling), the last
    one first; ``retry`` asks the specialist again, ``ancestor`` the ancestor. Each attempt is one
    answer of one model.
    """
    failed = failed_units(rates.study)
    correct = rates.correct[failed]
    n_seeds, n_steps = correct.shape[1:3]
    share = [len(range(turn, budget, n_steps)) for turn in range(n_steps)][::-1]
    drawn = (correct >= 0).sum(axis=-1).min(axis=(0, 1))
    if drawn[0] < budget or (drawn < share).any():
        raise InputError(
            f"budget is {budget}; allowed: at most {int(min(drawn[0], drawn.min() * n_steps))}"
            " attempts, as onward holds no more"
        )
    tries = [correct[:, :, at, :n] == 1 for at, n in enumerate(share)]
    saved = {TEMPORAL: np.concatenate(tries, axis=-1).any(axis=-1)}
    saved[RETRY] = (correct[:, :, 0, :budget] == 1).any(axis=-1)
    length = onward["n_tokens"].transpose(PROBLEM, "seed", "checkpoint").values[failed]
    weight = np.array(share) / budget
    tokens = {
        TEMPORAL: float((length * weight).sum(axis=-1).mean()),
        RETRY: float(length[:, :, 0].mean()),
    }
    if ANCESTOR in text(rates.study[INTERVENTION]).tolist():
        mine = rates.study[["correct", "n_tokens"]].sel({INTERVENTION: ANCESTOR})
        mine = mine.isel({PROBLEM: np.flatnonzero(failed), ROLLOUT: slice(budget)})
        right = mine["correct"].transpose(PROBLEM, ROLLOUT).values
        if (right >= 0).all() and right.shape[1] == budget:
            saved[ANCESTOR] = np.repeat((right == 1).any(axis=1)[:, None], n_seeds, axis=1)
            tokens[ANCESTOR] = float(mine["n_tokens"].mean())
    names: Sequence[str] = tuple(saved)
    units = [text(rates.study[name])[failed] for name in UNIT_COORDS]
    return Arms(
        tuple(names),
        np.stack([saved[name] for name in names]),
        np.array([tokens[name] for name in names]),
        np.array(["|".join(unit) for unit in zip(*units, strict=True)]),
    )
