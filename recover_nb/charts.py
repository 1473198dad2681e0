"""Charts of a study.

They compute nothing: each draws a data frame of `recover_nb.tables`, value for value.

What colour says, shape, dash or text says a second time. Each chart carries
`recover_nb.theme.theme`.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from recover_nb.errors import InputError
from recover_nb.escaping import escaped
from recover_nb.labels import Feature
from recover_nb.theme import (
    BASIS_TITLES,
    FEATURE_TITLES,
    GREY,
    KIND_COLOURS,
    KIND_SHAPES,
    ON_BAR,
    ORANGE,
    REGIME_COLOURS,
    REGIME_SHAPES,
    ROUTE_COLOURS,
    SIGNAL_TITLES,
    SKY,
    STRATEGY_COLOURS,
    VERMILION,
    theme,
)

#: Most rows Vega-Lite draws well; Altair refuses more.
MAX_ROWS = 5000


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


def plot_features(frame: pd.DataFrame, *, width: int = 250) -> alt.HConcatChart:
    """Draw the failed problems by their three features, two at a time, with their regime.

    Parameters
    ----------
    frame : DataFrame
        From `tables.feature_points`.
    width : int
        Pixels of a panel.

    Returns
    -------
    HConcatChart

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    names = [name.value for name in Feature]
    frame = _checked(
        frame, ("cell", "problem", "problem_id", *names, "regime", "route", "retry", "best")
    )
    tooltip = [_tip("cell"), _tip("problem_id"), "problem:Q", _tip("regime"), _tip("route")]
    tooltip += [
        *(alt.Tooltip(f"{name}:Q", format=".3f") for name in names),
        *_percents("retry", "best"),
    ]
    base = alt.Chart(_rows(frame)).encode(
        color=_colour("regime", REGIME_COLOURS),
        shape=_shape("regime", REGIME_SHAPES),
        tooltip=tooltip,
    )
    marks = base.mark_point(filled=True, size=34, opacity=0.6)
    pairs = ((names[0], names[1]), (names[0], names[2]), (names[1], names[2]))
    panels = [
        marks.encode(
            x=alt.X(f"{x}:Q", title=FEATURE_TITLES[x]).scale(zero=False),
            y=alt.Y(f"{y}:Q", title=FEATURE_TITLES[y]).scale(zero=False),
        ).properties(width=width, height=width)
        for x, y in pairs
    ]
    return _finish(alt.hconcat(*panels), "Failed problems by their features")


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
    frame = _checked(frame, needed)
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
            "position:Q",
            _tip("token"),
            "token_id:Q",
            alt.Tooltip("value:Q", format=".4f"),
            "is_junction:N",
        ]
        base = alt.Chart(_rows(part)).encode(x=x, tooltip=tooltip)
        rule = alt.Chart(_rows(part[part["is_junction"]])).mark_rule(
            color=VERMILION, strokeDash=[5, 3], strokeWidth=2
        )
        line = base.mark_line(color=SKY, strokeWidth=1.5).encode(y=y)
        points = base.mark_point(color=SKY, filled=True, size=28, opacity=1).encode(y=y)
        layers = alt.layer(rule.encode(x=alt.X("junction:Q"), tooltip=tooltip), line, points)
        heading = alt.Title(
            SIGNAL_TITLES.get(name, name), fontSize=12, fontWeight="normal", offset=4
        )
        panels.append(layers.properties(width=width, height=height, title=heading))
    stacked = alt.vconcat(*panels, spacing=8).resolve_scale(x="shared")
    return _finish(stacked, "Signals of one failed rollout (dashed: its junction)")


def _checked(frame: pd.DataFrame, needed: tuple[str, ...]) -> pd.DataFrame:
    """Refuse a frame that is not the one the chart draws."""
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise InputError(
            f"the frame has no column {', '.join(missing)}; this chart needs {', '.join(needed)} "
            "(the docstring names the function of recover_nb.tables that gives it)"
        )
    if not len(frame):
        raise InputError(
            "the frame has no row, so there is nothing to draw: the study does not store what it"
            " needs"
        )
    if len(frame) > MAX_ROWS:
        raise InputError(
            f"the frame has {len(frame)} rows; a chart takes up to {MAX_ROWS}: choose some cells"
            " first"
        )
    return frame[list(needed)]


def _rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.reset_index(drop=True)


def _zero(rows: pd.DataFrame | None = None) -> alt.Chart:
    """Return a dashed line at x = 0.

    Rows are those of the layers beside it: a facet needs one table under all.
    """
    chart = alt.Chart() if rows is None else alt.Chart(rows)
    return chart.mark_rule(color="currentColor", strokeDash=[4, 3]).encode(x=alt.XDatum(0))


def _order(names: pd.Series) -> list[str]:
    """Names as they first occur: the order of the frame, not of the alphabet."""
    return [str(name) for name in dict.fromkeys(names)]


def _colour(field: str, colours: dict[str, str]) -> alt.Color:
    scale = alt.Scale(domain=[str(name) for name in colours], range=list(colours.values()))
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=alt.Legend(orient="top"))


def _shape(field: str, shapes: dict[str, str]) -> alt.Shape:
    scale = alt.Scale(domain=[str(name) for name in shapes], range=list(shapes.values()))
    return alt.Shape(f"{field}:N", title=None, scale=scale)


def _tip(field: str) -> alt.Tooltip:
    return alt.Tooltip(f"{field}:N")


def _percents(*fields: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{field}:Q", format=".1%") for field in fields]


def _signed(*fields: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{field}:Q", format="+.1f") for field in fields]


def _finish(
    chart: Any, title: str | alt.Title, width: int | None = None, height: int | None = None
) -> Any:
    """Give a chart its title, size and theme, and let no text in it run where it is shown."""
    size = {} if width is None else {"width": width, "height": height}
    return escaped(chart.properties(title=title, **size).configure(**theme()))
