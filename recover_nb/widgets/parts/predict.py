"""Predict before you run: a question, a guess that is kept, and only then the answer."""

import html
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import traitlets

from recover_nb.widgets.parts.keys import Keys
from recover_nb.widgets.parts.lasting import Lasting


class Predict(Lasting):
    """Ask for a guess, record it, then reveal.

    Parameters
    ----------
    question : str
    choices : sequence of str
        What can be guessed.
    answer : str or callable () -> str
        Revealed after the guess; a callable is called only then.
    right : str or callable () -> str, optional
        The choice that is right, named before the answer. Without it the answer has to name it.

    Attributes
    ----------
    guess : str
        Empty until one is made; it cannot be changed once the answer is revealed.
    revealed : bool

    Examples
    --------
    >>> ask = Predict("Which is larger?", ["2**10", "10**3"], "2**10 is 1024.", right="2**10")
    >>> ask.guess = "10**3"
    >>> ask.reveal()
    '2**10 is 1024.'
    """

    guess = traitlets.Unicode("")
    revealed = traitlets.Bool(False)

    def __init__(
        self,
        question: str,
        choices: Sequence[str],
        answer: str | Callable[[], str],
        *,
        right: str | Callable[[], str] = "",
    ) -> None:
        self._answer, self._right = answer, right
        self._choices = ipywidgets.RadioButtons(
            options=list(choices), value=None, layout=ipywidgets.Layout(width="auto")
        )
        self._button = ipywidgets.Button(description="reveal", disabled=True)
        self._said = ipywidgets.HTML()
        super().__init__()
        self.add_class("recover-nb").add_class("recover-nb-Predict")
        self.children = (
            ipywidgets.HTML(f"<b>Predict.</b> {html.escape(question)}"),
            self._choices,
            self._button,
            self._said,
            Keys(),
        )
        self._choices.observe(self._chosen, names="value")
        self._button.on_click(lambda _: self.reveal())

    @traitlets.validate("guess")
    def _check(self, proposal: dict[str, Any]) -> str:
        if self.revealed:
            return self.guess
        return self._checked(proposal["value"])

    def _checked(self, choice: str) -> str:
        if choice not in ("", *self._choices.options):
            allowed = ", ".join(self._choices.options)
            raise traitlets.TraitError(f"{choice!r} is not a choice; allowed: {allowed}")
        return choice

    @traitlets.observe("guess")
    def _guessed(self, change: dict[str, Any]) -> None:
        self._choices.value = change["new"] or None
        self._button.disabled = not change["new"]

    def _chosen(self, change: dict[str, Any]) -> None:
        if change["new"] is not None:
            self.guess = change["new"]

    def reveal(self) -> str:
        """Show and return the answer; without a guess, say that one is wanted first."""
        if not self.guess:
            self._said.value = "Choose first: a guess made afterwards teaches nothing."
            return ""
        answer, right = (each() if callable(each) else each for each in (self._answer, self._right))
        verdict = f"; right is <b>{html.escape(self._checked(right))}</b>" if right else ""
        verdict = ", and that is right" if right == self.guess else verdict
        self.revealed = self._choices.disabled = True
        self._said.value = (
            f"You said <b>{html.escape(self.guess)}</b>{verdict}. {html.escape(answer)}"
        )
        return answer
