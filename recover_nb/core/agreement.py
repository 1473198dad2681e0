"""Whether figures that a study stores still agree with the outcomes they were counted from.

Rates, attempts, regimes and features are of the outcomes that were there when they were computed. A
study whose outcomes were regraded, masked or left out afterwards would mix the old with the new, so
it is refused: what is dropped is counted anew where it is needed, what is kept must agree.
"""

import numpy as np
import xarray as xr

from recover_nb.core.labels import ROUTED_INTERVENTIONS, Intervention, Regime
from recover_nb.core.regimes import regimes_from_rates
from recover_nb.core.schema import (
    INTERVENTION,
    PROBLEM,
    ROLLOUT,
    SchemaError,
    failed_rollouts,
    text,
)

#: What is counted from outcomes, and what rests on that.
COUNTED = ("rescue_rate", "attempts", "n_failed_rollouts", "regime", "route")
_SLACK = 1e-6
_ANEW = (
    "they were changed after it was computed; have it computed anew with ds.drop_vars({}), and"
    " where failed rollouts changed also ds.assign(features=rnb.compute_features(ds))"
)


def check_agreement(ds: xr.Dataset) -> None:
    """Raise a `SchemaError` where a stored figure is not that of the outcomes beside it."""
    if "correct" not in ds or INTERVENTION not in ds.coords:
        return
    order = (PROBLEM, ROLLOUT, INTERVENTION)
    if set(ds["correct"].dims) != set(order):
        return
    correct = ds["correct"].transpose(*order).values
    run = (correct >= 0).sum(axis=1)
    right = (correct == 1).sum(axis=1)
    if "attempts" in ds:
        _compare(ds, "attempts", ds["attempts"].transpose(PROBLEM, INTERVENTION).values, run)
    rate = np.divide(right, run, out=np.full(run.shape, np.nan), where=run > 0)
    if "rescue_rate" in ds:
        stored = ds["rescue_rate"].transpose(PROBLEM, INTERVENTION).values
        _compare(ds, "rescue_rate", stored, rate)
    if "regime" in ds:
        _check_regimes(ds, rate)
    if "n_failed_rollouts" in ds and Intervention.NONE in text(ds[INTERVENTION]):
        failed = failed_rollouts(ds).sum(axis=1)
        _compare(ds, "n_failed_rollouts", ds["n_failed_rollouts"].values, failed)


def _check_regimes(ds: xr.Dataset, rate: np.ndarray) -> None:
    """Check regimes where all interventions that they are over are there."""
    names, used = text(ds[INTERVENTION]).tolist(), (Intervention.RETRY, *ROUTED_INTERVENTIONS)
    if set(used) - set(names):
        return
    rate = rate[:, [names.index(name) for name in used]]
    stored, found = text(ds["regime"]), regimes_from_rates(rate[:, 0], rate[:, 1:])
    # An import leaves a problem that never failed without one, whatever was tried on it.
    same = (stored == "") | (stored == found)
    if not same.all() and not _are_of_some_edges(stored, rate):
        place = int(np.argmin(same))
        raise SchemaError(
            f"variable 'regime' is {stored[place]!r} at problem {place}, and the outcomes in"
            f" 'correct' give {str(found[place])!r}: {_ANEW.format(_old(ds))}"
        )


def _are_of_some_edges(stored: np.ndarray, rate: np.ndarray) -> bool:
    """Whether there are edges, other than the published ones, that give these regimes."""
    known = (stored != "") & ~np.isnan(rate).any(axis=1)
    stored, rate = stored[known], rate[known]
    gain, failure = rate[:, 1:].max(axis=1) - rate[:, 0], 1.0 - rate[:, 0]
    hard = stored == Regime.STEERABLE_HARD.value
    edges = {"min_gain": 2.0}  # More than a rate can gain: none is hard.
    if hard.any():
        # The narrowest ones: were wider ones right, these would be, too.
        edges = {"min_gain": gain[hard].min(), "min_failure": failure[hard].min()}
    return bool((regimes_from_rates(rate[:, 0], rate[:, 1:], **edges) == stored).all())


def _old(ds: xr.Dataset) -> list[str]:
    return [each for each in COUNTED if each in ds]


def _compare(ds: xr.Dataset, name: str, stored: np.ndarray, found: np.ndarray) -> None:
    # What is blank is left out, and contradicts nothing.
    same = (np.abs(stored - found) <= _SLACK) | np.isnan(stored)
    if same.all():
        return
    place = tuple(int(each) for each in np.unravel_index(int(np.argmin(same)), same.shape))
    where = f"problem {place[0]}"
    if len(place) > 1:
        where += f", {text(ds[INTERVENTION])[place[1]]}"
    raise SchemaError(
        f"variable {name!r} is {stored[place]:.4g} at {where}, and the outcomes in 'correct' give"
        f" {found[place]:.4g}: {_ANEW.format(_old(ds))}"
    )
