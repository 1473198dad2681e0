"""The chart of remapping. It computes nothing: it draws a frame of `tables`."""

from typing import Any

import altair as alt

from recover_nb import tables
from recover_nb.charts.kit import (
    PERCENT,
    SHARE,
    checked,
    colour_by,
    counts,
    drawn,
    facet,
    frame_of,
    interval,
    names_axis,
    order,
    percents,
    shape_by,
    signed,
    tip,
)
from recover_nb.core import checks
from recover_nb.core.labels import Companion
from recover_nb.core.theme import INK
from recover_nb.tables.saying import extremes

COMPANION_COLOURS = {Companion.REDRAWN: INK, Companion.REMAPPED: INK}
COMPANION_SHAPES = {Companion.REDRAWN: "circle", Companion.REMAPPED: "diamond"}


@checks.takes(data=drawn("RemapSurvival"), width=checks.PIXELS, columns=checks.COLUMNS)
def plot_remapping(data: Any, *, width: int = 380, columns: int = 2) -> alt.Chart | alt.FacetChart:
    """Draw how often each regime recurs with new numbers and with new draws, with 95 % intervals.

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
    return facet(
        layers,
        frame,
        "group",
        title,
        width=width,
        height=height,
        columns=columns,
        says=extremes(frame, "share", "outcome,companion", ".0%"),
    )
