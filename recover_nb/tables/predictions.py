"""How a class did at its predictions, beside guessing."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

#: A row for each prediction.
COLUMNS = ("question", "said", "right", "hit", "hands_right", "hands", "chance")


def prediction_score(asked: Sequence[Any]) -> pd.DataFrame:
    """Return what was said of each question, what is right, and what guessing would give.

    Parameters
    ----------
    asked : sequence of Predict

    Returns
    -------
    DataFrame
        `COLUMNS`. ``right`` is empty and ``hit`` is False where the answer is not out yet, and
        nothing is counted there; ``chance`` is 1 / number of choices.
    """
    return pd.DataFrame([_row(each) for each in asked], columns=list(COLUMNS))


def _row(ask: Any) -> tuple:
    out, counted = ask.revealed, sum(ask.hands) if ask.revealed else 0
    hands_right = ask.hands[ask.choices.index(ask.right)] if counted else 0
    said, right = (ask.guess, ask.right) if out else ("", "")
    return (
        ask.question,
        said,
        right,
        out and said == right,
        hands_right,
        counted,
        (1 / len(ask.choices)),
    )


def score_sentence(score: pd.DataFrame) -> str:
    """Say how many predictions are right, and how many guessing by chance would give.

    Parameters
    ----------
    score : DataFrame
        From `prediction_score`.
    """
    if not len(score):
        return "No prediction was asked for yet."
    out = score[score["right"] != ""]
    left = len(score) - len(out)
    if not len(out):
        return f"None of {left} predictions is answered yet."
    text = (
        f"{out['hit'].sum()} of {len(out)} predictions are right; guessing by chance gives"
        f" {out['chance'].sum():.1f}."
    )
    counted = out[out["hands"] > 0]
    if len(counted):
        hands, right = counted["hands"].sum(), counted["hands_right"].sum()
        chance = (counted["hands"] * counted["chance"]).sum()
        text += f" Of {hands} hands {right} were right; chance gives {chance:.1f}."
    return text + (f" {left} not answered yet." if left else "")
