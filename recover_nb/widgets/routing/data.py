"""Data of a `RoutingExplorer`: evaluations of the last settings, and the problems under them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb import tables
from recover_nb.core.checks import check_name
from recover_nb.core.errors import InputError
from recover_nb.core.schema import cell_names, text
from recover_nb.routing.evaluation import COUNTS, NEED_ATTEMPTS, PARTS, evaluate_inputs
from recover_nb.routing.needs import check_routable
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy
from recover_nb.routing.populations import choose_populations
from recover_nb.routing.rescue import MIN_FAILURE, MIN_GAIN, TOLERANCE
from recover_nb.routing.result import NULLS, Evaluation
from recover_nb.routing.table import COSTS, Inputs, read_inputs
from recover_nb.stats.resampling import Resamples
from recover_nb.tables.kit import matching
from recover_nb.tables.routing import CHOICES, decide_again, routed_interventions

#: Resamples computed when a control moves, few enough to follow it.
ROUGH = {"n_bootstrap": 200, "n_permutations": 200, "n_null": 10, "n_splits": 4}
#: Problems beyond which fewer are drawn, down to half: a control is still followed, and figures of
#: that many problems vary less.
LARGE = 10_000
#: Settings whose evaluations are kept.
KEPT = 16
ESTIMATED = PARTS[:-1]


def rough_counts(n_problems: int) -> dict[str, int]:
    """Return how many resamples of each kind follow a control."""
    return {
        name: max((most + 1) // 2, min(most, most * LARGE // max(n_problems, 1)))
        for name, most in ROUGH.items()
    }


@dataclass(frozen=True)
class Settings:
    """What an evaluation depends on.

    Attributes
    ----------
    cells : tuple of str
        Empty = all.
    min_gain, min_failure : float
    operators : tuple of (feature, operator)
    fallback : str
    seed : int
    population : str
        Empty = the headline's.
    """

    cells: tuple[str, ...] = ()
    min_gain: float = MIN_GAIN
    min_failure: float = MIN_FAILURE
    operators: tuple[tuple[str, str], ...] = tuple(PUBLISHED.operators.items())
    fallback: str = PUBLISHED.fallback
    seed: int = 0
    population: str = ""

    @property
    def rule(self) -> dict:
        """The keywords of `evaluate_routing` and `tables.decide` for policy and thresholds."""
        policy = RoutingPolicy(dict(self.operators), self.fallback)
        return {"policy": policy, "min_gain": self.min_gain, "min_failure": self.min_failure}


class RoutingData:
    """Evaluations of a study under changing settings; each computes only the parts asked for.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table.
    interventions : sequence of str, optional
        What regimes and routes are over; the published ones that were run by default.
    counts : dict of str to int, optional
        Resamples of `resample`, by keyword of `evaluate_routing`.

    Raises
    ------
    InputError
        If the study has no features, or neither rates nor attempts.
    """

    def __init__(
        self,
        ds: xr.Dataset,
        *,
        interventions: Sequence[str] | None = None,
        counts: dict[str, int] | None = None,
    ) -> None:
        self.ds = tables.routing_inputs(ds)
        chosen = routed_interventions(self.ds) if interventions is None else interventions
        stored = text(self.ds["intervention"]).tolist()
        self.interventions = tuple(check_name("intervention", name, stored) for name in chosen)
        self._cell = cell_names(self.ds)
        self.cells = tuple(dict.fromkeys(self._cell.tolist()))
        self._populations = choose_populations(self.ds)
        self.populations = tuple(self._populations)
        self._counts = dict(counts or {})
        self._held: dict[Settings, Evaluation] = {}
        self._exact: set[Settings] = set()
        self._parts: dict[Settings, set[str]] = {}
        self._decided: tuple[tuple, xr.Dataset, pd.DataFrame] | None = None
        self._inputs: dict[bool, tuple[tuple, Inputs]] = {}
        self._resamples: tuple[tuple, Resamples] | None = None

    @property
    def lacks(self) -> str:
        """What cannot be asked without outcomes of attempts, in a sentence; empty for a study."""
        if "correct" in self.ds:
            return ""
        has = ", ".join(name for name in CHOICES if name not in NEED_ATTEMPTS)
        return (
            "No outcomes of attempts are stored here, so there are no split estimator, no null of"
            f" twinned attempts and no budgets in tokens or forward passes; there are: {has}."
        )

    def evaluation(
        self, settings: Settings, parts: set[str], *, progress: Callable[[str], None] | None = None
    ) -> Evaluation:
        """Return what `evaluate_routing` gives under these settings, with at least these parts.

        With few resamples, unless `resample` was called for the settings. `progress` is called with
        the name of each stage that is computed.
        """
        wanted = parts | {"published"} if parts & set(NULLS) else parts
        missing = wanted - self._parts.get(settings, set())
        if settings not in self._held or (missing and not self.is_exact(settings)):
            self._keep(settings, self._rough(settings, missing, progress), missing)
        return self._held[settings]

    def is_exact(self, settings: Settings) -> bool:
        """Whether the evaluation under these settings has all resamples."""
        return settings in self._exact

    def resample(
        self, settings: Settings, *, progress: Callable[[str], None] | None = None
    ) -> None:
        """Compute every part with all resamples, in the place of the rough ones."""
        found = self._evaluate(settings, progress=progress, **self._counts)
        self._held.pop(settings, None)
        self._exact.add(settings)
        self._keep(settings, found, set(PARTS))

    def _rough(
        self, settings: Settings, parts: set[str], progress: Callable[[str], None] | None
    ) -> Evaluation:
        # No sentence and no chart has the intervals of a cell.
        return self._evaluate(
            settings,
            only=parts,
            cell_intervals=False,
            progress=progress,
            **rough_counts(self.ds.sizes["problem"]),
        )

    def _keep(self, settings: Settings, found: Evaluation, parts: set[str]) -> None:
        old = self._held.pop(settings, None)
        self._held[settings] = found if old is None else old.beside(found)
        self._parts[settings] = self._parts.get(settings, set()) | parts
        while len(self._held) > KEPT:
            oldest = next(iter(self._held))
            del self._held[oldest], self._parts[oldest]
            self._exact.discard(oldest)

    def _evaluate(
        self,
        settings: Settings,
        *,
        only: Collection[str] = PARTS,
        cell_intervals: bool = True,
        progress: Callable[[str], None] | None = None,
        **counts: int,
    ) -> Evaluation:
        inputs = self._taken(settings, "budgets" in only)
        # The bootstrap draws questions, whatever the thresholds and the policy are.
        n_bootstrap = counts.get("n_bootstrap", COUNTS["n_bootstrap"])
        drawn = (settings.cells, settings.population, settings.seed, n_bootstrap)
        if self._resamples is None or self._resamples[0] != drawn:
            self._resamples = drawn, inputs.resamples(settings.seed, n_bootstrap)
        return evaluate_inputs(
            inputs,
            only,
            seed=settings.seed,
            counts=counts,
            cell_intervals=cell_intervals,
            resamples=self._resamples[1],
            progress=progress,
        )

    def _taken(self, settings: Settings, with_costs: bool) -> Inputs:
        """Return what an evaluation needs of the chosen cells.

        Taking it out of the study takes as long as routing.
        """
        rule = settings.rule
        policy = rule.pop("policy")
        edges = {**rule, "tolerance": float(self.ds.attrs.get("regime_tolerance", TOLERANCE))}
        of = (settings.cells, settings.population, policy.features)
        if with_costs not in self._inputs or self._inputs[with_costs][0] != of:
            ds = self.ds
            if settings.cells:
                ds = ds.isel(problem=np.isin(self._cell, self._checked(settings.cells)))
            if not with_costs:
                # Counting costs takes longer than routing.
                ds = ds.drop_vars(
                    [name for names in COSTS.values() for name in names], errors="ignore"
                )
            if not self.interventions:
                check_routable(ds)
            taken = read_inputs(
                ds,
                policy=policy,
                interventions=self.interventions,
                edges=edges,
                populations=[settings.population or self.populations[0]],
            )
            self._inputs[with_costs] = of, taken
        return self._inputs[with_costs][1].decided_by(policy, edges)

    def _checked(self, cells: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [cell for cell in cells if cell not in self.cells]
        if unknown:
            raise InputError(f"unknown cell {unknown[0]!r}; allowed: {', '.join(self.cells)}")
        return cells

    def _inside(self, settings: Settings) -> np.ndarray:
        """Tell which problems lie in the chosen cells and population."""
        name = settings.population or self.populations[0]
        if name not in self._populations:
            allowed = ", ".join(self.populations)
            raise InputError(f"population {name!r} is not known here; allowed: {allowed}")
        if not settings.cells:
            return self._populations[name]
        return self._populations[name] & np.isin(self._cell, self._checked(settings.cells))

    def decided(self, settings: Settings) -> tuple[xr.Dataset, pd.DataFrame]:
        """Return the chosen problems with their regimes and routes, and `tables.problem_rows`."""
        rule = (settings.min_gain, settings.min_failure, settings.operators, settings.fallback)
        if self._decided is None or self._decided[0] != rule:
            ds = tables.decide(self.ds, interventions=self.interventions, **settings.rule)
            rows = (
                tables.problem_rows(ds, interventions=self.interventions)
                if self._decided is None
                else (decide_again(self._decided[2], ds, self.interventions))
            )
            self._decided = rule, ds, rows
        _, ds, frame = self._decided
        inside = self._inside(settings)
        return ds.isel(problem=np.flatnonzero(inside)), frame[inside[frame["problem"].to_numpy()]]

    def problems(
        self, settings: Settings, *, regime: str = "", route: str = "", among: Sequence[int] = ()
    ) -> pd.DataFrame:
        """Return the rows of one regime and route (empty = any), among places (empty = all)."""
        if route and route not in self.interventions:
            raise InputError(
                f"no route {route!r}; allowed: {', '.join(self.interventions)}, or empty for any"
            )
        _, frame = self.decided(settings)
        return matching(frame, among, regime=regime, route=route)

    def budget(self, data: Evaluation, basis: str) -> pd.DataFrame:
        """Return `tables.budget_lines` of one basis."""
        frame = tables.budget_lines(data)
        rows = frame[frame["basis"] == basis]
        if not len(rows):
            there = ", ".join(dict.fromkeys(frame["basis"])) or "none"
            raise InputError(
                f"budgets cannot be made equal in {basis}, which is not stored here; there is:"
                f" {there}"
            )
        return rows.reset_index(drop=True)
