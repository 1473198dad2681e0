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
from recover_nb.report.findings.page import render_lineages
from recover_nb.report.findings.paper import PAPER
from recover_nb.report.findings.record import draw_pictures
from recover_nb.report.findings.surprises import surprises
from recover_nb.tables.verdicts import CONTRADICTED, NOT_SHOWN, NOT_TESTABLE, SUPPORTED, VERDICTS

ROOT = Path(__file__).parents[2]
FIGURES, PAGE = ROOT / "data" / "findings.json", ROOT / "docs" / "findings.md"


def lead(value, low, high):
    """Return a lead whose interval over checkpoints is not known, as figures are stored."""
    ends = {"low_checkpoints": None, "high_checkpoints": None}
    return {"value": value, "low": low, "high": high, **ends}


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
    "permutations": 100,
    "classes": 3,
    "baselines": {
        "level": {"auc": 0.6, "lead": lead(0.15, 0.1, 0.2), "accuracy_lead": lead(0, 0, 0)},
        "commonest": {
            "auc": 0.5,
            "lead": lead(0.25, 0.2, 0.3),
            "accuracy_lead": lead(0.1, 0.05, 0.15),
        },
    },
    "added": lead(0.1, 0.05, 0.15),
    "verdict": "supported",
}


def over(first, **others):
    """Return figures of the headline and of other populations."""
    return {"populations": {"failed_first_1": first, **others}}


def verdict(name, section, figures):
    claim = next(each for each in CLAIMS if each.name == name)
    assert claim.section == section
    return claim.ask(figures).verdict


@pytest.mark.parametrize(
    ("first", "every", "own", "fresh"),
    [
        ((1, 0.1, 2, 0.01), (1, 0.1, 2, 0.01), SUPPORTED, SUPPORTED),
        ((1, 0.1, 2, 0.01), (1, 0.1, 2, 0.06), SUPPORTED, NOT_SHOWN),
        ((1, -0.1, 2, 0.01), (1, 0.1, 2, 0.01), NOT_SHOWN, NOT_SHOWN),
        ((-1, -2, -0.1, 1.0), (0, -1, 1, 0.5), CONTRADICTED, NOT_SHOWN),
        ((-1, -2, -0.1, 1.0), (-1, -2, -0.1, 1.0), CONTRADICTED, CONTRADICTED),
    ],
)
def test_the_count_rule_by_interval_and_null(first, every, own, fresh):
    def found(figures):
        value, low, high, p = figures
        rule = {"gain": [value, low, high, low, high], "null": [0.0, 0.5], "p": p}
        return {"n": 9, "ceiling": [3, 1, 5], "rules": {"count": rule, "retry": rule}}

    populations = {"failed_first_1": found(first), "failed": found(every)}
    figures = {
        "budget": 6,
        "observed": 50,
        "draws": 200,
        "threshold": {"temperature": 36, "dense_sample": 51},
        "own": {"populations": populations},
        "fresh": {"populations": populations},
    }
    assert verdict("routers", "routers", figures) == own
    assert verdict("routers_fresh", "routers", figures) == fresh
    said = next(each for each in CLAIMS if each.name == "routers").ask(figures).sentence
    assert said.endswith("asking again, from 36 of 50 failed on another temperature.")


@pytest.mark.parametrize(("claimed", "expected"), [(["ward 3"], SUPPORTED), ([], NOT_SHOWN)])
def test_clusters_need_one_clustering_beyond_the_nulls(claimed, expected):
    figures = {"clusterings": 22, "claimed": claimed, "least_p": 0.04}
    figures |= {"population": "failed_first_1", "draws": 100}
    assert verdict("clusters", "grid_pooled", figures) == expected
    assert verdict("clusters_robust", "grid_ranks", figures) == expected


@pytest.mark.parametrize(
    ("ari", "p", "expected"),
    [(0.5, 0.01, SUPPORTED), (0.49, 0.01, NOT_SHOWN), (0.6, 0.2, NOT_SHOWN)],
)
def test_clusters_are_the_regimes_only_when_alike_and_beyond_chance(ari, p, expected):
    views = {"pooled": {"alignment": {"regime": ari, "task": 0.1}}}
    assert verdict("aligned", "clusters", {"k": 2, "views": views, "regime_p": p}) == expected


@pytest.mark.parametrize("expected", [SUPPORTED, NOT_SHOWN])
def test_a_fingerprint_is_judged_over_the_headline(expected):
    one = PREDICTION | {"verdict": str(expected)}
    figures = {
        "pooled": over(one, failed=PREDICTION | {"verdict": "not testable"})
        | {"one_checkpoint": True},
        "task": {"missing": "one method"},
    }
    assert verdict("fingerprint", "fingerprint", figures) == expected
    said = judge({"fingerprint": figures})["fingerprint"].sentence
    assert "First answer failed, 200 problems: AUC 0.750" in said
    assert "level 0.600; features add +0.100 [+0.050, +0.150]" in said
    assert "Failed at least once, 200 problems" in said
    assert said.endswith("One checkpoint per family and method: this is about those checkpoints.")


def ranks(low):
    """Figures of a regime that features rank, and whose accuracy leads the commonest by `low`."""
    commonest = {"auc": 0.5, "lead": lead(0.2, 0.1, 0.3), "accuracy_lead": lead(0.02, low, 0.03)}
    return over(PREDICTION | {"baselines": {"commonest": commonest}})


def test_telling_is_not_predicting():
    assert verdict("tells", "regime", ranks(-0.01)) == SUPPORTED
    assert verdict("predicts", "regime", ranks(-0.01)) == NOT_SHOWN
    assert verdict("predicts", "regime", ranks(0.01)) == SUPPORTED
    bare = over(PREDICTION | {"verdict": str(NOT_SHOWN)})
    assert verdict("tells", "regime", bare) == NOT_SHOWN


def test_controls_are_judged_by_twins():
    one = {
        "pair": ["sparse_steer", "sparse_steer_random"],
        "rates": [0.5, 0.4],
        "points": 1.0,
        "interval": [0.1, 2],
        "checkpoints": [None, None],
        "n": 9,
        "problems": 3,
        "tasks": {},
    }
    names = ("place", "place_elsewhere", "place_same", "place_gap", "place_changed")
    changed = {"sparse_steer": 0.28, "sparse_steer_random": 0.04}
    found = over({"comparisons": dict.fromkeys(names, one), "changed": changed, "fired": {}})
    figures = found | {"verdicts": {"place": "supported", "mixture": "not testable"}}
    assert verdict("place", "controls", figures) == SUPPORTED
    assert verdict("mixture", "controls", figures) == NOT_TESTABLE
    said = judge({"controls": figures})["place"].sentence
    assert "at another token +1.0 points [+0.1, +2.0]; at the same token" in said
    assert "Attempts whose token was changed: sparse_steer 28%, sparse_steer_random 4%." in said
    # A table of rates knows no places.
    bare = over({"comparisons": {"place": one}, "changed": changed, "fired": {}})
    figures = bare | {"verdicts": {"place": "not testable", "mixture": "not testable"}}
    assert verdict("place", "controls", figures) == NOT_TESTABLE
    assert "cannot be matched" in judge({"controls": figures})["place"].sentence


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
        assert ("more answers could not help" in sentence) == said


def test_better_work_is_judged_by_length_where_all_answers_are_worked_out():
    longer = {name: row for name, row in MORE.items() if name != "guesses"}
    steps, lengths = ({"failed_first_1": {"arm": row}} for row in (BETTER, longer))
    figures = {"populations": steps, "by_length": lengths}
    for share, expected in ((0.8, SUPPORTED), (1.0, CONTRADICTED)):
        found = figures | {"worked_retry": {"failed_first_1": share}}
        assert verdict("better_work", "changes", found) == expected


@pytest.mark.parametrize("expected", [SUPPORTED, NOT_SHOWN, CONTRADICTED])
def test_reading_gives_every_lead(expected):
    readers = {
        "features": {"auc": 0.7, "lead": lead(0, 0, 0)},
        "ngrams": {"auc": 0.6, "lead": lead(0.1, 0.02, 0.2)},
        "no_signal": {"auc": 0.8, "lead": lead(-0.1, -0.2, -0.02)},
    }
    one = over({"rivals": ["ngrams", "no_signal"], "readers": readers}) | {"verdict": str(expected)}
    figures = {"pooled": one, "cell": one, "first": one}
    assert verdict("not_by_reading", "reading", figures) == expected
    found = judge({"reading": figures})["not_by_reading"]
    assert found.figure == "lead over text +0.10, lead over all together -0.10 AUC"
    assert "ngrams 0.600 (+0.100 [+0.020, +0.200]), all together 0.800 (-0.100" in found.sentence


@pytest.mark.parametrize(
    ("frozen", "expected"), [((0.5, 0.6), SUPPORTED), ((0.5, 0.49), NOT_SHOWN)]
)
def test_clusters_transfer_only_in_every_direction(frozen, expected):
    rows = [
        {"source": "a", "target": "b", "frozen": value, "refitted": 0.5, "halves": 0.6}
        for value in frozen
    ]
    figures = over({"directions": rows}) | {"by": "family", "k": 3}
    assert verdict("clusters_transfer", "transfer", figures) == expected


@pytest.mark.parametrize("expected", [SUPPORTED, NOT_SHOWN, CONTRADICTED])
def test_routing_transfer_is_told_by_permuted_routes(expected):
    one = {"lift": 0.02, "ci95": [0.01, 0.03], "checkpoints": [None, None], "p": 1 / 101}
    row = {"source": "a", "target": "b", "permuted": one, "excess": {"value": 0.05}}
    figures = over({"directions": [row]}) | {"estimator": "split", "permutations": 100}
    figures |= {"verdict": str(expected)}
    assert verdict("routing_transfers", "transfer", figures) == expected
    claim = next(each for each in CLAIMS if each.name == "routing_transfers")
    text = claim.ask(figures).sentence
    assert "a to b +2.0 points [+1.0, +3.0] (p <= 0.0099 (100 permutations))" in text
    assert text.endswith("The published lift over retry, less its null: a to b +5.0 points.")


def test_what_is_missing_is_not_testable_and_says_why():
    found = judge({"reading": {"missing": "no text is stored"}})
    assert {found[claim.name].verdict for claim in CLAIMS} == {NOT_TESTABLE}
    assert found["not_by_reading"].sentence == "Cannot be tested here: no text is stored."


def test_a_surprise_stands_only_while_its_verdicts_hold():
    judged = judge({"regime": ranks(-0.01)})
    assert any("not shown to beat always naming" in text for text in surprises(judged))
    assert surprises(judge({"regime": ranks(0.01)})) == []


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


def test_the_pages_and_pictures_are_what_the_figures_say():
    sources = read_figures(FIGURES)
    drawn = draw_pictures(sources[BUNDLED])
    assert list(drawn) == [each.name for each in PAPER]
    assert render_page(sources, pictures=list(drawn)) == PAGE.read_text(encoding="utf-8")
    before = json.loads((ROOT / "data" / "first_lineage.json").read_text(encoding="utf-8"))
    lineages = PAGE.with_name("lineages.md").read_text(encoding="utf-8")
    assert render_lineages(sources[BUNDLED], before) == lineages
    for name, svg in drawn.items():
        stored = (PAGE.parent / "findings" / f"{name}.svg").read_text(encoding="utf-8")
        assert stored == svg, name


def test_the_papers_claims_come_first_and_each_of_ours_is_folded():
    page = PAGE.read_text(encoding="utf-8")
    assert page.index("## What stands") < page.index("## What it means")
    places = [page.index(f"## {each.title}\n") for each in PAPER]
    assert places == sorted(places) and len(places) == 5
    ours = page.index("## Ours\n")
    assert places[-1] < ours
    of_paper = {name for each in PAPER for name in (each.lead, *each.also)}
    for claim in CLAIMS:
        if claim.name in of_paper:
            assert f"### {claim.title}\n" in page[:ours], claim.name
        else:
            assert f"<summary>{claim.title} " in page[ours:], claim.name
    # A reader sees in one screen what stands: five rows, each with a verdict on both sources.
    screen = page[page.index("## What stands") : page.index("## What it means")]
    rows = [line for line in screen.splitlines() if line.startswith("| **")]
    assert len(rows) == 5
    for row in rows:
        assert sum(f"**{verdict}**" in row for verdict in VERDICTS) >= 1


def test_every_claim_has_a_rule_with_a_date_before_today():
    for claim in CLAIMS:
        assert claim.rule and "2026-11-21" <= claim.dated <= "2026-11-28", claim.name


@pytest.mark.parametrize(
    ("interval", "checkpoints", "expected"),
    [
        ([1, 3], [0.5, 3.5], SUPPORTED),
        ([1, 3], [-0.5, 4.5], NOT_SHOWN),
        ([1, 3], [None, None], SUPPORTED),
        ([-3, -1], [-4, -0.5], CONTRADICTED),
    ],
)
def test_more_than_the_ancestor_alone(interval, checkpoints, expected):
    one = {"points": 2.0, "interval": interval, "checkpoints": checkpoints}
    figures = {"populations": {"failed_first_1": {"comparisons": {"alone": one}}}}
    assert verdict("more_than_ancestor", "controls", figures) == expected
    nothing = {"populations": {"failed_first_1": {"comparisons": {}}}}
    assert verdict("more_than_ancestor", "controls", nothing) == NOT_TESTABLE


def test_every_claim_has_a_verdict_on_the_study():
    sources = read_figures(FIGURES)
    assert list(sources) == [BUNDLED, AUTHORS]
    for claim, found in judge(sources[BUNDLED]).items():
        assert found.verdict in VERDICTS
        # Fifty retries were not made.
        untested = claim == "budget_attempts"
        assert (found.verdict == NOT_TESTABLE) == untested, f"{claim}: {found.sentence}"


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
