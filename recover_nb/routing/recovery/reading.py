"""What a study tells of problems whose first answers were wrong.

What is known before another answer is kept apart from what attempts came to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import FEATURES, FIXED_ATTEMPTS, ROUTED_INTERVENTIONS, Intervention
from recover_nb.core.schema import PROBLEM, ROLLOUT, cell_names, checkpoint_codes, text
from recover_nb.routing.populations import first_failed
from recover_nb.routing.recovery.plans import RETRY, Prices
from recover_nb.routing.routers.inputs import (
    NONE,
    PASSES,
    agreement,
    check_replayable,
    observed_values,
)

ANCESTOR = Intervention.ANCESTOR.value
#: What may be done beside asking again, where a study has tried it. The other interventions are
#: controls, or a tool of one task.
ARMS = (
    Intervention.TEMPERATURE.value,
    ANCESTOR,
    Intervention.DENSE_SAMPLE.value,
    *(each.value for each in ROUTED_INTERVENTIONS),
)
_ORDER = (PROBLEM, ROLLOUT, "intervention")


@dataclass(frozen=True)
class Seen:
    """What is known of problems once their first answers are wrong.

    Attributes
    ----------
    x : float64 array, shape (problem, descriptor)
        Level, length of the prompt, mean length of the wrong answers, and how far they agree.
    cell : str array, shape (problem,)
    features : float64 array, shape (problem, feature)
        NaN where they are not known.
    """

    x: np.ndarray
    cell: np.ndarray
    features: np.ndarray

    def take(self, rows: np.ndarray) -> "Seen":
        """Return the problems `rows`."""
        return Seen(*(getattr(self, each.name)[rows] for each in fields(self)))


@dataclass(frozen=True)
class Tried:
    """Problems whose first answers were wrong, and what attempts at them came to.

    Attributes
    ----------
    arms : tuple of str
        ``retry`` first.
    prices : Prices
    seen : Seen
    wins, trials : int64 arrays, shape (problem, arm)
    cost : float64 array, shape (problem, arm)
        Forward passes of an attempt, of both models.
    question, task, family : str arrays, shape (problem,)
    checkpoint : int array, shape (problem,)
    """

    arms: tuple[str, ...]
    prices: Prices
    seen: Seen
    wins: np.ndarray
    trials: np.ndarray
    cost: np.ndarray
    question: np.ndarray
    task: np.ndarray
    family: np.ndarray
    checkpoint: np.ndarray

    def take(self, rows: np.ndarray) -> "Tried":
        """Return the problems `rows`."""
        names = ("wins", "trials", "cost", "question", "task", "family", "checkpoint")
        kept = {name: getattr(self, name)[rows] for name in names}
        return replace(self, seen=self.seen.take(rows), **kept)

    def only(self, arms: Sequence[str]) -> "Tried":
        """Return the same with fewer arms."""
        at = [self.arms.index(name) for name in arms]
        kept = {name: getattr(self, name)[:, at] for name in ("wins", "trials", "cost")}
        return replace(self, arms=tuple(arms), **kept)

    @property
    def largest_budget(self) -> int:
        """Passes a problem that the stored retries reach."""
        return self.prices.n_rollouts + self.prices.most[RETRY]


def stored_arms(ds: xr.Dataset, arms: Sequence[str] = ARMS) -> list[str]:
    """Return which of some arms a study has, in their order."""
    stored = text(ds["intervention"]).tolist()
    return [name for name in arms if name in stored]


def read_tried(
    ds: xr.Dataset, n_rollouts: int, interventions: Sequence[str] | None = None
) -> Tried:
    """Take the problems whose first answers were wrong out of a study.

    Parameters
    ----------
    ds : Dataset
        With observed rollouts, attempts and their forward passes.
    n_rollouts : int
        First answers, all of which were wrong.
    interventions : sequence of str, optional
        What may be done beside asking again; what the study has of `ARMS` unless given.

    Raises
    ------
    InputError
        The study lacks outcomes, passes, retries or an intervention, or no problem is left.
    """
    check_replayable(ds)
    arms = [RETRY, *(stored_arms(ds) if interventions is None else interventions)]
    arms = list(dict.fromkeys(arms))
    lacking = [name for name in arms if name not in text(ds["intervention"])]
    if lacking:
        raise InputError(
            f"the study has no intervention {lacking[0]!r}, so nothing can be learned of it; leave"
            " it out of interventions, or pass a study that has it"
        )
    chosen = ds.sel(intervention=arms)
    correct = chosen["correct"].transpose(*_ORDER).to_numpy()
    # An arm that was never run is none.
    run: np.ndarray = np.asarray(np.any(correct >= 0, axis=(0, 1)))
    run[0] = True
    arms = [name for name, each in zip(arms, list(run), strict=True) if each]
    correct = correct[..., run]
    tried: np.ndarray = np.asarray(np.all(np.any(correct >= 0, axis=1), axis=1))
    rows = np.flatnonzero(first_failed(ds, n_rollouts) & tried)
    if not len(rows):
        raise InputError(
            f"no problem of the study has {n_rollouts} wrong first answer(s) and attempts of"
            f" {', '.join(arms)}; pass a study that has, such as rnb.load_study()"
        )
    kept, correct = ds.isel({PROBLEM: rows}), correct[rows]
    trials = (correct >= 0).sum(axis=1)
    passes, cost = _costs(kept, arms, correct >= 0)
    most = {
        name: int(min(trials[:, at].min(), FIXED_ATTEMPTS.get(name, trials.max())))
        for at, name in enumerate(arms)
    }
    task, names = text(kept["task"]), text(kept["problem_id"])
    return Tried(
        tuple(arms),
        Prices(dict(zip(arms, passes.tolist(), strict=True)), most, n_rollouts),
        _seen(kept, n_rollouts),
        (correct == 1).sum(axis=1),
        trials,
        cost,
        np.array(["|".join(each) for each in zip(task, names, strict=True)]),
        task,
        text(kept["family"]),
        checkpoint_codes(kept),
    )


def _costs(ds: xr.Dataset, arms: Sequence[str], run: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the models that run under each arm, (arm,), and forward passes (problem, arm)."""
    models, total = np.zeros(len(arms), int), np.zeros((run.shape[0], len(arms)))
    for name in PASSES:
        spent = ds[name].sel(intervention=list(arms)).transpose(*_ORDER).to_numpy()
        spent = np.where(run, spent, 0)
        models += (spent > 0).any(axis=(0, 1))
        total += spent.sum(axis=1) / run.sum(axis=1)
    if (models == 0).any():
        raise InputError(
            f"{' + '.join(PASSES)} is 0 for attempts that were run, so nothing can be compared at"
            " equal passes; pass a study that stores what attempts cost"
        )
    return models, total


def _seen(ds: xr.Dataset, n_rollouts: int) -> Seen:
    first = {name: observed_values(ds, name)[:, :n_rollouts] for name in ("correct", PASSES[0])}
    given = observed_values(ds, "answer_id")[:, :n_rollouts] if "answer_id" in ds else None
    prompts = [len(str(each)) for each in ds["prompt"].values] if "prompt" in ds else None
    level = ds["level"].to_numpy() if "level" in ds else None
    features = np.full((ds.sizes[PROBLEM], len(FEATURES)), np.nan)
    if "features" in ds and set(FEATURES) <= set(text(ds["feature"])):
        features = ds["features"].sel(feature=list(FEATURES)).transpose(PROBLEM, ...).to_numpy()
    x = describe(level, prompts, first[PASSES[0]], given)
    return Seen(x, cell_names(ds), features)


def describe(
    level: np.ndarray | None,
    prompt_length: Sequence[int] | None,
    length: np.ndarray,
    given: np.ndarray | None,
) -> np.ndarray:
    """Return descriptors of problems whose first answers are all wrong, (problem, descriptor).

    Parameters
    ----------
    level, prompt_length : (problem,), optional
    length : (problem, rollout) int
        Tokens, or passes, of each wrong answer.
    given : (problem, rollout) int, optional
        Which answer each gives, -1 none.

    Returns
    -------
    float64 array
        NaN where something is not known.
    """
    unknown = np.full(len(length), np.nan)
    levels, prompts = (
        unknown if each is None else np.asarray(each, float) for each in (level, prompt_length)
    )
    same = unknown if given is None else agreement(given, np.ones(given.shape, bool))
    levels = np.where(levels < 0, np.nan, levels)
    return np.stack([levels, prompts, np.log(length.mean(axis=1) + 1.0), same], axis=1)


__all__ = ["ANCESTOR", "ARMS", "NONE", "Seen", "Tried", "describe", "read_tried", "stored_arms"]
