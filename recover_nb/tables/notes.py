"""What an import says of itself: what it dropped, guessed or mended."""

import json
import re
from typing import Any

import pandas as pd
import xarray as xr

from recover_nb.core.door import takes_study


def import_notes(ds: xr.Dataset) -> list[str]:
    """Return the notes of an import; none of a study that was not imported."""
    notes = ds.attrs.get("import_notes", ())
    # A store gives a list of one back as a text.
    return [notes] if isinstance(notes, str) else [str(note) for note in notes]


def import_counts(ds: xr.Dataset) -> dict[str, Any]:
    """Return what an import counted, by name."""
    try:
        counts = json.loads(ds.attrs.get("import_counts_json", "{}"))
    except (TypeError, ValueError, RecursionError):
        return {}
    return counts if isinstance(counts, dict) else {}


@takes_study()
def notes_of_import(ds: xr.Dataset) -> pd.DataFrame:
    """Return what the import of a study dropped, guessed or mended.

    Parameters
    ----------
    ds : Dataset
        A study.

    Returns
    -------
    DataFrame
        One row per note: ``note``, a sentence, and ``count``, how many rows, rollouts or samples it
        is about (missing where it counts none). Empty for a study that was not imported.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> log = rnb.example_folder() / "lm_eval" / "samples_none.jsonl"
    >>> ds = rnb.from_lm_eval(log, is_correct="regex:#(.+)$")
    >>> rnb.tables.notes_of_import(ds)["note"][0]
    'samples_none.jsonl has the filters last-hash, none; read was last-hash'
    """
    counted = {each for each in import_counts(ds).values() if isinstance(each, int)}
    notes = import_notes(ds)
    counts = []
    for note in notes:
        numbers = [int(each.replace(",", "")) for each in re.findall(r"\b\d[\d,]*\b", note)]
        # A sentence of many numbers begins with the one that it is about.
        counts.append(next((each for each in numbers if each in counted), None))
    return pd.DataFrame({"note": pd.Series(notes, dtype=object), "count": counts}).astype(
        {"count": "Int64"}
    )
