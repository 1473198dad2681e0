"""Charts of regimes, routes and rescue rates."""

import altair as alt
import pandas as pd

from recover_nb.charts.kit import (
    _checked,
    _colour,
    _finish,
    _order,
    _percents,
    _rows,
    _signed,
    _tip,
)
from recover_nb.charts.theme import (
    ON_BAR,
    ORANGE,
    REGIME_COLOURS,
    ROUTE_COLOURS,
    SKY,
)


def plot_regimes(frame: pd.DataFrame, *, width: int = 560) -> alt.Chart:
    """Draw the share of each regime among the failed problems of each cell.

    Parameters
    ----------
    frame : DataFrame
        From `tables.regimes_by_cell`.
    width : int
        Pixels.

    Returns
    -------
    Chart
        Bars laid end to end, the count written on each.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    title = "What failed problems need: regimes by cell"
    return _shares(
        frame, "regime", "failed", REGIME_COLOURS, title, "share of failed problems", width
    )


def plot_routes(frame: pd.DataFrame, *, width: int = 560) -> alt.Chart:
    """Draw where the rule sends the steerable_hard problems of each cell.

    Parameters
    ----------
    frame : DataFrame
        From `tables.routes_by_cell`.
    width : int
        Pixels.

    Returns
    -------
    Chart
        Bars laid end to end, the count written on each.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    title = "Where the rule sends steerable_hard problems"
    colours = {
        name: ROUTE_COLOURS.get(name, SKY) for name in dict.fromkeys(frame.get("intervention", ()))
    }
    return _shares(
        frame, "intervention", "routed", colours, title, "share of steerable_hard problems", width
    )


def _shares(
    frame: pd.DataFrame,
    kind: str,
    total: str,
    colours: dict[str, str],
    title: str,
    axis: str,
    width: int,
) -> alt.Chart:
    """Bars from `start` to `end`, with the count written at `middle`."""
    frame = _checked(frame, ("cell", kind, "count", "share", total, "start", "middle", "end"))
    y = alt.Y("cell:N", title=None, sort=_order(frame["cell"]))
    x = alt.X("start:Q", title=axis, axis=alt.Axis(format=".0%"), scale=alt.Scale(domain=[0, 1]))
    share = alt.Tooltip("share:Q", format=".1%")
    tooltip = [_tip("cell"), _tip(kind), alt.Tooltip("count:Q"), alt.Tooltip(f"{total}:Q"), share]
    bars = alt.Chart(_rows(frame)).encode(y=y)
    bars = bars.mark_bar(stroke="white", strokeWidth=1).encode(
        x=x, x2="end:Q", color=_colour(kind, colours), tooltip=tooltip
    )
    counts = alt.Chart(_rows(frame[frame["count"] > 0])).encode(y=y)
    text = counts.mark_text(color=ON_BAR).encode(
        x=alt.X("middle:Q", title=axis), text="count:Q", tooltip=tooltip
    )
    return _finish(alt.layer(bars, text), title, width, 24 * frame["cell"].nunique() + 4)


def plot_rescue(
    frame: pd.DataFrame, *, width: int = 420, columns: int = 3
) -> alt.Chart | alt.FacetChart:
    """Draw the rescue rate of every intervention with its 95 % interval, beside that of retry.

    Parameters
    ----------
    frame : DataFrame
        From `tables.rescue_by_intervention`; more than one cell gives a panel each.
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
    needed = ("cell", "intervention", "problems", "attempts", "rate", "low", "high", "retry_rate")
    needed += ("lift_points", "lift_low_points", "lift_high_points")
    frame = _checked(frame, needed)
    y = alt.Y("intervention:N", title=None, sort=_order(frame["intervention"]))
    scale = alt.Scale(domain=[0, 1])
    tooltip = [_tip("cell"), _tip("intervention"), *_percents("rate", "low", "high", "retry_rate")]
    tooltip += [
        *_signed("lift_points", "lift_low_points", "lift_high_points"),
        "problems:Q",
        "attempts:Q",
    ]
    base = alt.Chart(_rows(frame)).encode(y=y, tooltip=tooltip)
    axis = alt.Axis(format=".0%")
    x = alt.X("low:Q", title="rescue rate", axis=axis, scale=scale)
    spans = base.mark_rule(color=SKY, strokeWidth=2).encode(x=x, x2="high:Q")
    points = base.mark_point(color=SKY, filled=True, size=70, opacity=1).encode(x="rate:Q")
    retry = base.mark_tick(color=ORANGE, thickness=2, size=16, opacity=1).encode(x="retry_rate:Q")
    height = 22 * frame["intervention"].nunique()
    layers = alt.layer(retry, spans, points)
    title = alt.Title(
        "Rescue rate by intervention, every failed problem",
        subtitle="95 % intervals; the orange tick is retry on the same problems",
    )
    if frame["cell"].nunique() == 1:
        return _finish(layers, title, width, height)
    cell = alt.Facet("cell:N", title=None, sort=_order(frame["cell"]))
    faceted = layers.properties(width=width, height=height).facet(cell, columns=columns)
    return _finish(faceted, title)
