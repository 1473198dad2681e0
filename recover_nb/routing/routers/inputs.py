"""What a rule may know before it acts, and what it is judged by.

Both are taken out of a study once and kept apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import ROUTED_INTERVENTIONS, Intervention
from recover_nb.core.schema import (
    PROBLEM,
    ROLLOUT,
    cell_names,
    checkpoint_codes,
    failed_rollouts,
    text,
)
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy
from recover_nb.routing.rescue import with_rates
from recover_nb.routing.table import COSTS, Table, routable, tabulate
from recover_nb.stats.scaling import standardise

NONE = Intervention.NONE.value
#: What the count rule does as failures grow more: first the one, then the other.
COUNTED = (Intervention.TEMPERATURE.value, Intervention.DENSE_SAMPLE.value)
#: Forward passes of the specialist, and of the ancestor.
PASSES = COSTS["forward_passes"]
_ORDER = (PROBLEM, ROLLOUT, "intervention")


@dataclass(frozen=True)
class Known:
    """What is known of failed problems before any attempt: nothing here comes from an attempt.

    Attributes
    ----------
    names : tuple of str
        Of the descriptors.
    x : float64 array, shape (problem, descriptor)
    failed, observed : int64 arrays, shape (problem,)
        Observed rollouts that failed, and observed rollouts.
    counting, upfront : float64 arrays, shape (problem,)
        Forward passes of all observed rollouts: of the specialist, which is all that a count needs,
        and of both models, as the features need.
    cell, family, question : str arrays, shape (problem,)
    checkpoint : int array, shape (problem,)
    route : int array, shape (problem,)
        Arm that the published rule chooses.
    """

    names: tuple[str, ...]
    x: np.ndarray
    failed: np.ndarray
    observed: np.ndarray
    counting: np.ndarray
    upfront: np.ndarray
    cell: np.ndarray
    family: np.ndarray
    question: np.ndarray
    checkpoint: np.ndarray
    route: np.ndarray

    def take(self, rows: np.ndarray) -> "Known":
        """Return the problems `rows`."""
        kept = {one.name: getattr(self, one.name)[rows] for one in fields(self)[1:]}
        return Known(self.names, **kept)


@dataclass(frozen=True)
class Outcomes:
    """What attempts came to.

    Attributes
    ----------
    wins, trials : int64 arrays, shape (problem, arm)
        Right attempts, and attempts. `wins` may have leading axes, one place a simulated study.
    cost : float64 array, shape (problem, arm)
        Mean cost of an attempt, in forward passes of both models.
    """

    wins: np.ndarray
    trials: np.ndarray
    cost: np.ndarray

    def take(self, rows: np.ndarray) -> "Outcomes":
        """Return the problems `rows`."""
        return Outcomes(*(getattr(self, each.name)[..., rows, :] for each in fields(self)))


@dataclass(frozen=True)
class Problems:
    """Failed problems of a study.

    Attributes
    ----------
    arms : tuple of str
        ``retry``, then the interventions that may be chosen.
    known : Known
    outcomes : Outcomes
    table : Table
        The same problems as the estimators see them.
    left_out : dict of str to str
        Descriptors that cannot be had from this study, and why.
    places : int array, shape (problem,)
        Of the problems, in the study.
    """

    arms: tuple[str, ...]
    known: Known
    outcomes: Outcomes
    table: Table
    left_out: dict[str, str]
    places: np.ndarray

    def take(self, rows: np.ndarray) -> "Problems":
        """Return the problems `rows`."""
        return replace(
            self,
            known=self.known.take(rows),
            outcomes=self.outcomes.take(rows),
            table=self.table.take(rows),
            places=self.places[rows],
        )


def choosable(ds: xr.Dataset, operators: Sequence[str] = COUNTED) -> tuple[str, ...]:
    """Return what rules may choose beside retry: the published four, and those the study has."""
    stored = text(ds["intervention"]).tolist()
    return tuple(
        dict.fromkeys([*ROUTED_INTERVENTIONS, *(name for name in operators if name in stored)])
    )


def read_problems(
    ds: xr.Dataset,
    *,
    interventions: Sequence[str] = ROUTED_INTERVENTIONS,
    policy: RoutingPolicy = PUBLISHED,
) -> Problems:
    """Take a study's failed problems out of xarray, what is known apart from what is judged by.

    Parameters
    ----------
    ds : Dataset
        A study with observed rollouts, attempts and their forward passes.
    interventions : sequence of str
        What may be chosen beside retry.
    policy : RoutingPolicy
        The rule that others are compared with. It standardises over the problems of `ds`.

    Returns
    -------
    Problems

    Raises
    ------
    InputError
        If the study does not store each attempt and its forward passes, or an intervention is
        missing.
    """
    check_replayable(ds)
    ds = with_rates(ds)
    table, costs, _ = tabulate(ds, policy=policy, interventions=interventions)
    arms = table.arms[: 1 + table.n_regime]
    rows = routable(ds, policy.features, arms)
    kept = ds.isel({PROBLEM: rows})
    correct = kept["correct"].sel(intervention=list(arms)).transpose(*_ORDER).to_numpy()
    outcomes = Outcomes(
        (correct == 1).sum(axis=1),
        (correct >= 0).sum(axis=1),
        (costs[PASSES[0]] + costs[PASSES[1]])[:, : len(arms)],
    )
    if (outcomes.cost <= 0).any():
        raise InputError(
            f"{' + '.join(PASSES)} is 0 for attempts that were run, so nothing can be compared at"
            " equal forward passes"
        )
    names, x, left_out = _descriptors(kept, table)
    passes = [_passes(kept, name) for name in PASSES]
    task, question = text(kept["task"]), text(kept["problem_id"])
    known = Known(
        names=names,
        x=x,
        failed=failed_rollouts(kept).sum(axis=1),
        observed=(observed_values(kept, "correct") >= 0).sum(axis=1),
        counting=passes[0],
        upfront=passes[0] + passes[1],
        cell=cell_names(kept),
        family=text(kept["family"]),
        question=np.array(["|".join(each) for each in zip(task, question, strict=True)]),
        checkpoint=checkpoint_codes(kept),
        route=table.decide(np.ones((1, len(rows)), dtype=bool))[0],
    )
    return Problems(arms, known, outcomes, table, left_out, rows)


def check_replayable(ds: xr.Dataset) -> None:
    """Refuse a study whose attempts cannot be replayed at equal passes."""
    missing = [name for name in ("correct", *PASSES) if name not in ds]
    if missing:
        raise InputError(
            f"the study stores no {', '.join(missing)}, so attempts cannot be replayed at equal"
            " forward passes; needed: a study with attempts, as recover-nb run writes (a profile"
            " table holds rates alone)"
        )
    if NONE not in text(ds["intervention"]).tolist():
        raise InputError(
            "the study has no intervention 'none': rules go by the observed rollouts, which are"
            " missing"
        )
    missing = [name for name in ("family", "problem_id", "task") if name not in ds.coords]
    if missing:
        raise InputError(
            f"the study has no coordinate {missing[0]!r}; problems are held out by question, cell,"
            " family"
        )


def observed_values(ds: xr.Dataset, name: str) -> np.ndarray:
    """Return a variable of the observed rollouts, (problem, rollout)."""
    values = ds[name]
    if "intervention" in values.dims:
        values = values.sel(intervention=NONE)
    return values.transpose(PROBLEM, ROLLOUT).to_numpy()


def _passes(ds: xr.Dataset, name: str) -> np.ndarray:
    run = observed_values(ds, "correct") >= 0
    return np.where(run, observed_values(ds, name), 0).sum(axis=1, dtype=float)


def _descriptors(
    ds: xr.Dataset, table: Table
) -> tuple[tuple[str, ...], np.ndarray, dict[str, str]]:
    """Return each problem's descriptors: names, values (problem, descriptor), what is left out.

    The features as they are, and as z-scores among the problems being routed, as the published rule
    has them; then everything that needs no signal.
    """
    columns: dict[str, np.ndarray] = {}
    for place, name in enumerate(table.policy.features):
        columns[name], z = table.features[:, place], np.empty(len(table.features))
        for rows in table.rows_by_cell.values():
            z[rows] = standardise(table.features[rows])[:, place]
        columns[f"{name}_z"] = z
    failed = failed_rollouts(ds)
    wrong, right = failed.sum(axis=1), (observed_values(ds, "correct") == 1).sum(axis=1)
    columns["failure_share"] = wrong / np.maximum(wrong + right, 1)
    # Half a rollout on either side keeps the log-odds finite when all failed.
    columns["failure_logit"] = np.log((wrong + 0.5) / (right + 0.5))
    lengths = np.where(failed, observed_values(ds, PASSES[0]), 0)
    columns["log_length"] = np.log(lengths.sum(axis=1) / np.maximum(wrong, 1) + 1.0)
    left_out = {}
    if "answer_id" in ds:
        columns["agreement"] = agreement(observed_values(ds, "answer_id"), failed)
    else:
        left_out["agreement"] = "the study stores no answer_id"
    for name, of in (("level", "level"), ("prompt_length", "prompt")):
        if of in ds:
            known = ds[of].to_numpy() if of == "level" else [len(str(x)) for x in ds[of].values]
            columns[name] = np.asarray(known, dtype=float)
        else:
            left_out[name] = f"the study stores no {of}"
    return tuple(columns), np.stack(list(columns.values()), axis=1).astype(float), left_out


def agreement(given: np.ndarray, failed: np.ndarray) -> np.ndarray:
    """Return the share of failed rollouts that give the commonest wrong answer, (problem,).

    Parameters
    ----------
    given : int array, shape (problem, rollout)
        Which answer each gives; -1 is none, and agrees with no other.
    failed : bool array, shape (problem, rollout)
    """
    votes = failed & (given >= 0)
    same = (given[:, :, None] == given[:, None, :]) & votes[:, :, None] & votes[:, None, :]
    return same.sum(axis=2).max(axis=1, initial=0) / np.maximum(failed.sum(axis=1), 1)
