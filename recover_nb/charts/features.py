"""Charts of the three features and of how reliable they are."""

import altair as alt
import pandas as pd

from recover_nb.charts.kit import _checked, _colour, _finish, _order, _percents, _rows, _shape, _tip
from recover_nb.charts.theme import FEATURE_TITLES, GREY, REGIME_COLOURS, REGIME_SHAPES, SKY
from recover_nb.core.labels import Feature, Scope

SCOPE_COLOURS = {Scope.POOLED: GREY, Scope.WITHIN: SKY}


SCOPE_SHAPES = {Scope.POOLED: "square", Scope.WITHIN: "circle"}


def plot_features(frame: pd.DataFrame, *, width: int = 250) -> alt.HConcatChart:
    """Draw the failed problems by their three features, two at a time, with their regime.

    Parameters
    ----------
    frame : DataFrame
        From `tables.feature_points`.
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
    frame = _checked(
        frame, ("cell", "problem", "problem_id", *names, "regime", "route", "retry", "best")
    )
    tooltip = [_tip("cell"), _tip("problem_id"), "problem:Q", _tip("regime"), _tip("route")]
    tooltip += [
        *(alt.Tooltip(f"{name}:Q", format=".3f") for name in names),
        *_percents("retry", "best"),
    ]
    base = alt.Chart(_rows(frame)).encode(
        color=_colour("regime", REGIME_COLOURS),
        shape=_shape("regime", REGIME_SHAPES),
        tooltip=tooltip,
    )
    marks = base.mark_point(filled=True, size=34, opacity=0.6)
    pairs = ((names[0], names[1]), (names[0], names[2]), (names[1], names[2]))
    panels = [
        marks.encode(
            x=alt.X(f"{x}:Q", title=FEATURE_TITLES[x]).scale(zero=False),
            y=alt.Y(f"{y}:Q", title=FEATURE_TITLES[y]).scale(zero=False),
        ).properties(width=width, height=width)
        for x, y in pairs
    ]
    return _finish(alt.hconcat(*panels), "Failed problems by their features")


def plot_reliability(
    frame: pd.DataFrame, *, width: int = 230, height: int = 220
) -> alt.HConcatChart:
    """Draw each feature's reliability against the failed rollouts averaged, with 95 % intervals.

    Parameters
    ----------
    frame : DataFrame
        From `tables.needed_rows`.
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
    """
    figures = ("reliability", "low", "high", "foreseen", "needed", "needed_low", "needed_high")
    frame = _checked(frame, ("feature", "scope", "size", "problems", *figures, "target"))
    tooltip = [_tip("feature"), _tip("scope"), "size:Q", "problems:Q"]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".2f") for name in figures]
    sizes = sorted(set(frame["size"]))
    panels = []
    for feature in _order(frame["feature"]):
        inside = frame[frame["feature"] == feature]
        heading = alt.Title(
            FEATURE_TITLES.get(feature, feature), fontSize=12, fontWeight="normal", offset=4
        )
        panel = _reliability_panel(inside, sizes, tooltip, first=not panels)
        panels.append(panel.properties(width=width, height=height, title=heading))
    title = alt.Title(
        "How many failed rollouts a feature needs",
        subtitle=(
            "pooled over cells, and within cells; dashed: foreseen from the first size; rule:"
            " reliability sought"
        ),
    )
    return _finish(alt.hconcat(*panels).resolve_scale(y="shared"), title)


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
    scale = alt.Scale(domain=[0, 1])
    y = alt.Y("reliability:Q", title="reliability" if first else None, scale=scale)
    base = alt.Chart(_rows(frame)).encode(
        x=x, color=_colour("scope", SCOPE_COLOURS), tooltip=tooltip
    )
    points = base.mark_point(filled=True, size=60, opacity=1)
    sought = alt.Chart(_rows(frame.head(1))).mark_rule(color="currentColor", strokeDash=[2, 2])
    return alt.layer(
        sought.encode(y=alt.Y("target:Q", scale=scale)),
        base.mark_line(strokeDash=[5, 4]).encode(y=alt.Y("foreseen:Q", scale=scale)),
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        points.encode(y=y, shape=_shape("scope", SCOPE_SHAPES)),
    )
