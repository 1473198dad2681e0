"""Failed problem units with a label to predict, taken out of xarray once.

`topography`, `transfer` and `reading` share them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL, FEATURES
from recover_nb.core.schema import PROBLEM, cell_names, checkpoint_codes, lacks_hint, text
from recover_nb.features.features import feature_matrix
from recover_nb.routing.populations import FAILED, choose_populations

#: What can be predicted. ``model`` is the coordinate of a profile table, or ``family-method`` of a
#: study.
TARGETS = ("method", "regime", "model", "family", "task", "cell")
Found = TypeVar("Found")
#: Name of all parts together, beside the others.
OVERALL = "overall"
#: What units can be taken apart by before predicting.
PARTITIONS = ("cell", "family", "method", "task", "model")


@dataclass(frozen=True)
class Units:
    """Failed problem units whose label is to be predicted.

    Attributes
    ----------
    rows : int64 array, shape (n,)
        Place of each in the study's `problem` dimension.
    x : float64 array, shape (n, feature)
        Features, not standardised.
    label : str array, shape (n,)
    group, task : str arrays, shape (n,)
        The underlying problem, and its task.
    part : str array, shape (n,)
        What the unit is predicted within.
    checkpoint : int64 array, shape (n,)
        The checkpoint it was put to (`schema.checkpoint_codes`).
    """

    rows: np.ndarray
    x: np.ndarray
    label: np.ndarray
    group: np.ndarray
    task: np.ndarray
    part: np.ndarray
    checkpoint: np.ndarray

    def take(self, keep: np.ndarray) -> "Units":
        """Return the units `keep` (a bool mask or indices)."""
        return Units(*(getattr(self, each.name)[keep] for each in fields(self)))


def select_units(
    ds: xr.Dataset,
    *,
    target: str,
    features: Sequence[str] = FEATURES,
    within: str | None = None,
    among: np.ndarray | None = None,
) -> Units:
    """Take the failed problem units of a study, with the label to predict, out of xarray.

    Parameters
    ----------
    ds, target, features, within
        As in `topography`.
    among : (problem,) bool, optional
        The population: problems outside it are left out.

    Returns
    -------
    Units
        Those with every feature and a label.

    Raises
    ------
    InputError
        If a name is unknown or not in the study, or no unit is left.
    """
    label = unit_names(ds, target, "target", TARGETS)
    part = (
        np.full(len(label), ALL) if within is None else unit_names(ds, within, "within", PARTITIONS)
    )
    if within == target:
        raise InputError(
            f"target and within are both {target!r}, which is constant within itself; choose two"
        )
    for name in ("task", "problem_id"):
        if name not in ds.coords:
            raise InputError(
                f"the study has no coordinate {name!r}; folds keep the units of a problem together"
                " by it"
            )
    task, problem = text(ds["task"]), text(ds["problem_id"])
    x = feature_matrix(ds, features)
    keep = ~np.isnan(x).any(axis=1) & (label != "")
    rows = np.flatnonzero(keep if among is None else keep & among)
    if not len(rows):
        raise InputError(
            f"no unit with features and a {target} is left; needed: failed problems"
            + lacks_hint(ds)
        )
    # A byte no name holds, so that two pairs never give one group.
    group = np.array(
        ["\0".join(pair) for pair in zip(task.tolist(), problem.tolist(), strict=True)]
    )
    checkpoint = checkpoint_codes(ds)
    return Units(rows, x[rows], label[rows], group[rows], task[rows], part[rows], checkpoint[rows])


def populations_of(ds: xr.Dataset, names: Sequence[str] | None) -> dict[str, np.ndarray]:
    """Return the problems of each population, the headline first (`choose_populations`).

    Without a name given, a study that stores no outcome has the one of every failed problem: those
    with features.
    """
    if names is None and "correct" not in ds:
        names = (FAILED,)
    if not {"correct", "n_failed_rollouts"} & set(ds.variables) and tuple(names or ()) == (FAILED,):
        return {FAILED: np.ones(ds.sizes[PROBLEM], dtype=bool)}
    return choose_populations(ds, names)


def over_populations(
    populations: dict[str, np.ndarray], compute: Callable[[str, np.ndarray], Found]
) -> tuple[dict[str, Found], dict[str, str]]:
    """Compute something for each population.

    Returns
    -------
    found : dict of str to result
        The headline first.
    left_out : dict of str to str
        Populations that are too few for it, with the reason.

    Raises
    ------
    InputError
        If no population is left: what is wrong with the first.
    """
    found: dict[str, Found] = {}
    errors: dict[str, InputError] = {}
    for name, among in populations.items():
        try:
            found[name] = compute(name, among)
        except InputError as error:
            errors[name] = error
    if not found:
        raise next(iter(errors.values()))
    return found, {name: str(error) for name, error in errors.items()}


def stack_populations(found: dict[str, xr.Dataset]) -> xr.Dataset:
    """Put figures of each population side by side, along a first dimension ``population``.

    A label (a class, a part) that one of them lacks is NaN there; labels are in the order of the
    first.
    """
    sets = list(found.values())
    order = {
        name: list(dict.fromkeys(label for each in sets for label in each[name].values.tolist()))
        for name in sets[0].coords
    }
    both = xr.concat(
        [each.reindex(order) for each in sets],
        pd.Index(list(found), name="population"),
        data_vars="all",
        combine_attrs="override",
    )
    return both.assign_coords(population=np.array(list(found)))


def split_units(
    units: Units, target: str, n_splits: int
) -> tuple[dict[str, Units], dict[str, str]]:
    """Take units apart, without the classes and parts that cannot be predicted in `n_splits` folds.

    Returns
    -------
    parts : dict of str to Units
        In the order of the study.
    left_out : dict of str to str
        What is not in them, and why.

    Raises
    ------
    InputError
        If no part is left.
    """
    parts, few, whole = {}, {}, {}
    for name in dict.fromkeys(units.part.tolist()):
        part = units.take(units.part == name)
        present, keep = np.unique(part.label), np.ones(len(part.rows), dtype=bool)
        for each in present:
            inside = part.label == each
            n = len(np.unique(part.group[inside]))
            if n < n_splits:
                few[f"{name}: {each}"] = f"too few problems ({n}) for {n_splits} folds"
                keep &= ~inside
        n_classes = len(np.unique(part.label[keep]))
        if n_classes > 1:
            parts[name] = part.take(keep)
        elif len(present) == 1:
            whole[name] = f"every unit has {target} {present[0]}"
        else:
            whole[name] = f"{n_classes} {target} with enough problems for {n_splits} folds"
    if not parts:
        name, reason = next(iter(whole.items()))
        raise InputError(
            f"nothing to predict ({name}: {reason}); allowed: a target with two classes of at least"
            f" {n_splits} problems each"
        )
    return parts, few | whole


def unit_names(ds: xr.Dataset, name: str, keyword: str, allowed: tuple[str, ...]) -> np.ndarray:
    """Return the label `name` of each problem, (problem,) str.

    Raises
    ------
    InputError
        If `name` is not one of `allowed` or the study does not hold it; `keyword` is the argument
        it came by.
    """
    able = [each for each in allowed if _has(ds, each)]
    if name not in able:
        why = "this study does not hold it" if name in allowed else "unknown"
        raise InputError(
            f"{keyword} is {name!r} ({why}); allowed here: {', '.join(able) or 'none'}"
        )
    if name == "cell":
        return cell_names(ds)
    if name == "model" and not _on_problem(ds, "model"):
        pairs = zip(text(ds["family"]).tolist(), text(ds["method"]).tolist(), strict=True)
        return np.array(["-".join(pair) for pair in pairs])
    return text(ds[name])


def _has(ds: xr.Dataset, name: str) -> bool:
    unit = all(_on_problem(ds, each) for each in ("family", "method", "task"))
    if name == "cell":
        return _on_problem(ds, "cell") or unit
    return _on_problem(ds, name) or (name == "model" and unit)


def _on_problem(ds: xr.Dataset, name: str) -> bool:
    return name in ds and ds[name].dims == (PROBLEM,)
