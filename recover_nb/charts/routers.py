"""Chart of a comparison of routers.

It computes nothing: it draws data frames of `tables.routers`.
"""

from typing import Any

import altair as alt

from recover_nb import tables
from recover_nb.charts.kit import (
    checked,
    drawn,
    finish,
    frame_of,
    interval,
    names_axis,
    order,
    p_tip,
    panels_by,
    rows,
    signed,
    tip,
    zero_line,
)
from recover_nb.core import checks
from recover_nb.core.theme import INK, OPERATOR
from recover_nb.core.titles import named
from recover_nb.tables.saying import extremes

_KEYS = ("hold_out", "population", "budget", "router")
_NUMBERS = (
    "lift_points",
    "low_points",
    "high_points",
    "low_checkpoints_points",
    "high_checkpoints_points",
    "null_points",
    "ceiling_points",
)


@checks.takes(data=drawn("RouterComparison"), width=checks.PIXELS, budget=checks.TEXT)
def plot_routers(data: Any, *, budget: str | None = None, width: int = 210) -> alt.FacetChart:
    """Draw what each rule gains over the best single operator, beside its null and the ceiling.

    Parameters
    ----------
    data : RouterComparison or DataFrame
        What `compare_routers` returned, or a frame from `tables.router_lifts`.
    budget : str, optional
        ``equal_passes`` or ``one_attempt``: the first in the frame unless given.
    width : int
        Pixels of a panel.

    Returns
    -------
    FacetChart
        One row per way of holding out, one column per population. Points with 95 % intervals, thick
        over questions, thin over checkpoints; right of the dashed zero a rule rescues more. The
        open square is its gain in studies in which no operator differs from retry, the bar what
        knowing every rate would gain.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = checked(frame_of(data, tables.router_lifts), (*_KEYS, *_NUMBERS, "p"))
    shown = order(frame["budget"])[0] if budget is None else budget
    frame = frame[frame["budget"] == shown]
    names = order(frame["router"])
    tooltip = [*(tip(name) for name in _KEYS), *signed(*_NUMBERS), p_tip("p")]
    y = alt.Y("router:N", title=None, sort=names, axis=names_axis(names))
    base = alt.Chart().encode(y=y, tooltip=tooltip)
    x = "percentage points"
    ends = ("low_points", "lift_points", "high_points")
    spans, marks = interval(base, ends, size=70, colour=OPERATOR, title=x)
    wide = base.mark_rule(strokeWidth=1, color=OPERATOR).encode(
        x=alt.X("low_checkpoints_points:Q", title=x), x2="high_checkpoints_points:Q"
    )
    bar = base.mark_tick(color=INK, thickness=2, size=16).encode(x="ceiling_points:Q")
    null = base.mark_point(shape="square", filled=False, size=55, color=INK, strokeWidth=2).encode(
        x="null_points:Q"
    )
    layers = [zero_line(), wide, spans.mark_rule(strokeWidth=4, color=OPERATOR), bar]
    layers += [null, marks] if frame["null_points"].notna().any() else [marks]
    panel = alt.layer(*layers, data=rows(frame)).properties(width=width, height=26 * len(names))
    title = alt.Title(
        f"Rules over the best single operator, {named(shown)}",
        subtitle=[
            "95 % intervals, thick over questions, thin over checkpoints; learned without the"
            f" {', '.join(order(frame['hold_out']))} judged",
            "open square: the gain when no operator differs; bar: what knowing every rate gains",
        ],
    )
    by_row: Any = panels_by("hold_out", frame)
    by_column: Any = panels_by("population", frame)
    return finish(
        panel.facet(row=by_row, column=by_column),
        title,
        says=extremes(frame, "lift_points", "router", "+.1f"),
    )
