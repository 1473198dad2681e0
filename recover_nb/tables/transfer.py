"""Data frames of transfer. They arrange what `recover_nb.transfer` computed, and no more."""

import numpy as np
import pandas as pd

from recover_nb.prediction.transfer import Clusters, Direction, Transfer, assignment_entropy
from recover_nb.tables.kit import in_points

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
        One row a direction: ``direction`` (both as text), ``source``, ``target``, ``n_source``,
        ``n_target``; the ARI with the target's own clusters ``ari_frozen``, ``ari_refitted``,
        ``ari_halves`` (what a half of the target itself reaches); for ``source``, ``frozen``,
        ``refitted`` and ``own`` the entropy of the assignment ``entropy_*`` (nat) and
        ``evenness_*`` (the same over log k: 0 = one cluster, 1 = even); ``shift_FEATURE`` and
        ``scale_FEATURE``, the target's mean and sd in sd of the source.
    """
    rows = []
    for each in result.directions:
        row = {"direction": _say_direction(each), "source": each.source, "target": each.target}
        row |= {"n_source": each.n_source, "n_target": each.n_target}
        row |= _cluster_figures(each.clusters)
        for name, shift, scale in zip(result.features, each.shift, each.scale, strict=True):
            row |= {f"shift_{name}": shift, f"scale_{name}": scale}
        rows.append(row)
    return pd.DataFrame(rows)


def _say_direction(each: Direction) -> str:
    return f"{each.source} to {each.target}"


def _cluster_figures(clusters: Clusters) -> dict:
    row = {
        "ari_frozen": clusters.ari_frozen,
        "ari_refitted": clusters.ari_refitted,
        "ari_halves": clusters.ari_halves,
    }
    for which in ("source", "frozen", "refitted", "own"):
        share = getattr(clusters, f"share_{which}")
        entropy = assignment_entropy(share)
        row |= {f"entropy_{which}": entropy, f"evenness_{which}": entropy / np.log(len(share))}
    return row


def transfer_agreement(result: Transfer) -> pd.DataFrame:
    """Lay out how alike the source's clusters and the target's own are, to be drawn.

    Each figure has a row.

    Parameters
    ----------
    result : Transfer

    Returns
    -------
    DataFrame
        ``direction``, ``n_source``, ``n_target``, ``assigned`` (in words), ``ari`` with the
        target's own clusters, and ``evenness`` of the assignment (NaN for halves).

    Examples
    --------
    >>> import recover_nb as rnb
    >>> moved = rnb.transfer(rnb.load_study(), n_null=1, n_splits=1, n_bootstrap=10)
    >>> rnb.tables.transfer_agreement(moved)[["direction", "assigned", "ari"]].round(2).head(3)
           direction                           assigned   ari
    0  qwen3 to neox        source's clusters and scale  0.33
    1  qwen3 to neox  source's clusters, target's scale  0.33
    2  qwen3 to neox        clusters of half the target  0.60
    """
    rows = []
    for row in transfer_clusters(result).to_dict("records"):
        for name, words in ASSIGNED.items():
            kept = {key: row[key] for key in ("direction", "n_source", "n_target")}
            kept |= {"assigned": words, "ari": row[f"ari_{name}"]}
            rows.append(kept | {"evenness": row.get(f"evenness_{name}", np.nan)})
    return pd.DataFrame(rows)


def transfer_routing(result: Transfer) -> pd.DataFrame:
    """Say what routing gains on the target under each standardisation.

    Parameters
    ----------
    result : Transfer

    Returns
    -------
    DataFrame
        One row a direction, standardisation and estimator: ``direction``, ``source``, ``target``,
        ``standardisation`` (``frozen``, ``refitted``, ``by_cell``), ``estimator`` (``published``,
        ``excess``: published less its null, ``split``, ``all``), ``n`` (problems), ``routed`` and
        ``retry`` (rescue rates; NaN for excess), ``points`` (routed minus retry, or the excess)
        with its 95 % interval ``low_points``, ``high_points``, and the excess's one-sided ``p``.
        ``split`` is missing where attempts are not stored.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> moved = rnb.transfer(rnb.load_study(), n_null=1, n_splits=1, n_bootstrap=20)
    >>> table = rnb.tables.transfer_routing(moved).query("estimator == 'all'")
    >>> table[["direction", "standardisation", "routed", "retry"]].round(2)
            direction standardisation  routed  retry
    3   qwen3 to neox          frozen    0.49   0.49
    7   qwen3 to neox        refitted    0.52   0.49
    11  qwen3 to neox         by_cell    0.53   0.49
    15  neox to qwen3          frozen    0.53   0.48
    19  neox to qwen3        refitted    0.52   0.48
    23  neox to qwen3         by_cell    0.51   0.48
    """
    rows = []
    for each in result.directions:
        for name, routing in each.routing.items():
            head = {"direction": _say_direction(each), "source": each.source, "target": each.target}
            head |= {"standardisation": name}
            for estimator, found in routing.routed.items():
                row = {
                    "estimator": estimator,
                    "n": found["n"],
                    "routed": found["rate"],
                    "retry": found["retry"],
                }
                rows.append(head | row | in_points(found["lift"], found["ci95"]) | {"p": np.nan})
                if estimator == "published":
                    excess = routing.excess
                    row = {
                        "estimator": "excess",
                        "n": found["n"],
                        "routed": np.nan,
                        "retry": np.nan,
                    }
                    rows.append(
                        head | row | in_points(excess["value"], excess["ci95"]) | {"p": excess["p"]}
                    )
    return pd.DataFrame(rows)


def transfer_losses(result: Transfer) -> pd.DataFrame:
    """Say what freezing the source's standardisation costs against refitting it.

    Parameters
    ----------
    result : Transfer

    Returns
    -------
    DataFrame
        One row a direction and estimator: ``source``, ``target``, ``estimator``, ``points`` (rescue
        rate of routing frozen minus refitted, same problems) with its 95 % interval ``low_points``,
        ``high_points``, and ``same_routes`` (share of steerable_hard problems routed alike).

    Examples
    --------
    >>> import recover_nb as rnb
    >>> moved = rnb.transfer(rnb.load_study(), n_null=1, n_splits=1, n_bootstrap=20)
    >>> losses = rnb.tables.transfer_losses(moved)
    >>> losses.loc[losses["estimator"] == "all", ["source", "target", "points"]].round(1)
      source target  points
    2  qwen3   neox    -2.9
    5   neox  qwen3     1.3
    """
    rows = []
    for each in result.directions:
        for estimator, found in each.lost.items():
            row = {"source": each.source, "target": each.target, "estimator": estimator}
            rows.append(
                row | in_points(found["value"], found["ci95"]) | {"same_routes": each.same_routes}
            )
    return pd.DataFrame(rows)
