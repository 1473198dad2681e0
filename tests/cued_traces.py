"""Traces with cues, made by hand, as `load_cued` gives them."""

import numpy as np
import xarray as xr

TOKENS = 6
ARMS = ["retry", "redraw", "force_cue"]


def traces_with(rng, n, *, cued):
    """Return (right, n_tokens, cue, entropy): a doubtful cue at the third token of wrong traces.

    Entropy tells nothing. Every trace has six tokens.
    """
    right = rng.random(n) < 0.5
    cue = np.full((n, TOKENS), -1, np.int8)
    if cued:
        cue[:, 0] = 1
        cue[:, 2] = np.where(right, 1, 3)
    return right, np.full(n, TOKENS, np.int16), cue, rng.random((n, TOKENS)).astype(np.float32)


def cued_study(n_problems=12, n_rollouts=6, n_attempts=3, seed=0, cells=("arithmetic",)):
    """Return a Dataset of both methods and splits, one family.

    Of the attempts at `cued` problems of test, the first of three is right by retry and redraw, and
    all by force_cue; an attempt costs as many tokens by each.
    """
    rng, parts = np.random.default_rng(seed), []
    for method in ("cued", "sft"):
        for split in ("dev", "test"):
            for task in cells:
                shape = (n_problems, n_rollouts)
                right, n, cue, entropy = traces_with(
                    rng, n_problems * n_rollouts, cued=method == "cued"
                )
                attempts = np.full((n_problems, 3, n_attempts), -1, np.int8)
                tokens = np.full(attempts.shape, -1, np.int16)
                if method == "cued" and split == "test":
                    attempts[:] = 0
                    attempts[:, :, 0], attempts[:, 2] = 1, 1
                    tokens[:] = TOKENS
                dims = ("problem", "rollout", "token")
                data = {
                    "correct": (dims[:2], right.reshape(shape).astype(np.int8)),
                    "n_tokens": (dims[:2], n.reshape(shape)),
                    "token_id": (dims, np.ones((*shape, TOKENS), np.int16)),
                    "cue": (dims, cue.reshape(*shape, TOKENS)),
                    "entropy": (dims, entropy.reshape(*shape, TOKENS)),
                    "kl_divergence": (dims, np.zeros((*shape, TOKENS), np.float32)),
                    "attempt_correct": (("problem", "arm", "attempt"), attempts),
                    "attempt_tokens": (("problem", "arm", "attempt"), tokens),
                }
                coords = {
                    name: ("problem", np.array([value] * n_problems))
                    for name, value in (
                        ("family", "neox"),
                        ("method", method),
                        ("task", task),
                        ("split", split),
                    )
                }
                ids = np.array([f"{task}-{split}-{i}" for i in range(n_problems)])
                coords["problem_id"] = ("problem", ids)
                parts.append(xr.Dataset(data, coords))
    return xr.concat(parts, "problem").assign_coords(arm=ARMS)
