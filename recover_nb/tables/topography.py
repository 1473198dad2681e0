"""Data frames of topography, transfer and reading.

They arrange what those modules computed, and no more.
"""

import numpy as np
import pandas as pd

from recover_nb.core.titles import named
from recover_nb.prediction.baselines import ABOUT, ADDED, FEATURES_ALONE, NO_SIGNAL, SCORES, Lead
from recover_nb.prediction.targets import OVERALL
from recover_nb.prediction.topography_result import QUANTILES, Part, Topography

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
    0          grpo  0.38  0.42  0.49
    3  self_distill  0.39  0.44  0.50
    6           sft  0.38  0.44  0.50
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
    0            spread  grpo against self_distill  -0.09
    1     concentration  grpo against self_distill   0.03
    2  logit_dispersion  grpo against self_distill   0.10
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
    """Lay out each score beside its baselines and its null, one per row, to be drawn.

    Parameters
    ----------
    result : Topography

    Returns
    -------
    DataFrame
        A row a score and part of the first population, and a row for each population as a whole:
        ``score`` (``accuracy``, ``auc``), ``population``, ``part``, ``line`` (what the row is
        called), ``units``, ``value`` (mean over repeats, a fraction of 1), ``baseline``
        (``accuracy``: of always saying the commonest class; ``auc``: 0.5), ``no_signal`` (level,
        prompt length and failed rollouts together), ``features_added`` (the features beside those),
        ``null_low``, ``null_mean``, ``null_high`` (middle 95 % of permuted labels; NaN without
        any), ``p`` and ``permutations``.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> result = rnb.topography(rnb.load_study(), n_repeats=1, n_permutations=19)
    >>> lines = rnb.tables.score_lines(result).query("score == 'auc'")
    >>> lines[["line", "value", "no_signal", "features_added"]].round(2)
                            line  value  no_signal  features_added
    3        first answer failed   0.53       0.58            0.58
    4       failed at least once   0.54       0.58            0.59
    5  first five answers failed   0.52       0.57            0.55
    """
    rows = []
    for score in ("accuracy", "auc"):
        if len(result.parts) > 1:
            rows += [_score_line(result, score, name) for name in result.parts]
        rows += [_score_line(each, score, None) for each in result.populations.values()]
    return pd.DataFrame(rows)


def _score_line(result: Topography, score: str, part: str | None) -> dict:
    """Return one row of `score_lines`: a part, or all together."""
    found: Part | Topography = result if part is None else result.parts[part]
    accuracy = score == "accuracy"
    null = found.null if accuracy else found.null_auc
    null = null[~np.isnan(null)]
    low, high = np.quantile(null, _LEVELS) if len(null) else (np.nan, np.nan)
    folds = dict(zip(result.predictors, result.scores(score, part), strict=True))
    means = {
        name: float(np.nanmean(folds[name])) if name in folds else np.nan
        for name in (NO_SIGNAL, ADDED)
    }
    return {
        "score": score,
        "population": result.population,
        "part": (OVERALL if len(result.parts) > 1 else next(iter(result.parts)))
        if part is None
        else part,
        "line": named(result.population) if part is None else part,
        "units": found.n,
        "value": float(getattr(found, score).mean()),
        "baseline": found.majority if accuracy else _CHANCE,
        **means,
        "null_low": low,
        "null_mean": null.mean() if len(null) else np.nan,
        "null_high": high,
        "p": found.p if accuracy else found.p_auc,
        "permutations": len(null),
    }


def prediction_baselines(result: Topography) -> pd.DataFrame:
    """Set the features beside all that knows no signal, over each population.

    Parameters
    ----------
    result : Topography

    Returns
    -------
    DataFrame
        One row for each population and predictor: ``population``, ``target``, ``units``,
        ``predictor``, ``about``, and for ``auc`` and ``accuracy`` the mean over folds and the
        features' ``*_lead`` over the predictor, paired by fold, with its 95 % intervals ``*_low``,
        ``*_high`` (over folds) and ``*_low_checkpoints``, ``*_high_checkpoints``. In the row
        ``features_added`` the lead is what the features add to ``no_signal``.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> found = rnb.topography(rnb.load_study(), target="regime", within="cell", n_repeats=1)
    >>> frame = rnb.tables.prediction_baselines(found).query("population == 'failed_first_1'")
    >>> frame[["predictor", "auc", "auc_lead"]].round(2)
            predictor   auc  auc_lead
    0        features  0.62       NaN
    1           level  0.64     -0.02
    2   prompt_length  0.61      0.01
    3        failures  0.81     -0.19
    4       no_signal  0.78     -0.16
    5  features_added  0.74     -0.04
    6       commonest  0.50      0.12
    """
    rows = []
    for found in result.populations.values():
        for place, name in enumerate(found.predictors):
            about = "the features" if name == FEATURES_ALONE else ABOUT[name]
            row = {"population": found.population, "target": found.target, "units": found.n}
            row |= {"predictor": name, "about": about}
            for score in SCORES:
                row[score] = float(np.nanmean(found.scores(score)[place]))
                lead = Lead(*[np.nan] * 3)
                if name == ADDED:
                    lead = found.added(score)
                elif place:
                    lead = found.difference(name, score)
                ends = ("lead", *Lead._fields[1:])
                row |= {f"{score}_{end}": value for end, value in zip(ends, lead, strict=True)}
            rows.append(row)
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
        One row per unit, in the order of the study: ``part``, ``problem`` (place along the study's
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
