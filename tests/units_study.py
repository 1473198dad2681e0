"""A study that is nothing but units with features and labels."""

import numpy as np
import xarray as xr

THREE = ("spread", "concentration", "logit_dispersion")


def units_study(features, *, names=THREE, **labels):
    """Return a study of units with these features (n, feature) and labels, the rest constant."""
    n = len(features)
    coords = {"family": "qwen3", "method": "sft", "task": "arithmetic", "split": "test"} | labels
    coords = {"problem_id": [f"p{i}" for i in range(n)]} | coords
    regime = coords.pop("regime", "resample")
    coords = {
        name: ("problem", np.broadcast_to(np.array(x), (n,)).astype(object))
        for name, x in coords.items()
    }
    ds = xr.Dataset(
        {"features": (("problem", "feature"), np.asarray(features, float))},
        {**coords, "feature": list(names)},
    )
    ds["regime"] = ("problem", np.broadcast_to(np.array(regime), (n,)).astype(object))
    return ds
