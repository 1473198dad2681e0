"""From reading to operating: the surgeon, opened at the token that is looked at."""

from typing import TYPE_CHECKING

import ipywidgets

from recover_nb.core.labels import Intervention
from recover_nb.widgets.surgeon import OPERATORS, TraceSurgeon

if TYPE_CHECKING:
    from recover_nb.widgets.inspector.view import TraceInspector


class Operating(ipywidgets.VBox):
    """A place for the surgeon, and the button that opens it there.

    Parameters
    ----------
    view : TraceInspector

    Attributes
    ----------
    button : Button
    surgeon : TraceSurgeon or None
        It shares the inspector's selection.
    """

    def __init__(self, view: "TraceInspector") -> None:
        self._view = view
        self.surgeon: TraceSurgeon | None = None
        self.button = ipywidgets.Button(
            description="operate here",
            icon="scissors",
            tooltip="keep what comes before this token; retry and an operator go on from it",
        )
        self.button.on_click(lambda _: self.operate())
        super().__init__()
        self.add_class("recover-nb-operating")

    def operate(self) -> None:
        """Open the surgeon at the token that is looked at, and run retry and an operator there."""
        view = self._view
        name = view.attempts.name
        able = name in OPERATORS and name != Intervention.RETRY
        state = {
            "position": view.token,
            "operator": name if able else Intervention.SPARSE_STEER.value,
        }
        if self.surgeon is None:
            self.surgeon = TraceSurgeon(view._ds, selection=view.selection, **state)
            self.children = (self.surgeon,)
        else:
            self.surgeon.value = state
        self.surgeon.branch()
