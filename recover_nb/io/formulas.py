"""CSV that no spreadsheet runs: a cell that would be a formula begins with an apostrophe.

After OWASP's advice on CSV injection. `guarded` and `unguarded` undo each other on every text, so
that what we wrote is read as it was.
"""

import re
from typing import Any

import numpy as np
import pandas as pd

from recover_nb.io.parsing import mended

#: What begins a formula, in a spreadsheet of any language.
_STARTS = "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20"
#: Where a cell begins: at the start, and where a spreadsheet set to semicolons or tabs cuts. Quotes
#: and blanks before a formula do not hinder it.
_BEGINS = r'(^|[;\t\r\n])([" ]*)'
_BARE = re.compile(rf"{_BEGINS}(?='*[{_STARTS}])")
_GUARDED = re.compile(rf"{_BEGINS}'(?='*[{_STARTS}])")


def guarded(text: str) -> str:
    """Return a text with an apostrophe before everything in it that a spreadsheet would run."""
    return _BARE.sub(r"\1\2'", text)


def unguarded(text: str) -> str:
    """Return what `guarded` was given."""
    return _GUARDED.sub(r"\1\2", text)


def csv_bytes(frame: pd.DataFrame, **options: Any) -> bytes:
    """Return a table as CSV in UTF-8; its texts, names of columns too, are `guarded`.

    Parameters
    ----------
    frame : DataFrame
        Numbers stay numbers, also negative ones.
    options
        Of `DataFrame.to_csv`.
    """
    safe = frame.rename(columns=_safe)
    for place, dtype in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            cells = [_safe(value) for value in safe.iloc[:, place].astype(object)]
            safe.isetitem(place, np.array([*cells, None], dtype=object)[:-1])
    return safe.to_csv(index=False, **options).encode("utf-8")


def _safe(value: Any) -> Any:
    return guarded(mended(value, None)) if isinstance(value, str) else value
