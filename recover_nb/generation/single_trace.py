"""What a study does not store of one trace, computed from the two models. Needs torch."""

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from recover_nb import tasks
from recover_nb.core.labels import Intervention, Signal
from recover_nb.core.schema import N_ALTERNATIVES, TOKEN
from recover_nb.generation.decoding import (
    Pair,
    Settings,
    decode,
    problem_key,
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


def ancestor_answer(
    pair: Pair, one: xr.Dataset, _settings: dict[str, Any]
) -> tuple[np.ndarray, bool]:
    """Return the ancestor's most likely answer to a problem, and whether it is right.

    The answer is its tokens, (n,) int32.
    """
    # The pair's own prompts, chat template and all: only who answers is another.
    alone = replace(pair, specialist=pair.ancestor)
    prompt, answer = (str(one[name].values) for name in ("prompt", "answer"))
    key = np.array(
        [problem_key("live", "ancestor", str(one["task"].values), str(one["problem_id"].values))],
        np.uint64,
    )
    settings = Settings(temperature=0, max_new_tokens=one.sizes[TOKEN])
    found = decode(alone, [prompt], key, np.arange(1), Intervention.RETRY, settings)
    tokens = found.token_id[0, 0, : found.n_tokens[0, 0]]
    text = pair.tokenizer.decode(
        tokens.tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return tokens, tasks.parse_answer(text) == answer
