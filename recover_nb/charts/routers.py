"""Chart of a comparison of routers.

It computes nothing: it draws data frames of `tables.routers`.
"""

from typing import Any

import altair as alt
import pandas as pd

from recover_nb import tables
from recover_nb.charts.kit import (
    PERCENT,
    called,
    checked,
    colour_by,
    counts,
    dash_by,
    finish,
    frame_of,
    in_turn,
    interval,
    names_axis,
    numbers,
    order,
    p_tip,
    panels_by,
    percents,
    rows,
    shape_by,
    signed,
    tip,
    zero_line,
)
from recover_nb.core.theme import (
    BASIS_TITLES,
    INK,
    OPERATOR,
    OPERATOR_DASHES,
    OPERATOR_SHAPES,
    operator_colours,
)
from recover_nb.core.titles import meaning


def plot_routers(
    data: Any, lifts: pd.DataFrame | None = None, *, width: int = 380
) -> alt.HConcatChart:
    """Draw rescue against cost, and every router less the best fixed operator.

    What a router gains without an effect stands beside its lift.

    Parameters
    ----------
    data : RouterComparison or DataFrame
        What `compare_routers` returned, or a frame from `tables.router_curves`.
    lifts : DataFrame, optional
        From `tables.router_lifts`, beside a frame of curves.
    width : int
        Pixels of a panel.

    Returns
    -------
    HConcatChart
        Left: lines with 95 % bands. Right: points with 95 % intervals; right of the dashed zero a
        router rescues more. The open square is its lift in studies in which no operator differs
        from retry.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    curves = frame_of(data, tables.router_curves)
    lifts = tables.router_lifts(data) if lifts is None else lifts
    needed = ("hold_out", "policy", "kind", "basis", "retries", "cost", "rescue", "low", "high")
    left = _curves(checked(curves, needed), width)
    needed = (
        "hold_out",
        "router",
        "comparator",
        "lift_points",
        "low_points",
        "high_points",
        "p_holm",
        "null_points",
    )
    right = _lifts(checked(lifts, (*needed, "excess_points", "beats")), width)
    title = alt.Title(
        "Routers at equal cost, every failed problem",
        subtitle=[
            (
                f"lines: learned without the {', '.join(order(curves['hold_out']))} they are"
                " judged on; 95 % intervals"
            ),
            "open squares: the lift in simulated studies in which no operator differs from retry",
        ],
    )
    return finish(
        alt.hconcat(left, right, spacing=30).resolve_scale(
            color="independent", shape="independent"
        ),
        title,
    )


def _curves(frame: pd.DataFrame, width: int) -> alt.LayerChart:
    names = order(frame["policy"])
    basis = order(frame["basis"])[0]
    # Bands are faint: without its own opacity the legend would be, too.
    colour = colour_by("policy", operator_colours(names), symbolOpacity=1)
    tooltip = [tip("policy"), *counts("retries"), *numbers(",.1f", "cost")]
    tooltip += percents("rescue", "low", "high")
    x = alt.X("cost:Q", title=BASIS_TITLES.get(basis, basis))
    y = alt.Y(
        "rescue:Q",
        title="rescued within the budget",
        axis=PERCENT,
        scale=alt.Scale(zero=False),
    )
    base = alt.Chart(rows(frame)).encode(x=x, color=colour, tooltip=tooltip)
    bands = base.mark_area(opacity=0.12).encode(
        y=alt.Y("low:Q", title="rescued within the budget"), y2="high:Q"
    )
    dashes = dash_by("policy", in_turn(names, OPERATOR_DASHES), symbolOpacity=1)
    lines = base.mark_line().encode(y=y, strokeDash=dashes)
    points = base.mark_point(filled=True, size=30, opacity=1).encode(
        y=y, shape=shape_by("policy", in_turn(names, OPERATOR_SHAPES), symbolOpacity=1)
    )
    return alt.layer(bands, lines, points).properties(width=width, height=300)


def _lifts(frame: pd.DataFrame, width: int) -> alt.FacetChart | alt.LayerChart:
    other = order(frame["comparator"])[0]
    tooltip = [
        tip("router"),
        tip("hold_out"),
        *signed("lift_points", "low_points", "high_points", "null_points"),
    ]
    tooltip += [*signed("excess_points"), p_tip("p_holm"), tip("beats")]
    names = order(frame["router"])
    y = alt.Y("router:N", title=None, sort=names, axis=names_axis(names))
    title = f"router minus {meaning(other)} (percentage points)"
    base = alt.Chart().encode(y=y, tooltip=tooltip)
    beats, answers = "beats it", [False, True]
    shapes = alt.Scale(domain=answers, range=["circle", "diamond"])
    words = called(answers, {"false": "no", "true": "yes"})
    legend = alt.Legend(orient="top", labelExpr=words)
    shape = alt.Shape("beats:N", title=beats, scale=shapes, legend=legend)
    ends, looks = ("low_points", "lift_points", "high_points"), {"shape": shape}
    drawn = interval(base, ends, size=80, colour=OPERATOR, looks=looks, title=title)
    layers = [zero_line(), *drawn]
    null = base.mark_point(shape="square", filled=False, size=60, color=INK, strokeWidth=2).encode(
        x="null_points:Q"
    )
    if frame["null_points"].notna().any():
        layers.insert(1, null)
    panel = alt.layer(*layers, data=rows(frame)).properties(
        width=width, height=26 * frame["router"].nunique()
    )
    if frame["hold_out"].nunique() == 1:
        return panel
    by: Any = panels_by("hold_out", frame)
    return panel.properties(width=width, height=20 * frame["router"].nunique()).facet(row=by)
