"""Charts of one prediction: scores beside their baselines, and coefficients.

They compute nothing.
"""

import altair as alt
import pandas as pd

from recover_nb.charts import _checked, _colour, _order, _rows, _shape, _tip, _zero
from recover_nb.charts_topography import CLASS_COLOURS, _by_part, _top
from recover_nb.escaping import escaped
from recover_nb.theme import GREY, ORANGE, SKY

_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")


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
