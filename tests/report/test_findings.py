"""Verdicts at both sides of their rules; the shipped page against the shipped figures and data."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.report.findings import (
    AUTHORS,
    BUNDLED,
    CLAIMS,
    SECTIONS,
    judge,
    measure,
    read_figures,
    render_page,
)
from recover_nb.report.findings.measure import rounded
from recover_nb.report.findings.paired import paired_difference
from recover_nb.report.findings.surprises import surprises
from recover_nb.tables.verdicts import CONTRADICTED, NOT_SHOWN, NOT_TESTABLE, SUPPORTED, VERDICTS

ROOT = Path(__file__).parents[2]
FIGURES, PAGE = ROOT / "data" / "findings.json", ROOT / "docs" / "findings.md"

PREDICTION = {
    "n": 200,
    "accuracy": 0.70,
    "accuracy_sd": 0.01,
    "majority": 0.60,
    "permuted": 0.58,
    "p": 0.01,
    "auc": 0.75,
    "auc_permuted": 0.5,
    "p_auc": 0.01,
    "classes": 3,
}


def verdict(name, section, figures):
    claim = next(each for each in CLAIMS if each.name == name)
    assert claim.section == section
    return claim.ask(figures).verdict


@pytest.mark.parametrize(("claimed", "expected"), [(["ward 3"], SUPPORTED), ([], NOT_SHOWN)])
def test_clusters_need_one_clustering_beyond_the_nulls(claimed, expected):
    figures = {"clusterings": 22, "claimed": claimed, "least_p": 0.04}
    assert verdict("clusters", "grid_pooled", figures) == expected
    assert verdict("clusters_robust", "grid_ranks", figures) == expected


@pytest.mark.parametrize(
    ("ari", "p", "expected"),
    [(0.5, 0.01, SUPPORTED), (0.49, 0.01, NOT_SHOWN), (0.6, 0.2, NOT_SHOWN)],
)
def test_clusters_are_the_regimes_only_when_alike_and_beyond_chance(ari, p, expected):
    views = {"pooled": {"alignment": {"regime": ari, "task": 0.1}}}
    assert verdict("aligned", "clusters", {"k": 2, "views": views, "regime_p": p}) == expected


@pytest.mark.parametrize(
    ("accuracy", "p", "expected"),
    [(0.70, 0.01, SUPPORTED), (0.60, 0.01, NOT_SHOWN), (0.7, 0.06, NOT_SHOWN)],
)
def test_a_fingerprint_beats_the_majority_and_chance(accuracy, p, expected):
    pooled = PREDICTION | {"accuracy": accuracy, "p": p}
    assert (
        verdict("fingerprint", "fingerprint", {"pooled": pooled, "task": {"missing": "one method"}})
        == expected
    )


def test_telling_is_not_predicting():
    level = PREDICTION | {"accuracy": 0.615, "majority": 0.60}
    assert verdict("tells", "regime", level) == SUPPORTED
    assert verdict("predicts", "regime", level) == NOT_SHOWN
    assert verdict("predicts", "regime", level | {"accuracy": 0.621}) == SUPPORTED
    assert verdict("tells", "regime", level | {"p_auc": 0.2}) == NOT_SHOWN


@pytest.mark.parametrize(
    ("interval", "expected"),
    [([0.1, 2], SUPPORTED), ([-0.1, 2], NOT_SHOWN), ([-3, -1], CONTRADICTED)],
)
def test_controls_by_their_interval(interval, expected):
    found = {
        "pair": ["sparse_steer", "sparse_steer_random"],
        "rates": [0.5, 0.4],
        "points": 1.0,
        "interval": interval,
        "n": 9,
    }
    assert verdict("place", "controls", {"place": found}) == expected
    assert verdict("mixture", "controls", {"place": found}) == NOT_TESTABLE


#: Points and both intervals of an operator that rescues by better work, by more, and of none.
BETTER = {
    "difference": [4, 2, 6, 1, 7],
    "more": [1, 0, 2, -1, 3],
    "better": [3, 1, 5, 1, 5],
    "guesses": [0, 0, 0, 0, 0],
}
MORE = BETTER | {"more": [3, 1, 5, 1, 5], "better": [1, 0, 2, -1, 3]}
NOTHING = BETTER | {"difference": [1, -1, 3, -1, 3], "better": [-1, -2, 0, -2, 0]}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([BETTER, BETTER], SUPPORTED),
        # What does not rescue is not asked.
        ([BETTER, NOTHING], SUPPORTED),
        ([BETTER, MORE], NOT_SHOWN),
        ([MORE, MORE], CONTRADICTED),
        ([BETTER | {"better": [3, -1, 7, 1, 5]}], NOT_SHOWN),
        ([BETTER | {"better": [3, 1, 5, -1, 7]}], NOT_SHOWN),
        # One checkpoint has no second interval.
        ([BETTER | {"better": [3, 1, 5, None, None]}], SUPPORTED),
        ([BETTER | {"guesses": [3.5, 1, 6, 1, 6]}], NOT_SHOWN),
        ([NOTHING], NOT_SHOWN),
    ],
)
def test_better_work_has_to_be_the_larger_part_of_every_rescue(rows, expected):
    arms = {"failed_first_1": {f"arm {place}": row for place, row in enumerate(rows)}}
    figures = {"worked_retry": {"failed_first_1": 0.8}, "populations": arms, "by_length": arms}
    assert verdict("better_work", "changes", figures) == expected


def test_better_work_says_when_more_of_it_had_nothing_to_give():
    claim = next(each for each in CLAIMS if each.name == "better_work")
    arms = {"failed_first_1": {"arm": BETTER}}
    figures = {"populations": arms, "by_length": arms}
    for share, said in ((0.8, False), (0.995, True)):
        sentence = claim.ask(figures | {"worked_retry": {"failed_first_1": share}}).sentence
        assert ("more answers had nothing to give" in sentence) == said


def test_better_work_is_judged_by_length_where_all_answers_are_worked_out():
    longer = {name: row for name, row in MORE.items() if name != "guesses"}
    steps, lengths = ({"failed_first_1": {"arm": row}} for row in (BETTER, longer))
    figures = {"populations": steps, "by_length": lengths}
    for share, expected in ((0.8, SUPPORTED), (1.0, CONTRADICTED)):
        found = figures | {"worked_retry": {"failed_first_1": share}}
        assert verdict("better_work", "changes", found) == expected


@pytest.mark.parametrize(
    ("lead", "expected"),
    [
        ([0.1, 0.02, 0.2], SUPPORTED),
        ([0, -0.1, 0.1], NOT_SHOWN),
        ([-0.2, -0.3, -0.1], CONTRADICTED),
    ],
)
def test_reading_by_the_lead_of_the_features(lead, expected):
    readers = {"features": {"auc": 0.7, "lead": [0, 0, 0]}, "ngrams": {"auc": 0.6, "lead": lead}}
    assert (
        verdict("not_by_reading", "reading", {"pooled": readers, "cell": readers, "first": readers})
        == expected
    )


@pytest.mark.parametrize(
    ("frozen", "expected"), [((0.5, 0.6), SUPPORTED), ((0.5, 0.49), NOT_SHOWN)]
)
def test_clusters_transfer_only_in_every_direction(frozen, expected):
    rows = [
        {"source": "a", "target": "b", "frozen": value, "refitted": 0.5, "halves": 0.6}
        for value in frozen
    ]
    assert (
        verdict("clusters_transfer", "transfer", {"by": "family", "k": 3, "directions": rows})
        == expected
    )


@pytest.mark.parametrize(
    ("excess", "expected"),
    [
        ([(0.1, 0.02), (0.2, 0.1)], SUPPORTED),
        ([(0.1, 0.02), (-0.1, 0.1)], NOT_SHOWN),
        ([(-0.3, -0.2), (-0.2, -0.1)], CONTRADICTED),
    ],
)
def test_routing_transfers_only_in_every_direction(excess, expected):
    rows = [
        {
            "source": "a",
            "target": "b",
            "excess": {"value": np.mean(ends), "ci95": sorted(ends), "p": 0.01},
        }
        for ends in excess
    ]
    figures = {
        "by": "family",
        "k": 3,
        "directions": [x | {"frozen": 1, "refitted": 1, "halves": 1} for x in rows],
    }
    assert verdict("routing_transfers", "transfer", figures) == expected


def test_what_is_missing_is_not_testable_and_says_why():
    found = judge({"reading": {"missing": "no text is stored"}})
    assert {found[claim.name].verdict for claim in CLAIMS} == {NOT_TESTABLE}
    assert found["not_by_reading"].sentence == "Cannot be tested here: no text is stored."


def test_a_surprise_stands_only_while_its_verdicts_hold():
    level = PREDICTION | {"accuracy": 0.60}
    judged = judge({"regime": level})
    assert any("never beat saying the commonest" in text for text in surprises(judged))
    assert surprises(judge({"regime": PREDICTION})) == []


def test_rounding_keeps_six_digits_all_the_way_down():
    assert rounded({"a": [1.23456789, 3], "b": {"c": 1234567.0, "d": None}}) == {
        "a": [1.23457, 3],
        "b": {"c": 1234570.0, "d": None},
    }


def small():
    """Four problems, two operators; the last problem was given one of them only."""
    rates = np.array([[0.5, 0.25], [1.0, 0.5], [0.25, 0.0], [0.5, np.nan]])
    return xr.Dataset(
        {"rescue_rate": (("problem", "intervention"), rates)},
        coords={
            "intervention": ["sparse_steer", "retry"],
            "task": ("problem", ["t"] * 4),
            "problem_id": ("problem", ["a", "b", "c", "d"]),
        },
    )


def test_paired_difference_by_hand():
    found = paired_difference(small(), "sparse_steer", "retry", n_bootstrap=4000)
    # (0.25 + 0.5 + 0.25) / 3; of three draws from {25, 50, 25} the mean is 25 with chance 8/27 and
    # 50 with 1/27.
    assert found["n"] == 3
    assert found["points"] == pytest.approx(100 / 3)
    assert found["rates"] == pytest.approx([1.75 / 3, 0.25])
    assert found["interval"] == pytest.approx([25, 50])


def test_paired_difference_of_what_was_not_run():
    with pytest.raises(
        InputError, match="no intervention 'calculator'; allowed: sparse_steer, retry"
    ):
        paired_difference(small(), "calculator", "retry")


def test_measure_refuses_what_it_does_not_have():
    with pytest.raises(InputError, match=r"no section 'miracle'; allowed: sizes, "):
        measure(small(), only=["miracle"])
    with pytest.raises(InputError, match="processes is 0"):
        measure(small(), only=["sizes"], processes=0)


def test_a_broken_record_is_refused(tmp_path):
    path = tmp_path / "findings.json"
    assert read_figures(path) == {}
    path.write_text('{"seed": 0}')
    with pytest.raises(InputError, match="not a record of findings"):
        read_figures(path)


def test_the_page_is_what_the_figures_say():
    assert render_page(read_figures(FIGURES)) == PAGE.read_text(encoding="utf-8")


def test_every_claim_has_a_verdict_on_the_study():
    sources = read_figures(FIGURES)
    assert list(sources) == [BUNDLED, AUTHORS]
    for claim, found in judge(sources[BUNDLED]).items():
        assert found.verdict in VERDICTS
        assert found.verdict != NOT_TESTABLE, f"{claim}: {found.sentence}"


def alike(one, other, where=""):
    """Compare plain data, floats to 1 in 10,000: the last bits differ between machines."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            alike(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for place, (a, b) in enumerate(zip(one, other, strict=True)):
            alike(a, b, f"{where}/{place}")
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6), where
    else:
        assert one == other, where


@pytest.mark.slow
@pytest.mark.parametrize("section", list(SECTIONS))
def test_the_figures_are_what_the_study_gives(section):
    found = measure(rnb.load_study(), only=[section], processes=1)
    alike(json.loads(json.dumps(found))[section], read_figures(FIGURES)[BUNDLED][section])


@pytest.mark.slow
@pytest.mark.parametrize(
    "section", ["clusters", "fingerprint", "regime", "routing", "controls", "transfer"]
)
def test_the_figures_are_what_the_authors_table_gives(section):
    path = ROOT.parent / "shared" / "reference" / "published_profiles.csv"
    if not path.exists():
        pytest.skip("the authors' table is not here")
    found = measure(rnb.from_profiles(path), only=[section], processes=1)
    alike(json.loads(json.dumps(found))[section], read_figures(FIGURES)[AUTHORS][section])


def test_what_moves_says_whose_failures_it_is_about():
    moved = {
        "population": "failed_first_1",
        "n": 1616,
        "reference": [3.1, 1.8, 4.6],
        "checkpoints": [1.5, 4.6],
        "tried": 37,
        "moved": 1,
        "how": {"reversed": "alpha 0.9", "undecided": "", "same": "", "missing": "least gain 1"},
    }
    claim = next(each for each in CLAIMS if each.name == "robust_retry")
    found = claim.ask({"beats_retry_all": moved})
    assert (found.verdict, found.figure) == (NOT_SHOWN, "1 of 37 changes move it")
    assert found.sentence == (
        "1,616 problems (first answer failed): beats retry all (+3.1 points [+1.8, +4.6], over"
        " checkpoints [+1.5, +4.6]): 1 of 37 changes move it; reversed by alpha 0.9; no problem is"
        " left to score with least gain 1."
    )
    # One checkpoint, nothing moved.
    one = {**moved, "checkpoints": [None, None], "moved": 0, "how": {}}
    found = claim.ask({"beats_retry_all": one})
    assert found.verdict == SUPPORTED
    assert found.sentence == (
        "1,616 problems (first answer failed): beats retry all (+3.1 points [+1.8, +4.6]):"
        " 0 of 37 changes move it."
    )
