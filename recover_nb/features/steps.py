"""Steps of a trace: where each begins, which is the first wrong one, what both models say of it.

docs/method.md#19-steps. Needs no torch.
"""

import re
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from recover_nb.tasks.tool import evaluate, modulus_of

#: What ends a step, by name: a space, the end of a line, or that of a sentence.
STEP_ENDS = {"space": r"\s+", "line": r"\n\s*", "sentence": r"(?<=[.!?])\s+|\n\s*"}
SPACE, LINE = "space", "line"

#: What both models say of a step, and its place: the order of `step_numbers`.
OWN_NUMBERS = ("least_log_probability", "mean_log_probability", "entropy", "least_before")
BOTH_NUMBERS = ("least_log_probability_ancestor", "mean_log_probability_ancestor", "kl_divergence")
PLACE_NUMBERS = ("step", "steps_left", "tokens")
NUMBERS = (*OWN_NUMBERS, *BOTH_NUMBERS, *PLACE_NUMBERS)


class StepLabel(IntEnum):
    """What is known of a step, by its code in a table."""

    UNKNOWN = -1
    FIRST_WRONG = 0
    RIGHT = 1
    #: After the first wrong one: neither right nor wrong.
    AFTER = 2

    @property
    def words(self) -> str:
        """What people read."""
        return ("not known", "first wrong", "right", "after it")[self + 1]


class TokenNumbers(NamedTuple):
    """What both models say of each token of a trace, at one temperature: (token,) float arrays.

    Attributes
    ----------
    specialist, ancestor : log-probability of the token, nat
    entropy : of the specialist, nat
    divergence : KL divergence of the specialist from the ancestor, whole vocabulary, nat
    """

    specialist: np.ndarray
    ancestor: np.ndarray
    entropy: np.ndarray
    divergence: np.ndarray


def step_starts(pieces: Sequence[str], by: str = SPACE) -> np.ndarray:
    """Return the first token of each step, (step,) int, from the text of each token.

    What ends a step belongs to it. A token that holds the end of one step and the beginning of the
    next begins the next. A trace without a token has no step.

    Examples
    --------
    >>> step_starts(["4", "+", "5", "=", "9", " ", "#", "9", ""]).tolist()
    [0, 6]
    >>> step_starts(["So", " a=2.", " Then", " b=3", "."], "sentence").tolist()
    [0, 2]
    """
    begins = np.cumsum([0, *map(len, pieces)])
    ends = [found.end() for found in re.finditer(STEP_ENDS[by], "".join(pieces))]
    inside = [end for end in ends if 0 < end < begins[-1]]
    # The token that holds the first character after an end.
    places = np.searchsorted(begins, inside, side="right") - 1
    if not len(pieces):
        return np.zeros(0, int)
    return np.unique(np.concatenate([[0], places])).astype(int)


def step_labels(starts: np.ndarray, correct: bool, first_wrong: int) -> np.ndarray:
    """Return what is known of each step, (step,) int8 codes of `StepLabel`.

    Parameters
    ----------
    starts : (step,) int
    correct : bool
        What the checker says of the whole trace.
    first_wrong : int
        A token of the first wrong step; -1 = none known. A right trace without one is all right, of
        a wrong one nothing is known.

    Examples
    --------
    >>> step_labels(np.array([0, 6, 12]), False, 7).tolist()
    [1, 0, 2]
    """
    if first_wrong < 0:
        code = StepLabel.RIGHT if correct else StepLabel.UNKNOWN
        return np.full(len(starts), code, np.int8)
    wrong = int(np.searchsorted(starts, first_wrong, side="right")) - 1
    order = np.sign(np.arange(len(starts)) - wrong)
    return np.choose(order + 1, [StepLabel.RIGHT, StepLabel.FIRST_WRONG, StepLabel.AFTER]).astype(
        np.int8
    )


def step_tools(
    pieces: Sequence[str], starts: np.ndarray, labels: np.ndarray, prompt: str
) -> np.ndarray:
    """Say which steps the calculator could do, (step,) int8.

    It could if it would write a result; in the first wrong step, another than stands there.

    Examples
    --------
    The calculator knows 47+85=32 modulo 100; that 32 is the answer it cannot know.

    >>> pieces = ["47", "+", "85", "=", "22", " ", "#", "22"]
    >>> step_tools(pieces, np.array([0, 6]), np.array([0, 2]), "(47+85)%100").tolist()
    [1, 0]
    """
    ends = [*starts[1:].tolist(), len(pieces)]
    out = np.zeros(len(starts), np.int8)
    for at, (start, end) in enumerate(zip(starts.tolist(), ends, strict=True)):
        head, equals, rest = "".join(pieces[start:end]).partition("=")
        written = evaluate(head + equals, modulus_of(prompt, 100)) if equals else None
        stands = re.match(r"\s*(-?\d+)", rest)
        same = stands is not None and stands.group(1) == written
        wrong = labels[at] == StepLabel.FIRST_WRONG
        out[at] = written is not None and not (wrong and same)
    return out


def step_numbers(tokens: TokenNumbers, starts: np.ndarray) -> np.ndarray:
    """Return what both models say of each step, and its place: (step, number) float32.

    Columns are `NUMBERS`. Before the first step the least log-probability is 0: nothing was
    unlikely yet.

    Examples
    --------
    Two steps of two tokens; the second holds a token of log-probability -3.

    >>> own = np.array([-0.5, -1.0, 0.0, -3.0])
    >>> both = TokenNumbers(own, own, np.zeros(4), np.zeros(4))
    >>> found = step_numbers(both, np.array([0, 2]))
    >>> dict(zip(NUMBERS, found[1].tolist()))["least_before"], found[:, :2].tolist()
    (-1.0, [[-1.0, -0.75], [-3.0, -1.5]])
    """
    n, size = len(starts), len(tokens.specialist)
    if not n:
        return np.zeros((0, len(NUMBERS)), np.float32)
    length = np.diff([*starts, size])
    least = np.minimum.reduceat(tokens.specialist, starts)
    before = np.minimum.accumulate(np.concatenate([[0.0], least[:-1]]))
    columns = {
        "least_log_probability": least,
        "mean_log_probability": np.add.reduceat(tokens.specialist, starts) / length,
        "entropy": np.maximum.reduceat(tokens.entropy, starts),
        "least_before": before,
        "least_log_probability_ancestor": np.minimum.reduceat(tokens.ancestor, starts),
        "mean_log_probability_ancestor": np.add.reduceat(tokens.ancestor, starts) / length,
        "kl_divergence": np.maximum.reduceat(tokens.divergence, starts),
        "step": np.arange(n),
        "steps_left": np.arange(n)[::-1],
        "tokens": length,
    }
    return np.stack([columns[name] for name in NUMBERS], axis=1).astype(np.float32)
