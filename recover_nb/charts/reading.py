"""The chart of reading: features against the text of failed rollouts."""

import altair as alt
import pandas as pd

from recover_nb.charts.kit import (
    _by_part,
    _checked,
    _order,
    _percents,
    _tip,
    _zero,
)
from recover_nb.charts.theme import (
    SKY,
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
