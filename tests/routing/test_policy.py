"""The routing rule, worked by hand (docs/method.md#7-routing-rule)."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recover_nb.core.errors import InputError
from recover_nb.routing.policy import PUBLISHED, RoutingPolicy, route
from recover_nb.stats.scaling import standardise

FINITE = st.floats(-1e3, 1e3, allow_nan=False).map(lambda x: round(x, 3))
FEATURES = st.integers(2, 30).flatmap(lambda n: arrays(float, (n, 3), elements=FINITE))


def test_standardise_by_hand():
    """1, 2, 3: mean 2, population sd sqrt(2/3), so z = -+sqrt(3/2)."""
    z = standardise([[1.0], [2.0], [3.0]])
    assert z[:, 0] == pytest.approx([-np.sqrt(1.5), 0, np.sqrt(1.5)])


def test_constant_column_is_zeros():
    assert (standardise(np.full((7, 2), 0.1)) == 0).all()
    # 0.1 has no exact mean in floats; with a population the rounding must not become a z-score
    # either.
    population = np.array([True] * 6 + [False])
    values = np.array([[0.1]] * 6 + [[5.0]])
    assert (standardise(values, population=population)[:6] == 0).all()


def test_nan_row_is_left_out():
    z = standardise([[1.0, 5.0], [2.0, np.nan], [3.0, 7.0]])
    assert np.isnan(z[1]).all()
    assert z[[0, 2]] == pytest.approx(np.array([[-1.0, -1.0], [1.0, 1.0]]))


@given(FEATURES)
def test_z_scores_have_mean_0_and_sd_1(features):
    z = standardise(features)
    spread = features.std(axis=0) > 1e-6
    assert z.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-6)
    assert z.std(axis=0)[spread] == pytest.approx(np.ones(spread.sum()), abs=1e-6)


@given(FEATURES, st.randoms(use_true_random=False))
def test_order_of_problems_does_not_matter(features, random):
    order = list(range(len(features)))
    random.shuffle(order)
    assert standardise(features)[order] == pytest.approx(standardise(features[order]), abs=1e-9)


def test_each_feature_calls_for_its_intervention():
    features = np.array([[9.0, 0, 0], [0, 9.0, 0], [0, 0, 9.0], [-1.0, -1.0, -1.0]])
    assert route(features).tolist() == [
        "dense_steer",
        "sparse_steer",
        "local_temperature",
        "sparse_steer_random",
    ]


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ((0, 1, 2), "dense_steer"),
        ((1, 2), "sparse_steer"),
        ((0, 2), "dense_steer"),
    ],
)
def test_ties_go_to_the_first(columns, chosen):
    features = np.zeros((2, 3))
    features[0, list(columns)] = 1.0
    assert route(features)[0] == chosen


def test_nothing_above_zero_falls_back():
    assert set(route(np.ones((3, 3)))) == {"sparse_steer_random"}
    assert route(np.array([[1.0, 2.0, 3.0]]))[0] == "sparse_steer_random"


def test_nan_features_are_not_routed():
    assert route(np.array([[1.0, 0, 0], [np.nan, 0, 0], [0, 1.0, 0]]))[1] == ""


def test_cells_are_standardised_apart():
    features = np.array([[0.0, 0, 0], [1, 0, 0], [100, 0, 0], [101, 0, 0]])
    routes = route(features, ["a", "a", "b", "b"])
    assert routes.tolist() == ["sparse_steer_random", "dense_steer"] * 2
    assert route(features).tolist() == ["sparse_steer_random"] * 2 + ["dense_steer"] * 2


def test_population_sets_the_scale_of_everyone():
    features = np.array([[0.0, 0, 0], [2, 0, 0], [1.5, 0, 0]])
    routes = route(features, population=[True, True, False])
    assert routes.tolist() == ["sparse_steer_random", "dense_steer", "dense_steer"]
    assert route(features, population=[True, True, False]).tolist() == routes.tolist()


@given(FEATURES, st.randoms(use_true_random=False))
def test_routes_move_with_their_problems(features, random):
    order = list(range(len(features)))
    random.shuffle(order)
    z = standardise(features)
    top = np.sort(z, axis=1)
    clear = (top[:, -1] - top[:, -2] > 1e-6) & (np.abs(top[:, -1]) > 1e-6)
    moved = np.array(order)
    assert (route(features)[moved] == route(features[moved]))[clear[moved]].all()


def test_labelled_features_in_any_order():
    features = xr.DataArray(
        [[0.0, 9.0, 0.0], [0.0, 0.0, 0.0]],
        dims=("problem", "feature"),
        coords={
            "feature": ["logit_dispersion", "spread", "concentration"],
            "task": ("problem", ["a", "b"]),
        },
    )
    routed = route(features)
    assert routed.values.tolist() == ["dense_steer", "sparse_steer_random"]
    assert routed.dims == ("problem",)
    assert routed["task"].values.tolist() == ["a", "b"]


def test_policy_is_data():
    policy = RoutingPolicy({"length": "temperature"}, fallback="retry")
    assert route(np.array([[0.0], [1.0]]), policy=policy).tolist() == ["retry", "temperature"]
    assert policy.interventions == ("temperature", "retry")
    assert PUBLISHED.to_dict()["operators"]["spread"] == "dense_steer"
    with pytest.raises(AttributeError):
        PUBLISHED.fallback = "retry"
    with pytest.raises(TypeError):
        PUBLISHED.operators["spread"] = "retry"


def test_errors_say_what_is_needed():
    with pytest.raises(
        InputError,
        match=r"operators must be a dict of at least one feature and its intervention, got {}",
    ):
        RoutingPolicy({})
    with pytest.raises(
        InputError, match=r"\(problem, 3\): spread, concentration, logit_dispersion"
    ):
        route(np.zeros((4, 2)))
    with pytest.raises(InputError, match="cells has shape"):
        route(np.zeros((4, 3)), ["a"])
    labelled = xr.DataArray(
        np.zeros((1, 1)), dims=("problem", "feature"), coords={"feature": ["spread"]}
    )
    with pytest.raises(InputError, match="no feature concentration, logit_dispersion"):
        route(labelled)
