"""Whom a figure is about, votes by hand, cut-off answers; and who is best by halves."""

import numpy as np
import pytest
import xarray as xr
from tiny_study import tiny_study

import recover_nb as rnb
from recover_nb import tables
from recover_nb.core.errors import InputError
from recover_nb.core.schema import failed_rollouts, failed_units
from recover_nb.routing.populations import first_failed, majority_vote, vote
from recover_nb.routing.remapping import VOTE, remap_survival


def votes(given, right):
    """Return a study of observed answers alone: which each is, and which one is right."""
    given = np.array(given)
    correct = (given == right).astype(np.int8)[..., None]
    return xr.Dataset(
        {
            "correct": (("problem", "rollout", "intervention"), correct),
            "answer_id": (("problem", "rollout"), np.where(given < 0, -1, given)),
        },
        {"intervention": ["none"]},
    )


@pytest.mark.parametrize(
    ("given", "right", "won"),
    [
        ([7, 9, 7], 7, 1),
        ([9, 7, 9], 7, 0),
        # A tie goes to the answer that came first.
        ([7, 9], 7, 1),
        ([9, 7], 7, 0),
        # A rollout without an answer does not vote.
        ([-1, -1, 7], 7, 1),
        ([-1, -1, -1], 7, 0),
        ([5, 9, 7, 9, 7, 7], 7, 1),
    ],
)
def test_votes_by_hand(given, right, won):
    assert majority_vote(votes([given], right), len(given)).values.tolist() == [won]


def test_a_vote_among_some_is_the_mean_over_sets():
    # Of the three pairs of 7, 9, 9 each order counts: 7 first wins a tie. Pairs in order: (7, 9)
    # twice and (9, 7) twice and (9, 9) twice, of six: right in two.
    ds = votes([[7, 9, 9]], 7)
    assert majority_vote(ds, 2, draws=6000).item() == pytest.approx(1 / 3, abs=0.02)
    # The first is what says that the problem is in hand.
    assert majority_vote(ds, 2, skip=1).item() == 0
    with pytest.raises(InputError, match="1 \\+ 3 rollouts are needed, and 3 were observed"):
        majority_vote(ds, 3, skip=1)
    with pytest.raises(InputError, match="no variable answer_id"):
        majority_vote(ds.drop_vars("answer_id"), 3)


def test_vote_is_of_each_problem():
    given = np.array([[0, 1, 0], [0, 1, 1]])
    assert vote(given == 0, given).tolist() == [True, False]


#: What is counted from outcomes, dropped where these are changed.
COUNTED = ("rescue_rate", "attempts", "regime", "route")


def test_whose_first_rollouts_all_failed():
    ds = tiny_study(4).copy(deep=True)
    ds["correct"].values[:, :, 0] = [
        [1, 1, 1, 1, 1],
        [0, 1, 0, 0, 0],
        [0, 0, 0, 1, 1],
        [1, 0, 0, 0, 0],
    ]
    ds = ds.drop_vars([*COUNTED, "n_failed_rollouts"])
    assert first_failed(ds, 0).tolist() == [False, True, True, True]
    assert first_failed(ds, 1).tolist() == [False, True, True, False]
    assert first_failed(ds, 3).tolist() == [False, False, True, False]
    with pytest.raises(InputError, match="m=6 rollouts were not observed; allowed: at most 5"):
        first_failed(ds, 6)
    with pytest.raises(InputError, match="m must be a whole number of at least 0, got -1"):
        first_failed(ds, -1)


def ended_study():
    ds = tiny_study(8, rollouts=6, solved=(0, 3)).copy(deep=True)
    ds["ended"].values[:] = np.where(ds["correct"].values >= 0, 1, -1)
    ds["origin"].values[:] = np.where(ds["correct"].values == 0, "slip", "")
    return ds


def test_truncating_half_of_the_traces_moves_exactly_those_failures():
    clean = ended_study()
    before = tables.failures_by_cell(clean, total=True).iloc[-1]
    assert before["cut_off"] == 0 and before["failures"] == before["wrong"]
    cut = clean.copy(deep=True)
    cut["ended"].values[:, ::2, 0] = 0
    cut["correct"].values[:, ::2, 0] = 0
    cut = cut.drop_vars([*COUNTED, "n_failed_rollouts"])
    after = tables.failures_by_cell(cut, total=True).iloc[-1]
    wrong = clean["correct"].values[:, :, 0] == 0
    assert after["cut_off"] == 8 * 3
    assert after["failures"] == wrong[:, 1::2].sum()
    assert after["wrong"] == after["cut_off"] + after["failures"]
    # What is left are the same rollouts, with the same origin.
    np.testing.assert_array_equal(failed_rollouts(cut)[:, 1::2], wrong[:, 1::2])
    assert not failed_rollouts(cut)[:, ::2].any()
    np.testing.assert_array_equal(failed_units(cut), wrong[:, 1::2].any(1))


def test_features_leave_out_what_was_cut_off():
    clean = ended_study()
    clean["demotion_pressure"].values[:, 0, 0] *= 5
    cut, only = clean.copy(deep=True), clean.copy(deep=True)
    cut["ended"].values[:, 0, 0] = 0
    only["correct"].values[:, 0, 0] = 1
    studies = [each.drop_vars([*COUNTED, "n_failed_rollouts"]) for each in (clean, cut, only)]
    features = [rnb.compute_features(each).values for each in studies]
    np.testing.assert_array_equal(features[1], features[2])
    assert not np.array_equal(features[0], features[1], equal_nan=True)


def test_origins_are_shares_of_failures():
    ds = ended_study()
    failed = np.argwhere(failed_rollouts(ds))
    p, r = failed[0]
    ds["origin"].values[p, r, 0] = "guess"
    p, r = failed[1]
    ds["origin"].values[p, r, 0] = ""
    row = tables.failures_by_cell(ds, total=True).iloc[-1]
    assert row["guess"] == pytest.approx(1 / len(failed))
    assert row["not_known"] == pytest.approx(1 / len(failed))
    assert row["slip"] == pytest.approx(1 - 2 / len(failed))


def test_the_best_arm_by_halves_by_hand():
    # Ten attempts: retry is right in the first five, the steer in eight, the deterministic one in
    # one of two. Whatever the halves, the steer has at least three of five in each.
    right = np.full((2, 10, 4), -1, np.int8)
    right[:, :, 0] = 0
    right[:, :, 1] = [0] * 8 + [1] * 2
    right[:, :, 2] = [1] * 9 + [0]
    right[:, :2, 3] = [1, 0]
    ds = xr.Dataset(
        {
            "correct": (("problem", "rollout", "intervention"), right),
            "n_failed_rollouts": ("problem", [10, 10]),
        },
        {
            "intervention": ["none", "retry", "sparse_steer", "dense_steer"],
            "cell": ("problem", ["c", "c"]),
        },
    )
    row = tables.best_arms(ds, splits=50).iloc[0]
    assert (row["best_operator"], row["share"]) == ("sparse_steer", 1.0)
    assert row["rate"] == pytest.approx(0.9, abs=0.02)
    assert row["retry_rate"] == pytest.approx(0.2, abs=0.03)


def test_the_accuracy_drop_by_hand():
    def study(solved, seed, asked):
        n = len(solved)
        unit = {"family": "f", "method": "m", "task": "t"}
        coords = {name: ("problem", [each] * n) for name, each in unit.items()}
        coords["problem_id"] = ("problem", [f"p{i}" for i in range(n)])
        return xr.Dataset(
            {
                "prompt": ("problem", [f"{i}{asked}" for i in range(n)]),
                "n_failed_rollouts": ("problem", np.ones(n, np.int32)),
                "regime": ("problem", ["resample"] * n),
                "rescue_rate": (("problem", "intervention"), np.full((n, 2), 0.5)),
                "attempts": (("problem", "intervention"), np.full((n, 2), 20)),
                VOTE: ("problem", np.array(solved, np.int8)),
            },
            coords | {"intervention": ["none", "retry"]},
            {"seed": seed, "config_json": "{}"},
        )

    # Of five solved, new numbers lose three and a redraw one: 40 points.
    first, remapped, redrawn = [1, 1, 1, 1, 1, 0], [0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 1, 1]
    studies = study(first, 0, ""), study(remapped, 1, "'"), study(redrawn, 1, "")
    drop = remap_survival(*studies, n_bootstrap=50).drop.sel(group="all")
    assert drop["n"] == 5
    assert float(drop["remapped"]) == pytest.approx(0.6)
    assert float(drop["redrawn"]) == pytest.approx(0.2)
    assert float(drop["difference"]) == pytest.approx(0.4)
    unknown = study([-1] * 6, 1, "")
    assert remap_survival(studies[0], studies[1], unknown, n_bootstrap=5).drop is None
