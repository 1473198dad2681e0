"""Multi-step arithmetic modulo 100, written so that Python evaluates the prompt to the answer.

A program is `(start, ((op, operand), ...))`: start with a number, apply each operation in turn.
Products take a one-digit operand, except at level 5, where one step multiplies by a two-digit
number and all is taken modulo 97: modulo 100 the last digit alone would be right one time in ten.
"""

import numpy as np

from recover_nb.tasks.base import TaskSpec, Walk
from recover_nb.tasks.slips import sum_step

MODULUS, HARD_MODULUS = 100, 97
_STEPS = {1: (1, 1), 2: (2, 2), 3: (3, 3), 4: (4, 5), 5: (2, 3)}


def apply(value: int, op: str, operand: int, modulus: int = MODULUS) -> int:
    """Return `value op operand` modulo `modulus`."""
    results = {"+": value + operand, "-": value - operand, "*": value * operand}
    return results[op] % modulus


def _is_hard(op: str, operand: int) -> bool:
    return op == "*" and operand > 9


def _modulus(program: tuple) -> int:
    return HARD_MODULUS if any(_is_hard(*move) for move in program[1]) else MODULUS


def _operand(rng: np.random.Generator, op: str, *, hard: bool = False) -> int:
    if op != "*":
        return int(rng.integers(1, MODULUS))
    return int(rng.integers(12, MODULUS)) if hard else int(rng.integers(2, 10))


def draw(rng: np.random.Generator, level: int) -> tuple:
    """Draw a program: 1, 2, 3 or 4-5 steps by level; level 5 has 2-3, one a two-digit product."""
    low, high = _STEPS[level]
    ops = [str(op) for op in rng.choice(["+", "-", "*"], size=rng.integers(low, high + 1))]
    hard = int(rng.integers(len(ops))) if level == 5 else -1
    if hard >= 0:
        ops[hard] = "*"
    operands = [_operand(rng, op, hard=i == hard) for i, op in enumerate(ops)]
    return int(rng.integers(1, MODULUS)), tuple(zip(ops, operands, strict=True))


def render(program: tuple) -> tuple[str, str]:
    """Return prompt and answer; `eval` of the prompt gives the answer."""
    value, moves = program
    modulus = _modulus(program)
    text = str(value)
    for i, (op, operand) in enumerate(moves):
        text = f"({text}){op}{operand}" if i else f"{text}{op}{operand}"
        value = apply(value, op, operand, modulus)
    return f"({text})%{modulus}\n", str(value)


def walk(program: tuple) -> Walk:
    """Yield one equation a step."""
    value, moves = program
    for op, operand in moves:
        written = yield sum_step("", value, op, operand, _modulus(program))
        value = value if written is None else int(written)
    return str(value)


def remap(rng: np.random.Generator, program: tuple) -> tuple:
    """Redraw every number, keep the operations and which product is the hard one."""
    moves = tuple((op, _operand(rng, op, hard=_is_hard(op, operand))) for op, operand in program[1])
    return int(rng.integers(1, MODULUS)), moves


SPEC = TaskSpec(draw, render, walk, remap)
