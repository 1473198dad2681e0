"""What the inspector shows, as charts and tables to save."""

from typing import Any

import pandas as pd
import xarray as xr

from recover_nb.charts.traces import plot_signals
from recover_nb.charts.value import plot_value
from recover_nb.features.value import recorded_value
from recover_nb.tables.inspection import Trace, alternatives, signal_frame
from recover_nb.tables.value import value_rows
from recover_nb.widgets.parts.export import CHART_FORMATS, TABLE_FORMATS


def shown_charts(one: xr.Dataset, trace: Trace, signal: str, *, valued: bool) -> dict[str, Any]:
    """Return the signal along the trace, and the value of the prefix where it is recorded."""
    shown = {}
    if signal in trace.signals:
        shown["signal"] = plot_signals(signal_frame(trace, [signal]))
    if valued:
        shown["value"] = plot_value(value_rows(recorded_value(one, 0)))
    return shown


def shown_tables(
    one: xr.Dataset,
    trace: Trace,
    rows: pd.DataFrame | None,
    found: Any,
    token: int,
    pieces: dict[int, str],
    *,
    valued: bool,
) -> dict[str, pd.DataFrame]:
    """Return signals, value, the attempt, and what both models would have said at a token."""
    shown = {"signals": signal_frame(trace)} if trace.signals else {}
    if valued:
        shown["value"] = value_rows(recorded_value(one, 0))
    if rows is not None:
        shown["attempt"] = rows
    if found is not None and 0 <= token < len(trace.tokens):
        shown["alternatives"] = alternatives(trace, token, found, pieces)
    return shown


def savable(
    trace: Trace, signal: str, rows: pd.DataFrame | None, *, valued: bool, known: bool
) -> dict[str, list[str]]:
    """Return under which endings each of both can be saved, without making it."""
    charts, tables = list(CHART_FORMATS), list(TABLE_FORMATS)
    found = {
        "signal": charts if signal in trace.signals else [],
        "value": [*charts, *tables] if valued else [],
        "signals": tables if trace.signals else [],
        "attempt": tables if rows is not None else [],
        "alternatives": tables if known else [],
    }
    return {name: kinds for name, kinds in found.items() if kinds}
