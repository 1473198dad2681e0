"""Charts of transfer between families."""

import altair as alt
import pandas as pd

from recover_nb.charts.escaping import escaped
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
    _top,
    _zero,
)
from recover_nb.charts.theme import (
    GREY,
    ORANGE,
    SKY,
)

STANDARDISATION_COLOURS = {"frozen": ORANGE, "refitted": SKY, "by_cell": GREY}


STANDARDISATION_SHAPES = {"frozen": "diamond", "refitted": "circle", "by_cell": "square"}


ASSIGNED_LOOKS = {
    "source's clusters and scale": (ORANGE, "diamond"),
    "source's clusters, target's scale": (SKY, "circle"),
    "clusters of half the target": (GREY, "square"),
}


def plot_transfer_clusters(frame: pd.DataFrame, *, width: int = 460) -> alt.Chart:
    """Draw how alike the source's clusters and the target's own are.

    Parameters
    ----------
    frame : DataFrame
        From `tables.topography.transfer_agreement`.
    width : int
        Pixels.

    Returns
    -------
    Chart
        ARI by direction: 0 = as alike as chance, 1 = the same; grey is what half of the target
        itself reaches.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = _checked(frame, ("direction", "n_source", "n_target", "assigned", "ari", "evenness"))
    tooltip = [
        _tip("direction"),
        alt.Tooltip("n_source:Q"),
        alt.Tooltip("n_target:Q"),
        _tip("assigned"),
    ]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".2f") for name in ("ari", "evenness")]
    colours = {name: look[0] for name, look in ASSIGNED_LOOKS.items()}
    shapes = {name: look[1] for name, look in ASSIGNED_LOOKS.items()}
    x = alt.X(
        "ari:Q", title="ARI with the target's own clusters", scale=alt.Scale(domain=[-0.1, 1])
    )
    points = (
        alt.Chart(_rows(frame))
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            x=x,
            y=alt.Y("direction:N", title=None, sort=_order(frame["direction"])),
            yOffset=alt.YOffset("assigned:N", sort=list(ASSIGNED_LOOKS)),
            color=_colour("assigned", colours),
            shape=_shape("assigned", shapes),
            tooltip=tooltip,
        )
    )
    height = 34 * frame["direction"].nunique()
    return _finish(points, "Clusters of one, applied to another", width, height)


def plot_transfer_routing(frame: pd.DataFrame, *, width: int = 460) -> alt.FacetChart:
    """Draw what routing gains on the target by each standardisation, with 95 % intervals.

    Parameters
    ----------
    frame : DataFrame
        From `tables.topography.transfer_routing`.
    width : int
        Pixels of a panel.

    Returns
    -------
    FacetChart
        A panel an estimator. ``published`` selects and scores on the same attempts: read ``excess``
        or ``split``.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    needed = ("direction", "standardisation", "estimator", "n", "routed", "retry")
    frame = _checked(frame, (*needed, "points", "low_points", "high_points", "p"))
    names = list(STANDARDISATION_COLOURS)
    tooltip = [
        _tip("direction"),
        _tip("standardisation"),
        _tip("estimator"),
        alt.Tooltip("n:Q", format=",.0f"),
    ]
    tooltip += [*_percents("routed", "retry"), *_signed("points", "low_points", "high_points")]
    tooltip.append(alt.Tooltip("p:Q", format=".3f"))
    base = alt.Chart().encode(
        y=alt.Y("direction:N", title=None, sort=_order(frame["direction"])),
        yOffset=alt.YOffset("standardisation:N", sort=names),
        color=_colour("standardisation", STANDARDISATION_COLOURS),
        tooltip=tooltip,
    )
    x = alt.X("low_points:Q", title="routed minus retry (percentage points)")
    spans = base.mark_rule(strokeWidth=2).encode(x=x, x2=alt.X2("high_points:Q"))
    shape = _shape("standardisation", STANDARDISATION_SHAPES)
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("points:Q"), shape=shape
    )
    height = 40 * frame["direction"].nunique()
    panels = alt.LayerChart(layer=[_zero(), spans, points], width=width, height=height)
    row = alt.Facet(
        "estimator:N",
        title=None,
        sort=_order(frame["estimator"]),
        header=alt.Header(labelOrient="top", labelAnchor="start"),
    )
    top = _top("Routing on the target, by whose scale standardises")
    return escaped(
        alt.FacetChart(data=_rows(frame), spec=panels, facet=alt.FacetMapping(row=row), **top)
    )
