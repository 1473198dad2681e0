"""Predict what a small Python program prints, in the spirit of CRUXEval.

A program is a tuple of statements: `("set", var, number)`, `("op", var, op, operand)` where the
operand is a number or a variable, `("mod", var, other)` for `var=var*other%97`, and `("for", count,
body)` with a tuple of statements as body. It is valid Python, so running it checks the answer.
Values stay between 0 and 99; between 0 and 96 with a "mod", so that every value of such a program
is a value modulo 97.
"""

from collections.abc import Iterator

import numpy as np

from recover_nb.tasks.base import TaskSpec, Walk
from recover_nb.tasks.slips import sum_step

_LIMIT, _MODULUS = 100, 97
_VARIABLES = ("a", "b")


class _OutOfRangeError(Exception):
    """A value left 0..99: the draw is thrown away."""


def _value(env: dict, operand) -> int:
    return env[operand] if isinstance(operand, str) else operand


def _unrolled(program: tuple) -> Iterator[tuple]:
    """Yield the statements in the order they run."""
    for statement in program[:-1]:
        if statement[0] == "for":
            for _ in range(statement[1]):
                yield from statement[2]
        else:
            yield statement


def _sum_of(statement: tuple, env: dict) -> tuple[int, str, int, int]:
    """Return left side, operation, right side and result of an assignment."""
    kind, var, *rest = statement
    op, operand = ("*", rest[0]) if kind == "mod" else rest
    left, right = env[var], _value(env, operand)
    result = {"+": left + right, "-": left - right, "*": left * right}[op]
    return left, op, right, result % _MODULUS if kind == "mod" else result


def _limit(program: tuple) -> int:
    return _MODULUS if any(statement[0] == "mod" for statement in program) else _LIMIT


def _run(program: tuple) -> dict:
    """Return the variables' final values; no value may leave the program's range on the way."""
    env: dict = {}
    for statement in _unrolled(program):
        if statement[0] == "set":
            env[statement[1]] = statement[2]
            continue
        *_, value = _sum_of(statement, env)
        if not 0 <= value < _limit(program):
            raise _OutOfRangeError
        env[statement[1]] = value
    return env


def _move(rng: np.random.Generator, names: tuple, *, in_loop: bool = False) -> tuple:
    var = str(rng.choice(names))
    op = str(rng.choice(["+", "-"] if in_loop else ["+", "-", "*"]))
    if op == "*":
        return "op", var, op, int(rng.integers(2, 6))
    if rng.random() < 0.5:
        return "op", var, op, int(rng.integers(1, 10))
    return "op", var, op, str(rng.choice([name for name in names if name != var]))


def _loop(rng: np.random.Generator, names: tuple, low: int, high: int) -> tuple:
    return "for", int(rng.integers(low, high + 1)), (_move(rng, names, in_loop=True),)


def _body(rng: np.random.Generator, names: tuple, level: int) -> list[tuple]:
    if level == 1:
        return [_move(rng, names)]
    if level == 2:
        return [_move(rng, names), _move(rng, names)]
    if level == 3:
        return [_move(rng, names), _loop(rng, names, 2, 3)]
    if level == 4:
        return [_move(rng, names), _loop(rng, names, 2, 4), _move(rng, names)]
    loop = ("for", int(rng.integers(2, 4)), (("op", names[0], "-", int(rng.integers(1, 10))),))
    return [_move(rng, names), ("mod", names[0], names[1]), loop]


def draw(rng: np.random.Generator, level: int) -> tuple:
    """Draw a program: straight lines (levels 1, 2), a loop (3, 4), a product modulo 97 (5)."""
    names = _VARIABLES
    high = _MODULUS if level == 5 else 30
    while True:
        start = [("set", name, int(rng.integers(1, high))) for name in names]
        body = _body(rng, names, level)
        program = (*start, *body, ("print", str(rng.choice(_assigned(body)))))
        try:
            _run(program)
        except _OutOfRangeError:
            continue
        return program


def _assigned(body: list[tuple]) -> list[str]:
    """Return the variables that the last statement assigns, so that no printed value is idle."""
    last = body[-1]
    inner = last[2] if last[0] == "for" else (last,)
    return [statement[1] for statement in inner]


def _line(statement: tuple) -> str:
    kind = statement[0]
    if kind == "for":
        return f"for i in range({statement[1]}):" + ";".join(_line(s) for s in statement[2])
    if kind == "set":
        return f"{statement[1]}={statement[2]}"
    if kind == "mod":
        return f"{statement[1]}={statement[1]}*{statement[2]}%{_MODULUS}"
    if kind == "print":
        return f"print({statement[1]})"
    return f"{statement[1]}{statement[2]}={statement[3]}"


def render(program: tuple) -> tuple[str, str]:
    """Return the source, ending in a newline, and what it prints."""
    env = _run(program)
    return "\n".join(_line(s) for s in program) + "\n", str(env[program[-1][1]])


def walk(program: tuple) -> Walk:
    """Yield one `variable:left+right=value` a computed assignment, loops unrolled.

    A value that a slip takes out of range comes back into it, modulo the range's end.
    """
    env: dict = {}
    limit = _limit(program)
    for statement in _unrolled(program):
        if statement[0] == "set":
            env[statement[1]] = statement[2]
            continue
        left, op, right, _ = _sum_of(statement, env)
        written = yield sum_step(f"{statement[1]}:", left, op, right, limit)
        if written is not None:
            env[statement[1]] = int(written)
    return str(env[program[-1][1]])


def _renumber(rng: np.random.Generator, statement: tuple, high: int) -> tuple:
    kind = statement[0]
    if kind == "for":
        return kind, statement[1], tuple(_renumber(rng, s, high) for s in statement[2])
    if kind == "set":
        return kind, statement[1], int(rng.integers(1, high))
    if kind == "op" and not isinstance(statement[3], str):
        low, top = (2, 6) if statement[2] == "*" else (1, 10)
        return kind, statement[1], statement[2], int(rng.integers(low, top))
    return statement


def remap(rng: np.random.Generator, program: tuple) -> tuple:
    """Redraw the constants, keep every statement, variable and loop count."""
    high = _MODULUS if _limit(program) == _MODULUS else 30
    while True:
        other = tuple(_renumber(rng, statement, high) for statement in program)
        try:
            _run(other)
        except _OutOfRangeError:
            continue
        return other


SPEC = TaskSpec(draw, render, walk, remap)
