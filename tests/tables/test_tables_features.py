"""Tables about the features: junction places, windows, reliability, by hand where possible."""

import numpy as np
import pytest
from tiny_study import tiny_study

from recover_nb import tables
from recover_nb.core.errors import InputError
from recover_nb.core.labels import Signal


@pytest.fixture
def ds():
    """Six problems; every failed trace has five tokens."""
    study = tiny_study(rollouts=12).copy(deep=True)
    kept = study["has_signals"].values == 1
    study["n_tokens"].values[:, :, 0][kept] = 5
    rng = np.random.default_rng(0)
    for name in Signal:
        values = np.where(kept[..., None], rng.uniform(0.1, 1, (*kept.shape, 7)), 0).astype(
            np.float32
        )
        values[..., 5:] = 0
        study[name.value].values[:] = values
    return study


def test_where_junctions_lie(ds):
    kept = ds["has_signals"].values == 1
    place = np.full(kept.shape, -1)
    # Of n failed traces one at the end, one in the middle, the rest at the beginning.
    place[kept] = [4, 2, *[0] * (kept.sum() - 2)]
    ds["junction"].values[:] = place
    n = kept.sum()
    said = tables.junction_sentence(ds)
    assert f"In {n:,} failed traces the junction is the first token in {(n - 2) / n:.0%}" in said
    assert f"the last in {1 / n:.0%}, in between in {1 / n:.0%}" in said
    assert "Half of the traces have 5 tokens" in said


def test_features_by_window_changes_only_what_the_window_enters(ds):
    frame = tables.features_by_window(ds, windows=(0, 8))
    assert frame["spread"].nunique() == frame["concentration"].nunique() == 1
    assert frame["logit_dispersion"].nunique() == 2
    assert frame.loc[8, "rank_correlation"] == pytest.approx(1)


def test_features_by_floor_by_hand(ds):
    """Half of each trace's pressure is rounding in the first three problems, nothing in others."""
    ds["demotion_pressure"].values[:3, :, 0:2] = 1e-7
    frame = tables.features_by_floor(ds, floors=(0, 1e-6))
    assert frame.index.tolist() == [0, 1e-6]
    assert frame.loc[0, ["q05", "q50", "q95", "tokens"]].tolist() == [1, 1, 1, 1]
    assert (frame.loc[1e-6, "q05"], frame.loc[1e-6, "q95"]) == (0.6, 1)
    assert frame.loc[0, "routes_changed"] == 0 and frame.loc[1e-6, "routes_changed"] > 0
    kept = ds["has_signals"].values == 1
    share = 1 - kept[:3].sum() * 2 / (kept.sum() * 5)
    assert frame.loc[1e-6, "tokens"] == pytest.approx(share)


def test_reliability_of_noise_is_low_and_of_what_problems_differ_in_is_high(ds):
    noise = tables.reliability(ds, sizes=(1,))
    failed = (ds["correct"].sel(intervention="none") == 0).sum("rollout")
    assert noise["problems"].tolist() == [int((failed >= 2).sum())]
    ds["logit_variance"].values[:] *= (10.0 ** np.arange(6))[:, None, None].astype(np.float32)
    frame = tables.reliability(ds, sizes=(1,))
    assert frame.loc[1, "logit_dispersion"] > 0.95
    assert abs(frame.loc[1, "spread"]) < 1e-9 or np.isnan(frame.loc[1, "spread"])


def test_a_study_without_signals_says_so(ds):
    bare = ds.drop_vars("demotion_pressure")
    for make in (
        tables.junction_sentence,
        tables.features_by_window,
        tables.features_by_floor,
    ):
        with pytest.raises(InputError, match="stores no demotion_pressure"):
            make(bare)
    with pytest.raises(InputError, match="use a study with signals"):
        tables.reliability(bare)


def test_example_problems_are_one_of_each():
    frame = tables.example_problems()
    assert frame[["task", "level"]].drop_duplicates().shape[0] == len(frame) == 9
    first = frame.iloc[0]
    assert first["task"] == "arithmetic" and str(eval(first["prompt"])) == first["answer"]
    assert first["terse"] == "#" + first["answer"] and first["step"].endswith(first["terse"])
    with pytest.raises(InputError, match="no level 9; allowed: 1, 2, 3, 4, 5"):
        tables.example_problems(levels=(9,))


def test_twins_that_never_fired_by_hand(ds):
    steer = list(ds["intervention"].values).index("sparse_steer")
    ds["fired_at"].values[:, :, steer] = -1
    ds["token_id"].values[:, :, steer] = ds["token_id"].values[:, :, 1]
    n = int((ds["n_tokens"].values[:, :, steer] > 0).sum())
    assert tables.twin_sentence(ds).startswith(
        f"sparse_steer fired in 0 attempts and never in the other {n:,}. Of these, {n:,} have"
    )
    ds["token_id"].values[1, 0, steer, 0] = 99
    assert f"Of these, {n - 1:,} have" in tables.twin_sentence(ds)
    with pytest.raises(InputError, match="stores no tokens of prayer"):
        tables.twin_sentence(ds, "prayer")
