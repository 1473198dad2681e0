"""Whether rows are a study that `to_jsonl` or `to_parquet` wrote, or rows of anybody."""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import xarray as xr

from recover_nb.io.columns import NESTED
from recover_nb.io.lines import Row
from recover_nb.io.own_study import whole_study
from recover_nb.io.records import Collector


def own_or_rows(
    rows: Iterator[Row], source: str, out: Collector, alone: bool
) -> xr.Dataset | Iterator[Row]:
    """Return the study that was written, or else the rows, to be read as those of anybody.

    Parameters
    ----------
    rows : iterator of Row
    source : str
        For messages.
    out : Collector
        Hears of rows that are only a part of a study.
    alone : bool
        Whether the file is all that is read, and nothing else is asked for, such as grading.

    Raises
    ------
    InputError
        As the rows do; a study that is too large.
    """
    first = next(rows, None)
    if first is None:
        return iter(())
    header = _unpacked(first.values).get("study")
    if not isinstance(header, dict) or not isinstance(header.get("variables"), dict):
        return chain([first], rows)
    every = [first, *rows]
    found = whole_study([_unpacked(row.values) for row in every], source) if alone else None
    if found is not None:
        return found
    whole = header.get("rows") == len(every)
    why = (
        "more is asked of it than to read it"
        if whole and not alone
        else f"it has {len(every):,} of {header.get('rows')} rows of a study"
        + (", and others than were written" if whole else "")
    )
    out.tell(
        "not_the_whole_study",
        f"{source} is read as rollouts and not as the study that was written, because {why}: places"
        " of rollouts, and variables that rows do not say, are not those of the study",
    )
    return iter(every)


def _unpacked(values: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the writer made it: what a table holds as JSON, without empty cells."""
    found = {name: value for name, value in values.items() if value is not None and value == value}
    for name in NESTED:
        if isinstance(found.get(name), str) and found[name].startswith("{"):
            try:
                found[name] = json.loads(found[name])
            except (ValueError, RecursionError):
                return {}
    return found
