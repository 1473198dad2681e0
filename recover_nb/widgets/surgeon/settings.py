"""Settings of the surgeon that most readers do without."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets
import xarray as xr

from recover_nb.core.labels import Continuation
from recover_nb.widgets.parts.controls import WRAP, sized, tie
from recover_nb.widgets.parts.fold import Fold
from recover_nb.widgets.parts.selection import Selection, looking_at
from recover_nb.widgets.parts.slider import Slider

if TYPE_CHECKING:
    from recover_nb.widgets.surgeon.view import TraceSurgeon

#: Largest number that a control takes.
MOST = 10**6


class Settings(Fold):
    """Another trace, how twins are drawn, and saving.

    Parameters
    ----------
    view : TraceSurgeon
        Its traits and its selection are set.
    ds : Dataset
    saver : Widget

    Attributes
    ----------
    problem, rollout : BoundedIntText
    """

    def __init__(self, view: "TraceSurgeon", ds: xr.Dataset, saver: ipywidgets.Widget) -> None:
        look = sized(80, 230)
        self.problem, self.rollout = (
            ipywidgets.BoundedIntText(
                max=ds.sizes.get(name, 1) - 1,
                description=name,
                tooltip=f"number of the {name} whose answer is shown",
                **look,
            )
            for name in ("problem", "rollout")
        )
        self.problem.observe(_asks_problem(view.selection, ds), names=["value"])
        self.rollout.observe(_asks_rollout(view.selection), names=["value"])
        fields = {
            "twins": ipywidgets.BoundedIntText(
                min=1,
                max=500,
                description="twins",
                tooltip="how many answers are decoded with each of the two",
                **look,
            ),
            "alpha": Slider(
                max=1,
                step=0.05,
                description="alpha",
                tooltip="strength of the operator",
                layout={"width": "240px"},
            ),
            "continuation": ipywidgets.Dropdown(
                options=[str(each) for each in Continuation],
                description="then",
                tooltip="how decoding goes on after the token that is operated on",
                **look,
            ),
            "seed": ipywidgets.BoundedIntText(
                max=MOST,
                description="seed",
                tooltip="the same seed draws the same answers",
                **look,
            ),
        }
        for name, control in fields.items():
            tie(view, name, control)
        row = ipywidgets.HBox([self.problem, self.rollout, *fields.values()], layout=WRAP)
        super().__init__("advanced", row, saver)

    def follow(self, selection: Selection) -> None:
        """Say which trace is shown."""
        for control, place in (
            (self.problem, selection.problem),
            (self.rollout, selection.rollout),
        ):
            if place >= 0:
                control.value = place


def _asks_problem(selection: Selection, ds: xr.Dataset) -> Callable[[Any], None]:
    def asked(change: Any) -> None:
        if change["new"] != selection.problem:
            chosen = looking_at(ds, change["new"])
            selection.value = {**chosen, "rollout": max(chosen["rollout"], 0)}

    return asked


def _asks_rollout(selection: Selection) -> Callable[[Any], None]:
    def asked(change: Any) -> None:
        if change["new"] != selection.rollout:
            selection.value = {"rollout": change["new"], "token": -1}

    return asked
