"""Branch a failed trace at a token and see what its twins make of it."""

import html
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets
import numpy as np
import pandas as pd
import traitlets
import xarray as xr

from recover_nb.charts.traces import plot_branches
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Anchoring, Continuation, Intervention
from recover_nb.core.token_text import pieces_of
from recover_nb.tables.examples import opening, problem_at
from recover_nb.tables.inspection import Trace, read_trace
from recover_nb.tables.twin_tree import HISTORY, Branch, branch_rows, diff_tree
from recover_nb.tasks.checkers import Checker
from recover_nb.widgets.models import Models, stored_settings
from recover_nb.widgets.parts.base import View
from recover_nb.widgets.parts.busy import Busy
from recover_nb.widgets.parts.controls import WRAP
from recover_nb.widgets.parts.markup import headline, history_html, percent, tree_html
from recover_nb.widgets.parts.selection import Selection, looking_at
from recover_nb.widgets.parts.token_view import TokenView
from recover_nb.widgets.problems import StudyReader

if TYPE_CHECKING:
    from recover_nb.generation.decoding import Pair
    from recover_nb.generation.surgery import Surgery

#: Operators that can act on a failed trace: every one but the trace itself.
OPERATORS = tuple(name.value for name in Intervention if name is not Intervention.NONE)
NONE = Intervention.NONE.value
_HINT = (
    "Click a token, or press Enter on it, and then branch: twins keep what comes before it. The"
    " orange line is below the junction, the grey one below its window."
)
#: Half width of the junction's window.
_WINDOW = 8
#: Failed rollouts that a message lists.
_LISTED = 12
#: Largest number that a control takes.
_MOST = 10**6


class TraceSurgeon(View):
    """A failed trace, a token, an operator: twins keep what came before it, then go their own way.

    Twins are decoded on the problem's own pair, which `branch` loads when it is first called. Twin
    r shares its random numbers whatever the operator, so that ``retry`` from the same token is what
    an operator is compared with.

    Parameters
    ----------
    ds : Dataset, optional
        A study with tokens; the bundled one by default.
    selection : Selection, optional
        Problem, rollout and intervention say which trace. An instructive example unless they choose
        one.
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
    alpha : float
        The specialist's weight in a mixture, in [0, 1].
    continuation : str
        Member of `labels.Continuation`: how an operator that acts once goes on.
    twins : int
    seed : int
        Of the twins' random numbers.
    surgery : Surgery or None
        The last branching of the trace that is shown.
    history : DataFrame
        Every branching so far; columns `tables.twin_tree.HISTORY`.

    Examples
    --------
    Nothing is loaded, and nothing done, before `branch` is called.

    >>> import recover_nb as rnb
    >>> ds = rnb.load_study()
    >>> view = rnb.widgets.TraceSurgeon(ds, position=1, operator="sparse_steer", twins=4)
    >>> view.value["position"], view.value["operator"], len(view.history)
    (1, 'sparse_steer', 0)
    """

    STATE: ClassVar = ("position", "operator", "alpha", "continuation", "twins", "seed")

    position = traitlets.Int(-1, min=-1, max=_MOST)
    operator = traitlets.Unicode(Intervention.SPARSE_STEER.value)
    alpha = traitlets.Float(0.7, min=0.0, max=1.0)
    continuation = traitlets.Enum(
        [each.value for each in Continuation], Continuation.TEMPERATURE.value
    )
    twins = traitlets.Int(20, min=1, max=500)
    seed = traitlets.Int(0, min=0, max=_MOST)

    def __init__(
        self,
        ds: xr.Dataset | None = None,
        *,
        selection: Selection | None = None,
        pair: "Pair | None" = None,
        checker: str | Checker | None = None,
        operators: Sequence[str] = OPERATORS,
        **state: Any,
    ) -> None:
        self.busy = Busy()
        self._reader = StudyReader(ds, self.busy)
        self._ds, self._checker, self._operators = self._reader.ds, checker, tuple(operators)
        self._models = Models(self.busy, pair)
        self.trace: Trace | None = None
        self.surgery: Surgery | None = None
        self.tree: Branch | None = None
        self._rows: list[dict[str, Any]] = []
        selection = selection or Selection()
        if selection.problem < 0:
            selection.value = opening(self._ds)
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
        """Lay out the choice of a trace, the trace, the choice of a branch, and what came of it."""
        self._headline, self._summary, self._tree, self._past = (
            ipywidgets.HTML() for _ in range(4)
        )
        self.text = TokenView(label="failed trace; Enter chooses the token to branch at")
        traitlets.link((self, "position"), (self.text, "pinned"))
        traitlets.link((self.selection, "token"), (self.text, "cursor"))
        last = {name: self._ds.sizes.get(name, 1) - 1 for name in ("problem", "rollout")}
        self._problem = ipywidgets.BoundedIntText(max=last["problem"], description="problem")
        self._rollout = ipywidgets.BoundedIntText(max=last["rollout"], description="rollout")
        self._show_place()
        self._problem.observe(self._problem_asked, names=["value"])
        self._rollout.observe(self._rollout_asked, names=["value"])
        fields = {
            "operator": ipywidgets.Dropdown(options=self._operators, description="operator"),
            "alpha": ipywidgets.FloatSlider(
                min=0, max=1, step=0.05, description="alpha", continuous_update=False
            ),
            "continuation": ipywidgets.Dropdown(
                options=[str(each) for each in Continuation], description="then"
            ),
            "twins": ipywidgets.BoundedIntText(min=1, max=500, description="twins"),
            "seed": ipywidgets.BoundedIntText(max=_MOST, description="seed"),
            "position": ipywidgets.BoundedIntText(min=-1, max=_MOST, description="token"),
        }
        for name, control in fields.items():
            control.layout.width = "300px" if name == "alpha" else "230px"
            traitlets.link((self, name), (control, "value"))
        self.button = ipywidgets.Button(
            description="branch", icon="code-fork", tooltip="decode the twins live"
        )
        self.button.on_click(lambda _: self.branch())
        return (
            ipywidgets.HBox([self._problem, self._rollout], layout=WRAP),
            self._headline,
            self.text,
            ipywidgets.HBox([*fields.values(), self.button], layout=WRAP),
            self.busy,
            self._summary,
            self._tree,
            self._past,
        )

    @property
    def history(self) -> pd.DataFrame:
        """Every branching so far, the oldest first; columns `tables.twin_tree.HISTORY`."""
        return pd.DataFrame(self._rows, columns=list(HISTORY))

    def branch(self) -> None:
        """Decode the twins, and show them and how many are correct."""
        with self.speaking():
            self._branch()
        if not self.message:
            self._refreshed()

    def refresh(self) -> None:
        """Show the trace of the selection, and the last branching of it."""
        chosen = self.selection
        self._show_place()
        self.trace = read_trace(self._one, 0, chosen.rollout, chosen.intervention)
        with self.text.hold_sync():
            self.text.tokens, self.text.junction = self.trace.tokens, self.trace.junction
            self.text.window = self.trace.window(_WINDOW)
        self._headline.value = self._say()
        self._show_surgery()
        self._check_failed()
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
        return (
            shown
            if self.surgery is None
            else shown | {"twins": twin_rows(self.surgery, self._text_of)}
        )

    # --- the trace

    @property
    def _one(self) -> xr.Dataset:
        return self._reader.one(self.selection.problem)

    @property
    def _unit(self) -> tuple[str, str]:
        return tuple(str(self._one[name].values[0]) for name in ("family", "method"))

    def _check_failed(self) -> None:
        if not self.trace.correct:
            return
        chosen = self.selection
        outcome = self._one["correct"].isel(problem=0).sel(intervention=chosen.intervention).values
        found = np.flatnonzero(outcome == 0)
        failed = (
            ", ".join(map(str, found[:_LISTED])) + (", ..." if len(found) > _LISTED else "")
            or "none"
        )
        raise InputError(
            f"{chosen.intervention} rollout {chosen.rollout} of problem {chosen.problem} is"
            f" correct, so there is nothing to rescue; those that failed: {failed}"
        )

    def _another(self, _change: Any) -> None:
        """Show another trace, of which no token is chosen yet."""
        self.surgery = self.tree = None
        self.position = -1
        self._refreshed()

    def _show_place(self) -> None:
        for control, place in (
            (self._problem, self.selection.problem),
            (self._rollout, self.selection.rollout),
        ):
            if place >= 0:
                control.value = place

    def _problem_asked(self, change: Any) -> None:
        if change["new"] == self.selection.problem:
            return
        chosen = looking_at(self._ds, change["new"])
        self.selection.value = {**chosen, "rollout": max(chosen["rollout"], 0)}

    def _rollout_asked(self, change: Any) -> None:
        if change["new"] != self.selection.rollout:
            self.selection.value = {"rollout": change["new"], "token": -1}

    # --- the branching

    def _branch(self) -> None:
        self.refresh()
        if self.position < 0:
            raise InputError(
                "choose the token to branch at: click it, press Enter on it, or give its place"
            )
        problem = problem_at(self._one, 0)
        pair = self._models.pair(*self._unit)
        surgery = self._models.module("generation.surgery")
        settings = self._models.settings(
            self._ds,
            alpha=self.alpha,
            continuation=self.continuation,
            seed=self.seed,
            anchoring=Anchoring.REPLAY,
        )
        with self.busy.doing(f"decoding {self.twins} twins", self.twins) as tell:
            self.surgery = surgery.branch(
                pair,
                problem.prompt,
                self.trace.token_id,
                self.position,
                self.operator,
                answer=problem.answer,
                n=self.twins,
                settings=settings,
                checker=self._checker,
                key=self._models.key(*self._unit, problem.task, problem.problem_id),
                coverage=self._coverage(),
                progress=tell,
            )
        self.tree = diff_tree(
            self.trace.token_id.tolist(), self.surgery.traces, self.surgery.correct
        )
        chosen = self.selection
        trace = {"problem": chosen.problem, "rollout": chosen.rollout, "trace": chosen.intervention}
        self._rows.append(
            history_row(self.surgery)
            | trace
            | {
                "temperature": settings.temperature,
                "seed": self.seed,
            }
        )

    def _coverage(self) -> tuple[float, float] | None:
        """Return what the study knows of the problem's failed rollouts."""
        names = ("coverage_mean", "coverage_sd")
        known = [float(self._one[name].values[0]) for name in names if name in self._one]
        return tuple(known) if len(known) == len(names) and np.isfinite(known).all() else None

    # --- words

    def _text_of(self, tokens: Sequence[int]) -> str:
        pieces = self._models.pieces(self._unit[0])
        return ("" if pieces else " ").join(pieces_of(tokens, pieces))

    def _say(self) -> str:
        return headline(self._one, self.selection.value, ";")

    def _show_surgery(self) -> None:
        done = self.surgery
        if done is None:
            self._summary.value, self._tree.value = _HINT, ""
        else:
            self._summary.value = f'<p role="status">{html.escape(summary(done))}</p>'
            self._tree.value = tree_html(self.tree, self._text_of, done.position)
        self._past.value = history_html(self.history)


def summary(done: "Surgery") -> str:
    """Say what came of a branching, in a sentence."""
    said = (
        f"{done.intervention} at token {done.position}: {done.rescued} of {done.n} twins correct, "
    )
    said += f"rescue rate {percent(done.rate)}"
    if done.deterministic:
        return (
            f"{said}; nothing was drawn (equal twins are one observation), so there is no interval"
        )
    low, high = done.interval
    return f"{said} (95 % Wilson interval {percent(low)} to {percent(high)})"


def history_row(done: "Surgery") -> dict[str, Any]:
    """Return what `tables.twin_tree.HISTORY` keeps of a branching, except for its trace."""
    low, high = done.interval
    return {
        "position": done.position,
        "operator": done.intervention,
        "alpha": done.alpha,
        "continuation": done.continuation,
        "n": done.n,
        "rescued": done.rescued,
        "rate": done.rate,
        "low": low,
        "high": high,
        "deterministic": done.deterministic,
    }


def twin_rows(done: "Surgery", text_of: Callable[[Sequence[int]], str]) -> pd.DataFrame:
    """Return the twins of a branching, one a row."""
    columns = {
        "twin": range(done.n),
        "correct": done.correct,
        "n_tokens": done.n_tokens,
        "fired_at": done.fired_at,
    }
    return pd.DataFrame(columns | {"text": [text_of(tokens) for tokens in done.traces]})
