"""What follows from the attempts: rates, regimes and routes, over a whole study. Needs no torch."""

import numpy as np
import xarray as xr

from recover_nb.labels import ROUTED_INTERVENTIONS, Feature, Intervention
from recover_nb.recoverability import classify_regimes, rescue_rate
from recover_nb.routing import PUBLISHED, RoutingPolicy, route
from recover_nb.schema import COORDS, MODELS, ROLE, VARIABLES, cell_names

#: Variables that need every problem of a cell, or every attempt; `derive` computes them.
DERIVED = ("rescue_rate", "attempts", "regime", "route")


def assemble(
    arrays: dict[str, np.ndarray], interventions: tuple[str, ...], attrs: dict | None = None
) -> xr.Dataset:
    """Put arrays named as in the schema into a Dataset, without the derived variables."""
    coords = {name: ("problem", arrays[name]) for name in COORDS}
    coords |= {
        "intervention": np.array(interventions, dtype=object),
        "feature": np.array([name.value for name in Feature], dtype=object),
    }
    if any(ROLE in VARIABLES[name].dims for name in arrays if name in VARIABLES):
        coords[ROLE] = np.array(MODELS, dtype=object)
    variables = {
        name: (VARIABLES[name].dims, values, {"long_name": VARIABLES[name].meaning})
        for name, values in arrays.items()
        if name not in COORDS
    }
    return xr.Dataset(variables, coords, attrs or {})


def derive(ds: xr.Dataset, *, policy: RoutingPolicy = PUBLISHED) -> xr.Dataset:
    """Add `rescue_rate`, `attempts`, `regime` and `route` to a study with `correct` and `features`.

    Parameters
    ----------
    ds : Dataset
    policy : RoutingPolicy
        The rule; features are standardised over the failed units of each cell, the population being
        routed.

    Returns
    -------
    Dataset
        A new one. Regimes are over the published interventions that were run; routes are empty
        where the policy may choose an intervention that was not.
    """
    ds = ds.assign(rescue_rate(ds["correct"]).data_vars)
    run = list(ds["intervention"].values)
    nothing = xr.DataArray(np.full(ds.sizes["problem"], "", dtype=object), dims="problem")
    routed = [name.value for name in ROUTED_INTERVENTIONS if name in run]
    regime = classify_regimes(ds["rescue_rate"], interventions=routed) if routed else nothing
    able = set(policy.interventions) <= set(run)
    decision = route(ds["features"], cell_names(ds), policy) if able else nothing
    text = {"regime": regime.values.astype(object), "route": decision.values.astype(object)}
    ds = ds.assign({name: ("problem", values) for name, values in text.items()})
    for name in DERIVED:
        ds[name].attrs = {"long_name": VARIABLES[name].meaning}
    return ds


def failed_units(ds: xr.Dataset) -> np.ndarray:
    """Return which problems failed at least once when observed, (problem,) bool."""
    if "n_failed_rollouts" in ds:
        return ds["n_failed_rollouts"].values > 0
    return (ds["correct"].sel(intervention=Intervention.NONE.value) == 0).any("rollout").values
