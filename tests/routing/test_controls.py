"""Operators that differ in one thing: two problems by hand, and what a table can say."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from chart_parts import COMPUTING, check_shown, parts

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.routing.controls import Controls, controls
from recover_nb.routing.rescue import rescue_rate
from recover_nb.routing.simulate import make_study

NAMES = ["none", "retry", "sparse_steer", "sparse_steer_wrong", "sparse_steer_random"]
FEW = {"n_bootstrap": 50}


def twins(n=2):
    """Return `n` problems of two checkpoints with four attempts of each operator.

    Retry writes 0 everywhere. The steer acts at token 2 and writes 7 there, the wrong mixture 7 in
    attempts 0 and 1 and 8 in 2 and 3. The random steer acts at 2 and writes 7 in attempt 0, at 4
    and writes 0 in attempts 1 and 2, at 4 and writes 9 in attempt 3.
    """
    correct = np.zeros((n, 4, 5), np.int8)
    fired = np.full((n, 4, 5), -1, np.int32)
    token = np.zeros((n, 4, 5, 6), np.int32)
    fired[..., 2:4], fired[..., 4] = 2, [2, 4, 4, 4]
    token[..., 2, 2] = 7
    token[..., 3, 2] = [7, 7, 8, 8]
    token[:, 0, 4, 2], token[:, 3, 4, 4] = 7, 9
    # Retry is right in attempt 1 alone; the steer in 0, 1 and 2.
    correct[..., 1], correct[..., 2] = [0, 1, 0, 0], [1, 1, 1, 0]
    correct[..., 3] = [1, 1, 0, 0]
    # The random steer, where it changes nothing, is retry over again.
    correct[..., 4] = [1, 1, 0, 0]
    # In the second problem, its other token in attempt 3 is right.
    correct[1::2, 3, 4] = 1
    axes = ("problem", "rollout", "intervention")
    ds = xr.Dataset(
        {
            "correct": (axes, correct),
            "fired_at": (axes, fired),
            "token_id": ((*axes, "token"), token),
            "n_failed_rollouts": ("problem", np.full(n, 4, np.int32)),
        },
        {
            "intervention": NAMES,
            "problem_id": ("problem", [f"p{i}" for i in range(n)]),
            "task": ("problem", ["arithmetic", "program"] * (n // 2)),
            "family": ("problem", ["neox"] * n),
            "method": ("problem", ["sft", "grpo"] * (n // 2)),
        },
    )
    return ds


def of(found, comparison, task="all", population=0):
    return found.dataset.isel(population=population).sel(comparison=comparison, task=task)


@pytest.fixture(scope="module")
def found():
    ds = twins()
    return controls(ds.merge(rescue_rate(ds["correct"])), **FEW)


@pytest.mark.parametrize(
    ("comparison", "n", "rate", "against", "difference"),
    [
        # Rates 3/4 of both problems; 2/4 and 3/4.
        ("place", 2, 0.75, 0.625, 0.125),
        ("mixture", 2, 0.75, 0.5, 0.25),
        # Attempts 2 and 3 of both: the steer is right in 2, the other mixture in none.
        ("mixture_differs", 4, 0.5, 0.0, 0.5),
        # Attempts 1, 2, 3 of both: the steer is right in 1 and 2; random in 1, and once in 3.
        ("place_elsewhere", 6, 4 / 6, 3 / 6, 1 / 6),
        # Attempt 0 of both, in which all are right.
        ("place_same", 2, 1.0, 1.0, 0.0),
        ("place_gap", 6, 4 / 6, 3 / 6, 1 / 6),
        # The steer changed all eight tokens: 6 right against retry's 2. Random changed attempts 0
        # and 3 of both: 3 right against none.
        ("place_changed", 8, 0.5, 0.75, -0.25),
    ],
)
def test_comparisons_by_hand(found, comparison, n, rate, against, difference):
    one = of(found, comparison)
    assert (int(one["n"]), int(one["problems"])) == (n, 2)
    assert float(one["rate"]) == pytest.approx(rate)
    assert float(one["rate_against"]) == pytest.approx(against)
    assert float(one["difference"]) == pytest.approx(difference)
    assert float(one["low"]) <= difference + 1e-12 and difference - 1e-12 <= float(one["high"])


def test_shares_of_attempts_that_acted_and_changed_a_token(found):
    shares = found.dataset.isel(population=0)
    assert shares["act"].values.tolist() == NAMES[2:]
    assert shares["fired"].values.tolist() == [1, 1, 1]
    assert shares["changed"].values.tolist() == [1, 1, 0.5]


def test_by_task_and_population(found):
    assert found.dataset["task"].values.tolist() == ["all", "arithmetic", "program"]
    # Random is right in attempt 1 of the first problem, in 1 and 3 of the second.
    assert float(of(found, "place_elsewhere", "arithmetic")["difference"]) == pytest.approx(1 / 3)
    assert float(of(found, "place_elsewhere", "program")["difference"]) == pytest.approx(0)
    # One checkpoint a task has no interval over checkpoints; two have one.
    assert np.isnan(of(found, "place_elsewhere", "program")["low_checkpoints"])
    one = of(found, "place_elsewhere")
    # Values 1 and 0 of 3 pairs each: residuals 0.5 / 6; sd sqrt(2 * 2 * (1 / 12)^2) = 1 / 6.
    assert float(one["high_checkpoints"]) - 1 / 6 == pytest.approx(12.7062 / 6, rel=1e-4)
    assert found.dataset["population"].values.tolist() == ["failed_first_1", "failed"]


def many(change=lambda correct: correct):
    ds = twins(40)
    ds["correct"] = ds["correct"].copy(data=change(ds["correct"].values.copy()))
    return ds.merge(rescue_rate(ds["correct"]))


def test_the_place_matters_only_if_its_advantage_is_gone_at_the_same_token():
    def elsewhere(correct):
        correct[:, 1:, 4] = 0
        return correct

    def everywhere(correct):
        correct[..., 2], correct[..., 4] = 1, 0
        return correct

    assert controls(many(elsewhere), **FEW).judge("place") == "supported"
    # As good at the very token where random acted: it is not the place.
    assert controls(many(everywhere), **FEW).judge("place") == "not shown"

    def worse(correct):
        correct[:, 1:, 2], correct[:, 1:, 4] = 0, 1
        return correct

    assert controls(many(worse), **FEW).judge("place") == "contradicted"


def test_the_mixture_is_judged_where_tokens_differ():
    def alike(correct):
        # Better in attempts whose tokens are the same, which no mixture can be the cause of.
        correct[:, :2, 2], correct[:, :2, 3] = 1, 0
        correct[:, 2:, 2:4] = [[1, 0], [0, 1]]
        return correct

    found = controls(many(alike), **FEW)
    assert float(of(found, "mixture")["low"]) > 0
    assert found.judge("mixture") == "not shown"
    assert controls(many(), **FEW).judge("mixture") == "supported"
    with pytest.raises(InputError, match="thing is 'weather'; allowed: place, mixture"):
        found.judge("weather")


def test_a_table_of_rates_compares_every_attempt_and_cannot_match_places():
    ds = make_study(n_problems=30).drop_vars("correct")
    found = controls(ds, **FEW)
    assert found.dataset["comparison"].values.tolist() == ["place"]
    rates = ds["rescue_rate"].sel(intervention=["sparse_steer", "sparse_steer_random"]).values
    rates = rates[~np.isnan(rates).any(1)]
    assert float(of(found, "place")["difference"]) == pytest.approx(
        (rates[:, 0] - rates[:, 1]).mean()
    )
    assert found.judge("place") == found.judge("mixture") == "not testable"
    assert "junction minus a random token" in found.sentence
    with pytest.raises(InputError, match="no two operators that differ in one thing"):
        controls(ds.sel(intervention=["none", "retry"]))


def test_rows_chart_and_words(found, tmp_path):
    frame = found.to_dataframe()
    assert (frame["n"] > 0).all() and set(frame["population"]) == {"failed_first_1", "failed"}
    first = frame.iloc[0]
    assert (first["comparison"], first["task"], first["points"]) == ("mixture", "all", 25.0)
    spec = rnb.plot_controls(frame).to_dict()
    for key, value in parts(spec):
        assert key not in COMPUTING or value is None, (key, value)
    check_shown(found, rnb.plot_controls(frame))
    assert (
        "First answer failed: junction minus a random token elsewhere +16.7 points"
        in found.sentence
    )
    assert "random token steered (sparse_steer_random) 100% and 50%" in found.sentence
    found.dataset.to_netcdf(tmp_path / "found.nc")
    again = Controls(xr.load_dataset(tmp_path / "found.nc"))
    pd.testing.assert_frame_equal(again.to_dataframe(), frame)
