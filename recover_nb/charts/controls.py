"""The chart of controls: operators that differ in one thing."""

from typing import Any

import altair as alt

from recover_nb.charts.kit import (
    called,
    checked,
    counts,
    drawn,
    facet,
    frame_of,
    interval,
    order,
    percents,
    signed,
    tip,
    zero_line,
)
from recover_nb.core import checks
from recover_nb.core.labels import ALL
from recover_nb.core.theme import INK, OPERATOR
from recover_nb.tables.saying import extremes

#: Comparisons in words.
COMPARISONS = {
    "mixture": "mixture that fired, minus the other",
    "mixture_differs": "the same, where their tokens differ",
    "place": "junction, minus random token",
    "place_elsewhere": "the same, at another token",
    "place_same": "the same, at the same token",
    "place_gap": "elsewhere less same",
    "place_changed": "per token changed",
    "argmax": "likeliest token, minus sampled",
    "ancestor": "mixed, less hotter",
    "alone": "mixed, minus the ancestor alone",
    "steer_alone": "one token steered, minus the ancestor alone",
}


@checks.takes(data=drawn("Controls"), width=checks.PIXELS, columns=checks.COLUMNS)
def plot_controls(
    data: Any, *, width: int = 320, columns: int = 2
) -> alt.LayerChart | alt.FacetChart:
    """Draw the differences of operators that differ in one thing, with both 95 % intervals.

    Parameters
    ----------
    data : Controls or DataFrame
        What `controls` returned, or its `to_dataframe`.
    width : int
        Pixels of a panel.
    columns : int
        Panels in a row.

    Returns
    -------
    LayerChart or FacetChart
        A panel a population, all tasks together: points right of 0 are in favour of the first. The
        thick line is over questions, the thin one over checkpoints.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> chart = rnb.plot_controls(rnb.controls(rnb.load_study(), n_bootstrap=20))
    >>> chart.title.text
    'Operators that differ in one thing'
    """
    frame = frame_of(data)
    others = ("low_checkpoints_points", "high_checkpoints_points")
    ends = ("low_points", "points", "high_points")
    needed = ("population", "comparison", "operator", "against", "n", "problems")
    needed = (*needed, "rate", "rate_against", *ends, *others)
    frame = checked(frame[frame["task"] == ALL] if "task" in frame else frame, needed)
    names = [name for name in COMPARISONS if name in set(frame["comparison"])]
    tooltip = [*map(tip, ("comparison", "operator", "against")), *counts("n", "problems")]
    tooltip += [*percents("rate", "rate_against"), *signed(*ends, *others)]
    axis = alt.Axis(labelExpr=called(names, COMPARISONS), labelLimit=260)
    base = alt.Chart().encode(
        y=alt.Y("comparison:N", title=None, sort=names, axis=axis), tooltip=tooltip
    )
    wide = base.mark_rule(color=INK, strokeWidth=1).encode(
        x=alt.X(f"{others[0]}:Q"), x2=alt.X2(f"{others[1]}:Q")
    )
    drawn = interval(base, ends, size=60, colour=OPERATOR, title="difference (percentage points)")
    title = alt.Title(
        "Operators that differ in one thing",
        subtitle="thick line: 95 % over questions; thin line: over checkpoints",
    )
    layers, height = [zero_line(), wide, *drawn], 24 * len(order(frame["comparison"]))
    return facet(
        layers,
        frame,
        "population",
        title,
        width=width,
        height=height,
        columns=columns,
        says=extremes(frame, ends[1], "comparison", "+.1f"),
    )
