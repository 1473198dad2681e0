"""Charts of the three features and of how reliable they are."""

from typing import Any

import altair as alt
import pandas as pd

from recover_nb import tables
from recover_nb.charts.kit import (
    SHARE,
    checked,
    colour_by,
    counts,
    drawn,
    feature_pairs,
    finish,
    frame_of,
    heading,
    numbers,
    order,
    percents,
    rows,
    shape_by,
    tip,
)
from recover_nb.core import checks
from recover_nb.core.labels import Feature, Scope
from recover_nb.core.theme import FEATURE_TITLES, INK, REGIME_COLOURS, REGIME_SHAPES
from recover_nb.tables.saying import extremes, totals

SCOPE_SHAPES = {Scope.POOLED: "square", Scope.WITHIN: "circle"}


@checks.takes(data=drawn("Dataset"), width=checks.PIXELS)
def plot_features(data: Any, *, width: int = 250) -> alt.HConcatChart:
    """Draw the failed problems by their three features, two at a time, with their regime.

    Parameters
    ----------
    data : Dataset or DataFrame
        A study, or a frame from `tables.feature_points`.
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
    >>> points = rnb.tables.feature_points(rnb.load_study())
    >>> chart = rnb.plot_features(points.query("spread > 0"))
    >>> chart.title
    'Failed problems by their features'
    """
    frame = frame_of(data, tables.feature_points)
    names = [name.value for name in Feature]
    frame = checked(
        frame, ("cell", "problem", "problem_id", *names, "regime", "route", "retry", "best")
    )
    tooltip = [tip("cell"), tip("problem_id"), *counts("problem"), tip("regime"), tip("route")]
    tooltip += [*numbers(".3f", *names), *percents("retry", "best")]
    base = alt.Chart(rows(frame)).encode(
        color=colour_by("regime", REGIME_COLOURS),
        shape=shape_by("regime", REGIME_SHAPES),
        tooltip=tooltip,
    )
    marks = base.mark_point(filled=True, size=30, opacity=1)
    return finish(
        feature_pairs(marks, width),
        "Failed problems by their features",
        says=totals(frame, "regime"),
    )


@checks.takes(data=drawn("Dataset"), width=checks.PIXELS, height=checks.PIXELS)
def plot_reliability(data: Any, *, width: int = 230, height: int = 220) -> alt.HConcatChart:
    """Draw each feature's reliability against the failed rollouts averaged, with 95 % intervals.

    Parameters
    ----------
    data : Dataset or DataFrame
        What `needed_rollouts` returned, or a frame from `tables.needed_rows`.
    width, height : int
        Pixels of a panel.

    Returns
    -------
    HConcatChart
        A panel a feature: points are measured, dashed lines are foreseen by Spearman-Brown from the
        first size; the horizontal rule is the reliability sought.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study().isel(problem=slice(0, 100))
    >>> rnb.plot_reliability(rnb.needed_rollouts(ds, (1, 5), n_bootstrap=10)).title.text
    'How many failed rollouts a feature needs'
    """
    frame = frame_of(data, tables.needed_rows)
    measured = ("reliability", "low", "high", "foreseen", "needed", "needed_low", "needed_high")
    frame = checked(frame, ("feature", "scope", "size", "problems", *measured, "target"))
    tooltip = [tip("feature"), tip("scope"), alt.Tooltip("size:Q", title="failed rollouts")]
    tooltip += counts("problems")
    tooltip += numbers(".2f", *measured)
    sizes = sorted(set(frame["size"]))
    panels = []
    for feature in order(frame["feature"]):
        inside = frame[frame["feature"] == feature]
        title = heading(FEATURE_TITLES.get(feature, feature))
        panel = _reliability_panel(inside, sizes, tooltip, first=not panels)
        panels.append(panel.properties(width=width, height=height, title=title))
    title = alt.Title(
        "How many failed rollouts a feature needs",
        subtitle=(
            "square: all cells together; circle: within cells; dashed: foreseen from the first"
            " size; dotted rule: reliability sought"
        ),
    )
    return finish(
        alt.hconcat(*panels).resolve_scale(y="shared"),
        title,
        says=extremes(frame, "reliability", "feature", ".2f"),
    )


def _reliability_panel(
    frame: pd.DataFrame, sizes: list[int], tooltip: list, *, first: bool
) -> alt.LayerChart:
    axis = alt.Axis(values=sizes, format="d")
    # A logarithmic axis: from one rollout to two is as far as from ten to twenty.
    x = alt.X(
        "size:Q",
        title="failed rollouts",
        axis=axis,
        scale=alt.Scale(type="log", nice=False, padding=10),
    )
    y = alt.Y("reliability:Q", title="reliability" if first else None, scale=SHARE)
    base = alt.Chart(rows(frame)).encode(x=x, detail="scope:N", tooltip=tooltip)
    points = base.mark_point(filled=True, size=60, opacity=1, color=INK)
    sought = alt.Chart(rows(frame.head(1))).mark_rule(color=INK, strokeDash=[2, 2])
    return alt.layer(
        sought.encode(y=alt.Y("target:Q", scale=SHARE)),
        base.mark_line(strokeDash=[5, 4], color=INK).encode(y=alt.Y("foreseen:Q", scale=SHARE)),
        base.mark_rule(strokeWidth=2, color=INK).encode(y=alt.Y("low:Q", scale=SHARE), y2="high:Q"),
        points.encode(y=y, shape=shape_by("scope", SCOPE_SHAPES)),
    )
