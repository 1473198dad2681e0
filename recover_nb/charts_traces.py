"""Charts of single problems: their rollouts, and what became of branched traces.

They compute nothing.
"""

import altair as alt
import pandas as pd

from recover_nb.charts import _checked, _colour, _finish, _percents, _rows, _tip
from recover_nb.theme import GREY, ON_BAR, OUTCOME_COLOURS, SKY


def plot_rollout_grid(frame: pd.DataFrame, *, cell: int = 34) -> alt.LayerChart:
    """Draw the rollouts of a problem as a grid of coloured cells, each with its number and a sign.

    Parameters
    ----------
    frame : DataFrame
        From `tables.rollouts.outcome_grid`.
    cell : int
        Pixels of a side.

    Returns
    -------
    LayerChart
        A check mark is a correct rollout, a cross a wrong one, a dash one that was not run.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = _checked(frame, ("rollout", "row", "column", "outcome", "sign", "n_tokens"))
    tooltip = ["rollout:Q", _tip("outcome"), alt.Tooltip("n_tokens:Q", title="tokens")]
    base = alt.Chart(_rows(frame)).encode(
        x=alt.X("column:O", axis=None), y=alt.Y("row:O", axis=None), tooltip=tooltip
    )
    cells = base.mark_rect(stroke="white", strokeWidth=2).encode(
        color=_colour("outcome", OUTCOME_COLOURS)
    )
    signs = base.mark_text(color=ON_BAR, dy=-5, fontSize=14).encode(text="sign:N")
    numbers = base.mark_text(color=ON_BAR, dy=9, fontSize=10).encode(text="rollout:Q")
    size = cell * frame["column"].nunique(), cell * frame["row"].nunique()
    return _finish(alt.layer(cells, signs, numbers), "Rollouts of one problem", *size)


def plot_branches(frame: pd.DataFrame, *, width: int = 420) -> alt.LayerChart:
    """Draw the rescue rate of every branch of failed traces, with its 95 % interval.

    Parameters
    ----------
    frame : DataFrame
        The history of a `widgets.TraceSurgeon`.
    width : int
        Pixels.

    Returns
    -------
    LayerChart
        One row a branch, the oldest first; one in which nothing was drawn has no interval.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    needed = (
        "branch",
        "problem",
        "rollout",
        "position",
        "operator",
        "alpha",
        "continuation",
        "n",
        "rescued",
    )
    frame = _checked(frame, (*needed, "rate", "low", "high", "label"))
    tooltip = [
        "branch:O",
        "problem:Q",
        "rollout:Q",
        "position:Q",
        _tip("operator"),
        "alpha:Q",
        _tip("continuation"),
    ]
    tooltip += ["n:Q", "rescued:Q", *_percents("rate", "low", "high")]
    order = [str(each) for each in frame["label"]]
    y = alt.Y("label:N", title=None, sort=order)
    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(format=".0%")
    base = alt.Chart(_rows(frame)).encode(y=y, tooltip=tooltip)
    x = alt.X("low:Q", title="rescue rate of the twins", axis=axis, scale=scale)
    spans = base.mark_rule(color=GREY, strokeWidth=2).encode(x=x, x2="high:Q")
    points = base.mark_point(color=SKY, filled=True, size=80, opacity=1).encode(
        x=alt.X("rate:Q", scale=scale)
    )
    title = alt.Title("Rescue rate of branches", subtitle="95 % Wilson intervals")
    return _finish(alt.layer(spans, points), title, width, 26 * len(frame))
