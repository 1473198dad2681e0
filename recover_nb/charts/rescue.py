"""Charts of regimes, routes and rescue rates."""

from typing import Any

import altair as alt
import pandas as pd

from recover_nb import tables
from recover_nb.charts.kit import (
    PERCENT,
    SHARE,
    checked,
    colour_by,
    counts,
    drawn,
    facet,
    finish,
    frame_of,
    interval,
    names_axis,
    order,
    percents,
    rows,
    signed,
    tip,
)
from recover_nb.core import checks
from recover_nb.core.labels import Intervention
from recover_nb.core.theme import INK, ON_BAR, OPERATOR, REGIME_COLOURS, RETRY, operator_colours
from recover_nb.core.titles import named
from recover_nb.tables.saying import extremes, totals


@checks.takes(data=drawn("Dataset"), width=checks.PIXELS)
def plot_regimes(data: Any, *, width: int = 560) -> alt.Chart:
    """Draw the share of each regime among the failed problems of each cell.

    Parameters
    ----------
    data : Dataset or DataFrame
        A study, or a frame from `tables.regimes_by_cell`.
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

    Examples
    --------
    >>> import recover_nb as rnb
    >>> chart = rnb.plot_regimes(rnb.tables.regimes_by_cell(rnb.load_study()))
    >>> chart.title
    'What failed problems need: regimes by cell'
    """
    frame = frame_of(data, tables.regimes_by_cell)
    title = "What failed problems need: regimes by cell"
    return _shares(
        frame, "regime", "failed", REGIME_COLOURS, title, "share of failed problems", width
    )


@checks.takes(data=drawn("Evaluation"), width=checks.PIXELS)
def plot_routes(data: Any, *, width: int = 560) -> alt.Chart:
    """Draw where the rule sends the steerable_hard problems of each cell.

    Parameters
    ----------
    data : Evaluation or DataFrame
        What `evaluate_routing` returned, or a frame from `tables.routes_by_cell`.
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

    Examples
    --------
    >>> import recover_nb as rnb
    >>> evaluation = rnb.evaluate_routing(rnb.load_study(), only=["published"], n_bootstrap=100)
    >>> chart = rnb.plot_routes(rnb.tables.routes_by_cell(evaluation))
    >>> chart.title
    'Where the rule sends steerable_hard problems'
    """
    frame = frame_of(data, tables.routes_by_cell)
    title = "Where the rule sends steerable_hard problems"
    colours = operator_colours(dict.fromkeys(frame.get("intervention", ())))
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
    frame = checked(frame, ("cell", kind, "count", "share", total, "start", "middle", "end"))
    y = alt.Y("cell:N", title=None, sort=order(frame["cell"]))
    x = alt.X("start:Q", title=axis, axis=PERCENT, scale=SHARE)
    tooltip = [tip("cell"), tip(kind), *counts("count", total)]
    tooltip += percents("share")
    bars = alt.Chart(rows(frame)).encode(y=y)
    bars = bars.mark_bar(stroke=INK, strokeWidth=0.75).encode(
        x=x, x2="end:Q", color=colour_by(kind, colours), tooltip=tooltip
    )
    some = alt.Chart(rows(frame[frame["count"] > 0])).encode(y=y)
    text = some.mark_text(color=ON_BAR).encode(
        x=alt.X("middle:Q", title=axis), text="count:Q", tooltip=tooltip
    )
    return finish(
        alt.layer(bars, text),
        title,
        width,
        24 * frame["cell"].nunique() + 4,
        says=totals(frame, kind, "count"),
    )


@checks.takes(data=drawn("Dataset"), width=checks.PIXELS, columns=checks.COLUMNS)
def plot_rescue(data: Any, *, width: int = 420, columns: int = 3) -> alt.Chart | alt.FacetChart:
    """Draw the rescue rate of every intervention with its 95 % interval, beside that of retry.

    Parameters
    ----------
    data : Dataset or DataFrame
        A study, or a frame from `tables.rescue_by_intervention`; more than one cell gives a panel
        each.
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

    Examples
    --------
    >>> import recover_nb as rnb
    >>> rescue = rnb.tables.rescue_by_intervention(
    ...     rnb.load_study(), total=True, by_cell=False, n_bootstrap=100
    ... )
    >>> chart = rnb.plot_rescue(rescue)
    >>> chart.title.subtitle
    '95 % intervals; the grey tick is asking again (retry) on the same problems'
    """
    frame = frame_of(data, _over_cells)
    needed = ("population", "cell", "intervention", "problems", "attempts", "rate", "low", "high")
    needed += ("retry_rate", "lift_points", "lift_low_points", "lift_high_points")
    frame = checked(frame, needed)
    names = order(frame["intervention"])
    y = alt.Y("intervention:N", title=None, sort=names, axis=names_axis(names))
    colours = {name: RETRY if name == Intervention.RETRY else OPERATOR for name in names}
    tooltip = [tip("cell"), tip("intervention"), *percents("rate", "low", "high", "retry_rate")]
    tooltip += [
        *signed("lift_points", "lift_low_points", "lift_high_points"),
        *counts("problems", "attempts"),
    ]
    bare = alt.Chart().encode(y=y, tooltip=tooltip)
    # The axis names them already.
    base = bare.encode(color=colour_by("intervention", colours).legend(None))
    retry = bare.mark_tick(color=RETRY, thickness=3, size=16, opacity=1)
    ends, axis = ("low", "rate", "high"), {"scale": SHARE, "axis": PERCENT}
    layers = [
        retry.encode(x=alt.X("retry_rate:Q")),
        *interval(base, ends, size=70, title="rescue rate", **axis),
    ]
    title = alt.Title(
        f"Rescue rate by intervention: {', '.join(map(named, order(frame['population'])))}",
        subtitle="95 % intervals; the grey tick is asking again (retry) on the same problems",
    )
    height = 22 * frame["intervention"].nunique()
    return facet(
        layers,
        frame,
        "cell",
        title,
        width=width,
        height=height,
        columns=columns,
        says=extremes(frame, "rate", "intervention", ".0%"),
    )


def _over_cells(ds: Any) -> pd.DataFrame:
    """Every intervention, over all cells together."""
    return tables.rescue_by_intervention(ds, total=True, by_cell=False)
