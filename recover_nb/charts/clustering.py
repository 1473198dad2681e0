"""Charts of a clustering and its stability.

They compute nothing: each draws a frame of `tables.clustering`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import altair as alt
import pandas as pd
import xarray as xr

from recover_nb import tables
from recover_nb.charts.kit import (
    SHARE,
    checked,
    colour_by,
    counts,
    dash_by,
    drawn,
    feature_axes,
    feature_pairs,
    finish,
    frame_of,
    heading,
    in_turn,
    is_study,
    numbers,
    order,
    p_tip,
    rows,
    shape_by,
    share_colour,
    tip,
    wrong_kind,
)
from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature
from recover_nb.core.theme import CLUSTER_COLOURS, CLUSTER_SHAPES, INK
from recover_nb.core.titles import named
from recover_nb.tables.saying import extremes, totals

#: What the chart of stability shows, in words: other numbers in it are said anew.
say_stability = partial(extremes, value="value", by="figure,source")

SOURCE_SHAPES = {"data": "circle", "gaussian": "square", "box": "diamond"}
SOURCE_DASHES = {"data": [1, 0], "gaussian": [6, 3], "box": [2, 2]}
NOISE_LOOK = (INK, "triangle-right")


@checks.takes(data=drawn("ClusterStability"), width=checks.PIXELS)
def plot_stability(data: Any, *, width: int = 460) -> alt.Chart:
    """Draw each stability figure of one clustering over its draws from data without clusters.

    Parameters
    ----------
    data : ClusterStability or DataFrame
        What `cluster_stability` returned, or a frame from `tables.stability_points`.
    width : int
        Pixels.

    Returns
    -------
    Chart
        Circles are the data; thin ticks are draws of the nulls, the open shapes their 95 % limits.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=40, cells=[("qwen3", "sft", "program")])
    >>> result = rnb.cluster_stability(ds, k=2, n_resamples=2, n_null=19, agreement=False)
    >>> chart = rnb.plot_stability(rnb.tables.stability_points(result))
    >>> chart.title.subtitle
    'circle: the data; thin ticks: data without clusters; open shapes: 95 % limits'
    """
    frame = frame_of(data, tables.stability_points)
    frame = checked(frame, ("figure", "source", "kind", "value"))
    figures = order(frame["figure"])
    sources = list(SOURCE_SHAPES)
    # Which way is better stands below the name.
    in_two = "split(replace(datum.label, ')', ''), ' (')"
    tooltip = [tip("figure"), tip("source"), tip("kind"), *numbers(".3f", "value")]
    # ARI can be below 0, so the axis starts where the values do.
    x = alt.X("value:Q", title="figure", scale=alt.Scale(zero=False))

    def part(kind: str) -> alt.Chart:
        return alt.Chart(rows(frame[frame["kind"] == kind])).encode(
            x=x,
            y=alt.Y("figure:N", title=None, sort=figures, axis=alt.Axis(labelExpr=in_two)),
            yOffset=alt.YOffset("source:N", sort=sources),
            tooltip=tooltip,
        )

    layers = [
        part("value")
        .mark_point(filled=True, size=90, opacity=1, color=INK)
        .encode(shape=shape_by("source", SOURCE_SHAPES))
    ]
    # Before it is judged, a clustering has values alone.
    if set(frame["kind"]) != {"value"}:
        draws = part("draw").mark_tick(thickness=1, size=8, opacity=0.7, color=INK)
        limits = part("limit").mark_point(
            filled=False, size=60, strokeWidth=2, opacity=1, color=INK
        )
        limits = limits.encode(shape=shape_by("source", SOURCE_SHAPES))
        layers = [draws, limits, *layers]
    title = alt.Title(
        "Stability, compared with data without clusters",
        subtitle="circle: the data; thin ticks: data without clusters; open shapes: 95 % limits",
    )
    return finish(
        alt.LayerChart(layer=layers),
        title,
        width,
        54 * len(figures),
        says=say_stability(frame),
    )


@checks.takes(data=drawn(), width=checks.PIXELS, height=checks.PIXELS)
def plot_stability_grid(data: Any, *, width: int = 150, height: int = 120) -> alt.VConcatChart:
    """Draw stability against the number of clusters, by algorithm, with the limits of both nulls.

    Parameters
    ----------
    data : DataFrame
        What `stability_grid` returned, or a frame from `tables.grid_lines`.
    width, height : int
        Pixels of a panel.

    Returns
    -------
    VConcatChart
        One row per figure, one column per algorithm; clusters are claimed only where data lie
        beyond both limits.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=40, cells=[("qwen3", "sft", "program")])
    >>> grid = rnb.stability_grid(ds, algorithms=["ward"], ks=[2, 3], n_resamples=2, n_null=19)
    >>> chart = rnb.plot_stability_grid(grid)
    >>> chart.title.text
    'Stability by number of clusters'
    """
    # What `stability_grid` returns is a frame as well, of a row per clustering.
    if is_study(data):
        raise wrong_kind()
    if not isinstance(data, pd.DataFrame):
        raise wrong_kind(f"a {type(data).__name__}")
    frame = data if "source" in data.columns else tables.grid_lines(data)
    frame = checked(frame, ("algorithm", "k", "figure", "source", "value", "verdict", "p_family"))
    algorithms, figures = order(frame["algorithm"]), order(frame["figure"])
    rows = []
    for figure in figures:
        panels = []
        for algorithm in algorithms:
            inside = (frame["figure"] == figure) & (frame["algorithm"] == algorithm)
            first, last = algorithm == algorithms[0], figure == figures[-1]
            panel = _grid_panel(frame[inside], figure if first else None, last)
            title = {"title": heading(named(algorithm))} if figure == figures[0] else {}
            panels.append(panel.properties(width=width, height=height, **title))
        rows.append(alt.hconcat(*panels))
    title = alt.Title(
        "Stability by number of clusters",
        subtitle=(
            "circles: the data; squares and diamonds: 95 % limits of one Gaussian and of a uniform"
            " box (PAC: lower is more stable)"
        ),
    )
    return finish(alt.vconcat(*rows), title, says=totals(frame, "verdict"))


def _grid_panel(part: pd.DataFrame, y_title: str | None, last: bool) -> alt.LayerChart:
    tooltip = [tip("algorithm"), alt.Tooltip("k:Q", title="clusters"), tip("figure"), tip("source")]
    tooltip += [*numbers(".3f", "value"), tip("verdict"), p_tip("p_family")]
    x = alt.X("k:Q", title="clusters" if last else None, axis=alt.Axis(tickMinStep=1, format="d"))
    base = alt.Chart(rows(part)).encode(
        x=x.scale(zero=False, nice=False, padding=8),
        y=alt.Y("value:Q", title=y_title, scale=SHARE),
        tooltip=tooltip,
    )
    dash = dash_by("source", SOURCE_DASHES)
    points = base.mark_point(filled=True, size=40, opacity=1, color=INK)
    return alt.layer(
        base.mark_line(color=INK).encode(strokeDash=dash, detail="source:N"),
        points.encode(shape=shape_by("source", SOURCE_SHAPES)),
    )


@checks.takes(data=drawn("ClusterStability"), width=checks.PIXELS)
def plot_consensus(data: Any, *, width: int = 380) -> alt.Chart:
    """Draw how often resamples put two problems in one cluster.

    Parameters
    ----------
    data : ClusterStability or DataFrame
        What `cluster_stability` returned, or a frame from `tables.consensus_cells`.
    width : int
        Pixels of a side.

    Returns
    -------
    Chart
        Problems by cluster along both sides: full blocks on an empty ground are stable clusters.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = frame_of(data, tables.consensus_cells)
    names = ("row", "column", "consensus")
    tips = ("row_problem", "column_problem", "row_cluster", "column_cluster")
    frame = checked(frame, (*names, *tips))
    bare = alt.Axis(labels=False, ticks=False, domain=False)
    cells = (
        alt.Chart(rows(frame))
        .mark_rect()
        .encode(
            x=alt.X("column:O", title="problems, by cluster", axis=bare),
            y=alt.Y("row:O", title=None, axis=bare),
            color=share_colour("share of resamples", "consensus"),
            tooltip=[*numbers(".2f", "consensus"), *map(tip, tips)],
        )
    )
    return finish(
        cells,
        "Share of resamples that put two problems together",
        width,
        width,
        says=extremes(frame, "consensus", form=".0%"),
    )


@takes_study()
@checks.takes(data=drawn("ClusterStability"), width=checks.PIXELS)
def plot_clusters(data: Any, ds: xr.Dataset | None = None, *, width: int = 250) -> alt.HConcatChart:
    """Draw the failed problems by their three features, two at a time, with their cluster.

    Parameters
    ----------
    data : ClusterStability or DataFrame
        What `cluster_stability` returned for `ds`, or a frame from `tables.cluster_points`.
    ds : Dataset, optional
        The study, which has the features.
    width : int
        Pixels of a panel.

    Returns
    -------
    HConcatChart

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
    >>> found = rnb.cluster_stability(ds, k=2, n_resamples=5, agreement=False)
    >>> len(rnb.plot_clusters(found, ds).hconcat)
    3
    """
    names = [name.value for name in Feature]
    if isinstance(data, pd.DataFrame):
        frame = data
    elif ds is None:
        raise InputError(
            "a clustering is drawn with the features of its study: plot_clusters(found, ds)"
        )
    else:
        frame = tables.cluster_points(data, ds)
    frame = checked(frame, ("cell", "problem", "problem_id", *names, "cluster"))
    marks = _cluster_marks(frame)
    return finish(
        feature_pairs(marks, width), "Failed problems by cluster", says=totals(frame, "cluster")
    )


@checks.takes(
    frame=drawn(),
    x=checks.one_of(Feature),
    y=checks.one_of(Feature),
    width=checks.PIXELS,
    height=checks.PIXELS,
)
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
    frame = checked(frame, ("cell", "problem", "problem_id", *dict.fromkeys((x, y)), "cluster"))
    drawn: dict[str, Any] = (
        {"value": {axis: list(brush[name]) for axis, name in (("x", x), ("y", y))}} if brush else {}
    )
    chosen = alt.param("picked", value=list(picked))
    inside = "length(picked) == 0 || indexof(picked, datum.problem) >= 0"
    # Said in full: conditions in short are looked up in Vega-Lite's schema, which takes as long as
    # the rest.
    chart = _cluster_marks(frame).encode(
        **feature_axes(x, y),
        opacity=alt.OpacityValue(0.25, condition={"test": inside, "value": 1}),
        size=alt.SizeValue(26, condition={"test": inside, "value": 40}),
    )
    chart = chart.add_params(
        chosen, alt.selection_interval(name="brush", encodings=["x", "y"], **drawn)
    )
    return finish(
        chart,
        "Failed problems by cluster: drag to brush",
        width,
        height,
        says=totals(frame, "cluster"),
    )


def _cluster_marks(frame: pd.DataFrame) -> alt.Chart:
    """Draw points in the colour and shape of their cluster that name their problem on hovering."""
    clusters = sorted((name for name in set(frame["cluster"]) if name.isdigit()), key=int)
    colours, shapes = in_turn(clusters, CLUSTER_COLOURS), in_turn(clusters, CLUSTER_SHAPES)
    for name in order(frame["cluster"]):
        colours.setdefault(name, NOISE_LOOK[0])
        shapes.setdefault(name, NOISE_LOOK[1])
    tooltip = [tip("cell"), tip("problem_id"), *counts("problem"), tip("cluster")]
    names = [name.value for name in Feature if name.value in frame]
    tooltip += numbers(".3f", *names)
    marks = alt.Chart(rows(frame)).mark_point(filled=True, size=30, opacity=1)
    return marks.encode(
        color=colour_by("cluster", colours),
        shape=shape_by("cluster", shapes),
        tooltip=tooltip,
    )
