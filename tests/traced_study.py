"""A small simulated study with traces and signals: all a report needs, in a second, no torch."""

import json

import numpy as np
from of_shipped import of_shipped

from recover_nb.core.labels import Signal
from recover_nb.routing.simulate import make_study

PROMPT = "(3+4)%100\n"
#: What ends a script element, opens an attribute and breaks a terminal line, if it is not escaped.
NASTY = '<script>alert("x")</script>&\'\x1b[31m'
WIDTH = 64
OPERATORS_FROM = 2


def traced_study(*, n_problems=24, seed=0, effect="planted", **kwargs):
    """Return `make_study` with every variable of traces; the ids of tokens are below 100."""
    ds = make_study(effect=effect, n_problems=n_problems, seed=seed, **kwargs)
    rng = np.random.default_rng(seed)
    correct = ds["correct"].values
    n, rollouts, arms = correct.shape
    run = correct >= 0
    length = ds["forward_specialist"].values
    tokens = rng.integers(3, 100, size=(n, rollouts, arms, WIDTH), dtype=np.int32)
    # Twins: an operator's trace is its retry's until it acts.
    place = np.minimum(rng.integers(5, 15, size=run.shape), length - 1)
    fired = np.where(run & (rng.random(run.shape) < 0.9), place, -1)
    fired[..., :OPERATORS_FROM] = -1
    retry, place = tokens[:, :, [1]], np.arange(WIDTH)
    follows = (place < fired[..., None]) | (fired[..., None] < 0)
    follows[:, :, :OPERATORS_FROM] = False
    tokens = np.where(follows, retry, tokens)
    length = np.where(
        (fired < 0) & run & (np.arange(arms) >= OPERATORS_FROM), length[:, :, [1]], length
    )
    tokens = np.where(place < length[..., None], tokens, -1).astype(np.int32)
    seen = (correct[:, :, 0] == 0) & ((correct[:, :, 0] == 0).cumsum(axis=1) <= 3)
    axes = ("problem", "rollout", "intervention")
    ds["token_id"] = ((*axes, "token"), tokens)
    ds["n_tokens"] = (axes, length.astype(np.int32))
    ds["fired_at"] = (axes, np.where(run, fired, -1).astype(np.int32))
    ds["parseable"] = (axes, np.where(run, (rng.random(run.shape) < 0.95), -1).astype(np.int8))
    ds["has_signals"] = (axes[:2], seen.astype(np.int8))
    inside = (place < length[:, :, 0, None]) & seen[..., None]
    for name in Signal:
        values = np.where(inside, rng.gamma(0.5, size=inside.shape), 0).astype(np.float32)
        ds[name.value] = ((*axes[:2], "token"), values)
    pressure = ds[Signal.DEMOTION_PRESSURE.value].values
    ds["junction"] = (axes[:2], np.where(seen, pressure.argmax(axis=-1), -1).astype(np.int32))
    ds["prompt"] = ("problem", np.full(n, PROMPT, dtype=object))
    ds["answer"] = ("problem", np.full(n, "7", dtype=object))
    ds.attrs |= {
        "schema_version": "1",
        "created_at": "2026-11-20T00:00:00+00:00",
        "config_json": json.dumps({"n_problems": n_problems}),
        "provenance_json": json.dumps({"packages": {"numpy": "2"}, "git_commit": None}),
    }
    return of_shipped(ds)
