"""Seeds of post-training: a planted method carries over, a planted checkpoint does not."""

import numpy as np
import pytest
import xarray as xr

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.prediction.seeds import fingerprint_across_seeds, seed_spread

METHODS = ("sft", "grpo", "self_distill")


def study(seed, shift, n=60):
    """Return failed problems of three methods whose first feature is `shift(method)` plus noise."""
    rng = np.random.default_rng(seed)
    method = np.repeat(METHODS, n)
    features = rng.normal(size=(len(method), 3))
    features[:, 0] += [shift(METHODS.index(each)) for each in method]
    return xr.Dataset(
        {
            "features": (("problem", "feature"), features),
            "n_failed_rollouts": ("problem", np.ones(len(method), np.int32)),
            "regime": ("problem", np.tile(["resample", "resample", "beyond_reach"], n)),
            "rescue_rate": (("problem", "intervention"), np.full((len(method), 2), 0.25)),
        },
        {
            "family": ("problem", ["neox"] * len(method)),
            "method": ("problem", method),
            "task": ("problem", ["program"] * len(method)),
            "problem_id": ("problem", np.tile([f"p{i}" for i in range(n)], 3)),
            "feature": ["spread", "concentration", "logit_dispersion"],
            "intervention": ["none", "retry"],
        },
    )


def test_a_method_carries_over_to_other_seeds():
    found = fingerprint_across_seeds({s: study(s, lambda m: 4.0 * m) for s in range(3)})
    row = found.iloc[-1]
    assert (row["task"], row["units"]) == ("all", 540)
    assert row["majority"] == pytest.approx(1 / 3)
    assert row["accuracy"] > 0.9 and row["lead_low_points"] > 50
    assert row["lead_points"] == pytest.approx(100 * (row["accuracy"] - row["majority"]))
    assert row["low"] <= row["accuracy"] <= row["high"]


def test_a_checkpoint_does_not():
    # Each seed turns the methods round: what tells them apart in one misleads in the next.
    turned = {s: study(s, lambda m, s=s: 4.0 * ((m + s) % 3)) for s in range(3)}
    row = fingerprint_across_seeds(turned).iloc[-1]
    assert row["accuracy"] < 0.4 and row["lead_low_points"] < 5
    with pytest.raises(InputError, match="1 seed tells nothing of others"):
        fingerprint_across_seeds({0: turned[0]})


def test_spread_by_hand():
    frame = seed_spread({0: study(0, lambda m: 0), 2: study(1, lambda m: 0)})
    assert frame["method"].tolist() == [
        "sft",
        "sft",
        "grpo",
        "grpo",
        "self_distill",
        "self_distill",
    ]
    assert frame["seed"].tolist() == [0, 2] * 3
    first = frame.iloc[0]
    assert (first["problems"], first["failed"], first["retry"]) == (60, 1.0, 0.25)
    assert first["beyond_reach"] == pytest.approx(1 / 3) and first["steerable_hard"] == 0


def test_names_are_public():
    assert rnb.seed_spread is seed_spread
