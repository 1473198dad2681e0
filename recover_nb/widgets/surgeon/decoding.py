"""Twins of a failed answer, decoded live: retry first, then the operator it is compared with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from recover_nb.core.labels import Anchoring, Intervention
from recover_nb.core.token_text import pieces_of
from recover_nb.tables.examples import problem_at
from recover_nb.tasks.checkers import Checker
from recover_nb.widgets.models import Models
from recover_nb.widgets.parts.busy import Busy

if TYPE_CHECKING:
    from recover_nb.generation.surgery import Surgery

RETRY = Intervention.RETRY.value


class Decoding:
    """Decodes twins on the pair of a problem, which it loads when it is first needed.

    Parameters
    ----------
    ds : Dataset
        Whose settings are kept, but for those that are asked for.
    models : Models
    busy : Busy
    checker : str or callable, optional
    """

    def __init__(
        self, ds: xr.Dataset, models: Models, busy: Busy, checker: str | Checker | None
    ) -> None:
        self._ds, self._models, self._busy, self._checker = ds, models, busy, checker

    def both(
        self,
        one: xr.Dataset,
        token_id: np.ndarray,
        position: int,
        operator: str,
        n: int,
        **asked: Any,
    ) -> tuple[list["Surgery"], float]:
        """Return what ``retry`` and an operator make of a trace, and the temperature.

        Parameters
        ----------
        one : Dataset
            Of its one problem.
        token_id : (T,) int array
        position : int
        operator : str
            ``retry`` is run once, whatever it is.
        n : int
            Twins of each.
        **asked
            Of `decoding.Settings`.
        """
        problem = problem_at(one, 0)
        unit = _unit(one)
        pair = self._models.pair(*unit)
        surgery = self._models.module("generation.surgery")
        settings = self._models.settings(self._ds, anchoring=Anchoring.REPLAY, **asked)
        made = []
        for name in dict.fromkeys((RETRY, operator)):
            with self._busy.doing(f"decoding {n} twins of {name}", n) as tell:
                made.append(
                    surgery.branch(
                        pair,
                        problem.prompt,
                        token_id,
                        position,
                        name,
                        answer=problem.answer,
                        n=n,
                        settings=settings,
                        checker=self._checker,
                        key=self._models.key(*unit, problem.task, problem.problem_id),
                        coverage=_coverage(one),
                        progress=tell,
                    )
                )
        return made, settings.temperature

    def text_of(self, one: xr.Dataset, tokens: Sequence[int]) -> str:
        """Return the text of tokens of a problem."""
        pieces = self._models.pieces(*_unit(one))
        return ("" if pieces else " ").join(pieces_of(np.asarray(tokens), pieces))


def _unit(one: xr.Dataset) -> tuple[str, str]:
    return str(one["family"].values[0]), str(one["method"].values[0])


def _coverage(one: xr.Dataset) -> tuple[float, float] | None:
    """Return what the study knows of the problem's failed rollouts."""
    if "coverage_mean" not in one or "coverage_sd" not in one:
        return None
    mean, sd = (float(one[name].values[0]) for name in ("coverage_mean", "coverage_sd"))
    return (mean, sd) if np.isfinite([mean, sd]).all() else None
