"""The chosen problem, beside the table it was chosen from."""

from collections.abc import Sequence
from contextlib import suppress

import ipywidgets
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.tables.attempts import problem_rates
from recover_nb.tables.inspection import first_failed, read_trace
from recover_nb.widgets.parts.markup import answer_html, note, rates_html, trace_head

NONE = Intervention.NONE.value


class ProblemDetail(ipywidgets.HTML):
    """What a problem asks, what the failed answer said, and how often each operator was right.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table, which has no answers to read.
    interventions : sequence of str
        Whose rates are shown, where they were run; ``retry`` is shown before them.
    """

    def __init__(self, ds: xr.Dataset, interventions: Sequence[str]) -> None:
        self._ds = ds
        there = set(map(str, ds["intervention"].values)) if "intervention" in ds.dims else set()
        names = dict.fromkeys([Intervention.RETRY.value, *interventions])
        self._names = [name for name in names if name in there]
        super().__init__()
        self.add_class("recover-nb-detail")
        self.show(-1)

    def show(self, problem: int, rollout: int = -1) -> None:
        """Show a problem (-1 = none) and one of its failed answers, the first unless it is told."""
        if not 0 <= problem < self._ds.sizes["problem"]:
            self.value = note("Choose a row of the table, and its problem is shown here.")
            return
        one = self._ds.isel(problem=[problem])
        trace = None
        if "token_id" in one:
            rollout = rollout if rollout >= 0 else max(first_failed(one, 0), 0)
            with suppress(InputError):
                trace = read_trace(one, 0, rollout)
        head = trace_head(
            one, {"problem": problem, "rollout": rollout, "intervention": NONE}, trace
        )
        said = "" if trace is None else answer_html(trace)
        self.value = head + said + self._rates(one)

    def _rates(self, one: xr.Dataset) -> str:
        if not self._names or "rescue_rate" not in one or "attempts" not in one:
            return ""
        rates = problem_rates(one, 0, self._names)
        if not len(rates):
            return note("Nothing was tried on this problem.")
        return rates_html(rates)
