"""Charts of topography, transfer and reading.

They compute nothing: each draws a frame of `tables.topography`.
"""

import altair as alt
import pandas as pd

from recover_nb.charts.escaping import escaped
from recover_nb.charts.kit import (
    _by_part,
    _checked,
    _colour,
    _order,
    _percents,
    _rows,
    _shape,
    _tip,
    _top,
    _zero,
)
from recover_nb.charts.theme import (
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
)

#: What names a cell of a confusion matrix.
CELL = ("true", "predicted")


CLASS_COLOURS = (SKY, ORANGE, GREEN, VERMILION, PURPLE, BLUE, YELLOW)


_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")


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


def plot_scores(frame: pd.DataFrame, *, width: int = 280) -> alt.FacetChart:
    """Draw how well a label is predicted, beside the baseline and permuted labels.

    Parameters
    ----------
    frame : DataFrame
        From `tables.prediction.score_lines`.
    width : int
        Pixels of a panel.

    Returns
    -------
    FacetChart
        A panel a score: the blue point is the prediction, the orange tick the baseline (the
        commonest class, or an AUC of 0.5), the grey bar the middle 95 % of permuted labels.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    spans = ("null_low", "null_mean", "null_high")
    frame = _checked(
        frame, ("score", "part", "units", "value", "baseline", *spans, "p", "permutations")
    )
    tooltip = [_tip("part"), alt.Tooltip("units:Q"), alt.Tooltip("permutations:Q")]
    tooltip += [
        alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "baseline", *spans, "p")
    ]
    base = alt.Chart().encode(
        y=alt.Y("part:N", title=None, sort=_order(frame["part"])), tooltip=tooltip
    )
    x = alt.X("null_low:Q", title=None, scale=alt.Scale(domain=[0, 1]))
    null = base.mark_bar(height=12, color=GREY, opacity=0.6).encode(x=x, x2=alt.X2("null_high:Q"))
    baseline = base.mark_tick(color=ORANGE, thickness=3, size=18).encode(x=alt.X("baseline:Q"))
    value = base.mark_point(color=SKY, filled=True, size=80, opacity=1).encode(x=alt.X("value:Q"))
    height = 26 * frame["part"].nunique() + 12
    layers = alt.LayerChart(layer=[null, baseline, value], width=width, height=height)
    title = alt.Title(
        "How well the label is predicted",
        subtitle="blue point: from the features; orange tick: baseline; grey bar: permuted labels",
    )
    column = alt.FacetMapping(column=alt.Column("score:N", title=None, sort=_order(frame["score"])))
    return escaped(alt.FacetChart(data=_rows(frame), spec=layers, facet=column, **_top(title)))


def plot_coefficients(
    frame: pd.DataFrame, *, width: int = 420, columns: int = 2
) -> alt.LayerChart | alt.FacetChart:
    """Draw what each feature says for each class.

    Parameters
    ----------
    frame : DataFrame
        From `tables.prediction.coefficient_spans`; more than one part gives a panel each.
    width : int
        Pixels of a panel.
    columns : int
        Panels in a row.

    Returns
    -------
    LayerChart or FacetChart
        Log-odds of a class per sd of a feature, 0 = the feature says nothing for or against; the
        line is one sd over the folds' own fits either way.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = _checked(frame, ("part", "class", "feature", "coefficient", "sd", "low", "high"))
    classes = _order(frame["class"])
    colours = {name: CLASS_COLOURS[i % len(CLASS_COLOURS)] for i, name in enumerate(classes)}
    shapes = {name: _SHAPES[i % len(_SHAPES)] for i, name in enumerate(classes)}
    tooltip = [_tip("part"), _tip("class"), _tip("feature")]
    tooltip += [
        alt.Tooltip("coefficient:Q", format="+.2f"),
        alt.Tooltip("sd:Q", format=".2f"),
    ]
    base = alt.Chart().encode(
        y=alt.Y("feature:N", title=None, sort=_order(frame["feature"])),
        yOffset=alt.YOffset("class:N", sort=classes),
        color=_colour("class", colours),
        tooltip=tooltip,
    )
    x = alt.X("low:Q", title="log-odds per sd of the feature")
    spans = base.mark_rule(strokeWidth=2).encode(x=x, x2=alt.X2("high:Q"))
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("coefficient:Q"), shape=_shape("class", shapes)
    )
    height = max(48, 14 * len(classes)) * frame["feature"].nunique()
    layers = [_zero(), spans, points]
    return _by_part(layers, frame, "What each feature says for a class", width, height, columns)
