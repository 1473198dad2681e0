"""Which value of a row says whether its rollout is correct."""

from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.io.fields import NAMES, ambiguous, is_number, rivals, tell_name, verdict
from recover_nb.io.lines import Row
from recover_nb.io.records import Collector
from recover_nb.io.replies import Reply

#: Names of a number of samples, and of the number of those that passed.
TRIED = ("n", "num_samples", "n_samples", "total", "n_total", "num_total")
PASSED = ("c", "num_correct", "n_correct", "correct", "n_passed", "num_passed", "passed")


def read_verdict(row: Row, reply: Reply | None, out: Collector) -> bool | None:
    """Return whether a rollout is correct, by its row or by the object its text stood in.

    Raises
    ------
    InputError
        A value that is no verdict, where no checker grades the text; two that contradict.
    """
    try:
        found = _verdict_in(row, out)
        if found is None and reply is not None and reply.values is not row.values:
            found = _verdict_in(Row(row.where, dict(reply.values)), out)
    except InputError:
        if not out.grades or reply is None:
            raise
        out.tell(
            "verdicts_not_read",
            "{n} rows have a verdict that is neither true nor false, which is not compared with"
            " is_correct=",
        )
        return None
    return found


def refuse_counts(row: Row) -> None:
    """Refuse a row that holds counts of passes only: a study needs one verdict a rollout.

    Raises
    ------
    InputError
        There are two counts, and no text.
    """
    tried, passed = (
        next((name for name in names if _is_count(row.values.get(name))), None)
        for names in (TRIED, PASSED)
    )
    if tried and passed and row.values[passed] <= row.values[tried]:
        raise InputError(
            f"{row.where} holds counts only ({tried} {row.values[tried]}, {passed}"
            f" {row.values[passed]}), and a study needs one verdict for each rollout; write one"
            " line a rollout, with is_correct"
        )


def _is_count(value: Any) -> bool:
    return is_number(value) and value == int(value) if _is_finite(value) else False


def _is_finite(value: Any) -> bool:
    return is_number(value) and abs(value) < 2**53


def _verdict_in(row: Row, out: Collector) -> bool | None:
    there = [name for name in NAMES["is_correct"] if row.values.get(name) is not None]
    names = rivals("is_correct", there)
    values = {name: _value(row, name) for name in names}
    said = {name: value for name, value in values.items() if value is not None}
    if len(set(said.values())) > 1:
        raise ambiguous(row.where, "is_correct", list(said))
    if not said:
        return None
    name = next(iter(said))
    tell_name("is_correct", name, out.tell)
    return said[name]


def _value(row: Row, name: str) -> bool | None:
    value = row.values[name]
    if not isinstance(value, dict):
        return verdict(row, name, value)
    inner = Row(f"{row.where}, {name}", value)
    for key in ("value", *NAMES["is_correct"]):
        if value.get(key) is not None:
            return verdict(inner, key, value[key])
    raise row.wrong(name, value, "true, false, 1 or 0")
