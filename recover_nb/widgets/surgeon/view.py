"""Branch a failed answer at a token: retry and an operator go on from there, side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets
import pandas as pd
import traitlets
import xarray as xr

from recover_nb.charts.traces import plot_branches
from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Continuation, Intervention
from recover_nb.tables.inspection import Trace, read_trace, say_failed
from recover_nb.tables.tokens import value_of_trace
from recover_nb.tables.twin_tree import branch_rows
from recover_nb.tasks.checkers import RULE, Checker
from recover_nb.widgets.models import Models, stored_settings
from recover_nb.widgets.parts.base import View
from recover_nb.widgets.parts.busy import Busy
from recover_nb.widgets.parts.controls import sized, tie
from recover_nb.widgets.parts.selection import SELECTION, Selection, chosen_problem, opened
from recover_nb.widgets.parts.trace_panel import TracePanel
from recover_nb.widgets.problems import StudyReader
from recover_nb.widgets.surgeon.decoding import Decoding
from recover_nb.widgets.surgeon.settings import MOST, Settings
from recover_nb.widgets.surgeon.twins import Outcome, as_history, history_row, twin_rows

if TYPE_CHECKING:
    from recover_nb.generation.decoding import Pair
    from recover_nb.generation.surgery import Surgery

#: Operators that can act on a failed trace: every one but the trace itself.
OPERATORS = tuple(name.value for name in Intervention if name is not Intervention.NONE)


def _operators(value: Any) -> tuple[str, ...]:
    """Read names of operators; those of one's own have to be registered."""
    found = checks.NAMES.read(value)
    if not set(found) <= set(OPERATORS):
        # Imported here: it needs torch, and only an operator of one's own needs it.
        from recover_nb.generation.decoding.operators import REGISTRY

        return checks.names(sorted(REGISTRY)).read(value)
    return found


SOME_OPERATORS = checks.Kind("a list of names of operators", _operators)
#: Half width of the junction's window.
_WINDOW = 8


class TraceSurgeon(View):
    """A failed answer, a token, an operator: twins keep what came before it, then go their own way.

    ``retry`` and the operator run together from the same token. Twin r shares its random numbers
    in both, so that the two rates, with their 95 % Wilson intervals, can be compared. Twins are
    decoded on the problem's own pair, which `branch` loads when it is first called.

    Parameters
    ----------
    ds : Dataset, optional
        A study with tokens; the bundled one by default.
    problem : int, optional
        Place along the study's `problem`, as in ``ds.isel(problem=460)``.
    selection : Selection, optional
        Problem, rollout and intervention say which trace. An instructive example unless it or
        `problem` chooses one.
    pair : Pair, optional
        Decodes in place of the shipped lineage.
    checker : str or callable, optional
        See `tasks.make_checker`; that of the shipped tasks by default.
    operators : sequence of str
        Registered names to choose from; name your own here.
    **state
        Initial values of the attributes below.

    Attributes
    ----------
    position : int
        The token to branch at: what comes before it is kept. -1 = none.
    operator : str
        What runs beside ``retry``.
    alpha : float
        The specialist's weight in a mixture, in [0, 1].
    continuation : str
        Member of `labels.Continuation`: how an operator that acts once goes on.
    twins : int
        Of each.
    seed : int
        Of the twins' random numbers.
    surgery, control : Surgery or None
        The last branching of the trace that is shown, by the operator and by ``retry``. `control`
        is None where ``retry`` itself is the operator.
    history : DataFrame
        Every branching so far; columns `tables.twin_tree.HISTORY`.

    Examples
    --------
    Nothing is loaded, and nothing done, before `branch` is called.

    >>> import recover_nb as rnb
    >>> ds = rnb.load_study()
    >>> view = rnb.widgets.TraceSurgeon(ds, problem=977, position=14, twins=4)
    >>> view.value["position"], view.value["operator"], len(view.history)
    (14, 'sparse_steer', 0)
    """

    STATE: ClassVar = ("position", "operator", "alpha", "continuation", "twins", "seed")

    position = traitlets.Int(-1, min=-1, max=MOST)
    operator = traitlets.Unicode(Intervention.SPARSE_STEER.value)
    alpha = traitlets.Float(0.7, min=0.0, max=1.0)
    continuation = traitlets.Enum(
        [each.value for each in Continuation], Continuation.TEMPERATURE.value
    )
    twins = traitlets.Int(20, min=1, max=500)
    seed = traitlets.Int(0, min=0, max=MOST)

    @takes_study()
    @checks.takes(selection=SELECTION, pair=checks.PAIR, checker=RULE, operators=SOME_OPERATORS)
    def __init__(
        self,
        ds: xr.Dataset | None = None,
        *,
        problem: int | None = None,
        selection: Selection | None = None,
        pair: "Pair | None" = None,
        checker: str | Checker | None = None,
        operators: Sequence[str] = OPERATORS,
        **state: Any,
    ) -> None:
        self.busy = Busy()
        self._reader = StudyReader(ds, self.busy)
        self._ds, self._operators = self._reader.ds, tuple(operators)
        self._models = Models(self.busy, pair, self._ds)
        self._decoding = Decoding(self._ds, self._models, self.busy, checker)
        self.trace: Trace | None = None
        self._made: list[Surgery] = []
        self._rows: list[dict[str, Any]] = []
        selection = chosen_problem(selection, self._ds, problem) or opened(selection, self._ds)
        stored = {
            name: value
            for name, value in stored_settings(self._ds).items()
            if name in ("alpha", "seed")
        }
        super().__init__(selection=selection, **(stored | state))
        selection.observe(self._another, names=["problem", "rollout", "intervention"])

    @traitlets.validate("operator")
    def _is_known(self, proposal: Any) -> str:
        if proposal["value"] not in self._operators:
            allowed = ", ".join(self._operators)
            raise traitlets.TraitError(
                f"unknown operator {proposal['value']!r}; allowed: {allowed}"
            )
        return proposal["value"]

    def build(self) -> tuple[ipywidgets.Widget, ...]:
        """Lay out the trace, the choice of operator, and what came of it."""
        self.panel = TracePanel("failed answer; Enter chooses the token to branch at")
        self.text, self.outcome = self.panel.text, Outcome()
        traitlets.link((self, "position"), (self.text, "pinned"))
        traitlets.link((self.selection, "token"), (self.text, "cursor"))
        operator = ipywidgets.Dropdown(
            options=self._operators,
            description="retry and",
            tooltip="the operator that is compared with asking again",
            **sized(70, 250),
        )
        token = ipywidgets.BoundedIntText(
            min=-1,
            max=MOST,
            description="from token",
            tooltip="what comes before this token is kept; -1: none is chosen",
            **sized(80, 160),
        )
        tie(self, "operator", operator)
        tie(self, "position", token)
        self.button = ipywidgets.Button(
            description="run both",
            icon="code-fork",
            tooltip="decode the twins of retry and of the operator from this token",
        )
        self.button.on_click(lambda _: self.branch())
        row = ipywidgets.HBox([operator, token, self.button])
        row.add_class("recover-nb-row")
        self.settings = Settings(self, self._ds, self._saver)
        return (self.said, self.panel, row, self.busy, self.outcome, self.settings)

    @property
    def history(self) -> pd.DataFrame:
        """Every branching so far, the oldest first; columns `tables.twin_tree.HISTORY`."""
        return as_history(self._rows)

    @property
    def surgery(self) -> "Surgery | None":
        """The last branching of the trace that is shown, by the operator."""
        return self._made[-1] if self._made else None

    @property
    def control(self) -> "Surgery | None":
        """The last branching of the trace that is shown, by ``retry`` beside the operator."""
        return self._made[0] if len(self._made) == 2 else None

    def branch(self) -> None:
        """Decode the twins of ``retry`` and of the operator, and show how many are right."""
        self.button.disabled = True
        try:
            with self.speaking():
                self._branch()
        finally:
            self.button.disabled = False
        if not self.message:
            self._refreshed()

    def refresh(self) -> None:
        """Show the trace of the selection, and the last branching of it."""
        chosen, self.trace = self.selection, None
        self.settings.follow(chosen)
        try:
            self.trace = read_trace(self._one, 0, chosen.rollout, chosen.intervention)
        except InputError:
            self.panel.empty(self._one, chosen.value)
            raise
        value = value_of_trace(self._one, 0, chosen.rollout, chosen.intervention)
        self.panel.show(
            self._one,
            chosen.value,
            self.trace,
            value,
            window=_WINDOW,
            operator=self.operator,
        )
        self.outcome.show(self._made, self.trace, self.history, self._text_of)
        if self.trace.correct:
            raise InputError(say_failed(self._one, chosen.value))
        if self.position >= len(self.trace.tokens):
            raise InputError(
                f"token {self.position} is not in this trace; allowed: 0 to"
                f" {len(self.trace.tokens) - 1}"
            )

    def charts(self) -> dict[str, Any]:
        """Return the rates of the history."""
        return {"branches": plot_branches(branch_rows(self.history))} if self._rows else {}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the history, and the twins of the last branching."""
        shown = {"history": self.history} if self._rows else {}
        return shown | ({"twins": twin_rows(self._made, self._text_of)} if self._made else {})

    @property
    def _one(self) -> xr.Dataset:
        return self._reader.one(self.selection.problem)

    def _another(self, _change: Any) -> None:
        """Show another trace, of which no token is chosen yet."""
        self._made = []
        self.position = -1
        self._refreshed()

    def _branch(self) -> None:
        self.refresh()
        if self.position < 0 or self.trace is None:
            raise InputError(
                "choose the token to branch at: click it, press Enter on it, or give its place"
            )
        self._made, temperature = self._decoding.both(
            self._one,
            self.trace.token_id,
            self.position,
            self.operator,
            self.twins,
            alpha=self.alpha,
            continuation=self.continuation,
            seed=self.seed,
        )
        chosen = self.selection
        about = {
            "problem": chosen.problem,
            "rollout": chosen.rollout,
            "trace": chosen.intervention,
            "temperature": temperature,
            "seed": self.seed,
        }
        self._rows += [history_row(each) | about for each in self._made]

    def _text_of(self, tokens: Sequence[int]) -> str:
        return self._decoding.text_of(self._one, tokens)
