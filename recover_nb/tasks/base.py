"""What a problem is, and how problems are drawn, split and identified."""

import hashlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Slip, Split, Task, parse

#: Levels of difficulty. Level 5 asks for something that pretraining shows rarely: it is there to be
#: out of reach.
LEVELS = (1, 2, 3, 4, 5)

#: One period of the levels that `problems` deals out: 20, 24, 24, 20 and 12 of every hundred.
LEVEL_CYCLE = (1, 2, 3, 4, 2, 3, 1, 4, 5, 2, 3, 1, 4, 3, 2, 1, 4, 5, 2, 3, 1, 4, 3, 2, 5)

#: Buckets of ten, by hash of the prompt: a prompt belongs to one split whatever seed drew it.
_BUCKETS = {Split.TRAIN: range(8), Split.DEV: (8,), Split.TEST: (9,)}

_MAX_REDRAWS = 10_000


class Style(StrEnum):
    """How a reference trace reasons: every step written out, or the answer alone."""

    STEP = "step"
    TERSE = "terse"


@dataclass(frozen=True)
class Problem:
    """One verifiable problem.

    Attributes
    ----------
    task, problem_id, split, level : str, str, str, int
        What it is; `problem_id` is derived from the prompt, so equal prompts have equal ids.
    prompt : str
        What the model reads, ending in a newline.
    answer : str
        What the checker expects.
    program : tuple
        The reasoning program and its numbers, from which prompt, traces and remappings are made.
    """

    task: str
    problem_id: str
    split: str
    level: int
    prompt: str
    answer: str
    program: tuple


@dataclass(frozen=True)
class Step:
    """One step of a reasoning: what is written before its result, and the result.

    Attributes
    ----------
    head : str
        Such as ``"47+85="``.
    result : str
        The right one.
    slips : dict of str to Slip
        Wrong results that have a name.
    tempting : str or None
        The wrong result that people write here, if there is one.
    may_be_left_out : bool
        Whether people leave this step out, and still find an answer.
    """

    head: str
    result: str
    slips: dict[str, Slip]
    tempting: str | None = None
    may_be_left_out: bool = False


Walk = Generator[Step, str | None, str]


@dataclass(frozen=True)
class TaskSpec:
    """The functions that define a task. `program` is a task's own tuple; see its module.

    Attributes
    ----------
    draw : callable (rng, level) -> program
        A random reasoning program with numbers.
    render : callable (program) -> (prompt, answer)
        The text of the problem and its answer.
    walk : callable (program) -> generator of `Step`
        The reasoning, step by step: it yields each step, is sent the result that was written
        (None: the step was left out), goes on from there, and returns the answer that follows.
    remap : callable (rng, program) -> program
        Other numbers (or names), same reasoning program.
    """

    draw: Callable
    render: Callable
    walk: Callable[[tuple], Walk]
    remap: Callable


def split_of(prompt: str) -> Split:
    """Return the split that a prompt belongs to, from its hash alone."""
    bucket = int.from_bytes(_digest(prompt)[:4], "big") % 10
    return next(split for split, buckets in _BUCKETS.items() if bucket in buckets)


def _digest(prompt: str) -> bytes:
    return hashlib.blake2b(prompt.encode(), digest_size=8).digest()


def make_problem(task: str, spec: TaskSpec, program: tuple, level: int) -> Problem:
    """Build the problem of a program; its id and split follow from its prompt."""
    prompt, answer = spec.render(program)
    identity = f"{task}-{_digest(prompt).hex()[:10]}"
    return Problem(task, identity, split_of(prompt).value, level, prompt, answer, program)


def draw_problem(
    task: str, spec: TaskSpec, rng: np.random.Generator, level: int, split: str | None
) -> Problem:
    """Draw one problem of a level, redrawing until its prompt falls in `split` (any when None)."""
    for _ in range(_MAX_REDRAWS):
        problem = make_problem(task, spec, spec.draw(rng, level), level)
        if split is None or problem.split == split:
            return problem
    raise InputError(f"no {task} problem of level {level} found in split {split!r}")


def draw_problems(task: str, spec: TaskSpec, split: str, n: int, seed: int) -> list[Problem]:
    """Draw `n` distinct problems; the first m of n are the same for every n."""
    split = parse(Split, split)
    if n < 0:
        raise InputError(f"n must be 0 or more, got {n}")
    order = [list(Task).index(parse(Task, task)), list(Split).index(split)]
    seen: dict[str, Problem] = {}
    for index in range(n):
        rng = np.random.default_rng([seed, *order, index])
        level = LEVEL_CYCLE[index % len(LEVEL_CYCLE)]
        problem = draw_problem(task, spec, rng, level, split)
        while problem.problem_id in seen:
            problem = draw_problem(task, spec, rng, level, split)
        seen[problem.problem_id] = problem
    return list(seen.values())


#: The problems that a function asks for.
PROBLEM = checks.instance(
    Problem, "a problem (rnb.tasks.Problem)", "rnb.tasks.problems(task, split, n) draws some"
)
PROBLEMS = checks.several(PROBLEM, "problems (rnb.tasks.Problem)")
