"""Signals that a study does not store, computed again from its tokens and the checkpoints.

Needs torch.
"""

import json

import numpy as np
import xarray as xr

from recover_nb.core import checks
from recover_nb.core.door import takes_study
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Intervention, Signal
from recover_nb.core.schema import TOKEN, VARIABLES, failed_rollouts, text
from recover_nb.core.stored_json import json_part
from recover_nb.core.token_text import TOKEN_TEXT
from recover_nb.core.validation import validate
from recover_nb.features.features import (
    DEFAULT_WINDOW,
    junction,
    problem_features,
    rollout_features,
)
from recover_nb.generation.config import settings_of
from recover_nb.generation.decoding import Pair, Settings, score_traces
from recover_nb.generation.decoding.operators import OPERATOR
from recover_nb.generation.decoding.settings import SETTINGS
from recover_nb.generation.traces import token_texts
from recover_nb.routing.derive import derive


@takes_study()
@checks.takes(pair=checks.PAIR, intervention=OPERATOR, settings=SETTINGS)
def compute_signals(
    ds: xr.Dataset,
    pair: Pair,
    *,
    intervention: str = Intervention.NONE,
    settings: Settings | None = None,
) -> xr.Dataset:
    """Compute the signals of an intervention's traces by a pass of both models over their tokens.

    Parameters
    ----------
    ds : Dataset
        Problems of one family and method, with `prompt`, `token_id` and `n_tokens`. Choose others
        away first: ``ds.isel(problem=...)``.
    pair : Pair
        The models that made them, as `load_lineage` returns them.
    intervention : str
        Whose traces; the observed rollouts by default.
    settings : Settings, optional
        Those stored with the study unless given.

    Returns
    -------
    Dataset
        The six signals (problem, rollout, token) float32, 0 past the end, and `has_signals`
        (problem, rollout) int8. Equal to what the study stores up to its rounding.

    Raises
    ------
    InputError
        A variable or the intervention is missing, problems of several specialists, tokens the
        models do not have.
    """
    missing = [name for name in ("prompt", "token_id", "n_tokens") if name not in ds]
    if missing:
        raise InputError(
            f"the study has no variable {', '.join(missing)}; signals are computed from traces"
        )
    names = text(ds["intervention"]).tolist()
    if intervention not in names:
        raise InputError(
            f"the study has no intervention {str(intervention)!r}; it holds {', '.join(names)}"
        )
    made_by = sorted({*zip(text(ds["family"]).tolist(), text(ds["method"]).tolist(), strict=True)})
    if len(made_by) > 1:
        shown = ", ".join("|".join(each) for each in made_by)
        raise InputError(f"the problems are of several specialists ({shown}); choose those of one")
    chosen = ds[["prompt", "token_id", "n_tokens"]].isel(intervention=names.index(intervention))
    tokens = chosen["token_id"].transpose("problem", "rollout", "token").values
    length = chosen["n_tokens"].transpose("problem", "rollout").values
    prompts = text(chosen["prompt"]).tolist()
    signals = score_traces(pair, prompts, tokens, length, settings or _stored_settings(ds))
    dims = ("problem", "rollout", "token")
    blank = np.zeros(tokens.shape, np.float32)
    variables = {
        name.value: (
            dims,
            signals.get(name.value, blank),
            {"long_name": VARIABLES[name.value].meaning},
        )
        for name in Signal
    }
    variables["has_signals"] = (dims[:2], (length > 0).astype(np.int8))
    coords = {name: each for name, each in ds.coords.items() if each.dims == ("problem",)}
    return xr.Dataset(variables, coords, {"intervention": str(intervention)})


def _stored_settings(ds: xr.Dataset) -> Settings:
    stored = json_part(ds.attrs, "config_json", "settings")
    if not stored:
        raise InputError(
            "the study does not say with which settings it was made; pass settings=Settings(...)"
        )
    return settings_of(stored)


@takes_study()
@checks.takes(pair=checks.PAIR, settings=SETTINGS, window=checks.DRAWS)
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
    docs/method.md#2-signals, docs/method.md#3-features and docs/method.md#7-routing-rule.

    Examples
    --------
    A study without signals gets them, and the features that follow, from the models.

    >>> import recover_nb as rnb
    >>> pair = rnb.load_lineage("neox", "sft")
    >>> ds = rnb.load_study().sel(intervention=["none", "retry"])
    >>> ds = ds.isel(problem=(rnb.cell_names(ds) == "neox|sft|program").nonzero()[0][:3]).load()
    >>> bare = ds.drop_vars(["demotion_pressure", "logit_variance", "features", "junction"])
    >>> rnb.add_signals(bare, pair)["features"].notnull().all("feature").values.tolist()
    [True, True, False]
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
    length = ds["n_tokens"].sel(intervention=Intervention.NONE.value).values
    failed = failed_rollouts(ds)
    values = rollout_features(pressure, variance, length, window=window)
    place = np.where(failed, junction(pressure, length), -1).astype(np.int32)
    ds = ds.assign(
        {
            **{name: found[name] for name in (*(each.value for each in Signal), "has_signals")},
            "junction": (("problem", "rollout"), place),
            "features": (("problem", "feature"), problem_features(values, failed)),
        }
    )
    return validate(derive(_with_token_text(ds, pair)))


def _with_token_text(ds: xr.Dataset, pair: Pair) -> xr.Dataset:
    """Return a study that says what its tokens are, by the models' tokenizer if it did not."""
    if TOKEN_TEXT in ds.attrs:
        return ds
    texts = token_texts(pair, np.unique(ds["token_id"].values).tolist())
    pairs = zip(text(ds["family"]).tolist(), text(ds["method"]).tolist(), strict=True)
    units = {f"{family}|{method}": texts for family, method in pairs}
    return ds.assign_attrs({TOKEN_TEXT: json.dumps(units, ensure_ascii=False)}) if texts else ds
