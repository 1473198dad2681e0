"""The chart of what a calculator rescues."""

from typing import Any

import altair as alt

from recover_nb import tables
from recover_nb.charts.kit import (
    PERCENT,
    SHARE,
    checked,
    counts,
    drawn,
    facet,
    frame_of,
    interval,
    names_axis,
    order,
    percents,
    signed,
    tip,
)
from recover_nb.core import checks
from recover_nb.core.theme import OPERATOR, RETRY
from recover_nb.tables.saying import extremes


@checks.takes(data=drawn("Dataset"), width=checks.PIXELS, columns=checks.COLUMNS)
def plot_calculator(data: Any, *, width: int = 330, columns: int = 2) -> alt.Chart | alt.FacetChart:
    """Draw the rescue rate with a calculator, with its 95 % interval, beside that of retrying.

    Parameters
    ----------
    data : Dataset or DataFrame
        A study with a calculator, or a frame from `tables.calculator_by_regime`; more than one
        group gives a panel each.
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
    >>> frame = rnb.tables.calculator_by_regime(rnb.load_study(), n_bootstrap=10)
    >>> rnb.plot_calculator(frame).title.text
    'What a calculator rescues'
    """
    frame = frame_of(data, tables.calculator_by_regime)
    lift = ("lift_points", "lift_low_points", "lift_high_points")
    rates = ("retry_rate", "calculator_rate", "low", "high")
    needed = ("group", "regime", "problems", *rates, "rescued", "retried", *lift)
    frame = checked(frame, needed)
    tooltip = [tip("group"), tip("regime"), *counts("problems", "rescued", "retried")]
    tooltip += [*percents(*rates), *signed(*lift)]
    names = order(frame["regime"])
    y = alt.Y("regime:N", title=None, sort=names, axis=names_axis(names))
    base = alt.Chart().encode(y=y, tooltip=tooltip)
    retry = base.mark_tick(color=RETRY, thickness=2, size=20, opacity=1)
    ends, axis = ("low", "calculator_rate", "high"), {"scale": SHARE, "axis": PERCENT}
    layers = [
        retry.encode(x=alt.X("retry_rate:Q")),
        *interval(base, ends, size=70, colour=OPERATOR, title="rescue rate", **axis),
    ]
    title = alt.Title(
        "What a calculator rescues",
        subtitle="blue point: with the calculator, 95 % interval; grey tick: asking again (retry)",
    )
    height = 28 * frame["regime"].nunique()
    return facet(
        layers,
        frame,
        "group",
        title,
        width=width,
        height=height,
        columns=columns,
        says=extremes(frame, "calculator_rate", "group,regime", ".0%"),
    )
