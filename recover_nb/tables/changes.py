"""The data frame of what changed: it arranges what `recover_nb.what_changed` computed."""

import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.routing.changes import ENDS, WORDS, Changes, what_changed


def changes_by_part(data: Changes | xr.Dataset, *, population: str | None = None) -> pd.DataFrame:
    """Lay out how much of each difference from retry every part is: what `plot_what_changed` draws.

    Parameters
    ----------
    data : Changes or Dataset
        What `what_changed` returned, or a study, of which it is computed.
    population : str, optional
        The headline unless told.

    Returns
    -------
    DataFrame
        One row for each intervention, the largest difference first, and part: ``population``,
        ``n``, ``intervention``, ``part`` (in words, the difference itself first), ``points`` with
        ``low_points`` and ``high_points`` (over questions), ``low_checkpoints_points`` and
        ``high_checkpoints_points``; the rescue rates ``retry`` and ``rate``; ``share_retry``,
        ``share``, ``accuracy_retry``, ``accuracy`` and ``borrowed`` as in `Changes`.

    Raises
    ------
    InputError
        If the population was not asked for, or the study lacks what `what_changed` needs.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> changes = rnb.what_changed(rnb.load_study(), by="length", n_bootstrap=100)
    >>> frame = rnb.tables.changes_by_part(changes)
    >>> frame.head(3)[["intervention", "part", "points"]].round(1)
      intervention                       part  points
    0   calculator          over asking again    58.9
    1   calculator  longer or shorter answers     2.0
    2   calculator  better at the same length    56.9
    """
    changes = data if isinstance(data, Changes) else what_changed(data)
    there = [str(name) for name in changes.dataset["population"].values]
    population = changes.population if population is None else population
    if population not in there:
        raise InputError(f"no population {population!r}; allowed: {', '.join(there)}")
    frame = changes.to_dataframe()
    frame = frame[frame["population"] == population]
    frame = frame.sort_values("difference_points", ascending=False, kind="stable")
    described = ["retry", "rate", "share_retry", "share", "accuracy_retry", "accuracy", "borrowed"]
    parts = []
    for name, words in WORDS[changes.settings["by"]].items():
        part = frame[["population", "n", "intervention"]].assign(part=words)
        part["points"] = frame[f"{name}_points"]
        for end in ENDS:
            part[f"{end}_points"] = frame[f"{name}_{end}_points"]
        parts.append(part.join(frame[described]))
    # Of every intervention its parts together, in the order of both.
    places = range(len(frame))
    parts = [part.set_axis(places) for part in parts]
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)
