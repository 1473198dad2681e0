"""Charts of transfer between families."""

from typing import Any

import altair as alt

from recover_nb import tables
from recover_nb.charts.kit import (
    checked,
    counts,
    drawn,
    facet,
    finish,
    frame_of,
    headline,
    interval,
    numbers,
    order,
    p_tip,
    panels_by,
    percents,
    rows,
    shape_by,
    signed,
    tip,
    zero_line,
)
from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.theme import INK, OPERATOR
from recover_nb.tables.saying import extremes

#: What routing is held to: its column, the prefix of the lift's columns, p, and the axis.
AGAINST = {
    "permuted": (
        "permuted",
        "permuted_",
        "permuted_p",
        "routed minus the same routes permuted (percentage points)",
    ),
    "retry": ("retry", "", "p", "routed minus retry (percentage points)"),
}
STANDARDISATION_SHAPES = {"frozen": "diamond", "refitted": "circle", "by_cell": "square"}


ASSIGNED_SHAPES = {
    "source's clusters and scale": "diamond",
    "source's clusters, target's scale": "circle",
    "clusters of half the target": "square",
}


@checks.takes(data=drawn("Transfer"), width=checks.PIXELS)
def plot_transfer_clusters(data: Any, *, width: int = 460) -> alt.Chart:
    """Draw how alike the source's clusters and the target's own are.

    Parameters
    ----------
    data : Transfer or DataFrame
        What `transfer` returned, or a frame from `tables.transfer_agreement`.
    width : int
        Pixels.

    Returns
    -------
    Chart
        ARI by direction: 0 = as alike as chance, 1 = the same; the square is what half of
        the target itself reaches.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> moved = rnb.transfer(rnb.load_study(), n_null=1, n_splits=1, n_bootstrap=10)
    >>> chart = rnb.plot_transfer_clusters(rnb.tables.transfer_agreement(moved))
    >>> chart.title
    'Clusters of one, applied to another'
    """
    frame = headline(frame_of(data, tables.transfer_agreement))
    frame = checked(frame, ("direction", "n_source", "n_target", "assigned", "ari", "evenness"))
    tooltip = [
        tip("direction"),
        *counts("n_source", "n_target"),
        tip("assigned"),
    ]
    tooltip += numbers(".2f", "ari", "evenness")
    x = alt.X(
        "ari:Q", title="ARI with the target's own clusters", scale=alt.Scale(domain=[-0.1, 1])
    )
    points = (
        alt.Chart(rows(frame))
        .mark_point(filled=True, size=90, opacity=1, color=INK)
        .encode(
            x=x,
            y=alt.Y("direction:N", title=None, sort=order(frame["direction"])),
            yOffset=alt.YOffset("assigned:N", sort=list(ASSIGNED_SHAPES)),
            shape=shape_by("assigned", ASSIGNED_SHAPES),
            tooltip=tooltip,
        )
    )
    height = 34 * frame["direction"].nunique()
    return finish(
        points,
        "Clusters of one, applied to another",
        width,
        height,
        says=extremes(frame, "ari", "direction,assigned", ".2f"),
    )


@checks.takes(data=drawn("Transfer"), width=checks.PIXELS, against=checks.one_of(AGAINST))
def plot_transfer_routing(
    data: Any, *, against: str = "permuted", width: int = 460
) -> alt.FacetChart:
    """Draw what routing gains on the target by each standardisation, with 95 % intervals.

    Parameters
    ----------
    data : Transfer or DataFrame
        What `transfer` returned, or its `to_dataframe`; of several populations the first.
    against : {"permuted", "retry"}
        What routing is held to: its own routes permuted within the target's cells, or no routes.
    width : int
        Pixels of a panel.

    Returns
    -------
    FacetChart
        A panel an estimator. ``published`` selects and scores on the same attempts: read ``split``,
        and against retry the ``excess``.

    Raises
    ------
    InputError
        If a column is missing, there are too many rows, or `against` is unknown.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> moved = rnb.transfer(rnb.load_study(), n_null=1, n_splits=1, n_bootstrap=10)
    >>> chart = rnb.plot_transfer_routing(moved.to_dataframe())
    >>> chart.title
    'Routing on the target, by whose scale standardises'
    """
    if against not in AGAINST:
        raise InputError(f"against is {against!r}; allowed: {', '.join(AGAINST)}")
    other, prefix, p, axis = AGAINST[against]
    frame = headline(frame_of(data))
    ends = tuple(f"{prefix}{end}_points" for end in ("low", "high"))
    value = f"{prefix}lift_points" if prefix else "points"
    needed = ("direction", "standardisation", "estimator", "n", "routed", other, value, *ends, p)
    frame = checked(frame, needed)
    frame = checked(frame[frame[value].notna()], needed)
    names = list(STANDARDISATION_SHAPES)
    tooltip = [*map(tip, ("direction", "standardisation", "estimator")), *counts("n")]
    tooltip += [*percents("routed", other), *signed(value, *ends), p_tip(p)]
    base = alt.Chart().encode(
        y=alt.Y("direction:N", title=None, sort=order(frame["direction"])),
        yOffset=alt.YOffset("standardisation:N", sort=names),
        tooltip=tooltip,
    )
    shape = {"shape": shape_by("standardisation", STANDARDISATION_SHAPES)}
    drawn = interval(
        base, (ends[0], value, ends[1]), size=70, colour=OPERATOR, looks=shape, title=axis
    )
    row = panels_by("estimator", frame, labelOrient="top", labelAnchor="start")
    title = "Routing on the target, by whose scale standardises"
    height = 40 * frame["direction"].nunique()
    layers = [zero_line(), *drawn]
    return facet(
        layers,
        frame,
        {"row": row},
        title,
        width=width,
        height=height,
        says=extremes(frame, value, "direction,standardisation", "+.1f"),
    )
