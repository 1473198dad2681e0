"""Simulated studies in which it is known how many answers are worked out, and how many are right.

A problem works out an answer with probability w, is right with a when it does and with g when it
guesses. The interventions are named for what they change.
"""

import numpy as np
import xarray as xr

from recover_nb.stats.decomposition import decompose

#: Name -> (how much of what is not worked out now is, how much of what was wrong is now right).
EFFECTS = {
    "nothing": (0.0, 0.0),
    "more": (0.6, 0.0),
    "better": (0.0, 0.35),
    "both": (0.5, 0.25),
}
FAMILIES, METHODS, TASKS = ("one", "two"), ("sft", "grpo", "self_distill"), ("t", "u")
GUESS = 0.15


def _problems(n, rng, focus):
    """Return w and a before and after, shape (intervention and retry, problem), and the level.

    Easy problems are worked out more often and better. With `focus` an operator works out the hard
    ones, of which nearly none was, and leaves the easy ones.
    """
    hard = rng.normal(size=n)
    level = np.digitize(hard, (-0.7, 0.7))
    w = 1 / (1 + np.exp(1.2 * hard + rng.normal(scale=0.7, size=n)))
    a = 1 / (1 + np.exp(1.0 * hard + rng.normal(scale=0.7, size=n)))
    reach = 1 / (1 + np.exp(-focus * hard)) * 2 if focus else np.ones(n)
    ws, as_ = [w], [a]
    for more, better in EFFECTS.values():
        ws.append(w + more * np.minimum(reach, 1.6) * (1 - w))
        as_.append(a + better * (1 - a))
    return np.array(ws), np.array(as_), level


def worked_study(n=150, attempts=20, *, few=None, twin=0.0, focus=0.0, seed=0):
    """Simulate a study: `n` problems, `attempts` of retry and of each of `EFFECTS`.

    `few` is how many attempts the operators have, if fewer; `twin` the share of attempts that use
    the random numbers of their retry.
    """
    rng = np.random.default_rng(seed)
    w, a, level = _problems(n, rng, focus)
    names = ["none", "retry", *EFFECTS]
    p = np.concatenate([w[:1], w]).T[:, None], np.concatenate([a[:1], a]).T[:, None]
    shape = (n, attempts, len(names))
    draws, again = rng.random((2, *shape)), rng.random(shape) < twin
    again[..., 0] = False
    draws = np.where(again, draws[:, :, :, 1:2], draws)
    worked = draws[0] < p[0]
    correct = draws[1] < np.where(worked, p[1], GUESS)
    run = np.ones(shape, bool)
    run[:, attempts if few is None else few :, 2:] = False
    axes = ("problem", "rollout", "intervention")
    return xr.Dataset(
        {
            "correct": (axes, np.where(run, correct, -1).astype(np.int8)),
            "worked": (axes, np.where(run, worked, -1).astype(np.int8)),
            "n_tokens": (axes, np.where(run, np.where(worked, 30, 5), 0).astype(np.int32)),
            "level": ("problem", level),
        },
        {
            "intervention": names,
            "family": ("problem", rng.choice(FAMILIES, n)),
            "method": ("problem", rng.choice(METHODS, n)),
            "task": ("problem", rng.choice(TASKS, n)),
            "problem_id": ("problem", [f"p{place}" for place in range(n)]),
        },
    )


def truth(*, focus=0.0, n=400_000):
    """Return difference, more, better and guesses of each effect over problems that failed first.

    From the probabilities themselves, without a single answer drawn.
    """
    w, a, _ = _problems(n, np.random.default_rng(10**6), focus)
    fails = 1 - (w[0] * a[0] + (1 - w[0]) * GUESS)
    found = {}
    for place, name in enumerate(EFFECTS, 1):
        share = np.stack([w[[0, place]], 1 - w[[0, place]]]).transpose(2, 0, 1)
        right = share * np.stack([a[[0, place]], np.full((2, n), GUESS)]).transpose(2, 0, 1)
        composition, accuracy, _ = decompose(share, right, [])
        parts = [composition.sum(axis=1), *accuracy.T]
        found[name] = np.average([np.sum(parts, axis=0), *parts], axis=1, weights=fails)
    return found
