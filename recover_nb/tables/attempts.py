"""What was tried on a failed answer: every attempt of an intervention, beside the answer itself."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.labels import ROUTED_INTERVENTIONS, Intervention
from recover_nb.routing.rescue import proportion_interval

NONE, RETRY = Intervention.NONE.value, Intervention.RETRY.value


def attempts(
    ds: xr.Dataset, problem: int, intervention: str, failed: np.ndarray | None = None
) -> pd.DataFrame:
    """Return the attempts of an intervention on a problem.

    Parameters
    ----------
    ds : Dataset
        A study with tokens.
    problem : int
        Place along `problem`.
    intervention : str
    failed : (n,) int array, optional
        Tokens of the failed answer.

    Returns
    -------
    DataFrame
        ``attempt`` (its number, from 0), ``right`` (bool), ``n_tokens`` and ``shared``: the tokens
        from the start that it shares with the failed answer.
    """
    one = ds[["token_id", "n_tokens", "correct"]].isel(problem=problem)
    one = one.sel(intervention=intervention)
    n = one["n_tokens"].values
    run = np.flatnonzero(n)
    ids = one["token_id"].transpose("rollout", "token").values[run]
    size = min(ids.shape[1], 0 if failed is None else len(failed))
    same = ids[:, :size] == (np.zeros(0, int) if failed is None else failed[:size])
    shared = np.cumprod(same, axis=1).sum(1)
    right = one["correct"].values[run] == 1
    return pd.DataFrame({"attempt": run, "right": right, "n_tokens": n[run], "shared": shared})


def problem_rates(ds: xr.Dataset, problem: int, names: Sequence[str]) -> pd.DataFrame:
    """Return how often each of some interventions was right on a problem.

    Parameters
    ----------
    ds : Dataset
        With ``rescue_rate`` and ``attempts``.
    problem : int
        Place along `problem`.
    names : sequence of str
        Interventions; one that was not run on the problem is left out.

    Returns
    -------
    DataFrame
        ``operator``, ``rate``, ``low`` and ``high`` (95 % Wilson interval), and ``said``: how many
        of how many attempts were right, in words.
    """
    one = ds[["rescue_rate", "attempts"]].isel(problem=problem).sel(intervention=list(names))
    rows = []
    for name, rate, n in zip(
        names, one["rescue_rate"].to_numpy(), one["attempts"].to_numpy(), strict=True
    ):
        if n > 0 and not np.isnan(rate):
            right = round(float(rate * n))
            low, high = proportion_interval(right, int(n))
            rows.append((str(name), float(rate), low, high, f"{right} of {int(n)} right"))
    return pd.DataFrame(rows, columns=["operator", "rate", "low", "high", "said"])


def most_rescuing(ds: xr.Dataset, problem: int) -> str:
    """Return the intervention that was right most often on a problem; "" where none was run.

    Of equals the published ones come first, and ``retry``, what others are compared with, last.
    """
    correct = ds["correct"].isel(problem=problem).transpose("intervention", "rollout").values
    rates = {
        str(name): (row == 1).sum() / (row >= 0).sum()
        for name, row in zip(ds["intervention"].values, correct, strict=True)
        if name != NONE and (row >= 0).any()
    }
    order = sorted(rates, key=lambda name: (name == RETRY, name not in ROUTED_INTERVENTIONS))
    return max(order, key=lambda name: rates[name], default="")


def clearest(frame: pd.DataFrame, lost_at: int = -1) -> int:
    """Return the attempt that shows best what would have saved an answer.

    Of the right ones that leave it where it was lost or before, the one that shares most with it;
    else any right one, else any.

    Parameters
    ----------
    frame : DataFrame
        From `attempts`.
    lost_at : int
        The fatal token; -1 = not known.

    Returns
    -------
    int
        Its number; -1 where there is none.
    """
    if not len(frame):
        return -1
    early = (frame["shared"] <= lost_at) | (lost_at < 0)
    order = pd.DataFrame({"right": frame["right"], "early": early, "shared": frame["shared"]})
    # Of equals the first.
    best = order.sort_values(["right", "early", "shared"], ascending=False, kind="stable").index[0]
    return int(frame["attempt"].to_numpy()[frame.index.get_loc(best)])


def say_attempts(frame: pd.DataFrame, name: str, retry: pd.DataFrame | None = None) -> str:
    """Say how often an intervention was right on a problem, beside ``retry``.

    Examples
    --------
    >>> both = [pd.DataFrame({"right": [True] * n + [False] * (20 - n)}) for n in (14, 4)]
    >>> say_attempts(both[0], "sparse_steer", both[1])
    'sparse_steer: 14 of 20 right; retry: 4 of 20 right.'
    """
    arms = {name: frame}
    if retry is not None and len(retry) and name != RETRY:
        arms[RETRY] = retry
    return (
        "; ".join(
            f"{arm}: {each['right'].sum()} of {len(each)} right" for arm, each in arms.items()
        )
        + "."
    )


def align(left: Sequence[int] | np.ndarray, right: Sequence[int] | np.ndarray) -> np.ndarray:
    """Align two answers token by token, by the fewest edits.

    Parameters
    ----------
    left, right : sequences of n and m int

    Returns
    -------
    (k, 2) int array
        Places in `left` and `right` that stand opposite one another, in order; -1 = a gap. A token
        that was changed stands opposite the one that replaced it. (Levenshtein, 1966: one edit
        changes, adds or drops one token.)

    Examples
    --------
    >>> align([1, 2, 3, 4], [1, 9, 3, 4, 5]).tolist()
    [[0, 0], [1, 1], [2, 2], [3, 3], [-1, 4]]
    """
    left, right = np.asarray(left), np.asarray(right)
    n, m = len(left), len(right)
    place = np.arange(m + 1)
    cost = np.empty((n + 1, m + 1), np.int32)
    cost[0] = place
    for i in range(1, n + 1):
        row = cost[i - 1] + 1
        row[1:] = np.minimum(row[1:], cost[i - 1, :-1] + (right != left[i - 1]))
        # Adding tokens of `right` goes on from the cheapest place before.
        cost[i] = np.minimum.accumulate(row - place) + place
    pairs, i, j = [], n, m
    while i or j:
        changed = i and j and cost[i, j] == cost[i - 1, j - 1] + (left[i - 1] != right[j - 1])
        if changed:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            pairs.append((i, -1))
        else:
            j -= 1
            pairs.append((-1, j))
    return np.array(pairs[::-1], int).reshape(-1, 2)


def aligned_rows(
    failed: Sequence[int] | np.ndarray,
    failed_text: Sequence[str],
    other: Sequence[int] | np.ndarray,
    other_text: Sequence[str],
) -> pd.DataFrame:
    """Return two answers side by side, one row per pair of tokens.

    Parameters
    ----------
    failed, other : sequences of int
        Token ids.
    failed_text, other_text : sequences of str

    Returns
    -------
    DataFrame
        ``failed_at``, ``other_at`` (places, -1 = a gap), ``failed``, ``other`` (text, "" at a gap)
        and ``kind``: ``same``, ``changed``, ``dropped`` (only in the failed answer) or ``added``.
    """
    pairs = align(failed, other)
    failed, other = np.asarray(failed), np.asarray(other)
    i, j = pairs.T
    kind = np.where(failed[i] == other[j], "same", "changed") if len(pairs) else np.zeros(0, str)
    kind = np.where(i < 0, "added", np.where(j < 0, "dropped", kind))
    return pd.DataFrame(
        {
            "failed_at": i,
            "other_at": j,
            "failed": ["" if each < 0 else failed_text[each] for each in i.tolist()],
            "other": ["" if each < 0 else other_text[each] for each in j.tolist()],
            "kind": kind,
        }
    )


def say_difference(rows: pd.DataFrame) -> str:
    """Say where two answers part, and in how many tokens they differ."""
    apart = rows[rows["kind"] != "same"]
    if not len(apart):
        return "The two are the same, token for token."
    first, n = apart.iloc[0], len(apart)
    count = "1 token differs" if n == 1 else f"{n} tokens differ"
    if first["kind"] == "changed":
        where = f"\u201c{first['other']}\u201d for \u201c{first['failed']}\u201d"
        return f"They part at token {first['failed_at']}: {where}. {count}."
    if first["kind"] == "added":
        return (
            f"The attempt adds \u201c{first['other']}\u201d at token {first['other_at']}. {count}."
        )
    return f"The attempt drops \u201c{first['failed']}\u201d, token {first['failed_at']}. {count}."
