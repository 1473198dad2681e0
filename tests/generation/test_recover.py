"""Answers within a budget: what is asked of whom, what it costs, and that it ends when right."""

import json

import numpy as np
import pytest

import recover_nb as rnb
from recover_nb.cli.main import main
from recover_nb.core.errors import InputError
from recover_nb.core.labels import FIRING, Intervention
from recover_nb.generation.decoding.operators import find_operator
from recover_nb.routing.simulate import make_study

UNIT = ("neox", "sft")


@pytest.fixture(scope="module")
def pair():
    return rnb.load_lineage(*UNIT, device="cpu")


@pytest.fixture(scope="module")
def problems():
    return rnb.tasks.problems("arithmetic", "dev", 6)


@pytest.fixture(scope="module")
def study():
    """Return a small study whose arms are all alike but for what they cost."""
    return make_study(n_problems=40, cells=[(*UNIT, "arithmetic")], seed=2)


def test_what_fires_needs_a_calibration():
    names = [each.value for each in Intervention]
    assert {name for name in names if find_operator(name).needs_calibration} == set(FIRING)


def test_a_checker_of_ones_own_is_asked_once_and_ends_it(pair, problems, study):
    heard = []

    def never(said, answer):
        heard.append((said, answer))
        return False

    found = rnb.recover(pair, problems[:2], never, budget=3, study=study, rule="retry", unit=UNIT)
    assert len(heard) == len(set(heard))
    assert found.answers["how"].tolist() == ["spent"] * 2
    assert found.answers["passes"].tolist() == [3, 3]
    assert not found.answers["right"].any()
    always = rnb.recover(pair, problems[:2], lambda said, answer: True, budget=3, study=study)
    assert always.answers["how"].tolist() == ["observed"] * 2
    assert always.answers["passes"].tolist() == [1, 1]
    assert always.plans == "nothing to do"


def test_asking_again_is_the_same_as_a_study_of_retries(pair, problems, study):
    found = rnb.recover(pair, problems, budget=4, study=study, rule="retry", unit=UNIT)
    whole = rnb.generate(pair, problems, interventions=(), n_rollouts=1, n_attempts=3, unit=UNIT)
    first = whole["correct"].sel(intervention="none").values[:, 0] == 1
    retries = whole["correct"].sel(intervention="retry").values[:, :3]
    for place, row in found.answers.iterrows():
        right = np.flatnonzero(retries[place] == 1)
        if first[place]:
            expected = ("observed", 1)
        elif len(right):
            expected = ("retry", 2 + right[0])
        else:
            expected = ("spent", 4)
        assert (row["how"], row["passes"]) == expected
    assert set(found.answers["how"]) == {"observed", "retry", "spent"}
    # The study holds those very attempts, up to the right one.
    kept = rnb.validate(found.study)["correct"].sel(intervention="retry").values
    asked = kept >= 0
    assert (kept[asked] == retries[:, : kept.shape[1]][asked]).all()
    assert asked.sum(axis=1).tolist() == (found.answers["passes"] - 1).tolist()
    assert found.passes == found.answers["passes"].sum()
    right = found.answers.query("right")
    assert right["answer"].tolist() == [problems[i].answer for i in right.index]


def test_an_arm_that_fires_reads_first_and_nothing_goes_beyond_the_budget(pair, problems, study):
    found = rnb.recover(pair, problems, budget=6, study=study, rule="published", unit=UNIT)
    frame = found.answers
    wrong = frame[frame["how"] != "observed"]
    assert len(wrong)
    # One answer, one pass of reading it, then attempts of two models.
    assert set(wrong["passes"]) <= {4, 6}
    kept = found.study
    read = kept["has_signals"].values.any(axis=1)
    assert read.tolist() == (frame["how"] != "observed").tolist()
    assert (np.isfinite(kept["features"].values).all(axis=1) == read).all()
    assert kept["n_failed_rollouts"].values.tolist() == read.astype(int).tolist()
    assert rnb.evaluate_routing(kept, n_bootstrap=5, n_permutations=5).sentence


def test_no_two_attempts_of_a_problem_share_random_numbers(pair, problems):
    never = rnb.recover(
        pair, problems[:1], lambda said, answer: False, budget=5, unit=UNIT, n_rollouts=1
    )
    # Learned on the bundled study: the ancestor.
    assert never.plans == "ancestor"
    asked = never.study["correct"].values[0] >= 0
    assert asked.sum(axis=0).tolist() == [1, 0, 4]
    assert never.settings["learned_from"] == "the bundled study"
    stranger = rnb.recover(pair, problems[:1], budget=5, rule="count")
    assert "which is of other models" in stranger.settings["learned_from"]
    mixed = rnb.recover(
        pair,
        problems[:1],
        lambda said, answer: False,
        budget=5,
        rule="count",
        interventions=["dense_sample"],
        unit=UNIT,
    )
    arms = mixed.study["correct"].values[0, :, 1:] >= 0
    assert (arms.sum(axis=1) <= 1).all()


def test_going_on_that_does_not_pay_is_left(pair, problems, study):
    found = rnb.recover(
        pair, problems, budget=4, study=study, rule="retry", stop_below=1.0, unit=UNIT
    )
    assert set(found.answers["how"]) == {"observed", "stopped"}
    assert (found.answers["passes"] == 1).all()


def test_an_answer_that_was_cut_off_is_asked_again(pair, problems, study):
    short = rnb.Settings(max_new_tokens=2)
    found = rnb.recover(
        pair, problems[:2], budget=4, study=study, rule="published", settings=short, unit=UNIT
    )
    # Nothing can be read from it, so nothing fires.
    assert found.answers["passes"].tolist() == [4, 4]
    assert found.plans == "retry"


def test_problems_of_a_study_can_be_asked_again(pair, problems, study):
    made = rnb.generate(pair, problems[:2], interventions=(), n_rollouts=1, n_attempts=1, unit=UNIT)
    again = rnb.read_problems(made)
    assert [each.level for each in again] == [each.level for each in problems[:2]]
    found = rnb.recover(pair, again, budget=2, study=study, unit=UNIT)
    assert found.sentence.startswith(f"{int(found.answers['right'].sum())} of 2 problems")


def test_what_cannot_be_followed_is_refused(pair, problems, study):
    with pytest.raises(InputError, match="settings must sample whole answers"):
        rnb.recover(pair, problems, study=study, settings=rnb.Settings(temperature=0))
    with pytest.raises(InputError, match="it needs features"):
        rnb.recover(pair, problems, study=study, budget=2, rule="published")


def test_the_command_writes_answers_and_keeps_the_study(tmp_path, capsys):
    study, answers, kept = tmp_path / "s.zarr.zip", tmp_path / "a.csv", tmp_path / "k.zarr.zip"
    rnb.save_zip(make_study(n_problems=20, cells=[(*UNIT, "arithmetic")], seed=2), study)
    source = tmp_path / "problems.csv"
    source.write_text("problem_id,prompt,answer\nsum,(1+1)%100,2\n=odd,(81*2)%100,0\n")
    call = ["recover", str(source), "--lineage", *UNIT, "--budget", "2", "--study", str(study)]
    assert main([*call, "--out", str(answers), "--keep", str(kept)]) == 0
    assert "of 2 problems are right" in capsys.readouterr().out
    lines = answers.read_text().splitlines()
    # No spreadsheet runs an id.
    assert lines[0].startswith("task,problem_id,answer,right") and "'=odd" in lines[2]
    assert rnb.open_study(kept).sizes["problem"] == 2
    assert main(["recover-gain", str(study), "--budget", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["judged"][0]["verdict"] == "not testable"
