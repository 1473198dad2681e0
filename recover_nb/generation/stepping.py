"""Rollouts made while somebody watches: one token at a time, or many at once. Needs torch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from recover_nb.core.labels import Intervention
from recover_nb.core.schema import N_ALTERNATIVES
from recover_nb.generation.decoding import Decoded, Pair, Settings, Step, decode, steps
from recover_nb.generation.decoding.threads import threads_for


@dataclass(frozen=True)
class Stepped:
    """A token that was just emitted, and what either model thought of it.

    Log-probabilities are at temperature 1.

    Attributes
    ----------
    position, token_id : int
    last : bool
        Whether the rollout ends here.
    alternative_token_id, alternative_log_probability : (2, k) int64, float32
        The likeliest tokens of specialist and ancestor, likeliest first; nat.
    log_probability : (2,) float32
        Of the emitted token; nat.
    rank : (2,) int64
        Its rank, from 1; tokens that are equally likely share the better one.
    """

    position: int
    token_id: int
    last: bool
    alternative_token_id: np.ndarray
    alternative_log_probability: np.ndarray
    log_probability: np.ndarray
    rank: np.ndarray


def step_through(
    pair: Pair, prompt: str, key: int, rollout: int, settings: Settings, *, k: int = N_ALTERNATIVES
) -> Iterator[Stepped]:
    """Make one observed rollout, a token for each `next`.

    Parameters
    ----------
    pair : Pair
    prompt : str
    key : int
        `decoding.problem_key` of the problem.
    rollout : int
        Its number, from 0; it chooses the random numbers, as in `decode`.
    settings : Settings
        Temperature above 0.
    k : int
        Alternatives a model; the vocabulary is the limit.

    Yields
    ------
    Stepped

    Raises
    ------
    InputError
        At the first `next`: whatever `decoding.steps` refuses.
    """
    stream = steps(
        pair,
        [prompt],
        np.array([key], np.uint64),
        np.array([rollout]),
        Intervention.NONE.value,
        settings,
        record=True,
    )
    while True:
        # Held for one token only: between two, the notebook has its threads back.
        with threads_for(pair):
            step = next(stream, None)
        if step is None:
            return
        yield _stepped(step, k)


def _stepped(step: Step, k: int) -> Stepped:
    scores = torch.stack([step.logits[0], step.ancestor_logits[0]]).float().log_softmax(-1)
    best = scores.topk(min(k, scores.shape[-1]))
    token = int(step.token_id[0])
    own = scores[:, token]
    return Stepped(
        position=int(step.position[0]),
        token_id=token,
        last=bool(step.last[0]),
        alternative_token_id=best.indices.numpy(force=True),
        alternative_log_probability=best.values.numpy(force=True),
        log_probability=own.numpy(force=True),
        rank=1 + (scores > own[:, None]).sum(-1).numpy(force=True),
    )


def roll_out(
    pair: Pair,
    prompt: str,
    key: int,
    n: int,
    settings: Settings,
    *,
    progress: Callable[[int], object] | None = None,
) -> Decoded:
    """Make the observed rollouts 0 to n - 1 of one problem at once.

    They are those that `step_through` makes one by one.

    Returns
    -------
    Decoded
        Arrays (1, n, ...).
    """
    with threads_for(pair):
        return decode(
            pair,
            [prompt],
            np.array([key], np.uint64),
            np.arange(n),
            Intervention.NONE.value,
            settings,
            progress=progress,
        )
