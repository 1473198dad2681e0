"""Twins of a failed trace as a tree: what all share once, and a branch wherever they part."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention

RETRY = Intervention.RETRY.value

#: What is said of every branching of a failed trace, and what is kept of it.
SAID = (
    "problem",
    "rollout",
    "position",
    "operator",
    "alpha",
    "continuation",
    "n",
    "rescued",
    "rate",
)
HISTORY = (
    *SAID,
    "low",
    "high",
    "trace",
    "temperature",
    "seed",
    "deterministic",
)


@dataclass(frozen=True)
class Branch:
    """A run of tokens that every twin below it shares.

    Attributes
    ----------
    start : int
        Place of the first token in the traces.
    tokens : tuple of int
        Empty only for the root of traces that part at once.
    twins : tuple of int
        Which twins pass through here.
    n_correct : int
        How many of them are correct.
    failed : bool
        Whether the failed trace passes through here too.
    ends : tuple of int
        Twins that end with the last of these tokens.
    children : tuple of Branch
        How they go on: the most twins first. What only the failed trace says comes last.
    """

    start: int
    tokens: tuple[int, ...]
    twins: tuple[int, ...]
    n_correct: int
    failed: bool
    ends: tuple[int, ...]
    children: tuple["Branch", ...]


def diff_tree(
    failed_tokens: Sequence[int], twins_tokens: Sequence[Sequence[int]], correct: Sequence[bool]
) -> Branch:
    """Merge the twins of a failed trace, and the trace itself, by their common prefixes.

    Parameters
    ----------
    failed_tokens : sequence of int
    twins_tokens : sequence of n sequences of int
        Whole traces, prefix included.
    correct : sequence of n bool

    Returns
    -------
    Branch
        The root: the prefix that all of them share.

    Raises
    ------
    InputError
        If there is no twin, or `correct` has another length.

    Examples
    --------
    >>> tree = diff_tree([1, 2, 3], [[1, 5, 6], [1, 5, 7]], [True, False])
    >>> tree.tokens, [(each.tokens, len(each.twins), each.failed) for each in tree.children]
    ((1,), [((5,), 2, False), ((2, 3), 0, True)])
    """
    if not len(twins_tokens) or len(correct) != len(twins_tokens):
        raise InputError(
            f"{len(twins_tokens)} twins and {len(correct)} verdicts make no tree; allowed: one"
            " each, at least one twin"
        )
    twins = {i: tuple(map(int, tokens)) for i, tokens in enumerate(twins_tokens)}
    return _grow(tuple(map(int, failed_tokens)), twins, [bool(each) for each in correct], 0)


def _grow(
    failed: tuple[int, ...] | None, twins: dict[int, tuple[int, ...]], correct: list[bool], at: int
) -> Branch:
    """Return the branch of `twins` (and `failed`, unless None) that agree up to place `at`."""
    paths = [*twins.values(), *([] if failed is None else [failed])]
    stop = _agree(paths, at)
    tokens = paths[0][at:stop]
    going: dict[int, dict[int, tuple[int, ...]]] = {}
    for i, path in twins.items():
        if len(path) > stop:
            going.setdefault(path[stop], {})[i] = path
    onward = failed[stop] if failed is not None and len(failed) > stop else None
    if onward is not None:
        going.setdefault(onward, {})
    order = sorted(going, key=lambda token: (-len(going[token]), token))
    return Branch(
        start=at,
        tokens=tokens,
        twins=tuple(twins),
        n_correct=sum(correct[i] for i in twins),
        failed=failed is not None,
        ends=tuple(i for i, path in twins.items() if len(path) == stop),
        children=tuple(
            _grow(failed if token == onward else None, going[token], correct, stop)
            for token in order
        ),
    )


def _agree(paths: list[tuple[int, ...]], at: int) -> int:
    """Return the first place from `at` where the paths differ or one has ended."""
    for place, tokens in enumerate(zip(*(path[at:] for path in paths), strict=False), start=at):
        if len(set(tokens)) > 1:
            return place
    return min(map(len, paths))


def branch_rows(history: pd.DataFrame) -> pd.DataFrame:
    """Return a history with its rows numbered from 1 and named, for `charts.plot_branches`.

    Parameters
    ----------
    history : DataFrame
        With the columns of `HISTORY`.

    Returns
    -------
    DataFrame
        The same with ``branch`` and ``label`` in front.
    """
    rows = history.reset_index(drop=True)
    label = [
        f"{i}: problem {one.problem}, token {one.position}, {one.operator}, \u03b1 {one.alpha:g},"
        f" {one.continuation}"
        for i, one in enumerate(rows.itertuples(), start=1)
    ]
    rows.insert(0, "label", label)
    rows.insert(0, "branch", range(1, len(rows) + 1))
    return rows


def rate_rows(history: pd.DataFrame) -> pd.DataFrame:
    """Return branchings of one token as rates to draw side by side.

    Parameters
    ----------
    history : DataFrame
        With the columns of `HISTORY`.

    Returns
    -------
    DataFrame
        ``operator``, ``rate``, ``low`` and ``high`` (95 % Wilson interval; NaN where nothing was
        drawn), and ``said``: how many of how many twins were right, in words.
    """
    rows = history[["operator", "rate", "low", "high"]].reset_index(drop=True)
    drawn = ~history["deterministic"].to_numpy(bool)
    low, high = (100 * history[name].to_numpy(float) for name in ("low", "high"))
    said = [
        f"{right} of {n} right"
        + (f" (95 %: {low[i]:.0f} to {high[i]:.0f} %)" if drawn[i] else "; nothing was drawn")
        for i, (right, n) in enumerate(zip(history["rescued"], history["n"], strict=True))
    ]
    return rows.assign(said=said)


def say_rates(rates: pd.DataFrame) -> str:
    """Say whether an operator was better than ``retry`` from the same token.

    Examples
    --------
    >>> rates = pd.DataFrame({"operator": ["retry", "sparse_steer"], "rate": [0.2, 1.0],
    ...                       "low": [0.08, 0.84], "high": [0.42, 1.0]})
    >>> say_rates(rates)
    'The intervals lie apart: at this token sparse_steer is better than asking again.'
    """
    operators = rates[rates["operator"] != RETRY]
    retry = rates[rates["operator"] == RETRY]
    if not len(operators) or not len(retry):
        return ""
    own, other = operators.iloc[-1], retry.iloc[-1]
    if own["low"] > other["high"]:
        return (
            f"The intervals lie apart: at this token {own['operator']} is better than asking again."
        )
    if own["high"] < other["low"]:
        return (
            f"The intervals lie apart: at this token {own['operator']} is worse than asking again."
        )
    if pd.isna(own["low"]) or pd.isna(other["low"]):
        return "Equal twins are one observation, so nothing can be said of luck."
    if own["rate"] == other["rate"] == 0:
        return "Neither ever ends right from this token."
    return "The intervals overlap: from this token it could be luck."
