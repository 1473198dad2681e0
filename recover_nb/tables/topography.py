"""Data frames of topography, transfer and reading.

They arrange what those modules computed, and no more.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recover_nb.topography import QUANTILES, Part, Topography
from recover_nb.transfer import Clusters, Direction, Transfer, assignment_entropy

if TYPE_CHECKING:
    # Reading is by traces, which tables cut into pieces.
    from recover_nb.reading import Reading

#: Name of the row over every part.
OVERALL = "overall"
#: Ways to assign the target to clusters, in words.
ASSIGNED = {
    "frozen": "source's clusters and scale",
    "refitted": "source's clusters, target's scale",
    "halves": "clusters of half the target",
}
#: Column of each quantile: ``q05`` to ``q95``.
QUANTILE_COLUMNS = tuple(f"q{100 * level:02.0f}" for level in QUANTILES)


def prediction_scores(result: Topography) -> pd.DataFrame:
    """How well the label is predicted in each part, with its baselines.

    Parameters
    ----------
    result : Topography

    Returns
    -------
    DataFrame
        One row a part, and ``overall`` where there are several: ``target``, ``part``, ``units``,
        ``problems``, ``classes``, ``accuracy`` and ``accuracy_sd`` (over repeats), ``majority``,
        ``null_mean``, ``null_sd`` and ``p`` (permuted labels), then ``auc``, ``auc_sd``,
        ``null_auc_mean`` and ``p_auc``; ``permutations``. Shares are fractions of 1.
    """
    rows = [_scores(result.target, name, part) for name, part in result.parts.items()]
    if len(rows) > 1:
        rows.append(_scores(result.target, OVERALL, result))
    return pd.DataFrame(rows)


def _scores(target: str, name: str, found: Part | Topography) -> dict:
    """One row; a `Topography` has no number of problems or classes of its own."""
    part = isinstance(found, Part)
    return {
        "target": target,
        "part": name,
        "units": found.n,
        "problems": found.n_problems if part else np.nan,
        "classes": len(found.classes) if part else np.nan,
        "accuracy": found.accuracy.mean(),
        "accuracy_sd": _sd(found.accuracy),
        "majority": found.majority,
        "null_mean": _mean(found.null),
        "null_sd": _sd(found.null),
        "p": found.p,
        "auc": found.auc.mean(),
        "auc_sd": _sd(found.auc),
        "null_auc_mean": _mean(found.null_auc),
        "p_auc": found.p_auc,
        "permutations": len(found.null),
    }


def confusion_cells(result: Topography) -> pd.DataFrame:
    """List the cells of the confusion matrix, out of fold.

    Parameters
    ----------
    result : Topography

    Returns
    -------
    DataFrame
        ``part``, ``true``, ``predicted``, ``count`` (units, mean over repeats), ``share`` (of the
        true class) and ``label``, the share in percent as text.
    """
    rows = []
    for name, part in result.parts.items():
        share = part.confusion / part.counts[:, None]
        for i, true in enumerate(part.classes):
            for j, predicted in enumerate(part.classes):
                row = {
                    "part": name,
                    "true": true,
                    "predicted": predicted,
                    "count": part.confusion[i, j],
                }
                rows.append(row | {"share": share[i, j], "label": f"{100 * share[i, j]:.0f} %"})
    return pd.DataFrame(rows)


def feature_quantiles(result: Topography) -> pd.DataFrame:
    """Describe each feature in each class.

    Parameters
    ----------
    result : Topography

    Returns
    -------
    DataFrame
        ``part``, ``class``, ``feature``, ``units``, ``mean`` and the quantiles ``q05``, ``q25``,
        ``q50``, ``q75``, ``q95``, in units of the feature.
    """
    rows = []
    for name, part in result.parts.items():
        for i, label in enumerate(part.classes):
            for j, feature in enumerate(result.features):
                row = {
                    "part": name,
                    "class": label,
                    "feature": feature,
                    "units": int(part.counts[i]),
                }
                quantiles = dict(zip(QUANTILE_COLUMNS, part.quantiles[i, j], strict=True))
                rows.append(row | {"mean": part.mean[i, j], **quantiles})
    return pd.DataFrame(rows)


def effect_sizes(result: Topography) -> pd.DataFrame:
    """Say how far apart two classes are in each feature.

    Parameters
    ----------
    result : Topography

    Returns
    -------
    DataFrame
        ``part``, ``feature``, ``class``, ``versus``, ``pair`` (both as text), ``delta``: Cliff's
        delta, -1 to 1, above 0 where the first class is larger; ``low`` and ``high``: its 95 %
        interval (bootstrap over problems).
    """
    rows = []
    for name, part in result.parts.items():
        for i, (label, versus) in enumerate(part.pairs):
            for j, feature in enumerate(result.features):
                row = {"part": name, "feature": feature, "class": label, "versus": versus}
                row["pair"] = f"{label} against {versus}"
                rows.append(
                    row | dict(zip(("delta", "low", "high"), part.delta[:, i, j], strict=True))
                )
    return pd.DataFrame(rows)


def coefficients(result: Topography) -> pd.DataFrame:
    """List the coefficients of the regression.

    Parameters
    ----------
    result : Topography

    Returns
    -------
    DataFrame
        ``part``, ``class``, ``feature``, ``coefficient`` (log-odds per sd of the feature, summing
        to 0 over classes) and ``sd`` over the folds' own fits.
    """
    rows = []
    for name, part in result.parts.items():
        for i, label in enumerate(part.classes):
            for j, feature in enumerate(result.features):
                row = {"part": name, "class": label, "feature": feature}
                values = {"coefficient": part.coefficients[i, j], "sd": part.coefficients_sd[i, j]}
                rows.append(row | values)
    return pd.DataFrame(rows)


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
                rows.append(head | row | _points(found["lift"], found["ci95"]) | {"p": np.nan})
                if estimator == "published":
                    excess = routing.excess
                    row = {
                        "estimator": "excess",
                        "n": found["n"],
                        "routed": np.nan,
                        "retry": np.nan,
                    }
                    rows.append(
                        head | row | _points(excess["value"], excess["ci95"]) | {"p": excess["p"]}
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
    """
    rows = []
    for each in result.directions:
        for estimator, found in each.lost.items():
            row = {"source": each.source, "target": each.target, "estimator": estimator}
            rows.append(
                row | _points(found["value"], found["ci95"]) | {"same_routes": each.same_routes}
            )
    return pd.DataFrame(rows)


def reading_scores(result: "Reading") -> pd.DataFrame:
    """Set every reader beside the features.

    Parameters
    ----------
    result : Reading

    Returns
    -------
    DataFrame
        One row a part and reader, and ``overall`` where there are several parts: ``target``,
        ``part``, ``units``, ``reader``, ``about``, ``auc`` and ``accuracy`` (means over folds), and
        for each ``*_lead``: the features' less the reader's, paired by fold, with its 95 % interval
        ``*_low``, ``*_high``; above 0 the features say more. NaN for the features themselves.
    """
    rows = []
    parts: list[str | None] = list(result.parts)
    for part in parts + ([None] if len(parts) > 1 else []):
        units = (
            sum(each.n for each in result.parts.values()) if part is None else result.parts[part].n
        )
        head = {"target": result.target, "part": part or OVERALL, "units": units}
        scores = {name: result.scores(name, part) for name in ("auc", "accuracy")}
        for place, reader in enumerate(result.readers):
            row = head | {"reader": reader, "about": result.about[reader]}
            for name, values in scores.items():
                lead = result.difference(reader, name, part) if place else (np.nan,) * 3
                row[name] = _mean(values[place])
                row |= dict(zip((f"{name}_lead", f"{name}_low", f"{name}_high"), lead, strict=True))
            rows.append(row)
    return pd.DataFrame(rows)


def _points(value: float, interval: list[float]) -> dict:
    """Turn a fraction and its interval into percentage points."""
    low, high = interval
    return {"points": 100 * value, "low_points": 100 * low, "high_points": 100 * high}


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _sd(values: np.ndarray) -> float:
    """Sample standard deviation; NaN for fewer than two."""
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")
