"""The rollouts of one problem: which are correct, and how likely either model found the text."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import OUTCOME_SIGNS, Intervention, Outcome
from recover_nb.core.schema import MODELS
from recover_nb.tables.inspection import Trace, alternatives

#: Rollouts in a row of the grid.
COLUMNS = 10
_OUTCOMES = {1: Outcome.CORRECT, 0: Outcome.WRONG, -1: Outcome.NOT_RUN}


def outcome_grid(
    correct: np.ndarray,
    n_tokens: np.ndarray,
    *,
    ended: np.ndarray | None = None,
    columns: int = COLUMNS,
) -> pd.DataFrame:
    """Lay the rollouts of a problem out in rows.

    Parameters
    ----------
    correct : (n,) int
        1 = correct, 0 = wrong, -1 = not run.
    n_tokens : (n,) int
    ended : (n,) int, optional
        0 = cut off at the length limit.
    columns : int
        Rollouts in a row.

    Returns
    -------
    DataFrame
        ``rollout``, ``row``, ``column``, ``outcome`` (a `labels.Outcome`), ``sign`` (check mark,
        cross, ellipsis, dash) and ``n_tokens``.
    """
    place = np.arange(len(correct))
    cut = np.zeros(len(place), bool) if ended is None else np.asarray(ended) == 0
    outcome = [
        Outcome.CUT_OFF if short and each == 0 else _OUTCOMES[int(each)]
        for each, short in zip(correct, cut, strict=True)
    ]
    return pd.DataFrame(
        {
            "rollout": place,
            "row": place // columns,
            "column": place % columns,
            "outcome": [each.value for each in outcome],
            "sign": [OUTCOME_SIGNS[each] for each in outcome],
            "n_tokens": np.asarray(n_tokens, int),
        }
    )


def study_grid(ds: xr.Dataset, problem: int, *, columns: int = COLUMNS) -> pd.DataFrame:
    """Return `outcome_grid` of a problem's observed rollouts.

    Raises
    ------
    InputError
        If the study stores no attempts.
    """
    if "correct" not in ds or "n_tokens" not in ds:
        raise InputError(
            "this study stores no rollouts (a profile table has none); choose a live source"
        )
    names = [name for name in ("correct", "n_tokens", "ended") if name in ds]
    one = ds[names].isel(problem=problem).sel(intervention=Intervention.NONE.value)
    return outcome_grid(**{name: one[name].values for name in names}, columns=columns)


@dataclass(frozen=True)
class Walk:
    """A rollout, whole or as far as it has come, with what either model thought along the way.

    Attributes
    ----------
    trace : Trace
    found : pair of (n, 2, k) arrays, or None
        Token ids and log-probabilities (temperature 1) of each model's likeliest tokens; None = not
        known.
    log_probability, rank : (n, 2) float array
        Of the emitted token under each model; NaN = not known, or (recorded) beyond the stored
        tokens.
    ended : bool
    """

    trace: Trace
    found: tuple[np.ndarray, np.ndarray] | None
    log_probability: np.ndarray
    rank: np.ndarray
    ended: bool

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.trace.tokens)


def recorded_walk(
    trace: Trace, found: tuple[np.ndarray, np.ndarray] | None, *, ended: bool = True
) -> Walk:
    """Return the `Walk` of a trace from `inspection.stored_alternatives` alone, or from nothing."""
    shape = (len(trace.tokens), len(MODELS))
    score, rank = np.full(shape, np.nan), np.full(shape, np.nan)
    if found is not None:
        found = tuple(each[: len(trace.tokens)] for each in found)
        hit = found[0] == trace.token_id[:, None, None]
        known, place = hit.any(-1), hit.argmax(-1)
        rank[known] = place[known] + 1
        score[known] = np.take_along_axis(found[1], place[..., None], -1)[..., 0][known]
    return Walk(trace, found, score, rank, ended)


def emitted(walk: Walk, *, n: int | None = None) -> pd.DataFrame:
    """Return the first `n` tokens of a rollout with their probability and rank under both models.

    Returns
    -------
    DataFrame
        ``position``, ``token_id``, ``token``, and for each model ``MODEL_probability`` (temperature
        1) and ``MODEL_rank`` (from 1); NaN and NA where that is not known.
    """
    n = len(walk) if n is None else n
    columns = {
        "position": np.arange(n),
        "token_id": walk.trace.token_id[:n],
        "token": walk.trace.tokens[:n],
    }
    for m, model in enumerate(MODELS):
        columns[f"{model}_probability"] = np.exp(walk.log_probability[:n, m])
        columns[f"{model}_rank"] = pd.array(walk.rank[:n, m], dtype="Float64").astype("Int64")
    return pd.DataFrame(columns)


def alternatives_at(walk: Walk, position: int, pieces: dict[int, str]) -> pd.DataFrame:
    """Return `inspection.alternatives` at a place; empty where none are known."""
    blank = np.zeros((len(walk), len(MODELS), 0))
    return alternatives(walk.trace, position, walk.found or (blank, blank), pieces)
