"""Steps of a trace: cut, labelled and read, on traces that can be counted by hand."""

import numpy as np
import pytest

from recover_nb.features.steps import (
    NUMBERS,
    StepLabel,
    TokenNumbers,
    step_labels,
    step_numbers,
    step_starts,
    step_tools,
)


@pytest.mark.parametrize(
    ("pieces", "by", "starts"),
    [
        (["4", "+", "5", "=", "9", " ", "#", "9", "<eos>"], "space", [0, 6]),
        # A token that ends a line and begins the next one begins the next step.
        (["a", "\nb", "c\n", "\n", "d"], "line", [0, 1, 4]),
        # A dot inside a number ends no sentence.
        (["1.5", " is", " it.", " And", " so?", " Yes"], "sentence", [0, 3, 5]),
        # Nothing begins after what ends a trace.
        (["x", " "], "space", [0]),
        ([], "space", []),
    ],
)
def test_a_step_begins_after_what_ends_one(pieces, by, starts):
    assert step_starts(pieces, by).tolist() == starts


@pytest.mark.parametrize(
    ("correct", "wrong", "labels"),
    [
        (False, 7, [1, 0, 2]),
        (False, 0, [0, 2, 2]),
        (False, 99, [1, 1, 0]),
        (False, -1, [-1, -1, -1]),
        (True, -1, [1, 1, 1]),
        # Right by luck: the program knows a wrong step.
        (True, 6, [1, 0, 2]),
    ],
)
def test_labels_follow_the_first_wrong_token(correct, wrong, labels):
    assert step_labels(np.array([0, 6, 12]), correct, wrong).tolist() == labels


def test_words_of_labels():
    codes = (-1, 0, 1, 2)
    assert [StepLabel(code).words for code in codes] == [
        "not known",
        "first wrong",
        "right",
        "after it",
    ]


@pytest.mark.parametrize(
    ("written", "label", "tool"),
    [
        ("47+85=22 ", StepLabel.FIRST_WRONG, 1),  # a slip: the tool would have written 32
        ("47+86=33 ", StepLabel.FIRST_WRONG, 0),  # misread, and reckoned rightly: no tool helps
        ("47+85=32 ", StepLabel.RIGHT, 1),
        ("a.ma=b ", StepLabel.RIGHT, 0),
        ("#32", StepLabel.RIGHT, 0),
    ],
)
def test_what_a_calculator_could_do(written, label, tool):
    found = step_tools(list(written), np.array([0]), np.array([label]), "(47+85)%100\n")
    assert found.tolist() == [tool]


def test_numbers_of_two_steps():
    own = np.array([-1.0, -2.0, -0.5, 0.0, -4.0])
    other = np.array([0.0, -3.0, -6.0, 0.0, 0.0])
    entropy, divergence = np.array([0.1, 0.2, 0.9, 0.3, 0.0]), np.array([0.0, 5.0, 1.0, 2.0, 0.0])
    found = step_numbers(TokenNumbers(own, other, entropy, divergence), np.array([0, 2]))
    rows = [dict(zip(NUMBERS, row, strict=True)) for row in found.round(4).tolist()]
    assert rows[0] == pytest.approx(
        {
            "least_log_probability": -2,
            "mean_log_probability": -1.5,
            "entropy": 0.2,
            "least_before": 0,
            "least_log_probability_ancestor": -3,
            "mean_log_probability_ancestor": -1.5,
            "kl_divergence": 5,
            "step": 0,
            "steps_left": 1,
            "tokens": 2,
        },
        abs=1e-4,
    )
    assert rows[1]["least_before"] == -2
    assert rows[1]["mean_log_probability_ancestor"] == -2
    assert (rows[1]["step"], rows[1]["steps_left"], rows[1]["tokens"]) == (1, 0, 3)
