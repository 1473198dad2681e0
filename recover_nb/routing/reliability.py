"""How reliable a route is: whether other failed rollouts of the problem give the same one."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.schema import cell_names
from recover_nb.features.features import failed_rollout_features
from recover_nb.features.reliability import (
    DEFAULT_SIZES,
    LEVEL,
    halves_of_rollouts,
    question_weights,
)
from recover_nb.routing.policy import POLICY, PUBLISHED, RoutingPolicy, route
from recover_nb.stats.agreement import beyond_chance
from recover_nb.stats.resampling import value_and_interval


@takes_study()
@checks.takes(
    sizes=checks.SIZES,
    policy=POLICY,
    least=checks.DRAWS,
    n_splits=checks.COUNT,
    n_bootstrap=checks.COUNT,
    seed=checks.SEED,
)
def route_reliability(
    ds: xr.Dataset,
    sizes: Sequence[int] = DEFAULT_SIZES,
    *,
    policy: RoutingPolicy = PUBLISHED,
    least: int = 0,
    n_splits: int = 20,
    n_bootstrap: int = 300,
    seed: int = 0,
) -> xr.Dataset:
    """Measure how often two halves of a problem's failed rollouts give the same route.

    Parameters
    ----------
    ds, sizes, least, n_splits, n_bootstrap, seed
        As for `needed_rollouts`.
    policy : RoutingPolicy
        The rule; each half is standardised by itself, within each cell.

    Returns
    -------
    Dataset
        Dimension `size`; each with `_low` and `_high`, its 95 % interval over questions:

        - `agreement`: share of problems that both halves send the same way;
        - `chance`: the same share when a problem's second half is another problem's of its cell;
        - `kappa`: (agreement - chance) / (1 - chance): 1 = always the same, 0 = as chance has it.

        `n_problems` (size) counts problems of cells with at least two.

    Raises
    ------
    InputError
        If the study has neither features of rollouts nor signals, or a number is not allowed.

    Notes
    -----
    Source: docs/method.md#route-reliability and docs/method.md#7-routing-rule.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> ds = rnb.load_study().isel(problem=slice(0, 100))
    >>> rnb.route_reliability(ds, (1, 5), n_bootstrap=10)["agreement"].values.round(2).tolist()
    [0.8, 0.83]
    """
    values, usable = failed_rollout_features(ds)
    cells = cell_names(ds)
    names = ("agreement", "chance", "kappa")
    found = np.full((3, len(names), len(sizes)), np.nan)
    counted = np.zeros(len(sizes), dtype=np.int32)
    for j, size in enumerate(sizes):
        rows = usable.sum(axis=1) >= max(2 * size, least)
        _, place, count = np.unique(cells[rows], return_inverse=True, return_counts=True)
        rows[np.flatnonzero(rows)[count[place] < 2]] = False
        counted[j] = rows.sum()
        if counted[j] < 3:
            continue
        weights = question_weights(ds, rows, n_bootstrap, seed)
        draws = np.zeros((len(names), len(weights)))
        for halves in halves_of_rollouts(values[rows], usable[rows], size, n_splits, seed):
            first, second = (route(half, cells[rows], policy) for half in halves)
            draws += np.stack(beyond_chance(first, second, cells[rows], weights))
        found[:, :, j] = value_and_interval((draws / n_splits).T, LEVEL)
    variables = {
        name + end: ("size", found[k, i])
        for i, name in enumerate(names)
        for k, end in enumerate(("", "_low", "_high"))
    }
    return xr.Dataset({**variables, "n_problems": ("size", counted)}, {"size": list(sizes)})
