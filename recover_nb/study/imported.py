"""What an imported study lacks and the two models can tell: signals, junctions, features, routes.

Needs torch.
"""

import numpy as np
import xarray as xr

from recover_nb.decoding import Pair, Settings
from recover_nb.derive import derive
from recover_nb.errors import InputError
from recover_nb.features import DEFAULT_WINDOW, junction, problem_features, rollout_features
from recover_nb.labels import Intervention, Signal
from recover_nb.schema import TOKEN, validate
from recover_nb.study.recompute import compute_signals


def add_signals(
    ds: xr.Dataset, pair: Pair, *, settings: Settings | None = None, window: int = DEFAULT_WINDOW
) -> xr.Dataset:
    """Compute signals of a study's observed rollouts by both models, and what follows from them.

    Parameters
    ----------
    ds : Dataset
        With prompts and traces; an imported log that was given a tokenizer, for example.
    pair : Pair
        The models, from `load_pair`.
    settings : Settings, optional
        ``temperature``, ``top_k``, ``k_cov``: those of the study if it stores them, else the
        published ones.
    window : int
        Of the junction.

    Returns
    -------
    Dataset
        A new study with the six signals (problem, rollout, token), `has_signals`, `junction`,
        `features` and the routes that follow.

    Raises
    ------
    InputError
        No traces, or tokens that the models do not have.

    Notes
    -----
    method.md sections 2, 3 and 7.
    """
    if TOKEN not in ds.dims:
        raise InputError(
            "the study stores no traces, so there is nothing to score; import it with tokenizer=,"
            " or with token ids"
        )
    settings = settings or (None if "config_json" in ds.attrs else Settings())
    found = compute_signals(ds, pair, settings=settings)
    pressure, variance = (
        found[name.value].values for name in (Signal.DEMOTION_PRESSURE, Signal.LOGIT_VARIANCE)
    )
    observed = ds.sel(intervention=Intervention.NONE.value)
    length, failed = observed["n_tokens"].values, observed["correct"].values == 0
    values = rollout_features(pressure, variance, length, window=window)
    place = np.where(failed, junction(pressure, length), -1).astype(np.int32)
    ds = ds.assign(
        {
            **{name: found[name] for name in (*(each.value for each in Signal), "has_signals")},
            "junction": (("problem", "rollout"), place),
            "features": (("problem", "feature"), problem_features(values, failed)),
        }
    )
    return validate(derive(ds))
