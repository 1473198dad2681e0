"""Simulated studies with a known truth: no effect, a planted one, or one tied to the features.

They are what an estimator must pass before its figure on real models is believed: with no effect it
must cover 0, with a planted one it must find it.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.checks import Kind
from recover_nb.core.labels import (
    ROUTED_INTERVENTIONS,
    Family,
    Feature,
    Intervention,
    Method,
    Split,
    Task,
)
from recover_nb.core.schema import SCHEMA_VERSION
from recover_nb.routing.policy import PUBLISHED, route, route_codes
from recover_nb.routing.rescue import classify_regimes, rescue_rate

#: Three names a cell, and the two parameters of a beta distribution.
_CELL = Kind("three texts", checks.several(checks.TEXT, "texts", n=3).read)
SOME_CELLS = checks.several(_CELL, "cells, each (family, method, task)")
DIFFICULTY = Kind(
    "two numbers above 0", checks.several(checks.POSITIVE, "numbers above 0", n=2).read
)

#: Kinds of simulated effect.
EFFECTS = ("none", "planted", "tied")
#: Default cells: (family, method, task).
CELLS = (
    (Family.QWEN3.value, Method.SFT.value, Task.ARITHMETIC.value),
    (Family.NEOX.value, Method.GRPO.value, Task.PROGRAM.value),
)
INTERVENTIONS = tuple(
    name.value for name in (Intervention.NONE, Intervention.RETRY, *ROUTED_INTERVENTIONS)
)
#: Interventions that run the ancestor too, at every token.
STEERED = ("sparse_steer", "sparse_steer_random", "dense_steer")


@checks.takes(
    effect=checks.one_of(EFFECTS),
    size=checks.SHARE,
    n_problems=checks.whole(1, 1_000_000),
    n_attempts=checks.whole(2, 100_000),
    cells=SOME_CELLS,
    difficulty=DIFFICULTY,
    twin=checks.SHARE,
    agreement=checks.SHARE,
    seed=checks.SEED,
)
def make_study(
    *,
    effect: str = "none",
    size: float = 0.3,
    n_problems: int = 120,
    n_attempts: int = 20,
    cells: Sequence[tuple[str, str, str]] = CELLS,
    difficulty: tuple[float, float] = (0.8, 2.0),
    twin: float = 0.0,
    agreement: float = 0.0,
    seed: int = 0,
) -> xr.Dataset:
    """Simulate a study whose true rescue rates are known.

    Parameters
    ----------
    effect : {"none", "planted", "tied"}
        ``none``: every intervention is exactly as good as retry. ``planted``: every intervention
        gains `size` on every problem. ``tied``: only the intervention the published policy routes a
        problem to gains `size`.
    size : float
        Gain in the probability of a correct attempt, cut off at 1; ignored without effect.
    n_problems : int
        Problems in each cell.
    n_attempts : int
        Attempts of each sampled intervention; dense_steer has 2.
    cells : sequence of (family, method, task)
        Cells of the study.
    difficulty : pair of float
        Parameters of the Beta distribution of the problems' probability under retry.
    twin : float
        Share of attempts whose outcome uses the random number of the retry of the same rollout.
    agreement : float
        Share of problems in which both attempts of dense_steer are one outcome.
    seed : int
        The study is a function of the arguments alone.

    Returns
    -------
    Dataset
        The contract's ``correct``, ``features``, ``rescue_rate``, ``attempts``, ``regime`` and
        ``route``, costs ``forward_specialist`` and ``forward_ancestor`` (problem, rollout,
        intervention), and the truth: ``true_rate`` (problem, intervention) float64. A problem whose
        observed rollouts are all correct was not failed: nothing is run on it, its features are
        NaN.

    Raises
    ------
    InputError
        If `effect` is unknown or a size is out of range.

    Examples
    --------
    Nothing helps in this study; by luck, an intervention looks better than retry on some problems.

    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(effect="none", n_problems=40)
    >>> retry = ds.sel(intervention="retry")
    >>> bool((ds["true_rate"] == retry["true_rate"]).all())
    True
    >>> bool((ds["rescue_rate"] > retry["rescue_rate"]).any())
    True
    """
    rng = np.random.default_rng(seed)
    n = n_problems * len(cells)
    cell = np.repeat(np.arange(len(cells)), n_problems)
    features = rng.normal(size=(n, len(Feature)))
    rate = _true_rates(effect, size, features, cell, rng.beta(*difficulty, size=n))
    correct = _attempts(rate, n_attempts, twin, agreement, rng)
    failed = (correct[:, :, 0] == 0).any(axis=1)
    correct[~failed, :, 1:] = -1
    features[~failed] = np.nan
    axes = ("problem", "rollout", "intervention")
    length = np.where(correct >= 0, rng.integers(20, 60, size=correct.shape), 0).astype(np.int32)
    steered = np.isin(INTERVENTIONS, STEERED)
    ds = xr.Dataset(
        {
            "correct": (axes, correct),
            "forward_specialist": (axes, length),
            "forward_ancestor": (axes, np.where(steered, length, 0).astype(np.int32)),
            "features": (("problem", "feature"), features),
            "true_rate": (("problem", "intervention"), rate),
        },
        coords={
            "intervention": list(INTERVENTIONS),
            "feature": [feature.value for feature in Feature],
            **{
                name: ("problem", [cells[c][i] for c in cell])
                for i, name in enumerate(("family", "method", "task"))
            },
            "problem_id": ("problem", [f"simulated-{i:05d}" for i in range(n)]),
            "split": ("problem", [Split.TEST.value] * n),
        },
        attrs={
            "schema_version": SCHEMA_VERSION,
            "seed": seed,
            "source_format": "simulated",
            "effect": effect,
        },
    )
    ds = ds.merge(rescue_rate(ds["correct"]))
    ds["regime"] = classify_regimes(ds["rescue_rate"])
    ds["route"] = route(ds["features"], cell)
    return ds


def _true_rates(
    effect: str, size: float, features: np.ndarray, cell: np.ndarray, base: np.ndarray
) -> np.ndarray:
    """Probability of a correct attempt, shape (problem, intervention)."""
    rate = np.repeat(base[:, None], len(INTERVENTIONS), axis=1)
    gain = np.zeros_like(rate)
    if effect == "planted":
        gain[:, 2:] = size
    elif effect == "tied":
        names = [*PUBLISHED.operators.values(), PUBLISHED.fallback]
        column = np.array([INTERVENTIONS.index(name) for name in names])
        gain[np.arange(len(rate)), column[route_codes(features, cell)]] = size
    return np.minimum(rate + gain, 1.0)


def _attempts(
    rate: np.ndarray, n_attempts: int, twin: float, agreement: float, rng: np.random.Generator
) -> np.ndarray:
    """Outcomes of every attempt, int8, shape (problem, rollout, intervention)."""
    shape = (len(rate), n_attempts, rate.shape[1])
    draws = rng.random(shape)
    shared = rng.random(shape) < twin
    # Column 1 is retry. The observed rollouts (column 0) have random numbers of their own.
    shared[..., 0] = False
    draws = np.where(shared, draws[..., 1:2], draws)
    correct = (draws < rate[:, None, :]).astype(np.int8)
    dense = INTERVENTIONS.index(Intervention.DENSE_STEER.value)
    correct[:, 2:, dense] = -1
    # dense_steer is deterministic: it shares no random number with a retry, and its two attempts
    # may agree.
    once = (rng.random((len(rate), 2)) < rate[:, dense, None]).astype(np.int8)
    same = rng.random(len(rate)) < agreement
    once[same, 1] = once[same, 0]
    correct[:, :2, dense] = once
    return correct
