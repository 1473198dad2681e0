"""A few failed rollouts of the bundled study, as a server is sent them."""

import numpy as np

import recover_nb as rnb
from recover_nb.core.labels import Signal
from recover_nb.core.schema import TOKEN
from recover_nb.generation.traces import trace_text

FAMILY, METHOD = "qwen3", "grpo"


def few_problems():
    """Return three bundled problems with three to five failed rollouts each, without signals."""
    with rnb.load_study() as ds:
        chosen = (ds["family"] == FAMILY) & (ds["method"] == METHOD)
        few = np.flatnonzero(chosen & ds["n_failed_rollouts"].isin([3, 4, 5]))
        # The three with the longest traces.
        length = ds["n_tokens"].isel(problem=few, intervention=0).mean("rollout").values
        signals = [name.value for name in Signal]
        longest = np.sort(few[np.argsort(-length, kind="stable")[:3]])
        return ds.isel(problem=longest).load().drop_vars([*signals, "has_signals", "junction"])


def as_text(ds, pair):
    """Return a study that knows its rollouts as text alone."""
    texts = np.full(ds["correct"].shape, "", dtype=object)
    for place in np.ndindex(texts.shape):
        texts[place] = trace_text(
            pair, ds["token_id"].values[place][: int(ds["n_tokens"].values[place])]
        )
    traced = [name for name, each in ds.data_vars.items() if TOKEN in each.dims]
    return ds.drop_vars([*traced, "n_tokens", "fired_at"]).assign(
        generated_text=(ds["correct"].dims, texts)
    )
