"""Rescue rates, rescue@k and regimes, worked by hand (docs/method.md, sections 5 and 6)."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from recover_nb.core.errors import InputError
from recover_nb.core.labels import ROUTED_INTERVENTIONS
from recover_nb.routing.rescue import (
    classify_regimes,
    count_rates,
    regimes_from_rates,
    rescue_rate,
)

counts = st.integers(1, 60).flatmap(
    lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(1, n))
)


def test_rates_count_only_what_was_run():
    correct = np.array([[[1, -1], [0, 1], [1, 1], [-1, -1]]], dtype=np.int8)
    rate, attempts = count_rates(correct)
    assert rate.tolist() == [[2 / 3, 1.0]]
    assert attempts.tolist() == [[3, 2]]
    assert attempts.dtype == np.int32


def test_nothing_run_is_nan():
    rate, attempts = count_rates(np.full((1, 3, 2), -1))
    assert np.isnan(rate).all()
    assert (attempts == 0).all()


def test_rescue_rate_keeps_labels_and_input():
    correct = xr.DataArray(
        np.array([[[1, 0], [1, -1]]], dtype=np.int8),
        dims=("problem", "rollout", "intervention"),
        coords={"intervention": ["retry", "dense_steer"]},
    )
    before = correct.copy(deep=True)
    ds = rescue_rate(correct.transpose("rollout", "intervention", "problem"))
    assert ds["rescue_rate"].sel(intervention="retry").item() == 1.0
    assert ds["attempts"].sel(intervention="dense_steer").item() == 1
    assert ds["rescue_rate"].dims == ("problem", "intervention")
    xr.testing.assert_identical(correct, before)


def test_unknown_code_is_refused():
    with pytest.raises(InputError, match=r"1 \(correct\), 0 \(wrong\) and -1"):
        count_rates(np.array([[[2]]]))
    with pytest.raises(InputError, match="rollout and intervention"):
        rescue_rate(xr.DataArray(np.zeros((1, 2)), dims=("problem", "rollout")))


@pytest.mark.parametrize(
    ("retry", "best", "regime"),
    [
        (0.30, 0.35, "steerable_hard"),  # 0.04999999999999999 in floats: the definition says >=
        (0.50, 0.55, "steerable_hard"),  # both edges at once
        (0.50, 0.549, "resample"),
        (0.51, 0.90, "resample"),  # 1 - retry = 0.49
        (0.30, 0.34, "resample"),
        (0.00, 0.05, "steerable_hard"),
        (0.00, 0.00, "beyond_reach"),
        (0.10, 0.00, "beyond_reach"),  # retry alone does not count as reach
        (0.00, 0.04, "resample"),
        (np.nan, 0.5, ""),
        (0.2, np.nan, ""),
    ],
)
def test_regime_edges(retry, best, regime):
    assert regimes_from_rates(retry, [0.0, best]) == regime


def test_plain_floats_on_request():
    assert regimes_from_rates(0.30, [0.35], tolerance=0.0) == "resample"
    assert regimes_from_rates(0.30, [0.35]) == "steerable_hard"
    assert regimes_from_rates(0.30, [0.35], min_gain=0.06) == "resample"
    assert regimes_from_rates(0.30, [0.35], min_failure=0.75) == "resample"


def test_classify_uses_only_the_named_interventions():
    names = ["none", "retry", *ROUTED_INTERVENTIONS, "calculator"]
    rates = xr.DataArray(
        [[0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 1.0]],
        dims=("problem", "intervention"),
        coords={"intervention": [str(name) for name in names]},
    )
    assert classify_regimes(rates).values.tolist() == ["resample"]
    assert classify_regimes(rates, interventions=("calculator",)).values.tolist() == [
        "steerable_hard"
    ]


def test_classify_plain_array_and_errors():
    assert classify_regimes(np.array([[0.0, 0, 0, 0, 0.5]])).tolist() == ["steerable_hard"]
    with pytest.raises(InputError, match="needs 5 columns"):
        classify_regimes(np.zeros((2, 3)))
    with pytest.raises(InputError, match="between 0 and 1"):
        classify_regimes(np.full((1, 5), 1.5))
    lone = xr.DataArray(
        [[0.1]], dims=("problem", "intervention"), coords={"intervention": ["retry"]}
    )
    with pytest.raises(InputError, match="no intervention sparse_steer"):
        classify_regimes(lone)


@given(
    st.lists(
        st.lists(st.sampled_from(np.linspace(0, 1, 21).tolist()), min_size=5, max_size=5),
        min_size=1,
        max_size=20,
    )
)
def test_exactly_one_label_and_order_does_not_matter(rows):
    rates = np.array(rows)
    regime = classify_regimes(rates)
    assert set(regime) <= {"steerable_hard", "beyond_reach", "resample"}
    shuffled = rates[:, [0, 4, 2, 1, 3]]
    assert (classify_regimes(shuffled) == regime).all()
    assert (classify_regimes(rates[::-1]) == regime[::-1]).all()
