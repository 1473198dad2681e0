"""What is shown at each token of a trace: signal, value, and what both models would have said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.labels import Intervention, Signal
from recover_nb.core.schema import MODELS
from recover_nb.core.token_text import pieces_of
from recover_nb.features.value import fatal_token, problems_with_value, recorded_value
from recover_nb.tables.inspection import Trace, first_failed
from recover_nb.tables.value import value_sentence

NONE, RETRY = Intervention.NONE.value, Intervention.RETRY.value
#: Signals that have a sign.
SIGNED = (Signal.PATH_DEFORMATION.value, Signal.COVERAGE_DEFORMATION.value)
#: Bars at a token: the likeliest of both models.
N_BARS = 5


@dataclass(frozen=True)
class Scale:
    """How strongly each token of a trace is coloured, and what the ends of the scale are.

    Attributes
    ----------
    shares : tuple of n float
        -1 to 1; 0 is a signal of exactly zero. NaN = not known.
    low, high : float
        What -1 (0 for a signal without a sign) and 1 stand for.
    """

    shares: tuple[float, ...]
    low: float
    high: float


def scale_of(values: np.ndarray, *, signed: bool) -> Scale:
    """Return the scale of a signal along a trace: zero in place, the largest size at the end.

    Examples
    --------
    >>> scale_of(np.array([0.0, 0.5, 2.0]), signed=False)
    Scale(shares=(0.0, 0.25, 1.0), low=0.0, high=2.0)
    >>> scale_of(np.array([-2.0, 1.0]), signed=True)
    Scale(shares=(-1.0, 0.5), low=-2.0, high=2.0)
    """
    values = np.asarray(values, float)
    known = np.abs(values[~np.isnan(values)])
    reach = float(known.max()) if len(known) else 0.0
    shares = values / reach if reach > 0 else values
    return Scale(tuple(shares.tolist()), -reach if signed else 0.0, reach)


@dataclass(frozen=True)
class PrefixValue:
    """The value of the prefix at each token of a trace, or why there is none.

    Attributes
    ----------
    after : tuple of n float
        How often the answer still ends right after each token; empty = not recorded.
    others : dict of str to tuple of n float
        The same where an intervention goes on from there.
    fatal : int
        Token at which most was lost; -1 = none, or not known.
    sentence : str
    """

    after: tuple[float, ...] = ()
    others: dict[str, tuple[float, ...]] | None = None
    fatal: int = -1
    sentence: str = ""


def value_of_trace(ds: xr.Dataset, problem: int, rollout: int, intervention: str) -> PrefixValue:
    """Return the recorded value of the prefix along a trace, if there is one.

    A study records that of the first failed rollout of some problems.

    Parameters
    ----------
    ds : Dataset
    problem, rollout : int
    intervention : str
    """
    if not problems_with_value(ds.isel(problem=[problem])):
        return PrefixValue(
            sentence="How often the answer still ends right after each token is not recorded for"
            " this problem. rnb.value_map measures it with both models, in a second or two."
        )
    first = first_failed(ds, problem)
    if (rollout, intervention) != (first, NONE):
        return PrefixValue(
            sentence="How often the answer still ends right after each token is recorded for"
            f" rollout {first}, the first that failed. For this one rnb.value_map measures it."
        )
    values = recorded_value(ds, problem)
    n = int(values.attrs["n"])
    arms = {
        str(name): tuple((values["right"].sel(intervention=name).values[1:] / n).tolist())
        for name in values["intervention"].values
    }
    fatal = fatal_token(values["right"].sel(intervention=RETRY).values, n)
    return PrefixValue(arms.pop(RETRY), arms, fatal, value_sentence(values))


def paired(
    trace: Trace,
    position: int,
    found: tuple[np.ndarray, np.ndarray],
    pieces: dict[int, str],
    n: int = N_BARS,
) -> list[dict[str, Any]]:
    """Return what both models would have said at a place, the likeliest of either first.

    Parameters
    ----------
    trace : Trace
    position : int
    found : pair of (token, 2, k) arrays
        Token ids and log-probabilities, from `stored_alternatives`.
    pieces : dict of int to str
        From `token_pieces`.
    n : int
        At most so many; the token that was written is always among them.

    Returns
    -------
    list of dict
        ``token``, ``specialist`` and ``ancestor`` (probability at temperature 1; None where the
        token is not among the likeliest that are known), ``emitted`` (bool).
    """
    ids, scores = found
    known: dict[int, dict[str, float]] = {}
    for side, model in enumerate(MODELS):
        for token, score in zip(ids[position, side], scores[position, side], strict=True):
            if token >= 0:
                known.setdefault(int(token), {})[model] = float(np.exp(score))
    own = int(trace.token_id[position])
    if not known:
        return []
    known.setdefault(own, {})
    order = sorted(known, key=lambda token: -max(known[token].values(), default=0.0))
    kept = order[:n]
    if own not in kept:
        kept[-1] = own
    return [
        {
            "token": pieces_of(np.array([token]), pieces)[0],
            **{model: known[token].get(model) for model in MODELS},
            "emitted": token == own,
        }
        for token in kept
    ]


def with_rescue(places: Sequence[list[dict[str, Any]]], rows: pd.DataFrame) -> list[list[dict]]:
    """Mark what a right attempt wrote where it parted from the failed answer.

    Parameters
    ----------
    places : sequence of list of dict
        From `paired`, for each token.
    rows : DataFrame
        From `tables.attempts.aligned_rows`.

    Returns
    -------
    list of list of dict
        With ``rescued`` (bool) at that place, if the two differ by a changed token there.
    """
    marked = [list(each) for each in places]
    apart = rows["kind"] != "same"
    if not apart.any() or rows["kind"].iloc[int(apart.argmax())] != "changed":
        return marked
    at = int(rows["failed_at"].to_numpy()[apart.argmax()])
    other = rows["other"].iloc[int(apart.argmax())]
    marked[at] = [{**row, "rescued": row["token"] == other} for row in marked[at]]
    return marked


def say_token(position: int, token: str, rows: Sequence[dict[str, Any]]) -> str:
    """Say in a sentence what both models would have said at a place.

    Examples
    --------
    >>> rows = [{"token": "5", "specialist": 0.3, "ancestor": 0.66, "emitted": False},
    ...         {"token": "3", "specialist": 0.56, "ancestor": 0.1, "emitted": True}]
    >>> say_token(7, "3", rows)
    'Token 7 is \u201c3\u201d: 56 % for the specialist, 10 % for its ancestor. The ancestor would \
rather say \u201c5\u201d (66 %).'
    """
    name = f"Token {position} is {_quoted(token)}"
    if not rows:
        return f"{name}. What the models would have said there is not stored."
    own = next(row for row in rows if row["emitted"])
    shares = [_share(own[model]) for model in MODELS]
    said = f"{name}: {shares[0]} for the specialist, {shares[1]} for its ancestor."
    best = {model: max(rows, key=lambda row: row[model] or 0.0) for model in MODELS}
    rather = [
        f"{who} would rather say {_quoted(best[model]['token'])} ({_share(best[model][model])})"
        for model, who in zip(MODELS, ("the specialist", "the ancestor"), strict=True)
        if best[model] is not own
    ]
    if not rather:
        return f"{said} Both find it likeliest."
    if len(rather) == 2 and best[MODELS[0]] is best[MODELS[1]]:
        row = best[MODELS[0]]
        both = " and ".join(_share(row[model]) for model in MODELS)
        return f"{said} Both would rather say {_quoted(row['token'])} ({both})."
    joined = ", and ".join(rather)
    return f"{said} {joined[0].upper()}{joined[1:]}."


def _quoted(token: str) -> str:
    shown = {" ": "a space", "\n": "a line end", "\t": "a tab"}
    return shown.get(token, f"\u201c{token}\u201d")


def _share(value: float | None) -> str:
    if value is None:
        return "not among the likeliest"
    return "under 1 %" if value < 0.005 else f"{100 * value:.0f} %"
