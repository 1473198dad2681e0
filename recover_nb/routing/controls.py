"""Operators that differ in one thing: which mixture steers, where it steers, what else it changes.

See docs/method.md#controls.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.checks import check_whole
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL, Intervention, Verdict
from recover_nb.core.result import Labelled, labelled
from recover_nb.core.schema import INTERVENTION, PROBLEM, ROLLOUT, checkpoint_codes, text
from recover_nb.core.titles import named
from recover_nb.routing.populations import FAILED, choose_populations
from recover_nb.routing.rescue import with_rates
from recover_nb.routing.result import interval_verdict
from recover_nb.stats.resampling import (
    Resamples,
    bootstrap_ratio,
    bootstrap_weights,
    checkpoint_interval,
)

_RETRY = Intervention.RETRY.value
_STEER = Intervention.SPARSE_STEER.value
_WRONG = Intervention.SPARSE_STEER_WRONG.value
_RANDOM = Intervention.SPARSE_STEER_RANDOM.value
_DENSE, _SAMPLE = Intervention.DENSE_STEER.value, Intervention.DENSE_SAMPLE.value
_HOTTER = Intervention.TEMPERATURE.value
#: Pairs that differ in one thing, over every attempt.
PAIRS = {
    "mixture": (_STEER, _WRONG),
    "place": (_STEER, _RANDOM),
    "argmax": (_DENSE, _SAMPLE),
    "ancestor": (_SAMPLE, _HOTTER),
}
#: The same over chosen attempts, which are twins: what a comparison is of -> its operators.
TWINS = {
    "mixture_differs": (_STEER, _WRONG),
    "place_elsewhere": (_STEER, _RANDOM),
    "place_same": (_STEER, _RANDOM),
    "place_gap": (_STEER, _RANDOM),
    "place_changed": (_STEER, _RANDOM),
}
_ENDS = ("difference", "low", "high", "low_checkpoints", "high_checkpoints")
_ACTS = (_STEER, _WRONG, _RANDOM)


class Controls(Labelled):
    """Paired differences of operators that differ in one thing: made by `controls`.

    Attributes
    ----------
    dataset : Dataset
        By ``population``, ``comparison`` and ``task`` (``all`` first). ``operator`` and ``against``
        (comparison): the two; ``rate`` and ``rate_against``: their shares of right attempts (for
        ``place_changed`` the gain over the twin of ``retry`` per changed token); ``difference``
        with ``low``, ``high`` (over questions), ``low_checkpoints`` and ``high_checkpoints``;
        ``n``: problems for comparisons over every attempt, else pairs of attempts, and
        ``problems``. By ``population`` and ``act`` (an operator): ``fired``, the share of attempts
        in which it acted at all, and ``changed``, in which it emitted another token than retry.

        Comparisons: ``mixture``, ``place``, ``argmax``, ``ancestor`` over every attempt.
        ``mixture_differs``: attempts in which both mixtures fired at one token and emitted
        different ones. ``place_elsewhere`` and ``place_same``: attempts in which both acted, the
        random one at another token or at the same; ``place_gap``: the first difference less the
        second. ``place_changed``: the gain over retry among attempts in which an operator changed
        the token, junction less random place.

    Examples
    --------
    Steering at the junction rescues more than at a random token, unless that is the same token.

    >>> import recover_nb as rnb
    >>> found = rnb.controls(rnb.load_study(), n_bootstrap=50)
    >>> points = 100 * found.dataset["difference"].sel(population="failed_first_1", task="all")
    >>> points.sel(comparison=["place_elsewhere", "place_same"]).round(1).values.tolist()
    [5.4, -0.2]
    """

    title = "Does it matter where one steers, and by which mixture?"
    chart = "plot_controls"
    following = (
        "found.to_dataframe()  # by population, comparison and task",
        'found.judge("place"), found.judge("mixture")',
    )

    @property
    def verdict(self) -> Verdict:
        """Whether the place matters: see `judge`."""
        return self.judge("place")

    def judge(self, thing: str) -> Verdict:
        """Say whether the place or the mixture matters, over the first population.

        Parameters
        ----------
        thing : {"place", "mixture"}
            The place does if the junction beats random tokens elsewhere, and its advantage there is
            larger than where both acted at one token (both intervals above 0). The mixture does if
            the one that fired beats the other where the two emit different tokens; where tokens are
            not stored, over every attempt (elsewhere the two are one rollout).

        Raises
        ------
        InputError
            If `thing` is something else.
        """
        if thing not in ("place", "mixture"):
            raise InputError(f"thing is {thing!r}; allowed: place, mixture")
        if thing == "mixture":
            fires = self._judged("mixture_differs")
            return self._judged("mixture") if fires == Verdict.NOT_TESTABLE else fires
        elsewhere, gap = (self._judged(name) for name in ("place_elsewhere", "place_gap"))
        if Verdict.NOT_TESTABLE in (elsewhere, gap):
            return Verdict.NOT_TESTABLE
        if elsewhere == gap == Verdict.SUPPORTED:
            return Verdict.SUPPORTED
        return Verdict.CONTRADICTED if elsewhere == Verdict.CONTRADICTED else Verdict.NOT_SHOWN

    def _judged(self, comparison: str) -> Verdict:
        if comparison not in self.dataset["comparison"].values:
            return Verdict.NOT_TESTABLE
        one = self.dataset.isel(population=0).sel(comparison=comparison, task=ALL)
        return interval_verdict(float(one["low"]), float(one["high"]))

    @property
    def sentence(self) -> str:
        """The figures of the first population, and the main ones of the others."""
        return say_controls(self)

    def to_dataframe(self) -> pd.DataFrame:
        """Return every comparison as a row.

        Returns
        -------
        DataFrame
            ``population``, ``comparison``, ``task``, ``operator``, ``against``, ``n``,
            ``problems``, ``rate``, ``rate_against``, ``points`` (the difference) with its 95 %
            intervals ``low_points``, ``high_points`` (over questions), ``low_checkpoints_points``
            and ``high_checkpoints_points``. Comparisons without a pair are left out.
        """
        found = self.dataset.drop_dims("act")
        frame = found.to_dataframe(dim_order=("population", "comparison", "task")).reset_index()
        frame = frame[frame["n"] > 0].reset_index(drop=True)
        frame[list(_ENDS)] *= 100
        frame = frame.rename(columns={"difference": "points"})
        frame = frame.rename(columns={name: f"{name}_points" for name in _ENDS[1:]})
        columns = ["population", "comparison", "task", "operator", "against", "n", "problems"]
        columns += ["rate", "rate_against", "points", *(f"{name}_points" for name in _ENDS[1:])]
        return frame[columns]


def controls(
    ds: xr.Dataset,
    *,
    populations: Sequence[str] | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Controls:
    """Compare operators that differ in one thing, paired by problem or by attempt.

    Parameters
    ----------
    ds : Dataset
        A study or a profile table, with two operators of `PAIRS`; ``fired_at``, ``token_id`` and
        ``correct`` for what compares attempts.
    populations : sequence of str, optional
        Which failures (`choose_populations`), the headline first.
    n_bootstrap, seed : int
        Resamples of questions within tasks, and their seed.

    Returns
    -------
    Controls

    Raises
    ------
    InputError
        If no two operators that differ in one thing were run.

    Notes
    -----
    docs/method.md#controls. Attempt r of every operator is a twin of attempt r of ``retry``: which
    tokens they would change is settled before any of them acts, so attempts chosen by it are paired
    without bias.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> rnb.controls(rnb.load_study(), n_bootstrap=200).judge("place").value
    'supported'
    """
    check_whole("n_bootstrap", n_bootstrap, 1)
    check_whole("seed", seed, 0)
    there = set(text(ds[INTERVENTION]))
    pairs = {name: pair for name, pair in PAIRS.items() if set(pair) <= there}
    if not pairs:
        raise InputError("no two operators that differ in one thing were run")
    twins = _twins(ds, there)
    named_pairs = pairs | {name: pair for name, pair in TWINS.items() if name in twins}
    rate = with_rates(ds)["rescue_rate"].transpose(PROBLEM, INTERVENTION)
    tasks = text(ds["task"])
    labels = [ALL, *dict.fromkeys(tasks.tolist())]
    strata, question = tasks, text(ds["problem_id"])
    checkpoints = checkpoint_codes(ds)
    chosen = _populations(ds, populations)
    rows: list[list[list[_Row]]] = []
    for among in chosen.values():
        terms = {name: _rates(rate, *pair) for name, pair in pairs.items()} | twins
        rows.append(
            [
                [
                    _compare(
                        terms[name],
                        among if task == ALL else among & (tasks == task),
                        (question, strata, checkpoints),
                        n_bootstrap,
                        seed,
                    )
                    for task in labels
                ]
                for name in named_pairs
            ]
        )
    dims = ("population", "comparison", "task")
    data: dict[str, tuple[tuple[str, ...], Any]] = {
        name: (dims, np.array([[[getattr(x, name) for x in b] for b in a] for a in rows]))
        for name in _Row._fields
    }
    for place, name in enumerate(("operator", "against")):
        data[name] = (("comparison",), [pair[place] for pair in named_pairs.values()])
    coords = {"population": chosen, "comparison": named_pairs, "task": labels}
    acts = _acts(ds, there, chosen)
    data |= {name: (("population", "act"), values) for name, values in acts.items()}
    coords["act"] = [name for name in _ACTS if name in there]
    return Controls(labelled(data, coords, {"n_bootstrap": n_bootstrap, "seed": seed}))


class _Terms(NamedTuple):
    """What each problem adds: right answers of two operators, and pairs of attempts (problem,).

    With an `offset` the difference is less that of others; with `weights` each operator has pairs
    of its own.
    """

    one: np.ndarray
    other: np.ndarray
    n: np.ndarray
    n_other: np.ndarray | None = None
    offset: "_Terms | None" = None


class _Row(NamedTuple):
    n: float
    problems: float
    rate: float
    rate_against: float
    difference: float
    low: float
    high: float
    low_checkpoints: float
    high_checkpoints: float


def _populations(ds: xr.Dataset, names: Sequence[str] | None) -> dict[str, np.ndarray]:
    if names is None and "correct" not in ds:
        return {FAILED: np.ones(ds.sizes[PROBLEM], dtype=bool)}
    return choose_populations(ds, names)


def _rates(rate: xr.DataArray, one: str, other: str) -> _Terms:
    """Return the terms of every attempt: rescue rates, each problem counting once."""
    both = rate.sel({INTERVENTION: [one, other]}).values
    known = ~np.isnan(both).any(axis=1)
    filled = np.where(known[:, None], both, 0.0)
    return _Terms(filled[:, 0], filled[:, 1], known.astype(float))


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
    one, retry = (ds.sel({INTERVENTION: each}) for each in (name, _RETRY))
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
    return {"correct", "fired_at", "token_id"} <= set(ds.variables) and _RETRY in there


def _acts(ds: xr.Dataset, there: set[str], chosen: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Share of attempts in which each operator acted, and changed a token (population, act)."""
    names = [name for name in _ACTS if name in there]
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


def _twins(ds: xr.Dataset, there: set[str]) -> dict[str, _Terms]:
    """Return the terms of comparisons over chosen attempts, as far as the study stores them."""
    if not _stored(ds, there) or _STEER not in there:
        return {}
    steer, found = _attempts(ds, _STEER), {}
    if _WRONG in there:
        wrong = _attempts(ds, _WRONG)
        both = steer.run & wrong.run & (steer.fired >= 0) & (steer.fired == wrong.fired)
        differs = both & (steer.token != wrong.token)
        found["mixture_differs"] = _pairs(steer.right, wrong.right, differs)
    if _RANDOM in there:
        random = _attempts(ds, _RANDOM)
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


def _pairs(one: np.ndarray, other: np.ndarray, chosen: np.ndarray) -> _Terms:
    """Add up the chosen attempts of each problem."""
    return _Terms(*((each & chosen).sum(axis=1).astype(float) for each in (one, other, chosen)))


def _gains(ds: xr.Dataset, one: _Attempts, other: _Attempts) -> _Terms:
    """Gain over the twin of retry among attempts whose token each operator changed."""
    retry = ds["correct"].sel({INTERVENTION: _RETRY}).transpose(PROBLEM, ROLLOUT).values == 1
    gains = [
        ((each.right.astype(float) - retry) * each.changed).sum(axis=1) for each in (one, other)
    ]
    counts = [each.changed.sum(axis=1).astype(float) for each in (one, other)]
    return _Terms(gains[0], gains[1], counts[0], counts[1])


def _compare(
    terms: _Terms,
    among: np.ndarray,
    names: tuple[np.ndarray, np.ndarray, np.ndarray],
    n_bootstrap: int,
    seed: int,
) -> _Row:
    """Return one comparison over some problems, with both intervals."""
    parts = [terms, *([terms.offset] if terms.offset else [])]
    weighs = sum(each.n + (0 if each.n_other is None else each.n_other) for each in parts)
    rows = np.flatnonzero(among & (weighs > 0))
    if not len(rows):
        return _Row(0, 0, *[np.nan] * 7)
    question, strata, checkpoints = (each[rows] for each in names)
    value, offset = _ratios(terms, rows)
    resamples: Resamples = bootstrap_weights(
        question, strata, n_bootstrap, np.random.default_rng(seed)
    )
    found = bootstrap_ratio(*value, resamples, offset=offset, bca=False)
    ends = checkpoint_interval(*value, checkpoints, offset=offset)
    n, n_other = (terms.n[rows], (terms.n if terms.n_other is None else terms.n_other)[rows])
    rates = [
        x[rows].sum() / max(y.sum(), 1e-300) for x, y in ((terms.one, n), (terms.other, n_other))
    ]
    difference = found.value[0]
    return _Row(
        float(n.sum()),
        float((n > 0).sum()),
        *(float(x) if y.any() else np.nan for x, y in zip(rates, (n, n_other), strict=True)),
        float(difference),
        *(float(x) for x in found.percentile[:, 0]),
        *(float(x[0]) for x in ends),
    )


def _ratios(
    terms: _Terms, rows: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray] | None]:
    """Return value and weight (row, 1), and those of what is subtracted."""

    def column(values: np.ndarray) -> np.ndarray:
        return values[rows][:, None]

    if terms.n_other is not None:
        return (column(terms.one), column(terms.n)), (column(terms.other), column(terms.n_other))
    whole = column(terms.one - terms.other), column(terms.n)
    less = terms.offset
    return whole, None if less is None else (column(less.one - less.other), column(less.n))


def say_controls(found: Controls) -> str:
    """Say what was found, in words."""
    return " ".join(
        _say(found.dataset.isel(population=place), place == 0)
        for place in range(found.dataset.sizes["population"])
    )


def _say(one: xr.Dataset, whole: bool) -> str:
    """Say what one population gives; if `whole`, how often operators act too."""
    of_all = one.sel(task=ALL)
    there = of_all["comparison"].values.tolist()
    words = {
        "place_elsewhere": "junction less random token elsewhere",
        "place_same": "at the same token",
        "place_gap": "the first less the second",
        "place_changed": "per token changed",
        "mixture_differs": "the mixture that fired less the other, where their tokens differ",
    }
    if not set(words) & set(there):
        words = {"place": "junction less random token", "mixture": "the mixture less the other"}
    parts = [
        f"{said} {say_points(of_all.sel(comparison=name))}"
        for name, said in words.items()
        if name in there and float(of_all["n"].sel(comparison=name)) > 0
    ]
    title = named(one["population"].item())
    text_ = f"{title[:1].upper()}{title[1:]}: {'; '.join(parts)}."
    if whole and bool(one["changed"].notnull().any()):
        acts = ", ".join(
            f"{named(act.item())} {float(one['fired'].sel(act=act)):.0%} and"
            f" {float(one['changed'].sel(act=act)):.0%}"
            for act in one["act"]
        )
        text_ += f" Attempts acted on, and those whose token was changed: {acts}."
    return text_


def say_points(one: xr.Dataset) -> str:
    """Write a difference in points with both intervals, and what it is over."""
    value, low, high, *others = (100 * float(one[name]) for name in _ENDS)
    words = f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"
    if not np.isnan(others[0]):
        words += f", over checkpoints [{others[0]:+.1f}, {others[1]:+.1f}]"
    return f"{words} ({int(one['n']):,} in {int(one['problems']):,} problems)"
