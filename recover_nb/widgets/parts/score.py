"""How a class did at the predictions of a notebook."""

import html
from typing import Any

import ipywidgets
import pandas as pd

from recover_nb.core.labels import OUTCOME_SIGNS, Outcome
from recover_nb.tables.predictions import prediction_score, score_sentence
from recover_nb.widgets.parts.classroom import CLASSROOM
from recover_nb.widgets.parts.lasting import Lasting

#: What changes a score.
_TOLD = ("guess", "hands", "revealed")


class Score(Lasting):
    """What was said, what is right, hands, and the total beside guessing by chance.

    It follows the predictions: nothing of an answer shows before it is out.

    Parameters
    ----------
    *asks : Predict
        Every prediction that this kernel made, and will make, unless some are given.

    Attributes
    ----------
    sentence : str
    """

    def __init__(self, *asks: Any) -> None:
        self._given, self._said = asks, ipywidgets.HTML()
        self._followed: set[Any] = set()
        super().__init__([self._said])
        self.add_class("recover-nb").add_class("recover-nb-Score")
        if not asks:
            CLASSROOM.observe(self._asked_more, names=["asks"])
        self._asked_more()

    @property
    def score(self) -> pd.DataFrame:
        """A row for each prediction, as `tables.predictions.prediction_score` has it."""
        return prediction_score(self._given or CLASSROOM.asks)

    @property
    def sentence(self) -> str:
        """How many are right, beside guessing."""
        return score_sentence(self.score)

    def close(self) -> None:
        """Close it, and follow nothing any more."""
        if not self._given:
            CLASSROOM.unobserve(self._asked_more, names=["asks"])
        for ask in self._followed:
            ask.unobserve(self._tell, names=list(_TOLD))
        self._followed.clear()
        super().close()

    def _asked_more(self, _change: Any = None) -> None:
        for ask in self._given or CLASSROOM.asks:
            if ask not in self._followed:
                ask.observe(self._tell, names=list(_TOLD))
                self._followed.add(ask)
        self._tell()

    def _tell(self, _change: Any = None) -> None:
        score = self.score
        self._said.value = score_html(score_sentence(score), score)
        self.changed()


def class_score(*asks: Any) -> Score:
    """Show how a class did at its predictions, at the end of a notebook.

    Parameters
    ----------
    *asks : Predict
        Every prediction of this kernel, in order, unless some are given.

    Returns
    -------
    Score

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ask = rnb.widgets.Predict("Which?", ["a", "b"], "It is a.", right="a", because="it is")
    >>> score = rnb.class_score(ask)
    >>> ask.hands = [20, 10]
    >>> ask.reveal()
    'It is a.'
    >>> score.sentence.partition(";")[0]
    '1 of 1 predictions are right'
    """
    return Score(*asks)


def score_html(sentence: str, score: pd.DataFrame) -> str:
    """Return a score as a sentence and a table with a row for each prediction."""
    rows = "".join(map(_row, score.itertuples()))
    heads = "".join(
        f'<th scope="col">{each}</th>' for each in ("question", "said", "right is", "hands right")
    )
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    return (
        f'<div class="recover-nb-score"><p role="status"><b>{html.escape(sentence)}</b></p>'
        f"{table}</div>"
    )


def _row(one: Any) -> str:
    if not one.right:
        cells = ("not answered yet", "", "")
    else:
        look, outcome = ("right", Outcome.CORRECT) if one.hit else ("wrong", Outcome.WRONG)
        sign = f'<span class="recover-nb-{look}">{OUTCOME_SIGNS[outcome]}</span>'
        hands = f"{one.hands_right} of {one.hands}" if one.hands else "not counted"
        cells = (f"{sign} {html.escape(one.said)}", html.escape(one.right), hands)
    return (
        f'<tr><th scope="row">{html.escape(one.question)}</th>'
        f"{''.join(f'<td>{each}</td>' for each in cells)}</tr>"
    )
