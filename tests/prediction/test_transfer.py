"""A fit on one family, applied to another: identical families, shifted ones, cases by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from chart_parts import COMPUTING, parts
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

import recover_nb as rnb
from recover_nb import charts, tables
from recover_nb.core.errors import InputError
from recover_nb.prediction.transfer import assignment_entropy, transfer, transfer_clusters
from recover_nb.routing.evaluation import evaluate_routing
from recover_nb.routing.simulate import make_study

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"
FEW = {"n_null": 20, "n_splits": 5, "n_bootstrap": 50}
CELLS = (("qwen3", "sft", "arithmetic"), ("qwen3", "grpo", "arithmetic"))


def one_family(seed=0):
    """Return a study of one family, in which the operator that the policy chooses gains 0.3."""
    return make_study(effect="tied", n_problems=60, cells=CELLS, seed=seed)


def two_families(change=lambda features: features, seed=0):
    """The same study twice, under two families; `change` alters the second's features."""
    first = one_family(seed)
    second = first.assign_coords(family=("problem", ["neox"] * first.sizes["problem"]))
    return xr.concat([first, second.assign(features=change(second["features"]))], "problem")


@pytest.fixture(scope="module")
def identical():
    return transfer(two_families(), **FEW)


@pytest.fixture(scope="module")
def moved():
    """Return a transfer to features twice as wide, and spread higher by 200: scale alone."""
    return transfer(two_families(lambda features: 2 * features + [200, 0, 0]), **FEW)


def test_identical_families_lose_nothing(identical):
    assert [(each.source, each.target) for each in identical.directions] == [
        ("qwen3", "neox"),
        ("neox", "qwen3"),
    ]
    for each in identical.directions:
        assert each.clusters.ari_frozen == each.clusters.ari_refitted == 1.0
        assert 0 < each.clusters.ari_halves < 1
        assert each.clusters.share_frozen == pytest.approx(each.clusters.share_own)
        assert each.shift == pytest.approx(np.zeros(3)) and each.scale == pytest.approx(np.ones(3))
        assert each.same_routes == 1.0
        frozen, refitted = each.routing["frozen"], each.routing["refitted"]
        assert frozen.routed["published"] == refitted.routed["published"]
        assert each.lost["published"] == {"value": 0.0, "ci95": [0.0, 0.0]}


def test_only_frozen_figures_feel_a_change_of_scale(identical, moved):
    for same, other in zip(identical.directions, moved.directions, strict=True):
        assert other.clusters.ari_frozen == 0.0
        assert other.clusters.ari_refitted == pytest.approx(1.0)
        assert assignment_entropy(other.clusters.share_frozen) == 0.0
        assert assignment_entropy(other.clusters.share_refitted) > 1.0
        for name in ("refitted", "by_cell"):
            before, after = (each.routing[name].routed["published"] for each in (same, other))
            assert (after["n"], after["lift"]) == pytest.approx((before["n"], before["lift"]))
        assert other.same_routes < 0.7
    forward = moved.directions[0]
    assert forward.shift[0] > 10 and forward.scale[0] == pytest.approx(2)
    # Routing by another family's scale costs what the tied effect gives.
    assert forward.lost["published"]["value"] < 0
    assert forward.routing["frozen"].excess["value"] < forward.routing["refitted"].excess["value"]


def test_frozen_routes_are_those_of_the_sources_mean_and_sd():
    """By definition: z by the source's steerable_hard problems, largest z, else the fallback."""
    ds = two_families(lambda features: 2 * features - 1)
    source, target = (
        ds.isel(problem=np.flatnonzero(ds["family"].values == name)) for name in ("qwen3", "neox")
    )
    by_source = source["features"].values[source["regime"].values == "steerable_hard"]
    hard = target["regime"].values == "steerable_hard"
    z = ((target["features"].values - by_source.mean(0)) / by_source.std(0))[hard]
    operators = np.array(
        ["dense_steer", "sparse_steer", "local_temperature", "sparse_steer_random"]
    )
    route = operators[np.where(z.max(1) > 0, z.argmax(1), 3)]
    rate = target["rescue_rate"].isel(problem=np.flatnonzero(hard))
    routed = rate.sel(intervention=xr.DataArray(route, dims="problem")).values
    found = transfer(ds, **FEW).directions[0].routing["frozen"].routed["published"]
    assert found["n"] == hard.sum()
    assert found["rate"] == pytest.approx(routed.mean())
    assert found["lift"] == pytest.approx((routed - rate.sel(intervention="retry").values).mean())


def test_by_cell_is_what_evaluate_routing_says_of_the_target():
    ds = two_families(lambda features: features + 1, seed=3)
    target = ds.isel(problem=np.flatnonzero(ds["family"].values == "neox"))
    theirs = evaluate_routing(
        target, n_bootstrap=20, n_permutations=20, n_null=20, n_splits=5
    ).overall
    mine = transfer(ds, **FEW).directions[0].routing["by_cell"].routed
    for name in ("published", "all"):
        assert mine[name]["lift"] == pytest.approx(theirs[name]["lift"])
    assert mine["split"]["lift"] == pytest.approx(theirs["split"]["lift"], abs=0.05)


def test_ari_by_hand():
    """Source: 0s and 10s, so that the border lies at 5.

    Target: 0, .1, .2 | 4.8, 5.2, 5.3 by its own two clusters.

    Contingency (3, 0), (1, 2): pairs together in both 3 + 1 = 4; in rows 3 + 3, in columns 6 + 1;
    of 15 pairs 6 * 7 / 15 = 2.8 by chance: (4 - 2.8) / (6.5 - 2.8).
    """
    source = np.repeat([[0.0], [10.0]], 5, axis=0)
    target = np.array([[0.0], [0.1], [0.2], [4.8], [5.2], [5.3]])
    found = transfer_clusters(source, target, np.arange(6), k=2, seed=0)
    assert found.ari_frozen == pytest.approx(1.2 / 3.7)
    assert found.ari_refitted == 1.0
    assert sorted(found.share_frozen) == pytest.approx([2 / 6, 4 / 6])
    assert found.share_own.tolist() == found.share_source.tolist() == [0.5, 0.5]


def test_entropy_by_hand():
    assert assignment_entropy(np.array([0.5, 0.5])) == pytest.approx(np.log(2))
    assert assignment_entropy(np.array([0.25, 0.75, 0.0])) == pytest.approx(
        0.25 * np.log(4) + 0.75 * np.log(4 / 3)
    )
    assert assignment_entropy(np.array([1.0, 0.0])) == 0.0


def test_clusters_and_scales_are_scikit_learns(moved):
    """StandardScaler, KMeans and adjusted_rand_score by hand: equal but for rounding."""
    source, target = (
        one["features"].values
        for _, one in two_families(lambda features: 2 * features + [200, 0, 0]).groupby(
            "family", squeeze=False
        )
    )
    # Groups come in the order of the alphabet: neox, the second, first.
    source, target = target, source
    mine, other = StandardScaler().fit(source), StandardScaler().fit(target)
    forward = moved.directions[0]
    assert forward.shift == pytest.approx((other.mean_ - mine.mean_) / mine.scale_, abs=1e-9)
    assert forward.scale == pytest.approx(other.scale_ / mine.scale_, abs=1e-9)
    fitted = KMeans(3, n_init=10, random_state=0).fit(mine.transform(source))
    own = KMeans(3, n_init=10, random_state=0).fit(other.transform(target))
    frozen, refitted = (
        fitted.predict(mine.transform(target)),
        fitted.predict(other.transform(target)),
    )
    assert forward.clusters.ari_frozen == pytest.approx(adjusted_rand_score(own.labels_, frozen))
    assert forward.clusters.ari_refitted == pytest.approx(
        adjusted_rand_score(own.labels_, refitted)
    )
    share = forward.clusters.share_source
    assert assignment_entropy(share) == pytest.approx(entropy(np.bincount(fitted.labels_)))


def test_progress_tells_every_direction():
    told = []
    transfer(two_families(), **FEW, progress=told.append)
    assert told == ["neox", "qwen3"]


def test_leave_one_out_takes_every_other_part_together():
    ds = two_families()
    found = transfer(ds, by="cell", **FEW)
    assert [each.target for each in found.directions] == list(dict.fromkeys(rnb.cell_names(ds)))
    assert found.directions[0].source == "not qwen3|sft|arithmetic"
    sizes = {each.target: each.n_target for each in found.directions}
    assert all(each.n_source == sum(sizes.values()) - each.n_target for each in found.directions)
    pairs = transfer(ds, by="method", leave_one_out=False, **FEW)
    assert len(pairs.directions) == 2


def test_a_table_without_attempts_has_no_split():
    ds = two_families().drop_vars("correct")
    found = transfer(ds, **FEW)
    assert set(found.directions[0].routing["frozen"].routed) == {"published", "all"}
    assert set(found.to_dataframe()["estimator"]) == {"published", "excess", "all"}


def test_the_seed_decides_and_input_is_not_changed(identical):
    ds = two_families()
    before = ds.copy(deep=True)
    assert transfer(ds, **FEW).to_dict() == identical.to_dict()
    xr.testing.assert_identical(ds, before)
    other = transfer(ds, seed=1, **FEW).directions[0].routing["frozen"].excess
    assert other["mean"] != identical.directions[0].routing["frozen"].excess["mean"]
    json.dumps(identical.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"by": "regime"},
            "by is 'regime' (unknown); allowed here: family, method, task, model, cell",
        ),
        ({"by": "task"}, "the study has one task, arithmetic; transfer needs two or more"),
        ({"k": 1}, "k"),
        ({"n_null": 0}, "n_null"),
        ({"n_splits": 2.5}, "n_splits"),
        ({"k": 80}, "different failed problems for 80 clusters; allowed: at least 160"),
    ],
)
def test_bad_input_is_one_clear_sentence(kwargs, message):
    with pytest.raises(InputError) as caught:
        transfer(two_families(), **FEW | kwargs)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the authors' table is not here")
def test_authors_rows_by_cell_give_the_golden_lifts():
    ds = rnb.from_profiles(REFERENCE / "published_profiles.csv")
    golden = json.loads((REFERENCE / "golden.json").read_text())
    found = transfer(ds, by="cell", **FEW)
    assert len(found.directions) == 4
    for each in found.directions:
        rescue = golden[each.target]["rescue"]
        routed = each.routing["by_cell"].routed["published"]
        assert (routed["rate"], routed["retry"]) == pytest.approx(
            (rescue["routed"], rescue["retry"]), abs=1e-4
        )
        # One cell is one pool.
        assert each.routing["refitted"].routed["published"] == routed


FRAMES = {
    "clusters": (charts.plot_transfer_clusters, tables.transfer_agreement),
    "routing": (charts.plot_transfer_routing, tables.transfer_routing),
}


@pytest.mark.parametrize("name", FRAMES)
def test_charts_compute_nothing(moved, name):
    plot, arrange = FRAMES[name]
    frame = arrange(moved)
    before = frame.copy()
    spec = plot(frame).to_dict()
    for key, value in parts(spec):
        assert key not in COMPUTING or value is None, (key, value)
    assert {value for key, value in parts(spec) if key == "field"} <= {*frame.columns, "zero"}
    assert sum("zero" not in row for rows in spec["datasets"].values() for row in rows) == len(
        frame
    )
    pd.testing.assert_frame_equal(frame, before)
    with pytest.raises(InputError, match="no column"):
        plot(frame[["direction"]])


def test_tables_hold_the_figures(moved):
    rows = tables.transfer_clusters(moved)
    first = moved.directions[0]
    assert rows.loc[0, "direction"] == "qwen3 to neox"
    assert rows.loc[0, "ari_refitted"] == first.clusters.ari_refitted
    assert rows.loc[0, "evenness_own"] == pytest.approx(rows.loc[0, "entropy_own"] / np.log(3))
    assert rows.loc[0, "scale_spread"] == pytest.approx(2)
    routing = moved.to_dataframe()
    one = routing[
        (routing["standardisation"] == "frozen") & (routing["estimator"] == "excess")
    ].iloc[0]
    assert one["points"] == pytest.approx(100 * first.routing["frozen"].excess["value"])
    losses = tables.transfer_losses(moved)
    assert losses["estimator"].tolist()[:3] == ["published", "split", "all"]
    assert losses.loc[0, "points"] == pytest.approx(100 * first.lost["published"]["value"])
    assert losses.loc[0, "low_points"] <= losses.loc[0, "points"] <= losses.loc[0, "high_points"]
