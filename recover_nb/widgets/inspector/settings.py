"""Settings of the inspector that most readers do without."""

from typing import TYPE_CHECKING, Any

import ipywidgets

from recover_nb.widgets.parts.controls import WRAP, sized, tie
from recover_nb.widgets.parts.fold import Fold

if TYPE_CHECKING:
    from recover_nb.widgets.inspector.view import TraceInspector


class Settings(Fold):
    """The window, what signals are computed with, and saving.

    Parameters
    ----------
    view : TraceInspector
        Its traits are set, and its `compute` is called.
    saver : Widget
    """

    def __init__(self, view: "TraceInspector", saver: ipywidgets.Widget) -> None:
        self._view, look = view, sized(60, 220)
        still = {"continuous_update": False}
        fields = {
            "window": ipywidgets.IntSlider(max=40, description="window", **still, **look),
            "temperature": ipywidgets.FloatSlider(
                min=0.1, max=2.0, step=0.05, description="T", **still, **look
            ),
            "top_k": ipywidgets.BoundedIntText(min=2, max=1000, description="K", **look),
            "k_cov": ipywidgets.BoundedIntText(max=100, description="k_cov", **look),
        }
        for name, control in fields.items():
            tie(view, name, control)
        button = ipywidgets.Button(
            description="compute",
            icon="calculator",
            tooltip="load both models (torch) and compute signals with these settings",
        )
        button.on_click(lambda _: view.compute())
        row = ipywidgets.HBox([*fields.values(), button], layout=WRAP)
        super().__init__("advanced", row, saver)

    @property
    def of_signals(self) -> dict[str, Any]:
        """What signals are computed with."""
        view = self._view
        return {
            "temperature": view.temperature,
            "top_k": view.top_k,
            "k_cov": view.k_cov or None,
        }
