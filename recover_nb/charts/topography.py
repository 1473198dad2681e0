"""Charts of topography, transfer and reading.

They compute nothing: each draws a frame of `tables.topography`.
"""

from typing import Any

import altair as alt

from recover_nb import tables
from recover_nb.charts.kit import (
    SHARE,
    checked,
    colour_by,
    counts,
    drawn,
    facet,
    frame_of,
    in_turn,
    interval,
    names_axis,
    numbers,
    order,
    p_tip,
    panels_by,
    percents,
    shape_by,
    share_colour,
    tip,
    zero_line,
)
from recover_nb.core import checks
from recover_nb.core.theme import FEATURE_TITLES, INK, REGIME_COLOURS
from recover_nb.tables.saying import extremes

#: What names a cell of a confusion matrix.
CELL = ("true", "predicted")


SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")

QUANTILES = ("q05", "q25", "q50", "q75", "q95")


@checks.takes(data=drawn("Topography"), width=checks.PIXELS, columns=checks.COLUMNS)
def plot_confusion(
    data: Any,
    *,
    width: int = 300,
    columns: int = 3,
    chosen: tuple[str, str] | None = None,
) -> alt.Chart | alt.FacetChart:
    """Draw which class is predicted as which, out of fold.

    Parameters
    ----------
    data : Topography or DataFrame
        What `topography` returned, or a frame from `tables.confusion_cells`; more than one part
        gives a panel each.
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
    frame = frame_of(data, tables.confusion_cells)
    frame = checked(frame, ("part", "true", "predicted", "count", "share", "label"))
    tooltip = [
        tip("part"),
        tip("true"),
        tip("predicted"),
        *counts("count"),
        *percents("share"),
    ]
    classes = order(frame["true"])
    base = alt.Chart().encode(
        x=alt.X(
            "predicted:N",
            title="predicted",
            sort=classes,
            axis=names_axis(classes, labelAngle=-30),
        ),
        y=alt.Y("true:N", title="true", sort=classes, axis=names_axis(classes)),
        tooltip=tooltip,
    )
    cells = base.mark_rect(stroke=INK, strokeWidth=0.5).encode(
        color=share_colour("share of the true class")
    )
    words = base.mark_text(color=INK).encode(text=alt.Text("label:N"))
    layers = [cells, words] if chosen is None else [_choosable(cells, chosen), words, _frame(base)]
    title = "Which class is predicted as which (out of fold)"
    return facet(
        layers,
        frame,
        "part",
        title,
        width=width,
        height=width,
        columns=columns,
        says=extremes(frame, "share", "true,predicted", ".0%"),
    )


def _choosable(cells: alt.Chart, chosen: tuple[str, str]) -> alt.Chart:
    """Let a cell be chosen by a click; a click beside the cells chooses none."""
    params = [
        alt.param(name=f"chosen_{name}", value=value)
        for name, value in zip(CELL, chosen, strict=True)
    ]
    # No toggling: to Python, a click is a choice.
    picked = alt.selection_point(name="cell", fields=list(CELL), toggle=False)
    return cells.mark_rect(stroke=INK, strokeWidth=0.5, cursor="pointer").add_params(
        picked, *params
    )


def _class_colours(classes: list[str]) -> dict[str, str]:
    """Return the colours of regimes; other classes have none, and are told apart by shape."""
    regimes = {str(name): colour for name, colour in REGIME_COLOURS.items()}
    return {name: regimes.get(name, INK) for name in classes}


def _frame(base: alt.Chart) -> alt.Chart:
    """Draw a line around the chosen cell, over its neighbours."""
    here = " && ".join(f"datum.{name} === chosen_{name}" for name in CELL)
    width = alt.StrokeWidthValue(0, condition=[{"test": here, "value": 5}])
    return base.mark_rect(fill=None, stroke=INK).encode(strokeWidth=width)


@checks.takes(data=drawn("Topography"), width=checks.PIXELS)
def plot_feature_quantiles(data: Any, *, width: int = 230) -> alt.FacetChart:
    """Draw the distribution of each feature in each class.

    Parameters
    ----------
    data : Topography or DataFrame
        What `topography` returned, or a frame from `tables.feature_quantiles`.
    width : int
        Pixels of a panel.

    Returns
    -------
    FacetChart
        A row of panels a part, a panel a feature: the line is the middle 90 %, the bar the middle
        half, the tick the median, the diamond the mean.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> result = rnb.topography(rnb.load_study(), n_repeats=1, n_permutations=0)
    >>> chart = rnb.plot_feature_quantiles(rnb.tables.feature_quantiles(result))
    >>> chart.title.subtitle
    'line: middle 90 %; bar: middle half; tick: median; diamond: mean'
    """
    frame = frame_of(data, tables.feature_quantiles)
    frame = checked(frame, ("part", "class", "feature", "units", "mean", *QUANTILES))
    classes, features = order(frame["class"]), order(frame["feature"])
    titles = {name: str(FEATURE_TITLES.get(name, name)) for name in features}
    panels = {"column": alt.Facet("feature:N", title=None, sort=list(titles.values()))}
    if frame["part"].nunique() > 1:
        panels["row"] = panels_by("part", frame)
    title = alt.Title(
        "Features by class",
        subtitle="line: middle 90 %; bar: middle half; tick: median; diamond: mean",
    )
    layers = _boxes(_class_colours(classes))
    frame = frame.assign(feature=frame["feature"].map(titles))
    free = alt.Resolve(scale=alt.ScaleResolveMap(x="independent"))
    height = 26 * len(classes) + 8
    return facet(
        layers,
        frame,
        panels,
        title,
        width=width,
        height=height,
        resolve=free,
        says=extremes(frame, "mean", "class,feature"),
    )


def _boxes(colours: dict[str, str]) -> list[alt.Chart]:
    """Boxes whose every figure is a column."""
    tooltip = [tip("part"), tip("class"), *counts("units")]
    tooltip += numbers(".3f", "mean", *QUANTILES)
    y = alt.Y("class:N", title=None, sort=list(colours), axis=names_axis(colours))
    base = alt.Chart().encode(y=y, tooltip=tooltip)

    def x(name: str) -> alt.X:
        return alt.X(f"{name}:Q", title=None, scale=alt.Scale(zero=False))

    # The axis names the classes already.
    colour = colour_by("class", colours).legend(None)
    whiskers = base.mark_rule(strokeWidth=2).encode(x=x("q05"), x2=alt.X2("q95:Q"), color=colour)
    bars = base.mark_bar(height=14, fillOpacity=0.35).encode(
        x=x("q25"), x2=alt.X2("q75:Q"), color=colour
    )
    median = base.mark_tick(color=INK, thickness=3, size=14).encode(x=x("q50"))
    mean = base.mark_point(shape="diamond", filled=True, color=INK, size=40, opacity=1).encode(
        x=x("mean")
    )
    return [whiskers, bars, median, mean]


@checks.takes(data=drawn("Topography"), width=checks.PIXELS, columns=checks.COLUMNS)
def plot_effects(data: Any, *, width: int = 420, columns: int = 2) -> alt.Chart | alt.FacetChart:
    """Draw how far apart two classes are in each feature, with 95 % intervals.

    Parameters
    ----------
    data : Topography or DataFrame
        What `topography` returned, or a frame from `tables.effect_sizes`; more than one part gives
        a panel each.
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

    Examples
    --------
    >>> import recover_nb as rnb
    >>> result = rnb.topography(rnb.load_study(), n_repeats=1, n_permutations=0)
    >>> chart = rnb.plot_effects(rnb.tables.effect_sizes(result))
    >>> chart.title
    'How far apart classes are'
    """
    frame = frame_of(data, tables.effect_sizes)
    frame = checked(frame, ("part", "feature", "class", "versus", "pair", "delta", "low", "high"))
    features = order(frame["feature"])
    tooltip = [tip("part"), tip("feature"), tip("class"), tip("versus")]
    tooltip += numbers("+.2f", "delta", "low", "high")
    base = alt.Chart().encode(
        y=alt.Y("pair:N", title=None, sort=order(frame["pair"])),
        yOffset=alt.YOffset("feature:N", sort=features),
        tooltip=tooltip,
    )
    shape = {"shape": shape_by("feature", in_turn(features, SHAPES))}
    axis = {"title": "Cliff's delta, 95 % interval", "scale": alt.Scale(domain=[-1, 1])}
    estimates = interval(base, ("low", "delta", "high"), size=60, colour=INK, looks=shape, **axis)
    layers, title = [zero_line(), *estimates], "How far apart classes are"
    height = 48 * frame["pair"].nunique()
    return facet(
        layers,
        frame,
        "part",
        title,
        width=width,
        height=height,
        columns=columns,
        says=extremes(frame, "delta", "pair,feature", "+.2f"),
    )


@checks.takes(data=drawn("Topography"), width=checks.PIXELS)
def plot_scores(data: Any, *, width: int = 280) -> alt.FacetChart:
    """Draw how well a label is predicted, beside baselines without a signal and permuted labels.

    Parameters
    ----------
    data : Topography or DataFrame
        What `topography` returned, or a frame from `tables.score_lines`.
    width : int
        Pixels of a panel.

    Returns
    -------
    FacetChart
        A panel a score, a row for each part and population: the point is the prediction from the
        features, the tick the commonest class (an AUC of 0.5), the diamond what level, prompt
        length and failed rollouts tell together, the triangle the same with the features added,
        the shaded bar the middle 95 % of permuted labels.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> result = rnb.topography(rnb.load_study(), n_repeats=1, n_permutations=19)
    >>> chart = rnb.plot_scores(rnb.tables.score_lines(result))
    >>> chart.title.subtitle[0]
    'point: from the features; tick: the commonest; shaded bar: permuted labels'
    """
    frame = frame_of(data, tables.score_lines)
    spans = ("null_low", "null_mean", "null_high")
    beside = ("baseline", "no_signal", "features_added")
    frame = checked(
        frame, ("score", "line", "units", "value", *beside, *spans, "p", "permutations")
    )
    tooltip = [tip("line"), *counts("units", "permutations")]
    tooltip += [*numbers(".3f", "value", *beside, *spans), p_tip()]
    lines = order(frame["line"])
    base = alt.Chart().encode(
        y=alt.Y("line:N", title=None, sort=lines, axis=names_axis(lines)), tooltip=tooltip
    )
    x = alt.X("null_low:Q", title=None, scale=SHARE)
    null = base.mark_bar(height=12, color=INK, opacity=0.3).encode(x=x, x2=alt.X2("null_high:Q"))
    baseline = base.mark_tick(color=INK, thickness=3, size=18).encode(x=alt.X("baseline:Q"))
    hollow = {"color": INK, "filled": False, "size": 70, "opacity": 1}
    bare = base.mark_point(shape="diamond", **hollow).encode(x=alt.X("no_signal:Q"))
    added = base.mark_point(shape="triangle-up", **hollow).encode(x=alt.X("features_added:Q"))
    value = base.mark_point(color=INK, filled=True, size=80, opacity=1).encode(x=alt.X("value:Q"))
    title = alt.Title(
        "How well the label is predicted",
        subtitle=[
            "point: from the features; tick: the commonest; shaded bar: permuted labels",
            "diamond: level, prompt length, failed rollouts; triangle: features added to these",
        ],
    )
    column = panels_by("score", frame)
    layers = [null, baseline, bare, added, value]
    height = 26 * frame["line"].nunique() + 12
    return facet(
        layers,
        frame,
        {"column": column},
        title,
        width=width,
        height=height,
        says=extremes(frame, "value", "line,score", ".2f"),
    )


@checks.takes(data=drawn("Topography"), width=checks.PIXELS, columns=checks.COLUMNS)
def plot_coefficients(
    data: Any, *, width: int = 420, columns: int = 2
) -> alt.LayerChart | alt.FacetChart:
    """Draw what each feature says for each class.

    Parameters
    ----------
    data : Topography or DataFrame
        What `topography` returned, or a frame from `tables.coefficient_spans`; more than one part
        gives a panel each.
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
    frame = frame_of(data, tables.coefficient_spans)
    frame = checked(frame, ("part", "class", "feature", "coefficient", "sd", "low", "high"))
    classes, features = order(frame["class"]), order(frame["feature"])
    tooltip = [tip("part"), tip("class"), tip("feature")]
    tooltip += [*numbers("+.2f", "coefficient"), *numbers(".2f", "sd")]
    base = alt.Chart().encode(
        y=alt.Y("feature:N", title=None, sort=features, axis=names_axis(features)),
        yOffset=alt.YOffset("class:N", sort=classes),
        color=colour_by("class", _class_colours(classes)),
        tooltip=tooltip,
    )
    shape, axis = (
        shape_by("class", in_turn(classes, SHAPES)),
        "log-odds per standard deviation of the feature",
    )
    ends, looks = ("low", "coefficient", "high"), {"shape": shape}
    layers = [zero_line(), *interval(base, ends, size=70, looks=looks, title=axis)]
    title = "What each feature says for a class"
    height = max(48, 14 * len(classes)) * frame["feature"].nunique()
    return facet(
        layers,
        frame,
        "part",
        title,
        width=width,
        height=height,
        columns=columns,
        says=extremes(frame, "coefficient", "class,feature", "+.2f"),
    )
