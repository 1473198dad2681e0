"""A question with choices, hands to count, and the verdict once it is answered."""

import html
from pathlib import Path

import anywidget
import traitlets

from recover_nb.core.labels import OUTCOME_SIGNS, Outcome
from recover_nb.widgets.parts.looks import css
from recover_nb.widgets.parts.traits import Plain


class Question(Plain, anywidget.AnyWidget):
    """The part of `Predict` that asks. The page sends ``{"reveal": true}`` when it is pressed.

    Attributes
    ----------
    question : str
    choices : list of str
    guess : str
    hands : list of int
        One count for each choice.
    counting : bool
        Whether there is a field for the hands of each choice.
    revealed : bool
    right : str
        Empty before.
    said : list of str
        Sentences below the verdict.
    message : str
        What is wanted first, or went wrong.
    """

    _esm = Path(__file__).parent / "question.js"
    _css = css()

    question = traitlets.Unicode("").tag(sync=True)
    choices = traitlets.List(traitlets.Unicode()).tag(sync=True)
    guess = traitlets.Unicode("").tag(sync=True)
    hands = traitlets.List(traitlets.Int()).tag(sync=True)
    counting = traitlets.Bool(False).tag(sync=True)
    revealed = traitlets.Bool(False).tag(sync=True)
    right = traitlets.Unicode("").tag(sync=True)
    said = traitlets.List(traitlets.Unicode()).tag(sync=True)
    message = traitlets.Unicode("").tag(sync=True)

    def still(self) -> str:
        """Return the question, its choices, and the verdict if it is out."""
        counts = self.hands if any(self.hands) else [None] * len(self.choices)
        rows = "".join(
            f"<li>{html.escape(choice)}{'' if n is None else f' (hands: {n})'}</li>"
            for choice, n in zip(self.choices, counts, strict=True)
        )
        asked = f"<p><b>Predict.</b> {html.escape(self.question)}</p><ul>{rows}</ul>"
        return asked + (verdict_html(self.guess, self.right, self.said) if self.revealed else "")


def verdict_html(guess: str, right: str, said: list[str]) -> str:
    """Return what was said and what is right, and the sentences below it.

    Without a guess only what is right is named.
    """
    hit = guess == right
    sign = OUTCOME_SIGNS[Outcome.CORRECT if hit or not guess else Outcome.WRONG]
    look = "right" if hit or not guess else "wrong"
    told = f"You said <b>{html.escape(guess)}</b>: " if guess else ""
    word = "right" if guess else "Right"
    named = "right." if hit else f"{word} is <b>{html.escape(right)}</b>."
    first = f'<span class="recover-nb-{look}">{sign}</span> {told}{named}' if right else ""
    return "".join(f"<p>{each}</p>" for each in (first, *map(html.escape, said)) if each)
