"""One trace to read token by token: text, signals and both models' alternatives.

It also shows what differs from another trace.
"""

from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Origin, Outcome, Signal
from recover_nb.core.schema import MODELS, failed_rollouts
from recover_nb.core.token_text import pieces_at, pieces_of
from recover_nb.features.features import junction, junction_window
from recover_nb.tables.traces import signal_rows
from recover_nb.tasks.checkers import parse_answer

NONE = Intervention.NONE.value
#: Failed rollouts that a message lists.
_LISTED = 12
ALTERNATIVES = ("alternative_token_id", "alternative_log_probability")


@dataclass(frozen=True)
class Trace:
    """A trace as it is read.

    Attributes
    ----------
    token_id : (n,) int array
    tokens : list of n str
        Text of each.
    correct : bool
    signals : dict of str to (n,) float array
        By name of `labels.Signal`; empty where none is known.
    junction : int
        -1 = none: no signals.
    origin, slip : str
        Where a wrong trace went wrong (`labels.Origin`) and the kind of slip; empty: not known.
    first_wrong : int
        Token with which its first wrong step is complete; -1 = none, or not known.
    own_answer : str
        What it answered; empty = nothing, or not in the form of the shipped tasks.
    """

    token_id: np.ndarray
    tokens: list[str]
    correct: bool
    signals: dict[str, np.ndarray]
    junction: int
    origin: str = ""
    slip: str = ""
    first_wrong: int = -1
    own_answer: str = ""

    @property
    def outcome(self) -> Outcome:
        """What the checker says of it; an answer that was cut off is told apart."""
        if self.correct:
            return Outcome.CORRECT
        return Outcome.CUT_OFF if self.origin == Origin.CUT_OFF else Outcome.WRONG

    @property
    def verdict(self) -> str:
        """What the checker says of it, and where it went wrong as far as that is known."""
        if self.correct:
            return Outcome.CORRECT.value
        if self.origin == Origin.CUT_OFF:
            return "cut off at the length limit"
        parts = [self.origin, f"({self.slip})" if self.slip else ""]
        parts.append(f"at token {self.first_wrong}" if self.first_wrong >= 0 else "")
        return ": ".join(filter(None, [Outcome.WRONG.value, " ".join(filter(None, parts))]))

    def said(self, answer: str) -> str:
        """Say for people whether it is right: what it said, and what is right.

        Examples
        --------
        >>> trace = Trace(np.arange(3), ["#", "8", "<eos>"], False, {}, -1, own_answer="8")
        >>> trace.said("9")
        'wrong: said 8, right is 9'
        """
        if self.correct:
            return f"right: said {self.own_answer}" if self.own_answer else f"right: {answer}"
        if self.outcome is Outcome.CUT_OFF:
            return f"cut off before it gave an answer; right is {answer}"
        if self.own_answer:
            return f"wrong: said {self.own_answer}, right is {answer}"
        no = ": no answer" if self.origin == Origin.FORMAT else ""
        return f"wrong{no}, right is {answer}"

    @property
    def text(self) -> str:
        """The whole trace."""
        return "".join(self.tokens)

    def window(self, size: int) -> tuple[int, int]:
        """Return the first and last place of the junction's window; (-1, -1) without a junction."""
        if self.junction < 0:
            return -1, -1
        first, stop = junction_window(self.junction, len(self.tokens), window=size)
        return int(first), int(stop) - 1


def read_trace(
    ds: xr.Dataset,
    problem: int,
    rollout: int,
    intervention: str = NONE,
    *,
    signals: dict | None = None,
) -> Trace:
    """Read one trace of a study.

    Parameters
    ----------
    ds : Dataset
        A study with tokens.
    problem, rollout : int
        Places along the dimensions.
    intervention : str
        Whose rollout.
    signals : dict of str to (token,) float array, optional
        Signals computed anew; those stored with the study by default (observed rollouts only).

    Raises
    ------
    InputError
        If the study has no such trace.
    """
    _check_place(ds, problem, rollout, intervention)
    one = ds.isel(problem=problem, rollout=rollout)
    at = one.sel(intervention=intervention)
    n = int(at["n_tokens"])
    if not n:
        which = f"problem {problem}" if ds.sizes["problem"] > 1 else "this problem"
        raise InputError(
            f"{intervention} has no rollout {rollout} of {which}: it was not run. "
            f"{_run(ds, problem, intervention)}"
        )
    ids = at["token_id"].values[:n]
    if signals is None:
        signals = _stored(one) if intervention == NONE else {}
    signals = {name: np.asarray(values, float)[:n] for name, values in signals.items()}
    pressure = signals.get(Signal.DEMOTION_PRESSURE.value)
    place = -1 if pressure is None else int(junction(pressure, np.array(n)))
    pieces = pieces_at(ds, problem)
    tokens = pieces_of(ids, pieces)
    found = {name: str(at[name].values) for name in ("origin",) if name in at}
    if "slip" in at and intervention == NONE:
        found["slip"] = str(at["slip"].values)
    first = int(at["first_wrong"]) if "first_wrong" in at else -1
    # Ids that stand for unknown text are no answer, though they look like one.
    own = parse_answer("".join(tokens[:-1])) if pieces else None
    found["own_answer"] = own or ""
    return Trace(ids, tokens, int(at["correct"]) == 1, signals, place, **found, first_wrong=first)


def _check_place(ds: xr.Dataset, problem: int, rollout: int, intervention: str) -> None:
    if "token_id" not in ds:
        raise InputError(
            "this study stores no tokens (a profile table has none), so there is no trace to read;"
            " read its log with tokenizer="
        )
    for dim, place in (("problem", problem), ("rollout", rollout)):
        if not 0 <= place < ds.sizes[dim]:
            raise InputError(f"{dim} {place} is not there; allowed: 0 to {ds.sizes[dim] - 1}")
    names = [str(name) for name in ds["intervention"].values]
    if intervention not in names:
        raise InputError(
            f"the study has no intervention {intervention!r}; it holds {', '.join(names)}"
        )


def rollouts_run(ds: xr.Dataset, problem: int, intervention: str) -> np.ndarray:
    """Return which rollouts of an intervention there are of a problem.

    There are none of an intervention that is not stored.
    """
    if "n_tokens" not in ds or intervention not in ds["intervention"].values:
        return np.zeros(0, int)
    return np.flatnonzero(
        ds["n_tokens"].isel(problem=problem).sel(intervention=intervention).values
    )


def _run(ds: xr.Dataset, problem: int, intervention: str) -> str:
    """Say which rollouts of an intervention there are."""
    stored = rollouts_run(ds, problem, intervention)
    if not stored.size:
        return (
            f"No rollout of {intervention} is stored for this problem: interventions run on"
            " problems that failed"
        )
    return f"Allowed: {stored[0]} to {stored[-1]}"


def _stored(one: xr.Dataset) -> dict[str, np.ndarray]:
    if "has_signals" in one and not int(one["has_signals"]):
        return {}
    return {name.value: one[name.value].values for name in Signal if name.value in one}


def first_failed(ds: xr.Dataset, problem: int) -> int:
    """Return the first observed rollout of a problem that failed, -1 if none did or is stored."""
    if "correct" not in ds or NONE not in ds["intervention"].values:
        return -1
    failed = failed_rollouts(ds.isel(problem=[problem]))[0]
    return int(failed.argmax()) if failed.any() else -1


def say_failed(one: xr.Dataset, chosen: dict) -> str:
    """Say that the chosen trace of a problem is right, and which others of it failed."""
    name = chosen["intervention"]
    outcome = one["correct"].isel(problem=0).sel(intervention=name).values
    found = np.flatnonzero(outcome == 0)
    some = ", ".join(map(str, found[:_LISTED])) + (", ..." if len(found) > _LISTED else "")
    return (
        f"{name} rollout {chosen['rollout']} of problem {chosen['problem']} is correct, so there is"
        f" nothing to rescue; those that failed: {some or 'none'}"
    )


def stored_alternatives(
    ds: xr.Dataset, problem: int, rollout: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return each model's likeliest tokens along a trace, if stored.

    They are ids and log-probabilities, (token, 2, k).

    A study stores them for the first failed rollout of each problem.
    """
    if any(name not in ds for name in ALTERNATIVES) or rollout != first_failed(ds, problem):
        return None
    ids, scores = (ds[name].isel(problem=problem).values for name in ALTERNATIVES)
    return ids, scores


def alternatives(
    trace: Trace, position: int, found: tuple[np.ndarray, np.ndarray], pieces: dict[int, str]
) -> pd.DataFrame:
    """Return what both models would have said at a place.

    Parameters
    ----------
    trace : Trace
    position : int
    found : pair of (token, 2, k) arrays
        Token ids and log-probabilities, from `stored_alternatives` or `decoding.top_alternatives`.
    pieces : dict of int to str
        From `token_pieces`.

    Returns
    -------
    DataFrame
        ``model``, ``rank`` (from 1), ``token``, ``token_id``, ``probability`` (at temperature 1),
        ``emitted`` (bool).
    """
    ids, scores = found
    rows = [
        {
            "model": model,
            "rank": rank + 1,
            "token": pieces_of([token], pieces)[0],
            "token_id": int(token),
            "probability": float(np.exp(score)),
            "emitted": int(token) == int(trace.token_id[position]),
        }
        for m, model in enumerate(MODELS)
        for rank, (token, score) in enumerate(
            zip(ids[position, m], scores[position, m], strict=True)
        )
        if token >= 0
    ]
    return pd.DataFrame(
        rows, columns=["model", "rank", "token", "token_id", "probability", "emitted"]
    )


def differences(left: np.ndarray, right: np.ndarray) -> tuple[list[int], list[int]]:
    """Return the places of either token sequence that the other one does not share, in order.

    Examples
    --------
    >>> differences([1, 2, 3], [1, 9, 3, 4])
    ([1], [1, 3])
    """
    blocks = SequenceMatcher(None, list(left), list(right), autojunk=False).get_matching_blocks()
    shared = [
        {each for block in blocks for each in range(block[side], block[side] + block.size)}
        for side in (0, 1)
    ]
    return tuple(
        [place for place in range(len(tokens)) if place not in kept]
        for tokens, kept in zip((left, right), shared, strict=True)
    )


def signal_frame(trace: Trace, names: list[str] | None = None) -> pd.DataFrame:
    """Return the signals of a trace as `charts.plot_signals` draws them.

    See `traces.trace_signals`.
    """
    chosen = {
        name: values for name, values in trace.signals.items() if names is None or name in names
    }
    return signal_rows(trace.token_id, trace.tokens, chosen, trace.junction)
