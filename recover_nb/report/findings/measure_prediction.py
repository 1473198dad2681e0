"""Figures of what features tell, what transfers, what reading tells, and of the controls.

Each section is ``{"populations": {name: figures}}``, the headline first.
"""

from typing import Any

import numpy as np
import xarray as xr

from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL
from recover_nb.core.schema import text
from recover_nb.prediction.reading import reading
from recover_nb.prediction.reading_result import Reading
from recover_nb.prediction.topography import topography
from recover_nb.prediction.topography_result import Topography
from recover_nb.prediction.transfer import transfer
from recover_nb.prediction.transfer_result import Transfer
from recover_nb.routing.controls import Controls, controls


def fingerprint(ds: xr.Dataset, seed: int) -> dict[str, Any]:
    """Tell the method from the features: pooled, and within each task.

    docs/method.md#10-failure-topography.
    """
    found = {"pooled": _prediction(ds, seed, target="method")}
    try:
        found["task"] = _prediction(ds, seed, target="method", within="task")
    except InputError as error:
        found["task"] = {"missing": str(error)}
    return found


def regime(ds: xr.Dataset, seed: int) -> dict[str, Any]:
    """Tell the regime from the features, within each cell."""
    return _prediction(ds, seed, target="regime", within="cell")


def _prediction(ds: xr.Dataset, seed: int, **asked: Any) -> dict[str, Any]:
    found = topography(ds, seed=seed, **asked)
    return {
        "one_checkpoint": found.one_checkpoint,
        "populations": {name: _told(one) for name, one in found.populations.items()},
    }


def _told(found: Topography) -> dict[str, Any]:
    """Accuracy and AUC out of fold beside permuted labels and what knows no signal."""
    scores = dict(zip(found.predictors, found.scores(), strict=True))
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
        "permutations": len(found.null),
        "classes": len(next(iter(found.parts.values())).classes),
        "baselines": {
            name: {
                "auc": np.nanmean(scores[name]),
                "lead": found.difference(name)._asdict(),
                "accuracy_lead": found.difference(name, "accuracy")._asdict(),
            }
            for name in found.predictors[1:]
        },
        "added": found.added()._asdict() if "no_signal" in scores else None,
        "verdict": str(found.verdict),
    }


def differing(ds: xr.Dataset, seed: int) -> dict[str, Any]:
    """Compare operators that differ in one thing.

    docs/method.md#controls.
    """
    found = controls(ds, seed=seed)
    return {
        "verdicts": {name: str(found.judge(name)) for name in ("place", "mixture")},
        "populations": {
            str(name): _compared(found, str(name)) for name in found.dataset["population"].values
        },
    }


def _compared(found: Controls, population: str) -> dict[str, Any]:
    one = found.dataset.sel(population=population)
    comparisons = {}
    for name in one["comparison"].values.tolist():
        rows = one.sel(comparison=name)
        pair = [str(rows[each].values) for each in ("operator", "against")]
        tasks = rows["task"].values.tolist()
        by_task = {task: _difference(rows.sel(task=task)) for task in tasks}
        comparisons[name] = {"pair": pair, **by_task.pop(ALL), "tasks": by_task}
    acts = {
        name: {str(act): float(one[name].sel(act=act)) for act in one["act"].values}
        for name in ("fired", "changed")
    }
    return {"comparisons": comparisons, **acts}


def _difference(one: xr.Dataset) -> dict[str, Any]:
    return {
        "n": float(one["n"]),
        "problems": float(one["problems"]),
        "rates": [float(one[name]) for name in ("rate", "rate_against")],
        "points": 100 * float(one["difference"]),
        "interval": [100 * float(one[name]) for name in ("low", "high")],
        "checkpoints": [100 * float(one[name]) for name in ("low_checkpoints", "high_checkpoints")],
    }


def transferred(ds: xr.Dataset, seed: int) -> dict[str, Any]:
    """Carry over between families, or out of each cell where there is one family.

    docs/method.md#11-transfer.
    """
    by = "family" if len(set(text(ds["family"]))) > 1 and "correct" in ds else "cell"
    found = transfer(ds, by=by, seed=seed)
    return {
        "by": by,
        "k": found.settings["k"],
        "permutations": found.settings["n_permutations"],
        "estimator": found.estimator,
        "verdict": str(found.verdict),
        "populations": {
            str(name): {"directions": _directions(found, str(name))}
            for name in found.dataset["population"].values
        },
    }


def _directions(found: Transfer, population: str) -> list[dict[str, Any]]:
    directions, whole = [], found.dataset.sel(population=population)
    for place in range(whole.sizes["direction"]):
        one = whole.isel(direction=place)
        frozen = one.sel(standardisation="frozen")
        judged, of_all = (frozen.sel(estimator=name) for name in (found.estimator, "all"))
        directions.append(
            {
                **{name: str(one[name].values) for name in ("source", "target")},
                **{
                    str(name): float(one["ari"].sel(assigned=name))
                    for name in one["assigned"].values
                },
                "permuted": {
                    "n": float(judged["n"]),
                    "routed": float(judged["routed"]),
                    "rate": float(judged["permuted"]),
                    "lift": float(judged["permuted_lift"]),
                    "ci95": [float(judged[f"permuted_{end}"]) for end in ("low", "high")],
                    "checkpoints": [
                        float(judged[f"permuted_{end}_checkpoints"]) for end in ("low", "high")
                    ],
                    "p": float(judged["permuted_p"]),
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
    return directions


def read(ds: xr.Dataset, seed: int) -> dict[str, Any]:
    """Read pooled, within a cell, and one trace.

    docs/method.md#12-not-by-reading. Within a cell a text cannot be read for its task; one trace
    tells no number.
    """
    asked = {
        "pooled": {},
        "cell": {"within": "cell"},
        "first": {"within": "cell", "rollouts": "first"},
    }
    found = {}
    for name, way in asked.items():
        result = reading(ds, seed=seed, **way)
        populations = {each: _readers(one) for each, one in result.populations.items()}
        found[name] = {"verdict": str(result.verdict), "populations": populations}
    return found


def _readers(found: Reading) -> dict[str, Any]:
    auc = found.scores()
    return {
        "rivals": list(found.rivals),
        "readers": {
            reader: {"auc": np.nanmean(auc[place]), "lead": found.difference(reader)._asdict()}
            for place, reader in enumerate(found.readers)
        },
    }
