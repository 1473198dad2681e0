"""The chart of a verifier of steps: what it is worth beside what is cheaper."""

from typing import Any

import altair as alt

from recover_nb.charts.kit import (
    checked,
    drawn,
    finish,
    frame_of,
    heading,
    interval,
    names_axis,
    numbers,
    order,
    over_checkpoints,
    rows,
    tip,
    zero_line,
)
from recover_nb.core import checks
from recover_nb.core.theme import INK
from recover_nb.core.titles import named
from recover_nb.tables.saying import extremes


@checks.takes(data=drawn("StepVerifier"), width=checks.PIXELS)
def plot_steps(data: Any, *, width: int = 420) -> alt.VConcatChart:
    """Draw what a verifier of steps gains over each thing that it has to beat, claim by claim.

    Parameters
    ----------
    data : StepVerifier or DataFrame
        What `verify_steps` returned, or its `to_dataframe`.
    width : int
        Pixels.

    Returns
    -------
    VConcatChart
        One panel a figure. A point at the lead, a line for its interval over questions, dots for
        that over checkpoints; at 0 nothing is gained. A cross where the claim's verdict does not
        ask for it.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> found = rnb.verify_steps(rnb.load_steps(), n_bootstrap=20, n_permutations=5)
    >>> rnb.plot_steps(found).title["text"]
    'A verifier of steps, over what it has to beat'
    """
    ends, far = ("lead_low", "lead", "lead_high"), ("lead_low_checkpoints", "lead_high_checkpoints")
    needed = ("claim", "figure", "value", "against", "other", *ends, *far, "verdict", "decides")
    frame = checked(frame_of(data), needed)
    tooltip = [
        tip("claim"),
        tip("figure"),
        tip("against"),
        *numbers(".3f", "value", "other", *ends, *far),
        tip("verdict"),
    ]
    panels = []
    for (claim, figure), part in frame.groupby(["claim", "figure"], sort=False):
        names = order(part["against"])
        base = alt.Chart(rows(part)).encode(
            y=alt.Y("against:N", title=None, sort=names, axis=names_axis(names)), tooltip=tooltip
        )
        axis = {"title": f"lead in {named(figure)}", "scale": alt.Scale(zero=True)}
        asked = {"shape": alt.condition("datum.decides", alt.value("circle"), alt.value("cross"))}
        layers = [zero_line(), over_checkpoints(base, far, **axis)]
        layers += interval(base, ends, size=80, colour=INK, looks=asked, **axis)
        title = heading(f"{named(claim)}: {named(figure)} {part['value'].iloc[0]:.3f}, and over")
        panel = alt.layer(*layers).properties(width=width, height=24 * len(names), title=title)
        panels.append(panel)
    return finish(
        alt.vconcat(*panels, spacing=14),
        alt.Title(
            "A verifier of steps, over what it has to beat",
            subtitle="circle: the verdict asks for it; cross: shown beside it",
        ),
        says=extremes(frame, "lead", "against", "+.3f"),
    )
