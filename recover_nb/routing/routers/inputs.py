"""What a router may know before it acts, and what it is judged by.

Both are taken out of a study once and kept apart.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import ROUTED_INTERVENTIONS, Intervention
from recover_nb.core.schema import PROBLEM, ROLLOUT, failed_rollouts, text
from recover_nb.core.token_text import token_pieces
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy
from recover_nb.routing.rescue import with_rates
from recover_nb.routing.table import COSTS, Table, routable, tabulate
from recover_nb.stats.scaling import standardise
from recover_nb.tasks import parse_answer

NONE = Intervention.NONE.value
#: What budgets may be equal in, and the variables of the study that are added up.
BASES = {
    "forward_passes": COSTS["forward_passes"],
    "generated_tokens": COSTS["generated_tokens"],
    "attempts": (),
}
#: Descriptors that only say how often the observed rollouts failed.
FAILURES = ("failure_logit",)
#: How the shipped tokenizers write the end of a trace.
END = "<eos>"


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
    cost : float64 array, shape (problem,)
        Mean cost of an observed rollout without its signals: what a retry is expected to cost.
    upfront : float64 array, shape (problem,)
        Cost of all observed rollouts, in forward passes with those of the signals.
    cells, families : int arrays, shape (problem,)
    route : int array, shape (problem,)
        Arm that the published rule chooses.
    """

    names: tuple[str, ...]
    x: np.ndarray
    failed: np.ndarray
    observed: np.ndarray
    cost: np.ndarray
    upfront: np.ndarray
    cells: np.ndarray
    families: np.ndarray
    route: np.ndarray

    def take(self, rows: np.ndarray) -> "Known":
        """Return the problems `rows`."""
        kept = {
            each.name: getattr(self, each.name)[rows]
            for each in fields(self)
            if each.name != "names"
        }
        return Known(self.names, **kept)


@dataclass(frozen=True)
class Outcomes:
    """What attempts came to.

    Attributes
    ----------
    wins, trials : int64 arrays, shape (problem, arm)
        Correct attempts, and attempts.
    cost : float64 array, shape (problem, arm)
        Mean cost of an attempt, in forward passes of both models unless another basis was asked
        for.
    """

    wins: np.ndarray
    trials: np.ndarray
    cost: np.ndarray

    def take(self, rows: np.ndarray) -> "Outcomes":
        """Return the problems `rows`."""
        return Outcomes(self.wins[rows], self.trials[rows], self.cost[rows])


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
        The same problems as the estimators see them (`clusters` and `strata` are those of the
        bootstrap).
    cell_names : str array, shape (cell,)
    left_out : dict of str to str
        Descriptors that cannot be had from this study, and why.
    """

    arms: tuple[str, ...]
    known: Known
    outcomes: Outcomes
    table: Table
    cell_names: np.ndarray
    left_out: dict[str, str]


def read_problems(
    ds: xr.Dataset,
    *,
    interventions: Sequence[str] = ROUTED_INTERVENTIONS,
    policy: RoutingPolicy = PUBLISHED,
    basis: str = "forward_passes",
) -> Problems:
    """Take a study's failed problems out of xarray, what is known apart from what is judged by.

    Parameters
    ----------
    ds : Dataset
        A study with observed rollouts, attempts and their forward passes.
    interventions : sequence of str
        What may be chosen beside retry.
    policy : RoutingPolicy
        The rule that the routers are compared with.
    basis : str
        What an attempt costs: ``forward_passes`` of both models, ``generated_tokens``, or
        ``attempts`` (1 each).

    Returns
    -------
    Problems

    Raises
    ------
    InputError
        If the study does not store each attempt and its forward passes, or an intervention is
        missing.
    """
    _check(ds, basis)
    ds = with_rates(ds)
    table, _, labels = tabulate(ds, policy=policy, interventions=interventions)
    arms = table.arms[: 1 + table.n_regime]
    rows = routable(ds, policy.features, arms)
    kept = ds.isel(problem=rows)
    outcomes = _outcomes(kept, arms, BASES[basis])
    names, x, left_out = _descriptors(kept, table)
    correct = kept["correct"].sel(intervention=NONE).transpose(PROBLEM, ROLLOUT).to_numpy()
    observed = (correct >= 0).sum(axis=1).astype(np.int64)
    # The ancestor reads observed rollouts for their signals alone: no part of what a retry costs.
    own = _total(kept, [NONE], BASES[basis][:1])[:, 0]
    known = Known(
        names=names,
        x=x,
        failed=failed_rollouts(kept).sum(axis=1).astype(np.int64),
        observed=observed,
        cost=own / np.maximum(observed, 1),
        upfront=_total(kept, [NONE], BASES[basis])[:, 0],
        cells=table.cells,
        families=np.unique(text(kept["family"]), return_inverse=True)[1],
        route=table.decide(np.ones((1, len(rows)), dtype=bool))[0],
    )
    if (known.cost <= 0).any() or (outcomes.cost <= 0).any():
        raise InputError(
            f"{' + '.join(BASES[basis])} is 0 for rollouts that were run, so nothing can be"
            f" compared at equal {basis}; allowed: basis='attempts'"
        )
    return Problems(arms, known, outcomes, table, labels, left_out)


def _check(ds: xr.Dataset, basis: str) -> None:
    if basis not in BASES:
        raise InputError(f"unknown basis {basis!r}; allowed: {', '.join(BASES)}")
    missing = [name for name in ("correct", *BASES[basis]) if name not in ds]
    if missing:
        raise InputError(
            f"the study stores no {', '.join(missing)}, so attempts cannot be replayed at equal"
            f" {basis}; needed: a study with attempts, as recover-nb run writes (a profile table"
            " holds rates alone)"
        )
    if NONE not in [str(each) for each in ds["intervention"].values]:
        raise InputError(
            "the study has no intervention 'none': routers go by the observed rollouts, which are"
            " missing"
        )
    missing = [name for name in ("family", "problem_id", "task") if name not in ds.coords]
    if missing:
        raise InputError(
            f"the study has no coordinate {missing[0]!r}; problems are held out by question, cell,"
            " family"
        )


def _total(ds: xr.Dataset, arms: Sequence[str], variables: Sequence[str]) -> np.ndarray:
    """Return the sum of the variables over the rollouts that were run, (problem, arm).

    Without variables, it returns how many were run.
    """
    chosen = (
        ds[["correct", *variables]]
        .sel(intervention=list(arms))
        .transpose(PROBLEM, ROLLOUT, "intervention")
    )
    run = chosen["correct"].to_numpy() >= 0
    if not variables:
        return run.sum(axis=1).astype(float)
    return sum(
        np.where(run, chosen[name].to_numpy(), 0).sum(axis=1, dtype=float) for name in variables
    )


def _outcomes(ds: xr.Dataset, arms: tuple[str, ...], variables: Sequence[str]) -> Outcomes:
    correct = (
        ds["correct"]
        .sel(intervention=list(arms))
        .transpose(PROBLEM, ROLLOUT, "intervention")
        .to_numpy()
    )
    trials = (correct >= 0).sum(axis=1).astype(np.int64)
    wins = (correct == 1).sum(axis=1).astype(np.int64)
    return Outcomes(wins, trials, _total(ds, arms, variables) / np.maximum(trials, 1))


def _descriptors(
    ds: xr.Dataset, table: Table
) -> tuple[tuple[str, ...], np.ndarray, dict[str, str]]:
    """Return each problem's descriptors that need no knowledge of its cell.

    It returns names, values (problem, descriptor), and which are left out and why.

    The features as they are, and as z-scores among the problems being routed, as the published rule
    has them.
    """
    columns: dict[str, np.ndarray] = {}
    features = list(table.policy.features)
    z = np.empty_like(table.features)
    for cell in np.unique(table.cells):
        rows = table.cells == cell
        z[rows] = standardise(table.features[rows])
    columns |= {name: table.features[:, i] for i, name in enumerate(features)}
    columns |= {f"{name}_z": z[:, i] for i, name in enumerate(features)}
    observed = ds.sel(intervention=NONE)
    correct = observed["correct"].transpose(PROBLEM, ROLLOUT).to_numpy()
    failed = failed_rollouts(ds)
    wrong, right = failed.sum(axis=1), (correct == 1).sum(axis=1)
    # Half a rollout on either side keeps the log-odds finite when all failed.
    columns["failure_logit"] = np.log((wrong + 0.5) / (right + 0.5))
    left_out = {}
    length = next((name for name in ("n_tokens", "forward_specialist") if name in ds), None)
    if length is None:
        left_out["log_length"] = "the study stores no lengths"
    else:
        lengths = observed[length].transpose(PROBLEM, ROLLOUT).to_numpy()
        columns["log_length"] = np.log(
            np.where(failed, lengths, 0).sum(axis=1) / np.maximum(wrong, 1) + 1.0
        )
    agreement, reason = _agreement(observed, failed)
    if reason is not None:
        left_out["agreement"] = reason
    if reason is None:
        columns["agreement"] = agreement
    return tuple(columns), np.stack(list(columns.values()), axis=1).astype(float), left_out


def _agreement(observed: xr.Dataset, failed: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Return the share of failed rollouts with the commonest wrong answer, (problem,).

    Where it is not known, the reason is returned too.
    """
    if "token_id" not in observed or "n_tokens" not in observed:
        return np.empty(0), "the study stores no tokens"
    families = text(observed["family"])
    pieces = {name: token_pieces(name) for name in dict.fromkeys(families.tolist())}
    unread = [name for name, table in pieces.items() if not table]
    if unread:
        return np.empty(0), f"the tokens of family {unread[0]!r} cannot be read as text here"
    token = observed["token_id"].transpose(PROBLEM, ROLLOUT, ...).to_numpy()
    length = observed["n_tokens"].transpose(PROBLEM, ROLLOUT).to_numpy()
    out = np.zeros(len(failed))
    for problem in range(len(failed)):
        table = pieces[str(families[problem])]
        places = np.flatnonzero(failed[problem])
        ids = [token[problem, rollout, : length[problem, rollout]].tolist() for rollout in places]
        out[problem] = modal_share(
            [
                "".join(table.get(i, "") for i in rollout_ids).removesuffix(END)
                for rollout_ids in ids
            ]
        )
    return out, None


def modal_share(answers: Sequence[str]) -> float:
    """Return the share of texts whose parsed answer is the commonest one.

    A text without an answer agrees with none.
    """
    found = Counter(answer for answer in map(parse_answer, answers) if answer is not None)
    return max(found.values(), default=0) / max(len(answers), 1)
