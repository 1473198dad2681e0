"""What was tried on a failed answer, one attempt at a time, aligned with it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention
from recover_nb.tables.attempts import (
    aligned_rows,
    attempts,
    clearest,
    most_rescuing,
    say_attempts,
    say_difference,
)
from recover_nb.tables.inspection import Trace, read_trace
from recover_nb.widgets.parts.controls import sized, tie
from recover_nb.widgets.parts.markup import aligned_html, note, verdict

if TYPE_CHECKING:
    from recover_nb.widgets.inspector.view import TraceInspector

RETRY = Intervention.RETRY.value
#: Choices of `compare` that are not an intervention.
BEST, NOTHING = "best", "nothing"
NAMES = {BEST: "what rescues most", NOTHING: "nothing"}


class AttemptsPanel(ipywidgets.VBox):
    """An attempt below the answer that failed, with buttons to the one before and after it.

    Parameters
    ----------
    view : TraceInspector
        Its `compare` and `compare_rollout` are set.
    interventions : list of str

    Attributes
    ----------
    rows : DataFrame or None
        The alignment that is shown.
    name : str
        The intervention that is shown; empty = none.
    rescues : bool
        Whether the attempt is right and the answer was not.
    """

    def __init__(self, view: "TraceInspector", interventions: list[str]) -> None:
        self._view = view
        self.rows: pd.DataFrame | None = None
        self.name, self.rescues, self._found, self._at = "", False, pd.DataFrame(), -1
        options = [(NAMES.get(name, name), name) for name in (BEST, NOTHING, *interventions)]
        self.control = ipywidgets.Dropdown(
            options=options,
            description="what was tried",
            tooltip="whose attempts are shown below the failed answer",
            **sized(100, 290),
        )
        tie(view, "compare", self.control)
        self.before = _button("previous", "arrow-left", lambda: self._turn(-1))
        self.after = _button("next", "arrow-right", lambda: self._turn(1))
        self.count, self.said, self.drawn = (ipywidgets.HTML() for _ in range(3))
        row = ipywidgets.HBox([self.control, self.before, self.count, self.after])
        row.add_class("recover-nb-row")
        super().__init__([row, self.said, self.drawn])
        self.add_class("recover-nb-attempts")

    def show(self, one: xr.Dataset, trace: Trace, fatal: int) -> None:
        """Show the attempt that the view asks for.

        Raises
        ------
        InputError
            There is no such attempt.
        """
        asked = self._view.compare
        self.name = most_rescuing(one, 0) if asked == BEST else "" if asked == NOTHING else asked
        if not self.name:
            self.clear()
            said = "" if asked == NOTHING else "Nothing was tried: interventions run on failures."
            self.said.value = note(said)
            return
        if self.name not in one["intervention"].values:
            raise InputError(f"the study has no intervention {self.name!r}")
        self._found = attempts(one, 0, self.name, trace.token_id)
        number = self._view.compare_rollout
        number = clearest(self._found, fatal) if number < 0 else number
        other = read_trace(one, 0, max(number, 0), self.name)
        self.rows = aligned_rows(trace.token_id, trace.tokens, other.token_id, other.tokens)
        self.rescues = other.correct and not trace.correct
        numbers = self._found["attempt"].tolist()
        self._at = numbers.index(number)
        self.before.disabled, self.after.disabled = self._at == 0, self._at == len(numbers) - 1
        self.count.value = f"attempt {self._at + 1} of {len(numbers)}"
        retry = attempts(one, 0, RETRY) if RETRY in one["intervention"].values else None
        answer = str(one["answer"].values[0])
        self.said.value = note(say_attempts(self._found, self.name, retry)) + verdict(
            other, answer, say_difference(self.rows)
        )
        self.drawn.value = aligned_html(self.rows, right=other.correct)

    def clear(self) -> None:
        """Show no attempt: what was shown before must not stand under another choice."""
        self.rows, self.name, self.rescues = None, "", False
        self._found, self._at = pd.DataFrame(), -1
        self.before.disabled = self.after.disabled = True
        self.count.value = self.said.value = self.drawn.value = ""

    def _turn(self, by: int) -> None:
        numbers = self._found["attempt"].to_numpy(int) if len(self._found) else np.zeros(0, int)
        if 0 <= self._at + by < len(numbers):
            self._view.compare_rollout = int(numbers[self._at + by])


def _button(name: str, icon: str, action: Callable[[], None]) -> ipywidgets.Button:
    button = ipywidgets.Button(description=name, icon=icon, tooltip=f"the {name} attempt")
    button.on_click(lambda _: action())
    return button
