"""A table of outcomes for an audit: what router projects publish, as a DataFrame."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

import pandas as pd

from recover_nb.core import checks
from recover_nb.core.errors import InputError
from recover_nb.io.sources import read_rows
from recover_nb.routing.audit.columns import NAMES, find_column

WHAT = "a table of outcomes (CSV, parquet or JSON lines)"
#: Columns that hold an object, from arm to what the arm came to, and the ending of its columns.
_OBJECTS = {
    "scores": "",
    "correct": "",
    "accuracy": "",
    "performance": "",
    "results": "",
    "outcomes": "",
    "costs": "|cost",
    "cost": "|cost",
    "prices": "|cost",
}
_KNOWN = frozenset(name for names in NAMES.values() for name in names)


@checks.takes(path=checks.PATH)
def read_outcomes(path: str | PathLike) -> pd.DataFrame:
    """Read outcomes of arms from a file, for `audit`.

    Parameters
    ----------
    path : path
        CSV, parquet or JSON, told by the content, compressed or not: one row per attempt, or one
        row per problem with a column per arm, or with an object from arm to outcome (``scores``)
        and to cost (``costs``).

    Returns
    -------
    DataFrame
        The rows as they are; objects are spread over columns ``ARM`` and ``ARM|cost``.

    Raises
    ------
    InputError
        No such file, or none that is a table.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> import recover_nb as rnb
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "outcomes.jsonl"
    >>> row = {"id": 1, "scores": {"small": 0, "large": 1}, "costs": {"small": 1, "large": 5}}
    >>> _ = path.write_text(json.dumps(row))
    >>> rnb.read_outcomes(path).to_dict("records")
    [{'id': 1, 'small': 0, 'large': 1, 'small|cost': 1, 'large|cost': 5}]
    >>> folder.cleanup()
    """
    rows: list[dict[str, Any]] = []
    for part in read_rows(path, WHAT, lambda name: name.lower() in _KNOWN):
        rows += [_spread(row.values) for row in part.rows]
    if not rows:
        raise InputError(f"{path}: the table has no rows; give {WHAT}")
    return pd.DataFrame(rows)


def read_choices(path: str | PathLike) -> dict[str, str]:
    """Read the arm that a router chose for each problem, from a table with two such columns."""
    frame = read_outcomes(path).rename(columns=str)
    problem = find_column(frame.columns, "problem")
    arm = find_column(frame.columns, "router") or find_column(frame.columns, "arm")
    if problem is None or arm is None:
        raise InputError(
            f"{path}: no column names the {'problem' if problem is None else 'chosen arm'}, of"
            f" {', '.join(map(str, frame.columns))}; allowed: columns problem and arm"
        )
    names = frame[[problem, arm]].astype(str)
    twice = names.loc[names[problem].duplicated(), problem]
    if len(twice):
        raise InputError(
            f"{path}: problem {twice.iloc[0]!r} is there twice; allowed: one choice per problem"
        )
    return dict(zip(names[problem], names[arm], strict=True))


def _spread(row: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping) and name.lower() in _OBJECTS:
            ending = _OBJECTS[name.lower()]
            out |= {f"{arm}{ending}": each for arm, each in value.items()}
        else:
            out[name] = value
    return out
