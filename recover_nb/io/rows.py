"""What every reader makes of a file: problems and rollouts, one row each."""

from collections.abc import Mapping
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
ENDED = (
    "stop",
    "eos",
    "eos_token",
    "end_turn",
    "stop_sequence",
    "stop_str",
    "stop_token",
    "complete",
    "completed",
    "finished",
    "word",
    "end_of_text",
    "end_of_turn",
)
CUT_OFF = (
    "length",
    "limit",
    "max_tokens",
    "max_length",
    "max_new_tokens",
    "max_output_tokens",
    "max_completion_tokens",
    "max_context_length",
    "model_length",
    "model_context_window_exceeded",
    "token_limit",
    "truncated",
)
#: Ends that were forced: by a filter, a refusal, or a fault of the tool.
FORCED = (
    "content_filter",
    "content_filtered",
    "safety",
    "recitation",
    "blocklist",
    "prohibited_content",
    "spii",
    "refusal",
    "guardrail_intervened",
    "error",
    "error_toxic",
    "abort",
    "aborted",
    "cancelled",
    "canceled",
    "failed",
    "malformed_function_call",
    "load",
    "unload",
)
#: What tools call the field that says it.
REASON = ("finish_reason", "stop_reason", "finishReason", "done_reason", "stop_type")
#: Objects that hold such a field.
DETAILS = ("finish_details", "incomplete_details", "meta_info", "details")
#: Flags of llama.cpp that say it, and what they mean.
STOPPED = {"stopped_eos": "eos", "stopped_word": "word", "stopped_limit": "limit"}
_ENDS = {*REASON, "status", *DETAILS, *STOPPED, "ended", "truncated"}


def ended_by(reason: Any) -> bool | None:
    """Return whether a text stopped by itself, by the reason that a tool gives.

    Parameters
    ----------
    reason : object
        Such as ``"stop"`` or ``"length"``, or an object with a ``type`` or ``reason``; vLLM's stop
        reason is the token or text it stopped at.

    Returns
    -------
    bool or None
        None where the reason says neither (a filter, a call of a tool, nothing).

    Examples
    --------
    >>> ended_by("stop"), ended_by("max_tokens"), ended_by("content_filter")
    (True, False, None)
    """
    name = _name(reason)
    if name in ENDED:
        return True
    return False if name in CUT_OFF else None


def ending(values: Mapping[str, Any]) -> bool | None:
    """Return whether a rollout stopped by itself, by all that a row says of its end.

    Parameters
    ----------
    values : mapping
        A row, or what an API returned: reasons under the names that tools give them, objects that
        hold a reason, ``status``, ``stopped_eos``, and the flags ``ended`` and ``truncated``.

    Returns
    -------
    bool or None
        None where nothing says it.

    Examples
    --------
    >>> ending({"finish_reason": {"type": "length"}}), ending({"status": "completed"}), ending({})
    (False, True, None)
    """
    if _ENDS.isdisjoint(values):
        return None
    said = [ended_by(reason) for reason in _reasons(values)]
    # A limit that was reached is reached, whatever else is said.
    if False in said:
        return False
    if True in said:
        return True
    number = values.get("stop_reason")
    if any(map(is_forced, _reasons(values))):
        return None
    if isinstance(number, int) and not isinstance(number, bool):
        return True  # vLLM: the token it stopped at
    for name, means in (("ended", True), ("truncated", False)):
        flag = values.get(name)
        if isinstance(flag, bool | int) and flag in (0, 1):
            return bool(flag) is means
    return None


def is_forced(reason: Any) -> bool:
    """Tell whether a filter, a refusal or a fault of the tool ended a text."""
    return _name(reason) in FORCED


def was_forced(values: Mapping[str, Any]) -> bool:
    """Tell whether a row says that its text was ended by a filter or a fault."""
    return not _ENDS.isdisjoint(values) and any(map(is_forced, _reasons(values)))


def _name(reason: Any) -> str | None:
    if isinstance(reason, Mapping):
        reason = next((reason[key] for key in ("type", "reason") if reason.get(key)), None)
    if not isinstance(reason, str):
        return None
    # Names of an enumeration come with its own: "FinishReason.STOP", "FINISH_REASON_STOP".
    name = reason.strip().rpartition(".")[2].lower()
    return name.removeprefix("finish_reason_")


def _reasons(values: Mapping[str, Any]) -> list[Any]:
    """Return every reason that a row gives, also inside of objects."""
    found = [values.get(name) for name in (*REASON, "status")]
    for name in DETAILS:
        inner = values.get(name)
        if isinstance(inner, Mapping):
            found += [inner, *(inner.get(each) for each in REASON)]
    return found + [reason for name, reason in STOPPED.items() if values.get(name) is True]


@dataclass
class ProblemRow:
    """What is known of a problem beside its rollouts."""

    prompt: str = ""
    answer: str = ""
    split: str = Split.TEST.value
    level: int = -1
    #: Whether the checker can read the answer; None until it was asked.
    gradable: bool | None = None
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
    hidden : bool
        Whether the log hides a part of what was written: then its text is not tokenized.
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
    hidden: bool = False
    signals: dict[str, np.ndarray] = field(default_factory=dict)
    alternatives: tuple[np.ndarray, np.ndarray] | None = None
    extra: dict[str, int | str] = field(default_factory=dict)

    @property
    def length(self) -> int | None:
        """Tokens of the trace; None where neither tokens nor their number are known."""
        return self.n_tokens if self.token_id is None else len(self.token_id)


def shortened(value: Any) -> str:
    """Return a value as a message shows it."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
