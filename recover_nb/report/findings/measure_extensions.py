"""Sections that the paper does not have: how far its quantities can be trusted."""

from collections.abc import Callable

import xarray as xr

from recover_nb.core.labels import SURVIVAL_COMPANIONS, HoldOut, Regime, Scope
from recover_nb.features.reliability import needed_rollouts
from recover_nb.generation.companions import load_fresh, load_remapped
from recover_nb.routing.ablation.ablate import ablate
from recover_nb.routing.reliability import route_reliability
from recover_nb.routing.remapping import ANY, remap_survival
from recover_nb.routing.routers import RouterComparison, compare_routers
from recover_nb.routing.routers.result import ENDS as GAIN_ENDS
from recover_nb.routing.routers.result import EQUAL_PASSES
from recover_nb.tables.ablation import ablation_moves
from recover_nb.tables.calculator import calculator_by_regime
from recover_nb.tables.routers import router_lifts

#: Failed rollouts in each half: ten at most have their signals stored.
SIZES = (1, 2, 5)
_ENDS = ("points", "low_points", "high_points")
#: How a setting can bear on a conclusion: the columns of `ablation_moves` that list them.
_HOW = ("reversed", "undecided", "decided", "sign", "same", "missing")


def _reliability(ds: xr.Dataset, seed: int) -> dict:
    """Measure section 3: how many failed rollouts the features need.

    It also tells how often two halves take the same route.
    """
    needed = needed_rollouts(ds, SIZES, seed=seed).sel(scope=Scope.WITHIN.value, size=SIZES[-1])
    features = {
        str(name): {
            each: float(needed[each].sel(feature=name))
            for each in ("needed", "needed_low", "needed_high")
        }
        for name in needed["feature"].values
    }
    routes = route_reliability(ds, SIZES, seed=seed)
    route = {
        str(size): {
            each: float(routes[each].sel(size=size))
            for each in ("agreement", "chance", "kappa", "kappa_low", "kappa_high")
        }
        for size in SIZES
    }
    return {
        "size": SIZES[-1],
        "problems": int(needed["n_problems"]),
        "features": features,
        "route": route,
    }


def _remapping(ds: xr.Dataset, seed: int) -> dict:
    """Survival of regimes under new numbers, beside their survival under new draws.

    See docs/method.md#regime-survival.
    """
    found = remap_survival(ds, *load_remapped(), seed=seed)
    every, names = found.survival.isel(group=0), [each.value for each in Regime]
    survival = {}
    for outcome in (ANY, *names):
        row = every.sel(outcome=outcome)
        loss = [100 * float(row[f"difference{end}"]) for end in ("", "_low", "_high")]
        survival[outcome] = {
            "n": int(row["n"]),
            "remapped": float(row["remapped"]),
            "redrawn": float(row["redrawn"]),
            "loss": loss,
        }
    agreement = found.agreement.isel(group=0)
    within = {
        each.value: [
            float(agreement[f"kappa_within{end}"].sel(companion=each.value))
            for end in ("", "_low", "_high")
        ]
        for each in SURVIVAL_COMPANIONS
    }
    drop = {}
    if found.drop is not None:
        every = found.drop.isel(group=0)
        drop = {"n": int(every["n"])} | {
            name: [100 * float(every[f"{name}{end}"]) for end in ("", "_low", "_high")]
            for name in ("remapped", "redrawn", "difference")
        }
    depth, counts = found.depth, {}
    for name in sorted(set(depth.tolist()) - {""}):
        counts[name] = int((depth == name).sum())
    return {"survival": survival, "kappa_within": within, "depth": counts, "drop": drop}


def _calculator(ds: xr.Dataset, seed: int) -> dict:
    """Measure what a tool rescues, by regime.

    See docs/method.md#calculator.
    """
    rows = calculator_by_regime(ds, seed=seed)
    rows = rows[rows["group"] == "all"].set_index("regime")
    names = ("problems", "retry_rate", "calculator_rate", "rescued")
    ends = ("lift_points", "lift_low_points", "lift_high_points")
    return {
        name: {**{each: row[each] for each in names}, "lift": [row[each] for each in ends]}
        for name, row in rows.to_dict("index").items()
    }


def _routers(ds: xr.Dataset, seed: int) -> dict:
    """Compare rules at equal forward passes, on cells not learned from.

    Then once more on the study drawn afresh, by what was learned here.
    """
    scheme = HoldOut.CELL.value
    own = compare_routers(ds, hold_out=scheme, seed=seed)
    fresh = compare_routers(ds, fresh=load_fresh(), hold_out=scheme, seed=seed)
    threshold = own.dataset["threshold"].isel(population=0).sel(budget=EQUAL_PASSES)
    return {
        "budget": own.settings["budget"],
        "observed": own.settings["observed"],
        "draws": own.settings["n_null"],
        "threshold": dict(
            zip(threshold["operator"].values.tolist(), threshold.values.tolist(), strict=True)
        ),
        "own": _gains(own),
        "fresh": {**_gains(fresh), "confirmed": fresh.confirmed},
    }


def _gains(found: RouterComparison) -> dict:
    """Return what rules gain over the best single operator in each population, in points."""
    rows = router_lifts(found, budget=EQUAL_PASSES)
    sizes = found.dataset["n"].to_series().to_dict()
    populations = {}
    for population, group in rows.groupby("population", sort=False):
        by_rule = group.set_index("router")
        first = by_rule.iloc[0]
        populations[population] = {
            "n": int(sizes[population]),
            "ceiling": [first[f"ceiling_{end}points"] for end in ("", "low_", "high_")],
            "rules": {
                name: {
                    "gain": [row["lift_points"], *(row[f"{end}_points"] for end in GAIN_ENDS)],
                    "null": [row["null_points"], row["null_sd_points"]],
                    "p": row["p"],
                }
                for name, row in by_rule.iterrows()
            },
        }
    return {"populations": populations}


def _ablations(ds: xr.Dataset, seed: int) -> dict:
    """Say which conclusions about routing move when one choice is changed.

    They are those of the headline's population.
    """
    rows = ablation_moves(ablate(ds, seed=seed)).set_index("conclusion")
    return {
        name: {
            "population": row["population"],
            "n": row["n"],
            "reference": [row[each] for each in _ENDS],
            "checkpoints": [row[f"{end}_checkpoints_points"] for end in ("low", "high")],
            "tried": row["tried"],
            "moved": row["moved"],
            "how": {each: row[each] for each in _HOW},
        }
        for name, row in rows.to_dict("index").items()
    }


SECTIONS: dict[str, Callable[[xr.Dataset, int], dict]] = {
    "reliability": _reliability,
    "remapping": _remapping,
    "calculator": _calculator,
    "routers": _routers,
    "ablations": _ablations,
}
