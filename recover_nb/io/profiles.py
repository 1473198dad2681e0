"""The authors' profile table: one CSV row a failed problem unit.

See docs/method.md#14-profile-table.
"""

import difflib
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature, Intervention, Method, Regime, Split
from recover_nb.core.places import placed
from recover_nb.core.schema import SCHEMA_VERSION
from recover_nb.io.csvs import read_csv
from recover_nb.routing.policy import route
from recover_nb.routing.rescue import classify_regimes

#: Column of the table -> intervention, in the order of the Dataset.
ARMS = {
    "retry": Intervention.RETRY.value,
    "sparse_steer": Intervention.SPARSE_STEER.value,
    "sparse_steer_random": Intervention.SPARSE_STEER_RANDOM.value,
    "local_temp": Intervention.LOCAL_TEMPERATURE.value,
    "dense_steer": Intervention.DENSE_STEER.value,
}
FEATURES = tuple(feature.value for feature in Feature)
TABLE = "a profile table (CSV, one row per failed problem unit)"
TEXT = ("cell", "model", "task", "problem_id")
COLUMNS = (*TEXT, "n_failed_rollouts", *FEATURES, *ARMS)
#: Attempts of the deterministic arm, and the most tried for the sampled ones.
MAX_ATTEMPTS = 20
#: The table has six decimals: 1/3 is stored as 0.333333, off by 3e-7, times n at most 20.
DECIMALS_SLACK = 1e-5


def from_profiles(path: str | Path) -> xr.Dataset:
    """Read the authors' profile table.

    Parameters
    ----------
    path : str or Path
        CSV file with the columns of docs/method.md#14-profile-table.

    Returns
    -------
    Dataset
        dims ``problem``, ``intervention`` (retry and the published four), ``feature``; variables
        ``features``, ``rescue_rate`` (float64), ``attempts`` (int32, inferred: they are not in the
        table), ``n_failed_rollouts`` (int32), ``regime`` and ``route`` (str); coords ``family``,
        ``method``, ``task``, ``problem_id``, ``split``, ``cell`` and ``model`` on ``problem``.
        Routes are standardised within each cell by its steerable_hard problems, as in the published
        figures.

    Raises
    ------
    InputError
        If the file is missing, empty or not a CSV table, a column is missing or misspelt, a number
        is missing or out of range, or a unit occurs twice.

    Notes
    -----
    Attribute ``regime_tolerance`` is 0: the published figures compare plain floats, so that 0.35 -
    0.30 falls short of 0.05, and they must be reproduced; `evaluate_routing` reads it.
    """
    path = Path(path)
    frame = _read(path)
    _check(frame, path)
    sampled = frame[[column for column in ARMS if column != "dense_steer"]].to_numpy(dtype=float)
    attempts = np.full((len(frame), len(ARMS)), MAX_ATTEMPTS, dtype=np.int32)
    attempts[:, :-1] = infer_attempts(sampled)[:, None]
    method = [_method(model) for model in frame["model"]]
    ds = xr.Dataset(
        {
            "features": (("problem", "feature"), frame[list(FEATURES)].to_numpy(dtype=float)),
            "rescue_rate": (("problem", "intervention"), frame[list(ARMS)].to_numpy(dtype=float)),
            "attempts": (("problem", "intervention"), attempts),
            "n_failed_rollouts": ("problem", frame["n_failed_rollouts"].to_numpy(dtype=np.int32)),
        },
        coords={
            "intervention": list(ARMS.values()),
            "feature": list(FEATURES),
            "family": ("problem", [_family(model) for model in frame["model"]]),
            "method": ("problem", method),
            "task": ("problem", frame["task"].to_numpy(dtype=str)),
            "problem_id": ("problem", frame["problem_id"].to_numpy(dtype=str)),
            "split": ("problem", [Split.TEST.value] * len(frame)),
            "cell": ("problem", frame["cell"].to_numpy(dtype=str)),
            "model": ("problem", frame["model"].to_numpy(dtype=str)),
        },
        attrs={
            "schema_version": SCHEMA_VERSION,
            "source": path.name,
            "source_format": "profiles",
            "regime_tolerance": 0.0,
        },
    )
    ds["regime"] = classify_regimes(ds["rescue_rate"], tolerance=0.0)
    hard = (ds["regime"] == Regime.STEERABLE_HARD.value).to_numpy()
    ds["route"] = route(ds["features"], ds["cell"].to_numpy(), population=hard)
    return ds


def to_profiles(ds: xr.Dataset, path: str | Path, *, replace: bool = False) -> Path:
    """Write the failed problem units of a study as the authors' profile table.

    Parameters
    ----------
    ds : Dataset
        With ``features``, ``rescue_rate`` and the coords of the contract. Units with a missing
        feature or rate (they were not failed) are left out; interventions the table has no column
        for are too.
    path : str or Path
        CSV file to write.
    replace : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If a variable or an intervention of the table is missing from `ds`, no unit is left, or
        `path` exists.

    Notes
    -----
    docs/method.md#14-profile-table. Six decimals, as in the released table.
    """
    missing = [name for name in ("features", "rescue_rate") if name not in ds]
    if missing:
        raise InputError(
            f"the study has no variable {', '.join(missing)}; a profile table needs it"
        )
    present = [str(name) for name in ds["intervention"].values]
    absent = [name for name in ARMS.values() if name not in present]
    if absent:
        raise InputError(
            f"the study has no intervention {', '.join(absent)}; a profile table needs "
            + ", ".join(ARMS.values())
        )
    parts = {
        name: ds[name].astype(str).to_numpy() for name in ("family", "method", "task", "problem_id")
    }
    model = (
        ds["model"].astype(str).to_numpy()
        if "model" in ds.coords
        else _names(parts, "family", "method")
    )
    cell = (
        ds["cell"].astype(str).to_numpy()
        if "cell" in ds.coords
        else _names({**parts, "model": model}, "model", "task", sep="|")
    )
    frame = pd.DataFrame(
        {"cell": cell, "model": model, "task": parts["task"], "problem_id": parts["problem_id"]}
    )
    frame["n_failed_rollouts"] = _failed_rollouts(ds)
    features = ds["features"].transpose("problem", "feature").sel(feature=list(FEATURES)).to_numpy()
    frame[list(FEATURES)] = features
    rates = (
        ds["rescue_rate"].transpose("problem", "intervention").sel(intervention=list(ARMS.values()))
    )
    frame[list(ARMS)] = rates.to_numpy()
    frame = frame.dropna()
    if frame.empty:
        raise InputError(
            "the study has no failed problem unit with features and rescue rates to write"
        )
    path = Path(path)
    with placed(path, replace=replace, source=ds) as temporary:
        frame[list(COLUMNS)].to_csv(temporary, index=False, float_format="%.6f")
    return path


def infer_attempts(rates: np.ndarray) -> np.ndarray:
    """Smallest n <= 20 for which every rate of a row is a multiple of 1/n; 20 where there is none.

    Parameters
    ----------
    rates : float array, shape (problem, arm)
        Rescue rates stored with at least six decimals.

    Returns
    -------
    int32 array, shape (problem,)

    Notes
    -----
    docs/method.md#inferred-attempts.
    """
    n = np.arange(1, MAX_ATTEMPTS + 1)
    scaled = rates[..., None] * n
    fits = (np.abs(scaled - np.round(scaled)) < DECIMALS_SLACK).all(axis=1)
    return np.where(fits.any(axis=1), n[fits.argmax(axis=1)], MAX_ATTEMPTS).astype(np.int32)


def _read(path: Path) -> pd.DataFrame:
    """Read the table as text columns; the index is the line of each row."""
    sheet = read_csv(path, TABLE, COLUMNS.__contains__)
    for column in COLUMNS:
        if column not in sheet.columns:
            close = difflib.get_close_matches(
                column, [c for c in sheet.columns if c not in COLUMNS], n=1
            )
            hint = f" (is {close[0]!r} a misspelling of it?)" if close else ""
            raise InputError(
                f"{path}: no column {column!r}{hint}; a profile table needs {', '.join(COLUMNS)}"
            )
    rows = list(sheet.rows())
    lines = [int(where.rpartition(" ")[-1]) for where, _ in rows]
    frame = pd.DataFrame([cells for _, cells in rows], index=lines, dtype=object)[list(COLUMNS)]
    for column in (n for n in COLUMNS if n not in TEXT) if sheet.comma else ():
        frame[column] = frame[column].str.replace(",", ".", n=1, regex=False)
    return frame


def _check(frame: pd.DataFrame, path: Path) -> None:
    """Check values; numeric columns of `frame` become numbers."""
    for column in TEXT:
        blank = frame[column].str.strip() == ""
        if blank.any():
            raise InputError(
                f"{path}: column {column!r} is blank in line {_line(blank)}; it must name the"
                f" {column}"
            )
    for column in ("n_failed_rollouts", *FEATURES, *ARMS):
        frame[column] = _numbers(frame[column], path)
    twice = frame.duplicated(["cell", "problem_id"])
    if twice.any():
        row = frame[twice].iloc[0]
        raise InputError(
            f"{path}: unit {row['cell']}, {row['problem_id']} occurs again in line {_line(twice)}; "
            "a unit may occur once: remove one of the rows"
        )


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    """Return the column as finite numbers in their allowed range."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    bad = ~np.isfinite(numbers)
    allowed = "a finite number"
    if column.name in ARMS:
        bad |= (numbers < 0) | (numbers > 1)
        allowed = "a rescue rate between 0 and 1"
    elif column.name == "n_failed_rollouts":
        bad |= (numbers < 1) | (numbers != numbers.round())
        allowed = "a whole number of at least 1"
    if bad.any():
        value = column[bad].iloc[0] or "blank"
        raise InputError(
            f"{path}: column {column.name!r} is {value} in line {_line(bad)}; it must be {allowed}"
        )
    return numbers


def _line(bad: pd.Series) -> int:
    """Line of the file of the first marked row."""
    return int(bad.index[bad.to_numpy()][0])


def _method(model: str) -> str:
    """Return the post-training method a model's name begins with, else the name itself."""
    known = sorted((m.value for m in Method), key=len, reverse=True)
    return next((name for name in known if model.lower().startswith(name)), model)


def _family(model: str) -> str:
    """Return what is left of a model's name without its method: the size, in the released table."""
    method = _method(model)
    return model[len(method) :].strip("-_ ") or model


def _names(parts: dict[str, np.ndarray], *names: str, sep: str = "-") -> np.ndarray:
    """Join coordinates into one name for each problem."""
    return np.array([sep.join(row) for row in zip(*(parts[name] for name in names), strict=True)])


def _failed_rollouts(ds: xr.Dataset) -> np.ndarray:
    """Failed observed rollouts of each problem; 0 where they are not stored."""
    if "n_failed_rollouts" in ds:
        return ds["n_failed_rollouts"].to_numpy()
    present = [str(name) for name in ds["intervention"].values]
    if "correct" in ds and Intervention.NONE.value in present:
        observed = ds["correct"].sel(intervention=Intervention.NONE.value)
        return (observed == 0).sum("rollout").to_numpy()
    return np.zeros(ds.sizes["problem"], dtype=int)
