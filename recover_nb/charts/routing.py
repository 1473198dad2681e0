"""Charts of a study.

They compute nothing: each draws a data frame of `recover_nb.tables`, value for value.

What colour says, shape, dash or text says a second time. Each chart carries
`recover_nb.core.theme.theme`.
"""

from functools import partial
from typing import Any

import altair as alt

from recover_nb import tables
from recover_nb.charts.kit import (
    PERCENT,
    checked,
    colour_by,
    counts,
    dash_by,
    drawn,
    finish,
    frame_of,
    interval,
    names_axis,
    names_legend,
    numbers,
    order,
    over_checkpoints,
    p_tip,
    percents,
    rows,
    shape_by,
    signed,
    tip,
    zero_line,
)
from recover_nb.core import checks
from recover_nb.core.theme import (
    BASIS_TITLES,
    INK,
    KIND_COLOURS,
    KIND_SHAPES,
    OPERATOR,
    RETRY,
    STRATEGY_COLOURS,
    STRATEGY_SHAPES,
)
from recover_nb.core.titles import named
from recover_nb.tables.saying import extremes

# What three of the charts show, in words: other numbers in the same chart are said anew.
say_estimators = partial(extremes, value="lift_points", by="estimator", form="+.1f")
say_comparators = partial(extremes, value="lift_points", by="comparator", form="+.1f")
say_budget = partial(extremes, value="rescue", by="strategy", form=".0%")

#: Ends of an interval over checkpoints.
APART = ("low_checkpoints_points", "high_checkpoints_points")


@checks.takes(data=drawn("Evaluation"), width=checks.PIXELS)
def plot_estimators(data: Any, *, width: int = 520) -> alt.Chart:
    """Draw routed minus retry by every estimator, over the band that no effect would give.

    Parameters
    ----------
    data : Evaluation or DataFrame
        What `evaluate_routing` returned, or a frame from `tables.lift_over_retry`.
    width : int
        Pixels.

    Returns
    -------
    Chart
        Points with 95 % intervals, the headline's population large and the others beside it; the
        bands are the nulls' intervals, to be read against ``published`` only.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(effect="planted")
    >>> evaluation = rnb.evaluate_routing(ds, only=["all"], n_bootstrap=20, n_permutations=20)
    >>> chart = rnb.plot_estimators(rnb.tables.lift_over_retry(evaluation))
    >>> chart.title.text
    'Lift of routing over retry, by estimator'
    """
    frame = frame_of(data, tables.lift_over_retry)
    needed = ("population", "estimator", "kind", "n", "lift_points", "low_points", "high_points")
    frame = checked(frame, (*needed, *APART, "p", "band_low_points", "band_high_points"))
    axis = "routed minus retry (percentage points)"
    ends = ("low_points", "lift_points", "high_points")
    tooltip = [tip("population"), tip("estimator")]
    tooltip += [*signed("lift_points", "low_points", "high_points", *APART), *counts("n"), p_tip()]
    base = alt.Chart().encode(tooltip=tooltip)
    names, whom = order(frame["estimator"]), order(frame["population"])
    lines = {
        "y": alt.Y("estimator:N", title=None, sort=names, axis=names_axis(names)),
        "yOffset": alt.YOffset("population:N", sort=whom),
    }
    band = base.mark_rect(color=INK, opacity=0.12, stroke=INK, strokeOpacity=1, strokeWidth=0.5)
    band = band.encode(x=alt.X("band_low_points:Q", title=axis), x2="band_high_points:Q")
    faint = alt.Opacity(
        "population:N",
        title=None,
        scale=alt.Scale(domain=whom, range=[1.0, *[0.55] * (len(whom) - 1)]),
        legend=None,
    )
    drawn = base.encode(**lines, color=colour_by("kind", KIND_COLOURS), opacity=faint)
    over = over_checkpoints(drawn, APART, title=axis)
    looks: dict[str, Any] = {"shape": shape_by("kind", KIND_SHAPES)}
    if len(whom) > 1:
        sizes = alt.Scale(domain=whom, range=[90, *[45] * (len(whom) - 1)])
        looks["size"] = alt.Size("population:N", title=None, scale=sizes, legend=names_legend(whom))
    estimates = interval(drawn, ends, size=90, looks=looks, title=axis)
    title = alt.Title(
        "Lift of routing over retry, by estimator",
        subtitle=f"large: {named(whom[0])}; lines: 95 % over questions; dotted: over checkpoints",
    )
    # One frame under all layers: it is written once.
    layers = alt.layer(band, zero_line(), over, *estimates, data=rows(frame))
    return finish(
        layers,
        title,
        width,
        len(names) * max(30, 16 * len(whom)),
        says=say_estimators(frame),
    )


@checks.takes(data=drawn("Evaluation"), width=checks.PIXELS)
def plot_mappings(data: Any, *, width: int = 420) -> alt.Chart:
    """Draw what routing gains under every way to assign operators to features.

    Parameters
    ----------
    data : Evaluation or DataFrame
        What `evaluate_routing` returned, or a frame from `tables.mapping_ranks`.
    width : int
        Pixels.

    Returns
    -------
    Chart
        Best first, the published one filled. If others do as well, the features do not choose.

    Raises
    ------
    InputError
        If a column is missing or there is no row.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(effect="tied")
    >>> evaluation = rnb.evaluate_routing(ds, only=["mappings"], n_bootstrap=20)
    >>> chart = rnb.plot_mappings(evaluation)
    >>> chart.title.text
    'Every way to assign operators to features'
    """
    frame = frame_of(data, tables.mapping_ranks)
    needed = ("rank", "mapping", "published", "lift_points", "low_points", "high_points", *APART)
    frame = checked(frame, needed)
    axis = "routed minus retry (percentage points)"
    frame = frame.assign(which=frame["published"].map({True: "published", False: "another"}))
    tooltip = [tip("mapping"), *counts("rank")]
    tooltip += signed("lift_points", "low_points", "high_points", *APART)
    y = alt.Y("mapping:N", title=None, sort=order(frame["mapping"]), axis=alt.Axis(labelLimit=330))
    colours = {"published": OPERATOR, "another": RETRY}
    base = alt.Chart().encode(y=y, tooltip=tooltip, color=colour_by("which", colours))
    over = over_checkpoints(base, APART, title=axis)
    looks = {"shape": shape_by("which", {"published": "diamond", "another": "circle"})}
    ends = ("low_points", "lift_points", "high_points")
    estimates = interval(base, ends, size=90, looks=looks, title=axis)
    title = alt.Title(
        "Every way to assign operators to features",
        subtitle="operators for spread, concentration and logit dispersion, in this order",
    )
    layers = alt.layer(zero_line(), over, *estimates, data=rows(frame))
    return finish(
        layers,
        title,
        width,
        30 * len(frame),
        says=extremes(frame, "lift_points", "mapping", "+.1f"),
    )


@checks.takes(data=drawn("Evaluation"), width=checks.PIXELS)
def plot_comparators(data: Any, *, width: int = 520) -> alt.Chart:
    """Draw routing minus every comparator by one estimator, over what it reports without an effect.

    Parameters
    ----------
    data : Evaluation or DataFrame
        What `evaluate_routing` returned, or a frame from `tables.comparators`.
    width : int
        Pixels.

    Returns
    -------
    Chart
        Points with 95 % intervals; right of the dashed zero routing rescues more. The shaded bars
        are the null's.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.
    """
    frame = frame_of(data, tables.comparators)
    needed = (
        "population",
        "estimator",
        "comparator",
        "kind",
        "n",
        "routed",
        "rate",
        "lift_points",
        "low_points",
        "high_points",
        *APART,
    )
    frame = checked(frame, (*needed, "band_low_points", "band_high_points"))
    axis = "routed minus the alternative (percentage points)"
    names = order(frame["comparator"])
    y = alt.Y("comparator:N", title=None, sort=names, axis=names_axis(names))
    tooltip = [
        tip("estimator"),
        tip("comparator"),
        *signed("lift_points", "low_points", "high_points"),
        *signed(*APART),
    ]
    tooltip += [*percents("routed", "rate"), *counts("n")]
    band = [tip("comparator"), *signed("band_low_points", "band_high_points")]
    # The excess is a kind of other charts.
    colours, shapes = (
        {name: each[name] for name in ("measured", "null")} for each in (KIND_COLOURS, KIND_SHAPES)
    )
    bands = alt.Chart().mark_bar(color=INK, opacity=0.3, height=14)
    bands = bands.encode(
        x=alt.X("band_low_points:Q", title=axis), x2="band_high_points:Q", y=y, tooltip=band
    )
    base = alt.Chart().encode(y=y, tooltip=tooltip, color=colour_by("kind", colours))
    ends, shape = ("low_points", "lift_points", "high_points"), shape_by("kind", shapes)
    over = over_checkpoints(base, APART, title=axis)
    estimates = interval(base, ends, size=80, looks={"shape": shape}, title=axis)
    layers = [zero_line(), over, *estimates]
    if frame["band_low_points"].notna().any():
        layers.insert(0, bands)
    estimators = ", ".join(map(named, order(frame["estimator"])))
    title = alt.Title(
        f"Routing minus each alternative, scored on {estimators}:"
        f" {', '.join(map(named, order(frame['population'])))}",
        subtitle=(
            "lines: 95 % over questions; dotted: over checkpoints; shaded: what the published"
            " estimator reports when no operator differs from retry"
        ),
    )
    # One frame under all layers: it is written once.
    return finish(
        alt.layer(*layers, data=rows(frame)),
        title,
        width,
        22 * len(frame),
        says=say_comparators(frame),
    )


@checks.takes(data=drawn("Evaluation"), width=checks.PIXELS)
def plot_budget(data: Any, *, width: int = 280) -> alt.HConcatChart:
    """Draw rescue against what it costs: attempts, generated tokens, forward passes.

    Parameters
    ----------
    data : Evaluation or DataFrame
        What `evaluate_routing` returned, or a frame from `tables.budget_lines`.
    width : int
        Pixels of a panel.

    Returns
    -------
    HConcatChart
        One panel for each basis that the study stores.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> evaluation = rnb.evaluate_routing(rnb.make_study(), only=["budgets"], n_bootstrap=20)
    >>> chart = rnb.plot_budget(rnb.tables.budget_lines(evaluation))
    >>> len(chart.hconcat)  # attempts and forward passes; no tokens are simulated
    2
    """
    frame = frame_of(data, tables.budget_lines)
    needed = (
        "basis",
        "strategy",
        "budget",
        "k",
        "rescue",
        "n",
        "lift_points",
        "low_points",
        "high_points",
    )
    frame = checked(frame, needed)
    tooltip = [tip("strategy"), *counts("budget"), *numbers(".1f", "k")]
    tooltip += [
        *percents("rescue"),
        *signed("lift_points", "low_points", "high_points"),
        *counts("n"),
    ]
    panels = []
    for basis in dict.fromkeys(frame["basis"]):
        y = alt.Y(
            "rescue:Q",
            title=None if panels else "rescued within the budget",
            axis=PERCENT,
        )
        base = alt.Chart(rows(frame[frame["basis"] == basis])).encode(
            x=alt.X("budget:Q", title=BASIS_TITLES.get(basis, basis)),
            y=y.scale(domain=[0, 1]),
            color=colour_by("strategy", STRATEGY_COLOURS),
            tooltip=tooltip,
        )
        dash = dash_by("strategy", {"routed": [1, 0], "retry": [4, 2]})
        shape = shape_by("strategy", STRATEGY_SHAPES)
        points = base.mark_point(filled=True, size=36, opacity=1).encode(shape=shape)
        panels.append(
            alt.layer(base.mark_line().encode(strokeDash=dash), points).properties(
                width=width, height=240
            )
        )
    return finish(
        alt.hconcat(*panels),
        "Rescue at equal budgets",
        says=say_budget(frame),
    )
