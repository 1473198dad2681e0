"""What a budget buys, by hand: ten problems whose attempts and costs are all alike."""

import numpy as np
import pytest
from tiny_study import tiny_study

from recover_nb.core.errors import InputError
from recover_nb.routing.dial import cost_curves, reading_first
from recover_nb.routing.routers.inputs import Outcomes

SOMETIMES = 1 - 1 / 6  # Two of four attempts are right: two are drawn, and one pair of six misses.


@pytest.fixture(scope="module")
def study():
    """Retry is right twice in four on even problems, sparse_steer always on all but 0 and 5."""
    counted = ["rescue_rate", "attempts", "n_failed_rollouts", "regime", "route"]
    ds = tiny_study(n=10, solved=()).drop_vars(counted)
    run = ds["correct"] >= 0
    odd = (np.arange(10) % 2 == 1)[:, None]
    right = np.zeros(run.shape, bool)
    names = ds["intervention"].values.tolist()
    right[:, :2, names.index("retry")] = ~odd
    right[:, :4, names.index("sparse_steer")] = (np.arange(10) % 5 > 0)[:, None]
    both = np.array([name not in ("retry",) for name in names])
    ds["correct"] = run.dims, np.where(run, right, -1).astype(np.int8)
    ds["forward_specialist"] = run.dims, np.where(run, 10, 0).astype(np.int32)
    ds["forward_ancestor"] = run.dims, np.where(run & both, 10, 0).astype(np.int32)
    # Equal features: nobody stands out, and the rule takes its fallback, which is never right.
    ds["features"] = ds["features"].dims, np.ones((10, 3))
    return ds


@pytest.fixture(scope="module")
def dial(study):
    return cost_curves(study, budgets=(0, 10, 15, 20, 40, 90))


def test_it_is_about_problems_whose_first_answer_was_wrong(study, dial):
    assert (dial.n, dial.n_first, dial.n_observed) == (10, 1, 5)
    solved_at_once = study.copy()
    correct = study["correct"].values.copy()
    correct[:3, 0, 0] = 1
    solved_at_once["correct"] = study["correct"].dims, correct
    assert cost_curves(solved_at_once, budgets=(0, 10)).n == 7


def test_retry_costs_one_model(dial):
    assert dial.retry_cost == 10
    expected = [0, 1 / 4, (1 / 2 + SOMETIMES) / 4, SOMETIMES / 2, 1 / 2, 1 / 2]
    assert dial.solved["retry"] == pytest.approx(expected)


def test_an_operator_costs_both_models_and_is_chosen_on_other_questions(dial):
    # Right at once on eight of ten problems at 20 passes, half an attempt for 10. Its four attempts
    # cost 80, and what is left is one retry, which is right half of the time on one of the two.
    assert dial.solved["best_fixed"] == pytest.approx([0, 0.4, 0.6, 0.8, 0.8, 0.85])
    assert dial.operators == ("retry", *["sparse_steer"] * 5)


def test_the_rule_takes_its_fallback_and_goes_on_with_retries(dial):
    assert dial.solved["published"] == pytest.approx([0, 0, 0, 0, 0, 1 / 4])


def test_what_is_read_first_is_paid_first(dial):
    # Four more answers of both models, 20 each; of the specialist alone, 10 each.
    assert dial.upfront["published"] == 80 and dial.upfront["count"] == 40
    assert dial.upfront["retry"] == dial.upfront["best_fixed"] == 0
    expected = [0, 1 / 8, 3 / 16, 1 / 4, SOMETIMES / 2, 1 / 2]
    assert dial.counted["published"] == pytest.approx(expected)
    assert dial.counted["count"][:4] == pytest.approx(dial.solved["retry"][:4])
    assert dial.counted["best_fixed"] == pytest.approx(dial.solved["best_fixed"])


def test_answers_that_are_read_take_the_place_of_retries():
    outcomes = Outcomes(np.array([[1, 1]]), np.array([[2, 1]]), np.array([[10.0, 30.0]]))
    budget = np.array([[0.0], [20.0], [40.0], [55.0], [70.0]])
    # One of two answers is right, at 20 each; then the one attempt of the operator, at 30.
    found = reading_first(outcomes, np.array([2]), np.array([20.0]), budget)
    assert found[:, 0, 0].tolist() == [0, 0.5, 1, 1, 1]
    # A third answer is paid for, too, and there is no retry to stand for it.
    outcomes = Outcomes(np.array([[0, 1]]), np.array([[2, 1]]), np.array([[10.0, 30.0]]))
    found = reading_first(outcomes, np.array([3]), np.array([20.0]), budget + 20)
    assert found[:, 0, 1] == pytest.approx([0, 0, 0, 0.5, 1])
    assert (found[:, 0, 0] == 0).all()


@pytest.mark.parametrize("budgets", [(), (-5, 0), (0, 10, 10)])
def test_budgets_must_rise(study, budgets):
    with pytest.raises(InputError, match="must be at least 0 and rise"):
        cost_curves(study, budgets=budgets)
