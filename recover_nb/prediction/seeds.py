"""Is a fingerprint that of the method, or of one checkpoint? Seeds of post-training tell.

docs/method.md#seeds.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Regime
from recover_nb.core.schema import failed_units, text
from recover_nb.prediction.targets import select_units
from recover_nb.stats.classification import predict_out_of_fold
from recover_nb.stats.resampling import bootstrap_ratio, bootstrap_weights
from recover_nb.stats.ties import first_largest

_RETRY = Intervention.RETRY.value


@takes_study("studies")
def seed_spread(studies: Mapping[int, xr.Dataset]) -> pd.DataFrame:
    """Say how far checkpoints of one method differ when only their seed does.

    Parameters
    ----------
    studies : mapping of int to Dataset
        The same problems put to checkpoints of each seed of post-training.

    Returns
    -------
    DataFrame
        One row a method and seed: ``method``, ``seed``, ``problems``, ``failed`` (share of them),
        the share of each regime among those, and ``retry``: its mean rescue rate.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> studies = {seed: rnb.make_study(n_problems=20, seed=seed) for seed in (0, 1)}
    >>> rnb.seed_spread(studies)["seed"].tolist()[:2]
    [0, 1]
    """
    rows = []
    methods = dict.fromkeys(name for ds in studies.values() for name in text(ds["method"]).tolist())
    for method in methods:
        for seed, ds in studies.items():
            mine = ds.isel(problem=text(ds["method"]) == method)
            failed = failed_units(mine)
            regime = text(mine["regime"])[failed]
            row = {"method": method, "seed": seed, "problems": len(failed)}
            row["failed"] = float(failed.mean()) if len(failed) else np.nan
            for each in Regime:
                row[each.value] = float((regime == each.value).mean()) if len(regime) else np.nan
            rates = mine["rescue_rate"].sel(intervention=_RETRY).values[failed]
            rows.append(row | {"retry": float(np.mean(rates)) if len(rates) else np.nan})
    return pd.DataFrame(rows)


@takes_study("studies")
@checks.takes(n_bootstrap=checks.COUNT, seed=checks.SEED)
def fingerprint_across_seeds(
    studies: Mapping[int, xr.Dataset], *, n_bootstrap: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Predict the method of a failed problem from checkpoints of other seeds.

    docs/method.md#seeds. Each seed's problems are predicted from the features of all other seeds'
    problems: a fingerprint of the method carries over, one of a checkpoint does not.

    Parameters
    ----------
    studies : mapping of int to Dataset
        Two seeds of post-training or more, of one family.
    n_bootstrap, seed : int
        Resamples of the questions within tasks, and their seed.

    Returns
    -------
    DataFrame
        One row per task, then ``all``: ``task``, ``units``, ``accuracy`` with its 95 % interval
        ``low``, ``high``, ``majority`` (always saying the commonest method), ``lead_points`` over
        it with ``lead_low_points``, ``lead_high_points``.

    Raises
    ------
    InputError
        Fewer than two seeds.

    Examples
    --------
    Simulated seeds: the features know nothing of the method.

    >>> import recover_nb as rnb
    >>> studies = {seed: rnb.make_study(n_problems=40, seed=seed) for seed in (0, 1)}
    >>> rnb.fingerprint_across_seeds(studies, n_bootstrap=20)["task"].tolist()[-1]
    'all'
    """
    if len(studies) < 2:
        raise InputError(f"{len(studies)} seed tells nothing of others; give two or more")
    units = [select_units(ds, target="method") for ds in studies.values()]
    label, group, task = (
        np.concatenate([getattr(each, name) for each in units])
        for name in ("label", "group", "task")
    )
    x = np.concatenate([each.x for each in units])
    fold = np.repeat(np.arange(len(units)), [len(each.rows) for each in units])
    classes, code = np.unique(label, return_inverse=True)
    hit = np.zeros(len(code))
    for name in np.unique(task):
        mine = task == name
        probability, _ = predict_out_of_fold(x[mine], code[mine], fold[mine], len(classes))
        hit[mine] = first_largest(probability) == code[mine]
    resamples = bootstrap_weights(group, task, n_bootstrap, np.random.default_rng(seed))
    rows = []
    for name in [*np.unique(task), "all"]:
        mine = np.ones(len(task), bool) if name == "all" else task == name
        commonest = np.zeros(len(code))
        for each in np.unique(task[mine]):
            here = task == each
            commonest[here] = code[here] == np.bincount(code[here]).argmax()
        values = np.stack([hit, hit - commonest, commonest], 1)[mine]
        found = bootstrap_ratio(
            values, np.ones_like(values), resamples.subset(np.flatnonzero(mine))
        )
        low, high = found.percentile
        rows.append(
            {
                "task": str(name),
                "units": int(mine.sum()),
                "accuracy": found.value[0],
                "low": low[0],
                "high": high[0],
                "majority": found.value[2],
                "lead_points": 100 * found.value[1],
                "lead_low_points": 100 * low[1],
                "lead_high_points": 100 * high[1],
            }
        )
    return pd.DataFrame(rows)
