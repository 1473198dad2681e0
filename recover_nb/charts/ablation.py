"""The chart of an ablation. It computes nothing: it draws a frame of `tables.ablations`."""

import textwrap
from typing import Any

import altair as alt
import pandas as pd

from recover_nb import tables
from recover_nb.charts.kit import (
    checked,
    colour_by,
    drawn,
    finish,
    frame_of,
    interval,
    names_axis,
    order,
    over_checkpoints,
    rows,
    shape_by,
    signed,
    tip,
    zero_line,
)
from recover_nb.core import checks
from recover_nb.core.labels import Move
from recover_nb.core.theme import INK, OPERATOR
from recover_nb.core.titles import named
from recover_nb.tables.saying import extremes

_APART = ("low_checkpoints_points", "high_checkpoints_points")
#: What moves a conclusion stands out by the colour of the text.
MOVE_COLOURS = {
    Move.STAYS: OPERATOR,
    Move.SIGNIFICANCE: INK,
    Move.SIGN: INK,
    Move.REVERSED: INK,
}
MOVE_SHAPES = {
    Move.STAYS: "circle",
    Move.SIGNIFICANCE: "diamond",
    Move.SIGN: "square",
    Move.REVERSED: "triangle-up",
}


@checks.takes(data=drawn("Ablation"), width=checks.PIXELS)
def plot_ablations(data: Any, *, width: int = 190) -> alt.HConcatChart:
    """Draw every setting's figures, one panel per conclusion.

    Parameters
    ----------
    data : Ablation or DataFrame
        What `ablate` returned, or a frame from `tables.ablation_figures`; choose rows for fewer
        settings or conclusions.
    width : int
        Pixels of a panel.

    Returns
    -------
    HConcatChart
        Points with 95 % intervals, over questions and, dotted, over checkpoints. Right of the
        dashed zero the claim holds; colour and shape say how a setting moves it. A shaded row is a
        reference: the settings below it, up to the next, are compared with it or with the first.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = frame_of(data, tables.ablation_figures)
    needed = (
        "population",
        "factor",
        "setting",
        "claim",
        "points",
        "low_points",
        "high_points",
        "verdict",
        "change_points",
    )
    ends = ("change_low_points", "change_high_points", *_APART)
    frame = checked(frame, (*needed, *ends, "move"))
    settings = order(frame["setting"])
    panels = []
    for place, claim in enumerate(order(frame["claim"])):
        axis = names_axis(settings, labels=not place, ticks=not place, labelLimit=400)
        y = alt.Y("setting:N", title=None, scale=alt.Scale(domain=settings), axis=axis)
        part = frame[frame["claim"] == claim]
        panels.append(
            _panel(part, y).properties(
                width=width, height=17 * len(settings), title=_wrapped(claim, width)
            )
        )
    whose = ", ".join(map(named, order(frame["population"])))
    title = alt.Title(
        "What each choice does to each conclusion (points)",
        subtitle=(
            f"{whose}; lines: 95 % over questions; dotted: over checkpoints; right of the dashed"
            " line the conclusion holds; shaded rows are the references"
        ),
    )
    return finish(
        alt.hconcat(*panels, spacing=14),
        title,
        says=extremes(frame, "change_points", "setting,claim", "+.1f"),
    )


def _panel(part: pd.DataFrame, y: alt.Y) -> alt.LayerChart | alt.FacetChart:
    tooltip = [
        tip("setting"),
        tip("claim"),
        *signed("points", "low_points", "high_points", *_APART),
        tip("verdict"),
    ]
    tooltip += [*signed("change_points", "change_low_points", "change_high_points"), tip("move")]
    base = alt.Chart(rows(part)).encode(y=y, tooltip=tooltip, color=colour_by("move", MOVE_COLOURS))
    references = alt.Chart(rows(part[part["factor"] == "reference"])).encode(y=y)
    band = references.mark_rect(color=INK, opacity=0.12)
    shape = {"shape": shape_by("move", MOVE_SHAPES)}
    ends = ("low_points", "points", "high_points")
    over = over_checkpoints(base, _APART, title="points")
    return alt.layer(
        band, zero_line(), over, *interval(base, ends, size=55, looks=shape, title="points")
    )


def _wrapped(claim: str, width: int) -> list[str]:
    """Break a claim into lines that fit a panel, at seven pixels a letter."""
    return textwrap.wrap(claim, max(width // 7, 12))
