"""Charts of a study.

They compute nothing: each draws a data frame of `recover_nb.tables`, value for value.

What colour says, shape, dash or text says a second time. Each chart carries
`recover_nb.charts.theme.theme`.
"""

import altair as alt
import pandas as pd

from recover_nb.charts.kit import (
    _checked,
    _colour,
    _finish,
    _order,
    _percents,
    _rows,
    _shape,
    _signed,
    _tip,
    _zero,
)
from recover_nb.charts.theme import (
    BASIS_TITLES,
    GREY,
    KIND_COLOURS,
    KIND_SHAPES,
    STRATEGY_COLOURS,
)


def plot_estimators(frame: pd.DataFrame, *, width: int = 520) -> alt.Chart:
    """Draw routed minus retry by every estimator, over the band that no effect at all would give.

    Parameters
    ----------
    frame : DataFrame
        From `tables.lift_over_retry`.
    width : int
        Pixels.

    Returns
    -------
    Chart
        Points with 95 % intervals; the bands are the nulls' intervals, to be read against
        ``published`` only.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    needed = ("estimator", "kind", "n", "lift_points", "low_points", "high_points", "p")
    frame = _checked(frame, (*needed, "band_low_points", "band_high_points"))
    title = "Lift of routing over retry, by estimator"
    axis = "routed minus retry (percentage points)"
    x = alt.X("low_points:Q", title=axis)
    tooltip = [_tip("estimator"), *_signed("lift_points", "low_points", "high_points")]
    tooltip += [alt.Tooltip("n:Q", format=".0f"), alt.Tooltip("p:Q", format=".3f")]
    base = alt.Chart().encode(tooltip=tooltip)
    band = base.mark_rect(color=GREY, opacity=0.18)
    band = band.encode(x=alt.X("band_low_points:Q", title=axis), x2="band_high_points:Q")
    colour = _colour("kind", KIND_COLOURS)
    rows = base.encode(
        y=alt.Y("estimator:N", title=None, sort=_order(frame["estimator"])), color=colour
    )
    spans = rows.mark_rule(strokeWidth=2).encode(x=x, x2="high_points:Q")
    points = rows.mark_point(filled=True, size=90, opacity=1).encode(
        x="lift_points:Q", shape=_shape("kind", KIND_SHAPES)
    )
    zero = _zero()
    # One frame under all layers: it is written once.
    layers = alt.layer(band, zero, spans, points, data=_rows(frame))
    return _finish(layers, title, width, 30 * len(frame))


def plot_comparators(frame: pd.DataFrame, *, width: int = 520) -> alt.Chart:
    """Draw routing minus every comparator by one estimator, over what it reports without an effect.

    Parameters
    ----------
    frame : DataFrame
        From `tables.comparators`.
    width : int
        Pixels.

    Returns
    -------
    Chart
        Points with 95 % intervals; right of the dashed zero routing rescues more. The grey bars are
        the null's.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    needed = (
        "estimator",
        "comparator",
        "kind",
        "n",
        "routed",
        "rate",
        "lift_points",
        "low_points",
        "high_points",
    )
    frame = _checked(frame, (*needed, "band_low_points", "band_high_points"))
    axis = "routed minus comparator (percentage points)"
    y = alt.Y("comparator:N", title=None, sort=_order(frame["comparator"]))
    tooltip = [
        _tip("estimator"),
        _tip("comparator"),
        *_signed("lift_points", "low_points", "high_points"),
    ]
    tooltip += [*_percents("routed", "rate"), alt.Tooltip("n:Q", format=",.0f")]
    ends = [_tip("comparator"), *_signed("band_low_points", "band_high_points")]
    # The excess is a kind of other charts.
    colours, shapes = (
        {name: each[name] for name in ("measured", "null")} for each in (KIND_COLOURS, KIND_SHAPES)
    )
    bands = alt.Chart().mark_bar(color=GREY, opacity=0.35, height=14)
    bands = bands.encode(
        x=alt.X("band_low_points:Q", title=axis), x2="band_high_points:Q", y=y, tooltip=ends
    )
    base = alt.Chart().encode(y=y, tooltip=tooltip, color=_colour("kind", colours))
    spans = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low_points:Q", title=axis), x2="high_points:Q"
    )
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        x="lift_points:Q", shape=_shape("kind", shapes)
    )
    zero = _zero()
    layers = [zero, spans, points]
    if frame["band_low_points"].notna().any():
        layers.insert(0, bands)
    title = alt.Title(
        f"Routing minus each comparator, estimator {', '.join(_order(frame['estimator']))}",
        subtitle=(
            "95 % intervals; grey: what the published estimator reports when no operator differs"
            " from retry"
        ),
    )
    # One frame under all layers: it is written once.
    return _finish(alt.layer(*layers, data=_rows(frame)), title, width, 22 * len(frame))


def plot_budget(frame: pd.DataFrame, *, width: int = 280) -> alt.HConcatChart:
    """Draw rescue against what it costs: attempts, generated tokens, forward passes.

    Parameters
    ----------
    frame : DataFrame
        From `tables.budget_lines`.
    width : int
        Pixels of a panel.

    Returns
    -------
    HConcatChart
        One panel for each basis that the study stores.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    needed = (
        "basis",
        "strategy",
        "budget",
        "k",
        "rescue",
        "n",
        "lift_points",
        "low_points",
        "high_points",
    )
    frame = _checked(frame, needed)
    tooltip = [
        _tip("strategy"),
        alt.Tooltip("budget:Q", format=",.0f"),
        alt.Tooltip("k:Q", format=".1f"),
    ]
    tooltip += [*_percents("rescue"), *_signed("lift_points", "low_points", "high_points"), "n:Q"]
    panels = []
    for basis in dict.fromkeys(frame["basis"]):
        y = alt.Y(
            "rescue:Q",
            title=None if panels else "rescued within the budget",
            axis=alt.Axis(format=".0%"),
        )
        base = alt.Chart(_rows(frame[frame["basis"] == basis])).encode(
            x=alt.X("budget:Q", title=BASIS_TITLES.get(basis, basis)),
            y=y.scale(domain=[0, 1]),
            color=_colour("strategy", STRATEGY_COLOURS),
            tooltip=tooltip,
        )
        # The legend of colour and shape names the lines already.
        dash = alt.StrokeDash("strategy:N", sort=list(STRATEGY_COLOURS), legend=None)
        shape = _shape("strategy", {"routed": "circle", "retry": "square"})
        points = base.mark_point(filled=True, size=36, opacity=1).encode(shape=shape)
        panels.append(
            alt.layer(base.mark_line().encode(strokeDash=dash), points).properties(
                width=width, height=240
            )
        )
    return _finish(alt.hconcat(*panels), "Rescue at equal budgets, every failed problem")
