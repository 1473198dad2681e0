"""Charts of single problems: their rollouts, and what became of branched traces.

They compute nothing.
"""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from recover_nb.charts.kit import (
    PERCENT,
    SHARE,
    checked,
    colour_by,
    counts,
    drawn,
    finish,
    heading,
    in_turn,
    interval,
    numbers,
    order,
    percents,
    rows,
    shape_by,
    tip,
)
from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.theme import (
    INK,
    ON_BAR,
    OPERATOR_SHAPES,
    OUTCOME_COLOURS,
    SIGNAL_TITLES,
    operator_colours,
)
from recover_nb.tables.saying import extremes, peaks, totals


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
    frame = checked(frame, ("rollout", "row", "column", "outcome", "sign", "n_tokens"))
    tooltip = [*counts("rollout"), tip("outcome"), *counts("n_tokens")]
    base = alt.Chart(rows(frame)).encode(
        x=alt.X("column:O", axis=None), y=alt.Y("row:O", axis=None), tooltip=tooltip
    )
    cells = base.mark_rect(stroke=INK, strokeWidth=0.75).encode(
        color=colour_by("outcome", OUTCOME_COLOURS)
    )
    signs = base.mark_text(color=ON_BAR, dy=-5, fontSize=14).encode(text="sign:N")
    numbers = base.mark_text(color=ON_BAR, dy=9, fontSize=10).encode(text="rollout:Q")
    size = cell * frame["column"].nunique(), cell * frame["row"].nunique()
    return finish(
        alt.layer(cells, signs, numbers),
        "Rollouts of one problem",
        *size,
        says=totals(frame, "outcome"),
    )


@checks.takes(frame=drawn(), width=checks.PIXELS)
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
    frame = checked(frame, (*needed, "rate", "low", "high", "label"))
    tooltip = [
        *counts("branch", "problem", "rollout", "position"),
        tip("operator"),
        *numbers(".2f", "alpha"),
        tip("continuation"),
    ]
    tooltip += [
        alt.Tooltip("n:Q", title="twins"),
        *counts("rescued"),
        *percents("rate", "low", "high"),
    ]
    y = alt.Y("label:N", title=None, sort=[str(each) for each in frame["label"]])
    colour = colour_by("operator", operator_colours(frame["operator"]))
    base = alt.Chart(rows(frame)).encode(y=y, color=colour, tooltip=tooltip)
    axis = {"title": "rescue rate of the twins", "scale": SHARE, "axis": PERCENT}
    ends, names = ("low", "rate", "high"), order(frame["operator"])
    shape = {"shape": shape_by("operator", in_turn(names, OPERATOR_SHAPES))}
    layers = alt.layer(*interval(base, ends, size=80, looks=shape, **axis))
    title = alt.Title("Rescue rate of branches", subtitle="95 % Wilson intervals")
    return finish(
        layers, title, width, 26 * len(frame), says=extremes(frame, "rate", "label", ".0%")
    )


@checks.takes(frame=drawn(), width=checks.PIXELS, height=checks.PIXELS, signals=checks.NAMES)
def plot_signals(
    frame: pd.DataFrame, *, signals: Sequence[str] | None = None, width: int = 760, height: int = 90
) -> alt.VConcatChart:
    """Draw the per-token signals of one failed rollout, with its junction.

    Parameters
    ----------
    frame : DataFrame
        From `tables.trace_signals`.
    signals : sequence of str, optional
        Which, in which order; all of the frame by default.
    width, height : int
        Pixels of a panel.

    Returns
    -------
    VConcatChart
        One panel a signal over a shared position; the dashed rule is the junction.

    Raises
    ------
    InputError
        If a column or a signal is missing, or there are too many rows.
    """
    needed = ("signal", "position", "token_id", "token", "value", "is_junction", "junction")
    frame = checked(frame, needed)
    found = list(dict.fromkeys(frame["signal"]))
    chosen = found if signals is None else list(signals)
    missing = [name for name in chosen if name not in found]
    if missing or not chosen:
        raise InputError(
            f"no signal {', '.join(missing) or 'chosen'}; the frame holds"
            f" {', '.join(found) or 'none'}"
        )
    panels = []
    for name in chosen:
        part = frame[frame["signal"] == name]
        last = name == chosen[-1]
        axis = alt.Axis(tickMinStep=1, labels=last, ticks=last)
        x = alt.X("position:Q", title="token position" if last else None, axis=axis)
        y = alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=4))
        tooltip = [
            *counts("position"),
            tip("token"),
            *counts("token_id"),
            *numbers(".4f", "value"),
            tip("is_junction"),
        ]
        base = alt.Chart(rows(part)).encode(x=x, tooltip=tooltip)
        rule = alt.Chart(rows(part[part["is_junction"]])).mark_rule(
            color=INK, strokeDash=[5, 3], strokeWidth=2
        )
        line = base.mark_line(color=INK, strokeWidth=1.5).encode(y=y)
        points = base.mark_point(color=INK, filled=True, size=28, opacity=1).encode(y=y)
        layers = alt.layer(rule.encode(x=alt.X("junction:Q"), tooltip=tooltip), line, points)
        title = heading(SIGNAL_TITLES.get(name, name))
        panels.append(layers.properties(width=width, height=height, title=title))
    stacked = alt.vconcat(*panels, spacing=8).resolve_scale(x="shared")
    return finish(
        stacked,
        "Signals of one failed rollout (dashed: its junction)",
        says="Peaks: " + peaks(frame[frame["signal"].isin(chosen)], "signal", "value", "token"),
    )
