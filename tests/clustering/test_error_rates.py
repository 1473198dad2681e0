"""A check that can fail: how often clustering claims that simulated data have clusters.

Where there are none, a claim for a whole family of clusterings is wrong in at most 5 % of data
sets; planted blobs are found. Jaccard alone, without nulls, calls almost everything a cluster.
"""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom

from recover_nb.clustering import claim_rates, glance
from recover_nb.clustering.error_rates import make_points
from recover_nb.clustering.result import STABLE
from recover_nb.core.labels import Feature

N_SETS = 60
CHEAP = {"n": 45, "ks": (2, 3), "n_resamples": 8, "n_null": 19}


def most(rate, n=N_SETS):
    """Most of `n` that a binomial of this rate reaches, but for one time in a thousand."""
    return binom.ppf(0.999, n, rate)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gaussian", "box"])
def test_data_without_clusters_are_seldom_claimed(kind):
    frame = claim_rates(kind, n_sets=N_SETS, **CHEAP)
    family, alone = (
        frame.groupby("set")[name].any().sum() for name in ("family_claimed", "claimed")
    )
    each = frame.groupby("k")["claimed"].sum()
    print(f"{kind}: family {family}, any alone {alone}, each {each.tolist()} of {N_SETS}")
    assert family <= most(0.05)
    assert (frame.groupby("set")["p_family"].min() <= 0.05 + 1e-9).sum() <= most(0.1)
    assert (each <= most(0.05)).all()


@pytest.mark.slow
def test_planted_blobs_are_found():
    """Three blobs of 15 problems, 6 sd apart."""
    frame = claim_rates("blobs", n_sets=20, separation=6.0, **CHEAP)
    right = frame[frame["k"] == 3]
    print(
        f"blobs: alone {right['claimed'].mean():.2f}, family {right['family_claimed'].mean():.2f}"
    )
    assert right["claimed"].mean() >= 0.8 and right["family_claimed"].mean() >= 0.6


def test_jaccard_alone_would_claim_a_cloud():
    """By Hennig's threshold without nulls, a Gaussian cut in two mostly has 2 stable clusters."""
    stable = []
    for seed in range(20):
        points = make_points("gaussian", 200, np.random.default_rng(seed))
        names = [each.value for each in Feature]
        ds = xr.Dataset({"features": (("problem", "feature"), points)}, coords={"feature": names})
        stable.append((glance(ds, k=2, n_resamples=10, seed=seed).jaccard >= STABLE).all())
    print(f"stable by Jaccard alone: {np.mean(stable):.2f}")
    assert np.mean(stable) >= 0.6
