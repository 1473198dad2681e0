"""What tools call the fields of a rollout, and which of a row's names is the one to read."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.io.lines import Row

#: Field -> what tools call it. The first is the field's own name, which wins.
NAMES: dict[str, tuple[str, ...]] = {
    "problem_id": (
        "problem_id",
        "pid",
        "id",
        "question_id",
        "qid",
        "uid",
        "task_id",
        "doc_id",
        "unique_id",
    ),
    "prompt": ("prompt", "question", "problem", "input", "query", "instruction"),
    "answer": (
        "answer",
        "gold",
        "target",
        "expected",
        "reference",
        "ground_truth",
        "gt",
        "expected_answer",
        "gts",
    ),
    "generated_text": (
        "generated_text",
        "response",
        "completion",
        "output",
        "generation",
        "prediction",
        "model_output",
        "text",
    ),
    "is_correct": (
        "is_correct",
        "correct",
        "passed",
        "pass",
        "success",
        "ok",
        "acc",
        "score",
        "reward",
    ),
    "rollout_idx": (
        "rollout_idx",
        "rollout_id",
        "sample_id",
        "sample_idx",
        "sample",
        "idx",
        "index",
        "epoch",
    ),
}
#: Names that the documentation of `from_jsonl` promises: reading them is no guess.
PROMISED = ("pid", "id", "question", "input", "rollout_id", "sample_id")
#: Names that say less than others: read only where none of the others is there.
WEAK = ("id", "score", "reward", "idx", "index", "epoch")
#: How verdicts are written.
VERDICTS = {
    "true": True,
    "correct": True,
    "right": True,
    "yes": True,
    "c": True,
    "1": True,
    "1.0": True,
    "pass": True,
    "passed": True,
    "false": False,
    "incorrect": False,
    "wrong": False,
    "no": False,
    "i": False,
    "0": False,
    "0.0": False,
    "fail": False,
    "failed": False,
}


def find_fields(columns: Iterable[str], where: str = "the table") -> dict[str, str]:
    """Return the column of each field that a table has, by the names that tools give them.

    Parameters
    ----------
    columns : iterable of str
    where : str
        For messages.

    Returns
    -------
    dict of str to str
        Field to column, for the fields that are there.

    Raises
    ------
    InputError
        Two columns that could be the same field, and none of its own name.

    Examples
    --------
    >>> find_fields(["qid", "response", "passed", "seconds"])
    {'problem_id': 'qid', 'generated_text': 'response', 'is_correct': 'passed'}
    """
    there = set(columns)
    found = {}
    for field in NAMES:
        names = rivals(field, [name for name in NAMES[field] if name in there])
        # One name holds one field: `problem` beside `question` is not the prompt as well.
        if len(names) > 1 and field not in ("rollout_idx", "is_correct"):
            raise ambiguous(where, field, names)
        if names:
            found[field] = names[0]
    return found


def rivals(field: str, names: Sequence[str]) -> list[str]:
    """Return the names that could be a field: its own alone, else those that say most."""
    if NAMES[field][0] in names:
        return [NAMES[field][0]]
    order = [name for name in NAMES[field] if name in names and name not in WEAK]
    # The authors' toolkit names problems pid: beside it, others are something else.
    if "pid" in order:
        return ["pid"]
    return order or [name for name in NAMES[field] if name in names]


def ambiguous(where: str, field: str, names: Sequence[str]) -> InputError:
    """Return the error for two names that could be the same field."""
    shown = " and ".join(map(repr, names[:2]))
    return InputError(
        f"{where}: both {shown} could be {field}; name the one to read {field!r}, or say which with"
        f' from_table(..., columns={{"{field}": "{names[0]}"}})'
    )


def pick(
    row: Row, field: str, usable: Callable[[Any], bool], tell: Callable[[str, str], None]
) -> tuple[str, Any]:
    """Return name and value of a field in a row, and tell which other name was taken for it.

    Parameters
    ----------
    row : Row
    field : str
        Of `NAMES`.
    usable : callable (value) -> bool
        Whether a value can be such a field.
    tell : callable
        `Collector.tell`.

    Raises
    ------
    InputError
        Two names that could be the field, with different values.
    """
    own = NAMES[field][0]
    if row.values.get(own) is not None:
        return own, row.values[own]
    there = [name for name in NAMES[field][1:] if usable(row.values.get(name))]
    names = rivals(field, there)
    if not names:
        return "", None
    if any(row.values[name] != row.values[names[0]] for name in names[1:]):
        raise ambiguous(row.where, field, names)
    tell_name(field, names[0], tell)
    return names[0], row.values[names[0]]


def tell_name(field: str, name: str, tell: Callable[[str, str], None]) -> None:
    """Tell that a field is read from another name than its own."""
    if name not in (NAMES[field][0], *PROMISED):
        tell(f"{field}_read_from_{name}", f"{field} is read from {name!r} (in {{n}} rows)")


def verdict(row: Row, name: str, value: Any) -> bool | None:
    """Return what a value says of a rollout: true, false, or None where it says nothing.

    Raises
    ------
    InputError
        A value between right and wrong, or one that is no verdict.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.strip().lower() in VERDICTS:
        return VERDICTS[value.strip().lower()]
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
        raise row.wrong(
            name,
            value,
            "true, false, 1 or 0; where it is a share or a score, write true from a threshold on,"
            " such as score >= 0.5, or pass is_correct= to grade the texts",
        )
    raise row.wrong(name, value, "true, false, 1 or 0")


def is_text(value: Any) -> bool:
    """Tell whether a value is a text that says something."""
    return isinstance(value, str) and bool(value.strip())


def is_name(value: Any) -> bool:
    """Tell whether a value can name a problem."""
    return value is not None and value != ""


def is_number(value: Any) -> bool:
    """Tell whether a value is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
