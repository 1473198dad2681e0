"""A study in short, worked by hand on frames of a few rows."""

import pandas as pd
import pytest

from recover_nb.core.labels import Verdict
from recover_nb.tables.short import (
    CLAIMS,
    chips,
    headline,
    regimes_by_task,
    say_equal_cost,
    say_regimes,
    say_rescue,
    short_text,
    ways,
)
from recover_nb.tables.verdicts import RULES

NAN = float("nan")


def rescue_frame(*rows):
    """Return the columns that are read, a row an intervention: name, rate, and two intervals."""
    records = []
    for name, rate, ends, apart in rows:
        lift = NAN if name == "retry" else 100 * (rate - 0.2)
        record = {"population": "failed_first_1", "cell": "all", "intervention": name}
        record |= {"rate": rate, "lift_points": lift}
        record |= dict(zip(("lift_low_all_points", "lift_high_all_points"), ends, strict=True))
        names = ("lift_low_checkpoints_points", "lift_high_checkpoints_points")
        records.append(record | dict(zip(names, apart, strict=True)))
    other = records[0] | {"cell": "qwen3|sft|program", "rate": 0.9}
    return pd.DataFrame([*records, other])


RETRY = ("retry", 0.2, (NAN, NAN), (NAN, NAN))
#: Above 0 by both intervals, by one alone, below 0 by both.
CALCULATOR = ("calculator", 0.8, (45.0, 75.0), (40.0, 80.0))
ANCESTOR = ("ancestor", 0.3, (1.0, 19.0), (-2.0, 22.0))
GREEDY = ("greedy", 0.1, (-18.0, -2.0), (-16.0, -4.0))
#: One checkpoint: the questions alone decide.
MIN_P = ("min_p", 0.25, (1.0, 9.0), (NAN, NAN))


def test_ways_stand_from_the_highest_rate_and_more_needs_both_intervals():
    frame = ways(rescue_frame(RETRY, GREEDY, ANCESTOR, CALCULATOR))
    assert frame["intervention"].tolist() == ["retry", "calculator", "ancestor", "greedy"]
    assert frame["verdict"].tolist() == ["not testable", "supported", "not shown", "contradicted"]
    assert frame["rate"].tolist() == [0.2, 0.8, 0.3, 0.1]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            (RETRY, ANCESTOR, CALCULATOR),
            "one more try saves 20%; a calculator saves 80%, and nothing else is shown to beat one"
            " more try.",
        ),
        (
            (RETRY, MIN_P, CALCULATOR, GREEDY),
            "one more try saves 20%; a calculator saves 80%, and 1 other way beats it too.",
        ),
        (
            (RETRY, ANCESTOR),
            "one more try saves 20%, and no other way of answering is shown to save more.",
        ),
        ((RETRY,), "one more try saves 20%; no other way of answering was tried."),
    ],
)
def test_the_headline_names_what_is_shown_to_save_more(rows, said):
    text = headline(rescue_frame(*rows))
    assert text == f"Of problems whose first answer failed, {said}"


def test_the_headline_says_whose_answers():
    frame = rescue_frame(RETRY).assign(population="failed")
    assert headline(frame).startswith("Of problems that failed at least once, one more try")


def test_what_saves_most_need_not_be_what_is_shown():
    text = say_rescue(rescue_frame(RETRY, ANCESTOR, GREEDY))
    assert "the ancestor alone saves most, 30%, and asking again 20%" in text
    assert "of 2 other ways none is shown to beat asking again" in text


def found(**verdicts):
    figure = {"retry_attempts": 6.0, "retry": 0.441, "routed": 0.405}
    return [
        {"name": name, "verdict": verdicts.get(name, "not shown"), "figure": figure, "claim": "x"}
        for name in RULES
    ]


def test_chips_are_verdicts_of_findings_in_words_for_people():
    five = chips(found(interventions="supported", permutation="contradicted"))
    assert [each.name for each in five] == list(CLAIMS)
    told = [(each.sign, each.verdict) for each in five]
    assert told == [
        ("\u2713", "supported"),
        ("?", "not shown"),
        ("\u2717", "contradicted"),
        ("?", "not shown"),
        ("?", "not shown"),
    ]
    assert len(five) == 5 and not any("_" in each.claim for each in five)


def test_equal_cost_says_who_is_ahead():
    text = say_equal_cost(found())
    assert "cost of 6 tries, asking again saves 44% and choosing by signals 40%" in text
    ahead = say_equal_cost(found(budget_forward_passes="contradicted"))
    assert ahead.endswith(": asking again saves more.")
    missing = [{**each, "figure": {}, "verdict": "not testable"} for each in found()]
    assert "is not stored" in say_equal_cost(missing)


def test_regimes_of_a_task_are_those_of_its_cells(monkeypatch):
    cells = ("a|sft|program", "a|sft|deduction", "b|sft|program")
    counts = ((1, 2, 3), (0, 0, 4), (5, 0, 1))
    names = ("steerable_hard", "beyond_reach", "resample")
    rows = [
        {"cell": cell, "regime": name, "count": count}
        for cell, each in zip(cells, counts, strict=True)
        for name, count in zip(names, each, strict=True)
    ]
    monkeypatch.setattr("recover_nb.tables.short.regimes_by_cell", lambda ds: pd.DataFrame(rows))
    frame = regimes_by_task(None)
    assert frame["cell"].tolist() == ["program"] * 3 + ["deduction"] * 3 + ["all"] * 3
    assert frame["count"].tolist() == [6, 2, 4, 0, 0, 4, 6, 2, 8]
    assert frame["share"].tolist()[:3] == [0.5, 2 / 12, 4 / 12]
    assert say_regimes(frame) == (
        "Of 16 failed problems, asking again does about as well as any operator for 8, an operator"
        " does better for 6, and no operator of the rule ever saved the other 2."
    )


def test_the_text_for_a_terminal_is_narrow_short_and_the_same_without_signs():
    rescue = rescue_frame(RETRY, *(CALCULATOR, ANCESTOR, GREEDY, MIN_P) * 3)
    text = short_text(rescue, found(interventions="supported"))
    lines = text.splitlines()
    assert len(lines) <= 22 and max(map(len, lines)) <= 80
    assert "\u2713 supported     Something saves more than asking again." in lines
    rows = [line for line in lines if " %" in line and "95 %" not in line]
    assert rows[0].split("  ")[0] == "asking again" and len(rows) == 8
    assert "+60.0 [+45.0, +75.0]  more" in rows[1]
    assert "Left out: 5 ways that save less." in text
    plain = short_text(rescue, found(interventions=Verdict.SUPPORTED), plain=True)
    assert plain.isascii() and "+ supported     Something" in plain
