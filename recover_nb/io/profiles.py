"""The authors' profile table: one CSV row a failed problem unit.

See docs/method.md#14-profile-table.
"""

import difflib
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature, Intervention, Method, Regime, Split
from recover_nb.core.places import placed
from recover_nb.core.schema import SCHEMA_VERSION, failed_rollouts
from recover_nb.io.csvs import read_csv
from recover_nb.io.formulas import csv_bytes, unguarded
from recover_nb.io.holding import check_texts
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
_NAMED = ("family", "method")
COLUMNS = (*TEXT, "n_failed_rollouts", *FEATURES, *ARMS)
#: Attempts of the deterministic arm, and the most tried for the sampled ones.
MAX_ATTEMPTS = 20
#: The table has six decimals: 1/3 is stored as 0.333333, off by 3e-7, times n at most 20.
DECIMALS_SLACK = 1e-5


@checks.takes(path=checks.PATH)
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


@takes_study()
@checks.takes(path=checks.PATH, replace=checks.FLAG)
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
        If a variable or an intervention of the table is missing from `ds`, no unit is left, `path`
        exists, or a name would not be read from a CSV as it is.

    Warns
    -----
    UserWarning
        How many failed units are left out, because a feature or rate of theirs is missing.

    Notes
    -----
    docs/method.md#14-profile-table. Six decimals, as in the released table. A name that a
    spreadsheet would run as a formula is written behind an apostrophe, which `from_profiles` takes
    off again.
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
    check_texts(ds[[name for name in (*TEXT, *_NAMED) if name in ds.coords]], "a profile table")
    frame = _frame(ds)
    path = Path(path)
    with placed(path, replace=replace, source=ds) as temporary:
        temporary.write_bytes(csv_bytes(frame, float_format="%.6f"))
        _check_readable(frame, temporary, path)
    return path


def _frame(ds: xr.Dataset) -> pd.DataFrame:
    """Return the table of the failed units that have all features and rates."""
    model, cell = _model_and_cell(ds)
    frame = pd.DataFrame(
        {
            "cell": cell,
            "model": model,
            **{name: _names(ds, name) for name in ("task", "problem_id")},
        },
        dtype=object,
    )
    frame["n_failed_rollouts"] = _failed_rollouts(ds)
    features = ds["features"].transpose("problem", "feature").sel(feature=list(FEATURES)).to_numpy()
    frame[list(FEATURES)] = features
    rates = (
        ds["rescue_rate"].transpose("problem", "intervention").sel(intervention=list(ARMS.values()))
    )
    frame[list(ARMS)] = rates.to_numpy()
    failed = frame["n_failed_rollouts"] > 0
    whole = frame[failed].dropna()
    if whole.empty:
        raise InputError(
            "the study has no failed problem unit with features and rescue rates to write"
        )
    lacking = int(failed.sum()) - len(whole)
    if lacking:
        warnings.warn(
            f"{lacking} of {int(failed.sum())} failed problem units have no features, or were not"
            " tried under every intervention of a profile table, and are left out",
            stacklevel=3,
        )
    return whole[list(COLUMNS)]


def _model_and_cell(ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the model and the cell of each problem: their own, else names joined."""
    model = _names(ds, "model") if "model" in ds.coords else _joined(ds, "-", "family", "method")
    if "cell" in ds.coords:
        return model, _names(ds, "cell")
    return model, _joined(ds.assign_coords(model=("problem", model)), "|", "model", "task")


def _joined(ds: xr.Dataset, by: str, *names: str) -> np.ndarray:
    """Join coordinates into one name for each problem; two may not become one."""
    rows = list(zip(*(_names(ds, name) for name in names), strict=True))
    found: dict[str, tuple] = {}
    for row in rows:
        joined = by.join(row)
        if found.setdefault(joined, row) != row:
            raise InputError(
                f"{' and '.join(names)} of two units, {found[joined]} and {row}, make one name"
                f" {joined!r} in a profile table; rename them without {by!r}, or give problems a"
                f" coordinate {'model' if 'family' in names else 'cell'!r}"
            )
    return np.array([by.join(row) for row in rows], dtype=object)


def _names(ds: xr.Dataset, name: str) -> np.ndarray:
    """Return a coordinate as texts, (problem,) object."""
    return ds[name].to_numpy().astype(object)


def _check_readable(frame: pd.DataFrame, written: Path, path: Path) -> None:
    """Refuse a table that would not be read as it was meant."""
    try:
        again = _read(written)
        _check(again.copy(), written)
    except InputError as error:
        said = str(error).replace(str(written), str(path))
        raise InputError(f"{said} (the table of this study could not be read again)") from None
    for name in TEXT:
        differ = again[name].to_numpy() != frame[name].to_numpy()
        if differ.any():
            value = frame[name].to_numpy()[differ][0]
            raise InputError(
                f"{path}: {name} {value!r} would be read from a CSV as"
                f" {again[name].to_numpy()[differ][0]!r}; rename it"
            )


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
    for column in TEXT:
        # What `to_profiles` put before a formula; no name of others begins so.
        frame[column] = [unguarded(cell) for cell in frame[column]]
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
    """Return the post-training method a model's name begins or ends with, else the name itself."""
    known = sorted((m.value for m in Method), key=len, reverse=True)
    begins = (name for name in known if model.lower().startswith(name))
    # As `to_profiles` names models.
    ends = (name for name in known if model.endswith(f"-{name}"))
    return next(begins, next(ends, model))


def _family(model: str) -> str:
    """Return what is left of a model's name without its method: the size, in the released table."""
    method = _method(model)
    if method != model and not model.lower().startswith(method):
        return model[: -len(method) - 1] or model
    return model[len(method) :].strip("-_ ") or model


def _failed_rollouts(ds: xr.Dataset) -> np.ndarray:
    """Return the failed observed rollouts of each problem."""
    if "n_failed_rollouts" in ds:
        return ds["n_failed_rollouts"].to_numpy()
    present = [str(name) for name in ds["intervention"].values]
    if "correct" in ds and Intervention.NONE.value in present:
        return failed_rollouts(ds).sum(1)
    raise InputError(
        "the study does not say how many rollouts of each problem failed, which a profile table"
        " needs; add ds['n_failed_rollouts'], whole numbers on (problem)"
    )
