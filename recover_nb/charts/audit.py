"""The chart of an audit: gains of a router, each with its interval, beside what luck shows."""

from typing import Any

import altair as alt

from recover_nb.charts.kit import (
    checked,
    counts,
    drawn,
    finish,
    frame_of,
    interval,
    order,
    p_tip,
    percents,
    rows,
    signed,
    tip,
    zero_line,
)
from recover_nb.core import checks
from recover_nb.core.theme import INK, OPERATOR
from recover_nb.tables.saying import extremes


@checks.takes(data=drawn("Audit"), width=checks.PIXELS)
def plot_audit(data: Any, *, width: int = 320) -> alt.LayerChart:
    """Draw every gain of a router with its 95 % interval, and what luck alone shows.

    Parameters
    ----------
    data : Audit or DataFrame
        What `audit` returned, or its `to_dataframe`.
    width : int
        Pixels.

    Returns
    -------
    LayerChart
        A row per comparison: right of 0 the router does better. A black bar marks what a router
        without skill shows on the same outcomes, where that is not 0.

    Raises
    ------
    InputError
        If a column is missing, or no router was given.

    Examples
    --------
    >>> import pandas as pd
    >>> import recover_nb as rnb
    >>> table = pd.DataFrame({"problem": range(8), "a": [1, 1, 1, 0] * 2, "b": [0, 0, 1, 1] * 2})
    >>> found = rnb.audit(table, router=["a", "a", "b", "b"] * 2, n_null=9)
    >>> rnb.plot_audit(found).title.text
    'What stands of the gain'
    """
    ends = ("low_points", "points", "high_points")
    frame = rows(checked(frame_of(data), ("compares", "n", "rate", "against", *ends)))
    tooltip = [tip("compares"), *counts("n"), *percents("rate", "against")]
    tooltip += [*signed(*ends, "null_points"), p_tip()]
    names = order(frame["compares"])
    axis = alt.Axis(labelLimit=340)
    base = alt.Chart().encode(
        y=alt.Y("compares:N", title=None, sort=names, axis=axis), tooltip=tooltip
    )
    drawn = interval(base, ends, size=60, colour=OPERATOR, title="gain (percentage points)")
    luck = base.mark_tick(color=INK, thickness=3, size=16).encode(x=alt.X("null_points:Q"))
    title = alt.Title(
        "What stands of the gain",
        subtitle="point and line: gain and 95 % interval; bar: what luck alone shows",
    )
    chart = alt.layer(zero_line(), luck, *drawn, data=frame)
    return finish(
        chart,
        title,
        width,
        26 * max(len(names), 1),
        says=extremes(frame, ends[1], "compares", "+.1f"),
    )
