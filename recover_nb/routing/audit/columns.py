"""What the columns of a table of outcomes are, told by their names, and what their cells say."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from recover_nb.core.checks import shown
from recover_nb.core.errors import InputError

#: Names of a column that says which problem, arm, outcome, cost, count or cell a row is about.
NAMES = {
    "problem": (
        "problem",
        "problem_id",
        "sample_id",
        "question_id",
        "task_id",
        "prompt_id",
        "query_id",
        "instance_id",
        "global_index",
        "id",
        "index",
        "prompt",
        "question",
        "query",
    ),
    "arm": ("arm", "intervention", "model", "model_name", "llm", "strategy", "policy"),
    "correct": (
        "correct",
        "is_correct",
        "score",
        "accuracy",
        "performance",
        "acc",
        "passed",
        "success",
        "rate",
        "reward",
    ),
    "cost": ("cost", "total_cost", "cost_usd", "price", "tokens", "n_tokens", "usd"),
    "attempts": ("attempts", "trials", "n", "count"),
    "cell": ("cell", "eval_name", "dataset", "benchmark", "task", "dataset_id", "dataset_name"),
    "router": ("router", "route", "routed", "chosen", "choice", "routed_to", "router_choice"),
}
#: What stands between an arm and what its column holds, and the endings of such columns.
_JOINS = ("|", "__", ":", "/", "_", ".", " ")
_ENDINGS = {
    "cost": ("total_cost", "cost", "cost_usd", "price", "tokens"),
    "attempts": ("attempts", "trials", "n", "count"),
    "skipped": ("model_response", "response", "output", "answer", "prediction", "latency"),
    "correct": ("correct", "is_correct", "score", "accuracy", "performance", "rate", "solved"),
}
#: Columns of no arm, though their values look like outcomes.
NO_ARM = ("split", "fold", "level", "seed", "attempt", "rollout", "rollout_idx")
_WORDS = {
    "true": 1.0,
    "yes": 1.0,
    "correct": 1.0,
    "right": 1.0,
    "pass": 1.0,
    "passed": 1.0,
    "false": 0.0,
    "no": 0.0,
    "wrong": 0.0,
    "incorrect": 0.0,
    "fail": 0.0,
    "failed": 0.0,
}


def find_column(columns: Iterable[str], field: str) -> str | None:
    """Return the column that holds a field, the likeliest name first; None where there is none."""
    plain = {plain_name(name): name for name in reversed(list(columns))}
    return next((plain[name] for name in NAMES[field] if name in plain), None)


def plain_name(name: str) -> str:
    """Return a name in small letters, with ``_`` for blanks and dashes."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def split_column(name: str) -> tuple[str, str | None]:
    """Return the arm that a column belongs to, and what it holds of it; None for outcomes.

    Arms are named without blanks around, as `texts` names them.
    """
    name = name.strip()
    for kind, endings in _ENDINGS.items():
        for ending in endings:
            for join in _JOINS:
                if name.lower().endswith(join + ending) and len(name) > len(join + ending):
                    return name[: -len(join + ending)].strip(), kind
            if kind == "cost" and name.lower().startswith(f"{ending}_"):
                return name[len(ending) + 1 :].strip(), kind
    return name, None


def looks_like_scores(column: pd.Series) -> bool:
    """Whether a column holds outcomes: 0 and 1, words for them, or shares of 1."""
    try:
        values = scores_of(column, None)
    except InputError:
        return False
    values = values[~np.isnan(values)]
    return bool(len(values)) and bool(((values >= 0) & (values <= 1)).all())


def texts(column: pd.Series) -> pd.Series:
    """Return names as text, "" where there is none; 3.0 is 3."""
    whole = column.dtype.kind == "f" and bool((column.dropna() % 1 == 0).all())
    values = ["" if pd.isna(each) else str(int(each) if whole else each) for each in column]
    return pd.Series([each.strip() for each in values], dtype=object)


def scores_of(column: pd.Series, most: float | None) -> np.ndarray:
    """Return outcomes as numbers; NaN where there is none."""
    if column.dtype.kind in "iufb":
        values = column.to_numpy(float)
    else:
        said = column.map(lambda each: "" if pd.isna(each) else str(each).strip().lower())
        words = said.map(_WORDS)
        numbers = pd.to_numeric(said.where(said != ""), errors="coerce")
        values = words.fillna(numbers).to_numpy(float)
        unread = np.isnan(values) & (said != "").to_numpy()
        if unread.any():
            row = int(np.flatnonzero(unread)[0])
            raise InputError(
                f"row {row + 1}, column {column.name!r}: {shown(column.iloc[row])} is no outcome;"
                " allowed: 1 and 0, true and false, or a share of 1"
            )
    wrong = (values < 0) | np.isinf(values) | (values > (np.inf if most is None else most))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"row {row + 1}, column {column.name!r}: {values[row]:g} is no outcome; allowed: 1 and"
            " 0, true and false, or a share of 1"
        )
    return values


def numbers_of(column: pd.Series, what: str, low: float | None = None) -> np.ndarray:
    """Return cells as finite numbers, NaN where there is none; see that none is below `low`."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(float)
    wrong = np.isinf(values) | (np.isnan(values) & column.notna().to_numpy())
    if low is not None:
        wrong |= values < low
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"row {row + 1}, column {column.name!r}: {shown(column.iloc[row])} is not {what};"
            " allowed: numbers" + ("" if low is None else f" of at least {low:g}")
        )
    return values


def listed(names: Iterable[Any], most: int = 12) -> str:
    """Write names in a row, the first `most` of them."""
    said = [str(each) for each in names]
    more = f" and {len(said) - most} more" if len(said) > most else ""
    return ", ".join(said[:most]) + more
