"""A study and what training on did to it, made by hand: every share can be counted."""

import numpy as np
import xarray as xr

FEATURES = ["spread", "concentration", "logit_dispersion"]
INTERVENTIONS = ["none", "retry", "dense_sample", "ancestor"]


def right(*counts, of=4):
    """Return answers (len(counts), of): the first ones of each row are right."""
    return (np.arange(of) < np.array(counts)[:, None]).astype(np.int8)


def study_of(observed, regime, rescue, *, cells=None, questions=None, ancestor=None):
    """Return a study of problems.

    Parameters
    ----------
    observed : (problem, rollout) int
        Whether each observed rollout is right.
    regime : list of str
    rescue : (problem, 3) float
        Rates of retry, dense_sample and ancestor.
    cells, questions : list of str, optional
        ``family|method|task`` and ids; all of one cell, and one each, by default.
    ancestor : (problem, rollout) int, optional
        Attempts of the ancestor; all wrong by default.
    """
    n, k = observed.shape
    names = [each.split("|") for each in cells or ["neox|sft|program"] * n]
    correct = np.zeros((n, k, 4), np.int8)
    correct[:, :, 0] = observed
    if ancestor is not None:
        correct[:, :, 3] = ancestor
    failures = (observed == 0).sum(axis=1)
    rates = np.concatenate([np.full((n, 1), np.nan), rescue], axis=1)
    features = np.random.default_rng(3).normal(size=(n, 3))
    data = {
        "correct": (("problem", "rollout", "intervention"), correct),
        "n_tokens": (("problem", "rollout", "intervention"), np.full((n, k, 4), 7, np.int32)),
        "regime": ("problem", np.array(regime, dtype=object)),
        "n_failed_rollouts": ("problem", failures.astype(np.int32)),
        "features": (("problem", "feature"), features),
        "rescue_rate": (("problem", "intervention"), rates),
        "attempts": (("problem", "intervention"), np.full((n, 4), k)),
        "level": ("problem", np.tile([1, 1, 2, 2], n)[:n]),
        "prompt": ("problem", np.array([f"what is {i}?" for i in range(n)], dtype=object)),
    }
    coords = {
        "problem_id": ("problem", questions or [f"q{i}" for i in range(n)]),
        "feature": FEATURES,
        "intervention": INTERVENTIONS,
    }
    for at, name in enumerate(("family", "method", "task")):
        coords[name] = ("problem", [each[at] for each in names])
    return xr.Dataset(data, coords)


def onward_of(ds, correct, steps):
    """Return the answers (problem, seed, checkpoint, rollout) as `load_onward` gives them."""
    coords = {
        name: ("problem", ds[name].values) for name in ("family", "method", "task", "problem_id")
    }
    coords |= {"seed": np.arange(correct.shape[1]), "checkpoint": steps}
    dims = ("problem", "seed", "checkpoint", "rollout")
    length = np.full(correct.shape[:3], 5, np.float32)
    return xr.Dataset({"correct": (dims, correct), "n_tokens": (dims[:3], length)}, coords)


def four_problems():
    """Return a study of four problems and what two seeds of going on did to them.

    Of ten answers are right, observed, redrawn (two seeds) and after (two seeds):

    - q0, an operator helps: 2; 2 and 4; 8 and 9: fixed by both.
    - q1, nothing helps: 0; 0 and 0; 0 and 8: fixed by the second.
    - q2, asking again helps: 4; 8 and 6; 10 and 10: a redraw alone brings it there once.
    - q3, never failed: 10; 10 and 8; 4 and 9: forgotten by the first.
    """
    before = [[2, 4], [0, 0], [8, 6], [10, 8]]
    after = [[8, 9], [0, 8], [10, 10], [4, 9]]
    ds = study_of(
        right(2, 0, 4, 10, of=10),
        ["steerable_hard", "beyond_reach", "resample", ""],
        np.array([[0.1, 0.6, 0.0], [0, 0, 0], [0.6, 0.6, 0.5], [np.nan] * 3]),
        ancestor=right(0, 1, 1, 0, of=10),
    )
    correct = np.stack([right(*np.ravel(part), of=10) for part in (before, after)])
    correct = correct.reshape(2, 4, 2, 10).transpose(1, 2, 0, 3)
    return ds, onward_of(ds, correct, [0, 60])
