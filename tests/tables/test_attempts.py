"""What was tried on a failed answer: alignment, attempts and their order, by hand."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from tiny_study import tiny_study

from recover_nb.tables.attempts import (
    align,
    aligned_rows,
    attempts,
    clearest,
    most_rescuing,
    say_attempts,
    say_difference,
)
from recover_nb.tables.tokens import with_rescue


@pytest.mark.parametrize(
    ("left", "right", "pairs"),
    [
        ("abcd", "axcde", [(0, 0), (1, 1), (2, 2), (3, 3), (-1, 4)]),
        ("abc", "bc", [(0, -1), (1, 0), (2, 1)]),
        ("", "ab", [(-1, 0), (-1, 1)]),
        ("ab", "", [(0, -1), (1, -1)]),
        ("", "", []),
        ("a", "b", [(0, 0)]),
    ],
)
def test_alignment_by_hand(left, right, pairs):
    found = align([ord(each) for each in left], [ord(each) for each in right])
    assert found.tolist() == [list(pair) for pair in pairs]


def edits(left, right):
    """Count the fewest edits from one text to another, by their definition."""
    if not left or not right:
        return len(left) + len(right)
    if left[0] == right[0]:
        return edits(left[1:], right[1:])
    rest = (left[1:], right), (left, right[1:]), (left[1:], right[1:])
    return 1 + min(edits(*pair) for pair in rest)


def test_no_alignment_has_fewer_edits():
    words = [word for n in range(4) for word in product((0, 1), repeat=n)]
    for left, right in product(words, words):
        pairs = align(left, right)
        changed = [i < 0 or j < 0 or left[i] != right[j] for i, j in pairs]
        assert sum(changed) == edits(left, right)
        # Every token occurs once, in order.
        assert pairs[pairs[:, 0] >= 0, 0].tolist() == list(range(len(left)))
        assert pairs[pairs[:, 1] >= 0, 1].tolist() == list(range(len(right)))


def rows_of(left, right):
    return aligned_rows([ord(c) for c in left], list(left), [ord(c) for c in right], list(right))


def test_two_answers_side_by_side():
    rows = rows_of("48-7", "44-71")
    assert rows["kind"].tolist() == ["same", "changed", "same", "same", "added"]
    assert rows["failed"].tolist() == ["4", "8", "-", "7", ""]
    assert rows["other"].tolist() == ["4", "4", "-", "7", "1"]
    assert rows["failed_at"].tolist() == [0, 1, 2, 3, -1]


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        ("48", "44", "They part at token 1: \u201c4\u201d for \u201c8\u201d. 1 token differs."),
        ("ab", "ab", "The two are the same, token for token."),
        ("ab", "xab", "The attempt adds \u201cx\u201d at token 0. 1 token differs."),
        ("abc", "c", "The attempt drops \u201ca\u201d, token 0. 2 tokens differ."),
    ],
)
def test_where_two_answers_part(left, right, said):
    assert say_difference(rows_of(left, right)) == said


def test_what_saved_an_answer_is_marked_where_it_parts():
    row = {"specialist": 0.5, "ancestor": 0.5}
    places = [[], [{"token": "4", **row}, {"token": "8", **row}], []]
    marked = with_rescue(places, rows_of("48-", "44-"))
    assert [each.get("rescued") for each in marked[1]] == [True, False]
    assert "rescued" not in places[1][0]
    # An added token stands opposite none.
    assert with_rescue(places, rows_of("48-", "448-")) == places
    assert with_rescue(places, rows_of("48-", "48-")) == places


@pytest.fixture
def ds():
    """Three attempts of retry and of sparse_steer on problem 1; the failed answer is 5 6 7."""
    study = tiny_study()
    names = list(study["intervention"].values)
    at = names.index("sparse_steer")
    study["n_tokens"].values[1, :, at] = [3, 3, 3, 3, 0]
    tokens = [[5, 6, 7], [5, 9, 9], [5, 6, 9], [4, 6, 7]]
    study["token_id"].values[1, :4, at, :3] = tokens
    study["correct"].values[1, :, at] = [0, 1, 1, 1, -1]
    return study


def test_attempts_by_hand(ds):
    frame = attempts(ds, 1, "sparse_steer", np.array([5, 6, 7, 8]))
    assert frame["attempt"].tolist() == [0, 1, 2, 3]
    assert frame["right"].tolist() == [False, True, True, True]
    assert frame["shared"].tolist() == [3, 1, 2, 0]
    assert attempts(ds, 1, "sparse_steer")["shared"].tolist() == [0, 0, 0, 0]
    # Right and sharing most; but it must leave the answer where it was lost, or before.
    assert clearest(frame) == 2
    assert clearest(frame, lost_at=1) == 1
    assert clearest(frame, lost_at=0) == 3
    assert clearest(frame[:1]) == 0
    assert clearest(frame[:0]) == -1


def test_the_intervention_that_rescues_most(ds):
    def of(**rates):
        for name in ds["intervention"].values[1:]:
            right = np.zeros(4, int)
            right[: rates.get(name, 0)] = 1
            at = list(ds["intervention"].values).index(name)
            run = ds["correct"].values[1, :4, at] >= 0
            ds["correct"].values[1, :4, at] = np.where(run, right, -1)
        return most_rescuing(ds, 1)

    assert of(retry=1, local_temperature=3) == "local_temperature"
    assert of(retry=4) == "retry"
    # Of equals not retry.
    assert of(retry=2, sparse_steer_random=2) == "sparse_steer_random"
    # Two of two are more than three of four.
    assert of(local_temperature=3, dense_steer=2) == "dense_steer"
    assert most_rescuing(ds, 0) == ""


def test_how_often_it_was_right():
    arms = [pd.DataFrame({"right": [True] * n + [False] * (20 - n)}) for n in (14, 4)]
    assert say_attempts(arms[0], "steer", arms[1]) == "steer: 14 of 20 right; retry: 4 of 20 right."
    assert say_attempts(arms[1], "retry", arms[1]) == "retry: 4 of 20 right."
    assert say_attempts(arms[0], "steer", arms[1][:0]) == "steer: 14 of 20 right."
