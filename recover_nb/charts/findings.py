"""Chart of the figures that a claim is judged by. It computes nothing."""

import altair as alt
import pandas as pd

from recover_nb.charts.kit import (
    checked,
    colour_by,
    drawn,
    finish,
    interval,
    names_axis,
    order,
    over_checkpoints,
    rows,
    shape_by,
    tip,
)
from recover_nb.core import checks
from recover_nb.core.theme import INK, OPERATOR, RETRY
from recover_nb.tables.saying import extremes

#: What is judged, and what it is held to.
COLOURS = {"judged": OPERATOR, "held to": RETRY}
SHAPES = {"judged": "diamond", "held to": "circle"}
#: What is drawn beside a figure, in words.
_DRAWN = {
    "low": "lines: 95 % over questions",
    "low_checkpoints": "dotted: over checkpoints",
    "band_low": "grey: what no effect gives",
    "at": "tick: what has to be passed",
}


@checks.takes(frame=drawn(), width=checks.PIXELS)
def plot_claim(frame: pd.DataFrame, *, title: str, axis: str, width: int = 460) -> alt.Chart:
    """Draw the figures of a claim beside what they are held to.

    Parameters
    ----------
    frame : DataFrame
        A row a figure: ``label``, ``kind`` (judged, or held to), ``value``; its interval over
        questions ``low``, ``high`` and over checkpoints ``low_checkpoints``, ``high_checkpoints``;
        ``band_low``, ``band_high``, what no effect would give; and ``at``, where the line is that
        it has to pass. NaN where there is none.
    title, axis : str
        What it is, and what is measured.
    width : int
        Pixels.

    Returns
    -------
    Chart

    Raises
    ------
    InputError
        If a column is missing or there is no row.
    """
    ends = ("low", "high", "low_checkpoints", "high_checkpoints", "band_low", "band_high")
    frame = checked(frame, ("label", "kind", "value", *ends, "at"))
    labels = order(frame["label"])
    y = alt.Y("label:N", title=None, sort=labels, axis=names_axis(labels, labelLimit=260))
    tooltip = [tip("label")]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".3g") for name in ("value", *ends)]
    base = alt.Chart().encode(y=y, tooltip=tooltip, color=colour_by("kind", COLOURS))
    bare = alt.Chart().encode(y=y)
    band = bare.mark_bar(color=INK, opacity=0.2, height=16).encode(
        x=alt.X("band_low:Q", title=axis, scale=alt.Scale(zero=False)), x2="band_high:Q"
    )
    line = bare.mark_tick(color=INK, thickness=2, size=20, opacity=1).encode(x="at:Q")
    over = over_checkpoints(base, ("low_checkpoints", "high_checkpoints"))
    looks = {"shape": shape_by("kind", SHAPES)}
    scale = alt.Scale(zero=False)
    estimates = interval(
        base, ("low", "value", "high"), size=80, looks=looks, title=axis, scale=scale
    )
    layers = alt.layer(band, line, over, *estimates, data=rows(frame))
    drawn = [words for name, words in _DRAWN.items() if frame[name].notna().any()]
    return finish(
        layers,
        alt.Title(title, subtitle="; ".join(drawn)),
        width,
        26 * len(labels),
        says=extremes(frame, "value", "label"),
    )
