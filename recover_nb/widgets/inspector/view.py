"""Read a failed answer token by token: where it died, what would have been said, what saved it."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets
import pandas as pd
import traitlets
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Signal
from recover_nb.core.theme import SIGNAL_TITLES
from recover_nb.core.token_text import pieces_at
from recover_nb.tables.inspection import Trace, first_failed, read_trace, rollouts_run
from recover_nb.tables.problem_list import FILTERS
from recover_nb.tables.steps import StepMarks, marks_of_trace
from recover_nb.tables.tokens import PrefixValue, value_of_trace
from recover_nb.widgets.inspector.attempts import BEST, AttemptsPanel
from recover_nb.widgets.inspector.bars import TokenBars
from recover_nb.widgets.inspector.computing import Computing
from recover_nb.widgets.inspector.operating import Operating
from recover_nb.widgets.inspector.problem_list import ProblemList, known
from recover_nb.widgets.inspector.settings import Settings
from recover_nb.widgets.inspector.shown import savable, shown_charts, shown_tables
from recover_nb.widgets.parts.base import View
from recover_nb.widgets.parts.busy import Busy
from recover_nb.widgets.parts.controls import sized, tie
from recover_nb.widgets.parts.selection import (
    SELECTION,
    Selection,
    chosen_problem,
    looking_at,
    opened,
)
from recover_nb.widgets.parts.trace_panel import TracePanel
from recover_nb.widgets.problems import StudyReader

if TYPE_CHECKING:
    from recover_nb.generation.decoding import Pair

#: What says which trace is read.
_PLACE = ("problem", "rollout", "intervention")
_NO_SIGNALS = (
    "no signals are stored for this trace (a study keeps those of a problem's first ten failed"
    " rollouts); press compute under advanced"
)


class TraceInspector(View):
    """A failed answer in tokens: where it was lost, what the models would have said, what saved it.

    Opens without torch on what a study stores. `compute` loads the two models: signals are then
    computed with the settings below, and what the models would have said is known everywhere.

    Parameters
    ----------
    ds : Dataset
        A study with tokens.
    problem : int, optional
        Place along the study's `problem`, as in ``ds.isel(problem=460)``; its first failed answer
        is shown.
    selection : Selection, optional
        Problem, rollout, intervention and token are followed and set. An instructive example unless
        it or `problem` chooses one.
    pair : Pair, optional
        The models that made the study, for `compute`; the shipped ones where they made it.
    **state
        Initial values of the attributes below.

    Attributes
    ----------
    signal : str
        What colours the tokens; a name of `labels.Signal`.
    compare : str
        What was tried, below the trace: an intervention, ``best`` (the one that was right most
        often on the problem) or ``nothing``.
    compare_rollout : int
        Which attempt; -1 = the right one that shares most with the failed answer. -1 again with
        another problem or intervention.
    search : str
        What the list of problems is searched for: a number, or words of question and cell.
    regimes, origins : tuple of str
        The list shows any of these; empty = all.
    window : int
        Tokens to either side of the junction.
    temperature, top_k, k_cov : float, int, int
        Settings of the signals once `compute` was pressed; k_cov 0 = a tenth of the vocabulary.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> view = rnb.widgets.TraceInspector(rnb.load_study(), problem=1081)
    >>> view.trace.said("6"), view.prefix_value.fatal
    ('wrong: said 9, right is 6', 6)
    >>> view.value = {"signal": "path_deformation", "compare": "sparse_steer"}
    >>> sorted(view.tables())
    ['alternatives', 'attempt', 'signals', 'value']
    """

    STATE: ClassVar = (
        "signal",
        "compare",
        "compare_rollout",
        "search",
        "regimes",
        "origins",
        "window",
        "temperature",
        "top_k",
        "k_cov",
    )

    signal = traitlets.Enum([name.value for name in Signal], Signal.DEMOTION_PRESSURE.value)
    compare = traitlets.Unicode(BEST)
    compare_rollout = traitlets.Int(-1, min=-1)
    search = traitlets.Unicode("")
    regimes = traitlets.Tuple()
    origins = traitlets.Tuple()
    window = traitlets.Int(8, min=0, max=40)
    temperature = traitlets.Float(0.6, min=0.1, max=2.0)
    top_k = traitlets.Int(100, min=2, max=1000)
    k_cov = traitlets.Int(0, min=0, max=100)

    @takes_study()
    @checks.takes(selection=SELECTION, pair=checks.PAIR)
    def __init__(
        self,
        ds: xr.Dataset,
        *,
        problem: int | None = None,
        selection: Selection | None = None,
        pair: "Pair | None" = None,
        **state: Any,
    ) -> None:
        self.busy = Busy()
        self._ds, self._reader = ds, StudyReader(ds, self.busy)
        self.computing = Computing(self._reader, self.busy, pair)
        self._place: tuple = ()
        self.trace: Trace | None = None
        self.prefix_value, self.steps = PrefixValue(), StepMarks()
        selection = chosen_problem(selection, ds, problem) or opened(selection, ds)
        super().__init__(selection=selection, **state)
        selection.observe(self._follow, names=list(_PLACE))

    def build(self) -> tuple[ipywidgets.Widget, ...]:
        """Lay out the problems to the left, and to the right the trace and all that is about it."""
        self.problems = ProblemList(self._ds)
        for name in ("search", "regimes", "origins"):
            traitlets.link((self, name), (self.problems, name))
        self.problems.observe(self._picked, names=["chosen"])
        self.panel = TracePanel("failed answer")
        self.text = self.panel.text
        traitlets.link((self.text, "cursor"), (self.selection, "token"))
        self.bars = TokenBars()
        self._both = ipywidgets.jslink((self.text, "cursor"), (self.bars, "cursor"))
        self.attempts = AttemptsPanel(self, [str(name) for name in self._ds["intervention"].values])
        self.operating, self.settings = Operating(self), Settings(self, self._saver)
        signal = ipywidgets.Dropdown(
            options=[(SIGNAL_TITLES[name.value], name.value) for name in Signal],
            description="colour",
            tooltip="the signal that colours the tokens",
            **sized(50, 290),
        )
        tie(self, "signal", signal)
        row = ipywidgets.HBox([signal, self.operating.button])
        row.add_class("recover-nb-row")
        page = ipywidgets.VBox(
            [
                self.said,
                self.panel,
                row,
                self.busy,
                self.operating,
                self.bars,
                self.attempts,
                self.settings,
            ]
        )
        page.add_class("recover-nb-page")
        desk = ipywidgets.GridBox([self.problems, page])
        desk.add_class("recover-nb-desk")
        return (desk,)

    def compute(self) -> None:
        """Load both models of the problem's family and method, and compute from them hereafter."""
        with self.speaking():
            self.computing.start(self.selection.value)
        if not self.message:
            self._refreshed()

    def refresh(self) -> None:
        """Read the trace of the selection and show it."""
        chosen = self.selection
        self._place = self._where()
        self.problems.chosen = chosen.problem
        self.trace, self.prefix_value, self.steps = None, PrefixValue(), StepMarks()
        one = None
        try:
            one = self._reader.one(chosen.problem)
            trace = self._read(one)
        except InputError:
            self._blank(one)
            raise
        try:
            self.attempts.show(one, trace, self.prefix_value.fatal)
        except InputError:
            self.attempts.clear()
            raise
        finally:
            self._show_trace(one, trace)
        if self.signal not in trace.signals:
            raise InputError(_NO_SIGNALS)

    def _read(self, one: xr.Dataset) -> Trace:
        """Read the trace, and the value along it where it is recorded."""
        chosen = self.selection
        if chosen.rollout < 0:
            # A problem alone was chosen: its signals are about its first failed rollout.
            rollout = max(first_failed(one, 0), 0)
            self._place = (chosen.problem, rollout, chosen.intervention)
            chosen.rollout = rollout
        signals = self.computing.signals(chosen.value, self.settings.of_signals)
        where = (0, chosen.rollout, chosen.intervention)
        self.trace = read_trace(one, *where, signals=signals)
        self.prefix_value = value_of_trace(one, *where)
        self.steps = marks_of_trace(one, *where, self.trace)
        return self.trace

    def _show_trace(self, one: xr.Dataset, trace: Trace) -> None:
        rescue = self.attempts.rows if self.attempts.rescues else None
        self.bars.show(trace, self._found(), self._pieces, self.prefix_value.fatal, rescue)
        self.panel.show(
            one,
            self.selection.value,
            trace,
            self.prefix_value,
            window=self.window,
            signal=self.signal,
            operator=self.attempts.name,
            steps=self.steps,
        )

    def _blank(self, one: xr.Dataset | None) -> None:
        """Show what is known of the problem, and no trace."""
        self.panel.empty(one, self.selection.value)
        self.attempts.clear()
        self.bars.places, self.bars.sentences = [], []

    def charts(self) -> dict[str, Any]:
        """Return the signal along the trace, and the value of the prefix where it is recorded."""
        if self.trace is None:
            return {}
        return shown_charts(self._one, self.trace, self.signal, valued=self._valued)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the data that are shown, by name.

        The signals of the trace, its value, the attempt beside it, and what both models would have
        said at the token that is looked at.
        """
        if self.trace is None:
            return {}
        about = (self.attempts.rows, self._found(), self.token, self._pieces)
        return shown_tables(self._one, self.trace, *about, valued=self._valued)

    def savable(self) -> dict[str, list[str]]:
        """Return what can be saved, and as what, without making it."""
        if self.trace is None:
            return {}
        known = any(self.bars.places)
        return savable(
            self.trace, self.signal, self.attempts.rows, valued=self._valued, known=known
        )

    @property
    def token(self) -> int:
        """The token that is looked at: the cursor, or the one that the trace opens at."""
        return self.selection.token if self.selection.token >= 0 else self.bars.home

    @property
    def _one(self) -> xr.Dataset:
        return self._reader.one(self.selection.problem)

    @property
    def _valued(self) -> bool:
        return bool(self.prefix_value.after)

    @property
    def _pieces(self) -> dict[int, str]:
        return pieces_at(self._one)

    def _found(self) -> Any:
        """Return what both models would have said along the trace; None where it is not known."""
        return self.computing.alternatives(self.selection.value, self.settings.of_signals)

    def _picked(self, change: Any) -> None:
        if change["new"] not in (-1, self.selection.problem):
            self.selection.value = looking_at(self._ds, change["new"])

    def _follow(self, _change: Any) -> None:
        """Show another trace; of another problem no attempt is chosen yet."""
        before, place = self._place, self._where()
        if place == before:
            return
        if place[0] != before[0] and self.compare_rollout >= 0:
            self.compare_rollout = -1
        else:
            self._refreshed()

    def _where(self) -> tuple:
        return tuple(getattr(self.selection, name) for name in _PLACE)

    @traitlets.observe("compare")
    def _begin(self, _change: Any) -> None:
        """Keep the number of the attempt, unless the intervention has none of it."""
        with suppress(InputError):
            run = rollouts_run(self._one, 0, self.compare)
            if self.compare_rollout not in run:
                self.compare_rollout = -1

    @traitlets.validate("regimes", "origins")
    def _are_known(self, proposal: Any) -> tuple[str, ...]:
        name = proposal["trait"].name.removesuffix("s")
        return known(proposal["value"], FILTERS[name], name)
