"""Ablations: the reference is the evaluation, planted truths show, the file reads as written."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from chart_parts import COMPUTING, check_shown, parts
from traced_study import traced_study

import recover_nb as rnb
from recover_nb import tables
from recover_nb.charts.ablation import plot_ablations
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Conclusion, Factor, Move, Standardisation
from recover_nb.core.shipped import data_folder
from recover_nb.routing.ablation import ablate as module
from recover_nb.routing.ablation import variants
from recover_nb.routing.ablation.ablate import CONCLUSIONS, Figure, ablate, moved
from recover_nb.routing.ablation.stored import (
    ABLATIONS,
    ATTEMPT_VARIATIONS,
    SIGNAL_VARIATIONS,
    fingerprint,
    load_ablations,
    pack,
    spread_out,
    unpack,
)
from recover_nb.routing.ablation.variants import (
    REFERENCES,
    RULE,
    STORED,
    SUBSET,
    ScopedTable,
    Trial,
    signal_trials,
    with_outcomes,
)
from recover_nb.routing.evaluation import evaluate_routing
from recover_nb.routing.populations import FAILED, choose_populations
from recover_nb.routing.table import Inputs, Table, tabulate

FEW = {"n_bootstrap": 200, "n_null": 20, "n_splits": 8}
REFERENCE = REFERENCES[RULE]


@pytest.fixture(scope="module")
def tied():
    """Only the operator that the published rule names helps."""
    return rnb.make_study(effect="tied", size=0.4, n_problems=80, seed=1)


@pytest.fixture(scope="module")
def found(tied):
    return ablate(tied, **FEW)


# --- figures
# ------------------------------------------------------------------------------------------


def check_reference(result, ds, population):
    """Hold a reference against the evaluation of the same population, both intervals too."""
    whole = evaluate_routing(
        ds,
        populations=[population],
        n_permutations=1,
        only=("published", "null", "split", "all"),
        cell_intervals=False,
        **FEW,
    )
    assert result.population == population
    for conclusion, (part, comparator) in CONCLUSIONS.items():
        figure = result.settings[REFERENCE].figures[conclusion]
        if conclusion == Conclusion.PUBLISHED_EXCEEDS_NULL:
            item, name = whole.lift("null", comparator), "excess"
        else:
            item, name = whole.lift(part, comparator), "lift"
        expected = [
            float(item[f"{name}{end}"])
            for end in ("", "_low", "_high", "_low_checkpoints", "_high_checkpoints")
        ]
        assert np.isfinite(expected).all(), conclusion
        measured = [figure.value, *figure.ci95, *figure.ci95_checkpoints]
        assert measured == pytest.approx(expected, abs=1e-12), conclusion
    reference = result.settings[REFERENCE]
    assert reference.n == int(whole.figures["problems"].sel(cell="all"))
    assert reference.published == pytest.approx(float(whole.lift()["lift"]), abs=1e-12)
    assert reference.steerable_hard == pytest.approx(float(whole.figures["hard"]), abs=1e-12)


@pytest.mark.parametrize("population", ["failed_first_1", "failed"])
def test_the_reference_is_the_evaluation(tied, found, population):
    result = found if population == "failed_first_1" else ablate(tied, population=FAILED, **FEW)
    check_reference(result, tied, population)


@pytest.mark.parametrize("population", ["failed_first_1", "failed"])
def test_the_reference_is_the_evaluation_of_the_shipped_study(population, monkeypatch):
    """It has more interventions than the rule is about, and stores its routes."""
    monkeypatch.setattr(module, "rule_trials", lambda table: ())
    monkeypatch.setattr(module, "signal_trials", lambda table, units: ())
    ds = rnb.load_study()
    check_reference(ablate(ds, population=population, stored={}, **FEW), ds, population)


def test_a_setting_is_the_evaluation_under_it(tied, found):
    """Edges and policies enter the evaluation in their own way; the ablation must agree."""
    headline = {"populations": ["failed_first_1"], "n_permutations": 1}
    edges = evaluate_routing(tied, min_gain=0.2, only=("split",), **headline, **FEW)
    policy = rnb.RoutingPolicy({"spread": "dense_steer"})
    alone = evaluate_routing(tied, policy=policy, only=("all",), **headline, **FEW)
    figures = found.settings["min_gain=0.2"].figures
    lift = float(edges.lift("split")["lift"])
    assert figures[Conclusion.BEATS_RETRY_SPLIT].value == pytest.approx(lift, abs=1e-12)
    # Without selection the edges change nothing: no such figure.
    assert Conclusion.BEATS_RETRY_ALL not in figures
    lift = float(alone.lift("all", "permuted")["lift"])
    figure = found.settings["feature_alone=spread"].figures[Conclusion.BEATS_PERMUTED_ALL]
    assert figure.value == pytest.approx(lift, abs=1e-12)
    assert figure.ci95_checkpoints == pytest.approx(
        [float(alone.lift("all", "permuted")[f"lift_{end}_checkpoints"]) for end in ("low", "high")]
    )
    # The mappings of an evaluation are routed by the same z-scores.
    ways = evaluate_routing(tied, only=("mappings",), **headline, **FEW).figures
    for name in ways["mapping"].values[1:]:
        figure = found.settings[f"mapping={name}"].figures[Conclusion.BEATS_RETRY_ALL]
        lift = float(ways["mapping_lift"].sel(mapping=name))
        assert figure.value == pytest.approx(lift, abs=1e-12)


def test_a_change_is_paired_with_the_reference(found):
    before = found.settings[REFERENCE].figures[Conclusion.BEATS_RETRY_ALL]
    after = found.settings["fallback=retry"].figures[Conclusion.BEATS_RETRY_ALL]
    assert after.change == pytest.approx(after.value - before.value)
    low, high = after.change_ci95
    assert low <= after.change <= high
    # Paired: far narrower than two independent intervals would be.
    apart = np.hypot(np.ptp(before.ci95), np.ptp(after.ci95))
    assert high - low < apart / 2


def test_only_the_planted_mapping_is_right(found):
    name = Conclusion.BEATS_PERMUTED_ALL
    assert found.settings[REFERENCE].figures[name].ci95[0] > 0
    others = [each for each in found.settings.values() if each.factor == Factor.MAPPING]
    assert len(others) == 5
    for each in others:
        assert each.figures[name].changed and each.figures[name].change < 0, each.name
    # The two that name no feature's own operator.
    own = list(rnb.PUBLISHED.operators.values())
    wrong = [", ".join(own[shift:] + own[:shift]) for shift in (1, 2)]
    assert all(
        found.moves(name)[f"mapping={each}"] in (Move.SIGNIFICANCE, Move.REVERSED) for each in wrong
    )
    # A rule that knows one feature of three is right for some.
    for each in ("spread", "concentration", "logit_dispersion"):
        figure = found.settings[f"feature_alone={each}"].figures[name]
        assert 0 < figure.value < found.settings[REFERENCE].figures[name].value


def test_without_an_effect_only_the_published_lift_is_there():
    result = ablate(rnb.make_study(effect="none", n_problems=60, seed=7), **FEW)
    figures = result.settings[REFERENCE].figures
    assert result.settings[REFERENCE].published > 0.05
    for conclusion in (
        Conclusion.PUBLISHED_EXCEEDS_NULL,
        Conclusion.BEATS_RETRY_SPLIT,
        Conclusion.BEATS_RETRY_ALL,
    ):
        assert figures[conclusion].ci95[0] < 0 < figures[conclusion].ci95[1]


@pytest.mark.parametrize(
    ("before", "after", "move"),
    [
        ((2, 1, 3), (1, 0.5, 2), Move.STAYS),
        ((2, 1, 3), (1, -1, 2), Move.SIGNIFICANCE),
        ((2, 1, 3), (-1, -2, 1), Move.SIGNIFICANCE),
        ((0.5, -1, 2), (2, 1, 3), Move.SIGNIFICANCE),
        ((2, 1, 3), (-2, -3, -1), Move.REVERSED),
        ((0.5, -1, 2), (-0.5, -2, 1), Move.SIGN),
        ((0.5, -1, 2), (0.7, -1, 2), Move.STAYS),
        ((-2, -3, -1), (-1, -2, -0.5), Move.STAYS),
    ],
)
def test_moves_by_hand(before, after, move):
    one, two = (
        Figure(float(value), (float(low), float(high))) for value, low, high in (before, after)
    )
    assert moved(one, two) == move


# --- trials
# ------------------------------------------------------------------------------------------


def hand_table(features, cells, **kwargs):
    n = len(features)
    return Table(
        arms=("retry", "sparse_steer", "sparse_steer_random", "local_temperature", "dense_steer"),
        n_regime=4,
        rate=np.zeros((n, 5)),
        attempts=np.full((n, 5), 2),
        features=np.array(features, float),
        cells=np.array(cells),
        clusters=np.arange(n),
        strata=np.zeros(n, int),
        **kwargs,
    )


def test_standardisations_by_hand():
    """Cell 0 has spread 0 and 2, cell 1 has 10 and 12, all else is constant.

    Within a cell the larger one calls for dense_steer (arm 4); pooled, all of cell 1 does. With
    only the larger of each cell scored, its z-score is 0 in its cell and everybody falls back (arm
    2), unless all failed problems count."""
    table = hand_table([[0, 1, 1], [2, 1, 1], [10, 1, 1], [12, 1, 1]], [0, 0, 1, 1])
    plain = {name: getattr(table, name) for name in table.__dataclass_fields__}
    everyone, larger = np.ones((1, 4), bool), np.array([[False, True, False, True]])
    decided = {
        scope: [
            ScopedTable(**plain, scope=scope).decide(chosen)[0].tolist()
            for chosen in (everyone, larger)
        ]
        for scope in Standardisation
    }
    assert decided[Standardisation.SCORED] == [[2, 4, 2, 4], [2, 2, 2, 2]]
    assert decided[Standardisation.FAILED] == [[2, 4, 2, 4], [2, 4, 2, 4]]
    # Scored problems have spread 2 and 12, mean 7: 10 and 12 lie above.
    assert decided[Standardisation.POOLED] == [[2, 2, 4, 4], [2, 2, 4, 4]]
    assert table.decide(larger).tolist() == [decided[Standardisation.SCORED][1]]


def test_fewer_attempts_by_hand():
    table = hand_table([[0, 1, 1], [2, 1, 1]], [0, 0])
    correct = np.full((2, 3, 5), -1)
    correct[0, :, 0], correct[0, :2, 4] = [1, 0, 1], [1, 1]
    found = with_outcomes(table, correct)
    assert found.rate[0, 0] == 2 / 3
    assert found.attempts[0].tolist() == [3, 0, 0, 0, 2]
    assert found.rate[0, 4] == 1
    assert np.isnan(found.rate[1]).all()


def test_windows_and_rollouts_by_hand():
    """Two failed rollouts of four tokens: junctions at 0 and 3, logit variances 10^(0, 1, 2, 3)."""
    one = traced_study(n_problems=2).isel(problem=[0])
    ds = one.isel(token=slice(0, 4), rollout=slice(0, 3)).copy(deep=True)
    pressure, variance = (
        np.zeros((1, 3, 4), np.float32),
        np.tile(10.0 ** np.arange(4), (1, 3, 1)).astype(np.float32),
    )
    pressure[0, 1, 0], pressure[0, 2, 3] = 1, 1
    ds["demotion_pressure"], ds["logit_variance"] = (
        (("problem", "rollout", "token"), x) for x in (pressure, variance)
    )
    ds["has_signals"] = (("problem", "rollout"), np.array([[0, 1, 1]], np.int8))
    ds["n_tokens"][:] = 4
    trials = {
        each.name: each.table.features[0]
        for each in signal_trials(hand_table([[0, 0, 0]], [0]), ds)
    }
    whole = np.log10(np.mean([1, 10, 100, 1000]))
    assert trials[REFERENCES[STORED]] == pytest.approx([1 / 4, np.log10(4), whole])
    assert trials["window=whole trace"] == pytest.approx(trials[REFERENCES[STORED]])
    ends = np.log10([np.mean([1, 10]), np.mean([100, 1000])])
    assert trials["window=1"][2] == pytest.approx(ends.mean())
    # The first rollout alone; its window of 8 is the whole trace.
    assert trials["failed_rollouts=1"] == pytest.approx([1 / 4, np.log10(4), whole])
    assert "failed_rollouts=5" not in trials


def test_every_choice_is_tried(tied, found):
    count = {
        factor: sum(each.factor == factor for each in found.settings.values()) for factor in Factor
    }
    assert [count[factor] for factor in Factor] == [1, 3, 3, 5, 4, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0]
    assert len(tied["problem"]) == 160 and found.settings[REFERENCE].n < 160
    traced = ablate(traced_study(), **FEW)
    more = {
        factor: sum(each.factor == factor for each in traced.settings.values()) for factor in Factor
    }
    assert (more[Factor.REFERENCE], more[Factor.FAILED_ROLLOUTS], more[Factor.WINDOW]) == (2, 2, 5)
    for each in traced.settings.values():
        assert each.reference == (
            REFERENCES[STORED] if each.factor == Factor.WINDOW else each.reference
        )
        assert each.factor == Factor.REFERENCE or np.isfinite(
            each.figures[Conclusion.BEATS_RETRY_SPLIT].change
        )


def test_a_table_of_rates_has_no_split_and_no_fewer_attempts(tied):
    ds = tied.drop_vars("correct")
    result = ablate(ds, **FEW)
    assert Conclusion.BEATS_RETRY_SPLIT not in result.settings[REFERENCE].figures
    assert not any(each.factor == Factor.ATTEMPTS for each in result.settings.values())
    assert Conclusion.PUBLISHED_EXCEEDS_NULL in result.settings["min_gain=0.1"].figures


def test_same_seed_same_figures_and_input_is_not_changed(tied, found):
    before = tied.copy(deep=True)
    names = []
    again = ablate(tied, progress=names.append, **FEW)
    assert again.to_dict() == found.to_dict()
    assert names == list(found.settings)
    xr.testing.assert_identical(tied, before)
    other = ablate(tied, seed=1, **FEW)
    figure = Conclusion.BEATS_RETRY_ALL
    assert (
        other.settings[REFERENCE].figures[figure].ci95
        != found.settings[REFERENCE].figures[figure].ci95
    )


def test_plain_data(found):
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    figure = data["settings"]["mapping=" + "sparse_steer, dense_steer, local_temperature"][
        "figures"
    ]["beats_retry_all"]
    assert set(figure) == {
        *("value", "ci95", "ci95_checkpoints", "change", "change_ci95", "move", "changed")
    }
    assert data["population"] == "failed_first_1"
    assert data["settings"][REFERENCE]["figures"]["beats_retry_all"]["change"] is None
    assert data["about"] == {"seed": 0, **FEW, "models": None}


def test_refusals(tied):
    with pytest.raises(InputError, match="n_splits must be a whole number of at least 1, got 0"):
        ablate(tied, n_splits=0)
    with pytest.raises(InputError, match="no variable 'features'"):
        ablate(tied.drop_vars("features"))
    without = tied.sel(
        intervention=[name for name in tied["intervention"].values if name != "dense_steer"]
    )
    with pytest.raises(InputError, match="no intervention dense_steer"):
        ablate(without)


# --- the file
# ------------------------------------------------------------------------------------------


def test_outcomes_are_bits():
    outcomes = np.array([[1, 0, 0, 0, 0], [0, 0, 1, 1, 0]], bool)
    # 1000 0001 10, filled up with zeros.
    assert pack(outcomes) == "8180"
    assert unpack("8180", (2, 5)).tolist() == outcomes.tolist()
    with pytest.raises(InputError, match="16 outcomes are stored where 4 x 5"):
        unpack("8180", (4, 5))
    with pytest.raises(InputError, match="not hexadecimal"):
        unpack("xyz", (1, 1))


def test_problems_are_spread_out():
    assert spread_out(10, 4).tolist() == [0, 2, 5, 7]
    assert spread_out(3, 30).tolist() == [0, 1, 2]
    assert spread_out(0, 5).tolist() == []


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(InputError, match="no such file; give a file that is made with: recover"):
        load_ablations(tmp_path / "ablations.json")
    for content, said in (
        ("{", "is not JSON"),
        ("[]", "is of type list"),
        ('{"about": {"layout": 9}}', "layout 9"),
    ):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(InputError, match=said):
            load_ablations(tmp_path / "a.json")


def stored_for(ds):
    """Return ablations of a simulated study: its own attempts, and a setting where all succeed."""
    table, _, labels = tabulate(ds)
    cells = {}
    for code, name in enumerate(labels):
        rows = np.flatnonzero(table.cells == code)
        chosen = spread_out(len(rows), 10)
        own = table.correct[rows[chosen]]
        attempts = {}
        for setting in ("study", "alpha=0.3"):
            attempts[setting] = {}
            for arm in ("sparse_steer", "dense_steer"):
                outcomes = own[:, : 2 if arm == "dense_steer" else 20, table.arms.index(arm)] == 1
                outcomes = outcomes | (setting != "study")
                counts = {
                    "attempts": outcomes.size,
                    "correct": int(outcomes.sum()),
                    "fired": outcomes.size // 2,
                }
                attempts[setting][arm] = counts | {"outcomes": pack(outcomes)}
        features = {"temperature=0.3": table.features[rows][:, [1, 0, 2]].T.tolist()}
        cells[str(name)] = {
            "features": features,
            "attempted": chosen.tolist(),
            "attempts": attempts,
        }
    variations = [("temperature", 0.3), ("alpha", 0.3)]
    return {
        "about": {"layout": 1, "study": fingerprint(ds)},
        "variations": [{"name": f"{f}={v}", "factor": f, "value": v} for f, v in variations],
        "cells": cells,
    }


def test_stored_figures_are_taken_along():
    ds = traced_study()
    stored = stored_for(ds)
    result = ablate(ds, stored=stored, population=FAILED, **FEW)
    subset = result.settings["reference=problems attempted again"]
    assert subset.n == 20
    steered = result.settings["alpha=0.3"]
    assert steered.reference == subset.name
    # sparse_steer always succeeds: routing there gives 1, and the best fixed operator is hard to
    # beat.
    before, after = (each.figures[Conclusion.BEATS_RETRY_ALL].value for each in (subset, steered))
    assert after > before
    found = result.operators["alpha=0.3"]["sparse_steer"]
    assert (found["rate"], found["attempts"], found["fired"]) == (1.0, 400, 0.5)
    own = result.operators["study"]["sparse_steer"]
    assert found["change"] == pytest.approx(1 - own["rate"])
    assert own["change"] == 0 and own["ci95"] == (0, 0)
    low, high = found["ci95"]
    assert low < found["change"] < high
    assert result.settings["temperature=0.3"].reference == REFERENCES[STORED]
    frame = tables.ablated_operators(result)
    assert frame["change_points"].max() == pytest.approx(
        100 * max(found["change"], result.operators["alpha=0.3"]["dense_steer"]["change"])
    )


def test_a_population_cuts_the_problems_attempted_again():
    """What is stored for a problem stays with it: another setting solves the last of a cell."""
    ds = traced_study()
    stored = stored_for(ds)
    table, _, labels = tabulate(ds)
    inside = choose_populations(ds, ["failed_first_1"])["failed_first_1"]
    inside = inside[np.flatnonzero(~np.isnan(ds["features"].values).any(axis=1))]
    assert 0 < inside.sum() < len(inside) == len(table.rate)
    solved, rates, kept = [], [], []
    for code, name in enumerate(labels):
        rows, found = np.flatnonzero(table.cells == code), stored["cells"][str(name)]
        places = rows[found["attempted"]]
        last = places == places[inside[places]][-1]
        outcomes = np.repeat(last[:, None], 20, axis=1)
        counts = {"attempts": outcomes.size, "correct": 20, "fired": 0, "outcomes": pack(outcomes)}
        found["attempts"]["alpha=0.3"]["sparse_steer"] = counts
        solved.append(last[inside[places]])
        rates.append(table.rate[places[inside[places]], table.arms.index("sparse_steer")])
        kept.append(inside[places])
    assert not np.concatenate(kept).all() and np.concatenate(kept).sum() > 2
    solved, rates = np.concatenate(solved), np.concatenate(rates)
    result = ablate(ds, stored=stored, **FEW)
    subset = result.settings[REFERENCES[SUBSET]]
    assert result.population == "failed_first_1" and subset.n == len(solved) < 20
    assert result.settings["alpha=0.3"].n == subset.n
    found = result.operators["alpha=0.3"]["sparse_steer"]
    assert (found["attempts"], found["rate"]) == (20 * len(solved), pytest.approx(solved.mean()))
    assert found["change"] == pytest.approx(float((solved - rates).mean()))
    # The table that is scored says the same of every problem.
    trials = stored_trials_of(ds, stored)
    for trial in trials:
        if trial.rows is None or trial.name != "alpha=0.3":
            continue
        arm = trial.table.arms.index("sparse_steer")
        scored = np.intersect1d(trial.rows, np.flatnonzero(inside))
        in_order = np.argsort(
            np.concatenate(
                [
                    np.flatnonzero(table.cells == code)[stored["cells"][str(name)]["attempted"]]
                    for code, name in enumerate(labels)
                ]
            )[np.concatenate(kept)]
        )
        assert trial.table.rate[scored, arm].tolist() == solved[in_order].astype(float).tolist()
        # Retry was not attempted again.
        assert trial.table.rate[scored, 0].tolist() == table.rate[scored, 0].tolist()


def stored_trials_of(ds, stored):
    table, _, _ = tabulate(ds)
    return variants.stored_trials(table, ds, stored, ds)


def test_a_population_without_problems_attempted_again_says_so():
    """Only problems whose first answer was right were attempted again."""
    ds = traced_study()
    stored = stored_for(ds)
    table, _, labels = tabulate(ds)
    inside = choose_populations(ds, ["failed_first_1"])["failed_first_1"]
    inside = inside[np.flatnonzero(~np.isnan(ds["features"].values).any(axis=1))]
    for code, name in enumerate(labels):
        found, rows = stored["cells"][str(name)], np.flatnonzero(table.cells == code)
        chosen = np.flatnonzero(~inside[rows])[:2]
        found["attempted"] = chosen.tolist()
        for arms in found["attempts"].values():
            for counts in arms.values():
                counts |= {"attempts": 4, "outcomes": pack(np.ones((len(chosen), 2), bool))}
    result = ablate(ds, stored=stored, **FEW)
    assert result.operators == {} and tables.ablated_operators(result).empty
    for name in (REFERENCES[SUBSET], "alpha=0.3"):
        setting = result.settings[name]
        assert (setting.n, setting.figures) == (0, {})
        assert setting.missing == tuple(CONCLUSIONS)
    assert "1 leave no problem to score for some conclusion (alpha=0.3)." in result.sentence
    moves = tables.ablation_moves(result)
    assert set(moves["missing"]) == {"alpha 0.3"}
    figures = result.dataset
    assert np.isnan(figures["value"].sel(setting="alpha=0.3")).all()
    assert int(figures["n"].sel(setting="alpha=0.3")[0]) == 0
    # Every failed problem: they are there.
    whole = ablate(ds, stored=stored, population=FAILED, **FEW)
    assert whole.settings["alpha=0.3"].n == 4


def test_an_edge_that_selects_nobody_moves_nothing(tied, monkeypatch):
    monkeypatch.setattr(variants, "MIN_GAINS", (1.01,))
    result = ablate(tied, **FEW)
    setting = result.settings["min_gain=1.01"]
    assert setting.figures == {} and np.isnan(setting.published)
    assert setting.missing == tuple(
        name for name, (part, _) in CONCLUSIONS.items() if part != "all"
    )
    assert "min_gain=1.01" not in result.moves("beats_retry_split")
    assert "leave no problem to score for some conclusion (min_gain=1.01)" in result.sentence
    moves = tables.ablation_moves(result).set_index("conclusion")["missing"]
    assert moves["beats_retry_split"] == "least gain 1.01" and moves["beats_retry_all"] == ""


def test_a_setting_that_changes_nothing_says_so(tied, monkeypatch):
    # Gains are twentieths, and tenths in halves: those from 0.04 on are those from 0.05 on.
    monkeypatch.setattr(variants, "MIN_GAINS", (0.04,))
    result = ablate(tied, **FEW)
    assert result.settings["min_gain=0.04"].same
    assert [name for name, each in result.settings.items() if each.same] == ["min_gain=0.04"]
    assert result.sentence.endswith("1 change no figure at all (min_gain=0.04).")
    moves = tables.ablation_moves(result).set_index("conclusion")
    assert "least gain 0.04" in moves.loc["beats_retry_split", "same"]
    assert moves.loc["beats_retry_all", "same"] == ""
    assert "least gain 0.04" not in moves.loc["beats_retry_split", "undecided"]


def test_z_scores_are_over_all_failed_problems_by_hand():
    """Four problems of a cell with spread 0, 1, 2 and 9; the population has the first three.

    Over all four the mean is 3: none of the three leads, and all fall back (arm 2). Over the three
    alone the last would be led by its spread (arm 4)."""
    table = hand_table([[0, 1, 1], [1, 1, 1], [2, 1, 1], [9, 1, 1]], [0, 0, 0, 0])
    rows = {"some": np.arange(3)}
    inputs = Inputs(table, {}, np.array(["cell"]), 4, rows)
    everyone = np.ones((1, 3), bool)
    cut, places = module._cut(inputs, "some", Trial(Factor.REFERENCE, "", table, ""))
    assert cut.routes.tolist() == [2, 2, 2] and places.tolist() == [0, 1, 2]
    # What selects within the population standardises over what it selects.
    assert cut.decide(everyone).tolist() == [[2, 2, 4]]
    scoped = table.as_kind(ScopedTable, scope=Standardisation.FAILED)
    cut, _ = module._cut(inputs, "some", Trial(Factor.STANDARDISATION, "failed", scoped, ""))
    assert cut.decide(everyone).tolist() == [[2, 2, 2]]
    # The study's routes are taken where they are kept; problems of a trial are cut once more.
    kept = replace(table, routes=np.array([1, 2, 3, 4]))
    trial = Trial(Factor.REFERENCE, "", kept, "", rows=np.array([1, 3]))
    cut, places = module._cut(inputs, "some", trial)
    assert (cut.routes.tolist(), places.tolist()) == ([2], [1])


def test_the_population_is_chosen(tied):
    few = ablate(tied, population="failed_first_2", **FEW)
    inside = choose_populations(tied, ["failed_first_2"])["failed_first_2"]
    assert few.settings[REFERENCE].n == inside.sum()
    with pytest.raises(InputError, match=r"population must be .*failed_first_M.*, got 'first'"):
        ablate(tied, population="first", **FEW)
    # A table of rates knows no first answer.
    rates = ablate(tied.drop_vars("correct"), **FEW)
    assert rates.population == FAILED
    assert rates.sentence.startswith("Where the problem failed at least once (")


def test_ablations_of_another_study_are_refused():
    ds = traced_study()
    stored = stored_for(ds)
    with pytest.raises(InputError, match="ablations are of another study"):
        ablate(traced_study(seed=1), stored=stored, **FEW)
    first = next(iter(stored["cells"].values()))
    first["features"]["temperature=0.3"] = [
        each[:-1] for each in first["features"]["temperature=0.3"]
    ]
    with pytest.raises(InputError, match="hold other units of"):
        ablate(ds, stored=stored, **FEW)


def test_variations_have_names_of_their_own():
    names = [each.name for each in (*SIGNAL_VARIATIONS, *ATTEMPT_VARIATIONS)]
    assert len(set(names)) == len(names) == 10
    assert {each.factor for each in (*SIGNAL_VARIATIONS, *ATTEMPT_VARIATIONS)} <= set(Factor)


# --- tables and chart
# ------------------------------------------------------------------------------------------


def test_tables_hold_the_figures(found):
    frame = tables.ablation_figures(found)
    row = frame[
        (frame["setting"] == "fallback retry") & (frame["conclusion"] == "beats_retry_all")
    ].iloc[0]
    figure = found.settings["fallback=retry"].figures[Conclusion.BEATS_RETRY_ALL]
    assert row["points"] == 100 * figure.value
    assert (row["low_points"], row["high_points"]) == tuple(100 * end for end in figure.ci95)
    apart = (row["low_checkpoints_points"], row["high_checkpoints_points"])
    assert apart == tuple(100 * end for end in figure.ci95_checkpoints)
    assert set(frame["population"]) == {"failed_first_1"}
    assert row["change_points"] == 100 * figure.change
    assert row["verdict"] == "supported"
    assert len(frame) == sum(len(each.figures) for each in found.settings.values())
    moves = tables.ablation_moves(found).set_index("conclusion")
    assert list(moves.index) == [name.value for name in CONCLUSIONS]
    tried = frame[(frame["conclusion"] == "beats_permuted_all") & (frame["factor"] != "reference")]
    assert moves.loc["beats_permuted_all", "tried"] == len(tried) == 18
    assert moves.loc["beats_permuted_all", "moved"] == len(found.moves("beats_permuted_all")) >= 2
    # Above 0 over questions, but there are two checkpoints: what others would give is not known.
    assert moves.loc["beats_permuted_all", "low_points"] > 0
    assert moves.loc["beats_permuted_all", "low_checkpoints_points"] < 0
    assert moves.loc["beats_permuted_all", "verdict"] == "not shown"


def test_a_conclusion_is_listed_where_it_moved_to(found):
    """Three settings by hand: kept, lost and reversed."""
    figures = {
        name: found.settings[name]
        for name in (REFERENCE, "fallback=retry", "min_gain=0.1", "min_gain=0.2")
    }
    name = Conclusion.BEATS_RETRY_SPLIT
    ends = {"fallback=retry": (0.1, 0.3), "min_gain=0.1": (-0.1, 0.3), "min_gain=0.2": (-0.3, -0.1)}
    before = Figure(0.2, (0.1, 0.3))
    changed = {REFERENCE: replace(figures[REFERENCE], figures={name: before})}
    for key, interval in ends.items():
        figure = Figure(sum(interval) / 2, interval)
        changed[key] = replace(
            figures[key], figures={name: replace(figure, move=moved(before, figure))}
        )
    row = tables.ablation_moves(replace(found, settings=changed)).iloc[0]
    assert (row["tried"], row["moved"]) == (3, 2)
    assert (row["undecided"], row["reversed"]) == ("least gain 0.1", "least gain 0.2")
    assert (row["decided"], row["sign"]) == ("", "")


def test_the_chart_draws_the_frame(found):
    frame = tables.ablation_figures(found)
    spec = plot_ablations(frame).to_dict()
    for key, value in parts(spec):
        assert key not in COMPUTING or value is None, (key, value)
    assert len(spec["hconcat"]) == len(CONCLUSIONS)
    drawn = [row for rows in spec["datasets"].values() for row in rows if "points" in row]
    assert {row["points"] for row in drawn} == set(frame["points"])
    chosen = frame[frame["conclusion"] == "beats_retry_all"]
    assert len(plot_ablations(chosen).to_dict()["hconcat"]) == 1
    with pytest.raises(InputError, match="no column move"):
        plot_ablations(frame.drop(columns="move"))


def test_a_result_is_drawn_as_its_frame(found):
    check_shown(found, plot_ablations(tables.ablation_figures(found)))


def test_figures_are_labelled(found, tmp_path):
    figures = found.dataset
    assert figures["value"].dims == ("population", "setting", "conclusion")
    assert figures["population"].values.tolist() == ["failed_first_1"]
    figures = figures.isel(population=0)
    assert set(figures["setting"].values) == set(found.settings)
    assert set(figures["conclusion"].values) == {each.value for each in CONCLUSIONS}
    known = found.settings["fallback=retry"].figures[Conclusion.BEATS_RETRY_ALL]
    one = figures.sel(setting="fallback=retry", conclusion="beats_retry_all")
    names = ("value", "low", "high", "low_checkpoints", "high_checkpoints", "change")
    assert [float(one[name]) for name in names] == [
        *(known.value, *known.ci95, *known.ci95_checkpoints, known.change)
    ]
    # Without selection the edges change nothing: no such figure.
    assert np.isnan(figures["value"].sel(setting="min_gain=0.2", conclusion="beats_retry_all"))
    assert int(figures["n"].sel(setting=REFERENCE)) == found.settings[REFERENCE].n
    assert json.loads(figures.attrs["settings_json"]) == {"seed": 0, **FEW, "models": None}
    figures.to_netcdf(tmp_path / "found.nc")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "found.nc"), figures)


def test_what_moves_is_counted_in_words(found):
    before, name = Figure(0.2, (0.1, 0.3)), Conclusion.BEATS_RETRY_SPLIT
    ends = {"fallback=retry": (0.1, 0.3), "min_gain=0.1": (-0.1, 0.3), "min_gain=0.2": (-0.3, -0.1)}
    changed = {REFERENCE: replace(found.settings[REFERENCE], figures={name: before})}
    for key, interval in ends.items():
        figure = Figure(sum(interval) / 2, interval)
        figure = replace(figure, move=moved(before, figure))
        changed[key] = replace(found.settings[key], figures={name: figure})
    several = replace(found, settings=changed)
    # One loses its significance, one is turned round; one stays.
    n = found.settings[REFERENCE].n
    whose = f"Where the first answer failed ({n} problems), "
    assert several.sentence == (
        f"{whose}3 settings were tried; 2 of them move some conclusion, and 1 reverse one"
        " (min_gain=0.2)."
    )
    del changed["min_gain=0.2"]
    assert several.sentence == (
        f"{whose}2 settings were tried; 1 of them move some conclusion, and 0 reverse one."
    )
    rows = several.to_dataframe().set_index("setting")
    assert set(rows["population"]) == {"failed_first_1"}
    assert rows["move"].tolist() == ["stays", "stays", "significance"]
    assert rows.loc["min_gain=0.1", ["value", "low", "high"]].tolist() == pytest.approx(
        [0.1, -0.1, 0.3]
    )


# --- what is shipped
# ------------------------------------------------------------------------------------------


def test_the_shipped_file_is_of_the_bundled_study():
    path = data_folder() / ABLATIONS
    assert path.stat().st_size < 200_000
    found, ds = load_ablations(), rnb.load_study()
    assert found["about"]["study"] == fingerprint(ds)
    assert found["about"]["models"] == json.loads(ds.attrs["provenance_json"])["models"]
    assert found["about"]["command"] == "recover-nb ablate --problems 30"
    cells = found["cells"]
    assert len(cells) == 18
    assert sum(len(each["features"]["temperature=0.3"][0]) for each in cells.values()) == 1190
    # A score that equals its threshold fires or not by a last bit: nearly all attempts repeat the
    # study's, not all.
    repeated = [each["repeat_check"] for each in cells.values()]
    assert min(repeated) > 0.9 and np.mean(repeated) > 0.97
    # Spread counts tokens with J_t > 0: where both models agree, a last bit decides. So a feature
    # may move by one token of a trace of 20, and by no more.
    assert max(each["signal_check"] for each in cells.values()) <= 1 / 20
