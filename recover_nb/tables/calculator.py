"""Tables about tools: what a calculator rescues, by regime and task (docs/method.md#calculator)."""

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import ALL, Intervention, Regime
from recover_nb.core.schema import text
from recover_nb.routing.remapping import ANY, align
from recover_nb.stats.resampling import Resamples, bootstrap_ratio, bootstrap_weights
from recover_nb.tables.kit import per_rollout

#: What problems may be grouped by.
GROUPINGS = ("task", "method", "family", "level")
CALCULATOR, RETRY = Intervention.CALCULATOR.value, Intervention.RETRY.value


@takes_study()
def calculator_by_regime(
    ds: xr.Dataset,
    labels: xr.Dataset | None = None,
    *,
    by: str = "task",
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return rescue rates with a calculator beside those of plain retrying, by regime and task.

    Another grouping may stand in place of the task.

    Parameters
    ----------
    ds : Dataset
        A study with intervention ``calculator``.
    labels : Dataset, optional
        A study of the same problems drawn again, such as the second of `recover_nb.load_remapped`:
        regimes are read there, and only problems that failed in both count. The study's own regimes
        are read off the retries that the calculator is then compared with: a problem is called
        steerable_hard because its retries went badly.
    by : str
        ``"task"``, ``"method"``, ``"family"`` or ``"level"``.
    n_bootstrap, seed : int
        Resamples of the questions asked, and their seed.

    Returns
    -------
    DataFrame
        One row a group (``all`` first) and regime (``any regime`` last): ``group``, ``regime``,
        ``problems``; ``retry_rate``; ``calculator_rate`` with ``low`` and ``high``; the paired
        difference ``lift_points`` with ``lift_low_points`` and ``lift_high_points``; ``rescued``,
        the share of problems with a correct attempt among those with the calculator, and
        ``retried``, the same share of the retries; ``acted``, the share of attempts in which the
        tool wrote something (NaN where that is not stored). Intervals are 95 %, percentile.

    Raises
    ------
    InputError
        If the study has no calculator or no retry, no regimes, or shares no problem with `labels`;
        for another `by`.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> frame = rnb.tables.calculator_by_regime(rnb.load_study(), n_bootstrap=10)
    >>> frame.query("group == 'all'").set_index("regime")["problems"].to_dict()
    {'steerable_hard': 206, 'beyond_reach': 265, 'resample': 719, 'any regime': 1190}
    """
    _need_calculator(ds)
    if by not in GROUPINGS or by not in ds:
        known = ", ".join(name for name in GROUPINGS if name in ds)
        raise InputError(f"by={by!r}; allowed: {known}")
    regime = text(ds["regime"])
    if labels is not None:
        ds, labels = align(ds, labels)
        regime = text(labels["regime"])
    rates = ds["rescue_rate"].sel(intervention=[RETRY, CALCULATOR]).transpose("problem", ...).values
    failed = (regime != "") & ~np.isnan(rates).any(axis=1)
    task, question = text(ds["task"]), text(ds["problem_id"])
    drawn = bootstrap_weights(question, task, n_bootstrap, np.random.default_rng(seed))
    acted = _acted(ds)
    member = text(ds[by])
    groups = sorted(set(member.tolist())) if by == "level" else dict.fromkeys(member.tolist())
    rows = []
    for group in (ALL, *groups):
        for name in (*Regime, ANY):
            inside = (
                failed & ((member == group) | (group == ALL)) & ((regime == name) | (name == ANY))
            )
            found = _one(rates[inside], acted[inside], drawn.subset(inside))
            rows.append(
                {"group": group, "regime": str(name), "problems": int(inside.sum()), **found}
            )
    return pd.DataFrame(rows)


def _need_calculator(ds: xr.Dataset) -> None:
    missing = [name for name in (RETRY, CALCULATOR) if name not in text(ds["intervention"])]
    if missing or "regime" not in ds:
        raise InputError(
            f"the study has no {', '.join(missing) or 'regimes'}; run it with --intervention"
            " calculator and the four routed interventions"
        )


def _acted(ds: xr.Dataset) -> np.ndarray:
    """Return the share of each problem's attempts in which the tool wrote something.

    It is NaN where that is not stored.
    """
    if "fired_at" not in ds or "n_tokens" not in ds:
        return np.full(ds.sizes["problem"], np.nan)
    fired, length = (per_rollout(ds, name, CALCULATOR) for name in ("fired_at", "n_tokens"))
    run = length > 0
    return np.where(run.any(1), ((fired >= 0) & run).sum(1) / np.maximum(run.sum(1), 1), np.nan)


def _one(rates: np.ndarray, acted: np.ndarray, drawn: Resamples) -> dict[str, float]:
    """Figures of one row; rates are (problem, retry and calculator)."""
    if not len(rates):
        names = (
            "retry_rate",
            "calculator_rate",
            "low",
            "high",
            "lift_points",
            "lift_low_points",
            "lift_high_points",
        )
        return dict.fromkeys((*names, "rescued", "retried", "acted"), np.nan)
    lift = rates[:, 1] - rates[:, 0]
    columns = np.stack([rates[:, 0], rates[:, 1], 100 * lift], axis=1)
    found = bootstrap_ratio(columns, np.ones_like(columns), drawn)
    return {
        "retry_rate": found.value[0],
        "calculator_rate": found.value[1],
        "low": found.percentile[0, 1],
        "high": found.percentile[1, 1],
        "lift_points": found.value[2],
        "lift_low_points": found.percentile[0, 2],
        "lift_high_points": found.percentile[1, 2],
        "rescued": (rates[:, 1] > 0).mean(),
        "retried": (rates[:, 0] > 0).mean(),
        "acted": acted.mean(),
    }
