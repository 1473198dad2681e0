"""Charts of remapping, the calculator and reliability.

They compute nothing: each draws a frame of `tables`.
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
)
from recover_nb.labels import Companion, Scope
from recover_nb.theme import FEATURE_TITLES, GREY, ON_BAR, ORANGE, SKY

COMPANION_COLOURS = {Companion.REDRAWN: SKY, Companion.REMAPPED: ORANGE}
COMPANION_SHAPES = {Companion.REDRAWN: "circle", Companion.REMAPPED: "diamond"}
SCOPE_COLOURS = {Scope.POOLED: GREY, Scope.WITHIN: SKY}
SCOPE_SHAPES = {Scope.POOLED: "square", Scope.WITHIN: "circle"}
_SHARE = alt.Scale(domain=[0, 1])
_PERCENT = alt.Axis(format=".0%")


def plot_remapping(
    frame: pd.DataFrame, *, width: int = 380, columns: int = 2
) -> alt.Chart | alt.FacetChart:
    """Draw how often each regime recurs, over other numbers and drawn again, with 95 % intervals.

    Parameters
    ----------
    frame : DataFrame
        From `tables.survival_rows`; more than one group gives a panel each.
    width : int
        Pixels of a panel.
    columns : int
        Panels in a row.

    Returns
    -------
    Chart or FacetChart

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    lost = ("difference_points", "difference_low_points", "difference_high_points")
    frame = _checked(frame, ("group", "outcome", "n", "companion", "share", "low", "high", *lost))
    tooltip = [_tip("group"), _tip("outcome"), "n:Q", _tip("companion")]
    tooltip += [*_percents("share", "low", "high"), *_signed(*lost)]
    base = alt.Chart(_rows(frame)).encode(
        y=alt.Y("outcome:N", title=None, sort=_order(frame["outcome"])),
        yOffset=alt.YOffset("companion:N", sort=list(COMPANION_COLOURS)),
        color=_colour("companion", COMPANION_COLOURS),
        tooltip=tooltip,
    )
    x = alt.X("low:Q", title="share with the same regime again", scale=_SHARE, axis=_PERCENT)
    spans = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
    points = base.mark_point(filled=True, size=80, opacity=1)
    points = points.encode(x="share:Q", shape=_shape("companion", COMPANION_SHAPES))
    title = alt.Title(
        "Does a regime survive new numbers?",
        subtitle="redrawn: same numbers, fresh draws; remapped: new numbers; 95 % intervals",
    )
    return _faceted(alt.layer(spans, points), frame, "group", title, width, 44, "outcome", columns)


def plot_transitions(frame: pd.DataFrame, *, width: int = 330) -> alt.HConcatChart:
    """Draw what became of the problems of each regime, a panel a companion.

    Parameters
    ----------
    frame : DataFrame
        From `tables.transition_cells`.
    width : int
        Pixels of a panel.

    Returns
    -------
    HConcatChart
        Rows are the study's outcomes; the shade is the share of the row, the text count and share.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = _checked(frame, ("companion", "original", "outcome", "count", "share", "label"))
    tooltip = [_tip("companion"), _tip("original"), _tip("outcome"), "count:Q", *_percents("share")]
    # From white to a blue on which black still reads.
    scale = alt.Scale(domain=[0, 1], range=["#ffffff", SKY], interpolate="rgb")
    legend = alt.Legend(format=".0%")
    panels = []
    for companion in [name for name in COMPANION_COLOURS if name in set(frame["companion"])]:
        inside = frame[frame["companion"] == companion]
        axis = alt.Axis(labels=not panels, ticks=not panels)
        base = alt.Chart(_rows(inside)).encode(
            x=alt.X("outcome:N", title=companion, sort=_order(inside["outcome"])).axis(
                labelAngle=-30
            ),
            y=alt.Y(
                "original:N",
                title=None if panels else "study",
                sort=_order(inside["original"]),
                axis=axis,
            ),
            tooltip=tooltip,
        )
        colour = alt.Color("share:Q", title="share of the row", scale=scale, legend=legend)
        layers = alt.layer(
            base.mark_rect(stroke=GREY, strokeWidth=0.5).encode(color=colour),
            base.mark_text(color=ON_BAR).encode(text="label:N"),
        )
        panels.append(layers.properties(width=width, height=150))
    return _finish(alt.hconcat(*panels), "What became of each problem")


def plot_calculator(
    frame: pd.DataFrame, *, width: int = 330, columns: int = 2
) -> alt.Chart | alt.FacetChart:
    """Draw the rescue rate with a calculator, with its 95 % interval, beside that of retrying.

    Parameters
    ----------
    frame : DataFrame
        From `tables.calculator_by_regime`; more than one group gives a panel each.
    width : int
        Pixels of a panel.
    columns : int
        Panels in a row.

    Returns
    -------
    Chart or FacetChart

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    lift = ("lift_points", "lift_low_points", "lift_high_points")
    rates = ("retry_rate", "calculator_rate", "low", "high", "rescued", "retried")
    frame = _checked(frame, ("group", "regime", "problems", *rates, *lift))
    tooltip = [_tip("group"), _tip("regime"), "problems:Q", *_percents(*rates), *_signed(*lift)]
    y = alt.Y("regime:N", title=None, sort=_order(frame["regime"]))
    base = alt.Chart(_rows(frame)).encode(y=y, tooltip=tooltip)
    x = alt.X("low:Q", title="rescue rate", scale=_SHARE, axis=_PERCENT)
    layers = alt.layer(
        base.mark_tick(color=ORANGE, thickness=2, size=20, opacity=1).encode(
            x=alt.X("retry_rate:Q")
        ),
        base.mark_rule(color=SKY, strokeWidth=2).encode(x=x, x2="high:Q"),
        base.mark_point(color=SKY, filled=True, size=70, opacity=1).encode(x="calculator_rate:Q"),
    )
    title = alt.Title(
        "What a calculator rescues",
        subtitle="blue: with the calculator, 95 % interval; orange tick: retry",
    )
    return _faceted(layers, frame, "group", title, width, 28, "regime", columns)


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


def _faceted(
    layers: alt.LayerChart,
    frame: pd.DataFrame,
    by: str,
    title: alt.Title,
    width: int,
    step: int,
    rows: str,
    columns: int,
) -> alt.LayerChart | alt.FacetChart:
    """Draw one chart, or a panel a group if there are several, `step` pixels a row of `rows`."""
    height = step * frame[rows].nunique()
    if frame[by].nunique() == 1:
        return _finish(layers, title, width, height)
    group = alt.Facet(f"{by}:N", title=None, sort=_order(frame[by]))
    return _finish(
        layers.properties(width=width, height=height).facet(group, columns=columns), title
    )
