"""Slips that people make in sums: structured, so that sampling at T = 0.6 does not wash them out.

Addition forgets the carry, subtraction the borrow, and a product is read off the row before.
"""

from recover_nb.core.labels import Slip
from recover_nb.tasks.base import Step


def slip_of(left: int, op: str, right: int) -> tuple[Slip, int] | None:
    """Return the slip that `left op right` invites and what it adds to the result, or None.

    Examples
    --------
    >>> slip_of(47, "+", 85)
    (<Slip.CARRY: 'carry'>, -10)
    >>> slip_of(52, "-", 38)
    (<Slip.BORROW: 'borrow'>, 10)
    >>> slip_of(68, "*", 8)
    (<Slip.ROW: 'row'>, -68)
    >>> slip_of(41, "+", 12) is None
    True
    """
    if op == "*":
        return Slip.ROW, -left
    if op == "+":
        return (Slip.CARRY, -10) if left % 10 + right % 10 > 9 else None
    return (Slip.BORROW, 10) if left % 10 < right % 10 else None


def sum_step(name: str, left: int, op: str, right: int, modulus: int) -> Step:
    """Return the step `name left op right=` modulo `modulus`, with the slip that it invites."""
    result = {"+": left + right, "-": left - right, "*": left * right}[op] % modulus
    slip = slip_of(left, op, right)
    wrong = None if slip is None else (result + slip[1]) % modulus
    named = {str(wrong): slip[0]} if slip and wrong != result else {}
    return Step(f"{name}{left}{op}{right}=", str(result), named, next(iter(named), None))
