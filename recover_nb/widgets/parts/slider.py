"""A slider with a name, a tooltip and its value beside it."""

import html
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from recover_nb.core.errors import InputError
from recover_nb.widgets.parts.looks import css


class Slider(anywidget.AnyWidget):
    """A number between two others, on the browser's own slider.

    The sliders of ipywidgets have no name for a screen reader; this one stands in their place. It
    answers when it is let go.

    Parameters
    ----------
    **traits
        Initial values of the attributes below.

    Attributes
    ----------
    value : int or float
        One outside `min` and `max` is refused. The browser sends a whole number as an int.
    min, max, step : int or float
        0, 100 and 1 by default. Where new bounds leave the value out, it moves to the nearer one.
    description : str
        Its name, before it and for a screen reader. Required.
    tooltip : str
        What it does, in a sentence. Required.
    disabled : bool

    Raises
    ------
    InputError
        Without a name or a tooltip.

    Examples
    --------
    >>> slider = Slider(description="clusters", tooltip="how many to look for", min=2, max=8)
    >>> slider.value
    2
    """

    _esm = Path(__file__).with_name("slider.js")
    _css = css()

    value = traitlets.Union([traitlets.Int(), traitlets.Float()], default_value=0).tag(sync=True)
    min = traitlets.Union([traitlets.Int(), traitlets.Float()], default_value=0).tag(sync=True)
    max = traitlets.Union([traitlets.Int(), traitlets.Float()], default_value=100).tag(sync=True)
    step = traitlets.Union([traitlets.Int(), traitlets.Float()], default_value=1).tag(sync=True)
    description = traitlets.Unicode("").tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        missing = [name for name in ("description", "tooltip") if not traits.get(name)]
        if missing:
            raise InputError(f"a slider needs a {' and a '.join(missing)}")
        traits.setdefault("value", traits.get("min", 0))
        super().__init__(**traits)

    @traitlets.validate("value")
    def _on_it(self, proposal: Any) -> int | float:
        if not self.min <= proposal.value <= self.max:
            raise traitlets.TraitError(
                f"{self.description} is {proposal.value}; allowed: {self.min} to {self.max}"
            )
        return proposal.value

    @traitlets.observe("min", "max")
    def _bounded(self, _change: Any) -> None:
        if self.min <= self.max:
            self.value = min(max(self.value, self.min), self.max)

    def still(self) -> str:
        """Return the name and the value."""
        text = html.escape(f"{self.description} {self.value}")
        return f'<span class="still-control">{text}</span>'
