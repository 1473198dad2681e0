"""A study of a few problems made by hand, without torch: every code of the schema occurs in it."""

import numpy as np
from of_shipped import of_shipped

from recover_nb.core.labels import Intervention, Signal
from recover_nb.core.schema import DERIVED, VARIABLES, assemble, empty
from recover_nb.generation.provenance import study_attrs
from recover_nb.routing.derive import derive

INTERVENTIONS = tuple(
    name.value
    for name in (
        Intervention.NONE,
        Intervention.RETRY,
        Intervention.LOCAL_TEMPERATURE,
        Intervention.SPARSE_STEER,
        Intervention.SPARSE_STEER_RANDOM,
        Intervention.DENSE_STEER,
    )
)
N_TOKENS, N_ATTEMPTS = 7, 4


def tiny_study(n=6, rollouts=5, seed=0, solved=(0,)):
    """Return a valid study of `n` problems; those in `solved` never failed."""
    rng = np.random.default_rng(seed)
    sizes = {
        "problem": n,
        "rollout": rollouts,
        "intervention": len(INTERVENTIONS),
        "token": N_TOKENS,
        "feature": 3,
    }
    arrays = {name: empty(name, sizes) for name in VARIABLES if name not in DERIVED}
    run = np.zeros(arrays["correct"].shape, bool)
    run[:, :, 0] = True
    run[:, :N_ATTEMPTS, 1:] = True
    run[:, 2:, -1] = False
    run[list(solved), :, 1:] = False
    correct = rng.random(run.shape) < 0.5
    correct[:, 0, 0] = False
    correct[list(solved), :, 0] = True
    arrays["correct"] = np.where(run, correct, -1).astype(np.int8)
    length = np.where(run, rng.integers(2, N_TOKENS + 1, run.shape), 0).astype(np.int32)
    arrays["forward_specialist"] = np.where(run, length + 3, 0).astype(np.int32)
    arrays["forward_ancestor"][:, :, 3:] = arrays["forward_specialist"][:, :, 3:]
    inside = np.arange(N_TOKENS) < length[..., None]
    arrays["n_tokens"] = length
    arrays["token_id"] = np.where(inside, rng.integers(3, 20, inside.shape), -1).astype(np.int32)
    arrays["fired_at"][:, :, 2:] = np.where(run, 1, -1)[:, :, 2:]
    failed = (arrays["correct"][:, :, 0] == 0) & run[:, :, 0]
    arrays["n_failed_rollouts"] = failed.sum(1).astype(np.int32)
    arrays["has_signals"] = failed.astype(np.int8)
    for name in Signal:
        arrays[name.value] = np.where(failed[..., None] & inside[:, :, 0], 0.5, 0).astype(
            np.float32
        )
    first = arrays["token_id"][np.arange(n), failed.argmax(1), 0]
    known = failed.any(1)[:, None] & (first >= 0)
    arrays["alternative_token_id"][:] = np.where(known, first, -1)[..., None, None]
    arrays["alternative_log_probability"][known] = -1.5
    arrays["features"] = np.where(failed.any(1)[:, None], rng.normal(size=(n, 3)), np.nan)
    arrays["prompt"][:], arrays["answer"][:] = "1+1\n", "2"
    for name, value in (
        ("family", "qwen3"),
        ("method", "sft"),
        ("task", "arithmetic"),
        ("split", "test"),
    ):
        arrays[name] = np.full(n, value, dtype=object)
    arrays["problem_id"] = np.array([f"p{i}" for i in range(n)], dtype=object)
    ds = derive(assemble(arrays, INTERVENTIONS, study_attrs(0, {"made": "by hand"}, {})))
    return of_shipped(ds)
