"""Charts of remapping, the calculator and reliability.

They compute nothing: each draws a frame of `tables`.
"""

import altair as alt
import pandas as pd

from recover_nb.charts.kit import (
    _PERCENT,
    _SHARE,
    _checked,
    _colour,
    _faceted,
    _finish,
    _order,
    _percents,
    _rows,
    _shape,
    _signed,
    _tip,
)
from recover_nb.charts.theme import GREY, ON_BAR, ORANGE, SKY
from recover_nb.core.labels import Companion

COMPANION_COLOURS = {Companion.REDRAWN: SKY, Companion.REMAPPED: ORANGE}
COMPANION_SHAPES = {Companion.REDRAWN: "circle", Companion.REMAPPED: "diamond"}


def plot_remapping(
    frame: pd.DataFrame, *, width: int = 380, columns: int = 2
) -> alt.Chart | alt.FacetChart:
    """Draw how often each regime recurs, over other numbers and drawn again, with 95 % intervals.

    Parameters
    ----------
    frame : DataFrame
        From `tables.survival_rows`; more than one group gives a panel each.
    width : int
        Pixels of a panel.
    columns : int
        Panels in a row.

    Returns
    -------
    Chart or FacetChart

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    lost = ("difference_points", "difference_low_points", "difference_high_points")
    frame = _checked(frame, ("group", "outcome", "n", "companion", "share", "low", "high", *lost))
    tooltip = [_tip("group"), _tip("outcome"), "n:Q", _tip("companion")]
    tooltip += [*_percents("share", "low", "high"), *_signed(*lost)]
    base = alt.Chart(_rows(frame)).encode(
        y=alt.Y("outcome:N", title=None, sort=_order(frame["outcome"])),
        yOffset=alt.YOffset("companion:N", sort=list(COMPANION_COLOURS)),
        color=_colour("companion", COMPANION_COLOURS),
        tooltip=tooltip,
    )
    x = alt.X("low:Q", title="share with the same regime again", scale=_SHARE, axis=_PERCENT)
    spans = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
    points = base.mark_point(filled=True, size=80, opacity=1)
    points = points.encode(x="share:Q", shape=_shape("companion", COMPANION_SHAPES))
    title = alt.Title(
        "Does a regime survive new numbers?",
        subtitle="redrawn: same numbers, fresh draws; remapped: new numbers; 95 % intervals",
    )
    return _faceted(alt.layer(spans, points), frame, "group", title, width, 44, "outcome", columns)


def plot_transitions(frame: pd.DataFrame, *, width: int = 330) -> alt.HConcatChart:
    """Draw what became of the problems of each regime, a panel a companion.

    Parameters
    ----------
    frame : DataFrame
        From `tables.transition_cells`.
    width : int
        Pixels of a panel.

    Returns
    -------
    HConcatChart
        Rows are the study's outcomes; the shade is the share of the row, the text count and share.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = _checked(frame, ("companion", "original", "outcome", "count", "share", "label"))
    tooltip = [_tip("companion"), _tip("original"), _tip("outcome"), "count:Q", *_percents("share")]
    # From white to a blue on which black still reads.
    scale = alt.Scale(domain=[0, 1], range=["#ffffff", SKY], interpolate="rgb")
    legend = alt.Legend(format=".0%")
    panels = []
    for companion in [name for name in COMPANION_COLOURS if name in set(frame["companion"])]:
        inside = frame[frame["companion"] == companion]
        axis = alt.Axis(labels=not panels, ticks=not panels)
        base = alt.Chart(_rows(inside)).encode(
            x=alt.X("outcome:N", title=companion, sort=_order(inside["outcome"])).axis(
                labelAngle=-30
            ),
            y=alt.Y(
                "original:N",
                title=None if panels else "study",
                sort=_order(inside["original"]),
                axis=axis,
            ),
            tooltip=tooltip,
        )
        colour = alt.Color("share:Q", title="share of the row", scale=scale, legend=legend)
        layers = alt.layer(
            base.mark_rect(stroke=GREY, strokeWidth=0.5).encode(color=colour),
            base.mark_text(color=ON_BAR).encode(text="label:N"),
        )
        panels.append(layers.properties(width=width, height=150))
    return _finish(alt.hconcat(*panels), "What became of each problem")
