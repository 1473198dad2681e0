"""The chart of reading: features against the text of failed rollouts."""

from typing import Any

import altair as alt

from recover_nb.charts.kit import (
    checked,
    counts,
    drawn,
    facet,
    frame_of,
    headline,
    interval,
    names_axis,
    numbers,
    order,
    percents,
    tip,
    zero_line,
)
from recover_nb.core import checks
from recover_nb.core.theme import INK
from recover_nb.tables.saying import extremes


@checks.takes(data=drawn("Reading"), width=checks.PIXELS, columns=checks.COLUMNS)
def plot_reading(
    data: Any, *, width: int = 420, columns: int = 2
) -> alt.LayerChart | alt.FacetChart:
    """Draw the features' lead in AUC over every reader, with 95 % intervals paired by fold.

    Parameters
    ----------
    data : Reading or DataFrame
        What `reading` returned, or its `to_dataframe`; several parts of the first population, or
        several populations of one part, give a panel each.
    width : int
        Pixels of a panel.
    columns : int
        Panels in a row.

    Returns
    -------
    LayerChart or FacetChart
        Right of 0 the features say more, left of it one does better by reading.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
    >>> texts = [f"it is {regime}" for regime in ds["regime"].values]
    >>> result = rnb.reading(ds, texts=texts, n_repeats=1)
    >>> chart = rnb.plot_reading(result.to_dataframe())
    >>> chart.title
    'Features against reading'
    """
    frame = frame_of(data)
    several = "part" in frame and frame["part"].nunique() > 1
    frame = headline(frame) if several else frame
    by = "part" if several or "population" not in frame else "population"
    needed = (
        *(["population"] if by == "population" else []),
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
    frame = checked(frame, needed)
    # The features lead themselves by nothing.
    frame = checked(frame[frame["auc_lead"].notna()], needed)
    tooltip = [
        tip("part"),
        *counts("units"),
        tip("reader"),
        tip("about"),
        *numbers(".3f", "auc"),
    ]
    tooltip += [*numbers("+.3f", "auc_lead", "auc_low", "auc_high"), *percents("accuracy")]
    readers = order(frame["reader"])
    base = alt.Chart().encode(
        y=alt.Y("reader:N", title=None, sort=readers, axis=names_axis(readers)), tooltip=tooltip
    )
    ends, axis = ("auc_low", "auc_lead", "auc_high"), "AUC of the features minus that of the reader"
    layers = [zero_line(), *interval(base, ends, size=80, colour=INK, title=axis)]
    title, height = "Features against reading", 28 * frame["reader"].nunique()
    return facet(
        layers,
        frame,
        by,
        title,
        width=width,
        height=height,
        columns=columns,
        says=extremes(frame, "auc_lead", "reader", "+.2f"),
    )
