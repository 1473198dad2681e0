"""What people read in place of a name in code: names of things, titles of columns, p-values.

Data keep the names of the code. Charts, tables, the report and the terminal ask here.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from recover_nb.core.labels import Feature, Intervention, Method, Regime, Router

#: What each name stands for. The name itself follows in brackets, so that it can be looked up.
_MEANT: Mapping[str, str] = {
    Intervention.NONE: "observed rollouts",
    Intervention.RETRY: "asking again",
    Intervention.TEMPERATURE: "another temperature",
    Intervention.LOCAL_TEMPERATURE: "one token drawn hotter",
    Intervention.SPARSE_STEER: "one token steered",
    Intervention.SPARSE_STEER_WRONG: "other mixture",
    Intervention.SPARSE_STEER_RANDOM: "random token steered",
    Intervention.DENSE_STEER: "every token steered",
    Intervention.DENSE_SAMPLE: "every token mixed",
    Intervention.CALCULATOR: "a calculator",
    Intervention.ANCESTOR: "the ancestor alone",
    Intervention.GREEDY: "likeliest tokens",
    Intervention.CONTRASTIVE: "away from the ancestor",
    Intervention.MIN_P: "no unlikely tokens",
    Regime.STEERABLE_HARD: "an operator helps",
    Regime.BEYOND_REACH: "nothing helps",
    Regime.RESAMPLE: "asking again helps",
    Method.SFT: "imitation",
    Method.GRPO: "reward",
    Method.SELF_DISTILL: "own answers",
    Method.CUED: "imitation with cues",
    "split": "split halves",
    "all": "all problems",
    "null": "no effect",
    "null_twins": "no effect, twins",
    "own_features": "all, from the first answers only",
    "without_guesses": "all, guesses count as wrong",
    "best_fixed": "best single operator",
    "best_fixed_in_sample": "best in hindsight",
    "random": "operators at random",
    "permuted": "shuffled routes",
    "oracle": "best for each problem",
    "oracle_in_sample": "best for each problem, in hindsight",
    "ngrams": "text",
    "failures": "number of failures",
    "length": "length",
    "log_probability": "log-probability",
    "frozen": "the source's scale",
    "refitted": "the target's scale",
    "by_cell": "each cell's scale",
    "within": "within cells",
    "pooled": "all cells together",
}
#: Names that say enough in words of their own.
_WORDS: Mapping[str, str] = {
    Router.COUNT: "count rule",
    Router.LEARNT: "learnt from everything",
    Feature.LOGIT_DISPERSION: "logit dispersion",
    "published less null": "published, less no effect",
    "published less null_twins": "published, less no effect, twins",
    "not_above_null": "not above data without clusters",
    "kmeans": "k-means",
    "gaussian_mixture": "Gaussian mixture",
    "ward": "Ward",
    "hdbscan": "HDBSCAN",
    "data": "data",
    "gaussian": "one Gaussian",
    "box": "uniform box",
    "auc": "AUC",
    "prompt_length": "prompt length",
    "no_signal": "all without a signal",
    "features_added": "features added",
    "commonest": "commonest label",
    "ceiling": "knowing every rate",
    "sci_prm": "the published accuracy",
    "always_right": "calling every step right",
    "place_alone": "the place of a step alone",
    "specialist_alone": "the specialist alone",
    "majority": "majority",
    "log_probability_vote": "vote by log-probability",
    "product_vote": "vote by the scorer",
    "random_answer": "a random answer",
    "best_in_hindsight": "best in hindsight",
    "random_step": "a random step",
    "junction_step": "the junction's step",
    "first_wrong_step": "the first wrong step itself",
    "best_of_8": "one answer of 8",
    "going_on": "going on from a step",
    "tool": "a calculator from a step on",
    "f1": "F1",
    "right_answers": "right answers",
    "equal_passes": "at equal passes",
    "one_attempt": "one attempt",
}
#: Failures that figures are about (docs/method.md#populations).
_POPULATIONS: Mapping[str, str] = {
    "failed": "failed at least once",
    "failed_first_1": "first answer failed",
    "failed_first_5": "first five answers failed",
}
#: Readers of answers (docs/method.md#12-not-by-reading), whose names are columns elsewhere.
_READERS = ("failures", "length", "entropy")
#: Columns of text that models and people wrote, which is never taken for a name.
_TEXTS = frozenset(
    [
        "about",
        "after",
        "answer",
        "before",
        "label",
        "problem_id",
        "prompt",
        "said",
        "sentence",
        "text",
        "token",
        "trace",
    ]
)
#: Titles of columns that their words do not give.
_TITLES: Mapping[str, str] = {
    "acted": "share that acted",
    "alpha": "alpha",
    "ancestor_pass_at_1": "ancestor, right at the first try",
    "ari": "ARI",
    "auc": "AUC",
    "auc_lead": "lead in AUC",
    "auc_low": "lead in AUC, 95 % from",
    "auc_high": "lead in AUC, 95 % to",
    "basis": "cost counted in",
    "best": "rescue rate of the best operator",
    "count": "count",
    "fired": "share of attempts in which it acted",
    "first_failed": "observed rollouts that all failed",
    "high": "95 % to",
    "high_points": "95 % to, points",
    "high_checkpoints_points": "over checkpoints 95 % to, points",
    "is_fatal": "the fatal token",
    "is_junction": "the junction",
    "k": "attempts",
    "k_retry": "retries",
    "k_routed": "routed attempts",
    "lift_all": "lift",
    "lift_high_all_points": "lift over retry, all together 95 % to, points",
    "lift_high_points": "lift over retry, 95 % to, points",
    "lift_low_all_points": "lift over retry, all together 95 % from, points",
    "lift_low_points": "lift over retry, 95 % from, points",
    "lift_points": "lift, points",
    "low": "95 % from",
    "low_points": "95 % from, points",
    "low_checkpoints_points": "over checkpoints 95 % from, points",
    "mean_points": "mean without an effect, points",
    "n": "problems",
    "n_problems": "problems",
    "n_source": "problems of the source",
    "n_target": "problems of the target",
    "n_tokens": "tokens",
    "null_high": "permuted labels, to",
    "null_low": "permuted labels, from",
    "null_mean": "permuted labels, mean",
    "p": "p",
    "p_family": "p, corrected for the whole grid",
    "p_holm": "p (Holm)",
    "pass_at_1": "right at the first try",
    "points": "points",
    "published_points": "lift as published, points",
    "rate": "rescue rate",
    "relative": "relative lift",
    "relative_high": "relative lift, 95 % to",
    "relative_low": "relative lift, 95 % from",
    "retry": "rescue rate of asking again",
    "retry_rate": "asking again",
    "routed": "rescue rate, routed",
    "sd": "standard deviation",
    "sd_points": "standard deviation, points",
    "steerable_hard_fraction": "share of steerable_hard problems",
    "token_id": "token's number",
}
#: Columns of shares of one, which people read in percent.
SHARES = frozenset(
    [
        "accuracy",
        "acted",
        "ancestor_pass_at_1",
        "fired",
        "long",
        "majority",
        "parseable",
        "pass_at_1",
        "rate",
        "retry",
        "retry_rate",
        "routed",
        "share",
        "steerable_hard_fraction",
    ]
)
#: Words of a column's name that are written out.
_SPELT = {"sd": "standard deviation", "ari": "ARI", "auc": "AUC", "bca": "BCa", "pac": "PAC"}


def named(name: object) -> str:
    """Return what people read for an intervention, a regime, a feature or another name of the code.

    Parameters
    ----------
    name : str
        As in the data.

    Returns
    -------
    str
        What it means, the name in brackets behind it; a name that nothing is known of as it is.

    Examples
    --------
    >>> named("sparse_steer"), named("logit_dispersion"), named("qwen3")
    ('one token steered (sparse_steer)', 'logit dispersion', 'qwen3')
    >>> named("failed_first_1"), named("failed_first_20")
    ('first answer failed', 'first 20 answers failed')
    """
    name = str(name)
    meant = _MEANT.get(name)
    if meant:
        return f"{meant} ({name})"
    if name in _POPULATIONS or name.startswith("failed_first_"):
        return _POPULATIONS.get(name, f"first {name.rpartition('_')[2]} answers failed")
    return _WORDS.get(name, name)


def short_title(column: object) -> str:
    """Return the heading of a column of a narrow table: the names of the code are short.

    Examples
    --------
    >>> short_title("sparse_steer"), short_title("k_retry")
    ('sparse steer', 'retries')
    """
    column = str(column)
    is_name = column in _MEANT or column in _WORDS
    return column.replace("_", " ") if is_name else title(column)


def meaning(name: object) -> str:
    """Return what people read for a name where there is no room for the name itself.

    Examples
    --------
    >>> meaning("best_fixed"), meaning("qwen3")
    ('best single operator', 'qwen3')
    """
    name = str(name)
    return _MEANT.get(name) or _WORDS.get(name, name)


def named_all(names: Iterable[object]) -> dict[str, str]:
    """Return what people read for each of some names."""
    return {str(name): named(name) for name in names}


def title(column: object) -> str:
    """Return the heading of a column.

    Parameters
    ----------
    column : str
        As in a frame of `recover_nb.tables`.

    Returns
    -------
    str
        A column of differences says that it is in points.

    Examples
    --------
    >>> title("sd_points"), title("excess_points"), title("n"), title("sparse_steer")
    ('standard deviation, points', 'excess, points', 'problems', 'one token steered (sparse_steer)')
    """
    column = str(column)
    if column in _TITLES:
        return _TITLES[column]
    if column not in _READERS and (column in _MEANT or column in _WORDS):
        return named(column)
    words, unit = column, ""
    if column.endswith("_points"):
        words, unit = column.removesuffix("_points"), ", points"
    for end, said in (
        ("_low_checkpoints", ", over checkpoints 95 % from"),
        ("_high_checkpoints", ", over checkpoints 95 % to"),
        ("_low", ", 95 % from"),
        ("_high", ", 95 % to"),
    ):
        if words.endswith(end):
            words, unit = words.removesuffix(end), said + unit
    return " ".join(_SPELT.get(word, word) for word in words.split("_")) + unit


def p_value(p: float | None, draws: int | None = None, of: str = "permutations") -> str:
    """Write a p-value with what it stands for.

    Parameters
    ----------
    p : float or None
        NaN and None are a dash.
    draws : int, optional
        How many permutations it was counted over: it cannot be less than
        1 / (draws + 1), and there it only bounds what more of them would give.
    of : str
        What is drawn.

    Examples
    --------
    >>> p_value(1 / 21, 20), p_value(0.3, 20), p_value(0.0004)
    ('p <= 0.048 (20 permutations)', 'p = 0.3', 'p = 0.0004')
    """
    if p is None or math.isnan(p):
        return "p not known"
    if _least(p, draws):
        return f"p <= {p:.2g} ({draws:,} {of})"
    return f"p = {p:.2g}"


def _least(p: float, draws: int | None) -> bool:
    """Say whether a p-value is the least that so many draws can give."""
    return bool(draws) and p <= (1 + 1e-9) / (draws + 1)


def p_cell(p: float, draws: int | None = None) -> str:
    """Write a p-value in a column that is headed p; the caption says how many draws.

    Examples
    --------
    >>> p_cell(1 / 21, 20), p_cell(0.3, 20)
    ('<= 0.048', '0.3')
    """
    if math.isnan(p):
        return "\u2013"
    return f"<= {p:.2g}" if _least(p, draws) else f"{p:.2g}"


def plain_zero(text: str) -> str:
    """Return a written number without the sign of a zero: ``-0.0`` and ``+0.0`` are ``0.0``.

    Examples
    --------
    >>> plain_zero("-0.0"), plain_zero("+0.0%"), plain_zero("-0.1")
    ('0.0', '0.0%', '-0.1')
    """
    return text.lstrip("+-") if text[:1] in "+-" and not set(text) & set("123456789") else text


def about(count: float) -> str:
    """Write a number of problems: a mean over halvings is no whole number, and is said to be one.

    Examples
    --------
    >>> about(234.5), about(221.0), about(1190.0)
    ('about 235', '221', '1,190')
    """
    if math.isnan(count):
        return "an unknown number of"
    whole = math.floor(count + 0.5)
    return f"{whole:,}" if abs(count - whole) < 1e-9 else f"about {whole:,}"


def shown(value: Any, column: str = "", decimals: int | None = None) -> str:
    """Write one value of a frame as its column is written for people.

    Parameters
    ----------
    value : object
        NaN and None are a dash.
    column : str
        Its name: points have a sign and one digit, shares are percent, problems have none.
    decimals : int, optional
        Digits behind the point of other numbers; three that count unless given.

    Examples
    --------
    >>> shown(-0.04, "lift_points"), shown(234.5, "n"), shown(0.25, "share"), shown("retry")
    ('0.0', 'about 235', '25.0 %', 'asking again (retry)')
    """
    if isinstance(value, str):
        return value if column in _TEXTS else named(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "\u2013"
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return {"True": "yes", "False": "no"}.get(str(value), str(value))
    if column in ("n", "n_problems", "problems"):
        return about(float(value))
    if column.endswith("points"):
        return plain_zero(f"{round(float(value), 9):+.1f}")
    if column in SHARES and isinstance(value, float) and abs(value) <= 1:
        return f"{round(100 * value, 7):.1f} %"
    if float(value).is_integer() and not isinstance(value, float):
        return f"{value:,}"
    number = round(float(value), 9)
    return plain_zero(f"{number:.3g}" if decimals is None else f"{number:.{decimals}f}")
