"""The chart of a monitor: tokens saved beside right answers lost, with cues and without."""

from typing import Any

import altair as alt

from recover_nb.charts.kit import checked, drawn, finish, frame_of, order, percents, tip
from recover_nb.core import checks
from recover_nb.core.theme import INK
from recover_nb.tables.saying import extremes


@checks.takes(data=drawn("MonitorResult"), width=checks.PIXELS)
def plot_monitor(data: Any, *, width: int = 420) -> alt.LayerChart:
    """Draw the share of tokens that a monitor saves at each share of right answers lost.

    Parameters
    ----------
    data : MonitorResult or DataFrame
        What `monitor` returned, or its `to_dataframe`; of the latter all that is one group.
    width : int
        Pixels.

    Returns
    -------
    LayerChart
        A line and a band of its 95 % interval for each monitor: with cues, the same traces without
        looking at cues, traces of `sft`, and stops dealt at random.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_cued()
    >>> few = ds.isel(problem=ds["family"].values == "neox")
    >>> rnb.plot_monitor(rnb.monitor(few, n_bootstrap=20, n_shuffles=1)).title
    'Tokens saved by stopping traces that will end wrong'
    """
    columns = ("group", "lost", "monitor", "saved", "saved_low", "saved_high")
    frame = checked(frame_of(data), columns)
    frame = frame[frame["group"] == order(frame["group"])[0]]
    names = order(frame["monitor"])
    percent = percents("lost", "saved", "saved_low", "saved_high")
    base = alt.Chart(frame).encode(
        x=alt.X("lost:Q", title="right answers lost", axis=alt.Axis(format="%")),
        tooltip=[tip("monitor"), *percent],
    )
    band = base.mark_area(opacity=0.15).encode(
        y=alt.Y("saved_low:Q"),
        y2="saved_high:Q",
        fill=alt.Fill("monitor:N", sort=names, legend=None),
    )
    line = base.mark_line(point=True).encode(
        y=alt.Y("saved:Q", title="tokens saved", axis=alt.Axis(format="%")),
        color=alt.Color("monitor:N", sort=names, title=None),
        strokeDash=alt.StrokeDash("monitor:N", sort=names, legend=None),
    )
    judged = alt.Chart().mark_rule(color=INK, strokeDash=[4, 3]).encode(x=alt.XDatum(0.03))
    return finish(
        alt.layer(band, line, judged),
        "Tokens saved by stopping traces that will end wrong",
        width,
        260,
        says=extremes(frame[frame["lost"] == 0.03], "saved", "monitor", ".1%"),
    )
