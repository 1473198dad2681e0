"""Settings of the inspector that most readers do without."""

from typing import TYPE_CHECKING, Any

import ipywidgets

from recover_nb.widgets.parts.controls import WRAP, sized, tie
from recover_nb.widgets.parts.fold import Fold
from recover_nb.widgets.parts.slider import Slider

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
        self._view, look, wide = view, sized(60, 220), {"layout": {"width": "240px"}}
        fields = {
            "window": Slider(
                max=40,
                description="window",
                tooltip="tokens that are marked on either side of the junction",
                **wide,
            ),
            "temperature": Slider(
                min=0.1,
                max=2.0,
                step=0.05,
                description="T",
                tooltip="temperature that signals are computed at",
                **wide,
            ),
            "top_k": ipywidgets.BoundedIntText(
                min=2,
                max=1000,
                description="K",
                tooltip="how many of each model's likeliest tokens signals look at",
                **look,
            ),
            "k_cov": ipywidgets.BoundedIntText(
                max=100,
                description="k_cov",
                tooltip="how many of the ancestor's likeliest tokens coverage looks at;"
                " 0: a tenth of the vocabulary",
                **look,
            ),
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
