"""Tables of an ablation: settings' figures, what they move, and operators at other settings."""

import pandas as pd

from recover_nb.core.labels import Conclusion, Factor, Move
from recover_nb.routing.ablation.ablate import CONCLUSIONS, Ablation, Figure, Setting
from recover_nb.routing.result import agreed_verdict
from recover_nb.tables.kit import in_points, points

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


#: A figure and both its intervals.
_ENDS = (
    "points",
    "low_points",
    "high_points",
    "low_checkpoints_points",
    "high_checkpoints_points",
)


def ablation_figures(result: Ablation) -> pd.DataFrame:
    """List every conclusion under every setting.

    Parameters
    ----------
    result : Ablation

    Returns
    -------
    DataFrame
        One row a setting and conclusion: ``population``, ``factor``, ``value``, ``setting`` (in
        words; ``mapped to`` lists the operators of spread, concentration and dispersion),
        ``reference`` (its name; a reference's is its own), ``n`` (its problems of the population),
        ``conclusion`` (name) and ``claim`` (in words), ``points`` with its 95 % intervals
        ``low_points``, ``high_points`` over questions and ``low_checkpoints_points``,
        ``high_checkpoints_points`` over checkpoints, ``verdict`` (by both), ``change_points``
        against the reference with ``change_low_points``, ``change_high_points`` (NaN for a
        reference), ``changed`` (bool: that interval leaves out 0), ``same`` (bool: the reference's
        figure, to the last digit) and ``move`` (of `labels.Move`, by the intervals over questions).
        A conclusion that a setting cannot change, or for which it leaves no problem, has no row.
    """
    rows = [
        {"population": result.population, **_figure_row(setting, name, figure)}
        for setting in result.settings.values()
        for name, figure in setting.figures.items()
    ]
    columns = ["population", "factor", "value", "setting", "reference", "n", "conclusion", "claim"]
    columns += [*_ENDS, "verdict", "change_points", "change_low_points", "change_high_points"]
    columns += ["changed", "same", "move"]
    return pd.DataFrame(rows, columns=columns)


def _in_words(setting: Setting) -> str:
    return f"{FACTOR_WORDS[setting.factor]} {setting.value}"


def _figure_row(setting: Setting, name: Conclusion, figure: Figure) -> dict:
    return {
        "factor": setting.factor.value,
        "value": setting.value,
        "setting": _in_words(setting),
        "reference": setting.reference,
        "n": setting.n,
        "conclusion": name.value,
        "claim": CONCLUSION_WORDS[name],
        **in_points(figure.value, figure.ci95),
        **{name: points(end) for name, end in zip(_ENDS[3:], figure.ci95_checkpoints, strict=True)},
        "verdict": agreed_verdict(figure.ci95, figure.ci95_checkpoints),
        **in_points(figure.change, figure.change_ci95, "change_"),
        "changed": figure.changed,
        "same": figure.same,
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
        One row a conclusion: ``population``, ``n`` (its problems), ``conclusion``, ``claim``,
        ``points``, ``low_points``, ``high_points``, ``low_checkpoints_points``,
        ``high_checkpoints_points`` and ``verdict`` of the first reference, ``tried`` (settings that
        could move it), ``changed`` (those whose change leaves out 0), ``moved`` (those where the
        interval over questions, or the sign, says otherwise), and their names in words:
        ``reversed`` (told from 0 on the other side), ``undecided`` (no longer told from 0),
        ``decided`` (told from 0 only now), ``sign`` (neither), ``same`` (tried, and the reference's
        figure to the last digit) and ``missing`` (not tried: no problem is left to score).

    Examples
    --------
    >>> import recover_nb as rnb
    >>> found = rnb.ablate(rnb.make_study(size=0.4), n_bootstrap=50, n_null=5, n_splits=4)
    >>> moves = rnb.tables.ablation_moves(found)
    >>> bool((moves["moved"] <= moves["tried"]).all())
    True
    """
    figures = ablation_figures(result)
    rows = []
    for name in CONCLUSIONS:
        part = figures[figures["conclusion"] == name.value]
        is_reference = part["factor"] == Factor.REFERENCE.value
        if not is_reference.any():
            continue
        first, tried = part[is_reference].iloc[0], part[~is_reference]
        row = {key: first[key] for key in ("population", "n", "conclusion", "claim", *_ENDS)}
        row |= {"verdict": first["verdict"], "tried": len(tried)}
        row |= {"changed": int(tried["changed"].sum())}
        row["moved"] = int((tried["move"] != Move.STAYS.value).sum())
        open_now = (tried["low_points"] <= 0) & (tried["high_points"] >= 0)
        significance = tried["move"] == Move.SIGNIFICANCE.value
        for key, chosen in (
            ("reversed", tried["move"] == Move.REVERSED.value),
            ("undecided", significance & open_now),
            ("decided", significance & ~open_now),
            ("sign", tried["move"] == Move.SIGN.value),
            ("same", tried["same"]),
        ):
            row[key] = "; ".join(tried["setting"][chosen])
        row["missing"] = "; ".join(
            _in_words(each)
            for each in result.settings.values()
            if name in each.missing and each.factor != Factor.REFERENCE
        )
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
        One row a setting and operator: ``population``, ``setting`` (``factor=value``; ``study``
        for the study's own), ``intervention``, ``attempts``, ``rate`` and ``fired`` (shares of 1;
        ``fired`` of all attempts made, those on problems outside the population too),
        ``change_points`` (rate less that at the study's own settings, same problems and random
        numbers) with ``change_low_points``, ``change_high_points``. Empty where no attempts were
        made on problems of the population.
    """
    rows = [
        {
            "population": result.population,
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
    columns = ["population", "setting", "intervention", "attempts", "rate", "fired"]
    columns += ["change_points", "change_low_points", "change_high_points"]
    return pd.DataFrame(rows, columns=columns)
