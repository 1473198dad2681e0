"""The value of every prefix of a failed trace, as rows to draw and a sentence to read."""

import pandas as pd
import xarray as xr

from recover_nb.features.value import RETRY, fatal_token, recoverable_until
from recover_nb.routing.rescue import proportion_interval


def value_rows(values: xr.Dataset) -> pd.DataFrame:
    """Return the value after every prefix, by who goes on from there, with 95 % intervals.

    Parameters
    ----------
    values : Dataset
        From `recover_nb.value_map` or `recover_nb.recorded_value`.

    Returns
    -------
    DataFrame
        One row per intervention and prefix: ``intervention``, ``tokens`` (of the prefix), ``token``
        (the text of the last of them, where known), ``value``, ``low`` and ``high`` (Wilson),
        ``right`` and ``n``; ``fatal`` (the token at which the specialist lost most, counted from 0,
        -1 none) and ``is_fatal`` (the row after it).

    Examples
    --------
    >>> import numpy as np, recover_nb as rnb
    >>> from recover_nb.features.value import value_dataset
    >>> values = value_dataset(np.array([[20, 21, 3, 0]]), ["retry"], 24, ["47", "+", "22"])
    >>> frame = rnb.tables.value_rows(values)
    >>> frame.loc[frame["is_fatal"], ["tokens", "token", "right"]].values.tolist()
    [[2, '+', 3]]
    """
    n = int(values.attrs["n"])
    fatal = fatal_token(values["right"].sel(intervention=RETRY).values, n)
    rows, tokens = [], values["token"].values.tolist()
    for name in values["intervention"].values.tolist():
        for place, right in enumerate(values["right"].sel(intervention=name).values.tolist()):
            low, high = proportion_interval(right, n)
            rows.append(
                {
                    "intervention": name,
                    "tokens": place,
                    "token": tokens[place],
                    "value": right / n,
                    "low": low,
                    "high": high,
                    "right": right,
                    "n": n,
                    "fatal": fatal,
                    "is_fatal": fatal >= 0 and place == fatal + 1,
                }
            )
    return pd.DataFrame(rows)


def value_sentence(values: xr.Dataset) -> str:
    """Say where the answer was lost, and until when it could be saved.

    Examples
    --------
    >>> import numpy as np, recover_nb as rnb
    >>> from recover_nb.features.value import value_dataset
    >>> values = value_dataset(np.array([[20, 21, 3, 0]]), ["retry"], 24, ["47", "+", "22"])
    >>> rnb.tables.value_sentence(values)
    'Right in 20 of 24 tries at first; lost at token 1 ("+"): from 21 of 24 to 3.'
    """
    n, right = int(values.attrs["n"]), values["right"].sel(intervention=RETRY).values
    fatal, until = fatal_token(right, n), recoverable_until(right)
    start = f"Right in {right[0]} of {n} tries at first; "
    if fatal < 0:
        return start + "no token loses anything."
    token = str(values["token"].values[fatal + 1])
    shown = f' ("{token}")' if token else ""
    lost = f"lost at token {fatal}{shown}: from {right[fatal]} of {n} to {right[fatal + 1]}"
    after = "" if until in (-1, fatal) else f"; last above half of the start after {until} tokens"
    return f"{start}{lost}{after}."
