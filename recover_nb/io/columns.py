"""Columns of a table as the fields of a rollout: by a map, by their names, or by known ones."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recover_nb.core.errors import InputError
from recover_nb.io.cells import TEXTS, as_field
from recover_nb.io.fields import NAMES, ambiguous, find_fields, rivals, tell_name
from recover_nb.io.lines import Row
from recover_nb.io.parsing import Tell
from recover_nb.io.rows import REASON
from recover_nb.io.sources import Rows

#: What a column can be mapped to: the fields of the JSON lines.
FIELDS = (
    "problem_id",
    "rollout_idx",
    "intervention",
    "is_correct",
    "prompt",
    "answer",
    "generated_text",
    "output_ids",
    "n_tokens",
    "fired_at",
    "family",
    "method",
    "task",
)
#: Columns of `to_parquet` that hold JSON.
NESTED = ("variables", "signals", "problem", "study")
#: Columns that hold a conversation.
REPLIES = ("messages", "choices")
#: How the column of a problem begins that `to_parquet` wrote; others call the prompt so.
OWN_PROBLEM = '{"prompt": '


def plain_name(column: str) -> str:
    """Return a column's name as fields are written: ``"Problem ID"`` is ``problem_id``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.strip())
    return re.sub(r"[\s\-./]+", "_", words).lower()


class Mapper:
    """Makes rows of a table rows with the names of fields, their values read as the fields are.

    Parameters
    ----------
    columns : mapping of str to str
        Field to column. Fields not in it are looked for.
    fields : sequence of str
        Those that are read.
    needed : sequence of str
        Those that every row needs a column for.
    how : str
        How the caller says which column a field is, for messages; ``{}`` is the field.
    tell : callable
        `Collector.tell`.

    Raises
    ------
    InputError
        A field that is not one of `fields`.
    """

    def __init__(
        self,
        columns: Mapping[str, str],
        tell: Tell,
        fields: Sequence[str] = FIELDS,
        needed: Sequence[str] = ("problem_id",),
        how: str = "columns={'{}': ...}",
    ) -> None:
        unknown = [name for name in columns if name not in fields]
        if unknown:
            raise InputError(
                f"columns maps the unknown field {unknown[0]!r}; allowed: {', '.join(fields)}"
            )
        self._given, self._fields, self._needed = dict(columns), fields, needed
        self._tell, self._how = tell, how
        self._found: dict[tuple[str, ...], dict[str, str]] = {}

    def is_known(self, column: str) -> bool:
        """Tell whether a name is that of a column that is read."""
        known = {*self._fields, *(name for names in NAMES.values() for name in names)}
        return column in self._given.values() or plain_name(column) in known

    def rows(self, table: Rows) -> Iterator[Row]:
        """Yield the rows of a table, renamed.

        Raises
        ------
        InputError
            A column of the map, or one that is needed, is missing; two could be the same field.
        """
        for row in table.rows:
            names = tuple(row.values)
            if names not in self._found:
                self._found[names] = self._columns(row, table.hint)
            found = self._found[names]
            values = {
                field: as_field(field, row.values[column], table.comma)
                for field, column in found.items()
            }
            for field in found.keys() & NAMES.keys() - self._given.keys():
                self._check_guess(field, found[field], row, table.comma)
            if table.texts:
                _read_blanks(values)
            called = {field: column for field, column in found.items() if field != column}
            beside = _beside(row, set(found.values())) | _nested(row, set(found.values()))
            values |= beside
            # Whether a column that may be the number of a rollout is one is for the reader to say.
            number = called.get("rollout_idx")
            if number is not None and "rollout_idx" not in self._given:
                values[plain_name(number)] = values.pop("rollout_idx")
            yield Row(row.where, values, called)

    def _check_guess(self, field: str, column: str, row: Row, comma: bool) -> None:
        """Tell of a guessed column; refuse a verdict that another column contradicts."""
        if field == "rollout_idx" or plain_name(column) == field:
            return
        tell_name(field, plain_name(column), self._tell)
        if field != "is_correct":
            return
        plain = _by_plain_name(list(row.values))
        names = rivals(field, [name for name in NAMES[field] if name in plain])
        found = [as_field(field, row.values[plain[name]], comma) for name in names]
        said = [each for each in found if each is not None]
        # True is 1, and 1.0.
        if any(each != said[0] for each in said):
            raise ambiguous(row.where, field, [plain[name] for name in names])

    def _columns(self, row: Row, hint: str) -> dict[str, str]:
        """Return field to column, for the columns of a row."""
        missing = [column for column in self._given.values() if column not in row.values]
        has = ", ".join(list(map(str, row.values))[:20])
        if missing:
            raise InputError(f"{row.where} has no column {missing[0]!r}; it has {has}")
        free = [
            name
            for name, value in row.values.items()
            if name not in self._given.values()
            and not (name == "problem" and ("study" in row.values or _is_own(value)))
        ]
        looked_for = [field for field in self._fields if field not in self._given]
        found, plain = dict(self._given), _by_plain_name(free)
        names = {name for field in looked_for for name in (field, *NAMES.get(field, ()))}
        _check_plain_names(free, names, row.where)
        known = find_fields([name for name in plain if name in names], row.where)
        for field in looked_for:
            if field in free:
                found[field] = field
            elif field in plain:
                found[field] = plain[field]
            elif field in known:
                found[field] = plain[known[field]]
        lacking = [field for field in self._needed if field not in found]
        if lacking:
            names = " or ".join(map(repr, NAMES.get(lacking[0], lacking[:1])))
            how = self._how.replace("{}", lacking[0])
            raise InputError(
                f"{row.where} has no {names}; it has {has}{hint}; say which it is with {how}"
            )
        return found


def _by_plain_name(columns: Sequence[str]) -> dict[str, str]:
    """Return columns by their plain names; one that is written so wins."""
    found = {plain_name(name): name for name in reversed(columns)}
    return found | {name: name for name in columns if plain_name(name) == name}


def _check_plain_names(columns: Sequence[str], names: set[str], where: str) -> None:
    """Raise where two columns differ only in how a name is written, and neither is written so."""
    found: dict[str, str] = {}
    for column in columns:
        name = plain_name(column)
        if name in names and name not in columns and found.setdefault(name, column) != column:
            raise InputError(
                f"{where}: both {found[name]!r} and {column!r} could be {name}; rename one of them"
            )


def _read_blanks(values: dict[str, Any]) -> None:
    """Take an empty cell for no value, but for texts; beside tokens a text is not given."""
    for field, value in values.items():
        if value == "" and (
            field not in TEXTS or (field == "generated_text" and values.get("output_ids"))
        ):
            values[field] = None


def _is_own(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and value.startswith(OWN_PROBLEM))


def _beside(row: Row, taken: set[str]) -> dict[str, Any]:
    """Return what says how a rollout ended, and a conversation that holds it."""
    return {
        name: value
        for name, value in row.values.items()
        if name not in taken
        and (name in REASON or (name in REPLIES and isinstance(value, list | dict)))
    }


def _nested(row: Row, taken: set[str]) -> dict[str, Any]:
    """Unpack what `to_parquet` packed."""
    found: dict[str, Any] = {}
    for name in NESTED:
        value = row.values.get(name)
        if name in taken or value is None or not (isinstance(value, dict) or _is_json(value)):
            continue
        try:
            found[name] = json.loads(value) if isinstance(value, str) else value
        except (ValueError, RecursionError):
            raise row.wrong(name, value, "JSON") from None
    return found


def _is_json(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("{")
