"""The chart of the value of a prefix: a staircase, with the step at which the answer was lost."""

from typing import Any

import altair as alt

from recover_nb import tables
from recover_nb.charts.kit import (
    checked,
    colour_by,
    counts,
    dash_by,
    drawn,
    finish,
    frame_of,
    in_turn,
    numbers,
    order,
    percents,
    rows,
    shape_by,
    tip,
)
from recover_nb.core import checks
from recover_nb.core.theme import (
    OPERATOR_DASHES,
    OPERATOR_SHAPES,
    RETRY,
    WRONG,
    operator_colours,
)
from recover_nb.tables.saying import extremes

_SHARE = alt.Scale(domain=[0, 1])


@checks.takes(data=drawn("Dataset"), width=checks.PIXELS, height=checks.PIXELS)
def plot_value(data: Any, *, width: int = 560, height: int = 200) -> alt.LayerChart:
    """Draw how often an answer still ends right after each of its tokens, and who could save it.

    Parameters
    ----------
    data : Dataset or DataFrame
        What `value_map` or `recorded_value` returned, or a frame from `tables.value_rows`.
    width, height : int
        Pixels.

    Returns
    -------
    LayerChart
        One staircase an intervention that goes on from the prefix; the band is the 95 % interval of
        ``retry``, the specialist itself, and the dashed rule its fatal token.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study()
    >>> values = rnb.recorded_value(ds, rnb.problems_with_value(ds)[0])
    >>> chart = rnb.plot_value(rnb.tables.value_rows(values))
    >>> chart.title.text
    'The value of every prefix'
    """
    frame = frame_of(data, tables.value_rows)
    needed = ("intervention", "tokens", "token", "value", "low", "high", "right", "n", "is_fatal")
    frame = checked(frame, needed)
    names = order(frame["intervention"])
    tooltip = [tip("intervention"), *counts("tokens"), tip("token")]
    tooltip += [*numbers(".0f", "right"), alt.Tooltip("n:Q", title="tries")]
    tooltip += percents("value", "low", "high")
    x = alt.X("tokens:Q", title="tokens kept", axis=alt.Axis(tickMinStep=1))
    y = alt.Y("value:Q", title="still ends right", scale=_SHARE, axis=alt.Axis(format="%"))
    base = alt.Chart(rows(frame)).encode(x=x, tooltip=tooltip)
    own = alt.Chart(rows(frame[frame["intervention"] == names[0]])).encode(x=x)
    band = own.mark_area(color=RETRY, opacity=0.3, interpolate="step-after").encode(
        y=alt.Y("low:Q", scale=_SHARE), y2="high:Q"
    )
    colour = colour_by("intervention", operator_colours(names))
    dashes = dash_by("intervention", in_turn(names, OPERATOR_DASHES))
    line = base.mark_line(interpolate="step-after", strokeWidth=2).encode(
        y=y, color=colour, strokeDash=dashes
    )
    marks = base.mark_point(filled=True, size=30, opacity=1).encode(
        y=y,
        color=colour,
        shape=shape_by("intervention", in_turn(names, OPERATOR_SHAPES)),
    )
    rule = alt.Chart(rows(frame[frame["is_fatal"]])).mark_rule(
        color=WRONG, strokeDash=[5, 3], strokeWidth=2
    )
    layers = alt.layer(band, rule.encode(x=x, tooltip=tooltip), line, marks)
    title = alt.Title(
        "The value of every prefix",
        subtitle="dashed rule: the fatal token; band: 95 % interval of asking again",
    )
    return finish(
        layers, title, width, height, says=extremes(frame, "value", "intervention", ".0%")
    )
