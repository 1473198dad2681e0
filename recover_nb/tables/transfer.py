"""Data frames of transfer. They arrange what `recover_nb.transfer` computed, and no more."""

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.prediction.transfer import assignment_entropy
from recover_nb.prediction.transfer_result import Transfer

#: Ways to assign the target to clusters, in words.
ASSIGNED = {
    "frozen": "source's clusters and scale",
    "refitted": "source's clusters, target's scale",
    "halves": "clusters of half the target",
}


def transfer_clusters(result: Transfer) -> pd.DataFrame:
    """Say how the source's clusters fit the target.

    Parameters
    ----------
    result : Transfer

    Returns
    -------
    DataFrame
        One row per population and direction: ``population``, ``direction`` (both as text),
        ``source``, ``target``, ``n_source``, ``n_target``; the ARI with the target's own clusters
        ``ari_frozen``, ``ari_refitted``, ``ari_halves`` (what a half of the target itself reaches);
        for ``source``, ``frozen``, ``refitted`` and ``own`` the entropy of the assignment
        ``entropy_*`` (nat) and ``evenness_*`` (the same over log k: 0 = one cluster, 1 = even);
        ``shift_FEATURE`` and ``scale_FEATURE``, the target's mean and sd in sd of the source.
    """
    names = result.dataset["population"].values
    return pd.concat(
        [_clusters(result.dataset.sel(population=name)) for name in names], ignore_index=True
    )


def _clusters(found: xr.Dataset) -> pd.DataFrame:
    """Return the rows of one population."""
    columns = {
        "population": found["population"].item(),
        "direction": found["direction"].values,
        **{name: found[name].values for name in ("source", "target", "n_source", "n_target")},
        **{f"ari_{name}": found["ari"].sel(assigned=name).values for name in ASSIGNED},
    }
    for name in found["assignment"].values:
        entropy = np.array(
            [assignment_entropy(each) for each in found["share"].sel(assignment=name).values]
        )
        columns[f"entropy_{name}"] = entropy
        columns[f"evenness_{name}"] = entropy / np.log(found.sizes["cluster"])
    for name in found["feature"].values:
        for figure in ("shift", "scale"):
            columns[f"{figure}_{name}"] = found[figure].sel(feature=name).values
    return pd.DataFrame(columns)


def transfer_agreement(result: Transfer) -> pd.DataFrame:
    """Lay out how alike the source's clusters and the target's own are, to be drawn.

    Each figure has a row.

    Parameters
    ----------
    result : Transfer

    Returns
    -------
    DataFrame
        ``population``, ``direction``, ``n_source``, ``n_target``, ``assigned`` (in words), ``ari``
        with the target's own clusters, and ``evenness`` of the assignment (NaN for halves).

    Examples
    --------
    >>> import recover_nb as rnb
    >>> moved = rnb.transfer(rnb.load_study(), n_null=1, n_splits=1, n_bootstrap=10)
    >>> rnb.tables.transfer_agreement(moved)[["direction", "assigned", "ari"]].round(2).head(3)
           direction                           assigned   ari
    0  qwen3 to neox        source's clusters and scale  0.33
    1  qwen3 to neox  source's clusters, target's scale  0.59
    2  qwen3 to neox        clusters of half the target  0.72
    """
    rows = []
    for row in transfer_clusters(result).to_dict("records"):
        for name, words in ASSIGNED.items():
            kept = {key: row[key] for key in ("population", "direction", "n_source", "n_target")}
            kept |= {"assigned": words, "ari": row[f"ari_{name}"]}
            rows.append(kept | {"evenness": row.get(f"evenness_{name}", np.nan)})
    return pd.DataFrame(rows)


def transfer_losses(result: Transfer) -> pd.DataFrame:
    """Say what freezing the source's standardisation costs against refitting it.

    Parameters
    ----------
    result : Transfer

    Returns
    -------
    DataFrame
        One row per population, direction and estimator: ``population``, ``source``, ``target``,
        ``estimator``, ``points`` (rescue rate of routing frozen minus refitted, same problems) with
        its 95 % interval ``low_points``, ``high_points``, and ``same_routes`` (share of
        steerable_hard problems routed alike).

    Examples
    --------
    >>> import recover_nb as rnb
    >>> moved = rnb.transfer(rnb.load_study(), n_null=1, n_splits=1, n_bootstrap=20)
    >>> losses = rnb.tables.transfer_losses(moved).query("estimator == 'all'")
    >>> losses[["population", "source", "target", "points"]].round(1)
            population source target  points
    2   failed_first_1  qwen3   neox    -2.2
    5   failed_first_1   neox  qwen3    -0.2
    8           failed  qwen3   neox    -2.9
    11          failed   neox  qwen3     1.3
    14  failed_first_5  qwen3   neox     0.9
    17  failed_first_5   neox  qwen3    -0.9
    """
    names = {"lost": "points", "lost_low": "low_points", "lost_high": "high_points"}
    table = result.dataset[["source", "target", *names, "same_routes"]].rename(names)
    frame = table.to_dataframe(dim_order=("population", "direction", "estimator")).reset_index()
    others = ("population", "direction", "standardisation")
    stored = result.dataset["n"].notnull().any(others).to_series()
    frame = frame[frame["estimator"].map(stored)].reset_index(drop=True)
    frame[list(names.values())] *= 100
    return frame[["population", "source", "target", "estimator", *names.values(), "same_routes"]]
