"""Read a failed trace by token: signals, junction, both models' alternatives, a trace beside it."""

import html
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

import ipywidgets
import numpy as np
import pandas as pd
import traitlets
import xarray as xr

from recover_nb.charts.theme import SIGNAL_TITLES, shade
from recover_nb.charts.traces import plot_signals
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Signal
from recover_nb.core.token_text import pieces_of, token_pieces
from recover_nb.tables.inspection import (
    Trace,
    alternatives,
    differences,
    first_failed,
    read_trace,
    rollouts_run,
    signal_frame,
    stored_alternatives,
)
from recover_nb.tables.traces import choose_example
from recover_nb.widgets.models import Models
from recover_nb.widgets.parts.base import ChartPanel, View
from recover_nb.widgets.parts.busy import Busy
from recover_nb.widgets.parts.controls import WRAP
from recover_nb.widgets.parts.markup import alternatives_table, headline
from recover_nb.widgets.parts.selection import Selection
from recover_nb.widgets.parts.token_view import TokenView
from recover_nb.widgets.problems import StudyReader

if TYPE_CHECKING:
    from recover_nb.generation.decoding import Pair

#: Signals that have a sign.
_SIGNED = (Signal.PATH_DEFORMATION.value, Signal.COVERAGE_DEFORMATION.value)
NONE = Intervention.NONE.value
#: Choices of the second trace that are not an intervention.
NOTHING, ANCESTOR = "nothing", "ancestor"
_HINT = (
    "Point at a token, or move to it by the arrow keys, to see what both models would rather have"
    " said."
)


class TraceInspector(View):
    """A trace as text, coloured by a signal, with what either model preferred at the cursor.

    Opens without torch on what a study stores. `compute` loads the two models: sliders then
    recompute every signal, alternatives are known for every rollout, and the ancestor's own answer
    can be set beside it.

    Parameters
    ----------
    ds : Dataset
        A study with tokens.
    selection : Selection, optional
        Problem, rollout, intervention and token are followed and set. An instructive example unless
        it chooses one.
    **state
        Initial values of the attributes below.

    Attributes
    ----------
    signal : str
        What colours the tokens; a name of `labels.Signal`.
    window : int
        Tokens to either side of the junction.
    temperature, top_k, k_cov : float, int, int
        Settings of the signals once `compute` was pressed; k_cov 0 = a tenth of the vocabulary.
    compare : str
        The second trace: ``nothing``, ``ancestor``, or an intervention, of which `compare_rollout`
        is shown.
    compare_rollout : int
        The first that was run, where `compare` changes to an intervention that lacks this one.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> selection = rnb.widgets.Selection(problem=605)
    >>> view = rnb.widgets.TraceInspector(rnb.load_study(), selection=selection)
    >>> view.value = {"signal": "path_deformation", "window": 4}
    >>> sorted(view.tables()["signals"]["signal"].unique())
    ['coverage_deformation', 'demotion_pressure', 'entropy', 'kl_divergence', 'logit_variance',
    'path_deformation']
    """

    STATE: ClassVar = (
        "signal",
        "window",
        "temperature",
        "top_k",
        "k_cov",
        "compare",
        "compare_rollout",
    )

    signal = traitlets.Enum([name.value for name in Signal], Signal.DEMOTION_PRESSURE.value)
    window = traitlets.Int(8, min=0, max=40)
    temperature = traitlets.Float(0.6, min=0.1, max=2.0)
    top_k = traitlets.Int(100, min=2, max=1000)
    k_cov = traitlets.Int(0, min=0, max=100)
    compare = traitlets.Unicode(NOTHING)
    compare_rollout = traitlets.Int(0, min=0)

    def __init__(self, ds: xr.Dataset, *, selection: Selection | None = None, **state: Any) -> None:
        self.busy = Busy()
        self._ds, self._reader = ds, StudyReader(ds, self.busy)
        self._models = Models(self.busy)
        self._computing = False
        self._live: dict[tuple, Any] = {}
        self.trace: Trace | None = None
        selection = selection or Selection()
        if selection.problem < 0:
            chosen = choose_example(ds) or {"problem": 0, "rollout": 0}
            selection.value = {"problem": chosen["problem"], "rollout": chosen["rollout"]}
        super().__init__(selection=selection, **state)
        selection.observe(lambda _: self._refreshed(), names=["problem", "rollout", "intervention"])
        selection.observe(lambda _: self._look(), names=["token"])

    def build(self) -> tuple[ipywidgets.Widget, ...]:
        """Lay out title, controls, the traces, the alternatives and the signal."""
        self._title, self._alternatives = ipywidgets.HTML(), ipywidgets.HTML()
        self.text, self.other = TokenView(label="failed trace"), TokenView(label="second trace")
        self._other_title, self._legend = ipywidgets.HTML(), ipywidgets.HTML()
        self.chart = ChartPanel()
        traitlets.link((self.text, "cursor"), (self.selection, "token"))
        signal = ipywidgets.Dropdown(
            options=[(SIGNAL_TITLES[name.value], name.value) for name in Signal],
            description="colour",
        )
        second = [NOTHING, ANCESTOR, *map(str, self._ds["intervention"].values)]
        beside = ipywidgets.Dropdown(options=second, description="beside it")
        number = ipywidgets.BoundedIntText(
            max=self._ds.sizes.get("rollout", 1) - 1, description="its rollout"
        )
        window = ipywidgets.IntSlider(max=40, description="window", continuous_update=False)
        heat = ipywidgets.FloatSlider(
            min=0.1, max=2.0, step=0.05, description="T", continuous_update=False
        )
        top = ipywidgets.BoundedIntText(min=2, max=1000, description="K")
        cover = ipywidgets.BoundedIntText(max=100, description="k_cov")
        button = ipywidgets.Button(
            description="compute",
            icon="calculator",
            tooltip="load both models (torch) and compute signals live",
        )
        button.on_click(lambda _: self.compute())
        controls = (
            (signal, "signal"),
            (beside, "compare"),
            (number, "compare_rollout"),
            (window, "window"),
            (heat, "temperature"),
            (top, "top_k"),
            (cover, "k_cov"),
        )
        for control, name in controls:
            traitlets.link((self, name), (control, "value"))
        for narrow in (number, top, cover):
            narrow.layout.width = "180px"
        return (
            self._title,
            ipywidgets.HBox([signal, beside, number], layout=WRAP),
            self.said,
            self.text,
            self._legend,
            self._other_title,
            self.other,
            self._alternatives,
            self.chart,
            ipywidgets.HBox([window, heat, top, cover, button], layout=WRAP),
            self.busy,
        )

    def compute(self) -> None:
        """Load both models of the problem's family and method, and compute from them hereafter."""
        with self.speaking():
            self._load()
            self._computing = True
        if not self.message:
            self._refreshed()

    @property
    def _one(self) -> xr.Dataset:
        """The problem of the selection, in memory."""
        return self._reader.one(self.selection.problem)

    @property
    def _family(self) -> str:
        return str(self._one["family"].values[0])

    def _load(self) -> "Pair":
        """Return the two models of the problem, loading them where that was not done before."""
        return self._models.pair(self._family, str(self._one["method"].values[0]))

    def refresh(self) -> None:
        """Read the trace of the selection and show it."""
        chosen = self.selection
        if chosen.rollout < 0:
            # A problem alone was chosen: its signals are about its first failed rollout.
            chosen.rollout = max(first_failed(self._one, 0), 0)
        signals = self._signals() if self._computing else None
        self.trace = read_trace(self._one, 0, chosen.rollout, chosen.intervention, signals=signals)
        values = self.trace.signals.get(self.signal)
        shown = [] if values is None else values
        with self.text.hold_sync():
            self.text.tokens, self.text.junction = self.trace.tokens, self.trace.junction
            self.text.window = self.trace.window(self.window)
            self.text.colours = shade(shown, diverging=self.signal in _SIGNED)
            self.text.notes = [f"{self.signal} {value:.3f}" for value in shown]
            self._show_second()
        self._title.value = self._headline()
        self._legend.value = self._say_colours(values)
        if values is None:
            self.chart.clear()
            raise InputError(
                "no signals are stored for this trace (a study keeps those of a problem's first ten"
                " failed rollouts); press compute"
            )
        self.chart.show(
            plot_signals(signal_frame(self.trace, [self.signal]), width=720, height=110)
        )
        self._look()

    def _headline(self) -> str:
        says = html.escape(self.trace.verdict) if self.trace else ""
        return headline(self._one, self.selection.value, f": <b>{says}</b>,")

    def _say_colours(self, values: np.ndarray | None) -> str:
        """Say what the colours and marks of the trace mean."""
        if values is None or not len(values):
            return ""
        ends = ("blue", "orange") if self.signal in _SIGNED else ("yellow", "dark blue")
        reach = np.nanmax(np.abs(values)) if self.signal in _SIGNED else np.nan
        low, high = (
            (-reach, reach) if self.signal in _SIGNED else (np.nanmin(values), np.nanmax(values))
        )
        return (
            f"<small>{html.escape(SIGNAL_TITLES[self.signal])}: {ends[0]} {low:.2f} to {ends[1]}"
            f" {high:.2f}; line below: grey the window, orange the junction</small>"
        )

    @traitlets.observe("compare")
    def _begin(self, _change: Any) -> None:
        """Go to the first rollout of another intervention where it has none of this number."""
        with suppress(InputError):
            run = rollouts_run(self._one, 0, self.compare)
            if run.size and self.compare_rollout not in run:
                self.compare_rollout = int(run[0])

    def _show_second(self) -> None:
        """Show the second trace, and underline what differs in both."""
        with self.other.hold_sync():
            # What was shown before must not stand under a choice that has no trace.
            self.other.tokens, self._other_title.value, self.text.differs = [], "", []
            if self.compare == NOTHING:
                return
            if self.compare == ANCESTOR:
                other = self._ancestor()
                name = (
                    f"the ancestor's most likely answer: {'correct' if other.correct else 'wrong'}"
                )
            else:
                other = read_trace(self._one, 0, self.compare_rollout, self.compare)
                name = f"{self.compare} rollout {self.compare_rollout}: {other.verdict}"
            here, there = differences(self.trace.token_id, other.token_id)
            self.text.differs = here
            self.other.tokens, self.other.differs = other.tokens, there
        self._other_title.value = f"<b>{html.escape(name)}</b> (underlined: where the two differ)"

    def _look(self) -> None:
        """Show both models' alternatives at the cursor."""
        frame = self._at_cursor()
        if frame is not None:
            self._alternatives.value = alternatives_table(frame, f"token {self.selection.token}, ")
        elif self.trace is None or self._alternatives_found() is not None:
            self._alternatives.value = _HINT
        else:
            self._alternatives.value = "Alternatives of this rollout are not stored; press compute."

    def charts(self) -> dict[str, Any]:
        """Return the signal's chart."""
        return {} if self.chart.chart is None else {"signal": self.chart.chart}

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the signals of the trace, and the alternatives at the cursor."""
        if self.trace is None:
            return {}
        shown = {"signals": signal_frame(self.trace)} if self.trace.signals else {}
        frame = self._at_cursor()
        return shown if frame is None else shown | {"alternatives": frame}

    def _at_cursor(self) -> pd.DataFrame | None:
        """Return both models' alternatives at the cursor; None if there are none or not known."""
        if self.trace is None or not 0 <= self.selection.token < len(self.trace.tokens):
            return None
        found = self._alternatives_found()
        if found is None:
            return None
        return alternatives(self.trace, self.selection.token, found, token_pieces(self._family))

    def _alternatives_found(self) -> tuple[np.ndarray, np.ndarray] | None:
        chosen = self.selection
        if chosen.intervention == NONE:
            stored = stored_alternatives(self._one, 0, chosen.rollout)
            if stored is not None:
                return stored
        return self._computed("alternatives") if self._computing else None

    def _signals(self) -> dict[str, np.ndarray]:
        return self._computed("signals")

    def _ancestor(self) -> Trace:
        """Decode the ancestor alone, greedily."""
        if not self._computing:
            raise InputError("the ancestor's own answer is not stored; press compute")
        tokens, correct = self._computed("ancestor")
        return Trace(tokens, pieces_of(tokens, token_pieces(self._family)), correct, {}, -1)

    def _computed(self, what: str) -> Any:
        """Compute once for each trace and setting."""
        chosen = self.selection
        key = (
            what,
            chosen.problem,
            chosen.rollout,
            chosen.intervention,
            self.temperature,
            self.top_k,
            self.k_cov,
        )
        if key not in self._live:
            from recover_nb.generation import single_trace

            settings = {
                "temperature": self.temperature,
                "top_k": self.top_k,
                "k_cov": self.k_cov or None,
            }
            one = self._one.isel(problem=0, rollout=chosen.rollout).sel(
                intervention=chosen.intervention
            )
            compute = {
                "signals": single_trace.signals,
                "alternatives": single_trace.likeliest,
                "ancestor": single_trace.ancestor_answer,
            }
            pair = self._load()
            with self.busy.doing(f"computing {what}"):
                self._live[key] = compute[what](pair, one, settings)
        return self._live[key]
