"""What the scores of evaluation tools say: correct, wrong, or nothing."""

from typing import Any

from recover_nb.io.lines import Row
from recover_nb.io.records import Collector

#: Words that tools count as numbers.
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def verdict_of(row: Row, name: str, value: Any, allowed: str, out: Collector) -> bool | None:
    """Return whether a score is full credit; None for NaN, which tools write for "not scored".

    Parameters
    ----------
    row : Row
        Where the score stands.
    name : str
        Of its field.
    value : object
        A number, true, false, or text that says one.
    allowed : str
        For the message.
    out : Collector
        Is told of partial credit, which counts as wrong.

    Raises
    ------
    InputError
        A value that is no number from 0 to 1.
    """
    credit = _number(value)
    if credit != credit:  # NaN; math.isnan fails at whole numbers that no float holds
        return None
    if credit is None or not 0 <= credit <= 1:
        raise row.wrong(name, value, allowed)
    if 0 < credit < 1:
        tell_partial(out)
    return credit == 1


def tell_partial(out: Collector) -> None:
    """Say that a score is neither full nor none."""
    out.tell("partial_credit", "{n} samples have partial credit and count as wrong")


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        word = value.strip().lower()
        try:
            return WORDS[word] if word in WORDS else float(word)
        except ValueError:
            return None
    return value if isinstance(value, int | float) else None
