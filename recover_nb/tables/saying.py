"""What a picture shows, in a sentence for those who hear it: the ends of what is drawn."""

import pandas as pd

from recover_nb.core.labels import ALL
from recover_nb.core.titles import meaning, plain_zero


def extremes(frame: pd.DataFrame, value: str, by: str = "", form: str = ".3g") -> str:
    """Say where a column is highest and lowest.

    Parameters
    ----------
    frame : DataFrame
        What is drawn.
    value : str
        Column of numbers.
    by : str
        Column that names a row, or several joined by commas; none says the numbers alone.
    form : str
        As for `format`.

    Returns
    -------
    str
        Without a point at its end; "" where no number is known.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"intervention": ["retry", "calculator"], "rate": [0.2, 0.8]})
    >>> extremes(frame, "rate", "intervention", ".0%")
    'Highest: a calculator 80%. Lowest: asking again 20%'
    """
    known = frame[frame[value].notna()]
    if not len(known):
        return ""
    low, high = (known.iloc[int(at)] for at in (known[value].argmin(), known[value].argmax()))
    if low[value] == high[value]:
        return f"All at {_number(high[value], form)}"
    return f"Highest: {_row(high, value, by, form)}. Lowest: {_row(low, value, by, form)}"


def totals(frame: pd.DataFrame, by: str, count: str | None = None) -> str:
    """Say how many each name has, the most first; a row of all cells is not counted again.

    Parameters
    ----------
    frame : DataFrame
    by : str
        Column of names.
    count : str, optional
        Column of counts; by default the rows are counted.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"regime": ["resample", "beyond_reach"], "count": [3, 1]})
    >>> totals(frame, "regime", "count"), totals(frame, "regime")
    ('asking again helps: 3, nothing helps: 1', 'asking again helps: 1, nothing helps: 1')
    """
    if "cell" in frame and (frame["cell"] != ALL).any():
        frame = frame[frame["cell"] != ALL]
    groups = frame.groupby(by, sort=False)
    found = (groups.size() if count is None else groups[count].sum()).sort_values(
        ascending=False, kind="stable"
    )
    return ", ".join(f"{meaning(name)}: {number:,.0f}" for name, number in found.items())


def peaks(frame: pd.DataFrame, by: str, value: str, at: str) -> str:
    """Say where each name has its highest value.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = {"signal": ["entropy"] * 2, "token": ["12", "8"], "value": [0.1, 0.9]}
    >>> peaks(pd.DataFrame(rows), "signal", "value", "token")
    "entropy 0.9 at '8'"
    """
    tops = [rows.iloc[int(rows[value].argmax())] for _, rows in frame.groupby(by, sort=False)]
    said = (f"{_words(top[by])} {_number(top[value], '.3g')} at {str(top[at])!r}" for top in tops)
    return ", ".join(said)


def _words(name: object) -> str:
    return meaning(name).replace("_", " ")


def _row(row: pd.Series, value: str, by: str, form: str) -> str:
    names = [meaning(row[name]) for name in by.split(",") if name and str(row[name])]
    return f"{', '.join(names)} {_number(row[value], form)}".strip()


def _number(value: float, form: str) -> str:
    return plain_zero(format(float(value), form))
