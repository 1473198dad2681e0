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


#: How tools say why a text ended: by itself, or at a limit. Other reasons say neither.
ENDED = ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_str", "complete")
CUT_OFF = (
    "length",
    "max_tokens",
    "max_length",
    "max_new_tokens",
    "max_output_tokens",
    "model_length",
    "model_context_window_exceeded",
)
#: What tools call the field that says it.
REASON = ("finish_reason", "stop_reason")


def ended_by(reason: Any) -> bool | None:
    """Return whether a text stopped by itself, by the reason that a tool gives.

    Parameters
    ----------
    reason : object
        Such as ``"stop"`` or ``"length"``; vLLM's stop reason is the token or text it stopped at.

    Returns
    -------
    bool or None
        None where the reason says neither (a filter, a call of a tool, nothing).

    Examples
    --------
    >>> ended_by("stop"), ended_by("max_tokens"), ended_by("content_filter")
    (True, False, None)
    """
    name = reason.strip().lower() if isinstance(reason, str) else None
    if name in ENDED:
        return True
    return False if name in CUT_OFF else None


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
    ended : bool or None
        Whether it stopped by itself (`ended_by`); None: the file does not say.
    worked : bool or None
        Whether it holds a reasoning step before its answer.
    signals : dict of str to (token,) array
        Of observed rollouts.
    alternatives : (token_id, log_probability), each (token, 2, 5), or None
    extra : dict
        Other variables on (problem, rollout, intervention) or (problem, rollout): whole numbers,
        or text.
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
    ended: bool | None = None
    worked: bool | None = None
    signals: dict[str, np.ndarray] = field(default_factory=dict)
    alternatives: tuple[np.ndarray, np.ndarray] | None = None
    extra: dict[str, int | str] = field(default_factory=dict)

    @property
    def length(self) -> int | None:
        """Tokens of the trace; None where neither tokens nor their number are known."""
        return self.n_tokens if self.token_id is None else len(self.token_id)
