"""The chart of training on: what tells beforehand which failures it fixes."""

from typing import Any

import altair as alt

from recover_nb.charts.kit import (
    checked,
    drawn,
    finish,
    frame_of,
    interval,
    names_axis,
    numbers,
    order,
    over_checkpoints,
    p_tip,
    tip,
)
from recover_nb.core import checks
from recover_nb.core.theme import INK
from recover_nb.tables.saying import extremes


@checks.takes(data=drawn("TrainingGain"), width=checks.PIXELS)
def plot_training_gain(data: Any, *, width: int = 420) -> alt.LayerChart:
    """Draw the AUC of everything that predicts which failures training on fixes.

    Parameters
    ----------
    data : TrainingGain or DataFrame
        What `training_gain` returned, or its `to_dataframe`.
    width : int
        Pixels.

    Returns
    -------
    LayerChart
        A point at the AUC within cells, a line for its interval over folds, dots for that over
        checkpoints. At 0.5 nothing is told.

    Raises
    ------
    InputError
        If a column is missing or there are too many rows.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> few = {"read": False, "n_repeats": 1, "n_permutations": 2, "n_bootstrap": 20}
    >>> gain = rnb.training_gain(rnb.load_study(), rnb.load_onward(), **few)
    >>> rnb.plot_training_gain(gain).title
    'What tells beforehand which failures training fixes'
    """
    ends = ("auc_low", "auc", "auc_high")
    far = ("auc_low_checkpoints", "auc_high_checkpoints")
    frame = checked(frame_of(data), ("predictor", "about", *ends, *far, "null", "p", "rank"))
    names = order(frame["predictor"])
    tooltip = [
        tip("predictor"),
        tip("about"),
        *numbers(".3f", *ends, *far, "null", "rank"),
        p_tip(),
    ]
    base = alt.Chart(frame).encode(
        y=alt.Y("predictor:N", title=None, sort=names, axis=names_axis(names)), tooltip=tooltip
    )
    axis = {"title": "AUC within cells", "scale": alt.Scale(zero=False)}
    nothing = alt.Chart().mark_rule(color=INK, strokeDash=[4, 3]).encode(x=alt.XDatum(0.5))
    layers = [nothing, over_checkpoints(base, far, **axis)]
    layers += interval(base, ends, size=80, colour=INK, **axis)
    return finish(
        alt.layer(*layers),
        "What tells beforehand which failures training fixes",
        width,
        24 * len(names),
        says=extremes(frame, "auc", "predictor", ".2f"),
    )
