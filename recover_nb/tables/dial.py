"""What a budget buys, as figures and sentences: of a hundred failed problems, how many are solved.

docs/method.md#cost-dial.
"""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.labels import Intervention, Router
from recover_nb.routing.dial import Dial, cost_curves
from recover_nb.routing.routers.judge import BEST_FIXED, PUBLISHED_RULE

RETRY, ANCESTOR = Intervention.RETRY.value, Intervention.ANCESTOR.value
CALCULATOR, COUNT = Intervention.CALCULATOR.value, Router.COUNT.value

#: Strategy -> its name, what it does, and where the glossary has it.
STRATEGIES = {
    RETRY: ("Try again", "Ask the same model once more, and once more.", "retry"),
    PUBLISHED_RULE: (
        "The published rule",
        "Three numbers of the failed answers choose one of four operators.",
        "route",
    ),
    BEST_FIXED: (
        "One operator for all",
        "The one operator that helps most problems of a kind.",
        "best fixed",
    ),
    COUNT: (
        "Count, then choose",
        "Draw in another way if most of its answers have failed.",
        "count rule",
    ),
    ANCESTOR: (
        "Ask its ancestor",
        "The model before its last training answers instead.",
        "ancestor arm",
    ),
    CALCULATOR: (
        "Give it a calculator",
        "A tool writes what follows an equals sign.",
        "calculator",
    ),
}
#: In a sentence.
SPOKEN = {
    RETRY: "trying again",
    PUBLISHED_RULE: "the published rule",
    BEST_FIXED: "one operator for all",
    COUNT: "counting and choosing",
    ANCESTOR: "its ancestor",
    CALCULATOR: "a calculator",
}
#: Shares that differ by less are the same: half a problem in a hundred.
SAME = 0.005


def dial_rows(dial: Dial) -> pd.DataFrame:
    """List every strategy at every budget.

    Returns
    -------
    DataFrame
        ``strategy``, ``budget`` (forward passes per problem), ``solved`` and ``counted`` (shares of
        the problems; `routing.dial.Dial`).
    """
    return pd.DataFrame(
        {
            "strategy": np.repeat(list(dial.solved), len(dial.budgets)),
            "budget": np.tile(dial.budgets, len(dial.solved)),
            "solved": np.concatenate(list(dial.solved.values())),
            "counted": np.concatenate(list(dial.counted.values())),
        }
    )


def cost_dial(ds: xr.Dataset) -> dict[str, Any]:
    """Return what the cost dial shows, as plain data.

    Parameters
    ----------
    ds : Dataset
        A study with observed rollouts, attempts and their forward passes.

    Returns
    -------
    dict
        ``budgets``, ``tries`` (a budget in retries), ``strategies`` (each with ``name``, ``about``,
        ``term``, ``upfront``, and of a hundred problems those ``solved`` and ``counted`` at each
        budget), ``operators``, ``sentences`` and ``counted_sentences`` (one a budget), and what is
        counted: ``population``, ``free``.

    Raises
    ------
    InputError
        The study does not store what is needed.
    """
    dial = cost_curves(ds)
    return {
        "budgets": list(dial.budgets),
        "tries": [round(each / dial.retry_cost, 1) for each in dial.budgets],
        "strategies": [_strategy(dial, key) for key in dial.solved],
        "operators": [each.replace("_", " ") for each in dial.operators],
        "sentences": say_budgets(dial),
        "counted_sentences": say_budgets(dial, counted=True),
        "population": _population(dial),
        "free": _free(dial),
    }


def say_budgets(dial: Dial, *, counted: bool = False) -> list[str]:
    """Say what each budget buys, one text a budget."""
    shares = dial.counted if counted else dial.solved
    return [_say(dial.budgets, shares, at) for at in range(len(dial.budgets))]


def _strategy(dial: Dial, key: str) -> dict[str, Any]:
    name, about, term = STRATEGIES[key]
    return {
        "key": key,
        "name": name,
        "about": about,
        "term": term,
        "upfront": round(dial.upfront[key]),
        "solved": _of_hundred(dial.solved[key]),
        "counted": _of_hundred(dial.counted[key]),
    }


def _of_hundred(shares: np.ndarray) -> list[int]:
    return np.floor(100 * shares + 0.5).astype(int).tolist()


def _say(budgets: tuple[int, ...], shares: dict[str, np.ndarray], at: int) -> str:
    if budgets[at] == 0:
        return "Nothing is spent yet, and nothing is solved."
    retry, rule = shares[RETRY][at], shares[PUBLISHED_RULE][at]
    n_retry, n_rule = _of_hundred(np.array([retry, rule]))
    text = [
        f"With {budgets[at]} forward passes per problem, trying again solves {n_retry} of 100, the"
        f" published rule {n_rule}."
    ]
    if abs(retry - rule) < SAME:
        text.append("Neither is cheaper.")
    else:
        better, worse = (RETRY, rule) if retry > rule else (PUBLISHED_RULE, retry)
        passes = _needed(budgets, shares[better], worse)
        text.append(
            f"Cheaper: {SPOKEN[better]}, which solves {min(n_retry, n_rule)} with"
            f" {passes:.0f} passes."
        )
    most = max(shares, key=lambda key: shares[key][at])
    if most not in (RETRY, PUBLISHED_RULE):
        (n_most,) = _of_hundred(shares[most][at : at + 1])
        text.append(f"{SPOKEN[most].capitalize()} solves most: {n_most}.")
    return " ".join(text)


def _needed(budgets: tuple[int, ...], shares: np.ndarray, wanted: float) -> float:
    """Return the smallest budget that solves a share, linear between budgets; shares never fall."""
    return float(np.interp(wanted, shares, budgets))


def _population(dial: Dial) -> str:
    answers = "answer was" if dial.n_first == 1 else f"{dial.n_first} answers were"
    return (
        f"Each square stands for 100 problems whose first {answers} wrong: a mean over all"
        f" {dial.n:,} of this study. Problems that the first answer solves are not among them."
    )


def _free(dial: Dial) -> str:
    more = dial.n_observed - dial.n_first
    return (
        "An operator that asks two models pays for both. What comes before the choice is not paid"
        f" here: the rule reads {more} more answers of each problem with both models"
        f" ({dial.upfront[PUBLISHED_RULE]:,.0f} passes), and counting needs those answers too"
        f" ({dial.upfront[COUNT]:,.0f})."
    )
