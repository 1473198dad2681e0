"""Charts and tables as files."""

import io
from typing import Any

import pandas as pd

from recover_nb.core.errors import InputError
from recover_nb.io.formulas import csv_bytes

CHART_FORMATS, TABLE_FORMATS = ("png", "svg", "html"), ("csv", "parquet")


def formats_of(shown: Any) -> list[str]:
    """Return the endings under which a chart or a data frame can be saved."""
    return list(TABLE_FORMATS if isinstance(shown, pd.DataFrame) else CHART_FORMATS)


def as_bytes(shown: Any, kind: str) -> bytes:
    """Return a chart or a data frame as the bytes of a file.

    Parameters
    ----------
    shown : Altair chart or DataFrame
    kind : str
        ``png``, ``svg`` or a self-contained ``html`` for a chart; ``csv`` or ``parquet`` for a
        table.

    Raises
    ------
    InputError
        Another format, or Parquet without pyarrow.
    """
    if kind not in formats_of(shown):
        raise InputError(f"cannot save as {kind!r}; allowed: {', '.join(formats_of(shown))}")
    if kind == "csv":
        return csv_bytes(shown)
    if kind == "parquet":
        return _parquet(shown)
    if kind == "html":
        # A file is opened on a white page: say so, or its text would be as dark as the page may be.
        chart, buffer = shown.copy(), io.StringIO()
        chart.save(buffer, format="html", inline=True)
        return buffer.getvalue().encode()
    return _picture(shown, kind)


def _picture(chart: Any, kind: str) -> bytes:
    """Draw on white: `currentColor` and a transparent background mean nothing outside a page."""
    chart = chart.copy()
    chart.background = "white"
    buffer = io.BytesIO() if kind == "png" else io.StringIO()
    chart.save(buffer, format=kind, **({"scale_factor": 2} if kind == "png" else {}))
    drawn = buffer.getvalue()
    return drawn if isinstance(drawn, bytes) else drawn.encode()


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    try:
        frame.to_parquet(buffer, index=False)
    except ImportError as error:
        raise InputError(
            "Parquet needs pyarrow; run: pip install 'recover-nb[io]', or save as csv"
        ) from error
    return buffer.getvalue()
