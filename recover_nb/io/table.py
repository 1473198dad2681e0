"""Any table with one row per rollout, by a map of columns; and the table that holds a study."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.places import placed
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.io.columns import FIELDS, NESTED, Mapper
from recover_nb.io.dense import NONE
from recover_nb.io.jsonl import lines_of, read_rollouts
from recover_nb.io.lines import Row
from recover_nb.io.own_rows import own_or_rows
from recover_nb.io.records import Collector
from recover_nb.io.sources import Rows, frame_rows, read_rows
from recover_nb.tasks.checkers import RULE


def _given(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return value
    if hasattr(value, "to_pandas"):
        raise checks.Wrong("call its .to_pandas()")
    return checks.PATH.read(value)


#: What a table may be.
GIVEN_TABLE = checks.Kind("a path or a DataFrame", _given)

TABLE = "a table with one row per rollout (CSV, parquet or JSON lines)"


@checks.takes(
    tokenizer=checks.TOKENIZER,
    table=GIVEN_TABLE,
    columns=checks.MAPPING,
    is_correct=RULE,
    unit=checks.UNIT,
    task=checks.TEXT,
    n_observed=checks.COUNT,
    window=checks.DRAWS,
)
def from_table(
    table: str | PathLike | pd.DataFrame,
    columns: Mapping[str, str] | None = None,
    *,
    is_correct: str | Callable[[str, str], bool] | None = None,
    tokenizer: Any = None,
    unit: tuple[str, str] = ("imported", "imported"),
    task: str = "imported",
    n_observed: int | None = None,
    window: int = DEFAULT_WINDOW,
) -> xr.Dataset:
    """Read a table with one row per rollout.

    Parameters
    ----------
    table : path or DataFrame
        CSV with a header (separated by commas, semicolons, tabs or bars), parquet, or JSON lines
        and what else `from_jsonl` reads of JSON: told by the content, compressed or not; or a
        folder of such files. The index of a DataFrame is not read.
    columns : dict, optional
        Field to the table's column: ``{"problem_id": "question_id", "is_correct": "pass"}``. The
        fields are ``problem_id``, ``rollout_idx``, ``intervention``, ``is_correct``, ``prompt``,
        ``answer``, ``generated_text``, ``output_ids``, ``n_tokens``, ``fired_at``, ``family``,
        ``method``, ``task``; those not mapped are looked for by their own names, then by the names
        that tools give them (`recover_nb.io.fields.NAMES`), which is said in ``import_notes``; size
        of letters, and blanks or dashes for ``_``, do not matter. Ids and texts of a CSV stay as
        they are written; numbers, flags (true, 1, yes, correct, ...), and JSON lists of ids are
        read.
    is_correct, tokenizer, unit, task, n_observed, window
        See `from_jsonl`.

    Returns
    -------
    Dataset
        A study; that which was written, if `to_parquet` wrote the table.

    Raises
    ------
    InputError
        An unknown field, a missing column, two columns that could be the same field, a value that
        cannot be used: file, row, column, what is allowed.
    """
    if not isinstance(table, str | PathLike | pd.DataFrame):
        hint = "; call its .to_pandas()" if hasattr(table, "to_pandas") else ""
        raise InputError(f"{type(table).__name__} is no table{hint}; give {TABLE}, or a DataFrame")
    source = "DataFrame" if isinstance(table, pd.DataFrame) else Path(table).name
    out = Collector(
        source, "table", unit=unit, task=task, is_correct=is_correct, tokenizer=tokenizer
    )
    asked = is_correct is not None or tokenizer is not None or columns
    alone = not asked and n_observed is None
    found = _rows(table, Mapper(columns or {}, out.tell), out, alone)
    if isinstance(found, xr.Dataset):
        return found
    study = read_rollouts(out, found, NONE)
    return out.study(n_observed=n_observed, window=window, **study)


def _rows(
    table: str | PathLike | pd.DataFrame, mapper: Mapper, out: Collector, alone: bool
) -> Iterator[Row] | xr.Dataset:
    """Return the rows with the names of fields, or the study that `to_parquet` wrote."""
    if isinstance(table, pd.DataFrame):
        parts = iter([frame_rows(table, out.tell)])
    else:
        parts = read_rows(table, TABLE, mapper.is_known, out.tell)
    first = next(parts)
    rows = first.rows if first.texts else own_or_rows(first.rows, out.source, out, alone)
    if isinstance(rows, xr.Dataset):
        return rows
    return _mapped(mapper, chain([replace(first, rows=rows)], parts))


def _mapped(mapper: Mapper, parts: Iterable[Rows]) -> Iterator[Row]:
    for part in parts:
        yield from mapper.rows(part)


@takes_study()
@checks.takes(tokenizer=checks.TOKENIZER, path=checks.PATH, replace=checks.FLAG)
def to_parquet(
    ds: xr.Dataset, path: str | PathLike, *, tokenizer: Any = None, replace: bool = False
) -> Path:
    """Write a study as a parquet table, one row per rollout; `from_table` reads it back, equal.

    Parameters
    ----------
    ds, path, tokenizer, replace
        See `to_jsonl`. Nested values (signals, what problems store) are columns of JSON.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        The study has no rollouts, `path` exists, or pyarrow is not installed.
    """
    pa, pq = (need(name, "io", f"{path}: parquet") for name in ("pyarrow", "pyarrow.parquet"))
    types = {
        "rollout_idx": pa.int64(),
        "is_correct": pa.bool_(),
        "output_ids": pa.list_(pa.int32()),
        "n_tokens": pa.int64(),
        "fired_at": pa.int64(),
    }
    names = [name for name in FIELDS if name not in ("prompt", "answer")]
    schema = pa.schema([(name, types.get(name, pa.string())) for name in (*names, *NESTED)])
    path = Path(path)
    with (
        placed(path, replace=replace, source=ds) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for block in _blocks(lines_of(ds, tokenizer, "parquet")):
            rows = [
                line | {name: json.dumps(line[name]) for name in NESTED if name in line}
                for line in block
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return path


def _blocks(lines: Iterator[dict], size: int = 4096) -> Iterator[list[dict]]:
    block: list[dict] = []
    for line in lines:
        block.append(line)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block
