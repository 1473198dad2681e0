"""The chart of what a calculator rescues."""

import altair as alt
import pandas as pd

from recover_nb.charts.kit import (
    _PERCENT,
    _SHARE,
    _checked,
    _faceted,
    _order,
    _percents,
    _rows,
    _signed,
    _tip,
)
from recover_nb.charts.theme import ORANGE, SKY


def plot_calculator(
    frame: pd.DataFrame, *, width: int = 330, columns: int = 2
) -> alt.Chart | alt.FacetChart:
    """Draw the rescue rate with a calculator, with its 95 % interval, beside that of retrying.

    Parameters
    ----------
    frame : DataFrame
        From `tables.calculator_by_regime`; more than one group gives a panel each.
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
    lift = ("lift_points", "lift_low_points", "lift_high_points")
    rates = ("retry_rate", "calculator_rate", "low", "high", "rescued", "retried")
    frame = _checked(frame, ("group", "regime", "problems", *rates, *lift))
    tooltip = [_tip("group"), _tip("regime"), "problems:Q", *_percents(*rates), *_signed(*lift)]
    y = alt.Y("regime:N", title=None, sort=_order(frame["regime"]))
    base = alt.Chart(_rows(frame)).encode(y=y, tooltip=tooltip)
    x = alt.X("low:Q", title="rescue rate", scale=_SHARE, axis=_PERCENT)
    layers = alt.layer(
        base.mark_tick(color=ORANGE, thickness=2, size=20, opacity=1).encode(
            x=alt.X("retry_rate:Q")
        ),
        base.mark_rule(color=SKY, strokeWidth=2).encode(x=x, x2="high:Q"),
        base.mark_point(color=SKY, filled=True, size=70, opacity=1).encode(x="calculator_rate:Q"),
    )
    title = alt.Title(
        "What a calculator rescues",
        subtitle="blue: with the calculator, 95 % interval; orange tick: retry",
    )
    return _faceted(layers, frame, "group", title, width, 28, "regime", columns)
