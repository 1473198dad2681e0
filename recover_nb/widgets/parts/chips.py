"""Buttons that stay pressed: filters, or one choice of a few."""

import html
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from recover_nb.widgets.parts.looks import css


class Chips(anywidget.AnyWidget):
    """One button for each choice; any number of them are pressed, or exactly one. Knows no study.

    Parameters
    ----------
    **traits
        Initial values of the attributes below.

    Attributes
    ----------
    options : list of str
    texts : list of str
        What is written on each; the option itself by default.
    tooltips : list of str
        What each does; the label and the text by default.
    single : bool
        Whether exactly one is pressed: the first at the start.
    chosen : list of str
        The pressed ones, in the order of `options`. Set by the reader or from Python.
    value : str
        With `single`, the pressed one. One that is no option is refused.
    label : str
        What is chosen, before the buttons and for a screen reader.

    Examples
    --------
    >>> chips = Chips(options=["bars", "table"], single=True, label="show")
    >>> chips.value = "table"
    >>> chips.chosen
    ['table']
    """

    _esm = Path(__file__).parent / "chips.js"
    _css = css()

    options = traitlets.List(traitlets.Unicode()).tag(sync=True)
    texts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    tooltips = traitlets.List(traitlets.Unicode()).tag(sync=True)
    single = traitlets.Bool(False).tag(sync=True)
    chosen = traitlets.List(traitlets.Unicode()).tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
    value = traitlets.Unicode("")

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        if self.single:
            self._show_one()
            self.observe(self._show_one, names=["value", "options"])
            self.observe(self._read_one, names=["chosen"])

    @traitlets.validate("value")
    def _offered(self, proposal: Any) -> str:
        if self.options and proposal.value not in self.options:
            raise traitlets.TraitError(
                f"{self.label or 'the choice'} is {proposal.value!r};"
                f" allowed: {', '.join(self.options)}"
            )
        return proposal.value

    def _show_one(self, _change: object = None) -> None:
        if self.value not in self.options:
            there = [each for each in self.chosen if each in self.options]
            self.value = next(iter(there or self.options), "")
        self.chosen = [self.value] if self.value else []

    def _read_one(self, _change: object) -> None:
        self.value = next(iter(self.chosen), self.value)
        self._show_one()

    def still(self) -> str:
        """Return the one that is pressed; nothing of filters, which do nothing without a kernel."""
        if not (self.single and self.value):
            return ""
        texts = dict(zip(self.options, self.texts, strict=False))
        text = html.escape(f"{self.label} {texts.get(self.value, self.value)}".strip())
        return f'<span class="still-control">{text}</span>'
