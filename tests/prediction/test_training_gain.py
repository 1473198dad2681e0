"""Which failures training fixes: shares, arms and pairs counted by hand, and planted predictors."""

import numpy as np
import pytest
from onward_answers import four_problems, onward_of, right, study_of

import recover_nb as rnb
from recover_nb.core.errors import InputError
from recover_nb.prediction.gain_readers import centred, pairs_won, permuted_labels
from recover_nb.prediction.training_gain import arms_of, pass_rates, shares_of
from recover_nb.prediction.training_gain_result import RIVALS, TrainingGain

GROUPS = ("all_failed", "steerable_hard", "beyond_reach", "resample", "never_failed")


def of(shares, name):
    return getattr(shares, name).tolist()


def test_rates_before_are_of_all_redraws_and_after_of_each_seed():
    rates = pass_rates(*four_problems())
    assert rates.before == pytest.approx([0.3, 0.0, 0.7, 0.9])
    assert rates.after.tolist() == [[0.8, 0.9], [0.0, 0.8], [1.0, 1.0], [0.4, 0.9]]


def test_shares_fixed_stand_beside_what_a_redraw_alone_brings():
    shares = shares_of(pass_rates(*four_problems()), n_bootstrap=50)
    assert shares.groups == GROUPS
    assert of(shares, "units") == [3, 1, 1, 1, 1]
    # q2 is right 0.7 of the time when redrawn, so it is not at risk, though it was in the study.
    assert of(shares, "at_risk") == [2, 1, 1, 0, 0]
    assert of(shares, "fixed")[:3] == [[0.5, 1.0], [1.0, 1.0], [0.0, 1.0]]
    assert np.isnan(shares.fixed[3:]).all()
    assert shares.of("fixed_by_redraw", "all_failed").tolist() == pytest.approx([1 / 3, 0.0])
    assert shares.of("fixed_by_redraw", "resample").tolist() == [1.0, 0.0]


def test_forgetting_stands_beside_another_redraw():
    shares = shares_of(pass_rates(*four_problems()), n_bootstrap=50)
    assert shares.of("forgotten", "never_failed").tolist() == [1.0, 0.0]
    assert shares.of("forgotten_by_redraw", "never_failed").tolist() == [0.0, 0.0]
    assert shares.of("change", "never_failed").tolist() == pytest.approx([-0.5, 0.0])
    # One question: every resample is the same.
    assert shares.of("change_ends", "never_failed").tolist() == pytest.approx([-0.25, -0.25])


def test_one_seed_has_no_other_redraw_to_stand_beside():
    ds, onward = four_problems()
    shares = shares_of(pass_rates(ds, onward.isel(seed=[0])), n_bootstrap=5)
    assert np.isnan(shares.forgotten_by_redraw).all()


def test_problems_are_found_in_any_order_of_the_study():
    ds, onward = four_problems()
    turned = pass_rates(ds.isel(problem=[3, 1, 0, 2]), onward)
    assert turned.study["problem_id"].values.tolist() == ["q0", "q1", "q2", "q3"]


def test_arms_with_four_attempts_each():
    # Two checkpoints: temporal has two attempts of each. Right attempts come first.
    ds, onward = four_problems()
    late = onward.copy(deep=True)
    late["correct"][0, :, 0] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    late["correct"][0, :, 1] = 0
    arms = arms_of(pass_rates(ds, late), late, 4)
    assert arms.names == ("temporal", "retry", "ancestor")
    assert arms.saved[0].tolist() == [[False, False], [False, True], [True, True]]
    assert arms.saved[1].tolist() == [[True, True], [False, False], [True, True]]
    assert arms.saved[2].tolist() == [[False, False], [True, True], [True, True]]
    assert arms.units_alone("retry") == ["neox|sft|program|q0"]
    assert arms.units_alone("temporal") == []
    assert arms.alone[2].tolist() == [[False, False], [True, False], [False, False]]
    assert arms.tokens.tolist() == [5.0, 5.0, 7.0]


def test_an_odd_attempt_goes_to_the_last_checkpoint():
    ds, onward = four_problems()
    onward["correct"][:] = 0
    onward["correct"][0, :, 1, 1] = 1
    assert arms_of(pass_rates(ds, onward), onward, 3).saved[0, 0].all()
    assert not arms_of(pass_rates(ds, onward), onward, 2).saved[0, 0].any()


def test_pairs_are_counted_within_groups_and_ties_count_half():
    score = np.array([0.9, 0.5, 0.5, 0.1, 0.2, 0.8])
    fixed = np.array([True, True, False, False, True, False])
    group = np.array([0, 0, 0, 0, 2, 2])
    wins, pairs = pairs_won(score, fixed, group, 3)
    # Group 0: 0.9 beats both, 0.5 ties and beats. Group 2: 0.2 loses to 0.8.
    assert wins.tolist() == [3.5, 0.0, 0.0]
    assert pairs.tolist() == [4.0, 0.0, 1.0]


def test_numbers_are_less_their_cells_mean_and_unknown_ones_are_that_mean():
    x = np.array([[1.0], [3.0], [np.nan], [10.0]])
    assert centred(x, np.array([0, 0, 0, 1])).ravel().tolist() == [-1.0, 1.0, 0.0, 0.0]


def test_permuted_labels_stay_in_their_cell():
    found = permuted_labels(np.array([1, 1, 1, 0, 0, 0, 0, 1]), np.repeat([0, 1], 4), 50, seed=0)
    assert (found[:, :4].sum(axis=1) == 3).all()
    assert (found[:, 4:].sum(axis=1) == 1).all()
    assert len(np.unique(found, axis=0)) > 5


CELLS = [f"{family}|{method}|program" for family in ("neox", "qwen3") for method in ("sft", "grpo")]


def planted(tells, n=30):
    """Return four cells of `n` failures, every other fixed; `tells` makes the mixture's rate."""
    rng = np.random.default_rng(0)
    size = n * len(CELLS)
    fixed = np.tile([True, False], size // 2)
    rescue = np.stack([rng.random(size), tells(fixed, rng), rng.random(size)], axis=1)
    ds = study_of(
        right(*[3] * size, of=10),
        ["steerable_hard"] * size,
        rescue,
        cells=np.repeat(CELLS, n).tolist(),
        questions=[f"q{i}" for i in range(n)] * len(CELLS),
    )
    before, after = np.full(size, 3), np.where(fixed, 9, 4)
    answers = np.stack([right(*before, of=10), right(*after, of=10)], axis=1)
    return ds, onward_of(ds, np.repeat(answers[:, None], 3, axis=1), [0, 60])


def gain(ds, onward, **options):
    chosen = {"read": False, "n_repeats": 2, "n_permutations": 30, "n_bootstrap": 20, "budget": 4}
    return rnb.training_gain(ds, onward, **(chosen | options))


@pytest.fixture(scope="module")
def told():
    return gain(*planted(lambda fixed, rng: np.where(fixed, 0.9, 0.1)))


def test_a_planted_predictor_tells_all_and_a_random_one_nothing(told):
    frame = told.to_dataframe().set_index("predictor")
    assert frame.index[0] == "dense_sample"
    assert frame.loc["dense_sample", "auc"] == 1.0
    assert frame.loc["dense_sample", ["auc_least", "auc_most"]].tolist() == [1.0, 1.0]
    assert frame.loc["dense_sample", "p"] == pytest.approx(1 / 31)
    assert frame.loc["dense_sample", "rank"] == pytest.approx(1.0)
    assert frame.loc["dense_sample", "lead"] == 0.0
    for name in ("retry", "ancestor", "features"):
        assert 0.3 < frame.loc[name, "auc"] < 0.7
        assert frame.loc[name, "p"] > 0.03
    assert frame.loc["retry", "lead"] == pytest.approx(1 - frame.loc["retry", "auc"])
    # The same for all of a cell.
    assert frame.loc[["regime", "failures"], "auc"].tolist() == [0.5, 0.5]


def test_null_is_about_one_half(told):
    assert told.readers.null.mean() == pytest.approx(0.5, abs=0.03)


def test_what_tells_cells_apart_tells_nothing():
    def by_cell(fixed, rng):
        return np.repeat([0.2, 0.4, 0.6, 0.8], len(fixed) // 4)

    frame = gain(*planted(by_cell)).to_dataframe().set_index("predictor")
    assert frame.loc["dense_sample", "auc"] == 0.5


def test_no_verdict_without_all_that_it_has_to_beat(told):
    assert set(RIVALS) - set(told.readers.names) == {"text_first", "text_all"}
    assert str(told.verdict) == "not testable"


@pytest.fixture
def read(monkeypatch):
    """Read texts that say nothing: they are the same for all."""
    monkeypatch.setattr(
        "recover_nb.prediction.gain_readers.failed_text",
        lambda ds, rollouts: np.array(["#12"] * ds.sizes["problem"], dtype=object),
    )


@pytest.mark.parametrize(
    ("rate", "verdict"),
    [
        (lambda fixed, rng: np.where(fixed, 0.9, 0.1), "supported"),
        (lambda fixed, rng: rng.random(len(fixed)), "not shown"),
        (lambda fixed, rng: np.zeros(len(fixed)), "not shown"),
    ],
    ids=["planted", "random", "constant"],
)
def test_verdict(read, rate, verdict):
    found = gain(*planted(rate), read=True)
    assert found.readers.names[-2:] == ("text_first", "text_all")
    assert str(found.verdict) == verdict


def test_verdict_is_contradicted_where_the_text_tells_and_the_mixture_does_not(monkeypatch):
    ds, onward = planted(lambda fixed, rng: rng.random(len(fixed)))
    monkeypatch.setattr(
        "recover_nb.prediction.gain_readers.failed_text",
        lambda ds, rollouts: np.tile(["aaaa", "bbbb"], ds.sizes["problem"] // 2),
    )
    assert str(gain(ds, onward, read=True).verdict) == "contradicted"


def test_sentence_says_what_was_counted(told):
    assert told.sentence.startswith(
        "Of 120 failures right less than half of the time, 50.0 % are right at least 80 % of the"
        " time after 60 steps more (a redraw alone: 0.0 %). What tells which, beforehand, by AUC"
        " within cells: dense_sample 1.000"
    )
    assert "No problem that never failed was asked." in told.sentence
    assert told.sentence.endswith(
        "4 attempts each save: temporal 100.0 %, retry 100.0 %, ancestor 0.0 % of 120."
    )
    assert rnb.tables.headline(told) == (
        "Training on fixes 50 % of 120 failures. Of single predictors, every token mixed"
        " (dense_sample) tells best which, with an AUC of 1.00."
    )


def test_frames_and_dataset_hold_the_same_figures(told):
    shares = told.shares_frame().set_index("group")
    assert shares.loc["steerable_hard", ["units", "at_risk", "fixed"]].tolist() == [120, 120, 0.5]
    assert shares.loc["all_failed", ["redrawn", "after"]].tolist() == pytest.approx([0.3, 0.65])
    arms = told.arms_frame().set_index("arm")
    assert arms.loc["retry", ["saved", "saved_share"]].tolist() == [120, 1.0]
    ds = told.dataset
    assert ds["auc"].sel(predictor="dense_sample").values.tolist() == [[1.0] * 5] * 2
    assert ds["saved"].dims == ("arm", "failure", "seed")
    assert told.plot().title == "What tells beforehand which failures training fixes"
    assert isinstance(told, TrainingGain)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda ds, on: (ds, None),
            "rnb.load_onward() returns, with answers by seed and checkpoint, got None",
        ),
        (
            lambda ds, on: (ds, ds),
            "rnb.load_onward() returns, with answers by seed and checkpoint, got a Dataset",
        ),
        (lambda ds, on: (ds, on.drop_vars("checkpoint")), "onward has no checkpoint"),
        (lambda ds, on: (ds.isel(problem=[0, 1]), on), "onward asks neox|sft|program|q2"),
        (lambda ds, on: (ds, on.isel(checkpoint=[0])), "one checkpoint only"),
        (lambda ds, on: (ds, on.where(on["seed"] > 0, -1)), "not asked at some checkpoint"),
        (lambda ds, on: (None, on), "a study is an xarray Dataset, not a NoneType"),
        (lambda ds, on: (ds.drop_vars("rescue_rate"), on), "the study has no rescue_rate"),
        (lambda ds, on: (on, on), "the study has no regime"),
        (lambda ds, on: (ds, on), "1 of 2 failures were fixed, too few for n_splits=5"),
    ],
    ids=[
        "none",
        "a study",
        "no checkpoint",
        "other study",
        "one step",
        "holes",
        "no study",
        "no rates",
        "turned round",
        "few",
    ],
)
def test_what_does_not_belong_together_is_refused(change, said):
    with pytest.raises(InputError) as raised:
        gain(*change(*four_problems()))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"budget": 0}, "budget must be a whole number of at least 1, got 0"),
        ({"n_splits": 1}, "n_splits must be a whole number of at least 2, got 1"),
        ({"budget": 11}, "budget is 11; allowed: at most 10 attempts"),
    ],
    ids=["no budget", "one fold", "more than drawn"],
)
def test_numbers_out_of_range_are_refused(options, said):
    with pytest.raises(InputError) as raised:
        gain(*planted(lambda fixed, rng: rng.random(len(fixed))), **options)
    assert said in str(raised.value)
