"""Step 2: signals of every token, the junction, three features, and how reliable they are."""

from recover_nb.features.features import (
    DEFAULT_WINDOW,
    FLOOR,
    compute_features,
    junction,
    junction_window,
    problem_features,
    rollout_features,
)
from recover_nb.features.reliability import foreseen_rollouts, needed_rollouts

__all__ = [
    "DEFAULT_WINDOW",
    "FLOOR",
    "compute_features",
    "foreseen_rollouts",
    "junction",
    "junction_window",
    "needed_rollouts",
    "problem_features",
    "rollout_features",
]
