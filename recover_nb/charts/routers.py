"""Chart of a comparison of routers.

It computes nothing: it draws data frames of `tables.routers`.
"""

from typing import Any

import altair as alt
import pandas as pd

from recover_nb import tables
from recover_nb.charts.kit import (
    PERCENT,
    checked,
    colour_by,
    finish,
    frame_of,
    in_turn,
    interval,
    numbers,
    order,
    percents,
    rows,
    signed,
    tip,
    zero_line,
)
from recover_nb.charts.theme import (
    BASIS_TITLES,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
)

#: Retry is grey and the published rule dotted wherever they are drawn; the others take what is left
#: in turn.
COLOURS = {"retry": GREY, "best_fixed": SKY, "published": PURPLE}
REST = (ORANGE, GREEN, VERMILION, BLUE, YELLOW)
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3], [10, 3])


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
    rest = iter(REST * len(names))
    colours = {name: COLOURS.get(name) or next(rest) for name in names}
    basis = order(frame["basis"])[0]
    # Bands are faint: without its own opacity the legend would be, too.
    legend = alt.Legend(
        orient="top", columns=4, symbolOpacity=1, symbolType="stroke", symbolStrokeWidth=3
    )
    colour = colour_by("policy", colours).legend(legend)
    tooltip = [tip("policy"), "retries:Q", *numbers(",.1f", "cost")]
    tooltip += percents("rescue", "low", "high")
    x = alt.X("cost:Q", title=BASIS_TITLES.get(basis, basis))
    y = alt.Y(
        "rescue:Q",
        title="rescued within the budget",
        axis=PERCENT,
        scale=alt.Scale(zero=False),
    )
    base = alt.Chart(rows(frame)).encode(x=x, color=colour, tooltip=tooltip)
    dash = alt.Scale(domain=names, range=list(in_turn(names, DASHES).values()))
    bands = base.mark_area(opacity=0.12).encode(
        y=alt.Y("low:Q", title="rescued within the budget"), y2="high:Q"
    )
    dashes = alt.StrokeDash("policy:N", scale=dash, legend=None)
    lines = base.mark_line().encode(y=y, strokeDash=dashes)
    points = base.mark_point(filled=True, size=20, opacity=1).encode(y=y)
    return alt.layer(bands, lines, points).properties(width=width, height=300)


def _lifts(frame: pd.DataFrame, width: int) -> alt.FacetChart | alt.LayerChart:
    other = order(frame["comparator"])[0]
    tooltip = [
        tip("router"),
        tip("hold_out"),
        *signed("lift_points", "low_points", "high_points", "null_points"),
    ]
    tooltip += [*signed("excess_points"), *numbers(".3f", "p_holm"), tip("beats")]
    y = alt.Y("router:N", title=None, sort=order(frame["router"]))
    title = f"router minus {other} (percentage points)"
    base = alt.Chart().encode(y=y, tooltip=tooltip)
    beats, answers = f"beats {other}", [False, True]
    shapes = alt.Scale(domain=answers, range=["circle", "diamond"])
    shape = alt.Shape("beats:N", title=beats, scale=shapes, legend=alt.Legend(orient="top"))
    scale = alt.Scale(domain=answers, range=[SKY, ORANGE])
    # Two channels with one title and one place share a legend.
    colour = alt.Color("beats:N", title=beats, scale=scale, legend=alt.Legend(orient="top"))
    ends, looks = ("low_points", "lift_points", "high_points"), {"shape": shape, "color": colour}
    layers = [zero_line(), *interval(base, ends, size=80, rule=SKY, looks=looks, title=title)]
    null = base.mark_point(shape="square", filled=False, size=60, color=GREY, strokeWidth=2).encode(
        x="null_points:Q"
    )
    if frame["null_points"].notna().any():
        layers.insert(1, null)
    panel = alt.layer(*layers, data=rows(frame)).properties(
        width=width, height=26 * frame["router"].nunique()
    )
    if frame["hold_out"].nunique() == 1:
        return panel
    return panel.properties(width=width, height=20 * frame["router"].nunique()).facet(
        row=alt.Row("hold_out:N", title=None, sort=order(frame["hold_out"]))
    )
