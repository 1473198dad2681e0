"""Data frames of reading. They arrange what `recover_nb.reading` computed, and no more."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recover_nb.tables.kit import mean
from recover_nb.tables.topography import OVERALL

if TYPE_CHECKING:
    # Reading is by traces, which tables cut into pieces.
    from recover_nb.prediction.reading import Reading


def reading_scores(result: "Reading") -> pd.DataFrame:
    """Set every reader beside the features.

    Parameters
    ----------
    result : Reading

    Returns
    -------
    DataFrame
        One row a part and reader, and ``overall`` where there are several parts: ``target``,
        ``part``, ``units``, ``reader``, ``about``, ``auc`` and ``accuracy`` (means over folds), and
        for each ``*_lead``: the features' less the reader's, paired by fold, with its 95 % interval
        ``*_low``, ``*_high``; above 0 the features say more. NaN for the features themselves.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.make_study(n_problems=60, cells=[("qwen3", "sft", "program")])
    >>> texts = [f"it is {regime}" for regime in ds["regime"].values]
    >>> result = rnb.reading(ds, texts=texts, n_repeats=1)
    >>> rnb.tables.reading_scores(result)[["reader", "auc", "auc_lead"]].round(2)
         reader   auc  auc_lead
    0  features  0.66       NaN
    1    ngrams  1.00     -0.34
    """
    rows = []
    parts: list[str | None] = list(result.parts)
    for part in parts + ([None] if len(parts) > 1 else []):
        units = (
            sum(each.n for each in result.parts.values()) if part is None else result.parts[part].n
        )
        head = {"target": result.target, "part": part or OVERALL, "units": units}
        scores = {name: result.scores(name, part) for name in ("auc", "accuracy")}
        for place, reader in enumerate(result.readers):
            row = head | {"reader": reader, "about": result.about[reader]}
            for name, values in scores.items():
                lead = result.difference(reader, name, part) if place else (np.nan,) * 3
                row[name] = mean(values[place])
                row |= dict(zip((f"{name}_lead", f"{name}_low", f"{name}_high"), lead, strict=True))
            rows.append(row)
    return pd.DataFrame(rows)
