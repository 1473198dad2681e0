"""The chart of what an intervention changes."""

from typing import Any

import altair as alt
import pandas as pd

from recover_nb import tables
from recover_nb.charts.kit import (
    checked,
    counts,
    drawn,
    facet,
    interval,
    names_axis,
    order,
    panels_by,
    percents,
    signed,
    tip,
    zero_line,
)
from recover_nb.core import checks
from recover_nb.core.theme import INK, OPERATOR
from recover_nb.core.titles import named
from recover_nb.tables.saying import extremes


@checks.takes(data=drawn("Changes", "Dataset"), width=checks.PIXELS, population=checks.TEXT)
def plot_what_changed(
    data: Any, *, population: str | None = None, width: int = 170
) -> alt.LayerChart | alt.FacetChart:
    """Draw how each intervention's difference from retry comes about: more work, or better work.

    Parameters
    ----------
    data : Changes, Dataset or DataFrame
        What `what_changed` returned, a study, or a frame from `tables.changes_by_part`.
    population : str, optional
        Which problems; the headline unless told. A frame has its own.
    width : int
        Pixels of a panel.

    Returns
    -------
    FacetChart
        A panel for the difference and one for each of its parts, which add up to it. Thick rules
        are 95 % intervals over questions, thin ones over checkpoints.

    Raises
    ------
    InputError
        If a column is missing, or the population was not asked for.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> chart = rnb.plot_what_changed(rnb.what_changed(rnb.load_study(), n_bootstrap=100))
    >>> chart.title.text
    'More work, or better work? First answer failed'
    """
    frame = data
    if not isinstance(data, pd.DataFrame):
        frame = tables.changes_by_part(data, population=population)
    spans = ("low_points", "high_points", "low_checkpoints_points", "high_checkpoints_points")
    rates = ("retry", "rate", "share_retry", "share", "accuracy_retry", "accuracy", "borrowed")
    frame = checked(frame, ("population", "n", "intervention", "part", "points", *spans, *rates))
    names = order(frame["intervention"])
    tooltip = [tip("intervention"), tip("part"), *signed("points", *spans)]
    tooltip += [*counts("n"), *percents(*rates)]
    base = alt.Chart().encode(
        y=alt.Y("intervention:N", title=None, sort=names, axis=names_axis(names)), tooltip=tooltip
    )
    over = base.mark_rule(color=INK, strokeWidth=1, opacity=0.6).encode(
        x=alt.X("low_checkpoints_points:Q", title="points"), x2="high_checkpoints_points:Q"
    )
    ends = ("low_points", "points", "high_points")
    layers = [zero_line(), over, *interval(base, ends, size=36, colour=OPERATOR, title="points")]
    title = alt.Title(
        f"More work, or better work? {named(frame['population'].iloc[0]).capitalize()}",
        subtitle=[
            "percentage points over asking again (retry), and the parts that add up to them",
            "95 % intervals: thick over questions, thin over checkpoints",
        ],
    )
    column = panels_by("part", frame, labelOrient="top", labelAnchor="start")
    return facet(
        layers,
        frame,
        {"column": column},
        title,
        width=width,
        height=22 * len(names),
        says=extremes(frame, "points", "intervention,part", "+.1f"),
    )
