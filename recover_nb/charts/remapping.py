"""Charts of remapping, the calculator and reliability.

They compute nothing: each draws a frame of `tables`.
"""

from typing import Any

import altair as alt

from recover_nb import tables
from recover_nb.charts.kit import (
    PERCENT,
    SHARE,
    checked,
    colour_by,
    counts,
    facet,
    finish,
    frame_of,
    interval,
    names_axis,
    order,
    percents,
    rows,
    shape_by,
    share_colour,
    signed,
    tip,
)
from recover_nb.core.labels import Companion
from recover_nb.core.theme import INK

COMPANION_COLOURS = {Companion.REDRAWN: INK, Companion.REMAPPED: INK}
COMPANION_SHAPES = {Companion.REDRAWN: "circle", Companion.REMAPPED: "diamond"}


def plot_remapping(data: Any, *, width: int = 380, columns: int = 2) -> alt.Chart | alt.FacetChart:
    """Draw how often each regime recurs, over other numbers and drawn again, with 95 % intervals.

    Parameters
    ----------
    data : RemapSurvival or DataFrame
        What `remap_survival` returned, or a frame from `tables.survival_rows`; more than one group
        gives a panel each.
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
    frame = frame_of(data, tables.survival_rows)
    lost = ("difference_points", "difference_low_points", "difference_high_points")
    frame = checked(frame, ("group", "outcome", "n", "companion", "share", "low", "high", *lost))
    tooltip = [tip("group"), tip("outcome"), *counts("n"), tip("companion")]
    tooltip += [*percents("share", "low", "high"), *signed(*lost)]
    outcomes = order(frame["outcome"])
    base = alt.Chart().encode(
        y=alt.Y("outcome:N", title=None, sort=outcomes, axis=names_axis(outcomes)),
        yOffset=alt.YOffset("companion:N", sort=list(COMPANION_COLOURS)),
        color=colour_by("companion", COMPANION_COLOURS),
        tooltip=tooltip,
    )
    shape = {"shape": shape_by("companion", COMPANION_SHAPES)}
    axis = {"title": "share with the same regime again", "scale": SHARE, "axis": PERCENT}
    layers = interval(base, ("low", "share", "high"), size=80, looks=shape, **axis)
    title = alt.Title(
        "Does a regime survive new numbers?",
        subtitle="redrawn: same numbers, fresh draws; remapped: new numbers; 95 % intervals",
    )
    height = 44 * frame["outcome"].nunique()
    return facet(layers, frame, "group", title, width=width, height=height, columns=columns)


def plot_transitions(data: Any, *, width: int = 330) -> alt.HConcatChart:
    """Draw what became of the problems of each regime, a panel a companion.

    Parameters
    ----------
    data : RemapSurvival or DataFrame
        What `remap_survival` returned, or a frame from `tables.transition_cells`.
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
    frame = frame_of(data, tables.transition_cells)
    frame = checked(frame, ("companion", "original", "outcome", "count", "share", "label"))
    tooltip = [
        tip("companion"),
        tip("original"),
        tip("outcome"),
        *counts("count"),
        *percents("share"),
    ]
    panels = []
    for companion in [name for name in COMPANION_COLOURS if name in set(frame["companion"])]:
        inside = frame[frame["companion"] == companion]
        axis = names_axis(order(inside["original"]), labels=not panels, ticks=not panels)
        base = alt.Chart(rows(inside)).encode(
            x=alt.X(
                "outcome:N",
                title=companion,
                sort=order(inside["outcome"]),
                axis=names_axis(order(inside["outcome"]), labelAngle=-30),
            ),
            y=alt.Y(
                "original:N",
                title=None if panels else "study",
                sort=order(inside["original"]),
                axis=axis,
            ),
            tooltip=tooltip,
        )
        shades = base.mark_rect(stroke=INK, strokeWidth=0.5)
        layers = alt.layer(
            shades.encode(color=share_colour("share of the row")),
            base.mark_text(color=INK).encode(text="label:N"),
        )
        panels.append(layers.properties(width=width, height=150))
    return finish(alt.hconcat(*panels), "What became of each problem")
