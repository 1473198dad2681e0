"""Three verifiable families of problems, and checkers for anybody's own.

Every task has a seeded generator, five levels, train/dev/test splits that share no prompt, reference traces in two
styles, and a remapping that swaps the numbers and keeps the reasoning program.
"""

import numpy as np

from recover_nb.labels import Task, parse
from recover_nb.tasks import arithmetic, deduction, program
from recover_nb.tasks.base import (
    LEVELS,
    Problem,
    Style,
    TaskSpec,
    draw_problem,
    draw_problems,
    make_problem,
)
from recover_nb.tasks.checkers import CHECKERS, make_checker, parse_answer

__all__ = [
    "ANSWER_MARK",
    "CHECKERS",
    "LEVELS",
    "TASKS",
    "Problem",
    "Style",
    "draw_training_problem",
    "is_correct",
    "make_checker",
    "noisy_trace",
    "parse_answer",
    "problems",
    "remap",
    "trace",
]

#: What stands before the answer in every trace.
ANSWER_MARK = "#"

TASKS: dict[Task, TaskSpec] = {
    Task.ARITHMETIC: arithmetic.SPEC,
    Task.PROGRAM: program.SPEC,
    Task.DEDUCTION: deduction.SPEC,
}


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


def draw_training_problem(task: str, rng: np.random.Generator, level: int) -> Problem:
    """Draw one problem of the train split, for training on an endless stream."""
    return draw_problem(task, TASKS[Task(task)], rng, level, "train")


def trace(problem: Problem, style: str) -> str:
    """Return the reference trace in a style, without an end-of-sequence mark."""
    lines = TASKS[Task(problem.task)].steps(problem.program) if style == Style.STEP else []
    return " ".join([*lines, ANSWER_MARK + problem.answer])


def noisy_trace(problem: Problem, rng: np.random.Generator) -> str:
    """Return a step-by-step trace with one wrong step carried through to a wrong answer."""
    lines, answer = TASKS[Task(problem.task)].corrupt(rng, problem.program)
    return " ".join([*lines, ANSWER_MARK + answer])


def remap(problem: Problem, seed: int) -> Problem:
    """Return the same reasoning program over other numbers (names, for deduction). method.md section 13.

    The new problem may belong to another split than the old one.
    """
    spec = TASKS[Task(problem.task)]
    rng = np.random.default_rng([seed, *problem.problem_id.encode()])
    return make_problem(problem.task, spec, spec.remap(rng, problem.program), problem.level)


def is_correct(problem: Problem, text: str) -> bool:
    """Return whether a generated trace ends in the problem's answer."""
    return parse_answer(text) == problem.answer
