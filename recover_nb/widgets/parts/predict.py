"""Predict before you run: a question, a guess that is kept, and only then the answer."""

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import traitlets

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.widgets.parts.classroom import CLASSROOM, answers_wanted
from recover_nb.widgets.parts.keys import Keys
from recover_nb.widgets.parts.lasting import Lasting
from recover_nb.widgets.parts.later import Later, as_widget
from recover_nb.widgets.parts.question import Question, verdict_html
from recover_nb.widgets.parts.still import still

#: What is right: one of the choices, or a function that finds it.
ANSWER = checks.either(
    checks.TEXT,
    checks.calls(0, "a function"),
    "one of the choices, or a function without arguments",
)


class Predict(Lasting):
    """Ask for a guess, record it, then say whether it was right, and why.

    Nothing of the answer is on the page before. Without a kernel it is folded away.

    Parameters
    ----------
    question : str
    choices : sequence of str
        What can be guessed, two or more.
    answer : str or callable () -> str
        What was found, in a sentence. A callable is called once, after the guess.
    right : str or callable () -> str
        The choice that is right.
    because : str
        Why, as the rest of a sentence that begins with "Because".
    show : callable () -> chart, frame, result, widget or text, optional
        Called once, after the guess; what it returns stands below the answer.
    hands : bool, optional
        Whether hands are counted, so that a class can vote; as `present` has it unless given.

    Attributes
    ----------
    guess : str
        Empty until one is made; it cannot be changed once the answer is revealed.
    hands : list of int
        For each choice. The choice with most hands is the guess; of equals the first.
    revealed : bool

    Raises
    ------
    InputError
        Fewer than two choices, two that are equal, no reason, or `right` is none of the choices.

    Examples
    --------
    >>> ask = Predict("Which is larger?", ["2**10", "10**3"], "2**10 is 1024.",
    ...               right="2**10", because="each doubling counts")
    >>> ask.guess = "10**3"
    >>> ask.reveal()
    '2**10 is 1024.'
    """

    guess = traitlets.Unicode("")
    hands = traitlets.List(traitlets.Int(min=0))
    revealed = traitlets.Bool(False)

    @checks.takes(
        question=checks.TEXT,
        choices=checks.TEXTS,
        answer=ANSWER,
        right=ANSWER,
        because=checks.TEXT,
        show=checks.calls(0, "a function without arguments"),
        hands=checks.FLAG,
    )
    def __init__(
        self,
        question: str,
        choices: Sequence[str],
        answer: str | Callable[[], str],
        *,
        right: str | Callable[[], str],
        because: str,
        show: Callable[[], Any] | None = None,
        hands: bool | None = None,
    ) -> None:
        self.question, self.choices = question, tuple(choices)
        if len(set(self.choices)) != len(self.choices) or len(self.choices) < 2:
            raise InputError(f"{question!r} needs two or more choices, all different")
        if not because.strip():
            raise InputError(f"{question!r} needs because=: one sentence that says why")
        self._answer, self._right, self._show = answer, right, show
        if isinstance(right, str):
            self._checked(right)
        self._because = f"Because {because.strip().rstrip('.')}."
        self._found: dict[str, Any] = {}
        self._asked = Question(question=question, choices=list(self.choices))
        self._shown = ipywidgets.VBox()
        super().__init__(hands=[0] * len(self.choices))
        self.add_class("recover-nb").add_class("recover-nb-Predict")
        self.children = (self._asked, self._shown, Keys())
        for name in ("guess", "hands"):
            traitlets.link((self, name), (self._asked, name))
        if hands is None:
            traitlets.dlink((CLASSROOM, "counting"), (self._asked, "counting"))
        else:
            self._asked.counting = hands
        self._asked.on_msg(self._heard)
        CLASSROOM.joined(self)

    @traitlets.validate("guess")
    def _check_guess(self, proposal: dict[str, Any]) -> str:
        if self.revealed:
            return self.guess
        if proposal["value"] not in ("", *self.choices):
            raise traitlets.TraitError(self._no_choice(proposal["value"]))
        return proposal["value"]

    @traitlets.validate("hands")
    def _check_hands(self, proposal: dict[str, Any]) -> list[int]:
        if self.revealed:
            return self.hands
        if len(proposal["value"]) != len(self.choices):
            allowed = len(self.choices)
            raise traitlets.TraitError(
                f"{proposal['value']} has not one count for each choice,"
                f" of which there are {allowed}"
            )
        return proposal["value"]

    @traitlets.observe("guess")
    def _guessed(self, _change: dict[str, Any]) -> None:
        self._asked.message = ""

    @traitlets.observe("hands")
    def _counted(self, change: dict[str, Any]) -> None:
        if any(change["new"]) and not self.revealed:
            self.guess = self.choices[change["new"].index(max(change["new"]))]

    @property
    def right(self) -> str:
        """What is right; empty until it is revealed."""
        return self._asked.right

    def reveal(self) -> str:
        """Show and return the answer; without a guess, say that one is wanted first."""
        if not self.guess:
            self._asked.message = "Choose first: a guess made afterwards teaches nothing."
            return ""
        if not self.revealed:
            answer, shown = self._get("answer", self._answer), self._get("show", self._show)
            right = self._checked(self._get("right", self._right))
            with self._asked.hold_sync():
                self._asked.right, self._asked.said = right, [self._because, answer]
                self._asked.revealed = True
            self._shown.children = () if shown is None else (as_widget(shown),)
            self.revealed = True
        return self._get("answer", self._answer)

    def then(self, thing: Any) -> Later:
        """Keep a later output that would give the answer away until the answer is out.

        Parameters
        ----------
        thing : chart, frame, result, widget or text, or a callable that returns one
            A callable is called once, when it is shown.

        Returns
        -------
        Later
            The last line of the cell that would have shown it.
        """
        return Later(self, thing)

    def still(self) -> str:
        """Return the question in the open; the answer too once it is out, and folded before."""
        if self.revealed:
            return super().still()
        told, costs = "", answers_wanted()
        if costs or isinstance(self._right, str):
            told = self._checked(self._get("right", self._right))
        said = [self._because]
        if costs or isinstance(self._answer, str):
            said.append(self._get("answer", self._answer))
        inside = verdict_html("", told, said)
        if costs and self._show is not None:
            inside += still(as_widget(self._get("show", self._show)))
        folded = f"<details><summary>The answer</summary>{inside}</details>"
        return f'<div class="still-box">{self._asked.still()}{folded}</div>'

    def _get(self, name: str, given: Any) -> Any:
        """Return what was given; of a callable what it returned when it was first called."""
        if name not in self._found:
            self._found[name] = given() if callable(given) else given
        return self._found[name]

    def _checked(self, right: str) -> str:
        if right not in self.choices:
            raise InputError(self._no_choice(right))
        return right

    def _no_choice(self, given: str) -> str:
        return f"{given!r} is not a choice; allowed: {', '.join(self.choices)}"

    def _heard(self, _widget: Any, content: dict[str, Any], _buffers: Any) -> None:
        if not content.get("reveal"):
            return
        self._asked.message = ""
        try:
            self.reveal()
        except (InputError, ModuleNotFoundError) as error:
            self._asked.message = str(error)
