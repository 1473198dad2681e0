"""Go on from the beginning of every step of wrong answers. Needs torch.

docs/method.md#19-steps.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from recover_nb.core.labels import Anchoring
from recover_nb.generation.decoding import Calibration, Pair, Settings, decode, problem_key
from recover_nb.generation.decoding.threads import threads_for
from recover_nb.generation.traces import check_traces

__all__ = ["go_on", "problem_key"]

#: Prefixes decoded together: those of one length side by side, so that none waits for a longer one.
_AT_ONCE = 64


def go_on(
    pair: Pair,
    prompts: list[str],
    answers: list[str],
    keys: np.ndarray,
    token_id: np.ndarray,
    start: np.ndarray,
    operator: str,
    settings: Settings,
    n: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Keep traces up to a token and decode `n` continuations of each.

    Parameters
    ----------
    pair : Pair
    prompts, answers : list of P str
    keys : (P,) uint64
        `decoding.problem_key` of each problem.
    token_id : (P, token) int
        The traces, -1 past the end.
    start : (P,) int
        Tokens that are kept.
    operator : str
        What goes on: ``retry``, or ``calculator`` from there.
    settings : Settings
        `anchoring` is replay whatever they say.
    n : int

    Returns
    -------
    right : (P,) int
        Continuations that end right.
    tokens : (P,) float
        Mean length of a continuation, without what is kept.
    """
    settings = replace(settings, anchoring=Anchoring.REPLAY)
    right, tokens = np.zeros(len(prompts), int), np.zeros(len(prompts))
    order = np.argsort(start, kind="stable")
    with threads_for(pair):
        for first in range(0, len(order), _AT_ONCE):
            rows = order[first : first + _AT_ONCE]
            decoded = decode(
                pair,
                [prompts[row] for row in rows],
                keys[rows],
                np.arange(n),
                operator,
                settings,
                calibration=_kept(token_id[rows], start[rows], settings),
            )
            for place, row in enumerate(rows):
                ended = decoded.token_id[place], decoded.n_tokens[place]
                right[row] = check_traces(pair, *ended, answers[row]).sum()
                tokens[row] = decoded.n_tokens[place].mean() - start[row]
    return right, tokens


def _kept(token_id: np.ndarray, start: np.ndarray, settings: Settings) -> Calibration:
    """Return a calibration whose one failed trace is kept up to `start`; nothing of it fires."""
    n = len(start)
    traces = np.full((n, 1, settings.max_new_tokens), -1, np.int32)
    traces[:, 0, : token_id.shape[1]] = token_id
    none: dict[str, Any] = {
        name: np.zeros(n) for name in ("coverage_mean", "coverage_sd", "median_length")
    }
    return Calibration(
        **none,
        threshold=np.full(n, np.inf),
        warmup=np.zeros(n, np.int64),
        n_failed=np.ones(n, np.int64),
        failed_token_id=traces,
        junction=start.astype(np.int64)[:, None],
        junction_is_coverage=np.zeros((n, 1), bool),
    )
