"""What a calculator writes after "=" (docs/method.md#calculator): text in, digits out."""

import re
from collections.abc import Callable

#: Two whole operands and one operation, with nothing that could be a longer expression or a name
#: before.
EXPRESSION = re.compile(r"(?<![\w.+*\-/)])(\d+)\s*([-+*])\s*(\d+)\s*=\s*$")
OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": int.__add__,
    "-": int.__sub__,
    "*": int.__mul__,
}
#: A modulus as Python writes it: the last one of the prompt is the problem's own.
MODULUS = re.compile(r"%\s*([1-9]\d*)")


def evaluate(text: str, modulus: int | None = 100) -> str | None:
    """Return the digits that belong after `text`, or None where the tool has nothing to say.

    Parameters
    ----------
    text : str
        Anything that ends with an expression and "=", such as ``"3*4=12;47+85="``.
    modulus : int, optional
        Results are taken modulo this (so they are never negative); None for plain integers.

    Examples
    --------
    >>> evaluate("47+85=")
    '32'
    >>> evaluate("47+85=", modulus=None)
    '132'
    >>> evaluate("1+2+3=") is None
    True
    """
    found = EXPRESSION.search(text)
    if found is None:
        return None
    left, operation, right = found.groups()
    result = OPERATIONS[operation](int(left), int(right))
    return str(result if modulus is None else result % modulus)


def modulus_of(prompt: str, default: int | None) -> int | None:
    """Return the last modulus that a prompt names, such as 97 in ``"(3*58)%97"``, or `default`."""
    named = MODULUS.findall(prompt)
    return int(named[-1]) if named else default
