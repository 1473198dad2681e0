"""Ablations as tables: a study's failed units, one thing in rule, features or attempts changed.

Every function gives `Trial` values; `recover_nb.routing.ablation.ablate` scores them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Factor, Intervention, Signal, Standardisation
from recover_nb.core.schema import cell_names
from recover_nb.features.features import problem_features, rollout_features
from recover_nb.routing.ablation.stored import OWN, attempted_again, fingerprint, unpack
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy
from recover_nb.routing.rescue import MIN_FAILURE, MIN_GAIN, count_rates
from recover_nb.routing.table import Table

#: Values tried; the reference's own are left out.
FALLBACKS = (
    Intervention.RETRY,
    Intervention.SPARSE_STEER,
    Intervention.LOCAL_TEMPERATURE,
    Intervention.DENSE_STEER,
)
MIN_GAINS, MIN_FAILURES = (0.1, 0.2), (0.3, 0.7)
ATTEMPT_COUNTS, ROLLOUT_COUNTS = (4, 10), (1, 2, 5, 10)
#: Half widths of the junction window; None is the whole trace. 8 is the reference.
WINDOWS, DEFAULT_WINDOW = (1, 2, 4, 16, None), 8
#: What needs no selection does not depend on the edges of the regimes.
SELECTING, ESTIMATORS = ("published", "null", "split"), ("published", "null", "split", "all")


@dataclass(frozen=True)
class Trial:
    """One setting to be scored.

    Attributes
    ----------
    factor : Factor
    value : str
    table : Table
        All failed units; its `routes` are the study's where the setting leaves them as they are,
        None where they have to be decided anew, over all of them.
    reference : str
        Name of the trial it is compared with; its own for a reference.
    parts : tuple of str
        Estimators that can differ from the reference's.
    rows : int array, optional
        Places of the units that are scored; None: all.
    """

    factor: Factor
    value: str
    table: Table
    reference: str
    parts: tuple[str, ...] = ESTIMATORS
    rows: np.ndarray | None = None

    @property
    def name(self) -> str:
        """``factor=value``."""
        return f"{self.factor.value}={self.value}"


#: What references are made of: every failed rollout, those whose signals are stored, and the
#: problems attempted again.
RULE, STORED, SUBSET = "all failed rollouts", "stored signals", "problems attempted again"
REFERENCES = {each: f"{Factor.REFERENCE.value}={each}" for each in (RULE, STORED, SUBSET)}


def reference(kind: str, table: Table) -> Trial:
    """Return a trial that others are compared with."""
    return Trial(Factor.REFERENCE, kind, table, REFERENCES[kind])


@dataclass(frozen=True)
class ScopedTable(Table):
    """A table whose rule takes z-scores over other problems than those scored in their cell.

    Cut to a population it has `routes`, decided over all failed problems; over `FAILED` ones the
    routes are those, whatever is selected.
    """

    scope: Standardisation = Standardisation.SCORED

    def decide(self, population: np.ndarray) -> np.ndarray:
        """Return the arm each problem is routed to; see `Table.decide`."""
        plain = self.as_kind(Table)
        if self.scope == Standardisation.FAILED and self.routes is not None:
            return np.broadcast_to(self.routes, population.shape)
        if self.scope == Standardisation.FAILED:
            population = np.ones_like(population)
        if self.scope == Standardisation.POOLED:
            plain = replace(plain, cells=np.zeros_like(self.cells))
        return plain.decide(population)


def rule_trials(table: Table) -> Iterator[Trial]:
    """Change the rule: its features, what they call for, the fallback, the z-scores.

    Parameters
    ----------
    table : Table
        Under the published policy.

    Yields
    ------
    Trial
        Each feature alone, each left out, the five other ways to give three operators to three
        features, other fallbacks, other standardisations.
    """

    def under(
        factor: Factor, value: str, features: Sequence[str], operators: Sequence[str]
    ) -> Trial:
        columns = [PUBLISHED.features.index(name) for name in features]
        policy = RoutingPolicy(dict(zip(features, operators, strict=True)))
        changed = replace(unrouted, features=table.features[:, columns], policy=policy)
        return Trial(factor, value, changed, REFERENCES[RULE])

    unrouted = replace(table, routes=None)
    own = PUBLISHED.operators
    for name in own:
        yield under(Factor.FEATURE_ALONE, name, [name], [own[name]])
    for name in own:
        kept = [other for other in own if other != name]
        yield under(Factor.FEATURE_LEFT_OUT, name, kept, [own[other] for other in kept])
    for operators in permutations(own.values()):
        if operators != tuple(own.values()):
            yield under(Factor.MAPPING, ", ".join(operators), list(own), operators)
    for fallback in FALLBACKS:
        policy = replace(PUBLISHED, fallback=fallback.value)
        yield Trial(
            Factor.FALLBACK, fallback.value, replace(unrouted, policy=policy), REFERENCES[RULE]
        )
    # Without selection the z-scores are over all failed units anyway.
    for scope, parts in ((Standardisation.FAILED, SELECTING), (Standardisation.POOLED, ESTIMATORS)):
        scoped = unrouted.as_kind(ScopedTable, scope=scope)
        yield Trial(Factor.STANDARDISATION, scope.value, scoped, REFERENCES[RULE], parts)


def edge_trials(table: Table) -> Iterator[Trial]:
    """Move the edges of steerable_hard."""
    tried = (
        (Factor.MIN_GAIN, MIN_GAIN, MIN_GAINS),
        (Factor.MIN_FAILURE, MIN_FAILURE, MIN_FAILURES),
    )
    for factor, usual, values in tried:
        for value in values:
            if value != table.edges.get(factor.value, usual):
                changed = replace(table, edges={**table.edges, factor.value: value})
                yield Trial(factor, f"{value:g}", changed, REFERENCES[RULE], SELECTING)


def attempt_trials(table: Table) -> Iterator[Trial]:
    """Keep the first few attempts of every intervention."""
    if table.correct is None:
        return
    for count in ATTEMPT_COUNTS:
        if count < table.attempts[:, 0].max():
            correct = table.correct.copy()
            correct[:, count:] = -1
            yield Trial(
                Factor.ATTEMPTS, str(count), with_outcomes(table, correct), REFERENCES[RULE]
            )


def with_outcomes(table: Table, correct: np.ndarray) -> Table:
    """Return a table with other outcomes (problem, rollout, arm), and the rates that follow."""
    rate, attempts = count_rates(correct)
    return replace(table, correct=correct, rate=rate, attempts=attempts.astype(np.int64))


def signal_trials(table: Table, ds: xr.Dataset) -> Iterator[Trial]:
    """Make features from fewer failed rollouts, and with other windows, out of the stored signals.

    Parameters
    ----------
    table : Table
    ds : Dataset
        The same failed units.

    Yields
    ------
    Trial
        First the reference with the stored signals, which the windows are compared with. Features
        from fewer failed rollouts are compared with those from all. Nothing where no signals are
        stored.
    """
    if not {
        Signal.DEMOTION_PRESSURE.value,
        Signal.LOGIT_VARIANCE.value,
        "has_signals",
        "n_tokens",
    } <= set(ds):
        return
    pressure, variance, length, used = _stored_signals(ds)

    def features(window: int | None, count: int | None = None) -> Table:
        width = pressure.shape[-1] if window is None else window
        values = rollout_features(pressure, variance, length, window=width)
        kept = used if count is None else used & (np.arange(used.shape[1]) < count)
        return replace(table, features=problem_features(values, kept), routes=None)

    yield reference(STORED, features(DEFAULT_WINDOW))
    for count in ROLLOUT_COUNTS:
        if count <= used.shape[1]:
            yield Trial(
                Factor.FAILED_ROLLOUTS,
                str(count),
                features(DEFAULT_WINDOW, count),
                REFERENCES[RULE],
            )
    for window in WINDOWS:
        value = "whole trace" if window is None else str(window)
        yield Trial(Factor.WINDOW, value, features(window), REFERENCES[STORED])


def _stored_signals(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return signals, lengths and mask of the rollouts that have signals.

    They are moved to the front: (problem, few, token).
    """
    used = ds["has_signals"].transpose("problem", "rollout").values == 1
    most = max(int(used.sum(axis=1).max(initial=0)), 1)
    order = np.argsort(~used, axis=1, kind="stable")[:, :most]

    def front(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(
            values, order.reshape(order.shape + (1,) * (values.ndim - 2)), axis=1
        )

    used = front(used)
    names = (Signal.DEMOTION_PRESSURE.value, Signal.LOGIT_VARIANCE.value)
    pressure, variance = (
        front(ds[name].transpose("problem", "rollout", "token").values) for name in names
    )
    length = front(
        ds["n_tokens"]
        .sel(intervention=Intervention.NONE.value)
        .transpose("problem", "rollout")
        .values
    )
    return pressure, variance, np.where(used, length, 0), used


def stored_trials(
    table: Table, ds: xr.Dataset, stored: dict[str, Any], study: xr.Dataset
) -> Iterator[Trial]:
    """Take along what `recover-nb ablate` computed with the models.

    Parameters
    ----------
    table : Table
    ds : Dataset
        The same failed units.
    stored : dict
        From `load_ablations`.
    study : Dataset
        The whole study, which it must be of.

    Yields
    ------
    Trial
        Other signals are compared with the stored signals; other attempts with the study's own
        settings, attempted again on the same problems.

    Raises
    ------
    InputError
        If the file is of another study.
    """
    if stored["about"]["study"] != fingerprint(study):
        raise InputError(
            "the ablations are of another study; make them with: recover-nb ablate --study"
            " STUDY.zarr"
        )
    names = cell_names(ds)
    rows = {cell: np.flatnonzero(names == cell) for cell in stored["cells"]}
    short = [
        cell for cell, found in stored["cells"].items() if _count_units(found) != len(rows[cell])
    ]
    if short:
        raise InputError(
            f"the ablations hold other units of {short[0]} than the study; make them again"
        )
    for each in stored["variations"]:
        if each["name"] in next(iter(stored["cells"].values()))["features"]:
            features = table.features.copy()
            for cell, found in stored["cells"].items():
                features[rows[cell]] = np.array(found["features"][each["name"]]).T
            changed = replace(table, features=features, routes=None)
            yield Trial(Factor(each["factor"]), str(each["value"]), changed, REFERENCES[STORED])
    yield from _attempted_again(table, stored, names)


def _count_units(found: dict[str, Any]) -> int:
    return len(next(iter(found["features"].values()))[0])


def _attempted_again(table: Table, stored: dict[str, Any], names: np.ndarray) -> Iterator[Trial]:
    """Trials on the problems with new attempts, the study's own settings first."""
    cells = stored["cells"]
    places = np.sort(attempted_again(names, cells))

    def outcomes(before: Any, setting: str) -> np.ndarray:
        correct = before.copy()
        for cell, found in cells.items():
            rows = attempted_again(names, {cell: found})
            for arm, counts in found["attempts"][setting].items():
                count = counts["attempts"] // len(rows)
                values = unpack(counts["outcomes"], (len(rows), count))
                correct[rows, :count, table.arms.index(arm)] = values
        return correct

    own = outcomes(table.correct, OWN)
    yield replace(reference(SUBSET, with_outcomes(table, own)), rows=places)
    for each in stored["variations"]:
        if each["name"] in next(iter(cells.values()))["attempts"]:
            changed = with_outcomes(table, outcomes(own, each["name"]))
            value = str(each["value"])
            yield Trial(Factor(each["factor"]), value, changed, REFERENCES[SUBSET], rows=places)
