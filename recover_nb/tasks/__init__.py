"""Three verifiable families of problems, and checkers for anybody's own.

Every task has a seeded generator, five levels, train/dev/test splits that share no prompt,
reference traces in two styles, and a remapping that swaps the numbers and keeps the reasoning
program.
"""

from collections.abc import Sequence

import numpy as np

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Slip, Split, Task, parse
from recover_nb.tasks import arithmetic, deduction, program
from recover_nb.tasks.base import (
    LEVELS,
    PROBLEM,
    PROBLEMS,
    Problem,
    Step,
    Style,
    TaskSpec,
    Walk,
    draw_problem,
    draw_problems,
    make_problem,
)
from recover_nb.tasks.checkers import (
    ANSWER_MARK,
    CHECKERS,
    has_step,
    is_worked,
    make_checker,
    parse_answer,
)
from recover_nb.tasks.grading import Grade, can_grade, grade
from recover_nb.tasks.reasoning import Wrong, erring, first_wrong, written_out
from recover_nb.tasks.reasoning_gym import GymChecker, from_reasoning_gym

__all__ = [
    "ANSWER_MARK",
    "CHECKERS",
    "LEVELS",
    "TASKS",
    "Grade",
    "GymChecker",
    "Problem",
    "Style",
    "Wrong",
    "can_grade",
    "draw_training_problem",
    "erring_trace",
    "find_origin",
    "from_reasoning_gym",
    "grade",
    "has_step",
    "invited_slips",
    "is_correct",
    "is_worked",
    "make_checker",
    "parse_answer",
    "problems",
    "remap",
    "remap_all",
    "trace",
    "written_out",
]

#: How many remappings of a problem are tried before giving up; one in ten falls in the test split.
_REMAPPINGS = 1000

TASKS: dict[Task, TaskSpec] = {
    Task.ARITHMETIC: arithmetic.SPEC,
    Task.PROGRAM: program.SPEC,
    Task.DEDUCTION: deduction.SPEC,
}


@checks.takes(
    task=checks.one_of(Task),
    split=checks.one_of(Split),
    n=checks.whole(0, 1_000_000),
    seed=checks.SEED,
)
def problems(task: str, split: str, n: int, seed: int = 0) -> list[Problem]:
    """Return `n` distinct problems of a task and split, levels dealt in a fixed cycle.

    Parameters
    ----------
    task : str
        A name of `labels.Task`.
    split : {"train", "dev", "test"}
        Splits share no prompt: a prompt's hash decides its split.
    n : int
        How many. The first m problems are the same for every n >= m.
    seed : int
        Another seed draws other problems.

    Raises
    ------
    InputError
        For an unknown task or split, or a negative `n`.
    """
    task = parse(Task, task)
    return draw_problems(task.value, TASKS[task], split, n, seed)


@checks.takes(task=checks.one_of(Task), rng=checks.GENERATOR, level=checks.whole(1, 5))
def draw_training_problem(task: str, rng: np.random.Generator, level: int) -> Problem:
    """Draw one problem of the train split, for training on an endless stream."""
    return draw_problem(task, TASKS[Task(task)], rng, level, "train")


@checks.takes(problem=PROBLEM, style=checks.one_of(Style))
def trace(problem: Problem, style: str) -> str:
    """Return the reference trace in a style, without an end-of-sequence mark."""
    if style == Style.TERSE:
        return ANSWER_MARK + problem.answer
    return _text_of(*written_out(_walk(problem)))


@checks.takes(problem=PROBLEM, rng=checks.GENERATOR, rate=checks.SHARE)
def erring_trace(problem: Problem, rng: np.random.Generator, rate: float) -> str:
    """Return a worked trace of somebody who slips as people do, and goes on from there.

    `rate` is the chance of a slip at each place where people slip: a carry, a borrow, a product,
    the last hop of a deduction.
    """
    return _text_of(*erring(_walk(problem), rng, rate))


@checks.takes(problem=PROBLEM)
def invited_slips(problem: Problem) -> set[Slip]:
    """Return the kinds of slip that people make somewhere in a problem."""
    steps, _ = written_out(_walk(problem))
    return {step.slips[step.tempting] for step in steps if step.tempting is not None}


@checks.takes(problem=PROBLEM, text=checks.TEXT)
def find_origin(problem: Problem, text: str) -> Wrong | None:
    """Return how a trace that ended by itself first went wrong, None where nothing did.

    docs/method.md#origins. A trace may end right although a step is wrong.

    Parameters
    ----------
    problem : Problem
    text : str
        The trace, without special tokens.

    Examples
    --------
    >>> from recover_nb.tasks import arithmetic, make_problem
    >>> problem = make_problem("arithmetic", arithmetic.SPEC, (47, (("+", 85), ("*", 4))), 2)
    >>> find_origin(problem, "47+85=22 22*4=88 #88")
    Wrong(origin=<Origin.SLIP: 'slip'>, slip=<Slip.CARRY: 'carry'>, start=0, end=8)
    >>> find_origin(problem, "47+85=32 32*4=28 #28") is None
    True
    """
    return first_wrong(lambda: _walk(problem), problem.prompt, text)


def _walk(problem: Problem) -> Walk:
    return TASKS[Task(problem.task)].walk(problem.program)


def _text_of(steps: Sequence[Step], answer: str) -> str:
    return " ".join([*(step.head + step.result for step in steps), ANSWER_MARK + answer])


@checks.takes(problem=PROBLEM, seed=checks.SEED)
def remap(problem: Problem, seed: int) -> Problem:
    """Return the same reasoning program over other numbers (names, for deduction).

    docs/method.md#13-numeric-remapping.

    The new problem may belong to another split than the old one.
    """
    spec = TASKS[Task(problem.task)]
    rng = np.random.default_rng([seed, *problem.problem_id.encode()])
    return make_problem(problem.task, spec, spec.remap(rng, problem.program), problem.level)


@checks.takes(problems=PROBLEMS, seed=checks.SEED)
def remap_all(problems: Sequence[Problem], seed: int) -> list[Problem]:
    """Return every problem over other numbers, each in the split of its original.

    docs/method.md#13-numeric-remapping.

    Training drew from the whole train split, so a remapping that lands there may have been learned
    by heart: numbers are drawn again until the prompt falls in the original's split, differs from
    it, and is no earlier remapping.

    Parameters
    ----------
    problems : sequence of Problem
        The first m remappings are the same for every n >= m problems.
    seed : int
        Of the new numbers, at least 0.

    Raises
    ------
    InputError
        If a program has too few other numbers in its split.
    """
    taken: set[str] = set()
    remapped = []
    for problem in problems:
        draws = (remap(problem, _REMAPPINGS * seed + i) for i in range(_REMAPPINGS))
        fits = (
            each
            for each in draws
            if each.split == problem.split and each.problem_id != problem.problem_id
        )
        other = next((each for each in fits if each.problem_id not in taken), None)
        if other is None:
            raise InputError(
                f"{problem.problem_id} has no remapping of its own in split {problem.split!r} among"
                f" {_REMAPPINGS}; remap fewer problems"
            )
        taken.add(other.problem_id)
        remapped.append(other)
    return remapped


@checks.takes(problem=PROBLEM, text=checks.TEXT)
def is_correct(problem: Problem, text: str) -> bool:
    """Return whether a generated trace ends in the problem's answer."""
    return parse_answer(text) == problem.answer
