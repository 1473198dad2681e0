"""Data frames of topography, transfer and reading.

They arrange what those modules computed, and no more.
"""

import numpy as np
import pandas as pd

from recover_nb.prediction.targets import OVERALL
from recover_nb.prediction.topography import QUANTILES, Part, Topography

#: Column of each quantile: ``q05`` to ``q95``.
QUANTILE_COLUMNS = tuple(f"q{100 * level:02.0f}" for level in QUANTILES)


#: Middle 95 % of a null.
_LEVELS = (0.025, 0.975)


#: AUC of a score that says nothing.
_CHANCE = 0.5


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

    Examples
    --------
    >>> import recover_nb as rnb
    >>> result = rnb.topography(rnb.load_study(), n_repeats=1, n_permutations=0)
    >>> spread = rnb.tables.feature_quantiles(result).query("feature == 'spread'")
    >>> spread[["class", "q25", "q50", "q75"]].round(2)
              class   q25   q50   q75
    0          grpo  0.35  0.41  0.47
    3  self_distill  0.38  0.43  0.48
    6           sft  0.37  0.43  0.49
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

    Examples
    --------
    >>> import recover_nb as rnb
    >>> result = rnb.topography(rnb.load_study(), n_repeats=1, n_permutations=0)
    >>> rnb.tables.effect_sizes(result)[["feature", "pair", "delta"]].round(2).head(3)
                feature                       pair  delta
    0            spread  grpo against self_distill  -0.10
    1     concentration  grpo against self_distill   0.00
    2  logit_dispersion  grpo against self_distill   0.05
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


def score_lines(result: Topography) -> pd.DataFrame:
    """Lay out each score beside its baseline and its null, one a row, to be drawn.

    Parameters
    ----------
    result : Topography

    Returns
    -------
    DataFrame
        A row a score and part, and ``overall`` where there are several: ``score`` (``accuracy``,
        ``auc``), ``part``, ``units``, ``value`` (mean over repeats, a fraction of 1), ``baseline``
        (``accuracy``: of always saying the commonest class; ``auc``: 0.5), ``null_low``,
        ``null_mean``, ``null_high`` (middle 95 % of permuted labels; NaN without any), ``p`` and
        ``permutations``.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> result = rnb.topography(rnb.load_study(), n_repeats=1, n_permutations=19)
    >>> rnb.tables.score_lines(result)[["score", "value", "baseline", "p"]].round(2)
          score  value  baseline     p
    0  accuracy   0.39      0.39  0.25
    1       auc   0.54      0.50  0.05
    """
    named: dict[str, Part | Topography] = dict(result.parts)
    if len(named) > 1:
        named[OVERALL] = result
    rows = []
    for score in ("accuracy", "auc"):
        for name, found in named.items():
            accuracy = score == "accuracy"
            null = found.null if accuracy else found.null_auc
            null = null[~np.isnan(null)]
            low, high = np.quantile(null, _LEVELS) if len(null) else (np.nan, np.nan)
            rows.append(
                {
                    "score": score,
                    "part": name,
                    "units": found.n,
                    "value": float(getattr(found, score).mean()),
                    "baseline": found.majority if accuracy else _CHANCE,
                    "null_low": low,
                    "null_mean": null.mean() if len(null) else np.nan,
                    "null_high": high,
                    "p": found.p if accuracy else found.p_auc,
                    "permutations": len(null),
                }
            )
    return pd.DataFrame(rows)


def confusion_total(result: Topography) -> pd.DataFrame:
    """Add up the confusion matrices of all parts, each unit predicted within its own.

    Parameters
    ----------
    result : Topography

    Returns
    -------
    DataFrame
        As `tables.topography.confusion_cells`, of the one part ``overall``. A class left out of a
        part adds nothing there.
    """
    cells = confusion_cells(result)
    names = sorted(set(cells["true"]))
    pairs = pd.MultiIndex.from_product([names, names], names=["true", "predicted"])
    total = cells.groupby(["true", "predicted"])["count"].sum().reindex(pairs, fill_value=0.0)
    frame = total.reset_index()
    frame["share"] = frame["count"] / frame.groupby("true")["count"].transform("sum")
    frame["label"] = [f"{100 * share:.0f} %" for share in frame["share"]]
    frame.insert(0, "part", OVERALL)
    return frame


def coefficient_spans(result: Topography) -> pd.DataFrame:
    """List the coefficients with one sd either way, to be drawn.

    Parameters
    ----------
    result : Topography

    Returns
    -------
    DataFrame
        As `tables.topography.coefficients`, with ``low`` and ``high``.
    """
    frame = coefficients(result)
    low, high = (frame["coefficient"] + sign * frame["sd"] for sign in (-1, 1))
    return frame.assign(low=low, high=high)


def unit_predictions(result: Topography) -> pd.DataFrame:
    """Say what each unit is taken for, out of fold.

    Parameters
    ----------
    result : Topography

    Returns
    -------
    DataFrame
        One row a unit, in the order of the study: ``part``, ``problem`` (place along the study's
        `problem`), ``true``, ``predicted`` (the class it is taken for in most repeats; of equals
        the first) and ``agreement``, the share of repeats that say so.
    """
    frames = []
    for name, part in result.parts.items():
        votes = (part.predicted[..., None] == np.arange(len(part.classes))).mean(axis=0)
        classes = np.array(part.classes, dtype=object)
        columns = {"part": name, "problem": part.rows, "true": classes[part.code]}
        columns |= {"predicted": classes[votes.argmax(axis=1)], "agreement": votes.max(axis=1)}
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames).sort_values("problem", ignore_index=True)
