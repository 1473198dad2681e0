"""Clusters and their stability: by hand, planted clusters found, none claimed where none are."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

import recover_nb as rnb
from recover_nb.clustering import (
    choose_k,
    cluster_stability,
    feature_space,
    glance,
    nulls,
    rollout_stability,
    stability_grid,
)
from recover_nb.clustering.algorithms import Clusterer, by_size, fit, silhouette
from recover_nb.clustering.error_rates import COVARIANCE, claim_rates, make_points
from recover_nb.clustering.nulls import box_null, family_p, gaussian_null, null_limit
from recover_nb.clustering.result import Judged
from recover_nb.clustering.stability import (
    FIGURES,
    cluster_jaccard,
    consensus,
    draw,
    mean_ari,
    pac,
    pairwise_ari,
)
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Algorithm, Feature, Structure
from recover_nb.stats.resampling import exceedance

NAMES = [each.value for each in Feature]
CENTRES = np.array([[0, 0, 0], [8, 8, 0], [0, 8, 8]])
#: Ward needs no restarts and no seed: the quickest.
QUICK = {"algorithm": "ward", "n_resamples": 8, "n_null": 19, "agreement": False}


def study(points, **coords):
    """Return what clustering needs of a study."""
    axes = {name: ("problem", values) for name, values in coords.items()}
    return xr.Dataset(
        {"features": (("problem", "feature"), points)}, coords={"feature": NAMES, **axes}
    )


def planted(size=20, seed=0):
    """Three blobs, far apart in every feature, and the truth."""
    truth = np.repeat(np.arange(3), size)
    return np.random.default_rng(seed).normal(size=(3 * size, 3)) + CENTRES[truth], truth


def cloud(n, rng):
    """One elongated Gaussian, on axes of its own."""
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return rng.normal(size=(n, 3)) * [3, 1, 0.5] @ turn


def box(n, rng):
    return rng.uniform(size=(n, 3)) * [3, 1, 0.5]


# Arrays, by hand


def test_jaccard_by_hand():
    """Six points in two clusters.

    The first resample lacks point 5 and moves point 2: intersection over union is 2/3 for {0, 1, 2}
    with {0, 1}, and 2/3 for {3, 4} with {2, 3, 4}. The second holds cluster 0 alone, exactly."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    resampled = np.array([[1, 1, 0, 0, 0, -2], [0, 0, 0, -2, -2, -2]])
    assert cluster_jaccard(labels, resampled[:1]) == pytest.approx([2 / 3, 2 / 3])
    assert cluster_jaccard(labels, resampled) == pytest.approx([(2 / 3 + 1) / 2, 2 / 3])


def test_noise_is_no_cluster():
    labels = np.array([0, 0, 1, 1, -1])
    assert cluster_jaccard(labels, np.full((3, 5), -1)).tolist() == [0, 0]
    assert cluster_jaccard(labels, np.array([[0, 0, -1, -1, -1]])).tolist() == [1, 0]
    assert len(cluster_jaccard(np.full(5, -1), np.zeros((2, 5), int))) == 0


def test_a_cluster_never_drawn_has_no_stability():
    assert cluster_jaccard(np.array([0, 0, 1]), np.array([[0, 0, -2]])).tolist() == [1, 0]


def test_consensus_and_pac_by_hand():
    """Four points, three resamples.

    Points 0 and 1: together in 1 of the 2 that drew both; 0 and 2: never; 0 and 3:
    1 of 1; 1 and 2: 1 of 2; 1 and 3: drawn together once, apart; 2 and 3: never drawn together."""
    resampled = np.array([[0, 0, 1, -2], [0, 1, 1, -2], [0, 1, -2, 0]])
    found = consensus(resampled)
    upper = found[np.triu_indices(4, 1)]
    assert upper[:5].tolist() == [1 / 3, 0, 1, 1 / 2, 0]
    assert np.isnan(upper[5])
    np.testing.assert_array_equal(found, found.T)
    assert np.diag(found).tolist() == [1, 1, 1, 1]
    # Ambiguous: 1/3 and 1/2, of the five pairs that are known.
    assert pac(found) == pytest.approx(2 / 5)


def test_pac_leaves_its_ends_out():
    matrix = np.array([[1, 0.1, 0.9], [0.1, 1, 0.5], [0.9, 0.5, 1]])
    assert pac(matrix) == pytest.approx(1 / 3)
    assert pac(matrix, (0.0, 1.0)) == 1.0
    assert np.isnan(pac(np.full((2, 2), np.nan)))


def test_noise_is_together_with_nothing_and_one_group_is_half_an_answer():
    resampled = np.array([[0, 0, -1, -1], [1, 1, 0, -1]])
    assert consensus(resampled)[0].tolist() == [1, 1, 0, 0]
    assert consensus(resampled)[2, 3] == 0
    everything_noise = np.full((2, 4), -1)
    assert pac(consensus(everything_noise)) == 0
    # Fewer than two clusters say nothing, which must not look like perfect stability.
    assert pac(consensus(everything_noise, informative=np.zeros(2, bool))) == 1
    assert mean_ari(everything_noise) == 0
    assert mean_ari(np.array([[0, 0, 1, 1], [1, 1, 0, 0]])) == 1


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 25))
def test_ari_equals_scikit_learn(seed, rows, n):
    rng = np.random.default_rng(seed)
    resampled = rng.integers(-2, 4, size=(rows, n))
    found = iter(pairwise_ari(resampled))
    for i in range(rows):
        for j in range(i + 1, rows):
            both = (resampled[[i, j]] != -2).all(axis=0)
            assert next(found) == pytest.approx(adjusted_rand_score(*resampled[[i, j]][:, both]))
    assert next(found, None) is None


def test_resamples_hold_what_a_bootstrap_draws():
    drawn = draw(400, 200, np.random.default_rng(0), least=2)
    assert drawn.shape == (200, 400)
    assert drawn.mean() == pytest.approx(1 - np.exp(-1), abs=0.005)
    assert (draw(6, 500, np.random.default_rng(0), least=5).sum(axis=1) >= 5).all()


@pytest.mark.parametrize(("n", "rank"), [(19, 19), (20, 20), (39, 38), (99, 95), (199, 190)])
def test_null_limit_is_an_order_statistic(n, rank):
    """A figure from the null is one of n + 1 exchangeable ones: at most one in 20 lies beyond."""
    draws = np.random.default_rng(0).permutation(n) + 1.0
    assert null_limit(draws) == rank
    assert null_limit(draws, higher=False) == n + 1 - rank
    assert (n + 1 - rank) / (n + 1) <= 0.05
    assert exceedance(rank + 0.5, draws) <= 0.05 < exceedance(rank - 0.5, draws)


def test_too_few_draws_tell_no_limit():
    with pytest.raises(InputError, match="18 draws"):
        null_limit(np.zeros(18))


def test_family_p_by_hand():
    """Two rows of one figure.

    Row 0 is 1 0 1 2 1 (data first), z = 0 -1.6 0 1.6 0; row 1 is 9 1 0 2 1, z = 1.96 -0.5 -0.8 -0.2
    -0.5. The larger z of each draw is -0.5 0 1.6 0: three reach the 0 of row 0, none the 1.96 of
    row 1."""
    draws = np.array([[0, 1], [1, 0], [2, 2], [1, 1]])[..., None].astype(float)
    observed = np.array([[1.0], [9.0]])
    assert family_p(observed, draws).tolist() == [4 / 5, 1 / 5]
    one = np.random.default_rng(0).normal(size=(30, 1, 1))
    assert family_p(np.array([[1.0]]), one)[0] == exceedance(1.0, one.ravel())


def test_family_p_takes_the_weakest_figure_and_holds_over_rows():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(99, 5, 3))
    assert family_p(np.full((5, 3), 9.0), draws) == pytest.approx(np.full(5, 0.01))
    assert family_p(np.array([[9.0, 9, -1]] * 5), draws).min() > 0.2
    smallest = [
        family_p(rng.normal(size=(5, 3)), rng.normal(size=(39, 5, 3))).min() for _ in range(400)
    ]
    assert np.mean(np.array(smallest) <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_nulls_have_the_shape_they_promise():
    rng = np.random.default_rng(0)
    points = cloud(50_000, rng) + np.array([1, 2, 3])
    gaussian = gaussian_null(points, rng)
    assert gaussian.mean(axis=0) == pytest.approx([1, 2, 3], abs=0.1)
    assert np.cov(gaussian.T) == pytest.approx(np.cov(points.T), abs=0.2)
    found = box_null(points, rng)
    assert (found.min(axis=0) >= points.min(axis=0)).all()
    assert (found.max(axis=0) <= points.max(axis=0)).all()
    assert found.std(axis=0) == pytest.approx(np.ptp(points, axis=0) / np.sqrt(12), rel=0.02)


# Algorithms


def test_ward_is_scikit_learns():
    points = np.random.default_rng(0).normal(size=(60, 3))
    ks = (2, 3, 5, 8)
    rows = fit(points, [Clusterer(Algorithm.WARD, k) for k in ks], 0)
    for k, row in zip(ks, rows, strict=True):
        theirs = AgglomerativeClustering(k).fit_predict(points)
        assert adjusted_rand_score(row, theirs) == 1
        assert set(row.tolist()) == set(range(k))


def test_ward_cuts_ties_into_k():
    square = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    for k in (2, 3, 4):
        assert len(set(fit(square, [Clusterer(Algorithm.WARD, k)], 0)[0].tolist())) == k


def test_clusters_are_numbered_by_size():
    assert by_size(np.array([7, -1, 2, 2, 7, 2, 4])).tolist() == [1, -1, 0, 0, 1, 0, 2]
    assert by_size(np.array([3, 1, 3, 1])).tolist() == [0, 1, 0, 1]
    assert by_size(np.array([-1, -1])).tolist() == [-1, -1]


def test_silhouette_needs_two_clusters():
    points = np.array([[0.0], [0.1], [9], [9.1]])
    assert silhouette(points, np.array([0, 0, 1, 1])) > 0.9
    assert np.isnan(silhouette(points, np.array([0, 0, 0, -1])))
    assert np.isnan(silhouette(points, np.arange(4)))


# Verdicts


def judged(jaccard, *, best=0.7, mean=0.6, ari=0.5, pac=0.3):
    """Return a clustering with ARI 0.9 and PAC 0.1, beside Gaussian nulls at the given figures.

    The nulls of the box reach less.
    """
    figures = {
        "mean_jaccard": float(np.mean(jaccard)),
        "best_jaccard": max(jaccard),
        "ari": 0.9,
        "pac": 0.1,
    }
    null = {"mean_jaccard": mean, "best_jaccard": best, "ari": ari, "pac": pac}
    nulls = {
        "gaussian": {name: np.full(19, value) for name, value in null.items()},
        "box": {name: np.full(19, 0.95 if name == "pac" else 0.05) for name in null},
    }
    return Judged(np.array(jaccard), figures, nulls)


def test_verdict_needs_every_figure_beyond_both_nulls():
    good = judged([0.95, 0.8])
    assert good.verdict == Structure.CLUSTERS
    assert good.claimed.tolist() == [True, True]
    for worse in ({"mean": 0.9}, {"ari": 0.9}, {"pac": 0.1}):
        found = judged([0.95, 0.8], **worse)
        assert found.verdict == Structure.NOT_ABOVE_NULL, worse
        assert not found.claimed.any()


def test_a_cluster_needs_075_and_more_than_the_nulls_best():
    assert judged([0.95, 0.74]).claimed.tolist() == [True, False]
    assert judged([0.95, 0.75]).claimed.tolist() == [True, True]
    assert judged([0.95, 0.80], best=0.85).claimed.tolist() == [True, False]
    assert judged([0.74, 0.74], best=0.1).verdict == Structure.UNSTABLE
    assert judged([0.95, 0.95], best=0.95).verdict == Structure.UNSTABLE


def test_sentences_state_figures_and_thresholds():
    points, _ = planted()
    found = cluster_stability(study(points), **QUICK)
    pac = [found.limit("pac", null) for null in ("gaussian", "box")]
    assert (
        f"PAC {found.figures['pac']:.3f}, to be below the 95% limits {pac[0]:.3f} (one Gaussian)"
        in found.sentence
    )
    assert f"and {pac[1]:.3f} (a uniform box)" in found.sentence
    assert f"0 ({found.jaccard[0]:.3f}, 20 problems)" in found.sentence
    forced = replace(found, figures={**found.figures, "ari": -1.0})
    assert forced.verdict == Structure.NOT_ABOVE_NULL
    assert "no cluster structure is claimed" in forced.sentence and "PAC" not in forced.sentence
    assert "ARI between resamples -1.000, to be above" in forced.sentence
    shaky = replace(found, jaccard=np.array([0.7, 0.7, 0.7]))
    assert (
        shaky.verdict == Structure.UNSTABLE
        and "no cluster is claimed by its Jaccard" in shaky.sentence
    )


def test_p_and_limit_know_which_way_is_stable():
    found = judged([0.95, 0.8])
    assert [found.p(name, "box") for name in ("ari", "pac")] == [0.05, 0.05]
    assert found.limit("pac", "box") == 0.95
    worse = judged([0.95, 0.8], pac=0.05)
    assert worse.p("pac", "gaussian") == 1 and not worse.beyond("pac")


# Planted clusters, and none


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_planted_blobs_are_found_and_claimed(algorithm):
    points, truth = planted(size=30)
    found = cluster_stability(
        study(points), **QUICK | {"algorithm": algorithm.value, "n_resamples": 12}
    )
    assert found.verdict == Structure.CLUSTERS
    assert found.k == 3 and (found.jaccard >= 0.75).all() and found.claimed.all()
    assert adjusted_rand_score(truth, found.labels) > 0.95
    assert found.sizes.tolist() == [(found.labels == i).sum() for i in range(3)]
    assert found.figures["ari"] > 0.9
    for name in ("mean_jaccard", "ari", "pac"):
        assert found.beyond(name)
        assert found.p(name, "gaussian") == found.p(name, "box") == 0.05
    assert "3 of 3 clusters are claimed" in found.sentence and "0.75" in found.sentence


def test_seeds_and_algorithms_agree_on_planted_blobs():
    points, _ = planted()
    found = cluster_stability(
        study(points), **QUICK | {"algorithm": "kmeans", "n_resamples": 2, "agreement": True}
    )
    assert found.figures["seed_ari"] == 1
    assert set(found.agreement) == {"gaussian_mixture", "ward", "hdbscan"}
    assert min(found.agreement.values()) > 0.9
    assert found.figures["algorithm_ari"] == pytest.approx(np.mean(list(found.agreement.values())))
    assert found.beyond("algorithm_ari") and found.p("algorithm_ari", "box") == 0.05
    assert all(len(found.nulls[null]["seed_ari"]) == 19 for null in ("gaussian", "box"))


def test_an_algorithm_without_a_seed_has_no_agreement_of_seeds():
    found = cluster_stability(study(planted()[0]), **QUICK | {"n_resamples": 2, "agreement": True})
    assert np.isnan(found.figures["seed_ari"]) and not found.beyond("seed_ari")
    assert found.to_dict()["figures"]["seed_ari"] == {
        "value": None,
        "limits": {"gaussian": None, "box": None},
        "p": {"gaussian": None, "box": None},
    }


@pytest.mark.parametrize("make", [cloud, box])
@pytest.mark.parametrize("n", [10, pytest.param(50, marks=pytest.mark.slow)])
def test_one_group_is_not_called_clusters(make, n):
    """At most 10 % false claims in 100 simulations, 50 a shape (about 5 % or fewer expected)."""
    claims, seconds = [], time.process_time()
    for seed in range(n):
        points = make(40, np.random.default_rng(seed))
        algorithm, k = ("kmeans", 2) if seed % 10 == 0 else ("ward", 2 + seed % 3)
        found = cluster_stability(
            study(points),
            algorithm=algorithm,
            k=k,
            n_resamples=8,
            n_null=19,
            seed=seed,
            agreement=False,
        )
        claims.append(found.verdict == Structure.CLUSTERS)
    print(
        f"{make.__name__}: false claims {np.mean(claims):.3f},"
        f" {time.process_time() - seconds:.0f} s"
    )
    assert np.mean(claims) <= 0.10


def test_hdbscan_that_finds_nothing_says_so():
    points = np.random.default_rng(0).normal(size=(40, 3))
    found = cluster_stability(
        study(points), min_cluster_size=15, **QUICK | {"algorithm": "hdbscan"}
    )
    assert (found.k, found.verdict) == (0, Structure.NOT_FOUND)
    assert (found.labels == -1).all()
    assert not found.claimed.any() and "no cluster structure" in found.sentence
    assert found.to_dict()["verdict"] == "not_found"


# The labelled floor


def test_problems_without_features_are_left_out():
    points, truth = planted()
    points = np.insert(points, 5, np.nan, axis=0)
    points[5] = [np.nan, 0.3, 0.4]
    ds = study(points, problem_id=[f"p{i}" for i in range(61)])
    found = cluster_stability(ds, **QUICK)
    assert found.n == 60 and int(found.labels[5]) == -2
    assert adjusted_rand_score(truth, np.delete(found.labels.values, 5)) > 0.95
    assert found.labels["problem_id"].values[5] == "p5"
    assert 5 not in found.consensus_problem


def test_a_constant_feature_moves_nothing():
    points, _ = planted()
    points[:, 2] = 0.1 + 0.2
    for algorithm in Algorithm:
        kwargs = QUICK | {"algorithm": algorithm.value, "n_resamples": 2}
        assert cluster_stability(study(points), **kwargs).k == 3
    assert feature_space(study(points)).points.shape == (60, 2)


def test_points_are_z_scores():
    points = feature_space(study(planted()[0] * [1, 100, 1e-3] + 5)).points
    assert points.mean(axis=0) == pytest.approx(np.zeros(3))
    assert points.std(axis=0) == pytest.approx(np.ones(3))


def test_clusters_that_are_cells_are_seen_through():
    rng = np.random.default_rng(0)
    cell = np.repeat(["a", "b"], 40)
    points = rng.normal(size=(80, 3)) + 9.0 * (cell == "b")[:, None]
    ds = study(points, cell=cell)
    across = cluster_stability(ds, k=2, **QUICK)
    assert across.verdict == Structure.CLUSTERS and across.alignment["cell"] == 1
    within = cluster_stability(ds, k=2, within_cells=True, **QUICK)
    assert within.verdict != Structure.CLUSTERS and within.alignment["cell"] < 0.1
    one = cluster_stability(ds, k=2, cells=["b"], **QUICK)
    assert one.n == 40 and set(one.labels.values[:40].tolist()) == {-2}
    assert one.alignment == {} and one.settings["cells"] == ["b"]


def test_ranks_see_through_a_few_problems_at_a_floor():
    points = cloud(100, np.random.default_rng(2))
    points[:5] = -80
    kwargs = QUICK | {"k": 2}
    plain = cluster_stability(study(points), **kwargs)
    assert plain.verdict == Structure.CLUSTERS and plain.sizes.tolist() == [95, 5]
    assert "5 problems" in plain.sentence
    ranked = cluster_stability(study(points), ranks=True, **kwargs)
    assert (
        ranked.verdict == Structure.NOT_ABOVE_NULL
        and "ward with k = 2, by ranks on 100" in ranked.sentence
    )
    planted_too, truth = planted()
    found = cluster_stability(study(planted_too), ranks=True, **QUICK)
    assert found.verdict == Structure.CLUSTERS and adjusted_rand_score(truth, found.labels) > 0.9


def test_normal_scores_keep_order_and_share_ties():
    ds = study(np.column_stack([[1.0, 2, 2, 1000], [4, 3, 2, 1], [0, 0, 0, 0]]))
    points = feature_space(ds, ranks=True).points
    assert points.shape == (4, 2)
    assert points[1, 0] == points[2, 0] == pytest.approx(0)
    assert points[:, 0] == pytest.approx(np.sqrt(2) * np.array([-1, 0, 0, 1]))
    assert points[0, 1] == -points[3, 1] > points[1, 1] == -points[2, 1] > 0


def test_consensus_matrix_is_bounded_and_by_cluster():
    points, _ = planted()
    found = cluster_stability(study(points), max_consensus=12, **QUICK)
    assert found.consensus.shape == (12, 12)
    labels = found.labels.values[found.consensus_problem]
    assert (np.diff(labels) >= 0).all()
    assert len(set(found.consensus_problem.tolist())) == 12
    for label in set(labels.tolist()):
        inside = labels == label
        settled = np.nanmean(found.consensus[np.ix_(inside, inside)], axis=1)
        assert (np.diff(settled) <= 1e-12).all()
    same = labels[:, None] == labels
    known = ~np.isnan(found.consensus)
    assert found.consensus[same & known].min() > 0.8 > 0.2 > found.consensus[~same & known].max()


def test_same_seed_same_result_and_nothing_changed():
    ds = study(cloud(40, np.random.default_rng(1)))
    before = ds.copy(deep=True)
    kwargs = QUICK | {"algorithm": "kmeans", "n_resamples": 3, "agreement": True}
    one, two, other = (cluster_stability(ds, seed=seed, **kwargs) for seed in (3, 3, 4))
    assert one.to_dict() == two.to_dict()
    np.testing.assert_array_equal(one.consensus, two.consensus)
    xr.testing.assert_identical(one.labels, two.labels)
    for null in one.nulls:
        for name in FIGURES:
            np.testing.assert_array_equal(one.nulls[null][name], two.nulls[null][name])
    assert one.figures["ari"] != other.figures["ari"]
    xr.testing.assert_identical(ds, before)


def test_more_null_draws_keep_the_first():
    ds = study(cloud(30, np.random.default_rng(1)))
    kwargs = {"algorithm": "ward", "n_resamples": 5, "agreement": False}
    few, many = (cluster_stability(ds, n_null=n, **kwargs) for n in (19, 25))
    np.testing.assert_array_equal(few.nulls["box"]["ari"], many.nulls["box"]["ari"][:19])
    assert few.figures["ari"] == many.figures["ari"]


def test_progress_names_every_stage():
    told = []
    ds = study(cloud(30, np.random.default_rng(1)))
    cluster_stability(
        ds, algorithm="ward", n_resamples=2, n_null=19, agreement=False, progress=told.append
    )
    assert told[:2] == ["data", "gaussian 1/19"] and told[-1] == "box 19/19" and len(told) == 39


def test_the_public_name():
    assert rnb.cluster_stability is cluster_stability


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"algorithm": "kmedoids"},
            "algorithm must be one of kmeans, gaussian_mixture, ward, hdbscan, got 'kmedoids'",
        ),
        ({"k": 1}, "k must be a whole number of at least 2, got 1"),
        ({"k": 2.5}, "k must be a whole number of at least 2, got 2.5"),
        ({"k": 31}, "60 different problems for 31 clusters; allowed: at least 62"),
        ({"n_resamples": 1}, "n_resamples must be a whole number of at least 2, got 1"),
        ({"n_null": 18}, "n_null must be a whole number of at least 19, got 18"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4294967295, got -1"),
        ({"max_consensus": 1}, "max_consensus must be a whole number of at least 2, got 1"),
        ({"min_cluster_size": 1}, "min_cluster_size must be a whole number from 2 to 60.*, got 1"),
        (
            {"min_cluster_size": 61},
            "min_cluster_size must be a whole number from 2 to 60.*, got 61",
        ),
        ({"cells": "c"}, "no cell c; the study holds a, b"),
        ({"cells": ["a", "c"]}, "no cell c; the study holds a, b"),
        ({"cells": []}, r"cells must be a list of names, or None, got \[\]; give at least one"),
    ],
)
def test_bad_arguments(kwargs, message):
    ds = study(planted()[0], cell=np.repeat(["a", "b"], 30))
    with pytest.raises(InputError, match=message):
        cluster_stability(ds, **kwargs)


def test_bad_studies():
    points, _ = planted()
    with pytest.raises(InputError, match="no dimension 'problem'; its dimensions are feature"):
        cluster_stability(study(points).drop_vars("features"))
    named = study(points).assign(family=("problem", ["x"] * len(points)))
    with pytest.raises(InputError, match="no variable 'features'"):
        cluster_stability(named.drop_vars("features"))
    with pytest.raises(
        InputError, match="no feature logit_dispersion; the study holds spread, concentration"
    ):
        cluster_stability(study(points).isel(feature=[0, 1]))
    with pytest.raises(InputError, match="no problem with features is left"):
        cluster_stability(study(np.full((9, 3), np.nan)))
    with pytest.raises(InputError, match="no feature varies over the 9 problems"):
        cluster_stability(study(np.full((9, 3), 0.1)))
    with pytest.raises(
        InputError, match="2 different problems for 3 clusters; allowed: at least 6"
    ):
        cluster_stability(study(points[:2]))
    with pytest.raises(InputError, match="4 different problems for 3 clusters"):
        cluster_stability(study(np.repeat(points[:4], 10, axis=0)))
    with pytest.raises(InputError, match="'features' is inf at problem 2, feature 1"):
        cluster_stability(study(np.where(np.arange(180).reshape(60, 3) == 7, np.inf, points)))
    with pytest.raises(InputError, match="a cell is family"):
        cluster_stability(study(points), cells=["a"])


def test_repeated_points_are_clustered_without_a_warning():
    points = np.repeat(planted(size=4)[0], 6, axis=0)
    for algorithm in Algorithm:
        found = cluster_stability(
            study(points), k=6, **QUICK | {"algorithm": algorithm.value, "n_resamples": 2}
        )
        assert 0 <= found.figures["pac"] <= 1


# Choice of k, the grid


def test_choose_k_finds_the_planted_number():
    frame = choose_k(study(planted()[0]), ks=range(2, 6))
    assert frame["k"].tolist() == [1, 2, 3, 4, 5]
    assert frame.loc[frame["best_silhouette"], "k"].tolist() == [3]
    assert frame.loc[frame["best_bic"], "k"].tolist() == [3]
    assert np.isnan(frame["silhouette"][0])


def test_bic_can_say_one():
    frame = choose_k(study(cloud(200, np.random.default_rng(0))), ks=(2, 3), algorithm="ward")
    assert frame.loc[frame["best_bic"], "k"].tolist() == [1]
    assert frame["best_silhouette"].sum() == 1
    skewed = study(np.exp(cloud(200, np.random.default_rng(0))))
    assert choose_k(skewed, ks=(2, 3))["best_bic"].tolist() != [True, False, False]
    assert choose_k(skewed, ks=(2, 3), ranks=True)["best_bic"].tolist() == [True, False, False]


def test_points_at_a_floor_are_no_cluster(monkeypatch):
    """A tenth of one Gaussian at the floor of a feature is a component only without a bound."""
    points = np.random.default_rng(2).multivariate_normal(np.zeros(3), COVARIANCE, size=400)
    points[:, 0] = np.maximum(points[:, 0], np.quantile(points[:, 0], 0.1))
    ds = study(points)
    assert choose_k(ds, ks=(2, 3))["best_bic"].tolist() == [True, False, False]
    monkeypatch.setattr("recover_nb.clustering.algorithms.REG_COVAR", 1e-6)
    assert choose_k(ds, ks=(2, 3))["best_bic"].tolist() != [True, False, False]


def test_no_width_is_best_where_none_is_known(monkeypatch):
    monkeypatch.setattr(
        "recover_nb.clustering.grid.silhouette", lambda points, labels: float("nan")
    )
    assert not choose_k(study(planted()[0]), ks=(2, 3))["best_silhouette"].any()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"algorithm": "hdbscan"}, "choose_k allows kmeans, gaussian_mixture, ward"),
        ({"ks": []}, r"ks must be a list of numbers of clusters, each at least 2, got \[\]"),
        ({"ks": 2.5}, "ks must be a list of numbers of clusters, each at least 2, got 2.5"),
        ({"ks": [2, 1]}, r"ks must be .*, got \[2, 1\]; 1 is not a whole number of at least 2"),
    ],
)
def test_choose_k_refuses(kwargs, message):
    with pytest.raises(InputError, match=message):
        choose_k(study(planted()[0]), **kwargs)


def test_grid_is_tidy_and_corrects_for_its_size():
    names = ["kmeans", "ward", "hdbscan"]
    frame = stability_grid(
        study(planted()[0]), algorithms=names, ks=(2, 3), n_resamples=6, n_null=19
    )
    clusterings = [("kmeans", 2), ("kmeans", 3), ("ward", 2), ("ward", 3), ("hdbscan", 3)]
    assert list(dict.fromkeys(zip(frame["algorithm"], frame["k"], strict=True))) == clusterings
    assert frame.groupby(["algorithm", "k"]).size().tolist() == [4] * 5
    planted_rows = frame[(frame["algorithm"] == "ward") & (frame["k"] == 3)]
    assert planted_rows["beyond"].all() and set(planted_rows["verdict"]) == {"clusters"}
    assert planted_rows["p_family"].unique().tolist() == [0.05]
    assert (frame["p_family"] >= 0.05 - 1e-12).all()
    assert not frame.isna().any().any()
    largest = frame[["gaussian_p", "box_p"]].max(axis=1)
    assert ((largest <= 0.05) == frame["beyond"]).all()


def test_a_claim_that_the_whole_grid_does_not_bear_is_taken_back(monkeypatch):
    ds, kwargs = (
        study(planted()[0]),
        {"algorithms": ["ward"], "ks": (2, 3), "n_resamples": 6, "n_null": 19},
    )
    frame = stability_grid(ds, **kwargs)
    assert frame.groupby("k")["family_verdict"].first().tolist() == ["not_above_null", "clusters"]
    monkeypatch.setattr("recover_nb.clustering.grid._family_p", lambda runs: np.array([0.05, 0.06]))
    frame = stability_grid(ds, **kwargs)
    assert frame.groupby("k")["verdict"].first().tolist() == ["not_above_null", "clusters"]
    assert set(frame["family_verdict"]) == {"not_above_null"}


@pytest.mark.parametrize("ranks", [False, True])
def test_grid_agrees_with_one_clustering(ranks):
    ds = study(planted()[0])
    kwargs = {"n_resamples": 6, "n_null": 19, "seed": 5, "ranks": ranks}
    frame = stability_grid(ds, algorithms=["ward"], ks=[3], **kwargs)
    one = cluster_stability(ds, algorithm="ward", agreement=False, **kwargs)
    for row in frame.to_dict("records"):
        assert row["value"] == one.figures[row["figure"]]
        assert row["box_limit"] == one.limit(row["figure"], "box")
        assert row["verdict"] == one.verdict


@pytest.mark.parametrize("algorithms", [[], "wards", ["wards"]])
def test_grid_refuses_algorithms(algorithms):
    with pytest.raises(InputError, match="algorithm"):
        stability_grid(study(planted()[0]), algorithms=algorithms)


# A glance, before the nulls


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_glance_is_the_same_clustering_without_a_verdict(algorithm):
    ds = study(np.insert(planted()[0], 5, np.nan, axis=0))
    kwargs = {"algorithm": algorithm.value, "seed": 3, "max_consensus": 20}
    whole = cluster_stability(ds, n_resamples=4, n_null=19, agreement=False, **kwargs)
    quick = glance(ds, n_resamples=4, **kwargs)
    xr.testing.assert_identical(quick.labels, whole.labels)
    assert (quick.algorithm, quick.k, quick.n) == (whole.algorithm, whole.k, 60)
    assert (
        quick.sizes.tolist() == whole.sizes.tolist()
        and quick.jaccard.tolist() == whole.jaccard.tolist()
    )
    assert [quick.figures[name] for name in ("ari", "pac")] == [
        whole.figures[name] for name in ("ari", "pac")
    ]
    np.testing.assert_array_equal(quick.consensus, whole.consensus)
    np.testing.assert_array_equal(quick.consensus_problem, whole.consensus_problem)
    assert not quick.nulls and not hasattr(quick, "verdict")
    labels = glance(ds, **kwargs)
    xr.testing.assert_identical(labels.labels, whole.labels)
    assert np.isnan(labels.jaccard).all() and labels.figures == {} and labels.consensus.size == 0
    assert labels.sizes.tolist() == whole.sizes.tolist()


def test_a_glance_refuses():
    for kwargs, words in (
        ({"n_resamples": -1}, "n_resamples must be a whole number of at least 0, got -1"),
        ({"algorithm": "x"}, "algorithm must be one of .*, got 'x'"),
    ):
        with pytest.raises(InputError, match=words):
            glance(study(planted()[0]), **kwargs)


# How often clusters are claimed


def test_simulated_points_are_what_they_are_called():
    rng = np.random.default_rng(0)
    gaussian = make_points("gaussian", 20_000, rng)
    assert np.cov(gaussian.T) == pytest.approx(COVARIANCE, abs=0.05)
    sides = make_points("box", 20_000, rng, covariance=np.diag([1, 4, 9]))
    assert sides.std(axis=0) == pytest.approx([1, 2, 3], rel=0.02)
    assert np.abs(sides).max(axis=0) == pytest.approx(np.sqrt(3) * np.array([1, 2, 3]), rel=0.01)
    blobs = make_points("blobs", 30_000, rng, separation=5)
    centres = np.array([blobs[i::3].mean(axis=0) for i in range(3)])
    apart = np.linalg.norm(centres[[0, 0, 1]] - centres[[1, 2, 2]], axis=1)
    assert apart == pytest.approx([5, 5, 5], abs=0.1)
    assert (blobs[::3] - centres[0]).std(axis=0) == pytest.approx([1, 1, 1], abs=0.03)


def test_claim_rates_are_the_verdicts_of_the_same_points():
    kwargs = {"n_resamples": 4, "n_null": 19}
    frame = claim_rates("blobs", n_sets=2, n=30, separation=9.0, ks=(2, 3), **kwargs)
    assert frame[["set", "k"]].to_numpy().tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]
    rng = np.random.default_rng([0, 1])
    points = make_points("blobs", 30, rng, separation=9.0)
    kwargs |= {"algorithm": "ward", "k": 3, "seed": int(rng.integers(2**31)), "agreement": False}
    one = cluster_stability(study(points), **kwargs)
    assert (
        one.verdict == frame["verdict"][3] == "clusters"
        and frame["claimed"][3]
        and frame["family_claimed"][3]
    )
    assert not frame["claimed"][[0, 2]].any()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"kind": "ring"}, "kind must be one of gaussian, box, blobs, got 'ring'"),
        ({"kind": "blobs", "n": 2}, "n must be a whole number of at least 3, got 2"),
        (
            {"kind": "blobs", "separation": -1},
            "separation must be a number of sd, at least 0, got -1",
        ),
        ({"kind": "box", "n_sets": 0}, "n_sets must be a whole number of at least 1, got 0"),
    ],
)
def test_claim_rates_refuse(args, words):
    with pytest.raises(InputError, match=words):
        claim_rates(**args)


# Fewer rollouts


def traced(n=60, rollouts=12, stored=8, noise=0.8, seed=0):
    """Simulate three kinds of problem that differ in every feature.

    Signals of the first `stored` rollouts are kept.
    """
    rng = np.random.default_rng(seed)
    kind, length = np.arange(n) % 3, 40

    def vary(values):
        return np.asarray(values)[kind][:, None] * np.exp(noise * rng.normal(size=(n, rollouts)))

    share = np.clip(vary([0.2, 0.4, 0.8]), 0.05, 1)[..., None]
    pressure = (rng.random((n, rollouts, length)) < share) * rng.uniform(
        0.5, 1, size=(n, rollouts, length)
    )
    pressure[..., 0] = 1 + vary([20, 1, 5])
    variance = vary([0.1, 1, 10])[..., None] * np.ones(length)
    attempts = ("problem", "rollout", "intervention")
    ds = xr.Dataset(
        {
            "demotion_pressure": (("problem", "rollout", "token"), pressure),
            "logit_variance": (("problem", "rollout", "token"), variance),
            "n_tokens": (attempts, np.full((n, rollouts, 1), length, np.int32)),
            "correct": (attempts, np.zeros((n, rollouts, 1), np.int8)),
        },
        coords={"intervention": ["none"]},
    )
    kept = np.broadcast_to((np.arange(rollouts) < stored).astype(np.int8), (n, rollouts))
    ds = ds.assign(features=rnb.compute_features(ds), has_signals=(("problem", "rollout"), kept))
    # What is not stored is zero, as in a study.
    return ds.assign(
        {name: ds[name] * ds["has_signals"] for name in ("demotion_pressure", "logit_variance")}
    )


def test_more_rollouts_agree_better_with_all():
    ds = traced()
    found = rollout_stability(ds, algorithm="ward", n_splits=5, n_null=19)
    assert found["size"].values.tolist() == ["1", "2", "5", "10", "20", "all"]
    ari = found["ari"].values
    assert ari[0] < ari[1] < ari[2] and ari[5] > 0.95
    # Three kinds of problem survive noise that shuffles the clusters of a cloud.
    assert (ari[[1, 2]] > found["null_limit"].values[:, [1, 2]]).all()
    assert found["n_problems"].values.tolist() == [60, 60, 60, 0, 0, 60]
    assert np.isnan(ari[3:5]).all() and np.isnan(found["null_limit"].values[:, 3:5]).all()
    assert found["n_rollouts"].values[5] == 8 and found.attrs["stored"] == 8
    assert found["null_ari"].dims == ("null", "size", "draw") and found["null_ari"].shape == (
        2,
        6,
        19,
    )


def test_every_rollout_used_gives_the_same_clusters():
    ds = traced(stored=12)
    found = rollout_stability(
        ds, sizes=(None, 12), n_splits=2, n_null=19, algorithm="gaussian_mixture"
    )
    assert found["ari"].values == pytest.approx([1, 1])


def test_rollout_stability_is_deterministic_and_sizes_do_not_touch_one_another():
    ds = traced(n=30)
    kwargs = {"algorithm": "ward", "n_splits": 2, "n_null": 19, "seed": 3}
    one, two = (rollout_stability(ds, sizes=(1, 2), **kwargs) for _ in range(2))
    xr.testing.assert_identical(one, two)
    alone = rollout_stability(ds, sizes=(2,), **kwargs)
    assert alone["ari"].item() == one["ari"].values[1]


def test_rollout_stability_within_cells():
    ds = traced(n=36)
    ds = ds.assign_coords(cell=("problem", np.repeat(["a", "b"], 18)))
    found = rollout_stability(
        ds, sizes=(4,), algorithm="ward", n_splits=2, n_null=19, within_cells=True
    )
    assert -1 <= found["ari"].item() <= 1 and not found["null_limit"].isnull().any()


def test_rollout_stability_refuses():
    ds = traced(n=12)
    with pytest.raises(InputError, match="no variable demotion_pressure, correct"):
        rollout_stability(ds.drop_vars(["demotion_pressure", "correct"]))
    with pytest.raises(
        InputError, match=r"sizes must be .*, got \(0,\); 0 is not a whole number of at least 1"
    ):
        rollout_stability(ds, sizes=(0,))
    with pytest.raises(InputError, match="n_splits must be a whole number of at least 1, got 0"):
        rollout_stability(ds, n_splits=0)
    with pytest.raises(InputError, match="12 different problems for 7"):
        rollout_stability(ds, k=7)


def test_processes_change_no_figure():
    kwargs = {
        "algorithms": ["kmeans", "hdbscan"],
        "ks": (2, 3),
        "n_resamples": 3,
        "n_null": 19,
        "seed": 4,
    }
    frames, told = [], []
    for n_jobs in (1, 2):
        stages = []
        frames.append(
            stability_grid(study(planted()[0]), n_jobs=n_jobs, progress=stages.append, **kwargs)
        )
        told.append(stages)
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    assert told[0] == told[1] and len(told[0]) == 39
    assert (told[0][0], told[0][1], told[0][-1]) == ("data", "gaussian 1/19", "box 19/19")


def test_only_a_large_grid_takes_every_processor(monkeypatch):
    asked = []

    class Here(nulls.Parallel):
        def __init__(self, n_jobs, **options):
            asked.append(n_jobs)
            super().__init__(n_jobs=1, **options)

    monkeypatch.setattr(nulls, "Parallel", Here)
    kwargs = {"algorithms": ["ward"], "ks": [3, 4], "n_resamples": 2, "n_null": 19}
    # 60 points x 2 clusterings x 2 resamples x 39 data sets.
    for large, n_jobs in ((9_361, None), (9_360, None), (1, 2)):
        monkeypatch.setattr(nulls, "LARGE", large)
        stability_grid(study(planted()[0]), n_jobs=n_jobs, **kwargs)
    assert asked == [1, -1, 2]


@pytest.mark.parametrize("n_jobs", [0, -2, 1.5])
def test_processes_that_cannot_be(n_jobs):
    with pytest.raises(
        InputError, match=f"n_jobs must be a whole number from 1 to 1024, or -1.*, got {n_jobs}"
    ):
        stability_grid(study(planted()[0]), n_jobs=n_jobs)
