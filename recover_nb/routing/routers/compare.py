"""Compare routers with retry, fixed operators and the published rule at equal cost.

See docs/method.md#routers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.checks import check_whole
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ROUTED_INTERVENTIONS, HoldOut, Router, parse
from recover_nb.core.plain import plain
from recover_nb.core.result import Result, labelled
from recover_nb.routing.nulls import _binomial
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy
from recover_nb.routing.routers.beliefs import ABOUT, GATES
from recover_nb.routing.routers.folds import Fold, make_folds
from recover_nb.routing.routers.inputs import Outcomes, Problems, read_problems
from recover_nb.routing.routers.scoring import (
    BEST_FIXED,
    Curve,
    best_fixed,
    budgets_of,
    comparators,
    score_routers,
)
from recover_nb.routing.routers.summary import (
    headline,
    null_lifts,
    summarise_null_lifts,
    summarise_policies,
)
from recover_nb.stats.resampling import Resamples, bootstrap_weights

#: Every router but the slow one.
DEFAULT_ROUTERS = tuple(each.value for each in Router if each != Router.BOOSTED)
#: Budget of the headline, in retries: about three steered attempts, each of which runs two models.
BUDGET, MAX_BUDGET = 6, 20
#: Figures of a policy at the headline budget.
_RATES = ("rate", "low", "high", "given", "paid")


@dataclass(frozen=True)
class RouterComparison(Result):
    """Routers against everything they are compared with, on all failed problems of a study.

    Attributes
    ----------
    n : int
        Failed problems.
    basis : str
        What budgets are equal in.
    budgets : list of int
        In retries: every problem may cost what so many of its retries do.
    costs : list of float
        The same budgets by the basis, mean over problems.
    budget : int
        Which of `budgets` the headline figures are at.
    upfront : float
        Cost of gathering the observed rollouts of a problem, mean. Every router but ``sequence``
        needs them, as the published rule does; they are in no budget.
    routers : dict of str to str
        Name and meaning of each.
    hold_outs : dict of str to dict
        By what was not learned from: ``policies`` (each with ``kind``, ``rate``, ``ci95``,
        ``given``, ``paid`` and ``curve``), ``lifts`` (router, comparator: see `summary.headline`),
        ``curves`` (lift over best fixed at every budget), ``cells``, and ``beats``: routers whose
        lift over best fixed is above 0 by the interval and by Holm.
    left_out : dict of str to str
        Descriptors and ways of holding out that this study does not allow, and why.
    settings : dict
    """

    title = "Does a router beat always doing one thing?"
    chart = "plot_routers"
    following = (
        "rnb.tables.router_lifts(found)  # each router over what it is compared with",
        "found.to_dataframe()  # what every policy rescues",
    )

    n: int
    basis: str
    budgets: list
    costs: list
    budget: int
    upfront: float
    routers: dict
    hold_outs: dict
    left_out: dict
    settings: dict

    @property
    def dataset(self) -> xr.Dataset:
        """What every policy rescues, by way of holding out: at the headline budget and at each."""
        dims = ("hold_out", "policy")
        items = list(self.hold_outs.values())
        names = list(dict.fromkeys(name for item in items for name in item["policies"]))
        data: dict[str, Any] = {
            name: (dims, np.full((len(items), len(names)), np.nan)) for name in _RATES
        }
        curve = np.full((len(items), len(names), len(self.budgets)), np.nan)
        for row, item in enumerate(items):
            for policy, one in item["policies"].items():
                at = (row, names.index(policy))
                figures = (one["rate"], *one["ci95"], one["given"], one["paid"])
                for name, value in zip(_RATES, figures, strict=True):
                    data[name][1][at] = value
                curve[at] = one["curve"]
        data["curve"] = ((*dims, "budget"), curve)
        data["cost"] = (("budget",), self.costs)
        coords = {"hold_out": self.hold_outs, "policy": names, "budget": self.budgets}
        return labelled(data, coords, dict(self.settings))

    @property
    def sentence(self) -> str:
        """What was found, over every way of holding out."""
        return " ".join(self.sentences)

    def to_dataframe(self, hold_out: str | None = None) -> pd.DataFrame:
        """Return what every policy rescues at the headline budget.

        Parameters
        ----------
        hold_out : str, optional
            Way of holding out; all by default.

        Returns
        -------
        DataFrame
            ``hold_out``, ``policy``, ``kind`` (router or comparator), ``rate`` with ``low``,
            ``high``, ``given`` (cost allowed a problem, mean) and ``paid`` (cost when one stops at
            the first correct attempt). Best first.

        Raises
        ------
        InputError
            If the way of holding out is none that was used.
        """
        if hold_out is not None and hold_out not in self.hold_outs:
            raise InputError(f"no hold-out {hold_out!r}; allowed: {', '.join(self.hold_outs)}")
        frames = []
        for name in self.hold_outs if hold_out is None else [hold_out]:
            frame = self.dataset[list(_RATES)].sel(hold_out=name).to_dataframe().reset_index()
            kinds = {key: one["kind"] for key, one in self.hold_outs[name]["policies"].items()}
            frame = frame[frame["policy"].isin(kinds)]
            frame = frame.assign(kind=frame["policy"].map(kinds))
            frames.append(frame.sort_values("rate", ascending=False, kind="stable"))
        columns = ["hold_out", "policy", "kind", *_RATES]
        return pd.concat(frames, ignore_index=True)[columns]

    @property
    def sentences(self) -> list[str]:
        """What was found, one sentence a way of holding out."""
        return [_say(name, item, self.budget, self.basis) for name, item in self.hold_outs.items()]

    def to_dict(self) -> dict:
        """Return the comparison as plain data, NaN as None."""
        stored = {each.name: getattr(self, each.name) for each in fields(self)}
        return plain({**stored, "sentences": self.sentences})


def _say(hold_out: str, item: dict, budget: int, basis: str) -> str:
    rate = item["policies"][BEST_FIXED]["rate"]
    head = f"Held out by {hold_out}, at the {basis.replace('_', ' ')} of {budget} retries"
    text = [f"{head}, the best fixed operator rescues {rate:.1%} of the failed problems."]
    gates = [name for name in item["lifts"] if name in GATES]
    for names, what in (
        (
            [name for name in item["lifts"] if name in ABOUT and name not in GATES],
            "that spends the same on every problem",
        ),
        (gates, "that shares out one budget"),
    ):
        better = [
            _say_lift(name, item["lifts"][name][BEST_FIXED])
            for name in names
            if name in item["beats"]
        ]
        if names:
            text.append(
                f"Better, {what}: {', '.join(better)}." if better else f"No router {what} beats it."
            )
    if len(gates) > 1 and Router.RETRY_GATE in gates:
        name = max(
            (each for each in gates if each != Router.RETRY_GATE),
            key=lambda each: item["policies"][each]["rate"],
        )
        text.append(
            "What operators add to sharing out:"
            f" {_say_lift(name, item['lifts'][name][Router.RETRY_GATE])}."
        )
    return " ".join(text)


def _say_lift(name: str, lift: dict) -> str:
    low, high = lift["ci95"]
    null = (
        f" ({100 * lift['null_mean']:+.1f} with no operator better than retry)"
        if "null_mean" in lift
        else ""
    )
    return f"{name} {100 * lift['lift']:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]{null}"


def compare_routers(
    ds: xr.Dataset,
    *,
    routers: str | Sequence[str] = DEFAULT_ROUTERS,
    hold_out: str | Sequence[str] = tuple(HoldOut),
    interventions: Sequence[str] = ROUTED_INTERVENTIONS,
    policy: RoutingPolicy = PUBLISHED,
    basis: str = "forward_passes",
    budget: int = BUDGET,
    max_budget: int = MAX_BUDGET,
    seed: int = 0,
    n_bootstrap: int = 2000,
    n_permutations: int = 2000,
    n_null: int = 10,
    n_halvings: int = 20,
    progress: Callable[[str], None] | None = None,
) -> RouterComparison:
    """Compare routers at equal cost, on problems they have not learned from.

    Parameters
    ----------
    ds : Dataset
        A study with observed rollouts, attempts and their forward passes.
    routers : str or sequence of str
        Of `labels.Router`; ``boosted`` takes a few times longer than the others together.
    hold_out : str or sequence of str
        What is not learned from: the ``question`` (five folds; the cell is known), the ``cell``,
        the ``family``. One that the study does not allow is left out.
    interventions : sequence of str
        What may be chosen beside retry.
    policy : RoutingPolicy
        The published rule.
    basis : str
        What budgets are equal in: ``forward_passes`` of both models, ``generated_tokens``, or
        ``attempts``, as if every operator were as cheap as a retry.
    budget : int
        Headline budget, in retries of the same problem; at most `max_budget`.
    max_budget : int
        Largest budget of the curves.
    seed : int
        The result is a function of it and of the data alone.
    n_bootstrap, n_permutations, n_null, n_halvings : int
        Resamples of questions, sign flips, simulated studies in which no operator differs from
        retry, and halvings of attempts for ``oracle``. n_null may be 0.
    progress : callable, optional
        Called with the name of each stage as it begins.

    Returns
    -------
    RouterComparison

    Raises
    ------
    InputError
        If a name or number is not allowed, or the study does not store what is needed.

    Notes
    -----
    docs/method.md#5-rescue-rate, docs/method.md#7-routing-rule and docs/method.md#routers. A budget
    gives every problem what so many of its retries cost; an operator without attempts left is
    followed by retries. A gate shares out the same total over the problems of a cell by expected
    gain. Nothing is selected by the attempts that score, so no lift has a winner's curse; the null
    says what a router gains from costs and from sharing out alone.
    """
    names = [parse(Router, each).value for each in dict.fromkeys(_several(routers))]
    schemes = [parse(HoldOut, each).value for each in dict.fromkeys(_several(hold_out))]
    _check(names, schemes, budget, max_budget, seed)
    counts = {
        "n_bootstrap": n_bootstrap,
        "n_permutations": n_permutations,
        "n_halvings": n_halvings,
    }
    for name, value in counts.items():
        check_whole(name, value, 1)
    check_whole("n_null", n_null, 0)
    tell = progress or (lambda stage: None)
    tell("reading problems")
    problems = read_problems(ds, interventions=interventions, policy=policy, basis=basis)
    folds, left_out = _all_folds(problems, schemes, seed)
    grid = list(range(1, max_budget + 1))
    resamples = bootstrap_weights(
        problems.table.clusters,
        problems.table.strata,
        n_bootstrap,
        np.random.default_rng([seed, 12]),
    )
    tell("comparators")
    given = budgets_of(problems.outcomes, grid)
    shared = comparators(
        problems, problems.outcomes, given, n_halvings, np.random.default_rng([seed, 13])
    )
    nulls = _null(problems, folds, names, budget, n_null, seed, tell)
    found = {}
    for place, (scheme, each) in enumerate(folds.items()):
        tell(f"hold out by {scheme}")
        curves = _with_routers(
            problems, problems.outcomes, each, names, given, shared, [seed, 14, place]
        )
        flips = np.random.default_rng([seed, 15, place])
        found[scheme] = _summarise(
            problems, curves, names, grid.index(budget), resamples, n_permutations, flips
        )
        if n_null:
            summarise_null_lifts(found[scheme]["lifts"], nulls[scheme])
    settings = {
        "seed": seed,
        **counts,
        "n_null": n_null,
        "interventions": [str(each) for each in interventions],
    }
    return RouterComparison(
        n=len(problems.known.cells),
        basis=basis,
        budgets=grid,
        costs=given.mean(axis=0).tolist(),
        budget=budget,
        upfront=float(problems.known.upfront.mean()),
        routers={name: ABOUT[Router(name)] for name in names},
        hold_outs=found,
        left_out={**problems.left_out, **left_out},
        settings={
            **settings,
            "policy": policy.to_dict(),
            "descriptors": list(problems.known.names),
        },
    )


def _several(names: str | Sequence[str]) -> Sequence[str]:
    """Take one name as a list of one: its letters are no names."""
    return (names,) if isinstance(names, str) else names


def _check(routers: list[str], schemes: list[str], budget: int, max_budget: int, seed: int) -> None:
    if not routers or not schemes:
        raise InputError(
            "routers and hold_out may not be empty; allowed: one or more names of each"
        )
    check_whole("seed", seed, 0)
    check_whole("max_budget", max_budget, 1)
    check_whole("budget", budget, 1)
    if budget > max_budget:
        raise InputError(f"budget is {budget}; it must be at most max_budget, {max_budget}")


def _all_folds(
    problems: Problems, schemes: list[str], seed: int
) -> tuple[dict[str, list[Fold]], dict[str, str]]:
    """Folds of every way of holding out that the study allows, and why others are not."""
    folds, left_out = {}, {}
    for scheme in schemes:
        try:
            folds[scheme] = make_folds(problems, scheme, seed=seed)
        except InputError as error:
            left_out[scheme] = str(error)
    if not folds:
        raise InputError("; ".join(left_out.values()))
    return folds, left_out


def _with_routers(
    problems: Problems,
    outcomes: Outcomes,
    folds: list[Fold],
    routers: list[str],
    given: np.ndarray,
    shared: dict[str, Curve],
    stage: list[int],
) -> dict[str, Curve]:
    """Curves of the comparators, of the best fixed operator of the folds, and of the routers."""
    fixed = best_fixed([shared[arm] for arm in problems.arms], folds)
    scored = score_routers(problems, outcomes, folds, routers, given, np.random.default_rng(stage))
    return {**shared, BEST_FIXED: fixed, **scored}


def _null(
    problems: Problems,
    folds: dict[str, list[Fold]],
    routers: list[str],
    budget: int,
    n_null: int,
    seed: int,
    tell: Callable[[str], None],
) -> dict[str, list[dict]]:
    """Lifts in studies in which no operator differs from retry, by way of holding out."""
    rng = np.random.default_rng([seed, 16])
    given = budgets_of(problems.outcomes, [budget])
    lifts: dict[str, list[dict]] = {scheme: [] for scheme in folds}
    for study in range(n_null):
        tell(f"null study {study + 1} of {n_null}")
        rates = _binomial(problems.table, range(len(problems.arms)), 1, rng)[0]
        trials = problems.outcomes.trials
        wins = np.round(np.nan_to_num(rates) * trials).astype(np.int64)
        outcomes = Outcomes(wins, trials, problems.outcomes.cost)
        shared = comparators(problems, outcomes, given, 2, rng)
        for place, (scheme, each) in enumerate(folds.items()):
            stage = [seed, 17, place, study]
            curves = _with_routers(problems, outcomes, each, routers, given, shared, stage)
            lifts[scheme].append(null_lifts(curves, routers))
    return lifts


def _summarise(
    problems: Problems,
    curves: dict[str, Curve],
    routers: list[str],
    at: int,
    resamples: Resamples,
    n_permutations: int,
    rng: np.random.Generator,
) -> dict:
    """Figures of one way of holding out."""
    lifts = headline(curves, routers, at, resamples, n_permutations, rng)
    out = summarise_policies(curves, routers, at, resamples)
    cells = {}
    for code, name in enumerate(problems.cell_names):
        rows = problems.known.cells == code
        rates = {key: float(curve.rescued[rows, at].mean()) for key, curve in curves.items()}
        cells[str(name)] = {"n": int(rows.sum()), "rates": rates}
    beats = [
        name
        for name in routers
        if lifts[name][BEST_FIXED]["ci95"][0] > 0 and lifts[name][BEST_FIXED]["p_holm"] <= 0.05
    ]
    return {"n": len(problems.known.cells), **out, "lifts": lifts, "cells": cells, "beats": beats}
