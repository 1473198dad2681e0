"""Paired attempts of operators that differ in one thing, added up by problem.

See docs/method.md#controls.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from recover_nb.core.labels import Intervention
from recover_nb.core.schema import INTERVENTION, PROBLEM, ROLLOUT
from recover_nb.stats.resampling import bootstrap_ratio, bootstrap_weights, checkpoint_interval

RETRY = Intervention.RETRY.value
STEER = Intervention.SPARSE_STEER.value
WRONG = Intervention.SPARSE_STEER_WRONG.value
RANDOM = Intervention.SPARSE_STEER_RANDOM.value
#: Operators that act once.
ACTS = (STEER, WRONG, RANDOM)


class Terms(NamedTuple):
    """What each problem adds: right answers of two operators, and pairs of attempts (problem,).

    With an `offset` the difference is less that of others; with `weights` each operator has pairs
    of its own.
    """

    one: np.ndarray
    other: np.ndarray
    n: np.ndarray
    n_other: np.ndarray | None = None
    offset: "Terms | None" = None


class Row(NamedTuple):
    """One comparison over some problems: see `controls.Controls`."""

    n: float
    problems: float
    rate: float
    rate_against: float
    difference: float
    low: float
    high: float
    low_checkpoints: float
    high_checkpoints: float


def rates(rate: xr.DataArray, one: str, other: str) -> Terms:
    """Return the terms of every attempt: rescue rates, each problem counting once."""
    both = np.asarray(rate.sel({INTERVENTION: [one, other]}))
    known = np.asarray(~np.isnan(both).any(axis=1))
    filled = np.where(known[:, None], both, 0.0)
    return Terms(filled[:, 0], filled[:, 1], known.astype(float))


class _Attempts(NamedTuple):
    """Attempts of one operator beside retry's (problem, rollout).

    ``right``, ``fired`` (place of the first token acted on, -1 none), ``token`` (what was emitted
    there) and ``changed`` (not what retry emitted there).
    """

    run: np.ndarray
    right: np.ndarray
    fired: np.ndarray
    token: np.ndarray
    changed: np.ndarray


def _attempts(ds: xr.Dataset, name: str) -> _Attempts:
    axes = (PROBLEM, ROLLOUT)
    one, retry = (ds.sel({INTERVENTION: each}) for each in (name, RETRY))
    correct, fired = (one[each].transpose(*axes).values for each in ("correct", "fired_at"))
    twin = retry["correct"].transpose(*axes).values
    place = np.maximum(fired, 0)[..., None]
    token, before = (
        np.take_along_axis(each["token_id"].transpose(*axes, ...).values, place, axis=-1)[..., 0]
        for each in (one, retry)
    )
    run = (correct >= 0) & (twin >= 0)
    return _Attempts(run, correct == 1, fired, token, run & (fired >= 0) & (token != before))


def _stored(ds: xr.Dataset, there: set[str]) -> bool:
    return {"correct", "fired_at", "token_id"} <= set(ds.variables) and RETRY in there


def acts(ds: xr.Dataset, there: set[str], chosen: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Share of attempts in which each operator acted, and changed a token (population, act)."""
    names = [name for name in ACTS if name in there]
    out = {name: np.full((len(chosen), len(names)), np.nan) for name in ("fired", "changed")}
    if not _stored(ds, there):
        return out
    for column, name in enumerate(names):
        one = _attempts(ds, name)
        for row, among in enumerate(chosen.values()):
            run = one.run & among[:, None]
            if run.any():
                out["fired"][row, column] = (one.fired >= 0)[run].mean()
                out["changed"][row, column] = one.changed[run].mean()
    return out


def twins(ds: xr.Dataset, there: set[str]) -> dict[str, Terms]:
    """Return the terms of comparisons over chosen attempts, as far as the study stores them."""
    if not _stored(ds, there) or STEER not in there:
        return {}
    steer, found = _attempts(ds, STEER), {}
    if WRONG in there:
        wrong = _attempts(ds, WRONG)
        both = steer.run & wrong.run & (steer.fired >= 0) & (steer.fired == wrong.fired)
        differs = both & (steer.token != wrong.token)
        found["mixture_differs"] = _pairs(steer.right, wrong.right, differs)
    if RANDOM in there:
        random = _attempts(ds, RANDOM)
        acted = steer.run & random.run & (steer.fired >= 0) & (random.fired >= 0)
        same = acted & (steer.fired == random.fired)
        elsewhere = _pairs(steer.right, random.right, acted & ~same)
        alike = _pairs(steer.right, random.right, same)
        found |= {
            "place_elsewhere": elsewhere,
            "place_same": alike,
            "place_gap": elsewhere._replace(offset=alike),
            "place_changed": _gains(ds, steer, random),
        }
    return found


def _pairs(one: np.ndarray, other: np.ndarray, chosen: np.ndarray) -> Terms:
    """Add up the chosen attempts of each problem."""
    return Terms(*((each & chosen).sum(axis=1).astype(float) for each in (one, other, chosen)))


def _gains(ds: xr.Dataset, one: _Attempts, other: _Attempts) -> Terms:
    """Gain over the twin of retry among attempts whose token each operator changed."""
    retry = ds["correct"].sel({INTERVENTION: RETRY}).transpose(PROBLEM, ROLLOUT).values == 1
    gains = [
        ((each.right.astype(float) - retry) * each.changed).sum(axis=1) for each in (one, other)
    ]
    counts = [each.changed.sum(axis=1).astype(float) for each in (one, other)]
    return Terms(gains[0], gains[1], counts[0], counts[1])


def compare_terms(
    terms: Terms,
    among: np.ndarray,
    names: tuple[np.ndarray, np.ndarray, np.ndarray],
    n_bootstrap: int,
    seed: int,
) -> Row:
    """Return one comparison over some problems, with both intervals."""
    parts = [terms, *([terms.offset] if terms.offset else [])]
    weighs = sum(each.n + (0 if each.n_other is None else each.n_other) for each in parts)
    rows = np.flatnonzero(among & (weighs > 0))
    if not len(rows):
        return Row(0, 0, *[np.nan] * 7)
    question, strata, checkpoints = (each[rows] for each in names)
    value, offset = _ratios(terms, rows)
    resamples = bootstrap_weights(question, strata, n_bootstrap, np.random.default_rng(seed))
    found = bootstrap_ratio(*value, resamples, offset=offset, bca=False)
    ends = checkpoint_interval(*value, checkpoints, offset=offset)
    n, n_other = (terms.n[rows], (terms.n if terms.n_other is None else terms.n_other)[rows])
    means = [
        x[rows].sum() / max(y.sum(), 1e-300) for x, y in ((terms.one, n), (terms.other, n_other))
    ]
    figures = [
        n.sum(),
        (n > 0).sum(),
        *(x if y.any() else np.nan for x, y in zip(means, (n, n_other), strict=True)),
        found.value[0],
        *found.percentile[:, 0],
        *(x[0] for x in ends),
    ]
    return Row._make(map(float, figures))


def _ratios(
    terms: Terms, rows: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray] | None]:
    """Return value and weight (row, 1), and those of what is subtracted."""

    def column(values: np.ndarray) -> np.ndarray:
        return values[rows][:, None]

    if terms.n_other is not None:
        return (column(terms.one), column(terms.n)), (column(terms.other), column(terms.n_other))
    whole = column(terms.one - terms.other), column(terms.n)
    less = terms.offset
    return whole, None if less is None else (column(less.one - less.other), column(less.n))
