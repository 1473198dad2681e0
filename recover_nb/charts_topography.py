"""Charts of topography, transfer and reading.

They compute nothing: each draws a frame of `tables.topography`.
"""

import altair as alt
import pandas as pd

from recover_nb.charts import (
    _checked,
    _colour,
    _finish,
    _order,
    _percents,
    _rows,
    _shape,
    _signed,
    _tip,
    _zero,
)
from recover_nb.escaping import escaped
from recover_nb.theme import (
    BLUE,
    FEATURE_TITLES,
    GREEN,
    GREY,
    ON_BAR,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
    theme,
)

#: What names a cell of a confusion matrix.
CELL = ("true", "predicted")
CLASS_COLOURS = (SKY, ORANGE, GREEN, VERMILION, PURPLE, BLUE, YELLOW)
STANDARDISATION_COLOURS = {"frozen": ORANGE, "refitted": SKY, "by_cell": GREY}
STANDARDISATION_SHAPES = {"frozen": "diamond", "refitted": "circle", "by_cell": "square"}
ASSIGNED_LOOKS = {
    "source's clusters and scale": (ORANGE, "diamond"),
    "source's clusters, target's scale": (SKY, "circle"),
    "clusters of half the target": (GREY, "square"),
}


def plot_confusion(
    frame: pd.DataFrame,
    *,
    width: int = 300,
    columns: int = 3,
    chosen: tuple[str, str] | None = None,
) -> alt.Chart | alt.FacetChart:
    """Draw which class is taken for which, out of fold.

    Parameters
    ----------
    frame : DataFrame
        From `tables.topography.confusion_cells`; more than one part gives a panel each.
    width : int
        Pixels of a side.
    columns : int
        Panels in a row.
    chosen : tuple of (str, str), optional
        Of a single part: true and predicted class of the cell that is framed, empty = none. The
        chart then has a point selection ``cell``, and parameters ``chosen_true`` and
        ``chosen_predicted``.

    Returns
    -------
    Chart or FacetChart
        The share of each true class (row) that is predicted as each class (column), written in the
        cell.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = _checked(frame, ("part", "true", "predicted", "count", "share", "label"))
    tooltip = [
        _tip("part"),
        _tip("true"),
        _tip("predicted"),
        alt.Tooltip("count:Q", format=".1f"),
        *_percents("share"),
    ]
    base = alt.Chart().encode(
        x=alt.X(
            "predicted:N",
            title="predicted",
            sort=_order(frame["true"]),
            axis=alt.Axis(labelAngle=-30),
        ),
        y=alt.Y("true:N", title="true", sort=_order(frame["true"])),
        tooltip=tooltip,
    )
    # From white to a blue on which black still reads.
    scale = alt.Scale(domain=[0, 1], range=["#ffffff", SKY], interpolate="rgb")
    cells = base.mark_rect(stroke=GREY, strokeWidth=0.5).encode(
        color=alt.Color(
            "share:Q", title="share of the true class", scale=scale, legend=alt.Legend(format=".0%")
        )
    )
    words = base.mark_text(color=ON_BAR).encode(text=alt.Text("label:N"))
    layers = [cells, words] if chosen is None else [_choosable(cells, chosen), words, _frame(base)]
    return _by_part(layers, frame, "What is taken for what, out of fold", width, width, columns)


def _choosable(cells: alt.Chart, chosen: tuple[str, str]) -> alt.Chart:
    """Let a cell be chosen by a click; a click beside the cells chooses none."""
    params = [
        alt.param(name=f"chosen_{name}", value=value)
        for name, value in zip(CELL, chosen, strict=True)
    ]
    # No toggling: to Python, a click is a choice.
    picked = alt.selection_point(name="cell", fields=list(CELL), toggle=False)
    return cells.mark_rect(stroke=GREY, strokeWidth=0.5, cursor="pointer").add_params(
        picked, *params
    )


def _frame(base: alt.Chart) -> alt.Chart:
    """Draw a line around the chosen cell, over its neighbours."""
    here = " && ".join(f"datum.{name} === chosen_{name}" for name in CELL)
    width = alt.StrokeWidthValue(0, condition=[{"test": here, "value": 5}])
    return base.mark_rect(fill=None, stroke=VERMILION).encode(strokeWidth=width)


def plot_feature_quantiles(frame: pd.DataFrame, *, width: int = 230) -> alt.FacetChart:
    """Draw the distribution of each feature in each class.

    Parameters
    ----------
    frame : DataFrame
        From `tables.topography.feature_quantiles`.
    width : int
        Pixels of a panel.

    Returns
    -------
    FacetChart
        A row of panels a part, a panel a feature: the line is the middle 90 %, the bar the middle
        half, the white tick the median, the diamond the mean.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    quantiles = ("q05", "q25", "q50", "q75", "q95")
    frame = _checked(frame, ("part", "class", "feature", "units", "mean", *quantiles))
    classes, features = _order(frame["class"]), _order(frame["feature"])
    colours = {name: CLASS_COLOURS[i % len(CLASS_COLOURS)] for i, name in enumerate(classes)}
    # A facet takes one source of data for all layers, and is built much faster than as many charts
    # side by side.
    titles = {name: str(FEATURE_TITLES.get(name, name)) for name in features}
    layers = alt.LayerChart(layer=_boxes(colours), width=width, height=26 * len(classes) + 8)
    panels = {"column": alt.Facet("feature:N", title=None, sort=list(titles.values()))}
    if frame["part"].nunique() > 1:
        panels["row"] = alt.Facet("part:N", title=None, sort=_order(frame["part"]))
    title = alt.Title(
        "Features by class",
        subtitle="line: middle 90 %; bar: middle half; tick: median; diamond: mean",
    )
    rows = _rows(frame.assign(feature=frame["feature"].map(titles)))
    free = alt.Resolve(scale=alt.ScaleResolveMap(x="independent"))
    return escaped(
        alt.FacetChart(
            data=rows, spec=layers, facet=alt.FacetMapping(**panels), resolve=free, **_top(title)
        )
    )


def _boxes(colours: dict[str, str]) -> list[alt.Chart]:
    """Boxes whose every figure is a column."""
    tooltip = [_tip("part"), _tip("class"), alt.Tooltip("units:Q")]
    tooltip += [
        alt.Tooltip(f"{name}:Q", format=".3f")
        for name in ("mean", "q05", "q25", "q50", "q75", "q95")
    ]
    base = alt.Chart().encode(y=alt.Y("class:N", title=None, sort=list(colours)), tooltip=tooltip)

    def x(name: str) -> alt.X:
        return alt.X(f"{name}:Q", title=None, scale=alt.Scale(zero=False))

    # The axis names the classes already.
    colour = _colour("class", colours).legend(None)
    whiskers = base.mark_rule(strokeWidth=2).encode(x=x("q05"), x2=alt.X2("q95:Q"), color=colour)
    bars = base.mark_bar(height=14).encode(x=x("q25"), x2=alt.X2("q75:Q"), color=colour)
    median = base.mark_tick(color="white", thickness=2, size=14).encode(x=x("q50"))
    mean = base.mark_point(shape="diamond", filled=True, color=ON_BAR, size=40, opacity=1).encode(
        x=x("mean")
    )
    return [whiskers, bars, median, mean]


def plot_effects(
    frame: pd.DataFrame, *, width: int = 420, columns: int = 2
) -> alt.Chart | alt.FacetChart:
    """Draw how far apart two classes are in each feature, with 95 % intervals.

    Parameters
    ----------
    frame : DataFrame
        From `tables.topography.effect_sizes`; more than one part gives a panel each.
    width : int
        Pixels of a panel.
    columns : int
        Panels in a row.

    Returns
    -------
    Chart or FacetChart
        Cliff's delta: 0 = neither class tends to be larger, 1 = the first always is.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = _checked(frame, ("part", "feature", "class", "versus", "pair", "delta", "low", "high"))
    features = _order(frame["feature"])
    colours = {name: CLASS_COLOURS[i % len(CLASS_COLOURS)] for i, name in enumerate(features)}
    shapes = dict(
        zip(features, ("circle", "square", "triangle-up", "diamond", "cross") * 9, strict=False)
    )
    tooltip = [_tip("part"), _tip("feature"), _tip("class"), _tip("versus")]
    tooltip += [alt.Tooltip(f"{name}:Q", format="+.2f") for name in ("delta", "low", "high")]
    x = alt.X("low:Q", title="Cliff's delta, 95 % interval", scale=alt.Scale(domain=[-1, 1]))
    base = alt.Chart().encode(
        y=alt.Y("pair:N", title=None, sort=_order(frame["pair"])),
        yOffset=alt.YOffset("feature:N", sort=features),
        color=_colour("feature", colours),
        tooltip=tooltip,
    )
    spans = base.mark_rule(strokeWidth=2).encode(x=x, x2=alt.X2("high:Q"))
    points = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=alt.X("delta:Q"), shape=_shape("feature", shapes)
    )
    height = 48 * frame["pair"].nunique()
    layers = [_zero(), spans, points]
    return _by_part(layers, frame, "How far apart classes are", width, height, columns)


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


def plot_reading(
    frame: pd.DataFrame, *, width: int = 420, columns: int = 2
) -> alt.Chart | alt.FacetChart:
    """Draw the features' lead in AUC over every reader, with 95 % intervals paired by fold.

    Parameters
    ----------
    frame : DataFrame
        From `tables.topography.reading_scores`; more than one part gives a panel each.
    width : int
        Pixels of a panel.
    columns : int
        Panels in a row.

    Returns
    -------
    Chart or FacetChart
        Right of 0 the features say more, left of it one does better by reading.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    needed = (
        "part",
        "units",
        "reader",
        "about",
        "auc",
        "auc_lead",
        "auc_low",
        "auc_high",
        "accuracy",
    )
    frame = _checked(frame, needed)
    # The features lead themselves by nothing.
    frame = _checked(frame[frame["auc_lead"].notna()], needed)
    tooltip = [
        _tip("part"),
        alt.Tooltip("units:Q"),
        _tip("reader"),
        _tip("about"),
        alt.Tooltip("auc:Q", format=".3f"),
    ]
    tooltip += [
        alt.Tooltip(f"{name}:Q", format="+.3f") for name in ("auc_lead", "auc_low", "auc_high")
    ]
    tooltip += _percents("accuracy")
    base = alt.Chart().encode(
        y=alt.Y("reader:N", title=None, sort=_order(frame["reader"])), tooltip=tooltip
    )
    x = alt.X("auc_low:Q", title="AUC of the features less that of the reader")
    spans = base.mark_rule(color=SKY, strokeWidth=2).encode(x=x, x2=alt.X2("auc_high:Q"))
    points = base.mark_point(color=SKY, filled=True, size=80, opacity=1).encode(
        x=alt.X("auc_lead:Q")
    )
    height = 28 * frame["reader"].nunique()
    layers = [_zero(), spans, points]
    return _by_part(layers, frame, "Features against reading", width, height, columns)


def _by_part(
    layers: list[alt.Chart], frame: pd.DataFrame, title: str, width: int, height: int, columns: int
) -> alt.LayerChart | alt.FacetChart:
    """Layers over one table as one chart, or a panel a part where there are several.

    The table and all properties are given as a chart is made: one with layers is built anew by each
    that is added.
    """
    rows, size = _rows(frame), {"width": width, "height": height}
    if frame["part"].nunique() == 1:
        return escaped(alt.LayerChart(data=rows, layer=layers, **size, **_top(title)))
    part = alt.Facet("part:N", title=None, sort=_order(frame["part"]))
    panels = alt.LayerChart(layer=layers, **size)
    return escaped(
        alt.FacetChart(data=rows, spec=panels, facet=part, columns=columns, **_top(title))
    )


def _top(title: str | alt.Title) -> dict[str, object]:
    """Title and theme, as keywords of a chart."""
    return {"title": title, "config": alt.Config(**theme())}
