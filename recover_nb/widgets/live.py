"""Rollouts made while somebody watches, without a screen: the live source of `RolloutStepper`."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.token_text import pieces_of
from recover_nb.tables.inspection import Trace
from recover_nb.tables.rollouts import Walk, outcome_grid, recorded_walk
from recover_nb.tasks import Problem
from recover_nb.tasks.checkers import Checker
from recover_nb.widgets.models import Models
from recover_nb.widgets.parts.busy import Busy


@dataclass(frozen=True)
class Wanted:
    """Which rollout is made: everything that decides its tokens."""

    family: str
    method: str
    problem: Problem
    temperature: float
    seed: int


@dataclass
class _Run:
    stream: Iterator
    steps: list = field(default_factory=list)
    correct: bool = False

    @property
    def ended(self) -> bool:
        return bool(self.steps) and self.steps[-1].last


class LiveRollouts:
    """The rollouts made so far.

    Parameters
    ----------
    models : Models
    busy : Busy
        Told how far a rollout has come.
    checker : str or callable, optional
        See `tasks.make_checker`.
    """

    def __init__(self, models: Models, busy: Busy, checker: str | Checker | None) -> None:
        self._models, self._busy, self._checker = models, busy, checker
        self._runs: dict[tuple[Wanted, int], _Run] = {}
        self._grids: dict[tuple[Wanted, int], pd.DataFrame] = {}

    def advance(
        self, wanted: Wanted, rollout: int, ds: xr.Dataset | None, *, to_end: bool = False
    ) -> None:
        """Emit one token more, or all that are left.

        Raises
        ------
        InputError
            If the rollout has ended, or the models cannot be loaded or read this prompt.
        """
        settings = self._settings(wanted, ds)
        run = self._runs.get((wanted, rollout)) or self._begin(wanted, rollout, settings)
        if run.ended:
            raise InputError(
                f"the rollout has ended after {len(run.steps)} tokens; forget it to begin again"
            )
        with self._busy.doing("decoding", settings.max_new_tokens) as tell:
            for step in run.stream:
                run.steps.append(step)
                tell(len(run.steps))
                if not to_end:
                    break
        self._runs[wanted, rollout] = run
        if run.ended:
            tokens = np.array([[step.token_id for step in run.steps]])
            run.correct = bool(self._check(wanted, tokens, np.array([tokens.shape[1]]))[0])

    def _begin(self, wanted: Wanted, rollout: int, settings) -> _Run:
        pair = self._models.pair(wanted.family, wanted.method)
        stepping = self._models.module("generation.stepping")
        return _Run(
            stepping.step_through(pair, wanted.problem.prompt, self._key(wanted), rollout, settings)
        )

    def forget(self, wanted: Wanted, rollout: int) -> None:
        """Let the rollout begin again."""
        self._runs.pop((wanted, rollout), None)

    def walk(self, wanted: Wanted, rollout: int) -> Walk:
        """Return the rollout as far as it has come."""
        run = self._runs.get((wanted, rollout))
        if run is None:
            return recorded_walk(Trace(np.zeros(0, int), [], False, {}, -1), None, ended=False)
        ids = np.array([step.token_id for step in run.steps])
        tokens = pieces_of(ids, self._models.pieces(wanted.family, wanted.method))
        found = tuple(
            np.stack([getattr(step, name) for step in run.steps])
            for name in ("alternative_token_id", "alternative_log_probability")
        )
        score, rank = (
            np.stack([getattr(step, name) for step in run.steps]).astype(float)
            for name in ("log_probability", "rank")
        )
        return Walk(Trace(ids, tokens, run.correct, {}, -1), found, score, rank, run.ended)

    def fill(self, wanted: Wanted, n: int, ds: xr.Dataset | None) -> None:
        """Make rollouts 0 to n - 1 at once, and check them."""
        settings = self._settings(wanted, ds)
        pair = self._models.pair(wanted.family, wanted.method)
        stepping = self._models.module("generation.stepping")
        with self._busy.doing(f"decoding {n} rollouts", n) as tell:
            made = stepping.roll_out(
                pair, wanted.problem.prompt, self._key(wanted), n, settings, progress=tell
            )
        tokens, lengths = made.token_id[0], made.n_tokens[0]
        self._grids[wanted, n] = outcome_grid(
            self._check(wanted, tokens, lengths).astype(int), lengths
        )

    def grid(self, wanted: Wanted, n: int) -> pd.DataFrame | None:
        """Return what `fill` made, as `tables.rollouts.outcome_grid`; None before."""
        return self._grids.get((wanted, n))

    def _settings(self, wanted: Wanted, ds: xr.Dataset | None):
        return self._models.settings(ds, temperature=wanted.temperature, seed=wanted.seed)

    def _key(self, wanted: Wanted) -> int:
        return self._models.key(
            wanted.family, wanted.method, wanted.problem.task, wanted.problem.problem_id
        )

    def _check(self, wanted: Wanted, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        pair = self._models.pair(wanted.family, wanted.method)
        traces = self._models.module("generation.traces")
        return traces.check_traces(pair, tokens, lengths, wanted.problem.answer, self._checker)
