"""Controls of a view: a helper that ties a trait to a control, and a routing policy's control."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import ipywidgets
import traitlets

from recover_nb.core.labels import Feature

#: Layout of a row of controls that goes on below where there is no room.
WRAP = {"flex_flow": "row wrap"}


def sized(label: int, whole: int) -> dict[str, dict[str, str]]:
    """Return keywords of a control `whole` pixels wide, `label` of them for its description."""
    return {"style": {"description_width": f"{label}px"}, "layout": {"width": f"{whole}px"}}


def tie(view: traitlets.HasTraits, name: str, control: ipywidgets.Widget) -> None:
    """Keep trait `name` of a view and the value of a control together.

    A state that the control does not offer leaves the control as it is: it is for the view to say
    what is wrong.
    """

    def show(_: Any = None) -> None:
        with suppress(traitlets.TraitError):
            control.value = getattr(view, name)

    show()
    view.observe(show, names=[name])
    control.observe(lambda change: setattr(view, name, change["new"]), names=["value"])


def or_none(word: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """Options of a Dropdown: `word` for the empty text, then the names."""
    # Pairs throughout: a Dropdown takes one pair among plain names for a name.
    return [(word, ""), *((name, name) for name in names)]


class PolicyControl(ipywidgets.VBox):
    """One choice of operator for each feature.

    Parameters
    ----------
    operators : sequence of str
        What there is to choose from.

    Attributes
    ----------
    value : dict of str to str
        Feature to operator, in the order that breaks ties; a feature without one is not used.
    """

    value = traitlets.Dict()

    def __init__(self, operators: Sequence[str]) -> None:
        super().__init__()
        look = {"options": or_none("not used", operators), **sized(100, 258)}
        self.choices = {
            name.value: ipywidgets.Dropdown(
                description=name.value.replace("_", " "),
                tooltip="operator of problems where this feature is furthest above the mean",
                **look,
            )
            for name in Feature
        }
        self.children = tuple(self.choices.values())
        self._showing = False
        self.observe(self._show, names=["value"])
        for choice in self.choices.values():
            choice.observe(self._read, names=["value"])

    def _show(self, _: Any) -> None:
        # Halfway through is a policy nobody asked for: it is not read.
        self._showing = True
        for name, choice in self.choices.items():
            with suppress(traitlets.TraitError):
                choice.value = self.value.get(name, "")
        self._showing = False

    def _read(self, _: Any) -> None:
        if not self._showing:
            self.value = {
                name: choice.value for name, choice in self.choices.items() if choice.value
            }
