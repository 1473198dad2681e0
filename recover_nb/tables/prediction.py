"""Data frames of a prediction: its scores beside their baselines, parts together, and each unit."""

import numpy as np
import pandas as pd

from recover_nb.tables.topography import OVERALL, coefficients, confusion_cells
from recover_nb.topography import Part, Topography

#: Middle 95 % of a null.
_LEVELS = (0.025, 0.975)
#: AUC of a score that says nothing.
_CHANCE = 0.5


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
