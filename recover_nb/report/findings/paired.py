"""One operator against another, paired by problem, over every failed problem."""

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.schema import text
from recover_nb.stats.resampling import bootstrap_mean, bootstrap_weights


def paired_difference(
    ds: xr.Dataset, one: str, other: str, *, n_bootstrap: int = 2000, seed: int = 0
) -> dict:
    """Return the mean difference in rescue rate of two interventions, on problems given both.

    Parameters
    ----------
    ds : Dataset
        With ``rescue_rate`` (problem, intervention), coords ``problem_id`` and ``task``.
    one, other : str
        Interventions.
    n_bootstrap, seed : int
        Resamples of the underlying questions and their seed.

    Returns
    -------
    dict
        ``n`` problems; ``rates`` of both; ``points``, `one` less `other` in percentage points, and
        its 95 % percentile ``interval``.

    Raises
    ------
    InputError
        If an intervention is not there, or no problem was given both.

    Notes
    -----
    docs/method.md#paired-bootstrap (uncertainty): a question asked of several specialists is drawn
    as one.
    """
    names = [str(name) for name in ds["intervention"].values]
    for name in (one, other):
        if name not in names:
            raise InputError(f"no intervention {name!r}; allowed: {', '.join(names)}")
    rates = (
        ds["rescue_rate"]
        .transpose("problem", "intervention")
        .values[:, [names.index(one), names.index(other)]]
    )
    rows = np.flatnonzero(~np.isnan(rates).any(axis=1))
    if not len(rows):
        raise InputError(f"no problem was given both {one} and {other}")
    rates = rates[rows]
    strata, question = (text(ds[name])[rows] for name in ("task", "problem_id"))
    resamples = bootstrap_weights(question, strata, n_bootstrap, np.random.default_rng(seed))
    found = bootstrap_mean((rates[:, 0] - rates[:, 1])[:, None], resamples)
    return {
        "n": len(rows),
        "rates": rates.mean(axis=0).tolist(),
        "points": 100 * float(found.value[0]),
        "interval": (100 * found.percentile[:, 0]).tolist(),
    }
