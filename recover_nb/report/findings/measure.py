"""The figures that claims are judged by: a function a section, from a study to plain numbers."""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import xarray as xr
from sklearn.metrics import adjusted_rand_score

from recover_nb.clustering import choose_k, cluster_stability, stability_grid
from recover_nb.core.errors import InputError
from recover_nb.core.plain import plain
from recover_nb.core.schema import cell_names, text
from recover_nb.features.features import feature_matrix
from recover_nb.report.findings import (
    beyond,
    changes,
    measure_extensions,
    measure_prediction,
    specimen,
)
from recover_nb.routing.evaluation import evaluate_routing
from recover_nb.routing.populations import allowed_populations, choose_populations
from recover_nb.stats.resampling import exceedance
from recover_nb.tables import find, firing, rescue_by_intervention

#: Significant digits kept: enough for every figure shown, few enough that a last bit of another
#: machine is not.
DIGITS = 6
#: Data sets without clusters: enough that a p-value below a fifth of the level can be told.
N_NULL = 100
#: Clusterings: name -> how features are standardised.
VIEWS = {
    "pooled": {},
    "within": {"within_cells": True},
    "ranks": {"within_cells": True, "ranks": True},
}


def measure(
    ds: xr.Dataset,
    *,
    seed: int = 0,
    only: Sequence[str] | None = None,
    processes: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Compute the figures of every section.

    Parameters
    ----------
    ds : Dataset
        A study, or a profile table read by `from_profiles`.
    seed : int
        The result is a function of it and of the data alone.
    only : sequence of str, optional
        Names of `SECTIONS`; all of them by default.
    processes : int, optional
        Sections computed side by side; by default two, or one where there is one core.
    progress : callable, optional
        Called with the name of each section when it is done.

    Returns
    -------
    dict
        Section -> figures, plain numbers rounded to `DIGITS` significant digits; a section that the
        data cannot give is ``{"missing": why}``.

    Raises
    ------
    InputError
        If a section is unknown, or `processes` is below 1.
    """
    names = list(SECTIONS) if only is None else list(only)
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        raise InputError(f"no section {unknown[0]!r}; allowed: {', '.join(SECTIONS)}")
    processes = min(2, os.cpu_count() or 1) if processes is None else processes
    if processes < 1:
        raise InputError(f"processes is {processes}; it must be at least 1")
    tell = progress or (lambda name: None)
    found = {}
    if processes == 1:
        for name in names:
            found[name] = _section(name, ds, seed)
            tell(name)
    else:
        # Started afresh: a fork of a process that runs threads (a notebook's) can hang.
        with ProcessPoolExecutor(
            processes, mp_context=get_context("spawn"), initializer=_alone
        ) as pool:
            waiting = {pool.submit(_section, name, ds, seed): name for name in names}
            for done in as_completed(waiting):
                found[waiting[done]] = done.result()
                tell(waiting[done])
    return {name: found[name] for name in names}


def _section(name: str, ds: xr.Dataset, seed: int) -> dict:
    try:
        figures = SECTIONS[name](ds, seed)
    except InputError as error:
        return {"missing": str(error)}
    return rounded(plain(figures))


def _alone() -> None:
    """Tell joblib of one processor: each of these processes has its share, and starts no workers.

    Workers of its own would also be waited for when the process ends: minutes, until they are tired
    of idling.
    """
    os.environ["LOKY_MAX_CPU_COUNT"] = "1"


def rounded(value: Any, digits: int = DIGITS) -> Any:
    """Round every float of plain data to `digits` significant digits."""
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item, digits) for item in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def _sizes(ds: xr.Dataset, seed: int) -> dict:
    """Count what there is."""
    failed = ~np.isnan(feature_matrix(ds)).any(axis=-1)
    return {
        "problems": int(ds.sizes["problem"]),
        "failed": int(failed.sum()),
        "cells": len(set(cell_names(ds))),
    }


def _headline(ds: xr.Dataset) -> tuple[str, xr.Dataset]:
    """Return the name and the problems of the headline's population."""
    name = allowed_populations(ds)[0]
    return name, ds.isel(problem=np.flatnonzero(choose_populations(ds, [name])[name]))


def _clusters(ds: xr.Dataset, seed: int) -> dict:
    """Measure section 9: one k for all views, and clusters compared with names there already."""
    population, ds = _headline(ds)
    table = choose_k(ds, seed=seed)
    chosen = table["k"][table["best_silhouette"]]
    if not len(chosen):
        raise InputError(
            "no number of clusters has a silhouette: there are too few different problems"
        )
    k = int(chosen.iloc[0])
    found, regime_p = {}, math.nan
    for name, way in VIEWS.items():
        result = cluster_stability(ds, k=k, n_null=N_NULL, seed=seed, **way)
        said = result.to_dict()
        found[name] = {
            key: said[key] for key in ("verdict", "figures", "alignment", "jaccard", "sizes")
        }
        if name == "pooled":
            regime_p = _regime_p(
                ds, result.labels.values, result.alignment.get("regime", math.nan), seed
            )
    return {"population": population, "k": k, "views": found, "regime_p": regime_p}


def _regime_p(
    ds: xr.Dataset, labels: np.ndarray, observed: float, seed: int, n: int = 999
) -> float:
    """Share of permutations of the regimes within cells that agree with the clusters as well."""
    used = labels >= 0
    regime, cell = text(ds["regime"])[used], cell_names(ds)[used]
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(cell == name) for name in np.unique(cell)]
    draws = np.empty(n)
    for place in range(n):
        shuffled = regime.copy()
        for rows in groups:
            shuffled[rows] = regime[rng.permutation(rows)]
        draws[place] = adjusted_rand_score(shuffled, labels[used])
    return exceedance(observed, draws)


def _grid(view: str, ds: xr.Dataset, seed: int) -> dict:
    """Every algorithm and k at once, corrected for their number.

    See docs/method.md#family-correction.
    """
    population, ds = _headline(ds)
    table = stability_grid(ds, n_resamples=20, n_null=N_NULL, seed=seed, **VIEWS[view])
    rows = table.drop_duplicates(["algorithm", "k"])
    claimed = rows[rows["family_verdict"] == "clusters"]
    return {
        "population": population,
        "problems": int(ds.sizes["problem"]),
        "draws": N_NULL,
        "clusterings": len(rows),
        "claimed": [f"{a} {k}" for a, k in zip(claimed["algorithm"], claimed["k"], strict=True)],
        "least_p": rows["p_family"].min(),
    }


def _routing(ds: xr.Dataset, seed: int) -> dict:
    """As `tables.find` judges it: finding -> its figure and verdict.

    See docs/method.md#8-estimators.
    """
    evaluation = evaluate_routing(ds, seed=seed)
    whom = evaluation.populations[0]
    rescue = rescue_by_intervention(ds, population=whom, total=True, seed=seed)
    return {each["name"]: each for each in find(evaluation, rescue, firing(ds, total=True))}


#: Section -> function of (study, seed), in the order of docs/method.md.
SECTIONS: dict[str, Callable[[xr.Dataset, int], dict]] = {
    "sizes": _sizes,
    "grid_pooled": partial(_grid, "pooled"),
    "grid_ranks": partial(_grid, "ranks"),
    "clusters": _clusters,
    "fingerprint": measure_prediction.fingerprint,
    "regime": measure_prediction.regime,
    "routing": _routing,
    "controls": measure_prediction.differing,
    "transfer": measure_prediction.transferred,
    "reading": measure_prediction.read,
    **measure_extensions.SECTIONS,
    **changes.SECTIONS,
    **specimen.SECTIONS,
    **beyond.SECTIONS,
}
