"""A trace in large tokens: what was asked, what came of it, a signal's colours, the value below."""

import ipywidgets
import numpy as np
import xarray as xr

from recover_nb.core.theme import SIGNAL_TITLES
from recover_nb.tables.inspection import Trace
from recover_nb.tables.steps import StepMarks
from recover_nb.tables.tokens import SIGNED, PrefixValue, scale_of
from recover_nb.widgets.parts.markup import colour_of, keys_html, note, scale_html, trace_head
from recover_nb.widgets.parts.token_view import TokenView

#: What the marks under the steps of a trace mean.
_STEPS = (
    "steps: \u2713 right, \u2717 the first wrong one, \u2013 after it; = a calculator could do it"
)


class TracePanel(ipywidgets.VBox):
    """What is shown of one trace wherever one is read.

    Parameters
    ----------
    label : str
        What the trace is, for a screen reader.

    Attributes
    ----------
    text : TokenView
    """

    def __init__(self, label: str) -> None:
        self.head, self.legend, self.said = (ipywidgets.HTML() for _ in range(3))
        self.text = TokenView(label=label)
        super().__init__([self.head, self.text, self.legend, self.said])

    def show(
        self,
        one: xr.Dataset,
        chosen: dict,
        trace: Trace,
        value: PrefixValue,
        *,
        window: int,
        signal: str = "",
        operator: str = "",
        steps: StepMarks | None = None,
    ) -> None:
        """Show a trace.

        Parameters
        ----------
        one : Dataset
            Of its one problem.
        chosen : dict
            The selection's state.
        trace : Trace
        value : PrefixValue
        window : int
            Tokens to either side of the junction.
        signal : str
            What colours the tokens; empty = nothing.
        operator : str
            Whose value is marked over that of the model alone, where it is recorded.
        steps : StepMarks, optional
            What is marked under each step.
        """
        self.head.value = trace_head(one, chosen, trace)
        values, marks = trace.signals.get(signal), steps or StepMarks()
        known = np.zeros(0) if values is None else values
        scale = scale_of(known, signed=signal in SIGNED)
        others = (value.others or {}).get(operator, ())
        with self.text.hold_sync():
            self.text.tokens, self.text.junction = trace.tokens, trace.junction
            self.text.window, self.text.fatal = trace.window(window), value.fatal
            self.text.values, self.text.others = list(value.after), list(others)
            self.text.colours = [colour_of(share) for share in scale.shares]
            self.text.notes = _notes(signal, known, value, marks)
            self.text.steps = list(marks.marks)
        keys = [
            ("value", "still ends right after this token") if value.after else None,
            ("operator", f"with {operator} from there on") if others else None,
            ("fatal", "fatal token: here it was lost") if value.fatal >= 0 else None,
            ("junction", "junction: the models part most (dotted: its window)")
            if trace.junction >= 0
            else None,
            ("step", _STEPS) if marks.marks else None,
        ]
        title = SIGNAL_TITLES.get(signal, signal)
        drawn = scale_html(title, scale) if len(known) else ""
        self.legend.value = f'<p class="recover-nb-keys">{drawn}{keys_html(filter(None, keys))}</p>'
        self.said.value = note(value.sentence)

    def empty(self, one: xr.Dataset | None, chosen: dict) -> None:
        """Show a problem of which there is no trace to read, or nothing."""
        self.head.value = "" if one is None else trace_head(one, chosen, None)
        with self.text.hold_sync():
            self.text.tokens, self.text.values, self.text.others = [], [], []
            self.text.colours, self.text.notes, self.text.steps = [], [], []
            self.text.junction = self.text.fatal = -1
        self.legend.value = self.said.value = ""


def _notes(signal: str, values: np.ndarray, value: PrefixValue, steps: StepMarks) -> list[str]:
    """Return what is said of each token besides its text."""
    parts = [[f"{signal} {each:.3f}" for each in values]] if len(values) else []
    if value.after:
        parts.append([f"{100 * each:.0f} % still end right" for each in value.after])
    if steps.notes:
        parts.append(list(steps.notes))
    return [". ".join(each) for each in zip(*parts, strict=True)]
