"""What follows from the attempts: rates, regimes and routes, over a whole study. Needs no torch."""

import numpy as np
import xarray as xr

from recover_nb.core.labels import ROUTED_INTERVENTIONS
from recover_nb.core.schema import DERIVED, VARIABLES, cell_names
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy, route
from recover_nb.routing.rescue import classify_regimes, rescue_rate


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


def counted(ds: xr.Dataset) -> xr.Dataset:
    """Return a study with what is counted from outcomes; anew where it was dropped."""
    dropped = {"rescue_rate", "attempts"} - set(ds.data_vars)
    if not dropped or "correct" not in ds or "features" not in ds:
        return ds
    return derive(ds)
