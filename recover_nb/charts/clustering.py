"""Charts of a clustering and its stability.

They compute nothing: each draws a frame of `tables.clustering`.
"""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from recover_nb.charts.kit import _checked, _colour, _finish, _order, _rows, _shape, _tip
from recover_nb.charts.theme import (
    BLUE,
    FEATURE_TITLES,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
)
from recover_nb.core.labels import Feature, parse

SOURCE_COLOURS = {"data": VERMILION, "gaussian": SKY, "box": GREY}
SOURCE_SHAPES = {"data": "circle", "gaussian": "square", "box": "diamond"}
#: Seven colours and six shapes: their pairs tell 42 clusters apart.
CLUSTER_COLOURS = (SKY, ORANGE, GREEN, VERMILION, PURPLE, BLUE, YELLOW)
CLUSTER_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
NOISE_LOOK = (GREY, "triangle-right")
_UNIT = alt.Scale(domain=[0, 1])


def plot_stability(frame: pd.DataFrame, *, width: int = 460) -> alt.Chart:
    """Draw each stability figure of one clustering over its draws from data without clusters.

    Parameters
    ----------
    frame : DataFrame
        From `tables.clustering.stability_points`.
    width : int
        Pixels.

    Returns
    -------
    Chart
        Circles are the data; thin ticks are draws of the nulls, the long ones their 95 % limits.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = _checked(frame, ("figure", "source", "kind", "value"))
    figures = _order(frame["figure"])
    sources = list(SOURCE_COLOURS)
    tooltip = [_tip("figure"), _tip("source"), _tip("kind"), alt.Tooltip("value:Q", format=".3f")]
    # ARI can be below 0, so the axis starts where the values do.
    x = alt.X("value:Q", title="figure", scale=alt.Scale(zero=False))

    def part(kind: str) -> alt.Chart:
        return alt.Chart(_rows(frame[frame["kind"] == kind])).encode(
            x=x,
            y=alt.Y("figure:N", title=None, sort=figures),
            yOffset=alt.YOffset("source:N", sort=sources),
            color=_colour("source", SOURCE_COLOURS),
            tooltip=tooltip,
        )

    layers = [
        part("value")
        .mark_point(filled=True, size=90, opacity=1)
        .encode(shape=_shape("source", SOURCE_SHAPES))
    ]
    # Before it is judged, a clustering has values alone.
    if set(frame["kind"]) != {"value"}:
        draws = part("draw").mark_tick(thickness=1, size=8, opacity=0.7)
        limits = part("limit").mark_tick(thickness=3, size=16, opacity=1)
        layers = [draws, limits, *layers]
    title = alt.Title(
        "Stability beside data without clusters",
        subtitle="circle: the data; thin ticks: draws of each null; thick tick: its 95 % limit",
    )
    return _finish(alt.LayerChart(layer=layers), title, width, 54 * len(figures))


def plot_stability_grid(
    frame: pd.DataFrame, *, width: int = 150, height: int = 120
) -> alt.VConcatChart:
    """Draw stability against the number of clusters, by algorithm, with the limits of both nulls.

    Parameters
    ----------
    frame : DataFrame
        From `tables.clustering.grid_lines`.
    width, height : int
        Pixels of a panel.

    Returns
    -------
    VConcatChart
        A row a figure, a column an algorithm; clusters are claimed only where data lie beyond both
        limits.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = _checked(frame, ("algorithm", "k", "figure", "source", "value", "verdict", "p_family"))
    algorithms, figures = _order(frame["algorithm"]), _order(frame["figure"])
    rows = []
    for figure in figures:
        panels = []
        for algorithm in algorithms:
            inside = (frame["figure"] == figure) & (frame["algorithm"] == algorithm)
            first, last = algorithm == algorithms[0], figure == figures[-1]
            panel = _grid_panel(frame[inside], figure if first else None, last)
            heading = alt.Title(algorithm, fontSize=12, fontWeight="normal", offset=4)
            title = {"title": heading} if figure == figures[0] else {}
            panels.append(panel.properties(width=width, height=height, **title))
        rows.append(alt.hconcat(*panels))
    title = alt.Title(
        "Stability by number of clusters",
        subtitle=(
            "data, and the 95 % limits of one Gaussian and of a uniform box (PAC: lower is more"
            " stable)"
        ),
    )
    return _finish(alt.vconcat(*rows), title)


def _grid_panel(part: pd.DataFrame, y_title: str | None, last: bool) -> alt.LayerChart:
    tooltip = [_tip("algorithm"), "k:Q", _tip("figure"), _tip("source")]
    tooltip += [
        alt.Tooltip("value:Q", format=".3f"),
        _tip("verdict"),
        alt.Tooltip("p_family:Q", format=".3f"),
    ]
    x = alt.X("k:Q", title="clusters" if last else None, axis=alt.Axis(tickMinStep=1, format="d"))
    base = alt.Chart(_rows(part)).encode(
        x=x.scale(zero=False, nice=False, padding=8),
        y=alt.Y("value:Q", title=y_title, scale=_UNIT),
        color=_colour("source", SOURCE_COLOURS),
        tooltip=tooltip,
    )
    # The legend of colour and shape names the lines already.
    dash = alt.StrokeDash("source:N", sort=list(SOURCE_COLOURS), legend=None)
    points = base.mark_point(filled=True, size=40, opacity=1)
    return alt.layer(
        base.mark_line().encode(strokeDash=dash),
        points.encode(shape=_shape("source", SOURCE_SHAPES)),
    )


def plot_consensus(frame: pd.DataFrame, *, width: int = 380) -> alt.Chart:
    """Draw how often resamples put two problems in one cluster.

    Parameters
    ----------
    frame : DataFrame
        From `tables.clustering.consensus_cells`.
    width : int
        Pixels of a side.

    Returns
    -------
    Chart
        Problems by cluster along both sides: dark blocks on a pale ground are stable clusters.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    names = ("row", "column", "consensus")
    tips = ("row_problem", "column_problem", "row_cluster", "column_cluster")
    frame = _checked(frame, (*names, *tips))
    bare = alt.Axis(labels=False, ticks=False, domain=False)
    scale = alt.Scale(domain=[0, 1], scheme="blues")
    cells = (
        alt.Chart(_rows(frame))
        .mark_rect()
        .encode(
            x=alt.X("column:O", title="problems, by cluster", axis=bare),
            y=alt.Y("row:O", title=None, axis=bare),
            color=alt.Color("consensus:Q", title="consensus", scale=scale),
            tooltip=[alt.Tooltip("consensus:Q", format=".2f"), *(_tip(name) for name in tips)],
        )
    )
    return _finish(cells, "Share of resamples that put two problems together", width, width)


def plot_clusters(frame: pd.DataFrame, *, width: int = 250) -> alt.HConcatChart:
    """Draw the failed problems by their three features, two at a time, with their cluster.

    Parameters
    ----------
    frame : DataFrame
        From `tables.clustering.cluster_points`.
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
    frame = _checked(frame, ("cell", "problem", "problem_id", *names, "cluster"))
    marks = _cluster_marks(frame)
    pairs = ((names[0], names[1]), (names[0], names[2]), (names[1], names[2]))
    panels = [marks.encode(**_axes(x, y)).properties(width=width, height=width) for x, y in pairs]
    return _finish(alt.hconcat(*panels), "Failed problems by cluster")


def plot_cluster_brush(
    frame: pd.DataFrame,
    x: str,
    y: str,
    *,
    picked: Sequence[int] = (),
    brush: Mapping[str, tuple[float, float]] | None = None,
    width: int = 520,
    height: int = 380,
) -> alt.Chart:
    """Draw the failed problems by two features, with their cluster, to be brushed.

    Parameters
    ----------
    frame : DataFrame
        From `tables.clustering.cluster_points`.
    x, y : str
        Two features.
    picked : sequence of int
        Values of ``problem`` that stand out; none = all. It is the chart's parameter ``picked``,
        which can be set.
    brush : mapping of str to (low, high), optional
        The rectangle that is drawn: the chart's interval selection ``brush``.
    width, height : int
        Pixels.

    Returns
    -------
    Chart
        Problems that are not picked are pale and small.

    Raises
    ------
    InputError
        If a column is missing, there are too many rows, or a feature is not one.
    """
    x, y = parse(Feature, x).value, parse(Feature, y).value
    frame = _checked(frame, ("cell", "problem", "problem_id", *dict.fromkeys((x, y)), "cluster"))
    drawn = (
        {"value": {axis: list(brush[name]) for axis, name in (("x", x), ("y", y))}} if brush else {}
    )
    chosen = alt.param("picked", value=list(picked))
    inside = "length(picked) == 0 || indexof(picked, datum.problem) >= 0"
    # Said in full: conditions in short are looked up in Vega-Lite's schema, which takes as long as
    # the rest.
    chart = _cluster_marks(frame).encode(
        **_axes(x, y),
        opacity=alt.OpacityValue(0.25, condition={"test": inside, "value": 0.75}),
        size=alt.SizeValue(26, condition={"test": inside, "value": 40}),
    )
    chart = chart.add_params(
        chosen, alt.selection_interval(name="brush", encodings=["x", "y"], **drawn)
    )
    return _finish(chart, "Failed problems by cluster: drag to brush", width, height)


def _axes(x: str, y: str) -> dict[str, alt.X | alt.Y]:
    return {
        "x": alt.X(f"{x}:Q", title=FEATURE_TITLES[x], scale=alt.Scale(zero=False)),
        "y": alt.Y(f"{y}:Q", title=FEATURE_TITLES[y], scale=alt.Scale(zero=False)),
    }


def _cluster_marks(frame: pd.DataFrame) -> alt.Chart:
    """Draw points in the colour and shape of their cluster that name their problem on hovering."""
    clusters = sorted((name for name in set(frame["cluster"]) if name.isdigit()), key=int)
    looks = {
        name: (_look(CLUSTER_COLOURS, i), _look(CLUSTER_SHAPES, i))
        for i, name in enumerate(clusters)
    }
    looks |= {name: NOISE_LOOK for name in _order(frame["cluster"]) if name not in looks}
    tooltip = [_tip("cell"), _tip("problem_id"), alt.Tooltip("problem:Q"), _tip("cluster")]
    names = [name.value for name in Feature if name.value in frame]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".3f") for name in names]
    marks = alt.Chart(_rows(frame)).mark_point(filled=True, size=34, opacity=0.6)
    return marks.encode(
        color=_colour("cluster", {name: look[0] for name, look in looks.items()}),
        shape=_shape("cluster", {name: look[1] for name, look in looks.items()}),
        tooltip=tooltip,
    )


def _look(choices: tuple[str, ...], place: int) -> str:
    return choices[place % len(choices)]
