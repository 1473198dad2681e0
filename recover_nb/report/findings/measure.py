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
from recover_nb.prediction.reading import reading
from recover_nb.prediction.topography import topography
from recover_nb.prediction.transfer import transfer
from recover_nb.report.findings import changes, measure_extensions, specimen
from recover_nb.report.findings.paired import paired_difference
from recover_nb.routing.evaluation import evaluate_routing
from recover_nb.stats.resampling import exceedance
from recover_nb.tables import find, firing, rescue_by_intervention

#: Significant digits kept: enough for every figure shown, few enough that a last bit of another
#: machine is not.
DIGITS = 6
#: Clusterings: name -> how features are standardised.
VIEWS = {
    "pooled": {},
    "within": {"within_cells": True},
    "ranks": {"within_cells": True, "ranks": True},
}
#: Pairs of operators that differ in one thing, and the thing.
CONTROLS = (
    ("sparse_steer", "sparse_steer_wrong", "mixture"),
    ("sparse_steer", "sparse_steer_random", "place"),
    ("dense_steer", "dense_sample", "argmax"),
    ("dense_sample", "temperature", "ancestor"),
)


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


def _clusters(ds: xr.Dataset, seed: int) -> dict:
    """Measure section 9: one k for all views, and clusters compared with names there already."""
    table = choose_k(ds, seed=seed)
    chosen = table["k"][table["best_silhouette"]]
    if not len(chosen):
        raise InputError(
            "no number of clusters has a silhouette: there are too few different problems"
        )
    k = int(chosen.iloc[0])
    found, regime_p = {}, math.nan
    for name, way in VIEWS.items():
        result = cluster_stability(ds, k=k, seed=seed, **way)
        said = result.to_dict()
        found[name] = {
            key: said[key] for key in ("verdict", "figures", "alignment", "jaccard", "sizes")
        }
        if name == "pooled":
            regime_p = _regime_p(
                ds, result.labels.values, result.alignment.get("regime", math.nan), seed
            )
    return {"k": k, "views": found, "regime_p": regime_p}


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
    table = stability_grid(ds, n_resamples=20, seed=seed, **VIEWS[view])
    rows = table.drop_duplicates(["algorithm", "k"])
    claimed = rows[rows["family_verdict"] == "clusters"]
    return {
        "clusterings": len(rows),
        "claimed": [f"{a} {k}" for a, k in zip(claimed["algorithm"], claimed["k"], strict=True)],
        "least_p": rows["p_family"].min(),
    }


def _prediction(ds: xr.Dataset, seed: int, **asked: str) -> dict:
    """Accuracy and AUC out of fold beside the commonest label and permuted labels.

    See docs/method.md#10-failure-topography.
    """
    found = topography(ds, seed=seed, **asked)
    return {
        "n": found.n,
        "accuracy": found.accuracy.mean(),
        "accuracy_sd": found.accuracy.std(ddof=1),
        "majority": found.majority,
        "permuted": found.null.mean(),
        "p": found.p,
        "auc": found.auc.mean(),
        "auc_permuted": found.null_auc.mean(),
        "p_auc": found.p_auc,
        "classes": len(next(iter(found.parts.values())).classes),
    }


def _fingerprint(ds: xr.Dataset, seed: int) -> dict:
    found = {"pooled": _prediction(ds, seed, target="method")}
    try:
        found["task"] = _prediction(ds, seed, target="method", within="task")
    except InputError as error:
        found["task"] = {"missing": str(error)}
    return found


def _regime(ds: xr.Dataset, seed: int) -> dict:
    return _prediction(ds, seed, target="regime", within="cell")


def _routing(ds: xr.Dataset, seed: int) -> dict:
    """As `tables.find` judges it: finding -> its figure and verdict.

    See docs/method.md#8-estimators.
    """
    evaluation = evaluate_routing(ds, seed=seed)
    rescue = rescue_by_intervention(ds, total=True, seed=seed)
    return {each["name"]: each for each in find(evaluation, rescue, firing(ds, total=True))}


def _controls(ds: xr.Dataset, seed: int) -> dict:
    """Operators that differ in one thing, over every failed problem.

    See docs/method.md#4-interventions.
    """
    there = set(text(ds["intervention"]))
    found = {
        thing: {"pair": [one, other], **paired_difference(ds, one, other, seed=seed)}
        for one, other, thing in CONTROLS
        if {one, other} <= there
    }
    if not found:
        raise InputError("no two operators that differ in one thing were run")
    return found


def _transfer(ds: xr.Dataset, seed: int) -> dict:
    """Between families, or out of each cell where there is one family.

    See docs/method.md#11-transfer.
    """
    by = "family" if len(set(text(ds["family"]))) > 1 and "correct" in ds else "cell"
    found = transfer(ds, by=by, seed=seed)
    directions = []
    for place in range(found.dataset.sizes["direction"]):
        one = found.dataset.isel(direction=place)
        frozen = one.sel(standardisation="frozen")
        of_all = frozen.sel(estimator="all")
        directions.append(
            {
                **{name: str(one[name].values) for name in ("source", "target")},
                **{
                    str(name): float(one["ari"].sel(assigned=name))
                    for name in one["assigned"].values
                },
                "excess": {
                    "mean": float(frozen["null_mean"]),
                    "sd": float(frozen["null_sd"]),
                    "value": float(frozen["excess"]),
                    "ci95": [float(frozen[f"excess_{end}"]) for end in ("low", "high")],
                    "p": float(frozen["excess_p"]),
                },
                "all": {
                    "n": float(of_all["n"]),
                    "rate": float(of_all["routed"]),
                    **{name: float(of_all[name]) for name in ("retry", "lift")},
                    "ci95": [float(of_all[end]) for end in ("low", "high")],
                },
                "same_routes": float(one["same_routes"]),
            }
        )
    return {"by": by, "k": found.settings["k"], "directions": directions}


def _reading(ds: xr.Dataset, seed: int) -> dict:
    """Measure section 12: pooled, within a cell, and on one trace.

    Within a cell a text cannot be read for its task; one trace tells no number.
    """
    found = {}
    asked = {
        "pooled": {},
        "cell": {"within": "cell"},
        "first": {"within": "cell", "rollouts": "first"},
    }
    for name, way in asked.items():
        result = reading(ds, seed=seed, **way)
        auc = result.scores()
        found[name] = {
            reader: {"auc": np.nanmean(auc[place]), "lead": list(result.difference(reader))}
            for place, reader in enumerate(result.readers)
        }
    return found


#: Section -> function of (study, seed), in the order of docs/method.md.
SECTIONS: dict[str, Callable[[xr.Dataset, int], dict]] = {
    "sizes": _sizes,
    "grid_pooled": partial(_grid, "pooled"),
    "grid_ranks": partial(_grid, "ranks"),
    "clusters": _clusters,
    "fingerprint": _fingerprint,
    "regime": _regime,
    "routing": _routing,
    "controls": _controls,
    "transfer": _transfer,
    "reading": _reading,
    **measure_extensions.SECTIONS,
    **changes.SECTIONS,
    **specimen.SECTIONS,
}
