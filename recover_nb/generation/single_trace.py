"""What a study does not store of one trace, computed from the two models. Needs torch."""

from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.labels import Signal
from recover_nb.core.schema import N_ALTERNATIVES
from recover_nb.generation.decoding import (
    Pair,
    Settings,
    score_traces,
    top_alternatives,
)


def signals(pair: Pair, one: xr.Dataset, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the six signals of a trace, (token,) float32 each.

    Parameters
    ----------
    pair : Pair
    one : Dataset
        One problem, rollout and intervention of a study: `prompt`, `token_id` (token) and
        `n_tokens`.
    settings : dict
        Of `decoding.Settings`.
    """
    token_id, n_tokens = one["token_id"].values[None, None], one["n_tokens"].values[None, None]
    found = score_traces(
        pair, [str(one["prompt"].values)], token_id, n_tokens, Settings(**settings)
    )
    return {name.value: found[name.value][0, 0] for name in Signal}


def likeliest(
    pair: Pair, one: xr.Dataset, _settings: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what both models find likeliest along a trace.

    These are ids and log-probabilities, (token, 2, k).
    """
    token_id, n_tokens = one["token_id"].values[None], one["n_tokens"].values[None]
    ids, scores = top_alternatives(
        pair, [str(one["prompt"].values)], token_id, n_tokens, k=N_ALTERNATIVES
    )
    return ids[0], scores[0]
