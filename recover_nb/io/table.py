"""Any table with one row per rollout, by a map of columns; and the table that holds a study."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.places import placed
from recover_nb.features.features import DEFAULT_WINDOW
from recover_nb.io.dense import NONE
from recover_nb.io.jsonl import WHAT, lines_of, read_rollouts
from recover_nb.io.lines import MAX_LINE_BYTES, Row, existing, read_jsonl, read_parquet
from recover_nb.io.records import Collector

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
TABLE = "a table with one row per rollout (.csv, .parquet or .jsonl)"


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
        CSV (UTF-8, comma-separated, with a header), parquet or JSON lines.
    columns : dict, optional
        Field to the table's column: ``{"problem_id": "question_id", "is_correct": "pass"}``. The
        fields are ``problem_id``, ``rollout_idx``, ``intervention``, ``is_correct``, ``prompt``,
        ``answer``, ``generated_text``, ``output_ids``, ``n_tokens``, ``fired_at``, ``family``,
        ``method``, ``task``; those not mapped are looked for by their own names. Numbers, true and
        false, and lists of ids in a CSV are written as in JSON.
    is_correct, tokenizer, unit, task, n_observed, window
        See `from_jsonl`.

    Returns
    -------
    Dataset
        A study; that which was written, if `to_parquet` wrote the table.

    Raises
    ------
    InputError
        An unknown field, a missing column, a value that cannot be used: file, row, column, what is
        allowed.
    """
    columns = dict(columns or {})
    unknown = [name for name in columns if name not in FIELDS]
    if unknown:
        raise InputError(
            f"columns maps the unknown field {unknown[0]!r}; allowed: {', '.join(FIELDS)}"
        )
    source = "DataFrame" if isinstance(table, pd.DataFrame) else Path(table).name
    out = Collector(
        source, "table", unit=unit, task=task, is_correct=is_correct, tokenizer=tokenizer
    )
    study = read_rollouts(out, (_mapped(row, columns) for row in _rows(table)), NONE)
    return out.study(n_observed=n_observed, window=window, **study)


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
        for block in _blocks(lines_of(ds, tokenizer)):
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


def _rows(table: str | PathLike | pd.DataFrame) -> Iterator[Row]:
    if isinstance(table, pd.DataFrame):
        return _frame_rows(table)
    suffix = Path(table).suffix
    readers = {
        ".csv": _csv_rows,
        ".parquet": lambda path: read_parquet(path, TABLE),
        ".jsonl": _json_rows,
    }
    if suffix not in readers:
        raise InputError(f"{table}: allowed: {TABLE}, or a DataFrame")
    return readers[suffix](table)


def _json_rows(path: str | PathLike) -> Iterator[Row]:
    return read_jsonl(path, WHAT)


def _frame_rows(table: pd.DataFrame) -> Iterator[Row]:
    if table.empty:
        raise InputError("the DataFrame has no rows; give one row per rollout")
    for place, values in enumerate(table.to_dict("records")):
        # What numpy and pandas hold, as plain Python; a missing cell is no value.
        plain = {
            str(name): getattr(value, "tolist", lambda value=value: value)()
            for name, value in values.items()
        }
        yield Row(
            f"DataFrame: row {place + 1}",
            {name: None if _missing(v) else v for name, v in plain.items()},
        )


def _missing(value: Any) -> bool:
    return not isinstance(value, list | dict) and bool(pd.isna(value))


def _csv_rows(path: str | PathLike) -> Iterator[Row]:
    path = existing(path, TABLE)
    csv.field_size_limit(MAX_LINE_BYTES)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            empty = True
            for values in reader:
                empty = False
                where = f"{path}: line {reader.line_num}"
                if None in values or None in values.values():
                    raise InputError(
                        f"{where} has not as many cells as the header; every row needs one per"
                        " column"
                    )
                yield Row(where, {name: _cell(name, value) for name, value in values.items()})
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text (byte {error.start + 1}); save {TABLE} as UTF-8"
        ) from None
    except csv.Error as error:
        raise InputError(
            f"{path}: line {reader.line_num + 1} is no CSV ({error}); give {TABLE}"
        ) from None
    if empty:
        raise InputError(f"{path}: the table has no rows; give {TABLE}")


def _cell(name: str, value: str) -> Any:
    """Return what a cell says: JSON where it is some, else text. An empty cell is no value."""
    if not value:
        return None
    try:
        return json.loads(value.lower() if value.lower() in ("true", "false") else value)
    except ValueError:
        return value


def _mapped(row: Row, columns: Mapping[str, str]) -> Row:
    """Rename columns to fields, and unpack what `to_parquet` packed."""
    missing = [column for column in columns.values() if column not in row.values]
    if missing:
        raise InputError(
            f"{row.where} has no column {missing[0]!r}; it has {', '.join(map(str, row.values))}"
        )
    values = {name: row.values[column] for name, column in columns.items()}
    values |= {
        name: row.values[name]
        for name in (*FIELDS, *NESTED)
        if name in row.values and name not in values
    }
    for name in NESTED:
        if isinstance(values.get(name), str):
            try:
                values[name] = json.loads(values[name])
            except ValueError:
                raise row.wrong(name, values[name], "JSON") from None
    return Row(row.where, values)
