"""The training-free routing rule: z-score the features, take the operator of the largest.

See docs/method.md#7-routing-rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from recover_nb.core import checks
from recover_nb.core.arrays import floats
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Feature, Intervention
from recover_nb.stats.scaling import standardise

_PUBLISHED_OPERATORS = MappingProxyType(
    {
        Feature.SPREAD.value: Intervention.DENSE_STEER.value,
        Feature.CONCENTRATION.value: Intervention.SPARSE_STEER.value,
        Feature.LOGIT_DISPERSION.value: Intervention.LOCAL_TEMPERATURE.value,
    }
)


def _operators(value: Any) -> Any:
    if not isinstance(value, Mapping) or not value:
        raise checks.Wrong
    for each in (*value, *value.values()):
        if not isinstance(each, str):
            raise checks.Wrong(f"{checks.shown(each)} is no text")
    return value


_OPERATORS = checks.Kind("a dict of at least one feature and its intervention", _operators)


@dataclass(frozen=True)
class RoutingPolicy:
    """Which feature calls for which intervention.

    Parameters
    ----------
    operators : mapping of str to str
        Feature name to intervention name. The order breaks ties: the first of equal z-scores wins.
    fallback : str
        The intervention of a problem whose largest z-score is not above 0.

    Raises
    ------
    InputError
        If no feature is given.

    Notes
    -----
    docs/method.md#7-routing-rule. The default is the published policy, `PUBLISHED`.

    Examples
    --------
    A rule with two features; a problem that stands out in neither goes to the fallback.

    >>> import recover_nb as rnb
    >>> policy = rnb.RoutingPolicy({"spread": "sparse_steer", "concentration": "dense_steer"})
    >>> policy.interventions
    ('sparse_steer', 'dense_steer', 'sparse_steer_random')
    >>> rnb.route([[2.0, 0.1], [0.1, 2.0], [0.0, 0.0]], policy=policy).tolist()
    ['sparse_steer', 'dense_steer', 'sparse_steer_random']
    >>> rnb.PUBLISHED.operators["spread"]
    'dense_steer'
    """

    operators: Mapping[str, str] = field(default_factory=lambda: _PUBLISHED_OPERATORS)
    fallback: str = Intervention.SPARSE_STEER_RANDOM.value

    def __post_init__(self) -> None:
        """Refuse an empty policy, and freeze the mapping."""
        checks.settle(self, operators=_OPERATORS, fallback=checks.TEXT)
        plain = {str(key): str(value) for key, value in self.operators.items()}
        object.__setattr__(self, "operators", MappingProxyType(plain))
        object.__setattr__(self, "fallback", str(self.fallback))

    @property
    def features(self) -> tuple[str, ...]:
        """Feature names, in the order that breaks ties."""
        return tuple(self.operators)

    @property
    def interventions(self) -> tuple[str, ...]:
        """Every intervention the policy can choose, without repeats, the fallback last."""
        return tuple(dict.fromkeys([*self.operators.values(), self.fallback]))

    def to_dict(self) -> dict:
        """Return the policy as plain data, for provenance and reports."""
        return {"operators": dict(self.operators), "fallback": self.fallback}


#: The published policy: spread to dense_steer, concentration to sparse_steer, logit_dispersion to
#: local_temperature.
PUBLISHED = RoutingPolicy()


#: The policy that a function asks for.
POLICY = checks.instance(
    RoutingPolicy, "a routing policy", "write it as rnb.RoutingPolicy({feature: intervention})"
)


def route_codes(
    features: np.ndarray,
    cells: np.ndarray,
    *,
    population: np.ndarray | None = None,
) -> np.ndarray:
    """Index of the largest z-score within each cell.

    Parameters
    ----------
    features : float array, shape (problem, feature)
        Columns in the order of the policy's features.
    cells : array, shape (problem,)
        Label of the cell each problem belongs to; z-scores never cross cells.
    population : bool array, shape (..., problem), optional
        Problems whose mean and sd are used; every problem of the cell by default. A cell without
        any is standardised by all its problems.

    Returns
    -------
    int8 array, shape (..., problem)
        Column of the largest z-score (first of equals); the number of features where no z-score is
        above 0 (the fallback); -1 where a feature is NaN.
    """
    features = np.asarray(features, dtype=float)
    cells = np.asarray(cells)
    shape = cells.shape if population is None else population.shape
    codes = np.empty(shape, dtype=np.int8)
    for cell in np.unique(cells):
        rows = np.flatnonzero(cells == cell)
        chosen = None
        if population is not None:
            chosen = population[..., rows]
            chosen = chosen | ~chosen.any(axis=-1, keepdims=True)
        z = standardise(features[rows], population=chosen)
        best = z.max(axis=-1)
        code = np.where(np.isnan(best), -1, features.shape[1])
        for column in reversed(range(features.shape[1])):
            code[(z[..., column] == best) & (best > 0)] = column
        codes[..., rows] = code
    return codes


@checks.takes(features=checks.ARRAY, policy=POLICY)
def route(
    features: xr.DataArray | ArrayLike,
    cells: ArrayLike | None = None,
    policy: RoutingPolicy = PUBLISHED,
    *,
    population: ArrayLike | None = None,
) -> xr.DataArray | np.ndarray:
    """Choose an intervention for each problem from its features alone.

    Parameters
    ----------
    features : DataArray (problem, feature) or float array, shape (problem, feature)
        A DataArray names its features; a plain array has them in the order of ``policy.features``.
    cells : array of labels, shape (problem,), optional
        z-scores are taken within a cell. One cell by default.
    policy : RoutingPolicy
        The rule; `PUBLISHED` by default.
    population : bool array, shape (problem,), optional
        The population being routed, whose mean and sd standardise: every problem by default. The
        published figures route the steerable_hard problems of each cell, so they need ``regime ==
        "steerable_hard"`` here. Problems outside it are routed too, on that same scale.

    Returns
    -------
    DataArray (problem) or array of str
        Intervention names; "" where a feature is NaN.

    Raises
    ------
    InputError
        If a feature of the policy is missing, or shapes disagree.

    See Also
    --------
    evaluate_routing : What a rule is worth.
    classify_regimes : Which problems need steering at all.
    compare_routers : Rules that learn, and others that do not.

    Notes
    -----
    docs/method.md#7-routing-rule: training-free and prospective (no rescue rate is used).

    References
    ----------
    .. [1] arXiv 2606.05145, which publishes the rule.

    Examples
    --------
    The feature in which a problem stands out most, by its z-score, chooses.

    >>> import recover_nb as rnb
    >>> features = [[3, 0, 0], [0, 3, 0], [0, 0, 3], [0, 0, 0]]  # spread, concentration, dispersion
    >>> rnb.route(features).tolist()
    ['dense_steer', 'sparse_steer', 'local_temperature', 'sparse_steer_random']
    """
    labelled = isinstance(features, xr.DataArray)
    values = floats(_columns(features, policy) if labelled else features, "features")
    if np.isinf(values).any():
        raise InputError("features hold an infinite value; allowed: finite numbers, or NaN")
    n_features = len(policy.features)
    if values.ndim != 2 or values.shape[1] != n_features:
        raise InputError(
            f"features have shape {values.shape}; the policy needs (problem, {n_features}): "
            + ", ".join(policy.features)
        )
    groups = np.zeros(len(values), dtype=int) if cells is None else np.asarray(cells)
    chosen = None if population is None else np.asarray(population, dtype=bool)
    for name, array in (("cells", groups), ("population", chosen)):
        if array is not None and array.shape != (len(values),):
            raise InputError(
                f"{name} has shape {array.shape}; it must be one for each of {len(values)} problems"
            )
    names = np.array([*policy.operators.values(), policy.fallback, ""])
    routes = names[route_codes(values, groups, population=chosen)]
    if not labelled:
        return routes
    (dim,) = (d for d in features.dims if d != "feature")
    return xr.DataArray(routes, dims=[dim], coords=features[dim].coords, name="route")


def _columns(features: xr.DataArray, policy: RoutingPolicy) -> np.ndarray:
    """Return the policy's columns of a (problem, feature) DataArray, in the policy's order."""
    if "feature" not in features.dims or features.ndim != 2:
        raise InputError(
            f"features have dims {tuple(map(str, features.dims))}; they must be (problem, feature)"
        )
    present = (
        [str(name) for name in features["feature"].values] if "feature" in features.coords else []
    )
    missing = [name for name in policy.features if name not in present]
    if missing:
        raise InputError(f"no feature {', '.join(missing)}; the data hold {', '.join(present)}")
    return features.sel(feature=list(policy.features)).transpose(..., "feature").to_numpy()
