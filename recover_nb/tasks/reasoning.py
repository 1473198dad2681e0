"""Walk through a task's reasoning: write it, write it as people do, find where it went wrong."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recover_nb.core.labels import Origin, Slip
from recover_nb.tasks.base import Step, Walk
from recover_nb.tasks.checkers import ANSWER_MARK, parse_answer

#: A product slips more seldom than a sum, in this proportion: 0.28 where sums slip at 0.35.
_PRODUCT_SHARE = 0.8
_MATERIAL = re.compile(r"\d+|[a-z]+|[^\s\w]")


def written_out(walk: Walk) -> tuple[list[Step], str]:
    """Return the steps and the answer."""
    return _write(walk, lambda step: step.result)


def erring(walk: Walk, rng: np.random.Generator, rate: float) -> tuple[list[Step], str]:
    """Return steps and answer of somebody who slips, and goes on from there.

    `rate` is the chance of a slip at each place where people slip (products: a fifth less), and of
    leaving out a step where that still leads to an answer. A step that is written wrongly holds
    what was written as its result.
    """

    def write(step: Step) -> str | None:
        if step.may_be_left_out and rng.random() < rate:
            return None
        if step.tempting is None:
            return step.result
        share = _PRODUCT_SHARE if step.slips[step.tempting] is Slip.ROW else 1
        return step.tempting if rng.random() < rate * share else step.result

    return _write(walk, write)


def _write(walk: Walk, write: Callable[[Step], str | None]) -> tuple[list[Step], str]:
    written: list[Step] = []
    step = next(walk)
    while True:
        result = write(step)
        if result is not None:
            written.append(replace(step, result=result))
        try:
            step = walk.send(result)
        except StopIteration as end:
            return written, end.value


@dataclass(frozen=True)
class Wrong:
    """How and where a trace first went wrong.

    Attributes
    ----------
    origin : Origin
    slip : Slip or None
        Of which kind, for a slip.
    start, end : int
        The characters of the first wrong step: from `start` to before `end`; both -1 where there is
        none to point at.
    """

    origin: Origin
    slip: Slip | None = None
    start: int = -1
    end: int = -1


def first_wrong(walk: Callable[[], Walk], prompt: str, text: str) -> Wrong | None:
    """Return how a trace that ended by itself first went wrong, None where nothing did.

    The first wrong step is the first after which even right steps would not lead to the answer: a
    wrong value that nothing uses is passed over. Each step is held to the results written before
    it, so what follows from a slip is not wrong again.

    Parameters
    ----------
    walk : callable () -> generator of Step
        Begins the problem's reasoning anew.
    prompt, text : str
    """
    pieces = [(each.group(), each.start()) for each in re.finditer(r"[^ ]+", text)]
    if parse_answer(text) is None or not pieces[-1][0].startswith(ANSWER_MARK):
        return Wrong(Origin.FORMAT)
    if len(pieces) == 1:
        return Wrong(Origin.GUESS, None, 0, len(text))
    answer = written_out(walk())[1]
    known = set(_MATERIAL.findall(prompt))
    written: list[str] = []
    for piece, start in pieces[:-1]:
        steps, _ = _from(walk(), written)
        if not steps:  # goes on where nothing is left to do
            return Wrong(Origin.LOST, None, start, start + len(piece))
        if piece != steps[0].head + steps[0].result:
            origin, slip = _judge(steps[0], piece, known)
            result = piece.rpartition("=")[2]
            if origin is not Origin.SLIP or not _leads_to(walk(), [*written, result], answer):
                return Wrong(origin, slip, start, start + len(piece))
        known.update(_MATERIAL.findall(piece))
        written.append(piece.rpartition("=")[2])
    last, start = pieces[-1]
    steps, follows = _from(walk(), written)
    if steps:  # stops short
        return Wrong(Origin.LOST, None, start, len(text))
    return None if last == ANSWER_MARK + follows else Wrong(Origin.MISREAD, None, start, len(text))


def _from(walk: Walk, written: Sequence[str]) -> tuple[list[Step], str]:
    """Return the right steps that are left after the results written so far, and the answer."""
    step: Step | None = next(walk)
    try:
        for result in written:
            step = walk.send(result)
    except StopIteration as end:
        return [], end.value
    left = []
    while True:
        left.append(step)
        try:
            step = walk.send(step.result)
        except StopIteration as end:
            return left, end.value


def _leads_to(walk: Walk, written: Sequence[str], answer: str) -> bool:
    """Whether right steps after the results written so far lead to the answer."""
    try:
        return _from(walk, written)[1] == answer
    except ValueError:  # what was written is no number
        return False


def _judge(step: Step, piece: str, known: set[str]) -> tuple[Origin, Slip | None]:
    """Say how a written step differs from the right one.

    `known` is every number, name and sign of the problem and of the trace so far: a step about
    anything else is misread, another step about them is lost.
    """
    head, equals, result = piece.rpartition("=")
    if head + equals == step.head:
        return Origin.SLIP, step.slips.get(result, Slip.OTHER)
    strange = set(_MATERIAL.findall(head)) - known
    return (Origin.MISREAD if strange else Origin.LOST), None
