"""Which failures a figure is about, what a vote among attempts says, what ever rescues a problem.

docs/method.md#populations and #majority.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.checks import check_whole
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Signal
from recover_nb.core.schema import (
    INTERVENTION,
    PROBLEM,
    ROLLOUT,
    failed_rollouts,
    failed_units,
    text,
)
from recover_nb.core.stored_json import json_part
from recover_nb.features.features import (
    DEFAULT_WINDOW,
    KEPT_FEATURES,
    floor_of,
    problem_features,
    rollout_features,
)

_NONE = Intervention.NONE.value

#: Every problem with a failed rollout; what comes before the number of first rollouts that failed.
FAILED, FIRST = "failed", "failed_first_"
#: The population of every headline: somebody has one wrong answer in hand.
HEADLINE = f"{FIRST}1"
#: What figures are given over unless told, the headline first.
POPULATIONS = (HEADLINE, FAILED, f"{FIRST}5")


def _population(value: Any) -> str:
    if not isinstance(value, str):
        raise checks.Wrong
    if value != FAILED and not re.fullmatch(rf"{FIRST}[1-9]\d{{0,5}}", value):
        raise checks.Wrong(checks.near(value, POPULATIONS))
    return str(value)


#: One population, or several, as a function asks for them.
POPULATION = checks.Kind(f"{FAILED}, or {FIRST}M for a whole number M", _population)
SOME_POPULATIONS = checks.several(POPULATION, f"populations: {POPULATION.what}")


def choose_populations(ds: xr.Dataset, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Return the problems of each population, the headline first.

    docs/method.md#populations.

    Parameters
    ----------
    ds : Dataset
    names : sequence of str, optional
        ``failed``, or ``failed_first_M`` for any whole number M. By default those of `POPULATIONS`
        that the study allows: a table without rollouts has ``failed`` alone.

    Returns
    -------
    dict of str to (problem,) bool

    Raises
    ------
    InputError
        A name is not allowed, or the study stores too few rollouts for it.
    """
    if names is not None:
        given = (names,) if isinstance(names, str) else tuple(names)
        if not given:
            raise InputError(f"populations is empty; allowed: {', '.join(POPULATIONS)}")
        return {str(name): _inside(ds, first_of(str(name))) for name in given}
    return {name: _inside(ds, first_of(name)) for name in allowed_populations(ds)}


def _inside(ds: xr.Dataset, m: int) -> np.ndarray:
    """As `first_failed`; of a table that does not know rollouts every problem may have failed."""
    if m == 0 and not {"n_failed_rollouts", "correct"} & set(ds.data_vars):
        return np.ones(ds.sizes[PROBLEM], dtype=bool)
    return first_failed(ds, m)


def allowed_populations(ds: xr.Dataset) -> tuple[str, ...]:
    """Return those of `POPULATIONS` that a study stores enough rollouts for, the headline first."""
    known = "correct" in ds and _NONE in text(ds[INTERVENTION])
    m = observed_rollouts(ds) if known else 0
    return tuple(name for name in POPULATIONS if first_of(name) <= m)


def first_features(ds: xr.Dataset, population: str, rows: np.ndarray) -> np.ndarray | None:
    """Return features of the first failed rollouts that make a population, and of no other.

    It is what somebody knows who has those answers in hand and no more.

    Parameters
    ----------
    ds : Dataset
    population : str
        ``failed_first_M``.
    rows : (n,) int
        Places along `problem`, all of them of that population.

    Returns
    -------
    (n, feature) float64, or None
        NaN where a rollout's signals are not stored. None where the population is no such one, or
        the study stores neither signals nor features of rollouts.
    """
    m = first_of(population)
    if not m:
        return None
    if KEPT_FEATURES in ds:
        few = ds[KEPT_FEATURES].isel({PROBLEM: rows, "observed": slice(m)})
        few = few.transpose(PROBLEM, "observed", "feature").values.astype(float)
    else:
        names = [Signal.DEMOTION_PRESSURE.value, Signal.LOGIT_VARIANCE.value]
        if not {*names, "n_tokens"} <= set(ds.data_vars):
            return None
        block = {PROBLEM: rows, ROLLOUT: slice(m)}
        pressure, variance = (
            ds[name].isel(block).transpose(PROBLEM, ROLLOUT, "token").values for name in names
        )
        length = ds["n_tokens"].sel({INTERVENTION: _NONE}).isel(block)
        length = length.transpose(PROBLEM, ROLLOUT).values
        few = rollout_features(pressure, variance, length, window=_window(ds), floor=floor_of(ds))
    # With fewer rollouts than are asked for, the features would be of others than the name says.
    known = np.asarray(np.isfinite(few).all(axis=(1, 2)))
    return np.where(known[:, None], problem_features(few, np.ones(few.shape[:2], bool)), np.nan)


def _window(ds: xr.Dataset) -> int:
    """Return the junction window that the study's features were computed with."""
    window = json_part(ds.attrs, "config_json", "settings").get("window", DEFAULT_WINDOW)
    check_whole("window, in attribute config_json of the study:", window, 0)
    return window


def first_of(name: str) -> int:
    """Return how many first rollouts a population's name says failed."""
    checks.check("population", name, POPULATION)
    return 0 if name == FAILED else int(name.removeprefix(FIRST))


@takes_study()
@checks.takes(m=checks.DRAWS)
def first_failed(ds: xr.Dataset, m: int) -> np.ndarray:
    """Return which problems failed in all of their first `m` rollouts.

    docs/method.md#populations.

    Parameters
    ----------
    ds : Dataset
        A study with rollouts.
    m : int
        0: every failed problem, however many of its rollouts failed.

    Returns
    -------
    (problem,) bool

    Raises
    ------
    InputError
        The study stores no rollouts, or fewer than `m` were observed.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study()
    >>> some = ds.isel(problem=rnb.first_failed(ds, 5))
    >>> bool((some["correct"].sel(intervention="none").isel(rollout=slice(5)) == 0).all())
    True
    """
    check_whole("m", m, 0)
    if m == 0:
        return failed_units(ds)
    if ROLLOUT not in ds.dims:
        raise InputError(
            "the study stores no rollouts, so which problems failed at first is not known; m=0"
            " takes every failed problem"
        )
    if m > observed_rollouts(ds):
        raise InputError(
            f"m={m} rollouts were not observed; allowed: at most {observed_rollouts(ds)}"
        )
    return np.asarray(failed_rollouts(ds)[:, :m].all(axis=1))


@takes_study()
@checks.takes(k=checks.COUNT, skip=checks.DRAWS, draws=checks.COUNT, seed=checks.SEED)
def majority_vote(
    ds: xr.Dataset, k: int, *, skip: int = 0, draws: int = 200, seed: int = 0
) -> xr.DataArray:
    """Return how often the commonest of `k` observed answers is right: self-consistency.

    docs/method.md#majority. What a user would do first, at the cost of `k` attempts. Of equally
    common answers the first counts; a rollout without an answer does not vote.

    Parameters
    ----------
    ds : Dataset
        A study with `answer_id`.
    k : int
        Votes.
    skip : int
        Observed rollouts that are not drawn from: those that say which problems are in hand
        (`first_failed`).
    draws : int
        Random sets of `k` rollouts per problem. With `k` rollouts left, the one set.
    seed : int

    Returns
    -------
    (problem,) float64

    Raises
    ------
    InputError
        No `answer_id`, or fewer than `skip` + `k` rollouts observed.

    Notes
    -----
    Wang et al., Self-Consistency Improves Chain of Thought Reasoning (2022).

    Examples
    --------
    Two of three votes are for the right answer of the first problem.

    >>> import numpy as np, xarray as xr
    >>> correct = xr.DataArray([[[1], [0], [1]]], dims=("problem", "rollout", "intervention"))
    >>> given = xr.DataArray([[7, 9, 7]], dims=("problem", "rollout"))
    >>> votes = xr.Dataset({"correct": correct, "answer_id": given}, {"intervention": ["none"]})
    >>> majority_vote(votes, 3).values.tolist()
    [1.0]
    """
    check_whole("k", k, 1)
    check_whole("skip", skip, 0)
    if "answer_id" not in ds:
        raise InputError("the study has no variable answer_id, so its answers cannot be counted")
    right, given = _votes(ds)
    right, given = right[:, skip:], given[:, skip:]
    n = right.shape[1]
    if k > n:
        raise InputError(f"{skip} + {k} rollouts are needed, and {skip + n} were observed")
    rng = np.random.default_rng(seed)
    orders = (
        np.arange(n)[None] if k == n else np.array([rng.permutation(n)[:k] for _ in range(draws)])
    )
    won = np.zeros(len(right))
    for order in orders:
        won += vote(right[:, order], given[:, order])
    return xr.DataArray(won / len(orders), dims=PROBLEM, name="majority", attrs={"k": k})


def observed_rollouts(ds: xr.Dataset) -> int:
    """Return how many rollouts of each problem were observed."""
    observed = ds["correct"].sel({INTERVENTION: _NONE}).transpose(PROBLEM, ROLLOUT).values
    return int((observed >= 0).all(0).sum())


def _votes(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each observed rollout is right, and which answer it gives (-1: none)."""
    observed = ds["correct"].sel({INTERVENTION: _NONE}).transpose(PROBLEM, ROLLOUT).values
    run = (observed >= 0).all(0)
    given = ds["answer_id"].transpose(PROBLEM, ROLLOUT).values
    return observed[:, run] == 1, given[:, run]


def vote(right: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return whether the first of the commonest answers is right, (problem,) bool.

    Parameters
    ----------
    right : (problem, rollout) bool
    given : (problem, rollout) int
        Which answer a rollout gives, -1 none.
    """
    votes = (given[:, :, None] == given[:, None, :]).sum(-1) * (given >= 0)
    first = votes.argmax(1)
    place = np.arange(len(right))
    return right[place, first] & (votes[place, first] > 0)
