"""Tables of an ablation: settings' figures, what they move, and operators at other settings."""

import pandas as pd

from recover_nb.core.labels import Conclusion, Factor, Move
from recover_nb.routing.ablation.ablate import CONCLUSIONS, Ablation, Figure, Setting
from recover_nb.routing.result import interval_verdict
from recover_nb.tables.kit import in_points, interval

#: Each conclusion in words. All are lifts: above 0 the words hold.
CONCLUSION_WORDS = {
    Conclusion.PUBLISHED_EXCEEDS_NULL: "published exceeds its null",
    Conclusion.BEATS_RETRY_SPLIT: "routing beats retry (split)",
    Conclusion.BEATS_RETRY_ALL: "routing beats retry (all)",
    Conclusion.BEATS_BEST_FIXED_SPLIT: "routing beats best fixed (split)",
    Conclusion.BEATS_BEST_FIXED_ALL: "routing beats best fixed (all)",
    Conclusion.BEATS_PERMUTED_SPLIT: "routing beats its own routes permuted (split)",
    Conclusion.BEATS_PERMUTED_ALL: "routing beats its own routes permuted (all)",
}
FACTOR_WORDS = {
    Factor.REFERENCE: "reference",
    Factor.FEATURE_ALONE: "only",
    Factor.FEATURE_LEFT_OUT: "without",
    Factor.MAPPING: "mapped to",
    Factor.FALLBACK: "fallback",
    Factor.STANDARDISATION: "z-scores over",
    Factor.MIN_GAIN: "least gain",
    Factor.MIN_FAILURE: "least failure",
    Factor.ATTEMPTS: "attempts",
    Factor.FAILED_ROLLOUTS: "failed rollouts",
    Factor.WINDOW: "window",
    Factor.TEMPERATURE: "temperature of signals",
    Factor.K_COV: "coverage set",
    Factor.ALPHA: "alpha",
    Factor.WARMUP: "warm-up",
}


def ablation_figures(result: Ablation) -> pd.DataFrame:
    """List every conclusion under every setting.

    Parameters
    ----------
    result : Ablation

    Returns
    -------
    DataFrame
        One row a setting and conclusion: ``factor``, ``value``, ``setting`` (in words; ``mapped
        to`` lists the operators of spread, concentration and dispersion), ``reference`` (its name;
        a reference's is its own), ``n`` (failed units), ``conclusion`` (name) and ``claim`` (in
        words), ``points`` with its 95 % interval ``low_points``, ``high_points``, ``verdict`` (see
        `findings`), ``change_points`` against the reference with ``change_low_points``,
        ``change_high_points`` (NaN for a reference), ``changed`` (bool: that interval leaves out 0)
        and ``move`` (of `labels.Move`). A conclusion that a setting cannot change has no row.
    """
    rows = [
        _figure_row(setting, name, figure)
        for setting in result.settings.values()
        for name, figure in setting.figures.items()
    ]
    columns = [
        "factor",
        "value",
        "setting",
        "reference",
        "n",
        "conclusion",
        "claim",
        "points",
        "low_points",
    ]
    columns += [
        "high_points",
        "verdict",
        "change_points",
        "change_low_points",
        "change_high_points",
        "changed",
        "move",
    ]
    return pd.DataFrame(rows, columns=columns)


def _figure_row(setting: Setting, name: Conclusion, figure: Figure) -> dict:
    return {
        "factor": setting.factor.value,
        "value": setting.value,
        "setting": f"{FACTOR_WORDS[setting.factor]} {setting.value}",
        "reference": setting.reference,
        "n": setting.n,
        "conclusion": name.value,
        "claim": CONCLUSION_WORDS[name],
        **in_points(figure.value, figure.ci95),
        "verdict": interval_verdict(*figure.ci95),
        **in_points(figure.change, figure.change_ci95, "change_"),
        "changed": figure.changed,
        "move": figure.move.value,
    }


def ablation_moves(result: Ablation) -> pd.DataFrame:
    """Say of each conclusion which settings move it.

    Parameters
    ----------
    result : Ablation

    Returns
    -------
    DataFrame
        One row a conclusion: ``conclusion``, ``claim``, ``points``, ``low_points``, ``high_points``
        and ``verdict`` of the first reference, ``tried`` (settings that could move it), ``changed``
        (those whose change leaves out 0), ``moved`` (those whose verdict or sign differs), and
        their names in words: ``reversed`` (told from 0 on the other side), ``undecided`` (no longer
        told from 0), ``decided`` (told from 0 only now) and ``sign`` (neither).
    """
    figures = ablation_figures(result)
    rows = []
    for name in CONCLUSIONS:
        part = figures[figures["conclusion"] == name.value]
        if not len(part):
            continue
        first = part.iloc[0]
        tried = part[part["factor"] != Factor.REFERENCE.value]
        keys = ("conclusion", "claim", "points", "low_points", "high_points", "verdict")
        row = {key: first[key] for key in keys}
        row |= {"tried": len(tried), "changed": int(tried["changed"].sum())}
        row["moved"] = int((tried["move"] != Move.STAYS.value).sum())
        open_now = (tried["low_points"] <= 0) & (tried["high_points"] >= 0)
        significance = tried["move"] == Move.SIGNIFICANCE.value
        for key, chosen in (
            ("reversed", tried["move"] == Move.REVERSED.value),
            ("undecided", significance & open_now),
            ("decided", significance & ~open_now),
            ("sign", tried["move"] == Move.SIGN.value),
        ):
            row[key] = "; ".join(tried["setting"][chosen])
        rows.append(row)
    return pd.DataFrame(rows)


def ablated_operators(result: Ablation) -> pd.DataFrame:
    """List how operators rescue at other decode settings, on the problems attempted again.

    Parameters
    ----------
    result : Ablation

    Returns
    -------
    DataFrame
        One row a setting and operator: ``setting`` (``factor=value``; ``study`` for the study's
        own), ``intervention``, ``attempts``, ``rate`` and ``fired`` (shares of 1),
        ``change_points`` (rate less that at the study's own settings, same problems and random
        numbers) with ``change_low_points``, ``change_high_points``. Empty where no attempts were
        made.
    """
    rows = [
        {
            "setting": name,
            "intervention": intervention,
            "attempts": found["attempts"],
            "rate": found["rate"],
            "fired": found["fired"],
            **in_points(found["change"], found["ci95"], "change_"),
        }
        for name, operators in result.operators.items()
        for intervention, found in operators.items()
    ]
    columns = [
        "setting",
        "intervention",
        "attempts",
        "rate",
        "fired",
        "change_points",
        "change_low_points",
    ]
    return pd.DataFrame(rows, columns=[*columns, "change_high_points"])


def say_ablation(result: Ablation) -> list[str]:
    """Say of each conclusion, in a sentence, what moves it.

    Parameters
    ----------
    result : Ablation

    Returns
    -------
    list of str
        One sentence a conclusion.
    """
    sentences = []
    for row in ablation_moves(result).to_dict("records"):
        ends = interval((row["low_points"], row["high_points"]))
        figure = f"{row['points']:+.1f} points {ends}"
        parts = [
            f"{words}: {row[key]}"
            for key, words in (
                ("reversed", "reversed by"),
                ("undecided", "no longer told from 0 under"),
                ("decided", "told from 0 under"),
                ("sign", "other sign, not told from 0, under"),
            )
            if row[key]
        ]
        moved = "; ".join(parts) if parts else "no setting moves it"
        head = f"{row['verdict'].upper()}: {row['claim']}, {figure}"
        sentences.append(f"{head}. Moved by {row['moved']} of {row['tried']} settings ({moved}).")
    return sentences
