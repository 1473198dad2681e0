"""What every reader makes of a file: problems and rollouts, one row each."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recover_nb.core.labels import Signal, Split

#: Carried beside signals that were computed from truncated lists.
MISSING_MASS = ("missing_mass", "missing_mass_ancestor")
#: What is known of each token of an observed rollout.
SIGNALS = (*(name.value for name in Signal), *MISSING_MASS)

Unit = tuple[str, str, str, str]


@dataclass
class ProblemRow:
    """What is known of a problem beside its rollouts."""

    prompt: str = ""
    answer: str = ""
    split: str = Split.TEST.value
    level: int = -1
    #: Values of per-problem variables that were stored and need not be computed again.
    stored: dict[str, Any] = field(default_factory=dict)
    #: Regime and route, where the file stores them.
    decided: dict[str, str] = field(default_factory=dict)


@dataclass
class RolloutRow:
    """One rollout as a file gives it.

    Attributes
    ----------
    where : str
        File and place, for messages.
    unit : (family, method, task, problem_id)
    intervention : str
    number : int
        Order among the rollouts of the same problem and intervention.
    correct : bool or None
        None: the file does not say.
    text : str or None
    token_id : list of int or None
    n_tokens : int or None
        Where only the length is known.
    fired_at : int
    signals : dict of str to (token,) array
        Of observed rollouts.
    alternatives : (token_id, log_probability), each (token, 2, 5), or None
    extra : dict
        Other variables on (problem, rollout, intervention) or (problem, rollout).
    """

    where: str
    unit: Unit
    intervention: str
    number: int
    correct: bool | None
    text: str | None = None
    token_id: list[int] | None = None
    n_tokens: int | None = None
    fired_at: int = -1
    signals: dict[str, np.ndarray] = field(default_factory=dict)
    alternatives: tuple[np.ndarray, np.ndarray] | None = None
    extra: dict[str, int] = field(default_factory=dict)

    @property
    def length(self) -> int | None:
        """Tokens of the trace; None where neither tokens nor their number are known."""
        return self.n_tokens if self.token_id is None else len(self.token_id)
