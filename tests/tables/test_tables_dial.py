"""Figures and sentences of the cost dial, from shares written by hand."""

import numpy as np
import pytest

from recover_nb.routing.dial import Dial
from recover_nb.tables.dial import dial_rows, say_budgets

SHARES = {
    "retry": [0.0, 0.4, 0.6],
    "published": [0.0, 0.2, 0.602],
    "best_fixed": [0.0, 0.1, 0.3],
    "calculator": [0.0, 0.9, 0.95],
}


@pytest.fixture
def dial():
    solved = {name: np.array(values) for name, values in SHARES.items()}
    counted = {**solved, "published": np.array([0.0, 0.5, 0.8]), "calculator": np.zeros(3)}
    return Dial(
        (0, 50, 100), solved, counted, dict.fromkeys(SHARES, 0.0), ("x",) * 3, 25.0, 8, 1, 5
    )


def test_a_sentence_for_each_budget(dial):
    nothing, cheaper, same = say_budgets(dial)
    assert nothing == "Nothing is spent yet, and nothing is solved."
    # Retry has reached the rule's 0.2 half way to 50.
    assert cheaper == (
        "With 50 forward passes per problem, trying again solves 40 of 100, the published rule 20."
        " Cheaper: trying again, which solves 20 with 25 passes. A calculator solves most: 90."
    )
    assert same == (
        "With 100 forward passes per problem, trying again solves 60 of 100, the published rule 60."
        " Neither is cheaper. A calculator solves most: 95."
    )


def test_the_rule_may_be_cheaper_and_best(dial):
    # 0.4 of 0.5 at 50 passes.
    assert say_budgets(dial, counted=True)[1] == (
        "With 50 forward passes per problem, trying again solves 40 of 100, the published rule 50."
        " Cheaper: the published rule, which solves 40 with 40 passes."
    )


def test_rows_are_strategies_by_budgets(dial):
    rows = dial_rows(dial)
    assert len(rows) == 12
    one = rows[(rows["strategy"] == "published") & (rows["budget"] == 50)]
    assert one[["solved", "counted"]].values.tolist() == [[0.2, 0.5]]
